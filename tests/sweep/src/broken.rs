//! Gates without one of their rules: each must fail at a position of its family, and the same position must be good
//! with the whole gate.

use std::collections::BTreeMap;

use anyhow::Context;
use liftlock_gate::Defect;

use crate::guest::Guests;
use crate::position;
use crate::position::Landing;
use crate::position::Position;
use crate::position::Trouble;
use crate::reference::Reference;
use crate::sweep::Subject;
use crate::sweep::one;
use crate::sweep::told;
use crate::ways;
use crate::world::World;

/// A broken rule, and where it must be noticed.
pub struct Broken {
    /// What is broken.
    pub defect: Defect,
    /// The plan that is disturbed.
    pub way: &'static str,
    /// What lacks without the rule is in the images of the uninterrupted run.
    leaves_other_images: bool,
    /// Positions that meet the rule.
    meets: fn(&Position) -> bool,
}

/// Most positions that are tried with one broken gate. They are spread evenly over those that meet its rule; a rule
/// that none of so many needs is not held by the sweep.
const TRIES_MAX: usize = 40;

/// Each rule of the gate that can be broken.
pub const ALL: [Broken; 10] = [
    Broken {
        defect: Defect::IntentNotDurable,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Kill(place) if place.label == "act.after"),
    },
    Broken {
        defect: Defect::ReadBackSkipped,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Fault(call, Trouble::Lie) if call.changes),
    },
    Broken {
        defect: Defect::ProbeAlwaysAbsent,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Kill(place) if place.label == "act.after"),
    },
    Broken {
        defect: Defect::LateNotAwaited,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| {
            matches!(
                position,
                Position::Late(_, Landing::AfterTheFirstLook | Landing::DuringTheRollback)
            )
        },
    },
    Broken {
        defect: Defect::RecordBelieved,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Rewound(..)),
    },
    Broken {
        defect: Defect::RunningNotAttached,
        way: "8.8-vendor",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Orphan(..)),
    },
    Broken {
        defect: Defect::OtherObjectTaken,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Meddled(..)),
    },
    Broken {
        defect: Defect::ClaimNotChecked,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::Thawed(_)),
    },
    Broken {
        defect: Defect::HeadNotWritten,
        way: "8.8",
        leaves_other_images: true,
        meets: |position| matches!(position, Position::LostTail(..)),
    },
    Broken {
        defect: Defect::RollbackNotTerminal,
        way: "8.8",
        leaves_other_images: false,
        meets: |position| matches!(position, Position::KillInRollback(..)),
    },
];

/// Tries them, those of one way after another; the number of those that were noticed.
pub fn broken(
    guests: &Guests,
    only: Option<&str>,
    say: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<(usize, usize)> {
    let mut by_way: BTreeMap<&str, Vec<&Broken>> = BTreeMap::new();
    for broken in &ALL {
        let name = format!("{:?}", broken.defect);
        if only.is_none_or(|only| only == name) {
            by_way.entry(broken.way).or_default().push(broken);
        }
    }
    let (mut tried, mut caught) = (0, 0);
    for (name, list) in by_way {
        let way = ways::all()
            .into_iter()
            .find(|way| way.name == name)
            .with_context(|| format!("there is no way `{name}`"))?;
        let mut world = World::build(guests.of(&way)?, &way)?;
        let reference = Reference::run(&mut world)?;
        let positions = position::all(&reference, &way);
        for broken in list {
            tried += 1;
            let other = broken
                .leaves_other_images
                .then(|| Reference::run_by(&mut world, Some(broken.defect)))
                .transpose()?;
            let references = (other.as_ref().unwrap_or(&reference), &reference);
            let is_noticed = notices(&mut world, references, &positions, broken, say);
            caught += usize::from(is_noticed);
        }
    }
    Ok((tried, caught))
}

fn notices(
    world: &mut World,
    (lacking, whole): (&Reference, &Reference),
    positions: &[Position],
    broken: &Broken,
    say: &(dyn Fn(&str) + Sync),
) -> bool {
    let meeting: Vec<(usize, &Position)> = positions
        .iter()
        .enumerate()
        .filter(|(_, position)| (broken.meets)(position))
        .collect();
    let tries = meeting.len().min(TRIES_MAX);
    for at in 0..tries {
        let (number, position) = meeting[spread(at, tries) * meeting.len() / tries];
        let verdict = one(world, lacking, position, Some(broken.defect));
        // The same position must be good with the gate as it is: what fails is the missing rule.
        let is_noticed = !verdict.is_good() && one(world, whole, position, None).is_good();
        world.sweep_up();
        if is_noticed {
            let of = Subject {
                product: "optimize",
                plan: broken.way,
            };
            say(&format!(
                "   {:?} is noticed, after {} tries, at {}",
                broken.defect,
                at + 1,
                told(of, number, position, &verdict)
            ));
            return true;
        }
    }
    say(&format!(
        "   {:?} gets through {tries} of {} positions that meet its rule",
        broken.defect,
        meeting.len()
    ));
    false
}

/// From 0 to `count`, each once, those that follow each other far apart: so that a few tries see all of a run.
fn spread(at: usize, count: usize) -> usize {
    /// Near the golden section of the most that there are, and a prime: no count has it as a factor.
    const STRIDE: usize = 23;
    if count.is_multiple_of(STRIDE) {
        at
    } else {
        at * STRIDE % count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_position_that_may_be_tried_is_tried_once() {
        for count in 1..=TRIES_MAX {
            let tried: BTreeSet<usize> = (0..count).map(|at| spread(at, count)).collect();
            assert_eq!(tried, (0..count).collect());
        }
    }

    #[test]
    fn no_rule_is_broken_twice_and_each_on_a_plan_that_is_there() {
        let names: BTreeSet<String> = ALL.iter().map(|one| format!("{:?}", one.defect)).collect();
        assert_eq!(names.len(), ALL.len());
        for broken in &ALL {
            assert!(ways::all().iter().any(|way| way.name == broken.way));
        }
    }
}

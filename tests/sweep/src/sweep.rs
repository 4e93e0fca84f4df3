//! The loop over positions, on more worlds than there are cores; and what is told of it.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::anyhow;
use liftlock_gate::Defect;

use crate::guest::Guest;
use crate::judge::Verdict;
use crate::perform::perform;
use crate::position;
use crate::position::Position;
use crate::reference::Reference;
use crate::ways::Way;
use crate::world::World;

/// One disturbance of a run.
pub trait Disturbance: fmt::Display + Sync {
    /// What it is one of.
    fn family(&self) -> &'static str;
}

/// A site with its uninterrupted run, on which positions are performed one after another.
pub trait Field: Sized {
    /// How runs on it are disturbed.
    type Position: Disturbance;

    /// The uninterrupted run, in a few words.
    fn about(&self) -> String;

    /// Every position, in an order that is the same in each field of a plan.
    fn positions(&self) -> Vec<Self::Position>;

    /// Performs one.
    fn perform(&mut self, position: &Self::Position) -> Verdict;

    /// Removes what the positions so far left on the disk.
    fn sweep_up(&self);
}

/// What is swept: a plan of a product.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// `optimize`.
    pub product: &'static str,
    /// The plan's name.
    pub plan: &'static str,
}

/// Positions of doubts that are named by their number; the rest is counted.
const EXAMPLES_MAX: usize = 3;

/// Worlds for each core: a gate that waits for an effect, or until nothing can land any more, takes real time and no
/// work.
const WORLDS_A_CORE: usize = 2;

/// How often one is told how far it is: a minute or two apart.
const TOLD_EVERY: usize = 500;

/// A world of its own costs an uninterrupted run, so that fewer positions than these are not worth one.
const POSITIONS_A_WORLD: usize = 8;

/// Which positions of a plan.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// From this number.
    pub from: usize,
    /// Up to this one, with it.
    pub to: Option<usize>,
    /// Every so-manieth.
    pub every: usize,
    /// Beginning at this one.
    pub offset: usize,
    /// Only of this family.
    pub family: Option<String>,
    /// Stop to take new ones after so long.
    pub within: Option<Duration>,
    /// Tell how each went.
    pub verbose: bool,
}

impl Choice {
    fn takes(&self, number: usize, position: &dyn Disturbance) -> bool {
        let every = self.every.max(1);
        number >= self.from
            && self.to.is_none_or(|to| number <= to)
            && number % every == self.offset % every
            && self
                .family
                .as_ref()
                .is_none_or(|family| family == position.family())
    }
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Positions that were performed.
    pub positions: usize,
    /// Those at which something was lost, or that could not be performed.
    pub lost: usize,
    /// Those at which something was sent again without a right to.
    pub repeated: usize,
    /// Those at which something was concluded without evidence.
    pub guessed: usize,
    /// Those at which a person had to decide.
    pub doubts: usize,
    /// Why, with how often and where.
    pub why: BTreeMap<String, Vec<usize>>,
    /// How many of each family, and how long they took together.
    pub families: BTreeMap<&'static str, (usize, Duration)>,
    /// Chosen, but the time was over.
    pub left_out: usize,
    /// The plan's positions, chosen or not.
    pub known: usize,
}

impl Tally {
    /// Nothing lost, repeated or guessed.
    pub fn is_good(&self) -> bool {
        self.lost + self.repeated + self.guessed == 0
    }

    /// Adds another plan's.
    pub fn add(&mut self, other: Self) {
        self.positions += other.positions;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.guessed += other.guessed;
        self.doubts += other.doubts;
        self.left_out += other.left_out;
        self.known += other.known;
        for (why, numbers) in other.why {
            self.why.entry(why).or_default().extend(numbers);
        }
        for (family, (count, took)) in other.families {
            let entry = self.families.entry(family).or_default();
            entry.0 += count;
            entry.1 += took;
        }
    }

    fn take(
        &mut self,
        number: usize,
        position: &dyn Disturbance,
        took: Duration,
        verdict: &Verdict,
    ) {
        self.positions += 1;
        self.lost += usize::from(!verdict.lost.is_empty());
        self.repeated += usize::from(!verdict.repeated.is_empty());
        self.guessed += usize::from(!verdict.guessed.is_empty());
        self.doubts += usize::from(!verdict.doubts.is_empty());
        for doubt in &verdict.doubts {
            let step = if doubt.step.is_empty() {
                "the run"
            } else {
                &doubt.step
            };
            let why: String = doubt.why.chars().take(140).collect();
            self.why
                .entry(format!("{}, {step}: {why}", position.family()))
                .or_default()
                .push(number);
        }
        let entry = self.families.entry(position.family()).or_default();
        entry.0 += 1;
        entry.1 += took;
    }

    /// The doubts, each with its reason and where to see it.
    pub fn doubts_text(&self) -> String {
        let mut text = String::new();
        for (why, numbers) in &self.why {
            let shown: Vec<String> = numbers
                .iter()
                .take(EXAMPLES_MAX)
                .map(ToString::to_string)
                .collect();
            // Writing to a text does not fail.
            let _ = writeln!(
                text,
                "   {} x {why} (positions {}{})",
                numbers.len(),
                shown.join(", "),
                if numbers.len() > EXAMPLES_MAX {
                    ", ..."
                } else {
                    ""
                }
            );
        }
        text
    }
}

/// How a position is told that is not good, with the command that performs it alone.
pub fn told(of: Subject, number: usize, position: &dyn Disturbance, verdict: &Verdict) -> String {
    let Subject { product, plan } = of;
    let mut text = format!("{plan} {number}: {position}\n");
    for (what, lines) in [
        ("lost", &verdict.lost),
        ("repeated", &verdict.repeated),
        ("guessed", &verdict.guessed),
        ("course", &verdict.course),
    ] {
        for line in lines.iter().take(LINES_MAX) {
            let _ = writeln!(text, "     {what}: {line}");
        }
        if let Some(more) = lines.len().checked_sub(LINES_MAX + 1) {
            let _ = writeln!(text, "     {what}: and {} more", more + 1);
        }
    }
    let _ = writeln!(
        text,
        "     again: cargo xtask sweep {product} --plan {plan} --from {number} --to {number} --verbose"
    );
    text
}

/// Sweeps one plan, on as many fields as `build` is asked for. `say` is given what is to be printed.
pub fn sweep<F: Field>(
    of: Subject,
    build: &(dyn Fn() -> anyhow::Result<F> + Sync),
    choice: &Choice,
    say: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<Tally> {
    let begun = Instant::now();
    let mut field = build()?;
    let positions = field.positions();
    say(&format!(
        "   plan {}: {}, {} positions; the uninterrupted run took {:.1} s",
        of.plan,
        field.about(),
        positions.len(),
        begun.elapsed().as_secs_f64(),
    ));
    let chosen: Vec<(usize, &F::Position)> = positions
        .iter()
        .enumerate()
        .filter(|(number, position)| choice.takes(*number, *position))
        .collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally {
        known: positions.len(),
        ..Tally::default()
    });
    let work = |field: &mut F| loop {
        let Some((number, position)) = chosen.get(next.fetch_add(1, Ordering::SeqCst)) else {
            return;
        };
        if choice.within.is_some_and(|within| begun.elapsed() > within) {
            tally
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .left_out += 1;
            continue;
        }
        let since = Instant::now();
        let verdict = guarded(|| field.perform(position));
        if !verdict.is_good() || choice.verbose {
            say(&told(of, *number, *position, &verdict));
        }
        if choice.verbose {
            for entry in &verdict.entries {
                let line: String = format!("{:?}", entry.seen).chars().take(LINE_MAX).collect();
                say(&format!("     life {}: {line}", entry.life));
            }
        }
        let done = {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.take(*number, *position, since.elapsed(), &verdict);
            tally.positions
        };
        if done % TOLD_EVERY == 0 {
            say(&format!(
                "   {done} of {}, {} s",
                chosen.len(),
                begun.elapsed().as_secs()
            ));
        }
        field.sweep_up();
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let others = (cores * WORLDS_A_CORE)
        .min(chosen.len() / POSITIONS_A_WORLD)
        .saturating_sub(1);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let workers: Vec<_> = (0..others)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    work(&mut build()?);
                    Ok(())
                })
            })
            .collect();
        work(&mut field);
        for worker in workers {
            worker
                .join()
                .map_err(|_| anyhow!("a worker of the sweep panicked"))?
                .context("a second world")?;
        }
        Ok(())
    })?;
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Lines of one kind about one position; the rest is counted.
const LINES_MAX: usize = 8;

/// Longest line about one thing that happened.
const LINE_MAX: usize = 260;

/// Performs one; a panic of whatever is under test is a finding, and not the end of the sweep.
fn guarded(perform: impl FnOnce() -> Verdict) -> Verdict {
    std::panic::catch_unwind(AssertUnwindSafe(perform)).unwrap_or_else(|_| Verdict {
        lost: vec!["it panicked".into()],
        ..Verdict::default()
    })
}

/// Performs one on a simulated cluster, by a gate that may lack a rule.
pub(crate) fn one(
    world: &mut World,
    reference: &Reference,
    position: &Position,
    defect: Option<Defect>,
) -> Verdict {
    guarded(|| perform(world, reference, position, defect))
}

/// A simulated cluster with its uninterrupted run.
pub struct Clusters {
    world: World,
    reference: Reference,
    way: Way,
}

impl Clusters {
    /// Builds the site of a way and runs its plan.
    pub fn build(guest: &Guest, way: &Way) -> anyhow::Result<Self> {
        let mut world = World::build(guest, way)?;
        let reference = Reference::run(&mut world)?;
        Ok(Self {
            world,
            reference,
            way: way.clone(),
        })
    }
}

impl Field for Clusters {
    type Position = Position;

    fn about(&self) -> String {
        format!(
            "{} points, {} requests",
            self.reference.places.len(),
            self.reference.records.len()
        )
    }

    fn positions(&self) -> Vec<Position> {
        position::all(&self.reference, &self.way)
    }

    fn perform(&mut self, position: &Position) -> Verdict {
        perform(&mut self.world, &self.reference, position, None)
    }

    fn sweep_up(&self) {
        self.world.sweep_up();
    }
}

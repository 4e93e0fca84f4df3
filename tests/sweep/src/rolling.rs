//! What sweeps of rolling upgrades share: sites of several services that are stopped, switched and started one after
//! another, and of targets that keep what an upgrade did.
//!
//! Troubles are put between the gate and a capability, where every target has them; where requests alone tell a run's
//! places apart, as on a site that nothing but a cluster keeps, `position` does it instead.
//!
//! | module | what |
//! |---|---|
//! | `bench` | what runs on such a site stand on |
//! | `node` | a service as the gate sees it |
//! | `rest` | an interface of a service, over loopback |
//! | `faults` | troubles of a send or of all reads |
//! | `reference` | the uninterrupted run |
//! | `position` | where and how a run is disturbed |
//! | `perform` | one position, from its beginning to its verdict |

pub mod bench;
pub mod faults;
pub mod node;
pub mod perform;
pub mod position;
pub mod reference;
pub mod rest;

use liftlock_types::Change;
use serde_json::Value;

use crate::judge::Verdict;
use crate::perform::Stage;
use crate::rolling::bench::Bench;
use crate::rolling::position::Position;
use crate::rolling::reference::Reference;
use crate::site::Round;
use crate::site::Site;
use crate::sweep::Disturbance;
use crate::sweep::Field;

/// What may be at no end of a position.
#[derive(Debug, Default)]
pub struct Wrongs {
    /// What is not there, or there and should not be.
    pub lost: Vec<String>,
    /// What was done more often than it should.
    pub repeated: Vec<String>,
}

/// A site that is upgraded part by part.
pub trait Fleet: Site<Reference = Reference> {
    /// Disturbances that only this site has.
    type Own: Disturbance;

    /// Members of what is seen that a rollback leaves, as the plan says.
    const STAYS: &'static [&'static str];

    /// Members that differ where another run did the same, or parts of it were done again.
    const OF_RUNS: &'static [&'static str];

    /// What runs on it stand on.
    fn bench(&self) -> &Bench;

    /// The same, to be changed.
    fn bench_mut(&mut self) -> &mut Bench;

    /// What there is of the targets, as one value.
    fn seen(&self) -> anyhow::Result<Value>;

    /// The same without what a report names.
    fn seen_but_named(&self, report: &[String]) -> anyhow::Result<Value>;

    /// What may be at no end.
    fn wrongs(
        &self,
        round: &Round,
        reference: &Reference,
        report: &[String],
    ) -> anyhow::Result<Wrongs>;

    /// Things of Liftlock that are in the targets and that a report does not name.
    fn ours(&self, report: &[String]) -> anyhow::Result<Vec<String>>;

    /// What is stopped or borrowed, and not named in a report.
    fn taken_and_not_named(&self, report: &str) -> anyhow::Result<Vec<String>>;

    /// As an abort's report asks for: what is stopped is started, what is borrowed is given back.
    fn give_back_by_hand(&self) -> anyhow::Result<()>;

    /// A run holds the claim.
    fn is_claimed(&self) -> anyhow::Result<bool>;

    /// Such a change can land when the settle time is over.
    fn can_land_late(&self, change: &Change) -> bool;

    /// Positions that only this site has.
    fn own(&self, reference: &Reference) -> Vec<Self::Own>;

    /// Performs one of these.
    fn perform(stage: &mut Stage<'_, Self>, own: &Self::Own) -> anyhow::Result<()>
    where
        Self: Sized;
}

/// A fleet with its uninterrupted run.
pub struct Rolling<F> {
    fleet: F,
    reference: Reference,
}

impl<F: Fleet> Rolling<F> {
    /// Runs the plan of a fleet.
    pub fn of(mut fleet: F) -> anyhow::Result<Self> {
        let reference = Reference::run(&mut fleet)?;
        Ok(Self { fleet, reference })
    }
}

impl<F: Fleet> Field for Rolling<F> {
    type Position = Position<F::Own>;

    fn about(&self) -> String {
        format!(
            "{} points, {} changes",
            self.reference.places.len(),
            self.reference.acts.len()
        )
    }

    fn positions(&self) -> Vec<Self::Position> {
        position::all(&self.fleet, &self.reference)
    }

    fn perform(&mut self, position: &Self::Position) -> Verdict {
        perform::perform(&mut self.fleet, &self.reference, position)
    }

    fn sweep_up(&self) {
        self.fleet.bench().sweep_up();
    }
}

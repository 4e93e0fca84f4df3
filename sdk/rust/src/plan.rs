//! Steps. Nothing here acts: a plan is a proposal that the host holds, checks and shows.
//!
//! A step is built in one expression. Changes and conditions go in as the results that made them, and the
//! first error comes out of [`StepBuilder::add`]:
//!
//! ```no_run
//! # use liftlock_sdk::prelude::*;
//! # fn stop(plan: &Plan, product: &Service, db: &Cluster) -> Result<()> {
//! plan.step("stop", Phase::Prepare, "stop the product")
//!     .because("it must not write while its indices change")
//!     .does(product.stop())
//!     .ends_when("nothing is written", db.quiet(&["acme-*"]).stable_for_ms(5_000))
//!     .add()?;
//! # Ok(())
//! # }
//! ```

pub use crate::bindings::liftlock::upgrade::draft::{
    Change, Condition, OnExpiry, Phase, Reading, Step,
};

use serde::Serialize;

use crate::Result;
use crate::bindings::liftlock::upgrade::draft::{self, Draft};

/// A condition that this plugin is asked, by [`Observing::observe`](crate::Observing::observe), with what is given here.
///
/// # Errors
/// The host's: the name is none, or the input is too large.
pub fn asked(name: &str, input: &impl Serialize) -> Result<Condition> {
    draft::asked(name, &serde_json::to_string(input)?)
}

/// A plan in the making.
#[derive(Debug)]
pub struct Plan<'a> {
    draft: &'a Draft,
}

impl<'a> Plan<'a> {
    /// Around the host's draft; authors are given one.
    pub fn new(draft: &'a Draft) -> Self {
        Self { draft }
    }

    /// Begins a step. The id is unique, of lower-case letters, digits, `-`, `_`, `.`, at most 80 characters;
    /// steps run by phase, then in the order in which they were added. It counts once `add` gave no error.
    pub fn step(&self, id: impl Into<String>, phase: Phase, title: &str) -> StepBuilder {
        let id = id.into();
        StepBuilder {
            step: self.draft.step(&id, phase, title),
            id,
        }
    }

    /// A condition that holds from one step to another, both named by their ids: looked at before each of them. Where it
    /// does not hold the run waits as long as its patience says, then does what its [`OnExpiry`] says.
    ///
    /// # Errors
    /// The error that made no condition of it, or the host's about an id.
    pub fn guard(
        &self,
        label: &str,
        from: &str,
        until: &str,
        condition: Result<Condition>,
    ) -> Result<()> {
        self.draft.guard(label, from, until, condition?)
    }

    /// For people: what this plan is.
    pub fn summary(&self, text: &str) {
        self.draft.summary(text);
    }

    /// What it leaves undone.
    pub fn not_done(&self, text: &str) {
        self.draft.not_done(text);
    }

    /// What a person has to do outside of it, with the exact values for this site.
    pub fn hand_over(&self, title: &str, text: &str) {
        self.draft.hand_over(title, text);
    }
}

/// A step in the making.
#[derive(Debug)]
#[must_use = "a step counts once `add` says that all of it was taken"]
pub struct StepBuilder {
    id: String,
    step: Result<Step>,
}

impl StepBuilder {
    fn with(mut self, what: impl FnOnce(&Step) -> Result<()>) -> Self {
        if let Ok(step) = &self.step
            && let Err(error) = what(step)
        {
            self.step = Err(error);
        }
        self
    }

    /// Its one change.
    pub fn does(self, change: Result<Change>) -> Self {
        self.with(|step| step.does(change?))
    }

    /// Instead of a change: reads that later calls find under `name`.
    pub fn captures(self, name: &str, readings: impl IntoIterator<Item = Result<Reading>>) -> Self {
        self.with(|step| {
            let readings = readings.into_iter().collect::<Result<Vec<_>>>()?;
            let borrowed: Vec<&Reading> = readings.iter().collect();
            step.captures(name, &borrowed)
        })
    }

    /// Instead of a change: what only a person can do or attest. The run waits for a step approval.
    pub fn hands_over(self, text: &str) -> Self {
        self.with(|step| step.hands_over(text))
    }

    /// Instead of a change: gives back what that step borrowed.
    pub fn gives_back(self, borrower: &str) -> Self {
        self.with(|step| step.gives_back(borrower))
    }

    /// Not before that step is concluded.
    pub fn after(self, id: &str) -> Self {
        self.with(|step| step.after(id))
    }

    /// The change that takes this one back; several are done in this order. Without any undo the host puts the
    /// old value back, where the kind of change allows that.
    pub fn undo(self, change: Result<Change>) -> Self {
        self.with(|step| step.undo(change?))
    }

    /// Taken back by restoring what that step took.
    pub fn undo_by_restore(self, snapshot_step: &str) -> Self {
        self.with(|step| step.undo_by_restore(snapshot_step))
    }

    /// Not taken back: why.
    pub fn cannot_undo(self, reason: &str) -> Self {
        self.with(|step| {
            step.cannot_undo(reason);
            Ok(())
        })
    }

    /// Not taken back, since what was there before runs on with it: who says so, and why. Not for a change that takes
    /// something away.
    pub fn stays(self, reason: &str) -> Self {
        self.with(|step| {
            step.stays(reason);
            Ok(())
        })
    }

    /// The part of the plan that goes back by itself: one node of several. What a step of it borrows is given back by a
    /// step of it.
    pub fn unit(self, name: &str) -> Self {
        self.with(|step| step.unit(name))
    }

    /// Waited for before it.
    pub fn opens_when(self, label: &str, condition: Result<Condition>) -> Self {
        self.with(|step| step.opens_when(label, condition?))
    }

    /// Waited for after it.
    pub fn ends_when(self, label: &str, condition: Result<Condition>) -> Self {
        self.with(|step| step.ends_when(label, condition?))
    }

    /// The reading must give the same answer when the step runs as it gave while this was planned.
    pub fn rests_on(self, reading: Result<Reading>) -> Self {
        self.with(|step| step.rests_on(&reading?))
    }

    /// How much there is to do, in `documents`, `bytes`, `restarts`, ...: the host turns work into time.
    pub fn work(self, unit: &str, amount: u64) -> Self {
        self.with(|step| {
            step.expect_work(unit, amount);
            Ok(())
        })
    }

    /// Bytes that it takes on a node while it runs.
    pub fn peak_disk(self, node: &str, bytes: u64) -> Self {
        self.with(|step| {
            step.peak_disk(node, bytes);
            Ok(())
        })
    }

    /// It wants an approval of its own.
    pub fn own_approval(self, reason: &str) -> Self {
        self.with(|step| {
            step.own_approval(reason);
            Ok(())
        })
    }

    /// Kept with the step and handed back in [`StepView`](crate::run::StepView).
    pub fn memo(self, memo: &impl Serialize) -> Self {
        self.with(|step| step.memo(&serde_json::to_string(memo)?))
    }

    /// Shown with the step: why it is there.
    pub fn because(self, text: &str) -> Self {
        self.with(|step| {
            step.because(text);
            Ok(())
        })
    }

    /// Ends the expression; gives the id, for `after` and `undo_by_restore`.
    ///
    /// # Errors
    /// The first error of anything that went into it: a denial by the grant, a name that is none, ...
    pub fn add(self) -> Result<String> {
        self.step.map(|_| self.id)
    }
}

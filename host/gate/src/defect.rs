//! Ways to break the gate, one rule each, that a test must notice. Only the feature `test-points` can set one, and no
//! command line can reach that.

use crate::runner::Runner;

/// A gate without one of its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "test-points"),
    expect(unreachable_pub, reason = "exported with the feature")
)]
pub enum Defect {
    /// An intent is not written to the journal (rule 1).
    #[cfg_attr(
        not(feature = "test-points"),
        expect(dead_code, reason = "asked for with the feature")
    )]
    IntentNotDurable,
    /// An answer is taken as evidence (rule 1).
    ReadBackSkipped,
    /// No effect is ever seen (rule 3).
    ProbeAlwaysAbsent,
    /// What is not there yet is taken as never to come: sent again at once, and not looked at in the end (rule 3).
    LateNotAwaited,
    /// Recorded done is taken as still true (rule 3).
    RecordBelieved,
    /// What is in progress is taken as not begun (rules 3 and 9).
    RunningNotAttached,
    /// The object of that name is taken, whichever it is, and so is its content (rule 1).
    OtherObjectTaken,
    /// Whose claim stands is not asked before a send (rule 5).
    ClaimNotChecked,
    /// The head of the journal is not kept apart from it (rule 6).
    HeadNotWritten,
    /// After `RollbackBegun` a resume goes forward (rule 7).
    RollbackNotTerminal,
}

impl Runner {
    /// Is this rule broken?
    #[cfg(feature = "test-points")]
    pub(crate) fn lacks(&self, defect: Defect) -> bool {
        self.hooks.defect == Some(defect)
    }

    /// Is this rule broken? Never, in a program that is not a test.
    #[cfg(not(feature = "test-points"))]
    pub(crate) fn lacks(&self, _: Defect) -> bool {
        false
    }
}

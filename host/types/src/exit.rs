//! Exit codes: a documented contract. The strongest of a run holds.

use serde::{Deserialize, Serialize};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do: no open intent, nothing borrowed, no claim, nothing left behind unnamed.
    Done = 0,
    /// A defect of ours.
    Internal = 1,
    /// The command line or a file of the operator is wrong.
    Usage = 2,
    /// A check found a blocker, or there is no grant.
    Blocked = 3,
    /// The target is unreachable, or refused us before anything was sent.
    Unreachable = 4,
    /// The plan has changes (only with `--detailed-exitcode`).
    Changes = 10,
    /// The plan no longer fits.
    Stale = 11,
    /// An approval is missing.
    ApprovalMissing = 12,
    /// Stopped at a safe point for a step approval.
    StepApproval = 13,
    /// Failed; a repeat needs no person.
    Resumable = 20,
    /// A person must decide.
    PersonNeeded = 21,
    /// Frozen after a schema write.
    Frozen = 22,
    /// Ended rolled back.
    RolledBack = 23,
    /// The roll-back failed.
    RollbackFailed = 24,
    /// Another run holds the claim.
    Claimed = 30,
    /// The claim was lost.
    ClaimLost = 31,
    /// The plugin failed.
    PluginFault = 40,
}

impl Exit {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Blocked,
        Self::Unreachable,
        Self::Changes,
        Self::Stale,
        Self::ApprovalMissing,
        Self::StepApproval,
        Self::Resumable,
        Self::PersonNeeded,
        Self::Frozen,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Claimed,
        Self::ClaimLost,
        Self::PluginFault,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

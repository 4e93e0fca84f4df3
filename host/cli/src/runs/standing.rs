//! Where a run stands, and the command to type next.

use liftlock_gate::RunState;
use liftlock_journal::JournalState;
use liftlock_types::{Exit, PlanFile};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Over, as it should be.
    Done,
    /// Ended by a person.
    Aborted,
    /// Taken back, all of it.
    RolledBack,
    /// Stopped, with its exit code and why.
    Stopped(Exit, String),
    /// A process works on it.
    Running(String),
    /// Its process is gone without a word: a crash.
    Interrupted,
    /// Its rows end before they were recorded to end.
    Damaged,
}

/// Where a run stands. `busy` names the process that writes the journal now.
pub(crate) fn standing(state: &RunState, journal: &JournalState, busy: Option<&str>) -> Standing {
    if *journal != JournalState::Whole {
        return Standing::Damaged;
    }
    match (state.ended.as_deref(), &state.stopped, busy) {
        (Some("done"), ..) => Standing::Done,
        (Some("rolled-back"), ..) => Standing::RolledBack,
        (Some(_), ..) => Standing::Aborted,
        (None, Some((exit, why)), _) => Standing::Stopped(*exit, why.clone()),
        (None, None, Some(holder)) => Standing::Running(holder.to_owned()),
        (None, None, None) => Standing::Interrupted,
    }
}

impl Standing {
    /// In a word or two.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Done => "done".into(),
            Self::Aborted => "aborted".into(),
            Self::RolledBack => "rolled back".into(),
            Self::Stopped(exit, _) => format!("stopped ({})", exit.code()),
            Self::Running(_) => "running".into(),
            Self::Interrupted => "interrupted".into(),
            Self::Damaged => "journal damaged".into(),
        }
    }
}

/// The command to type next.
pub(super) fn next(
    state: &RunState,
    plan: Option<&PlanFile>,
    standing: &Standing,
) -> Option<String> {
    match standing {
        Standing::Stopped(Exit::StepApproval, _) => {
            let file = plan?;
            let waits = file
                .plan
                .steps
                .iter()
                .find(|step| !state.step(&step.id).is_done())?;
            Some(format!(
                "liftlock approve {} --step {} --reason TEXT && liftlock resume {}",
                file.hash.short(),
                waits.id,
                state.run
            ))
        }
        Standing::Done | Standing::Aborted | Standing::RolledBack => {
            Some(format!("liftlock audit {} --verify", state.run))
        }
        Standing::Stopped(Exit::PersonNeeded, _) => Some(match state.doubts().first() {
            Some(step) => {
                format!(
                    "liftlock resume {} --decide {step}=done --reason TEXT   (or {step}=not-done)",
                    state.run
                )
            }
            None => format!("liftlock audit {}", state.run),
        }),
        Standing::Stopped(..) | Standing::Interrupted => {
            Some(format!("liftlock resume {}", state.run))
        }
        Standing::Running(_) => None,
        Standing::Damaged => Some(format!("liftlock audit {} --verify", state.run)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stands_where_the_journal_says() {
        let mut state = RunState::new("r-1");
        let whole = JournalState::Whole;
        assert_eq!(standing(&state, &whole, None), Standing::Interrupted);
        assert!(matches!(
            standing(&state, &whole, Some("pid 1")),
            Standing::Running(_)
        ));
        state.stopped = Some((Exit::Frozen, "x".into()));
        assert_eq!(
            standing(&state, &whole, Some("pid 1")).word(),
            "stopped (22)"
        );
        state.ended = Some("done".into());
        assert_eq!(standing(&state, &whole, None), Standing::Done);
        state.ended = Some("rolled-back".into());
        assert_eq!(standing(&state, &whole, None).word(), "rolled back");
        let behind = JournalState::BehindHead {
            head_seq: 3,
            journal_seq: 2,
        };
        assert_eq!(standing(&state, &behind, None), Standing::Damaged);
    }

    #[test]
    fn the_next_command_of_a_doubt_names_its_step_and_the_answers() {
        let state = RunState::new("r-1");
        let stopped = Standing::Stopped(Exit::Resumable, String::new());
        assert_eq!(next(&state, None, &stopped).unwrap(), "liftlock resume r-1");
        assert_eq!(
            crate::runs::data(&state, &[], &stopped).next.unwrap(),
            "liftlock resume r-1"
        );
    }
}

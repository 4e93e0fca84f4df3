//! An event in one line, for `audit`.

use liftlock_gate::Approval;
use liftlock_types::event::Event;

use crate::escape;
use crate::view::waived;

/// Who approved, and what they waived.
fn agreed(approvals: &[serde_json::Value]) -> String {
    let known: Vec<Approval> = approvals
        .iter()
        .filter_map(|approval| serde_json::from_value(approval.clone()).ok())
        .collect();
    let mut out = String::new();
    for approval in &known {
        out.push_str(&format!("; approved by {}", approval.by));
    }
    for line in waived::lines(&waived::data(&known), &[]) {
        out.push_str(&format!("; WAIVED {line}"));
    }
    out
}

/// An event in one line.
pub(crate) fn event_line(event: &Event) -> String {
    let text = match event {
        Event::RunBegun {
            site,
            from,
            to,
            by,
            host,
            approvals,
            ..
        } => {
            format!(
                "{site} {} -> {to}, by {by} on {host}{}",
                from.as_deref().unwrap_or("?"),
                agreed(approvals)
            )
        }
        Event::Resumed { by, host } => format!("by {by} on {host}"),
        Event::Claimed { binding, epoch, .. } => format!("{binding}, epoch {epoch}"),
        Event::Released { binding, epoch } => format!("{binding}, epoch {epoch}"),
        Event::Intent(intent) => format!(
            "{} {} on {}, {:?}, change {}",
            intent.change.verb(),
            crate::view::change::object(&intent.change),
            intent.binding,
            intent.class,
            intent.change_hash.short()
        ),
        Event::Outcome(outcome) => {
            let accounted = if outcome.accounted {
                ""
            } else {
                ", unaccounted"
            };
            format!(
                "{}{accounted} {} {}",
                outcome.kind.as_str(),
                outcome.why,
                outcome.evidence
            )
        }
        Event::Captured { name, answers } => format!(
            "{name}: {}",
            crate::view::count(answers.len(), "read", "reads")
        ),
        Event::LeftBeside { what } if what.is_empty() => "nothing any more".into(),
        Event::LeftBeside { what } => what.join("; "),
        Event::ConditionPassed { label, expired, .. } => {
            format!(
                "{label}{}",
                if *expired {
                    ": did not hold, passed over"
                } else {
                    ""
                }
            )
        }
        Event::Decided {
            question,
            answer,
            by,
            reason,
        } => format!("{question}: {answer}, by {by}: {reason}"),
        Event::GaveBack {
            step, done, why, ..
        } => {
            format!(
                "what {step} borrowed: {}{why}",
                if *done { "" } else { "left: " }
            )
        }
        Event::RollbackBegun { by, reason } => format!("by {by}: {reason}"),
        Event::UnitRollbackBegun { unit, by, reason } => format!("unit {unit}, by {by}: {reason}"),
        Event::UnitRolledBack { unit, .. } => format!("unit {unit}"),
        Event::UndoPlanned { changes } if changes.is_empty() => "nothing is left to undo".into(),
        Event::UndoPlanned { changes } => {
            let all: Vec<String> = changes
                .iter()
                .map(|planned| {
                    format!(
                        "{} {} on {}",
                        planned.change.verb(),
                        crate::view::change::object(&planned.change),
                        planned.binding
                    )
                })
                .collect();
            all.join("; ")
        }
        Event::Replanned {
            plan,
            plugin,
            carried,
            approvals,
            by,
        } => format!(
            "plan {} of plugin {}, by {by}; {} carried over{}",
            plan.short(),
            plugin.short(),
            crate::view::count(carried.len(), "step", "steps"),
            agreed(approvals)
        ),
        Event::TookOver {
            binding,
            epoch,
            evidence,
            by,
            host,
        } => format!("{binding}, from epoch {epoch}, by {by} on {host}: {evidence}"),
        Event::Stopped { exit, why } => format!("exit {}: {why}", exit.code()),
        Event::RunEnded { how, left_behind } => {
            format!("{how}; left behind: {}", left_behind.len())
        }
    };
    escape::bounded(text.trim(), 300)
}

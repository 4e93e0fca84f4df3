//! Waivers: blockers that somebody took the responsibility for, by name and with a reason.

use liftlock_gate::Approval;
use liftlock_types::{Finding, Severity};
use schemars::JsonSchema;
use serde::Serialize;

use crate::escape;
use crate::output::{Paint, Style};

/// A waiver: finding, who, why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct WaivedData(pub(crate) String, pub(crate) String, pub(crate) String);

/// Those of these approvals, each once.
pub(crate) fn data(approvals: &[Approval]) -> Vec<WaivedData> {
    let mut all: Vec<WaivedData> = approvals
        .iter()
        .flat_map(|approval| approval.waives.iter().map(move |waiver| (approval, waiver)))
        .map(|(approval, waiver)| {
            WaivedData(
                escape::line(&waiver.finding),
                escape::line(&approval.by),
                escape::line(&waiver.reason),
            )
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// One line for each, with what was waived: the subjects of the findings.
pub(crate) fn lines(waived: &[WaivedData], findings: &[Finding]) -> Vec<String> {
    waived
        .iter()
        .map(|WaivedData(id, by, reason)| {
            let about: Vec<String> = findings
                .iter()
                .filter(|finding| {
                    finding.severity == Severity::Blocker && escape::line(&finding.id) == *id
                })
                .map(|finding| escape::line(&finding.subject))
                .collect();
            let about = if about.is_empty() {
                String::new()
            } else {
                format!(" ({})", about.join(", "))
            };
            format!("{id}{about}, by {by}: {reason}")
        })
        .collect()
}

/// The part of a plan's or a run's screen that nobody shall overlook; empty without a waiver.
pub(crate) fn text(waived: &[WaivedData], findings: &[Finding], paint: Paint) -> String {
    let lines = lines(waived, findings);
    if lines.is_empty() {
        return String::new();
    }
    let head = "WAIVED, so that it runs although this forbids it:";
    let mut out = format!("{}\n", paint.text(Style::Bad, head));
    for line in lines {
        out.push_str(&format!(
            "{}\n",
            paint.text(Style::Bad, &format!("  {line}"))
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use liftlock_gate::Waiver;
    use liftlock_types::Digest;

    use super::*;

    #[test]
    fn a_waiver_says_what_of_what_by_whom_and_why() {
        let approval = Approval {
            plan: Digest::of(b"p"),
            by: "ann\u{1b}[2J".into(),
            at: "now".into(),
            waives: vec![Waiver {
                finding: "host.unproved-destruction".into(),
                reason: "disk image of tonight".into(),
            }],
            steps: vec![],
        };
        let finding = Finding {
            id: "host.unproved-destruction".into(),
            severity: Severity::Blocker,
            subject: "step delete".into(),
            what: String::new(),
            why: String::new(),
            remedy: String::new(),
            evidence: vec![],
        };
        let waived = data(&[approval.clone(), approval]);
        assert_eq!(
            text(&waived, &[finding], Paint::plain()),
            "WAIVED, so that it runs although this forbids it:\n  host.unproved-destruction (step delete), by \
             ann\\u{1b}[2J: disk image of tonight\n"
        );
        assert_eq!(text(&[], &[], Paint::plain()), "");
    }
}

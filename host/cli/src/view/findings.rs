//! Findings of checks.

use liftlock_types::{Finding, Severity};
use schemars::JsonSchema;
use serde::Serialize;

use crate::escape;
use crate::output::{Paint, Style};
use crate::view::count;

/// How much of what was seen the text shows; `--json` has more.
const SEEN_CHARS_MAX: usize = 200;

/// A check's result.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FindingData {
    /// Stable.
    id: String,
    /// `info`, `warning`, `blocker`.
    severity: &'static str,
    /// What it is about.
    subject: String,
    /// What was found.
    what: String,
    /// Why it matters.
    why: String,
    /// What to do.
    remedy: String,
    /// What was seen: name and value.
    evidence: Vec<(String, String)>,
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Blocker => "blocker",
    }
}

/// As data.
pub(crate) fn data(findings: &[Finding]) -> Vec<FindingData> {
    findings
        .iter()
        .map(|finding| FindingData {
            id: escape::line(&finding.id),
            severity: word(finding.severity),
            subject: escape::line(&finding.subject),
            what: escape::block(&finding.what),
            why: escape::block(&finding.why),
            remedy: escape::block(&finding.remedy),
            evidence: finding
                .evidence
                .iter()
                .map(|(name, value)| (escape::line(name), escape::line(value)))
                .collect(),
        })
        .collect()
}

/// Those that forbid the upgrade.
pub(crate) fn blockers(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocker)
}

/// `2 blockers, 1 warning, 0 infos`.
pub(crate) fn totals(findings: &[Finding]) -> String {
    let of = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    format!(
        "{}, {}, {}",
        count(of(Severity::Blocker), "blocker", "blockers"),
        count(of(Severity::Warning), "warning", "warnings"),
        count(of(Severity::Info), "note", "notes")
    )
}

/// As text, the worst first.
pub(crate) fn text(findings: &[Finding], paint: Paint) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    sorted
        .into_iter()
        .map(|finding| one(finding, paint))
        .collect()
}

/// One finding.
pub(crate) fn one(finding: &Finding, paint: Paint) -> String {
    let mark = match finding.severity {
        Severity::Blocker => paint.text(Style::Bad, "BLOCKER"),
        Severity::Warning => paint.text(Style::Warn, "WARNING"),
        Severity::Info => paint.text(Style::Faint, "NOTE   "),
    };
    let mut out = format!(
        "{mark} {}  {}\n",
        escape::line(&finding.id),
        escape::line(&finding.subject)
    );
    let mut part = |label: &str, text: &str| {
        if !text.is_empty() {
            let text = escape::block(text).replace('\n', "\n                ");
            out.push_str(&format!("        {label:<7} {text}\n"));
        }
    };
    part("found", &finding.what);
    part("why", &finding.why);
    part("remedy", &finding.remedy);
    let seen: Vec<String> = finding
        .evidence
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    part("seen", &escape::bounded(&seen.join("; "), SEEN_CHARS_MAX));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocker_stands_first_and_a_plugins_text_steers_nothing() {
        let finding = |id: &str, severity| Finding {
            id: id.into(),
            severity,
            subject: "s\u{1b}[31m".into(),
            what: "w\nx".into(),
            why: String::new(),
            remedy: "r".into(),
            evidence: vec![("a".into(), "1".into())],
        };
        let findings = [
            finding("b", Severity::Info),
            finding("a", Severity::Blocker),
        ];
        let text = text(&findings, Paint::plain());
        assert!(
            text.starts_with("BLOCKER a  s\\u{1b}[31m\n        found   w\n                x\n"),
            "{text}"
        );
        assert_eq!(totals(&findings), "1 blocker, 0 warnings, 1 note");
    }
}

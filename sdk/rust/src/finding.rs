//! Results of checks: a stable id, what was seen, why it matters and what to do.

use crate::run::Moment;

pub use crate::bindings::liftlock::upgrade::types::{Finding, Severity};

impl Finding {
    /// The upgrade must not start, unless a person waives it with a reason.
    pub fn blocker(id: &str) -> Self {
        Self::new(id, Severity::Blocker)
    }

    /// A person should look at it.
    pub fn warning(id: &str) -> Self {
        Self::new(id, Severity::Warning)
    }

    /// Good to know.
    pub fn info(id: &str) -> Self {
        Self::new(id, Severity::Info)
    }

    fn new(id: &str, severity: Severity) -> Self {
        Self {
            id: id.to_owned(),
            severity,
            subject: String::new(),
            what: String::new(),
            why: String::new(),
            remedy: String::new(),
            evidence: Vec::new(),
        }
    }

    /// The thing it is about: an index, a node, a file.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// What was found.
    #[must_use]
    pub fn what(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    /// Why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// What to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// What was seen, as name and value; may be given often.
    #[must_use]
    pub fn evidence(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.evidence.push((name.into(), value.to_string()));
        self
    }
}

/// Says with each blocker which command looks again, to the version that was asked for.
#[must_use]
pub fn with_command(mut found: Vec<Finding>, moment: Moment, to: &str) -> Vec<Finding> {
    for finding in &mut found {
        if finding.severity == Severity::Blocker {
            finding.remedy = format!("{}; then {}", finding.remedy, moment.command(to));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocker_says_what_to_type_when_its_remedy_is_done() {
        let found =
            [Finding::blocker("x.y"), Finding::warning("x.z")].map(|it| it.remedy("mend it"));
        let remedies = |moment| {
            with_command(found.to_vec(), moment, "8.8")
                .into_iter()
                .map(|it| it.remedy)
                .collect::<Vec<String>>()
        };
        for (moment, blocker) in [
            (Moment::Asked, "mend it; then `liftlock plan 8.8`"),
            (Moment::BeforeRun, "mend it; then `liftlock run` again"),
            (Moment::OnResume, "mend it; then `liftlock resume`"),
        ] {
            assert_eq!(remedies(moment), [blocker, "mend it"]);
        }
    }

    #[test]
    fn a_finding_carries_what_was_said() {
        let finding = Finding::blocker("x.y")
            .subject("index a")
            .what("gone")
            .why("needed")
            .remedy("put it back")
            .evidence("seen", 3);
        assert_eq!(finding.severity, Severity::Blocker);
        assert_eq!(finding.evidence, [("seen".to_owned(), "3".to_owned())]);
    }
}

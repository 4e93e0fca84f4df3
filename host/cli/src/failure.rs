//! One way to fail: code, what happened, what was not touched, remedy, next command.

use std::error::Error;

use liftlock_types::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::code::Code;
use crate::context::with_options;
use crate::escape;
use crate::output::{Paint, Style};

/// Most causes of one error that are shown.
const CAUSES_MAX: usize = 12;

/// What a person and a script get to know about an error.
#[derive(Debug, Clone)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    what: String,
    causes: Vec<String>,
    place: Option<Place>,
    untouched: String,
    remedy: String,
    next: Option<String>,
}

/// Where in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// The lines around it, drawn.
    #[serde(skip)]
    pub(crate) drawing: String,
}

/// The same, for `--json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FailureData {
    /// `E0301-no-grant`; `explain` has its paragraph.
    pub(crate) code: String,
    /// What happened.
    pub(crate) what: String,
    /// Why, from the outside in.
    pub(crate) causes: Vec<String>,
    /// Where in a file of the operator.
    pub(crate) place: Option<Place>,
    /// What was not touched.
    pub(crate) untouched: String,
    /// What to do.
    pub(crate) remedy: String,
    /// The command to type next.
    pub(crate) next: Option<String>,
}

impl Failure {
    /// With what happened; the rest has defaults that the other methods replace.
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            what: what.into(),
            causes: Vec::new(),
            place: None,
            untouched: "nothing was sent to any target".into(),
            remedy: String::new(),
            next: None,
        }))
    }

    /// With the chain of an error below it.
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries repeat their source in their own text.
            if !self
                .0
                .causes
                .last()
                .is_some_and(|last| last.contains(&text))
            {
                self.0.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// With one more line of why.
    pub(crate) fn cause(mut self, text: impl Into<String>) -> Self {
        self.0.causes.push(text.into());
        self
    }

    /// With where in a file.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    /// With what was not touched.
    pub(crate) fn untouched(mut self, text: impl Into<String>) -> Self {
        self.0.untouched = text.into();
        self
    }

    /// With what to do.
    pub(crate) fn remedy(mut self, text: impl Into<String>) -> Self {
        self.0.remedy = text.into();
        self
    }

    /// With the exact command to type.
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.0.next = Some(command.into());
        self
    }

    /// With options added to the command to type next.
    pub(crate) fn with_options(mut self, options: &str) -> Self {
        if let Some(next) = self
            .0
            .next
            .as_mut()
            .filter(|next| next.starts_with("liftlock "))
        {
            *next = with_options(next, options);
        }
        self
    }

    /// Its code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.0.code.exit()
    }

    /// For a person.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut out = format!(
            "{} {}\n",
            paint.text(Style::Bad, &format!("error[{}]:", self.0.code.id())),
            escape::block(&self.0.what)
        );
        for cause in self.0.causes.iter().take(CAUSES_MAX) {
            out.push_str(&format!(
                "  caused by: {}\n",
                escape::block(cause).replace('\n', "\n             ")
            ));
        }
        if let Some(place) = &self.0.place {
            out.push_str(&format!(
                "  at:        {}:{}:{}\n",
                place.file, place.line, place.column
            ));
            for line in place.drawing.lines() {
                out.push_str(&format!("             {line}\n"));
            }
        }
        let mut row = |label: &str, text: &str| {
            if !text.is_empty() {
                let text = escape::block(text).replace('\n', "\n             ");
                out.push_str(&format!("  {label:<10} {text}\n"));
            }
        };
        row("untouched:", &self.0.untouched);
        row("remedy:", &self.0.remedy);
        row("next:", self.0.next.as_deref().unwrap_or_default());
        row(
            "explain:",
            &format!(
                "liftlock explain {}   (exit {})",
                self.0.code.id(),
                self.exit().code()
            ),
        );
        out
    }

    /// For a script.
    pub(crate) fn data(&self) -> FailureData {
        FailureData {
            code: self.0.code.id().into(),
            what: escape::block(&self.0.what),
            causes: self
                .0
                .causes
                .iter()
                .take(CAUSES_MAX)
                .map(|cause| escape::block(cause))
                .collect(),
            place: self.0.place.clone(),
            untouched: self.0.untouched.clone(),
            remedy: self.0.remedy.clone(),
            next: self.0.next.clone(),
        }
    }
}

impl Code {
    /// The code of a run that ended so.
    pub(crate) fn of_exit(exit: Exit) -> Self {
        match exit {
            Exit::Done | Exit::Changes | Exit::Internal => Code::Internal,
            Exit::Usage => Code::RunState,
            Exit::Blocked => Code::Blocked,
            Exit::Unreachable => Code::Unreachable,
            Exit::Stale => Code::PlanStale,
            Exit::ApprovalMissing => Code::ApprovalMissing,
            Exit::StepApproval => Code::StepApproval,
            Exit::Resumable => Code::Stopped,
            Exit::PersonNeeded => Code::PersonNeeded,
            Exit::Frozen => Code::Frozen,
            Exit::RolledBack => Code::RolledBack,
            Exit::RollbackFailed => Code::RollbackFailed,
            Exit::Claimed => Code::Claimed,
            Exit::ClaimLost => Code::ClaimLost,
            Exit::PluginFault => Code::PluginFault,
        }
    }
}

/// A file of the operator that could not be read or written.
pub(crate) fn file(action: &str, path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::new(Code::File, format!("cannot {action} `{}`", path.display()))
        .because(error)
        .remedy("see that the path is right and that this user may reach it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_code_cause_untouched_remedy_and_next() {
        let text = Failure::new(Code::NoGrant, "no grant for `p`")
            .because(&std::io::Error::other("inner\u{1b}[2J"))
            .remedy("grant it")
            .next("liftlock grant")
            .render(Paint::plain());
        for part in [
            "error[E0301-no-grant]: no grant for `p`",
            "caused by: inner\\u{1b}[2J",
            "untouched: nothing was sent to any target",
            "remedy:    grant it",
            "next:      liftlock grant",
            "liftlock explain E0301-no-grant   (exit 3)",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_run_that_stops_ends_with_the_exit_code_of_its_reason() {
        for exit in Exit::ALL
            .into_iter()
            .filter(|exit| !matches!(exit, Exit::Done | Exit::Changes))
        {
            assert_eq!(Code::of_exit(exit).exit(), exit);
        }
    }

    #[test]
    fn a_cause_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::new(Code::File, "x").because(&Outer(std::io::Error::other("inner")));
        assert_eq!(failure.0.causes, ["outer: inner"]);
    }
}

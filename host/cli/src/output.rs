//! The one way out: data on stdout, talk on stderr, colour only where a person sees it.

use std::io::{self, IsTerminal, Write};

use liftlock_types::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, FailureData};

/// The version of every `--json` answer.
pub(crate) const JSON_SCHEMA: &str = "liftlock.cli/1";

/// How a text looks where colour is on. Colour is never the only carrier of a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Errors, blockers, opaque changes.
    Bad,
    /// Warnings.
    Warn,
    /// Done.
    Good,
    /// Headings.
    Strong,
    /// Less important.
    Faint,
}

/// Paints or leaves plain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    colour: bool,
}

impl Paint {
    /// Never paints.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { colour: false }
    }

    /// The text in this style.
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match style {
            Style::Bad => "31;1",
            Style::Warn => "33",
            Style::Good => "32",
            Style::Strong => "1",
            Style::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// The answer of every command with `--json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Envelope<T> {
    /// `liftlock.cli/1`: fields are added under this version, never changed or taken away.
    pub(crate) schema: String,
    /// The command: `plan`, `plugin add`.
    pub(crate) command: String,
    /// As the process ends; `liftlock explain NUMBER` has its paragraph.
    pub(crate) exit_code: u8,
    /// What the command found; null where it failed before it found anything.
    pub(crate) data: Option<T>,
    /// Why it ended as it did, where that is no success.
    pub(crate) failure: Option<FailureData>,
}

/// What a command comes to.
#[derive(Debug)]
pub(crate) struct Answer {
    exit: Exit,
    text: String,
    data: Option<serde_json::Value>,
    failure: Option<Failure>,
}

impl Answer {
    /// Done: the same facts as text and as data.
    pub(crate) fn done(text: impl Into<String>, data: &impl Serialize) -> Self {
        Self {
            exit: Exit::Done,
            text: text.into(),
            data: serde_json::to_value(data).ok(),
            failure: None,
        }
    }

    /// With another exit code, which is no failure.
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// It has its facts, and yet it failed.
    pub(crate) fn failed(mut self, failure: Failure) -> Self {
        self.exit = failure.exit();
        self.failure = Some(failure);
        self
    }

    /// With options added to the command that a failure names.
    pub(crate) fn with_options(mut self, options: &str) -> Self {
        self.failure = self.failure.map(|failure| failure.with_options(options));
        self
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self {
            exit: failure.exit(),
            text: String::new(),
            data: None,
            failure: Some(failure),
        }
    }
}

/// What the person wants to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    verbose: u8,
    out: Paint,
    err: Paint,
    terminal: bool,
}

impl Ui {
    /// From the options and from what the streams are.
    pub(crate) fn new(json: bool, quiet: bool, verbose: u8, no_colour: bool) -> Self {
        let wanted = !no_colour
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            json,
            quiet,
            verbose,
            out: Paint {
                colour: wanted && !json && io::stdout().is_terminal(),
            },
            err: Paint {
                colour: wanted && io::stderr().is_terminal(),
            },
            terminal: io::stderr().is_terminal(),
        }
    }

    /// For text on stdout.
    pub(crate) fn paint(&self) -> Paint {
        self.out
    }

    /// For text on stderr.
    pub(crate) fn paint_talk(&self) -> Paint {
        self.err
    }

    /// Progress may redraw itself.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && !self.json && !self.quiet
    }

    /// How much talk: 0, 1, 2.
    pub(crate) fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// A person can be asked: both ends are a terminal.
    pub(crate) fn can_ask(&self) -> bool {
        self.terminal && !self.json && io::stdin().is_terminal()
    }

    /// Talk.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.err_line(text);
        }
    }

    /// Talk for who asked for more.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose > 0 {
            self.err_line(text);
        }
    }

    /// Talk that quiet does not silence.
    pub(crate) fn warn(&self, text: &str) {
        self.err_line(&self.err.text(Style::Warn, text));
    }

    /// A screen that a person is to look at, whatever was silenced.
    pub(crate) fn show(&self, text: &str) {
        self.err_line(text);
    }

    fn err_line(&self, text: &str) {
        // A closed stderr is no reason to stop an upgrade.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Asks, and reads one line. None at the end of the input.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        let mut err = io::stderr().lock();
        let _ = write!(err, "{question} ");
        let _ = err.flush();
        let mut line = String::new();
        match io::stdin().read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim().to_owned()),
        }
    }

    /// Ends a command: prints its answer and gives the exit code.
    pub(crate) fn finish(&self, command: &str, answer: Answer) -> u8 {
        let code = answer.exit.code();
        let mut out = io::stdout().lock();
        // A reader that went away (a closed pipe) has seen what it wanted.
        if self.json {
            let envelope = Envelope {
                schema: JSON_SCHEMA.into(),
                command: command.into(),
                exit_code: code,
                data: answer.data,
                failure: answer.failure.as_ref().map(Failure::data),
            };
            let text = serde_json::to_string_pretty(&envelope).unwrap_or_default();
            let _ = writeln!(out, "{text}");
        } else if !answer.text.is_empty() {
            let _ = writeln!(out, "{}", answer.text.trim_end_matches('\n'));
        }
        let _ = out.flush();
        if let (Some(failure), false) = (&answer.failure, self.json) {
            let _ = write!(io::stderr().lock(), "{}", failure.render(self.err));
        }
        code
    }
}

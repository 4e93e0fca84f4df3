//! What can go wrong in the lab.

use std::path::Path;
use std::path::PathBuf;

/// Why the lab could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// Something the machine has to have is not there; `remedy` says how to get it.
    #[error("missing: {what}; {remedy}")]
    Missing {
        /// What lacks.
        what: String,
        /// The command or the change that brings it.
        remedy: String,
    },
    /// A file, a folder or a process of our own gave an error.
    #[error("cannot {action}")]
    Io {
        /// What was tried, with the path.
        action: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A helper program ended badly or took too long.
    #[error("`{program}` failed: {output}")]
    Program {
        /// The program and what it was to do.
        program: String,
        /// The end of what it printed, or how it ended.
        output: String,
    },
    /// What was fetched is not what was expected; nothing of it is kept.
    #[error("`{what}` has sha-256 `{found}`, expected `{expected}`")]
    Digest {
        /// What was fetched.
        what: String,
        /// The digest written in the lab.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// A server did not get ready.
    #[error("{server} did not start: {why}; log `{}` ends with:\n{tail}", .log.display())]
    NotStarted {
        /// Which kind of server.
        server: String,
        /// What was seen.
        why: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A server runs, but without modules the tests rest on.
    #[error("{server} runs without {lacking}; it has {present}")]
    Modules {
        /// Which kind of server.
        server: String,
        /// What lacks.
        lacking: String,
        /// What it has.
        present: String,
    },
    /// No usable answer came.
    #[error("no answer to `{request}`")]
    NoAnswer {
        /// Method and path.
        request: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered no.
    #[error("`{request}` was answered {status}: {body}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The start of the answer.
        body: String,
    },
    /// A text of ours, of a server or of a state file is not what it should be.
    #[error("{what}: {why}")]
    Malformed {
        /// Which text, with the line where it helps.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The lab site is not in the state the command needs.
    #[error("lab site `{site}` {why}")]
    Site {
        /// The site's name.
        site: String,
        /// What is wrong.
        why: String,
    },
}

impl LabError {
    pub(crate) fn io(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            action: action.into(),
            source,
        }
    }

    pub(crate) fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            why: why.into(),
        }
    }
}

/// Names the action on a path when an input or output error passes by.
pub(crate) trait IoContext<T> {
    fn doing(self, action: &str, path: &Path) -> Result<T, LabError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing(self, action: &str, path: &Path) -> Result<T, LabError> {
        self.map_err(|source| LabError::io(format!("{action} `{}`", path.display()), source))
    }
}

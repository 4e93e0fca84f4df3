//! What a service shows: its state and its processes, its log, what its commands say, the link to its version.

use std::io;
use std::time::Duration;

use liftlock_types::ReadError;
use liftlock_types::facts::service::{Output, Status};
use regex_lite::Regex;
use serde_json::Value;

use super::{Inner, NO_ARTIFACT, blocking, invalid, unavailable};
use crate::artifact::{Link, Trouble};
use crate::command::{ASK_BYTES_MAX, CommandError};
use crate::config::Ready;
use crate::find::{self, Found};
use crate::output::{self, LOG_BYTES_MAX, LOG_LINES_MAX};
use crate::process::Process;
use crate::record::Kind;
use crate::signs;
use crate::status::{Check, Signs, state_of};

/// Longest ask: a command that only reads, and that an export waits for.
const ASK_DEADLINE: Duration = Duration::from_secs(30);

/// One look at everything that the service shows.
pub(crate) struct Look {
    pub(crate) found: Found,
    pub(crate) signs: Signs,
}

impl Look {
    pub(super) fn status(&self) -> Status {
        let first = self.found.processes.iter().min_by_key(|one| one.start);
        Status {
            state: state_of(&self.signs),
            pids: self
                .found
                .processes
                .iter()
                .map(|process| process.pid)
                .collect(),
            since_ms: first.and_then(Process::since_ms),
        }
    }
}

impl Inner {
    pub(crate) async fn look(&self) -> Result<Look, ReadError> {
        self.look_within(signs::HEALTH_DEADLINE).await
    }

    pub(super) async fn look_within(&self, deadline: Duration) -> Result<Look, ReadError> {
        let found = self.find().await.map_err(|error| unavailable(&error))?;
        let check = self.config.ready();
        let port = match &check {
            Some(Ready::Port(port)) => Some(*port),
            _ => self.config.port,
        };
        let port = async {
            match port {
                Some(port) => Some(signs::port(&self.config.host, port).await),
                None => None,
            }
        };
        let health = async {
            match &check {
                Some(Ready::Http(url)) => Some(signs::health(&self.client, url, deadline).await),
                _ => None,
            }
        };
        let (port, health) = tokio::join!(port, health);
        let line = match &self.line {
            Some(pattern) => Some(self.has_line(pattern, &found).await?),
            None => None,
        };
        // The oldest: workers come and go while a service runs.
        let age_ms = found.processes.iter().map(Process::age_ms).max();
        let signs = Signs {
            processes: found.processes.len(),
            tells_processes: self.config.pid_file.is_some() || self.process.is_some(),
            port,
            health,
            line,
            is_young: age_ms.is_some_and(|age_ms| age_ms < self.config.start_timeout_ms),
            check: match check {
                Some(Ready::Http(_)) => Check::Http,
                Some(Ready::LogLine(_)) => Check::Line,
                _ => Check::Port,
            },
        };
        Ok(Look { found, signs })
    }

    /// Its processes: of our launches, of its pid file, of its pattern.
    pub(crate) async fn find(&self) -> io::Result<Found> {
        let home = self.home.clone();
        let (pid_file, pattern) = (self.config.pid_file.clone(), self.process.clone());
        tokio::task::spawn_blocking(move || {
            find::find(&home, pid_file.as_deref(), pattern.as_ref())
        })
        .await
        .map_err(io::Error::other)?
    }

    async fn has_line(&self, pattern: &Regex, found: &Found) -> Result<bool, ReadError> {
        let (home, pattern) = (self.home.clone(), pattern.clone());
        let (living, log) = (found.living.clone(), self.config.log.clone());
        blocking(move || {
            let launched = home
                .launches()?
                .into_iter()
                .find(|(launch, _)| living.contains(&launch.dir));
            match (log, launched) {
                // What is in front of the mark was said by an earlier start.
                (Some(log), launched) => {
                    let from = launched.map_or(0, |(_, spec)| spec.log_from);
                    signs::line_in(&log, from, &pattern)
                }
                (None, Some((launch, _))) => Ok(signs::line_in_output(&launch.stdout(), &pattern)?
                    || signs::line_in_output(&launch.stderr(), &pattern)?),
                (None, None) => Ok(false),
            }
        })
        .await
    }

    pub(super) async fn log(&self, lines: u32) -> Result<Value, ReadError> {
        if lines == 0 || lines > LOG_LINES_MAX {
            return Err(ReadError::Invalid(format!(
                "{lines} lines asked, 1 to {LOG_LINES_MAX} a read"
            )));
        }
        let (home, log) = (self.home.clone(), self.config.log.clone());
        let text = blocking(move || match log {
            Some(log) => output::tail(&log, 0, LOG_BYTES_MAX),
            None => {
                let launched = home
                    .launches()?
                    .into_iter()
                    .find(|(_, spec)| spec.kind == Kind::Service);
                match launched {
                    Some((launch, _)) => output::launch_tail(&launch.stdout(), LOG_BYTES_MAX),
                    None => Err(io::ErrorKind::NotFound.into()),
                }
            }
        })
        .await?;
        // All of it first: a secret can stand over several lines.
        let text = self.redactor.redact(&text);
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines as usize);
        let last = all.into_iter().skip(from).map(output::escape);
        Ok(last.collect::<Vec<String>>().into())
    }

    pub(super) async fn ask(&self, name: &str) -> Result<Value, ReadError> {
        let ask = self
            .config
            .asks
            .get(name)
            .ok_or_else(|| ReadError::NotFound(format!("an ask `{}`", name.escape_debug())))?;
        let said = self
            .prepared(&ask.command, None, "")
            .run(true, ASK_DEADLINE)
            .await
            .map_err(|error| match error {
                CommandError::TooMuch => ReadError::Invalid(format!("`{name}`: {error}")),
                _ => ReadError::Unavailable(format!("`{name}`: {error}")),
            })?;
        let text = |bytes: &[u8]| {
            let text = self.redactor.redact(&String::from_utf8_lossy(bytes));
            let text: Vec<String> = text.split('\n').map(output::escape).collect();
            text.join("\n")
        };
        let output = Output {
            exit_code: said.code,
            stdout: text(&said.stdout),
            stderr: text(&said.stderr),
        };
        // Replacing a secret by a longer text can lead over the bound, as escaping can.
        if output.stdout.len().max(output.stderr.len()) as u64 > ASK_BYTES_MAX {
            return Err(ReadError::Invalid(format!(
                "`{name}`: {}",
                CommandError::TooMuch
            )));
        }
        serde_json::to_value(output).map_err(|error| invalid(&error))
    }

    pub(super) async fn with_link<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Link) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, ReadError> {
        let link = self.artifact.clone().ok_or_else(|| {
            ReadError::NotFound(format!("`artifact` of `{}`: {NO_ARTIFACT}", self.binding))
        })?;
        match tokio::task::spawn_blocking(move || look(&link)).await {
            Ok(seen) => Ok(seen?),
            Err(error) => Err(ReadError::Unavailable(error.to_string())),
        }
    }
}

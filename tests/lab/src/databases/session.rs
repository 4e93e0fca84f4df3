//! One session that is asked many times: a client of the packages that stays.
//!
//! Starting a client, its login and the server's process behind it cost some 30 ms of processor, which a sweep that
//! looks tens of thousands of times would spend on nothing else.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;

use super::Client;
use super::DatabaseAddress;
use super::Login;
use super::SQL_SECONDS_MAX;
use crate::error::LabError;

/// What the server answers after each text, so that its end is seen.
const END: &str = "-- end of the answer";

/// A session of [`Login::Owner`] on one database. Dropping it ends it.
pub struct Session {
    client: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    shown: String,
}

impl DatabaseAddress {
    /// A session on a database as its owner, for many texts of SQL.
    pub fn session(&self, database: &str) -> Result<Session, LabError> {
        let Client { command, shown } =
            self.client(Login::Owner.user(), &self.password(Login::Owner), database)?;
        let started = tokio::process::Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut client =
            started.map_err(|source| LabError::io(format!("run `{shown}`"), source))?;
        let (Some(input), Some(output)) = (client.stdin.take(), client.stdout.take()) else {
            return Err(LabError::Program {
                program: shown,
                output: "it has no input or no output".into(),
            });
        };
        Ok(Session {
            client,
            input,
            output: BufReader::new(output),
            shown,
        })
    }
}

impl Session {
    /// Runs SQL; the same answer as [`DatabaseAddress::sql`].
    ///
    /// After an error the session has ended: the client stops at the first one.
    pub async fn sql(&mut self, sql: &str) -> Result<String, LabError> {
        let bound = Duration::from_secs(SQL_SECONDS_MAX);
        match tokio::time::timeout(bound, self.ask(sql)).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => {
                let errors = self.client_errors().await;
                Err(self.failed(errors))
            }
            Ok(Err(source)) => Err(LabError::io(format!("ask `{}`", self.shown), source)),
            Err(_) => Err(self.failed(format!("no end after {SQL_SECONDS_MAX} s"))),
        }
    }

    /// Nothing when the client ended before the answer did.
    async fn ask(&mut self, sql: &str) -> std::io::Result<Option<String>> {
        let sql = sql.trim_end().trim_end_matches(';');
        let text = format!("{sql};\nselect '{END}';\n");
        // A client that stops at an error reads no further; the end of its output says so.
        let _ = self.input.write_all(text.as_bytes()).await;
        let mut answer = String::new();
        loop {
            let before = answer.len();
            if self.output.read_line(&mut answer).await? == 0 {
                return Ok(None);
            }
            if answer[before..].trim_end() == END {
                answer.truncate(before);
                answer.truncate(answer.trim_end().len());
                return Ok(Some(answer));
            }
        }
    }

    async fn client_errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut errors) = self.client.stderr.take() {
            // What could not be read is what there is to say.
            let _ = errors.read_to_string(&mut text).await;
        }
        text.trim().to_owned()
    }

    fn failed(&self, output: String) -> LabError {
        LabError::Program {
            program: self.shown.clone(),
            output,
        }
    }
}

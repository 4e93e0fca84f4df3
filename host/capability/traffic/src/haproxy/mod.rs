//! HAProxy by its runtime API.

mod api;
mod parse;

use liftlock_types::facts::traffic::{Administrative, Server};
use liftlock_types::{Acted, Change, ReadError, TargetIdentity};
use serde_json::json;

pub(crate) use self::api::Place;
use self::api::{ApiError, command};
use crate::answer::{not_ours, not_sent, refused, shown};

/// One HAProxy.
pub(crate) struct Haproxy {
    place: Place,
}

impl Haproxy {
    pub(crate) fn new(place: Place) -> Self {
        Self { place }
    }

    /// Node name and address: both stay over a reload and a restart. The names of its proxies are configuration and
    /// do not: a plan must not grow stale because somebody added one. Two balancers on one machine differ by address,
    /// two behind one address that moves between machines by node.
    pub(crate) async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        let told = self.ask("show info").await?;
        let field = |name: &str| {
            told.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(shown)
        };
        let (Some(product), Some(version)) = (field("Name"), field("Version")) else {
            return Err(unexpected("show info", &told));
        };
        let node = field("node").unwrap_or_default();
        Ok(TargetIdentity {
            fingerprint: format!("{node} {}", self.place),
            product: format!("{product} {version} on {node}"),
        })
    }

    /// Servers of the backends that this means: a literal, or one with a trailing `*`. A literal one must be there.
    pub(crate) async fn servers(&self, backend: &str) -> Result<Vec<Server>, ReadError> {
        let (states, stats) = match backend.strip_suffix('*') {
            Some(_) => ("show servers state".to_owned(), "show stat".to_owned()),
            None => (
                format!("show servers state {backend}"),
                // Rows of the backend (2) and of its servers (4).
                format!("show stat {backend} 6 -1"),
            ),
        };
        let states = self.ask(&states).await?;
        let stats = self.ask(&stats).await?;
        let tables = self.ask("show table").await?;
        let mut servers = parse::servers(&states, &stats, &tables)?;
        servers.retain(|server| match backend.strip_suffix('*') {
            Some(prefix) => server.backend.starts_with(prefix),
            None => server.backend == backend,
        });
        Ok(servers)
    }

    pub(crate) async fn change(&self, change: &Change) -> Acted {
        let text = match change {
            Change::SetServerState {
                backend,
                server,
                to,
            } => {
                let state = match to {
                    Administrative::Ready => "ready",
                    Administrative::Drain => "drain",
                    Administrative::Maintenance => "maint",
                };
                format!("set server {backend}/{server} state {state}")
            }
            Change::SetServerWeight {
                backend,
                server,
                weight,
            } => format!("set server {backend}/{server} weight {weight}"),
            _ => return not_sent(not_ours(change)),
        };
        match command(&self.place, &text).await {
            Err(ApiError::NotConnected(why)) => Acted::NotSent(why),
            Err(ApiError::Lost(why)) => Acted::Unanswered(why),
            // There is no code: an empty line is success, and any text a refusal.
            Ok(answer) if answer.trim().is_empty() => Acted::Answered(json!({})),
            Ok(answer) if answer.starts_with("No such ") => {
                refused(404, "not-found", shown(&answer))
            }
            Ok(answer) if answer.starts_with("Permission denied") => {
                refused(403, "permission-denied", denied())
            }
            Ok(answer) => refused(400, "refused", shown(&answer)),
        }
    }

    /// A command that only reads, whose answer ends in an empty line as every one of them does.
    async fn ask(&self, text: &str) -> Result<String, ReadError> {
        let answer = command(&self.place, text)
            .await
            .map_err(|error| match error {
                ApiError::NotConnected(why) | ApiError::Lost(why) => ReadError::Unavailable(why),
            })?;
        if answer.starts_with("Permission denied") {
            return Err(ReadError::Rejected {
                status: 403,
                kind: "permission-denied".into(),
                text: denied(),
            });
        }
        if answer.starts_with("Unknown command") {
            return Err(ReadError::Absent(format!("the command `{text}`")));
        }
        if answer.starts_with("Can't find backend") || answer.starts_with("No such proxy") {
            let backend = text.split(' ').rfind(|word| !word.is_empty());
            return Err(ReadError::NotFound(format!(
                "a backend `{}`",
                backend.unwrap_or_default()
            )));
        }
        if !answer.trim().is_empty() && !answer.ends_with("\n\n") {
            return Err(ReadError::Unavailable(format!(
                "the answer of {} to `{text}` was cut off",
                self.place
            )));
        }
        Ok(answer)
    }
}

fn denied() -> String {
    "Permission denied: the socket is not of level admin (`stats socket ... level admin`)".into()
}

/// An answer that is none of HAProxy's: something else listens there.
fn unexpected(command: &str, answer: &str) -> ReadError {
    ReadError::Rejected {
        status: 400,
        kind: "unexpected".into(),
        text: format!("`{command}` was answered by: {}", shown(answer)),
    }
}

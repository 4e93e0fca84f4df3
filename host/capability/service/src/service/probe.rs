//! What became of a change of a service.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use liftlock_types::facts::service::{State, Status};
use liftlock_types::{Attempt, FileName, Probed, Progress, ReadError};
use serde_json::{Value, json};

use super::{Inner, artifact_before, blocking, invalid, unavailable};
use crate::output;
use crate::process::Process;
use crate::record::Ended;
use crate::status::words;
use crate::task::{Seen, seen_of};

/// How much longer than the grace a stop may be in progress before it is a doubt.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

impl Inner {
    /// In progress for so long as this process has patience, then a doubt.
    fn pending(
        &self,
        attempt: &Attempt,
        patience: Duration,
        status: &Status,
    ) -> Result<Probed, ReadError> {
        let since = *self
            .pending_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(attempt.token.clone())
            .or_insert_with(Instant::now);
        if since.elapsed() > patience {
            return Ok(Probed::Indeterminate(evidence(status)?));
        }
        Ok(Probed::InProgress(Progress {
            done: 0,
            total: 0,
            unit: String::new(),
            note: words(&status.state),
        }))
    }

    /// The status, and whether processes had to be killed: what they had begun was cut off then.
    fn evidence_of_stop(&self, status: &Status, attempt: &Attempt) -> Result<Value, ReadError> {
        let killed = self
            .home
            .has_killed(&attempt.token)
            .map_err(|error| unavailable(&error))?;
        let mut seen = evidence(status)?;
        seen["killed"] = killed.into();
        if killed {
            seen["note"] = format!(
                "it did not end within {} s and was killed; what it had begun was cut off",
                self.config.grace_ms.div_ceil(1_000)
            )
            .into();
        }
        Ok(seen)
    }

    pub(super) async fn probe_stop(&self, attempt: &Attempt) -> Result<Probed, ReadError> {
        // Whatever it shows meanwhile, ready among it: it was asked to end, and is not through with what it has.
        if let Some(since) = self.is_stopping(&attempt.token) {
            return Ok(Probed::InProgress(Progress {
                done: since.as_secs(),
                total: self.config.grace_ms.div_ceil(1_000),
                unit: "seconds".into(),
                note: format!(
                    "it was asked to end {} s ago, and has {} s before it is killed",
                    since.as_secs(),
                    self.config.grace_ms.div_ceil(1_000)
                ),
            }));
        }
        let status = self.look().await?.status();
        match &status.state {
            State::Stopped => Ok(Probed::Applied {
                evidence: self.evidence_of_stop(&status, attempt)?,
                ours: attempt.answer.is_some(),
            }),
            State::Ready => Ok(Probed::Absent(evidence(&status)?)),
            _ => {
                let patience = Duration::from_millis(self.config.grace_ms) + STOP_PATIENCE;
                self.pending(attempt, patience, &status)
            }
        }
    }

    pub(super) async fn probe_start(&self, attempt: &Attempt) -> Result<Probed, ReadError> {
        let look = self.look().await?;
        let status = look.status();
        let (supervised, ended) = self.launched(attempt).await?;
        match &status.state {
            State::Ready => Ok(Probed::Applied {
                evidence: evidence(&status)?,
                ours: look
                    .found
                    .living
                    .contains(&self.home.launch(&attempt.token).dir),
            }),
            // Between the supervisor and its process.
            State::Stopped if supervised && ended.is_none() => {
                self.pending(attempt, self.start_patience(), &status)
            }
            State::Stopped => Ok(Probed::Absent(
                json!({ "status": evidence(&status)?, "ended": ended }),
            )),
            _ => self.pending(attempt, self.start_patience(), &status),
        }
    }

    pub(super) async fn probe_restart(&self, attempt: &Attempt) -> Result<Probed, ReadError> {
        let look = self.look().await?;
        let status = look.status();
        let before: Vec<Process> = attempt
            .kept
            .get("processes")
            .and_then(|processes| serde_json::from_value(processes.clone()).ok())
            .unwrap_or_default();
        let ours = look
            .found
            .living
            .contains(&self.home.launch(&attempt.token).dir);
        let is_same = before
            .iter()
            .any(|process| look.found.processes.contains(process));
        match &status.state {
            State::Ready if ours && !is_same => Ok(Probed::Applied {
                evidence: self.evidence_of_stop(&status, attempt)?,
                ours: true,
            }),
            State::Ready if is_same => Ok(Probed::Absent(evidence(&status)?)),
            State::Ready if before.is_empty() => Ok(Probed::Indeterminate(evidence(&status)?)),
            State::Ready => Ok(Probed::Applied {
                evidence: evidence(&status)?,
                ours: false,
            }),
            _ => {
                let patience = Duration::from_millis(self.config.grace_ms) + self.start_patience();
                self.pending(attempt, patience, &status)
            }
        }
    }

    pub(super) async fn probe_task(
        &self,
        name: &str,
        attempt: &Attempt,
    ) -> Result<Probed, ReadError> {
        let launch = self.home.launch(&attempt.token);
        let pattern = self.progress.get(name).cloned();
        let looked_at = launch.clone();
        let seen = blocking(move || seen_of(&looked_at, pattern.as_ref())).await?;
        let directory = launch.dir.display().to_string();
        Ok(match seen {
            Seen::Nothing => Probed::Absent(json!({ "output": directory })),
            Seen::Ended(Ended::NotStarted { why }) => {
                Probed::Absent(json!({ "not_started": why, "output": directory }))
            }
            Seen::Ended(Ended::Exited { code }) if self.is_success(name, code) => Probed::Applied {
                evidence: json!({ "exit_code": code, "output": directory }),
                ours: true,
            },
            Seen::Ended(ended) => Probed::Partial(json!({ "ended": ended, "output": directory })),
            Seen::Lives { done, total, line } => Probed::InProgress(Progress {
                done,
                total,
                unit: String::new(),
                note: output::escape(&self.redactor.redact(&line)),
            }),
            Seen::Gone => Probed::Indeterminate(
                json!({ "why": "its process is gone and left no status", "output": directory }),
            ),
        })
    }

    /// The operator takes this exit code of the task for success.
    fn is_success(&self, task: &str, code: i32) -> bool {
        self.config
            .tasks
            .get(task)
            .map_or(code == 0, |task| task.success_codes.contains(&code))
    }

    fn start_patience(&self) -> Duration {
        Duration::from_millis(self.config.start_timeout_ms)
    }

    async fn launched(&self, attempt: &Attempt) -> Result<(bool, Option<Ended>), ReadError> {
        let launch = self.home.launch(&attempt.token);
        blocking(move || Ok((launch.supervisor_lives()?, launch.ended()?))).await
    }

    pub(super) async fn probe_artifact(
        &self,
        to: &FileName,
        attempt: &Attempt,
    ) -> Result<Probed, ReadError> {
        let current = match self.with_link(|link| link.current()).await {
            Ok(current) => current,
            Err(ReadError::Invalid(why)) => {
                return Ok(Probed::Indeterminate(json!({ "why": why })));
            }
            Err(error) => return Err(error),
        };
        let seen = json!({ "artifact": current });
        Ok(match current {
            Some(name) if name == *to => Probed::Applied {
                evidence: seen,
                ours: attempt.answer.is_some(),
            },
            Some(name) if Some(&name) == artifact_before(attempt).as_ref() => Probed::Absent(seen),
            _ => Probed::Indeterminate(seen),
        })
    }
}

fn evidence(status: &Status) -> Result<Value, ReadError> {
    serde_json::to_value(status).map_err(|error| invalid(&error))
}

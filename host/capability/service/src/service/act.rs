//! What is done to a service: started, restarted, switched to another version, a task of it run. How it is stopped:
//! [`crate::stop`].

use std::sync::Arc;

use liftlock_types::facts::service::State;
use liftlock_types::{Acted, Attempt, FileName};
use serde_json::{Value, json};

use super::{Inner, LONG_RESTART, NO_ARTIFACT, artifact_before, now_ms};
use crate::artifact::Trouble;
use crate::command::resolved;
use crate::config::RESTART_GRACE_MS_MAX;
use crate::launch::{self, Launched};
use crate::record::{Kind, Spec};
use crate::signs;
use crate::status::{state_of, words};
use crate::stop::refused;

impl Inner {
    pub(super) async fn start(&self, attempt: &Attempt) -> Result<Value, Acted> {
        if self.config.start.is_empty() {
            return Err(refused("not-defined", "it has no start command"));
        }
        let look = self
            .look()
            .await
            .map_err(|error| Acted::NotSent(error.to_string()))?;
        let state = state_of(&look.signs);
        if state == State::Ready {
            return Ok(json!({ "was": "ready" }));
        }
        if state != State::Stopped {
            return Err(refused(
                "not-stopped",
                &format!(
                    "a second one is never started while one lives: {}",
                    words(&state)
                ),
            ));
        }
        let spec = Spec {
            token: attempt.token.clone(),
            kind: Kind::Service,
            argv: resolved(&self.config.start, self.config.directory.as_deref()),
            directory: self.config.directory.clone(),
            user: self.user.clone(),
            timeout_ms: None,
            grace_ms: self.config.grace_ms,
            redact: self.config.redact.clone(),
            redact_keys: self.config.redact_keys.clone(),
            secret_variables: self.secret_variables(None),
            log_from: self
                .config
                .log
                .as_ref()
                .and_then(|log| std::fs::metadata(log).ok())
                .map_or(0, |meta| meta.len()),
            launched_at_ms: now_ms(),
        };
        self.launch(spec, None).await
    }

    pub(super) async fn restart(self: &Arc<Self>, attempt: &Attempt) -> Result<Value, Acted> {
        if self.config.start.is_empty() {
            return Err(refused("not-defined", "it has no start command"));
        }
        if self.config.grace_ms > RESTART_GRACE_MS_MAX {
            return Err(refused("too-long", LONG_RESTART));
        }
        let stopped = self.stop(&attempt.token).await?;
        match self.start(attempt).await {
            Ok(started) => Ok(json!({ "stopped": stopped, "started": started })),
            // It is stopped or about to be, so this is no refusal that changed nothing.
            Err(acted) => Err(Acted::Unanswered(format!(
                "it was stopped, and not started: {}",
                why(&acted)
            ))),
        }
    }

    /// Only while it is proved stopped: a process that starts or runs reads both directories.
    pub(super) async fn switch_artifact(
        &self,
        to: &FileName,
        while_it_is: Option<&FileName>,
        attempt: &Attempt,
    ) -> Result<Value, Acted> {
        let look = self
            .look_within(signs::HEALTH_DEADLINE_BRIEF)
            .await
            .map_err(|error| Acted::NotSent(error.to_string()))?;
        let state = state_of(&look.signs);
        if state != State::Stopped {
            return Err(refused(
                "not-stopped",
                &format!(
                    "its artifact is switched only while it is stopped: {}",
                    words(&state)
                ),
            ));
        }
        let Some(from) = while_it_is.cloned().or_else(|| artifact_before(attempt)) else {
            return Err(refused(
                "no-link",
                "there is no link that could be switched",
            ));
        };
        let Some(link) = self.artifact.clone() else {
            return Err(refused("not-defined", NO_ARTIFACT));
        };
        let (to, token) = (to.clone(), attempt.token.clone());
        let switched =
            tokio::task::spawn_blocking(move || (link.switch(&from, &to, &token), from)).await;
        match switched {
            Ok((Ok(()), from)) => Ok(json!({ "from": from })),
            Ok((Err(Trouble::Unsynced(error)), _)) => {
                Err(Acted::Unanswered(Trouble::Unsynced(error).to_string()))
            }
            Ok((Err(trouble), _)) => Err(refused("not-switched", &trouble.to_string())),
            Err(error) => Err(Acted::Unanswered(error.to_string())),
        }
    }

    pub(super) async fn run_task(&self, name: &str, attempt: &Attempt) -> Result<Value, Acted> {
        let task = self
            .config
            .tasks
            .get(name)
            .ok_or_else(|| refused("not-defined", &format!("it has no task `{name}`")))?;
        let directory = task.directory.clone().or(self.config.directory.clone());
        let spec = Spec {
            token: attempt.token.clone(),
            kind: Kind::Task { name: name.into() },
            argv: resolved(&task.command, directory.as_deref()),
            directory,
            user: self.user.clone(),
            timeout_ms: Some(task.timeout_ms),
            grace_ms: self.config.grace_ms,
            redact: self.config.redact.clone(),
            redact_keys: self.config.redact_keys.clone(),
            secret_variables: self.secret_variables(Some(name)),
            log_from: 0,
            launched_at_ms: now_ms(),
        };
        self.launch(spec, Some(name)).await
    }

    async fn launch(&self, spec: Spec, task: Option<&str>) -> Result<Value, Acted> {
        let home = self.home.clone();
        let environment = self.environment(task);
        let supervisor = self.supervisor.clone();
        let launched = tokio::task::spawn_blocking(move || {
            if let Err(error) = home.prune() {
                tracing::warn!(%error, "old launches cannot be removed");
            }
            launch::launch(&home.launch(&spec.token), &spec, &supervisor, &environment)
        })
        .await;
        match launched {
            Ok(Launched::Started(process)) => Ok(json!({ "process": process })),
            Ok(Launched::NotStarted(why)) => Err(refused("not-started", &why)),
            Ok(Launched::Unknown(why)) => Err(Acted::Unanswered(why)),
            Err(error) => Err(Acted::Unanswered(error.to_string())),
        }
    }
}

fn why(acted: &Acted) -> String {
    match acted {
        Acted::NotSent(why) | Acted::Unanswered(why) => why.clone(),
        Acted::Refused { text, .. } => text.clone(),
        Acted::Answered(answer) => answer.to_string(),
    }
}

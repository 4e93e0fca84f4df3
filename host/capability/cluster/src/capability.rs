//! The one trait between the gate and this crate.

use async_trait::async_trait;
use liftlock_types::{
    Acted, Attempt, Capability, Change, Claim, Evaluated, Facts, Observed, Planned, Predicate,
    Probed, Read, ReadError, TargetIdentity, Verb,
};
use serde_json::Value;

use crate::call::Call;
use crate::changes::Held;
use crate::reads::{rows, running, task_id, text, token_of};
use crate::token::is_ours;
use crate::{Cluster, changes, claims, conditions, facts, reads};

/// Kinds of change that this crate brings about.
const KINDS: [&str; 22] = [
    "cluster.create-index",
    "cluster.delete-index",
    "cluster.put-template",
    "cluster.delete-template",
    "cluster.update-aliases",
    "cluster.put-settings",
    "cluster.put-mapping",
    "cluster.reindex",
    "cluster.update-by-query",
    "cluster.delete-by-query",
    "cluster.create-document",
    "cluster.replace-document",
    "cluster.delete-document",
    "cluster.set-cluster-setting",
    "cluster.cancel-task",
    "cluster.raw-change",
    "cluster.set-transient-setting",
    "cluster.flush",
    "cluster.remove-archived-settings",
    "cluster.remove-archived-index-settings",
    "cluster.transform",
    "cluster.put-cluster-settings",
];

/// Does this crate bring about changes of this kind?
pub fn implements(verb: &str) -> bool {
    KINDS.contains(&verb)
}

pub(crate) fn not_ours(verb: &Verb) -> ReadError {
    ReadError::Invalid(format!("`{verb}` is no change of a cluster"))
}

#[async_trait]
impl Capability for Cluster {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        let (found, address) = self.identify().await?;
        let product = self.dialect().await?.product();
        Ok(TargetIdentity {
            fingerprint: found.cluster_uuid,
            product: format!("{product} at {address}"),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        reads::read(self, read).await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        conditions::evaluate(self, predicate, last).await
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        facts::facts(self, change).await
    }

    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError> {
        changes::observe(self, change, attempt).await
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        changes::act(self, change, attempt).await
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        changes::probe(self, change, attempt).await
    }

    async fn in_flight(&self, change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        let names = match change {
            Change::RawChange(request) => {
                request.touches().iter().map(ToString::to_string).collect()
            }
            _ => change.names(),
        };
        self.is_in_flight(&names, attempt).await
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        changes::clean_up(self, change, attempt).await
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        changes::undo(self, change, attempt)
    }

    async fn cancellation(
        &self,
        _change: &Change,
        attempt: &Attempt,
    ) -> Result<Vec<Planned>, ReadError> {
        let tasks = self.task_list(&[]).await?;
        Ok(running(&tasks)
            .filter(|(_, task)| token_of(task).is_some_and(|token| is_ours(token, attempt)))
            .filter(|(_, task)| task.get("parent_task_id").is_none())
            .filter(|(_, task)| task.get("cancellable").and_then(Value::as_bool) == Some(true))
            .map(|(_, task)| Planned {
                binding: self.binding().clone(),
                change: Change::CancelTask { id: task_id(task) },
                fills: Vec::new(),
            })
            .collect())
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        match key.split_once('/') {
            Some(("setting", setting)) => self.setting(Held::Persistent, setting).await,
            Some(("transient-setting", setting)) => self.setting(Held::Transient, setting).await,
            _ => Err(ReadError::Invalid(format!(
                "`{key}` is nothing that a cluster lends"
            ))),
        }
    }

    fn holds_claims(&self) -> bool {
        true
    }

    async fn claims(&self) -> Result<Vec<Claim>, ReadError> {
        claims::claims(self).await
    }

    async fn make_claim(&self, claim: &Claim) -> Result<bool, ReadError> {
        claims::make(self, claim).await
    }

    async fn remove_claim(&self, epoch: u64) -> Result<(), ReadError> {
        claims::remove(self, epoch).await
    }
}

impl Cluster {
    /// Is our token in a task of any node, or one of the names in a cluster task that waits?
    ///
    /// A waiting cluster task does not show its token, so one that names the same object is taken for ours.
    async fn is_in_flight(&self, names: &[String], attempt: &Attempt) -> Result<bool, ReadError> {
        let tasks = self.task_list(&[]).await?;
        let with_token = running(&tasks)
            .filter_map(|(_, task)| token_of(task))
            .any(|token| is_ours(token, attempt));
        if with_token {
            return Ok(true);
        }
        let pending = self.ask(&Call::get(["_cluster", "pending_tasks"])).await?;
        Ok(rows(&pending, Some("tasks"), "the waiting cluster tasks")?
            .iter()
            .map(|task| text(task, "source"))
            .any(|source| names.iter().any(|name| source.contains(name.as_str()))))
    }
}

#[cfg(test)]
mod tests {
    use liftlock_types::rules::RULES;

    use super::*;

    #[test]
    fn brings_about_every_kind_of_change_of_a_cluster() {
        for rule in RULES
            .iter()
            .filter(|rule| rule.verb.starts_with("cluster."))
        {
            assert!(implements(rule.verb), "{}", rule.verb);
        }
        assert!(!implements("snapshot.take"));
    }
}

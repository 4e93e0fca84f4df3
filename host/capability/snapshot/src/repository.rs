//! One repository of a search cluster as a capability.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use liftlock_cluster::{Call, Cluster};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Evaluated, Facts, NameError, Observed, Planned,
    Predicate, Probed, Read, ReadError, SnapshotName, StepId, TargetIdentity,
};
use serde_json::{Value, json};

use crate::config::SnapshotConfig;
use crate::into::{self, Asked};
use crate::{back, reads, register, restore, take, trial};

/// A repository that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The repository's name.
    #[error("`repository` is no name of a repository")]
    Name(#[source] NameError),
}

/// One snapshot repository.
pub struct Repository {
    pub(crate) binding: Binding,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) name: String,
    pub(crate) kept: PathBuf,
}

impl Repository {
    /// Makes ready to ask; nothing is asked yet. `kept` is the state directory's folder for kept copies.
    pub fn open(
        binding: Binding,
        config: &SnapshotConfig,
        cluster: Arc<Cluster>,
        kept: &Path,
    ) -> Result<Self, SnapshotError> {
        // The servers' rules for a repository are those for a snapshot, but upper case is legal.
        SnapshotName::new(config.repository.to_lowercase()).map_err(SnapshotError::Name)?;
        Ok(Self {
            binding,
            cluster,
            name: config.repository.clone(),
            kept: kept.to_owned(),
        })
    }

    /// `/_snapshot/REPOSITORY/...`.
    pub(crate) fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        ["_snapshot", self.name.as_str()]
            .into_iter()
            .chain(rest.iter().copied())
            .collect()
    }

    pub(crate) async fn settings(&self) -> Result<Option<Value>, ReadError> {
        let found = self.cluster.find(&Call::get(self.path(&[]))).await?;
        Ok(found.and_then(|value| value.get(&self.name).cloned()))
    }
}

/// What is asked for, where the change restores into another cluster.
fn asked(change: &Change) -> Option<Asked<'_>> {
    match change {
        Change::RestoreInto {
            indices,
            except,
            replicas,
            ..
        } => Some(Asked {
            indices,
            except,
            replicas: *replicas,
        }),
        _ => None,
    }
}

pub(crate) fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!(
        "`{}` is no change of a snapshot repository",
        change.verb()
    ))
}

/// The value is what the server was asked for, no more: nothing to keep, nothing borrowed.
pub(crate) fn seen(already_true: bool, evidence: Value, kept: Value) -> Observed {
    Observed {
        already_true,
        evidence,
        kept,
        borrowed: None,
    }
}

/// A change that the target would refuse, found out by looking: nothing was sent.
pub(crate) fn refused(kind: &str, text: String) -> Acted {
    Acted::Refused {
        status: 0,
        kind: kind.into(),
        text,
        later: false,
    }
}

#[async_trait]
impl Capability for Repository {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        let cluster = self.cluster.identity().await?;
        Ok(TargetIdentity {
            fingerprint: format!("{}/{}", cluster.fingerprint, self.name),
            product: format!("repository `{}` of {}", self.name, cluster.product),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        reads::read(self, read).await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        _: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        match predicate {
            Predicate::NoneRunning => {
                let running = reads::running(self).await?;
                let names: Vec<&str> = running.iter().map(|taken| taken.name.as_str()).collect();
                Ok(Evaluated {
                    holds: names.is_empty(),
                    seen: json!(names),
                    why: format!(
                        "a snapshot runs: {}; it ends by itself, or delete it",
                        names.join(", ")
                    ),
                })
            }
            _ => Err(ReadError::Invalid(
                "no predicate of a snapshot repository".into(),
            )),
        }
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        if let Some(asked) = asked(change) {
            return into::facts(self, &asked).await;
        }
        match change {
            Change::RegisterRepository { .. } | Change::UnregisterRepository { .. } => {
                register::facts(self).await
            }
            Change::DeleteSnapshot { name } => {
                let uuid = take::find(self, name.as_str())
                    .await?
                    .map(|taken| taken.uuid);
                Ok(Facts::from([(
                    format!("snapshot/{name}/uuid"),
                    json!(uuid),
                )]))
            }
            // A take is of what is there when it runs; the others rest on the outcome of the take.
            Change::TakeSnapshot { .. }
            | Change::ProveSnapshot { .. }
            | Change::RestoreSnapshot { .. } => Ok(Facts::new()),
            other => Err(not_ours(other)),
        }
    }

    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError> {
        if let Some(asked) = asked(change) {
            return into::observe(self, &asked, attempt).await;
        }
        match change {
            Change::TakeSnapshot { .. } | Change::ProveSnapshot { .. } => {
                Ok(seen(false, Value::Null, Value::Null))
            }
            Change::RestoreSnapshot { indices, .. } => {
                restore::observe(self, indices, attempt).await
            }
            Change::RegisterRepository { kind, settings } => {
                register::observe(self, kind, settings).await
            }
            Change::UnregisterRepository { .. } => register::observe_unregister(self).await,
            Change::DeleteSnapshot { name } => {
                let taken = take::find(self, name.as_str()).await?;
                Ok(seen(
                    taken.is_none(),
                    json!({"snapshot": name, "found": taken.is_some()}),
                    Value::Null,
                ))
            }
            other => Err(not_ours(other)),
        }
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        if let Some(asked) = asked(change) {
            return into::act(self, &asked, attempt).await;
        }
        match change {
            Change::TakeSnapshot {
                name,
                indices,
                except,
            } => take::act(self, name, indices, except, attempt).await,
            Change::ProveSnapshot { .. } => trial::act(self, attempt).await,
            Change::RestoreSnapshot { indices, .. } => restore::act(self, indices, attempt).await,
            Change::RegisterRepository { kind, settings } => {
                register::act(self, kind, settings, attempt).await
            }
            Change::UnregisterRepository { kind, settings } => {
                register::act_unregister(self, kind, settings, attempt).await
            }
            Change::DeleteSnapshot { name } => {
                let call = Call::delete(self.path(&[name.as_str()])).token(&attempt.token);
                self.cluster.send(&call).await
            }
            other => refused("not-ours", not_ours(other).to_string()),
        }
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        if let Some(asked) = asked(change) {
            return into::probe(self, &asked, attempt).await;
        }
        match change {
            Change::TakeSnapshot { name, .. } => take::probe(self, name, attempt).await,
            Change::ProveSnapshot { .. } => trial::probe(self, attempt).await,
            Change::RestoreSnapshot { indices, .. } => restore::probe(self, indices, attempt).await,
            Change::RegisterRepository { kind, settings } => {
                register::probe(self, kind, settings, attempt).await
            }
            Change::UnregisterRepository { .. } => register::probe_unregister(self, attempt).await,
            Change::DeleteSnapshot { name } => Ok(match take::find(self, name.as_str()).await? {
                None => Probed::Applied {
                    evidence: json!({"gone": name}),
                    ours: false,
                },
                Some(taken) => Probed::Absent(json!({"snapshot": taken.name, "uuid": taken.uuid})),
            }),
            other => Err(not_ours(other)),
        }
    }

    async fn in_flight(&self, change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        self.cluster.in_flight(change, attempt).await
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        match change {
            Change::ProveSnapshot { .. } => trial::clean_up(self, attempt).await,
            _ => Ok(Vec::new()),
        }
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        match change {
            // A snapshot and a proof take nothing away; a snapshot is kept, and named in the report.
            Change::TakeSnapshot { .. } | Change::ProveSnapshot { .. } => Some(Vec::new()),
            Change::RegisterRepository { kind, settings } => {
                register::undo(&self.binding, kind, settings, &attempt.kept)
            }
            Change::UnregisterRepository { .. } => register::again(&self.binding, &attempt.kept),
            _ => None,
        }
    }

    async fn undo_now(
        &self,
        change: &Change,
        attempt: &Attempt,
    ) -> Result<Option<Vec<Planned>>, ReadError> {
        match asked(change) {
            Some(asked) => into::undo(self, &asked, attempt).await.map(Some),
            None => Ok(self.automatic_undo(change, attempt)),
        }
    }

    fn undone_on(&self, change: &Change) -> Option<Binding> {
        asked(change).map(|_| self.cluster.binding().clone())
    }

    async fn going_back(
        &self,
        taken_by: &StepId,
        take: &Change,
        taken: &Value,
        of: &Change,
    ) -> Result<Vec<Planned>, ReadError> {
        back::changes(self, taken_by, take, taken, of).await
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        Err(ReadError::NotFound(format!(
            "a repository lends nothing, and so no `{key}`"
        )))
    }
}

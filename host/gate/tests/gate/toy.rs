//! A target small enough to see through: documents, one setting, one service behind a balancer, an opaque task; it can die at any
//! call, lose answers, land requests late, lie, and be changed by others. It is what the gate works on in these
//! tests, never the gate.

#![allow(unreachable_pub, reason = "shared by one test crate")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use liftlock_gate::{Asked, Happening, Observer, Planner, PlannerFault, Replanned, RunState};
use liftlock_types::event::Borrowed;
use liftlock_types::facts::traffic::Administrative;
use liftlock_types::rules::Borrow;
use liftlock_types::{
    Acted, Attempt, Capability, Change, Claim, Evaluated, Facts, Finding, IndexName, Moment,
    Observed, Planned, Predicate, Probed, Progress, Proposal, Read, ReadError, StepId,
    TargetIdentity,
};
use serde_json::{Value, json};

/// What the next mutating requests meet.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The request is carried out and its answer lost.
    DropAfter,
    /// The request is lost.
    DropBefore,
    /// The answer is lost, the request is carried out when released.
    Late,
    /// Yes, and nothing happens.
    Lie,
    /// No.
    Refuse,
    /// No, since the request before it has just landed.
    RefuseTaken,
    /// Nothing leaves.
    Unreachable,
}

#[derive(Debug, Default)]
pub struct World {
    pub uuid: String,
    pub documents: BTreeMap<String, Value>,
    pub index_uuid: Option<String>,
    pub setting: Option<String>,
    pub running: bool,
    /// The balancer keeps requests from it.
    pub drained: bool,
    pub tasks_run: u32,
    /// What becomes of the next tasks; one of which nothing is said ends well.
    pub task_ends: Vec<Probed>,
    /// The same for trial restores.
    pub trial_ends: Vec<Probed>,
    /// What became of a task or a trial, by its token.
    pub task_ended: BTreeMap<String, Probed>,
    pub claims: Vec<Claim>,
    pub faults: Vec<Fault>,
    pub late: Vec<(String, Change)>,
    /// Mutations as they were sent: token and change.
    pub sent: Vec<(String, Change)>,
    pub calls: u64,
    /// At this call the process dies.
    pub die_at: Option<u64>,
    /// At the first call after so many mutations the process dies.
    pub die_after_sent: Option<usize>,
    pub unreadable: bool,
    pub in_flight: bool,
    /// `observe` takes this long, milliseconds, so often.
    pub slow: (u64, u32),
    pub facts_reads: u32,
    /// At the first call after so many mutations one runner stands still, until this is none again.
    pub freeze_after_sent: Option<usize>,
    pub frozen: bool,
    /// One runner stands still right after its claim was made.
    pub freeze_when_claimed: bool,
    /// A claim is confirmed, and not made.
    pub claim_lies: bool,
    /// A replacement whose condition does not hold is refused.
    pub refuse_unmet: bool,
    /// A change of this document is refused.
    pub refuse_id: Option<String>,
    /// Nothing can be taken off.
    pub dirty: bool,
    /// A change takes this long.
    pub act_ms: u64,
    pub acting: usize,
    pub acting_most: usize,
}

#[derive(Clone, Default)]
pub struct Toy(pub Arc<Mutex<World>>);

impl Toy {
    pub fn new() -> Self {
        let toy = Self::default();
        {
            let mut world = toy.0.lock().unwrap();
            world.uuid = "toy-1".into();
            world.index_uuid = Some("index-1".into());
            world.running = true;
            world
                .documents
                .insert("meta".into(), json!({"version": "1", "id": "kept"}));
        }
        toy
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    /// Counts a call; a process that dies here never comes back from it.
    async fn call(&self) {
        let dies = self.with(|world| {
            world.calls += 1;
            if world
                .die_after_sent
                .is_some_and(|sent| world.sent.len() >= sent)
            {
                world.die_at = Some(world.calls);
                world.die_after_sent = None;
            }
            world.die_at == Some(world.calls)
        });
        if dies {
            std::future::pending::<()>().await;
        }
        let freezes = self.with(|world| {
            let now = !world.frozen
                && world
                    .freeze_after_sent
                    .is_some_and(|sent| world.sent.len() >= sent);
            world.frozen |= now;
            now
        });
        while freezes && self.with(|world| world.freeze_after_sent.is_some()) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn readable(&self) -> Result<(), ReadError> {
        if self.with(|world| world.unreadable) {
            return Err(ReadError::Unavailable("503".into()));
        }
        Ok(())
    }

    pub fn release_late(&self) {
        let late = self.with(|world| std::mem::take(&mut world.late));
        for (token, change) in late {
            self.with(|world| effect(world, &change, &token));
        }
    }
}

/// The document that a change is about.
trait About {
    fn document_id(&self) -> Option<&str>;
}

impl About for Change {
    fn document_id(&self) -> Option<&str> {
        match self {
            Change::CreateDocument { id, .. }
            | Change::ReplaceDocument { id, .. }
            | Change::DeleteDocument { id, .. } => Some(id.as_str()),
            _ => None,
        }
    }
}

fn effect(world: &mut World, change: &Change, token: &str) {
    match change {
        Change::CreateDocument { id, document, .. } => {
            world
                .documents
                .entry(id.to_string())
                .or_insert_with(|| document.value());
        }
        Change::ReplaceDocument {
            id,
            document,
            while_it_contains,
            ..
        } => {
            let have = world
                .documents
                .get(id.as_str())
                .cloned()
                .unwrap_or_default();
            if liftlock_types::contains(&have, &while_it_contains.value()) {
                world.documents.insert(id.to_string(), document.value());
            }
        }
        Change::DeleteIndex { uuid, .. } => {
            if world.index_uuid.as_ref() == Some(uuid) {
                world.index_uuid = None;
            }
        }
        Change::SetClusterSetting { value, .. } => world.setting.clone_from(value),
        Change::DeleteDocument { id, .. } => {
            world.documents.remove(id.as_str());
        }
        Change::RestoreSnapshot { .. } => world.index_uuid = Some("index-restored".into()),
        Change::StopService {} => world.running = false,
        Change::StartService {} => world.running = true,
        Change::SetServerState { to, .. } => world.drained = *to != Administrative::Ready,
        Change::RunTask { .. } | Change::Reindex { .. } | Change::Transform { .. } => {
            world.tasks_run += 1;
            if !world.task_ends.is_empty() {
                let end = world.task_ends.remove(0);
                world.task_ended.insert(token.to_owned(), end);
            }
        }
        Change::TakeSnapshot { .. } => {
            world.documents.insert("snapshot".into(), json!(token));
        }
        Change::ProveSnapshot { .. } => {
            world.documents.insert("proof".into(), json!(true));
            if !world.trial_ends.is_empty() {
                let end = world.trial_ends.remove(0);
                world.task_ended.insert(token.to_owned(), end);
            }
        }
        other => panic!("the toy has no {}", other.verb()),
    }
}

#[async_trait]
impl Capability for Toy {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        self.call().await;
        self.readable()?;
        Ok(TargetIdentity {
            fingerprint: self.with(|world| world.uuid.clone()),
            product: "Toy 1".into(),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        self.call().await;
        self.readable()?;
        match read {
            Read::Document { id, .. } => self
                .with(|world| world.documents.get(id).cloned())
                .ok_or_else(|| ReadError::NotFound(id.clone())),
            Read::Count { .. } => Ok(json!(self.with(|world| world.documents.len()))),
            _ => Err(ReadError::Absent("the toy".into())),
        }
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        self.call().await;
        self.readable()?;
        let (holds, seen) = match predicate {
            Predicate::Stopped => self.with(|world| (!world.running, json!(world.running))),
            Predicate::ServerInState { administrative, .. } => self.with(|world| {
                let is_drained = *administrative != Administrative::Ready;
                (world.drained == is_drained, json!(world.drained))
            }),
            Predicate::CountIs { count, .. } => self.with(|world| {
                (
                    world.documents.len() as u64 == *count,
                    json!(world.documents.len()),
                )
            }),
            Predicate::Quiet { .. } => {
                let now = self.with(|world| json!(world.documents));
                (last == Some(&now), now)
            }
            _ => (false, Value::Null),
        };
        Ok(Evaluated {
            holds,
            seen,
            why: "not so".into(),
        })
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        self.call().await;
        self.readable()?;
        Ok(self.with(|world| {
            world.facts_reads += 1;
            match change {
                Change::CreateDocument { id, .. } => Facts::from([(
                    format!("document/{id}"),
                    json!(world.documents.contains_key(id.as_str())),
                )]),
                Change::ReplaceDocument { id, .. } => Facts::from([(
                    format!("document/{id}/version"),
                    json!(
                        world
                            .documents
                            .get(id.as_str())
                            .map(|have| &have["version"])
                    ),
                )]),
                Change::DeleteIndex { .. } => {
                    Facts::from([("index/uuid".into(), json!(world.index_uuid))])
                }
                _ => Facts::new(),
            }
        }))
    }

    async fn observe(&self, change: &Change, _: &Attempt) -> Result<Observed, ReadError> {
        self.call().await;
        self.readable()?;
        let slow = self.with(|world| {
            if world.slow.1 == 0 {
                return 0;
            }
            world.slow.1 -= 1;
            world.slow.0
        });
        tokio::time::sleep(std::time::Duration::from_millis(slow)).await;
        Ok(self.with(|world| {
            let already_true = match change {
                Change::CreateDocument { id, document, .. }
                | Change::ReplaceDocument { id, document, .. } => {
                    world.documents.get(id.as_str()) == Some(&document.value())
                }
                Change::DeleteDocument { id, .. } => !world.documents.contains_key(id.as_str()),
                Change::DeleteIndex { uuid, .. } => world.index_uuid.as_ref() != Some(uuid),
                Change::RestoreSnapshot { .. } => world.index_uuid.is_some(),
                Change::SetClusterSetting { value, .. } => world.setting == *value,
                Change::StopService {} => !world.running,
                Change::StartService {} => world.running,
                Change::SetServerState { to, .. } => {
                    world.drained == (*to != Administrative::Ready)
                }
                _ => false,
            };
            let borrowed = match change {
                Change::SetClusterSetting { value, .. } => Some(Borrowed {
                    kind: Borrow::Neutral,
                    key: "setting".into(),
                    old: json!(world.setting),
                    ours: json!(value),
                }),
                Change::StopService {} => Some(Borrowed {
                    kind: Borrow::Protective,
                    key: "service".into(),
                    old: json!(true),
                    ours: json!(false),
                }),
                Change::SetServerState { .. } => Some(Borrowed {
                    kind: Borrow::Protective,
                    key: "server".into(),
                    old: json!(false),
                    ours: json!(true),
                }),
                _ => None,
            };
            Observed {
                already_true,
                evidence: json!("seen"),
                kept: json!({
                    "setting": world.setting,
                    "document": change
                        .document_id()
                        .and_then(|id| world.documents.get(id).cloned()),
                }),
                borrowed,
            }
        }))
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        self.call().await;
        let fault = self.with(|world| {
            let fault = if world.faults.is_empty() {
                None
            } else {
                Some(world.faults.remove(0))
            };
            if fault != Some(Fault::Unreachable) {
                world.sent.push((attempt.token.clone(), change.clone()));
            }
            fault
        });
        let token = attempt.token.as_str();
        let unmet = self.with(|world| match change {
            Change::ReplaceDocument {
                id,
                while_it_contains,
                ..
            } => {
                world.refuse_unmet
                    && !liftlock_types::contains(
                        &world.documents[id.as_str()],
                        &while_it_contains.value(),
                    )
            }
            other => other.document_id() == world.refuse_id.as_deref() && world.refuse_id.is_some(),
        });
        let fault = if unmet { Some(Fault::Refuse) } else { fault };
        let slow = self.with(|world| {
            world.acting += 1;
            world.acting_most = world.acting_most.max(world.acting);
            world.act_ms
        });
        if slow > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(slow)).await;
        }
        self.with(|world| world.acting -= 1);
        let acted = match fault {
            None => {
                self.with(|world| effect(world, change, token));
                Acted::Answered(Value::Null)
            }
            Some(Fault::DropAfter) => {
                self.with(|world| effect(world, change, token));
                Acted::Unanswered("reset".into())
            }
            Some(Fault::DropBefore) => Acted::Unanswered("reset".into()),
            Some(Fault::Late) => {
                self.with(|world| world.late.push((token.to_owned(), change.clone())));
                Acted::Unanswered("reset".into())
            }
            Some(Fault::Lie) => Acted::Answered(Value::Null),
            Some(fault @ (Fault::Refuse | Fault::RefuseTaken)) => {
                if fault == Fault::RefuseTaken {
                    self.release_late();
                }
                Acted::Refused {
                    status: 400,
                    kind: "no".into(),
                    text: "no".into(),
                    later: false,
                }
            }
            Some(Fault::Unreachable) => Acted::NotSent("refused".into()),
        };
        self.call().await;
        acted
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        self.call().await;
        self.readable()?;
        Ok(self.with(|world| {
            let applied = |yes: bool| {
                if yes {
                    Probed::Applied {
                        evidence: json!("read"),
                        ours: false,
                    }
                } else {
                    Probed::Absent(Value::Null)
                }
            };
            match change {
                Change::CreateDocument { id, document, .. } => match world
                    .documents
                    .get(id.as_str())
                {
                    Some(have) if *have != document.value() => Probed::Indeterminate(have.clone()),
                    have => applied(have.is_some()),
                },
                Change::ReplaceDocument {
                    id,
                    document,
                    while_it_contains,
                    ..
                } => {
                    let have = world
                        .documents
                        .get(id.as_str())
                        .cloned()
                        .unwrap_or_default();
                    if have == document.value() {
                        applied(true)
                    } else if liftlock_types::contains(&have, &while_it_contains.value()) {
                        applied(false)
                    } else {
                        Probed::Indeterminate(have)
                    }
                }
                Change::DeleteIndex { uuid, .. } => {
                    applied(world.index_uuid.as_ref() != Some(uuid))
                }
                Change::DeleteDocument { id, .. } => {
                    applied(!world.documents.contains_key(id.as_str()))
                }
                Change::RestoreSnapshot { .. } => applied(world.index_uuid.is_some()),
                Change::SetClusterSetting { value, .. } => applied(world.setting == *value),
                Change::StopService {} => applied(!world.running),
                Change::StartService {} => applied(world.running),
                Change::SetServerState { to, .. } => {
                    applied(world.drained == (*to != Administrative::Ready))
                }
                Change::TakeSnapshot { .. } => {
                    let have = world.documents.get("snapshot");
                    if have == Some(&json!(attempt.token)) {
                        Probed::Applied {
                            evidence: json!({"name": "s"}),
                            ours: true,
                        }
                    } else if have == Some(&json!("running")) {
                        Probed::InProgress(Progress {
                            done: 1,
                            total: 2,
                            unit: "shards".into(),
                            note: String::new(),
                        })
                    } else {
                        applied(false)
                    }
                }
                Change::RunTask { .. }
                | Change::Reindex { .. }
                | Change::Transform { .. }
                | Change::ProveSnapshot { .. }
                    if world.task_ended.contains_key(&attempt.token) =>
                {
                    world.task_ended[&attempt.token].clone()
                }
                Change::ProveSnapshot { .. } => applied(world.documents.contains_key("proof")),
                // An opaque task shows nothing, but in the process that got its answer.
                Change::RunTask { .. } | Change::Reindex { .. } | Change::Transform { .. }
                    if attempt.answer.is_some() =>
                {
                    Probed::Applied {
                        evidence: json!("exit 0"),
                        ours: true,
                    }
                }
                _ => Probed::Absent(Value::Null),
            }
        }))
    }

    async fn in_flight(&self, _: &Change, _: &Attempt) -> Result<bool, ReadError> {
        self.call().await;
        Ok(self.with(|world| world.in_flight))
    }

    async fn clean_up(&self, change: &Change, _: &Attempt) -> Result<Vec<String>, ReadError> {
        self.call().await;
        if self.with(|world| world.dirty) {
            return Err(ReadError::Unavailable("507".into()));
        }
        if matches!(change, Change::ProveSnapshot { .. }) {
            self.with(|world| world.documents.remove("proof"));
        }
        Ok(Vec::new())
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        let on = |binding: &str, change: Change| {
            Some(vec![Planned {
                binding: liftlock_types::Binding::new(binding).unwrap(),
                change,
                fills: vec![],
            }])
        };
        match change {
            Change::SetClusterSetting { key, .. } => on(
                "cluster.toy",
                Change::SetClusterSetting {
                    key: key.clone(),
                    value: attempt.kept["setting"].as_str().map(str::to_owned),
                },
            ),
            Change::CreateDocument {
                index,
                id,
                document,
            } => on(
                "cluster.toy",
                Change::DeleteDocument {
                    index: index.clone(),
                    id: id.clone(),
                    while_it_contains: document.clone(),
                },
            ),
            Change::ReplaceDocument {
                index,
                id,
                document,
                ..
            } => on(
                "cluster.toy",
                Change::ReplaceDocument {
                    index: index.clone(),
                    id: id.clone(),
                    while_it_contains: document.clone(),
                    document: liftlock_types::Json::of(&attempt.kept["document"]),
                },
            ),
            Change::StopService {} => on("service.toy", Change::StartService {}),
            Change::StartService {} => on("service.toy", Change::StopService {}),
            Change::SetServerState {
                backend, server, ..
            } => on(
                "traffic.toy",
                Change::SetServerState {
                    backend: backend.clone(),
                    server: server.clone(),
                    to: Administrative::Ready,
                },
            ),
            Change::TakeSnapshot { .. } | Change::ProveSnapshot { .. } => Some(vec![]),
            _ => None,
        }
    }

    async fn going_back(
        &self,
        taken_by: &StepId,
        _: &Change,
        _: &Value,
        of: &Change,
    ) -> Result<Vec<Planned>, ReadError> {
        self.call().await;
        let name = match of {
            Change::DeleteIndex { name, .. } => name.clone(),
            Change::RunTask { .. } => IndexName::new("i").unwrap(),
            _ => return Ok(Vec::new()),
        };
        Ok(vec![Planned {
            binding: liftlock_types::Binding::new("snapshot.toy").unwrap(),
            change: Change::RestoreSnapshot {
                taken_by: taken_by.clone(),
                indices: vec![name],
            },
            fills: vec![],
        }])
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        self.call().await;
        Ok(self.with(|world| match key {
            "service" => json!(world.running),
            "server" => json!(world.drained),
            _ => json!(world.setting),
        }))
    }

    fn holds_claims(&self) -> bool {
        true
    }

    async fn claims(&self) -> Result<Vec<Claim>, ReadError> {
        self.call().await;
        self.readable()?;
        Ok(self.with(|world| world.claims.clone()))
    }

    async fn make_claim(&self, claim: &Claim) -> Result<bool, ReadError> {
        self.call().await;
        if self.with(|world| world.claim_lies) {
            return Ok(true);
        }
        let made = self.with(|world| {
            if world.claims.iter().any(|other| other.epoch == claim.epoch) {
                return false;
            }
            world.claims.push(claim.clone());
            true
        });
        let freezes = self.with(|world| {
            let now = world.freeze_when_claimed && !world.frozen;
            world.frozen |= now;
            now
        });
        while freezes && self.with(|world| world.freeze_when_claimed) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Ok(made)
    }

    async fn remove_claim(&self, epoch: u64) -> Result<(), ReadError> {
        self.call().await;
        self.with(|world| world.claims.retain(|claim| claim.epoch != epoch));
        Ok(())
    }
}

/// A plugin that always proposes the same.
pub struct Fixed {
    pub proposal: Proposal,
    pub blockers: Mutex<Vec<Finding>>,
    pub invalid: Mutex<Vec<Finding>>,
    /// What a check passes on instead of findings.
    pub fault: Mutex<Option<PlannerFault>>,
    /// What it fails with when it is asked about a condition.
    pub asked_fault: Mutex<Option<PlannerFault>>,
    /// Conditions that it says do not hold, each so often.
    pub closed: Mutex<BTreeMap<String, u32>>,
}

#[async_trait]
impl Planner for Fixed {
    async fn check(&self, _: Moment, _: &RunState) -> Result<Vec<Finding>, PlannerFault> {
        if let Some(fault) = self.fault.lock().unwrap().clone() {
            return Err(fault);
        }
        Ok(self.blockers.lock().unwrap().clone())
    }

    async fn plan(&self, _: &RunState) -> Result<Replanned, PlannerFault> {
        Ok(Replanned {
            proposal: self.proposal.clone(),
            reads: Vec::new(),
        })
    }

    async fn observe(&self, asked: Asked<'_>, _: &RunState) -> Result<Evaluated, PlannerFault> {
        if let Some(fault) = self.asked_fault.lock().unwrap().clone() {
            return Err(fault);
        }
        let mut closed = self.closed.lock().unwrap();
        let holds = closed.get(asked.name).is_none_or(|times| *times == 0);
        if let Some(times) = closed.get_mut(asked.name) {
            *times = times.saturating_sub(1);
        }
        Ok(Evaluated {
            holds,
            seen: asked.input.value(),
            why: "the plugin says no".into(),
        })
    }

    async fn validate(&self, _: &RunState) -> Result<Vec<Finding>, PlannerFault> {
        Ok(self.invalid.lock().unwrap().clone())
    }
}

/// Keeps what it hears.
#[derive(Default, Clone)]
pub struct Ear(pub Arc<Mutex<Vec<String>>>);

impl Observer for Ear {
    fn on(&self, happening: Happening) {
        self.0.lock().unwrap().push(format!("{happening:?}"));
    }
}

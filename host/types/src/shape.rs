//! The shape of a plan: what stays the same where the same upgrade is planned against another target that holds the
//! same data.
//!
//! A plan names its target: uuids, hashes of files, identities, amounts. A rehearsal performs the plan against a scratch
//! target, so the hash of its plan is never the hash of the real one. Equal shapes mean: the same steps, in the same
//! order, with the same verbs on the same bindings, the same names and bodies, conditions and ways back.
//!
//! Left out is, in this file and nowhere else: what was read from the target (facts, identities, uuids, hashes of files,
//! ids of tasks and sessions, where a store of snapshots lies), how much there is (work, counts, free bytes: a rehearsal
//! judges them apart), and texts for people, in which plugins tell such amounts.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    Binding, Body, Change, Condition, Digest, Guard, Hunk, Json, Plan, Planned, Predicate, Reading,
    Step, StepId, Undo,
};

/// What of a step is the same on another target.
#[derive(Serialize)]
struct StepShape<'a> {
    id: &'a StepId,
    phase: crate::Phase,
    unit: Option<&'a str>,
    after: &'a [StepId],
    body: Body,
    undo: Undo,
    opens_when: Vec<Condition>,
    ends_when: Vec<Condition>,
    rests_on: Vec<&'a Reading>,
    units_of_work: Vec<&'a str>,
    wants_own_approval: bool,
}

/// What of a plan is the same on another target.
#[derive(Serialize)]
struct PlanShape<'a> {
    product: &'a str,
    plugin: &'a Digest,
    from: Option<&'a str>,
    to: &'a str,
    bindings: BTreeSet<&'a Binding>,
    steps: Vec<Digest>,
    guards: Vec<Guard>,
    point_of_no_return: Option<&'a StepId>,
}

impl Plan {
    /// SHA-256 over what stays the same where the same upgrade is planned against another target that holds the same
    /// data.
    pub fn shape(&self) -> Digest {
        let Self {
            format: _,
            site: _,
            product,
            plugin,
            from,
            to,
            bindings,
            grant: _,
            // What they do to the plan is in its steps.
            options: _,
            summary: _,
            steps,
            guards,
            point_of_no_return,
            findings: _,
            not_done: _,
            hand_overs: _,
        } = self;
        digest(&PlanShape {
            product,
            plugin: &plugin.digest,
            from: from.as_deref(),
            to,
            bindings: bindings.keys().collect(),
            steps: steps.iter().map(Step::shape).collect(),
            guards: guards
                .iter()
                .map(|guard| Guard {
                    from: guard.from.clone(),
                    until: guard.until.clone(),
                    condition: guard.condition.shape(),
                })
                .collect(),
            point_of_no_return: point_of_no_return.as_ref(),
        })
    }
}

impl Step {
    /// As [`Plan::shape`], of one step.
    pub fn shape(&self) -> Digest {
        let Self {
            id,
            phase,
            title: _,
            because: _,
            unit,
            after,
            body,
            undo,
            opens_when,
            ends_when,
            rests_on,
            facts: _,
            work,
            peak_disk: _,
            own_approval,
            // The author's own; what Optimize and Kuzzle put there are uuids and what the step says already.
            memo: _,
        } = self;
        digest(&StepShape {
            id,
            phase: *phase,
            unit: unit.as_ref().map(crate::UnitName::as_str),
            after,
            body: match body {
                Body::Change(planned) => Body::Change(planned.shape()),
                Body::Capture { .. } | Body::GiveBack { .. } => body.clone(),
                Body::HandOver { text: _ } => Body::HandOver {
                    text: String::new(),
                },
            },
            undo: match undo {
                Undo::Automatic | Undo::ByRestore(_) => undo.clone(),
                Undo::Changes(changes) => {
                    Undo::Changes(changes.iter().map(Planned::shape).collect())
                }
                Undo::Stays { because: _ } => Undo::Stays {
                    because: String::new(),
                },
                Undo::None { because: _ } => Undo::None {
                    because: String::new(),
                },
            },
            opens_when: opens_when.iter().map(Condition::shape).collect(),
            ends_when: ends_when.iter().map(Condition::shape).collect(),
            rests_on: rests_on.iter().map(|rests| &rests.reading).collect(),
            units_of_work: work.iter().map(|work| work.unit.as_str()).collect(),
            wants_own_approval: own_approval.is_some(),
        })
    }
}

impl Planned {
    fn shape(&self) -> Self {
        let Self {
            binding,
            change,
            fills,
        } = self;
        Self {
            binding: binding.clone(),
            change: change.shape(),
            fills: fills.clone(),
        }
    }
}

impl Change {
    /// Without what was read from the target.
    ///
    /// Every verb stands here by its name, so that a new one does not compile before it is known which of its values are
    /// the target's own.
    fn shape(&self) -> Self {
        let mut shape = self.clone();
        match &mut shape {
            Self::DeleteIndex { name: _, uuid } => uuid.clear(),
            Self::CancelTask { id } => id.clear(),
            // Where the store of a scratch cluster lies is another place, or it would be the same store.
            Self::RegisterRepository { kind: _, settings }
            | Self::UnregisterRepository { kind: _, settings } => {
                *settings = Json::of(&serde_json::Value::Null);
            }
            Self::EditFile {
                dir: _,
                name: _,
                sha256,
                hunks,
            } => {
                sha256.clear();
                // A file of configuration says addresses; what is edited is its name, and in how many places.
                for Hunk { old, new } in hunks {
                    old.clear();
                    new.clear();
                }
            }
            Self::RemoveFile {
                dir: _,
                name: _,
                sha256,
            } => sha256.clear(),
            Self::EndSession {
                id,
                application: _,
                started,
            } => {
                *id = 0;
                started.clear();
            }
            Self::CreateIndex { .. }
            | Self::PutTemplate { .. }
            | Self::DeleteTemplate { .. }
            | Self::UpdateAliases { .. }
            | Self::PutSettings { .. }
            | Self::PutMapping { .. }
            | Self::Reindex { .. }
            | Self::Transform { .. }
            | Self::UpdateByQuery { .. }
            | Self::DeleteByQuery { .. }
            | Self::CreateDocument { .. }
            | Self::ReplaceDocument { .. }
            | Self::DeleteDocument { .. }
            | Self::SetClusterSetting { .. }
            | Self::RawChange(_)
            | Self::TakeSnapshot { .. }
            | Self::ProveSnapshot { .. }
            | Self::RestoreSnapshot { .. }
            | Self::DeleteSnapshot { .. }
            | Self::KeepFile { .. }
            | Self::CopyFile { .. }
            | Self::WriteFile { .. }
            | Self::StopService {}
            | Self::StartService {}
            | Self::RestartService {}
            | Self::RunTask { .. }
            | Self::SetServerState { .. }
            | Self::SetServerWeight { .. }
            | Self::SwitchArtifact { .. }
            | Self::EndpointRequest(_)
            | Self::Execute { .. }
            | Self::ExecuteTogether { .. }
            | Self::SetTransientSetting { .. }
            | Self::Flush { .. }
            | Self::RemoveArchivedSettings { .. }
            | Self::RemoveArchivedIndexSettings { .. }
            | Self::PutClusterSettings { .. }
            | Self::RestoreInto { .. } => {}
        }
        shape
    }
}

impl Condition {
    fn shape(&self) -> Self {
        let Self {
            label: _,
            binding,
            predicate,
            negated,
            stable_for_ms,
            patience_ms,
            on_expiry,
        } = self;
        Self {
            label: String::new(),
            binding: binding.clone(),
            predicate: predicate.shape(),
            negated: *negated,
            stable_for_ms: *stable_for_ms,
            patience_ms: *patience_ms,
            on_expiry: *on_expiry,
        }
    }
}

impl Predicate {
    /// Without hashes of files, and without how much there is.
    fn shape(&self) -> Self {
        let mut shape = self.clone();
        match &mut shape {
            Self::CountIs {
                index: _,
                query: _,
                count,
            } => *count = u64::from(*count > 0),
            Self::FileHas {
                dir: _,
                name: _,
                sha256,
            } => sha256.clear(),
            Self::FreeAtLeast { dir: _, bytes } => *bytes = 0,
            Self::IndexExists { .. }
            | Self::TemplateExists { .. }
            | Self::Healthy { .. }
            | Self::DocumentContains { .. }
            | Self::AnswerContains { .. }
            | Self::Quiet { .. }
            | Self::NoTask { .. }
            | Self::NoneRunning
            | Self::Stopped
            | Self::Ready
            | Self::Asked { .. }
            | Self::ServerIdle { .. }
            | Self::ServerInState { .. }
            | Self::ServerServing { .. }
            | Self::ServingAtLeast { .. }
            | Self::ServerReceives { .. }
            | Self::Answers { .. }
            | Self::ColumnExists { .. }
            | Self::IndexValid { .. }
            | Self::QueryIs { .. }
            | Self::NoSession { .. } => {}
        }
        shape
    }
}

fn digest(shape: &impl Serialize) -> Digest {
    match serde_json::to_vec(shape) {
        Ok(bytes) => Digest::of(&bytes),
        Err(error) => unreachable!("a shape is always JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{FileName, IndexName, Phase, RestsOn, Work};

    use super::*;

    fn step(change: Change) -> Step {
        Step {
            id: StepId::new("s").unwrap(),
            phase: Phase::Contract,
            title: "delete it (12 documents)".into(),
            because: String::new(),
            unit: None,
            after: vec![],
            body: Body::Change(Planned {
                binding: Binding::new("cluster.database").unwrap(),
                change,
                fills: vec![],
            }),
            undo: Undo::Automatic,
            opens_when: vec![],
            ends_when: vec![],
            rests_on: vec![],
            facts: BTreeMap::new(),
            work: vec![Work {
                unit: "documents".into(),
                amount: 12,
            }],
            peak_disk: BTreeMap::new(),
            own_approval: None,
            memo: None,
        }
    }

    fn delete(name: &str, uuid: &str) -> Step {
        step(Change::DeleteIndex {
            name: IndexName::new(name).unwrap(),
            uuid: uuid.into(),
        })
    }

    fn until(predicate: Predicate) -> Condition {
        Condition {
            label: "l".into(),
            binding: Binding::new("cluster.database").unwrap(),
            predicate,
            negated: false,
            stable_for_ms: 0,
            patience_ms: 1,
            on_expiry: crate::OnExpiry::Fail,
        }
    }

    #[test]
    fn what_was_read_from_the_target_and_how_much_there_is_is_no_part_of_the_shape() {
        let one = delete("a", "uuid-1");
        let mut other = delete("a", "uuid-2");
        other.title = "delete it (99 documents)".into();
        other.work[0].amount = 99;
        other.facts.insert("index/a/uuid".into(), "uuid-2".into());
        other.peak_disk.insert("node-7".into(), 1);
        other.memo = Some(Json::new(r#"{"uuid":"uuid-2"}"#).unwrap());
        assert_eq!(one.shape(), other.shape());
        let edit = |sha256: &str, url: &str| {
            step(Change::EditFile {
                dir: vec![],
                name: FileName::new("kuzzlerc").unwrap(),
                sha256: sha256.into(),
                hunks: vec![Hunk {
                    old: "7".into(),
                    new: url.into(),
                }],
            })
            .shape()
        };
        assert_eq!(edit("aa", "http://a:9200"), edit("bb", "http://b:9200"));
    }

    #[test]
    fn names_ids_order_conditions_and_ways_back_are_the_shape() {
        let one = delete("a", "u");
        let differs = |change: fn(&mut Step)| {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(one.shape(), other.shape());
        };
        assert_ne!(one.shape(), delete("b", "u").shape());
        differs(|step| step.id = StepId::new("t").unwrap());
        differs(|step| step.phase = Phase::Switch);
        differs(|step| step.after = vec![StepId::new("r").unwrap()]);
        differs(|step| step.work[0].unit = "bytes".into());
        differs(|step| step.own_approval = Some("why".into()));
        differs(|step| {
            step.undo = Undo::None {
                because: "gone".into(),
            };
        });
        differs(|step| step.opens_when = vec![until(Predicate::Ready)]);
        differs(|step| {
            step.rests_on = vec![RestsOn {
                reading: Reading {
                    binding: Binding::new("cluster.database").unwrap(),
                    read: crate::Read::Health,
                },
                answer: Json::new("1").unwrap(),
            }];
        });
    }

    #[test]
    fn a_count_that_is_waited_for_is_none_or_some() {
        let of = |count| {
            let mut step = delete("a", "u");
            step.opens_when = vec![until(Predicate::CountIs {
                index: "a".into(),
                query: None,
                count,
            })];
            step.shape()
        };
        assert_eq!(of(5), of(500));
        assert_ne!(of(0), of(5));
    }
}

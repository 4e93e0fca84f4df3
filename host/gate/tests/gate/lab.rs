//! A site with one toy behind all its bindings, steps to plan with, and what a run of it needs.

#![allow(unreachable_pub, reason = "shared by one test crate")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::toy::{self, Ear, Fixed, Toy};
use liftlock_gate::{
    Approval, Bindings, Decision, End, Parts, PlanContext, Runner, StopSignal, Timing, Who, freeze,
    recover,
};
use liftlock_journal::{Journal, OpenOptions};
use liftlock_types::{
    Binding, Body, Change, Digest, DocumentId, Grant, GrantedBinding, GrantedVerb, IndexName, Json,
    OnRejected, Phase, Plan, Planned, PluginRef, Proposal, RunId, Scope, SnapshotName, Step,
    StepId, Undo, UnitName, Verb,
};

pub fn binding() -> Binding {
    Binding::new("cluster.toy").unwrap()
}

pub fn service() -> Binding {
    Binding::new("service.toy").unwrap()
}

pub fn backups() -> Binding {
    Binding::new("snapshot.toy").unwrap()
}

pub fn balancer() -> Binding {
    Binding::new("traffic.toy").unwrap()
}

pub fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

pub fn planned(change: Change) -> Planned {
    let binding = match change.verb().capability() {
        "service" => service(),
        "snapshot" => backups(),
        "traffic" => balancer(),
        _ => binding(),
    };
    Planned {
        binding,
        change,
        fills: vec![],
    }
}

pub fn step(name: &str, phase: Phase, body: Body) -> Step {
    Step {
        id: id(name),
        phase,
        title: name.into(),
        because: String::new(),
        unit: None,
        after: vec![],
        body,
        undo: Undo::Automatic,
        opens_when: vec![],
        ends_when: vec![],
        rests_on: vec![],
        facts: BTreeMap::new(),
        work: vec![],
        peak_disk: BTreeMap::new(),
        own_approval: None,
        memo: None,
    }
}

pub fn change(name: &str, phase: Phase, change: Change) -> Step {
    step(name, phase, Body::Change(planned(change)))
}

pub fn create(name: &str, doc: &str) -> Step {
    change(
        name,
        Phase::Expand,
        Change::CreateDocument {
            index: IndexName::new("i").unwrap(),
            id: DocumentId::new(doc).unwrap(),
            document: Json::new(r#"{"a":1}"#).unwrap(),
        },
    )
}

pub fn stop() -> Step {
    change("stop", Phase::Prepare, Change::StopService {})
}

pub fn setting(value: &str) -> Step {
    change(
        "setting",
        Phase::Prepare,
        Change::SetClusterSetting {
            key: "k".into(),
            value: Some(value.into()),
        },
    )
}

pub fn take() -> Step {
    change(
        "take",
        Phase::Protect,
        Change::TakeSnapshot {
            name: SnapshotName::new("s").unwrap(),
            indices: vec!["i*".into()],
            except: vec![],
        },
    )
}

pub fn prove() -> Step {
    change(
        "prove",
        Phase::Protect,
        Change::ProveSnapshot {
            taken_by: id("take"),
        },
    )
}

pub fn delete() -> Step {
    let mut step = change(
        "delete",
        Phase::Contract,
        Change::DeleteIndex {
            name: IndexName::new("i").unwrap(),
            uuid: "index-1".into(),
        },
    );
    step.undo = Undo::ByRestore(id("take"));
    step
}

pub fn replace() -> Step {
    change(
        "replace",
        Phase::Contract,
        Change::ReplaceDocument {
            index: IndexName::new("i").unwrap(),
            id: DocumentId::new("meta").unwrap(),
            while_it_contains: Json::new(r#"{"version":"1"}"#).unwrap(),
            document: Json::new(r#"{"version":"2","id":"kept"}"#).unwrap(),
        },
    )
}

/// What a person says who looked and found nothing of it.
pub fn not_done(step: &str) -> Decision {
    Decision {
        step: id(step),
        done: false,
        reason: "looked".into(),
    }
}

pub fn copy() -> Step {
    change(
        "copy",
        Phase::Expand,
        Change::Reindex {
            source: IndexName::new("i").unwrap(),
            destination: IndexName::new("j").unwrap(),
            query: None,
            script: None,
            slices: None,
            requests_per_second: None,
        },
    )
}

pub fn transform() -> Step {
    change(
        "copy",
        Phase::Expand,
        Change::Transform {
            source: IndexName::new("i").unwrap(),
            destination: IndexName::new("j").unwrap(),
            query: None,
            name: "n".into(),
            on_rejected: OnRejected::Stop,
        },
    )
}

pub fn task(rerun_safe: bool) -> Step {
    let mut step = change(
        "task",
        Phase::Switch,
        Change::RunTask {
            name: "t".into(),
            rerun_safe: rerun_safe.then(|| "it only prints".into()),
        },
    );
    step.undo = Undo::None {
        because: "a task".into(),
    };
    step
}

pub fn whole() -> Vec<Step> {
    vec![
        stop(),
        setting("none"),
        take(),
        prove(),
        create("create", "d"),
        delete(),
        replace(),
    ]
}

pub fn grant() -> Grant {
    let verb = |verb: &str| GrantedVerb {
        verb: Verb::new(verb).unwrap(),
        scope: vec![Scope::new("*").unwrap()],
        except: vec![],
        at_most: None,
    };
    let on = |binding: Binding, verbs: &[&str]| GrantedBinding {
        binding,
        identity: "toy-1".into(),
        verbs: verbs.iter().map(|text| verb(text)).collect(),
    };
    Grant {
        plugin: "p".into(),
        digest: Digest::of(b"plugin"),
        site: "s".into(),
        options: BTreeMap::new(),
        granted_by: "me".into(),
        granted_at: "now".into(),
        bindings: vec![
            on(
                binding(),
                &[
                    "cluster.create-document",
                    "cluster.delete-document",
                    "cluster.delete-index",
                    "cluster.replace-document",
                    "cluster.set-cluster-setting",
                    "cluster.count",
                    "cluster.read",
                    "cluster.read-documents",
                    "cluster.reindex",
                    "cluster.transform",
                ],
            ),
            on(
                service(),
                &[
                    "service.stop",
                    "service.start",
                    "service.run-task",
                    "service.read",
                ],
            ),
            on(
                backups(),
                &["snapshot.take", "snapshot.prove", "snapshot.read"],
            ),
            on(balancer(), &["traffic.set-state", "traffic.read"]),
        ],
    }
}

pub fn context() -> PlanContext {
    PlanContext {
        site: "s".into(),
        product: "toy".into(),
        plugin: PluginRef {
            name: "p".into(),
            version: "1".into(),
            digest: Digest::of(b"plugin"),
        },
        from: Some("1".into()),
        to: "2".into(),
        options: BTreeMap::new(),
        findings: vec![],
    }
}

/// A site with one toy behind all its bindings, and what a run of it needs.
pub struct Lab {
    pub toy: Toy,
    pub dir: tempfile::TempDir,
    pub plan: Plan,
    pub earlier: Vec<Plan>,
    pub planner: Arc<Fixed>,
    pub approvals: Vec<Approval>,
    pub wanted: usize,
    pub grant: Grant,
    pub ear: Ear,
    pub stop: StopSignal,
    pub host: String,
    pub timing: Timing,
    pub side_by_side: usize,
}

impl Lab {
    pub async fn new(steps: Vec<Step>) -> Self {
        Self::on(Toy::new(), steps).await
    }

    pub async fn on(toy: Toy, steps: Vec<Step>) -> Self {
        let proposal = Proposal {
            steps,
            ..Proposal::default()
        };
        Self::of(toy, proposal).await
    }

    pub async fn of(toy: Toy, proposal: Proposal) -> Self {
        let plan = freeze(proposal.clone(), context(), &grant(), &bindings(&toy))
            .await
            .unwrap();
        let approval = Approval {
            plan: plan.hash(),
            by: "me".into(),
            at: "now".into(),
            waives: vec![],
            steps: vec![],
        };
        toy.with(|world| world.calls = 0);
        Self {
            toy,
            dir: tempfile::tempdir().unwrap(),
            plan,
            earlier: vec![],
            planner: Arc::new(Fixed {
                proposal,
                blockers: Mutex::default(),
                invalid: Mutex::default(),
                fault: Mutex::default(),
                asked_fault: Mutex::default(),
                closed: Mutex::default(),
            }),
            approvals: vec![approval],
            wanted: 1,
            grant: grant(),
            ear: Ear::default(),
            stop: StopSignal::default(),
            host: "here".into(),
            timing: Timing {
                effect_ms: 60,
                settle_ms: 60,
                unreadable_ms: 150,
                watch_every_ms: 0,
            },
            side_by_side: 1,
        }
    }

    pub async fn journal(&self) -> Journal {
        let options = OpenOptions {
            allow_volatile: true,
            ..OpenOptions::default()
        };
        let path: &Path = &self.dir.path().join("journal");
        for _ in 0..200 {
            match Journal::open(path, options).await {
                Ok(journal) => return journal,
                Err(liftlock_journal::JournalError::Busy { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the journal stays busy")
    }

    pub async fn runner(&self) -> Runner {
        Runner::new(Parts {
            journal: self.journal().await,
            run: RunId::new("r1").unwrap(),
            plan: self.plan.clone(),
            earlier: self.earlier.clone(),
            reads: vec![],
            made_by: "me".into(),
            grant: self.grant.clone(),
            bindings: bindings(&self.toy),
            planner: self.planner.clone(),
            observer: Arc::new(self.ear.clone()),
            stop: self.stop.clone(),
            approvals: self.approvals.clone(),
            approvals_wanted: self.wanted,
            who: Who {
                by: "me".into(),
                host: self.host.clone(),
                state_dir: "dir".into(),
            },
            timing: self.timing,
            side_by_side: self.side_by_side,
        })
    }

    pub async fn run(&self) -> End {
        self.runner().await.run().await
    }

    /// Takes one unit back.
    pub async fn unit_back(&self, unit: &str) -> End {
        let unit = UnitName::new(unit).unwrap();
        self.runner().await.rollback_unit(unit, "no", vec![]).await
    }

    pub async fn resume(&self) -> End {
        self.runner().await.resume(vec![]).await
    }

    /// The process dies at its n-th call to the target. True: it came to that.
    pub async fn run_and_die(&self, at: u64) -> bool {
        self.toy.with(|world| {
            world.calls = 0;
            world.die_at = Some(at);
        });
        self.die().await
    }

    /// The process dies at its first call after so many mutations.
    pub async fn run_and_die_after(&self, sent: usize) -> bool {
        self.toy.with(|world| {
            world.calls = 0;
            world.die_after_sent = Some(sent);
        });
        self.die().await
    }

    async fn die(&self) -> bool {
        let runner = self.runner().await;
        self.die_in(runner.run()).await
    }

    /// The process dies at its n-th call to the target while it does this. True: it came to that.
    pub async fn dies_at(&self, at: u64, what: impl Future<Output = End> + Send + 'static) -> bool {
        self.toy.with(|world| {
            world.calls = 0;
            world.die_at = Some(at);
        });
        self.die_in(what).await
    }

    async fn die_in(&self, what: impl Future<Output = End> + Send + 'static) -> bool {
        let handle = tokio::spawn(what);
        loop {
            let reached = self
                .toy
                .with(|world| world.die_at.is_some_and(|at| world.calls >= at));
            if reached {
                handle.abort();
                let _ = handle.await;
            } else if !handle.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            self.toy.with(|world| {
                world.die_at = None;
                world.die_after_sent = None;
            });
            return reached;
        }
    }

    /// Waits for the world to be so.
    pub async fn until(&self, so: impl Fn(&toy::World) -> bool) {
        for _ in 0..5_000 {
            if self.toy.with(|world| so(world)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never came to that");
    }

    /// The state directory, as a copy of its files.
    pub fn copy_journal(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().join("journal");
        copy_all(&self.dir.path().join("journal"), &to);
        copy
    }

    pub async fn state_rows(&self) -> usize {
        self.journal().await.rows("r1").await.unwrap().len()
    }

    pub fn sent(&self) -> Vec<String> {
        self.toy.with(|world| {
            world
                .sent
                .iter()
                .map(|(_, change)| change.verb().to_string())
                .collect()
        })
    }

    pub async fn state(&self) -> liftlock_gate::RunState {
        let journal = self.journal().await;
        recover("r1", &journal.rows("r1").await.unwrap()).unwrap()
    }

    pub fn heard(&self, text: &str) -> bool {
        self.ear
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains(text))
    }
}

pub fn bindings(toy: &Toy) -> Bindings {
    BTreeMap::from([
        (
            binding(),
            Arc::new(toy.clone()) as Arc<dyn liftlock_types::Capability>,
        ),
        (service(), Arc::new(toy.clone()) as _),
        (backups(), Arc::new(toy.clone()) as _),
        (balancer(), Arc::new(toy.clone()) as _),
    ])
}

pub fn why(end: &End) -> String {
    end.halt
        .as_ref()
        .map_or_else(String::new, |halt| halt.why.clone())
}

// ---- a whole run

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

//! One suite on the simulated cluster and on a real OpenSearch: take, trial restore, restore.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use liftlock_cluster::{Call, Cluster, ClusterConfig, Credentials};
use liftlock_snapshot::{Repository, SnapshotConfig};
use liftlock_testkit::{Product, SimCluster};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Facts, IndexName, Json, Predicate, Probed, Read,
    ReadError, RunId, SnapshotName, StepId, rules,
};
use serde_json::{Value, json};

struct Bench {
    cluster: Arc<Cluster>,
    repository: Repository,
    backups: String,
}

impl Bench {
    fn new(url: &str, backups: &str, kept: &Path) -> Self {
        let binding = Binding::new("cluster.database").unwrap();
        let config = ClusterConfig::of_node(url);
        let cluster =
            Arc::new(Cluster::open(binding.clone(), &config, &Credentials::None).unwrap());
        let config = SnapshotConfig {
            cluster: binding,
            repository: "backups".into(),
        };
        let repository = Repository::open(
            Binding::new("snapshot.backups").unwrap(),
            &config,
            cluster.clone(),
            kept,
        )
        .unwrap();
        Self {
            cluster,
            repository,
            backups: backups.into(),
        }
    }

    async fn must(&self, call: Call) {
        let acted = self.cluster.send(&call.token("test")).await;
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    }

    async fn seed(&self) {
        let body = json!({"settings": {"index.number_of_replicas": 0}, "mappings": {"properties": {"n": {"type": "long"}}},
            "aliases": {"site-a": {"is_write_index": true}}});
        self.must(Call::put(["site-a_v1"]).json(&body)).await;
        self.must(
            Call::put(["site-team-b_v1"])
                .json(&json!({"settings": {"index.number_of_replicas": 0}})),
        )
        .await;
        // A block that a copy must not have: it would stop its own removal.
        self.must(
            Call::put(["site-b_v1"]).json(&json!({"settings": {"index.number_of_replicas": 0}})),
        )
        .await;
        self.must(Call::put(["site-b_v1", "_doc", "1"]).json(&json!({"n": 1})))
            .await;
        self.must(
            Call::put(["site-b_v1", "_settings"]).json(&json!({"index.blocks.read_only": true})),
        )
        .await;
        for n in 0..5 {
            // Not refreshed: a count that does not refresh would miss them.
            self.must(Call::put(["site-a_v1", "_doc", &n.to_string()]).json(&json!({"n": n})))
                .await;
        }
    }

    async fn settled(&self, change: &Change, attempt: &Attempt) -> Probed {
        let begun = Instant::now();
        loop {
            match self.repository.probe(change, attempt).await.unwrap() {
                Probed::InProgress(_) => {}
                other => return other,
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it never ends");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn done(&self, change: &Change, attempt: &Attempt) -> Value {
        let acted = self.repository.act(change, attempt).await;
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
        match self.settled(change, attempt).await {
            Probed::Applied { evidence, .. } => evidence,
            other => panic!("{other:?}"),
        }
    }
}

fn attempt(step: &str, referred: Option<Value>) -> Attempt {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Attempt {
        run: RunId::new("r1").unwrap(),
        step: StepId::new(step).unwrap(),
        number: 1,
        token: format!("liftlock-r1-{step}-1"),
        intent_at_ms: i64::try_from(now.as_millis()).unwrap(),
        kept: Value::Null,
        facts: Facts::new(),
        answer: None,
        referred,
        made_by_run: BTreeMap::new(),
    }
}

async fn suite(bench: &Bench) {
    let register = Change::RegisterRepository {
        kind: "fs".into(),
        settings: Json::of(&json!({"location": bench.backups, "compress": true})),
    };
    assert!(matches!(
        bench.repository.read(&Read::SnapshotVerified).await,
        Err(ReadError::NotFound(_))
    ));
    let at = attempt("register", None);
    assert!(
        !bench
            .repository
            .observe(&register, &at)
            .await
            .unwrap()
            .already_true
    );
    bench.done(&register, &at).await;
    assert!(
        bench
            .repository
            .observe(&register, &at)
            .await
            .unwrap()
            .already_true
    );
    assert!(
        !bench
            .repository
            .read(&Read::SnapshotVerified)
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
    );

    bench.seed().await;
    let take = Change::TakeSnapshot {
        name: SnapshotName::new("site").unwrap(),
        indices: vec!["site-*".into()],
        except: vec!["site-team-*".into()],
    };
    let at = attempt("take", None);
    assert!(matches!(
        bench.repository.probe(&take, &at).await.unwrap(),
        Probed::Absent(_)
    ));
    let taken = bench.done(&take, &at).await;
    assert_eq!(
        (
            taken["snapshot"].as_str(),
            taken["indices"].as_u64(),
            taken["documents"].as_u64()
        ),
        (Some("site-r1-1"), Some(2), Some(6))
    );
    let none = bench
        .repository
        .evaluate(&Predicate::NoneRunning, None)
        .await
        .unwrap();
    assert!(none.holds, "{}", none.why);
    // The same attempt under another token is somebody else's snapshot.
    let mut foreign = at.clone();
    foreign.token = "other".into();
    assert!(matches!(
        bench.repository.probe(&take, &foreign).await.unwrap(),
        Probed::Indeterminate(_)
    ));

    let prove = Change::ProveSnapshot {
        taken_by: StepId::new("take").unwrap(),
    };
    let at = attempt("prove", Some(taken.clone()));
    assert!(matches!(
        bench.repository.probe(&prove, &at).await.unwrap(),
        Probed::Absent(_)
    ));
    let proved = bench.done(&prove, &at).await;
    assert_eq!(proved["documents"].as_u64(), Some(6));
    let copies = Read::Indices {
        pattern: "liftlock-trial-*".into(),
    };
    assert_eq!(
        bench
            .cluster
            .read(&copies)
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let aliases = bench
        .cluster
        .read(&Read::Aliases {
            pattern: "site-a".into(),
        })
        .await
        .unwrap();
    assert_eq!(
        aliases.as_array().unwrap().len(),
        1,
        "the copy has no alias: {aliases}"
    );
    assert!(
        bench
            .repository
            .clean_up(&prove, &at)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        bench
            .cluster
            .read(&copies)
            .await
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
    );

    // A copy that is not what was taken is no proof.
    let mut inventory: Value =
        serde_json::from_slice(&std::fs::read(taken["inventory"].as_str().unwrap()).unwrap())
            .unwrap();
    inventory["indices"][0]["docs"] = json!(6);
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(elsewhere.path(), inventory.to_string()).unwrap();
    let mut other = taken.clone();
    other["inventory"] = json!(elsewhere.path());
    let at = attempt("prove-again", Some(other));
    let acted = bench.repository.act(&prove, &at).await;
    assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    assert!(matches!(
        bench.settled(&prove, &at).await,
        Probed::Partial(_)
    ));
    assert!(
        bench
            .repository
            .clean_up(&prove, &at)
            .await
            .unwrap()
            .is_empty()
    );

    // Restore: refused over an open index, done where it is gone.
    let restore = Change::RestoreSnapshot {
        taken_by: StepId::new("take").unwrap(),
        indices: vec![IndexName::new("site-a_v1").unwrap()],
    };
    let at = attempt("restore", Some(taken));
    let acted = bench.repository.act(&restore, &at).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "index-there"),
        "{acted:?}"
    );
    bench.must(Call::delete(["site-a_v1"])).await;
    assert!(matches!(
        bench.repository.probe(&restore, &at).await.unwrap(),
        Probed::Absent(_)
    ));
    bench.done(&restore, &at).await;
    let aliases = bench
        .cluster
        .read(&Read::Aliases {
            pattern: "site-a".into(),
        })
        .await
        .unwrap();
    assert_eq!(aliases[0]["write"], json!(true), "{aliases}");

    let delete = Change::DeleteSnapshot {
        name: SnapshotName::new("site-r1-1").unwrap(),
    };
    let at = attempt("delete", None);
    assert!(matches!(
        bench.repository.probe(&delete, &at).await.unwrap(),
        Probed::Absent(_)
    ));
    bench.done(&delete, &at).await;

    unregisters(bench, &register).await;
}

/// Registered where none was: taken off as it was asked for, and only so; put back from what was kept.
async fn unregisters(bench: &Bench, register: &Change) {
    let undo = |change: &Change, kept: &Value| {
        let mut at = attempt("undo-of", None);
        at.kept = kept.clone();
        let mut undo = bench.repository.automatic_undo(change, &at).unwrap();
        assert_eq!(undo.len(), 1);
        undo.remove(0).change
    };
    let unregister = undo(register, &Value::Null);
    assert!(matches!(unregister, Change::UnregisterRepository { .. }));
    let other = Change::UnregisterRepository {
        kind: "fs".into(),
        settings: Json::of(&json!({"location": "/another"})),
    };
    let acted = bench.repository.act(&other, &attempt("other", None)).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "registered-otherwise"),
        "{acted:?}"
    );
    let mut at = attempt("unregister", None);
    let observed = bench.repository.observe(&unregister, &at).await.unwrap();
    assert!(!observed.already_true);
    at.kept = observed.kept;
    assert!(matches!(
        bench.repository.probe(&unregister, &at).await.unwrap(),
        Probed::Absent(_)
    ));
    bench.done(&unregister, &at).await;
    assert!(matches!(
        bench.repository.read(&Read::SnapshotVerified).await,
        Err(ReadError::NotFound(_))
    ));
    let observed = bench.repository.observe(&unregister, &at).await.unwrap();
    assert!(observed.already_true);
    // Sent twice, it is gone all the same.
    let acted = bench.repository.act(&unregister, &at).await;
    assert!(matches!(acted, Acted::Unanswered(_)), "{acted:?}");

    let again = undo(&unregister, &at.kept);
    bench.done(&again, &attempt("again", None)).await;
    // Where another registration was, that one comes back.
    let old = json!({"type": "fs", "settings": {"location": "/old"}});
    assert_eq!(
        undo(register, &old),
        Change::RegisterRepository {
            kind: "fs".into(),
            settings: Json::of(&json!({"location": "/old"})),
        }
    );
}

#[tokio::test]
async fn takes_proves_and_restores_on_the_simulated_clusters() {
    for product in [
        Product::OpenSearch2,
        Product::OpenSearch3,
        Product::Elasticsearch8,
    ] {
        let sim = SimCluster::builder(product)
            .path_repo(&["/backups"])
            .start()
            .await
            .unwrap();
        let kept = tempfile::tempdir().unwrap();
        suite(&Bench::new(&sim.url(), "/backups", kept.path())).await;
    }
}

#[tokio::test]
async fn takes_proves_and_restores_on_a_real_opensearch() {
    on_a_real(liftlock_lab::ServerKind::OpenSearch2).await;
}

#[tokio::test]
async fn takes_proves_and_restores_on_a_real_elasticsearch() {
    on_a_real(liftlock_lab::ServerKind::Elasticsearch8).await;
}

async fn on_a_real(kind: liftlock_lab::ServerKind) {
    let dir = tempfile::tempdir().unwrap();
    let server = liftlock_lab::Server::start(kind, dir.path()).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    let backups = server.repo_dir().join("liftlock").display().to_string();
    suite(&Bench::new(server.base_url(), &backups, kept.path())).await;
    server.stop().await;
}

#[tokio::test]
async fn a_registration_that_is_taken_back_is_as_it_was() {
    let settings = |location: &str| Json::of(&json!({"location": location, "compress": true}));
    let register = |location: &str| Change::RegisterRepository {
        kind: "fs".into(),
        settings: settings(location),
    };
    let unregister = Change::UnregisterRepository {
        kind: "fs".into(),
        settings: settings("/backups/a"),
    };
    for (there, change) in [
        (None, register("/backups/a")),
        (Some("/backups/a"), register("/backups/b")),
        (Some("/backups/a"), unregister),
    ] {
        let sim = SimCluster::builder(Product::OpenSearch2)
            .path_repo(&["/backups"])
            .start()
            .await
            .unwrap();
        let kept = tempfile::tempdir().unwrap();
        let bench = Bench::new(&sim.url(), "/backups", kept.path());
        if let Some(location) = there {
            bench
                .done(&register(location), &attempt("before", None))
                .await;
        }
        let before = sim.state_json();
        let pass = async |step: &str, change: &Change| {
            let mut at = attempt(step, None);
            at.facts = bench.repository.facts(change).await.unwrap();
            let observed = bench.repository.observe(change, &at).await.unwrap();
            assert!(!observed.already_true, "{change:?}");
            at.kept = observed.kept;
            let probed = bench.repository.probe(change, &at).await.unwrap();
            assert!(
                matches!(probed, Probed::Absent(_)),
                "{change:?}: {probed:?}"
            );
            bench.done(change, &at).await;
            at
        };
        let at = pass("change", &change).await;
        assert_ne!(sim.state_json(), before, "{change:?} changes nothing");
        let undos = bench.repository.automatic_undo(&change, &at).unwrap();
        for undo in &undos {
            pass("undo", &undo.change).await;
        }
        assert_eq!(sim.state_json(), before, "{change:?}");
        // Back already: nothing to send.
        for undo in &undos {
            let observed = bench.repository.observe(&undo.change, &at).await.unwrap();
            assert!(observed.already_true, "{undo:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_the_table_is_done_here() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let kept = tempfile::tempdir().unwrap();
    let bench = Bench::new(&sim.url(), "/backups", kept.path());
    let name = || SnapshotName::new("s").unwrap();
    let step = || StepId::new("take").unwrap();
    let changes = [
        Change::RegisterRepository {
            kind: "fs".into(),
            settings: Json::of(&json!({})),
        },
        Change::UnregisterRepository {
            kind: "fs".into(),
            settings: Json::of(&json!({})),
        },
        Change::TakeSnapshot {
            name: name(),
            indices: vec!["a".into()],
            except: vec![],
        },
        Change::ProveSnapshot { taken_by: step() },
        Change::RestoreSnapshot {
            taken_by: step(),
            indices: vec![],
        },
        Change::DeleteSnapshot { name: name() },
        Change::RestoreInto {
            taken_by: step(),
            indices: vec!["a".into()],
            except: vec![],
            replicas: None,
        },
    ];
    for rule in rules::RULES
        .iter()
        .filter(|rule| rule.verb.starts_with("snapshot."))
    {
        let change = changes
            .iter()
            .find(|change| change.verb().as_str() == rule.verb)
            .unwrap();
        bench.repository.facts(change).await.unwrap();
    }
    assert!(
        bench
            .repository
            .facts(&Change::StopService {})
            .await
            .is_err()
    );
}

//! From one cluster into another: on simulated clusters and on real ones, what a step took is there, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use liftlock_cluster::{Call, Cluster, ClusterConfig, Credentials};
use liftlock_lab::{Server, ServerKind};
use liftlock_snapshot::{Repository, SnapshotConfig};
use liftlock_testkit::{Product, SimBuilder, SimCluster};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Facts, Json, Planned, Probed, Read, RunId,
    SnapshotName, StepId,
};
use serde_json::{Value, json};

/// How long a restore may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

const TAXI: &str = "&nyc.taxi";
const USERS: &str = "%kuzzle.users";
const GUARDED: &str = "&nyc.guarded";

/// One cluster with its repository.
struct Side {
    cluster: Arc<Cluster>,
    repository: Repository,
    location: String,
    step: std::cell::Cell<u32>,
}

impl Side {
    fn new(name: &str, url: &str, location: &str, kept: &Path) -> Self {
        let binding = Binding::new(format!("cluster.{name}")).unwrap();
        let config = ClusterConfig::of_node(url);
        let cluster =
            Arc::new(Cluster::open(binding.clone(), &config, &Credentials::None).unwrap());
        let config = SnapshotConfig {
            cluster: binding,
            repository: "migration".into(),
        };
        let on = Binding::new(format!("snapshot.{name}")).unwrap();
        let repository = Repository::open(on, &config, cluster.clone(), kept).unwrap();
        Self {
            cluster,
            repository,
            location: location.into(),
            step: 0.into(),
        }
    }

    async fn send(&self, call: Call) {
        let acted = self.cluster.send(&call.token("operator")).await;
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    }

    async fn put(&self, path: &[&str], body: Value) {
        self.send(Call::put(path.iter().copied()).json(&body)).await;
    }

    fn attempt(&self, referred: Option<&Value>) -> Attempt {
        self.step.set(self.step.get() + 1);
        let step = format!("s{}", self.step.get());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Attempt {
            run: RunId::new("r1").unwrap(),
            token: format!("liftlock-r1-{step}-1"),
            step: StepId::new(step).unwrap(),
            number: 1,
            intent_at_ms: i64::try_from(now.as_millis()).unwrap(),
            kept: Value::Null,
            facts: Facts::new(),
            answer: None,
            referred: referred.cloned(),
            made_by_run: BTreeMap::new(),
        }
    }

    /// Where it comes to in the end.
    async fn settled(&self, on: &dyn Capability, change: &Change, attempt: &Attempt) -> Probed {
        let begun = Instant::now();
        loop {
            match on.probe(change, attempt).await.unwrap() {
                Probed::InProgress(_) => {}
                other => return other,
            }
            assert!(begun.elapsed() < PATIENCE, "{change:?} never ends");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn done(&self, change: &Change, attempt: &Attempt) -> Value {
        let acted = self.repository.act(change, attempt).await;
        assert!(matches!(acted, Acted::Answered(_)), "{change:?}: {acted:?}");
        self.applied(change, attempt).await
    }

    async fn applied(&self, change: &Change, attempt: &Attempt) -> Value {
        match self.settled(&self.repository, change, attempt).await {
            Probed::Applied { evidence, .. } => evidence,
            other => panic!("{change:?}: {other:?}"),
        }
    }

    async fn partial(&self, change: &Change, attempt: &Attempt) -> Value {
        match self.settled(&self.repository, change, attempt).await {
            Probed::Partial(seen) => seen,
            other => panic!("{change:?}: {other:?}"),
        }
    }

    /// Refused before anything is sent, with this kind and these words.
    async fn refuses(&self, change: &Change, attempt: &Attempt, kind: &str, words: &str) {
        match self.repository.act(change, attempt).await {
            Acted::Refused {
                status: 0,
                kind: found,
                text,
                ..
            } => assert!(found == kind && text.contains(words), "{found}: {text}"),
            other => panic!("{other:?}"),
        }
    }

    async fn register(&self, readonly: bool) {
        let mut settings = json!({"location": self.location});
        if readonly {
            settings["readonly"] = json!(true);
        }
        let register = Change::RegisterRepository {
            kind: "fs".into(),
            settings: Json::of(&settings),
        };
        self.done(&register, &self.attempt(None)).await;
    }

    async fn take(&self, name: &str) -> Value {
        let take = Change::TakeSnapshot {
            name: SnapshotName::new(name).unwrap(),
            indices: vec!["&*".into(), "%*".into()],
            except: vec![],
        };
        self.done(&take, &self.attempt(None)).await
    }

    /// Index, documents, replicas, by name.
    async fn there(&self) -> Vec<(String, u64, u64)> {
        let mut found = Vec::new();
        for pattern in ["&*", "%*", "other*"] {
            let read = Read::Indices {
                pattern: pattern.into(),
            };
            for index in self.cluster.read(&read).await.unwrap().as_array().unwrap() {
                let name = index["name"].as_str().unwrap().to_owned();
                let read = Read::Count {
                    index: name.clone(),
                    query: None,
                };
                let count = self.cluster.read(&read).await.unwrap().as_u64().unwrap();
                found.push((name, count, index["replicas"].as_u64().unwrap()));
            }
        }
        found.sort();
        found
    }

    async fn aliases(&self) -> Value {
        let pattern = "@*".into();
        self.cluster.read(&Read::Aliases { pattern }).await.unwrap()
    }

    async fn seed(&self) {
        let replicas = json!({"index.number_of_replicas": 1});
        self.put(
            &[TAXI],
            json!({"settings": replicas, "aliases": {"@&nyc.taxi": {}, "@few": {"filter": {"term": {"n": 1}}}}}),
        )
        .await;
        self.put(
            &[USERS],
            json!({"settings": {"index.number_of_replicas": 0, "index.number_of_shards": 2},
                "aliases": {"@%kuzzle.users": {"is_write_index": true}}}),
        )
        .await;
        for name in [GUARDED, "&team.secret"] {
            let alias = format!("@{name}");
            let body = json!({"settings": replicas, "aliases": {alias: {}}});
            self.put(&[name], body).await;
        }
        for n in 0..7 {
            for name in [TAXI, USERS, GUARDED, "&team.secret", "other"] {
                self.put(&[name, "_doc", &format!("{n}")], json!({"n": n}))
                    .await;
            }
        }
        self.put(&[GUARDED, "_settings"], json!({"index.blocks.write": true}))
            .await;
    }
}

fn restore_into(replicas: Option<u32>) -> Change {
    Change::RestoreInto {
        taken_by: StepId::new("take").unwrap(),
        indices: vec!["&*".into(), "%*".into()],
        except: vec!["&team.*".into()],
        replicas,
    }
}

/// Both clusters see one store.
async fn suite(old: &Side, new: &Side) {
    old.register(false).await;
    old.seed().await;
    let taken = old.take("site").await;
    assert_eq!(taken["indices"], 4);
    new.register(true).await;
    let change = restore_into(Some(0));

    // Somebody's own index under one of the names, open or closed: nothing is sent.
    for is_open in [true, false] {
        new.put(&[TAXI, "_doc", "mine"], json!({"n": 1})).await;
        if !is_open {
            new.send(Call::post([TAXI, "_close"])).await;
        }
        let attempt = new.attempt(Some(&taken));
        let observed = new.repository.observe(&change, &attempt).await.unwrap();
        assert!(!observed.already_true, "{observed:?}");
        new.refuses(&change, &attempt, "index-there", TAXI).await;
        new.send(Call::delete([TAXI])).await;
    }
    // The snapshot is meant by its uuid, too.
    let mut another = taken.clone();
    another["uuid"] = json!("another");
    let attempt = new.attempt(Some(&another));
    new.refuses(&change, &attempt, "no-snapshot", "is not the one")
        .await;
    let none = Change::RestoreInto {
        taken_by: StepId::new("take").unwrap(),
        indices: vec!["nothing-*".into()],
        except: vec![],
        replicas: None,
    };
    let attempt = new.attempt(Some(&taken));
    new.refuses(&none, &attempt, "nothing-to-restore", "no index")
        .await;

    let mut attempt = new.attempt(Some(&taken));
    assert!(matches!(
        new.repository.probe(&change, &attempt).await.unwrap(),
        Probed::Absent(_)
    ));
    let evidence = new.done(&change, &attempt).await;
    assert_eq!(
        (&evidence["indices"], &evidence["documents"]),
        (&json!(3), &json!(21))
    );
    let whole = vec![
        (USERS.to_owned(), 7, 0),
        (GUARDED.to_owned(), 7, 0),
        (TAXI.to_owned(), 7, 0),
    ];
    assert_eq!(new.there().await, whole);
    let mut before = old.aliases().await;
    let aliases = before.as_array_mut().unwrap();
    aliases.retain(|alias| alias["index"] != "&team.secret");
    assert_eq!(new.aliases().await, before);
    // The guard stayed behind.
    let read = Read::IndexSettings {
        index: GUARDED.into(),
    };
    let settings = new.cluster.read(&read).await.unwrap();
    assert_eq!(settings.get("index.blocks.write"), None, "{settings}");

    // After a crash that lost the outcome, whoever looks finds it done.
    let observed = new.repository.observe(&change, &attempt).await.unwrap();
    assert!(observed.already_true, "{observed:?}");
    missing_ones_are_restored(new, &change, &attempt).await;

    // Recorded done: its uuids count, and those who use it may write to it.
    let facts = new.repository.facts(&change).await.unwrap();
    attempt.made_by_run.extend(facts);
    goes_back_unless_written(new, &change, &mut attempt, &whole).await;
}

async fn missing_ones_are_restored(new: &Side, change: &Change, attempt: &Attempt) {
    new.send(Call::delete([TAXI])).await;
    let seen = new.partial(change, attempt).await;
    assert_eq!(seen["missing"], json!([TAXI]));
    let uuid = async || {
        let pattern = USERS.into();
        let found = new.cluster.read(&Read::Indices { pattern }).await.unwrap();
        found[0]["uuid"].clone()
    };
    let before = uuid().await;
    new.done(change, attempt).await;
    assert_eq!(uuid().await, before, "what was there stays as it was");

    // Made anew by somebody, with as many documents: it is not what was taken.
    new.send(Call::delete([TAXI])).await;
    for n in 0..7 {
        new.put(&[TAXI, "_doc", &format!("{n}")], json!({"n": n}))
            .await;
    }
    let seen = new.partial(change, attempt).await;
    assert_eq!(seen["others"], json!([TAXI]));
    new.refuses(change, attempt, "index-there", TAXI).await;
    new.send(Call::delete([TAXI])).await;
    new.done(change, attempt).await;

    // An alias less is not what was taken.
    let remove = json!({"actions": [{"remove": {"index": TAXI, "alias": "@few"}}]});
    new.send(Call::post(["_aliases"]).json(&remove)).await;
    let seen = new.partial(change, attempt).await;
    assert!(
        seen["differences"].to_string().contains("aliases"),
        "{seen}"
    );
    new.send(Call::delete([TAXI])).await;
    new.done(change, attempt).await;
}

async fn goes_back_unless_written(
    new: &Side,
    change: &Change,
    attempt: &mut Attempt,
    whole: &[(String, u64, u64)],
) {
    let undo = async |attempt: &Attempt| -> Vec<Planned> {
        let undone = new.repository.undo_now(change, attempt).await.unwrap();
        undone.unwrap()
    };
    assert_eq!(undo(attempt).await.len(), 3);
    new.put(&[TAXI, "_doc", "later"], json!({"n": 1})).await;
    new.applied(change, attempt).await;
    assert_eq!(undo(attempt).await, [], "somebody's document is in it");
    let mut forgotten = attempt.clone();
    forgotten.made_by_run.clear();
    let seen = new.partial(change, &forgotten).await;
    assert!(
        seen["differences"].to_string().contains("it has 8"),
        "{seen}"
    );

    // Its uuid is gone: what now bears the name is somebody else's, though it is of the same snapshot.
    new.send(Call::delete([TAXI])).await;
    new.done(change, &forgotten).await;
    let seen = new.partial(change, attempt).await;
    assert_eq!(seen["others"], json!([TAXI]));
    attempt.made_by_run = new
        .repository
        .facts(change)
        .await
        .unwrap()
        .into_iter()
        .collect();
    new.applied(change, attempt).await;
    assert_eq!(new.there().await, whole);

    for planned in undo(attempt).await {
        assert_eq!(planned.binding, *new.cluster.binding());
        let deleting = new.attempt(None);
        let acted = new.cluster.act(&planned.change, &deleting).await;
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
        let settled = new.settled(&*new.cluster, &planned.change, &deleting).await;
        assert!(matches!(settled, Probed::Applied { .. }), "{settled:?}");
    }
    assert_eq!(new.there().await, []);
}

/// What the newer cluster took, the older one is not even asked to restore.
async fn an_older_cluster_is_refused(newer: &Side, older: &Side) {
    newer.register(false).await;
    newer.seed().await;
    let taken = newer.take("newer").await;
    older.register(true).await;
    let attempt = older.attempt(Some(&taken));
    older
        .refuses(&restore_into(None), &attempt, "older-cluster", "newer")
        .await;
}

fn simulated(product: Product, version: &str) -> SimBuilder {
    SimCluster::builder(product)
        .node_version(0, version)
        .path_repo(&["/backups"])
}

/// The second one stands on the folders of the first.
async fn pair(product: Product, [first, second]: [&str; 2]) -> [SimCluster; 2] {
    let first = simulated(product, first).start().await.unwrap();
    let second = simulated(product, second).folders_of(&first);
    let second = second.start().await.unwrap();
    [first, second]
}

#[tokio::test]
async fn what_was_taken_is_restored_into_another_simulated_cluster() {
    for (product, from, to) in [
        (Product::Elasticsearch8, "7.17.15", "8.19.13"),
        (Product::OpenSearch2, "1.3.13", "2.19.1"),
    ] {
        let [old, new] = pair(product, [from, to]).await;
        let kept = tempfile::tempdir().unwrap();
        let side = |name: &str, sim: &SimCluster, location: &str| {
            Side::new(name, &sim.url(), location, kept.path())
        };
        suite(
            &side("old", &old, "/backups/a"),
            &side("new", &new, "/backups/a"),
        )
        .await;
    }
}

#[tokio::test]
async fn an_older_simulated_cluster_is_not_asked() {
    let [newer, older] = pair(Product::Elasticsearch8, ["8.19.13", "7.17.15"]).await;
    let kept = tempfile::tempdir().unwrap();
    an_older_cluster_is_refused(
        &Side::new("newer", &newer.url(), "/backups/b", kept.path()),
        &Side::new("older", &older.url(), "/backups/b", kept.path()),
    )
    .await;
}

#[tokio::test]
async fn what_elasticsearch_7_took_is_restored_into_elasticsearch_8() {
    let dir = tempfile::tempdir().unwrap();
    let old = Server::start(ServerKind::Elasticsearch7, dir.path().join("old"))
        .await
        .unwrap();
    // One store for both, where the second may read it too.
    let home = dir.path().join("new");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::symlink(old.repo_dir(), home.join("repo")).unwrap();
    let new = Server::start(ServerKind::Elasticsearch8, home)
        .await
        .unwrap();
    let kept = tempfile::tempdir().unwrap();
    let side = |name: &str, server: &Server, folder: &str| {
        let location = server.repo_dir().join(folder).display().to_string();
        Side::new(name, server.base_url(), &location, kept.path())
    };
    suite(&side("old", &old, "a"), &side("new", &new, "a")).await;
    let (older, newer) = (side("old", &old, "b"), side("new", &new, "b"));
    newer.send(Call::delete(["_snapshot", "migration"])).await;
    older.send(Call::delete(["_snapshot", "migration"])).await;
    an_older_cluster_is_refused(&newer, &older).await;
    new.stop().await;
    old.stop().await;
}

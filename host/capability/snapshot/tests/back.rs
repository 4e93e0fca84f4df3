//! The way back out of a snapshot: on the simulated clusters and on real servers, all is as it was.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use liftlock_cluster::{Call, Cluster, ClusterConfig, Credentials};
use liftlock_lab::{Server, ServerKind};
use liftlock_snapshot::{Repository, SnapshotConfig};
use liftlock_testkit::{Product, SimCluster};
use liftlock_types::facts::cluster::TemplateKind;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Facts, IndexName, Json, Planned, Probed, Read,
    RunId, SnapshotName, StepId,
};
use serde_json::{Value, json};

/// How long a restore may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

struct Site {
    cluster: Arc<Cluster>,
    repository: Repository,
    steps: std::cell::Cell<u32>,
}

impl Site {
    fn new(url: &str, kept: &Path) -> Self {
        let binding = Binding::new("cluster.database").unwrap();
        let config = ClusterConfig::of_node(url);
        let cluster =
            Arc::new(Cluster::open(binding.clone(), &config, &Credentials::None).unwrap());
        let config = SnapshotConfig {
            cluster: binding,
            repository: "backups".into(),
        };
        let on = Binding::new("snapshot.backups").unwrap();
        let repository = Repository::open(on, &config, cluster.clone(), kept).unwrap();
        Self {
            cluster,
            repository,
            steps: 0.into(),
        }
    }

    fn on(&self, binding: &Binding) -> &dyn Capability {
        if binding.capability() == "snapshot" {
            &self.repository
        } else {
            &*self.cluster
        }
    }

    async fn send(&self, call: Call) {
        let acted = self.cluster.send(&call.token("operator")).await;
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    }

    async fn put(&self, path: &[&str], body: Value) {
        self.send(Call::put(path.iter().copied()).json(&body)).await;
    }

    async fn attempt(&self, planned: &Planned, referred: Option<Value>) -> Attempt {
        self.steps.set(self.steps.get() + 1);
        let step = format!("s{}", self.steps.get());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let on = self.on(&planned.binding);
        let mut attempt = Attempt {
            run: RunId::new("r1").unwrap(),
            step: StepId::new(step.as_str()).unwrap(),
            number: 1,
            token: format!("liftlock-r1-{step}-1"),
            intent_at_ms: i64::try_from(now.as_millis()).unwrap(),
            kept: Value::Null,
            facts: on.facts(&planned.change).await.unwrap_or(Facts::new()),
            answer: None,
            referred,
            made_by_run: BTreeMap::new(),
        };
        let observed = on.observe(&planned.change, &attempt).await.unwrap();
        assert!(!observed.already_true, "{planned:?}: {observed:?}");
        attempt.kept = observed.kept;
        attempt
    }

    /// As the gate does it: nothing of it is there before, all of it afterwards, and again when it is looked at anew.
    async fn pass(&self, planned: &Planned, referred: Option<Value>) -> Value {
        let on = self.on(&planned.binding);
        let attempt = self.attempt(planned, referred).await;
        let probed = on.probe(&planned.change, &attempt).await.unwrap();
        assert!(
            matches!(probed, Probed::Absent(_)),
            "{planned:?}: {probed:?}"
        );
        let acted = on.act(&planned.change, &attempt).await;
        assert!(
            matches!(acted, Acted::Answered(_)),
            "{planned:?}: {acted:?}"
        );
        let begun = Instant::now();
        let evidence = loop {
            match on.probe(&planned.change, &attempt).await.unwrap() {
                Probed::Applied { evidence, .. } => break evidence,
                Probed::InProgress(_) => {}
                other => panic!("{planned:?}: {other:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "{planned:?} never ends");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let again = on.observe(&planned.change, &attempt).await.unwrap();
        let is_once = matches!(planned.change, Change::TakeSnapshot { .. });
        assert!(again.already_true || is_once, "{planned:?}: {again:?}");
        evidence
    }

    async fn list(&self, read: Read) -> Vec<Value> {
        let answer = self.cluster.read(&read).await.unwrap();
        let of_test = |item: &Value| {
            let name = item["name"].as_str().unwrap_or_default();
            name.starts_with("site-") || name.starts_with("other-")
        };
        let mut items: Vec<Value> = answer.as_array().unwrap().clone();
        items.retain(of_test);
        items.sort_by_key(ToString::to_string);
        items
    }

    /// All of it that an operator sees, without what a restore gives anew.
    async fn picture(&self) -> Value {
        let mut indices = Vec::new();
        for found in self
            .list(Read::Indices {
                pattern: "*".into(),
            })
            .await
        {
            let index = found["name"].as_str().unwrap().to_owned();
            let mut settings = self
                .cluster
                .read(&Read::IndexSettings {
                    index: index.clone(),
                })
                .await
                .unwrap();
            settings.as_object_mut().unwrap().remove("index.uuid");
            let mappings = self
                .cluster
                .read(&Read::Mappings {
                    index: index.clone(),
                })
                .await
                .unwrap();
            let query = None;
            let docs = match found["open"] == json!(true) {
                true => self
                    .cluster
                    .read(&Read::Count {
                        index: index.clone(),
                        query,
                    })
                    .await
                    .unwrap(),
                false => json!("closed"),
            };
            indices.push(
                json!({"name": index, "settings": settings, "mappings": mappings, "docs": docs,
                "blocks": found["blocks"], "replicas": found["replicas"]}),
            );
        }
        let mut templates = Vec::new();
        for kind in [
            TemplateKind::Legacy,
            TemplateKind::Composable,
            TemplateKind::Component,
        ] {
            let pattern = "*".to_owned();
            templates.extend(self.list(Read::Templates { kind, pattern }).await);
        }
        let pattern = "*".into();
        json!({"indices": indices, "aliases": self.list(Read::Aliases { pattern }).await, "templates": templates})
    }

    fn planned(&self, change: Change) -> Planned {
        let binding = match change.verb().capability() {
            "snapshot" => Binding::new("snapshot.backups").unwrap(),
            _ => self.cluster.binding().clone(),
        };
        Planned {
            binding,
            change,
            fills: vec![],
        }
    }

    async fn seed(&self) {
        self.put(
            &["_template", "site-t1"],
            json!({"index_patterns": ["site-a*"], "order": 3, "settings": {"index.refresh_interval": "3s"},
                "mappings": {"properties": {"n": {"type": "long"}}}}),
        )
        .await;
        // No index has a name of this one yet.
        self.put(
            &["_template", "site-t2"],
            json!({"index_patterns": ["site-z*"], "order": 1}),
        )
        .await;
        self.put(
            &["_component_template", "site-part"],
            json!({"template": {"settings": {"index.number_of_replicas": 0}}}),
        )
        .await;
        self.put(
            &["_component_template", "site-unused"],
            json!({"template": {"settings": {"index.number_of_replicas": 0}}}),
        )
        .await;
        self.put(
            &["_index_template", "site-t3"],
            json!({"index_patterns": ["site-b*"], "priority": 500, "composed_of": ["site-part"]}),
        )
        .await;
        // Of an operator: replicas that no node of the lab can hold, blocks, write flags, a filter.
        self.put(
            &["site-a_v1"],
            json!({"settings": {"index.number_of_replicas": 1},
                "aliases": {"site-a": {"is_write_index": true}, "site-all": {},
                    "site-few": {"filter": {"term": {"n": 1}}}}}),
        )
        .await;
        self.put(
            &["site-b_v1"],
            json!({"settings": {"index.blocks.write": false},
                "mappings": {"properties": {"n": {"type": "long"}, "text": {"type": "keyword"}}},
                "aliases": {"site-b": {"is_write_index": true}, "site-all": {}}}),
        )
        .await;
        self.put(
            &["site-c_v1"],
            json!({"settings": {"index.number_of_replicas": 0}}),
        )
        .await;
        self.put(
            &["other-a"],
            json!({"settings": {"index.number_of_replicas": 0}}),
        )
        .await;
        for n in 0..5 {
            for index in ["site-a_v1", "site-b_v1", "site-c_v1", "other-a"] {
                self.put(&[index, "_doc", &n.to_string()], json!({"n": n}))
                    .await;
            }
        }
        self.send(Call::post(["site-c_v1", "_close"])).await;
    }

    /// What an upgrade, and what a vendor's program, do to it.
    async fn upgrade(&self) {
        self.put(
            &["site-a_v2"],
            json!({"settings": {"index.number_of_replicas": 0}, "aliases": {"site-all": {}}}),
        )
        .await;
        self.send(Call::delete(["site-a_v1"])).await;
        self.send(Call::post(["_aliases"]).json(&json!({"actions": [
            {"add": {"index": "site-a_v2", "alias": "site-a", "is_write_index": true}}]})))
            .await;
        self.send(Call::delete(["_template", "site-t1"])).await;
        self.send(Call::delete(["_template", "site-t2"])).await;
        self.send(Call::delete(["_index_template", "site-t3"]))
            .await;
        self.send(Call::delete(["_component_template", "site-part"]))
            .await;
        self.put(
            &["_component_template", "site-unused"],
            json!({"template": {"settings": {"index.number_of_replicas": 2}}}),
        )
        .await;
        self.put(
            &["_component_template", "site-came"],
            json!({"template": {"settings": {"index.number_of_replicas": 2}}}),
        )
        .await;
        self.put(
            &["_index_template", "site-t8"],
            json!({"index_patterns": ["site-fresh*"], "priority": 501, "composed_of": ["site-came"]}),
        )
        .await;
        self.put(
            &["_template", "site-t9"],
            json!({"index_patterns": ["site-new*"], "order": 9}),
        )
        .await;
        self.put(
            &["site-new_v1"],
            json!({"settings": {"index.number_of_replicas": 0}}),
        )
        .await;
        self.put(
            &["site-b_v1", "_doc", "1"],
            json!({"n": 1, "text": "changed"}),
        )
        .await;
        self.put(
            &["site-b_v1", "_settings"],
            json!({"index.number_of_replicas": 0}),
        )
        .await;
        // A neighbour goes on meanwhile.
        self.put(&["other-a", "_doc", "9"], json!({"n": 9})).await;
    }
}

fn index(name: &str) -> IndexName {
    IndexName::new(name).unwrap()
}

fn step() -> StepId {
    StepId::new("take").unwrap()
}

fn restore(names: &[&str]) -> Change {
    Change::RestoreSnapshot {
        taken_by: step(),
        indices: names.iter().map(|name| index(name)).collect(),
    }
}

async fn suite(site: &Site, backups: &str) {
    let register = Change::RegisterRepository {
        kind: "fs".into(),
        settings: Json::of(&json!({"location": backups})),
    };
    site.pass(&site.planned(register), None).await;
    site.seed().await;
    let before = site.picture().await;
    let take = Change::TakeSnapshot {
        name: SnapshotName::new("site").unwrap(),
        indices: vec!["site-*".into()],
        except: vec!["site-team-*".into()],
    };
    let taken = site.pass(&site.planned(take.clone()), None).await;
    assert_eq!(taken["indices"], 3);
    let uuid_of = async |name: &str| {
        let found = site
            .list(Read::Indices {
                pattern: "*".into(),
            })
            .await;
        let found = found.into_iter().find(|found| found["name"] == json!(name));
        found.map(|found| found["uuid"].as_str().unwrap().to_owned())
    };
    only_what_is_gone_comes_back(site, &take, &taken).await;

    site.upgrade().await;
    assert_ne!(site.picture().await, before);
    let old = uuid_of("site-b_v1").await;
    // A vendor's program may have changed anything: all that the patterns mean goes back.
    let task = Change::RunTask {
        name: "vendor".into(),
        rerun_safe: None,
    };
    let back = site
        .repository
        .going_back(&step(), &take, &taken, &task)
        .await
        .unwrap();
    for planned in &back {
        let referred = planned.change.refers_to().map(|_| taken.clone());
        site.pass(planned, referred).await;
    }
    assert_ne!(uuid_of("site-b_v1").await, old);
    // A second step that goes back to the same snapshot finds it back, but for what nobody could look into.
    let names = async || -> Vec<String> {
        let again = site
            .repository
            .going_back(&step(), &take, &taken, &task)
            .await
            .unwrap();
        again
            .iter()
            .filter_map(|planned| match &planned.change {
                Change::DeleteIndex { name, .. } => Some(name.to_string()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(names().await, ["site-c_v1"]);
    let mut after = site.picture().await;
    // The neighbour's document that came meanwhile is its own business; a closed index comes back open, and whole.
    let indices = after["indices"].as_array_mut().unwrap();
    let at = |indices: &[Value], name: &str| {
        let found = indices
            .iter()
            .position(|index| index["name"] == json!(name));
        found.unwrap()
    };
    let (other, closed) = (at(indices, "other-a"), at(indices, "site-c_v1"));
    assert_eq!(indices[other]["docs"], 6);
    indices[other]["docs"] = json!(5);
    assert_eq!(indices[closed]["docs"], 5);
    indices[closed]["docs"] = json!("closed");
    indices[closed]["settings"] = before["indices"][closed]["settings"].clone();
    indices[closed]["blocks"] = before["indices"][closed]["blocks"].clone();
    assert_eq!(after, before);

    // Another content, as many documents: it is not what was taken any more.
    site.put(
        &["site-b_v1", "_doc", "1"],
        json!({"n": 1, "text": "again"}),
    )
    .await;
    assert_eq!(names().await, ["site-b_v1", "site-c_v1"]);
}

/// One index that was deleted; what stands, or was made anew under the name, is told from it.
async fn only_what_is_gone_comes_back(site: &Site, take: &Change, taken: &Value) {
    let found = site
        .list(Read::Indices {
            pattern: "*".into(),
        })
        .await;
    let uuid = found[1]["uuid"].as_str().unwrap().to_owned();
    assert_eq!(found[1]["name"], "site-a_v1");
    let of = Change::DeleteIndex {
        name: index("site-a_v1"),
        uuid,
    };
    let restore = site.planned(restore(&["site-a_v1"]));
    let before = site.picture().await;

    // It stands: nothing to restore, and no restore over it.
    let back = site
        .repository
        .going_back(&step(), take, taken, &of)
        .await
        .unwrap();
    assert_eq!(back, []);
    let attempt = site.attempt(&restore, Some(taken.clone())).await;
    let probed = site.repository.probe(&restore.change, &attempt).await;
    assert!(matches!(probed, Ok(Probed::Absent(_))), "{probed:?}");
    for closed in [false, true] {
        if closed {
            site.send(Call::post(["site-a_v1", "_close"])).await;
        }
        let acted = site.repository.act(&restore.change, &attempt).await;
        assert!(
            matches!(&acted, Acted::Refused { kind, .. } if kind == "index-there"),
            "{acted:?}"
        );
    }

    // Another one with as many documents and the same mapping: it is not the one that was taken.
    site.pass(&site.planned(of.clone()), None).await;
    site.put(
        &["site-a_v1"],
        json!({"settings": {"index.number_of_replicas": 0}}),
    )
    .await;
    for n in 0..5 {
        let id = n.to_string();
        site.put(&["site-a_v1", "_doc", &id], json!({"n": n + 100}))
            .await;
    }
    let attempt = site.attempt(&restore, Some(taken.clone())).await;
    // Before the request it counts as what stands there; without a look before, as a restore that came out wrong.
    let probed = site.repository.probe(&restore.change, &attempt).await;
    assert!(matches!(probed, Ok(Probed::Absent(_))), "{probed:?}");
    let mut unseen = attempt.clone();
    unseen.kept = Value::Null;
    let probed = site.repository.probe(&restore.change, &unseen).await;
    assert!(
        matches!(&probed, Ok(Probed::Partial(seen)) if seen.to_string().contains("made anew")),
        "{probed:?}"
    );

    // What stands in the way goes by the uuid that it has now; then the old one comes back.
    let back = site
        .repository
        .going_back(&step(), take, taken, &of)
        .await
        .unwrap();
    let kinds: Vec<String> = back
        .iter()
        .map(|planned| planned.change.verb().to_string())
        .collect();
    assert_eq!(kinds, ["cluster.delete-index", "snapshot.restore"]);
    for planned in &back {
        let referred = planned.change.refers_to().map(|_| taken.clone());
        site.pass(planned, referred).await;
    }
    assert_eq!(site.picture().await, before);
}

#[tokio::test]
async fn all_is_as_it_was_on_the_simulated_clusters() {
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
        suite(&Site::new(&sim.url(), kept.path()), "/backups").await;
    }
}

async fn on_a_real(kind: ServerKind) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(kind, dir.path()).await.unwrap();
    let kept = tempfile::tempdir().unwrap();
    let backups = server.repo_dir().join("back").display().to_string();
    suite(&Site::new(server.base_url(), kept.path()), &backups).await;
    server.stop().await;
}

#[tokio::test]
async fn all_is_as_it_was_on_a_real_opensearch() {
    on_a_real(ServerKind::OpenSearch2).await;
}

#[tokio::test]
async fn all_is_as_it_was_on_a_real_elasticsearch() {
    on_a_real(ServerKind::Elasticsearch8).await;
}

//! The suite on the simulated cluster, and what only a simulated one does on purpose.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_cluster::{Cluster, ClusterConfig, Credentials, Deadlines};
use liftlock_testkit::{Fault, Method, Product, SimCluster};
use liftlock_types::{
    Acted, Attempt, Capability, Change, IndexName, Json, Probed, Read, ReadError,
};
use serde_json::json;

async fn on(product: Product, name: &str) {
    let sim = SimCluster::builder(product).start().await.unwrap();
    suite::everything(&suite::open(&sim.url()), name).await;
}

#[tokio::test]
async fn holds_on_a_simulated_opensearch_2() {
    on(Product::OpenSearch2, "OpenSearch 2.19").await;
}

#[tokio::test]
async fn holds_on_a_simulated_opensearch_3() {
    on(Product::OpenSearch3, "OpenSearch 3.3").await;
}

#[tokio::test]
async fn holds_on_a_simulated_elasticsearch_8() {
    on(Product::Elasticsearch8, "Elasticsearch 8.19").await;
}

fn create(name: &str) -> Change {
    Change::CreateIndex {
        name: IndexName::new(name).unwrap(),
        body: Json::new(r#"{"settings":{"index.number_of_replicas":0}}"#).unwrap(),
    }
}

fn config(urls: &[String]) -> ClusterConfig {
    let mut config = ClusterConfig::of_node(&urls[0]);
    config.nodes = urls.to_vec();
    config.deadlines = Deadlines {
        connect_ms: 1_000,
        read_ms: 2_000,
        change_ms: 2_000,
    };
    config
}

fn deletions(sim: &SimCluster, path: &str) -> Vec<(usize, Option<String>)> {
    sim.records()
        .into_iter()
        .filter(|record| record.method == "DELETE" && record.path == path)
        .map(|record| (record.node, record.opaque_id))
        .collect()
}

/// A deletion of an index that is there, and what it rests on.
async fn deletion(cluster: &Cluster, hand: &mut suite::Hand<'_>, name: &str) -> (Change, Attempt) {
    hand.pass(&create(name)).await;
    let found = cluster
        .read(&Read::Indices {
            pattern: name.into(),
        })
        .await
        .unwrap();
    let change = Change::DeleteIndex {
        name: IndexName::new(name).unwrap(),
        uuid: found[0]["uuid"].as_str().unwrap().into(),
    };
    let attempt = hand.attempt(&change).await;
    (change, attempt)
}

#[tokio::test]
async fn a_change_is_sent_once_whatever_becomes_of_its_answer() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .nodes(3)
        .start()
        .await
        .unwrap();
    let cluster = suite::open_with(&config(&sim.urls()), &Credentials::None);
    let mut hand = suite::Hand::new(&cluster);
    let busy = json!({"error": {"type": "process_cluster_event_timeout_exception", "reason": "r"}, "status": 503});
    for (n, fault) in [
        Fault::nth(1)
            .method(Method::DELETE)
            .path("/once-*")
            .drop_before(),
        Fault::nth(1)
            .method(Method::DELETE)
            .path("/once-*")
            .drop_after(),
        Fault::nth(1)
            .method(Method::DELETE)
            .path("/once-*")
            .slow(60_000),
        Fault::nth(1)
            .method(Method::DELETE)
            .path("/once-*")
            .status(503, busy),
        Fault::nth(1)
            .method(Method::DELETE)
            .path("/once-*")
            .status(404, json!({})),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("once-{n}");
        let (change, attempt) = deletion(&cluster, &mut hand, &name).await;
        sim.fault(fault);
        let acted = cluster.act(&change, &attempt).await;
        assert!(matches!(acted, Acted::Unanswered(_)), "{name}: {acted:?}");
        let sent = deletions(&sim, &format!("/{name}"));
        assert_eq!(sent.len(), 1, "{name}: {sent:?}");
        assert_eq!(sent[0].1.as_deref(), Some(attempt.token.as_str()));
        sim.clear_faults();
        let probed = cluster.probe(&change, &attempt).await.unwrap();
        let is_gone = cluster
            .read(&Read::Indices {
                pattern: name.clone(),
            })
            .await
            .unwrap()
            == json!([]);
        match probed {
            Probed::Applied { ours: false, .. } => assert!(is_gone, "{name}"),
            Probed::Absent(_) => assert!(!is_gone, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_yes_without_an_effect_is_no_evidence() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    let (change, attempt) = deletion(&cluster, &mut hand, "lied").await;
    sim.fault(Fault::nth(1).matching(Method::DELETE, "/lied").lie_200());
    assert!(matches!(
        cluster.act(&change, &attempt).await,
        Acted::Answered(_)
    ));
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
}

#[tokio::test]
async fn a_request_that_lands_late_is_seen_by_its_effect() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let cluster = suite::open_with(&config(&sim.urls()), &Credentials::None);
    let mut hand = suite::Hand::new(&cluster);
    let (change, attempt) = deletion(&cluster, &mut hand, "late").await;
    sim.fault(
        Fault::nth(1)
            .matching(Method::DELETE, "/late")
            .deliver_when_released(),
    );
    assert!(matches!(
        cluster.act(&change, &attempt).await,
        Acted::Unanswered(_)
    ));
    assert!(matches!(
        cluster.probe(&change, &attempt).await.unwrap(),
        Probed::Absent(_)
    ));
    assert_eq!(sim.release_late(), 1);
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
}

#[tokio::test]
async fn reads_go_to_another_node_and_changes_to_one_that_is_there() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .nodes(3)
        .start()
        .await
        .unwrap();
    let cluster = suite::open_with(&config(&sim.urls()), &Credentials::None);
    let before = cluster.identity().await.unwrap();
    sim.stop_node(0).await.unwrap();
    let after = cluster.identity().await.unwrap();
    assert_eq!(after.fingerprint, before.fingerprint);
    let mut hand = suite::Hand::new(&cluster);
    let change = Change::SetClusterSetting {
        key: "cluster.routing.allocation.enable".into(),
        value: Some("primaries".into()),
    };
    hand.pass(&change).await;
    sim.stop_node(1).await.unwrap();
    sim.stop_node(2).await.unwrap();
    let error = cluster.read(&Read::Health).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    // Nothing that sees a manager: nothing left this process.
    let change = create("nowhere");
    let mut other = suite::Hand::new(&cluster);
    sim.start_node(1).await.unwrap();
    sim.start_node(2).await.unwrap();
    let attempt = other.attempt(&change).await;
    sim.stop_node(1).await.unwrap();
    sim.stop_node(2).await.unwrap();
    // Nodes are believed for two seconds; the connection itself fails before that, which is as good.
    let acted = cluster.act(&change, &attempt).await;
    assert!(matches!(acted, Acted::NotSent(_)), "{acted:?}");
}

#[tokio::test]
async fn a_node_of_another_cluster_is_never_asked_for_evidence() {
    let ours = SimCluster::builder(Product::OpenSearch2)
        .seed(1)
        .start()
        .await
        .unwrap();
    let other = SimCluster::builder(Product::OpenSearch2)
        .seed(2)
        .start()
        .await
        .unwrap();
    assert_ne!(ours.identity_uuid(), other.identity_uuid());
    let cluster = suite::open_with(&config(&[ours.url(), other.url()]), &Credentials::None);
    let identity = cluster.identity().await.unwrap();
    assert_eq!(identity.fingerprint, ours.identity_uuid());
    ours.fault(Fault::always().path("/_cat/*").status(503, json!({})));
    other.clear_records();
    let error = cluster
        .read(&Read::Shards {
            pattern: "*".into(),
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("belongs to cluster"), "{error}");
    assert!(
        other
            .records()
            .iter()
            .all(|record| !record.path.starts_with("/_cat"))
    );
}

#[tokio::test]
async fn a_node_without_a_manager_is_no_evidence() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let lost =
        json!({"error": {"type": "master_not_discovered_exception", "reason": "r"}, "status": 503});
    sim.fault(Fault::always().path("/_cluster/health").status(503, lost));
    let cluster = suite::open(&sim.url());
    let error = cluster
        .read(&Read::Aliases {
            pattern: "*".into(),
        })
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("sees no elected manager"),
        "{error}"
    );
}

#[tokio::test]
async fn a_part_of_the_shards_is_no_count() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    hand.pass(&create("part")).await;
    sim.fault(Fault::always().path("/part/_count").shard_failure());
    let read = Read::Count {
        index: "part".into(),
        query: None,
    };
    let error = cluster.read(&read).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_yes_that_is_no_answer_ends_no_raw_request() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    let gone: Change =
        serde_json::from_value(json!({"verb": "cluster.raw-change", "method": "DELETE",
        "path": "/_ingest/pipeline/p", "query": [], "body": null, "touches": ["p"],
        "done_when": {"negated": true, "predicate": {"is": "answer-contains",
            "path": "/_ingest/pipeline/p", "query": [], "subset": r#"{"p":{}}"#}}}))
        .unwrap();
    assert!(
        sim.call("PUT", "/_ingest/pipeline/p", r#"{"processors":[]}"#)
            .0
            < 300
    );
    let attempt = hand.attempt(&gone).await;
    for lie in [json!({"acknowledged": true}), json!([]), json!("page")] {
        sim.fault(
            Fault::always()
                .method(Method::GET)
                .path("/_ingest/*")
                .status(200, lie.clone()),
        );
        let probed = cluster.probe(&gone, &attempt).await;
        assert!(
            matches!(probed, Err(ReadError::Unavailable(_))),
            "{lie}: {probed:?}"
        );
        sim.clear_faults();
    }
    let probed = cluster.probe(&gone, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
}

#[tokio::test]
async fn shows_what_a_task_moves() {
    for product in [Product::OpenSearch2, Product::Elasticsearch8] {
        let sim = SimCluster::builder(product)
            .task_docs_per_request(1)
            .start()
            .await
            .unwrap();
        suite::shows_what_a_task_moves(&suite::open(&sim.url())).await;
    }
}

fn copy(from: &str, to: &str) -> Change {
    Change::Reindex {
        source: IndexName::new(from).unwrap(),
        destination: IndexName::new(to).unwrap(),
        query: None,
        script: None,
        slices: Some(1),
        requests_per_second: None,
    }
}

#[tokio::test]
async fn a_task_that_is_lost_half_way_is_a_part() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .task_docs_per_request(1)
        .start()
        .await
        .unwrap();
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    hand.pass(&create("lost-a")).await;
    hand.pass(&create("lost-b")).await;
    for n in 0..200 {
        let (status, _) = sim.call("PUT", &format!("/lost-a/_doc/{n}"), "{}");
        assert!(status < 300);
    }
    let change = copy("lost-a", "lost-b");
    let attempt = hand.attempt(&change).await;
    assert!(matches!(
        cluster.act(&change, &attempt).await,
        Acted::Answered(_)
    ));
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::InProgress(_)), "{probed:?}");
    // Another process finds it by its token alone and does not send it again.
    let again = cluster.act(&change, &attempt).await;
    assert!(matches!(again, Acted::Unanswered(_)), "{again:?}");
    sim.step_tasks(50);
    sim.lose_tasks();
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(
        matches!(&probed, Probed::Partial(seen) if seen["missing"].as_u64() > Some(0)),
        "{probed:?}"
    );
}

#[tokio::test]
async fn an_index_of_task_records_that_may_be_anothers_stays_and_is_named() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let (status, _) = sim.call("PUT", "/.tasks", r#"{"settings":{"index.hidden":true}}"#);
    assert!(status < 300);
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    hand.pass(&create("copy-a")).await;
    hand.pass(&create("copy-b")).await;
    let (status, _) = sim.call("PUT", "/copy-a/_doc/1", "{}");
    assert!(status < 300);
    let change = copy("copy-a", "copy-b");
    let attempt = hand.attempt(&change).await;
    assert!(matches!(
        cluster.act(&change, &attempt).await,
        Acted::Answered(_)
    ));
    sim.step_tasks(50);
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
    let left = cluster.clean_up(&change, &attempt).await.unwrap();
    assert!(
        left.len() == 1 && left[0].contains("`.tasks`, empty"),
        "{left:?}"
    );
    assert_eq!(sim.call("GET", "/.tasks", "").0, 200);
}

#[tokio::test]
async fn removes_the_archived_settings_that_are_meant_and_no_others() {
    for product in [Product::OpenSearch2, Product::Elasticsearch8] {
        let sim = SimCluster::builder(product).start().await.unwrap();
        let cluster = suite::open(&sim.url());
        sim.archive_cluster_setting(false, "old.one", "1");
        sim.archive_cluster_setting(true, "old.two", "2");
        sim.archive_cluster_setting(false, "old.kept", "3");
        let kept = r#"{"transient":{"cluster.routing.allocation.enable":"all"}}"#;
        assert_eq!(sim.call("PUT", "/_cluster/settings", kept).0, 200);
        let keys = ["archived.old.one", "archived.old.two"].map(str::to_owned);
        let change = Change::RemoveArchivedSettings { keys: keys.into() };
        let mut hand = suite::Hand::new(&cluster);
        let done = hand.pass(&change).await;
        assert_eq!(cluster.automatic_undo(&change, &done), None);
        let held = sim
            .call("GET", "/_cluster/settings?flat_settings=true", "")
            .1;
        assert_eq!(held["persistent"], json!({"archived.old.kept": "3"}));
        assert_eq!(
            held["transient"],
            json!({"cluster.routing.allocation.enable": "all"})
        );
        // Its values stand in the intent: nobody can put them back, and somebody may want to know them.
        assert_eq!(done.kept["setting/archived.old.one"], "1");
        assert_eq!(done.kept["transient-setting/archived.old.two"], "2");
    }
}

#[tokio::test]
async fn removes_an_indexs_archived_settings_while_they_are_all_of_them() {
    let sim = SimCluster::builder(Product::Elasticsearch8)
        .start()
        .await
        .unwrap();
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    hand.make("a", json!({"settings": {"index.refresh_interval": "7s"}}))
        .await;
    hand.make("b", json!({})).await;
    assert!(sim.archive_index_setting("a", "index.old.one", "1"));
    assert!(sim.archive_index_setting("b", "index.old.one", "1"));
    let change = Change::RemoveArchivedIndexSettings {
        index: IndexName::new("a").unwrap(),
        keys: vec!["archived.index.old.one".into()],
    };
    let attempt = hand.attempt(&change).await;
    // One that nobody has shown to the operator came to it.
    assert!(sim.archive_index_setting("a", "index.old.two", "2"));
    let sent = sim.records().len();
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "archived-settings"),
        "{acted:?}"
    );
    assert!(
        sim.records()[sent..]
            .iter()
            .all(|record| record.method == "GET")
    );
    let change = Change::RemoveArchivedIndexSettings {
        index: IndexName::new("a").unwrap(),
        keys: vec![
            "archived.index.old.one".into(),
            "archived.index.old.two".into(),
        ],
    };
    hand.pass(&change).await;
    let settings = |index: &str| {
        let path = format!("/{index}/_settings?flat_settings=true");
        sim.call("GET", &path, "").1[index]["settings"].clone()
    };
    assert_eq!(settings("a")["index.refresh_interval"], "7s");
    assert_eq!(settings("a").get("archived.index.old.one"), None);
    assert_eq!(settings("b")["archived.index.old.one"], "1");
}

#[tokio::test]
async fn a_list_cannot_be_borrowed_as_it_could_not_be_given_back() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let cluster = suite::open(&sim.url());
    let key = "cluster.routing.allocation.awareness.attributes";
    let set = format!(r#"{{"persistent":{{"{key}":["rack","zone"]}}}}"#);
    assert_eq!(sim.call("PUT", "/_cluster/settings", &set).0, 200);
    let change = Change::SetClusterSetting {
        key: key.into(),
        value: None,
    };
    let attempt = suite::Hand::new(&cluster).attempt(&change).await;
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "list-setting"),
        "{acted:?}"
    );
}

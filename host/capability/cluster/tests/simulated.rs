//! The suite on the simulated cluster, and what only a simulated one does on purpose.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_cluster::{Cluster, ClusterConfig, Credentials, Deadlines};
use liftlock_testkit::{Fault, Method, Product, SimCluster};
use liftlock_types::{
    Acted, Attempt, Capability, Change, IndexName, Json, OnRejected, Probed, Read, ReadError,
};
use serde_json::json;

async fn on(product: Product, name: &str) {
    let sim = SimCluster::builder(product).start().await.unwrap();
    suite::everything(&suite::open(&sim.url()), name).await;
    suite::transform::everything(&sim.url()).await;
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

/// A transform of this many documents on a simulated cluster, ready to be begun.
async fn transforming(
    sim: &SimCluster,
    documents: usize,
    dir: &std::path::Path,
) -> (std::sync::Arc<Cluster>, Change, Attempt) {
    let (cluster, _) = suite::transform::lent(&sim.url(), suite::transform::taking(), dir);
    let mut hand = suite::Hand::new(&cluster);
    hand.pass(&create("tf-from")).await;
    suite::transform::fill(&cluster, "tf-from", documents).await;
    hand.pass(&create("tf-to")).await;
    let change = suite::transform::change("tf-from", "tf-to", OnRejected::Stop);
    let attempt = hand.attempt(&change).await;
    (cluster.clone(), change, attempt)
}

fn bulks(sim: &SimCluster) -> usize {
    let records = sim.records();
    records
        .iter()
        .filter(|record| record.path == "/tf-to/_bulk")
        .count()
}

#[tokio::test]
async fn a_destination_that_is_busy_or_does_not_answer_is_offered_it_again() {
    let busy = json!({"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429});
    let item = json!({"create": {"status": 429, "error": busy["error"]}});
    let each = json!({"items": vec![item; 49]});
    let on = |fault: liftlock_testkit::FaultOn| fault.path("/tf-to/_bulk");
    for (fault, sent) in [
        (on(Fault::range(1, 2)).status(429, busy.clone()), 3),
        (on(Fault::range(1, 2)).status(200, each), 3),
        (on(Fault::nth(1)).drop_before(), 2),
        // It was done, and the answer is lost.
        (on(Fault::nth(1)).drop_after(), 2),
    ] {
        let sim = SimCluster::builder(Product::OpenSearch2)
            .start()
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (cluster, change, attempt) = transforming(&sim, 50, dir.path()).await;
        sim.fault(fault);
        suite::transform::begin(&cluster, &change, &attempt).await;
        let over = suite::transform::until_over(&cluster, &change, &attempt).await;
        let Probed::Applied { evidence, .. } = over else {
            panic!("{over:?}")
        };
        assert_eq!(evidence["written"], 49);
        assert_eq!(bulks(&sim), sent);
    }
}

#[tokio::test]
async fn documents_that_a_server_only_says_to_have_taken_are_missed_at_the_end() {
    let sim = SimCluster::builder(Product::Elasticsearch8)
        .start()
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cluster, change, attempt) = transforming(&sim, 50, dir.path()).await;
    let lie = json!({"items": vec![json!({"create": {"status": 201}}); 49]});
    sim.fault(Fault::nth(1).path("/tf-to/_bulk").status(200, lie));
    suite::transform::begin(&cluster, &change, &attempt).await;
    let over = suite::transform::until_over(&cluster, &change, &attempt).await;
    assert!(
        matches!(&over, Probed::Partial(seen) if seen["why"].as_str().unwrap().contains("is not what was written")),
        "{over:?}"
    );
}

#[tokio::test]
async fn a_source_that_moves_while_it_is_read_is_found_out() {
    let sim = SimCluster::builder(Product::OpenSearch3)
        .start()
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cluster, change, attempt) = transforming(&sim, 50, dir.path()).await;
    sim.fault(Fault::nth(1).path("/tf-to/_bulk").slow(1_000));
    suite::transform::begin(&cluster, &change, &attempt).await;
    while bulks(&sim) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (status, _) = sim.call("DELETE", "/tf-from/_doc/id 9%2F%25", "");
    assert!(status < 300);
    let over = suite::transform::until_over(&cluster, &change, &attempt).await;
    assert!(
        matches!(&over, Probed::Partial(seen) if seen["why"].as_str().unwrap().contains("moved while it was read")),
        "{over:?}"
    );
}

#[tokio::test]
async fn an_index_that_is_gone_is_not_made_again() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cluster, change, attempt) = transforming(&sim, 5_000, dir.path()).await;
    let busy = json!({"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429});
    sim.fault(Fault::range(1, 6).path("/tf-to/_bulk").status(429, busy));
    suite::transform::begin(&cluster, &change, &attempt).await;
    while bulks(&sim) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(sim.call("DELETE", "/tf-to", "").0 < 300);
    let over = suite::transform::until_over(&cluster, &change, &attempt).await;
    assert!(
        matches!(&over, Probed::Partial(seen) if seen["why"].as_str().unwrap().contains("there is no index `tf-to`")),
        "{over:?}"
    );
    assert_eq!(sim.call("HEAD", "/tf-to", "").0, 404);
}

#[tokio::test]
async fn work_that_nobody_looks_at_ends() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (cluster, change, attempt) = transforming(&sim, 50, dir.path()).await;
    let busy = json!({"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429});
    sim.fault(Fault::always().path("/tf-to/_bulk").status(429, busy));
    suite::transform::begin(&cluster, &change, &attempt).await;
    // Longer than it goes on unseen: this is what is tested, and no wait for something that happens.
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    sim.clear_faults();
    let before = bulks(&sim);
    let over = suite::transform::until_over(&cluster, &change, &attempt).await;
    assert!(
        matches!(&over, Probed::Partial(seen) if seen["why"].as_str().unwrap().contains("nobody looks at it")),
        "{over:?}"
    );
    assert_eq!(bulks(&sim), before);
}

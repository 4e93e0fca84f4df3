//! Every kind with an automatic undo: changed on a simulated cluster and taken back, the cluster is as it was.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use std::collections::BTreeSet;

use liftlock_cluster::Cluster;
use liftlock_testkit::{Product, SimCluster};
use liftlock_types::rules::RULES;
use liftlock_types::{Capability, Change, UNDONE_BY};
use serde_json::{Value, json};

fn change(text: Value) -> Change {
    serde_json::from_value(text).unwrap()
}

/// What a change finds, by requests that only a test makes.
struct Setup(&'static [(&'static str, &'static str, &'static str)]);

/// Its mapping has what the documents have: what a document adds to one, no server takes back.
const INDEX: (&str, &str, &str) = (
    "PUT",
    "/a",
    r#"{"settings":{"index.number_of_replicas":0,"index.refresh_interval":"7s"},"mappings":{"properties":{"v":{"type":"long"},"more":{"type":"boolean"}}},"aliases":{"al":{"is_write_index":true}}}"#,
);
const DOCUMENT: (&str, &str, &str) = ("PUT", "/a/_doc/1", r#"{"v":1,"more":true}"#);
const LEGACY: (&str, &str, &str) = (
    "PUT",
    "/_template/t",
    r#"{"index_patterns":["t-*"],"order":3,"settings":{"number_of_shards":2}}"#,
);
const COMPONENT: (&str, &str, &str) = (
    "PUT",
    "/_component_template/c",
    r#"{"template":{"settings":{"number_of_shards":2}},"_meta":{"by":"site"}}"#,
);
const COMPOSABLE: (&str, &str, &str) = (
    "PUT",
    "/_index_template/t",
    r#"{"index_patterns":["t-*"],"priority":9,"template":{"aliases":{"x":{}}}}"#,
);
const SETTING: (&str, &str, &str) = (
    "PUT",
    "/_cluster/settings",
    r#"{"persistent":{"cluster.routing.allocation.enable":"all"}}"#,
);
const TRANSIENT: (&str, &str, &str) = (
    "PUT",
    "/_cluster/settings",
    r#"{"transient":{"cluster.routing.allocation.enable":"none"}}"#,
);

/// Name, what is there before, and the change.
fn table() -> Vec<(&'static str, Setup, Change)> {
    let template = |kind: &str, name: &str, body: &str| {
        change(json!({"verb": "cluster.put-template", "kind": kind, "name": name, "body": body}))
    };
    let no_template = |kind: &str, name: &str| {
        change(json!({"verb": "cluster.delete-template", "kind": kind, "name": name}))
    };
    let aliases =
        |actions: Value| change(json!({"verb": "cluster.update-aliases", "actions": actions}));
    let settings = |settings: &str| {
        change(json!({"verb": "cluster.put-settings", "index": "a", "settings": settings}))
    };
    let setting = |value: Option<&str>| {
        change(json!({"verb": "cluster.set-cluster-setting",
            "key": "cluster.routing.allocation.enable", "value": value}))
    };
    let transient = |value: Option<&str>| {
        change(json!({"verb": "cluster.set-transient-setting",
            "key": "cluster.routing.allocation.enable", "value": value}))
    };
    let for_good = |scope: &str, settings: Value| {
        change(
            json!({"verb": "cluster.put-cluster-settings", "scope": scope,
            "settings": settings.to_string()}),
        )
    };
    const PATTERNS: &str = r#"{"index_patterns":["t-*"]}"#;
    vec![
        (
            "an index that was not there",
            Setup(&[]),
            change(json!({"verb": "cluster.create-index", "name": "new",
                "body": r#"{"settings":{"index.number_of_replicas":0},"aliases":{"al":{}}}"#})),
        ),
        (
            "a new template",
            Setup(&[]),
            template("legacy", "t", PATTERNS),
        ),
        (
            "another template",
            Setup(&[LEGACY]),
            template("legacy", "t", PATTERNS),
        ),
        (
            "another composable template",
            Setup(&[COMPOSABLE]),
            template("composable", "t", PATTERNS),
        ),
        (
            "another component",
            Setup(&[COMPONENT]),
            template("component", "c", r#"{"template":{}}"#),
        ),
        ("no template", Setup(&[LEGACY]), no_template("legacy", "t")),
        (
            "no composable template",
            Setup(&[COMPOSABLE]),
            no_template("composable", "t"),
        ),
        (
            "no component",
            Setup(&[COMPONENT]),
            no_template("component", "c"),
        ),
        (
            "aliases moved",
            Setup(&[INDEX, ("PUT", "/b", "{}")]),
            aliases(json!([
                {"action": "remove", "index": "a", "alias": "al"},
                {"action": "add", "index": "b", "alias": "al", "write": true},
                {"action": "add", "index": "b", "alias": "other", "write": null},
            ])),
        ),
        (
            "a write flag taken",
            Setup(&[INDEX]),
            aliases(json!([{"action": "add", "index": "a", "alias": "al", "write": false}])),
        ),
        (
            "an alias with a filter and a routing taken off",
            Setup(&[
                INDEX,
                (
                    "PUT",
                    "/a/_alias/few",
                    r#"{"filter":{"term":{"v":1}},"routing":"r"}"#,
                ),
            ]),
            aliases(json!([{"action": "remove", "index": "a", "alias": "few"}])),
        ),
        (
            "settings set, changed and reset",
            Setup(&[INDEX]),
            settings(
                r#"{"number_of_replicas":1,"index.refresh_interval":null,"index.blocks.write":true}"#,
            ),
        ),
        (
            "a document more",
            Setup(&[INDEX]),
            change(
                json!({"verb": "cluster.create-document", "index": "a", "id": "2", "document": r#"{"v":2}"#}),
            ),
        ),
        (
            "another document",
            Setup(&[INDEX, DOCUMENT]),
            change(
                json!({"verb": "cluster.replace-document", "index": "a", "id": "1",
                "while_it_contains": r#"{"v":1}"#, "document": r#"{"v":2}"#}),
            ),
        ),
        (
            "a document less",
            Setup(&[INDEX, DOCUMENT]),
            change(
                json!({"verb": "cluster.delete-document", "index": "a", "id": "1",
                "while_it_contains": r#"{"v":1}"#}),
            ),
        ),
        ("a setting set", Setup(&[]), setting(Some("primaries"))),
        (
            "a setting changed",
            Setup(&[SETTING]),
            setting(Some("primaries")),
        ),
        ("a setting reset", Setup(&[SETTING]), setting(None)),
        (
            "a transient setting set",
            Setup(&[SETTING]),
            transient(Some("primaries")),
        ),
        (
            "a transient setting changed",
            Setup(&[TRANSIENT]),
            transient(Some("primaries")),
        ),
        (
            "a transient setting reset",
            Setup(&[TRANSIENT]),
            transient(None),
        ),
        (
            "settings set for good",
            Setup(&[SETTING]),
            for_good(
                "persistent",
                json!({"cluster.routing.allocation.enable": null, "search.max_buckets": 9}),
            ),
        ),
        (
            "a transient setting reset for good",
            Setup(&[TRANSIENT]),
            for_good(
                "transient",
                json!({"cluster.routing.allocation.enable": null}),
            ),
        ),
    ]
}

#[tokio::test]
async fn what_is_taken_back_is_as_it_was() {
    for product in [Product::OpenSearch2, Product::Elasticsearch8] {
        // What these do has nothing to take back, or goes with its destination.
        let mut seen = ["cluster.reindex", "cluster.transform", "cluster.flush"]
            .map(str::to_owned)
            .into();
        for (name, setup, change) in table() {
            BTreeSet::insert(&mut seen, change.verb().to_string());
            let sim = SimCluster::builder(product).start().await.unwrap();
            for (method, path, body) in setup.0 {
                let (status, answer) = sim.call(method, path, body);
                assert!(status < 300, "{name}: {answer}");
            }
            let cluster = suite::open(&sim.url());
            taken_back(name, &sim, &cluster, &change).await;
        }
        for rule in RULES
            .iter()
            .filter(|rule| rule.verb.starts_with("cluster."))
        {
            let is_there = seen.contains(rule.verb);
            assert_eq!(is_there, !rule.automatic_undo.is_empty(), "{}", rule.verb);
        }
    }
}

async fn taken_back(name: &str, sim: &SimCluster, cluster: &Cluster, change: &Change) {
    let before = sim.state_json();
    let mut hand = suite::Hand::new(cluster);
    let attempt = hand.pass(change).await;
    assert_ne!(sim.state_json(), before, "{name}: changes nothing");
    let undos = cluster.automatic_undo(change, &attempt).unwrap();
    assert!(!undos.is_empty(), "{change:?}");
    let kinds = UNDONE_BY
        .iter()
        .find(|(kind, _)| *kind == change.verb().as_str())
        .unwrap()
        .1;
    for undo in &undos {
        assert_eq!(undo.binding, *cluster.binding());
        assert!(kinds.contains(&undo.change.verb().as_str()), "{undo:?}");
        assert!(
            undo.change.objects().is_subset(&change.objects()),
            "{undo:?}"
        );
        hand.pass(&undo.change).await;
    }
    assert_eq!(sim.state_json(), before, "{name}");
    // Back already, by us or by somebody: nothing is sent.
    for undo in &undos {
        let sent = sim.records().len();
        cluster.facts(&undo.change).await.unwrap();
        let observed = cluster.observe(&undo.change, &attempt).await.unwrap();
        assert!(observed.already_true, "{undo:?}: {:?}", observed.evidence);
        let writes = sim.records()[sent..]
            .iter()
            .filter(|record| record.method != "GET")
            .count();
        assert_eq!(writes, 0, "{undo:?}");
    }
}

#[tokio::test]
async fn a_reindex_goes_with_its_destination() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .start()
        .await
        .unwrap();
    for (method, path, body) in [INDEX, DOCUMENT] {
        assert!(sim.call(method, path, body).0 < 300);
    }
    let before = sim.state_json();
    let cluster = suite::open(&sim.url());
    let mut hand = suite::Hand::new(&cluster);
    let make = change(json!({"verb": "cluster.create-index", "name": "b", "body": "{}"}));
    let made = hand.pass(&make).await;
    let copy = change(
        json!({"verb": "cluster.reindex", "source": "a", "destination": "b",
        "query": null, "script": null, "slices": null, "requests_per_second": null}),
    );
    let copied = hand.pass(&copy).await;
    assert_eq!(cluster.automatic_undo(&copy, &copied), Some(vec![]));
    hand.undo(&make, &made).await;
    assert_eq!(sim.state_json(), before);
}

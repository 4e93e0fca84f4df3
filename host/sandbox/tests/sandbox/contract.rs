//! What a plugin says, reads and sees.

use std::sync::Arc;

use liftlock_sandbox::{LogSink, RunView, StepView};
use liftlock_types::{Json, Moment, ReadError, StepId};

use crate::common::{Ear, NOW_MS, Table, call, call_on, inspect, plugin, plugin_with, seen};

#[tokio::test]
async fn describe_gives_the_descriptor_and_names_the_plugin() {
    let plugin = plugin_with(liftlock_sandbox::Limits::default());
    assert!(plugin.name().starts_with("sha256 "), "{}", plugin.name());
    let descriptor = plugin.describe().await.unwrap();
    assert_eq!(descriptor.product, "guest");
    assert_eq!(
        descriptor.requests[0].verbs[0].verb.as_str(),
        "cluster.read"
    );
    // Its text goes to terminals.
    assert_eq!(descriptor.name, "hostile\\u{1b}[2J");
    assert_eq!(plugin.name(), descriptor.name);
}

#[tokio::test]
async fn every_read_reaches_its_source_and_comes_back_as_its_record() {
    let called = inspect(&[("do", "look")]).await;
    let seen = seen(&called);
    for (name, part) in [
        ("identity", "Distribution::Opensearch, version: \"2.19.1\""),
        ("identities", "cluster-uuid: \"u\""),
        ("health", "status: \"green\""),
        ("nodes", "watermark-flood-bytes: 6"),
        ("indices", "created-version: 136000000"),
        ("shards", "state: \"STARTED\""),
        ("aliases", "write: Some(true), more: [\"filter\"]"),
        ("templates", "body: \"{\\\"order\\\":1}\""),
        // The order of keys stays.
        (
            "mappings",
            "{\\\"properties\\\":{\\\"z\\\":{},\\\"a\\\":{}}}",
        ),
        (
            "index-settings",
            "{\\\"index.number_of_replicas\\\":\\\"1\\\"}",
        ),
        ("count", "ok: 5"),
        ("search", "source: \"{\\\"x\\\":1.50}\""),
        ("get", "seq-no: 3"),
        ("tasks", "opaque-id: Some(\"o\")"),
        ("cluster-settings", "allocation.enable"),
        ("deprecations", "not-found: Deprecations"),
        ("raw-read", "status: 200"),
        ("repository", "nightly"),
        ("verified", "[\"n1\"]"),
        ("list-all", "state: \"SUCCESS\""),
        ("running", "ok: []"),
        ("entries", "EntryKind::File"),
        ("read", "[97, 98, 99]"),
        ("read-bytes", "[80, 255]"),
        ("sha256", "0000"),
        ("space", "free-bytes: 8"),
        ("open-directory", "not-found"),
        ("sub", "1111"),
        ("status", "RunningNotReady(\"slow\")"),
        ("service-tasks", "migrate"),
        ("log-tail", "l1"),
        ("ask", "stdout: \"21\""),
        ("labels", "ok: []"),
        ("artifact", "current: Some(\"7.22\")"),
        ("endpoint", "status: 404, content-type: \"text/plain\""),
    ] {
        let text = seen
            .get(name)
            .unwrap_or_else(|| panic!("{name} is missing: {seen:?}"));
        let plain = text.replace('_', "-");
        assert!(plain.contains(&part.replace('_', "-")), "{name}: {text}");
    }
    assert!(called.denials.is_empty(), "{:?}", called.denials);
    // Each of them is recorded, in order, with its answer.
    assert_eq!(called.reads.len(), 36);
    assert_eq!(called.reads[0].1.as_ref().unwrap()["version"], "2.19.1");
    assert!(called.peak_memory_bytes > 0);
}

#[tokio::test]
async fn names_that_the_grant_takes_away_are_not_even_seen() {
    let called = inspect(&[("do", "look")]).await;
    let seen = seen(&called);
    for name in ["indices", "shards", "aliases", "templates"] {
        assert!(seen[name].contains("a-"), "{name}: {}", seen[name]);
        assert!(!seen[name].contains("secret"), "{name}: {}", seen[name]);
    }
    let recorded = serde_json::to_string(&called.reads[4].1.as_ref().unwrap()).unwrap();
    assert!(!recorded.contains("secret"), "{recorded}");
}

#[tokio::test]
async fn the_site_shows_only_what_is_granted() {
    let seen = seen(&inspect(&[("do", "site")]).await);
    assert_eq!(seen["name"], "test");
    assert_eq!(seen["now"], NOW_MS.to_string());
    assert!(seen["bindings"].contains("cluster.database"));
    assert!(
        !seen["bindings"].contains("cluster.other"),
        "{}",
        seen["bindings"]
    );
    assert!(
        !seen["bindings"].contains("cluster.empty"),
        "{}",
        seen["bindings"]
    );
}

#[tokio::test]
async fn a_plugin_learns_its_nodes_from_the_bindings_and_what_is_said_of_them() {
    let seen = seen(&inspect(&[("do", "nodes")]).await);
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["service.app", "service.n1"]);
    assert_eq!(
        seen["service.n1"],
        "ok: [(\"pool\", \"rest\"), (\"server\", \"be/n1\")]"
    );
}

#[tokio::test]
async fn the_run_is_the_memory_of_a_call() {
    let mut call = call(&[("do", "run")]);
    call.run = RunView {
        moment: Moment::OnResume,
        steps: vec![StepView {
            id: StepId::new("stop").unwrap(),
            memo: Some(Json::new("{\"k\":1}").unwrap()),
            outcome: Some("applied-ours".into()),
            evidence: None,
            at_ms: Some(5),
        }],
        captured: [("baseline".to_owned(), Json::new("[7]").unwrap())].into(),
    };
    for called in [
        plugin().check(&call).await.unwrap(),
        plugin().validate(&call).await.unwrap(),
    ] {
        let findings = called.value.unwrap();
        let what = &findings[0].what;
        for part in [
            "OnResume",
            "\"1.0\"",
            "to 2.0",
            "applied-ours",
            "{\\\"k\\\":1}",
            "[7]",
        ] {
            assert!(what.contains(part), "{part}: {what}");
        }
    }
}

#[tokio::test]
async fn the_plugins_own_error_is_its_answer_and_no_fault() {
    let called = inspect(&[("do", "error")]).await;
    assert_eq!(
        called.value.unwrap_err(),
        ReadError::Unavailable("the guest says\\u{7} so".into())
    );
}

#[tokio::test]
async fn what_it_says_is_heard_escaped_and_in_order() {
    let ear = Arc::new(Ear::default());
    let mut call = call(&[("do", "escape")]);
    call.log = ear.clone() as Arc<dyn LogSink>;
    let called = plugin().inspect(&call).await.unwrap();
    let wanted = [
        "info: a\\u{1b}[2Jb\\nforged: line",
        "info: out\\u{1b}[31m",
        "warn: err\\u{202e}",
    ];
    assert_eq!(called.log, wanted);
    let heard = ear.heard.lock().unwrap().len();
    assert_eq!(heard, wanted.len());
}

#[tokio::test]
async fn no_world_is_behind_wasi() {
    let seen = seen(&inspect(&[("do", "wasi")]).await);
    assert_eq!(seen["environment"], "0");
    assert_eq!(seen["arguments"], "0");
    for name in [
        "file", "folder", "write", "connect", "listen", "datagram", "name",
    ] {
        assert!(seen[name].starts_with("error: "), "{name}: {}", seen[name]);
    }
    assert_eq!(seen["input"], "");
    let clock: u64 = seen["clock"].parse().unwrap();
    assert_eq!(clock, NOW_MS);
}

#[tokio::test]
async fn random_bytes_follow_the_recorded_instant() {
    let first = seen(&inspect(&[("do", "wasi")]).await)["random"].clone();
    let again = seen(&inspect(&[("do", "wasi")]).await)["random"].clone();
    assert_eq!(first, again);
    let mut later = call(&[("do", "wasi")]);
    later.now_ms += 1;
    let later = plugin().inspect(&later).await.unwrap();
    assert_ne!(first, seen(&later)["random"]);
}

#[tokio::test]
async fn calls_run_on_any_thread_and_side_by_side() {
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async {
                let called = plugin().inspect(&call(&[("do", "look")])).await.unwrap();
                called.reads.len()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 36);
    }
}

#[tokio::test]
async fn a_call_leaves_nothing_to_the_next() {
    let table = Arc::new(Table::new());
    let call = call_on(&[("do", "look")], table);
    let first = plugin().inspect(&call).await.unwrap();
    let second = plugin().inspect(&call).await.unwrap();
    assert_eq!(first.value, second.value);
    assert_eq!(first.reads, second.reads);
}

//! What a grant on a search cluster's settings and logs allows, name by name: each kind apart, each scope by itself.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use liftlock_types::facts::cluster::SettingScope;
use liftlock_types::{
    Binding, Change, Digest, Grant, GrantedBinding, GrantedVerb, IndexName, Json, OnRejected,
    Planned, Scope, StepId, Verb,
};

const ALLOCATION: &str = "cluster.routing.allocation.enable";

fn grant(verb: &str, scope: &[&str], except: &[&str]) -> Grant {
    let scopes = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| Scope::new(*text).unwrap())
            .collect()
    };
    Grant {
        plugin: "p".into(),
        digest: Digest::of(b"p"),
        site: "s".into(),
        options: BTreeMap::new(),
        granted_by: "me".into(),
        granted_at: "now".into(),
        bindings: vec![GrantedBinding {
            binding: Binding::new("cluster.database").unwrap(),
            identity: "u".into(),
            verbs: vec![GrantedVerb {
                verb: Verb::new(verb).unwrap(),
                scope: scopes(scope),
                except: scopes(except),
                at_most: None,
            }],
        }],
    }
}

fn allows(grant: &Grant, change: Change) -> bool {
    let planned = Planned {
        binding: Binding::new("cluster.database").unwrap(),
        change,
        fills: vec![],
    };
    grant.allow_change(&planned).is_ok()
}

fn persistent(key: &str) -> Change {
    Change::SetClusterSetting {
        key: key.into(),
        value: Some("primaries".into()),
    }
}

fn transient(key: &str) -> Change {
    Change::SetTransientSetting {
        key: key.into(),
        value: Some("primaries".into()),
    }
}

fn flush(indices: &[&str], except: &[&str]) -> Change {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Change::Flush {
        indices: owned(indices),
        except: owned(except),
    }
}

#[test]
fn a_setting_is_granted_by_place_and_by_key() {
    let one = grant("cluster.set-transient-setting", &[ALLOCATION], &[]);
    assert!(allows(&one, transient(ALLOCATION)));
    assert!(!allows(&one, transient("cluster.routing.rebalance.enable")));
    assert!(!allows(&one, persistent(ALLOCATION)));
    let other = grant("cluster.set-cluster-setting", &[ALLOCATION], &[]);
    assert!(allows(&other, persistent(ALLOCATION)));
    assert!(!allows(&other, transient(ALLOCATION)));
    let pattern = grant(
        "cluster.set-transient-setting",
        &["cluster.routing.*"],
        &["cluster.routing.allocation.disk.*"],
    );
    assert!(allows(&pattern, transient(ALLOCATION)));
    let watermark = "cluster.routing.allocation.disk.watermark.low";
    assert!(!allows(&pattern, transient(watermark)));
    assert!(!allows(
        &pattern,
        transient("indices.recovery.max_bytes_per_sec")
    ));
}

#[test]
fn a_flush_is_granted_by_all_that_its_patterns_can_mean() {
    let kuzzle = grant("cluster.flush", &["&*", "%*"], &["&team-a.*"]);
    assert!(allows(&kuzzle, flush(&["&nyc.*", "%kuzzle.users"], &[])));
    assert!(allows(&kuzzle, flush(&["&*"], &["&team-a.*"])));
    assert!(!allows(&kuzzle, flush(&["&*"], &[])));
    assert!(!allows(&kuzzle, flush(&["*"], &["&team-a.*"])));
    assert!(!allows(&kuzzle, flush(&["&nyc.*", "other"], &[])));
    let none = grant("cluster.put-settings", &["*"], &[]);
    assert!(!allows(&none, flush(&["&nyc.*"], &[])));
}

#[test]
fn settings_for_good_are_granted_by_each_key() {
    let put = |scope, settings: &str| Change::PutClusterSettings {
        scope,
        settings: Json::new(settings).unwrap(),
    };
    let some = grant(
        "cluster.put-cluster-settings",
        &["discovery.zen.*"],
        &["discovery.zen.ping.*"],
    );
    for scope in [SettingScope::Persistent, SettingScope::Transient] {
        let allowed = |settings: &str| allows(&some, put(scope, settings));
        assert!(allowed(
            r#"{"discovery.zen.a": null, "discovery.zen.b": "1"}"#
        ));
        assert!(!allowed(
            r#"{"discovery.zen.a": null, "discovery.zen.ping.b": null}"#
        ));
        assert!(!allowed(r#"{"discovery.zen.a": null, "cluster.b": "1"}"#));
        assert!(!allowed(r#"{"discovery": {"zen": {"a": null}}}"#));
    }
    let loan = grant("cluster.set-cluster-setting", &["*"], &[]);
    let one = put(SettingScope::Persistent, r#"{"discovery.zen.a": null}"#);
    assert!(!allows(&loan, one));
}

#[test]
fn archived_settings_are_granted_by_key_and_those_of_an_index_by_index() {
    let keys = |keys: &[&str]| Change::RemoveArchivedSettings {
        keys: keys.iter().map(ToString::to_string).collect(),
    };
    let of = |index: &str| Change::RemoveArchivedIndexSettings {
        index: IndexName::new(index).unwrap(),
        keys: vec!["archived.index.x".into()],
    };
    let all = grant(
        "cluster.remove-archived-settings",
        &["archived.*"],
        &["archived.xpack.*"],
    );
    assert!(allows(&all, keys(&["archived.a", "archived.b"])));
    assert!(!allows(&all, keys(&["archived.a", "archived.xpack.b"])));
    assert!(!allows(&all, of("a")));
    let index = grant("cluster.remove-archived-index-settings", &["&*"], &["&b*"]);
    assert!(allows(&index, of("&a.b")));
    assert!(!allows(&index, of("&b.c")));
    assert!(!allows(&index, of("other")));
    assert!(!allows(&index, keys(&["archived.a"])));
}

#[test]
fn a_restore_into_a_cluster_is_granted_by_all_that_its_patterns_can_mean() {
    let allows = |grant: &Grant, change: Change| {
        let mut grant = grant.clone();
        grant.bindings[0].binding = Binding::new("snapshot.new").unwrap();
        let planned = Planned {
            binding: Binding::new("snapshot.new").unwrap(),
            change,
            fills: vec![],
        };
        grant.allow_change(&planned).is_ok()
    };
    let owned = |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
    let into = |indices: &[&str], except: &[&str]| Change::RestoreInto {
        taken_by: StepId::new("take").unwrap(),
        indices: owned(indices),
        except: owned(except),
        replicas: None,
    };
    let kuzzle = grant("snapshot.restore-into", &["&*", "%*"], &["&team-a.*"]);
    assert!(allows(&kuzzle, into(&["&*", "%*"], &["&team-a.*"])));
    assert!(allows(&kuzzle, into(&["&nyc.taxi"], &[])));
    assert!(!allows(&kuzzle, into(&["&*"], &[])));
    assert!(!allows(&kuzzle, into(&["*"], &["&team-a.*"])));
    assert!(!allows(&kuzzle, into(&["&nyc.taxi", "other"], &[])));
    // Neither way back is a way into another cluster, nor the other way round.
    let back = Change::RestoreSnapshot {
        taken_by: StepId::new("take").unwrap(),
        indices: vec![IndexName::new("&nyc.taxi").unwrap()],
    };
    assert!(!allows(&kuzzle, back.clone()));
    let restore = grant("snapshot.restore", &["*"], &[]);
    assert!(allows(&restore, back));
    assert!(!allows(&restore, into(&["&nyc.taxi"], &[])));
    let mut once = kuzzle;
    once.bindings[0].binding = Binding::new("snapshot.new").unwrap();
    once.bindings[0].verbs[0].at_most = Some(1);
    let planned = Planned {
        binding: Binding::new("snapshot.new").unwrap(),
        change: into(&["&nyc.taxi"], &[]),
        fills: vec![],
    };
    assert!(once.allow_amount([&planned].into_iter()).is_ok());
    assert!(once.allow_amount([&planned, &planned].into_iter()).is_err());
    let elsewhere = Planned {
        binding: Binding::new("snapshot.old").unwrap(),
        ..planned
    };
    assert!(once.allow_change(&elsewhere).is_err());
}

#[test]
fn a_transform_is_granted_by_each_index_that_it_names() {
    let of = |source: &str, destination: &str, query: Option<&str>| Change::Transform {
        source: IndexName::new(source).unwrap(),
        destination: IndexName::new(destination).unwrap(),
        query: query.map(|text| Json::new(text).unwrap()),
        name: "n".into(),
        on_rejected: OnRejected::Stop,
    };
    let ours = grant("cluster.transform", &["a-*"], &["a-secret-*"]);
    assert!(allows(&ours, of("a-1", "a-2", None)));
    assert!(!allows(&ours, of("b-1", "a-2", None)));
    assert!(!allows(&ours, of("a-secret-1", "a-2", None)));
    assert!(!allows(&ours, of("a-1", "b-2", None)));
    assert!(!allows(&ours, of("a-1", "a-secret-2", None)));
    let lookup = r#"{"terms":{"x":{"index":"b-1","id":"1","path":"y"}}}"#;
    assert!(!allows(&ours, of("a-1", "a-2", Some(lookup))));
    // A copy by the server is another kind, and so is what may be read of the source.
    for other in ["cluster.reindex", "cluster.read-documents"] {
        assert!(!allows(
            &grant(other, &["a-*"], &[]),
            of("a-1", "a-2", None)
        ));
    }
}

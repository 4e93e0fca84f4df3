use liftlock_sdk::capability::{Archived, Deprecation};

use super::*;
use crate::fixture::*;

/// Ids of what is found, without what is no more than told.
fn ids(seen: &Seen, kuzzles: &Kuzzles) -> Vec<String> {
    let found = findings(seen, kuzzles, &options(), &target(), Moment::Asked);
    found
        .into_iter()
        .filter(|found| found.severity != Severity::Info)
        .map(|found| {
            assert!(
                !found.remedy.is_empty() && !found.what.is_empty(),
                "{found:?}"
            );
            found.id.trim_start_matches("kuzzle.").to_owned()
        })
        .collect()
}

/// With this one thing different.
fn ids_with(change: impl FnOnce(&mut Seen)) -> Vec<String> {
    let mut seen = seen();
    change(&mut seen);
    ids(&seen, &kuzzles("\"7\""))
}

#[test]
fn finds_nothing_where_nothing_is_wrong() {
    assert!(ids(&seen(), &kuzzles("\"7\"")).is_empty());
}

#[test]
fn believes_a_node_and_not_the_list() {
    let found = ids_with(|seen| seen.identities[1].version = "7.16.3".into());
    assert_eq!(found, ["source"]);
    let found = ids_with(|seen| {
        seen.identities.pop();
    });
    assert_eq!(found, ["node-not-asked"]);
    let found = ids_with(|seen| {
        seen.identities[0].version = "7.17.0".into();
    });
    assert_eq!(found, ["first-patch"]);
    let found = ids_with(|seen| {
        seen.identities[0].distribution = Distribution::Opensearch;
    });
    assert_eq!(found, ["not-elasticsearch"]);
}

#[test]
fn a_new_node_says_what_it_talks_to() {
    let found = ids_with(|seen| {
        seen.identities[0].version = "8.19.13".into();
        seen.identities[0].minimum_wire_version = "7.17.16".into();
    });
    assert_eq!(found, ["source", "source"]);
}

#[test]
fn an_older_line_of_the_target_may_be_older_than_what_runs() {
    let older = Target {
        from: None,
        to: "8.11.1".into(),
    };
    let found = findings(
        &seen(),
        &kuzzles("\"7\""),
        &options(),
        &older,
        Moment::Asked,
    );
    assert!(found.iter().any(|it| it.id == "kuzzle.target-not-newest"));
}

#[test]
fn without_the_servers_judgement_nothing_is_called_clean() {
    assert_eq!(
        ids_with(|seen| seen.deprecations = None),
        ["deprecations-not-checked"]
    );
}

#[test]
fn every_level_of_a_deprecation_is_told_and_one_nobody_knows_too() {
    let mut seen = seen();
    let one = |level: &str| Deprecation {
        level: level.into(),
        subject: "cluster".into(),
        message: "m".into(),
        details: r#"{"level":"x","_meta":{"new":1}}"#.into(),
    };
    seen.deprecations = Some(
        ["critical", "warning", "info", "none", "fatal"]
            .map(one)
            .into(),
    );
    let found = findings(
        &seen,
        &kuzzles("\"7\""),
        &options(),
        &target(),
        Moment::Asked,
    );
    let told: Vec<(&str, Severity)> = found
        .iter()
        .filter(|it| it.id.starts_with("kuzzle.deprecation"))
        .map(|it| (it.id.trim_start_matches("kuzzle."), it.severity))
        .collect();
    assert_eq!(
        told,
        [
            ("deprecation-critical", Severity::Blocker),
            ("deprecation", Severity::Warning),
            ("deprecation", Severity::Info),
            ("deprecation", Severity::Info),
            ("deprecation-of-unknown-level", Severity::Warning),
        ]
    );
    let kept = &found
        .iter()
        .find(|it| it.id == "kuzzle.deprecation-critical")
        .unwrap()
        .evidence;
    assert!(kept.iter().any(|(_, value)| value.contains("_meta")));
}

#[test]
fn an_index_of_six_is_found_wherever_it_hides() {
    for (open, hidden) in [(true, false), (false, false), (true, true)] {
        let found = ids_with(|seen| {
            let mut old = index(".tasks", 6_082_399);
            (old.open, old.hidden) = (open, hidden);
            seen.indices.push(old);
        });
        assert_eq!(found, ["index-too-old"]);
    }
    // After 8.10 the number counts otherwise; its millions are still the major version.
    let found = ids_with(|seen| seen.indices.push(index("new", 8_536_000)));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn settings_that_keep_a_node_from_starting_are_found() {
    let set = |key: &str| {
        ids_with(|seen| {
            let its = seen.node_settings.get_mut("n2").unwrap();
            its.insert(key.into(), "x".into());
        })
    };
    assert_eq!(set("node.master"), ["setting-removed"]);
    assert_eq!(
        set("discovery.zen.minimum_master_nodes"),
        ["setting-removed"]
    );
    assert_eq!(set("xpack.security.http.ssl.key"), ["ssl-not-said"]);
    assert!(set("node.name").is_empty());
    let found = ids_with(|seen| seen.node_settings.get_mut("n3").unwrap().clear());
    assert_eq!(found, ["security-not-said"]);
    let found = ids_with(|seen| {
        seen.settings
            .insert("xpack.monitoring.enabled".into(), "true".into());
    });
    assert_eq!(found, ["setting-removed"]);
    let mut seen = seen();
    let key = "discovery.zen.minimum_master_nodes";
    seen.settings.insert(key.into(), "2".into());
    let found = findings(
        &seen,
        &kuzzles("\"7\""),
        &options(),
        &target(),
        Moment::Asked,
    );
    let of_setting = found.iter().filter(|it| it.what == key);
    let told: Vec<(&str, Severity)> = of_setting.map(|it| (&*it.id, it.severity)).collect();
    assert_eq!(told, [("kuzzle.setting-taken-off", Severity::Info)]);
    let found = ids_with(|seen| {
        seen.plugins
            .insert("analysis-icu".into(), vec!["n1".into()]);
    });
    assert_eq!(found, ["plugin"]);
    let found = ids_with(|seen| {
        seen.archived.push(Archived {
            key: "archived.x".into(),
            value: "1".into(),
        });
    });
    assert_eq!(found, ["archived-setting"]);
}

#[test]
fn what_is_wrong_with_the_storage_is_found() {
    let found = ids_with(|seen| {
        seen.health.status = "red".into();
        seen.health.reasons.push("`a` is red".into());
    });
    assert_eq!(found, ["storage-red"]);
    assert_eq!(
        ids_with(|seen| seen.nodes[0].disk_free_bytes = 149),
        ["disk-low"]
    );
    assert_eq!(
        ids_with(|seen| seen.indices[0].blocks.push("read_only_allow_delete".into())),
        ["disk-was-full"]
    );
    assert_eq!(
        ids_with(|seen| seen.indices[0].blocks.push("write".into())),
        ["blocked"]
    );
    assert_eq!(ids_with(|seen| seen.indices[0].open = false), ["closed"]);
    let found = ids_with(|seen| {
        seen.indices.push(index("&4711.[1]{2}", 7_171_599));
        seen.aliases.push(alias("@&4711.[1]{2}", "&4711.[1]{2}"));
    });
    assert!(found.is_empty(), "a collection may have such a name");
    assert_eq!(
        ids_with(|seen| seen.aliases.push(alias("@&nyc.taxi", "&nyc.taxi.4711"))),
        ["alias-of-several"]
    );
    assert_eq!(
        ids_with(|seen| seen.indices.push(index("&tmp.reindexed", 7_171_599))),
        ["stray-index"]
    );
    assert_eq!(ids_with(|seen| seen.indices.clear()), ["no-collections"]);
    assert_eq!(ids_with(|seen| seen.backups = None), ["no-backups"]);
    for verified in [Err("503".to_owned()), Ok(vec!["n1".to_owned()])] {
        let found = ids_with(|seen| {
            if let Some(backups) = &mut seen.backups {
                backups.verified = verified;
            }
        });
        assert_eq!(found, ["backups-not-reached"]);
    }
}

#[test]
fn the_mode_is_a_text_and_fits_the_cluster() {
    let of = |mode: &str| ids(&seen(), &kuzzles(mode));
    assert_eq!(of("8"), ["mode-no-text"]);
    assert_eq!(of("\"9\""), ["mode-no-text"]);
    assert_eq!(of("\"8\""), ["mode-ahead"]);
    assert_eq!(of("\"7\", \"majorVersion\": \"7\""), ["mode-not-said"]);
    let on_eight = |mode: &str| {
        let mut kuzzles = kuzzles(mode);
        kuzzles.said[0].storage = Some(target().to);
        ids(&seen_new(), &kuzzles)
    };
    assert_eq!(on_eight("\"7\""), ["mode-behind"]);
    assert!(on_eight("\"8\"").is_empty());
}

#[test]
fn kuzzles_health_is_the_deep_one_and_its_version_counts() {
    let with = |change: fn(&mut Kuzzles)| {
        let mut kuzzles = kuzzles("\"7\"");
        change(&mut kuzzles);
        ids(&seen(), &kuzzles)
    };
    let refused = with(|it| it.said[0].health = Some((401, "security.token.invalid".into())));
    assert_eq!(refused, ["token-refused"]);
    let red = with(|it| it.said[0].health = Some((500, "red".into())));
    assert_eq!(red, ["unhealthy"]);
    assert!(with(|it| it.said[0].health = None).is_empty());
    let old = with(|it| it.said[0].version = Some("2.31.0".into()));
    assert_eq!(old, ["too-old"]);
    let sorts = with(|it| it.said[0].version = Some("2.49.1".into()));
    assert_eq!(sorts, ["sorts-by-id"]);
    let other = with(|it| it.said[0].storage = Some("7.10.2".into()));
    assert_eq!(other, ["sees-another-version"]);
    let gone = with(|it| it.configurations[0].file = None);
    assert_eq!(gone, ["configuration-missing"]);
    assert_eq!(with(|it| it.services.clear()), ["unbound"]);
    assert_eq!(with(|it| it.said.clear()), ["not-asked"]);
}

//! Each trap on a site that is healthy otherwise: exactly its finding, and no other.

use liftlock_sdk::prelude::*;

use super::{Goal, findings, size, some};
use crate::fixture::{alias, goal, identity, ids, index, legacy, logged, site, version};
use crate::seen::{Metadata, Seen, parse_metadata};

fn with(change: impl FnOnce(&mut Seen)) -> Vec<String> {
    let mut seen = site("8.7.0");
    change(&mut seen);
    ids(&seen, "8.8.0")
}

#[test]
fn nothing_speaks_against_a_healthy_site() {
    assert_eq!(with(|_| {}), [""; 0]);
    assert_eq!(ids(&site("8.6.4"), "8.7.0"), [""; 0]);
    assert_eq!(ids(&site("8.8.0"), "8.8.24"), [""; 0]);
}

#[test]
fn every_finding_says_why_and_what_to_do() {
    let mut seen = site("8.6.5");
    seen.identities = vec![identity(Distribution::Elasticsearch, "8.13.0")];
    seen.identities
        .push(identity(Distribution::Opensearch, "3.1.0"));
    seen.health.status = "red".into();
    seen.backups = None;
    seen.service = None;
    seen.indices[0].blocks.push("read_only".into());
    seen.aliases.clear();
    seen.nodes[0].disk_free_bytes = 1;
    seen.nodes[0].heap_max_bytes = 1 << 29;
    let found = findings(&seen, &goal(&seen, "8.8.0"));
    assert!(found.len() > 20, "{}", found.len());
    for finding in &found {
        let texts = [
            &finding.subject,
            &finding.what,
            &finding.why,
            &finding.remedy,
        ];
        assert!(texts.iter().all(|text| !text.is_empty()), "{finding:?}");
        assert!(finding.id.starts_with("optimize."), "{finding:?}");
    }
}

#[test]
fn missing_metadata_is_no_new_installation() {
    assert_eq!(
        with(|seen| seen.metadata = Metadata::NoDocument),
        ["blocker optimize.metadata-document-missing"]
    );
    assert_eq!(
        with(|seen| {
            seen.metadata = Metadata::NoIndex;
            seen.indices.clear();
            seen.everything = Some(Vec::new());
        }),
        ["blocker optimize.metadata-missing"]
    );
    assert!(matches!(parse_metadata("{}"), Metadata::Unreadable(_)));
    assert!(matches!(
        parse_metadata(r#"{"schemaVersion":"x"}"#),
        Metadata::Unreadable(_)
    ));
    assert_eq!(
        with(|seen| seen.metadata = Metadata::Unreadable("{}".into())),
        ["blocker optimize.metadata-unreadable"]
    );
}

#[test]
fn a_wrong_prefix_names_the_right_one() {
    let mut seen = site("8.7.0");
    seen.metadata = Metadata::NoIndex;
    seen.indices.clear();
    seen.everything = Some(vec![
        index("acme-metadata_v3", 1),
        index("acme-alert_v4", 1),
    ]);
    let goal = Goal {
        from: None,
        ..goal(&seen, "8.8.0")
    };
    let found = findings(&seen, &goal);
    assert_eq!(found[0].id, "optimize.wrong-prefix");
    let remedy = &found[0].remedy;
    assert!(
        remedy.contains("`prefix = \"acme\"`") && remedy.contains("`liftlock grant`"),
        "{remedy}"
    );
    // Whoever is declared as a neighbour is not who was meant.
    seen.neighbours = vec!["acme".into()];
    assert_eq!(findings(&seen, &goal)[0].id, "optimize.metadata-missing");
}

#[test]
fn a_site_whose_metadata_index_alone_is_gone_is_no_wrong_prefix() {
    let mut seen = site("8.7.0");
    seen.metadata = Metadata::NoIndex;
    seen.everything = Some(vec![index("acme-metadata_v3", 1)]);
    let found = findings(&seen, &goal(&seen, "8.8.0"));
    assert_eq!(found[0].id, "optimize.metadata-missing");
    assert!(found[0].remedy.contains("snapshot"), "{}", found[0].remedy);
}

#[test]
fn each_blocker_ends_with_the_command_that_looks_again() {
    let mut seen = site("8.7.0");
    seen.indices[0].blocks.push("read_only".into());
    for (moment, command) in [
        (Moment::Asked, "; then `liftlock plan 8.8.0`"),
        (Moment::BeforeRun, "; then `liftlock run` again"),
        (Moment::OnResume, "; then `liftlock resume`"),
    ] {
        let goal = Goal {
            moment,
            ..goal(&seen, "8.8.0")
        };
        let found = findings(&seen, &goal);
        assert!(found[0].remedy.ends_with(command), "{}", found[0].remedy);
    }
}

#[test]
fn a_block_of_a_full_disk_is_told_as_this_server_means_it() {
    let why = |distribution, version: &str| {
        let mut seen = site("8.7.0");
        seen.identities = vec![identity(distribution, version)];
        seen.indices[0].blocks.push("read_only_allow_delete".into());
        findings(&seen, &goal(&seen, "8.8.0"))[0].why.clone()
    };
    let opensearch = why(Distribution::Opensearch, "2.19.1");
    assert!(
        opensearch.contains("OpenSearch refuses documents, settings and mappings"),
        "{opensearch}"
    );
    let elasticsearch = why(Distribution::Elasticsearch, "8.19.13");
    assert!(
        elasticsearch.contains("lets settings and mappings pass"),
        "{elasticsearch}"
    );
}

#[test]
fn no_minor_is_skipped_and_the_vendors_words_are_there() {
    let seen = site("8.6.5");
    let found = findings(&seen, &goal(&seen, "8.8.0"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, "optimize.several-hops");
    let words: Vec<&str> = found[0]
        .evidence
        .iter()
        .map(|(_, text)| text.as_str())
        .collect();
    assert!(
        words.contains(&"Schema version saved in Metadata [8.6.5] must be one of [8.7, 8.8.0]"),
        "{words:?}"
    );
    for (from, to) in [("3.12.0", "8.8.0"), ("8.7.0", "9.0.0")] {
        let seen = site(from);
        let found = findings(&seen, &goal(&seen, to));
        assert_eq!(found[0].severity, Severity::Blocker, "{from} {to}");
        assert!(found[0].id.ends_with("-unknown"), "{}", found[0].id);
    }
}

#[test]
fn a_newer_schema_is_refused() {
    assert_eq!(
        ids(&site("8.9.0"), "8.8.0"),
        ["blocker optimize.schema-newer"]
    );
    assert_eq!(
        ids(&site("8.8.1"), "8.8.0"),
        ["blocker optimize.schema-newer"]
    );
}

#[test]
fn a_target_is_one_release_that_exists() {
    assert_eq!(
        ids(&site("8.7.0"), "8.8"),
        ["blocker optimize.target-not-exact"]
    );
    assert_eq!(
        ids(&site("8.8.0"), "8.8.12"),
        ["blocker optimize.no-such-release"]
    );
    assert_eq!(
        ids(&site("8.8.0"), "9.0.0"),
        ["blocker optimize.target-unknown"]
    );
    assert_eq!(
        ids(&site("3.12.4"), "8.6.0"),
        ["blocker optimize.schema-unknown"]
    );
}

#[test]
fn being_there_already_is_told_once() {
    let mut seen = site("8.8.0");
    assert_eq!(ids(&seen, "8.8.0"), ["info optimize.already-there"]);
    // In the middle of a run the version may stand there already: that is no news.
    seen.indices
        .retain(|index| !index.name.contains("variable-update"));
    seen.aliases
        .retain(|alias| !alias.name.contains("variable-update"));
    let goal = Goal::of(Some(version("8.7.0")), version("8.8.0"), Moment::OnResume);
    assert_eq!(findings(&seen, &goal), []);
}

#[test]
fn a_half_done_site_is_not_called_broken() {
    let mut seen = site("8.7.0");
    seen.indices
        .retain(|index| !index.name.contains("variable-update"));
    seen.aliases
        .retain(|alias| !alias.name.contains("variable-update"));
    logged(
        &mut seen,
        ["8.8.0_schema-delete-index_variable-update-instance_v2".to_owned()],
    );
    let goal = Goal {
        moment: Moment::OnResume,
        ..goal(&seen, "8.8.0")
    };
    assert_eq!(findings(&seen, &goal), []);
}

#[test]
fn an_update_log_that_contradicts_the_state_is_refused() {
    let all = || {
        let seen = site("8.7.0");
        goal(&seen, "8.8.0").hop().unwrap().log_ids(&seen)
    };
    assert_eq!(
        with(|seen| logged(seen, all())),
        ["blocker optimize.update-log-contradicts"]
    );
    // Entries of another line are history.
    assert_eq!(with(|seen| logged(seen, ["8.7.0_x".to_owned()])), [""; 0]);
}

#[test]
fn the_database_must_be_one_that_the_target_supports() {
    let on = |distribution, number: &str, to: &str| {
        let mut seen = site(if to.starts_with("8.8") {
            "8.7.0"
        } else {
            "8.6.0"
        });
        seen.identities = vec![identity(distribution, number)];
        ids(&seen, to)
    };
    let (es, os) = (Distribution::Elasticsearch, Distribution::Opensearch);
    assert_eq!(
        on(es, "8.15.3", "8.8.0"),
        ["blocker optimize.database-too-old"]
    );
    assert_eq!(on(es, "8.15.3", "8.7.0"), [""; 0]);
    assert_eq!(on(es, "8.16.0", "8.8.0"), [""; 0]);
    assert_eq!(
        on(es, "7.17.15", "8.8.0"),
        ["blocker optimize.database-too-old"]
    );
    assert_eq!(
        on(es, "9.0.0", "8.8.0"),
        ["blocker optimize.database-too-new"]
    );
    assert_eq!(
        on(os, "2.16.0", "8.8.0"),
        ["blocker optimize.database-too-old"]
    );
    assert_eq!(on(os, "2.19.1", "8.8.0"), [""; 0]);
    assert_eq!(
        on(os, "3.3.0", "8.8.0"),
        ["warning optimize.database-not-listed"]
    );
}

#[test]
fn a_mixed_cluster_is_refused() {
    let other = |version: &str, uuid: &str| Identity {
        node_name: "n2".into(),
        cluster_uuid: uuid.into(),
        ..identity(Distribution::Elasticsearch, version)
    };
    assert_eq!(
        with(|seen| seen.identities.push(other("8.18.0", "cluster"))),
        ["blocker optimize.mixed-versions"]
    );
    assert_eq!(
        with(|seen| seen.identities.push(other("8.19.13", "another"))),
        ["blocker optimize.nodes-of-two-clusters"]
    );
    assert_eq!(
        with(|seen| seen.unasked = Some("refused".into())),
        ["info optimize.nodes-not-asked"]
    );
}

#[test]
fn health_is_graded() {
    assert_eq!(
        with(|seen| seen.health.status = "red".into()),
        ["blocker optimize.health-red"]
    );
    assert_eq!(
        with(|seen| seen.health.status = "yellow".into()),
        ["info optimize.health-yellow"]
    );
    assert_eq!(
        with(|seen| {
            seen.health.status = "yellow".into();
            let other = Node {
                name: "n2".into(),
                roles: vec!["data_hot".into()],
                ..seen.nodes[0].clone()
            };
            seen.nodes.push(other);
            seen.backups
                .as_mut()
                .unwrap()
                .nodes
                .as_mut()
                .unwrap()
                .push("n2".into());
        }),
        ["warning optimize.health-yellow"]
    );
    assert_eq!(
        with(|seen| seen.health.relocating_shards = 1),
        ["warning optimize.shards-moving"]
    );
    assert_eq!(
        with(|seen| seen.nodes[0].heap_max_bytes = 512 << 20),
        ["warning optimize.heap-small"]
    );
}

#[test]
fn any_block_is_refused() {
    for block in ["read_only", "read_only_allow_delete", "write", "metadata"] {
        assert_eq!(
            with(|seen| seen.indices[0].blocks.push(block.into())),
            ["blocker optimize.index-blocked"]
        );
    }
    assert_eq!(
        with(|seen| seen.indices[0].open = false),
        ["blocker optimize.index-closed"]
    );
    // A full disk blocks all of them: that is one finding, whatever the size of the site.
    assert_eq!(
        with(|seen| {
            for index in &mut seen.indices {
                index.blocks.push("read_only_allow_delete".into());
            }
        }),
        ["blocker optimize.index-blocked"]
    );
    for key in [
        "cluster.blocks.read_only",
        "cluster.blocks.read_only_allow_delete",
    ] {
        assert_eq!(
            with(|seen| drop(seen.settings.insert(key.into(), "true".into()))),
            ["blocker optimize.cluster-blocked"]
        );
        assert_eq!(
            with(|seen| drop(seen.settings.insert(key.into(), "false".into()))),
            [""; 0]
        );
    }
    let allocation = |value: &str| {
        with(|seen| {
            drop(
                seen.settings
                    .insert("cluster.routing.allocation.enable".into(), value.into()),
            )
        })
    };
    assert_eq!(allocation("none"), ["blocker optimize.allocation-off"]);
    assert_eq!(allocation("primaries"), ["warning optimize.allocation-off"]);
    assert_eq!(allocation("all"), [""; 0]);
}

#[test]
fn space_is_measured_against_the_watermarks() {
    let free = |gib: u64| with(|seen| seen.nodes[0].disk_free_bytes = gib << 30);
    assert_eq!(
        free(4),
        [
            "blocker optimize.disk-flood",
            "blocker optimize.no-room-for-trial-restore"
        ]
    );
    assert_eq!(
        free(9),
        [
            "blocker optimize.disk-high",
            "blocker optimize.no-room-for-trial-restore"
        ]
    );
    assert_eq!(
        free(14),
        [
            "blocker optimize.no-room-for-trial-restore",
            "warning optimize.disk-low"
        ]
    );
    assert_eq!(free(16), [""; 0]);
    // The operator turned the watermarks off: what is free is free.
    assert_eq!(
        with(|seen| {
            let node = &mut seen.nodes[0];
            (node.watermark_low_bytes, node.watermark_high_bytes) = (0, 0);
            node.watermark_flood_bytes = 0;
            seen.nodes[0].disk_free_bytes = 1 << 30;
        }),
        [""; 0]
    );
    // A copy needs its own size and as much again, in all and where its largest shard goes.
    let copied = |bytes: u64, shard: u64| {
        let mut seen = crate::fixture::site_3_13();
        let settings = |name: &str| name == "optimize-settings_v2";
        for index in seen
            .indices
            .iter_mut()
            .filter(|index| settings(&index.name))
        {
            index.bytes = bytes << 30;
        }
        let first = seen.nodes[0].clone();
        for number in 2..=3 {
            let name = format!("n{number}");
            let reach = seen.backups.as_mut().unwrap().nodes.as_mut().unwrap();
            reach.push(name.clone());
            seen.nodes.push(Node {
                name,
                ..first.clone()
            });
        }
        seen.shards.push(Shard {
            index: "optimize-settings_v2".into(),
            bytes: shard << 30,
            node: Some("elsewhere".into()),
            ..seen.shards[0].clone()
        });
        ids(&seen, "8.6.0")
            .into_iter()
            .filter(|id| id.contains("no-room"))
            .collect::<Vec<_>>()
    };
    // Three nodes with 45 GiB each above the low watermark.
    assert_eq!(copied(67, 22), [""; 0]);
    assert_eq!(copied(68, 22), ["blocker optimize.no-room-for-copies"]);
    assert_eq!(copied(67, 23), ["blocker optimize.no-room-for-copies"]);
    // Twice the storage is the vendor's rule, for plans that copy all.
    assert_eq!(
        with(|seen| seen.shards[0].bytes = 40 << 30),
        ["warning optimize.disk-documented-rule"]
    );
}

#[test]
fn a_missing_alias_is_refused() {
    assert_eq!(
        with(|seen| seen
            .aliases
            .retain(|alias| alias.name != "optimize-settings")),
        ["blocker optimize.alias-missing"]
    );
    assert_eq!(
        with(|seen| seen
            .aliases
            .retain(|alias| alias.name != "optimize-variable-update-instance")),
        ["blocker optimize.doomed-alias-missing"]
    );
    assert_eq!(
        with(|seen| seen
            .aliases
            .retain(|alias| alias.name != "optimize-process-instance-order")),
        ["blocker optimize.alias-missing"]
    );
    assert_eq!(
        with(|seen| {
            seen.aliases.retain(|alias| alias.name != "optimize-tenant");
            seen.indices
                .retain(|index| index.name != "optimize-tenant_v3");
        }),
        ["blocker optimize.index-missing"]
    );
}

#[test]
fn an_alias_has_one_write_index() {
    let settings = |flags: &[Option<bool>]| {
        with(|seen| {
            seen.aliases
                .retain(|alias| alias.name != "optimize-settings");
            for (at, flag) in flags.iter().enumerate() {
                let name = format!("optimize-settings_v{}", at + 2);
                if name != "optimize-settings_v3" {
                    seen.indices.push(index(&name, 3));
                }
                seen.aliases.push(alias("optimize-settings", &name, *flag));
            }
        })
    };
    assert_eq!(settings(&[Some(false), Some(true)]), [""; 0]);
    assert_eq!(
        settings(&[Some(false), Some(false)]),
        ["blocker optimize.alias-write-index"]
    );
    assert_eq!(
        settings(&[Some(true), Some(true)]),
        ["blocker optimize.alias-write-index"]
    );
    assert_eq!(
        settings(&[None, None]),
        ["blocker optimize.alias-write-index"]
    );
}

#[test]
fn what_is_deleted_must_be_what_the_vendor_thinks_it_is() {
    assert_eq!(
        with(|seen| {
            seen.counts
                .insert("optimize-variable-update-instance_v2-000001".into(), 7);
        }),
        ["blocker optimize.doomed-index-has-documents"]
    );
    assert_eq!(
        with(|seen| {
            seen.aliases.push(alias(
                "optimize-variable-update-instance",
                "optimize-tenant_v3",
                Some(false),
            ));
        }),
        ["blocker optimize.doomed-alias-on-stranger"]
    );
    assert_eq!(
        with(|seen| {
            for number in 2..10 {
                let name = format!("optimize-variable-update-instance_v2-00000{number}");
                seen.aliases.push(alias(
                    "optimize-variable-update-instance",
                    &name,
                    Some(false),
                ));
                seen.indices.push(index(&name, 0));
            }
        }),
        ["blocker optimize.too-many-doomed-indices"]
    );
}

#[test]
fn a_tenant_inside_our_prefix_must_be_declared() {
    let found = {
        let mut seen = site("8.7.0");
        seen.indices.push(index("optimize-team-a-settings_v3", 1));
        findings(&seen, &goal(&seen, "8.8.0"))
    };
    assert_eq!(found[0].id, "optimize.overlapping-prefix");
    assert!(
        found[0]
            .remedy
            .contains("`neighbours = \"optimize-team-a\"`"),
        "{}",
        found[0].remedy
    );
    assert_eq!(
        with(|seen| seen.indices.push(index("optimize-notes", 1))),
        ["info optimize.unknown-index"]
    );
}

#[test]
fn what_others_put_in_the_way_is_told() {
    let composable = |pattern: &str| {
        with(|seen| {
            seen.composable_templates.push(Template {
                kind: TemplateKind::Composable,
                patterns: vec![pattern.into()],
                ..legacy("provider")
            });
        })
    };
    assert_eq!(composable("*"), ["warning optimize.template-catches-ours"]);
    assert_eq!(
        composable("optimize-*"),
        ["warning optimize.template-catches-ours"]
    );
    assert_eq!(composable("logs-*-*"), [""; 0]);
    assert_eq!(
        with(|seen| seen.composable_templates.push(Template {
            kind: TemplateKind::Composable,
            ..legacy("optimize-external-process-variable_v2")
        })),
        ["info optimize.template-of-other-kind"]
    );
    assert_eq!(
        with(|seen| seen
            .stray_aliases
            .push(alias("decision-instance-foo", "x", None))),
        ["warning optimize.stray-decision-alias"]
    );
    assert_eq!(
        with(|seen| seen.indices[0].replicas = 0),
        ["info optimize.replicas-tuned"]
    );
    assert_eq!(
        with(|seen| {
            seen.indices
                .push(index("optimize-process-instance-archive-invoice_v8", 1));
            seen.aliases.push(alias(
                "optimize-process-instance-archive-invoice",
                "optimize-process-instance-archive-invoice_v8",
                Some(true),
            ));
        }),
        ["info optimize.archive-named-process"]
    );
}

#[test]
fn whatever_runs_is_told() {
    let reindex = |token: Option<&str>| Task {
        id: "n1:7".into(),
        node: "n1".into(),
        action: "indices:data/write/reindex".into(),
        description: "reindex from [optimize-settings_v2] to [optimize-settings_v3]".into(),
        opaque_id: token.map(Into::into),
        running_ms: 5,
        from: vec![],
        to: None,
    };
    assert_eq!(
        with(|seen| seen.tasks.push(reindex(None))),
        ["blocker optimize.task-running"]
    );
    // A run that goes on waits for its own task; before a run, somebody's run is to be looked for.
    let token = Some("liftlock-r-20261121-090000-aabbcc-copy-1");
    assert_eq!(
        with(|seen| seen.tasks.push(reindex(token))),
        ["blocker optimize.task-running"]
    );
    let mut seen = site("8.7.0");
    seen.tasks.push(reindex(token));
    let resumed = |seen: &Seen| {
        let goal = Goal {
            moment: Moment::OnResume,
            ..goal(seen, "8.8.0")
        };
        findings(seen, &goal).len()
    };
    assert_eq!(resumed(&seen), 0);
    seen.tasks.push(reindex(None));
    assert_eq!(resumed(&seen), 1);
    let state = |state: State| with(|seen| seen.service.as_mut().unwrap().state = state);
    assert_eq!(state(State::Ready), ["info optimize.running"]);
    assert_eq!(
        state(State::Unknown("two".into())),
        ["blocker optimize.service-unclear"]
    );
    assert_eq!(
        with(|seen| seen.service = None),
        ["warning optimize.service-not-bound"]
    );
    assert_eq!(
        with(|seen| seen.backups = None),
        ["warning optimize.no-snapshot"]
    );
    assert_eq!(
        with(|seen| seen.backups.as_mut().unwrap().nodes = None),
        ["blocker optimize.repository-missing"]
    );
    assert_eq!(
        with(|seen| seen.backups.as_mut().unwrap().nodes = Some(vec!["n2".into()])),
        ["blocker optimize.repository-not-reached"]
    );
    assert_eq!(
        with(
            |seen| seen.backups.as_mut().unwrap().running.push(Snapshot {
                name: "nightly".into(),
                uuid: "u".into(),
                state: "IN_PROGRESS".into(),
                started: 0,
                indices: Vec::new(),
                global_state: false,
                failures: Vec::new(),
                version: String::new(),
                metadata: "{}".into(),
            })
        ),
        ["warning optimize.snapshot-running"]
    );
}

#[test]
fn a_copy_under_way_has_no_alias_yet_and_a_stray_one_has_none_either() {
    let mut seen = site("8.7.0");
    seen.indices
        .push(index("optimize-process-instance-order_v9", 1));
    assert_eq!(ids(&seen, "8.8.0"), ["blocker optimize.alias-missing"]);
    let goal = Goal {
        moment: Moment::OnResume,
        ..goal(&seen, "8.8.0")
    };
    assert!(findings(&seen, &goal).is_empty());
    seen.aliases
        .retain(|alias| alias.name != "optimize-process-instance-order");
    assert_eq!(findings(&seen, &goal).len(), 1);
}

#[test]
fn camunda_7_data_stops_the_way_to_8_7() {
    let mut seen = site("8.6.0");
    seen.indices.push(index("optimize-license_v3", 1));
    seen.aliases
        .push(alias("optimize-license", "optimize-license_v3", Some(true)));
    seen.counts.insert("optimize-license_v3".into(), 1);
    assert_eq!(ids(&seen, "8.7.0"), ["blocker optimize.camunda-7-data"]);
    assert_eq!(ids(&seen, "8.6.9"), [""; 0]);
}

#[test]
fn a_long_list_is_cut_with_its_rest_as_a_number() {
    assert_eq!(some(&["a", "b"]), "a, b");
    let many: Vec<String> = (0..14).map(|n| n.to_string()).collect();
    assert_eq!(
        some(&many),
        "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more"
    );
}

#[test]
fn sizes_are_for_people() {
    assert_eq!(size(512), "512 bytes");
    assert_eq!(size(3 << 30), "3.0 GiB");
    assert_eq!(size((1 << 20) + (1 << 19)), "1.5 MiB");
}

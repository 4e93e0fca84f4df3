//! A healthy 8.7 site for unit tests: the 22 fixed indices, two processes, one decision, both legacy templates.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::archives::Archive;
use crate::check::{Goal, findings};
use crate::names::Names;
use crate::seen::{Backups, LogEntry, Metadata, Seen};

const INDICES: &[&str] = &[
    "alert_v4",
    "business-key_v2",
    "collection_v5",
    "combined-report_v5",
    "dashboard_v8",
    "dashboard-share_v4",
    "decision-definition_v5",
    "external-process-variable_v2-000001",
    "instant-dashboard_v1",
    "metadata_v3",
    "position-based-import-index_v3",
    "process-definition_v6",
    "process-overview_v2",
    "report-share_v3",
    "settings_v3",
    "single-decision-report_v10",
    "single-process-report_v11",
    "tenant_v3",
    "terminated-user-session_v3",
    "timestamp-based-import-index_v5",
    "variable-label_v1",
    "variable-update-instance_v2-000001",
    "process-instance-invoice_v8",
    "process-instance-order_v8",
    "decision-instance-risk_v5",
];

pub(crate) fn index(name: &str, docs: u64) -> Index {
    Index {
        name: name.to_owned(),
        uuid: format!("uuid-of-{name}"),
        created_version: 8_190_013,
        open: true,
        hidden: false,
        docs,
        bytes: 2 << 20,
        primary_bytes: 1 << 20,
        shards: 1,
        replicas: 1,
        blocks: Vec::new(),
    }
}

pub(crate) fn alias(name: &str, index: &str, write: Option<bool>) -> Alias {
    Alias {
        name: name.to_owned(),
        index: index.to_owned(),
        write,
        more: Vec::new(),
    }
}

pub(crate) fn identity(distribution: Distribution, version: &str) -> Identity {
    Identity {
        distribution,
        version: version.to_owned(),
        cluster_name: "lab".to_owned(),
        cluster_uuid: "cluster".to_owned(),
        node_name: "n1".to_owned(),
        minimum_wire_version: String::new(),
        minimum_index_version: String::new(),
        more: Vec::new(),
    }
}

pub(crate) fn legacy(name: &str) -> Template {
    Template {
        name: name.to_owned(),
        kind: TemplateKind::Legacy,
        patterns: vec![format!("{name}*")],
        body: "{}".to_owned(),
    }
}

pub(crate) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A site with this schema version, on Elasticsearch 8.19, with everything bound.
pub(crate) fn site(schema: &str) -> Seen {
    let names = Names::new("optimize");
    let indices: Vec<Index> = INDICES
        .iter()
        .map(|name| {
            index(
                &names.alias(name),
                if name.starts_with("variable-update") {
                    0
                } else {
                    3
                },
            )
        })
        .collect();
    let mut aliases = Vec::new();
    for index in &indices {
        let base = index.name.rsplit_once("_v").map(|(base, _)| base).unwrap();
        aliases.push(alias(base, &index.name, Some(true)));
        for shared in ["optimize-process-instance", "optimize-decision-instance"] {
            if base.starts_with(shared) {
                aliases.push(alias(shared, &index.name, Some(false)));
            }
        }
    }
    let source = json!({ "schemaVersion": schema, "installationId": "id-1" });
    Seen {
        neighbours: Vec::new(),
        checksums_of_all: true,
        quiet_ms: 10_000,
        wanted: None,
        identities: vec![identity(Distribution::Elasticsearch, "8.19.13")],
        unasked: None,
        health: Health {
            status: "green".into(),
            nodes: 1,
            active_shards: 25,
            relocating_shards: 0,
            initializing_shards: 0,
            unassigned_shards: 0,
            pending_tasks: 0,
            reasons: Vec::new(),
        },
        nodes: vec![Node {
            id: "id-n1".into(),
            name: "n1".into(),
            version: "8.19.13".into(),
            roles: vec!["master".into(), "data".into()],
            address: "127.0.0.1:9200".into(),
            heap_max_bytes: 1 << 30,
            disk_total_bytes: 100 << 30,
            disk_free_bytes: 60 << 30,
            watermark_low_bytes: 15 << 30,
            watermark_high_bytes: 10 << 30,
            watermark_flood_bytes: 5 << 30,
            plugins: Vec::new(),
            more: Vec::new(),
        }],
        settings: BTreeMap::new(),
        everything: Some(indices.clone()),
        shards: indices
            .iter()
            .map(|index| Shard {
                index: index.name.clone(),
                number: 0,
                primary: true,
                state: "STARTED".into(),
                node: Some("n1".into()),
                bytes: index.primary_bytes,
                docs: index.docs,
            })
            .collect(),
        counts: BTreeMap::from([(names.alias("variable-update-instance_v2-000001"), 0)]),
        indices,
        aliases,
        foreign_aliases: Some(Vec::new()),
        stray_aliases: Vec::new(),
        legacy_templates: vec![
            legacy("optimize-variable-update-instance_v2"),
            legacy("optimize-external-process-variable_v2"),
        ],
        composable_templates: Vec::new(),
        metadata: Metadata::Found {
            version: version(schema),
            installation: Some("id-1".into()),
            source,
        },
        archives: BTreeMap::new(),
        begun: BTreeMap::new(),
        log: BTreeMap::new(),
        tasks: Vec::new(),
        backups: Some(Backups {
            name: "lab".into(),
            nodes: Some(vec!["n1".into()]),
            running: Vec::new(),
        }),
        service: Some(Status {
            state: State::Stopped,
            pids: Vec::new(),
            since: None,
        }),
        config: None,
        names,
    }
}

/// What only the line before 8.6 has.
const OLDER: &[&str] = &[
    "onboarding-state_v2",
    "import-index_v3",
    "event_v4-000001",
    "event-process-definition_v5",
    "event-process-mapping_v4",
    "event-process-publish-state_v4",
    "event-sequence-count-external_v4",
    "event-trace-state-external_v2",
    "license_v3",
];

/// A healthy site of 3.13, with the archives of its two processes.
pub(crate) fn site_3_13() -> Seen {
    let mut seen = site("3.13.4");
    for index in &mut seen.indices {
        index.name = index.name.replace("settings_v3", "settings_v2");
        index.uuid = format!("uuid-of-{}", index.name);
    }
    for alias in &mut seen.aliases {
        alias.index = alias.index.replace("settings_v3", "settings_v2");
    }
    for name in OLDER {
        let index = index(&seen.names.alias(name), 0);
        let own = index.name.rsplit_once("_v").map(|(base, _)| base).unwrap();
        seen.aliases.push(alias(own, &index.name, Some(true)));
        seen.counts.insert(index.name.clone(), 0);
        seen.indices.push(index);
    }
    for key in ["invoice", "order"] {
        let index = index(
            &seen
                .names
                .alias(&format!("process-instance-archive-{key}_v8")),
            0,
        );
        let own = seen.names.alias(&format!("process-instance-archive-{key}"));
        seen.aliases.push(alias(&own, &index.name, Some(true)));
        seen.aliases
            .push(alias("optimize-process-instance", &index.name, Some(false)));
        seen.archives.insert(
            index.name.clone(),
            Archive::Yes("its process is there".into()),
        );
        seen.indices.push(index);
    }
    seen.legacy_templates.push(legacy("optimize-event_v4"));
    seen.everything = Some(seen.indices.clone());
    seen
}

/// With these steps in the update log.
pub(crate) fn logged(seen: &mut Seen, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        let applied = Some("2026-11-21T09:05:59.626Z".to_owned());
        seen.log.insert(id.clone(), LogEntry { id, applied });
    }
    seen.indices.push(index("optimize-update-log_v1", 1));
    seen.aliases.push(alias(
        "optimize-update-log",
        "optimize-update-log_v1",
        Some(true),
    ));
}

pub(crate) fn goal(seen: &Seen, to: &str) -> Goal {
    Goal::of(seen.version().cloned(), version(to), Moment::BeforePlan)
}

/// Ids of the findings on the way to that version, with their severity in front: `blocker optimize.x`.
pub(crate) fn ids(seen: &Seen, to: &str) -> Vec<String> {
    findings(seen, &goal(seen, to))
        .iter()
        .map(|finding| {
            format!("{:?} {}", finding.severity, finding.id)
                .replace("Severity::", "")
                .to_lowercase()
        })
        .collect()
}

//! The documents of a site and of its neighbours, all from one seed.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use super::Shape;
use super::SiteSpec;
use super::tenant_prefix;
use super::uuid_from;

/// Bytes of one bulk request. Far below the server's limit of 100 MB, and large enough that the
/// default site goes in one.
const BULK_BYTES_MAX: usize = 8 << 20;

/// An index of another product of the family.
pub(super) const OPERATE_INDEX: &str = "operate-process-8.3.0_";

/// The index that Zeebe's exporter fills.
pub(super) fn zeebe_index(spec: &SiteSpec) -> String {
    format!("zeebe-record_process_8.7.0_{}", spec.zeebe_date)
}

/// The index of settings.
fn settings_index(spec: &SiteSpec) -> String {
    match spec.shape {
        Shape::Of3_13 => "settings_v2".into(),
        Shape::Of8_7 => "settings_v3".into(),
    }
}

/// Lines for `_bulk`, cut into requests of bounded size, and counts per index.
#[derive(Default)]
pub(super) struct Bulk {
    full: Vec<String>,
    lines: String,
    counts: BTreeMap<String, u64>,
}

impl Bulk {
    fn add(&mut self, index: &str, id: &str, document: &Value) {
        let action = json!({ "index": { "_index": index, "_id": id } });
        self.lines.push_str(&format!("{action}\n{document}\n"));
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        } else {
            self.counts.insert(index.to_owned(), 1);
        }
        if self.lines.len() >= BULK_BYTES_MAX {
            self.full.push(std::mem::take(&mut self.lines));
        }
    }

    /// The requests' bodies, and how many documents each index gets.
    pub(super) fn finish(mut self) -> (Vec<String>, BTreeMap<String, u64>) {
        if !self.lines.is_empty() {
            self.full.push(self.lines);
        }
        (self.full, self.counts)
    }
}

/// SplitMix64: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; the slight bias of a remainder does not matter for test data.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }
}

/// Makes the documents that a specification asks for.
pub(super) struct Documents<'a> {
    spec: &'a SiteSpec,
}

const PEOPLE: [&str; 4] = ["demo", "mary", "john", "Zoë"];
const VARIABLES: [(&str, &str); 3] = [
    ("amount", "Double"),
    ("customer", "String"),
    ("approved", "Boolean"),
];
const FLOW_NODES: [(&str, &str); 3] = [
    ("start", "startEvent"),
    ("review", "userTask"),
    ("done", "endEvent"),
];

/// Milliseconds of one day.
const DAY_MS: u64 = 86_400_000;

/// 2026-01-01T00:00:00Z, when the site's data begins.
const FIRST_MS: u64 = 1_767_225_600_000;

/// The product's date format, in UTC.
fn date(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string())
        .unwrap_or_default()
}

impl<'a> Documents<'a> {
    pub(super) fn new(spec: &'a SiteSpec) -> Self {
        Self { spec }
    }

    /// A generator of its own for each kind of document, so that the number of one kind does not
    /// change the others.
    fn random(&self, stream: u64) -> Random {
        let mut random = Random(self.spec.seed ^ stream.wrapping_mul(0xa24b_aed4_963e_e407));
        random.next();
        random
    }

    fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.spec.prefix)
    }

    pub(super) fn installation_id(&self) -> String {
        let mut random = self.random(1);
        uuid_from([random.next(), random.next()]).to_string()
    }

    pub(super) fn fill_site(&self, bulk: &mut Bulk) {
        bulk.add(
            &self.name("metadata_v3"),
            "1",
            &json!({
                "schemaVersion": self.spec.schema_version,
                "installationId": self.installation_id(),
            }),
        );
        let mut settings = json!({ "sharingEnabled": true, "lastModified": date(FIRST_MS) });
        if self.spec.shape == Shape::Of3_13 {
            settings["metadataTelemetryEnabled"] = true.into();
            settings["lastModifier"] = "demo".into();
            self.older(bulk);
        }
        bulk.add(&self.name(&settings_index(self.spec)), "1", &settings);
        for (at, key) in self.spec.process_keys.iter().enumerate() {
            self.process_definition(bulk, key);
            self.process_instances(bulk, key, 10 + at as u64);
        }
        for (at, key) in self.spec.decision_keys.iter().enumerate() {
            self.decision_instances(bulk, key, 1000 + at as u64);
        }
        self.external_variables(bulk);
        self.variable_updates(bulk);
        self.import_positions(bulk);
        self.reports(bulk);
        self.collections(bulk);
        self.dashboards(bulk);
    }

    /// What the upgrade to 8.6 deletes, as far as there is anything in it.
    fn older(&self, bulk: &mut Bulk) {
        bulk.add(
            &self.name("onboarding-state_v2"),
            "demo:whatsnew",
            &json!({ "id": "demo:whatsnew", "key": "whatsnew", "userId": "demo", "seen": true }),
        );
        for number in 0..3 {
            let id = format!("event-{number}");
            bulk.add(
                &self.name("event_v4-000001"),
                &id,
                &json!({ "id": id, "eventName": "paid", "traceId": "1", "timestamp": FIRST_MS }),
            );
        }
        for key in self.spec.archive_keys.iter().take(1) {
            for number in 0..self.spec.archived_instances {
                let id = format!("archived-{number}");
                bulk.add(
                    &self.name(&format!("process-instance-archive-{key}_v8")),
                    &id,
                    &json!({
                        "processInstanceId": id, "processDefinitionKey": key,
                        "startDate": date(FIRST_MS), "state": "COMPLETED",
                    }),
                );
            }
        }
    }

    fn process_definition(&self, bulk: &mut Bulk, key: &str) {
        let id = format!("{key}:1");
        let nodes: Vec<_> = FLOW_NODES
            .iter()
            .map(|(id, kind)| json!({ "id": id, "name": id, "type": kind }))
            .collect();
        bulk.add(
            &self.name("process-definition_v6"),
            &id,
            &json!({
                "id": id, "key": key, "name": key, "version": "1", "tenantId": "<default>",
                "deleted": false, "onboarded": true,
                "dataSource": { "type": "zeebe", "name": "zeebe-record", "partition": 1 },
                "bpmn20Xml": format!("<definitions id=\"{key}\"/>"),
                "flowNodeData": nodes,
                "userTaskNames": { "review": "review" },
            }),
        );
    }

    fn process_instances(&self, bulk: &mut Bulk, key: &str, stream: u64) {
        let index = self.name(&format!("process-instance-{key}_v8"));
        let mut random = self.random(stream);
        for number in 0..self.spec.process_instances {
            let id = (2_251_799_813_685_248 + number as u64).to_string();
            let start = FIRST_MS + random.below(14 * DAY_MS);
            let duration = 1000 + random.below(DAY_MS);
            let is_open = random.below(5) == 0;
            let nodes: Vec<_> = FLOW_NODES
                .iter()
                .enumerate()
                .map(|(at, (node, kind))| {
                    let begin = start + duration * at as u64 / 3;
                    json!({
                        "flowNodeInstanceId": format!("{id}-{node}"),
                        "flowNodeId": node, "flowNodeType": kind, "processInstanceId": id,
                        "definitionKey": key, "definitionVersion": "1", "tenantId": "<default>",
                        "startDate": date(begin), "endDate": date(begin + duration / 3),
                        "totalDurationInMs": duration / 3, "canceled": false,
                        "assignee": if *kind == "userTask" {
                            Value::from(random.pick(&PEOPLE))
                        } else {
                            Value::Null
                        },
                    })
                })
                .collect();
            let variables: Vec<_> = VARIABLES
                .iter()
                .map(|(name, kind)| {
                    let value = match *kind {
                        "Double" => format!("{}.{:02}", random.below(5000), random.below(100)),
                        "Boolean" => (random.below(2) == 0).to_string(),
                        _ => format!("{} & Söhne {}", random.pick(&PEOPLE), random.below(90)),
                    };
                    json!({
                        "id": format!("{id}-{name}"), "name": name, "type": kind,
                        "value": [value], "version": 1,
                    })
                })
                .collect();
            let incidents: Vec<_> = (0..u64::from(random.below(20) == 0))
                .map(|at| {
                    json!({
                        "id": format!("{id}-incident-{at}"), "incidentType": "IO_MAPPING_ERROR",
                        "activityId": "review", "failedActivityId": "review",
                        "incidentStatus": "resolved", "definitionKey": key,
                        "definitionVersion": "1", "tenantId": "<default>",
                        "incidentMessage": "failed to evaluate expression 'amount'",
                        "createTime": date(start + 10), "endTime": date(start + 900),
                        "durationInMs": 890,
                    })
                })
                .collect();
            let mut document = json!({
                "processInstanceId": id, "processDefinitionKey": key,
                "processDefinitionVersion": "1", "processDefinitionId": format!("{key}:1"),
                "businessKey": format!("order {number}"), "tenantId": "<default>",
                "startDate": date(start),
                "state": if is_open { "ACTIVE" } else { "COMPLETED" },
                "dataSource": { "type": "zeebe", "name": "zeebe-record", "partition": 1 },
                "flowNodeInstances": nodes, "variables": variables, "incidents": incidents,
            });
            if !is_open {
                document["endDate"] = date(start + duration).into();
                document["duration"] = duration.into();
            }
            bulk.add(&index, &id, &document);
        }
    }

    fn decision_instances(&self, bulk: &mut Bulk, key: &str, stream: u64) {
        let index = self.name(&format!("decision-instance-{key}_v5"));
        let mut random = self.random(stream);
        for number in 0..self.spec.decision_instances {
            let id = format!("{key}-{number}");
            let amount = random.below(3000).to_string();
            bulk.add(
                &index,
                &id,
                &json!({
                    "decisionInstanceId": id, "decisionDefinitionKey": key,
                    "decisionDefinitionId": format!("{key}:1"), "decisionDefinitionVersion": "1",
                    "evaluationDateTime": date(FIRST_MS + random.below(14 * DAY_MS)),
                    "tenantId": "<default>", "matchedRules": ["rule-1"],
                    "inputs": [{
                        "id": "in-1", "clauseId": "clause-1", "clauseName": "amount",
                        "type": "Double", "value": amount,
                    }],
                    "outputs": [{
                        "id": "out-1", "clauseId": "clause-2", "clauseName": "class",
                        "ruleId": "rule-1", "ruleOrder": 1, "variableName": "class",
                        "type": "String", "value": random.pick(&["budget", "exceptional"]),
                    }],
                }),
            );
        }
    }

    fn external_variables(&self, bulk: &mut Bulk) {
        let index = self.name("external-process-variable_v2-000001");
        let mut random = self.random(2);
        for number in 0..self.spec.external_variables {
            let id = format!("external-{number}");
            bulk.add(
                &index,
                &id,
                &json!({
                    "variableId": id, "variableName": random.pick(&["region", "channel"]),
                    "variableType": "String",
                    "variableValue": { "value": random.pick(&["north", "south"]) },
                    "processInstanceId": (2_251_799_813_685_248 + number as u64).to_string(),
                    "processDefinitionKey": random.pick(&["invoice", "order-process"]),
                    "ingestionTimestamp": FIRST_MS + random.below(14 * DAY_MS),
                }),
            );
        }
    }

    fn variable_updates(&self, bulk: &mut Bulk) {
        let index = self.name("variable-update-instance_v2-000001");
        let mut random = self.random(3);
        for number in 0..self.spec.variable_updates {
            let id = format!("update-{number}");
            bulk.add(
                &index,
                &id,
                &json!({
                    "instanceId": id, "name": "amount", "type": "Double",
                    "value": [random.below(5000).to_string()],
                    "processInstanceId": (2_251_799_813_685_248 + number as u64).to_string(),
                    "tenantId": "<default>",
                    "timestamp": date(FIRST_MS + random.below(14 * DAY_MS)),
                }),
            );
        }
    }

    fn import_positions(&self, bulk: &mut Bulk) {
        let index = self.name("position-based-import-index_v3");
        let mut random = self.random(4);
        for kind in [
            "process",
            "process-instance",
            "variable",
            "incident",
            "user-task",
        ] {
            let record = format!("zeebe-record-{kind}-import-index");
            bulk.add(
                &index,
                &format!("{record}-1"),
                &json!({
                    "esTypeIndexRefersTo": record,
                    "dataSource": { "type": "zeebe", "name": "zeebe-record", "partition": 1 },
                    "positionOfLastEntity": random.below(100_000).to_string(),
                    "sequenceOfLastEntity": random.below(100_000).to_string(),
                    "hasSeenSequenceField": true,
                    "timestampOfLastEntity": date(FIRST_MS + 14 * DAY_MS),
                    "lastImportExecutionTimestamp": date(FIRST_MS + 14 * DAY_MS + 1000),
                }),
            );
        }
    }

    fn reports(&self, bulk: &mut Bulk) {
        let index = self.name("single-process-report_v11");
        let mut random = self.random(5);
        for number in 0..self.spec.reports {
            let id = uuid_from([random.next(), random.next()]).to_string();
            bulk.add(
                &index,
                &id,
                &json!({
                    "id": id, "name": format!("Report {number}"), "combined": false,
                    "reportType": "process", "owner": random.pick(&PEOPLE),
                    "lastModifier": "demo", "collectionId": format!("collection-{}", number % 3),
                    "created": date(FIRST_MS), "lastModified": date(FIRST_MS + number as u64),
                    "data": {
                        "managementReport": false, "instantPreviewReport": false,
                        "view": { "entity": "processInstance", "properties": ["frequency"] },
                        "groupBy": { "type": "none" }, "filter": [],
                        "configuration": { "xml": "<definitions/>", "color": "#1991c8" },
                    },
                }),
            );
        }
    }

    fn collections(&self, bulk: &mut Bulk) {
        for number in 0..3 {
            let id = format!("collection-{number}");
            bulk.add(
                &self.name("collection_v5"),
                &id,
                &json!({
                    "id": id, "name": format!("Team {number}"), "owner": "demo",
                    "lastModifier": "demo", "automaticallyCreated": false,
                    "created": date(FIRST_MS), "lastModified": date(FIRST_MS),
                    "data": {
                        "configuration": {},
                        "roles": [{
                            "id": "USER:demo", "role": "manager",
                            "identity": { "id": "demo", "type": "USER" },
                        }],
                        "scope": [{
                            "id": "process:invoice", "definitionType": "process",
                            "definitionKey": "invoice", "tenants": ["<default>"],
                        }],
                    },
                }),
            );
        }
    }

    fn dashboards(&self, bulk: &mut Bulk) {
        for number in 0..2 {
            let id = format!("dashboard-{number}");
            bulk.add(
                &self.name("dashboard_v8"),
                &id,
                &json!({
                    "id": id, "name": format!("Dashboard {number}"), "owner": "mary",
                    "lastModifier": "mary", "managementDashboard": false,
                    "instantPreviewDashboard": false, "collectionId": "collection-0",
                    "created": date(FIRST_MS), "lastModified": date(FIRST_MS),
                    "refreshRateSeconds": "60", "availableFilters": [],
                    "tiles": [{
                        "id": "tile-0", "type": "text", "configuration": { "text": "hello" },
                        "position": { "x": "0", "y": "0" },
                        "dimensions": { "width": "4", "height": "2" },
                    }],
                }),
            );
        }
    }

    pub(super) fn fill_neighbours(&self, bulk: &mut Bulk) {
        let tenant = tenant_prefix(self.spec);
        let mut random = self.random(6);
        bulk.add(
            &format!("{tenant}-metadata_v3"),
            "1",
            &json!({
                "schemaVersion": self.spec.schema_version,
                "installationId": uuid_from([random.next(), random.next()]).to_string(),
            }),
        );
        bulk.add(
            &format!("{tenant}-{}", settings_index(self.spec)),
            "1",
            &json!({ "sharingEnabled": false, "lastModified": date(FIRST_MS) }),
        );
        for (at, key) in self.spec.process_keys.iter().enumerate() {
            let number = at as u64 + 1;
            bulk.add(
                &zeebe_index(self.spec),
                &format!("1-{number}"),
                &json!({
                    "position": number, "partitionId": 1, "key": 2_251_799_813_685_000 + number,
                    "timestamp": FIRST_MS, "intent": "CREATED",
                    "value": { "bpmnProcessId": key, "version": 1 },
                }),
            );
            bulk.add(
                OPERATE_INDEX,
                &number.to_string(),
                &json!({ "id": number.to_string(), "name": key, "bpmnProcessId": key, "version": 1 }),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(spec: &SiteSpec) -> (Vec<String>, BTreeMap<String, u64>) {
        let mut bulk = Bulk::default();
        Documents::new(spec).fill_site(&mut bulk);
        bulk.finish()
    }

    #[test]
    fn makes_the_same_documents_from_the_same_seed() {
        let spec = SiteSpec::default();
        assert_eq!(site(&spec), site(&spec));
        let other = SiteSpec {
            seed: 88,
            ..spec.clone()
        };
        assert_ne!(site(&spec).0, site(&other).0);
    }

    #[test]
    fn counts_what_it_makes() {
        let (lines, counts) = site(&SiteSpec::default());
        assert_eq!(counts["optimize-process-instance-invoice_v8"], 200);
        assert_eq!(counts["optimize-external-process-variable_v2-000001"], 300);
        let line_count: usize = lines.iter().map(|lines| lines.lines().count()).sum();
        assert_eq!(line_count as u64, 2 * counts.values().sum::<u64>());
    }

    #[test]
    fn cuts_a_large_site_into_several_requests() {
        let spec = SiteSpec {
            process_instances: 4000,
            ..SiteSpec::default()
        };
        let (lines, _) = site(&spec);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|request| request.ends_with('\n')));
    }

    #[test]
    fn writes_dates_as_the_product_does() {
        assert_eq!(date(FIRST_MS + 5), "2026-01-01T00:00:00.005+0000");
    }
}

//! Builds an Optimize site of 8.7, or of 3.13, over HTTP: indices, aliases, templates, data and neighbours.
//!
//! No vendor code is involved. The same specification gives the same site, byte for byte.

mod documents;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Instant;

use futures::StreamExt;
use futures::TryStreamExt;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use self::documents::Bulk;
use self::documents::Documents;
use crate::error::LabError;
use crate::fields;
use crate::fields::IndexShape;
use crate::http::HttpTarget;

/// Requests that create indices at the same time. The server makes them one after another, but
/// takes several of them into one change of its state.
const CREATE_AT_ONCE: usize = 8;

/// The line whose schema a site has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Optimize 3.13, of Camunda 8.5: older settings, indices and archives of Camunda 7.
    Of3_13,
    /// Optimize 8.7; what 8.6 and later lines have on top is not built.
    #[default]
    Of8_7,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "3.13" => Ok(Self::Of3_13),
            "8.7" => Ok(Self::Of8_7),
            other => Err(format!("`{other}` is no shape: 3.13 and 8.7 are")),
        }
    }
}

/// What site to build. [`SiteSpec::default`] is the small one; change what matters.
#[derive(Clone, Debug)]
pub struct SiteSpec {
    /// Prefix of all names of the site.
    pub prefix: String,
    /// Whose schema it has.
    pub shape: Shape,
    /// `schemaVersion` in the metadata document.
    pub schema_version: String,
    /// Keys of processes with an archive of instances, in lower case.
    pub archive_keys: Vec<String>,
    /// Documents of the first archive; the product left all of them empty.
    pub archived_instances: usize,
    /// Keys of process definitions, in lower case; each has its own index.
    pub process_keys: Vec<String>,
    /// Keys of decision definitions, in lower case; each has its own index.
    pub decision_keys: Vec<String>,
    /// Process instances per process definition.
    pub process_instances: usize,
    /// Decision instances per decision definition.
    pub decision_instances: usize,
    /// Variables that came from outside.
    pub external_variables: usize,
    /// Documents of the index that 8.8 drops; a real site has none in it.
    pub variable_updates: usize,
    /// Single process reports.
    pub reports: usize,
    /// Indices (names without prefix) whose replicas someone has set to 0 by hand; all others
    /// have 1, which one node cannot place, so they are yellow and these are green.
    pub without_replicas: Vec<String>,
    /// Whether indices of other products and of an overlapping tenant stand beside the site.
    pub has_neighbours: bool,
    /// Day in the name of the Zeebe record index.
    pub zeebe_date: String,
    /// Seed of everything that looks random, the installation id included.
    pub seed: u64,
}

impl Default for SiteSpec {
    fn default() -> Self {
        Self {
            prefix: "optimize".into(),
            shape: Shape::Of8_7,
            schema_version: "8.7.0".into(),
            archive_keys: Vec::new(),
            archived_instances: 0,
            process_keys: vec!["invoice".into(), "order-process".into()],
            decision_keys: vec!["invoice-classification".into()],
            process_instances: 200,
            decision_instances: 50,
            external_variables: 300,
            variable_updates: 0,
            reports: 10,
            without_replicas: vec!["settings_v3".into(), "process-instance-invoice_v8".into()],
            has_neighbours: true,
            zeebe_date: "2026-01-15".into(),
            seed: 87,
        }
    }
}

impl SiteSpec {
    /// A site of 3.13, with an archive for each of its processes.
    pub fn of_3_13() -> Self {
        let spec = Self::default();
        Self {
            shape: Shape::Of3_13,
            schema_version: "3.13.4".into(),
            archive_keys: spec.process_keys.clone(),
            archived_instances: 3,
            without_replicas: vec!["settings_v2".into(), "process-instance-invoice_v8".into()],
            ..spec
        }
    }

    /// The default one of a shape.
    pub fn of(shape: Shape) -> Self {
        match shape {
            Shape::Of3_13 => Self::of_3_13(),
            Shape::Of8_7 => Self::default(),
        }
    }

    /// The same with so many process definitions, each with its own index.
    #[must_use]
    pub fn with_processes(mut self, count: usize) -> Self {
        self.process_keys = (1..=count)
            .map(|number| format!("process-{number}"))
            .collect();
        self.without_replicas
            .retain(|name| !name.starts_with("process-instance-"));
        self
    }
}

/// What was built, for comparing.
#[derive(Clone, Debug)]
pub struct SiteFacts {
    /// Prefix of all names of the site.
    pub prefix: String,
    /// `schemaVersion` in the metadata document.
    pub schema_version: String,
    /// `installationId` in the metadata document.
    pub installation_id: String,
    /// The cluster's own id.
    pub cluster_uuid: String,
    /// The site's indices with their document counts.
    pub indices: BTreeMap<String, u64>,
    /// Indices that are not the site's, with their document counts.
    pub neighbours: BTreeMap<String, u64>,
    /// The site's legacy templates.
    pub templates: Vec<String>,
    /// The index that the step to 8.8 drops.
    pub doomed_index: String,
    /// Indices whose replicas were set to 0 by hand.
    pub without_replicas: Vec<String>,
    /// Milliseconds it took.
    pub build_ms: u64,
}

impl SiteFacts {
    /// Documents of the site itself.
    pub fn document_count(&self) -> u64 {
        self.indices.values().sum()
    }
}

/// Builds the site; the cluster must not hold any of its names yet.
pub async fn build(target: &HttpTarget, spec: &SiteSpec) -> Result<SiteFacts, LabError> {
    let begun = Instant::now();
    let root = target.get("/").await?;
    let is_opensearch = root["version"]["distribution"] == "opensearch";
    let cluster_uuid = root["cluster_uuid"].as_str().unwrap_or_default().to_owned();
    let shapes = match spec.shape {
        Shape::Of3_13 => fields::optimize_3_13()?,
        Shape::Of8_7 => fields::optimize_8_7()?,
    };
    let frame = Frame::new(is_opensearch);

    for (name, body) in templates(spec, &shapes, &frame) {
        target.put(&format!("/_template/{name}"), &body).await?;
    }
    let mut indices = site_indices(spec, &shapes, &frame);
    let mut neighbours = BTreeMap::new();
    if spec.has_neighbours {
        for (name, body) in neighbour_indices(spec, &shapes, &frame) {
            neighbours.insert(name.clone(), 0);
            indices.insert(name, body);
        }
    }
    // Made in a loop: a closure over references would tie the whole to one thread.
    let mut creations = Vec::new();
    for (name, body) in &indices {
        creations.push(create(target, name, body));
    }
    futures::stream::iter(creations)
        .buffer_unordered(CREATE_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;

    let documents = Documents::new(spec);
    let mut own = Bulk::default();
    documents.fill_site(&mut own);
    let mut others = Bulk::default();
    if spec.has_neighbours {
        documents.fill_neighbours(&mut others);
    }
    let (own, own_counts) = own.finish();
    let (others, other_counts) = others.finish();
    for lines in own.into_iter().chain(others) {
        target.bulk("/_bulk?refresh=true", lines).await?;
    }
    for name in &spec.without_replicas {
        let body = json!({ "index": { "number_of_replicas": 0 } });
        target
            .put(&format!("/{}-{name}/_settings", spec.prefix), &body)
            .await?;
    }

    let mut facts = SiteFacts {
        prefix: spec.prefix.clone(),
        schema_version: spec.schema_version.clone(),
        installation_id: documents.installation_id(),
        cluster_uuid,
        indices: indices
            .keys()
            .filter(|name| !neighbours.contains_key(*name))
            .map(|name| (name.clone(), 0))
            .collect(),
        neighbours,
        templates: templates(spec, &shapes, &frame)
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        doomed_index: format!("{}-{DOOMED}", spec.prefix),
        without_replicas: spec
            .without_replicas
            .iter()
            .map(|name| format!("{}-{name}", spec.prefix))
            .collect(),
        build_ms: 0,
    };
    facts.indices.extend(own_counts);
    facts.neighbours.extend(other_counts);
    facts.build_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(facts)
}

async fn create(target: &HttpTarget, name: &str, body: &Value) -> Result<(), LabError> {
    target.put(&format!("/{name}"), body).await.map(drop)
}

/// The index that the step to 8.8 drops.
const DOOMED: &str = "variable-update-instance_v2-000001";

/// Indices that come from a legacy template as well, where the site has them.
const TEMPLATED: [&str; 3] = [
    "event_v4",
    "external-process-variable_v2",
    "variable-update-instance_v2",
];

/// `alert` of `alert_v4`, `variable-update-instance` of `variable-update-instance_v2-000001`.
fn alias_part(name: &str) -> &str {
    name.rsplit_once("_v").map_or(name, |(part, _)| part)
}

/// What every index of the site has.
struct Frame {
    analysis: Value,
    dynamic_templates: Value,
}

impl Frame {
    fn new(is_opensearch: bool) -> Self {
        // The only thing that differs by server: the form the product sends it in.
        let normalizer = if is_opensearch {
            json!({ "type": "lowercase" })
        } else {
            json!({ "type": "custom", "filter": ["lowercase"] })
        };
        Self {
            analysis: json!({
                "analyzer": {
                    "lowercase_ngram": {
                        "type": "custom", "tokenizer": "ngram_tokenizer", "filter": ["lowercase"],
                    },
                    "is_present_analyzer": {
                        "type": "custom", "tokenizer": "keyword", "filter": ["is_present_filter"],
                    },
                },
                "normalizer": { "lowercase_normalizer": normalizer },
                "tokenizer": {
                    "ngram_tokenizer": {
                        "type": "ngram", "min_gram": 1, "max_gram": 10,
                        "token_chars": ["letter", "digit", "whitespace", "punctuation", "symbol"],
                    },
                },
                "filter": { "is_present_filter": { "type": "truncate", "length": "1" } },
            }),
            dynamic_templates: json!([{ "string_template": {
                "match_mapping_type": "string", "path_match": "*",
                "mapping": { "type": "keyword", "index_options": "docs" },
            } }]),
        }
    }

    fn settings(&self, shape: &IndexShape) -> Value {
        let mut index = json!({
            "number_of_shards": 1,
            "number_of_replicas": 1,
            "refresh_interval": "2s",
            "max_ngram_diff": 9,
            "mapping": { "nested_objects": { "limit": 10000 } },
            "analysis": self.analysis,
        });
        if let Some((field, order)) = &shape.sort {
            index["sort"] = json!({ "field": field, "order": order });
        }
        json!({ "index": index })
    }

    fn mappings(&self, shape: &IndexShape) -> Value {
        json!({
            "dynamic": "strict",
            "dynamic_templates": self.dynamic_templates,
            "properties": shape.properties,
        })
    }

    fn index(&self, shape: &IndexShape, aliases: Map<String, Value>) -> Value {
        json!({
            "settings": self.settings(shape),
            "mappings": self.mappings(shape),
            "aliases": aliases,
        })
    }
}

fn write_alias(name: String) -> Map<String, Value> {
    Map::from_iter([(name, json!({ "is_write_index": true }))])
}

fn site_indices(spec: &SiteSpec, shapes: &[IndexShape], frame: &Frame) -> BTreeMap<String, Value> {
    let prefix = &spec.prefix;
    let mut indices = BTreeMap::new();
    for shape in shapes {
        let keys = match shape.name.as_str() {
            name if !name.contains("<key>") => {
                let aliases = write_alias(format!("{prefix}-{}", alias_part(name)));
                indices.insert(format!("{prefix}-{name}"), frame.index(shape, aliases));
                continue;
            }
            name if name.starts_with("process-") => &spec.process_keys,
            _ => &spec.decision_keys,
        };
        for key in keys {
            let name = shape.name.replace("<key>", key);
            let shared = alias_part(&shape.name).replace("-<key>", "");
            let mut aliases = write_alias(format!("{prefix}-{}", alias_part(&name)));
            aliases.insert(
                format!("{prefix}-{shared}"),
                json!({ "is_write_index": false }),
            );
            indices.insert(format!("{prefix}-{name}"), frame.index(shape, aliases));
        }
        if shape.name.starts_with("process-instance-") {
            for key in &spec.archive_keys {
                let name = format!("{prefix}-process-instance-archive-{key}");
                let mut aliases = write_alias(name.clone());
                aliases.insert(
                    format!("{prefix}-process-instance"),
                    json!({ "is_write_index": false }),
                );
                indices.insert(format!("{name}_v8"), frame.index(shape, aliases));
            }
        }
    }
    indices
}

/// 2 of `optimize-external-process-variable_v2`.
fn version_of(name: &str) -> u32 {
    let version = name.rsplit_once("_v").map(|(_, version)| version.parse());
    version.and_then(Result::ok).unwrap_or_default()
}

fn templates(spec: &SiteSpec, shapes: &[IndexShape], frame: &Frame) -> Vec<(String, Value)> {
    let mut templates = Vec::new();
    for name in TEMPLATED {
        for shape in shapes.iter().filter(|shape| {
            shape
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('-'))
        }) {
            let name = format!("{}-{name}", spec.prefix);
            let body = json!({
                "version": version_of(&name),
                "order": 0,
                "index_patterns": [format!("{name}*")],
                "settings": frame.settings(shape),
                "mappings": frame.mappings(shape),
            });
            templates.push((name, body));
        }
    }
    templates
}

/// Name of the tenant whose prefix begins with the site's own.
fn tenant_prefix(spec: &SiteSpec) -> String {
    format!("{}-team-a", spec.prefix)
}

/// Indices that an upgrade of the site must not touch.
fn neighbour_indices(
    spec: &SiteSpec,
    shapes: &[IndexShape],
    frame: &Frame,
) -> Vec<(String, Value)> {
    let tenant = tenant_prefix(spec);
    let mut indices: Vec<(String, Value)> = shapes
        .iter()
        .filter(|shape| ["metadata", "settings"].contains(&alias_part(&shape.name)))
        .map(|shape| {
            let aliases = write_alias(format!("{tenant}-{}", alias_part(&shape.name)));
            (
                format!("{tenant}-{}", shape.name),
                frame.index(shape, aliases),
            )
        })
        .collect();
    let settings = json!({ "index": { "number_of_shards": 1, "number_of_replicas": 1 } });
    indices.push((
        documents::zeebe_index(spec),
        json!({
            "settings": settings,
            "mappings": { "dynamic": "strict", "properties": {
                "position": { "type": "long" },
                "partitionId": { "type": "integer" },
                "key": { "type": "long" },
                "timestamp": { "type": "date" },
                "intent": { "type": "keyword" },
                "value": { "properties": {
                    "bpmnProcessId": { "type": "keyword" },
                    "version": { "type": "integer" },
                } },
            } },
            "aliases": { "zeebe-record-process": { "is_write_index": false } },
        }),
    ));
    indices.push((
        documents::OPERATE_INDEX.to_owned(),
        json!({
            "settings": settings,
            "mappings": { "dynamic": "strict", "properties": {
                "id": { "type": "keyword" },
                "name": { "type": "keyword" },
                "bpmnProcessId": { "type": "keyword" },
                "version": { "type": "integer" },
            } },
            "aliases": { "operate-process-8.3.0_alias": { "is_write_index": false } },
        }),
    ));
    indices
}

/// Deterministic 128 bits as a random-looking id.
fn uuid_from(words: [u64; 2]) -> Uuid {
    uuid::Builder::from_random_bytes(
        (u128::from(words[0]) << 64 | u128::from(words[1])).to_be_bytes(),
    )
    .into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_indices_aliases_and_templates_as_an_8_7_site_does() {
        let spec = SiteSpec::default();
        let shapes = fields::optimize_8_7().unwrap();
        let frame = Frame::new(true);
        let indices = site_indices(&spec, &shapes, &frame);
        assert_eq!(indices.len(), 25);
        let aliases = |name: &str| indices[name]["aliases"].clone();
        assert_eq!(
            aliases("optimize-variable-update-instance_v2-000001"),
            json!({ "optimize-variable-update-instance": { "is_write_index": true } })
        );
        assert_eq!(
            aliases("optimize-process-instance-order-process_v8"),
            json!({
                "optimize-process-instance-order-process": { "is_write_index": true },
                "optimize-process-instance": { "is_write_index": false },
            })
        );
        let templates = templates(&spec, &shapes, &frame);
        let patterns: Vec<_> = templates
            .iter()
            .map(|(_, body)| body["index_patterns"][0].clone())
            .collect();
        assert_eq!(
            patterns,
            [
                "optimize-external-process-variable_v2*",
                "optimize-variable-update-instance_v2*"
            ]
        );
    }

    #[test]
    fn names_indices_of_a_3_13_site_with_its_archives() {
        let spec = SiteSpec::of_3_13();
        let shapes = fields::optimize_3_13().unwrap();
        let frame = Frame::new(true);
        let indices = site_indices(&spec, &shapes, &frame);
        assert_eq!(indices.len(), 25 + 9 + 2);
        assert_eq!(
            indices["optimize-process-instance-archive-invoice_v8"]["aliases"],
            json!({
                "optimize-process-instance-archive-invoice": { "is_write_index": true },
                "optimize-process-instance": { "is_write_index": false },
            })
        );
        let templates = templates(&spec, &shapes, &frame);
        assert_eq!(templates.len(), 3);
        assert_eq!(templates[0].0, "optimize-event_v4");
        assert_eq!(templates[0].1["version"], 4);
    }

    #[test]
    fn makes_as_many_processes_as_asked_for() {
        let spec = SiteSpec::default().with_processes(8);
        let shapes = fields::optimize_8_7().unwrap();
        let indices = site_indices(&spec, &shapes, &Frame::new(false));
        assert!(indices.contains_key("optimize-process-instance-process-8_v8"));
        assert_eq!(indices.len(), 25 - 2 + 8);
    }

    #[test]
    fn tells_the_servers_apart_by_the_normalizer_alone() {
        let [mut one, other] = [Frame::new(true), Frame::new(false)];
        assert_ne!(one.analysis, other.analysis);
        one.analysis["normalizer"] = other.analysis["normalizer"].clone();
        assert_eq!(one.analysis, other.analysis);
    }
}

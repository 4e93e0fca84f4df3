//! What the indices of a release look like.

use liftlock_lab::fields;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::Failure;
use crate::plan::Version;
use crate::settings::Database;
use crate::settings::Settings;

/// One index that the release knows.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its write alias.
    pub alias: String,
    /// Its name.
    pub index: String,
    /// Aliases that only read.
    pub read_aliases: Vec<String>,
    /// The legacy template, where the index comes from one.
    pub template: Option<String>,
    /// What the dynamic settings and the mapping are put on.
    pub target: String,
    settings: Value,
    mapping: Value,
}

/// From this release on nothing rolls over any more.
const NO_ROLLOVER: [u32; 2] = [8, 8];

/// The fixed indices of a release.
pub fn fixed(settings: &Settings, release: Version) -> Result<Vec<Definition>, Failure> {
    let [major, minor] = NO_ROLLOVER;
    let rolls_over = !release.is_at_least(format!("{major}.{minor}").parse()?);
    let shapes = fields::optimize_8_7()?;
    Ok(shapes
        .iter()
        .filter(|shape| !shape.name.contains("<key>"))
        .filter(|shape| rolls_over || !shape.name.starts_with("variable-update-instance"))
        .map(|shape| {
            let (name, _) = shape.name.rsplit_once("_v").unwrap_or((&shape.name, ""));
            let index = settings.alias(&shape.name);
            let numbered = index.strip_suffix("-000001").map(str::to_owned);
            Definition {
                alias: settings.alias(name),
                read_aliases: Vec::new(),
                target: match &numbered {
                    Some(front) => format!("{front}*"),
                    None => index.clone(),
                },
                template: numbered.filter(|_| rolls_over),
                settings: index_settings(settings, shape.sort.as_ref()),
                mapping: mapping(shape.properties.clone()),
                index,
            }
        })
        .collect())
}

/// The index of one process definition.
pub fn process_instance(settings: &Settings, key: &str) -> Result<Definition, Failure> {
    let shapes = fields::optimize_8_7()?;
    let shape = shapes
        .iter()
        .find(|shape| shape.name.starts_with("process-instance-<key>"))
        .ok_or_else(|| Failure::Other("no shape of a process instance".into()))?;
    let index = settings.alias(&shape.name.replace("<key>", key));
    Ok(Definition {
        alias: settings.alias(&format!("process-instance-{key}")),
        read_aliases: vec![settings.alias("process-instance")],
        template: None,
        target: index.clone(),
        settings: index_settings(settings, None),
        mapping: mapping(shape.properties.clone()),
        index,
    })
}

/// The update log, which is no index of the application.
pub fn update_log(settings: &Settings) -> Definition {
    let keyword = json!({ "type": "keyword" });
    let properties = json!({
        "indexName": keyword, "optimizeVersion": keyword, "stepType": keyword,
        "stepNumber": { "type": "long" }, "appliedDate": { "type": "date" },
    });
    let index = settings.alias("update-log_v1");
    Definition {
        alias: settings.alias("update-log"),
        read_aliases: Vec::new(),
        template: None,
        target: index.clone(),
        settings: index_settings(settings, None),
        mapping: mapping(properties.as_object().cloned().unwrap_or_default()),
        index,
    }
}

impl Definition {
    /// The body of its creation.
    pub fn body(&self) -> Value {
        let mut aliases = Map::new();
        aliases.insert(self.alias.clone(), json!({ "is_write_index": true }));
        for alias in &self.read_aliases {
            aliases.insert(alias.clone(), json!({ "is_write_index": false }));
        }
        json!({ "aliases": aliases, "settings": self.settings, "mappings": self.mapping })
    }

    /// The body of its legacy template.
    pub fn template_body(&self, template: &str) -> Value {
        json!({
            "version": 2, "order": 0, "index_patterns": [format!("{template}*")],
            "settings": self.settings, "mappings": self.mapping,
        })
    }

    /// Settings that can be changed while the index is open.
    pub fn dynamic_settings(&self) -> Value {
        let index = &self.settings["index"];
        json!({ "index": {
            "max_ngram_diff": index["max_ngram_diff"],
            "refresh_interval": index["refresh_interval"],
            "number_of_replicas": index["number_of_replicas"],
            "mapping": index["mapping"],
        } })
    }

    /// The whole mapping.
    pub fn mapping(&self) -> &Value {
        &self.mapping
    }
}

fn index_settings(settings: &Settings, sort: Option<&(String, String)>) -> Value {
    // The only difference between the two servers: how the normalizer is sent.
    let normalizer = match settings.database {
        Database::Opensearch => json!({ "type": "lowercase" }),
        Database::Elasticsearch => json!({ "type": "custom", "filter": ["lowercase"] }),
    };
    let mut index = json!({
        "number_of_shards": settings.shards,
        "number_of_replicas": settings.replicas,
        "refresh_interval": "2s",
        "max_ngram_diff": 9,
        "mapping": { "nested_objects": { "limit": settings.nested_limit } },
        "analysis": {
            "analyzer": {
                "lowercase_ngram": { "type": "custom", "tokenizer": "ngram_tokenizer", "filter": ["lowercase"] },
                "is_present_analyzer": { "type": "custom", "tokenizer": "keyword", "filter": ["is_present_filter"] },
            },
            "normalizer": { "lowercase_normalizer": normalizer },
            "tokenizer": { "ngram_tokenizer": {
                "type": "ngram", "min_gram": 1, "max_gram": 10,
                "token_chars": ["letter", "digit", "whitespace", "punctuation", "symbol"],
            } },
            "filter": { "is_present_filter": { "type": "truncate", "length": "1" } },
        },
    });
    if let Some((field, order)) = sort {
        index["sort"] = json!({ "field": field, "order": order });
    }
    json!({ "index": index })
}

fn mapping(properties: Map<String, Value>) -> Value {
    json!({
        "dynamic": "strict",
        "dynamic_templates": [ { "string_template": {
            "match_mapping_type": "string", "path_match": "*",
            "mapping": { "type": "keyword", "index_options": "docs" },
        } } ],
        "properties": properties,
    })
}

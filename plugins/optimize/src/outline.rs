//! What is left to do of a hop: pure, from what was seen.
//!
//! Work that the vendor's own tool, or an earlier run, has done and recorded is not done again: a step counts as
//! done where the update log *and* the state say so. Where they contradict each other there is no outline.

use liftlock_sdk::prelude::*;

use crate::check::{Goal, contradiction, way_of};
use crate::edges::{Hop, VendorStep};
use crate::seen::{Metadata, Seen};

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deletion {
    Index {
        name: String,
        uuid: String,
        is_empty: bool,
    },
    Template {
        name: String,
    },
}

/// What is left of one of the vendor's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// From 1, in the vendor's order.
    pub(crate) number: usize,
    pub(crate) step: VendorStep,
    pub(crate) deletions: Vec<Deletion>,
    /// The document of the update log is missing.
    pub(crate) log: bool,
}

/// What is left of the hop.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) hop: &'static Hop,
    pub(crate) from: Version,
    pub(crate) to: Version,
    /// The document as it is, to be replaced with another version in it; none where the version is set already.
    pub(crate) metadata: Option<Value>,
    pub(crate) create_log: bool,
    pub(crate) left: Vec<Left>,
    /// Steps found done, with the evidence.
    pub(crate) skipped: Vec<String>,
}

impl Outline {
    /// What is left; or the findings because of which there can be no plan.
    pub(crate) fn new(seen: &Seen, goal: &Goal) -> std::result::Result<Self, Vec<Finding>> {
        let hop = way_of(seen, goal).map_err(|finding| vec![*finding])?;
        let Metadata::Found {
            version, source, ..
        } = &seen.metadata
        else {
            return Err(Vec::new());
        };
        if let Some(finding) = contradiction(seen, hop) {
            return Err(vec![finding]);
        }
        let mut left = Vec::new();
        let mut skipped = Vec::new();
        for (at, step) in hop.steps.iter().enumerate() {
            let number = at + 1;
            let deletions = deletions(seen, hop, *step);
            match seen.log.get(&hop.log_id(*step)) {
                Some(entry) => skipped.push(format!(
                    "step {number} of {}, {}: done already at {}, and the state agrees",
                    hop.steps.len(),
                    step.log_name(),
                    entry.applied.as_deref().unwrap_or("an unknown time"),
                )),
                None => left.push(Left {
                    number,
                    step: *step,
                    deletions,
                    log: true,
                }),
            }
        }
        let set_version = *version != goal.to;
        let has_log = seen.index(&seen.names.update_log()).is_some();
        Ok(Self {
            hop,
            from: version.clone(),
            to: goal.to.clone(),
            metadata: set_version.then(|| source.clone()),
            create_log: !has_log && (set_version || !left.is_empty()),
            left,
            skipped,
        })
    }

    /// Nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty() && self.metadata.is_none()
    }

    /// What is destroyed needs a snapshot.
    pub(crate) fn destroys(&self) -> bool {
        self.left.iter().any(|left| !left.deletions.is_empty())
    }

    /// The vendor's document for a step, without its instant.
    pub(crate) fn log_document(&self, left: &Left) -> Value {
        json!({
            "indexName": left.step.log_name(),
            "optimizeVersion": self.hop.logged_as,
            "stepType": left.step.kind(),
            "stepNumber": left.number,
        })
    }
}

fn deletions(seen: &Seen, hop: &Hop, step: VendorStep) -> Vec<Deletion> {
    match step {
        VendorStep::DeleteIndex { .. } => seen
            .doomed(hop)
            .into_iter()
            .map(|index| Deletion::Index {
                name: index.name.clone(),
                uuid: index.uuid.clone(),
                is_empty: seen.counts.get(&index.name).copied().unwrap_or(index.docs) == 0,
            })
            .collect(),
        VendorStep::DeleteTemplate { .. } => {
            let name = step.object(&seen.names);
            let there = seen
                .legacy_templates
                .iter()
                .any(|template| template.name == name);
            there
                .then_some(Deletion::Template { name })
                .into_iter()
                .collect()
        }
    }
}

/// The index of the vendor's update log: the frame that all of Optimize's indices have, and five fields.
///
/// Replicas are those of the metadata index, so that an operator's own choice holds here too.
pub(crate) fn update_log_body(seen: &Seen) -> Value {
    let replicas = seen
        .index(&seen.names.metadata())
        .map_or(1, |index| index.replicas);
    // The two servers keep the normalizer in different forms; this is what the product sends to each.
    let is_opensearch = seen
        .identities
        .first()
        .is_some_and(|identity| identity.distribution == Distribution::Opensearch);
    let normalizer = if is_opensearch {
        json!({ "type": "lowercase" })
    } else {
        json!({ "type": "custom", "filter": ["lowercase"] })
    };
    let alias = seen.names.alias("update-log");
    json!({
        "aliases": { alias: { "is_write_index": true } },
        "settings": { "index": {
            "number_of_shards": 1,
            "number_of_replicas": replicas,
            "refresh_interval": "2s",
            "max_ngram_diff": 9,
            "mapping": { "nested_objects": { "limit": 10000 } },
            "analysis": {
                "analyzer": {
                    "lowercase_ngram": {
                        "type": "custom", "tokenizer": "ngram_tokenizer", "filter": ["lowercase"],
                    },
                    "is_present_analyzer": {
                        "type": "custom", "tokenizer": "keyword", "filter": ["is_present_filter"],
                    },
                },
                "normalizer": { "lowercase_normalizer": normalizer },
                "tokenizer": { "ngram_tokenizer": {
                    "type": "ngram", "min_gram": 1, "max_gram": 10,
                    "token_chars": ["letter", "digit", "whitespace", "punctuation", "symbol"],
                } },
                "filter": { "is_present_filter": { "type": "truncate", "length": "1" } },
            },
        } },
        "mappings": {
            "dynamic": "strict",
            "dynamic_templates": [ { "string_template": {
                "match_mapping_type": "string", "path_match": "*",
                "mapping": { "type": "keyword", "index_options": "docs" },
            } } ],
            "properties": {
                "indexName": { "type": "keyword" },
                "optimizeVersion": { "type": "keyword" },
                "stepType": { "type": "keyword" },
                "stepNumber": { "type": "long" },
                "appliedDate": { "type": "date" },
            },
        },
    })
}

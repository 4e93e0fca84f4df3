//! What is left to do of a hop: pure, from what was seen.
//!
//! Work that the vendor's own tool, or an earlier run, has done and recorded is not done again: a step counts as
//! done where the update log *and* the state say so. Where they contradict each other there is no outline.

use liftlock_sdk::prelude::*;

use crate::by_name::ByName;
use crate::check::{Goal, way_of};
use crate::edges::Hop;
use crate::seen::{Metadata, Seen};
use crate::standing::{contradiction, updates};
use crate::step::{StepKind, VendorStep};

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deletion {
    Index {
        name: String,
        uuid: String,
        docs: u64,
    },
    Template {
        name: String,
    },
}

/// A new version of an index in the place of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) source: String,
    pub(crate) source_uuid: String,
    pub(crate) target: String,
    /// The alias by which the product writes.
    pub(crate) own: String,
    /// All aliases of the old version with their write flags.
    pub(crate) aliases: Vec<(String, Option<bool>)>,
    /// Fields that the new version is without.
    pub(crate) drops: &'static [&'static str],
    pub(crate) docs: u64,
    /// With replicas.
    pub(crate) bytes: u64,
}

/// What is left of one of the vendor's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// From 1, in the vendor's order.
    pub(crate) number: usize,
    pub(crate) step: VendorStep,
    pub(crate) deletions: Vec<Deletion>,
    pub(crate) update: Option<Update>,
}

/// What is left of the hop.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) hop: &'static Hop,
    /// How many steps the vendor's plan has on this site.
    pub(crate) of: usize,
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
        let mut blocked = Vec::from_iter(contradiction(seen, hop));
        if blocked.is_empty() {
            updates(seen, hop, &goal.made, &mut blocked);
        }
        if !blocked.is_empty() {
            return Err(blocked);
        }
        let by = ByName::of(seen);
        let mut left = Vec::new();
        let mut skipped = Vec::new();
        let steps = hop.steps(seen);
        let of = steps.len();
        for (at, step) in steps.into_iter().enumerate() {
            let number = at + 1;
            match seen.log.get(&hop.log_id(seen, &step)) {
                Some(entry) => skipped.push(format!(
                    "step {number} of {of}, {}: done already at {}, and the state agrees",
                    step.log_name(&seen.names),
                    entry.applied.as_deref().unwrap_or("an unknown time"),
                )),
                None => left.push(Left {
                    number,
                    deletions: deletions(&by, &step),
                    update: update(&by, goal, &step),
                    step,
                }),
            }
        }
        let set_version = *version != goal.to;
        let has_log = seen.index(&seen.names.update_log()).is_some();
        Ok(Self {
            hop,
            of,
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
        self.left
            .iter()
            .any(|left| !left.deletions.is_empty() || left.update.is_some())
    }

    /// Indices that get a new version.
    pub(crate) fn updates(&self) -> impl Iterator<Item = (&Left, &Update)> {
        self.left
            .iter()
            .filter_map(|left| Some((left, left.update.as_ref()?)))
    }

    /// The vendor's document for a step, without its instant.
    pub(crate) fn log_document(&self, seen: &Seen, left: &Left) -> Value {
        json!({
            "indexName": left.step.log_name(&seen.names),
            "optimizeVersion": self.hop.logged_as,
            "stepType": left.step.log_type(),
            "stepNumber": left.number,
        })
    }
}

fn deletions(by: &ByName<'_>, step: &VendorStep) -> Vec<Deletion> {
    if step.is_update() {
        return Vec::new();
    }
    by.there(step)
        .into_iter()
        .filter_map(|name| match step.kind {
            StepKind::DeleteTemplate { .. } => Some(Deletion::Template { name }),
            _ => {
                let index = by.index(&name)?;
                Some(Deletion::Index {
                    uuid: index.uuid.clone(),
                    docs: by.seen.counts.get(&name).copied().unwrap_or(index.docs),
                    name,
                })
            }
        })
        .collect()
}

/// Only where the old version is there, and the new one is not or was made by the run in hand: then the steps are
/// those that it began with. All else is done, or has a finding.
fn update(by: &ByName<'_>, goal: &Goal, step: &VendorStep) -> Option<Update> {
    let (Some(source), target) = by.versions(step) else {
        return None;
    };
    if target.is_some_and(|target| !goal.made.contains(&target.name)) {
        return None;
    }
    // After the switch its aliases are on the new one.
    let has_aliases = !by.aliases_on(&source.name).is_empty();
    let bearer = target.filter(|_| !has_aliases).unwrap_or(source);
    let names = &by.seen.names;
    let own = step.alias(names);
    let aliases = by
        .aliases_on(&bearer.name)
        .iter()
        .map(|alias| {
            // The product writes by its own alias, also where nothing was said because the index was alone.
            let write = if alias.name == own {
                Some(true)
            } else {
                alias.write
            };
            (alias.name.clone(), write)
        })
        .collect();
    Some(Update {
        source: source.name.clone(),
        source_uuid: source.uuid.clone(),
        target: step.object(names),
        own,
        aliases,
        drops: step.drops(),
        docs: source.docs,
        bytes: source.bytes,
    })
}

/// The index of the vendor's update log: the frame that all of Optimize's indices have, and five fields.
///
/// Replicas are those of the metadata index, so that an operator's own choice holds here too.
pub(crate) fn update_log_body(seen: &Seen) -> String {
    let replicas = seen
        .index(&seen.names.metadata())
        .map_or(1, |index| index.replicas);
    // The two servers keep the normalizer in different forms; this is what the product sends to each.
    let is_opensearch = seen
        .identities
        .first()
        .is_some_and(|identity| identity.distribution == Distribution::Opensearch);
    let normalizer = if is_opensearch {
        r#"{"type":"lowercase"}"#
    } else {
        r#"{"type":"custom","filter":["lowercase"]}"#
    };
    UPDATE_LOG_BODY
        .replace("$ALIAS", &seen.names.alias("update-log"))
        .replace("$REPLICAS", &replicas.to_string())
        .replace("$NORMALIZER", normalizer)
}

/// With marks for what differs by site.
const UPDATE_LOG_BODY: &str = r#"{
  "aliases": { "$ALIAS": { "is_write_index": true } },
  "settings": { "index": {
    "number_of_shards": 1,
    "number_of_replicas": $REPLICAS,
    "refresh_interval": "2s",
    "max_ngram_diff": 9,
    "mapping": { "nested_objects": { "limit": 10000 } },
    "analysis": {
      "analyzer": {
        "lowercase_ngram": { "type": "custom", "tokenizer": "ngram_tokenizer", "filter": ["lowercase"] },
        "is_present_analyzer": { "type": "custom", "tokenizer": "keyword", "filter": ["is_present_filter"] }
      },
      "normalizer": { "lowercase_normalizer": $NORMALIZER },
      "tokenizer": { "ngram_tokenizer": {
        "type": "ngram", "min_gram": 1, "max_gram": 10,
        "token_chars": ["letter", "digit", "whitespace", "punctuation", "symbol"]
      } },
      "filter": { "is_present_filter": { "type": "truncate", "length": "1" } }
    }
  } },
  "mappings": {
    "dynamic": "strict",
    "dynamic_templates": [ { "string_template": {
      "match_mapping_type": "string", "path_match": "*",
      "mapping": { "type": "keyword", "index_options": "docs" }
    } } ],
    "properties": {
      "indexName": { "type": "keyword" },
      "optimizeVersion": { "type": "keyword" },
      "stepType": { "type": "keyword" },
      "stepNumber": { "type": "long" },
      "appliedDate": { "type": "date" }
    }
  }
}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{goal, logged, site, site_3_13};

    fn outline(seen: &Seen, to: &str) -> Outline {
        Outline::new(seen, &goal(seen, to)).unwrap()
    }

    #[test]
    fn the_way_to_8_6_has_one_update_with_its_aliases() {
        let seen = site_3_13();
        let outline = outline(&seen, "8.6.0");
        assert_eq!((outline.of, outline.left.len()), (13, 13));
        let (left, update) = outline.updates().next().unwrap();
        assert_eq!(left.number, 11);
        assert_eq!(update.source, "optimize-settings_v2");
        assert_eq!(update.target, "optimize-settings_v3");
        assert_eq!(update.own, "optimize-settings");
        assert_eq!(
            update.aliases,
            [("optimize-settings".to_owned(), Some(true))]
        );
        assert_eq!(update.drops, ["metadataTelemetryEnabled", "lastModifier"]);
        assert_eq!(
            outline.log_document(&seen, left)["indexName"],
            "optimize-settings_v3"
        );
    }

    #[test]
    fn an_update_whose_old_version_is_gone_is_recorded_only() {
        let mut seen = site_3_13();
        for index in &mut seen.indices {
            index.name = index.name.replace("settings_v2", "settings_v3");
        }
        for alias in &mut seen.aliases {
            alias.index = alias.index.replace("settings_v2", "settings_v3");
        }
        let outline = outline(&seen, "8.6.0");
        assert_eq!(outline.left.len(), 13);
        assert_eq!(outline.updates().count(), 0);
    }

    #[test]
    fn every_process_gets_its_new_index_and_its_shared_alias_stays_read_only() {
        let outline = outline(&site("8.9.0"), "8.10.0");
        let updates: Vec<_> = outline.updates().map(|(_, update)| update).collect();
        assert_eq!(
            updates
                .iter()
                .map(|update| update.target.as_str())
                .collect::<Vec<_>>(),
            [
                "optimize-process-instance-invoice_v9",
                "optimize-process-instance-order_v9"
            ]
        );
        assert_eq!(
            updates[0].aliases,
            [
                ("optimize-process-instance-invoice".to_owned(), Some(true)),
                ("optimize-process-instance".to_owned(), Some(false)),
            ]
        );
    }

    #[test]
    fn the_three_steps_come_in_the_vendors_order() {
        let seen = site("8.7.26");
        let outline = outline(&seen, "8.8.36");
        let deletions: Vec<_> = outline
            .left
            .iter()
            .map(|left| (left.number, left.deletions.clone()))
            .collect();
        let template = |name: &str| vec![Deletion::Template { name: name.into() }];
        assert_eq!(
            deletions,
            [
                (
                    1,
                    vec![Deletion::Index {
                        name: "optimize-variable-update-instance_v2-000001".into(),
                        uuid: "uuid-of-optimize-variable-update-instance_v2-000001".into(),
                        docs: 0,
                    }]
                ),
                (2, template("optimize-variable-update-instance_v2")),
                (3, template("optimize-external-process-variable_v2")),
            ]
        );
        assert_eq!(
            outline.log_document(&seen, &outline.left[2]),
            json!({
                "indexName": "external-process-variable_v2[Template]",
                "optimizeVersion": "8.8.0",
                "stepType": "schema-delete-template",
                "stepNumber": 3,
            })
        );
        assert!(outline.create_log && outline.metadata.is_some() && outline.destroys());
    }

    #[test]
    fn what_the_vendors_tool_has_done_and_recorded_is_skipped() {
        let mut seen = site("8.7.0");
        seen.indices
            .retain(|index| !index.name.contains("variable-update"));
        seen.aliases
            .retain(|alias| !alias.name.contains("variable-update"));
        logged(
            &mut seen,
            ["8.8.0_schema-delete-index_variable-update-instance_v2".to_owned()],
        );
        let outline = outline(&seen, "8.8.0");
        assert_eq!(
            outline
                .left
                .iter()
                .map(|left| left.number)
                .collect::<Vec<_>>(),
            [2, 3]
        );
        assert_eq!(outline.skipped.len(), 1);
        assert!(outline.skipped[0].contains("2026-11-21T09:05:59.626Z"));
        assert!(!outline.create_log);
    }

    #[test]
    fn what_was_done_and_not_recorded_is_recorded_only() {
        let mut seen = site("8.7.0");
        seen.indices
            .retain(|index| !index.name.contains("variable-update"));
        let outline = outline(&seen, "8.8.0");
        assert_eq!(outline.left[0].deletions, []);
        assert_eq!(outline.left.len(), 3);
    }

    #[test]
    fn a_contradicting_log_gives_no_outline() {
        let mut seen = site("8.7.0");
        logged(
            &mut seen,
            ["8.8.0_schema-delete-index_variable-update-instance_v2".to_owned()],
        );
        let refused = Outline::new(&seen, &goal(&seen, "8.8.0")).unwrap_err();
        assert_eq!(refused[0].id, "optimize.update-log-contradicts");
    }

    #[test]
    fn a_patch_changes_the_version_only() {
        let outline = outline(&site("8.8.0"), "8.8.24");
        assert!(outline.left.is_empty() && outline.create_log && !outline.destroys());
        assert!(super::Outline::is_empty(&super::tests::outline(
            &site("8.8.24"),
            "8.8.24"
        )));
    }

    #[test]
    fn the_update_log_has_the_replicas_that_the_operator_chose() {
        let mut seen = site("8.7.0");
        let metadata = seen.names.metadata();
        let own = seen
            .indices
            .iter_mut()
            .find(|index| index.name == metadata)
            .unwrap();
        own.replicas = 0;
        let body: Value = liftlock_sdk::serde_json::from_str(&update_log_body(&seen)).unwrap();
        assert_eq!(body["settings"]["index"]["number_of_replicas"], 0);
        assert_eq!(
            body["aliases"]["optimize-update-log"]["is_write_index"],
            true
        );
    }
}

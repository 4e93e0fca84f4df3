//! The steps that bring one index to a new version.
//!
//! | phase | step | |
//! |---|---|---|
//! | expand | `create-N` | the new index, with none of the aliases: nobody reads or writes it yet |
//! | expand | `reindex-N` | the copy; done when the host has found each id of the old index in the new one |
//! | switch | `switch-N` | every alias, from the old to the new, in one atomic request |
//! | contract | `delete-N` | the old index, by its uuid |
//! | contract | `flag-N` | the write flag of the product's own alias, which is on the new index alone |
//! | contract | `log-N` | the vendor's document, which says that the old index is gone too |
//!
//! The vendor's upgrader gives the new index the write alias first and copies then, so that readers see documents
//! twice, and a writer writes into a half-filled index. It logs the step after it has deleted the old index, and so
//! does this plan: an entry beside an index that is still there would be a contradiction. Stopped anywhere before
//! the switch, its tool goes on by copying again into the new index, which keeps the ids.
//!
//! The steps of one index wait for each other and for those of no other index, so that several go side by side.

use liftlock_sdk::prelude::*;

use crate::around::BASELINE;
use crate::outline::{Left, Update};
use crate::plan::{CREATE_LOG, Writer, back};

impl Writer<'_> {
    pub(crate) fn copies(&self) -> Result<()> {
        for (left, update) in self.outline.updates() {
            let number = left.number;
            let mapping = self.database.mappings(&update.source)?;
            let settings = self.database.index_settings(&update.source)?;
            let body = body_like(&mapping, &settings, update.drops)?;
            let mut create = self
                .plan
                .step(
                    format!("create-{number}"),
                    Phase::Expand,
                    &format!("create {}", update.target),
                )
                .because(&format!(
                    "{}: with the settings and the mapping of {}{}, and without its aliases, so that nobody reads or \
                     writes it before it is whole",
                    self.of(left),
                    update.source,
                    without(update.drops)
                ))
                .does(self.database.create_index(&update.target, &body))
                .memo(&json!({ "makes": update.target }))
                .after(BASELINE);
            if self.outline.create_log {
                create = create.after(CREATE_LOG);
            }
            let created = create.add()?;
            let mut reindex = self
                .plan
                .step(
                    format!("reindex-{number}"),
                    Phase::Expand,
                    &format!("copy {} to {}", update.source, update.target),
                )
                .because(
                    "both sides are refreshed and each id is looked for in the copy: counts that are equal show nothing",
                )
                .does(self.database.reindex(&Reindexing {
                    source: update.source.clone(),
                    destination: update.target.clone(),
                    query: None,
                    script: script_without(update.drops),
                    slices: None,
                    requests_per_second: None,
                }))
                .after(&created)
                .work("documents", update.docs);
            for (node, bytes) in self.share(update.bytes) {
                reindex = reindex.peak_disk(&node, bytes);
            }
            reindex.add()?;
        }
        Ok(())
    }

    pub(crate) fn switch(&self) -> Result<()> {
        for (left, update) in self.outline.updates() {
            let mut actions = Vec::new();
            for (alias, _) in &update.aliases {
                actions.push(AliasAction::Remove((update.source.clone(), alias.clone())));
            }
            for (alias, write) in Self::after_the_switch(update) {
                actions.push(AliasAction::Add((update.target.clone(), alias, write)));
            }
            self.plan
                .step(
                    format!("switch-{}", left.number),
                    Phase::Switch,
                    &format!("let {} be {}", update.own, update.target),
                )
                .because(
                    "one request for all aliases: no reader sees documents twice or not at all, and the writer's alias \
                     is never on a half-filled index",
                )
                .does(self.database.update_aliases(&actions))
                .after(&format!("reindex-{}", left.number))
                .memo(&json!({ "source": update.source, "target": update.target }))
                .add()?;
        }
        Ok(())
    }

    /// The aliases of the new index: those of the old one, and in any case the product's own. That one has no flag
    /// yet: an alias on one index alone writes to it without.
    fn after_the_switch(update: &Update) -> Vec<(String, Option<bool>)> {
        let mut aliases = update.aliases.clone();
        aliases.retain(|(alias, _)| *alias != update.own);
        aliases.push((update.own.clone(), None));
        aliases
    }

    pub(crate) fn delete_old(
        &self,
        left: &Left,
        update: &Update,
        snapshot: Option<&str>,
    ) -> Result<String> {
        let step = self
            .plan
            .step(
                format!("delete-{}", left.number),
                Phase::Contract,
                &format!("delete {}, the old version", update.source),
            )
            .because(&format!(
                "{}: Optimize would take it for an index of its own",
                self.of(left)
            ))
            .does(
                self.database
                    .delete_index(&update.source, &update.source_uuid),
            )
            .after(&format!("switch-{}", left.number))
            .memo(&json!({ "index": update.source, "uuid": update.source_uuid }));
        let deleted = back(step, snapshot).add()?;
        self.plan
            .step(
                format!("flag-{}", left.number),
                Phase::Contract,
                &format!("let {} say that it is the write index", update.target),
            )
            .because(
                "the flag that the product sets; only now, since the old index could not come back from the snapshot \
                 with its own flag beside another",
            )
            .does(self.database.update_aliases(&[AliasAction::Add((
                update.target.clone(),
                update.own.clone(),
                Some(true),
            ))]))
            .after(&deleted)
            .add()
    }

    /// Bytes on each data node: an even share.
    fn share(&self, bytes: u64) -> Vec<(String, u64)> {
        let nodes: Vec<&str> = self
            .seen
            .data_nodes()
            .map(|node| node.name.as_str())
            .collect();
        let share = bytes.div_ceil(nodes.len().max(1) as u64);
        nodes
            .into_iter()
            .map(|node| (node.to_owned(), share))
            .collect()
    }
}

fn without(drops: &[&str]) -> String {
    if drops.is_empty() {
        String::new()
    } else {
        format!(" but for {}", drops.join(", "))
    }
}

/// Takes the fields out of each document.
fn script_without(drops: &[&str]) -> Option<Script> {
    if drops.is_empty() {
        return None;
    }
    let source: String = drops
        .iter()
        .map(|field| format!("ctx._source.remove('{field}');"))
        .collect();
    Some(Script {
        lang: "painless".into(),
        source,
        params: None,
    })
}

/// Settings that the server gives an index, and that nobody may set: with their dots at the end, all beneath.
const BORN_WITH: &[&str] = &[
    "index.uuid",
    "index.history.uuid",
    "index.creation_date",
    "index.provided_name",
    "index.version.",
    "index.resize.",
    "index.routing.allocation.initial_recovery.",
    "index.replication.type",
    "index.verified_before_close",
    "index.blocks.",
];

/// What the new index is made of: all of the old one, so that what an operator chose (replicas, shards, refresh)
/// holds for the new one too, but for what a server gives and for the fields that go.
fn body_like(mapping: &str, settings: &str, drops: &[&str]) -> Result<Value> {
    let mut mapping: Value = liftlock_sdk::serde_json::from_str(mapping)?;
    if let Some(properties) = mapping["properties"].as_object_mut() {
        for field in drops {
            properties.shift_remove(*field);
        }
    }
    let mut settings: Value = liftlock_sdk::serde_json::from_str(settings)?;
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, _| {
            !BORN_WITH
                .iter()
                .any(|born| key == born || born.ends_with('.') && key.starts_with(born))
        });
    }
    Ok(json!({ "settings": settings, "mappings": mapping }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_index_is_like_the_old_one_without_the_fields_that_go() {
        let body = body_like(
            r#"{"dynamic":"strict","properties":{"a":{"type":"keyword"},"b":{"type":"boolean"}}}"#,
            r#"{"index.number_of_replicas":"0","index.uuid":"u","index.version.created":"8","index.provided_name":"x","index.refresh_interval":"2s","index.blocks.write":"true"}"#,
            &["b"],
        )
        .unwrap();
        assert_eq!(
            body,
            json!({
                "settings": { "index.number_of_replicas": "0", "index.refresh_interval": "2s" },
                "mappings": { "dynamic": "strict", "properties": { "a": { "type": "keyword" } } },
            })
        );
    }

    #[test]
    fn fields_go_by_a_script_and_nothing_else_needs_one() {
        assert_eq!(script_without(&[]), None);
        assert_eq!(
            script_without(&["a", "b"])
                .map(|script| script.source)
                .as_deref(),
            Some("ctx._source.remove('a');ctx._source.remove('b');")
        );
    }
}

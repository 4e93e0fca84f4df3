//! One search cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    AliasAction, Change, Cluster, Condition, Document, RawRequest, Reading, Reindexing, Script,
    SettingScope, TemplateKind, TransformingInto,
};
use crate::Result;
use crate::bindings::liftlock::upgrade::{cluster, cluster_changes};
use crate::site::Site;

impl Cluster {
    /// The handle of a binding: `cluster.database`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        cluster::open(site, binding)
    }

    /// Proposes an index.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn create_index(&self, name: &str, body: &Value) -> Result<Change> {
        cluster_changes::create_index(self, name, &body.to_string())
    }

    /// Proposes to delete the index that has this uuid.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn delete_index(&self, name: &str, uuid: &str) -> Result<Change> {
        cluster_changes::delete_index(self, name, uuid)
    }

    /// Proposes to make or replace a template.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn put_template(&self, kind: TemplateKind, name: &str, body: &Value) -> Result<Change> {
        cluster_changes::put_template(self, kind, name, &body.to_string())
    }

    /// Proposes to delete a template.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn delete_template(&self, kind: TemplateKind, name: &str) -> Result<Change> {
        cluster_changes::delete_template(self, kind, name)
    }

    /// Proposes one atomic list of alias actions.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn update_aliases(&self, actions: &[AliasAction]) -> Result<Change> {
        cluster_changes::update_aliases(self, actions)
    }

    /// Proposes dynamic settings, flat keys; null puts the default back.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn put_settings(&self, index: &str, settings: &Value) -> Result<Change> {
        cluster_changes::put_settings(self, index, &settings.to_string())
    }

    /// Proposes an addition to a mapping.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn put_mapping(&self, index: &str, mapping: &Value) -> Result<Change> {
        cluster_changes::put_mapping(self, index, &mapping.to_string())
    }

    /// Proposes to copy documents into an index that this plan makes; ids are kept.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn reindex(&self, what: &Reindexing) -> Result<Change> {
        cluster_changes::reindex(self, what)
    }

    /// Proposes to copy documents into an index that this plan makes, each changed on its way by this plugin's own
    /// [`Transforming`](crate::Transforming); ids are kept.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn transform(&self, what: &TransformingInto) -> Result<Change> {
        cluster_changes::transform(self, what)
    }

    /// Proposes to change the documents that match. The query must exclude what is done already.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn update_by_query(&self, index: &str, query: &Value, script: &Script) -> Result<Change> {
        cluster_changes::update_by_query(self, index, &query.to_string(), script)
    }

    /// Proposes to delete the documents that match.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn delete_by_query(&self, index: &str, query: &Value) -> Result<Change> {
        cluster_changes::delete_by_query(self, index, &query.to_string())
    }

    /// Proposes a new document.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn create_document(&self, index: &str, id: &str, document: &Value) -> Result<Change> {
        cluster_changes::create_document(self, index, id, &document.to_string())
    }

    /// Proposes to replace the document, while it contains that subset.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn replace_document(
        &self,
        index: &str,
        id: &str,
        while_it_contains: &Value,
        document: &Value,
    ) -> Result<Change> {
        cluster_changes::replace_document(
            self,
            index,
            id,
            &while_it_contains.to_string(),
            &document.to_string(),
        )
    }

    /// Proposes to delete the document, while it contains that subset.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn delete_document(
        &self,
        index: &str,
        id: &str,
        while_it_contains: &Value,
    ) -> Result<Change> {
        cluster_changes::delete_document(self, index, id, &while_it_contains.to_string())
    }

    /// Proposes a persistent cluster setting, given back at the end.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn set_cluster_setting(&self, key: &str, value: Option<&str>) -> Result<Change> {
        cluster_changes::set_cluster_setting(self, key, value)
    }

    /// Proposes to cancel one task.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn cancel_task(&self, id: &str) -> Result<Change> {
        cluster_changes::cancel_task(self, id)
    }

    /// Proposes what nothing else here covers: one request, done when its own post-condition reads true. That one is
    /// read on this cluster, in one look, and must read false before; shown in red.
    ///
    /// # Errors
    /// The host's: outside the grant, no such name, or what has a function of its own.
    pub fn request(&self, what: &RawRequest, done_when: Result<Condition>) -> Result<Change> {
        cluster_changes::request(self, what, done_when?)
    }

    /// The index is there.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn index_exists(&self, name: &str) -> Result<Condition> {
        cluster_changes::index_exists(self, name)
    }

    /// The template is there.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn template_exists(&self, kind: TemplateKind, name: &str) -> Result<Condition> {
        cluster_changes::template_exists(self, kind, name)
    }

    /// Health is at least `yellow` or `green`.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn healthy(&self, at_least: &str) -> Result<Condition> {
        cluster_changes::healthy(self, at_least)
    }

    /// So many documents match; all without a query.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn count_is(&self, index: &str, query: Option<&Value>, count: u64) -> Result<Condition> {
        cluster_changes::count_is(self, index, query.map(Value::to_string).as_deref(), count)
    }

    /// The document has these members.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn document_contains(&self, index: &str, id: &str, subset: &Value) -> Result<Condition> {
        cluster_changes::document_contains(self, index, id, &subset.to_string())
    }

    /// A GET of this path is answered with success, and the answer has these members.
    ///
    /// # Errors
    /// The host's: outside the grant, or no path of one read.
    pub fn answer_contains(
        &self,
        path: &str,
        query: &[(String, String)],
        subset: &Value,
    ) -> Result<Condition> {
        cluster_changes::answer_contains(self, path, query, &subset.to_string())
    }

    /// Nothing is written to these; with `stable_for_ms`.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn quiet(&self, indices: &[&str]) -> Result<Condition> {
        let indices: Vec<String> = indices.iter().map(ToString::to_string).collect();
        cluster_changes::quiet(self, &indices)
    }

    /// No task of these actions runs.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn no_task(&self, actions: &[&str]) -> Result<Condition> {
        let actions: Vec<String> = actions.iter().map(ToString::to_string).collect();
        cluster_changes::no_task(self, &actions)
    }

    /// To capture: the count of one index.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_count(&self, index: &str) -> Result<Reading> {
        cluster_changes::read_count(self, index)
    }

    /// To capture: count, and one checksum over ids and sources.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_checksum(&self, index: &str) -> Result<Reading> {
        cluster_changes::read_checksum(self, index)
    }

    /// To capture: a list of indices.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_indices(&self, pattern: &str) -> Result<Reading> {
        cluster_changes::read_indices(self, pattern)
    }

    /// To capture: a list of aliases.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_aliases(&self, pattern: &str) -> Result<Reading> {
        cluster_changes::read_aliases(self, pattern)
    }

    /// To capture: a list of templates.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_templates(&self, kind: TemplateKind, pattern: &str) -> Result<Reading> {
        cluster_changes::read_templates(self, kind, pattern)
    }

    /// To capture: one mapping.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_mappings(&self, index: &str) -> Result<Reading> {
        cluster_changes::read_mappings(self, index)
    }

    /// To capture: flat settings of one index.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_settings(&self, index: &str) -> Result<Reading> {
        cluster_changes::read_settings(self, index)
    }

    /// To capture: what was set for the cluster by its API.
    ///
    /// # Errors
    /// The host's: outside the grant.
    pub fn read_cluster_settings(&self, scope: SettingScope) -> Result<Reading> {
        cluster_changes::read_cluster_settings(self, scope)
    }

    /// To capture: one document.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn read_document(&self, index: &str, id: &str) -> Result<Reading> {
        cluster_changes::read_document(self, index, id)
    }

    /// Proposes a transient cluster setting, given back at the end. It hides the persistent one; a restart of the whole
    /// cluster drops it.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn set_transient_setting(&self, key: &str, value: Option<&str>) -> Result<Change> {
        cluster_changes::set_transient_setting(self, key, value)
    }

    /// Proposes to write to disk what the logs of these indices alone hold; patterns, resolved when it is done.
    ///
    /// # Errors
    /// The host's: outside the grant, no pattern, or more than 100.
    pub fn flush(&self, indices: &[&str], except: &[&str]) -> Result<Change> {
        let owned =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
        cluster_changes::flush(self, &owned(indices), &owned(except))
    }

    /// Proposes to remove settings that the cluster has put aside: keys as [`Archived`] has them.
    ///
    /// # Errors
    /// The host's: outside the grant, no key, or one that is none of them.
    pub fn remove_archived_settings(&self, keys: &[String]) -> Result<Change> {
        cluster_changes::remove_archived_settings(self, keys)
    }

    /// Proposes to remove all settings of an index that have been put aside, while they are these. OpenSearch refuses it
    /// of an open index.
    ///
    /// # Errors
    /// The host's: outside the grant, no key, or one that is none of them.
    pub fn remove_archived_index_settings(&self, index: &str, keys: &[String]) -> Result<Change> {
        cluster_changes::remove_archived_index_settings(self, index, keys)
    }

    /// Proposes settings of the cluster for good, by flat key; null puts the default back. They are not given back at the
    /// end.
    ///
    /// # Errors
    /// The host's: outside the grant, no key or one that is several, a value that is an object, or the defaults.
    pub fn put_cluster_settings(&self, scope: SettingScope, settings: &Value) -> Result<Change> {
        cluster_changes::put_cluster_settings(self, scope, &settings.to_string())
    }

    /// Settings of the cluster that it has put aside because it does not know them, by key.
    ///
    /// # Errors
    /// The host's, and `invalid` where an answer is no JSON.
    pub fn archived(&self) -> Result<Vec<Archived>> {
        let mut found = Vec::new();
        for scope in [SettingScope::Persistent, SettingScope::Transient] {
            found.extend(archived_in(&self.cluster_settings(scope)?)?);
        }
        found.sort();
        Ok(found)
    }

    /// Settings of an index that have been put aside, by key.
    ///
    /// # Errors
    /// The host's, and `invalid` where the answer is no JSON.
    pub fn archived_of(&self, index: &str) -> Result<Vec<Archived>> {
        archived_in(&self.index_settings(index)?)
    }
}

/// A setting that an earlier version knew and this one does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Archived {
    /// As it is shown and removed: `archived.cluster.routing.x`.
    pub key: String,
    /// A list as JSON.
    pub value: String,
}

/// Those of flat settings that have been put aside.
fn archived_in(settings: &str) -> Result<Vec<Archived>> {
    let settings: BTreeMap<String, Value> = serde_json::from_str(settings)?;
    Ok(settings
        .into_iter()
        .filter(|(key, _)| key.starts_with("archived."))
        .map(|(key, value)| Archived {
            key,
            value: match value {
                Value::String(text) => text,
                other => other.to_string(),
            },
        })
        .collect())
}

impl Document {
    /// Its source.
    ///
    /// # Errors
    /// `invalid` where it is no JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.source)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_was_put_aside_and_nothing_else() {
        let settings =
            r#"{"archived.a.b":"1","archived.a.list":["x","y"],"cluster.archived.c":"2"}"#;
        let found = archived_in(settings).unwrap();
        let pairs: Vec<(&str, &str)> = found
            .iter()
            .map(|one| (one.key.as_str(), one.value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [("archived.a.b", "1"), ("archived.a.list", r#"["x","y"]"#)]
        );
        assert!(archived_in("[").is_err());
    }
}

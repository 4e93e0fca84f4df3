//! The whole state of a simulated cluster; cloning it is how states are saved and put back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::clock::{Clock, Rng};
use crate::error::ApiError;
use crate::folders::Folders;
use crate::index::{Alias, Condition, Index, NewIndex, Written};
use crate::mapping;
use crate::names;
use crate::pattern::glob;
use crate::product::Product;
use crate::search::{Pit, Scroll};
use crate::settings::{self, Flat};
use crate::snapshot::Repository;
use crate::task::Task;

/// One node as the others see it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) ephemeral_id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The newest version that its data folder has seen.
    pub(crate) data_version: String,
    pub(crate) http: String,
    pub(crate) port: u16,
    pub(crate) is_up: bool,
    /// When it left last.
    pub(crate) left_ms: i64,
    pub(crate) heap_max_bytes: u64,
    pub(crate) disk_total_bytes: u64,
    pub(crate) disk_free_bytes: u64,
}

/// The three kinds of templates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Templates {
    pub(crate) legacy: BTreeMap<String, Value>,
    pub(crate) composable: BTreeMap<String, Value>,
    pub(crate) component: BTreeMap<String, Value>,
}

/// Everything that a request can read or change.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) product: Product,
    pub(crate) cluster_name: String,
    pub(crate) cluster_uuid: String,
    pub(crate) state_uuid: String,
    pub(crate) version: u64,
    pub(crate) nodes: Vec<Node>,
    /// When places for copies were decided last.
    pub(crate) allocated_ms: i64,
    /// Who was elected last.
    pub(crate) elected: usize,
    pub(crate) indices: BTreeMap<String, Index>,
    pub(crate) templates: Templates,
    pub(crate) pipelines: BTreeMap<String, Value>,
    pub(crate) persistent: Flat,
    pub(crate) transient: Flat,
    pub(crate) repositories: BTreeMap<String, Repository>,
    /// What lies in the repositories; whoever copies the state copies it apart.
    pub(crate) folders: Folders,
    pub(crate) tasks: BTreeMap<u64, Task>,
    pub(crate) next_task: u64,
    pub(crate) pits: BTreeMap<String, Pit>,
    pub(crate) scrolls: BTreeMap<String, Scroll>,
    pub(crate) deprecations: Option<Value>,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) next_home: usize,
    /// Documents that a by-query task moves per request that reaches the cluster.
    pub(crate) task_docs_per_request: usize,
    /// Requests for which a snapshot stays `IN_PROGRESS`.
    pub(crate) snapshot_requests: u32,
    pub(crate) path_repo: Vec<String>,
    /// What every node was started with, beside names and paths.
    pub(crate) node_settings: Flat,
}

/// Where one copy of one shard stands.
#[derive(Debug, Clone)]
pub(crate) struct ShardCopy {
    pub(crate) index: String,
    pub(crate) shard: u32,
    pub(crate) primary: bool,
    pub(crate) node: Option<usize>,
    /// Its node left; the cluster waits before it makes another copy.
    pub(crate) delayed: bool,
}

impl State {
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// A new version of the cluster state, as each metadata change makes one, and what follows from it: an election
    /// where the manager has left, and a place for each copy of a shard.
    pub(crate) fn changed(&mut self) {
        self.version += 1;
        self.state_uuid = self.rng.uuid();
        self.elected = self.manager().unwrap_or(self.elected);
        self.allocate();
    }

    pub(crate) fn alias_indices(&self, alias: &str) -> Vec<String> {
        self.indices
            .values()
            .filter(|i| i.aliases.contains_key(alias))
            .map(|i| i.name.clone())
            .collect()
    }

    pub(crate) fn index(&self, name: &str) -> Result<&Index, ApiError> {
        self.indices
            .get(name)
            .ok_or_else(|| ApiError::no_index(name))
    }

    pub(crate) fn index_mut(&mut self, name: &str) -> Result<&mut Index, ApiError> {
        self.indices
            .get_mut(name)
            .ok_or_else(|| ApiError::no_index(name))
    }

    /// The elected manager, if a majority is up: whoever was elected before, or the first node that is up.
    pub(crate) fn manager(&self) -> Option<usize> {
        let is_up = |node: &usize| self.nodes[*node].is_up;
        let up = (0..self.nodes.len()).filter(is_up).count();
        if up * 2 <= self.nodes.len() {
            return None;
        }
        let elected = Some(self.elected).filter(is_up);
        elected.or_else(|| (0..self.nodes.len()).find(is_up))
    }

    /// The version that a new index is created with: the manager's.
    pub(crate) fn creation_version(&self) -> String {
        self.manager().map_or_else(
            || self.product.version().to_owned(),
            |m| self.nodes[m].version.clone(),
        )
    }

    pub(crate) fn cluster_setting(&self, key: &str) -> Option<String> {
        let defaults = settings::cluster_defaults(self.product);
        [&self.transient, &self.persistent, &defaults]
            .into_iter()
            .find_map(|flat| flat.get(key))
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
    }

    pub(crate) fn next_task_id(&mut self) -> u64 {
        self.next_task += 1;
        self.next_task
    }

    pub(crate) fn index_health(&self, index: &Index) -> &'static str {
        let copies = self.shard_copies(index);
        if copies.iter().any(|c| c.primary && c.node.is_none()) {
            "red"
        } else if copies.iter().any(|c| c.node.is_none()) {
            "yellow"
        } else {
            "green"
        }
    }

    /// Creates an index from a create-index body; templates that match are applied first.
    pub(crate) fn create_index(
        &mut self,
        name: &str,
        body: &Map<String, Value>,
    ) -> Result<(), ApiError> {
        names::check_name(self.product, "invalid_index_name_exception", name)?;
        if let Some(existing) = self.indices.get(name) {
            return Err(ApiError::new(
                400,
                "resource_already_exists_exception",
                format!("index [{name}/{}] already exists", existing.uuid),
            )
            .with("index_uuid", existing.uuid.as_str())
            .with("index", name));
        }
        if !self.alias_indices(name).is_empty() {
            return Err(ApiError::new(
                400,
                "invalid_index_name_exception",
                format!("Invalid index name [{name}], already exists as alias"),
            )
            .with("index_uuid", "_na_")
            .with("index", name));
        }
        let known = ["settings", "mappings", "aliases"];
        if let Some(key) = body.keys().find(|k| !known.contains(&k.as_str())) {
            return Err(ApiError::new(
                400,
                "parse_exception",
                format!("unknown key [{key}] for create index"),
            ));
        }
        let object = |key: &str| {
            body.get(key)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let (mut settings, mut mapping, mut aliases) = self.template_parts(name)?;
        let own = settings::flatten_index(&object("settings"));
        settings::check_index(self.product, &own)?;
        settings.extend(own);
        settings.retain(|_, v| !v.is_null());
        settings
            .entry("index.number_of_shards".to_owned())
            .or_insert_with(|| json!("1"));
        settings
            .entry("index.number_of_replicas".to_owned())
            .or_insert_with(|| json!("1"));
        let analyzers = analyzers(&settings);
        let own = Value::Object(object("mappings"));
        mapping::check_new(self.product, &own, &analyzers)?;
        mapping = mapping::merge(self.product, &mapping, &own)?;
        mapping = mapping::normalise(mapping);
        for (alias, meta) in object("aliases") {
            let meta = meta.as_object().cloned().unwrap_or_default();
            aliases.insert(alias, Alias::parse(&meta));
        }
        for alias in aliases.keys() {
            self.check_alias_name(alias, Some(name))?;
        }
        let home = self.next_home;
        let created_version = self.creation_version();
        let index = Index::new(NewIndex {
            name: name.to_owned(),
            uuid: self.rng.uuid(),
            created_ms: self.now_ms(),
            created_id: self.product.index_version_id(&created_version),
            created_version,
            settings,
            mapping: Arc::new(mapping),
            aliases,
            home,
        });
        self.indices.insert(name.to_owned(), index);
        if let Err(error) = self.check_write_aliases_of(name) {
            self.indices.remove(name);
            return Err(error);
        }
        self.next_home += 1;
        self.changed();
        Ok(())
    }

    /// What the templates that match `name` contribute: settings, mapping, aliases.
    pub(crate) fn template_parts(
        &self,
        name: &str,
    ) -> Result<(Flat, Value, BTreeMap<String, Alias>), ApiError> {
        let matches = |template: &Value| {
            template["index_patterns"]
                .as_array()
                .is_some_and(|list| list.iter().filter_map(Value::as_str).any(|p| glob(p, name)))
        };
        let mut parts: Vec<Value> = Vec::new();
        let best = self
            .templates
            .composable
            .values()
            .filter(|t| matches(t))
            .max_by_key(|t| t["priority"].as_i64().unwrap_or(0));
        if let Some(best) = best {
            for component in best["composed_of"].as_array().into_iter().flatten() {
                if let Some(found) = component
                    .as_str()
                    .and_then(|n| self.templates.component.get(n))
                {
                    parts.push(found["template"].clone());
                }
            }
            parts.push(best["template"].clone());
        } else {
            let mut legacy: Vec<&Value> = self
                .templates
                .legacy
                .values()
                .filter(|t| matches(t))
                .collect();
            legacy.sort_by_key(|t| t["order"].as_i64().unwrap_or(0));
            parts.extend(legacy.into_iter().cloned());
        }
        let mut settings = Flat::new();
        let mut mapping = json!({});
        let mut aliases = BTreeMap::new();
        for part in &parts {
            if let Some(own) = part["settings"].as_object() {
                settings.extend(settings::flatten_index(own));
            }
            if part["mappings"].is_object() {
                mapping = mapping::merge(self.product, &mapping, &part["mappings"])?;
            }
            for (alias, meta) in part["aliases"].as_object().into_iter().flatten() {
                let meta = meta.as_object().cloned().unwrap_or_default();
                aliases.insert(alias.replace("{index}", name), Alias::parse(&meta));
            }
        }
        Ok((settings, mapping, aliases))
    }

    /// Refuses an alias name that is illegal or that an index bears. `removed` may go in the same call.
    pub(crate) fn check_alias_name(
        &self,
        alias: &str,
        new_index: Option<&str>,
    ) -> Result<(), ApiError> {
        names::check_name(self.product, "invalid_alias_name_exception", alias)?;
        let taken = self
            .indices
            .get(alias)
            .map(|i| i.uuid.as_str())
            .or((new_index == Some(alias)).then_some("_na_"));
        if let Some(uuid) = taken {
            let kind = "invalid_alias_name_exception";
            return Err(if self.product.is_opensearch() {
                ApiError::new(
                    400,
                    kind,
                    format!("Invalid alias name [{alias}], an index exists with the same name as the alias"),
                )
                .with("index_uuid", uuid)
                .with("index", alias)
            } else {
                ApiError::new(
                    400,
                    kind,
                    format!(
                        "Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias"
                    ),
                )
            });
        }
        Ok(())
    }

    /// Refuses a state in which one alias has two write indices.
    pub(crate) fn check_write_aliases(&self) -> Result<(), ApiError> {
        let mut writers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for index in self.indices.values() {
            for (alias, meta) in &index.aliases {
                if meta.is_write_index == Some(true) {
                    writers.entry(alias).or_default().push(&index.name);
                }
            }
        }
        match writers.into_iter().find(|(_, list)| list.len() > 1) {
            Some((alias, list)) => Err(two_writers(alias, &list)),
            None => Ok(()),
        }
    }

    /// The same where `name` is all that is new.
    fn check_write_aliases_of(&self, name: &str) -> Result<(), ApiError> {
        let writes = |index: &Index, alias: &str| {
            index
                .aliases
                .get(alias)
                .and_then(|meta| meta.is_write_index)
                == Some(true)
        };
        let new = self.index(name)?;
        for alias in new.aliases.keys().filter(|alias| writes(new, alias)) {
            let writers: Vec<&str> = self
                .indices
                .values()
                .filter(|index| writes(index, alias))
                .map(|index| index.name.as_str())
                .collect();
            if writers.len() > 1 {
                return Err(two_writers(alias, &writers));
            }
        }
        Ok(())
    }

    /// The index that a write to `name` goes to, created with a dynamic mapping when it is missing.
    pub(crate) fn index_or_create(&mut self, name: &str) -> Result<String, ApiError> {
        if let Some(target) = names::write_target(self, name)? {
            return Ok(target);
        }
        let allowed = self
            .cluster_setting("action.auto_create_index")
            .unwrap_or_default();
        let permitted = match allowed.as_str() {
            "true" => true,
            "false" => false,
            list => list.split(',').any(|p| match p.strip_prefix('-') {
                Some(_) => false,
                None => glob(p.trim_start_matches('+'), name),
            }),
        };
        if !permitted {
            let error = ApiError::no_index(name);
            return Err(ApiError::new(
                404,
                "index_not_found_exception",
                format!(
                    "{} and [action.auto_create_index] is [{allowed}]",
                    error.reason()
                ),
            )
            .with("index_uuid", "_na_")
            .with("index", name));
        }
        self.create_index(name, &Map::new())?;
        Ok(name.to_owned())
    }

    /// Writes one document to an index that exists, through its blocks and its mapping.
    pub(crate) fn write_doc(
        &mut self,
        index: &str,
        id: &str,
        routing: Option<&str>,
        source: Value,
        condition: Condition,
    ) -> Result<Written, ApiError> {
        /// Longest document id in bytes; the servers' own limit.
        const ID_BYTES_MAX: usize = 512;
        if id.len() > ID_BYTES_MAX {
            return Err(ApiError::validation(format!(
                "id [{id}] is too long, must be no longer than {ID_BYTES_MAX} bytes but was: {}",
                id.len()
            )));
        }
        let product = self.product;
        self.writable(index)?;
        let entry = self.index_mut(index)?;
        let grown = crate::admit::admit(product, &entry.mapping, id, &source)?;
        let written = entry.put(id, routing, source, condition)?;
        if let Some(mapping) = grown {
            entry.mapping = Arc::new(mapping);
            self.changed();
        }
        Ok(written)
    }

    /// Refuses when documents of `index` cannot be written now: closed, blocked, or no primary.
    pub(crate) fn writable(&self, index: &str) -> Result<(), ApiError> {
        let entry = self.index(index)?;
        if !entry.is_open {
            return Err(entry.closed_error());
        }
        entry.check_block(self.product, crate::index::Access::Write)?;
        if self.index_health(entry) == "red" {
            return Err(ApiError::new(
                503,
                "unavailable_shards_exception",
                format!("[{index}][0] primary shard is not active Timeout: [1m]"),
            ));
        }
        Ok(())
    }

    /// What happens by itself between two requests: time, refreshes, tasks, snapshots.
    pub(crate) fn tick(&mut self) {
        self.clock.tick();
        self.background();
    }

    pub(crate) fn background(&mut self) {
        let now = self.now_ms();
        for index in self.indices.values_mut() {
            index.refresh_if_due(now);
        }
        self.allocate_if_due();
        crate::task::advance(self, self.task_docs_per_request);
        crate::snapshot::advance(self);
    }
}

fn two_writers(alias: &str, indices: &[&str]) -> ApiError {
    ApiError::new(
        500,
        "illegal_state_exception",
        format!(
            "alias [{alias}] has more than one write index [{}]",
            indices.join(",")
        ),
    )
}

/// Analyzer names that an index defines for itself.
pub(crate) fn analyzers(settings: &Flat) -> Vec<String> {
    settings
        .keys()
        .filter_map(|k| k.strip_prefix("index.analysis.analyzer."))
        .filter_map(|k| k.split('.').next())
        .map(ToOwned::to_owned)
        .collect()
}

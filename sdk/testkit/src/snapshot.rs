//! Snapshot repositories: what a snapshot keeps, and what a restore makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use crate::clock::iso;
use crate::error::ApiError;
use crate::index::{Docs, Index, NewIndex};
use crate::names::{self, Expand};
use crate::pattern::{glob, glob_list};
use crate::product::Product;
use crate::settings::{self, Flat};
use crate::state::{State, Templates};

/// Everything at one location; registrations under several names share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) snapshots: Vec<Snapshot>,
}

/// A registered repository.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) kind: String,
    pub(crate) settings: Value,
    pub(crate) location: String,
}

impl Repository {
    pub(crate) fn is_readonly(&self) -> bool {
        matches!(&self.settings["readonly"], Value::Bool(true))
            || self.settings["readonly"] == "true"
    }
}

/// One snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// The cluster that takes it, or has.
    taken_by: String,
    version: String,
    version_id: u32,
    indices: Arc<BTreeMap<String, Kept>>,
    failed: Vec<Value>,
    state: &'static str,
    global: Option<Global>,
    metadata: Option<Value>,
    feature_states: Vec<Value>,
    start_ms: i64,
    end_ms: i64,
    /// Requests until it is finished; zero when it is.
    requests_left: u32,
}

#[derive(Debug, Clone)]
struct Kept {
    index: Index,
    docs: Docs,
    seq_nos: BTreeMap<u32, u64>,
    bytes: u64,
}

#[derive(Debug, Clone)]
struct Global {
    persistent: Flat,
    templates: Templates,
}

impl Snapshot {
    pub(crate) fn is_running(&self) -> bool {
        self.requests_left > 0
    }

    /// A running one is known to the cluster that takes it: in the folder it is when it is finished.
    fn is_known_to(&self, state: &State) -> bool {
        !self.is_running() || self.taken_by == state.cluster_uuid
    }

    /// Names of the indices in it.
    pub(crate) fn indices(&self) -> impl Iterator<Item = &String> {
        self.indices.keys()
    }

    fn shards(&self) -> u32 {
        self.indices.values().map(|k| k.index.shards()).sum()
    }

    /// The snapshot as `GET _snapshot` prints it.
    pub(crate) fn to_json(&self, product: Product, repository: &str) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("snapshot", json!(self.name));
        put("uuid", json!(self.uuid));
        if !product.is_opensearch() {
            put("repository", json!(repository));
        }
        put("version_id", json!(self.version_id));
        put(
            "version",
            json!(product.index_version_string(&self.version)),
        );
        if product.is_opensearch() {
            put("remote_store_index_shallow_copy", json!(false));
        }
        put("indices", json!(self.indices.keys().collect::<Vec<_>>()));
        put("data_streams", json!([]));
        put("include_global_state", json!(self.global.is_some()));
        if let Some(metadata) = &self.metadata {
            put("metadata", metadata.clone());
        }
        put(
            "state",
            json!(if self.is_running() {
                "IN_PROGRESS"
            } else {
                self.state
            }),
        );
        put("start_time", json!(iso(self.start_ms)));
        put("start_time_in_millis", json!(self.start_ms));
        let end = if self.is_running() { 0 } else { self.end_ms };
        put("end_time", json!(iso(end)));
        put("end_time_in_millis", json!(end));
        put(
            "duration_in_millis",
            json!(if self.is_running() {
                0
            } else {
                self.end_ms - self.start_ms
            }),
        );
        put(
            "failures",
            json!(if self.is_running() {
                Vec::new()
            } else {
                self.failed.clone()
            }),
        );
        let (total, failed) = (
            self.shards(),
            u32::try_from(self.failed.len()).unwrap_or(u32::MAX),
        );
        put(
            "shards",
            if self.is_running() {
                json!({"total": 0, "failed": 0, "successful": 0})
            } else {
                json!({"total": total, "failed": failed, "successful": total.saturating_sub(failed)})
            },
        );
        if !product.is_opensearch() {
            put("feature_states", json!(self.feature_states));
        }
        Value::Object(map)
    }

    /// The snapshot as `_status` prints it.
    pub(crate) fn status_json(&self, repository: &str) -> Value {
        let bytes: u64 = self.indices.values().map(|k| k.bytes).sum();
        let total = self.shards();
        let (started, done) = if self.is_running() {
            (total, 0)
        } else {
            (0, total)
        };
        let shards = json!({"initializing": 0, "started": started, "finalizing": 0, "done": done, "failed": self.failed.len(), "total": total});
        let stats = |bytes: u64| {
            json!({
                "incremental": {"file_count": 1, "size_in_bytes": bytes},
                "total": {"file_count": 1, "size_in_bytes": bytes},
                "start_time_in_millis": self.start_ms,
                "time_in_millis": self.end_ms - self.start_ms,
            })
        };
        let indices: Map<String, Value> = self
            .indices
            .iter()
            .map(|(name, kept)| {
                let count = kept.index.shards();
                let (started, done) = if self.is_running() { (count, 0) } else { (0, count) };
                (name.clone(), json!({
                    "shards_stats": {"initializing": 0, "started": started, "finalizing": 0, "done": done, "failed": 0, "total": count},
                    "stats": stats(kept.bytes),
                }))
            })
            .collect();
        json!({
            "snapshot": self.name, "repository": repository, "uuid": self.uuid,
            "state": if self.is_running() { "STARTED" } else { self.state },
            "include_global_state": self.global.is_some(),
            "shards_stats": shards, "stats": stats(bytes), "indices": indices,
        })
    }
}

/// Where a location lies; relative ones are under the first `path.repo` entry.
pub(crate) fn locate(state: &State, repository: &str, location: &str) -> Result<String, ApiError> {
    let failed = |why: String| {
        let inner = ApiError::new(500, "repository_exception", format!("[{repository}] {why}"));
        ApiError::new(
            500,
            "repository_exception",
            format!("[{repository}] failed to create repository"),
        )
        .caused(inner.kind(), inner.reason())
        .rooted(inner)
    };
    let escapes = location.split('/').any(|p| p == "..");
    let full = if location.starts_with('/') {
        location.to_owned()
    } else {
        match state.path_repo.first() {
            Some(first) => format!("{first}/{location}"),
            None => {
                return Err(failed(format!(
                    "location [{location}] doesn't match any of the locations specified by path.repo because this setting is empty"
                )));
            }
        }
    };
    let inside = state
        .path_repo
        .iter()
        .any(|p| full == *p || full.starts_with(&format!("{p}/")));
    if inside && !escapes {
        Ok(full.trim_end_matches('/').to_owned())
    } else {
        Err(failed(format!(
            "location [{location}] doesn't match any of the locations specified by path.repo"
        )))
    }
}

/// The refusal for a snapshot that is not there.
pub(crate) fn missing(repository: &str, snapshot: &str) -> ApiError {
    ApiError::new(
        404,
        "snapshot_missing_exception",
        format!("[{repository}:{snapshot}] is missing"),
    )
}

pub(crate) fn repository<'a>(state: &'a State, name: &str) -> Result<&'a Repository, ApiError> {
    state.repositories.get(name).ok_or_else(|| {
        ApiError::new(
            404,
            "repository_missing_exception",
            format!("[{name}] missing"),
        )
    })
}

/// The snapshots of a repository, as far as this cluster knows of them.
pub(crate) fn store(state: &State, name: &str) -> Result<Vec<Snapshot>, ApiError> {
    let repository = repository(state, name)?;
    let folders = state.folders.held();
    let store = folders.get(&repository.location);
    let all = store.into_iter().flat_map(|store| &store.snapshots);
    Ok(all.filter(|s| s.is_known_to(state)).cloned().collect())
}

/// Begins a snapshot; its contents are those of this moment, searchable or not.
pub(crate) fn create(
    state: &mut State,
    repository_name: &str,
    name: &str,
    body: &Map<String, Value>,
) -> Result<(), ApiError> {
    let bad = |why: String| {
        ApiError::new(
            400,
            "invalid_snapshot_name_exception",
            format!("[{repository_name}:{name}] Invalid snapshot name [{name}], {why}"),
        )
    };
    let repository = repository(state, repository_name)?.clone();
    if name.is_empty() || name.contains([' ', ',', '#']) || name.starts_with('_') {
        return Err(bad(
            "must not contain whitespace, ',' or '#', and must not start with '_'".to_owned(),
        ));
    }
    if name.chars().any(char::is_uppercase) {
        return Err(bad("must be lowercase".to_owned()));
    }
    if repository.is_readonly() {
        return Err(ApiError::new(
            500,
            "repository_exception",
            format!("[{repository_name}] cannot create snapshot in a readonly repository"),
        ));
    }
    if store(state, repository_name)?
        .iter()
        .any(|s| s.name == name)
    {
        let taken = "snapshot with the same name already exists";
        return Err(if state.product.is_opensearch() {
            bad(taken.to_owned())
        } else {
            ApiError::new(
                400,
                "snapshot_name_already_in_use_exception",
                format!("[{repository_name}:{name}] Invalid snapshot name [{name}], {taken}"),
            )
        });
    }
    let expression = expression_of(body.get("indices"));
    let expand = Expand {
        ignore_unavailable: body
            .get("ignore_unavailable")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        ..Expand {
            hidden: true,
            ..Expand::OPEN
        }
    };
    let partial = body
        .get("partial")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let with_global = body
        .get("include_global_state")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    if let Some(metadata) = body.get("metadata")
        && metadata.to_string().len() > METADATA_BYTES_MAX
    {
        return Err(ApiError::validation(format!(
            "metadata must be smaller than {METADATA_BYTES_MAX} bytes"
        )));
    }
    let names = names::resolve(state, &expression, expand)?;
    let now = state.now_ms();
    let mut indices = BTreeMap::new();
    let mut failed = Vec::new();
    for name in names {
        let index = state.index(&name)?;
        if state.index_health(index) == "red" {
            failed.push(json!({"index": name, "index_uuid": index.uuid, "shard_id": 0, "reason": "primary shard is not allocated", "status": "INTERNAL_SERVER_ERROR"}));
        }
        let docs = index.live();
        let bytes = index.store_bytes();
        indices.insert(
            name,
            Kept {
                seq_nos: index.seq_no_counters(),
                index: index.clone(),
                docs,
                bytes,
            },
        );
    }
    let version = state.creation_version();
    let outcome = match (failed.is_empty(), partial) {
        (true, _) => "SUCCESS",
        (false, true) => "PARTIAL",
        (false, false) => "FAILED",
    };
    let snapshot = Snapshot {
        name: name.to_owned(),
        uuid: state.rng.uuid(),
        taken_by: state.cluster_uuid.clone(),
        version_id: state.product.index_version_id(&version),
        version,
        indices: Arc::new(indices),
        failed,
        state: outcome,
        global: with_global.then(|| Global {
            persistent: state.persistent.clone(),
            templates: state.templates.clone(),
        }),
        metadata: body.get("metadata").filter(|m| !m.is_null()).cloned(),
        feature_states: Vec::new(),
        start_ms: now,
        end_ms: now,
        requests_left: state.snapshot_requests.max(1),
    };
    state
        .folders
        .held()
        .entry(repository.location)
        .or_default()
        .snapshots
        .push(snapshot);
    state.changed();
    Ok(())
}

/// Longest `metadata` of a snapshot; the servers' own limit.
const METADATA_BYTES_MAX: usize = 1024;

fn expression_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(","),
        _ => String::new(),
    }
}

/// Brings running snapshots one request nearer to their end.
pub(crate) fn advance(state: &mut State) {
    let now = state.now_ms();
    for store in state.folders.held().values_mut() {
        for snapshot in &mut store.snapshots {
            if snapshot.is_running() && snapshot.is_known_to(state) {
                snapshot.requests_left -= 1;
                snapshot.end_ms = now;
            }
        }
    }
}

/// Finishes a running snapshot at once, as waiting for it does.
pub(crate) fn complete(state: &mut State, repository: &str, name: &str) {
    let now = state.now_ms();
    let Some(location) = state
        .repositories
        .get(repository)
        .map(|r| r.location.clone())
    else {
        return;
    };
    for snapshot in state
        .folders
        .held()
        .get_mut(&location)
        .into_iter()
        .flat_map(|s| &mut s.snapshots)
    {
        if snapshot.name == name && snapshot.is_known_to(state) {
            snapshot.requests_left = 0;
            snapshot.end_ms = now;
        }
    }
}

/// The running snapshot that holds `index`, as `repository:snapshot`, if there is one.
pub(crate) fn running_over(state: &State, index: &str) -> Option<String> {
    let folders = state.folders.held();
    state.repositories.iter().find_map(|(name, repository)| {
        let store = folders.get(&repository.location)?;
        store
            .snapshots
            .iter()
            .find(|s| s.is_running() && s.is_known_to(state) && s.indices.contains_key(index))
            .map(|s| format!("{name}:{}", s.name))
    })
}

/// Deletes the snapshots that match; a running one is cancelled.
pub(crate) fn delete(state: &mut State, repository_name: &str, list: &str) -> Result<(), ApiError> {
    let repository = repository(state, repository_name)?.clone();
    if repository.is_readonly() {
        return Err(ApiError::new(
            500,
            "repository_exception",
            format!("[{repository_name}] repository is readonly"),
        ));
    }
    let have: Vec<String> = store(state, repository_name)?
        .iter()
        .map(|s| s.name.clone())
        .collect();
    for part in list.split(',').filter(|p| !p.contains('*')) {
        if !have.iter().any(|n| n == part) {
            return Err(missing(repository_name, part));
        }
    }
    if let Some(store) = state.folders.held().get_mut(&repository.location) {
        let is_meant = |s: &Snapshot| s.is_known_to(state) && glob_list(list, &s.name);
        store.snapshots.retain(|s| !is_meant(s));
    }
    state.changed();
    Ok(())
}

/// Restores indices from a snapshot; answers the names that it made.
pub(crate) fn restore(
    state: &mut State,
    repository_name: &str,
    name: &str,
    body: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let product = state.product;
    let error = |snapshot: &str, why: String| {
        ApiError::new(
            500,
            "snapshot_restore_exception",
            format!("[{repository_name}:{snapshot}] {why}"),
        )
    };
    let all = store(state, repository_name)?;
    let Some(snapshot) = all.into_iter().find(|s| s.name == name) else {
        return Err(error(name, "snapshot does not exist".to_owned()));
    };
    let full = format!("{name}/{}", snapshot.uuid);
    const KEYS: &[&str] = &[
        "indices",
        "ignore_unavailable",
        "include_global_state",
        "include_aliases",
        "partial",
        "rename_pattern",
        "rename_replacement",
        "index_settings",
        "ignore_index_settings",
        "feature_states",
        "storage_type",
        "rename_alias_pattern",
        "rename_alias_replacement",
        "allow_no_indices",
        "expand_wildcards",
    ];
    let elastic_only = ["feature_states"];
    let search_only = [
        "storage_type",
        "rename_alias_pattern",
        "rename_alias_replacement",
    ];
    for key in body.keys() {
        let foreign = if product.is_opensearch() {
            elastic_only.contains(&key.as_str())
        } else {
            search_only.contains(&key.as_str())
        };
        if foreign || !KEYS.contains(&key.as_str()) {
            return Err(ApiError::illegal(format!("Unknown parameter {key}")));
        }
    }
    if snapshot.is_running() {
        return Err(error(
            &full,
            "unsupported snapshot state [IN_PROGRESS]".to_owned(),
        ));
    }
    if snapshot.state == "FAILED" {
        return Err(error(
            &full,
            "unsupported snapshot state [FAILED]".to_owned(),
        ));
    }
    let flag = |key: &str, default: bool| body.get(key).and_then(Value::as_bool).unwrap_or(default);
    let include_global = flag("include_global_state", false);
    // OpenSearch restores the indices and says nothing.
    if include_global && snapshot.global.is_none() && !product.is_opensearch() {
        return Err(error(
            &full,
            "cannot restore global state since the snapshot was created without global state"
                .to_owned(),
        ));
    }
    let wanted = choose(
        &snapshot,
        &expression_of(body.get("indices")),
        flag("ignore_unavailable", false),
    )?;
    let overrides = body
        .get("index_settings")
        .and_then(Value::as_object)
        .map(settings::flatten_index)
        .unwrap_or_default();
    settings::check_index(product, &overrides)?;
    if overrides.contains_key("index.number_of_shards") {
        return Err(error(
            &full,
            format!(
                "cannot modify setting [index.number_of_shards] on restore of [{}]",
                wanted.join(",")
            ),
        ));
    }
    let ignored: Vec<String> = expression_of(body.get("ignore_index_settings"))
        .split(',')
        .filter(|k| !k.is_empty())
        .map(|k| {
            if k.starts_with("index.") {
                k.to_owned()
            } else {
                format!("index.{k}")
            }
        })
        .collect();
    let rename = match (
        body.get("rename_pattern").and_then(Value::as_str),
        body.get("rename_replacement").and_then(Value::as_str),
    ) {
        (Some(pattern), Some(replacement)) => {
            let regex = Regex::new(pattern).map_err(|e| ApiError::illegal(e.to_string()))?;
            Some((regex, java_replacement(replacement)))
        }
        _ => None,
    };
    let include_aliases = flag("include_aliases", true);
    let minimum = product.minimum_index_id();
    let mut made: Vec<(String, Index, Option<String>)> = Vec::new();
    for original in &wanted {
        let Some(kept) = snapshot.indices.get(original) else {
            continue;
        };
        let target = rename.as_ref().map_or_else(
            || original.clone(),
            |(regex, to)| regex.replace_all(original, to.as_str()).into_owned(),
        );
        names::check_name(product, "invalid_index_name_exception", &target)?;
        if made.iter().any(|(name, ..)| *name == target) {
            return Err(error(
                &full,
                format!(
                    "indices [{original}] and another one are renamed into the same index [{target}]"
                ),
            ));
        }
        if kept.index.created_id < minimum {
            return Err(error(&full, format!("cannot restore index [{original}] because it cannot be upgraded")).caused(
                "illegal_state_exception",
                format!(
                    "The index [[{original}/{}]] was created with version [{}] but the minimum compatible version is [{}].",
                    kept.index.uuid, kept.index.created_version, product.minimum_index()
                ),
            ));
        }
        let mut new_settings = kept.index.settings().clone();
        new_settings.retain(|key, _| !ignored.iter().any(|p| glob(p, key)));
        new_settings.extend(overrides.clone());
        new_settings.retain(|_, v| !v.is_null());
        let existing = state.indices.get(&target);
        // Over a closed index the documents come back into that one.
        let uuid = match existing {
            Some(existing) => existing.uuid.clone(),
            None => state.rng.uuid(),
        };
        let existing = state.indices.get(&target);
        if let Some(existing) = existing {
            if existing.is_open {
                return Err(error(
                    &full,
                    format!(
                        "cannot restore index [{target}] because an open index with same name already exists in the cluster. \
                     Either close or delete the existing index or restore the index under a different name by providing \
                     a rename pattern and replacement name"
                    ),
                ));
            }
            if existing.shards() != kept.index.shards() {
                return Err(error(
                    &full,
                    format!(
                        "cannot restore index [{target}] with [{}] shards from a snapshot of index [{original}] with [{}] shards",
                        existing.shards(),
                        kept.index.shards()
                    ),
                ));
            }
        } else if !state.alias_indices(&target).is_empty() {
            return Err(ApiError::new(
                400,
                "invalid_index_name_exception",
                format!("Invalid index name [{target}], already exists as alias"),
            ));
        }
        let aliases = if include_aliases {
            kept.index.aliases.clone()
        } else {
            BTreeMap::new()
        };
        for alias in aliases.keys() {
            state.check_alias_name(alias, Some(&target))?;
        }
        let mut index = Index::new(NewIndex {
            name: target.clone(),
            uuid,
            created_ms: kept.index.created_ms,
            created_version: kept.index.created_version.clone(),
            created_id: kept.index.created_id,
            settings: new_settings,
            mapping: kept.index.mapping.clone(),
            aliases,
            home: state.next_home + made.len(),
        });
        index.provided_name.clone_from(&kept.index.provided_name);
        index.restored_from = Some((
            repository_name.to_owned(),
            name.to_owned(),
            original.clone(),
        ));
        index.load(kept.docs.clone(), kept.seq_nos.clone());
        made.push((target, index, existing.map(|e| e.name.clone())));
    }
    let before = state.indices.clone();
    let shards: u32 = made.iter().map(|(_, index, _)| index.shards()).sum();
    let names: Vec<String> = made.iter().map(|(name, ..)| name.clone()).collect();
    state.next_home += made.len();
    for (name, index, _) in made {
        state.indices.insert(name, index);
    }
    if let Err(error) = state.check_write_aliases() {
        state.indices = before;
        return Err(error);
    }
    if include_global && let Some(global) = snapshot.global {
        // As on the servers: settings, composable and component templates are replaced, legacy ones merged.
        state.persistent = global.persistent;
        state.templates.composable = global.templates.composable;
        state.templates.component = global.templates.component;
        state.templates.legacy.extend(global.templates.legacy);
    }
    state.changed();
    Ok(json!({"snapshot": {
        "snapshot": name, "indices": names,
        "shards": {"total": shards, "failed": 0, "successful": shards},
    }}))
}

/// Java's `$1` in a replacement, in the form that this regex engine reads.
fn java_replacement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' => {
                let mut digits = String::new();
                while let Some(d) = chars.peek().filter(|d| d.is_ascii_digit()) {
                    digits.push(*d);
                    chars.next();
                }
                out.push_str(&format!("${{{digits}}}"));
            }
            '\\' => out.extend(chars.next()),
            other => out.push(other),
        }
    }
    out
}

fn choose(
    snapshot: &Snapshot,
    expression: &str,
    ignore_unavailable: bool,
) -> Result<Vec<String>, ApiError> {
    if names::is_all(expression) {
        return Ok(snapshot.indices.keys().cloned().collect());
    }
    let mut out: Vec<String> = Vec::new();
    for (position, part) in expression.split(',').filter(|p| !p.is_empty()).enumerate() {
        if let Some(excluded) = part
            .strip_prefix('-')
            .filter(|_| position > 0 || part.contains('*'))
        {
            if position == 0 {
                out.extend(snapshot.indices.keys().cloned());
            }
            out.retain(|n| !glob(excluded, n));
        } else if part.contains('*') || part == "_all" {
            for name in snapshot.indices.keys().filter(|n| glob_list(part, n)) {
                if !out.contains(name) {
                    out.push(name.clone());
                }
            }
        } else if snapshot.indices.contains_key(part) {
            if !out.iter().any(|n| n == part) {
                out.push(part.to_owned());
            }
        } else if !ignore_unavailable {
            return Err(ApiError::new(
                404,
                "index_not_found_exception",
                format!("no such index [{part}]"),
            )
            .with("index_uuid", "_na_")
            .with("index", part));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_read_as_java_reads_them() {
        let regex = Regex::new("(.+)").unwrap();
        assert_eq!(
            regex.replace_all("a", java_replacement("r_$1").as_str()),
            "r_a"
        );
        assert_eq!(
            regex.replace_all("a", java_replacement("$1_x").as_str()),
            "a_x"
        );
    }
}

//! One index: its documents, what a search sees of them, its aliases and its blocks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::clock::iso;
use crate::error::ApiError;
use crate::product::Product;
use crate::settings::{Flat, duration_ms};

/// One stored version of a document.
#[derive(Debug, Clone)]
pub(crate) struct Doc {
    pub(crate) source: Arc<Value>,
    pub(crate) version: u64,
    pub(crate) seq_no: u64,
    pub(crate) primary_term: u64,
    pub(crate) shard: u32,
    pub(crate) routing: Option<String>,
    /// Order of arrival in the index; what `_doc` sorts by.
    pub(crate) order: u64,
}

/// Documents by id.
pub(crate) type Docs = BTreeMap<String, Doc>;

/// What an alias says about one index.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Alias {
    pub(crate) filter: Option<Value>,
    pub(crate) index_routing: Option<String>,
    pub(crate) search_routing: Option<String>,
    pub(crate) is_write_index: Option<bool>,
    pub(crate) is_hidden: Option<bool>,
}

impl Alias {
    /// Reads an alias object from a create-index body or an alias action.
    pub(crate) fn parse(body: &Map<String, Value>) -> Self {
        let text = |key: &str| {
            body.get(key)
                .map(|v| v.as_str().map_or_else(|| v.to_string(), ToOwned::to_owned))
        };
        let both = text("routing");
        Self {
            filter: body.get("filter").filter(|f| !f.is_null()).cloned(),
            index_routing: text("index_routing").or_else(|| both.clone()),
            search_routing: text("search_routing").or(both),
            is_write_index: body.get("is_write_index").and_then(Value::as_bool),
            is_hidden: body.get("is_hidden").and_then(Value::as_bool),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        if let Some(filter) = &self.filter {
            map.insert("filter".to_owned(), filter.clone());
        }
        if let Some(routing) = &self.index_routing {
            map.insert("index_routing".to_owned(), json!(routing));
        }
        if let Some(routing) = &self.search_routing {
            map.insert("search_routing".to_owned(), json!(routing));
        }
        if let Some(write) = self.is_write_index {
            map.insert("is_write_index".to_owned(), json!(write));
        }
        if let Some(hidden) = self.is_hidden {
            map.insert("is_hidden".to_owned(), json!(hidden));
        }
        Value::Object(map)
    }
}

/// The kinds of access that a block can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    MetadataRead,
    MetadataWrite,
    /// Deleting the index, which the flood-stage block lets through.
    Delete,
}

/// What a write asks of the stored document before it is done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Condition {
    pub(crate) create_only: bool,
    pub(crate) seq_no: Option<(u64, u64)>,
}

/// The outcome of one document write.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) version: u64,
    pub(crate) seq_no: u64,
    pub(crate) primary_term: u64,
    pub(crate) created: bool,
}

/// An index and everything in it.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) created_ms: i64,
    pub(crate) created_version: String,
    pub(crate) created_id: u32,
    pub(crate) provided_name: String,
    /// What clients set; the generated keys are added when printed.
    settings: Flat,
    /// What they say of refreshes. Kept, since each request asks it of every index.
    refresh_interval_ms: i64,
    /// Shared by every copy of the state, and by the searches.
    pub(crate) mapping: Arc<Value>,
    pub(crate) aliases: BTreeMap<String, Alias>,
    pub(crate) is_open: bool,
    /// First node of its shard copies; the others follow round robin.
    pub(crate) home: usize,
    /// Of each shard the nodes with a whole copy, its primary first; decided in `allocation`.
    pub(crate) whole_on: Vec<Vec<usize>>,
    pub(crate) last_refresh_ms: i64,
    /// Repository, snapshot and index that it was restored from.
    pub(crate) restored_from: Option<(String, String, String)>,
    visible: Arc<Docs>,
    /// Changes since the last refresh: `None` is a deletion.
    pending: BTreeMap<String, Option<Doc>>,
    /// Versions of deleted ids, so that a later write continues the count as the servers do.
    graves: BTreeMap<String, u64>,
    next_seq_no: BTreeMap<u32, u64>,
    /// As `next_seq_no` was at the last flush.
    committed: BTreeMap<u32, u64>,
    next_order: u64,
}

/// What a new index is made of.
pub(crate) struct NewIndex {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) created_ms: i64,
    pub(crate) created_version: String,
    pub(crate) created_id: u32,
    pub(crate) settings: Flat,
    pub(crate) mapping: Arc<Value>,
    pub(crate) aliases: BTreeMap<String, Alias>,
    pub(crate) home: usize,
}

impl Index {
    pub(crate) fn new(new: NewIndex) -> Self {
        Self {
            provided_name: new.name.clone(),
            name: new.name,
            uuid: new.uuid,
            created_ms: new.created_ms,
            created_version: new.created_version,
            created_id: new.created_id,
            refresh_interval_ms: refresh_interval_ms(&new.settings),
            settings: new.settings,
            mapping: new.mapping,
            aliases: new.aliases,
            is_open: true,
            home: new.home,
            whole_on: Vec::new(),
            last_refresh_ms: new.created_ms,
            restored_from: None,
            visible: Arc::new(Docs::new()),
            pending: BTreeMap::new(),
            graves: BTreeMap::new(),
            next_seq_no: BTreeMap::new(),
            committed: BTreeMap::new(),
            next_order: 0,
        }
    }

    pub(crate) fn settings(&self) -> &Flat {
        &self.settings
    }

    /// The one way to change them.
    pub(crate) fn change_settings<T>(&mut self, change: impl FnOnce(&mut Flat) -> T) -> T {
        let out = change(&mut self.settings);
        self.refresh_interval_ms = refresh_interval_ms(&self.settings);
        out
    }

    pub(crate) fn setting(&self, key: &str) -> Option<&str> {
        self.settings.get(key).and_then(Value::as_str)
    }

    fn setting_u32(&self, key: &str, default: u32) -> u32 {
        self.setting(key)
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    }

    pub(crate) fn shards(&self) -> u32 {
        self.setting_u32("index.number_of_shards", 1)
    }

    pub(crate) fn replicas(&self) -> u32 {
        self.setting_u32("index.number_of_replicas", 1)
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.setting("index.hidden") == Some("true")
    }

    pub(crate) fn is_dot(&self) -> bool {
        self.name.starts_with('.')
    }

    /// All settings with the generated ones, flat.
    pub(crate) fn full_settings(&self, product: Product, human: bool) -> Flat {
        let mut all = self.settings.clone();
        let mut put = |key: &str, value: String| drop(all.insert(key.to_owned(), json!(value)));
        put("index.uuid", self.uuid.clone());
        put("index.creation_date", self.created_ms.to_string());
        put("index.provided_name", self.provided_name.clone());
        put("index.version.created", self.created_id.to_string());
        if human {
            put("index.creation_date_string", iso(self.created_ms));
            put(
                "index.version.created_string",
                product.index_version_string(&self.created_version),
            );
        }
        if product.is_opensearch() {
            all.entry("index.replication.type".to_owned())
                .or_insert_with(|| json!("DOCUMENT"));
        } else {
            all.entry("index.routing.allocation.include._tier_preference".to_owned())
                .or_insert_with(|| json!("data_content"));
        }
        all
    }

    pub(crate) fn aliases_json(&self) -> Value {
        Value::Object(
            self.aliases
                .iter()
                .map(|(k, v)| (k.clone(), v.to_json()))
                .collect(),
        )
    }

    /// Refuses `access` when a block stands against it, in the servers' words and status.
    pub(crate) fn check_block(&self, product: Product, access: Access) -> Result<(), ApiError> {
        let on = |name: &str| self.setting(&format!("index.blocks.{name}")) == Some("true");
        let mut hits = Vec::new();
        let mut status = 403;
        use Access::{Delete, MetadataRead, MetadataWrite, Read, Write};
        if on("read_only") && matches!(access, Write | MetadataWrite | Delete) {
            hits.push("FORBIDDEN/5/index read-only (api)".to_owned());
        }
        if on("read") && access == Read {
            hits.push("FORBIDDEN/7/index read (api)".to_owned());
        }
        if on("write") && access == Write {
            hits.push("FORBIDDEN/8/index write (api)".to_owned());
        }
        if on("metadata") && matches!(access, MetadataRead | MetadataWrite | Delete) {
            hits.push("FORBIDDEN/9/index metadata (api)".to_owned());
        }
        // Elasticsearch 8 lets metadata through under the flood-stage block, OpenSearch does not.
        let flood = access == Write || (access == MetadataWrite && product.is_opensearch());
        if on("read_only_allow_delete") && flood {
            let more = if product.is_opensearch() {
                ""
            } else {
                "; for more information, see https://www.elastic.co/guide/en/elasticsearch/reference/8.19/fix-watermark-errors.html"
            };
            if hits.is_empty() {
                status = 429;
            }
            hits.push(format!(
                "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block{more}"
            ));
        }
        if hits.is_empty() {
            return Ok(());
        }
        let list: String = hits.iter().map(|h| format!("[{h}];")).collect();
        Err(ApiError::new(
            status,
            "cluster_block_exception",
            format!("index [{}] blocked by: {list}", self.name),
        ))
    }

    pub(crate) fn closed_error(&self) -> ApiError {
        ApiError::new(400, "index_closed_exception", "closed")
            .with("index_uuid", self.uuid.as_str())
            .with("index", self.name.as_str())
    }

    fn conflict(&self, shard: u32, reason: String) -> ApiError {
        ApiError::new(409, "version_conflict_engine_exception", reason)
            .with("index_uuid", self.uuid.as_str())
            .with("shard", shard.to_string())
            .with("index", self.name.as_str())
    }

    /// The live document, refreshed or not.
    pub(crate) fn get(&self, id: &str) -> Option<&Doc> {
        match self.pending.get(id) {
            Some(change) => change.as_ref(),
            None => self.visible.get(id),
        }
    }

    /// Which shard holds `id`, by the servers' own hash, so that sequence numbers behave alike.
    pub(crate) fn shard_of(&self, id: &str, routing: Option<&str>) -> u32 {
        let shards = self.shards().max(1);
        // Routing shards: the largest power-of-two multiple of the shard count up to 1024.
        let mut factor = 1;
        while shards * factor * 2 <= 1024 {
            factor *= 2;
        }
        let hash = murmur3(routing.unwrap_or(id));
        let slot = hash.rem_euclid(i64::from(shards * factor));
        u32::try_from(slot).unwrap_or(0) / factor
    }

    fn check(&self, id: &str, shard: u32, condition: Condition) -> Result<(), ApiError> {
        let current = self.get(id);
        if condition.create_only
            && let Some(doc) = current
        {
            return Err(self.conflict(
                shard,
                format!(
                    "[{id}]: version conflict, document already exists (current version [{}])",
                    doc.version
                ),
            ));
        }
        if let Some((seq_no, term)) = condition.seq_no {
            let found = match current {
                Some(doc) if doc.seq_no == seq_no && doc.primary_term == term => return Ok(()),
                Some(doc) => format!(
                    ". current document has seqNo [{}] and primary term [{}]",
                    doc.seq_no, doc.primary_term
                ),
                None => ". but no document was found".to_owned(),
            };
            return Err(self.conflict(
                shard,
                format!("[{id}]: version conflict, required seqNo [{seq_no}], primary term [{term}]{found}"),
            ));
        }
        Ok(())
    }

    fn take_seq_no(&mut self, shard: u32) -> u64 {
        let next = self.next_seq_no.entry(shard).or_insert(0);
        let taken = *next;
        *next += 1;
        taken
    }

    /// Writes to disk what the logs of the shards alone hold.
    pub(crate) fn flush(&mut self) {
        self.committed.clone_from(&self.next_seq_no);
    }

    /// Highest sequence number that the last commit of a shard holds; -1: none.
    pub(crate) fn committed_seq_no(&self, shard: u32) -> i64 {
        self.committed
            .get(&shard)
            .map_or(-1, |next| i64::try_from(*next).unwrap_or(i64::MAX) - 1)
    }

    /// Highest sequence number given out, over all shards.
    pub(crate) fn max_seq_no(&self) -> Option<u64> {
        self.next_seq_no.values().max().map(|n| n - 1)
    }

    pub(crate) fn put(
        &mut self,
        id: &str,
        routing: Option<&str>,
        source: Value,
        condition: Condition,
    ) -> Result<Written, ApiError> {
        let shard = self.shard_of(id, routing);
        self.check(id, shard, condition)?;
        let before = self.get(id).map(|d| d.version);
        let version = before.or_else(|| self.graves.remove(id)).unwrap_or(0) + 1;
        let seq_no = self.take_seq_no(shard);
        self.next_order += 1;
        let doc = Doc {
            source: Arc::new(source),
            version,
            seq_no,
            primary_term: 1,
            shard,
            routing: routing.map(ToOwned::to_owned),
            order: self.next_order,
        };
        self.pending.insert(id.to_owned(), Some(doc));
        Ok(Written {
            version,
            seq_no,
            primary_term: 1,
            created: before.is_none(),
        })
    }

    /// Deletes `id`; `created` in the answer is false when there was nothing to delete.
    pub(crate) fn delete(
        &mut self,
        id: &str,
        routing: Option<&str>,
        condition: Condition,
    ) -> Result<(Written, bool), ApiError> {
        let shard = self.shard_of(id, routing);
        self.check(id, shard, condition)?;
        let before = self.get(id).map(|d| d.version);
        let version = before.or_else(|| self.graves.get(id).copied()).unwrap_or(0) + 1;
        let seq_no = self.take_seq_no(shard);
        // A tombstone takes a place of its own.
        self.next_order += 1;
        if before.is_some() {
            self.pending.insert(id.to_owned(), None);
        }
        self.graves.insert(id.to_owned(), version);
        Ok((
            Written {
                version,
                seq_no,
                primary_term: 1,
                created: false,
            },
            before.is_some(),
        ))
    }

    /// What searches see: the documents of the last refresh.
    pub(crate) fn searchable(&self) -> Arc<Docs> {
        Arc::clone(&self.visible)
    }

    /// All live documents, for dumps and snapshots.
    pub(crate) fn live(&self) -> Docs {
        let mut docs = (*self.visible).clone();
        apply(&mut docs, self.pending.clone());
        docs
    }

    pub(crate) fn refresh(&mut self, now_ms: i64) {
        self.last_refresh_ms = now_ms;
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            apply(Arc::make_mut(&mut self.visible), pending);
        }
    }

    /// Refreshes when the index's own interval has passed since the last one.
    pub(crate) fn refresh_if_due(&mut self, now_ms: i64) {
        let interval = self.refresh_interval_ms;
        if interval >= 0 && self.is_open && now_ms - self.last_refresh_ms >= interval {
            self.refresh(now_ms);
        }
    }

    /// Replaces the documents, as a restore does.
    pub(crate) fn load(&mut self, docs: Docs, next_seq_no: BTreeMap<u32, u64>) {
        self.next_order = docs.values().map(|d| d.order).max().unwrap_or(0);
        self.visible = Arc::new(docs);
        // What is taken over from files is on disk.
        self.committed.clone_from(&next_seq_no);
        self.next_seq_no = next_seq_no;
    }

    pub(crate) fn seq_no_counters(&self) -> BTreeMap<u32, u64> {
        self.next_seq_no.clone()
    }

    /// Documents as Lucene counts them: each nested object is one more.
    pub(crate) fn lucene_docs(&self) -> u64 {
        self.visible
            .values()
            .map(|d| 1 + nested_objects(&self.mapping, &d.source))
            .sum()
    }

    /// Bytes on disk, about: the sources and a little for each document and shard.
    pub(crate) fn store_bytes(&self) -> u64 {
        /// What an empty shard takes on disk on the servers, about.
        const SHARD_BYTES: u64 = 230;
        let docs: u64 = self
            .visible
            .values()
            .map(|d| d.source.to_string().len() as u64 + 60)
            .sum();
        docs + SHARD_BYTES * u64::from(self.shards())
    }
}

fn refresh_interval_ms(settings: &Flat) -> i64 {
    /// The servers' own default.
    const DEFAULT_MS: i64 = 1_000;
    settings
        .get("index.refresh_interval")
        .and_then(Value::as_str)
        .and_then(duration_ms)
        .unwrap_or(DEFAULT_MS)
}

fn apply(docs: &mut Docs, pending: BTreeMap<String, Option<Doc>>) {
    for (id, change) in pending {
        match change {
            Some(doc) => drop(docs.insert(id, doc)),
            None => drop(docs.remove(&id)),
        }
    }
}

fn nested_objects(mapping: &Value, source: &Value) -> u64 {
    let (Some(fields), Some(source)) = (mapping["properties"].as_object(), source.as_object())
    else {
        return 0;
    };
    let mut count = 0;
    for (name, field) in fields {
        let Some(value) = source.get(name) else {
            continue;
        };
        if field.get("properties").is_none() && field["type"] != json!("nested") {
            continue;
        }
        let items: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        };
        for item in items.into_iter().filter(|i| i.is_object()) {
            count += u64::from(field["type"] == json!("nested")) + nested_objects(field, item);
        }
    }
    count
}

/// Murmur3 (32 bits, seed 0) over the UTF-16 little-endian bytes, as the servers route.
fn murmur3(text: &str) -> i64 {
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (c1, c2) = (0xcc9e_2d51_u32, 0x1b87_3593_u32);
    let mut hash = 0_u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        hash ^= word.wrapping_mul(c1).rotate_left(15).wrapping_mul(c2);
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        let word = tail
            .iter()
            .rev()
            .fold(0_u32, |acc, b| (acc << 8) | u32::from(*b));
        hash ^= word.wrapping_mul(c1).rotate_left(15).wrapping_mul(c2);
    }
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^= hash >> 16;
    i64::from(hash.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        Index::new(NewIndex {
            name: "a".to_owned(),
            uuid: "u".to_owned(),
            created_ms: 0,
            created_version: "2.19.1".to_owned(),
            created_id: 1,
            settings: Flat::from([("index.refresh_interval".to_owned(), json!("-1"))]),
            mapping: Arc::new(
                json!({"properties": {"n": {"type": "nested", "properties": {"x": {"type": "long"}}}}}),
            ),
            aliases: BTreeMap::new(),
            home: 0,
        })
    }

    #[test]
    fn a_document_is_readable_at_once_and_searchable_after_a_refresh() {
        let mut index = index();
        index
            .put(
                "1",
                None,
                json!({"n": [{"x": 1}, {"x": 2}]}),
                Condition::default(),
            )
            .unwrap();
        assert!(index.get("1").is_some());
        assert_eq!(index.searchable().len(), 0);
        index.refresh_if_due(1_000_000);
        assert_eq!(index.searchable().len(), 0);
        index.refresh(0);
        assert_eq!(index.searchable().len(), 1);
        assert_eq!(index.lucene_docs(), 3);
    }

    #[test]
    fn a_changed_interval_counts_from_the_next_request_on() {
        let mut index = index();
        let interval = |index: &mut Index, text: &str| {
            index.change_settings(|settings| {
                settings.insert("index.refresh_interval".to_owned(), json!(text))
            });
        };
        index
            .put("1", None, json!({}), Condition::default())
            .unwrap();
        interval(&mut index, "5s");
        index.refresh_if_due(4_999);
        assert_eq!(index.searchable().len(), 0);
        index.refresh_if_due(5_000);
        assert_eq!(index.searchable().len(), 1);
        index.delete("1", None, Condition::default()).unwrap();
        interval(&mut index, "-1");
        index.refresh_if_due(1_000_000);
        assert_eq!(index.searchable().len(), 1);
        index.change_settings(|settings| settings.remove("index.refresh_interval"));
        index.refresh_if_due(1_000_000);
        assert_eq!(index.searchable().len(), 0);
    }

    #[test]
    fn versions_go_on_after_a_deletion() {
        let mut index = index();
        index
            .put("1", None, json!({}), Condition::default())
            .unwrap();
        index.delete("1", None, Condition::default()).unwrap();
        assert_eq!(
            index
                .put("1", None, json!({}), Condition::default())
                .unwrap()
                .version,
            3
        );
    }

    #[test]
    fn ids_are_routed_by_the_hash_of_the_servers() {
        // Published vectors of the routing hash.
        assert_eq!(murmur3("hell"), i64::from(0x5a0c_b7c3_u32.cast_signed()));
        assert_eq!(murmur3("hello"), i64::from(0xd7c3_1989_u32.cast_signed()));
        assert_eq!(murmur3("hello w"), i64::from(0x22ab_2984_u32.cast_signed()));
    }
}

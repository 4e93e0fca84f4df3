//! Reindex, update-by-query and delete-by-query: one engine, run at once or as a server task.
//!
//! A task moves on when a request reaches the cluster, never by wall clock, so a run of the same
//! requests always meets it in the same place. A throttled task moves one batch a request.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::index::{Condition, Doc};
use crate::script::Script;
use crate::state::State;

/// The hidden store of finished tasks.
pub(crate) const TASKS_INDEX: &str = ".tasks";

/// Which of the three by-query operations a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Reindex,
    Update,
    Delete,
}

impl Kind {
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Reindex => "indices:data/write/reindex",
            Self::Update => "indices:data/write/update/byquery",
            Self::Delete => "indices:data/write/delete/byquery",
        }
    }
}

/// What a by-query operation has to do, with the documents that it found when it began.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) queue: VecDeque<(String, String, Doc)>,
    pub(crate) destination: Option<String>,
    pub(crate) create_only: bool,
    pub(crate) script: Option<Script>,
    pub(crate) proceed: bool,
    pub(crate) refresh: bool,
    pub(crate) batch: usize,
    pub(crate) slices: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) counts: Counts,
    pub(crate) touched: Vec<String>,
    pub(crate) failures: Vec<Value>,
    pub(crate) failed_status: Option<u16>,
}

/// Progress, as the servers report it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) updated: u64,
    pub(crate) created: u64,
    pub(crate) deleted: u64,
    pub(crate) batches: u64,
    pub(crate) version_conflicts: u64,
    pub(crate) noops: u64,
}

/// A running task.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) node: usize,
    pub(crate) description: String,
    pub(crate) start_ms: i64,
    pub(crate) opaque_id: Option<String>,
    pub(crate) cancelled_ms: Option<i64>,
    pub(crate) job: Job,
}

enum Step {
    Created,
    Updated,
    Deleted,
    Noop,
    Conflict(ApiError),
    Failed(ApiError),
}

impl Job {
    /// Moves up to `limit` documents; true when there is nothing left to do.
    pub(crate) fn advance(&mut self, state: &mut State, limit: usize) -> bool {
        let mut in_batch = 0;
        for _ in 0..limit {
            let Some((index, id, doc)) = self.queue.pop_front() else {
                break;
            };
            if in_batch == 0 {
                self.counts.batches += 1;
            }
            in_batch = (in_batch + 1) % self.batch.max(1);
            let target = self.destination.clone().unwrap_or_else(|| index.clone());
            match self.one(state, &index, &id, &doc) {
                Step::Created => self.counts.created += 1,
                Step::Updated => self.counts.updated += 1,
                Step::Deleted => self.counts.deleted += 1,
                Step::Noop => self.counts.noops += 1,
                Step::Conflict(error) => {
                    self.counts.version_conflicts += 1;
                    if !self.proceed {
                        self.fail(&target, &id, &error);
                    }
                }
                Step::Failed(error) => self.fail(&target, &id, &error),
            }
            // The servers finish the batch in which something failed, then stop.
            if !self.failures.is_empty() && in_batch == 0 {
                self.queue.clear();
            }
        }
        if !self.failures.is_empty() {
            self.queue.clear();
        }
        self.queue.is_empty()
    }

    fn fail(&mut self, index: &str, id: &str, error: &ApiError) {
        self.failed_status = Some(self.failed_status.unwrap_or(0).max(error.status));
        self.failures.push(
            json!({"index": index, "id": id, "cause": error.object(), "status": error.status}),
        );
    }

    fn one(&mut self, state: &mut State, index: &str, id: &str, doc: &Doc) -> Step {
        let mut source = (*doc.source).clone();
        let mut op = "index".to_owned();
        let mut target_id = id.to_owned();
        if let Some(script) = &self.script {
            let ctx = json!({
                "_index": index, "_id": id, "_version": doc.version, "_routing": doc.routing,
                "_source": source, "op": "index",
            });
            match script.run(ctx) {
                Ok(mut done) => {
                    source = done["_source"].take();
                    op = done["op"].as_str().unwrap_or("index").to_owned();
                    if let (Kind::Reindex, Some(new)) = (self.kind, done["_id"].as_str()) {
                        new.clone_into(&mut target_id);
                    }
                }
                Err(error) => return Step::Failed(error),
            }
        }
        let target = match &self.destination {
            Some(name) => match state.index_or_create(name) {
                Ok(target) => target,
                Err(error) => return Step::Failed(error),
            },
            None => index.to_owned(),
        };
        let same = Condition {
            create_only: false,
            seq_no: Some((doc.seq_no, doc.primary_term)),
        };
        let (condition, op) = match (self.kind, op.as_str()) {
            (_, "noop" | "none") => return Step::Noop,
            (Kind::Delete, _) | (Kind::Update, "delete") => (same, "delete"),
            (Kind::Reindex, "delete") => (Condition::default(), "delete"),
            (Kind::Update, _) => (same, "index"),
            (Kind::Reindex, _) => (
                Condition {
                    create_only: self.create_only,
                    seq_no: None,
                },
                "index",
            ),
        };
        let routing = doc.routing.as_deref();
        let result = if op == "delete" {
            state
                .writable(&target)
                .and_then(|()| state.index_mut(&target))
                .and_then(|entry| entry.delete(&target_id, routing, condition))
                .map(|_| Step::Deleted)
        } else {
            state
                .write_doc(&target, &target_id, routing, source, condition)
                .map(|written| {
                    if written.created {
                        Step::Created
                    } else {
                        Step::Updated
                    }
                })
        };
        match result {
            Ok(step) => {
                // Only what was written to is refreshed at the end, as on the servers.
                if !self.touched.contains(&target) {
                    self.touched.push(target);
                }
                step
            }
            Err(error) if error.status == 409 => Step::Conflict(error),
            Err(error) => Step::Failed(error),
        }
    }

    /// The counters as both the task status and the response show them.
    pub(crate) fn status(&self, canceled: bool) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("total", json!(self.counts.total));
        if self.kind != Kind::Delete {
            put("updated", json!(self.counts.updated));
        }
        if self.kind == Kind::Reindex {
            put("created", json!(self.counts.created));
        }
        put("deleted", json!(self.counts.deleted));
        put("batches", json!(self.counts.batches));
        put("version_conflicts", json!(self.counts.version_conflicts));
        put("noops", json!(self.counts.noops));
        put("retries", json!({"bulk": 0, "search": 0}));
        put("throttled_millis", json!(0));
        put("requests_per_second", json!(self.requests_per_second));
        if canceled {
            put("canceled", json!("by user request"));
        }
        put("throttled_until_millis", json!(0));
        map
    }

    /// The answer of a finished operation.
    pub(crate) fn response(&self, took_ms: i64, canceled: bool) -> Value {
        let mut map = Map::new();
        map.insert("took".to_owned(), json!(took_ms));
        map.insert("timed_out".to_owned(), json!(false));
        map.extend(self.status(canceled));
        if self.slices > 1 {
            let mut slices: Vec<Value> = Vec::new();
            for slice in 0..self.slices {
                let mut part = if slice == 0 {
                    self.clone()
                } else {
                    Self {
                        counts: Counts::default(),
                        ..self.clone()
                    }
                };
                part.slices = 1;
                let mut status = part.status(canceled);
                status.shift_insert(0, "slice_id".to_owned(), json!(slice));
                slices.push(Value::Object(status));
            }
            map.insert("slices".to_owned(), Value::Array(slices));
        }
        map.insert("failures".to_owned(), Value::Array(self.failures.clone()));
        Value::Object(map)
    }

    /// Makes what was written visible, when the request asked for that.
    pub(crate) fn finish(&self, state: &mut State) {
        if self.refresh {
            let now = state.now_ms();
            for name in &self.touched {
                if let Some(index) = state.indices.get_mut(name) {
                    index.refresh(now);
                }
            }
        }
    }
}

impl Task {
    /// The task as `_tasks` prints it; description and status only in detail.
    pub(crate) fn to_json(&self, state: &State, detailed: bool) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
        put("node", json!(state.nodes[self.node].id));
        put("id", json!(self.id));
        put("type", json!("transport"));
        put("action", json!(self.job.kind.action()));
        if detailed {
            put(
                "status",
                Value::Object(self.job.status(self.cancelled_ms.is_some())),
            );
            put("description", json!(self.description));
        }
        put("start_time_in_millis", json!(self.start_ms));
        put(
            "running_time_in_nanos",
            json!((state.now_ms() - self.start_ms) * 1_000_000),
        );
        put("cancellable", json!(true));
        put("cancelled", json!(self.cancelled_ms.is_some()));
        put(
            "headers",
            self.opaque_id
                .as_ref()
                .map_or_else(|| json!({}), |id| json!({"X-Opaque-Id": id})),
        );
        if state.product.is_opensearch()
            && let Some(ms) = self.cancelled_ms
        {
            put("cancellation_time_millis", json!(ms));
        }
        Value::Object(map)
    }

    /// `node:id`, the form that clients use.
    pub(crate) fn full_id(&self, state: &State) -> String {
        format!("{}:{}", state.nodes[self.node].id, self.id)
    }
}

/// Moves every running task; finished ones are written to the store of results.
pub(crate) fn advance(state: &mut State, docs: usize) {
    let ids: Vec<u64> = state.tasks.keys().copied().collect();
    for id in ids {
        let Some(mut task) = state.tasks.remove(&id) else {
            continue;
        };
        // A throttled task moves at most one batch at a time.
        let limit = if task.job.requests_per_second > 0.0 {
            docs.min(task.job.batch)
        } else {
            docs
        };
        let done = task.cancelled_ms.is_some() || task.job.advance(state, limit);
        if done {
            finish(state, task);
        } else {
            state.tasks.insert(id, task);
        }
    }
}

/// Runs one task to its end, as `wait_for_completion` does.
pub(crate) fn complete(state: &mut State, id: u64) {
    if let Some(mut task) = state.tasks.remove(&id) {
        if task.cancelled_ms.is_none() {
            while !task.job.advance(state, task.job.batch.max(1)) {}
        }
        finish(state, task);
    }
}

fn finish(state: &mut State, mut task: Task) {
    task.job.finish(state);
    let canceled = task.cancelled_ms.is_some();
    if canceled {
        // Cancelling a throttled task lifts its throttle, so that it ends at once.
        task.job.requests_per_second = -1.0;
    }
    let mut response = task.job.response(state.now_ms() - task.start_ms, canceled);
    response["throttled"] = json!("0s");
    response["throttled_until"] = json!("0s");
    let record =
        json!({"completed": true, "task": task.to_json(state, true), "response": response});
    let id = task.full_id(state);
    if !state.indices.contains_key(TASKS_INDEX) && create_store(state).is_err() {
        return;
    }
    // A blocked or red store loses the result, as it does on the servers.
    if state
        .write_doc(TASKS_INDEX, &id, None, record, Condition::default())
        .is_ok()
    {
        let now = state.now_ms();
        if let Some(index) = state.indices.get_mut(TASKS_INDEX) {
            index.refresh(now);
        }
    }
}

/// Makes the index of finished tasks as each product makes it.
fn create_store(state: &mut State) -> Result<(), ApiError> {
    let opensearch = state.product.is_opensearch();
    let mut settings = json!({
        "number_of_shards": 1, "auto_expand_replicas": "0-1", "priority": "2147483647",
        // With more than one node the automatic replica is there; with one it is not.
        "number_of_replicas": u32::from(state.nodes.len() > 1),
    });
    let mut fields = json!({
        "action": {"type": "keyword"}, "cancellable": {"type": "boolean"}, "description": {"type": "text"},
        "headers": {"type": "object", "enabled": false}, "id": {"type": "long"}, "node": {"type": "keyword"},
        "parent_task_id": {"type": "keyword"}, "running_time_in_nanos": {"type": "long"},
        "start_time_in_millis": {"type": "long"}, "status": {"type": "object", "enabled": false},
        "type": {"type": "keyword"}, "cancelled": {"type": "boolean"},
    });
    let meta = if opensearch {
        fields["cancellation_time_millis"] = json!({"type": "long"});
        fields["resource_stats"] = json!({"type": "object", "enabled": false});
        json!({"version": 5})
    } else {
        settings["hidden"] = json!(true);
        json!({"managed_index_mappings_version": 0, "version": state.creation_version()})
    };
    let body = json!({"settings": settings, "mappings": {
        "dynamic": "strict",
        "_meta": meta,
        "properties": {
            "completed": {"type": "boolean"},
            "error": {"type": "object", "enabled": false},
            "response": {"type": "object", "enabled": false},
            "task": {"properties": fields},
        },
    }});
    state.create_index(TASKS_INDEX, &body.as_object().cloned().unwrap_or_default())
}

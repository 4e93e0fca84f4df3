//! The guest, built once; a grant that covers a part; and a source of reads that answers from a table.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use liftlock_sandbox::{
    Call, Called, Engine, Level, Limit, Limits, LogSink, Plugin, PluginFault, ReadSource, RunView,
    SandboxConfig, SiteView,
};
use liftlock_types::{
    Binding, Digest, Grant, GrantedBinding, GrantedVerb, Inventory, Moment, Read, ReadError, Scope,
    Target, Verb,
};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW_MS: u64 = 1_767_225_600_000;

/// The component of `tests/guests`, built by this test run or an earlier one.
pub(crate) fn guest() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| built("liftlock-guests"))
}

/// The component of `tests/small-guest`, likewise.
pub(crate) fn small_guest() -> Vec<u8> {
    built("liftlock-small-guest")
}

fn built(package: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = target_dir();
    let status = Command::new(env!("CARGO"))
        .current_dir(&root)
        .args(["build", "--quiet", "--package", package])
        .args(["--target", "wasm32-wasip2", "--profile", "plugin"])
        .arg("--target-dir")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success(), "{package} does not build: {status}");
    let file = format!("wasm32-wasip2/plugin/{}.wasm", package.replace('-', "_"));
    std::fs::read(target.join(file)).unwrap()
}

fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The guest under these limits. The cache outlives the test run, since compiling takes seconds in a debug build.
pub(crate) fn plugin_with(limits: Limits) -> Plugin {
    let config = SandboxConfig {
        cache_dir: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm")),
        limits,
        ..SandboxConfig::default()
    };
    Engine::new(config).unwrap().load(guest()).unwrap()
}

/// The guest under the limits that are on by default.
pub(crate) fn plugin() -> Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN
        .get_or_init(|| plugin_with(Limits::default()))
        .clone()
}

pub(crate) fn binding(text: &str) -> Binding {
    Binding::new(text).unwrap()
}

/// Answers from a table; counts, and can take its time.
#[derive(Default)]
pub(crate) struct Table {
    answers: Mutex<HashMap<String, Result<Value, ReadError>>>,
    pub(crate) asked: AtomicUsize,
    delay: Option<Duration>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let table = Self::default();
        for (binding, read, answer) in answers() {
            table.set(binding, &read, Ok(answer));
        }
        table
    }

    pub(crate) fn slow(delay: Duration) -> Self {
        Self {
            delay: Some(delay),
            ..Self::new()
        }
    }

    pub(crate) fn set(&self, on: &str, read: &Read, answer: Result<Value, ReadError>) {
        self.answers
            .lock()
            .unwrap()
            .insert(key(&binding(on), read), answer);
    }
}

fn key(binding: &Binding, read: &Read) -> String {
    format!("{binding} {}", serde_json::to_string(read).unwrap())
}

#[async_trait]
impl ReadSource for Table {
    async fn read(&self, binding: &Binding, read: &Read) -> Result<Value, ReadError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        let answer = self
            .answers
            .lock()
            .unwrap()
            .get(&key(binding, read))
            .cloned();
        answer.unwrap_or_else(|| Err(ReadError::NotFound(format!("{read:?}"))))
    }
}

pub(crate) fn read(text: Value) -> Read {
    serde_json::from_value(text).unwrap()
}

fn answers() -> Vec<(&'static str, Read, Value)> {
    let identity = json!({
        "distribution": "opensearch", "version": "2.19.1", "cluster_name": "c",
        "cluster_uuid": "u", "node_name": "n1", "minimum_wire_version": "7.10.0",
        "minimum_index_version": "7.0.0", "more": [["build", "tar"]],
    });
    let index = |name: &str| {
        json!({
            "name": name, "uuid": "u-1", "created_version": 136_000_000_u64, "open": true,
            "hidden": false, "docs": 5, "bytes": 10, "primary_bytes": 5, "shards": 1,
            "replicas": 1, "blocks": ["write"],
        })
    };
    let shard = |index: &str| {
        json!({
            "index": index, "number": 0, "primary": true, "state": "STARTED", "node": "n1",
            "bytes": 5, "docs": 5,
        })
    };
    let alias = |name: &str, index: &str| json!({"name": name, "index": index, "write": true, "more": ["filter"]});
    let template = |name: &str| json!({"name": name, "kind": "legacy", "patterns": ["a-*"], "body": "{\"order\":1}"});
    let document = json!({
        "index": "a-1", "id": "1", "seq_no": 3, "primary_term": 1, "source": "{\"x\":1.50}",
    });
    let taken = json!({
        "name": "s1", "uuid": "su", "state": "SUCCESS", "started_ms": 9, "indices": ["a-1"],
        "global_state": false, "failures": [], "version": "2.19.1", "metadata": "{}",
    });
    let database = "cluster.database";
    let backups = "snapshot.backups";
    let config = "disk.config";
    let app = "service.app";
    vec![
        (database, Read::Identity, identity.clone()),
        (database, Read::Identities, json!([identity])),
        (
            database,
            Read::Health,
            json!({
                "status": "green", "nodes": 1, "active_shards": 2, "relocating_shards": 0,
                "initializing_shards": 0, "unassigned_shards": 0, "pending_tasks": 0,
                "reasons": [],
            }),
        ),
        (
            database,
            Read::Nodes,
            json!([{
                "id": "i", "name": "n1", "version": "2.19.1", "roles": ["data"],
                "address": "127.0.0.1:9200", "heap_max_bytes": 1, "disk_total_bytes": 2,
                "disk_free_bytes": 3, "watermark_low_bytes": 4, "watermark_high_bytes": 5,
                "watermark_flood_bytes": 6, "plugins": ["p"], "more": [],
            }]),
        ),
        (
            database,
            read(json!({"read": "indices", "pattern": "a-*"})),
            json!([index("a-1"), index("a-secret-1"), index("a-2")]),
        ),
        (
            database,
            read(json!({"read": "shards", "pattern": "a-*"})),
            json!([shard("a-1"), shard("a-secret-1")]),
        ),
        (
            database,
            read(json!({"read": "aliases", "pattern": "a-*"})),
            json!([
                alias("a-x", "a-1"),
                alias("a-y", "a-secret-1"),
                alias("a-secret-z", "a-1")
            ]),
        ),
        (
            database,
            read(json!({"read": "templates", "kind": "legacy", "pattern": "a-*"})),
            json!([template("a-t"), template("a-secret-t")]),
        ),
        (
            database,
            read(json!({"read": "templates", "kind": "component", "pattern": "a-*"})),
            Value::from(vec![template("a-t"); 2_001]),
        ),
        (
            database,
            read(json!({"read": "mappings", "index": "a-1"})),
            json!({"properties": {"z": {}, "a": {}}}),
        ),
        (
            database,
            read(json!({"read": "mappings", "index": "a-big"})),
            json!({"x": "y".repeat(100_000)}),
        ),
        (
            database,
            read(json!({"read": "index-settings", "index": "a-1"})),
            json!("{ \"index.number_of_replicas\": \"1\" }"),
        ),
        (
            database,
            read(json!({"read": "count", "index": "a-1", "query": null})),
            json!(5),
        ),
        (
            database,
            read(json!({"read": "search", "what": {
                "indices": ["a-1"], "query": "{}", "sort": null, "size": 1, "after": null,
            }})),
            json!([document]),
        ),
        (
            database,
            read(json!({"read": "document", "index": "a-1", "id": "1"})),
            document,
        ),
        (
            database,
            read(json!({"read": "tasks", "actions": ["*"]})),
            json!([{
                "id": "n:1", "node": "n", "action": "indices:data/write/reindex",
                "description": "d", "opaque_id": "o", "running_ms": 7, "from": ["a"], "to": "b",
            }]),
        ),
        (
            database,
            read(json!({"read": "cluster-settings", "scope": "persistent"})),
            json!({"cluster.routing.allocation.enable": "all"}),
        ),
        (
            database,
            read(json!({"read": "raw-read", "path": "/_cat/a", "query": [], "body": "{}"})),
            json!({"status": 200, "body": "ok"}),
        ),
        (backups, Read::RepositoryName, json!("nightly")),
        (backups, Read::SnapshotVerified, json!(["n1"])),
        (backups, Read::SnapshotList, json!([taken])),
        (backups, Read::SnapshotRunning, json!([])),
        (
            config,
            read(json!({"read": "entries", "dir": []})),
            json!([{"name": "a.yaml", "kind": "file", "bytes": 3, "modified_ms": 4}]),
        ),
        (
            config,
            read(
                json!({"read": "file-read", "dir": [], "name": "a.yaml", "offset": 0, "length": 100}),
            ),
            json!({"text": "abc"}),
        ),
        (
            config,
            read(
                json!({"read": "file-bytes", "dir": [], "name": "a.yaml", "offset": 0, "length": 100}),
            ),
            json!({"hex": "50ff"}),
        ),
        (
            config,
            read(json!({"read": "file-sha256", "dir": [], "name": "a.yaml"})),
            json!("0".repeat(64)),
        ),
        (
            config,
            read(json!({"read": "file-sha256", "dir": ["sub"], "name": "b.yaml"})),
            json!("1".repeat(64)),
        ),
        (
            config,
            read(json!({"read": "space", "dir": []})),
            json!({"total_bytes": 9, "free_bytes": 8}),
        ),
        (
            config,
            read(json!({"read": "space", "dir": ["sub"]})),
            json!({"total_bytes": 9, "free_bytes": 8}),
        ),
        (
            app,
            Read::ServiceStatus,
            json!({"state": {"is": "running-not-ready", "why": "slow"}, "pids": [7], "since_ms": 1}),
        ),
        (app, Read::ServiceTasks, json!(["migrate"])),
        (
            app,
            read(json!({"read": "service-log", "lines": 10})),
            json!(["l1"]),
        ),
        (
            app,
            read(json!({"read": "service-ask", "name": "version"})),
            json!({"exit_code": 0, "stdout": "21", "stderr": ""}),
        ),
        (app, Read::ServiceLabels, json!([])),
        (
            app,
            Read::ServiceArtifact,
            json!({"current": "7.22", "available": ["7.22", "7.23"]}),
        ),
        (
            "service.n1",
            Read::ServiceLabels,
            json!([["pool", "rest"], ["server", "be/n1"]]),
        ),
        (
            "endpoint.api",
            read(json!({"read": "endpoint-answer", "path": "/a-1", "query": []})),
            json!({"status": 404, "content_type": "text/plain", "body": "none"}),
        ),
    ]
}

/// On `a-*` except `a-secret-*`, nothing on `b-*`; and what a plan needs.
pub(crate) fn grant() -> Grant {
    let verb = |verb: &str, scope: &[&str]| GrantedVerb {
        verb: Verb::new(verb).unwrap(),
        scope: scope
            .iter()
            .map(|text| Scope::new(*text).unwrap())
            .collect(),
        except: if scope.contains(&"a-*") {
            vec![Scope::new("a-secret-*").unwrap()]
        } else {
            vec![]
        },
        at_most: None,
    };
    let on = |name: &str, verbs: Vec<GrantedVerb>| GrantedBinding {
        binding: binding(name),
        identity: "u".into(),
        verbs,
    };
    Grant {
        plugin: "hostile".into(),
        digest: Digest::of(b"guest"),
        site: "test".into(),
        options: BTreeMap::new(),
        granted_by: "a test".into(),
        granted_at: "2026-01-01T00:00:00Z".into(),
        bindings: vec![
            on(
                "cluster.database",
                vec![
                    verb("cluster.observe", &[]),
                    verb("cluster.read", &["a-*"]),
                    verb("cluster.count", &["a-*"]),
                    verb("cluster.read-documents", &["a-*"]),
                    verb("cluster.raw-read", &["/_cat/*"]),
                    verb("cluster.create-index", &["a-*"]),
                    verb("cluster.delete-index", &["a-*"]),
                    verb("cluster.put-settings", &["a-*"]),
                    verb("cluster.update-aliases", &["a-*"]),
                    verb("cluster.create-document", &["a-*"]),
                    verb("cluster.set-cluster-setting", &["cluster.routing.*"]),
                    verb("cluster.cancel-task", &[]),
                ],
            ),
            on(
                "snapshot.backups",
                vec![
                    verb("snapshot.read", &[]),
                    verb("snapshot.take", &["a-*"]),
                    verb("snapshot.prove", &[]),
                ],
            ),
            on(
                "disk.config",
                vec![
                    verb("disk.read", &["*"]),
                    verb("disk.read-bytes", &["a*"]),
                    verb("disk.keep", &["*"]),
                    verb("disk.edit", &["*"]),
                    verb("disk.remove", &["*"]),
                ],
            ),
            on(
                "service.app",
                vec![
                    verb("service.read", &[]),
                    verb("service.ask", &["*"]),
                    verb("service.stop", &[]),
                ],
            ),
            on("service.n1", vec![verb("service.read", &[])]),
            on("endpoint.api", vec![verb("endpoint.read", &["/a-*"])]),
            // Granted without a verb, which is as good as not granted.
            on("cluster.empty", vec![]),
            // Granted, and not in the site.
            on("cluster.gone", vec![verb("cluster.observe", &[])]),
        ],
    }
}

/// Hears what the host hears.
#[derive(Default)]
pub(crate) struct Ear {
    pub(crate) heard: Mutex<Vec<(Level, String)>>,
}

impl LogSink for Ear {
    fn line(&self, level: Level, text: &str) {
        self.heard.lock().unwrap().push((level, text.to_owned()));
    }
}

/// A call with these options.
pub(crate) fn call(options: &[(&str, &str)]) -> Call {
    call_on(options, Arc::new(Table::new()))
}

pub(crate) fn call_on(options: &[(&str, &str)], reader: Arc<dyn ReadSource>) -> Call {
    Call {
        site: SiteView {
            name: "test".into(),
            options: options
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            bindings: [
                "cluster.database",
                "cluster.other",
                "cluster.empty",
                "snapshot.backups",
                "disk.config",
                "service.app",
                "service.n1",
                // A node that is there and not granted.
                "service.n2",
                "endpoint.api",
            ]
            .map(|name| (binding(name), format!("product at {name}")))
            .into(),
            grant: grant(),
        },
        run: RunView::none(Moment::Asked),
        target: Target {
            from: Some("1.0".into()),
            to: "2.0".into(),
        },
        now_ms: NOW_MS,
        reader,
        log: Arc::new(Ear::default()),
    }
}

pub(crate) type Inspected = Called<Result<Inventory, ReadError>>;

/// What the guest saw, by name.
pub(crate) fn seen(called: &Inspected) -> BTreeMap<String, String> {
    called
        .value
        .as_ref()
        .unwrap()
        .facts
        .iter()
        .map(|fact| {
            let text = fact.value.value().as_str().unwrap().to_owned();
            (fact.name.clone(), text)
        })
        .collect()
}

/// Inspects with these options, under the limits by default.
pub(crate) async fn inspect(options: &[(&str, &str)]) -> Inspected {
    plugin().inspect(&call(options)).await.unwrap()
}

/// The limit that a fault is about.
pub(crate) fn limit(fault: &PluginFault) -> Option<Limit> {
    match &*fault.what {
        liftlock_sandbox::FaultKind::Limit(hit) => Some(hit.limit),
        _ => None,
    }
}

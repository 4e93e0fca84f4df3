//! What both sites are made of: collections in a cluster, Kuzzle with its configuration, and how all of it is opened.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use anyhow::bail;
use liftlock_cluster::Cluster;
use liftlock_cluster::ClusterConfig;
use liftlock_cluster::Credentials;
use liftlock_cluster::Deadlines;
use liftlock_disk::Directory;
use liftlock_disk::DiskConfig;
use liftlock_endpoint::Endpoint;
use liftlock_endpoint::EndpointConfig;
use liftlock_gate::Bindings;
use liftlock_snapshot::Repository;
use liftlock_snapshot::SnapshotConfig;
use liftlock_testkit::SimCluster;
use liftlock_types::Binding;
use liftlock_types::Capability;
use liftlock_types::Change;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use super::machines::CONFIGURATION;
use super::machines::KUZZLE;
use super::machines::Machines;
use super::ways::FROM;
use super::ways::TO;
use crate::rolling::bench::Bench;
use crate::rolling::node::Machine;
use crate::rolling::node::NodeService;

/// The folder that `fs` repositories of the simulated clusters lie in. Nothing is ever written there.
pub const REPOSITORIES: &str = "/simulated-repositories";

/// The repository that is bound.
pub const REPOSITORY: &str = "backups";

/// Kuzzle's configuration, with a comment as operators leave some.
pub const TEXT: &str = "{\n  // storage\n  \"services\": {\"storageEngine\": {\n    \"client\": {\"node\": \"http://es7:9200\"},\n    \
                        \"majorVersion\": \"7\"\n  }}\n}\n";

/// Collections: the index, and how many copies beside its primary where there are nodes for them.
pub const COLLECTIONS: [(&str, u32); 3] = [
    ("&nyc-open-data.yellow-taxi", 1),
    ("&nyc-open-data.green-taxi", 2),
    ("%kuzzle.users", 1),
];

/// Documents of each.
const DOCUMENTS: usize = 3;

/// How long one request may take. Nothing of these targets takes long, but for a busy machine.
const DEADLINES: Deadlines = Deadlines {
    connect_ms: 2_000,
    read_ms: 5_000,
    change_ms: 5_000,
};

/// Between two processes of a run, by the clock of the clusters: whoever resumes takes longer than a cluster waits for a
/// node that left.
pub const RESUMED_AFTER_MS: i64 = 90_000;

/// What names of Liftlock's own things begin with.
pub const OURS: &str = "liftlock";

/// Looks at a service that starts, until it has.
const LOOKS_MAX: usize = 10;

/// Where the store of the snapshots lies.
pub fn location() -> String {
    format!("{REPOSITORIES}/{REPOSITORY}")
}

/// What simulated targets answer on.
pub fn server() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

/// A folder with Kuzzle's configuration in it.
pub fn files(home: &Path) -> anyhow::Result<PathBuf> {
    let files = home.join("kuzzle");
    fs::create_dir(&files)?;
    fs::write(files.join(CONFIGURATION), TEXT)?;
    Ok(files)
}

fn binding(text: &str) -> anyhow::Result<Binding> {
    Binding::new(text).map_err(|error| anyhow!(error.to_string()))
}

/// Opens the targets of a site, one after another.
pub struct Opening<'a> {
    /// Where kept copies go.
    pub kept: &'a Path,
    /// What was opened.
    pub all: Bindings,
}

impl<'a> Opening<'a> {
    /// Of nothing yet.
    pub fn new(kept: &'a Path) -> Self {
        let all = Bindings::new();
        Self { kept, all }
    }

    fn add(&mut self, binding: Binding, capability: impl Capability + 'static) {
        self.all.insert(binding, Arc::new(capability));
    }

    /// A cluster, and its repository.
    pub fn cluster(&mut self, name: &str, urls: &[String], repository: &str) -> anyhow::Result<()> {
        let own = binding(name)?;
        let mut config = ClusterConfig::of_node("");
        config.nodes = urls.to_vec();
        config.deadlines = DEADLINES;
        let cluster = Arc::new(Cluster::open(own.clone(), &config, &Credentials::None)?);
        let backups = binding(repository)?;
        let config = SnapshotConfig {
            cluster: own.clone(),
            repository: REPOSITORY.into(),
        };
        let repository = Repository::open(backups.clone(), &config, cluster.clone(), self.kept)?;
        self.add(backups, repository);
        self.all.insert(own, cluster);
        Ok(())
    }

    /// Kuzzle's configuration, all services, and what Kuzzle answers at `api`.
    pub fn kuzzle(&mut self, machines: &Machines, api: &str) -> anyhow::Result<()> {
        let own = binding("disk.kuzzle")?;
        let directory =
            Directory::open(own.clone(), &DiskConfig::new(machines.files()), self.kept)?;
        Directory::introduce([&directory].into_iter());
        self.add(own, directory);
        for name in machines.names() {
            let own = binding(&format!("service.{name}"))?;
            let available = if name == KUZZLE {
                Vec::new()
            } else {
                vec![FROM.to_owned(), TO.to_owned()]
            };
            let service = NodeService {
                binding: own.clone(),
                machine: machines.of(&name),
                name,
                available,
            };
            self.add(own, service);
        }
        let own = binding("endpoint.kuzzle")?;
        let config = EndpointConfig {
            url: api.to_owned(),
            auth: liftlock_endpoint::Auth::None,
            ca: None,
            link_local: false,
            deadlines: liftlock_endpoint::Deadlines {
                connect_ms: DEADLINES.connect_ms,
                read_ms: DEADLINES.read_ms,
                change_ms: DEADLINES.change_ms,
            },
        };
        let api = Endpoint::open(own.clone(), &config, &liftlock_endpoint::Credentials::None)?;
        self.add(own, api);
        Ok(())
    }
}

/// Asks a cluster for a change that it must carry out.
pub fn put(sim: &SimCluster, path: &str, body: &Value) -> anyhow::Result<()> {
    let (status, answer) = sim.call("PUT", path, &body.to_string());
    if status >= 300 {
        bail!("`PUT {path}` was answered with {status}: {answer}");
    }
    Ok(())
}

/// An index's name in a path.
pub fn in_path(index: &str) -> String {
    index.replace('%', "%25").replace('&', "%26")
}

/// Fills a cluster with collections.
pub fn fill(sim: &SimCluster) -> anyhow::Result<()> {
    for (index, replicas) in COLLECTIONS {
        let path = in_path(index);
        let body = json!({
            "settings": {"number_of_replicas": replicas},
            "mappings": {"dynamic": "false", "properties": {"name": {"type": "keyword"}}},
            "aliases": {format!("@{index}"): {}},
        });
        put(sim, &format!("/{path}"), &body)?;
        for number in 0..DOCUMENTS {
            let path = format!("/{path}/_doc/{number}?refresh=true");
            put(sim, &path, &json!({"name": format!("{index} {number}")}))?;
        }
    }
    Ok(())
}

/// The texts of all kept copies, sorted.
pub fn kept_texts(bench: &Bench) -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![bench.kept()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                texts.push(text);
            }
        }
    }
    texts.sort();
    texts.dedup();
    texts
}

/// Things of Liftlock in a cluster.
pub fn own_things(sim: &SimCluster) -> Vec<String> {
    let state = sim.state_json();
    let of = |things: &Value| -> Vec<String> {
        let names = things.as_object().into_iter().flatten();
        names
            .map(|(name, _)| name.clone())
            .filter(|name| name.contains(OURS))
            .collect()
    };
    let templates = of(&state["templates"]["component"]);
    let indices = of(&state["indices"]);
    templates.into_iter().chain(indices).collect()
}

/// What of Liftlock's things a report names is not looked at in a cluster's state.
pub fn without_named(cluster: &mut Value, is_named: &dyn Fn(&str) -> bool) {
    for of in ["/indices", "/templates/component"] {
        if let Some(all) = cluster.pointer_mut(of).and_then(Value::as_object_mut) {
            all.retain(|name, _| !((name.contains(OURS) || name == ".tasks") && is_named(name)));
        }
    }
}

/// A service of which a report says that it stays stopped counts as running: what starts it is told.
pub fn started_as_told(seen: &mut Value, report: &[String]) {
    for (name, runs) in seen["running"].as_object_mut().into_iter().flatten() {
        let stays = format!("step {name}-stop (");
        let is_told = |line: &String| line.starts_with(&stays) && line.contains("stays:");
        if report.iter().any(is_told) {
            *runs = true.into();
        }
    }
}

/// Services that are stopped, and that no report names.
pub fn stopped_and_not_named(machines: &Machines, report: &str) -> Vec<String> {
    let names = machines.names().into_iter();
    let is_named = |name: &str| {
        report.contains(&format!("{name}-stop")) || report.contains(&format!("{name}-start"))
    };
    names
        .filter(|name| machines.of(name).runs().is_none() && !is_named(name))
        .map(|name| format!("service {name} stopped"))
        .collect()
}

/// A person starts a service, and sees that it has.
pub fn start_by_hand(bench: &Bench, machines: &Machines, name: &str) {
    let service = machines.of(name);
    bench.server.block_on(service.start(""));
    for _ in 0..LOOKS_MAX {
        if service.look().is_some_and(|node| node.is_ready()) {
            break;
        }
    }
}

/// What is asked of a service manager or a file system on the same machine is done when it is read; a request over a
/// network can land when nobody expects it.
pub fn can_land_late(change: &Change) -> bool {
    !matches!(
        change,
        Change::StopService {}
            | Change::StartService {}
            | Change::SwitchArtifact { .. }
            | Change::KeepFile { .. }
            | Change::EditFile { .. }
    )
}

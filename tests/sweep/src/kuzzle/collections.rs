//! The site: a cluster with collections, the services that are its nodes, Kuzzle; put back for each position.

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
use liftlock_journal::Row;
use liftlock_snapshot::Repository;
use liftlock_snapshot::SnapshotConfig;
use liftlock_testkit::Product;
use liftlock_testkit::SavedState;
use liftlock_testkit::SimCluster;
use liftlock_types::Binding;
use liftlock_types::Capability;
use serde_json::Value;
use serde_json::json;

use super::api;
use super::machines::CONFIGURATION;
use super::machines::KUZZLE;
use super::machines::Machines;
use super::machines::NEIGHBOUR;
use super::machines::State;
use super::truth;
use super::ways::FROM;
use super::ways::TO;
use super::ways::Way;
use crate::guest::Guest;
use crate::ledger::Ledger;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::rolling::bench::Bench;
use crate::rolling::node::NodeService;
use crate::site;
use crate::site::HERE;
use crate::site::RUN;
use crate::site::Round;
use crate::site::Site;

/// The folder that `fs` repositories of the simulated cluster lie in. Nothing is ever written there.
const REPOSITORIES: &str = "/simulated-repositories";

/// The repository that is bound.
pub const REPOSITORY: &str = "backups";

/// How many nodes: with fewer an election or a copy would lack while one is away.
const NODES: usize = 3;

/// The setting that a run borrows, and the operator's own value of it.
pub const ALLOCATION: (&str, &str) = ("cluster.routing.allocation.enable", "all");

/// Kuzzle's configuration, with a comment as operators leave some.
const TEXT: &str =
    "{\n  // storage\n  \"services\": {\"storageEngine\": {\"majorVersion\": \"7\"}}\n}\n";

/// Collections: the index, and how many copies beside its primary.
const COLLECTIONS: [(&str, u32); 3] = [
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

/// Between two processes of a run, by the cluster's clock.
const RESUMED_AFTER_MS: i64 = 90_000;

/// A simulated cluster with Kuzzle on it.
pub struct Collections {
    pub(super) bench: Bench,
    /// The cluster.
    pub sim: Arc<SimCluster>,
    /// The services.
    pub(super) machines: Machines,
    files: PathBuf,
    base: SavedState,
    base_services: State,
}

fn binding(text: &str) -> anyhow::Result<Binding> {
    Binding::new(text).map_err(|error| anyhow!(error.to_string()))
}

/// Where the targets are, for whoever opens them.
struct Places {
    urls: Vec<String>,
    machines: Machines,
    files: PathBuf,
    api: String,
}

fn open(places: &Places, kept: &Path) -> anyhow::Result<Bindings> {
    let mut all: Vec<(Binding, Arc<dyn Capability>)> = Vec::new();
    let storage = binding("cluster.storage")?;
    let mut config = ClusterConfig::of_node("");
    config.nodes.clone_from(&places.urls);
    config.deadlines = DEADLINES;
    let cluster = Arc::new(Cluster::open(storage.clone(), &config, &Credentials::None)?);
    let backups = binding("snapshot.backups")?;
    let config = SnapshotConfig {
        cluster: storage.clone(),
        repository: REPOSITORY.into(),
    };
    let repository = Repository::open(backups.clone(), &config, cluster.clone(), kept)?;
    all.push((backups, Arc::new(repository)));
    all.push((storage, cluster));
    let files = binding("disk.kuzzle")?;
    let directory = Directory::open(files.clone(), &DiskConfig::new(&places.files), kept)?;
    Directory::introduce([&directory].into_iter());
    all.push((files, Arc::new(directory)));
    for name in places.machines.names() {
        let own = binding(&format!("service.{name}"))?;
        let available = if name == KUZZLE {
            Vec::new()
        } else {
            vec![FROM.to_owned(), TO.to_owned()]
        };
        let service = NodeService {
            binding: own.clone(),
            machine: places.machines.of(&name),
            name,
            available,
        };
        all.push((own, Arc::new(service)));
    }
    let own = binding("endpoint.kuzzle")?;
    let config = EndpointConfig {
        url: places.api.clone(),
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
    all.push((own, Arc::new(api)));
    Ok(all.into_iter().collect())
}

/// Fills a cluster.
fn fill(sim: &SimCluster) -> anyhow::Result<()> {
    let put = |path: String, body: Value| {
        let (status, answer) = sim.call("PUT", &path, &body.to_string());
        if status >= 300 {
            bail!("`PUT {path}` was answered with {status}: {answer}");
        }
        Ok(())
    };
    let (key, value) = ALLOCATION;
    put(
        "/_cluster/settings".into(),
        json!({"persistent": {key: value}}),
    )?;
    let location = format!("{REPOSITORIES}/{REPOSITORY}");
    put(
        format!("/_snapshot/{REPOSITORY}"),
        json!({"type": "fs", "settings": {"location": location}}),
    )?;
    for (index, replicas) in COLLECTIONS {
        let path = index.replace('&', "%26").replace("%k", "%25k");
        put(
            format!("/{path}"),
            json!({
                "settings": {"number_of_replicas": replicas},
                "mappings": {"dynamic": "false", "properties": {"name": {"type": "keyword"}}},
                "aliases": {format!("@{index}"): {}},
            }),
        )?;
        for number in 0..DOCUMENTS {
            put(
                format!("/{path}/_doc/{number}?refresh=true"),
                json!({"name": format!("{index} {number}")}),
            )?;
        }
    }
    put(
        format!("/{NEIGHBOUR}"),
        json!({"settings": {"number_of_replicas": 1}}),
    )
}

impl Collections {
    /// Builds the site of a way, plans it, and keeps the beginning.
    pub fn build(guest: &Guest, way: &Way) -> anyhow::Result<Self> {
        let server = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let folder = site::folder()?;
        let files = folder.path().join("kuzzle");
        fs::create_dir(&files)?;
        fs::write(files.join(CONFIGURATION), TEXT)?;
        let sim = server.block_on(async {
            let mut builder = SimCluster::builder(Product::Elasticsearch8)
                .nodes(NODES)
                .path_repo(&[REPOSITORIES])
                .node_setting("xpack.security.enabled", "false");
            for node in 0..NODES {
                builder = builder.node_version(node, FROM);
            }
            builder.start().await
        })?;
        fill(&sim)?;
        let sim = Arc::new(sim);
        let machines = Machines::new(sim.clone(), files.clone());
        let places = Places {
            urls: sim.urls(),
            machines: machines.clone(),
            files: files.clone(),
            api: server.block_on(api::serve(machines.clone(), sim.clone()))?,
        };
        let (there, seen) = (sim.clone(), machines.clone());
        let bench = Bench::new(
            server,
            guest,
            way.wish(),
            folder,
            Arc::new(move |kept| open(&places, kept)),
            Arc::new(move |step, change| truth::holds(&there, &seen, step, change)),
        )?;
        Ok(Self {
            bench,
            base: sim.snapshot_state(),
            base_services: machines.save(),
            sim,
            machines,
            files,
        })
    }

    /// What somebody else does to Kuzzle's configuration.
    pub(super) fn append_to_configuration(&self, text: &str) -> anyhow::Result<()> {
        let all = self.machines.configuration() + text;
        Ok(fs::write(self.files.join(CONFIGURATION), all)?)
    }

    /// The texts of all kept copies, sorted.
    pub(super) fn kept_texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let mut folders = vec![self.bench.kept()];
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
}

impl Site for Collections {
    type Reference = crate::rolling::reference::Reference;

    fn fresh(&mut self) -> anyhow::Result<Round> {
        for node in 0..NODES {
            self.bench.server.block_on(self.sim.start_node(node))?;
        }
        self.sim.restore_state(&self.base);
        self.sim.clear_records();
        self.machines.restore(&self.base_services);
        fs::write(self.files.join(CONFIGURATION), TEXT)?;
        self.bench.fresh()
    }

    fn live(&self, round: &mut Round, work: Work, orders: Orders) -> anyhow::Result<Life> {
        let of = (RUN, HERE, &self.bench.script);
        self.bench.live_as(round, of, work, orders)
    }

    fn rows(&self, round: &Round) -> Vec<Row> {
        self.bench.rows(round, RUN)
    }

    fn repair(&self) -> anyhow::Result<()> {
        self.bench.faults.mend();
        self.machines.api_away(false);
        // Whoever resumes takes longer than a cluster waits for a node that left.
        self.sim.advance_ms(RESUMED_AFTER_MS);
        Ok(())
    }

    fn requests(&self) -> usize {
        self.sim.records().len() + self.machines.asked() + self.bench.books().len()
    }

    fn books(&self) -> &Ledger {
        self.bench.books()
    }
}

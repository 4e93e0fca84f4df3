//! A target with everything in it that a guest must not reach, and a grant for the rest.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use liftlock_cluster::{Cluster, ClusterConfig, Credentials};
use liftlock_database::{Database, DatabaseConfig};
use liftlock_disk::{Directory, DiskConfig};
use liftlock_endpoint::{Endpoint, EndpointConfig};
use liftlock_gate::{Bindings, PlanContext, freeze};
use liftlock_sandbox::{
    Call, Limits, NoLog, Plugin, PluginFault, ReadSource, Refusal, RunView, SiteView,
};
use liftlock_service::{Secrets, Service, ServiceConfig, ServicePlace, SupervisorCommand};
use liftlock_snapshot::{Repository, SnapshotConfig};
use liftlock_testkit::{Product, SimCluster};
use liftlock_traffic::{Balancer, TrafficConfig};
use liftlock_types::{
    Binding, Capability, Digest, Grant, GrantedBinding, GrantedVerb, Moment, Plan, PluginRef,
    Proposal, Read, ReadError, Scope, Target, Verb, rules,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::guest;

/// Stands in everything that no guest may see.
pub const CANARY: &str = "canary-4e71";

/// Names of the neighbour, and what the grant takes away.
const FOREIGN: [&str; 3] = ["b-1", "a-secret", "b-dir"];

/// 2026-01-01T00:00:00Z.
const NOW_MS: u64 = 1_767_225_600_000;

/// The world.
pub struct World {
    /// The cluster.
    pub sim: SimCluster,
    /// The guest under the limits that are on by default.
    pub plugin: Plugin,
    /// Its bytes.
    pub bytes: Vec<u8>,
    bindings: Bindings,
    reader: Arc<dyn ReadSource>,
    folder: TempDir,
    files: BTreeMap<String, Vec<u8>>,
    state: Value,
}

/// Whether a request can leave the cluster other than it was. A refresh, which a count makes, and the check of a
/// repository cannot.
pub fn is_change(method: &str, path: &str) -> bool {
    const ASKS: [&str; 6] = [
        "_search",
        "_count",
        "_refresh",
        "_validate",
        "_verify",
        "explain",
    ];
    !matches!(method, "GET" | "HEAD") && !path.split('/').any(|part| ASKS.contains(&part))
}

struct Live(Bindings);

#[async_trait]
impl ReadSource for Live {
    async fn read(&self, binding: &Binding, read: &Read) -> Result<Value, ReadError> {
        match self.0.get(binding) {
            Some(capability) => capability.read(read).await,
            None => Err(ReadError::Invalid(format!("no binding `{binding}`"))),
        }
    }
}

/// What became of a plan.
#[derive(Debug)]
pub enum Planned {
    /// The host took it.
    Taken(Box<Plan>),
    /// It did not; why.
    Refused(String),
}

impl World {
    /// Starts it, with the guest built and loaded.
    pub async fn start() -> anyhow::Result<Self> {
        let bytes = guest::bytes()?;
        let plugin = guest::load(&bytes, Limits::default())?;
        let sim = SimCluster::builder(Product::OpenSearch2)
            .seed(66)
            .path_repo(&["/simulated-repositories"])
            .start()
            .await?;
        fill(&sim)?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        fill_files(&folder)?;
        let bindings = open(&sim, &folder).await?;
        sim.clear_records();
        let mut world = Self {
            state: sim.state_json(),
            sim,
            plugin,
            bytes,
            reader: Arc::new(Live(bindings.clone())),
            bindings,
            folder,
            files: BTreeMap::new(),
        };
        world.files = world.read_files()?;
        Ok(world)
    }

    /// A call with these options under this grant.
    pub fn call(&self, options: &[(&str, &str)], grant: Grant) -> Call {
        let owned = options
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        self.call_with(owned.collect(), grant)
    }

    /// The same with options that are made.
    pub fn call_with(&self, options: BTreeMap<String, String>, grant: Grant) -> Call {
        Call {
            site: SiteView {
                name: "test".into(),
                options,
                bindings: self
                    .bindings
                    .keys()
                    .map(|binding| {
                        // What a database says of itself tells whose SQL is meant.
                        let product = match binding.capability() {
                            "database" => "PostgreSQL",
                            _ => "product",
                        };
                        (binding.clone(), format!("{product} at {binding}"))
                    })
                    .collect(),
                grant,
            },
            run: RunView::none(Moment::Asked),
            target: Target {
                from: Some("1.0".into()),
                to: "2.0".into(),
            },
            now_ms: NOW_MS,
            reader: self.reader.clone(),
            log: Arc::new(NoLog),
        }
    }

    /// Plans, and freezes what comes out, as the host does.
    pub async fn plan(&self, plugin: &Plugin, call: &Call) -> Result<Planned, PluginFault> {
        Ok(match plugin.plan(call).await?.value {
            Ok(proposal) => self.freeze(proposal, &call.site.grant).await,
            Err(Refusal::Failed(error)) => Planned::Refused(error.to_string()),
            Err(refusal) => Planned::Refused(refusal.to_string()),
        })
    }

    /// Freezes a proposal.
    pub async fn freeze(&self, proposal: Proposal, grant: &Grant) -> Planned {
        let context = PlanContext {
            site: "test".into(),
            product: "guest".into(),
            plugin: PluginRef {
                name: "hostile".into(),
                version: "0.1.0".into(),
                digest: Digest::of(&self.bytes),
            },
            from: Some("1.0".into()),
            to: "2.0".into(),
            options: BTreeMap::new(),
            findings: Vec::new(),
        };
        match freeze(proposal, context, grant, &self.bindings).await {
            Ok(plan) => Planned::Taken(Box::new(plan)),
            Err(error) => {
                let mut text = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    text.push_str(&format!(": {cause}"));
                    source = cause.source();
                }
                Planned::Refused(text)
            }
        }
    }

    /// An error if anything was harmed since the last look, or read that must not be.
    pub fn unharmed(&self) -> anyhow::Result<()> {
        let records = self.sim.records();
        self.sim.clear_records();
        for record in &records {
            ensure!(
                !is_change(&record.method, &record.path),
                "a change reached the target: {}",
                record.line()
            );
            let said = format!("{} {} {}", record.path, record.query, record.body);
            for foreign in FOREIGN {
                ensure!(
                    !said.contains(foreign),
                    "the target was asked for `{foreign}`: {said}"
                );
            }
        }
        ensure!(
            self.sim.state_json() == self.state,
            "the cluster's state differs"
        );
        ensure!(self.read_files()? == self.files, "a file differs");
        Ok(())
    }

    /// The host's honest work goes on.
    pub async fn works(&self) -> anyhow::Result<()> {
        let call = self.call(&[("do", "honest-change")], grant());
        match self.plan(&self.plugin, &call).await? {
            Planned::Taken(plan) => {
                ensure!(plan.steps.len() == 1, "an honest plan has other steps")
            }
            Planned::Refused(why) => anyhow::bail!("an honest plan is refused: {why}"),
        }
        Ok(())
    }

    /// Both.
    pub async fn check(&self) -> anyhow::Result<()> {
        self.works().await?;
        self.unharmed()
    }

    fn read_files(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    found.insert(path.display().to_string(), fs::read(&path)?);
                } else {
                    found.insert(path.display().to_string(), Vec::new());
                }
            }
        }
        Ok(found)
    }
}

fn fill(sim: &SimCluster) -> anyhow::Result<()> {
    let canary = format!("{{\"p\":\"{CANARY}\"}}");
    for index in ["a-1", "a-2", "a-secret-1", "b-1"] {
        let document = if index.starts_with("a-s") || index.starts_with('b') {
            canary.as_str()
        } else {
            "{\"x\":1}"
        };
        for (method, path, body) in [
            ("PUT", format!("/{index}"), "{}"),
            ("PUT", format!("/{index}/_doc/1?refresh=true"), document),
        ] {
            let (status, answer) = sim.call(method, &path, body);
            ensure!(status < 300, "{method} {path}: {status} {answer}");
        }
    }
    let fields: Vec<String> = (0..200)
        .map(|n| format!("\"f{n}\":{{\"type\":\"keyword\"}}"))
        .collect();
    let mapping = format!(
        "{{\"mappings\":{{\"properties\":{{{}}}}}}}",
        fields.join(",")
    );
    let (status, answer) = sim.call("PUT", "/a-big", &mapping);
    ensure!(status < 300, "the large index: {status} {answer}");
    let settings =
        "{\"type\":\"fs\",\"settings\":{\"location\":\"/simulated-repositories/nightly\"}}";
    let (status, answer) = sim.call("PUT", "/_snapshot/nightly", settings);
    ensure!(status < 300, "the repository: {status} {answer}");
    Ok(())
}

fn fill_files(folder: &TempDir) -> anyhow::Result<()> {
    let config = folder.path().join("config");
    for dir in [
        "kept",
        "processes",
        "outside",
        "config/a-dir/a-sub",
        "config/a-secret-dir",
        "config/b-dir",
        "app/versions/a-1",
    ] {
        fs::create_dir_all(folder.path().join(dir))?;
    }
    for (file, text) in [
        ("a-dir/a-x.yaml", "x: 1\n"),
        ("a-secret-dir/a-x.yaml", CANARY),
        ("b-dir/a-x.yaml", CANARY),
        ("b.yaml", CANARY),
        ("../outside/a-x.yaml", CANARY),
    ] {
        fs::write(config.join(file), text)?;
    }
    std::os::unix::fs::symlink("versions/a-1", folder.path().join("app/current"))?;
    for link in ["a-link", "b-link"] {
        std::os::unix::fs::symlink(folder.path().join("outside"), config.join(link))?;
    }
    Ok(())
}

async fn open(sim: &SimCluster, folder: &TempDir) -> anyhow::Result<Bindings> {
    let kept = folder.path().join("kept");
    let database = binding("cluster.database")?;
    let address = ClusterConfig::of_node(sim.url());
    let cluster = Arc::new(Cluster::open(
        database.clone(),
        &address,
        &Credentials::None,
    )?);
    let backups = binding("snapshot.backups")?;
    let repository = SnapshotConfig {
        cluster: database.clone(),
        repository: "nightly".into(),
    };
    let repository = Repository::open(backups.clone(), &repository, cluster.clone(), &kept)?;
    let files = binding("disk.config")?;
    let directory = Directory::open(
        files.clone(),
        &DiskConfig::new(folder.path().join("config")),
        &kept,
    )?;
    Directory::introduce([&directory].into_iter());
    // A port that nobody listens on: the service is stopped.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let app = binding("service.app")?;
    let config: ServiceConfig = toml::from_str(&format!(
        "start = [\"true\"]\nport = {port}\nartifact = {{ link = \"app/current\", versions = \"app/versions\" }}\nlog = \"a.log\"\n[tasks.a-task]\ncommand = [\"false\"]\n[asks.a-version]\ncommand = [\"true\"]\n"
    ))?;
    let place = ServicePlace {
        binding: app.clone(),
        base: folder.path().to_owned(),
        processes: folder.path().join("processes"),
        supervisor: SupervisorCommand(vec!["false".into()]),
        secrets: Secrets::default(),
    };
    let service = Service::open(config, place)?;
    // Nobody listens there either: what is refused must be refused before it is asked.
    let front = binding("traffic.front")?;
    let nowhere = TrafficConfig::haproxy_socket(folder.path().join("no.sock"));
    let balancer = Balancer::open(front.clone(), &nowhere, folder.path())?;
    // The cluster's own address, so that whatever is asked of it is on record with everything else.
    let api = binding("endpoint.api")?;
    let config = EndpointConfig::at(sim.url());
    let endpoint = Endpoint::open(api.clone(), &config, &config.auth.with(None))?;
    let engine = binding("database.engine")?;
    // Nobody listens there either: what the policy lets through is told that it is away.
    let config: DatabaseConfig = toml::from_str(&format!(
        "kind = \"postgresql\"\nhost = \"127.0.0.1\"\nport = {port}\ndatabase = \"a\"\nuser = \"a\"\ntls = \"off\"\n"
    ))?;
    let database_of_rows = Database::open(engine.clone(), config, None)?;
    Ok(BTreeMap::from([
        (database, cluster as Arc<dyn Capability>),
        (backups, Arc::new(repository)),
        (files, Arc::new(directory)),
        (app, Arc::new(service)),
        (front, Arc::new(balancer)),
        (api, Arc::new(endpoint)),
        (engine, Arc::new(database_of_rows)),
    ]))
}

/// A binding of the suite.
pub fn binding(text: &str) -> anyhow::Result<Binding> {
    Ok(Binding::new(text)?)
}

/// Every verb there is, on `a-*` except `a-secret-*`.
pub fn grant() -> Grant {
    let mut bindings: BTreeMap<&str, Vec<GrantedVerb>> = BTreeMap::new();
    let reads = rules::READ_VERBS.iter().map(|(verb, _)| *verb);
    for verb in rules::RULES.iter().map(|rule| rule.verb).chain(reads) {
        let binding = match verb.split('.').next() {
            Some("cluster") => "cluster.database",
            Some("snapshot") => "snapshot.backups",
            Some("disk") => "disk.config",
            Some("service") => "service.app",
            Some("traffic") => "traffic.front",
            Some("endpoint") => "endpoint.api",
            Some("database") => "database.engine",
            // A capability that the suite does not know: the policy's cases miss it and say so.
            _ => continue,
        };
        let before = match verb {
            "cluster.raw-read" | "endpoint.read" => "/",
            "endpoint.request" => "POST /",
            "cluster.raw-change" => "PUT /_ingest/pipeline/",
            "cluster.remove-archived-settings" => "archived.",
            _ => "",
        };
        let scope = |text: &str| Scope::new(format!("{before}{text}"));
        let (Ok(verb), Ok(wide), Ok(taken)) = (Verb::new(verb), scope("a-*"), scope("a-secret-*"))
        else {
            continue;
        };
        bindings.entry(binding).or_default().push(GrantedVerb {
            verb,
            scope: vec![wide],
            except: vec![taken],
            at_most: None,
        });
    }
    Grant {
        plugin: "hostile".into(),
        digest: Digest::of(b"guest"),
        site: "test".into(),
        options: BTreeMap::new(),
        granted_by: "the suite".into(),
        granted_at: "2026-01-01T00:00:00Z".into(),
        bindings: bindings
            .into_iter()
            .filter_map(|(name, verbs)| {
                Some(GrantedBinding {
                    binding: Binding::new(name).ok()?,
                    identity: "u".into(),
                    verbs,
                })
            })
            .collect(),
    }
}

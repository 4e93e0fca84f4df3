//! The site: nodes, balancer and database, and everything that runs of it stand on; put back for each position.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use liftlock_database::Database;
use liftlock_database::DatabaseConfig;
use liftlock_database::Tls;
use liftlock_disk::Directory;
use liftlock_disk::DiskConfig;
use liftlock_endpoint::Credentials;
use liftlock_endpoint::Deadlines;
use liftlock_endpoint::Endpoint;
use liftlock_endpoint::EndpointConfig;
use liftlock_gate::Bindings;
use liftlock_journal::Row;
use liftlock_lab::DatabaseKind;
use liftlock_lab::Login;
use liftlock_lab::camunda::schema;
use liftlock_traffic::Balancer;
use liftlock_traffic::TrafficConfig;
use liftlock_types::Binding;
use liftlock_types::Capability;
use liftlock_types::UnitName;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::balancer;
use super::faults::Faults;
use super::faults::Faulty;
use super::faults::OnItsWay;
use super::machines::Machines;
use super::machines::State;
use super::node::NodeService;
use super::reference::Reference;
use super::rest;
use super::store::ROUNDS_MAX;
use super::store::Seen;
use super::store::Server;
use super::store::Store;
use super::truth;
use super::ways::Way;
use crate::between::Through;
use crate::guest::Guest;
use crate::image::copy_folder;
use crate::ledger::Ledger;
use crate::life::Ground;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::parts::Assembly;
use crate::parts::assemble;
use crate::script;
use crate::script::Script;
use crate::site;
use crate::site::HERE;
use crate::site::RUN;
use crate::site::Round;
use crate::site::Site;

/// How long one request may take. Nothing of these targets takes long, but for a busy machine.
const DEADLINES: Deadlines = Deadlines {
    connect_ms: 2_000,
    read_ms: 5_000,
    change_ms: 5_000,
};

/// Where the targets are, for whoever opens them.
#[derive(Clone)]
struct Places {
    nodes: Vec<String>,
    artifacts: Vec<String>,
    machines: Machines,
    faults: Faults,
    balancer: String,
    rest: String,
    database: DatabaseConfig,
    password: String,
    scripts: PathBuf,
    kept: PathBuf,
}

/// A simulated site over a real database.
pub struct Engines {
    server: Runtime,
    guest: Guest,
    way: Way,
    places: Places,
    /// Nodes and the servers before them.
    pub machines: Machines,
    /// The database.
    pub store: Store,
    /// Troubles of targets.
    pub faults: Faults,
    /// What is run.
    pub script: Script,
    folder: TempDir,
    base: State,
    base_seen: Seen,
    rounds: u32,
    books: Ledger,
}

fn binding(text: &str) -> anyhow::Result<Binding> {
    Binding::new(text).map_err(|error| anyhow!(error.to_string()))
}

/// All of a site, without anybody who watches.
fn open(places: &Places) -> anyhow::Result<Bindings> {
    fs::create_dir_all(&places.kept)?;
    let mut all: Vec<(Binding, Arc<dyn Capability>)> = Vec::new();
    let engine = binding("database.engine")?;
    let password = SecretString::from(places.password.clone());
    let database = Database::open(engine.clone(), places.database.clone(), Some(password))?;
    all.push((engine, Arc::new(database)));
    let scripts = binding("disk.engine")?;
    let directory = Directory::open(
        scripts.clone(),
        &DiskConfig::new(&places.scripts),
        &places.kept,
    )?;
    Directory::introduce([&directory].into_iter());
    all.push((scripts, Arc::new(directory)));
    let front = binding("traffic.front")?;
    let config = TrafficConfig::haproxy_address(&places.balancer);
    let haproxy = Balancer::open(front.clone(), &config, &places.scripts)?;
    all.push((front, Arc::new(haproxy)));
    for name in &places.nodes {
        let own = binding(&format!("service.{name}"))?;
        let node = NodeService {
            binding: own.clone(),
            name: name.clone(),
            machines: places.machines.clone(),
            available: places.artifacts.clone(),
        };
        all.push((own, Arc::new(node)));
        let own = binding(&format!("endpoint.{name}"))?;
        let config = EndpointConfig {
            url: format!("{}/{name}", places.rest),
            auth: liftlock_endpoint::Auth::None,
            ca: None,
            link_local: false,
            deadlines: DEADLINES,
        };
        let endpoint = Endpoint::open(own.clone(), &config, &Credentials::None)?;
        all.push((own, Arc::new(endpoint)));
    }
    let faulty = all.into_iter().map(|(binding, inner)| {
        let capability = Through(Faulty {
            inner,
            binding: binding.clone(),
            faults: places.faults.clone(),
        });
        (binding, Arc::new(capability) as Arc<dyn Capability>)
    });
    Ok(faulty.collect::<BTreeMap<_, _>>())
}

impl Engines {
    /// Builds the site of a way on a database of its own, plans it, and keeps the beginning.
    pub fn build(guest: &Guest, way: &Way, server: &Server) -> anyhow::Result<Self> {
        let store = server.database(way.from)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let folder = site::folder()?;
        let machines = Machines::new(&way.node_names(), way.from.name());
        let (balancer, rest, scripts) = runtime.block_on(async {
            anyhow::Ok((
                balancer::serve(machines.clone()).await?,
                rest::serve(machines.clone(), store.clone()).await?,
                schema::scripts(way.to).await?.join("upgrade"),
            ))
        })?;
        let address = store.address();
        let database = DatabaseConfig {
            kind: match address.kind() {
                DatabaseKind::PostgreSql => liftlock_database::DatabaseKind::Postgresql,
                DatabaseKind::MariaDb => liftlock_database::DatabaseKind::Mariadb,
            },
            host: "127.0.0.1".into(),
            port: Some(address.port()),
            database: store.name().into(),
            schema: None,
            user: Login::Owner.user().into(),
            password: None,
            tls: Tls::Off,
            ca: None,
            read_ms: 30_000,
        };
        let places = Places {
            nodes: way.node_names(),
            artifacts: [way.from, way.to].map(|it| it.name().to_owned()).into(),
            machines: machines.clone(),
            faults: Faults::default(),
            balancer,
            rest,
            database,
            password: address.password(Login::Owner).reveal().to_owned(),
            scripts,
            kept: folder.path().join("kept"),
        };
        let bindings = open(&places)?;
        let script = runtime.block_on(script::plan(guest, &way.wish(), &bindings))?;
        Ok(Self {
            server: runtime,
            guest: guest.clone(),
            way: *way,
            faults: places.faults.clone(),
            places,
            base: machines.save(),
            base_seen: store.seen()?,
            machines,
            store,
            script,
            folder,
            rounds: 0,
            books: Ledger::default(),
        })
    }

    /// The parts that go back by themselves.
    pub fn units(&self) -> Vec<UnitName> {
        let names = self.way.node_names();
        names
            .iter()
            .filter_map(|name| UnitName::new(name.as_str()).ok())
            .collect()
    }

    /// Plans on the site as it is now.
    pub fn plan_anew(&self) -> anyhow::Result<Script> {
        self.server.block_on(async {
            let bindings = open(&self.places)?;
            script::plan(&self.guest, &self.way.wish(), &bindings).await
        })
    }

    /// Lets a process of another run, of another plan or of another host live.
    pub fn live_as(
        &self,
        round: &mut Round,
        (run, host, script): (&str, &str, &Script),
        work: Work,
        orders: Orders,
    ) -> anyhow::Result<Life> {
        round.lives += 1;
        let places = self.places.clone();
        let parts = assemble(
            Assembly {
                guest: &self.guest,
                script,
                side_by_side: 1,
                ledger: round.ground.ledger.clone(),
                life: round.lives,
                bindings: Box::new(move || open(&places)),
            },
            run,
            host,
        )?;
        Life::begin(&round.ground, round.lives, work, orders, parts)
    }

    /// Lets what is on its way land.
    pub fn land(&self, what: OnItsWay) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let lands = scope.spawn(|| {
                self.server.block_on(async {
                    let bindings = open(&self.places)?;
                    let target = bindings
                        .get(&what.binding)
                        .context("a target that is not there")?;
                    // Nobody hears what comes of it.
                    target.act(&what.change, &what.attempt).await;
                    anyhow::Ok(())
                })
            });
            lands.join().map_err(|_| anyhow!("it panicked"))?
        })
    }

    /// What there is of machines and database, as one value.
    pub fn seen(&self) -> anyhow::Result<Value> {
        let mut seen = self.machines.seen();
        let store = self.store.seen()?;
        seen["own"] = json!(store.own_tables());
        seen["instances"] = json!(store.instances);
        seen["columns"] = flagged(&store.columns);
        seen["indexes"] = flagged(&store.indexes);
        seen["log"] = flagged(&store.log);
        Ok(seen)
    }

    /// Another process's folder with a copy of this one's journal, or without one; the books are shared.
    pub fn elsewhere(
        &mut self,
        round: &Round,
        journal: Option<&std::path::Path>,
    ) -> anyhow::Result<Round> {
        let mut other = self.round(round.ground.ledger.clone());
        other.lives = round.lives + 1;
        if let Some(journal) = journal {
            copy_folder(journal, &other.ground.journal)?;
        }
        Ok(other)
    }

    /// Rows of another run.
    pub fn rows_of(&self, round: &Round, run: &str) -> Vec<Row> {
        site::rows(&self.server, &round.ground.journal, run)
    }

    /// A folder for what the reference keeps.
    pub fn shelf(&self) -> PathBuf {
        self.folder.path().join("shelf")
    }

    fn round(&mut self, ledger: Ledger) -> Round {
        self.rounds += 1;
        self.books = ledger.clone();
        let (machines, store) = (self.machines.clone(), self.store.clone());
        Round {
            ground: Ground {
                // A new one each time: the thread of an ended life closes its files a moment later.
                journal: self.folder.path().join(format!("journal-{}", self.rounds)),
                ledger,
                truth: Arc::new(move |step, change| truth::holds(&machines, &store, step, change)),
            },
            earlier: Arc::default(),
            lives: 0,
        }
    }

    /// Removes what the rounds so far left on the disk.
    pub fn sweep_up(&self) {
        for number in 1..=self.rounds {
            // One that is gone, or that a last thread still holds, goes with the whole folder at the end.
            let _ = fs::remove_dir_all(self.folder.path().join(format!("journal-{number}")));
        }
    }
}

/// As an object, so that a difference names what lacks.
fn flagged(names: &std::collections::BTreeSet<String>) -> Value {
    names
        .iter()
        .map(|name| (name.clone(), Value::Bool(true)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

impl Site for Engines {
    type Reference = Reference;

    fn fresh(&mut self) -> anyhow::Result<Round> {
        self.faults.mend();
        self.faults.take_on_its_way();
        self.machines.restore(&self.base);
        if self.rounds > 0 {
            self.store.reset()?;
            if self.rounds.is_multiple_of(ROUNDS_MAX) {
                self.store.renew()?;
            }
            let seen = self.store.seen()?;
            if seen != self.base_seen {
                anyhow::bail!("the database is not as it was: {seen:?}");
            }
        }
        match fs::remove_dir_all(&self.places.kept) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context("cannot remove the kept copies of the round before");
            }
            _ => {}
        }
        Ok(self.round(Ledger::default()))
    }

    fn live(&self, round: &mut Round, work: Work, orders: Orders) -> anyhow::Result<Life> {
        self.live_as(round, (RUN, HERE, &self.script), work, orders)
    }

    fn rows(&self, round: &Round) -> Vec<Row> {
        self.rows_of(round, RUN)
    }

    fn repair(&self) -> anyhow::Result<()> {
        self.faults.mend();
        self.machines.away(false, false);
        Ok(())
    }

    fn requests(&self) -> usize {
        self.machines.asked() + self.books.len()
    }

    fn books(&self) -> &Ledger {
        &self.books
    }
}

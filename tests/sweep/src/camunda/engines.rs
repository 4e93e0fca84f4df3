//! The site: nodes, balancer and database, and everything that runs of it stand on; put back for each position.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

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

use super::balancer;
use super::machines::EngineNode;
use super::machines::Machines;
use super::machines::State;
use super::rest;
use super::store::ROUNDS_MAX;
use super::store::Seen;
use super::store::Server;
use super::store::Store;
use super::truth;
use super::ways::Way;
use crate::guest::Guest;
use crate::ledger::Ledger;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::rolling::bench::Bench;
use crate::rolling::node::NodeService;
use crate::rolling::reference::Reference;
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
    balancer: String,
    rest: String,
    database: DatabaseConfig,
    password: String,
    scripts: PathBuf,
}

/// A simulated site over a real database.
pub struct Engines {
    pub(super) bench: Bench,
    way: Way,
    /// Nodes and the servers before them.
    pub machines: Machines,
    /// The database.
    pub store: Store,
    base: State,
    base_seen: Seen,
}

fn binding(text: &str) -> anyhow::Result<Binding> {
    Binding::new(text).map_err(|error| anyhow!(error.to_string()))
}

/// All of a site, without anybody who watches.
fn open(places: &Places, kept: &Path) -> anyhow::Result<Bindings> {
    let mut all: Vec<(Binding, Arc<dyn Capability>)> = Vec::new();
    let engine = binding("database.engine")?;
    let password = SecretString::from(places.password.clone());
    let database = Database::open(engine.clone(), places.database.clone(), Some(password))?;
    all.push((engine, Arc::new(database)));
    let scripts = binding("disk.engine")?;
    let directory = Directory::open(scripts.clone(), &DiskConfig::new(&places.scripts), kept)?;
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
            machine: EngineNode {
                machines: places.machines.clone(),
                name: name.clone(),
            },
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
    Ok(all.into_iter().collect())
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
            balancer,
            rest,
            database,
            password: address.password(Login::Owner).reveal().to_owned(),
            scripts,
        };
        let (seen, there) = (machines.clone(), store.clone());
        let bench = Bench::new(
            runtime,
            guest,
            way.wish(),
            folder,
            Arc::new(move |kept| open(&places, kept)),
            Arc::new(move |step, change| truth::holds(&seen, &there, step, change)),
        )?;
        Ok(Self {
            bench,
            way: *way,
            base: machines.save(),
            base_seen: store.seen()?,
            machines,
            store,
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

    /// What there is of machines and database, as one value.
    pub fn look(&self) -> anyhow::Result<Value> {
        let mut seen = self.machines.seen();
        let store = self.store.seen()?;
        seen["own"] = json!(store.own_tables());
        seen["instances"] = json!(store.instances);
        seen["columns"] = flagged(&store.columns);
        seen["indexes"] = flagged(&store.indexes);
        seen["log"] = flagged(&store.log);
        Ok(seen)
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
        self.machines.restore(&self.base);
        let rounds = self.bench.rounds();
        if rounds > 0 {
            self.store.reset()?;
            if rounds.is_multiple_of(ROUNDS_MAX) {
                self.store.renew()?;
            }
            let seen = self.store.seen()?;
            if seen != self.base_seen {
                anyhow::bail!("the database is not as it was: {seen:?}");
            }
        }
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
        self.machines.away(false, false);
        Ok(())
    }

    fn requests(&self) -> usize {
        self.machines.asked() + self.bench.books().len()
    }

    fn books(&self) -> &Ledger {
        self.bench.books()
    }
}

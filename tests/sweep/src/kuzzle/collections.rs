//! The site: a cluster with collections, the services that are its nodes, Kuzzle; put back for each position.

use std::sync::Arc;

use liftlock_journal::Row;
use liftlock_testkit::Product;
use liftlock_testkit::SavedState;
use liftlock_testkit::SimCluster;
use serde_json::json;

use super::api;
use super::ground;
use super::ground::Opening;
use super::ground::REPOSITORIES;
use super::ground::REPOSITORY;
use super::ground::RESUMED_AFTER_MS;
use super::ground::TEXT;
use super::ground::put;
use super::machines::Machines;
use super::machines::NEIGHBOUR;
use super::machines::State;
use super::truth;
use super::ways::FROM;
use super::ways::OLD_ADDRESS;
use super::ways::Way;
use crate::guest::Guest;
use crate::ledger::Ledger;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::rolling::bench::Bench;
use crate::site;
use crate::site::HERE;
use crate::site::RUN;
use crate::site::Round;
use crate::site::Site;

/// How many nodes: with fewer an election or a copy would lack while one is away.
const NODES: usize = 3;

/// The setting that a run borrows, and the operator's own value of it.
pub const ALLOCATION: (&str, &str) = ("cluster.routing.allocation.enable", "all");

/// A simulated cluster with Kuzzle on it.
pub struct Collections {
    pub(super) bench: Bench,
    /// The cluster.
    pub sim: Arc<SimCluster>,
    /// The services.
    pub(super) machines: Machines,
    base: SavedState,
    base_services: State,
}

/// Fills the cluster.
fn fill(sim: &SimCluster) -> anyhow::Result<()> {
    let (key, value) = ALLOCATION;
    put(
        sim,
        "/_cluster/settings",
        &json!({"persistent": {key: value}}),
    )?;
    let store = json!({"type": "fs", "settings": {"location": ground::location()}});
    put(sim, &format!("/_snapshot/{REPOSITORY}"), &store)?;
    ground::fill(sim)?;
    let settings = json!({"settings": {"number_of_replicas": 1}});
    put(sim, &format!("/{NEIGHBOUR}"), &settings)
}

impl Collections {
    /// Builds the site, plans it, and keeps the beginning.
    pub fn build(guest: &Guest) -> anyhow::Result<Self> {
        let server = ground::server()?;
        let folder = site::folder()?;
        let files = ground::files(folder.path())?;
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
        let machines = Machines::new(sim.clone(), NODES, files);
        let storages = vec![(OLD_ADDRESS, sim.clone())];
        let api = server.block_on(api::serve(machines.clone(), storages))?;
        let (urls, opened) = (sim.urls(), machines.clone());
        let (there, seen) = (sim.clone(), machines.clone());
        let bench = Bench::new(
            server,
            guest,
            Way::Rolling.wish(&ground::location()),
            folder,
            Arc::new(move |kept| {
                let mut opening = Opening::new(kept);
                opening.cluster("cluster.storage", &urls, "snapshot.backups")?;
                opening.kuzzle(&opened, &api)?;
                Ok(opening.all)
            }),
            Arc::new(move |step, change| truth::holds(&there, &seen, step, change)),
        )?;
        Ok(Self {
            bench,
            base: sim.snapshot_state(),
            base_services: machines.save(),
            sim,
            machines,
        })
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
        self.machines.configure(TEXT)?;
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

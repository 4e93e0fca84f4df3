//! The site of plan `snapshot`: an old cluster with collections, a new one that shares its store, and Kuzzle, which moves
//! from the one to the other; put back for each position.
//!
//! | module | what |
//! |---|---|
//! | `fleet` | what `rolling` asks of it, and what must be true of it at every end |
//! | `position` | disturbances that only this site has |
//! | `perform` | one of them, from its beginning to its verdict |

mod fleet;
mod perform;
pub mod position;

use std::sync::Arc;

use liftlock_journal::Row;
use liftlock_testkit::Product;
use liftlock_testkit::SavedState;
use liftlock_testkit::SimBuilder;
use liftlock_testkit::SimCluster;
use serde_json::Value;

use super::api;
use super::ground;
use super::ground::Opening;
use super::ground::REPOSITORIES;
use super::ground::RESUMED_AFTER_MS;
use super::ground::TEXT;
use super::machines::Machines;
use super::machines::State;
use super::truth;
use super::ways::FROM;
use super::ways::NEW_ADDRESS;
use super::ways::OLD_ADDRESS;
use super::ways::TO;
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

/// Two simulated clusters, and Kuzzle on the old one.
pub struct Pair {
    bench: Bench,
    /// The old cluster.
    pub old: Arc<SimCluster>,
    /// The new one.
    pub new: Arc<SimCluster>,
    machines: Machines,
    base: [SavedState; 2],
    base_services: State,
    /// Indices of the old cluster at the beginning, with all that the server has of them.
    untouched: Value,
}

fn cluster(version: &str) -> SimBuilder {
    SimCluster::builder(Product::Elasticsearch8)
        .node_version(0, version)
        .path_repo(&[REPOSITORIES])
        .node_setting("xpack.security.enabled", "false")
}

impl Pair {
    /// Builds the site, plans it, and keeps the beginning.
    pub fn build(guest: &Guest) -> anyhow::Result<Self> {
        let server = ground::server()?;
        let folder = site::folder()?;
        let files = ground::files(folder.path())?;
        let old = Arc::new(server.block_on(cluster(FROM).start())?);
        let beside = cluster(TO).seed(1).folders_of(&old);
        let new = Arc::new(server.block_on(beside.start())?);
        ground::fill(&old)?;
        let machines = Machines::new(old.clone(), 0, files);
        let storages = vec![(OLD_ADDRESS, old.clone()), (NEW_ADDRESS, new.clone())];
        let api = server.block_on(api::serve(machines.clone(), storages))?;
        let (urls, opened) = ([old.urls(), new.urls()], machines.clone());
        let (there, beside, seen) = (old.clone(), new.clone(), machines.clone());
        let before = old.state_json()["indices"].take();
        let bench = Bench::new(
            server,
            guest,
            Way::Snapshot.wish(&ground::location()),
            folder,
            Arc::new(move |kept| {
                let mut opening = Opening::new(kept);
                opening.cluster("cluster.storage", &urls[0], "snapshot.backups")?;
                opening.cluster("cluster.new", &urls[1], "snapshot.new")?;
                opening.kuzzle(&opened, &api)?;
                Ok(opening.all)
            }),
            Arc::new(move |step, change| {
                truth::of_the_new(&before, &there, &beside, step, change)
                    .or_else(|| truth::holds(&there, &seen, step, change))
            }),
        )?;
        let untouched = old.full_state_json()["indices"].take();
        Ok(Self {
            bench,
            base: [old.snapshot_state(), new.snapshot_state()],
            base_services: machines.save(),
            untouched,
            old,
            new,
            machines,
        })
    }
}

impl Site for Pair {
    type Reference = crate::rolling::reference::Reference;

    fn fresh(&mut self) -> anyhow::Result<Round> {
        for (sim, base) in [&self.old, &self.new].into_iter().zip(&self.base) {
            sim.clear_faults();
            sim.restore_state(base);
            sim.clear_records();
        }
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
        for sim in [&self.old, &self.new] {
            sim.clear_faults();
            sim.advance_ms(RESUMED_AFTER_MS);
        }
        Ok(())
    }

    fn requests(&self) -> usize {
        let seen = [&self.old, &self.new].map(|sim| sim.records().len());
        seen.iter().sum::<usize>() + self.machines.asked() + self.bench.books().len()
    }

    fn books(&self) -> &Ledger {
        self.bench.books()
    }
}

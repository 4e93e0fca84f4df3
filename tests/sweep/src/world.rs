//! A simulated site and everything that runs of it stand on; put back to its beginning for each position.

mod bindings;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use liftlock_journal::Row;
use liftlock_lab::HttpTarget;
use liftlock_testkit::DISK_BYTES_DEFAULT;
use liftlock_testkit::Record;
use liftlock_testkit::SavedState;
use liftlock_testkit::SimCluster;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::bindings::bindings;
use crate::guest::Guest;
use crate::image::Camera;
use crate::image::Image;
use crate::image::copy_folder;
use crate::ledger::Ledger;
use crate::life::Ground;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::parts::Assembly;
use crate::parts::assemble;
use crate::reference::Reference;
use crate::script;
use crate::script::Script;
use crate::service::Switch;
use crate::site;
use crate::site::HERE;
use crate::site::RUN;
use crate::site::Round;
use crate::site::Site;
use crate::truth;
use crate::vendor::Vendor;
use crate::ways::Way;

/// The folder that `fs` repositories of the simulated cluster lie in. Nothing is ever written there.
const REPOSITORIES: &str = "/simulated-repositories";

/// The repository that is bound.
pub const REPOSITORY: &str = "backups";

/// How long the simulator holds an answer back that is to come too late.
pub const SLOW: Duration = Duration::from_millis(600);

/// Quiet is so many looks that see the same, so far apart: a request or a commit takes some milliseconds.
const QUIET_LOOKS: u32 = 4;

/// Between two of these looks.
const QUIET_EVERY: Duration = Duration::from_millis(10);

/// Longest wait for quiet.
const QUIET_PATIENCE: Duration = Duration::from_secs(20);

/// A simulated cluster with a site on it.
pub struct World {
    server: Runtime,
    /// The cluster.
    pub sim: Arc<SimCluster>,
    /// The writer.
    pub optimize: Switch,
    /// What is swept.
    pub way: Way,
    guest: Guest,
    folder: TempDir,
    base: SavedState,
    /// What is run.
    pub script: Script,
    rounds: u32,
    shot: Arc<Mutex<usize>>,
    books: Ledger,
}

impl World {
    /// Builds the site of a way, plans it, and keeps the beginning.
    pub fn build(guest: &Guest, way: &Way) -> anyhow::Result<Self> {
        let server = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let folder = site::folder()?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        fs::write(config.join("environment-config.yaml"), "---\nes: {}\n")?;
        let sim = server.block_on(async {
            let sim = SimCluster::builder(way.product)
                .seed(way.spec.seed)
                .path_repo(&[REPOSITORIES])
                .start()
                .await?;
            liftlock_lab::build(&HttpTarget::new(sim.url())?, &way.spec).await?;
            anyhow::Ok(sim)
        })?;
        let settings =
            json!({"type": "fs", "settings": {"location": format!("{REPOSITORIES}/{REPOSITORY}")}});
        let (status, answer) = sim.call(
            "PUT",
            &format!("/_snapshot/{REPOSITORY}"),
            &settings.to_string(),
        );
        if status != 200 {
            return Err(anyhow!("the repository was not registered: {answer}"));
        }
        let sim = Arc::new(sim);
        let vendor = way
            .has_vendor
            .then(|| {
                let go = folder.path().join("go");
                Vendor::new(&sim.url(), way.product.is_opensearch(), way.to, go)
            })
            .transpose()?;
        let optimize = Switch::new(bindings::binding("service.optimize")?, vendor);
        let bindings = bindings(&sim, &optimize, &config, &folder.path().join("planning"))?;
        let script = server.block_on(script::plan(guest, &way.wish(), &bindings))?;
        let base = sim.snapshot_state();
        Ok(Self {
            server,
            sim,
            optimize,
            way: way.clone(),
            guest: guest.clone(),
            folder,
            base,
            script,
            rounds: 0,
            shot: Arc::default(),
            books: Ledger::default(),
        })
    }

    /// Everything as in an image, with its books.
    pub fn load(&mut self, image: &Image) -> anyhow::Result<Round> {
        self.back_to(&image.target, image.running)?;
        let round = self.round(
            Ledger::of(image.entries.clone()),
            Arc::new(image.records.clone()),
        )?;
        self.put_files(&round, image)?;
        Ok(round)
    }

    /// Another process's folder with the files of an image; the target stays as it is, the books are shared.
    pub fn elsewhere(&mut self, round: &Round, image: &Image) -> anyhow::Result<Round> {
        let mut other = self.round(round.ground.ledger.clone(), round.earlier.clone())?;
        other.lives = round.lives + 1;
        self.put_files(&other, image)?;
        Ok(other)
    }

    /// The target as it was at some other moment; files and books stay.
    pub fn rewind(&mut self, target: &SavedState, running: bool) {
        self.sim.restore_state(target);
        self.optimize.set(running);
    }

    /// The beginning.
    pub fn base(&self) -> SavedState {
        self.base.clone()
    }

    /// Takes images of a round.
    pub fn camera(&self, round: &Round) -> Camera {
        Camera {
            sim: self.sim.clone(),
            optimize: self.optimize.clone(),
            journal: round.ground.journal.clone(),
            kept: self.kept(),
            ledger: round.ground.ledger.clone(),
            earlier: round.earlier.clone(),
            shelf: self.folder.path().join("images"),
            taken: self.shot.clone(),
        }
    }

    /// Every request of this position, oldest first.
    pub fn records(&self, round: &Round) -> Vec<Record> {
        let mut records = Vec::clone(&round.earlier);
        records.extend(self.sim.records());
        records
    }

    /// Waits until nothing moves any more: no request, no line in the books, no byte in the journal.
    pub fn until_quiet(&self, round: &Round) -> anyhow::Result<()> {
        let look = || {
            let files = fs::read_dir(&round.ground.journal)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| Some(entry.metadata().ok()?.len()))
                .sum::<u64>();
            (self.sim.records().len(), round.ground.ledger.len(), files)
        };
        let end = Instant::now() + QUIET_PATIENCE;
        let (mut before, mut same) = (look(), 0);
        while same < QUIET_LOOKS {
            if Instant::now() > end {
                bail!("something goes on and on");
            }
            std::thread::sleep(QUIET_EVERY);
            let now = look();
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    /// Lets a process of another run, or of another host, live.
    pub fn live_as(
        &self,
        round: &mut Round,
        run: &str,
        host: &str,
        work: Work,
        orders: Orders,
    ) -> anyhow::Result<Life> {
        round.lives += 1;
        let (sim, optimize) = (self.sim.clone(), self.optimize.clone());
        let (config, kept) = (self.folder.path().join("config"), self.kept());
        let parts = assemble(
            Assembly {
                guest: &self.guest,
                script: &self.script,
                side_by_side: self.way.at_once,
                ledger: round.ground.ledger.clone(),
                life: round.lives,
                bindings: Box::new(move || bindings(&sim, &optimize, &config, &kept)),
            },
            run,
            host,
        )?;
        Life::begin(&round.ground, round.lives, work, orders, parts)
    }

    fn back_to(&mut self, target: &SavedState, running: bool) -> anyhow::Result<()> {
        if let Some(vendor) = self.optimize.vendor() {
            vendor.reset()?;
        }
        self.sim.clear_faults();
        self.sim.release_late();
        self.server.block_on(self.sim.start_node(0))?;
        self.rewind(target, running);
        self.sim.clear_records();
        match fs::remove_dir_all(self.kept()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).context("cannot remove the kept copies of the round before")
            }
            _ => Ok(()),
        }
    }

    fn round(&mut self, ledger: Ledger, earlier: Arc<Vec<Record>>) -> anyhow::Result<Round> {
        self.rounds += 1;
        self.books = ledger.clone();
        let sim = self.sim.clone();
        let optimize = self.optimize.clone();
        let lives = ledger
            .entries()
            .iter()
            .map(|entry| entry.life)
            .max()
            .unwrap_or_default();
        Ok(Round {
            ground: Ground {
                // A new one each time: the thread of an ended life closes its files a moment later.
                journal: self.folder.path().join(format!("journal-{}", self.rounds)),
                ledger,
                truth: Arc::new(move |_, change| truth::holds(&sim, &optimize, change)),
            },
            earlier,
            lives,
        })
    }

    fn put_files(&self, round: &Round, image: &Image) -> anyhow::Result<()> {
        copy_folder(&image.journal, &round.ground.journal)?;
        if !self.kept().exists() {
            copy_folder(&image.kept, &self.kept())?;
        }
        Ok(())
    }

    /// The journal keeps the paths of what is kept, so these are the same in each round.
    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// Removes what the rounds so far left on the disk, images apart.
    pub fn sweep_up(&self) {
        for number in 1..=self.rounds {
            // One that is gone, or that a last thread still holds, goes with the whole folder at the end.
            let _ = fs::remove_dir_all(self.folder.path().join(format!("journal-{number}")));
        }
    }
}

impl Site for World {
    type Reference = Reference;

    fn fresh(&mut self) -> anyhow::Result<Round> {
        self.back_to(&self.base.clone(), true)?;
        self.round(Ledger::default(), Arc::default())
    }

    fn live(&self, round: &mut Round, work: Work, orders: Orders) -> anyhow::Result<Life> {
        self.live_as(round, RUN, HERE, work, orders)
    }

    fn rows(&self, round: &Round) -> Vec<Row> {
        site::rows(&self.server, &round.ground.journal, RUN)
    }

    fn repair(&self) -> anyhow::Result<()> {
        self.sim.clear_faults();
        self.server.block_on(self.sim.start_node(0))?;
        self.sim
            .set_disk(0, DISK_BYTES_DEFAULT.0, DISK_BYTES_DEFAULT.1)?;
        Ok(())
    }

    fn requests(&self) -> usize {
        self.sim.records().len()
    }

    fn books(&self) -> &Ledger {
        &self.books
    }
}

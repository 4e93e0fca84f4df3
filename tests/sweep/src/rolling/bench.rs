//! What runs on a fleet stand on: who plans, the plan, the folders, the books.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::anyhow;
use liftlock_gate::Bindings;
use liftlock_journal::Row;
use liftlock_types::Capability;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::faults::Faults;
use super::faults::Faulty;
use super::faults::OnItsWay;
use crate::between::Through;
use crate::guest::Guest;
use crate::image::copy_folder;
use crate::ledger::Ledger;
use crate::life::Ground;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Truth;
use crate::life::Work;
use crate::parts::Assembly;
use crate::parts::assemble;
use crate::script;
use crate::script::Script;
use crate::script::Wish;
use crate::site;
use crate::site::Round;

/// Opens the targets of a site, without anybody who watches; given the folder for kept copies.
pub type Open = Arc<dyn Fn(&Path) -> anyhow::Result<Bindings> + Send + Sync>;

/// What does not differ from one fleet to another.
pub struct Bench {
    /// Simulated targets answer on it.
    pub server: Runtime,
    /// Troubles of targets.
    pub faults: Faults,
    /// What is run.
    pub script: Script,
    guest: Guest,
    wish: Wish,
    open: Open,
    truth: Truth,
    folder: TempDir,
    rounds: u32,
    books: Ledger,
}

/// With their troubles.
fn troubled(open: &Open, kept: &Path, faults: &Faults) -> anyhow::Result<Bindings> {
    fs::create_dir_all(kept)?;
    let faulty = open(kept)?.into_iter().map(|(binding, inner)| {
        let capability = Through(Faulty {
            inner,
            binding: binding.clone(),
            faults: faults.clone(),
        });
        (binding, Arc::new(capability) as Arc<dyn Capability>)
    });
    Ok(faulty.collect::<BTreeMap<_, _>>())
}

impl Bench {
    /// Plans on a site as it is.
    pub fn new(
        server: Runtime,
        guest: &Guest,
        wish: Wish,
        folder: TempDir,
        open: Open,
        truth: Truth,
    ) -> anyhow::Result<Self> {
        let faults = Faults::default();
        let kept = folder.path().join("kept");
        let bindings = troubled(&open, &kept, &faults)?;
        let script = server.block_on(script::plan(guest, &wish, &bindings))?;
        Ok(Self {
            server,
            faults,
            script,
            guest: guest.clone(),
            wish,
            open,
            truth,
            folder,
            rounds: 0,
            books: Ledger::default(),
        })
    }

    /// Rounds so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The books of the round that was begun last.
    pub fn books(&self) -> &Ledger {
        &self.books
    }

    /// Where kept copies lie. The journal keeps their paths, so these are the same in each round.
    pub fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// A folder for what the reference keeps.
    pub fn shelf(&self) -> PathBuf {
        self.folder.path().join("shelf")
    }

    /// A round with nothing in its folders, and no troubles.
    pub fn fresh(&mut self) -> anyhow::Result<Round> {
        self.faults.mend();
        self.faults.take_on_its_way();
        match fs::remove_dir_all(self.kept()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context("cannot remove the kept copies of the round before");
            }
            _ => {}
        }
        Ok(self.round(Ledger::default()))
    }

    fn round(&mut self, ledger: Ledger) -> Round {
        self.rounds += 1;
        self.books = ledger.clone();
        Round {
            ground: Ground {
                // A new one each time: the thread of an ended life closes its files a moment later.
                journal: self.folder.path().join(format!("journal-{}", self.rounds)),
                ledger,
                truth: self.truth.clone(),
            },
            earlier: Arc::default(),
            lives: 0,
        }
    }

    /// Another process's folder with a copy of this one's journal, or without one; the books are shared.
    pub fn elsewhere(&mut self, round: &Round, journal: Option<&Path>) -> anyhow::Result<Round> {
        let mut other = self.round(round.ground.ledger.clone());
        other.lives = round.lives + 1;
        if let Some(journal) = journal {
            copy_folder(journal, &other.ground.journal)?;
        }
        Ok(other)
    }

    /// Rows of a run.
    pub fn rows(&self, round: &Round, run: &str) -> Vec<Row> {
        site::rows(&self.server, &round.ground.journal, run)
    }

    /// Plans on the site as it is now.
    pub fn plan_anew(&self) -> anyhow::Result<Script> {
        let bindings = troubled(&self.open, &self.kept(), &self.faults)?;
        self.server
            .block_on(script::plan(&self.guest, &self.wish, &bindings))
    }

    /// Lets a process of a run of a plan live on a host.
    pub fn live_as(
        &self,
        round: &mut Round,
        (run, host, script): (&str, &str, &Script),
        work: Work,
        orders: Orders,
    ) -> anyhow::Result<Life> {
        round.lives += 1;
        let (open, kept, faults) = (self.open.clone(), self.kept(), self.faults.clone());
        let parts = assemble(
            Assembly {
                guest: &self.guest,
                script,
                side_by_side: 1,
                ledger: round.ground.ledger.clone(),
                life: round.lives,
                bindings: Box::new(move || troubled(&open, &kept, &faults)),
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
                    let bindings = troubled(&self.open, &self.kept(), &self.faults)?;
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

    /// Removes what the rounds so far left on the disk.
    pub fn sweep_up(&self) {
        for number in 1..=self.rounds {
            // One that is gone, or that a last thread still holds, goes with the whole folder at the end.
            let _ = fs::remove_dir_all(self.folder.path().join(format!("journal-{number}")));
        }
    }
}

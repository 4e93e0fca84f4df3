//! A simulated site and everything that runs of it stand on; put back to its beginning for each position.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use liftlock_cluster::Cluster;
use liftlock_cluster::ClusterConfig;
use liftlock_cluster::Credentials;
use liftlock_cluster::Deadlines;
use liftlock_disk::Directory;
use liftlock_disk::DiskConfig;
use liftlock_gate::Approval;
use liftlock_gate::Bindings;
use liftlock_gate::Parts;
use liftlock_gate::PlanContext;
use liftlock_gate::Planner;
use liftlock_gate::RunState;
use liftlock_gate::StepApproval;
use liftlock_gate::StopSignal;
use liftlock_gate::Timing;
use liftlock_gate::Waiver;
use liftlock_gate::Who;
use liftlock_gate::freeze;
use liftlock_gate::now_ms;
use liftlock_journal::Journal;
use liftlock_journal::Row;
use liftlock_lab::HttpTarget;
use liftlock_snapshot::Repository;
use liftlock_snapshot::SnapshotConfig;
use liftlock_testkit::DISK_BYTES_DEFAULT;
use liftlock_testkit::Product;
use liftlock_testkit::Record;
use liftlock_testkit::SavedState;
use liftlock_testkit::SimCluster;
use liftlock_types::Binding;
use liftlock_types::Capability;
use liftlock_types::Digest;
use liftlock_types::Grant;
use liftlock_types::Plan;
use liftlock_types::PluginRef;
use liftlock_types::RunId;
use liftlock_types::Severity;
use liftlock_types::Target;
use liftlock_types::TargetIdentity;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::guest::Guest;
use crate::guest::SitePlanner;
use crate::image::Camera;
use crate::image::Image;
use crate::image::copy_folder;
use crate::ledger::Ledger;
use crate::life::Assemble;
use crate::life::Ground;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::service::Switch;
use crate::truth;
use crate::watch::Watched;
use crate::ways::Way;

/// The folder that `fs` repositories of the simulated cluster lie in. Nothing is ever written there.
const REPOSITORIES: &str = "/simulated-repositories";

/// The repository that is bound.
pub const REPOSITORY: &str = "backups";

/// Every run of the sweep has this id: what names it in the target is then the same in each.
pub const RUN: &str = "r-sweep";

/// The host that runs are on.
pub const HERE: &str = "here";

/// The gate's waits. The simulated cluster does everything at once, or when it is told to.
pub const TIMING: Timing = Timing {
    effect_ms: 60,
    settle_ms: 120,
    unreadable_ms: 150,
    watch_every_ms: 0,
};

/// How long one request may take. A request that the simulator holds back on purpose is given up soon.
const DEADLINES: Deadlines = Deadlines {
    connect_ms: 500,
    read_ms: 500,
    change_ms: 500,
};

/// How long the simulator holds an answer back that is to come too late.
pub const SLOW: Duration = Duration::from_millis(600);

/// The plan of a way, made once and run at each position.
pub struct Script {
    /// What is run.
    pub plan: Arc<Plan>,
    grant: Grant,
    approval: Approval,
    identities: BTreeMap<Binding, TargetIdentity>,
    target: Target,
    made_at_ms: i64,
}

/// A simulated cluster with a site on it.
pub struct World {
    server: Runtime,
    /// The cluster.
    pub sim: Arc<SimCluster>,
    /// The writer.
    pub optimize: Switch,
    guest: Guest,
    folder: TempDir,
    base: SavedState,
    /// What is run.
    pub script: Script,
    rounds: u32,
    shot: Arc<Mutex<usize>>,
    books: Ledger,
}

/// Folders and books of one position.
pub struct Round {
    /// What lives stand on.
    pub ground: Ground,
    /// Requests before this round.
    pub earlier: Arc<Vec<Record>>,
    lives: u32,
}

impl World {
    /// Builds the site of a way, plans it, and keeps the beginning.
    pub fn build(guest: &Guest, way: &Way) -> anyhow::Result<Self> {
        let server = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config");
        fs::create_dir(&config)?;
        fs::write(config.join("environment-config.yaml"), "---\nes: {}\n")?;
        let optimize = Switch::new(binding("service.optimize")?);
        let sim = server.block_on(async {
            let sim = SimCluster::builder(Product::OpenSearch2)
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
        let bindings = bindings(&sim, &optimize, &config, &folder.path().join("planning"))?;
        let script = server.block_on(script(guest, way, &bindings))?;
        let base = sim.snapshot_state();
        Ok(Self {
            server,
            sim,
            optimize,
            guest: guest.clone(),
            folder,
            base,
            script,
            rounds: 0,
            shot: Arc::default(),
            books: Ledger::default(),
        })
    }

    /// Everything as at the beginning, with new folders.
    pub fn fresh(&mut self) -> anyhow::Result<Round> {
        self.back_to(&self.base.clone(), true)?;
        self.round(Ledger::default(), Arc::default())
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

    /// The books of the round that was begun last.
    pub fn books(&self) -> &Ledger {
        &self.books
    }

    /// Every request of this position, oldest first.
    pub fn records(&self, round: &Round) -> Vec<Record> {
        let mut records = Vec::clone(&round.earlier);
        records.extend(self.sim.records());
        records
    }

    /// What the journal of a round holds; nothing where there is none yet.
    pub fn rows(&self, round: &Round) -> Vec<Row> {
        let dir = &round.ground.journal;
        let rows = self.server.block_on(async {
            let journal = Journal::open_read_only(dir).await.ok()?;
            let rows = journal.rows(RUN).await.ok();
            // A reader has nothing to make durable.
            let _ = journal.close().await;
            rows
        });
        rows.unwrap_or_default()
    }

    /// Mends what a fault broke.
    pub fn repair(&self) -> anyhow::Result<()> {
        self.sim.clear_faults();
        self.server.block_on(self.sim.start_node(0))?;
        self.sim
            .set_disk(0, DISK_BYTES_DEFAULT.0, DISK_BYTES_DEFAULT.1)?;
        Ok(())
    }

    fn back_to(&mut self, target: &SavedState, running: bool) -> anyhow::Result<()> {
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
                truth: Arc::new(move |change| truth::holds(&sim, &optimize, change)),
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

    /// Lets a process live.
    pub fn live(&self, round: &mut Round, work: Work, orders: Orders) -> anyhow::Result<Life> {
        round.lives += 1;
        let parts = self.assemble(round, round.lives, RUN, HERE)?;
        Life::begin(&round.ground, round.lives, work, orders, parts)
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
        let parts = self.assemble(round, round.lives, run, host)?;
        Life::begin(&round.ground, round.lives, work, orders, parts)
    }

    fn assemble(
        &self,
        round: &Round,
        life: u32,
        run: &str,
        host: &str,
    ) -> anyhow::Result<Assemble> {
        let (sim, optimize, guest) = (self.sim.clone(), self.optimize.clone(), self.guest.clone());
        let (kept, ledger) = (self.kept(), round.ground.ledger.clone());
        let host = host.to_owned();
        let config = self.folder.path().join("config");
        let script = &self.script;
        let (plan, grant, approval) = (
            script.plan.clone(),
            script.grant.clone(),
            script.approval.clone(),
        );
        let (identities, target, made_at_ms) = (
            script.identities.clone(),
            script.target.clone(),
            script.made_at_ms,
        );
        let run = RunId::new(run).map_err(|error| anyhow!(error.to_string()))?;
        Ok(Box::new(move |journal, observer| {
            let plain = bindings(&sim, &optimize, &config, &kept)?;
            let planner = SitePlanner::new(&guest, &plain, &identities, &grant, target, made_at_ms)
                .of_plan(plan.clone());
            let mut watched: Bindings = BTreeMap::new();
            for (binding, inner) in plain {
                let sim = sim.clone();
                let capability = Watched {
                    inner,
                    ledger: ledger.clone(),
                    life,
                    requests: Arc::new(move || sim.records().len()),
                };
                watched.insert(binding, Arc::new(capability) as Arc<dyn Capability>);
            }
            Ok(Parts {
                journal,
                run,
                plan: Plan::clone(&plan),
                earlier: Vec::new(),
                reads: Vec::new(),
                made_by: "sweep".into(),
                grant,
                bindings: watched,
                planner: Arc::new(planner),
                observer,
                stop: StopSignal::default(),
                approvals: vec![approval],
                approvals_wanted: 1,
                side_by_side: 1,
                who: Who {
                    by: "sweep".into(),
                    host,
                    state_dir: "state".into(),
                },
                timing: TIMING,
            })
        }))
    }
}

fn binding(text: &str) -> anyhow::Result<Binding> {
    Binding::new(text).map_err(|error| anyhow!(error.to_string()))
}

/// Real capabilities, but for the service.
fn bindings(
    sim: &SimCluster,
    optimize: &Switch,
    config: &Path,
    kept: &Path,
) -> anyhow::Result<Bindings> {
    fs::create_dir_all(kept)?;
    let mut address = ClusterConfig::of_node(sim.url());
    address.deadlines = DEADLINES;
    let database = binding("cluster.database")?;
    let cluster = Arc::new(Cluster::open(
        database.clone(),
        &address,
        &Credentials::None,
    )?);
    let backups = binding("snapshot.backups")?;
    let repository = SnapshotConfig {
        cluster: database.clone(),
        repository: REPOSITORY.into(),
    };
    let repository = Repository::open(backups.clone(), &repository, cluster.clone(), kept)?;
    let files = binding("disk.config")?;
    let directory = Directory::open(files.clone(), &DiskConfig::new(config), kept)?;
    Directory::introduce([&directory].into_iter());
    Ok(BTreeMap::from([
        (database, cluster as Arc<dyn Capability>),
        (backups, Arc::new(repository)),
        (files, Arc::new(directory)),
        (binding("service.optimize")?, Arc::new(optimize.clone())),
    ]))
}

async fn script(guest: &Guest, way: &Way, bindings: &Bindings) -> anyhow::Result<Script> {
    let mut identities = BTreeMap::new();
    for (binding, capability) in bindings {
        identities.insert(binding.clone(), capability.identity().await?);
    }
    let grant = guest.grant("sweep", &way.options, &identities)?;
    let target = Target {
        from: Some(way.from.into()),
        to: way.to.into(),
    };
    let made_at_ms = now_ms();
    let planner = SitePlanner::new(
        guest,
        bindings,
        &identities,
        &grant,
        target.clone(),
        made_at_ms,
    );
    let made = planner.plan(&RunState::new(RUN)).await?;
    let context = PlanContext {
        site: "sweep".into(),
        product: guest.descriptor.product.clone(),
        plugin: PluginRef {
            name: guest.descriptor.name.clone(),
            version: guest.descriptor.version.clone(),
            digest: Digest::clone(&grant.digest),
        },
        from: target.from.clone(),
        to: target.to.clone(),
        options: grant.options.clone(),
        findings: Vec::new(),
    };
    let plan = freeze(made.proposal, context, &grant, bindings)
        .await
        .map_err(|error| anyhow!("the plan of `{}` is refused: {error:?}", way.name))?;
    let approval = Approval {
        plan: plan.hash(),
        by: "sweep".into(),
        at: "2026-01-01T00:00:00.000Z".into(),
        waives: plan
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Blocker)
            .map(|finding| Waiver {
                finding: finding.id.clone(),
                reason: "a sweep".into(),
            })
            .collect(),
        steps: plan
            .steps
            .iter()
            .filter(|step| step.own_approval.is_some())
            .map(|step| StepApproval {
                step: step.id.clone(),
                reason: "a sweep".into(),
            })
            .collect(),
    };
    Ok(Script {
        plan: Arc::new(plan),
        grant,
        approval,
        identities,
        target,
        made_at_ms,
    })
}

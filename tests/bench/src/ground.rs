//! What an operator needs before a command can be measured: a cluster with an 8.7 site, and the plugin introduced.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use liftlock_e2e::proof;
use liftlock_e2e::{Kit, Round, Simulated, Stage};
use liftlock_lab::{Server, ServerKind, SiteSpec};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A stage on a cluster inside this process.
pub(crate) struct Ground {
    pub(crate) stage: Stage,
    /// Ends with this.
    _cluster: Simulated,
}

impl Ground {
    pub(crate) async fn simulated(kit: &Kit) -> anyhow::Result<Self> {
        let cluster = Simulated::start().await?;
        let stage = Stage::new(kit, cluster.target(), &cluster.repository()).await?;
        Ok(Self {
            stage,
            _cluster: cluster,
        })
    }
}

/// The real server that upgrades are measured on.
pub(crate) const SERVER: ServerKind = ServerKind::OpenSearch2;

/// Starts the server, works on a stage before it, and ends it whatever came of the work.
pub(crate) fn on_server<T>(
    runtime: &Runtime,
    kit: &Kit,
    work: impl FnOnce(&Stage) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let folder = on_disk()?;
    let server = runtime.block_on(Server::start(SERVER, folder.path()))?;
    let stage = runtime.block_on(Stage::new(kit, server.target(), &server.repo_dir()));
    let done = stage.and_then(|stage| work(&stage));
    runtime.block_on(server.stop());
    done
}

/// A fresh site whose operator has added the plugin and granted what it asks for, with no quiet wait in a run.
pub(crate) async fn introduced(stage: &Stage, spec: &SiteSpec) -> anyhow::Result<Round> {
    let round = stage.fresh(spec).await?;
    // Before the grant, which is bound to the options.
    without_quiet_wait(&round)?;
    proof::introduce(&round).await?;
    Ok(round)
}

/// Lets the plugin watch for no time at all that nothing is written, so that there is no wait of its own choosing in
/// the run.
fn without_quiet_wait(round: &Round) -> anyhow::Result<()> {
    edit(round, |line| match line.split_once('=') {
        Some((name, _)) if name.trim() == "quiet-seconds" => "quiet-seconds = 0".to_owned(),
        _ => line.to_owned(),
    })
}

/// Lets the operator's site name the cluster itself, so that nothing of the bench stands between.
pub(crate) fn past_the_proxy(stage: &Stage, round: &Round) -> anyhow::Result<()> {
    let (from, to) = (stage.switch.url(), stage.target.base_url());
    edit(round, |line| line.replace(&from, to))
}

/// Changes lines of the operator's `site.toml`; one of them at least has to become another.
fn edit(round: &Round, change: impl Fn(&str) -> String) -> anyhow::Result<()> {
    let file = round.operator.site().join("site.toml");
    let text = fs::read_to_string(&file).context("the site has no site.toml")?;
    let lines: Vec<String> = text.lines().map(change).collect();
    let changed = format!("{}\n", lines.join("\n"));
    anyhow::ensure!(changed != text, "site.toml has nothing to change");
    fs::write(&file, changed).context("cannot write site.toml")
}

/// One command of the operator's: how long it took, and its answer where it gave JSON.
pub(crate) async fn timed(round: &Round, arguments: &[&str]) -> anyhow::Result<(f64, Value)> {
    let begun = Instant::now();
    let told = round.operator.run(arguments).await?;
    let took = begun.elapsed().as_secs_f64();
    let told = told.expect(0)?;
    let data = if arguments.contains(&"--json") {
        told.data()?
    } else {
        Value::Null
    };
    Ok((took, data))
}

/// A site of about so many indices of its own, nearly all of them one for each process definition.
pub(crate) fn spec_of(indices: usize) -> SiteSpec {
    SiteSpec {
        process_keys: (0..indices.saturating_sub(OTHER_INDICES))
            .map(|n| format!("process-{n:05}"))
            .collect(),
        process_instances: INSTANCES_EACH,
        without_replicas: Vec::new(),
        ..SiteSpec::default()
    }
}

/// Indices that a site has besides those of its process definitions.
const OTHER_INDICES: usize = 29;

/// Documents of each index. Planning reads counts, never documents, so that one is as good as many.
const INSTANCES_EACH: usize = 1;

/// A folder on the disk that builds go to, as a folder for temporary files may lie in memory.
pub(crate) fn on_disk() -> anyhow::Result<tempfile::TempDir> {
    let target = liftlock_e2e::artifacts::target_dir();
    fs::create_dir_all(&target).context("cannot make the target folder")?;
    tempfile::tempdir_in(&target).context("cannot make a folder beside the builds")
}

/// Where the bytes of a component lie.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// For people.
pub(crate) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

/// Processor seconds of all programs that this one started and that have ended, by the kernel's count.
pub(crate) fn programs_cpu_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read our own counts")?;
    // The name of the program, in brackets, may hold blanks; the counts of ended children are the 14th and 15th after.
    let after = stat
        .rsplit_once(')')
        .map_or(stat.as_str(), |(_, after)| after);
    let ticks = |nth: usize| -> Option<f64> { after.split_whitespace().nth(nth)?.parse().ok() };
    let (user, system) = ticks(13)
        .zip(ticks(14))
        .context("there are no such counts")?;
    Ok((user + system) / TICKS_A_SECOND)
}

/// The kernel's unit in such files, the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

//! Most memory of the program: of a whole upgrade, and with a plugin that takes all it can get.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use liftlock_e2e::proof;
use liftlock_e2e::{Kit, Operator, Simulated};
use liftlock_lab::SiteSpec;
use tokio::runtime::Runtime;

use crate::ground::{self, Ground};
use crate::row::{Goal, Row};
use crate::stats::Sample;

/// What an upgrade may take.
const RUN_BYTES_MAX: f64 = 80e6;

/// What the program may take whatever a plugin does.
const HOSTILE_BYTES_MAX: f64 = 200e6;

/// Runs of one measurement; memory differs less than time does.
const ROUNDS: usize = 3;

/// Between two looks at a process whose peak the kernel keeps: only growth after the last look is missed, and the
/// peak comes long before the end.
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) fn run(runtime: &Runtime, kit: &Kit, guest: &Path) -> anyhow::Result<Vec<Row>> {
    let mut upgrades = Vec::new();
    for _ in 0..ROUNDS {
        upgrades.push(runtime.block_on(upgrade(kit))?);
    }
    let mut hostile = Vec::new();
    let mut said = String::new();
    for _ in 0..ROUNDS {
        let (bytes, why) = runtime.block_on(hostile_guest(kit, guest))?;
        hostile.push(bytes);
        said = why;
    }
    let (upgrades, hostile) = (Sample::new(upgrades)?, Sample::new(hostile)?);
    Ok(vec![
        Row::new(
            "memory-run",
            upgrades.median() / RUN_BYTES_MAX,
            Goal::AtMost(1.0),
            format!("limit: {}", ground::megabytes(RUN_BYTES_MAX)),
            format!(
                "peak of `liftlock run` 8.7 -> 8.8, as the kernel counts it: {}",
                upgrades.told(ground::megabytes)
            ),
        ),
        Row::new(
            "memory-hostile",
            hostile.median() / HOSTILE_BYTES_MAX,
            Goal::AtMost(1.0),
            format!("limit: {}", ground::megabytes(HOSTILE_BYTES_MAX)),
            format!(
                "peak of `liftlock inspect` with a plugin that allocates until it is stopped: {}; {said}",
                hostile.told(ground::megabytes)
            ),
        ),
    ])
}

/// An upgrade on the simulated cluster: the program does the same whatever answers it.
async fn upgrade(kit: &Kit) -> anyhow::Result<f64> {
    let ground = Ground::simulated(kit).await?;
    let round = ground::introduced(&ground.stage, &SiteSpec::default()).await?;
    let plan = proof::approved(&round).await?;
    let (_, data) = ground::timed(&round, &["run", &plan, "--json"]).await?;
    data["peak_memory_bytes"]
        .as_f64()
        .context("the run does not say its peak of memory")
}

/// Bytes at the peak, and what the host said of the plugin.
async fn hostile_guest(kit: &Kit, guest: &Path) -> anyhow::Result<(f64, String)> {
    let cluster = Simulated::start().await?;
    let folder = ground::on_disk()?;
    let [site, state] = ["site", "state"].map(|name| folder.path().join(name));
    fs::create_dir(&site).context("cannot make a folder")?;
    let text = format!(
        "name = \"bench\"\nproduct-plugin = \"bench\"\n\n[options]\ndo = \"allocate\"\n\n\
         [cluster.database]\nnodes = [\"{}\"]\n",
        cluster.target().base_url()
    );
    fs::write(site.join("site.toml"), text).context("cannot write site.toml")?;
    let operator = Operator::new(&kit.liftlock, &site, &state);
    let guest = guest.to_string_lossy();
    operator
        .run(&["plugin", "add", &guest, "--allow-unsigned"])
        .await?
        .expect(0)?;
    operator.run(&["grant", "--yes"]).await?.expect(0)?;
    let command = ["inspect"];
    let child = operator.start(&command)?;
    let id = child.id().context("the command has no id")?;
    let watching = tokio::task::spawn_blocking(move || peak(id));
    let told = operator.wait(&command, child).await?;
    let bytes = watching.await?.context("the command ended unseen")?;
    let why = told
        .stderr
        .lines()
        .find(|line| line.contains("limit"))
        .with_context(|| format!("the plugin was not stopped\n{told}"))?;
    Ok((bytes, format!("it was stopped: `{}`", why.trim())))
}

/// The kernel's count of a process's peak, looked at until the process is gone.
fn peak(process: u32) -> Option<f64> {
    let mut peak = None;
    while let Some(now) = peak_now(process) {
        peak = Some(now);
        std::thread::sleep(LOOK_EVERY);
    }
    peak
}

fn peak_now(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

//! Documents through a plugin into another index, against the server's own copy and against the copier that people use
//! for what that one cannot do.
//!
//! All three write the same documents into an index that was just made with the same settings and mapping, on the same
//! server, in turns. Ours is the step by the run's own record: it keeps how far it is, and reads the destination back at
//! the end to compare it, which the others do not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use liftlock_e2e::{Operator, artifacts, proof};
use liftlock_lab::{Elasticdump, HttpTarget, Jvm, Server};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::ground::{self, SERVER};
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Sample, Side, factor, time};

/// Shares of their throughput that ours is to reach.
const OF_THE_SERVER: f64 = 0.8;
const OF_ELASTICDUMP: f64 = 3.0;

/// What the run may take, whatever the size of the index.
const RUN_BYTES_MAX: f64 = 150e6;

const DOCUMENTS: u64 = 200_000;

/// Documents of one request that fills the source.
const FILLED_AT_ONCE: u64 = 10_000;

/// A round takes about a minute.
const ROUNDS: usize = 3;

/// As the guest names them.
const SOURCE: &str = "bench-source";
const OURS: &str = "bench-transformed";
const THEIRS: &str = "bench-copied";
const INDEX: &str = include_str!("../guests/transform/index.json");

/// How long the server may take for its own copy.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(runtime: &Runtime, guest: &Path) -> anyhow::Result<Vec<Row>> {
    let liftlock = artifacts::liftlock()?;
    let folder = ground::on_disk()?;
    let server = runtime.block_on(Server::start_on(SERVER, Jvm::AsShipped, folder.path()))?;
    let measured = runtime
        .block_on(Bench::new(&server, &liftlock, folder.path(), guest))
        .and_then(|bench| bench.measure(runtime));
    runtime.block_on(server.stop());
    measured
}

struct Bench<'a> {
    server: &'a Server,
    operator: Operator,
    elasticdump: Elasticdump,
}

impl<'a> Bench<'a> {
    async fn new(
        server: &'a Server,
        liftlock: &Path,
        folder: &Path,
        guest: &Path,
    ) -> anyhow::Result<Self> {
        let [site, state] = ["site", "state"].map(|name| folder.join(name));
        fs::create_dir(&site).context("cannot make a folder")?;
        let text = format!(
            "name = \"bench\"\nproduct-plugin = \"bench-transform\"\n\n[cluster.database]\nnodes = [\"{}\"]\n",
            server.base_url()
        );
        fs::write(site.join("site.toml"), text).context("cannot write site.toml")?;
        let operator = Operator::new(liftlock, &site, &state);
        operator.add(guest).await?;
        operator.grant().await?;
        fill(server.target()).await?;
        Ok(Self {
            server,
            operator,
            elasticdump: Elasticdump::ensure().await?,
        })
    }

    fn measure(&self, runtime: &Runtime) -> anyhow::Result<Vec<Row>> {
        let mut peaks = Vec::new();
        let ours = || {
            let (seconds, bytes) = runtime.block_on(self.ours())?;
            peaks.push(bytes);
            Ok(seconds)
        };
        let rounds = Rounds::take(
            ROUNDS,
            vec![
                Box::new(ours) as Side<'_>,
                Box::new(|| runtime.block_on(self.by_the_server())),
                Box::new(|| runtime.block_on(self.by_elasticdump())),
            ],
        )?;
        let peaks = Sample::new(peaks)?;
        let took = |which: usize| rounds.side(which).map(|side| side.told(time));
        let note = |ratio: &Sample, peer: usize| -> anyhow::Result<String> {
            Ok(format!(
                "{DOCUMENTS} documents, ours {} with the comparison at the end, theirs {}; {}",
                took(0)?,
                took(peer)?,
                ratio.told(factor),
            ))
        };
        let (of_server, of_dump) = (rounds.ratio(1, 0)?, rounds.ratio(2, 0)?);
        Ok(vec![
            Row::new(
                "transform-reindex",
                of_server.median(),
                Goal::AtLeast(OF_THE_SERVER),
                "the server's own `_reindex`, a slice for each shard",
                note(&of_server, 1)?,
            ),
            Row::new(
                "transform-elasticdump",
                of_dump.median(),
                Goal::AtLeast(OF_ELASTICDUMP),
                format!("elasticdump {}", Elasticdump::VERSION),
                note(&of_dump, 2)?,
            ),
            Row::new(
                "memory-transform",
                peaks.median() / RUN_BYTES_MAX,
                Goal::AtMost(1.0),
                format!("limit: {}", ground::megabytes(RUN_BYTES_MAX)),
                format!(
                    "peak of `liftlock run`, as the kernel counts it: {}",
                    peaks.told(ground::megabytes)
                ),
            ),
        ])
    }

    /// Seconds of the step, and bytes of the run at its peak.
    async fn ours(&self) -> anyhow::Result<(f64, f64)> {
        self.remove(OURS).await?;
        let plan = self.operator.approved("2").await?;
        let told = self.operator.run(&["run", &plan, "--json"]).await?;
        let data = told.expect(0)?.data()?;
        let run = proof::last_run(&self.operator).await?;
        let audit = self.operator.run(&["audit", &run, "--json"]).await?;
        let timeline = crate::timeline::Timeline::of(&audit.expect(0)?.data()?)?;
        let seconds = timeline.of_steps("fill", "fill")?.seconds();
        self.is_whole(OURS).await?;
        let bytes = data["peak_memory_bytes"]
            .as_f64()
            .context("the run does not say its peak of memory")?;
        Ok((seconds, bytes))
    }

    async fn by_the_server(&self) -> anyhow::Result<f64> {
        self.make_anew(THEIRS).await?;
        let server = self.server.target();
        let begun = Instant::now();
        // As a task, which has no bound of time, and looked at often enough for the time that is told.
        let body = json!({"source": {"index": SOURCE}, "dest": {"index": THEIRS}});
        let path = "/_reindex?slices=auto&wait_for_completion=false";
        let task = server.post(path, &body).await?;
        let id = task["task"].as_str().context("a copy that is no task")?;
        loop {
            let now = server.get(&format!("/_tasks/{id}")).await?;
            if now["completed"] == true {
                break;
            }
            ensure!(begun.elapsed() < PATIENCE, "the server's copy has no end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let took = begun.elapsed();
        self.is_whole(THEIRS).await?;
        Ok(took.as_secs_f64())
    }

    async fn by_elasticdump(&self) -> anyhow::Result<f64> {
        self.make_anew(THEIRS).await?;
        let server = self.server.base_url();
        let took = self.elasticdump.copy(server, SOURCE, THEIRS).await?;
        self.is_whole(THEIRS).await?;
        Ok(took.as_secs_f64())
    }

    async fn remove(&self, index: &str) -> anyhow::Result<()> {
        let server = self.server.target();
        let path = format!("/{index}?ignore_unavailable=true");
        server.delete(&path).await.map(drop).map_err(Into::into)
    }

    async fn make_anew(&self, index: &str) -> anyhow::Result<()> {
        self.remove(index).await?;
        make(self.server.target(), index).await
    }

    /// Who copies less is faster.
    async fn is_whole(&self, index: &str) -> anyhow::Result<()> {
        let server = self.server.target();
        server
            .post(&format!("/{index}/_refresh"), &json!({}))
            .await?;
        let found = server.get(&format!("/{index}/_count")).await?;
        ensure!(found["count"] == DOCUMENTS, "`{index}` has {found}");
        Ok(())
    }
}

async fn make(server: &HttpTarget, index: &str) -> anyhow::Result<()> {
    let body: Value = serde_json::from_str(INDEX)?;
    server.put(&format!("/{index}"), &body).await?;
    Ok(())
}

/// Orders of a shop, some 400 bytes each.
async fn fill(server: &HttpTarget) -> anyhow::Result<()> {
    make(server, SOURCE).await?;
    for first in (0..DOCUMENTS).step_by(usize::try_from(FILLED_AT_ONCE)?) {
        let mut lines = String::new();
        for n in first..(first + FILLED_AT_ONCE).min(DOCUMENTS) {
            let document = json!({
                "order": format!("order-{n:08}"), "customer": format!("customer-{:05}", n * 7_919 % 20_000),
                "placed": 1_700_000_000_000_u64 + n * 60_000, "amount": (n * 37 % 100_000) as f64 / 100.0,
                "lines": (0..3).map(|line| json!({"article": (n + line) * 31 % 5_000, "pieces": line + 1})).collect::<Vec<_>>(),
                "note": format!("to be left with the neighbour on floor {} of house {}, not before {} o'clock, and please \
                                 ring twice", n % 12, n % 89, n % 24),
            });
            lines.push_str(&format!("{{\"index\":{{\"_id\":\"{n}\"}}}}\n{document}\n"));
        }
        server.bulk(&format!("/{SOURCE}/_bulk"), lines).await?;
    }
    server
        .post(&format!("/{SOURCE}/_refresh"), &json!({}))
        .await?;
    Ok(())
}

//! `cargo xtask traps`: sites that are broken on purpose, on simulated clusters and on real servers.

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::Kit;
use liftlock_e2e::Tally;
use liftlock_e2e::trap;
use liftlock_e2e::trap::Ground;
use liftlock_e2e::trap::Trap;
use liftlock_e2e::trap::kuzzle;
use liftlock_e2e::trap::rolling;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;
use liftlock_testkit::Product as Imitated;

use crate::plugins;
use crate::summary::Summary;
use crate::tools;

/// All traps are set on the first; on the second those in which the products differ. Real servers of
/// both get all of them.
const SIMULATED: [Imitated; 2] = [Imitated::OpenSearch2, Imitated::Elasticsearch8];

/// The two products that the vendor names first.
pub(crate) const SERVERS: [ServerKind; 2] = [ServerKind::OpenSearch2, ServerKind::Elasticsearch8];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The product.
    product: Product,
    /// Only on this real server; may be given again.
    #[arg(long, conflicts_with = "simulated")]
    server: Vec<ServerKind>,
    /// Only on simulated clusters.
    #[arg(long)]
    simulated: bool,
    /// Only this trap; may be given again.
    #[arg(long)]
    trap: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Product {
    /// Camunda Optimize, 8.7 to 8.8.
    Optimize,
    /// Camunda 7, 7.21 to 7.22, node by node; on real databases and balancers.
    Camunda,
    /// Kuzzle, Elasticsearch 7.17 to 8.19, by both methods; on real servers.
    Kuzzle,
}

impl Options {
    pub(crate) fn product(&self) -> &'static str {
        match self.product {
            Product::Optimize => "optimize",
            Product::Camunda => "camunda",
            Product::Kuzzle => "kuzzle",
        }
    }
}

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    match options.product {
        Product::Optimize => optimize(options, summary).await,
        Product::Camunda => camunda(options, summary).await,
        Product::Kuzzle => of_kuzzle(options, summary).await,
    }
}

/// On servers that each trap names itself.
async fn camunda(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    has_own_servers(options)?;
    let traps = trap::named(rolling::TRAPS, &options.trap)?;
    summary.step(
        "look for databases, balancers, a JDK and Maven",
        tools::install_for_camunda,
    )?;
    let kit = summary.step("build the binaries", rolling::Kit::build)?;
    let mut tally = Tally::loud();
    let springing = rolling::spring(&kit, &traps, &mut tally);
    let result = summary.wait("traps of camunda", springing).await;
    told(traps.len(), result, tally, summary)
}

/// On a site for each method.
async fn of_kuzzle(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    has_own_servers(options)?;
    let traps = trap::named(kuzzle::TRAPS, &options.trap)?;
    summary.step("look for what the site needs", tools::install_for_tests)?;
    let kit = summary.step("build the binaries", kuzzle::Kit::build)?;
    let mut tally = Tally::loud();
    let springing = kuzzle::spring(&kit, &traps, &mut tally);
    let result = summary.wait("traps of kuzzle", springing).await;
    told(traps.len(), result, tally, summary)
}

fn has_own_servers(options: &Options) -> anyhow::Result<()> {
    if options.simulated || !options.server.is_empty() {
        bail!(
            "traps of {} have their own servers: `--server` and `--simulated` are of optimize",
            options.product()
        );
    }
    Ok(())
}

fn told(
    traps: usize,
    result: anyhow::Result<()>,
    mut tally: Tally,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    tally.check("the traps came to their end", result);
    summary.field("traps", traps);
    if !tally.failed().is_empty() {
        summary.field("failed", tally.failed().len());
    }
    tally.into_count().map(drop)
}

async fn optimize(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    let traps = trap::named(trap::TRAPS, &options.trap)?;
    let servers: &[ServerKind] = match (options.simulated, options.server.as_slice()) {
        (true, _) => &[],
        (false, []) => &SERVERS,
        (false, some) => some,
    };
    if !servers.is_empty() {
        summary.step("look for a JDK and Maven", tools::install_for_servers)?;
    }
    plugins::ensure(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    let mut tally = Tally::loud();
    if options.server.is_empty() {
        simulated(&kit, &traps, &mut tally, summary).await;
    }
    real(&kit, servers, &traps, &mut tally, summary).await;
    summary.field("traps", traps.len());
    summary.field("servers", servers.len());
    if servers.is_empty() {
        summary.field("simulated", SIMULATED.len());
    }
    if !tally.failed().is_empty() {
        summary.field("failed", tally.failed().len());
    }
    tally.into_count().map(drop)
}

/// On simulated clusters.
pub(crate) async fn simulated(kit: &Kit, traps: &[Trap], tally: &mut Tally, summary: &Summary) {
    for (at, product) in SIMULATED.into_iter().enumerate() {
        let set: Vec<Trap> = traps
            .iter()
            .filter(|trap| at == 0 || trap.is_by_product())
            .copied()
            .collect();
        if set.is_empty() {
            continue;
        }
        let what = format!("traps on a simulated {product:?}");
        let result = summary
            .wait(&what, on_simulated(kit, product, &set, tally))
            .await;
        tally.check("the traps came to their end", result);
    }
}

async fn on_simulated(
    kit: &Kit,
    product: Imitated,
    traps: &[Trap],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let ground = Ground::simulated(product).await?;
    tally.about(&ground.name);
    trap::spring(kit, &ground, traps, tally).await
}

/// On real servers.
pub(crate) async fn real(
    kit: &Kit,
    servers: &[ServerKind],
    traps: &[Trap],
    tally: &mut Tally,
    summary: &Summary,
) {
    for kind in servers {
        tally.about(format!("{kind} {}", kind.version()));
        let result = summary
            .wait(
                &format!("traps on {kind}"),
                on_server(kit, *kind, traps, tally),
            )
            .await;
        tally.check("the traps came to their end", result);
    }
}

async fn on_server(
    kit: &Kit,
    kind: ServerKind,
    traps: &[Trap],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    if kind.is_secured() {
        bail!("traps look at requests through a proxy without TLS; name a server without security");
    }
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let server = Server::start(kind, folder.path()).await?;
    tally.note(&format!("started in {} ms", server.start_ms()));
    let ground = Ground::real(&server);
    let result = trap::spring(kit, &ground, traps, tally).await;
    server.stop().await;
    result
}

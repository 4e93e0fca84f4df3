//! `cargo xtask prove`: a product's proof on real servers.

use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::Kit;
use liftlock_e2e::Login;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::proof;
use liftlock_e2e::proof::Position;
use liftlock_e2e::proof::Upgrader;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;

use crate::parts;
use crate::plugins;
use crate::prove_camunda;
use crate::prove_kuzzle;
use crate::prove_nodes;
use crate::prove_optimize;
use crate::summary::Summary;
use crate::tools;

/// What a server without security is told, and ignores, so that there is a password to search for.
const CANARY: &str = "canary-4f1d-must-be-nowhere";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The product.
    product: Product,
    /// Only on this server; may be given again. Without it: on all that the proof knows.
    #[arg(long)]
    server: Vec<ServerKind>,
    /// Only the checks of the strategy `vendor`, with the upgrader of a distribution of Optimize 8.8.0 that you
    /// own, unpacked there. Its folder is copied and stays as it is. The upgrader needs a Java, by JAVA_HOME.
    #[arg(long, value_name = "DIR")]
    distribution: Option<PathBuf>,
    /// Only the checks of the strategy `vendor`, with the stand-in for the vendor's upgrader.
    #[arg(long, conflicts_with = "distribution")]
    vendor: bool,
    /// Only this part of the proof of Camunda, Kuzzle or nodes, or of Optimize's on several nodes; may be given again.
    #[arg(long, conflicts_with_all = ["server", "distribution", "vendor", "ways_out"])]
    part: Vec<String>,
    /// Only the checks of what leads out of a run that went wrong: rollback, takeover, replan.
    #[arg(long, conflicts_with_all = ["distribution", "vendor"])]
    ways_out: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Product {
    /// Camunda Optimize, 3.13 to 8.8.
    Optimize,
    /// Camunda 7, 7.22 to 7.24, engines that serve meanwhile.
    Camunda,
    /// Kuzzle's storage, Elasticsearch 7.17 to 8.19. It needs Node.js 20 to 24.
    Kuzzle,
    /// The nodes of a search cluster alone: OpenSearch 1.3 to 3.3, Elasticsearch 8.19 to 9.4.
    Nodes,
}

impl Options {
    pub(crate) fn product(&self) -> &'static str {
        match self.product {
            Product::Optimize => "optimize",
            Product::Camunda => "camunda",
            Product::Kuzzle => "kuzzle",
            Product::Nodes => "nodes",
        }
    }
}

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    summary.step("look for a JDK and Maven", tools::install_for_servers)?;
    match options.product {
        Product::Camunda => {
            let what = "look for databases and balancers";
            summary.step(what, tools::install_for_camunda)?;
            let plugin = artifacts::camunda_plugin;
            return in_parts::<prove_camunda::Part>(&options.part, plugin, summary).await;
        }
        Product::Kuzzle => {
            let plugin = artifacts::kuzzle_plugin;
            return in_parts::<prove_kuzzle::Part>(&options.part, plugin, summary).await;
        }
        Product::Nodes => {
            let plugin = artifacts::nodes_plugin;
            return in_parts::<prove_nodes::Part>(&options.part, plugin, summary).await;
        }
        Product::Optimize if !options.part.is_empty() => {
            let plugin = artifacts::optimize_plugin;
            return in_parts::<prove_optimize::Part>(&options.part, plugin, summary).await;
        }
        Product::Optimize => {}
    }
    plugins::ensure(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    let distribution = options.distribution.as_deref();
    let upgrader = match distribution {
        Some(folder) => Some(Upgrader::distribution(folder)?),
        None if options.vendor => Some(Upgrader::stand_in()?),
        None => None,
    };
    let kinds = match (options.server.as_slice(), &upgrader) {
        ([], None) if options.ways_out => &OF_THE_VENDOR,
        ([], None) => &ServerKind::ALL[..],
        ([], Some(_)) => &OF_THE_VENDOR,
        (some, _) => some,
    };
    let tally = match &upgrader {
        None if options.ways_out => ways_out_of(&kit, kinds, summary).await?,
        None => {
            let mut tally = optimize(&kit, kinds, Extent::Whole, summary).await?;
            if options.server.is_empty() {
                let parts = <prove_optimize::Part as clap::ValueEnum>::value_variants();
                let (liftlock, plugin) = (&kit.liftlock, &kit.plugin);
                parts::prove(liftlock, plugin, parts, &mut tally, summary).await;
            }
            tally
        }
        Some(upgrader) => by_the_vendor(&kit, kinds, upgrader, summary).await?,
    };
    summary.field("servers", kinds.len());
    summary.field("checks", tally.passed());
    summary.field("failed", tally.failed().len());
    tally.into_count().map(drop)
}

/// The parts of these names; all where none is named.
fn named_parts<P: clap::ValueEnum + Copy>(named: &[String]) -> anyhow::Result<Vec<P>> {
    if named.is_empty() {
        return Ok(P::value_variants().to_vec());
    }
    let of = |name: &String| {
        P::from_str(name, false).map_err(|_| {
            let known: Vec<String> = P::value_variants()
                .iter()
                .filter_map(|part| Some(part.to_possible_value()?.get_name().to_owned()))
                .collect();
            anyhow::anyhow!("`--part {name}`: the parts are {}", known.join(", "))
        })
    };
    named.iter().map(of).collect()
}

/// A proof in parts: those of these names.
async fn in_parts<P: parts::Part + clap::ValueEnum>(
    named: &[String],
    plugin: impl FnOnce() -> anyhow::Result<Component>,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let parts = named_parts::<P>(named)?;
    let plugin = summary.step("build the plugin", plugin)?;
    let liftlock = summary.step("build the binary", artifacts::liftlock)?;
    let mut tally = Tally::loud();
    parts::prove(&liftlock, &plugin, &parts, &mut tally, summary).await;
    summary.field("parts", parts.len());
    summary.field("checks", tally.passed());
    summary.field("failed", tally.failed().len());
    tally.into_count().map(drop)
}

/// Proves the Optimize plugin on these servers. An error of one does not keep the next from being
/// looked at: it is a failed check.
pub(crate) async fn optimize(
    kit: &Kit,
    kinds: &[ServerKind],
    extent: Extent,
    summary: &Summary,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::loud();
    for kind in kinds {
        tally.about(format!("{kind} {}", kind.version()));
        let result = summary
            .wait(
                &format!("prove optimize on {kind}"),
                on(*kind, kit, extent, &mut tally),
            )
            .await;
        tally.check("the proof came to its end", result);
    }
    Ok(tally)
}

/// How much is proved on each server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything on each.
    Whole,
    /// Everything, each on one of the two that the product's vendor names first: what CI has time for.
    Shared,
}

/// The two that the product's vendor names first.
const OF_THE_VENDOR: [ServerKind; 2] = [ServerKind::OpenSearch2, ServerKind::Elasticsearch8];

/// The checks of the strategy `vendor` alone.
async fn by_the_vendor(
    kit: &Kit,
    kinds: &[ServerKind],
    upgrader: &Upgrader,
    summary: &Summary,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::loud();
    for kind in kinds {
        tally.about(format!("{kind} {}", kind.version()));
        let what = format!("prove optimize on {kind} with the vendor's upgrader");
        let proof = async {
            let folder = tempfile::tempdir().context("cannot make a folder")?;
            let server = Server::start(*kind, folder.path()).await?;
            let stage = stage(kit, &server).await?;
            let result = vendor(&stage, upgrader, &mut tally).await;
            server.stop().await;
            result
        };
        let result = summary.wait(&what, proof).await;
        tally.check("the proof came to its end", result);
    }
    Ok(tally)
}

/// The checks of the ways out of a run alone.
async fn ways_out_of(kit: &Kit, kinds: &[ServerKind], summary: &Summary) -> anyhow::Result<Tally> {
    let mut tally = Tally::loud();
    for kind in kinds {
        tally.about(format!("{kind} {}", kind.version()));
        let what = format!("prove optimize on {kind}, the ways out of a run");
        let proof = async {
            let folder = tempfile::tempdir().context("cannot make a folder")?;
            let server = Server::start(*kind, folder.path()).await?;
            let stage = stage(kit, &server).await?;
            let mut result = ways_out(&stage, &mut tally).await;
            if result.is_ok() {
                result = heap(&stage, &server, &mut tally).await;
            }
            server.stop().await;
            result
        };
        let result = summary.wait(&what, proof).await;
        tally.check("the proof came to its end", result);
    }
    Ok(tally)
}

/// What leads out of a run that went wrong.
async fn ways_out(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    proof::goes_back_after_the_point_of_no_return(stage, tally).await?;
    proof::goes_back_before_the_point_of_no_return(stage, tally).await?;
    proof::is_taken_over(stage, tally).await?;
    proof::goes_on_by_another_plan(stage, tally).await
}

/// The last on a server, which is another process afterwards. The lab's OpenSearch has its heap from the command
/// line, where no edit of a file reaches it.
async fn heap(stage: &Stage, server: &Server, tally: &mut Tally) -> anyhow::Result<()> {
    if server.kind() == ServerKind::Elasticsearch8 {
        proof::raises_the_heap_of_its_database(stage, server, tally).await?;
    }
    Ok(())
}

async fn on(kind: ServerKind, kit: &Kit, extent: Extent, tally: &mut Tally) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let server = Server::start(kind, folder.path()).await?;
    tally.note(&format!("started in {} ms", server.start_ms()));
    let result = match kind {
        // The two that the product's vendor names first.
        ServerKind::Elasticsearch8 => {
            upgrades_and_ways_out(kit, &server, tally).await?;
            if extent == Extent::Whole {
                longer_ways(kit, &server, tally).await?;
            }
            heap(&stage(kit, &server).await?, &server, tally).await
        }
        ServerKind::OpenSearch2 => {
            if extent == Extent::Whole {
                upgrades_and_ways_out(kit, &server, tally).await?;
            }
            longer_ways(kit, &server, tally).await
        }
        ServerKind::OpenSearch3 => without_restores(kit, &server, tally).await,
        ServerKind::Elasticsearch8Secured => secured(kit, &server, tally).await,
        other => Err(anyhow::anyhow!(
            "Optimize does not run on {other}; see `--help`"
        )),
    };
    server.stop().await;
    result
}

async fn stage(kit: &Kit, server: &Server) -> anyhow::Result<Stage> {
    let login = Login::Basic {
        user: "nobody".into(),
        password: CANARY.into(),
    };
    let stage = Stage::new(kit, server.target(), &server.repo_dir()).await?;
    Ok(stage.with_login(login))
}

/// One upgrade: cleanly, refused, killed, taken back, taken over.
async fn upgrades_and_ways_out(
    kit: &Kit,
    server: &Server,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let stage = stage(kit, server).await?;
    proof::upgrades_cleanly(&stage, tally).await?;
    let other = Simulated::start().await?;
    let other = Stage::new(kit, other.target(), &other.repository()).await?;
    proof::refuses_what_is_not_approved(&stage, &other, tally).await?;
    for position in &Position::PROOF {
        proof::goes_on_after_a_kill(&stage, position, tally).await?;
    }
    ways_out(&stage, tally).await
}

/// Hop by hop from 3.13, with updates of indices, and by the vendor's upgrader.
async fn longer_ways(kit: &Kit, server: &Server, tally: &mut Tally) -> anyhow::Result<()> {
    let stage = stage(kit, server).await?;
    proof::goes_hop_by_hop(&stage, tally).await?;
    proof::updates_an_index_through_kills(&stage, &proof::OF_AN_UPDATE[..1], tally).await?;
    proof::goes_back_from_an_index_update(&stage, tally).await?;
    let with_hop = self::stage(&kit.with_hop_for_tests()?, server).await?;
    proof::renews_many_indices_under_readers(&with_hop, tally).await?;
    vendor(&stage, &Upgrader::stand_in()?, tally).await
}

/// A real upgrader does not stop or lie when a test wants it to, so that only the stand-in is put to that.
async fn vendor(stage: &Stage, upgrader: &Upgrader, tally: &mut Tally) -> anyhow::Result<()> {
    proof::upgrades_by_the_vendors_tool(stage, upgrader, tally).await?;
    if upgrader.is_stand_in() {
        proof::finds_its_upgrader_again(stage, upgrader, tally).await?;
        proof::runs_again_an_upgrader_that_died(stage, upgrader, tally).await?;
        proof::goes_on_natively_with_its_work(stage, upgrader, tally).await?;
        proof::finds_out_a_lying_upgrader(stage, upgrader, false, tally).await?;
        proof::takes_the_vendors_work_back(stage, upgrader, tally).await?;
    }
    Ok(())
}

/// OpenSearch 3.3 cannot restore a sorted index that holds documents (its issue 20073, mended in 3.5), and
/// Optimize has one. So its snapshots are no backups: that has to be found, and the upgrade needs a
/// waiver.
async fn without_restores(kit: &Kit, server: &Server, tally: &mut Tally) -> anyhow::Result<()> {
    let stage = stage(kit, server).await?;
    let says = "no parent document field configured";
    proof::finds_a_backup_that_cannot_be_restored(&stage, says, tally).await?;
    proof::upgrades_with_a_waiver(&stage.without_backups(), tally).await
}

/// Over TLS with the server's own authority, so past the proxy: once with a password, once with an
/// API key.
async fn secured(kit: &Kit, server: &Server, tally: &mut Tally) -> anyhow::Result<()> {
    let (Some(credentials), Some(authority)) = (server.credentials(), server.authority()) else {
        bail!("the secured server has no credentials");
    };
    let logins = [
        Login::Basic {
            user: credentials.user.clone(),
            password: credentials.password.reveal().into(),
        },
        Login::ApiKey(credentials.api_key.reveal().into()),
    ];
    for login in logins {
        tally.note(match login {
            Login::ApiKey(_) => "with an API key",
            _ => "with a password",
        });
        let stage = Stage::new(kit, server.target(), &server.repo_dir())
            .await?
            .with_login(login)
            .direct(server.base_url(), &authority.path);
        proof::upgrades_cleanly(&stage, tally).await?;
    }
    Ok(())
}

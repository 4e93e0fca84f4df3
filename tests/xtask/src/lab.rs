//! `cargo xtask lab`: real servers with an Optimize site, or Camunda engines with their database and
//! balancer, that stay until they are taken down.

use std::path::PathBuf;

use anyhow::bail;
use liftlock_e2e::artifacts;
use liftlock_lab::DatabaseKind;
use liftlock_lab::ServerKind;
use liftlock_lab::Shape;
use liftlock_lab::SiteSpec;
use liftlock_lab::SiteStatus;
use liftlock_lab::camunda;
use liftlock_lab::camunda::CamundaSite;
use liftlock_lab::camunda::CamundaSpec;
use liftlock_lab::camunda::CamundaStatus;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::sites;

use crate::summary::Summary;
use crate::tools;

/// The name that stands for engines rather than for a search server, without a further word.
const CAMUNDA: &str = "camunda";

/// Lines of a server's log that `lab logs` shows.
const LOG_LINES: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Start a server and build an Optimize site on it; or, as site `camunda` or with one of
    /// `--database`, `--engine` and `--nodes`, engines behind HAProxy with a seeded database.
    Up {
        /// The site's name.
        site: String,
        /// Which server: opensearch-2 (without this), opensearch-3, elasticsearch-8,
        /// elasticsearch-8-secured, or one of their neighbours: opensearch-1, elasticsearch-7.10,
        /// elasticsearch-7, elasticsearch-9.
        #[arg(long)]
        server: Option<ServerKind>,
        /// The line whose schema the site has: 8.7 or 3.13.
        #[arg(long, default_value = "8.7")]
        shape: Shape,
        /// So many process definitions in place of the two.
        #[arg(long)]
        processes: Option<usize>,
        /// Build no site on it.
        #[arg(long, conflicts_with_all = ["shape", "processes"])]
        empty: bool,
        #[command(flatten)]
        engines: Engines,
    },
    /// End a site's server and remove its data.
    Down {
        /// The site's name.
        site: String,
    },
    /// Say what is up.
    Status {
        /// The site's name; without it, all of them.
        site: Option<String>,
    },
    /// Show the end of a site's server log.
    Logs {
        /// The site's name.
        site: String,
    },
}

/// What makes a site one of engines.
#[derive(Debug, clap::Args)]
pub(crate) struct Engines {
    /// Their database: postgresql (without this) or mariadb.
    #[arg(long, conflicts_with_all = SEARCH_ONLY)]
    database: Option<DatabaseKind>,
    /// Which engine every node has: 7.21, 7.22 (without this), 7.23, 7.24.
    #[arg(long, conflicts_with_all = SEARCH_ONLY)]
    engine: Option<EngineVersion>,
    /// How many nodes: 3 without this.
    #[arg(long, conflicts_with_all = SEARCH_ONLY)]
    nodes: Option<usize>,
}

/// Options of a site with a search server.
const SEARCH_ONLY: [&str; 4] = ["server", "shape", "processes", "empty"];

impl Engines {
    /// The site to be made, if it is one of engines.
    fn spec(&self, site: &str, server: Option<ServerKind>) -> Option<CamundaSpec> {
        let is_meant = self.database.is_some() || self.engine.is_some() || self.nodes.is_some();
        if !is_meant && (site != CAMUNDA || server.is_some()) {
            return None;
        }
        let usual = CamundaSpec::default();
        Some(CamundaSpec {
            version: self.engine.unwrap_or(usual.version),
            database: self.database.unwrap_or(usual.database),
            nodes: self.nodes.unwrap_or(usual.nodes),
            ..usual
        })
    }
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Up { .. } => "up",
            Self::Down { .. } => "down",
            Self::Status { .. } => "status",
            Self::Logs { .. } => "logs",
        }
    }
}

/// The folder of all lab sites.
pub(crate) fn lab_root() -> PathBuf {
    artifacts::root().join(".lab")
}

pub(crate) async fn run(command: Command, summary: &mut Summary) -> anyhow::Result<()> {
    match command {
        Command::Up {
            site,
            server,
            shape,
            processes,
            empty,
            engines,
        } => {
            if let Some(spec) = engines.spec(&site, server) {
                return up_camunda(&site, &spec, summary).await;
            }
            let spec = SiteSpec::of(shape);
            let spec = match processes {
                Some(count) => spec.with_processes(count),
                None => spec,
            };
            let server = server.unwrap_or(ServerKind::OpenSearch2);
            up(&site, server, (!empty).then_some(&spec), summary).await
        }
        Command::Down { site } => {
            let engines = camunda::site::down(&lab_root(), &site).await?;
            if engines != CamundaStatus::Absent {
                println!("   {site} was {}; it is gone", shown_camunda(&engines));
                return Ok(());
            }
            let before = sites::down(&lab_root(), &site).await?;
            if before == SiteStatus::Absent {
                bail!("there is no lab site `{site}`");
            }
            println!("   {site} was {}; it is gone", shown(&before));
            Ok(())
        }
        Command::Status { site } => {
            let names = match site {
                Some(name) => vec![name],
                None => sites::names(&lab_root())?,
            };
            let mut up = 0;
            for name in &names {
                let engines = camunda::site::status(&lab_root(), name)?;
                if engines != CamundaStatus::Absent {
                    up += usize::from(matches!(engines, CamundaStatus::Up(_)));
                    println!("   {name}: {}", shown_camunda(&engines));
                    continue;
                }
                let status = sites::status(&lab_root(), name)?;
                up += usize::from(matches!(status, SiteStatus::Up(_)));
                println!("   {name}: {}", shown(&status));
            }
            summary.field("sites", names.len());
            summary.field("up", up);
            Ok(())
        }
        Command::Logs { site } => {
            let text = match camunda::site::status(&lab_root(), &site)? {
                CamundaStatus::Absent => sites::logs(&lab_root(), &site, LOG_LINES)?,
                _ => camunda::site::logs(&lab_root(), &site, LOG_LINES)?,
            };
            println!("{text}");
            Ok(())
        }
    }
}

async fn up(
    site: &str,
    server: ServerKind,
    spec: Option<&SiteSpec>,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    summary.step("look for a JDK and Maven", tools::install_for_servers)?;
    let what = format!("start {server} {}", server.version());
    let up = summary
        .wait(&what, async {
            Ok(sites::up(&lab_root(), site, server, spec).await?)
        })
        .await?;
    println!("   {}", shown(&SiteStatus::Up(Box::new(up.clone()))));
    println!("   log {}", up.log.display());
    println!("   end it by: cargo xtask lab down {site}");
    summary.field("url", &up.base_url);
    summary.field("pid", up.pid());
    Ok(())
}

async fn up_camunda(name: &str, spec: &CamundaSpec, summary: &mut Summary) -> anyhow::Result<()> {
    summary.step(
        "look for databases, balancers, a JDK and Maven",
        tools::install_for_camunda,
    )?;
    let what = format!(
        "start {} nodes of Camunda {} on {}",
        spec.nodes, spec.version, spec.database
    );
    let site = summary
        .wait(&what, async {
            Ok(camunda::site::up(&lab_root(), name, spec).await?)
        })
        .await?;
    show(&site);
    summary.field("url", &site.base_url);
    summary.field("nodes", site.nodes.len());
    Ok(())
}

fn show(site: &CamundaSite) {
    println!("   clients {}/engine-rest", site.base_url);
    for node in &site.nodes {
        println!(
            "   node {} http://127.0.0.1:{}/engine-rest, started in {} ms, folder {}",
            node.name,
            node.port,
            node.start_ms,
            node.dir.display()
        );
    }
    println!(
        "   HAProxy's runtime API 127.0.0.1:{} and {}",
        site.runtime_port,
        site.runtime_socket.display()
    );
    println!(
        "   {} 127.0.0.1:{}, database `{}`, template `{}`, passwords in {}",
        site.database,
        site.database_port,
        camunda::site::DATABASE_NAME,
        camunda::seed::TEMPLATE,
        site.passwords_file().display()
    );
    println!("   end it by: cargo xtask lab down {}", site.name);
}

fn shown_camunda(status: &CamundaStatus) -> String {
    let of = |site: &CamundaSite| {
        format!(
            "{} nodes of Camunda {} on {}",
            site.nodes.len(),
            site.version,
            site.database
        )
    };
    match status {
        CamundaStatus::Absent => "absent".into(),
        CamundaStatus::Starting(count) => format!("starting, {count} servers run"),
        CamundaStatus::Up(site) => format!("up, {} at {}", of(site), site.base_url),
        CamundaStatus::Broken(site, gone) => {
            format!("broken ({}), without {}", of(site), gone.join(", "))
        }
    }
}

fn shown(status: &SiteStatus) -> String {
    match status {
        SiteStatus::Absent => "absent".into(),
        SiteStatus::Starting(process) => format!("starting, process {}", process.pid),
        SiteStatus::Dead(site) => format!("dead ({} {})", site.kind, site.kind.version()),
        SiteStatus::Up(site) => format!(
            "up, {} {} at {}, process {}{}",
            site.kind,
            site.kind.version(),
            site.base_url,
            site.pid(),
            match &site.site_prefix {
                Some(prefix) => format!(", Optimize site `{prefix}`"),
                None => ", no site".into(),
            }
        ),
    }
}

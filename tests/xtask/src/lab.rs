//! `cargo xtask lab`: real servers with an Optimize site that stay until they are taken down.

use std::path::PathBuf;

use anyhow::bail;
use liftlock_e2e::artifacts;
use liftlock_lab::ServerKind;
use liftlock_lab::Shape;
use liftlock_lab::SiteSpec;
use liftlock_lab::SiteStatus;
use liftlock_lab::sites;

use crate::summary::Summary;
use crate::tools;

/// Lines of a server's log that `lab logs` shows.
const LOG_LINES: usize = 100;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Start a server and build an Optimize site on it.
    Up {
        /// The site's name.
        site: String,
        /// Which server: opensearch-2, opensearch-3, elasticsearch-8, elasticsearch-8-secured.
        #[arg(long, default_value = "opensearch-2")]
        server: ServerKind,
        /// The line whose schema the site has: 8.7 or 3.13.
        #[arg(long, default_value = "8.7")]
        shape: Shape,
        /// So many process definitions in place of the two.
        #[arg(long)]
        processes: Option<usize>,
        /// Build no site on it.
        #[arg(long, conflicts_with_all = ["shape", "processes"])]
        empty: bool,
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
        } => {
            let spec = SiteSpec::of(shape);
            let spec = match processes {
                Some(count) => spec.with_processes(count),
                None => spec,
            };
            up(&site, server, (!empty).then_some(&spec), summary).await
        }
        Command::Down { site } => {
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
                let status = sites::status(&lab_root(), name)?;
                up += usize::from(matches!(status, SiteStatus::Up(_)));
                println!("   {name}: {}", shown(&status));
            }
            summary.field("sites", names.len());
            summary.field("up", up);
            Ok(())
        }
        Command::Logs { site } => {
            println!("{}", sites::logs(&lab_root(), &site, LOG_LINES)?);
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

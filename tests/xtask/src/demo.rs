//! `cargo xtask demo`: a site is built and upgraded, with every command and every phase visible.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::bail;
use liftlock_e2e::Kit;
use liftlock_e2e::Simulated;
use liftlock_e2e::stage::Pretend;
use liftlock_e2e::stage::REPOSITORY;
use liftlock_e2e::stage::write;
use liftlock_lab::HttpTarget;
use liftlock_lab::LabError;
use liftlock_lab::ServerKind;
use liftlock_lab::SiteSpec;
use liftlock_lab::sites;
use serde_json::json;

use crate::lab::lab_root;
use crate::plugins;
use crate::summary::Summary;
use crate::tools;

/// Name of the lab site.
const SITE: &str = "demo";

/// What the demo upgrades to.
const TO: &str = "8.8.0";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Take the embedded simulated cluster even where a real server could be started.
    #[arg(long)]
    simulated: bool,
}

/// The cluster that is upgraded.
enum Cluster {
    /// A real server, which stays up afterwards.
    Real(Box<liftlock_lab::LabSite>),
    /// Inside this process, so it ends with the demo.
    Simulated(Simulated),
}

impl Cluster {
    fn target(&self) -> anyhow::Result<HttpTarget> {
        Ok(match self {
            Self::Real(site) => site.target()?,
            Self::Simulated(simulated) => simulated.target().clone(),
        })
    }

    fn repository(&self) -> PathBuf {
        match self {
            Self::Real(site) => site.repo_dir.clone(),
            Self::Simulated(simulated) => simulated.repository(),
        }
    }
}

/// Folders and programs of the operator in the demo.
struct Operator {
    liftlock: PathBuf,
    site: PathBuf,
    state: PathBuf,
}

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    plugins::ensure(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    let cluster = summary
        .wait("bring up a cluster with an 8.7 site", bring_up(options))
        .await?;
    let target = cluster.target()?;
    summary.field(
        "cluster",
        match &cluster {
            Cluster::Real(site) => site.kind.name(),
            Cluster::Simulated(_) => "simulated",
        },
    );

    let folder = lab_root().join("demo_operator");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove what the last demo left")?;
    }
    let [site, state, config] = ["site", "state", "config"].map(|name| folder.join(name));
    for dir in [&site, &config] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    }
    write(
        &config.join("environment-config.yaml"),
        "---\nsecurity: {}\n",
    )?;
    let location = cluster.repository().join(REPOSITORY);
    let repository =
        json!({ "type": "fs", "settings": { "location": location.to_string_lossy() } });
    target
        .put(&format!("/_snapshot/{REPOSITORY}"), &repository)
        .await?;
    let optimize = Pretend::start(&kit.pretend, &folder.join("optimize.pid"))?;
    let operator = Operator {
        liftlock: kit.liftlock.clone(),
        site,
        state,
    };
    let plugin = kit.plugin.path.display().to_string();
    summary.step("upgrade it", || {
        upgrade(&operator, &plugin, target.base_url(), &config, &optimize)
    })?;

    let metadata = target.get("/optimize-metadata/_doc/1").await?;
    let version = metadata["_source"]["schemaVersion"].clone();
    println!("\nThe cluster itself says: schemaVersion {version}");
    if version != TO {
        bail!("the schema version is {version}, not {TO}");
    }
    summary.field("from", "8.7.0");
    summary.field("to", TO);
    say_what_next(&operator, &cluster);
    Ok(())
}

/// A real server where one can be had, else the simulated one, with what is in the way.
async fn bring_up(options: &Options) -> anyhow::Result<Cluster> {
    let spec = SiteSpec::default();
    if !options.simulated {
        // What the last demo left running.
        sites::down(&lab_root(), SITE).await?;
        match sites::up(&lab_root(), SITE, ServerKind::OpenSearch2, Some(&spec)).await {
            Ok(site) => {
                println!(
                    "   a real {} {} at {}",
                    site.kind,
                    site.kind.version(),
                    site.base_url
                );
                println!("   the embedded simulated cluster instead: cargo xtask demo --simulated");
                return Ok(Cluster::Real(Box::new(site)));
            }
            Err(error @ LabError::Missing { .. }) => {
                println!("   no real server here: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    let simulated = Simulated::start().await?;
    liftlock_lab::build(simulated.target(), &spec).await?;
    println!(
        "   the embedded simulated cluster at {}",
        simulated.target().base_url()
    );
    println!(
        "   a real OpenSearch node instead: a JDK of version 17 to 23 and Maven \
         (apt-get install maven openjdk-17-jdk-headless), then `cargo xtask demo` again"
    );
    Ok(Cluster::Simulated(simulated))
}

fn upgrade(
    operator: &Operator,
    plugin: &str,
    url: &str,
    config: &Path,
    optimize: &Pretend,
) -> anyhow::Result<()> {
    say("An operator begins with the vendor's plugin and the address of the cluster.");
    operator.run(&[
        "init",
        "--plugin",
        plugin,
        "--allow-unsigned",
        "--cluster",
        url,
        "--name",
        SITE,
        "--set",
        "neighbours=optimize-team-a",
    ])?;
    say(
        "site.toml has what could be seen. What could not is added by hand: the configuration's folder, and Optimize.",
    );
    let file = operator.site.join("site.toml");
    let mut text = fs::read_to_string(&file).context("init wrote no site.toml")?;
    let added = format!(
        "\n[disk.config]\npath = \"{}\"\n\n{}",
        config.display(),
        optimize.site_toml()
    );
    for line in added.trim().lines() {
        println!("    {line}");
    }
    text.push_str(&added);
    write(&file, &text)?;

    say("The plugin can read and propose what it is granted, and nothing else.");
    operator.run(&["grant", "--yes"])?;
    say("What stands in the way, and the plan: nothing has been changed yet.");
    operator.run(&["check", TO])?;
    operator.run(&["plan", TO])?;
    let plan = operator.plan()?;
    say("A person looks at the plan and agrees to exactly this one.");
    operator.run(&["approve", &plan])?;
    say("The run: each change is written down before and after.");
    operator.run(&["run", &plan])?;
    if optimize.is_running() {
        bail!("the stand-in for Optimize still runs");
    }
    say("What was done is on record, and the record is whole.");
    operator.run(&["history"])?;
    let run = operator.last_run()?;
    operator.run(&["audit", &run, "--verify"])
}

fn say(text: &str) {
    println!("\n# {text}");
}

impl Operator {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.liftlock);
        command
            .args(arguments)
            .env("LIFTLOCK_SITE", &self.site)
            .env("LIFTLOCK_STATE", &self.state)
            .current_dir(&self.site)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that the person at the screen sees as if they had typed it.
    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let shown: Vec<&str> = arguments
            .iter()
            .map(|word| word.rsplit('/').next().unwrap_or(word))
            .collect();
        // An address keeps its slashes.
        let shown: Vec<&str> = arguments
            .iter()
            .zip(shown)
            .map(|(whole, last)| {
                if whole.starts_with("http") {
                    whole
                } else {
                    last
                }
            })
            .collect();
        println!("\n$ liftlock {}", shown.join(" "));
        let ended = self
            .command(arguments)
            .status()
            .context("cannot run liftlock")?;
        if !ended.success() {
            bail!("`liftlock {}` ended with {ended}", shown.join(" "));
        }
        Ok(())
    }

    fn plan(&self) -> anyhow::Result<String> {
        let dir = self.site.join("plans");
        for entry in fs::read_dir(&dir).context("no plan was written")? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                return Ok(path.display().to_string());
            }
        }
        bail!("there is no plan in `{}`", dir.display())
    }

    fn last_run(&self) -> anyhow::Result<String> {
        let told = self.command(&["history", "--json"]).output()?;
        let answer: serde_json::Value = serde_json::from_slice(&told.stdout)?;
        answer["data"]["runs"]
            .as_array()
            .and_then(|runs| runs.last()?["run"].as_str())
            .map(str::to_owned)
            .context("no run in the history")
    }
}

fn say_what_next(operator: &Operator, cluster: &Cluster) {
    println!("\n# Next, in a shell:");
    println!("export LIFTLOCK_SITE={}", operator.site.display());
    println!("export LIFTLOCK_STATE={}", operator.state.display());
    let liftlock = operator.liftlock.display();
    println!(
        "{liftlock} history            # and: audit RUN, status RUN, show PLAN --markdown, explain changes"
    );
    match cluster {
        Cluster::Real(site) => {
            println!("{liftlock} plan {TO}         # nothing is left to do");
            println!("curl {}/optimize-update-log/_search?pretty", site.base_url);
            println!("cargo xtask lab down {SITE}   # ends the server");
        }
        Cluster::Simulated(_) => println!("# the simulated cluster ended with this demo"),
    }
    if tools::on_path("mvn").is_none() {
        println!("# for a real server: apt-get install maven openjdk-17-jdk-headless");
    }
}

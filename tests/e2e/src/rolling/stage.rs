//! A Camunda 7 site as an operator has it: engines that run from folders which can be switched, a balancer before them,
//! a database behind them, and `site.toml` for all of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::BehindIt;
use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::HttpTarget;
use liftlock_lab::Login;
use liftlock_lab::camunda::EngineDatabase;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::NodeSpec;
use liftlock_lab::camunda::PgJdbc;
use liftlock_lab::camunda::Seed;
use liftlock_lab::camunda::StartCommand;
use liftlock_lab::camunda::schema;
use liftlock_lab::camunda::seed::TEMPLATE;
use tempfile::TempDir;

use super::backup::Backup;
use super::front::Front;
use super::front::FrontKind;
use crate::artifacts::Component;
use crate::machine;
use crate::operator::Operator;

/// Name of the site in `site.toml`.
const SITE: &str = "engines";

/// The database of the engines.
pub const DATABASE: &str = "camunda";

/// Variables with the password of the database's owner, for Liftlock and for the engines that it starts.
pub(super) const PASSWORD: &str = "LIFTLOCK_LAB_DATABASE_PASSWORD";

/// Longest start of an engine: 7 s on a quiet machine of two cores, 125 s were seen on a busy one.
const START_PATIENCE: Duration = Duration::from_secs(180);

/// Between two looks at an engine that starts or stops.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A process of the seed that ends by itself, through a job.
const CANARY: &str = "batch";

/// What a site is to be.
#[derive(Clone, Copy, Debug)]
pub struct RollingSpec {
    /// What runs there.
    pub from: EngineVersion,
    /// What lies ready beside it.
    pub to: EngineVersion,
    /// Which database.
    pub database: DatabaseKind,
    /// How many engines: `n1`, `n2`, ...
    pub nodes: usize,
    /// How many of them go at a time.
    pub group: usize,
    /// How many of them the plan always leaves.
    pub minimum: usize,
    /// How PostgreSQL's driver is set.
    pub pgjdbc: PgJdbc,
    /// What spreads the requests.
    pub front: FrontKind,
    /// A dump is bound, and a scratch database to try it in.
    pub backup: bool,
}

impl RollingSpec {
    /// Three nodes on PostgreSQL, one at a time.
    pub const THREE: Self = Self {
        from: EngineVersion::V7_22,
        to: EngineVersion::V7_23,
        database: DatabaseKind::PostgreSql,
        nodes: 3,
        group: 1,
        minimum: 1,
        pgjdbc: PgJdbc::ConservativeAutosave,
        front: FrontKind::HaProxy,
        backup: false,
    };
}

/// One engine of a site.
#[derive(Debug)]
pub struct RollingNode {
    /// Its name in the balancer and in `site.toml`.
    pub name: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The folder with `current` and `versions`.
    pub(super) dir: PathBuf,
    database: &'static str,
}

impl RollingNode {
    /// Its REST interface, directly.
    pub fn rest(&self) -> anyhow::Result<HttpTarget> {
        Ok(HttpTarget::new(format!(
            "http://127.0.0.1:{}/engine-rest",
            self.port
        ))?)
    }

    /// What runs it.
    pub(super) async fn java(
        &self,
        server: &DatabaseServer,
        spec: RollingSpec,
    ) -> anyhow::Result<PathBuf> {
        Ok(start_command(self, server, spec.from, spec).await?.program)
    }

    /// The version whose folder it runs from.
    pub fn current(&self) -> anyhow::Result<String> {
        let link = self.dir.join("current");
        let to = fs::read_link(&link).with_context(|| format!("`{}`", link.display()))?;
        let name = to.file_name().map(|name| name.to_string_lossy());
        Ok(name.unwrap_or_default().into_owned())
    }

    /// Processes that run as this engine, whoever started them.
    fn pids(&self) -> Vec<u32> {
        let arguments = format!("@{}/current/java.args", self.dir.display());
        machine::processes(|words| words.contains(&arguments.as_bytes()))
    }
}

impl Drop for RollingNode {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
        }
    }
}

/// A running site, and an operator who knows nothing of it yet.
#[derive(Debug)]
pub struct RollingSite {
    /// The engines; first, as they end before what they use.
    pub nodes: Vec<RollingNode>,
    /// Before them.
    pub balancer: Front,
    /// Behind them.
    pub database: DatabaseServer,
    /// What it was to be.
    pub spec: RollingSpec,
    /// Who runs the commands.
    pub operator: Operator,
    plugin: Component,
    folder: TempDir,
}

impl RollingSite {
    /// Starts everything, one engine after another.
    pub async fn start(
        liftlock: &Path,
        plugin: &Component,
        spec: RollingSpec,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let data = folder.path().join("database");
        Seed::new(spec.from, spec.database)
            .lay(&data, &folder.path().join("seed"))
            .await?;
        let database = DatabaseServer::start(spec.database, &data).await?;
        database.address().copy(TEMPLATE, DATABASE).await?;
        let mut nodes = Vec::new();
        for number in 1..=spec.nodes {
            let node = install(folder.path(), number, &database, DATABASE, spec).await?;
            start(&node, &database).await?;
            nodes.push(node);
        }
        let dir = folder.path().join("balancer");
        let balancer = Front::start(spec.front, &dir, &behind(&nodes)).await?;
        let [site, state, engine] =
            ["site", "state", "engine"].map(|name| folder.path().join(name));
        for dir in [&site, &engine] {
            fs::create_dir(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        }
        let jar = schema::engine_jar(spec.to).await?;
        let name = jar.file_name().context("the jar's name")?;
        fs::copy(&jar, engine.join(name)).context("cannot copy the engine's jar")?;
        if spec.backup {
            Backup::prepare(&database, folder.path()).await?;
        }
        let secret = database.address().password(Login::Owner);
        let operator = Operator::new(liftlock, &site, &state).env(PASSWORD, secret.reveal());
        let this = Self {
            nodes,
            balancer,
            database,
            spec,
            operator,
            plugin: plugin.clone(),
            folder,
        };
        fs::write(site.join("site.toml"), this.site_toml().await?)?;
        Ok(this)
    }

    /// The plugin's file.
    pub fn plugin(&self) -> &Path {
        &self.plugin.path
    }

    /// A folder for whatever a test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops and starts an engine without Liftlock: how long it takes until it answers, and reads its database.
    pub async fn bounce(&self, node: &RollingNode) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for pid in node.pids() {
            let told = Command::new("kill").arg(pid.to_string()).status()?;
            anyhow::ensure!(told.success(), "cannot stop `{}`", node.name);
        }
        while !node.pids().is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        start(node, &self.database).await?;
        node.rest()?.get("/job/count").await?;
        Ok(begun.elapsed())
    }

    /// Runs SQL on the engines' database, as its owner; the answer as the server's own client prints it.
    pub async fn sql(&self, sql: &str) -> anyhow::Result<String> {
        Ok(self.database.address().sql(DATABASE, sql).await?)
    }

    async fn site_toml(&self) -> anyhow::Result<String> {
        let mut text = format!(
            "name = \"{SITE}\"\nproduct-plugin = \"camunda-7\"\n\n\
             [options]\ngroup = \"{}\"\nminimum-available = \"{}\"\ncanary-process = \"{CANARY}\"\nsoak-seconds = 1\ncached-plans = \"{}\"\n\
             backup = \"{}\"\n\n\
             {}[disk.engine]\npath = \"{}\"\n\n\
             {}\n",
            self.spec.group,
            self.spec.minimum,
            match self.spec.pgjdbc {
                PgJdbc::ConservativeAutosave => "safe",
                PgJdbc::Default => "accepted",
            },
            if self.spec.backup { "required" } else { "none" },
            database_toml(&self.database, DATABASE),
            self.folder.path().join("engine").display(),
            self.balancer.site_toml()?,
        );
        if self.spec.backup {
            text.push_str(&Backup::site_toml(
                &self.database,
                self.folder.path(),
                PASSWORD,
            )?);
        }
        for node in &self.nodes {
            text.push_str(&node_toml(node, &self.database, self.spec).await?);
        }
        Ok(text)
    }
}

/// What a balancer has behind it.
pub(super) fn behind(nodes: &[RollingNode]) -> Vec<BehindIt> {
    let nodes = nodes.iter();
    nodes
        .map(|node| BehindIt::new(&node.name, node.port))
        .collect()
}

/// The table of the engines' database.
pub(super) fn database_toml(server: &DatabaseServer, database: &str) -> String {
    let kind = match server.kind() {
        DatabaseKind::PostgreSql => "postgresql",
        DatabaseKind::MariaDb => "mariadb",
    };
    format!(
        "[database.engine]\nkind = \"{kind}\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{database}\"\n\
         user = \"{}\"\npassword = {{ env = \"{PASSWORD}\" }}\ntls = \"off\"\n\n",
        server.address().port(),
        Login::Owner.user(),
    )
}

/// The tables of an engine.
pub(super) async fn node_toml(
    node: &RollingNode,
    server: &DatabaseServer,
    spec: RollingSpec,
) -> anyhow::Result<String> {
    let RollingNode {
        name, port, dir, ..
    } = node;
    let command = start_command(node, server, spec.from, spec).await?;
    Ok(format!(
        "[endpoint.{name}]\nurl = \"http://127.0.0.1:{port}/engine-rest\"\n\n\
                 [service.{name}]\n\
                 start = [\"{java}\", \"@{dir}/current/java.args\"]\n\
                 directory = \"{dir}\"\nhost = \"127.0.0.1\"\nport = {port}\n\
                 process = \"@{dir}/current/java.args\"\n\
                 ready = {{ http = \"http://127.0.0.1:{port}/engine-rest/engine\" }}\n\
                 grace-ms = 27000\n\n\
                 [service.{name}.environment]\n\
                 SPRING_DATASOURCE_PASSWORD = {{ secret = {{ env = \"{PASSWORD}\" }} }}\n\n\
                 [service.{name}.labels]\npool = \"rest\"\nserver = \"camunda/{name}\"\nendpoint = \"endpoint.{name}\"\n\
                 jobs = \"yes\"\n\n\
                 [service.{name}.artifact]\nlink = \"{dir}/current\"\nversions = \"{dir}/versions\"\n\n",
        java = command.program.display(),
        dir = dir.display(),
    ))
}

/// Makes the engine `nN` in a folder: both versions lie there, the older one is the current one. It is not started.
pub(super) async fn install(
    folder: &Path,
    number: usize,
    server: &DatabaseServer,
    database: &'static str,
    spec: RollingSpec,
) -> anyhow::Result<RollingNode> {
    let name = format!("n{number}");
    let node = RollingNode {
        port: machine::free_port()?,
        dir: folder.join(&name),
        name,
        database,
    };
    for version in [spec.from, spec.to] {
        let home = node.dir.join("versions").join(version.name());
        fs::create_dir_all(&home).with_context(|| format!("cannot make `{}`", home.display()))?;
        let command = start_command(&node, server, version, spec).await?;
        let arguments: Vec<String> = command
            .arguments
            .iter()
            .map(|argument| {
                format!(
                    "\"{}\"\n",
                    argument.replace('\\', "\\\\").replace('"', "\\\"")
                )
            })
            .collect();
        fs::write(home.join("java.args"), arguments.concat())?;
    }
    symlink(
        node.dir.join("versions").join(spec.from.name()),
        node.dir.join("current"),
    )?;
    Ok(node)
}

async fn start_command(
    node: &RollingNode,
    database: &DatabaseServer,
    version: EngineVersion,
    spec: RollingSpec,
) -> anyhow::Result<StartCommand> {
    let of = EngineDatabase::owned(database.address(), node.database);
    let mut its = NodeSpec::new(version, &node.name, of);
    its.pgjdbc = spec.pgjdbc;
    Ok(StartCommand::new(&its, node.port, &node.dir).await?)
}

/// Starts the engine as its own supervisor would have, and waits until it answers.
async fn start(node: &RollingNode, database: &DatabaseServer) -> anyhow::Result<()> {
    let of = EngineDatabase::owned(database.address(), node.database);
    let spec = NodeSpec::new(EngineVersion::V7_22, &node.name, of);
    let command = StartCommand::new(&spec, node.port, &node.dir).await?;
    let log = fs::File::create(node.dir.join("server.log"))?;
    let mut java = Command::new(&command.program);
    java.arg(format!("@{}/current/java.args", node.dir.display()))
        .current_dir(&node.dir)
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log)
        .process_group(0);
    for (name, value) in &command.environment {
        java.env(name, value.reveal());
    }
    let mut child = java.spawn().context("cannot start an engine")?;
    let rest = node.rest()?;
    let end = Instant::now() + START_PATIENCE;
    while let Err(error) = rest.get("/engine").await {
        if let Some(ended) = child.try_wait()? {
            bail!(
                "engine `{}` ended with {ended}: {}",
                node.name,
                log_of(node)
            );
        }
        if Instant::now() > end {
            bail!("engine `{}` does not answer: {error}", node.name);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // Whoever stops it waits for its end, so it must not stay a zombie of ours.
    std::thread::spawn(move || child.wait());
    Ok(())
}

fn log_of(node: &RollingNode) -> String {
    let text = fs::read_to_string(node.dir.join("server.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

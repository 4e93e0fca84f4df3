//! A Camunda 7 site whose nodes are stand-ins: real processes behind a real balancer, on a real database.
//!
//! A real engine takes half a minute to start, and what a trap looks at is seldom the engine. `pretend-engine` says what
//! it answers instead; everything else here is what an operator has: links, processes, HAProxy, `site.toml`.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use liftlock_lab::BehindIt;
use liftlock_lab::DatabaseAddress;
use liftlock_lab::DatabaseKind;
use liftlock_lab::HaProxy;
use liftlock_lab::HttpTarget;
use liftlock_lab::Login;
use liftlock_lab::ProcessId;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::schema;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::machine;
use crate::operator::Operator;
use crate::stage::write;

/// The database of the nodes.
pub const DATABASE: &str = "camunda";

/// What the nodes run, and what they are taken to.
///
/// PostgreSQL's script has columns and an index; on MariaDB it is the first that goes on with MySQL's.
pub fn hop(kind: DatabaseKind) -> [EngineVersion; 2] {
    match kind {
        DatabaseKind::PostgreSql => [EngineVersion::V7_21, EngineVersion::V7_22],
        DatabaseKind::MariaDb => [EngineVersion::V7_22, EngineVersion::V7_23],
    }
}

/// What HAProxy asks each node for.
pub const CHECK: &str = "/engine-rest/engine";

/// The variable with the password of the database's owner.
const PASSWORD: &str = "LIFTLOCK_LAB_DATABASE_PASSWORD";

/// How many nodes: with three, one can be out while two serve.
const NODES: usize = 3;

/// How long a stand-in may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// One stand-in of a node.
#[derive(Debug)]
pub struct StandIn {
    /// `n1`, in the balancer and in `site.toml`.
    pub name: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The folder with `current`, `versions` and `engine.json`.
    pub dir: PathBuf,
    program: PathBuf,
}

impl StandIn {
    fn install(&self, versions: [EngineVersion; 2], facts: &Value) -> anyhow::Result<()> {
        for version in versions {
            let home = self.home(version.name());
            fs::create_dir_all(&home)
                .with_context(|| format!("cannot make `{}`", home.display()))?;
        }
        self.run_from(versions[0].name())?;
        self.say(facts)
    }

    /// The directory of a version's files.
    pub fn home(&self, version: &str) -> PathBuf {
        self.dir.join("versions").join(version)
    }

    /// What it answers from now on.
    pub fn say(&self, facts: &Value) -> anyhow::Result<()> {
        write(&self.dir.join("engine.json"), &facts.to_string())
    }

    /// What it answers now.
    pub fn facts(&self) -> anyhow::Result<Value> {
        let text = fs::read_to_string(self.dir.join("engine.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Lets its link lead to a version's files.
    pub fn run_from(&self, version: &str) -> anyhow::Result<()> {
        let link = self.current();
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        symlink(self.home(version), &link).context("cannot make a link")
    }

    fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// Processes that run as this node, whoever started them.
    pub fn pids(&self) -> Vec<u32> {
        let current = self.current();
        let wanted = current.as_os_str().as_encoded_bytes();
        let program = self.program.as_os_str().as_encoded_bytes();
        machine::processes(|words| {
            words
                .split_first()
                .is_some_and(|(first, rest)| *first == program && rest.contains(&wanted))
        })
    }

    /// Starts it as its own supervisor would have, and waits until it answers.
    pub async fn start(&self) -> anyhow::Result<()> {
        let log = fs::File::create(self.dir.join("server.log"))?;
        let mut child = Command::new(&self.program)
            .arg(self.port.to_string())
            .arg(self.current())
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .process_group(0)
            .spawn()
            .context("cannot start a stand-in")?;
        // Whoever stops it waits for its end, so it must not stay a zombie of ours.
        std::thread::spawn(move || child.wait());
        let rest = HttpTarget::new(format!("http://127.0.0.1:{}/engine-rest", self.port))?;
        let rest = &rest;
        wait("a stand-in answers", || async move {
            rest.get("/engine").await.is_ok()
        })
        .await
    }

    /// Kills it and waits for its end.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.slay();
        wait("a stand-in is gone", || {
            std::future::ready(self.pids().is_empty())
        })
        .await
    }

    fn slay(&self) {
        for process in self.pids().into_iter().filter_map(ProcessId::of) {
            process.kill();
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.slay();
    }
}

/// Waits for what takes moments.
async fn wait<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) -> anyhow::Result<()> {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .with_context(|| format!("waited {} s in vain until {what}", PATIENCE.as_secs()))
}

/// The nodes, the balancer before them, and an operator who knows nothing of them yet.
#[derive(Debug)]
pub struct Place {
    /// The nodes; first, as they end before what they use.
    pub nodes: Vec<StandIn>,
    /// Before them.
    pub balancer: HaProxy,
    /// Who runs the commands.
    pub operator: Operator,
    folder: TempDir,
}

impl Place {
    /// Starts everything on a database that is there.
    pub async fn start(
        liftlock: &Path,
        stand_in: &Path,
        database: &DatabaseAddress,
        installation: &str,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let at = |name: &str| folder.path().join(name);
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            let name = format!("n{number}");
            let node = StandIn {
                port: machine::free_port()?,
                dir: at(&name),
                program: stand_in.to_owned(),
                name,
            };
            let facts = json!({
                "installation": installation,
                "database": database.port(),
                "instances": at("instances"),
            });
            node.install(hop(database.kind()), &facts)?;
            node.start().await?;
            nodes.push(node);
        }
        let behind = behind(&nodes);
        let balancer = HaProxy::start(at("haproxy"), &behind, CHECK).await?;
        for server in &behind {
            balancer.wait_status(&server.name, "UP", PATIENCE).await?;
        }
        let [site, state, engine] = ["site", "state", "engine"].map(at);
        for dir in [&site, &engine] {
            fs::create_dir(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        }
        let [_, to] = hop(database.kind());
        let scripts = schema::scripts(to).await?.join("upgrade");
        for entry in fs::read_dir(&scripts)? {
            let file = entry?.path();
            fs::copy(&file, engine.join(file.file_name().unwrap_or_default()))
                .context("cannot copy a script")?;
        }
        let secret = database.password(Login::Owner);
        let this = Self {
            nodes,
            balancer,
            operator: Operator::new(liftlock, &site, &state).env(PASSWORD, secret.reveal()),
            folder,
        };
        write(&site.join("site.toml"), &this.site_toml(database))?;
        Ok(this)
    }

    /// The folder with the vendor's scripts.
    pub fn engine(&self) -> PathBuf {
        self.folder.path().join("engine")
    }

    /// What was started on nodes: a key a line.
    pub fn instances(&self) -> String {
        fs::read_to_string(self.folder.path().join("instances")).unwrap_or_default()
    }

    /// The servers as the balancer's configuration has them.
    pub fn behind(&self) -> Vec<BehindIt> {
        behind(&self.nodes)
    }

    fn site_toml(&self, database: &DatabaseAddress) -> String {
        let kind = match database.kind() {
            DatabaseKind::PostgreSql => "postgresql",
            DatabaseKind::MariaDb => "mariadb",
        };
        let mut text = format!(
            "name = \"engines\"\nproduct-plugin = \"camunda-7\"\n\n\
             [options]\ngroup = \"1\"\ncanary-process = \"batch\"\nsoak-seconds = 0\ncached-plans = \"safe\"\nbackup = \"none\"\n\n\
             [database.engine]\nkind = \"{kind}\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{DATABASE}\"\n\
             user = \"{}\"\npassword = {{ env = \"{PASSWORD}\" }}\ntls = \"off\"\n\n\
             [disk.engine]\npath = \"{}\"\n\n\
             [traffic.balancer]\nkind = \"haproxy\"\nsocket = \"{}\"\n\n",
            database.port(),
            Login::Owner.user(),
            self.engine().display(),
            self.balancer.runtime_socket().display(),
        );
        for node in &self.nodes {
            let StandIn {
                name,
                port,
                dir,
                program,
            } = node;
            text.push_str(&format!(
                "[endpoint.{name}]\nurl = \"http://127.0.0.1:{port}/engine-rest\"\n\n\
                 [service.{name}]\n\
                 start = [\"{program}\", \"{port}\", \"{dir}/current\"]\n\
                 directory = \"{dir}\"\nhost = \"127.0.0.1\"\nport = {port}\nprocess = \"{dir}/current\"\n\
                 ready = {{ http = \"http://127.0.0.1:{port}/engine-rest/engine\" }}\ngrace-ms = 5000\n\n\
                 [service.{name}.labels]\npool = \"rest\"\nserver = \"camunda/{name}\"\nendpoint = \"endpoint.{name}\"\n\
                 jobs = \"yes\"\n\n\
                 [service.{name}.artifact]\nlink = \"{dir}/current\"\nversions = \"{dir}/versions\"\n\n",
                program = program.display(),
                dir = dir.display(),
            ));
        }
        text
    }
}

fn behind(nodes: &[StandIn]) -> Vec<BehindIt> {
    nodes
        .iter()
        .map(|node| BehindIt::new(&node.name, node.port))
        .collect()
}

//! One real Camunda 7 engine with its REST interface, as an application of Spring Boot.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use super::software::Software;
use super::version::EngineVersion;
use crate::databases::DatabaseAddress;
use crate::databases::DatabaseKind;
use crate::databases::Login;
use crate::error::IoContext;
use crate::error::LabError;
use crate::http::HttpTarget;
use crate::http::Secret;
use crate::launch;
use crate::launch::Launch;
use crate::launch::Lifetime;
use crate::process::LOOK_AGAIN;
use crate::process::ProcessId;
use crate::running::Running;
use crate::running::StopBy;
use crate::running::log_file;

/// Longest start. 7 s were seen on a quiet machine of two cores, 125 s with four at a time.
const START_SECONDS_MAX: u64 = 180;

/// Longest wait of a stopping node for open requests, and then for running jobs.
const PHASE_SECONDS: u64 = 20;

/// Time to end before SIGKILL: the node's own wait was seen to take up to 2.5 s more than it says.
const STOP_SECONDS_MAX: u64 = PHASE_SECONDS + 7;

/// Milliseconds that a job stays locked by a node that is gone. The vendor's 5 minutes are longer
/// than a test; shorter than the slowest job it must not be, which would run twice.
const JOB_LOCK_MS: u32 = 15_000;

/// Memory and start time count, the best code does not. 320 to 370 MB in all.
const JVM_OPTIONS: [&str; 4] = [
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxMetaspaceSize=200m",
];

/// Settings that every node has.
const SETTINGS: [&str; 10] = [
    "--server.address=127.0.0.1",
    "--server.shutdown=graceful",
    "--spring.datasource.hikari.maximum-pool-size=10",
    "--spring.datasource.hikari.minimum-idle=2",
    // The engine would make tables in an empty database, and alter none in an old one.
    "--camunda.bpm.database.schema-update=false",
    "--camunda.bpm.job-execution.wait-time-in-millis=500",
    // Smaller than the wait time, it would make acquisition a busy loop.
    "--camunda.bpm.job-execution.max-wait=2000",
    "--management.endpoint.health.show-details=always",
    "--management.endpoints.web.exposure.include=*",
    "--spring.main.banner-mode=off",
];

/// What PostgreSQL's driver does when a prepared statement went stale by a change of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PgJdbc {
    /// The error goes to the client: `cached plan must not change result type`.
    #[default]
    Default,
    /// `autosave=conservative`: it repeats the statement by itself.
    ConservativeAutosave,
}

/// The database of an engine.
#[derive(Clone, Debug)]
pub struct EngineDatabase {
    /// The server.
    pub address: DatabaseAddress,
    /// The database's name.
    pub name: String,
    /// Who the engine logs in as.
    pub login: Login,
}

impl EngineDatabase {
    /// A database of a server, as its owner.
    pub fn owned(address: &DatabaseAddress, name: impl Into<String>) -> Self {
        Self {
            address: address.clone(),
            name: name.into(),
            login: Login::Owner,
        }
    }

    /// The schema's name for the engine, which does not find it out by itself with MariaDB.
    fn engine_type(&self) -> &'static str {
        match self.address.kind() {
            DatabaseKind::PostgreSql => "postgres",
            DatabaseKind::MariaDb => "mysql",
        }
    }
}

/// What a node is to be.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Which engine.
    pub version: EngineVersion,
    /// The host name in the engine's own records, such as `ACT_HI_JOB_LOG.HOSTNAME_`.
    pub name: String,
    /// The port on 127.0.0.1; one is picked without it.
    pub port: Option<u16>,
    /// Its database, with the schema in it.
    pub database: EngineDatabase,
    /// The name of its sessions in PostgreSQL's `pg_stat_activity`; [`NodeSpec::name`] without it.
    pub application_name: Option<String>,
    /// How PostgreSQL's driver is set; MariaDB's has no such thing.
    pub pgjdbc: PgJdbc,
    /// Whether it has the endpoint `/engine-rest/actuator/jobexecutor`, which holds its jobs.
    pub has_quiesce: bool,
    /// Further arguments `--KEY=VALUE`, for keys that the lab does not set itself.
    pub settings: Vec<String>,
}

impl NodeSpec {
    /// A node with the driver's defaults and without the endpoint.
    pub fn new(version: EngineVersion, name: impl Into<String>, database: EngineDatabase) -> Self {
        Self {
            version,
            name: name.into(),
            port: None,
            database,
            application_name: None,
            pgjdbc: PgJdbc::default(),
            has_quiesce: false,
            settings: Vec::new(),
        }
    }

    fn jdbc_url(&self) -> String {
        let (port, name) = (self.database.address.port(), &self.database.name);
        match self.database.address.kind() {
            DatabaseKind::PostgreSql => {
                let application = self.application_name.as_ref().unwrap_or(&self.name);
                let mode = match self.pgjdbc {
                    PgJdbc::Default => "",
                    PgJdbc::ConservativeAutosave => "&autosave=conservative",
                };
                format!(
                    "jdbc:postgresql://127.0.0.1:{port}/{name}?ApplicationName={application}{mode}"
                )
            }
            DatabaseKind::MariaDb => format!(
                "jdbc:mysql://127.0.0.1:{port}/{name}\
                 ?sendFractionalSeconds=false&useSSL=false&allowPublicKeyRetrieval=true"
            ),
        }
    }
}

/// What a start does with the archive of loaded classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Archive {
    /// Takes it when it is there.
    Use,
    /// Makes it when the node ends, which takes it up to 37 s more.
    Make,
}

/// A running engine. Dropping it kills it.
#[derive(Debug)]
pub struct Node {
    running: Running,
    spec: NodeSpec,
    port: u16,
    rest: HttpTarget,
    start_ms: u64,
}

impl Node {
    /// Starts an engine with its log in `dir`, and waits until its REST interface answers.
    ///
    /// Fetches the software if it is not in the cache. An engine that is newer than its schema
    /// starts all the same, and fails at its first write: see
    /// [`complete_an_instance`](super::rest::complete_an_instance). Start one at a time: two cores
    /// are few for two.
    pub async fn start(spec: NodeSpec, dir: impl AsRef<Path>) -> Result<Self, LabError> {
        Self::start_for(spec, dir.as_ref(), Lifetime::WithUs, Archive::Use).await
    }

    pub(crate) async fn start_for(
        spec: NodeSpec,
        dir: &Path,
        lifetime: Lifetime,
        archive: Archive,
    ) -> Result<Self, LabError> {
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        let tmp = dir.join("tmp");
        fs::create_dir_all(&tmp).doing("make", &tmp)?;
        let software = Software::ensure(spec.version).await?;
        let mut attempt = 1;
        loop {
            let port = match spec.port {
                Some(port) => port,
                None => launch::pick_port()?,
            };
            let node = Self::launch(&software, spec.clone(), port, &dir, lifetime, archive);
            match node.await {
                Err(_)
                    if spec.port.is_none()
                        && attempt < launch::PORT_ATTEMPTS_MAX
                        && launch::is_port_taken(&log_file(&dir)) =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn launch(
        software: &Software,
        spec: NodeSpec,
        port: u16,
        dir: &Path,
        lifetime: Lifetime,
        archive: Archive,
    ) -> Result<Self, LabError> {
        let begun = Instant::now();
        let launch = StartCommand::with(software, &spec, port, dir, archive)?.launch(dir);
        let name = format!("Camunda {} `{}`", spec.version, spec.name);
        let patience = match archive {
            Archive::Use => STOP_SECONDS_MAX,
            Archive::Make => START_SECONDS_MAX,
        };
        let running = Running::start(name, &launch, dir, lifetime, StopBy::Terminate, patience)?;
        let pid_file = pid_file(dir);
        let pid = format!("{}\n", running.process().pid);
        fs::write(&pid_file, pid).doing("write", &pid_file)?;
        let mut node = Self {
            running,
            spec,
            port,
            rest: HttpTarget::new(format!("http://127.0.0.1:{port}/engine-rest"))?,
            start_ms: 0,
        };
        node.wait_ready().await?;
        node.start_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(node)
    }

    async fn wait_ready(&mut self) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            self.running.check_alive()?;
            let last = match self.rest.get("/version").await {
                Ok(answer) if answer["version"] == self.spec.version.name() => return Ok(()),
                Ok(answer) => {
                    let why = format!("it says version {answer}");
                    return Err(self.running.not_started(why));
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() >= end {
                let why = format!("not ready after {START_SECONDS_MAX} s, {last}");
                return Err(self.running.not_started(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What it was started as.
    pub fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its REST interface, directly and not through a balancer.
    pub fn rest(&self) -> &HttpTarget {
        &self.rest
    }

    /// Its process, for faults.
    pub fn process(&self) -> &ProcessId {
        self.running.process()
    }

    /// The file with its process id as a number; it stays when the process has ended.
    pub fn pid_file(&self) -> PathBuf {
        pid_file(self.running.dir())
    }

    /// The file with everything it printed.
    pub fn log_file(&self) -> PathBuf {
        self.running.log_file()
    }

    /// The folder with log and process id.
    pub fn dir(&self) -> &Path {
        self.running.dir()
    }

    /// Milliseconds from starting the process until REST answered.
    pub fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// Ends it by SIGTERM: open requests and running jobs get 20 s, then it cuts them; 7 s after
    /// that it is killed.
    ///
    /// Idle, it takes 0.1 s, on a busy machine up to 4 s. With an open poll it waits the whole time.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }

    /// Kills it as a crash would: its jobs stay locked for 15 s.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again on its port and in its folder, after [`Node::kill`] or beside nothing.
    ///
    /// A node that still runs is stopped first.
    pub async fn restart(&mut self) -> Result<(), LabError> {
        self.running.stop().await;
        let software = Software::ensure(self.spec.version).await?;
        let dir = self.running.dir().to_owned();
        let spec = self.spec.clone();
        let again = Self::launch(
            &software,
            spec,
            self.port,
            &dir,
            Lifetime::WithUs,
            Archive::Use,
        )
        .await?;
        *self = again;
        Ok(())
    }

    /// Lets it live on; whoever reads its record ends it.
    pub(crate) fn leave_running(mut self) {
        self.running.leave();
    }
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join("node.pid")
}

/// How a node is started, for whoever starts it in another way than [`Node::start`].
#[derive(Clone, Debug)]
pub struct StartCommand {
    /// The runtime's program.
    pub program: PathBuf,
    /// Its arguments, without a secret.
    pub arguments: Vec<String>,
    /// The variables that it needs, with the database's password.
    pub environment: Vec<(&'static str, Secret)>,
}

impl StartCommand {
    /// The command for a node on `port` that puts what it needs for itself into `dir`.
    ///
    /// Fetches the software if it is not in the cache, and makes `dir`. [`NodeSpec::port`] is not
    /// looked at.
    pub async fn new(spec: &NodeSpec, port: u16, dir: impl AsRef<Path>) -> Result<Self, LabError> {
        let dir = dir.as_ref();
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        let tmp = dir.join("tmp");
        fs::create_dir_all(&tmp).doing("make", &tmp)?;
        let software = Software::ensure(spec.version).await?;
        Self::with(&software, spec, port, &dir, Archive::Use)
    }

    fn with(
        software: &Software,
        spec: &NodeSpec,
        port: u16,
        dir: &Path,
        archive: Archive,
    ) -> Result<Self, LabError> {
        let mut arguments: Vec<String> = JVM_OPTIONS.map(str::to_owned).to_vec();
        arguments.push(format!("-Djava.io.tmpdir={}", dir.join("tmp").display()));
        let file = software.archive()?;
        match archive {
            Archive::Use if file.is_file() => {
                arguments.push(format!("-XX:SharedArchiveFile={}", file.display()));
            }
            Archive::Use => {}
            Archive::Make => {
                let draft = archive_draft(dir);
                arguments.push(format!("-XX:ArchiveClassesAtExit={}", draft.display()));
            }
        }
        arguments.extend(["-cp".into(), software.class_path()?, "lab.Node".into()]);
        arguments.extend(SETTINGS.map(str::to_owned));
        let database = &spec.database;
        arguments.extend([
            format!("--server.port={port}"),
            format!("--spring.lifecycle.timeout-per-shutdown-phase={PHASE_SECONDS}s"),
            format!("--spring.datasource.url={}", spec.jdbc_url()),
            format!("--spring.datasource.username={}", database.login.user()),
            format!("--camunda.bpm.database.type={}", database.engine_type()),
            format!("--camunda.bpm.job-execution.lock-time-in-millis={JOB_LOCK_MS}"),
            format!(
                "--camunda.bpm.generic-properties.properties.hostname={}",
                spec.name
            ),
        ]);
        if spec.has_quiesce {
            arguments.push("--lab.quiesce=true".into());
        }
        arguments.extend(spec.settings.iter().cloned());
        let password = database.address.password(database.login);
        Ok(Self {
            program: software.java.program("java"),
            arguments,
            // Arguments can be read by everybody.
            environment: vec![("SPRING_DATASOURCE_PASSWORD", password)],
        })
    }

    fn launch(self, dir: &Path) -> Launch {
        let environment = self.environment.iter();
        Launch {
            program: self.program,
            arguments: self.arguments.into_iter().map(Into::into).collect(),
            environment: environment
                .map(|(name, value)| (*name, value.reveal().into()))
                .collect(),
            folder: dir.to_owned(),
            user: None,
            at_our_end: "KILL",
        }
    }
}

/// Where a node writes its archive when it ends.
pub(crate) fn archive_draft(dir: &Path) -> PathBuf {
    dir.join("node.jsa")
}

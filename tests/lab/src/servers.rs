//! One node of a real search server on loopback.

mod elasticsearch;
mod elasticsearch_7;
mod jvm;
mod kind;
mod member;
mod opensearch;

pub use jvm::Jvm;
pub use kind::ServerKind;
pub(crate) use member::Member;
pub use member::NodeRole;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;
use std::time::Instant;

use reqwest::Method;
use serde::Deserialize;
use serde::Serialize;

use crate::cache::last_lines;
use crate::error::IoContext;
use crate::error::LabError;
use crate::http::HttpTarget;
use crate::http::Secret;
use crate::launch;
use crate::launch::Launch;
use crate::launch::Lifetime;
use crate::launch::PORT_ATTEMPTS_MAX;
use crate::launch::pick_port;
use crate::process::LOOK_AGAIN;
use crate::process::ProcessId;

/// Longest start of a server. 5 to 10 s on a quiet machine, up to 70 s were seen at a load of 30.
const START_SECONDS_MAX: u64 = 180;

/// Time a server gets to end after SIGTERM. 2 to 3 s were seen; one that hangs is killed.
const STOP_SECONDS_MAX: u64 = 20;

/// Time for a process to vanish after SIGKILL; the kernel needs none, a busy machine some.
const KILL_SECONDS_MAX: u64 = 10;

/// Lines of a server's log that an error shows.
const LOG_LINES_SHOWN: usize = 30;

const LAUNCHED: &str = "launched.json";

/// The process that was last started for the server in `dir`, if it still runs.
///
/// For whoever broke off a start of a server that lives on its own.
pub(crate) fn launched(dir: &Path) -> Option<ProcessId> {
    let text = fs::read_to_string(dir.join(LAUNCHED)).ok()?;
    serde_json::from_str(&text).ok().filter(ProcessId::is_alive)
}

/// What a client of a secured server needs.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// A superuser.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// An API key of that user, in the encoded form of the `Authorization: ApiKey` header.
    pub api_key: Secret,
}

/// The certificate authority of a secured server.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its certificate, in PEM.
    pub pem: String,
    /// The file with the same text.
    pub path: PathBuf,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    kind: ServerKind,
    layout: Layout,
    process: Processes,
    child: Option<Child>,
    target: HttpTarget,
    credentials: Option<Credentials>,
    authority: Option<Authority>,
    start_ms: u64,
}

/// The processes of one server, outermost last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Processes {
    /// The server itself.
    pub(crate) server: ProcessId,
    /// What started it and waits for it, where that is another process.
    pub(crate) launcher: Option<ProcessId>,
}

impl Processes {
    pub(crate) fn is_alive(&self) -> bool {
        self.server.is_alive()
    }

    /// Asks the server to end, waits, then kills what is left.
    pub(crate) async fn stop(&self) {
        self.server.terminate();
        if let Some(launcher) = self.launcher.as_ref().filter(|_| !self.server.is_alive()) {
            // Its server died before, so nothing else will end it.
            launcher.terminate();
        }
        if !self.wait_gone(STOP_SECONDS_MAX).await {
            self.kill();
            self.wait_gone(KILL_SECONDS_MAX).await;
        }
    }

    async fn wait_gone(&self, seconds: u64) -> bool {
        let patience = Duration::from_secs(seconds);
        self.server.wait_gone(patience).await
            && match &self.launcher {
                Some(launcher) => launcher.wait_gone(patience).await,
                None => true,
            }
    }

    pub(crate) fn kill(&self) {
        // The server first: its launcher's end would be a clean stop for it, not a crash.
        self.server.kill();
        if let Some(launcher) = &self.launcher {
            launcher.kill();
        }
    }
}

/// The folder and the ports of one server; they stay the same over a restart.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
    pub(crate) http_port: u16,
    pub(crate) transport_port: u16,
    pub(crate) jvm: Jvm,
    /// Its place among others; without one it is a cluster of its own.
    pub(crate) member: Option<Member>,
}

impl Layout {
    pub(crate) fn repo(&self) -> PathBuf {
        match &self.member {
            Some(member) => member.repo.clone(),
            None => self.dir.join("repo"),
        }
    }

    /// `node.name`.
    fn node_name(&self) -> &str {
        self.member.as_ref().map_or("lab", |member| &member.name)
    }

    /// Whether nothing was ever written here: only such a node may found a cluster.
    fn is_new(&self) -> Result<bool, LabError> {
        let data = self.data();
        Ok(fs::read_dir(&data).doing("list", &data)?.next().is_none())
    }

    /// Makes the folders that a server expects.
    pub(crate) fn make_folders(&self) -> Result<(), LabError> {
        for folder in [self.data(), self.repo(), self.temporary()] {
            fs::create_dir_all(&folder).doing("make", &folder)?;
        }
        Ok(())
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// The file that names the process from the moment it was started.
    fn launched(&self) -> PathBuf {
        self.dir.join(LAUNCHED)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The folder for temporary files, which each of the server's processes has in its arguments.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// The configuration. A node of several outlives its version, and two versions of it can lie ready side by side.
    fn conf(&self, kind: ServerKind) -> PathBuf {
        match &self.member {
            None => self.dir.join("conf"),
            Some(_) => self.dir.join(format!("conf-{}", kind.version())),
        }
    }

    fn read_log(&self) -> String {
        fs::read(self.log())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

/// What one kind of server prepares before its process is started.
struct Prepared {
    launch: Launch,
    /// The file where the server's own process id appears, when it is not the child's.
    pid_file: Option<PathBuf>,
    authority: Option<Authority>,
    login: Option<(String, Secret)>,
}

async fn prepare(kind: ServerKind, layout: &Layout) -> Result<Prepared, LabError> {
    match kind {
        ServerKind::OpenSearch1
        | ServerKind::OpenSearch211
        | ServerKind::OpenSearch2
        | ServerKind::OpenSearch3
        | ServerKind::Elasticsearch710 => opensearch::prepare(kind, layout).await,
        ServerKind::Elasticsearch7 => elasticsearch_7::prepare(layout).await,
        ServerKind::Elasticsearch8
        | ServerKind::Elasticsearch8Secured
        | ServerKind::Elasticsearch9 => elasticsearch::prepare(kind, layout).await,
    }
}

/// What starts a server of this version there, for whoever keeps it running instead of us; fetches its software.
pub(crate) async fn launch_of(kind: ServerKind, layout: &Layout) -> Result<Launch, LabError> {
    Ok(prepare(kind, layout).await?.launch)
}

impl Server {
    /// Starts a server with its data, log and snapshot repository in `dir`.
    ///
    /// Fetches the software if it is not in the cache. Returns when the server answers, has a
    /// manager, and has shown the modules that tests rest on. The folder belongs to the server
    /// from now on: as root, Elasticsearch runs as the user `liftlock-lab`, who then owns it.
    pub async fn start(kind: ServerKind, dir: impl AsRef<Path>) -> Result<Self, LabError> {
        Self::start_for(kind, Jvm::Quick, dir.as_ref(), Lifetime::WithUs).await
    }

    /// The same with a JVM of one's choice.
    pub async fn start_on(
        kind: ServerKind,
        jvm: Jvm,
        dir: impl AsRef<Path>,
    ) -> Result<Self, LabError> {
        Self::start_for(kind, jvm, dir.as_ref(), Lifetime::WithUs).await
    }

    pub(crate) async fn start_for(
        kind: ServerKind,
        jvm: Jvm,
        dir: &Path,
        lifetime: Lifetime,
    ) -> Result<Self, LabError> {
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        let mut attempt = 1;
        loop {
            let [http_port, transport_port] = [pick_port()?, pick_port()?];
            let layout = Layout {
                dir: dir.clone(),
                http_port,
                transport_port,
                jvm,
                member: None,
            };
            layout.make_folders()?;
            match Self::launch(kind, &layout, lifetime).await {
                Err(error) if attempt < PORT_ATTEMPTS_MAX && is_port_taken(&layout) => {
                    // Someone took the port between our look and the server's bind.
                    attempt += 1;
                    drop(error);
                }
                other => return other,
            }
        }
    }

    pub(crate) async fn launch(
        kind: ServerKind,
        layout: &Layout,
        lifetime: Lifetime,
    ) -> Result<Self, LabError> {
        let prepared = prepare(kind, layout).await?;
        let begun = Instant::now();
        let mut starting = Starting {
            kind,
            layout: layout.clone(),
            child: Some(launch::spawn(&prepared.launch, &layout.log(), lifetime)?),
        };
        starting.note_launch()?;
        let scheme = if kind.is_secured() { "https" } else { "http" };
        let base_url = format!("{scheme}://127.0.0.1:{}", layout.http_port);
        let pem = prepared
            .authority
            .as_ref()
            .map(|authority| authority.pem.as_str());
        let mut target = HttpTarget::with_ca(base_url, pem)?;
        if let Some((user, password)) = &prepared.login {
            target = target.basic(user, password.clone());
        }
        starting.wait_ready(&target).await?;
        check_modules(kind, &target).await?;
        let process = starting.processes(prepared.pid_file.as_deref())?;
        let credentials = match prepared.login {
            Some((user, password)) => {
                let api_key = elasticsearch::make_api_key(&target).await?;
                Some(Credentials {
                    user,
                    password,
                    api_key,
                })
            }
            None => None,
        };
        Ok(Self {
            kind,
            layout: layout.clone(),
            process,
            child: starting.child.take(),
            target,
            credentials,
            authority: prepared.authority,
            start_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Which server it is.
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// `http://127.0.0.1:PORT`, or `https` when it is secured.
    pub fn base_url(&self) -> &str {
        self.target.base_url()
    }

    /// A client with the server's credentials and certificate authority.
    pub fn target(&self) -> &HttpTarget {
        &self.target
    }

    /// Process id of the server itself.
    pub fn pid(&self) -> u32 {
        self.process.server.pid
    }

    /// The server's own process, for faults.
    pub fn process(&self) -> &ProcessId {
        &self.process.server
    }

    pub(crate) fn processes(&self) -> &Processes {
        &self.process
    }

    /// Whether the server's process runs.
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// The HTTP port.
    pub fn http_port(&self) -> u16 {
        self.layout.http_port
    }

    /// The port for traffic between nodes.
    pub fn transport_port(&self) -> u16 {
        self.layout.transport_port
    }

    /// The folder that snapshot repositories may lie in (`path.repo`).
    pub fn repo_dir(&self) -> PathBuf {
        self.layout.repo()
    }

    /// The folder with data, configuration and log.
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// The file with everything the server printed.
    pub fn log_file(&self) -> PathBuf {
        self.layout.log()
    }

    /// User, password and API key, when it is secured.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The certificate authority, when it is secured.
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Milliseconds from starting the process until it was ready.
    pub fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// Ends the server cleanly; kills it when that takes too long.
    pub async fn stop(mut self) {
        self.process.stop().await;
        self.reap();
    }

    /// Kills the server as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        self.process.kill();
        self.reap();
    }

    /// Starts the server again on its data and ports, after [`Server::kill`] or beside nothing.
    ///
    /// A server that still runs is stopped first.
    pub async fn restart(&mut self) -> Result<(), LabError> {
        self.process.stop().await;
        self.reap();
        let again = Self::launch(self.kind, &self.layout, Lifetime::WithUs).await?;
        *self = again;
        Ok(())
    }

    /// Lets the server live on; whoever recorded its processes ends it.
    pub(crate) fn leave_running(mut self) {
        self.child = None;
    }

    /// Leaves the server to somebody who ends it; it must not stay a zombie of ours then.
    pub(crate) fn leave_to_others(mut self) {
        if let Some(child) = self.child.take() {
            launch::reap_in_background(child);
        }
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It was killed or has ended; waiting only clears its entry. An error means that
            // there is nothing to clear.
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// A child that is not known to be ready yet; dropping it kills it.
struct Starting {
    kind: ServerKind,
    layout: Layout,
    child: Option<Child>,
}

impl Starting {
    /// Writes down which process was started.
    fn note_launch(&self) -> Result<(), LabError> {
        let child = self
            .child
            .as_ref()
            .and_then(|child| ProcessId::of(child.id()));
        // One that is gone already is reported by the wait for its being ready.
        let Some(child) = child else { return Ok(()) };
        let text = serde_json::to_string(&child)
            .map_err(|error| LabError::malformed("the process id", error.to_string()))?;
        let file = self.layout.launched();
        fs::write(&file, text).doing("write", &file)
    }

    /// Waits until the server answers with the right version and has a manager.
    async fn wait_ready(&mut self, target: &HttpTarget) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        let mut last;
        loop {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                return Err(self.not_started(format!("its process ended with {status}")));
            }
            // The first answers may be refusals: the node listens before it has a manager.
            match target.send(Method::GET, "/", None).await {
                Ok((200, root)) => {
                    let version = root["version"]["number"].as_str().unwrap_or_default();
                    if version != self.kind.version() {
                        return Err(self.not_started(format!("it says version `{version}`")));
                    }
                    let health = match &self.layout.member {
                        None => "/_cluster/health?wait_for_status=yellow&timeout=1s",
                        // Others may be down, or their indices without a copy: that it sees a
                        // manager is all that this node can be asked.
                        Some(_) => "/_cluster/health?timeout=1s&master_timeout=1s",
                    };
                    match target.send(Method::GET, health, None).await {
                        Ok((200, _)) => return Ok(()),
                        Ok((status, _)) => last = format!("its health was answered {status}"),
                        Err(error) => last = with_causes(&error),
                    }
                }
                Ok((status, _)) => last = format!("it answers {status}"),
                Err(error) => last = with_causes(&error),
            }
            if Instant::now() >= end {
                return Err(
                    self.not_started(format!("not ready after {START_SECONDS_MAX} s, {last}"))
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn processes(&self, pid_file: Option<&Path>) -> Result<Processes, LabError> {
        let gone = || self.not_started("its process ended right after the start".into());
        let child = self
            .child
            .as_ref()
            .and_then(|child| ProcessId::of(child.id()));
        let child = child.ok_or_else(gone)?;
        let Some(pid_file) = pid_file else {
            return Ok(Processes {
                server: child,
                launcher: None,
            });
        };
        let text = fs::read_to_string(pid_file).doing("read", pid_file)?;
        let server = text
            .trim()
            .parse()
            .ok()
            .and_then(ProcessId::of)
            .ok_or_else(gone)?;
        Ok(Processes {
            server,
            launcher: Some(child),
        })
    }

    fn not_started(&self, why: String) -> LabError {
        LabError::NotStarted {
            server: format!("{} {}", self.kind, self.kind.version()),
            why,
            log: self.layout.log(),
            tail: last_lines(&self.layout.read_log(), LOG_LINES_SHOWN),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already is as good. A launcher's server ends when its launcher is gone.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An error and what caused it, for a line in another error.
fn with_causes(error: &LabError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

pub(crate) fn is_port_taken(layout: &Layout) -> bool {
    let log = layout.read_log();
    log.contains("BindHttpException")
        || log.contains("BindTransportException")
        || log.contains("Address already in use")
}

async fn check_modules(kind: ServerKind, target: &HttpTarget) -> Result<(), LabError> {
    let nodes = target.get("/_nodes/_local/plugins").await?;
    let mut present = BTreeSet::new();
    for node in nodes["nodes"]
        .as_object()
        .into_iter()
        .flat_map(|nodes| nodes.values())
    {
        // The runner loads modules as plugins, and lists them there.
        for list in ["plugins", "modules"] {
            for module in node[list].as_array().into_iter().flatten() {
                present.insert(short_name(module["name"].as_str().unwrap_or_default()));
            }
        }
    }
    let lacking: Vec<&str> = kind
        .needed_modules()
        .iter()
        .copied()
        .filter(|n| !present.contains(*n))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let present: Vec<&str> = present.iter().map(String::as_str).collect();
    Err(LabError::Modules {
        server: format!("{kind} {}", kind.version()),
        lacking: lacking.join(", "),
        present: present.join(", "),
    })
}

/// `org.opensearch.index.reindex.ReindexModulePlugin` (3.x) and `...ReindexPlugin` (2.x) alike.
fn short_name(module: &str) -> String {
    let class = module.rsplit('.').next().unwrap_or(module);
    let class = class.strip_suffix("Plugin").unwrap_or(class);
    class.strip_suffix("Module").unwrap_or(class).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_the_same_module_in_every_version() {
        assert_eq!(
            short_name("org.opensearch.index.reindex.ReindexPlugin"),
            "Reindex"
        );
        assert_eq!(
            short_name("org.opensearch.index.reindex.ReindexModulePlugin"),
            "Reindex"
        );
        assert_eq!(short_name("lang-painless"), "lang-painless");
    }

    #[test]
    fn can_be_started_from_any_task() {
        fn movable<T: Send>(_: &T) {}
        movable(&Server::start(ServerKind::OpenSearch2, "x"));
        movable(&crate::up(
            Path::new("x"),
            "x",
            ServerKind::Elasticsearch8,
            None,
        ));
        movable(&crate::dump(
            &HttpTarget::new("http://127.0.0.1:1").unwrap(),
            "optimize",
        ));
        movable(&crate::build(
            &HttpTarget::new("http://127.0.0.1:1").unwrap(),
            &crate::SiteSpec::default(),
        ));
    }

    #[test]
    fn keeps_a_password_out_of_debug() {
        let credentials = Credentials {
            user: "elastic".into(),
            password: Secret::new("canary-1"),
            api_key: Secret::new("canary-2"),
        };
        assert!(!format!("{credentials:?}").contains("canary"));
    }
}

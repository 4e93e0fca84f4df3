//! HAProxy on loopback, with its runtime API on a unix socket and on TCP.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::balancers::ANSWER_SECONDS_MAX;
use crate::balancers::BehindIt;
use crate::balancers::START_SECONDS_MAX;
use crate::balancers::STOP_SECONDS_MAX;
use crate::cache;
use crate::databases::missing;
use crate::error::IoContext;
use crate::error::LabError;
use crate::java::on_path;
use crate::launch;
use crate::launch::Launch;
use crate::launch::Lifetime;
use crate::process::LOOK_AGAIN;
use crate::process::ProcessId;
use crate::running::Running;
use crate::running::StopBy;
use crate::running::log_file;

/// The name of the only backend.
pub const BACKEND: &str = "camunda";

/// Longest path of a unix socket that the kernel takes, less the part that HAProxy adds to a new one
/// before it renames it.
const SOCKET_PATH_BYTES_MAX: usize = 90;

/// Most bytes of one answer of the runtime API; that about three servers has 4 KiB.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The state that somebody asked for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminState {
    /// It gets requests as soon as its check passes.
    Ready,
    /// It gets no new request but those of its own sessions; checks go on.
    Drain,
    /// It gets no request and no check.
    Maint,
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        })
    }
}

/// One server's row of `show stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehindStat {
    /// `UP`, `DOWN`, `DRAIN`, `MAINT`, `UP 1/3`.
    pub status: String,
    /// Requests that wait for it.
    pub queued: u64,
    /// Requests that it works on.
    pub active: u64,
    /// Requests that it got since the start or the last reload.
    pub total: u64,
}

/// A running HAProxy. Dropping it kills it.
#[derive(Debug)]
pub struct HaProxy {
    running: Running,
    front_port: u16,
    runtime_port: u16,
}

impl HaProxy {
    /// Starts it in `dir`, before these servers, each checked by `GET check_path` every second.
    ///
    /// Returns when its runtime API answers, which is before the first checks have passed: see
    /// [`HaProxy::wait_status`]. [`BehindIt::is_down`] makes a server start in maintenance.
    pub async fn start(
        dir: impl AsRef<Path>,
        servers: &[BehindIt],
        check_path: &str,
    ) -> Result<Self, LabError> {
        Self::start_for(dir.as_ref(), servers, check_path, Lifetime::WithUs).await
    }

    pub(crate) async fn start_for(
        dir: &Path,
        servers: &[BehindIt],
        check_path: &str,
        lifetime: Lifetime,
    ) -> Result<Self, LabError> {
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        fs::create_dir_all(&dir).doing("make", &dir)?;
        let mut attempt = 1;
        loop {
            match Self::launch(&dir, servers, check_path, lifetime).await {
                Err(_)
                    if attempt < launch::PORT_ATTEMPTS_MAX
                        && launch::is_port_taken(&log_file(&dir)) =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn launch(
        dir: &Path,
        servers: &[BehindIt],
        check_path: &str,
        lifetime: Lifetime,
    ) -> Result<Self, LabError> {
        let [front_port, runtime_port] = [launch::pick_port()?, launch::pick_port()?];
        let program = program()?;
        write_config(dir, front_port, runtime_port, servers, check_path)?;
        let launch = Launch {
            program,
            // A master that stays, so that its process id survives a reload.
            arguments: vec!["-W".into(), "-f".into(), config_file(dir).into()],
            environment: Vec::new(),
            folder: dir.to_owned(),
            user: None,
            at_our_end: "KILL",
        };
        let running = Running::start(
            "HAProxy",
            &launch,
            dir,
            lifetime,
            StopBy::Terminate,
            STOP_SECONDS_MAX,
        )?;
        let mut proxy = Self {
            running,
            front_port,
            runtime_port,
        };
        proxy.wait_worker(None).await?;
        Ok(proxy)
    }

    /// Waits until the API of a worker answers that is another one than `before`.
    async fn wait_worker(&mut self, before: Option<&str>) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            self.running.check_alive()?;
            let seen = self.worker().await;
            if seen.as_ref().is_ok_and(|pid| Some(pid.as_str()) != before) {
                return Ok(());
            }
            if Instant::now() >= end {
                let why = format!("no new worker answers after {START_SECONDS_MAX} s, {seen:?}");
                return Err(self.running.not_started(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The process id of the worker that answers.
    async fn worker(&self) -> Result<String, LabError> {
        let told = self.command("show info").await?;
        told.lines()
            .find_map(|line| line.strip_prefix("Pid: "))
            .map(str::to_owned)
            .ok_or_else(|| LabError::malformed("`show info`", "it has no line `Pid`"))
    }

    /// Where clients send requests: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.front_port)
    }

    /// The port where clients send requests.
    pub fn front_port(&self) -> u16 {
        self.front_port
    }

    /// The port of the runtime API on 127.0.0.1.
    pub fn runtime_port(&self) -> u16 {
        self.runtime_port
    }

    /// The unix socket of the runtime API.
    pub fn runtime_socket(&self) -> PathBuf {
        socket(self.running.dir())
    }

    /// The configuration that [`HaProxy::reload`] writes.
    pub fn config_file(&self) -> PathBuf {
        config_file(self.running.dir())
    }

    /// The master process.
    pub fn process(&self) -> &ProcessId {
        self.running.process()
    }

    /// The file with everything it printed.
    pub fn log_file(&self) -> PathBuf {
        self.running.log_file()
    }

    /// One command of the runtime API on the unix socket; the answer without its last line ends.
    pub async fn command(&self, command: &str) -> Result<String, LabError> {
        let path = self.runtime_socket();
        let stream = tokio::net::UnixStream::connect(&path)
            .await
            .doing("connect to", &path)?;
        exchange(stream, command).await
    }

    /// The same on TCP.
    pub async fn command_on_tcp(&self, command: &str) -> Result<String, LabError> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.runtime_port))
            .await
            .map_err(|source| LabError::io("connect to HAProxy's runtime API", source))?;
        exchange(stream, command).await
    }

    /// Asks for a server's state. A reload forgets it.
    pub async fn set_state(&self, server: &str, state: AdminState) -> Result<(), LabError> {
        let command = format!("set server {BACKEND}/{server} state {state}");
        match self.command(&command).await?.as_str() {
            "" => Ok(()),
            // There is no code: any text is a refusal.
            text => Err(LabError::malformed(format!("`{command}`"), text)),
        }
    }

    /// Every server's row of `show stat`, by name.
    pub async fn stats(&self) -> Result<BTreeMap<String, BehindStat>, LabError> {
        parse_stats(&self.command("show stat").await?)
    }

    /// Waits until a server's status begins with `status`; an error after `patience`.
    pub async fn wait_status(
        &self,
        server: &str,
        status: &str,
        patience: Duration,
    ) -> Result<(), LabError> {
        self.wait_for(server, patience, &format!("has status `{status}`"), |row| {
            row.status.starts_with(status)
        })
        .await
    }

    /// Waits until a server has no request any more; an error after `patience`.
    pub async fn wait_idle(&self, server: &str, patience: Duration) -> Result<(), LabError> {
        self.wait_for(server, patience, "has no request", |row| {
            row.queued + row.active == 0
        })
        .await
    }

    async fn wait_for(
        &self,
        server: &str,
        patience: Duration,
        what: &str,
        holds: impl Fn(&BehindStat) -> bool,
    ) -> Result<(), LabError> {
        let end = Instant::now() + patience;
        loop {
            let row = self.stats().await?.remove(server);
            if row.as_ref().is_some_and(&holds) {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(LabError::malformed(
                    format!("wait until `{server}` {what}"),
                    format!("after {} ms it is {row:?}", patience.as_millis()),
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Takes other servers, in a configuration of the same ports; open requests end where they are.
    ///
    /// States that were asked for at run time are lost, as with every reload.
    pub async fn reload(&mut self, servers: &[BehindIt], check_path: &str) -> Result<(), LabError> {
        let dir = self.running.dir().to_owned();
        write_config(
            &dir,
            self.front_port,
            self.runtime_port,
            servers,
            check_path,
        )?;
        let config = config_file(&dir);
        let arguments = ["-c", "-f", &config.to_string_lossy()];
        cache::run(&program()?, &arguments, &dir).await?;
        let before = self.worker().await?;
        self.running.process().signal(Signal::USR2);
        self.wait_worker(Some(&before)).await
    }

    /// Ends it and cuts what is open.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }

    /// Kills it and its workers as a crash would.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Lets it live on; whoever reads its record ends it.
    pub(crate) fn leave_running(mut self) {
        self.running.leave();
    }
}

fn program() -> Result<PathBuf, LabError> {
    let usual = PathBuf::from("/usr/sbin/haproxy");
    if usual.is_file() {
        return Ok(usual);
    }
    on_path("haproxy").ok_or_else(|| missing("haproxy", "haproxy"))
}

fn config_file(dir: &Path) -> PathBuf {
    dir.join("haproxy.cfg")
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("ha.sock")
}

fn write_config(
    dir: &Path,
    front_port: u16,
    runtime_port: u16,
    servers: &[BehindIt],
    check_path: &str,
) -> Result<(), LabError> {
    let socket = socket(dir);
    if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(LabError::malformed(
            format!("socket path `{}`", socket.display()),
            format!("longer than {SOCKET_PATH_BYTES_MAX} bytes; use a shorter folder"),
        ));
    }
    let mut text = format!(
        "global\n\
         \x20   stats socket {socket} mode 600 level admin\n\
         \x20   stats socket ipv4@127.0.0.1:{runtime_port} level admin\n\
         \x20   maxconn 500\n\
         defaults\n\
         \x20   mode http\n\
         \x20   timeout connect 2s\n\
         \x20   timeout client {ANSWER_SECONDS_MAX}s\n\
         \x20   timeout server {ANSWER_SECONDS_MAX}s\n\
         \x20   option redispatch\n\
         \x20   retries 2\n\
         frontend front\n\
         \x20   bind 127.0.0.1:{front_port}\n\
         \x20   default_backend {BACKEND}\n\
         backend {BACKEND}\n\
         \x20   balance roundrobin\n\
         \x20   option httpchk GET {check_path}\n\
         \x20   default-server check inter 1s fall 2 rise 1\n",
        socket = socket.display(),
    );
    for server in servers {
        let BehindIt {
            name,
            port,
            is_down,
        } = server;
        let disabled = if *is_down { " disabled" } else { "" };
        text.push_str(&format!("    server {name} 127.0.0.1:{port}{disabled}\n"));
    }
    let file = config_file(dir);
    fs::write(&file, text).doing("write", &file)
}

/// One command a connection; the answer ends where the connection does.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    command: &str,
) -> Result<String, LabError> {
    let doing = |source| LabError::io(format!("send HAProxy `{command}`"), source);
    let both = async {
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        let mut text = String::new();
        stream
            .take(ANSWER_BYTES_MAX)
            .read_to_string(&mut text)
            .await?;
        Ok(text.trim_end().to_owned())
    };
    tokio::time::timeout(Duration::from_secs(START_SECONDS_MAX), both)
        .await
        .map_err(|_| doing(std::io::ErrorKind::TimedOut.into()))?
        .map_err(doing)
}

/// The rows of servers, by the names in the header: columns come and go between versions.
fn parse_stats(text: &str) -> Result<BTreeMap<String, BehindStat>, LabError> {
    let malformed = |why: &str| LabError::malformed("`show stat`", why);
    let mut lines = text.lines();
    let header = lines
        .next()
        .and_then(|line| line.strip_prefix("# "))
        .ok_or_else(|| malformed("it does not begin with a header"))?;
    let names: Vec<&str> = header.split(',').collect();
    let mut rows = BTreeMap::new();
    for line in lines {
        let row: BTreeMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
        let server = row.get("svname").copied().unwrap_or_default();
        let is_server = row.get("pxname") == Some(&BACKEND) && server != "BACKEND";
        if !is_server {
            continue;
        }
        let number = |name: &str| {
            row.get(name)
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| malformed(&format!("`{server}` has no number `{name}`")))
        };
        let stat = BehindStat {
            status: row.get("status").copied().unwrap_or_default().to_owned(),
            queued: number("qcur")?,
            active: number("scur")?,
            total: number("stot")?,
        };
        rows.insert(server.to_owned(), stat);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_columns_by_their_names() {
        let text = "# pxname,svname,qcur,new,scur,stot,status,\n\
                    front,FRONTEND,,,1,9,OPEN,\n\
                    camunda,n1,1,x,2,7,DRAIN,\n\
                    camunda,BACKEND,0,x,0,7,UP,\n";
        let rows = parse_stats(text).unwrap();
        let n1 = BehindStat {
            status: "DRAIN".into(),
            queued: 1,
            active: 2,
            total: 7,
        };
        assert_eq!(rows, BTreeMap::from([("n1".to_owned(), n1)]));
    }

    #[test]
    fn refuses_a_row_without_its_numbers() {
        let text = "# pxname,svname,qcur,scur,stot,status\ncamunda,n1,,0,0,UP\n";
        let error = parse_stats(text).unwrap_err().to_string();
        assert!(error.contains("`n1` has no number `qcur`"), "{error}");
        assert!(parse_stats("").is_err());
    }

    #[test]
    fn refuses_a_folder_too_deep_for_a_socket() {
        let deep = Path::new("/tmp").join("d".repeat(100));
        let error = write_config(&deep, 1, 2, &[], "/").unwrap_err().to_string();
        assert!(error.contains("shorter folder"), "{error}");
    }
}

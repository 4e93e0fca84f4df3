//! nginx on loopback, whose upstream is an included file of ours.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

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

/// Longest time that a worker of before a reload finishes its requests.
const OLD_WORKER_SECONDS_MAX: u64 = ANSWER_SECONDS_MAX;

/// A running nginx. Dropping it kills it.
///
/// There is no API at run time: a server is marked down in the included file, then comes a reload.
#[derive(Debug)]
pub struct Nginx {
    running: Running,
    front_port: u16,
}

impl Nginx {
    /// Starts it in `dir`, before these servers; one of them at least is not down.
    pub async fn start(dir: impl AsRef<Path>, servers: &[BehindIt]) -> Result<Self, LabError> {
        let dir = dir.as_ref();
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        fs::create_dir_all(dir.join("tmp")).doing("make", &dir)?;
        let mut attempt = 1;
        loop {
            match Self::launch(&dir, servers).await {
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

    async fn launch(dir: &Path, servers: &[BehindIt]) -> Result<Self, LabError> {
        let front_port = launch::pick_port()?;
        let config = config_file(dir);
        fs::write(&config, config_text(dir, front_port)?).doing("write", &config)?;
        write_include(dir, servers)?;
        let launch = Launch {
            program: program()?,
            arguments: vec![
                "-p".into(),
                dir.into(),
                "-c".into(),
                config.into(),
                "-g".into(),
                "daemon off;".into(),
            ],
            environment: Vec::new(),
            folder: dir.to_owned(),
            user: None,
            // Its workers would stay and listen when the master is killed.
            at_our_end: "TERM",
        };
        let running = Running::start(
            "nginx",
            &launch,
            dir,
            Lifetime::WithUs,
            StopBy::Terminate,
            STOP_SECONDS_MAX,
        )?;
        let mut nginx = Self {
            running,
            front_port,
        };
        nginx.wait_workers(&[]).await?;
        Ok(nginx)
    }

    /// Waits until it listens, with a worker that is none of `before`, all of which shut down.
    async fn wait_workers(&mut self, before: &[ProcessId]) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            self.running.check_alive()?;
            let workers = self.running.process().children();
            let is_new = workers.iter().any(|worker| !before.contains(worker));
            let port = ("127.0.0.1", self.front_port);
            let is_over = before.iter().all(takes_no_more);
            if is_new && is_over && tokio::net::TcpStream::connect(port).await.is_ok() {
                return Ok(());
            }
            if Instant::now() >= end {
                let why = format!("no new worker after {START_SECONDS_MAX} s");
                return Err(self.running.not_started(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Where clients send requests: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.front_port)
    }

    /// The included file with one line for each server, for whoever marks servers down.
    pub fn include_file(&self) -> PathBuf {
        include_file(self.running.dir())
    }

    /// The main configuration, which includes the file.
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

    /// Writes the included file; nothing happens until [`Nginx::reload`].
    pub fn write_servers(&self, servers: &[BehindIt]) -> Result<(), LabError> {
        write_include(self.running.dir(), servers)
    }

    /// The file with the process id of the master.
    pub fn pid_file(&self) -> PathBuf {
        self.running.dir().join("nginx.pid")
    }

    /// Program and arguments that let nginx look at its files.
    pub fn test_command(&self) -> Result<Vec<String>, LabError> {
        let words = [
            program()?,
            "-t".into(),
            "-p".into(),
            self.running.dir().into(),
            "-c".into(),
            self.config_file(),
        ];
        Ok(words.map(|word| word.to_string_lossy().into()).to_vec())
    }

    /// Lets nginx look at its files (`nginx -t`); the error has what it objects to.
    pub async fn test(&self) -> Result<(), LabError> {
        let command = self.test_command()?;
        let arguments: Vec<&str> = command[1..].iter().map(String::as_str).collect();
        cache::run(Path::new(&command[0]), &arguments, self.running.dir()).await
    }

    /// Tests the files, then makes nginx read them.
    ///
    /// Returns when only new workers take requests; answers those of before, which finish what they
    /// have. They count requests to every server, see [`Nginx::wait_finished`].
    pub async fn reload(&mut self) -> Result<Vec<ProcessId>, LabError> {
        self.test().await?;
        let before = self.running.process().children();
        self.running.process().signal(Signal::HUP);
        self.wait_workers(&before).await?;
        Ok(before)
    }

    /// Waits until workers of before a reload are gone; false after `patience`.
    pub async fn wait_finished(&self, workers: &[ProcessId], patience: Duration) -> bool {
        let end = Instant::now() + patience;
        for worker in workers {
            let left = end.saturating_duration_since(Instant::now());
            if !worker.wait_gone(left).await {
                return false;
            }
        }
        true
    }

    /// Ends it and cuts what is open.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }

    /// Kills it and its workers as a crash would.
    pub fn kill(&mut self) {
        self.running.kill();
    }
}

/// Whether a worker is gone or takes no request any more: it says so in its title, just before it
/// stops to listen.
fn takes_no_more(worker: &ProcessId) -> bool {
    let title = fs::read(format!("/proc/{}/cmdline", worker.pid)).unwrap_or_default();
    String::from_utf8_lossy(&title).contains("shutting down") || !worker.is_alive()
}

fn program() -> Result<PathBuf, LabError> {
    let usual = PathBuf::from("/usr/sbin/nginx");
    if usual.is_file() {
        return Ok(usual);
    }
    on_path("nginx").ok_or_else(|| missing("nginx", "nginx-light"))
}

fn config_file(dir: &Path) -> PathBuf {
    dir.join("nginx.conf")
}

fn include_file(dir: &Path) -> PathBuf {
    dir.join("upstream.conf")
}

fn config_text(dir: &Path, front_port: u16) -> Result<String, LabError> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    let Some(path) = dir.to_str().filter(|path| path.chars().all(is_plain)) else {
        return Err(LabError::malformed(
            format!("folder `{}`", dir.display()),
            "expected letters, digits, dots, underscores and dashes, as it goes into nginx's files",
        ));
    };
    // As root its workers would be another user, who cannot enter a folder of ours.
    let user = if rustix::process::getuid().is_root() {
        "user root;\n"
    } else {
        ""
    };
    Ok(format!(
        "{user}pid {path}/nginx.pid;\n\
         error_log stderr;\n\
         worker_processes 1;\n\
         worker_shutdown_timeout {OLD_WORKER_SECONDS_MAX}s;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n\
         \x20   access_log off;\n\
         \x20   client_body_temp_path {path}/tmp/body;\n\
         \x20   proxy_temp_path {path}/tmp/proxy;\n\
         \x20   fastcgi_temp_path {path}/tmp/fastcgi;\n\
         \x20   uwsgi_temp_path {path}/tmp/uwsgi;\n\
         \x20   scgi_temp_path {path}/tmp/scgi;\n\
         \x20   upstream camunda {{ include {include}; }}\n\
         \x20   server {{\n\
         \x20       listen 127.0.0.1:{front_port};\n\
         \x20       location / {{\n\
         \x20           proxy_pass http://camunda;\n\
         \x20           proxy_connect_timeout 2s;\n\
         \x20           proxy_read_timeout {ANSWER_SECONDS_MAX}s;\n\
         \x20       }}\n\
         \x20   }}\n\
         }}\n",
        include = include_file(dir).display(),
    ))
}

fn write_include(dir: &Path, servers: &[BehindIt]) -> Result<(), LabError> {
    let mut text = String::new();
    for server in servers {
        let down = if server.is_down { " down" } else { "" };
        let (name, port) = (&server.name, server.port);
        text.push_str(&format!("server 127.0.0.1:{port}{down}; # {name}\n"));
    }
    let file = include_file(dir);
    fs::write(&file, text).doing("write", &file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_one_line_for_each_server() {
        let dir = tempfile::tempdir().unwrap();
        let servers = [BehindIt::new("n1", 1), BehindIt::new("n2", 2).down()];
        write_include(dir.path(), &servers).unwrap();
        let text = fs::read_to_string(include_file(dir.path())).unwrap();
        assert_eq!(
            text,
            "server 127.0.0.1:1; # n1\nserver 127.0.0.1:2 down; # n2\n"
        );
    }

    #[test]
    fn refuses_a_folder_that_would_be_read_as_a_setting() {
        let error = config_text(Path::new("/tmp/a;b"), 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected letters"), "{error}");
    }
}

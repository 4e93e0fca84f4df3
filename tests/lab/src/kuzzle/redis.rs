//! Redis of the distribution's package, on loopback.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;

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

/// Longest start; 0.1 s were seen.
const START_SECONDS_MAX: u64 = 20;

/// Time to end before SIGKILL.
const STOP_SECONDS_MAX: u64 = 10;

/// A running Redis. Dropping it kills it.
///
/// It keeps nothing on disk: started again it is empty, as after a machine that was lost.
#[derive(Debug)]
pub struct Redis {
    running: Running,
    port: u16,
}

impl Redis {
    /// Starts it in `dir`; returns when it answers.
    pub async fn start(dir: impl AsRef<Path>) -> Result<Self, LabError> {
        let dir = dir.as_ref();
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        fs::create_dir_all(&dir).doing("make", &dir)?;
        let mut attempt = 1;
        loop {
            match Self::launch(&dir).await {
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

    async fn launch(dir: &Path) -> Result<Self, LabError> {
        let port = launch::pick_port()?;
        let program =
            on_path("redis-server").ok_or_else(|| missing("redis-server", "redis-server"))?;
        let mut arguments: Vec<_> = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            .map(Into::into)
            .into();
        arguments.extend(["--port".into(), port.to_string().into()]);
        arguments.extend(["--dir".into(), dir.into()]);
        let launch = Launch {
            program,
            arguments,
            environment: Vec::new(),
            folder: dir.to_owned(),
            user: None,
            at_our_end: "KILL",
        };
        let running = Running::start(
            "Redis",
            &launch,
            dir,
            Lifetime::WithUs,
            StopBy::Terminate,
            STOP_SECONDS_MAX,
        )?;
        let mut redis = Self { running, port };
        redis.wait_answer().await?;
        Ok(redis)
    }

    async fn wait_answer(&mut self) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            self.running.check_alive()?;
            let seen = self.ask("PING").await;
            if seen.as_ref().is_ok_and(|answer| answer == "+PONG") {
                return Ok(());
            }
            if Instant::now() >= end {
                let why = format!("no answer after {START_SECONDS_MAX} s, {seen:?}");
                return Err(self.running.not_started(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// One command that is answered in one line, in Redis' own form: `+OK`, `:1`.
    pub async fn ask(&self, command: &str) -> Result<String, LabError> {
        let failed = |source| LabError::io(format!("ask Redis `{command}`"), source);
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await;
        let mut stream = BufReader::new(stream.map_err(failed)?);
        let line = format!("{command}\r\n");
        stream.write_all(line.as_bytes()).await.map_err(failed)?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await.map_err(failed)?;
        Ok(answer.trim_end().to_owned())
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn process(&self) -> &ProcessId {
        self.running.process()
    }

    /// The file with everything it printed.
    pub fn log_file(&self) -> PathBuf {
        self.running.log_file()
    }

    /// Stops it; what it held is gone.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }
}

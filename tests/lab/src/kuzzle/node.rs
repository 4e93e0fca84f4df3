//! One Kuzzle.

use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use super::software::Software;
use super::software::VERSION;
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

/// Longest start. On an empty server it makes ten indices first: 11 s were seen, on a busy machine.
const START_SECONDS_MAX: u64 = 180;

/// Time to end before SIGKILL; 2.7 s were seen.
const STOP_SECONDS_MAX: u64 = 30;

/// Its configuration, in the folder that it is started in.
const CONFIG: &str = ".kuzzlerc";

/// Which major version of Elasticsearch Kuzzle is told that it talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Elasticsearch 7.
    Seven,
    /// Elasticsearch 8.
    Eight,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seven => "7",
            Self::Eight => "8",
        })
    }
}

/// What a Kuzzle talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KuzzleSpec {
    /// The search server: `http://127.0.0.1:PORT`.
    pub storage: String,
    /// What it is told of that server's version.
    pub mode: Mode,
    /// The port of its Redis on 127.0.0.1.
    pub redis_port: u16,
}

impl KuzzleSpec {
    /// The configuration as Kuzzle reads it. Without a Kuzzle cluster: that needs an address of its own for each.
    fn config(&self, port: u16) -> Value {
        let redis = |database: u32| json!({ "node": { "host": "127.0.0.1", "port": self.redis_port }, "database": database });
        json!({
            "server": { "port": port, "protocols": { "mqtt": { "enabled": false } } },
            "cluster": { "enabled": false },
            "services": {
                "storageEngine": {
                    "client": { "node": self.storage },
                    // A text: of a number Kuzzle says that the version is invalid.
                    "majorVersion": self.mode.to_string(),
                },
                "internalCache": redis(0),
                "memoryStorage": redis(1),
            },
        })
    }
}

/// Its folder is the last: Kuzzle ignores it, and it tells this process from every other.
fn arguments(software: &Software, dir: &Path) -> [String; 3] {
    [
        "--max-old-space-size=400".into(),
        software.program.display().to_string(),
        dir.display().to_string(),
    ]
}

/// A Kuzzle that runs without us. Dropping it kills what runs as this Kuzzle, whoever started it.
#[derive(Debug)]
pub struct Handed {
    dir: PathBuf,
    port: u16,
    /// What starts it, in its folder with [`Handed::ENVIRONMENT`].
    pub command: Vec<String>,
}

impl Handed {
    /// Of its process.
    pub const ENVIRONMENT: [(&str, &str); 1] = [("NODE_ENV", "production")];

    /// Its folder, with its configuration.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client without a token.
    pub fn target(&self) -> Result<HttpTarget, LabError> {
        HttpTarget::new(format!("http://127.0.0.1:{}", self.port))
    }

    /// What runs as this Kuzzle now.
    pub fn processes(&self) -> Vec<ProcessId> {
        ProcessId::with_argument(&self.dir.to_string_lossy())
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        for process in self.processes() {
            process.kill();
        }
    }
}

/// A running Kuzzle. Dropping it kills it.
#[derive(Debug)]
pub struct Kuzzle {
    running: Running,
    target: HttpTarget,
    port: u16,
    start_ms: u64,
}

impl Kuzzle {
    /// Starts it in `dir`, with its configuration there; returns when it answers.
    ///
    /// That is no sign that its storage is well: see its `/_healthCheck`.
    pub async fn start(dir: impl AsRef<Path>, spec: &KuzzleSpec) -> Result<Self, LabError> {
        let dir = dir.as_ref();
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        fs::create_dir_all(&dir).doing("make", &dir)?;
        let software = Software::ensure().await?;
        let mut attempt = 1;
        loop {
            match Self::launch(&dir, spec, &software).await {
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

    async fn launch(dir: &Path, spec: &KuzzleSpec, software: &Software) -> Result<Self, LabError> {
        let port = launch::pick_port()?;
        let config = dir.join(CONFIG);
        let text = format!("{:#}\n", spec.config(port));
        fs::write(&config, text).doing("write", &config)?;
        let launch = Launch {
            program: software.node.clone(),
            arguments: arguments(software, dir).map(Into::into).into(),
            environment: vec![("NODE_ENV", "production".into()), ("HOME", dir.into())],
            folder: dir.to_owned(),
            user: None,
            at_our_end: "KILL",
        };
        let begun = Instant::now();
        let running = Running::start(
            format!("Kuzzle {VERSION}"),
            &launch,
            dir,
            Lifetime::WithUs,
            StopBy::Terminate,
            STOP_SECONDS_MAX,
        )?;
        let mut kuzzle = Self {
            running,
            target: HttpTarget::new(format!("http://127.0.0.1:{port}"))?,
            port,
            start_ms: 0,
        };
        kuzzle.wait_answer().await?;
        kuzzle.start_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(kuzzle)
    }

    async fn wait_answer(&mut self) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            self.running.check_alive()?;
            // One of the few paths that need no right: `/_now` is refused once nobody is let in without a token.
            let seen = self.target.get("/_ready").await;
            if seen.is_ok() {
                return Ok(());
            }
            if Instant::now() >= end {
                let why = format!("no answer after {START_SECONDS_MAX} s, {seen:?}");
                return Err(self.running.not_started(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A client without a token.
    pub fn target(&self) -> &HttpTarget {
        &self.target
    }

    /// A client that sends this token.
    pub fn as_user(&self, token: Secret) -> HttpTarget {
        self.target.clone().bearer(token)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.running.dir().join(CONFIG)
    }

    /// Its process.
    pub fn process(&self) -> &ProcessId {
        self.running.process()
    }

    /// The file with everything it printed.
    pub fn log_file(&self) -> PathBuf {
        self.running.log_file()
    }

    /// How long its start took.
    pub fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// Leaves it running for somebody who stops and starts it.
    pub async fn hand_over(mut self) -> Result<Handed, LabError> {
        let software = Software::ensure().await?;
        let dir = self.running.dir().to_owned();
        let mut command = vec![software.node.display().to_string()];
        command.extend(arguments(&software, &dir));
        self.running.leave_to_others();
        Ok(Handed {
            dir,
            port: self.port,
            command,
        })
    }

    /// Stops it; its data stay where they are.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_mode_as_a_text() {
        let spec = KuzzleSpec {
            storage: "http://127.0.0.1:9200".into(),
            mode: Mode::Eight,
            redis_port: 6379,
        };
        let engine = &spec.config(7512)["services"]["storageEngine"];
        assert_eq!(engine["majorVersion"], "8");
        assert_eq!(engine["client"]["node"], "http://127.0.0.1:9200");
    }
}

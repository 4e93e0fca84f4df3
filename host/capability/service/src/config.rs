//! What the operator writes in `site.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use liftlock_disk::{KEYS_DEFAULT, RedactError};
use liftlock_types::{Digest, SecretRef, is_invisible};
use serde::{Deserialize, Serialize};

/// Longest grace between signal and kill.
///
/// Ten minutes: a Java application ends the requests and jobs that it has within a bound of its own, which operators
/// set to minutes where a job takes that long, and a margin comes on top. A change is answered within two minutes, so
/// a longer stop is followed by its probe.
pub const GRACE_MS_MAX: u64 = 600_000;

/// Longest grace of a service that is restarted in one change: stop, kill and start are answered within two minutes.
pub const RESTART_GRACE_MS_MAX: u64 = 60_000;

/// Most labels of a service; a person writes them.
const LABELS_MAX: usize = 32;

/// Longest name of a label, and longest value, in bytes.
const LABEL_BYTES_MAX: (usize, usize) = (80, 255);

/// Grace where the operator names none; what init systems and container runtimes give is 10 to 90 s.
const GRACE_MS_DEFAULT: u64 = 20_000;

/// Patience with a start: a large Java application on a busy machine took minutes in the lab.
const START_TIMEOUT_MS_DEFAULT: u64 = 300_000;

/// Longest task where the operator names no bound: the longest vendor's upgrade that was reported took hours.
const TASK_TIMEOUT_MS_DEFAULT: u64 = 24 * 3_600_000;

/// `[service.optimize]`: commands are argument vectors, never a shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceConfig {
    /// Starts it; stays in the foreground or not. Without it the service cannot be started.
    #[serde(default)]
    pub start: Vec<String>,
    /// Stops it. Default: TERM to each of its processes.
    #[serde(default)]
    pub stop: Stop,
    /// Then what still lives is killed. At most [`GRACE_MS_MAX`]: the service's own bound for ending what it has
    /// begun, and a margin.
    #[serde(default = "grace_ms")]
    pub grace_ms: u64,
    /// Where its commands run; relative paths are relative to the site file.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// `name` of this machine's user file, or `uid:gid`. Supplementary groups are dropped.
    #[serde(default)]
    pub user: Option<String>,
    /// Of its commands; nothing else but a few harmless variables is passed on.
    #[serde(default)]
    pub environment: BTreeMap<String, Setting>,
    /// Names of our own variables that are passed on.
    #[serde(default)]
    pub inherit: Vec<String>,
    /// Where its port is. Default: 127.0.0.1.
    #[serde(default = "host")]
    pub host: String,
    /// It listens there while it lives.
    #[serde(default)]
    pub port: Option<u16>,
    /// It writes its process id there, or who starts it does.
    #[serde(default)]
    pub pid_file: Option<PathBuf>,
    /// A pattern that matches its whole command line and no other's.
    #[serde(default)]
    pub process: Option<String>,
    /// When it is ready. Default: its port is open.
    #[serde(default)]
    pub ready: Option<Ready>,
    /// Its log.
    #[serde(default)]
    pub log: Option<PathBuf>,
    /// Within it a process that is not ready counts as starting.
    #[serde(default = "start_timeout_ms")]
    pub start_timeout_ms: u64,
    /// Commands that change something, by name.
    #[serde(default)]
    pub tasks: BTreeMap<String, TaskConfig>,
    /// Commands that only read, by name.
    #[serde(default)]
    pub asks: BTreeMap<String, AskConfig>,
    /// Patterns; what matches one is replaced in logs and output.
    #[serde(default)]
    pub redact: Vec<String>,
    /// Parts of keys whose values are replaced likewise.
    #[serde(default = "keys_default")]
    pub redact_keys: Vec<String>,
    /// What it is among others of its kind, for the plugin: `pool = "rest"`, `endpoint = "endpoint.n1"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it runs, where that can be switched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactConfig>,
}

/// A symbolic link to one directory beneath another: `link = "/opt/n1/current"`, `versions = "/opt/camunda"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ArtifactConfig {
    /// The link that the service is started through.
    pub link: PathBuf,
    /// The directory in which each directory is a version that it can name.
    pub versions: PathBuf,
}

fn grace_ms() -> u64 {
    GRACE_MS_DEFAULT
}

fn start_timeout_ms() -> u64 {
    START_TIMEOUT_MS_DEFAULT
}

fn task_timeout_ms() -> u64 {
    TASK_TIMEOUT_MS_DEFAULT
}

fn host() -> String {
    "127.0.0.1".into()
}

fn keys_default() -> Vec<String> {
    KEYS_DEFAULT.iter().map(ToString::to_string).collect()
}

/// A value of the environment: a text, or a reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a text, or a secret such as { secret = { env = \"NAME\" } }"
)]
pub enum Setting {
    /// As it is.
    Text(String),
    /// Fetched when the service is opened.
    Secret {
        /// From where.
        secret: SecretRef,
    },
}

/// How a service is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// By a signal to each of its processes: `{ signal = "TERM" }`.
    Signal(StopSignal),
    /// By a command: `{ command = ["bin/stop"] }`.
    Command(Vec<String>),
}

impl Default for Stop {
    fn default() -> Self {
        Self::Signal(StopSignal::Term)
    }
}

/// Signals that ask a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// TERM.
    Term,
    /// INT.
    Int,
    /// QUIT.
    Quit,
    /// HUP.
    Hup,
}

/// When a service is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// A GET of this URL is answered with 2xx.
    Http(String),
    /// The port is open.
    Port(u16),
    /// A line of its log, or of its output, matches.
    LogLine(String),
}

/// A command that changes something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TaskConfig {
    /// An argument vector.
    pub command: Vec<String>,
    /// Where it runs. Default: the service's.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// On top of the service's.
    #[serde(default)]
    pub environment: BTreeMap<String, Setting>,
    /// Then it is ended.
    #[serde(default = "task_timeout_ms")]
    pub timeout_ms: u64,
    /// A pattern with the groups `done` and `total`, looked for in its lines.
    #[serde(default)]
    pub progress: Option<String>,
    /// Exit codes with which it counts as done, 0 to 255. Default: 0 alone. For a tool that reports harmless trouble by
    /// its exit code, where the plan looks for itself at what is there afterwards.
    #[serde(default = "success_codes", skip_serializing_if = "is_zero_alone")]
    pub success_codes: Vec<i32>,
}

fn success_codes() -> Vec<i32> {
    vec![0]
}

fn is_zero_alone(codes: &[i32]) -> bool {
    *codes == [0]
}

/// A command that only reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AskConfig {
    /// An argument vector.
    pub command: Vec<String>,
}

impl ServiceConfig {
    /// All secrets that it refers to, for who fetches them.
    pub fn secrets(&self) -> Vec<&SecretRef> {
        let settings = self.environment.values().chain(
            self.tasks
                .values()
                .flat_map(|task| task.environment.values()),
        );
        let mut secrets: Vec<&SecretRef> = Vec::new();
        for setting in settings {
            if let Setting::Secret { secret } = setting
                && !secrets.contains(&secret)
            {
                secrets.push(secret);
            }
        }
        secrets
    }

    /// Of the definition, references to secrets included, secrets not.
    pub(crate) fn fingerprint(&self) -> Digest {
        let text = serde_json::to_string(self).unwrap_or_default();
        Digest::of(text.as_bytes())
    }

    /// Its check; without one, its port.
    pub(crate) fn ready(&self) -> Option<Ready> {
        self.ready.clone().or(self.port.map(Ready::Port))
    }

    /// What the parser does not see.
    pub(crate) fn check(&self) -> Result<(), ServiceError> {
        let bad = |key: &str, why: &str| {
            Err(ServiceError::Config {
                key: key.into(),
                why: why.into(),
            })
        };
        if self.grace_ms > GRACE_MS_MAX {
            return bad("grace-ms", &format!("it is at most {GRACE_MS_MAX}"));
        }
        if self.labels.len() > LABELS_MAX {
            return bad("labels", &format!("there are more than {LABELS_MAX}"));
        }
        for (name, value) in &self.labels {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let (longest_name, longest) = LABEL_BYTES_MAX;
            if name.is_empty() || name.len() > longest_name || !name.chars().all(good) {
                return bad(
                    &format!("labels.{}", name.escape_debug()),
                    "a name has 1 to 80 letters, digits, `-`, `_` and `.`",
                );
            }
            if value.len() > longest || value.chars().any(|c| c.is_control() || is_invisible(c)) {
                return bad(
                    &format!("labels.{name}"),
                    "a value has at most 255 bytes and no character that is not seen",
                );
            }
        }
        if let Some(artifact) = &self.artifact
            && artifact.link.file_name().is_none()
        {
            return bad("artifact.link", "it names no link");
        }
        if matches!(&self.stop, Stop::Command(command) if command.is_empty()) {
            return bad("stop", "the command is empty");
        }
        if self.ready().is_none() {
            return bad("ready", "neither a check nor a port is given");
        }
        for (name, task) in &self.tasks {
            if task.command.is_empty() {
                return bad(&format!("tasks.{name}"), "the command is empty");
            }
            let codes = &task.success_codes;
            if codes.is_empty() || codes.iter().any(|code| !(0..=255).contains(code)) {
                return bad(
                    &format!("tasks.{name}.success-codes"),
                    &format!(
                        "it is {codes:?}; at least one number of 0 to 255 is wanted, such as [0, 1]"
                    ),
                );
            }
        }
        for (name, ask) in &self.asks {
            if ask.command.is_empty() {
                return bad(&format!("asks.{name}"), "the command is empty");
            }
        }
        let names = self
            .environment
            .keys()
            .chain(&self.inherit)
            .chain(self.tasks.values().flat_map(|task| task.environment.keys()));
        for name in names {
            if name.is_empty() || name.contains(['=', '\0']) {
                return bad("environment", "a name is empty or holds `=`");
            }
        }
        for name in self.tasks.keys() {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.len() > 80 || !name.chars().all(good) {
                return bad(
                    &format!("tasks.{name}"),
                    "a name has 1 to 80 letters, digits, `-`, `_` and `.`",
                );
            }
        }
        Ok(())
    }

    /// Relative paths are relative to the site file.
    pub(crate) fn resolve(&mut self, base: &Path) {
        let absolute = |path: &mut PathBuf| *path = base.join(&*path);
        for path in [&mut self.directory, &mut self.pid_file, &mut self.log] {
            path.as_mut().map(absolute);
        }
        if let Some(artifact) = &mut self.artifact {
            absolute(&mut artifact.link);
            absolute(&mut artifact.versions);
        }
        for task in self.tasks.values_mut() {
            task.directory.as_mut().map(absolute);
        }
    }
}

/// A service that cannot be used as the operator wrote it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A value cannot be.
    #[error("`{key}`: {why}")]
    Config {
        /// Which key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A pattern does not parse.
    #[error("`{pattern}` is no pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: regex_lite::Error,
    },
    /// Redaction cannot work like this.
    #[error("cannot use the redaction")]
    Redact(#[source] RedactError),
    /// Nobody fetched the secret.
    #[error("the secret of the variable `{0}` was not fetched")]
    Secret(String),
    /// The user is not known here.
    #[error("`{0}` is no user of this machine; `uid:gid` names any")]
    User(String),
    /// The place for processes cannot be made.
    #[error("cannot open the place for processes, `{}`", .path.display())]
    Place {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client for health cannot be made.
    #[error("cannot make an HTTP client")]
    Http(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_reads_as_the_operator_writes_it() {
        let config: ServiceConfig = toml::from_str(
            r#"
            start = ["bin/start", "--now"]
            stop = { signal = "INT" }
            port = 8090
            ready = { http = "http://127.0.0.1:8090/api/readyz" }
            environment = { A = "1", B = { secret = { env = "X" } } }
            [tasks.upgrade]
            command = ["bin/upgrade"]
            environment = { C = { secret = { env = "X" } }, D = { secret = { file = "f" } } }
            progress = "(?<done>[0-9]+)/(?<total>[0-9]+)"
            [asks.version]
            command = ["java", "-version"]
            "#,
        )
        .unwrap();
        config.check().unwrap();
        assert_eq!(config.stop, Stop::Signal(StopSignal::Int));
        assert_eq!(config.secrets().len(), 2);
        let default: ServiceConfig =
            toml::from_str("port = 1\nstop = { command = [\"x\"] }").unwrap();
        assert_eq!(default.ready(), Some(Ready::Port(1)));
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        for (text, key) in [
            ("port = 1\ngrace-ms = 600001", "grace-ms"),
            ("port = 1\nlabels.\"a b\" = \"x\"", "labels.a b"),
            ("port = 1\nlabels.a = \"x\\ny\"", "labels.a"),
            (
                "port = 1\nartifact = { link = \"/\", versions = \"/v\" }",
                "artifact.link",
            ),
            ("start = [\"x\"]", "ready"),
            ("port = 1\nstop = { command = [] }", "stop"),
            ("port = 1\ntasks.a.command = []", "tasks.a"),
            ("port = 1\ntasks.\"a/b\".command = [\"x\"]", "tasks.a/b"),
            ("port = 1\nasks.a.command = []", "asks.a"),
            ("port = 1\nenvironment = { \"A=B\" = \"1\" }", "environment"),
        ] {
            let config: ServiceConfig = toml::from_str(text).unwrap();
            let error = config.check().unwrap_err();
            assert!(
                matches!(&error, ServiceError::Config { key: found, .. } if found == key),
                "{text}: {error}"
            );
        }
        let mut many: ServiceConfig = toml::from_str("port = 1").unwrap();
        many.labels = (0..=LABELS_MAX)
            .map(|n| (format!("l{n}"), "x".into()))
            .collect();
        assert!(many.check().is_err());
        many.labels = BTreeMap::from([("a".into(), "x".repeat(256))]);
        assert!(many.check().is_err());
        for bad in ["artifact = { link = \"x\" }", "labels = { a = 1 }"] {
            assert!(toml::from_str::<ServiceConfig>(bad).is_err(), "{bad}");
        }
        assert!(toml::from_str::<ServiceConfig>("port = 1\nshell = \"x\"").is_err());
        assert!(toml::from_str::<ServiceConfig>("port = 1\nstart = \"x y\"").is_err());
    }

    #[test]
    fn the_fingerprint_is_of_the_definition() {
        let one: ServiceConfig = toml::from_str("port = 1\nstart = [\"x\"]").unwrap();
        let other: ServiceConfig = toml::from_str("port = 1\nstart = [\"y\"]").unwrap();
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
    }
}

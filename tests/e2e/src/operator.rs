//! A person who types `liftlock` commands.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use serde_json::Value;
use tokio::process::Child;
use tokio::process::Command;

/// Longest time one command gets. A whole upgrade of a small site takes under a minute on two busy
/// cores; five times that means that it hangs.
const COMMAND_SECONDS_MAX: u64 = 300;

/// What one command said.
#[derive(Clone, Debug)]
pub struct Told {
    /// The arguments, for messages.
    pub command: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

impl Told {
    /// An error unless the exit code is this one.
    pub fn expect(self, code: i32) -> anyhow::Result<Self> {
        if self.code == Some(code) {
            return Ok(self);
        }
        bail!("expected exit code {code}\n{self}")
    }

    /// The answer of a command with `--json`: its `data`.
    pub fn data(&self) -> anyhow::Result<Value> {
        let whole: Value = serde_json::from_str(&self.stdout)
            .with_context(|| format!("the output is no JSON\n{self}"))?;
        Ok(whole["data"].clone())
    }

    /// Whether this text is in what was printed, on either stream.
    pub fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ liftlock {}", self.command)?;
        for line in self.stdout.lines() {
            writeln!(f, "| {line}")?;
        }
        for line in self.stderr.lines() {
            writeln!(f, "! {line}")?;
        }
        match self.code {
            Some(code) => write!(f, "= {code}"),
            None => f.write_str("= ended by a signal"),
        }
    }
}

/// One person on one site, with one state directory.
#[derive(Clone, Debug)]
pub struct Operator {
    binary: PathBuf,
    site: PathBuf,
    state: PathBuf,
    environment: Vec<(OsString, OsString)>,
    transcript: Arc<Mutex<String>>,
}

impl Operator {
    /// Works in the folder `site`, with the journal in `state`.
    pub fn new(binary: &Path, site: &Path, state: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            site: site.to_owned(),
            state: state.to_owned(),
            environment: Vec::new(),
            transcript: Arc::default(),
        }
    }

    /// With a variable in the environment of every command.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The same person with another state directory; the transcript goes on.
    #[must_use]
    pub fn with_state(mut self, state: &Path) -> Self {
        self.state = state.to_owned();
        self
    }

    /// The folder with `site.toml`.
    pub fn site(&self) -> &Path {
        &self.site
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Everything that was typed and printed so far.
    pub fn transcript(&self) -> String {
        self.transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env("LIFTLOCK_SITE", &self.site)
            .env("LIFTLOCK_STATE", &self.state)
            // Output is compared; the person's own settings must not be in it.
            .env("NO_COLOR", "1")
            // The folders of a test may lie in memory.
            .env("LIFTLOCK_VOLATILE_STATE", "1")
            .env_remove("LIFTLOCK_BY")
            .env("USER", "operator")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.site)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Types a command and waits for its end.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Told> {
        let child = self.start(arguments)?;
        self.wait(arguments, child).await
    }

    /// Types a command and does not wait.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        self.command(arguments)
            .spawn()
            .with_context(|| format!("cannot run `{}`", self.binary.display()))
    }

    /// Waits for the end of a command that was started.
    pub async fn wait(&self, arguments: &[&str], child: Child) -> anyhow::Result<Told> {
        let limit = Duration::from_secs(COMMAND_SECONDS_MAX);
        let ended = tokio::time::timeout(limit, child.wait_with_output())
            .await
            .map_err(|_| {
                anyhow!(
                    "`liftlock {}` did not end in {COMMAND_SECONDS_MAX} s",
                    arguments.join(" ")
                )
            })?
            .context("cannot wait for liftlock")?;
        let told = Told {
            command: arguments.join(" "),
            code: ended.status.code(),
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
        };
        // Writing to a string cannot fail.
        let mut transcript = self
            .transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(transcript, "{told}");
        Ok(told)
    }

    /// Adds a plugin that nobody signed.
    pub async fn add(&self, plugin: &Path) -> anyhow::Result<()> {
        let plugin = plugin.to_str().context("the plugin's path")?;
        let add = ["plugin", "add", plugin, "--allow-unsigned"];
        self.run(&add).await?.expect(0).map(drop)
    }

    /// Grants the plugin what it asks for.
    pub async fn grant(&self) -> anyhow::Result<()> {
        self.run(&["grant", "--yes"]).await?.expect(0).map(drop)
    }

    /// Plans to this version and approves; gives the plan's file.
    pub async fn approved(&self, to: &str) -> anyhow::Result<String> {
        let told = self.run(&["plan", to, "--json"]).await?.expect(0)?;
        let data = told.data()?;
        let file = data["file"].as_str().context("the plan's file")?.to_owned();
        self.approve(&file).await?;
        Ok(file)
    }

    /// Approves a plan.
    pub async fn approve(&self, plan: &str) -> anyhow::Result<Told> {
        let approve = ["approve", plan, "--by", "prover"];
        self.run(&approve).await?.expect(0)
    }
}

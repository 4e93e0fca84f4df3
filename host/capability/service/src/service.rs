//! The capability itself.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use liftlock_disk::Redactor;
use liftlock_types::event::Borrowed;
use liftlock_types::facts::service::{Output, State, Status};
use liftlock_types::rules::Borrow;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Evaluated, Facts, FileName, Observed, Planned,
    Predicate, Probed, Progress, Read, ReadError, SecretRef, TargetIdentity,
};
use regex_lite::Regex;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::artifact::{Link, Trouble};
use crate::command::{ASK_BYTES_MAX, CommandError, Prepared, resolved};
use crate::config::{RESTART_GRACE_MS_MAX, Ready, ServiceConfig, ServiceError, Setting};
use crate::find::{self, Found};
use crate::launch::{self, Launched};
use crate::output::{self, LOG_BYTES_MAX, LOG_LINES_MAX};
use crate::process::{Process, TOKEN_VARIABLE};
use crate::record::{Ended, Home, Kind, Spec, User, user_of};
use crate::signs;
use crate::status::{Check, Signs, state_of, word, words};
use crate::stop::refused;
use crate::task::{Seen, seen_of};

/// What may be borrowed of a service: that it runs.
const BORROWED_KEY: &str = "service";

/// The fact that a switch rests on.
const ARTIFACT_KEY: &str = "artifact/current";

const NO_ARTIFACT: &str = "the site file does not say what it runs";

const LONG_RESTART: &str = "its grace is longer than a restart may take to be answered: stop it and start it, which \
                            are two steps";

/// Longest ask: a command that only reads, and that an export waits for.
const ASK_DEADLINE: Duration = Duration::from_secs(30);

/// How much longer than the grace a stop may be in progress before it is a doubt.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Variables of ours that every command gets. All others, secrets among them, stay here.
const PASSED_ON: &[&str] = &["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The program, and its arguments before the spec, that runs [`crate::supervise_main`].
#[derive(Debug, Clone)]
pub struct SupervisorCommand(pub Vec<OsString>);

impl SupervisorCommand {
    /// `supervise` of the program that runs now.
    pub fn this_program() -> io::Result<Self> {
        Ok(Self(vec![
            std::env::current_exe()?.into(),
            "supervise".into(),
        ]))
    }
}

/// Secrets as they were fetched, each for its reference.
#[derive(Debug, Clone, Default)]
pub struct Secrets(pub Vec<(SecretRef, SecretString)>);

/// Where a service is, beside its definition.
#[derive(Debug, Clone)]
pub struct ServicePlace {
    /// Its binding.
    pub binding: Binding,
    /// Directory of the site file, absolute: what relative paths are relative to.
    pub base: PathBuf,
    /// `processes/` of the state directory.
    pub processes: PathBuf,
    /// Who watches its processes.
    pub supervisor: SupervisorCommand,
    /// For each of [`ServiceConfig::secrets`].
    pub secrets: Secrets,
}

/// One service of the site.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

enum Variable {
    Text(String),
    Secret(SecretString),
}

pub(crate) struct Inner {
    binding: Binding,
    pub(crate) config: ServiceConfig,
    fingerprint: String,
    pub(crate) home: Home,
    supervisor: Vec<OsString>,
    user: Option<User>,
    environment: BTreeMap<String, Variable>,
    task_environments: BTreeMap<String, BTreeMap<String, Variable>>,
    redactor: Redactor,
    process: Option<Regex>,
    line: Option<Regex>,
    progress: BTreeMap<String, Regex>,
    client: reqwest::Client,
    /// Since when this process has seen an attempt neither done nor undone.
    pending_since: Mutex<HashMap<String, Instant>>,
    /// Attempts whose stop goes on in this process, and since when.
    pub(crate) stopping: Mutex<HashMap<String, Instant>>,
    artifact: Option<Link>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("binding", &self.inner.binding)
            .finish_non_exhaustive()
    }
}

/// One look at everything that the service shows.
pub(crate) struct Look {
    pub(crate) found: Found,
    pub(crate) signs: Signs,
}

impl Service {
    /// Checks the definition and makes the place for its processes.
    pub fn open(mut config: ServiceConfig, place: ServicePlace) -> Result<Self, ServiceError> {
        config.check()?;
        let fingerprint = config.fingerprint().as_str().to_owned();
        config.resolve(&place.base);
        let pattern = |pattern: &String| {
            Regex::new(pattern).map_err(|source| ServiceError::Pattern {
                pattern: pattern.clone(),
                source,
            })
        };
        let variables = |settings: &BTreeMap<String, Setting>| {
            settings
                .iter()
                .map(|(name, setting)| Ok((name.clone(), variable(name, setting, &place.secrets)?)))
                .collect::<Result<BTreeMap<_, _>, ServiceError>>()
        };
        let mut redactor =
            Redactor::new(&config.redact, &config.redact_keys).map_err(ServiceError::Redact)?;
        for (_, secret) in &place.secrets.0 {
            redactor.add_secret(secret.clone());
        }
        let mut progress = BTreeMap::new();
        let mut task_environments = BTreeMap::new();
        for (name, task) in &config.tasks {
            task_environments.insert(name.clone(), variables(&task.environment)?);
            if let Some(text) = &task.progress {
                progress.insert(name.clone(), pattern(text)?);
            }
        }
        let user = match &config.user {
            None => None,
            Some(text) => Some(
                user_of(text, Path::new("/etc/passwd"))
                    .ok_or_else(|| ServiceError::User(text.clone()))?,
            ),
        };
        let path = place.processes.join(place.binding.as_str());
        let home =
            Home::open(path.clone()).map_err(|source| ServiceError::Place { path, source })?;
        let line = match &config.ready {
            Some(Ready::LogLine(text)) => Some(pattern(text)?),
            _ => None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                binding: place.binding,
                fingerprint,
                home,
                supervisor: place.supervisor.0,
                user,
                environment: variables(&config.environment)?,
                task_environments,
                redactor,
                process: config.process.as_ref().map(pattern).transpose()?,
                line,
                progress,
                client: signs::client().map_err(ServiceError::Http)?,
                pending_since: Mutex::default(),
                stopping: Mutex::default(),
                artifact: config.artifact.as_ref().map(|artifact| Link {
                    link: artifact.link.clone(),
                    versions: artifact.versions.clone(),
                }),
                config,
            }),
        })
    }
}

fn variable(name: &str, setting: &Setting, secrets: &Secrets) -> Result<Variable, ServiceError> {
    match setting {
        Setting::Text(text) => Ok(Variable::Text(text.clone())),
        Setting::Secret { secret } => secrets
            .0
            .iter()
            .find(|(reference, _)| reference == secret)
            .map(|(_, value)| Variable::Secret(value.clone()))
            .ok_or_else(|| ServiceError::Secret(name.to_owned())),
    }
}

#[async_trait]
impl Capability for Service {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        let what = self
            .inner
            .config
            .start
            .first()
            .map_or_else(|| "no start command".to_owned(), Clone::clone);
        Ok(TargetIdentity {
            fingerprint: self.inner.fingerprint.clone(),
            product: format!("service {} ({what})", self.inner.binding.name()),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        match read {
            Read::ServiceStatus => serde_json::to_value(self.inner.look().await?.status())
                .map_err(|error| invalid(&error)),
            Read::ServiceTasks => Ok(self
                .inner
                .config
                .tasks
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .into()),
            Read::ServiceLog { lines } => self.inner.log(*lines).await,
            Read::ServiceAsk { name } => self.inner.ask(name).await,
            Read::ServiceLabels => {
                let labels: Vec<_> = self.inner.config.labels.iter().collect();
                serde_json::to_value(labels).map_err(|error| invalid(&error))
            }
            Read::ServiceArtifact => {
                let artifact = self.inner.with_link(|link| link.read()).await?;
                serde_json::to_value(artifact).map_err(|error| invalid(&error))
            }
            _ => Err(ReadError::Invalid(format!(
                "`{}` is no read of a service",
                read.verb()
            ))),
        }
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        _last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        let wanted = match predicate {
            Predicate::Stopped => "stopped",
            Predicate::Ready => "ready",
            _ => return Err(ReadError::Invalid("not a condition of a service".into())),
        };
        let status = self.inner.look().await?.status();
        Ok(Evaluated {
            holds: word(&status.state) == wanted,
            why: words(&status.state),
            seen: serde_json::to_value(status).map_err(|error| invalid(&error))?,
        })
    }

    /// None: a service is meant by its definition, which is its identity, and not by the process that happens to
    /// run when it is planned. A restart keeps that process in its observation, right before the intent.
    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        match change {
            Change::StopService {} => Ok(Facts::new()),
            Change::StartService {} | Change::RestartService {}
                if self.inner.config.start.is_empty() =>
            {
                Err(ReadError::NotFound(format!(
                    "a start command of `{}`",
                    self.inner.binding
                )))
            }
            Change::RestartService {} if self.inner.config.grace_ms > RESTART_GRACE_MS_MAX => {
                Err(ReadError::Invalid(LONG_RESTART.into()))
            }
            Change::StartService {} | Change::RestartService {} => Ok(Facts::new()),
            Change::SwitchArtifact { .. } => {
                let current = self.inner.with_link(|link| link.current()).await?;
                let current = current.map(|name| name.to_string());
                Ok(Facts::from([(ARTIFACT_KEY.into(), current.into())]))
            }
            Change::RunTask { name, .. } if self.inner.config.tasks.contains_key(name) => {
                Ok(Facts::new())
            }
            Change::RunTask { name, .. } => Err(ReadError::NotFound(format!(
                "a task `{name}` of `{}`",
                self.inner.binding
            ))),
            _ => Err(not_ours(change)),
        }
    }

    async fn observe(&self, change: &Change, _attempt: &Attempt) -> Result<Observed, ReadError> {
        if let Change::RunTask { .. } = change {
            return Ok(Observed {
                already_true: false,
                evidence: Value::Null,
                kept: Value::Null,
                borrowed: None,
            });
        }
        if let Change::SwitchArtifact { to, .. } = change {
            let current = self.inner.with_link(|link| link.current()).await?;
            return Ok(Observed {
                already_true: current.as_ref() == Some(to),
                evidence: json!({ "artifact": current }),
                kept: json!({ "artifact": current }),
                borrowed: None,
            });
        }
        let look = self.inner.look_within(signs::HEALTH_DEADLINE_BRIEF).await?;
        let status = look.status();
        let now = word(&status.state);
        let mut observed = Observed {
            already_true: false,
            evidence: serde_json::to_value(&status).map_err(|error| invalid(&error))?,
            kept: Value::Null,
            borrowed: None,
        };
        match change {
            Change::StopService {} => {
                observed.already_true = now == "stopped";
                observed.borrowed = (!observed.already_true).then(|| Borrowed {
                    kind: Borrow::Protective,
                    key: BORROWED_KEY.into(),
                    old: now.into(),
                    ours: "stopped".into(),
                });
            }
            Change::StartService {} => observed.already_true = now == "ready",
            Change::RestartService {} => {
                observed.kept = json!({ "processes": look.found.processes });
            }
            _ => return Err(not_ours(change)),
        }
        Ok(observed)
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        let inner = &self.inner;
        let done = match change {
            Change::StopService {} => inner.stop(&attempt.token).await,
            Change::StartService {} => inner.start(attempt).await,
            Change::RestartService {} => inner.restart(attempt).await,
            Change::RunTask { name, .. } => inner.run_task(name, attempt).await,
            Change::SwitchArtifact { to, while_it_is } => {
                inner
                    .switch_artifact(to, while_it_is.as_ref(), attempt)
                    .await
            }
            _ => Err(refused("invalid", &not_ours(change).to_string())),
        };
        match done {
            Ok(answer) => Acted::Answered(answer),
            Err(acted) => acted,
        }
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        match change {
            Change::RunTask { name, .. } => self.inner.probe_task(name, attempt).await,
            Change::StopService {} => self.inner.probe_stop(attempt).await,
            Change::StartService {} => self.inner.probe_start(attempt).await,
            Change::RestartService {} => self.inner.probe_restart(attempt).await,
            Change::SwitchArtifact { to, .. } => self.inner.probe_artifact(to, attempt).await,
            _ => Err(not_ours(change)),
        }
    }

    async fn in_flight(&self, _change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        if self.inner.is_stopping(&attempt.token).is_some() {
            return Ok(true);
        }
        let launch = self.inner.home.launch(&attempt.token);
        blocking(move || launch.lives()).await
    }

    async fn clean_up(&self, change: &Change, attempt: &Attempt) -> Result<Vec<String>, ReadError> {
        if let Change::SwitchArtifact { .. } = change {
            self.inner.with_link(Link::tidy).await?;
        }
        self.inner
            .home
            .forget_killing(&attempt.token)
            .map_err(|error| unavailable(&error))?;
        self.inner
            .pending_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&attempt.token);
        // The supervisor's files stay: through them a later run knows the process, and a person reads the output.
        Ok(Vec::new())
    }

    fn automatic_undo(&self, change: &Change, attempt: &Attempt) -> Option<Vec<Planned>> {
        let change = match change {
            Change::SwitchArtifact { to, .. } => Change::SwitchArtifact {
                to: artifact_before(attempt)?,
                while_it_is: Some(to.clone()),
            },
            Change::StopService {} => Change::StartService {},
            Change::StartService {} => Change::StopService {},
            _ => return None,
        };
        Some(vec![Planned {
            binding: self.inner.binding.clone(),
            change,
            fills: Vec::new(),
        }])
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        if key != BORROWED_KEY {
            return Err(ReadError::NotFound(format!(
                "`{key}`: nothing of it can be borrowed"
            )));
        }
        Ok(word(&state_of(&self.inner.look().await?.signs)).into())
    }
}

impl Look {
    fn status(&self) -> Status {
        let age_ms = self.found.processes.iter().map(Process::age_ms).max();
        Status {
            state: state_of(&self.signs),
            pids: self
                .found
                .processes
                .iter()
                .map(|process| process.pid)
                .collect(),
            since_ms: age_ms.map(|age_ms| now_ms().saturating_sub(age_ms)),
        }
    }
}

impl Inner {
    // ---- looking

    pub(crate) async fn look(&self) -> Result<Look, ReadError> {
        self.look_within(signs::HEALTH_DEADLINE).await
    }

    async fn look_within(&self, deadline: Duration) -> Result<Look, ReadError> {
        let found = self.find().await.map_err(|error| unavailable(&error))?;
        let check = self.config.ready();
        let port = match &check {
            Some(Ready::Port(port)) => Some(*port),
            _ => self.config.port,
        };
        let port = async {
            match port {
                Some(port) => Some(signs::port(&self.config.host, port).await),
                None => None,
            }
        };
        let health = async {
            match &check {
                Some(Ready::Http(url)) => Some(signs::health(&self.client, url, deadline).await),
                _ => None,
            }
        };
        let (port, health) = tokio::join!(port, health);
        let line = match &self.line {
            Some(pattern) => Some(self.has_line(pattern, &found).await?),
            None => None,
        };
        // The oldest: workers come and go while a service runs.
        let age_ms = found.processes.iter().map(Process::age_ms).max();
        let signs = Signs {
            processes: found.processes.len(),
            tells_processes: self.config.pid_file.is_some() || self.process.is_some(),
            port,
            health,
            line,
            is_young: age_ms.is_some_and(|age_ms| age_ms < self.config.start_timeout_ms),
            check: match check {
                Some(Ready::Http(_)) => Check::Http,
                Some(Ready::LogLine(_)) => Check::Line,
                _ => Check::Port,
            },
        };
        Ok(Look { found, signs })
    }

    /// Its processes: of our launches, of its pid file, of its pattern.
    pub(crate) async fn find(&self) -> io::Result<Found> {
        let home = self.home.clone();
        let (pid_file, pattern) = (self.config.pid_file.clone(), self.process.clone());
        tokio::task::spawn_blocking(move || {
            find::find(&home, pid_file.as_deref(), pattern.as_ref())
        })
        .await
        .map_err(io::Error::other)?
    }

    async fn has_line(&self, pattern: &Regex, found: &Found) -> Result<bool, ReadError> {
        let (home, pattern) = (self.home.clone(), pattern.clone());
        let (living, log) = (found.living.clone(), self.config.log.clone());
        blocking(move || {
            let launched = home
                .launches()?
                .into_iter()
                .find(|(launch, _)| living.contains(&launch.dir));
            match (log, launched) {
                // What is in front of the mark was said by an earlier start.
                (Some(log), launched) => {
                    let from = launched.map_or(0, |(_, spec)| spec.log_from);
                    signs::line_in(&log, from, &pattern)
                }
                (None, Some((launch, _))) => Ok(signs::line_in_output(&launch.stdout(), &pattern)?
                    || signs::line_in_output(&launch.stderr(), &pattern)?),
                (None, None) => Ok(false),
            }
        })
        .await
    }

    async fn log(&self, lines: u32) -> Result<Value, ReadError> {
        if lines == 0 || lines > LOG_LINES_MAX {
            return Err(ReadError::Invalid(format!(
                "{lines} lines asked, 1 to {LOG_LINES_MAX} a read"
            )));
        }
        let (home, log) = (self.home.clone(), self.config.log.clone());
        let text = blocking(move || match log {
            Some(log) => output::tail(&log, 0, LOG_BYTES_MAX),
            None => {
                let launched = home
                    .launches()?
                    .into_iter()
                    .find(|(_, spec)| spec.kind == Kind::Service);
                match launched {
                    Some((launch, _)) => output::launch_tail(&launch.stdout(), LOG_BYTES_MAX),
                    None => Err(io::ErrorKind::NotFound.into()),
                }
            }
        })
        .await?;
        // All of it first: a secret can stand over several lines.
        let text = self.redactor.redact(&text);
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines as usize);
        let last = all.into_iter().skip(from).map(output::escape);
        Ok(last.collect::<Vec<String>>().into())
    }

    async fn ask(&self, name: &str) -> Result<Value, ReadError> {
        let ask = self
            .config
            .asks
            .get(name)
            .ok_or_else(|| ReadError::NotFound(format!("an ask `{}`", name.escape_debug())))?;
        let said = self
            .prepared(&ask.command, None, "")
            .run(true, ASK_DEADLINE)
            .await
            .map_err(|error| match error {
                CommandError::TooMuch => ReadError::Invalid(format!("`{name}`: {error}")),
                _ => ReadError::Unavailable(format!("`{name}`: {error}")),
            })?;
        let text = |bytes: &[u8]| {
            let text = self.redactor.redact(&String::from_utf8_lossy(bytes));
            let text: Vec<String> = text.split('\n').map(output::escape).collect();
            text.join("\n")
        };
        let output = Output {
            exit_code: said.code,
            stdout: text(&said.stdout),
            stderr: text(&said.stderr),
        };
        // Replacing a secret by a longer text can lead over the bound, as escaping can.
        if output.stdout.len().max(output.stderr.len()) as u64 > ASK_BYTES_MAX {
            return Err(ReadError::Invalid(format!(
                "`{name}`: {}",
                CommandError::TooMuch
            )));
        }
        serde_json::to_value(output).map_err(|error| invalid(&error))
    }

    // ---- acting

    pub(crate) fn prepared<'a>(
        &'a self,
        argv: &'a [String],
        task: Option<&str>,
        token: &str,
    ) -> Prepared<'a> {
        let mut environment = self.environment(task);
        if !token.is_empty() {
            environment.push((TOKEN_VARIABLE.into(), token.into()));
        }
        Prepared {
            argv,
            directory: self.config.directory.as_deref(),
            user: self.user.as_ref(),
            environment,
        }
    }

    /// The one place where secrets are exposed: on their way to the operator's own command.
    fn environment(&self, task: Option<&str>) -> Vec<(String, OsString)> {
        let mut environment = BTreeMap::new();
        let inherited = self.config.inherit.iter().map(String::as_str);
        for name in PASSED_ON.iter().copied().chain(inherited) {
            if let Some(value) = std::env::var_os(name) {
                environment.insert(name.to_owned(), value);
            }
        }
        if let Some(user) = &self.user {
            if let Some(home) = &user.home {
                environment.insert("HOME".into(), home.into());
            }
            if let Some(name) = &user.name {
                environment.insert("USER".into(), name.into());
            }
        }
        let of_task = task.and_then(|task| self.task_environments.get(task));
        for (name, variable) in self.environment.iter().chain(of_task.into_iter().flatten()) {
            let value = match variable {
                Variable::Text(text) => text.into(),
                Variable::Secret(secret) => secret.expose_secret().into(),
            };
            environment.insert(name.clone(), value);
        }
        environment.into_iter().collect()
    }

    fn secret_variables(&self, task: Option<&str>) -> Vec<String> {
        let of_task = task.and_then(|task| self.task_environments.get(task));
        self.environment
            .iter()
            .chain(of_task.into_iter().flatten())
            .filter(|(_, variable)| matches!(variable, Variable::Secret(_)))
            .map(|(name, _)| name.clone())
            .collect()
    }

    async fn start(&self, attempt: &Attempt) -> Result<Value, Acted> {
        if self.config.start.is_empty() {
            return Err(refused("not-defined", "it has no start command"));
        }
        let look = self
            .look()
            .await
            .map_err(|error| Acted::NotSent(error.to_string()))?;
        let state = state_of(&look.signs);
        if state == State::Ready {
            return Ok(json!({ "was": "ready" }));
        }
        if state != State::Stopped {
            return Err(refused(
                "not-stopped",
                &format!(
                    "a second one is never started while one lives: {}",
                    words(&state)
                ),
            ));
        }
        let spec = Spec {
            token: attempt.token.clone(),
            kind: Kind::Service,
            argv: resolved(&self.config.start, self.config.directory.as_deref()),
            directory: self.config.directory.clone(),
            user: self.user.clone(),
            timeout_ms: None,
            grace_ms: self.config.grace_ms,
            redact: self.config.redact.clone(),
            redact_keys: self.config.redact_keys.clone(),
            secret_variables: self.secret_variables(None),
            log_from: self
                .config
                .log
                .as_ref()
                .and_then(|log| std::fs::metadata(log).ok())
                .map_or(0, |meta| meta.len()),
            launched_at_ms: now_ms(),
        };
        self.launch(spec, None).await
    }

    async fn restart(self: &Arc<Self>, attempt: &Attempt) -> Result<Value, Acted> {
        if self.config.start.is_empty() {
            return Err(refused("not-defined", "it has no start command"));
        }
        if self.config.grace_ms > RESTART_GRACE_MS_MAX {
            return Err(refused("too-long", LONG_RESTART));
        }
        let stopped = self.stop(&attempt.token).await?;
        match self.start(attempt).await {
            Ok(started) => Ok(json!({ "stopped": stopped, "started": started })),
            // It is stopped or about to be, so this is no refusal that changed nothing.
            Err(acted) => Err(Acted::Unanswered(format!(
                "it was stopped, and not started: {}",
                why(&acted)
            ))),
        }
    }

    /// Only while it is proved stopped: a process that starts or runs reads both directories.
    async fn switch_artifact(
        &self,
        to: &FileName,
        while_it_is: Option<&FileName>,
        attempt: &Attempt,
    ) -> Result<Value, Acted> {
        let look = self
            .look_within(signs::HEALTH_DEADLINE_BRIEF)
            .await
            .map_err(|error| Acted::NotSent(error.to_string()))?;
        let state = state_of(&look.signs);
        if state != State::Stopped {
            return Err(refused(
                "not-stopped",
                &format!(
                    "its artifact is switched only while it is stopped: {}",
                    words(&state)
                ),
            ));
        }
        let Some(from) = while_it_is.cloned().or_else(|| artifact_before(attempt)) else {
            return Err(refused(
                "no-link",
                "there is no link that could be switched",
            ));
        };
        let Some(link) = self.artifact.clone() else {
            return Err(refused("not-defined", NO_ARTIFACT));
        };
        let (to, token) = (to.clone(), attempt.token.clone());
        let switched =
            tokio::task::spawn_blocking(move || (link.switch(&from, &to, &token), from)).await;
        match switched {
            Ok((Ok(()), from)) => Ok(json!({ "from": from })),
            Ok((Err(Trouble::Unsynced(error)), _)) => {
                Err(Acted::Unanswered(Trouble::Unsynced(error).to_string()))
            }
            Ok((Err(trouble), _)) => Err(refused("not-switched", &trouble.to_string())),
            Err(error) => Err(Acted::Unanswered(error.to_string())),
        }
    }

    async fn probe_artifact(&self, to: &FileName, attempt: &Attempt) -> Result<Probed, ReadError> {
        let current = match self.with_link(|link| link.current()).await {
            Ok(current) => current,
            Err(ReadError::Invalid(why)) => {
                return Ok(Probed::Indeterminate(json!({ "why": why })));
            }
            Err(error) => return Err(error),
        };
        let seen = json!({ "artifact": current });
        Ok(match current {
            Some(name) if name == *to => Probed::Applied {
                evidence: seen,
                ours: attempt.answer.is_some(),
            },
            Some(name) if Some(&name) == artifact_before(attempt).as_ref() => Probed::Absent(seen),
            _ => Probed::Indeterminate(seen),
        })
    }

    async fn with_link<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Link) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, ReadError> {
        let link = self.artifact.clone().ok_or_else(|| {
            ReadError::NotFound(format!("`artifact` of `{}`: {NO_ARTIFACT}", self.binding))
        })?;
        match tokio::task::spawn_blocking(move || look(&link)).await {
            Ok(seen) => Ok(seen?),
            Err(error) => Err(ReadError::Unavailable(error.to_string())),
        }
    }

    async fn run_task(&self, name: &str, attempt: &Attempt) -> Result<Value, Acted> {
        let task = self
            .config
            .tasks
            .get(name)
            .ok_or_else(|| refused("not-defined", &format!("it has no task `{name}`")))?;
        let directory = task.directory.clone().or(self.config.directory.clone());
        let spec = Spec {
            token: attempt.token.clone(),
            kind: Kind::Task { name: name.into() },
            argv: resolved(&task.command, directory.as_deref()),
            directory,
            user: self.user.clone(),
            timeout_ms: Some(task.timeout_ms),
            grace_ms: self.config.grace_ms,
            redact: self.config.redact.clone(),
            redact_keys: self.config.redact_keys.clone(),
            secret_variables: self.secret_variables(Some(name)),
            log_from: 0,
            launched_at_ms: now_ms(),
        };
        self.launch(spec, Some(name)).await
    }

    async fn launch(&self, spec: Spec, task: Option<&str>) -> Result<Value, Acted> {
        let home = self.home.clone();
        let environment = self.environment(task);
        let supervisor = self.supervisor.clone();
        let launched = tokio::task::spawn_blocking(move || {
            if let Err(error) = home.prune() {
                tracing::warn!(%error, "old launches cannot be removed");
            }
            launch::launch(&home.launch(&spec.token), &spec, &supervisor, &environment)
        })
        .await;
        match launched {
            Ok(Launched::Started(process)) => Ok(json!({ "process": process })),
            Ok(Launched::NotStarted(why)) => Err(refused("not-started", &why)),
            Ok(Launched::Unknown(why)) => Err(Acted::Unanswered(why)),
            Err(error) => Err(Acted::Unanswered(error.to_string())),
        }
    }

    // ---- probing

    /// In progress for so long as this process has patience, then a doubt.
    fn pending(
        &self,
        attempt: &Attempt,
        patience: Duration,
        status: &Status,
    ) -> Result<Probed, ReadError> {
        let since = *self
            .pending_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(attempt.token.clone())
            .or_insert_with(Instant::now);
        if since.elapsed() > patience {
            return Ok(Probed::Indeterminate(evidence(status)?));
        }
        Ok(Probed::InProgress(Progress {
            done: 0,
            total: 0,
            unit: String::new(),
            note: words(&status.state),
        }))
    }

    /// The status, and whether processes had to be killed: what they had begun was cut off then.
    fn evidence_of_stop(&self, status: &Status, attempt: &Attempt) -> Result<Value, ReadError> {
        let killed = self
            .home
            .has_killed(&attempt.token)
            .map_err(|error| unavailable(&error))?;
        let mut seen = evidence(status)?;
        seen["killed"] = killed.into();
        if killed {
            seen["note"] = format!(
                "it did not end within {} s and was killed; what it had begun was cut off",
                self.config.grace_ms.div_ceil(1_000)
            )
            .into();
        }
        Ok(seen)
    }

    async fn probe_stop(&self, attempt: &Attempt) -> Result<Probed, ReadError> {
        // Whatever it shows meanwhile, ready among it: it was asked to end, and is not through with what it has.
        if let Some(since) = self.is_stopping(&attempt.token) {
            return Ok(Probed::InProgress(Progress {
                done: since.as_secs(),
                total: self.config.grace_ms.div_ceil(1_000),
                unit: "seconds".into(),
                note: format!(
                    "it was asked to end {} s ago, and has {} s before it is killed",
                    since.as_secs(),
                    self.config.grace_ms.div_ceil(1_000)
                ),
            }));
        }
        let status = self.look().await?.status();
        match &status.state {
            State::Stopped => Ok(Probed::Applied {
                evidence: self.evidence_of_stop(&status, attempt)?,
                ours: attempt.answer.is_some(),
            }),
            State::Ready => Ok(Probed::Absent(evidence(&status)?)),
            _ => {
                let patience = Duration::from_millis(self.config.grace_ms) + STOP_PATIENCE;
                self.pending(attempt, patience, &status)
            }
        }
    }

    async fn probe_start(&self, attempt: &Attempt) -> Result<Probed, ReadError> {
        let look = self.look().await?;
        let status = look.status();
        let (supervised, ended) = self.launched(attempt).await?;
        match &status.state {
            State::Ready => Ok(Probed::Applied {
                evidence: evidence(&status)?,
                ours: look
                    .found
                    .living
                    .contains(&self.home.launch(&attempt.token).dir),
            }),
            // Between the supervisor and its process.
            State::Stopped if supervised && ended.is_none() => {
                self.pending(attempt, self.start_patience(), &status)
            }
            State::Stopped => Ok(Probed::Absent(
                json!({ "status": evidence(&status)?, "ended": ended }),
            )),
            _ => self.pending(attempt, self.start_patience(), &status),
        }
    }

    async fn probe_restart(&self, attempt: &Attempt) -> Result<Probed, ReadError> {
        let look = self.look().await?;
        let status = look.status();
        let before: Vec<Process> = attempt
            .kept
            .get("processes")
            .and_then(|processes| serde_json::from_value(processes.clone()).ok())
            .unwrap_or_default();
        let ours = look
            .found
            .living
            .contains(&self.home.launch(&attempt.token).dir);
        let is_same = before
            .iter()
            .any(|process| look.found.processes.contains(process));
        match &status.state {
            State::Ready if ours && !is_same => Ok(Probed::Applied {
                evidence: self.evidence_of_stop(&status, attempt)?,
                ours: true,
            }),
            State::Ready if is_same => Ok(Probed::Absent(evidence(&status)?)),
            State::Ready if before.is_empty() => Ok(Probed::Indeterminate(evidence(&status)?)),
            State::Ready => Ok(Probed::Applied {
                evidence: evidence(&status)?,
                ours: false,
            }),
            _ => {
                let patience = Duration::from_millis(self.config.grace_ms) + self.start_patience();
                self.pending(attempt, patience, &status)
            }
        }
    }

    async fn probe_task(&self, name: &str, attempt: &Attempt) -> Result<Probed, ReadError> {
        let launch = self.home.launch(&attempt.token);
        let pattern = self.progress.get(name).cloned();
        let looked_at = launch.clone();
        let seen = blocking(move || seen_of(&looked_at, pattern.as_ref())).await?;
        let directory = launch.dir.display().to_string();
        Ok(match seen {
            Seen::Nothing => Probed::Absent(json!({ "output": directory })),
            Seen::Ended(Ended::NotStarted { why }) => {
                Probed::Absent(json!({ "not_started": why, "output": directory }))
            }
            Seen::Ended(Ended::Exited { code }) if self.is_success(name, code) => Probed::Applied {
                evidence: json!({ "exit_code": code, "output": directory }),
                ours: true,
            },
            Seen::Ended(ended) => Probed::Partial(json!({ "ended": ended, "output": directory })),
            Seen::Lives { done, total, line } => Probed::InProgress(Progress {
                done,
                total,
                unit: String::new(),
                note: output::escape(&self.redactor.redact(&line)),
            }),
            Seen::Gone => Probed::Indeterminate(
                json!({ "why": "its process is gone and left no status", "output": directory }),
            ),
        })
    }

    /// The operator takes this exit code of the task for success.
    fn is_success(&self, task: &str, code: i32) -> bool {
        self.config
            .tasks
            .get(task)
            .map_or(code == 0, |task| task.success_codes.contains(&code))
    }

    fn start_patience(&self) -> Duration {
        Duration::from_millis(self.config.start_timeout_ms)
    }

    async fn launched(&self, attempt: &Attempt) -> Result<(bool, Option<Ended>), ReadError> {
        let launch = self.home.launch(&attempt.token);
        blocking(move || Ok((launch.supervisor_lives()?, launch.ended()?))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ReadError::NotFound("its log".into()),
            _ => unavailable(&error),
        }),
        Err(error) => Err(ReadError::Unavailable(error.to_string())),
    }
}

/// The directory that was named before the attempt.
fn artifact_before(attempt: &Attempt) -> Option<FileName> {
    FileName::new(attempt.kept.get("artifact")?.as_str()?).ok()
}

fn evidence(status: &Status) -> Result<Value, ReadError> {
    serde_json::to_value(status).map_err(|error| invalid(&error))
}

fn why(acted: &Acted) -> String {
    match acted {
        Acted::NotSent(why) | Acted::Unanswered(why) => why.clone(),
        Acted::Refused { text, .. } => text.clone(),
        Acted::Answered(answer) => answer.to_string(),
    }
}

fn unavailable(error: &io::Error) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

fn invalid(error: &serde_json::Error) -> ReadError {
    ReadError::Invalid(error.to_string())
}

fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!("`{}` is no change of a service", change.verb()))
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

//! The capability itself.
//!
//! | module | what |
//! |---|---|
//! | `environment` | what the operator's commands find in their environment |
//! | `look` | what a service shows |
//! | `act` | what is done to it |
//! | `probe` | what became of that |

mod act;
mod environment;
mod look;
mod probe;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use liftlock_disk::Redactor;
use liftlock_types::event::Borrowed;
use liftlock_types::rules::Borrow;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Evaluated, Facts, FileName, Observed, Planned,
    Predicate, Probed, Read, ReadError, TargetIdentity,
};
use regex_lite::Regex;
use serde_json::{Value, json};

pub use self::environment::Secrets;
use self::environment::{Variable, variable};
use crate::artifact::Link;
use crate::config::{RESTART_GRACE_MS_MAX, Ready, ServiceConfig, ServiceError, Setting};
use crate::record::{Home, User, user_of};
use crate::signs;
use crate::status::{state_of, word, words};
use crate::stop::refused;

/// What may be borrowed of a service: that it runs.
const BORROWED_KEY: &str = "service";

/// The fact that a switch rests on.
const ARTIFACT_KEY: &str = "artifact/current";

const NO_ARTIFACT: &str = "the site file does not say what it runs";

const LONG_RESTART: &str = "its grace is longer than a restart may take to be answered: stop it and start it, which \
                            are two steps";

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

//! A service without a process of its own, as the gate sees one: labels, an artifact, a state.

use async_trait::async_trait;
use liftlock_types::Acted;
use liftlock_types::Attempt;
use liftlock_types::Binding;
use liftlock_types::Capability;
use liftlock_types::Change;
use liftlock_types::Evaluated;
use liftlock_types::Facts;
use liftlock_types::FileName;
use liftlock_types::Observed;
use liftlock_types::Planned;
use liftlock_types::Predicate;
use liftlock_types::Probed;
use liftlock_types::Progress;
use liftlock_types::Read;
use liftlock_types::ReadError;
use liftlock_types::TargetIdentity;
use liftlock_types::event::Borrowed;
use liftlock_types::rules::Borrow;
use serde_json::Value;
use serde_json::json;

/// What is borrowed of it: that it runs.
const BORROWED_KEY: &str = "service";

/// The fact that a switch rests on.
const ARTIFACT_KEY: &str = "artifact/current";

/// Looks at a node until it has started.
const STARTS_FOR: u32 = 2;

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    /// Of what was its artifact when it was started.
    version: String,
    /// Whose start it was; nothing: not a run's.
    token: String,
    /// Looks until it is ready.
    starting: u32,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    process: Option<Process>,
    /// What it would run if it were started.
    pub artifact: String,
}

impl Node {
    /// One that runs this version.
    pub fn running(version: &str) -> Self {
        let process = Process {
            version: version.to_owned(),
            token: String::new(),
            starting: 0,
        };
        Self {
            process: Some(process),
            artifact: version.to_owned(),
        }
    }

    /// What it runs; none: it is stopped.
    pub fn runs(&self) -> Option<&str> {
        Some(&self.process.as_ref()?.version)
    }

    /// It runs, and has started.
    pub fn is_ready(&self) -> bool {
        self.process.as_ref().is_some_and(|it| it.starting == 0)
    }

    /// The version that answers, once it has started.
    pub fn answers(&self) -> Option<String> {
        self.runs().filter(|_| self.is_ready()).map(str::to_owned)
    }

    /// Somebody looks: one that starts gets on with it.
    pub fn look(&mut self) -> &Self {
        if let Some(process) = &mut self.process {
            process.starting = process.starting.saturating_sub(1);
        }
        self
    }

    /// Ends its process; false: there was none.
    pub fn stop(&mut self) -> bool {
        self.process.take().is_some()
    }

    /// Starts what its artifact is; false, and nothing happens, when it runs.
    pub fn start(&mut self, token: &str) -> bool {
        let starts = self.process.is_none();
        if starts {
            self.process = Some(Process {
                version: self.artifact.clone(),
                token: token.to_owned(),
                starting: STARTS_FOR,
            });
        }
        starts
    }
}

/// What a node is on.
#[async_trait]
pub trait Machine: Send + Sync {
    /// The node as it is; one that starts gets on with it. None: there is no such node.
    fn look(&self) -> Option<Node>;

    /// What the operator says of it: pairs of texts.
    fn labels(&self) -> Value;

    /// Ends its process.
    async fn stop(&self);

    /// Starts what its artifact is; nothing happens when it runs.
    async fn start(&self, token: &str);

    /// Lets it run another artifact when it is started next.
    fn switch(&self, to: &str);
}

/// One node. It answers the gate as the capability `service` does.
pub struct NodeService<M> {
    /// Its binding.
    pub binding: Binding,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub machine: M,
    /// The artifacts that lie there; none: it has no link that could be switched.
    pub available: Vec<String>,
}

fn not_mine<T>() -> Result<T, ReadError> {
    Err(ReadError::Invalid("not of this service".into()))
}

fn refused(kind: &str, text: &str) -> Acted {
    Acted::Refused {
        status: 409,
        kind: kind.into(),
        text: text.into(),
        later: false,
    }
}

impl<M: Machine> NodeService<M> {
    fn look(&self) -> Result<Node, ReadError> {
        self.machine
            .look()
            .ok_or_else(|| ReadError::NotFound(self.name.clone()))
    }

    fn word(&self, node: &Node) -> &'static str {
        match &node.process {
            None => "stopped",
            Some(_) if node.is_ready() => "ready",
            Some(_) => "starting",
        }
    }

    fn status(&self, node: &Node) -> Value {
        json!({"state": {"is": self.word(node)}, "pids": [], "since_ms": null})
    }
}

fn artifact_before(attempt: &Attempt) -> Option<FileName> {
    FileName::new(attempt.kept.get("artifact")?.as_str()?).ok()
}

#[async_trait]
impl<M: Machine> Capability for NodeService<M> {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        Ok(TargetIdentity {
            fingerprint: self.name.clone(),
            product: format!("node {}", self.name),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        let node = self.look()?;
        match read {
            Read::ServiceStatus => Ok(self.status(&node)),
            Read::ServiceTasks => Ok(json!([])),
            Read::ServiceLabels => Ok(self.machine.labels()),
            Read::ServiceArtifact if self.available.is_empty() => {
                Err(ReadError::NotFound("a link".into()))
            }
            Read::ServiceArtifact => {
                Ok(json!({"current": node.artifact, "available": self.available}))
            }
            _ => not_mine(),
        }
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        _: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        let wanted = match predicate {
            Predicate::Stopped => "stopped",
            Predicate::Ready => "ready",
            _ => return not_mine(),
        };
        let node = self.look()?;
        Ok(Evaluated {
            holds: self.word(&node) == wanted,
            seen: self.status(&node),
            why: format!("it is {}", self.word(&node)),
        })
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        Ok(match change {
            Change::SwitchArtifact { .. } => {
                Facts::from([(ARTIFACT_KEY.into(), self.look()?.artifact.into())])
            }
            _ => Facts::new(),
        })
    }

    async fn observe(&self, change: &Change, _: &Attempt) -> Result<Observed, ReadError> {
        let node = self.look()?;
        if let Change::SwitchArtifact { to, .. } = change {
            return Ok(Observed {
                already_true: node.artifact == to.as_str(),
                evidence: json!({"artifact": node.artifact}),
                kept: json!({"artifact": node.artifact}),
                borrowed: None,
            });
        }
        let now = self.word(&node);
        let already_true = match change {
            Change::StopService {} => now == "stopped",
            Change::StartService {} => now == "ready",
            _ => return not_mine(),
        };
        let stops = matches!(change, Change::StopService {});
        Ok(Observed {
            already_true,
            evidence: self.status(&node),
            kept: Value::Null,
            borrowed: (stops && !already_true).then(|| Borrowed {
                kind: Borrow::Protective,
                key: BORROWED_KEY.into(),
                old: now.into(),
                ours: "stopped".into(),
            }),
        })
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        let node = match self.look() {
            Ok(node) => node,
            Err(error) => return Acted::NotSent(error.to_string()),
        };
        match change {
            Change::StopService {} => self.machine.stop().await,
            Change::StartService {} => self.machine.start(&attempt.token).await,
            Change::SwitchArtifact { .. } if node.process.is_some() => {
                return refused(
                    "not-stopped",
                    "its artifact is switched while it is stopped",
                );
            }
            Change::SwitchArtifact { to, while_it_is } => {
                let from = while_it_is.clone().or_else(|| artifact_before(attempt));
                if from.is_none_or(|from| from.as_str() != node.artifact) {
                    return refused("not-switched", "it is another one meanwhile");
                }
                self.machine.switch(to.as_str());
            }
            _ => return Acted::NotSent("not of this service".into()),
        }
        Acted::Answered(json!({"was": self.word(&node)}))
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        let node = self.look()?;
        if let Change::SwitchArtifact { to, .. } = change {
            let evidence = json!({"artifact": node.artifact});
            return Ok(if node.artifact == to.as_str() {
                Probed::Applied {
                    evidence,
                    ours: attempt.answer.is_some(),
                }
            } else if artifact_before(attempt).is_some_and(|old| old.as_str() == node.artifact) {
                Probed::Absent(evidence)
            } else {
                Probed::Indeterminate(evidence)
            });
        }
        let evidence = self.status(&node);
        let token = node.process.as_ref().map(|process| process.token.as_str());
        Ok(match (change, self.word(&node)) {
            (Change::StopService {}, "stopped") => Probed::Applied {
                evidence,
                ours: attempt.answer.is_some(),
            },
            (Change::StartService {}, "ready") => Probed::Applied {
                evidence,
                ours: token == Some(&attempt.token),
            },
            (Change::StopService {}, "ready") | (Change::StartService {}, "stopped") => {
                Probed::Absent(evidence)
            }
            (Change::StopService {} | Change::StartService {}, _) => Probed::InProgress(Progress {
                done: 0,
                total: 0,
                unit: String::new(),
                note: "it starts".into(),
            }),
            _ => return not_mine(),
        })
    }

    async fn in_flight(&self, _: &Change, _: &Attempt) -> Result<bool, ReadError> {
        Ok(false)
    }

    async fn clean_up(&self, _: &Change, _: &Attempt) -> Result<Vec<String>, ReadError> {
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
            binding: self.binding.clone(),
            change,
            fills: Vec::new(),
        }])
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        if key != BORROWED_KEY {
            return Err(ReadError::NotFound(key.to_owned()));
        }
        let node = self.look()?;
        Ok(self.word(&node).into())
    }
}

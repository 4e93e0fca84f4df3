//! A service without a process: the writer that a run stops, as the gate sees one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use liftlock_types::Acted;
use liftlock_types::Attempt;
use liftlock_types::Binding;
use liftlock_types::Capability;
use liftlock_types::Change;
use liftlock_types::Evaluated;
use liftlock_types::Facts;
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

use crate::vendor::Seen;
use crate::vendor::Vendor;

/// The task that runs the vendor's upgrader, as the plugin asks for it.
const TASK: &str = "upgrade";

/// A switch: it runs, or it does not. Clones are the same service.
#[derive(Debug, Clone)]
pub struct Switch {
    binding: Binding,
    running: Arc<AtomicBool>,
    vendor: Option<Vendor>,
}

impl Switch {
    /// It runs; `vendor` is its task, where it has one.
    pub fn new(binding: Binding, vendor: Option<Vendor>) -> Self {
        Self {
            binding,
            running: Arc::new(AtomicBool::new(true)),
            vendor,
        }
    }

    /// Its task.
    pub fn vendor(&self) -> Option<&Vendor> {
        self.vendor.as_ref()
    }

    /// Does it run?
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Somebody else starts or stops it.
    pub fn set(&self, running: bool) {
        self.running.store(running, Ordering::SeqCst);
    }

    fn word(&self) -> &'static str {
        if self.is_running() {
            "ready"
        } else {
            "stopped"
        }
    }

    fn status(&self) -> Value {
        json!({"state": {"is": self.word()}, "pids": [], "since_ms": null})
    }
}

/// What the capability `service` makes of the files of a supervisor.
fn probed(seen: Option<Seen>) -> Probed {
    match seen {
        None => Probed::Absent(json!({"output": "none"})),
        Some(Seen::Lives) => Probed::InProgress(Progress {
            done: 0,
            total: 0,
            unit: String::new(),
            note: "at work".into(),
        }),
        Some(Seen::Exited(0)) => Probed::Applied {
            evidence: json!({"exit_code": 0}),
            ours: true,
        },
        Some(Seen::Exited(code)) => Probed::Partial(json!({"exit_code": code})),
        Some(Seen::Gone) => {
            Probed::Indeterminate(json!({"why": "its process is gone and left no status"}))
        }
    }
}

fn not_mine<T>() -> Result<T, ReadError> {
    Err(ReadError::Invalid("not of this service".into()))
}

#[async_trait]
impl Capability for Switch {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        Ok(TargetIdentity {
            fingerprint: "switch".into(),
            product: "a switch".into(),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        match read {
            Read::ServiceStatus => Ok(self.status()),
            Read::ServiceTasks => Ok(match &self.vendor {
                Some(_) => json!([TASK]),
                None => json!([]),
            }),
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
        Ok(Evaluated {
            holds: self.word() == wanted,
            seen: self.status(),
            why: format!("it is {}", self.word()),
        })
    }

    async fn facts(&self, _: &Change) -> Result<Facts, ReadError> {
        Ok(Facts::new())
    }

    async fn observe(&self, change: &Change, _: &Attempt) -> Result<Observed, ReadError> {
        if matches!(change, Change::RunTask { .. }) {
            return Ok(Observed {
                already_true: false,
                evidence: Value::Null,
                kept: Value::Null,
                borrowed: None,
            });
        }
        let stops = matches!(change, Change::StopService {});
        let already_true = stops != self.is_running();
        Ok(Observed {
            already_true,
            evidence: self.status(),
            kept: Value::Null,
            borrowed: (stops && !already_true).then(|| Borrowed {
                kind: Borrow::Protective,
                key: "service".into(),
                old: "ready".into(),
                ours: "stopped".into(),
            }),
        })
    }

    async fn act(&self, change: &Change, attempt: &Attempt) -> Acted {
        match change {
            Change::StopService {} => self.set(false),
            Change::StartService {} => self.set(true),
            Change::RunTask { .. } => {
                let Some(vendor) = &self.vendor else {
                    return Acted::NotSent("it has no task".into());
                };
                if let Err(why) = vendor.start(&attempt.token) {
                    return Acted::NotSent(why);
                }
            }
            _ => return Acted::NotSent("not of this service".into()),
        }
        Acted::Answered(Value::Null)
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        if let (Change::RunTask { .. }, Some(vendor)) = (change, &self.vendor) {
            return Ok(probed(vendor.look(&attempt.token)));
        }
        let holds = match change {
            Change::StopService {} => !self.is_running(),
            Change::StartService {} => self.is_running(),
            _ => return not_mine(),
        };
        Ok(if holds {
            Probed::Applied {
                evidence: self.status(),
                ours: attempt.answer.is_some(),
            }
        } else {
            Probed::Absent(self.status())
        })
    }

    async fn in_flight(&self, _: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        let seen = self
            .vendor
            .as_ref()
            .and_then(|vendor| vendor.look(&attempt.token));
        Ok(seen == Some(Seen::Lives))
    }

    async fn clean_up(&self, _: &Change, _: &Attempt) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn automatic_undo(&self, change: &Change, _: &Attempt) -> Option<Vec<Planned>> {
        let change = match change {
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

    async fn borrowed_now(&self, _: &str) -> Result<Value, ReadError> {
        Ok(self.word().into())
    }
}

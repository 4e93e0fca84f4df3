//! One service that the operator defined.

use std::fmt;

use super::{Change, Condition, Service, State};
use crate::Result;
use crate::bindings::liftlock::upgrade::{service, service_changes};
use crate::site::Site;

impl Service {
    /// The handle of a binding: `service.product`.
    ///
    /// # Errors
    /// The host's: no such binding, or not granted.
    pub fn open(site: &Site, binding: &str) -> Result<Self> {
        service::open(site, binding)
    }

    /// Proposes to stop it; stopped is proved.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn stop(&self) -> Result<Change> {
        service_changes::stop(self)
    }

    /// Proposes to start it and wait until it is ready.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn start(&self) -> Result<Change> {
        service_changes::start(self)
    }

    /// Proposes to stop and start it.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn restart(&self) -> Result<Change> {
        service_changes::restart(self)
    }

    /// Proposes an operator-defined task. `rerun_safe`: why it may be repeated after a crash; none: a crash in it is a doubt.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn run_task(&self, name: &str, rerun_safe: Option<&str>) -> Result<Change> {
        service_changes::run_task(self, name, rerun_safe)
    }

    /// No process, port closed, health refused.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn stopped(&self) -> Result<Condition> {
        service_changes::stopped(self)
    }

    /// Ready by its own check.
    ///
    /// # Errors
    /// The host's: outside the grant, or no such name.
    pub fn ready(&self) -> Result<Condition> {
        service_changes::ready(self)
    }

    /// Proposes that it runs another of the directories that [`Service::artifact`] lists, while it is stopped.
    ///
    /// # Errors
    /// The host's: outside the grant, or no name of a directory.
    pub fn switch_artifact(&self, to: &str) -> Result<Change> {
        service_changes::switch_artifact(self, to)
    }

    /// What the operator says of it under this name; none where nothing is said.
    ///
    /// # Errors
    /// The host's: not granted.
    pub fn label(&self, name: &str) -> Result<Option<String>> {
        let labels = self.labels()?;
        Ok(labels
            .into_iter()
            .find(|(label, _)| label == name)
            .map(|(_, value)| value))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Starting => f.write_str("starting"),
            Self::Ready => f.write_str("ready"),
            Self::RunningNotReady(why) => write!(f, "running, not ready: {why}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

//! What the operator's commands find in their environment, secrets among it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use liftlock_types::SecretRef;
use secrecy::{ExposeSecret as _, SecretString};

use super::Inner;
use crate::command::Prepared;
use crate::config::{ServiceError, Setting};
use crate::process::TOKEN_VARIABLE;

/// Variables of ours that every command gets. All others, secrets among them, stay here.
const PASSED_ON: &[&str] = &["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Secrets as they were fetched, each for its reference.
#[derive(Debug, Clone, Default)]
pub struct Secrets(pub Vec<(SecretRef, SecretString)>);

pub(super) enum Variable {
    Text(String),
    Secret(SecretString),
}

pub(super) fn variable(
    name: &str,
    setting: &Setting,
    secrets: &Secrets,
) -> Result<Variable, ServiceError> {
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

impl Inner {
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
    pub(super) fn environment(&self, task: Option<&str>) -> Vec<(String, OsString)> {
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

    pub(super) fn secret_variables(&self, task: Option<&str>) -> Vec<String> {
        let of_task = task.and_then(|task| self.task_environments.get(task));
        self.environment
            .iter()
            .chain(of_task.into_iter().flatten())
            .filter(|(_, variable)| matches!(variable, Variable::Secret(_)))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

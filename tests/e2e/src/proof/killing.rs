//! Commands that are killed or interrupted at the moment of a request.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::anyhow;
use liftlock_lab::Fault;
use liftlock_lab::ProcessId;
use liftlock_lab::Rule;
use liftlock_lab::Then;
use liftlock_lab::When;

use super::ensure;
use super::kills::Position;
use crate::operator::Told;
use crate::stage::Round;
use crate::stage::Stage;

/// Longest wait of the proxy for the process id of the command that it is to meet. The command has
/// started when its request is here; only the test's own bookkeeping can lag.
const PID_PATIENCE: Duration = Duration::from_secs(10);

/// What meets a command in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// SIGKILL: it does nothing more.
    Kill,
    /// The first Ctrl-C: it stops at the next safe point.
    Interrupt,
}

/// At which request.
#[derive(Clone, Debug)]
pub(crate) struct At {
    /// Before: the cluster is never asked. After: it has done what was asked.
    pub when: When,
    /// Method of the request.
    pub method: String,
    /// Pattern that is found in its path.
    pub path: String,
}

/// Runs a command and kills it at this position. An error when it was not killed.
pub(crate) async fn killed(
    stage: &Stage,
    round: &Round,
    position: &Position,
    arguments: &[&str],
) -> anyhow::Result<Told> {
    let at = At {
        when: position.when,
        method: position.method.to_owned(),
        path: position.path.to_owned(),
    };
    let told = struck(stage, round, Blow::Kill, &at, arguments).await?;
    ensure(
        told.code.is_none(),
        format!("the command was not killed {}\n{told}", position.name),
    )?;
    Ok(told)
}

/// Runs a command that is met by this blow at the first such request.
pub(crate) async fn struck(
    stage: &Stage,
    round: &Round,
    blow: Blow,
    at: &At,
    arguments: &[&str],
) -> anyhow::Result<Told> {
    let process: Arc<OnceLock<ProcessId>> = Arc::default();
    let known = process.clone();
    let strike = move |_: &liftlock_lab::Record| {
        let end = Instant::now() + PID_PATIENCE;
        while known.get().is_none() && Instant::now() < end {
            std::thread::yield_now();
        }
        match (known.get(), blow) {
            (Some(process), Blow::Kill) => {
                process.kill();
                Then::Drop
            }
            (Some(process), Blow::Interrupt) => {
                process.terminate();
                Then::GoOn
            }
            (None, _) => Then::Drop,
        }
    };
    let rule = Rule::new(Fault::Call(at.when, Arc::new(strike)))
        .method(&at.method)
        .path_pattern(&at.path)?
        .nth(1);
    stage.proxy.clear();
    stage.proxy.add_rule(rule);
    let child = round.operator.start(arguments)?;
    let running = child.id().and_then(ProcessId::of);
    process
        .set(running.context("the command ended right after its start")?)
        .map_err(|_| anyhow!("the process is known already"))?;
    let told = round.operator.wait(arguments, child).await?;
    stage.proxy.clear_rules();
    Ok(told)
}

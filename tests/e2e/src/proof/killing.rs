//! Commands that are killed, interrupted or frozen at the moment of a request.

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
use tokio::process::Child;

use super::ensure;
use super::kills::Position;
use crate::operator::Told;
use crate::stage::Round;
use crate::stage::Stage;

/// Longest wait of the proxy for the process id of the command that it is to meet. The command has
/// started when its request is here; only the test's own bookkeeping can lag.
const PID_PATIENCE: Duration = Duration::from_secs(10);

/// Longest wait for a command to come to where it is frozen: it is a part of an upgrade that takes half a minute on two
/// busy cores.
const FREEZE_PATIENCE: Duration = Duration::from_secs(180);

/// Between the first and the second Ctrl-C: as long as a hand takes.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(500);

/// What meets a command in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// SIGKILL: it does nothing more.
    Kill,
    /// The first Ctrl-C: it stops at the next safe point.
    Interrupt,
    /// Twice Ctrl-C: it stops now.
    InterruptTwice,
    /// SIGSTOP: it does nothing until it is thawed, and does not know it.
    Freeze,
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

/// Runs a command that is met by this blow at the first such request, and waits for its end.
pub(crate) async fn struck(
    stage: &Stage,
    round: &Round,
    blow: Blow,
    at: &At,
    arguments: &[&str],
) -> anyhow::Result<Told> {
    let (child, _) = begun(stage, round, blow, at, arguments).await?;
    let told = round.operator.wait(arguments, child).await?;
    stage.proxy.clear_rules();
    Ok(told)
}

/// Runs a command that is frozen at the first such request; returns when it is.
pub(crate) async fn frozen(
    stage: &Stage,
    round: &Round,
    at: &At,
    arguments: &[&str],
) -> anyhow::Result<(Child, ProcessId)> {
    let (child, process) = begun(stage, round, Blow::Freeze, at, arguments).await?;
    let end = Instant::now() + FREEZE_PATIENCE;
    while !process.is_frozen() {
        ensure(
            Instant::now() < end && process.is_alive(),
            format!("{} {} was never asked for", at.method, at.path),
        )?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.proxy.clear_rules();
    Ok((child, process))
}

async fn begun(
    stage: &Stage,
    round: &Round,
    blow: Blow,
    at: &At,
    arguments: &[&str],
) -> anyhow::Result<(Child, ProcessId)> {
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
                process.interrupt();
                Then::GoOn
            }
            (Some(process), Blow::InterruptTwice) => {
                process.interrupt();
                // Two signals of one kind that come at once are one.
                std::thread::sleep(BETWEEN_SIGNALS);
                process.interrupt();
                Then::GoOn
            }
            (Some(process), Blow::Freeze) => {
                process.freeze();
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
    let running = running.context("the command ended right after its start")?;
    process
        .set(running.clone())
        .map_err(|_| anyhow!("the process is known already"))?;
    Ok((child, running))
}

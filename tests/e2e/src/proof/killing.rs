//! Commands that are killed with SIGKILL at the moment of a request.

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

use super::ensure;
use super::kills::Position;
use crate::operator::Told;
use crate::stage::Round;
use crate::stage::Stage;

/// Longest wait of the proxy for the process id of the command that it is to kill. The command has
/// started when its request is here; only the test's own bookkeeping can lag.
const PID_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a command and kills it at this position. An error when it was not killed.
pub(crate) async fn killed(
    stage: &Stage,
    round: &Round,
    position: &Position,
    arguments: &[&str],
) -> anyhow::Result<Told> {
    let process: Arc<OnceLock<ProcessId>> = Arc::default();
    let known = process.clone();
    let kill = move |_: &liftlock_lab::Record| {
        let end = Instant::now() + PID_PATIENCE;
        while known.get().is_none() && Instant::now() < end {
            std::thread::yield_now();
        }
        if let Some(process) = known.get() {
            process.kill();
        }
        Then::Drop
    };
    let rule = Rule::new(Fault::Call(position.when, Arc::new(kill)))
        .method(position.method)
        .path_pattern(position.path)?
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
    ensure(
        told.code.is_none(),
        format!("the command was not killed {}\n{told}", position.name),
    )?;
    Ok(told)
}

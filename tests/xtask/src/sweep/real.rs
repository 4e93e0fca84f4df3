//! The same on a real server: a real `liftlock`, killed with SIGKILL before or after a request, and resumed.

mod books;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::anyhow;
use liftlock_e2e::Kit;
use liftlock_e2e::Round;
use liftlock_e2e::Stage;
use liftlock_e2e::proof;
use liftlock_e2e::stage::may_change;
use liftlock_lab::Dump;
use liftlock_lab::Fault;
use liftlock_lab::ProcessId;
use liftlock_lab::Record;
use liftlock_lab::Rule;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;
use liftlock_lab::SiteSpec;
use liftlock_lab::Then;
use liftlock_lab::When;

use crate::summary::Summary;

/// Longest wait of the proxy for the process id of the run that it is to kill: the run has started when its request
/// is here.
const PID_PATIENCE: Duration = Duration::from_secs(10);

/// How often a run that was killed is resumed. Once is enough where nothing else happens to it.
const RESUMES_MAX: usize = 3;

/// Which positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// From this number.
    pub from: usize,
    /// Up to this one, with it.
    pub to: Option<usize>,
    /// Every so-manieth.
    pub every: usize,
    /// Beginning at this one.
    pub offset: usize,
    /// Begin none after so long.
    pub within: Option<Duration>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub positions: u64,
    pub lost: u64,
    pub repeated: u64,
    pub guessed: u64,
    pub doubts: u64,
    /// All that there are.
    pub known: usize,
}

/// What the uninterrupted run is like.
struct Reference {
    /// Its requests, in order.
    requests: usize,
    /// The cluster after it.
    after: Dump,
    /// What was carried out, with how often.
    effects: BTreeMap<String, usize>,
}

/// Sweeps a real server.
pub(super) async fn sweep(kit: &Kit, choice: Choice, summary: &Summary) -> anyhow::Result<Tally> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let server = summary
        .wait("start OpenSearch", async {
            Ok(Server::start(ServerKind::OpenSearch2, folder.path()).await?)
        })
        .await?;
    let result = summary
        .wait("positions on a real server", on(kit, &server, choice))
        .await;
    server.stop().await;
    result
}

async fn on(kit: &Kit, server: &Server, choice: Choice) -> anyhow::Result<Tally> {
    let begun = Instant::now();
    let stage = Stage::new(kit, server.target(), &server.repo_dir()).await?;
    let reference = uninterrupted(&stage).await?;
    let mut tally = Tally {
        known: 2 * reference.requests,
        ..Tally::default()
    };
    println!(
        "   {} requests, {} positions; the uninterrupted run took {:.1} s",
        reference.requests,
        tally.known,
        begun.elapsed().as_secs_f64()
    );
    for number in choice.from..=choice.to.unwrap_or(tally.known.saturating_sub(1)) {
        if number % choice.every.max(1) != choice.offset % choice.every.max(1)
            || number >= tally.known
        {
            continue;
        }
        if choice.within.is_some_and(|within| begun.elapsed() > within) {
            println!("   the time was over before position {number}");
            break;
        }
        let (when, word) = if number % 2 == 0 {
            (When::Before, "before")
        } else {
            (When::After, "after")
        };
        let since = Instant::now();
        let position = Position {
            when,
            request: number / 2 + 1,
        };
        let found = one(&stage, &reference, position).await;
        let (killed_at, found) = match found {
            Ok(found) => found,
            Err(error) => (
                String::new(),
                Found {
                    lost: vec![format!("it could not be performed: {error:#}")],
                    ..Found::default()
                },
            ),
        };
        tally.positions += 1;
        tally.lost += u64::from(!found.lost.is_empty());
        tally.repeated += u64::from(!found.repeated.is_empty());
        tally.guessed += u64::from(!found.guessed.is_empty());
        tally.doubts += u64::from(found.doubt.is_some());
        println!(
            "   real {number}: killed {word} {}, {:.1} s",
            if killed_at.is_empty() {
                "nothing: the run was at its end"
            } else {
                &killed_at
            },
            since.elapsed().as_secs_f64()
        );
        for line in &found.lost {
            println!("     lost: {line}");
        }
        for line in &found.repeated {
            println!("     repeated: {line}");
        }
        for line in &found.guessed {
            println!("     guessed: {line}");
        }
        if let Some(why) = &found.doubt {
            println!("     a person had to decide: {why}");
        }
        if !found.is_good() {
            println!("     again: cargo xtask sweep optimize --real --from {number} --to {number}");
        }
    }
    Ok(tally)
}

/// Where a run is killed: before the cluster is asked, or after it has done what was asked.
#[derive(Clone, Copy)]
struct Position {
    when: When,
    request: usize,
}

#[derive(Default)]
struct Found {
    lost: Vec<String>,
    repeated: Vec<String>,
    guessed: Vec<String>,
    doubt: Option<String>,
}

impl Found {
    fn is_good(&self) -> bool {
        self.lost.is_empty() && self.repeated.is_empty() && self.guessed.is_empty()
    }
}

async fn ready(stage: &Stage) -> anyhow::Result<(Round, String)> {
    let round = stage.fresh(&spec()).await?;
    proof::introduce(&round).await?;
    let plan = proof::plan(&round).await?;
    round.operator.approve(&plan).await?;
    stage.proxy.clear();
    Ok((round, plan))
}

/// Few documents: the requests are the same, and they are what counts.
fn spec() -> SiteSpec {
    SiteSpec {
        process_instances: 20,
        decision_instances: 5,
        external_variables: 20,
        reports: 2,
        ..SiteSpec::default()
    }
}

async fn uninterrupted(stage: &Stage) -> anyhow::Result<Reference> {
    let (round, plan) = ready(stage).await?;
    round.operator.run(&["run", &plan]).await?.expect(0)?;
    let records = stage.proxy.records();
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    Ok(Reference {
        requests: records.len(),
        after,
        effects: effects(&records),
    })
}

async fn one(
    stage: &Stage,
    reference: &Reference,
    position: Position,
) -> anyhow::Result<(String, Found)> {
    let (round, plan) = ready(stage).await?;
    let killed_at = kill(stage, &round, &plan, position).await?;
    let mut found = Found::default();
    let began = !round
        .operator
        .run(&["history", "--json"])
        .await?
        .expect(0)?
        .data()?["runs"]
        .as_array()
        .is_none_or(Vec::is_empty);
    let mut last = None;
    for _ in 0..RESUMES_MAX {
        let told = if began {
            let run = proof::last_run(&round.operator).await?;
            round.operator.run(&["resume", &run]).await?
        } else {
            round.operator.run(&["run", &plan]).await?
        };
        let code = told.code;
        last = Some(told);
        match code {
            Some(0) => break,
            Some(21) => {
                found.doubt = last.as_ref().map(ToString::to_string);
                break;
            }
            _ => {}
        }
    }
    if let Some(told) = last.filter(|told| told.code != Some(0) && found.doubt.is_none()) {
        found
            .lost
            .push(format!("it does not come to its end: {told}"));
    }
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    if found.doubt.is_none() {
        found
            .lost
            .extend(liftlock_lab::diff(&reference.after, &after));
    }
    let records = stage.proxy.records();
    let run = proof::last_run(&round.operator).await?;
    let audit = round.operator.run(&["audit", &run, "--json"]).await?;
    let rows = audit.expect(0)?.data()?["rows"].clone();
    let rows = rows.as_array().context("the audit has no rows")?;
    found.guessed = books::guessed(rows, &records);
    for (what, times) in effects(&records) {
        let expected = reference.effects.get(&what).copied().unwrap_or_default();
        if times > expected {
            found.repeated.push(format!(
                "the target carried out {times} times, not {expected}: {what}"
            ));
        }
    }
    Ok((killed_at, found))
}

/// Runs the plan and kills the process there; which request that was.
async fn kill(
    stage: &Stage,
    round: &Round,
    plan: &str,
    position: Position,
) -> anyhow::Result<String> {
    let process: Arc<OnceLock<ProcessId>> = Arc::default();
    let killed_at: Arc<OnceLock<String>> = Arc::default();
    let (known, at) = (process.clone(), killed_at.clone());
    let strike = move |record: &Record| {
        let end = Instant::now() + PID_PATIENCE;
        while known.get().is_none() && Instant::now() < end {
            std::thread::yield_now();
        }
        if let Some(process) = known.get() {
            process.kill();
        }
        // It is met once: the rule is for one request.
        let _ = at.set(record.line());
        Then::Drop
    };
    let rule = Rule::new(Fault::Call(position.when, Arc::new(strike))).nth(position.request);
    stage.proxy.add_rule(rule);
    let child = round.operator.start(&["run", plan])?;
    let running = child.id().and_then(ProcessId::of);
    process
        .set(running.context("the run ended right after its start")?)
        .map_err(|_| anyhow!("the process is known already"))?;
    round.operator.wait(&["run", plan], child).await?;
    stage.proxy.clear_rules();
    Ok(killed_at.get().cloned().unwrap_or_default())
}

/// Requests that the cluster carried out and that changed it, with how often. The run's id is in names.
fn effects(records: &[Record]) -> BTreeMap<String, usize> {
    let mut effects = BTreeMap::new();
    for record in records {
        let took = record.forwarded
            && record
                .status
                .is_none_or(|status| (200..300).contains(&status));
        if may_change(record) && took {
            let path = record.path.split('?').next().unwrap_or_default();
            *effects
                .entry(format!("{} {}", record.method, without_run(path)))
                .or_default() += 1;
        }
    }
    effects
}

/// `r-20261121-090018-3f9a12-1` becomes `r-`: every run has an id of its own, and so has an attempt.
fn without_run(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("-r-20") {
        out.push_str(before);
        out.push_str("-r-");
        let end = after
            .find(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
            .unwrap_or(after.len());
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_run_is_left_out_of_a_path() {
        assert_eq!(
            without_run(
                "/_snapshot/backups/optimize-before-8.8.0-r-20261121-090018-3f9a12-1/_restore"
            ),
            "/_snapshot/backups/optimize-before-8.8.0-r-/_restore"
        );
        assert_eq!(without_run("/optimize-alert_v4"), "/optimize-alert_v4");
    }
}

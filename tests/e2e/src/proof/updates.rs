//! Many indices brought to a new version at once, while somebody reads: the hop that only the plugin for tests has.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use anyhow::Context;
use liftlock_lab::HttpTarget;
use liftlock_lab::SiteSpec;
use liftlock_lab::diff;
use serde_json::Value;

use super::ensure;
use super::introduce;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// Where the hop for tests begins and ends.
const FROM: &str = "8.9.0";
const TO: &str = "8.10.0";

/// Processes whose indices get a new version.
const PROCESSES: usize = 8;

/// Documents of each. Enough that a copy is seen half-filled on a real server.
const INSTANCES: usize = 1_500;

/// Fewest looks of the reader: with fewer, that it saw nothing wrong would say little.
const LOOKS_MIN: usize = 20;

/// Most violations that are listed.
const SHOWN_MAX: usize = 5;

/// Brings eight indices to a new version while a reader looks at every alias again and again. `stage` has the
/// plugin for tests.
pub async fn renews_many_indices_under_readers(
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let spec = SiteSpec {
        schema_version: FROM.into(),
        process_instances: INSTANCES,
        ..SiteSpec::default().with_processes(PROCESSES)
    };
    let round = stage.fresh(&spec).await?;
    introduce(&round).await?;
    round.operator.run(&["plan", TO]).await?.expect(0)?;
    let plan = round.plan_file()?.to_string_lossy().into_owned();
    round.operator.approve(&plan).await?;

    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(read(
        stage.target.clone(),
        spec.process_keys.clone(),
        stop.clone(),
    ));
    let told = round.operator.run(&["run", &plan]).await;
    stop.store(true, Ordering::Relaxed);
    let seen = reader.await.context("the reader panicked")?;
    tally.check(
        "eight indices get their new version",
        told?.expect(0).map(drop),
    );
    tally.check(
        &format!(
            "in {} looks a reader never saw a document twice or not at all",
            seen.looks
        ),
        none(&seen.counts, seen.looks),
    );
    tally.check(
        "the write alias was never on a half-filled index, nor on two, nor on none",
        none(&seen.writers, seen.looks),
    );
    tally.check(
        "the reader was there while copies were half-filled",
        ensure(
            seen.half_filled > 0,
            "no look came at such a moment: the site is too small",
        ),
    );

    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    let prefix = &round.facts.prefix;
    let mut wrong = Vec::new();
    for key in &spec.process_keys {
        let (old, new) = (
            format!("{prefix}-process-instance-{key}_v8"),
            format!("{prefix}-process-instance-{key}_v9"),
        );
        if after.get(&format!("/indices/{old}")).is_some() {
            wrong.push(format!("{old} is still there"));
        }
        for section in ["documents", "aliases", "mappings", "settings"] {
            let was = round.before.get(&format!("/{section}/{old}"));
            let is = after.get(&format!("/{section}/{new}"));
            if was.is_none() || was != is {
                wrong.push(format!("{section} of {new} are not those of {old}"));
            }
        }
    }
    tally.check(
        "each new index has the documents, aliases, mapping and settings of the old one",
        same(&[], &wrong),
    );
    let others: Vec<String> = diff(&round.before, &after)
        .into_iter()
        .filter(|line| {
            let ours = ["process-instance-process-", "update-log", "metadata"];
            !ours.iter().any(|name| line.contains(name))
        })
        .collect();
    tally.same("nothing else differs", &[], &others);
    Ok(())
}

fn none(violations: &[String], looks: usize) -> anyhow::Result<()> {
    ensure(looks >= LOOKS_MIN, format!("only {looks} looks were made"))?;
    let shown: Vec<String> = violations.iter().take(SHOWN_MAX).cloned().collect();
    same(&[], &shown)
}

#[derive(Debug, Default)]
struct Seen {
    looks: usize,
    half_filled: usize,
    counts: Vec<String>,
    writers: Vec<String>,
}

/// Looks until told to stop. An answer that does not come is no look: what counts is what readers are told.
async fn read(target: HttpTarget, keys: Vec<String>, stop: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    let all = (INSTANCES * keys.len()) as u64;
    while !stop.load(Ordering::Relaxed) {
        if let Some(count) = count(&target, "optimize-process-instance").await {
            seen.looks += 1;
            if count != all {
                seen.counts
                    .push(format!("{count} of {all} by the alias of all processes"));
            }
        }
        for key in &keys {
            let alias = format!("optimize-process-instance-{key}");
            if let Some(count) = count(&target, &alias).await
                && count != INSTANCES as u64
            {
                seen.counts.push(format!("{count} by {alias}"));
            }
            look_at_writer(&target, &alias, &mut seen).await;
        }
    }
    seen
}

/// The index that the alias writes to is whole.
async fn look_at_writer(target: &HttpTarget, alias: &str, seen: &mut Seen) {
    let Ok(on) = target.get(&format!("/_alias/{alias}")).await else {
        return;
    };
    let on: Vec<(&String, &Value)> = on
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, index)| (name, &index["aliases"][alias]["is_write_index"]))
        .collect();
    let flagged = |(_, flag): &&(&String, &Value)| **flag == Value::Bool(true);
    let writers: Vec<&String> = match on.as_slice() {
        // An alias on one index alone writes to it without a flag.
        [(one, Value::Null)] => vec![*one],
        all => all.iter().filter(flagged).map(|(name, _)| *name).collect(),
    };
    match writers.as_slice() {
        [one] => {
            // Between the two requests the old index can have been deleted, never emptied.
            if let Some(count) = count(target, one).await
                && count != INSTANCES as u64
            {
                seen.writers
                    .push(format!("{alias} writes to {one} with {count} documents"));
            }
        }
        other => seen.writers.push(format!("{alias} writes to {other:?}")),
    }
    let new = format!("{alias}_v9");
    if let Some(count) = count(target, &new).await
        && count < INSTANCES as u64
    {
        seen.half_filled += 1;
    }
}

async fn count(target: &HttpTarget, index: &str) -> Option<u64> {
    let answer = target.get(&format!("/{index}/_count")).await.ok()?;
    answer["count"].as_u64()
}

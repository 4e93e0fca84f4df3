//! The real program with a plugin in the middle of a change: documents that go through it, badly; and a crash there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use liftlock_e2e::Told;
use liftlock_testkit::Fault;
use serde_json::Value;

use crate::judge::{Judge, Verdict};
use crate::operator::{Site, ended};

/// Documents of the source, one of them in the middle poisoned.
const DOCUMENTS: usize = 3_000;
const POISONED: usize = 1_234;

/// Bytes of each document: a page has a thousand of them, and the run several pages.
const BYTES: usize = 2_000;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// All of them.
pub async fn all(judge: &mut Judge, liftlock: &Path) -> anyhow::Result<()> {
    for (what, kept_aside) in [
        ("trap", "it trapped"),
        ("loop", "in the plugin's own code"),
        ("allocate", ""),
    ] {
        let verdict = poison(liftlock, what, kept_aside).await?;
        judge.count(&format!("documents through a plugin: {what}"), verdict);
    }
    for (what, words) in [
        ("other-id", "it was given document `"),
        ("one-less", "documents and answers"),
        ("one-more", "documents and answers"),
        ("reject", "was rejected: not this one"),
        (
            "no-json",
            "documents were rejected, and at most 1000 are kept aside",
        ),
    ] {
        let site = filled(liftlock).await?;
        let told = run(&site, what).await?;
        judge.count(
            &format!("documents through a plugin: {what}"),
            ended(&told, 22, words),
        );
    }
    let verdict = killed(liftlock).await?;
    judge.count("documents through a plugin: kill -9 in the middle", verdict);
    Ok(())
}

async fn filled(liftlock: &Path) -> anyhow::Result<Site> {
    let site = Site::new(liftlock).await?;
    let mut body = String::new();
    let text = "x".repeat(BYTES);
    for n in 0..DOCUMENTS {
        let poison = if n == POISONED {
            ",\"poison\":1,\"reject\":1"
        } else {
            ""
        };
        body.push_str(&format!(
            "{{\"create\":{{\"_id\":\"{n}\"}}}}\n{{\"n\":{n},\"text\":\"{text}\"{poison}}}\n"
        ));
    }
    let (status, answer) = site.sim.call("POST", "/a-1/_bulk?refresh=true", &body);
    ensure!(
        status < 300 && answer["errors"] == false,
        "{status} {answer}"
    );
    Ok(site)
}

async fn approved(site: &Site, what: &str) -> anyhow::Result<String> {
    site.behave("transforms", what)?;
    site.with_plugin(&["plan", "2.0"]).await?.expect(0)?;
    let plan = site.plan_file()?;
    site.run(&["approve", &plan]).await?.expect(0)?;
    Ok(plan)
}

async fn run(site: &Site, what: &str) -> anyhow::Result<Told> {
    let plan = approved(site, what).await?;
    site.run(&["run", &plan]).await
}

fn documents(site: &Site) -> u64 {
    site.sim.call("POST", "/a-made/_refresh", "");
    let (_, answer) = site.sim.call("GET", "/a-made/_count", "");
    answer["count"].as_u64().unwrap_or(0)
}

/// A file of the run, by how its name ends.
fn file(site: &Site, ending: &str) -> anyhow::Result<PathBuf> {
    let runs = site.operator.state().join("transforms");
    for run in std::fs::read_dir(&runs).with_context(|| format!("no `{}`", runs.display()))? {
        for entry in std::fs::read_dir(run?.path())? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(ending) {
                return Ok(path);
            }
        }
    }
    bail!("no file `*{ending}` in `{}`", runs.display())
}

/// The one document is found and kept aside; all others are there, and the run is done.
async fn poison(liftlock: &Path, what: &str, words: &str) -> anyhow::Result<Verdict> {
    let site = filled(liftlock).await?;
    let told = run(&site, what).await?.expect(0)?;
    let aside = std::fs::read_to_string(file(&site, ".rejected.ndjson")?)?;
    let lines: Vec<Value> = aside
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let [one] = lines.as_slice() else {
        return Ok(Verdict::Escaped(format!(
            "{} were kept aside: {aside}",
            lines.len()
        )));
    };
    let found = documents(&site);
    ensure!(
        one["id"].as_str() == Some(POISONED.to_string().as_str())
            && one["why"].as_str().is_some_and(|why| why.contains(words)),
        "{one}"
    );
    ensure!(found == DOCUMENTS as u64 - 1, "{found} documents");
    Ok(if told.says("rejected documents: 1;") {
        Verdict::Stopped(format!(
            "document `{POISONED}` was kept aside: {}",
            one["why"]
        ))
    } else {
        Verdict::Escaped(format!("the run does not say that one is missing\n{told}"))
    })
}

/// Killed when a part was recorded; the resumed run goes on from there.
async fn killed(liftlock: &Path) -> anyhow::Result<Verdict> {
    let site = filled(liftlock).await?;
    let plan = approved(&site, "mark").await?;
    site.sim
        .fault(Fault::always().path("/a-made/_bulk").slow(700));
    let command = ["run", plan.as_str()];
    let mut child = site.operator.start(&command)?;
    let begun = Instant::now();
    let recorded = loop {
        let read = file(&site, "fill.json").ok().and_then(|file| {
            let record: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
            record["shards"]["0"]["read"].as_u64()
        });
        match read {
            Some(read) if read > 0 => break read,
            _ => ensure!(begun.elapsed() < PATIENCE, "nothing was recorded"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    child.kill().await?;
    site.sim.clear_faults();
    let there = documents(&site);
    ensure!(there < DOCUMENTS as u64, "it was over before it was killed");
    site.sim.clear_records();
    let record = file(&site, "fill.json")?;
    let run = record.parent().and_then(Path::file_name);
    let run = run.context("a record without a run")?.to_string_lossy();
    site.run(&["resume", &run]).await?.expect(0)?;
    let first = site
        .sim
        .records()
        .into_iter()
        .find(|record| record.path == "/a-1/_search" && record.body.contains("_seq_no"))
        .context("the resumed run read nothing")?;
    let found = documents(&site);
    ensure!(found == DOCUMENTS as u64, "{found} documents");
    let (_, marked) = site.sim.call(
        "GET",
        "/a-made/_count",
        r#"{"query":{"term":{"marked":true}}}"#,
    );
    ensure!(marked["count"] == DOCUMENTS, "{marked}");
    // Sequence numbers of one shard begin at 0.
    let after = format!("\"search_after\":[{}]", recorded - 1);
    Ok(if first.body.contains(&after) {
        Verdict::Stopped(format!(
            "{there} were there, {recorded} recorded, and it went on behind them"
        ))
    } else {
        Verdict::Escaped(format!(
            "{recorded} were recorded, and it began with {}",
            first.body
        ))
    })
}

//! Drafts, good and broken.

use crate::exported::Refusal;
use crate::host::cluster_changes as changes;
use crate::host::draft::{Draft, OnExpiry, Phase};
use crate::host::site::Site;
use crate::host::snapshot_changes;
use crate::host::types::{Error, Target};
use crate::host::{cluster, disk, disk_changes, service, service_changes, snapshot};
use crate::{finding, number, option, reads, told};

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(crate) fn plan(site: &Site, target: &Target, into: &Draft) -> Result<(), Refusal> {
    let n = number(site, "n");
    match option(site, "do").as_str() {
        "plan-ok" => good(site, target, into)?,
        "blocked" => return Err(Refusal::Blocked(vec![finding("stop", "no\u{7}".into())])),
        "step-without-body" => {
            into.step("empty", Phase::Prepare, "Nothing")?;
        }
        "million-steps" => {
            for n in 0..1_000_000 {
                into.step(&format!("s{n}"), Phase::Prepare, "x")?
                    .hands_over("x")?;
            }
        }
        "huge-draft" => {
            for n in 0..n {
                let step = into.step(&format!("s{n}"), Phase::Prepare, "x")?;
                step.memo(&format!("\"{}\"", "x".repeat(1_000_000)))?;
            }
        }
        "long-text" => into.summary(&"x".repeat(n)),
        "twice" => twice(into)?,
        "two-undos" => {
            let step = into.step("a", Phase::Prepare, "A")?;
            step.undo_by_restore("b")?;
            step.cannot_undo("no");
        }
        "clock" => hand_over(into, &format!("at {}", site.now()))?,
        "hash-order" => hand_over(into, &reads::order())?,
        "by-reads" => {
            let on = cluster::open(site, "cluster.database")?;
            let first = on.health()?.status;
            let second = on.health()?.status;
            let count = on.count("a-1", None)?;
            hand_over(into, &format!("{first} {second} {count}"))?;
        }
        "denied" => {
            let on = cluster::open(site, "cluster.database")?;
            changes::delete_index(&on, "b-1", "u")?;
        }
        _ => hand_over(into, "nothing to do")?,
    }
    Ok(())
}

fn hand_over(into: &Draft, text: &str) -> Result<(), Error> {
    into.step("tell", Phase::Validate, "Tell")?.hands_over(text)
}

/// What may be done once is done twice; the answers become the summary.
fn twice(into: &Draft) -> Result<(), Error> {
    let step = into.step("a", Phase::Prepare, "A")?;
    step.hands_over("x")?;
    let mut answers = vec![
        step.hands_over("y"),
        step.after("a"),
        step.gives_back("A b"),
    ];
    answers.push(into.step("a", Phase::Prepare, "A again").map(drop));
    answers.push(into.step("Not An Id", Phase::Prepare, "B").map(drop));
    answers.push(step.memo("{"));
    for answer in answers {
        into.summary(&match answer {
            Ok(()) => "ok".into(),
            Err(error) => told(&error),
        });
    }
    Ok(())
}

/// A plan that uses all there is.
fn good(site: &Site, target: &Target, into: &Draft) -> Result<(), Error> {
    let on = cluster::open(site, "cluster.database")?;
    let backups = snapshot::open(site, "snapshot.backups")?;
    let config = disk::open(site, "disk.config")?;
    let app = service::open(site, "service.app")?;
    into.summary(&format!("From {:?} to {}\u{1b}[1m", target.from, target.to));
    into.not_done("The rest");
    into.hand_over("Restart", "the\nload balancer");

    let step = into.step("stop", Phase::Prepare, "Stop the application")?;
    step.does(service_changes::stop(&app)?)?;
    step.ends_when("it is stopped", service_changes::stopped(&app)?)?;
    step.because("it must not write");
    step.because("while this runs");
    step.expect_work("restarts", 1);
    drop(step);

    let step = into.step("baseline", Phase::Prepare, "Keep counts")?;
    step.after("stop")?;
    let count = changes::read_count(&on, "a-1")?;
    let sum = changes::read_checksum(&on, "a-1")?;
    step.captures("baseline", &[&count, &sum])?;

    let step = into.step("snapshot", Phase::Protect, "Take a snapshot")?;
    step.does(snapshot_changes::take(
        &backups,
        "before",
        &["a-*".into()],
        &["a-secret-*".into()],
    )?)?;
    let none_running = snapshot_changes::none_running(&backups)?;
    none_running.patience(60_000);
    none_running.on_expiry(OnExpiry::Ask);
    step.opens_when("no snapshot runs", none_running)?;
    step.peak_disk("node-1", 5);
    step.peak_disk("node-1", 6);

    let step = into.step("prove", Phase::Protect, "Restore on trial")?;
    step.does(snapshot_changes::prove(&backups, "snapshot")?)?;

    let step = into.step("keep", Phase::Protect, "Keep the configuration")?;
    step.does(disk_changes::keep(&config, "a.yaml")?)?;

    let step = into.step("log", Phase::Switch, "Write the log entry")?;
    let change = changes::create_document(&on, "a-1", "entry", r#"{ "b": 1, "at": "" }"#)?;
    change.fill_now("/at")?;
    change.fill_run_id("/run")?;
    if let Err(error) = change.fill_now("/b/c") {
        into.summary(&told(&error));
    }
    step.does(change)?;
    step.rests_on(&changes::read_count(&on, "a-1")?)?;
    step.memo(r#"{"mine": 1.50}"#)?;
    step.own_approval("it is seen");

    let step = into.step("delete", Phase::Contract, "Delete the old index")?;
    step.does(changes::delete_index(&on, "a-1", "u-1")?)?;
    step.undo_by_restore("snapshot")?;
    let gone = changes::index_exists(&on, "a-1")?;
    gone.negate();
    gone.stable_for(1_000);
    step.ends_when("it is gone", gone)?;

    let step = into.step("start", Phase::Contract, "Start it again")?;
    step.gives_back("stop")
}

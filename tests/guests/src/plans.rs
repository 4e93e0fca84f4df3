//! Drafts, good and broken.

use crate::exported::Refusal;
use crate::host::cluster_changes as changes;
use crate::host::draft::{Draft, OnExpiry, Phase, asked};
use crate::host::run::Moment;
use crate::host::site::Site;
use crate::host::snapshot_changes;
use crate::host::types::{Error, Target};
use crate::host::{cluster, disk, disk_changes, service, service_changes, snapshot};
use crate::{HOSTILE_TEXT, ask, finding, handles, number, option, reads, told};

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(crate) fn plan(
    site: &Site,
    moment: Moment,
    target: &Target,
    into: &Draft,
) -> Result<(), Refusal> {
    let n = number(site, "n");
    let what = option(site, "do");
    if let Some(done) = handles::plan(site, into, &what).or_else(|| broken(site, into, &what, n)) {
        return Ok(done?);
    }
    match what.as_str() {
        "ask" => ask::ask(site, into)?,
        // What it shows to a person is not what it would have run.
        "mind" => {
            let on = cluster::open(site, "cluster.database")?;
            let index = match moment {
                Moment::BeforeRun | Moment::OnResume => "a-2",
                _ => "a-1",
            };
            let step = into.step("settle", Phase::Expand, "Put a setting")?;
            step.does(changes::put_settings(
                &on,
                index,
                r#"{"index.refresh_interval":"5s"}"#,
            )?)?;
        }
        "honest-change" => {
            let on = cluster::open(site, "cluster.database")?;
            let step = into.step("settle", Phase::Expand, "Put a setting")?;
            step.does(changes::put_settings(
                &on,
                "a-1",
                r#"{"index.refresh_interval":"5s"}"#,
            )?)?;
        }
        "plan-ok" => good(site, target, into)?,
        "rolling" => {
            let on = service::open(site, "service.app")?;
            for (id, phase) in [("stop", Phase::Prepare), ("start", Phase::Prepare)] {
                let step = into.step(id, phase, id)?;
                step.unit("n1")?;
                match id {
                    "stop" => step.does(service_changes::stop(&on)?)?,
                    _ => step.gives_back("stop")?,
                }
            }
            let on = cluster::open(site, "cluster.database")?;
            let step = into.step("settle", Phase::Expand, "Put a setting")?;
            step.does(changes::put_settings(
                &on,
                "a-1",
                r#"{"index.refresh_interval":"5s"}"#,
            )?)?;
            step.stays("the old version runs on it");
            let window = asked("window", r#"{"deployments":3}"#)?;
            window.patience(0);
            window.on_expiry(OnExpiry::Ask);
            into.guard("nobody deploys", "stop", "settle", window)?;
        }
        "two-units" => {
            let step = into.step("both", Phase::Prepare, "Nothing")?;
            step.unit("n1")?;
            step.unit("n2")?;
        }
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
        "transforms" => transforms(site, into)?,
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

/// Plans that the host must not take, each by one rule.
fn broken(site: &Site, into: &Draft, what: &str, n: usize) -> Option<Result<(), Error>> {
    let step = |id: &str, phase| into.step(id, phase, id);
    let delete = |index: &str| -> Result<_, Error> {
        changes::delete_index(&cluster::open(site, "cluster.database")?, index, "u")
    };
    let setting = |index: &str| -> Result<_, Error> {
        changes::put_settings(
            &cluster::open(site, "cluster.database")?,
            index,
            r#"{"index.refresh_interval":"5s"}"#,
        )
    };
    let planned = match what {
        "hostile-text" => (|| {
            let app = service::open(site, "service.app")?;
            let hostile = format!("t{HOSTILE_TEXT}");
            let step = into.step("stop", Phase::Prepare, &hostile)?;
            step.does(service_changes::stop(&app)?)?;
            step.ends_when(&hostile, service_changes::stopped(&app)?)?;
            step.because(&hostile);
            step.own_approval(&hostile);
            step.expect_work(&hostile, 1);
            step.peak_disk(&hostile, 1);
            let step = into.step("tell", Phase::Validate, &hostile)?;
            step.hands_over(&hostile)?;
            let step = into.step("start", Phase::Contract, &hostile)?;
            step.gives_back("stop")?;
            into.summary(&hostile);
            into.not_done(&hostile);
            into.hand_over(&hostile, &hostile);
            Ok(())
        })(),
        "circle" => (|| {
            let (a, b) = (step("a", Phase::Expand)?, step("b", Phase::Expand)?);
            let c = step("c", Phase::Expand)?;
            a.after("b")?;
            b.after("c")?;
            c.after("a")?;
            a.hands_over("x")?;
            b.hands_over("x")?;
            c.hands_over("x")
        })(),
        "after-nothing" => (|| {
            let a = step("a", Phase::Expand)?;
            a.after("nowhere")?;
            a.hands_over("x")
        })(),
        "after-later-phase" => (|| {
            let (a, b) = (step("a", Phase::Prepare)?, step("b", Phase::Contract)?);
            a.after("b")?;
            a.hands_over("x")?;
            b.hands_over("x")
        })(),
        "reversed-chain" => (|| {
            for at in 0..n {
                let step = step(&format!("s{at}"), Phase::Expand)?;
                if at + 1 < n {
                    step.after(&format!("s{}", at + 1))?;
                }
                step.hands_over("x")?;
            }
            Ok(())
        })(),
        "more-than-at-most" => (|| {
            for index in ["a-1", "a-2", "a-3"] {
                let step = step(index, Phase::Contract)?;
                step.does(delete(index)?)?;
                step.cannot_undo("no");
            }
            Ok(())
        })(),
        "undo-of-another" => (|| {
            let step = step("a", Phase::Contract)?;
            step.does(setting("a-1")?)?;
            step.undo(delete("a-2")?)
        })(),
        "undo-destroys" => (|| {
            let step = step("a", Phase::Contract)?;
            step.does(setting("a-1")?)?;
            step.undo(delete("a-1")?)
        })(),
        "undo-more-than-at-most" => (|| {
            let step = step("a", Phase::Contract)?;
            step.does(setting("a-1")?)?;
            (0..n).try_for_each(|_| step.undo(setting("a-1")?))
        })(),
        "undo-outside" => (|| {
            let step = step("a", Phase::Contract)?;
            step.does(setting("a-1")?)?;
            step.undo(delete("b-1")?)
        })(),
        "undo-by-nothing" => (|| {
            let step = step("a", Phase::Contract)?;
            step.does(setting("a-1")?)?;
            step.undo_by_restore("nowhere")
        })(),
        "undo-not-said" => (|| step("a", Phase::Contract)?.does(delete("a-1")?))(),
        "destroys-unproved" => (|| {
            let step = step("a", Phase::Contract)?;
            step.does(delete("a-1")?)?;
            step.cannot_undo("no");
            Ok(())
        })(),
        "destroys-early" => (|| {
            let step = step("a", Phase::Prepare)?;
            step.does(delete("a-1")?)?;
            step.cannot_undo("no");
            Ok(())
        })(),
        "borrows-twice" => (|| {
            for id in ["a", "b"] {
                let on = cluster::open(site, "cluster.database")?;
                let change = changes::set_cluster_setting(&on, "a-setting", Some("x"))?;
                step(id, Phase::Prepare)?.does(change)?;
            }
            Ok(())
        })(),
        "gives-back-nothing" => (|| {
            step("a", Phase::Prepare)?.hands_over("x")?;
            step("b", Phase::Contract)?.gives_back("a")
        })(),
        "reindexes-over-another" => (|| {
            let on = cluster::open(site, "cluster.database")?;
            let change = changes::reindex(
                &on,
                &changes::Reindexing {
                    source: "a-1".into(),
                    destination: "a-2".into(),
                    query: None,
                    script: None,
                    slices: None,
                    requests_per_second: None,
                },
            )?;
            let step = step("a", Phase::Expand)?;
            step.does(change)?;
            step.cannot_undo("no");
            Ok(())
        })(),
        "flood-summary" => {
            (0..n).for_each(|_| into.summary("x"));
            Ok(())
        }
        "flood-conditions" => (|| {
            let step = step("a", Phase::Expand)?;
            let app = service::open(site, "service.app")?;
            for _ in 0..n {
                step.ends_when("x", service_changes::stopped(&app)?)?;
            }
            step.hands_over("x")
        })(),
        "waits-for-ever" => (|| {
            let app = service::open(site, "service.app")?;
            let condition = service_changes::stopped(&app)?;
            condition.patience(u64::MAX);
            step("a", Phase::Expand)?.ends_when("x", condition)
        })(),
        "rests-on-checksum" => (|| {
            let on = cluster::open(site, "cluster.database")?;
            let step = step("a", Phase::Expand)?;
            step.rests_on(&changes::read_checksum(&on, "a-1")?)
        })(),
        _ => return None,
    };
    Some(planned)
}

fn hand_over(into: &Draft, text: &str) -> Result<(), Error> {
    into.step("tell", Phase::Validate, "Tell")?.hands_over(text)
}

/// All documents of `a-1` into an index of its own; `n` is the transformation, which goes on at a rejected document
/// unless it is `reject`.
fn transforms(site: &Site, into: &Draft) -> Result<(), Error> {
    let on = cluster::open(site, "cluster.database")?;
    let body = r#"{"settings":{"index.number_of_replicas":0}}"#;
    let step = into.step("make", Phase::Expand, "Make the new index")?;
    step.does(changes::create_index(&on, "a-made", body)?)?;
    let name = crate::option(site, "n");
    let change = changes::transform(
        &on,
        &changes::Transforming {
            source: "a-1".into(),
            destination: "a-made".into(),
            query: None,
            on_rejected: if name == "reject" {
                changes::OnRejected::Stop
            } else {
                changes::OnRejected::GoOn
            },
            name,
        },
    )?;
    let step = into.step("fill", Phase::Expand, "Fill it")?;
    step.after("make")?;
    step.does(change)
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

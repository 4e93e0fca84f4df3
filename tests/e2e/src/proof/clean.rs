//! An undisturbed upgrade, from the plugin's file to the audit.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::TO;
use super::documented;
use super::ensure;
use super::find_secret;
use super::introduce;
use super::last_run;
use super::plan;
use crate::operator::Operator;
use crate::operator::Told;
use crate::stage::CONFIG_SECRET;
use crate::stage::REPOSITORY;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;
use liftlock_journal::Journal;
use liftlock_journal::OpenOptions;
use liftlock_lab::SiteSpec;

/// Upgrades a fresh site and checks the end state, the requests, what is left behind and the record.
pub async fn upgrades_cleanly(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let settings = stage.target.get("/_cluster/settings").await?;
    introduce(&round).await?;
    let plan = plan(&round).await?;
    tally.check("a plan is made without one changing request", none(stage));
    round.operator.approve(&plan).await?;
    let run = round.operator.run(&["run", &plan]).await?;
    tally.check(
        "the approved plan runs to its end",
        run.clone().expect(0).map(drop),
    );
    tally.check(
        "the stand-in for Optimize was stopped",
        ensure(!round.optimize.is_running(), "it still runs"),
    );

    check_end_state(stage, &round, tally).await?;
    if stage.is_watched() {
        check_requests(stage, &documented::expected_changes(&round.facts), tally);
    }
    check_leftovers(stage, &settings, &run, tally).await?;
    check_second_run(stage, &round, tally).await?;
    check_record(&round, tally).await?;
    check_secrets(stage, &round, tally);
    Ok(())
}

/// What differs in the cluster now is what is documented.
pub(super) async fn check_end_state(
    stage: &Stage,
    round: &Round,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    let (facts, before) = (&round.facts, &round.before);
    tally.check(
        "the end state is the documented one, and nothing else differs",
        documented::check_difference(facts, before, &after),
    );
    tally.check(
        "the update log has its three documents, fields and alias",
        documented::check_update_log(facts, &after),
    );
    tally.check(
        "schema version 8.8.0, installation id kept",
        documented::check_metadata(facts, &after),
    );
    tally.check(
        "neighbours and the overlapping tenant are untouched",
        documented::check_neighbours(facts, before, &after),
    );
    tally.check(
        "hand-tuned replicas are kept",
        documented::check_tuned(facts, &after),
    );
    Ok(())
}

fn none(stage: &Stage) -> anyhow::Result<()> {
    same(&[], &stage.changes())
}

/// The changing requests that reached the cluster are these, in this order.
pub(super) fn check_requests(stage: &Stage, expected: &[(&str, String)], tally: &mut Tally) {
    let found: Vec<String> = stage
        .changes()
        .iter()
        .map(|line| documented::plain(line))
        .collect();
    let mut found_once: Vec<String> = Vec::new();
    for line in found {
        // A trial restore has as many indices as the snapshot, and each is removed by its name.
        if found_once.last() != Some(&line) || !line.contains("[trial]") {
            found_once.push(line);
        }
    }
    let lines: Vec<String> = expected.iter().map(|(_, line)| line.clone()).collect();
    tally.check(
        "changing requests are the documented ones and ours, in their order, and no others",
        same(&lines, &found_once),
    );
    for (whose, line) in expected
        .iter()
        .filter(|(whose, _)| whose.starts_with("ours"))
    {
        tally.note(&format!("{whose}: {line}"));
    }
}

/// Nothing that bears our name is in the cluster.
pub(super) async fn check_nothing_left(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let left = leftovers(stage).await?;
    tally.check("no claim and no trial index is left", same(&[], &left));
    Ok(())
}

async fn check_leftovers(
    stage: &Stage,
    settings: &Value,
    run: &Told,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    check_nothing_left(stage, tally).await?;
    tally.check(
        "cluster settings are as they were",
        documented::same_json(
            "cluster settings",
            settings,
            &stage.target.get("/_cluster/settings").await?,
        ),
    );
    let snapshots = stage
        .target
        .get(&format!("/_snapshot/{REPOSITORY}/_all"))
        .await?;
    let snapshots = snapshots["snapshots"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tally.check("one snapshot is kept, whole, and the report names it", {
        match snapshots.as_slice() {
            [one] if one["state"] == "SUCCESS" => {
                let name = one["snapshot"].as_str().unwrap_or_default();
                ensure(
                    run.says(name),
                    format!("the report does not name `{name}`\n{run}"),
                )
            }
            other => Err(anyhow::anyhow!("found {other:?}")),
        }
    });
    Ok(())
}

/// What is there with our name in its own.
pub(super) async fn leftovers(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let rows = stage
        .target
        .get("/_cat/indices?format=json&expand_wildcards=all&h=index")
        .await?;
    let components = stage.target.get("/_component_template").await?;
    let mut left = Vec::new();
    for row in rows.as_array().into_iter().flatten() {
        left.push(row["index"].as_str().unwrap_or_default().to_owned());
    }
    for one in components["component_templates"]
        .as_array()
        .into_iter()
        .flatten()
    {
        left.push(one["name"].as_str().unwrap_or_default().to_owned());
    }
    left.retain(|name| name.contains("liftlock"));
    Ok(left)
}

async fn check_second_run(stage: &Stage, round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    stage.proxy.clear();
    let again = round
        .operator
        .run(&["plan", TO, "--detailed-exitcode"])
        .await?;
    tally.check(
        "a second plan finds nothing to do",
        again.clone().expect(0).and_then(|told| {
            ensure(
                told.says("nothing to do"),
                format!("it does not say so\n{told}"),
            )
        }),
    );
    tally.check("and sends nothing that changes", none(stage));
    Ok(())
}

async fn check_record(round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    let operator = &round.operator;
    let run = last_run(operator).await?;
    let whole = operator.run(&["audit", &run, "--verify"]).await?;
    tally.check("the record of the run is whole", whole.expect(0).map(drop));

    let copy = round.folder().join("state-copy");
    copy_folder(operator.state(), &copy)?;
    let other = operator.clone().with_state(&copy);
    tally.check(
        "one flipped byte of a copy is found, and the row is named",
        damage_is_named(&other, &run).await,
    );
    Ok(())
}

/// Flips one byte at each place where a text of the record stands, one after the other. A place on a
/// page that the database does not use any more is never read, so not every flip shows; one must,
/// and none may show in another way than by the row's number.
async fn damage_is_named(operator: &Operator, run: &str) -> anyhow::Result<()> {
    let options = OpenOptions {
        allow_volatile: true,
        ..OpenOptions::default()
    };
    // What is in the log beside the database is carried over, so that all of it is in one file.
    Journal::open(operator.state(), options)
        .await?
        .close()
        .await?;
    let file = operator.state().join("journal.db");
    let bytes = fs::read(&file)?;
    let text = b"schema-delete-index";
    let mut named = 0;
    for (at, _) in bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| window == text)
    {
        let mut flipped = bytes.clone();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1;
        }
        fs::write(&file, flipped)?;
        let told = operator.run(&["audit", run, "--verify"]).await?;
        if told.code == Some(0) {
            continue;
        }
        ensure(
            told.code == Some(21) && names_a_row(&told),
            format!("expected exit code 21 and the row's number\n{told}"),
        )?;
        named += 1;
    }
    ensure(named > 0, "no flipped byte was found")
}

/// `row 17`, as the audit names it.
fn names_a_row(told: &Told) -> bool {
    let text = format!("{}{}", told.stdout, told.stderr).to_lowercase();
    text.match_indices("row ").any(|(at, _)| {
        text.get(at + 4..)
            .and_then(|rest| rest.trim_start_matches('`').chars().next())
            .is_some_and(|digit| digit.is_ascii_digit())
    })
}

fn check_secrets(stage: &Stage, round: &Round, tally: &mut Tally) {
    if let Some(secret) = stage.secret() {
        check_secret("the password of the cluster", secret, &[], round, tally);
    }
    // Kept copies are whole files, readable by their owner alone.
    let kept = round.operator.state().join("kept");
    check_secret(
        "a password in Optimize's configuration",
        CONFIG_SECRET,
        &[&kept],
        round,
        tally,
    );
}

/// A secret is in nothing that was printed or written, but for what lies in the folders `but_in`.
fn check_secret(what: &str, secret: &str, but_in: &[&Path], round: &Round, tally: &mut Tally) {
    tally.check(&format!("{what} is in no output"), {
        let transcript = round.operator.transcript();
        ensure(!transcript.contains(secret), "it is in what was printed")
    });
    for (place, folder) in [
        (
            "no other file of the state directory",
            round.operator.state(),
        ),
        ("no plan, grant or approval", round.operator.site()),
    ] {
        let found = find_secret(folder, secret).and_then(|mut found| {
            found.retain(|file| {
                !but_in
                    .iter()
                    .any(|folder| Path::new(file).starts_with(folder))
            });
            same(&[], &found)
        });
        tally.check(&format!("{what} is in {place}"), found);
    }
}

/// A copy of a folder that only we can look into.
pub(super) fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

//! A run whose machine is lost: its journal goes elsewhere, the run is taken over, and the old runner thaws.

use liftlock_lab::SiteSpec;
use liftlock_lab::When;

use super::approved;
use super::clean;
use super::documented;
use super::ensure;
use super::introduce;
use super::killing::At;
use super::killing::frozen;
use super::last_run;
use super::rollback::says_all;
use crate::operator::Operator;
use crate::operator::Told;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// Freezes a runner, takes its run over from an exported journal, and lets it thaw when the run is done.
pub async fn is_taken_over(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let file = approved(&round).await?;
    // While it watches that nothing is written: the service is stopped, and no request waits for an answer that
    // would be missed.
    let at = At {
        when: When::After,
        method: "GET".into(),
        path: "/_stats".into(),
    };
    let arguments = ["run", file.as_str()];
    let (child, process) = frozen(stage, &round, &at, &arguments).await?;

    let other = elsewhere(&round, tally).await?;
    let run = last_run(&other).await?;
    without_proof_it_is_refused(stage, &round, &other, &run, tally).await?;

    let words = "its machine was taken from the net at noon";
    let told = other.run(&["takeover", &run, "--attest", words]).await?;
    tally.check(
        "taken over with an attestation, the run ends well, and says what is not protected",
        told.expect(0)
            .and_then(|told| says_all(&told, &["not protected", "exit 31", "done"])),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    let check = || {
        documented::check_difference(&round.facts, &round.before, &after)
            .and_then(|()| documented::check_update_log(&round.facts, &after))
            .and_then(|()| documented::check_metadata(&round.facts, &after))
    };
    tally.check("taken over: the end state is the documented one", check());
    each_once(stage, &round, tally);

    let before = stage.changes();
    process.thaw();
    let told = operator.wait(&arguments, child).await?;
    tally.check(
        "the old runner thaws, finds its claim gone, and stops with exit code 31",
        told.expect(31).and_then(|told| says_all(&told, &["E3101"])),
    );
    tally.check(
        "and sends nothing that changes",
        same(&before, &stage.changes()),
    );
    let told = operator.run(&["resume", &run]).await?;
    tally.check(
        "nor can its own journal go on with the run: exit code 31",
        told.expect(31).map(drop),
    );
    let told = other.run(&["audit", &run, "--verify"]).await?;
    tally.check(
        "the record is whole and holds who attested what",
        told.expect(0)
            .and_then(|told| says_all(&told, &["took-over", words, "epoch 2"])),
    );
    let left = clean::leftovers(stage).await?;
    tally.check("no claim is left, of neither epoch", same(&[], &left));
    Ok(())
}

/// The state directory as a copy of the disk has it, exported from there, and taken in on another machine. The machine
/// itself is frozen: it holds its journal.
async fn elsewhere(round: &Round, tally: &mut Tally) -> anyhow::Result<Operator> {
    let copy = round.folder().join("state-of-the-disk");
    clean::copy_folder(round.operator.state(), &copy)?;
    let disk = round.operator.clone().with_state(&copy);
    let run = last_run(&disk).await?;
    let file = round.folder().join("run.jsonl");
    let file = file.to_string_lossy();
    let told = disk.run(&["export", &run, &file]).await?;
    tally.check(
        "the journal of a machine that is lost is exported",
        told.expect(0).map(drop),
    );
    let other = round
        .operator
        .clone()
        .with_state(&round.folder().join("state-elsewhere"));
    let told = other.run(&["import", &file]).await?;
    tally.check(
        "and taken in elsewhere, with the command to type next",
        told.expect(0)
            .and_then(|told| says_all(&told, &[&format!("liftlock takeover {run}")])),
    );
    Ok(other)
}

/// Its holder lives, as far as anybody here can tell.
async fn without_proof_it_is_refused(
    stage: &Stage,
    round: &Round,
    other: &Operator,
    run: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let before = stage.changes();
    let host = ["still lives", "takeover"];
    for (what, arguments) in [
        ("resume", vec!["resume", run]),
        ("rollback", vec!["rollback", run, "--yes"]),
        ("takeover", vec!["takeover", run]),
        ("takeover --abandon", vec!["takeover", "--abandon"]),
    ] {
        let told = other.run(&arguments).await?;
        let check = |told: Told| match what {
            // The journal is here and whole: there is nothing to abandon.
            "takeover --abandon" => told.expect(2).and_then(|told| says_all(&told, &["E0216"])),
            _ => told.expect(30).and_then(|told| says_all(&told, &host)),
        };
        tally.check(
            &format!("while its holder may live, {what} from elsewhere is refused"),
            check(told),
        );
    }
    tally.check(
        "and sends nothing that changes",
        same(&before, &stage.changes()),
    );
    ensure(
        round.operator.state() != other.state(),
        "it is the same place",
    )
}

/// What is not to be repeated was sent once, whoever sent it.
fn each_once(stage: &Stage, round: &Round, tally: &mut Tally) {
    let deletion = format!("DELETE /{}", round.facts.doomed_index);
    let creation = format!("PUT /{}-update-log_v1", round.facts.prefix);
    for (what, line) in [("deleted", deletion), ("made", creation)] {
        let sent = stage
            .changes()
            .iter()
            .filter(|sent| sent.split('?').next() == Some(&line))
            .count();
        tally.check(
            &format!("taken over: what is {what} is {what} once"),
            ensure(sent == 1, format!("`{line}` was sent {sent} times")),
        );
    }
}

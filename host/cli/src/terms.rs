//! Words that the screens use, explained: what each means and which command it leads to.

/// Each word with its paragraph. A word of several is typed with `-` or with blanks in quotes.
pub(crate) const TERMS: &[(&str, &str)] = &[
    (
        "plan",
        "The list of steps that will be done, each with what it changes, what it waits for and how it is taken back. \
         Making one changes nothing. It has a hash; what is approved under that hash is what runs, to the byte. \
         `liftlock plan VERSION` makes one, `liftlock show PLAN` shows it, `liftlock approve PLAN` agrees to it.",
    ),
    (
        "grant",
        "What a plugin may read and propose on this site: which things, which verbs, which names. It is bound to the \
         plugin's bytes, so a new build asks again, and only for what is more than before. It lies in `grants.toml`; \
         a line may be made narrower by hand.",
    ),
    (
        "run",
        "One execution of a plan, from its first step to its end. It has an id, a record in the journal, and a claim in \
         each target while it goes. `liftlock history` lists the runs, `liftlock status RUN` says where one stands.",
    ),
    (
        "journal",
        "The record of all runs, in the state directory, outside of every target: what was about to be sent, and what \
         was seen afterwards, each row durable before the next thing happens. Rows are chained by hashes; `liftlock \
         audit RUN --verify` checks the chain. `liftlock export` and `liftlock import` move a run to another place.",
    ),
    (
        "claim",
        "A small note that a run leaves in the target: run, host, process, since when, where its journal is. Two runs on \
         one target would overwrite each other, so the second is refused with exit 30. It is never taken away by a \
         clock. `liftlock takeover RUN` makes the next one, after proof that its holder is dead.",
    ),
    (
        "doubt",
        "A change that was sent and whose outcome cannot be proved: the answer was lost, and what is there fits neither \
         the state before nor the state after. Liftlock does not guess and does not repeat. Look at the target, then \
         say what you saw: `liftlock resume RUN --decide STEP=done --reason TEXT` if the change is there as the plan \
         has it, `STEP=not-done` if nothing of it is. Your word and your name go into the record.",
    ),
    (
        "unaccounted",
        "A request that was sent and never answered. It may still land, even after the one who sent it is dead. Only the \
         identical request may be repeated meanwhile, and its object is read once more at the end of the run.",
    ),
    (
        "point-of-no-return",
        "The first step after which taking back the steps one by one does not lead to the old state any more, because \
         something was taken away: from there only a restore from the proved snapshot goes back. The plan draws the \
         line. `liftlock rollback` works on both sides of it; what was written after the snapshot into what is restored \
         is lost, and `liftlock rollback RUN --preview` says how much that is.",
    ),
    (
        "rollback",
        "Taking a run back: what it did is undone in the reverse order in which it was done, each undo through the same \
         gate as a step, with its own record and proof. Steps that say so are taken back by a restore from the snapshot \
         that the run took and proved. Only what this run did is undone. From its first row on the run goes backwards \
         only: `liftlock resume` continues the rollback, never the upgrade. `liftlock rollback RUN --preview` shows \
         what would be done, and sends nothing.",
    ),
    (
        "takeover",
        "Going on with a run whose process is not here: the machine died, or the journal was moved. The holder of the \
         claim must be proved dead (same host: its process is gone; elsewhere a person attests it, by name), and the \
         settle time must be over. Then a claim of the next number is made, and the run goes on as with `resume`. \
         Search clusters check no claim when they take a request: a holder that was frozen and not dead can still send \
         one request after it thaws. It stops at the next look, with exit 31.",
    ),
    (
        "settle-time",
        "How long after a request without an answer its effect is waited for before anything is concluded from not \
         seeing it. It is a bound that was chosen from what was measured, not a proof.",
    ),
    (
        "attestation",
        "Something that a person says because no machine can read it: that the machine which held a claim is off, that \
         the writers are stopped. It needs words and a name, and it stays in the record.",
    ),
    (
        "replan",
        "A new plan in the middle of a run, when the plugin or the plan was wrong: made from the state of today, with a \
         repaired plugin if one is named. Steps that were proved done and are the same in the new plan are carried over \
         with their evidence and not done again. The new plan has a new hash and needs a new approval; run, record and \
         claim stay. It is refused while a doubt or an open change stands. `liftlock replan RUN` makes it, `liftlock \
         resume RUN --plan FILE` goes on with it.",
    ),
    (
        "waiver",
        "A finding that blocks, and a person who takes the responsibility for it by name and with a reason: `liftlock \
         approve PLAN --waive FINDING --reason TEXT`. Plan, report and record show it in red.",
    ),
    (
        "rehearsal",
        "The plan performed on other targets that hold a copy of the data, before it is run: `liftlock rehearse VERSION`. \
         `[rehearsal]` in `site.toml` names them, table by table as the site's own. They are filled from your backup, by you or by a \
         command of yours that `--fill` runs first. What it came to is a file in `rehearsals/`: this plan, these data, this day, how long each step took. `liftlock plan` takes \
         its times from it as long as it fits. A plan names its targets, so the two plans have two hashes; what must be equal \
         is their shape: steps, order, verbs, names, conditions and ways back. With `--rehearsal` other commands mean the \
         rehearsal: `liftlock resume RUN --rehearsal` goes on with one that stopped.",
    ),
    (
        "freeze",
        "Where a run stops that has changed the schema and cannot go on: neither the old nor the new version may be \
         started on what is there. Everything that protects (a stopped service, a block) stays as it is and is listed.",
    ),
    (
        "snapshot",
        "The backup that a plan takes before it takes anything away, and then restores on trial under other names and \
         compares: a backup that was never restored is no backup. It stays after the run, and the report names it.",
    ),
    (
        "side-by-side",
        "How many steps a run does at the same time: only inside one phase, only such that touch different things, never \
         one whose outcome could not be read after a crash. `--side-by-side N`, or `side-by-side = N` in site.toml.",
    ),
    (
        "drain",
        "Taking a server behind a load balancer out of use without cutting what it works on: in *drain* it gets no new \
         request but those of clients that are bound to it, in *maintenance* none at all. It is given back by a step of \
         the plan or by a rollback; a run that stops leaves it and says so. The last serving servers of a backend are \
         never taken: `at-least = N` in site.toml says how many others must serve.",
    ),
];

/// The word as the table has it.
pub(crate) fn written(word: &str) -> String {
    word.trim().to_ascii_lowercase().replace([' ', '_'], "-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_word_is_there_once_as_it_is_typed_and_says_enough() {
        let mut seen = BTreeSet::new();
        for (word, text) in TERMS {
            assert!(seen.insert(word), "{word} is there twice");
            assert_eq!(written(word), *word);
            assert!(text.len() > 150, "{word}");
        }
        assert_eq!(written("Point of no return"), "point-of-no-return");
    }
}

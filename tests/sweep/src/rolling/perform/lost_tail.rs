//! The journal lost its last rows, and its head file did not.

use std::fs;

use anyhow::Context;

use crate::image::copy_folder;
use crate::judge;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::perform::Stage;
use crate::rolling::Fleet;

impl<F: Fleet> Stage<'_, F> {
    /// The end of the journal is gone, its head file is not.
    pub(super) fn tail_lost(&mut self, place: &Place, rows: usize) -> anyhow::Result<()> {
        let mut round = self.killed_at(place)?;
        let entries = round.ground.ledger.entries();
        let has = entries.iter().filter(|entry| entry.is_row()).count();
        if has <= rows {
            return Ok(());
        }
        let older = self
            .reference
            .journals
            .get(&(has - rows))
            .with_context(|| format!("no journal of {} rows", has - rows))?;
        let mut seen_rows = 0;
        for entry in &entries {
            seen_rows += usize::from(entry.is_row());
            if seen_rows > has - rows
                && let Seen::Act { step, .. } = &entry.seen
            {
                let step = step.clone();
                round.ground.ledger.note(0, Seen::Forgotten { step });
            }
        }
        put_rows_back(older, &round.ground.journal)?;
        let finish = self.drive(&mut round, None)?;
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        self.no_wrongs(&round)?;
        if self.ended_without_its_tail(finish) {
            self.same_as_after(&[])?;
        }
        Ok(())
    }
}

/// A journal with the rows of an older copy, and the head files that it has.
fn put_rows_back(older: &std::path::Path, journal: &std::path::Path) -> anyhow::Result<()> {
    let heads = journal.with_extension("heads");
    copy_folder(&journal.join("heads"), &heads)?;
    fs::remove_dir_all(journal)?;
    copy_folder(older, journal)?;
    let there = journal.join("heads");
    if there.exists() {
        fs::remove_dir_all(&there)?;
    }
    copy_folder(&heads, &there)?;
    if heads.exists() {
        fs::remove_dir_all(&heads)?;
    }
    Ok(())
}

//! The journal lost its last rows, and its head file did not.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::bail;

use super::Stage;
use crate::image::copy_folder;
use crate::judge;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::world::World;

impl Stage<'_, World> {
    /// The end of the journal is gone, its head file is not.
    pub(super) fn lost_tail(&mut self, place: &Place, rows: usize) -> anyhow::Result<()> {
        let image = self.reference.image(place)?;
        let has = image.entries.iter().filter(|entry| entry.is_row()).count();
        if has <= rows {
            return Ok(());
        }
        let older = self
            .reference
            .places
            .iter()
            .filter_map(|place| self.reference.images.get(place))
            .find(|image| {
                image.entries.iter().filter(|entry| entry.is_row()).count() == has - rows
            });
        let Some(older) = older else {
            bail!("no image has {} rows", has - rows);
        };
        let forgotten: Vec<String> = image
            .entries
            .iter()
            .skip(older.entries.len())
            .filter_map(|entry| match &entry.seen {
                Seen::Act { step, .. } => Some(step.clone()),
                _ => None,
            })
            .collect();
        let mut mixed = image.clone();
        mixed.journal = mix(&older.journal, &image.journal)?;
        let mut round = self.world.load(&mixed)?;
        for step in forgotten {
            round.ground.ledger.note(0, Seen::Forgotten { step });
        }
        let finish = self.drive(&mut round, None)?;
        let entries = round.ground.ledger.entries();
        self.verdict.repeated.extend(judge::repeated(&entries));
        self.nothing_twice(&round);
        if self.ended_without_its_tail(finish) {
            self.same_as_after();
        }
        fs::remove_dir_all(&mixed.journal)?;
        Ok(())
    }
}

/// A journal whose rows are of one image and whose head files are of another.
fn mix(rows: &Path, heads: &Path) -> anyhow::Result<PathBuf> {
    let mixed = heads.with_file_name("mixed");
    copy_folder(rows, &mixed)?;
    let there = mixed.join("heads");
    if there.exists() {
        fs::remove_dir_all(&there)?;
    }
    copy_folder(&heads.join("heads"), &there)?;
    Ok(mixed)
}

//! The uninterrupted run: what it passes, what it does, what it leaves, and its journal at each row.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::bail;
use liftlock_types::Change;
use liftlock_types::Exit;
use serde_json::Value;

use super::Fleet;
use crate::image::copy_folder;
use crate::ledger::Entry;
use crate::ledger::Place;
use crate::ledger::Seen;
use crate::life::Hook;
use crate::life::Orders;
use crate::life::Work;

/// A copy of a journal, with the number of its rows.
type Shot = io::Result<(usize, PathBuf)>;

/// What a run without any trouble is like.
pub struct Reference {
    /// Its points, in order.
    pub places: Vec<Place>,
    /// Those at which something happened since the one before.
    pub distinct: Vec<Place>,
    /// Its changes in order, each with its step.
    pub acts: Vec<(String, Change)>,
    /// How many rows its journal has at each place.
    pub rows: BTreeMap<Place, usize>,
    /// Its journal by the number of its rows.
    pub journals: BTreeMap<usize, PathBuf>,
    /// The site before it.
    pub before: Value,
    /// The site after it.
    pub after: Value,
}

impl Reference {
    /// Runs it.
    pub fn run<F: Fleet>(fleet: &mut F) -> anyhow::Result<Self> {
        let mut round = fleet.fresh()?;
        let before = fleet.seen()?;
        let shots: Arc<Mutex<Vec<Shot>>> = Arc::default();
        let (roll, journal, shelf) = (
            shots.clone(),
            round.ground.journal.clone(),
            fleet.bench().shelf(),
        );
        std::fs::create_dir_all(&shelf)?;
        let hook: Hook = Arc::new(move |place| {
            if is_row(&place.label) {
                let mut roll = roll.lock().unwrap_or_else(PoisonError::into_inner);
                let number = roll.len() + 1;
                let to = shelf.join(number.to_string());
                let copied = copy_folder(&journal, &to);
                roll.push(copied.map(|()| (number, to)));
            }
        });
        let orders = Orders {
            hook: Some(hook),
            ..Orders::default()
        };
        let end = fleet.live(&mut round, Work::Run, orders)?.end()?;
        if end.exit != Exit::Done {
            bail!(
                "the uninterrupted run ended with {:?}: {:?}",
                end.exit,
                end.halt
            );
        }
        let entries = round.ground.ledger.entries();
        let mut rows = BTreeMap::new();
        let mut count = 0;
        for entry in &entries {
            count += usize::from(entry.is_row());
            if let Seen::Point(place) = &entry.seen {
                rows.insert(place.clone(), count);
            }
        }
        let shots = std::mem::take(&mut *shots.lock().unwrap_or_else(PoisonError::into_inner));
        let journals: io::Result<BTreeMap<usize, PathBuf>> = shots.into_iter().collect();
        let reference = Self {
            places: round.ground.ledger.places(1),
            distinct: distinct(&entries),
            acts: acts(&entries),
            rows,
            journals: journals.context("a journal cannot be copied")?,
            before,
            after: fleet.seen()?,
        };
        let wrongs = fleet.wrongs(&round, &reference, &end.left_behind)?;
        if !wrongs.lost.is_empty() || !wrongs.repeated.is_empty() {
            bail!("the uninterrupted run itself is not as it should be: {wrongs:?}");
        }
        Ok(reference)
    }
}

impl Reference {
    /// The places at which something happened since the run began.
    pub fn begun(&self) -> &[Place] {
        let began = self
            .distinct
            .iter()
            .position(|place| place.label == "journal.run-begun.after")
            .unwrap_or_default();
        &self.distinct[began..]
    }
}

fn is_row(label: &str) -> bool {
    label.starts_with("journal.") && label.ends_with(".after")
}

/// Between two places of which neither a row nor a send tells a run only looked.
fn distinct(entries: &[Entry]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut happened = true;
    for entry in entries {
        match &entry.seen {
            Seen::Act { .. } | Seen::Acted { .. } => happened = true,
            Seen::Point(place) => {
                let tells = ["claim", "clean-up"];
                happened |= is_row(&place.label)
                    || tells.iter().any(|label| place.label.starts_with(label));
                if std::mem::take(&mut happened) {
                    places.push(place.clone());
                }
            }
            _ => {}
        }
    }
    places
}

fn acts(entries: &[Entry]) -> Vec<(String, Change)> {
    entries
        .iter()
        .filter_map(|entry| match &entry.seen {
            Seen::Act { step, change, .. } => Some((step.clone(), change.clone())),
            _ => None,
        })
        .collect()
}

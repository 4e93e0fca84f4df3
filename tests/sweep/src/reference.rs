//! The uninterrupted run: what it passes, what it sends, what it leaves, and an image of each of its points.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::bail;
use liftlock_gate::Defect;
use liftlock_testkit::Record;
use liftlock_types::Change;
use liftlock_types::Exit;
use serde_json::Value;

use crate::image::Image;
use crate::judge;
use crate::ledger::Place;
use crate::life::Hook;
use crate::life::Orders;
use crate::life::Work;
use crate::site::Site;
use crate::world::World;

/// What a run without any trouble is like.
pub struct Reference {
    /// Its points, in order. Where steps run side by side the order differs from run to run: then sorted, and the
    /// first of each kind only.
    pub places: Vec<Place>,
    /// What a crash at each leaves; none where something else moves at a point.
    pub images: BTreeMap<Place, Image>,
    /// Its requests, in order.
    pub records: Vec<Record>,
    /// The target before it.
    pub before: Value,
    /// The target after it.
    pub after: Value,
    /// What it did to the target, with how often.
    pub effects: BTreeMap<String, usize>,
    /// The image of its end.
    pub end: Image,
    /// The step that runs the vendor's upgrader, where there is one.
    pub task: Option<String>,
}

type Shot = Vec<(Place, io::Result<Image>)>;

impl Reference {
    /// Runs it.
    pub fn run(world: &mut World) -> anyhow::Result<Self> {
        Self::run_by(world, None)
    }

    /// Runs it by a gate that may lack a rule.
    pub fn run_by(world: &mut World, defect: Option<Defect>) -> anyhow::Result<Self> {
        let mut round = world.fresh()?;
        let before = world.sim.state_json();
        let camera = world.camera(&round);
        let shots: Arc<Mutex<Shot>> = Arc::default();
        let (lens, roll) = (camera.clone(), shots.clone());
        let hook: Hook = Arc::new(move |place| {
            let image = lens.shoot();
            roll.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((place.clone(), image));
        });
        let stands_still = world.way.stands_still();
        let orders = Orders {
            hook: stands_still.then_some(hook),
            defect,
            ..Orders::default()
        };
        let end = world.live(&mut round, Work::Run, orders)?.end()?;
        if end.exit != Exit::Done {
            bail!(
                "the uninterrupted run ended with {:?}: {:?}",
                end.exit,
                end.halt
            );
        }
        let records = world.records(&round);
        let mut images = BTreeMap::new();
        let shots = std::mem::take(&mut *shots.lock().unwrap_or_else(PoisonError::into_inner));
        for (place, image) in shots {
            images.insert(place, image.context("an image cannot be taken")?);
        }
        let mut places = round.ground.ledger.places(1);
        if !stands_still {
            places.retain(|place| place.time == 1);
            places.sort();
        }
        let task = world.script.plan.steps.iter().find(|step| {
            step.change()
                .is_some_and(|planned| matches!(planned.change, Change::RunTask { .. }))
        });
        Ok(Self {
            task: task.map(|step| step.id.to_string()),
            places,
            images,
            effects: judge::effects(&records),
            records,
            before,
            after: world.sim.state_json(),
            end: camera.shoot().context("an image cannot be taken")?,
        })
    }

    /// Between which points each request was sent: the number of points passed before it. Without images each
    /// stands for itself.
    pub fn places_of_records(&self) -> Vec<usize> {
        if self.images.is_empty() {
            return (0..self.records.len()).collect();
        }
        let mut seen: Vec<usize> = self
            .places
            .iter()
            .filter_map(|place| Some(self.images.get(place)?.records.len()))
            .collect();
        seen.sort_unstable();
        (0..self.records.len())
            .map(|number| seen.partition_point(|count| *count <= number))
            .collect()
    }

    /// The image of a place.
    pub fn image(&self, place: &Place) -> anyhow::Result<&Image> {
        self.images
            .get(place)
            .with_context(|| format!("the uninterrupted run does not pass `{place}`"))
    }

    /// Places whose images differ from all before: in between the run only looked. Without images all of them.
    pub fn distinct(&self) -> Vec<Place> {
        if self.images.is_empty() {
            return self.places.clone();
        }
        let mut known = BTreeSet::new();
        self.places
            .iter()
            .filter(|place| {
                self.images.get(*place).is_some_and(|image| {
                    let effects = judge::effects(&image.records).values().sum::<usize>();
                    let rows = image.entries.iter().filter(|entry| entry.is_row()).count();
                    known.insert((effects, rows, image.running))
                })
            })
            .cloned()
            .collect()
    }
}

//! The steps: a first snapshot while Kuzzle serves, Kuzzle stopped, the last one, the restore, Kuzzle told of it.

use liftlock_sdk::prelude::*;

use super::asks::{Choices, NEW, NEW_REPOSITORY};
use super::beside::quoted;
use super::same;
use crate::around::{AFTER, Around, BEFORE, SNAPSHOT_PATIENCE_MS};
use crate::descriptor::{BACKUPS, STORAGE};
use crate::kuzzle::Configuration;
use crate::mode;

/// The step that takes what is restored.
const SNAPSHOT: &str = "snapshot";

/// What the steps are made of.
pub(crate) struct Writer<'a> {
    pub(crate) around: Around<'a>,
    pub(crate) choices: &'a Choices,
}

impl Writer<'_> {
    /// All of them, in order.
    pub(crate) fn write(&self) -> Result<()> {
        let (old, new) = (
            Cluster::open(self.around.site, STORAGE)?,
            Cluster::open(self.around.site, NEW)?,
        );
        let backups = Repository::open(self.around.site, BACKUPS)?;
        let restored = Repository::open(self.around.site, NEW_REPOSITORY)?;
        if let Some((kind, settings)) = &self.choices.repository {
            self.around
                .plan
                .step(
                    "register",
                    Phase::Prepare,
                    "register the store of the snapshots",
                )
                .does(backups.register(kind, settings))
                .add()?;
        }
        self.around.keep_settings(&old)?;
        self.take(&backups, "first-snapshot", Phase::Prepare)?;
        self.around.stop_kuzzles(
            &old,
            "what it writes after the last snapshot would not be on the new cluster",
        )?;
        self.take(&backups, SNAPSHOT, Phase::Protect)?;
        if let Some((kind, settings)) = &self.choices.repository {
            let mut settings = settings.clone();
            settings["readonly"] = json!(true);
            self.around
                .plan
                .step(
                    "register-new",
                    Phase::Expand,
                    "register the store on the new cluster, read-only",
                )
                .because("two clusters that write to one store destroy it")
                .does(restored.register(kind, &settings))
                .add()?;
        }
        let into = restored.restore_into(
            SNAPSHOT,
            &self.around.options.patterns(),
            &[],
            self.choices.replicas,
        );
        self.around
            .plan
            .step(
                "restore",
                Phase::Expand,
                "restore all collections into the new cluster",
            )
            .because(
                "with their aliases, by which Kuzzle knows them; the old cluster stays as it is",
            )
            .opens_when("the new cluster is well", new.healthy("yellow"))
            .does(into)
            .work("bytes", self.around.bytes())
            .add()?;
        self.around
            .capture(&new, AFTER, Phase::Expand, "the new cluster")?;
        // The old one last: what somebody writes to it after the snapshot shows as a difference.
        self.around
            .capture(&old, BEFORE, Phase::Expand, "the old cluster")?;
        for configuration in &self.around.kuzzles.configurations {
            self.tell(configuration)?;
        }
        self.around.start_kuzzles()?;
        // One node of a new cluster has no place for replicas.
        self.around.watch(NEW, "yellow")?;
        self.around.plan.summary(&format!(
            "{} collections into a new cluster of {}; Kuzzle is stopped meanwhile, and in mode 8 afterwards. The old \
             cluster stays as it is: the way back is Kuzzle's configuration",
            self.around.seen.ours(self.around.options).count(),
            self.around.to,
        ));
        self.around
            .plan
            .not_done("the old cluster is not deleted: keep it until nobody wants to go back");
        Ok(())
    }

    fn take(&self, backups: &Repository, id: &str, phase: Phase) -> Result<()> {
        let (title, because) = if id == SNAPSHOT {
            (
                "snapshot all collections",
                "nobody writes any more: this one is what the new cluster gets",
            )
        } else {
            (
                "a first snapshot, while Kuzzle serves",
                "what is in the store already, the last snapshot does not copy again: the stop is shorter",
            )
        };
        self.around
            .plan
            .step(id, phase, title)
            .because(because)
            .does(backups.take(
                &format!("kuzzle-{id}-{}", self.around.to),
                &self.around.options.patterns(),
                &[],
            ))
            .opens_when(
                "no snapshot runs",
                backups.none_running().patience_ms(SNAPSHOT_PATIENCE_MS),
            )
            .work("bytes", self.around.bytes())
            .add()
            .map(drop)
    }

    /// A Kuzzle's configuration names the new cluster and its version.
    fn tell(&self, configuration: &Configuration) -> Result<()> {
        let Some(file) = &configuration.file else {
            return Ok(());
        };
        let Some((old, new)) = mode::edit(&file.text, "8") else {
            return Ok(());
        };
        let directory = Directory::open(self.around.site, &configuration.binding)?;
        let (name, file_name) = (&configuration.name, &self.around.options.configuration);
        let address = Hunk {
            old: quoted(&self.choices.address),
            new: quoted(&self.choices.new_address),
        };
        self.around
            .plan
            .step(
                format!("{name}-keep"),
                Phase::Switch,
                &format!("{name}: keep {file_name}"),
            )
            .because("with it Kuzzle goes back to the old cluster")
            .does(directory.keep(file_name))
            .add()?;
        self.around
            .plan
            .step(
                format!("{name}-address"),
                Phase::Switch,
                &format!("{name}: the new cluster, and mode 8"),
            )
            .because("the mode is a text: of a number Kuzzle says that it is no version, and ends")
            .opens_when("each collection is what it was", same::same())
            .does(directory.edit(file_name, &file.sha256, &[Hunk { old, new }, address]))
            .add()
            .map(drop)
    }
}

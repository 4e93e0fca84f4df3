//! The steps: a first snapshot while Kuzzle serves, Kuzzle stopped, the last one, the restore, Kuzzle told of it.

use liftlock_sdk::prelude::*;

use super::asks::{Choices, NEW, NEW_REPOSITORY};
use super::beside::quoted;
use super::same;
use crate::descriptor::{ALIASES, BACKUPS, HEALTH, SERVER_INFO, STORAGE};
use crate::kuzzle::{Configuration, KuzzleService, Kuzzles};
use crate::mode;
use crate::options::Options;
use crate::seen::Seen;

/// What the collections were on the old cluster.
pub(crate) const BEFORE: &str = "before";
/// The same on the new one.
pub(crate) const AFTER: &str = "after";
/// The step that takes what is restored.
const SNAPSHOT: &str = "snapshot";

/// Reads in one capture. The host takes lists of at most 1,000; half of that leaves room.
const READS_PER_CAPTURE: usize = 500;

/// How long a running snapshot of someone else is waited for: a first one of a large site takes that long.
const SNAPSHOT_PATIENCE_MS: u64 = 3_600_000;

/// How long a Kuzzle that was started is waited for.
const KUZZLE_PATIENCE_MS: u64 = 300_000;

/// What the steps are made of.
pub(crate) struct Writer<'a> {
    pub(crate) site: &'a Site,
    pub(crate) seen: &'a Seen,
    pub(crate) kuzzles: &'a Kuzzles,
    pub(crate) options: &'a Options,
    pub(crate) choices: &'a Choices,
    pub(crate) to: &'a str,
    pub(crate) plan: &'a Plan<'a>,
}

impl Writer<'_> {
    /// All of them, in order.
    pub(crate) fn write(&self) -> Result<()> {
        let (old, new) = (
            Cluster::open(self.site, STORAGE)?,
            Cluster::open(self.site, NEW)?,
        );
        let backups = Repository::open(self.site, BACKUPS)?;
        let restored = Repository::open(self.site, NEW_REPOSITORY)?;
        if let Some((kind, settings)) = &self.choices.repository {
            self.plan
                .step(
                    "register",
                    Phase::Prepare,
                    "register the store of the snapshots",
                )
                .does(backups.register(kind, settings))
                .add()?;
        }
        self.take(&backups, "first-snapshot", Phase::Prepare)?;
        self.stop_kuzzles(&old)?;
        self.capture(&old, BEFORE, Phase::Prepare, "the old cluster")?;
        self.take(&backups, SNAPSHOT, Phase::Protect)?;
        if let Some((kind, settings)) = &self.choices.repository {
            let mut settings = settings.clone();
            settings["readonly"] = json!(true);
            self.plan
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
            &self.options.patterns(),
            &[],
            self.choices.replicas,
        );
        self.plan
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
            .work("bytes", self.bytes())
            .add()?;
        self.capture(&new, AFTER, Phase::Expand, "the new cluster")?;
        for configuration in &self.kuzzles.configurations {
            self.tell(configuration)?;
        }
        self.start_kuzzles()?;
        self.plan.summary(&format!(
            "{} collections into a new cluster of {}; Kuzzle is stopped meanwhile, and in mode 8 afterwards. The old \
             cluster stays as it is: the way back is Kuzzle's configuration",
            self.seen.ours(self.options).count(),
            self.to,
        ));
        self.plan
            .not_done("the old cluster is not deleted: keep it until nobody wants to go back");
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let ours = self.seen.ours(self.options);
        ours.map(|index| index.primary_bytes).sum()
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
        self.plan
            .step(id, phase, title)
            .because(because)
            .does(backups.take(
                &format!("kuzzle-{id}-{}", self.to),
                &self.options.patterns(),
                &[],
            ))
            .opens_when(
                "no snapshot runs",
                backups.none_running().patience_ms(SNAPSHOT_PATIENCE_MS),
            )
            .work("bytes", self.bytes())
            .add()
            .map(drop)
    }

    fn stop_kuzzles(&self, old: &Cluster) -> Result<()> {
        let patterns = self.options.patterns();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let last = self.kuzzles.services.len().saturating_sub(1);
        for (at, kuzzle) in self.kuzzles.services.iter().enumerate() {
            let service = Service::open(self.site, &kuzzle.binding)?;
            let title = format!("{}: stop", kuzzle.name);
            let mut step = self
                .plan
                .step(stop_id(kuzzle), Phase::Prepare, &title)
                .because("what it writes after the last snapshot would not be on the new cluster")
                .does(service.stop())
                .work("restarts", 1);
            if at == last {
                step = step.ends_when(
                    "nobody writes to the collections",
                    old.quiet(&patterns).stable_for_ms(self.options.quiet_ms),
                );
            }
            step.add()?;
        }
        Ok(())
    }

    /// Lists first, then each collection's mapping and a checksum over its ids and documents.
    fn capture(&self, on: &Cluster, name: &str, phase: Phase, whose: &str) -> Result<()> {
        let mut reads = vec![on.read_aliases(ALIASES)];
        for pattern in self.options.patterns() {
            reads.push(on.read_indices(&pattern));
        }
        for index in self.seen.ours(self.options) {
            reads.push(on.read_mappings(&index.name));
            reads.push(on.read_checksum(&index.name));
        }
        let documents: u64 = self.seen.ours(self.options).map(|index| index.docs).sum();
        let mut reads = reads.into_iter().peekable();
        let mut number = 0;
        while reads.peek().is_some() {
            number += 1;
            let part: Vec<_> = reads.by_ref().take(READS_PER_CAPTURE).collect();
            let id = format!("{name}-{number}");
            self.plan
                .step(
                    id.as_str(),
                    phase,
                    &format!("keep what each collection is on {whose}: alias, mapping, checksum"),
                )
                .because("counts alone do not show that a document was replaced")
                .captures(&id, part)
                .work("documents", if number == 1 { documents } else { 0 })
                .add()?;
        }
        Ok(())
    }

    /// A Kuzzle's configuration names the new cluster and its version.
    fn tell(&self, configuration: &Configuration) -> Result<()> {
        let Some(file) = &configuration.file else {
            return Ok(());
        };
        let Some((old, new)) = mode::edit(&file.text, "8") else {
            return Ok(());
        };
        let directory = Directory::open(self.site, &configuration.binding)?;
        let (name, file_name) = (&configuration.name, &self.options.configuration);
        let address = Hunk {
            old: quoted(&self.choices.address),
            new: quoted(&self.choices.new_address),
        };
        self.plan
            .step(
                format!("{name}-keep"),
                Phase::Switch,
                &format!("{name}: keep {file_name}"),
            )
            .because("with it Kuzzle goes back to the old cluster")
            .does(directory.keep(file_name))
            .add()?;
        self.plan
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

    fn start_kuzzles(&self) -> Result<()> {
        for kuzzle in &self.kuzzles.services {
            let title = format!("{}: start", kuzzle.name);
            let mut step = self
                .plan
                .step(format!("{}-start", kuzzle.name), Phase::Switch, &title)
                .gives_back(&stop_id(kuzzle));
            let endpoint = format!("endpoint.{}", kuzzle.name);
            if self.site.has(&endpoint) {
                let api = Endpoint::open(self.site, &endpoint)?;
                let health = json!({ "result": { "status": "green" } });
                let storage = json!({ "internalStorage": { "version": self.to } });
                let info = json!({ "result": { "serverInfo": { "services": storage } } });
                let answers = |path: &str, subset: &Value| {
                    api.answers(path, &[], 200, &subset.to_string())
                        .patience_ms(KUZZLE_PATIENCE_MS)
                };
                step = step
                    .ends_when("its deep health is green", answers(HEALTH, &health))
                    .ends_when(
                        &format!("it says that its storage is {}", self.to),
                        answers(SERVER_INFO, &info),
                    );
            }
            step.add()?;
        }
        Ok(())
    }
}

fn stop_id(kuzzle: &KuzzleService) -> String {
    format!("{}-stop", kuzzle.name)
}

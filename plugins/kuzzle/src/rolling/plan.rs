//! The steps: Kuzzle stopped, a snapshot, node after node, Kuzzle told of the new version.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling;

use super::{NODE_STAYS, of};
use crate::around::{AFTER, Around, BEFORE, SNAPSHOT_PATIENCE_MS};
use crate::descriptor::{BACKUPS, NODES, STORAGE};
use crate::kuzzle::{Configuration, Kuzzles};
use crate::mode::{self, Told};
use crate::options::Options;
use crate::seen::Seen;

/// Why the mode does not go back.
const MODE_STAYS: &str = "the cluster stays 8.x, where a Kuzzle in mode 7 starts, calls itself healthy and fails at single requests";

/// Proposes everything that is still to do.
pub(crate) fn propose(
    site: &Site,
    seen: &Seen,
    kuzzles: &Kuzzles,
    options: &Options,
    target: &Target,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let bound = rolling::gather(site, NODES)?;
    let flushed = options.patterns();
    let nodes = of(options, &target.to, &flushed);
    let blockers = nodes.cannot(seen.rolling(), &bound);
    if !blockers.is_empty() {
        return Err(Refusal::Blocked(blockers));
    }
    let behind = rolling::behind(seen.rolling(), &bound, &target.to);
    let writer = Writer {
        around: Around {
            site,
            seen,
            kuzzles,
            options,
            to: &target.to,
            plan,
        },
        storage: Cluster::open(site, STORAGE)?,
    };
    let archived: Vec<String> = seen.archived.iter().map(|one| one.key.clone()).collect();
    nodes.remove_archived(&writer.storage, &archived, plan)?;
    let edits: Vec<&Configuration> = kuzzles
        .configurations
        .iter()
        .filter(|it| it.mode() == Some(Told::Text("7".into())))
        .collect();
    if behind.is_empty() && edits.is_empty() {
        plan.summary(&format!(
            "every node is {}, and Kuzzle is told so",
            target.to
        ));
        return Ok(());
    }
    if !behind.is_empty() {
        writer.around.keep_settings(&writer.storage)?;
        writer.take_off_settings()?;
    }
    if !options.serves_meanwhile {
        writer.around.stop_kuzzles(
            &writer.storage,
            "it is made for one version of the storage at a time, and what it writes after the snapshot would not be in it",
        )?;
    }
    if !behind.is_empty() {
        writer
            .around
            .capture(&writer.storage, BEFORE, Phase::Prepare, "the cluster")?;
        writer.protect()?;
        nodes.take(site, &writer.storage, &behind, plan)?;
        plan.not_done(&format!(
            "a rollback leaves nodes at {}: {NODE_STAYS}",
            target.to
        ));
        writer
            .around
            .capture(&writer.storage, AFTER, Phase::Switch, "the cluster")?;
    }
    for configuration in edits {
        writer.tell(configuration)?;
    }
    if options.serves_meanwhile {
        writer.around.restart_kuzzles()?;
    } else {
        writer.around.start_kuzzles()?;
    }
    writer.around.watch(STORAGE, &seen.health.status)?;
    plan.summary(&format!(
        "Elasticsearch to {}: {} of {} nodes, one after another; Kuzzle is {} meanwhile, in mode 8 afterwards",
        target.to,
        behind.len(),
        seen.nodes.len(),
        if options.serves_meanwhile {
            "serving in mode 7"
        } else {
            "stopped"
        },
    ));
    Ok(())
}

struct Writer<'a> {
    around: Around<'a>,
    storage: Cluster,
}

impl Writer<'_> {
    /// What 8 does not know, in each place.
    fn take_off_settings(&self) -> Result<()> {
        for (scope, settings) in &self.around.seen.taken_off {
            let place = match scope {
                SettingScope::Transient => "transient",
                SettingScope::Persistent | SettingScope::Defaults => "persistent",
            };
            let none: liftlock_sdk::serde_json::Map<String, Value> = settings
                .keys()
                .map(|key| (key.clone(), Value::Null))
                .collect();
            let had = settings
                .iter()
                .map(|(key, value)| format!("`{key}: {value}`"));
            let had: Vec<String> = had.collect();
            self.around
                .plan
                .step(
                    format!("take-off-{place}-settings"),
                    Phase::Prepare,
                    &format!("take off {place} settings of the cluster that 8 does not know"),
                )
                .because("8 would put them aside, and with one of these a change of any setting can be refused")
                .does(self.storage.put_cluster_settings(*scope, &Value::Object(none)))
                // Once the last node is new nobody takes it any more, and a rollback would end there.
                .stays(&format!("7.17 does without as well, and 8 refuses it: it was {}", had.join(", ")))
                .add()?;
        }
        Ok(())
    }

    fn protect(&self) -> Result<()> {
        if !self.around.site.has(BACKUPS) {
            self.around.plan.not_done(
                "no snapshot is taken: no repository is bound, and there is no other way back",
            );
            return Ok(());
        }
        let backups = Repository::open(self.around.site, BACKUPS)?;
        let bytes = self.around.bytes();
        let taken = self
            .around
            .plan
            .step("snapshot", Phase::Protect, "snapshot all collections")
            .because("there is no way down: only what was taken by 7.17 can be restored into a cluster of 7.17")
            .does(backups.take(
                &format!("kuzzle-before-{}", self.around.to),
                &self.around.options.patterns(),
                &[],
            ))
            .opens_when(
                "no snapshot runs",
                backups.none_running().patience_ms(SNAPSHOT_PATIENCE_MS),
            )
            .work("bytes", bytes)
            .add()?;
        self.around
            .plan
            .step(
                "prove-snapshot",
                Phase::Protect,
                "restore it on trial and compare",
            )
            .because("a backup that was never restored is no backup")
            .does(backups.prove(&taken))
            .after(&taken)
            .work("bytes", bytes)
            .add()
            .map(drop)
    }

    /// A Kuzzle's configuration names the new version.
    fn tell(&self, configuration: &Configuration) -> Result<()> {
        let Some(file) = &configuration.file else {
            return Ok(());
        };
        let Some((old, new)) = mode::edit(&file.text, "8") else {
            return Ok(());
        };
        let directory = Directory::open(self.around.site, &configuration.binding)?;
        let name = &self.around.options.configuration;
        self.around
            .plan
            .step(
                format!("{}-keep", configuration.name),
                Phase::Switch,
                &format!("{}: keep {name}", configuration.name),
            )
            .does(directory.keep(name))
            .add()?;
        self.around
            .plan
            .step(
                format!("{}-mode", configuration.name),
                Phase::Switch,
                &format!("{}: mode 8", configuration.name),
            )
            .because("a text: of a number Kuzzle says that it is no version, and ends")
            .does(directory.edit(name, &file.sha256, &[Hunk { old, new }]))
            .stays(MODE_STAYS)
            .add()
            .map(drop)
    }
}

//! The steps: Kuzzle stopped, a snapshot, node after node, Kuzzle told of the new version.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::keep_replicas_where_they_are;

use super::conditions;
use super::members::{self, Bound, Member};
use crate::descriptor::{ALIASES, BACKUPS, HEALTH, SERVER_INFO, STORAGE};
use crate::kuzzle::{Configuration, KuzzleService, Kuzzles};
use crate::mode::{self, Told};
use crate::options::Options;
use crate::seen::Seen;

/// What the collections were before anything changed.
pub(crate) const BEFORE: &str = "before";
/// The same once every node is new.
pub(crate) const AFTER: &str = "after";

/// Reads in one capture. The host takes lists of at most 1,000; half of that leaves room.
const READS_PER_CAPTURE: usize = 500;

/// How long a running snapshot of someone else is waited for: a first one of a large site takes that long.
const SNAPSHOT_PATIENCE_MS: u64 = 3_600_000;

/// How long a Kuzzle that was started is waited for.
const KUZZLE_PATIENCE_MS: u64 = 300_000;

/// Why nothing of a node goes back.
const NODE_STAYS: &str = "a node that once ran 8.x does not start as 7.17 again: going back is a new cluster of 7.17 and a restore of the \
     snapshot. What is not upgraded yet stays 7.17, and both serve together until the run goes on";

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
    let bound = members::gather(site)?;
    let blockers: Vec<Finding> = super::check::cannot(seen, &bound, target);
    if !blockers.is_empty() {
        return Err(Refusal::Blocked(blockers));
    }
    let behind = members::behind(seen, &bound, &target.to);
    let writer = Writer {
        site,
        seen,
        kuzzles,
        options,
        to: &target.to,
        storage: Cluster::open(site, STORAGE)?,
        plan,
    };
    writer.archived()?;
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
    if !options.serves_meanwhile {
        writer.stop_kuzzles()?;
    }
    if !behind.is_empty() {
        writer.capture(BEFORE, Phase::Prepare)?;
        writer.protect()?;
        for member in &behind {
            writer.take(*member)?;
        }
        plan.not_done(&format!(
            "a rollback leaves nodes at {}: {NODE_STAYS}",
            target.to
        ));
        writer.capture(AFTER, Phase::Switch)?;
    }
    for configuration in edits {
        writer.tell(configuration)?;
    }
    writer.start_kuzzles()?;
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
    site: &'a Site,
    seen: &'a Seen,
    kuzzles: &'a Kuzzles,
    options: &'a Options,
    to: &'a str,
    storage: Cluster,
    plan: &'a Plan<'a>,
}

impl Writer<'_> {
    /// What the server put aside is taken off first: with it some servers refuse every setting, allocation too.
    fn archived(&self) -> Result<()> {
        let keys: Vec<String> = self
            .seen
            .archived
            .iter()
            .map(|one| one.key.clone())
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        self.plan
            .step(
                "remove-archived-settings",
                Phase::Prepare,
                "remove settings that the server put aside",
            )
            .because("no node uses them, and with them a change of any setting can be refused")
            .does(self.storage.remove_archived_settings(&keys))
            .cannot_undo("no server takes such settings back; their values are kept in the journal")
            .add()
            .map(drop)
    }

    fn stop_kuzzles(&self) -> Result<()> {
        let last = self.kuzzles.services.len().saturating_sub(1);
        for (at, kuzzle) in self.kuzzles.services.iter().enumerate() {
            let service = Service::open(self.site, &kuzzle.binding)?;
            let mut step = self
                .plan
                .step(
                    stop_id(kuzzle),
                    Phase::Prepare,
                    &format!("{}: stop", kuzzle.name),
                )
                .because(
                    "it is made for one version of the storage at a time, and what it writes after the snapshot would \
                     not be in it",
                )
                .does(service.stop())
                .work("restarts", 1);
            if at == last {
                let patterns = self.options.patterns();
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                step = step.ends_when(
                    "nobody writes to the collections",
                    self.storage
                        .quiet(&patterns)
                        .stable_for_ms(self.options.quiet_ms),
                );
            }
            step.add()?;
        }
        Ok(())
    }

    /// Lists first, then each collection's mapping and a checksum over its ids and documents.
    fn capture(&self, name: &str, phase: Phase) -> Result<()> {
        let mut reads = vec![self.storage.read_aliases(ALIASES)];
        for pattern in self.options.patterns() {
            reads.push(self.storage.read_indices(&pattern));
        }
        for index in self.seen.ours(self.options).filter(|index| index.open) {
            reads.push(self.storage.read_mappings(&index.name));
            reads.push(self.storage.read_checksum(&index.name));
        }
        let documents: u64 = self.seen.ours(self.options).map(|index| index.docs).sum();
        let mut number = 0;
        let mut reads = reads.into_iter().peekable();
        while reads.peek().is_some() {
            number += 1;
            let part: Vec<_> = reads.by_ref().take(READS_PER_CAPTURE).collect();
            let id = format!("{name}-{number}");
            self.plan
                .step(
                    id.as_str(),
                    phase,
                    "keep what each collection holds, by alias, mapping and checksum",
                )
                .because("counts alone do not show that a document was replaced")
                .captures(&id, part)
                .work("documents", if number == 1 { documents } else { 0 })
                .add()?;
        }
        Ok(())
    }

    fn protect(&self) -> Result<()> {
        if !self.site.has(BACKUPS) {
            self.plan.not_done(
                "no snapshot is taken: no repository is bound, and there is no other way back",
            );
            return Ok(());
        }
        let backups = Repository::open(self.site, BACKUPS)?;
        let bytes = self
            .seen
            .ours(self.options)
            .map(|index| index.primary_bytes)
            .sum();
        let taken = self
            .plan
            .step("snapshot", Phase::Protect, "snapshot all collections")
            .because("there is no way down: only what was taken by 7.17 can be restored into a cluster of 7.17")
            .does(backups.take(
                &format!("kuzzle-before-{}", self.to),
                &self.options.patterns(),
                &[],
            ))
            .opens_when(
                "no snapshot runs",
                backups.none_running().patience_ms(SNAPSHOT_PATIENCE_MS),
            )
            .work("bytes", bytes)
            .add()?;
        self.plan
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

    /// One node, from the first step to the last.
    fn take(&self, Member { node, bound }: Member<'_>) -> Result<()> {
        let Bound { unit, binding, .. } = bound;
        let service = Service::open(self.site, binding)?;
        let step = |what: &str, title: &str| {
            self.plan
                .step(
                    format!("{unit}-{what}"),
                    Phase::Switch,
                    &format!("{}: {title}", node.name),
                )
                .unit(unit)
        };
        step("hold", "leave replicas where they are")
            .because("else its replicas would be built anew elsewhere while it is away")
            .opens_when(
                "no shard is worth waiting for",
                conditions::settled(self.options.settle_ms),
            )
            .does(keep_replicas_where_they_are(&self.storage))
            .add()?;
        let patterns = self.options.patterns();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        step("flush", "write to disk what only logs hold")
            .because("so it has less to read when it starts")
            .does(self.storage.flush(&patterns, &[]))
            .add()?;
        step("stop", "stop")
            .opens_when(
                "another copy of all that it holds is started",
                conditions::may_stop(&node.name, self.to, self.options.outages_accepted),
            )
            .does(service.stop())
            .work("restarts", 1)
            .add()?;
        step("switch", &format!("to {}", self.to))
            .does(service.switch_artifact(self.to))
            .stays(NODE_STAYS)
            .add()?;
        step("start", "start")
            .gives_back(&format!("{unit}-stop"))
            .ends_when(
                &format!("it is in the cluster, as {}", self.to),
                conditions::joined(&node.name, self.to),
            )
            .add()?;
        step("release", "replicas may be built again")
            .gives_back(&format!("{unit}-hold"))
            .ends_when(
                "no shard is worth waiting for",
                conditions::settled(self.options.settle_ms),
            )
            .add()?;
        Ok(())
    }

    /// A Kuzzle's configuration names the new version.
    fn tell(&self, configuration: &Configuration) -> Result<()> {
        let Some(file) = &configuration.file else {
            return Ok(());
        };
        let Some((old, new)) = mode::edit(&file.text, "8") else {
            return Ok(());
        };
        let directory = Directory::open(self.site, &configuration.binding)?;
        let name = &self.options.configuration;
        self.plan
            .step(
                format!("{}-keep", configuration.name),
                Phase::Switch,
                &format!("{}: keep {name}", configuration.name),
            )
            .does(directory.keep(name))
            .add()?;
        self.plan
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

    fn start_kuzzles(&self) -> Result<()> {
        for kuzzle in &self.kuzzles.services {
            let step = if self.options.serves_meanwhile {
                let service = Service::open(self.site, &kuzzle.binding)?;
                self.plan
                    .step(
                        format!("{}-restart", kuzzle.name),
                        Phase::Switch,
                        &format!("{}: restart", kuzzle.name),
                    )
                    .because("it reads its configuration when it starts")
                    .does(service.restart())
                    .work("restarts", 1)
            } else {
                self.plan
                    .step(
                        format!("{}-start", kuzzle.name),
                        Phase::Switch,
                        &format!("{}: start", kuzzle.name),
                    )
                    .gives_back(&stop_id(kuzzle))
            };
            self.is_well(kuzzle, step)?.add()?;
        }
        Ok(())
    }

    /// Its own API says so, where it is bound.
    fn is_well(&self, kuzzle: &KuzzleService, step: StepBuilder) -> Result<StepBuilder> {
        let endpoint = format!("endpoint.{}", kuzzle.name);
        if !self.site.has(&endpoint) {
            return Ok(step);
        }
        let api = Endpoint::open(self.site, &endpoint)?;
        let healthy = json!({ "result": { "status": "green" } });
        let storage = json!({ "version": self.to });
        let info =
            json!({ "result": { "serverInfo": { "services": { "internalStorage": storage } } } });
        Ok(step
            .ends_when(
                "its deep health is green",
                api.answers(HEALTH, &[], 200, &healthy.to_string())
                    .patience_ms(KUZZLE_PATIENCE_MS),
            )
            .ends_when(
                &format!("it says that its storage is {}", self.to),
                api.answers(SERVER_INFO, &[], 200, &info.to_string())
                    .patience_ms(KUZZLE_PATIENCE_MS),
            ))
    }
}

fn stop_id(kuzzle: &KuzzleService) -> String {
    format!("{}-stop", kuzzle.name)
}

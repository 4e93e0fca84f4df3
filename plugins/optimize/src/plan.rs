//! The plan, native strategy: the vendor's steps in the vendor's order, with its update log.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::archives::Archive;
use crate::check::Goal;
use crate::descriptor::{BACKUPS, CONFIG, DATABASE, OPTIMIZE};
use crate::names::Kind;
use crate::outline::{Deletion, Left, Outline, update_log_body};
use crate::seen::{METADATA_ID, Seen};
use crate::vendor::{Strategy, Ways};
use crate::{handover, way};

/// Capture of lists: indices, aliases, templates, metadata.
pub(crate) const BASELINE: &str = "baseline";
/// Captures of checksums; a number follows.
pub(crate) const CONTENT_BEFORE: &str = "content-before";
/// Likewise, at the end.
pub(crate) const CONTENT_AFTER: &str = "content-after";

/// The step that makes the vendor's update log.
pub(crate) const CREATE_LOG: &str = "create-update-log";

/// Checksums in one capture. The host takes lists of at most 1,000; half of that leaves room.
const CHECKSUMS_PER_CAPTURE: usize = 500;

/// How long a running snapshot of someone else is waited for.
///
/// One hour: a first snapshot of a large site takes that; an incremental one takes minutes.
pub(crate) const SNAPSHOT_PATIENCE_MS: u64 = 3_600_000;

pub(crate) fn propose(
    site: &Site,
    seen: &Seen,
    goal: &Goal,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let outline = Outline::new(seen, goal)?;
    for line in &outline.skipped {
        plan.summary(line);
    }
    if outline.is_empty() {
        plan.summary(&format!(
            "nothing to do: the schema version is {} and every step is done",
            outline.to
        ));
        return Ok(());
    }
    way::say(seen, goal, plan);
    plan.summary(&match outline.left.len() {
        0 => format!(
            "Optimize {} to {}: the schema version only",
            outline.from, outline.to
        ),
        left => format!(
            "Optimize {} to {}: {left} of the vendor's {} steps, then the schema version",
            outline.from, outline.to, outline.of
        ),
    });
    let ways = Ways::gather(site)?;
    let strategy = ways.strategy(&outline.to);
    let database = Cluster::open(site, DATABASE)?;
    let writer = Writer {
        site,
        seen,
        outline: &outline,
        database: &database,
        plan,
    };
    writer.prepare()?;
    let snapshot = writer.protect()?;
    writer.carry_config(ways.shipped.as_ref())?;
    match strategy {
        Strategy::Native => {
            writer.expand()?;
            writer.switch()?;
            writer.contract(snapshot.as_deref())?;
        }
        Strategy::Vendor => writer.by_the_vendor(&ways, snapshot.as_deref())?,
    }
    writer.capture_content(CONTENT_AFTER, Phase::Contract, "checksums again")?;
    writer.start_upgraded()?;
    handover::say(site, seen, &outline, strategy, plan);
    Ok(())
}

pub(crate) struct Writer<'a> {
    pub(crate) site: &'a Site,
    pub(crate) seen: &'a Seen,
    pub(crate) outline: &'a Outline,
    pub(crate) database: &'a Cluster,
    pub(crate) plan: &'a Plan<'a>,
}

impl Writer<'_> {
    /// Writers stopped, then the state of before.
    fn prepare(&self) -> Result<()> {
        self.stop()?;
        self.raise_heap()?;
        // Before the lists: a checksum refreshes its index, so that the counts in the lists are the true ones.
        self.capture_content(
            CONTENT_BEFORE,
            Phase::Prepare,
            "checksums of what must not change",
        )?;
        let names = &self.seen.names;
        let mut baseline = vec![
            self.database.read_indices(&names.all()),
            self.database.read_aliases(&names.all()),
            self.database
                .read_templates(TemplateKind::Legacy, &names.all()),
            self.database.read_document(&names.metadata(), METADATA_ID),
        ];
        for neighbour in &self.seen.neighbours {
            baseline.push(self.database.read_indices(&format!("{neighbour}-*")));
        }
        self.plan
            .step(BASELINE, Phase::Prepare, "keep the state of before")
            .because("after the writers have stopped, so that the end can be compared with it")
            .captures(BASELINE, baseline)
            .add()?;
        if let Some(files) = &self.seen.config {
            let directory = Directory::open(self.site, CONFIG)?;
            for file in files {
                let id = format!("keep-{}", file.replace('.', "-"));
                self.plan
                    .step(id, Phase::Prepare, &format!("keep {file}"))
                    .because("the new installation needs it again")
                    .does(directory.keep(file))
                    .add()?;
            }
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        let step = if self.site.has(OPTIMIZE) {
            let optimize = Service::open(self.site, OPTIMIZE)?;
            self.plan
                .step("stop-optimize", Phase::Prepare, "stop Optimize")
                .because("it imports while it runs; what it writes during the upgrade would be lost or half-upgraded")
                .does(optimize.stop())
                .ends_when("Optimize is stopped", optimize.stopped())
                .work("restarts", 1)
        } else {
            self.plan
                .step("attest-stopped", Phase::Prepare, "attest that Optimize is stopped")
                .because("no service is bound, so that the host cannot stop it or look")
                .hands_over(
                    "Stop every instance of Optimize that uses this database, and keep it stopped until this run \
                     has ended; then attest it.",
                )
        };
        let quiet = self.quiet_names();
        let quiet: Vec<&str> = quiet.iter().map(String::as_str).collect();
        step.ends_when(
            "nothing writes to Optimize's indices, import positions stand still",
            self.database
                .quiet(&quiet)
                .stable_for_ms(self.seen.quiet_ms),
        )
        .add()
        .map(drop)
    }

    /// Indices whose silence shows that Optimize is stopped, without those of neighbours.
    fn quiet_names(&self) -> Vec<String> {
        let mut quiet: Vec<String> = self
            .seen
            .indices
            .iter()
            .filter(|index| {
                index.open && matches!(self.seen.names.kind(&index.name), Kind::Fixed(_))
            })
            .map(|index| index.name.clone())
            .collect();
        quiet.sort();
        quiet.push(self.seen.names.alias("process-instance-*"));
        quiet.push(self.seen.names.alias("decision-instance-*"));
        quiet
    }

    fn capture_content(&self, name: &str, phase: Phase, title: &str) -> Result<()> {
        let compared = compared(self.seen, self.outline, name == CONTENT_AFTER);
        let documents: u64 = compared.iter().map(|(_, docs)| docs).sum();
        for (at, part) in compared.chunks(CHECKSUMS_PER_CAPTURE).enumerate() {
            let id = format!("{name}-{}", at + 1);
            self.plan
                .step(id.as_str(), phase, title)
                .because("counts alone do not show that a document was replaced")
                .captures(
                    &id,
                    part.iter()
                        .map(|(index, _)| self.database.read_checksum(index)),
                )
                .work("documents", if at == 0 { documents } else { 0 })
                .add()?;
        }
        Ok(())
    }

    /// The way back; the id of the step that takes the snapshot.
    fn protect(&self) -> Result<Option<String>> {
        if !self.site.has(BACKUPS) {
            return Ok(None);
        }
        let backups = Repository::open(self.site, BACKUPS)?;
        let names = &self.seen.names;
        let except: Vec<String> = self
            .seen
            .neighbours
            .iter()
            .map(|neighbour| format!("{neighbour}-*"))
            .collect();
        let bytes = self.seen.primary_bytes();
        let snapshot = self
            .plan
            .step("snapshot", Phase::Protect, "snapshot Optimize's indices")
            .because(
                "the way back once something is deleted; templates are kept beside it by the host",
            )
            .does(backups.take(
                &format!("{}-before-{}", names.prefix(), self.outline.to),
                &[names.all()],
                &except,
            ))
            .opens_when(
                "no snapshot runs",
                backups.none_running().patience_ms(SNAPSHOT_PATIENCE_MS),
            )
            .work("bytes", bytes)
            .add()?;
        let mut prove = self
            .plan
            .step(
                "prove-snapshot",
                Phase::Protect,
                "restore it on trial and compare",
            )
            .because("a backup that was never restored is no backup")
            .does(backups.prove(&snapshot))
            .after(&snapshot)
            .work("bytes", bytes);
        for (node, bytes) in trial_restore_peaks(self.seen) {
            prove = prove.peak_disk(&node, bytes);
        }
        prove.add()?;
        Ok(Some(snapshot))
    }

    fn expand(&self) -> Result<()> {
        if self.outline.create_log {
            self.plan
                .step(CREATE_LOG, Phase::Expand, "create the vendor's update log")
                .because("the vendor's tool reads there what is done, so that either tool can go on with the other's work")
                .does(self.database.create_index(&self.seen.names.update_log(), &liftlock_sdk::serde_json::from_str(&update_log_body(self.seen))?))
                .add()?;
        }
        self.copies()
    }

    /// The vendor's order: each step, then its document in the log, then the next; the version last. What
    /// replaces an index stands for itself, so that many of them can go side by side.
    fn contract(&self, snapshot: Option<&str>) -> Result<()> {
        let mut last: Option<String> = None;
        let mut ends = Vec::new();
        for left in &self.outline.left {
            if let Some(update) = &left.update {
                let deleted = self.delete_old(left, update, snapshot)?;
                ends.push(self.log(left, Some(&deleted))?);
                continue;
            }
            for (at, deletion) in left.deletions.iter().enumerate() {
                last = Some(self.delete(left, at, deletion, snapshot, last.as_deref())?);
            }
            last = Some(self.log(left, last.as_deref())?);
        }
        ends.extend(last);
        if let Some(was) = &self.outline.metadata {
            self.set_version(was, &ends)?;
        }
        Ok(())
    }

    /// `step 3 of 13 in the vendor's plan to 8.6.0`.
    pub(crate) fn of(&self, left: &Left) -> String {
        format!(
            "step {} of {} in the vendor's plan to {}",
            left.number, self.outline.of, self.outline.hop.logged_as
        )
    }

    fn delete(
        &self,
        left: &Left,
        at: usize,
        deletion: &Deletion,
        snapshot: Option<&str>,
        after: Option<&str>,
    ) -> Result<String> {
        let of = self.of(left);
        let step = match deletion {
            Deletion::Index { name, uuid, docs } => {
                let because = match self.seen.archives.get(name) {
                    Some(Archive::Yes(why)) => {
                        format!("{of}: an archive that 8.6 does not know; {why}")
                    }
                    _ if left.step.wants_empty() => {
                        format!("{of}: Camunda 8 never writes to it, and 8.8 does not know it")
                    }
                    _ => format!("{of}: only Optimize for Camunda 7 used it; 8.6 does not know it"),
                };
                let title = match docs {
                    0 => format!("delete {name}"),
                    docs => format!("delete {name} with its {docs} documents"),
                };
                let step = self
                    .plan
                    .step(delete_id(left.number, at, name), Phase::Contract, &title)
                    .because(&because)
                    .does(self.database.delete_index(name, uuid))
                    .memo(&json!({ "index": name, "uuid": uuid }));
                let step = match (left.step.wants_empty(), docs) {
                    (true, 0) => {
                        step.opens_when("it is empty", self.database.count_is(name, None, 0))
                    }
                    (true, _) => step.own_approval("it holds documents, which are deleted with it"),
                    (false, _) => step,
                };
                back(step, snapshot)
            }
            Deletion::Template { name } => self
                .plan
                .step(
                    format!("delete-{}-template", left.number),
                    Phase::Contract,
                    &format!("delete template {name}"),
                )
                .because(&format!(
                    "{of}: the line {} does not use it",
                    self.outline.hop.to
                ))
                .does(self.database.delete_template(TemplateKind::Legacy, name))
                .memo(&json!({ "template": name })),
        };
        after_maybe(step, after).add()
    }

    fn log(&self, left: &Left, after: Option<&str>) -> Result<String> {
        let index = self.seen.names.update_log();
        let id = self.outline.hop.log_id(self.seen, &left.step);
        let document = self.outline.log_document(self.seen, left);
        let step = self
            .plan
            .step(
                format!("log-{}", left.number),
                Phase::Contract,
                &format!("log step {} as the vendor does", left.number),
            )
            .because("the vendor's tool skips what stands there, and would do it again without")
            .does(
                self.database
                    .create_document(&index, &id, &document)
                    .fill_now("/appliedDate"),
            )
            .memo(&json!({ "id": id }));
        after_maybe(step, after).add()
    }

    fn set_version(&self, was: &Value, after: &[String]) -> Result<String> {
        let to = self.outline.to.to_string();
        let index = self.seen.names.metadata();
        let mut now = was.clone();
        now["schemaVersion"] = json!(to);
        let mut step = self
            .plan
            .step("schema-version", Phase::Contract, &format!("set the schema version to {to}"))
            .because("last, as the vendor does: Optimize starts only where it equals its own, and the vendor's tool stops there")
            .does(self.database.replace_document(&index, METADATA_ID, was, &now))
            .ends_when(
                &format!("the schema version is {to}"),
                self.database.document_contains(&index, METADATA_ID, &json!({ "schemaVersion": to })),
            );
        for id in after {
            step = step.after(id);
        }
        step.add()
    }
}

/// The id of a step that deletes an index: with the number of a rollover where it has one.
fn delete_id(number: usize, at: usize, index: &str) -> String {
    let rollover = index.rsplit('-').next().unwrap_or_default();
    if !rollover.is_empty() && rollover.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("delete-{number}-{rollover}")
    } else if at == 0 {
        format!("delete-{number}")
    } else {
        format!("delete-{number}.{at}")
    }
}

/// How an index that was deleted comes back.
pub(crate) fn back(step: StepBuilder, snapshot: Option<&str>) -> StepBuilder {
    match snapshot {
        Some(snapshot) => step.undo_by_restore(snapshot),
        None => step.cannot_undo("no snapshot repository is bound"),
    }
}

fn after_maybe(step: StepBuilder, after: Option<&str>) -> StepBuilder {
    match after {
        Some(id) => step.after(id),
        None => step,
    }
}

/// Indices whose content must be the same at the end, with their documents: not what is deleted, nor where the
/// plan writes. What gets a new version is in it as the old one before, and as the new one `afterwards`.
pub(crate) fn compared(seen: &Seen, outline: &Outline, afterwards: bool) -> Vec<(String, u64)> {
    let renewed: BTreeMap<&str, &str> = outline
        .updates()
        .map(|(_, update)| (update.source.as_str(), update.target.as_str()))
        .collect();
    let mut compared: Vec<(String, u64)> = seen
        .indices
        .iter()
        .filter(|index| {
            let big = matches!(
                seen.names.kind(&index.name),
                Kind::ProcessInstance(_) | Kind::DecisionInstance(_)
            );
            index.open
                && !outline.hop.dooms_index(seen, &index.name)
                && index.name != seen.names.metadata()
                && index.name != seen.names.update_log()
                // The copy of an index is compared with it always.
                && (seen.checksums_of_all || !big || renewed.contains_key(index.name.as_str()))
        })
        .map(|index| {
            let renewed = renewed.get(index.name.as_str()).filter(|_| afterwards);
            (
                renewed.unwrap_or(&index.name.as_str()).to_string(),
                index.docs,
            )
        })
        .collect();
    compared.sort();
    compared
}

/// What the trial restore takes on each data node: an even share, at least the largest shard, since the copies
/// have no replicas.
pub(crate) fn trial_restore_peaks(seen: &Seen) -> Vec<(String, u64)> {
    let nodes: Vec<&str> = seen.data_nodes().map(|node| node.name.as_str()).collect();
    let share = seen.primary_bytes().div_ceil(nodes.len().max(1) as u64);
    let largest = seen
        .shards
        .iter()
        .filter(|shard| shard.primary)
        .map(|shard| shard.bytes)
        .max();
    nodes
        .into_iter()
        .map(|node| (node.to_owned(), share.max(largest.unwrap_or_default())))
        .collect()
}

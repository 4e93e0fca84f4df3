//! The plan, native strategy: the vendor's steps in the vendor's order, with its update log.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::archives::Archive;
use crate::around::{Around, CONTENT_AFTER, CONTENT_BEFORE};
use crate::check::Goal;
use crate::descriptor::{CONFIG, DATABASE};
use crate::names::Kind;
use crate::outline::{Deletion, Left, Outline, update_log_body};
use crate::seen::{METADATA_ID, Seen};
use crate::vendor::{Strategy, Ways};
use crate::{handover, way};

/// The step that makes the vendor's update log.
pub(crate) const CREATE_LOG: &str = "create-update-log";

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
    let snapshot = writer.around().protect(&outline.to.to_string())?;
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
    pub(crate) fn around(&self) -> Around<'_> {
        Around {
            site: self.site,
            seen: self.seen,
            database: self.database,
            plan: self.plan,
        }
    }

    fn capture_content(&self, name: &str, phase: Phase, title: &str) -> Result<()> {
        let compared = compared(self.seen, self.outline, name == CONTENT_AFTER);
        self.around().capture_content(name, phase, title, &compared)
    }

    /// Writers stopped, then the state of before.
    fn prepare(&self) -> Result<()> {
        self.around().stop()?;
        self.raise_heap()?;
        self.capture_content(
            CONTENT_BEFORE,
            Phase::Prepare,
            "checksums of what must not change",
        )?;
        self.around().baseline()?;
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

//! After the run: the state itself, and what must not have changed against what the run kept before.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::check::{Goal, some};
use crate::edges::{Hop, VendorStep};
use crate::names::FIXED;
use crate::plan::{BASELINE, CONTENT_AFTER, CONTENT_BEFORE};
use crate::seen::{Metadata, Seen};

/// What a run kept, read back.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) baseline: Option<Vec<Captured>>,
    pub(crate) before: Vec<Captured>,
    pub(crate) after: Vec<Captured>,
}

impl Kept {
    pub(crate) fn of(run: &Run) -> Result<Self> {
        let numbered = |name: &str| -> Result<Vec<Captured>> {
            let mut all = Vec::new();
            for number in 1.. {
                match run.capture(&format!("{name}-{number}"))? {
                    Some(part) => all.extend(part),
                    None => break,
                }
            }
            Ok(all)
        };
        Ok(Self {
            baseline: run.capture(BASELINE)?,
            before: numbered(CONTENT_BEFORE)?,
            after: numbered(CONTENT_AFTER)?,
        })
    }
}

/// Everything that is not as it should be. `neighbours` are the indices of declared neighbours as they are now.
pub(crate) fn findings(
    seen: &Seen,
    goal: &Goal,
    kept: &Kept,
    neighbours: &[Index],
) -> Vec<Finding> {
    let mut found = Vec::new();
    version(seen, goal, kept, &mut found);
    if let Some(hop) = goal.hop() {
        steps(seen, hop, &mut found);
        unchanged(seen, hop, kept, neighbours, &mut found);
    }
    writers(seen, &mut found);
    if !matches!(seen.health.status.as_str(), "green" | "yellow") {
        found.push(
            Finding::blocker("optimize.health-red")
                .subject("cluster")
                .what(format!("it is {}", seen.health.status))
                .why("data is out of reach")
                .remedy("repair the cluster before you start Optimize")
                .evidence("reasons", some(&seen.health.reasons)),
        );
    }
    found
}

fn version(seen: &Seen, goal: &Goal, kept: &Kept, found: &mut Vec<Finding>) {
    let Metadata::Found {
        version,
        installation,
        ..
    } = &seen.metadata
    else {
        found.push(
            Finding::blocker("optimize.metadata-missing")
                .subject(seen.names.metadata())
                .what("the schema version cannot be read")
                .why("Optimize takes this for a new installation")
                .remedy("restore the document from the snapshot of this run"),
        );
        return;
    };
    if *version != goal.to || version.as_str() != goal.to.as_str() {
        found.push(
            Finding::blocker("optimize.version-not-set")
                .subject(seen.names.metadata())
                .what(format!("the schema version is {version}, not {}", goal.to))
                .why("Optimize starts only where it equals its own, as text")
                .remedy("resume the run"),
        );
    }
    let was = kept
        .baseline
        .iter()
        .flatten()
        .find(|read| read.kind == "document")
        .and_then(|read| read.answer.as_ref())
        .and_then(source_of)
        .and_then(|source| source["installationId"].as_str().map(ToOwned::to_owned));
    if was.is_some() && was != *installation {
        found.push(
            Finding::blocker("optimize.installation-id-changed")
                .subject(seen.names.metadata())
                .what("the installation id is another one")
                .why("it survives every upgrade; a new one means that somebody made a new installation here")
                .remedy("find out who wrote the document")
                .evidence("was", was.unwrap_or_default())
                .evidence("is", installation.clone().unwrap_or_default()),
        );
    }
}

/// The source of a document in a capture: JSON text, or JSON.
fn source_of(answer: &Value) -> Option<Value> {
    match answer.get("source")? {
        Value::String(text) => liftlock_sdk::serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

fn steps(seen: &Seen, hop: &Hop, found: &mut Vec<Finding>) {
    for step in hop.steps {
        let id = hop.log_id(*step);
        let applied = seen.log.get(&id).and_then(|entry| entry.applied.as_deref());
        if applied.is_none_or(str::is_empty) {
            found.push(
                Finding::blocker("optimize.update-log-incomplete")
                    .subject(&id)
                    .what(if seen.log.contains_key(&id) {
                        "its document in the update log has no instant"
                    } else {
                        "it has no document in the update log"
                    })
                    .why("the vendor's tool would do the step again")
                    .remedy("resume the run"),
            );
        }
        let object = step.object(&seen.names);
        let left: Vec<String> = match step {
            VendorStep::DeleteIndex { name, .. } => {
                let alias = seen.names.alias(name);
                let indices = seen.doomed(hop).into_iter().map(|index| index.name.clone());
                let aliases = seen.aliases.iter().filter(|on| on.name == alias);
                indices
                    .chain(aliases.map(|on| format!("alias {} on {}", on.name, on.index)))
                    .collect()
            }
            VendorStep::DeleteTemplate { .. } => seen
                .legacy_templates
                .iter()
                .filter(|template| template.name == object)
                .map(|template| format!("legacy template {}", template.name))
                .collect(),
        };
        if !left.is_empty() {
            found.push(
                Finding::blocker("optimize.left-over")
                    .subject(object)
                    .what(format!("still there: {}", some(&left)))
                    .why("the upgrade deletes it")
                    .remedy("find out who made it again, then resume the run"),
            );
        }
    }
}

fn writers(seen: &Seen, found: &mut Vec<Finding>) {
    for name in FIXED {
        let alias = seen.names.alias(name);
        let on: Vec<&Alias> = seen.aliases.iter().filter(|on| on.name == alias).collect();
        let writers = on.iter().filter(|on| on.write == Some(true)).count();
        let single = on.len() == 1 && on[0].write.is_none();
        let gone = on.is_empty() && *name == "external-process-variable";
        if gone || !on.is_empty() && writers != 1 && !single {
            found.push(
                Finding::blocker("optimize.alias-write-index")
                    .subject(alias)
                    .what(format!(
                        "{writers} of its {} indices are its write index, not one",
                        on.len()
                    ))
                    .why("Optimize could not write")
                    .remedy("find out who changed it; this plan changes no alias"),
            );
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Before {
    uuid: String,
    replicas: u64,
    docs: u64,
}

/// Everything else is as it was.
fn unchanged(seen: &Seen, hop: &Hop, kept: &Kept, neighbours: &[Index], found: &mut Vec<Finding>) {
    let Some(baseline) = &kept.baseline else {
        return;
    };
    let plan_writes = |name: &str| name == seen.names.metadata() || name == seen.names.update_log();
    let mut changed: Vec<(String, String)> = Vec::new();
    let now: BTreeMap<&str, &Index> = seen
        .indices
        .iter()
        .chain(neighbours)
        .map(|index| (index.name.as_str(), index))
        .collect();
    for read in baseline.iter().filter(|read| read.kind == "indices") {
        for (name, before) in indices_of(read) {
            if hop.dooms_index(&seen.names, &name)
                || !now.contains_key(name.as_str()) && is_unseen(seen, &name)
            {
                continue;
            }
            let of_neighbour = crate::seen::is_of(&seen.neighbours, &name);
            match now.get(name.as_str()) {
                None => changed.push((name, "gone".into())),
                Some(index) if index.uuid != before.uuid => {
                    changed.push((
                        name,
                        format!("made anew: uuid {}, now {}", before.uuid, index.uuid),
                    ));
                }
                Some(index) if u64::from(index.replicas) != before.replicas => {
                    changed.push((
                        name,
                        format!("{} replicas, now {}", before.replicas, index.replicas),
                    ));
                }
                Some(index)
                    if index.docs != before.docs && !of_neighbour && !plan_writes(&name) =>
                {
                    changed.push((
                        name,
                        format!("{} documents, now {}", before.docs, index.docs),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    for (alias, was, is) in aliases_changed(seen, hop, baseline) {
        changed.push((alias, format!("alias: {was}, now {is}")));
    }
    for template in templates_lost(seen, hop, baseline) {
        changed.push((template, "legacy template gone".into()));
    }
    let after: BTreeMap<&str, &Captured> = kept
        .after
        .iter()
        .filter_map(|read| Some((read.argument("index")?, read)))
        .collect();
    for before in &kept.before {
        let Some(index) = before.argument("index") else {
            continue;
        };
        let (was, is) = (
            before.answer.as_ref(),
            after.get(index).and_then(|read| read.answer.as_ref()),
        );
        if is.is_none() || was != is {
            let text = |value: Option<&Value>| {
                value.map_or_else(|| "not read".to_owned(), ToString::to_string)
            };
            changed.push((
                index.to_owned(),
                format!("content {}, now {}", text(was), text(is)),
            ));
        }
    }
    if changed.is_empty() {
        return;
    }
    let names: Vec<&str> = changed.iter().map(|(name, _)| name.as_str()).collect();
    let mut finding = Finding::blocker("optimize.changed-beside-the-plan")
        .subject(some(&names))
        .what(format!("{} things changed that this plan does not change", changed.len()))
        .why("somebody else wrote during the upgrade, so that its result is not the one that was approved")
        .remedy("find out who wrote; compare with the snapshot of this run before you start Optimize");
    // As many as fit on a page; the captures of the run hold all of them.
    for (name, what) in changed.iter().take(50) {
        finding = finding.evidence(name, what);
    }
    found.push(finding);
}

/// An index of nobody we know: neither ours nor of a declared neighbour.
fn is_unseen(seen: &Seen, name: &str) -> bool {
    !name.starts_with(&seen.names.alias("")) && !crate::seen::is_of(&seen.neighbours, name)
}

fn indices_of(read: &Captured) -> Vec<(String, Before)> {
    let list = read.answer.as_ref().and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|index| {
            let before = Before {
                uuid: index["uuid"].as_str()?.to_owned(),
                replicas: index["replicas"].as_u64()?,
                docs: index["docs"].as_u64()?,
            };
            Some((index["name"].as_str()?.to_owned(), before))
        })
        .collect()
}

/// Aliases of indices that stay: name and index, with how they were and are.
fn aliases_changed(seen: &Seen, hop: &Hop, baseline: &[Captured]) -> Vec<(String, String, String)> {
    let write = |write: Option<bool>| match write {
        Some(true) => "write index",
        Some(false) => "not the write index",
        None => "no write flag",
    };
    let listed = baseline
        .iter()
        .filter(|read| read.kind == "aliases")
        .filter_map(|read| read.answer.as_ref().and_then(Value::as_array))
        .flatten();
    let mut changed = Vec::new();
    for alias in listed {
        let (Some(name), Some(index)) = (alias["name"].as_str(), alias["index"].as_str()) else {
            continue;
        };
        if hop.dooms_index(&seen.names, index) || crate::seen::is_of(&seen.neighbours, name) {
            continue;
        }
        let was = alias["write"].as_bool();
        let is = seen
            .aliases
            .iter()
            .find(|now| now.name == name && now.index == index);
        match is {
            None => changed.push((
                format!("{name} on {index}"),
                write(was).into(),
                "gone".into(),
            )),
            Some(now) if now.write != was => {
                changed.push((
                    format!("{name} on {index}"),
                    write(was).into(),
                    write(now.write).into(),
                ));
            }
            Some(_) => {}
        }
    }
    changed
}

fn templates_lost(seen: &Seen, hop: &Hop, baseline: &[Captured]) -> Vec<String> {
    baseline
        .iter()
        .filter(|read| read.kind == "templates")
        .filter_map(|read| read.answer.as_ref().and_then(Value::as_array))
        .flatten()
        .filter_map(|template| template["name"].as_str())
        .filter(|name| {
            !hop.dooms_template(&seen.names, name)
                && !crate::seen::is_of(&seen.neighbours, name)
                && !seen
                    .legacy_templates
                    .iter()
                    .any(|template| template.name == **name)
        })
        .map(ToOwned::to_owned)
        .collect()
}

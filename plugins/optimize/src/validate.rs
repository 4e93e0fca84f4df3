//! After the run: the state itself, and what must not have changed against what the run kept before.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_sdk::prelude::*;

use crate::around::{BASELINE, CONTENT_AFTER, CONTENT_BEFORE};
use crate::by_name::ByName;
use crate::check::{Goal, some};
use crate::edges::{Hop, NO_STEPS};
use crate::names::FIXED;
use crate::seen::{Metadata, Seen};
use crate::step::VendorStep;

/// What a run kept, read back.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) baseline: Option<Vec<Captured>>,
    pub(crate) before: Vec<Captured>,
    pub(crate) after: Vec<Captured>,
    /// Indices that its steps deleted, archives among them, which nobody finds by looking at what is left.
    pub(crate) deleted: BTreeSet<String>,
    /// Documents that its steps put into the update log.
    pub(crate) logged: BTreeSet<String>,
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
        let (mut deleted, mut logged) = (BTreeSet::new(), BTreeSet::new());
        for step in run.steps().iter().filter(|step| step.is_done()) {
            let memo = step.memo_as::<Value>()?.unwrap_or_default();
            let text = |key: &str| memo[key].as_str().map(ToOwned::to_owned);
            deleted.extend(text("uuid").and_then(|_| text("index")));
            logged.extend(text("id"));
        }
        Ok(Self {
            deleted,
            logged,
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
        steps(seen, hop, kept, &mut found);
        unchanged(seen, hop, kept, neighbours, &mut found);
    }
    writers(seen, &mut found);
    versions(seen, &mut found);
    health(seen, &mut found);
    found
}

/// No data is out of reach.
pub(crate) fn health(seen: &Seen, found: &mut Vec<Finding>) {
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
}

/// All is as it was: for a plan without a step of the vendor's.
pub(crate) fn nothing_changed(
    seen: &Seen,
    kept: &Kept,
    neighbours: &[Index],
    found: &mut Vec<Finding>,
) {
    unchanged(seen, &NO_STEPS, kept, neighbours, found);
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

fn steps(seen: &Seen, hop: &'static Hop, kept: &Kept, found: &mut Vec<Finding>) {
    let steps = hop.steps(seen);
    let by = ByName::of(seen);
    let mut wanted: BTreeSet<String> = kept.logged.clone();
    wanted.extend(steps.iter().map(|step| hop.log_id(seen, step)));
    for id in wanted {
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
    }
    for step in &steps {
        let left = left_of(&by, step);
        if !left.is_empty() {
            found.push(
                Finding::blocker("optimize.left-over")
                    .subject(step.object(&seen.names))
                    .what(format!("still there: {}", some(&left)))
                    .why("the upgrade does away with it")
                    .remedy("find out who made it again, then resume the run"),
            );
        }
        if step.is_update() && by.versions(step).1.is_none() {
            found.push(
                Finding::blocker("optimize.new-version-missing")
                    .subject(step.object(&seen.names))
                    .what("the new version of the index is not there")
                    .why("what was in the old one is out of Optimize's reach")
                    .remedy("restore the old index from the snapshot of this run"),
            );
        }
    }
}

/// What a step does away with, as far as it is there, and its aliases.
fn left_of(by: &ByName<'_>, step: &VendorStep) -> Vec<String> {
    if step.is_update() {
        let source = by.versions(step).0;
        return source.map(|index| index.name.clone()).into_iter().collect();
    }
    let mut left = by.there(step);
    if step.deletes_index() {
        let aliases = by.aliases_named(&step.alias(&by.seen.names)).iter();
        left.extend(aliases.map(|on| format!("alias {} on {}", on.name, on.index)));
    }
    left
}

fn writers(seen: &Seen, found: &mut Vec<Finding>) {
    for name in FIXED {
        let alias = seen.names.alias(name);
        let on: Vec<&Alias> = seen.aliases.iter().filter(|on| on.name == alias).collect();
        let writers = on.iter().filter(|on| on.write == Some(true)).count();
        let single = on.len() == 1 && on[0].write.is_none();
        // The settings are the one index that a plan gives a new version by itself.
        let gone = on.is_empty() && matches!(*name, "external-process-variable" | "settings");
        if gone || !on.is_empty() && writers != 1 && !single {
            found.push(
                Finding::blocker("optimize.alias-write-index")
                    .subject(alias)
                    .what(format!(
                        "{writers} of its {} indices are its write index, not one",
                        on.len()
                    ))
                    .why("Optimize could not write")
                    .remedy("find out who changed it; let the alias write to the index that is whole, and to that alone"),
            );
        }
    }
}

/// Two versions of one index beside each other, of whichever index: Optimize uses one of them.
fn versions(seen: &Seen, found: &mut Vec<Finding>) {
    let mut by_base: BTreeMap<&str, BTreeMap<u32, &str>> = BTreeMap::new();
    for index in &seen.indices {
        if let (Some(base), Some(version)) = (
            seen.names.base(&index.name),
            seen.names.version(&index.name),
        ) {
            by_base
                .entry(base)
                .or_default()
                .insert(version, &index.name);
        }
    }
    let beside: Vec<&str> = by_base
        .values()
        .filter(|versions| versions.len() > 1)
        .flat_map(|versions| versions.values().copied())
        .collect();
    if !beside.is_empty() {
        found.push(
            Finding::warning("optimize.versions-beside-each-other")
                .subject(some(&beside))
                .what("two versions of one index stand beside each other")
                .why("Optimize uses the one behind its alias; the other takes space, and an upgrade may take it for its own")
                .remedy("find out what the one without the alias is; delete it if nobody needs it"),
        );
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Before {
    uuid: String,
    replicas: u64,
    docs: u64,
}

/// Everything else is as it was.
fn unchanged(
    seen: &Seen,
    hop: &'static Hop,
    kept: &Kept,
    neighbours: &[Index],
    found: &mut Vec<Finding>,
) {
    let Some(baseline) = &kept.baseline else {
        return;
    };
    let by = ByName::of(seen);
    let plan_writes = |name: &str| name == seen.names.metadata() || name == seen.names.update_log();
    let mut changed: Vec<(String, String)> = Vec::new();
    let now: BTreeMap<&str, &Index> = seen
        .indices
        .iter()
        .chain(neighbours)
        .map(|index| (index.name.as_str(), index))
        .collect();
    let renewed = renewed(seen, hop);
    let doomed = |name: &str| hop.dooms_index(seen, name) || kept.deleted.contains(name);
    for read in baseline.iter().filter(|read| read.kind == "indices") {
        for (name, before) in indices_of(read) {
            if let Some(index) = renewed.get(&name).and_then(|new| by.index(new)) {
                changed.extend(
                    unlike(&before, index)
                        .into_iter()
                        .map(|what| (index.name.clone(), what)),
                );
                continue;
            }
            if doomed(&name) || !now.contains_key(name.as_str()) && is_unseen(seen, &name) {
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
    for (alias, was, is) in aliases_changed(&by, &doomed, &renewed, baseline) {
        changed.push((alias, format!("alias: {was}, now {is}")));
    }
    for template in templates_lost(seen, hop, baseline) {
        changed.push((template, "legacy template gone".into()));
    }
    contents(seen, hop, kept, &renewed, &mut changed);
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

/// Old indices to the new ones that stand in their place.
fn renewed(seen: &Seen, hop: &'static Hop) -> BTreeMap<String, String> {
    hop.steps(seen)
        .iter()
        .filter_map(|step| Some((step.source(&seen.names)?, step.object(&seen.names))))
        .collect()
}

/// How a new index differs from the one in whose place it stands.
fn unlike(before: &Before, index: &Index) -> Vec<String> {
    let mut unlike = Vec::new();
    if before.replicas != u64::from(index.replicas) {
        unlike.push(format!(
            "{} replicas, now {}",
            before.replicas, index.replicas
        ));
    }
    if before.docs != index.docs {
        unlike.push(format!("{} documents, now {}", before.docs, index.docs));
    }
    unlike
}

/// Checksums before and after: of the same index all of them; of one in whose place another stands, documents and
/// ids, and the sources too where none was meant to change.
fn contents(
    seen: &Seen,
    hop: &'static Hop,
    kept: &Kept,
    renewed: &BTreeMap<String, String>,
    changed: &mut Vec<(String, String)>,
) {
    let rewritten: BTreeSet<String> = hop
        .steps(seen)
        .iter()
        .filter(|step| !step.drops().is_empty())
        .map(|step| step.object(&seen.names))
        .collect();
    let after: BTreeMap<&str, &Captured> = kept
        .after
        .iter()
        .filter_map(|read| Some((read.argument("index")?, read)))
        .collect();
    for before in &kept.before {
        let Some(index) = before.argument("index") else {
            continue;
        };
        let now = renewed.get(index).map_or(index, String::as_str);
        let compared = |read: Option<&Captured>| -> Option<Value> {
            let mut answer = read?.answer.clone()?;
            if let Some(members) = answer.as_object_mut() {
                members.shift_remove("index");
                if rewritten.contains(now) {
                    members.shift_remove("content");
                }
            }
            Some(answer)
        };
        let (was, is) = (compared(Some(before)), compared(after.get(now).copied()));
        if is.is_none() || was != is {
            let text = |value: Option<Value>| {
                value.map_or_else(|| "not read".to_owned(), |value| value.to_string())
            };
            changed.push((
                now.to_owned(),
                format!("content {}, now {}", text(was), text(is)),
            ));
        }
    }
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
fn aliases_changed(
    by: &ByName<'_>,
    doomed: &dyn Fn(&str) -> bool,
    renewed: &BTreeMap<String, String>,
    baseline: &[Captured],
) -> Vec<(String, String, String)> {
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
    let seen = by.seen;
    let mut changed = Vec::new();
    for alias in listed {
        let (Some(name), Some(index)) = (alias["name"].as_str(), alias["index"].as_str()) else {
            continue;
        };
        let moved = renewed.get(index);
        if moved.is_none() && doomed(index) || crate::seen::is_of(&seen.neighbours, name) {
            continue;
        }
        let index = moved.map_or(index, String::as_str);
        // The product's own alias writes to the new index, also where nothing was said of the old one.
        let own = moved.is_some()
            && seen.names.base(index).map(|base| seen.names.alias(base)) == Some(name.into());
        let was = if own {
            Some(true)
        } else {
            alias["write"].as_bool()
        };
        match by.alias(name, index) {
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
            Some(now) if json!(now.more) != alias["more"] => {
                changed.push((
                    format!("{name} on {index}"),
                    format!("with {}", alias["more"]),
                    format!("with {}", json!(now.more)),
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
            !hop.dooms_template(seen, name)
                && !crate::seen::is_of(&seen.neighbours, name)
                && !seen
                    .legacy_templates
                    .iter()
                    .any(|template| template.name == **name)
        })
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alias, goal, logged, site};
    use crate::seen::parse_metadata;

    fn alias_as_read(alias: &Alias) -> Value {
        json!({"name": alias.name, "index": alias.index, "write": alias.write, "more": alias.more})
    }

    /// The site after the upgrade, and what the run kept of the time before.
    fn upgraded() -> (Seen, Goal, Kept) {
        let before = site("8.7.0");
        let goal = Goal {
            moment: Moment::AfterRun,
            ..goal(&before, "8.8.0")
        };
        let read = |kind: &str, argument: (&str, &str), answer: Value| Captured {
            kind: kind.into(),
            read: json!({ "read": kind, argument.0: argument.1 }),
            answer: Some(answer),
        };
        let indices: Vec<Value> = before
            .indices
            .iter()
            .map(|index| json!({"name": index.name, "uuid": index.uuid, "replicas": index.replicas, "docs": index.docs}))
            .collect();
        let aliases: Vec<Value> = before.aliases.iter().map(alias_as_read).collect();
        let templates: Vec<Value> = before
            .legacy_templates
            .iter()
            .map(|template| json!({"name": template.name}))
            .collect();
        let metadata = r#"{"schemaVersion":"8.7.0","installationId":"id-1"}"#;
        let content = |docs: u64| {
            read(
                "checksum",
                ("index", "optimize-settings_v3"),
                json!({"docs": docs, "content": "c"}),
            )
        };
        let kept = Kept {
            baseline: Some(vec![
                read("indices", ("pattern", "optimize-*"), indices.into()),
                read("aliases", ("pattern", "optimize-*"), aliases.into()),
                read("templates", ("pattern", "optimize-*"), templates.into()),
                read(
                    "document",
                    ("index", "optimize-metadata_v3"),
                    json!({"source": metadata}),
                ),
            ]),
            before: vec![content(3)],
            after: vec![content(3)],
            ..Kept::default()
        };
        let mut after = before;
        after.metadata = parse_metadata(r#"{"schemaVersion":"8.8.0","installationId":"id-1"}"#);
        after
            .indices
            .retain(|index| !index.name.contains("variable-update"));
        after
            .aliases
            .retain(|alias| !alias.name.contains("variable-update"));
        after.legacy_templates.clear();
        let ids = goal.hop().unwrap().log_ids(&after);
        logged(&mut after, ids);
        (after, goal, kept)
    }

    fn with(change: impl FnOnce(&mut Seen, &mut Kept)) -> Vec<String> {
        let (mut seen, goal, mut kept) = upgraded();
        change(&mut seen, &mut kept);
        findings(&seen, &goal, &kept, &[])
            .into_iter()
            .map(|finding| finding.id)
            .collect()
    }

    #[test]
    fn a_clean_upgrade_has_no_findings() {
        assert_eq!(with(|_, _| {}), [""; 0]);
        // Outside a run there is nothing to compare with.
        assert_eq!(with(|_, kept| *kept = Kept::default()), [""; 0]);
    }

    #[test]
    fn the_version_is_the_exact_target() {
        let set = |source: &str| with(|seen, _| seen.metadata = parse_metadata(source));
        assert_eq!(
            set(r#"{"schemaVersion":"8.8.1","installationId":"id-1"}"#),
            ["optimize.version-not-set"]
        );
        assert_eq!(
            set(r#"{"schemaVersion":"8.8","installationId":"id-1"}"#),
            ["optimize.version-not-set"]
        );
        assert_eq!(
            set(r#"{"schemaVersion":"8.8.0","installationId":"id-2"}"#),
            ["optimize.installation-id-changed"]
        );
        assert_eq!(
            with(|seen, _| seen.metadata = Metadata::NoDocument),
            ["optimize.metadata-missing"]
        );
    }

    #[test]
    fn each_step_is_done_and_in_the_log() {
        assert_eq!(
            with(|seen, _| seen.log.clear()),
            ["optimize.update-log-incomplete"; 3]
        );
        assert_eq!(
            with(|seen, _| {
                for entry in seen.log.values_mut() {
                    entry.applied = None;
                }
            }),
            ["optimize.update-log-incomplete"; 3]
        );
        assert_eq!(
            with(|seen, _| seen.legacy_templates.push(crate::fixture::legacy(
                "optimize-external-process-variable_v2"
            ))),
            ["optimize.left-over"]
        );
        assert_eq!(
            with(|seen, _| seen.aliases.push(alias(
                "optimize-variable-update-instance",
                "optimize-tenant_v3",
                Some(true)
            ))),
            ["optimize.left-over"]
        );
    }

    #[test]
    fn two_versions_of_an_index_are_told() {
        assert_eq!(
            with(|seen, _| seen
                .indices
                .push(crate::fixture::index("optimize-settings_v2", 1))),
            ["optimize.versions-beside-each-other"]
        );
    }

    /// The site after 3.13 to 8.6, and what the run kept of the time before.
    fn upgraded_to_8_6() -> (Seen, Goal, Kept) {
        let before = crate::fixture::site_3_13();
        let goal = Goal {
            moment: Moment::AfterRun,
            ..goal(&before, "8.6.0")
        };
        let hop = goal.hop().unwrap();
        let read = |kind: &str, answer: Value| Captured {
            kind: kind.into(),
            read: json!({ "read": kind, "pattern": "optimize-*" }),
            answer: Some(answer),
        };
        let content = |index: &str, content: &str| Captured {
            kind: "checksum".into(),
            read: json!({ "read": "checksum", "index": index }),
            answer: Some(json!({"index": index, "docs": 3, "ids": "i", "content": content})),
        };
        let indices: Vec<Value> = before
            .indices
            .iter()
            .map(|index| json!({"name": index.name, "uuid": index.uuid, "replicas": index.replicas, "docs": index.docs}))
            .collect();
        let aliases: Vec<Value> = before.aliases.iter().map(alias_as_read).collect();
        let archives = |index: &Index| index.name.contains("-archive-");
        let kept = Kept {
            baseline: Some(vec![
                read("indices", indices.into()),
                read("aliases", aliases.into()),
            ]),
            before: vec![content("optimize-settings_v2", "a")],
            after: vec![content("optimize-settings_v3", "b")],
            deleted: before
                .indices
                .iter()
                .filter(|index| archives(index))
                .map(|index| index.name.clone())
                .collect(),
            logged: hop.log_ids(&before).into_iter().collect(),
        };
        let mut after = before.clone();
        let doomed = |name: &str| hop.dooms_index(&before, name);
        after.indices.retain(|index| !doomed(&index.name));
        after.aliases.retain(|alias| !doomed(&alias.index));
        for index in &mut after.indices {
            if index.name == "optimize-settings_v2" {
                index.name = "optimize-settings_v3".into();
                index.uuid = "new".into();
            }
        }
        for alias in &mut after.aliases {
            alias.index = alias.index.replace("settings_v2", "settings_v3");
        }
        after.archives.clear();
        after
            .legacy_templates
            .retain(|it| it.name != "optimize-event_v4");
        after.metadata = parse_metadata(r#"{"schemaVersion":"8.6.0","installationId":"id-1"}"#);
        logged(&mut after, hop.log_ids(&before));
        (after, goal, kept)
    }

    #[test]
    fn a_new_version_has_the_documents_aliases_and_replicas_of_the_old_one() {
        let with = |change: &dyn Fn(&mut Seen, &mut Kept)| -> Vec<String> {
            let (mut seen, goal, mut kept) = upgraded_to_8_6();
            change(&mut seen, &mut kept);
            findings(&seen, &goal, &kept, &[])
                .into_iter()
                .map(|finding| finding.id)
                .collect()
        };
        let settings = |seen: &mut Seen, change: &dyn Fn(&mut Index)| {
            let index = seen
                .indices
                .iter_mut()
                .find(|index| index.name == "optimize-settings_v3");
            change(index.unwrap());
        };
        assert_eq!(with(&|_, _| {}), [""; 0]);
        let changed = ["optimize.changed-beside-the-plan"];
        assert_eq!(
            with(&|seen, _| settings(seen, &|index| index.replicas = 0)),
            changed
        );
        assert_eq!(
            with(&|seen, _| settings(seen, &|index| index.docs = 2)),
            changed
        );
        // The script changes sources; ids it does not.
        assert_eq!(
            with(&|_, kept| kept.after[0].answer = Some(
                json!({"index": "optimize-settings_v3", "docs": 3, "ids": "j", "content": "b"})
            )),
            changed
        );
        assert_eq!(
            with(&|seen, _| seen
                .aliases
                .retain(|alias| alias.name != "optimize-settings")),
            [
                "optimize.changed-beside-the-plan",
                "optimize.alias-write-index"
            ]
        );
        assert_eq!(
            with(&|seen, _| drop(
                seen.log
                    .remove("8.6.0_schema-delete-index_optimize-process-instance-archive-order_v8")
            )),
            ["optimize.update-log-incomplete"]
        );
    }

    #[test]
    fn whatever_else_changed_is_found() {
        let changed = ["optimize.changed-beside-the-plan"];
        assert_eq!(with(|seen, _| seen.indices[0].uuid = "new".into()), changed);
        assert_eq!(with(|seen, _| seen.indices[0].docs = 2), changed);
        assert_eq!(with(|seen, _| seen.indices[0].replicas = 0), changed);
        assert_eq!(with(|seen, _| drop(seen.indices.remove(0))), changed);
        assert_eq!(with(|seen, _| seen.aliases[1].write = None), changed);
        assert_eq!(
            with(|seen, _| seen.aliases[1].more.push("is_hidden".into())),
            changed
        );
        assert_eq!(
            with(|seen, _| seen
                .aliases
                .retain(|alias| alias.name != "optimize-process-instance")),
            changed
        );
        assert_eq!(
            with(|_, kept| kept.after[0].answer = Some(json!({"docs": 3, "content": "d"}))),
            changed
        );
        assert_eq!(with(|_, kept| kept.after.clear()), changed);
        assert_eq!(
            with(|_, kept| kept.baseline.as_mut().unwrap()[2].answer =
                Some(json!([{"name": "optimize-x"}]))),
            changed
        );
    }

    #[test]
    fn a_neighbour_may_write_but_not_be_made_anew() {
        let (mut seen, goal, mut kept) = upgraded();
        seen.neighbours = vec!["optimize-team-a".into()];
        let mut index = crate::fixture::index("optimize-team-a-settings_v3", 1);
        let listed = json!([{"name": index.name, "uuid": index.uuid, "replicas": 1, "docs": 1}]);
        kept.baseline.as_mut().unwrap().push(Captured {
            kind: "indices".into(),
            read: json!({ "read": "indices", "pattern": "optimize-team-a-*" }),
            answer: Some(listed),
        });
        index.docs = 9;
        assert_eq!(
            findings(&seen, &goal, &kept, std::slice::from_ref(&index)),
            []
        );
        index.uuid = "new".into();
        assert_eq!(findings(&seen, &goal, &kept, &[index]).len(), 1);
        assert_eq!(findings(&seen, &goal, &kept, &[]).len(), 1);
    }

    #[test]
    fn external_variables_are_still_written() {
        let ids = with(|seen, _| {
            seen.aliases
                .retain(|alias| alias.name != "optimize-external-process-variable")
        });
        assert!(
            ids.contains(&"optimize.alias-write-index".to_owned()),
            "{ids:?}"
        );
    }
}

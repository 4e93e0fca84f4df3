//! How far each of the vendor's steps is on this site: what the update log says, and what the state says.
//!
//! A step counts as done where both say so. Where they contradict each other, or where a new version of an index
//! stands beside the old one, there is a finding and no plan: a log is never believed against the state, and a
//! half-filled copy is never taken for a whole one by its number of documents.

use std::collections::BTreeSet;

use liftlock_sdk::prelude::*;

use crate::archives::{Archive, archived_key, step_name};
use crate::by_name::ByName;
use crate::check::some;
use crate::edges::Hop;
#[cfg(any(test, feature = "test-edge"))]
use crate::names::Kind;
use crate::seen::Seen;
use crate::step::{StepKind, VendorStep};

impl Hop {
    /// Its steps on this site, in the vendor's order: where a kind stands for one step for each index, by name.
    pub(crate) fn steps(&'static self, seen: &Seen) -> Vec<VendorStep> {
        let mut steps = Vec::new();
        for kind in self.kinds {
            steps.extend(VendorStep::one(kind));
            match kind {
                StepKind::DeleteEachArchive { .. } => steps.extend(
                    seen.archives
                        .iter()
                        .filter(|(_, archive)| matches!(archive, Archive::Yes(_)))
                        .filter_map(|(index, _)| archived_key(&seen.names, index))
                        .map(|key| VendorStep {
                            kind,
                            name: step_name(&key),
                        }),
                ),
                #[cfg(any(test, feature = "test-edge"))]
                StepKind::UpdateEachProcess { to } => {
                    steps.extend(seen.process_keys(*to).into_iter().map(|key| VendorStep {
                        kind,
                        name: format!("process-instance-{key}"),
                    }));
                }
                _ => {}
            }
        }
        steps
    }

    /// The id of a step's document in the vendor's update log.
    pub(crate) fn log_id(&self, seen: &Seen, step: &VendorStep) -> String {
        format!(
            "{}_{}_{}",
            self.logged_as,
            step.log_type(),
            step.log_name(&seen.names)
        )
    }

    /// Ids of all its steps.
    #[cfg(test)]
    pub(crate) fn log_ids(&'static self, seen: &Seen) -> Vec<String> {
        self.steps(seen)
            .iter()
            .map(|step| self.log_id(seen, step))
            .collect()
    }

    /// Is this index one that the hop deletes and does not replace?
    pub(crate) fn dooms_index(&'static self, seen: &Seen, index: &str) -> bool {
        // Asked for every index of a site: the steps of all others are not made for it.
        self.kinds.iter().any(|kind| match kind {
            StepKind::DeleteEachArchive { .. } => {
                matches!(seen.archives.get(index), Some(Archive::Yes(_)))
            }
            _ => VendorStep::one(kind).is_some_and(|step| step.names_index(&seen.names, index)),
        })
    }

    /// Does it delete what bears the name of an archive?
    pub(crate) fn deletes_archives(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| matches!(kind, StepKind::DeleteEachArchive { .. }))
    }

    /// Is this template one that the hop deletes?
    pub(crate) fn dooms_template(&self, seen: &Seen, template: &str) -> bool {
        self.kinds.iter().any(|kind| {
            matches!(kind, StepKind::DeleteTemplate { .. })
                && VendorStep::one(kind).is_some_and(|step| step.object(&seen.names) == template)
        })
    }
}

impl Seen {
    /// Keys of processes whose index is of this version or the one before, without archives.
    #[cfg(any(test, feature = "test-edge"))]
    fn process_keys(&self, to: u32) -> std::collections::BTreeSet<String> {
        self.indices
            .iter()
            .filter(|index| !matches!(self.archives.get(&index.name), Some(Archive::Yes(_))))
            .filter(|index| {
                self.names
                    .version(&index.name)
                    .is_some_and(|version| version == to || version + 1 == to)
            })
            .filter_map(|index| match self.names.kind(&index.name) {
                Kind::ProcessInstance(key) => Some(key),
                _ => None,
            })
            .collect()
    }
}

/// The vendor's update log says that steps are done, and the state says that they are not.
pub(crate) fn contradiction(seen: &Seen, hop: &'static Hop) -> Option<Finding> {
    let steps = hop.steps(seen);
    let by = ByName::of(seen);
    let mut contradicted = Vec::new();
    for step in &steps {
        let id = hop.log_id(seen, step);
        if !seen.log.contains_key(&id) {
            continue;
        }
        if step.is_update() {
            let (source, target) = by.versions(step);
            if let Some(source) = source {
                contradicted.push((id, format!("`{}` is there still", source.name)));
            } else if target.is_none() {
                contradicted.push((id, format!("`{}` is not there", step.object(&seen.names))));
            }
        } else {
            let there = by.there(step);
            if !there.is_empty() {
                contradicted.push((id, format!("there still: {}", some(&there))));
            }
        }
    }
    if contradicted.is_empty() {
        return None;
    }
    let mut finding = Finding::blocker("optimize.update-log-contradicts")
        .subject(seen.names.update_log())
        .what(format!(
            "the update log says that {} of {} steps of {} are done, but what they do away with is still there",
            contradicted.len(),
            steps.len(),
            hop.logged_as,
        ))
        .why(
            "this is what a restore leaves behind that kept the update log: the vendor's upgrader skips the steps, \
             sets the version and ends with success; a log that contradicts the state is believed by nobody here",
        )
        .remedy(format!(
            "delete the entries of {} from `{}` (they are bookkeeping, no data of Optimize), then plan again",
            hop.logged_as,
            seen.names.update_log()
        ));
    for (id, state) in contradicted {
        finding = finding.evidence(id, state);
    }
    Some(finding)
}

/// What speaks against bringing an index to its new version: a copy that somebody began, no source, or aliases
/// that cannot be moved.
///
/// What the run in hand `made` itself is none of that: it goes on where it stands.
pub(crate) fn updates(
    seen: &Seen,
    hop: &'static Hop,
    made: &BTreeSet<String>,
    found: &mut Vec<Finding>,
) {
    let by = ByName::of(seen);
    for step in hop.steps(seen).iter().filter(|step| step.is_update()) {
        match by.versions(step) {
            (Some(_), Some(target)) if made.contains(&target.name) => {}
            (Some(source), Some(target)) => found.push(half_done(&by, source, target)),
            (Some(source), None) => {
                if seen.foreign_aliases.is_none() {
                    found.push(
                        Finding::blocker("optimize.aliases-not-read")
                            .subject(&source.name)
                            .what("the cluster has more aliases than a list may hold")
                            .why("an alias of somebody else on the index would go with the old version of it")
                            .remedy("take aliases off that nobody needs, then plan again"),
                    );
                }
                unmovable(&by, source, found);
            }
            (None, None) => found.push(
                Finding::blocker("optimize.update-index-missing")
                    .subject(step.object(&seen.names))
                    .what(format!(
                        "neither `{}` nor its new version is there",
                        step.source(&seen.names).unwrap_or_default()
                    ))
                    .why("the vendor's upgrader would make an empty index in its place and end with success")
                    .remedy("restore the index from a snapshot, then plan again"),
            ),
            (None, Some(_)) => {}
        }
    }
}

fn half_done(by: &ByName<'_>, source: &Index, target: &Index) -> Finding {
    let seen = by.seen;
    let on = |index: &str| {
        let aliases: Vec<String> = by
            .aliases_on(index)
            .iter()
            .map(|alias| match alias.write {
                Some(true) => format!("{} (write)", alias.name),
                _ => alias.name.clone(),
            })
            .collect();
        if aliases.is_empty() {
            "none".to_owned()
        } else {
            some(&aliases)
        }
    };
    let copy = seen.begun.get(&target.name).copied();
    let (source_docs, target_docs) = copy.map_or((source.docs, target.docs), |copy| {
        (copy.source, copy.target)
    });
    let strangers = copy.and_then(|copy| copy.strangers);
    let running = seen
        .tasks
        .iter()
        .find(|task| task.description.contains(&format!("to [{}]", target.name)));
    let finding = Finding::blocker("optimize.update-half-done")
        .subject(&target.name)
        .what(format!(
            "the new version stands beside the old one: {target_docs} documents there, {source_docs} in `{}`",
            source.name
        ))
        .why(
            "somebody began to copy and did not end. Equal counts show nothing: the vendor's upgrader takes them for \
             a finished copy and deletes the old index, whatever the new one holds",
        )
        .evidence(format!("aliases on {}", source.name), on(&source.name))
        .evidence(format!("aliases on {}", target.name), on(&target.name));
    let finding = match running {
        Some(task) => finding.evidence(
            "task",
            format!("{} on node {}: {}", task.id, task.node, task.description),
        ),
        None => finding,
    };
    let put_back = format!(
        "let every alias of `{0}` be on `{1}` again, its own as the write alias, in one request; delete `{0}`; then \
         plan again",
        target.name, source.name
    );
    match (running, strangers) {
        (Some(task), _) => finding.remedy(format!(
            "a copy runs at this moment: wait for the end of task {}, or cancel it and see it gone; then plan again",
            task.id
        )),
        (None, Some(0)) => finding
            .evidence("documents that only the new version has", 0)
            .remedy(format!(
                "the old index has every document of the new one, so that nothing is lost with it: {put_back}. Or let \
                 the tool that began it go on, but only where the counts differ",
            )),
        (None, Some(strangers)) => finding
            .evidence("documents that only the new version has", strangers)
            .remedy(format!(
                "{strangers} documents are in the new version alone: somebody wrote there. Find out what they are and \
                 save them; then {put_back}",
            )),
        (None, None) => finding.remedy(format!(
            "too many to compare here: find out whether the new version has documents that the old one lacks, and \
             save them; then {put_back}",
        )),
    }
}

fn unmovable(by: &ByName<'_>, source: &Index, found: &mut Vec<Finding>) {
    let names = &by.seen.names;
    let begins = names.alias(names.base(&source.name).unwrap_or_default());
    for alias in by.aliases_on(&source.name) {
        if alias.more.is_empty() {
            continue;
        }
        found.push(
            Finding::blocker("optimize.alias-has-more")
                .subject(&alias.name)
                .what(format!(
                    "it is on `{}` with more than a write flag: {}",
                    source.name,
                    some(&alias.more)
                ))
                .why(
                    "the aliases move to the new version in one request that sets a write flag and nothing else: a \
                     filter, a routing or a hidden alias would be lost with the old index",
                )
                .remedy(format!(
                    "keep what `GET /{}/_alias/{}` says; set the alias without it before the upgrade, and with it on \
                     the new index afterwards",
                    source.name, alias.name
                )),
        );
    }
    // One alias for all processes, or all decisions, is the product's own too.
    let shared = ["process-instance", "decision-instance"].map(|name| names.alias(name));
    let foreign: Vec<&str> = by
        .aliases_on(&source.name)
        .iter()
        .map(|alias| alias.name.as_str())
        .filter(|name| !name.starts_with(&begins) && !shared.iter().any(|shared| shared == name))
        .collect();
    if !foreign.is_empty() {
        found.push(
            Finding::blocker("optimize.alias-of-somebody-else")
                .subject(some(&foreign))
                .what(format!("it is on `{}` and is none of Optimize's", source.name))
                .why("the grant lets the plan move Optimize's own aliases only; this one would go with the old index")
                .remedy(format!(
                    "take it off before the upgrade and put it on `{begins}_v...` afterwards"
                )),
        );
    }
}

/// Indices that could be archives, where the hop deletes archives.
pub(crate) fn archives(seen: &Seen, hop: &Hop, found: &mut Vec<Finding>) {
    if !hop.deletes_archives() {
        return;
    }
    let mut kept = Finding::warning("optimize.archive-named-process")
        .why(
            "its key begins with `archive-`, and the vendor's upgrader to 8.6 goes by the name: it deletes this index \
             with all instances of the process. This plan keeps it",
        )
        .remedy("never let the vendor's upgrader to 8.6 run on this site");
    let (mut processes, mut unsure) = (Vec::new(), Vec::new());
    for (index, archive) in &seen.archives {
        match archive {
            Archive::Yes(_) => {}
            Archive::Process(why) => {
                processes.push(index.as_str());
                kept = kept.evidence(index, why);
            }
            Archive::Unsure => unsure.push(index.as_str()),
        }
    }
    if !processes.is_empty() {
        found.push(
            kept.subject(some(&processes))
                .what("it is of a process, not an archive"),
        );
    }
    if !unsure.is_empty() {
        found.push(
            Finding::blocker("optimize.archive-unsure")
                .subject(some(&unsure))
                .what("nothing shows whether it is an archive, or of a process whose key begins with `archive-`")
                .why("the upgrade deletes archives, and would delete the instances of a live process with it")
                .remedy(
                    "look into it: delete it yourself where it is an archive; where it is of a process, make sure \
                     that the process has its definition in Optimize; then plan again",
                ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alias, goal, ids, index, logged, site, site_3_13};
    use crate::seen::Begun;

    fn with(change: impl FnOnce(&mut Seen)) -> Vec<String> {
        let mut seen = site_3_13();
        change(&mut seen);
        ids(&seen, "8.6.0")
    }

    fn blockers(change: impl FnOnce(&mut Seen)) -> Vec<String> {
        with(change)
            .into_iter()
            .filter(|id| id.starts_with("blocker"))
            .collect()
    }

    #[test]
    fn log_ids_are_those_of_the_vendor() {
        let seen = site("8.7.3");
        let hop = goal(&seen, "8.8.24").hop().unwrap();
        assert_eq!(
            hop.log_ids(&seen),
            [
                "8.8.0_schema-delete-index_variable-update-instance_v2",
                "8.8.0_schema-delete-template_variable-update-instance_v2[Template]",
                "8.8.0_schema-delete-template_external-process-variable_v2[Template]",
            ]
        );
    }

    #[test]
    fn the_steps_to_8_6_are_thirteen_with_two_archives() {
        let seen = site_3_13();
        let hop = goal(&seen, "8.6.0").hop().unwrap();
        assert_eq!(
            hop.log_ids(&seen),
            [
                "8.6.0_schema-delete-index_onboarding-state_v2",
                "8.6.0_schema-delete-index_import-index_v3",
                "8.6.0_schema-delete-index_event_v4",
                "8.6.0_schema-delete-template_event_v4[Template]",
                "8.6.0_schema-delete-index_event-process-definition_v5",
                "8.6.0_schema-delete-index_event-process-mapping_v4",
                "8.6.0_schema-delete-index_event-process-publish-state_v4",
                "8.6.0_schema-delete-index_event-sequence-count-external_v4",
                "8.6.0_schema-delete-index_event-trace-state-external_v2",
                "8.6.0_schema-delete-index_license_v3",
                "8.6.0_schema-update-index_optimize-settings_v3",
                "8.6.0_schema-delete-index_optimize-process-instance-archive-invoice_v8",
                "8.6.0_schema-delete-index_optimize-process-instance-archive-order_v8",
            ]
        );
        assert_eq!(blockers(|_| {}), [""; 0]);
    }

    #[test]
    fn only_what_the_vendor_deletes_is_doomed() {
        let seen = site("8.7.3");
        let hop = goal(&seen, "8.8.0").hop().unwrap();
        let dooms = |index: &str| hop.dooms_index(&seen, index);
        assert!(dooms("optimize-variable-update-instance_v2-000001"));
        assert!(dooms("optimize-variable-update-instance_v2"));
        for other in [
            "optimize-external-process-variable_v2-000001",
            "optimize-variable-update-instance_v21",
            "optimize-variable-update-instance_v1-000001",
            "acme-variable-update-instance_v2-000001",
        ] {
            assert!(!dooms(other), "{other}");
        }
        assert!(hop.dooms_template(&seen, "optimize-external-process-variable_v2"));
        assert!(!hop.dooms_template(&seen, "optimize-other_v2"));

        let seen = site_3_13();
        let hop = goal(&seen, "8.6.0").hop().unwrap();
        assert!(hop.dooms_index(&seen, "optimize-event_v4-000001"));
        assert!(!hop.dooms_index(&seen, "optimize-timestamp-based-import-index_v5"));
        assert!(!hop.dooms_index(&seen, "optimize-process-instance-invoice_v8"));
        assert!(!hop.dooms_index(&seen, "optimize-settings_v2"));
    }

    #[test]
    fn a_process_whose_key_begins_with_archive_keeps_its_index() {
        let named = "optimize-process-instance-archive-invoice_v8".to_owned();
        let set = |archive: Archive| {
            let named = named.clone();
            move |seen: &mut Seen| drop(seen.archives.insert(named, archive))
        };
        let ids = with(set(Archive::Process("x".into())));
        assert!(
            ids.contains(&"warning optimize.archive-named-process".to_owned()),
            "{ids:?}"
        );
        assert_eq!(
            blockers(set(Archive::Unsure)),
            ["blocker optimize.archive-unsure"]
        );
        let mut seen = site_3_13();
        set(Archive::Process("x".into()))(&mut seen);
        let hop = goal(&seen, "8.6.0").hop().unwrap();
        assert!(!hop.dooms_index(&seen, &named));
        assert_eq!(hop.steps(&seen).len(), 12);
    }

    #[test]
    fn a_log_that_contradicts_the_state_is_not_believed() {
        let id = "8.6.0_schema-update-index_optimize-settings_v3";
        assert_eq!(
            blockers(|seen| logged(seen, [id.to_owned()])),
            ["blocker optimize.update-log-contradicts"]
        );
        assert_eq!(
            blockers(|seen| {
                logged(
                    seen,
                    ["8.6.0_schema-delete-template_event_v4[Template]".into()],
                );
            }),
            ["blocker optimize.update-log-contradicts"]
        );
        // Both agree: nothing to say.
        assert_eq!(
            blockers(|seen| {
                seen.legacy_templates
                    .retain(|it| it.name != "optimize-event_v4");
                logged(
                    seen,
                    ["8.6.0_schema-delete-template_event_v4[Template]".into()],
                );
            }),
            [""; 0]
        );
    }

    fn begun(seen: &mut Seen, copy: Option<Begun>) {
        seen.indices.push(index("optimize-settings_v3", 1));
        for alias in &mut seen.aliases {
            if alias.index == "optimize-settings_v2" {
                alias.write = Some(false);
            }
        }
        seen.aliases.push(alias(
            "optimize-settings",
            "optimize-settings_v3",
            Some(true),
        ));
        if let Some(copy) = copy {
            seen.begun.insert("optimize-settings_v3".into(), copy);
        }
    }

    #[test]
    fn a_copy_that_the_vendor_began_is_never_skipped_by_its_count() {
        let half = ["blocker optimize.update-half-done"];
        assert_eq!(blockers(|seen| begun(seen, None)), half);
        let remedy = |copy: Begun| {
            let mut seen = site_3_13();
            begun(&mut seen, Some(copy));
            let mut found = Vec::new();
            let hop = goal(&seen, "8.6.0").hop().unwrap();
            updates(&seen, hop, &BTreeSet::new(), &mut found);
            found[0].remedy.clone()
        };
        let copy = |strangers| Begun {
            source: 3,
            target: 3,
            strangers,
        };
        assert!(remedy(copy(Some(0))).contains("nothing is lost with it"));
        assert!(remedy(copy(Some(3))).starts_with("3 documents are in the new version alone"));
        assert!(remedy(copy(None)).starts_with("too many to compare"));
    }

    #[test]
    fn what_the_run_itself_began_is_no_finding() {
        let mut seen = site_3_13();
        begun(&mut seen, None);
        let hop = goal(&seen, "8.6.0").hop().unwrap();
        let made = BTreeSet::from(["optimize-settings_v3".to_owned()]);
        let mut found = Vec::new();
        updates(&seen, hop, &made, &mut found);
        assert_eq!(found, []);
    }

    #[test]
    fn aliases_that_cannot_move_are_found_before() {
        assert_eq!(
            blockers(|seen| {
                for alias in &mut seen.aliases {
                    if alias.index == "optimize-settings_v2" {
                        alias.more.push("search_routing".into());
                    }
                }
            }),
            ["blocker optimize.alias-has-more"]
        );
        assert_eq!(
            blockers(|seen| {
                seen.foreign_aliases = Some(vec![alias("team", "optimize-settings_v2", None)]);
            }),
            ["blocker optimize.alias-of-somebody-else"]
        );
        assert_eq!(
            blockers(|seen| seen.foreign_aliases = None),
            ["blocker optimize.aliases-not-read"]
        );
    }

    #[test]
    fn an_index_without_any_version_is_not_made_empty() {
        let ids = blockers(|seen| {
            seen.indices
                .retain(|index| index.name != "optimize-settings_v2");
            seen.aliases
                .retain(|alias| alias.index != "optimize-settings_v2");
        });
        assert!(
            ids.contains(&"blocker optimize.update-index-missing".to_owned()),
            "{ids:?}"
        );
    }
}

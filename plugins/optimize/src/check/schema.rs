//! Indices, aliases and templates of the site, and those of others that come in its way.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_sdk::prelude::*;

use super::{Goal, some};
use crate::by_name::ByName;
use crate::edges::Hop;
use crate::names::{FIXED, Kind};
use crate::seen::Seen;
use crate::step::VendorStep;

pub(super) fn check(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    let by = ByName::of(seen);
    tenants(&by, found);
    aliases(&by, goal, found);
    if let Some(hop) = goal.hop() {
        doomed(&by, hop, found);
        twins(seen, hop, found);
    }
    check_templates(seen, found);
    replicas(seen, found);
    archives(seen, goal, found);
    if !seen.stray_aliases.is_empty() {
        let names: Vec<&str> = seen
            .stray_aliases
            .iter()
            .map(|alias| alias.name.as_str())
            .collect();
        found.push(
            Finding::warning("optimize.stray-decision-alias")
                .subject(some(&names))
                .what("an alias begins with `decision-instance-`, without a prefix, and is not Optimize's")
                .why(
                    "Optimize looks for its decision instances without its prefix, and its own upgrader was seen to \
                     die of such an alias before its first step; this plan does not mind",
                )
                .remedy("rename the alias before Optimize is started")
                .evidence("on", some(&seen.stray_aliases.iter().map(|alias| &alias.index).collect::<Vec<_>>())),
        );
    }
}

/// Tenants whose prefix begins with ours, and indices that no Optimize makes.
fn tenants(by: &ByName<'_>, found: &mut Vec<Finding>) {
    let seen = by.seen;
    let mut tenants: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for (index, kind) in by.kinds() {
        match kind {
            Kind::Tenant(prefix) => tenants.entry(prefix).or_default().push(&index.name),
            Kind::Unknown => unknown.push(index.name.as_str()),
            _ => {}
        }
    }
    if !tenants.is_empty() {
        let prefixes: Vec<&str> = tenants.keys().copied().collect();
        let all: BTreeSet<&str> = prefixes
            .iter()
            .copied()
            .chain(seen.neighbours.iter().map(String::as_str))
            .collect();
        let value = all.into_iter().collect::<Vec<_>>().join(",");
        let mut finding = Finding::blocker("optimize.overlapping-prefix")
            .subject(prefixes.join(", "))
            .what(format!(
                "names of another Optimize lie inside ours: `{}`",
                seen.names.all()
            ))
            .why("its documents would be in our snapshot and its writes would look like ours")
            .remedy(format!(
                "say that they are others: `neighbours = \"{value}\"` under [options] in site.toml, then `liftlock grant`"
            ));
        for (prefix, indices) in &tenants {
            finding = finding.evidence(*prefix, some(indices));
        }
        found.push(finding);
    }
    if !unknown.is_empty() {
        found.push(
            Finding::info("optimize.unknown-index")
                .subject(some(&unknown))
                .what("the name begins with our prefix, but Optimize makes no such index")
                .why("it is taken into the snapshot and compared; nothing else is done to it")
                .remedy("nothing to do, unless it is another tenant's: then name its prefix in `neighbours`"),
        );
    }
}

fn aliases(by: &ByName<'_>, goal: &Goal, found: &mut Vec<Finding>) {
    let seen = by.seen;
    let hop = goal.hop();
    let mut of_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (index, kind) in by.kinds() {
        if let Kind::Fixed(name) | Kind::Other(name) = kind {
            of_name.entry(name).or_default().push(&index.name);
        }
    }
    let mut absent = Vec::new();
    for name in FIXED.iter().chain(&["update-log"]) {
        let alias = seen.names.alias(name);
        let indices = of_name.remove(name).unwrap_or_default();
        let is_doomed =
            hop.is_some_and(|hop| indices.iter().any(|index| hop.dooms_index(seen, index)));
        match by.aliases_named(&alias) {
            [] if indices.is_empty() => {
                let expected = *name != "update-log" && *name != "variable-update-instance";
                if expected {
                    absent.push(alias);
                }
            }
            [] => found.push(
                Finding::blocker(if is_doomed { "optimize.doomed-alias-missing" } else { "optimize.alias-missing" })
                    .subject(&alias)
                    .what(format!("the alias is missing, its index is there: {}", some(&indices)))
                    .why(if is_doomed {
                        "the vendor's upgrader finds the index by this alias: it would record the deletion as done \
                         and leave the index as an orphan. Somebody changed this site by hand"
                    } else {
                        "Optimize reads and writes by the alias only, so that this data is out of its sight"
                    })
                    .remedy(format!(
                        "put it back: `POST /_aliases {{\"actions\":[{{\"add\":{{\"index\":\"{}\",\"alias\":\"{alias}\",\
                         \"is_write_index\":true}}}}]}}`",
                        indices.first().unwrap_or(&"")
                    )),
            ),
            aliases => {
                let writers = aliases.iter().filter(|alias| alias.write == Some(true)).count();
                // The servers take the only index of an alias as its write index when nothing is said.
                let single = aliases.len() == 1 && aliases[0].write.is_none();
                if writers != 1 && !single {
                    let mut finding = Finding::blocker("optimize.alias-write-index")
                        .subject(&alias)
                        .what(format!("{writers} of its {} indices are its write index, not one", aliases.len()))
                        .why(
                            "Optimize could not write, or an earlier upgrade stopped in the middle: readers may see \
                             documents twice",
                        )
                        .remedy("find out which index is complete; let the alias write to that one alone");
                    for alias in aliases {
                        finding = finding.evidence(&alias.index, format!("write: {:?}", alias.write));
                    }
                    found.push(finding);
                }
            }
        }
    }
    if !absent.is_empty() {
        found.push(
            Finding::blocker("optimize.index-missing")
                .subject(some(&absent))
                .what("neither the alias nor an index of it is there")
                .why(
                    "somebody deleted a part of this site: what was in it is lost, and the new Optimize may not start; \
                     the vendor's upgrader makes such an index anew, empty, and says nothing",
                )
                .remedy(
                    "restore them from a snapshot, or let the old Optimize make them, empty, at its start",
                ),
        );
    }
    per_definition(by, goal, found);
}

/// Indices of process and decision instances have an alias of their own, which writes.
///
/// Half-way through a run its new versions have none yet: their aliases come to them when they are whole.
fn per_definition(by: &ByName<'_>, goal: &Goal, found: &mut Vec<Finding>) {
    let names = &by.seen.names;
    let lost: Vec<&str> = by
        .kinds()
        .filter(|(index, kind)| {
            let own = match kind {
                Kind::ProcessInstance(key) => names.alias(&format!("process-instance-{key}")),
                Kind::DecisionInstance(key) => names.alias(&format!("decision-instance-{key}")),
                _ => return false,
            };
            let is_under_way =
                goal.moment == Moment::OnResume && !by.aliases_named(&own).is_empty();
            by.alias(&own, &index.name).is_none() && !is_under_way
        })
        .map(|(index, _)| index.name.as_str())
        .collect();
    if !lost.is_empty() {
        found.push(
            Finding::blocker("optimize.alias-missing")
                .subject(some(&lost))
                .what("its own alias is missing")
                .why("Optimize reads and writes by the alias only, so that this data is out of its sight")
                .remedy("put the alias back as the write alias of the index"),
        );
    }
}

/// What the hop deletes: it must be what the vendor thinks it is.
fn doomed(by: &ByName<'_>, hop: &'static Hop, found: &mut Vec<Finding>) {
    let seen = by.seen;
    let mut known = Vec::new();
    let steps = hop.steps(seen);
    let doomed = by.doomed(hop);
    let empty: Vec<&VendorStep> = steps.iter().filter(|step| step.wants_empty()).collect();
    for index in &doomed {
        let count = seen.counts.get(&index.name).copied().unwrap_or(index.docs);
        if count == 0 {
            continue;
        }
        let wants_empty = empty
            .iter()
            .any(|step| step.names_index(&seen.names, &index.name));
        if !wants_empty {
            known.push(format!("{}: {count}", index.name));
            continue;
        }
        found.push(
            Finding::blocker("optimize.doomed-index-has-documents")
                .subject(&index.name)
                .what(format!("the upgrade deletes it, and it holds {count} documents"))
                .why("the vendor deletes it because Camunda 8 never writes to it; somebody did")
                .remedy(
                    "find out what they are; if they may go, `liftlock plan --with-blockers` and waive this finding \
                     with the reason: the step then asks for an approval of its own",
                )
                .evidence("documents", count),
        );
    }
    if !known.is_empty() {
        found.push(
            Finding::warning("optimize.deletes-documents")
                .subject(some(&known))
                .what(format!("the upgrade deletes {} indices that hold documents", known.len()))
                .why(
                    "the vendor gave up what they were for (events and archives of Camunda 7), and its own upgrader \
                     deletes them too; afterwards they are in the snapshot of the run alone",
                )
                .remedy("export what you want to keep before you approve the plan"),
        );
    }
    for step in steps.iter().filter(|step| step.deletes_index()) {
        let alias = step.alias(&seen.names);
        let strangers: Vec<&str> = by
            .aliases_named(&alias)
            .iter()
            .filter(|on| !hop.dooms_index(seen, &on.index))
            .map(|on| on.index.as_str())
            .collect();
        if !strangers.is_empty() {
            found.push(
                Finding::blocker("optimize.doomed-alias-on-stranger")
                    .subject(&alias)
                    .what(format!("it is on an index that does not bear its name: {}", some(&strangers)))
                    .why("the vendor's upgrader deletes what is behind this alias; this plan deletes by name only")
                    .remedy("take the alias off that index"),
            );
        }
    }
    let many = doomed
        .iter()
        .filter(|index| seen.names.kind(&index.name) == Kind::Fixed("variable-update-instance"))
        .count();
    if many > crate::descriptor::DOOMED_INDICES_MAX {
        found.push(
            Finding::blocker("optimize.too-many-doomed-indices")
                .subject(seen.names.alias("variable-update-instance"))
                .what(format!("it rolled over {many} times"))
                .why("the index is unused in Camunda 8 and should be one; the grant allows a few deletions only")
                .remedy("look at what filled it; delete what is not needed by hand"),
        );
    }
}

/// Templates of others that catch our names.
pub(super) fn check_templates(seen: &Seen, found: &mut Vec<Finding>) {
    let probes = [
        seen.names.update_log(),
        seen.names.alias("process-instance-a_v8"),
        seen.names.alias("settings_v3"),
    ];
    for template in &seen.composable_templates {
        let caught: Vec<&str> = template
            .patterns
            .iter()
            .filter(|pattern| probes.iter().any(|probe| glob(pattern, probe)))
            .map(String::as_str)
            .collect();
        if !caught.is_empty() {
            found.push(
                Finding::warning("optimize.template-catches-ours")
                    .subject(&template.name)
                    .what(format!("a composable template matches Optimize's names: {}", some(&caught)))
                    .why(
                        "it wins over Optimize's own legacy templates, so that indices made from now on get its \
                         settings and mappings: the update log of this plan, and each new process definition",
                    )
                    .remedy("give it patterns that leave Optimize's names out"),
            );
        }
    }
}

/// A composable template that bears the name of the legacy one that is to be deleted.
fn twins(seen: &Seen, hop: &'static Hop, found: &mut Vec<Finding>) {
    let twins: Vec<&str> = seen
        .composable_templates
        .iter()
        .filter(|template| hop.dooms_template(seen, &template.name))
        .map(|template| template.name.as_str())
        .collect();
    if !twins.is_empty() {
        found.push(
            Finding::info("optimize.template-of-other-kind")
                .subject(some(&twins))
                .what("a composable template bears the name of a legacy template that the upgrade deletes")
                .why(
                    "Optimize makes legacy templates only, so that this one is somebody else's: the upgrade deletes \
                     the legacy one, and this one stays, also with the vendor's upgrader",
                )
                .remedy("find out who made it; delete it if it was meant as a copy of Optimize's"),
        );
    }
}

/// Does a pattern with `*` anywhere match this name?
fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Replicas that somebody set: this plan keeps them, Optimize's own start does not.
fn replicas(seen: &Seen, found: &mut Vec<Finding>) {
    let tuned: Vec<String> = seen
        .indices
        .iter()
        .filter(|index| index.replicas != 1)
        .map(|index| format!("{}: {}", index.name, index.replicas))
        .collect();
    if !tuned.is_empty() {
        found.push(
            Finding::info("optimize.replicas-tuned")
                .subject(seen.names.all())
                .what(format!("{} of {} indices do not have one replica", tuned.len(), seen.indices.len()))
                .why(
                    "this plan keeps the replicas; the schema sync of Optimize sets those of most indices to its \
                     own configuration, which is 1 where nothing is said",
                )
                .remedy("set `number_of_replicas` in Optimize's configuration before it is started")
                .evidence("indices", some(&tuned)),
        );
    }
}

fn archives(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    // Where archives are deleted, what is one has been looked at more closely.
    if goal.hop().is_some_and(Hop::deletes_archives) {
        return;
    }
    let archives: Vec<&str> = seen
        .indices
        .iter()
        .filter(|index| {
            matches!(seen.names.kind(&index.name), Kind::ProcessInstance(key) if key.starts_with("archive-"))
        })
        .map(|index| index.name.as_str())
        .collect();
    if !archives.is_empty() {
        found.push(
            Finding::info("optimize.archive-named-process")
                .subject(some(&archives))
                .what("a process definition's key begins with `archive-`, or these are archives of an old release")
                .why("the vendor's plan to 8.6 deletes indices of that name; the hops of this plugin do not")
                .remedy("nothing to do"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_as_the_servers_do() {
        for (pattern, name, is) in [
            ("*", "optimize-a", true),
            ("optimize*", "optimize-a", true),
            ("*-a", "optimize-a", true),
            ("o*-*a", "optimize-a", true),
            ("optimize-a", "optimize-a", true),
            ("optimize-b*", "optimize-a", false),
            ("*b*", "optimize-a", false),
            ("optimize", "optimize-a", false),
            ("logs-*-*", "optimize-a", false),
        ] {
            assert_eq!(glob(pattern, name), is, "{pattern} {name}");
        }
    }
}

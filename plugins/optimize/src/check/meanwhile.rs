//! Who else works on the site: what moved between two looks, and what was done since the plan was made.
//!
//! Nothing in an Optimize site says that an upgrader is at work: the vendor's has no lock. What can be seen is what
//! it leaves: entries of the update log, the schema version, indices that are gone or made anew. So each check
//! looks twice, before and after everything else, which is a second or less apart: it catches an upgrader in the
//! middle of its steps, and an Optimize that is busy. It does not prove that there is none; the plan's own first
//! step does, by watching for longer, before anything is changed.

use std::collections::{BTreeMap, BTreeSet};

use liftlock_sdk::prelude::*;

use super::{Goal, some};
use crate::by_name::map_of;
use crate::descriptor::DATABASE;
use crate::names::Kind;
use crate::seen::{METADATA_ID, Seen, is_of};

/// Where Optimize keeps how far its import is. Their documents are written with every batch.
const POSITIONS: &[&str] = &[
    "position-based-import-index",
    "timestamp-based-import-index",
];

/// Most documents of such an index: some five for each of a cluster's partitions.
const POSITIONS_MAX: u32 = 1_000;

/// One look at what moves when somebody works.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Look {
    /// The schema version's document.
    pub(crate) metadata: Option<String>,
    /// Ids of the update log.
    pub(crate) logged: BTreeSet<String>,
    /// Import positions, by index and id.
    pub(crate) positions: BTreeMap<String, String>,
    /// Uuid and documents of each index.
    pub(crate) indices: BTreeMap<String, (String, u64)>,
}

impl Look {
    /// Looks now.
    pub(crate) fn take(site: &Site) -> Result<Self> {
        let names = crate::names::Names::new(&site.option("prefix")?);
        let neighbours = crate::seen::list(&site.option("neighbours")?);
        let database = Cluster::open(site, DATABASE)?;
        let indices = database.indices(&names.all())?;
        let mut look = Self {
            metadata: database
                .get(&names.metadata(), METADATA_ID)
                .found()?
                .map(|document| document.source),
            ..Self::default()
        };
        let all = |index: &str, size: u32| {
            database.search(&Search {
                indices: vec![index.to_owned()],
                query: json!({ "match_all": {} }).to_string(),
                sort: None,
                size,
                after: None,
            })
        };
        for index in indices
            .iter()
            .filter(|index| !is_of(&neighbours, &index.name))
        {
            let known = (index.uuid.clone(), index.docs);
            look.indices.insert(index.name.clone(), known);
            if !index.open {
                continue;
            }
            match names.kind(&index.name) {
                Kind::Other("update-log") => {
                    // A count refreshes: an upgrader that ended right before the first look has left entries that
                    // no search sees yet, and that a refresh in between would make look new.
                    if let Some(count) = database.count(&index.name, None).found()? {
                        let known = (index.uuid.clone(), count);
                        look.indices.insert(index.name.clone(), known);
                    }
                    let entries = all(&index.name, POSITIONS_MAX).found()?;
                    look.logged
                        .extend(entries.into_iter().flatten().map(|entry| entry.id));
                }
                Kind::Fixed(name) if POSITIONS.contains(&name) => {
                    for position in all(&index.name, POSITIONS_MAX).found()?.unwrap_or_default() {
                        let id = format!("{}/{}", position.index, position.id);
                        look.positions.insert(id, position.source);
                    }
                }
                _ => {}
            }
        }
        Ok(look)
    }
}

/// What moved between two looks, in words: what an upgrader does, and what an Optimize does.
#[derive(Debug, Default, PartialEq)]
struct Moved {
    schema: Vec<String>,
    data: Vec<String>,
}

fn moved(first: &Look, second: &Look, seen: &Seen) -> Moved {
    let mut moved = Moved::default();
    if first.metadata != second.metadata {
        moved
            .schema
            .push("the schema version's document changed".into());
    }
    for id in second.logged.difference(&first.logged) {
        moved.schema.push(format!("the update log got `{id}`"));
    }
    for (index, (uuid, docs)) in &first.indices {
        match second.indices.get(index) {
            None => moved.schema.push(format!("`{index}` is gone")),
            Some((now, _)) if now != uuid => moved.schema.push(format!("`{index}` was made anew")),
            Some((_, now)) if now != docs => {
                moved
                    .data
                    .push(format!("`{index}` had {docs} documents and has {now}"));
            }
            Some(_) => {}
        }
    }
    for index in second.indices.keys() {
        if first.indices.contains_key(index) {
            continue;
        }
        match seen.names.kind(index) {
            // A definition that was deployed gets its index at its first import.
            Kind::ProcessInstance(_) | Kind::DecisionInstance(_) => {
                moved.data.push(format!("`{index}` is new"));
            }
            _ => moved.schema.push(format!("`{index}` is new")),
        }
    }
    for (position, now) in &second.positions {
        if first.positions.get(position).is_some_and(|was| was != now) {
            moved
                .data
                .push(format!("import position `{position}` moved"));
        }
    }
    moved
}

/// What moved while the check looked.
pub(crate) fn between(first: &Look, second: &Look, seen: &Seen, goal: &Goal) -> Vec<Finding> {
    let moved = moved(first, second, seen);
    let mut found = Vec::new();
    if !moved.schema.is_empty() {
        let finding = Finding::blocker(SECOND)
            .subject(seen.names.all())
            .what(format!("while this check looked: {}", some(&moved.schema)));
        found.push(said(finding));
    }
    let runs = matches!(&seen.service, Some(status) if status.state != State::Stopped);
    // A bound Optimize that runs is told of by itself, and the plan stops it. In a run it is stopped already.
    let is_told = runs && matches!(goal.moment, Moment::Asked | Moment::BeforePlan);
    if !is_told && !moved.data.is_empty() {
        let stopped = seen.service.is_some() && !runs;
        found.push(
            Finding::warning("optimize.still-writing")
                .subject(seen.names.all())
                .what(format!("while this check looked: {}", some(&moved.data)))
                .why(if stopped {
                    "the bound Optimize is stopped, so another one runs on this site, or another program writes to it; \
                     what it writes during an upgrade can be lost"
                } else {
                    "an Optimize imports into this site; what it writes during an upgrade can be lost"
                })
                .remedy(
                    "find every Optimize of this site and stop it; the run watches, changes nothing while anything is \
                     written, and says what is",
                ),
        );
    }
    found
}

/// The id of all that tells of another upgrader.
const SECOND: &str = "optimize.second-upgrader";

fn said(finding: Finding) -> Finding {
    finding
        .why(
            "somebody else upgrades or restores this site, and two at once can fail each other in the middle: the \
             vendor's upgrader has no lock",
        )
        .remedy(
            "find it (a terminal with upgrade.sh, the migration container of a pod that starts) and let it end; what \
             it has done is found and not done again",
        )
}

/// Steps of the approved plan that are done already, and not by this run.
///
/// Before a run nothing is done by it. On resume every open attempt is settled before this is asked, so that a step
/// that is not done was not done by it. Then it is told and no more: each step looks at its object itself.
pub(crate) fn since_plan(seen: &Seen, goal: &Goal, steps: &[StepView]) -> Option<Finding> {
    let blocks = match goal.moment {
        Moment::BeforeRun => true,
        Moment::OnResume => false,
        _ => return None,
    };
    let by_name = map_of(&seen.indices);
    let mut done = Vec::new();
    for step in steps.iter().filter(|step| !step.is_done()) {
        let Ok(Some(memo)) = step.memo_as::<Value>() else {
            continue;
        };
        let text = |name: &str| memo[name].as_str();
        if let Some(id) = text("id") {
            if seen.log.contains_key(id) {
                done.push(format!("the update log has `{id}`"));
            }
        } else if let (Some(name), Some(uuid)) = (text("index"), text("uuid")) {
            match by_name.get(name) {
                None => done.push(format!("`{name}` is gone")),
                Some(index) if index.uuid != uuid => done.push(format!("`{name}` was made anew")),
                Some(_) => {}
            }
        } else if let Some(name) = text("template")
            && !seen.legacy_templates.iter().any(|one| one.name == name)
        {
            done.push(format!("the template `{name}` is gone"));
        }
    }
    if done.is_empty() {
        return None;
    }
    let finding = if blocks {
        Finding::blocker(SECOND)
    } else {
        Finding::warning(SECOND)
    };
    let finding = said(finding)
        .subject(seen.names.all())
        .what(format!("since this plan was made: {}", some(&done)));
    Some(if blocks {
        let remedy = format!("{}; then `liftlock plan {}`", finding.remedy, goal.asked);
        finding.remedy(remedy)
    } else {
        finding
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{goal, logged, site};

    fn look() -> Look {
        Look {
            metadata: Some("{}".into()),
            logged: BTreeSet::new(),
            positions: BTreeMap::from([("p/1".to_owned(), "1".to_owned())]),
            indices: BTreeMap::from([
                ("optimize-alert_v4".to_owned(), ("u1".to_owned(), 3)),
                ("optimize-tenant_v3".to_owned(), ("u2".to_owned(), 3)),
            ]),
        }
    }

    fn found(seen: &Seen, change: impl FnOnce(&mut Look)) -> Vec<String> {
        let mut second = look();
        change(&mut second);
        between(&look(), &second, seen, &goal(seen, "8.8.0"))
            .into_iter()
            .map(|finding| format!("{} {}", finding.id, finding.what))
            .collect()
    }

    #[test]
    fn a_site_that_stands_still_has_nobody_else() {
        assert_eq!(found(&site("8.7.0"), |_| {}), [""; 0]);
    }

    #[test]
    fn what_an_upgrader_does_between_two_looks_is_seen() {
        let seen = site("8.7.0");
        for (change, words) in [
            (
                (|look| look.metadata = None) as fn(&mut Look),
                "schema version",
            ),
            (
                |look| {
                    look.logged.insert("x".into());
                },
                "got `x`",
            ),
            (
                |look| drop(look.indices.remove("optimize-alert_v4")),
                "`optimize-alert_v4` is gone",
            ),
            (
                |look| look.indices.get_mut("optimize-alert_v4").unwrap().0 = "u9".into(),
                "made anew",
            ),
            (
                |look| {
                    drop(
                        look.indices
                            .insert("optimize-alert_v5".into(), Default::default()),
                    )
                },
                "`optimize-alert_v5` is new",
            ),
        ] {
            let found = found(&seen, change);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with("optimize.second-upgrader "),
                "{found:?}"
            );
            assert!(found[0].contains(words), "{found:?}");
        }
    }

    #[test]
    fn an_optimize_that_writes_although_none_should_run_is_told() {
        let writes: [fn(&mut Look); 3] = [
            |look| look.indices.get_mut("optimize-alert_v4").unwrap().1 = 4,
            |look| drop(look.positions.insert("p/1".into(), "2".into())),
            |look| {
                let name = "optimize-process-instance-new_v8".to_owned();
                drop(look.indices.insert(name, Default::default()));
            },
        ];
        for write in writes {
            let mut seen = site("8.7.0");
            seen.service.as_mut().unwrap().state = State::Ready;
            assert_eq!(found(&seen, write), [""; 0], "it is told of by itself");
            seen.service.as_mut().unwrap().state = State::Stopped;
            assert!(found(&seen, write)[0].starts_with("optimize.still-writing "));
            seen.service = None;
            assert!(found(&seen, write)[0].starts_with("optimize.still-writing "));
        }
    }

    fn step(id: &str, memo: Value, outcome: Option<&str>) -> StepView {
        StepView {
            id: id.into(),
            memo: Some(memo.to_string()),
            outcome: outcome.map(Into::into),
            evidence: None,
            at: None,
        }
    }

    #[test]
    fn what_was_done_since_the_plan_was_made_stops_a_run_before_it_begins() {
        let mut seen = site("8.7.0");
        let doomed = "optimize-variable-update-instance_v2-000001";
        let template = "optimize-external-process-variable_v2";
        let steps = |outcome: Option<&str>| {
            vec![
                step(
                    "delete-1-000001",
                    json!({ "index": doomed, "uuid": format!("uuid-of-{doomed}") }),
                    outcome,
                ),
                step("log-1", json!({ "id": "logged-id" }), outcome),
                step(
                    "delete-3-template",
                    json!({ "template": template }),
                    outcome,
                ),
            ]
        };
        let at = |seen: &Seen, moment: Moment, outcome: Option<&str>| {
            let goal = Goal {
                moment,
                ..goal(seen, "8.8.0")
            };
            since_plan(seen, &goal, &steps(outcome))
                .map(|finding| (finding.severity, finding.what, finding.remedy))
        };
        assert_eq!(at(&seen, Moment::BeforeRun, None), None);
        logged(&mut seen, ["logged-id".to_owned()]);
        seen.indices.retain(|index| index.name != doomed);
        seen.legacy_templates.retain(|one| one.name != template);
        let (severity, what, remedy) = at(&seen, Moment::BeforeRun, None).unwrap();
        assert_eq!(severity, Severity::Blocker);
        for part in ["`logged-id`", "instance_v2-000001` is gone", "template"] {
            assert!(what.contains(part), "{what}");
        }
        assert!(remedy.contains("`liftlock plan 8.8.0`"), "{remedy}");
        // On resume each step looks at its object itself, and what this run did is its own.
        let (severity, ..) = at(&seen, Moment::OnResume, None).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert_eq!(at(&seen, Moment::OnResume, Some("applied-ours")), None);
        assert_eq!(at(&seen, Moment::Asked, None), None);
    }
}

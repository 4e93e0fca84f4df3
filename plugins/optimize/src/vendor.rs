//! The strategy `vendor`: the vendor's own upgrader does the steps, as a task that the operator defined.
//!
//! Its exit code 0 proves nothing: it ends so on a wrong prefix, without metadata, and by an update log that was
//! kept too long. So what would make it lie is looked for before, and its end is read back from the metadata,
//! the update log and the cluster. Its last effect is the sync of settings behind the version, which leaves
//! nothing to be seen where nothing was tuned: a mark that the sync takes away shows that it got there.

use liftlock_sdk::prelude::*;

use crate::by_name::ByName;
use crate::check::{Goal, some};
use crate::descriptor::OPTIMIZE;
use crate::names::Kind;
use crate::outline::{Deletion, Outline};
use crate::plan::Writer;
use crate::seen::{METADATA_ID, Seen};
use crate::shipped::{DISTRIBUTION, Shipped};
use crate::told::{self, Told};
use crate::tuned::{self, Tuned};

/// The task of [`OPTIMIZE`] that runs the vendor's upgrader.
pub(crate) const TASK: &str = "upgrade";

/// The step that runs it.
pub(crate) const RUN: &str = "run-vendor-upgrader";

/// Capture right behind it.
const AFTER: &str = "after-vendor";

/// What a marked index has as its refresh interval until the sync sets its own: a value that nobody chooses.
const MARK: &str = "7331ms";

/// Most marked indices of process definitions, of which the first, the last and some between are taken.
const MARKS_MAX: usize = 4;

/// How long the read-back waits for what must be there when the upgrader has ended.
///
/// All of it is read in real time by id or name; the rest is for a cluster that is slow to answer.
const READ_BACK_MS: u64 = 15_000;

/// Who does the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Native,
    Vendor,
}

/// What is there for each strategy, and what was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ways {
    /// `auto`, `native` or `vendor`.
    pub(crate) asked: String,
    /// [`OPTIMIZE`] has the task.
    pub(crate) has_task: bool,
    pub(crate) shipped: Option<Shipped>,
    /// The configuration that the tool will read, as far as it is known.
    pub(crate) told: Option<Told>,
    /// What the vendor's sync sets.
    pub(crate) replicas: u32,
}

impl Ways {
    pub(crate) fn gather(site: &Site) -> Result<Self> {
        let has_task = site.has(OPTIMIZE)
            && Service::open(site, OPTIMIZE)?
                .tasks()?
                .iter()
                .any(|task| task == TASK);
        let replicas = site.option("synced-replicas")?;
        let shipped = Shipped::gather(site)?;
        Ok(Self {
            asked: site.option("strategy")?,
            has_task,
            told: if has_task {
                Told::gather(site, shipped.as_ref())?
            } else {
                None
            },
            shipped,
            replicas: replicas.parse().map_err(|_| {
                Error::Invalid(format!("the option `synced-replicas` is `{replicas}`"))
            })?,
        })
    }

    /// A distribution of exactly this release is bound.
    fn has_release(&self, to: &Version) -> bool {
        self.shipped
            .as_ref()
            .and_then(|shipped| shipped.version.as_ref())
            .is_some_and(|version| version.as_str() == to.as_str())
    }

    /// The vendor's tool where its release is bound and can be run, since only it brings the vendor's sync.
    pub(crate) fn strategy(&self, to: &Version) -> Strategy {
        match self.asked.as_str() {
            "vendor" => Strategy::Vendor,
            "auto" if self.has_task && self.has_release(to) => Strategy::Vendor,
            _ => Strategy::Native,
        }
    }
}

/// What speaks against running the vendor's tool here.
pub(crate) fn check(seen: &Seen, goal: &Goal, ways: &Ways, found: &mut Vec<Finding>) {
    if ways.strategy(&goal.to) == Strategy::Native {
        if ways.has_release(&goal.to) && !ways.has_task && ways.asked == "auto" {
            found.push(
                Finding::info("optimize.vendor-task-missing")
                    .subject(OPTIMIZE)
                    .what(format!("the distribution of {} is bound, and no task runs its upgrader", goal.to))
                    .why("so the steps are done without the vendor's tool, and without its sync of settings and mappings")
                    .remedy(format!(
                        "nothing to do; or define `[{OPTIMIZE}.tasks.{TASK}]` with `upgrade/upgrade.sh --skip-warning` as \
                         its command, and plan again"
                    )),
            );
        }
        return;
    }
    tool(goal, ways, found);
    site(seen, goal, found);
    told::check(seen, ways.told.as_ref(), found);
    renewed_and_tuned(seen, goal, ways, found);
}

/// Is it the right tool, and can it be run?
fn tool(goal: &Goal, ways: &Ways, found: &mut Vec<Finding>) {
    if !ways.has_task {
        found.push(
            Finding::blocker("optimize.vendor-task-missing")
                .subject(OPTIMIZE)
                .what(format!("it has no task `{TASK}`"))
                .why("the strategy is `vendor`, and nothing says how the vendor's upgrader is run here")
                .remedy(format!(
                    "define `[{OPTIMIZE}.tasks.{TASK}]` with `upgrade/upgrade.sh --skip-warning` as its command, in the \
                     directory of the new distribution; or set `strategy = \"native\"`"
                )),
        );
    }
    match &ways.shipped {
        None => found.push(
            Finding::warning("optimize.distribution-unknown")
                .subject(DISTRIBUTION)
                .what("no distribution is bound")
                .why("whether the task runs the upgrader of this release cannot be seen before it has run")
                .remedy("bind the directory of the new distribution"),
        ),
        Some(shipped) if shipped.version.is_none() => found.push(
            Finding::warning("optimize.distribution-unknown")
                .subject(DISTRIBUTION)
                .what("none of its files names a release")
                .why("whether the task runs the upgrader of this release cannot be seen before it has run")
                .remedy("make sure that the directory is that of the new distribution"),
        ),
        Some(shipped) if !ways.has_release(&goal.to) => found.push(
            Finding::blocker("optimize.distribution-of-another-release")
                .subject(DISTRIBUTION)
                .what(format!(
                    "it is the distribution of {}",
                    shipped.version.as_ref().map(ToString::to_string).unwrap_or_default()
                ))
                .why("its upgrader brings the schema to its own release and to no other, and ends well where it has nothing to do")
                .remedy(format!("unpack the distribution of {} there, then plan again", goal.to)),
        ),
        Some(_) => {}
    }
}

/// Sites on which the vendor's tool was seen to lose data, to die, or to do nothing and end well.
fn site(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    if seen.backups.is_none() {
        found.push(
            Finding::blocker("optimize.vendor-without-snapshot")
                .subject("snapshot.backups")
                .what("no snapshot repository is bound")
                .why("what the vendor's tool deletes can only come back from a snapshot")
                .remedy("bind a repository; or waive this finding with the reason"),
        );
    }
    if !seen.stray_aliases.is_empty() {
        let names: Vec<&str> = seen
            .stray_aliases
            .iter()
            .map(|alias| alias.name.as_str())
            .collect();
        found.push(
            Finding::blocker("optimize.vendor-stray-alias")
                .subject(some(&names))
                .what("an alias begins with `decision-instance-`, without a prefix, and is not Optimize's")
                .why("the vendor's tool takes it for its own and dies of it before its first step")
                .remedy("rename the alias; or set `strategy = \"native\"`, which does not mind"),
        );
    }
    let blocked: Vec<String> = seen
        .indices
        .iter()
        .filter(|index| !index.blocks.is_empty())
        .map(|index| format!("{} ({})", index.name, index.blocks.join(", ")))
        .collect();
    if !blocked.is_empty() {
        found.push(
            Finding::blocker("optimize.vendor-block")
                .subject(some(&blocked))
                .what("a block is set")
                .why(
                    "the vendor's tool writes the version first and dies of the block in its sync; or it passes and \
                     leaves the block, which Optimize then meets",
                )
                .remedy("find out who set it and why, then take it off"),
        );
    }
    if goal.hop().is_some_and(crate::edges::Hop::deletes_archives)
        && seen
            .indices
            .iter()
            .any(|index| matches!(seen.names.kind(&index.name), Kind::ProcessInstance(key) if key.starts_with("archive-")))
    {
        found.push(
            Finding::blocker("optimize.vendor-archives")
                .subject(seen.names.alias("process-instance-archive-*"))
                .what("there are archives of process instances")
                .why("the vendor's tool deletes them and makes them anew, empty, in its sync")
                .remedy("set `strategy = \"native\"`, which deletes them once"),
        );
    }
}

/// What gets a new version gets it from the vendor's tool with the vendor's settings, and a plan cannot name an index
/// that is not there yet.
fn renewed_and_tuned(seen: &Seen, goal: &Goal, ways: &Ways, found: &mut Vec<Finding>) {
    let Some(hop) = goal.hop() else {
        return;
    };
    let by = ByName::of(seen);
    for step in hop.steps(seen) {
        let (Some(source), None) = by.versions(&step) else {
            continue;
        };
        if source.replicas != ways.replicas {
            found.push(
                Finding::blocker("optimize.vendor-renews-tuned")
                    .subject(&source.name)
                    .what(format!("it has {} replicas and gets a new version", source.replicas))
                    .why(format!(
                        "the vendor's tool makes the new version with its own number, {}",
                        ways.replicas
                    ))
                    .remedy(
                        "set `strategy = \"native\"`, which keeps them; or say the number of the vendor's configuration in \
                         `synced-replicas`",
                    ),
            );
        }
    }
}

/// What else must be true at the end of a run that had the vendor's tool in it.
pub(crate) fn findings(run: &Run) -> Result<Vec<Finding>> {
    let Some(after) = run.capture(AFTER)? else {
        return Ok(Vec::new());
    };
    let unsynced: Vec<&str> = after
        .iter()
        .filter(|read| {
            let settings = read.answer.as_ref();
            settings.is_some_and(|settings| settings[tuned::REFRESH] == MARK)
        })
        .filter_map(|read| read.argument("index"))
        .collect();
    if unsynced.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![
        Finding::blocker("optimize.vendor-sync-missing")
            .subject(some(&unsynced))
            .what("the vendor's tool ended well, and its sync of settings and mappings did not get there")
            .why("the version stands in the metadata before the sync, so that another run of the tool does the sync only")
            .remedy(
                "read the tool's output in the run's evidence; run the same tool again by hand, or let Optimize do the \
                 sync at its start",
            ),
    ])
}

impl Writer<'_> {
    /// The vendor's tool in the place of our steps, and what it does not give back by itself.
    pub(crate) fn by_the_vendor(&self, ways: &Ways, snapshot: Option<&str>) -> Result<()> {
        let marked = marked(self.seen);
        let kept = tuned::read(
            self.database,
            self.seen,
            self.outline,
            ways.replicas,
            &marked,
        )?;
        for index in &marked {
            self.mark(index)?;
        }
        self.refresh_sources()?;
        self.run_upgrader(snapshot)?;
        self.plan
            .step(AFTER, Phase::Contract, "keep what the sync has set")
            .because("the version stands there before the sync; a mark that is gone shows that the sync came")
            .captures(
                AFTER,
                marked.iter().map(|index| self.database.read_settings(index)),
            )
            .add()?;
        for tuned in &kept {
            self.put_back(tuned)?;
        }
        Ok(())
    }

    fn mark(&self, index: &str) -> Result<()> {
        self.plan
            .step(
                format!("mark-{}", step_part(self.seen, index)),
                Phase::Switch,
                &format!("mark {index}, so that the vendor's sync shows"),
            )
            .because("the sync comes last and leaves no other trace; it sets this value to its own")
            .does(
                self.database
                    .put_settings(index, &json!({ tuned::REFRESH: MARK })),
            )
            .add()
            .map(drop)
    }

    /// The vendor's tool compares counts that a refresh has not reached.
    fn refresh_sources(&self) -> Result<()> {
        let sources: Vec<&str> = self
            .outline
            .updates()
            .map(|(_, update)| update.source.as_str())
            .collect();
        if sources.is_empty() {
            return Ok(());
        }
        self.plan
            .step("count-sources", Phase::Contract, "refresh and count what gets a new version")
            .because(
                "the vendor's tool skips a reindex where two counts are equal, and deletes the source: documents that \
                 no search sees yet would be lost",
            )
            .captures(
                "count-sources",
                sources
                    .iter()
                    .map(|source| self.database.read_checksum(source)),
            )
            .add()
            .map(drop)
    }

    fn run_upgrader(&self, snapshot: Option<&str>) -> Result<()> {
        let optimize = Service::open(self.site, OPTIMIZE)?;
        let outline = self.outline;
        let to = outline.to.to_string();
        let documents: u64 = outline.updates().map(|(_, update)| update.docs).sum();
        let mut step = self
            .plan
            .step(
                RUN,
                Phase::Contract,
                &format!("run the vendor's upgrader to {to}"),
            )
            .because(&format!(
                "{} of its {} steps are left; what it does is read back, whatever it says",
                outline.left.len(),
                outline.of
            ))
            .does(optimize.run_task(TASK, rerun_safe(outline)))
            .work("documents", documents)
            .memo(&json!({ "to": to }));
        if self.seen.backups.is_some() {
            let backups = Repository::open(self.site, crate::descriptor::BACKUPS)?;
            step = step.opens_when(
                "no snapshot runs",
                backups
                    .none_running()
                    .patience_ms(crate::around::SNAPSHOT_PATIENCE_MS),
            );
        }
        step = match snapshot {
            Some(snapshot) => step.undo_by_restore(snapshot),
            None => step.cannot_undo("no snapshot repository is bound"),
        };
        self.read_back(step, &to).add().map(drop)
    }

    /// The steps' effects, their entries in the update log, and the version.
    fn read_back(&self, mut step: StepBuilder, to: &str) -> StepBuilder {
        let database = self.database;
        let log = self.seen.names.update_log();
        for left in &self.outline.left {
            for deletion in &left.deletions {
                let (what, there) = match deletion {
                    Deletion::Index { name, .. } => (name, database.index_exists(name)),
                    Deletion::Template { name } => {
                        (name, database.template_exists(TemplateKind::Legacy, name))
                    }
                };
                step = step.ends_when(
                    &format!("{what} is gone"),
                    there.negated().patience_ms(READ_BACK_MS),
                );
            }
            if let Some(update) = &left.update {
                // Its documents are compared one by one at the end: a count of now would be one from before Optimize
                // was stopped.
                step = step
                    .ends_when(
                        &format!("{} is gone", update.source),
                        database
                            .index_exists(&update.source)
                            .negated()
                            .patience_ms(READ_BACK_MS),
                    )
                    .ends_when(
                        &format!("{} is there", update.target),
                        database
                            .index_exists(&update.target)
                            .patience_ms(READ_BACK_MS),
                    );
            }
            let id = self.outline.hop.log_id(self.seen, &left.step);
            let entry = json!({ "optimizeVersion": self.outline.hop.logged_as });
            step = step.ends_when(
                &format!("step {} stands in the update log", left.number),
                database
                    .document_contains(&log, &id, &entry)
                    .patience_ms(READ_BACK_MS),
            );
        }
        let version = json!({ "schemaVersion": to });
        step.ends_when(
            &format!("the schema version is {to}"),
            database
                .document_contains(&self.seen.names.metadata(), METADATA_ID, &version)
                .patience_ms(READ_BACK_MS),
        )
    }

    fn put_back(&self, tuned: &Tuned) -> Result<()> {
        self.plan
            .step(
                format!("keep-settings-{}", step_part(self.seen, &tuned.index)),
                Phase::Contract,
                &format!("put the settings of {} back", tuned.index),
            )
            .because("the vendor's sync sets them to its own configuration")
            .does(self.database.put_settings(&tuned.index, &tuned.settings))
            .add()
            .map(drop)
    }
}

/// Why the tool may be run again after a crash; none where it may not.
///
/// Where an index gets a new version it may not: the tool was seen to start a second reindex beside the one that
/// runs, and to take a half-filled copy for a whole one.
fn rerun_safe(outline: &Outline) -> Option<&'static str> {
    outline.updates().next().is_none().then_some(
        "all of its steps delete: it skips those that its update log has and finds the others' objects gone, and \
         before this run log and state agreed",
    )
}

/// Indices that the sync comes to last.
fn marked(seen: &Seen) -> Vec<String> {
    let mut dynamic: Vec<&str> = seen
        .indices
        .iter()
        .filter(|index| {
            index.open && matches!(seen.names.kind(&index.name), Kind::ProcessInstance(_))
        })
        .map(|index| index.name.as_str())
        .collect();
    dynamic.sort_unstable();
    if dynamic.len() > MARKS_MAX {
        let last = dynamic.len() - 1;
        dynamic = (0..MARKS_MAX)
            .filter_map(|at| dynamic.get(at * last / (MARKS_MAX - 1)).copied())
            .collect();
    }
    if dynamic.is_empty() {
        return vec![seen.names.metadata()];
    }
    dynamic.into_iter().map(ToOwned::to_owned).collect()
}

/// The part of an index name that can stand in a step's id: without the prefix, and short.
fn step_part(seen: &Seen, index: &str) -> String {
    /// An id has at most 80 characters, and our words before it are shorter than 20.
    const PART_MAX: usize = 60;
    let part: String = index
        .strip_prefix(&seen.names.alias(""))
        .unwrap_or(index)
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c) {
                c
            } else {
                '.'
            }
        })
        .collect();
    if part.len() <= PART_MAX && part.is_ascii() && !part.contains("..") {
        part
    } else {
        let mut names = seen.indices.iter().map(|known| &known.name);
        let at = names.position(|known| known == index).unwrap_or_default();
        format!("index-{at}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{alias, goal, index, site, site_3_13, version};

    fn ways(asked: &str) -> Ways {
        Ways {
            asked: asked.into(),
            has_task: true,
            shipped: Some(Shipped {
                version: Some(version("8.8.0")),
                config: Vec::new(),
            }),
            told: None,
            replicas: 1,
        }
    }

    fn found(ways: &Ways, change: impl FnOnce(&mut Seen)) -> Vec<String> {
        let mut seen = site("8.7.0");
        change(&mut seen);
        let goal = goal(&seen, "8.8.0");
        let mut found = Vec::new();
        check(&seen, &goal, ways, &mut found);
        found.into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn the_vendors_tool_is_the_default_where_its_release_is_bound_and_can_be_run() {
        let to = version("8.8.0");
        assert_eq!(ways("auto").strategy(&to), Strategy::Vendor);
        assert_eq!(ways("native").strategy(&to), Strategy::Native);
        assert_eq!(ways("auto").strategy(&version("8.8.1")), Strategy::Native);
        let without_task = Ways {
            has_task: false,
            ..ways("auto")
        };
        assert_eq!(without_task.strategy(&to), Strategy::Native);
        assert_eq!(
            found(&without_task, |_| {}),
            ["optimize.vendor-task-missing"]
        );
        let without_any = Ways {
            shipped: None,
            ..ways("auto")
        };
        assert_eq!(without_any.strategy(&to), Strategy::Native);
        assert_eq!(found(&without_any, |_| {}), [""; 0]);
    }

    #[test]
    fn a_tool_that_is_not_the_right_one_is_not_run() {
        let vendor = ways("vendor");
        assert_eq!(found(&vendor, |_| {}), [""; 0]);
        let mut other = vendor.clone();
        other.shipped.as_mut().unwrap().version = Some(version("8.8.1"));
        assert_eq!(
            found(&other, |_| {}),
            ["optimize.distribution-of-another-release"]
        );
        other.shipped.as_mut().unwrap().version = None;
        assert_eq!(found(&other, |_| {}), ["optimize.distribution-unknown"]);
        other.shipped = None;
        other.has_task = false;
        assert_eq!(
            found(&other, |_| {}),
            [
                "optimize.vendor-task-missing",
                "optimize.distribution-unknown"
            ]
        );
    }

    #[test]
    fn a_site_on_which_the_tool_dies_or_lies_is_refused() {
        let vendor = ways("vendor");
        assert_eq!(
            found(&vendor, |seen| seen.stray_aliases.push(alias(
                "decision-instance-foo",
                "x",
                None
            ))),
            ["optimize.vendor-stray-alias"]
        );
        assert_eq!(
            found(&vendor, |seen| seen.indices[0]
                .blocks
                .push("read_only".into())),
            ["optimize.vendor-block"]
        );
        assert_eq!(
            found(&vendor, |seen| seen.backups = None),
            ["optimize.vendor-without-snapshot"]
        );
    }

    #[test]
    fn tuned_replicas_of_what_gets_a_new_version_are_not_lost() {
        let mut seen = site_3_13();
        let goal = goal(&seen, "8.6.0");
        let mut vendor = ways("vendor");
        vendor.shipped.as_mut().unwrap().version = Some(version("8.6.0"));
        seen.indices
            .retain(|index| !index.name.contains("-archive-"));
        let ids = |seen: &Seen| {
            let mut found = Vec::new();
            check(seen, &goal, &vendor, &mut found);
            found
                .into_iter()
                .map(|finding| finding.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&seen), [""; 0]);
        for index in &mut seen.indices {
            if index.name == "optimize-settings_v2" {
                index.replicas = 0;
            }
        }
        assert_eq!(ids(&seen), ["optimize.vendor-renews-tuned"]);
    }

    #[test]
    fn the_mark_is_on_what_the_sync_reaches_last() {
        let mut seen = site("8.7.0");
        assert_eq!(
            marked(&seen),
            [
                "optimize-process-instance-invoice_v8",
                "optimize-process-instance-order_v8"
            ]
        );
        for number in 10..30 {
            let name = format!("optimize-process-instance-p{number}_v8");
            seen.indices.push(index(&name, 1));
        }
        let marked = marked(&seen);
        assert_eq!(marked.len(), MARKS_MAX);
        assert_eq!(marked[0], "optimize-process-instance-invoice_v8");
        assert_eq!(marked[3], "optimize-process-instance-p29_v8");
    }

    #[test]
    fn an_index_name_that_fits_no_step_id_is_numbered() {
        let mut seen = site("8.7.0");
        assert_eq!(step_part(&seen, "optimize-alert_v4"), "alert_v4");
        let long = format!("optimize-process-instance-{}_v8", "a".repeat(100));
        seen.indices.insert(0, index(&long, 1));
        assert_eq!(step_part(&seen, &long), "index-0");
    }
}

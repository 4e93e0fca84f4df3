//! The whole way back, chosen by the operator: the database from the dump, every node to the older version.
//!
//! No node serves meanwhile, and all that was written since the dump is lost. So it is no rollback: it is a plan of its
//! own, which names the dump by its digest and wants an approval of its own before the database is filled.

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::backup::{self, Backup};
use crate::check::{self, found};
use crate::descriptor::{BACKUPS, DATABASE, TOOLS};
use crate::manifest::Manifest;
use crate::nodes::{Node, Nodes, Place};
use crate::options::Options;
use crate::plan;
use crate::schema::{self, Schema};
use crate::standing::Standing;
use crate::version::{Minor, Release};

/// The condition's name.
pub(crate) const CONDITION: &str = "restored";

/// The step that fills the database.
const STEP: &str = "restore";

/// How long the operating system and the balancer get to see that a node serves.
const SERVES_MS: u64 = 3_000;

/// Where it leads, and what stands in the way.
#[derive(Debug)]
pub(crate) struct Restore {
    /// Whereto.
    to: Release,
    /// The dump's digest, as the operator gave it.
    sha256: String,
    /// When the dump's file was written, milliseconds since 1970; none: there is no such file.
    written_ms: Option<u64>,
    /// What speaks against it.
    blockers: Vec<Finding>,
    /// Servers that a run which was aborted, or somebody, left out.
    left_out: Vec<Finding>,
    /// The schema and every node are there already.
    is_there: bool,
}

impl Restore {
    /// Looks at the dump, the nodes and the schema.
    pub(crate) fn of(
        site: &Site,
        schema: &Schema,
        nodes: &Nodes,
        target: &Target,
        options: &Options,
        sha256: &str,
    ) -> Result<Self> {
        let to: Release = target
            .to
            .parse()
            .map_err(|error: crate::version::NoRelease| Error::Invalid(error.to_string()))?;
        let blocker =
            |id: &str, subject: &str, what: String| found(id, Severity::Blocker, subject, what);
        let mut blockers = Vec::new();
        let is_of_target = matches!(
            &schema.standing,
            Some(Standing::Settled(settled)) if settled.minor == to.minor
        );
        let artifact = to.to_string();
        let all_run_it = nodes
            .all
            .iter()
            .all(|node| node.artifact.as_deref() == Some(artifact.as_str()));
        if schema.minor().is_some_and(|minor| minor < to.minor) {
            blockers.push(blocker(
                "camunda.restore-not-back",
                "target",
                format!("{to} is not older than the schema"),
            ));
        }
        let mut written_ms = None;
        match Backup::of(site)? {
            Backup::Whole => {
                let backups = Directory::open(site, BACKUPS)?;
                let file = &options.backup_file;
                let entries = backups.entries()?;
                written_ms = entries
                    .iter()
                    .find(|entry| entry.name == *file)
                    .map(|entry| entry.modified);
                match backups.sha256(file).found()? {
                    None => blockers.push(blocker(
                        "camunda.restore-of-another-dump",
                        file,
                        format!("`{BACKUPS}` has no such file"),
                    )),
                    Some(its) if its != sha256 => blockers.push(blocker(
                        "camunda.restore-of-another-dump",
                        file,
                        format!("it has sha256 {its}; the option `restore` says {sha256}"),
                    )),
                    Some(_) => {}
                }
            }
            Backup::Partial(lacks) => blockers.push(blocker(
                "camunda.backup-incomplete",
                "backup",
                format!("not bound: {}", lacks.join(", ")),
            )),
            Backup::None => blockers.push(blocker(
                "camunda.no-backup",
                "backup",
                "nothing is bound that could be restored".into(),
            )),
        }
        let left_out = nodes.all.iter().flat_map(check::left_out).collect();
        for node in &nodes.all {
            if !node.available.contains(&artifact) {
                blockers.push(blocker(
                    "camunda.artifact-missing",
                    &node.name,
                    format!(
                        "its versions are {}; there is no `{artifact}`",
                        node.available.join(", ")
                    ),
                ));
            }
        }
        Ok(Self {
            to,
            sha256: sha256.to_owned(),
            written_ms,
            blockers,
            left_out,
            is_there: is_of_target && all_run_it,
        })
    }

    /// Everything that is found.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        if self.is_there {
            let there = found(
                "camunda.already-there",
                Severity::Info,
                "site",
                format!("schema and nodes are {}", self.to),
            );
            return [vec![there], self.left_out.clone()].concat();
        }
        let mut all = self.blockers.clone();
        all.extend(self.left_out.iter().cloned());
        all.push(found(
            "camunda.restore-loses",
            Severity::Warning,
            "database",
            self.loss(),
        ));
        all
    }

    /// What is lost. The same at every look: no count of what engines write now.
    fn loss(&self) -> String {
        let since = self.written_ms.map_or_else(
            || "the dump".into(),
            |ms| format!("the dump of {}", utc(ms)),
        );
        format!(
            "every instance, task, deployment and variable that was written since {since} is lost; no node serves while \
             it is restored"
        )
    }

    /// All nodes stop, the database is filled, all nodes start as the older version.
    pub(crate) fn propose(
        &self,
        site: &Site,
        nodes: &Nodes,
        options: &Options,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        if self.is_there {
            return Ok(());
        }
        if !self.blockers.is_empty() {
            return Err(Refusal::Blocked(self.blockers.clone()));
        }
        for node in nodes.all.iter().filter(|node| !is_stopped(node)) {
            let service = Service::open(site, &node.binding)?;
            plan.step(
                format!("{}-stop", node.name),
                Phase::Prepare,
                &format!("{}: stop", node.name),
            )
            .because("no engine may be on the database while it is filled")
            .does(service.stop())
            .work("restarts", 1)
            .add()?;
        }
        self.fill(site, nodes, options, plan)?;
        for node in &nodes.all {
            self.switch(site, node, plan)?;
        }
        for node in &nodes.all {
            self.start(site, node, options, plan)?;
        }
        plan.summary(&format!(
            "full restore to {}: {} nodes stop, the database is filled from the dump with sha256 {}, the nodes start as \
             {}",
            self.to,
            nodes.all.len(),
            self.sha256,
            self.to
        ));
        plan.not_done(
            "the option `restore` stays set: take it out of site.toml before the next upgrade",
        );
        Ok(())
    }

    fn fill(
        &self,
        site: &Site,
        nodes: &Nodes,
        options: &Options,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let tools = Service::open(site, TOOLS)?;
        let backups = Directory::open(site, BACKUPS)?;
        let file = &options.backup_file;
        let mut step = plan
            .step(STEP, Phase::Expand, "fill the database from the dump")
            .because("the vendor has no script that leads back")
            .does(tools.run_task(
                backup::RESTORE,
                Some("it empties the database and fills it from the same file: the same end"),
            ))
            .cannot_undo("what the database held is not kept")
            .own_approval(&self.loss())
            .opens_when(
                "the file is the dump that was named",
                backups.file_has(file, &self.sha256).patience_ms(0),
            );
        for node in &nodes.all {
            let service = Service::open(site, &node.binding)?;
            step = step.opens_when(&format!("{} is stopped", node.name), service.stopped());
        }
        step.add()?;
        plan.step("restored", Phase::Expand, "compare what was restored")
            .because("an older engine is not started on anything but its own schema")
            .captures("restored", [backups.read_sha256(file)])
            .opens_when(
                &format!("the schema is that of {}", self.to.minor),
                asked(CONDITION, &json!({ "minor": self.to.minor.to_string() })).patience_ms(0),
            )
            .add()?;
        Ok(())
    }

    fn switch(
        &self,
        site: &Site,
        node: &Node,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let artifact = self.to.to_string();
        if node.artifact.as_deref() == Some(artifact.as_str()) {
            return Ok(());
        }
        let service = Service::open(site, &node.binding)?;
        plan.step(
            format!("{}-switch", node.name),
            Phase::Switch,
            &format!("{}: to {artifact}", node.name),
        )
        .does(service.switch_artifact(&artifact))
        .add()?;
        Ok(())
    }

    fn start(
        &self,
        site: &Site,
        node: &Node,
        options: &Options,
        plan: &Plan<'_>,
    ) -> std::result::Result<(), Refusal> {
        let rest = Endpoint::open(site, &node.endpoint)?;
        let version = json!({ "version": self.to.to_string() }).to_string();
        let mut step = plan.step(
            format!("{}-start", node.name),
            Phase::Switch,
            &format!("{}: start", node.name),
        );
        step = if is_stopped(node) {
            step.does(Service::open(site, &node.binding)?.start())
        } else {
            step.gives_back(&format!("{}-stop", node.name))
        };
        step = step
            .ends_when(
                &format!("{} says that it is {}", node.name, self.to),
                rest.answers("/version", &[], 200, &version),
            )
            .ends_when(
                &format!("{} reads the database", node.name),
                rest.answers("/job/count", &[], 200, "{}"),
            );
        for place in node.places.iter().filter(|place| place.is_ready) {
            let balancer = Balancer::open(site, &place.balancer)?;
            step = step.ends_when(
                &format!("{} serves in {}", node.name, place.backend),
                balancer
                    .serving(&place.backend, &place.server)
                    .stable_for_ms(SERVES_MS),
            );
        }
        step.add()?;
        if let Some(process) = &options.canary {
            plan::canary_step(&rest, node, process, plan, false)?;
        }
        for (at, place) in node.places.iter().enumerate() {
            if !place.is_ready {
                give_back(site, node, at, place, plan)?;
            }
        }
        Ok(())
    }
}

/// A server that a run which was aborted left out gets its requests again: it would be missed for good.
fn give_back(
    site: &Site,
    node: &Node,
    at: usize,
    place: &Place,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let balancer = Balancer::open(site, &place.balancer)?;
    plan.step(
        format!("{}-ready-{}", node.name, at + 1),
        Phase::Switch,
        &format!("{}: requests again", node.name),
    )
    .because("it was left out before this plan was made, and every node of the older version is to serve")
    .does(balancer.set_state(&place.backend, &place.server, Administrative::Ready))
    .stays("a server that is ready is what every site begins with")
    .ends_when(
        &format!("{} serves in {}", node.name, place.backend),
        balancer
            .serving(&place.backend, &place.server)
            .stable_for_ms(SERVES_MS),
    )
    .add()?;
    Ok(())
}

fn is_stopped(node: &Node) -> bool {
    matches!(node.state, State::Stopped)
}

/// The schema is the older version's, object by object.
pub(crate) fn observe(site: &Site, input: &Value) -> Result<Observation> {
    let minor: Minor = input
        .get("minor")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Invalid(format!("the condition `{CONDITION}` with {input}")))?;
    let (family, catalog) = schema::catalog_of(&Database::open(site, DATABASE)?)?;
    let found = Manifest::of(family).compare(&catalog, minor);
    let mut told: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    if found.lacks_patches_only() {
        told.clear();
    }
    told.extend(
        found
            .ahead
            .iter()
            .map(|object| format!("{object} is of a later version")),
    );
    Ok(Observation {
        holds: told.is_empty(),
        seen: json!({ "tables": catalog.tables.len(), "differences": told.len() }),
        why: told::first(&told, "; "),
    })
}

/// An instant for people: `2026-11-22T05:14:03Z`.
fn utc(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_second(seconds) {
        Ok(at) => at.to_string(),
        // After the year 9999, which a damaged file system can say.
        Err(_) => format!("{seconds} s after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_a_date() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00Z"),
            (1_798_761_599_000, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
        assert!(utc(u64::MAX).ends_with("s after 1970"));
    }
}

//! The database's own upgrade, node by node and before Optimize's: a plan of its own, where the option `database` says to
//! which version (host/decisions/0017).
//!
//! - [`check`]: what speaks against it, or should be known before
//! - [`plan`]: the steps, with Optimize's own around those of the nodes

mod check;
mod plan;

pub(crate) use check::findings;
pub(crate) use plan::propose;

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::{self, ALLOCATION, Rolling, View};

use crate::check::Goal;
use crate::descriptor::DATABASE;
use crate::seen::{Seen, seconds};
use crate::validate::{self, Kept};

/// What ids of findings begin with.
pub(crate) const IDS: &str = "optimize";

/// What the binding of a node's service begins with.
const NODES: &str = "service.node-";

/// The capture with which every plan of this kind begins, and no other.
const KEPT: &str = "keep-settings";

/// Why nothing of a node goes back.
const NODE_STAYS: &str = "a node does not start as an older version on data that a newer one has written: going back is a new cluster of the \
     old version and a restore of the snapshot. What is not upgraded yet stays as it is, and both serve together until the \
     run goes on";

/// What the operator wants of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The version that every node gets.
    pub(crate) to: String,
    outages_accepted: bool,
    settle_ms: u64,
}

impl Wanted {
    /// None where the database stays as it is.
    pub(crate) fn of(site: &Site) -> Result<Option<Self>> {
        let to = site.option("database")?;
        if to.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            to,
            outages_accepted: site.option("outages")? == "accepted",
            settle_ms: seconds("settle-seconds", &site.option("settle-seconds")?)?,
        }))
    }

    /// This plan, or the run in hand, is the database's: a node is older, or its plan was approved.
    pub(crate) fn is_first(&self, seen: &Seen, steps: &[StepView]) -> bool {
        steps.iter().any(|step| step.id == KEPT) || self.is_open(seen)
    }

    fn is_open(&self, seen: &Seen) -> bool {
        let Ok(to) = self.to.parse::<Version>() else {
            // What is wrong with it is a finding.
            return true;
        };
        let is_older = |its: &&str| its.parse::<Version>().is_ok_and(|its| its < to);
        !to.is_exact() || seen.versions().values().any(is_older)
    }

    fn rolling<'a>(&'a self, flushed: &'a [String]) -> Rolling<'a> {
        Rolling {
            ids: IDS,
            to: &self.to,
            flushed,
            outages_accepted: self.outages_accepted,
            settle_ms: self.settle_ms,
            stays: NODE_STAYS,
        }
    }
}

/// What only this plan looks at.
#[derive(Debug)]
struct Nodes {
    /// Of every index.
    shards: Vec<Shard>,
    /// Keys of settings that the server put aside.
    archived: Vec<String>,
    /// Services that are nodes.
    bound: Vec<rolling::Bound>,
}

impl Nodes {
    fn gather(site: &Site) -> Result<Self> {
        let database = Cluster::open(site, DATABASE)?;
        let archived = database.archived()?;
        Ok(Self {
            shards: database.shards("*")?,
            archived: archived.into_iter().map(|one| one.key).collect(),
            bound: rolling::gather(site, NODES)?,
        })
    }

    fn view<'a>(&'a self, seen: &'a Seen) -> View<'a> {
        View {
            shards: &self.shards,
            ..seen.rolling()
        }
    }
}

/// What is not as it should be after the run: a node of another version, or anything that changed beside the nodes.
pub(crate) fn validate(
    seen: &Seen,
    settled: &Seen,
    wanted: &Wanted,
    kept: &Kept,
    neighbours: &[Index],
) -> Vec<Finding> {
    let mut found = wanted.rolling(&[]).not_reached(seen.rolling());
    validate::nothing_changed(settled, kept, neighbours, &mut found);
    validate::health(seen, &mut found);
    found
}

/// A condition between its steps, by its name.
pub(crate) fn observe(site: &Site, name: &str, input: &Value) -> Result<Observation> {
    rolling::observe(site, IDS, DATABASE, name, input)?
        .ok_or_else(|| Error::Invalid(format!("`{name}` is no condition of this plugin")))
}

/// Verbs on the database that only this plan needs.
pub(crate) fn verbs(on: Request) -> Request {
    let allocation = format!("{{database?}}{ALLOCATION}");
    let explain = format!("{{database?}}{}", rolling::EXPLAIN);
    on.verb(
        "cluster.raw-read",
        &[&explain],
        "why a shard that is waited for has no place",
    )
    .verb(
        "cluster.flush",
        // Neighbours' too: a flush changes no document.
        &["{database?}{prefix}-*"],
        "a node that is started again is soon whole",
    )
    .verb(
        "cluster.set-cluster-setting",
        &[&allocation],
        "while a node is away its replicas are not built anew elsewhere",
    )
    .verb(
        "cluster.set-transient-setting",
        &[&allocation],
        "the same, where the operator has set it for a time",
    )
    .verb(
        "cluster.remove-archived-settings",
        &["{database?}archived.*"],
        "settings that the server put aside; with one of them it can refuse every other",
    )
}

/// The nodes.
pub(crate) fn nodes() -> Request {
    describe::many(
        "service.node-*",
        "the nodes of the database, where the option `database` is set; the label `node` of each is its `node.name`",
    )
    .verb(
        "service.read",
        &["{database?}"],
        "their state, labels and versions",
    )
    .verb(
        "service.stop",
        &["{database?}"],
        "a node is changed while it is down",
    )
    .verb(
        "service.switch-artifact",
        &["{database}"],
        "it runs the new version then",
    )
}

/// What the operator can choose.
pub(crate) fn options() -> [OptionSpec; 3] {
    [
        describe::text(
            "database",
            "",
            "the version that the nodes of the database get first, by a plan of its own, written out: `2.19.1`; each \
             has a directory of that name among its versions. Empty: the database stays as it is",
        ),
        describe::choice(
            "outages",
            &["refused", "accepted"],
            "with `database`: `accepted`: indices without a replica cannot be read while their node is down, nor any \
             where the cluster has no elected manager for a moment",
        ),
        describe::number(
            "settle-seconds",
            3_600,
            "with `database`: how long the shards of a node that is back are waited for",
        ),
    ]
}

/// The nodes of the database first, where the option says so and the run in hand is of them.
pub(crate) fn first<'a>(seen: &'a Seen, goal: &Goal) -> Option<&'a Wanted> {
    seen.wanted.as_ref().filter(|_| goal.is_of_database)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::site;

    pub(super) fn wanted(to: &str) -> Wanted {
        Wanted {
            to: to.into(),
            outages_accepted: false,
            settle_ms: 1,
        }
    }

    fn step(id: &str) -> StepView {
        StepView {
            id: id.into(),
            memo: None,
            outcome: None,
            evidence: None,
            at: None,
        }
    }

    #[test]
    fn the_database_comes_first_while_a_node_is_older_and_as_long_as_its_run_goes_on() {
        let seen = site("8.7.0");
        assert!(wanted("8.19.14").is_first(&seen, &[]));
        assert!(!wanted("8.19.13").is_first(&seen, &[]));
        assert!(wanted("8.19.13").is_first(&seen, &[step(KEPT)]));
        assert!(!wanted("8.19.13").is_first(&seen, &[step("baseline")]));
        // A newer node: nothing of it is older.
        assert!(!wanted("8.19.0").is_first(&seen, &[]));
        for no_release in ["8.20", "latest"] {
            assert!(wanted(no_release).is_first(&seen, &[]), "{no_release}");
        }
    }
}

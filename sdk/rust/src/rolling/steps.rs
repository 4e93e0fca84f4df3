//! The steps of one node, and those that come before any node.

use crate::Result;
use crate::capability::{Cluster, Service};
use crate::plan::{Phase, Plan};
use crate::site::Site;

use super::{
    Bound, Member, Rolling, conditions, is_manager_eligible, keep_replicas_where_they_are,
};

/// Why the last node of the old version does not go back once it is stopped.
const LAST_STAYS: &str = "it was the last node of the old version, and once that has left none can join again: it goes on as the new \
     one. A resumed run does that; after a rollback switch it to the new version and start it";

/// What one node is among all.
#[derive(Debug, Clone, Copy)]
struct Among {
    /// The last of the old version.
    is_last: bool,
    /// How many can be elected.
    managers: usize,
}

impl Rolling<'_> {
    /// Takes off what the server put aside: with it some servers refuse every setting, allocation too. These are keys as
    /// [`Cluster::archived`] gives them; none, no step.
    ///
    /// # Errors
    /// The host's: outside the grant of `cluster.remove-archived-settings`, or an id that the plan has already.
    pub fn remove_archived(&self, on: &Cluster, keys: &[String], plan: &Plan<'_>) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        plan.step(
            "remove-archived-settings",
            Phase::Prepare,
            "remove settings that the server put aside",
        )
        .because("no node uses them, and with them a change of any setting can be refused")
        .does(on.remove_archived_settings(keys))
        .cannot_undo("no server takes such settings back; their values are kept in the journal")
        .add()
        .map(drop)
    }

    /// All of these nodes, which are those of an older version, in this order, in phase `switch`. Of each: allocation borrowed, flushed, stopped, switched, started, in the cluster with the new
    /// version, allocation given back, shards waited for.
    ///
    /// Every step of a node is of the unit that its service's binding names. Ids are the unit and `-hold`, `-flush`, `-stop`,
    /// `-switch`, `-start`, `-release`.
    ///
    /// # Errors
    /// The host's: outside the grant of one of the verbs, or an id that the plan has already.
    pub fn take(
        &self,
        site: &Site,
        on: &Cluster,
        members: &[Member<'_>],
        plan: &Plan<'_>,
    ) -> Result<()> {
        let nodes = on.nodes()?;
        let managers = nodes.iter().filter(|node| is_manager_eligible(node));
        let managers = managers.count();
        for (at, member) in members.iter().enumerate() {
            let among = Among {
                is_last: at + 1 == members.len(),
                managers,
            };
            self.take_one(site, on, *member, among, plan)?;
        }
        Ok(())
    }

    fn take_one(
        &self,
        site: &Site,
        on: &Cluster,
        Member { node, bound }: Member<'_>,
        among: Among,
        plan: &Plan<'_>,
    ) -> Result<()> {
        let Bound { unit, binding, .. } = bound;
        let service = Service::open(site, binding)?;
        let step = |what: &str, title: &str| {
            plan.step(
                format!("{unit}-{what}"),
                Phase::Switch,
                &format!("{}: {title}", node.name),
            )
            .unit(unit)
        };
        step("hold", "leave replicas where they are")
            .because("else its replicas would be built anew elsewhere while it is away")
            .opens_when(
                "no shard is worth waiting for, or it is away already",
                conditions::settled_or_away(&node.name, self.settle_ms),
            )
            .does(keep_replicas_where_they_are(on))
            .add()?;
        let flushed: Vec<&str> = self.flushed.iter().map(String::as_str).collect();
        step("flush", "write to disk what only logs hold")
            .because("so it has less to read when it starts")
            .does(on.flush(&flushed, &[]))
            .add()?;
        let stop = step("stop", "stop")
            .opens_when(
                "another copy of all that it holds is started",
                conditions::may_stop(&node.name, self.to, self.outages_accepted),
            )
            .does(service.stop())
            .work("restarts", 1);
        let stop = if self.outages_accepted {
            stop
        } else {
            stop.opens_when(
                "enough nodes that can be elected stay",
                conditions::managers_stay(&node.name, among.managers),
            )
        };
        if among.is_last {
            stop.stays(LAST_STAYS).add()?;
        } else {
            stop.add()?;
        }
        step("switch", &format!("to {}", self.to))
            .does(service.switch_artifact(self.to))
            .stays(self.stays)
            .add()?;
        step("start", "start")
            .gives_back(&format!("{unit}-stop"))
            .ends_when("it is in the cluster", conditions::joined(&node.name))
            .ends_when(
                &format!("as {}", self.to),
                conditions::runs(&node.name, self.to),
            )
            .add()?;
        step("release", "replicas may be built again")
            .gives_back(&format!("{unit}-hold"))
            .ends_when(
                "no shard is worth waiting for",
                conditions::settled(self.settle_ms),
            )
            .add()?;
        Ok(())
    }
}

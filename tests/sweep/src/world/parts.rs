//! Processes on a world: what a runner is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::anyhow;
use liftlock_gate::Bindings;
use liftlock_gate::Parts;
use liftlock_gate::StopSignal;
use liftlock_gate::Timing;
use liftlock_gate::Who;
use liftlock_types::Capability;
use liftlock_types::Plan;
use liftlock_types::RunId;

use super::HERE;
use super::RUN;
use super::Round;
use super::World;
use super::bindings::bindings;
use crate::guest::SitePlanner;
use crate::life::Assemble;
use crate::life::Life;
use crate::life::Orders;
use crate::life::Work;
use crate::watch::Watched;

/// The gate's waits. The simulated cluster does everything at once, or when it is told to.
const TIMING: Timing = Timing {
    effect_ms: 60,
    settle_ms: 120,
    unreadable_ms: 150,
    watch_every_ms: 0,
};

impl World {
    /// Lets a process live.
    pub fn live(&self, round: &mut Round, work: Work, orders: Orders) -> anyhow::Result<Life> {
        round.lives += 1;
        let parts = self.assemble(round, round.lives, RUN, HERE)?;
        Life::begin(&round.ground, round.lives, work, orders, parts)
    }

    /// Lets a process of another run, or of another host, live.
    pub fn live_as(
        &self,
        round: &mut Round,
        run: &str,
        host: &str,
        work: Work,
        orders: Orders,
    ) -> anyhow::Result<Life> {
        round.lives += 1;
        let parts = self.assemble(round, round.lives, run, host)?;
        Life::begin(&round.ground, round.lives, work, orders, parts)
    }

    fn assemble(
        &self,
        round: &Round,
        life: u32,
        run: &str,
        host: &str,
    ) -> anyhow::Result<Assemble> {
        let (sim, optimize, guest) = (self.sim.clone(), self.optimize.clone(), self.guest.clone());
        let (kept, ledger) = (self.kept(), round.ground.ledger.clone());
        let host = host.to_owned();
        let config = self.folder.path().join("config");
        let script = &self.script;
        let (plan, grant, approval) = (
            script.plan.clone(),
            script.grant.clone(),
            script.approval.clone(),
        );
        let (identities, target, made_at_ms) = (
            script.identities.clone(),
            script.target.clone(),
            script.made_at_ms,
        );
        let side_by_side = self.way.at_once;
        let run = RunId::new(run).map_err(|error| anyhow!(error.to_string()))?;
        Ok(Box::new(move |journal, observer| {
            let plain = bindings(&sim, &optimize, &config, &kept)?;
            let planner = SitePlanner::new(&guest, &plain, &identities, &grant, target, made_at_ms)
                .of_plan(plan.clone());
            let mut watched: Bindings = BTreeMap::new();
            for (binding, inner) in plain {
                let capability = Watched {
                    inner,
                    ledger: ledger.clone(),
                    life,
                };
                watched.insert(binding, Arc::new(capability) as Arc<dyn Capability>);
            }
            Ok(Parts {
                journal,
                run,
                plan: Plan::clone(&plan),
                earlier: Vec::new(),
                reads: Vec::new(),
                made_by: "sweep".into(),
                grant,
                bindings: watched,
                planner: Arc::new(planner),
                observer,
                stop: StopSignal::default(),
                approvals: vec![approval],
                approvals_wanted: 1,
                side_by_side,
                who: Who {
                    by: "sweep".into(),
                    host,
                    state_dir: "state".into(),
                },
                timing: TIMING,
            })
        }))
    }
}

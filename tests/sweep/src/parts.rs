//! What a process is made of: a runner's parts, with every binding watched.

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

use crate::between::Through;
use crate::guest::Guest;
use crate::guest::SitePlanner;
use crate::ledger::Ledger;
use crate::life::Assemble;
use crate::script::Script;
use crate::watch::Watched;

/// The gate's waits. Simulated targets do everything at once, or when they are told to.
const TIMING: Timing = Timing {
    effect_ms: 60,
    settle_ms: 120,
    unreadable_ms: 150,
    watch_every_ms: 0,
};

/// What a process needs.
pub struct Assembly<'a> {
    /// Who plans.
    pub guest: &'a Guest,
    /// What is run.
    pub script: &'a Script,
    /// Steps at the same time.
    pub side_by_side: usize,
    /// Where it is written down.
    pub ledger: Ledger,
    /// Which process.
    pub life: u32,
    /// Opens the targets, inside the process.
    pub bindings: Box<dyn FnOnce() -> anyhow::Result<Bindings> + Send>,
}

/// Puts it together, as a process of this run on this host.
pub fn assemble(of: Assembly<'_>, run: &str, host: &str) -> anyhow::Result<Assemble> {
    let Assembly {
        guest,
        script,
        side_by_side,
        ledger,
        life,
        bindings,
    } = of;
    let (guest, script, host) = (guest.clone(), script.clone(), host.to_owned());
    let run = RunId::new(run).map_err(|error| anyhow!(error.to_string()))?;
    Ok(Box::new(move |journal, observer| {
        let plain = bindings()?;
        let planner = SitePlanner::new(
            &guest,
            &plain,
            &script.identities,
            &script.grant,
            script.target,
            script.made_at_ms,
        )
        .hastened_by(script.hastens)
        .of_plan(script.plan.clone());
        let mut watched: Bindings = BTreeMap::new();
        for (binding, inner) in plain {
            let capability = Through(Watched {
                inner,
                ledger: ledger.clone(),
                life,
            });
            watched.insert(binding, Arc::new(capability) as Arc<dyn Capability>);
        }
        Ok(Parts {
            journal,
            run,
            plan: Plan::clone(&script.plan),
            earlier: Vec::new(),
            reads: Vec::new(),
            made_by: "sweep".into(),
            grant: script.grant,
            bindings: watched,
            planner: Arc::new(planner),
            observer,
            stop: StopSignal::default(),
            approvals: vec![script.approval],
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

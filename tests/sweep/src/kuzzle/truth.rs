//! What the targets themselves show of a change: no capability, no gate.

use liftlock_testkit::SimCluster;
use liftlock_types::Change;

use super::collections::REPOSITORY;
use super::machines::Machines;
use crate::truth;

/// Does the effect of a step hold now? None for kinds that leave nothing to see.
pub fn holds(sim: &SimCluster, machines: &Machines, step: &str, change: &Change) -> Option<bool> {
    let seen = machines.seen();
    let service = service_of(machines, step);
    Some(match change {
        Change::StopService {} => seen["running"][&service] == false,
        Change::StartService {} => seen["running"][&service] == true,
        Change::SwitchArtifact { to, .. } => seen["versions"][&service]["artifact"] == to.as_str(),
        Change::SetClusterSetting { key, value } => {
            let (_, all) = sim.call("GET", "/_cluster/settings?flat_settings=true", "");
            all["persistent"][key].as_str() == value.as_deref()
        }
        Change::TakeSnapshot { name, .. } => {
            let ask = |path: &str| sim.call("GET", path, "");
            truth::has_snapshot(&ask, REPOSITORY, name.as_str())
        }
        Change::EditFile { hunks, .. } => {
            let text = machines.configuration();
            hunks.iter().all(|hunk| text.contains(&hunk.new))
        }
        _ => return None,
    })
}

/// The service that a step belongs to: ids of its steps, and of what takes them back, hold its name. Empty: none.
pub fn service_of(machines: &Machines, step: &str) -> String {
    let names = machines.names();
    let its = names.into_iter().find(|name| step.contains(name.as_str()));
    its.unwrap_or_default()
}

//! What the targets themselves show of a change: no capability, no gate.

use liftlock_testkit::SimCluster;
use liftlock_types::Change;
use liftlock_types::contains;
use serde_json::Value;

use super::ground::COLLECTIONS;
use super::ground::REPOSITORY;
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

/// The same of what a plan does to a new cluster, or with a registration of the store. `before`: indices of the old
/// cluster at the beginning; clients may have written to it since.
pub fn of_the_new(
    before: &Value,
    old: &SimCluster,
    new: &SimCluster,
    step: &str,
    change: &Change,
) -> Option<bool> {
    let on = if step.contains("register-new") {
        new
    } else {
        old
    };
    let registered = || on.call("GET", &format!("/_snapshot/{REPOSITORY}"), "").1;
    let indices = || new.state_json()["indices"].take();
    Some(match change {
        Change::RegisterRepository { settings, .. } => {
            let found = &registered()[REPOSITORY]["settings"];
            let settings = settings.value();
            let is_so = |key: &str| text(&found[key]) == text(&settings[key]);
            is_so("location") && is_so("readonly")
        }
        Change::UnregisterRepository { .. } => registered()[REPOSITORY].is_null(),
        Change::RestoreInto { .. } => {
            let here = indices();
            let mut names = COLLECTIONS.iter();
            names.all(|(name, _)| contains(&here[name]["docs"], &before[name]["docs"]))
        }
        Change::DeleteIndex { name, .. } => indices()[name.as_str()].is_null(),
        _ => return None,
    })
}

/// As servers show a setting: always as text.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The service that a step belongs to: ids of its steps, and of what takes them back, hold its name. Empty: none.
pub fn service_of(machines: &Machines, step: &str) -> String {
    let names = machines.names();
    let its = names.into_iter().find(|name| step.contains(name.as_str()));
    its.unwrap_or_default()
}

//! What the target itself shows of a change, read inside the simulator: no capability, no gate.

use std::cell::Cell;

use liftlock_testkit::SimCluster;
use liftlock_types::AliasAction;
use liftlock_types::Change;
use liftlock_types::Json;
use liftlock_types::contains;
use serde_json::Value;

use crate::service::Switch;
use crate::world::REPOSITORY;

/// Does the effect hold now? None for kinds that leave nothing to see, and while a node is gone that would tell.
pub fn holds(sim: &SimCluster, optimize: &Switch, change: &Change) -> Option<bool> {
    let is_away = Cell::new(false);
    let ask = |path: &str| {
        let answer = sim.call("GET", path, "");
        is_away.set(is_away.get() || answer.0 >= 500);
        answer
    };
    let holds = match change {
        Change::CreateIndex { name, .. } => ask(&format!("/{name}")).0 == 200,
        Change::DeleteIndex { name, uuid } => {
            let (status, answer) = ask(&format!("/{name}"));
            let found = answer
                .pointer(&format!("/{name}/settings/index/uuid"))
                .and_then(Value::as_str);
            status == 404 || found != Some(uuid.as_str())
        }
        Change::DeleteTemplate { name, .. } => ask(&format!("/_template/{name}")).0 == 404,
        Change::PutTemplate { name, .. } => {
            ask(&format!("/_template/{name}")).0 == 200
                || ask(&format!("/_index_template/{name}")).0 == 200
                || ask(&format!("/_component_template/{name}")).0 == 200
        }
        Change::CreateDocument {
            index,
            id,
            document,
        }
        | Change::ReplaceDocument {
            index,
            id,
            document,
            ..
        } => source(&ask, index.as_str(), id.as_str())
            .is_some_and(|found| same_but_for_dates(&found, document)),
        Change::UpdateAliases { actions } => actions.iter().all(|action| {
            let (index, alias) = action.names();
            let (status, answer) = ask(&format!("/{index}/_alias/{alias}"));
            match action {
                AliasAction::Add { write, .. } => {
                    let found =
                        &answer[index.as_str()]["aliases"][alias.as_str()]["is_write_index"];
                    status == 200 && (*write != Some(true) || *found == true)
                }
                _ => status == 404,
            }
        }),
        Change::TakeSnapshot { name, .. } => has_snapshot(&ask, REPOSITORY, name.as_str()),
        Change::StopService {} => !optimize.is_running(),
        Change::StartService {} => optimize.is_running(),
        Change::RunTask { .. } => optimize.vendor()?.is_whole(),
        _ => return None,
    };
    (!is_away.get()).then_some(holds)
}

fn source(ask: &dyn Fn(&str) -> (u16, Value), index: &str, id: &str) -> Option<Value> {
    let (status, answer) = ask(&format!("/{index}/_doc/{}", escaped(id)));
    (status == 200).then(|| answer["_source"].clone())
}

/// A document's id in a path.
fn escaped(id: &str) -> String {
    id.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// What was asked for is what is there. Values that the gate filled in when it sent are in the change already.
fn same_but_for_dates(found: &Value, asked: &Json) -> bool {
    let asked = asked.value();
    contains(found, &asked) && contains(&asked, found)
}

/// Does a repository hold a whole snapshot of this name, with whatever the gate put behind it?
pub(crate) fn has_snapshot(
    ask: &dyn Fn(&str) -> (u16, Value),
    repository: &str,
    name: &str,
) -> bool {
    let (_, answer) = ask(&format!("/_snapshot/{repository}/_all"));
    let all = answer["snapshots"].as_array().cloned().unwrap_or_default();
    all.iter().any(|snapshot| {
        let found = snapshot["snapshot"].as_str();
        snapshot["state"] == "SUCCESS" && found.is_some_and(|found| found.starts_with(name))
    })
}

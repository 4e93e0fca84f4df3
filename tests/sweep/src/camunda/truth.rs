//! What the targets themselves show of a change: no capability, no gate.

use liftlock_types::Change;
use liftlock_types::sql::Literal;
use liftlock_types::sql::Shape;
use liftlock_types::sql::Statement;
use serde_json::Value;

use super::machines::Machines;
use super::store::Seen;
use super::store::Store;

/// Does the effect of a step hold now? None for kinds that leave nothing to see.
///
/// `node` is the step's, as its binding names it.
pub fn holds(machines: &Machines, store: &Store, step: &str, change: &Change) -> Option<bool> {
    let machine = machines.seen();
    let node = node_of(step);
    match change {
        Change::SetServerState { server, to, .. } => {
            Some(machine["servers"][server.as_str()]["state"] == to.as_str())
        }
        Change::SetServerWeight { server, weight, .. } => {
            Some(machine["servers"][server.as_str()]["weight"] == *weight)
        }
        Change::StopService {} => Some(machine["nodes"][node]["runs"].is_null()),
        Change::StartService {} => Some(!machine["nodes"][node]["runs"].is_null()),
        Change::SwitchArtifact { to, .. } => {
            Some(machine["nodes"][node]["artifact"] == to.as_str())
        }
        Change::EndpointRequest(request) => {
            let body: Value = serde_json::from_str(request.body()?.as_str()).ok()?;
            let key = body["businessKey"].as_str()?.to_owned();
            Some(store.seen().ok()?.instances.contains_key(&key))
        }
        Change::Execute { statement, .. } => is_there(&store.seen().ok()?, statement),
        Change::ExecuteTogether { statements, .. } => {
            let seen = store.seen().ok()?;
            let all: Option<Vec<bool>> = statements
                .statements()
                .iter()
                .map(|statement| is_there(&seen, statement))
                .collect();
            Some(all?.into_iter().all(|is_there| is_there))
        }
        _ => None,
    }
}

/// The node that a step belongs to: ids of its steps, and of what takes them back, hold its name.
pub fn node_of(step: &str) -> &str {
    let parts = step.split(['.', '-']);
    parts
        .into_iter()
        .find(|part| {
            part.strip_prefix('n')
                .is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .unwrap_or_default()
}

/// Is the effect of a statement of the script there?
pub fn is_there(seen: &Seen, statement: &Statement) -> Option<bool> {
    match statement.shape() {
        Shape::AddColumns { table, columns } => Some(
            columns
                .iter()
                .all(|column| seen.has_column(table, &column.name)),
        ),
        Shape::CreateIndex { name, .. } => Some(seen.indexes.contains(&name.to_lowercase())),
        Shape::InsertRow { values, .. } => match values.first() {
            Some(Literal::Text(id)) => Some(seen.log.contains(id)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_tells_its_node() {
        for (step, node) in [
            ("n1-stop", "n1"),
            ("n12-drain-back", "n12"),
            ("undo.n2-switch.1", "n2"),
            ("schema-columns", ""),
        ] {
            assert_eq!(node_of(step), node, "{step}");
        }
    }
}

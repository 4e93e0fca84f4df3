//! Somebody else changes the target between two lives of a run.

use liftlock_types::Change;
use serde_json::Value;
use serde_json::json;

use super::Finish;
use super::Stage;
use crate::judge;
use crate::ledger::Place;
use crate::position::Meddling;
use crate::world::World;

/// What somebody else left, and where a difference to the expected end may be.
struct Foreign {
    /// Where it can be read.
    path: String,
    /// Where in the answer.
    pointer: String,
    /// What it must go on to be; null: it only has to be as it is left.
    value: Value,
    /// Parts of the names of what may differ at the end.
    name: String,
}

impl Stage<'_, World> {
    /// The object of somebody else is there at the end, whatever becomes of the run.
    pub(super) fn meddled(&mut self, place: &Place, meddling: Meddling) -> anyhow::Result<()> {
        let image = self.reference.image(place)?;
        let mut round = self.world.load(image)?;
        let Some(foreign) = meddle(self.world, meddling) else {
            return Ok(());
        };
        let finish = self.drive(&mut round, None)?;
        self.judge(&round);
        if !foreign.path.is_empty() {
            let (_, answer) = self.world.sim.call("GET", &foreign.path, "");
            let found = answer
                .pointer(&foreign.pointer)
                .cloned()
                .unwrap_or_default();
            if found != foreign.value {
                self.verdict.lost.push(format!(
                    "`{}` was somebody else's, and is {found} now",
                    foreign.name
                ));
            }
        }
        if let Finish::Done = finish {
            let found = self.world.sim.state_json();
            let lines = judge::differences(&self.reference.after, &found);
            self.verdict.lost.extend(
                lines
                    .into_iter()
                    .filter(|line| foreign.name.is_empty() || !line.contains(&foreign.name)),
            );
        }
        Ok(())
    }
}

fn meddle(world: &World, meddling: Meddling) -> Option<Foreign> {
    let plan = world.script.plan.clone();
    let changes: Vec<&Change> = plan
        .steps
        .iter()
        .filter_map(|step| Some(&step.change()?.change))
        .collect();
    let call = |method: &str, path: &str, body: &Value| {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        world.sim.call(method, path, &body).0
    };
    match meddling {
        Meddling::Index => {
            let name = changes.iter().find_map(|change| match change {
                Change::DeleteIndex { name, .. } => Some(name.to_string()),
                _ => None,
            })?;
            // The servers refuse it while a snapshot of the index is under way.
            if call("DELETE", &format!("/{name}"), &Value::Null) >= 300 {
                return None;
            }
            call("PUT", &format!("/{name}"), &json!({}));
            let path = format!("/{name}");
            let pointer = format!("/{name}/settings/index/uuid");
            let value = world
                .sim
                .call("GET", &path, "")
                .1
                .pointer(&pointer)?
                .clone();
            Some(Foreign {
                path,
                pointer,
                value,
                name,
            })
        }
        Meddling::Template => {
            let name = changes.iter().find_map(|change| match change {
                Change::DeleteTemplate { name, .. } => Some(name.to_string()),
                _ => None,
            })?;
            call(
                "PUT",
                &format!("/_template/{name}"),
                &json!({"index_patterns": ["theirs-*"], "order": 7}),
            );
            Some(Foreign {
                path: format!("/_template/{name}"),
                pointer: format!("/{name}/order"),
                value: json!(7),
                name,
            })
        }
        Meddling::LogEntry => {
            let (index, id) = changes.iter().find_map(|change| match change {
                Change::CreateDocument { index, id, .. } => {
                    Some((index.to_string(), id.to_string()))
                }
                _ => None,
            })?;
            if call("GET", &format!("/{index}"), &Value::Null) != 200 {
                return None;
            }
            let path = format!("/{index}/_doc/{id}");
            if call(
                "PUT",
                &format!("{path}?refresh=true"),
                &json!({"stepNumber": 77}),
            ) >= 300
            {
                return None;
            }
            Some(Foreign {
                path,
                pointer: "/_source/stepNumber".into(),
                value: json!(77),
                name: id,
            })
        }
        Meddling::Version => {
            let (index, id, document) = changes.iter().find_map(|change| match change {
                Change::ReplaceDocument {
                    index,
                    id,
                    document,
                    ..
                } => Some((index.to_string(), id.to_string(), document.value())),
                _ => None,
            })?;
            let mut theirs = document;
            theirs["schemaVersion"] = json!("8.7.99");
            let path = format!("/{index}/_doc/{id}");
            call("PUT", &format!("{path}?refresh=true"), &theirs);
            Some(Foreign {
                path,
                pointer: "/_source/schemaVersion".into(),
                value: json!("8.7.99"),
                name: index,
            })
        }
        Meddling::Writer => {
            world.optimize.set(true);
            Some(Foreign {
                path: String::new(),
                pointer: String::new(),
                value: Value::Null,
                name: String::new(),
            })
        }
        Meddling::Claim => {
            call(
                "DELETE",
                "/_component_template/liftlock-claim.1",
                &Value::Null,
            );
            Some(Foreign {
                path: String::new(),
                pointer: String::new(),
                value: Value::Null,
                name: "liftlock-claim".into(),
            })
        }
    }
}

//! After a rollback: what is there is compared with what the captures of before kept.

use std::collections::BTreeSet;

use liftlock_types::{Change, Exit, Read, Scope, StepId, Undo};
use serde_json::{Map, Value};

use crate::observer::Happening;
use crate::runner::{Halt, Runner};
use crate::state::RunState;

/// Fields that a restore, or time, changes without changing anything that was kept.
const NOT_CONTENT: &[&str] = &[
    "uuid",
    "bytes",
    "primary_bytes",
    "seq_no",
    "primary_term",
    "took_ms",
];

/// Most differences that are told one by one.
const DIFFERENCES_MAX: usize = 20;

impl Runner {
    /// Reads again what was captured before anything was written, and compares all that this run could have
    /// touched. What belongs to others and differs is told, and is no failure.
    pub(crate) async fn compare_with_before(&self) -> Result<(), Halt> {
        let state = self.state();
        let ours = Touched::new(&state, self);
        let mut wrong = Vec::new();
        for name in &state.captured_before {
            for captured in state.captures.get(name).into_iter().flatten() {
                let Ok(then) = &captured.answer else { continue };
                let reading = &captured.reading;
                if matches!(
                    reading.read,
                    Read::Health
                        | Read::Nodes
                        | Read::Tasks { .. }
                        | Read::Activity { .. }
                        | Read::ServiceStatus
                        | Read::TrafficServers { .. }
                        | Read::Sessions
                ) {
                    continue;
                }
                let now = self
                    .capability(&reading.binding)?
                    .read(&reading.read)
                    .await
                    .map_err(|error| self.unavailable("what was kept before", &error))?;
                for difference in differences(&reading.read, then, &now) {
                    if ours.contains(&difference.of) {
                        wrong.push(difference.text);
                    } else {
                        self.tell(Happening::Note(format!(
                            "not this run's: {}",
                            difference.text
                        )));
                    }
                }
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let more = wrong.len().saturating_sub(DIFFERENCES_MAX);
        wrong.truncate(DIFFERENCES_MAX);
        let mut text = wrong.join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        Err(Halt::new(
            Exit::RollbackFailed,
            format!("all steps were taken back, and not all is as before: {text}"),
        )
        .remedy(
            "what was stopped stays stopped; find out what made the difference, mend it, then `liftlock resume` \
             compares again",
        ))
    }
}

/// What this run can have touched: names of its changes, and what its snapshots cover.
struct Touched {
    names: Vec<String>,
    scopes: Vec<Scope>,
    except: Vec<Scope>,
}

impl Touched {
    fn new(state: &RunState, runner: &Runner) -> Self {
        let mut touched = Self {
            names: Vec::new(),
            scopes: Vec::new(),
            except: Vec::new(),
        };
        let scopes = |texts: &[String]| -> Vec<Scope> {
            texts
                .iter()
                .filter_map(|text| Scope::new(text.as_str()).ok())
                .collect()
        };
        // What stays differs from before, as the plan says.
        let stays = |id: &StepId| {
            runner
                .step_of(id)
                .is_some_and(|step| matches!(step.undo, Undo::Stays { .. }))
        };
        for intent in state
            .steps
            .iter()
            .filter(|(id, _)| !stays(id))
            .flat_map(|(_, step)| step.ever())
            .filter_map(|attempt| attempt.intent.as_ref())
        {
            touched.names.extend(intent.change.names());
        }
        for step in &runner.plan.steps {
            if let Some(Change::TakeSnapshot {
                indices, except, ..
            }) = step.change().map(|planned| &planned.change)
            {
                touched.scopes.extend(scopes(indices));
                touched.except.extend(scopes(except));
            }
        }
        touched
    }

    fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|touched| touched == name)
            || (self.scopes.iter().any(|scope| scope.matches(name))
                && !self.except.iter().any(|scope| scope.matches(name)))
    }
}

struct Difference {
    of: String,
    text: String,
}

/// Lists are compared entry by entry, by what each is called.
fn differences(read: &Read, then: &Value, now: &Value) -> Vec<Difference> {
    let (then, now) = (content(then), content(now));
    if then == now {
        return Vec::new();
    }
    if let (Read::ClusterSettings { .. }, Some(then), Some(now)) =
        (read, then.as_object(), now.as_object())
    {
        return settings(then, now);
    }
    let about = match read {
        Read::Mappings { index }
        | Read::IndexSettings { index }
        | Read::Count { index, .. }
        | Read::Document { index, .. }
        | Read::Checksum { index } => index.clone(),
        _ => String::new(),
    };
    let (Some(entries_then), Some(entries_now)) = (then.as_array(), now.as_array()) else {
        let text = format!("`{about}` was {}, is {}", short(&then), short(&now));
        return vec![Difference { of: about, text }];
    };
    let mut found = Vec::new();
    for entry in entries_then {
        let key = key(entry);
        match entries_now.iter().find(|other| self::key(other) == key) {
            Some(other) if other == entry => {}
            Some(other) => found.push(Difference {
                of: name(entry),
                text: format!("`{key}` was {}, is {}", short(entry), short(other)),
            }),
            None => found.push(Difference {
                of: name(entry),
                text: format!("`{key}` is not there"),
            }),
        }
    }
    for entry in entries_now {
        let key = key(entry);
        if !entries_then.iter().any(|other| self::key(other) == key) {
            found.push(Difference {
                of: name(entry),
                text: format!("`{key}` was not there"),
            });
        }
    }
    found
}

/// Setting by setting, so that the one that this run borrowed is told from all others.
fn settings(then: &Map<String, Value>, now: &Map<String, Value>) -> Vec<Difference> {
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let shown = |value: Option<&Value>| value.map_or_else(|| "not set".into(), short);
    keys.into_iter()
        .filter(|key| then.get(*key) != now.get(*key))
        .map(|key| Difference {
            of: key.clone(),
            text: format!(
                "setting `{key}` was {}, is {}",
                shown(then.get(key)),
                shown(now.get(key))
            ),
        })
        .collect()
}

/// An alias is one on one index; all else has a name or an id.
fn key(entry: &Value) -> String {
    let field = |name: &str| entry.get(name).and_then(Value::as_str);
    match (field("index"), field("name").or_else(|| field("id"))) {
        (Some(index), Some(name)) => format!("{name} on {index}"),
        (None, Some(name)) | (Some(name), None) => name.to_owned(),
        (None, None) => entry.to_string(),
    }
}

fn name(entry: &Value) -> String {
    let field = |name: &str| entry.get(name).and_then(Value::as_str);
    field("index")
        .or_else(|| field("name"))
        .unwrap_or_default()
        .to_owned()
}

fn content(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !NOT_CONTENT.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), content(value)))
            .collect(),
        Value::Array(entries) => entries.iter().map(content).collect(),
        other => other.clone(),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use liftlock_types::facts::cluster::SettingScope;
    use serde_json::json;

    use super::*;

    fn told(then: &Value, now: &Value) -> Vec<String> {
        let read = Read::Indices {
            pattern: "a*".into(),
        };
        differences(&read, then, now)
            .into_iter()
            .map(|difference| format!("{}: {}", difference.of, difference.text))
            .collect()
    }

    #[test]
    fn a_new_uuid_is_no_difference_and_another_count_is() {
        let then = json!([{"name": "a1", "uuid": "x", "docs": 3, "bytes": 10}]);
        let same = json!([{"name": "a1", "uuid": "y", "docs": 3, "bytes": 12}]);
        assert!(told(&then, &same).is_empty());
        let fewer = json!([{"name": "a1", "uuid": "y", "docs": 2, "bytes": 12}]);
        assert_eq!(told(&then, &fewer).len(), 1);
    }

    #[test]
    fn each_setting_of_a_cluster_is_compared_by_its_own_name() {
        let read = Read::ClusterSettings {
            scope: SettingScope::Persistent,
        };
        let then = json!({"allocation": "all", "same": "1", "uuid": "x"});
        let now = json!({"same": "1", "new": "2", "uuid": "x"});
        let told: Vec<(String, String)> = differences(&read, &then, &now)
            .into_iter()
            .map(|difference| (difference.of, difference.text))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "allocation".to_owned(),
                    "setting `allocation` was \"all\", is not set".to_owned()
                ),
                (
                    "new".to_owned(),
                    "setting `new` was not set, is \"2\"".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn what_is_missing_and_what_is_new_is_named() {
        let then = json!([{"name": "alias", "index": "a1", "write": true}]);
        let now = json!([{"name": "alias", "index": "a2", "write": true}]);
        assert_eq!(
            told(&then, &now),
            [
                "a1: `alias on a1` is not there",
                "a2: `alias on a2` was not there"
            ]
        );
    }
}

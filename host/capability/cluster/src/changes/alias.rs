//! One atomic list of alias actions.
//!
//! What it rests on and what it changes are pairs of index and alias; what another index does with the same alias
//! is another pair.

use std::collections::BTreeMap;

use liftlock_types::{
    Acted, AliasAction, AliasName, Attempt, Change, IndexName, Json, Observed, Probed, ReadError,
};
use serde_json::{Map, Value, json};

use super::{observed, unread};
use crate::Cluster;
use crate::call::Call;
use crate::reads::alias_properties;

type Pair = (IndexName, AliasName);

/// What each pair is after the whole list: the last action on it counts. `None`: the alias is off.
fn wanted(actions: &[AliasAction]) -> BTreeMap<Pair, Option<Value>> {
    actions
        .iter()
        .map(|action| {
            let (index, alias) = action.names();
            let properties = match action {
                AliasAction::Add { write, more, .. } => {
                    let mut properties = Map::new();
                    if let Some(write) = write {
                        properties.insert("write".into(), (*write).into());
                    }
                    properties.extend(members_of(more.as_ref()));
                    Some(Value::Object(properties))
                }
                AliasAction::Remove { .. } => None,
            };
            ((index.clone(), alias.clone()), properties)
        })
        .collect()
}

/// What each pair is now. `None`: an index that an alias should be on is missing.
async fn now(
    cluster: &Cluster,
    wanted: &BTreeMap<Pair, Option<Value>>,
) -> Result<Option<BTreeMap<Pair, Option<Value>>>, ReadError> {
    let mut states = BTreeMap::new();
    let mut found = BTreeMap::new();
    for ((index, alias), after) in wanted {
        if !states.contains_key(index) {
            states.insert(index.clone(), cluster.index(index.as_str()).await?);
        }
        let properties = match states.get(index) {
            Some(Some(state)) => state.aliases.get(alias.as_str()).map(alias_properties),
            // An alias is off an index that is gone.
            _ if after.is_none() => None,
            _ => return Ok(None),
        };
        found.insert((index.clone(), alias.clone()), properties);
    }
    Ok(Some(found))
}

fn members_of(more: Option<&Json>) -> Map<String, Value> {
    match more.map(Json::value) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// `[{index, alias, properties}]`: pairs are no keys in JSON.
fn as_json(pairs: &BTreeMap<Pair, Option<Value>>) -> Value {
    pairs
        .iter()
        .map(|((index, alias), properties)| {
            json!({"index": index.as_str(), "alias": alias.as_str(), "properties": properties})
        })
        .collect()
}

fn from_json(kept: &Value) -> Option<BTreeMap<Pair, Option<Value>>> {
    kept.as_array()?
        .iter()
        .map(|pair| {
            let index = IndexName::new(pair.get("index")?.as_str()?).ok()?;
            let alias = AliasName::new(pair.get("alias")?.as_str()?).ok()?;
            let properties = pair.get("properties").filter(|it| !it.is_null()).cloned();
            Some(((index, alias), properties))
        })
        .collect()
}

pub(super) async fn observe(
    cluster: &Cluster,
    actions: &[AliasAction],
) -> Result<Observed, ReadError> {
    let wanted = wanted(actions);
    Ok(match now(cluster, &wanted).await? {
        Some(found) => observed(found == wanted, as_json(&found), as_json(&found)),
        None => observed(false, "an index of the list is missing".into(), Value::Null),
    })
}

fn body(actions: &[AliasAction]) -> Value {
    let actions: Vec<Value> = actions
        .iter()
        .map(|action| match action {
            AliasAction::Add {
                index,
                alias,
                write,
                more,
            } => {
                let mut add = members_of(more.as_ref());
                add.insert("index".into(), index.as_str().into());
                add.insert("alias".into(), alias.as_str().into());
                if let Some(write) = write {
                    add.insert("is_write_index".into(), (*write).into());
                }
                json!({"add": add})
            }
            AliasAction::Remove { index, alias } => {
                json!({"remove": {"index": index.as_str(), "alias": alias.as_str()}})
            }
        })
        .collect();
    json!({"actions": actions})
}

pub(super) async fn act(cluster: &Cluster, actions: &[AliasAction], attempt: &Attempt) -> Acted {
    let wanted = wanted(actions);
    for (index, _) in wanted.keys() {
        if let Err(acted) = super::still_there(cluster, index.as_str(), attempt).await {
            return acted;
        }
    }
    let call = Call::post(["_aliases"])
        .patient()
        .token(&attempt.token)
        .json(&body(actions));
    match cluster.send(&call).await {
        Acted::Refused {
            kind,
            text,
            status,
            later,
        } if status == 404 => {
            // A repeat of a list that landed: what it removes is off already.
            match now(cluster, &wanted).await {
                Ok(Some(found)) if found == wanted => {
                    Acted::Unanswered("the aliases are as asked already".into())
                }
                Ok(_) => Acted::Refused {
                    status,
                    kind,
                    text,
                    later,
                },
                Err(error) => unread_after(&error),
            }
        }
        acted => acted,
    }
}

fn unread_after(error: &ReadError) -> Acted {
    match unread(error) {
        Acted::NotSent(text) => Acted::Unanswered(text),
        other => other,
    }
}

pub(super) async fn probe(
    cluster: &Cluster,
    actions: &[AliasAction],
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let wanted = wanted(actions);
    let Some(found) = now(cluster, &wanted).await? else {
        return Ok(Probed::Indeterminate(
            "an index of the list is missing".into(),
        ));
    };
    let evidence = as_json(&found);
    Ok(if found == wanted {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if from_json(&attempt.kept).as_ref() == Some(&found) {
        Probed::Absent(evidence)
    } else {
        Probed::Indeterminate(evidence)
    })
}

/// The list that puts every pair back.
pub(super) fn undo(actions: &[AliasAction], attempt: &Attempt) -> Option<Vec<Change>> {
    let old = from_json(&attempt.kept)?;
    let mut reverse = Vec::new();
    for ((index, alias), after) in wanted(actions) {
        let before = old.get(&(index.clone(), alias.clone()))?;
        if *before == after {
            continue;
        }
        reverse.push(match before {
            None => AliasAction::Remove { index, alias },
            Some(properties) => {
                let mut more = properties.as_object()?.clone();
                let write = more.remove("write").and_then(|write| write.as_bool());
                AliasAction::Add {
                    index,
                    alias,
                    write,
                    more: (!more.is_empty()).then(|| Json::of(&Value::Object(more))),
                }
            }
        });
    }
    Some(if reverse.is_empty() {
        Vec::new()
    } else {
        vec![Change::UpdateAliases { actions: reverse }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tests::attempt;

    fn add(index: &str, alias: &str, write: Option<bool>) -> AliasAction {
        AliasAction::Add {
            index: IndexName::new(index).unwrap(),
            alias: AliasName::new(alias).unwrap(),
            write,
            more: None,
        }
    }

    fn remove(index: &str, alias: &str) -> AliasAction {
        AliasAction::Remove {
            index: IndexName::new(index).unwrap(),
            alias: AliasName::new(alias).unwrap(),
        }
    }

    #[test]
    fn the_reverse_list_puts_every_pair_back() {
        let swap = [
            remove("v2", "a"),
            add("v2", "a", Some(false)),
            add("v3", "a", Some(true)),
            remove("v2", "b"),
        ];
        let mut attempt = attempt("t-1", 1);
        attempt.kept = json!([
            {"index": "v2", "alias": "a", "properties": {"write": true}},
            {"index": "v2", "alias": "b", "properties": {}},
            {"index": "v3", "alias": "a", "properties": null},
        ]);
        assert_eq!(
            undo(&swap, &attempt),
            Some(vec![Change::UpdateAliases {
                actions: vec![
                    add("v2", "a", Some(true)),
                    add("v2", "b", None),
                    remove("v3", "a")
                ],
            }])
        );
    }

    #[test]
    fn an_alias_comes_back_with_its_filter() {
        let mut attempt = attempt("t-1", 1);
        attempt.kept = json!([{"index": "v2", "alias": "a",
            "properties": {"write": false, "filter": {"term": {"x": 1}}, "search_routing": "r"}}]);
        let undo = undo(&[remove("v2", "a")], &attempt).unwrap();
        let Change::UpdateAliases { actions } = &undo[0] else {
            panic!("{undo:?}")
        };
        assert_eq!(
            body(actions),
            json!({"actions": [{"add": {"index": "v2", "alias": "a", "is_write_index": false,
                "filter": {"term": {"x": 1}}, "search_routing": "r"}}]})
        );
    }

    #[test]
    fn the_last_action_on_a_pair_counts() {
        let wanted = wanted(&[remove("x", "a"), add("x", "a", Some(false))]);
        assert_eq!(
            wanted.into_values().collect::<Vec<_>>(),
            [Some(json!({"write": false}))]
        );
    }
}

//! Whether the new cluster holds what the old one holds, collection by collection, by what the run kept of both.

use std::collections::BTreeSet;

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::around::{AFTER, BEFORE};
use crate::descriptor::STORAGE;

/// The condition's name.
pub(crate) const SAME: &str = "same-collections";

/// Each collection is on the new cluster as it was on the old one.
pub(crate) fn same() -> Result<Condition> {
    asked(SAME, &json!({})).when_expired(OnExpiry::Fail)
}

/// All parts of a capture.
fn kept(run: &Run, name: &str) -> Result<Vec<Captured>> {
    let mut all = Vec::new();
    for number in 1.. {
        match run.capture(&format!("{name}-{number}"))? {
            Some(part) => all.extend(part),
            None => break,
        }
    }
    Ok(all)
}

/// What a run kept before and after, compared.
pub(crate) fn compared(run: &Run) -> Result<Vec<String>> {
    let (before, after) = (kept(run, BEFORE)?, kept(run, AFTER)?);
    if before.is_empty() || after.is_empty() {
        return Ok(vec!["nothing was kept of one of them".into()]);
    }
    Ok(differences(&before, &after))
}

/// Looks at it, and whether the old cluster is still what was kept of it.
pub(crate) fn observe(site: &Site, run: &Run) -> Result<Observation> {
    let mut found = compared(run)?;
    let old = Cluster::open(site, STORAGE)?;
    for then in kept(run, BEFORE)?.iter().filter(|it| it.kind == "indices") {
        let pattern = then.argument("pattern").unwrap_or_default();
        if let Some(list) = &then.answer {
            found.extend(written_since(list, &old.indices(pattern)?));
        }
    }
    Ok(Observation {
        holds: found.is_empty(),
        seen: json!(found.len()),
        why: told::first(&found, "; "),
    })
}

/// What is on one side and not, or not so, on the other.
fn differences(before: &[Captured], after: &[Captured]) -> Vec<String> {
    let mut found = Vec::new();
    for then in before {
        let index = then.argument("index").unwrap_or_default();
        let now = after
            .iter()
            .find(|now| now.kind == then.kind && now.read == then.read)
            .and_then(|now| now.answer.as_ref());
        match (then.kind.as_str(), &then.answer, now) {
            // Uuids and bytes are another cluster's own.
            ("indices", Some(then), Some(now)) => lists(then, now, "name", "index", &mut found),
            ("aliases", Some(then), Some(now)) => pairs(then, now, &mut found),
            ("checksum", Some(then), Some(now)) => checksums(index, then, now, &mut found),
            ("mappings", Some(then), Some(now)) if then == now => {}
            ("mappings", Some(_), Some(_)) => {
                found.push(format!("the mapping of `{index}` is another"));
            }
            (kind, ..) => found.push(format!("`{index}`: its {kind} could not be read")),
        }
    }
    found
}

/// Collections of the old cluster with other documents than when it was kept: Kuzzle would not find them on the new one.
/// Counts alone, since the checksums of a large site take long; they were kept last, so this is about minutes.
fn written_since(then: &Value, now: &[Index]) -> Vec<String> {
    let rows = then.as_array().into_iter().flatten();
    let had = |name: &str| {
        let mut rows = rows.clone();
        rows.find(|row| row["name"] == name)?["docs"].as_u64()
    };
    now.iter()
        .filter(|index| had(&index.name) != Some(index.docs))
        .map(|index| {
            format!(
                "somebody writes to `{}` of the old cluster: `liftlock rollback`, then stop whoever it is, then plan anew",
                index.name
            )
        })
        .collect()
}

fn texts(list: &Value, field: &str) -> BTreeSet<String> {
    let rows = list.as_array().into_iter().flatten();
    rows.filter_map(|row| Some(row.get(field)?.as_str()?.to_owned()))
        .collect()
}

fn lists(then: &Value, now: &Value, field: &str, what: &str, found: &mut Vec<String>) {
    let (then, now) = (texts(then, field), texts(now, field));
    for name in then.symmetric_difference(&now) {
        found.push(format!("{what} `{name}` is only on one of them"));
    }
}

/// Which alias names which index.
fn pairs(then: &Value, now: &Value, found: &mut Vec<String>) {
    let of = |list: &Value| -> BTreeSet<(String, String)> {
        let rows = list.as_array().into_iter().flatten();
        rows.filter_map(|row| {
            let text = |field: &str| Some(row.get(field)?.as_str()?.to_owned());
            Some((text("name")?, text("index")?))
        })
        .collect()
    };
    let (then, now) = (of(then), of(now));
    for (alias, index) in then.symmetric_difference(&now) {
        found.push(format!(
            "alias `{alias}` on `{index}` is only on one of them"
        ));
    }
}

fn checksums(index: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    if then["docs"] != now["docs"] {
        found.push(format!(
            "`{index}` had {} documents, it has {}",
            then["docs"], now["docs"]
        ));
    } else if then["ids"] != now["ids"] {
        found.push(format!("`{index}` has documents of other ids"));
    } else if then["content"] != now["content"] {
        found.push(format!("`{index}` has documents of another content"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn captured(kind: &str, argument: (&str, &str), answer: Value) -> Captured {
        let (key, value) = argument;
        Captured {
            kind: kind.into(),
            read: json!({"read": kind, key: value}),
            answer: Some(answer),
        }
    }

    fn taxi(docs: u64, ids: &str, content: &str) -> Captured {
        let sum = json!({"index": "&nyc.taxi", "docs": docs, "ids": ids, "content": content});
        captured("checksum", ("index", "&nyc.taxi"), sum)
    }

    fn alias(index: &str) -> Captured {
        let row = json!([{"name": "@&nyc.taxi", "index": index, "write": null}]);
        captured("aliases", ("pattern", "@*"), row)
    }

    #[test]
    fn each_difference_is_named_by_its_collection() {
        let before = [taxi(3, "i", "c"), alias("&nyc.taxi")];
        assert_eq!(differences(&before, &before), Vec::<String>::new());
        for (after, words) in [
            (taxi(2, "j", "d"), "had 3 documents, it has 2"),
            (taxi(3, "j", "d"), "other ids"),
            (taxi(3, "i", "d"), "another content"),
        ] {
            let found = differences(&before[..1], &[after]);
            assert!(found.len() == 1 && found[0].contains(words), "{found:?}");
        }
        let found = differences(&before, &[taxi(3, "i", "c"), alias("&nyc.other")]);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn what_is_written_to_the_old_cluster_meanwhile_is_named() {
        let seen = fixture::seen();
        let (name, docs) = (&seen.indices[0].name, seen.indices[0].docs);
        let kept = json!([{"name": name, "docs": docs}]);
        assert_eq!(written_since(&kept, &seen.indices), Vec::<String>::new());
        let fewer = json!([{"name": name, "docs": docs + 1}]);
        for then in [fewer, json!([])] {
            let found = written_since(&then, &seen.indices);
            assert!(found.len() == 1 && found[0].contains(name), "{found:?}");
        }
    }

    #[test]
    fn what_was_not_read_again_is_a_difference() {
        let mapping = |value: Value| captured("mappings", ("index", "&a.b"), value);
        let found = differences(&[mapping(json!({"x": 1}))], &[]);
        assert!(found[0].contains("could not be read"), "{found:?}");
        let found = differences(&[mapping(json!({"x": 1}))], &[mapping(json!({"x": 2}))]);
        assert!(found[0].contains("mapping"), "{found:?}");
        // Members of an object have no order.
        let one = mapping("{\"a\":1,\"b\":2}".parse().unwrap());
        let other = mapping("{\"b\":2,\"a\":1}".parse().unwrap());
        assert_eq!(differences(&[one], &[other]), Vec::<String>::new());
    }
}

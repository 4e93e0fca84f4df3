//! What stands there after the run, compared with what should.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::around::{AFTER, BEFORE, WATCHED};
use crate::check::{blocker, found, warning};
use crate::kuzzle::Kuzzles;
use crate::options::{Method, Options};
use crate::seen::Seen;
use crate::watch;

/// Every node is the target's, each collection holds what it held, and Kuzzle is well on it.
pub(crate) fn findings(
    run: &Run,
    seen: &Seen,
    kuzzles: &Kuzzles,
    options: &Options,
    target: &Target,
) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    for (node, version) in seen.versions() {
        if version != target.to {
            all.push(blocker("kuzzle.node-of-another-version", node, version));
        }
    }
    for one in &seen.archived {
        all.push(warning(
            "kuzzle.archived-setting",
            &one.key,
            format!("its value was `{}`", one.value),
        ));
    }
    of_kuzzles(kuzzles, target, &mut all);
    if options.method == Method::Rolling {
        let [before, after] = [captured(run, BEFORE)?, captured(run, AFTER)?];
        if !before.is_empty() {
            all.extend(differences(&before, &after, options.serves_meanwhile));
        }
    }
    Ok(all)
}

/// Each Kuzzle is well, and sees the target's version.
pub(crate) fn of_kuzzles(kuzzles: &Kuzzles, target: &Target, all: &mut Vec<Finding>) {
    for said in &kuzzles.said {
        match &said.health {
            Some((200, _)) => {}
            Some((status, told)) => all.push(blocker(
                "kuzzle.unhealthy",
                &said.binding,
                format!("{status} {told}"),
            )),
            None => all.push(blocker("kuzzle.unhealthy", &said.binding, "nobody answers")),
        }
        if said.storage.as_deref() != Some(target.to.as_str()) {
            all.push(blocker(
                "kuzzle.sees-another-version",
                &said.binding,
                said.storage
                    .clone()
                    .unwrap_or_else(|| "it does not say".into()),
            ));
        }
    }
}

/// What the nodes counted, where the run watched them.
pub(crate) fn of_the_watch(run: &Run, on: &Cluster, all: &mut Vec<Finding>) -> Result<()> {
    let watched = captured(run, WATCHED)?;
    if watched.is_empty() {
        return Ok(());
    }
    let before = documents(&captured(run, BEFORE)?);
    watch::report(&watch::counted(on)?, [before, documents(&watched)], all);
    Ok(())
}

/// Of all collections that were listed; none where they were not.
fn documents(kept: &[Captured]) -> Option<u64> {
    let lists: Vec<&Vec<Value>> = kept
        .iter()
        .filter(|one| one.kind == "indices")
        .filter_map(|one| one.answer.as_ref()?.as_array())
        .collect();
    let each = lists.iter().flat_map(|list| list.iter());
    (!lists.is_empty()).then(|| each.filter_map(|index| index["docs"].as_u64()).sum())
}

/// All parts of a capture; empty where the run made none.
fn captured(run: &Run, name: &str) -> Result<Vec<Captured>> {
    let mut all = Vec::new();
    for part in 1.. {
        let Some(more) = run.capture(&format!("{name}-{part}"))? else {
            break;
        };
        all.extend(more);
    }
    Ok(all)
}

/// What is not as it was; what is new is nobody's loss.
fn differences(before: &[Captured], after: &[Captured], serves: bool) -> Vec<Finding> {
    let mut all = Vec::new();
    let of = |list: &[Captured], kind: &str| -> BTreeMap<String, Option<Value>> {
        list.iter()
            .filter(|one| one.kind == kind)
            .filter_map(|one| Some((one.argument("index")?.to_owned(), one.answer.clone())))
            .collect()
    };
    // Where Kuzzle went on, documents were written meanwhile.
    let content = if serves {
        Severity::Info
    } else {
        Severity::Blocker
    };
    for (kind, id, severity) in [
        ("checksum", "kuzzle.content-differs", content),
        ("mappings", "kuzzle.mapping-differs", Severity::Warning),
    ] {
        let now = of(after, kind);
        for (index, was) in of(before, kind) {
            let is = now.get(&index).cloned().flatten();
            if was.is_none() || was != is {
                let told =
                    |value: Option<Value>| value.map_or("unread".into(), |it| it.to_string());
                let mut finding = found(id, severity, &index, format!("its {kind} differs"));
                for (when, value) in [("before", was), ("after", is)] {
                    let text: String = told(value).chars().take(400).collect();
                    finding = finding.evidence(when, text);
                }
                all.push(finding);
            }
        }
    }
    let aliases = |list: &[Captured]| -> Vec<Value> {
        list.iter()
            .filter(|one| one.kind == "aliases")
            .filter_map(|one| one.answer.as_ref()?.as_array())
            .flatten()
            .cloned()
            .collect()
    };
    let now = aliases(after);
    for alias in aliases(before) {
        if !now.contains(&alias) {
            all.push(blocker(
                "kuzzle.alias-differs",
                alias["name"].as_str().unwrap_or_default(),
                format!("it was {alias}"),
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, index: &str, answer: Value) -> Captured {
        Captured {
            kind: kind.into(),
            read: json!({ "read": kind, "index": index }),
            answer: Some(answer),
        }
    }

    fn ids(before: &[Captured], after: &[Captured], serves: bool) -> Vec<(String, Severity)> {
        differences(before, after, serves)
            .into_iter()
            .map(|it| (it.id, it.severity))
            .collect()
    }

    #[test]
    fn what_was_there_must_be_there_as_it_was() {
        let before = [
            read("aliases", "", json!([{ "name": "@&a.b", "index": "&a.b" }])),
            read("checksum", "&a.b", json!({ "docs": 3, "checksum": "x" })),
            read("mappings", "&a.b", json!({ "dynamic": "false" })),
        ];
        assert!(ids(&before, &before, false).is_empty());
        let mut more = before.to_vec();
        more.push(read("checksum", "new", json!({ "docs": 1 })));
        assert!(ids(&before, &more, false).is_empty());
        let differs = |at: usize, answer: Value| {
            let mut after = before.to_vec();
            after[at].answer = Some(answer);
            after
        };
        let fewer = differs(1, json!({ "docs": 2, "checksum": "y" }));
        let content = |severity| vec![("kuzzle.content-differs".to_owned(), severity)];
        assert_eq!(ids(&before, &fewer, false), content(Severity::Blocker));
        assert_eq!(ids(&before, &fewer, true), content(Severity::Info));
        let mapping = differs(2, json!({ "dynamic": "strict" }));
        assert_eq!(ids(&before, &mapping, false)[0].0, "kuzzle.mapping-differs");
        let alias = differs(0, json!([]));
        assert_eq!(ids(&before, &alias, false)[0].0, "kuzzle.alias-differs");
        assert_eq!(ids(&before, &before[..1], false).len(), 2);
        // What could not be read before proves nothing afterwards.
        let mut unread = before.to_vec();
        unread[1].answer = None;
        assert_eq!(ids(&unread, &unread, false), content(Severity::Blocker));
    }
}

//! What the host may do to take a change back: kinds that undo a kind, on the same objects.
//!
//! An operator who lets a plugin delete a template need not let it put templates to have a rollback. So the grant of a
//! change is the grant of its own undo, and no more: never another object, never a kind that does not undo it, and
//! never for what a plugin proposes.

use std::collections::BTreeSet;

use crate::{Binding, Change, Denied, FileName, Grant, Planned, Scope, path_of};

/// A binding of the host's own: the kept copies in the state directory. No plugin is given it, and a copy from it is
/// only ever an undo.
pub const KEPT_BINDING: &str = "disk.kept";

/// By kind: the kinds that an automatic undo of it is made of.
pub static UNDONE_BY: &[(&str, &[&str])] = &[
    ("cluster.create-index", &["cluster.delete-index"]),
    (
        "cluster.put-template",
        &["cluster.put-template", "cluster.delete-template"],
    ),
    ("cluster.delete-template", &["cluster.put-template"]),
    ("cluster.update-aliases", &["cluster.update-aliases"]),
    ("cluster.put-settings", &["cluster.put-settings"]),
    ("cluster.reindex", &[]),
    ("cluster.transform", &[]),
    ("cluster.create-document", &["cluster.delete-document"]),
    ("cluster.replace-document", &["cluster.replace-document"]),
    ("cluster.delete-document", &["cluster.create-document"]),
    (
        "cluster.set-cluster-setting",
        &["cluster.set-cluster-setting"],
    ),
    (
        "snapshot.register",
        &["snapshot.register", "snapshot.unregister"],
    ),
    ("snapshot.unregister", &["snapshot.register"]),
    ("snapshot.take", &[]),
    ("disk.keep", &[]),
    ("disk.copy", &["disk.remove"]),
    ("disk.write", &["disk.remove"]),
    ("disk.edit", &["disk.edit", "disk.remove", "disk.copy"]),
    ("disk.remove", &["disk.copy"]),
    ("service.stop", &["service.start"]),
    ("service.start", &["service.stop"]),
    ("traffic.set-state", &["traffic.set-state"]),
    ("traffic.set-weight", &["traffic.set-weight"]),
    ("service.switch-artifact", &["service.switch-artifact"]),
    (
        "cluster.set-transient-setting",
        &["cluster.set-transient-setting"],
    ),
    ("cluster.flush", &[]),
    (
        "cluster.put-cluster-settings",
        &["cluster.put-cluster-settings"],
    ),
    ("snapshot.restore-into", &["cluster.delete-index"]),
];

fn denied(rule: String) -> Denied {
    Denied {
        rule,
        allowed_by:
            "nothing: the host takes a change back on the same objects, by kinds that undo it"
                .into(),
    }
}

impl Grant {
    /// May the host do this to take `of` back by the old value that it kept?
    ///
    /// Where the plan may do `of`: on the same binding, by a kind that undoes it, on no other object. A copy from
    /// the kept copies is of the very file that `of` took away.
    pub fn allow_undo(&self, of: &Planned, undo: &Planned) -> Result<(), Denied> {
        self.allow_change(of)?;
        let (verb, by) = (of.change.verb(), undo.change.verb());
        if let Change::RestoreInto {
            indices, except, ..
        } = &of.change
        {
            return allow_unmaking(indices, except, undo);
        }
        if undo.binding != of.binding {
            return Err(denied(format!(
                "`{verb}` on `{}` is not taken back on `{}`",
                of.binding, undo.binding
            )));
        }
        let undoes = UNDONE_BY
            .iter()
            .find(|(kind, _)| *kind == verb.as_str())
            .is_some_and(|(_, kinds)| kinds.contains(&by.as_str()));
        if !undoes {
            return Err(denied(format!("`{by}` does not undo `{verb}`")));
        }
        let mine = of.change.objects();
        if let Some(other) = undo.change.objects().difference(&mine).next() {
            return Err(denied(format!(
                "`{by}` on `{}` takes back nothing of `{verb}`",
                other.escape_debug()
            )));
        }
        if let Change::CopyFile {
            from,
            from_dir,
            name,
            ..
        } = &undo.change
        {
            let taken = match &of.change {
                Change::EditFile { sha256, .. } | Change::RemoveFile { sha256, .. } => sha256,
                _ => return Err(denied(format!("`{verb}` keeps no copy"))),
            };
            if !is_kept(from) || !from_dir.is_empty() || name.as_str() != taken {
                return Err(denied(format!(
                    "`{name}` of `{from}` is not the copy that `{verb}` kept"
                )));
            }
        }
        Ok(())
    }

    /// May the host do this to go back to what `take` took?
    ///
    /// Where the plan may take it: restoring from the same binding, and deleting what stands in the way or came
    /// since, each within the patterns that were taken.
    pub fn allow_going_back(&self, take: &Planned, back: &Planned) -> Result<(), Denied> {
        self.allow_change(take)?;
        let by = back.change.verb();
        let Change::TakeSnapshot {
            indices, except, ..
        } = &take.change
        else {
            return Err(denied(format!(
                "`{}` takes no snapshot",
                take.change.verb()
            )));
        };
        let (names, on_its_binding): (Vec<&str>, bool) = match &back.change {
            Change::RestoreSnapshot { indices, .. } => (
                indices.iter().map(AsRef::as_ref).collect(),
                back.binding == take.binding,
            ),
            Change::DeleteIndex { name, .. } => {
                (vec![name.as_str()], back.binding.capability() == "cluster")
            }
            Change::PutTemplate { name, .. } | Change::DeleteTemplate { name, .. } => {
                (vec![name.as_str()], back.binding.capability() == "cluster")
            }
            _ => return Err(denied(format!("`{by}` is no part of a restore"))),
        };
        if !on_its_binding {
            return Err(denied(format!(
                "`{by}` on `{}` goes back to nothing that `{}` took",
                back.binding, take.binding
            )));
        }
        match names
            .into_iter()
            .find(|name| !is_meant(indices, except, name))
        {
            None => Ok(()),
            Some(name) => Err(denied(format!(
                "`{by}` on `{}`, which the snapshot leaves out",
                name.escape_debug()
            ))),
        }
    }
}

/// What a restore into a cluster made is deleted in that cluster, which is another binding than the repository's.
fn allow_unmaking(indices: &[String], except: &[String], undo: &Planned) -> Result<(), Denied> {
    match &undo.change {
        Change::DeleteIndex { name, .. }
            if undo.binding.capability() == "cluster"
                && is_meant(indices, except, name.as_str()) =>
        {
            Ok(())
        }
        other => Err(denied(format!(
            "`{}` on `{}` takes back nothing of what was restored into the cluster",
            other.verb(),
            undo.binding
        ))),
    }
}

/// One of these patterns means the name, and none of `except` does.
fn is_meant(patterns: &[String], except: &[String], name: &str) -> bool {
    let any = |texts: &[String]| {
        texts
            .iter()
            .filter_map(|text| Scope::new(text.as_str()).ok())
            .any(|scope| scope.matches(name))
    };
    any(patterns) && !any(except)
}

/// Is this the host's own binding of kept copies?
pub(crate) fn is_kept(binding: &Binding) -> bool {
    binding.as_str() == KEPT_BINDING
}

impl Change {
    /// What it is done to, each object as one text: what its undo must stay within.
    ///
    /// Not what stands inside its body, as in [`Change::names`]: a template's patterns are its content.
    pub fn objects(&self) -> BTreeSet<String> {
        let file = |dir: &[FileName], name: &FileName| {
            let dir: Vec<String> = dir.iter().map(ToString::to_string).collect();
            BTreeSet::from([format!("file/{}", path_of(&dir, name.as_str()))])
        };
        match self {
            Self::CreateIndex { name, .. } | Self::DeleteIndex { name, .. } => {
                BTreeSet::from([format!("index/{name}")])
            }
            Self::PutTemplate { kind, name, .. } | Self::DeleteTemplate { kind, name } => {
                BTreeSet::from([format!("template/{kind:?}/{name}")])
            }
            Self::UpdateAliases { actions } => actions
                .iter()
                .map(|action| {
                    let (index, alias) = action.names();
                    format!("alias/{index}/{alias}")
                })
                .collect(),
            Self::PutSettings { index, settings } => setting_keys(&settings.value())
                .into_iter()
                .map(|key| format!("settings/{index}/{key}"))
                .collect(),
            Self::CreateDocument { index, id, .. }
            | Self::ReplaceDocument { index, id, .. }
            | Self::DeleteDocument { index, id, .. } => {
                BTreeSet::from([format!("document/{index}/{id}")])
            }
            Self::SetClusterSetting { key, .. } => BTreeSet::from([format!("setting/{key}")]),
            Self::PutMapping { index, .. }
            | Self::UpdateByQuery { index, .. }
            | Self::DeleteByQuery { index, .. } => BTreeSet::from([format!("content/{index}")]),
            Self::Reindex { destination, .. } | Self::Transform { destination, .. } => {
                BTreeSet::from([format!("content/{destination}")])
            }
            Self::RestoreSnapshot { indices, .. } => indices
                .iter()
                .map(|index| format!("index/{index}"))
                .collect(),
            Self::RawChange(request) => request
                .touches()
                .iter()
                .map(|name| format!("touched/{name}"))
                .collect(),
            Self::CancelTask { id } => BTreeSet::from([format!("task/{id}")]),
            Self::RegisterRepository { .. } | Self::UnregisterRepository { .. } => {
                BTreeSet::from(["repository".to_owned()])
            }
            Self::TakeSnapshot { name, .. } | Self::DeleteSnapshot { name } => {
                BTreeSet::from([format!("snapshot/{name}")])
            }
            Self::ProveSnapshot { taken_by } => BTreeSet::from([format!("trial/{taken_by}")]),
            Self::KeepFile { dir, name }
            | Self::WriteFile { dir, name, .. }
            | Self::EditFile { dir, name, .. }
            | Self::RemoveFile { dir, name, .. } => file(dir, name),
            Self::CopyFile { dir, as_name, .. } => file(dir, as_name),
            Self::StopService {} | Self::StartService {} | Self::RestartService {} => {
                BTreeSet::from(["service".to_owned()])
            }
            Self::RunTask { name, .. } => BTreeSet::from([format!("task/{name}")]),
            Self::SetServerState {
                backend, server, ..
            } => BTreeSet::from([format!("state/{backend}/{server}")]),
            Self::SetServerWeight {
                backend, server, ..
            } => BTreeSet::from([format!("weight/{backend}/{server}")]),
            Self::SwitchArtifact { .. } => BTreeSet::from(["artifact".to_owned()]),
            Self::EndpointRequest(request) => BTreeSet::from([format!("path/{}", request.path())]),
            Self::Execute { .. } | Self::ExecuteTogether { .. } => self
                .names()
                .into_iter()
                .map(|name| format!("table/{name}"))
                .collect(),
            Self::EndSession { id, .. } => BTreeSet::from([format!("session/{id}")]),
            // One thing with the persistent value: it hides it, so who borrows both gives back neither.
            Self::SetTransientSetting { key, .. } => BTreeSet::from([format!("setting/{key}")]),
            Self::Flush { indices, .. } => indices
                .iter()
                .map(|pattern| format!("log/{pattern}"))
                .collect(),
            Self::RemoveArchivedSettings { keys } => {
                keys.iter().map(|key| format!("setting/{key}")).collect()
            }
            Self::RemoveArchivedIndexSettings { index, keys } => keys
                .iter()
                .map(|key| format!("settings/{index}/{key}"))
                .collect(),
            Self::PutClusterSettings { .. } => self
                .names()
                .into_iter()
                .map(|key| format!("setting/{key}"))
                .collect(),
            Self::RestoreInto { indices, .. } => indices
                .iter()
                .map(|pattern| format!("index/{pattern}"))
                .collect(),
        }
    }
}

/// Keys of index settings as the servers show them: flat, with `index.` before them.
fn setting_keys(settings: &serde_json::Value) -> Vec<String> {
    fn walk(value: &serde_json::Value, key: &str, keys: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, value) in members {
                    let key = if key.is_empty() {
                        name.clone()
                    } else {
                        format!("{key}.{name}")
                    };
                    walk(value, &key, keys);
                }
            }
            _ if key.starts_with("index.") => keys.push(key.to_owned()),
            _ => keys.push(format!("index.{key}")),
        }
    }
    let mut keys = Vec::new();
    walk(settings, "", &mut keys);
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::rules::RULES;
    use crate::{Digest, GrantedBinding, GrantedVerb, Json, Verb};

    fn change(text: &serde_json::Value) -> Change {
        serde_json::from_value(text.clone()).unwrap()
    }

    fn planned(binding: &str, change: Change) -> Planned {
        Planned {
            binding: Binding::new(binding).unwrap(),
            change,
            fills: vec![],
        }
    }

    /// Grants this one verb on these names, and nothing else.
    fn only(planned: &Planned) -> Grant {
        let mut verbs = vec![GrantedVerb {
            verb: planned.change.verb(),
            scope: planned
                .change
                .names()
                .into_iter()
                .map(|name| Scope::new(name).unwrap())
                .collect(),
            except: vec![],
            at_most: None,
        }];
        if matches!(planned.change, Change::CopyFile { .. }) {
            verbs.push(GrantedVerb {
                verb: Verb::new("disk.read").unwrap(),
                scope: vec![Scope::new("*").unwrap()],
                except: vec![],
                at_most: None,
            });
        }
        Grant {
            plugin: "p".into(),
            digest: Digest::of(b"p"),
            site: "s".into(),
            options: BTreeMap::new(),
            granted_by: "me".into(),
            granted_at: "now".into(),
            bindings: vec![GrantedBinding {
                binding: planned.binding.clone(),
                identity: "u".into(),
                verbs,
            }],
        }
    }

    const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn kept_copy(as_name: &str) -> serde_json::Value {
        json!({"verb": "disk.copy", "from": KEPT_BINDING, "from_dir": [], "name": SHA, "dir": ["conf"], "as_name": as_name})
    }

    /// Change; its undo; the same undo on another object.
    fn table() -> Vec<(Planned, Vec<Planned>, Planned)> {
        let template = |name: &str| json!({"verb": "cluster.put-template", "kind": "legacy", "name": name, "body": "{\"index_patterns\":[\"other-*\"]}"});
        let no_template =
            |name: &str| json!({"verb": "cluster.delete-template", "kind": "legacy", "name": name});
        let alias = |index: &str, action: &str| {
            let mut one = json!({"action": action, "index": index, "alias": "al"});
            if action == "add" {
                one["write"] = json!(true);
            }
            json!({"verb": "cluster.update-aliases", "actions": [one]})
        };
        let settings =
            |text: &str| json!({"verb": "cluster.put-settings", "index": "a", "settings": text});
        let make = |id: &str| json!({"verb": "cluster.create-document", "index": "a", "id": id, "document": "{}"});
        let unmake = |id: &str| json!({"verb": "cluster.delete-document", "index": "a", "id": id, "while_it_contains": "{}"});
        let replace = |id: &str| json!({"verb": "cluster.replace-document", "index": "a", "id": id, "while_it_contains": "{}", "document": "{}"});
        let setting =
            |key: &str| json!({"verb": "cluster.set-cluster-setting", "key": key, "value": null});
        let transient =
            |key: &str| json!({"verb": "cluster.set-transient-setting", "key": key, "value": null});
        let for_good = |key: &str| json!({"verb": "cluster.put-cluster-settings", "scope": "persistent", "settings": format!("{{\"{key}\": null}}")});
        let register = json!({"verb": "snapshot.register", "kind": "fs", "settings": "{}"});
        let unregister = json!({"verb": "snapshot.unregister", "kind": "fs", "settings": "{}"});
        let take = json!({"verb": "snapshot.take", "name": "s", "indices": ["a"], "except": []});
        let file = |verb: &str, name: &str| json!({"verb": verb, "dir": ["conf"], "name": name});
        let remove = |name: &str| json!({"verb": "disk.remove", "dir": ["conf"], "name": name, "sha256": SHA});
        let edit = |name: &str| json!({"verb": "disk.edit", "dir": ["conf"], "name": name, "sha256": SHA, "hunks": []});
        let write = json!({"verb": "disk.write", "dir": ["conf"], "name": "f", "text": "x"});
        let copy = json!({"verb": "disk.copy", "from": "disk.it", "from_dir": [], "name": "g", "dir": ["conf"], "as_name": "f"});
        let service = |verb: &str| json!({"verb": verb});
        let server_state = |server: &str, to: &str| json!({"verb": "traffic.set-state", "backend": "be", "server": server, "to": to});
        let server_weight = |server: &str, weight: u32| json!({"verb": "traffic.set-weight", "backend": "be", "server": server, "weight": weight});
        let index = |name: &str| json!({"verb": "cluster.delete-index", "name": name, "uuid": "u"});
        let rows: Vec<(serde_json::Value, Vec<serde_json::Value>, serde_json::Value)> = vec![
            (
                json!({"verb": "cluster.create-index", "name": "a", "body": "{}"}),
                vec![index("a")],
                index("b"),
            ),
            (
                template("a"),
                vec![template("a"), no_template("a")],
                no_template("b"),
            ),
            (no_template("a"), vec![template("a")], template("b")),
            (
                alias("a", "add"),
                vec![alias("a", "remove")],
                alias("b", "remove"),
            ),
            (
                settings("{\"number_of_replicas\":0}"),
                vec![settings("{\"index.number_of_replicas\":\"1\"}")],
                settings("{\"index.blocks.write\":null}"),
            ),
            (
                json!({"verb": "cluster.reindex", "source": "b", "destination": "a", "query": null,
                    "script": null, "slices": null, "requests_per_second": null}),
                vec![],
                index("a"),
            ),
            (
                json!({"verb": "cluster.transform", "source": "b", "destination": "a", "query": null,
                    "name": "n", "on_rejected": "stop"}),
                vec![],
                index("a"),
            ),
            (make("1"), vec![unmake("1")], unmake("2")),
            (replace("1"), vec![replace("1")], replace("2")),
            (unmake("1"), vec![make("1")], make("2")),
            (setting("k"), vec![setting("k")], setting("l")),
            (
                register.clone(),
                vec![register.clone(), unregister.clone()],
                take.clone(),
            ),
            (unregister.clone(), vec![register.clone()], unregister),
            (take, vec![], register),
            (file("disk.keep", "f"), vec![], remove("f")),
            (copy, vec![remove("f")], remove("g")),
            (write, vec![remove("f")], remove("g")),
            (
                edit("f"),
                vec![edit("f"), remove("f"), kept_copy("f")],
                kept_copy("g"),
            ),
            (remove("f"), vec![kept_copy("f")], kept_copy("g")),
            (
                service("service.stop"),
                vec![service("service.start")],
                service("service.restart"),
            ),
            (
                service("service.start"),
                vec![service("service.stop")],
                service("service.restart"),
            ),
            (
                server_state("n1", "drain"),
                vec![server_state("n1", "ready")],
                server_state("n2", "ready"),
            ),
            (
                server_weight("n1", 0),
                vec![server_weight("n1", 100)],
                server_weight("n2", 100),
            ),
            (
                json!({"verb": "service.switch-artifact", "to": "7.23"}),
                vec![
                    json!({"verb": "service.switch-artifact", "to": "7.22", "while_it_is": "7.23"}),
                ],
                service("service.restart"),
            ),
            (transient("k"), vec![transient("k")], transient("l")),
            (for_good("k"), vec![for_good("k")], for_good("l")),
            (
                json!({"verb": "cluster.flush", "indices": ["a*"], "except": []}),
                vec![],
                setting("k"),
            ),
            (
                json!({"verb": "snapshot.restore-into", "taken_by": "take", "indices": ["a*"], "except": ["ab*"]}),
                vec![index("a1")],
                index("ab1"),
            ),
        ];
        rows.into_iter()
            .map(|(of, undos, other)| {
                let of = change(&of);
                let own = format!("{}.it", of.verb().capability());
                let on = |it: &serde_json::Value| {
                    let undo = change(it);
                    planned(&format!("{}.it", undo.verb().capability()), undo)
                };
                (
                    planned(&own, of),
                    undos.iter().map(on).collect(),
                    on(&other),
                )
            })
            .collect()
    }

    #[test]
    fn the_grant_of_a_change_is_the_grant_of_its_own_undo_and_of_no_other() {
        let table = table();
        for rule in RULES.iter().filter(|rule| !rule.automatic_undo.is_empty()) {
            let (of, undos, other) = table
                .iter()
                .find(|(of, ..)| of.change.verb().as_str() == rule.verb)
                .unwrap_or_else(|| panic!("no row for {}", rule.verb));
            let kinds = UNDONE_BY
                .iter()
                .find(|(kind, _)| *kind == rule.verb)
                .unwrap_or_else(|| panic!("nothing undoes {}", rule.verb))
                .1;
            let seen: BTreeSet<String> = undos
                .iter()
                .map(|undo| undo.change.verb().to_string())
                .collect();
            let said: BTreeSet<String> = kinds.iter().map(ToString::to_string).collect();
            assert_eq!(seen, said, "{}", rule.verb);
            let grant = only(of);
            for undo in undos {
                grant
                    .allow_undo(of, undo)
                    .unwrap_or_else(|denied| panic!("{undo:?}: {denied:?}"));
                let mut elsewhere = undo.clone();
                // Which cluster a repository belongs to the host knows, and the grant does not.
                let capability = match undo.binding.capability() == of.binding.capability() {
                    true => of.binding.capability(),
                    false => "service",
                };
                elsewhere.binding = Binding::new(format!("{capability}.other")).unwrap();
                assert!(grant.allow_undo(of, &elsewhere).is_err(), "{elsewhere:?}");
            }
            assert!(grant.allow_undo(of, other).is_err(), "{other:?}");
            // A grant that was taken away takes its undo with it.
            let mut none = grant.clone();
            none.bindings[0].verbs.clear();
            for undo in undos {
                assert!(none.allow_undo(of, undo).is_err(), "{undo:?}");
            }
        }
        assert_eq!(
            UNDONE_BY.len(),
            RULES
                .iter()
                .filter(|rule| !rule.automatic_undo.is_empty())
                .count()
        );
    }

    #[test]
    fn no_plugin_copies_from_what_the_host_kept() {
        let copy = planned("disk.it", change(&kept_copy("f")));
        let mut grant = only(&copy);
        grant.bindings.push(GrantedBinding {
            binding: Binding::new(KEPT_BINDING).unwrap(),
            identity: "u".into(),
            verbs: grant.bindings[0].verbs.clone(),
        });
        let denied = grant.allow_change(&copy).unwrap_err();
        assert!(denied.rule.contains(KEPT_BINDING), "{denied:?}");
        // Nor writes or keeps there.
        let write = planned(
            KEPT_BINDING,
            change(&json!({"verb": "disk.write", "dir": [], "name": "f", "text": "x"})),
        );
        assert!(only(&write).allow_change(&write).is_err());
    }

    #[test]
    fn an_undo_copies_the_file_that_was_taken_away_and_no_other() {
        let remove = planned(
            "disk.it",
            change(&json!({"verb": "disk.remove", "dir": ["conf"], "name": "f", "sha256": SHA})),
        );
        let grant = only(&remove);
        let mut other = kept_copy("f");
        other["name"] = SHA.replace('0', "1").into();
        assert!(
            grant
                .allow_undo(&remove, &planned("disk.it", change(&other)))
                .is_err()
        );
        let mut elsewhere = kept_copy("f");
        elsewhere["from"] = "disk.other".into();
        assert!(
            grant
                .allow_undo(&remove, &planned("disk.it", change(&elsewhere)))
                .is_err()
        );
    }

    #[test]
    fn going_back_stays_within_what_the_snapshot_took() {
        let take = planned(
            "snapshot.backups",
            change(
                &json!({"verb": "snapshot.take", "name": "s", "indices": ["a-*"], "except": ["a-team-*"]}),
            ),
        );
        let mut grant = only(&take);
        grant.bindings[0].verbs[0].except = vec![Scope::new("a-team-*").unwrap()];
        let restore = |indices: &[&str]| {
            planned(
                "snapshot.backups",
                change(
                    &json!({"verb": "snapshot.restore", "taken_by": "take", "indices": indices}),
                ),
            )
        };
        let delete = |name: &str| {
            planned(
                "cluster.database",
                change(&json!({"verb": "cluster.delete-index", "name": name, "uuid": "u"})),
            )
        };
        grant.allow_going_back(&take, &restore(&["a-1"])).unwrap();
        grant.allow_going_back(&take, &delete("a-1")).unwrap();
        for bad in [
            restore(&["a-1", "b-1"]),
            restore(&["a-team-1"]),
            delete("b-1"),
            delete("a-team-1"),
            planned("snapshot.other", restore(&["a-1"]).change),
            planned("service.x", Change::StartService {}),
            take.clone(),
        ] {
            assert!(grant.allow_going_back(&take, &bad).is_err(), "{bad:?}");
        }
        let mut none = grant.clone();
        none.bindings.clear();
        assert!(none.allow_going_back(&take, &delete("a-1")).is_err());
        let no_take = planned("snapshot.backups", restore(&["a-1"]).change);
        assert!(grant.allow_going_back(&no_take, &delete("a-1")).is_err());
    }

    #[test]
    fn settings_are_one_object_a_key_however_they_are_written() {
        let of = |text: &str| setting_keys(&Json::new(text).unwrap().value());
        assert_eq!(
            of(r#"{"number_of_replicas":0}"#),
            ["index.number_of_replicas"]
        );
        assert_eq!(
            of(r#"{"index":{"blocks.write":true}}"#),
            ["index.blocks.write"]
        );
    }
}

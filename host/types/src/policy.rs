//! The policy: `plan ⊆ grant ⊆ request`, each inclusion a prefix test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::options::resolve_verb;
use crate::scope::{Meant, check};
use crate::undo::is_kept;
use crate::{
    Binding, Change, Condition, Descriptor, Digest, KEPT_BINDING, Need, Planned, Predicate, Read,
    ReadError, Scope, Verb,
};

/// One verb that is granted on a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedVerb {
    /// The verb.
    pub verb: Verb,
    /// What it may name.
    pub scope: Vec<Scope>,
    /// Taken away from that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Scope>,
    /// At most so many changes of this verb in one plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
}

/// What is granted on one binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantedBinding {
    /// Which.
    pub binding: Binding,
    /// Its target's identity when it was granted (a cluster's uuid).
    pub identity: String,
    /// In the order of the request.
    pub verbs: Vec<GrantedVerb>,
}

/// What the operator allowed one plugin on one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The plugin's name.
    pub plugin: String,
    /// The bytes it is bound to.
    pub digest: Digest,
    /// The site's name.
    pub site: String,
    /// The options that the scopes were resolved with.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Who.
    pub granted_by: String,
    /// When, ISO-8601.
    pub granted_at: String,
    /// On what.
    pub bindings: Vec<GrantedBinding>,
}

/// Why a policy says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct Denied {
    /// The rule that refused.
    pub rule: String,
    /// The line of the grant that would allow it.
    pub allowed_by: String,
}

impl From<Denied> for ReadError {
    fn from(denied: Denied) -> Self {
        Self::Denied {
            rule: denied.rule,
            allowed_by: denied.allowed_by,
        }
    }
}

impl Grant {
    /// The hash that a plan names: over everything but who and when.
    pub fn hash(&self) -> Digest {
        let text = serde_json::json!({
            "plugin": self.plugin, "digest": self.digest, "site": self.site,
            "options": self.options, "bindings": self.bindings,
        });
        Digest::of(text.to_string().as_bytes())
    }

    /// What is granted on this binding.
    pub fn binding(&self, binding: &Binding) -> Option<&GrantedBinding> {
        self.bindings
            .iter()
            .find(|granted| granted.binding == *binding)
    }

    fn verb(&self, binding: &Binding, verb: &str) -> Result<&GrantedVerb, Denied> {
        self.binding(binding)
            .and_then(|granted| {
                granted
                    .verbs
                    .iter()
                    .find(|granted| granted.verb.as_str() == verb)
            })
            .ok_or_else(|| Denied {
                rule: format!("`{verb}` is not granted on `{binding}`"),
                allowed_by: format!(
                    "[[grant.bindings.verbs]] verb = \"{verb}\" under binding \"{binding}\""
                ),
            })
    }

    fn allow(
        &self,
        binding: &Binding,
        verb: &str,
        names: &[String],
        except: &[String],
    ) -> Result<(), Denied> {
        let asked = Asked {
            granted: self.verb(binding, verb)?,
            binding,
            except,
            is_filtered: false,
        };
        names.iter().try_for_each(|name| asked.allow(name))
    }

    /// May this be read there?
    pub fn allow_read(&self, binding: &Binding, read: &Read) -> Result<(), Denied> {
        let asked = Asked {
            granted: self.verb(binding, read.verb_text())?,
            binding,
            except: &[],
            is_filtered: read.is_filtered(),
        };
        read.try_each_name(|name| asked.allow(name))
    }

    /// Is this name taken away from what the verb may see there? Such names are left out of filtered answers.
    pub fn takes_away(&self, binding: &Binding, verb: &str, name: &str) -> bool {
        self.verb(binding, verb)
            .is_ok_and(|granted| granted.except.iter().any(|scope| scope.matches(name)))
    }

    /// May this be done there?
    pub fn allow_change(&self, planned: &Planned) -> Result<(), Denied> {
        let change = &planned.change;
        if planned.binding.capability() != change.verb().capability() {
            return Err(Denied {
                rule: format!(
                    "`{}` cannot be done on `{}`",
                    change.verb(),
                    planned.binding
                ),
                allowed_by: "nothing: the binding is of another capability".into(),
            });
        }
        let kept = match change {
            Change::CopyFile { from, .. } => is_kept(from),
            _ => false,
        };
        if kept || is_kept(&planned.binding) {
            return Err(Denied {
                rule: format!(
                    "`{}` with `{KEPT_BINDING}`, which is the host's own",
                    change.verb()
                ),
                allowed_by: "nothing: only an undo puts a kept copy back".into(),
            });
        }
        if let Change::CopyFile {
            from,
            from_dir,
            name,
            ..
        } = change
        {
            let dir: Vec<String> = from_dir.iter().map(ToString::to_string).collect();
            self.allow_read(
                from,
                &Read::FileSha256 {
                    dir,
                    name: name.to_string(),
                },
            )?;
        }
        if let Change::RawChange(request) = change {
            // The path says what is sent, and the names what it is done to: both must be the plugin's.
            let touches: Vec<String> = request.touches().iter().map(ToString::to_string).collect();
            self.allow(&planned.binding, "cluster.read", &touches, &[])?;
            self.allow_predicate(&planned.binding, &request.done_when().predicate)?;
        }
        if let Change::EndpointRequest(request) = change {
            self.allow_predicate(&planned.binding, &request.done_when().predicate)?;
        }
        self.allow(
            &planned.binding,
            change.verb().as_str(),
            &change.names(),
            change.except(),
        )
    }

    /// May this be waited for there?
    pub fn allow_predicate(&self, binding: &Binding, predicate: &Predicate) -> Result<(), Denied> {
        predicate
            .reads()
            .iter()
            .try_for_each(|read| self.allow_read(binding, read))
    }

    /// May this be waited for?
    pub fn allow_condition(&self, condition: &Condition) -> Result<(), Denied> {
        self.allow_predicate(&condition.binding, &condition.predicate)
    }

    /// No verb is planned more often than `at_most` says.
    pub fn allow_amount<'a>(
        &self,
        planned: impl Iterator<Item = &'a Planned>,
    ) -> Result<(), Denied> {
        let mut amounts: BTreeMap<(Binding, Verb), u32> = BTreeMap::new();
        for planned in planned {
            *amounts
                .entry((planned.binding.clone(), planned.change.verb()))
                .or_default() += 1;
        }
        for ((binding, verb), amount) in amounts {
            let at_most = self.verb(&binding, verb.as_str())?.at_most;
            if at_most.is_some_and(|most| amount > most) {
                return Err(Denied {
                    rule: format!(
                        "`{verb}` on `{binding}` is granted at most {} times, the plan has it {amount} times",
                        at_most.unwrap_or_default()
                    ),
                    allowed_by: format!(
                        "at_most = {amount} for verb \"{verb}\" under binding \"{binding}\""
                    ),
                });
            }
        }
        Ok(())
    }

    /// Everything granted is asked for by the descriptor: `grant ⊆ request`.
    pub fn within(&self, descriptor: &Descriptor) -> Result<(), Denied> {
        for granted in &self.bindings {
            for verb in &granted.verbs {
                let asked: Vec<GrantedVerb> = descriptor
                    .requests
                    .iter()
                    .filter(|request| {
                        binding_matches(&request.binding, request.need, &granted.binding)
                    })
                    .flat_map(|request| &request.verbs)
                    .filter(|request| request.verb == verb.verb)
                    .filter_map(|request| resolve_verb(request, &self.options).ok().flatten())
                    .collect();
                let covered = |scope: &Scope| {
                    asked.iter().any(|asked| {
                        asked.scope.iter().any(|wide| wide.includes(scope))
                            && asked.except.iter().all(|taken| {
                                !taken.overlaps(scope)
                                    || verb.except.iter().any(|mine| mine.includes(taken))
                            })
                            && (asked.at_most.is_none()
                                || verb.at_most.is_some_and(|mine| Some(mine) <= asked.at_most))
                    })
                };
                if asked.is_empty() || !verb.scope.iter().all(covered) {
                    return Err(Denied {
                        rule: format!(
                            "the grant of `{}` on `{}` is wider than what the plugin asks for",
                            verb.verb, granted.binding
                        ),
                        allowed_by: "a narrower line in grants.toml, with options written out; `liftlock grant` writes the one asked for".into(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// What is asked for under one granted verb.
struct Asked<'a> {
    granted: &'a GrantedVerb,
    binding: &'a Binding,
    /// Left out by who asks.
    except: &'a [String],
    /// The host leaves out of the answer what the grant takes away.
    is_filtered: bool,
}

impl Asked<'_> {
    /// May it be asked of this name, or of what this pattern means?
    fn allow(&self, name: &str) -> Result<(), Denied> {
        let (granted, binding) = (self.granted, self.binding);
        let verb = &granted.verb;
        let no = |rule: String| Denied {
            rule,
            allowed_by: format!(
                "scope = [\"{}\"] for verb \"{verb}\" under binding \"{binding}\"",
                name.escape_debug()
            ),
        };
        check(name).map_err(|error| no(format!("`{verb}` on `{binding}`: {error}")))?;
        let asked = Meant::by(name);
        if !granted
            .scope
            .iter()
            .any(|scope| scope.meant().includes(asked))
        {
            return Err(no(format!(
                "`{verb}` on `{binding}` is granted for {}, not for `{}`",
                listed(&granted.scope),
                name.escape_debug()
            )));
        }
        for taken in &granted.except {
            if taken.meant().includes(asked) {
                return Err(no(format!(
                    "`{verb}` on `{binding}` is granted except `{}`",
                    taken.as_str()
                )));
            }
            if taken.meant().overlaps(asked) && !self.is_filtered && !self.leaves_out(taken) {
                return Err(no(format!(
                    "`{verb}` on `{binding}`: `{}` reaches over `{}`, which the grant takes away",
                    name.escape_debug(),
                    taken.as_str()
                )));
            }
        }
        Ok(())
    }

    fn leaves_out(&self, taken: &Scope) -> bool {
        self.except
            .iter()
            .filter(|text| check(text).is_ok())
            .any(|text| Meant::by(text).includes(taken.meant()))
    }
}

/// Does a request for `asked` cover this binding?
pub fn binding_matches(asked: &str, need: Need, binding: &Binding) -> bool {
    match asked.strip_suffix('*') {
        Some(prefix) if need == Need::Many => binding.as_str().starts_with(prefix),
        _ => asked == binding.as_str(),
    }
}

fn listed(scopes: &[Scope]) -> String {
    let texts: Vec<String> = scopes
        .iter()
        .map(|scope| format!("`{}`", scope.as_str()))
        .collect();
    if texts.is_empty() {
        "nothing".into()
    } else {
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IndexName, SnapshotName, VerbRequest};

    fn scope(text: &str) -> Scope {
        Scope::new(text).unwrap()
    }

    fn grant(verb: &str, scopes: &[&str], except: &[&str], at_most: Option<u32>) -> Grant {
        Grant {
            plugin: "p".into(),
            digest: Digest::of(b"p"),
            site: "s".into(),
            options: BTreeMap::new(),
            granted_by: "me".into(),
            granted_at: "now".into(),
            bindings: vec![GrantedBinding {
                binding: Binding::new("cluster.database").unwrap(),
                identity: "u".into(),
                verbs: vec![GrantedVerb {
                    verb: Verb::new(verb).unwrap(),
                    scope: scopes.iter().map(|s| scope(s)).collect(),
                    except: except.iter().map(|s| scope(s)).collect(),
                    at_most,
                }],
            }],
        }
    }

    fn delete(binding: &str, index: &str) -> Planned {
        Planned {
            binding: Binding::new(binding).unwrap(),
            change: Change::DeleteIndex {
                name: IndexName::new(index).unwrap(),
                uuid: "u".into(),
            },
            fills: vec![],
        }
    }

    #[test]
    fn one_refused_name_of_many_denies_the_read() {
        let grant = grant("cluster.read-documents", &["optimize-*"], &[], None);
        let binding = Binding::new("cluster.database").unwrap();
        let search = |indices: &[&str], query: &str| Read::Search {
            what: crate::facts::cluster::Search {
                indices: indices.iter().map(ToString::to_string).collect(),
                query: crate::Json::new(query).unwrap(),
                sort: None,
                size: 1,
                after: None,
            },
        };
        let all = r#"{"match_all":{}}"#;
        assert!(
            grant
                .allow_read(&binding, &search(&["optimize-a", "optimize-b*"], all))
                .is_ok()
        );
        for place in 0..3 {
            let mut indices = ["optimize-a"; 3];
            indices[place] = "secret";
            let denied = grant
                .allow_read(&binding, &search(&indices, all))
                .unwrap_err();
            assert!(denied.rule.contains("not for `secret`"), "{denied}");
        }
        let lookup = r#"{"terms":{"x":{"index":"secret","id":"1","path":"p"}}}"#;
        assert!(
            grant
                .allow_read(&binding, &search(&["optimize-a"], lookup))
                .is_err()
        );
    }

    #[test]
    fn denies_a_verb_that_is_not_granted() {
        let denied = grant("cluster.create-index", &["*"], &[], None)
            .allow_change(&delete("cluster.database", "a"))
            .unwrap_err();
        assert!(
            denied
                .rule
                .contains("`cluster.delete-index` is not granted"),
            "{denied:?}"
        );
        assert!(
            denied
                .allowed_by
                .contains("verb = \"cluster.delete-index\""),
            "{denied:?}"
        );
    }

    #[test]
    fn denies_another_binding() {
        let denied = grant("cluster.delete-index", &["*"], &[], None)
            .allow_change(&delete("cluster.other", "a"));
        assert!(denied.is_err());
    }

    #[test]
    fn denies_a_change_on_a_binding_of_another_capability() {
        let mut grant = grant("cluster.delete-index", &["*"], &[], None);
        grant.bindings[0].binding = Binding::new("disk.config").unwrap();
        assert!(grant.allow_change(&delete("disk.config", "a")).is_err());
    }

    #[test]
    fn denies_a_name_outside_the_scope() {
        let grant = grant("cluster.delete-index", &["optimize-a*"], &[], None);
        assert!(
            grant
                .allow_change(&delete("cluster.database", "optimize-a_v2"))
                .is_ok()
        );
        let denied = grant
            .allow_change(&delete("cluster.database", "optimize-b"))
            .unwrap_err();
        assert!(
            denied.allowed_by.contains("scope = [\"optimize-b\"]"),
            "{denied:?}"
        );
    }

    #[test]
    fn denies_what_except_takes_away() {
        let grant = grant(
            "cluster.delete-index",
            &["optimize-*"],
            &["optimize-team-a-*"],
            None,
        );
        assert!(
            grant
                .allow_change(&delete("cluster.database", "optimize-team-a-x"))
                .is_err()
        );
        assert!(
            grant
                .allow_change(&delete("cluster.database", "optimize-x"))
                .is_ok()
        );
    }

    #[test]
    fn denies_more_than_at_most() {
        let grant = grant("cluster.delete-index", &["*"], &[], Some(1));
        let (a, b) = (
            delete("cluster.database", "a"),
            delete("cluster.database", "b"),
        );
        assert!(grant.allow_amount([&a].into_iter()).is_ok());
        assert!(grant.allow_amount([&a, &b].into_iter()).is_err());
    }

    #[test]
    fn a_pattern_must_leave_out_what_except_takes_away() {
        let grant = grant(
            "cluster.read",
            &["optimize-*"],
            &["optimize-team-a-*"],
            None,
        );
        let binding = Binding::new("cluster.database").unwrap();
        // A list that the host filters may reach over it,
        assert!(
            grant
                .allow_read(
                    &binding,
                    &Read::Indices {
                        pattern: "optimize-*".into()
                    }
                )
                .is_ok()
        );
        // a single mapping may not.
        assert!(
            grant
                .allow_read(
                    &binding,
                    &Read::Mappings {
                        index: "optimize-*".into()
                    }
                )
                .is_err()
        );
        let mut grant = grant;
        grant.bindings[0].verbs[0].verb = Verb::new("snapshot.take").unwrap();
        grant.bindings[0].binding = Binding::new("snapshot.backups").unwrap();
        let take = |except: Vec<String>| Planned {
            binding: Binding::new("snapshot.backups").unwrap(),
            change: Change::TakeSnapshot {
                name: SnapshotName::new("s").unwrap(),
                indices: vec!["optimize-*".into()],
                except,
            },
            fills: vec![],
        };
        assert!(grant.allow_change(&take(vec![])).is_err());
        assert!(
            grant
                .allow_change(&take(vec!["optimize-team-*".into()]))
                .is_ok()
        );
    }

    #[test]
    fn denies_a_read_outside_the_scope() {
        let grant = grant("cluster.count", &["optimize-*"], &[], None);
        let binding = Binding::new("cluster.database").unwrap();
        let count = |index: &str| Read::Count {
            index: index.into(),
            query: None,
        };
        assert!(grant.allow_read(&binding, &count("optimize-a")).is_ok());
        assert!(grant.allow_read(&binding, &count("zeebe")).is_err());
        assert!(
            grant
                .allow_read(&binding, &count("optimize-a,zeebe*"))
                .is_err()
        );
        assert!(grant.allow_read(&binding, &Read::Health).is_err());
    }

    #[test]
    fn denies_what_hides_in_a_body() {
        let on = |verb: &str, scopes: &[&str], change: Change| {
            let planned = Planned {
                binding: Binding::new("cluster.database").unwrap(),
                change,
                fills: vec![],
            };
            grant(verb, scopes, &[], None).allow_change(&planned)
        };
        let json = |text: &str| crate::Json::new(text).unwrap();
        let name = |text: &str| IndexName::new(text).unwrap();
        let create = |body: &str| Change::CreateIndex {
            name: name("a-1"),
            body: json(body),
        };
        assert!(
            on(
                "cluster.create-index",
                &["a-*"],
                create(r#"{"aliases":{"a-x":{}}}"#)
            )
            .is_ok()
        );
        assert!(
            on(
                "cluster.create-index",
                &["a-*"],
                create(r#"{"aliases":{"b":{}}}"#)
            )
            .is_err()
        );
        let template = |body: &str| Change::PutTemplate {
            kind: crate::facts::cluster::TemplateKind::Composable,
            name: crate::TemplateName::new("a-t").unwrap(),
            body: json(body),
        };
        assert!(
            on(
                "cluster.put-template",
                &["a-*"],
                template(r#"{"index_patterns":["a-b*"]}"#)
            )
            .is_ok()
        );
        assert!(
            on(
                "cluster.put-template",
                &["a-*"],
                template(r#"{"index_patterns":["*"]}"#)
            )
            .is_err()
        );
        assert!(
            on(
                "cluster.put-template",
                &["a-*"],
                template(r#"{"index_patterns":["*b"]}"#)
            )
            .is_err()
        );
        assert!(
            on(
                "cluster.put-template",
                &["a-*"],
                template(r#"{"index_patterns":["a-b*"],"template":{"aliases":{"b":{}}}}"#)
            )
            .is_err()
        );
        for body in [
            r#"{"aliases":{"a-x":{"filter":{"terms":{"x":{"index":"secret","id":"1","path":"p"}}}}}}"#,
            r#"{"mappings":{"runtime":{"x":{"type":"lookup","target_index":"secret"}}}}"#,
        ] {
            assert!(
                on("cluster.create-index", &["a-*"], create(body)).is_err(),
                "{body}"
            );
        }
        assert!(
            on(
                "cluster.create-index",
                &["a-*"],
                create(r#"{"mappings":{"properties":{"index":{},"id":{},"target_index":{"type":"keyword"}}}}"#)
            )
            .is_ok()
        );
        assert!(
            on(
                "cluster.put-template",
                &["a-*"],
                template(r#"{"template":"*"}"#)
            )
            .is_err()
        );
        for lookup in [
            r#"{"wrapper":{"query":"eyJtYXRjaF9hbGwiOnt9fQ=="}}"#,
            r#"{"terms":{"x":{"index":"secret","query":{"match_all":{}},"path":"p"}}}"#,
        ] {
            let delete = Change::DeleteByQuery {
                index: name("a-1"),
                query: json(lookup),
            };
            assert!(
                on("cluster.delete-by-query", &["a-*"], delete).is_err(),
                "{lookup}"
            );
        }
        let lookup = r#"{"terms":{"x":{"index":"secret","id":"1","path":"p"}}}"#;
        let delete = Change::DeleteByQuery {
            index: name("a-1"),
            query: json(lookup),
        };
        assert!(on("cluster.delete-by-query", &["a-*"], delete).is_err());
        let count = Read::Count {
            index: "a-1".into(),
            query: Some(json(lookup)),
        };
        let binding = Binding::new("cluster.database").unwrap();
        assert!(
            grant("cluster.count", &["a-*"], &[], None)
                .allow_read(&binding, &count)
                .is_err()
        );
    }

    #[test]
    fn a_directory_outside_the_scope_is_not_listed() {
        let mut grant = grant("disk.read", &["conf/*"], &[], None);
        grant.bindings[0].binding = Binding::new("disk.config").unwrap();
        let binding = Binding::new("disk.config").unwrap();
        let entries = |dir: &[&str]| Read::Entries {
            dir: dir.iter().map(ToString::to_string).collect(),
        };
        assert!(grant.allow_read(&binding, &entries(&["conf"])).is_ok());
        assert!(
            grant
                .allow_read(&binding, &entries(&["conf", "deep"]))
                .is_ok()
        );
        assert!(grant.allow_read(&binding, &entries(&["other"])).is_err());
        assert!(grant.allow_read(&binding, &entries(&[])).is_err());
        assert!(
            grant
                .allow_read(&binding, &Read::Space { dir: vec![] })
                .is_err()
        );
    }

    #[test]
    fn denies_a_server_behind_a_balancer_outside_the_scope() {
        use crate::facts::traffic::Administrative;
        let balancer = Binding::new("traffic.front").unwrap();
        let on = |verb: &str, scopes: &[&str], except: &[&str]| {
            let mut grant = grant(verb, scopes, except, None);
            grant.bindings[0].binding = balancer.clone();
            grant
        };
        let change = |server: &str, weight: Option<u32>| {
            let backend = crate::BackendName::new("be").unwrap();
            let server = crate::ServerName::new(server).unwrap();
            let change = match weight {
                Some(weight) => Change::SetServerWeight {
                    backend,
                    server,
                    weight,
                },
                None => Change::SetServerState {
                    backend,
                    server,
                    to: Administrative::Drain,
                },
            };
            Planned {
                binding: balancer.clone(),
                change,
                fills: vec![],
            }
        };
        for (verb, weight) in [("traffic.set-state", None), ("traffic.set-weight", Some(1))] {
            let grant = on(verb, &["be/n*"], &["be/n9"]);
            assert!(grant.allow_change(&change("n1", weight)).is_ok());
            assert!(grant.allow_change(&change("n9", weight)).is_err());
            assert!(grant.allow_change(&change("m1", weight)).is_err());
        }
        let only_state = on("traffic.set-state", &["*"], &[]);
        assert!(only_state.allow_change(&change("n1", Some(1))).is_err());
        let read = |backend: &str, server: Option<&str>| Read::TrafficServers {
            backend: backend.into(),
            server: server.map(str::to_owned),
        };
        let one = on("traffic.read", &["be/n1"], &[]);
        assert!(one.allow_read(&balancer, &read("be", Some("n1"))).is_ok());
        for outside in [
            read("be", Some("n2")),
            read("be", None),
            read("be*", None),
            read("*", None),
        ] {
            assert!(one.allow_read(&balancer, &outside).is_err(), "{outside:?}");
        }
        let filtered = on("traffic.read", &["be/*"], &["be/secret*"]);
        assert!(filtered.allow_read(&balancer, &read("be", None)).is_ok());
        assert!(filtered.allow_read(&balancer, &read("be2", None)).is_err());
        assert!(filtered.takes_away(&balancer, "traffic.read", "be/secret1"));
        let least = Predicate::ServingAtLeast {
            backend: "be".into(),
            count: 1,
        };
        assert!(one.allow_predicate(&balancer, &least).is_err());
        assert!(filtered.allow_predicate(&balancer, &least).is_ok());
    }

    #[test]
    fn a_grant_wider_than_the_request_is_refused() {
        let descriptor = |scopes: &[&str], except: &[&str], at_most| Descriptor {
            product: "p".into(),
            name: "p".into(),
            version: "1".into(),
            summary: String::new(),
            edges: vec![],
            options: vec![],
            findings: vec![],
            more: vec![],
            requests: vec![crate::Request {
                binding: "cluster.database".into(),
                need: Need::One,
                why: String::new(),
                verbs: vec![VerbRequest {
                    verb: Verb::new("cluster.delete-index").unwrap(),
                    scope: scopes.iter().map(ToString::to_string).collect(),
                    except: except.iter().map(ToString::to_string).collect(),
                    at_most,
                    why: String::new(),
                }],
            }],
        };
        let narrow = grant("cluster.delete-index", &["a-*"], &["a-x*"], Some(1));
        assert!(
            narrow
                .within(&descriptor(&["a-*"], &["a-x*"], Some(1)))
                .is_ok()
        );
        assert!(narrow.within(&descriptor(&["*"], &[], None)).is_ok());
        assert!(
            narrow.within(&descriptor(&["a-b*"], &[], None)).is_err(),
            "scope"
        );
        assert!(
            narrow
                .within(&descriptor(&["a-*"], &["a-*"], None))
                .is_err(),
            "except"
        );
        assert!(
            grant("cluster.delete-index", &["a-*"], &[], None)
                .within(&descriptor(&["a-*"], &[], Some(3)))
                .is_err(),
            "at most"
        );
        assert!(
            grant("cluster.create-index", &["a-*"], &[], None)
                .within(&descriptor(&["a-*"], &[], None))
                .is_err(),
            "verb"
        );
        // What waits for an option is asked for only with it.
        let waits = descriptor(&["{database?}a-*"], &[], None);
        let mut marked = grant("cluster.delete-index", &["a-b"], &[], None);
        for (value, is_asked) in [("", false), ("2.19.1", true)] {
            marked.options.insert("database".into(), value.into());
            assert_eq!(marked.within(&waits).is_ok(), is_asked, "`{value}`");
        }
    }
}

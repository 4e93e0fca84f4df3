//! The grant prompt: who asks, for what, how much that is here, why, and what the worst would be.

use std::collections::BTreeSet;

use liftlock_types::{Descriptor, Grant, GrantedVerb, Scope, TargetIdentity};
use schemars::JsonSchema;
use serde::Serialize;

use crate::escape;
use crate::grants::{covers, reason};
use crate::here::{Here, Names};
use crate::output::{Paint, Style};
use crate::view::{Table, change, count};

/// Columns of the screen: with gaps and indent they make 110.
const COLUMNS: [usize; 5] = [2, 16, 40, 17, 26];

/// Longest scope list that the screen holds; a longer one says how much is left out, and `grant --show` has it.
const SCOPE_CHARS_MAX: usize = 2_000;

/// What is asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GrantData {
    /// `camunda-optimize 0.1.0, sha256 3f9a12c4 (UNSIGNED, development)`.
    plugin: String,
    /// The site.
    site: String,
    /// On what.
    bindings: Vec<BindingData>,
    /// What would happen if all destructive verbs were used to the full.
    at_worst: String,
    /// The grants file has it.
    pub(crate) written: bool,
}

/// What is asked for on one binding.
#[derive(Debug, Serialize, JsonSchema)]
struct BindingData {
    binding: String,
    /// Who answers there, for people.
    identity: String,
    /// Unique and lasting.
    fingerprint: String,
    verbs: Vec<VerbData>,
}

/// One verb.
#[derive(Debug, Serialize, JsonSchema)]
struct VerbData {
    verb: String,
    /// It takes something away.
    destructive: bool,
    scope: Vec<String>,
    except: Vec<String>,
    at_most: Option<u32>,
    /// What it matches here: `41 of 60 indices`.
    matches: Option<String>,
    why: String,
    /// Not in the grant that an earlier build of the plugin has.
    is_new: bool,
}

/// Everything that the screen shows.
pub(crate) fn data(
    label: &str,
    descriptor: &Descriptor,
    grant: &Grant,
    old: Option<&Grant>,
    here: &Here,
    identity_of: impl Fn(&liftlock_types::Binding) -> Option<TargetIdentity>,
) -> GrantData {
    let mut worst = Worst::default();
    let bindings = grant
        .bindings
        .iter()
        .map(|granted| {
            let identity = identity_of(&granted.binding);
            let verbs = granted
                .verbs
                .iter()
                .map(|verb| {
                    let names = here.of(&granted.binding, verb.verb.as_str());
                    worst.add(granted.binding.as_str(), verb, names);
                    VerbData {
                        verb: verb.verb.to_string(),
                        destructive: change::takes_away(verb.verb.as_str()),
                        scope: texts(&verb.scope),
                        except: texts(&verb.except),
                        at_most: verb.at_most,
                        matches: names.map(|names| matches(verb, names)),
                        why: escape::line(reason(descriptor, &granted.binding, verb)),
                        is_new: old.is_some_and(|old| !covers(old, &granted.binding, verb)),
                    }
                })
                .collect();
            BindingData {
                binding: granted.binding.to_string(),
                identity: identity
                    .map(|identity| escape::line(&identity.product))
                    .unwrap_or_default(),
                fingerprint: escape::line(&granted.identity),
                verbs,
            }
        })
        .collect();
    GrantData {
        plugin: escape::line(label),
        site: grant.site.clone(),
        bindings,
        at_worst: worst.text(),
        written: false,
    }
}

fn texts(scopes: &[Scope]) -> Vec<String> {
    scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect()
}

fn matched(verb: &GrantedVerb, names: &Names) -> usize {
    names
        .names
        .iter()
        .filter(|name| {
            verb.scope.iter().any(|scope| scope.matches(name))
                && !verb.except.iter().any(|scope| scope.matches(name))
        })
        .count()
}

fn matches(verb: &GrantedVerb, names: &Names) -> String {
    format!(
        "{} of {} {}",
        matched(verb, names),
        names.names.len(),
        names.many
    )
}

/// As text: the screen without its question.
pub(crate) fn text(data: &GrantData, paint: Paint) -> String {
    let mut out = format!(
        "{} asks on site `{}`\n",
        paint.text(Style::Strong, &data.plugin),
        data.site
    );
    let mut table = Table::new(&["", "verb", "on", "matches here", "why"]).within(&COLUMNS);
    for verb in data.bindings.iter().flat_map(|binding| &binding.verbs) {
        let name = verb
            .verb
            .split_once('.')
            .map_or(verb.verb.as_str(), |(_, name)| name);
        let mark = match (verb.destructive, verb.is_new) {
            (true, true) => "!+",
            (true, false) => "!",
            (false, true) => "+",
            (false, false) => "",
        };
        table.row([
            mark.to_owned(),
            name.to_owned(),
            scope_text(verb),
            verb.matches.clone().unwrap_or_default(),
            verb.why.clone(),
        ]);
    }
    let mut blocks = table.blocks(1).into_iter();
    out.extend(blocks.next());
    for binding in &data.bindings {
        out.push_str(&format!(
            "  {}  {}\n",
            paint.text(Style::Strong, &binding.binding),
            identity_line(&binding.identity, &binding.fingerprint)
        ));
        out.extend(blocks.by_ref().take(binding.verbs.len()));
    }
    if data
        .bindings
        .iter()
        .flat_map(|binding| &binding.verbs)
        .any(|verb| verb.is_new)
    {
        out.push_str("+ is new or wider than in the grant that the plugin had.\n");
    }
    out.push_str(&format!(
        "It can only propose; each effect still needs an approved plan. At worst: {}.\n",
        data.at_worst
    ));
    out
}

fn identity_line(product: &str, fingerprint: &str) -> String {
    if product.contains(fingerprint) || fingerprint.is_empty() {
        product.to_owned()
    } else {
        format!("{product}, id {}", escape::bounded(fingerprint, 40))
    }
}

fn scope_text(verb: &VerbData) -> String {
    let mut text = verb.scope.join(", ");
    if !verb.except.is_empty() {
        text.push_str(&format!(" except {}", verb.except.join(", ")));
    }
    if let Some(most) = verb.at_most {
        text.push_str(&format!(
            "{}at most {most}",
            if text.is_empty() { "" } else { ", " }
        ));
    }
    // The whole of it: what is granted is what is read.
    escape::bounded(&text, SCOPE_CHARS_MAX)
}

/// What the destructive verbs come to.
#[derive(Debug, Default)]
struct Worst {
    parts: Vec<String>,
    stopped: BTreeSet<String>,
}

impl Worst {
    fn add(&mut self, binding: &str, verb: &GrantedVerb, names: Option<&Names>) {
        let name = verb.verb.as_str();
        if matches!(name, "service.stop" | "service.restart") {
            self.stopped.insert(binding.to_owned());
        }
        if name == "traffic.set-state" {
            let many = names.map_or("servers".to_owned(), |names| {
                let most = verb.at_most.map_or(usize::MAX, |most| most as usize);
                count(matched(verb, names).min(most), names.one, names.many)
            });
            self.parts.push(format!(
                "{many} of {binding} taken, never the last that serve"
            ));
        }
        if name == "disk.read-bytes" {
            self.parts
                .push(format!("files of {binding} read with nothing redacted"));
        }
        if name == "endpoint.request" {
            self.parts
                .push(format!("whatever its requests do at {binding}"));
        }
        if !change::takes_away(name) {
            return;
        }
        let does = name.split_once('.').map_or(name, |(_, does)| does);
        self.parts.push(match names {
            Some(names) => {
                let most = verb.at_most.map_or(usize::MAX, |most| most as usize);
                let n = matched(verb, names).min(most);
                format!("{does} on {}", count(n, names.one, names.many))
            }
            None => format!("{does} within its scope"),
        });
    }

    fn text(self) -> String {
        let mut parts = self.parts;
        parts.extend(
            self.stopped
                .into_iter()
                .map(|binding| format!("{binding} stopped")),
        );
        if parts.is_empty() {
            "nothing is taken away".into()
        } else {
            parts.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use liftlock_types::{Binding, Digest, GrantedBinding, Need, Request, Verb, VerbRequest};

    use super::*;

    fn granted(verb: &str, scope: &[&str], except: &[&str], at_most: Option<u32>) -> GrantedVerb {
        let scopes = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Scope::new(*text).unwrap())
                .collect()
        };
        GrantedVerb {
            verb: Verb::new(verb).unwrap(),
            scope: scopes(scope),
            except: scopes(except),
            at_most,
        }
    }

    #[test]
    fn the_worst_of_a_balancer_is_the_servers_that_can_be_taken() {
        let verb = granted("traffic.set-state", &["be/*"], &["be/n3"], None);
        let names = Names {
            names: ["be/n1", "be/n2", "be/n3", "other/n1"]
                .map(str::to_owned)
                .to_vec(),
            one: "server",
            many: "servers",
        };
        let mut worst = Worst::default();
        worst.add("traffic.front", &verb, Some(&names));
        assert_eq!(
            worst.text(),
            "2 servers of traffic.front taken, never the last that serve"
        );
        let mut unseen = Worst::default();
        unseen.add("traffic.front", &verb, None);
        assert!(unseen.text().starts_with("servers of traffic.front taken"));
    }

    #[test]
    fn the_prompt_says_what_matches_here_why_and_what_the_worst_is() {
        let binding = Binding::new("cluster.database").unwrap();
        let grant = Grant {
            plugin: "camunda-optimize".into(),
            digest: Digest::of(b"p"),
            site: "prod".into(),
            options: BTreeMap::new(),
            granted_by: "me".into(),
            granted_at: "now".into(),
            bindings: vec![GrantedBinding {
                binding: binding.clone(),
                identity: "Kx81".into(),
                verbs: vec![
                    granted(
                        "cluster.read",
                        &["optimize-*"],
                        &["optimize-team-a-*"],
                        None,
                    ),
                    granted("cluster.delete-index", &["optimize-x*"], &[], Some(1)),
                ],
            }],
        };
        let descriptor = Descriptor {
            product: "optimize".into(),
            name: "camunda-optimize".into(),
            version: "0.1.0".into(),
            summary: String::new(),
            edges: vec![],
            options: vec![],
            findings: vec![],
            more: vec![],
            requests: vec![Request {
                binding: binding.to_string(),
                need: Need::One,
                why: "the database".into(),
                verbs: vec![VerbRequest {
                    verb: Verb::new("cluster.delete-index").unwrap(),
                    scope: vec![],
                    except: vec![],
                    at_most: None,
                    why: "vendor's step 1\u{1b}[2J".into(),
                }],
            }],
        };
        let names = [
            "optimize-a",
            "optimize-x1",
            "optimize-x2",
            "optimize-team-a-y",
            "other",
        ];
        let here = Here::with(&binding, names.map(str::to_owned).to_vec());
        let old = Grant {
            bindings: vec![],
            ..grant.clone()
        };
        let identity = |_: &Binding| {
            Some(TargetIdentity {
                fingerprint: "Kx81".into(),
                product: "Elasticsearch 8.19.13".into(),
            })
        };
        let data = data(
            "camunda-optimize 0.1.0, sha256 3f9a12c4",
            &descriptor,
            &grant,
            Some(&old),
            &here,
            identity,
        );
        let text = text(&data, Paint::plain());
        assert!(
            text.contains("cluster.database  Elasticsearch 8.19.13, id Kx81"),
            "{text}"
        );
        assert!(
            text.contains("optimize-* except optimize-team-a-*  3 of 5 indices"),
            "{text}"
        );
        assert!(
            text.contains("!+  delete-index") && text.contains("2 of 5 indices"),
            "{text}"
        );
        assert!(text.contains("vendor's step 1\\u{1b}[2J"), "{text}");
        assert!(
            text.contains("At worst: delete-index on 1 index."),
            "{text}"
        );
    }
}

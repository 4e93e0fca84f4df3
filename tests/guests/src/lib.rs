//! One plugin that does what no plugin should. The option `do` of the site says what.
//!
//! It is the other side of the sandbox's tests: each limit is run into and each denial provoked from in here, by
//! real code behind the real contract. What a host call answered comes back as a fact, so that the test can look.
//!
//! | module | what |
//! |---|---|
//! | `hostile` | runs into limits |
//! | `reads` | reads, denied reads, and what the shim shows |
//! | `plans` | drafts, good and broken |

mod hostile;
mod plans;
mod reads;

#[expect(unsafe_code, reason = "generated bindings")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        generate_all,
    });

    use super::Guest;
    export!(Guest);
}

use bindings::exports::liftlock::upgrade::upgrade as exported;
use bindings::liftlock::upgrade as host;
use host::draft::Draft;
use host::run::Run;
use host::site::Site;
use host::types::{Error, Fact, Finding, Inventory, Severity, Target};

struct Guest;

/// What came of something, by name.
type Seen = Vec<(String, String)>;

/// What the operator set.
fn option(site: &Site, name: &str) -> String {
    site.options()
        .into_iter()
        .find(|option| option.name == name)
        .map(|option| option.value)
        .unwrap_or_default()
}

fn number(site: &Site, name: &str) -> usize {
    option(site, name).parse().unwrap_or(1)
}

/// JSON text of a string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The case of an error and its texts, in one line.
fn told(error: &Error) -> String {
    match error {
        Error::Denied(denial) => format!("denied: {} | {}", denial.rule, denial.allowed_by),
        Error::NotFound(text) => format!("not-found: {text}"),
        Error::Absent(text) => format!("absent: {text}"),
        Error::Invalid(text) => format!("invalid: {text}"),
        Error::Unavailable(text) => format!("unavailable: {text}"),
        Error::Rejected(it) => format!("rejected: {} {} {}", it.status, it.kind, it.text),
    }
}

fn outcome<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("ok: {value:?}"),
        Err(error) => told(&error),
    }
}

fn finding(id: &str, what: String) -> Finding {
    Finding {
        id: id.into(),
        severity: Severity::Blocker,
        subject: "a".into(),
        what,
        why: "w".into(),
        remedy: "r".into(),
        evidence: vec![],
    }
}

impl exported::Guest for Guest {
    fn describe() -> exported::Descriptor {
        exported::Descriptor {
            product: "guest".into(),
            name: "hostile\u{1b}[2J".into(),
            version: "0.1.0".into(),
            summary: "does what no plugin should".into(),
            edges: vec![exported::Edge {
                from: "1".into(),
                to: "2".into(),
                note: String::new(),
            }],
            requests: vec![exported::Request {
                binding: "cluster.database".into(),
                need: exported::Need::One,
                verbs: vec![exported::VerbRequest {
                    verb: "cluster.read".into(),
                    scope: vec!["{prefix}-*".into()],
                    except: vec![],
                    at_most: None,
                    why: "to look".into(),
                }],
                why: "it is the database".into(),
            }],
            options: vec![exported::OptionSpec {
                name: "do".into(),
                kind: exported::OptionKind::Text,
                choices: vec![],
                default: None,
                help: "what to do".into(),
            }],
            more: vec![],
        }
    }

    fn inspect(on: &Site) -> Result<Inventory, Error> {
        let what = option(on, "do");
        let seen = match what.as_str() {
            "error" => return Err(Error::Unavailable("the guest says\u{7} so".into())),
            "bad-fact" => {
                return Ok(Inventory {
                    product: "guest".into(),
                    version: None,
                    facts: vec![Fact {
                        name: "f".into(),
                        value: "{no json".into(),
                    }],
                });
            }
            _ => reads::look(on, &what).or_else(|| hostile::act(on, &what)),
        };
        Ok(Inventory {
            product: "guest".into(),
            version: Some("1.0".into()),
            facts: seen
                .unwrap_or_else(|| vec![("unknown".into(), what)])
                .into_iter()
                .map(|(name, text)| Fact {
                    name,
                    value: quoted(&text),
                })
                .collect(),
        })
    }

    fn check(on: &Site, at: &Run, target: Target) -> Result<Vec<Finding>, Error> {
        Ok(match option(on, "do").as_str() {
            "many" => (0..number(on, "n"))
                .map(|n| finding(&format!("f{n}"), "x".into()))
                .collect(),
            "long" => vec![finding("long", "x".repeat(number(on, "n")))],
            _ => vec![finding(
                "run",
                format!(
                    "{:?} from {:?} to {} steps {:?} captured {:?}",
                    at.moment(),
                    target.from,
                    target.to,
                    at.steps(),
                    at.captured("baseline")
                ),
            )],
        })
    }

    fn plan(on: &Site, _at: &Run, target: Target, into: &Draft) -> Result<(), exported::Refusal> {
        plans::plan(on, &target, into)
    }

    fn validate(on: &Site, at: &Run, target: Target) -> Result<Vec<Finding>, Error> {
        Self::check(on, at, target)
    }
}

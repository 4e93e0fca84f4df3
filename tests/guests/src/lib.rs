//! One plugin that does what no plugin should. The option `do` of the site says what.
//!
//! It is the other side of the sandbox's tests: each limit is run into and each denial provoked from in here, by
//! real code behind the real contract. What a host call answered comes back as a fact, so that the test can look.
//!
//! | module | what |
//! |---|---|
//! | `ask` | asks one thing with values that the test chose |
//! | `handles` | forges, leaks and misuses handles and memory |
//! | `hostile` | runs into limits |
//! | `reads` | reads, denied reads, and what the shim shows |
//! | `plans` | drafts, good and broken |
//! | `observing` | conditions that it is asked |
//! | `transforming` | documents that it changes |

mod ask;
mod handles;
mod hostile;
mod observing;
mod plans;
mod reads;
mod transforming;

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

/// Clears a screen, colours it, rings, goes back to the line's begin, turns the direction of text, hides, ends a
/// string of the terminal's own language, and begins a line that looks like the host's.
const HOSTILE_TEXT: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\r\u{202e}\u{2066}\u{200b}\u{ad}\0\nerror: forged";

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

/// A verb on what the option names, or on all where it has no scope.
fn verb(verb: &str, at_most: Option<u32>) -> exported::VerbRequest {
    let scoped = verb.starts_with("cluster.") && verb != "cluster.observe";
    let scope = |text: &str| {
        if scoped {
            vec![text.to_owned()]
        } else {
            vec![]
        }
    };
    exported::VerbRequest {
        verb: verb.into(),
        scope: scope("{prefix}-*"),
        except: scope("{prefix}-secret-*"),
        at_most,
        why: format!("to look{HOSTILE_TEXT}"),
    }
}

impl exported::Guest for Guest {
    fn describe() -> exported::Descriptor {
        exported::Descriptor {
            product: "guest".into(),
            name: "hostile\u{1b}[2J".into(),
            version: "0.1.0".into(),
            summary: format!("does what no plugin should{HOSTILE_TEXT}"),
            edges: vec![exported::Edge {
                from: "1".into(),
                to: "2".into(),
                note: format!("a way{HOSTILE_TEXT}"),
            }],
            requests: vec![
                exported::Request {
                    binding: "cluster.database".into(),
                    need: exported::Need::One,
                    verbs: vec![
                        verb("cluster.read", None),
                        verb("cluster.observe", None),
                        verb("cluster.put-settings", Some(3)),
                        verb("cluster.delete-index", Some(1)),
                        verb("cluster.create-index", None),
                        verb("cluster.transform", None),
                    ],
                    why: format!("it is the database{HOSTILE_TEXT}"),
                },
                exported::Request {
                    binding: "service.app".into(),
                    need: exported::Need::Optional,
                    verbs: vec![
                        verb("service.read", None),
                        verb("service.stop", None),
                        verb("service.start", None),
                    ],
                    why: format!("it writes{HOSTILE_TEXT}"),
                },
            ],
            options: [("do", "nothing"), ("n", "1"), ("prefix", "a")]
                .map(|(name, default)| exported::OptionSpec {
                    name: name.into(),
                    kind: exported::OptionKind::Text,
                    choices: vec![],
                    default: Some(default.into()),
                    help: format!("what to do{HOSTILE_TEXT}"),
                })
                .into(),
            findings: Vec::new(),
            more: vec![(
                format!("more{HOSTILE_TEXT}"),
                format!("and more{HOSTILE_TEXT}"),
            )],
        }
    }

    fn inspect(on: &Site) -> Result<Inventory, Error> {
        let what = option(on, "do");
        let seen = match what.as_str() {
            "error" => return Err(Error::Unavailable("the guest says\u{7} so".into())),
            "hostile-text" => {
                on.log(host::site::Level::Warn, HOSTILE_TEXT);
                return Ok(Inventory {
                    product: format!("p{HOSTILE_TEXT}"),
                    version: Some(format!("1.0{HOSTILE_TEXT}")),
                    facts: vec![Fact {
                        name: format!("n{HOSTILE_TEXT}"),
                        value: quoted(HOSTILE_TEXT),
                    }],
                });
            }
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
            _ => reads::look(on, &what)
                .or_else(|| hostile::act(on, &what))
                .or_else(|| handles::act(on, &what)),
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
            "hostile-text" => vec![Finding {
                id: format!("f{HOSTILE_TEXT}"),
                severity: Severity::Info,
                subject: format!("s{HOSTILE_TEXT}"),
                what: format!("w{HOSTILE_TEXT}"),
                why: format!("y{HOSTILE_TEXT}"),
                remedy: format!("r{HOSTILE_TEXT}"),
                evidence: vec![(format!("k{HOSTILE_TEXT}"), format!("v{HOSTILE_TEXT}"))],
            }],
            "many" => (0..number(on, "n"))
                .map(|n| finding(&format!("f{n}"), "x".into()))
                .collect(),
            "long" => vec![finding("long", "x".repeat(number(on, "n")))],
            "run" => vec![finding(
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
            _ => vec![],
        })
    }

    fn plan(on: &Site, at: &Run, target: Target, into: &Draft) -> Result<(), exported::Refusal> {
        plans::plan(on, at.moment(), &target, into)
    }

    fn validate(on: &Site, at: &Run, target: Target) -> Result<Vec<Finding>, Error> {
        Self::check(on, at, target)
    }
}

//! A plugin behind Liftlock's own contract that makes as many host calls as it is told to, or takes as much memory
//! as it is given. The option `do` says which.

#[expect(unsafe_code, reason = "generated bindings")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../../wit",
        world: "plugin",
        generate_all,
    });

    use super::Guest;
    export!(Guest);
}

use bindings::exports::liftlock::upgrade::upgrade as exported;
use bindings::liftlock::upgrade as host;
use host::cluster;
use host::draft::Draft;
use host::run::Run;
use host::site::Site;
use host::types::{Error, Finding, Inventory, Target};

struct Guest;

/// Bytes of one bite of memory.
const BITE_BYTES: usize = 1 << 20;

fn option(site: &Site, name: &str) -> String {
    site.options()
        .into_iter()
        .find(|option| option.name == name)
        .map(|option| option.value)
        .unwrap_or_default()
}

/// So many calls of one host function; an answer that is an error ends them.
fn calls(site: &Site, what: &str, times: u64) -> Result<(), Error> {
    match what {
        "count" => {
            let on = cluster::open(site, "cluster.database")?;
            for _ in 0..times {
                on.count("optimize-process-instance-invoice_v8", None)?;
            }
        }
        "health" => {
            let on = cluster::open(site, "cluster.database")?;
            for _ in 0..times {
                on.health()?;
            }
        }
        "now" => {
            for _ in 0..times {
                site.now();
            }
        }
        "allocate" => allocate(),
        _ => {}
    }
    Ok(())
}

/// Takes memory, and writes to it, until there is no more.
fn allocate() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(vec![1; BITE_BYTES]);
        std::hint::black_box(&kept);
    }
}

impl exported::Guest for Guest {
    fn describe() -> exported::Descriptor {
        let verb = |verb: &str, scope: &[&str]| exported::VerbRequest {
            verb: verb.into(),
            scope: scope.iter().map(|text| (*text).to_owned()).collect(),
            except: vec![],
            at_most: None,
            why: "to be measured".into(),
        };
        let text = |name: &str, default: &str| exported::OptionSpec {
            name: name.into(),
            kind: exported::OptionKind::Text,
            choices: vec![],
            default: Some(default.into()),
            help: "what to do, and how often".into(),
        };
        exported::Descriptor {
            product: "bench".into(),
            name: "bench".into(),
            version: "0.1.0".into(),
            summary: "is measured".into(),
            edges: vec![exported::Edge {
                from: "1".into(),
                to: "2".into(),
                note: String::new(),
            }],
            requests: vec![exported::Request {
                binding: "cluster.database".into(),
                need: exported::Need::One,
                verbs: vec![
                    verb("cluster.observe", &[]),
                    verb("cluster.count", &["optimize-*"]),
                ],
                why: "it is asked".into(),
            }],
            options: vec![text("do", ""), text("n", "0")],
            findings: vec![],
            more: vec![],
        }
    }

    fn inspect(on: &Site) -> Result<Inventory, Error> {
        let times = option(on, "n").parse().unwrap_or_default();
        calls(on, &option(on, "do"), times)?;
        Ok(Inventory {
            product: "bench".into(),
            version: Some("1.0".into()),
            facts: vec![],
        })
    }

    fn check(_on: &Site, _at: &Run, _target: Target) -> Result<Vec<Finding>, Error> {
        Ok(vec![])
    }

    fn plan(
        _on: &Site,
        _at: &Run,
        _target: Target,
        _into: &Draft,
    ) -> Result<(), exported::Refusal> {
        Ok(())
    }

    fn validate(_on: &Site, _at: &Run, _target: Target) -> Result<Vec<Finding>, Error> {
        Ok(vec![])
    }
}

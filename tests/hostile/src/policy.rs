//! Asks outside the grant: of each function, without its verb, without its binding, and with every hostile value in
//! every field.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use liftlock_sandbox::Called;
use liftlock_types::{Body, Grant, Proposal, rules};
use serde_json::Value;

use crate::asks::{ASKS, Ask, Field};
use crate::judge::{Judge, Verdict};
use crate::world::{CANARY, World, grant};

/// All of them, and that none lacks.
pub async fn all(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    complete(world)?;
    for ask in ASKS {
        fields_are_named(world, ask).await?;
        without_verb(judge, world, ask).await?;
        without_binding(judge, world, ask).await?;
        for (name, _, field) in ask.fields {
            hostile_values(judge, world, ask, name, *field).await?;
        }
    }
    world.check().await
}

/// Every verb of the host's tables and every function of the contract is asked for.
pub fn complete(world: &World) -> anyhow::Result<()> {
    let verbs = missing_verbs(ASKS);
    let calls = missing_calls(ASKS, world)?;
    if verbs.is_empty() && calls.is_empty() {
        return Ok(());
    }
    bail!("no hostile case for the verbs {verbs:?} and the functions {calls:?}: add them to `asks`")
}

/// Verbs of the host's tables that none of these asks for.
pub fn missing_verbs(asks: &[Ask]) -> Vec<&'static str> {
    let asked: BTreeSet<&str> = asks.iter().map(|ask| ask.verb).collect();
    let reads = rules::READ_VERBS.iter().map(|(verb, _)| *verb);
    rules::RULES
        .iter()
        .map(|rule| rule.verb)
        .chain(reads)
        .filter(|verb| !asked.contains(verb))
        .collect()
}

/// Functions of the contract that none of these calls.
pub fn missing_calls(asks: &[Ask], world: &World) -> anyhow::Result<Vec<String>> {
    let calls: BTreeSet<&str> = asks.iter().map(|ask| ask.call).collect();
    let mut functions = functions(world)?;
    functions.retain(|call| !calls.contains(call.as_str()));
    Ok(functions)
}

/// The functions of the capabilities, as the contract's text has them.
fn functions(world: &World) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for file in [
        "cluster", "snapshot", "disk", "service", "database", "traffic", "endpoint", "changes",
    ] {
        let path = liftlock_e2e::artifacts::root().join(format!("wit/{file}.wit"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut interface = "";
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("interface ") {
                interface = rest.trim_end_matches(['{', ' ']);
            }
            let name = line.split_once(": func(").map(|(name, _)| name);
            if let Some(name) = name.filter(|name| *name != "open") {
                found.push(format!("{interface}.{name}"));
            }
        }
    }
    // What the guest imports is what it can call: a function that the table names and the guest lacks would look
    // as if it were refused.
    let imported: BTreeSet<String> = world
        .plugin
        .imports()
        .iter()
        .flat_map(|import| {
            let interface = import.interface.trim_start_matches("liftlock:upgrade/");
            let interface = interface.split('@').next().unwrap_or_default().to_owned();
            import.functions.iter().map(move |function| {
                let name = function.rsplit('.').next().unwrap_or(function);
                format!("{interface}.{name}")
            })
        })
        .collect();
    for call in &found {
        if !imported.contains(call) {
            bail!("the guest does not import `{call}`: teach it in `ask.rs`");
        }
    }
    Ok(found)
}

fn options(ask: &Ask) -> BTreeMap<String, String> {
    let mut options = BTreeMap::from([
        ("do".to_owned(), "ask".to_owned()),
        ("call".to_owned(), ask.call.to_owned()),
        ("on".to_owned(), ask.binding().to_owned()),
    ]);
    for (name, good, _) in ask.fields {
        options.insert((*name).to_owned(), (*good).to_owned());
    }
    options
}

async fn asked(
    world: &World,
    options: BTreeMap<String, String>,
    grant: Grant,
) -> anyhow::Result<Called<Proposal>> {
    let what = options.get("call").cloned().unwrap_or_default();
    let called = world
        .plugin
        .plan(&world.call_with(options, grant))
        .await
        .with_context(|| format!("`{what}`"))?;
    let value = match called.value {
        Ok(proposal) => proposal,
        Err(refusal) => bail!("`{what}`: {refusal:?}"),
    };
    Ok(Called {
        value,
        reads: called.reads,
        denials: called.denials,
        log: called.log,
        peak_memory_bytes: called.peak_memory_bytes,
        ms: called.ms,
    })
}

/// What the grant covers is given, and the host's record of it has the fields of the table, no more and no fewer.
async fn fields_are_named(world: &World, ask: &Ask) -> anyhow::Result<()> {
    let called = asked(world, options(ask), grant()).await?;
    let answer = called.value.summary.first().cloned().unwrap_or_default();
    let given = !answer.starts_with("denied:") && !answer.starts_with("invalid:");
    if !given {
        bail!("`{}` is refused although it is granted: {answer}", ask.call);
    }
    let step = called.value.steps.first();
    let record = match step.map(|step| &step.body) {
        Some(Body::Change(planned)) => serde_json::to_value(&planned.change)?,
        Some(Body::Capture { reads, .. }) => serde_json::to_value(&reads[0].read)?,
        _ => match step.and_then(|step| step.ends_when.first()) {
            Some(condition) => serde_json::to_value(&condition.predicate)?,
            None => match called.reads.first() {
                Some((reading, _)) => serde_json::to_value(&reading.read)?,
                // A handle, or a function without a read.
                None => return Ok(()),
            },
        },
    };
    let mut found = BTreeSet::new();
    leaves(&record, String::new(), &mut found);
    let tags = ["verb", "read", "is"];
    found.retain(|name| !tags.contains(&name.as_str()));
    let named: BTreeSet<String> = ask
        .fields
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    let unnamed: Vec<&String> = found.difference(&named).collect();
    if !unnamed.is_empty() {
        bail!(
            "`{}` has fields without a hostile case: {unnamed:?}",
            ask.call
        );
    }
    Ok(())
}

fn leaves(value: &Value, at: String, found: &mut BTreeSet<String>) {
    let below = |name: &str| {
        if at.is_empty() {
            name.to_owned()
        } else {
            format!("{at}.{name}")
        }
    };
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| leaves(value, below(name), found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| leaves(value, below(&n.to_string()), found)),
        Value::Null => {}
        _ => {
            found.insert(at);
        }
    }
}

async fn without_verb(judge: &mut Judge, world: &World, ask: &Ask) -> anyhow::Result<()> {
    let mut grant = grant();
    for binding in &mut grant.bindings {
        binding
            .verbs
            .retain(|granted| granted.verb.as_str() != ask.verb);
    }
    // The way down to a directory asks for a verb of its own.
    let called = asked(world, options(ask), grant).await?;
    let case = format!("{} without `{}`", ask.call, ask.verb);
    if ask.call == "snapshot.name" {
        // It has no way to refuse: without the verb it is the binding's own name, and not the repository's.
        let answer = called.value.summary.first().cloned().unwrap_or_default();
        let verdict = Verdict::stopped_by(&answer, "backups");
        judge.count(&case, verdict.and_unharmed(world.unharmed()));
        return Ok(());
    }
    judge.count(
        &case,
        refused(&called, 0, true).and_unharmed(world.unharmed()),
    );
    Ok(())
}

async fn without_binding(judge: &mut Judge, world: &World, ask: &Ask) -> anyhow::Result<()> {
    let mut grant = grant();
    grant
        .bindings
        .retain(|granted| granted.binding.as_str() != ask.binding());
    let called = asked(world, options(ask), grant).await?;
    let case = format!("{} without `{}`", ask.call, ask.binding());
    judge.count(
        &case,
        refused(&called, 0, true).and_unharmed(world.unharmed()),
    );
    Ok(())
}

async fn hostile_values(
    judge: &mut Judge,
    world: &World,
    ask: &Ask,
    name: &str,
    field: Field,
) -> anyhow::Result<()> {
    if field.hostile().is_empty() {
        return Ok(());
    }
    let verdict = tried(world, ask, name, field, grant()).await?;
    judge.count(
        &format!("{} with `{name}` hostile", ask.call),
        verdict.and_unharmed(world.unharmed()),
    );
    Ok(())
}

/// Tries every hostile value of one field under this grant.
pub async fn tried(
    world: &World,
    ask: &Ask,
    name: &str,
    field: Field,
    grant: Grant,
) -> anyhow::Result<Verdict> {
    let values = field.hostile();
    let mut options = options(ask);
    options.insert("field".to_owned(), name.to_owned());
    for (n, value) in values.iter().enumerate() {
        options.insert(format!("try.{n}"), value.clone());
    }
    let called = asked(world, options, grant).await?;
    if called.value.summary.len() != values.len() {
        bail!(
            "`{}`: {} values, {} answers",
            ask.call,
            values.len(),
            called.value.summary.len()
        );
    }
    let mut escaped = Vec::new();
    for (n, value) in values.iter().enumerate() {
        if let Verdict::Escaped(what) = refused(&called, n, false) {
            let shown: String = value.chars().take(120).collect();
            escaped.push(format!("`{}` {what}", shown.escape_debug()));
        }
    }
    Ok(if escaped.is_empty() {
        Verdict::Stopped(format!("{} values, each refused", values.len()))
    } else {
        Verdict::Escaped(escaped.join("; "))
    })
}

/// Was the `n`th thing refused, in words that can be shown?
fn refused(called: &Called<Proposal>, n: usize, by_policy: bool) -> Verdict {
    let Some(answer) = called.value.summary.get(n) else {
        return Verdict::Escaped("the guest said nothing".into());
    };
    if called
        .value
        .steps
        .iter()
        .any(|step| step.id.as_str() == format!("s{n}"))
    {
        return Verdict::Escaped(format!("is in the draft: {answer}"));
    }
    if answer.contains(CANARY) {
        return Verdict::Escaped(format!("was read: {answer}"));
    }
    if answer.chars().any(|c| c.is_control() && c != '\n') {
        return Verdict::Escaped(format!(
            "is refused in words that steer a terminal: {answer:?}"
        ));
    }
    let denied = answer.starts_with("denied: ");
    if by_policy && (!denied || called.denials.is_empty()) {
        return Verdict::Escaped(format!("was not denied: {answer}"));
    }
    if denied || answer.starts_with("invalid: ") {
        Verdict::Stopped(answer.clone())
    } else {
        Verdict::Escaped(format!("was answered: {answer}"))
    }
}

//! The steps: the schema first, then group after group of nodes.

use liftlock_sdk::prelude::*;

use crate::backup::Backup;
use crate::catalog::{Family, Object, Sort};
use crate::descriptor::DATABASE;
use crate::goal::Goal;
use crate::groups::{self, Group};
use crate::nodes::{Node, Nodes, Place};
use crate::options::Options;
use crate::schema::Schema;
use crate::script::{Kind, Statement};
use crate::standing::Standing;
use crate::window::Action;
use crate::{backup, check, jobs, observe, reads};

/// The capture that the window is compared with.
pub(crate) const BASELINE: &str = "baseline";

/// Why the schema stays when nodes go back.
const STAYS: &str = "the vendor promises that engines of the minor version before run on it, and has no script that leads back";

/// Why a canary's instance stays.
const CANARY_STAYS: &str =
    "one completed instance, named after the run, stays in the history until it is cleaned up";

/// Proposes everything that is still to do.
pub(crate) fn propose(
    site: &Site,
    schema: &Schema,
    nodes: &Nodes,
    goal: &Goal,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let groups = groups::groups(&nodes.pools(options), options.group)
        .map_err(|error| Refusal::Blocked(vec![check::cannot_roll(&error)]))?;
    backup_steps(site, schema, goal, options, plan)?;
    schema_steps(site, schema, goal, options, plan)?;
    let all: Vec<&Node> = groups
        .iter()
        .flat_map(|group| &group.nodes)
        .filter_map(|name| nodes.node(name))
        .filter(|node| node.artifact.as_deref() != Some(goal.artifact.as_str()))
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    let database = Database::open(site, DATABASE)?;
    plan.step(BASELINE, Phase::Switch, "keep what is deployed, and what goes wrong already")
        .because("the vendor forbids deployments and new features while two versions run: it is compared with this")
        .captures(
            BASELINE,
            crate::window::subjects(goal.to.minor)
                .into_iter()
                .map(|subject| database.read_query(&subject.sql(), &[]))
                .chain([database.read_query(reads::WAITING_JOBS, &[])]),
        )
        .add()?;
    let mut first = None;
    let mut last = String::new();
    for (number, group) in groups.iter().enumerate() {
        let of_group: Vec<&Node> = all
            .iter()
            .filter(|node| group.nodes.contains(&node.name))
            .copied()
            .collect();
        if of_group.is_empty() {
            continue;
        }
        let ends = group_steps(site, group, number + 1, &of_group, goal, options, plan)?;
        first.get_or_insert(ends.0);
        last = ends.1;
    }
    if let Some(first) = first {
        for action in [Action::Warn, Action::Pause, Action::Stop] {
            let condition = observe::window(action, goal.to.minor)
                .patience_ms(0)
                .when_expired(observe::on_expiry(action));
            plan.guard(observe::label(action), &first, &last, condition)?;
        }
    }
    plan.summary(&format!(
        "Camunda {} to {}: schema, then {} nodes in {} groups; at least {} of each pool stay up",
        goal.from,
        goal.to,
        all.len(),
        groups.len(),
        options.minimum
    ));
    Ok(())
}

/// The dump before the schema changes, where one is bound.
fn backup_steps(
    site: &Site,
    schema: &Schema,
    goal: &Goal,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    if goal.script.is_none() || Backup::of(site)? != Backup::Whole {
        return Ok(());
    }
    // A dump of half a script leads back to nothing that is known.
    if !matches!(&schema.standing, Some(Standing::Settled(_))) {
        plan.not_done("no dump is taken: the script has begun, and the dump from before it is the one that leads back");
        return Ok(());
    }
    backup::steps(site, schema, options, plan)
}

/// The statements of the script that are still to be done, those that hold a table shortly in one transaction where the
/// server has such.
fn schema_steps(
    site: &Site,
    schema: &Schema,
    goal: &Goal,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let Some(script) = &goal.script else {
        return Ok(());
    };
    let parts = script.parts();
    if let Some(other) = parts.others.first() {
        return Err(Refusal::Blocked(vec![check::not_online(other)]));
    }
    let is_open = |statement: &&Statement| is_open(statement, schema);
    let columns: Vec<&Statement> = parts.columns.iter().filter(is_open).collect();
    let long: Vec<&Statement> = parts
        .indexes
        .iter()
        .chain(&parts.constraints)
        .filter(is_open)
        .collect();
    let database = Database::open(site, DATABASE)?;
    let because = |statements: &[&Statement]| {
        let lines: Vec<String> = statements
            .iter()
            .map(|statement| format!("line {}", statement.line))
            .collect();
        format!(
            "the vendor's script to {}, {}; sha256 {}",
            script.to,
            lines.join(", "),
            script.sha256
        )
    };
    if schema.family == Family::Postgres {
        if !columns.is_empty() {
            let texts: Vec<&str> = columns.iter().map(|it| it.text.as_str()).collect();
            plan.step(
                "schema-columns",
                Phase::Expand,
                "the script's short statements, in one transaction",
            )
            .because(&because(&columns))
            .does(database.execute_together(&texts, patience(options)))
            .stays(STAYS)
            .work("statements", texts.len() as u64)
            .add()?;
        }
    } else {
        for (at, statement) in columns.iter().enumerate() {
            statement_step(
                &database,
                (schema, options),
                &format!("schema-column-{}", at + 1),
                statement,
                &statement.text,
                &because(&[statement]),
                plan,
            )?;
        }
    }
    for (at, statement) in long.iter().enumerate() {
        let text = match (schema.family, options.concurrently, statement.kind) {
            (Family::Postgres, true, Kind::Index) => concurrently(&statement.text),
            _ => statement.text.clone(),
        };
        statement_step(
            &database,
            (schema, options),
            &format!("schema-index-{}", at + 1),
            statement,
            &text,
            &because(&[statement]),
            plan,
        )?;
    }
    Ok(())
}

fn statement_step(
    database: &Database,
    (schema, options): (&Schema, &Options),
    id: &str,
    statement: &Statement,
    text: &str,
    because: &str,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    plan.step(
        id,
        Phase::Expand,
        &format!("{} {}", title(statement.kind), statement.name),
    )
    .because(because)
    .does(database.execute(text, patience(options)))
    .stays(STAYS)
    .work("rows", schema.rows_of(&statement.table))
    .add()?;
    Ok(())
}

/// The host's own, but for what the operator says.
fn patience(options: &Options) -> LockPatience {
    LockPatience {
        attempts: Some(options.lock_tries),
        ..LockPatience::USUAL
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::LogRow => "write the version into the schema's log",
        Kind::Table => "make table",
        Kind::Column => "add column",
        Kind::Index => "make index",
        Kind::DropIndex => "drop index",
        Kind::Constraint => "add constraint",
        _ => "run",
    }
}

/// `create index X` as `create index concurrently X`: the same index, built beside writers.
fn concurrently(text: &str) -> String {
    match text.to_lowercase().find(" index ") {
        Some(at) => {
            let (head, tail) = text.split_at(at + " index ".len());
            format!("{head}concurrently {tail}")
        }
        None => text.to_owned(),
    }
}

/// What the catalog lacks of a statement: after a crash in the middle the rest is done, and nothing twice.
pub(crate) fn is_open(statement: &Statement, schema: &Schema) -> bool {
    let Some(Standing::Between(between)) = &schema.standing else {
        return true;
    };
    let sort = match statement.kind {
        Kind::LogRow => return !between.logged,
        Kind::Table => Sort::Table,
        Kind::Column => Sort::Column,
        Kind::Index => Sort::Index,
        Kind::Constraint => Sort::Constraint,
        _ => return true,
    };
    let is_it = |object: &Object| {
        object.sort == sort
            && object.table.eq_ignore_ascii_case(&statement.table)
            && (sort == Sort::Table || object.name.eq_ignore_ascii_case(&statement.name))
    };
    !between.present.iter().any(is_it)
}

/// All that is done with one group. Its first and its last step.
fn group_steps(
    site: &Site,
    group: &Group,
    number: usize,
    nodes: &[&Node],
    goal: &Goal,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<(String, String), Refusal> {
    let mut first = None;
    for node in nodes {
        for (at, place) in node.places.iter().enumerate() {
            let balancer = Balancer::open(site, &place.balancer)?;
            let (out, because) = out_of(place);
            let mut step = plan
                .step(
                    drain_id(node, at),
                    Phase::Switch,
                    &format!("{}: no new requests", node.name),
                )
                .because(because)
                .unit(&node.name)
                .does(balancer.set_state(&place.backend, &place.server, out));
            if first.is_none() {
                let left = options.minimum + nodes_behind(nodes, place);
                step = step.opens_when(
                    &format!("enough servers of {} serve", place.backend),
                    balancer
                        .serving_at_least(&place.backend, u32::try_from(left).unwrap_or(u32::MAX)),
                );
            }
            let id = step.add()?;
            first.get_or_insert(id);
        }
    }
    for node in nodes {
        let id = stop_step(site, node, options, plan)?;
        first.get_or_insert(id);
        if node.runs_jobs {
            jobs::locks_step(site, node, plan)?;
        }
    }
    for node in nodes {
        let service = Service::open(site, &node.binding)?;
        plan.step(
            format!("{}-switch", node.name),
            Phase::Switch,
            &format!("{}: to {}", node.name, goal.artifact),
        )
        .unit(&node.name)
        .does(service.switch_artifact(&goal.artifact))
        .add()?;
    }
    let mut last = String::new();
    for node in nodes {
        last = back_steps(site, node, goal, options, plan)?;
    }
    let soak = soak(site, group, number, nodes, options, plan)?;
    Ok((first.unwrap_or_else(|| last.clone()), soak.unwrap_or(last)))
}

/// The state in which a server gets no new requests, and why it is that one.
fn out_of(place: &Place) -> (Administrative, &'static str) {
    match (place.is_sticky, place.is_counted) {
        (true, _) => (
            Administrative::Maintenance,
            "clients are bound to it, and would go on to come if it were only drained",
        ),
        (false, true) => (Administrative::Drain, "what it works on comes to its end"),
        (false, false) => (
            Administrative::Maintenance,
            "what it works on comes to its end in the balancer's workers of before",
        ),
    }
}

/// The server is still in the state that the run asked for, or a person has to see why not: a reload loses it, and a
/// node that gets requests must not be stopped, nor get any before its write went through.
fn still_out(site: &Site, place: &Place) -> Result<Condition> {
    let balancer = Balancer::open(site, &place.balancer)?;
    balancer
        .in_state(&place.backend, &place.server, out_of(place).0)
        .patience_ms(0)
        .when_expired(OnExpiry::Ask)
}

fn still_out_label(node: &Node) -> String {
    format!(
        "the balancer still keeps requests from {} (camunda.balancer-forgot)",
        node.name
    )
}

/// How many of these nodes have a server in the place's backend: they are all out at the same time.
fn nodes_behind(nodes: &[&Node], place: &Place) -> usize {
    let is_there = |node: &&&Node| {
        node.places
            .iter()
            .any(|other| other.balancer == place.balancer && other.backend == place.backend)
    };
    nodes.iter().filter(is_there).count()
}

fn drain_id(node: &Node, at: usize) -> String {
    match at {
        0 => format!("{}-drain", node.name),
        at => format!("{}-drain-{}", node.name, at + 1),
    }
}

fn stop_step(
    site: &Site,
    node: &Node,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<String, Refusal> {
    let service = Service::open(site, &node.binding)?;
    let mut step = plan
        .step(format!("{}-stop", node.name), Phase::Switch, &format!("{}: stop", node.name))
        .because("its own end finishes running jobs and frees those that wait; what it cannot finish stays locked until its lock expires")
        .unit(&node.name)
        .does(service.stop())
        .work("restarts", 1);
    for place in &node.places {
        let balancer = Balancer::open(site, &place.balancer)?;
        let idle = balancer
            .idle(&place.backend, &place.server)
            .patience_ms(options.drain_ms)
            .when_expired(OnExpiry::GoOnAndReport);
        step = step
            .opens_when(&format!("{}: open requests ended", node.name), idle)
            .opens_when(&still_out_label(node), still_out(site, place));
    }
    Ok(step.add()?)
}

/// Started, tried by a write, and given its requests back.
fn back_steps(
    site: &Site,
    node: &Node,
    goal: &Goal,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<String, Refusal> {
    let rest = Endpoint::open(site, &node.endpoint)?;
    let version = json!({ "version": goal.to.to_string() }).to_string();
    let mut start = plan
        .step(
            format!("{}-start", node.name),
            Phase::Switch,
            &format!("{}: start", node.name),
        )
        .unit(&node.name)
        .gives_back(&format!("{}-stop", node.name))
        .ends_when(
            &format!("{} says that it is {}", node.name, goal.to),
            rest.answers("/version", &[], 200, &version),
        )
        .ends_when(
            &format!("{} reads the database", node.name),
            rest.answers("/job/count", &[], 200, "{}"),
        );
    for place in &node.places {
        start = start.opens_when(&still_out_label(node), still_out(site, place));
    }
    let mut last = start.add()?;
    if let Some(process) = &options.canary {
        last = canary_step(&rest, node, process, plan, true)?;
    }
    for (at, place) in node.places.iter().enumerate() {
        let balancer = Balancer::open(site, &place.balancer)?;
        let id = drain_id(node, at);
        let mut step = plan
            .step(
                format!("{}-back", id),
                Phase::Switch,
                &format!("{}: requests again", node.name),
            )
            .unit(&node.name)
            .gives_back(&id)
            .ends_when(
                &format!("{} serves", node.name),
                balancer
                    .serving(&place.backend, &place.server)
                    .stable_for_ms(SERVES_MS),
            );
        if place.is_counted {
            step = step.ends_when(
                &format!("requests reach {}", node.name),
                balancer
                    .receives(&place.backend, &place.server)
                    .patience_ms(RECEIVES_MS)
                    .when_expired(OnExpiry::GoOnAndReport),
            );
        }
        last = step.add()?;
    }
    if node.runs_jobs && options.jobs_ms > 0 {
        last = jobs::taken_step(site, node, goal, options, plan)?;
    }
    Ok(last)
}

/// An instance of a process is started on the node and comes to its end. The step is of the node's unit where the plan
/// takes nodes one by one.
pub(crate) fn canary_step(
    rest: &Endpoint,
    node: &Node,
    process: &str,
    plan: &Plan<'_>,
    is_of_unit: bool,
) -> std::result::Result<String, Refusal> {
    let key = format!("{RUN_ID}-{}", node.name);
    let request = EndpointRequest {
        method: EndpointMethod::Post,
        path: format!("/process-definition/key/{process}/start"),
        query: Vec::new(),
        body: Some(json!({ "businessKey": key }).to_string()),
    };
    let done = rest.answers(
        "/history/process-instance/count",
        &[("processInstanceBusinessKey", &key), ("finished", "true")],
        200,
        r#"{"count":1}"#,
    );
    let mut step = plan
        .step(
            format!("{}-canary", node.name),
            Phase::Switch,
            &format!("{}: an instance of {process}", node.name),
        )
        .because("an engine that is newer than its schema starts, looks healthy, and fails at its first write");
    if is_of_unit {
        step = step.unit(&node.name);
    }
    Ok(step
        .does(rest.request(&request, done))
        .stays(CANARY_STAYS)
        .add()?)
}

/// A server that comes out of maintenance counts as up until its first check fails: checks come every second or two.
const SERVES_MS: u64 = 3_000;

/// How long traffic is waited for; a quiet site has none.
const RECEIVES_MS: u64 = 30_000;

/// The group serves for as long as the operator says, before the next one is taken. Its step, where it has one.
fn soak(
    site: &Site,
    group: &Group,
    number: usize,
    nodes: &[&Node],
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<Option<String>, Refusal> {
    let places: Vec<(&Node, &Place)> = nodes
        .iter()
        .flat_map(|node| node.places.iter().map(move |place| (*node, place)))
        .collect();
    if places.is_empty() || options.soak_ms == 0 {
        return Ok(None);
    }
    let name = format!("group-{number}-soak");
    let mut readings = Vec::new();
    for (_, place) in &places {
        let balancer = Balancer::open(site, &place.balancer)?;
        readings.push(balancer.read_servers(&place.backend));
    }
    let mut step = plan
        .step(
            name.clone(),
            Phase::Switch,
            &format!(
                "pool {}: {} serve for a while",
                group.pool,
                group.nodes.join(", ")
            ),
        )
        .because("what goes wrong shows before the next nodes are taken");
    for (node, place) in places {
        let balancer = Balancer::open(site, &place.balancer)?;
        step = step.opens_when(
            &format!("{} serves without a break", node.name),
            balancer
                .serving(&place.backend, &place.server)
                .stable_for_ms(options.soak_ms)
                .patience_ms(options.soak_ms.saturating_mul(2) + RECEIVES_MS),
        );
    }
    Ok(Some(step.captures(&name, readings).add()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_made_beside_writers_without_another_change() {
        assert_eq!(
            concurrently("create index ACT_IDX_A on ACT_RU_JOB(BATCH_ID_)"),
            "create index concurrently ACT_IDX_A on ACT_RU_JOB(BATCH_ID_)"
        );
        assert_eq!(
            concurrently("create unique index A on B(C)"),
            "create unique index concurrently A on B(C)"
        );
    }
}

//! What speaks against the upgrade, or should be known before it.

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::catalog::Family;
use crate::descriptor::ENGINE;
use crate::estimate::{self, TableSize};
use crate::goal::{Goal, NoGoal};
use crate::groups::{self, NoRoll};
use crate::jdbc::{self, Online};
use crate::known;
use crate::log::Told;
use crate::manifest::Fault;
use crate::nodes::{Node, Nodes};
use crate::options::{CachedPlans, Options};
use crate::schema::{LANDMARK, Schema};
use crate::script::Statement;
use crate::standing::Standing;
use crate::version::Minor;

/// A transaction that is open longer than this keeps statements of the script waiting, and everybody behind them.
const TRANSACTION_MS_LONG: u64 = 30_000;

/// What is seen, told under the page of its id.
pub(crate) fn found(
    id: &str,
    severity: Severity,
    subject: &str,
    what: impl Into<String>,
) -> Finding {
    let (means, remedy) = known::page(id);
    let finding = match severity {
        Severity::Blocker => Finding::blocker(id),
        Severity::Warning => Finding::warning(id),
        Severity::Info => Finding::info(id),
    };
    finding
        .subject(subject)
        .what(what)
        .why(means)
        .remedy(remedy)
}

fn blocker(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Blocker, subject, what)
}

fn warning(id: &str, subject: &str, what: impl Into<String>) -> Finding {
    found(id, Severity::Warning, subject, what)
}

/// The nodes cannot be taken while others serve.
pub(crate) fn cannot_roll(error: &NoRoll) -> Finding {
    blocker(error.id(), "nodes", error.to_string())
}

/// A statement that no rolling upgrade can hold.
pub(crate) fn not_online(statement: &Statement) -> Finding {
    blocker(
        "camunda.not-online",
        &format!("line {} of the script", statement.line),
        format!("`{}` changes what is there", statement.text),
    )
}

/// Everything that is found of a site, and where it goes.
pub(crate) fn findings(
    schema: &Schema,
    nodes: &Nodes,
    goal: &std::result::Result<Goal, NoGoal>,
    options: &Options,
) -> Vec<Finding> {
    let mut all = match goal {
        Ok(goal) if goal.from == goal.to && goal.script.is_none() => vec![found(
            "camunda.already-there",
            Severity::Info,
            "site",
            format!("every node is {}", goal.to),
        )],
        Ok(_) => Vec::new(),
        // Told with the schema.
        Err(NoGoal::Schema) if schema.minor().is_none() => Vec::new(),
        Err(error) => no_goal(error, schema),
    };
    of_schema(schema, &mut all);
    of_nodes(nodes, schema, goal.as_ref().ok(), &mut all);
    if let Err(error) = groups::groups(&nodes.pools(options), options.group) {
        all.push(cannot_roll(&error));
    }
    if let Ok(goal) = goal {
        of_script(schema, nodes, goal, options, &mut all);
    }
    if options.canary.is_none() {
        all.push(warning(
            "camunda.no-canary",
            "option canary-process",
            "no process is named that may be started on a new node",
        ));
    }
    all
}

/// Why there is no goal; empty where what is found of the schema itself says it.
pub(crate) fn no_goal(error: &NoGoal, schema: &Schema) -> Vec<Finding> {
    vec![match error {
        NoGoal::NoRelease(what) => blocker("camunda.unknown-version", "target", what),
        NoGoal::Unknown => blocker(
            "camunda.version-not-told",
            "nodes",
            "no node says its version",
        ),
        NoGoal::Mixed(nodes) => {
            let all: Vec<String> = nodes
                .iter()
                .map(|(node, version)| format!("{node} {version}"))
                .collect();
            blocker("camunda.node-of-another-version", "nodes", all.join(", "))
        }
        NoGoal::NoWay(error) => blocker(error.id(), "target", error.to_string()),
        NoGoal::Schema => match schema.minor() {
            Some(minor) => blocker(
                "camunda.newer-node",
                "schema",
                format!("it is of {minor}, which is neither where the nodes are nor where they go"),
            ),
            None => {
                let mut found = Vec::new();
                of_schema(schema, &mut found);
                return found;
            }
        },
        NoGoal::NoScript(error) => blocker(error.id(), ENGINE, error.to_string()),
    }]
}

fn of_schema(schema: &Schema, all: &mut Vec<Finding>) {
    if !schema.is_there() {
        all.push(blocker(
            "camunda.table-prefix",
            "database",
            format!(
                "schema `{}` of database `{}` has no table `{LANDMARK}`",
                schema.identity.schema, schema.identity.database
            ),
        ));
        return;
    }
    match &schema.told {
        Err(error) => all.push(blocker(error.id(), "ACT_GE_SCHEMA_LOG", error.to_string())),
        Ok(Told::Fork { fork, version }) => all.push(blocker(
            "camunda.fork",
            "schema",
            format!("it is of {fork}, {version}"),
        )),
        Ok(_) => {}
    }
    if let Some(standing) = &schema.standing
        && let Some(id) = standing.id()
    {
        all.push(of_standing(id, standing));
    }
    if !schema
        .identity
        .isolation
        .eq_ignore_ascii_case("read-committed")
    {
        all.push(blocker(
            "camunda.isolation",
            "database",
            format!(
                "a session that says nothing gets `{}`",
                schema.identity.isolation
            ),
        ));
    }
    let foreign: Vec<&str> = schema
        .tables
        .iter()
        .filter(|table| !table.alterable)
        .map(|table| table.name.as_str())
        .collect();
    if let Some(first) = foreign.first() {
        all.push(
            blocker(
                "camunda.not-owner",
                first,
                format!(
                    "`{}` may not alter {} of {} tables",
                    schema.identity.user,
                    foreign.len(),
                    schema.tables.len()
                ),
            )
            .evidence(
                "tables",
                foreign
                    .iter()
                    .take(told::TOLD_MAX)
                    .copied()
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        );
    }
    if let Some(liquibase) = &schema.liquibase {
        if liquibase.is_of_the_engine {
            all.push(blocker(
                "camunda.liquibase",
                "DATABASECHANGELOG",
                "it has change sets of the engine",
            ));
        }
        if let Some(holder) = &liquibase.locked_by {
            all.push(blocker(
                "camunda.liquibase-lock",
                "DATABASECHANGELOGLOCK",
                format!("it is held by {holder}"),
            ));
        }
    }
    for session in &schema.sessions {
        if session.ours
            || session
                .transaction_ms
                .is_none_or(|ms| ms < TRANSACTION_MS_LONG)
        {
            continue;
        }
        all.push(warning(
            "camunda.foreign-lock",
            &format!("session {} of {}", session.id, session.application),
            format!(
                "its transaction is open for {} s, {}",
                session.transaction_ms.unwrap_or_default() / 1_000,
                session.state
            ),
        ));
    }
}

fn of_standing(id: &str, standing: &Standing) -> Finding {
    match standing {
        Standing::Settled(settled) => warning(id, "schema", told::first(&settled.patches, "; ")),
        Standing::Between(between) if between.wrong.is_empty() => warning(
            id,
            "schema",
            format!(
                "of the script from {} to {}, {} of {} objects are there; the plan does the rest",
                between.from,
                between.to,
                between.present.len(),
                between.present.len() + between.missing.len()
            ),
        ),
        Standing::Between(between) => {
            let is_built_again = between
                .wrong
                .iter()
                .all(|difference| difference.fault == Fault::Invalid);
            let id = if is_built_again {
                "camunda.index-invalid"
            } else {
                id
            };
            blocker(id, "schema", told::first(&between.wrong, "; "))
        }
        Standing::Damaged { minor, found } => blocker(
            id,
            "schema",
            format!("it says {minor}; {}", told::first(&found.differences, "; ")),
        ),
    }
}

fn of_nodes(nodes: &Nodes, schema: &Schema, goal: Option<&Goal>, all: &mut Vec<Finding>) {
    for (node, server) in &nodes.unplaced {
        all.push(blocker(
            "camunda.node-not-in-balancer",
            node,
            format!("no balancer has a server `{server}`"),
        ));
    }
    for (balancer, backend, server) in &nodes.strangers {
        all.push(warning(
            "camunda.server-without-node",
            &format!("{backend}/{server}"),
            format!("`{balancer}` sends it requests, and no node of the site is behind it"),
        ));
    }
    if !nodes.all.is_empty() && !nodes.all.iter().any(|node| node.runs_jobs) {
        all.push(warning(
            "camunda.executor-off",
            "nodes",
            "every node has the label `jobs = \"no\"`: timers and asynchronous work stand still, before the upgrade too",
        ));
    }
    for node in &nodes.all {
        of_node(node, schema, goal, all);
    }
}

fn of_node(node: &Node, schema: &Schema, goal: Option<&Goal>, all: &mut Vec<Finding>) {
    if let (Some(its), Some(ours)) = (&node.said.installation, &schema.installation)
        && its != ours
    {
        all.push(blocker(
            "camunda.node-on-another-database",
            &node.name,
            format!("it is installation {its}, the database's is {ours}"),
        ));
    }
    if node.said.version.is_some() && !node.said.reads_database {
        all.push(blocker(
            "camunda.database-down",
            &node.name,
            "it says its version, and answers nothing that needs the database",
        ));
    }
    if let Some(product) = &node.said.product
        && !product.starts_with("Camunda")
    {
        all.push(blocker(
            "camunda.fork",
            &node.name,
            format!("it says that it is {product}"),
        ));
    }
    if node.places.iter().any(|place| place.is_sticky) {
        all.push(found(
            "camunda.sticky",
            Severity::Info,
            &node.name,
            "the balancer binds clients to it, so it is put into maintenance and not only drained",
        ));
    }
    if let Some(goal) = goal
        && !node.available.contains(&goal.artifact)
    {
        all.push(blocker(
            "camunda.artifact-missing",
            &node.name,
            format!(
                "its versions are {}; there is no `{}`",
                node.available.join(", "),
                goal.artifact
            ),
        ));
    }
}

/// Servers of a node that are out before anything was done.
pub(crate) fn left_out(node: &Node) -> impl Iterator<Item = Finding> {
    node.places
        .iter()
        .filter(|place| !place.is_ready)
        .map(|place| {
            warning(
                "camunda.server-left-out",
                &format!("{}/{}", place.backend, place.server),
                format!(
                    "`{}` sends it no new requests: it was drained or put into maintenance",
                    place.balancer
                ),
            )
        })
}

fn of_script(
    schema: &Schema,
    nodes: &Nodes,
    goal: &Goal,
    options: &Options,
    all: &mut Vec<Finding>,
) {
    let Some(script) = &goal.script else { return };
    let adds = script
        .parts()
        .columns
        .iter()
        .any(|statement| statement.kind == crate::script::Kind::Column);
    all.extend(galera(&schema.identity.more, options.galera_accepted));
    if schema.family == Family::Postgres && adds {
        let files: Vec<(&str, Option<Online>)> = nodes
            .all
            .iter()
            .map(|node| (node.name.as_str(), node.online))
            .collect();
        all.extend(cached_plans(options, &files));
    }
    if schema.family != Family::Postgres && goal.to.minor >= Minor::new(23) {
        all.push(warning(
            "camunda.mariadb-given-up",
            "database",
            format!("it is {}", schema.identity.version),
        ));
    }
    let sizes: Vec<TableSize> = schema
        .tables
        .iter()
        .map(|table| TableSize {
            name: table.name.clone(),
            rows: table.rows_estimate,
            bytes: table.bytes,
        })
        .collect();
    for big in estimate::estimate(script, schema.family, &sizes)
        .into_iter()
        .filter(estimate::Estimate::is_big)
    {
        all.push(warning(
            "camunda.big-table",
            &big.table,
            format!("`{}` works on all of it", big.name),
        ));
    }
}

/// What changes of tables do to a cluster; the host says of the server by which method it makes them.
fn galera(more: &[(String, String)], is_accepted: bool) -> Option<Finding> {
    let (_, method) = more.iter().find(|(name, _)| name == "galera")?;
    let id = "camunda.galera";
    let what = format!("it is a Galera cluster, which changes tables by `{method}`");
    Some(if is_accepted {
        warning(id, "database", format!("{what}; that was accepted"))
    } else {
        blocker(id, "database", what)
    })
}

/// What adding columns does to engines on PostgreSQL, by what the nodes' files say of their drivers, or the operator.
fn cached_plans(options: &Options, files: &[(&str, Option<Online>)]) -> Option<Finding> {
    let id = "camunda.jdbc-cached-plans";
    let unsafe_files: Vec<&str> = files
        .iter()
        .filter(|(_, online)| *online == Some(Online::CachedPlans))
        .map(|(node, _)| *node)
        .collect();
    if let Some(first) = unsafe_files.first()
        && options.cached_plans != CachedPlans::Accepted
    {
        return Some(blocker(
            id,
            first,
            format!(
                "the address in the file of {} has none of `autosave=conservative`, `prepareThreshold=0` and \
                 `preferQueryMode=simple`, and the script adds columns",
                told::first(&unsafe_files, ", ")
            ),
        ));
    }
    if !files.is_empty()
        && files
            .iter()
            .all(|(_, online)| *online == Some(Online::Safe))
    {
        return None;
    }
    let said = options.jdbc_url.as_deref().map(jdbc::online);
    match (options.cached_plans, said) {
        (CachedPlans::Accepted, _) => Some(warning(
            id,
            "option cached-plans",
            "some requests may fail for two seconds when columns are added, which was accepted",
        )),
        (_, Some(Online::CachedPlans)) => Some(blocker(
            id,
            "option jdbc-url",
            "the address has none of `autosave=conservative`, `prepareThreshold=0` and `preferQueryMode=simple`, and \
             the script adds columns",
        )),
        (CachedPlans::Unknown, Some(Online::Unknown)) => Some(blocker(
            id,
            "option jdbc-url",
            "it is no address of PostgreSQL, MariaDB or MySQL: `jdbc:postgresql://HOST/DATABASE?...` is wanted",
        )),
        (CachedPlans::Unknown, None) => Some(blocker(
            id,
            "option cached-plans",
            "nothing says how the engines' drivers are set, and the script adds columns",
        )),
        (CachedPlans::Safe, _) | (CachedPlans::Unknown, Some(Online::Safe)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: CachedPlans, address: Option<&str>) -> Option<(Severity, String)> {
        let options = Options {
            cached_plans: said,
            jdbc_url: address.map(str::to_owned),
            ..Options::usual()
        };
        cached_plans(&options, &[]).map(|found| (found.severity, found.subject))
    }

    #[test]
    fn the_nodes_own_files_are_believed_more_than_an_option() {
        let told = |said, files: &[(&str, Option<Online>)]| {
            let options = Options {
                cached_plans: said,
                ..Options::usual()
            };
            cached_plans(&options, files).map(|found| (found.severity, found.subject))
        };
        let [safe, bare] = [Some(Online::Safe), Some(Online::CachedPlans)];
        let of_n2 = Some((Severity::Blocker, "n2".to_owned()));
        assert_eq!(
            told(CachedPlans::Safe, &[("n1", safe), ("n2", bare)]),
            of_n2
        );
        assert_eq!(
            told(CachedPlans::Unknown, &[("n1", safe), ("n2", safe)]),
            None
        );
        // One file that is not there, and nothing is known.
        let option = Some((Severity::Blocker, "option cached-plans".to_owned()));
        assert_eq!(
            told(CachedPlans::Unknown, &[("n1", safe), ("n2", None)]),
            option
        );
        let accepted = Some((Severity::Warning, "option cached-plans".to_owned()));
        assert_eq!(told(CachedPlans::Accepted, &[("n1", bare)]), accepted);
    }

    #[test]
    fn a_cluster_is_refused_until_it_is_accepted() {
        let more = [("galera".to_owned(), "TOI".to_owned())];
        let severity = |accepted| galera(&more, accepted).map(|found| found.severity);
        assert_eq!(severity(false), Some(Severity::Blocker));
        assert_eq!(severity(true), Some(Severity::Warning));
        assert!(galera(&more, false).is_some_and(|found| found.what.contains("`TOI`")));
        let single = [("encoding".to_owned(), "utf8mb4".to_owned())];
        assert_eq!(galera(&single, false).map(|found| found.id), None);
    }

    #[test]
    fn an_address_is_believed_more_than_a_word() {
        let bare = Some("jdbc:postgresql://db/camunda");
        let safe = Some("jdbc:postgresql://db/camunda?autosave=conservative");
        let address = Some((Severity::Blocker, "option jdbc-url".to_owned()));
        let option = Some((Severity::Blocker, "option cached-plans".to_owned()));
        assert_eq!(told(CachedPlans::Unknown, None), option);
        assert_eq!(told(CachedPlans::Unknown, bare), address);
        assert_eq!(told(CachedPlans::Safe, bare), address);
        assert_eq!(told(CachedPlans::Unknown, Some("db/camunda")), address);
        assert_eq!(told(CachedPlans::Unknown, safe), None);
        assert_eq!(told(CachedPlans::Safe, None), None);
        let accepted = Some((Severity::Warning, "option cached-plans".to_owned()));
        assert_eq!(told(CachedPlans::Accepted, bare), accepted);
    }
}

//! What this plugin says of itself and asks for.

use liftlock_sdk::prelude::*;

use crate::edges::EDGES;
use crate::known;

/// The database that all engines share.
pub(crate) const DATABASE: &str = "database.engine";
/// The directory with the engine's jar of the new version, or with the upgrade scripts that were unpacked from it.
pub(crate) const ENGINE: &str = "disk.engine";
/// What the binding of a node's directory of configuration begins with.
pub(crate) const CONFIGURATIONS: &str = "disk.node-";
/// The directory that the database writes to.
pub(crate) const DATA: &str = "disk.data";
/// The operator's tasks of the database's own tools: dump, trial restore, restore.
pub(crate) const TOOLS: &str = "service.database";
/// The directory that the dump is written to.
pub(crate) const BACKUPS: &str = "disk.backup";
/// The scratch database that a dump is restored into on trial.
pub(crate) const TRIAL: &str = "database.trial";
/// What every load balancer's binding begins with.
pub(crate) const BALANCERS: &str = "traffic.";
/// What every node's binding begins with.
pub(crate) const NODES: &str = "service.";

/// The engine's own tables; PostgreSQL folds their names, MariaDB and MySQL do not.
const TABLES: &[&str] = &["ACT_*", "act_*"];
/// What Liquibase keeps, where it manages the schema.
const LIQUIBASE: &[&str] = &["DATABASECHANGELOG*", "databasechangelog*"];

pub(crate) fn descriptor() -> Descriptor {
    Descriptor {
        product: "Camunda 7".into(),
        name: "camunda-7".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        summary: "takes Camunda 7 from one minor version to the next while it serves: the schema first, then node by node"
            .into(),
        edges: EDGES
            .iter()
            .map(|edge| {
                describe::edge(&edge.from().to_string(), &edge.to.to_string(), edge.schema)
            })
            .collect(),
        requests: vec![
            database(),
            engine(),
            data(),
            configurations(),
            balancers(),
            nodes(),
            endpoints(),
            tools(),
            backups(),
            trial(),
        ],
        options: options(),
        findings: known::findings(),
        more: vec![("vendor".into(), "Camunda".into())],
    }
}

fn database() -> Request {
    let all: Vec<&str> = TABLES.iter().chain(LIQUIBASE).copied().collect();
    describe::one(DATABASE, "the database that all engines share")
        .verb("database.observe", &[], "its product, isolation level and sessions")
        .verb("database.read", &all, "which version the schema is of, object by object")
        .verb(
            "database.query",
            &all,
            "the schema's log, and what must not happen while two versions run: deployments, batches, incidents",
        )
        .verb(
            "database.execute",
            TABLES,
            "the vendor's script, statement by statement",
        )
        .verb(
            "database.execute-together",
            TABLES,
            "its short statements in one transaction, on PostgreSQL",
        )
}

fn engine() -> Request {
    describe::one(
        ENGINE,
        "the vendor's engine of the new version, which holds the scripts",
    )
    .verb(
        "disk.read",
        &["*"],
        "which files are there, and a script that was unpacked",
    )
    .verb(
        "disk.read-bytes",
        &["camunda-engine-*"],
        "the script out of the engine's jar, which is no text",
    )
}

fn data() -> Request {
    describe::optional(
        DATA,
        "the database's data directory, where Liftlock runs on its machine",
    )
    .verb("disk.read", &["./"], "room for the script's indexes")
}

fn configurations() -> Request {
    describe::many(
        "disk.node-*",
        "a node's directory of configuration, named after it: `disk.node-n1` for `service.n1`",
    )
    .verb(
        "disk.read",
        &["{jdbc-file}"],
        "the JDBC address that it connects with",
    )
}

fn tools() -> Request {
    describe::optional(
        TOOLS,
        "the database's own tools, as tasks: dump, trial-restore, drop-trial, restore",
    )
    .verb(
        "service.run-task",
        &["dump", "trial-restore", "drop-trial", "restore"],
        "a dump is taken and restored on trial before the schema changes; `restore` only where the option says so",
    )
}

fn backups() -> Request {
    describe::optional(BACKUPS, "the directory that the dump is written to").verb(
        "disk.read",
        &["./", "{backup-file}"],
        "the dump's size and digest",
    )
}

fn trial() -> Request {
    let tables: Vec<&str> = TABLES.iter().copied().chain(["liftlock*"]).collect();
    describe::optional(TRIAL, "the scratch database of the trial restore")
        .verb("database.observe", &[], "which server it is")
        .verb(
            "database.read",
            &tables,
            "the copy has every table, column, index and constraint",
        )
        .verb("database.query", TABLES, "the copy has the rows")
}

fn balancers() -> Request {
    describe::many("traffic.*", "the load balancers before the nodes")
        .verb("traffic.read", &["*"], "which servers get requests")
        .verb(
            "traffic.set-state",
            &["*"],
            "a node gets no request while it is changed",
        )
}

fn nodes() -> Request {
    describe::many("service.*", "the nodes")
        .verb("service.read", &[], "their state, labels and versions")
        .verb("service.stop", &[], "a node is changed while it is down")
        .verb(
            "service.switch-artifact",
            &["*"],
            "it runs the new version then",
        )
}

fn endpoints() -> Request {
    describe::many(
        "endpoint.*",
        "each node's own REST interface, past the balancer",
    )
    .verb("endpoint.read", &["*"], "its version, database and health")
    .verb(
        "endpoint.request",
        &["POST /process-definition/*"],
        "an instance is started on each new node: only a write shows that schema and engine fit",
    )
}

fn options() -> Vec<OptionSpec> {
    vec![
        describe::text(
            "group",
            "33%",
            "how many nodes of a pool are taken at a time: a number, or a share as the vendor suggests",
        ),
        describe::number(
            "minimum-available",
            1,
            "how many nodes of each pool must be up at every moment",
        ),
        describe::text(
            "canary-process",
            "",
            "the key of a process that ends by itself; an instance of it is started on each new node. Without it no \
             write is tried before a node gets requests",
        ),
        describe::number(
            "drain-seconds",
            120,
            "how long open requests of a node are waited for; then it is stopped, and those that are left are cut and \
             counted",
        ),
        describe::number(
            "soak-seconds",
            600,
            "how long the nodes of a group must serve without a break before the next group is taken",
        ),
        describe::number(
            "jobs-seconds",
            90,
            "how long a node that is back is given until jobs that wait are taken again, by it or by another; then \
             `on-trouble` says what follows. 0: they are not looked at. Where none waits nothing is waited for",
        ),
        describe::choice(
            "indexes",
            &["plain", "concurrently"],
            "how PostgreSQL makes new indexes: as the vendor's script, which blocks writers of the table meanwhile, or \
             beside writers, which deviates from it",
        ),
        describe::choice(
            "cached-plans",
            &["unknown", "safe", "accepted"],
            "PostgreSQL only. `safe`: every engine's JDBC URL has `autosave=conservative` or `prepareThreshold=0`. \
             `accepted`: they have not, and some requests may fail when columns are added",
        ),
        describe::choice(
            "galera",
            &["refused", "accepted"],
            "MariaDB and MySQL as a Galera cluster only. `accepted`: every write may wait while the script changes tables",
        ),
        describe::choice(
            "on-deployment",
            &["pause", "warn", "stop"],
            "what to do when somebody deploys while two versions run",
        ),
        describe::choice(
            "on-trouble",
            &["warn", "pause", "stop"],
            "what to do when there are more incidents or failed jobs than before, or when no job is taken any more",
        ),
        describe::choice(
            "on-batch",
            &["pause", "warn", "stop"],
            "what to do when a batch begins",
        ),
        describe::choice(
            "on-feature",
            &["stop", "pause", "warn"],
            "what to do when a feature of the new version is used, which the older engines may not read",
        ),
        describe::choice(
            "backup",
            &["required", "none"],
            "`required`: a dump is taken and restored on trial before the schema changes. `none`: the schema changes \
             without one, and nothing leads back",
        ),
        describe::text(
            "backup-file",
            "engine.dump",
            "the name of the file in `disk.backup` that the task `dump` writes",
        ),
        describe::text(
            "restore",
            "",
            "the SHA-256 of a dump: a plan to an older version then restores it, which loses all that was written since",
        ),
        describe::text(
            "jdbc-url",
            "",
            "PostgreSQL only: the JDBC address that every engine is configured with, without its password; it says more \
             of prepared statements than `cached-plans`",
        ),
        describe::text(
            "jdbc-file",
            "application.properties",
            "PostgreSQL only: the file with the JDBC address in each node's directory of configuration, `disk.node-NAME`. \
             Where every node has one they say it, and neither `jdbc-url` nor `cached-plans`",
        ),
        describe::number(
            "lock-tries",
            10,
            "how often a statement of the script tries for the lock of its table, for three seconds each time: who comes \
             after it waits behind it so long",
        ),
    ]
}

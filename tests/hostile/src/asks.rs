//! Everything that a plugin can ask, function by function and field by field, with what each field must not be.
//!
//! A field is named as in the host's own record of the call. The suite compares: a kind of change without a row, a
//! function of the contract without one, or a field that a row does not name makes it fail.

use crate::values;

/// What a field is, and so what is tried in its place.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    /// One name inside the scope.
    Name,
    /// A pattern inside the scope.
    Pattern,
    /// One entry of a directory.
    Entry,
    /// A directory inside the scope.
    Directory,
    /// A plain name: nothing in it is special anywhere.
    Plain,
    /// A step of the plan.
    Step,
    /// A path of a raw read.
    ReadPath,
    /// A path of a raw change.
    ChangePath,
    /// A path of a product's own API.
    EndpointPath,
    /// A JSON object, and what else it must not be.
    Json(&'static [&'static str]),
    /// A query: a JSON object that fetches from nowhere else.
    Query,
    /// These must be refused.
    Not(&'static [&'static str]),
    /// Longer than a mebibyte must be refused.
    Bounded,
    /// It gives no authority; why.
    Free(&'static str),
}

impl Field {
    /// What is tried.
    pub fn hostile(self) -> Vec<String> {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        match self {
            Self::Name => {
                let mut all = owned(values::NAMES);
                all.push(values::too_long("a-"));
                all
            }
            Self::Pattern => {
                let mut all = owned(values::PATTERNS);
                all.push(values::too_long("a-"));
                all
            }
            Self::Entry => {
                let mut all = owned(values::ENTRIES);
                all.push(values::too_long("a-"));
                all
            }
            Self::Directory => {
                let mut all = owned(values::ENTRIES);
                all.extend(owned(values::DIRECTORIES));
                all
            }
            Self::Plain => {
                let mut all = owned(values::PLAIN);
                all.push(values::too_long("a-"));
                all
            }
            Self::Step => {
                let mut all = owned(values::STEPS);
                all.push(values::too_long("a-"));
                all
            }
            Self::ReadPath => owned(values::READ_PATHS),
            Self::ChangePath => owned(values::CHANGE_PATHS),
            Self::EndpointPath => {
                let mut all = owned(values::READ_PATHS);
                all.extend(owned(values::ENDPOINT_PATHS));
                all.push(format!("/a-{}", "x".repeat(1_100)));
                all
            }
            Self::Json(more) => {
                let mut all = owned(values::JSON);
                all.extend(values::json_over_bounds());
                all.extend(owned(more));
                all
            }
            Self::Query => {
                let mut all = owned(values::JSON);
                all.extend(values::json_over_bounds());
                all.extend(owned(values::LOOKUPS));
                all
            }
            Self::Not(texts) => owned(texts),
            Self::Bounded => vec!["x".repeat((1 << 20) + 1)],
            Self::Free(_) => Vec::new(),
        }
    }
}

/// One function, with values that the grant of the suite covers.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// `cluster-changes.delete-index`.
    pub call: &'static str,
    /// The verb that a grant must hold.
    pub verb: &'static str,
    /// Field, good value, what it is.
    pub fields: &'static [(&'static str, &'static str, Field)],
}

impl Ask {
    /// The binding of the suite's site that it is asked on.
    pub fn binding(&self) -> &'static str {
        match self.call.split(['.', '-']).next() {
            Some("cluster") => "cluster.database",
            Some("snapshot") => "snapshot.backups",
            Some("disk") => "disk.config",
            Some("traffic") => "traffic.front",
            Some("endpoint") => "endpoint.api",
            Some("database") => "database.engine",
            _ => "service.app",
        }
    }
}

const fn ask(
    call: &'static str,
    verb: &'static str,
    fields: &'static [(&'static str, &'static str, Field)],
) -> Ask {
    Ask { call, verb, fields }
}

const ENUM: Field = Field::Free("one of a few words of the contract's own");
const CONTENT: Field = Field::Free("content, for a thing that the other fields name");
const ARCHIVED_KEY: Field = Field::Not(&[
    "",
    "*",
    "archived.*",
    "archived.a-*",
    "archived.b-1",
    "archived.a-secret-1",
    "archived.a-1,archived.b-1",
    "archived.a-1 ",
    "a-1",
    "archived.",
]);
const DOC_ID: Field = Field::Not(&["", "a\0", "a\n", "a\u{1b}[2J"]);
const HASH: Field = Field::Not(&["", "*", "ABC", "0", "..", "g"]);
const INDEX: (&str, &str, Field) = ("index", "a-1", Field::Name);
const KIND: (&str, &str, Field) = ("kind", "legacy", ENUM);
const QUERY: (&str, &str, Field) = ("query", "{}", Field::Query);
const NAME: (&str, &str, Field) = ("name", "a-1", Field::Name);
const PATTERN: (&str, &str, Field) = ("pattern", "a-*", Field::Pattern);
const DIR: (&str, &str, Field) = ("dir.0", "a-dir", Field::Directory);
const FILE: (&str, &str, Field) = ("name", "a-x.yaml", Field::Entry);
const SHA256: (&str, &str, Field) = (
    "sha256",
    "0000000000000000000000000000000000000000000000000000000000000000",
    HASH,
);
const BACKEND: (&str, &str, Field) = ("backend", "a-be", Field::Not(values::BACKENDS));
const SERVER: (&str, &str, Field) = ("server", "n1", Field::Not(values::SERVERS));
const ALIASES_OUTSIDE: &[&str] = &[
    r#"{"aliases":{"b-x":{}}}"#,
    r#"{"aliases":{"a-x":{},"a-secret-x":{}}}"#,
    r#"{"aliases":{"*":{}}}"#,
    r#"{"aliases":{"a-x":{"filter":{"terms":{"x":{"index":"b-1","id":"1","path":"p"}}}}}}"#,
];
const TEMPLATES_OUTSIDE: &[&str] = &[
    r#"{"index_patterns":["*"]}"#,
    r#"{"index_patterns":["b-*"]}"#,
    r#"{"index_patterns":"b-*"}"#,
    r#"{"index_patterns":["a-*","*-b"]}"#,
    r#"{"index_patterns":["a-secret-*"]}"#,
    r#"{"index_patterns":["a-x*"],"aliases":{"b-x":{}}}"#,
    r#"{"index_patterns":["a-x*"],"template":{"aliases":{"b-x":{}}}}"#,
    r#"{"index_patterns":["a-x*"],"composed_of":["b-x"]}"#,
    r#"{"template":"*"}"#,
];
const SETTINGS_OUTSIDE: &[&str] = &[
    r#"{"index.blocks.*":null}"#,
    r#"{"index":{"blocks.write":true}}"#,
    r#"{"*":null}"#,
    r#"{"index.a,index.b":1}"#,
];
const CLUSTER_SETTINGS_OUTSIDE: &[&str] = &[
    r#"{"b-setting":null}"#,
    r#"{"a-setting":1,"a-secret-setting":1}"#,
    r#"{"a-setting":{"x":1}}"#,
    r#"{"a-*":null}"#,
    r#"{"a-1,b-1":1}"#,
    "{}",
];

const DIALECT: Field = Field::Free("the server's own, which the host says");
const CATALOG_NAME: Field = Field::Not(&["", "*", "x*", "x\n", "x\u{1b}[2J"]);
const TABLE: (&str, &str, Field) = (
    "table",
    "a-1",
    Field::Not(&["", "*", "a-*", "b-1", "a-secret-1", "a-\n"]),
);
const LOCK_MS: (&str, &str, Field) = (
    "waits.timeout_ms",
    "3000",
    Field::Not(&["0", "99", "60001"]),
);
const LOCK_TRIES: (&str, &str, Field) = ("waits.attempts", "10", Field::Not(&["0", "101"]));
/// Statements on what is not granted, and what no host could look for.
const STATEMENT: Field = Field::Not(&[
    "",
    "alter table \"b-1\" add column x integer",
    "alter table \"a-secret-1\" add column x integer",
    "alter table \"a-*\" add column x integer",
    "alter table other.\"a-1\" add column x integer",
    "alter table \"a-1\" add column x integer; drop table \"b-1\"",
    "alter table \"a-1\" add column x integer, drop column y",
    "alter table \"a-1\" add column x integer default (select 1 from \"b-1\")",
    "alter table \"a-1\" add column x integer default pg_sleep(1)",
    "alter table \"a-1\" add column x integer /*! , drop column y */",
    "alter table \"a-1\" add column x integer -- y",
    "alter table \"a-1\" add constraint c foreign key (x) references \"b-1\" (x)",
    "alter table \"a-1\" owner to public",
    "create table \"a-2\" as select * from \"b-1\"",
    "create table \"a-2\" (like \"b-1\")",
    "create index \"a-i\" on \"b-1\" (x)",
    "create index \"a-i\" on \"a-1\" (pg_sleep(1))",
    "create view \"a-v\" as select * from \"b-1\"",
    "drop table \"a-1\"",
    "drop index \"b-i\"",
    "insert into \"b-1\" values (1)",
    "insert into \"a-1\" select * from \"b-1\"",
    "insert into \"a-1\" values ((select x from \"b-1\"))",
    "insert into \"a-1\" values (E'\\'')",
    "insert into liftlock_claim values (1, '')",
    "update \"a-1\" set x = 1",
    "delete from \"a-1\"",
    "truncate \"a-1\"",
    "select 1",
    "copy \"a-1\" to program 'sh'",
    "grant all on \"a-1\" to public",
    "set role postgres",
    "do $$ begin end $$",
    "call p()",
]);
/// A query, with all that another one could reach.
const SELECTS: (&str, &str, Field) = (
    "query.sql",
    "select x from \"a-1\" where y = $1",
    Field::Not(&[
        "",
        "select x from \"b-1\" where y = $1",
        "select x from \"a-secret-1\" where y = $1",
        "select x from \"a-1\", \"b-1\" where y = $1",
        "select x from \"a-1\" where y = $1 union select x from \"b-1\"",
        "select (select x from \"b-1\") from \"a-1\" where y = $1",
        "select x from \"a-1\" where y = $1 and exists (select 1 from \"b-1\")",
        "with a as (select x from \"b-1\") select x from a where x = $1",
        "select x into \"a-2\" from \"a-1\" where y = $1",
        "select x from \"a-1\" where y = $1 for update",
        "select pg_sleep(1) from \"a-1\" where y = $1",
        "select pg_read_file($1)",
        "select lo_import($1)",
        "select query_to_xml($1, true, true, '')",
        "select usename from pg_shadow where usename = $1",
        "select x from other.\"a-1\" where y = $1",
        "select x from \"a-1\" where y = $1; select 1",
        "select x from \"a-1\" where y = $1 -- z",
        "select x from \"a-1\" where y = $2",
        "select x from \"a-1\"",
        "select nonce from liftlock_claim where run = $1",
        "delete from \"a-1\" where y = $1",
    ]),
);
const SELECT_DIALECT: (&str, &str, Field) = ("query.dialect", "postgresql", DIALECT);
const VALUE: (&str, &str, Field) = ("parameters.0", "1", CONTENT);
const SELECT: &[(&str, &str, Field)] = &[SELECTS, SELECT_DIALECT, VALUE];

/// All of them.
pub const ASKS: &[Ask] = &[
    // Reads of a cluster.
    ask("cluster.identity", "cluster.observe", &[]),
    ask("cluster.identities", "cluster.observe", &[]),
    ask("cluster.health", "cluster.observe", &[]),
    ask("cluster.nodes", "cluster.observe", &[]),
    ask("cluster.indices", "cluster.read", &[PATTERN]),
    ask("cluster.shards", "cluster.read", &[PATTERN]),
    ask("cluster.aliases", "cluster.read", &[PATTERN]),
    ask("cluster.templates", "cluster.read", &[KIND, PATTERN]),
    ask("cluster.mappings", "cluster.read", &[INDEX]),
    ask("cluster.index-settings", "cluster.read", &[INDEX]),
    ask("cluster.count", "cluster.count", &[INDEX, QUERY]),
    ask(
        "cluster.search",
        "cluster.read-documents",
        &[
            ("what.indices.0", "a-1", Field::Name),
            ("what.query", r#"{"match_all":{}}"#, Field::Query),
            (
                "what.sort",
                r#"[{"_doc":"asc"}]"#,
                Field::Not(&["[", "{\"a\":1,\"a\":2}"]),
            ),
            ("what.size", "1", Field::Not(&["0", "1001", "4294967295"])),
            ("what.after", "[1]", Field::Not(&["[", "{\"a\":1,\"a\":2}"])),
        ],
    ),
    ask(
        "cluster.get",
        "cluster.read-documents",
        &[INDEX, ("id", "1", DOC_ID)],
    ),
    ask(
        "cluster.tasks",
        "cluster.observe",
        &[(
            "actions.0",
            "*reindex",
            Field::Free("it narrows a list that is granted whole"),
        )],
    ),
    ask(
        "cluster.cluster-settings",
        "cluster.observe",
        &[("scope", "persistent", ENUM)],
    ),
    ask("cluster.deprecations", "cluster.observe", &[]),
    ask(
        "cluster.raw-read",
        "cluster.raw-read",
        &[
            ("path", "/a-1/_search", Field::ReadPath),
            (
                "query.0.0",
                "size",
                Field::Not(&["source", "source_content_type"]),
            ),
            (
                "query.0.1",
                "1",
                Field::Free("a value of a parameter of a path that is granted"),
            ),
            (
                "body",
                r#"{"query":{"match_all":{}}}"#,
                Field::Json(&[
                    r#"{"query":{"terms":{"x":{"index":"b-1","id":"1","path":"p"}}}}"#,
                    r#"{"query":{"wrapper":{"query":"eyJ0ZXJtcyI6eyJ4Ijp7ImluZGV4IjoiYi0xIiwiaWQiOiIxIiwicGF0aCI6InAifX19"}}}"#,
                    r#"{"runtime_mappings":{"x":{"type":"lookup","target_index":"b-1","input_field":"a","target_field":"b","fetch_fields":["c"]}}}"#,
                ]),
            ),
        ],
    ),
    // Changes of a cluster.
    ask(
        "cluster-changes.create-index",
        "cluster.create-index",
        &[NAME, ("body", "{}", Field::Json(ALIASES_OUTSIDE))],
    ),
    ask(
        "cluster-changes.delete-index",
        "cluster.delete-index",
        &[NAME, ("uuid", "u", Field::Plain)],
    ),
    ask(
        "cluster-changes.put-template",
        "cluster.put-template",
        &[
            KIND,
            NAME,
            (
                "body",
                r#"{"index_patterns":["a-x*"]}"#,
                Field::Json(TEMPLATES_OUTSIDE),
            ),
        ],
    ),
    ask(
        "cluster-changes.delete-template",
        "cluster.delete-template",
        &[KIND, NAME],
    ),
    ask(
        "cluster-changes.update-aliases",
        "cluster.update-aliases",
        &[
            ("actions.0.action", "add", ENUM),
            ("actions.0.index", "a-1", Field::Name),
            ("actions.0.alias", "a-x", Field::Name),
            ("actions.0.write", "true", ENUM),
        ],
    ),
    ask(
        "cluster-changes.put-settings",
        "cluster.put-settings",
        &[INDEX, ("settings", "{}", Field::Json(SETTINGS_OUTSIDE))],
    ),
    ask(
        "cluster-changes.put-mapping",
        "cluster.put-mapping",
        &[
            INDEX,
            (
                "mapping",
                "{}",
                Field::Json(&[r#"{"runtime":{"x":{"type":"lookup","target_index":"b-1"}}}"#]),
            ),
        ],
    ),
    ask(
        "cluster-changes.reindex",
        "cluster.reindex",
        &[
            ("source", "a-1", Field::Name),
            ("destination", "a-2", Field::Name),
            QUERY,
            ("script.lang", "painless", Field::Plain),
            (
                "script.source",
                "x",
                Field::Free(
                    "it runs in the server with the account's rights: a finding shows all of it",
                ),
            ),
            (
                "script.params",
                "{}",
                Field::Not(&["{", "{\"a\":1,\"a\":2}"]),
            ),
            ("slices", "1", Field::Not(&["0"])),
            ("requests_per_second", "1", Field::Not(&["0"])),
        ],
    ),
    ask(
        "cluster-changes.transform",
        "cluster.transform",
        &[
            ("source", "a-1", Field::Name),
            ("destination", "a-2", Field::Name),
            QUERY,
            ("name", "x", Field::Plain),
            (
                "on_rejected",
                "stop",
                Field::Free("one of two words, shown with the step"),
            ),
        ],
    ),
    ask(
        "cluster-changes.update-by-query",
        "cluster.update-by-query",
        &[
            INDEX,
            QUERY,
            ("script.lang", "painless", Field::Plain),
            (
                "script.source",
                "x",
                Field::Free(
                    "it runs in the server with the account's rights: a finding shows all of it",
                ),
            ),
            (
                "script.params",
                "{}",
                Field::Not(&["{", "{\"a\":1,\"a\":2}"]),
            ),
        ],
    ),
    ask(
        "cluster-changes.delete-by-query",
        "cluster.delete-by-query",
        &[INDEX, QUERY],
    ),
    ask(
        "cluster-changes.create-document",
        "cluster.create-document",
        &[
            INDEX,
            ("id", "1", DOC_ID),
            ("document", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "cluster-changes.replace-document",
        "cluster.replace-document",
        &[
            INDEX,
            ("id", "1", DOC_ID),
            ("while_it_contains", "{}", Field::Json(&[])),
            ("document", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "cluster-changes.delete-document",
        "cluster.delete-document",
        &[
            INDEX,
            ("id", "1", DOC_ID),
            ("while_it_contains", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "cluster-changes.set-cluster-setting",
        "cluster.set-cluster-setting",
        &[("key", "a-setting", Field::Name), ("value", "x", CONTENT)],
    ),
    ask(
        "cluster-changes.set-transient-setting",
        "cluster.set-transient-setting",
        &[("key", "a-setting", Field::Name), ("value", "x", CONTENT)],
    ),
    ask(
        "cluster-changes.put-cluster-settings",
        "cluster.put-cluster-settings",
        &[
            ("scope", "persistent", Field::Not(&["defaults"])),
            (
                "settings",
                "{\"a-setting\":null}",
                Field::Json(CLUSTER_SETTINGS_OUTSIDE),
            ),
        ],
    ),
    ask(
        "cluster-changes.flush",
        "cluster.flush",
        &[
            ("indices.0", "a-*", Field::Pattern),
            (
                "except.0",
                "a-secret-*",
                Field::Not(&["", "a-*-b", "a,b", "..", "a\0", "b-*"]),
            ),
        ],
    ),
    ask(
        "cluster-changes.remove-archived-settings",
        "cluster.remove-archived-settings",
        &[("keys.0", "archived.a-1", ARCHIVED_KEY)],
    ),
    ask(
        "cluster-changes.remove-archived-index-settings",
        "cluster.remove-archived-index-settings",
        &[
            INDEX,
            (
                "keys.0",
                "archived.index.x",
                Field::Not(&[
                    "",
                    "*",
                    "archived.*",
                    "index.x",
                    "archived.x,y",
                    "archived.a b",
                ]),
            ),
        ],
    ),
    ask(
        "cluster-changes.cancel-task",
        "cluster.cancel-task",
        &[(
            "id",
            "node:1",
            Field::Not(&[
                "",
                "*",
                "_all",
                "node",
                "node:",
                "node:*",
                "node:1,node:2",
                "a b:1",
                "node:1\n",
                "../x:1",
            ]),
        )],
    ),
    ask(
        "cluster-changes.request",
        "cluster.raw-change",
        &[
            ("method", "PUT", Field::Not(&["POST", "DELETE"])),
            ("path", "/_ingest/pipeline/a-x", Field::ChangePath),
            (
                "query.0.0",
                "timeout",
                Field::Not(&["source", "source_content_type", "", "a b", "a&b=c", "a\n"]),
            ),
            ("query.0.1", "1s", Field::Not(&["a\n", "a\0"])),
            (
                "body",
                "{}",
                Field::Not(&[
                    "{",
                    r#"{"a":1,"a":2}"#,
                    r#"{"terms":{"x":{"index":"b-1","id":"1","path":"p"}}}"#,
                    r#"{"x":[{"wrapper":{"query":"e30="}}]}"#,
                ]),
            ),
            ("touches.0", "a-1", Field::Name),
            ("done_when.predicate.is", "answer-contains", ENUM),
            ("done_when.predicate.path", "/a-1/_search", Field::ReadPath),
            (
                "done_when.predicate.query.0.0",
                "size",
                Field::Not(&["source", "source_content_type"]),
            ),
            (
                "done_when.predicate.query.0.1",
                "1",
                Field::Free("a value of a parameter of a path that is granted"),
            ),
            (
                "done_when.predicate.subset",
                r#"{"x":1}"#,
                Field::Json(&["{}"]),
            ),
            ("done_when.negated", "false", ENUM),
        ],
    ),
    // Conditions on a cluster.
    ask("cluster-changes.index-exists", "cluster.read", &[NAME]),
    ask(
        "cluster-changes.template-exists",
        "cluster.read",
        &[KIND, NAME],
    ),
    ask(
        "cluster-changes.healthy",
        "cluster.observe",
        &[(
            "at_least",
            "green",
            Field::Not(&["", "red", "GREEN", "*", "green\0"]),
        )],
    ),
    ask(
        "cluster-changes.count-is",
        "cluster.count",
        &[INDEX, QUERY, ("count", "1", CONTENT)],
    ),
    ask(
        "cluster-changes.document-contains",
        "cluster.read-documents",
        &[
            INDEX,
            ("id", "1", DOC_ID),
            ("subset", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "cluster-changes.answer-contains",
        "cluster.raw-read",
        &[
            ("path", "/a-1/_search", Field::ReadPath),
            (
                "query.0.0",
                "size",
                Field::Not(&["source", "source_content_type"]),
            ),
            (
                "query.0.1",
                "1",
                Field::Free("a value of a parameter of a path that is granted"),
            ),
            ("subset", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "cluster-changes.quiet",
        "cluster.read",
        &[("indices.0", "a-*", Field::Pattern)],
    ),
    ask(
        "cluster-changes.no-task",
        "cluster.observe",
        &[(
            "actions.0",
            "*reindex",
            Field::Free("it narrows a list that is granted whole"),
        )],
    ),
    // Readings of a cluster.
    ask("cluster-changes.read-count", "cluster.count", &[INDEX]),
    ask(
        "cluster-changes.read-checksum",
        "cluster.read-documents",
        &[INDEX],
    ),
    ask("cluster-changes.read-indices", "cluster.read", &[PATTERN]),
    ask("cluster-changes.read-aliases", "cluster.read", &[PATTERN]),
    ask(
        "cluster-changes.read-templates",
        "cluster.read",
        &[KIND, PATTERN],
    ),
    ask("cluster-changes.read-mappings", "cluster.read", &[INDEX]),
    ask("cluster-changes.read-settings", "cluster.read", &[INDEX]),
    ask(
        "cluster-changes.read-document",
        "cluster.read-documents",
        &[INDEX, ("id", "1", DOC_ID)],
    ),
    ask(
        "cluster-changes.read-cluster-settings",
        "cluster.observe",
        &[("scope", "persistent", ENUM)],
    ),
    // A snapshot repository.
    ask("snapshot.name", "snapshot.read", &[]),
    ask("snapshot.verified", "snapshot.read", &[]),
    ask("snapshot.list-all", "snapshot.read", &[]),
    ask("snapshot.running", "snapshot.read", &[]),
    ask(
        "snapshot-changes.register",
        "snapshot.register",
        &[
            ("kind", "fs", Field::Plain),
            ("settings", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "snapshot-changes.unregister",
        "snapshot.unregister",
        &[
            ("kind", "fs", Field::Plain),
            ("settings", "{}", Field::Json(&[])),
        ],
    ),
    ask(
        "snapshot-changes.take",
        "snapshot.take",
        &[
            (
                "name",
                "a-1",
                Field::Not(&[
                    "",
                    "*",
                    "a,b",
                    "<a-{now/d}>",
                    "..",
                    "_all",
                    "-a",
                    "A",
                    "a/b",
                    "a\0",
                    "a\n",
                    "a b",
                ]),
            ),
            ("indices.0", "a-*", Field::Pattern),
            (
                "except.0",
                "a-secret-*",
                Field::Not(&["", "a-*-b", "a,b", "..", "a\0", "b-*"]),
            ),
        ],
    ),
    ask(
        "snapshot-changes.prove",
        "snapshot.prove",
        &[("taken_by", "s0", Field::Step)],
    ),
    ask(
        "snapshot-changes.restore",
        "snapshot.restore",
        &[
            ("taken_by", "s0", Field::Step),
            ("indices.0", "a-1", Field::Name),
        ],
    ),
    ask(
        "snapshot-changes.restore-into",
        "snapshot.restore-into",
        &[
            ("taken_by", "s0", Field::Step),
            ("indices.0", "a-*", Field::Pattern),
            (
                "except.0",
                "a-secret-*",
                Field::Not(&["", "a-*-b", "a,b", "..", "a\0", "b-*"]),
            ),
            ("replicas", "1", Field::Not(&["101", "4294967295"])),
        ],
    ),
    ask("snapshot-changes.delete", "snapshot.delete", &[NAME]),
    ask("snapshot-changes.none-running", "snapshot.read", &[]),
    // A directory.
    ask("disk.entries", "disk.read", &[DIR]),
    ask(
        "disk.open-directory",
        "disk.read",
        &[DIR, ("name", "a-sub", Field::Entry)],
    ),
    ask(
        "disk.read",
        "disk.read",
        &[
            DIR,
            FILE,
            ("offset", "0", CONTENT),
            ("length", "10", Field::Not(&["1048577", "4294967295"])),
        ],
    ),
    ask(
        "disk.read-bytes",
        "disk.read-bytes",
        &[
            DIR,
            FILE,
            ("offset", "0", CONTENT),
            ("length", "10", Field::Not(&["1048577", "4294967295"])),
        ],
    ),
    ask("disk.sha256", "disk.read", &[DIR, FILE]),
    ask("disk.space", "disk.read", &[DIR]),
    ask("disk-changes.keep", "disk.keep", &[DIR, FILE]),
    ask(
        "disk-changes.copy",
        "disk.copy",
        &[
            (
                "from",
                "disk.config",
                Field::Not(&[
                    "disk.other",
                    "cluster.database",
                    "",
                    "disk",
                    "disk.*",
                    "../x",
                ]),
            ),
            ("from_dir.0", "a-dir", Field::Directory),
            FILE,
            DIR,
            ("as_name", "a-y.yaml", Field::Entry),
        ],
    ),
    ask(
        "disk-changes.write",
        "disk.write",
        &[DIR, FILE, ("text", "x", Field::Bounded)],
    ),
    ask(
        "disk-changes.edit",
        "disk.edit",
        &[
            DIR,
            FILE,
            SHA256,
            ("hunks.0.old", "x", Field::Not(&[""])),
            ("hunks.0.new", "y", CONTENT),
        ],
    ),
    ask("disk-changes.remove", "disk.remove", &[DIR, FILE, SHA256]),
    ask("disk-changes.file-has", "disk.read", &[DIR, FILE, SHA256]),
    ask(
        "disk-changes.free-at-least",
        "disk.read",
        &[DIR, ("bytes", "1", CONTENT)],
    ),
    ask("disk-changes.read-sha256", "disk.read", &[DIR, FILE]),
    // A service.
    ask("service.status", "service.read", &[]),
    ask("service.tasks", "service.read", &[]),
    ask(
        "service.log-tail",
        "service.read",
        &[("lines", "10", Field::Not(&["0", "1001"]))],
    ),
    ask(
        "service.ask",
        "service.ask",
        &[("name", "a-version", Field::Plain)],
    ),
    ask("service-changes.stop", "service.stop", &[]),
    ask("service-changes.start", "service.start", &[]),
    ask("service-changes.restart", "service.restart", &[]),
    ask(
        "service-changes.run-task",
        "service.run-task",
        &[
            ("name", "a-task", Field::Plain),
            ("rerun_safe", "x", Field::Free("a text for people")),
        ],
    ),
    ask("service-changes.stopped", "service.read", &[]),
    ask("service-changes.ready", "service.read", &[]),
    // A load balancer.
    ask(
        "traffic.servers",
        "traffic.read",
        &[("backend", "a-*", Field::Pattern)],
    ),
    ask(
        "traffic-changes.set-state",
        "traffic.set-state",
        &[BACKEND, SERVER, ("to", "drain", ENUM)],
    ),
    ask(
        "traffic-changes.set-weight",
        "traffic.set-weight",
        &[BACKEND, SERVER, ("weight", "1", CONTENT)],
    ),
    ask("traffic-changes.idle", "traffic.read", &[BACKEND, SERVER]),
    ask(
        "traffic-changes.in-state",
        "traffic.read",
        &[BACKEND, SERVER, ("administrative", "drain", ENUM)],
    ),
    ask(
        "traffic-changes.serving",
        "traffic.read",
        &[BACKEND, SERVER],
    ),
    ask(
        "traffic-changes.serving-at-least",
        "traffic.read",
        &[BACKEND, ("count", "1", CONTENT)],
    ),
    ask(
        "traffic-changes.receives",
        "traffic.read",
        &[BACKEND, SERVER],
    ),
    ask(
        "traffic-changes.read-servers",
        "traffic.read",
        &[("backend", "a-*", Field::Pattern)],
    ),
    ask("service.labels", "service.read", &[]),
    ask("service.artifact", "service.read", &[]),
    ask(
        "service-changes.switch-artifact",
        "service.switch-artifact",
        &[("to", "a-1", Field::Entry)],
    ),
    // A product's own API.
    ask("endpoint.get", "endpoint.read", API_READ),
    ask("endpoint-changes.read-answer", "endpoint.read", API_READ),
    ask(
        "endpoint-changes.answers",
        "endpoint.read",
        &[
            ("path", "/a-1", Field::EndpointPath),
            ("query.0.0", "k", API_KEY),
            ("query.0.1", "v", API_VALUE),
            ("status", "200", API_STATUS),
            ("subset", "{}", Field::Not(&["", "{", TWICE])),
        ],
    ),
    ask(
        "endpoint-changes.request",
        "endpoint.request",
        &[
            ("method", "POST", Field::Not(&["PUT", "DELETE"])),
            ("path", "/a-1/start", Field::EndpointPath),
            ("query.0.0", "k", API_KEY),
            ("query.0.1", "v", API_VALUE),
            ("body", "{}", Field::Not(&["", "{", TWICE])),
            ("done_when.predicate.is", "answers", ENUM),
            ("done_when.predicate.path", "/a-1", Field::EndpointPath),
            ("done_when.predicate.query.0.0", "k", API_KEY),
            ("done_when.predicate.query.0.1", "v", API_VALUE),
            ("done_when.predicate.status", "200", API_STATUS),
            (
                "done_when.predicate.subset",
                r#"{"count":1}"#,
                Field::Not(&["", "{", TWICE, "{}"]),
            ),
            ("done_when.negated", "false", ENUM),
        ],
    ),
    // A database.
    ask("database.identity", "database.observe", &[]),
    ask("database.tables", "database.read", &[PATTERN]),
    ask("database.columns", "database.read", &[PATTERN]),
    ask("database.indexes", "database.read", &[PATTERN]),
    ask("database.constraints", "database.read", &[PATTERN]),
    ask("database.sessions", "database.observe", &[]),
    ask("database.query", "database.query", SELECT),
    ask(
        "database-changes.execute",
        "database.execute",
        &[
            (
                "statement.sql",
                "alter table \"a-1\" add column x integer",
                STATEMENT,
            ),
            ("statement.dialect", "postgresql", DIALECT),
            LOCK_MS,
            LOCK_TRIES,
        ],
    ),
    ask(
        "database-changes.execute-together",
        "database.execute-together",
        &[
            (
                "statements.0.sql",
                "alter table \"a-1\" add column x integer",
                STATEMENT,
            ),
            ("statements.0.dialect", "postgresql", DIALECT),
            LOCK_MS,
            LOCK_TRIES,
        ],
    ),
    ask(
        "database-changes.end-session",
        "database.end-session",
        &[
            ("id", "1", Field::Free("a session, meant by its beginning")),
            (
                "application",
                "a-app",
                Field::Not(&["b-app", "a-secret-app", "", "*", "a-*", "a-\n"]),
            ),
            ("started", "1", Field::Not(&["", "*", "1\n"])),
        ],
    ),
    ask(
        "database-changes.column-exists",
        "database.read",
        &[TABLE, ("name", "x", CATALOG_NAME)],
    ),
    ask(
        "database-changes.index-valid",
        "database.read",
        &[TABLE, ("name", "x", CATALOG_NAME)],
    ),
    ask(
        "database-changes.query-is",
        "database.query",
        &[
            SELECTS,
            SELECT_DIALECT,
            VALUE,
            ("expected.0.0", "1", CONTENT),
        ],
    ),
    ask(
        "database-changes.no-session",
        "database.observe",
        &[("application_prefix", "x", CATALOG_NAME)],
    ),
    ask("database-changes.read-tables", "database.read", &[PATTERN]),
    ask("database-changes.read-columns", "database.read", &[PATTERN]),
    ask("database-changes.read-indexes", "database.read", &[PATTERN]),
    ask(
        "database-changes.read-constraints",
        "database.read",
        &[PATTERN],
    ),
    ask("database-changes.read-query", "database.query", SELECT),
];

const TWICE: &str = r#"{"a":1,"a":2}"#;
const API_KEY: Field = Field::Not(&["", "a b", "a&b=c", "a=b", "a\n", "a\0", "a\u{200b}"]);
const API_VALUE: Field = Field::Not(&["a\n", "a\0", "a\r\nHost: b"]);
const API_STATUS: Field = Field::Not(&["0", "99", "600", "65535"]);
const API_READ: &[(&str, &str, Field)] = &[
    ("path", "/a-1", Field::EndpointPath),
    ("query.0.0", "k", API_KEY),
    ("query.0.1", "v", API_VALUE),
];

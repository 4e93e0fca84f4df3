//! What is tried in the place of a name, a pattern, a path or a text: values that mean something else to somebody.
//!
//! The grant of every case covers `a-*` except `a-secret-*`; `b-*` is a neighbour's.

/// Names that must never be taken for one name inside the scope.
pub const NAMES: &[&str] = &[
    // Outside the scope, and taken away from it.
    "b-1",
    "b",
    "a",
    "a-secret-1",
    "a-secret-",
    // All, many, or computed.
    "",
    "*",
    "a-*",
    "*-1",
    "a-1*b",
    "a-?",
    "_all",
    "_",
    "a-1,b-1",
    "a-1, b-1",
    "a-1,-a-1,b-*",
    ",b-1",
    "<a-{now/d}>",
    "<b-{now/d{yyyy}}>",
    "<a-1>",
    "a-1<",
    // Of another cluster.
    "a-1:b-1",
    "a-1::failures",
    "*:a-1",
    // Taking away, hidden, or an option.
    "-a-1",
    "-b-*",
    "+a-1",
    "_b-1",
    ".b-1",
    "--help",
    // Out of its place.
    ".",
    "..",
    "a-1/..",
    "a-1/../b-1",
    "../b-1",
    "a-1/_doc",
    "a-1\\..\\b-1",
    "/b-1",
    "%2e%2e",
    "%2E%2E%2Fb-1",
    "a-1%2f..%2fb-1",
    "%61-1",
    "a%2d1",
    // More than a path.
    "a-1?pretty",
    "a-1#b",
    "a-1|b",
    "\"a-1\"",
    // Control characters and white space.
    "a-1\0",
    "a-1\0b-1",
    "a-1\n",
    "a-1\r\nHost: b",
    "a-1\t",
    "a-1\u{1b}[2J",
    "a-1\u{7f}",
    "a-1\u{9b}",
    "a-1 b",
    " a-1",
    "a-1 ",
    "a-1\u{a0}",
    "a-1\u{3000}",
    "a-1\u{2028}",
    // Looks like the name, and is another.
    "\u{430}-1",
    "\u{ff41}-1",
    "a\u{2010}1",
    "a\u{2212}1",
    "A-1",
    "\u{200b}a-1",
    "\u{feff}a-1",
    "\u{202e}1-a",
    "a\u{301}-1",
    // Inside the scope, and shown as something else.
    "a-1\u{202e}1-terces",
    "a-1\u{2066}x",
    "a-1\u{200b}",
    "a-1\u{ad}",
    "a-1\u{e0041}",
    "a-1\u{3164}",
];

/// Backends outside the scope, and such that are more than one word of a command. A `:` may stand in one.
pub const BACKENDS: &[&str] = &[
    "b-be",
    "b",
    "a",
    "a-secret-1",
    "a-secret-",
    "",
    "*",
    "a-*",
    "a-be*",
    "a-be/n1",
    "a-be/../b-be",
    "a-be;disable server b-be/n1",
    "a-be\nset server b-be/n1 state maint",
    "a-be\r",
    "a-be b-be",
    " a-be",
    "a-be ",
    "a-be\0",
    "a-be\u{1b}[2J",
    "a-be..",
    "a-be#1",
    "a-be,b-be",
    "<a-be>",
    "a-be\\",
    "\u{430}-be",
    "a-be\u{200b}",
    "a-be\u{202e}",
    "A-be",
];

/// Servers that are more than one word of a command, or lead out of their backend.
pub const SERVERS: &[&str] = &[
    "",
    "*",
    "n*",
    "n1/n2",
    "../b-be/n1",
    "..",
    "n1 state ready",
    "n1;show info",
    "n1\nshow info",
    "n1\0",
    "n1\u{1b}[2J",
    "n1,n2",
    "n1#2",
    "n1\u{200b}",
];

/// Patterns that reach further than the scope, or are none.
pub const PATTERNS: &[&str] = &[
    "",
    "*",
    "**",
    "a*",
    "b-*",
    "b-1",
    "a-secret-*",
    "a-secret-1",
    "a-*-b",
    "*-1",
    "a-?",
    "a-*,b-*",
    "a-1,b-1",
    "a-*,*",
    "_all",
    "_all*",
    "<a-{now/d}>*",
    "-a-*",
    "..*",
    "a-1/..*",
    "{prefix}-*",
    "a-\0*",
    "a-\n*",
    "a-\u{1b}[2J*",
    "\u{430}-*",
    "*:a-*",
];

/// Entries of a directory that are none, or lead out of it.
pub const ENTRIES: &[&str] = &[
    "",
    ".",
    "..",
    "../b.yaml",
    "b/../../x",
    "/etc/passwd",
    "a-dir/a-x.yaml",
    "a\\b",
    "a\0b",
    "a-x.yaml\0",
    "a\nb",
    "a\u{1b}[2Jb",
    "a\u{7f}",
    "a-x\u{202e}lmay.",
    "a-x\u{200b}.yaml",
];

/// Directories beneath a binding that are outside the scope, besides [`ENTRIES`].
pub const DIRECTORIES: &[&str] = &["b-dir", "a-secret-dir", "b-link", "a-link"];

/// Ids of steps that are none.
pub const STEPS: &[&str] = &[
    "",
    "A",
    "a b",
    "a,b",
    "..",
    ".a",
    "a..b",
    "a/b",
    "a\n",
    "a\0",
    "*",
    "\u{430}",
    "a\u{202e}",
];

/// Plain names (a uuid, a task, a setting, a language, a kind) that are more than that.
pub const PLAIN: &[&str] = &[
    "",
    "*",
    "a-*",
    "a b",
    "a,b",
    "a/b",
    "..",
    "a..b",
    "../x",
    "a\n",
    "a\0",
    "a\u{1b}[2J",
    "a;b",
    "$(id)",
    "`id`",
    "a|b",
    "a%2fb",
    "\u{430}",
    "a\u{202e}b",
    "<a>",
];

/// Texts that are no JSON object of one meaning.
pub const JSON: &[&str] = &[
    "",
    "{",
    "nul",
    "[]",
    "\"text\"",
    "1",
    "{} {}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"x\":[{\"y\":1,\"y\":1}]}",
    "{\"a\":01}",
    "{\"a\":NaN}",
    "{\"a\":1,}",
    "{'a':1}",
    "{\"a\":\"\u{1}\"}",
    "{\"a\":\"\\ud800\"}",
    "\u{feff}{}",
    "{}/*x*/",
    "{\"a\":1}\0",
];

/// Queries that fetch documents from an index outside the scope.
pub const LOOKUPS: &[&str] = &[
    r#"{"terms":{"x":{"index":"b-1","id":"1","path":"p"}}}"#,
    r#"{"terms":{"x":{"index":"a-secret-1","id":"1","path":"p"}}}"#,
    r#"{"terms":{"x":{"index":"a-1,b-1","id":"1","path":"p"}}}"#,
    r#"{"terms":{"x":{"index":"*","id":"1","path":"p"}}}"#,
    r#"{"terms":{"x":{"index":["b-1"],"id":"1","path":"p"}}}"#,
    r#"{"terms":{"x":{"index":"b-1","query":{"match_all":{}},"path":"p"}}}"#,
    r#"{"bool":{"must":[{"bool":{"filter":{"terms":{"x":{"index":"b-1","id":"1","path":"p"}}}}}]}}"#,
    r#"{"geo_shape":{"at":{"indexed_shape":{"index":"b-1","id":"1","path":"p"}}}}"#,
    r#"{"more_like_this":{"like":[{"_index":"b-1","_id":"1"}]}}"#,
    r#"{"percolate":{"field":"q","index":"b-1","id":"1"}}"#,
    // The first of these, written so that nobody reads it.
    r#"{"wrapper":{"query":"eyJ0ZXJtcyI6eyJ4Ijp7ImluZGV4IjoiYi0xIiwiaWQiOiIxIiwicGF0aCI6InAifX19"}}"#,
];

/// Paths of a raw read outside the scope `/a-*`, or that mean another one.
pub const READ_PATHS: &[&str] = &[
    "",
    "a-1/_stats",
    "/",
    "/b-1/_stats",
    "/a-secret-1/_stats",
    "/_all/_stats",
    "/*/_stats",
    "/a-1,b-1/_stats",
    "/a-*/_stats",
    "/<a-{now/d}>/_stats",
    "/_security/user",
    "/_snapshot",
    "/_cat/indices",
    "//a-1/_stats",
    "/a-1/../b-1/_stats",
    "/a-1/%2e%2e/b-1/_stats",
    "/a-1/.%2E/b-1/_stats",
    "/a-1/..%2fb-1/_stats",
    "/a-1%2f..%2fb-1/_stats",
    "/a-1/./_stats",
    "/a-1\\..\\b-1/_stats",
    "/a-1/_stats?x=1",
    "/a-1/_stats#x",
    "/a-1/_stats\r\nX-Opaque-Id: b",
    "/a-1/_stats\0",
    "/a-1/ _stats",
    "http://127.0.0.1/a-1/_stats",
    "//127.0.0.1/a-1/_stats",
];

/// Paths that mean another one to a product's own server, beside [`READ_PATHS`].
pub const ENDPOINT_PATHS: &[&str] = &[
    "/a-1;x=1/y",
    "/a-1/..;/b-1",
    "/a-1/",
    "/a-1//y",
    "/a-1*",
    "/a-1\u{200b}",
    "/a-1\u{202e}",
    "/a-1%00",
    "/a-1%252fb",
    "/{run-id}",
];

/// Paths of a raw change outside the scope `PUT /_ingest/pipeline/a-*`, or that have a kind of their own.
pub const CHANGE_PATHS: &[&str] = &[
    "",
    "_ingest/pipeline/a-x",
    "/",
    "/_ingest/pipeline/b-x",
    "/_ingest/pipeline/a-secret-x",
    "/_ingest/pipeline/*",
    "/_ingest/pipeline/a-*",
    "/_ingest/pipeline/a-x,b-x",
    "/_ingest/pipeline/a-x/../b-x",
    "/_ingest/pipeline/a-x/%2e%2e/b-x",
    "/_ingest/pipeline/a-x%2f..%2fb-x",
    "/_ingest/pipeline/a-x%252e",
    "/_ingest/pipeline/a-x?timeout=1s",
    "/_ingest/pipeline/a-x#y",
    "/_ingest/pipeline/a-x\0",
    "/_ingest/pipeline/a-x\r\nHost: b",
    "/_ingest//pipeline/a-x",
    "/_ingest/./pipeline/a-x",
    "/_ingest/pipeline/<a-{now/d}>",
    "/_ingest/pipeline/a:x",
    "/_ingest/pipeline/\u{430}-x",
    "/a-1",
    "/a-1/_doc/1",
    "/a-1/_settings",
    "/_all/_settings",
    "/_aliases",
    "/_reindex",
    "/_bulk",
    "/_tasks/x/_cancel",
    "/_snapshot/x/y",
    "/_cluster/settings",
    "/_data_stream/a-x",
    "/_sql",
    "/_security/user/x",
    "/_plugins/_security/api/roles/x",
    "/_component_template/liftlock-claim.9",
];

/// A text longer than any bound of one field.
pub fn too_long(begin: &str) -> String {
    format!("{begin}{}", "x".repeat(600))
}

/// JSON over its bound of bytes, and deeper than its bound.
pub fn json_over_bounds() -> Vec<String> {
    vec![
        format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)),
        format!("{{\"a\":{}1{}}}", "[".repeat(101), "]".repeat(101)),
        format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120)),
        "[".repeat(100_000),
    ]
}

//! Reads as data: what a plugin asks, what a capture keeps and what a condition looks at are the same thing.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::facts::cluster::{Search, SettingScope, TemplateKind};
use crate::sql::Query;
use crate::{Binding, Json, Verb};

/// One read of one binding. The answer is the JSON of the record that [`crate::facts`] gives for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "read", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Read {
    /// [`crate::facts::cluster::Identity`].
    Identity,
    /// A list of identities, one for each node, from `/` of the node itself.
    Identities,
    /// [`crate::facts::cluster::Health`].
    Health,
    /// A list of [`crate::facts::cluster::Node`].
    Nodes,
    /// A list of [`crate::facts::cluster::Index`].
    Indices {
        /// Literal, or one trailing `*`.
        pattern: String,
    },
    /// A list of [`crate::facts::cluster::Shard`].
    Shards {
        /// Of indices.
        pattern: String,
    },
    /// A list of [`crate::facts::cluster::Alias`].
    Aliases {
        /// Of alias names.
        pattern: String,
    },
    /// A list of [`crate::facts::cluster::Template`].
    Templates {
        /// Which kind.
        kind: TemplateKind,
        /// Of template names.
        pattern: String,
    },
    /// The mapping as JSON.
    Mappings {
        /// One index.
        index: String,
    },
    /// Flat settings as JSON.
    IndexSettings {
        /// One index.
        index: String,
    },
    /// A number, after a refresh.
    Count {
        /// One index or alias.
        index: String,
        /// All documents without it.
        query: Option<Json>,
    },
    /// A list of [`crate::facts::cluster::Document`].
    Search {
        /// What to look for.
        what: Search,
    },
    /// [`crate::facts::cluster::Document`].
    Document {
        /// One index or alias.
        index: String,
        /// Its id.
        id: String,
    },
    /// A list of [`crate::facts::cluster::Task`], of all nodes.
    Tasks {
        /// Action patterns.
        actions: Vec<String>,
    },
    /// Flat settings as JSON.
    ClusterSettings {
        /// Which.
        scope: SettingScope,
    },
    /// A list of [`crate::facts::cluster::Deprecation`].
    Deprecations,
    /// [`crate::facts::cluster::RawAnswer`].
    RawRead {
        /// Begins with `/`.
        path: String,
        /// Query parameters.
        query: Vec<(String, String)>,
        /// With one it is a POST of the short list of POSTs that only read.
        body: Option<Json>,
    },
    /// A list of [`crate::facts::cluster::Activity`].
    Activity {
        /// Index names or patterns.
        indices: Vec<String>,
    },
    /// [`crate::facts::cluster::Checksum`]; long, so only in captures.
    Checksum {
        /// One index.
        index: String,
    },
    /// The repository's name in its cluster.
    RepositoryName,
    /// Node names that reach the repository; `not-found` where it is not registered.
    SnapshotVerified,
    /// A list of [`crate::facts::snapshot::Taken`], newest first.
    SnapshotList,
    /// A list of [`crate::facts::snapshot::Taken`] that run now, in any repository.
    SnapshotRunning,
    /// A list of [`crate::facts::disk::Entry`].
    Entries {
        /// Names from the binding's directory down.
        dir: Vec<String>,
    },
    /// [`crate::facts::disk::Content`].
    FileRead {
        /// Names from the binding's directory down.
        dir: Vec<String>,
        /// The file.
        name: String,
        /// First byte.
        offset: u64,
        /// At most this many bytes.
        length: u32,
    },
    /// Lower-case hexadecimal.
    FileSha256 {
        /// Names from the binding's directory down.
        dir: Vec<String>,
        /// The file.
        name: String,
    },
    /// [`crate::facts::disk::Space`].
    Space {
        /// Names from the binding's directory down.
        dir: Vec<String>,
    },
    /// [`crate::facts::service::Status`].
    ServiceStatus,
    /// A list of names.
    ServiceTasks,
    /// A list of lines.
    ServiceLog {
        /// 1 to 1,000.
        lines: u32,
    },
    /// [`crate::facts::service::Output`].
    ServiceAsk {
        /// An operator-defined command that only reads.
        name: String,
    },
    /// A list of [`crate::facts::traffic::Server`].
    TrafficServers {
        /// Of backend names: literal, or one trailing `*`.
        backend: String,
        /// This one of a literal backend; none: all.
        server: Option<String>,
    },
    /// A list of pairs: what the operator says of the service.
    ServiceLabels,
    /// [`crate::facts::service::Artifact`].
    ServiceArtifact,
    /// [`crate::facts::endpoint::Answer`].
    EndpointAnswer {
        /// Begins with `/`; beneath the binding's own path.
        path: String,
        /// Query parameters, each once.
        query: Vec<(String, String)>,
    },
    /// [`crate::facts::database::Identity`].
    DatabaseIdentity,
    /// A list of [`crate::facts::database::Table`].
    Tables {
        /// Literal, or one trailing `*`.
        pattern: String,
    },
    /// A list of [`crate::facts::database::Column`], by table and position.
    Columns {
        /// Of tables.
        pattern: String,
    },
    /// A list of [`crate::facts::database::Index`].
    TableIndexes {
        /// Of tables.
        pattern: String,
    },
    /// A list of [`crate::facts::database::Constraint`].
    Constraints {
        /// Of tables.
        pattern: String,
    },
    /// A list of [`crate::facts::database::Session`].
    Sessions,
    /// [`crate::facts::database::Rows`].
    Query {
        /// One `SELECT`.
        query: Query,
        /// Its values, in order; none is null.
        parameters: Vec<Option<String>>,
    },
    /// [`crate::facts::disk::Bytes`]: as they are, nothing is redacted.
    FileBytes {
        /// Names from the binding's directory down.
        dir: Vec<String>,
        /// The file.
        name: String,
        /// First byte.
        offset: u64,
        /// At most this many bytes.
        length: u32,
    },
}

impl Read {
    /// The verb that a grant must hold.
    pub fn verb(&self) -> Verb {
        crate::rules::verb(self.verb_text())
    }

    /// The text of [`Read::verb`], for those who only compare it.
    pub fn verb_text(&self) -> &'static str {
        match self {
            Self::Identity
            | Self::Identities
            | Self::Health
            | Self::Nodes
            | Self::Tasks { .. }
            | Self::ClusterSettings { .. }
            | Self::Deprecations => "cluster.observe",
            Self::Indices { .. }
            | Self::Shards { .. }
            | Self::Aliases { .. }
            | Self::Templates { .. }
            | Self::Mappings { .. }
            | Self::IndexSettings { .. }
            | Self::Activity { .. } => "cluster.read",
            Self::Count { .. } => "cluster.count",
            Self::Search { .. } | Self::Document { .. } | Self::Checksum { .. } => {
                "cluster.read-documents"
            }
            Self::RawRead { .. } => "cluster.raw-read",
            Self::RepositoryName
            | Self::SnapshotVerified
            | Self::SnapshotList
            | Self::SnapshotRunning => "snapshot.read",
            Self::Entries { .. }
            | Self::FileRead { .. }
            | Self::FileSha256 { .. }
            | Self::Space { .. } => "disk.read",
            Self::ServiceStatus | Self::ServiceTasks | Self::ServiceLog { .. } => "service.read",
            Self::ServiceAsk { .. } => "service.ask",
            Self::TrafficServers { .. } => "traffic.read",
            Self::ServiceLabels | Self::ServiceArtifact => "service.read",
            Self::EndpointAnswer { .. } => "endpoint.read",
            Self::DatabaseIdentity | Self::Sessions => "database.observe",
            Self::Tables { .. }
            | Self::Columns { .. }
            | Self::TableIndexes { .. }
            | Self::Constraints { .. } => "database.read",
            Self::Query { .. } => "database.query",
            Self::FileBytes { .. } => "disk.read-bytes",
        }
    }

    /// What it names, for the scope test. Empty: the verb alone decides.
    ///
    /// A query can reach into other indices (a terms lookup, an indexed shape, a stored example): those are
    /// named too. A directory's name ends in `/`; the binding's own is `./`.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let all: Result<(), Infallible> = self.try_each_name(|name| {
            names.push(name.to_owned());
            Ok(())
        });
        match all {
            Ok(()) => names,
        }
    }

    /// Shows each of [`Read::names`], in their order, until one is refused. Nothing is copied: every read is held
    /// against the grant by its names.
    pub fn try_each_name<E>(&self, mut see: impl FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Indices { pattern }
            | Self::Shards { pattern }
            | Self::Aliases { pattern }
            | Self::Templates { pattern, .. } => see(pattern),
            Self::Mappings { index }
            | Self::IndexSettings { index }
            | Self::Document { index, .. }
            | Self::Checksum { index } => see(index),
            Self::Count { index, query } => {
                see(index)?;
                each_in_query(query.as_ref(), see)
            }
            Self::Search { what } => {
                what.indices.iter().try_for_each(|index| see(index))?;
                each_in_query(Some(&what.query), see)
            }
            Self::Activity { indices } => indices.iter().try_for_each(|index| see(index)),
            Self::RawRead { path, body, .. } => {
                see(path)?;
                each_in_query(body.as_ref(), see)
            }
            Self::FileRead { dir, name, .. }
            | Self::FileSha256 { dir, name }
            | Self::FileBytes { dir, name, .. } => see(&path_of(dir, name)),
            Self::Entries { dir } | Self::Space { dir } if dir.is_empty() => see("./"),
            Self::Entries { dir } | Self::Space { dir } => see(&path_of(dir, "")),
            Self::ServiceAsk { name } => see(name),
            Self::TrafficServers { backend, server } => {
                // A name is `BACKEND/SERVER`; a pattern of backends means all servers of each.
                match (server, backend.ends_with('*')) {
                    (Some(server), _) => see(&format!("{backend}/{server}")),
                    (None, true) => see(backend),
                    (None, false) => see(&format!("{backend}/*")),
                }
            }
            Self::EndpointAnswer { path, .. } => see(path),
            Self::Tables { pattern }
            | Self::Columns { pattern }
            | Self::TableIndexes { pattern }
            | Self::Constraints { pattern } => see(pattern),
            Self::Query { query, .. } => query.tables().iter().try_for_each(|table| see(table)),
            _ => Ok(()),
        }
    }

    /// Its answer is kept by its hash alone, however short it is: what nobody redacted stands in no plan and no log.
    pub fn is_kept_by_hash(&self) -> bool {
        matches!(self, Self::FileBytes { .. })
    }

    /// Its answer is a list of named things, so names that the grant takes away are left out of the answer and
    /// a pattern may reach over them.
    pub fn is_filtered(&self) -> bool {
        matches!(
            self,
            Self::Indices { .. }
                | Self::Shards { .. }
                | Self::Aliases { .. }
                | Self::Templates { .. }
                | Self::Activity { .. }
                | Self::TrafficServers { .. }
                | Self::Tables { .. }
                | Self::Columns { .. }
                | Self::TableIndexes { .. }
                | Self::Constraints { .. }
        )
    }
}

/// Stands for a name where a query is encoded: no scope covers what nobody can read.
const ENCODED: &str = "<an encoded query>";

/// Indices that a query fetches documents from beside those it searches: every object of it that has an index and
/// says which documents of it, and every index that a looked-up field is taken from.
pub(crate) fn named_in_query(query: &Json) -> Vec<String> {
    let mut names = Vec::new();
    lookups(&query.value(), &mut names);
    names
}

fn each_in_query<E>(
    query: Option<&Json>,
    mut see: impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    match query {
        Some(query) => named_in_query(query).iter().try_for_each(|name| see(name)),
        None => Ok(()),
    }
}

/// The same in the body of an index or a template: the filters of its aliases are queries, and a looked-up field of
/// its mapping comes from another index.
pub(crate) fn named_in_body(body: &serde_json::Value, names: &mut Vec<String>) {
    for aliases in ["/aliases", "/template/aliases"] {
        if let Some(aliases) = body.pointer(aliases) {
            lookups(aliases, names);
        }
    }
    looked_up(body, names);
}

fn looked_up(body: &serde_json::Value, names: &mut Vec<String>) {
    match body {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                // A field can have that name, and is an object then.
                if key == "target_index" && !value.is_object() {
                    names.push(name_of(value));
                }
                looked_up(value, names);
            }
        }
        serde_json::Value::Array(elements) => {
            elements.iter().for_each(|value| looked_up(value, names));
        }
        _ => {}
    }
}

fn lookups(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (index, documents) in [
                ("index", &["id", "query", "path"][..]),
                ("_index", &["_id"]),
            ] {
                if let Some(index) = members.get(index)
                    && documents.iter().any(|key| members.contains_key(*key))
                {
                    names.push(name_of(index));
                }
            }
            if let Some(index) = members.get("target_index") {
                names.push(name_of(index));
            }
            if members
                .get("wrapper")
                .is_some_and(|it| it.get("query").is_some())
            {
                names.push(ENCODED.into());
            }
            members.values().for_each(|value| lookups(value, names));
        }
        serde_json::Value::Array(elements) => {
            elements.iter().for_each(|value| lookups(value, names));
        }
        _ => {}
    }
}

fn name_of(value: &serde_json::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A path beneath a binding's directory, for scopes and for people: `a/b/name`.
pub fn path_of(dir: &[String], name: &str) -> String {
    let mut path: String = dir.iter().map(|part| format!("{part}/")).collect();
    path.push_str(name);
    path
}

/// A read with the binding it goes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Where.
    pub binding: Binding,
    /// What.
    pub read: Read,
}

/// Why a read gave nothing: one case per reaction, the same as the contract's `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum ReadError {
    /// The policy said no.
    #[error("denied: {rule}; {allowed_by}")]
    Denied {
        /// The rule that refused.
        rule: String,
        /// The line of the grant that would allow it.
        allowed_by: String,
    },
    /// It is not there: a fact.
    #[error("not found: {0}")]
    NotFound(String),
    /// The target has no such function.
    #[error("the target has no such function: {0}")]
    Absent(String),
    /// The call is wrong or its answer over a bound.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No answer, or one that is no evidence. Ask again later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The target said no.
    #[error("the target refused with status {status}, `{kind}`: {text}")]
    Rejected {
        /// Its status.
        status: u16,
        /// Its name for the error.
        kind: String,
        /// Its text.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_in_their_order_until_one_is_refused() {
        let json = |text: &str| Json::new(text).unwrap();
        let count = Read::Count {
            index: "a".into(),
            query: Some(json(
                r#"{"bool":{"must":[{"terms":{"x":{"index":"b","id":"1","path":"p"}}},{"terms":{"x":{"index":"c","id":"1","path":"p"}}}]}}"#,
            )),
        };
        assert_eq!(count.names(), ["a", "b", "c"]);
        let mut seen = Vec::new();
        let ended = count.try_each_name(|name| {
            seen.push(name.to_owned());
            if name == "b" { Err("no") } else { Ok(()) }
        });
        assert_eq!((ended, seen), (Err("no"), vec!["a".into(), "b".into()]));
    }

    #[test]
    fn servers_are_named_by_backend_and_server() {
        let names = |backend: &str, server: Option<&str>| {
            Read::TrafficServers {
                backend: backend.into(),
                server: server.map(str::to_owned),
            }
            .names()
        };
        assert_eq!(names("be", None), ["be/*"]);
        assert_eq!(names("be", Some("n1")), ["be/n1"]);
        assert_eq!(names("be*", None), ["be*"]);
        assert_eq!(names("*", None), ["*"]);
    }

    #[test]
    fn a_path_is_named_from_the_binding_down() {
        let dir = vec!["conf".to_owned()];
        let read = |dir: &[String]| Read::FileSha256 {
            dir: dir.to_vec(),
            name: "a.yaml".into(),
        };
        assert_eq!(read(&dir).names(), ["conf/a.yaml"]);
        assert_eq!(read(&[]).names(), ["a.yaml"]);
        assert_eq!(Read::Entries { dir: dir.clone() }.names(), ["conf/"]);
        assert_eq!(Read::Space { dir: vec![] }.names(), ["./"]);
        let bytes = Read::FileBytes {
            dir: dir.clone(),
            name: "a.jar".into(),
            offset: 0,
            length: 1,
        };
        assert_eq!(bytes.names(), ["conf/a.jar"]);
        assert_eq!(bytes.verb_text(), "disk.read-bytes");
        assert!(bytes.is_kept_by_hash() && !read(&dir).is_kept_by_hash());
        assert!(Read::Health.names().is_empty());
    }
}

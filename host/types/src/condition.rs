//! Conditions: predicates that the host reads, before and after a step.

use serde::{Deserialize, Serialize};

use crate::endpoint::{json_with_run_id, with_run_id};
use crate::facts::cluster::TemplateKind;
use crate::facts::traffic::Administrative;
use crate::sql::Query;
use crate::{Binding, Json, Read, StepId, Verb};

/// Default patience of a condition.
///
/// Five minutes: a restart of a search node took up to 107 s in the lab on a busy machine.
pub const PATIENCE_MS_DEFAULT: u64 = 300_000;

/// What is asked of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Predicate {
    /// The index is there.
    IndexExists {
        /// Its name.
        name: String,
    },
    /// The template is there.
    TemplateExists {
        /// Its kind.
        kind: TemplateKind,
        /// Its name.
        name: String,
    },
    /// Health is at least this.
    Healthy {
        /// `yellow` or `green`.
        at_least: String,
    },
    /// So many documents match, after a refresh.
    CountIs {
        /// The index.
        index: String,
        /// All without it.
        query: Option<Json>,
        /// How many.
        count: u64,
    },
    /// The document has these members.
    DocumentContains {
        /// The index.
        index: String,
        /// Its id.
        id: String,
        /// What it must have.
        subset: Json,
    },
    /// A GET of this path is answered with success, and the answer has these members.
    AnswerContains {
        /// Begins with `/`.
        path: String,
        /// Query parameters.
        query: Vec<(String, String)>,
        /// What it must have; `{}`: that there is an answer.
        subset: Json,
    },
    /// Nothing is written: counts and sequence numbers are as they were when last looked at.
    Quiet {
        /// Index names or patterns.
        indices: Vec<String>,
    },
    /// No task of these actions runs.
    NoTask {
        /// Action patterns.
        actions: Vec<String>,
    },
    /// No snapshot runs, in any repository.
    NoneRunning,
    /// The file has this hash.
    FileHas {
        /// Names from the binding's directory down.
        dir: Vec<String>,
        /// The file.
        name: String,
        /// Hexadecimal.
        sha256: String,
    },
    /// So much is free.
    FreeAtLeast {
        /// Names from the binding's directory down.
        dir: Vec<String>,
        /// How much.
        bytes: u64,
    },
    /// The service is stopped: no process, port closed, health refused.
    Stopped,
    /// The service is ready.
    Ready,
    /// The plugin says that it holds, by its export `observe`. On [`PLUGIN_BINDING`].
    Asked {
        /// What the plugin calls it.
        name: String,
        /// What it gave with it.
        input: Json,
    },
    /// The server behind the balancer has no request, and none waits for it.
    ServerIdle {
        /// Its backend.
        backend: String,
        /// The server.
        server: String,
    },
    /// The balancer has the server in this administrative state.
    ServerInState {
        /// Its backend.
        backend: String,
        /// The server.
        server: String,
        /// The state.
        administrative: Administrative,
    },
    /// The balancer gives the server new requests.
    ServerServing {
        /// Its backend.
        backend: String,
        /// The server.
        server: String,
    },
    /// So many servers of the backend get new requests.
    ServingAtLeast {
        /// The backend.
        backend: String,
        /// How many.
        count: u32,
    },
    /// A request came to the server since the first look.
    ServerReceives {
        /// Its backend.
        backend: String,
        /// The server.
        server: String,
    },
    /// A GET of this path is answered with this status, and the answer has these members.
    Answers {
        /// Begins with `/`; beneath the binding's own path.
        path: String,
        /// Query parameters, each once.
        query: Vec<(String, String)>,
        /// The status.
        status: u16,
        /// What the answer must have; `{}`: whatever it is.
        subset: Json,
    },
    /// The table has the column.
    ColumnExists {
        /// Its table.
        table: String,
        /// Its name in the catalog.
        name: String,
    },
    /// The table has the index, complete and used.
    IndexValid {
        /// Its table.
        table: String,
        /// Its name in the catalog.
        name: String,
    },
    /// The query gives exactly these rows, in this order.
    QueryIs {
        /// One `SELECT`.
        query: Query,
        /// Its values, in order.
        parameters: Vec<Option<String>>,
        /// Text as the server writes it, or null.
        expected: Vec<Vec<Option<String>>>,
    },
    /// No client's session has a name that begins so, ours apart.
    NoSession {
        /// Of the application, as in [`crate::facts::database::Session`].
        application_prefix: String,
    },
}

/// Where a condition stands that the plugin itself is asked: no binding of a site, and no plugin is given it.
pub const PLUGIN_BINDING: &str = "plugin.self";

impl Predicate {
    /// The reads it stands on; a grant must allow each.
    pub fn reads(&self) -> Vec<Read> {
        match self {
            Self::IndexExists { name } => vec![Read::Indices {
                pattern: name.clone(),
            }],
            Self::TemplateExists { kind, name } => {
                vec![Read::Templates {
                    kind: *kind,
                    pattern: name.clone(),
                }]
            }
            Self::Healthy { .. } => vec![Read::Health],
            Self::CountIs { index, query, .. } => {
                vec![Read::Count {
                    index: index.clone(),
                    query: query.clone(),
                }]
            }
            Self::DocumentContains { index, id, .. } => {
                vec![Read::Document {
                    index: index.clone(),
                    id: id.clone(),
                }]
            }
            Self::AnswerContains { path, query, .. } => vec![Read::RawRead {
                path: path.clone(),
                query: query.clone(),
                body: None,
            }],
            Self::Quiet { indices } => vec![Read::Activity {
                indices: indices.clone(),
            }],
            Self::NoTask { actions } => vec![Read::Tasks {
                actions: actions.clone(),
            }],
            Self::NoneRunning => vec![Read::SnapshotRunning],
            Self::FileHas { dir, name, .. } => {
                vec![Read::FileSha256 {
                    dir: dir.clone(),
                    name: name.clone(),
                }]
            }
            Self::FreeAtLeast { dir, .. } => vec![Read::Space { dir: dir.clone() }],
            Self::Stopped | Self::Ready => vec![Read::ServiceStatus],
            // What the plugin reads to answer, it reads under its grant.
            Self::Asked { .. } => Vec::new(),
            Self::ServerIdle { backend, server }
            | Self::ServerInState {
                backend, server, ..
            }
            | Self::ServerServing { backend, server }
            | Self::ServerReceives { backend, server } => vec![Read::TrafficServers {
                backend: backend.clone(),
                server: Some(server.clone()),
            }],
            Self::ServingAtLeast { backend, .. } => vec![Read::TrafficServers {
                backend: backend.clone(),
                server: None,
            }],
            Self::Answers { path, query, .. } => vec![Read::EndpointAnswer {
                path: path.clone(),
                query: query.clone(),
            }],
            Self::ColumnExists { table, .. } => vec![Read::Columns {
                pattern: table.clone(),
            }],
            Self::IndexValid { table, .. } => vec![Read::TableIndexes {
                pattern: table.clone(),
            }],
            Self::QueryIs {
                query, parameters, ..
            } => vec![Read::Query {
                query: query.clone(),
                parameters: parameters.clone(),
            }],
            Self::NoSession { .. } => vec![Read::Sessions],
        }
    }

    /// As it is asked: with the run's id where [`crate::RUN_ID_PLACEHOLDER`] holds its place.
    #[must_use]
    pub fn filled(&self, run: &str) -> Self {
        match self {
            Self::Answers {
                path,
                query,
                status,
                subset,
            } => Self::Answers {
                path: with_run_id(path, run),
                query: query
                    .iter()
                    .map(|(key, value)| (key.clone(), with_run_id(value, run)))
                    .collect(),
                status: *status,
                subset: json_with_run_id(subset, run),
            },
            other => other.clone(),
        }
    }

    /// The verbs a grant must hold for it.
    pub fn verbs(&self) -> Vec<Verb> {
        self.reads().iter().map(Read::verb).collect()
    }
}

/// What happens when patience runs out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnExpiry {
    /// The step fails; nothing was sent for it.
    #[default]
    Fail,
    /// The run goes on; the report says so.
    GoOnAndReport,
    /// The run stops for a person.
    Ask,
}

/// One predicate with how long it must hold and how long it is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// For people: `Optimize is stopped`.
    pub label: String,
    /// Where.
    pub binding: Binding,
    /// What.
    pub predicate: Predicate,
    /// It must not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negated: bool,
    /// Without a break.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stable_for_ms: u64,
    /// Then `on_expiry`.
    pub patience_ms: u64,
    /// What then.
    #[serde(default)]
    pub on_expiry: OnExpiry,
}

impl Condition {
    /// The plugin itself is asked.
    pub fn is_asked(&self) -> bool {
        matches!(self.predicate, Predicate::Asked { .. })
    }
}

/// A condition over a span of steps: looked at before each of them.
///
/// Where it does not hold, the run waits for it as long as its patience says, and then does what its
/// [`Condition::on_expiry`] says: it warns, asks a person, or stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The first step that it guards.
    pub from: StepId,
    /// The last one.
    pub until: StepId,
    /// What must hold.
    pub condition: Condition,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

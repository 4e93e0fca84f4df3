//! Facts as capabilities read them: one module per capability, the same records that the contract shows to plugins.

/// Facts of a search cluster.
pub mod cluster {
    use serde::{Deserialize, Serialize};

    use crate::Json;

    /// Which family of servers.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Distribution {
        /// Elasticsearch.
        Elasticsearch,
        /// OpenSearch.
        Opensearch,
    }

    /// What `/` of a node says.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Identity {
        /// The family.
        pub distribution: Distribution,
        /// `2.19.1`.
        pub version: String,
        /// Its own name for itself.
        pub cluster_name: String,
        /// Unique, made by the cluster when it was born.
        pub cluster_uuid: String,
        /// The node that answered.
        pub node_name: String,
        /// Oldest version it talks to.
        pub minimum_wire_version: String,
        /// Oldest version whose indices it opens.
        pub minimum_index_version: String,
        /// What else is worth showing.
        pub more: Vec<(String, String)>,
    }

    /// Cluster health.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Health {
        /// `green`, `yellow`, `red`.
        pub status: String,
        /// Nodes in the cluster.
        pub nodes: u32,
        /// Shards that serve.
        pub active_shards: u32,
        /// Shards on the move.
        pub relocating_shards: u32,
        /// Shards that start.
        pub initializing_shards: u32,
        /// Shards without a node.
        pub unassigned_shards: u32,
        /// Cluster-state updates that wait.
        pub pending_tasks: u32,
        /// One line for each index that is not green.
        pub reasons: Vec<String>,
    }

    /// One node.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Node {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// The version that the node list gives.
        pub version: String,
        /// `data`, `ingest`, ...
        pub roles: Vec<String>,
        /// `host:port` for HTTP.
        pub address: String,
        /// Largest heap.
        pub heap_max_bytes: u64,
        /// Size of its data disk.
        pub disk_total_bytes: u64,
        /// Free on it.
        pub disk_free_bytes: u64,
        /// Free bytes at which no new shard comes.
        pub watermark_low_bytes: u64,
        /// Free bytes at which shards leave.
        pub watermark_high_bytes: u64,
        /// Free bytes at which indices are blocked.
        pub watermark_flood_bytes: u64,
        /// Plugins and modules.
        pub plugins: Vec<String>,
        /// What else is worth showing.
        pub more: Vec<(String, String)>,
    }

    /// One index.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Index {
        /// Its name.
        pub name: String,
        /// Its uuid.
        pub uuid: String,
        /// `index.version.created`.
        pub created_version: u64,
        /// False: closed.
        pub open: bool,
        /// Hidden from wildcards.
        pub hidden: bool,
        /// Documents that a search sees.
        pub docs: u64,
        /// Bytes with replicas.
        pub bytes: u64,
        /// Bytes of the primaries.
        pub primary_bytes: u64,
        /// Primaries.
        pub shards: u32,
        /// Replicas of each.
        pub replicas: u32,
        /// Blocks that are set.
        pub blocks: Vec<String>,
    }

    /// One shard copy.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Shard {
        /// Its index.
        pub index: String,
        /// Its number.
        pub number: u32,
        /// Or a replica.
        pub primary: bool,
        /// `STARTED`, `UNASSIGNED`, ...
        pub state: String,
        /// The node that holds it.
        pub node: Option<String>,
        /// Its size.
        pub bytes: u64,
        /// Its documents.
        pub docs: u64,
    }

    /// One alias on one index.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Alias {
        /// Its name.
        pub name: String,
        /// The index.
        pub index: String,
        /// `is_write_index`, where it is set.
        pub write: Option<bool>,
        /// What else is set on it, by the server's own words and sorted: `filter`, `index_routing`, `is_hidden`, ...
        pub more: Vec<String>,
    }

    /// The three kinds of template.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum TemplateKind {
        /// `/_template`.
        Legacy,
        /// `/_index_template`.
        Composable,
        /// `/_component_template`.
        Component,
    }

    /// One template.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Template {
        /// Its name.
        pub name: String,
        /// Its kind.
        pub kind: TemplateKind,
        /// Index patterns it applies to; empty for a component.
        pub patterns: Vec<String>,
        /// The whole of it.
        pub body: Json,
    }

    /// One stored document.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Document {
        /// Its index.
        pub index: String,
        /// Its id.
        pub id: String,
        /// For compare-and-set.
        pub seq_no: u64,
        /// For compare-and-set.
        pub primary_term: u64,
        /// Its source.
        pub source: Json,
    }

    /// A task that runs on a node.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Task {
        /// `node:number`.
        pub id: String,
        /// The node.
        pub node: String,
        /// `indices:data/write/reindex`, ...
        pub action: String,
        /// The server's own text.
        pub description: String,
        /// The token its sender gave.
        pub opaque_id: Option<String>,
        /// For how long.
        pub running_ms: u64,
        /// Indices that a reindex or a by-query task reads; empty: its description names none of this cluster.
        pub from: Vec<String>,
        /// Where a reindex writes; a by-query task writes where it reads.
        pub to: Option<String>,
    }

    /// A warning of the server's own deprecation API.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Deprecation {
        /// `critical`, `warning`, ...
        pub level: String,
        /// An index, a node, `cluster`.
        pub subject: String,
        /// Its text.
        pub message: String,
        /// All that came with it.
        pub details: Json,
    }

    /// A bounded search.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Search {
        /// Index or alias names, or patterns.
        pub indices: Vec<String>,
        /// The query.
        pub query: Json,
        /// Sort list.
        pub sort: Option<Json>,
        /// 1 to 1,000.
        pub size: u32,
        /// Where the page before ended.
        pub after: Option<Json>,
    }

    /// Which cluster settings.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum SettingScope {
        /// Kept over a restart.
        Persistent,
        /// Gone with a full restart.
        Transient,
        /// What holds where nothing is set.
        Defaults,
    }

    /// Status and text of a raw read.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct RawAnswer {
        /// HTTP status.
        pub status: u16,
        /// The body.
        pub body: String,
    }

    /// What was written lately, per index: for proving that nothing is.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Activity {
        /// The index.
        pub index: String,
        /// Documents.
        pub docs: u64,
        /// Sum of the highest sequence numbers of its primaries: every write raises it.
        pub max_seq_no: i64,
    }

    /// Count and content of one index, after a refresh.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Checksum {
        /// The index.
        pub index: String,
        /// Documents.
        pub docs: u64,
        /// Sum modulo 2^256 of the SHA-256 of each id: no order is needed, so nothing is sorted.
        pub ids: String,
        /// Sum modulo 2^256 of the SHA-256 of each id with its source.
        pub content: String,
    }
}

/// Facts of a snapshot repository.
pub mod snapshot {
    use serde::{Deserialize, Serialize};

    use crate::Json;

    /// One snapshot.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Taken {
        /// Its name.
        pub name: String,
        /// Its uuid.
        pub uuid: String,
        /// `SUCCESS`, `PARTIAL`, `FAILED`, `IN_PROGRESS`.
        pub state: String,
        /// When it was begun.
        pub started_ms: u64,
        /// What is in it.
        pub indices: Vec<String>,
        /// Templates and settings are in it.
        pub global_state: bool,
        /// Shards that failed.
        pub failures: Vec<String>,
        /// The version that wrote it, as the server says it.
        pub version: String,
        /// What its taker put beside it.
        pub metadata: Json,
    }
}

/// Facts of a directory.
pub mod disk {
    use serde::{Deserialize, Serialize};

    /// What an entry is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum EntryKind {
        /// A regular file.
        File,
        /// A directory.
        Directory,
        /// A symbolic link.
        Link,
        /// Anything else.
        Other,
    }

    /// One entry of a directory.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Entry {
        /// Its name.
        pub name: String,
        /// What it is.
        pub kind: EntryKind,
        /// Its size.
        pub bytes: u64,
        /// When it changed last.
        pub modified_ms: u64,
    }

    /// The file system beneath.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Space {
        /// Its size.
        pub total_bytes: u64,
        /// Free for us.
        pub free_bytes: u64,
    }

    /// A part of a file, redacted.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Content {
        /// The bytes as text; bytes that are no UTF-8 are replaced.
        pub text: String,
    }

    /// A part of a file as it is.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Bytes {
        /// Hexadecimal, lower case: an answer is JSON, which holds no bytes.
        hex: String,
    }

    impl Bytes {
        /// Of these bytes.
        pub fn of(bytes: &[u8]) -> Self {
            Self {
                hex: crate::hex(bytes),
            }
        }

        /// The bytes; none where the text is no hexadecimal.
        pub fn bytes(&self) -> Option<Vec<u8>> {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let (pairs, rest) = self.hex.as_bytes().as_chunks::<2>();
            if !rest.is_empty() {
                return None;
            }
            pairs
                .iter()
                .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
                .collect()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::Bytes;

        #[test]
        fn bytes_come_back_as_they_were() {
            let all: Vec<u8> = (0..=255).collect();
            assert_eq!(Bytes::of(&all).bytes(), Some(all));
            assert_eq!(Bytes::of(&[]).bytes(), Some(vec![]));
            for hex in ["a", "0g", "ä0", "+1"] {
                assert_eq!(Bytes { hex: hex.into() }.bytes(), None, "{hex}");
            }
        }
    }
}

/// Facts of a service.
pub mod service {
    use serde::{Deserialize, Serialize};

    /// What it does now.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", tag = "is", content = "why")]
    pub enum State {
        /// No process, port closed, health refused.
        Stopped,
        /// Within its start time.
        Starting,
        /// Ready by its own check.
        Ready,
        /// A process, but not ready.
        RunningNotReady(String),
        /// The signs contradict each other.
        Unknown(String),
    }

    /// Its state and processes.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Status {
        /// What it does now.
        pub state: State,
        /// Its processes.
        pub pids: Vec<u32>,
        /// Since when.
        pub since_ms: Option<u64>,
    }

    /// What a command said.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Output {
        /// Exit code; a signal is 128 and its number.
        pub exit_code: i32,
        /// At most 64 KiB, redacted.
        pub stdout: String,
        /// At most 64 KiB, redacted.
        pub stderr: String,
    }

    /// What a service runs.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Artifact {
        /// The directory that the link names; none: there is no link yet.
        pub current: Option<String>,
        /// Directories that it can name, in order, at most 1,000.
        pub available: Vec<String>,
    }
}

/// Facts of a product's own API.
pub mod endpoint {
    use serde::{Deserialize, Serialize};

    /// What it answered, whatever the status: a status is a fact.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Answer {
        /// Its status.
        pub status: u16,
        /// Its content type as it was said; empty: none was.
        pub content_type: String,
        /// At most 4 MiB; bytes that are no UTF-8 are replaced.
        pub body: String,
    }
}

/// Facts of a load balancer.
pub mod traffic {
    use serde::{Deserialize, Serialize};

    /// What somebody asked for a server, whatever its checks say. Ordered by how much is taken from it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Administrative {
        /// It gets requests while its checks pass.
        Ready,
        /// It gets no new request but those of clients that are bound to it; checks go on.
        Drain,
        /// It gets no request and no check; what it works on comes to its end.
        Maintenance,
    }

    impl Administrative {
        /// As the contract and the screens write it.
        pub fn as_str(self) -> &'static str {
            match self {
                Self::Ready => "ready",
                Self::Drain => "drain",
                Self::Maintenance => "maintenance",
            }
        }
    }

    /// One server of a backend.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Server {
        /// The backend it belongs to.
        pub backend: String,
        /// Its name there.
        pub name: String,
        /// `host:port`.
        pub address: String,
        /// What somebody asked for it.
        pub administrative: Administrative,
        /// It passes its checks, or has none.
        pub up: bool,
        /// It gets new requests: up, ready, of a weight above 0, and no spare that waits.
        pub serving: bool,
        /// Requests that it works on; none: the balancer does not count them.
        pub current: Option<u64>,
        /// Requests that wait for it.
        pub queued: Option<u64>,
        /// Requests that it got since the balancer's start or reload.
        pub total: Option<u64>,
        /// Its share beside the others.
        pub weight: u32,
        /// The backend keeps clients at a server, by a cookie, a table or a hash.
        pub sticky: bool,
        /// What else is worth showing.
        pub more: Vec<(String, String)>,
    }
}

/// Facts of a relational database.
pub mod database {
    use serde::{Deserialize, Serialize};

    /// Which server.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Product {
        /// PostgreSQL.
        Postgresql,
        /// MariaDB.
        Mariadb,
        /// MySQL.
        Mysql,
    }

    /// Who answers, and as whom we ask.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Identity {
        /// Which server.
        pub product: Product,
        /// `15.18`, `10.11.19`.
        pub version: String,
        /// Unique: PostgreSQL's system identifier, the server uid or uuid of the others.
        pub server: String,
        /// The database.
        pub database: String,
        /// The schema; on MySQL and MariaDB the database itself.
        pub schema: String,
        /// Our role.
        pub user: String,
        /// `read-committed`: what a session gets that says nothing.
        pub isolation: String,
        /// It takes no changes: a standby, or set so.
        pub read_only: bool,
        /// What else is worth showing.
        pub more: Vec<(String, String)>,
    }

    /// One table.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Table {
        /// Its name in the catalog.
        pub name: String,
        /// As the server's statistics have it; 0 where it has none yet.
        pub rows_estimate: u64,
        /// Without its indexes.
        pub bytes: u64,
        /// Its indexes.
        pub index_bytes: u64,
        /// Our role may alter it.
        pub alterable: bool,
    }

    /// One column.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Column {
        /// Its table.
        pub table: String,
        /// Its name in the catalog.
        pub name: String,
        /// In the catalog's words: `character varying(64)`, `datetime(3)`; whole numbers without a display width.
        pub kind: String,
        /// It may be null.
        pub nullable: bool,
        /// As the catalog shows it.
        pub default: Option<String>,
    }

    /// One index.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Index {
        /// Its table.
        pub table: String,
        /// Its name in the catalog.
        pub name: String,
        /// In order; an expression as the catalog shows it.
        pub columns: Vec<String>,
        /// No two rows alike.
        pub unique: bool,
        /// It is the primary key's.
        pub primary: bool,
        /// Complete and used by queries; false: a concurrent build that failed, or goes on.
        pub valid: bool,
        /// Of some rows only.
        pub partial: bool,
    }

    /// One constraint.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Constraint {
        /// Its table.
        pub table: String,
        /// Its name in the catalog.
        pub name: String,
        /// `primary-key`, `foreign-key`, `unique`, `check`.
        pub kind: String,
        /// Of the table, in order.
        pub columns: Vec<String>,
        /// The other table of a foreign key.
        pub references: Option<String>,
        /// The columns there, in order.
        pub referred: Vec<String>,
    }

    /// One connection of a client.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Session {
        /// The server's number for it.
        pub id: u64,
        /// Its role.
        pub user: String,
        /// What it calls itself. MySQL and MariaDB keep no such name: there it is the role.
        pub application: String,
        /// Where it comes from.
        pub address: String,
        /// What tells it from a later one of this number: when it began, microseconds since 1970; on MySQL and
        /// MariaDB, which show no such instant, address and port of its client. Empty: our role may not see it.
        pub started: String,
        /// `active`, `idle`, `idle in transaction`, ...
        pub state: String,
        /// Since when its transaction is open.
        pub transaction_ms: Option<u64>,
        /// How long its statement runs.
        pub statement_ms: Option<u64>,
        /// What it waits for.
        pub waits_for: Option<String>,
        /// Who it waits for.
        pub blocked_by: Vec<u64>,
        /// It is one of this or another run of Liftlock.
        pub ours: bool,
    }

    /// What a query gave.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Rows {
        /// Names, in order.
        pub columns: Vec<String>,
        /// Each as many values as there are columns: text as the server writes it, or null.
        pub rows: Vec<Vec<Option<String>>>,
    }
}

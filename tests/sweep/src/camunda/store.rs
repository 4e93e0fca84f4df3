//! The database of a site: a real one with the vendor's schema, put back for each position and looked at by the
//! server's own client.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use liftlock_lab::DatabaseAddress;
use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::Session;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::schema;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// The id of the installation, which every engine on the database tells.
pub const INSTALLATION: &str = "11111111-2222-3333-4444-555555555555";

/// The row of the log that the script writes.
const LOG_ROW: &str = "1100";

/// What the script to 7.22 adds: tables and columns. Its index goes with its column.
const ADDED: [(&str, &str); 5] = [
    ("ACT_RU_TASK", "TASK_STATE_"),
    ("ACT_HI_TASKINST", "TASK_STATE_"),
    ("ACT_RU_JOB", "BATCH_ID_"),
    ("ACT_HI_JOB_LOG", "BATCH_ID_"),
    ("ACT_HI_PROCINST", "RESTARTED_PROC_INST_ID_"),
];

/// Its index.
const ADDED_INDEX: (&str, &str) = ("ACT_HI_PROCINST", "ACT_IDX_HI_PRO_RST_PRO_INST_ID");

/// How often columns are added and dropped before a database is made anew: PostgreSQL keeps a place for every column
/// that ever was, 1600 in a table at the most, and looks at all of them.
pub const ROUNDS_MAX: u32 = 400;

const PG_SEEN: &str = "\
    select 'column', lower(c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)) \
    from pg_attribute a join pg_class c on c.oid = a.attrelid \
    where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped \
    union all select 'index', lower(i.relname) from pg_index x join pg_class i on i.oid = x.indexrelid \
    where i.relnamespace = current_schema()::regnamespace and x.indisvalid \
    union all select 'log', id_ from act_ge_schema_log \
    union all select 'instance', business_key_ from act_hi_procinst where business_key_ is not null";

const MY_SEEN: &str = "\
    select 'column', lower(concat(TABLE_NAME, '.', COLUMN_NAME, ' ', COLUMN_TYPE)) from information_schema.COLUMNS \
    where TABLE_SCHEMA = database() \
    union all select distinct 'index', lower(if(INDEX_NAME = 'PRIMARY', concat(TABLE_NAME, '.primary'), INDEX_NAME)) \
    from information_schema.STATISTICS where TABLE_SCHEMA = database() \
    union all select 'log', ID_ from ACT_GE_SCHEMA_LOG \
    union all select 'instance', BUSINESS_KEY_ from ACT_HI_PROCINST where BUSINESS_KEY_ is not null";

const PG_OTHERS: &str = "select pid from pg_stat_activity \
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";

const MY_OTHERS: &str = "select ID from information_schema.PROCESSLIST \
    where DB = database() and ID <> connection_id()";

const PG_WAITING: &str = "select count(*) from pg_stat_activity \
    where datname = current_database() and wait_event_type = 'Lock'";

const MY_WAITING: &str = "select count(*) from information_schema.PROCESSLIST \
    where DB = database() and STATE like 'Waiting for table%'";

const PG_ASLEEP: &str = "select count(*) from pg_stat_activity \
    where datname = current_database() and wait_event = 'PgSleep'";

const MY_ASLEEP: &str = "select count(*) from information_schema.PROCESSLIST \
    where DB = database() and STATE = 'User sleep'";

/// One database server, on which each field has a database.
pub struct Server {
    runtime: Runtime,
    server: Option<DatabaseServer>,
    databases: AtomicU64,
    // Last: the server's files.
    _folder: TempDir,
}

impl Server {
    /// Starts one of this sort.
    pub fn start(kind: DatabaseKind) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let folder = tempfile::tempdir().context("no folder for a database")?;
        let server =
            runtime.block_on(DatabaseServer::start(kind, folder.path().join("database")))?;
        Ok(Self {
            runtime,
            server: Some(server),
            databases: AtomicU64::new(0),
            _folder: folder,
        })
    }

    /// A database with the schema of this version.
    pub fn database(&self, version: EngineVersion) -> anyhow::Result<Store> {
        let number = self.databases.fetch_add(1, Ordering::SeqCst) + 1;
        let server = self.server.as_ref().context("the database has ended")?;
        let store = Store {
            address: server.address().clone(),
            database: format!("sweep_{number}"),
            version,
            runtime: self.runtime.handle().clone(),
            session: Arc::default(),
            instances: Arc::default(),
        };
        store.wait(async |store| store.make().await)?;
        Ok(store)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

/// What is to be seen of a database: columns, indexes, rows of the log, and how many instances of each key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// `act_ru_task.task_state_ character varying(64)`.
    pub columns: BTreeSet<String>,
    /// Names.
    pub indexes: BTreeSet<String>,
    /// Ids.
    pub log: BTreeSet<String>,
    /// By business key.
    pub instances: BTreeMap<String, usize>,
}

impl Seen {
    /// A column of this name is there.
    pub fn has_column(&self, table: &str, name: &str) -> bool {
        let wanted = format!("{table}.{name} ").to_lowercase();
        self.columns
            .iter()
            .any(|column| column.starts_with(&wanted))
    }

    /// Tables of Liquibase are not among it, tables of ours are.
    pub fn own_tables(&self) -> BTreeSet<&str> {
        let tables = self.columns.iter().filter_map(|it| it.split('.').next());
        tables
            .filter(|table| table.starts_with("liftlock_"))
            .collect()
    }
}

/// One database. Clones are the same.
#[derive(Clone)]
pub struct Store {
    address: DatabaseAddress,
    database: String,
    version: EngineVersion,
    runtime: tokio::runtime::Handle,
    session: Arc<Mutex<Option<Session>>>,
    instances: Arc<AtomicU64>,
}

impl Store {
    /// How to reach the server.
    pub fn address(&self) -> &DatabaseAddress {
        &self.address
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.database
    }

    /// Waits for work of the server's runtime, also on a thread that has one of its own.
    fn wait<T: Send>(
        &self,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| self.runtime.block_on(work(self)));
            waits
                .join()
                .map_err(|_| anyhow!("a look at the database panicked"))?
        })
    }

    async fn run(&self, sql: &str) -> anyhow::Result<String> {
        let mut kept = self.session.lock().await;
        let mut session = match kept.take() {
            Some(session) => session,
            None => self.address.session(&self.database)?,
        };
        // One that failed has ended.
        let answer = session.sql(sql).await?;
        *kept = Some(session);
        Ok(answer)
    }

    /// Runs SQL as the owner, as somebody else would.
    pub fn ask(&self, sql: &str) -> anyhow::Result<String> {
        self.wait(async |store| store.run(sql).await)
    }

    /// Runs SQL that takes long, in a session of its own, on the server's runtime.
    pub fn begin(&self, sql: String) {
        let store = self.clone();
        // It ends when its session is ended.
        self.runtime
            .spawn(async move { store.address.sql(&store.database, &sql).await.ok() });
    }

    fn is_postgresql(&self) -> bool {
        self.address.kind() == DatabaseKind::PostgreSql
    }

    async fn make(&self) -> anyhow::Result<()> {
        self.address.create(&self.database).await?;
        schema::create(&self.address, &self.database, self.version).await?;
        self.run(&format!(
            "insert into ACT_GE_PROPERTY values ('camunda.installation.id', '{INSTALLATION}', 1)"
        ))
        .await?;
        Ok(())
    }

    /// All that is to be seen.
    pub fn seen(&self) -> anyhow::Result<Seen> {
        let sql = if self.is_postgresql() {
            PG_SEEN
        } else {
            MY_SEEN
        };
        let text = self.ask(sql)?;
        let mut seen = Seen::default();
        for line in text.lines() {
            let (what, value) = line.split_once('\t').unwrap_or((line, ""));
            let value = value.to_owned();
            match what {
                "column" => drop(seen.columns.insert(value)),
                "index" => drop(seen.indexes.insert(value)),
                "log" => drop(seen.log.insert(value)),
                "instance" => *seen.instances.entry(value).or_default() += 1,
                _ => bail!("the database answered: {line}"),
            }
        }
        Ok(seen)
    }

    /// How many sessions wait for a lock.
    pub fn waiting(&self) -> anyhow::Result<usize> {
        let sql = if self.is_postgresql() {
            PG_WAITING
        } else {
            MY_WAITING
        };
        self.ask(sql)?.trim().parse().context("a count")
    }

    /// A session sleeps, with all that it holds.
    pub fn is_asleep(&self) -> anyhow::Result<bool> {
        let sql = if self.is_postgresql() {
            PG_ASLEEP
        } else {
            MY_ASLEEP
        };
        Ok(self.ask(sql)?.trim() != "0")
    }

    /// The sessions beside the one that asks, by the server's numbers.
    pub fn others(&self) -> anyhow::Result<Vec<u64>> {
        let sql = if self.is_postgresql() {
            PG_OTHERS
        } else {
            MY_OTHERS
        };
        let text = self.ask(sql)?;
        text.lines()
            .map(|line| line.trim().parse().context("a session's number"))
            .collect()
    }

    /// Ends a session, whatever it does; one that is gone is ended.
    pub fn end(&self, session: u64) {
        let sql = if self.is_postgresql() {
            format!("select pg_terminate_backend({session}, 5000)")
        } else {
            format!("kill {session}")
        };
        // MariaDB says so where there is none of that number.
        let _ = self.ask(&sql);
    }

    /// As it was when it was made. Statements of dead clients are ended first.
    pub fn reset(&self) -> anyhow::Result<()> {
        for session in self.others()? {
            self.end(session);
        }
        // MariaDB keeps a place for a dropped column in each row too, until the table is written anew: after 80 rounds a
        // row is too large.
        let anew = if self.is_postgresql() {
            ""
        } else {
            ", algorithm=copy"
        };
        let mut sql = String::new();
        for (table, column) in ADDED {
            sql.push_str(&format!(
                "alter table {table} drop column if exists {column}{anew};\n"
            ));
        }
        let (table, index) = ADDED_INDEX;
        if !self.is_postgresql() {
            sql = format!("drop index if exists {index} on {table};\n{sql}");
        }
        sql.push_str(&format!(
            "delete from ACT_GE_SCHEMA_LOG where ID_ = '{LOG_ROW}';\n\
             delete from ACT_HI_PROCINST;\n\
             drop table if exists liftlock_claim;\ndrop table if exists liftlock_marker;\n"
        ));
        self.ask(&sql).map(drop)
    }

    /// Its tables anew; the database itself stays the one it is.
    pub fn renew(&self) -> anyhow::Result<()> {
        if !self.is_postgresql() {
            return Ok(());
        }
        self.ask("drop owned by owner cascade; create schema if not exists public")?;
        self.wait(async |store| {
            schema::create(&store.address, &store.database, store.version).await?;
            store
                .run(&format!(
                    "insert into ACT_GE_PROPERTY values ('camunda.installation.id', '{INSTALLATION}', 1)"
                ))
                .await
                .map(drop)
        })
    }

    /// What an engine counts of its jobs.
    pub async fn count_jobs(&self) -> anyhow::Result<u64> {
        self.count("select count(*) from ACT_RU_JOB").await
    }

    /// How many instances with this key have ended.
    pub async fn count_instances(&self, key: &str) -> anyhow::Result<u64> {
        let key = plain(key)?;
        self.count(&format!(
            "select count(*) from ACT_HI_PROCINST where BUSINESS_KEY_ = '{key}' and END_TIME_ is not null"
        ))
        .await
    }

    async fn count(&self, sql: &str) -> anyhow::Result<u64> {
        self.run(sql).await?.trim().parse().context("a count")
    }

    /// What an engine of this version writes when an instance starts and ends: every column that it knows.
    pub async fn complete_instance(&self, key: &str, version: &str) -> anyhow::Result<String> {
        let key = plain(key)?;
        let number = self.instances.fetch_add(1, Ordering::SeqCst);
        let id = format!("instance-{number}");
        let (columns, values) = if version == EngineVersion::V7_21.name() {
            ("", "")
        } else {
            (", RESTARTED_PROC_INST_ID_", ", null")
        };
        self.run(&format!(
            "insert into ACT_HI_PROCINST \
             (ID_, PROC_INST_ID_, BUSINESS_KEY_, PROC_DEF_ID_, START_TIME_, END_TIME_, STATE_{columns}) \
             values ('{id}', '{id}', '{key}', 'canary:1:1', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 'COMPLETED'{values})"
        ))
        .await?;
        Ok(id)
    }
}

/// Keys go into SQL as they are.
fn plain(key: &str) -> anyhow::Result<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if key.chars().all(is_plain) {
        Ok(key)
    } else {
        Err(anyhow!("`{key}` is no key"))
    }
}

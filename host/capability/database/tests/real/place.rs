//! One server of each kind for all tests of this binary, a database of its own for each test.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use liftlock_database::{Database, DatabaseConfig, DatabaseKind as Kind, Tls};
use liftlock_lab::{DatabaseAddress, DatabaseKind, DatabaseServer, LabError, Login};
use liftlock_types::sql::{Dialect, LockPatience, Statement, Together};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Facts, Observed, Probed, ReadError, RunId, StepId,
};
use serde_json::Value;

/// Longest wait for anything that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a database that nobody else uses.
pub(crate) struct Place {
    pub(crate) server: DatabaseServer,
    pub(crate) name: String,
}

static NEXT: AtomicUsize = AtomicUsize::new(1);

/// At most so many servers at once: they share two cores.
fn turn() -> &'static tokio::sync::Semaphore {
    static TURN: OnceLock<tokio::sync::Semaphore> = OnceLock::new();
    TURN.get_or_init(|| tokio::sync::Semaphore::new(3))
}

/// Runs a test on a server of its own.
pub(crate) async fn on<F: AsyncFnOnce(&Place)>(kind: DatabaseKind, test: F) {
    let dir = tempfile::tempdir().unwrap();
    let server = DatabaseServer::start(kind, dir.path());
    within(server, test).await;
}

/// The same on one that speaks TLS.
pub(crate) async fn on_tls<F: AsyncFnOnce(&Place)>(kind: DatabaseKind, test: F) {
    let dir = tempfile::tempdir().unwrap();
    let server = DatabaseServer::start_with_tls(kind, dir.path());
    within(server, test).await;
}

/// The same on a Galera cluster of one server.
pub(crate) async fn on_galera<F: AsyncFnOnce(&Place)>(test: F) {
    let dir = tempfile::tempdir().unwrap();
    let server = DatabaseServer::start_galera(dir.path());
    within(server, test).await;
}

async fn within<F: AsyncFnOnce(&Place)>(
    server: impl Future<Output = Result<DatabaseServer, LabError>>,
    test: F,
) {
    let _turn = turn().acquire().await.unwrap();
    let server = server.await.unwrap();
    let name = format!("db{}", NEXT.fetch_add(1, Ordering::Relaxed));
    server.address().create(&name).await.unwrap();
    let place = Place { server, name };
    test(&place).await;
    place.server.stop().await;
}

impl Place {
    pub(crate) fn address(&self) -> &DatabaseAddress {
        self.server.address()
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.server.kind() {
            DatabaseKind::PostgreSql => Dialect::Postgresql,
            DatabaseKind::MariaDb => Dialect::Mysql,
        }
    }

    pub(crate) fn is_postgresql(&self) -> bool {
        self.dialect() == Dialect::Postgresql
    }

    pub(crate) fn config(&self, login: Login) -> DatabaseConfig {
        DatabaseConfig {
            kind: match self.server.kind() {
                DatabaseKind::PostgreSql => Kind::Postgresql,
                kind if kind.is_mysql() => Kind::Mysql,
                DatabaseKind::MariaDb => Kind::Mariadb,
            },
            host: "127.0.0.1".into(),
            port: Some(self.address().port()),
            database: self.name.clone(),
            schema: None,
            user: login.user().into(),
            password: None,
            tls: Tls::Off,
            ca: None,
            read_ms: 10_000,
        }
    }

    /// The capability as its owner.
    pub(crate) fn open(&self) -> Database {
        self.open_as(Login::Owner)
    }

    pub(crate) fn open_as(&self, login: Login) -> Database {
        self.open_with(self.config(login), self.address().password(login).reveal())
    }

    pub(crate) fn open_with(&self, config: DatabaseConfig, password: &str) -> Database {
        let binding = Binding::new("database.engine").unwrap();
        Database::open(binding, config, Some(password.to_owned().into())).unwrap()
    }

    /// SQL by the package's own client.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        self.address().sql(&self.name, sql).await.unwrap()
    }

    pub(crate) fn statement(&self, text: &str) -> Statement {
        Statement::parse(self.dialect(), text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub(crate) fn execute(&self, text: &str) -> Change {
        self.execute_within(text, 3_000, 10)
    }

    pub(crate) fn execute_within(&self, text: &str, ms: u32, attempts: u32) -> Change {
        Change::Execute {
            statement: self.statement(text),
            waits: LockPatience::new(Some(ms), Some(attempts)).unwrap(),
        }
    }

    pub(crate) fn together(&self, texts: &[&str]) -> Change {
        let statements = texts.iter().map(|text| self.statement(text)).collect();
        Change::ExecuteTogether {
            statements: Together::new(statements).unwrap(),
            waits: LockPatience::default(),
        }
    }

    /// A client that holds a table's rows and definition for as long as it lives; it holds them when this returns.
    pub(crate) async fn hold(&self, table: &str) -> Holder {
        let password = self.address().password(Login::Owner);
        let port = self.address().port().to_string();
        let mut command;
        let sql;
        if self.is_postgresql() {
            command = std::process::Command::new("psql");
            command
                .args([
                    "-X",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    &port,
                    "-U",
                    "owner",
                    "-d",
                    &self.name,
                ])
                .env("PGPASSWORD", password.reveal())
                .env("PGAPPNAME", "holder");
            sql = format!("begin; lock table {table} in access exclusive mode;\n");
        } else {
            command = std::process::Command::new("mariadb");
            command
                .args([
                    "--no-defaults",
                    "-h",
                    "127.0.0.1",
                    "-P",
                    &port,
                    "-u",
                    "owner",
                    &self.name,
                ])
                .env("MYSQL_PWD", password.reveal());
            sql = format!("lock tables {table} write;\n");
        }
        let holder = Holder::start(command, &sql);
        let timeout = if self.is_postgresql() {
            "lock_timeout = 50"
        } else {
            "lock_wait_timeout = 1"
        };
        let look = format!("set {timeout}; select count(*) from {table}");
        until("the lock", async || {
            self.address().sql(&self.name, &look).await.is_err()
        })
        .await;
        holder
    }
}

/// A client with its input open.
pub(crate) struct Holder {
    child: std::process::Child,
}

impl Holder {
    pub(crate) fn start(mut command: std::process::Command, sql: &str) -> Self {
        use std::io::Write as _;
        use std::process::Stdio;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(sql.as_bytes()).unwrap();
        stdin.flush().unwrap();
        child.stdin = Some(stdin);
        Self { child }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its input ends, and so does it.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until it holds.
pub(crate) async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !look().await {
        assert!(Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn attempt(name: &str, number: u32) -> Attempt {
    Attempt {
        run: RunId::new("run-1").unwrap(),
        step: StepId::new("step").unwrap(),
        number,
        token: format!("liftlock-run-1-{name}-{number}"),
        intent_at_ms: 0,
        kept: Value::Null,
        facts: Facts::new(),
        answer: None,
        referred: None,
        made_by_run: BTreeMap::new(),
    }
}

/// Observed, sent and read back, as the gate does it.
pub(crate) async fn done(on: &Database, change: &Change, name: &str) -> Probed {
    let mut attempt = attempt(name, 1);
    assert!(!observed(on, change).await.already_true, "{change:?}");
    match on.act(change, &attempt).await {
        Acted::Answered(answer) => attempt.answer = Some(answer),
        other => panic!("{change:?}: {other:?}"),
    }
    // MariaDB shows a statement for a moment after its answer.
    let mut probed = on.probe(change, &attempt).await.unwrap();
    until("the end of our session", async || {
        probed = on.probe(change, &attempt).await.unwrap();
        !matches!(probed, Probed::InProgress(_))
    })
    .await;
    assert_eq!(
        on.clean_up(change, &attempt).await.unwrap(),
        Vec::<String>::new()
    );
    probed
}

pub(crate) async fn observed(on: &Database, change: &Change) -> Observed {
    on.observe(change, &attempt("look", 1))
        .await
        .unwrap_or_else(|error| panic!("{change:?}: {error}"))
}

pub(crate) async fn refused(on: &Database, change: &Change) -> ReadError {
    on.observe(change, &attempt("look", 1)).await.unwrap_err()
}

pub(crate) fn is_applied_ours(probed: &Probed) -> bool {
    matches!(probed, Probed::Applied { ours: true, .. })
}

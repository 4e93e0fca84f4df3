//! A real PostgreSQL or MariaDB on loopback, of the distribution's packages, started by hand.
//!
//! The server has a folder of its own, a picked port, TCP only, and passwords for everybody. Three
//! people can log in: see [`Login`]. Nothing is synced to disk: a crash of the server's processes loses
//! no commit, one of the machine would.
//!
//! It is spoken to with the packages' own clients, so that what is tested never tests itself.

pub mod catalog;
mod mariadb;
mod mysql;
mod postgresql;
mod session;

use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

pub use self::session::Session;

use crate::cache;
use crate::error::IoContext;
use crate::error::LabError;
use crate::files::write_private;
use crate::http::Secret;
use crate::java::on_path;
use crate::launch;
use crate::launch::Launch;
use crate::launch::Lifetime;
use crate::process::LOOK_AGAIN;
use crate::process::ProcessId;
use crate::running::Running;
use crate::running::StopBy;
use crate::running::log_file;
use crate::tls;
use crate::user;

/// Longest start. Half a second on a quiet machine; a recovery after a crash takes a few.
const START_SECONDS_MAX: u64 = 60;

/// Time to end before SIGKILL. 0.2 s were seen.
const STOP_SECONDS_MAX: u64 = 20;

/// Time for a client's connection to give back the port of a server that starts again.
const PORT_PATIENCE: Duration = Duration::from_secs(1);

/// Longest run of one text of SQL. A schema of 327 statements takes 1 to 7 s on a busy machine.
const SQL_SECONDS_MAX: u64 = 120;

/// Most characters of a database's name; both servers take 63.
const NAME_CHARACTERS_MAX: usize = 63;

/// The file with the three passwords, in the server's folder.
const PASSWORDS: &str = "passwords.json";

/// Which database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// PostgreSQL, logins by SCRAM.
    PostgreSql,
    /// MariaDB, READ COMMITTED, logins by its native password; or a MySQL: see [`DatabaseKind::is_mysql`].
    MariaDb,
}

impl DatabaseKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::PostgreSql, Self::MariaDb];

    /// A person has named a MySQL to be used in MariaDB's place, by `LIFTLOCK_LAB_MYSQLD`.
    pub fn is_mysql(self) -> bool {
        self == Self::MariaDb && mysql::program().is_some()
    }

    /// The name used on a command line and in state files.
    pub fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgresql",
            Self::MariaDb => "mariadb",
        }
    }
}

impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DatabaseKind {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join("`, `");
                LabError::malformed(
                    format!("database `{text}`"),
                    format!("expected one of `{names}`"),
                )
            })
    }
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// May do everything with the server: `admin`.
    Admin,
    /// Owns the databases that are made here: `owner`.
    Owner,
    /// Reads and writes rows of every database, owns nothing and so cannot alter a table: `guest`.
    Guest,
}

impl Login {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Owner, Self::Guest];

    /// The name to log in with.
    pub fn user(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Guest => "guest",
        }
    }
}

/// The passwords of one server; a copy of its folder has the same.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    admin: String,
    owner: String,
    guest: String,
}

impl Passwords {
    fn make() -> Self {
        let one = || Uuid::new_v4().simple().to_string();
        Self {
            admin: one(),
            owner: one(),
            guest: one(),
        }
    }

    fn read(dir: &Path) -> Result<Self, LabError> {
        let file = passwords_file(dir);
        let text = fs::read_to_string(&file).doing("read", &file)?;
        serde_json::from_str(&text).map_err(|error| {
            LabError::malformed(format!("`{}`", file.display()), error.to_string())
        })
    }

    fn of(&self, login: Login) -> &str {
        match login {
            Login::Admin => &self.admin,
            Login::Owner => &self.owner,
            Login::Guest => &self.guest,
        }
    }
}

/// How to reach one database server: what a client needs, without the server's process.
#[derive(Clone)]
pub struct DatabaseAddress {
    kind: DatabaseKind,
    port: u16,
    passwords: Passwords,
}

impl fmt::Debug for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at 127.0.0.1:{}", self.kind, self.port)
    }
}

impl DatabaseAddress {
    /// Which server.
    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of one of the three.
    pub fn password(&self, login: Login) -> Secret {
        Secret::new(self.passwords.of(login))
    }

    /// The file of a program of the server's packages: `pg_dump`, `mariadb-dump`.
    pub fn tool(&self, name: &str) -> Result<PathBuf, LabError> {
        match self.kind {
            DatabaseKind::PostgreSql => postgresql::tool(name),
            DatabaseKind::MariaDb => mariadb::tool_file(name),
        }
    }

    /// Runs SQL in a database as its owner; stops at the first error.
    ///
    /// Answers rows as lines with a tab between values. Statements before the one that failed have
    /// taken effect, unless the text makes a transaction of them.
    pub async fn sql(&self, database: &str, sql: &str) -> Result<String, LabError> {
        self.sql_as(Login::Owner, database, sql).await
    }

    /// The same as somebody else.
    pub async fn sql_as(
        &self,
        login: Login,
        database: &str,
        sql: &str,
    ) -> Result<String, LabError> {
        let password = self.password(login);
        self.sql_with(login.user(), &password, database, sql).await
    }

    /// The same with a password of one's own, which may be wrong.
    pub async fn sql_with(
        &self,
        user: &str,
        password: &Secret,
        database: &str,
        sql: &str,
    ) -> Result<String, LabError> {
        feed(self.client(user, password, database)?, sql).await
    }

    /// A client that stops at the first error.
    fn client(&self, user: &str, password: &Secret, database: &str) -> Result<Client, LabError> {
        match self.kind {
            DatabaseKind::PostgreSql => postgresql::client(self.port, user, password, database),
            DatabaseKind::MariaDb => mariadb::client(self.port, user, password, database),
        }
    }

    /// Makes an empty database that [`Login::Owner`] owns; an error if there is one of that name.
    pub async fn create(&self, name: &str) -> Result<(), LabError> {
        check_name(name)?;
        let sql = match self.kind {
            DatabaseKind::PostgreSql => postgresql::create(name, "template1"),
            DatabaseKind::MariaDb => mariadb::create(name),
        };
        self.admin(&sql).await
    }

    /// Removes a database; nothing happens if there is none.
    ///
    /// PostgreSQL ends the sessions on it; those of MariaDB stay, and their statements fail.
    pub async fn remove(&self, name: &str) -> Result<(), LabError> {
        check_name(name)?;
        let sql = match self.kind {
            DatabaseKind::PostgreSql => postgresql::remove(name),
            DatabaseKind::MariaDb => mariadb::remove(name),
        };
        self.admin(&sql).await
    }

    /// Makes a database as a copy of another one.
    ///
    /// PostgreSQL copies files and ends the sessions on the template for it; MariaDB has no such
    /// thing, so its copy is a dump that is loaded, and nobody may write meanwhile.
    pub async fn copy(&self, template: &str, name: &str) -> Result<(), LabError> {
        check_name(template)?;
        check_name(name)?;
        match self.kind {
            DatabaseKind::PostgreSql => {
                self.admin(&postgresql::end_sessions(template)).await?;
                self.admin(&postgresql::create(name, template)).await
            }
            DatabaseKind::MariaDb => {
                self.create(name).await?;
                let password = self.password(Login::Admin);
                let dump = feed(mariadb::dump(self.port, &password, template)?, "").await?;
                self.sql_as(Login::Admin, name, &dump).await.map(drop)
            }
        }
    }

    async fn admin(&self, sql: &str) -> Result<(), LabError> {
        let database = match self.kind {
            DatabaseKind::PostgreSql => "postgres",
            DatabaseKind::MariaDb => "mysql",
        };
        self.sql_as(Login::Admin, database, sql).await.map(drop)
    }
}

/// Names go into SQL unquoted.
fn check_name(name: &str) -> Result<(), LabError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && name.chars().all(is_plain) && name.len() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    Err(LabError::malformed(
        format!("database name `{name}`"),
        format!(
            "expected a lower-case letter, then such letters, digits and underscores, \
             {NAME_CHARACTERS_MAX} at most"
        ),
    ))
}

/// A running database server. Dropping it kills it.
#[derive(Debug)]
pub struct DatabaseServer {
    address: DatabaseAddress,
    running: Running,
    start_ms: u64,
}

impl DatabaseServer {
    /// Starts a server in `dir`, with the data that is there or none yet.
    ///
    /// The folder belongs to the server from now on: as root, it runs as the user `liftlock-lab`,
    /// who then owns it. Returns when it answers SQL. Errors name the package that lacks.
    pub async fn start(kind: DatabaseKind, dir: impl AsRef<Path>) -> Result<Self, LabError> {
        Self::start_for(kind, dir.as_ref(), Lifetime::WithUs).await
    }

    /// The same, and clients may speak TLS with it: it has a certificate for `localhost` and 127.0.0.1.
    pub async fn start_with_tls(
        kind: DatabaseKind,
        dir: impl AsRef<Path>,
    ) -> Result<Self, LabError> {
        let folder = tls_folder(dir.as_ref());
        fs::create_dir_all(&folder).doing("make", &folder)?;
        let made = tls::make()?;
        for (name, text) in [
            ("ca.pem", &made.ca_certificate),
            ("server.crt", &made.node_certificate),
        ] {
            let file = folder.join(name);
            fs::write(&file, text).doing("write", &file)?;
        }
        write_private(&folder.join("server.key"), &made.node_key)?;
        Self::start(kind, dir).await
    }

    /// A MariaDB that is a Galera cluster of this one server. It begins the cluster, so a folder serves for one start.
    pub async fn start_galera(dir: impl AsRef<Path>) -> Result<Self, LabError> {
        let marker = galera_marker(dir.as_ref());
        fs::create_dir_all(dir.as_ref()).doing("make", dir.as_ref())?;
        fs::write(&marker, "").doing("write", &marker)?;
        Self::start(DatabaseKind::MariaDb, dir).await
    }

    pub(crate) async fn start_for(
        kind: DatabaseKind,
        dir: &Path,
        lifetime: Lifetime,
    ) -> Result<Self, LabError> {
        let dir = std::path::absolute(dir).doing("resolve", dir)?;
        prepare(kind, &dir).await?;
        let mut attempt = 1;
        loop {
            let port = launch::pick_port()?;
            match Self::launch(kind, &dir, port, lifetime).await {
                Err(_)
                    if attempt < launch::PORT_ATTEMPTS_MAX
                        && launch::is_port_taken(&log_file(&dir)) =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    async fn launch(
        kind: DatabaseKind,
        dir: &Path,
        port: u16,
        lifetime: Lifetime,
    ) -> Result<Self, LabError> {
        let begun = Instant::now();
        let data = dir.join("data");
        let tls = Some(tls_folder(dir)).filter(|folder| folder.is_dir());
        let (program, mut arguments) = match kind {
            DatabaseKind::PostgreSql => postgresql::server(&data, port, tls.as_deref())?,
            DatabaseKind::MariaDb => {
                mariadb::server(&data, port, &dir.join("tmp"), tls.as_deref())?
            }
        };
        if kind == DatabaseKind::MariaDb && galera_marker(dir).is_file() {
            arguments.extend(mariadb::galera([
                launch::pick_port()?,
                launch::pick_port()?,
            ])?);
        }
        let launch = Launch {
            program,
            arguments,
            environment: Vec::new(),
            folder: dir.to_owned(),
            user: user::other()?,
            at_our_end: "KILL",
        };
        let stop_by = match kind {
            DatabaseKind::PostgreSql => StopBy::Interrupt,
            DatabaseKind::MariaDb => StopBy::Terminate,
        };
        let running = Running::start(
            kind.name(),
            &launch,
            dir,
            lifetime,
            stop_by,
            STOP_SECONDS_MAX,
        )?;
        let mut server = Self {
            address: DatabaseAddress {
                kind,
                port,
                passwords: Passwords::read(dir)?,
            },
            running,
            start_ms: 0,
        };
        server.wait_ready().await?;
        server.start_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(server)
    }

    async fn wait_ready(&mut self) -> Result<(), LabError> {
        let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            self.running.check_alive()?;
            // A client is only started when somebody listens: each costs a process.
            let port = ("127.0.0.1", self.address.port);
            let last = match tokio::net::TcpStream::connect(port).await {
                Ok(_) => match self.address.admin("select 1").await {
                    Ok(()) => return Ok(()),
                    Err(error @ LabError::Missing { .. }) => return Err(error),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() >= end {
                let why = format!("not ready after {START_SECONDS_MAX} s, {last}");
                return Err(self.running.not_started(why));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// How to reach it; stays true as long as the server runs, and over a restart.
    pub fn address(&self) -> &DatabaseAddress {
        &self.address
    }

    /// Which server.
    pub fn kind(&self) -> DatabaseKind {
        self.address.kind
    }

    /// The server's main process, for faults.
    pub fn process(&self) -> &ProcessId {
        self.running.process()
    }

    /// The folder with data, passwords and log.
    pub fn dir(&self) -> &Path {
        self.running.dir()
    }

    /// The file with everything the server printed.
    pub fn log_file(&self) -> PathBuf {
        self.running.log_file()
    }

    /// The authority of its certificate, in PEM; there is none but after [`DatabaseServer::start_with_tls`].
    pub fn ca_file(&self) -> PathBuf {
        tls_folder(self.dir()).join("ca.pem")
    }

    /// Milliseconds from starting the process until it answered SQL.
    pub fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// Ends the server cleanly, whoever is logged in; kills it when that takes too long.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }

    /// Kills the server and all its processes as a crash would.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again on its data and port, after [`DatabaseServer::kill`] or beside nothing.
    ///
    /// A server that still runs is stopped first.
    pub async fn restart(&mut self) -> Result<(), LabError> {
        self.running.stop().await;
        let dir = self.running.dir().to_owned();
        let mut attempt = 1;
        loop {
            match Self::launch(self.kind(), &dir, self.address.port, Lifetime::WithUs).await {
                Err(_)
                    if attempt < launch::PORT_ATTEMPTS_MAX
                        && launch::is_port_taken(&log_file(&dir)) =>
                {
                    // Some client's connection was given the port while nobody listened on it.
                    attempt += 1;
                    tokio::time::sleep(PORT_PATIENCE).await;
                }
                other => {
                    *self = other?;
                    return Ok(());
                }
            }
        }
    }

    /// Lets it live on; whoever reads its record ends it.
    pub(crate) fn leave_running(mut self) {
        self.running.leave();
    }
}

/// The file with the passwords of the server in `dir`.
pub(crate) fn passwords_file(dir: &Path) -> PathBuf {
    dir.join(PASSWORDS)
}

/// What the port and the passwords of a server that somebody else left running are.
pub(crate) fn address_of(
    kind: DatabaseKind,
    dir: &Path,
    port: u16,
) -> Result<DatabaseAddress, LabError> {
    Ok(DatabaseAddress {
        kind,
        port,
        passwords: Passwords::read(dir)?,
    })
}

/// Makes the data folder if it is not there, and gives all to the user the server runs as.
/// Where a server's certificate and key are, if it has any.
/// Where it is, the server begins a Galera cluster.
fn galera_marker(dir: &Path) -> PathBuf {
    dir.join("galera")
}

fn tls_folder(dir: &Path) -> PathBuf {
    dir.join("tls")
}

async fn prepare(kind: DatabaseKind, dir: &Path) -> Result<(), LabError> {
    let data = dir.join("data");
    let tmp = dir.join("tmp");
    fs::create_dir_all(&tmp).doing("make", &tmp)?;
    let user = user::other()?;
    if data.is_dir() {
        return user.map_or(Ok(()), |user| user::hand_over(dir, user));
    }
    let passwords = Passwords::make();
    let text = serde_json::to_string(&passwords)
        .map_err(|error| LabError::malformed("the passwords", error.to_string()))?;
    write_private(&passwords_file(dir), &text)?;
    let first = dir.join("first");
    match kind {
        DatabaseKind::PostgreSql => write_private(&first, &passwords.admin)?,
        DatabaseKind::MariaDb => write_private(&first, &mariadb::first_sql(&passwords))?,
    }
    if let Some(user) = user {
        user::hand_over(dir, user)?;
    }
    // Published by a rename: a data folder that exists is a whole one.
    let draft = dir.join("data.part");
    cache::remove_folder(&draft)?;
    let steps = match kind {
        DatabaseKind::PostgreSql => postgresql::install(&draft, &first, &passwords)?,
        DatabaseKind::MariaDb => mariadb::install(&draft, &first, &tmp)?,
    };
    for step in steps {
        let launch = Launch {
            program: step.program,
            arguments: step.arguments,
            environment: Vec::new(),
            folder: dir.to_owned(),
            user,
            at_our_end: "KILL",
        };
        let client = Client {
            command: launch::command(&launch, &[])?,
            shown: launch.program.display().to_string(),
        };
        feed(client, &step.input).await?;
    }
    fs::rename(&draft, &data).doing("publish", &data)?;
    fs::remove_file(&first).doing("remove", &first)
}

/// One program that makes a part of the data folder.
struct Step {
    program: PathBuf,
    arguments: Vec<std::ffi::OsString>,
    input: String,
}

/// A client, ready to be given its input.
struct Client {
    command: std::process::Command,
    /// For errors: without a password.
    shown: String,
}

/// Runs a client with `input` and answers what it printed.
async fn feed(client: Client, input: &str) -> Result<String, LabError> {
    let Client { command, shown } = client;
    let failed = |output: String| LabError::Program {
        program: shown.clone(),
        output,
    };
    let doing = |source| LabError::io(format!("run `{shown}`"), source);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(doing)?;
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A client that stops at an error reads no further; its exit says so.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    let ended = tokio::time::timeout(Duration::from_secs(SQL_SECONDS_MAX), both)
        .await
        .map_err(|_| failed(format!("no end after {SQL_SECONDS_MAX} s")))?
        .map_err(doing)?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).trim_end().to_owned());
    }
    let text = String::from_utf8_lossy(&ended.stderr);
    Err(failed(format!("{}: {}", ended.status, text.trim())))
}

/// A program of a package: in the package's own folders, else on the search path.
fn program(name: &str, folders: &[PathBuf], package: &str) -> Result<PathBuf, LabError> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .or_else(|| on_path(name))
        .ok_or_else(|| missing(name, package))
}

/// The error for a program that lacks, with the command that brings its package.
pub(crate) fn missing(name: &str, package: &str) -> LabError {
    LabError::Missing {
        what: format!("`{name}`"),
        remedy: format!(
            "`RUNLEVEL=1 apt-get install --no-install-recommends {package}` \
             (no service of the package is needed)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_kind_by_its_name() {
        for kind in DatabaseKind::ALL {
            assert_eq!(kind.name().parse::<DatabaseKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert!("oracle".parse::<DatabaseKind>().is_err());
    }

    #[test]
    fn refuses_a_name_that_is_more_than_a_name() {
        for name in ["", "A", "1a", "a-b", "a;drop", "a b", &"a".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        check_name("seed_722").unwrap();
    }

    #[test]
    fn keeps_a_password_out_of_debug() {
        let passwords = Passwords {
            admin: "canary-1".into(),
            owner: "canary-2".into(),
            guest: "canary-3".into(),
        };
        let address = DatabaseAddress {
            kind: DatabaseKind::MariaDb,
            port: 1,
            passwords,
        };
        assert_eq!(format!("{address:?}"), "mariadb at 127.0.0.1:1");
    }

    #[test]
    fn names_the_package_of_a_program_that_lacks() {
        let error = program("no-such-program", &[], "postgresql").unwrap_err();
        assert!(error.to_string().contains("apt-get install"), "{error}");
    }
}

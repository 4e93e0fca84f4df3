//! MariaDB of the distribution's package.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::Client;
use super::Login;
use super::Passwords;
use super::Step;
use super::mysql;
use super::program;
use crate::error::LabError;
use crate::http::Secret;

const PACKAGE: &str = "mariadb-server";

/// The client is a package of its own, which the server's package brings along.
const CLIENT_PACKAGE: &str = "mariadb-client";

/// What every server is told, MySQL too. No durability: a lab's data live for minutes.
const SETTINGS: [&str; 6] = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    // A Camunda engine refuses the default, REPEATABLE READ.
    "--transaction-isolation=READ-COMMITTED",
    "--innodb-buffer-pool-size=128M",
    // Written at each commit, and not synced: 0 would lose a second of commits with the process.
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-flush-method=nosync",
];

/// What MariaDB is told beside it.
const OWN_SETTINGS: [&str; 4] = [
    // TCP only: the path of a socket in a deep folder would be too long.
    "--socket=",
    "--innodb-log-file-size=32M",
    // A copy of the engine's schema syncs 1348 times without this and 729 times with it: 2 to 4 s
    // against 1 to 2 s beside a busy disk.
    "--debug-no-sync",
    "--performance-schema=OFF",
];

/// The folder `data` with the system's tables; then the three users in place of those it comes with.
pub(super) fn install(data: &Path, users: &Path, tmp: &Path) -> Result<Vec<Step>, LabError> {
    let option = |name: &str, path: &Path| -> OsString {
        let mut text = OsString::from(name);
        text.push(path);
        text
    };
    if let Some(program) = mysql::program() {
        return Ok(vec![mysql::install(program, data, users, tmp)]);
    }
    Ok(vec![Step {
        program: program("mariadb-install-db", &[], PACKAGE)?,
        arguments: vec![
            "--no-defaults".into(),
            option("--datadir=", data),
            option("--tmpdir=", tmp),
            option("--extra-file=", users),
            "--innodb-log-file-size=32M".into(),
            "--innodb-flush-method=nosync".into(),
            "--auth-root-authentication-method=normal".into(),
            "--skip-test-db".into(),
            "--skip-name-resolve".into(),
        ],
        input: String::new(),
    }])
}

/// Takes away the users without a password that a new server has, and makes ours.
///
/// One statement a line: that is how the server's own start reads it.
pub(super) fn first_sql(passwords: &Passwords) -> String {
    let (mut sql, identified) = match mysql::program() {
        // Nobody logs in from where its `root@localhost` may. Its own way to log in needs TLS.
        Some(_) => (String::new(), "identified with mysql_native_password by"),
        None => (
            "delete from mysql.global_priv where user = '' or user = 'root';\n\
             flush privileges;\n"
                .to_owned(),
            "identified by",
        ),
    };
    for login in Login::ALL {
        let user = login.user();
        let password = passwords.of(login);
        sql.push_str(&format!(
            "create user {user}@127.0.0.1 {identified} '{password}';\n"
        ));
    }
    sql.push_str(
        "grant all on *.* to admin@127.0.0.1 with grant option;\n\
         grant select, insert, update, delete on *.* to guest@127.0.0.1;\n",
    );
    sql
}

/// The server's program and arguments; `tls` is the folder with its certificate.
pub(super) fn server(
    data: &Path,
    port: u16,
    tmp: &Path,
    tls: Option<&Path>,
) -> Result<(PathBuf, Vec<OsString>), LabError> {
    let mut arguments: Vec<OsString> = vec![
        "--no-defaults".into(),
        format!("--datadir={}", data.display()).into(),
        format!("--tmpdir={}", tmp.display()).into(),
        format!("--port={port}").into(),
    ];
    arguments.extend(SETTINGS.iter().map(OsString::from));
    if let Some(folder) = tls {
        for (option, name) in [("cert", "server.crt"), ("key", "server.key")] {
            arguments.push(format!("--ssl-{option}={}", folder.join(name).display()).into());
        }
    }
    if let Some(program) = mysql::program() {
        arguments.extend(mysql::SETTINGS.iter().map(OsString::from));
        return Ok((program, arguments));
    }
    arguments.extend(OWN_SETTINGS.iter().map(OsString::from));
    let folders = [PathBuf::from("/usr/sbin")];
    Ok((program("mariadbd", &folders, PACKAGE)?, arguments))
}

/// What makes a server begin a Galera cluster; ports for its group and for a state that is sent over.
pub(super) fn galera([group, state]: [u16; 2]) -> Result<Vec<OsString>, LabError> {
    const PROVIDER: &str = "/usr/lib/galera/libgalera_smm.so";
    if !Path::new(PROVIDER).is_file() {
        return Err(super::missing(PROVIDER, "galera-4"));
    }
    Ok(vec![
        "--wsrep-on=ON".into(),
        format!("--wsrep-provider={PROVIDER}").into(),
        "--wsrep-cluster-address=gcomm://".into(),
        "--wsrep-node-address=127.0.0.1".into(),
        format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{state}"
        )
        .into(),
        "--binlog-format=ROW".into(),
        "--innodb-autoinc-lock-mode=2".into(),
    ])
}

/// A client that stops at the first error.
pub(super) fn client(
    port: u16,
    user: &str,
    password: &Secret,
    database: &str,
) -> Result<Client, LabError> {
    let mut client = tool("mariadb", port, user, password)?;
    client
        .command
        // Each answer at once: a session waits for it before it asks again.
        .args(["--batch", "--unbuffered", "--skip-column-names"])
        .args(["-D", database]);
    client.shown = format!("mariadb as `{user}` on `{database}`");
    Ok(client)
}

/// A program that prints the statements which make a copy of a database.
pub(super) fn dump(port: u16, password: &Secret, database: &str) -> Result<Client, LabError> {
    let mut client = tool("mariadb-dump", port, Login::Admin.user(), password)?;
    client
        .command
        .args(["--single-transaction", "--skip-comments", "--hex-blob"])
        .args(["--routines", "--triggers", "--events", database]);
    Ok(client)
}

pub(super) fn tool_file(name: &str) -> Result<PathBuf, LabError> {
    program(name, &[], CLIENT_PACKAGE)
}

fn tool(name: &str, port: u16, user: &str, password: &Secret) -> Result<Client, LabError> {
    let mut command = Command::new(tool_file(name)?);
    command
        .args(["--no-defaults", "-h", "127.0.0.1", "--protocol=tcp"])
        .args(["-P", &port.to_string(), "-u", user])
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("MYSQL_PWD", password.reveal());
    Ok(Client {
        command,
        shown: format!("{name} as `{user}`"),
    })
}

pub(super) fn create(name: &str) -> String {
    format!("create database {name}; grant all on {name}.* to owner@127.0.0.1")
}

pub(super) fn remove(name: &str) -> String {
    format!("drop database if exists {name}")
}

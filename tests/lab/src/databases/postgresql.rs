//! PostgreSQL of the distribution's package.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::Client;
use super::Login;
use super::Passwords;
use super::Step;
use super::program;
use crate::error::LabError;
use crate::http::Secret;

const PACKAGE: &str = "postgresql";

/// Where Debian has the programs of each version, which are not on the search path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// What every server is told. Nothing is synced, since a lab's data live for minutes; commits still
/// wait for their log to be written, so that a killed server loses none.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    // Who waits for a lock behind whom is what an upgrade's tests read in the log.
    "log_lock_waits=on",
    "log_line_prefix=%m [%p] %a ",
    "max_connections=100",
];

/// Folders with programs, newest version first.
fn folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

/// The folder `data`, with the superuser, the two others, and what they may do in databases to come.
pub(super) fn install(
    data: &Path,
    password_file: &Path,
    passwords: &Passwords,
) -> Result<Vec<Step>, LabError> {
    let folders = folders();
    let make = Step {
        program: program("initdb", &folders, PACKAGE)?,
        arguments: vec![
            "-D".into(),
            data.into(),
            "-U".into(),
            Login::Admin.user().into(),
            "-A".into(),
            "scram-sha-256".into(),
            "--pwfile".into(),
            password_file.into(),
            "--no-locale".into(),
            "-E".into(),
            "UTF8".into(),
            "--no-sync".into(),
        ],
        input: String::new(),
    };
    let single = |database: &str, input: String| -> Result<Step, LabError> {
        Ok(Step {
            program: program("postgres", &folders, PACKAGE)?,
            arguments: vec![
                "--single".into(),
                // A statement ends at a semicolon and a blank line.
                "-j".into(),
                "-D".into(),
                data.into(),
                "-c".into(),
                "exit_on_error=on".into(),
                database.into(),
            ],
            input,
        })
    };
    let roles = format!(
        "create role owner login password '{}';\n\n\
         create role guest login password '{}';\n\n",
        passwords.owner, passwords.guest
    );
    // Databases are copies of `template1`, and take this over.
    let rights = "alter default privileges for role owner \
                  grant select, insert, update, delete on tables to guest;\n\n"
        .to_owned();
    Ok(vec![
        make,
        single("postgres", roles)?,
        single("template1", rights)?,
    ])
}

/// The server's program and arguments; `tls` is the folder with its certificate.
pub(super) fn server(
    data: &Path,
    port: u16,
    tls: Option<&Path>,
) -> Result<(PathBuf, Vec<OsString>), LabError> {
    let mut arguments: Vec<OsString> = vec![
        "-D".into(),
        data.into(),
        "-p".into(),
        port.to_string().into(),
    ];
    for setting in SETTINGS {
        arguments.extend(["-c".into(), setting.into()]);
    }
    if let Some(folder) = tls {
        let of = |name: &str| folder.join(name).display().to_string();
        for setting in [
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", of("server.crt")),
            format!("ssl_key_file={}", of("server.key")),
        ] {
            arguments.extend(["-c".into(), setting.into()]);
        }
    }
    Ok((program("postgres", &folders(), PACKAGE)?, arguments))
}

/// A client that stops at the first error.
pub(super) fn client(
    port: u16,
    user: &str,
    password: &Secret,
    database: &str,
) -> Result<Client, LabError> {
    let program = program("psql", &folders(), "postgresql-client")?;
    let mut command = Command::new(&program);
    command
        .args(["-X", "-q", "-A", "-t", "-F", "\t"])
        .args(["-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
        .args(["-p", &port.to_string(), "-U", user, "-d", database])
        .args(["-f", "-"])
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("PGPASSWORD", password.reveal())
        .env("PGAPPNAME", "liftlock-lab")
        // Notices go where errors go, and would hide them.
        .env("PGOPTIONS", "-c client_min_messages=warning");
    Ok(Client {
        command,
        shown: format!("psql as `{user}` on `{database}`"),
    })
}

pub(super) fn tool(name: &str) -> Result<PathBuf, LabError> {
    program(name, &folders(), "postgresql-client")
}

pub(super) fn create(name: &str, template: &str) -> String {
    format!("create database {name} owner owner template {template}")
}

pub(super) fn remove(name: &str) -> String {
    format!("drop database if exists {name} with (force)")
}

/// Ends the sessions on a database; a copy of it is refused while there are any.
pub(super) fn end_sessions(name: &str) -> String {
    format!(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
         where datname = '{name}' and pid <> pg_backend_pid()"
    )
}

//! The database's own tools as tasks, a folder for the dump, and a scratch database.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::Login;

use super::stage::DATABASE;

/// The scratch database.
pub(super) const TRIAL: &str = "trial";

/// The dump's file, as the plugin's option has it.
const FILE: &str = "engine.dump";

/// What an operator binds for a backup.
pub(super) struct Backup;

impl Backup {
    /// The folder and the scratch database.
    pub(super) async fn prepare(database: &DatabaseServer, folder: &Path) -> anyhow::Result<()> {
        let dir = folder.join("backup");
        fs::create_dir(&dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        let script = trial_script(database, folder)?;
        fs::write(trial_file(folder), script).context("cannot write a task")?;
        Ok(database.address().create(TRIAL).await?)
    }

    /// SQL that spoils what each trial made, for as long as the file is there.
    pub(super) fn spoiler(folder: &Path) -> PathBuf {
        folder.join("spoil.sql")
    }

    /// The dump's file.
    pub(super) fn file(folder: &Path) -> PathBuf {
        folder.join("backup").join(FILE)
    }

    /// The bindings; `password` names the variable with the owner's.
    pub(super) fn site_toml(
        database: &DatabaseServer,
        folder: &Path,
        password: &str,
    ) -> anyhow::Result<String> {
        let address = database.address();
        let port = address.port();
        let (kind, variable, tasks) = match database.kind() {
            DatabaseKind::PostgreSql => ("postgresql", "PGPASSWORD", postgresql(database, folder)?),
            DatabaseKind::MariaDb => ("mariadb", "MYSQL_PWD", mariadb(database, folder)?),
        };
        let mut text = format!(
            "[disk.backup]\npath = \"{dir}\"\n\n\
             [database.trial]\nkind = \"{kind}\"\nhost = \"127.0.0.1\"\nport = {port}\ndatabase = \"{TRIAL}\"\n\
             user = \"{user}\"\npassword = {{ env = \"{password}\" }}\ntls = \"off\"\n\n\
             [service.database]\nport = {port}\n\n\
             [service.database.environment]\n\
             {variable} = {{ secret = {{ env = \"{password}\" }} }}\n\n",
            dir = folder.join("backup").display(),
            user = Login::Owner.user(),
        );
        for (name, command, more) in tasks {
            text.push_str(&format!(
                "[service.database.tasks.{name}]\ncommand = {command:?}\n{more}\n"
            ));
        }
        Ok(text)
    }
}

/// Name, command and what else is said of a task.
type Task = (&'static str, Vec<String>, &'static str);

/// The task of the trial: the restore, and what a test spoils of it. The tool's exit code is the task's.
fn trial_file(folder: &Path) -> PathBuf {
    folder.join("trial-restore.sh")
}

fn trial_script(database: &DatabaseServer, folder: &Path) -> anyhow::Result<String> {
    let (restore, client) = match database.kind() {
        DatabaseKind::PostgreSql => (pg_restore(database, folder)?, psql(database)?),
        DatabaseKind::MariaDb => (source(database, folder, TRIAL)?, mariadb_client(database)?),
    };
    let quoted = |words: &[String]| -> String {
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        words.join(" ")
    };
    let spoiler = Backup::spoiler(folder);
    let spoiler = spoiler.display();
    Ok(format!(
        "{}\ncode=$?\nif [ -e '{spoiler}' ]; then {} < '{spoiler}' > /dev/null; fi\nexit $code\n",
        quoted(&restore),
        quoted(&client),
    ))
}

fn trial_task(folder: &Path) -> Vec<String> {
    let file = trial_file(folder).display().to_string();
    vec!["/bin/sh".into(), file]
}

/// A client of PostgreSQL on one database.
fn pg_tool(
    database: &DatabaseServer,
    name: &str,
    on: &str,
    more: &[&str],
) -> anyhow::Result<Vec<String>> {
    let program = database.address().tool(name)?.display().to_string();
    let port = database.address().port().to_string();
    let place = ["-h", "127.0.0.1", "-p", &port, "-U", Login::Owner.user()];
    let all = [program.as_str()].into_iter().chain(place);
    let all = all.chain(["-d", on]).chain(more.iter().copied());
    Ok(all.map(str::to_owned).collect())
}

const PG_AGAIN: [&str; 3] = ["--clean", "--if-exists", "--no-owner"];

fn pg_restore(database: &DatabaseServer, folder: &Path) -> anyhow::Result<Vec<String>> {
    let file = Backup::file(folder).display().to_string();
    pg_tool(
        database,
        "pg_restore",
        TRIAL,
        &[&PG_AGAIN[..], &[&file]].concat(),
    )
}

fn psql(database: &DatabaseServer) -> anyhow::Result<Vec<String>> {
    pg_tool(database, "psql", TRIAL, &["-X", "-q"])
}

fn postgresql(database: &DatabaseServer, folder: &Path) -> anyhow::Result<Vec<Task>> {
    let file = Backup::file(folder).display().to_string();
    let dump = ["-Fc", "-T", "liftlock_*", "-f", &file];
    let empty = "drop schema public cascade; create schema public";
    let restore = [&PG_AGAIN[..], &["--single-transaction", &file]].concat();
    Ok(vec![
        ("dump", pg_tool(database, "pg_dump", DATABASE, &dump)?, ""),
        (
            "trial-restore",
            trial_task(folder),
            "success-codes = [0, 1]\n",
        ),
        (
            "drop-trial",
            pg_tool(database, "psql", TRIAL, &["-X", "-q", "-c", empty])?,
            "",
        ),
        (
            "restore",
            pg_tool(database, "pg_restore", DATABASE, &restore)?,
            "",
        ),
    ])
}

/// A client of MariaDB.
fn mariadb_tool(
    database: &DatabaseServer,
    name: &str,
    more: &[&str],
) -> anyhow::Result<Vec<String>> {
    let program = database.address().tool(name)?.display().to_string();
    let port = database.address().port().to_string();
    let place = ["--no-defaults", "-h", "127.0.0.1", "--protocol=tcp"];
    let login = ["-P", &port, "-u", Login::Owner.user()];
    let all = [program.as_str()].into_iter().chain(place).chain(login);
    Ok(all.chain(more.iter().copied()).map(str::to_owned).collect())
}

fn mariadb_client(database: &DatabaseServer) -> anyhow::Result<Vec<String>> {
    mariadb_tool(database, "mariadb", &["-D", TRIAL])
}

fn source(database: &DatabaseServer, folder: &Path, on: &str) -> anyhow::Result<Vec<String>> {
    let source = format!("source {}", Backup::file(folder).display());
    mariadb_tool(database, "mariadb", &["-D", on, "-e", &source])
}

fn mariadb(database: &DatabaseServer, folder: &Path) -> anyhow::Result<Vec<Task>> {
    let written = format!("--result-file={}", Backup::file(folder).display());
    let [claim, marker] =
        ["claim", "marker"].map(|table| format!("--ignore-table={DATABASE}.liftlock_{table}"));
    let dump = [
        "--single-transaction",
        "--hex-blob",
        &claim,
        &marker,
        &written,
        DATABASE,
    ];
    let empty = format!("drop database {TRIAL}; create database {TRIAL}");
    Ok(vec![
        ("dump", mariadb_tool(database, "mariadb-dump", &dump)?, ""),
        ("trial-restore", trial_task(folder), ""),
        (
            "drop-trial",
            mariadb_tool(database, "mariadb", &["-e", &empty])?,
            "",
        ),
        ("restore", source(database, folder, DATABASE)?, ""),
    ])
}

/// Restores the dump into the scratch database by the server's tools, without Liftlock; gives the database's name.
pub(super) async fn restored(
    database: &DatabaseServer,
    folder: &Path,
) -> anyhow::Result<&'static str> {
    let secret = database.address().password(Login::Owner);
    let ended = tokio::process::Command::new("/bin/sh")
        .arg(trial_file(folder))
        .env("PGPASSWORD", secret.reveal())
        .env("MYSQL_PWD", secret.reveal())
        .output()
        .await?;
    if !matches!(ended.status.code(), Some(0 | 1)) {
        bail!("{}", String::from_utf8_lossy(&ended.stderr));
    }
    Ok(TRIAL)
}

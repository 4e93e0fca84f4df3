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
const TRIAL: &str = "trial";

/// The dump's file, as the plugin's option has it.
const FILE: &str = "engine.dump";

/// What an operator binds for a backup.
pub(super) struct Backup;

impl Backup {
    /// The folder and the scratch database.
    pub(super) async fn prepare(database: &DatabaseServer, folder: &Path) -> anyhow::Result<()> {
        let dir = folder.join("backup");
        fs::create_dir(&dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        Ok(database.address().create(TRIAL).await?)
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

fn postgresql(database: &DatabaseServer, folder: &Path) -> anyhow::Result<Vec<Task>> {
    let file = Backup::file(folder).display().to_string();
    let port = database.address().port().to_string();
    let tool = |name: &str, on: &str, more: &[&str]| -> anyhow::Result<Vec<String>> {
        let program = database.address().tool(name)?.display().to_string();
        let place = ["-h", "127.0.0.1", "-p", &port, "-U", Login::Owner.user()];
        let all = [program.as_str()].into_iter().chain(place);
        let all = all.chain(["-d", on]).chain(more.iter().copied());
        Ok(all.map(str::to_owned).collect())
    };
    let again = ["--clean", "--if-exists", "--no-owner"];
    Ok(vec![
        (
            "dump",
            tool(
                "pg_dump",
                DATABASE,
                &["-Fc", "-T", "liftlock_*", "-f", &file],
            )?,
            "",
        ),
        (
            "trial-restore",
            tool("pg_restore", TRIAL, &[&again[..], &[&file]].concat())?,
            "success-codes = [0, 1]\n",
        ),
        (
            "drop-trial",
            tool(
                "psql",
                TRIAL,
                &[
                    "-X",
                    "-q",
                    "-c",
                    "drop schema public cascade; create schema public",
                ],
            )?,
            "",
        ),
        (
            "restore",
            tool(
                "pg_restore",
                DATABASE,
                &[&again[..], &["--single-transaction", &file]].concat(),
            )?,
            "",
        ),
    ])
}

fn mariadb(database: &DatabaseServer, folder: &Path) -> anyhow::Result<Vec<Task>> {
    let file = Backup::file(folder).display().to_string();
    let port = database.address().port().to_string();
    let tool = |name: &str, more: &[&str]| -> anyhow::Result<Vec<String>> {
        let program = database.address().tool(name)?.display().to_string();
        let place = ["--no-defaults", "-h", "127.0.0.1", "--protocol=tcp"];
        let login = ["-P", &port, "-u", Login::Owner.user()];
        let all = [program.as_str()].into_iter().chain(place).chain(login);
        Ok(all.chain(more.iter().copied()).map(str::to_owned).collect())
    };
    let written = format!("--result-file={file}");
    let source = format!("source {file}");
    let without =
        ["claim", "marker"].map(|table| format!("--ignore-table={DATABASE}.liftlock_{table}"));
    let empty = format!("drop database {TRIAL}; create database {TRIAL}");
    Ok(vec![
        (
            "dump",
            tool(
                "mariadb-dump",
                &[
                    "--single-transaction",
                    "--hex-blob",
                    &without[0],
                    &without[1],
                    &written,
                    DATABASE,
                ],
            )?,
            "",
        ),
        (
            "trial-restore",
            tool("mariadb", &["-D", TRIAL, "-e", &source])?,
            "",
        ),
        ("drop-trial", tool("mariadb", &["-e", &empty])?, ""),
        (
            "restore",
            tool("mariadb", &["-D", DATABASE, "-e", &source])?,
            "",
        ),
    ])
}

/// Restores the dump into a database of its own by the server's tools, without Liftlock.
pub(super) async fn restore_into(
    database: &DatabaseServer,
    folder: &Path,
    name: &str,
) -> anyhow::Result<()> {
    let tasks = match database.kind() {
        DatabaseKind::PostgreSql => postgresql(database, folder)?,
        DatabaseKind::MariaDb => mariadb(database, folder)?,
    };
    let (_, command, _) = tasks
        .into_iter()
        .find(|(task, ..)| *task == "trial-restore")
        .context("the task")?;
    let mut words = command
        .into_iter()
        .map(|word| if word == TRIAL { name.to_owned() } else { word });
    let secret = database.address().password(Login::Owner);
    let ended = tokio::process::Command::new(words.next().context("a program")?)
        .args(words)
        .env("PGPASSWORD", secret.reveal())
        .env("MYSQL_PWD", secret.reveal())
        .output()
        .await?;
    if !matches!(ended.status.code(), Some(0 | 1)) {
        bail!("{}", String::from_utf8_lossy(&ended.stderr));
    }
    Ok(())
}

//! The heap of a real database: its options edited, its node restarted, the upgrade waiting for it meanwhile.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use liftlock_lab::ProcessId;
use liftlock_lab::Server;
use liftlock_lab::SiteSpec;
use toml::Table;
use toml::Value;

use super::approved;
use super::ensure;
use super::introduce;
use crate::stage::Stage;
use crate::stage::write;
use crate::tally::Tally;

/// The vendor asks for 1g; a node says a little less of itself, as its JVM leaves out what it can never fill.
const HEAP_BYTES_MIN: u64 = 980 << 20;

/// How long a server may take to end.
const END: Duration = Duration::from_secs(60);

/// Upgrades a site on a server whose heap is too small and which reads it from its configuration directory. The
/// run restarts the server, so that the one in its place is ended here: nothing comes after this on it.
pub async fn raises_the_heap_of_its_database(
    stage: &Stage,
    server: &Server,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let config = server.dir().join("conf");
    let pid_file = server.dir().join("server.pid");
    let site = round.operator.site().join("site.toml");
    let mut table: Table = toml::from_str(&fs::read_to_string(&site)?)?;
    let database = as_service(server, &pid_file)?;
    for (kind, name, entry) in [
        ("service", "database", database),
        (
            "disk",
            "database-config",
            Table::from_iter([("path".to_owned(), text(&config))]),
        ),
    ] {
        let bindings = table
            .get_mut(kind)
            .and_then(Value::as_table_mut)
            .with_context(|| format!("the site binds no {kind}"))?;
        bindings.insert(name.to_owned(), entry.into());
    }
    write(&site, &toml::to_string(&table)?)?;
    introduce(&round).await?;
    let before = heap(stage).await?;
    let plan = approved(&round).await?;
    let told = round.operator.run(&["run", &plan]).await?;
    tally.check(
        &format!(
            "with a heap of {} MiB: the plan edits it, restarts the database, waits, and upgrades",
            before >> 20
        ),
        told.clone().expect(0).map(drop),
    );
    let after = heap(stage).await?;
    tally.check(
        "then the database's heap is what the vendor asks for",
        ensure(
            before < HEAP_BYTES_MIN && after >= HEAP_BYTES_MIN,
            format!("it was {before} bytes and is {after}"),
        ),
    );
    tally.check(
        "and the report says how long the database was away",
        ensure(
            told.stdout.contains("  available    ") && !told.says("optimize.heap-not-raised"),
            format!("it does not\n{told}"),
        ),
    );
    let process = fs::read_to_string(&pid_file)?.trim().parse().ok();
    let process = process
        .and_then(ProcessId::of)
        .context("the restarted database left no process id")?;
    process.terminate();
    if !process.wait_gone(END).await {
        process.kill();
    }
    Ok(())
}

/// The largest heap of the only node.
async fn heap(stage: &Stage) -> anyhow::Result<u64> {
    let answer = stage.target.get("/_nodes/jvm").await?;
    answer["nodes"]
        .as_object()
        .and_then(|nodes| nodes.values().next())
        .and_then(|node| node["jvm"]["mem"]["heap_max_in_bytes"].as_u64())
        .context("the node does not say its heap")
}

/// The running server as a service, started again as it was: by what started it, where that is another process.
fn as_service(server: &Server, pid_file: &Path) -> anyhow::Result<Table> {
    let of = |pid: u32, name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))
    };
    let status = of(server.pid(), "status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().next());
        value
            .map(str::to_owned)
            .with_context(|| format!("the server's process has no {name}"))
    };
    let starter: u32 = field("PPid:")?.parse()?;
    let command: Vec<Value> = of(starter, "cmdline")?
        .split_terminator('\0')
        .map(Value::from)
        .collect();
    let environment: Table = of(starter, "environ")?
        .split_terminator('\0')
        .filter_map(|entry| entry.split_once('='))
        .filter(|(name, _)| name.starts_with("ES_") || *name == "JAVA_HOME")
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let directory = fs::read_link(format!("/proc/{starter}/cwd"))?;
    let url = format!("{}/_cluster/health", server.base_url());
    Ok(Table::from_iter([
        ("start".to_owned(), Value::Array(command)),
        ("environment".to_owned(), environment.into()),
        ("directory".to_owned(), text(&directory)),
        (
            "user".to_owned(),
            format!("{}:{}", field("Uid:")?, field("Gid:")?).into(),
        ),
        ("port".to_owned(), i64::from(server.http_port()).into()),
        ("pid-file".to_owned(), text(pid_file)),
        (
            "ready".to_owned(),
            Table::from_iter([("http".to_owned(), url.into())]).into(),
        ),
    ]))
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

//! Engines behind HAProxy with a seeded database, which outlive the process that started them.
//!
//! The site's folder has one folder for each server, with its log and a record of its process from
//! the moment it was started; `camunda.json` appears when all of them are ready.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::node::Archive;
use super::node::EngineDatabase;
use super::node::Node;
use super::node::NodeSpec;
use super::node::PgJdbc;
use super::seed;
use super::seed::Seed;
use super::version::EngineVersion;
use crate::balancers::BehindIt;
use crate::cache;
use crate::databases;
use crate::databases::DatabaseAddress;
use crate::databases::DatabaseKind;
use crate::databases::DatabaseServer;
use crate::error::IoContext;
use crate::error::LabError;
use crate::haproxy::HaProxy;
use crate::http::HttpTarget;
use crate::launch::Lifetime;
use crate::running;
use crate::running::Record;
use crate::sites;
use crate::sites::SiteStatus;

/// Form of the state file; another number is refused.
const STATE_FORMAT: u32 = 1;

/// The state file, whose name tells a Camunda site from one with a search server.
const STATE: &str = "camunda.json";

/// The folder of the database server, and that of the balancer.
const DATABASE: &str = "database";
const BALANCER: &str = "haproxy";

/// The database of the engines: a copy of the seed, which stays beside it.
pub const DATABASE_NAME: &str = "camunda";

/// What HAProxy asks each engine for. It needs no database, so it proves nothing but a listener.
const CHECK: &str = "/engine-rest/engine";

/// Most nodes of one site: each takes 370 MB.
const NODES_MAX: usize = 8;

/// Longest wait until the balancer sends requests to a node that answers; checks come every second.
const UP_PATIENCE: Duration = Duration::from_secs(30);

/// What a site is to be.
#[derive(Clone, Debug)]
pub struct CamundaSpec {
    /// Which engine on every node.
    pub version: EngineVersion,
    /// Which database.
    pub database: DatabaseKind,
    /// How many nodes: `n1`, `n2`, ...
    pub nodes: usize,
    /// How PostgreSQL's driver is set on every node.
    pub pgjdbc: PgJdbc,
    /// Whether nodes have the endpoint that holds their jobs.
    pub has_quiesce: bool,
}

impl Default for CamundaSpec {
    /// Three nodes of 7.22 on PostgreSQL, as the vendor's defaults have them.
    fn default() -> Self {
        Self {
            version: EngineVersion::V7_22,
            database: DatabaseKind::PostgreSql,
            nodes: 3,
            pgjdbc: PgJdbc::Default,
            has_quiesce: false,
        }
    }
}

/// One node of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteNode {
    /// Its name in the balancer, and its host name in the engine.
    pub name: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The folder with `server.log`, `node.pid` and the record of its process.
    pub dir: PathBuf,
    /// Milliseconds that its start took.
    pub start_ms: u64,
}

impl SiteNode {
    /// Its REST interface, directly and not through the balancer.
    pub fn rest(&self) -> Result<HttpTarget, LabError> {
        HttpTarget::new(format!("http://127.0.0.1:{}/engine-rest", self.port))
    }
}

/// A site that was left running, as its state file describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CamundaSite {
    format: u32,
    /// The site's name.
    pub name: String,
    /// Which engine every node was started with.
    pub version: EngineVersion,
    /// Which database.
    pub database: DatabaseKind,
    /// The database server's port on 127.0.0.1.
    pub database_port: u16,
    /// The nodes, in the order of their names.
    pub nodes: Vec<SiteNode>,
    /// Where clients send requests: the balancer, `http://127.0.0.1:PORT`.
    pub base_url: String,
    /// The unix socket of the balancer's runtime API.
    pub runtime_socket: PathBuf,
    /// The port of the same API on 127.0.0.1.
    pub runtime_port: u16,
    /// When it was ready, in UTC.
    pub started_at: String,
    /// The site's folder.
    pub dir: PathBuf,
}

impl CamundaSite {
    /// The REST interface behind the balancer.
    pub fn rest(&self) -> Result<HttpTarget, LabError> {
        HttpTarget::new(format!("{}/engine-rest", self.base_url))
    }

    /// How to reach the database server.
    pub fn database_address(&self) -> Result<DatabaseAddress, LabError> {
        databases::address_of(self.database, &self.dir.join(DATABASE), self.database_port)
    }

    /// The file with the passwords of the database's users, readable by its own user and root.
    pub fn passwords_file(&self) -> PathBuf {
        databases::passwords_file(&self.dir.join(DATABASE))
    }
}

/// What there is of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CamundaStatus {
    /// There is no Camunda site of that name.
    Absent,
    /// So many servers run, and the others are not there yet; or whoever started it was interrupted.
    Starting(usize),
    /// Every server runs.
    Up(Box<CamundaSite>),
    /// It was up, and now these servers do not run.
    Broken(Box<CamundaSite>, Vec<String>),
}

/// Starts nodes, balancer and seeded database, which stay when this process ends.
///
/// `root` is the folder of all lab sites, usually `.lab` in the checkout. A site that is there
/// already is an error, in whichever state; one that failed to start leaves nothing running.
pub async fn up(root: &Path, name: &str, spec: &CamundaSpec) -> Result<CamundaSite, LabError> {
    let dir = sites::site_dir(root, name)?;
    if !(1..=NODES_MAX).contains(&spec.nodes) {
        return Err(LabError::malformed(
            format!("{} nodes", spec.nodes),
            format!("expected 1 to {NODES_MAX}"),
        ));
    }
    let is_there = status(root, name)? != CamundaStatus::Absent
        || sites::status(root, name)? != SiteStatus::Absent;
    if is_there {
        return Err(LabError::Site {
            site: name.to_owned(),
            why: "is there already; take it down first".into(),
        });
    }
    // What a start left that was killed before it had a server.
    cache::remove_folder(&dir)?;
    fs::create_dir_all(&dir).doing("make", &dir)?;
    let dir = dir.canonicalize().doing("resolve", &dir)?;
    let started = start(&dir, name, spec).await;
    if started.is_err() && records(&dir).is_empty() {
        // Its logs are in the error; a folder would stand in the way of the next try.
        cache::remove_folder(&dir)?;
    }
    started
}

async fn start(dir: &Path, name: &str, spec: &CamundaSpec) -> Result<CamundaSite, LabError> {
    // Until the state file is there, a failure drops the servers, which kills them.
    let lives = Lifetime::OnItsOwn;
    let database_dir = dir.join(DATABASE);
    let seed = Seed::new(spec.version, spec.database);
    seed.lay(&database_dir, &dir.join("seed")).await?;
    let database = DatabaseServer::start_for(spec.database, &database_dir, lives).await?;
    database
        .address()
        .copy(seed::TEMPLATE, DATABASE_NAME)
        .await?;
    let mut nodes = Vec::new();
    for number in 1..=spec.nodes {
        let name = format!("n{number}");
        let node_dir = dir.join(&name);
        let its = EngineDatabase::owned(database.address(), DATABASE_NAME);
        let mut node = NodeSpec::new(spec.version, name, its);
        node.pgjdbc = spec.pgjdbc;
        node.has_quiesce = spec.has_quiesce;
        nodes.push(Node::start_for(node, &node_dir, lives, Archive::Use).await?);
    }
    let behind: Vec<BehindIt> = nodes
        .iter()
        .map(|node| BehindIt::new(&node.spec().name, node.port()))
        .collect();
    let balancer = HaProxy::start_for(&dir.join(BALANCER), &behind, CHECK, lives).await?;
    for server in &behind {
        balancer
            .wait_status(&server.name, "UP", UP_PATIENCE)
            .await?;
    }
    let site = CamundaSite {
        format: STATE_FORMAT,
        name: name.to_owned(),
        version: spec.version,
        database: spec.database,
        database_port: database.address().port(),
        nodes: nodes
            .iter()
            .map(|node| SiteNode {
                name: node.spec().name.clone(),
                port: node.port(),
                dir: node.dir().to_owned(),
                start_ms: node.start_ms(),
            })
            .collect(),
        base_url: balancer.base_url(),
        runtime_socket: balancer.runtime_socket(),
        runtime_port: balancer.runtime_port(),
        started_at: jiff::Timestamp::now().to_string(),
        dir: dir.to_owned(),
    };
    sites::write_state(dir, STATE, &site)?;
    for node in nodes {
        node.leave_running();
    }
    balancer.leave_running();
    database.leave_running();
    Ok(site)
}

/// Ends a site's servers, balancer first and database last, and removes its folder; says what was
/// there.
///
/// A node with an open poll takes 20 s to end; nodes end side by side.
pub async fn down(root: &Path, name: &str) -> Result<CamundaStatus, LabError> {
    let before = status(root, name)?;
    if before == CamundaStatus::Absent {
        return Ok(before);
    }
    let dir = sites::site_dir(root, name)?;
    let mut records = records(&dir);
    let database = records.remove(DATABASE);
    if let Some(balancer) = records.remove(BALANCER) {
        balancer.stop().await;
    }
    let nodes = records.values().map(Record::stop);
    futures::future::join_all(nodes).await;
    // A seed that was being made has a server of its own, which ended with whoever made it.
    if let Some(database) = database {
        database.stop().await;
    }
    cache::remove_folder(&dir)?;
    Ok(before)
}

/// What there is of a site.
pub fn status(root: &Path, name: &str) -> Result<CamundaStatus, LabError> {
    let dir = sites::site_dir(root, name)?;
    let running = records(&dir);
    let file = dir.join(STATE);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(match running.len() {
                0 => CamundaStatus::Absent,
                count => CamundaStatus::Starting(count),
            });
        }
        other => other.doing("read", &file)?,
    };
    let malformed = |why| LabError::malformed(format!("state file `{}`", file.display()), why);
    let site: CamundaSite = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    if site.format != STATE_FORMAT {
        return Err(malformed(format!(
            "format {}, expected {STATE_FORMAT}",
            site.format
        )));
    }
    let names = site.nodes.iter().map(|node| node.name.as_str());
    let gone: Vec<String> = [DATABASE, BALANCER]
        .into_iter()
        .chain(names)
        .filter(|name| !running.contains_key(*name))
        .map(str::to_owned)
        .collect();
    let site = Box::new(site);
    Ok(if gone.is_empty() {
        CamundaStatus::Up(site)
    } else {
        CamundaStatus::Broken(site, gone)
    })
}

/// The last lines of every server's log, each under its name.
pub fn logs(root: &Path, name: &str, lines: usize) -> Result<String, LabError> {
    let (CamundaStatus::Up(site) | CamundaStatus::Broken(site, _)) = status(root, name)? else {
        return Err(LabError::Site {
            site: name.to_owned(),
            why: "was never started".into(),
        });
    };
    let nodes = site.nodes.iter().map(|node| node.name.as_str());
    let mut text = String::new();
    for server in [DATABASE, BALANCER].into_iter().chain(nodes) {
        let file = running::log_file(&site.dir.join(server));
        let bytes = fs::read(&file).doing("read", &file)?;
        let last = cache::last_lines(&String::from_utf8_lossy(&bytes), lines);
        text.push_str(&format!("== {server}: {}\n{last}\n", file.display()));
    }
    Ok(text)
}

/// The servers in a site's folder that run, by the names of their folders.
fn records(dir: &Path) -> std::collections::BTreeMap<String, Record> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.to_owned();
            Some((name, Record::read(&path)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refuses_more_nodes_than_it_can_carry() {
        let root = tempfile::tempdir().unwrap();
        for nodes in [0, 9] {
            let spec = CamundaSpec {
                nodes,
                ..CamundaSpec::default()
            };
            let error = up(root.path(), "camunda", &spec).await.unwrap_err();
            assert!(error.to_string().contains("expected 1 to 8"), "{error}");
        }
        assert!(!root.path().join("camunda").exists());
    }

    #[tokio::test]
    async fn leaves_a_search_server_of_that_name_alone() {
        let root = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let process = crate::process::ProcessId::of(child.id()).unwrap();
        let folder = root.path().join("camunda/server");
        fs::create_dir_all(&folder).unwrap();
        let launched = folder.join("launched.json");
        fs::write(&launched, serde_json::to_string(&process).unwrap()).unwrap();
        let taken = up(root.path(), "camunda", &CamundaSpec::default())
            .await
            .unwrap_err();
        assert!(taken.to_string().contains("take it down first"), "{taken}");
        let absent = down(root.path(), "camunda").await.unwrap();
        assert_eq!(absent, CamundaStatus::Absent);
        assert!(launched.exists() && process.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn takes_down_what_was_started_and_never_got_ready() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("camunda/n1");
        fs::create_dir_all(&folder).unwrap();
        let launch = crate::launch::Launch {
            program: "/bin/sleep".into(),
            arguments: vec!["600".into()],
            environment: Vec::new(),
            folder: "/".into(),
            user: None,
            at_our_end: "KILL",
        };
        let running = running::Running::start(
            "n1",
            &launch,
            &folder,
            Lifetime::WithUs,
            running::StopBy::Terminate,
            5,
        )
        .unwrap();
        let process = running.process().clone();
        let starting = CamundaStatus::Starting(1);
        assert_eq!(status(root.path(), "camunda").unwrap(), starting);
        assert_eq!(down(root.path(), "camunda").await.unwrap(), starting);
        assert!(!process.is_alive());
        assert!(!root.path().join("camunda").exists());
    }

    #[test]
    fn can_be_started_from_any_task() {
        fn movable<T: Send>(_: &T) {}
        movable(&up(Path::new("x"), "x", &CamundaSpec::default()));
    }
}

//! The database's own upgrade, node by node, and Optimize's after it: two plans by the same command.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::HandedNode;
use liftlock_lab::NodeSpec;
use liftlock_lab::SearchCluster;
use liftlock_lab::ServerKind;
use liftlock_lab::SiteSpec;
use liftlock_lab::diff;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::TO;
use super::approved;
use super::clean;
use super::ensure;
use super::introduce;
use super::last_run;
use crate::kuzzle::ALLOCATION;
use crate::kuzzle::stage::node_toml;
use crate::kuzzle::stage::open_to_all;
use crate::operator::Told;
use crate::simulated::Simulated;
use crate::stage::Kit;
use crate::stage::REPOSITORY;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;

/// How long all nodes are waited for, on a machine that does other things.
const NODES_PATIENCE: Duration = Duration::from_secs(280);

/// Three nodes that somebody else stops and starts, with Optimize's site on them.
#[derive(Debug)]
pub struct Searching {
    /// What runs; first, as it ends before its folder goes.
    nodes: Vec<HandedNode>,
    stage: Stage,
    to: ServerKind,
    _folder: TempDir,
}

impl Searching {
    /// Starts three nodes of `from` with the version `to` beside it.
    pub async fn start(kit: &Kit, from: ServerKind, to: ServerKind) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        // Nodes may run as another user, who has to come through.
        open_to_all(folder.path())?;
        let dir = folder.path().join("cluster");
        let cluster = SearchCluster::start(from, dir, &NodeSpec::usual(3)).await?;
        let repository = cluster.repo_dir();
        let nodes = cluster.hand_over(from, &[to]).await?;
        let stage = Stage::new(kit, &nodes[0].target()?, &repository).await?;
        Ok(Self {
            stage: stage.with_nodes(nodes.iter().map(|node| (node.base_url(), node_toml(node)))),
            nodes,
            to,
            _folder: folder,
        })
    }

    /// Every node says this version of itself, and runs it from its folder.
    async fn all_are(&self, version: &str) -> anyhow::Result<()> {
        for node in &self.nodes {
            let said = node.target()?.get("/").await?["version"]["number"].clone();
            if node.current()? != version || said != version {
                bail!(
                    "`{}` runs `{}` and says {said}",
                    node.name(),
                    node.current()?
                );
            }
        }
        Ok(())
    }

    /// As [`Self::all_are`], waited for.
    async fn until_all_are(&self, version: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + NODES_PATIENCE;
        loop {
            match self.all_are(version).await {
                Err(_) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                told => return told,
            }
        }
    }

    /// A fresh site, with all replicas in their places.
    async fn ready(&self) -> anyhow::Result<Round> {
        let round = self.stage.fresh(&SiteSpec::default()).await?;
        let green = "/_cluster/health?wait_for_status=green&timeout=60s";
        self.stage.target.get(green).await?;
        Ok(round)
    }

    async fn settings(&self) -> anyhow::Result<Value> {
        let path = "/_cluster/settings?flat_settings=true";
        Ok(self.stage.target.get(path).await?)
    }
}

/// Refused while the database is too old, then the database and after it Optimize, each by a plan of its own.
pub async fn upgrades_the_database_first(on: &Searching, tally: &mut Tally) -> anyhow::Result<()> {
    let round = on.ready().await?;
    refuses_until_all_is_said(&round, on.to.version(), tally).await?;
    takes_the_nodes(on, &round, tally).await?;
    takes_optimize(on, &round, tally).await
}

/// Liftlock is killed once the last node is new, where nothing but the run tells that its plan is of the database: whoever
/// resumes it brings it to the same end.
pub async fn goes_on_once_every_node_is_new(
    on: &Searching,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = on.ready().await?;
    introduce(&round).await?;
    let version = on.to.version();
    let options = format!("[options]\ndatabase = \"{version}\"\noutages = \"accepted\"\n");
    round.change_site("[options]\n", &options).await?;
    let settings = on.settings().await?;
    let plan = approved(&round).await?;
    let mut child = round.operator.start(&["run", &plan])?;
    let all_new = on.until_all_are(version).await;
    child.kill().await?;
    tally.check("it was killed once every node was new", all_new);
    tally.check(
        "and before Optimize was started again",
        ensure(!round.answers().await, "it answers"),
    );
    let run = last_run(&round.operator).await?;
    let told = round.operator.run(&["resume", &run]).await?;
    tally.check("the resumed run is done", told.expect(0).map(drop));
    ends_well(on, &round, &settings, tally).await?;
    let told = round.operator.run(&["plan", TO]).await?.expect(0)?;
    tally.check(
        "the next plan is Optimize's",
        ensure(told.says("3 of the vendor's 3 steps"), told.to_string()),
    );
    Ok(())
}

/// What is refused and what is planned, on simulated nodes that nobody can start.
pub async fn plans_the_database_first(kit: &Kit, tally: &mut Tally) -> anyhow::Result<()> {
    let version = ServerKind::OpenSearch2.version();
    let cluster = Simulated::start_of_version(ServerKind::OpenSearch211.version()).await?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    for name in [ServerKind::OpenSearch211.version(), version] {
        fs::create_dir_all(folder.path().join("versions").join(name))?;
    }
    let current = folder.path().join("versions/2.11.0");
    symlink(current, folder.path().join("current"))?;
    let table = |(number, url): (usize, String)| {
        let (dir, port) = (folder.path().display(), port_of(&url));
        let table = format!(
            "[service.node-n{number}]\nstart = [\"{dir}/current/start\"]\nport = {port}\n\
             process = \"{dir}/current/{number}\"\n\
             [service.node-n{number}.labels]\nnode = \"node-{number}\"\n\
             [service.node-n{number}.artifact]\nlink = \"{dir}/current\"\nversions = \"{dir}/versions\"\n\n"
        );
        (url, table)
    };
    let nodes: Vec<_> = (1..).zip(cluster.urls()).map(table).collect();
    let stage = Stage::new(kit, cluster.target(), &cluster.repository()).await?;
    let stage = stage.with_nodes(nodes);
    let round = stage.fresh(&SiteSpec::default()).await?;
    refuses_until_all_is_said(&round, version, tally).await?;
    let told = round.operator.run(&["plan", TO]).await?.expect(0)?;
    let plan = fs::read_to_string(round.plan_file()?)?;
    tally.check("the plan takes each node, and Optimize's is the next", {
        let steps = [
            "node-n1-stop",
            "node-n2-switch",
            "node-n3-release",
            "start-optimize",
        ];
        let lacks: Vec<&str> = steps.into_iter().filter(|id| !plan.contains(id)).collect();
        let is_next = told.says("`liftlock plan 8.8.0` again");
        ensure(lacks.is_empty() && is_next, format!("{lacks:?} {told}"))
    });
    Ok(())
}

fn port_of(url: &str) -> &str {
    url.trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap_or_default()
}

/// Without the option, with a version that Optimize does not run on, and while indices have no replica: refused.
async fn refuses_until_all_is_said(
    round: &Round,
    to: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    introduce(round).await?;
    refuses_without_the_option(round, tally).await?;
    refuses_what_no_line_lists(round, tally).await?;
    let database = format!("database = \"{to}\"\n");
    round
        .change_site("database = \"2.16.0\"\n", &database)
        .await?;
    let told = round.operator.run(&["plan", TO]).await?;
    tally.check(
        "indices without a replica are refused by name",
        is_refused(&told, &["optimize.no-replica", "optimize-settings_v3"]),
    );
    round
        .change_site(&database, &format!("{database}outages = \"accepted\"\n"))
        .await
}

fn is_refused(told: &Told, says: &[&str]) -> anyhow::Result<()> {
    let says_all = says.iter().all(|text| told.says(text));
    ensure(told.code == Some(3) && says_all, told.to_string())
}

/// The verbs and bindings that only the option asks for.
const OF_THE_OPTION: [&str; 4] = [
    "service.node-n1",
    "cluster.flush",
    "cluster.set-cluster-setting",
    "cluster.remove-archived-settings",
];

fn granted(round: &Round) -> anyhow::Result<Vec<&'static str>> {
    let grants = fs::read_to_string(round.operator.site().join("grants.toml"))?;
    let is_granted = |text: &&str| grants.contains(&format!("\"{text}\""));
    Ok(OF_THE_OPTION.into_iter().filter(is_granted).collect())
}

async fn refuses_without_the_option(round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    tally.check(
        "without the option nothing of the nodes is asked for, though they are bound",
        ensure(granted(round)?.is_empty(), format!("{:?}", granted(round)?)),
    );
    let told = round.operator.run(&["plan", TO]).await?;
    tally.check(
        "a database that is too old is refused, and the option named",
        is_refused(
            &told,
            &["optimize.database-too-old", "the option `database`"],
        ),
    );
    Ok(())
}

async fn refuses_what_no_line_lists(round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    round
        .change_site("[options]\n", "[options]\ndatabase = \"2.16.0\"\n")
        .await?;
    tally.check(
        "with it they are",
        ensure(
            granted(round)?.len() == OF_THE_OPTION.len(),
            format!("{:?}", granted(round)?),
        ),
    );
    let told = round.operator.run(&["plan", TO]).await?;
    tally.check(
        "a version that Optimize does not run on is refused before any node is stopped",
        is_refused(&told, &["optimize.database-target", "2.17"]),
    );
    Ok(())
}

async fn takes_the_nodes(on: &Searching, round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    let stage = &on.stage;
    let settings = json!({ "persistent": { ALLOCATION: "all" } });
    stage.target.put("/_cluster/settings", &settings).await?;
    let settings = on.settings().await?;
    let told = round.operator.run(&["plan", TO]).await?.expect(0)?;
    tally.check(
        "the plan says that it is of the database, and what comes after it",
        ensure(
            told.says("3 of 3 nodes") && told.says("`liftlock plan 8.8.0` again"),
            told.to_string(),
        ),
    );
    let run = run_newest(round).await?;
    tally.check("the run of the database is done", run.expect(0).map(drop));
    ends_well(on, round, &settings, tally).await
}

/// Every node is new, and all else is as it was.
async fn ends_well(
    on: &Searching,
    round: &Round,
    settings: &Value,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let stage = &on.stage;
    let version = on.to.version();
    tally.check(
        &format!("every node is {version}"),
        on.all_are(version).await,
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.same(
        "no document, mapping, setting or alias differs",
        &[],
        &diff(&round.before, &after),
    );
    tally.check(
        "Optimize serves again, as its line runs on the new version",
        ensure(round.answers().await, "it does not answer"),
    );
    tally.check(
        "cluster settings are as the operator had them",
        ensure(
            on.settings().await? == *settings,
            on.settings().await?.to_string(),
        ),
    );
    clean::check_nothing_left(stage, tally).await?;
    let name = format!("{}-before-database-{version}", round.facts.prefix);
    tally.check(
        "the snapshot of before is kept and whole",
        is_whole(stage, &name).await,
    );
    Ok(())
}

async fn is_whole(stage: &Stage, name: &str) -> anyhow::Result<()> {
    let all = format!("/_snapshot/{REPOSITORY}/_all");
    let all = stage.target.get(&all).await?;
    let of_the_name = |one: &&Value| {
        let text = one["snapshot"].as_str().unwrap_or_default();
        text.starts_with(name) && one["state"] == "SUCCESS"
    };
    let count = all["snapshots"].as_array().into_iter().flatten();
    ensure(count.filter(of_the_name).count() == 1, all.to_string())
}

async fn takes_optimize(on: &Searching, round: &Round, tally: &mut Tally) -> anyhow::Result<()> {
    round.operator.run(&["plan", TO]).await?.expect(0)?;
    let run = run_newest(round).await?;
    tally.check("the run of Optimize is done", run.expect(0).map(drop));
    tally.check(
        "it left Optimize stopped",
        ensure(!round.answers().await, "it answers"),
    );
    clean::check_end_state(&on.stage, round, tally).await?;
    clean::check_nothing_left(&on.stage, tally).await?;
    let again = ["plan", TO, "--detailed-exitcode"];
    let again = round.operator.run(&again).await?;
    tally.check("nothing is left to do", again.expect(0).map(drop));
    Ok(())
}

async fn run_newest(round: &Round) -> anyhow::Result<Told> {
    let plan = round.plan_file()?;
    let plan = plan.to_string_lossy();
    round.operator.approve(&plan).await?;
    round.operator.run(&["run", &plan]).await
}

//! The proof that the SDK's rolling upgrade takes a search cluster from version to version: three real nodes, on either
//! product, with no product of anybody's around them.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::HandedNode;
use liftlock_lab::HttpTarget;
use liftlock_lab::NodeSpec;
use liftlock_lab::ProcessId;
use liftlock_lab::SearchCluster;
use liftlock_lab::ServerKind;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::artifacts::Component;
use crate::kuzzle::ALLOCATION;
use crate::kuzzle::stage::node_toml;
use crate::kuzzle::stage::open_to_all;
use crate::operator::Operator;
use crate::proof::ensure;
use crate::tally::Tally;

/// Has a copy on another node.
const SAFE: &str = "safe";
/// Made for the trap: hidden, with a copy on another node.
const HIDDEN: &str = ".hidden-of-before";
/// Made for the trap and closed then.
const CLOSED: &str = "closed-of-before";

/// Documents in each index.
const DOCUMENTS: u64 = 100;

/// Three nodes that somebody else stops and starts, and an operator.
#[derive(Debug)]
pub struct NodesStage {
    nodes: Vec<HandedNode>,
    operator: Operator,
    _folder: TempDir,
}

impl NodesStage {
    /// Starts three nodes of `from` with the versions `to` beside it, and fills them.
    pub async fn start(
        liftlock: &Path,
        plugin: &Component,
        from: ServerKind,
        to: &[ServerKind],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        // Nodes may run as another user, who has to come through.
        open_to_all(folder.path())?;
        let dir = folder.path().join("cluster");
        let cluster = SearchCluster::start(from, dir, &NodeSpec::usual(3)).await?;
        let nodes = cluster.hand_over(from, to).await?;
        let [files, state] = ["site", "state"].map(|name| folder.path().join(name));
        fs::create_dir(&files).with_context(|| format!("cannot make `{}`", files.display()))?;
        fs::write(files.join("site.toml"), site_toml(&nodes))?;
        let operator = Operator::new(liftlock, &files, &state);
        operator.add(&plugin.path).await?;
        operator.grant().await?;
        let stage = Self {
            nodes,
            operator,
            _folder: folder,
        };
        stage.fill(SAFE, false).await?;
        Ok(stage)
    }

    fn target(&self) -> anyhow::Result<HttpTarget> {
        Ok(self.nodes[0].target()?)
    }

    async fn fill(&self, index: &str, is_hidden: bool) -> anyhow::Result<()> {
        let target = self.target()?;
        let settings = json!({ "settings": {
            "index.number_of_shards": 1,
            "index.number_of_replicas": 1,
            "index.hidden": is_hidden,
        } });
        target.put(&format!("/{index}"), &settings).await?;
        for number in 0..DOCUMENTS {
            let path = format!("/{index}/_doc/{number}");
            target.put(&path, &json!({ "number": number })).await?;
        }
        let green = "/_cluster/health?wait_for_status=green&timeout=60s";
        target.get(green).await?;
        Ok(())
    }

    async fn count(&self, index: &str) -> anyhow::Result<()> {
        let target = self.target()?;
        // By GET, as 9 takes no body with a refresh.
        target.get(&format!("/{index}/_refresh")).await?;
        let told = target.get(&format!("/{index}/_count")).await?;
        if told["count"] != DOCUMENTS {
            bail!("`{index}` has {}, not {DOCUMENTS}", told["count"]);
        }
        Ok(())
    }

    async fn allocation(&self) -> anyhow::Result<Value> {
        let all = self
            .target()?
            .get("/_cluster/settings?flat_settings=true")
            .await?;
        Ok(all["persistent"][ALLOCATION].clone())
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

    fn processes(&self) -> Vec<ProcessId> {
        self.nodes.iter().flat_map(HandedNode::processes).collect()
    }
}

fn site_toml(nodes: &[HandedNode]) -> String {
    let urls: Vec<String> = nodes
        .iter()
        .map(|node| format!("\"{}\"", node.base_url()))
        .collect();
    let mut text = format!(
        "name = \"nodes\"\nproduct-plugin = \"nodes\"\n\n[cluster.database]\nnodes = [{}]\n\n",
        urls.join(", ")
    );
    nodes
        .iter()
        .for_each(|node| text.push_str(&node_toml(node)));
    text
}

/// One hop: planned, approved, run; then nodes, documents and what was borrowed are looked at.
pub async fn takes_every_node(
    stage: &NodesStage,
    to: ServerKind,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let to = to.version();
    let settings = json!({ "persistent": { ALLOCATION: "all" } });
    let target = stage.target()?;
    target.put("/_cluster/settings", &settings).await?;
    let plan = stage.operator.approved(to).await?;
    let run = stage.operator.run(&["run", &plan]).await?;
    tally.check(&format!("the run to {to} is done"), run.expect(0).map(drop));
    tally.check(&format!("every node is {to}"), stage.all_are(to).await);
    tally.check("no document is lost", stage.count(SAFE).await);
    tally.check(
        "allocation is as the operator had it",
        ensure(stage.allocation().await? == "all", "it is not"),
    );
    let again = ["plan", to, "--detailed-exitcode"];
    let again = stage.operator.run(&again).await?;
    tally.check("nothing is left to do", again.expect(0).map(drop));
    Ok(())
}

/// A major that no node can be taken to at once: refused, with the line that leads there.
pub async fn refuses_to_skip_a_major(
    stage: &NodesStage,
    to: ServerKind,
    by: &str,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let told = stage.operator.run(&["plan", to.version()]).await?;
    let is_refused = told.code == Some(3) && told.says("nodes.no-way") && told.says(by);
    tally.check(
        &format!("{} is refused, and {by} named", to.version()),
        ensure(is_refused, told.to_string()),
    );
    Ok(())
}

/// Makes a hidden and a closed index, of the version that runs now.
pub async fn makes_indices_that_grow_old(stage: &NodesStage) -> anyhow::Result<()> {
    stage.fill(HIDDEN, true).await?;
    stage.fill(CLOSED, false).await?;
    let close = format!("/{CLOSED}/_close");
    stage.target()?.post(&close, &json!({})).await?;
    Ok(())
}

/// Indices of the major before last are named before any node is stopped, hidden and closed ones too; once they are
/// written anew, or gone, nothing speaks against it.
pub async fn refuses_indices_that_are_too_old(
    stage: &NodesStage,
    to: ServerKind,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let before = stage.processes();
    let told = stage.operator.run(&["plan", to.version()]).await?;
    let names_all = [SAFE, HIDDEN, CLOSED].iter().all(|name| told.says(name));
    tally.check(
        "indices that are too old are named, hidden and closed ones too",
        ensure(
            told.code == Some(3) && told.says("nodes.index-too-old") && names_all,
            told.to_string(),
        ),
    );
    tally.check(
        "no node was stopped for that",
        ensure(stage.processes() == before, "other processes run now"),
    );
    // As the remedy says: written anew under another name, then called by the old one.
    let target = stage.target()?;
    let reindex = json!({ "source": { "index": SAFE }, "dest": { "index": "anew" } });
    let path = "/_reindex?refresh=true";
    target.post(path, &reindex).await?;
    for gone in [SAFE, HIDDEN, CLOSED] {
        target.delete(&format!("/{gone}")).await?;
    }
    let alias = json!({ "actions": [{ "add": { "index": "anew", "alias": SAFE } }] });
    target.post("/_aliases", &alias).await?;
    let green = "/_cluster/health?wait_for_status=green&timeout=60s";
    target.get(green).await?;
    Ok(())
}

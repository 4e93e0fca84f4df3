//! A Kuzzle on three nodes with `site.toml` for all of it, and an operator who knows nothing of it yet.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::HandedNode;
use liftlock_lab::HttpTarget;
use liftlock_lab::kuzzle::Handed;
use liftlock_lab::kuzzle::KuzzleSite;
use liftlock_lab::kuzzle::site::TO;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use crate::artifacts::Component;
use crate::operator::Operator;
use crate::operator::Told;

/// Variable with the token that Liftlock shows to Kuzzle.
pub const TOKEN: &str = "LIFTLOCK_LAB_KUZZLE_TOKEN";

/// Name of the snapshot repository in the cluster.
const REPOSITORY: &str = "backups";

/// How long a node may start: 43 s were seen on a busy machine.
const START_TIMEOUT_MS: u64 = 150_000;

/// The operator's setting that a run borrows.
pub const ALLOCATION: &str = "cluster.routing.allocation.enable";

/// A running site, and an operator.
#[derive(Debug)]
pub struct KuzzleStage {
    /// What runs; first, as it ends before its folder goes.
    pub site: KuzzleSite,
    /// Who runs the commands.
    pub operator: Operator,
    plugin: Component,
    _folder: TempDir,
}

impl KuzzleStage {
    /// Starts everything; `options` are lines under `[options]`.
    pub async fn start(liftlock: &Path, plugin: &Component, options: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        // Nodes run as another user, who has to come through.
        open_to_all(folder.path())?;
        let site = KuzzleSite::start(folder.path(), 3).await?;
        let [files, state] = ["site", "state"].map(|name| folder.path().join(name));
        fs::create_dir(&files).with_context(|| format!("cannot make `{}`", files.display()))?;
        let repository = json!({
            "type": "fs",
            "settings": { "location": site.repo_dir().join(REPOSITORY) },
        });
        let storage = site.nodes[0].target()?;
        storage
            .put(&format!("/_snapshot/{REPOSITORY}"), &repository)
            .await
            .context("cannot register the snapshot repository")?;
        fs::write(files.join("site.toml"), site_toml(&site, options))?;
        let operator =
            Operator::new(liftlock, &files, &state).env(TOKEN, site.seeded.token.reveal());
        Ok(Self {
            site,
            operator,
            plugin: plugin.clone(),
            _folder: folder,
        })
    }

    /// The version that the plan goes to.
    pub fn to(&self) -> &'static str {
        TO.version()
    }

    /// A node's own API.
    pub fn storage(&self) -> anyhow::Result<HttpTarget> {
        Ok(self.site.nodes[0].target()?)
    }

    /// A client of Kuzzle.
    pub fn client(&self) -> Client<'_> {
        Client {
            kuzzle: &self.site.kuzzle,
            seeded: &self.site.seeded,
        }
    }

    /// Adds the plugin, grants what it asks for, plans and approves; gives the plan's file.
    pub async fn approved(&self) -> anyhow::Result<String> {
        self.granted().await?;
        self.operator.approved(self.to()).await
    }

    /// Adds the plugin and grants what it asks for.
    pub async fn granted(&self) -> anyhow::Result<()> {
        self.operator.add(&self.plugin.path).await?;
        self.operator.grant().await
    }

    /// Writes other lines under `[options]`, and grants anew.
    pub async fn change_options(&self, options: &str) -> anyhow::Result<()> {
        let file = self.operator.site().join("site.toml");
        fs::write(&file, site_toml(&self.site, options))?;
        self.operator.grant().await
    }

    /// Runs an approved plan.
    pub async fn run(&self, plan: &str) -> anyhow::Result<Told> {
        self.operator.run(&["run", plan]).await
    }

    /// Every node runs the new version from its folder, and says so.
    pub async fn all_are_new(&self) -> anyhow::Result<()> {
        for node in &self.site.nodes {
            let said = node.target()?.get("/").await?;
            let said = said["version"]["number"].clone();
            if node.current()? != self.to() || said != self.to() {
                bail!(
                    "`{}` runs `{}` and says {said}",
                    node.name(),
                    node.current()?
                );
            }
        }
        let nodes = self
            .storage()?
            .get("/_cat/nodes?format=json&h=name,version")
            .await?;
        let is_new = |node: &Value| node["version"] == self.to();
        let count = nodes.as_array().map_or(0, Vec::len);
        if count != self.site.nodes.len()
            || !nodes.as_array().is_some_and(|all| all.iter().all(is_new))
        {
            bail!("the cluster has {nodes}");
        }
        Ok(())
    }

    /// The operator's own value of a setting, persistent or transient; null where there is none.
    pub async fn setting(&self, scope: &str, key: &str) -> anyhow::Result<Value> {
        let all = self
            .storage()?
            .get("/_cluster/settings?flat_settings=true")
            .await?;
        Ok(all[scope][key].clone())
    }
}

pub(crate) fn open_to_all(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot open `{}`", folder.display()))
}

fn site_toml(site: &KuzzleSite, options: &str) -> String {
    let nodes: Vec<String> = site
        .nodes
        .iter()
        .map(|node| format!("\"{}\"", node.base_url()))
        .collect();
    let mut text = format!(
        "name = \"kuzzle\"\nproduct-plugin = \"kuzzle\"\n\n[options]\n{options}\n\n\
         [cluster.storage]\nnodes = [{}]\n\n\
         [snapshot.backups]\ncluster = \"cluster.storage\"\nrepository = \"{REPOSITORY}\"\n\n",
        nodes.join(", ")
    );
    for node in &site.nodes {
        text.push_str(&node_toml(node));
    }
    text.push_str(&kuzzle_toml(&site.kuzzle));
    text
}

pub(crate) fn node_toml(node: &HandedNode) -> String {
    let (name, dir, port) = (node.name(), node.dir().display(), node.port());
    let user = node
        .user()
        .map(|user| format!("user = \"{user}\"\n"))
        .unwrap_or_default();
    format!(
        "[service.node-{name}]\nstart = [\"/bin/sh\", \"{dir}/current/start\"]\n\
         directory = \"{dir}\"\n{user}host = \"127.0.0.1\"\nport = {port}\n\
         process = \"{argument}\"\nready = {{ http = \"http://127.0.0.1:{port}/\" }}\n\
         start-timeout-ms = {START_TIMEOUT_MS}\n\n\
         [service.node-{name}.labels]\nnode = \"{name}\"\n\n\
         [service.node-{name}.artifact]\nlink = \"{dir}/current\"\nversions = \"{dir}/versions\"\n\n",
        argument = node.argument(),
    )
}

pub(super) fn kuzzle_toml(kuzzle: &Handed) -> String {
    let (dir, port) = (kuzzle.dir().display(), kuzzle.port());
    let command: Vec<String> = kuzzle
        .command
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect();
    let environment: Vec<String> = Handed::ENVIRONMENT
        .iter()
        .map(|(name, value)| format!("{name} = \"{value}\"\n"))
        .collect();
    format!(
        "[service.kuzzle]\nstart = [{}]\ndirectory = \"{dir}\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         process = \"app.js {dir}\"\nready = {{ http = \"http://127.0.0.1:{port}/_ready\" }}\n\n\
         [service.kuzzle.environment]\nHOME = \"{dir}\"\n{}\n\
         [disk.kuzzle]\npath = \"{dir}\"\n\n\
         [endpoint.kuzzle]\nurl = \"http://127.0.0.1:{port}\"\nauth = {{ bearer = {{ env = \"{TOKEN}\" }} }}\n",
        command.join(", "),
        environment.concat(),
    )
}

//! A new cluster beside the old one: Kuzzle moves there by a snapshot, and back to the old one, which nobody touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::LabError;
use liftlock_lab::Server;
use liftlock_lab::kuzzle::Handed;
use liftlock_lab::kuzzle::Kuzzle;
use liftlock_lab::kuzzle::KuzzleSpec;
use liftlock_lab::kuzzle::Mode;
use liftlock_lab::kuzzle::Redis;
use liftlock_lab::kuzzle::seed;
use liftlock_lab::kuzzle::seed::Seeded;
use liftlock_lab::kuzzle::site::FROM;
use liftlock_lab::kuzzle::site::TO;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::client::Client;
use super::stage::TOKEN;
use super::stage::kuzzle_toml;
use super::stage::open_to_all;
use crate::artifacts::Component;
use crate::operator::Operator;
use crate::proof::last_run;
use crate::tally::Tally;

/// How long a run may take until it fills the new cluster, on a machine that does other things.
const RESTORE_PATIENCE: Duration = Duration::from_secs(120);

/// Two clusters, one store, and a Kuzzle on the old one.
#[derive(Debug)]
pub struct Pair {
    /// Kuzzle, on the old cluster.
    pub kuzzle: Handed,
    /// The old cluster.
    pub old: Server,
    /// The new one.
    pub new: Server,
    _redis: Redis,
}

impl Pair {
    /// Starts it in this folder, and hands Kuzzle over once this was done with it.
    pub(super) async fn start<T>(
        home: &Path,
        with: impl AsyncFnOnce(&Kuzzle) -> Result<T, LabError>,
    ) -> anyhow::Result<(Self, T)> {
        let old = Server::start(FROM, home.join("old")).await?;
        let beside = home.join("new");
        share_store(old.repo_dir(), &beside)?;
        let new = Server::start(TO, beside).await?;
        let redis = Redis::start(home.join("redis")).await?;
        let spec = KuzzleSpec {
            storage: old.base_url().to_owned(),
            mode: Mode::Seven,
            redis_port: redis.port(),
        };
        let kuzzle = Kuzzle::start(home.join("kuzzle"), &spec).await?;
        let done = with(&kuzzle).await?;
        let pair = Self {
            kuzzle: kuzzle.hand_over().await?,
            old,
            new,
            _redis: redis,
        };
        Ok((pair, done))
    }

    /// What the plugin is told of it; `location` is below the first folder of each cluster's `path.repo`, which are one.
    pub(super) fn options(&self, location: &str) -> String {
        format!(
            "address = \"{}\"\nnew-address = \"{}\"\n\
             repository = '{{\"type\": \"fs\", \"settings\": {{\"location\": \"{location}\"}}}}'\n\n",
            self.old.base_url(),
            self.new.base_url(),
        )
    }

    pub(super) fn bindings(&self) -> String {
        format!(
            "[cluster.storage]\nnodes = [\"{}\"]\n\n[cluster.new]\nnodes = [\"{}\"]\n\n\
             [snapshot.backups]\ncluster = \"cluster.storage\"\nrepository = \"migration\"\n\n\
             [snapshot.new]\ncluster = \"cluster.new\"\nrepository = \"migration\"\n\n{}",
            self.old.base_url(),
            self.new.base_url(),
            kuzzle_toml(&self.kuzzle),
        )
    }
}

/// Makes a server's folder with this store in it, as a shared file system is.
pub(super) fn share_store(store: impl AsRef<Path>, server: &Path) -> anyhow::Result<()> {
    fs::create_dir(server).context("cannot make a folder")?;
    symlink(store, server.join("repo")).context("cannot share the store")
}

/// A site that moves from one cluster to another, and an operator.
#[derive(Debug)]
pub struct BesideStage {
    /// The site.
    pub site: Pair,
    seeded: Seeded,
    /// Who runs the commands.
    pub operator: Operator,
    plugin: Component,
    pub(super) folder: TempDir,
}

impl BesideStage {
    /// Starts and fills it.
    pub async fn start(liftlock: &Path, plugin: &Component) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let home = folder.path();
        // The servers run as another user, who has to come through.
        open_to_all(home)?;
        let (site, seeded) =
            Pair::start(home, async |kuzzle: &Kuzzle| seed::seed(kuzzle).await).await?;
        let [files, state] = ["site", "state"].map(|name| home.join(name));
        fs::create_dir(&files).with_context(|| format!("cannot make `{}`", files.display()))?;
        fs::write(files.join("site.toml"), site_toml(&site)).context("cannot write site.toml")?;
        let operator = Operator::new(liftlock, &files, &state).env(TOKEN, seeded.token.reveal());
        Ok(Self {
            site,
            seeded,
            operator,
            plugin: plugin.clone(),
            folder,
        })
    }

    /// A client of Kuzzle.
    pub fn client(&self) -> Client<'_> {
        Client {
            kuzzle: &self.site.kuzzle,
            seeded: &self.seeded,
        }
    }

    /// The version that the plan goes to.
    pub fn to(&self) -> &'static str {
        TO.version()
    }

    pub(super) fn config(&self) -> anyhow::Result<String> {
        let path = self.site.kuzzle.config_file();
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }

    /// Adds the plugin and grants what it asks for.
    pub async fn granted(&self) -> anyhow::Result<()> {
        self.operator.add(&self.plugin.path).await?;
        self.operator.grant().await
    }

    /// Kuzzle is well, on a storage of this version, with everything and everybody in it.
    pub(super) async fn serves_from(&self, version: &str) -> anyhow::Result<()> {
        self.client().is_served_from(version).await?;
        self.client().finds_all().await
    }
}

/// Name, uuid and documents of each collection; and which alias names which index.
pub(super) async fn picture(server: &Server) -> anyhow::Result<Value> {
    let target = server.target();
    let (_, refreshed) = target.send(Method::POST, "/_refresh", None).await?;
    let indices = "/_cat/indices/%26*,%25*?format=json&h=index,uuid,docs.count&s=index";
    let aliases = "/_cat/aliases/@*?format=json&h=alias,index&s=alias";
    Ok(json!({
        "failed": refreshed["_shards"]["failed"],
        "indices": target.get(indices).await?,
        "aliases": target.get(aliases).await?,
    }))
}

/// Plans, runs, looks; then goes back, and looks again.
pub async fn moves_to_a_new_cluster_and_back(
    stage: &BesideStage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    stage.granted().await?;
    let (before, config) = (picture(&stage.site.old).await?, stage.config()?);
    let plan = stage.operator.approved(stage.to()).await?;
    let told = stage.operator.run(&["run", &plan]).await?;
    tally.check("the run is done", told.expect(0).map(drop));
    tally.check(
        "Kuzzle serves from the new cluster, with the token of before",
        stage.serves_from(TO.version()).await,
    );
    tally.check(
        "and works in mode 8",
        stage.client().deletes_by_query().await,
    );
    let admin = stage.client().logs_in().await;
    tally.check("the administrator logs in", admin);
    tally.check(
        "the old cluster is as it was",
        is(&before, &stage.site.old).await,
    );
    let restored = picture(&stage.site.new).await?;
    let same = names(&restored) == names(&before) && restored["aliases"] == before["aliases"];
    tally.check(
        "the new one has the same collections under the same aliases",
        same.then_some(()).with_context(|| restored.to_string()),
    );

    let run = last_run(&stage.operator).await?;
    let back = ["rollback", &run, "--yes"];
    let told = stage.operator.run(&back).await?;
    tally.check("the rollback is done", told.expect(0).map(drop));
    tally.check(
        "Kuzzle serves from the old cluster, with the token of before",
        stage.serves_from(FROM.version()).await,
    );
    tally.check(
        "its configuration is as it was",
        (stage.config()? == config)
            .then_some(())
            .context("it is another"),
    );
    tally.check(
        "the old cluster is as it was",
        is(&before, &stage.site.old).await,
    );
    Ok(())
}

/// Liftlock is killed while the new cluster is being filled; whoever resumes brings it to the same end, and restores nothing
/// once more.
pub async fn goes_on_after_a_kill_in_the_restore(
    stage: &BesideStage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    stage.granted().await?;
    let before = picture(&stage.site.old).await?;
    let plan = stage.operator.approved(stage.to()).await?;
    let arguments = ["run", plan.as_str()];
    let mut child = stage.operator.start(&arguments)?;
    let begun = has_collections(&stage.site.new).await;
    child.kill().await?;
    begun?;
    let run = last_run(&stage.operator).await?;
    let audit = stage.operator.run(&["audit", &run, "--json"]).await?;
    let rows = audit.expect(0)?.data()?["rows"].clone();
    let of_restore = rows.as_array().into_iter().flatten();
    let kinds: Vec<&Value> = of_restore
        .filter(|row| row["step"] == "restore")
        .map(|row| &row["kind"])
        .collect();
    let in_it = kinds.contains(&&json!("intent")) && !kinds.contains(&&json!("outcome"));
    tally.check(
        "it was killed while the new cluster was filled",
        in_it
            .then_some(())
            .with_context(|| format!("its rows are {kinds:?}")),
    );
    let filled = uuids(&picture(&stage.site.new).await?);
    let told = stage.operator.run(&["resume", &run]).await?;
    tally.check("the resumed run is done", told.expect(0).map(drop));
    tally.check(
        "Kuzzle serves from the new cluster, with the token of before",
        stage.serves_from(TO.version()).await,
    );
    let after = picture(&stage.site.new).await?;
    let same = names(&after) == names(&before) && after["aliases"] == before["aliases"];
    tally.check(
        "it has the same collections under the same aliases",
        same.then_some(()).with_context(|| after.to_string()),
    );
    tally.check(
        "none of them was restored once more",
        (uuids(&after) == filled)
            .then_some(())
            .with_context(|| format!("they were {filled:?}, and are {after}")),
    );
    tally.check(
        "the old cluster is as it was",
        is(&before, &stage.site.old).await,
    );
    Ok(())
}

/// Waits until Kuzzle's first index is there.
async fn has_collections(new: &Server) -> anyhow::Result<()> {
    let end = Instant::now() + RESTORE_PATIENCE;
    let path = "/_cat/indices/%26*,%25*?format=json&h=index";
    while new
        .target()
        .get(path)
        .await?
        .as_array()
        .is_none_or(Vec::is_empty)
    {
        if Instant::now() > end {
            bail!("nothing was restored");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn uuids(picture: &Value) -> Vec<Value> {
    let rows = picture["indices"].as_array().into_iter().flatten();
    rows.map(|row| json!([row["index"], row["uuid"]])).collect()
}

pub(super) async fn is(before: &Value, server: &Server) -> anyhow::Result<()> {
    let now = picture(server).await?;
    if now != *before {
        bail!("it was {before}, it is {now}");
    }
    Ok(())
}

pub(super) fn names(picture: &Value) -> Vec<(&Value, &Value)> {
    let rows = picture["indices"].as_array().into_iter().flatten();
    rows.map(|row| (&row["index"], &row["docs.count"]))
        .collect()
}

fn site_toml(site: &Pair) -> String {
    format!(
        "name = \"kuzzle\"\nproduct-plugin = \"kuzzle\"\n\n[options]\nmethod = \"snapshot\"\nquiet-seconds = 2\nwatch-seconds = 2\n\
         replicas = \"0\"\n{}{}",
        site.options("kuzzle"),
        site.bindings(),
    )
}

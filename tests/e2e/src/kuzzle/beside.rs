//! A new cluster beside the old one: Kuzzle moves there by a snapshot, and back to the old one, which nobody touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::HttpTarget;
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

use super::stage::TOKEN;
use super::stage::kuzzle_toml;
use super::stage::open_to_all;
use crate::artifacts::Component;
use crate::operator::Operator;
use crate::proof::last_run;
use crate::tally::Tally;

/// Two clusters, one store, a filled Kuzzle on the old one, and an operator.
#[derive(Debug)]
pub struct BesideStage {
    kuzzle: Handed,
    seeded: Seeded,
    old: Server,
    new: Server,
    operator: Operator,
    plugin: Component,
    _redis: Redis,
    _folder: TempDir,
}

impl BesideStage {
    /// Starts and fills it.
    pub async fn start(liftlock: &Path, plugin: &Component) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let home = folder.path();
        // The servers run as another user, who has to come through.
        open_to_all(home)?;
        let old = Server::start(FROM, home.join("old")).await?;
        let beside = home.join("new");
        fs::create_dir(&beside).context("cannot make a folder")?;
        // One store for both, as a shared file system is.
        symlink(old.repo_dir(), beside.join("repo")).context("cannot share the store")?;
        let new = Server::start(TO, beside).await?;
        let redis = Redis::start(home.join("redis")).await?;
        let spec = KuzzleSpec {
            storage: old.base_url().to_owned(),
            mode: Mode::Seven,
            redis_port: redis.port(),
        };
        let kuzzle = Kuzzle::start(home.join("kuzzle"), &spec).await?;
        // In a scope of Liftlock braces are an option, so that it cannot name such an index.
        let seeded = seed::seed_without(&kuzzle, &['{', '}']).await?;
        let kuzzle = kuzzle.hand_over().await?;
        let [files, state] = ["site", "state"].map(|name| home.join(name));
        fs::create_dir(&files).with_context(|| format!("cannot make `{}`", files.display()))?;
        let text = site_toml(&old, &new, &kuzzle);
        fs::write(files.join("site.toml"), text).context("cannot write site.toml")?;
        let operator = Operator::new(liftlock, &files, &state).env(TOKEN, seeded.token.reveal());
        Ok(Self {
            kuzzle,
            seeded,
            old,
            new,
            operator,
            plugin: plugin.clone(),
            _redis: redis,
            _folder: folder,
        })
    }

    fn api(&self) -> anyhow::Result<HttpTarget> {
        Ok(self.kuzzle.target()?.bearer(self.seeded.token.clone()))
    }

    fn config(&self) -> anyhow::Result<String> {
        let path = self.kuzzle.config_file();
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))
    }

    async fn introduce(&self) -> anyhow::Result<()> {
        let plugin = self.plugin.path.to_str().context("the plugin's path")?;
        let add = ["plugin", "add", plugin, "--allow-unsigned"];
        self.operator.run(&add).await?.expect(0)?;
        self.operator.run(&["grant", "--yes"]).await?.expect(0)?;
        Ok(())
    }

    /// Planning ends with a blocker of this id.
    async fn is_blocked_by(&self, id: &str) -> anyhow::Result<()> {
        let told = self
            .operator
            .run(&["plan", TO.version()])
            .await?
            .expect(3)?;
        if !told.says(id) {
            bail!("it does not say `{id}`");
        }
        Ok(())
    }

    async fn approved(&self) -> anyhow::Result<String> {
        let plan = ["plan", TO.version(), "--json"];
        let told = self.operator.run(&plan).await?.expect(0)?;
        let data = told.data()?;
        let file = data["file"].as_str().context("the plan's file")?.to_owned();
        let approve = ["approve", &file, "--by", "prover"];
        self.operator.run(&approve).await?.expect(0)?;
        Ok(file)
    }

    /// With the token from before the run: deep health, what its storage is, each collection, each user; and a login.
    async fn serves_from(&self, version: &str) -> anyhow::Result<()> {
        let api = self.api()?;
        let health = api.get("/_healthCheck").await?;
        if health["result"]["status"] != "green" {
            bail!("its health is {health}");
        }
        let info = api.get("/_serverInfo").await?;
        let seen = &info["result"]["serverInfo"]["services"]["internalStorage"]["version"];
        if seen != version {
            bail!("it sees a storage of {seen}");
        }
        for collection in &self.seeded.collections {
            let count = seed::count(&api, collection).await?;
            if count != collection.documents as u64 {
                bail!("{collection:?} has {count} documents");
            }
        }
        let users = api.post("/users/_search?size=100", &json!({})).await?;
        let mut ids: Vec<&str> = users["result"]["hits"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|user| user["_id"].as_str())
            .collect();
        ids.sort_unstable();
        if ids != self.seeded.users {
            bail!("the users are {ids:?}");
        }
        let me = api.get("/users/_me").await?;
        if me["result"]["_id"] != seed::ADMIN {
            bail!("the old token is of {me}");
        }
        Ok(())
    }

    /// What fails in mode 7 on a storage of 8: a deletion by query.
    async fn deletes_by_query(&self) -> anyhow::Result<()> {
        let path = format!("{}/_query", self.seeded.collections[0].path());
        let none = json!({ "query": { "term": { "n": 1_000_000 } } });
        let (status, answer) = self.api()?.send(Method::DELETE, &path, Some(&none)).await?;
        if status != 200 {
            bail!("{status} {answer}");
        }
        Ok(())
    }
}

/// Name, uuid and documents of each collection; and which alias names which index.
async fn picture(server: &Server) -> anyhow::Result<Value> {
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
    stage.introduce().await?;
    let (old, new) = (stage.old.target(), stage.new.target());
    new.put("/%25kuzzle.users", &json!({})).await?;
    let blocked = stage.is_blocked_by("kuzzle.new-not-empty").await;
    tally.check("a new cluster that a Kuzzle was on is refused", blocked);
    new.send(Method::DELETE, "/%25kuzzle.users", None).await?;
    old.put("/%26nyc.closed", &json!({})).await?;
    old.send(Method::POST, "/%26nyc.closed/_close", None)
        .await?;
    let blocked = stage.is_blocked_by("kuzzle.closed-index").await;
    tally.check("a closed collection is refused", blocked);
    old.send(Method::DELETE, "/%26nyc.closed", None).await?;

    let (before, config) = (picture(&stage.old).await?, stage.config()?);
    let plan = stage.approved().await?;
    let told = stage.operator.run(&["run", &plan]).await?;
    tally.check("the run is done", told.expect(0).map(drop));
    tally.check(
        "Kuzzle serves from the new cluster, with the token of before",
        stage.serves_from(TO.version()).await,
    );
    tally.check("and works in mode 8", stage.deletes_by_query().await);
    let admin = admin_logs_in(stage).await;
    tally.check("the administrator logs in", admin);
    tally.check(
        "the old cluster is as it was",
        is(&before, &stage.old).await,
    );
    let restored = picture(&stage.new).await?;
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
        is(&before, &stage.old).await,
    );
    Ok(())
}

async fn admin_logs_in(stage: &BesideStage) -> anyhow::Result<()> {
    let body = json!({ "username": seed::ADMIN, "password": seed::PASSWORD });
    let answer = stage.kuzzle.target()?.post("/_login/local", &body).await?;
    if !answer["result"]["jwt"].is_string() {
        bail!("{answer}");
    }
    Ok(())
}

async fn is(before: &Value, server: &Server) -> anyhow::Result<()> {
    let now = picture(server).await?;
    if now != *before {
        bail!("it was {before}, it is {now}");
    }
    Ok(())
}

fn names(picture: &Value) -> Vec<(&Value, &Value)> {
    let rows = picture["indices"].as_array().into_iter().flatten();
    rows.map(|row| (&row["index"], &row["docs.count"]))
        .collect()
}

fn site_toml(old: &Server, new: &Server, kuzzle: &Handed) -> String {
    let (from, to) = (old.base_url(), new.base_url());
    // Below the first folder of each one's `path.repo`, which are one.
    let location = "kuzzle";
    format!(
        "name = \"kuzzle\"\nproduct-plugin = \"kuzzle\"\n\n[options]\nmethod = \"snapshot\"\nquiet-seconds = 2\n\
         address = \"{from}\"\nnew-address = \"{to}\"\nreplicas = \"0\"\n\
         repository = '{{\"type\": \"fs\", \"settings\": {{\"location\": \"{location}\"}}}}'\n\n\
         [cluster.storage]\nnodes = [\"{from}\"]\n\n[cluster.new]\nnodes = [\"{to}\"]\n\n\
         [snapshot.backups]\ncluster = \"cluster.storage\"\nrepository = \"migration\"\n\n\
         [snapshot.new]\ncluster = \"cluster.new\"\nrepository = \"migration\"\n\n{}",
        kuzzle_toml(kuzzle),
    )
}

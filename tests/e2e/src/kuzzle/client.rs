//! What a client of Kuzzle finds there.

use anyhow::bail;
use liftlock_lab::HttpTarget;
use liftlock_lab::kuzzle::Handed;
use liftlock_lab::kuzzle::seed;
use liftlock_lab::kuzzle::seed::Seeded;
use reqwest::Method;
use serde_json::json;

/// Whoever works with a Kuzzle, with the token that was made when it was filled.
#[derive(Debug)]
pub struct Client<'a> {
    pub(super) kuzzle: &'a Handed,
    pub(super) seeded: &'a Seeded,
}

impl Client<'_> {
    /// Kuzzle's API, as the administrator.
    pub fn api(&self) -> anyhow::Result<HttpTarget> {
        Ok(self.kuzzle.target()?.bearer(self.seeded.token.clone()))
    }

    /// Each collection has as many documents as were put in, and the users are those of then.
    pub async fn finds_all(&self) -> anyhow::Result<()> {
        let api = self.api()?;
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

    /// Kuzzle's deep health is green, and its storage is of this version.
    pub async fn is_served_from(&self, version: &str) -> anyhow::Result<()> {
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
        Ok(())
    }

    /// What fails in mode 7 on a storage of 8: a deletion by query.
    pub async fn deletes_by_query(&self) -> anyhow::Result<()> {
        let path = format!("{}/_query", self.seeded.collections[0].path());
        let none = json!({ "query": { "term": { "n": 1_000_000 } } });
        let (status, answer) = self.api()?.send(Method::DELETE, &path, Some(&none)).await?;
        if status != 200 {
            bail!("{status} {answer}");
        }
        Ok(())
    }

    /// The administrator gets a new token for the password of then.
    pub async fn logs_in(&self) -> anyhow::Result<()> {
        let body = json!({ "username": seed::ADMIN, "password": seed::PASSWORD });
        let answer = self.kuzzle.target()?.post("/_login/local", &body).await?;
        if !answer["result"]["jwt"].is_string() {
            bail!("{answer}");
        }
        Ok(())
    }
}

//! All hits of one index, page by page, in a view that does not move.
//!
//! A scroll and no point in time: every server from Elasticsearch 7 and OpenSearch 1 on has the same scroll, while
//! points in time have two interfaces and a sort key that OpenSearch learnt late.

use liftlock_types::ReadError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Cluster;
use crate::call::Call;
use crate::cluster::refused;
use crate::reads::{Hit, whole};

/// Hits of one page: the servers' own default of a reindex.
const PAGE: usize = 1_000;

/// How long the server keeps the view between two pages.
const KEEP: &str = "5m";

/// An open scroll. Close it; a forgotten one is closed by the server after five minutes.
#[derive(Debug)]
pub(crate) struct Scroll {
    id: Option<String>,
    first: Option<Vec<Hit>>,
    total: u64,
    seen: u64,
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "_scroll_id")]
    id: Option<String>,
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
    total: Option<Total>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

impl Scroll {
    /// Opens it, with sources or with ids alone.
    pub(crate) async fn open(
        cluster: &Cluster,
        index: &str,
        query: Option<&str>,
        with_source: bool,
    ) -> Result<Self, ReadError> {
        let query = query.unwrap_or(r#"{"match_all":{}}"#);
        let body = format!(
            "{{\"query\":{query},\"size\":{PAGE},\"sort\":[\"_doc\"],\"_source\":{with_source},\
             \"track_total_hits\":true}}"
        );
        let call = Call::post([index, "_search"])
            .param("scroll", KEEP)
            .param("allow_partial_search_results", "false")
            .text(body);
        let page = page(cluster, &call).await?;
        let total = page
            .hits
            .total
            .ok_or_else(|| ReadError::Unavailable("a scroll without a total".into()))?;
        Ok(Self {
            id: page.id,
            first: Some(page.hits.hits),
            total: total.value,
            seen: 0,
        })
    }

    /// How many hits there are in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// How many were given out.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next page. `None`: that was all, and as many as the server had said.
    pub(crate) async fn next(&mut self, cluster: &Cluster) -> Result<Option<Vec<Hit>>, ReadError> {
        let hits = match self.first.take() {
            Some(hits) => hits,
            None => {
                let Some(id) = &self.id else {
                    return Err(ReadError::Unavailable("a scroll without an id".into()));
                };
                // Asked once: a page whose answer was lost is gone, and another node would give the one after.
                let call = Call::post(["_search", "scroll"])
                    .json(&json!({"scroll": KEEP, "scroll_id": id}))
                    .once();
                let page = page(cluster, &call).await?;
                if page.id.is_some() {
                    self.id = page.id;
                }
                page.hits.hits
            }
        };
        self.seen += hits.len() as u64;
        if !hits.is_empty() {
            return Ok(Some(hits));
        }
        if self.seen != self.total {
            return Err(ReadError::Unavailable(format!(
                "a scroll gave {} of {} documents",
                self.seen, self.total
            )));
        }
        Ok(None)
    }

    /// Gives the server its memory back. A failure is none of the caller's: the view ends by itself.
    pub(crate) async fn close(self, cluster: &Cluster) {
        if let Some(id) = self.id {
            let call = Call::delete(["_search", "scroll"]).json(&json!({"scroll_id": [id]}));
            if let Err(error) = cluster.ask(&call).await {
                tracing::debug!(%error, "a scroll was left to end by itself");
            }
        }
    }
}

async fn page(cluster: &Cluster, call: &Call) -> Result<Page, ReadError> {
    let answer = cluster.answer(call).await?;
    if !answer.is_success() {
        return Err(refused(&answer));
    }
    let value: Value = answer
        .json()
        .ok_or_else(|| ReadError::Unavailable("a page that is no JSON".into()))?;
    whole(&value)?;
    serde_json::from_slice(&answer.body)
        .map_err(|error| ReadError::Unavailable(format!("a page in an unknown form: {error}")))
}

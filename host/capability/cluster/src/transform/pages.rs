//! One shard's documents, page by page, in the order of their sequence numbers.
//!
//! No scroll and no point in time: both are gone after a crash, and the sort keys of a point in time mean nothing in the
//! next one. A sequence number stays with a document, is in its shard's index on every server from Elasticsearch 7 and
//! OpenSearch 1 on, and rises: "the documents of this shard behind number N" is a cursor that any later process can take
//! up. What is written meanwhile comes behind it; the count at the end says that something was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use liftlock_types::{ReadError, TRANSFORM_BATCH_BYTES};
use serde::Deserialize;

use crate::Cluster;
use crate::call::Call;
use crate::cluster::refused;
use crate::reads::Hit;

/// Documents of the first page, before it is known how large they are.
const PAGE_FIRST: usize = 100;

/// Fewest: of a full page the last document is left for the next one, so that one alone would never get on.
const PAGE_LEAST: usize = 2;

/// Most documents of a page; the servers' own bound of a search, and more than the shards that one can have been shrunk
/// from, whose documents may share a number.
const PAGE_MAX: usize = 10_000;

/// Most documents of a page that are written with one request.
///
/// 5,000: a server needs a sixth less for them than for pages of 1,000, and nothing less for larger ones.
const PAGE_USUAL: usize = 5_000;

/// Most bytes of a page's answer. Documents that are suddenly much larger than those before them are asked for again in
/// a smaller page.
const ANSWER_BYTES_MAX: usize = 16 * TRANSFORM_BATCH_BYTES;

/// How long a source that cannot be read is asked again, and the pause between.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(1);

/// Where the reading of a shard stands.
#[derive(Debug)]
pub(crate) struct Pages {
    index: String,
    query: Option<String>,
    shard: u32,
    after: Option<u64>,
    size: usize,
    is_over: bool,
}

/// Documents behind the last number, up to this one and with all that have it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) hits: Vec<Hit>,
    pub(crate) last: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "_shards")]
    shards: Shards,
    hits: Hits,
}

#[derive(Deserialize)]
struct Shards {
    successful: u64,
    failed: u64,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

impl Pages {
    pub(crate) fn new(index: &str, query: Option<&str>, shard: u32, after: Option<u64>) -> Self {
        Self {
            index: index.to_owned(),
            query: query.map(str::to_owned),
            shard,
            after,
            size: PAGE_FIRST,
            is_over: false,
        }
    }

    /// Each page, read once the one before it was taken.
    pub(crate) fn stream(
        self,
        cluster: Arc<Cluster>,
    ) -> BoxStream<'static, Result<Page, ReadError>> {
        stream::try_unfold(self, move |pages| pages.next(cluster.clone())).boxed()
    }

    /// The next page and what comes behind it. `None`: the shard has no more.
    async fn next(mut self, cluster: Arc<Cluster>) -> Result<Option<(Page, Self)>, ReadError> {
        if self.is_over {
            return Ok(None);
        }
        loop {
            let (mut hits, bytes) = match self.read(&cluster).await {
                // The bound of the answer: the only thing of ours that a page can run into.
                Err(ReadError::Invalid(_)) if self.size > PAGE_LEAST => {
                    self.size = (self.size / 4).max(PAGE_LEAST);
                    continue;
                }
                Err(ReadError::Invalid(why)) => {
                    return Err(ReadError::Invalid(format!(
                        "{PAGE_LEAST} documents of shard {} of `{}` behind sequence number {:?}: {why}",
                        self.shard, self.index, self.after
                    )));
                }
                read => read?,
            };
            self.is_over = hits.len() < self.size;
            if !self.is_over {
                // A shard that was shrunk from several has numbers twice: the last one may go on in the next page.
                let last = hits.last().map_or(0, |hit| hit.seq_no);
                hits.retain(|hit| hit.seq_no < last);
                if hits.is_empty() {
                    if self.size >= PAGE_MAX {
                        return Err(ReadError::Invalid(format!(
                            "more than {PAGE_MAX} documents of shard {} of `{}` have the sequence number {last}",
                            self.shard, self.index
                        )));
                    }
                    self.size = (self.size * 2).min(PAGE_MAX);
                    continue;
                }
            }
            let Some(last) = hits.last().map(|hit| hit.seq_no) else {
                return Ok(None);
            };
            let each = (bytes / hits.len()).max(1);
            let fitting = (TRANSFORM_BATCH_BYTES / each).clamp(PAGE_LEAST, PAGE_USUAL);
            // One page of small documents says little of the next: it grows by steps, and shrinks at once.
            self.size = fitting.min(self.size * 4);
            self.after = Some(last);
            return Ok(Some((Page { hits, last }, self)));
        }
    }

    async fn read(&self, cluster: &Cluster) -> Result<(Vec<Hit>, usize), ReadError> {
        let query = self.query.as_deref().unwrap_or(r#"{"match_all":{}}"#);
        let after = self.after.map_or(String::new(), |after| {
            format!(",\"search_after\":[{after}]")
        });
        let body = format!(
            "{{\"query\":{query},\"size\":{},\"sort\":[\"_seq_no\"]{after},\"seq_no_primary_term\":true,\
             \"track_total_hits\":false}}",
            self.size
        );
        let call = Call::post([self.index.as_str(), "_search"])
            .param("preference", format!("_shards:{}", self.shard))
            .param("allow_partial_search_results", "false")
            .text(body)
            .plain()
            .bytes_max(ANSWER_BYTES_MAX);
        let begun = Instant::now();
        loop {
            match self.once(cluster, &call).await {
                Err(ReadError::Unavailable(why)) if begun.elapsed() < PATIENCE => {
                    tracing::debug!(index = self.index, why, "a page is asked for again");
                    tokio::time::sleep(PAUSE).await;
                }
                read => return read,
            }
        }
    }

    async fn once(&self, cluster: &Cluster, call: &Call) -> Result<(Vec<Hit>, usize), ReadError> {
        let answer = cluster.answer(call).await?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let page: Answer = serde_json::from_slice(&answer.body).map_err(|error| {
            ReadError::Unavailable(format!("a page in an unknown form: {error}"))
        })?;
        if page.shards.failed > 0 || page.shards.successful != 1 {
            return Err(ReadError::Unavailable(format!(
                "shard {} of `{}` did not answer alone: {} did, {} failed",
                self.shard, self.index, page.shards.successful, page.shards.failed
            )));
        }
        Ok((page.hits.hits, answer.body.len()))
    }
}

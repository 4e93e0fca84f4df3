//! One step's work: shards side by side, batches in flight, and the comparison at the end.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use liftlock_types::{IndexName, Json, OnRejected, Progress, ToTransform, Transformer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::ask::ask;
use super::bulk::{self, Made};
use super::fence::Fence;
use super::pages::{Page, Pages};
use super::record::{Aside, Part, Record};
use super::{Standing, Work};
use crate::Cluster;
use crate::call::Call;
use crate::checksum::Sum;
use crate::reads::{Hit, IndexState};

/// Shards that are read at the same time, and batches of each between reading and the record.
///
/// Two and two: four batches of some 2 MiB, each held as it was read, as it was made and as it is sent, are 30 MB. More
/// were no faster in the lab, where the server had one of two cores.
const SHARDS_AT_ONCE: usize = 2;
const IN_FLIGHT: usize = 2;

/// Most documents that a step keeps aside. With more of them it is the transformation that is wrong.
const REJECTED_MAX: u64 = 1_000;

/// Rejected documents that the evidence names.
const EXAMPLES_MAX: usize = 10;

/// What is to be done.
#[derive(Debug, Clone)]
pub(crate) struct What {
    pub(crate) source: IndexName,
    pub(crate) destination: IndexName,
    /// The destination's.
    pub(crate) uuid: String,
    pub(crate) query: Option<Json>,
    pub(crate) name: String,
    pub(crate) on_rejected: OnRejected,
    pub(crate) token: String,
}

impl What {
    fn query(&self) -> Option<&str> {
        self.query.as_ref().map(Json::as_str)
    }
}

/// A page that is in the destination, but for what is kept aside.
struct Through {
    part: Part,
    asides: Vec<Aside>,
}

/// See the module.
pub(crate) struct Job {
    cluster: Arc<Cluster>,
    transformer: Arc<dyn Transformer>,
    what: What,
    record: Mutex<Record>,
    work: Arc<Work>,
    fence: Fence,
    total: AtomicU64,
    examples: Mutex<Vec<Value>>,
}

impl Job {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        transformer: Arc<dyn Transformer>,
        what: What,
        record: Record,
        work: Arc<Work>,
    ) -> Self {
        Self {
            fence: Fence::new(work.clone(), what.destination.as_str(), &what.uuid),
            cluster,
            transformer,
            what,
            record: Mutex::new(record),
            work,
            total: AtomicU64::new(0),
            examples: Mutex::default(),
        }
    }

    /// Works until all is there and compared, or cannot be. How it stands is told to whoever looks.
    pub(crate) async fn run(self: Arc<Self>) {
        let standing = match self.all().await {
            Ok(evidence) => Standing::Done(evidence),
            Err(why) => {
                let mut record = self.record.lock().await;
                // What was done is done: a resume goes on here.
                let why = match record.save() {
                    Ok(()) => why,
                    Err(error) => format!("{why}; {error}"),
                };
                let done = record.total();
                Standing::Ended(json!({
                    "why": why, "selected": self.total.load(Ordering::Relaxed), "read": done.read, "written": done.written,
                    "rejected": record.rejected(),
                }))
            }
        };
        tracing::debug!(?standing, token = self.what.token, "a transform has ended");
        self.work.tell(standing);
    }

    async fn all(self: &Arc<Self>) -> Result<Value, String> {
        let (source, destination) = (self.what.source.clone(), self.what.destination.clone());
        self.total.store(self.selected().await?, Ordering::Relaxed);
        self.tell(String::new()).await;
        let shards = shards_of(&self.state(source.as_str()).await?)?;
        stream::iter(0..shards)
            .map(|shard| self.clone().shard(shard).boxed())
            .buffer_unordered(SHARDS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        let (done, rejected) = {
            let record = self.record.lock().await;
            (record.total(), record.rejected())
        };
        let selected = self.selected().await?;
        if done.read != selected {
            return Err(format!(
                "`{source}` moved while it was read: {} documents were, and it has {selected}",
                done.read
            ));
        }
        self.tell("comparing".into()).await;
        let (found, sum) = self.found(destination.as_str()).await?;
        if found != done.written || sum != done.sum {
            return Err(format!(
                "`{destination}` is not what was written: {} documents with the checksum {} were, and it has {found} with \
                 {}",
                done.written,
                done.sum.hex(),
                sum.hex()
            ));
        }
        let mut record = self.record.lock().await;
        let mut evidence = json!({
            "source": source.as_str(), "destination": destination.as_str(), "selected": selected,
            "written": done.written, "rejected": rejected, "checksum": done.sum.hex(),
        });
        if rejected > 0 {
            let file = record.aside_file().display().to_string();
            evidence["examples"] = Value::Array(self.examples.lock().await.clone());
            evidence["note"] =
                format!("rejected documents: {rejected}; they are kept aside in {file}").into();
        }
        record.end(evidence.clone()).map_err(text)?;
        Ok(evidence)
    }

    async fn state(&self, index: &str) -> Result<IndexState, String> {
        let state = self.cluster.index(index).await.map_err(text)?;
        state.ok_or_else(|| format!("there is no index `{index}`"))
    }

    async fn selected(&self) -> Result<u64, String> {
        let source = self.what.source.as_str();
        let count = self.cluster.count(source, self.what.query()).await;
        count.map_err(text)
    }

    async fn shard(self: Arc<Self>, shard: u32) -> Result<(), String> {
        let after = self.record.lock().await.part(shard).after;
        let pages = Pages::new(self.what.source.as_str(), self.what.query(), shard, after);
        let mut through = pages
            .stream(self.cluster.clone())
            .map_err(text)
            .map_ok(|page| self.clone().through(page).boxed())
            .try_buffered(IN_FLIGHT);
        while let Some(through) = through.try_next().await? {
            let mut record = self.record.lock().await;
            record
                .take(shard, &through.part, &through.asides)
                .map_err(text)?;
            let rejected = record.rejected();
            drop(record);
            if rejected > REJECTED_MAX {
                return Err(format!(
                    "{rejected} documents were rejected, and at most {REJECTED_MAX} are kept aside; {}",
                    self.first_rejected().await
                ));
            }
            self.tell(String::new()).await;
        }
        Ok(())
    }

    /// Through the plugin and into the destination.
    async fn through(self: Arc<Self>, page: Page) -> Result<Through, String> {
        let documents = page.hits.iter().map(given).collect::<Result<Vec<_>, _>>()?;
        let read = page.hits.len() as u64;
        let answers = ask(&self.transformer, &self.what.name, documents)
            .await
            .map_err(|why| format!("the plugin's answer cannot be used: {why}"))?;
        let mut asides = Vec::new();
        let (mut made, mut of) = (Vec::new(), Vec::new());
        for (hit, answer) in page.hits.into_iter().zip(answers) {
            match answer {
                Ok(source) => {
                    made.push(Made {
                        id: hit.id.clone(),
                        routing: hit.routing.clone(),
                        source: source.into(),
                    });
                    of.push(hit);
                }
                Err(why) => asides.push(aside(hit, why)?),
            }
        }
        self.reject(&asides).await?;
        let refused = bulk::write(
            &self.cluster,
            self.what.destination.as_str(),
            &self.what.token,
            &made,
            &self.fence,
        )
        .await?;
        let mut sum = Sum::default();
        let mut refused: std::collections::BTreeMap<usize, String> = refused.into_iter().collect();
        let mut written = 0;
        let mut refusals = Vec::new();
        for (at, (made, hit)) in made.iter().zip(of).enumerate() {
            match refused.remove(&at) {
                Some(why) => refusals.push(aside(hit, why)?),
                None => {
                    sum.add_text(&made.id, &made.source);
                    written += 1;
                }
            }
        }
        self.reject(&refusals).await?;
        asides.extend(refusals);
        Ok(Through {
            part: Part {
                after: Some(page.last),
                read,
                written,
                sum,
            },
            asides,
        })
    }

    /// Goes on, or ends with the first of them and all of them aside.
    async fn reject(&self, asides: &[Aside]) -> Result<(), String> {
        let Some(first) = asides.first() else {
            return Ok(());
        };
        let mut examples = self.examples.lock().await;
        let room = EXAMPLES_MAX.saturating_sub(examples.len());
        examples.extend(
            asides
                .iter()
                .take(room)
                .map(|aside| json!({"id": aside.id, "why": aside.why})),
        );
        drop(examples);
        match self.what.on_rejected {
            OnRejected::GoOn => Ok(()),
            OnRejected::Stop => {
                let record = self.record.lock().await;
                record.keep_aside(asides).map_err(text)?;
                Err(format!(
                    "document `{}` was rejected: {}; it is kept in {}",
                    first.id,
                    first.why,
                    record.aside_file().display()
                ))
            }
        }
    }

    async fn first_rejected(&self) -> String {
        match self.examples.lock().await.first() {
            Some(first) => format!("the first of them: {first}"),
            None => "none of them in this process".into(),
        }
    }

    /// How many documents there are, and the sum over them. Flushed first: what may replace a source is on disk.
    async fn found(&self, index: &str) -> Result<(u64, Sum), String> {
        self.cluster.refresh(index).await.map_err(text)?;
        let flush = Call::post([index, "_flush"]);
        self.cluster.ask(&flush).await.map_err(text)?;
        let count = self.cluster.count(index, None).await.map_err(text)?;
        let seen = AtomicU64::new(0);
        let shards = shards_of(&self.state(index).await?)?;
        let sum = stream::iter(0..shards)
            .map(|shard| self.sum_of(index, shard, &seen, count).boxed())
            .buffer_unordered(SHARDS_AT_ONCE)
            .try_fold(Sum::default(), async |mut sum, part| {
                sum.add_sum(&part);
                Ok(sum)
            })
            .await?;
        let seen = seen.into_inner();
        if seen != count {
            return Err(format!("`{index}` has {count} documents, and gave {seen}"));
        }
        Ok((count, sum))
    }

    /// Of one shard; what was seen is counted.
    async fn sum_of(
        &self,
        index: &str,
        shard: u32,
        seen: &AtomicU64,
        count: u64,
    ) -> Result<Sum, String> {
        let mut sum = Sum::default();
        // The next page is on its way while one is summed up.
        let mut parts = Pages::new(index, None, shard, None)
            .stream(self.cluster.clone())
            .map_err(text)
            .map_ok(async |page| sum_of_page(&page).map(|part| (part, page.hits.len() as u64)))
            .try_buffered(IN_FLIGHT);
        while let Some((part, read)) = parts.try_next().await? {
            self.fence.holds(&self.cluster).await?;
            sum.add_sum(&part);
            let seen = seen.fetch_add(read, Ordering::Relaxed) + read;
            self.tell(format!("comparing, {seen} of {count}")).await;
        }
        Ok(sum)
    }

    async fn tell(&self, note: String) {
        let record = self.record.lock().await;
        let note = match (record.rejected(), note) {
            (0, note) => note,
            (rejected, note) if note.is_empty() => format!("{rejected} rejected"),
            (rejected, note) => format!("{rejected} rejected; {note}"),
        };
        self.work.tell(Standing::Works(Progress {
            done: record.total().read,
            total: self.total.load(Ordering::Relaxed),
            unit: "documents".into(),
            note,
        }));
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn source_of(hit: &Hit) -> Result<&str, String> {
    let source = hit.source.as_deref().map(RawValue::get);
    source.ok_or_else(|| format!("document `{}` of `{}` has no source", hit.id, hit.index))
}

fn sum_of_page(page: &Page) -> Result<Sum, String> {
    let mut sum = Sum::default();
    for hit in &page.hits {
        sum.add_text(&hit.id, source_of(hit)?);
    }
    Ok(sum)
}

fn given(hit: &Hit) -> Result<ToTransform, String> {
    Ok(ToTransform {
        id: hit.id.clone(),
        source: source_of(hit)?.to_owned(),
    })
}

fn aside(hit: Hit, why: String) -> Result<Aside, String> {
    let Hit {
        id,
        routing,
        source: Some(source),
        ..
    } = hit
    else {
        return Err(format!("document `{}` has no source", hit.id));
    };
    Ok(Aside {
        id,
        routing,
        why,
        source,
    })
}

fn shards_of(state: &IndexState) -> Result<u32, String> {
    let shards = state.settings.get("index.number_of_shards");
    let shards = shards.and_then(|shards| match shards {
        Value::String(text) => text.parse().ok(),
        number => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok()),
    });
    shards.ok_or_else(|| {
        format!(
            "the index with the uuid `{}` does not say how many shards it has",
            state.uuid
        )
    })
}

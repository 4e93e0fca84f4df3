//! Documents: counts, one by id, pages of a search, the checksum of an index.

use liftlock_types::facts::cluster::{Checksum, Document, Search};
use liftlock_types::{Json, ReadError};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{bounded, pattern, whole};
use crate::Cluster;
use crate::call::Call;
use crate::checksum::Sum;
use crate::cluster::refused;
use crate::http::PLUGIN_BYTES_MAX;
use crate::scroll::Scroll;

/// Most hits of one page (contract).
const HITS_MAX: u32 = 1_000;

/// How long a refresh may take: it writes what is in memory to disk. Twice a read.
const REFRESH_MS: u64 = 70_000;

/// A document as the server holds it; its source is the text that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) seq_no: u64,
    pub(crate) primary_term: u64,
    pub(crate) source: String,
}

impl Stored {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.source).unwrap_or(Value::Null)
    }

    pub(crate) fn document(&self, index: &str, id: &str) -> Result<Document, ReadError> {
        Ok(Document {
            index: index.to_owned(),
            id: id.to_owned(),
            seq_no: self.seq_no,
            primary_term: self.primary_term,
            source: Json::new(&self.source).map_err(|error| {
                ReadError::Invalid(format!("the source of `{id}` of `{index}`: {error}"))
            })?,
        })
    }
}

/// A hit or a document, its source as text: numbers stay as they were written.
#[derive(Debug, Deserialize)]
pub(crate) struct Hit {
    #[serde(rename = "_index")]
    pub(crate) index: String,
    #[serde(rename = "_id")]
    pub(crate) id: String,
    #[serde(rename = "_routing")]
    pub(crate) routing: Option<String>,
    #[serde(rename = "_seq_no", default)]
    pub(crate) seq_no: u64,
    #[serde(rename = "_primary_term", default)]
    pub(crate) primary_term: u64,
    #[serde(rename = "_source")]
    pub(crate) source: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Found {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

impl Cluster {
    /// Makes everything that was written visible to searches.
    pub(crate) async fn refresh(&self, index: &str) -> Result<(), ReadError> {
        let call = Call::post([index, "_refresh"]).deadline_ms(REFRESH_MS);
        whole(&self.ask(&call).await?)
    }

    /// How many documents match, after a refresh.
    pub(crate) async fn count(&self, index: &str, query: Option<&str>) -> Result<u64, ReadError> {
        self.refresh(index).await?;
        self.count_visible(index, query).await
    }

    /// How many documents a search sees now.
    pub(crate) async fn count_visible(
        &self,
        index: &str,
        query: Option<&str>,
    ) -> Result<u64, ReadError> {
        let mut call = Call::post([index, "_count"]);
        call = call.text(match query {
            Some(query) => format!("{{\"query\":{query}}}"),
            None => "{}".to_owned(),
        });
        let value = self.ask(&call).await?;
        whole(&value)?;
        value
            .get("count")
            .and_then(Value::as_u64)
            .ok_or_else(|| ReadError::Unavailable("a count without a number".into()))
    }

    /// One document by id, in real time. `None`: the server itself says that there is none.
    pub(crate) async fn document(
        &self,
        index: &str,
        id: &str,
    ) -> Result<Option<Stored>, ReadError> {
        let answer = self.answer(&Call::get([index, "_doc", id])).await?;
        match answer.status {
            200 => {}
            // In the server's own form, or it would have been no answer: the document or its index is missing.
            404 => return Ok(None),
            _ => return Err(refused(&answer)),
        }
        let hit: Hit = parse(&answer.body)?;
        let source = hit.source.ok_or_else(|| {
            ReadError::Invalid(format!("document `{id}` of `{index}` has no stored source"))
        })?;
        Ok(Some(Stored {
            seq_no: hit.seq_no,
            primary_term: hit.primary_term,
            source: source.get().to_owned(),
        }))
    }
}

fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, ReadError> {
    serde_json::from_slice(body)
        .map_err(|error| ReadError::Unavailable(format!("an answer in an unknown form: {error}")))
}

pub(super) async fn search(cluster: &Cluster, what: &Search) -> Result<Vec<Document>, ReadError> {
    if what.size == 0 || what.size > HITS_MAX {
        return Err(ReadError::Invalid(format!(
            "`size` is {}, 1 to {HITS_MAX} are given",
            what.size
        )));
    }
    if what.indices.is_empty() {
        return Err(ReadError::Invalid("no index is named".into()));
    }
    for index in &what.indices {
        pattern(index)?;
    }
    let sort = what
        .sort
        .as_ref()
        .map_or(r#"[{"_doc":"asc"}]"#, Json::as_str);
    let mut body = format!(
        "{{\"query\":{},\"sort\":{sort},\"size\":{},\"seq_no_primary_term\":true,\"track_total_hits\":false",
        what.query, what.size
    );
    if let Some(after) = &what.after {
        body.push_str(",\"search_after\":");
        body.push_str(after.as_str());
    }
    body.push('}');
    let call = Call::post([what.indices.join(",").as_str(), "_search"])
        .param("allow_partial_search_results", "false")
        .bytes_max(PLUGIN_BYTES_MAX)
        .text(body);
    let answer = cluster.answer(&call).await?;
    if !answer.is_success() {
        return Err(refused(&answer));
    }
    whole(&answer.json().unwrap_or(Value::Null))?;
    let found: Found = parse(&answer.body)?;
    let documents = found
        .hits
        .hits
        .into_iter()
        .map(|hit| {
            let stored = Stored {
                seq_no: hit.seq_no,
                primary_term: hit.primary_term,
                source: hit
                    .source
                    .map_or_else(|| "{}".to_owned(), |source| source.get().to_owned()),
            };
            stored.document(&hit.index, &hit.id)
        })
        .collect::<Result<Vec<_>, _>>()?;
    bounded(documents, HITS_MAX as usize, "hits")
}

pub(super) async fn checksum(cluster: &Cluster, index: &str) -> Result<Checksum, ReadError> {
    cluster.refresh(index).await?;
    let mut scroll = Scroll::open(cluster, index, None, true).await?;
    let mut ids = Sum::default();
    let mut content = Sum::default();
    let mut docs = 0;
    while let Some(page) = scroll.next(cluster).await? {
        for hit in &page {
            let source = hit.source.as_deref().map_or("null", RawValue::get);
            let value: Value = serde_json::from_str(source).unwrap_or(Value::Null);
            ids.add_id(&hit.id);
            content.add_document(&hit.id, &value);
            docs += 1;
        }
    }
    scroll.close(cluster).await;
    Ok(Checksum {
        index: index.to_owned(),
        docs,
        ids: ids.hex(),
        content: content.hex(),
    })
}

//! Documents on their way through a plugin's pure function: between the capability that moves them and the sandbox.

use async_trait::async_trait;

use crate::Json;

/// Most documents of one call: the servers' own page of a reindex.
pub const TRANSFORM_BATCH_MAX: usize = 1_000;

/// Bytes of sources that one call is given where more than one document is in it.
///
/// 2 MiB: a quarter of what may cross into a plugin and out of it, so that documents may grow fourfold before a batch
/// has to be split; and with a few batches in flight a run stays far below the 150 MB that it may take.
pub const TRANSFORM_BATCH_BYTES: usize = 2 << 20;

/// A document as the plugin is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToTransform {
    /// Its id.
    pub id: String,
    /// Its source, as the server has it.
    pub source: String,
}

/// What the plugin made of a document, or why it takes none of it over, for people.
pub type Transformed = Result<Json, String>;

/// No answer for a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// It trapped, or ran into a bound. A smaller batch may do.
    #[error("{0}")]
    Failed(String),
    /// It answered something that is none: other ids, another number of documents. Nothing of it can be believed.
    #[error("{0}")]
    Broken(String),
}

/// Who changes documents: a plugin in its sandbox.
#[async_trait]
pub trait Transformer: Send + Sync {
    /// One answer for each document, in their order.
    ///
    /// Pure: the same documents give the same answers, at any time and in any process. Nothing is reached from in there,
    /// so it may be asked again as often as it takes.
    async fn transform(
        &self,
        name: &str,
        batch: &[ToTransform],
    ) -> Result<Vec<Transformed>, TransformError>;
}

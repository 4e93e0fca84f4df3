//! A batch through the plugin.

use std::ops::Range;
use std::sync::Arc;

use futures::future::BoxFuture;
use liftlock_types::{
    JSON_BYTES_MAX, TRANSFORM_BATCH_BYTES, TRANSFORM_BATCH_MAX, ToTransform, TransformError,
    Transformed, Transformer,
};

/// Asks for all of these, in calls that are as large as one may be.
///
/// # Errors
/// What the plugin answered that is none.
pub(crate) async fn ask(
    transformer: &Arc<dyn Transformer>,
    name: &str,
    documents: Vec<ToTransform>,
) -> Result<Vec<Transformed>, String> {
    let documents: Arc<[ToTransform]> = documents.into();
    let mut made = Vec::with_capacity(documents.len());
    for batch in batches(&documents) {
        if documents[batch.start].source.len() > JSON_BYTES_MAX {
            made.push(Err(format!(
                "it has {} bytes, and a plugin is given at most {JSON_BYTES_MAX}",
                documents[batch.start].source.len()
            )));
            continue;
        }
        made.extend(
            ask_batch(
                transformer.clone(),
                name.to_owned(),
                documents.clone(),
                batch,
            )
            .await?,
        );
    }
    Ok(made)
}

/// In order; each as many as may be, and a document that is too large for any by itself.
fn batches(documents: &[ToTransform]) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, document) in documents.iter().enumerate() {
        let size = document.source.len();
        bytes += size;
        match batches.last_mut() {
            Some(batch)
                if bytes <= TRANSFORM_BATCH_BYTES
                    && batch.len() < TRANSFORM_BATCH_MAX
                    && documents[batch.start].source.len() <= JSON_BYTES_MAX
                    && size <= JSON_BYTES_MAX =>
            {
                batch.end = at + 1;
            }
            _ => {
                batches.push(at..at + 1);
                bytes = size;
            }
        }
    }
    batches
}

/// The plugin is asked again for each half of what it failed on, until the one document is found that it fails on by
/// itself. As it is pure, asking again costs time and nothing else.
fn ask_batch(
    transformer: Arc<dyn Transformer>,
    name: String,
    documents: Arc<[ToTransform]>,
    batch: Range<usize>,
) -> BoxFuture<'static, Result<Vec<Transformed>, String>> {
    Box::pin(async move {
        let call = {
            let (transformer, name) = (transformer.clone(), name.clone());
            let (documents, batch) = (documents.clone(), batch.clone());
            // A task of its own: guest code takes a thread as long as it takes.
            tokio::spawn(async move { transformer.transform(&name, &documents[batch]).await })
        };
        let answer = call
            .await
            .unwrap_or_else(|error| Err(TransformError::Failed(error.to_string())));
        match answer {
            Ok(made) if made.len() == batch.len() => Ok(made),
            Ok(made) => Err(format!(
                "{} documents went in, {} came out",
                batch.len(),
                made.len()
            )),
            Err(TransformError::Broken(why)) => Err(why),
            Err(TransformError::Failed(why)) if batch.len() == 1 => Ok(vec![Err(why)]),
            Err(TransformError::Failed(_)) => {
                let middle = batch.start + batch.len() / 2;
                let halves = [batch.start..middle, middle..batch.end];
                let mut made = Vec::with_capacity(batch.len());
                for half in halves {
                    made.extend(
                        ask_batch(transformer.clone(), name.clone(), documents.clone(), half)
                            .await?,
                    );
                }
                Ok(made)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use liftlock_types::Json;

    use super::*;

    /// Fails on a batch with a document of this id in it; keeps the sizes of the batches.
    struct Fails {
        on: &'static str,
        with: TransformError,
        sizes: Mutex<Vec<usize>>,
    }

    #[async_trait]
    impl Transformer for Fails {
        async fn transform(
            &self,
            _: &str,
            batch: &[ToTransform],
        ) -> Result<Vec<Transformed>, TransformError> {
            self.sizes.lock().unwrap().push(batch.len());
            if batch.iter().any(|document| document.id == self.on) {
                return Err(self.with.clone());
            }
            Ok(batch
                .iter()
                .map(|document| Ok(Json::new(&document.source).unwrap()))
                .collect())
        }
    }

    fn fails(on: &'static str, with: TransformError) -> (Arc<Fails>, Arc<dyn Transformer>) {
        let fails = Arc::new(Fails {
            on,
            with,
            sizes: Mutex::default(),
        });
        (fails.clone(), fails)
    }

    fn documents(sources: &[&str]) -> Vec<ToTransform> {
        sources
            .iter()
            .enumerate()
            .map(|(n, source)| ToTransform {
                id: n.to_string(),
                source: (*source).to_owned(),
            })
            .collect()
    }

    #[tokio::test]
    async fn the_one_document_that_it_fails_on_is_found() {
        let (fails, transformer) = fails("700", TransformError::Failed("it trapped".into()));
        let made = ask(&transformer, "n", documents(&["{}"; 1_000]))
            .await
            .unwrap();
        for (at, made) in made.iter().enumerate() {
            match (at, made) {
                (700, made) => assert_eq!(made, &Err("it trapped".into())),
                (_, made) => assert!(made.is_ok(), "{at}"),
            }
        }
        let calls = fails.sizes.lock().unwrap().len();
        assert!(calls <= 21, "{calls} calls");
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_not_asked_for_again() {
        let (fails, transformer) = fails("1", TransformError::Broken("other ids".into()));
        let answer = ask(&transformer, "n", documents(&["{}"; 4])).await;
        assert_eq!(answer, Err("other ids".into()));
        assert_eq!(fails.sizes.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_call_holds_so_many_documents_and_so_many_bytes() {
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(900 << 10));
        let too_large = format!("{{\"x\":\"{}\"}}", "y".repeat(JSON_BYTES_MAX));
        let (fails, transformer) = fails("", TransformError::Failed(String::new()));
        let sources = [&large, &large, &large, &too_large, "{}", "{}"];
        let made = ask(&transformer, "n", documents(&sources)).await.unwrap();
        assert_eq!(*fails.sizes.lock().unwrap(), [2, 1, 2]);
        assert!(
            made[3].as_ref().unwrap_err().contains("at most"),
            "{:?}",
            made[3]
        );
        assert!(made[4].is_ok());
        ask(&transformer, "n", documents(&["{}"; 1_001]))
            .await
            .unwrap();
        assert_eq!(fails.sizes.lock().unwrap()[3..], [1_000, 1]);
    }
}

//! Ingest pipelines, as far as a raw change needs them.

use serde_json::json;

use super::{Client, Outcome, checks, same};
use crate::product::Product;

checks![
    a_pipeline_reads_back_as_put,
    a_pipeline_that_is_not_there_is_an_empty_object,
];

const PIPELINE: &str = "/_ingest/pipeline/suite-pipeline";

async fn a_pipeline_reads_back_as_put(c: &Client, _: Product) -> Outcome {
    c.delete(PIPELINE).await?;
    let body =
        json!({"description": "suite", "processors": [{"set": {"field": "a", "value": "b"}}]});
    c.put(PIPELINE, body.clone()).await?.status(200)?;
    let shown = c.get(PIPELINE).await?.status(200)?.body;
    for key in ["description", "processors"] {
        same(key, &shown["suite-pipeline"][key], &body[key])?;
    }
    c.put(PIPELINE, json!({"description": "no processors"}))
        .await?
        .refused(
            400,
            "parse_exception",
            "[processors] required property is missing",
        )?;
    c.delete(PIPELINE).await?.status(200)?;
    Ok(())
}

async fn a_pipeline_that_is_not_there_is_an_empty_object(c: &Client, _: Product) -> Outcome {
    c.delete(PIPELINE).await?;
    let none = c.get(PIPELINE).await?.status(404)?.body;
    same("body", none, json!({}))?;
    c.delete(PIPELINE).await?.refused(
        404,
        "resource_not_found_exception",
        "pipeline [suite-pipeline] is missing",
    )?;
    Ok(())
}

//! The schema version and the update log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::Failure;
use crate::plan::Version;
use crate::say;
use crate::schema;
use crate::sync;
use crate::wire::Wire;
use crate::wire::kind;

/// The version that stands in the metadata; none where there is no such document.
pub async fn schema_version(wire: &Wire<'_>) -> Result<Option<String>, Failure> {
    let alias = wire.settings.alias("metadata");
    let head = if wire.is_opensearch() {
        format!("/{alias}?allow_no_indices=false")
    } else {
        format!("/{alias}")
    };
    if !wire.head(&head).await? {
        say::line("Optimize Metadata index wasn't found, thus no metadata available.");
        return Ok(None);
    }
    let (status, answer) = wire.get(&format!("/{alias}/_doc/1")).await?;
    match status {
        200 => Ok(answer["_source"]["schemaVersion"]
            .as_str()
            .map(str::to_owned)),
        404 => {
            say::line(
                "Optimize Metadata index exists but no metadata doc was found, thus no metadata available.",
            );
            Ok(None)
        }
        _ => Err(Failure::Upgrade(
            "Failed retrieving the Optimize metadata document from database!".into(),
        )),
    }
}

/// Sets the version, and an installation id where there is none. Without a version only the id.
pub async fn write(wire: &Wire<'_>, version: Option<Version>, jar: Version) -> Result<(), Failure> {
    let alias = wire.settings.alias("metadata");
    let id = Uuid::new_v4().to_string();
    let mut source = String::from(
        "if (ctx._source.installationId == null) { ctx._source.installationId = params.newInstallationId; }",
    );
    if version.is_some() {
        source.push_str(" ctx._source.schemaVersion = params.newSchemaVersion;");
    }
    let schema = version.unwrap_or(jar).to_string();
    let body = json!({
        "script": {
            "lang": "painless",
            "source": source,
            "params": { "newInstallationId": id, "newSchemaVersion": schema },
        },
        "upsert": { "schemaVersion": schema, "installationId": id },
    });
    let path = format!("/{alias}/_update/1?refresh=true&retry_on_conflict=5");
    let (status, _) = wire.post(&path, &body).await?;
    if matches!(status, 200 | 201) {
        return Ok(());
    }
    Err(Failure::Upgrade(
        "Metadata information was neither created nor updated. Could not write Optimize metadata (version and \
         installationID) to the database."
            .into(),
    ))
}

/// Makes the update log, or brings the one that is there up to date.
pub async fn create_log(wire: &Wire<'_>) -> Result<(), Failure> {
    let definition = schema::update_log(wire.settings);
    let (status, answer) = wire
        .put(&format!("/{}", definition.index), &definition.body())
        .await?;
    match status {
        200 => Ok(()),
        400 if kind(&answer) == "resource_already_exists_exception" => {
            sync::update(wire, &definition).await
        }
        _ => Err(Failure::Upgrade(format!(
            "Could not create index [{}]!",
            definition.index
        ))),
    }
}

/// What the log has of a version: ids with the time at which each was applied.
pub async fn applied(
    wire: &Wire<'_>,
    version: Version,
) -> Result<BTreeMap<String, String>, Failure> {
    let query = json!({ "term": { "optimizeVersion": { "value": version.to_string() } } });
    let body = json!({ "query": { "bool": { "must": [query] } }, "size": 1000 });
    let path = format!(
        "/{}/_search?typed_keys=true",
        wire.settings.alias("update-log")
    );
    let (status, answer) = wire.post(&path, &body).await?;
    if status != 200 {
        return Err(Failure::Upgrade(
            "Could not retrieve the update log!".into(),
        ));
    }
    let hits = answer["hits"]["hits"].as_array().cloned();
    Ok(hits
        .unwrap_or_default()
        .iter()
        .filter_map(|hit| {
            let applied = hit["_source"]["appliedDate"].as_str()?;
            Some((hit["_id"].as_str()?.to_owned(), applied.to_owned()))
        })
        .collect())
}

/// One step in the log.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The version of the plan.
    pub version: Version,
    /// `schema-delete-index`, ...
    pub kind: &'static str,
    /// As the vendor names it.
    pub name: &'a str,
    /// From 1.
    pub number: usize,
}

impl Entry<'_> {
    /// The document's id.
    pub fn id(&self) -> String {
        format!("{}_{}_{}", self.version, self.kind, self.name)
    }

    /// Records it, without a refresh.
    pub async fn record(&self, wire: &Wire<'_>) -> Result<(), Failure> {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        let document: Value = json!({
            "indexName": self.name,
            "optimizeVersion": self.version.to_string(),
            "stepType": self.kind,
            "stepNumber": self.number,
            "appliedDate": now.to_string(),
        });
        let id = self.id().replace('[', "%5B").replace(']', "%5D");
        let path = format!("/{}/_update/{id}", wire.settings.alias("update-log"));
        let (status, _) = wire
            .post(&path, &json!({ "doc": document, "doc_as_upsert": true }))
            .await?;
        if matches!(status, 200 | 201) {
            return Ok(());
        }
        Err(Failure::Upgrade(format!(
            "Could not write the update log of step {}!",
            self.number
        )))
    }
}

//! Settings and mappings of every index, after the steps. What an operator tuned by hand is lost here.

use serde_json::Value;

use crate::Failure;
use crate::metadata;
use crate::say;
use crate::schema;
use crate::schema::Definition;
use crate::steps;
use crate::wire::Wire;
use crate::wire::status_line;

/// Aliases in one look.
const ALIASES_PER_LOOK: usize = 10;

/// What was found before the first step, and is not looked up again although the steps delete some of it.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Keys of process definitions; an archive counts as a definition whose key begins with `archive-`.
    pub keys: Vec<String>,
    /// Keys of archives, each with its index.
    pub archives: Vec<(String, String)>,
}

/// Looks up the indices of definitions. Those of decisions are looked for without the prefix.
pub async fn look(wire: &Wire<'_>) -> Result<Found, Failure> {
    let front = wire.settings.alias("process-instance-");
    let (status, answer) = wire.get(&format!("/{front}*/_alias")).await?;
    let mut found = Found::default();
    if status == 200 {
        for (index, entry) in answer.as_object().into_iter().flatten() {
            let aliases = entry["aliases"].as_object();
            for alias in aliases.into_iter().flat_map(serde_json::Map::keys) {
                let Some(key) = alias.strip_prefix(&front) else {
                    continue;
                };
                if key.starts_with("archive-") {
                    found.archives.push((key.to_owned(), index.clone()));
                }
                if !found.keys.iter().any(|known| known == key) {
                    found.keys.push(key.to_owned());
                }
            }
        }
    }
    let (status, answer) = wire.get("/_alias/decision-instance-*").await?;
    let strays = answer.as_object().map_or(0, serde_json::Map::len);
    if status == 200 && strays > 0 {
        return Err(Failure::Other(
            "Range [17, 9) out of bounds for length 9".into(),
        ));
    }
    Ok(found)
}

/// All of it. `found` is what was there before the first step.
pub async fn sync(wire: &Wire<'_>, found: &Found) -> Result<(), Failure> {
    let settings = if wire.is_opensearch() {
        "/_all/_settings".to_owned()
    } else {
        format!("/{}*/_settings", wire.settings.prefix)
    };
    // Blocks would show here; no build that was looked at lifts one.
    wire.get(&settings).await?;
    let fixed = schema::fixed(wire.settings, wire.settings.jar)?;
    let mut dynamic = Vec::new();
    for key in &found.keys {
        dynamic.push(schema::process_instance(wire.settings, key)?);
    }
    if has_all(wire, &fixed).await? {
        say::line("Updating Optimize schema...");
        for definition in fixed.iter().chain(&dynamic) {
            update(wire, definition).await?;
        }
        look(wire).await?;
        for definition in &dynamic {
            update(wire, definition).await?;
        }
        say::line("Finished updating Optimize schema.");
    } else {
        say::line("Initializing Optimize schema...");
        for definition in fixed.iter().chain(&dynamic) {
            steps::create(wire, definition).await?;
        }
        look(wire).await?;
        say::line("Optimize schema initialized successfully.");
    }
    metadata::write(wire, None, wire.settings.jar).await
}

async fn has_all(wire: &Wire<'_>, fixed: &[Definition]) -> Result<bool, Failure> {
    for part in fixed.chunks(ALIASES_PER_LOOK) {
        let aliases: Vec<&str> = part
            .iter()
            .map(|definition| definition.alias.as_str())
            .collect();
        if !wire.head(&format!("/{}", aliases.join(","))).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Dynamic settings and the mapping of one index. One that is gone comes back, empty.
pub async fn update(wire: &Wire<'_>, definition: &Definition) -> Result<(), Failure> {
    let target = &definition.target;
    let path = format!("/{target}/_settings");
    let (status, answer) = wire.put(&path, &definition.dynamic_settings()).await?;
    if status == 404 {
        let (status, answer) = wire
            .put(&format!("/{}", definition.index), &definition.body())
            .await?;
        return refused(wire, "settings", definition, &path, status, &answer);
    }
    refused(wire, "settings", definition, &path, status, &answer)?;
    let path = format!("/{target}/_mapping");
    let (status, answer) = wire.put(&path, definition.mapping()).await?;
    refused(wire, "mappings", definition, &path, status, &answer)?;
    if let Some(template) = &definition.template {
        let path = format!("/_template/{template}");
        let (status, answer) = wire.put(&path, &definition.template_body(template)).await?;
        refused(wire, "mappings", definition, &path, status, &answer)?;
    }
    Ok(())
}

fn refused(
    wire: &Wire<'_>,
    what: &str,
    definition: &Definition,
    path: &str,
    status: u16,
    answer: &Value,
) -> Result<(), Failure> {
    if status == 200 {
        return Ok(());
    }
    let index = &definition.index;
    if !wire.is_opensearch() {
        let error = &answer["error"];
        return Err(Failure::Other(format!(
            "[es/indices.put_{what}] failed: [{}] {}",
            error["type"].as_str().unwrap_or_default(),
            error["reason"].as_str().unwrap_or_default()
        )));
    }
    let why = match status {
        403 => "Forbidden access".to_owned(),
        _ => status_line("PUT", path, status, answer),
    };
    Err(Failure::Other(format!(
        "Could not update [{what}] for index [{index}]. {why}"
    )))
}

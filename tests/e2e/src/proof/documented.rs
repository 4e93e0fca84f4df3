//! What is documented of the step from 8.7 to 8.8: what differs afterwards, and what is asked for.

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::Dump;
use liftlock_lab::SiteFacts;
use liftlock_lab::diff;
use serde_json::Value;
use serde_json::json;

use super::TO;
use crate::tally::same;

/// The lines that differ between a dump before and one after, without values that are checked on
/// their own.
pub fn expected_difference(facts: &SiteFacts) -> Vec<String> {
    let prefix = &facts.prefix;
    let mut lines = Vec::new();
    for section in ["aliases", "documents", "indices", "mappings", "settings"] {
        lines.push(format!("- {section}/{}", facts.doomed_index));
        lines.push(format!("+ {section}/{prefix}-update-log_v1"));
    }
    for template in &facts.templates {
        lines.push(format!("- templates/legacy/{template}"));
    }
    lines.push(format!("~ documents/{prefix}-metadata_v3/1"));
    lines.push(format!(
        "~ metadata/schemaVersion: \"{}\" -> \"{TO}\"",
        facts.schema_version
    ));
    lines.push("~ update-log".into());
    lines.sort();
    lines
}

/// Compares the end state with the documented one: exactly these lines differ.
pub(super) fn check_difference(
    facts: &SiteFacts,
    before: &Dump,
    after: &Dump,
) -> anyhow::Result<()> {
    let metadata = format!("~ documents/{}-metadata_v3/1", facts.prefix);
    let mut found: Vec<String> = diff(before, after)
        .into_iter()
        .map(|line| {
            // A checksum and a whole log; what they stand for is checked field by field.
            [metadata.as_str(), "~ update-log"]
                .into_iter()
                .find(|start| line.starts_with(&format!("{start}: ")))
                .map_or(line.clone(), str::to_owned)
        })
        .collect();
    found.sort();
    same(&expected_difference(facts), &found)
}

/// The update log: three documents with the ids and fields that the vendor's own tool continues by.
pub(super) fn check_update_log(facts: &SiteFacts, after: &Dump) -> anyhow::Result<()> {
    let steps = [
        ("schema-delete-index", "variable-update-instance_v2"),
        (
            "schema-delete-template",
            "variable-update-instance_v2[Template]",
        ),
        (
            "schema-delete-template",
            "external-process-variable_v2[Template]",
        ),
    ];
    let mut expected = serde_json::Map::new();
    for (number, (kind, name)) in (1..).zip(steps) {
        let document = json!({
            "indexName": name, "optimizeVersion": TO, "stepType": kind, "stepNumber": number,
            "appliedDate": "(a date in UTC with milliseconds)",
        });
        expected.insert(format!("{TO}_{kind}_{name}"), document);
    }
    let log = after.get("/update-log").context("there is no update log")?;
    same_json("the update log", &expected.into(), log)?;
    let index = format!("{}-update-log_v1", facts.prefix);
    let properties = after
        .get(&format!("/mappings/{index}/properties"))
        .with_context(|| format!("`{index}` has no fields"))?;
    let keyword = json!({ "type": "keyword" });
    let fields = json!({
        "indexName": keyword, "optimizeVersion": keyword, "stepType": keyword,
        "stepNumber": { "type": "long" }, "appliedDate": { "type": "date" },
    });
    same_json("the fields of the update log", &fields, properties)?;
    let alias = format!(
        "/aliases/{index}/{}-update-log/is_write_index",
        facts.prefix
    );
    same_json(
        "the write flag of its alias",
        &json!("true"),
        after.get(&alias).unwrap_or(&Value::Null),
    )
}

/// The metadata document: the new version, and the installation's id as it was.
pub(super) fn check_metadata(facts: &SiteFacts, after: &Dump) -> anyhow::Result<()> {
    let expected = json!({ "schemaVersion": TO, "installationId": facts.installation_id });
    same_json(
        "the metadata document",
        &expected,
        after.get("/metadata").unwrap_or(&Value::Null),
    )
}

/// Nothing of the neighbours differs, in any section.
pub(super) fn check_neighbours(
    facts: &SiteFacts,
    before: &Dump,
    after: &Dump,
) -> anyhow::Result<()> {
    if facts.neighbours.is_empty() {
        bail!("the site has no neighbours to compare");
    }
    for name in facts.neighbours.keys() {
        for section in ["indices", "aliases", "mappings", "settings", "documents"] {
            let pointer = format!("/{section}/{name}");
            let old = before.get(&pointer).unwrap_or(&Value::Null);
            same_json(&pointer, old, after.get(&pointer).unwrap_or(&Value::Null))?;
        }
        let count = before
            .get(&format!("/documents/{name}"))
            .and_then(Value::as_object)
            .map_or(0, serde_json::Map::len);
        if count as u64 != facts.neighbours[name] || count == 0 {
            bail!(
                "`{name}` had {count} documents, built were {}",
                facts.neighbours[name]
            );
        }
    }
    Ok(())
}

/// Replicas that someone had tuned by hand are as they were.
pub(super) fn check_tuned(facts: &SiteFacts, after: &Dump) -> anyhow::Result<()> {
    if facts.without_replicas.is_empty() {
        bail!("the site has no index with hand-tuned replicas");
    }
    for index in &facts.without_replicas {
        let pointer = format!("/settings/{index}/index/number_of_replicas");
        same_json(
            &pointer,
            &json!("0"),
            after.get(&pointer).unwrap_or(&Value::Null),
        )?;
    }
    Ok(())
}

pub(super) fn same_json(what: &str, expected: &Value, found: &Value) -> anyhow::Result<()> {
    if expected == found {
        Ok(())
    } else {
        bail!("{what}: expected {expected}, found {found}")
    }
}

/// The requests that change something, in their order, each with what it is.
///
/// The plan's own are the documented ones. Ours around them are listed too, so that no other can
/// hide: the claim, the snapshot and its trial restore, and the token that a new index carries
/// until its creation is on record.
pub fn expected_changes(facts: &SiteFacts) -> Vec<(&'static str, String)> {
    let prefix = &facts.prefix;
    let log = |kind: &str, name: &str| {
        (
            "documented: update log",
            format!("PUT /{prefix}-update-log_v1/_create/{TO}_{kind}_{name}"),
        )
    };
    vec![
        (
            "ours: claim",
            "PUT /_component_template/liftlock-claim.1".into(),
        ),
        ("ours: snapshot", "PUT /_snapshot/backups/[snapshot]".into()),
        (
            "ours: trial restore",
            "POST /_snapshot/backups/[snapshot]/_restore".into(),
        ),
        ("ours: trial removed", "DELETE /[trial]".into()),
        (
            "documented: update log",
            format!("PUT /{prefix}-update-log_v1"),
        ),
        ("ours: token taken off", "POST /_aliases".into()),
        (
            "documented: step 1",
            format!("DELETE /{}", facts.doomed_index),
        ),
        log("schema-delete-index", "variable-update-instance_v2"),
        (
            "documented: step 2",
            format!("DELETE /_template/{prefix}-variable-update-instance_v2"),
        ),
        log(
            "schema-delete-template",
            "variable-update-instance_v2%5BTemplate%5D",
        ),
        (
            "documented: step 3",
            format!("DELETE /_template/{prefix}-external-process-variable_v2"),
        ),
        log(
            "schema-delete-template",
            "external-process-variable_v2%5BTemplate%5D",
        ),
        (
            "documented: schema version",
            format!("PUT /{prefix}-metadata_v3/_doc/1"),
        ),
        (
            "ours: claim given back",
            "DELETE /_component_template/liftlock-claim.1".into(),
        ),
    ]
}

/// A request as it is compared: without its query, with a mark for names that differ every run.
pub(super) fn plain(request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap_or(("", request));
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let path = match parts.as_slice() {
        ["", "_snapshot", repository, _, rest @ ..] => {
            let rest: String = rest.iter().map(|part| format!("/{part}")).collect();
            format!("/_snapshot/{repository}/[snapshot]{rest}")
        }
        ["", index] if index.contains("liftlock") => "/[trial]".into(),
        _ => path.into(),
    };
    format!("{method} {path}")
}

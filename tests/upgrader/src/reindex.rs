//! A reindex with its wait. Three of the vendor's defects are here: it trusts counts without a refresh, it takes
//! equal counts for equal documents, and it never finds its own task again.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::Failure;
use crate::say;
use crate::wire::Wire;

/// First and longest pause between two looks at a task.
const LOOK_MS: (u64, u64) = (10, 1000);

/// Copies, unless both sides count the same.
pub async fn reindex(
    wire: &Wire<'_>,
    source: &str,
    target: &str,
    script: &str,
) -> Result<(), Failure> {
    if count(wire, source).await? == count(wire, target).await? {
        say::line(&format!(
            "Found that index [{target}] already contains the same amount of documents as [{source}], will skip \
             reindex."
        ));
        return Ok(());
    }
    let name = format!("reindex from [{source}] to [{target}]");
    let task = match pending(wire, &name).await? {
        Some(task) => {
            say::line(&format!(
                "Found pending task with id {task}, will wait for it to finish."
            ));
            task
        }
        None => submit(wire, source, target, script).await?,
    };
    wait(wire, &task, &name).await
}

async fn count(wire: &Wire<'_>, index: &str) -> Result<Option<u64>, Failure> {
    let (_, answer) = wire.post(&format!("/{index}/_count"), &json!({})).await?;
    Ok(answer["count"].as_u64())
}

/// On the first node of the answer only, and by a text that no scripted task has.
async fn pending(wire: &Wire<'_>, name: &str) -> Result<Option<String>, Failure> {
    let path = "/_tasks?detailed=true&actions=indices:data/write/reindex&wait_for_completion=false";
    let (_, answer) = wire.get(path).await?;
    let first = answer["nodes"]
        .as_object()
        .and_then(|nodes| nodes.values().next());
    let tasks = first.and_then(|node| node["tasks"].as_object());
    Ok(tasks.into_iter().flatten().find_map(|(id, task)| {
        let description = task["description"].as_str()?.trim_end_matches("[_doc]");
        (description == name).then(|| id.clone())
    }))
}

async fn submit(
    wire: &Wire<'_>,
    source: &str,
    target: &str,
    script: &str,
) -> Result<String, Failure> {
    let body = json!({
        "source": { "index": [source] },
        "dest": { "index": target },
        "script": { "lang": "painless", "params": {}, "source": script },
    });
    let (_, answer) = wire
        .post("/_reindex?refresh=true&wait_for_completion=false", &body)
        .await?;
    match answer["task"].as_str() {
        Some(task) => Ok(task.to_owned()),
        None => Err(Failure::Upgrade(format!(
            "Could not create the task of reindex from [{source}] to [{target}]: {answer}"
        ))),
    }
}

async fn wait(wire: &Wire<'_>, task: &str, name: &str) -> Result<(), Failure> {
    let mut pause = LOOK_MS.0;
    let mut told = None;
    loop {
        let (status, answer) = wire.get(&format!("/_tasks/{task}")).await?;
        if status != 200 {
            return Err(Failure::Upgrade(format!(
                "Error while trying to read database task (ID: {task}) progress!"
            )));
        }
        if !answer["error"].is_null() {
            return Err(Failure::Upgrade(format!(
                "A database task failed with error: {}",
                answer["error"]
            )));
        }
        if let Some(failures) = answer["response"]["failures"].as_array()
            && !failures.is_empty()
        {
            return Err(Failure::Upgrade(format!(
                "A database task contained failures: {failures:?}"
            )));
        }
        let completed = answer["completed"] == Value::Bool(true);
        let seen = &answer["task"]["status"];
        let number = |key: &str| seen[key].as_u64().unwrap_or(0);
        let (total, updated, created, deleted) = (
            number("total"),
            number("updated"),
            number("created"),
            number("deleted"),
        );
        let percent = (updated + created + deleted) * 100 / total.max(1);
        if told != Some((percent, completed)) {
            told = Some((percent, completed));
            say::line(&format!(
                "Progress of task (ID:{task}) on {name}: {percent}% (total: {total}, updated: {updated}, created: \
                 {created}, deleted: {deleted}). Completed: {completed}"
            ));
        }
        if completed {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        pause = (pause * 3 / 2 + 1).min(LOOK_MS.1);
    }
}

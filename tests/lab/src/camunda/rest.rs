//! The few requests of the engine's REST interface that the lab itself makes.

use std::time::Duration;
use std::time::Instant;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use crate::error::LabError;
use crate::http::HttpTarget;
use crate::process::LOOK_AGAIN;

/// Our processes: `work` (a user task, then a job), `tick` (a timer), `batch` (a job of `ms`
/// milliseconds), `ext` (an external task of the topic `ext`).
pub const PROCESSES: &str = include_str!("processes.bpmn");

/// What separates the parts of a deployment; it is in none of them.
const BOUNDARY: &str = "liftlock-lab-part";

/// Deploys [`PROCESSES`] in the name `name`; answers the deployment's id.
///
/// Repeated, it deploys once more: the engine is not told to look for a duplicate.
pub async fn deploy(rest: &HttpTarget, name: &str) -> Result<String, LabError> {
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"deployment-name\"\r\n\r\n{name}\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"lab.bpmn\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{PROCESSES}\r\n--{BOUNDARY}--\r\n"
    );
    let path = "/deployment/create";
    let lost = |source| LabError::NoAnswer {
        request: format!("POST {path}"),
        source,
    };
    let response = rest
        .bare_request(Method::POST, path)
        .header(
            "Content-Type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(body)
        .send()
        .await
        .map_err(lost)?;
    let status = response.status().as_u16();
    let text = response.text().await.map_err(lost)?;
    if status != 200 {
        return Err(LabError::Refused {
            request: format!("POST {path}"),
            status,
            body: text,
        });
    }
    let answer = serde_json::from_str(&text).unwrap_or(Value::String(text));
    id(&answer, "a deployment")
}

/// Starts an instance of a process with variables of type String or Long; answers its id.
pub async fn start(
    rest: &HttpTarget,
    process: &str,
    variables: &[(&str, Value)],
) -> Result<String, LabError> {
    let path = format!("/process-definition/key/{process}/start");
    let answer = rest.post(&path, &start_body(variables)).await?;
    id(&answer, "a started instance")
}

/// The body that starts an instance.
pub(crate) fn start_body(variables: &[(&str, Value)]) -> Value {
    let all: serde_json::Map<String, Value> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({ "value": value })))
        .collect();
    json!({ "variables": all })
}

/// Completes the only open user task of an instance.
pub async fn complete_task(rest: &HttpTarget, instance: &str) -> Result<(), LabError> {
    let tasks = rest
        .get(&format!("/task?processInstanceId={instance}"))
        .await?;
    let task = id(&tasks[0], "the only task")?;
    rest.post(&format!("/task/{task}/complete"), &json!({}))
        .await
        .map(drop)
}

/// Starts an instance of `work`, completes its task and waits until its job has run.
///
/// The only check through a node that notices a schema which is too old. An error after `patience`.
pub async fn complete_an_instance(rest: &HttpTarget, patience: Duration) -> Result<(), LabError> {
    let instance = start(rest, "work", &[]).await?;
    complete_task(rest, &instance).await?;
    let end = Instant::now() + patience;
    loop {
        let seen = rest
            .get(&format!("/history/process-instance/{instance}"))
            .await?;
        if seen["state"] == "COMPLETED" {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(LabError::malformed(
                format!("instance `{instance}` after {} ms", patience.as_millis()),
                format!("it is `{}`, expected `COMPLETED`", seen["state"]),
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The number at `path`, which ends in `/count`.
pub async fn count(rest: &HttpTarget, path: &str) -> Result<u64, LabError> {
    let answer = rest.get(path).await?;
    answer["count"]
        .as_u64()
        .ok_or_else(|| LabError::malformed(format!("the answer to `{path}`"), "it has no `count`"))
}

fn id(answer: &Value, what: &str) -> Result<String, LabError> {
    answer["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| LabError::malformed(what, format!("no `id` in {answer}")))
}

//! What an engine's REST interface answers, as far as it is asked, from its database.

use serde_json::Value;
use serde_json::json;

use super::machines::Machines;
use super::store::INSTALLATION;
use super::store::Store;
use super::ways::CANARY;
use crate::rolling::rest;
use crate::rolling::rest::Request;

/// Its address, as long as the runtime lives that it is served on: `http://127.0.0.1:PORT/NODE` is a node's.
pub async fn serve(machines: Machines, store: Store) -> anyhow::Result<String> {
    rest::serve(move |request| {
        let (machines, store) = (machines.clone(), store.clone());
        async move {
            let path = request.path.trim_start_matches('/');
            let (node, path) = path.split_once('/').unwrap_or((path, ""));
            let version = machines.ask_node(node)?;
            Some(answer(&request, path, &version, &store).await)
        }
    })
    .await
}

async fn answer(request: &Request, path: &str, version: &str, store: &Store) -> (u16, Value) {
    let start = format!("process-definition/key/{CANARY}/start");
    match (request.method.as_str(), path) {
        ("GET", "version") => (200, json!({"version": version})),
        ("GET", "telemetry/data") => (
            200,
            json!({"installation": INSTALLATION, "product": {"name": "Camunda BPM Runtime"}}),
        ),
        ("GET", "job/count") => counted(store.count_jobs().await),
        ("GET", "history/process-instance/count") => {
            let key = request.query.split('&').find_map(|part| {
                let key = part.strip_prefix("processInstanceBusinessKey=")?;
                Some(key.to_owned())
            });
            counted(store.count_instances(&key.unwrap_or_default()).await)
        }
        ("POST", path) if path == start => {
            let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
            let key = body["businessKey"].as_str().unwrap_or_default();
            match store.complete_instance(key, version).await {
                Ok(id) => (200, json!({"id": id, "businessKey": key})),
                Err(error) => failed(&error),
            }
        }
        _ => (
            404,
            json!({"type": "NotFoundException", "message": "no such path"}),
        ),
    }
}

fn counted(count: anyhow::Result<u64>) -> (u16, Value) {
    match count {
        Ok(count) => (200, json!({"count": count})),
        Err(error) => failed(&error),
    }
}

/// As an engine says it whose statement its database refuses.
fn failed(error: &anyhow::Error) -> (u16, Value) {
    let message = format!("ENGINE-03083 {error:#}");
    (
        500,
        json!({"type": "ProcessEngineException", "message": message}),
    )
}

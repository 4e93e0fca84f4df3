//! What Kuzzle answers, as far as it is asked.

use std::sync::Arc;

use liftlock_testkit::SimCluster;
use serde_json::json;

use super::machines::KUZZLE_VERSION;
use super::machines::Machines;
use crate::rolling::rest;

/// Its address, as long as the runtime lives that it is served on. `storages`: clusters, by the address that Kuzzle's
/// configuration has of them.
pub async fn serve(
    machines: Machines,
    storages: Vec<(&'static str, Arc<SimCluster>)>,
) -> anyhow::Result<String> {
    let storages = Arc::new(storages);
    rest::serve(move |request| {
        let (machines, storages) = (machines.clone(), storages.clone());
        async move {
            if !machines.ask_kuzzle() {
                return None;
            }
            let told = machines.told()?;
            let mut named = storages.iter().filter(|(address, _)| *address == told.node);
            let (_, sim) = named.next()?;
            let (status, health) = sim.call("GET", "/_cluster/health", "");
            Some(match request.path.as_str() {
                "/_healthCheck" if status == 200 && health["status"] != "red" => {
                    (200, json!({"status": 200, "result": {"status": "green"}}))
                }
                "/_healthCheck" => (
                    503,
                    json!({"status": 503, "error": {"id": "core.network.unavailable"}}),
                ),
                "/_serverInfo" => {
                    let (_, nodes) = sim.call("GET", "/_cat/nodes?format=json&h=version", "");
                    let storage = json!({"internalStorage": {"version": nodes[0]["version"]}});
                    let info = json!({"kuzzle": {"version": KUZZLE_VERSION}, "services": storage});
                    (200, json!({"status": 200, "result": {"serverInfo": info}}))
                }
                _ => (
                    404,
                    json!({"status": 404, "error": {"id": "network.http.url_not_found"}}),
                ),
            })
        }
    })
    .await
}

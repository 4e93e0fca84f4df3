//! Identity, routes, health, cluster settings, nodes.

use serde_json::{Value, json};

use super::{Client, Outcome, checks, expect, same};
use crate::product::Product;

checks![
    root_says_what_the_server_is,
    an_absent_api_is_refused_with_400_or_405,
    a_wrong_method_is_refused_with_the_right_ones,
    an_unknown_parameter_is_refused,
    a_body_without_a_known_content_type_is_refused,
    the_opaque_id_comes_back,
    filter_path_keeps_what_was_asked_for,
    health_of_a_missing_index_times_out_red,
    health_waits_for_nodes_and_says_when_it_gave_up,
    cluster_settings_are_set_shown_and_removed_by_null,
    a_transient_setting_stands_beside_the_persistent_one,
    an_archived_setting_can_be_removed_by_name_and_not_set,
    an_unknown_cluster_setting_is_refused,
    a_replica_without_a_place_is_explained_by_rules,
    defaults_show_the_disk_watermarks,
    nodes_list_reindex_and_painless,
    nodes_show_heap_and_disk,
    cluster_state_shows_uuid_and_manager,
    there_is_no_deprecation_api_on_opensearch,
];

async fn root_says_what_the_server_is(c: &Client, p: Product) -> Outcome {
    let body = c.get("/").await?.status(200)?.body;
    same(
        "version",
        body["version"]["number"].as_str(),
        Some(p.version()),
    )?;
    let distribution = p.is_opensearch().then_some("opensearch");
    same(
        "distribution",
        body["version"]["distribution"].as_str(),
        distribution,
    )?;
    same(
        "wire compatibility",
        body["version"]["minimum_wire_compatibility_version"].as_str(),
        Some(p.minimum_wire()),
    )?;
    same(
        "index compatibility",
        body["version"]["minimum_index_compatibility_version"].as_str(),
        Some(p.minimum_index()),
    )?;
    same(
        "length of the cluster uuid",
        body["cluster_uuid"].as_str().map(str::len),
        Some(22),
    )?;
    let head = c.ask("HEAD", "/", Value::Null).await?.status(200)?;
    same(
        "product header",
        head.header("x-elastic-product").is_some(),
        !p.is_opensearch(),
    )
}

async fn an_absent_api_is_refused_with_400_or_405(c: &Client, _: Product) -> Outcome {
    let answer = c
        .get("/_nothing/of_this_name/here/at_all")
        .await?
        .status(400)?;
    expect(
        answer.reason().starts_with("no handler found for uri ["),
        answer.body.to_string(),
    )?;
    let answer = c.get("/_nothing/here").await?;
    expect(
        matches!(answer.status, 400 | 405),
        format!("saw {}", answer.status),
    )?;
    c.get("/_nothing").await?.refused(
        400,
        "invalid_index_name_exception",
        "must not start with '_'",
    )?;
    Ok(())
}

async fn a_wrong_method_is_refused_with_the_right_ones(c: &Client, _: Product) -> Outcome {
    let answer = c.get("/_reindex").await?.status(405)?;
    same(
        "reason",
        answer.reason(),
        "Incorrect HTTP method for uri [/_reindex] and method [GET], allowed: [POST]",
    )
}

async fn an_unknown_parameter_is_refused(c: &Client, _: Product) -> Outcome {
    c.get("/_cluster/health?colour=green").await?.refused(
        400,
        "illegal_argument_exception",
        "request [/_cluster/health] contains unrecognized parameter: [colour]",
    )?;
    Ok(())
}

async fn a_body_without_a_known_content_type_is_refused(c: &Client, _: Product) -> Outcome {
    let answer = c
        .send(
            "POST",
            "/_count",
            &[("content-type", "text/plain")],
            "{}".to_owned(),
        )
        .await?;
    same("status", answer.status, 406)?;
    same(
        "reason",
        answer.reason(),
        "Content-Type header [text/plain] is not supported",
    )
}

async fn the_opaque_id_comes_back(c: &Client, _: Product) -> Outcome {
    let answer = c
        .send("GET", "/", &[("x-opaque-id", "suite-token")], String::new())
        .await?;
    same(
        "x-opaque-id",
        answer.header("x-opaque-id"),
        Some("suite-token"),
    )
}

async fn filter_path_keeps_what_was_asked_for(c: &Client, p: Product) -> Outcome {
    let body = c
        .get("/?filter_path=version.number")
        .await?
        .status(200)?
        .body;
    same("body", body, json!({"version": {"number": p.version()}}))
}

async fn health_of_a_missing_index_times_out_red(c: &Client, _: Product) -> Outcome {
    let body = c
        .get("/_cluster/health/suite-absent?timeout=100ms")
        .await?
        .status(408)?
        .body;
    same("timed out", &body["timed_out"], &json!(true))?;
    same("status", &body["status"], &json!("red"))
}

async fn health_waits_for_nodes_and_says_when_it_gave_up(c: &Client, _: Product) -> Outcome {
    let body = c
        .get("/_cluster/health?wait_for_nodes=99&timeout=100ms")
        .await?
        .status(408)?
        .body;
    same("timed out", &body["timed_out"], &json!(true))?;
    let body = c
        .get("/_cluster/health?wait_for_nodes=%3E%3D1&timeout=10s")
        .await?
        .status(200)?
        .body;
    same("timed out", &body["timed_out"], &json!(false))
}

async fn cluster_settings_are_set_shown_and_removed_by_null(c: &Client, _: Product) -> Outcome {
    let key = "cluster.routing.allocation.enable";
    let set = c
        .put(
            "/_cluster/settings",
            json!({"persistent": {key: "primaries"}}),
        )
        .await?
        .status(200)?;
    same(
        "echo",
        &set.body["persistent"]["cluster"]["routing"]["allocation"]["enable"],
        &json!("primaries"),
    )?;
    let shown = c
        .get("/_cluster/settings?flat_settings=true")
        .await?
        .status(200)?;
    same("shown", &shown.body["persistent"][key], &json!("primaries"))?;
    c.put("/_cluster/settings", json!({"persistent": {key: null}}))
        .await?
        .status(200)?;
    let shown = c
        .get("/_cluster/settings?flat_settings=true")
        .await?
        .status(200)?;
    expect(
        shown.body["persistent"].get(key).is_none(),
        shown.body.to_string(),
    )
}

async fn a_transient_setting_stands_beside_the_persistent_one(c: &Client, _: Product) -> Outcome {
    let key = "cluster.routing.allocation.enable";
    c.put(
        "/_cluster/settings",
        json!({"persistent": {key: "all"}, "transient": {key: "primaries"}}),
    )
    .await?
    .status(200)?;
    let shown = c
        .get("/_cluster/settings?flat_settings=true")
        .await?
        .status(200)?;
    same("persistent", &shown.body["persistent"][key], &json!("all"))?;
    same(
        "transient",
        &shown.body["transient"][key],
        &json!("primaries"),
    )?;
    let none = json!({"persistent": {key: null}, "transient": {key: null}});
    c.put("/_cluster/settings", none).await?.status(200)?;
    let shown = c
        .get("/_cluster/settings?flat_settings=true")
        .await?
        .status(200)?;
    expect(
        shown.body["transient"].get(key).is_none(),
        shown.body.to_string(),
    )
}

async fn an_archived_setting_can_be_removed_by_name_and_not_set(c: &Client, _: Product) -> Outcome {
    let body = |value: Value| json!({"persistent": {"archived.suite.gone": value}});
    // There is none, which is no error.
    c.put("/_cluster/settings", body(Value::Null))
        .await?
        .status(200)?;
    let refused = c.put("/_cluster/settings", body(json!("1"))).await?;
    expect(refused.status == 400, refused.body.to_string())
}

async fn an_unknown_cluster_setting_is_refused(c: &Client, p: Product) -> Outcome {
    let kind = if p == Product::OpenSearch3 {
        "settings_exception"
    } else {
        "illegal_argument_exception"
    };
    c.put(
        "/_cluster/settings",
        json!({"persistent": {"cluster.suite_typo": 1}}),
    )
    .await?
    .refused(
        400,
        kind,
        "persistent setting [cluster.suite_typo], not recognized",
    )?;
    c.put("/_cluster/settings", json!({})).await?.status(400)?;
    Ok(())
}

async fn a_replica_without_a_place_is_explained_by_rules(c: &Client, _: Product) -> Outcome {
    let key = "cluster.routing.allocation.enable";
    c.without(&["suite-explained"]).await?;
    // More copies than there are nodes.
    let settings = json!({"settings": {"number_of_shards": 1, "number_of_replicas": 9}});
    c.put("/suite-explained", settings).await?.status(200)?;
    for (value, wanted) in [
        (json!("primaries"), vec!["enable", "same_shard"]),
        (Value::Null, vec!["same_shard"]),
    ] {
        c.put("/_cluster/settings", json!({"persistent": {key: value}}))
            .await?
            .status(200)?;
        let what = json!({"index": "suite-explained", "shard": 0, "primary": false});
        let told = c
            .ask("POST", "/_cluster/allocation/explain", what)
            .await?
            .status(200)?
            .body;
        let rules = told["node_allocation_decisions"][0]["deciders"].as_array();
        let rules = rules.into_iter().flatten();
        let mut against: Vec<&str> = rules
            .filter(|rule| rule["decision"] == "NO" && rule["explanation"].is_string())
            .filter_map(|rule| rule["decider"].as_str())
            .collect();
        against.sort_unstable();
        same("rules", &against, &wanted)?;
    }
    c.without(&["suite-explained"]).await
}

async fn defaults_show_the_disk_watermarks(c: &Client, _: Product) -> Outcome {
    let body = c
        .get("/_cluster/settings?include_defaults=true&flat_settings=true")
        .await?
        .status(200)?
        .body;
    for (key, value) in [("low", "85%"), ("high", "90%"), ("flood_stage", "95%")] {
        let key = format!("cluster.routing.allocation.disk.watermark.{key}");
        same(&key, body["defaults"][&key].as_str(), Some(value))?;
    }
    Ok(())
}

async fn nodes_list_reindex_and_painless(c: &Client, _: Product) -> Outcome {
    let body = c.get("/_nodes/plugins").await?.status(200)?.body;
    let nodes = body["nodes"].as_object().cloned().unwrap_or_default();
    expect(!nodes.is_empty(), "no nodes")?;
    for node in nodes.values() {
        let names: Vec<String> = ["plugins", "modules"]
            .iter()
            .flat_map(|k| node[*k].as_array().cloned().unwrap_or_default())
            .filter_map(|m| m["name"].as_str().map(str::to_lowercase))
            .collect();
        for part in ["reindex", "painless"] {
            expect(
                names.iter().any(|n| n.contains(part)),
                format!("no {part} in {names:?}"),
            )?;
        }
    }
    Ok(())
}

async fn nodes_show_heap_and_disk(c: &Client, _: Product) -> Outcome {
    let body = c.get("/_nodes/stats/jvm,fs").await?.status(200)?.body;
    for node in body["nodes"]
        .as_object()
        .into_iter()
        .flat_map(|n| n.values())
    {
        for pointer in [
            "/jvm/mem/heap_max_in_bytes",
            "/fs/total/total_in_bytes",
            "/fs/total/available_in_bytes",
        ] {
            expect(
                node.pointer(pointer).is_some_and(Value::is_u64),
                format!("no {pointer} in {node}"),
            )?;
        }
    }
    let info = c.get("/_nodes/jvm").await?.status(200)?.body;
    let heap = info["nodes"]
        .as_object()
        .and_then(|n| n.values().next())
        .map(|n| n["jvm"]["mem"]["heap_max_in_bytes"].is_u64());
    same("heap in the node's description", heap, Some(true))
}

async fn cluster_state_shows_uuid_and_manager(c: &Client, p: Product) -> Outcome {
    let uuid = c.get("/").await?.body["cluster_uuid"].clone();
    let body = c
        .get("/_cluster/state/metadata,master_node?filter_path=metadata.cluster_uuid,master_node")
        .await?
        .status(200)?
        .body;
    same("uuid", &body["metadata"]["cluster_uuid"], &uuid)?;
    expect(body["master_node"].is_string(), body.to_string())?;
    if p.is_opensearch() {
        let body = c
            .get("/_cluster/state/cluster_manager_node")
            .await?
            .status(200)?
            .body;
        expect(body["cluster_manager_node"].is_string(), body.to_string())?;
    }
    Ok(())
}

async fn there_is_no_deprecation_api_on_opensearch(c: &Client, p: Product) -> Outcome {
    if !p.is_opensearch() {
        return Ok(());
    }
    c.get("/_migration/deprecations").await?.status(400)?;
    Ok(())
}

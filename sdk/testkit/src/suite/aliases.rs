//! Aliases and their atomic changes.

use serde_json::{Value, json};

use super::{Client, Outcome, checks, expect, same};
use crate::product::Product;

checks![
    an_alias_swap_is_all_or_nothing,
    an_alias_swap_with_a_missing_alias_is_refused_whole,
    a_removed_index_gives_its_name_to_an_alias_in_one_call,
    an_alias_has_one_write_index,
    a_write_through_an_alias_needs_a_write_index,
    missing_aliases_are_404_in_their_own_shape,
    alias_options_come_back,
    a_filtered_alias_filters_searches,
    an_index_cannot_take_the_name_of_an_alias,
];

async fn two(c: &Client, old: &str, new: &str, alias: &str) -> Outcome {
    c.fresh(old, json!({"aliases": {alias: {"is_write_index": true}}}))
        .await?;
    c.fresh(new, json!({})).await
}

async fn an_alias_swap_is_all_or_nothing(c: &Client, _: Product) -> Outcome {
    two(c, "suite-swap-1", "suite-swap-2", "suite-swap").await?;
    let swap = json!({"actions": [
        {"remove": {"index": "suite-swap-1", "alias": "suite-swap", "must_exist": true}},
        {"add": {"index": "suite-swap-2", "alias": "suite-swap", "is_write_index": true}},
    ]});
    let done = c.post("/_aliases", swap).await?.status(200)?;
    same("acknowledged", &done.body["acknowledged"], &json!(true))?;
    let shown = c.get("/_alias/suite-swap").await?.status(200)?.body;
    same(
        "holder",
        &shown,
        &json!({"suite-swap-2": {"aliases": {"suite-swap": {"is_write_index": true}}}}),
    )?;
    let broken = json!({"actions": [
        {"remove": {"index": "suite-swap-2", "alias": "suite-swap"}},
        {"add": {"index": "suite-absent", "alias": "suite-swap"}},
    ]});
    c.post("/_aliases", broken).await?.refused(
        404,
        "index_not_found_exception",
        "no such index [suite-absent]",
    )?;
    same(
        "holder after a refused swap",
        &c.get("/_alias/suite-swap").await?.body,
        &shown,
    )?;
    c.without(&["suite-swap-1", "suite-swap-2"]).await
}

async fn an_alias_swap_with_a_missing_alias_is_refused_whole(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-must", json!({})).await?;
    let body = json!({"actions": [
        {"remove": {"index": "suite-must", "alias": "suite-fence", "must_exist": true}},
        {"add": {"index": "suite-must", "alias": "suite-must-alias"}},
    ]});
    c.post("/_aliases", body).await?.refused(
        404,
        "aliases_not_found_exception",
        "aliases [suite-fence] missing",
    )?;
    let shown = c.get("/suite-must/_alias").await?.status(200)?.body;
    same("aliases", &shown, &json!({"suite-must": {"aliases": {}}}))?;
    c.post("/_aliases", json!({"actions": []})).await?.refused(
        400,
        "illegal_argument_exception",
        "No action specified",
    )?;
    c.without(&["suite-must"]).await
}

async fn a_removed_index_gives_its_name_to_an_alias_in_one_call(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-name", json!({})).await?;
    c.fresh("suite-name-v2", json!({})).await?;
    let body = json!({"actions": [
        {"remove_index": {"index": "suite-name"}},
        {"add": {"index": "suite-name-v2", "alias": "suite-name"}},
    ]});
    c.post("/_aliases", body).await?.status(200)?;
    let shown = c.get("/suite-name/_settings").await?.status(200)?.body;
    expect(shown.get("suite-name-v2").is_some(), shown.to_string())?;
    c.without(&["suite-name-v2"]).await
}

async fn an_alias_has_one_write_index(c: &Client, _: Product) -> Outcome {
    two(c, "suite-writer-1", "suite-writer-2", "suite-writer").await?;
    let body = json!({"actions": [{"add": {"index": "suite-writer-2", "alias": "suite-writer", "is_write_index": true}}]});
    c.post("/_aliases", body).await?.refused(
        500,
        "illegal_state_exception",
        "alias [suite-writer] has more than one write index",
    )?;
    c.without(&["suite-writer-1", "suite-writer-2"]).await
}

async fn a_write_through_an_alias_needs_a_write_index(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-via-1",
        json!({"aliases": {"suite-via": {"is_write_index": false}}}),
    )
    .await?;
    c.put("/suite-via/_doc/1", json!({"n": 1})).await?.refused(
        400,
        "illegal_argument_exception",
        "no write index is defined for alias [suite-via]",
    )?;
    c.fresh(
        "suite-via-2",
        json!({"aliases": {"suite-via": {"is_write_index": true}}}),
    )
    .await?;
    let done = c
        .put("/suite-via/_doc/1", json!({"n": 1}))
        .await?
        .status(201)?;
    same("index", done.body["_index"].as_str(), Some("suite-via-2"))?;
    c.get("/suite-via/_doc/1").await?.refused(
        400,
        "illegal_argument_exception",
        "alias [suite-via] has more than one ind",
    )?;
    c.without(&["suite-via-1", "suite-via-2"]).await
}

async fn missing_aliases_are_404_in_their_own_shape(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-alias-404", json!({"aliases": {"suite-there": {}}}))
        .await?;
    let one = c.get("/_alias/suite-not-there").await?.status(404)?;
    same(
        "body",
        one.body,
        json!({"error": "alias [suite-not-there] missing", "status": 404}),
    )?;
    let mixed = c
        .get("/_alias/suite-not-there,suite-there")
        .await?
        .status(404)?;
    same(
        "found part",
        &mixed.body["suite-alias-404"],
        &json!({"aliases": {"suite-there": {}}}),
    )?;
    c.ask("HEAD", "/_alias/suite-not-there", Value::Null)
        .await?
        .status(404)?;
    same(
        "pattern without a match",
        c.get("/_alias/suite-not-*").await?.status(200)?.body,
        json!({}),
    )?;
    c.get("/suite-absent/_alias").await?.refused(
        404,
        "index_not_found_exception",
        "no such index [suite-absent]",
    )?;
    c.without(&["suite-alias-404"]).await
}

async fn alias_options_come_back(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-options", json!({})).await?;
    let body = json!({"actions": [{"add": {"index": "suite-options", "alias": "suite-options-alias", "filter": {"term": {"k": "a"}}, "routing": "7"}}]});
    c.post("/_aliases", body).await?.status(200)?;
    let shown = c.get("/suite-options/_alias").await?.body;
    same(
        "alias",
        &shown["suite-options"]["aliases"]["suite-options-alias"],
        &json!({"filter": {"term": {"k": "a"}}, "index_routing": "7", "search_routing": "7"}),
    )?;
    let row = c
        .get("/_cat/aliases/suite-options-alias?format=json")
        .await?
        .status(200)?
        .body;
    same("filter column", row[0]["filter"].as_str(), Some("*"))?;
    same("write column", row[0]["is_write_index"].as_str(), Some("-"))?;
    c.without(&["suite-options"]).await
}

async fn a_filtered_alias_filters_searches(c: &Client, _: Product) -> Outcome {
    let body = json!({"mappings": {"properties": {"k": {"type": "keyword"}}}, "aliases": {"suite-few": {"filter": {"term": {"k": "k2"}}}}});
    c.fresh("suite-many", body).await?;
    c.fill("suite-many", 3).await?;
    same("through the alias", c.count("suite-few").await?, 1)?;
    same("through the index", c.count("suite-many").await?, 3)?;
    c.without(&["suite-many"]).await
}

async fn an_index_cannot_take_the_name_of_an_alias(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-holder", json!({"aliases": {"suite-held": {}}}))
        .await?;
    c.put("/suite-held", json!({})).await?.refused(
        400,
        "invalid_index_name_exception",
        "already exists as alias",
    )?;
    let body = json!({"actions": [{"add": {"index": "suite-holder", "alias": "suite-holder"}}]});
    c.post("/_aliases", body).await?.refused(
        400,
        "invalid_alias_name_exception",
        "exists with the same name as the alias",
    )?;
    c.without(&["suite-holder"]).await
}

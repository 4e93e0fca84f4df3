//! Queries, sorting, paging, totals, points in time.

use serde_json::{Value, json};

use super::{Client, Outcome, SuiteError, checks, expect, same};
use crate::product::Product;

checks![
    queries_select_by_the_mapping,
    nested_objects_are_matched_one_by_one,
    a_disabled_object_is_not_searched,
    search_after_pages_through_everything_once,
    totals_are_exact_or_say_that_they_are_not,
    the_result_window_is_bounded,
    an_unknown_query_or_sort_field_is_refused,
    hits_carry_version_and_sequence_number_when_asked,
    a_point_in_time_does_not_move,
    a_scroll_gives_every_hit_and_ends,
    aggregations_count_and_find_the_highest_sequence_number,
    source_filtering_keeps_what_was_asked_for,
];

fn ids(body: &Value) -> Vec<String> {
    body["hits"]["hits"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|h| h["_id"].as_str().map(ToOwned::to_owned))
        .collect()
}

async fn library(c: &Client, index: &str) -> Outcome {
    let mapping = json!({"properties": {
        "k": {"type": "keyword"}, "n": {"type": "long"}, "t": {"type": "text"},
        "d": {"type": "date", "format": "yyyy-MM-dd'T'HH:mm:ss.SSSZ"},
        "off": {"type": "object", "enabled": false},
        "v": {"type": "nested", "properties": {"name": {"type": "keyword"}, "value": {"type": "keyword", "fields": {"long": {"type": "long", "ignore_malformed": true}}}}},
    }});
    c.fresh(index, json!({"mappings": mapping})).await?;
    let documents = [
        json!({"k": "a", "n": 1, "t": "The quick Fox", "d": "2026-01-01T00:00:00.000+0000", "off": {"x": 1}, "v": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]}),
        json!({"k": ["a", "b"], "n": 2, "t": "slow turtle", "d": "2026-02-01T00:00:00.000+0100"}),
        json!({"k": "c", "n": 10, "v": [{"name": "x", "value": "2"}]}),
    ];
    for (at, document) in documents.into_iter().enumerate() {
        c.put(&format!("/{index}/_doc/{}", at + 1), document)
            .await?
            .status(201)?;
    }
    c.post(&format!("/{index}/_refresh"), Value::Null)
        .await?
        .status(200)?;
    Ok(())
}

async fn found(c: &Client, index: &str, query: Value) -> Result<Vec<String>, SuiteError> {
    let body = c
        .post(
            &format!("/{index}/_search"),
            json!({"query": query, "sort": ["n"]}),
        )
        .await?
        .status(200)?
        .body;
    Ok(ids(&body))
}

async fn queries_select_by_the_mapping(c: &Client, _: Product) -> Outcome {
    let index = "suite-query";
    library(c, index).await?;
    for (query, wanted) in [
        (json!({"match_all": {}}), vec!["1", "2", "3"]),
        (json!({"term": {"k": "a"}}), vec!["1", "2"]),
        (json!({"terms": {"k": ["b", "c"]}}), vec!["2", "3"]),
        (json!({"ids": {"values": ["3", "9"]}}), vec!["3"]),
        (json!({"range": {"n": {"gte": 2, "lt": 10}}}), vec!["2"]),
        (
            json!({"range": {"d": {"gte": "2026-01-15T00:00:00.000+0000"}}}),
            vec!["2"],
        ),
        (json!({"exists": {"field": "d"}}), vec!["1", "2"]),
        (json!({"prefix": {"k": "c"}}), vec!["3"]),
        (json!({"match": {"t": "FOX"}}), vec!["1"]),
        (json!({"term": {"t": "Fox"}}), vec![]),
        (
            json!({"bool": {"must": [{"term": {"k": "a"}}], "must_not": [{"term": {"n": 1}}]}}),
            vec!["2"],
        ),
        (
            json!({"bool": {"should": [{"term": {"n": 1}}, {"term": {"n": 10}}]}}),
            vec!["1", "3"],
        ),
        (
            json!({"bool": {"filter": [{"exists": {"field": "k"}}], "should": [{"term": {"n": 1}}]}}),
            vec!["1", "2", "3"],
        ),
        (json!({"term": {"unmapped": "a"}}), vec![]),
    ] {
        same(
            &query.to_string(),
            found(c, index, query.clone()).await?,
            wanted.into_iter().map(ToOwned::to_owned).collect(),
        )?;
    }
    c.without(&[index]).await
}

async fn nested_objects_are_matched_one_by_one(c: &Client, _: Product) -> Outcome {
    let index = "suite-query-nested";
    library(c, index).await?;
    let both = |name: &str, value: u64| json!({"nested": {"path": "v", "query": {"bool": {"must": [{"term": {"v.name": name}}, {"term": {"v.value.long": value}}]}}}});
    same(
        "x and 2",
        found(c, index, both("x", 2)).await?,
        vec!["3".to_owned()],
    )?;
    same(
        "from outside",
        found(c, index, json!({"term": {"v.name": "x"}})).await?,
        vec![],
    )?;
    c.without(&[index]).await
}

async fn a_disabled_object_is_not_searched(c: &Client, _: Product) -> Outcome {
    let index = "suite-query-off";
    library(c, index).await?;
    same(
        "term",
        found(c, index, json!({"term": {"off.x": 1}})).await?,
        vec![],
    )?;
    same(
        "exists",
        found(c, index, json!({"exists": {"field": "off.x"}})).await?,
        vec![],
    )?;
    c.without(&[index]).await
}

async fn search_after_pages_through_everything_once(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-page",
        json!({"mappings": {"properties": {"k": {"type": "keyword"}, "n": {"type": "long"}}}}),
    )
    .await?;
    c.fill("suite-page", 25).await?;
    for sort in ["k", "n", "_seq_no"] {
        let mut seen = Vec::new();
        let mut after = Value::Null;
        loop {
            let mut body = json!({"size": 10, "sort": [{sort: "asc"}]});
            if !after.is_null() {
                body["search_after"] = after;
            }
            let page = c.post("/suite-page/_search", body).await?.status(200)?.body;
            let hits = page["hits"]["hits"].as_array().cloned().unwrap_or_default();
            seen.extend(ids(&page));
            let Some(last) = hits.last() else { break };
            after = last["sort"].clone();
        }
        same(&format!("hits by {sort}"), seen.len(), 25)?;
        seen.sort();
        seen.dedup();
        same(&format!("distinct hits by {sort}"), seen.len(), 25)?;
    }
    c.without(&["suite-page"]).await
}

async fn totals_are_exact_or_say_that_they_are_not(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-total", json!({})).await?;
    c.fill("suite-total", 5).await?;
    let total = |body: Value| body["hits"]["total"].clone();
    let answer = c
        .post("/suite-total/_search", json!({"size": 0}))
        .await?
        .status(200)?;
    same(
        "default",
        total(answer.body),
        json!({"value": 5, "relation": "eq"}),
    )?;
    let answer = c
        .post(
            "/suite-total/_search",
            json!({"size": 0, "track_total_hits": 2}),
        )
        .await?
        .status(200)?;
    same(
        "up to two",
        total(answer.body),
        json!({"value": 2, "relation": "gte"}),
    )?;
    let answer = c
        .post(
            "/suite-total/_search",
            json!({"size": 0, "track_total_hits": false}),
        )
        .await?
        .status(200)?;
    expect(
        answer.body["hits"].get("total").is_none(),
        answer.body.to_string(),
    )?;
    c.without(&["suite-total"]).await
}

async fn the_result_window_is_bounded(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-window", json!({})).await?;
    let answer = c
        .post("/suite-window/_search", json!({"from": 10_000}))
        .await?;
    let cause = answer.body["error"]["root_cause"][0]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    answer.refused(400, "search_phase_execution_exception", "all shards failed")?;
    expect(cause.starts_with("Result window is too large, from + size must be less than or equal to: [10000] but was [10010]"), cause)?;
    c.without(&["suite-window"]).await
}

async fn an_unknown_query_or_sort_field_is_refused(c: &Client, _: Product) -> Outcome {
    c.fresh(
        "suite-unknown",
        json!({"mappings": {"properties": {"t": {"type": "text"}}}}),
    )
    .await?;
    c.post("/suite-unknown/_search", json!({"query": {"suite": {}}}))
        .await?
        .refused(400, "parsing_exception", "unknown query [suite]")?;
    c.post("/suite-unknown/_search", json!({"suite": 1}))
        .await?
        .refused(
            400,
            "parsing_exception",
            "Unknown key for a VALUE_NUMBER in [suite].",
        )?;
    for (field, why) in [
        (
            "absent",
            "No mapping found for [absent] in order to sort on",
        ),
        ("t", "Text fields are not optimised for operations"),
    ] {
        let answer = c
            .post("/suite-unknown/_search", json!({"sort": [field]}))
            .await?
            .status(400)?;
        let cause = answer.body["error"]["root_cause"][0]["reason"]
            .as_str()
            .unwrap_or_default();
        expect(cause.contains(why), answer.body.to_string())?;
    }
    c.without(&["suite-unknown"]).await
}

async fn hits_carry_version_and_sequence_number_when_asked(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-hit", json!({})).await?;
    c.fill("suite-hit", 2).await?;
    let plain = c.get("/suite-hit/_search").await?.status(200)?.body;
    expect(
        plain["hits"]["hits"][0].get("_seq_no").is_none(),
        plain.to_string(),
    )?;
    let body = json!({"version": true, "seq_no_primary_term": true, "sort": ["_seq_no"]});
    let hits = c.post("/suite-hit/_search", body).await?.status(200)?.body["hits"]["hits"].clone();
    same("sequence number", &hits[1]["_seq_no"], &json!(1))?;
    same("term", &hits[1]["_primary_term"], &json!(1))?;
    same("version", &hits[1]["_version"], &json!(1))?;
    c.without(&["suite-hit"]).await
}

async fn a_point_in_time_does_not_move(c: &Client, p: Product) -> Outcome {
    c.fresh(
        "suite-pit",
        json!({"mappings": {"properties": {"n": {"type": "long"}, "k": {"type": "keyword"}}}}),
    )
    .await?;
    c.fill("suite-pit", 3).await?;
    let id = if p.is_opensearch() {
        c.post(
            "/suite-pit/_search/point_in_time?keep_alive=1m",
            Value::Null,
        )
        .await?
        .status(200)?
        .body["pit_id"]
            .clone()
    } else {
        c.post("/suite-pit/_pit?keep_alive=1m", Value::Null)
            .await?
            .status(200)?
            .body["id"]
            .clone()
    };
    c.fill("suite-pit", 6).await?;
    let search = json!({"size": 10, "pit": {"id": id, "keep_alive": "1m"}, "sort": [{"n": "asc"}]});
    let seen = c.post("/_search", search).await?.status(200)?.body;
    same(
        "hits",
        ids(&seen),
        vec!["1".to_owned(), "2".to_owned(), "3".to_owned()],
    )?;
    expect(seen["pit_id"].is_string(), seen.to_string())?;
    let closed = if p.is_opensearch() {
        c.ask("DELETE", "/_search/point_in_time", json!({"pit_id": [id]}))
            .await?
            .status(200)?
            .body["pits"][0]["successful"]
            .clone()
    } else {
        c.ask("DELETE", "/_pit", json!({"id": id}))
            .await?
            .status(200)?
            .body["succeeded"]
            .clone()
    };
    same("closed", closed, json!(true))?;
    let gone = c
        .post("/_search", json!({"pit": {"id": id}}))
        .await?
        .status(404)?;
    same(
        "cause",
        gone.body["error"]["root_cause"][0]["type"].as_str(),
        Some("search_context_missing_exception"),
    )?;
    c.without(&["suite-pit"]).await
}

async fn a_scroll_gives_every_hit_and_ends(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-scroll", json!({})).await?;
    c.fill("suite-scroll", 5).await?;
    let mut page = c
        .post(
            "/suite-scroll/_search?scroll=1m&size=2",
            json!({"sort": ["_doc"]}),
        )
        .await?
        .status(200)?
        .body;
    let mut seen = Vec::new();
    while !ids(&page).is_empty() {
        seen.extend(ids(&page));
        page = c
            .post(
                "/_search/scroll",
                json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}),
            )
            .await?
            .status(200)?
            .body;
    }
    same("hits", seen.len(), 5)?;
    let id = page["_scroll_id"].clone();
    c.ask("DELETE", "/_search/scroll", json!({"scroll_id": id}))
        .await?
        .status(200)?;
    c.post("/_search/scroll", json!({"scroll": "1m", "scroll_id": id}))
        .await?
        .status(404)?;
    c.without(&["suite-scroll"]).await
}

async fn aggregations_count_and_find_the_highest_sequence_number(
    c: &Client,
    _: Product,
) -> Outcome {
    c.fresh(
        "suite-aggs",
        json!({"mappings": {"properties": {"n": {"type": "long"}, "k": {"type": "keyword"}}}}),
    )
    .await?;
    c.fill("suite-aggs", 4).await?;
    let body = json!({"size": 0, "aggs": {
        "highest": {"max": {"field": "_seq_no"}}, "names": {"terms": {"field": "k", "size": 2}}, "values": {"value_count": {"field": "k"}},
    }});
    let aggs = c.post("/suite-aggs/_search", body).await?.status(200)?.body["aggregations"].clone();
    same("highest", aggs["highest"]["value"].as_f64(), Some(3.0))?;
    same("values", &aggs["values"]["value"], &json!(4))?;
    same("others", &aggs["names"]["sum_other_doc_count"], &json!(2))?;
    c.without(&["suite-aggs"]).await
}

async fn source_filtering_keeps_what_was_asked_for(c: &Client, _: Product) -> Outcome {
    c.fresh("suite-source", json!({})).await?;
    c.put(
        "/suite-source/_doc/1?refresh=true",
        json!({"a": 1, "o": {"x": 1, "y": 2}}),
    )
    .await?
    .status(201)?;
    let body = c
        .post("/suite-source/_search", json!({"_source": ["o.x"]}))
        .await?
        .status(200)?
        .body;
    same(
        "included",
        &body["hits"]["hits"][0]["_source"],
        &json!({"o": {"x": 1}}),
    )?;
    let body = c
        .post(
            "/suite-source/_search",
            json!({"_source": {"excludes": ["o.*"]}}),
        )
        .await?
        .status(200)?
        .body;
    same(
        "excluded",
        &body["hits"]["hits"][0]["_source"]["a"],
        &json!(1),
    )?;
    let body = c
        .post("/suite-source/_search", json!({"_source": false}))
        .await?
        .status(200)?
        .body;
    expect(
        body["hits"]["hits"][0].get("_source").is_none(),
        body.to_string(),
    )?;
    let body = c
        .get("/suite-source/_doc/1?_source=a")
        .await?
        .status(200)?
        .body;
    same("of a get", &body["_source"], &json!({"a": 1}))?;
    c.without(&["suite-source"]).await
}

//! The one raw read: a path of the plugin's own, for what the contract lacks.

use liftlock_types::facts::cluster::RawAnswer;
use liftlock_types::{Json, ReadError};

use crate::Cluster;
use crate::call::Call;
use crate::http::PLUGIN_BYTES_MAX;

/// Last parts of a POST that only reads.
const READING_POSTS: [&str; 4] = ["_search", "_count", "_mget", "_field_caps"];

/// Two last parts of a POST that only reads.
const READING_PAIR: (&str, &str) = ("_validate", "query");

/// Parts that make even a GET do something: the servers take these by GET too.
const DOING: [&str; 10] = [
    "_refresh",
    "_flush",
    "_forcemerge",
    "_cache",
    "_reload_search_analyzers",
    "_upgrade",
    "_async_search",
    "_sql",
    "_pit",
    "point_in_time",
];

/// Parameters that make a read leave something behind on the server.
const DOING_PARAMETERS: [&str; 3] = ["scroll", "source", "wait_for_completion"];

pub(super) async fn raw_read(
    cluster: &Cluster,
    path: &str,
    query: &[(String, String)],
    body: Option<&Json>,
) -> Result<RawAnswer, ReadError> {
    let parts = parts(path)?;
    let may_post = match parts.as_slice() {
        [.., one, two] if is_explain(&parts) || READING_PAIR == (one, two) => true,
        [.., last] => READING_POSTS.contains(last),
        [] => false,
    };
    if let Some((key, _)) = query
        .iter()
        .find(|(key, _)| DOING_PARAMETERS.contains(&key.as_str()))
    {
        return Err(ReadError::Invalid(format!(
            "the parameter `{key}` is not allowed in a raw read"
        )));
    }
    let mut call = match body {
        None => Call::get(parts.iter().copied()).empty_is_none(),
        Some(body) if may_post => Call::post(parts.iter().copied()).text(body.as_str()),
        Some(_) => {
            return Err(ReadError::Invalid(format!(
                "a POST to `{path}` may change something; with a body only _search, _count, _mget, _field_caps, \
                 _validate/query and _cluster/allocation/explain are read"
            )));
        }
    };
    for (key, value) in query {
        call = call.param(key, value);
    }
    let answer = cluster.answer(&call.bytes_max(PLUGIN_BYTES_MAX)).await?;
    Ok(RawAnswer {
        status: answer.status,
        body: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}

fn is_explain(parts: &[&str]) -> bool {
    parts == ["_cluster", "allocation", "explain"]
}

fn parts(path: &str) -> Result<Vec<&str>, ReadError> {
    let invalid = |why: &str| {
        Err(ReadError::Invalid(format!(
            "the path `{}` {why}",
            path.escape_debug()
        )))
    };
    let Some(rest) = path.strip_prefix('/') else {
        return invalid("does not begin with `/`");
    };
    if rest.contains(['?', '#']) {
        return invalid("holds a query; parameters go beside it");
    }
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = rest.split('/').collect();
    if parts
        .iter()
        .any(|part| part.is_empty() || *part == "." || *part == "..")
    {
        return invalid("holds an empty part, `.` or `..`");
    }
    if let Some(doing) = parts.iter().find(|part| DOING.contains(part)) {
        return invalid(&format!("does something: `{doing}`"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_path_that_means_another_one_or_does_something() {
        for bad in [
            "a",
            "/a//b",
            "/a/../b",
            "/a/_refresh",
            "/_flush",
            "/a?x=1",
            "/a/_pit",
        ] {
            assert!(parts(bad).is_err(), "{bad}");
        }
        assert_eq!(parts("/_cat/nodes").unwrap(), ["_cat", "nodes"]);
        assert_eq!(parts("/").unwrap(), Vec::<&str>::new());
    }
}

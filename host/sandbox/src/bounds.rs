//! Bounds of a read's arguments, and of its answer. Pure; asked after the policy and before the target.

use liftlock_types::{
    AliasName, BackendName, DocumentId, EndpointPath, Json, Read, ReadError, ServerName,
    check_endpoint_query,
};
use serde_json::Value;

use crate::limits::LIST_ITEMS_MAX;

/// Most hits of one search, as the contract says.
const SEARCH_SIZE_MAX: u32 = 1_000;
/// Most lines of one log tail, as the contract says.
const LOG_TAIL_LINES_MAX: u32 = 1_000;
/// Most bytes of one file read, as the contract says.
const FILE_READ_BYTES_MAX: u32 = 1 << 20;
/// Longest name, pattern or path in a read. Servers refuse names above 255 bytes; a path holds several.
const NAME_BYTES_MAX: usize = 4 << 10;

/// Parameters that no raw read carries: `source` hides a body in the query.
const PARAMETERS_REFUSED: [&str; 2] = ["source", "source_content_type"];

/// Are the arguments of this read within what the contract allows?
pub(crate) fn check(read: &Read) -> Result<(), ReadError> {
    let (mut names, mut too_long) = (0, None);
    read.try_each_name(|name| {
        names += 1;
        if name.len() > NAME_BYTES_MAX {
            too_long.get_or_insert(name.len());
        }
        Ok::<(), ReadError>(())
    })?;
    if names > LIST_ITEMS_MAX {
        return invalid(format!("{names} names, at most {LIST_ITEMS_MAX} are taken"));
    }
    if let Some(bytes) = too_long {
        return invalid(format!(
            "a name of {bytes} bytes, at most {NAME_BYTES_MAX} are taken"
        ));
    }
    names_mean_one_thing(read)?;
    match read {
        Read::Search { what } if !(1..=SEARCH_SIZE_MAX).contains(&what.size) => invalid(format!(
            "size is {}, it must be 1 to {SEARCH_SIZE_MAX}",
            what.size
        )),
        Read::Search { what } if what.indices.is_empty() => {
            invalid("a search names at least one index".into())
        }
        Read::Activity { indices } if indices.is_empty() => {
            invalid("at least one index is named".into())
        }
        Read::ServiceLog { lines } if !(1..=LOG_TAIL_LINES_MAX).contains(lines) => invalid(
            format!("{lines} lines, it must be 1 to {LOG_TAIL_LINES_MAX}"),
        ),
        Read::FileRead { length, .. } | Read::FileBytes { length, .. }
            if *length > FILE_READ_BYTES_MAX =>
        {
            invalid(format!(
                "length is {length}, at most {FILE_READ_BYTES_MAX} are read at once"
            ))
        }
        Read::Tasks { actions } if actions.len() > LIST_ITEMS_MAX => invalid(format!(
            "{} actions, at most {LIST_ITEMS_MAX} are taken",
            actions.len()
        )),
        Read::RawRead { path, query, body } => {
            if query.len() > LIST_ITEMS_MAX {
                return invalid(format!(
                    "{} query parameters, at most {LIST_ITEMS_MAX} are taken",
                    query.len()
                ));
            }
            if let Some((key, _)) = query
                .iter()
                .find(|(key, _)| PARAMETERS_REFUSED.contains(&key.as_str()))
            {
                return invalid(format!(
                    "a raw read has no parameter `{key}`; it has a body"
                ));
            }
            object("body", body.as_ref())?;
            raw_path(path)
        }
        Read::EndpointAnswer { path, query } => EndpointPath::new(path.as_str())
            .and_then(|_| check_endpoint_query(query))
            .or_else(|error| invalid(error.to_string())),
        _ => Ok(()),
    }
}

/// A name is one name, a pattern is one with a `*` behind it, and a query is an object: what a server takes for more
/// (another cluster, a list, date math) is refused here, where its author is told.
fn names_mean_one_thing(read: &Read) -> Result<(), ReadError> {
    let one = |text: &str| AliasName::check(text).or_else(|error| invalid(error.to_string()));
    let pattern = |text: &String| match text.strip_suffix('*') {
        Some("") => Ok(()),
        Some(body) => one(body),
        None => one(text),
    };
    match read {
        Read::Mappings { index } | Read::IndexSettings { index } | Read::Checksum { index } => {
            one(index)
        }
        Read::Count { index, query } => {
            one(index)?;
            object("query", query.as_ref())
        }
        Read::Document { index, id } => {
            one(index)?;
            DocumentId::check(id).or_else(|error| invalid(error.to_string()))
        }
        Read::Search { what } => {
            what.indices.iter().try_for_each(pattern)?;
            object("query", Some(&what.query))
        }
        Read::Indices { pattern: text }
        | Read::Shards { pattern: text }
        | Read::Aliases { pattern: text }
        | Read::Templates { pattern: text, .. } => pattern(text),
        Read::Activity { indices } => indices.iter().try_for_each(pattern),
        Read::TrafficServers { backend, server } => servers(backend, server.as_deref()),
        _ => Ok(()),
    }
}

/// A backend, or all whose name begins so; a server only of one backend.
fn servers(backend: &str, server: Option<&str>) -> Result<(), ReadError> {
    let body = match (backend.strip_suffix('*'), server) {
        (Some(_), Some(_)) => return invalid("one server is of one backend".into()),
        (Some(""), None) => return Ok(()),
        (Some(body), None) => body,
        (None, _) => backend,
    };
    BackendName::check(body).or_else(|error| invalid(error.to_string()))?;
    server.map_or(Ok(()), |server| {
        ServerName::check(server).or_else(|error| invalid(error.to_string()))
    })
}

fn object(what: &str, json: Option<&Json>) -> Result<(), ReadError> {
    match json {
        Some(json) if !json.as_str().starts_with('{') => {
            invalid(format!("{what} is no JSON object"))
        }
        _ => Ok(()),
    }
}

/// A raw path stays where the policy saw it: no dot segment in any spelling, since the client would resolve it
/// after the scope was tested, and nothing that begins a query or a fragment.
fn raw_path(path: &str) -> Result<(), ReadError> {
    if !path.starts_with('/') {
        return invalid("a raw path begins with `/`".into());
    }
    if path
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '?' | '#'))
    {
        return invalid(
            "a raw path holds no white space, control character, `\\`, `?` or `#`".into(),
        );
    }
    for segment in path[1..].split('/') {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        if plain == "." || plain == ".." || plain.contains("%2f") || plain.contains("%5c") {
            return invalid("a raw path holds no dot segment and no encoded separator".into());
        }
    }
    Ok(())
}

/// Most elements of an answer that is a list, as the contract says.
pub(crate) fn answer_items_max(read: &Read) -> usize {
    match read {
        Read::Shards { .. }
        | Read::Aliases { .. }
        | Read::TableIndexes { .. }
        | Read::Constraints { .. } => 20_000,
        Read::Columns { .. } => 100_000,
        Read::Templates { .. } => 2_000,
        Read::Tasks { .. } | Read::Sessions => 5_000,
        Read::Search { .. } | Read::ServiceLog { .. } => 1_000,
        Read::SnapshotList => 1_000,
        _ => 10_000,
    }
}

/// Refuses an answer over its documented bound; nothing is cut.
pub(crate) fn check_answer(read: &Read, answer: &Value) -> Result<(), ReadError> {
    let most = answer_items_max(read);
    match answer.as_array() {
        Some(items) if items.len() > most => invalid(format!(
            "the answer has {} entries, at most {most} are given; ask for less at once",
            items.len()
        )),
        _ => Ok(()),
    }
}

/// Bytes of a value, roughly as its JSON text has.
pub(crate) fn weight(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() as u64 + 8,
        Value::Array(items) => 8 + items.iter().map(weight).sum::<u64>(),
        Value::Object(members) => {
            8 + members
                .iter()
                .map(|(key, value)| key.len() as u64 + 8 + weight(value))
                .sum::<u64>()
        }
    }
}

fn invalid(text: String) -> Result<(), ReadError> {
    Err(ReadError::Invalid(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use liftlock_types::Json;
    use liftlock_types::facts::cluster::Search;

    fn raw(path: &str) -> Result<(), ReadError> {
        check(&Read::RawRead {
            path: path.into(),
            query: vec![],
            body: None,
        })
    }

    #[test]
    fn a_backend_is_one_word_or_the_beginning_of_one() {
        let servers = |backend: &str, server: Option<&str>| {
            check(&Read::TrafficServers {
                backend: backend.into(),
                server: server.map(str::to_owned),
            })
        };
        for good in ["be", "be*", "*", "svc:http"] {
            assert!(servers(good, None).is_ok(), "{good}");
        }
        assert!(servers("be", Some("n1")).is_ok());
        for bad in ["", "be;x", "b e", "be/n1", "b*e", "**", "be\n"] {
            assert!(servers(bad, None).is_err(), "{bad:?}");
        }
        assert!(servers("be*", Some("n1")).is_err());
        assert!(servers("be", Some("n1;x")).is_err());
        assert!(servers("be", Some("*")).is_err());
    }

    #[test]
    fn a_raw_path_cannot_leave_the_scope_it_was_granted_for() {
        for bad in [
            "_cat/indices",
            "/_cat/../secret",
            "/_cat/%2e%2E/secret",
            "/_cat/.%2e/secret",
            "/_cat/./x",
            "/_cat/%2f/x",
            "/_cat\\x",
            "/_cat?x=1",
            "/_cat#x",
            "/_cat/\n",
        ] {
            assert!(raw(bad).is_err(), "{bad:?}");
        }
        for good in [
            "/",
            "/_cat/indices/a-*",
            "/%25kuzzle.users/_stats",
            "/a.b/_stats",
        ] {
            raw(good).unwrap();
        }
    }

    #[test]
    fn a_name_is_one_name_and_a_query_an_object() {
        let count = |index: &str, query: Option<&str>| {
            check(&Read::Count {
                index: index.into(),
                query: query.map(|text| Json::new(text).unwrap()),
            })
        };
        assert!(count("a", None).is_ok());
        for bad in ["remote:a", "a,b", "a*", "<a>", "", "a\u{200b}"] {
            assert!(count(bad, None).is_err(), "{bad:?}");
        }
        assert!(count("a", Some("[]")).is_err());
        let indices = |pattern: &str| {
            check(&Read::Indices {
                pattern: pattern.into(),
            })
        };
        for good in ["*", "a-*", ".tasks", "a"] {
            indices(good).unwrap();
        }
        assert!(indices("remote:*").is_err());
        let raw = Read::RawRead {
            path: "/a".into(),
            query: vec![("source".into(), "{}".into())],
            body: None,
        };
        assert!(check(&raw).is_err());
    }

    #[test]
    fn bounds_of_arguments_are_told() {
        let search = |size| Read::Search {
            what: Search {
                indices: vec!["a".into()],
                query: Json::new("{}").unwrap(),
                sort: None,
                size,
                after: None,
            },
        };
        assert!(check(&search(0)).is_err());
        assert!(check(&search(1001)).is_err());
        assert!(check(&search(1000)).is_ok());
        let error = check(&Read::ServiceLog { lines: 1001 }).unwrap_err();
        assert!(error.to_string().contains("1000"), "{error}");
        assert!(
            check(&Read::FileRead {
                dir: vec![],
                name: "a".into(),
                offset: 0,
                length: FILE_READ_BYTES_MAX + 1
            })
            .is_err()
        );
        assert!(
            check(&Read::FileBytes {
                dir: vec![],
                name: "a".into(),
                offset: 0,
                length: FILE_READ_BYTES_MAX + 1
            })
            .is_err()
        );
        assert!(
            check(&Read::Activity {
                indices: vec!["a".into(); LIST_ITEMS_MAX + 1]
            })
            .is_err()
        );
        let told = |names: Vec<String>| {
            check(&Read::Activity { indices: names })
                .unwrap_err()
                .to_string()
        };
        let long = |more: usize| "a".repeat(NAME_BYTES_MAX + more);
        // The first one that is too long is told, and how many there are before that.
        let error = told(vec!["a".into(), long(1), long(2)]);
        assert!(error.contains(&(NAME_BYTES_MAX + 1).to_string()), "{error}");
        let error = told(vec![long(1); LIST_ITEMS_MAX + 1]);
        assert!(error.contains(&(LIST_ITEMS_MAX + 1).to_string()), "{error}");
        assert!(
            check(&Read::Activity {
                indices: vec!["a".into(); LIST_ITEMS_MAX]
            })
            .is_ok()
        );
        assert!(
            check(&Read::Count {
                index: long(1),
                query: None
            })
            .is_err()
        );
    }

    #[test]
    fn an_answer_over_its_bound_is_refused_and_not_cut() {
        let list = Value::from(vec![0; 2_001]);
        let read = Read::Templates {
            kind: liftlock_types::facts::cluster::TemplateKind::Legacy,
            pattern: "*".into(),
        };
        assert!(check_answer(&read, &list).is_err());
        assert!(check_answer(&Read::Nodes, &list).is_ok());
    }
}

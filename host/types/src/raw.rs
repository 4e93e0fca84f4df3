//! Raw requests: what no other kind of change covers, bounded so that a plan shows exactly what is sent.
//!
//! Three rules, each checked where the request is made and again wherever a plan is read:
//!
//! 1. *One path, written out.* No wildcard, list, `_all`, date math, remote cluster, empty part, dot segment or
//!    encoded separator: the path that the scope was tested with is the path that the server takes.
//! 2. *What has a kind of its own goes through it*, where it is conditional and can be proved: an index alone,
//!    documents, aliases, settings, mappings, templates, snapshots, tasks, by-query work. What deletes data beside
//!    these (data streams, dangling indices, SQL) goes nowhere.
//! 3. *Who may do what on the target is the operator's*: no account, role or key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::name;
use crate::{AliasName, Json, NameError, Predicate};

/// Longest path: the servers take 4 KiB with its query; names have 255 bytes each.
const PATH_BYTES_MAX: usize = 1_024;

/// Most query parameters, and most names that it touches: more are no single request a person can read.
const PAIRS_MAX: usize = 20;

/// Longest query key or value.
const PAIR_BYTES_MAX: usize = 255;

/// Encodings that a server, or a proxy that decodes once more, takes for a separator, a dot, a `%` or an end.
const ENCODED: [&str; 5] = ["%2f", "%5c", "%2e", "%25", "%00"];

/// Parts of a path whose work has a kind of its own.
const TYPED: [&str; 19] = [
    "_doc",
    "_create",
    "_update",
    "_bulk",
    "_reindex",
    "_update_by_query",
    "_delete_by_query",
    "_alias",
    "_aliases",
    "_settings",
    "_mapping",
    "_mappings",
    "_template",
    "_index_template",
    "_component_template",
    "_snapshot",
    "_tasks",
    "_rethrottle",
    "_source",
];

/// Two parts in a row whose work has a kind of its own, or holds our own claim.
const TYPED_PAIR: (&str, &str) = ("_cluster", "settings");

/// Parts that delete data and have no kind.
const DELETES_DATA: [&str; 3] = ["_data_stream", "_dangling", "_sql"];

/// Parts behind which accounts, roles and keys are.
const RIGHTS: [&str; 3] = ["_security", "_xpack", "_opendistro"];

/// Parameters that no raw request carries: `source` hides a body in the query.
const PARAMETERS_REFUSED: [&str; 2] = ["source", "source_content_type"];

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// PUT.
    Put,
    /// POST.
    Post,
    /// DELETE.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        })
    }
}

name!(
    /// One path of a raw request: `/`, then parts, each a name as it is; encoded where it is sent.
    RequestPath,
    "path of a raw request",
    check_path
);

impl RequestPath {
    /// Its parts, none of them empty.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        parts(self.as_str())
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// What holds of every path that is written out, whoever answers it.
pub(crate) fn check_written_out(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("it does not begin with `/`");
    }
    if path.len() > PATH_BYTES_MAX {
        return Err("it is longer than 1,024 bytes");
    }
    if path
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '?' | '#' | '"' | '|'))
    {
        return Err(
            "it holds white space, a control character, `\\`, `?`, `#`, `\"` or `|`; parameters go beside it",
        );
    }
    if path.contains(['*', ',', '<', '>']) {
        return Err("a wildcard, a list and date math are not one name");
    }
    if path.chars().any(crate::names::is_invisible) {
        return Err("it holds a character that is not seen");
    }
    let lower = path.to_ascii_lowercase();
    if ENCODED.iter().any(|encoded| lower.contains(encoded)) {
        return Err("an encoded separator, dot or `%` means something else to whoever decodes it");
    }
    let parts: Vec<&str> = parts(&lower).collect();
    if parts.iter().any(|part| part.is_empty() || *part == ".") || path.contains("..") {
        return Err("it holds an empty part, `.` or `..`");
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), &'static str> {
    check_written_out(path)?;
    if path.contains(':') {
        return Err("a `:` leads to a remote cluster");
    }
    let lower = path.to_ascii_lowercase();
    let parts: Vec<&str> = parts(&lower).collect();
    if parts.contains(&"_all") {
        return Err("`_all` is not one name");
    }
    if parts.iter().any(|part| RIGHTS.contains(part)) {
        return Err("who may do what on the target is the operator's");
    }
    if parts.iter().any(|part| DELETES_DATA.contains(part)) {
        return Err("it deletes data that no kind of change covers");
    }
    let typed_pair = parts
        .windows(2)
        .any(|pair| (pair[0], pair[1]) == TYPED_PAIR);
    if typed_pair || parts.iter().any(|part| TYPED.contains(part)) {
        return Err("there is a kind of change for that, which can be proved");
    }
    if !parts.iter().any(|part| part.starts_with('_')) {
        return Err("an index alone, or a document of it, has kinds of change of its own");
    }
    Ok(())
}

/// What holds of the parameters of every request: few, plain, bounded, each name once.
pub(crate) fn check_query(query: &[(String, String)]) -> Result<(), NameError> {
    let bad = |key: &str, why| {
        Err(NameError {
            what: "parameter",
            text: key.chars().take(300).collect(),
            why,
        })
    };
    if query.len() > PAIRS_MAX {
        return bad("", "there are more than 20 of them");
    }
    for (n, (key, value)) in query.iter().enumerate() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if key.is_empty() || key.len() > PAIR_BYTES_MAX || !key.chars().all(is_plain) {
            return bad(key, "it is no plain name of one parameter");
        }
        if value.len() > PAIR_BYTES_MAX || value.chars().any(char::is_control) {
            return bad(
                key,
                "its value is longer than 255 bytes or holds a control character",
            );
        }
        if query.iter().take(n).any(|(earlier, _)| earlier == key) {
            return bad(key, "it stands twice");
        }
    }
    Ok(())
}

/// What tells that a raw request is done: read false before it is sent, and true afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoneWhen {
    /// What is asked of the request's own binding.
    pub predicate: Predicate,
    /// It must not hold.
    pub negated: bool,
}

/// One request that no other kind of change covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct RawRequest {
    method: Method,
    path: RequestPath,
    query: Vec<(String, String)>,
    body: Option<Json>,
    touches: Vec<AliasName>,
    done_when: DoneWhen,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    method: Method,
    path: RequestPath,
    query: Vec<(String, String)>,
    body: Option<Json>,
    touches: Vec<AliasName>,
    done_when: DoneWhen,
}

impl TryFrom<Unchecked> for RawRequest {
    type Error = NameError;
    fn try_from(it: Unchecked) -> Result<Self, NameError> {
        Self::new(
            it.method,
            it.path,
            it.query,
            it.body,
            it.touches,
            it.done_when,
        )
    }
}

impl From<RawRequest> for Unchecked {
    fn from(it: RawRequest) -> Self {
        Self {
            method: it.method,
            path: it.path,
            query: it.query,
            body: it.body,
            touches: it.touches,
            done_when: it.done_when,
        }
    }
}

impl RawRequest {
    /// Checks what its parts alone do not: parameters, that it says what it touches, and that its post-condition
    /// can be read in one look and speaks of an effect.
    pub fn new(
        method: Method,
        path: RequestPath,
        query: Vec<(String, String)>,
        body: Option<Json>,
        touches: Vec<AliasName>,
        done_when: DoneWhen,
    ) -> Result<Self, NameError> {
        let bad = |what, text: &str, why| {
            Err(NameError {
                what,
                text: text.chars().take(300).collect(),
                why,
            })
        };
        if touches.is_empty() || touches.len() > PAIRS_MAX {
            return bad(
                "raw request",
                path.as_str(),
                "it names 1 to 20 things that it touches",
            );
        }
        check_query(&query)?;
        for (key, value) in &query {
            if value.contains(['*', ',']) {
                return bad("parameter", key, "its value is a wildcard or a list");
            }
            if PARAMETERS_REFUSED.contains(&key.as_str()) {
                return bad("parameter", key, "the body goes where the plan shows it");
            }
        }
        if !is_effect(&done_when.predicate) {
            return bad(
                "post-condition of a raw request",
                path.as_str(),
                "health, tasks and quiet move by themselves, and other capabilities do not see it",
            );
        }
        if let Predicate::AnswerContains { subset, .. } = &done_when.predicate
            && !done_when.negated
            && subset.as_str() == "{}"
        {
            return bad(
                "post-condition of a raw request",
                path.as_str(),
                "any answer has it: it must say what the effect shows",
            );
        }
        Ok(Self {
            method,
            path,
            query,
            body,
            touches,
            done_when,
        })
    }

    /// How it is sent.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Where.
    pub fn path(&self) -> &RequestPath {
        &self.path
    }

    /// All its parameters; none is added.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// Its body.
    pub fn body(&self) -> Option<&Json> {
        self.body.as_ref()
    }

    pub(crate) fn body_mut(&mut self) -> Option<&mut Json> {
        self.body.as_mut()
    }

    /// What it changes, by name.
    pub fn touches(&self) -> &[AliasName] {
        &self.touches
    }

    /// What tells that it is done.
    pub fn done_when(&self) -> &DoneWhen {
        &self.done_when
    }
}

/// One look tells it, and it stands for something that a request can bring about.
fn is_effect(predicate: &Predicate) -> bool {
    matches!(
        predicate,
        Predicate::IndexExists { .. }
            | Predicate::TemplateExists { .. }
            | Predicate::CountIs { .. }
            | Predicate::DocumentContains { .. }
            | Predicate::AnswerContains { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_one_thing() {
        for good in [
            "/_ingest/pipeline/acme-p",
            "/_scripts/acme",
            "/acme-1/_clone/acme-2",
            "/%kuzzle.users/_close",
            "/_plugins/_ism/policies/acme",
        ] {
            let path = RequestPath::new(good).unwrap();
            assert!(path.parts().all(|part| !part.is_empty()));
        }
        for (bad, why) in [
            ("_ingest/pipeline/a", "begin with `/`"),
            ("/", "empty part"),
            ("/_ingest//pipeline/a", "empty part"),
            ("/_ingest/pipeline/", "empty part"),
            ("/_ingest/../_snapshot/x", "`..`"),
            ("/_ingest/./pipeline", "`.`"),
            ("/_ingest/pipeline/a..b", "`..`"),
            ("/_ingest/pipeline/a%2Fb", "encoded"),
            ("/_ingest/pipeline/%2e%2e", "encoded"),
            ("/_ingest/pipeline/%252e", "encoded"),
            ("/_ingest/pipeline/a*", "wildcard"),
            ("/a,b/_close", "list"),
            ("/<a-{now%2Fd}>/_close", "date math"),
            ("/_all/_close", "_all"),
            ("/_ALL/_close", "_all"),
            ("/remote:a/_close", "`:`"),
            ("/a/_close?x=1", "beside it"),
            ("/a/_close#x", "beside it"),
            ("/a b/_close", "white space"),
            ("/a\n/_close", "white space"),
            ("/a\u{200b}/_close", "not seen"),
        ] {
            let error = RequestPath::new(bad).unwrap_err();
            assert!(error.why.contains(why), "{bad}: {}", error.why);
        }
    }

    #[test]
    fn what_has_a_kind_of_its_own_goes_through_it() {
        for bad in [
            "/acme-1",
            "/acme-1/type/1",
            "/acme-1/_doc/1",
            "/acme-1/_settings",
            "/_bulk",
            "/_aliases",
            "/_reindex",
            "/acme-1/_delete_by_query",
            "/_cluster/settings",
            "/_component_template/liftlock-claim.1",
            "/_snapshot/backups/s",
            "/_tasks/n/_cancel",
        ] {
            let error = RequestPath::new(bad).unwrap_err();
            assert!(error.why.contains("kind"), "{bad}: {}", error.why);
        }
        for bad in ["/_data_stream/acme", "/_dangling/u", "/_plugins/_sql"] {
            let error = RequestPath::new(bad).unwrap_err();
            assert!(error.why.contains("deletes data"), "{bad}: {}", error.why);
        }
        for bad in [
            "/_security/user/me",
            "/_plugins/_security/api/roles/r",
            "/_xpack/security/user/me",
        ] {
            let error = RequestPath::new(bad).unwrap_err();
            assert!(error.why.contains("operator"), "{bad}: {}", error.why);
        }
    }

    fn request(
        query: &[(&str, &str)],
        touches: &[&str],
        predicate: Predicate,
    ) -> Result<RawRequest, NameError> {
        RawRequest::new(
            Method::Put,
            RequestPath::new("/_ingest/pipeline/acme").unwrap(),
            query
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            None,
            touches
                .iter()
                .map(|name| AliasName::new(*name).unwrap())
                .collect(),
            DoneWhen {
                predicate,
                negated: false,
            },
        )
    }

    fn exists() -> Predicate {
        Predicate::IndexExists {
            name: "acme".into(),
        }
    }

    #[test]
    fn its_parameters_are_plain_and_stand_once() {
        let one = |key, value| request(&[(key, value)], &["acme"], exists());
        assert!(one("master_timeout", "30s").is_ok());
        for (key, value) in [
            ("source", "{}"),
            ("", "x"),
            ("a b", "x"),
            ("index", "a*"),
            ("index", "a,b"),
            ("x", "a\nb"),
        ] {
            assert!(one(key, value).is_err(), "{key}={value}");
        }
        assert!(request(&[("a", "1"), ("a", "2")], &["acme"], exists()).is_err());
    }

    #[test]
    fn it_says_what_it_touches_and_how_its_effect_is_read() {
        assert!(request(&[], &[], exists()).is_err());
        let healthy = Predicate::Healthy {
            at_least: "green".into(),
        };
        let quiet = Predicate::Quiet {
            indices: vec!["acme".into()],
        };
        for moving in [healthy, quiet, Predicate::Ready] {
            assert!(request(&[], &["acme"], moving).is_err());
        }
        let answer = |subset: &str| Predicate::AnswerContains {
            path: "/_ingest/pipeline/acme".into(),
            query: vec![],
            subset: Json::new(subset).unwrap(),
        };
        assert!(request(&[], &["acme"], answer("{}")).is_err());
        assert!(request(&[], &["acme"], answer(r#"{"acme":{}}"#)).is_ok());
    }

    #[test]
    fn a_plan_that_was_written_by_hand_is_checked_like_one_that_was_proposed() {
        let change = crate::Change::RawChange(request(&[], &["acme"], exists()).unwrap());
        let text = serde_json::to_string(&change).unwrap();
        assert!(
            text.starts_with(r#"{"verb":"cluster.raw-change","method":"PUT""#),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<crate::Change>(&text).unwrap(),
            change
        );
        for (old, new) in [
            ("_ingest/pipeline/acme", "_ingest/pipeline/*"),
            (r#""touches":["acme"]"#, r#""touches":[]"#),
            (r#""touches":["acme"]"#, r#""touches":["acme*"]"#),
            (r#""query":[]"#, r#""query":[["source","x"]]"#),
            (r#""query":[]"#, r#""query":[],"more":1"#),
            ("PUT", "GET"),
        ] {
            let changed = text.replace(old, new);
            assert_ne!(changed, text);
            assert!(
                serde_json::from_str::<crate::Change>(&changed).is_err(),
                "{changed}"
            );
        }
    }

    mod granted {
        use std::collections::BTreeMap;

        use super::*;
        use crate::{
            Binding, Change, Denied, Digest, Grant, GrantedBinding, GrantedVerb, Planned, Scope,
            Verb,
        };

        fn verb(verb: &str, scope: &[&str]) -> GrantedVerb {
            GrantedVerb {
                verb: Verb::new(verb).unwrap(),
                scope: scope
                    .iter()
                    .map(|text| Scope::new(*text).unwrap())
                    .collect(),
                except: vec![],
                at_most: None,
            }
        }

        /// Enough for the change below, until a test takes something away.
        fn grant() -> Grant {
            Grant {
                plugin: "p".into(),
                digest: Digest::of(b"p"),
                site: "s".into(),
                options: BTreeMap::new(),
                granted_by: "me".into(),
                granted_at: "now".into(),
                bindings: vec![GrantedBinding {
                    binding: Binding::new("cluster.database").unwrap(),
                    identity: "u".into(),
                    verbs: vec![
                        verb("cluster.raw-change", &["PUT /_ingest/pipeline/acme*"]),
                        verb("cluster.read", &["acme*"]),
                    ],
                }],
            }
        }

        fn put(binding: &str, path: &str, body: Option<&str>, touches: &str) -> Planned {
            let request = RawRequest::new(
                Method::Put,
                RequestPath::new(path).unwrap(),
                vec![],
                body.map(|body| Json::new(body).unwrap()),
                vec![AliasName::new(touches).unwrap()],
                DoneWhen {
                    predicate: Predicate::IndexExists {
                        name: "acme".into(),
                    },
                    negated: false,
                },
            );
            Planned {
                binding: Binding::new(binding).unwrap(),
                change: Change::RawChange(request.unwrap()),
                fills: vec![],
            }
        }

        fn good() -> Planned {
            put(
                "cluster.database",
                "/_ingest/pipeline/acme-p",
                None,
                "acme-p",
            )
        }

        fn denied(grant: &Grant, planned: &Planned) -> Denied {
            grant.allow_change(planned).unwrap_err()
        }

        #[test]
        fn what_is_granted_passes() {
            grant().allow_change(&good()).unwrap();
        }

        #[test]
        fn without_the_verb_it_is_denied() {
            let mut grant = grant();
            grant.bindings[0].verbs.remove(0);
            let denied = denied(&grant, &good());
            assert!(
                denied.rule.contains("`cluster.raw-change` is not granted"),
                "{denied:?}"
            );
        }

        #[test]
        fn another_binding_is_denied() {
            let planned = put("cluster.other", "/_ingest/pipeline/acme-p", None, "acme-p");
            denied(&grant(), &planned);
        }

        #[test]
        fn another_path_or_method_is_denied() {
            let grant = grant();
            let planned = put(
                "cluster.database",
                "/_ingest/pipeline/other",
                None,
                "acme-p",
            );
            let found = denied(&grant, &planned);
            assert!(
                found.allowed_by.contains("PUT /_ingest/pipeline/other"),
                "{found:?}"
            );
            let mut deletes = grant.clone();
            deletes.bindings[0].verbs[0] = verb("cluster.raw-change", &["DELETE /_ingest/*"]);
            denied(&deletes, &good());
        }

        #[test]
        fn what_except_takes_away_is_denied() {
            let mut grant = grant();
            grant.bindings[0].verbs[0].except =
                vec![Scope::new("PUT /_ingest/pipeline/acme-p").unwrap()];
            let found = denied(&grant, &good());
            assert!(found.rule.contains("except"), "{found:?}");
        }

        #[test]
        fn more_than_at_most_is_denied() {
            let mut grant = grant();
            grant.bindings[0].verbs[0].at_most = Some(1);
            let planned = good();
            assert!(grant.allow_amount([&planned].into_iter()).is_ok());
            assert!(
                grant
                    .allow_amount([&planned, &planned].into_iter())
                    .is_err()
            );
        }

        #[test]
        fn what_it_touches_must_be_the_plugins_to_read() {
            let planned = put(
                "cluster.database",
                "/_ingest/pipeline/acme-p",
                None,
                "other",
            );
            let found = denied(&grant(), &planned);
            assert!(found.allowed_by.contains("cluster.read"), "{found:?}");
            let mut grant = grant();
            grant.bindings[0].verbs[1].except = vec![Scope::new("acme-p*").unwrap()];
            denied(&grant, &good());
        }

        #[test]
        fn its_post_condition_must_be_the_plugins_to_read() {
            let mut grant = grant();
            grant.bindings[0].verbs[1].scope = vec![Scope::new("acme-p").unwrap()];
            denied(&grant, &good());
        }

        #[test]
        fn an_index_that_its_body_fetches_from_is_denied() {
            let body = r#"{"x":{"index":"secret","id":"1","path":"p"}}"#;
            let planned = put(
                "cluster.database",
                "/_ingest/pipeline/acme-p",
                Some(body),
                "acme-p",
            );
            denied(&grant(), &planned);
        }
    }
}

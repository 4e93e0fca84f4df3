//! Requests to a product's own API: paths written out, one post-condition, and where the run's id goes.
//!
//! The rules of [`crate::RawRequest`] that hold whoever answers are shared with it; what is a search cluster's alone
//! (kinds that cover a path, names that are touched) is not here.
//!
//! *Where the run's id goes.* A request that makes something new (an instance that is started to see whether a node
//! works) must be told apart from those of earlier runs, in its body and in the question that tells that it is done.
//! A [`crate::Fill`] points into one JSON document; the question is a path, parameters and a subset. So there is one
//! placeholder, [`RUN_ID_PLACEHOLDER`], which stands in any text of the two, is shown in the plan as it is, and is
//! replaced right before the intent, which holds the value. It is a text of its own and no template language: nothing
//! else in braces means anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::names::name;
use crate::raw::{check_query, check_written_out};
use crate::{DoneWhen, Json, Method, NameError, Predicate};

/// Stands for the run's id in the path, the values of parameters, the body and the post-condition of a request.
pub const RUN_ID_PLACEHOLDER: &str = "{run-id}";

/// With the run's id where its place is held.
pub(crate) fn with_run_id(text: &str, run: &str) -> String {
    text.replace(RUN_ID_PLACEHOLDER, run)
}

/// The same in JSON. The placeholder is no JSON, so it stands inside a text, and a run's id needs no escape there.
pub(crate) fn json_with_run_id(json: &Json, run: &str) -> Json {
    Json::new(&with_run_id(json.as_str(), run)).unwrap_or_else(|_| json.clone())
}

name!(
    /// One path of a product's API, beneath the binding's own: `/`, or parts that are each a name as it is; encoded where
    /// it is sent.
    EndpointPath,
    "path of an endpoint",
    check_path
);

impl EndpointPath {
    /// Its parts, none of them empty; of `/` there are none.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.as_str().split('/').filter(|part| !part.is_empty())
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if path == "/" {
        return Ok(());
    }
    check_written_out(path)?;
    if path.contains(';') {
        // Application servers cut a part there, and take what is left for another path.
        return Err("it holds a `;`");
    }
    Ok(())
}

/// Are these parameters few, plain, bounded, and each there once?
///
/// Values are free otherwise: a list or a wildcard in one is the product's own way to ask. A product that ignores what
/// it does not know answers as if it had not been asked; whoever asks must look at the answer.
pub fn check_endpoint_query(query: &[(String, String)]) -> Result<(), NameError> {
    check_query(query)
}

/// One request to a product's own API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct EndpointRequest {
    method: Method,
    path: EndpointPath,
    query: Vec<(String, String)>,
    body: Option<Json>,
    done_when: DoneWhen,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    method: Method,
    path: EndpointPath,
    query: Vec<(String, String)>,
    body: Option<Json>,
    done_when: DoneWhen,
}

impl TryFrom<Unchecked> for EndpointRequest {
    type Error = NameError;
    fn try_from(it: Unchecked) -> Result<Self, NameError> {
        Self::new(it.method, it.path, it.query, it.body, it.done_when)
    }
}

impl From<EndpointRequest> for Unchecked {
    fn from(it: EndpointRequest) -> Self {
        Self {
            method: it.method,
            path: it.path,
            query: it.query,
            body: it.body,
            done_when: it.done_when,
        }
    }
}

impl EndpointRequest {
    /// Checks what its parts alone do not: parameters, and that its post-condition is one of this API which not
    /// every answer fulfils.
    pub fn new(
        method: Method,
        path: EndpointPath,
        query: Vec<(String, String)>,
        body: Option<Json>,
        done_when: DoneWhen,
    ) -> Result<Self, NameError> {
        let bad = |what, why| {
            Err(NameError {
                what,
                text: path.as_str().chars().take(300).collect(),
                why,
            })
        };
        check_query(&query)?;
        let Predicate::Answers {
            path: asked,
            query: parameters,
            status,
            subset,
        } = &done_when.predicate
        else {
            return bad(
                "post-condition of a request",
                "it is no answer of the same endpoint",
            );
        };
        EndpointPath::new(asked.clone())?;
        check_query(parameters)?;
        if (200..300).contains(status) && subset.as_str() == "{}" && !done_when.negated {
            return bad(
                "post-condition of a request",
                "any page has it: it must say what the effect shows",
            );
        }
        Ok(Self {
            method,
            path,
            query,
            body,
            done_when,
        })
    }

    /// How it is sent.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Where.
    pub fn path(&self) -> &EndpointPath {
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

    /// What tells that it is done.
    pub fn done_when(&self) -> &DoneWhen {
        &self.done_when
    }

    /// As it is sent by this run.
    pub(crate) fn filled(&self, run: &str) -> Result<Self, NameError> {
        Self::new(
            self.method,
            EndpointPath::new(with_run_id(self.path.as_str(), run))?,
            self.query
                .iter()
                .map(|(key, value)| (key.clone(), with_run_id(value, run)))
                .collect(),
            self.body.as_ref().map(|body| json_with_run_id(body, run)),
            DoneWhen {
                predicate: self.done_when.predicate.filled(run),
                negated: self.done_when.negated,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Binding, Change, Planned};

    fn done(status: u16, subset: &str, negated: bool) -> DoneWhen {
        DoneWhen {
            predicate: Predicate::Answers {
                path: "/history/process-instance/count".into(),
                query: vec![("processInstanceBusinessKey".into(), "{run-id}-n1".into())],
                status,
                subset: Json::new(subset).unwrap(),
            },
            negated,
        }
    }

    fn canary() -> EndpointRequest {
        EndpointRequest::new(
            Method::Post,
            EndpointPath::new("/process-definition/key/canary/start").unwrap(),
            vec![],
            Some(Json::new(r#"{"businessKey":"{run-id}-n1"}"#).unwrap()),
            done(200, r#"{"count":1}"#, false),
        )
        .unwrap()
    }

    #[test]
    fn a_path_means_one_thing() {
        for good in [
            "/",
            "/engine",
            "/process-definition/invoice:1:2f-3/xml",
            "/tag/{run-id}",
        ] {
            assert!(EndpointPath::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", "begin with `/`"),
            ("engine", "begin with `/`"),
            ("//", "empty part"),
            ("/a//b", "empty part"),
            ("/a/", "empty part"),
            ("/a/../b", "`..`"),
            ("/a/./b", "`.`"),
            ("/a/..;/b", "`..`"),
            ("/a;x=1/b", "`;`"),
            ("/a%2Fb", "encoded"),
            ("/a%252e", "encoded"),
            ("/a?x=1", "beside it"),
            ("/a#x", "beside it"),
            ("/a b", "white space"),
            ("/a\\b", "beside it"),
            ("/a*", "wildcard"),
            ("/a\u{200b}", "not seen"),
        ] {
            let error = EndpointPath::new(bad).unwrap_err();
            assert!(error.why.contains(why), "{bad}: {}", error.why);
        }
        assert!(EndpointPath::new(format!("/{}", "a".repeat(1_024))).is_err());
    }

    #[test]
    fn the_runs_id_goes_where_its_place_is_held_and_nowhere_else() {
        let planned = Planned {
            binding: Binding::new("endpoint.n1").unwrap(),
            change: Change::EndpointRequest(canary()),
            fills: vec![],
        };
        let Change::EndpointRequest(sent) = planned.filled("T", "20260101-ab").unwrap() else {
            panic!("another change")
        };
        assert_eq!(
            sent.body().unwrap().as_str(),
            r#"{"businessKey":"20260101-ab-n1"}"#
        );
        let Predicate::Answers { query, .. } = &sent.done_when().predicate else {
            panic!("another predicate")
        };
        assert_eq!(query[0].1, "20260101-ab-n1");
        assert_eq!(sent.path(), canary().path());
        // What is planned shows the placeholder.
        let text = serde_json::to_string(&planned.change).unwrap();
        assert!(
            text.contains("{run-id}") && !text.contains("20260101"),
            "{text}"
        );
        assert_eq!(with_run_id("{run-id}{run}{now}", "r"), "r{run}{now}");
    }

    #[test]
    fn its_post_condition_is_an_answer_that_not_every_page_gives() {
        let with = |done_when| {
            EndpointRequest::new(
                Method::Delete,
                EndpointPath::new("/a").unwrap(),
                vec![],
                None,
                done_when,
            )
        };
        assert!(with(done(200, "{}", false)).is_err());
        assert!(with(done(200, "{}", true)).is_ok());
        assert!(with(done(404, "{}", false)).is_ok());
        assert!(
            with(DoneWhen {
                predicate: Predicate::Ready,
                negated: false
            })
            .is_err()
        );
    }

    #[test]
    fn its_parameters_are_plain_and_stand_once() {
        let check = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect();
            check_endpoint_query(&pairs)
        };
        assert!(check(&[("processInstanceIdIn", "a,b"), ("nameLike", "%x*")]).is_ok());
        assert!(check(&[("a", "1"), ("a", "2")]).is_err());
        assert!(check(&[("a b", "1")]).is_err());
        assert!(check(&[("", "1")]).is_err());
        assert!(check(&[("a", "x\n")]).is_err());
        assert!(check(&vec![("a", "1"); 21]).is_err());
    }

    #[test]
    fn a_plan_that_was_written_by_hand_is_checked_like_one_that_was_proposed() {
        let change = Change::EndpointRequest(canary());
        let text = serde_json::to_string(&change).unwrap();
        assert!(
            text.starts_with(r#"{"verb":"endpoint.request","method":"POST""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        for (old, new) in [
            ("/process-definition/key", "/process-definition/.."),
            ("POST", "GET"),
            (r#""query":[]"#, r#""query":[["a","1"],["a","2"]]"#),
            (r#""query":[]"#, r#""query":[],"more":1"#),
            ("/history/process-instance/count", "/history//count"),
        ] {
            let changed = text.replacen(old, new, 1);
            assert_ne!(changed, text);
            assert!(
                serde_json::from_str::<Change>(&changed).is_err(),
                "{changed}"
            );
        }
    }

    mod granted {
        use std::collections::BTreeMap;

        use super::*;
        use crate::{Digest, Grant, GrantedBinding, GrantedVerb, Read, Scope, Verb};

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

        fn grant() -> Grant {
            Grant {
                plugin: "p".into(),
                digest: Digest::of(b"p"),
                site: "s".into(),
                options: BTreeMap::new(),
                granted_by: "me".into(),
                granted_at: "now".into(),
                bindings: vec![GrantedBinding {
                    binding: Binding::new("endpoint.n1").unwrap(),
                    identity: "u".into(),
                    verbs: vec![
                        verb(
                            "endpoint.request",
                            &["POST /process-definition/key/canary/*"],
                        ),
                        verb("endpoint.read", &["/history/*"]),
                    ],
                }],
            }
        }

        fn planned(binding: &str) -> Planned {
            Planned {
                binding: Binding::new(binding).unwrap(),
                change: Change::EndpointRequest(canary()),
                fills: vec![],
            }
        }

        #[test]
        fn what_is_granted_passes_and_nothing_beside_it() {
            let good = planned("endpoint.n1");
            grant().allow_change(&good).unwrap();
            assert!(grant().allow_change(&planned("endpoint.n2")).is_err());
            assert!(grant().allow_change(&planned("cluster.n1")).is_err());
            let mut no_verb = grant();
            no_verb.bindings[0].verbs.remove(0);
            assert!(no_verb.allow_change(&good).is_err());
            let mut other_method = grant();
            other_method.bindings[0].verbs[0] = verb("endpoint.request", &["PUT /*"]);
            assert!(other_method.allow_change(&good).is_err());
            let mut except = grant();
            except.bindings[0].verbs[0].except =
                vec![Scope::new("POST /process-definition/key/canary/start").unwrap()];
            assert!(except.allow_change(&good).is_err());
            let mut blind = grant();
            blind.bindings[0].verbs[1].scope = vec![Scope::new("/engine").unwrap()];
            let denied = blind.allow_change(&good).unwrap_err();
            assert!(
                denied
                    .allowed_by
                    .contains("/history/process-instance/count"),
                "{denied:?}"
            );
        }

        #[test]
        fn a_read_stays_within_its_paths() {
            let on = Binding::new("endpoint.n1").unwrap();
            let read = |path: &str| Read::EndpointAnswer {
                path: path.into(),
                query: vec![],
            };
            grant().allow_read(&on, &read("/history/x")).unwrap();
            assert!(grant().allow_read(&on, &read("/engine")).is_err());
            let mut none = grant();
            none.bindings[0].verbs.remove(1);
            assert!(none.allow_read(&on, &read("/history/x")).is_err());
        }
    }
}

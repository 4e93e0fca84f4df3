//! From a request to its handler, refusing what a server would refuse on the way.
//!
//! As on the servers, a literal path segment wins over a placeholder, and a path that only a
//! placeholder matches (`/_nope`) reaches the index handlers, which refuse the name.

use serde_json::json;

use crate::error::ApiError;
use crate::handlers;
use crate::http::{Reply, Request};
use crate::product::Product;
use crate::state::State;

/// A request being handled.
pub(crate) struct Ctx<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) request: &'a Request,
    /// Makes the first shard of a search fail; set by a fault.
    pub(crate) fail_first_shard: bool,
    vars: Vec<(&'static str, String)>,
}

impl Ctx<'_> {
    /// A placeholder's value; empty when the route has none of that name.
    pub(crate) fn var(&self, name: &str) -> &str {
        self.vars
            .iter()
            .find(|(k, _)| *k == name)
            .map_or("", |(_, v)| v.as_str())
    }
}

/// What a handler is.
pub(crate) type Handler = fn(&mut Ctx<'_>) -> Result<Reply, ApiError>;

/// On which products a route exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    Both,
    Elasticsearch,
    OpenSearch,
    /// Where the deprecation API was given an answer; elsewhere its path is unknown.
    WithDeprecations,
}

/// One line of the table of routes.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    /// Methods, separated by spaces.
    pub(crate) methods: &'static str,
    /// Path with `{name}` placeholders.
    pub(crate) pattern: &'static str,
    /// Query parameters that it reads, separated by spaces; `@expand` and `@manager` are groups.
    pub(crate) params: &'static str,
    pub(crate) only: Only,
    pub(crate) handler: Handler,
}

/// A route of both products.
pub(crate) const fn route(
    methods: &'static str,
    pattern: &'static str,
    params: &'static str,
    handler: Handler,
) -> Route {
    Route {
        methods,
        pattern,
        params,
        only: Only::Both,
        handler,
    }
}

/// A route that one product has.
pub(crate) const fn route_of(
    only: Only,
    methods: &'static str,
    pattern: &'static str,
    params: &'static str,
    handler: Handler,
) -> Route {
    Route {
        methods,
        pattern,
        params,
        only,
        handler,
    }
}

const COMMON_PARAMS: &str = "pretty human error_trace filter_path source source_content_type";
const EXPAND_PARAMS: &str = "ignore_unavailable allow_no_indices expand_wildcards ignore_throttled";
const MANAGER_PARAMS: &str = "master_timeout timeout";
const MANAGER_PARAMS_OPENSEARCH: &str = "cluster_manager_timeout";

impl Route {
    fn exists_on(&self, state: &State) -> bool {
        match self.only {
            Only::Both => true,
            Only::Elasticsearch => !state.product.is_opensearch(),
            Only::OpenSearch => state.product.is_opensearch(),
            Only::WithDeprecations => state.deprecations.is_some(),
        }
    }

    fn matches(&self, segments: &[String]) -> Option<Vec<(&'static str, String)>> {
        let parts: Vec<&'static str> = self.pattern.split('/').filter(|s| !s.is_empty()).collect();
        if parts.len() != segments.len() {
            return None;
        }
        let mut vars = Vec::new();
        for (part, segment) in parts.into_iter().zip(segments) {
            match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                Some(name) => vars.push((name, segment.clone())),
                None if part == segment => {}
                None => return None,
            }
        }
        Some(vars)
    }

    /// Orders routes that match the same path: literal segments first, from the left.
    fn rank(&self) -> Vec<bool> {
        self.pattern
            .split('/')
            .filter(|s| !s.is_empty())
            .map(|s| s.starts_with('{'))
            .collect()
    }

    fn knows(&self, product: Product, param: &str) -> bool {
        let listed = |list: &str| list.split(' ').any(|p| p == param);
        listed(COMMON_PARAMS)
            || self.params.split(' ').any(|p| match p {
                "@expand" => listed(EXPAND_PARAMS),
                "@manager" => {
                    listed(MANAGER_PARAMS)
                        || (product.is_opensearch() && listed(MANAGER_PARAMS_OPENSEARCH))
                }
                other => other == param,
            })
    }
}

/// Handles one request that has reached a node.
pub(crate) fn handle(
    state: &mut State,
    request: &Request,
    fail_first_shard: bool,
) -> Result<Reply, ApiError> {
    if !request.body.is_empty() {
        check_content_type(request)?;
    }
    let product = state.product;
    let mut candidates: Vec<(&Route, Vec<(&'static str, String)>)> = handlers::all()
        .filter(|r| r.exists_on(state))
        .filter_map(|r| r.matches(&request.segments).map(|vars| (r, vars)))
        .collect();
    // Where a literal fits, the placeholder beside it is not looked at, whatever the method.
    if let Some(best) = candidates.iter().map(|(r, _)| r.rank()).min() {
        candidates.retain(|(r, _)| r.rank() == best);
    }
    let method = request.method.as_str();
    let found = candidates
        .iter()
        .position(|(r, _)| r.methods.split(' ').any(|m| m == method));
    let Some(found) = found else {
        if candidates.is_empty() {
            if !product.is_opensearch() && request.segments.len() == 2 && method != "POST" {
                // Elasticsearch still knows a typed `POST /{index}/{type}` and refuses it later.
                return Err(wrong_method(request, "POST"));
            }
            let path = if product.is_opensearch() {
                request.raw_path.clone()
            } else {
                request.uri()
            };
            return Err(ApiError::plain(
                400,
                json!({"error": format!("no handler found for uri [{path}] and method [{method}]")}),
            ));
        }
        let mut allowed: Vec<&str> = candidates
            .iter()
            .flat_map(|(r, _)| r.methods.split(' '))
            .collect();
        allowed.sort_unstable();
        allowed.dedup();
        return Err(wrong_method(request, &allowed.join(", ")));
    };
    let (route, vars) = candidates.swap_remove(found);
    let unknown: Vec<&str> = request
        .params
        .iter()
        .map(|(k, _)| k.as_str())
        .filter(|k| !route.knows(product, k))
        .collect();
    if !unknown.is_empty() {
        let plural = if unknown.len() > 1 { "s" } else { "" };
        let list: Vec<String> = unknown.iter().map(|k| format!("[{k}]")).collect();
        return Err(ApiError::illegal(format!(
            "request [{}] contains unrecognized parameter{plural}: {}",
            request.raw_path,
            list.join(", ")
        )));
    }
    (route.handler)(&mut Ctx {
        state,
        request,
        fail_first_shard,
        vars,
    })
}

fn wrong_method(request: &Request, allowed: &str) -> ApiError {
    let (uri, method) = (request.uri(), &request.method);
    ApiError::plain(
        405,
        json!({
            "error": format!("Incorrect HTTP method for uri [{uri}] and method [{method}], allowed: [{allowed}]"),
            "status": 405,
        }),
    )
}

fn check_content_type(request: &Request) -> Result<(), ApiError> {
    let given = request.content_type.as_deref().unwrap_or("");
    let media = given
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let known = [
        "application/json",
        "application/x-ndjson",
        "application/vnd.elasticsearch+json",
        "application/vnd.elasticsearch+x-ndjson",
    ];
    if known.contains(&media.as_str()) {
        return Ok(());
    }
    Err(ApiError::plain(
        406,
        json!({"error": format!("Content-Type header [{given}] is not supported"), "status": 406}),
    ))
}

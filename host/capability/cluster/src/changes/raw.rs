//! A request that no other kind covers: its own post-condition is all that is known of it.

use liftlock_types::{Acted, Attempt, Evaluated, Method, Observed, Probed, RawRequest, ReadError};
use serde_json::{Value, json};

use super::{observed, still_there};
use crate::Cluster;
use crate::call::Call;

/// Does the post-condition hold now?
async fn look(cluster: &Cluster, request: &RawRequest) -> Result<Evaluated, ReadError> {
    let done_when = request.done_when();
    let mut found = crate::conditions::evaluate(cluster, &done_when.predicate, None).await?;
    if done_when.negated {
        found.holds = !found.holds;
        if !found.holds {
            found.why = "what must be gone is there".into();
        }
    }
    Ok(found)
}

fn evidence(request: &RawRequest, found: &Evaluated) -> Value {
    json!({
        "request": format!("{} {}", request.method(), request.path()),
        "post-condition": found.holds,
        "seen": found.seen,
        "why": found.why,
    })
}

pub(super) async fn observe(
    cluster: &Cluster,
    request: &RawRequest,
) -> Result<Observed, ReadError> {
    let found = look(cluster, request).await?;
    Ok(observed(
        found.holds,
        evidence(request, &found),
        Value::Null,
    ))
}

pub(super) async fn act(cluster: &Cluster, request: &RawRequest, attempt: &Attempt) -> Acted {
    for name in request.touches() {
        // A name with a uuid was an index when this was authorised.
        if super::uuid_in(attempt, name.as_str()).is_some()
            && let Err(acted) = still_there(cluster, name.as_str(), attempt).await
        {
            return acted;
        }
    }
    let parts = request.path().parts();
    let mut call = match request.method() {
        Method::Put => Call::put(parts),
        Method::Post => Call::post(parts),
        Method::Delete => Call::delete(parts),
    };
    for (key, value) in request.query() {
        call = call.param(key, value);
    }
    if let Some(body) = request.body() {
        call = call.text(body.as_str());
    }
    cluster.send(&call.token(&attempt.token)).await
}

pub(super) async fn probe(
    cluster: &Cluster,
    request: &RawRequest,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let found = look(cluster, request).await?;
    let evidence = evidence(request, &found);
    Ok(Probed::by_own_condition(&found, evidence, attempt))
}

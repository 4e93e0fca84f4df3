//! A request that no other kind covers: its own post-condition is all that is known of it.

use liftlock_types::{
    Acted, Attempt, Evaluated, Method, Observed, Probed, Progress, RawRequest, ReadError,
};
use serde_json::{Value, json};

use super::{observed, still_there};
use crate::Cluster;
use crate::call::Call;

/// How long after its intent a post-condition may read false and the request still be on its way: twice the wait of
/// a node for the manager, and as long as the gate waits for the effect of what was confirmed.
const EFFECT_MS: i64 = 60_000;

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
    Ok(if found.holds {
        Probed::Applied {
            evidence,
            ours: false,
        }
    } else if is_young(attempt) {
        Probed::InProgress(Progress {
            done: 0,
            total: 0,
            unit: "requests".into(),
            note: format!("its post-condition does not read true yet: {}", found.why),
        })
    } else {
        // Nothing tells whether it did nothing, half of it, or something else.
        Probed::Indeterminate(evidence)
    })
}

/// It can still land. A clock that was set back makes no attempt young for ever.
fn is_young(attempt: &Attempt) -> bool {
    let now_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
    (0..EFFECT_MS).contains(&(now_ms - attempt.intent_at_ms))
}

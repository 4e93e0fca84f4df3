//! The claim in a search cluster: a component template, made only where none of its name is.
//!
//! It is cluster state, so it is no index and carries no version into a later upgrade; `create=true` lets one of
//! several through.

use liftlock_types::{Acted, Claim, ReadError};
use serde_json::{Value, json};

use crate::Cluster;
use crate::call::Call;
use crate::reads::{number, rows, text};

/// Before the epoch.
const PREFIX: &str = "liftlock-claim.";

/// Where it stands in a template's `_meta`.
const KEY: &str = "liftlock-claim";

fn name_of(epoch: u64) -> String {
    format!("{PREFIX}{epoch}")
}

/// The claim that a template holds. What cannot be read of it stays empty: that it is there is what counts.
fn claim_of(entry: &Value) -> Option<Claim> {
    let epoch = text(entry, "name").strip_prefix(PREFIX)?.parse().ok()?;
    let empty = Value::Null;
    let held = entry
        .pointer("/component_template/_meta")
        .and_then(|meta| meta.get(KEY))
        .unwrap_or(&empty);
    let string = |key: &str| text(held, key).to_owned();
    Some(Claim {
        epoch,
        run: string("run"),
        host: string("host"),
        pid: u32::try_from(number(held, "pid")).unwrap_or(0),
        pid_start: number(held, "pid_start"),
        boot_id: string("boot_id"),
        nonce: string("nonce"),
        state_dir: string("state_dir"),
        since: string("since"),
    })
}

pub(crate) async fn claims(cluster: &Cluster) -> Result<Vec<Claim>, ReadError> {
    let call = Call::get(["_component_template", "liftlock-claim.*"]);
    let Some(value) = cluster.find(&call).await? else {
        return Ok(Vec::new());
    };
    let mut claims: Vec<Claim> = rows(&value, Some("component_templates"), "templates")?
        .iter()
        .filter_map(claim_of)
        .collect();
    claims.sort_by_key(|claim| claim.epoch);
    Ok(claims)
}

pub(crate) async fn make(cluster: &Cluster, claim: &Claim) -> Result<bool, ReadError> {
    let held =
        serde_json::to_value(claim).map_err(|error| ReadError::Invalid(error.to_string()))?;
    let call = Call::put(["_component_template", &name_of(claim.epoch)])
        .param("create", "true")
        .param("master_timeout", "30s")
        .token(token(claim))
        .json(&json!({"template": {}, "_meta": {KEY: held}}));
    match cluster.send(&call).await {
        Acted::Answered(_) => Ok(true),
        // One of this name is there: ours, if an earlier request of ours landed after all.
        Acted::Refused {
            status: 400,
            text,
            kind,
            ..
        } => {
            let found = claims(cluster).await?;
            match found.iter().find(|found| found.epoch == claim.epoch) {
                Some(found) => Ok(found.nonce == claim.nonce),
                None => Err(ReadError::Rejected {
                    status: 400,
                    kind,
                    text,
                }),
            }
        }
        Acted::Refused {
            status, kind, text, ..
        } => Err(ReadError::Rejected { status, kind, text }),
        Acted::NotSent(text) | Acted::Unanswered(text) => Err(ReadError::Unavailable(text)),
    }
}

pub(crate) async fn remove(cluster: &Cluster, epoch: u64) -> Result<(), ReadError> {
    let call = Call::delete(["_component_template", &name_of(epoch)])
        .param("master_timeout", "30s")
        .token("liftlock-release");
    let acted = cluster.send(&call).await;
    if claims(cluster)
        .await?
        .iter()
        .all(|claim| claim.epoch != epoch)
    {
        return Ok(());
    }
    Err(match acted {
        Acted::Refused {
            status, kind, text, ..
        } => ReadError::Rejected { status, kind, text },
        Acted::NotSent(text) | Acted::Unanswered(text) => ReadError::Unavailable(text),
        Acted::Answered(_) => ReadError::Unavailable("the claim is still there".into()),
    })
}

fn token(claim: &Claim) -> String {
    format!("liftlock-{}-claim-{}", claim.run, claim.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_cannot_be_read_is_still_a_claim() {
        let claim =
            claim_of(&json!({"name": "liftlock-claim.7", "component_template": {"_meta": 1}}))
                .unwrap();
        assert_eq!((claim.epoch, claim.run.as_str()), (7, ""));
        assert!(claim_of(&json!({"name": "liftlock-claim.x"})).is_none());
        assert!(claim_of(&json!({"name": "other"})).is_none());
    }
}

//! Single documents, read in real time by id.

use liftlock_types::{
    Acted, Attempt, Change, DocumentId, IndexName, Json, Observed, Probed, ReadError, contains,
};
use serde_json::{Value, json};

use super::{moved_on, observed, still_there};
use crate::Cluster;
use crate::call::Call;
use crate::reads::Stored;

fn seen(index: &IndexName, id: &DocumentId, stored: Option<&Stored>) -> Value {
    json!({
        "index": index.as_str(),
        "id": id.as_str(),
        "seq_no": stored.map(|stored| stored.seq_no),
        "primary_term": stored.map(|stored| stored.primary_term),
        "content": stored.map(|stored| crate::checksum::hash_of(&stored.value())),
    })
}

pub(super) async fn observe_create(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
) -> Result<Observed, ReadError> {
    let stored = cluster.document(index.as_str(), id.as_str()).await?;
    let is_there = stored
        .as_ref()
        .is_some_and(|stored| stored.value() == document.value());
    Ok(observed(
        is_there,
        seen(index, id, stored.as_ref()),
        Value::Null,
    ))
}

pub(super) async fn act_create(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
    attempt: &Attempt,
) -> Acted {
    // A document for an index that is gone would make the index anew.
    if let Err(acted) = still_there(cluster, index.as_str(), attempt).await {
        return acted;
    }
    let call = Call::put([index.as_str(), "_create", id.as_str()])
        .param("timeout", "30s")
        .token(&attempt.token)
        .text(document.as_str());
    match cluster.send(&call).await {
        Acted::Refused {
            status: 409,
            kind,
            text,
            later,
        } => {
            // An earlier attempt of ours may have landed after all.
            match cluster.document(index.as_str(), id.as_str()).await {
                Ok(Some(stored)) if stored.value() == document.value() => {
                    Acted::Unanswered("a document as sent is there already".into())
                }
                Ok(_) => Acted::Refused {
                    status: 409,
                    kind,
                    text,
                    later,
                },
                Err(error) => Acted::Unanswered(error.to_string()),
            }
        }
        acted => acted,
    }
}

pub(super) async fn probe_create(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
) -> Result<Probed, ReadError> {
    let stored = cluster.document(index.as_str(), id.as_str()).await?;
    let evidence = seen(index, id, stored.as_ref());
    Ok(match stored {
        None => Probed::Absent(evidence),
        Some(stored) if stored.value() == document.value() => Probed::Applied {
            evidence,
            ours: false,
        },
        Some(_) => Probed::Indeterminate(evidence),
    })
}

pub(super) fn undo_create(
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
) -> Option<Vec<Change>> {
    Some(vec![Change::DeleteDocument {
        index: index.clone(),
        id: id.clone(),
        while_it_contains: document.clone(),
    }])
}

pub(super) async fn observe_replace(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
) -> Result<Observed, ReadError> {
    let stored = cluster.document(index.as_str(), id.as_str()).await?;
    let is_there = stored
        .as_ref()
        .is_some_and(|stored| stored.value() == document.value());
    Ok(observed(
        is_there,
        seen(index, id, stored.as_ref()),
        kept(stored.as_ref()),
    ))
}

/// What a conditional write names, and what an undo puts back; null: there is no document.
fn kept(stored: Option<&Stored>) -> Value {
    stored.map_or(Value::Null, |stored| {
        json!({
            "seq_no": stored.seq_no,
            "primary_term": stored.primary_term,
            "source": stored.source,
        })
    })
}

/// The document that the intent names: its sequence number and primary term, while it contains what the plan
/// expects of it.
async fn meant(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    while_it_contains: &Json,
    attempt: &Attempt,
) -> Result<(u64, u64), Acted> {
    let (Some(seq_no), Some(primary_term), Some(source)) = (
        kept_number(attempt, "seq_no"),
        kept_number(attempt, "primary_term"),
        kept_source(attempt),
    ) else {
        return Err(moved_on(
            "document-missing",
            format!("there is no document `{id}` in `{index}`"),
        ));
    };
    let old: Value = serde_json::from_str(source).unwrap_or(Value::Null);
    if !contains(&old, &while_it_contains.value()) {
        return Err(moved_on(
            "document-changed",
            format!(
                "document `{id}` of `{index}` does not contain what the plan expects, `{while_it_contains}`"
            ),
        ));
    }
    still_there(cluster, index.as_str(), attempt).await?;
    Ok((seq_no, primary_term))
}

fn kept_number(attempt: &Attempt, key: &str) -> Option<u64> {
    attempt.kept.get(key).and_then(Value::as_u64)
}

fn kept_source(attempt: &Attempt) -> Option<&str> {
    attempt.kept.get("source").and_then(Value::as_str)
}

pub(super) async fn act_replace(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    while_it_contains: &Json,
    document: &Json,
    attempt: &Attempt,
) -> Acted {
    let meant = meant(cluster, index, id, while_it_contains, attempt).await;
    let (seq_no, primary_term) = match meant {
        Ok(meant) => meant,
        Err(acted) => return acted,
    };
    let call = Call::put([index.as_str(), "_doc", id.as_str()])
        .param("if_seq_no", seq_no)
        .param("if_primary_term", primary_term)
        .param("timeout", "30s")
        .token(&attempt.token)
        .text(document.as_str());
    match cluster.send(&call).await {
        Acted::Refused {
            status: 409,
            kind,
            text,
            later,
        } => match cluster.document(index.as_str(), id.as_str()).await {
            Ok(Some(stored)) if stored.value() == document.value() => {
                Acted::Unanswered("the document is as sent already".into())
            }
            Ok(_) => Acted::Refused {
                status: 409,
                kind,
                text,
                later,
            },
            Err(error) => Acted::Unanswered(error.to_string()),
        },
        acted => acted,
    }
}

pub(super) async fn probe_replace(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let stored = cluster.document(index.as_str(), id.as_str()).await?;
    let evidence = seen(index, id, stored.as_ref());
    Ok(match stored {
        Some(stored) if stored.value() == document.value() => Probed::Applied {
            evidence,
            ours: false,
        },
        Some(stored) if Some(stored.seq_no) == kept_number(attempt, "seq_no") => {
            Probed::Absent(evidence)
        }
        _ => Probed::Indeterminate(evidence),
    })
}

pub(super) fn undo_replace(
    index: &IndexName,
    id: &DocumentId,
    document: &Json,
    attempt: &Attempt,
) -> Option<Vec<Change>> {
    Some(vec![Change::ReplaceDocument {
        index: index.clone(),
        id: id.clone(),
        while_it_contains: document.clone(),
        document: Json::new(kept_source(attempt)?).ok()?,
    }])
}

pub(super) async fn observe_delete(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
) -> Result<Observed, ReadError> {
    let stored = cluster.document(index.as_str(), id.as_str()).await?;
    Ok(observed(
        stored.is_none(),
        seen(index, id, stored.as_ref()),
        kept(stored.as_ref()),
    ))
}

pub(super) async fn act_delete(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    while_it_contains: &Json,
    attempt: &Attempt,
) -> Acted {
    let meant = meant(cluster, index, id, while_it_contains, attempt).await;
    let (seq_no, primary_term) = match meant {
        Ok(meant) => meant,
        Err(acted) => return acted,
    };
    let call = Call::delete([index.as_str(), "_doc", id.as_str()])
        .param("if_seq_no", seq_no)
        .param("if_primary_term", primary_term)
        .param("timeout", "30s")
        .token(&attempt.token);
    match cluster.send(&call).await {
        // An earlier attempt of ours may have landed after all.
        Acted::Refused {
            status: status @ (404 | 409),
            kind,
            text,
            later,
        } => match cluster.document(index.as_str(), id.as_str()).await {
            Ok(None) => Acted::Unanswered("the document is gone already".into()),
            Ok(Some(_)) => Acted::Refused {
                status,
                kind,
                text,
                later,
            },
            Err(error) => Acted::Unanswered(error.to_string()),
        },
        acted => acted,
    }
}

pub(super) async fn probe_delete(
    cluster: &Cluster,
    index: &IndexName,
    id: &DocumentId,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let stored = cluster.document(index.as_str(), id.as_str()).await?;
    let evidence = seen(index, id, stored.as_ref());
    Ok(match stored {
        None => Probed::Applied {
            evidence,
            ours: false,
        },
        Some(stored) if Some(stored.seq_no) == kept_number(attempt, "seq_no") => {
            Probed::Absent(evidence)
        }
        Some(_) => Probed::Indeterminate(evidence),
    })
}

/// Refuses to replace one that somebody made meanwhile.
pub(super) fn undo_delete(
    index: &IndexName,
    id: &DocumentId,
    attempt: &Attempt,
) -> Option<Vec<Change>> {
    Some(vec![Change::CreateDocument {
        index: index.clone(),
        id: id.clone(),
        document: Json::new(kept_source(attempt)?).ok()?,
    }])
}

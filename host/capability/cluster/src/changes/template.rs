//! Templates: legacy, composable and component.

use liftlock_types::facts::cluster::TemplateKind;
use liftlock_types::{Acted, Attempt, Change, Json, Observed, Probed, ReadError, TemplateName};
use serde_json::{Value, json};

use super::observed;
use crate::Cluster;
use crate::call::Call;
use crate::checksum::hash_of;
use crate::facts::template_key;
use crate::normal::{same_template, template_has};

fn endpoint(kind: TemplateKind) -> &'static str {
    match kind {
        TemplateKind::Legacy => "_template",
        TemplateKind::Composable => "_index_template",
        TemplateKind::Component => "_component_template",
    }
}

async fn body_now(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
) -> Result<Option<Value>, ReadError> {
    let found = cluster.template(kind, name.as_str()).await?;
    Ok(found.map(|body| body.0))
}

fn seen(kind: TemplateKind, name: &TemplateName, body: Option<&Value>) -> Value {
    json!({template_key(kind, name.as_str()): body.map(hash_of)})
}

/// Was this the body before?
fn is_old(
    kind: TemplateKind,
    name: &TemplateName,
    body: Option<&Value>,
    attempt: &Attempt,
) -> bool {
    let now = body.map_or(Value::Null, |body| hash_of(body).into());
    attempt.facts.get(&template_key(kind, name.as_str())) == Some(&now)
}

pub(super) async fn observe_put(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
    asked: &Json,
) -> Result<Observed, ReadError> {
    let now = body_now(cluster, kind, name).await?;
    let is_there = now
        .as_ref()
        .is_some_and(|now| same_template(now, &asked.value()));
    let seen = seen(kind, name, now.as_ref());
    Ok(observed(is_there, seen, now.unwrap_or(Value::Null)))
}

pub(super) async fn act_put(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
    body: &Json,
    attempt: &Attempt,
) -> Acted {
    let call = Call::put([endpoint(kind), name.as_str()])
        .param("master_timeout", "30s")
        .token(&attempt.token)
        .text(body.as_str());
    cluster.send(&call).await
}

pub(super) async fn probe_put(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
    asked: &Json,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let now = body_now(cluster, kind, name).await?;
    let evidence = seen(kind, name, now.as_ref());
    let asked = asked.value();
    Ok(match &now {
        Some(now) if same_template(now, &asked) => Probed::Applied {
            evidence,
            ours: false,
        },
        _ if is_old(kind, name, now.as_ref(), attempt) => Probed::Absent(evidence),
        // More than was asked: defaults of a server that we do not know.
        Some(now) if template_has(now, &asked) => Probed::Applied {
            evidence,
            ours: false,
        },
        None => Probed::Absent(evidence),
        Some(_) => Probed::Partial(evidence),
    })
}

pub(super) fn undo_put(
    kind: TemplateKind,
    name: &TemplateName,
    attempt: &Attempt,
) -> Option<Vec<Change>> {
    Some(vec![if attempt.kept.is_null() {
        Change::DeleteTemplate {
            kind,
            name: name.clone(),
        }
    } else {
        Change::PutTemplate {
            kind,
            name: name.clone(),
            body: Json::of(&attempt.kept),
        }
    }])
}

pub(super) async fn observe_delete(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
) -> Result<Observed, ReadError> {
    let now = body_now(cluster, kind, name).await?;
    let seen = seen(kind, name, now.as_ref());
    Ok(observed(now.is_none(), seen, now.unwrap_or(Value::Null)))
}

pub(super) async fn act_delete(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
    attempt: &Attempt,
) -> Acted {
    let call = Call::delete([endpoint(kind), name.as_str()])
        // Templates know no `timeout`; OpenSearch refuses the parameter.
        .param("master_timeout", "30s")
        .token(&attempt.token);
    match cluster.send(&call).await {
        // Gone when it arrived, or never seen by the server that says so: the probe tells.
        Acted::Refused {
            status: 404, text, ..
        } => Acted::Unanswered(text),
        acted => acted,
    }
}

pub(super) async fn probe_delete(
    cluster: &Cluster,
    kind: TemplateKind,
    name: &TemplateName,
    attempt: &Attempt,
) -> Result<Probed, ReadError> {
    let now = body_now(cluster, kind, name).await?;
    let evidence = seen(kind, name, now.as_ref());
    Ok(match now {
        None => Probed::Applied {
            evidence,
            ours: false,
        },
        Some(_) if is_old(kind, name, now.as_ref(), attempt) => Probed::Absent(evidence),
        Some(_) => Probed::Indeterminate(evidence),
    })
}

pub(super) fn undo_delete(
    kind: TemplateKind,
    name: &TemplateName,
    attempt: &Attempt,
) -> Option<Vec<Change>> {
    (!attempt.kept.is_null()).then(|| {
        vec![Change::PutTemplate {
            kind,
            name: name.clone(),
            body: Json::of(&attempt.kept),
        }]
    })
}

//! The task list, one task, cancelling.

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::Reply;
use crate::pattern::glob_list;
use crate::router::{Ctx, Route, route};
use crate::state::State;
use crate::task::{self, TASKS_INDEX};

use super::nodes::transport;

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/_tasks", LIST, list),
    route("GET", "/_tasks/{id}", "wait_for_completion timeout", get),
    route("POST", "/_tasks/_cancel", CANCEL, cancel),
    route("POST", "/_tasks/{id}/_cancel", CANCEL, cancel),
];

const LIST: &str = "detailed actions group_by nodes parent_task_id wait_for_completion timeout";
const CANCEL: &str = "actions nodes parent_task_id wait_for_completion group_by";

fn list(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let detailed = ctx.request.flag("detailed", false)?;
    let actions = ctx.request.param("actions").unwrap_or("*").to_owned();
    let mut ids: Vec<u64> = ctx
        .state
        .tasks
        .values()
        .filter(|t| glob_list(&actions, t.job.kind.action()) && node_asked(ctx, t.node))
        .map(|t| t.id)
        .collect();
    if ctx
        .request
        .param("parent_task_id")
        .is_some_and(|p| !p.is_empty())
    {
        ids.clear();
    }
    if ctx.request.flag("wait_for_completion", false)? {
        for id in &ids {
            task::complete(ctx.state, *id);
        }
        ids.clear();
    }
    listing(ctx, &ids, detailed)
}

fn node_asked(ctx: &Ctx<'_>, node: usize) -> bool {
    ctx.request.param("nodes").is_none_or(|list| {
        let node = &ctx.state.nodes[node];
        list.is_empty()
            || list.split(',').any(|p| {
                p == node.id
                    || p == node.name
                    || (p == "_local" && ctx.state.nodes[ctx.request.node].id == node.id)
            })
    })
}

fn node_head(state: &State, node: usize) -> Map<String, Value> {
    let node = &state.nodes[node];
    let roles = super::nodes::roles(state.product);
    let head = json!({
        "name": node.name, "transport_address": transport(node), "host": "127.0.0.1", "ip": transport(node), "roles": roles, "attributes": super::nodes::attributes(state.product),
    });
    head.as_object().cloned().unwrap_or_default()
}

/// Prints tasks grouped as the request asks. The list request itself is a task too, when it fits.
pub(crate) fn listing(ctx: &mut Ctx<'_>, ids: &[u64], detailed: bool) -> Result<Reply, ApiError> {
    let group = ctx.request.param("group_by").unwrap_or("nodes").to_owned();
    if !["nodes", "parents", "none"].contains(&group.as_str()) {
        return Err(ApiError::illegal(format!(
            "[group_by] must be one of [nodes], [parents] or [none] but was [{group}]"
        )));
    }
    let own_id = ctx.state.next_task_id();
    ctx.state.next_task += ctx.state.nodes.len() as u64;
    let state = &*ctx.state;
    let mut tasks: Vec<(usize, String, Value)> = ids
        .iter()
        .filter_map(|id| state.tasks.get(id))
        .map(|t| (t.node, t.full_id(state), t.to_json(state, detailed)))
        .collect();
    let own_action = "cluster:monitor/tasks/lists";
    let asked = ctx.request.param("actions").unwrap_or("*");
    if ctx.request.method == hyper::Method::GET && glob_list(asked, own_action) {
        let node = ctx.request.node;
        let mut own = json!({
            "node": state.nodes[node].id, "id": own_id, "type": "transport", "action": own_action,
            "start_time_in_millis": state.now_ms(), "running_time_in_nanos": 1000, "cancellable": false,
        });
        if state.product.is_opensearch() {
            own["cancelled"] = json!(false);
        }
        if detailed {
            own["description"] = json!("");
        }
        own["headers"] = ctx
            .request
            .opaque_id
            .as_ref()
            .map_or_else(|| json!({}), |id| json!({"X-Opaque-Id": id}));
        let parent = format!("{}:{own_id}", state.nodes[node].id);
        for (at, other) in state.nodes.iter().enumerate().filter(|(_, n)| n.is_up) {
            // The list asks each node, and each part of it is a task too.
            let mut part = own.clone();
            part["node"] = json!(other.id);
            part["id"] = json!(own_id + 1 + at as u64);
            part["type"] = json!(if at == node { "direct" } else { "transport" });
            part["action"] = json!(format!("{own_action}[n]"));
            part["parent_task_id"] = json!(parent);
            if glob_list(asked, &format!("{own_action}[n]")) {
                tasks.push((at, format!("{}:{}", other.id, own_id + 1 + at as u64), part));
            }
        }
        tasks.insert(0, (node, parent, own));
    }
    Ok(Reply::ok(match group.as_str() {
        "none" => json!({"tasks": tasks.into_iter().map(|(_, _, t)| t).collect::<Vec<_>>()}),
        "parents" => {
            json!({"tasks": tasks.into_iter().map(|(_, id, t)| (id, t)).collect::<Map<_, _>>()})
        }
        _ => {
            let mut nodes = Map::new();
            for (node, id, task) in tasks {
                let entry = nodes
                    .entry(state.nodes[node].id.clone())
                    .or_insert_with(|| {
                        let mut head = node_head(state, node);
                        head.insert("tasks".to_owned(), json!({}));
                        Value::Object(head)
                    });
                entry["tasks"][id] = task;
            }
            json!({"nodes": nodes})
        }
    }))
}

fn split(id: &str) -> Result<(&str, u64), ApiError> {
    id.split_once(':')
        .and_then(|(node, number)| Some((node, number.parse().ok()?)))
        .ok_or_else(|| ApiError::illegal(format!("malformed task id {id}")))
}

fn get(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let id = ctx.var("id").to_owned();
    let (node, number) = split(&id)?;
    if ctx.request.flag("wait_for_completion", false)? {
        task::complete(ctx.state, number);
    }
    let state = &*ctx.state;
    if let Some(task) = state.tasks.get(&number).filter(|t| t.full_id(state) == id) {
        return Ok(Reply::ok(
            json!({"completed": false, "task": task.to_json(state, true)}),
        ));
    }
    if let Some(record) = state
        .indices
        .get(TASKS_INDEX)
        .filter(|i| i.is_open)
        .and_then(|i| i.get(&id))
    {
        return Ok(Reply::ok((*record.source).clone()));
    }
    let none = ApiError::new(
        404,
        "resource_not_found_exception",
        format!("task [{id}] isn't running and hasn't stored its results"),
    );
    if state.nodes.iter().any(|n| n.is_up && n.id == node) {
        return Err(none);
    }
    Err(ApiError::new(
        404,
        "resource_not_found_exception",
        format!("task [{id}] belongs to the node [{node}] which isn't part of the cluster and there is no record of the task"),
    )
    .caused(none.kind(), none.reason())
    .rooted(none))
}

fn cancel(ctx: &mut Ctx<'_>) -> Result<Reply, ApiError> {
    let now = ctx.state.now_ms();
    let id = ctx.var("id").to_owned();
    if id.is_empty() {
        let actions = ctx.request.param("actions").unwrap_or("*").to_owned();
        let ids: Vec<u64> = ctx
            .state
            .tasks
            .values()
            .filter(|t| glob_list(&actions, t.job.kind.action()))
            .map(|t| t.id)
            .collect();
        for id in &ids {
            if let Some(task) = ctx.state.tasks.get_mut(id) {
                task.cancelled_ms = Some(now);
            }
        }
        return listing(ctx, &ids, false);
    }
    let (node, number) = split(&id)?;
    let known = ctx
        .state
        .tasks
        .get(&number)
        .is_some_and(|t| t.full_id(ctx.state) == id);
    if known {
        if let Some(task) = ctx.state.tasks.get_mut(&number) {
            task.cancelled_ms = Some(now);
        }
        let reply = listing(ctx, &[number], false)?;
        if ctx.request.flag("wait_for_completion", false)? {
            task::complete(ctx.state, number);
        }
        return Ok(reply);
    }
    Ok(not_there(ctx.state, node, &id))
}

/// The answer to a change of a task that is on no node.
pub(crate) fn not_there(state: &State, node: &str, id: &str) -> Reply {
    let cause = if state.nodes.iter().any(|n| n.is_up && n.id == node) {
        json!({"type": "resource_not_found_exception", "reason": format!("task [{id}] is not found")})
    } else {
        json!({"type": "no_such_node_exception", "reason": format!("No such node [{node}]"), "node_id": node})
    };
    Reply::ok(json!({
        "node_failures": [{
            "type": "failed_node_exception", "reason": format!("Failed node [{node}]"), "node_id": node,
            "caused_by": cause,
        }],
        "nodes": {},
    }))
}

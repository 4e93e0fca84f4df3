//! What each kind of step asks for.

use serde_json::Value;
use serde_json::json;

use crate::Failure;
use crate::plan::Step;
use crate::reindex;
use crate::say;
use crate::schema;
use crate::sync;
use crate::wire::Wire;
use crate::wire::kind;

impl Step {
    /// The vendor's name of its class.
    pub fn class(&self) -> &'static str {
        match self {
            Self::DeleteIndex { .. } => "DeleteIndexIfExistsStep",
            Self::DeleteTemplate { .. } => "DeleteIndexTemplateIfExistsStep",
            Self::UpdateIndex { .. } => "UpdateIndexStep",
        }
    }

    /// Its type in the update log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DeleteIndex { .. } => "schema-delete-index",
            Self::DeleteTemplate { .. } => "schema-delete-template",
            Self::UpdateIndex { .. } => "schema-update-index",
        }
    }

    /// Its name in log lines and in the update log.
    pub fn log_name(&self, wire: &Wire<'_>) -> String {
        match self {
            Self::DeleteIndex { logged, .. } => logged.clone(),
            Self::DeleteTemplate { name, version } => format!("{name}_v{version}[Template]"),
            Self::UpdateIndex { name, version, .. } => {
                wire.settings.alias(&format!("{name}_v{version}"))
            }
        }
    }

    /// Does it.
    pub async fn execute(&self, wire: &Wire<'_>) -> Result<(), Failure> {
        match self {
            Self::DeleteIndex { name, .. } => delete_behind_alias(wire, name).await,
            Self::DeleteTemplate { name, version } => {
                let template = wire.settings.alias(&format!("{name}_v{version}"));
                delete_template(wire, &template).await
            }
            Self::UpdateIndex {
                name,
                version,
                script,
            } => update_index(wire, name, *version, script).await,
        }
    }
}

/// Every index behind the alias whose name contains this. Without the alias nothing is deleted, and that is fine.
async fn delete_behind_alias(wire: &Wire<'_>, name: &str) -> Result<(), Failure> {
    let alias = wire.settings.alias(name);
    let (status, answer) = wire.get(&format!("/_alias/{alias}")).await?;
    let indices: Vec<String> = match (status, answer.as_object()) {
        (200, Some(indices)) => indices.keys().cloned().collect(),
        (404, _) => Vec::new(),
        _ => {
            return Err(Failure::Upgrade(format!(
                "Could not read the alias [{alias}]!"
            )));
        }
    };
    for index in indices.iter().filter(|index| index.contains(name)) {
        delete_index(wire, index).await?;
    }
    Ok(())
}

/// Waits out a running snapshot, for ever; fails at anything else.
pub async fn delete_index(wire: &Wire<'_>, index: &str) -> Result<(), Failure> {
    let failed = || Failure::Upgrade(format!("Could not delete index [{index}]!"));
    if !wire.head(&format!("/{index}")).await? {
        return Ok(());
    }
    loop {
        let (status, answer) = wire
            .delete(&format!("/{index}"))
            .await
            .map_err(|_| failed())?;
        if status == 200 {
            return Ok(());
        }
        if !answer
            .to_string()
            .contains("snapshot_in_progress_exception")
        {
            return Err(failed());
        }
        say::other(
            "WARN",
            "i.c.o.s.d.DatabaseClient",
            &format!(
                "Execution of DeleteIndex: [{index}] failed due to a pending snapshot operation, details: {answer}"
            ),
        );
        say::other(
            "INFO",
            "i.c.o.s.d.DatabaseClient",
            "Will retry the operation in 30 seconds...",
        );
        tokio::time::sleep(wire.settings.retry).await;
    }
}

async fn delete_template(wire: &Wire<'_>, template: &str) -> Result<(), Failure> {
    let path = format!("/_template/{template}");
    if wire.head(&path).await? && wire.delete(&path).await?.0 != 200 {
        return Err(Failure::Upgrade(format!(
            "Could not delete index template [{template}]!"
        )));
    }
    Ok(())
}

/// From `name_v(N-1)` to `name_vN`, by way of both indices behind the alias.
async fn update_index(
    wire: &Wire<'_>,
    name: &str,
    version: u32,
    script: &str,
) -> Result<(), Failure> {
    let source = wire.settings.alias(&format!("{name}_v{}", version - 1));
    let definition = schema::fixed(wire.settings, wire.settings.jar)?
        .into_iter()
        .find(|definition| definition.index == wire.settings.alias(&format!("{name}_v{version}")))
        .ok_or_else(|| Failure::Other(format!("no definition of {name}")))?;
    let target = definition.index.clone();
    if !wire.head(&format!("/{source}")).await? {
        say::line(&format!(
            "Source index {source} was not found, will just create/update the new index {target}."
        ));
        return create(wire, &definition).await;
    }
    let (_, answer) = wire.get(&format!("/{source}/_alias")).await?;
    let aliases = answer[source.as_str()]["aliases"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let mut actions = Vec::new();
    for alias in aliases.keys() {
        actions.push(json!({ "remove": { "index": source, "alias": alias } }));
        actions
            .push(json!({ "add": { "index": source, "alias": alias, "is_write_index": false } }));
    }
    post_aliases(wire, &actions).await?;
    create(wire, &definition).await?;
    reindex::reindex(wire, &source, &target, script).await?;
    for (alias, properties) in &aliases {
        let is_write = properties["is_write_index"]
            .as_bool()
            .unwrap_or(aliases.len() == 1);
        add_alias(wire, &target, alias, is_write).await?;
    }
    add_alias(wire, &target, &definition.alias, true).await?;
    delete_index(wire, &source).await
}

async fn add_alias(
    wire: &Wire<'_>,
    index: &str,
    alias: &str,
    is_write: bool,
) -> Result<(), Failure> {
    let add = json!({ "index": index, "alias": alias, "is_write_index": is_write });
    post_aliases(wire, &[json!({ "add": add })]).await
}

async fn post_aliases(wire: &Wire<'_>, actions: &[Value]) -> Result<(), Failure> {
    let (status, answer) = wire
        .post("/_aliases", &json!({ "actions": actions }))
        .await?;
    if status == 200 {
        return Ok(());
    }
    Err(Failure::Upgrade(format!(
        "Could not update aliases: {answer}"
    )))
}

/// Makes the index; one that is there gets settings and mapping only.
pub async fn create(wire: &Wire<'_>, definition: &schema::Definition) -> Result<(), Failure> {
    if let Some(template) = &definition.template {
        let path = format!("/_template/{template}");
        wire.put(&path, &definition.template_body(template)).await?;
    }
    let (status, answer) = wire
        .put(&format!("/{}", definition.index), &definition.body())
        .await?;
    match status {
        200 => Ok(()),
        400 if kind(&answer) == "resource_already_exists_exception" => {
            sync::update(wire, definition).await
        }
        _ => Err(Failure::Upgrade(format!(
            "Could not create index [{}]!",
            definition.index
        ))),
    }
}

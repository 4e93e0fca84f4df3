//! `inspect`: what is there, as the plugin sees it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::escape;
use crate::failure::Failure;
use crate::output::{Answer, Style};
use crate::planning;

/// Longest value that the text shows; `--json` has all of it.
const VALUE_CHARS_MAX: usize = 160;

/// What was seen.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InspectData {
    site: String,
    plugin: String,
    product: String,
    /// None: the product was not found here.
    version: Option<String>,
    /// Who answers at each binding.
    targets: BTreeMap<String, String>,
    facts: Vec<FactData>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct FactData {
    name: String,
    value: serde_json::Value,
}

pub(super) async fn inspect(context: &Context, args: args::WithPlugin) -> Result<Answer, Failure> {
    let ready = planning::ready(context, &args).await?;
    let (ready, inventory, target) = planning::aim(ready, None).await?;
    let data = InspectData {
        site: ready.site.name.clone(),
        plugin: escape::line(&ready.guest.installed.label()),
        product: escape::line(&inventory.product),
        version: inventory.version.as_deref().map(escape::line),
        targets: ready
            .targets
            .identities
            .iter()
            .map(|(binding, identity)| (binding.to_string(), escape::line(&identity.product)))
            .collect(),
        facts: inventory
            .facts
            .iter()
            .map(|fact| FactData {
                name: escape::line(&fact.name),
                value: fact.value.value(),
            })
            .collect(),
    };
    let version = data.version.as_deref().unwrap_or("not found here");
    let mut text = format!(
        "{}\n",
        context.ui.paint().text(
            Style::Strong,
            &format!("{} {version}   site {}", data.product, data.site)
        )
    );
    for (binding, product) in &data.targets {
        text.push_str(&format!("  {binding:<20} {product}\n"));
    }
    for fact in &data.facts {
        let value = match &fact.value {
            serde_json::Value::String(value) => value.clone(),
            value => value.to_string(),
        };
        text.push_str(&format!(
            "  {:<28} {}\n",
            fact.name,
            escape::bounded(&value, VALUE_CHARS_MAX)
        ));
    }
    context.ui.say(&format!(
        "next: {}",
        context.command(&format!("check {}", escape::line(&target.to)))
    ));
    Ok(Answer::done(text, &data))
}

//! `plugin add`, `plugin list`, `plugin show`.

use liftlock_types::{Descriptor, OptionKind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::escape;
use crate::failure::Failure;
use crate::guest::{self, Guest};
use crate::output::Answer;
use crate::store::{Installed, Store};
use crate::view::Table;

/// An installed plugin in full.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PluginData {
    plugin: Installed,
    product: String,
    summary: String,
    /// From, to, note.
    edges: Vec<(String, String, String)>,
    options: Vec<OptionData>,
    requests: Vec<RequestData>,
    /// Interface and functions: all that it can read and ever propose.
    imports: Vec<(String, Vec<String>)>,
    more: Vec<(String, String)>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct OptionData {
    name: String,
    /// `text`, `number`, `flag`, or the choices.
    kind: String,
    default: Option<String>,
    help: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct RequestData {
    binding: String,
    /// `one`, `optional`, `many`.
    need: String,
    why: String,
    /// Verb, scope, except, at most, why.
    verbs: Vec<VerbData>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VerbData {
    verb: String,
    scope: Vec<String>,
    except: Vec<String>,
    at_most: Option<u32>,
    why: String,
}

/// The plugins that are installed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PluginListData {
    plugins: Vec<Installed>,
}

pub(super) async fn add(context: &Context, args: args::PluginAdd) -> Result<Answer, Failure> {
    let guest = guest::install(&context.state()?, &args.file, args.allow_unsigned).await?;
    guest::announce(&context.ui, &guest.installed);
    let text = format!("added {}\n", escape::line(&guest.installed.label()));
    Ok(Answer::done(text, &data(&guest)))
}

pub(super) fn list(context: &Context) -> Result<Answer, Failure> {
    let plugins = Store::open(&context.state()?)?.list()?;
    let mut table = Table::new(&["NAME", "VERSION", "SHA256", "SIGNED", "ADDED"]);
    for plugin in &plugins {
        table.row([
            escape::line(&plugin.name),
            escape::line(&plugin.version),
            plugin.digest.short().to_owned(),
            if plugin.unsigned {
                "UNSIGNED, development"
            } else {
                "yes"
            }
            .to_owned(),
            plugin.added_at.clone(),
        ]);
    }
    if plugins.is_empty() {
        context
            .ui
            .say("no plugin is installed; next: liftlock plugin add FILE --allow-unsigned");
        return Ok(Answer::done("", &PluginListData { plugins }));
    }
    Ok(Answer::done(table.render(0), &PluginListData { plugins }))
}

pub(super) async fn show(context: &Context, args: args::PluginShow) -> Result<Answer, Failure> {
    let guest = guest::open(&context.state()?, &args.name).await?;
    guest::announce(&context.ui, &guest.installed);
    let data = data(&guest);
    Ok(Answer::done(text(&data), &data))
}

fn data(guest: &Guest) -> PluginData {
    let descriptor: &Descriptor = &guest.descriptor;
    let lines = |texts: &[String]| {
        texts
            .iter()
            .map(|text| escape::line(text))
            .collect::<Vec<_>>()
    };
    PluginData {
        plugin: guest.installed.clone(),
        product: escape::line(&descriptor.product),
        summary: escape::line(&descriptor.summary),
        edges: descriptor
            .edges
            .iter()
            .map(|edge| {
                (
                    escape::line(&edge.from),
                    escape::line(&edge.to),
                    escape::line(&edge.note),
                )
            })
            .collect(),
        options: descriptor
            .options
            .iter()
            .map(|option| OptionData {
                name: escape::line(&option.name),
                kind: match option.kind {
                    OptionKind::Choice => lines(&option.choices).join(" | "),
                    kind => format!("{kind:?}").to_lowercase(),
                },
                default: option.default.as_deref().map(escape::line),
                help: escape::line(&option.help),
            })
            .collect(),
        requests: descriptor
            .requests
            .iter()
            .map(|request| RequestData {
                binding: escape::line(&request.binding),
                need: format!("{:?}", request.need).to_lowercase(),
                why: escape::line(&request.why),
                verbs: request
                    .verbs
                    .iter()
                    .map(|verb| VerbData {
                        verb: verb.verb.to_string(),
                        scope: lines(&verb.scope),
                        except: lines(&verb.except),
                        at_most: verb.at_most,
                        why: escape::line(&verb.why),
                    })
                    .collect(),
            })
            .collect(),
        imports: guest
            .plugin
            .imports()
            .iter()
            .map(|import| (escape::line(&import.interface), lines(&import.functions)))
            .collect(),
        more: descriptor
            .more
            .iter()
            .map(|(name, value)| (escape::line(name), escape::line(value)))
            .collect(),
    }
}

fn text(data: &PluginData) -> String {
    let mut out = format!(
        "{}\n  {}\n  for {}\n",
        data.plugin.label(),
        data.summary,
        data.product
    );
    for (name, value) in &data.more {
        out.push_str(&format!("  {name}: {value}\n"));
    }
    out.push_str("\nUpgrades\n");
    for (from, to, note) in &data.edges {
        out.push_str(&format!("  {from} -> {to}   {note}\n"));
    }
    out.push_str("\nOptions ([options] of site.toml)\n");
    let mut table = Table::new(&[]).within(&[18, 16, 22, 46]);
    for option in &data.options {
        let default = match &option.default {
            Some(default) => format!("default \"{default}\""),
            None => "must be given".into(),
        };
        table.row([
            option.name.clone(),
            option.kind.clone(),
            default,
            option.help.clone(),
        ]);
    }
    out.push_str(&table.render(2));
    out.push_str("\nAsks for\n");
    for request in &data.requests {
        out.push_str(&format!(
            "  {} ({})   {}\n",
            request.binding, request.need, request.why
        ));
        let mut table = Table::new(&[]).within(&[26, 42, 34]);
        for verb in &request.verbs {
            let mut scope = verb.scope.join(", ");
            if !verb.except.is_empty() {
                scope.push_str(&format!(" except {}", verb.except.join(", ")));
            }
            if let Some(most) = verb.at_most {
                let gap = if scope.is_empty() { "" } else { ", " };
                scope.push_str(&format!("{gap}at most {most}"));
            }
            let mark = if crate::view::change::takes_away(&verb.verb) {
                "!"
            } else {
                " "
            };
            table.row([format!("{mark} {}", verb.verb), scope, verb.why.clone()]);
        }
        out.push_str(&table.render(4));
    }
    out.push_str("\nImports: all that it can read and ever propose\n");
    for (interface, functions) in &data.imports {
        let mut table = Table::new(&[]).within(&[42, 64]);
        table.row([interface.clone(), functions.join(", ")]);
        out.push_str(&table.render(2));
    }
    out
}

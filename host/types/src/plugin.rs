//! What a plugin says of itself and of a site: descriptor, inventory, findings.

use serde::{Deserialize, Serialize};

use crate::{Json, Verb};

/// From versions matching `from` to versions matching `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// A version prefix: `8.7`.
    pub from: String,
    /// A version prefix: `8.8`.
    pub to: String,
    /// For people.
    pub note: String,
}

/// One verb that a plugin asks for on a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbRequest {
    /// The verb.
    pub verb: Verb,
    /// Literals or literals with one trailing `*`; `{option}` is resolved before the operator sees it. One that begins with
    /// `{option?}` counts only where that option is not empty.
    pub scope: Vec<String>,
    /// Taken away.
    pub except: Vec<String>,
    /// At most so many changes of this verb in one plan.
    pub at_most: Option<u32>,
    /// The reason.
    pub why: String,
}

/// How much a plugin needs a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Exactly one, and it must be there.
    One,
    /// It may lack.
    Optional,
    /// All bindings that match.
    Many,
}

/// What a plugin asks for on one binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `cluster.database`; with [`Need::Many`] it may end in `*`.
    pub binding: String,
    /// How much it is needed.
    pub need: Need,
    /// What on it.
    pub verbs: Vec<VerbRequest>,
    /// The reason.
    pub why: String,
}

/// The type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptionKind {
    /// Any text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of a list.
    Choice,
}

/// An option that the operator can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: OptionKind,
    /// For a choice.
    pub choices: Vec<String>,
    /// None: the operator must give it.
    pub default: Option<String>,
    /// One line.
    pub help: String,
}

/// A finding that a plugin may report, as it explains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFinding {
    /// Stable.
    pub id: String,
    /// What it means, wherever it is found.
    pub means: String,
    /// What to do.
    pub remedy: String,
    /// Where that is known from.
    pub source: String,
}

/// What a plugin is and asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The product it upgrades.
    pub product: String,
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// Ways it knows.
    pub edges: Vec<Edge>,
    /// What it asks for.
    pub requests: Vec<Request>,
    /// What can be set.
    pub options: Vec<OptionSpec>,
    /// Findings that it may report.
    pub findings: Vec<KnownFinding>,
    /// What else it says; shown, never acted on.
    pub more: Vec<(String, String)>,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: Json,
}

/// What `inspect` saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The product.
    pub product: String,
    /// None: not found here.
    pub version: Option<String>,
    /// In the plugin's order.
    pub facts: Vec<Fact>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it.
    Warning,
    /// The upgrade must not start, unless a person waives it with a reason.
    Blocker,
}

/// A check's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable: `optimize.metadata-missing`, `host.unproved-destruction`.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub subject: String,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// What was seen.
    pub evidence: Vec<(String, String)>,
}

/// Where an upgrade goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What `inspect` reported, or what the approved plan says.
    pub from: Option<String>,
    /// The version to reach.
    pub to: String,
}

/// Why an export is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// By a person.
    Asked,
    /// Before a plan is made.
    BeforePlan,
    /// Before the first change.
    BeforeRun,
    /// After a crash or a stop.
    OnResume,
    /// After the last step.
    AfterRun,
}

//! Records and enums of the contract, to and from the host's own.

use liftlock_types::facts::{cluster, disk, endpoint, service, snapshot, traffic};
use liftlock_types::{
    Descriptor, Edge, Evaluated, Fact, Finding, Inventory, KnownFinding, Moment, Need, OnExpiry,
    OptionKind, OptionSpec, Phase, ReadError, Request, Severity, Target, Verb, VerbRequest,
};

use super::bindings::exports::liftlock::upgrade::upgrade as exported;
use super::wit;
use crate::fault::ContractBroken;
use crate::log::Level;
use crate::session::{HostError, Session, listed};
use crate::text;

/// Longest error text that comes back from a guest; it passes our own ones on.
const ERROR_BYTES_MAX: usize = 8 << 10;

impl From<ReadError> for wit::types::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Denied { rule, allowed_by } => {
                Self::Denied(wit::types::Denial { rule, allowed_by })
            }
            ReadError::NotFound(text) => Self::NotFound(text),
            ReadError::Absent(text) => Self::Absent(text),
            ReadError::Invalid(text) => Self::Invalid(text),
            ReadError::Unavailable(text) => Self::Unavailable(text),
            ReadError::Rejected { status, kind, text } => {
                Self::Rejected(wit::types::Rejection { status, kind, text })
            }
        }
    }
}

/// An error that the plugin gives as its own answer.
pub(super) fn error_from(error: wit::types::Error) -> ReadError {
    let plain = |said: String| text::lines(text::beginning(&said, ERROR_BYTES_MAX));
    match error {
        wit::types::Error::Denied(denial) => ReadError::Denied {
            rule: plain(denial.rule),
            allowed_by: plain(denial.allowed_by),
        },
        wit::types::Error::NotFound(text) => ReadError::NotFound(plain(text)),
        wit::types::Error::Absent(text) => ReadError::Absent(plain(text)),
        wit::types::Error::Invalid(text) => ReadError::Invalid(plain(text)),
        wit::types::Error::Unavailable(text) => ReadError::Unavailable(plain(text)),
        wit::types::Error::Rejected(rejection) => ReadError::Rejected {
            status: rejection.status,
            kind: plain(rejection.kind),
            text: plain(rejection.text),
        },
    }
}

pub(super) fn level(level: wit::site::Level) -> Level {
    match level {
        wit::site::Level::Debug => Level::Debug,
        wit::site::Level::Info => Level::Info,
        wit::site::Level::Warn => Level::Warn,
    }
}

pub(super) fn moment(moment: Moment) -> wit::run::Moment {
    match moment {
        Moment::Asked => wit::run::Moment::Asked,
        Moment::BeforePlan => wit::run::Moment::BeforePlan,
        Moment::BeforeRun => wit::run::Moment::BeforeRun,
        Moment::OnResume => wit::run::Moment::OnResume,
        Moment::AfterRun => wit::run::Moment::AfterRun,
    }
}

pub(super) fn phase(phase: wit::draft::Phase) -> Phase {
    match phase {
        wit::draft::Phase::Prepare => Phase::Prepare,
        wit::draft::Phase::Protect => Phase::Protect,
        wit::draft::Phase::Expand => Phase::Expand,
        wit::draft::Phase::Switch => Phase::Switch,
        wit::draft::Phase::Validate => Phase::Validate,
        wit::draft::Phase::Contract => Phase::Contract,
    }
}

pub(super) fn on_expiry(what: wit::draft::OnExpiry) -> OnExpiry {
    match what {
        wit::draft::OnExpiry::Fail => OnExpiry::Fail,
        wit::draft::OnExpiry::GoOnAndReport => OnExpiry::GoOnAndReport,
        wit::draft::OnExpiry::Ask => OnExpiry::Ask,
    }
}

pub(super) fn target(target: &Target) -> wit::types::Target {
    wit::types::Target {
        from: target.from.clone(),
        to: target.to.clone(),
    }
}

pub(super) fn template_kind(kind: wit::cluster::TemplateKind) -> cluster::TemplateKind {
    match kind {
        wit::cluster::TemplateKind::Legacy => cluster::TemplateKind::Legacy,
        wit::cluster::TemplateKind::Composable => cluster::TemplateKind::Composable,
        wit::cluster::TemplateKind::Component => cluster::TemplateKind::Component,
    }
}

pub(super) fn setting_scope(scope: wit::cluster::Scope) -> cluster::SettingScope {
    match scope {
        wit::cluster::Scope::Persistent => cluster::SettingScope::Persistent,
        wit::cluster::Scope::Transient => cluster::SettingScope::Transient,
        wit::cluster::Scope::Defaults => cluster::SettingScope::Defaults,
    }
}

impl From<cluster::Identity> for wit::cluster::Identity {
    fn from(it: cluster::Identity) -> Self {
        Self {
            distribution: match it.distribution {
                cluster::Distribution::Elasticsearch => wit::cluster::Distribution::Elasticsearch,
                cluster::Distribution::Opensearch => wit::cluster::Distribution::Opensearch,
            },
            version: it.version,
            cluster_name: it.cluster_name,
            cluster_uuid: it.cluster_uuid,
            node_name: it.node_name,
            minimum_wire_version: it.minimum_wire_version,
            minimum_index_version: it.minimum_index_version,
            more: it.more,
        }
    }
}

impl From<cluster::Health> for wit::cluster::Health {
    fn from(it: cluster::Health) -> Self {
        Self {
            status: it.status,
            nodes: it.nodes,
            active_shards: it.active_shards,
            relocating_shards: it.relocating_shards,
            initializing_shards: it.initializing_shards,
            unassigned_shards: it.unassigned_shards,
            pending_tasks: it.pending_tasks,
            reasons: it.reasons,
        }
    }
}

impl From<cluster::Node> for wit::cluster::Node {
    fn from(it: cluster::Node) -> Self {
        Self {
            id: it.id,
            name: it.name,
            version: it.version,
            roles: it.roles,
            address: it.address,
            heap_max_bytes: it.heap_max_bytes,
            disk_total_bytes: it.disk_total_bytes,
            disk_free_bytes: it.disk_free_bytes,
            watermark_low_bytes: it.watermark_low_bytes,
            watermark_high_bytes: it.watermark_high_bytes,
            watermark_flood_bytes: it.watermark_flood_bytes,
            plugins: it.plugins,
            more: it.more,
        }
    }
}

impl From<cluster::Index> for wit::cluster::Index {
    fn from(it: cluster::Index) -> Self {
        Self {
            name: it.name,
            uuid: it.uuid,
            created_version: it.created_version,
            open: it.open,
            hidden: it.hidden,
            docs: it.docs,
            bytes: it.bytes,
            primary_bytes: it.primary_bytes,
            shards: it.shards,
            replicas: it.replicas,
            blocks: it.blocks,
        }
    }
}

impl From<cluster::Shard> for wit::cluster::Shard {
    fn from(it: cluster::Shard) -> Self {
        Self {
            index: it.index,
            number: it.number,
            primary: it.primary,
            state: it.state,
            node: it.node,
            bytes: it.bytes,
            docs: it.docs,
        }
    }
}

impl From<cluster::Alias> for wit::cluster::Alias {
    fn from(it: cluster::Alias) -> Self {
        Self {
            name: it.name,
            index: it.index,
            write: it.write,
            more: it.more,
        }
    }
}

impl From<cluster::Template> for wit::cluster::Template {
    fn from(it: cluster::Template) -> Self {
        Self {
            name: it.name,
            kind: match it.kind {
                cluster::TemplateKind::Legacy => wit::cluster::TemplateKind::Legacy,
                cluster::TemplateKind::Composable => wit::cluster::TemplateKind::Composable,
                cluster::TemplateKind::Component => wit::cluster::TemplateKind::Component,
            },
            patterns: it.patterns,
            body: it.body.into(),
        }
    }
}

impl From<cluster::Document> for wit::cluster::Document {
    fn from(it: cluster::Document) -> Self {
        Self {
            index: it.index,
            id: it.id,
            seq_no: it.seq_no,
            primary_term: it.primary_term,
            source: it.source.into(),
        }
    }
}

impl From<cluster::Task> for wit::cluster::Task {
    fn from(it: cluster::Task) -> Self {
        Self {
            id: it.id,
            node: it.node,
            action: it.action,
            description: it.description,
            opaque_id: it.opaque_id,
            running_ms: it.running_ms,
            from: it.from,
            to: it.to,
        }
    }
}

impl From<cluster::Deprecation> for wit::cluster::Deprecation {
    fn from(it: cluster::Deprecation) -> Self {
        Self {
            level: it.level,
            subject: it.subject,
            message: it.message,
            details: it.details.into(),
        }
    }
}

impl From<cluster::RawAnswer> for wit::cluster::RawAnswer {
    fn from(it: cluster::RawAnswer) -> Self {
        Self {
            status: it.status,
            body: it.body,
        }
    }
}

impl From<snapshot::Taken> for wit::snapshot::Taken {
    fn from(it: snapshot::Taken) -> Self {
        Self {
            name: it.name,
            uuid: it.uuid,
            state: it.state,
            started: it.started_ms,
            indices: it.indices,
            global_state: it.global_state,
            failures: it.failures,
            version: it.version,
            metadata: it.metadata.into(),
        }
    }
}

impl From<disk::Entry> for wit::disk::Entry {
    fn from(it: disk::Entry) -> Self {
        Self {
            name: it.name,
            kind: match it.kind {
                disk::EntryKind::File => wit::disk::EntryKind::File,
                disk::EntryKind::Directory => wit::disk::EntryKind::Directory,
                disk::EntryKind::Link => wit::disk::EntryKind::Link,
                disk::EntryKind::Other => wit::disk::EntryKind::Other,
            },
            bytes: it.bytes,
            modified: it.modified_ms,
        }
    }
}

impl From<disk::Space> for wit::disk::Space {
    fn from(it: disk::Space) -> Self {
        Self {
            total_bytes: it.total_bytes,
            free_bytes: it.free_bytes,
        }
    }
}

impl From<service::Status> for wit::service::Status {
    fn from(it: service::Status) -> Self {
        Self {
            state: match it.state {
                service::State::Stopped => wit::service::State::Stopped,
                service::State::Starting => wit::service::State::Starting,
                service::State::Ready => wit::service::State::Ready,
                service::State::RunningNotReady(why) => wit::service::State::RunningNotReady(why),
                service::State::Unknown(why) => wit::service::State::Unknown(why),
            },
            pids: it.pids,
            since: it.since_ms,
        }
    }
}

impl From<service::Artifact> for wit::service::Artifact {
    fn from(it: service::Artifact) -> Self {
        Self {
            current: it.current,
            available: it.available,
        }
    }
}

impl From<endpoint::Answer> for wit::endpoint::Answer {
    fn from(it: endpoint::Answer) -> Self {
        Self {
            status: it.status,
            content_type: it.content_type,
            body: it.body,
        }
    }
}

impl From<service::Output> for wit::service::CommandOutput {
    fn from(it: service::Output) -> Self {
        Self {
            exit_code: it.exit_code,
            stdout: it.stdout,
            stderr: it.stderr,
        }
    }
}

pub(super) fn administrative(of: wit::traffic::Administrative) -> traffic::Administrative {
    match of {
        wit::traffic::Administrative::Ready => traffic::Administrative::Ready,
        wit::traffic::Administrative::Drain => traffic::Administrative::Drain,
        wit::traffic::Administrative::Maintenance => traffic::Administrative::Maintenance,
    }
}

impl From<traffic::Server> for wit::traffic::Server {
    fn from(it: traffic::Server) -> Self {
        Self {
            backend: it.backend,
            name: it.name,
            address: it.address,
            administrative: match it.administrative {
                traffic::Administrative::Ready => wit::traffic::Administrative::Ready,
                traffic::Administrative::Drain => wit::traffic::Administrative::Drain,
                traffic::Administrative::Maintenance => wit::traffic::Administrative::Maintenance,
            },
            up: it.up,
            serving: it.serving,
            current: it.current,
            queued: it.queued,
            total: it.total,
            weight: it.weight,
            sticky: it.sticky,
            more: it.more,
        }
    }
}

/// All of a list.
pub(super) fn all<T, U: From<T>>(items: Vec<T>) -> Vec<U> {
    items.into_iter().map(U::from).collect()
}

/// The answers of a plugin, made fit to be shown: bounded, and escaped.
pub(super) struct Answers<'a>(pub(super) &'a mut Session);

type Answer<T> = Result<T, HostError>;

impl Answers<'_> {
    fn line(&mut self, said: &str) -> Answer<String> {
        Ok(self.0.line(said)?)
    }

    fn paragraph(&mut self, said: &str) -> Answer<String> {
        Ok(self.0.paragraph(said)?)
    }

    fn lines(&mut self, said: Vec<String>) -> Answer<Vec<String>> {
        listed(said)?.iter().map(|said| self.line(said)).collect()
    }

    fn pairs(&mut self, pairs: Vec<(String, String)>) -> Answer<Vec<(String, String)>> {
        listed(pairs)?
            .iter()
            .map(|(name, value)| Ok((self.line(name)?, self.paragraph(value)?)))
            .collect()
    }

    pub(super) fn findings(&mut self, findings: Vec<wit::types::Finding>) -> Answer<Vec<Finding>> {
        listed(findings)?
            .into_iter()
            .map(|it| {
                Ok(Finding {
                    id: self.line(&it.id)?,
                    severity: match it.severity {
                        wit::types::Severity::Info => Severity::Info,
                        wit::types::Severity::Warning => Severity::Warning,
                        wit::types::Severity::Blocker => Severity::Blocker,
                    },
                    subject: self.line(&it.subject)?,
                    what: self.paragraph(&it.what)?,
                    why: self.paragraph(&it.why)?,
                    remedy: self.paragraph(&it.remedy)?,
                    evidence: self.pairs(it.evidence)?,
                })
            })
            .collect()
    }

    /// What the plugin saw of a condition.
    pub(super) fn evaluated(&mut self, holds: bool, seen: &str, why: &str) -> Answer<Evaluated> {
        let seen = self
            .0
            .json(seen)
            .map_err(|error| broken(format!("what it saw of a condition: {}", told(&error))))?;
        Ok(Evaluated {
            holds,
            seen: seen.value(),
            why: self.line(why)?,
        })
    }

    pub(super) fn inventory(&mut self, it: wit::types::Inventory) -> Answer<Inventory> {
        Ok(Inventory {
            product: self.line(&it.product)?,
            version: it.version.map(|it| self.line(&it)).transpose()?,
            facts: listed(it.facts)?
                .into_iter()
                .map(|fact| {
                    let name = self.line(&fact.name)?;
                    let value = self
                        .0
                        .json(&fact.value)
                        .map_err(|error| broken(format!("the fact `{name}`: {}", told(&error))))?;
                    Ok(Fact { name, value })
                })
                .collect::<Answer<_>>()?,
        })
    }

    pub(super) fn descriptor(&mut self, it: exported::Descriptor) -> Answer<Descriptor> {
        Ok(Descriptor {
            product: self.line(&it.product)?,
            name: self.line(&it.name)?,
            version: self.line(&it.version)?,
            summary: self.line(&it.summary)?,
            edges: listed(it.edges)?
                .into_iter()
                .map(|edge| {
                    Ok(Edge {
                        from: self.line(&edge.from)?,
                        to: self.line(&edge.to)?,
                        note: self.line(&edge.note)?,
                    })
                })
                .collect::<Answer<_>>()?,
            requests: listed(it.requests)?
                .into_iter()
                .map(|request| self.request(request))
                .collect::<Answer<_>>()?,
            options: listed(it.options)?
                .into_iter()
                .map(|option| self.option(option))
                .collect::<Answer<_>>()?,
            findings: listed(it.findings)?
                .into_iter()
                .map(|finding| {
                    Ok(KnownFinding {
                        id: self.line(&finding.id)?,
                        means: self.paragraph(&finding.means)?,
                        remedy: self.paragraph(&finding.remedy)?,
                        source: self.paragraph(&finding.source)?,
                    })
                })
                .collect::<Answer<_>>()?,
            more: self.pairs(it.more)?,
        })
    }

    fn request(&mut self, it: exported::Request) -> Answer<Request> {
        Ok(Request {
            binding: self.line(&it.binding)?,
            need: match it.need {
                exported::Need::One => Need::One,
                exported::Need::Optional => Need::Optional,
                exported::Need::Many => Need::Many,
            },
            verbs: listed(it.verbs)?
                .into_iter()
                .map(|verb| {
                    Ok(VerbRequest {
                        verb: Verb::new(verb.verb)
                            .map_err(|error| broken(format!("a request: {error}")))?,
                        scope: self.lines(verb.scope)?,
                        except: self.lines(verb.except)?,
                        at_most: verb.at_most,
                        why: self.paragraph(&verb.why)?,
                    })
                })
                .collect::<Answer<_>>()?,
            why: self.paragraph(&it.why)?,
        })
    }

    fn option(&mut self, it: exported::OptionSpec) -> Answer<OptionSpec> {
        Ok(OptionSpec {
            name: self.line(&it.name)?,
            kind: match it.kind {
                exported::OptionKind::Text => OptionKind::Text,
                exported::OptionKind::Number => OptionKind::Number,
                exported::OptionKind::Flag => OptionKind::Flag,
                exported::OptionKind::Choice => OptionKind::Choice,
            },
            choices: self.lines(it.choices)?,
            default: it.default.map(|it| self.line(&it)).transpose()?,
            help: self.line(&it.help)?,
        })
    }
}

/// What the plugin answered cannot be used.
fn broken(text: String) -> HostError {
    HostError::Trap(ContractBroken(text).into())
}

fn told(error: &HostError) -> String {
    match error {
        HostError::Told(error) => error.to_string(),
        HostError::Trap(error) => error.to_string(),
    }
}

//! Changes as data: one typed effect on one binding.

use serde::{Deserialize, Serialize};

use crate::facts::cluster::{SettingScope, TemplateKind};
use crate::facts::traffic::Administrative;
use crate::read::{named_in_body, named_in_query};
use crate::sql::{LockPatience, Statement, Together};
use crate::{
    AliasName, BackendName, Binding, DocumentId, EndpointRequest, FileName, IndexName, Json,
    RUN_ID_PLACEHOLDER, RawRequest, ServerName, SnapshotName, StepId, TemplateName, Verb, path_of,
};

/// One action of an atomic alias update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AliasAction {
    /// Puts the alias on the index.
    Add {
        /// The index.
        index: IndexName,
        /// The alias.
        alias: AliasName,
        /// `is_write_index`.
        write: Option<bool>,
        /// Filter, routing and the like, where an undo puts an alias back that had them; the contract has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<Json>,
    },
    /// Takes it off.
    Remove {
        /// The index.
        index: IndexName,
        /// The alias.
        alias: AliasName,
    },
}

impl AliasAction {
    /// The index and the alias it names.
    pub fn names(&self) -> (&IndexName, &AliasName) {
        match self {
            Self::Add { index, alias, .. } | Self::Remove { index, alias } => (index, alias),
        }
    }
}

/// A script that the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// `painless`.
    pub lang: String,
    /// Its text.
    pub source: String,
    /// Its parameters.
    pub params: Option<Json>,
}

/// What becomes of a [`Change::Transform`] when a document is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRejected {
    /// It ends there.
    Stop,
    /// The document is kept aside and named, and it goes on.
    GoOn,
}

/// One edit of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hunk {
    /// Stands exactly once in the file.
    pub old: String,
    /// Takes its place.
    pub new: String,
}

/// One typed effect. The tag is its verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", deny_unknown_fields)]
pub enum Change {
    /// Makes an index.
    #[serde(rename = "cluster.create-index")]
    CreateIndex {
        /// The index.
        name: IndexName,
        /// Settings, mappings, aliases.
        body: Json,
    },
    /// Deletes the index that has this uuid.
    #[serde(rename = "cluster.delete-index")]
    DeleteIndex {
        /// The index.
        name: IndexName,
        /// The one that is meant.
        uuid: String,
    },
    /// Makes or replaces a template.
    #[serde(rename = "cluster.put-template")]
    PutTemplate {
        /// Its kind.
        kind: TemplateKind,
        /// Its name.
        name: TemplateName,
        /// All of it.
        body: Json,
    },
    /// Deletes a template.
    #[serde(rename = "cluster.delete-template")]
    DeleteTemplate {
        /// Its kind.
        kind: TemplateKind,
        /// Its name.
        name: TemplateName,
    },
    /// One atomic list of alias actions.
    #[serde(rename = "cluster.update-aliases")]
    UpdateAliases {
        /// In order.
        actions: Vec<AliasAction>,
    },
    /// Sets dynamic index settings.
    #[serde(rename = "cluster.put-settings")]
    PutSettings {
        /// The index.
        index: IndexName,
        /// Flat keys; null puts the default back.
        settings: Json,
    },
    /// Adds to a mapping.
    #[serde(rename = "cluster.put-mapping")]
    PutMapping {
        /// The index.
        index: IndexName,
        /// What is added.
        mapping: Json,
    },
    /// Copies documents into an index that this run made; ids are kept.
    #[serde(rename = "cluster.reindex")]
    Reindex {
        /// From.
        source: IndexName,
        /// To.
        destination: IndexName,
        /// Only these.
        query: Option<Json>,
        /// Changed on the way.
        script: Option<Script>,
        /// None: `auto`.
        slices: Option<u32>,
        /// None: unthrottled.
        requests_per_second: Option<u32>,
    },
    /// Changes the documents that match; done when none matches any more.
    #[serde(rename = "cluster.update-by-query")]
    UpdateByQuery {
        /// The index.
        index: IndexName,
        /// Must not match what is done.
        query: Json,
        /// What to do.
        script: Script,
    },
    /// Deletes the documents that match.
    #[serde(rename = "cluster.delete-by-query")]
    DeleteByQuery {
        /// The index.
        index: IndexName,
        /// Which.
        query: Json,
    },
    /// Makes a document; refuses to replace one.
    #[serde(rename = "cluster.create-document")]
    CreateDocument {
        /// The index.
        index: IndexName,
        /// Its id.
        id: DocumentId,
        /// Its source.
        document: Json,
    },
    /// Replaces a document that still contains what it is expected to.
    #[serde(rename = "cluster.replace-document")]
    ReplaceDocument {
        /// The index.
        index: IndexName,
        /// Its id.
        id: DocumentId,
        /// A subset of the stored one.
        while_it_contains: Json,
        /// The new source.
        document: Json,
    },
    /// Deletes a document that still contains what it is expected to.
    #[serde(rename = "cluster.delete-document")]
    DeleteDocument {
        /// The index.
        index: IndexName,
        /// Its id.
        id: DocumentId,
        /// A subset of the stored one.
        while_it_contains: Json,
    },
    /// Sets a persistent cluster setting; borrowed, given back at the end.
    #[serde(rename = "cluster.set-cluster-setting")]
    SetClusterSetting {
        /// Flat key.
        key: String,
        /// None: unset.
        value: Option<String>,
    },
    /// Cancels one task.
    #[serde(rename = "cluster.cancel-task")]
    CancelTask {
        /// `node:number`.
        id: String,
    },
    /// One request that no other kind covers; done when its own post-condition reads true.
    #[serde(rename = "cluster.raw-change")]
    RawChange(RawRequest),
    /// Registers the repository.
    #[serde(rename = "snapshot.register")]
    RegisterRepository {
        /// `fs`, `s3`, ...
        kind: String,
        /// As the server takes them.
        settings: Json,
    },
    /// Takes the repository off the cluster while it is registered like this; its snapshots stay where they lie.
    #[serde(rename = "snapshot.unregister")]
    UnregisterRepository {
        /// `fs`, `s3`, ...
        kind: String,
        /// A subset of its settings.
        settings: Json,
    },
    /// Takes a snapshot; patterns are resolved when it is taken.
    #[serde(rename = "snapshot.take")]
    TakeSnapshot {
        /// Its name gets run and attempt behind it.
        name: SnapshotName,
        /// Literals, or literals with one trailing `*`.
        indices: Vec<String>,
        /// Taken away from them.
        except: Vec<String>,
    },
    /// Restores on trial, compares, removes.
    #[serde(rename = "snapshot.prove")]
    ProveSnapshot {
        /// The step that took it.
        taken_by: StepId,
    },
    /// Restores indices.
    #[serde(rename = "snapshot.restore")]
    RestoreSnapshot {
        /// The step that took it.
        taken_by: StepId,
        /// Which.
        indices: Vec<IndexName>,
    },
    /// Deletes a snapshot.
    #[serde(rename = "snapshot.delete")]
    DeleteSnapshot {
        /// Its full name.
        name: SnapshotName,
    },
    /// Keeps a copy in the state directory.
    #[serde(rename = "disk.keep")]
    KeepFile {
        /// Names from the binding's directory down.
        dir: Vec<FileName>,
        /// The file.
        name: FileName,
    },
    /// Copies a file to where none is.
    #[serde(rename = "disk.copy")]
    CopyFile {
        /// Where it stands: names from that binding's directory down.
        from: Binding,
        /// Names from that binding's directory down.
        from_dir: Vec<FileName>,
        /// The file.
        name: FileName,
        /// Names from the step's binding down.
        dir: Vec<FileName>,
        /// The copy's name.
        as_name: FileName,
    },
    /// Writes a new file.
    #[serde(rename = "disk.write")]
    WriteFile {
        /// Names from the binding's directory down.
        dir: Vec<FileName>,
        /// The file.
        name: FileName,
        /// Its content.
        text: String,
    },
    /// Edits the file that has this hash.
    #[serde(rename = "disk.edit")]
    EditFile {
        /// Names from the binding's directory down.
        dir: Vec<FileName>,
        /// The file.
        name: FileName,
        /// Hexadecimal.
        sha256: String,
        /// In order.
        hunks: Vec<Hunk>,
    },
    /// Removes the file that has this hash.
    #[serde(rename = "disk.remove")]
    RemoveFile {
        /// Names from the binding's directory down.
        dir: Vec<FileName>,
        /// The file.
        name: FileName,
        /// Hexadecimal.
        sha256: String,
    },
    /// Stops the service and proves it.
    #[serde(rename = "service.stop")]
    StopService {},
    /// Starts it and waits until it is ready.
    #[serde(rename = "service.start")]
    StartService {},
    /// Stops and starts it.
    #[serde(rename = "service.restart")]
    RestartService {},
    /// Runs an operator-defined task.
    #[serde(rename = "service.run-task")]
    RunTask {
        /// Its name.
        name: String,
        /// Why it may be repeated after a crash.
        rerun_safe: Option<String>,
    },
    /// Asks the balancer for a server's administrative state.
    #[serde(rename = "traffic.set-state")]
    SetServerState {
        /// Its backend.
        backend: BackendName,
        /// The server.
        server: ServerName,
        /// The state.
        to: Administrative,
    },
    /// Sets a server's weight.
    #[serde(rename = "traffic.set-weight")]
    SetServerWeight {
        /// Its backend.
        backend: BackendName,
        /// The server.
        server: ServerName,
        /// Its share beside the others; 0: no new request.
        weight: u32,
    },
    /// Lets the link to the service's artifact name another directory, while the service is stopped.
    #[serde(rename = "service.switch-artifact")]
    SwitchArtifact {
        /// The directory, beneath the operator's directory of versions.
        to: FileName,
        /// Only while the link names this one; an undo says it, the contract does not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        while_it_is: Option<FileName>,
    },
    /// One request to a product's own API; done when its own post-condition reads true.
    #[serde(rename = "endpoint.request")]
    EndpointRequest(EndpointRequest),
    /// One statement, understood before it is sent.
    #[serde(rename = "database.execute")]
    Execute {
        /// What it does.
        statement: Statement,
        /// How long and how often it waits for a lock.
        waits: LockPatience,
    },
    /// Several statements in one transaction, with a marker of ours in it.
    #[serde(rename = "database.execute-together")]
    ExecuteTogether {
        /// In order.
        statements: Together,
        /// How long each waits for a lock, and how often all of it is tried.
        waits: LockPatience,
    },
    /// Ends one session that is still the one that was seen.
    #[serde(rename = "database.end-session")]
    EndSession {
        /// The server's number for it.
        id: u64,
        /// What it calls itself, as in [`crate::facts::database::Session`].
        application: String,
        /// What tells it from a later one of this number, as there.
        started: String,
    },
    /// Sets a transient cluster setting, which hides the persistent one; borrowed, given back at the end.
    #[serde(rename = "cluster.set-transient-setting")]
    SetTransientSetting {
        /// Flat key.
        key: String,
        /// None: unset.
        value: Option<String>,
    },
    /// Lets the shards of open indices write to disk what their logs alone hold; patterns are resolved when it is done.
    #[serde(rename = "cluster.flush")]
    Flush {
        /// Literals, or literals with one trailing `*`.
        indices: Vec<String>,
        /// Taken away from them.
        except: Vec<String>,
    },
    /// Removes settings of the cluster that the server has put aside because it does not know them; in both scopes.
    #[serde(rename = "cluster.remove-archived-settings")]
    RemoveArchivedSettings {
        /// Flat keys, each of which begins with [`ARCHIVED`].
        keys: Vec<String>,
    },
    /// Removes all settings of an index that the server has put aside.
    #[serde(rename = "cluster.remove-archived-index-settings")]
    RemoveArchivedIndexSettings {
        /// The index.
        index: IndexName,
        /// Flat keys, each of which begins with [`ARCHIVED`]: all that there are.
        keys: Vec<String>,
    },
    /// Sets settings of the cluster for good: they are not given back at the end.
    #[serde(rename = "cluster.put-cluster-settings")]
    PutClusterSettings {
        /// Where; never the defaults.
        scope: SettingScope,
        /// Flat keys; null puts the default back.
        settings: Json,
    },
    /// Restores into a cluster that has none of it what a step took in another one; patterns are resolved against what
    /// it took.
    #[serde(rename = "snapshot.restore-into")]
    RestoreInto {
        /// The step that took it, through another registration of the same store.
        taken_by: StepId,
        /// Literals, or literals with one trailing `*`.
        indices: Vec<String>,
        /// Taken away from them.
        except: Vec<String>,
        /// Replicas of each index; none: as many as it had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replicas: Option<u32>,
    },
    /// Copies documents into an index that this run made, each changed by the plugin on its way; ids are kept.
    #[serde(rename = "cluster.transform")]
    Transform {
        /// From.
        source: IndexName,
        /// To.
        destination: IndexName,
        /// Only these.
        query: Option<Json>,
        /// What the plugin calls it.
        name: String,
        /// A document that is not taken over.
        on_rejected: OnRejected,
    },
}

/// Keys of settings that are written flat.
fn keys(settings: &Json) -> Vec<String> {
    let settings = settings.value();
    settings
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}

/// What the server puts before the key of a setting that it does not know (any more) and keeps aside.
pub const ARCHIVED: &str = "archived.";

impl Change {
    /// Its verb.
    pub fn verb(&self) -> Verb {
        crate::rules::verb(match self {
            Self::CreateIndex { .. } => "cluster.create-index",
            Self::DeleteIndex { .. } => "cluster.delete-index",
            Self::PutTemplate { .. } => "cluster.put-template",
            Self::DeleteTemplate { .. } => "cluster.delete-template",
            Self::UpdateAliases { .. } => "cluster.update-aliases",
            Self::PutSettings { .. } => "cluster.put-settings",
            Self::PutMapping { .. } => "cluster.put-mapping",
            Self::Reindex { .. } => "cluster.reindex",
            Self::UpdateByQuery { .. } => "cluster.update-by-query",
            Self::DeleteByQuery { .. } => "cluster.delete-by-query",
            Self::CreateDocument { .. } => "cluster.create-document",
            Self::ReplaceDocument { .. } => "cluster.replace-document",
            Self::DeleteDocument { .. } => "cluster.delete-document",
            Self::SetClusterSetting { .. } => "cluster.set-cluster-setting",
            Self::CancelTask { .. } => "cluster.cancel-task",
            Self::RawChange(_) => "cluster.raw-change",
            Self::RegisterRepository { .. } => "snapshot.register",
            Self::UnregisterRepository { .. } => "snapshot.unregister",
            Self::TakeSnapshot { .. } => "snapshot.take",
            Self::ProveSnapshot { .. } => "snapshot.prove",
            Self::RestoreSnapshot { .. } => "snapshot.restore",
            Self::DeleteSnapshot { .. } => "snapshot.delete",
            Self::KeepFile { .. } => "disk.keep",
            Self::CopyFile { .. } => "disk.copy",
            Self::WriteFile { .. } => "disk.write",
            Self::EditFile { .. } => "disk.edit",
            Self::RemoveFile { .. } => "disk.remove",
            Self::StopService {} => "service.stop",
            Self::StartService {} => "service.start",
            Self::RestartService {} => "service.restart",
            Self::RunTask { .. } => "service.run-task",
            Self::SetServerState { .. } => "traffic.set-state",
            Self::SetServerWeight { .. } => "traffic.set-weight",
            Self::SwitchArtifact { .. } => "service.switch-artifact",
            Self::EndpointRequest(_) => "endpoint.request",
            Self::Execute { .. } => "database.execute",
            Self::ExecuteTogether { .. } => "database.execute-together",
            Self::EndSession { .. } => "database.end-session",
            Self::SetTransientSetting { .. } => "cluster.set-transient-setting",
            Self::Flush { .. } => "cluster.flush",
            Self::RemoveArchivedSettings { .. } => "cluster.remove-archived-settings",
            Self::RemoveArchivedIndexSettings { .. } => "cluster.remove-archived-index-settings",
            Self::PutClusterSettings { .. } => "cluster.put-cluster-settings",
            Self::RestoreInto { .. } => "snapshot.restore-into",
            Self::Transform { .. } => "cluster.transform",
        })
    }

    /// What it names, for the scope test. Empty: the verb alone decides.
    ///
    /// Also what stands inside its body: aliases, patterns of a template, indices that a query fetches documents
    /// from. A take, a flush or a restore into another cluster names its patterns; [`Change::except`] says what it leaves
    /// out.
    pub fn names(&self) -> Vec<String> {
        let path = |dir: &[FileName], name: &FileName| {
            let dir: Vec<String> = dir.iter().map(ToString::to_string).collect();
            path_of(&dir, name.as_str())
        };
        match self {
            Self::CreateIndex { name, body } => {
                let body = body.value();
                let mut names = vec![name.to_string()];
                names.extend(members(&body, "/aliases"));
                named_in_body(&body, &mut names);
                names
            }
            Self::PutTemplate { name, body, .. } => {
                let body = body.value();
                let mut names = vec![name.to_string()];
                names.extend(texts(body.get("index_patterns")));
                // As legacy templates had it before there were several.
                names.extend(texts(body.get("template")));
                names.extend(members(&body, "/aliases"));
                names.extend(members(&body, "/template/aliases"));
                names.extend(texts(body.get("composed_of")));
                named_in_body(&body, &mut names);
                names
            }
            Self::DeleteIndex { name, .. } => vec![name.to_string()],
            Self::DeleteTemplate { name, .. } => vec![name.to_string()],
            Self::UpdateAliases { actions } => actions
                .iter()
                .flat_map(|action| {
                    let (index, alias) = action.names();
                    let mut names = vec![index.to_string(), alias.to_string()];
                    if let AliasAction::Add {
                        more: Some(more), ..
                    } = action
                    {
                        names.extend(named_in_query(more));
                    }
                    names
                })
                .collect(),
            Self::UpdateByQuery { index, query, .. } | Self::DeleteByQuery { index, query } => {
                let mut names = vec![index.to_string()];
                names.extend(named_in_query(query));
                names
            }
            Self::PutMapping { index, mapping } => {
                let mut names = vec![index.to_string()];
                named_in_body(&mapping.value(), &mut names);
                names
            }
            Self::PutSettings { index, .. }
            | Self::CreateDocument { index, .. }
            | Self::ReplaceDocument { index, .. }
            | Self::DeleteDocument { index, .. } => vec![index.to_string()],
            Self::Reindex {
                source,
                destination,
                query,
                ..
            }
            | Self::Transform {
                source,
                destination,
                query,
                ..
            } => {
                let mut names = vec![source.to_string(), destination.to_string()];
                names.extend(query.iter().flat_map(named_in_query));
                names
            }
            Self::SetClusterSetting { key, .. } => vec![key.clone()],
            Self::RawChange(request) => {
                let mut names = vec![format!("{} {}", request.method(), request.path())];
                names.extend(request.body().iter().copied().flat_map(named_in_query));
                names
            }
            Self::TakeSnapshot { indices, .. } => indices.clone(),
            Self::RestoreSnapshot { indices, .. } => {
                indices.iter().map(ToString::to_string).collect()
            }
            Self::DeleteSnapshot { name } => vec![name.to_string()],
            Self::KeepFile { dir, name }
            | Self::WriteFile { dir, name, .. }
            | Self::EditFile { dir, name, .. }
            | Self::RemoveFile { dir, name, .. } => vec![path(dir, name)],
            Self::CopyFile { dir, as_name, .. } => vec![path(dir, as_name)],
            Self::RunTask { name, .. } => vec![name.clone()],
            Self::SwitchArtifact { to, .. } => vec![to.to_string()],
            Self::EndpointRequest(request) => {
                vec![format!("{} {}", request.method(), request.path())]
            }
            Self::Execute { statement, .. } => owned(statement.names()),
            Self::ExecuteTogether { statements, .. } => statements
                .statements()
                .iter()
                .flat_map(|statement| owned(statement.names()))
                .collect(),
            Self::EndSession { application, .. } => vec![application.clone()],
            Self::CancelTask { .. }
            | Self::RegisterRepository { .. }
            | Self::UnregisterRepository { .. }
            | Self::ProveSnapshot { .. }
            | Self::StopService {}
            | Self::StartService {}
            | Self::RestartService {} => Vec::new(),
            Self::SetServerState {
                backend, server, ..
            }
            | Self::SetServerWeight {
                backend, server, ..
            } => vec![format!("{backend}/{server}")],
            Self::SetTransientSetting { key, .. } => vec![key.clone()],
            Self::Flush { indices, .. } => indices.clone(),
            Self::RemoveArchivedSettings { keys } => keys.clone(),
            Self::RemoveArchivedIndexSettings { index, .. } => vec![index.to_string()],
            Self::PutClusterSettings { settings, .. } => keys(settings),
            Self::RestoreInto { indices, .. } => indices.clone(),
        }
    }

    /// What a pattern of it leaves out.
    pub fn except(&self) -> &[String] {
        match self {
            Self::TakeSnapshot { except, .. }
            | Self::Flush { except, .. }
            | Self::RestoreInto { except, .. } => except,
            _ => &[],
        }
    }

    /// The earlier step whose outcome it needs.
    pub fn refers_to(&self) -> Option<&StepId> {
        match self {
            Self::ProveSnapshot { taken_by }
            | Self::RestoreSnapshot { taken_by, .. }
            | Self::RestoreInto { taken_by, .. } => Some(taken_by),
            _ => None,
        }
    }

    /// Its post-condition goes on to hold by itself, so that a resume can read it again. A trial restore
    /// removes its copies, a task and a restart are over, and documents that match a query can come back. What a
    /// product answers moves by itself too, and the node that was asked may be one that is stopped by now. A copy of a
    /// shard that was built since a flush has written nothing yet.
    pub fn lasts(&self) -> bool {
        !matches!(
            self,
            Self::ProveSnapshot { .. }
                | Self::RunTask { .. }
                | Self::RestartService {}
                | Self::UpdateByQuery { .. }
                | Self::DeleteByQuery { .. }
                | Self::CancelTask { .. }
                | Self::EndpointRequest(_)
                | Self::EndSession { .. }
                | Self::Flush { .. }
        )
    }

    /// The document or body that a fill can point into.
    pub fn fillable(&mut self) -> Option<&mut Json> {
        match self {
            Self::CreateIndex { body, .. } | Self::PutTemplate { body, .. } => Some(body),
            Self::CreateDocument { document, .. } | Self::ReplaceDocument { document, .. } => {
                Some(document)
            }
            Self::RawChange(request) => request.body_mut(),
            Self::EndpointRequest(request) => request.body_mut(),
            _ => None,
        }
    }
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Keys of the object at this pointer.
fn members(value: &serde_json::Value, pointer: &str) -> Vec<String> {
    let object = value
        .pointer(pointer)
        .and_then(serde_json::Value::as_object);
    object
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect()
}

/// The texts of a list, or the one text.
fn texts(value: Option<&serde_json::Value>) -> Vec<String> {
    match value {
        Some(serde_json::Value::Array(elements)) => elements
            .iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect(),
        Some(serde_json::Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// A value that exists only when a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FillValue {
    /// ISO-8601, UTC, milliseconds.
    Now,
    /// The run's id.
    RunId,
}

/// Where the host puts such a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fill {
    /// A JSON pointer to a member of an object.
    pub pointer: String,
    /// What goes there.
    pub value: FillValue,
}

/// A change with its binding and what is filled in when it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Where.
    pub binding: Binding,
    /// What.
    pub change: Change,
    /// Filled in when it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fills: Vec<Fill>,
}

/// A fill that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot fill `{pointer}`: {why}")]
pub struct FillError {
    /// Where.
    pub pointer: String,
    /// Why not.
    pub why: &'static str,
}

impl Planned {
    /// The change as it is sent: with its values filled in.
    pub fn filled(&self, now: &str, run: &str) -> Result<Change, FillError> {
        let mut change = self.change.clone();
        for fill in &self.fills {
            let error = |why| FillError {
                pointer: fill.pointer.clone(),
                why,
            };
            let json = change
                .fillable()
                .ok_or_else(|| error("this change has no document"))?;
            let mut value = json.value();
            let (parent, key) = fill
                .pointer
                .rsplit_once('/')
                .ok_or_else(|| error("it is no JSON pointer"))?;
            let object = value
                .pointer_mut(parent)
                .and_then(serde_json::Value::as_object_mut)
                .ok_or_else(|| error("its parent is no object"))?;
            let text = match fill.value {
                FillValue::Now => now,
                FillValue::RunId => run,
            };
            object.insert(key.replace("~1", "/").replace("~0", "~"), text.into());
            *json = Json::of(&value);
        }
        if let Change::EndpointRequest(request) = &mut change {
            *request = request.filled(run).map_err(|error| FillError {
                pointer: RUN_ID_PLACEHOLDER.into(),
                why: error.why,
            })?;
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_goes_where_its_pointer_says() {
        let planned = Planned {
            binding: Binding::new("cluster.database").unwrap(),
            change: Change::CreateDocument {
                index: IndexName::new("log").unwrap(),
                id: DocumentId::new("1").unwrap(),
                document: Json::new(r#"{"b":1,"a":{}}"#).unwrap(),
            },
            fills: vec![
                Fill {
                    pointer: "/at".into(),
                    value: FillValue::Now,
                },
                Fill {
                    pointer: "/a/run".into(),
                    value: FillValue::RunId,
                },
            ],
        };
        let Change::CreateDocument { document, .. } = planned.filled("T", "r").unwrap() else {
            panic!("another change")
        };
        assert_eq!(document.as_str(), r#"{"b":1,"a":{"run":"r"},"at":"T"}"#);
    }

    #[test]
    fn a_change_reads_back_as_it_was_written() {
        let change = Change::DeleteIndex {
            name: IndexName::new("a").unwrap(),
            uuid: "u".into(),
        };
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(
            text,
            r#"{"verb":"cluster.delete-index","name":"a","uuid":"u"}"#
        );
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
        assert!(
            serde_json::from_str::<Change>(
                r#"{"verb":"cluster.delete-index","name":"a*","uuid":"u"}"#
            )
            .is_err()
        );
        assert!(
            serde_json::from_str::<Change>(
                r#"{"verb":"cluster.delete-index","name":"a","uuid":"u","x":1}"#
            )
            .is_err()
        );
        assert_eq!(change.verb().as_str(), "cluster.delete-index");
    }
}

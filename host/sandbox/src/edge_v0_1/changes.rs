//! The inert constructors of changes, conditions and readings.
//!
//! A name is parsed to a type that means one thing, JSON to its canonical form, then the grant is asked: so the
//! author learns at this very line what is wrong, or what the operator would have to allow.

use liftlock_types::facts::cluster::SettingScope;
use liftlock_types::{
    ARCHIVED, AliasAction, AliasName, Change, Condition, DocumentId, DoneWhen, FileName, Hunk,
    IndexName, Json, Method, OnRejected, Planned, Predicate, RawRequest, Read, Reading,
    RequestPath, Script, SnapshotName, StepId, TemplateName,
};
use wasmtime::component::Resource;

use super::cluster::optional;
use super::wit::{self, cluster_changes, disk_changes, service_changes, snapshot_changes};
use super::{Cluster, Directory, Repository, Service, convert, invalid};
use crate::plugin::State;
use crate::session::{HostError, listed, texts};

/// Longest name of a task, command, setting or task id.
const PLAIN_NAME_BYTES_MAX: usize = 255;

/// Most bytes of a new file, as the contract says.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Most patterns of one flush: together they are one part of a path, of which the servers take 4,096 bytes.
const FLUSH_PATTERNS_MAX: usize = 100;

/// Most patterns of one restore into another cluster.
const RESTORE_PATTERNS_MAX: usize = 100;

/// Most replicas that a restore asks for: more than any cluster has nodes to put them on.
const REPLICAS_MAX: u32 = 100;

/// Most settings of the cluster that one change sets.
const CLUSTER_SETTINGS_MAX: usize = 1_000;
/// Most archived settings that one change removes.
const ARCHIVED_KEYS_MAX: usize = 1_000;

pub(super) type Answer<T> = Result<Resource<T>, HostError>;

impl State {
    /// A change on a binding, when the grant allows it.
    pub(super) fn propose(
        &mut self,
        binding: liftlock_types::Binding,
        change: Change,
    ) -> Answer<Planned> {
        let planned = self.session.propose(Planned {
            binding,
            change,
            fills: Vec::new(),
        })?;
        Ok(self.table.push(planned)?)
    }

    pub(super) fn wait_for(
        &mut self,
        binding: &liftlock_types::Binding,
        predicate: Predicate,
    ) -> Answer<Condition> {
        let condition = self.session.condition(binding, predicate)?;
        Ok(self.table.push(condition)?)
    }

    pub(super) fn look_at(
        &mut self,
        binding: &liftlock_types::Binding,
        read: Read,
    ) -> Answer<Reading> {
        let reading = self.session.reading(binding, read)?;
        Ok(self.table.push(reading)?)
    }
}

impl cluster_changes::Host for State {
    async fn create_index(
        &mut self,
        on: Resource<Cluster>,
        name: String,
        body: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let name = IndexName::new(name)?;
        let body = object("body", &body)?;
        self.propose(binding, Change::CreateIndex { name, body })
    }

    async fn delete_index(
        &mut self,
        on: Resource<Cluster>,
        name: String,
        uuid: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let name = IndexName::new(name)?;
        let uuid = plain_name("uuid", uuid)?;
        self.propose(binding, Change::DeleteIndex { name, uuid })
    }

    async fn put_template(
        &mut self,
        on: Resource<Cluster>,
        kind: wit::cluster::TemplateKind,
        name: String,
        body: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let kind = convert::template_kind(kind);
        let name = TemplateName::new(name)?;
        let body = object("body", &body)?;
        self.propose(binding, Change::PutTemplate { kind, name, body })
    }

    async fn delete_template(
        &mut self,
        on: Resource<Cluster>,
        kind: wit::cluster::TemplateKind,
        name: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let kind = convert::template_kind(kind);
        let name = TemplateName::new(name)?;
        self.propose(binding, Change::DeleteTemplate { kind, name })
    }

    async fn update_aliases(
        &mut self,
        on: Resource<Cluster>,
        actions: Vec<cluster_changes::AliasAction>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        if actions.is_empty() || actions.len() > ALIAS_ACTIONS_MAX {
            return Err(invalid(format!("1 to {ALIAS_ACTIONS_MAX} alias actions")));
        }
        let actions = actions
            .into_iter()
            .map(|action| {
                Ok(match action {
                    cluster_changes::AliasAction::Add((index, alias, write)) => AliasAction::Add {
                        index: IndexName::new(index)?,
                        alias: AliasName::new(alias)?,
                        write,
                        more: None,
                    },
                    cluster_changes::AliasAction::Remove((index, alias)) => AliasAction::Remove {
                        index: IndexName::new(index)?,
                        alias: AliasName::new(alias)?,
                    },
                })
            })
            .collect::<Result<_, HostError>>()?;
        self.propose(binding, Change::UpdateAliases { actions })
    }

    async fn put_settings(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        settings: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let index = IndexName::new(index)?;
        let settings = flat(&settings)?;
        self.propose(binding, Change::PutSettings { index, settings })
    }

    async fn put_mapping(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        mapping: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let index = IndexName::new(index)?;
        let mapping = object("mapping", &mapping)?;
        self.propose(binding, Change::PutMapping { index, mapping })
    }

    async fn reindex(
        &mut self,
        on: Resource<Cluster>,
        what: cluster_changes::Reindexing,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let change = Change::Reindex {
            source: IndexName::new(what.source)?,
            destination: IndexName::new(what.destination)?,
            query: what.query.map(|text| object("query", &text)).transpose()?,
            script: what.script.map(script).transpose()?,
            slices: what.slices,
            requests_per_second: what.requests_per_second,
        };
        if let Change::Reindex {
            source,
            destination,
            slices,
            requests_per_second,
            ..
        } = &change
        {
            if source == destination {
                return Err(invalid(format!(
                    "`{source}` cannot be reindexed into itself"
                )));
            }
            if *slices == Some(0) || *requests_per_second == Some(0) {
                return Err(invalid("slices and requests per second are at least 1"));
            }
        }
        self.propose(binding, change)
    }

    async fn transform(
        &mut self,
        on: Resource<Cluster>,
        what: cluster_changes::Transforming,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let source = IndexName::new(what.source)?;
        let destination = IndexName::new(what.destination)?;
        if source == destination {
            return Err(invalid(format!(
                "`{source}` cannot be transformed into itself"
            )));
        }
        let change = Change::Transform {
            source,
            destination,
            query: what.query.map(|text| object("query", &text)).transpose()?,
            name: plain_name("transformation", what.name)?,
            on_rejected: match what.on_rejected {
                cluster_changes::OnRejected::Stop => OnRejected::Stop,
                cluster_changes::OnRejected::GoOn => OnRejected::GoOn,
            },
        };
        self.propose(binding, change)
    }

    async fn update_by_query(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        query: String,
        what: cluster_changes::Script,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let change = Change::UpdateByQuery {
            index: IndexName::new(index)?,
            query: object("query", &query)?,
            script: script(what)?,
        };
        self.propose(binding, change)
    }

    async fn delete_by_query(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        query: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let index = IndexName::new(index)?;
        let query = object("query", &query)?;
        self.propose(binding, Change::DeleteByQuery { index, query })
    }

    async fn create_document(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        id: String,
        document: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let change = Change::CreateDocument {
            index: IndexName::new(index)?,
            id: DocumentId::new(id)?,
            document: object("document", &document)?,
        };
        self.propose(binding, change)
    }

    async fn replace_document(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        id: String,
        while_it_contains: String,
        document: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let change = Change::ReplaceDocument {
            index: IndexName::new(index)?,
            id: DocumentId::new(id)?,
            while_it_contains: object("while-it-contains", &while_it_contains)?,
            document: object("document", &document)?,
        };
        self.propose(binding, change)
    }

    async fn delete_document(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        id: String,
        while_it_contains: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let change = Change::DeleteDocument {
            index: IndexName::new(index)?,
            id: DocumentId::new(id)?,
            while_it_contains: object("while-it-contains", &while_it_contains)?,
        };
        self.propose(binding, change)
    }

    async fn set_cluster_setting(
        &mut self,
        on: Resource<Cluster>,
        key: String,
        value: Option<String>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let key = plain_name("setting", key)?;
        self.propose(binding, Change::SetClusterSetting { key, value })
    }

    async fn cancel_task(&mut self, on: Resource<Cluster>, id: String) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let is_task = id.split_once(':').is_some_and(|(node, number)| {
            is_plain(node) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
        if !is_task {
            return Err(invalid(format!(
                "`{}` is no task id: it is `node:number`",
                id.escape_debug()
            )));
        }
        self.propose(binding, Change::CancelTask { id })
    }

    async fn request(
        &mut self,
        on: Resource<Cluster>,
        what: cluster_changes::RawRequest,
        done_when: Resource<Condition>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let condition = self.table.delete(done_when)?;
        if condition.binding != binding {
            return Err(invalid(format!(
                "its post-condition is read on `{}`, it is sent to `{binding}`",
                condition.binding
            )));
        }
        let method = match what.method {
            cluster_changes::Method::Put => Method::Put,
            cluster_changes::Method::Post => Method::Post,
            cluster_changes::Method::Delete => Method::Delete,
        };
        let touches = listed(what.touches)?
            .into_iter()
            .map(AliasName::new)
            .collect::<Result<_, _>>()?;
        let done_when = DoneWhen {
            predicate: condition.predicate,
            negated: condition.negated,
        };
        let request = RawRequest::new(
            method,
            RequestPath::new(what.path)?,
            listed(what.query)?,
            optional(what.body)?,
            touches,
            done_when,
        )?;
        self.propose(binding, Change::RawChange(request))
    }

    async fn index_exists(&mut self, on: Resource<Cluster>, name: String) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        let name = IndexName::new(name)?.into();
        self.wait_for(&binding, Predicate::IndexExists { name })
    }

    async fn template_exists(
        &mut self,
        on: Resource<Cluster>,
        kind: wit::cluster::TemplateKind,
        name: String,
    ) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        let kind = convert::template_kind(kind);
        let name = TemplateName::new(name)?.into();
        self.wait_for(&binding, Predicate::TemplateExists { kind, name })
    }

    async fn healthy(&mut self, on: Resource<Cluster>, at_least: String) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        if !matches!(at_least.as_str(), "yellow" | "green") {
            return Err(invalid(format!(
                "health is at least `yellow` or `green`, not `{}`",
                at_least.escape_debug()
            )));
        }
        self.wait_for(&binding, Predicate::Healthy { at_least })
    }

    async fn count_is(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        query: Option<String>,
        count: u64,
    ) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        let predicate = Predicate::CountIs {
            index: AliasName::new(index)?.into(),
            query: optional(query)?,
            count,
        };
        self.wait_for(&binding, predicate)
    }

    async fn document_contains(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        id: String,
        subset: String,
    ) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        let predicate = Predicate::DocumentContains {
            index: AliasName::new(index)?.into(),
            id: DocumentId::new(id)?.into(),
            subset: object("subset", &subset)?,
        };
        self.wait_for(&binding, predicate)
    }

    async fn answer_contains(
        &mut self,
        on: Resource<Cluster>,
        path: String,
        query: Vec<(String, String)>,
        subset: String,
    ) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        let predicate = Predicate::AnswerContains {
            path,
            query: listed(query)?,
            subset: object("subset", &subset)?,
        };
        self.wait_for(&binding, predicate)
    }

    async fn quiet(&mut self, on: Resource<Cluster>, indices: Vec<String>) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        self.wait_for(&binding, Predicate::Quiet { indices })
    }

    async fn no_task(&mut self, on: Resource<Cluster>, actions: Vec<String>) -> Answer<Condition> {
        let binding = self.cluster(&on)?;
        if actions.is_empty() {
            return Err(invalid("at least one action is named"));
        }
        self.wait_for(&binding, Predicate::NoTask { actions })
    }

    async fn read_count(&mut self, on: Resource<Cluster>, index: String) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let index = AliasName::new(index)?.into();
        self.look_at(&binding, Read::Count { index, query: None })
    }

    async fn read_checksum(&mut self, on: Resource<Cluster>, index: String) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let index = IndexName::new(index)?.into();
        self.look_at(&binding, Read::Checksum { index })
    }

    async fn read_indices(&mut self, on: Resource<Cluster>, pattern: String) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        self.look_at(&binding, Read::Indices { pattern })
    }

    async fn read_aliases(&mut self, on: Resource<Cluster>, pattern: String) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        self.look_at(&binding, Read::Aliases { pattern })
    }

    async fn read_templates(
        &mut self,
        on: Resource<Cluster>,
        kind: wit::cluster::TemplateKind,
        pattern: String,
    ) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let kind = convert::template_kind(kind);
        self.look_at(&binding, Read::Templates { kind, pattern })
    }

    async fn read_mappings(&mut self, on: Resource<Cluster>, index: String) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let index = IndexName::new(index)?.into();
        self.look_at(&binding, Read::Mappings { index })
    }

    async fn read_settings(&mut self, on: Resource<Cluster>, index: String) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let index = IndexName::new(index)?.into();
        self.look_at(&binding, Read::IndexSettings { index })
    }

    async fn read_cluster_settings(
        &mut self,
        on: Resource<Cluster>,
        scope: wit::cluster::Scope,
    ) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let scope = convert::setting_scope(scope);
        self.look_at(&binding, Read::ClusterSettings { scope })
    }

    async fn read_document(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        id: String,
    ) -> Answer<Reading> {
        let binding = self.cluster(&on)?;
        let index = AliasName::new(index)?.into();
        let id = DocumentId::new(id)?.into();
        self.look_at(&binding, Read::Document { index, id })
    }

    async fn set_transient_setting(
        &mut self,
        on: Resource<Cluster>,
        key: String,
        value: Option<String>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let key = plain_name("setting", key)?;
        self.propose(binding, Change::SetTransientSetting { key, value })
    }

    async fn flush(
        &mut self,
        on: Resource<Cluster>,
        indices: Vec<String>,
        except: Vec<String>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        if indices.is_empty() || indices.len() > FLUSH_PATTERNS_MAX {
            return Err(invalid(format!(
                "a flush names 1 to {FLUSH_PATTERNS_MAX} indices or patterns"
            )));
        }
        let change = Change::Flush {
            indices: patterns(indices)?,
            except: patterns(except)?,
        };
        self.propose(binding, change)
    }

    async fn remove_archived_settings(
        &mut self,
        on: Resource<Cluster>,
        keys: Vec<String>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let keys = archived(keys)?;
        self.propose(binding, Change::RemoveArchivedSettings { keys })
    }

    async fn remove_archived_index_settings(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        keys: Vec<String>,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let change = Change::RemoveArchivedIndexSettings {
            index: IndexName::new(index)?,
            keys: archived(keys)?,
        };
        self.propose(binding, change)
    }

    async fn put_cluster_settings(
        &mut self,
        on: Resource<Cluster>,
        scope: wit::cluster::Scope,
        settings: String,
    ) -> Answer<Planned> {
        let binding = self.cluster(&on)?;
        let scope = convert::setting_scope(scope);
        if scope == SettingScope::Defaults {
            return Err(invalid(
                "defaults cannot be set: name `persistent` or `transient`",
            ));
        }
        let settings = flat(&settings)?;
        let keys = settings.value().as_object().map_or(0, serde_json::Map::len);
        if keys == 0 || keys > CLUSTER_SETTINGS_MAX {
            return Err(invalid(format!("set 1 to {CLUSTER_SETTINGS_MAX} settings")));
        }
        self.propose(binding, Change::PutClusterSettings { scope, settings })
    }
}

impl snapshot_changes::Host for State {
    async fn register(
        &mut self,
        on: Resource<Repository>,
        kind: String,
        settings: String,
    ) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        let kind = plain_name("repository kind", kind)?;
        let settings = object("settings", &settings)?;
        self.propose(binding, Change::RegisterRepository { kind, settings })
    }

    async fn unregister(
        &mut self,
        on: Resource<Repository>,
        kind: String,
        settings: String,
    ) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        let kind = plain_name("repository kind", kind)?;
        let settings = object("settings", &settings)?;
        self.propose(binding, Change::UnregisterRepository { kind, settings })
    }

    async fn take(
        &mut self,
        on: Resource<Repository>,
        name: String,
        indices: Vec<String>,
        except: Vec<String>,
    ) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        if indices.is_empty() {
            return Err(invalid("a snapshot names at least one index or pattern"));
        }
        let change = Change::TakeSnapshot {
            name: SnapshotName::new(name)?,
            indices: patterns(indices)?,
            except: patterns(except)?,
        };
        self.propose(binding, change)
    }

    async fn prove(&mut self, on: Resource<Repository>, taken_by: String) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        let taken_by = StepId::new(taken_by)?;
        self.propose(binding, Change::ProveSnapshot { taken_by })
    }

    async fn restore(
        &mut self,
        on: Resource<Repository>,
        taken_by: String,
        indices: Vec<String>,
    ) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        if indices.is_empty() {
            return Err(invalid("a restore names at least one index"));
        }
        let change = Change::RestoreSnapshot {
            taken_by: StepId::new(taken_by)?,
            indices: listed(indices)?
                .into_iter()
                .map(IndexName::new)
                .collect::<Result<_, _>>()?,
        };
        self.propose(binding, change)
    }

    async fn delete(&mut self, on: Resource<Repository>, name: String) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        let name = SnapshotName::new(name)?;
        self.propose(binding, Change::DeleteSnapshot { name })
    }

    async fn none_running(&mut self, on: Resource<Repository>) -> Answer<Condition> {
        let binding = self.repository(&on)?;
        self.wait_for(&binding, Predicate::NoneRunning)
    }

    async fn restore_into(
        &mut self,
        on: Resource<Repository>,
        taken_by: String,
        indices: Vec<String>,
        except: Vec<String>,
        replicas: Option<u32>,
    ) -> Answer<Planned> {
        let binding = self.repository(&on)?;
        if indices.is_empty() || indices.len() > RESTORE_PATTERNS_MAX {
            return Err(invalid(format!(
                "a restore into another cluster names 1 to {RESTORE_PATTERNS_MAX} indices or patterns"
            )));
        }
        if replicas.is_some_and(|replicas| replicas > REPLICAS_MAX) {
            return Err(invalid(format!(
                "an index has at most {REPLICAS_MAX} replicas"
            )));
        }
        let change = Change::RestoreInto {
            taken_by: StepId::new(taken_by)?,
            indices: patterns(indices)?,
            except: patterns(except)?,
            replicas,
        };
        self.propose(binding, change)
    }
}

impl disk_changes::Host for State {
    async fn keep(&mut self, on: Resource<Directory>, name: String) -> Answer<Planned> {
        let (binding, dir) = self.directory(&on)?;
        let name = FileName::new(name)?;
        self.propose(binding, Change::KeepFile { dir, name })
    }

    async fn copy(
        &mut self,
        from: Resource<Directory>,
        name: String,
        to: Resource<Directory>,
        as_name: String,
    ) -> Answer<Planned> {
        let (from, from_dir) = self.directory(&from)?;
        let to = self.table.get(&to)?;
        let (binding, dir) = (to.binding.clone(), to.dir.clone());
        let change = Change::CopyFile {
            from,
            from_dir,
            name: FileName::new(name)?,
            dir,
            as_name: FileName::new(as_name)?,
        };
        self.propose(binding, change)
    }

    async fn write(
        &mut self,
        on: Resource<Directory>,
        name: String,
        text: String,
    ) -> Answer<Planned> {
        let (binding, dir) = self.directory(&on)?;
        let name = FileName::new(name)?;
        if text.len() > FILE_BYTES_MAX {
            return Err(invalid(format!(
                "a new file of {} bytes, at most {FILE_BYTES_MAX} are written",
                text.len()
            )));
        }
        self.propose(binding, Change::WriteFile { dir, name, text })
    }

    async fn edit(
        &mut self,
        on: Resource<Directory>,
        name: String,
        sha256: String,
        hunks: Vec<disk_changes::Hunk>,
    ) -> Answer<Planned> {
        let (binding, dir) = self.directory(&on)?;
        let hunks: Vec<Hunk> = listed(hunks)?
            .into_iter()
            .map(|hunk| Hunk {
                old: hunk.old,
                new: hunk.new,
            })
            .collect();
        if hunks.is_empty() || hunks.iter().any(|hunk| hunk.old.is_empty()) {
            return Err(invalid(
                "an edit has at least one hunk, each with a text that stands in the file",
            ));
        }
        let change = Change::EditFile {
            dir,
            name: FileName::new(name)?,
            sha256: sha256_hex(sha256)?,
            hunks,
        };
        self.propose(binding, change)
    }

    async fn remove(
        &mut self,
        on: Resource<Directory>,
        name: String,
        sha256: String,
    ) -> Answer<Planned> {
        let (binding, dir) = self.directory(&on)?;
        let change = Change::RemoveFile {
            dir,
            name: FileName::new(name)?,
            sha256: sha256_hex(sha256)?,
        };
        self.propose(binding, change)
    }

    async fn file_has(
        &mut self,
        on: Resource<Directory>,
        name: String,
        sha256: String,
    ) -> Answer<Condition> {
        let (binding, dir) = self.directory(&on)?;
        let predicate = Predicate::FileHas {
            dir: texts(&dir),
            name: FileName::new(name)?.into(),
            sha256: sha256_hex(sha256)?,
        };
        self.wait_for(&binding, predicate)
    }

    async fn free_at_least(&mut self, on: Resource<Directory>, bytes: u64) -> Answer<Condition> {
        let (binding, dir) = self.directory(&on)?;
        let dir = texts(&dir);
        self.wait_for(&binding, Predicate::FreeAtLeast { dir, bytes })
    }

    async fn read_sha256(&mut self, on: Resource<Directory>, name: String) -> Answer<Reading> {
        let (binding, dir) = self.directory(&on)?;
        let read = Read::FileSha256 {
            dir: texts(&dir),
            name: FileName::new(name)?.into(),
        };
        self.look_at(&binding, read)
    }
}

impl service_changes::Host for State {
    async fn stop(&mut self, on: Resource<Service>) -> Answer<Planned> {
        let binding = self.service(&on)?;
        self.propose(binding, Change::StopService {})
    }

    async fn start(&mut self, on: Resource<Service>) -> Answer<Planned> {
        let binding = self.service(&on)?;
        self.propose(binding, Change::StartService {})
    }

    async fn restart(&mut self, on: Resource<Service>) -> Answer<Planned> {
        let binding = self.service(&on)?;
        self.propose(binding, Change::RestartService {})
    }

    async fn run_task(
        &mut self,
        on: Resource<Service>,
        name: String,
        rerun_safe: Option<String>,
    ) -> Answer<Planned> {
        let binding = self.service(&on)?;
        let name = plain_name("task", name)?;
        let rerun_safe = rerun_safe
            .map(|why| self.session.paragraph(&why))
            .transpose()?;
        self.propose(binding, Change::RunTask { name, rerun_safe })
    }

    async fn stopped(&mut self, on: Resource<Service>) -> Answer<Condition> {
        let binding = self.service(&on)?;
        self.wait_for(&binding, Predicate::Stopped)
    }

    async fn ready(&mut self, on: Resource<Service>) -> Answer<Condition> {
        let binding = self.service(&on)?;
        self.wait_for(&binding, Predicate::Ready)
    }

    async fn switch_artifact(&mut self, on: Resource<Service>, to: String) -> Answer<Planned> {
        let binding = self.service(&on)?;
        let change = Change::SwitchArtifact {
            to: FileName::new(to)?,
            while_it_is: None,
        };
        self.propose(binding, change)
    }
}

/// Most actions of one atomic alias update, as the contract says.
const ALIAS_ACTIONS_MAX: usize = 1_000;

/// A JSON object.
fn object(what: &str, text: &str) -> Result<Json, HostError> {
    let json = Json::new(text)?;
    if !json.as_str().starts_with('{') {
        return Err(invalid(format!("{what} is no JSON object")));
    }
    Ok(json)
}

/// Flat settings: an object whose keys name one setting each, with no object in it. Servers take a `*` in a key
/// together with null as "reset all of these", which no plan could show.
fn flat(text: &str) -> Result<Json, HostError> {
    let json = object("settings", text)?;
    let value = json.value();
    for (key, value) in value.as_object().into_iter().flatten() {
        if !is_plain(key) {
            return Err(invalid(format!(
                "`{}` is no key of one setting",
                key.escape_debug()
            )));
        }
        if value.is_object() {
            return Err(invalid(format!(
                "settings have flat keys, `{key}` is an object"
            )));
        }
    }
    Ok(json)
}

fn script(script: cluster_changes::Script) -> Result<Script, HostError> {
    Ok(Script {
        lang: plain_name("script language", script.lang)?,
        source: script.source,
        params: optional(script.params)?,
    })
}

/// Literals, or literals with one trailing `*`; the grant tests what they reach.
fn patterns(texts: Vec<String>) -> Result<Vec<String>, HostError> {
    listed(texts)?
        .into_iter()
        .map(|text| Ok(liftlock_types::Scope::new(text)?.into()))
        .collect()
}

/// Keys of settings that the server has put aside.
fn archived(keys: Vec<String>) -> Result<Vec<String>, HostError> {
    if keys.is_empty() || keys.len() > ARCHIVED_KEYS_MAX {
        return Err(invalid(format!("name 1 to {ARCHIVED_KEYS_MAX} keys")));
    }
    keys.into_iter()
        .map(|key| {
            let key = plain_name("setting", key)?;
            if !key.starts_with(ARCHIVED) {
                return Err(invalid(format!("`{key}` does not begin with `{ARCHIVED}`")));
            }
            Ok(key)
        })
        .collect()
}

fn sha256_hex(text: String) -> Result<String, HostError> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 64 || !text.bytes().all(is_hex) {
        return Err(invalid("a hash has 64 lower-case hexadecimal digits"));
    }
    Ok(text)
}

fn is_plain(text: &str) -> bool {
    (1..=PLAIN_NAME_BYTES_MAX).contains(&text.len())
        && !text.contains("..")
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// A name that stands for one thing wherever it is put: no wildcard, separator or space.
pub(super) fn plain_name(what: &str, text: String) -> Result<String, HostError> {
    if !is_plain(&text) {
        return Err(invalid(format!(
            "`{}` is no {what}: letters, digits, `_`, `-` and `.`, at most {PLAIN_NAME_BYTES_MAX}",
            crate::text::one_line(crate::text::beginning(&text, PLAIN_NAME_BYTES_MAX))
        )));
    }
    Ok(text)
}

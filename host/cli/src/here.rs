//! What a scope can match on this site: the names that are there now.

use std::collections::BTreeMap;

use liftlock_gate::Bindings;
use liftlock_types::facts::cluster::TemplateKind;
use liftlock_types::facts::service::Artifact;
use liftlock_types::facts::traffic::Server;
use liftlock_types::{Binding, Capability, Read};
use serde_json::Value;

use crate::site::Site;

/// Names of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// All that are there.
    pub(crate) names: Vec<String>,
    /// `index`.
    pub(crate) one: &'static str,
    /// `indices`.
    pub(crate) many: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Indices,
    Templates,
    Files,
    Tasks,
    Servers,
    Versions,
    Tables,
}

/// The names on each binding.
#[derive(Debug, Default)]
pub(crate) struct Here {
    found: BTreeMap<(Binding, Kind), Names>,
    clusters: BTreeMap<Binding, Binding>,
}

impl Here {
    /// Looks. What cannot be read is left out: the prompt then says nothing of how much matches.
    pub(crate) async fn look(site: &Site, bindings: &Bindings) -> Self {
        let mut here = Self {
            clusters: site
                .snapshots
                .iter()
                .map(|(binding, config)| (binding.clone(), config.cluster.clone()))
                .collect(),
            ..Self::default()
        };
        for (binding, capability) in bindings {
            let capability = capability.as_ref();
            match binding.capability() {
                "cluster" => {
                    let indices = Read::Indices {
                        pattern: "*".into(),
                    };
                    here.put(
                        binding,
                        Kind::Indices,
                        names(capability, &indices).await,
                        ("index", "indices"),
                    );
                    let mut all = Some(Vec::new());
                    for kind in [
                        TemplateKind::Legacy,
                        TemplateKind::Composable,
                        TemplateKind::Component,
                    ] {
                        let read = Read::Templates {
                            kind,
                            pattern: "*".into(),
                        };
                        let found = names(capability, &read).await;
                        all = all.zip(found).map(|(mut all, found)| {
                            all.extend(found);
                            all
                        });
                    }
                    here.put(binding, Kind::Templates, all, ("template", "templates"));
                }
                "disk" => {
                    let top = Read::Entries { dir: Vec::new() };
                    here.put(
                        binding,
                        Kind::Files,
                        names(capability, &top).await,
                        ("entry", "entries"),
                    );
                }
                "database" => {
                    let all = Read::Tables {
                        pattern: "*".into(),
                    };
                    let tables = names(capability, &all).await;
                    here.put(binding, Kind::Tables, tables, ("table", "tables"));
                }
                "service" => {
                    let tasks = names(capability, &Read::ServiceTasks).await;
                    here.put(binding, Kind::Tasks, tasks, ("task", "tasks"));
                    let artifact = capability.read(&Read::ServiceArtifact).await.ok();
                    let versions = artifact
                        .and_then(|found| serde_json::from_value::<Artifact>(found).ok())
                        .map(|found| found.available);
                    here.put(binding, Kind::Versions, versions, ("version", "versions"));
                }
                "traffic" => {
                    let servers = servers(capability).await;
                    here.put(binding, Kind::Servers, servers, ("server", "servers"));
                }
                _ => {}
            }
        }
        here
    }

    fn put(
        &mut self,
        binding: &Binding,
        kind: Kind,
        names: Option<Vec<String>>,
        words: (&'static str, &'static str),
    ) {
        if let Some(names) = names {
            self.found.insert(
                (binding.clone(), kind),
                Names {
                    names,
                    one: words.0,
                    many: words.1,
                },
            );
        }
    }

    /// The names that a scope of this verb can match; none where its scope is about something else.
    pub(crate) fn of(&self, binding: &Binding, verb: &str) -> Option<&Names> {
        let kind = match verb {
            "cluster.observe"
            | "cluster.raw-read"
            | "cluster.set-cluster-setting"
            | "cluster.cancel-task"
            | "cluster.set-transient-setting"
            | "cluster.remove-archived-settings"
            | "cluster.put-cluster-settings" => {
                return None;
            }
            "cluster.put-template" | "cluster.delete-template" => Kind::Templates,
            "snapshot.take" | "snapshot.restore" | "snapshot.restore-into" => {
                return self
                    .found
                    .get(&(self.clusters.get(binding)?.clone(), Kind::Indices));
            }
            "service.run-task" => Kind::Tasks,
            "service.switch-artifact" => Kind::Versions,
            "database.read"
            | "database.query"
            | "database.execute"
            | "database.execute-together" => Kind::Tables,
            _ if verb.starts_with("cluster.") => Kind::Indices,
            _ if verb.starts_with("disk.") => Kind::Files,
            _ if verb.starts_with("traffic.") => Kind::Servers,
            _ => return None,
        };
        self.found.get(&(binding.clone(), kind))
    }

    #[cfg(test)]
    pub(crate) fn with(binding: &Binding, indices: Vec<String>) -> Self {
        let mut here = Self::default();
        here.put(binding, Kind::Indices, Some(indices), ("index", "indices"));
        here
    }
}

/// The names in the answer to a read that lists things.
pub(crate) async fn names(capability: &dyn Capability, read: &Read) -> Option<Vec<String>> {
    let answer = capability.read(read).await.ok()?;
    let list = answer.as_array()?;
    let name = |item: &Value| {
        item.as_str()
            .or_else(|| item.get("name")?.as_str())
            .map(str::to_owned)
    };
    Some(list.iter().filter_map(name).collect())
}

/// Servers of a balancer, as scopes name them: `BACKEND/SERVER`.
async fn servers(capability: &dyn Capability) -> Option<Vec<String>> {
    let all = Read::TrafficServers {
        backend: "*".into(),
        server: None,
    };
    let answer = capability.read(&all).await.ok()?;
    let servers: Vec<Server> = serde_json::from_value(answer).ok()?;
    let name = |server: Server| format!("{}/{}", server.backend, server.name);
    Some(servers.into_iter().map(name).collect())
}

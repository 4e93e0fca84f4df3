//! `[rehearsal]` of `site.toml`: for bindings of the site other targets, on which a plan is tried before it is run.

use std::collections::BTreeMap;

use liftlock_cluster::ClusterConfig;
use liftlock_database::DatabaseConfig;
use liftlock_disk::DiskConfig;
use liftlock_endpoint::EndpointConfig;
use liftlock_service::ServiceConfig;
use liftlock_snapshot::SnapshotConfig;
use liftlock_traffic::TrafficConfig;
use liftlock_types::Binding;
use serde::Deserialize;

use super::{OptionValue, SITE_FILE, Site};
use crate::code::Code;
use crate::failure::Failure;

/// Each table as the site's own of the same name.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RehearsalToml {
    /// Program and arguments.
    #[serde(default)]
    fill: Option<Vec<String>>,
    #[serde(default)]
    options: BTreeMap<String, OptionValue>,
    #[serde(default)]
    cluster: BTreeMap<String, ClusterConfig>,
    #[serde(default)]
    snapshot: BTreeMap<String, SnapshotConfig>,
    #[serde(default)]
    disk: BTreeMap<String, DiskConfig>,
    #[serde(default)]
    service: BTreeMap<String, ServiceConfig>,
    #[serde(default)]
    traffic: BTreeMap<String, TrafficConfig>,
    #[serde(default)]
    endpoint: BTreeMap<String, EndpointConfig>,
    #[serde(default)]
    database: BTreeMap<String, DatabaseConfig>,
}

impl Site {
    /// The site as a rehearsal sees it: its targets in the place of the real ones, where it has some.
    ///
    /// It needs one approval, who rehearses being the one who looks.
    pub(crate) fn into_rehearsal(self) -> Result<Self, Failure> {
        let Some(own) = self.rehearsal.clone() else {
            return Err(Failure::new(
                Code::NoRehearsal,
                format!("`{}` names no targets for a rehearsal", self.file.display()),
            )
            .untouched("no target was contacted")
            .remedy(format!(
                "add to {SITE_FILE} a table for each binding that the plan changes, say `[rehearsal.cluster.NAME]`, of \
                 the same form as the site's own"
            )));
        };
        if own
            .fill
            .as_ref()
            .is_some_and(|words| words.first().is_none_or(|program| program.is_empty()))
        {
            return Err(self.wrong(
                &["rehearsal", "fill"],
                "expected a program and its arguments, say [\"./fill.sh\"]",
            ));
        }
        let mut site = Self {
            rehearsal: None,
            approvals: 1,
            fill: own.fill,
            ..self.shallow()
        };
        for (name, value) in own.options {
            site.options.insert(name, value.into_text());
        }
        let over = &mut Over {
            site: &self,
            names: Vec::new(),
        };
        over.put("cluster", own.cluster, &mut site.clusters)?;
        over.put("snapshot", own.snapshot, &mut site.snapshots)?;
        over.put("disk", own.disk, &mut site.disks)?;
        over.put("service", own.service, &mut site.services)?;
        over.put("traffic", own.traffic, &mut site.balancers)?;
        over.put("endpoint", own.endpoint, &mut site.endpoints)?;
        over.put("database", own.database, &mut site.databases)?;
        site.scratch = std::mem::take(&mut over.names);
        site.check_targets()?;
        site.check_repositories()?;
        site.real = Some(Box::new(self));
        Ok(site)
    }

    /// A repository of a rehearsal is one of a cluster of the rehearsal: a snapshot is taken by its cluster.
    fn check_repositories(&self) -> Result<(), Failure> {
        for (binding, config) in &self.snapshots {
            if self.is_scratch(binding) && !self.is_scratch(&config.cluster) {
                return Err(self.wrong(
                    &["snapshot", binding.name(), "cluster"],
                    &format!(
                        "`{}` has no table under [rehearsal], so that it is the real one",
                        config.cluster
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// Puts a rehearsal's targets in the place of the real ones.
struct Over<'a> {
    site: &'a Site,
    names: Vec<Binding>,
}

impl Over<'_> {
    fn put<T>(
        &mut self,
        capability: &str,
        own: BTreeMap<String, T>,
        into: &mut BTreeMap<Binding, T>,
    ) -> Result<(), Failure> {
        for (name, config) in own {
            let wrong = |right: &str| {
                let path = ["rehearsal", capability, &name];
                Err(self.site.wrong(&path, right))
            };
            let binding = match Binding::new(format!("{capability}.{name}")) {
                Ok(binding) => binding,
                Err(error) => return wrong(error.why),
            };
            match into.get_mut(&binding) {
                Some(real) => *real = config,
                None => return wrong(&format!("the site has no [{binding}] that it stands for")),
            }
            self.names.push(binding);
        }
        Ok(())
    }
}

//! The contract `liftlock:upgrade@0.1`, in terms of the host's own types.
//!
//! Nothing is decided here: names are parsed, records converted, and the rest is the [`crate::session`]'s. Another
//! version of the contract gets a module beside this one.
//!
//! | module | what |
//! |---|---|
//! | `exports` | calls into the plugin, and its answers made ours |
//! | `convert` | records and enums, both ways |
//! | `handles` | what stands behind a handle |
//! | `site` | `site` and `run` |
//! | `draft` | `draft` |
//! | `cluster`, `snapshot`, `disk`, `service` | the reads |
//! | `traffic` | reads and constructors of a load balancer |
//! | `endpoint` | reads and constructors of a product's own API |
//! | `driver` | calls all of these with other people's bytes |
//! | `database`, `database_facts` | its reads and its inert constructors; its facts as records |
//! | `changes` | the inert constructors of all others |

mod changes;
mod cluster;
mod convert;
mod database;
mod database_facts;
mod disk;
mod draft;
#[cfg(feature = "doors")]
mod driver;
mod endpoint;
mod exports;
mod handles;
mod service;
mod site;
mod snapshot;
mod traffic;

use liftlock_types::{Binding, FileName, ReadError};
use wasmtime::component::Resource;

use crate::plugin::State;
use crate::session::HostError;

#[cfg(feature = "doors")]
pub(crate) use driver::drive;
pub(crate) use exports::Edge;
use handles::{
    Balancer, Cluster, Database, Directory, DraftHandle, Endpoint, Repository, Run, Service, Site,
    StepHandle,
};

/// Versions that this module answers: all of 0.1, as the linker matches them.
pub(crate) const VERSIONS: &str = "0.1.";

/// Interfaces that a plugin of this version can import.
pub(crate) const INTERFACES: [&str; 18] = [
    "types",
    "site",
    "run",
    "draft",
    "cluster",
    "cluster-changes",
    "snapshot",
    "snapshot-changes",
    "disk",
    "disk-changes",
    "service",
    "service-changes",
    "traffic",
    "traffic-changes",
    "endpoint",
    "endpoint-changes",
    "database",
    "database-changes",
];

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "liftlock:upgrade/site.site": crate::edge_v0_1::handles::Site,
            "liftlock:upgrade/run.run": crate::edge_v0_1::handles::Run,
            "liftlock:upgrade/draft.draft": crate::edge_v0_1::handles::DraftHandle,
            "liftlock:upgrade/draft.step": crate::edge_v0_1::handles::StepHandle,
            "liftlock:upgrade/draft.change": liftlock_types::Planned,
            "liftlock:upgrade/draft.condition": liftlock_types::Condition,
            "liftlock:upgrade/draft.reading": liftlock_types::Reading,
            "liftlock:upgrade/cluster.cluster": crate::edge_v0_1::handles::Cluster,
            "liftlock:upgrade/snapshot.repository": crate::edge_v0_1::handles::Repository,
            "liftlock:upgrade/disk.directory": crate::edge_v0_1::handles::Directory,
            "liftlock:upgrade/service.service": crate::edge_v0_1::handles::Service,
            "liftlock:upgrade/traffic.balancer": crate::edge_v0_1::handles::Balancer,
            "liftlock:upgrade/endpoint.endpoint": crate::edge_v0_1::handles::Endpoint,
            "liftlock:upgrade/database.database": crate::edge_v0_1::handles::Database,
        },
        trappable_error_type: {
            "liftlock:upgrade/types.error" => crate::session::HostError,
        },
    });
}

/// The optional export, in the same types.
mod observing {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "observing",
        exports: { default: async },
        with: {
            "liftlock:upgrade/types": crate::edge_v0_1::bindings::liftlock::upgrade::types,
            "liftlock:upgrade/site": crate::edge_v0_1::bindings::liftlock::upgrade::site,
            "liftlock:upgrade/run": crate::edge_v0_1::bindings::liftlock::upgrade::run,
        },
    });
}

/// The other optional export, likewise.
mod transforming {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "transforming",
        exports: { default: async },
        with: {
            "liftlock:upgrade/types": crate::edge_v0_1::bindings::liftlock::upgrade::types,
        },
    });
}

use bindings::liftlock::upgrade as wit;

impl State {
    /// Counts the call and looks the handle up; a handle that is not there ends the call.
    fn at<T: Send + 'static>(&mut self, handle: &Resource<T>) -> Result<&T, HostError> {
        self.session.enter()?;
        Ok(self.table.get(handle)?)
    }

    /// Counts the call and gives the binding behind a cluster.
    fn cluster(&mut self, on: &Resource<Cluster>) -> Result<Binding, HostError> {
        Ok(self.at(on)?.binding.clone())
    }

    /// Likewise of a repository.
    fn repository(&mut self, on: &Resource<Repository>) -> Result<Binding, HostError> {
        Ok(self.at(on)?.binding.clone())
    }

    /// Likewise of a service.
    fn service(&mut self, on: &Resource<Service>) -> Result<Binding, HostError> {
        Ok(self.at(on)?.binding.clone())
    }

    /// Likewise of a balancer.
    fn balancer(&mut self, on: &Resource<Balancer>) -> Result<Binding, HostError> {
        Ok(self.at(on)?.binding.clone())
    }

    /// Likewise of an endpoint.
    fn endpoint(&mut self, on: &Resource<Endpoint>) -> Result<Binding, HostError> {
        Ok(self.at(on)?.binding.clone())
    }

    /// Likewise of a database.
    fn database(&mut self, on: &Resource<Database>) -> Result<Binding, HostError> {
        Ok(self.at(on)?.binding.clone())
    }

    /// Binding and names of a directory.
    fn directory(
        &mut self,
        on: &Resource<Directory>,
    ) -> Result<(Binding, Vec<FileName>), HostError> {
        let directory = self.at(on)?;
        Ok((directory.binding.clone(), directory.dir.clone()))
    }
}

impl wit::types::Host for State {
    fn convert_error(&mut self, error: HostError) -> wasmtime::Result<wit::types::Error> {
        match error {
            HostError::Told(error) => Ok(error.into()),
            HostError::Trap(error) => Err(error),
        }
    }
}

fn invalid(text: impl Into<String>) -> HostError {
    HostError::Told(ReadError::Invalid(text.into()))
}

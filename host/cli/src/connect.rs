//! From `site.toml` to targets that answer: secrets fetched, capabilities opened, identities read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use liftlock_cluster::{Auth, Cluster, ClusterConfig};
use liftlock_database::{Database, DatabaseConfig};
use liftlock_disk::Directory;
use liftlock_endpoint::{Endpoint, EndpointConfig};
use liftlock_gate::Bindings;
use liftlock_sandbox::Plugin;
use liftlock_service::{Secrets, Service, ServiceConfig, ServicePlace, SupervisorCommand};
use liftlock_snapshot::Repository;
use liftlock_traffic::Balancer;
use liftlock_types::{Binding, ReadError, TargetIdentity};

use crate::code::Code;
use crate::escape;
use crate::failure::{self, Failure};
use crate::rehearsal::{self, OnlyRead};
use crate::secret;
use crate::site::Site;
use crate::state::State;

/// The targets of a site.
pub(crate) struct Targets {
    /// By binding.
    pub(crate) bindings: Bindings,
    /// Who answers at each.
    pub(crate) identities: BTreeMap<Binding, TargetIdentity>,
    /// Of a rehearsal: those that are not the real ones.
    pub(crate) scratch: Option<BTreeSet<Binding>>,
    /// Those of them that documents can go through a plugin in.
    clusters: Vec<Arc<Cluster>>,
}

impl Targets {
    /// Lends the plugin of a run to the clusters, for steps in which documents go through it.
    pub(crate) fn lend(&self, plugin: &Plugin, state: &State) -> Result<(), Failure> {
        let dir = state.sub("transforms")?;
        for cluster in &self.clusters {
            cluster.lend(Arc::new(plugin.clone()), dir.clone());
        }
        Ok(())
    }
}

/// Opens all of a site and asks each who it is.
pub(crate) async fn connect(site: &Site, state: &State) -> Result<Targets, Failure> {
    let (bindings, clusters) = open(site, state).await?;
    if let Some(real) = &site.real {
        rehearsal::check_targets(site, real, &bindings, state).await?;
    }
    let mut identities = BTreeMap::new();
    for (binding, capability) in &bindings {
        let identity = capability.identity().await.map_err(|error| {
            read_failure(&format!("`{binding}` does not say who it is"), &error)
        })?;
        identities.insert(binding.clone(), identity);
    }
    Ok(Targets {
        scratch: site.real.is_some().then(|| {
            let scratch = bindings.keys().filter(|binding| site.is_scratch(binding));
            scratch.cloned().collect()
        }),
        bindings,
        identities,
        clusters,
    })
}

/// The targets of a site; nothing is asked yet.
pub(crate) async fn bindings(site: &Site, state: &State) -> Result<Bindings, Failure> {
    open(site, state).await.map(|(bindings, _)| bindings)
}

/// Opens all of a site; asks nothing yet.
async fn open(site: &Site, state: &State) -> Result<(Bindings, Vec<Arc<Cluster>>), Failure> {
    let kept = state.sub("kept")?;
    let mut bindings: Bindings = BTreeMap::new();
    let mut clusters: BTreeMap<Binding, Arc<Cluster>> = BTreeMap::new();
    for (binding, config) in &site.clusters {
        let cluster = Arc::new(cluster(site, binding, config).await?);
        clusters.insert(binding.clone(), cluster.clone());
        bindings.insert(binding.clone(), cluster);
    }
    for (binding, config) in &site.snapshots {
        // `Site` sees to it that the cluster is there.
        if let Some(cluster) = clusters.get(&config.cluster) {
            let repository = Repository::open(binding.clone(), config, cluster.clone(), &kept)
                .map_err(|error| cannot_open(site, binding, &error))?;
            bindings.insert(binding.clone(), Arc::new(repository));
        }
    }
    let mut directories = Vec::new();
    for (binding, config) in &site.disks {
        let mut config = config.clone();
        config.path = site.dir().join(&config.path);
        let directory = Directory::open(binding.clone(), &config, &kept)
            .map_err(|error| cannot_open(site, binding, &error))?;
        bindings.insert(binding.clone(), Arc::new(directory.clone()));
        directories.push(directory);
    }
    Directory::introduce(directories.iter());
    for (binding, config) in &site.services {
        bindings.insert(
            binding.clone(),
            Arc::new(service(site, state, binding, config).await?),
        );
    }
    for (binding, config) in &site.balancers {
        let balancer = Balancer::open(binding.clone(), config, &base(site)?)
            .map_err(|error| cannot_open(site, binding, &error))?;
        bindings.insert(binding.clone(), Arc::new(balancer));
    }
    for (binding, config) in &site.endpoints {
        bindings.insert(
            binding.clone(),
            Arc::new(endpoint(site, binding, config).await?),
        );
    }
    for (binding, config) in &site.databases {
        bindings.insert(
            binding.clone(),
            Arc::new(database(site, binding, config).await?),
        );
    }
    if site.real.is_some() {
        for (binding, capability) in &mut bindings {
            if !site.is_scratch(binding) {
                *capability = Arc::new(OnlyRead(capability.clone()));
            }
        }
    }
    Ok((bindings, clusters.into_values().collect()))
}

async fn endpoint(
    site: &Site,
    binding: &Binding,
    config: &EndpointConfig,
) -> Result<Endpoint, Failure> {
    let mut config = config.clone();
    config.ca = config.ca.as_ref().map(|path| site.dir().join(path));
    let secret = match config.auth.secret() {
        Some(secret) => Some(secret::resolve(secret, site.dir()).await?),
        None => None,
    };
    let credentials = config.auth.with(secret);
    Endpoint::open(binding.clone(), &config, &credentials)
        .map_err(|error| cannot_open(site, binding, &error))
}

async fn cluster(
    site: &Site,
    binding: &Binding,
    config: &ClusterConfig,
) -> Result<Cluster, Failure> {
    let mut config = config.clone();
    let beside = |path: &PathBuf| site.dir().join(path);
    config.ca = config.ca.as_ref().map(beside);
    if let Auth::ClientCertificate { certificate, .. } = &mut config.auth {
        *certificate = beside(certificate);
    }
    let secret = match config.auth.secret() {
        Some(secret) => Some(secret::resolve(secret, site.dir()).await?),
        None => None,
    };
    let credentials = config.auth.with(secret);
    Cluster::open(binding.clone(), &config, &credentials)
        .map_err(|error| cannot_open(site, binding, &error))
}

async fn database(
    site: &Site,
    binding: &Binding,
    config: &DatabaseConfig,
) -> Result<Database, Failure> {
    let mut config = config.clone();
    config.ca = config.ca.as_ref().map(|path| site.dir().join(path));
    let password = match &config.password {
        Some(secret) => Some(secret::resolve(secret, site.dir()).await?),
        None => None,
    };
    Database::open(binding.clone(), config, password)
        .map_err(|error| cannot_open(site, binding, &error))
}

async fn service(
    site: &Site,
    state: &State,
    binding: &Binding,
    config: &ServiceConfig,
) -> Result<Service, Failure> {
    let mut secrets = Vec::new();
    for secret in config.secrets() {
        secrets.push((secret.clone(), secret::resolve(secret, site.dir()).await?));
    }
    let base = base(site)?;
    let supervisor = SupervisorCommand::this_program().map_err(|e| {
        Failure::new(Code::Internal, "this program does not find its own file").because(&e)
    })?;
    let place = ServicePlace {
        binding: binding.clone(),
        base,
        processes: state.sub("processes")?,
        supervisor,
        secrets: Secrets(secrets),
    };
    Service::open(config.clone(), place).map_err(|error| cannot_open(site, binding, &error))
}

/// The site's directory, absolute.
fn base(site: &Site) -> Result<PathBuf, Failure> {
    std::path::absolute(site.dir()).map_err(|e| failure::file("find", site.dir(), &e))
}

fn cannot_open(
    site: &Site,
    binding: &Binding,
    error: &(dyn std::error::Error + 'static),
) -> Failure {
    site.wrong(
        &[binding.capability(), binding.name()],
        "it cannot be opened as it is written",
    )
    .because(error)
    .untouched("no target was contacted")
}

/// What an answer that is none means to a person.
pub(crate) fn read_failure(what: &str, error: &ReadError) -> Failure {
    let (code, remedy) = match error {
        // The kind of a failed look is in its text alone; only the advice hangs on it, and which of two codes of
        // the same exit code it gets.
        ReadError::Unavailable(text)
            if text.contains("status 401") || text.contains("status 403") =>
        {
            (
                Code::TargetRefused,
                "see that user, password and rights in site.toml are the ones that are meant",
            )
        }
        ReadError::Unavailable(text) if text.contains("certificate") => (
            Code::Unreachable,
            "name the authority that signed the server's certificate: `ca = \"FILE\"` in site.toml, `--ca FILE` with init",
        ),
        ReadError::Unavailable(_) => (
            Code::Unreachable,
            "bring the target back, or mend its address in site.toml",
        ),
        ReadError::Denied { .. } => (
            Code::Denied,
            "widen the grant if the plugin should see this, else tell its vendor",
        ),
        ReadError::Rejected { .. } => (
            Code::TargetRefused,
            "see that the user in site.toml has the rights it needs",
        ),
        ReadError::NotFound(_) | ReadError::Absent(_) | ReadError::Invalid(_) => (
            Code::TargetRefused,
            "see that the target is the one that is meant",
        ),
    };
    Failure::new(code, what)
        .cause(escape::block(&error.to_string()))
        .remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_credentials_and_an_unknown_authority_get_their_own_advice() {
        let of = |text: &str| read_failure("x", &ReadError::Unavailable(text.into()));
        let refused = of("https://a: status 401, `security_exception`: no");
        assert_eq!(
            (refused.code(), refused.exit().code()),
            (Code::TargetRefused, 4)
        );
        assert!(
            of("invalid peer certificate: UnknownIssuer")
                .data()
                .remedy
                .contains("--ca FILE")
        );
        assert_eq!(of("connection refused").code(), Code::Unreachable);
    }
}

//! The capabilities of a simulated site: real ones, but for the service.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use liftlock_cluster::Cluster;
use liftlock_cluster::ClusterConfig;
use liftlock_cluster::Credentials;
use liftlock_cluster::Deadlines;
use liftlock_disk::Directory;
use liftlock_disk::DiskConfig;
use liftlock_gate::Bindings;
use liftlock_snapshot::Repository;
use liftlock_snapshot::SnapshotConfig;
use liftlock_testkit::SimCluster;
use liftlock_types::Binding;
use liftlock_types::Capability;

use super::REPOSITORY;
use crate::service::Switch;

/// How long one request may take. A request that the simulator holds back on purpose is given up soon.
const DEADLINES: Deadlines = Deadlines {
    connect_ms: 500,
    read_ms: 500,
    change_ms: 500,
};

pub(super) fn binding(text: &str) -> anyhow::Result<Binding> {
    Binding::new(text).map_err(|error| anyhow!(error.to_string()))
}

/// All of a site.
pub(super) fn bindings(
    sim: &SimCluster,
    optimize: &Switch,
    config: &Path,
    kept: &Path,
) -> anyhow::Result<Bindings> {
    fs::create_dir_all(kept)?;
    let mut address = ClusterConfig::of_node(sim.url());
    address.deadlines = DEADLINES;
    let database = binding("cluster.database")?;
    let cluster = Arc::new(Cluster::open(
        database.clone(),
        &address,
        &Credentials::None,
    )?);
    let backups = binding("snapshot.backups")?;
    let repository = SnapshotConfig {
        cluster: database.clone(),
        repository: REPOSITORY.into(),
    };
    let repository = Repository::open(backups.clone(), &repository, cluster.clone(), kept)?;
    let files = binding("disk.config")?;
    let directory = Directory::open(files.clone(), &DiskConfig::new(config), kept)?;
    Directory::introduce([&directory].into_iter());
    Ok(BTreeMap::from([
        (database, cluster as Arc<dyn Capability>),
        (backups, Arc::new(repository)),
        (files, Arc::new(directory)),
        (binding("service.optimize")?, Arc::new(optimize.clone())),
    ]))
}

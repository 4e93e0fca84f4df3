//! A database with instances of our processes, made once by a real engine and kept in the cache.
//!
//! What is kept is a server's whole folder: started on a copy of it, a server has the seed as a
//! template database, of which copies are made in less than a second.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use super::node::Archive;
use super::node::EngineDatabase;
use super::node::Node;
use super::node::NodeSpec;
use super::node::archive_draft;
use super::rest;
use super::schema;
use super::software::Software;
use super::version::EngineVersion;
use crate::cache;
use crate::cache::Entry;
use crate::databases::DatabaseKind;
use crate::databases::DatabaseServer;
use crate::error::IoContext;
use crate::error::LabError;
use crate::launch::Lifetime;

/// The template database in a seeded server.
pub const TEMPLATE: &str = "seed";

/// The name under which the processes were deployed.
pub const DEPLOYMENT: &str = "lab";

/// Raised by hand when a seed is made in another way.
const RECIPE: &str = "1";

/// How long timers of the seed wait, as ISO 8601 says it: longer than a seed is kept in the cache. One of six hours was due
/// on the next day.
const TIMER: &str = "P10Y";

/// What a seed holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Whose schema.
    pub version: EngineVersion,
    /// On which server.
    pub kind: DatabaseKind,
    /// Instances that wait for their user task.
    pub user_tasks: usize,
    /// Instances that wait for their timer, for years.
    pub timers: usize,
    /// Instances that wait for a worker of the topic `ext`.
    pub external_tasks: usize,
}

impl Seed {
    /// 120 user tasks, 60 timers and 20 external tasks.
    pub fn new(version: EngineVersion, kind: DatabaseKind) -> Self {
        Self {
            version,
            kind,
            user_tasks: 120,
            timers: 60,
            external_tasks: 20,
        }
    }

    /// Makes `dir` the folder of a database server whose database [`TEMPLATE`] is the seed.
    ///
    /// The first time it is made, which takes a start of the engine; then it is a copy of files.
    /// `dir` must not be there yet, or be empty; `work` is a folder for making it, which is removed.
    pub async fn lay(&self, dir: &Path, work: &Path) -> Result<(), LabError> {
        let kept = self.ensure(work).await?;
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).doing("make", parent)?;
        }
        copy(&kept, dir).await
    }

    /// The seed's folder in the cache.
    async fn ensure(&self, work: &Path) -> Result<PathBuf, LabError> {
        let counts = format!(
            "{} {} {} {TIMER}",
            self.user_tasks, self.timers, self.external_tasks
        );
        let name = format!("camunda-seed-{}-{}", self.version, self.kind);
        let scripts = self.version.digest();
        let entry = Entry {
            name: &name,
            decided_by: &[RECIPE, scripts, rest::PROCESSES, &counts],
        };
        cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
            let made = scratch.join("made");
            let result = self.make(work, &made).await;
            cache::remove_folder(work)?;
            result.map(|()| made)
        })
        .await
    }

    /// Makes it in `work`, as a folder that the database's user can reach, and copies it to `made`.
    async fn make(&self, work: &Path, made: &Path) -> Result<(), LabError> {
        // Before the server, which would only wait while it is fetched.
        let software = Software::ensure(self.version).await?;
        cache::remove_folder(work)?;
        let dir = work.join("database");
        let server = DatabaseServer::start_for(self.kind, &dir, Lifetime::WithUs).await?;
        server.address().create(TEMPLATE).await?;
        schema::create(server.address(), TEMPLATE, self.version).await?;
        let database = EngineDatabase::owned(server.address(), TEMPLATE);
        let spec = NodeSpec::new(self.version, "seed", database);
        let archive = if software.archive()?.is_file() {
            Archive::Use
        } else {
            Archive::Make
        };
        let node_dir = work.join("node");
        let node = Node::start_for(spec, &node_dir, Lifetime::WithUs, archive).await?;
        self.fill(&node).await?;
        node.stop().await;
        if archive == Archive::Make {
            keep_archive(&archive_draft(&node_dir), &software).await?;
        }
        server.stop().await;
        copy(&dir, made).await
    }

    async fn fill(&self, node: &Node) -> Result<(), LabError> {
        let rest = node.rest();
        rest::deploy(rest, DEPLOYMENT).await?;
        for _ in 0..self.user_tasks {
            rest::start(rest, "work", &[]).await?;
        }
        for _ in 0..self.timers {
            rest::start(rest, "tick", &[("wait", json!(TIMER))]).await?;
        }
        for _ in 0..self.external_tasks {
            rest::start(rest, "ext", &[]).await?;
        }
        for (path, expected) in [
            ("/task/count", self.user_tasks),
            ("/job/count?timers=true", self.timers),
            ("/external-task/count", self.external_tasks),
        ] {
            let found = rest::count(rest, path).await?;
            if found != expected as u64 {
                return Err(LabError::malformed(
                    format!("the seed's `{path}`"),
                    format!("{found}, expected {expected}"),
                ));
            }
        }
        Ok(())
    }
}

/// Puts an archive of classes where starts look for it.
async fn keep_archive(draft: &Path, software: &Software) -> Result<(), LabError> {
    let place = software.archive()?;
    let (Some(folder), true) = (place.parent(), draft.is_file()) else {
        // A node that was killed wrote none; without one, starts only take longer.
        return Ok(());
    };
    fs::create_dir_all(folder).doing("make", folder)?;
    let part = place.with_extension("part");
    fs::copy(draft, &part).doing("copy", draft)?;
    fs::rename(&part, &place).doing("publish", &part)
}

/// Copies a folder with its owners and rights.
async fn copy(from: &Path, to: &Path) -> Result<(), LabError> {
    let (from_name, to_name) = (from.to_string_lossy(), to.to_string_lossy());
    let arguments = ["-a", "-T", "--reflink=auto", &from_name, &to_name];
    cache::run(Path::new("cp"), &arguments, Path::new("/")).await
}

//! Reads of a snapshot repository.

use liftlock_types::Read;
use liftlock_types::facts::snapshot as facts;
use wasmtime::component::Resource;

use super::convert::all;
use super::wit::snapshot as wit;
use super::{Repository, Site};
use crate::plugin::State;
use crate::session::HostError;

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Repository>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "snapshot")?;
        Ok(self.table.push(Repository { binding })?)
    }
}

impl wit::HostRepository for State {
    async fn name(&mut self, on: Resource<Repository>) -> wasmtime::Result<String> {
        let binding = self.table.get(&on)?.binding.clone();
        match self.session.read(&binding, Read::RepositoryName).await {
            Ok(name) => Ok(name),
            // The function cannot fail; without the verb the binding's own name is what a plugin may see.
            Err(HostError::Told(_)) => Ok(binding.name().to_owned()),
            Err(HostError::Trap(trap)) => Err(trap),
        }
    }

    async fn verified(&mut self, on: Resource<Repository>) -> Result<Vec<String>, HostError> {
        let binding = self.repository(&on)?;
        self.session.read(&binding, Read::SnapshotVerified).await
    }

    async fn list_all(&mut self, on: Resource<Repository>) -> Result<Vec<wit::Taken>, HostError> {
        let binding = self.repository(&on)?;
        let answer: Vec<facts::Taken> = self.session.read(&binding, Read::SnapshotList).await?;
        Ok(all(answer))
    }

    async fn running(&mut self, on: Resource<Repository>) -> Result<Vec<wit::Taken>, HostError> {
        let binding = self.repository(&on)?;
        let answer: Vec<facts::Taken> = self.session.read(&binding, Read::SnapshotRunning).await?;
        Ok(all(answer))
    }

    async fn drop(&mut self, repository: Resource<Repository>) -> wasmtime::Result<()> {
        self.table.delete(repository)?;
        Ok(())
    }
}

//! Reads of a service.

use liftlock_types::Read;
use liftlock_types::facts::service as facts;
use wasmtime::component::Resource;

use super::wit::service as wit;
use super::{Service, Site, changes};
use crate::plugin::State;
use crate::session::HostError;

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Service>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "service")?;
        Ok(self.table.push(Service { binding })?)
    }
}

impl wit::HostService for State {
    async fn status(&mut self, on: Resource<Service>) -> Result<wit::Status, HostError> {
        let binding = self.service(&on)?;
        let answer: facts::Status = self.session.read(&binding, Read::ServiceStatus).await?;
        Ok(answer.into())
    }

    async fn tasks(&mut self, on: Resource<Service>) -> Result<Vec<String>, HostError> {
        let binding = self.service(&on)?;
        self.session.read(&binding, Read::ServiceTasks).await
    }

    async fn log_tail(
        &mut self,
        on: Resource<Service>,
        lines: u32,
    ) -> Result<Vec<String>, HostError> {
        let binding = self.service(&on)?;
        self.session
            .read(&binding, Read::ServiceLog { lines })
            .await
    }

    async fn ask(
        &mut self,
        on: Resource<Service>,
        name: String,
    ) -> Result<wit::CommandOutput, HostError> {
        let binding = self.service(&on)?;
        let name = changes::plain_name("command", name)?;
        let answer: facts::Output = self
            .session
            .read(&binding, Read::ServiceAsk { name })
            .await?;
        Ok(answer.into())
    }

    async fn labels(&mut self, on: Resource<Service>) -> Result<Vec<(String, String)>, HostError> {
        let binding = self.service(&on)?;
        self.session.read(&binding, Read::ServiceLabels).await
    }

    async fn artifact(&mut self, on: Resource<Service>) -> Result<wit::Artifact, HostError> {
        let binding = self.service(&on)?;
        let answer: facts::Artifact = self.session.read(&binding, Read::ServiceArtifact).await?;
        Ok(answer.into())
    }

    async fn drop(&mut self, service: Resource<Service>) -> wasmtime::Result<()> {
        self.table.delete(service)?;
        Ok(())
    }
}

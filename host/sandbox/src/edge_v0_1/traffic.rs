//! Reads of a load balancer.

use liftlock_types::Read;
use liftlock_types::facts::traffic as facts;
use wasmtime::component::Resource;

use super::wit::traffic as wit;
use super::{Balancer, Site, convert};
use crate::plugin::State;
use crate::session::HostError;

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Balancer>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "traffic")?;
        Ok(self.table.push(Balancer { binding })?)
    }
}

impl wit::HostBalancer for State {
    async fn servers(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
    ) -> Result<Vec<wit::Server>, HostError> {
        let binding = self.balancer(&on)?;
        let read = Read::TrafficServers {
            backend,
            server: None,
        };
        let answer: Vec<facts::Server> = self.session.read(&binding, read).await?;
        Ok(convert::all(answer))
    }

    async fn drop(&mut self, balancer: Resource<Balancer>) -> wasmtime::Result<()> {
        self.table.delete(balancer)?;
        Ok(())
    }
}

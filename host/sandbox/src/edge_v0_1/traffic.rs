//! Reads and constructors of a load balancer.

use liftlock_types::facts::traffic as facts;
use liftlock_types::{
    BackendName, Change, Condition, Planned, Predicate, Read, Reading, ServerName,
};
use wasmtime::component::Resource;

use super::changes::Answer;
use super::wit::{traffic as wit, traffic_changes};
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

impl traffic_changes::Host for State {
    async fn set_state(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        server: String,
        to: wit::Administrative,
    ) -> Answer<Planned> {
        let binding = self.balancer(&on)?;
        let change = Change::SetServerState {
            backend: BackendName::new(backend)?,
            server: ServerName::new(server)?,
            to: convert::administrative(to),
        };
        self.propose(binding, change)
    }

    async fn set_weight(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        server: String,
        weight: u32,
    ) -> Answer<Planned> {
        let binding = self.balancer(&on)?;
        let change = Change::SetServerWeight {
            backend: BackendName::new(backend)?,
            server: ServerName::new(server)?,
            weight,
        };
        self.propose(binding, change)
    }

    async fn idle(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        server: String,
    ) -> Answer<Condition> {
        let binding = self.balancer(&on)?;
        let (backend, server) = one_server(backend, server)?;
        self.wait_for(&binding, Predicate::ServerIdle { backend, server })
    }

    async fn in_state(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        server: String,
        administrative: wit::Administrative,
    ) -> Answer<Condition> {
        let binding = self.balancer(&on)?;
        let (backend, server) = one_server(backend, server)?;
        let predicate = Predicate::ServerInState {
            backend,
            server,
            administrative: convert::administrative(administrative),
        };
        self.wait_for(&binding, predicate)
    }

    async fn serving(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        server: String,
    ) -> Answer<Condition> {
        let binding = self.balancer(&on)?;
        let (backend, server) = one_server(backend, server)?;
        self.wait_for(&binding, Predicate::ServerServing { backend, server })
    }

    async fn serving_at_least(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        count: u32,
    ) -> Answer<Condition> {
        let binding = self.balancer(&on)?;
        let backend = BackendName::new(backend)?.into();
        self.wait_for(&binding, Predicate::ServingAtLeast { backend, count })
    }

    async fn receives(
        &mut self,
        on: Resource<Balancer>,
        backend: String,
        server: String,
    ) -> Answer<Condition> {
        let binding = self.balancer(&on)?;
        let (backend, server) = one_server(backend, server)?;
        self.wait_for(&binding, Predicate::ServerReceives { backend, server })
    }

    async fn read_servers(&mut self, on: Resource<Balancer>, backend: String) -> Answer<Reading> {
        let binding = self.balancer(&on)?;
        let read = Read::TrafficServers {
            backend,
            server: None,
        };
        self.look_at(&binding, read)
    }
}

/// One server of one backend, as conditions have them.
fn one_server(backend: String, server: String) -> Result<(String, String), HostError> {
    Ok((
        BackendName::new(backend)?.into(),
        ServerName::new(server)?.into(),
    ))
}

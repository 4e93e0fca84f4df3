//! Reads and constructors of a product's own API.

use liftlock_types::facts::endpoint as facts;
use liftlock_types::{
    Change, Condition, DoneWhen, EndpointPath, EndpointRequest, Json, Method, Planned, Predicate,
    Read, Reading, check_endpoint_query,
};
use wasmtime::component::Resource;

use super::changes::Answer;
use super::cluster::optional;
use super::wit::{endpoint as wit, endpoint_changes};
use super::{Endpoint, Site, invalid};
use crate::plugin::State;
use crate::session::{HostError, listed};

/// Statuses that HTTP has.
const STATUSES: std::ops::Range<u16> = 100..600;

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Endpoint>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "endpoint")?;
        Ok(self.table.push(Endpoint { binding })?)
    }
}

impl wit::HostEndpoint for State {
    async fn get(
        &mut self,
        on: Resource<Endpoint>,
        path: String,
        query: Vec<(String, String)>,
    ) -> Result<wit::Answer, HostError> {
        let binding = self.endpoint(&on)?;
        let read = read(path, query)?;
        let answer: facts::Answer = self.session.read(&binding, read).await?;
        Ok(answer.into())
    }

    async fn drop(&mut self, endpoint: Resource<Endpoint>) -> wasmtime::Result<()> {
        self.table.delete(endpoint)?;
        Ok(())
    }
}

impl endpoint_changes::Host for State {
    async fn request(
        &mut self,
        on: Resource<Endpoint>,
        what: endpoint_changes::ApiRequest,
        done_when: Resource<Condition>,
    ) -> Answer<Planned> {
        let binding = self.endpoint(&on)?;
        let condition = self.table.delete(done_when)?;
        if condition.binding != binding {
            return Err(invalid(format!(
                "its post-condition is read on `{}`, it is sent to `{binding}`",
                condition.binding
            )));
        }
        let request = EndpointRequest::new(
            match what.method {
                endpoint_changes::Method::Put => Method::Put,
                endpoint_changes::Method::Post => Method::Post,
                endpoint_changes::Method::Delete => Method::Delete,
            },
            EndpointPath::new(what.path)?,
            listed(what.query)?,
            optional(what.body)?,
            DoneWhen {
                predicate: condition.predicate,
                negated: condition.negated,
            },
        )?;
        self.propose(binding, Change::EndpointRequest(request))
    }

    async fn answers(
        &mut self,
        on: Resource<Endpoint>,
        path: String,
        query: Vec<(String, String)>,
        status: u16,
        subset: String,
    ) -> Answer<Condition> {
        let binding = self.endpoint(&on)?;
        if !STATUSES.contains(&status) {
            return Err(invalid(format!("{status} is no status of an answer")));
        }
        let (path, query) = asked(path, query)?;
        let predicate = Predicate::Answers {
            path,
            query,
            status,
            subset: Json::new(&subset)?,
        };
        self.wait_for(&binding, predicate)
    }

    async fn read_answer(
        &mut self,
        on: Resource<Endpoint>,
        path: String,
        query: Vec<(String, String)>,
    ) -> Answer<Reading> {
        let binding = self.endpoint(&on)?;
        let read = read(path, query)?;
        self.look_at(&binding, read)
    }
}

fn read(path: String, query: Vec<(String, String)>) -> Result<Read, HostError> {
    let (path, query) = asked(path, query)?;
    Ok(Read::EndpointAnswer { path, query })
}

/// Path and parameters that mean one thing.
fn asked(
    path: String,
    query: Vec<(String, String)>,
) -> Result<(String, Vec<(String, String)>), HostError> {
    let path = EndpointPath::new(path)?.into();
    let query = listed(query)?;
    check_endpoint_query(&query)?;
    Ok((path, query))
}

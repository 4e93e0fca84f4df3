//! Reads of a search cluster.

use liftlock_types::facts::cluster as facts;
use liftlock_types::{Json, Read};
use wasmtime::component::Resource;

use super::convert::{self, all};
use super::wit::cluster as wit;
use super::{Cluster, Site};
use crate::plugin::State;
use crate::session::HostError;

impl wit::Host for State {
    async fn open(
        &mut self,
        _on: Resource<Site>,
        binding: String,
    ) -> Result<Resource<Cluster>, HostError> {
        self.session.enter()?;
        let binding = self.session.open(&binding, "cluster")?;
        Ok(self.table.push(Cluster { binding })?)
    }
}

/// A query or another JSON argument, where there is one.
pub(super) fn optional(text: Option<String>) -> Result<Option<Json>, HostError> {
    Ok(text.map(|text| Json::new(&text)).transpose()?)
}

impl wit::HostCluster for State {
    async fn identity(&mut self, on: Resource<Cluster>) -> Result<wit::Identity, HostError> {
        let binding = self.cluster(&on)?;
        let answer: facts::Identity = self.session.read(&binding, Read::Identity).await?;
        Ok(answer.into())
    }

    async fn identities(&mut self, on: Resource<Cluster>) -> Result<Vec<wit::Identity>, HostError> {
        let binding = self.cluster(&on)?;
        let answer: Vec<facts::Identity> = self.session.read(&binding, Read::Identities).await?;
        Ok(all(answer))
    }

    async fn health(&mut self, on: Resource<Cluster>) -> Result<wit::Health, HostError> {
        let binding = self.cluster(&on)?;
        let answer: facts::Health = self.session.read(&binding, Read::Health).await?;
        Ok(answer.into())
    }

    async fn nodes(&mut self, on: Resource<Cluster>) -> Result<Vec<wit::Node>, HostError> {
        let binding = self.cluster(&on)?;
        let answer: Vec<facts::Node> = self.session.read(&binding, Read::Nodes).await?;
        Ok(all(answer))
    }

    async fn indices(
        &mut self,
        on: Resource<Cluster>,
        pattern: String,
    ) -> Result<Vec<wit::Index>, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::Indices { pattern };
        let answer: Vec<facts::Index> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn shards(
        &mut self,
        on: Resource<Cluster>,
        pattern: String,
    ) -> Result<Vec<wit::Shard>, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::Shards { pattern };
        let answer: Vec<facts::Shard> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn aliases(
        &mut self,
        on: Resource<Cluster>,
        pattern: String,
    ) -> Result<Vec<wit::Alias>, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::Aliases { pattern };
        let answer: Vec<facts::Alias> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn templates(
        &mut self,
        on: Resource<Cluster>,
        kind: wit::TemplateKind,
        pattern: String,
    ) -> Result<Vec<wit::Template>, HostError> {
        let binding = self.cluster(&on)?;
        let kind = convert::template_kind(kind);
        let read = Read::Templates { kind, pattern };
        let answer: Vec<facts::Template> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn mappings(
        &mut self,
        on: Resource<Cluster>,
        index: String,
    ) -> Result<String, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::Mappings { index };
        Ok(self.session.read_json(&binding, read).await?.into())
    }

    async fn index_settings(
        &mut self,
        on: Resource<Cluster>,
        index: String,
    ) -> Result<String, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::IndexSettings { index };
        Ok(self.session.read_json(&binding, read).await?.into())
    }

    async fn count(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        query: Option<String>,
    ) -> Result<u64, HostError> {
        let binding = self.cluster(&on)?;
        let query = optional(query)?;
        self.session
            .read(&binding, Read::Count { index, query })
            .await
    }

    async fn search(
        &mut self,
        on: Resource<Cluster>,
        what: wit::Search,
    ) -> Result<Vec<wit::Document>, HostError> {
        let binding = self.cluster(&on)?;
        let what = facts::Search {
            indices: what.indices,
            query: Json::new(&what.query)?,
            sort: optional(what.sort)?,
            size: what.size,
            after: optional(what.after)?,
        };
        let read = Read::Search { what };
        let answer: Vec<facts::Document> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn get(
        &mut self,
        on: Resource<Cluster>,
        index: String,
        id: String,
    ) -> Result<wit::Document, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::Document { index, id };
        let answer: facts::Document = self.session.read(&binding, read).await?;
        Ok(answer.into())
    }

    async fn tasks(
        &mut self,
        on: Resource<Cluster>,
        actions: Vec<String>,
    ) -> Result<Vec<wit::Task>, HostError> {
        let binding = self.cluster(&on)?;
        let read = Read::Tasks { actions };
        let answer: Vec<facts::Task> = self.session.read(&binding, read).await?;
        Ok(all(answer))
    }

    async fn cluster_settings(
        &mut self,
        on: Resource<Cluster>,
        scope: wit::Scope,
    ) -> Result<String, HostError> {
        let binding = self.cluster(&on)?;
        let scope = convert::setting_scope(scope);
        let read = Read::ClusterSettings { scope };
        Ok(self.session.read_json(&binding, read).await?.into())
    }

    async fn deprecations(
        &mut self,
        on: Resource<Cluster>,
    ) -> Result<Vec<wit::Deprecation>, HostError> {
        let binding = self.cluster(&on)?;
        let answer: Vec<facts::Deprecation> =
            self.session.read(&binding, Read::Deprecations).await?;
        Ok(all(answer))
    }

    async fn raw_read(
        &mut self,
        on: Resource<Cluster>,
        path: String,
        query: Vec<(String, String)>,
        body: Option<String>,
    ) -> Result<wit::RawAnswer, HostError> {
        let binding = self.cluster(&on)?;
        let body = optional(body)?;
        let read = Read::RawRead { path, query, body };
        let answer: facts::RawAnswer = self.session.read(&binding, read).await?;
        Ok(answer.into())
    }

    async fn drop(&mut self, cluster: Resource<Cluster>) -> wasmtime::Result<()> {
        self.table.delete(cluster)?;
        Ok(())
    }
}

//! `site` and `run`: the way in, and a call's memory.

use wasmtime::component::Resource;

use super::wit::run::{HostRun, StepView};
use super::wit::site::{Bound, HostSite, Level};
use super::wit::types::OptionValue;
use super::{Run, Site, convert, wit};
use crate::plugin::State;

impl wit::site::Host for State {}

impl HostSite for State {
    async fn name(&mut self, _site: Resource<Site>) -> wasmtime::Result<String> {
        self.session.enter()?;
        Ok(self.session.call()?.site.name.clone())
    }

    async fn options(&mut self, _site: Resource<Site>) -> wasmtime::Result<Vec<OptionValue>> {
        self.session.enter()?;
        let options = &self.session.call()?.site.options;
        Ok(options
            .iter()
            .map(|(name, value)| OptionValue {
                name: name.clone(),
                value: value.clone(),
            })
            .collect())
    }

    async fn bindings(&mut self, _site: Resource<Site>) -> wasmtime::Result<Vec<Bound>> {
        self.session.enter()?;
        let site = &self.session.call()?.site;
        Ok(site
            .bindings
            .iter()
            .filter(|(binding, _)| {
                site.grant
                    .binding(binding)
                    .is_some_and(|granted| !granted.verbs.is_empty())
            })
            .map(|(binding, product)| Bound {
                binding: binding.to_string(),
                product: product.clone(),
            })
            .collect())
    }

    async fn now(&mut self, _site: Resource<Site>) -> wasmtime::Result<u64> {
        self.session.enter()?;
        Ok(self.session.call()?.now_ms)
    }

    async fn log(
        &mut self,
        _site: Resource<Site>,
        level: Level,
        text: String,
    ) -> wasmtime::Result<()> {
        self.session.enter()?;
        self.session.log.line(convert::level(level), &text);
        Ok(())
    }

    async fn drop(&mut self, site: Resource<Site>) -> wasmtime::Result<()> {
        self.table.delete(site)?;
        Ok(())
    }
}

impl wit::run::Host for State {}

impl HostRun for State {
    async fn moment(&mut self, _run: Resource<Run>) -> wasmtime::Result<wit::run::Moment> {
        self.session.enter()?;
        Ok(convert::moment(self.session.call()?.run.moment))
    }

    async fn steps(&mut self, _run: Resource<Run>) -> wasmtime::Result<Vec<StepView>> {
        self.session.enter()?;
        let steps = &self.session.call()?.run.steps;
        Ok(steps
            .iter()
            .map(|step| StepView {
                id: step.id.to_string(),
                memo: step.memo.as_ref().map(ToString::to_string),
                outcome: step.outcome.clone(),
                evidence: step.evidence.as_ref().map(ToString::to_string),
                at: step.at_ms,
            })
            .collect())
    }

    async fn captured(
        &mut self,
        _run: Resource<Run>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        self.session.enter()?;
        let captured = &self.session.call()?.run.captured;
        Ok(captured.get(&name).map(ToString::to_string))
    }

    async fn drop(&mut self, run: Resource<Run>) -> wasmtime::Result<()> {
        self.table.delete(run)?;
        Ok(())
    }
}

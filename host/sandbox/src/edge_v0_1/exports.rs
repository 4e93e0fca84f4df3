//! Calls into the plugin. Its answers are made ours under the same bounds as its host calls.

use liftlock_types::{
    Descriptor, Evaluated, Finding, Inventory, Json, ReadError, ToTransform, Transformed,
};
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker, Resource};

use super::bindings::exports::liftlock::upgrade::upgrade as exported;
use super::bindings::{Plugin, PluginPre};
use super::convert::{self, Answers};
use super::observing::ObservingPre;
use super::transforming::TransformingPre;
use super::transforming::exports::liftlock::upgrade::transform::Document;
use super::wit::types::Target;
use super::{DraftHandle, Run, Site};
use crate::call::{Asked, Refusal};
use crate::plugin::State;
use crate::session::HostError;
use crate::text;

/// The optional export by which a plugin is asked about conditions.
const OBSERVE: &str = "liftlock:upgrade/observe@";

/// The optional export by which a plugin changes documents.
const TRANSFORM: &str = "liftlock:upgrade/transform@";

/// Characters of a plugin's reason to reject a document that are kept: one line of a file, and of a screen.
const REASON_BYTES_MAX: usize = 1_000;

/// A component linked against the contract.
#[derive(Clone)]
pub(crate) struct Edge {
    pre: PluginPre<State>,
    /// Where the component is asked about conditions.
    observing: Option<ObservingPre<State>>,
    /// Where the component changes documents.
    transforming: Option<TransformingPre<State>>,
}

/// The handles of one call, borrowed to the plugin for its length.
struct Handles {
    site: u32,
    run: u32,
    draft: u32,
    target: Target,
}

impl Edge {
    /// Adds the contract to the linker and checks the component's types against it.
    pub(crate) fn link(
        linker: &mut Linker<State>,
        component: &Component,
    ) -> wasmtime::Result<Self> {
        Plugin::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut State| state)?;
        let pre = linker.instantiate_pre(component)?;
        let exports = |wanted| {
            component
                .component_type()
                .exports(linker.engine())
                .any(|(name, _)| name.starts_with(wanted))
        };
        Ok(Self {
            observing: exports(OBSERVE)
                .then(|| ObservingPre::new(pre.clone()))
                .transpose()?,
            transforming: exports(TRANSFORM)
                .then(|| TransformingPre::new(pre.clone()))
                .transpose()?,
            pre: PluginPre::new(pre)?,
        })
    }

    /// None: it has no such export.
    pub(crate) async fn observe(
        &self,
        store: &mut Store<State>,
        asked: &Asked,
    ) -> wasmtime::Result<Option<Result<Evaluated, ReadError>>> {
        let Some(observing) = &self.observing else {
            return Ok(None);
        };
        let text = |json: &Json| json.as_str().to_owned();
        let (input, last) = (text(&asked.input), asked.last.as_ref().map(text));
        let plugin = observing.instantiate_async(&mut *store).await?;
        let handles = handles(store)?;
        let answer = plugin
            .liftlock_upgrade_observe()
            .call_observe(
                &mut *store,
                Resource::new_borrow(handles.site),
                Resource::new_borrow(handles.run),
                &asked.name,
                &input,
                last.as_ref(),
            )
            .await?;
        match answer {
            Ok(seen) => ours(
                Answers(&mut store.data_mut().session)
                    .evaluated(seen.holds, &seen.seen, &seen.why)
                    .map(Ok),
            )
            .map(Some),
            Err(error) => Ok(Some(Err(convert::error_from(error)))),
        }
    }

    /// Has it the export?
    pub(crate) fn transforms(&self) -> bool {
        self.transforming.is_some()
    }

    /// None: it has no such export. The store holds no call, so the instance has no handle to anything.
    pub(crate) async fn transform(
        &self,
        store: &mut Store<State>,
        name: &str,
        batch: &[ToTransform],
    ) -> wasmtime::Result<Option<Vec<Transformed>>> {
        let Some(transforming) = &self.transforming else {
            return Ok(None);
        };
        let given: Vec<Document> = batch
            .iter()
            .map(|document| Document {
                id: document.id.clone(),
                source: document.source.clone(),
            })
            .collect();
        let plugin = transforming.instantiate_async(&mut *store).await?;
        let made = plugin
            .liftlock_upgrade_transform()
            .call_transform(&mut *store, name, &given)
            .await?;
        if made.len() != batch.len() {
            return Err(broken(format!(
                "it was given {} documents and answers {}",
                batch.len(),
                made.len()
            )));
        }
        let answers = batch.iter().zip(made).map(|(given, made)| match made {
            Ok(made) if made.id != given.id => Err(broken(format!(
                "it was given document `{}` and answers `{}`",
                text::one_line(text::beginning(&given.id, REASON_BYTES_MAX)),
                text::one_line(text::beginning(&made.id, REASON_BYTES_MAX))
            ))),
            Ok(made) => Ok(source(&made.source)),
            Err(why) => Ok(Err(text::one_line(text::beginning(&why, REASON_BYTES_MAX)))),
        });
        answers.collect::<wasmtime::Result<_>>().map(Some)
    }

    pub(crate) async fn describe(&self, store: &mut Store<State>) -> wasmtime::Result<Descriptor> {
        let plugin = self.pre.instantiate_async(&mut *store).await?;
        let answer = plugin
            .liftlock_upgrade_upgrade()
            .call_describe(&mut *store)
            .await?;
        ours(Answers(&mut store.data_mut().session).descriptor(answer))
    }

    pub(crate) async fn inspect(
        &self,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Inventory, ReadError>> {
        let plugin = self.pre.instantiate_async(&mut *store).await?;
        let handles = handles(store)?;
        let answer = plugin
            .liftlock_upgrade_upgrade()
            .call_inspect(&mut *store, Resource::new_borrow(handles.site))
            .await?;
        match answer {
            Ok(inventory) => ours(
                Answers(&mut store.data_mut().session)
                    .inventory(inventory)
                    .map(Ok),
            ),
            Err(error) => Ok(Err(convert::error_from(error))),
        }
    }

    pub(crate) async fn check(
        &self,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Vec<Finding>, ReadError>> {
        let plugin = self.pre.instantiate_async(&mut *store).await?;
        let handles = handles(store)?;
        let answer = plugin
            .liftlock_upgrade_upgrade()
            .call_check(
                &mut *store,
                Resource::new_borrow(handles.site),
                Resource::new_borrow(handles.run),
                &handles.target,
            )
            .await?;
        findings(store, answer)
    }

    pub(crate) async fn plan(
        &self,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<(), Refusal>> {
        let plugin = self.pre.instantiate_async(&mut *store).await?;
        let handles = handles(store)?;
        let answer = plugin
            .liftlock_upgrade_upgrade()
            .call_plan(
                &mut *store,
                Resource::new_borrow(handles.site),
                Resource::new_borrow(handles.run),
                &handles.target,
                Resource::new_borrow(handles.draft),
            )
            .await?;
        Ok(match answer {
            Ok(()) => Ok(()),
            Err(exported::Refusal::Failed(error)) => {
                Err(Refusal::Failed(convert::error_from(error)))
            }
            Err(exported::Refusal::Blocked(found)) => {
                let answers = Answers(&mut store.data_mut().session).findings(found);
                Err(Refusal::Blocked(ours(answers)?))
            }
        })
    }

    pub(crate) async fn validate(
        &self,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Result<Vec<Finding>, ReadError>> {
        let plugin = self.pre.instantiate_async(&mut *store).await?;
        let handles = handles(store)?;
        let answer = plugin
            .liftlock_upgrade_upgrade()
            .call_validate(
                &mut *store,
                Resource::new_borrow(handles.site),
                Resource::new_borrow(handles.run),
                &handles.target,
            )
            .await?;
        findings(store, answer)
    }
}

fn handles(store: &mut Store<State>) -> wasmtime::Result<Handles> {
    let state = store.data_mut();
    let target = convert::target(&state.session.call()?.target);
    Ok(Handles {
        site: state.table.push(Site)?.rep(),
        run: state.table.push(Run)?.rep(),
        draft: state.table.push(DraftHandle)?.rep(),
        target,
    })
}

fn findings(
    store: &mut Store<State>,
    answer: Result<Vec<super::wit::types::Finding>, super::wit::types::Error>,
) -> wasmtime::Result<Result<Vec<Finding>, ReadError>> {
    match answer {
        Ok(found) => ours(
            Answers(&mut store.data_mut().session)
                .findings(found)
                .map(Ok),
        ),
        Err(error) => Ok(Err(convert::error_from(error))),
    }
}

fn broken(text: String) -> wasmtime::Error {
    crate::fault::ContractBroken(text).into()
}

/// What it made of a document. What no server takes as one is a document that it rejects.
fn source(text: &str) -> Transformed {
    match Json::new(text) {
        Ok(json) if json.as_str().starts_with('{') => Ok(json),
        Ok(_) => Err("the plugin made of it what is no object".into()),
        Err(error) => Err(format!("the plugin made of it what is no JSON: {error}")),
    }
}

/// Outside a host call there is nobody to tell: what would be told ends the call.
fn ours<T>(answer: Result<T, HostError>) -> wasmtime::Result<T> {
    answer.map_err(|error| match error {
        HostError::Told(error) => crate::fault::ContractBroken(error.to_string()).into(),
        HostError::Trap(error) => error,
    })
}

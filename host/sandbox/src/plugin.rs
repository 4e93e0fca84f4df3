//! A loaded plugin and its exports. Each call gets a store of its own, which is dropped after it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use liftlock_types::{
    Change, Descriptor, Digest, Evaluated, Finding, Inventory, Proposal, ReadError, ToTransform,
    TransformError, Transformed, Transformer,
};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::call::{Asked, Call, Called, Refusal};
use crate::draft::Draft;
use crate::edge_v0_1;
use crate::engine::LoadError;
use crate::fault::{self, ContractBroken, Export, FaultKind, PluginFault};
use crate::limits::{CpuBudget, Limit, LimitHit, Limiter, Limits, TRANSFORM_MS_MAX};
use crate::log::{Log, NoLog};
use crate::session::Session;
use crate::{text, wasi};

/// Bytes of a plugin's own name in messages.
const NAME_BYTES_SHOWN: usize = 100;

/// What a store of one call holds.
pub(crate) struct State {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    limiter: Limiter,
    pub(crate) session: Session,
}

impl State {
    /// Of one call, with nothing in it.
    pub(crate) fn new(call: Option<Call>, limits: Limits, log: &Log) -> Self {
        let now_ms = call.as_ref().map_or(0, |call| call.now_ms);
        Self {
            wasi: wasi::shim(now_ms, log),
            table: ResourceTable::new(),
            limiter: Limiter::new(limits),
            session: Session::new(call, limits, log.clone()),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// An interface that a component imports, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// `liftlock:upgrade/cluster@0.1.0`.
    pub interface: String,
    /// Its functions, `[method]cluster.health` among them; the list of what the plugin can read and ever propose.
    pub functions: Vec<String>,
}

/// A loaded plugin. Clones are the same one.
#[derive(Clone)]
pub struct Plugin {
    engine: wasmtime::Engine,
    digest: Digest,
    limits: Limits,
    name: Arc<OnceLock<String>>,
    imports: Arc<[Import]>,
    edge: edge_v0_1::Edge,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    pub(crate) fn new(
        engine: &wasmtime::Engine,
        component: Component,
        digest: Digest,
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let imports = imports_of(engine, &component);
        check_imports(&imports)?;
        check_export(engine, &component)?;
        let mut linker: Linker<State> = Linker::new(engine);
        let mismatch =
            |error: wasmtime::Error| LoadError::Mismatch(text::one_line(&format!("{error:#}")));
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(mismatch)?;
        let edge = edge_v0_1::Edge::link(&mut linker, &component).map_err(mismatch)?;
        Ok(Self {
            engine: engine.clone(),
            digest,
            limits,
            name: Arc::default(),
            imports: imports.into(),
            edge,
        })
    }

    /// The SHA-256 of its component.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its name; before it was asked for it, the beginning of its digest.
    pub fn name(&self) -> String {
        match self.name.get() {
            Some(name) => name.clone(),
            None => format!("sha256 {}", self.digest.short()),
        }
    }

    /// What it imports: its reach.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// What it is and asks for. It gets no handle, so it can read nothing.
    pub async fn describe(&self) -> Result<Descriptor, PluginFault> {
        let log = Log::new(Arc::new(NoLog), self.limits.log_lines_max);
        let called = self.call(Export::Describe, None, log, async |edge, store| {
            edge.describe(store).await
        });
        let descriptor = called.await?.value;
        // The first answer stands in messages, and not longer than a name is.
        let name = text::beginning(&descriptor.name, NAME_BYTES_SHOWN);
        let _ = self.name.set(name.to_owned());
        Ok(descriptor)
    }

    /// What is there.
    pub async fn inspect(
        &self,
        call: &Call,
    ) -> Result<Called<Result<Inventory, ReadError>>, PluginFault> {
        self.with_site(Export::Inspect, call, async |edge, store| {
            edge.inspect(store).await
        })
        .await
    }

    /// What stands in the way.
    pub async fn check(
        &self,
        call: &Call,
    ) -> Result<Called<Result<Vec<Finding>, ReadError>>, PluginFault> {
        self.with_site(Export::Check, call, async |edge, store| {
            edge.check(store).await
        })
        .await
    }

    /// What to do, or why not.
    pub async fn plan(
        &self,
        call: &Call,
    ) -> Result<Called<Result<Proposal, Refusal>>, PluginFault> {
        self.with_site(Export::Plan, call, async |edge, store| {
            store.data_mut().session.draft = Some(Draft::default());
            if let Err(refusal) = edge.plan(store).await? {
                return Ok(Err(refusal));
            }
            let draft = store.data_mut().session.draft.take().unwrap_or_default();
            let proposal = draft.close().map_err(ContractBroken)?;
            if !edge.transforms() && plans_transform(&proposal) {
                let text = "it plans to transform documents, and has no export `transform`";
                return Err(ContractBroken(text.into()).into());
            }
            Ok(Ok(proposal))
        })
        .await
    }

    /// Whether it is done.
    pub async fn validate(
        &self,
        call: &Call,
    ) -> Result<Called<Result<Vec<Finding>, ReadError>>, PluginFault> {
        self.with_site(Export::Validate, call, async |edge, store| {
            edge.validate(store).await
        })
        .await
    }

    /// Whether a condition of its own holds.
    pub async fn observe(
        &self,
        call: &Call,
        asked: &Asked,
    ) -> Result<Called<Result<Evaluated, ReadError>>, PluginFault> {
        self.with_site(Export::Observe, call, async |edge, store| {
            edge.observe(store, asked).await?.ok_or_else(|| {
                let text = "it plans conditions that it is asked, and has no export `observe`";
                ContractBroken(text.into()).into()
            })
        })
        .await
    }

    /// What documents become. It gets no handle, no clock that moves and nothing of the call before: a fresh instance
    /// for each batch is what makes the function pure, and costs a thirtieth of a full one.
    pub async fn transform(
        &self,
        name: &str,
        batch: &[ToTransform],
    ) -> Result<Vec<Transformed>, PluginFault> {
        let mut bounded = self.clone();
        bounded.limits.cpu_ms_max = self.limits.cpu_ms_max.min(TRANSFORM_MS_MAX);
        bounded.limits.wall_ms_max = self.limits.wall_ms_max.min(4 * TRANSFORM_MS_MAX);
        let log = Log::new(Arc::new(NoLog), self.limits.log_lines_max);
        let called = bounded
            .call(Export::Transform, None, log, async |edge, store| {
                edge.transform(store, name, batch)
                    .await?
                    .ok_or_else(|| ContractBroken("it has no export `transform`".into()).into())
            })
            .await?;
        Ok(called.value)
    }

    async fn with_site<T>(
        &self,
        export: Export,
        call: &Call,
        ask: impl AsyncFnOnce(&edge_v0_1::Edge, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<Called<T>, PluginFault> {
        let log = Log::new(call.log.clone(), self.limits.log_lines_max);
        self.call(export, Some(call.clone()), log, ask).await
    }

    async fn call<T>(
        &self,
        export: Export,
        call: Option<Call>,
        log: Log,
        ask: impl AsyncFnOnce(&edge_v0_1::Edge, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<Called<T>, PluginFault> {
        let started = Instant::now();
        let mut store = self.store(call, &log);
        // An epoch does not interrupt a host function that waits for a target; this does.
        let wall = Duration::from_millis(self.limits.wall_ms_max);
        let answer = tokio::time::timeout(wall, ask(&self.edge, &mut store)).await;
        let reads = store.data_mut().session.take_reads();
        let denials = store.data_mut().session.take_denials();
        let peak_memory_bytes = store.data().limiter.peak_memory_bytes();
        // The guest's open output lines come into the log when their streams are dropped.
        drop(store);
        let (what, trace) = match answer {
            Ok(Ok(value)) => {
                return Ok(Called {
                    value,
                    reads,
                    denials,
                    log: log.lines(),
                    peak_memory_bytes,
                    ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                });
            }
            Ok(Err(error)) => fault::explain(&error, &self.limits),
            Err(_) => (
                FaultKind::Limit(LimitHit {
                    limit: Limit::WallMs,
                    most: self.limits.wall_ms_max,
                }),
                Vec::new(),
            ),
        };
        tracing::debug!(plugin = self.name(), %export, %what, "plugin fault");
        Err(PluginFault {
            plugin: self.name(),
            export,
            what: Box::new(what),
            trace,
            log: log.lines(),
            denials: denials.into(),
        })
    }

    fn store(&self, call: Option<Call>, log: &Log) -> Store<State> {
        let limits = self.limits;
        let mut store = Store::new(&self.engine, State::new(call, limits, log));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(limits.crossing_bytes_max);
        store.set_max_component_handles(limits.handles_max);
        let mut budget = CpuBudget::new(&limits);
        store.epoch_deadline_callback(move |context| {
            budget.tick(context.data().session.waited())?;
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        store
    }
}

#[async_trait]
impl Transformer for Plugin {
    async fn transform(
        &self,
        name: &str,
        batch: &[ToTransform],
    ) -> Result<Vec<Transformed>, TransformError> {
        Self::transform(self, name, batch)
            .await
            .map_err(|fault| match *fault.what {
                FaultKind::Contract(_) => TransformError::Broken(fault.to_string()),
                _ => TransformError::Failed(fault.to_string()),
            })
    }
}

fn plans_transform(proposal: &Proposal) -> bool {
    proposal.steps.iter().any(|step| {
        step.change()
            .is_some_and(|planned| matches!(planned.change, Change::Transform { .. }))
    })
}

fn imports_of(engine: &wasmtime::Engine, component: &Component) -> Vec<Import> {
    component
        .component_type()
        .imports(engine)
        .map(|(name, item)| Import {
            interface: name.to_owned(),
            functions: match item.ty {
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(engine)
                    .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                    .map(|(name, _)| name.to_owned())
                    .collect(),
                _ => Vec::new(),
            },
        })
        .collect()
}

/// Everything imported is in the contract, or in the inert shim.
fn check_imports(imports: &[Import]) -> Result<(), LoadError> {
    for import in imports {
        let name = import.interface.as_str();
        let is_known = if let Some(rest) = name.strip_prefix("liftlock:upgrade/") {
            rest.split_once('@').is_some_and(|(interface, version)| {
                version.starts_with(edge_v0_1::VERSIONS)
                    && edge_v0_1::INTERFACES.contains(&interface)
            })
        } else {
            WASI_PACKAGES
                .iter()
                .any(|package| name.starts_with(package) && name.contains("@0.2."))
        };
        if !is_known {
            return Err(LoadError::UnknownImport {
                import: text::one_line(name),
                supported: format!(
                    "liftlock:upgrade@{SUPPORTED} ({}) and an inert WASI 0.2 ({})",
                    edge_v0_1::INTERFACES.join(", "),
                    WASI_PACKAGES
                        .map(|package| package.trim_end_matches('/'))
                        .join(", ")
                ),
            });
        }
    }
    Ok(())
}

fn check_export(engine: &wasmtime::Engine, component: &Component) -> Result<(), LoadError> {
    let exports: Vec<String> = component
        .component_type()
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let is_ours = |name: &&String| name.starts_with(UPGRADE);
    let is_supported = |name: &String| {
        name.strip_prefix(UPGRADE)
            .and_then(|rest| rest.strip_prefix('@'))
            .is_some_and(|version| version.starts_with(edge_v0_1::VERSIONS))
    };
    match exports.iter().find(is_ours) {
        Some(name) if is_supported(name) => Ok(()),
        found => Err(LoadError::NoPlugin {
            wanted: UPGRADE,
            instead: found.map_or_else(String::new, |name| {
                format!(", but `{}`", text::one_line(name))
            }),
            supported: SUPPORTED,
        }),
    }
}

/// The export that makes a component a plugin.
const UPGRADE: &str = "liftlock:upgrade/upgrade";

/// Versions of the contract, for people.
const SUPPORTED: &str = "0.1";

/// Packages of the shim.
const WASI_PACKAGES: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

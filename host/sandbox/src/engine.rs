//! The engine: wasmtime's configuration, the epoch's tick, and loading.

use std::fs::File;
use std::hash::{Hash as _, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use liftlock_types::{Digest, hex};
use rustix::fs::MemfdFlags;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, Strategy, WasmFeatures};

use crate::cache::{Cache, CacheError};
use crate::compile::{CompileError, Compiler};
use crate::limits::{COMPONENT_BYTES_MAX, LimitHit, Limits, STACK_BYTES_MAX, TICK_MS};
use crate::plugin::Plugin;
use crate::text;

/// Stack on which guest code runs, and below it our host functions with whatever a capability calls to read.
///
/// 4 MiB: the guest's half a mebibyte and more than the 2 MiB that such code has on a thread of its own. Pages that
/// are not used take no memory.
const FIBER_STACK_BYTES: usize = 8 * STACK_BYTES_MAX;

/// How the sandbox is set up.
#[derive(Debug, Clone, Default)]
pub struct SandboxConfig {
    /// Where compiled plugins are kept; none: they are compiled each time.
    pub cache_dir: Option<PathBuf>,
    /// What one call may use.
    pub limits: Limits,
    /// Who compiles.
    pub compiler: Compiler,
}

/// The sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The runtime refuses this machine or its configuration.
    #[error("the WebAssembly runtime does not start here: {0}")]
    Runtime(String),
    /// No thread for the tick.
    #[error("cannot start the thread that interrupts plugins")]
    Ticker(#[source] std::io::Error),
    /// The cache directory is not usable.
    #[error("cannot use the cache of compiled plugins")]
    Cache(#[from] CacheError),
}

/// A plugin that cannot be loaded. Nothing of it ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Over [`COMPONENT_BYTES_MAX`].
    #[error("it has {bytes} bytes, at most {COMPONENT_BYTES_MAX} are loaded")]
    TooBig {
        /// Its size.
        bytes: usize,
    },
    /// Another kind of file.
    #[error("it is no WebAssembly component, but {0}")]
    NoComponent(&'static str),
    /// The compiler refuses it.
    #[error("it is not valid: {0}")]
    Invalid(String),
    /// Compiling it took more than it may.
    #[error(transparent)]
    Limit(LimitHit),
    /// Compiling it failed, and not by its own fault alone.
    #[error("it cannot be compiled")]
    Compile(#[source] CompileError),
    /// It wants something that no plugin is given.
    #[error("it imports `{import}`, which no plugin is given; there is {supported}")]
    UnknownImport {
        /// Its name for it.
        import: String,
        /// What there is.
        supported: String,
    },
    /// It is no plugin, or for another version of the contract.
    #[error("it does not export `{wanted}`{instead}; this host supports {supported}")]
    NoPlugin {
        /// The export of a plugin.
        wanted: &'static str,
        /// What it exports of ours.
        instead: String,
        /// Versions.
        supported: &'static str,
    },
    /// The names are right, a type is not.
    #[error("it does not fit the contract: {0}")]
    Mismatch(String),
    /// The cache is not safe, or the disk fails.
    #[error("cannot use the cache of compiled plugins")]
    Cache(#[from] CacheError),
}

/// Runs plugins. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    limits: Limits,
    cache: Option<Cache>,
    compiler: Compiler,
    /// What the compiled form depends on besides the component.
    compatibility: String,
}

impl Engine {
    /// Sets the sandbox up and starts its tick, which ends with the last engine and plugin.
    pub fn new(config: SandboxConfig) -> Result<Self, EngineError> {
        let wasmtime = wasmtime::Engine::new(&configuration())
            .map_err(|error| EngineError::Runtime(format!("{error:#}")))?;
        let cache = config.cache_dir.as_deref().map(Cache::open).transpose()?;
        tick(&wasmtime)?;
        let mut compatibility = Sha256Hasher(Sha256::new());
        wasmtime
            .precompile_compatibility_hash()
            .hash(&mut compatibility);
        Ok(Self {
            inner: Arc::new(Inner {
                compatibility: hex(&compatibility.0.finalize()),
                wasmtime,
                limits: config.limits,
                compiler: config.compiler,
                cache,
            }),
        })
    }

    /// Loads a component: compiles it or takes it from the cache, and checks its imports and exports. Blocks for
    /// as long as the compiler takes: tens of milliseconds for a plugin in Rust, seconds for Python.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        if bytes.len() > COMPONENT_BYTES_MAX {
            return Err(LoadError::TooBig { bytes: bytes.len() });
        }
        check_kind(bytes)?;
        let digest = Digest::of(bytes);
        let component = self.component(bytes, &digest)?;
        Plugin::new(&self.inner.wasmtime, component, digest, self.inner.limits)
    }

    fn component(&self, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        let Some(cache) = &self.inner.cache else {
            return match &self.inner.compiler {
                Compiler::InProcess => compile(&self.inner.wasmtime, bytes),
                Compiler::Process(process) => {
                    let file = memory_file().map_err(CompileError::Start)?;
                    self.loaded(&process.compile(bytes, &file)?)
                }
            };
        };
        let name = format!("{}-{}.cwasm", digest.hex(), self.inner.compatibility);
        if let Some(code) = cache.get(&name)? {
            match deserialize(&self.inner.wasmtime, &code) {
                Ok(component) => return Ok(component),
                Err(error) => {
                    tracing::warn!(entry = name, %error, "cache entry does not load, compiling again");
                }
            }
        }
        match &self.inner.compiler {
            Compiler::InProcess => {
                let component = compile(&self.inner.wasmtime, bytes)?;
                cache.put(&name, &component.serialize().map_err(invalid)?)?;
                Ok(component)
            }
            Compiler::Process(process) => {
                let entry = cache.begin(&name)?;
                let code = process.compile(bytes, entry.file())?;
                let component = self.loaded(&code)?;
                entry.put(&code)?;
                Ok(component)
            }
        }
    }

    /// What the other process compiled.
    fn loaded(&self, code: &[u8]) -> Result<Component, LoadError> {
        deserialize(&self.inner.wasmtime, code)
            .map_err(|error| CompileError::Unusable(format!("{error:#}")).into())
    }
}

impl From<CompileError> for LoadError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Invalid(text) => Self::Invalid(text),
            CompileError::Limit(hit) => Self::Limit(hit),
            error => Self::Compile(error),
        }
    }
}

/// The compiler repeats names of the component, which may steer a terminal.
fn invalid(error: wasmtime::Error) -> LoadError {
    LoadError::Invalid(text::one_line(&format!("{error:#}")))
}

fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component, LoadError> {
    Component::from_binary(engine, bytes).map_err(invalid)
}

/// Compiles for an engine as it is here, and gives what a cache entry holds. Work of a process that may use so much
/// and no more.
pub(crate) fn precompile(bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&configuration())?.precompile_component(bytes)
}

/// A file that only its handles reach, with room for what a cache entry begins with.
fn memory_file() -> std::io::Result<File> {
    let file = rustix::fs::memfd_create("liftlock-compiled", MemfdFlags::CLOEXEC)?;
    Ok(File::from(file))
}

#[expect(
    unsafe_code,
    reason = "loading compiled code trusts it; the cache gives only entries that this user alone could write"
)]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` was made by this host's compiler, here or in the process that it started for that: from a
    // file that only that process had, or from the cache, which reads it from a directory and a file that belong to
    // this user and that nobody else may write to, and its checksum holds.
    unsafe { Component::deserialize(engine, code) }
}

/// Each switch and its reason are in the decision record on wasmtime.
fn configuration() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(FIBER_STACK_BYTES)
        .wasm_component_model(true)
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    // Also where a cargo feature that another crate turned on would turn one of them on.
    for feature in FEATURES_OFF {
        config.wasm_features(feature, false);
    }
    config
}

const FEATURES_OFF: [WasmFeatures; 14] = [
    WasmFeatures::THREADS,
    WasmFeatures::SHARED_EVERYTHING_THREADS,
    WasmFeatures::GC,
    WasmFeatures::EXCEPTIONS,
    WasmFeatures::LEGACY_EXCEPTIONS,
    WasmFeatures::MEMORY64,
    WasmFeatures::RELAXED_SIMD,
    WasmFeatures::STACK_SWITCHING,
    WasmFeatures::WIDE_ARITHMETIC,
    WasmFeatures::CUSTOM_PAGE_SIZES,
    WasmFeatures::CM_ASYNC,
    WasmFeatures::CM_THREADING,
    WasmFeatures::CM_GC,
    WasmFeatures::CM64,
];

/// Moves the epoch for as long as an engine or one of its plugins lives.
fn tick(engine: &wasmtime::Engine) -> Result<(), EngineError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("liftlock-tick".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(TICK_MS));
            }
        })
        .map(drop)
        .map_err(EngineError::Ticker)
}

/// Tells a component from what people try instead, by its first bytes.
fn check_kind(bytes: &[u8]) -> Result<(), LoadError> {
    let kind = match bytes {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => return Ok(()),
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => {
            "a core module; build it for `wasm32-wasip2` with crate type `cdylib`"
        }
        [b'\x7f', b'E', b'L', b'F', ..] => "a native or already compiled file",
        [b'(', ..] => "WebAssembly text",
        [] => "an empty file",
        _ => "another kind of file",
    };
    Err(LoadError::NoComponent(kind))
}

/// The whole of SHA-256 behind the standard library's trait, so that 64 bits are not all there is to a name.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |n, byte| n << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_off_and_the_engine_starts() {
        let engine = wasmtime::Engine::new(&configuration()).unwrap();
        let on = engine.get_wasm_features();
        for feature in FEATURES_OFF {
            assert!(!on.intersects(feature), "{feature:?}");
        }
        assert!(on.contains(WasmFeatures::COMPONENT_MODEL));
        assert!(engine.get_epoch_interruption());
        assert!(!engine.get_concurrency_support());
        assert_eq!(engine.get_cranelift_nan_canonicalization(), Some(true));
    }
}

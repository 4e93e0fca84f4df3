//! The runtime as the host sets it up, without anything of the host's on top: the bare side of a comparison.

use wasmtime::{Config, Engine, OptLevel, Strategy};

/// The host's own switches that a call can feel; those that turn features off are not among them.
pub(crate) fn bare() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_component_model(true);
    Engine::new(&config)
}

/// A deadline that no measurement reaches; nothing moves a bare engine's epoch.
pub(crate) const NO_DEADLINE: u64 = u64::MAX / 2;

/// The runtime's error as the rest of this program has its errors: with all its causes.
pub(crate) fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

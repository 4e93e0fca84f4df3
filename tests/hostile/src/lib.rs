//! Hostile plugins: what each tries, that it is stopped with its reason, and that nothing is harmed.
//!
//! The guest of `tests/guests` is one component whose behaviour is chosen by an option. Each case lets it do one
//! hostile thing against real capabilities on a simulated cluster and real files, and then looks: was it stopped, with
//! the reason it should be; did a request reach the target that changes something, or names what it must not see; does
//! the host still do honest work. A case that was not stopped *escaped*.
//!
//! | module | what |
//! |---|---|
//! | `judge` | cases, and what came of them |
//! | `guest` | the component, built and loaded |
//! | `world` | a target with everything in it that a guest must not reach |
//! | `values`, `asks` | names that mean something else; every function, field by field |
//! | `policy` | asks outside the grant, in every field of everything |
//! | `bounds` | loops, recursion, memory, floods |
//! | `handles` | forged, leaked and stale handles, and memory that lies |
//! | `plans` | plans that the host must not take |
//! | `files`, `wasm` | components that are none, and compilers' bombs |
//! | `transform` | the real program with a plugin in the middle of a change: documents on their way, and a crash |
//! | `operator` | the real program with a hostile plugin, as a person runs it |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod asks;
pub mod bounds;
pub mod files;
pub mod guest;
pub mod handles;
pub mod judge;
pub mod operator;
pub mod plans;
pub mod policy;
pub mod transform;
pub mod values;
pub mod wasm;
pub mod world;

pub use judge::{Judge, Verdict};

/// Parts of the suite, by the names of their modules.
pub const PARTS: [&str; 7] = [
    "policy",
    "bounds",
    "handles",
    "plans",
    "files",
    "operator",
    "transform",
];

/// Every case.
pub async fn all(judge: &mut Judge, liftlock: &std::path::Path) -> anyhow::Result<()> {
    some(judge, liftlock, &PARTS).await
}

/// The cases of these parts.
pub async fn some(
    judge: &mut Judge,
    liftlock: &std::path::Path,
    parts: &[&str],
) -> anyhow::Result<()> {
    let world = world::World::start().await?;
    for part in parts {
        match *part {
            "policy" => policy::all(judge, &world).await?,
            "bounds" => bounds::all(judge, &world).await?,
            "handles" => handles::all(judge, &world).await?,
            "plans" => plans::all(judge, &world).await?,
            "files" => files::all(judge, &world, liftlock).await?,
            "operator" => operator::all(judge, liftlock).await?,
            "transform" => transform::all(judge, liftlock).await?,
            other => anyhow::bail!("there is no part `{other}`: there are {}", PARTS.join(", ")),
        }
    }
    Ok(())
}

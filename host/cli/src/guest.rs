//! A plugin in its sandbox: loaded, described, and what its failures mean here.

use std::fs;
use std::path::Path;

use liftlock_gate::{iso, now_ms};
use liftlock_sandbox::{
    Compiler, CompilerProcess, Engine, LogSink, Plugin, PluginFault, SandboxConfig,
};
use liftlock_types::{Descriptor, Digest, Target};

use crate::args::WithPlugin;
use crate::code::Code;
use crate::context::Context;
use crate::escape;
use crate::failure::{self, Failure};
use crate::output::Ui;
use crate::site::Site;
use crate::state::State;
use crate::store::{Installed, Store, read_component};

/// A loaded plugin.
#[derive(Debug)]
pub(crate) struct Guest {
    /// In its sandbox.
    pub(crate) plugin: Plugin,
    /// What it is and asks for.
    pub(crate) descriptor: Descriptor,
    /// As it stands in the store.
    pub(crate) installed: Installed,
    /// Its bytes, to be pinned by a run.
    pub(crate) bytes: Vec<u8>,
}

fn engine(state: &State) -> Result<Engine, Failure> {
    let config = SandboxConfig {
        cache_dir: Some(state.shared_sub("cache")?),
        // What a stranger wrote is not compiled in the process that may hold a run.
        compiler: Compiler::Process(CompilerProcess::this_program()),
        ..SandboxConfig::default()
    };
    Engine::new(config).map_err(|e| {
        Failure::new(Code::Internal, "the sandbox does not start")
            .because(&e)
            .remedy("mend what the message names; the cache of compiled plugins may be removed at any time")
    })
}

async fn loaded(
    state: &State,
    bytes: Vec<u8>,
    of: &str,
) -> Result<(Plugin, Descriptor, Vec<u8>), Failure> {
    let engine = engine(state)?;
    // The compiler works for seconds on a large component, too long for a thread that serves timers.
    let task = tokio::task::spawn_blocking(move || (engine.load(&bytes), bytes));
    let (plugin, bytes) = task
        .await
        .map_err(|e| Failure::new(Code::Internal, "loading the plugin ended early").because(&e))?;
    let plugin = plugin.map_err(|e| {
        Failure::new(
            Code::PluginUnusable,
            format!("`{of}` cannot be used as a plugin"),
        )
        .because(&e)
        .remedy("ask its vendor for a component built against `liftlock:upgrade@0.1`")
    })?;
    let descriptor = plugin
        .describe()
        .await
        .map_err(|fault| fault_failure(&fault))?;
    Ok((plugin, descriptor, bytes))
}

/// Loads a component's file and installs it. One that is installed already needs no flag.
pub(crate) async fn install(
    state: &State,
    file: &Path,
    allow_unsigned: bool,
) -> Result<Guest, Failure> {
    let bytes = read_component(file)?;
    let digest = Digest::of(&bytes);
    let store = Store::open(state)?;
    let known = store
        .list()?
        .into_iter()
        .find(|known| known.digest == digest);
    if known.is_none() && !allow_unsigned {
        return Err(Failure::new(Code::Unsigned, format!("`{}` is signed by nobody", file.display()))
            .cause("this version of Liftlock checks no signatures yet, so every plugin counts as unsigned")
            .untouched("the plugin was not loaded")
            .remedy("if you trust where it comes from, say so with `--allow-unsigned`; every screen will name it")
            .next(format!("liftlock plugin add {} --allow-unsigned", crate::context::word(&file.display().to_string()))));
    }
    let (plugin, descriptor, bytes) = loaded(state, bytes, &file.display().to_string()).await?;
    let installed = known.unwrap_or_else(|| Installed {
        name: escape::bounded(&descriptor.name, 80),
        version: escape::bounded(&descriptor.version, 40),
        digest,
        unsigned: true,
        added_at: iso(now_ms()),
    });
    store.add(&bytes, &installed)?;
    Ok(Guest {
        plugin,
        descriptor,
        installed,
        bytes,
    })
}

/// Loads an installed plugin by name or digest.
pub(crate) async fn open(state: &State, name: &str) -> Result<Guest, Failure> {
    let store = Store::open(state)?;
    let installed = store.find(name)?;
    let bytes = store.bytes(&installed.digest)?;
    from_bytes(state, bytes, installed).await
}

/// Loads a plugin whose bytes a run has pinned.
pub(crate) async fn from_bytes(
    state: &State,
    bytes: Vec<u8>,
    installed: Installed,
) -> Result<Guest, Failure> {
    let (plugin, descriptor, bytes) = loaded(state, bytes, &installed.name).await?;
    Ok(Guest {
        plugin,
        descriptor,
        installed,
        bytes,
    })
}

/// The plugin of a command: the file that was named, else the one that the site names.
pub(crate) async fn of_site(
    context: &Context,
    site: &Site,
    with: &WithPlugin,
) -> Result<Guest, Failure> {
    let state = context.state()?;
    let guest = match &with.plugin {
        Some(file) => install(&state, file, with.allow_unsigned).await?,
        None => open(&state, &site.plugin).await?,
    };
    announce(&context.ui, &guest.installed);
    Ok(guest)
}

/// Says which plugin this is; for an unsigned one always, whatever was silenced.
pub(crate) fn announce(ui: &Ui, installed: &Installed) {
    let label = escape::line(&installed.label());
    if installed.unsigned {
        ui.warn(&format!("plugin {label}"));
    } else {
        ui.say(&format!("plugin {label}"));
    }
}

/// A plugin's failure, for a person.
pub(crate) fn fault_failure(fault: &PluginFault) -> Failure {
    let mut failure = Failure::new(
        Code::PluginFault,
        format!("plugin `{}` failed in `{}`", fault.plugin, fault.export),
    )
    .cause(fault.what.to_string())
    .untouched("a plugin only reads and proposes: nothing was changed")
    .remedy("send this to the plugin's vendor");
    if let Some(last) = fault.log.last() {
        failure = failure.cause(format!("it said last: {}", escape::line(last)));
    }
    if let Some(denial) = fault.denials.last() {
        failure = failure.cause(format!(
            "refused before: {} ({})",
            denial.rule, denial.allowed_by
        ));
    }
    for frame in fault.trace.iter().take(5) {
        failure = failure.cause(format!("in {}", escape::line(frame)));
    }
    failure
}

/// Where an upgrade of this site goes when the operator named no version: the first way that the plugin knows.
pub(crate) fn next_version(descriptor: &Descriptor, from: Option<&str>) -> Target {
    let edge = descriptor
        .edges
        .iter()
        .find(|edge| from.is_some_and(|from| begins(from, &edge.from) && !begins(from, &edge.to)))
        .or_else(|| descriptor.edges.last());
    Target {
        from: from.map(str::to_owned),
        to: edge
            .map(|edge| first_of(&edge.to, from))
            .unwrap_or_default(),
    }
}

/// The way on from a version that was reached: to the next line, where the plugin knows one.
pub(crate) fn hop_after(descriptor: &Descriptor, reached: &str) -> Option<String> {
    descriptor
        .edges
        .iter()
        .find(|edge| begins(reached, &edge.from) && !begins(reached, &edge.to))
        .map(|edge| first_of(&edge.to, Some(reached)))
}

/// The version is of this line.
fn begins(version: &str, line: &str) -> bool {
    version
        .strip_prefix(line)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The first release of a line, written as exactly as the version that is here: `8.8` after `8.7.4` is `8.8.0`.
fn first_of(line: &str, from: Option<&str>) -> String {
    let parts = |version: &str| version.split('.').count();
    let missing = from.map_or(0, parts).saturating_sub(parts(line));
    format!("{line}{}", ".0".repeat(missing))
}

/// Hands a plugin's lines to the terminal.
#[derive(Debug)]
pub(crate) struct Talk {
    ui: Ui,
    name: String,
}

impl Talk {
    /// Of this plugin.
    pub(crate) fn new(ui: Ui, guest: &Guest) -> Self {
        Self {
            ui,
            name: escape::bounded(&guest.descriptor.name, 40),
        }
    }
}

impl LogSink for Talk {
    fn line(&self, level: liftlock_sandbox::Level, text: &str) {
        let text = format!("{}: {}", self.name, escape::line(text));
        match level {
            liftlock_sandbox::Level::Debug if self.ui.verbosity() < 2 => {}
            liftlock_sandbox::Level::Warn => self.ui.warn(&text),
            _ => self.ui.detail(&text),
        }
    }
}

/// How many bytes the cache of compiled plugins has.
pub(crate) fn cache_bytes(state: &State) -> Result<u64, Failure> {
    let dir = state.shared_sub("cache")?;
    let entries = fs::read_dir(&dir).map_err(|e| failure::file("list", &dir, &e))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum())
}

#[cfg(test)]
mod tests {
    use liftlock_types::Edge;

    use super::*;

    #[test]
    fn without_a_version_the_next_way_from_here_is_meant() {
        let edge = |from: &str, to: &str| Edge {
            from: from.into(),
            to: to.into(),
            note: String::new(),
        };
        let descriptor = Descriptor {
            product: "p".into(),
            name: "p".into(),
            version: "1".into(),
            summary: String::new(),
            edges: vec![edge("8.6", "8.7"), edge("8.7", "8.7"), edge("8.7", "8.8")],
            requests: vec![],
            options: vec![],
            findings: vec![],
            more: vec![],
        };
        assert_eq!(next_version(&descriptor, Some("8.7.4")).to, "8.8.0");
        assert_eq!(next_version(&descriptor, Some("8.6.1")).to, "8.7.0");
        assert_eq!(next_version(&descriptor, None).to, "8.8");
        assert_eq!(hop_after(&descriptor, "8.7.0").as_deref(), Some("8.8.0"));
        assert_eq!(hop_after(&descriptor, "8.8.0"), None);
    }
}

//! Files that are no plugin, plugins with hostile code behind them, tampered caches, and bombs for the compiler.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use liftlock_sandbox::limits::COMPONENT_BYTES_MAX;
use liftlock_sandbox::{
    CompileLimits, Compiler, CompilerProcess, Engine, FaultKind, Limit, Limits, LoadError, Plugin,
    SandboxConfig,
};

use crate::guest;
use crate::judge::{Judge, Verdict};
use crate::wasm::{self, COMPONENT, MODULE, leb, module, nested, section, starting, with_module};
use crate::world::{World, grant};

/// All of them.
pub async fn all(judge: &mut Judge, world: &World, liftlock: &Path) -> anyhow::Result<()> {
    refused(judge, world).await?;
    let small = guest::small()?;
    behind(judge, world, &small).await?;
    tampered(judge, world, &small).await?;
    bombs(judge, world, liftlock).await
}

/// Files that must not load, with words of the reason.
pub fn no_plugins(guest: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let add = |bytes: &[u8], more: &[u8]| [bytes, more].concat();
    let memory = |limits: &[u8]| module(&[section(5, &[&[1][..], limits].concat())]);
    vec![
        ("nothing", Vec::new(), "an empty file"),
        ("a core module", MODULE.to_vec(), "a core module"),
        ("text", b"(component)".to_vec(), "text"),
        ("native code", b"\x7fELF\x02\x01\x01\0".to_vec(), "native"),
        (
            "a script",
            b"#!/bin/sh\nid\n".to_vec(),
            "another kind of file",
        ),
        (
            "a component of nothing",
            COMPONENT.to_vec(),
            "does not export",
        ),
        (
            "another version of the format",
            b"\0asm\x0e\0\x01\0".to_vec(),
            "not valid",
        ),
        (
            "half a plugin",
            guest[..guest.len() / 2].to_vec(),
            "not valid",
        ),
        (
            "a plugin without its last byte",
            guest[..guest.len() - 1].to_vec(),
            "not valid",
        ),
        ("a plugin's first bytes", guest[..9].to_vec(), "not valid"),
        ("a plugin and rubbish", add(guest, &[0xff; 64]), "not valid"),
        (
            "a plugin and a section of another length",
            add(guest, &[1, 0xff, 0xff, 0xff, 0x0f]),
            "not valid",
        ),
        ("a plugin and itself", add(guest, guest), "not valid"),
        ("a thousand components in each other", nested(1_000), ""),
        ("a hundred components in each other", nested(100), ""),
        (
            "an import of HTTP",
            wasm::importing("wasi:http/types@0.2.10"),
            "imports `wasi:http/types@0.2.10`",
        ),
        (
            "an import of a shell",
            wasm::importing("evil:host/shell@1.0.0"),
            "imports `evil:host/shell@1.0.0`",
        ),
        (
            "an import that steers a terminal",
            wasm::importing("evil:host/\u{1b}[2J"),
            "not valid",
        ),
        (
            "an import of another contract",
            wasm::importing("liftlock:upgrade/cluster@0.2.0"),
            "imports",
        ),
        (
            "an import that the contract lacks",
            wasm::importing("liftlock:upgrade/secrets@0.1.0"),
            "imports",
        ),
        (
            "memories of 64 bits",
            with_module(guest, &memory(&[4, 1]), 1),
            "not valid",
        ),
        (
            "shared memory",
            with_module(guest, &memory(&[3, 1, 1]), 1),
            "not valid",
        ),
        (
            "pages of one byte",
            with_module(guest, &memory(&[8, 1, 0]), 1),
            "not valid",
        ),
        (
            "collected types",
            with_module(guest, &module(&[section(1, &[1, 0x5f, 0])]), 1),
            "not valid",
        ),
        (
            "exceptions",
            with_module(
                guest,
                &module(&[section(1, &[1, 0x60, 0, 0]), section(13, &[1, 0, 0])]),
                1,
            ),
            "not valid",
        ),
        (
            "more bytes than are loaded",
            vec![0; COMPONENT_BYTES_MAX + 1],
            "at most",
        ),
    ]
}

async fn refused(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let engine = Engine::new(SandboxConfig::default())?;
    for (what, bytes, words) in no_plugins(&world.bytes) {
        let verdict = match engine.load(&bytes) {
            Ok(_) => Verdict::Escaped("it was loaded".into()),
            Err(error) if error.to_string().chars().any(char::is_control) => {
                Verdict::Escaped(format!("the reason steers a terminal: {error:?}"))
            }
            Err(error) => Verdict::stopped_by(&error.to_string(), words),
        };
        judge.count(&format!("a file: {what}"), verdict);
    }
    world.check().await
}

/// A plugin with a module behind it that does something when it is instantiated, before any export is called.
async fn behind(judge: &mut Judge, world: &World, small: &[u8]) -> anyhow::Result<()> {
    let memory = |pages: u64| section(5, &[&[1, 0][..], &leb(pages)].concat());
    let table = |elements: u64| section(4, &[&[1, 0x70, 0][..], &leb(elements)].concat());
    // i32.const, memory.grow, drop; ref.null func, i32.const, table.grow, drop.
    let grow_memory = [0x41, 0xff, 0xff, 0x03, 0x40, 0, 0x1a];
    let grow_table = [0xd0, 0x70, 0x41, 0xc0, 0x84, 0x3d, 0xfc, 15, 0, 0x1a];
    let memories = section(5, &[&leb(100)[..], &[0, 0].repeat(100)].concat());
    let short = |limits: Limits| Limits {
        cpu_ms_max: 300,
        ..limits
    };
    let same = |limits: Limits| limits;
    let few = |limits: Limits| Limits {
        instances_max: 50,
        ..limits
    };
    type Lower = fn(Limits) -> Limits;
    let cases: Vec<(&str, Vec<u8>, u32, Lower, Limit)> = vec![
        (
            "loops",
            starting(&[0x03, 0x40, 0x0c, 0, 0x0b], &[]),
            1,
            short,
            Limit::CpuMs,
        ),
        (
            "calls itself",
            starting(&[0x10, 0], &[]),
            1,
            same,
            Limit::StackBytes,
        ),
        (
            "has a memory of 4 GiB",
            module(&[memory(65_536)]),
            1,
            same,
            Limit::MemoryBytes,
        ),
        (
            "grows its memory to 4 GiB",
            starting(&grow_memory, &[memory(1)]),
            1,
            same,
            Limit::MemoryBytes,
        ),
        (
            "has a table of ten million",
            module(&[table(10_000_000)]),
            1,
            same,
            Limit::TableElements,
        ),
        (
            "grows its table by a million",
            starting(&grow_table, &[table(1)]),
            1,
            same,
            Limit::TableElements,
        ),
        (
            "has a hundred memories beside the plugin's own",
            module(&[memories]),
            1,
            same,
            Limit::Instances,
        ),
        (
            "is there a hundred times",
            MODULE.to_vec(),
            100,
            few,
            Limit::Instances,
        ),
        (
            "has sixty memories of 5 MiB",
            module(&[memory(80)]),
            60,
            same,
            Limit::MemoryBytes,
        ),
    ];
    for (what, code, instances, lower, limit) in cases {
        let bytes = with_module(small, &code, instances);
        let plugin =
            guest::load(&bytes, lower(Limits::default())).with_context(|| what.to_owned())?;
        judge.count(
            &format!("code behind a plugin that {what}"),
            inspected(
                world,
                &plugin,
                |fault| matches!(fault, FaultKind::Limit(hit) if hit.limit == limit),
            )
            .await
            .and_unharmed(world.check().await),
        );
    }
    let bytes = with_module(small, &starting(&[0], &[]), 1);
    let plugin = guest::load(&bytes, Limits::default())?;
    let verdict = inspected(
        world,
        &plugin,
        |fault| matches!(fault, FaultKind::Trap(text) if text.contains("unreachable")),
    );
    judge.count(
        "code behind a plugin that traps",
        verdict.await.and_unharmed(world.check().await),
    );
    Ok(())
}

async fn inspected(world: &World, plugin: &Plugin, is_it: impl Fn(&FaultKind) -> bool) -> Verdict {
    let call = world.call(&[("do", "site")], grant());
    match plugin.inspect(&call).await {
        Ok(_) => Verdict::Escaped("it came to its end".into()),
        Err(fault) if is_it(&fault.what) => Verdict::Stopped(fault.to_string()),
        Err(fault) => Verdict::Escaped(format!("stopped by something else: {fault}")),
    }
}

/// What was changed in the cache of compiled plugins is not run.
async fn tampered(judge: &mut Judge, world: &World, small: &[u8]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("cache");
    let engine = || {
        Engine::new(SandboxConfig {
            cache_dir: Some(dir.clone()),
            ..SandboxConfig::default()
        })
    };
    engine()?.load(small)?;
    let entry = newest(&dir, small)?;
    let good = fs::read(&entry)?;
    let other = with_module(small, MODULE, 1);
    engine()?.load(&other)?;
    let others = fs::read(newest(&dir, &other)?)?;

    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (what, bytes) in [
        ("a flipped bit in its checksum", flipped(3)),
        ("a flipped bit in its code", flipped(good.len() / 2)),
        ("its last byte gone", good[..good.len() - 1].to_vec()),
        ("nothing in it", Vec::new()),
        ("another plugin's entry", others),
    ] {
        fs::write(&entry, &bytes)?;
        let plugin = engine()?.load(small)?;
        let product = plugin.describe().await?.product;
        let verdict = if fs::read(&entry)? == bytes {
            Verdict::Escaped("the entry was used".into())
        } else {
            Verdict::stopped_by(&format!("compiled again, and it is `{product}`"), "small")
        };
        judge.count(
            &format!("a cache entry with {what}"),
            verdict.and_unharmed(world.check().await),
        );
    }
    fs::write(&entry, &good)?;
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666))?;
    judge.count(
        "a cache entry that others may write",
        not_safe(engine()?.load(small)),
    );
    fs::remove_file(&entry)?;
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, &good)?;
    std::os::unix::fs::symlink(&elsewhere, &entry)?;
    judge.count(
        "a cache entry that is a link",
        not_safe(engine()?.load(small)),
    );
    Ok(())
}

fn not_safe(loaded: Result<Plugin, LoadError>) -> Verdict {
    match loaded {
        Ok(_) => Verdict::Escaped("it was used".into()),
        Err(LoadError::Cache(error)) => Verdict::stopped_by(&error.to_string(), "not safe to load"),
        Err(error) => Verdict::Escaped(error.to_string()),
    }
}

fn newest(dir: &Path, component: &[u8]) -> anyhow::Result<PathBuf> {
    let digest = liftlock_types::Digest::of(component);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(digest.hex()) {
            return Ok(path);
        }
    }
    anyhow::bail!("no entry for the component")
}

/// Components that cost the compiler far more than they have bytes.
pub fn bomb() -> Vec<u8> {
    // One function of a million additions: each is cheap, the whole is not.
    let mut body = vec![0x41, 0];
    for n in 0..1_000_000_u32 {
        body.extend([0x41, (n & 0x3f) as u8, 0x6a]);
    }
    body.push(0x1a);
    with_module(COMPONENT, &module(&wasm::functions(&[body])), 1)
}

/// So many functions of nothing.
pub fn many_functions(count: usize) -> Vec<u8> {
    with_module(
        COMPONENT,
        &module(&wasm::functions(&vec![vec![0x01]; count])),
        1,
    )
}

/// Blocks in blocks, each with a way out of all of them.
pub fn deep() -> Vec<u8> {
    const DEPTH: usize = 20_000;
    let mut body = Vec::new();
    for _ in 0..DEPTH {
        body.extend([0x03, 0x40, 0x41, 0, 0x0d, 0]);
    }
    body.extend(std::iter::repeat_n(0x0b, DEPTH));
    with_module(COMPONENT, &module(&wasm::functions(&[body])), 1)
}

async fn bombs(judge: &mut Judge, world: &World, liftlock: &Path) -> anyhow::Result<()> {
    let limits = CompileLimits::default();
    let cases = [
        (
            "a function of a million operations",
            bomb(),
            CompileLimits {
                cpu_seconds_max: 1,
                ..limits
            },
            Limit::CompileCpuSeconds,
        ),
        (
            "the same, for its memory",
            bomb(),
            CompileLimits {
                memory_bytes_max: 200 << 20,
                ..limits
            },
            Limit::CompileMemoryBytes,
        ),
        (
            "the same, by the clock",
            bomb(),
            CompileLimits {
                wall_ms_max: 300,
                ..limits
            },
            Limit::CompileWallMs,
        ),
        (
            "a hundred thousand functions",
            many_functions(100_000),
            CompileLimits {
                cpu_seconds_max: 1,
                ..limits
            },
            Limit::CompileCpuSeconds,
        ),
        (
            "code that fills the disk",
            many_functions(1_000),
            CompileLimits {
                compiled_bytes_max: 16 << 10,
                cpu_seconds_max: 200,
                ..limits
            },
            Limit::CompiledBytes,
        ),
        (
            "blocks in blocks",
            deep(),
            CompileLimits {
                cpu_seconds_max: 1,
                ..limits
            },
            Limit::CompileCpuSeconds,
        ),
    ];
    let folder = tempfile::tempdir()?;
    for (what, bytes, limits, limit) in cases {
        let engine = Engine::new(SandboxConfig {
            cache_dir: Some(folder.path().to_owned()),
            compiler: Compiler::Process(CompilerProcess {
                command: vec![liftlock.into(), "compile-plugin".into()],
                limits,
            }),
            ..SandboxConfig::default()
        })?;
        let begun = Instant::now();
        let loaded = tokio::task::spawn_blocking(move || engine.load(&bytes)).await?;
        let verdict = match loaded {
            Err(LoadError::Limit(hit)) if hit.limit == limit => {
                Verdict::Stopped(format!("{hit}, after {:?}", begun.elapsed()))
            }
            Err(error) => Verdict::Escaped(format!(
                "stopped by something else: {error}: {:?}",
                std::error::Error::source(&error)
            )),
            Ok(_) => Verdict::Escaped("it was compiled".into()),
        };
        ensure!(
            fs::read_dir(folder.path())?.count() == 0,
            "{what} left something in the cache"
        );
        judge.count(
            &format!("a bomb for the compiler: {what}"),
            verdict.and_unharmed(world.check().await),
        );
    }
    Ok(())
}

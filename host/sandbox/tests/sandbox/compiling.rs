//! Compiling in a process of its own: what it may use, and that the host lives on.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use liftlock_sandbox::{
    CompileLimits, Compiler, CompilerProcess, Engine, Limit, LoadError, SandboxConfig,
};

use crate::common::guest;

fn engine(limits: CompileLimits, cache_dir: Option<PathBuf>) -> Engine {
    with_command(
        vec![env!("CARGO_BIN_EXE_liftlock-compile").into()],
        limits,
        cache_dir,
    )
}

fn with_command(
    command: Vec<OsString>,
    limits: CompileLimits,
    cache_dir: Option<PathBuf>,
) -> Engine {
    Engine::new(SandboxConfig {
        cache_dir,
        compiler: Compiler::Process(CompilerProcess { command, limits }),
        ..SandboxConfig::default()
    })
    .unwrap()
}

/// The limit that compiling the guest ran into, with its value.
fn hit(limits: CompileLimits) -> (Limit, u64) {
    match engine(limits, None).load(guest()) {
        Err(LoadError::Limit(hit)) => (hit.limit, hit.most),
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        Ok(_) => panic!("it was compiled"),
    }
}

#[tokio::test]
async fn what_another_process_compiled_works_and_is_kept() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    for compiled in [true, false] {
        // The second time there is nobody to compile.
        let command = if compiled {
            vec![env!("CARGO_BIN_EXE_liftlock-compile").into()]
        } else {
            vec!["/nowhere".into()]
        };
        let engine = with_command(command, CompileLimits::default(), Some(dir.clone()));
        let plugin = engine.load(guest()).unwrap();
        assert_eq!(plugin.describe().await.unwrap().product, "guest");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
}

#[test]
fn processor_time_is_bounded_and_named() {
    let limits = CompileLimits {
        cpu_seconds_max: 1,
        ..CompileLimits::default()
    };
    assert_eq!(hit(limits), (Limit::CompileCpuSeconds, 1));
}

#[test]
fn wall_time_is_bounded_and_named() {
    let limits = CompileLimits {
        wall_ms_max: 20,
        ..CompileLimits::default()
    };
    let begun = Instant::now();
    assert_eq!(hit(limits), (Limit::CompileWallMs, 20));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn address_space_is_bounded_and_named() {
    // Enough for the program itself, and not for this component.
    let limits = CompileLimits {
        memory_bytes_max: 56 << 20,
        ..CompileLimits::default()
    };
    assert_eq!(hit(limits), (Limit::CompileMemoryBytes, 56 << 20));
}

#[test]
fn compiled_code_is_bounded_and_leaves_nothing_in_the_cache() {
    let limits = CompileLimits {
        compiled_bytes_max: 64 << 10,
        ..CompileLimits::default()
    };
    let temp = tempfile::tempdir().unwrap();
    let engine = engine(limits, Some(temp.path().to_owned()));
    let error = engine.load(guest()).unwrap_err();
    assert!(
        error.to_string().contains("65536 bytes of compiled code"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn a_broken_component_is_refused_in_the_compilers_words() {
    let mut bytes = guest().to_vec();
    bytes.truncate(bytes.len() / 2);
    let engine = engine(CompileLimits::default(), None);
    let error = engine.load(&bytes).unwrap_err();
    assert!(
        matches!(&error, LoadError::Invalid(text) if text.contains("out of bounds")),
        "{error}"
    );
}

#[test]
fn a_compiler_that_breaks_or_lies_is_named_and_what_it_wrote_is_not_loaded() {
    let refused = |script: &str| -> String {
        let temp = tempfile::tempdir().unwrap();
        let command = vec!["/bin/sh".into(), "-c".into(), script.into()];
        let engine = with_command(
            command,
            CompileLimits::default(),
            Some(temp.path().to_owned()),
        );
        let error = engine.load(guest()).unwrap_err();
        assert_eq!(
            std::fs::read_dir(temp.path()).unwrap().count(),
            0,
            "{script}"
        );
        let source = std::error::Error::source(&error).unwrap().to_string();
        format!("{error}: {source}")
    };
    let text = refused("kill -SEGV $$");
    assert!(
        text.contains("the compiler broke on it: signal: 11"),
        "{text}"
    );
    let text = refused("echo a word of farewell >&2; exit 101");
    assert!(text.contains("a word of farewell"), "{text}");
    let text = refused("true");
    assert!(text.contains("it has 0 bytes"), "{text}");
    // 32 bytes in the place of a checksum, and what is no code.
    let text = refused("printf '%032d no code' 0");
    assert!(text.contains("its checksum does not hold"), "{text}");
}

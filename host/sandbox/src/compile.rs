//! Compiling in a process of its own, which may use so much and no more.
//!
//! The compiler is a million lines that read what a stranger wrote. A component that makes it loop, or take all
//! memory, or overflow its stack, must end that work and not the host: there may be a run in the host's other hand.
//!
//! The host starts itself again. The new process first takes away from itself what it does not need (new files,
//! memory, time, the environment it never got), then reads the component from its standard input and writes the
//! compiled code to its standard output, which is a file that the host made and that no name need lead to. The host
//! waits for its end with a deadline, and looks at what was written before it takes it.
//!
//! It bounds what compiling *uses*. It does not make native code trustworthy that a broken compiler was talked into:
//! the host loads what comes out.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use sha2::{Digest as _, Sha256};

use crate::cache::CHECKSUM_BYTES;
use crate::engine::precompile;
use crate::limits::{COMPONENT_BYTES_MAX, CompileLimits, Limit, LimitHit};
use crate::text;

/// Exit code of a process that found the component not valid; the reason stands on its standard error.
const EXIT_INVALID: i32 = 10;

/// Exit code of one that got no more memory and could still say so.
const EXIT_MEMORY: i32 = 11;

/// Exit code of one that could not take away from itself what it has to.
const EXIT_LIMITS: i32 = 12;

/// Most bytes of its words that are read.
const WORDS_BYTES_MAX: usize = 4 << 10;

/// Open files that it has: input, output, words.
const OPEN_FILES: u64 = 3;

/// Threads that it compiles with. Each has a stack and a heap of its own in the address space.
const THREADS_MAX: usize = 8;

/// Longest pause between two looks at whether it ended; what a short compilation waits for at most.
const LOOK_MS_MAX: u64 = 10;

/// Who compiles plugins.
#[derive(Debug, Clone, Default)]
pub enum Compiler {
    /// This process, without a bound. For tests, and for components that are our own.
    #[default]
    InProcess,
    /// A process for each.
    Process(CompilerProcess),
}

/// The program that runs [`compile_main`], and what it may use.
#[derive(Debug, Clone)]
pub struct CompilerProcess {
    /// The program, and its arguments before those of [`compile_main`].
    pub command: Vec<OsString>,
    /// What it may use.
    pub limits: CompileLimits,
}

impl CompilerProcess {
    /// `compile-plugin` of the program that runs now, also when its file was replaced since.
    pub fn this_program() -> Self {
        Self {
            command: vec!["/proc/self/exe".into(), "compile-plugin".into()],
            limits: CompileLimits::default(),
        }
    }
}

/// Compiling failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The compiler refuses the component.
    #[error("it is not valid: {0}")]
    Invalid(String),
    /// It took more than it may.
    #[error(transparent)]
    Limit(LimitHit),
    /// The compiler broke on it.
    #[error("the compiler broke on it: {0}")]
    Crashed(String),
    /// What was written cannot be used.
    #[error("what the compiler wrote cannot be used: {0}")]
    Unusable(String),
    /// The process was not started, or could not be waited for.
    #[error("the process that compiles it cannot be run")]
    Start(#[source] io::Error),
}

impl CompilerProcess {
    /// Compiles into a file that is new and empty: room for a checksum, then the code, which is given back.
    pub(crate) fn compile(&self, bytes: &[u8], into: &File) -> Result<Vec<u8>, CompileError> {
        let words = memory_file().map_err(CompileError::Start)?;
        let ended = self
            .run(bytes, into, &words)
            .map_err(CompileError::Start)?
            .ok_or(self.hit(Limit::CompileWallMs))?;
        if let Some(error) = self.failure(ended, &words) {
            return Err(error);
        }
        self.written(into)
    }

    /// None: its time was up, and it is gone.
    fn run(&self, bytes: &[u8], into: &File, words: &File) -> io::Result<Option<ExitStatus>> {
        let input = memory_file()?;
        input.write_all_at(bytes, 0)?;
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let child = Command::new(program)
            .args(arguments)
            .args([
                self.limits.memory_bytes_max.to_string(),
                self.limits.cpu_seconds_max.to_string(),
                self.limits.compiled_bytes_max.to_string(),
            ])
            .env_clear()
            .env("RAYON_NUM_THREADS", threads.min(THREADS_MAX).to_string())
            // Each heap reserves 64 MiB of the address space, whether it is used or not.
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .stdin(input)
            .stdout(into.try_clone()?)
            .stderr(words.try_clone()?)
            .spawn()?;
        let mut child = Running(child);
        let until = Instant::now() + Duration::from_millis(self.limits.wall_ms_max);
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = child.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(LOOK_MS_MAX));
        }
    }

    fn hit(&self, limit: Limit) -> CompileError {
        let limits = &self.limits;
        CompileError::Limit(LimitHit {
            limit,
            most: match limit {
                Limit::CompileMemoryBytes => limits.memory_bytes_max,
                Limit::CompileCpuSeconds => limits.cpu_seconds_max,
                Limit::CompiledBytes => limits.compiled_bytes_max,
                _ => limits.wall_ms_max,
            },
        })
    }

    fn failure(&self, ended: ExitStatus, words: &File) -> Option<CompileError> {
        let said = said(words);
        let signal = ended.signal().and_then(Signal::from_named_raw);
        Some(match (ended.code(), signal) {
            (Some(0), _) => return None,
            (Some(EXIT_INVALID), _) => CompileError::Invalid(said),
            (Some(EXIT_MEMORY), _) => self.hit(Limit::CompileMemoryBytes),
            (Some(EXIT_LIMITS), _) => CompileError::Start(io::Error::other(said)),
            (_, Some(Signal::XCPU)) => self.hit(Limit::CompileCpuSeconds),
            (_, Some(Signal::XFSZ)) => self.hit(Limit::CompiledBytes),
            // The allocator's last words. What else aborts is a defect of the compiler.
            (_, Some(Signal::ABORT)) if said.contains("memory allocation of") => {
                self.hit(Limit::CompileMemoryBytes)
            }
            _ => CompileError::Crashed(format!("{ended}; {said}")),
        })
    }

    /// The code, when it is whole.
    fn written(&self, file: &File) -> Result<Vec<u8>, CompileError> {
        let unusable = |why: String| Err(CompileError::Unusable(why));
        let bytes = file.metadata().map_err(CompileError::Start)?.len();
        let room = CHECKSUM_BYTES as u64;
        if bytes <= room || bytes > self.limits.compiled_bytes_max {
            return unusable(format!("it has {bytes} bytes"));
        }
        let mut sum = [0; CHECKSUM_BYTES];
        let mut code = vec![0; usize::try_from(bytes - room).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut sum, 0)
            .and_then(|()| file.read_exact_at(&mut code, room))
            .map_err(CompileError::Start)?;
        if sum != Sha256::digest(&code).as_slice() {
            return unusable("its checksum does not hold".into());
        }
        Ok(code)
    }
}

/// A process that does not outlive our waiting for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or it is ended now; there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn memory_file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("liftlock-compile", MemfdFlags::CLOEXEC)?;
    Ok(File::from(file))
}

/// Its words, fit to be shown.
fn said(words: &File) -> String {
    let mut bytes = vec![0; WORDS_BYTES_MAX];
    let read = words.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(read);
    text::one_line(String::from_utf8_lossy(&bytes).trim())
}

/// Compiles the component on standard input to standard output; `liftlock compile-plugin` is this function.
///
/// The arguments are the most bytes of address space, seconds of processor time and bytes of output. Answers with an
/// exit code. Call it before anything else: what it takes away stays away.
pub fn compile_main(arguments: &[OsString]) -> i32 {
    let (code, words) = match confined(arguments) {
        Ok(()) => match compiled() {
            Ok(()) => return 0,
            Err(Broken::Invalid(text)) => (EXIT_INVALID, text),
            Err(Broken::Memory) => (EXIT_MEMORY, String::new()),
        },
        Err(error) => (EXIT_LIMITS, error.to_string()),
    };
    // Who started us may be gone; the code says the most of it.
    let _ = io::stderr().write_all(text::beginning(&words, WORDS_BYTES_MAX).as_bytes());
    code
}

/// Takes away what compiling does not need.
fn confined(arguments: &[OsString]) -> io::Result<()> {
    let number = |n: usize| {
        arguments
            .get(n)
            .and_then(|text| text.to_str()?.parse::<u64>().ok())
            .ok_or_else(|| io::Error::other("the arguments are three numbers"))
    };
    // The host that waits for us is gone: nobody wants this any more.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most, spare) in [
        (Resource::Core, 0, 0),
        (Resource::As, number(0)?, 0),
        // At the first it is told which limit it hit, at the second it is killed.
        (Resource::Cpu, number(1)?, 1),
        (Resource::Fsize, number(2)?, 0),
        (Resource::Nofile, OPEN_FILES, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most + spare),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

enum Broken {
    Invalid(String),
    Memory,
}

fn compiled() -> Result<(), Broken> {
    let io = |error: io::Error| Broken::Invalid(error.to_string());
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(COMPONENT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    let code = precompile(&bytes).map_err(|error| {
        let no_memory = error.chain().any(|cause| {
            let cause = cause.downcast_ref::<io::Error>();
            cause.is_some_and(|cause| cause.kind() == io::ErrorKind::OutOfMemory)
        });
        match no_memory {
            true => Broken::Memory,
            false => Broken::Invalid(format!("{error:#}")),
        }
    })?;
    let mut out = io::stdout().lock();
    out.write_all(&Sha256::digest(&code))
        .and_then(|()| out.write_all(&code))
        .and_then(|()| out.flush())
        .map_err(io)
}

//! What one call of a plugin may use. Every bound is on by default and says which attack it stops.

use std::fmt;
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// How often the epoch moves, so how finely the host can interrupt a guest.
///
/// 10 ms: a runaway loop is caught one tick late, and a hundred wake-ups a second cost nothing that shows.
pub const TICK_MS: u64 = 10;

/// Linear memory of all instances of a call together. Stops a guest that allocates until the machine swaps.
///
/// 128 MiB: guests in JavaScript and Python were seen to need 71 to 75 MiB, Rust ones below 2. With some 20 MB of the
/// program's own, a guest that takes all of it stays below the 200 MB that a run may have beside a hostile plugin.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;

/// Elements of all tables together. Stops memory that is used up outside the linear memory.
///
/// 100,000: the largest table seen has 7,696 (a JavaScript guest).
pub const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Core instances of one component. Stops a small file that says "instantiate" a million times.
///
/// 1,000: a Python component has a few dozen.
pub const INSTANCES_MAX: usize = 1_000;

/// Tables, and likewise memories, of one component.
pub const TABLES_MAX: usize = 100;

/// Native stack of a guest. Stops endless recursion; less than the host's own stack for it.
pub const STACK_BYTES_MAX: usize = 512 << 10;

/// Bytes that one host call, or one answer of the plugin, may carry over. Stops a list of a hundred million
/// elements, which the bindings would build on the host before any code of ours could count it.
///
/// 8 MiB: eight JSON texts of the largest size, or a listing of findings far beyond what anyone reads.
pub const CROSSING_BYTES_MAX: usize = 8 << 20;

/// Live handles of one call. Stops a guest that opens and never drops.
///
/// 10,000: a plan has at most as many steps, and guests drop each step's handle when they are done with it.
pub const HANDLES_MAX: usize = 10_000;

/// Wall time of one call. Stops a guest that sleeps, and one that waits for a target that does not answer.
///
/// 60 s: the longest honest call seen made some hundred reads of 10 to 50 ms.
pub const WALL_MS_MAX: u64 = 60_000;

/// Time in guest code. Stops a loop, before the wall time does, with a clearer word.
///
/// 30 s: planning 2,000 nodes takes a guest in JavaScript 39 ms.
pub const CPU_MS_MAX: u64 = 30_000;

/// Time in guest code of one batch of documents, of which four times as much may pass on a busy machine. Stops a loop that would otherwise hold up the run for
/// [`CPU_MS_MAX`] each time that a batch is split to find its document.
///
/// 2 s: 2 ms for each document of a full batch, dozens of times what parsing and writing one of 2 KiB takes. A batch that
/// needs more is asked for in halves; only a document that needs it all by itself is given up. It takes some ten calls to
/// find.
pub const TRANSFORM_MS_MAX: u64 = 2_000;

/// Host calls of any kind. Stops a guest that keeps the host busy with cheap calls.
///
/// 500,000: a plan of 10,000 steps takes some 20 calls for each; this is twice that and a half.
pub const HOST_CALLS_MAX: u64 = 500_000;

/// Reads that reach a target. Stops a plugin that uses the host to hammer a production cluster.
pub const READS_MAX: u64 = 20_000;

/// Bytes of all answers of one call, as they are kept for the replay. Stops an answer-collecting guest from
/// growing the host, which keeps each.
pub const READ_BYTES_MAX: u64 = 64 << 20;

/// Bytes that the host holds for a draft: changes, steps, texts. Stops a draft of ten thousand documents of a
/// mebibyte each.
pub const HELD_BYTES_MAX: u64 = 64 << 20;

/// Lines of the plugin's log. Stops a guest that fills the disk, or the terminal, with its talk.
pub const LOG_LINES_MAX: usize = 1_000;

/// Bytes of one line of it.
pub const LOG_LINE_BYTES_MAX: usize = 4 << 10;

/// Bytes of one text for people: a finding's, a title, a reason.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// Elements of one list that a plugin hands over: findings, facts, edges, requests, names.
pub const LIST_ITEMS_MAX: usize = 1_000;

/// Bytes of a component. Stops the compiler from being fed without end.
///
/// 64 MiB: guests in Python have 18.4 MB, in JavaScript 12.1 MB, in Rust 0.12 MB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// Bytes of a compiled component. Stops a small file whose code fills the disk.
///
/// Three times what a component may have; what was seen is twice its size (Python) to six times (a small Rust one).
pub const COMPILED_BYTES_MAX: u64 = 3 * COMPONENT_BYTES_MAX as u64;

/// Address space of the process that compiles. Stops a component whose compiling takes all memory.
///
/// 4 GiB: some 48 bytes for each byte of a component were seen (382 KB: 24 MiB, 655 KB: 40 MiB, beside 40 MiB of the
/// program itself), which is 3 GiB for the largest component that is taken.
pub const COMPILE_MEMORY_BYTES_MAX: u64 = 4 << 30;

/// Processor time of the process that compiles. Stops a component that is built to take hours.
///
/// 240 s: a guest in JavaScript takes 9 s of wall time on two cores, and some 80 s where the compiler itself was
/// built for debugging.
pub const COMPILE_CPU_SECONDS_MAX: u64 = 240;

/// Wall time of it. Stops one that is starved, or stuck without using the processor.
pub const COMPILE_WALL_MS_MAX: u64 = 300_000;

/// What compiling one component may use; [`Default`] is the constants of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// See [`COMPILE_MEMORY_BYTES_MAX`].
    pub memory_bytes_max: u64,
    /// See [`COMPILE_CPU_SECONDS_MAX`].
    pub cpu_seconds_max: u64,
    /// See [`COMPILE_WALL_MS_MAX`].
    pub wall_ms_max: u64,
    /// See [`COMPILED_BYTES_MAX`].
    pub compiled_bytes_max: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: COMPILE_MEMORY_BYTES_MAX,
            cpu_seconds_max: COMPILE_CPU_SECONDS_MAX,
            wall_ms_max: COMPILE_WALL_MS_MAX,
            compiled_bytes_max: COMPILED_BYTES_MAX,
        }
    }
}

/// The bounds of a call; [`Default`] is the constants of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`MEMORY_BYTES_MAX`].
    pub memory_bytes_max: usize,
    /// See [`TABLE_ELEMENTS_MAX`].
    pub table_elements_max: usize,
    /// See [`INSTANCES_MAX`].
    pub instances_max: usize,
    /// See [`CROSSING_BYTES_MAX`].
    pub crossing_bytes_max: usize,
    /// See [`HANDLES_MAX`].
    pub handles_max: usize,
    /// See [`WALL_MS_MAX`].
    pub wall_ms_max: u64,
    /// See [`CPU_MS_MAX`].
    pub cpu_ms_max: u64,
    /// See [`HOST_CALLS_MAX`].
    pub host_calls_max: u64,
    /// See [`READS_MAX`].
    pub reads_max: u64,
    /// See [`READ_BYTES_MAX`].
    pub read_bytes_max: u64,
    /// See [`HELD_BYTES_MAX`].
    pub held_bytes_max: u64,
    /// See [`LOG_LINES_MAX`].
    pub log_lines_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: MEMORY_BYTES_MAX,
            table_elements_max: TABLE_ELEMENTS_MAX,
            instances_max: INSTANCES_MAX,
            crossing_bytes_max: CROSSING_BYTES_MAX,
            handles_max: HANDLES_MAX,
            wall_ms_max: WALL_MS_MAX,
            cpu_ms_max: CPU_MS_MAX,
            host_calls_max: HOST_CALLS_MAX,
            reads_max: READS_MAX,
            read_bytes_max: READ_BYTES_MAX,
            held_bytes_max: HELD_BYTES_MAX,
            log_lines_max: LOG_LINES_MAX,
        }
    }
}

/// Which bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`MEMORY_BYTES_MAX`].
    MemoryBytes,
    /// [`TABLE_ELEMENTS_MAX`].
    TableElements,
    /// [`INSTANCES_MAX`], or [`TABLES_MAX`] of tables or memories.
    Instances,
    /// [`STACK_BYTES_MAX`].
    StackBytes,
    /// [`CROSSING_BYTES_MAX`].
    CrossingBytes,
    /// [`HANDLES_MAX`].
    Handles,
    /// [`WALL_MS_MAX`].
    WallMs,
    /// [`CPU_MS_MAX`].
    CpuMs,
    /// [`HOST_CALLS_MAX`].
    HostCalls,
    /// [`READS_MAX`].
    Reads,
    /// [`READ_BYTES_MAX`].
    ReadBytes,
    /// [`HELD_BYTES_MAX`].
    HeldBytes,
    /// [`TEXT_BYTES_MAX`].
    TextBytes,
    /// [`LIST_ITEMS_MAX`].
    ListItems,
    /// [`COMPILE_MEMORY_BYTES_MAX`].
    CompileMemoryBytes,
    /// [`COMPILE_CPU_SECONDS_MAX`].
    CompileCpuSeconds,
    /// [`COMPILE_WALL_MS_MAX`].
    CompileWallMs,
    /// [`COMPILED_BYTES_MAX`].
    CompiledBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MemoryBytes => "bytes of memory",
            Self::TableElements => "table elements",
            Self::Instances => "instances, tables or memories",
            Self::StackBytes => "bytes of stack",
            Self::CrossingBytes => "bytes in one crossing between plugin and host",
            Self::Handles => "live handles",
            Self::WallMs => "ms of wall time",
            Self::CpuMs => "ms in the plugin's own code",
            Self::HostCalls => "host calls",
            Self::Reads => "reads",
            Self::ReadBytes => "bytes read",
            Self::HeldBytes => "bytes held for the draft",
            Self::TextBytes => "bytes in one text",
            Self::ListItems => "elements in one list",
            Self::CompileMemoryBytes => "bytes of address space for compiling",
            Self::CompileCpuSeconds => "seconds of processor time for compiling",
            Self::CompileWallMs => "ms of wall time for compiling",
            Self::CompiledBytes => "bytes of compiled code",
        })
    }
}

/// A bound that a call ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it hit the limit of {most} {limit}")]
pub struct LimitHit {
    /// Which.
    pub limit: Limit,
    /// Its value.
    pub most: u64,
}

impl LimitHit {
    pub(crate) fn new(limit: Limit, most: usize) -> Self {
        Self {
            limit,
            most: most as u64,
        }
    }
}

/// Counts memory and tables of one store and refuses what is over.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory_bytes: usize,
    table_elements: usize,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            memory_bytes: 0,
            table_elements: 0,
        }
    }

    /// Memories never shrink, so this is the peak.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.memory_bytes as u64
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .memory_bytes
            .saturating_add(desired.saturating_sub(current));
        let most = self.limits.memory_bytes_max;
        if total > most {
            // An error and not `false`: a guest that gets no memory would only abort without a reason.
            return Err(LimitHit::new(Limit::MemoryBytes, most).into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        let most = self.limits.table_elements_max;
        if total > most {
            return Err(LimitHit::new(Limit::TableElements, most).into());
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances_max
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        TABLES_MAX
    }
}

/// Decides at each tick whether guest code may go on.
///
/// The epoch also moves while the host waits for a target, so neither the number of ticks nor the time since the
/// start is the guest's own; the smaller of the two is never more than it used by much.
#[derive(Debug)]
pub(crate) struct CpuBudget {
    most: Duration,
    ticks: u32,
    started: std::time::Instant,
}

impl CpuBudget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most: Duration::from_millis(limits.cpu_ms_max),
            ticks: 0,
            started: std::time::Instant::now(),
        }
    }

    /// One tick passed; `waited` is the time spent in the host's own reads.
    pub(crate) fn tick(&mut self, waited: Duration) -> Result<(), LimitHit> {
        self.ticks += 1;
        let by_ticks = Duration::from_millis(TICK_MS) * self.ticks;
        let by_clock = self.started.elapsed().saturating_sub(waited);
        if by_ticks.min(by_clock) > self.most {
            return Err(LimitHit {
                limit: Limit::CpuMs,
                most: u64::try_from(self.most.as_millis()).unwrap_or(u64::MAX),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_count_together() {
        let mut limiter = Limiter::new(Limits {
            memory_bytes_max: 10,
            ..Limits::default()
        });
        assert!(limiter.memory_growing(0, 6, None).unwrap());
        assert!(limiter.memory_growing(0, 4, None).unwrap());
        let error = limiter.memory_growing(4, 5, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<LimitHit>().map(|hit| hit.limit),
            Some(Limit::MemoryBytes)
        );
        assert_eq!(limiter.peak_memory_bytes(), 10);
    }

    #[test]
    fn tables_count_together() {
        let mut limiter = Limiter::new(Limits::default());
        assert!(limiter.table_growing(0, TABLE_ELEMENTS_MAX, None).unwrap());
        let error = limiter.table_growing(0, 1, None).unwrap_err();
        assert_eq!(
            error.downcast_ref::<LimitHit>().map(|hit| hit.limit),
            Some(Limit::TableElements)
        );
    }

    #[test]
    fn a_growth_over_the_guests_own_maximum_is_not_counted() {
        let mut limiter = Limiter::new(Limits::default());
        assert!(!limiter.memory_growing(0, 6, Some(5)).unwrap());
        assert_eq!(limiter.peak_memory_bytes(), 0);
    }

    #[test]
    fn time_that_the_host_waits_is_not_the_guests() {
        let mut budget = CpuBudget::new(&Limits {
            cpu_ms_max: 0,
            ..Limits::default()
        });
        assert!(budget.tick(Duration::from_secs(3600)).is_ok());
    }
}

//! WASI as an inert shim: it answers, and reaches nothing.
//!
//! Guests made with Python or Go ask for a clock, random bytes and a file system when they start, so the shim is
//! there and does not trap. No directory, socket, environment or argument is behind it. Clock and random bytes are
//! functions of the call's recorded instant, so that a replay sees the same; both outputs go to the plugin's log.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use crate::limits::LOG_LINE_BYTES_MAX;
use crate::log::{Level, Log};

/// Random bytes before they repeat. What a plugin draws seeds hash maps; it keeps no secret.
const RANDOM_CYCLE_BYTES: u64 = 4096;

/// Most random bytes of one call; larger buffers would be built on the host.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// By how much a look at the clock moves it, so that a guest that waits for time to pass gets on.
const CLOCK_STEP_NS: u64 = 1_000;

/// The shim of one call.
pub(crate) fn shim(now_ms: u64, log: &Log) -> WasiCtx {
    let clock = Clock {
        start_ns: now_ms.saturating_mul(1_000_000),
        looks: Arc::default(),
    };
    WasiCtxBuilder::new()
        .stdout(Output::new(log, Level::Info))
        .stderr(Output::new(log, Level::Warn))
        .secure_random(Deterministic::new(random_cycle(now_ms, b"secure")))
        .insecure_random(Deterministic::new(random_cycle(now_ms, b"insecure")))
        .insecure_random_seed(u128::from(now_ms))
        .max_random_size(RANDOM_BYTES_MAX)
        .wall_clock(clock.clone())
        .monotonic_clock(clock)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

fn random_cycle(now_ms: u64, what: &[u8]) -> Vec<u8> {
    (0..RANDOM_CYCLE_BYTES / 32)
        .flat_map(|block| {
            let mut hash = Sha256::new();
            hash.update(now_ms.to_be_bytes());
            hash.update(block.to_be_bytes());
            hash.update(what);
            hash.finalize()
        })
        .collect()
}

/// The recorded instant, a microsecond later at each look.
#[derive(Clone)]
struct Clock {
    start_ns: u64,
    looks: Arc<AtomicU64>,
}

impl Clock {
    fn passed_ns(&self) -> u64 {
        self.looks
            .fetch_add(1, Ordering::Relaxed)
            .saturating_mul(CLOCK_STEP_NS)
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.start_ns.saturating_add(self.passed_ns()))
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        CLOCK_STEP_NS
    }

    fn now(&self) -> u64 {
        self.passed_ns()
    }
}

/// An output of the guest that ends in its log, line by line.
#[derive(Clone)]
struct Output {
    log: Log,
    level: Level,
    /// The beginning of a line whose end has not come.
    open: Arc<Mutex<Vec<u8>>>,
}

impl Output {
    fn new(log: &Log, level: Level) -> Self {
        Self {
            log: log.clone(),
            level,
            open: Arc::default(),
        }
    }

    fn take(&self, bytes: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            open.extend_from_slice(piece);
            // A guest that never ends its line does not make the host hold it.
            if piece.ends_with(b"\n") || open.len() >= LOG_LINE_BYTES_MAX {
                self.log.line(self.level, &String::from_utf8_lossy(&open));
                open.clear();
            }
        }
    }

    /// Ends a line that the guest left open.
    fn close(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.is_empty() {
            self.log.line(self.level, &String::from_utf8_lossy(&open));
            open.clear();
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only the stream of WASI 0.2 is linked, which is the one below.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(LOG_LINE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl Drop for Output {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::NoLog;

    #[test]
    fn output_becomes_lines_of_the_log() {
        let log = Log::new(Arc::new(NoLog), 10);
        let output = Output::new(&log, Level::Warn);
        output.take(b"one\ntw");
        output.take(b"o\nthree");
        drop(output);
        assert_eq!(log.lines(), ["warn: one", "warn: two", "warn: three"]);
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let log = Log::new(Arc::new(NoLog), 2);
        let output = Output::new(&log, Level::Info);
        for _ in 0..LOG_LINE_BYTES_MAX {
            output.take(b"abcd");
        }
        assert!(output.open.lock().unwrap().len() < LOG_LINE_BYTES_MAX);
        assert_eq!(log.lines().len(), 3);
    }

    #[test]
    fn clock_and_random_bytes_follow_the_recorded_instant() {
        assert_eq!(random_cycle(7, b"x"), random_cycle(7, b"x"));
        assert_ne!(random_cycle(7, b"x"), random_cycle(8, b"x"));
        let clock = Clock {
            start_ns: 5_000_000,
            looks: Arc::default(),
        };
        assert_eq!(HostWallClock::now(&clock), Duration::from_millis(5));
        assert_eq!(HostMonotonicClock::now(&clock), 1_000);
    }
}

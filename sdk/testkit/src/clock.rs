//! The simulator's only sources of time and randomness.
//!
//! Both are part of the cluster's state: a seed and a list of requests give the same uuids, task
//! ids and timestamps on every machine, and restoring a saved state rewinds them too.

use base64::Engine as _;
use jiff::Timestamp;

/// Where a new simulated cluster's clock stands: 2026-01-01T00:00:00Z, in milliseconds.
pub const CLOCK_START_MS: i64 = 1_767_225_600_000;

/// How far the clock moves for each request, unless the builder was told otherwise.
///
/// Ten milliseconds: a client that polls for a one-second refresh sees it after a hundred polls,
/// and no two requests share a timestamp.
pub const CLOCK_TICK_MS: i64 = 10;

/// A clock that moves only when a request arrives or a test says so.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    now_ms: i64,
    tick_ms: i64,
    start_ms: i64,
}

impl Clock {
    pub(crate) fn new(now_ms: i64, tick_ms: i64) -> Self {
        Self {
            now_ms,
            tick_ms,
            start_ms: now_ms,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(crate) fn uptime_ms(&self) -> i64 {
        self.now_ms - self.start_ms
    }

    pub(crate) fn tick(&mut self) {
        self.now_ms += self.tick_ms;
    }

    pub(crate) fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    pub(crate) fn set(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }
}

/// `ms` since the epoch in the form that both servers print, `2026-01-01T00:00:00.000Z`.
pub(crate) fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map(|t| t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .unwrap_or_default()
}

/// SplitMix64: small, seedable, and good enough for names that must merely differ.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An id in the servers' form: sixteen bytes, base64url without padding, 22 characters.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A document id in the servers' form: 20 characters.
    pub(crate) fn document_id(&mut self) -> String {
        self.uuid().chars().take(20).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        let first = a.uuid();
        assert_eq!(first, b.uuid());
        assert_eq!(first.len(), 22);
        assert_ne!(first, a.uuid());
    }

    #[test]
    fn time_is_printed_with_milliseconds() {
        assert_eq!(iso(CLOCK_START_MS + 7), "2026-01-01T00:00:00.007Z");
    }
}

//! Time: the one place that asks for it.

/// Milliseconds since 1970. For people and for values in documents; nothing is decided by it.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Milliseconds since boot, sleep included (`CLOCK_BOOTTIME`): what durations are measured with.
pub fn boot_time_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000
        + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Milliseconds until the next look at what is waited for since `begun`: a tenth of the time that has passed, within
/// bounds. So its end is seen at most a tenth late, and a long wait costs its target few looks.
pub(crate) fn pause_ms(begun: u64, (least, most): (u64, u64)) -> u64 {
    (boot_time_ms().saturating_sub(begun) / 10).clamp(least, most)
}

/// ISO-8601, UTC, milliseconds: `2026-11-21T09:00:18.821Z`.
pub fn iso(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
        .unwrap_or_default()
}

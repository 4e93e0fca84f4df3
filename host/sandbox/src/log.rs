//! What a plugin says: bounded, escaped, and handed on line by line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::LOG_LINE_BYTES_MAX;
use crate::text;

/// How much a line matters, in the plugin's own eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For the operator.
    Info,
    /// For the operator, now.
    Warn,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
        }
    }
}

/// Where a plugin's lines go while it still runs.
pub trait LogSink: Send + Sync {
    /// One line, escaped and within its bound.
    fn line(&self, level: Level, text: &str);
}

/// Drops every line; [`crate::Called::log`] has them all the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLog;

impl LogSink for NoLog {
    fn line(&self, _level: Level, _text: &str) {}
}

/// The log of one call. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct Log {
    sink: Arc<dyn LogSink>,
    kept: Arc<Mutex<Kept>>,
    lines_max: usize,
}

#[derive(Default)]
struct Kept {
    lines: Vec<String>,
    is_full: bool,
}

impl Log {
    pub(crate) fn new(sink: Arc<dyn LogSink>, lines_max: usize) -> Self {
        Self {
            sink,
            kept: Arc::default(),
            lines_max,
        }
    }

    /// Takes one text, which may hold several lines: all but the last line break are escaped.
    pub(crate) fn line(&self, level: Level, said: &str) {
        let said = said.strip_suffix('\n').unwrap_or(said);
        let mut line = text::one_line(text::beginning(said, LOG_LINE_BYTES_MAX));
        if said.len() > LOG_LINE_BYTES_MAX {
            line.push_str(&format!(
                " (cut: {} bytes, {LOG_LINE_BYTES_MAX} are shown)",
                said.len()
            ));
        }
        let (level, line) = {
            let mut kept = self.kept();
            if kept.is_full {
                return;
            }
            if kept.lines.len() >= self.lines_max {
                kept.is_full = true;
                let line = format!("more than {} lines, the rest is dropped", self.lines_max);
                kept.lines.push(format!("warn: {line}"));
                (Level::Warn, line)
            } else {
                kept.lines.push(format!("{}: {line}", level.as_str()));
                (level, line)
            }
        };
        self.sink.line(level, &line);
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.kept().lines.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_escaped_and_bounded_and_the_log_says_so() {
        let log = Log::new(Arc::new(NoLog), 2);
        log.line(Level::Info, "a\u{1b}[0m\n");
        log.line(Level::Debug, &"x".repeat(LOG_LINE_BYTES_MAX + 1));
        log.line(Level::Warn, "third");
        log.line(Level::Warn, "fourth");
        let lines = log.lines();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "info: a\\u{1b}[0m");
        assert!(
            lines[1].ends_with("(cut: 4097 bytes, 4096 are shown)"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], "warn: more than 2 lines, the rest is dropped");
    }
}

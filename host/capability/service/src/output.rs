//! Bounded output: written by the supervisor, read by everybody else.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use liftlock_disk::Redactor;

/// Most bytes of one stream of one launch that are kept; older output goes first, and a line says so.
///
/// 16 MiB: hours of a talkative upgrade, and a loop that prints cannot fill the journal's disk.
pub const OUTPUT_BYTES_MAX: u64 = 16 << 20;

/// Most lines of one read of a log. The contract's bound.
pub const LOG_LINES_MAX: u32 = 1_000;

/// Most bytes of one read of a log. The contract's bound.
pub const LOG_BYTES_MAX: u64 = 1 << 20;

/// A line without end is written in parts of this size.
const LINE_BYTES_MAX: usize = 64 << 10;

const DROPPED: &str = "[older output was dropped by liftlock]\n";

/// Copies until the other side closes: whole lines, redacted, bounded.
pub(crate) fn copy(mut from: impl Read, path: &Path, redactor: &Redactor) -> io::Result<()> {
    let mut sink = Sink::new(path)?;
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 8 << 10];
    loop {
        let n = match from.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            n => n?,
        };
        buffer.extend_from_slice(chunk.get(..n).unwrap_or_default());
        let whole = if n == 0 || buffer.len() > LINE_BYTES_MAX {
            buffer.len()
        } else {
            // A progress bar ends its lines with a return.
            let end = buffer
                .iter()
                .rposition(|byte| matches!(byte, b'\n' | b'\r'));
            end.map_or(0, |at| at + 1)
        };
        if whole > 0 {
            let lines: Vec<u8> = buffer.drain(..whole).collect();
            let text = redactor.redact(&String::from_utf8_lossy(&lines));
            // A full disk must not stop the process: its output goes on being taken, and is lost.
            let _ = sink.write(text.as_bytes());
        }
        if n == 0 {
            return sink.file.sync_all();
        }
    }
}

struct Sink {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Sink {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: create(path)?,
            bytes: 0,
        })
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.bytes + text.len() as u64 > OUTPUT_BYTES_MAX / 2 {
            std::fs::rename(&self.path, older(&self.path))?;
            self.file = create(&self.path)?;
            self.file.write_all(DROPPED.as_bytes())?;
            self.bytes = DROPPED.len() as u64;
        }
        self.file.write_all(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The end of a file, at most so many bytes of what stands behind `from`, beginning with a whole line.
pub(crate) fn tail(path: &Path, from: u64, bytes_max: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Shorter than it was: another file since, all of it is new.
    let from = if from > length { 0 } else { from };
    let begin = from.max(length.saturating_sub(bytes_max));
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if begin == from {
        return Ok(text);
    }
    Ok(text
        .split_once('\n')
        .map_or(String::new(), |(_, rest)| rest.to_owned()))
}

/// The end of a launch's output, over its rotation. Nothing written yet is an empty text.
pub(crate) fn launch_tail(path: &Path, bytes_max: u64) -> io::Result<String> {
    let missing_is_empty = |text: io::Result<String>| match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    };
    let new = missing_is_empty(tail(path, 0, bytes_max))?;
    let Some(new) = new.strip_prefix(DROPPED) else {
        return Ok(new);
    };
    let room = bytes_max.saturating_sub(new.len() as u64);
    let old = missing_is_empty(tail(&older(path), 0, room))?;
    // It was a new one once, and begins as that did.
    Ok(old.strip_prefix(DROPPED).unwrap_or(&old).to_owned() + new)
}

/// For terminals and web pages: control characters, and those that turn the writing around, are shown as numbers.
pub(crate) fn escape(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\t') || turns {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(&["canary-[0-9]+".into()], &[]).unwrap()
    }

    #[test]
    fn output_is_bounded_and_says_what_it_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("out");
        let line = format!("{}\n", "x".repeat(999));
        let amount = 2 * usize::try_from(OUTPUT_BYTES_MAX).unwrap() / line.len();
        let text = line.repeat(amount) + "last\n";
        copy(text.as_bytes(), &path, &redactor()).unwrap();
        let size = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(size(&path) + size(&older(&path)) <= OUTPUT_BYTES_MAX);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(DROPPED));
        let tail = launch_tail(&path, OUTPUT_BYTES_MAX).unwrap();
        assert!(tail.ends_with("x\nlast\n") && tail.len() as u64 > OUTPUT_BYTES_MAX / 2 - 2000);
        assert!(!tail.contains(DROPPED));
    }

    #[test]
    fn a_line_without_end_is_written_in_parts() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("out");
        let text = "y".repeat(3 * LINE_BYTES_MAX + 5);
        copy(text.as_bytes(), &path, &redactor()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_is_a_secret_is_not_written() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("out");
        copy(&b"a canary-4711 b\rcanary-1"[..], &path, &redactor()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "a [redacted] b\r[redacted]"
        );
    }

    #[test]
    fn a_tail_begins_with_a_whole_line_behind_the_mark() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&path, 0, 100).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(tail(&path, 4, 100).unwrap(), "two\nthree\n");
        assert_eq!(tail(&path, 0, 8).unwrap(), "three\n");
        assert_eq!(tail(&path, 1000, 100).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn no_control_character_reaches_a_terminal() {
        assert_eq!(escape("a\u{1b}[2J\tb\u{202e}ä"), "a\\u{1b}[2J\tb\\u{202e}ä");
    }
}

//! How far each shard is, and the documents that were not taken over: two files in the state directory.
//!
//! Beside the journal and not in the target: an index of the target would be one more that the run leaves, a document in
//! the destination would be counted with its own, and metadata of its mapping would be an update of the cluster state for
//! each batch. The record may lag behind what was written and never leads: it is saved after the answer, and each
//! document is created once. Without its files the work begins again and compares what is there.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::checksum::Sum;

/// How often it is saved. So much work is done again after a crash, and compared instead of written.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// What of one shard is done.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// All documents up to this sequence number.
    pub(crate) after: Option<u64>,
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// Over ids and sources of what was written.
    pub(crate) sum: Sum,
}

/// What a record is about: another one begins anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    /// SHA-256 of the change.
    pub(crate) change: String,
    /// Uuid.
    pub(crate) source: String,
    /// Uuid.
    pub(crate) destination: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    about: About,
    shards: BTreeMap<u32, Part>,
    rejected: u64,
    /// Bytes of the file of documents kept aside that belong to these parts; what is behind them will come again.
    aside_bytes: u64,
    /// Evidence of the end.
    ended: Option<Value>,
}

/// A document that was not taken over.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) id: String,
    pub(crate) routing: Option<String>,
    pub(crate) why: String,
    pub(crate) source: Box<RawValue>,
}

impl Aside {
    fn line(&self) -> String {
        let head = json!({"id": self.id, "routing": self.routing, "why": self.why}).to_string();
        // The source as it is: its numbers are not ours to rewrite.
        format!("{},\"source\":{}}}\n", &head[..head.len() - 1], self.source)
    }
}

/// The two files of one step.
#[derive(Debug)]
pub(crate) struct Record {
    place: PathBuf,
    saved: Saved,
    saved_at: Instant,
}

impl Record {
    /// What is known of the step; nothing, where there is none or it is about something else.
    pub(crate) fn open(place: &Path, about: About) -> io::Result<Self> {
        let saved = Self::read(place)?.filter(|saved| saved.about == about);
        Ok(Self {
            place: place.to_owned(),
            saved: saved.unwrap_or_else(|| Saved {
                about,
                shards: BTreeMap::new(),
                rejected: 0,
                aside_bytes: 0,
                ended: None,
            }),
            saved_at: Instant::now(),
        })
    }

    fn read(place: &Path) -> io::Result<Option<Saved>> {
        let file = beside(place, "json");
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                io::Error::other(format!(
                    "`{}` is no record of a transform ({error}); remove it, and the step begins anew and compares what is \
                     there",
                    file.display()
                ))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(named(&file, &error)),
        }
    }

    /// Makes ready to be written: its directory is there, and documents kept aside that will come again are out of their
    /// file.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        let dir = self.place.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| named(dir, &error))?;
        let file = self.aside_file();
        let cut = || -> io::Result<()> {
            let aside = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&file)?;
            if aside.metadata()?.len() < self.saved.aside_bytes {
                return Err(io::Error::other(
                    "it lacks documents that the record counts",
                ));
            }
            aside.set_len(self.saved.aside_bytes)?;
            aside.sync_all()
        };
        cut().map_err(|error| named(&file, &error))?;
        self.saved.ended = None;
        self.save()
    }

    pub(crate) fn part(&self, shard: u32) -> Part {
        self.saved.shards.get(&shard).cloned().unwrap_or_default()
    }

    /// All parts together.
    pub(crate) fn total(&self) -> Part {
        let mut total = Part::default();
        for part in self.saved.shards.values() {
            total.read += part.read;
            total.written += part.written;
            total.sum.add_sum(&part.sum);
        }
        total
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.saved.rejected
    }

    /// Evidence of the end, where it has ended.
    pub(crate) fn ended(&self) -> Option<&Value> {
        self.saved.ended.as_ref()
    }

    /// Where documents are kept aside.
    pub(crate) fn aside_file(&self) -> PathBuf {
        beside(&self.place, "rejected.ndjson")
    }

    /// Writes documents aside, durably. They count once a part is taken in with them.
    pub(crate) fn keep_aside(&self, asides: &[Aside]) -> io::Result<u64> {
        let file = self.aside_file();
        let text: String = asides.iter().map(Aside::line).collect();
        let keep = || -> io::Result<()> {
            let mut aside = OpenOptions::new().append(true).open(&file)?;
            aside.write_all(text.as_bytes())?;
            aside.sync_all()
        };
        keep().map_err(|error| named(&file, &error))?;
        Ok(text.len() as u64)
    }

    /// Takes in a page of a shard that is done: all of it is in the destination, or kept aside here.
    pub(crate) fn take(&mut self, shard: u32, page: &Part, asides: &[Aside]) -> io::Result<()> {
        if !asides.is_empty() {
            self.saved.aside_bytes += self.keep_aside(asides)?;
            self.saved.rejected += asides.len() as u64;
        }
        let part = self.saved.shards.entry(shard).or_default();
        part.after = page.after;
        part.read += page.read;
        part.written += page.written;
        part.sum.add_sum(&page.sum);
        if self.saved_at.elapsed() >= SAVED_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// Writes down that it has ended.
    pub(crate) fn end(&mut self, evidence: Value) -> io::Result<()> {
        self.saved.ended = Some(evidence);
        self.save()
    }

    /// All of it or nothing, and durable.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        let file = beside(&self.place, "json");
        let new = beside(&self.place, "json.new");
        let write = || -> io::Result<()> {
            let mut out = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&new)?;
            out.write_all(&serde_json::to_vec(&self.saved)?)?;
            out.sync_all()?;
            fs::rename(&new, &file)?;
            File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        write().map_err(|error| named(&file, &error))?;
        self.saved_at = Instant::now();
        Ok(())
    }
}

/// A step's name may hold a dot, so this is no extension that replaces one.
fn beside(place: &Path, ending: &str) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn named(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(destination: &str) -> About {
        About {
            change: "sha256:c".into(),
            source: "s".into(),
            destination: destination.into(),
        }
    }

    fn page(after: u64) -> Part {
        let mut sum = Sum::default();
        sum.add_text(&after.to_string(), "{}");
        Part {
            after: Some(after),
            read: 3,
            written: 2,
            sum,
        }
    }

    fn aside(id: &str) -> Aside {
        Aside {
            id: id.into(),
            routing: None,
            why: "a \"reason\"".into(),
            source: RawValue::from_string(r#"{"n":1.50}"#.into()).unwrap(),
        }
    }

    #[test]
    fn goes_on_where_it_was_saved_and_keeps_aside_what_belongs_to_that() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("run/step-1");
        let mut record = Record::open(&place, about("d")).unwrap();
        record.begin().unwrap();
        record.take(0, &page(7), &[aside("a")]).unwrap();
        record.save().unwrap();
        // A crash before it is saved again.
        record.take(0, &page(9), &[aside("b")]).unwrap();
        record.take(1, &page(9), &[]).unwrap();
        let mut again = Record::open(&place, about("d")).unwrap();
        assert_eq!(again.part(0), page(7));
        assert_eq!(again.part(1), Part::default());
        assert_eq!(again.rejected(), 1);
        again.begin().unwrap();
        assert_eq!(
            fs::read_to_string(again.aside_file()).unwrap(),
            "{\"id\":\"a\",\"routing\":null,\"why\":\"a \\\"reason\\\"\",\"source\":{\"n\":1.50}}\n"
        );
        // A step's name can hold a dot, and is one name all the same.
        assert_ne!(
            Record::open(&dir.path().join("run/a.1"), about("d"))
                .unwrap()
                .aside_file(),
            Record::open(&dir.path().join("run/a.2"), about("d"))
                .unwrap()
                .aside_file()
        );
    }

    #[test]
    fn a_record_of_another_destination_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("step");
        let mut record = Record::open(&place, about("d")).unwrap();
        record.begin().unwrap();
        record.take(0, &page(7), &[]).unwrap();
        record.save().unwrap();
        let other = Record::open(&place, about("e")).unwrap();
        assert_eq!(other.part(0), Part::default());
    }

    #[test]
    fn a_file_that_is_no_record_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("step");
        fs::write(dir.path().join("step.json"), "{").unwrap();
        let error = Record::open(&place, about("d")).unwrap_err().to_string();
        assert!(
            error.contains("step.json") && error.contains("remove it"),
            "{error}"
        );
    }
}

//! What a rehearsal came to: `rehearsals/RUN.json` beside `site.toml`, for git, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use liftlock_gate::{End, RunState, iso, now_ms};
use liftlock_types::{
    Binding, Digest, Finding, Plan, PlanFile, PluginRef, Severity, Step, StepId, TargetIdentity,
    Verb, Work,
};
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::escape;
use crate::failure::{self, Failure};
use crate::state::write_shared;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// Largest record that is read: 10,000 steps of less than a KiB.
const RECORD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A record with its hash, so that one that was edited is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    /// Of the record's compact JSON.
    hash: Digest,
    record: Record,
}

/// One rehearsal. A passed one certifies: this plan, on this data, on this day, took so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    /// The run in the journal of the rehearsals.
    pub(crate) run: String,
    /// The site.
    pub(crate) site: String,
    /// The product.
    pub(crate) product: String,
    /// Who planned.
    pub(crate) plugin: PluginRef,
    /// Version found.
    pub(crate) from: Option<String>,
    /// Version reached.
    pub(crate) to: String,
    /// [`Plan::shape`] of the plan.
    pub(crate) shape: Digest,
    /// Its hash.
    pub(crate) plan: Digest,
    /// Where it was performed.
    pub(crate) targets: BTreeMap<Binding, TargetIdentity>,
    /// SHA-256 over everything that was read to make the plan, with its answers: the data.
    pub(crate) data: Digest,
    /// Who rehearsed.
    pub(crate) by: String,
    /// ISO-8601.
    pub(crate) begun_at: String,
    /// ISO-8601.
    pub(crate) ended_at: String,
    /// From its first row in the journal to its last one, milliseconds.
    pub(crate) took_ms: u64,
    /// It stopped on the way and was resumed: its times hold the breaks.
    pub(crate) interrupted: bool,
    /// How it ended.
    pub(crate) outcome: RehearsalOutcome,
    /// As planned, in order.
    pub(crate) steps: Vec<RecordedStep>,
    /// Most bytes that the disk of each node held beyond what it held at the beginning, by `BINDING/NODE`; none: not
    /// measured. Others that write to the same disk are in it.
    pub(crate) peak_disk_bytes: Option<BTreeMap<String, u64>>,
    /// What the checks of the run said that is worth a look: id, severity, title.
    pub(crate) findings: Vec<(String, Severity, String)>,
}

/// How a rehearsal ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RehearsalOutcome {
    /// Every step was done and the validation passed.
    Passed,
    /// It was not.
    Failed {
        /// The exit code.
        exit: u8,
        /// At which step.
        step: Option<StepId>,
        /// Why.
        why: String,
    },
}

/// One step of a rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedStep {
    /// Its id.
    pub(crate) id: StepId,
    /// [`Step::shape`].
    pub(crate) shape: Digest,
    /// Where; none: it changes nothing.
    pub(crate) binding: Option<Binding>,
    /// What it did.
    pub(crate) verb: Option<Verb>,
    /// How much there was to do.
    pub(crate) work: Vec<Work>,
    /// From its first intent to its last outcome, milliseconds; none: it sent nothing, or is not done.
    pub(crate) took_ms: Option<u64>,
}

/// A rehearsal's run that came to an end or stopped.
pub(crate) struct Ended<'a> {
    /// As the gate has it.
    pub(crate) end: &'a End,
    /// The plan that it went by.
    pub(crate) file: &'a PlanFile,
    /// Who.
    pub(crate) by: &'a str,
    /// It was resumed.
    pub(crate) resumed: bool,
    /// As measured by this process.
    pub(crate) peak_disk_bytes: Option<BTreeMap<String, u64>>,
}

/// Writes down what a rehearsal came to, in the place of what was written of the same run before.
pub(crate) fn conclude(dir: &Path, ended: Ended<'_>) -> Result<(PathBuf, Record), Failure> {
    fs::create_dir_all(dir).map_err(|e| failure::file("make", dir, &e))?;
    let path = dir.join(format!("{}.json", ended.end.state.run));
    let before = match path.exists() {
        true => Some(read(&path)?),
        false => None,
    };
    let record = of(ended, before);
    let text = serde_json::to_string_pretty(&RecordFile {
        hash: hash(&record),
        record: record.clone(),
    })
    .map_err(|e| {
        Failure::new(Code::Internal, "the rehearsal cannot be written as JSON").because(&e)
    })?;
    write_shared(&path, format!("{text}\n").as_bytes())?;
    Ok((path, record))
}

fn of(ended: Ended<'_>, before: Option<Record>) -> Record {
    let Ended {
        end,
        file,
        by,
        resumed,
        peak_disk_bytes,
    } = ended;
    let (plan, state) = (&file.plan, &end.state);
    let reads = serde_json::to_vec(&file.reads).unwrap_or_default();
    let earlier = before
        .and_then(|before| before.peak_disk_bytes)
        .unwrap_or_default();
    let peak_disk_bytes = match peak_disk_bytes {
        None if earlier.is_empty() => None,
        measured => Some(higher(measured.unwrap_or_default(), earlier)),
    };
    Record {
        format: FORMAT,
        run: state.run.clone(),
        site: plan.site.clone(),
        product: plan.product.clone(),
        plugin: plan.plugin.clone(),
        from: plan.from.clone(),
        to: plan.to.clone(),
        shape: plan.shape(),
        plan: file.hash.clone(),
        targets: plan.bindings.clone(),
        data: Digest::of(&reads),
        by: by.to_owned(),
        begun_at: iso(state.begun_at_ms),
        ended_at: iso(now_ms()),
        took_ms: u64::try_from(state.last_at_ms - state.begun_at_ms).unwrap_or_default(),
        interrupted: resumed,
        outcome: match &end.halt {
            None => RehearsalOutcome::Passed,
            Some(halt) => RehearsalOutcome::Failed {
                exit: halt.exit.code(),
                step: halt.step.clone(),
                why: escape::line(&halt.why),
            },
        },
        steps: steps(plan, state),
        peak_disk_bytes,
        findings: findings(&end.findings),
    }
}

fn higher(mut one: BTreeMap<String, u64>, other: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    for (node, bytes) in other {
        let known = one.entry(node).or_default();
        *known = bytes.max(*known);
    }
    one
}

fn steps(plan: &Plan, state: &RunState) -> Vec<RecordedStep> {
    plan.steps
        .iter()
        .map(|step| RecordedStep {
            id: step.id.clone(),
            shape: step.shape(),
            binding: step.change().map(|planned| planned.binding.clone()),
            verb: step.change().map(|planned| planned.change.verb()),
            work: step.work.clone(),
            took_ms: took_ms(step, state),
        })
        .collect()
}

fn took_ms(step: &Step, state: &RunState) -> Option<u64> {
    let known = state.step(&step.id);
    let (first, last) = (known.attempts.first()?, known.last()?);
    let is_done = known.is_done() && last.outcome.is_some();
    is_done
        .then(|| u64::try_from(last.outcome_at_ms - first.intent_at_ms).unwrap_or_default())
        .filter(|_| step.change().is_some())
}

fn findings(all: &[Finding]) -> Vec<(String, Severity, String)> {
    all.iter()
        .filter(|finding| finding.severity != Severity::Info)
        .map(|finding| {
            (
                finding.id.clone(),
                finding.severity,
                escape::line(&finding.what),
            )
        })
        .collect()
}

fn hash(record: &Record) -> Digest {
    Digest::of(&serde_json::to_vec(record).unwrap_or_default())
}

/// One record; one that was edited, or of another format, is refused.
pub(super) fn read(path: &Path) -> Result<Record, Failure> {
    let text = || -> std::io::Result<String> {
        if fs::metadata(path)?.len() > RECORD_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "it has more than {RECORD_BYTES_MAX} bytes"
            )));
        }
        fs::read_to_string(path)
    };
    let text = text().map_err(|e| failure::file("read", path, &e))?;
    let unusable = |why: String| {
        Failure::new(
            Code::File,
            format!("`{}` is no record of a rehearsal", path.display()),
        )
        .cause(why)
        .remedy("put it back as it was written, or remove it and rehearse again")
    };
    let file: RecordFile =
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    if file.record.format != FORMAT {
        return Err(unusable(format!(
            "it has format {}, this version reads {FORMAT}",
            file.record.format
        )));
    }
    let computed = hash(&file.record);
    if computed != file.hash {
        return Err(unusable(format!(
            "its hash is `{}`, its content has `{computed}`: it was changed after it was written",
            file.hash
        )));
    }
    Ok(file.record)
}

/// All records in this directory, by name, and what is wrong with those that cannot be used.
pub(super) fn all(dir: &Path) -> (Vec<(PathBuf, Record)>, Vec<Failure>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    paths.sort();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path) {
            Ok(record) => good.push((path, record)),
            Err(failure) => bad.push(failure),
        }
    }
    (good, bad)
}

#[cfg(test)]
pub(super) mod tests {
    use liftlock_gate::{End, Halt};
    use liftlock_types::Exit;

    use super::*;
    use crate::view::plan::tests::sample;

    /// What a rehearsal of the sample came to, whose second step took so long.
    pub(crate) fn record(file: &PlanFile, took_ms: u64) -> Record {
        let mut record = of(ended(&end(None), file), None);
        record.steps[1].took_ms = Some(took_ms);
        record.took_ms = took_ms;
        record
    }

    fn end(halt: Option<Halt>) -> End {
        End {
            exit: halt.as_ref().map_or(Exit::Done, |halt| halt.exit),
            halt,
            state: RunState::new("r-1"),
            findings: vec![],
            left_behind: vec![],
            took_ms: 1,
            durable_writes: 1,
            watched: vec![],
        }
    }

    fn ended<'a>(end: &'a End, file: &'a PlanFile) -> Ended<'a> {
        Ended {
            end,
            file,
            by: "me",
            resumed: false,
            peak_disk_bytes: None,
        }
    }

    #[test]
    fn a_rehearsal_reads_back_and_one_that_was_edited_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = sample();
        let (path, record) = conclude(dir.path(), ended(&end(None), &file)).unwrap();
        assert_eq!(path, dir.path().join("r-1.json"));
        assert_eq!(read(&path).unwrap(), record);
        assert_eq!(record.outcome, RehearsalOutcome::Passed);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("61200000", "61200001", 1)).unwrap();
        let failure = read(&path).unwrap_err();
        assert!(failure.data().causes[0].contains("changed after it was written"));
        let (good, bad) = all(dir.path());
        assert_eq!((good.len(), bad.len()), (0, 1));
    }

    #[test]
    fn one_that_failed_says_where_and_one_that_went_on_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = sample();
        let mut halt = Halt::new(Exit::Resumable, "the disk is full");
        halt.step = Some(StepId::new("delete").unwrap());
        let failed = end(Some(halt));
        let measured = Some(BTreeMap::from([("cluster.database/n1".to_owned(), 7)]));
        let (_, record) = conclude(
            dir.path(),
            Ended {
                peak_disk_bytes: measured,
                ..ended(&failed, &file)
            },
        )
        .unwrap();
        let RehearsalOutcome::Failed { exit, step, why } = record.outcome else {
            panic!("it failed")
        };
        assert_eq!(
            (exit, step.unwrap().as_str(), why.as_str()),
            (20, "delete", "the disk is full")
        );
        let (path, record) = conclude(dir.path(), ended(&end(None), &file)).unwrap();
        assert_eq!(record.outcome, RehearsalOutcome::Passed);
        // What was measured before the break counts.
        assert_eq!(record.peak_disk_bytes.unwrap().len(), 1);
        assert_eq!(read(&path).unwrap().outcome, RehearsalOutcome::Passed);
    }
}

//! Judges a position: was anything lost, done twice, or guessed? And what must a person decide?

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use liftlock_testkit::FaultKind;
use liftlock_testkit::Record;
use liftlock_types::event::OutcomeKind;
use liftlock_types::rules::Class;
use regex_lite::Regex;
use serde_json::Value;

use crate::ledger::Answer;
use crate::ledger::Entry;
use crate::ledger::Seen;

/// Something that a person had to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// At which step.
    pub step: String,
    /// Why nobody else can.
    pub why: String,
}

/// What a position came to.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// What is not there, or there and should not be.
    pub lost: Vec<String>,
    /// What was sent again without a right to.
    pub repeated: Vec<String>,
    /// What was concluded without evidence.
    pub guessed: Vec<String>,
    /// What a person had to decide.
    pub doubts: Vec<Doubt>,
    /// For who reads: how it went.
    pub course: Vec<String>,
    /// Likewise, in all detail.
    pub entries: Vec<Entry>,
}

impl Verdict {
    /// Nothing of the three.
    pub fn is_good(&self) -> bool {
        self.lost.is_empty() && self.repeated.is_empty() && self.guessed.is_empty()
    }
}

/// The sends of a step without a right to: after one that may have had its effect, only a probe that said absent
/// gives it, and only for a class that may be repeated.
pub fn repeated(entries: &[Entry]) -> Vec<String> {
    let mut found = Vec::new();
    let mut last: BTreeMap<&str, Sent> = BTreeMap::new();
    for entry in entries {
        match &entry.seen {
            Seen::Act {
                step,
                class,
                change,
            } => {
                if let Some(sent) = last.get(step.as_str()) {
                    let had = sent.how.unwrap_or("sent, and the process was ended");
                    let harmless = matches!(sent.how, Some("refused" | "not-sent"));
                    let may_go_on = (sent.ended && change.may_go_on())
                        || (sent.forgotten && *class == Class::Convergent);
                    if !harmless && !sent.given_back && !sent.absent && !may_go_on {
                        found.push(format!(
                            "step `{step}` was sent again by life {} ({had} before), and no probe had said absent",
                            entry.life
                        ));
                    } else if !harmless && !sent.given_back && !class.may_repeat() {
                        found.push(format!(
                            "step `{step}` was sent again by life {}, and its class `{class:?}` forbids that",
                            entry.life
                        ));
                    }
                }
                last.insert(step, Sent::default());
                // A loan that went back is taken anew.
                if let Some(rest) = step.strip_prefix("give-back.")
                    && let Some((borrower, _)) = rest.rsplit_once('.')
                    && let Some(sent) = last.get_mut(borrower)
                {
                    sent.given_back = true;
                }
            }
            Seen::Acted { step, how } => {
                if let Some(sent) = last.get_mut(step.as_str()) {
                    sent.how = Some(how);
                }
            }
            Seen::Probe { step, answer, .. } => {
                if let Some(sent) = last.get_mut(step.as_str()) {
                    sent.absent = *answer == Answer::Absent;
                    sent.ended = matches!(answer, Answer::Partial | Answer::Indeterminate);
                }
            }
            Seen::DecidedNotDone { step } => {
                last.remove(step.as_str());
            }
            Seen::Forgotten { step } => {
                if let Some(sent) = last.get_mut(step.as_str()) {
                    sent.forgotten = true;
                }
            }
            _ => {}
        }
    }
    found
}

#[derive(Default)]
struct Sent {
    how: Option<&'static str>,
    absent: bool,
    /// It is at no work any more, and did not get to its end.
    ended: bool,
    given_back: bool,
    /// The journal lost its row. What is the same however often it is sent needs none (gate, rule 6).
    forgotten: bool,
}

/// Conclusions that the target itself contradicts, or that disown what this run sent.
pub fn guessed(entries: &[Entry]) -> Vec<String> {
    let mut found = Vec::new();
    let mut sent: BTreeSet<&str> = BTreeSet::new();
    for entry in entries {
        match &entry.seen {
            Seen::Act { step, .. } => {
                sent.insert(step);
            }
            Seen::Acted {
                step,
                how: "refused" | "not-sent",
            } => {
                sent.remove(step.as_str());
            }
            Seen::Concluded { step, kind, truth } => {
                if kind.is_done() && *truth == Some(false) {
                    found.push(format!(
                        "step `{step}` was concluded `{}` by life {}, and the target shows no such thing",
                        kind.as_str(),
                        entry.life
                    ));
                }
                if *kind == OutcomeKind::TrueNotOurs && sent.contains(step.as_str()) {
                    found.push(format!(
                        "step `{step}` was concluded `true-not-ours` by life {}, and this run had sent it",
                        entry.life
                    ));
                }
                if matches!(kind, OutcomeKind::Refused | OutcomeKind::NotSent)
                    && *truth == Some(true)
                {
                    found.push(format!(
                        "step `{step}` was concluded `{}` by life {}, and its effect is there",
                        kind.as_str(),
                        entry.life
                    ));
                }
            }
            _ => {}
        }
    }
    found
}

/// Without the requests of an attempt that was seen to do only a part of its work or none, or of which a person decided
/// that it did nothing: the step begins anew, with another token. Nor with that of one that the journal lost.
pub fn without_unfinished(mut records: Vec<Record>, entries: &[Entry]) -> Vec<Record> {
    for entry in entries {
        match &entry.seen {
            Seen::DecidedNotDone { step } => keep_last(&mut records, step),
            Seen::Concluded {
                step,
                kind: OutcomeKind::Partial | OutcomeKind::Refused,
                ..
            } => keep_last(&mut records, step),
            Seen::Forgotten { step } => {
                let first = records.iter().position(|it| attempt_of(it, step).is_some());
                first.map(|at| records.remove(at));
            }
            _ => {}
        }
    }
    records
}

/// Of the requests of this step only those of its last attempt.
fn keep_last(records: &mut Vec<Record>, step: &str) {
    let last = records.iter().filter_map(|it| attempt_of(it, step)).max();
    records.retain(|it| matches!(attempt_of(it, step), of if of.is_none() || of == last));
}

/// Of which attempt of this step a request is, by its token.
fn attempt_of(record: &Record, step: &str) -> Option<u32> {
    let token = record.opaque_id.as_deref()?;
    let (stem, number) = token.rsplit_once('-')?;
    let is_its = stem.strip_suffix(step)?.ends_with('-');
    is_its.then_some(number.parse().ok()?)
}

/// Requests that changed the target, by what they did, with how often.
pub fn effects(records: &[Record]) -> BTreeMap<String, usize> {
    let mut effects = BTreeMap::new();
    for record in records {
        let took = record.applied
            && record
                .status
                .is_none_or(|status| (200..300).contains(&status));
        // Of a request that lands late nobody hears what came of it; the state tells.
        let is_late = matches!(record.fault, Some(FaultKind::DeliverLate(_)));
        // Copies of a trial restore and the records of a server's tasks are this run's own, each time another one:
        // they are taken off as often as they are seen.
        let is_own = record.method == "DELETE"
            && (record.path.starts_with("/liftlock-trial-") || record.path.starts_with("/.tasks"));
        if may_change(record) && took && !is_late && !is_own {
            *effects
                .entry(without_dates(&format!("{} {}", record.line(), record.body)).into_owned())
                .or_default() += 1;
        }
    }
    effects
}

/// What had its effect more often than in the uninterrupted run.
pub fn more_than(
    effects: &BTreeMap<String, usize>,
    reference: &BTreeMap<String, usize>,
) -> Vec<String> {
    effects
        .iter()
        .filter(|(what, times)| **times > reference.get(*what).copied().unwrap_or(0))
        .map(|(what, times)| {
            let shown: String = what.chars().take(160).collect();
            format!(
                "the target carried out {times} times, not {}: {shown}",
                reference.get(what).copied().unwrap_or(0)
            )
        })
        .collect()
}

/// A POST that only asks changes nothing, nor does the check of a repository or what makes documents visible.
pub fn may_change(record: &Record) -> bool {
    const ASKS: [&str; 11] = [
        "_search",
        "_count",
        "_mget",
        "_msearch",
        "_refresh",
        "_flush",
        "_field_caps",
        "_validate",
        "_analyze",
        "_pit",
        "_verify",
    ];
    !matches!(record.method.as_str(), "GET" | "HEAD")
        && !record.path.split('/').any(|part| ASKS.contains(&part))
}

/// What differs from run to run: the pattern, what stands for it, and words of which one is in every text that the
/// pattern is found in. The words are looked for first, since they are found a hundred times as fast.
const VARIES: [(&str, &str, &[&str]); 5] = [
    // Tasks of the server are numbered.
    (
        r"(/_doc|_tasks)/([A-Za-z0-9_-]{22}):\d+",
        "$1/$2:N",
        &["/_doc/", "_tasks/"],
    ),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "DATE", &["Z"]),
    // A snapshot whose request provably never left gets the next attempt's name.
    (
        r"r-sweep-([a-z][a-z0-9.-]*-)?\d+",
        "r-sweep-${1}N",
        &["r-sweep-"],
    ),
    // The vendor's upgrader brings one along for a site that has none.
    (
        r#""(newInstallationId|installationId)":"[^"]*""#,
        "\"$1\":0",
        &["nstallationId\""],
    ),
    // Of a claim.
    (
        r#""(nonce|pid|pid_start|state_dir)":("[^"]*"|\d+)"#,
        "\"$1\":0",
        &["\"nonce\"", "\"pid", "\"state_dir\""],
    ),
];

/// The same, compiled. All of them are constants that parse: a test sees to it.
static VARYING: LazyLock<Vec<(Regex, &str, &[&str])>> = LazyLock::new(|| {
    VARIES
        .iter()
        .filter_map(|(pattern, by, words)| Some((Regex::new(pattern).ok()?, *by, *words)))
        .collect()
});

/// Without what differs from run to run: instants, numbers of tasks and attempts, the nonce of a claim.
pub fn without_dates(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for (pattern, by, words) in VARYING.iter() {
        if words.iter().any(|word| text.contains(word)) {
            text = Cow::Owned(pattern.replace_all(&text, *by).into_owned());
        }
    }
    text
}

/// How two states differ, a line each.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", expected, found, &mut lines);
    lines
}

/// The index in which the servers keep what became of tasks: this run's, where there was none before.
const RECORDS: &str = ".tasks";

/// Without what a report names: of a thing of ours that stays behind a person knows.
pub fn unnamed(lines: Vec<String>, left_behind: &[String]) -> Vec<String> {
    let is_named = |line: &String| {
        let names = line
            .split(['/', '`'])
            .filter(|name| name.contains("liftlock") || *name == RECORDS);
        names
            .into_iter()
            .any(|name| left_behind.iter().any(|text| text.contains(name)))
    };
    lines.into_iter().filter(|line| !is_named(line)).collect()
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::String(one), Value::String(other)) if one == other => {}
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                match other.get(key) {
                    Some(found) => compare(&format!("{path}/{key}"), value, found, lines),
                    None => lines.push(format!("`{path}/{key}` is not there")),
                }
            }
            for key in other.keys().filter(|key| !one.contains_key(*key)) {
                lines.push(format!("`{path}/{key}` is there and should not be"));
            }
        }
        (Value::String(one), Value::String(other))
            if without_dates(one) == without_dates(other) => {}
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}/{at}"), one, other, lines);
            }
        }
        _ if expected == found => {}
        _ => {
            let short = |value: &Value| value.to_string().chars().take(120).collect::<String>();
            lines.push(format!(
                "`{path}` is {}, it should be {}",
                short(found),
                short(expected)
            ));
        }
    }
}

#[cfg(test)]
mod tests;

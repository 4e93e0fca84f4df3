//! Positions: where a run is disturbed, and how.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use liftlock_testkit::Fault;
use liftlock_testkit::FaultOn;
use liftlock_testkit::Method;
use liftlock_testkit::Record;
use serde_json::json;

use crate::judge::may_change;
use crate::ledger::Place;
use crate::reference::Reference;
use crate::sweep::Disturbance;
use crate::ways::Way;
use crate::world::SLOW;

/// One request of the uninterrupted run, told apart from its likes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// `DELETE`.
    pub method: String,
    /// Its path.
    pub path: String,
    /// The how-manieth of this method and path, from 1.
    pub time: u64,
    /// It can change something.
    pub changes: bool,
}

impl Call {
    /// A fault that meets this request and no other.
    pub fn on(&self) -> FaultOn {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap_or(Method::GET);
        Fault::nth(self.time).matching(method, &self.path)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if self.time > 1 {
            write!(f, ", time {}", self.time)?;
        }
        Ok(())
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The connection drops; no effect.
    DropBefore,
    /// The effect, and no answer.
    DropAfter,
    /// The answer comes too late.
    Slow,
    /// A node that is not ready.
    Busy,
    /// A proxy's own page.
    NotFound,
    /// Yes, and no effect.
    Lie,
    /// Server tasks and their records are gone.
    TaskLost,
    /// Every index is blocked.
    DiskFull,
    /// The node is gone.
    NodeGone,
    /// The effect comes later.
    Late,
    /// One shard of a search fails.
    ShardFailure,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::DropBefore,
        Self::DropAfter,
        Self::Slow,
        Self::Busy,
        Self::NotFound,
        Self::Lie,
        Self::TaskLost,
        Self::DiskFull,
        Self::NodeGone,
        Self::Late,
        Self::ShardFailure,
    ];

    /// As a fault of the simulator.
    pub fn fault(self, on: FaultOn) -> Fault {
        match self {
            Self::DropBefore => on.drop_before(),
            Self::DropAfter => on.drop_after(),
            Self::Slow => on.slow(SLOW.as_millis().try_into().unwrap_or(u64::MAX)),
            Self::Busy => on.status(
                503,
                json!({"error": {"type": "cluster_block_exception", "reason": "not ready"}, "status": 503}),
            ),
            Self::NotFound => on.status(404, json!({"message": "no such page"})),
            Self::Lie => on.lie_200(),
            Self::TaskLost => on.task_lost(),
            Self::DiskFull => on.disk_full(),
            Self::NodeGone => on.node_gone(0),
            Self::Late => on.deliver_late(LATE.as_millis().try_into().unwrap_or(u64::MAX)),
            Self::ShardFailure => on.shard_failure(),
        }
    }

    /// Whether it means something for this request: a read that has its effect and no answer is one without an
    /// answer, and only a search has shards that fail.
    fn fits(self, call: &Call) -> bool {
        match self {
            Self::DropAfter | Self::Late => call.changes,
            Self::ShardFailure => call.path.contains("_search") || call.path.contains("_count"),
            Self::TaskLost => call.path.contains("_tasks") || call.changes,
            _ => true,
        }
    }
}

/// The troubles that any request that changes something can have: all but the last.
const OF_CHANGES: usize = Trouble::ALL.len() - 1;

/// When a late request lands by itself: while its effect is looked for.
const LATE: Duration = Duration::from_millis(40);

/// When a request that was held back lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Landing {
    /// The process was ended; the next one has looked once.
    AfterTheFirstLook,
    /// The process was ended; the next one is about to send the same again.
    BeforeTheRepeat,
    /// The process was ended; the next one has come to the end.
    AfterTheEnd,
    /// The process was ended, and the run goes back; it has looked once.
    DuringTheRollback,
}

impl Landing {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::AfterTheFirstLook,
        Self::BeforeTheRepeat,
        Self::AfterTheEnd,
        Self::DuringTheRollback,
    ];
}

/// What somebody else does to the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meddling {
    /// The index that the plan deletes stands there again, with a document of somebody else.
    Index,
    /// So does a template.
    Template,
    /// An entry of the update log, with another content.
    LogEntry,
    /// The schema version.
    Version,
    /// The service was started.
    Writer,
    /// The claim was removed.
    Claim,
}

impl Meddling {
    const ALL: [Self; 6] = [
        Self::Index,
        Self::Template,
        Self::LogEntry,
        Self::Version,
        Self::Writer,
        Self::Claim,
    ];
}

/// What becomes of the vendor's upgrader when the host is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is at its request of this number, and goes on when the next process has looked some times.
    Works(u32),
    /// It comes to its end, and leaves its status.
    Ends,
    /// It dies at its request of this number, without a status.
    Dies(u32),
    /// It comes to its end, and its status is lost.
    StatusLost,
}

impl Fate {
    /// It does not come to its end before the next process looks, so that no point behind its end is reached.
    fn is_early(self) -> bool {
        matches!(self, Self::Works(_) | Self::Dies(_))
    }
}

/// Requests of the upgrader at which it is caught: the first, some among its steps, and some of its sync.
const CAUGHT_AT: [u32; 4] = [1, 6, 14, 30];

/// One disturbance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The process is ended there, and the run resumed.
    Kill(Place),
    /// And ended again while it is resumed, at the point of this number.
    KillTwice(Place, usize),
    /// The process is ended there, and the run goes back.
    Rollback(Place),
    /// And is ended again while it goes back.
    KillInRollback(Place, usize),
    /// The run had ended well, and goes back; it is ended at the point of this number.
    RollbackOfTheEnd(usize),
    /// A request goes wrong.
    Fault(Call, Trouble),
    /// The one after the next that changes something, too.
    TwoFaults(Call, Trouble, Call, Trouble),
    /// A request goes wrong while the run goes back: the one of this number that changes something.
    FaultInRollback(Place, u64, Trouble),
    /// A request lands late.
    Late(Call, Landing),
    /// The target was put back to before the run, or to right after its claim.
    Rewound(Place, bool),
    /// Somebody else changed something.
    Meddled(Place, Meddling),
    /// The journal lost so many rows.
    LostTail(Place, usize),
    /// Another run begins while this one is there.
    Twins(Place),
    /// The runner froze there, another took over and ended, and the first goes on.
    Thawed(Place),
    /// The process is ended there, and the vendor's upgrader that it started is not.
    Orphan(Place, Fate),
}

impl Disturbance for Position {
    fn family(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::KillTwice(..) => "kill-twice",
            Self::Rollback(_) => "rollback",
            Self::KillInRollback(..) => "kill-in-rollback",
            Self::RollbackOfTheEnd(_) => "rollback-of-the-end",
            Self::Fault(..) => "fault",
            Self::TwoFaults(..) => "two-faults",
            Self::FaultInRollback(..) => "fault-in-rollback",
            Self::Late(..) => "late",
            Self::Rewound(..) => "rewound",
            Self::Meddled(..) => "meddled",
            Self::LostTail(..) => "lost-tail",
            Self::Twins(_) => "twins",
            Self::Thawed(_) => "thawed",
            Self::Orphan(..) => "orphan",
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(place) => write!(f, "killed at {place}"),
            Self::KillTwice(place, number) => {
                write!(f, "killed at {place}, and at point {number} of the resume")
            }
            Self::Rollback(place) => write!(f, "killed at {place}, then rolled back"),
            Self::KillInRollback(place, number) => write!(
                f,
                "killed at {place}, then rolled back and killed at point {number} of that"
            ),
            Self::RollbackOfTheEnd(number) => {
                write!(
                    f,
                    "rolled back after its end, and killed at point {number} of that"
                )
            }
            Self::Fault(call, trouble) => write!(f, "{trouble:?} at {call}"),
            Self::TwoFaults(one, first, other, second) => {
                write!(f, "{first:?} at {one}, {second:?} at {other}")
            }
            Self::FaultInRollback(place, number, trouble) => write!(
                f,
                "killed at {place}, then rolled back with {trouble:?} at change {number} of that"
            ),
            Self::Late(call, landing) => write!(f, "{call} lands late, {landing:?}"),
            Self::Rewound(place, with_claim) => write!(
                f,
                "killed at {place}, target put back to {}",
                if *with_claim {
                    "its claim"
                } else {
                    "before the run"
                }
            ),
            Self::Meddled(place, meddling) => {
                write!(f, "killed at {place}, and somebody changed: {meddling:?}")
            }
            Self::LostTail(place, rows) => {
                write!(f, "killed at {place}, and the journal lost {rows} rows")
            }
            Self::Twins(place) => write!(f, "another run begins while this one is at {place}"),
            Self::Thawed(place) => write!(f, "frozen at {place}, taken over, thawed"),
            Self::Orphan(place, fate) => {
                write!(f, "killed at {place}, and the vendor's upgrader: {fate:?}")
            }
        }
    }
}

/// Every position of a way, in an order that does not change while its plan does not.
pub fn all(reference: &Reference, way: &Way) -> Vec<Position> {
    every(reference, way.stands_still())
        .into_iter()
        .filter(|position| way.has(position.family()))
        .step_by(way.every.max(1))
        .collect()
}

fn every(reference: &Reference, is_ordered: bool) -> Vec<Position> {
    let mut positions: Vec<Position> = reference
        .places
        .iter()
        .cloned()
        .map(Position::Kill)
        .collect();
    let distinct = reference.distinct();
    let passed = reference.places.len();
    for (at, place) in distinct.iter().enumerate() {
        // A resume passes about as many points as were left; any of them serves, another one at each place.
        let left = passed
            - reference
                .places
                .iter()
                .position(|one| one == place)
                .unwrap_or_default();
        positions.push(Position::KillTwice(place.clone(), 1 + at * 7 % left.max(1)));
    }
    // Before the claim there is nothing that a rollback could take back.
    let began = distinct
        .iter()
        .position(|place| place.label == "journal.run-begun.after")
        .unwrap_or_default();
    let begun = &distinct[began..];
    positions.extend(begun.iter().cloned().map(Position::Rollback));
    for (at, place) in begun.iter().enumerate() {
        for turn in 0..KILLS_A_ROLLBACK {
            let number = 1 + (at * 5 + turn * 11) % (at * 4 + 8);
            positions.push(Position::KillInRollback(place.clone(), number));
        }
    }
    positions.extend((1..=ROLLBACK_POINTS).map(Position::RollbackOfTheEnd));
    let mut calls = calls(&reference.records, &reference.places_of_records());
    if !is_ordered {
        calls.sort();
    }
    for call in &calls {
        for trouble in Trouble::ALL {
            if trouble.fits(call) {
                positions.push(Position::Fault(call.clone(), trouble));
            }
        }
    }
    let changes: Vec<&Call> = calls.iter().filter(|call| call.changes).collect();
    for (at, pair) in changes.windows(2).enumerate() {
        for turn in 0..PAIRS_A_CALL {
            let kind = |by: usize| Trouble::ALL[(at + turn * 3 + by) % OF_CHANGES];
            positions.push(Position::TwoFaults(
                pair[0].clone(),
                kind(0),
                pair[1].clone(),
                kind(4 + turn),
            ));
        }
    }
    for (at, place) in begun.iter().enumerate().skip(1).step_by(2) {
        for turn in 0..FAULTS_A_ROLLBACK {
            let trouble = Trouble::ALL[(at + turn * 5) % OF_CHANGES];
            let number = 1 + (at + turn) as u64 % 6;
            positions.push(Position::FaultInRollback(place.clone(), number, trouble));
        }
    }
    for call in changes {
        for landing in Landing::ALL {
            positions.push(Position::Late(call.clone(), landing));
        }
    }
    for place in begun {
        positions.push(Position::Rewound(place.clone(), false));
        positions.push(Position::Rewound(place.clone(), true));
    }
    for place in begun {
        for meddling in Meddling::ALL {
            positions.push(Position::Meddled(place.clone(), meddling));
        }
    }
    for place in begun {
        for rows in LOST_ROWS {
            positions.push(Position::LostTail(place.clone(), rows));
        }
    }
    positions.extend(reference.places.iter().cloned().map(Position::Twins));
    positions.extend(reference.places.iter().cloned().map(Position::Thawed));
    positions.extend(orphans(reference));
    positions
}

/// At each point of the step that runs the vendor's upgrader, each fate of it that can be met there.
fn orphans(reference: &Reference) -> Vec<Position> {
    let Some(task) = &reference.task else {
        return Vec::new();
    };
    let mut fates = vec![Fate::Ends, Fate::StatusLost];
    fates.extend(CAUGHT_AT.map(Fate::Works));
    fates.extend(CAUGHT_AT.map(Fate::Dies));
    let mut positions = Vec::new();
    for place in reference.places.iter().filter(|place| place.step == *task) {
        let is_early = !BEHIND_THE_TASK
            .iter()
            .any(|label| place.label.starts_with(label));
        for fate in &fates {
            if is_early || !fate.is_early() {
                positions.push(Position::Orphan(place.clone(), *fate));
            }
        }
    }
    positions
}

/// Points that a step reaches only when its task has ended.
const BEHIND_THE_TASK: [&str; 2] = ["journal.outcome", "clean-up"];

/// Second kills of a rollback from one place.
const KILLS_A_ROLLBACK: usize = 3;

/// Points of a rollback of the whole run at which it is killed; one that it does not reach is a rollback without a
/// kill.
const ROLLBACK_POINTS: usize = 140;

/// Pairs of faults for each two changes in a row.
const PAIRS_A_CALL: usize = 4;

/// Faults in a rollback from one place.
const FAULTS_A_ROLLBACK: usize = 2;

/// How many rows a journal loses: the last one, some, and more than a step has.
const LOST_ROWS: [usize; 3] = [1, 3, 9];

/// The requests that a fault can meet. Of reads of one kind between two points the first stands for all.
fn calls(records: &[Record], places: &[usize]) -> Vec<Call> {
    let mut times: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut calls = Vec::new();
    for (record, place) in records.iter().zip(places) {
        let time = times
            .entry((record.method.as_str(), record.path.as_str()))
            .or_default();
        *time += 1;
        let changes = may_change(record);
        if known.insert((record.method.as_str(), shape(&record.path), *place)) {
            calls.push(Call {
                method: record.method.clone(),
                path: record.path.clone(),
                time: *time,
                changes,
            });
        }
    }
    calls
}

/// A path with the names of indices left out.
fn shape(path: &str) -> String {
    path.split('/')
        .map(|part| {
            if part.starts_with("optimize") || part.starts_with("liftlock-trial") {
                "*"
            } else {
                part
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}

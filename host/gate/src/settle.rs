//! What became of a change: the read-back after an answer, and the probe after a crash or a lost answer.

use std::time::Duration;

use liftlock_types::event::OutcomeKind;
use liftlock_types::{Attempt, Capability, Change, Exit, Probed, ReadError};
use serde_json::Value;

use crate::boot_time_ms;
use crate::clock::pause_ms;
use crate::defect::Defect;
use crate::observer::Happening;
use crate::pass::Passing;
use crate::runner::{Halt, Runner};

/// How long the gate waits before it concludes from what it does not see. Shorter only on simulated targets,
/// whose clocks are ours.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long an effect that the target confirmed may take until it can be read.
    ///
    /// Half a minute: an acknowledged cluster-state update is on every node within the servers' own 30 s
    /// publication time-out, or it is not acknowledged.
    pub effect_ms: u64,
    /// How long after a request without an answer its absent effect is looked for before the identical request
    /// is sent again.
    ///
    /// Ten seconds: in the lab a DELETE to a stopped node was carried out 6 s after its client had died. A bound
    /// we chose, not a proof: the request stays unaccounted until its effect is seen, and only an identical,
    /// repeatable request is sent meanwhile.
    pub settle_ms: u64,
    /// How long a target that cannot be read is waited for before the run stops, resumable.
    pub unreadable_ms: u64,
    /// How often each cluster is looked at while the run goes, for the report; 0: never.
    ///
    /// Two seconds: a restart of a node is seen, and a look costs nothing.
    pub watch_every_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            effect_ms: 30_000,
            settle_ms: 10_000,
            unreadable_ms: 120_000,
            watch_every_ms: 2_000,
        }
    }
}

/// Shortest and longest pause between two looks.
const LOOK_MS: (u64, u64) = (20, 1_000);

/// What settling came to, when it came to something that is no reason to stop.
pub(crate) enum Settled {
    /// Concluded.
    Done,
    /// No effect: the identical request may be sent again.
    MayRepeat,
    /// A task that may be run again, whose process is gone without a status; concluded as partial.
    RunAgain,
}

impl Runner {
    /// After a crash: what became of the open attempt of this step?
    pub(crate) async fn settle(&self, passing: &Passing<'_>) -> Result<Settled, Halt> {
        let step = self.state().step(passing.id);
        let Some((open, intent)) = step
            .open()
            .and_then(|open| open.intent.as_ref().map(|intent| (open, intent)))
        else {
            return Ok(Settled::MayRepeat);
        };
        let attempt = self.attempt(passing, open.number, &intent.change);
        self.tell(Happening::Note(format!(
            "step {} was under way when the run stopped: looking what became of it",
            passing.id
        )));
        self.check_identity(&passing.planned.binding).await?;
        self.read_back(
            passing,
            &intent.change.clone(),
            &attempt,
            open.number,
            false,
        )
        .await
    }

    /// What can be seen of a change that was concluded before, once the target has looked to the end.
    pub(crate) async fn look_again(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
    ) -> Result<Probed, Halt> {
        let capability = self.capability(&passing.planned.binding)?;
        let attempt = self.attempt(passing, number, change);
        loop {
            let probed = capability
                .probe(change, &attempt)
                .await
                .map_err(|error| self.unavailable("what was done", &error).at(passing.id))?;
            let Probed::InProgress(progress) = probed else {
                return Ok(probed);
            };
            self.tell(Happening::Progress {
                step: passing.id.clone(),
                progress,
            });
            self.pause(Duration::from_millis(LOOK_MS.1)).await?;
        }
    }

    /// Looks until what happened is proved, or it is proved that it cannot be. `number` is the journal's.
    pub(crate) async fn read_back(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        attempt: &Attempt,
        number: u32,
        answered: bool,
    ) -> Result<Settled, Halt> {
        let capability = self.capability(&passing.planned.binding)?;
        let begun = boot_time_ms();
        let mut readable = begun;
        let mut absent_since = None;
        loop {
            let mut pause = pause_ms(begun, LOOK_MS);
            if self.stop.is_now() {
                return Err(self.stopped_by_person());
            }
            self.reach(&["probe", "before"], Some(passing.id), number)
                .await;
            let seen = self.look(&*capability, change, attempt, answered).await;
            self.reach(&["probe", "after"], Some(passing.id), number)
                .await;
            if seen.is_ok() {
                readable = boot_time_ms();
            }
            match seen {
                Err(error) => {
                    if boot_time_ms().saturating_sub(readable) > self.timing.unreadable_ms {
                        return Err(self
                            .unavailable("what became of the change", &error)
                            .at(passing.id));
                    }
                    self.tell(Happening::Retrying {
                        what: format!("the read-back of step {}", passing.id),
                        why: error.to_string(),
                    });
                    pause = LOOK_MS.1;
                }
                Ok(Probed::Applied { evidence, ours }) => {
                    let kind = if ours || answered {
                        OutcomeKind::AppliedOurs
                    } else {
                        OutcomeKind::TrueUnknownWhose
                    };
                    // What a person must know of how it came about: a process that had to be killed.
                    let note = evidence.get("note").and_then(Value::as_str);
                    let why = note.unwrap_or_default().to_owned();
                    self.conclude(passing, change, number, kind, evidence, true, &why)
                        .await?;
                    return Ok(Settled::Done);
                }
                Ok(Probed::InProgress(progress)) => {
                    absent_since = None;
                    self.tell(Happening::Progress {
                        step: passing.id.clone(),
                        progress,
                    });
                }
                Ok(Probed::Absent(seen)) => {
                    let since = *absent_since.get_or_insert_with(boot_time_ms);
                    let absent_ms = boot_time_ms().saturating_sub(since);
                    if let Some(settled) = self
                        .absent(passing, change, attempt, number, answered, absent_ms, seen)
                        .await?
                    {
                        return Ok(settled);
                    }
                }
                Ok(Probed::Partial(seen)) if change.may_go_on() => {
                    let why = "it ended before it was done";
                    self.half_done(passing, change, number, &seen, why).await?;
                    return Err(self.ended_early(passing, change, &seen));
                }
                Ok(Probed::Partial(seen)) => {
                    let why = "only a part of it is to be seen";
                    self.half_done(passing, change, number, &seen, why).await?;
                    return Err(self.person(passing, &format!("{why}: {seen}")));
                }
                Ok(Probed::Indeterminate(seen)) if change.is_rerun_safe() => {
                    let why = "its process is gone and left no status";
                    self.half_done(passing, change, number, &seen, why).await?;
                    // After a crash of the host it went the same way; in a living one somebody ended it.
                    return if answered {
                        Err(self.ended_early(passing, change, &seen))
                    } else {
                        Ok(Settled::RunAgain)
                    };
                }
                Ok(Probed::Indeterminate(seen)) => {
                    let why = "what is there is neither what was nor what should be";
                    self.doubt(passing, change, number, &seen, answered, why)
                        .await?;
                    return Err(self.person(passing, &format!("{why}: {seen}")));
                }
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// A repeat was refused, and the attempt before it had no answer: that one may have landed meanwhile, and be why.
    /// None: it has not, the refusal counts.
    pub(crate) async fn landed_meanwhile(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        attempt: &Attempt,
        number: u32,
    ) -> Result<Option<Settled>, Halt> {
        let capability = self.capability(&passing.planned.binding)?;
        match capability.probe(change, attempt).await {
            Ok(Probed::Absent(_)) => Ok(None),
            _ => self
                .read_back(passing, change, attempt, number, false)
                .await
                .map(Some),
        }
    }

    async fn look(
        &self,
        capability: &dyn Capability,
        change: &Change,
        attempt: &Attempt,
        answered: bool,
    ) -> Result<Probed, ReadError> {
        if answered && self.lacks(Defect::ReadBackSkipped) {
            return Ok(Probed::Applied {
                evidence: Value::Null,
                ours: true,
            });
        }
        if !answered && self.lacks(Defect::ProbeAlwaysAbsent) {
            return Ok(Probed::Absent(Value::Null));
        }
        let probed = capability.probe(change, attempt).await?;
        Ok(match probed {
            Probed::InProgress(_) if !answered && self.lacks(Defect::RunningNotAttached) => {
                Probed::Absent(Value::Null)
            }
            probed => probed,
        })
    }

    /// No effect is to be seen. `None`: look on.
    #[expect(clippy::too_many_arguments, reason = "one look at one attempt")]
    async fn absent(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        attempt: &Attempt,
        number: u32,
        answered: bool,
        absent_ms: u64,
        seen: Value,
    ) -> Result<Option<Settled>, Halt> {
        if answered {
            if absent_ms <= self.timing.effect_ms {
                return Ok(None);
            }
            let why = "the target confirmed it, and its effect is not there";
            self.conclude(
                passing,
                change,
                number,
                OutcomeKind::Refused,
                seen,
                false,
                why,
            )
            .await?;
            return Err(Halt::new(self.failed(), why.to_owned()).at(passing.id).remedy(
                "find out what stands between us and the target (a proxy, a stale node), then resume",
            ));
        }
        if self.lacks(Defect::LateNotAwaited) || self.lacks(Defect::RunningNotAttached) {
            return Ok(Some(Settled::MayRepeat));
        }
        if !change.class().may_repeat() {
            let why = "it was sent, no answer came, and nothing shows whether it happened";
            self.doubt(passing, change, number, &seen, false, why)
                .await?;
            return Err(self.person(passing, why));
        }
        if absent_ms <= self.timing.settle_ms {
            return Ok(None);
        }
        let capability = self.capability(&passing.planned.binding)?;
        match capability.in_flight(change, attempt).await {
            Ok(false) => {
                self.tell(Happening::Note(format!(
                    "step {}: no effect and nothing in flight after {} s; sending the identical request again",
                    passing.id,
                    self.timing.settle_ms / 1000
                )));
                Ok(Some(Settled::MayRepeat))
            }
            Ok(true) => Ok(None),
            Err(error) => {
                self.tell(Happening::Retrying {
                    what: "requests in flight".into(),
                    why: error.to_string(),
                });
                Ok(None)
            }
        }
    }

    /// A part of it is there. Who took over concludes; a runner that lost its claim does not.
    async fn half_done(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
        seen: &Value,
        why: &str,
    ) -> Result<(), Halt> {
        self.check_claims().await?;
        let kind = OutcomeKind::Partial;
        self.conclude(passing, change, number, kind, seen.clone(), true, why)
            .await
    }

    /// It cannot be told. Who took over concludes; a runner that lost its claim does not.
    async fn doubt(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
        seen: &Value,
        accounted: bool,
        why: &str,
    ) -> Result<(), Halt> {
        self.check_claims().await?;
        let kind = OutcomeKind::Doubt;
        self.conclude(passing, change, number, kind, seen.clone(), accounted, why)
            .await
    }

    fn ended_early(&self, passing: &Passing<'_>, change: &Change, seen: &Value) -> Halt {
        let resume = format!("`liftlock resume {}`", self.run);
        Halt::new(self.failed(), format!("it ended before it was done: {seen}"))
            .at(passing.id)
            .remedy(if change.is_rerun_safe() {
                format!(
                    "read its output and mend what it names; then {resume} runs it again, which the plan declares safe"
                )
            } else if change.builds_beside_writers() {
                format!(
                    "mend what it names; then {resume} drops what is unfinished of the index, and builds it again"
                )
            } else if matches!(change, Change::Transform { .. }) {
                format!(
                    "mend what it names; then {resume} goes on after the last batch that the index took, and compares \
                     what is there already"
                )
            } else if matches!(change, Change::RestoreInto { .. }) {
                format!(
                    "mend what it names, or delete by hand an index of it that did not come back whole; then {resume} \
                     restores what is missing"
                )
            } else {
                format!(
                    "mend what it names; then {resume} copies again, under the same ids, into the index that this run \
                     made"
                )
            })
    }

    fn person(&self, passing: &Passing<'_>, why: &str) -> Halt {
        Halt::new(Exit::PersonNeeded, why.to_owned()).at(passing.id).remedy(format!(
            "look at the target; then `liftlock resume {run} --decide {step}=done --reason ...` if the change is \
             there as the plan has it, or `--decide {step}=not-done --reason ...` if nothing of it is",
            run = self.run,
            step = passing.id
        ))
    }
}

//! The one path of every change: authorise, observe, intend, act, read back, conclude.
//!
//! [`Runner::pass`] is the only function of the host that calls [`liftlock_types::Capability::act`].

use std::collections::BTreeMap;
use std::time::Duration;

use liftlock_types::event::{Event, Intent, Outcome, OutcomeKind};
use liftlock_types::rules::{Borrow, Class};
use liftlock_types::{
    Acted, Attempt, Change, Digest, Exit, Facts, Planned, Probed, RestsOn, StepId,
};
use serde_json::Value;

use crate::defect::Defect;
use crate::observer::Happening;
use crate::runner::{Halt, Runner};
use crate::settle::Settled;
use crate::state::GIVE_BACK;
use crate::{boot_time_ms, iso, now_ms};

/// Oldest reading of what a change rests on when it is sent (gate, rule 1).
///
/// Two seconds: longer than any read of the lab's servers took, short enough that a runner that was frozen
/// looks again before it sends.
const AUTHORISED_MS_MAX: u64 = 2_000;

/// How often authorising may come out older than that before the run stops: a target that slow is not healthy.
const AUTHORISE_TRIES_MAX: u32 = 10;

/// How long an answer is waited for; written into the intent.
const ANSWER_MS_MAX: u64 = 120_000;

/// How long a target that says "later" (a snapshot runs, too many requests) is asked again.
///
/// Half an hour: a nightly snapshot of a large site. After it the run stops and can be resumed.
const LATER_MS_MAX: u64 = 1_800_000;

/// Between two such requests.
const LATER_EVERY: Duration = Duration::from_secs(5);

/// Most attempts of one step in one process: a request that gets no answer so often needs a person to look.
const ATTEMPTS_MAX: usize = 400;

/// Room kept on the journal's disk for the outcome of a change in flight, bytes.
const OUTCOME_BYTES: u64 = 256 * 1024;

/// A change on its way through the gate.
pub(crate) struct Passing<'a> {
    /// The step, or the step whose loan it gives back.
    pub id: &'a StepId,
    /// The change.
    pub planned: &'a Planned,
    /// Facts from the plan; none for a give-back, which is checked by what the borrower left.
    pub facts: Option<&'a Facts>,
    /// What the plugin marked.
    pub rests_on: &'a [RestsOn],
    /// Whose idea it is.
    pub origin: Origin<'a>,
}

impl<'a> Passing<'a> {
    /// Without facts of the plan: what the host makes itself, and what is only looked at.
    pub(crate) fn without_facts(id: &'a StepId, planned: &'a Planned, origin: Origin<'a>) -> Self {
        Self {
            id,
            planned,
            facts: None,
            rests_on: &[],
            origin,
        }
    }
}

/// Whose idea a change is; what allows it follows from that.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A step of the plan, or an undo that the plan wrote out.
    Plan,
    /// The host's way back from this change, by what it had kept.
    Undo(&'a Planned),
    /// The host's way back to what this change took.
    GoingBack(&'a Planned),
    /// The end of a task that this run began.
    Cancel,
}

impl Runner {
    /// Brings one change about, or says why not. Concluded when this returns `Ok`.
    pub(crate) async fn pass(&self, passing: &Passing<'_>) -> Result<(), Halt> {
        let capability = self.capability(&passing.planned.binding)?;
        if self.state().step(passing.id).open().is_some() {
            match self.settle(passing).await? {
                Settled::Done => return Ok(()),
                Settled::MayRepeat | Settled::RunAgain => {}
            }
        }
        let mut later_since = None;
        loop {
            let earlier = self.state().step(passing.id);
            let number = earlier.next_number();
            if earlier.attempts.len() >= ATTEMPTS_MAX {
                return Err(Halt::new(
                    self.failed(),
                    format!("{ATTEMPTS_MAX} attempts had no effect"),
                )
                .at(passing.id));
            }
            // A repeat sends what was sent before, to the byte; a step that gave its loan back starts afresh.
            let sent = earlier.last().and_then(|attempt| attempt.intent.as_ref());
            let change = match sent {
                Some(intent) => intent.change.clone(),
                None => passing
                    .planned
                    .filled(
                        &iso(now_ms()),
                        &named(
                            self.run.as_str(),
                            &passing.planned.change,
                            earlier.taken_back,
                        ),
                    )
                    .map_err(|error| Halt::new(Exit::Internal, error.to_string()).at(passing.id))?,
            };
            let mut attempt = self.attempt(passing, number, &change);

            self.authorise_standing(passing).await?;
            let mut tries = 0;
            let (observed, facts, read_at) = loop {
                let begun = boot_time_ms();
                self.reach(&["observe", "before"], Some(passing.id), number)
                    .await;
                let observed = capability
                    .observe(&change, &attempt)
                    .await
                    .map_err(|error| {
                        self.unavailable("what the step changes", &error)
                            .at(passing.id)
                    })?;
                if observed.already_true {
                    break (observed, Facts::new(), begun);
                }
                self.reach(&["facts", "before"], Some(passing.id), number)
                    .await;
                let facts = self.authorise_facts(passing, &change).await?;
                self.check_claims().await?;
                if boot_time_ms().saturating_sub(begun) <= AUTHORISED_MS_MAX {
                    break (observed, facts, begun);
                }
                tries += 1;
                if tries >= AUTHORISE_TRIES_MAX {
                    return Err(Halt::new(
                        Exit::Resumable,
                        format!("reading what the change rests on took longer than {AUTHORISED_MS_MAX} ms, {tries} times"),
                    )
                    .at(passing.id)
                    .remedy("see why the target answers so slowly, then resume; nothing was sent for this step"));
                }
            };
            if observed.already_true {
                return self
                    .already_true(passing, number, &change, observed.evidence)
                    .await;
            }

            attempt.kept = observed.kept.clone();
            attempt.facts = facts.clone();
            let intent = Intent {
                epoch: self
                    .state()
                    .claims
                    .values()
                    .map(|(epoch, _)| *epoch)
                    .max()
                    .unwrap_or(0),
                binding: passing.planned.binding.clone(),
                change_hash: Digest::of(
                    serde_json::to_string(&change)
                        .unwrap_or_default()
                        .as_bytes(),
                ),
                change: change.clone(),
                token: attempt.token.clone(),
                class: change.class(),
                facts,
                kept: observed.kept,
                // What gives a loan back borrows nothing.
                borrowed: passing.facts.and(observed.borrowed),
                deadline_ms: ANSWER_MS_MAX,
            };
            self.journal
                .reserve(OUTCOME_BYTES)
                .await
                .map_err(|error| Halt::journal(&error))?;
            let once = matches!(intent.class, Class::Opaque | Class::Tokened);
            self.write_step(passing.id, number, Event::Intent(intent))
                .await?;
            if once {
                // A journal that lost its tail must not begin again what makes a second object.
                self.write_head().await?;
            }
            attempt.intent_at_ms = now_ms();

            self.reach(&["act", "before"], Some(passing.id), number)
                .await;
            let read_ms_ago = boot_time_ms().saturating_sub(read_at);
            // The journal was slow, or this process stood still: the claim may be another's by now.
            if read_ms_ago > AUTHORISED_MS_MAX {
                let why = format!("it was authorised {read_ms_ago} ms before: authorised again");
                self.conclude(
                    passing,
                    &change,
                    number,
                    OutcomeKind::NotSent,
                    Value::Null,
                    true,
                    &why,
                )
                .await?;
                continue;
            }
            let acted = tokio::time::timeout(
                Duration::from_millis(ANSWER_MS_MAX),
                capability.act(&change, &attempt),
            )
            .await
            .unwrap_or_else(|_| Acted::Unanswered(format!("no answer within {ANSWER_MS_MAX} ms")));
            self.reach(&["act", "after"], Some(passing.id), number)
                .await;
            match acted {
                Acted::NotSent(why) => {
                    self.conclude(
                        passing,
                        &change,
                        number,
                        OutcomeKind::NotSent,
                        Value::Null,
                        true,
                        &why,
                    )
                    .await?;
                    let exit = if self.state().has_sent() {
                        Exit::Resumable
                    } else {
                        Exit::Unreachable
                    };
                    return Err(Halt::new(exit, format!("the target cannot be reached: {why}"))
                        .at(passing.id)
                        .remedy("bring the target back, then resume; nothing was sent for this step"));
                }
                Acted::Refused {
                    status,
                    kind,
                    text,
                    later,
                } => {
                    if self.state().step(passing.id).has_unaccounted()
                        && let Some(settled) = self
                            .landed_meanwhile(passing, &change, &attempt, number)
                            .await?
                    {
                        match settled {
                            Settled::Done => return Ok(()),
                            Settled::MayRepeat | Settled::RunAgain => continue,
                        }
                    }
                    let why = format!("the target refused with status {status}, `{kind}`: {text}");
                    self.conclude(
                        passing,
                        &change,
                        number,
                        OutcomeKind::Refused,
                        Value::Null,
                        true,
                        &why,
                    )
                    .await?;
                    let since = *later_since.get_or_insert_with(boot_time_ms);
                    if !later || boot_time_ms().saturating_sub(since) > LATER_MS_MAX {
                        return Err(Halt::new(self.failed(), why).at(passing.id).remedy(
                            "mend what the target names, then resume; the step was refused and changed nothing",
                        ));
                    }
                    self.tell(Happening::Waiting {
                        step: passing.id.clone(),
                        label: "the target to take the change".into(),
                        why,
                    });
                    self.pause(LATER_EVERY).await?;
                }
                Acted::Answered(value) => {
                    attempt.answer = Some(value);
                    match self
                        .read_back(passing, &change, &attempt, number, true)
                        .await?
                    {
                        Settled::Done => return Ok(()),
                        Settled::MayRepeat | Settled::RunAgain => {}
                    }
                }
                Acted::Unanswered(why) => {
                    self.tell(Happening::Retrying {
                        what: format!("the answer to step {}", passing.id),
                        why,
                    });
                    match self
                        .read_back(passing, &change, &attempt, number, false)
                        .await?
                    {
                        Settled::Done => return Ok(()),
                        Settled::MayRepeat | Settled::RunAgain => {}
                    }
                }
            }
        }
    }

    /// What a capability is told about an attempt, with what the journal has of it. `number` is the journal's.
    ///
    /// Its number and token go into names in the target, and rise only after a bad end was read: a repeat of a
    /// request that may still land is the identical request.
    pub(crate) fn attempt(&self, passing: &Passing<'_>, number: u32, change: &Change) -> Attempt {
        let referred = change.refers_to().and_then(|step| {
            let state = self.state().step(step);
            state.outcome().map(|outcome| outcome.evidence.clone())
        });
        let mut made_by_run = BTreeMap::new();
        if let Some(facts) = self.state().facts.get(&passing.planned.binding) {
            made_by_run.extend(facts.clone());
        }
        let step = self.state().step(passing.id);
        let ended = step
            .ever()
            .filter(|attempt| attempt.number < number && attempt.outcome.is_some())
            .count();
        let named = u32::try_from(ended).unwrap_or(u32::MAX).saturating_add(1);
        let mut attempt = Attempt {
            run: self.run.clone(),
            step: passing.id.clone(),
            number: named,
            token: token(self.run.as_str(), passing.id, named),
            intent_at_ms: now_ms(),
            kept: Value::Null,
            facts: Facts::new(),
            answer: None,
            referred,
            made_by_run,
        };
        let recorded = step.ever().find(|recorded| recorded.number == number);
        if let Some((recorded, intent)) =
            recorded.and_then(|recorded| Some((recorded, recorded.intent.as_ref()?)))
        {
            attempt.token.clone_from(&intent.token);
            attempt.intent_at_ms = recorded.intent_at_ms;
            attempt.kept.clone_from(&intent.kept);
            attempt.facts.clone_from(&intent.facts);
        }
        attempt
    }

    /// In the plan, inside the grant, same targets, claim still ours, writers still stopped.
    async fn authorise_standing(&self, passing: &Passing<'_>) -> Result<(), Halt> {
        let allowed = match passing.origin {
            Origin::Plan => self.grant.allow_change(passing.planned),
            Origin::Undo(of) => self.grant.allow_undo(of, passing.planned),
            Origin::GoingBack(take) => self.grant.allow_going_back(take, passing.planned),
            Origin::Cancel => Ok(()),
        };
        allowed.map_err(|denied| {
            Halt::new(Exit::Stale, denied.rule.clone())
                .at(passing.id)
                .remedy(format!("grants.toml: {}", denied.allowed_by))
        })?;
        self.check_identity(&passing.planned.binding).await?;
        self.check_claims().await?;
        // What is neutral goes back at every end, also where a service that was stopped runs again (gate, rule 4).
        if passing.id.as_str().starts_with(GIVE_BACK)
            && matches!(passing.origin, Origin::Undo(of) if of.change.rule().borrows == Some(Borrow::Neutral))
        {
            return Ok(());
        }
        self.check_standing(passing.id).await
    }

    /// The facts that the change rests on are what the plan, or this run's own steps, made of them.
    async fn authorise_facts(&self, passing: &Passing<'_>, change: &Change) -> Result<Facts, Halt> {
        let binding = &passing.planned.binding;
        let now = self
            .capability(binding)?
            .facts(change)
            .await
            .map_err(|error| {
                self.unavailable("what the step rests on", &error)
                    .at(passing.id)
            })?;
        if self.lacks(Defect::OtherObjectTaken) {
            return Ok(now);
        }
        if let Some(planned) = passing.facts {
            let state = self.state();
            let made = state.facts.get(binding);
            for (key, then) in planned {
                let expected = made.and_then(|made| made.get(key)).unwrap_or(then);
                let found = now.get(key).unwrap_or(&Value::Null);
                if found != expected {
                    return Err(
                        self.stale(passing.id, &format!("{key} was {expected}, is {found}"))
                    );
                }
            }
        }
        for rests in passing.rests_on {
            let answer = self
                .capability(&rests.reading.binding)?
                .read(&rests.reading.read)
                .await
                .map_err(|error| {
                    self.unavailable("what the step rests on", &error)
                        .at(passing.id)
                })?;
            let then = rests.answer.value();
            if answer != then {
                let what = serde_json::to_string(&rests.reading.read).unwrap_or_default();
                return Err(self.stale(passing.id, &format!("{what} was {then}, is {answer}")));
            }
        }
        Ok(now)
    }

    /// The post-condition read true before anything was sent in this attempt.
    async fn already_true(
        &self,
        passing: &Passing<'_>,
        number: u32,
        change: &Change,
        evidence: Value,
    ) -> Result<(), Halt> {
        let step = self.state().step(passing.id);
        let Some(last) = step.last().filter(|last| last.intent.is_some()) else {
            let why = "it was so before; nothing was sent";
            return self
                .conclude(
                    passing,
                    change,
                    number,
                    OutcomeKind::TrueNotOurs,
                    evidence,
                    true,
                    why,
                )
                .await;
        };
        // An attempt of ours came before: what is seen may be its effect.
        let attempt = self.attempt(passing, last.number, change);
        let probed = self
            .capability(&passing.planned.binding)?
            .probe(change, &attempt)
            .await;
        let kind = match probed {
            Ok(Probed::Applied { ours: true, .. }) => OutcomeKind::AppliedOurs,
            _ => OutcomeKind::TrueUnknownWhose,
        };
        let number = if last.outcome.is_none() {
            last.number
        } else {
            number
        };
        let why = "it reads true after an attempt of ours that was not seen to succeed; nothing was sent again";
        self.conclude(passing, change, number, kind, evidence, true, why)
            .await
    }

    /// Writes the outcome with its evidence and the facts after it, then takes off what the attempt left beside.
    #[expect(clippy::too_many_arguments, reason = "the parts of one row")]
    pub(crate) async fn conclude(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
        kind: OutcomeKind,
        evidence: Value,
        accounted: bool,
        why: &str,
    ) -> Result<(), Halt> {
        let capability = self.capability(&passing.planned.binding)?;
        let facts_after = if kind.is_done() {
            capability.facts(change).await.map_err(|error| {
                self.unavailable("the facts after the step", &error)
                    .at(passing.id)
            })?
        } else {
            Facts::new()
        };
        let binding = passing.planned.binding.clone();
        let outcome = Outcome {
            binding,
            kind,
            evidence,
            facts_after,
            accounted,
            why: why.into(),
        };
        self.write_step(passing.id, number, Event::Outcome(outcome))
            .await?;
        if is_cleaned_after(change, kind) {
            self.clean_up(passing, change, number).await?;
        }
        self.tell(Happening::Concluded {
            step: passing.id.clone(),
            kind,
            why: why.into(),
        });
        Ok(())
    }

    /// Takes off what the attempt left beside its effect; what stays is written down. Safe to repeat.
    pub(crate) async fn clean_up(
        &self,
        passing: &Passing<'_>,
        change: &Change,
        number: u32,
    ) -> Result<(), Halt> {
        let attempt = self.attempt(passing, number, change);
        self.reach(&["clean-up", "before"], Some(passing.id), number)
            .await;
        let cleaned = self
            .capability(&passing.planned.binding)?
            .clean_up(change, &attempt)
            .await;
        self.reach(&["clean-up", "after"], Some(passing.id), number)
            .await;
        let what = cleaned.unwrap_or_else(|error| {
            vec![format!(
                "what step {} left beside its effect: {error}",
                passing.id
            )]
        });
        let known = self.state().step(passing.id);
        if what == known.left {
            return Ok(());
        }
        self.write_step(passing.id, known.left_rows + 1, Event::LeftBeside { what })
            .await
    }

    /// Tries once more to take off what could not be taken off before.
    pub(crate) async fn clean_up_again(&self) -> Result<(), Halt> {
        let state = self.state();
        for (id, step) in state.steps.iter().filter(|(_, step)| !step.left.is_empty()) {
            let Some((number, sent)) = step
                .attempts
                .iter()
                .rev()
                .find_map(|attempt| Some((attempt.number, attempt.sent()?)))
            else {
                continue;
            };
            let passing = Passing::without_facts(id, &sent, Origin::Plan);
            self.clean_up(&passing, &sent.change, number).await?;
        }
        Ok(())
    }
}

/// Does an attempt that ended so leave something beside its effect that is to be taken off?
pub(crate) fn is_cleaned_after(change: &Change, kind: OutcomeKind) -> bool {
    (kind.is_done() && kind != OutcomeKind::TrueNotOurs)
        || (kind == OutcomeKind::Partial && change.is_cleaned_after_failing())
}

/// Goes where the target can hold it; the same in every process.
pub(crate) fn token(run: &str, step: &StepId, number: u32) -> String {
    format!("liftlock-{run}-{step}-{number}")
}

/// What stands for the run's id in a change.
///
/// A request to a product's API makes something new. Done anew after its unit was taken back, it makes another one:
/// under the name of the first its post-condition would be true before anything was sent, and nothing would be.
fn named(run: &str, change: &Change, taken_back: u32) -> String {
    match change {
        Change::EndpointRequest(_) if taken_back > 0 => format!("{run}.again-{taken_back}"),
        _ => run.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use liftlock_types::{DoneWhen, EndpointPath, EndpointRequest, Json, Method, Predicate};

    use super::*;

    #[test]
    fn a_request_that_is_done_anew_has_a_name_of_its_own() {
        let done = Predicate::Answers {
            path: "/count".into(),
            query: vec![("key".into(), "{run-id}-n1".into())],
            status: 200,
            subset: Json::new(r#"{"count":1}"#).unwrap(),
        };
        let request = EndpointRequest::new(
            Method::Post,
            EndpointPath::new("/start").unwrap(),
            Vec::new(),
            Some(Json::new(r#"{"key":"{run-id}-n1"}"#).unwrap()),
            DoneWhen {
                predicate: done,
                negated: false,
            },
        );
        let change = Change::EndpointRequest(request.unwrap());
        assert_eq!(named("r", &change, 0), "r");
        assert_eq!(named("r", &change, 2), "r.again-2");
        assert_eq!(named("r", &Change::StopService {}, 2), "r");
    }
}

//! The same call again from recorded reads: what determinism is, and how it is tested.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use liftlock_types::{Binding, Proposal, Read, ReadError, Reading};
use serde_json::Value;

use crate::call::{Call, Called, ReadMade, ReadSource, Refusal};
use crate::fault::PluginFault;
use crate::plugin::Plugin;

type Answers = HashMap<String, VecDeque<Result<Value, ReadError>>>;

/// Answers from the reads of an earlier call, in any order.
///
/// A read made several times gets its answers in their order, and then the last one again. A read that was not
/// recorded is `unavailable`.
#[derive(Debug)]
pub struct Recorded {
    answers: Mutex<Answers>,
}

impl Recorded {
    /// Of the reads of a call.
    pub fn new(reads: &[ReadMade]) -> Self {
        let mut answers = Answers::new();
        for (reading, answer) in reads {
            answers
                .entry(key(&reading.binding, &reading.read))
                .or_default()
                .push_back(answer.clone());
        }
        Self {
            answers: Mutex::new(answers),
        }
    }
}

#[async_trait]
impl ReadSource for Recorded {
    async fn read(&self, binding: &Binding, read: &Read) -> Result<Value, ReadError> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers
            .get_mut(&key(binding, read))
            .and_then(|queue| match queue.len() {
                0 | 1 => queue.front().cloned(),
                _ => queue.pop_front(),
            });
        answer.unwrap_or_else(|| {
            Err(ReadError::Unavailable(format!(
                "this read was not recorded: {} on `{binding}`",
                read.verb()
            )))
        })
    }
}

fn key(binding: &Binding, read: &Read) -> String {
    let reading = Reading {
        binding: binding.clone(),
        read: read.clone(),
    };
    serde_json::to_string(&reading).unwrap_or_else(|_| format!("{reading:?}"))
}

/// How much later a replay is: a plan approved at noon runs at night.
///
/// Clock and random bytes follow the call's instant, so what a plugin takes from the time, or from the order of a
/// hash map, differs in a replay and shows.
const REPLAY_LATER_MS: u64 = 8 * 3_600_000 + 1;

/// What came of planning again from the same reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// The same proposal, or the same refusal.
    Same,
    /// Something else: the plugin does not plan from what it reads alone. One line for each difference.
    Different(Vec<String>),
}

impl Plugin {
    /// Plans again from the reads of `called` alone, some hours later, and compares.
    pub async fn replay(
        &self,
        call: &Call,
        called: &Called<Result<Proposal, Refusal>>,
    ) -> Result<Replay, PluginFault> {
        let again = Call {
            reader: Arc::new(Recorded::new(&called.reads)),
            now_ms: call.now_ms.saturating_add(REPLAY_LATER_MS),
            ..call.clone()
        };
        let again = self.plan(&again).await?;
        Ok(match (&called.value, &again.value) {
            (Ok(first), Ok(second)) if first != second => {
                Replay::Different(differences(first, second))
            }
            (first, second) if first == second => Replay::Same,
            (Ok(_), Err(refusal)) => Replay::Different(vec![format!("it refused: {refusal}")]),
            (Err(_), Ok(_)) => Replay::Different(vec!["it planned where it had refused".into()]),
            _ => Replay::Different(vec!["it refused for another reason".into()]),
        })
    }

    /// Does it plan the same from the same reads?
    pub async fn is_deterministic(
        &self,
        call: &Call,
        called: &Called<Result<Proposal, Refusal>>,
    ) -> Result<bool, PluginFault> {
        Ok(self.replay(call, called).await? == Replay::Same)
    }
}

fn differences(first: &Proposal, second: &Proposal) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &first.steps {
        match second.steps.iter().find(|other| other.id == step.id) {
            None => lines.push(format!("step `{}` is gone", step.id)),
            Some(other) if other != step => lines.push(format!("step `{}` differs", step.id)),
            Some(_) => {}
        }
    }
    for step in &second.steps {
        if !first.steps.iter().any(|other| other.id == step.id) {
            lines.push(format!("step `{}` is new", step.id));
        }
    }
    if lines.is_empty() && first.steps != second.steps {
        lines.push("the steps stand in another order".into());
    }
    if (&first.summary, &first.not_done, &first.hand_overs)
        != (&second.summary, &second.not_done, &second.hand_overs)
    {
        lines.push("the texts beside the steps differ".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        Binding::new("cluster.database").unwrap()
    }

    fn made(answer: u64) -> ReadMade {
        (
            Reading {
                binding: binding(),
                read: Read::Health,
            },
            Ok(answer.into()),
        )
    }

    #[tokio::test]
    async fn a_repeated_read_gets_its_answers_in_order_and_then_the_last() {
        let recorded = Recorded::new(&[made(1), made(2)]);
        for wanted in [1, 2, 2] {
            let answer = recorded.read(&binding(), &Read::Health).await.unwrap();
            assert_eq!(answer, Value::from(wanted));
        }
    }

    #[tokio::test]
    async fn a_read_that_was_not_recorded_is_unavailable() {
        let recorded = Recorded::new(&[made(1)]);
        let error = recorded.read(&binding(), &Read::Nodes).await.unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)));
    }
}

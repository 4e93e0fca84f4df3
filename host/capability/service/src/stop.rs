//! Signal, grace, kill.
//!
//! All of it is done by a task of its own, which goes on when nobody waits for it: a grace can be longer than a change
//! may take to be answered. Until that task is over the probe says *in progress*. It ends with this process; then
//! nothing is killed any more, and a resume finds what the signal alone came to.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use liftlock_types::Acted;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::config::{Stop, StopSignal};
use crate::process::Process;
use crate::service::Inner;
use crate::status::{state_of, word};

/// When processes that were asked to end are looked for first; then twice as long each time.
const LOOK_FIRST: Duration = Duration::from_millis(10);

/// How often they are looked for at the least.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a kill may take to be seen: the kernel frees memory and closes files first.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// Longest text of a command's complaint in an answer.
const COMPLAINT_CHARS_MAX: usize = 500;

/// How long a stop is waited for before it is followed by its probe: the longest grace of a restart, a kill and a
/// margin, well within the two minutes that the gate gives.
const ANSWER_WITHIN: Duration = Duration::from_secs(75);

impl Inner {
    /// Asks the service to end, waits, kills what is left. Once anything was sent the answer is `Ok`, and a look
    /// at the service says what came of it, when [`Inner::is_stopping`] says no.
    pub(crate) async fn stop(self: &Arc<Self>, token: &str) -> Result<Value, Acted> {
        self.stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.to_owned(), Instant::now());
        let (inner, of) = (Arc::clone(self), token.to_owned());
        let work = tokio::spawn(async move {
            let over = Over(Arc::clone(&inner), of);
            inner.end(&over.1).await
        });
        match tokio::time::timeout(ANSWER_WITHIN, work).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => Err(Acted::Unanswered(format!("it was not followed: {error}"))),
            Err(_) => Ok(json!({ "grace_ms": self.config.grace_ms })),
        }
    }

    /// Since when the processes of this attempt's service are asked to end, while that goes on.
    pub(crate) fn is_stopping(&self, token: &str) -> Option<Duration> {
        self.stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(token)
            .map(Instant::elapsed)
    }

    async fn end(&self, token: &str) -> Result<Value, Acted> {
        let look = self
            .look()
            .await
            .map_err(|error| Acted::NotSent(error.to_string()))?;
        let before = state_of(&look.signs);
        if word(&before) == "stopped" {
            return Ok(json!({ "was": "stopped" }));
        }
        let grace = Duration::from_millis(self.config.grace_ms);
        let until = Instant::now() + grace;
        let mut complaint = None;
        match &self.config.stop {
            Stop::Signal(signal) => {
                if look.found.processes.is_empty() {
                    return Err(refused(
                        "no-process",
                        "no process of it is known: name a pid file or a pattern, or a stop command",
                    ));
                }
                let sent = send(&look.found.processes, signal_of(*signal));
                if sent.signalled == 0
                    && let Some(error) = sent.error
                {
                    return Err(refused(
                        "not-permitted",
                        &format!("it cannot be signalled: {error}"),
                    ));
                }
            }
            Stop::Command(argv) => match self.prepared(argv, None, token).run(false, grace).await {
                Ok(said) if said.code == 0 => {}
                Ok(said) => complaint = Some(format!("its stop command ended with {}", said.code)),
                Err(crate::command::CommandError::NotStarted(error)) => {
                    return Err(refused(
                        "not-started",
                        &format!("its stop command: {error}"),
                    ));
                }
                Err(error) => complaint = Some(format!("its stop command: {error}")),
            },
        }
        // One that ends loses its environment and command line, by which it is found, before its sockets: until it
        // has ended its port can still answer.
        let ending = || look.found.processes.iter().any(Process::lives);
        let mut pause = LOOK_FIRST;
        let mut left = loop {
            match self.find().await {
                Ok(found)
                    if (found.processes.is_empty() && !ending()) || Instant::now() > until =>
                {
                    break found.processes;
                }
                Err(_) if Instant::now() > until => break Vec::new(),
                _ => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LOOK_EVERY);
                }
            }
        };
        let killed = left.len();
        if killed > 0
            && let Err(error) = self.home.set_killing(token)
        {
            tracing::warn!(%error, "a kill cannot be written down");
        }
        let until = Instant::now() + KILL_DEADLINE;
        while !left.is_empty() && Instant::now() < until {
            // Again and again: one can be made while another is killed.
            send(&left, Signal::KILL);
            tokio::time::sleep(LOOK_EVERY).await;
            if let Ok(found) = self.find().await {
                left.retain(Process::lives);
                left.extend(found.processes);
                left.sort();
                left.dedup();
            }
        }
        let complaint: Option<String> =
            complaint.map(|text| text.chars().take(COMPLAINT_CHARS_MAX).collect());
        Ok(json!({
            "was": word(&before),
            "processes": look.found.processes.len(),
            "killed": killed,
            "left": left.len(),
            "complaint": complaint,
        }))
    }
}

/// Takes an attempt off the list of those that go on, however it ends.
struct Over(Arc<Inner>, String);

impl Drop for Over {
    fn drop(&mut self) {
        self.0
            .stopping
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.1);
    }
}

struct Sent {
    signalled: usize,
    error: Option<io::Error>,
}

fn send(processes: &[Process], signal: Signal) -> Sent {
    let mut sent = Sent {
        signalled: 0,
        error: None,
    };
    for process in processes {
        match process.signal(signal) {
            // Gone by itself is as good.
            Ok(_) => sent.signalled += 1,
            Err(error) => sent.error = Some(error),
        }
    }
    sent
}

fn signal_of(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
    }
}

pub(crate) fn refused(kind: &str, text: &str) -> Acted {
    Acted::Refused {
        status: 409,
        kind: kind.into(),
        text: text.into(),
        later: false,
    }
}

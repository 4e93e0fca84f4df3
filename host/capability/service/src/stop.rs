//! Signal, grace, kill.

use std::io;
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

impl Inner {
    /// Asks the service to end, waits, kills what is left. Once anything was sent the answer is `Ok`, and a look
    /// at the service says what came of it.
    pub(crate) async fn stop(&self, token: &str) -> Result<Value, Acted> {
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

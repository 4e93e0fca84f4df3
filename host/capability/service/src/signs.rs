//! Port, health, log line: what a service shows of itself.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use liftlock_http::trusting_machine;
use regex_lite::Regex;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::output;
use crate::status::{Health, Port};

/// How long a port is waited for; on the same machine it answers in microseconds.
const PORT_DEADLINE: Duration = Duration::from_secs(1);

/// How long a health check is waited for: a service that is busy with its start can be slow to say so.
pub(crate) const HEALTH_DEADLINE: Duration = Duration::from_secs(5);

/// How long right before a change: the gate sends within two seconds of its first look, and a service that hangs
/// must still be one that can be stopped.
pub(crate) const HEALTH_DEADLINE_BRIEF: Duration = Duration::from_secs(1);

/// How much of a log is looked through for the line that says ready.
const LINE_BYTES_MAX: u64 = 16 << 20;

pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    trusting_machine(reqwest::Client::builder())
        // Where a check leads is no longer the service that was asked; and a proxy is never between it and us.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
}

pub(crate) async fn port(host: &str, port: u16) -> Port {
    match timeout(PORT_DEADLINE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Port::Open,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Port::Refused,
        Ok(Err(error)) => Port::Silent(error.to_string()),
        Err(_) => Port::Silent(format!("no answer within {} s", PORT_DEADLINE.as_secs())),
    }
}

pub(crate) async fn health(client: &reqwest::Client, url: &str, deadline: Duration) -> Health {
    match client.get(url).timeout(deadline).send().await {
        Ok(answer) if answer.status().is_success() => Health::Ready,
        Ok(answer) => Health::Answers(answer.status().as_u16()),
        Err(error) if is_refused(&error) => Health::Refused,
        // Without the URL, which can hold a password.
        Err(error) if error.is_timeout() => Health::Silent("no answer in time".into()),
        Err(error) => Health::Silent(innermost(&error.without_url())),
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Does a line behind `from` match? A log that is not there yet has none.
pub(crate) fn line_in(path: &Path, from: u64, pattern: &Regex) -> io::Result<bool> {
    match output::tail(path, from, LINE_BYTES_MAX) {
        Ok(text) => Ok(has_line(&text, pattern)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Does a line of a launch's output match?
pub(crate) fn line_in_output(path: &Path, pattern: &Regex) -> io::Result<bool> {
    output::launch_tail(path, LINE_BYTES_MAX).map(|text| has_line(&text, pattern))
}

fn has_line(text: &str, pattern: &Regex) -> bool {
    text.lines().any(|line| pattern.is_match(line))
}

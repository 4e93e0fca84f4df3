//! Which request meets which fault.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use regex_lite::Regex;
use tokio::sync::watch;

use super::Record;
use crate::error::LabError;
use crate::process::ProcessId;

/// Before the server is asked, or after it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the server is asked.
    Before,
    /// After the server has answered, before the client gets the answer.
    After,
}

/// How a request goes on after a [`Fault::Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// As if nothing had been.
    GoOn,
    /// The connection is closed.
    Drop,
}

/// Something done to a request on purpose.
#[derive(Clone)]
pub enum Fault {
    /// The connection is closed; with [`When::After`] the server has done what was asked.
    Drop(When),
    /// The client gets this answer; the server is not asked.
    Answer {
        /// The status.
        status: u16,
        /// The body, sent as JSON.
        body: String,
    },
    /// The request waits before it is forwarded.
    Delay(Duration),
    /// The request waits until it is released, then is forwarded, even if its client is gone.
    Hold(Hold),
    /// A process is killed with SIGKILL and the connection is closed. With [`When::Before`] the
    /// server is never asked; with [`When::After`] it has done what was asked.
    Kill(When, ProcessId),
    /// A function of the test is called with the record so far, and says how to go on.
    Call(When, Arc<dyn Fn(&Record) -> Then + Send + Sync>),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(when) => write!(f, "drop {when:?}"),
            Self::Answer { status, .. } => write!(f, "answer {status}"),
            Self::Delay(time) => write!(f, "delay {} ms", time.as_millis()),
            Self::Hold(_) => f.write_str("hold"),
            Self::Kill(when, process) => write!(f, "kill {} {when:?}", process.pid),
            Self::Call(when, _) => write!(f, "call {when:?}"),
        }
    }
}

/// Holds requests back until it is released, once and for all.
#[derive(Clone, Debug)]
pub struct Hold(watch::Sender<bool>);

impl Default for Hold {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Hold {
    /// A hold that is not released yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets every request go that waits or will come.
    pub fn release(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn released(&self) {
        // It cannot fail: this holds a sender.
        let _ = self.0.subscribe().wait_for(|released| *released).await;
    }
}

#[derive(Clone, Debug)]
enum PathTest {
    Any,
    Contains(String),
    Pattern(Regex),
}

/// The requests that a fault is for.
#[derive(Clone, Debug)]
pub struct Rule {
    method: Option<String>,
    path: PathTest,
    /// The matching requests it applies to, from 1 on; none means all.
    nth: Option<usize>,
    fault: Fault,
}

impl Rule {
    /// This fault for every request; narrow it with the other functions.
    pub fn new(fault: Fault) -> Self {
        Self {
            method: None,
            path: PathTest::Any,
            nth: None,
            fault,
        }
    }

    /// Only for this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only where path and query contain this text.
    #[must_use]
    pub fn path(mut self, part: &str) -> Self {
        self.path = PathTest::Contains(part.to_owned());
        self
    }

    /// Only where the pattern is found in path and query.
    pub fn path_pattern(mut self, pattern: &str) -> Result<Self, LabError> {
        let regex = Regex::new(pattern).map_err(|error| {
            LabError::malformed(format!("pattern `{pattern}`"), error.to_string())
        })?;
        self.path = PathTest::Pattern(regex);
        Ok(self)
    }

    /// Only for the n-th request that matches, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.nth = Some(n);
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && match &self.path {
                PathTest::Any => true,
                PathTest::Contains(part) => path.contains(part),
                PathTest::Pattern(regex) => regex.is_match(path),
            }
    }
}

/// The rules with their counts, and the count of all requests.
#[derive(Default)]
pub(super) struct Rules {
    rules: Vec<(Rule, usize)>,
    requests: usize,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn next_number(&mut self) -> usize {
        self.requests += 1;
        self.requests
    }

    /// Counts the request for every rule it matches; the first that applies decides.
    pub(super) fn decide(&mut self, method: &str, path: &str) -> Option<Fault> {
        let mut decided = None;
        for (rule, count) in &mut self.rules {
            if rule.matches(method, path) {
                *count += 1;
                if decided.is_none() && rule.nth.is_none_or(|n| n == *count) {
                    decided = Some(rule.fault.clone());
                }
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(fault: Option<Fault>) -> Option<u16> {
        match fault {
            Some(Fault::Answer { status, .. }) => Some(status),
            _ => None,
        }
    }

    fn answer(status: u16) -> Rule {
        Rule::new(Fault::Answer {
            status,
            body: String::new(),
        })
    }

    #[test]
    fn counts_only_what_matches() {
        let mut rules = Rules::default();
        rules.add(answer(503).method("DELETE").path("/a").nth(2));
        assert_eq!(status(rules.decide("DELETE", "/a")), None);
        assert_eq!(status(rules.decide("GET", "/a")), None);
        assert_eq!(status(rules.decide("DELETE", "/b")), None);
        assert_eq!(status(rules.decide("DELETE", "/a?x=1")), Some(503));
        assert_eq!(status(rules.decide("DELETE", "/a")), None);
    }

    #[test]
    fn the_first_rule_that_applies_decides_and_all_count() {
        let mut rules = Rules::default();
        rules.add(answer(429).path("/a").nth(1));
        rules.add(answer(503).path_pattern("^/a(/|$)").unwrap().nth(2));
        assert_eq!(status(rules.decide("GET", "/a")), Some(429));
        assert_eq!(status(rules.decide("GET", "/a")), Some(503));
        assert!(answer(500).path_pattern("(").is_err());
    }
}

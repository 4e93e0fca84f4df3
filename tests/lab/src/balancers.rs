//! What HAProxy and nginx in the lab share: the servers behind them.

/// One server behind a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehindIt {
    /// Its name in the balancer's configuration, of letters, digits and dashes.
    pub name: String,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// It gets no request; with nginx there is no other way to say so.
    pub is_down: bool,
}

impl BehindIt {
    /// A server that gets requests.
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
            is_down: false,
        }
    }

    /// The same, kept from requests.
    #[must_use]
    pub fn down(mut self) -> Self {
        self.is_down = true;
        self
    }
}

/// Longest time a balancer waits for one answer, in seconds: longer than any poll of a test.
pub(crate) const ANSWER_SECONDS_MAX: u64 = 60;

/// Longest start or reload; 0.1 s were seen.
pub(crate) const START_SECONDS_MAX: u64 = 20;

/// Time to end before SIGKILL. Asked by SIGTERM both end at once and cut what is open.
pub(crate) const STOP_SECONDS_MAX: u64 = 10;

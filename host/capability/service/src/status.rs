//! Signs to state: pure.

use liftlock_types::facts::service::State;

/// What a service shows of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signs {
    /// Processes that are known to be its own.
    pub(crate) processes: usize,
    /// A process that runs would be known: the operator named a pid file or a pattern.
    pub(crate) tells_processes: bool,
    /// None: no port is named.
    pub(crate) port: Option<Port>,
    /// None: no URL is named.
    pub(crate) health: Option<Health>,
    /// None: no line is waited for.
    pub(crate) line: Option<bool>,
    /// A process of its own is younger than its start time.
    pub(crate) is_young: bool,
    /// What its check is.
    pub(crate) check: Check,
}

/// Which sign means ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Check {
    #[default]
    Port,
    Http,
    Line,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Port {
    Open,
    Refused,
    /// Neither: why.
    Silent(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    Ready,
    /// An answer with another status.
    Answers(u16),
    Refused,
    Silent(String),
}

/// *Stopped* needs every sign to say so, and at least one that could say otherwise.
pub(crate) fn state_of(signs: &Signs) -> State {
    let has_process = signs.processes > 0;
    let answers = match (&signs.port, &signs.health) {
        (_, Some(Health::Ready)) => Some("its health check answers".to_owned()),
        (_, Some(Health::Answers(status))) => Some(format!("its health check answers {status}")),
        (Some(Port::Open), _) => Some("its port is open".to_owned()),
        _ => None,
    };
    let silent = match (&signs.port, &signs.health) {
        (Some(Port::Silent(why)), _) => Some(format!("its port: {why}")),
        (_, Some(Health::Silent(why))) => Some(format!("its health check: {why}")),
        _ => None,
    };
    if !has_process {
        if let Some(answers) = answers
            && signs.tells_processes
        {
            return State::Unknown(format!("{answers}, and it has no process"));
        } else if answers_none(signs) {
            if let Some(silent) = silent {
                return State::Unknown(format!("no process, but {silent}"));
            }
            if !signs.tells_processes && signs.port.is_none() && signs.health.is_none() {
                return State::Unknown(
                    "nothing would show that it runs: name a port, a pid file or a pattern".into(),
                );
            }
            return State::Stopped;
        }
    }
    let not_ready = match signs.check {
        Check::Http => match &signs.health {
            Some(Health::Ready) if signs.port == Some(Port::Refused) => {
                Some("its health check answers, and its port is closed".to_owned())
            }
            Some(Health::Ready) => None,
            Some(Health::Answers(status)) => Some(format!("its health check answers {status}")),
            Some(Health::Silent(why)) => Some(format!("its health check: {why}")),
            Some(Health::Refused) | None => Some("its health check is refused".into()),
        },
        Check::Port => match &signs.port {
            Some(Port::Open) => None,
            Some(Port::Silent(why)) => Some(format!("its port: {why}")),
            Some(Port::Refused) | None => Some("its port is closed".into()),
        },
        Check::Line if signs.line == Some(true) => None,
        Check::Line => Some("the line that says so is not in its log".into()),
    };
    match not_ready {
        None => State::Ready,
        Some(_) if signs.is_young => State::Starting,
        Some(why) => State::RunningNotReady(why),
    }
}

fn answers_none(signs: &Signs) -> bool {
    !matches!(signs.port, Some(Port::Open))
        && !matches!(signs.health, Some(Health::Ready | Health::Answers(_)))
}

/// In words, for people.
pub(crate) fn words(state: &State) -> String {
    match state {
        State::Stopped => "it is stopped: no process, port closed, health refused".into(),
        State::Starting => "it is starting".into(),
        State::Ready => "it is ready".into(),
        State::RunningNotReady(why) => format!("it runs and is not ready: {why}"),
        State::Unknown(why) => format!("its state cannot be told: {why}"),
    }
}

/// In a word, for what is borrowed.
pub(crate) fn word(state: &State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Starting => "starting",
        State::Ready => "ready",
        State::RunningNotReady(_) => "running-not-ready",
        State::Unknown(_) => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(processes: usize, port: Option<Port>, health: Option<Health>) -> Signs {
        Signs {
            processes,
            tells_processes: true,
            check: if health.is_some() {
                Check::Http
            } else {
                Check::Port
            },
            port,
            health,
            ..Signs::default()
        }
    }

    fn silent() -> Option<Port> {
        Some(Port::Silent("no answer".into()))
    }

    #[test]
    fn stopped_needs_every_sign() {
        use Health as H;
        use Port as P;
        let word = |signs: &Signs| super::word(&state_of(signs));
        assert_eq!(
            word(&signs(0, Some(P::Refused), Some(H::Refused))),
            "stopped"
        );
        assert_eq!(word(&signs(0, Some(P::Refused), None)), "stopped");
        assert_eq!(word(&signs(0, None, None)), "stopped");
        assert_eq!(word(&signs(0, silent(), None)), "unknown");
        assert_eq!(
            word(&signs(0, Some(P::Refused), Some(H::Silent("x".into())))),
            "unknown"
        );
        assert_eq!(
            word(&signs(1, Some(P::Refused), Some(H::Refused))),
            "running-not-ready"
        );
    }

    #[test]
    fn contradictions_are_unknown() {
        let word = |signs: &Signs| super::word(&state_of(signs));
        assert_eq!(word(&signs(0, Some(Port::Open), None)), "unknown");
        assert_eq!(
            word(&signs(0, Some(Port::Refused), Some(Health::Ready))),
            "unknown"
        );
        assert_eq!(
            word(&signs(0, Some(Port::Refused), Some(Health::Answers(503)))),
            "unknown"
        );
    }

    #[test]
    fn a_service_whose_processes_nobody_knows_lives_by_its_port() {
        let mut open = signs(0, Some(Port::Open), None);
        open.tells_processes = false;
        assert_eq!(state_of(&open), State::Ready);
        let mut nothing = signs(0, None, None);
        nothing.tells_processes = false;
        assert!(matches!(state_of(&nothing), State::Unknown(_)));
    }

    #[test]
    fn ready_is_what_its_own_check_says() {
        use Health as H;
        let port = || Some(Port::Open);
        assert_eq!(state_of(&signs(1, port(), Some(H::Ready))), State::Ready);
        assert_eq!(state_of(&signs(1, port(), None)), State::Ready);
        assert!(matches!(
            state_of(&signs(1, port(), Some(H::Answers(503)))),
            State::RunningNotReady(why) if why.contains("503")
        ));
        assert!(matches!(
            state_of(&signs(1, Some(Port::Refused), Some(H::Ready))),
            State::RunningNotReady(_)
        ));
        let mut young = signs(1, port(), Some(H::Answers(503)));
        young.is_young = true;
        assert_eq!(state_of(&young), State::Starting);
        let mut line = signs(1, None, None);
        line.check = Check::Line;
        assert!(matches!(state_of(&line), State::RunningNotReady(_)));
        line.line = Some(true);
        assert_eq!(state_of(&line), State::Ready);
    }
}

//! The last serving servers of a backend are never taken, whatever a plugin says.

use liftlock_types::Change;
use liftlock_types::facts::traffic::Server;

/// Why this change would take a server that must be left, with who still serves; none: it may go on.
///
/// A change that takes nothing more from the server than was taken already passes: back to ready, from maintenance to
/// drain, a weight above 0. A server that is down for the moment counts as one that is taken: its return would be
/// prevented.
pub(crate) fn objection(
    change: &Change,
    servers: &[Server],
    server: &Server,
    at_least: u32,
) -> Option<String> {
    let takes = match change {
        Change::SetServerState { to, .. } => *to > server.administrative,
        Change::SetServerWeight { weight, .. } => *weight == 0 && server.weight > 0,
        _ => false,
    };
    let others: Vec<&str> = servers
        .iter()
        .filter(|other| other.backend == server.backend && other.name != server.name)
        .filter(|other| other.serving)
        .map(|other| other.name.as_str())
        .collect();
    if !takes || others.len() as u64 >= u64::from(at_least) {
        return None;
    }
    let who = if others.is_empty() {
        "no other server of the backend serves".to_owned()
    } else {
        format!("of the others only {} serve", others.join(", "))
    };
    Some(format!(
        "`{}` is not taken from backend `{}`: {who}, and at least {at_least} must",
        server.name, server.backend
    ))
}

#[cfg(test)]
pub(crate) mod tests {
    use liftlock_types::facts::traffic::Administrative;
    use liftlock_types::{BackendName, ServerName};

    use super::*;

    /// A server that serves, or one that was taken.
    pub(crate) fn server(backend: &str, name: &str, administrative: Administrative) -> Server {
        Server {
            backend: backend.into(),
            name: name.into(),
            address: "127.0.0.1:1".into(),
            administrative,
            up: true,
            serving: administrative == Administrative::Ready,
            current: Some(0),
            queued: Some(0),
            total: Some(0),
            weight: 1,
            sticky: false,
            more: Vec::new(),
        }
    }

    fn state(to: Administrative) -> Change {
        Change::SetServerState {
            backend: BackendName::new("be").unwrap(),
            server: ServerName::new("n1").unwrap(),
            to,
        }
    }

    fn weight(weight: u32) -> Change {
        Change::SetServerWeight {
            backend: BackendName::new("be").unwrap(),
            server: ServerName::new("n1").unwrap(),
            weight,
        }
    }

    #[test]
    fn the_last_serving_server_is_not_taken() {
        use Administrative::{Drain, Maintenance, Ready};
        let of = |n1, n2| vec![server("be", "n1", n1), server("be", "n2", n2)];
        let refused = |servers: &[Server], change: &Change, at_least| {
            objection(change, servers, &servers[0], at_least)
        };
        let both = of(Ready, Ready);
        assert_eq!(refused(&both, &state(Drain), 1), None);
        assert_eq!(refused(&both, &weight(0), 1), None);
        let why = refused(&both, &state(Drain), 2).unwrap();
        assert!(why.contains("only n2 serve"), "{why}");

        let last = of(Ready, Drain);
        for change in [state(Drain), state(Maintenance), weight(0)] {
            let why = refused(&last, &change, 1).unwrap();
            assert!(why.contains("no other server"), "{why}");
        }
        assert_eq!(refused(&last, &weight(1), 1), None);
        assert_eq!(refused(&last, &state(Ready), 1), None);
        // What still served the clients that are bound to it would be cut from them.
        assert!(refused(&of(Drain, Drain), &state(Maintenance), 1).is_some());
        assert_eq!(refused(&of(Maintenance, Drain), &state(Drain), 1), None);
    }

    #[test]
    fn a_server_that_is_down_or_of_another_backend_is_no_other() {
        use Administrative::{Drain, Ready};
        let mut servers = vec![
            server("be", "n1", Ready),
            server("be", "n2", Ready),
            server("other", "n3", Ready),
        ];
        servers[1].serving = false;
        assert!(objection(&state(Drain), &servers, &servers[0], 1).is_some());
        // And one that is down is not taken either.
        servers[0].serving = false;
        assert!(objection(&state(Drain), &servers, &servers[0], 1).is_some());
        servers[1].serving = true;
        assert_eq!(objection(&state(Drain), &servers, &servers[0], 1), None);
    }
}

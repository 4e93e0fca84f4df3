//! What conditions say of servers.

use liftlock_types::facts::traffic::{Administrative, Server};
use liftlock_types::{Evaluated, Predicate, ReadError};
use serde_json::{Value, json};

/// How an idle server is known where the balancer counts no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldWorkers {
    /// The balancer counts requests.
    Counted,
    /// So many processes finish what they had before the last reload, of whichever server.
    Left(usize),
}

/// The server of that name.
pub(crate) fn find<'a>(
    servers: &'a [Server],
    backend: &str,
    name: &str,
) -> Result<&'a Server, ReadError> {
    servers
        .iter()
        .find(|server| server.backend == backend && server.name == name)
        .ok_or_else(|| ReadError::NotFound(format!("a server `{name}` of backend `{backend}`")))
}

/// One look. `last` is what the look before saw.
pub(crate) fn evaluate(
    predicate: &Predicate,
    servers: &[Server],
    workers: OldWorkers,
    last: Option<&Value>,
) -> Result<Evaluated, ReadError> {
    let of = |backend: &str, name: &str| find(servers, backend, name);
    match predicate {
        Predicate::ServerIdle { backend, server } => idle(of(backend, server)?, workers),
        Predicate::ServerInState {
            backend,
            server,
            administrative,
        } => {
            let server = of(backend, server)?;
            Ok(Evaluated {
                holds: server.administrative == *administrative,
                why: format!(
                    "`{}` is in state {}, not {}",
                    server.name,
                    server.administrative.as_str(),
                    administrative.as_str()
                ),
                seen: seen(server)?,
            })
        }
        Predicate::ServerServing { backend, server } => {
            let server = of(backend, server)?;
            Ok(Evaluated {
                holds: server.serving,
                why: why_not(server),
                seen: seen(server)?,
            })
        }
        Predicate::ServingAtLeast { backend, count } => {
            let (serving, not): (Vec<&Server>, Vec<&Server>) =
                servers.iter().partition(|server| server.serving);
            let names: Vec<&str> = serving.iter().map(|server| server.name.as_str()).collect();
            let not: Vec<String> = not.into_iter().map(why_not).collect();
            Ok(Evaluated {
                holds: serving.len() as u64 >= u64::from(*count),
                why: format!(
                    "{} of `{backend}` serve, not {count}; {}",
                    serving.len(),
                    not.join("; ")
                ),
                seen: json!({ "serving": names }),
            })
        }
        Predicate::ServerReceives { backend, server } => receives(of(backend, server)?, last),
        _ => Err(ReadError::Invalid("not a condition of a balancer".into())),
    }
}

fn idle(server: &Server, workers: OldWorkers) -> Result<Evaluated, ReadError> {
    let (holds, why) = match (server.current, server.queued, workers) {
        (Some(current), queued, _) => {
            let queued = queued.unwrap_or(0);
            (
                current == 0 && queued == 0,
                format!(
                    "`{}` works on {current} requests and {queued} wait for it: so many would be cut now",
                    server.name
                ),
            )
        }
        (None, _, OldWorkers::Left(left)) if server.administrative != Administrative::Ready => (
            left == 0,
            format!(
                "{left} old workers still finish requests of before the reload, `{}`'s or another server's",
                server.name
            ),
        ),
        (None, ..) => {
            return Err(ReadError::Absent(format!(
                "a count of the requests in flight: that `{}` is idle is known only while it gets no new ones",
                server.name
            )));
        }
    };
    Ok(Evaluated {
        holds,
        why,
        seen: seen(server)?,
    })
}

/// More requests came than at the first look. A balancer that began to count anew begins a first look anew.
fn receives(server: &Server, last: Option<&Value>) -> Result<Evaluated, ReadError> {
    let total = server
        .total
        .ok_or_else(|| ReadError::Absent("a count of the requests that a server got".into()))?;
    let first = last
        .and_then(|last| last.get("first")?.as_u64())
        .filter(|first| *first <= total)
        .unwrap_or(total);
    Ok(Evaluated {
        holds: total > first,
        why: format!(
            "no request has come to `{}` since the first look; it had {total} by then",
            server.name
        ),
        seen: json!({ "first": first, "total": total }),
    })
}

fn why_not(server: &Server) -> String {
    let status = server
        .more
        .iter()
        .find(|(name, _)| name == "status")
        .map_or(String::new(), |(_, status)| {
            format!(", the balancer says {status}")
        });
    let why = if server.administrative != Administrative::Ready {
        server.administrative.as_str()
    } else if !server.up {
        "not up"
    } else if server.weight == 0 {
        "of weight 0"
    } else {
        "ready, a spare that waits"
    };
    format!("`{}` is {why}{status}", server.name)
}

fn seen(server: &Server) -> Result<Value, ReadError> {
    serde_json::to_value(server).map_err(|error| ReadError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::tests::server;

    fn n1() -> (String, String) {
        ("be".into(), "n1".into())
    }

    fn look(
        predicate: &Predicate,
        of: &Server,
        workers: OldWorkers,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        evaluate(predicate, std::slice::from_ref(of), workers, last)
    }

    #[test]
    fn idle_counts_what_is_worked_on_and_what_waits() {
        let (backend, name) = n1();
        let idle = Predicate::ServerIdle {
            backend,
            server: name,
        };
        let mut of = server("be", "n1", Administrative::Drain);
        for (current, queued, holds) in [(0, 0, true), (2, 0, false), (0, 1, false)] {
            (of.current, of.queued) = (Some(current), Some(queued));
            let looked = look(&idle, &of, OldWorkers::Counted, None).unwrap();
            assert_eq!(looked.holds, holds);
            assert!(
                looked
                    .why
                    .contains(&format!("{current} requests and {queued}")),
                "{}",
                looked.why
            );
        }
        (of.current, of.queued) = (None, None);
        for (left, holds) in [(0, true), (2, false)] {
            let looked = look(&idle, &of, OldWorkers::Left(left), None).unwrap();
            assert_eq!(looked.holds, holds);
        }
        of.administrative = Administrative::Ready;
        let unknown = look(&idle, &of, OldWorkers::Left(0), None).unwrap_err();
        assert!(matches!(unknown, ReadError::Absent(_)), "{unknown:?}");
        let missing = look(
            &Predicate::ServerIdle {
                backend: "be".into(),
                server: "n2".into(),
            },
            &of,
            OldWorkers::Counted,
            None,
        );
        assert!(matches!(missing, Err(ReadError::NotFound(_))));
    }

    #[test]
    fn a_server_receives_once_its_total_is_above_the_first_look() {
        let (backend, name) = n1();
        let receives = Predicate::ServerReceives {
            backend,
            server: name,
        };
        let mut of = server("be", "n1", Administrative::Ready);
        let mut at = |total: u64, last: Option<&Value>| {
            of.total = Some(total);
            look(&receives, &of, OldWorkers::Counted, last).unwrap()
        };
        let first = at(7, None);
        assert!(!first.holds);
        let same = at(7, Some(&first.seen));
        assert!(!same.holds);
        let more = at(8, Some(&same.seen));
        assert!(more.holds);
        assert!(at(8, Some(&more.seen)).holds);
        // After a reload it counts from 0 again.
        let anew = at(2, Some(&more.seen));
        assert!(!anew.holds);
        assert!(at(3, Some(&anew.seen)).holds);
        of.total = None;
        let none = look(&receives, &of, OldWorkers::Left(0), None);
        assert!(matches!(none, Err(ReadError::Absent(_))));
    }

    #[test]
    fn who_does_not_serve_is_named_with_the_reason() {
        let mut servers = vec![
            server("be", "n1", Administrative::Ready),
            server("be", "n2", Administrative::Drain),
        ];
        let least = |count| Predicate::ServingAtLeast {
            backend: "be".into(),
            count,
        };
        let at = |servers: &[Server], count| {
            evaluate(&least(count), servers, OldWorkers::Counted, None).unwrap()
        };
        assert!(at(&servers, 1).holds);
        let two = at(&servers, 2);
        assert!(
            !two.holds && two.why.contains("`n2` is drain"),
            "{}",
            two.why
        );
        servers[0].serving = false;
        servers[0].up = false;
        servers[0].more = vec![("status".into(), "DOWN".into())];
        let (backend, server) = n1();
        let serving = Predicate::ServerServing { backend, server };
        let looked = evaluate(&serving, &servers, OldWorkers::Counted, None).unwrap();
        assert!(
            looked.why.contains("not up, the balancer says DOWN"),
            "{}",
            looked.why
        );
        assert!(evaluate(&Predicate::Ready, &servers, OldWorkers::Counted, None).is_err());
    }
}

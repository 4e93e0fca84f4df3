//! Servers that say who they are, and changes as the gate makes them.

mod haproxy;
mod nginx;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use liftlock_lab::{BehindIt, HttpTarget};
use liftlock_traffic::Balancer;
use liftlock_types::facts::traffic::{Administrative, Server};
use liftlock_types::{
    Acted, Attempt, BackendName, Capability, Change, Evaluated, Facts, Observed, Predicate, Probed,
    Read, ReadError, RunId, ServerName, StepId,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers every request with its name; `/slow` only when it is let go.
struct Named {
    behind: BehindIt,
    go: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Named {
    async fn start(name: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (go, told) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, name, told.clone()));
            }
        });
        Self {
            behind: BehindIt::new(name, port),
            go,
            task,
        }
    }

    /// Lets all slow requests come to their end.
    fn let_go(&self) {
        self.go.send(true).unwrap();
    }

    /// It listens no more.
    fn stop(&self) {
        self.task.abort();
    }
}

async fn answer(
    mut stream: tokio::net::TcpStream,
    name: &'static str,
    mut told: watch::Receiver<bool>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => request.extend(&buffer[..count]),
            _ => return,
        }
    }
    if request.starts_with(b"GET /slow") {
        let _ = told.wait_for(|go| *go).await;
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{name}",
        name.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn three() -> [Named; 3] {
    [
        Named::start("n1").await,
        Named::start("n2").await,
        Named::start("n3").await,
    ]
}

/// Who answers `count` requests, each name once.
async fn answering(url: String, count: usize) -> Vec<String> {
    // A new client: a connection that is kept stays with its worker.
    let target = HttpTarget::new(url).unwrap();
    let mut names = Vec::new();
    for _ in 0..count {
        let Value::String(name) = target.get("/").await.unwrap() else {
            panic!("no name");
        };
        names.push(name);
    }
    names.sort();
    names.dedup();
    names
}

/// A request that is answered when its server is let go.
fn slow(url: String) -> JoinHandle<Value> {
    let target = HttpTarget::new(url).unwrap();
    tokio::spawn(async move { target.get("/slow").await.unwrap() })
}

fn state(backend: &str, server: &str, to: Administrative) -> Change {
    Change::SetServerState {
        backend: BackendName::new(backend).unwrap(),
        server: ServerName::new(server).unwrap(),
        to,
    }
}

fn weight(backend: &str, server: &str, weight: u32) -> Change {
    Change::SetServerWeight {
        backend: BackendName::new(backend).unwrap(),
        server: ServerName::new(server).unwrap(),
        weight,
    }
}

fn attempt() -> Attempt {
    Attempt {
        run: RunId::new("run-1").unwrap(),
        step: StepId::new("take").unwrap(),
        number: 1,
        token: "liftlock-run-1-take-1".into(),
        intent_at_ms: 0,
        kept: Value::Null,
        facts: Facts::new(),
        answer: None,
        referred: None,
        made_by_run: BTreeMap::new(),
    }
}

/// Observes as the gate does; what it kept is in the attempt.
async fn observed(on: &Balancer, change: &Change) -> (Observed, Attempt) {
    let mut attempt = attempt();
    let observed = on.observe(change, &attempt).await.unwrap();
    attempt.kept = observed.kept.clone();
    attempt.facts = on.facts(change).await.unwrap();
    (observed, attempt)
}

/// Brings it about and proves it; the attempt can be taken back.
async fn done(on: &Balancer, change: &Change) -> Attempt {
    let (observed, mut attempt) = observed(on, change).await;
    assert!(!observed.already_true, "{observed:?}");
    assert!(
        matches!(on.probe(change, &attempt).await.unwrap(), Probed::Absent(_)),
        "{change:?} reads done before it is sent"
    );
    let acted = on.act(change, &attempt).await;
    let Acted::Answered(answer) = acted else {
        panic!("{change:?}: {acted:?}");
    };
    attempt.answer = Some(answer);
    applied(on, change, &attempt).await;
    assert!(!on.in_flight(change, &attempt).await.unwrap());
    assert_eq!(
        on.clean_up(change, &attempt).await.unwrap(),
        Vec::<String>::new()
    );
    attempt
}

async fn applied(on: &Balancer, change: &Change, attempt: &Attempt) {
    let probed = on.probe(change, attempt).await.unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: true, .. }),
        "{change:?}: {probed:?}"
    );
}

/// Puts back what the attempt kept.
async fn taken_back(on: &Balancer, change: &Change, attempt: &Attempt) {
    let undos = on.automatic_undo(change, attempt).unwrap();
    assert_eq!(undos.len(), 1);
    done(on, &undos[0].change).await;
}

async fn servers(on: &Balancer, backend: &str) -> Result<Vec<Server>, ReadError> {
    let read = Read::TrafficServers {
        backend: backend.into(),
        server: None,
    };
    let answer = on.read(&read).await?;
    Ok(serde_json::from_value(answer).unwrap())
}

async fn server(on: &Balancer, backend: &str, name: &str) -> Server {
    let read = Read::TrafficServers {
        backend: backend.into(),
        server: Some(name.into()),
    };
    let answer = on.read(&read).await.unwrap();
    let found: Vec<Server> = serde_json::from_value(answer).unwrap();
    assert_eq!(found.len(), 1);
    found[0].clone()
}

async fn look(on: &Balancer, predicate: &Predicate) -> Evaluated {
    on.evaluate(predicate, None).await.unwrap()
}

/// Waits until it holds, as the gate does.
async fn until(on: &Balancer, predicate: &Predicate) {
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        let seen = on.evaluate(predicate, last.as_ref()).await.unwrap();
        if seen.holds {
            return;
        }
        assert!(Instant::now() < end, "{predicate:?}: {}", seen.why);
        last = Some(seen.seen);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn idle(backend: &str, server: &str) -> Predicate {
    Predicate::ServerIdle {
        backend: backend.into(),
        server: server.into(),
    }
}

fn in_state(backend: &str, server: &str, administrative: Administrative) -> Predicate {
    Predicate::ServerInState {
        backend: backend.into(),
        server: server.into(),
        administrative,
    }
}

fn serving_at_least(backend: &str, count: u32) -> Predicate {
    Predicate::ServingAtLeast {
        backend: backend.into(),
        count,
    }
}

fn receives(backend: &str, server: &str) -> Predicate {
    Predicate::ServerReceives {
        backend: backend.into(),
        server: server.into(),
    }
}

/// The kind and the words of a refusal.
fn refusal(acted: Acted) -> (String, String) {
    let Acted::Refused {
        kind,
        text,
        later: false,
        ..
    } = acted
    else {
        panic!("no refusal: {acted:?}");
    };
    (kind, text)
}

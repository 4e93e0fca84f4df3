//! Stands in for one node of Camunda 7, as far as an upgrade asks it: its REST interface, its version, one write.
//!
//! `pretend-engine PORT NODE/current`: the version is the name of the directory that the link leads to when it starts, as
//! a real engine is of the files that it was started from. `NODE/engine.json` says the rest, and is read at each
//! request: `installation`, `database` (the port that its data source leads to), `instances` (a file that all nodes
//! share, as they share a database). Where the version's directory holds a file `broken`, it ends at once.
//!
//! Its health names the owner of its jobs' locks, `owner-PID`: another one at each start, as a real engine's.
//!
//! As with the real one, `/engine` and `/version` need no database, and whatever counts does.
#![expect(
    clippy::print_stdout,
    reason = "what a server prints is what an operator finds in its log"
)]

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

/// A client that sends nothing must not keep its thread for longer.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// Longest wait for the database's port; it is on this machine.
const DATABASE_PATIENCE: Duration = Duration::from_millis(500);

/// How long a worker's poll stays where nothing is to do.
const POLL: Duration = Duration::from_secs(20);

/// Longest body of a request.
const BODY_BYTES_MAX: usize = 1 << 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, current] = arguments.as_slice() else {
        println!("usage: pretend-engine PORT NODE/current");
        return ExitCode::from(2);
    };
    match serve(port, Path::new(current)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("pretend-engine: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What one node is.
#[derive(Clone)]
struct Engine {
    version: String,
    facts: PathBuf,
}

fn serve(port: &str, current: &Path) -> std::io::Result<()> {
    let home = current.canonicalize()?;
    if home.join("broken").exists() {
        return Err(std::io::Error::other(
            "no suitable driver found for the data source",
        ));
    }
    let name = home.file_name().unwrap_or_default();
    let node = current.parent().unwrap_or(Path::new("/"));
    let engine = Engine {
        version: name.to_string_lossy().into_owned(),
        facts: node.join("engine.json"),
    };
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("Started Node (pretended, {}, port {port})", engine.version);
    for client in listener.incoming() {
        let engine = engine.clone();
        let client = client?;
        std::thread::spawn(move || {
            // A client that went away is no reason to end.
            let _ = engine.answer(client);
        });
    }
    Ok(())
}

impl Engine {
    fn answer(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(READ_PATIENCE))?;
        let mut reader = BufReader::new(client.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, target) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? <= 2 {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0).min(BODY_BYTES_MAX);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (status, said) = self.told(&method, &target, &body)?;
        let said = said.to_string();
        write!(
            client,
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{said}",
            said.len()
        )
    }

    fn told(&self, method: &str, target: &str, body: &[u8]) -> std::io::Result<(u16, Value)> {
        let facts: Value =
            serde_json::from_slice(&fs::read(&self.facts)?).map_err(std::io::Error::other)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix("/engine-rest").unwrap_or(path);
        let persistence = || {
            let why = json!({ "type": "RestException", "message": "An exception occurred in the persistence layer." });
            (500, why)
        };
        Ok(match (method, path) {
            ("GET", "/engine") => (200, json!([{ "name": "default" }])),
            ("GET", "/version") => (200, json!({ "version": self.version })),
            ("GET", "/telemetry/data") => (
                200,
                json!({
                    "installation": facts["installation"],
                    "product": { "name": "Camunda BPM Runtime", "version": self.version, "edition": "community" },
                }),
            ),
            ("GET", "/actuator/health") => {
                let owner = format!("owner-{}", std::process::id());
                let details = json!({ "jobExecutor": { "lockOwner": owner } });
                let executor = json!({ "status": "UP", "details": details });
                (
                    200,
                    json!({ "status": "UP", "components": { "jobExecutor": executor } }),
                )
            }
            _ if !reaches_database(&facts) => persistence(),
            ("GET", "/job/count") => (200, json!({ "count": 0 })),
            ("GET", "/history/process-instance/count") => {
                let wanted = query
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("processInstanceBusinessKey="))
                    .unwrap_or_default();
                let count = instances(&facts)
                    .lines()
                    .filter(|key| *key == wanted)
                    .count();
                (200, json!({ "count": count }))
            }
            ("POST", "/external-task/fetchAndLock") => {
                std::thread::sleep(POLL);
                (200, json!([]))
            }
            ("POST", _) if path.starts_with("/process-definition/key/") => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let key = body["businessKey"].as_str().unwrap_or_default();
                let file = facts["instances"].as_str().unwrap_or_default();
                let mut all = fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(file)?;
                writeln!(all, "{key}")?;
                (200, json!({ "id": key, "businessKey": key }))
            }
            _ => (
                404,
                json!({ "type": "NotFoundException", "message": "HTTP 404 Not Found" }),
            ),
        })
    }
}

fn reaches_database(facts: &Value) -> bool {
    let port = facts["database"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    port.is_some_and(|port| {
        TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), DATABASE_PATIENCE).is_ok()
    })
}

fn instances(facts: &Value) -> String {
    fs::read_to_string(facts["instances"].as_str().unwrap_or_default()).unwrap_or_default()
}

//! What an engine's REST interface answers, as far as it is asked, from its database.

use anyhow::Context;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::machines::Machines;
use super::machines::Process;
use super::store::INSTALLATION;
use super::store::Store;
use super::ways::CANARY;

/// Longest body of a request; ours have some fifty bytes.
const BODY_BYTES_MAX: usize = 1 << 16;

/// Its address, as long as the runtime lives that it is served on: `http://127.0.0.1:PORT/NODE` is a node's.
pub async fn serve(machines: Machines, store: Store) -> anyhow::Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("no port for the nodes")?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (machines, store) = (machines.clone(), store.clone());
            // Who hangs up hears nothing.
            tokio::spawn(async move { exchange(stream, &machines, &store).await.ok() });
        }
    });
    Ok(url)
}

struct Request {
    method: String,
    node: String,
    path: String,
    query: String,
    body: String,
}

async fn exchange(stream: TcpStream, machines: &Machines, store: &Store) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await? else {
        return Ok(());
    };
    // A node that is down hangs up.
    if let Some(process) = machines.ask_node(&request.node) {
        let (status, body) = answer(&request, &process, store).await;
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} simulated\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let rest = path.trim_start_matches('/');
    let (node, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut request = Request {
        method: method.to_owned(),
        node: node.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: String::new(),
    };
    let mut length = 0;
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).await? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length.min(BODY_BYTES_MAX)];
    stream.read_exact(&mut body).await?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

async fn answer(request: &Request, process: &Process, store: &Store) -> (u16, Value) {
    let start = format!("process-definition/key/{CANARY}/start");
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "version") => (200, json!({"version": process.version})),
        ("GET", "telemetry/data") => (
            200,
            json!({"installation": INSTALLATION, "product": {"name": "Camunda BPM Runtime"}}),
        ),
        ("GET", "job/count") => counted(store.count_jobs().await),
        ("GET", "history/process-instance/count") => {
            let key = request.query.split('&').find_map(|part| {
                let key = part.strip_prefix("processInstanceBusinessKey=")?;
                Some(key.to_owned())
            });
            counted(store.count_instances(&key.unwrap_or_default()).await)
        }
        ("POST", path) if path == start => {
            let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
            let key = body["businessKey"].as_str().unwrap_or_default();
            match store.complete_instance(key, &process.version).await {
                Ok(id) => (200, json!({"id": id, "businessKey": key})),
                Err(error) => failed(&error),
            }
        }
        _ => (
            404,
            json!({"type": "NotFoundException", "message": "no such path"}),
        ),
    }
}

fn counted(count: anyhow::Result<u64>) -> (u16, Value) {
    match count {
        Ok(count) => (200, json!({"count": count})),
        Err(error) => failed(&error),
    }
}

/// As an engine says it whose statement its database refuses.
fn failed(error: &anyhow::Error) -> (u16, Value) {
    let message = format!("ENGINE-03083 {error:#}");
    (
        500,
        json!({"type": "ProcessEngineException", "message": message}),
    )
}

//! An interface of services, as far as it is asked: one request of a connection, over loopback.

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

/// Longest body of a request; ours have some fifty bytes.
const BODY_BYTES_MAX: usize = 1 << 16;

/// A request.
#[derive(Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// With its leading slash.
    pub path: String,
    /// What stands behind the question mark.
    pub query: String,
    /// Its body.
    pub body: String,
}

/// Its address `http://127.0.0.1:PORT`, as long as the runtime lives that it is served on. Where `answer` gives nothing
/// it hangs up, as a service does that is down.
pub async fn serve<A, F>(answer: A) -> anyhow::Result<String>
where
    A: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Option<(u16, Value)>> + Send,
{
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("no port for a service")?;
    let url = format!("http://{}", listener.local_addr()?);
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            // Who hangs up hears nothing.
            tokio::spawn(async move { exchange(stream, &*answer).await.ok() });
        }
    });
    Ok(url)
}

async fn exchange<F>(
    stream: TcpStream,
    answer: &(impl Fn(Request) -> F + Sync),
) -> std::io::Result<()>
where
    F: Future<Output = Option<(u16, Value)>> + Send,
{
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await? else {
        return Ok(());
    };
    if let Some((status, body)) = answer(request).await {
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
    let mut request = Request {
        method: method.to_owned(),
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

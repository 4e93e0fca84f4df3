//! One request's way through the proxy.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::header::HeaderName;

use super::Fault;
use super::Record;
use super::Shared;
use super::Then;
use super::When;

/// Largest request that passes. The server's own limit is 100 MB.
const REQUEST_BYTES_MAX: usize = 100 << 20;

/// Bytes of a body that a record keeps. Every request of an upgrade is smaller but for bulk loads.
const RECORDED_BYTES_MAX: usize = 256 << 10;

/// Headers that concern one connection, not the request.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(super) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

type Answer = Response<Full<Bytes>>;

/// Records a request, lets its fault happen, and forwards it.
pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, Dropped> {
    let begun = Instant::now();
    let at = jiff::Timestamp::now().to_string();
    let (parts, body) = request.into_parts();
    // A body that is too large, or that its client broke off, is no request.
    let body = Limited::new(body, REQUEST_BYTES_MAX)
        .collect()
        .await
        .map_err(|_| Dropped)?;
    let body = body.to_bytes();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let method = parts.method.as_str().to_owned();
    let fault = shared.rules().decide(&method, &path);
    let opaque_id = parts.headers.get("x-opaque-id");
    let n = shared.arrive(Record {
        n: 0,
        at,
        method,
        path: path.clone(),
        status: None,
        forwarded: false,
        ms: None,
        request_body: recorded(&body),
        response_body: String::new(),
        opaque_id: opaque_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
        fault: fault.as_ref().map(|fault| format!("{fault:?}")),
    });
    let now = |when| act(&shared, n, fault.as_ref(), when);
    let finish = |answer: Answer, text: &Bytes| {
        shared.update(n, |record| {
            record.status = Some(answer.status().as_u16());
            record.response_body = recorded(text);
            record.ms = Some(millis(begun));
        });
        Ok(answer)
    };
    match &fault {
        Some(Fault::Answer { status, body }) => {
            let text = Bytes::from(body.clone());
            return finish(
                respond(*status, HeaderMap::new(), text.clone(), true),
                &text,
            );
        }
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        Some(Fault::Hold(hold)) => hold.released().await,
        _ => {}
    }
    now(When::Before)?;
    shared.update(n, |record| record.forwarded = true);
    let mut onward = shared.target.bare_request(parts.method, &path).body(body);
    for (name, value) in &parts.headers {
        if !is_hop_by_hop(name) {
            onward = onward.header(name, value);
        }
    }
    let response = onward.send().await;
    let (status, headers, text) = match response {
        Ok(response) => {
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            match response.bytes().await {
                Ok(text) => (status, headers, text),
                Err(_) => return Err(Dropped),
            }
        }
        // The server is gone: so it is for the client.
        Err(_) => return Err(Dropped),
    };
    now(When::After)?;
    finish(respond(status, headers, text.clone(), false), &text)
}

/// Lets a fault happen that belongs to this moment.
fn act(shared: &Shared, n: usize, fault: Option<&Fault>, moment: When) -> Result<(), Dropped> {
    match fault {
        Some(Fault::Drop(when)) if *when == moment => return Err(Dropped),
        Some(Fault::Kill(when, process)) if *when == moment => {
            process.kill();
            return Err(Dropped);
        }
        Some(Fault::Call(when, call)) if *when == moment => {
            let record = shared
                .records()
                .iter()
                .find(|record| record.n == n)
                .cloned();
            if record.is_some_and(|record| call(&record) == Then::Drop) {
                return Err(Dropped);
            }
        }
        _ => {}
    }
    Ok(())
}

fn respond(status: u16, headers: HeaderMap, body: Bytes, is_ours: bool) -> Answer {
    let mut response = Response::new(Full::new(body));
    // A status out of range can come from a rule only; hyper has no way to send it.
    *response.status_mut() = status.try_into().unwrap_or_default();
    for (name, value) in &headers {
        if !is_hop_by_hop(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    if is_ours {
        let json = hyper::header::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(hyper::header::CONTENT_TYPE, json);
    }
    response
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

fn recorded(body: &[u8]) -> String {
    let start = body.get(..RECORDED_BYTES_MAX).unwrap_or(body);
    String::from_utf8_lossy(start).into_owned()
}

fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

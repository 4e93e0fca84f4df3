//! One listener per node, speaking HTTP/1.1 for as long as the node is up.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::http::Request;
use crate::shared::{Answer, Outcome, Shared};

/// Longest request body; the servers' own default.
const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Pause between two tries to listen again on a port that the system still holds.
const REBIND_PAUSE: Duration = Duration::from_millis(20);

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by a fault")]
struct Dropped;

/// Serves one node until the cluster is gone; `up` switches its port off and on.
pub(crate) async fn run_node(
    shared: Arc<Shared>,
    node: usize,
    listener: TcpListener,
    mut up: watch::Receiver<bool>,
    report: watch::Sender<bool>,
) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    // Only the cluster's handles keep it alive; this task must not.
    let shared = {
        let weak = Arc::downgrade(&shared);
        drop(shared);
        weak
    };
    let mut listener = Some(listener);
    loop {
        match &listener {
            Some(open) => tokio::select! {
                accepted = open.accept() => {
                    let Some(shared) = shared.upgrade() else { return };
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(serve(shared, node, stream, up.clone()));
                    }
                }
                changed = up.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if !*up.borrow() {
                        listener = None;
                        report.send_replace(false);
                    }
                }
            },
            None => {
                if *up.borrow() {
                    match TcpListener::bind((Ipv4Addr::LOCALHOST, address.port())).await {
                        Ok(open) => {
                            listener = Some(open);
                            report.send_replace(true);
                        }
                        Err(_) => tokio::time::sleep(REBIND_PAUSE).await,
                    }
                } else if up.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, node: usize, stream: TcpStream, mut up: watch::Receiver<bool>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| one(Arc::clone(&shared), node, request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error here is a dropped connection, ours or the client's: nothing is left to tell.
        _ = connection => {}
        _ = up.wait_for(|up| !*up) => {}
    }
}

async fn one(
    shared: Arc<Shared>,
    node: usize,
    request: hyper::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let mut asked = Request::new(
        node,
        head.method,
        head.uri.path(),
        head.uri.query().unwrap_or(""),
        body.to_bytes(),
    );
    let text = |headers: &HeaderMap, name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(ToOwned::to_owned)
    };
    asked.content_type = text(&head.headers, "content-type");
    asked.accept = text(&head.headers, "accept");
    asked.authorization = text(&head.headers, "authorization");
    asked.opaque_id = text(&head.headers, "x-opaque-id");
    match shared.accept(asked) {
        Outcome::Answer(answer, delay) => {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Ok(respond(answer))
        }
        Outcome::Drop => Err(Dropped),
        Outcome::DropThenDeliver(number, after) => {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                shared.deliver(number);
            });
            Err(Dropped)
        }
    }
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut builder = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type);
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(answer.body)))
        .unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

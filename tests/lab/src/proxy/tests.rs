use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Response;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that answers 201 with what it was asked, and counts.
struct Upstream {
    target: HttpTarget,
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counter = counter.clone();
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let counter = counter.clone();
                    async move {
                        counter.fetch_add(1, Ordering::SeqCst);
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes();
                        let seen = json!({
                            "line": format!("{} {}", parts.method, parts.uri),
                            "body": String::from_utf8_lossy(&body),
                            "is_authorized": parts.headers.get("authorization")
                                .is_some_and(|value| value == "ApiKey abc"),
                        });
                        let answer = Full::new(Bytes::from(seen.to_string()));
                        let answer = Response::builder()
                            .status(201)
                            .header("x-elastic-product", "Elasticsearch")
                            .body(answer);
                        Ok::<_, hyper::Error>(answer.unwrap())
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            target: HttpTarget::new(url).unwrap(),
            asked,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn stage() -> (Upstream, Proxy, HttpTarget) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(&upstream.target).await.unwrap();
    let client = HttpTarget::new(proxy.url()).unwrap();
    (upstream, proxy, client)
}

#[tokio::test]
async fn forwards_a_request_as_it_is_and_records_it() {
    let (_upstream, proxy, client) = stage().await;
    let path = "/optimize-update-log/_update/8.8.0_x%5BTemplate%5D?refresh=true&a=%25k";
    let response = client
        .bare_request(Method::POST, path)
        .header("X-Opaque-Id", "liftlock:run-1:step-2")
        .header("Authorization", "ApiKey abc")
        .body("{\"a\":1}")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-elastic-product"], "Elasticsearch");
    let text = response.text().await.unwrap();
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen["line"], format!("POST {path}"));
    assert_eq!(seen["body"], "{\"a\":1}");
    assert_eq!(seen["is_authorized"], true);

    let records = proxy.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].line(), format!("POST {path}"));
    assert_eq!(
        records[0].opaque_id.as_deref(),
        Some("liftlock:run-1:step-2")
    );
    assert_eq!((records[0].n, records[0].status), (1, Some(201)));
    assert_eq!(records[0].request_body, "{\"a\":1}");
    assert_eq!(records[0].response_body, text);
    assert!(records[0].ms.is_some());
    assert_eq!(proxy.changes(), [format!("POST {path}")]);
    assert!(
        !serde_json::to_string(&records).unwrap().contains("ApiKey"),
        "no credentials"
    );

    proxy.clear();
    client.get("/").await.unwrap();
    assert_eq!(proxy.records()[0].n, 2);
    assert_eq!(proxy.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn drops_before_without_and_after_with_asking_the_server() {
    let (upstream, proxy, client) = stage().await;
    proxy.add_rule(Rule::new(Fault::Drop(When::Before)).method("DELETE").nth(1));
    proxy.add_rule(Rule::new(Fault::Drop(When::After)).method("DELETE").nth(2));
    client.delete("/a").await.unwrap_err();
    assert_eq!(upstream.asked(), 0);
    client.delete("/a").await.unwrap_err();
    assert_eq!(upstream.asked(), 1);
    client.delete("/a").await.unwrap();
    assert_eq!(upstream.asked(), 2);
    let forwarded: Vec<_> = proxy
        .records()
        .iter()
        .map(|r| (r.forwarded, r.status))
        .collect();
    assert_eq!(forwarded, [(false, None), (true, None), (true, Some(201))]);
    assert_eq!(proxy.changes().len(), 2);
}

#[tokio::test]
async fn answers_in_the_servers_place() {
    let (upstream, proxy, client) = stage().await;
    let body = "{\"error\":\"busy\"}".to_owned();
    proxy.add_rule(Rule::new(Fault::Answer { status: 429, body }).path("/_settings"));
    let (status, answer) = client
        .send(Method::PUT, "/a/_settings", None)
        .await
        .unwrap();
    assert_eq!((status, answer), (429, json!({ "error": "busy" })));
    assert_eq!(upstream.asked(), 0);
    assert_eq!(proxy.records()[0].status, Some(429));
    proxy.clear_rules();
    client.get("/a/_settings").await.unwrap();
}

#[tokio::test]
async fn delivers_a_held_request_after_its_client_has_gone() {
    let (upstream, proxy, client) = stage().await;
    let hold = Hold::new();
    proxy.add_rule(Rule::new(Fault::Hold(hold.clone())).method("DELETE"));
    let asking = tokio::spawn(async move { client.delete("/late").await });
    proxy
        .wait_for(PATIENCE, |record| record.method == "DELETE")
        .await
        .unwrap();
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!(upstream.asked(), 0);
    hold.release();
    let landed = proxy
        .wait_for(PATIENCE, |record| record.status == Some(201))
        .await;
    assert_eq!(landed.unwrap().line(), "DELETE /late");
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn delays_before_it_forwards() {
    let (_upstream, proxy, client) = stage().await;
    proxy.add_rule(Rule::new(Fault::Delay(Duration::from_millis(80))));
    client.get("/slow").await.unwrap();
    assert!(proxy.records()[0].ms.unwrap() >= 80);
}

#[tokio::test]
async fn kills_a_process_before_or_after_the_server_was_asked() {
    let (upstream, proxy, client) = stage().await;
    for (when, asked) in [(When::Before, 0), (When::After, 1)] {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let process = crate::ProcessId::of(child.id()).unwrap();
        proxy.clear_rules();
        proxy.add_rule(Rule::new(Fault::Kill(when, process)));
        client.get("/go").await.unwrap_err();
        assert!(!child.wait().unwrap().success());
        assert_eq!(upstream.asked(), asked, "{when:?}");
    }
}

#[tokio::test]
async fn calls_the_test_and_does_as_it_says() {
    let (upstream, proxy, client) = stage().await;
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    let call = move |record: &Record| {
        assert_eq!(record.line(), "GET /call");
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            Then::GoOn
        } else {
            Then::Drop
        }
    };
    proxy.add_rule(Rule::new(Fault::Call(When::After, Arc::new(call))).path("/call"));
    client.get("/call").await.unwrap();
    client.get("/call").await.unwrap_err();
    client.get("/other").await.unwrap();
    assert_eq!((called.load(Ordering::SeqCst), upstream.asked()), (2, 3));
}

#[tokio::test]
async fn drops_the_client_when_the_server_is_gone() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let proxy = Proxy::start(&HttpTarget::new(url).unwrap()).await.unwrap();
    HttpTarget::new(proxy.url())
        .unwrap()
        .get("/")
        .await
        .unwrap_err();
    assert_eq!(proxy.records()[0].status, None);
    assert!(
        proxy
            .wait_for(Duration::from_millis(10), |r| r.status.is_some())
            .await
            .is_none()
    );
}

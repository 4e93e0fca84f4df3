//! A real server on this machine: what each of its answers becomes, and what leaves this process.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use liftlock_endpoint::{ANSWER_BYTES_MAX, Auth, Endpoint, EndpointConfig, EndpointError};
use liftlock_types::rules::RULES;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, DoneWhen, EndpointPath, EndpointRequest, Facts,
    Json, Method, Predicate, Probed, Read, ReadError, RunId, SecretRef, StepId,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const CANARY: &str = "canary-7d1c";

/// One request as the server saw it.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    started: Mutex<Vec<String>>,
}

struct Server {
    port: u16,
    state: Arc<State>,
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

async fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = Arc::new(State::default());
    let of_server = state.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = of_server.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(state.clone(), request));
                let io = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .await;
            });
        }
    });
    Server { port, state }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let line = format!("{} {}", parts.method, parts.uri);
    let text = String::from_utf8_lossy(&body).into_owned();
    state.seen.lock().unwrap().push(Seen {
        line: line.clone(),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: text.clone(),
    });
    let reply = |status: u16, kind: &str, body: Body| {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .header("set-cookie", format!("session={CANARY}"))
            .body(body)
            .unwrap()
    };
    let json = "application/json";
    Ok(match line.split('?').next().unwrap() {
        "GET /rest/ok" => reply(200, json, full(r#"{"name":"x","n":1.50}"#)),
        "GET /rest/none" => reply(404, json, full(r#"{"type":"RestException"}"#)),
        "GET /rest/proxy" => reply(404, "text/html", full("<html>no route</html>")),
        "GET /rest/down" => reply(503, "text/plain", full("overloaded")),
        "GET /rest/login" => reply(401, "text/plain", full("who are you?")),
        "GET /rest/twice" => reply(200, json, full(r#"{"count":0,"count":1}"#)),
        "GET /rest/moved" | "POST /rest/moved" => Response::builder()
            .status(if parts.method == "GET" { 302 } else { 307 })
            .header("location", "/rest/elsewhere")
            .body(full(""))?,
        "GET /rest/whole" => reply(200, json, full(vec![b' '; ANSWER_BYTES_MAX])),
        "GET /rest/large" => reply(200, json, full(vec![b' '; ANSWER_BYTES_MAX + 1])),
        "GET /rest/latin" => reply(200, "text/plain", full(&b"caf\xe9"[..])),
        "GET /rest/slow" => {
            let first = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"{")));
            let stream = futures_stream(first);
            reply(200, json, StreamBody::new(stream).boxed_unsync())
        }
        "GET /rest/hang" => std::future::pending().await,
        "GET /rest/history/count" => {
            let asked = parts.uri.query().unwrap_or_default();
            let count = state
                .started
                .lock()
                .unwrap()
                .iter()
                .filter(|key| asked == format!("businessKey={key}"))
                .count();
            reply(200, json, full(format!(r#"{{"count":{count}}}"#)))
        }
        "POST /rest/start" => {
            let body: Value = serde_json::from_str(&text)?;
            let key = body["businessKey"].as_str().unwrap().to_owned();
            if key.starts_with("refuse") {
                return Ok(reply(
                    400,
                    json,
                    full(r#"{"type":"InvalidRequestException","message":"no such key"}"#),
                ));
            }
            state.started.lock().unwrap().push(key.clone());
            if key.starts_with("cut") {
                return Err("the connection ends here".into());
            }
            reply(200, json, full(r#"{"id":"1"}"#))
        }
        "POST /rest/nothing" => return Err("the connection ends here".into()),
        _ => reply(500, json, full(r#"{"type":"unknown"}"#)),
    })
}

/// One frame, and then nothing for ever.
fn futures_stream(
    first: Result<Frame<Bytes>, Infallible>,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    use futures::StreamExt as _;
    futures::stream::iter([first]).chain(futures::stream::pending())
}

impl Server {
    fn config(&self) -> EndpointConfig {
        let mut config = EndpointConfig::at(format!("http://127.0.0.1:{}/rest", self.port));
        config.deadlines.read_ms = 2_000;
        config
    }

    fn open(&self) -> Endpoint {
        open(&self.config())
    }

    fn lines(&self) -> Vec<String> {
        let seen = self.state.seen.lock().unwrap();
        seen.iter().map(|seen| seen.line.clone()).collect()
    }
}

fn open(config: &EndpointConfig) -> Endpoint {
    let secret = config.auth.secret().map(|_| SecretString::from(CANARY));
    let credentials = config.auth.with(secret);
    Endpoint::open(Binding::new("endpoint.n1").unwrap(), config, &credentials).unwrap()
}

async fn get(on: &Endpoint, path: &str, query: &[(&str, &str)]) -> Result<Value, ReadError> {
    on.read(&Read::EndpointAnswer {
        path: path.into(),
        query: query
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
    })
    .await
}

fn answers(path: &str, status: u16, subset: &str) -> Predicate {
    Predicate::Answers {
        path: path.into(),
        query: vec![],
        status,
        subset: Json::new(subset).unwrap(),
    }
}

/// Starts one instance under a key; done when one is counted under it.
fn start(key: &str) -> Change {
    request(
        Method::Post,
        "/start",
        DoneWhen {
            predicate: Predicate::Answers {
                path: "/history/count".into(),
                query: vec![("businessKey".into(), key.into())],
                status: 200,
                subset: Json::new(r#"{"count":1}"#).unwrap(),
            },
            negated: false,
        },
        &format!(r#"{{"businessKey":"{key}"}}"#),
    )
}

fn request(method: Method, path: &str, done_when: DoneWhen, body: &str) -> Change {
    Change::EndpointRequest(
        EndpointRequest::new(
            method,
            EndpointPath::new(path).unwrap(),
            vec![],
            Some(Json::new(body).unwrap()),
            done_when,
        )
        .unwrap(),
    )
}

fn attempt(age_ms: i64) -> Attempt {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Attempt {
        run: RunId::new("r1").unwrap(),
        step: StepId::new("canary").unwrap(),
        number: 1,
        token: "liftlock-r1-canary-1".into(),
        intent_at_ms: i64::try_from(now_ms.as_millis()).unwrap() - age_ms,
        kept: Value::Null,
        facts: Facts::new(),
        answer: None,
        referred: None,
        made_by_run: BTreeMap::new(),
    }
}

#[tokio::test]
async fn every_status_is_an_answer_and_no_header_but_its_kind_is_shown() {
    let server = serve().await;
    let on = server.open();
    for (path, status, kind, body) in [
        ("/ok", 200, "application/json", r#"{"name":"x","n":1.50}"#),
        (
            "/none",
            404,
            "application/json",
            r#"{"type":"RestException"}"#,
        ),
        ("/down", 503, "text/plain", "overloaded"),
        ("/login", 401, "text/plain", "who are you?"),
        ("/latin", 200, "text/plain", "caf\u{fffd}"),
    ] {
        assert_eq!(
            get(&on, path, &[]).await.unwrap(),
            json!({ "status": status, "content_type": kind, "body": body }),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_request_is_what_was_asked_for_with_the_secret_where_the_operator_put_it() {
    let server = serve().await;
    for (auth, header, value) in [
        (
            Auth::Basic {
                username: "u".into(),
                password: SecretRef::Env("X".into()),
            },
            "authorization",
            "Basic dTpjYW5hcnktN2QxYw==".to_owned(),
        ),
        (
            Auth::Bearer(SecretRef::Env("X".into())),
            "authorization",
            format!("Bearer {CANARY}"),
        ),
        (
            Auth::Header {
                name: "X-Api-Key".into(),
                value: SecretRef::Env("X".into()),
            },
            "x-api-key",
            CANARY.to_owned(),
        ),
    ] {
        let mut config = server.config();
        config.auth = auth;
        let on = open(&config);
        let query = [("a.b", "x y&c=1,\u{e9}"), ("d", "")];
        let said = get(&on, "/definition/invoice:1:2f", &query).await.unwrap();
        let seen = server.state.seen.lock().unwrap().pop().unwrap();
        assert_eq!(
            seen.line,
            "GET /rest/definition/invoice%3A1%3A2f?a.b=x%20y%26c%3D1%2C%C3%A9&d="
        );
        assert_eq!(seen.headers[header], value);
        assert_eq!(seen.headers["accept"], "application/json, */*;q=0.1");
        let told = format!("{on:?} {said} {:?}", on.identity().await.unwrap());
        assert!(!told.contains(CANARY), "{told}");
    }
    let identity = server.open().identity().await.unwrap();
    assert_eq!(
        identity.fingerprint,
        format!("http://127.0.0.1:{}/rest", server.port)
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let server = serve().await;
    let on = server.open();
    let said = get(&on, "/moved", &[]).await.unwrap();
    assert_eq!(said["status"], 302);
    let done = DoneWhen {
        predicate: answers("/ok", 200, r#"{"name":"y"}"#),
        negated: false,
    };
    let change = request(Method::Post, "/moved", done, "{}");
    match on.act(&change, &attempt(0)).await {
        Acted::Refused { status, text, .. } => {
            assert_eq!(status, 307);
            assert!(text.contains("/rest/elsewhere"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.lines(), ["GET /rest/moved", "POST /rest/moved"]);
}

#[tokio::test]
async fn what_means_another_path_is_refused_before_anything_is_sent() {
    let server = serve().await;
    let on = server.open();
    for path in [
        "ok", "/a/../ok", "/a//ok", "/a%2fok", "/ok?x=1", "/;/ok", "",
    ] {
        let error = get(&on, path, &[]).await.unwrap_err();
        assert!(matches!(error, ReadError::Invalid(_)), "{path}: {error}");
        let error = on
            .evaluate(&answers(path, 200, "{}"), None)
            .await
            .unwrap_err();
        assert!(matches!(error, ReadError::Invalid(_)), "{path}: {error}");
    }
    let error = get(&on, "/ok", &[("a", "1"), ("a", "2")])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("stands twice"), "{error}");
    assert!(server.lines().is_empty());
    // The root of the binding is a path too.
    get(&on, "/", &[]).await.unwrap();
    assert_eq!(server.lines(), ["GET /rest/"]);
}

#[tokio::test]
async fn a_link_local_address_is_refused_unless_it_is_granted() {
    for url in ["http://169.254.169.254/latest", "http://[fe80::1]/"] {
        let mut config = EndpointConfig::at(url);
        let binding = Binding::new("endpoint.n1").unwrap();
        let opened = Endpoint::open(binding.clone(), &config, &config.auth.with(None));
        assert!(
            matches!(&opened, Err(EndpointError::Config { key: "url", why }) if why.contains("link-local = true")),
            "{opened:?}"
        );
        config.link_local = true;
        Endpoint::open(binding, &config, &config.auth.with(None)).unwrap();
    }
}

#[tokio::test]
async fn an_answer_over_its_bound_is_invalid_and_one_that_does_not_end_is_unavailable() {
    let server = serve().await;
    let mut config = server.config();
    config.deadlines.read_ms = 5_000;
    let on = open(&config);
    let whole = get(&on, "/whole", &[]).await.unwrap();
    assert_eq!(whole["body"].as_str().unwrap().len(), ANSWER_BYTES_MAX);
    let error = get(&on, "/large", &[]).await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Invalid(text) if text.contains(&ANSWER_BYTES_MAX.to_string())),
        "{error}"
    );
    config.deadlines.read_ms = 300;
    let on = open(&config);
    for path in ["/slow", "/hang"] {
        let error = get(&on, path, &[]).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Unavailable(text) if text.contains("within 300 ms")),
            "{path}: {error}"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_nothing_was_sent() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let on = open(&EndpointConfig::at(format!("http://127.0.0.1:{port}")));
    let error = get(&on, "/ok", &[]).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error}");
    let acted = on.act(&start("k"), &attempt(0)).await;
    assert!(matches!(acted, Acted::NotSent(_)), "{acted:?}");
    assert!(on.observe(&start("k"), &attempt(0)).await.is_err());
    // The address is its identity, whoever answers there.
    on.identity().await.unwrap();
}

#[tokio::test]
async fn a_condition_holds_says_no_or_says_nothing() {
    let server = serve().await;
    let on = server.open();
    for (path, status, subset, holds) in [
        ("/ok", 200, r#"{"name":"x"}"#, true),
        ("/ok", 200, r#"{"n":1.5}"#, true),
        ("/ok", 200, r#"{"name":"y"}"#, false),
        ("/ok", 404, "{}", false),
        ("/none", 404, "{}", true),
        ("/none", 200, "{}", false),
        ("/down", 503, "{}", true),
    ] {
        let seen = on
            .evaluate(&answers(path, status, subset), None)
            .await
            .unwrap();
        assert_eq!(seen.holds, holds, "{path} {status} {subset}: {seen:?}");
    }
    for (path, status, subset, part) in [
        ("/down", 200, "{}", "status 503"),
        ("/login", 200, "{}", "status 401"),
        ("/proxy", 200, "{}", "no JSON"),
        ("/twice", 200, r#"{"count":1}"#, "stands twice"),
        ("/large", 200, "{}", "bytes"),
    ] {
        let error = on
            .evaluate(&answers(path, status, subset), None)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(part), "{path}: {error}");
    }
    let other = on.evaluate(&Predicate::Ready, None).await.unwrap_err();
    assert!(matches!(other, ReadError::Invalid(_)));
}

#[tokio::test]
async fn a_request_is_sent_once_and_done_when_its_effect_is_seen() {
    let server = serve().await;
    let on = server.open();
    let change = start("r1-n1");
    assert_eq!(on.facts(&change).await.unwrap(), Facts::new());
    let before = on.observe(&change, &attempt(0)).await.unwrap();
    assert!(!before.already_true && before.borrowed.is_none());
    let mut sent = attempt(0);
    match on.act(&change, &sent).await {
        Acted::Answered(answer) => sent.answer = Some(answer),
        other => panic!("{other:?}"),
    }
    match on.probe(&change, &sent).await.unwrap() {
        Probed::Applied { evidence, ours } => {
            assert!(!ours);
            assert_eq!(evidence["request"], "POST /start");
            assert_eq!(evidence["seen"]["members"], json!({ "count": 1 }));
        }
        other => panic!("{other:?}"),
    }
    assert!(on.observe(&change, &attempt(0)).await.unwrap().already_true);
    assert!(on.clean_up(&change, &sent).await.unwrap().is_empty());
    assert!(!on.in_flight(&change, &sent).await.unwrap());
    assert!(on.automatic_undo(&change, &sent).is_none());
    let posts: Vec<Seen> = {
        let seen = server.state.seen.lock().unwrap();
        let posts = seen.iter().filter(|seen| seen.line.starts_with("POST"));
        posts.cloned().collect()
    };
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].body, r#"{"businessKey":"r1-n1"}"#);
    assert_eq!(posts[0].headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_judged_by_its_effect_alone() {
    let server = serve().await;
    let on = server.open();
    // Done, and the answer did not come.
    let done = start("cut-1");
    let acted = on.act(&done, &attempt(0)).await;
    assert!(matches!(acted, Acted::Unanswered(_)), "{acted:?}");
    assert!(matches!(
        on.probe(&done, &attempt(0)).await.unwrap(),
        Probed::Applied { .. }
    ));
    // Nothing to be seen: it can still land for a minute, and then nobody knows.
    let condition = || DoneWhen {
        predicate: answers("/none", 200, r#"{"x":1}"#),
        negated: false,
    };
    let lost = request(Method::Post, "/nothing", condition(), "{}");
    let acted = on.act(&lost, &attempt(0)).await;
    assert!(matches!(acted, Acted::Unanswered(_)), "{acted:?}");
    assert!(matches!(
        on.probe(&lost, &attempt(1_000)).await.unwrap(),
        Probed::InProgress(_)
    ));
    assert!(matches!(
        on.probe(&lost, &attempt(61_000)).await.unwrap(),
        Probed::Indeterminate(_)
    ));
    assert!(!lost.class().may_repeat());
    // An answer that says nothing is no effect, negated or not.
    let gone = DoneWhen {
        predicate: answers("/down", 200, "{}"),
        negated: true,
    };
    let blind = request(Method::Delete, "/start", gone, "{}");
    assert!(on.probe(&blind, &attempt(0)).await.is_err());
    assert!(on.observe(&blind, &attempt(0)).await.is_err());
    // And a no is a no.
    match on.act(&start("refuse-1"), &attempt(0)).await {
        Acted::Refused {
            status,
            kind,
            text,
            later,
        } => {
            assert_eq!((status, later), (400, false));
            assert_eq!(kind, "InvalidRequestException");
            assert_eq!(text, "no such key");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_row_of_the_table_is_implemented_and_nothing_else() {
    let on = serve().await.open();
    let verbs: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.verb)
        .filter(|verb| verb.starts_with("endpoint."))
        .collect();
    assert_eq!(verbs, ["endpoint.request"]);
    let other = Change::StopService {};
    assert!(on.facts(&other).await.is_err());
    assert!(on.observe(&other, &attempt(0)).await.is_err());
    assert!(on.probe(&other, &attempt(0)).await.is_err());
    assert!(matches!(
        on.act(&other, &attempt(0)).await,
        Acted::NotSent(_)
    ));
    assert!(on.borrowed_now("x").await.is_err());
    assert!(on.read(&Read::Health).await.is_err());
}

/// A server of its own program, since none of ours speaks TLS.
struct Tls(Child);

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn only_the_authority_that_is_named_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let program = "import http.server, ssl, sys\n\
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
        context.load_cert_chain(sys.argv[1], sys.argv[2])\n\
        server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n\
        server.socket = context.wrap_socket(server.socket, server_side=True)\n\
        print(server.server_port, flush=True)\n\
        server.serve_forever()\n";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .args([&certificate, &key])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _tls = Tls(child);
    let mut config = EndpointConfig::at(format!("https://localhost:{}", line.trim()));
    config.deadlines.read_ms = Duration::from_secs(10).as_millis() as u64;
    let error = get(&open(&config), "/none", &[]).await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Unavailable(text) if text.contains("certificate")),
        "{error}"
    );
    config.ca = Some(certificate);
    assert_eq!(
        get(&open(&config), "/none", &[]).await.unwrap()["status"],
        404
    );
    config.ca = Some(key);
    let opened = Endpoint::open(
        Binding::new("endpoint.n1").unwrap(),
        &config,
        &config.auth.with(None),
    );
    assert!(opened.is_err());
}

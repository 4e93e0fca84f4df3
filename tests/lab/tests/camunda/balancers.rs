//! HAProxy and nginx by hand, before servers that only say who they are.

use std::time::Duration;

use liftlock_lab::AdminState;
use liftlock_lab::BehindIt;
use liftlock_lab::HaProxy;
use liftlock_lab::HttpTarget;
use liftlock_lab::Nginx;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

/// How long the answer to `/slow` takes: longer than any step that a test takes meanwhile.
const SLOW: Duration = Duration::from_secs(3);

const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers every request with its name; it ends with the test's runtime.
async fn named(name: &'static str) -> BehindIt {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut buffer = [0; 1024];
                    match stream.read(&mut buffer).await {
                        Ok(count) if count > 0 => request.extend(&buffer[..count]),
                        _ => return,
                    }
                }
                if request.starts_with(b"GET /slow") {
                    tokio::time::sleep(SLOW).await;
                }
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{name}",
                    name.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    BehindIt::new(name, port)
}

/// Who answers `count` requests, each name once.
async fn answering(target: &HttpTarget, count: usize) -> Vec<String> {
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

#[tokio::test]
async fn haproxy_drains_reloads_and_leaves_nothing() {
    let [a, b] = [named("a").await, named("b").await];
    let dir = tempfile::tempdir().unwrap();
    let servers = [a.clone(), b.clone()];
    let mut proxy = HaProxy::start(dir.path(), &servers, "/").await.unwrap();
    for name in ["a", "b"] {
        proxy.wait_status(name, "UP", PATIENCE).await.unwrap();
    }
    let target = HttpTarget::new(proxy.base_url()).unwrap();
    assert_eq!(answering(&target, 4).await, ["a", "b"]);

    // A request that is open when its server is drained comes to its end.
    proxy.set_state("b", AdminState::Maint).await.unwrap();
    let slow = tokio::spawn({
        let target = target.clone();
        async move { target.get("/slow").await.unwrap() }
    });
    while proxy.stats().await.unwrap()["a"].active == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.set_state("b", AdminState::Ready).await.unwrap();
    proxy.wait_status("b", "UP", PATIENCE).await.unwrap();
    proxy.set_state("a", AdminState::Drain).await.unwrap();
    assert_eq!(proxy.stats().await.unwrap()["a"].status, "DRAIN");
    assert_eq!(answering(&target, 4).await, ["b"]);
    assert!(
        !slow.is_finished(),
        "the drain was not tried on an open request"
    );
    proxy.wait_idle("a", PATIENCE).await.unwrap();
    assert_eq!(slow.await.unwrap(), "a");

    // TCP and the socket are the same API; a name that is not there is refused.
    let on_tcp = proxy.command_on_tcp("show servers state").await.unwrap();
    assert_eq!(on_tcp.lines().next(), Some("1"));
    assert!(proxy.set_state("c", AdminState::Ready).await.is_err());

    // A reload takes the new servers and forgets the drain.
    let master = proxy.process().clone();
    proxy.reload(&[a, b.down()], "/").await.unwrap();
    assert_eq!(proxy.process(), &master);
    proxy.wait_status("a", "UP", PATIENCE).await.unwrap();
    assert_eq!(proxy.stats().await.unwrap()["b"].status, "MAINT");
    assert_eq!(answering(&target, 4).await, ["a"]);

    let children = master.children();
    assert!(!children.is_empty());
    proxy.stop().await;
    for left in children.iter().chain([&master]) {
        assert!(left.wait_gone(Duration::from_secs(1)).await, "{left:?}");
    }
}

#[tokio::test]
async fn nginx_takes_its_included_file_by_a_reload_and_leaves_nothing() {
    let [a, b] = [named("a").await, named("b").await];
    let dir = tempfile::tempdir().unwrap();
    let servers = [a.clone(), b.clone().down()];
    let mut nginx = Nginx::start(dir.path(), &servers).await.unwrap();
    let target = HttpTarget::new(nginx.base_url()).unwrap();
    assert_eq!(answering(&target, 4).await, ["a"]);

    let slow = tokio::spawn({
        let target = target.clone();
        async move { target.get("/slow").await.unwrap() }
    });
    // Time for the request to reach its server; without it the test would be weaker, not wrong.
    tokio::time::sleep(Duration::from_millis(200)).await;
    nginx.write_servers(&[a.clone().down(), b.clone()]).unwrap();
    assert_eq!(
        answering(&target, 2).await,
        ["a"],
        "nothing happens before a reload"
    );
    let old = nginx.reload().await.unwrap();
    assert_eq!(
        answering(&HttpTarget::new(nginx.base_url()).unwrap(), 4).await,
        ["b"]
    );
    assert!(
        !slow.is_finished(),
        "the reload was not tried on an open request"
    );
    assert!(nginx.wait_finished(&old, PATIENCE).await);
    assert_eq!(slow.await.unwrap(), "a");

    // A file that nginx does not understand is refused before the reload.
    std::fs::write(nginx.include_file(), "servers nonsense;\n").unwrap();
    let refused = nginx.reload().await.unwrap_err().to_string();
    assert!(refused.contains("servers"), "{refused}");
    let master = nginx.process().clone();
    let children = master.children();
    nginx.kill();
    for left in children.iter().chain([&master]) {
        assert!(left.wait_gone(Duration::from_secs(1)).await, "{left:?}");
    }
}

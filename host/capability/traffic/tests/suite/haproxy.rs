//! HAProxy, by its unix socket and by TCP.

use std::path::{Path, PathBuf};

use liftlock_lab::haproxy::BACKEND;
use liftlock_lab::{AdminState, HaProxy};
use liftlock_traffic::TrafficConfig;
use liftlock_types::Binding;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use super::*;

use Administrative::{Drain, Maintenance, Ready};

struct Lab {
    _dir: TempDir,
    behind: [Named; 3],
    proxy: HaProxy,
}

impl Lab {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let behind = three().await;
        let servers = behind.each_ref().map(|named| named.behind.clone());
        let proxy = HaProxy::start(dir.path(), &servers, "/").await.unwrap();
        let lab = Self {
            _dir: dir,
            behind,
            proxy,
        };
        until(&lab.balancer(), &serving_at_least(BACKEND, 3)).await;
        lab
    }

    fn balancer(&self) -> Balancer {
        self.on(TrafficConfig::haproxy_socket(self.proxy.runtime_socket()))
    }

    fn on(&self, config: TrafficConfig) -> Balancer {
        opened(&config)
    }

    async fn status(&self, name: &str) -> String {
        self.proxy.stats().await.unwrap()[name].status.clone()
    }

    /// The process that answers.
    async fn worker(&self) -> Option<String> {
        let told = self.proxy.command("show info").await.ok()?;
        let line = told.lines().find(|line| line.starts_with("Pid: "))?;
        Some(line.to_owned())
    }

    /// Loads the configuration with something replaced; the new socket is awaited.
    async fn reload_with(&self, old: &str, new: &str, socket: &Path) {
        let file = self.proxy.config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(old), "{text}");
        std::fs::write(&file, text.replace(old, new)).unwrap();
        // Until the new worker answers on the old socket too, the old one may close it in an answer.
        let before = self.worker().await;
        let pid = i32::try_from(self.proxy.process().pid).unwrap();
        let signal = || kill_process(Pid::from_raw(pid).unwrap(), Signal::USR2).unwrap();
        signal();
        let mut signalled = Instant::now();
        let end = signalled + PATIENCE;
        while tokio::net::UnixStream::connect(socket).await.is_err()
            || self.worker().await.is_none_or(|now| Some(now) == before)
        {
            assert!(Instant::now() < end, "no `{}`", socket.display());
            // A master that has just been started may not hear the first one yet.
            if signalled.elapsed() > HEARD {
                signal();
                signalled = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn opened(config: &TrafficConfig) -> Balancer {
    let binding = Binding::new("traffic.front").unwrap();
    Balancer::open(binding, config, Path::new("/")).unwrap()
}

/// A reload that was heard is under way within this time.
const HEARD: Duration = Duration::from_secs(6);

#[tokio::test]
async fn states_are_set_proved_borrowed_and_given_back() {
    let lab = Lab::start().await;
    let by_tcp = TrafficConfig::haproxy_address(format!("127.0.0.1:{}", lab.proxy.runtime_port()));
    for (config, to, status) in [
        (
            TrafficConfig::haproxy_socket(lab.proxy.runtime_socket()),
            Drain,
            "DRAIN",
        ),
        (by_tcp, Maintenance, "MAINT"),
    ] {
        let on = lab.on(config);
        let change = state(BACKEND, "n1", to);
        let key = format!("{BACKEND}/n1/state");
        let (observed, _) = observed(&on, &change).await;
        let borrowed = observed.borrowed.unwrap();
        assert_eq!(
            (borrowed.key, borrowed.old, borrowed.ours),
            (key.clone(), json!("ready"), json!(to.as_str()))
        );
        let attempt = done(&on, &change).await;
        assert_eq!(lab.status("n1").await, status);
        assert_eq!(answering(lab.proxy.base_url(), 6).await, ["n2", "n3"]);
        assert_eq!(on.borrowed_now(&key).await.unwrap(), json!(to.as_str()));
        assert!(look(&on, &in_state(BACKEND, "n1", to)).await.holds);
        assert!(!look(&on, &in_state(BACKEND, "n1", Ready)).await.holds);
        let again = on.observe(&change, &attempt).await.unwrap();
        assert!(again.already_true && again.borrowed.is_none());

        taken_back(&on, &change, &attempt).await;
        until(&on, &serving_at_least(BACKEND, 3)).await;
        assert!(lab.status("n1").await.starts_with("UP"));
        assert_eq!(on.borrowed_now(&key).await.unwrap(), json!("ready"));
        assert_eq!(answering(lab.proxy.base_url(), 6).await, ["n1", "n2", "n3"]);
    }
}

#[tokio::test]
async fn a_weight_is_set_and_given_back_and_one_that_cannot_be_is_refused() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    let change = weight(BACKEND, "n1", 0);
    let attempt = done(&on, &change).await;
    let n1 = server(&on, BACKEND, "n1").await;
    assert_eq!((n1.weight, n1.serving, n1.up), (0, false, true));
    assert_eq!(answering(lab.proxy.base_url(), 6).await, ["n2", "n3"]);
    let key = format!("{BACKEND}/n1/weight");
    assert_eq!(on.borrowed_now(&key).await.unwrap(), json!(0));
    taken_back(&on, &change, &attempt).await;
    assert_eq!(server(&on, BACKEND, "n1").await.weight, 1);

    let (kind, text) = refusal(on.act(&weight(BACKEND, "n1", 257), &attempt).await);
    assert_eq!(kind, "refused");
    assert!(text.contains("between 0 and 256"), "{text}");
    assert!(on.borrowed_now("camunda/n1/x").await.is_err());
    assert!(on.borrowed_now("x").await.is_err());
}

#[tokio::test]
async fn a_request_in_flight_is_counted_until_it_ends_and_a_new_one_is_seen() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    for name in ["n2", "n3"] {
        lab.proxy.set_state(name, AdminState::Maint).await.unwrap();
    }
    let total = server(&on, BACKEND, "n1").await.total.unwrap();
    let first = look(&on, &receives(BACKEND, "n1")).await;
    assert!(!first.holds);
    let open = slow(lab.proxy.base_url());
    let busy = async || server(&on, BACKEND, "n1").await.current == Some(1);
    let end = Instant::now() + PATIENCE;
    while !busy().await {
        assert!(Instant::now() < end, "the request does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = on
        .evaluate(&receives(BACKEND, "n1"), Some(&first.seen))
        .await
        .unwrap();
    assert!(seen.holds);
    assert_eq!(server(&on, BACKEND, "n1").await.total, Some(total + 1));

    lab.proxy.set_state("n2", AdminState::Ready).await.unwrap();
    until(&on, &serving_at_least(BACKEND, 2)).await;
    done(&on, &state(BACKEND, "n1", Drain)).await;
    let waits = look(&on, &idle(BACKEND, "n1")).await;
    assert!(!waits.holds);
    assert!(waits.why.contains("works on 1 requests"), "{}", waits.why);
    assert!(look(&on, &idle(BACKEND, "n2")).await.holds);
    assert_eq!(answering(lab.proxy.base_url(), 3).await, ["n2"]);
    assert!(!open.is_finished());
    lab.behind[0].let_go();
    until(&on, &idle(BACKEND, "n1")).await;
    assert_eq!(open.await.unwrap(), json!("n1"));
}

#[tokio::test]
async fn the_last_serving_server_is_never_taken() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    let mut config = TrafficConfig::haproxy_socket(lab.proxy.runtime_socket());
    config.at_least = 2;
    let two = lab.on(config);
    done(&two, &state(BACKEND, "n3", Maintenance)).await;
    let change = state(BACKEND, "n2", Drain);
    let (_, attempt) = observed(&two, &change).await;
    let (kind, text) = refusal(two.act(&change, &attempt).await);
    assert_eq!(kind, "last-serving");
    assert!(text.contains("only n1 serve, and at least 2"), "{text}");

    // A server whose check fails is no other one that serves.
    lab.behind[1].stop();
    lab.proxy.wait_status("n2", "DOWN", PATIENCE).await.unwrap();
    assert!(look(&on, &serving_at_least(BACKEND, 1)).await.holds);
    let least = look(&on, &serving_at_least(BACKEND, 2)).await;
    assert!(!least.holds);
    assert!(least.why.contains("`n2` is not up"), "{}", least.why);
    assert!(least.why.contains("`n3` is maintenance"), "{}", least.why);
    for change in [
        state(BACKEND, "n1", Drain),
        state(BACKEND, "n1", Maintenance),
        weight(BACKEND, "n1", 0),
    ] {
        let (_, attempt) = observed(&on, &change).await;
        let (kind, text) = refusal(on.act(&change, &attempt).await);
        assert_eq!(kind, "last-serving");
        assert!(text.contains("no other server"), "{text}");
        assert!(matches!(
            on.probe(&change, &attempt).await.unwrap(),
            Probed::Absent(_)
        ));
    }
    assert!(lab.status("n1").await.starts_with("UP"));
    // What gives back is never refused.
    done(&on, &state(BACKEND, "n3", Ready)).await;
}

#[tokio::test]
async fn many_changes_rest_on_what_each_rests_on() {
    let lab = Lab::start().await;
    let on = lab.balancer();
    let mut changes = vec![
        state(BACKEND, "n1", Drain),
        state(BACKEND, "n2", Drain),
        state(BACKEND, "n1", Ready),
    ];
    let mut each = Vec::new();
    for change in &changes {
        each.push(on.facts(change).await.unwrap());
    }
    let all: Vec<&Change> = changes.iter().collect();
    assert_eq!(on.facts_of_each(&all).await.unwrap(), each);
    assert_ne!(each[0], each[1]);
    // The error names the change that it is about.
    changes.insert(1, state(BACKEND, "n9", Drain));
    let all: Vec<&Change> = changes.iter().collect();
    let (at, error) = on.facts_of_each(&all).await.unwrap_err();
    assert!(
        matches!((at, &error), (1, ReadError::NotFound(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_reload_loses_the_states_and_nothing_hides_it() {
    let mut lab = Lab::start().await;
    let on = lab.balancer();
    let before = on.identity().await.unwrap();
    let change = state(BACKEND, "n1", Drain);
    let attempt = done(&on, &change).await;
    let servers = lab.behind.each_ref().map(|named| named.behind.clone());
    lab.proxy.reload(&servers, "/").await.unwrap();

    assert!(!look(&on, &in_state(BACKEND, "n1", Drain)).await.holds);
    let key = format!("{BACKEND}/n1/state");
    assert_eq!(on.borrowed_now(&key).await.unwrap(), json!("ready"));
    assert!(matches!(
        on.probe(&change, &attempt).await.unwrap(),
        Probed::Absent(_)
    ));
    assert_eq!(on.identity().await.unwrap(), before);
    assert!(before.product.starts_with("HAProxy 2."), "{before:?}");

    // Another server under the name is not the one that was meant.
    let mut moved = servers.clone();
    moved[0].port = servers[1].port;
    lab.proxy.reload(&moved, "/").await.unwrap();
    assert_ne!(on.facts(&change).await.unwrap(), attempt.facts);
    assert!(matches!(
        on.probe(&change, &attempt).await.unwrap(),
        Probed::Indeterminate(_)
    ));
    // And one that the configuration began in maintenance can be made ready.
    let begun = servers.map(|server| match server.name.as_str() {
        "n1" => server.down(),
        _ => server,
    });
    lab.proxy.reload(&begun, "/").await.unwrap();
    let n1 = server(&on, BACKEND, "n1").await;
    assert_eq!((n1.administrative, n1.up), (Maintenance, false));
    done(&on, &state(BACKEND, "n1", Ready)).await;
    let gone = &begun[1..];
    lab.proxy.reload(gone, "/").await.unwrap();
    assert!(matches!(
        on.probe(&change, &attempt).await.unwrap(),
        Probed::Indeterminate(_)
    ));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_does_not_answer_is_unavailable() {
    let mut lab = Lab::start().await;
    let on = lab.balancer();
    let all = servers(&on, BACKEND).await.unwrap();
    assert_eq!(servers(&on, "*").await.unwrap().len(), 3);
    assert_eq!(servers(&on, "cam*").await.unwrap().len(), all.len());
    assert_eq!(servers(&on, "x*").await.unwrap(), []);
    let addresses: Vec<&str> = all.iter().map(|it| it.address.as_str()).collect();
    let wanted: Vec<String> = lab
        .behind
        .iter()
        .map(|named| format!("127.0.0.1:{}", named.behind.port))
        .collect();
    assert_eq!(addresses, wanted);
    assert!(all.iter().all(|it| !it.sticky && it.serving));

    assert!(matches!(
        servers(&on, "x").await,
        Err(ReadError::NotFound(_))
    ));
    // Nothing of a name becomes another command.
    for hostile in ["x;show info", "x\nshow info", "x y", "", "a*b", "**"] {
        assert!(matches!(
            servers(&on, hostile).await,
            Err(ReadError::Invalid(_))
        ));
    }
    for change in [state(BACKEND, "n9", Drain), state("x", "n1", Drain)] {
        assert!(matches!(
            on.facts(&change).await,
            Err(ReadError::NotFound(_))
        ));
        let (kind, _) = refusal(on.act(&change, &attempt()).await);
        assert_eq!(kind, "not-found");
    }
    assert!(on.facts(&Change::StopService {}).await.is_err());
    assert!(on.read(&Read::ServiceStatus).await.is_err());

    let change = state(BACKEND, "n1", Drain);
    let (_, attempt) = observed(&on, &change).await;
    lab.proxy.kill();
    assert!(matches!(
        servers(&on, BACKEND).await,
        Err(ReadError::Unavailable(_))
    ));
    assert!(matches!(
        on.probe(&change, &attempt).await,
        Err(ReadError::Unavailable(_))
    ));
    assert!(matches!(
        on.identity().await,
        Err(ReadError::Unavailable(_))
    ));
    assert!(matches!(on.act(&change, &attempt).await, Acted::NotSent(_)));
}

#[tokio::test]
async fn a_socket_that_only_reads_is_told_so_and_cookies_are_seen() {
    let lab = Lab::start().await;
    let beside = |name: &str| -> PathBuf { lab.proxy.runtime_socket().with_file_name(name) };
    let user = beside("user.sock");
    assert!(!server(&lab.balancer(), BACKEND, "n1").await.sticky);
    let file = lab.proxy.config_file();
    let text = std::fs::read_to_string(&file).unwrap();
    let cookie = "    balance roundrobin\n";
    let with = format!("{cookie}    cookie SRV insert indirect\n");
    std::fs::write(&file, text.replace(cookie, &with)).unwrap();
    let line = "    maxconn 500\n";
    let with = format!(
        "{line}    stats socket {} mode 600 level operator\n",
        user.display()
    );
    lab.reload_with(line, &with, &user).await;
    let on = opened(&TrafficConfig::haproxy_socket(&user));
    assert_ne!(
        on.identity().await.unwrap().fingerprint,
        lab.balancer().identity().await.unwrap().fingerprint
    );
    let change = state(BACKEND, "n1", Drain);
    until(&on, &serving_at_least(BACKEND, 3)).await;
    let (_, attempt) = observed(&on, &change).await;
    let (kind, text) = refusal(on.act(&change, &attempt).await);
    assert_eq!(kind, "permission-denied");
    assert!(text.contains("level admin"), "{text}");
    assert!(server(&on, BACKEND, "n1").await.sticky);
}

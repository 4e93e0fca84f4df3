//! Nodes of a set: labels, the artifact they run, and a stop that takes as long as a node may need.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use liftlock_service::{Secrets, Service, ServiceConfig, ServicePlace, SupervisorCommand};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Facts, FileName, Planned, Probed, Read, ReadError,
    RunId, StepId,
};
use serde_json::{Value, json};

/// Longest wait for anything that must come.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    temp: tempfile::TempDir,
    service: Service,
}

/// A node with two versions installed, and a listener in Python that takes these words.
fn node(words: &str, grace_ms: u64) -> Node {
    let temp = tempfile::tempdir().unwrap();
    for version in ["camunda/7.22.0", "camunda/7.23.0", "n1"] {
        fs::create_dir_all(temp.path().join(version)).unwrap();
    }
    std::os::unix::fs::symlink("../camunda/7.22.0", temp.path().join("n1/current")).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service.py");
    let config: ServiceConfig = toml::from_str(&format!(
        r#"
        start = ["python3", "{}", "{port}", "{words}"]
        port = {port}
        ready = {{ http = "http://127.0.0.1:{port}/" }}
        grace-ms = {grace_ms}
        labels = {{ pool = "rest", server = "be/n1", jobs = "yes" }}
        artifact = {{ link = "n1/current", versions = "camunda" }}
        "#,
        script.display()
    ))
    .unwrap();
    let place = ServicePlace {
        binding: Binding::new("service.n1").unwrap(),
        base: temp.path().to_owned(),
        processes: temp.path().join("processes"),
        supervisor: SupervisorCommand(vec![env!("CARGO_BIN_EXE_liftlock-supervise").into()]),
        secrets: Secrets::default(),
    };
    Node {
        service: Service::open(config, place).unwrap(),
        temp,
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Ok(launches) = fs::read_dir(self.temp.path().join("processes/service.n1")) else {
            return;
        };
        for launch in launches.flatten() {
            let child = fs::read(launch.path().join("child.json")).unwrap_or_default();
            let child: Value = serde_json::from_slice(&child).unwrap_or_default();
            let pid = child["process"]["pid"]
                .as_i64()
                .and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn attempt(step: &str) -> Attempt {
    Attempt {
        run: RunId::new("r1").unwrap(),
        step: StepId::new(step).unwrap(),
        number: 1,
        token: format!("liftlock-r1-{step}-1"),
        intent_at_ms: 0,
        kept: Value::Null,
        facts: Facts::new(),
        answer: None,
        referred: None,
        made_by_run: BTreeMap::new(),
    }
}

async fn observed(service: &Service, step: &str, change: &Change) -> Attempt {
    let mut attempt = attempt(step);
    attempt.facts = service.facts(change).await.unwrap();
    let observed = service.observe(change, &attempt).await.unwrap();
    assert!(!observed.already_true, "{observed:?}");
    attempt.kept = observed.kept;
    attempt
}

async fn probed(service: &Service, change: &Change, attempt: &Attempt) -> Probed {
    let until = Instant::now() + PATIENCE;
    loop {
        match service.probe(change, attempt).await.unwrap() {
            Probed::InProgress(progress) => {
                assert!(Instant::now() < until, "{progress:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            probed => return probed,
        }
    }
}

async fn perform(service: &Service, step: &str, change: &Change) -> (Attempt, Value) {
    let mut attempt = observed(service, step, change).await;
    match service.act(change, &attempt).await {
        Acted::Answered(answer) => attempt.answer = Some(answer),
        other => panic!("{other:?}"),
    }
    match probed(service, change, &attempt).await {
        Probed::Applied {
            ours: true,
            evidence,
        } => {
            let left = service.clean_up(change, &attempt).await.unwrap();
            assert!(left.is_empty(), "{left:?}");
            (attempt, evidence)
        }
        other => panic!("{other:?}"),
    }
}

fn switch(to: &str) -> Change {
    Change::SwitchArtifact {
        to: FileName::new(to).unwrap(),
        while_it_is: None,
    }
}

async fn refusal(service: &Service, change: &Change, attempt: &Attempt) -> String {
    match service.act(change, attempt).await {
        Acted::Refused { text, later, .. } => {
            assert!(!later);
            text
        }
        other => panic!("{other:?}"),
    }
}

impl Node {
    fn link(&self) -> String {
        let link = fs::read_link(self.temp.path().join("n1/current")).unwrap();
        link.display().to_string()
    }

    async fn artifact(&self) -> Result<Value, ReadError> {
        self.service.read(&Read::ServiceArtifact).await
    }
}

#[tokio::test]
async fn labels_are_read_as_the_operator_wrote_them() {
    let node = node("", 1_000);
    let labels = node.service.read(&Read::ServiceLabels).await.unwrap();
    assert_eq!(
        labels,
        json!([["jobs", "yes"], ["pool", "rest"], ["server", "be/n1"]])
    );
}

#[tokio::test]
async fn an_artifact_is_switched_while_its_service_is_stopped_and_switched_back() {
    let node = node("", 5_000);
    let (service, to_new) = (&node.service, switch("7.23.0"));
    assert_eq!(
        node.artifact().await.unwrap(),
        json!({ "current": "7.22.0", "available": ["7.22.0", "7.23.0"] })
    );
    assert_eq!(
        service.facts(&to_new).await.unwrap()["artifact/current"],
        json!("7.22.0")
    );

    // Not while it runs.
    perform(service, "start", &Change::StartService {}).await;
    let seen = observed(service, "early", &to_new).await;
    let why = refusal(service, &to_new, &seen).await;
    assert!(why.contains("only while it is stopped"), "{why}");
    assert_eq!(node.link(), "../camunda/7.22.0");
    perform(service, "stop", &Change::StopService {}).await;

    // Not to what is not there.
    let unknown = switch("7.24.0");
    let seen = observed(service, "unknown", &unknown).await;
    let why = refusal(service, &unknown, &seen).await;
    assert!(why.contains("7.24.0") && why.contains("not there"), "{why}");

    let before = observed(service, "switch", &to_new).await;
    assert!(matches!(
        service.probe(&to_new, &before).await.unwrap(),
        Probed::Absent(_)
    ));
    let (switched, evidence) = perform(service, "switch", &to_new).await;
    assert_eq!(evidence, json!({ "artifact": "7.23.0" }));
    assert_eq!(node.link(), "../camunda/7.23.0");
    assert!(node.temp.path().join("camunda/7.22.0").is_dir());

    // The way back, only while the link names what we put there.
    let undo = service.automatic_undo(&to_new, &switched).unwrap();
    let [Planned { change: back, .. }] = undo.as_slice() else {
        panic!("{undo:?}")
    };
    let moved = node.temp.path().join("camunda/7.25.0");
    fs::create_dir(&moved).unwrap();
    let link = node.temp.path().join("n1/current");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&moved, &link).unwrap();
    let seen = observed(service, "back", back).await;
    let why = refusal(service, back, &seen).await;
    assert!(why.contains("by now"), "{why}");
    assert!(matches!(
        service.probe(&to_new, &switched).await.unwrap(),
        Probed::Indeterminate(_)
    ));
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("../camunda/7.23.0", &link).unwrap();
    perform(service, "back", back).await;
    assert_eq!(node.link(), "../camunda/7.22.0");
}

#[tokio::test]
async fn a_link_that_is_none_is_said_before_anything_is_planned() {
    let node = node("", 1_000);
    let link = node.temp.path().join("n1/current");
    fs::remove_file(&link).unwrap();
    assert_eq!(node.artifact().await.unwrap()["current"], Value::Null);
    let none = observed(&node.service, "none", &switch("7.23.0")).await;
    let why = refusal(&node.service, &switch("7.23.0"), &none).await;
    assert!(why.contains("no link"), "{why}");
    fs::create_dir(&link).unwrap();
    for error in [
        node.artifact().await.unwrap_err(),
        node.service.facts(&switch("7.23.0")).await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, ReadError::Invalid(why) if why.contains("no symbolic link")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_stop_that_outlasts_its_grace_says_that_it_killed() {
    let node = node("deaf", 1_500);
    let service = &node.service;
    perform(service, "start", &Change::StartService {}).await;
    let stop = Change::StopService {};
    let mut attempt = observed(service, "stop", &stop).await;
    // As the gate gives up an answer that takes too long: the stop goes on, and is seen to.
    let given_up = tokio::time::timeout(Duration::from_millis(200), service.act(&stop, &attempt));
    assert!(given_up.await.is_err());
    match service.probe(&stop, &attempt).await.unwrap() {
        Probed::InProgress(progress) => {
            assert!(progress.note.contains("asked to end"), "{progress:?}");
            assert!(progress.note.contains("has 2 s before"), "{progress:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(service.in_flight(&stop, &attempt).await.unwrap());
    attempt.answer = Some(Value::Null);
    let evidence = match probed(service, &stop, &attempt).await {
        Probed::Applied { evidence, .. } => evidence,
        other => panic!("{other:?}"),
    };
    assert_eq!(evidence["killed"], json!(true), "{evidence}");
    let note = evidence["note"].as_str().unwrap();
    assert!(note.contains("within 2 s and was killed"), "{note}");
    // Another process that looks says so as well, until it stands in an outcome.
    let again = service.probe(&stop, &attempt).await.unwrap();
    assert!(matches!(again, Probed::Applied { evidence, .. } if evidence["killed"] == true));
    assert!(service.clean_up(&stop, &attempt).await.unwrap().is_empty());
    assert!(!service.in_flight(&stop, &attempt).await.unwrap());
}

#[tokio::test]
async fn a_stop_that_ends_in_time_says_that_nothing_was_killed() {
    let node = node("", 600_000);
    perform(&node.service, "start", &Change::StartService {}).await;
    let (_, evidence) = perform(&node.service, "stop", &Change::StopService {}).await;
    assert_eq!(evidence["killed"], json!(false), "{evidence}");
    assert!(evidence.get("note").is_none());
    // And no restart takes ten minutes to be answered.
    let restart = Change::RestartService {};
    let error = node.service.facts(&restart).await.unwrap_err();
    assert!(error.to_string().contains("two steps"), "{error}");
    let why = refusal(&node.service, &restart, &attempt("restart")).await;
    assert!(why.contains("two steps"), "{why}");
}

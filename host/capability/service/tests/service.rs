//! Real processes: what each read, change and predicate does, and what survives the death of who began it.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use liftlock_service::{
    OUTPUT_BYTES_MAX, Secrets, Service, ServiceConfig, ServicePlace, SupervisorCommand,
};
use liftlock_types::rules::{Borrow, RULES};
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Facts, FileName, Predicate, Probed, Read,
    ReadError, RunId, SecretRef, StepId,
};
use rustix::process::{Pid, Signal};
use secrecy::SecretString;
use serde_json::{Value, json};

const CANARY: &str = "canary-4711";

/// Longest wait for anything that must come; the slowest is a Python that starts on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place whose processes die with it.
struct Site {
    temp: tempfile::TempDir,
    port: u16,
}

impl Drop for Site {
    fn drop(&mut self) {
        for pid in self.launched_pids() {
            kill(pid, true);
        }
        // And what left its group: it carries the directory of its launch.
        let place = self.temp.path().display().to_string();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid
                && String::from_utf8_lossy(&environ).contains(&format!("LIFTLOCK_LAUNCH={place}"))
            {
                kill(pid, false);
            }
        }
    }
}

fn kill(pid: u32, group: bool) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = if group {
        rustix::process::kill_process_group(pid, Signal::KILL)
    } else {
        rustix::process::kill_process(pid, Signal::KILL)
    };
}

/// A process that the operator began; it dies with the test.
struct Theirs(std::process::Child);

impl Theirs {
    fn begin(argv: &[String]) -> Self {
        let child = Command::new(&argv[0])
            .args(&argv[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn site() -> Site {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Site {
        temp: tempfile::tempdir().unwrap(),
        port: listener.local_addr().unwrap().port(),
    }
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn script() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service.py")
    }

    fn argv(&self, words: &[&str]) -> Vec<String> {
        let mut argv = vec![
            "python3".to_owned(),
            Self::script().display().to_string(),
            self.port.to_string(),
        ];
        argv.extend(words.iter().map(ToString::to_string));
        argv
    }

    fn config(&self, words: &[&str]) -> ServiceConfig {
        let mut config: ServiceConfig = toml::from_str(&format!(
            "port = {0}\nready = {{ http = \"http://127.0.0.1:{0}/ready\" }}\ngrace-ms = 5000",
            self.port
        ))
        .unwrap();
        config.start = self.argv(words);
        config
    }

    fn place(&self) -> ServicePlace {
        let secret = SecretRef::Env("SECRET".into());
        ServicePlace {
            binding: Binding::new("service.test").unwrap(),
            base: self.temp.path().to_owned(),
            processes: self.path("processes"),
            supervisor: SupervisorCommand(vec![env!("CARGO_BIN_EXE_liftlock-supervise").into()]),
            secrets: Secrets(vec![(secret, SecretString::from(CANARY))]),
        }
    }

    fn open(&self, config: &ServiceConfig) -> Service {
        Service::open(config.clone(), self.place()).unwrap()
    }

    /// Of a file of the supervisor of an attempt.
    fn record(&self, attempt: &Attempt, name: &str) -> Option<Value> {
        let dir = self.path("processes/service.test").join(&attempt.token);
        let text = fs::read_to_string(dir.join(name)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    fn pid(&self, attempt: &Attempt, name: &str) -> u32 {
        let pid = self.record(attempt, name).unwrap()["process"]["pid"].as_u64();
        u32::try_from(pid.unwrap()).unwrap()
    }

    fn launched_pids(&self) -> Vec<u32> {
        let Ok(launches) = fs::read_dir(self.path("processes/service.test")) else {
            return Vec::new();
        };
        launches
            .filter_map(|entry| fs::read(entry.ok()?.path().join("child.json")).ok())
            .filter_map(|bytes| {
                let child: Value = serde_json::from_slice(&bytes).ok()?;
                u32::try_from(child["process"]["pid"].as_u64()?).ok()
            })
            .collect()
    }

    fn all_files(&self) -> String {
        let mut text = String::new();
        let mut dirs = vec![self.temp.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    text += &String::from_utf8_lossy(&fs::read(path).unwrap());
                }
            }
        }
        text
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

fn task(name: &str) -> Change {
    Change::RunTask {
        name: name.into(),
        rerun_safe: None,
    }
}

const START: Change = Change::StartService {};
const STOP: Change = Change::StopService {};
const RESTART: Change = Change::RestartService {};

async fn begin(service: &Service, step: &str, change: &Change) -> Attempt {
    let mut attempt = attempt(step);
    attempt.facts = service.facts(change).await.unwrap();
    let observed = service.observe(change, &attempt).await.unwrap();
    assert!(!observed.already_true, "{observed:?}");
    attempt.kept = observed.kept;
    match service.act(change, &attempt).await {
        Acted::Answered(answer) => attempt.answer = Some(answer),
        other => panic!("{other:?}"),
    }
    attempt
}

/// Looks until it is no longer in progress.
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

async fn perform(service: &Service, step: &str, change: &Change) -> Attempt {
    let attempt = begin(service, step, change).await;
    let probed = probed(service, change, &attempt).await;
    assert!(
        matches!(probed, Probed::Applied { ours: true, .. }),
        "{probed:?}"
    );
    assert!(service.clean_up(change, &attempt).await.unwrap().is_empty());
    attempt
}

async fn refused(service: &Service, step: &str, change: &Change) -> String {
    match service.act(change, &attempt(step)).await {
        Acted::Refused { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

async fn state(service: &Service) -> String {
    let status = service.read(&Read::ServiceStatus).await.unwrap();
    status["state"]["is"].as_str().unwrap().to_owned()
}

async fn eventually(service: &Service, wanted: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = state(service).await;
        if now == wanted {
            return;
        }
        assert!(Instant::now() < until, "{now}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_row_of_the_table_is_implemented() {
    let site = site();
    let mut config = site.config(&[]);
    config.tasks = toml::from_str("x = { command = [\"true\"] }").unwrap();
    config.artifact = toml::from_str("link = \"current\"\nversions = \"versions\"").ok();
    for version in ["old", "new"] {
        fs::create_dir_all(site.path("versions").join(version)).unwrap();
    }
    std::os::unix::fs::symlink("versions/old", site.path("current")).unwrap();
    let service = site.open(&config);
    let mut verbs: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.verb)
        .filter(|verb| verb.starts_with("service."))
        .collect();
    // A stop needs something that runs, a switch something that does not.
    verbs.sort_by_key(|verb| (*verb == "service.switch-artifact", *verb == "service.stop"));
    assert!(verbs.len() >= 4);
    eventually(&service, "stopped").await;
    let mut starts = verbs.clone();
    starts.sort_by_key(|verb| *verb != "service.start");
    for verb in starts {
        let change = match verb {
            "service.stop" => STOP,
            "service.start" => START,
            "service.restart" => RESTART,
            "service.run-task" => task("x"),
            "service.switch-artifact" => Change::SwitchArtifact {
                to: FileName::new("new").unwrap(),
                while_it_is: None,
            },
            verb => panic!("no implementation of {verb}"),
        };
        let done = perform(&service, &verb.replace('.', "-"), &change).await;
        let undo = service.automatic_undo(&change, &done);
        let has_undo = !change.rule().automatic_undo.is_empty();
        assert_eq!(undo.is_some(), has_undo, "{verb}");
        assert_eq!(
            change.rule().borrows,
            (verb == "service.stop").then_some(Borrow::Protective)
        );
    }
    eventually(&service, "stopped").await;
}

#[tokio::test]
async fn a_service_is_started_found_again_and_stopped() {
    let site = site();
    let config = site.config(&["slow"]);
    let service = site.open(&config);
    let holds = async |service: &Service, predicate| {
        service.evaluate(&predicate, None).await.unwrap().holds
    };
    assert!(holds(&service, Predicate::Stopped).await);
    assert!(
        service
            .observe(&STOP, &attempt("s"))
            .await
            .unwrap()
            .already_true
    );

    let started = begin(&service, "start", &START).await;
    // A second start while one lives, also by another process.
    let why = refused(&site.open(&config), "again", &START).await;
    assert!(why.contains("never started while one lives"), "{why}");
    assert!(service.in_flight(&START, &started).await.unwrap());
    assert!(matches!(
        probed(&service, &START, &started).await,
        Probed::Applied { ours: true, .. }
    ));
    assert!(holds(&service, Predicate::Ready).await);
    assert!(!holds(&service, Predicate::Stopped).await);
    let status = service.read(&Read::ServiceStatus).await.unwrap();
    assert_eq!(status["pids"], json!([site.pid(&started, "child.json")]));
    assert!(status["since_ms"].as_u64().is_some());

    // Found again through the files of the supervisor, and known as the doing of that attempt.
    drop(service);
    let again = site.open(&config);
    assert!(
        again
            .observe(&START, &attempt("x"))
            .await
            .unwrap()
            .already_true
    );
    assert!(matches!(
        again.probe(&START, &started).await.unwrap(),
        Probed::Applied { ours: true, .. }
    ));

    let observed = again.observe(&STOP, &attempt("stop")).await.unwrap();
    let borrowed = observed.borrowed.unwrap();
    assert_eq!(
        (
            borrowed.kind,
            borrowed.key.as_str(),
            borrowed.old,
            borrowed.ours
        ),
        (
            Borrow::Protective,
            "service",
            json!("ready"),
            json!("stopped")
        )
    );
    assert_eq!(again.borrowed_now("service").await.unwrap(), json!("ready"));
    let stopped = perform(&again, "stop", &STOP).await;
    assert_eq!(stopped.answer.unwrap()["killed"], 0);
    assert!(holds(&again, Predicate::Stopped).await);
    assert_eq!(
        again.borrowed_now("service").await.unwrap(),
        json!("stopped")
    );
    perform(&again, "start-2", &START).await;
}

#[tokio::test]
async fn the_supervisor_has_a_session_of_its_own() {
    let site = site();
    let service = site.open(&site.config(&[]));
    let started = perform(&service, "start", &START).await;
    let supervisor = site.pid(&started, "supervisor.json");
    let child = site.pid(&started, "child.json");
    let (group, session) = group_and_session(child);
    assert_eq!((group, session), (child, supervisor));
    assert_eq!(group_and_session(supervisor).1, supervisor);
    assert_ne!(session, group_and_session(std::process::id()).1);
}

/// 0: its leader lives outside of this pid namespace, as that of a container's first command does. A system call
/// gives the same 0, which `rustix` takes for an impossible id.
fn group_and_session(pid: u32) -> (u32, u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let mut fields = rest.split_whitespace().skip(2);
    let mut next = || fields.next().unwrap().parse().unwrap();
    (next(), next())
}

/// What the next test begins in a process of its own, and kills.
async fn a_runner_that_is_killed(temp: PathBuf) {
    let port = std::env::var("LIFTLOCK_TEST_PORT")
        .unwrap()
        .parse()
        .unwrap();
    let site = std::mem::ManuallyDrop::new(Site {
        temp: tempfile::Builder::new().tempdir_in(&temp).unwrap(),
        port,
    });
    let service = {
        let mut config = site.config(&["slow"]);
        config.start_timeout_ms = 60_000;
        let place = ServicePlace {
            binding: Binding::new("service.test").unwrap(),
            base: temp.clone(),
            processes: temp.join("processes"),
            supervisor: SupervisorCommand(vec![env!("CARGO_BIN_EXE_liftlock-supervise").into()]),
            secrets: Secrets::default(),
        };
        Service::open(config, place).unwrap()
    };
    begin(&service, "start", &START).await;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_service_survives_the_kill_of_who_started_it() {
    if let Some(temp) = std::env::var_os("LIFTLOCK_TEST_SITE") {
        return a_runner_that_is_killed(temp.into()).await;
    }
    let site = site();
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_service_survives_the_kill_of_who_started_it"])
        .env("LIFTLOCK_TEST_SITE", site.temp.path())
        .env("LIFTLOCK_TEST_PORT", site.port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = attempt("start");
    wait_for("the service begins", || {
        site.record(&start, "child.json").is_some()
    })
    .await;
    runner.kill().unwrap();
    runner.wait().unwrap();
    let service = site.open(&site.config(&["slow"]));
    assert!(matches!(
        probed(&service, &START, &start).await,
        Probed::Applied { ours: true, .. }
    ));
    assert_eq!(site.launched_pids().len(), 1);
    perform(&service, "stop", &STOP).await;
}

#[tokio::test]
async fn a_start_script_that_ends_leaves_a_service_that_is_found_and_stopped() {
    let site = site();
    let config = site.config(&["fork"]);
    let service = site.open(&config);
    let started = perform(&service, "start", &START).await;
    let status = service.read(&Read::ServiceStatus).await.unwrap();
    let child = site.pid(&started, "child.json");
    assert!(
        !status["pids"].as_array().unwrap().contains(&json!(child)),
        "{status}"
    );
    assert_eq!(status["pids"].as_array().unwrap().len(), 1);
    let again = perform(&service, "again", &RESTART).await;
    assert_eq!(again.answer.unwrap()["stopped"]["processes"], 1);
    perform(&service, "stop", &STOP).await;
}

#[tokio::test]
async fn what_does_not_listen_to_a_signal_is_killed_after_its_grace() {
    let site = site();
    let mut config = site.config(&["deaf"]);
    config.grace_ms = 300;
    let service = site.open(&config);
    perform(&service, "start", &START).await;
    let stopped = perform(&service, "stop", &STOP).await;
    assert_eq!(stopped.answer.unwrap()["killed"], 1);
}

#[tokio::test]
async fn a_stop_command_is_used_where_one_is_named() {
    let site = site();
    let mut config = site.config(&[]);
    let service = site.open(&config);
    let started = perform(&service, "start", &START).await;
    let pid = site.pid(&started, "child.json");
    config.stop = toml::from_str::<BTreeMap<String, liftlock_service::Stop>>(&format!(
        "x = {{ command = [\"sh\", \"-c\", \"kill -INT {pid}; echo $LIFTLOCK_TOKEN > stopped\"] }}"
    ))
    .unwrap()
    .remove("x")
    .unwrap();
    config.directory = Some(".".into());
    let service = site.open(&config);
    perform(&service, "stop", &STOP).await;
    let said = fs::read_to_string(site.path("stopped")).unwrap();
    assert_eq!(said.trim(), "liftlock-r1-stop-1");
}

#[tokio::test]
async fn a_service_that_the_operator_started_is_found_by_its_pid_file() {
    let site = site();
    let mut config = site.config(&[]);
    config.pid_file = Some("pid".into());
    let service = site.open(&config);
    eventually(&service, "stopped").await;
    let mut theirs = Theirs::begin(&site.argv(&[]));
    fs::write(site.path("pid"), format!("{}\n", theirs.0.id())).unwrap();
    eventually(&service, "ready").await;
    let status = service.read(&Read::ServiceStatus).await.unwrap();
    assert_eq!(status["pids"], json!([theirs.0.id()]));
    perform(&service, "stop", &STOP).await;
    theirs.0.wait().unwrap();
    // The file stands, its process is gone.
    assert!(site.path("pid").exists());
    eventually(&service, "stopped").await;
}

#[tokio::test]
async fn a_pid_that_was_given_out_again_is_not_the_service() {
    let site = site();
    let mut config = site.config(&[]);
    config.pid_file = Some("pid".into());
    let service = site.open(&config);
    let other = Theirs::begin(&["sleep".into(), "600".into()]);
    let file = fs::File::create(site.path("pid")).unwrap();
    fs::write(site.path("pid"), other.0.id().to_string()).unwrap();
    assert_eq!(state(&service).await, "starting");
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
    assert_eq!(state(&service).await, "stopped");
}

#[tokio::test]
async fn a_service_that_the_operator_started_is_found_by_its_command_line() {
    let site = site();
    let mut config = site.config(&[]);
    config.process = Some(format!(r"python3 .*service\.py {}$", site.port));
    let service = site.open(&config);
    let mut theirs = Theirs::begin(&site.argv(&[]));
    eventually(&service, "ready").await;
    perform(&service, "stop", &STOP).await;
    theirs.0.wait().unwrap();
}

#[tokio::test]
async fn a_service_that_hangs_can_be_stopped_in_time() {
    let site = site();
    let service = site.open(&site.config(&["mute"]));
    begin(&service, "start", &START).await;
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", site.port)).is_err() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    let observed = service.observe(&STOP, &attempt("stop")).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(!observed.already_true);
    perform(&service, "stop", &STOP).await;
}

#[tokio::test]
async fn signs_that_contradict_each_other_are_no_state() {
    let site = site();
    let mut config = site.config(&[]);
    config.pid_file = Some("pid".into());
    let _listener = std::net::TcpListener::bind(("127.0.0.1", site.port)).unwrap();
    config.ready = None;
    let service = site.open(&config);
    assert_eq!(state(&service).await, "unknown");
    let stopped = service.evaluate(&Predicate::Stopped, None).await.unwrap();
    assert!(
        !stopped.holds && stopped.why.contains("it has no process"),
        "{stopped:?}"
    );
    let why = refused(&service, "start", &START).await;
    assert!(why.contains("cannot be told"), "{why}");
    let why = refused(&service, "stop", &STOP).await;
    assert!(why.contains("no process of it is known"), "{why}");
}

#[tokio::test]
async fn a_process_that_never_gets_ready_is_first_starting_then_not_ready_then_a_doubt() {
    let site = site();
    let mut config = site.config(&["sick"]);
    let service = site.open(&config);
    let started = begin(&service, "start", &START).await;
    assert_eq!(state(&service).await, "starting");
    config.start_timeout_ms = 0;
    let service = site.open(&config);
    wait_for_health(&service).await;
    assert_eq!(state(&service).await, "running-not-ready");
    let probed = probed(&service, &START, &started).await;
    assert!(
        matches!(&probed, Probed::Indeterminate(seen) if seen.to_string().contains("503")),
        "{probed:?}"
    );
}

async fn wait_for_health(service: &Service) {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = service.read(&Read::ServiceStatus).await.unwrap();
        if status.to_string().contains("503") {
            return;
        }
        assert!(Instant::now() < until, "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_start_that_ends_at_once_is_absent_with_its_exit() {
    let site = site();
    let mut config = site.config(&[]);
    config.start = vec!["sh".into(), "-c".into(), "exit 3".into()];
    let service = site.open(&config);
    let started = begin(&service, "start", &START).await;
    let probed = probed(&service, &START, &started).await;
    assert!(
        matches!(&probed, Probed::Absent(seen) if seen["ended"]["code"] == 3),
        "{probed:?}"
    );
    assert!(!service.in_flight(&START, &started).await.unwrap());
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_and_nothing_lives() {
    let site = site();
    let mut config = site.config(&[]);
    config.start = vec!["./no-such-program".into()];
    config.tasks = toml::from_str("x = { command = [\"/no/such/program\"] }").unwrap();
    let service = site.open(&config);
    let why = refused(&service, "start", &START).await;
    assert!(why.contains("No such file"), "{why}");
    let why = refused(&service, "task", &task("x")).await;
    assert!(why.contains("No such file"), "{why}");
    let why = refused(&service, "other", &task("y")).await;
    assert!(why.contains("no task `y`"), "{why}");
    assert!(matches!(
        service.facts(&task("y")).await,
        Err(ReadError::NotFound(_))
    ));
    config.start.clear();
    let service = site.open(&config);
    refused(&service, "none", &START).await;
    assert!(service.facts(&START).await.is_err());

    // A supervisor that is not there.
    let place = ServicePlace {
        binding: Binding::new("service.test").unwrap(),
        base: site.temp.path().to_owned(),
        processes: site.path("processes"),
        supervisor: SupervisorCommand(vec!["/no/such/supervisor".into()]),
        secrets: Secrets::default(),
    };
    let service = Service::open(site.config(&[]), place).unwrap();
    let why = refused(&service, "super", &START).await;
    assert!(why.contains("supervisor cannot be started"), "{why}");
}

#[tokio::test]
async fn ready_can_be_a_line_of_the_log_that_this_start_wrote() {
    let site = site();
    let mut config = site.config(&["quiet-port"]);
    config.port = None;
    config.log = None;
    config.ready = Some(liftlock_service::Ready::LogLine("^ready to serve$".into()));
    config.process = Some(format!(r"service\.py {} quiet-port$", site.port));
    let service = site.open(&config);
    perform(&service, "start", &START).await;
    let lines = service.read(&Read::ServiceLog { lines: 10 }).await.unwrap();
    assert_eq!(lines, json!(["ready to serve"]));
    perform(&service, "stop", &STOP).await;

    // A line of an earlier start is none of this one's.
    config.log = Some("log".into());
    fs::write(site.path("log"), "ready to serve\n").unwrap();
    let service = site.open(&config);
    begin(&service, "start-2", &START).await;
    eventually(&service, "starting").await;
    fs::write(site.path("log"), "ready to serve\nready to serve\n").unwrap();
    eventually(&service, "ready").await;
}

#[tokio::test]
async fn a_restart_is_done_when_another_process_is_ready() {
    let site = site();
    let service = site.open(&site.config(&[]));
    let first = perform(&service, "start", &START).await;
    let mut asked = attempt("restart");
    asked.kept = service.observe(&RESTART, &asked).await.unwrap().kept;
    let probed = service.probe(&RESTART, &asked).await.unwrap();
    assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
    let second = perform(&service, "restart", &RESTART).await;
    assert_ne!(
        site.pid(&first, "child.json"),
        site.pid(&second, "child.json")
    );

    // By someone else: ready with another start.
    let probed = service
        .probe(
            &RESTART,
            &Attempt {
                token: "other".into(),
                ..asked.clone()
            },
        )
        .await
        .unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: false, .. }),
        "{probed:?}"
    );
    assert!(service.automatic_undo(&RESTART, &second).is_none());
}

fn with_task(site: &Site, script: &str, more: &str) -> ServiceConfig {
    let mut config = site.config(&[]);
    config.directory = Some(".".into());
    config.tasks = toml::from_str(&format!(
        "x = {{ command = [\"sh\", \"-c\", {}] {more} }}",
        serde_json::to_string(script).unwrap()
    ))
    .unwrap();
    config
}

#[tokio::test]
async fn a_task_shows_its_progress_and_its_token_and_ends_with_its_status() {
    let site = site();
    let script =
        "echo $LIFTLOCK_TOKEN > token; echo step 3 of 7; until [ -e go ]; do sleep 0.05; done";
    let config = with_task(
        &site,
        script,
        ", progress = \"step (?<done>[0-9]+) of (?<total>[0-9]+)\"",
    );
    let service = site.open(&config);
    let tasks = service.read(&Read::ServiceTasks).await.unwrap();
    assert_eq!(tasks, json!(["x"]));
    assert!(matches!(
        service.probe(&task("x"), &attempt("t")).await.unwrap(),
        Probed::Absent(_)
    ));
    let begun = begin(&service, "t", &task("x")).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let Probed::InProgress(progress) = service.probe(&task("x"), &begun).await.unwrap() else {
            panic!("it ended")
        };
        if (progress.done, progress.total) == (3, 7) {
            assert_eq!(progress.note, "step 3 of 7");
            break;
        }
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = refused(&service, "second", &task("x")).await;
    assert!(
        why.contains("still lives") || why.contains("lives"),
        "{why}"
    );
    // The same attempt is never launched again.
    assert!(matches!(
        service.act(&task("x"), &begun).await,
        Acted::Unanswered(_)
    ));
    fs::write(site.path("go"), "").unwrap();
    let probed = probed(&site.open(&config), &task("x"), &begun).await;
    assert!(
        matches!(&probed, Probed::Applied { ours: true, evidence } if evidence["exit_code"] == 0),
        "{probed:?}"
    );
    assert_eq!(
        fs::read_to_string(site.path("token")).unwrap().trim(),
        begun.token
    );
    perform(&service, "third", &task("x")).await;
}

#[tokio::test]
async fn the_site_says_which_exit_codes_of_a_task_are_success() {
    let site = site();
    for (ends, is_success) in [(0, true), (1, true), (2, false)] {
        let script = format!("exit {ends}");
        let service = site.open(&with_task(&site, &script, ", success-codes = [0, 1]"));
        let begun = begin(&service, &format!("c{ends}"), &task("x")).await;
        let seen = probed(&service, &task("x"), &begun).await;
        let applied =
            matches!(&seen, Probed::Applied { evidence, .. } if evidence["exit_code"] == ends);
        let partial = matches!(&seen, Probed::Partial(seen) if seen["ended"]["code"] == ends);
        assert_eq!((applied, partial), (is_success, !is_success), "{seen:?}");
    }
    for codes in ["[]", "[256]", "[-1]"] {
        let config = with_task(&site, "exit 0", &format!(", success-codes = {codes}"));
        let error = Service::open(config, site.place()).unwrap_err().to_string();
        assert!(error.contains("tasks.x.success-codes"), "{error}");
    }
}

#[tokio::test]
async fn a_task_that_fails_or_takes_too_long_is_partial() {
    let site = site();
    let service = site.open(&with_task(&site, "exit 4", ""));
    let failed = begin(&service, "a", &task("x")).await;
    let seen = probed(&service, &task("x"), &failed).await;
    assert!(
        matches!(&seen, Probed::Partial(seen) if seen["ended"]["code"] == 4),
        "{seen:?}"
    );

    let mut config = with_task(
        &site,
        "trap '' TERM; sleep 600 & wait; sleep 600",
        ", timeout-ms = 100",
    );
    config.grace_ms = 200;
    let service = site.open(&config);
    let late = begin(&service, "b", &task("x")).await;
    let seen = probed(&service, &task("x"), &late).await;
    assert!(
        matches!(&seen, Probed::Partial(seen) if seen["ended"]["how"] == "timed-out"),
        "{seen:?}"
    );
    assert!(!service.in_flight(&task("x"), &late).await.unwrap());
}

#[tokio::test]
async fn a_task_whose_supervisor_was_killed_is_followed_and_then_a_doubt() {
    let site = site();
    let service = site.open(&with_task(&site, "sleep 600", ""));
    let begun = begin(&service, "t", &task("x")).await;
    kill(site.pid(&begun, "supervisor.json"), false);
    let supervisor = site.pid(&begun, "supervisor.json");
    wait_for("the supervisor ends", || !lives(supervisor)).await;
    let probed = service.probe(&task("x"), &begun).await.unwrap();
    assert!(matches!(probed, Probed::InProgress(_)), "{probed:?}");
    // Its lock is gone with it; its process is not.
    let why = refused(&service, "second", &task("x")).await;
    assert!(why.contains("of an earlier start lives"), "{why}");
    let child = site.pid(&begun, "child.json");
    kill(child, true);
    wait_for("the task ends", || !lives(child)).await;
    let probed = service.probe(&task("x"), &begun).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
}

fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_task_that_prints_without_end_does_not_fill_the_disk() {
    let site = site();
    let service = site.open(&with_task(&site, "yes | head -c 40000000; echo end", ""));
    let begun = perform(&service, "t", &task("x")).await;
    let dir = site.path("processes/service.test").join(&begun.token);
    let size = |name: &str| fs::metadata(dir.join(name)).unwrap().len();
    assert!(size("stdout.log") + size("stdout.log.1") <= OUTPUT_BYTES_MAX);
    assert!(
        fs::read_to_string(dir.join("stdout.log"))
            .unwrap()
            .ends_with("end\n")
    );
}

#[tokio::test]
async fn an_ask_is_bounded_redacted_and_escaped() {
    let site = site();
    let mut config = site.config(&[]);
    config.asks = toml::from_str(
        r#"
        version = { command = ["sh", "-c", "printf 'v 1\\033[2J\\npassword: canary-4711\\n'; echo why >&2; exit 3"] }
        large = { command = ["sh", "-c", "head -c 70000 /dev/zero; sleep 600"] }
        none = { command = ["/no/such/program"] }
        environment = { command = ["env"] }
        "#,
    )
    .unwrap();
    config.inherit = vec!["CARGO_MANIFEST_DIR".into()];
    let service = site.open(&config);
    let ask = async |name: &str| service.read(&Read::ServiceAsk { name: name.into() }).await;
    let said = ask("version").await.unwrap();
    assert_eq!(
        said,
        json!({ "exit_code": 3, "stdout": "v 1\\u{1b}[2J\npassword: [redacted]\n", "stderr": "why\n" })
    );
    assert!(matches!(ask("large").await, Err(ReadError::Invalid(_))));
    assert!(matches!(ask("none").await, Err(ReadError::Unavailable(_))));
    assert!(matches!(ask("unknown").await, Err(ReadError::NotFound(_))));

    // Of our own variables only those that were named.
    let environment = ask("environment").await.unwrap()["stdout"].to_string();
    assert!(environment.contains("CARGO_MANIFEST_DIR=") && environment.contains("PATH="));
    assert!(!environment.contains("CARGO_PKG_NAME"), "{environment}");
}

#[tokio::test]
async fn the_log_is_bounded_redacted_and_escaped() {
    let site = site();
    let mut config = site.config(&[]);
    config.log = Some("log".into());
    config.redact = vec!["acme-[0-9]+".into()];
    let service = site.open(&config);
    let log = async |lines| service.read(&Read::ServiceLog { lines }).await;
    assert!(matches!(log(1).await, Err(ReadError::NotFound(_))));
    let filler = "x".repeat(100);
    let mut text = format!("{filler}\n").repeat(20_000);
    text += "a acme-12\nb\u{1b}[1m\npassword=canary-4711\n";
    fs::write(site.path("log"), text).unwrap();
    assert_eq!(
        log(3).await.unwrap(),
        json!(["a [redacted]", "b\\u{1b}[1m", "password=[redacted]"])
    );
    let lines = log(1000).await.unwrap();
    assert_eq!(lines.as_array().unwrap().len(), 1000);
    assert_eq!(lines[0], json!(filler));
    assert!(matches!(log(0).await, Err(ReadError::Invalid(_))));
    assert!(matches!(log(1001).await, Err(ReadError::Invalid(_))));
}

#[tokio::test]
async fn a_secret_reaches_the_service_and_nothing_else() {
    let site = site();
    let mut config = site.config(&["noisy"]);
    let secret = "SECRET = { secret = { env = \"SECRET\" } }";
    config.environment = toml::from_str(secret).unwrap();
    config.tasks = toml::from_str(
        "x = { command = [\"sh\", \"-c\", \"[ ${#SECRET} = 11 ] && echo $SECRET && echo said >&2\"] }",
    )
    .unwrap();
    config.asks = toml::from_str("x = { command = [\"env\"] }").unwrap();
    let service = site.open(&config);
    let mut out = format!("{service:?}{:?}", service.identity().await);
    for (step, change) in [("start", START), ("task", task("x"))] {
        let attempt = perform(&service, step, &change).await;
        out += &format!("{attempt:?}{:?}", service.probe(&change, &attempt).await);
        out += &format!("{:?}", service.observe(&change, &attempt).await);
    }
    let ask = Read::ServiceAsk { name: "x".into() };
    for read in [ask, Read::ServiceLog { lines: 9 }, Read::ServiceStatus] {
        out += &format!("{:?}", service.read(&read).await);
    }
    let files = site.all_files();
    assert!(files.contains("the password is [redacted]"), "{files}");
    assert!(out.contains("SECRET=[redacted]"), "{out}");
    assert!(!out.contains(CANARY) && !files.contains(CANARY));

    // Not fetched: refused before anything begins.
    let place = ServicePlace {
        binding: Binding::new("service.test").unwrap(),
        base: site.temp.path().to_owned(),
        processes: site.path("processes"),
        supervisor: SupervisorCommand(vec![]),
        secrets: Secrets::default(),
    };
    let error = Service::open(config, place).unwrap_err();
    assert!(error.to_string().contains("`SECRET`"), "{error}");
}

#[tokio::test]
async fn what_is_no_read_or_change_of_a_service_is_invalid() {
    let site = site();
    let service = site.open(&site.config(&[]));
    assert!(matches!(
        service.read(&Read::Health).await,
        Err(ReadError::Invalid(_))
    ));
    let other = Predicate::NoneRunning;
    assert!(matches!(
        service.evaluate(&other, None).await,
        Err(ReadError::Invalid(_))
    ));
    assert!(service.borrowed_now("x").await.is_err());
    let identity = service.identity().await.unwrap();
    assert!(identity.fingerprint.starts_with("sha256:") && identity.product.contains("test"));
    let other = site.open(&site.config(&["slow"])).identity().await.unwrap();
    assert_ne!(identity.fingerprint, other.fingerprint);
}

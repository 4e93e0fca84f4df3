//! Calls the host's functions as a component would, with bytes of a fuzzer; then looks at what they took.
//!
//! The runtime checks that a text is UTF-8 and that a handle is one of its type before it calls us, so the bytes
//! here begin behind that. Calls are divided by `0xFE`, their values by `0xFF`, neither of which is in any UTF-8.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use liftlock_types::{
    Binding, Body, Condition, Digest, FileName, Grant, GrantedBinding, GrantedVerb, Moment,
    Planned, Proposal, Read, ReadError, Reading, Scope, Target, Undo, Verb, rules,
};
use serde_json::Value;
use wasmtime::component::Resource;

use super::wit::cluster::HostCluster;
use super::wit::cluster_changes::Host as _;
use super::wit::database::HostDatabase as _;
use super::wit::database_changes::Host as _;
use super::wit::disk::HostDirectory as _;
use super::wit::disk_changes::Host as _;
use super::wit::draft::{HostChange as _, HostCondition as _, HostDraft as _, HostStep};
use super::wit::endpoint::HostEndpoint;
use super::wit::service_changes::Host as _;
use super::wit::snapshot_changes::Host as _;
use super::wit::traffic_changes::Host as _;
use super::wit::{
    cluster, cluster_changes, database_changes, disk_changes, draft, endpoint_changes, traffic,
};
use super::{
    Balancer, Cluster, Database, Directory, DraftHandle, Endpoint, Repository, Service, StepHandle,
};
use crate::call::{Call, ReadSource, RunView, SiteView};
use crate::draft::Draft;
use crate::limits::Limits;
use crate::log::{Log, NoLog};
use crate::plugin::State;
use crate::session::HostError;

/// Calls of one input. More find nothing that fewer do not.
const CALLS_MAX: usize = 32;

/// Answers that nothing is there.
struct Nothing;

#[async_trait]
impl ReadSource for Nothing {
    async fn read(&self, _binding: &Binding, _read: &Read) -> Result<Value, ReadError> {
        Err(ReadError::NotFound("nothing".into()))
    }
}

/// Makes the calls that these bytes say, closes the draft, and looks at it.
pub(crate) fn drive(bytes: &[u8]) {
    let Some(grant) = grant() else {
        panic!("the grant of the driver is none");
    };
    let call = Call {
        site: SiteView {
            name: "fuzz".into(),
            options: BTreeMap::new(),
            // Its product says whose SQL is meant.
            bindings: Binding::new("database.engine")
                .map(|binding| (binding, "PostgreSQL".to_owned()))
                .into_iter()
                .collect(),
            grant: grant.clone(),
        },
        run: RunView::none(Moment::Asked),
        target: Target {
            from: None,
            to: String::new(),
        },
        now_ms: 0,
        reader: Arc::new(Nothing),
        log: Arc::new(NoLog),
    };
    let limits = Limits::default();
    let log = Log::new(Arc::new(NoLog), limits.log_lines_max);
    let mut state = State::new(Some(call), limits, &log);
    state.session.draft = Some(Draft::default());
    for (n, words) in bytes
        .split(|byte| *byte == 0xfe)
        .take(CALLS_MAX)
        .enumerate()
    {
        let mut words = words.split(|byte| *byte == 0xff);
        let function = words.next().and_then(|word| word.first().copied());
        let words: Vec<String> = words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        // A trap ends the call of a component, and so this input.
        if let Some(function) = function
            && one(&mut state, n, function, &Words(&words)).is_err()
        {
            return;
        }
    }
    let draft = state.session.draft.take().unwrap_or_default();
    if let Ok(proposal) = draft.close() {
        look_at(&proposal, &grant);
    }
}

struct Words<'a>(&'a [String]);

impl Words<'_> {
    fn at(&self, n: usize) -> String {
        self.0.get(n).cloned().unwrap_or_default()
    }

    fn perhaps(&self, n: usize) -> Option<String> {
        self.0.get(n).cloned()
    }

    fn from(&self, n: usize) -> Vec<String> {
        self.0.get(n..).unwrap_or_default().to_vec()
    }

    fn number(&self, n: usize) -> u64 {
        self.0
            .get(n)
            .and_then(|word| word.parse().ok())
            .unwrap_or(u64::MAX)
    }
}

/// What a function gave.
enum Got {
    Change(Resource<Planned>),
    Condition(Resource<Condition>),
    Reading(Resource<Reading>),
    Nothing,
}

/// Nothing here waits: every read is answered at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a host function waits where nothing is to be waited for"),
    }
}

/// An error only for what ends a component's call.
fn one(state: &mut State, n: usize, function: u8, words: &Words<'_>) -> Result<(), ()> {
    let step = now(state.step(
        Resource::new_own(0),
        format!("s{n}"),
        draft::Phase::Contract,
        words.at(0),
    ));
    let Some(step) = told(step)? else {
        return Ok(());
    };
    let rep = step.rep();
    let step = || Resource::<StepHandle>::new_own(rep);
    match told(call(state, function, words))? {
        Some(Got::Change(change)) => {
            let rep = change.rep();
            told(now(state.fill_now(Resource::new_own(rep), words.at(1))))?;
            if n.is_multiple_of(2) {
                told(now(HostStep::does(state, step(), change)))?;
            } else {
                told(now(state.undo(step(), change)))?;
            }
        }
        Some(Got::Condition(condition)) => {
            let rep = condition.rep();
            now(state.patience(Resource::new_own(rep), words.number(1))).map_err(drop)?;
            told(now(state.ends_when(step(), words.at(0), condition)))?;
        }
        Some(Got::Reading(reading)) => {
            let rep = reading.rep();
            told(now(state.rests_on(step(), Resource::new_own(rep))))?;
            told(now(state.captures(step(), words.at(0), vec![reading])))?;
        }
        Some(Got::Nothing) | None => {}
    }
    told(now(state.after(step(), words.at(0))))?;
    told(now(state.memo(step(), words.at(0))))?;
    now(HostStep::because(state, step(), words.at(0))).map_err(drop)?;
    // A step does one thing; this one at least something.
    told(now(state.hands_over(step(), words.at(0))))?;
    Ok(())
}

fn told<T>(answer: Result<T, HostError>) -> Result<Option<T>, ()> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(HostError::Told(error)) => {
            // These words go to the plugin, and from there to people.
            let _ = error.to_string();
            Ok(None)
        }
        Err(HostError::Trap(_)) => Err(()),
    }
}

fn call(state: &mut State, function: u8, words: &Words<'_>) -> Result<Got, HostError> {
    let table = &mut state.table;
    let binding = |text: &str| Binding::new(text).map_err(HostError::from);
    let on = table.push(Cluster {
        binding: binding("cluster.database")?,
    })?;
    let repository = table.push(Repository {
        binding: binding("snapshot.backups")?,
    })?;
    let directory = table.push(Directory {
        binding: binding("disk.config")?,
        dir: words
            .perhaps(2)
            .and_then(|name| FileName::new(name).ok())
            .into_iter()
            .collect(),
    })?;
    let service = table.push(Service {
        binding: binding("service.app")?,
    })?;
    let balancer = table.push(Balancer {
        binding: binding("traffic.front")?,
    })?;
    let drain = traffic::Administrative::Drain;
    let rep = table
        .push(Endpoint {
            binding: binding("endpoint.api")?,
        })?
        .rep();
    let api = || Resource::<Endpoint>::new_own(rep);
    let database = table.push(Database {
        binding: binding("database.engine")?,
    })?;
    let waits = || database_changes::LockPatience {
        timeout_ms: None,
        attempts: None,
    };
    let rep = on.rep();
    let on = || Resource::<Cluster>::new_own(rep);
    let legacy = cluster::TemplateKind::Legacy;
    let (a, b, c) = (words.at(0), words.at(1), words.at(2));
    let script = |words: &Words<'_>| cluster_changes::Script {
        lang: words.at(2),
        source: words.at(3),
        params: words.perhaps(4),
    };
    let change = |made: Result<Resource<Planned>, HostError>| made.map(Got::Change);
    let condition = |made: Result<Resource<Condition>, HostError>| made.map(Got::Condition);
    let reading = |made: Result<Resource<Reading>, HostError>| made.map(Got::Reading);
    match function {
        b'a' => change(now(state.create_index(on(), a, b))),
        b'b' => change(now(state.delete_index(on(), a, b))),
        b'c' => change(now(state.put_template(on(), legacy, a, b))),
        b'd' => change(now(state.delete_template(on(), legacy, a))),
        b'e' => {
            let actions = words
                .from(0)
                .chunks(2)
                .map(|pair| {
                    let alias = pair.get(1).cloned().unwrap_or_default();
                    cluster_changes::AliasAction::Remove((pair[0].clone(), alias))
                })
                .collect();
            change(now(state.update_aliases(on(), actions)))
        }
        b'f' => change(now(state.put_settings(on(), a, b))),
        b'g' => change(now(state.put_mapping(on(), a, b))),
        b'h' => {
            let what = cluster_changes::Reindexing {
                source: a,
                destination: b,
                query: words.perhaps(5),
                script: words.perhaps(4).map(|_| script(words)),
                slices: None,
                requests_per_second: None,
            };
            change(now(state.reindex(on(), what)))
        }
        b'@' => {
            let what = cluster_changes::Transforming {
                source: a,
                destination: b,
                name: c,
                query: words.perhaps(3),
                on_rejected: cluster_changes::OnRejected::Stop,
            };
            change(now(state.transform(on(), what)))
        }
        b'i' => change(now(state.update_by_query(on(), a, b, script(words)))),
        b'j' => change(now(state.delete_by_query(on(), a, b))),
        b'k' => change(now(state.create_document(on(), a, b, c))),
        b'l' => change(now(state.replace_document(on(), a, b, c, words.at(3)))),
        b'm' => change(now(state.delete_document(on(), a, b, c))),
        b'n' => change(now(state.set_cluster_setting(on(), a, words.perhaps(1)))),
        b'o' => change(now(state.cancel_task(on(), a))),
        b'p' => {
            let done_when = now(state.answer_contains(on(), words.at(3), Vec::new(), words.at(4)))?;
            let what = cluster_changes::RawRequest {
                method: cluster_changes::Method::Put,
                path: a,
                query: words
                    .perhaps(5)
                    .map(|key| (key, words.at(6)))
                    .into_iter()
                    .collect(),
                body: words.perhaps(1),
                touches: vec![c],
            };
            change(now(state.request(on(), what, done_when)))
        }
        b'q' => condition(now(state.index_exists(on(), a))),
        b'r' => condition(now(state.count_is(on(), a, words.perhaps(1), 1))),
        b's' => condition(now(state.document_contains(on(), a, b, c))),
        b't' => condition(now(state.quiet(on(), words.from(0)))),
        b'u' => condition(now(state.healthy(on(), a))),
        b'v' => reading(now(state.read_indices(on(), a))),
        b'w' => reading(now(state.read_count(on(), a))),
        b'x' => reading(now(state.read_document(on(), a, b))),
        b'y' => reading(now(state.read_templates(on(), legacy, a))),
        b'z' => now(state.raw_read(on(), a, vec![(b, c)], words.perhaps(3))).map(|_| Got::Nothing),
        b'A' => change(now(state.register(repository, a, b))),
        b'B' => change(now(state.unregister(repository, a, b))),
        b'C' => change(now(state.take(repository, a, vec![b], words.from(2)))),
        b'D' => change(now(state.prove(repository, a))),
        b'E' => change(now(state.restore(repository, a, words.from(1)))),
        b'!' => change(now(state.restore_into(
            repository,
            a,
            vec![b],
            words.from(2),
            None,
        ))),
        b'F' => change(now(state.keep(directory, a))),
        b'G' => {
            let to = Resource::new_own(directory.rep());
            change(now(state.copy(directory, a, to, b)))
        }
        b'H' => change(now(state.write(directory, a, b))),
        b'I' => {
            let hunk = disk_changes::Hunk {
                old: words.at(3),
                new: words.at(4),
            };
            change(now(state.edit(directory, a, b, vec![hunk])))
        }
        b'J' => change(now(disk_changes::Host::remove(state, directory, a, b))),
        b'K' => reading(now(state.read_sha256(directory, a))),
        b'L' => now(state.open_directory(directory, a)).map(|_| Got::Nothing),
        b'M' => change(now(state.run_task(service, a, words.perhaps(1)))),
        b'N' => now(HostCluster::search(
            state,
            on(),
            cluster::Search {
                indices: words.from(2),
                query: a,
                sort: words.perhaps(1),
                size: 1,
                after: None,
            },
        ))
        .map(|_| Got::Nothing),
        b'O' => {
            now(state.hand_over(Resource::<DraftHandle>::new_own(0), a, b))
                .map_err(HostError::from)?;
            Ok(Got::Nothing)
        }
        b'P' => change(now(state.set_state(balancer, a, b, drain))),
        b'Q' => change(now(state.set_weight(balancer, a, b, 1))),
        b'R' => condition(now(state.idle(balancer, a, b))),
        b'S' => condition(now(state.serving_at_least(balancer, a, 1))),
        b'T' => reading(now(state.read_servers(balancer, a))),
        b'U' => change(now(state.switch_artifact(service, a))),
        b'V' => now(HostEndpoint::get(state, api(), a, vec![(b, c)])).map(|_| Got::Nothing),
        b'W' => {
            let asked = endpoint_changes::Host::answers(
                state,
                api(),
                words.at(3),
                vec![("a".into(), words.at(5))],
                200,
                words.at(4),
            );
            let done_when = now(asked)?;
            let what = endpoint_changes::ApiRequest {
                method: endpoint_changes::Method::Post,
                path: a,
                query: vec![("a".into(), c)],
                body: Some(b),
            };
            let request = endpoint_changes::Host::request(state, api(), what, done_when);
            change(now(request))
        }
        b'X' => condition(now(endpoint_changes::Host::answers(
            state,
            api(),
            a,
            vec![(b, c)],
            u16::try_from(words.number(4)).unwrap_or(200),
            words.at(3),
        ))),
        b'Y' => reading(now(endpoint_changes::Host::read_answer(
            state,
            api(),
            a,
            vec![(b, c)],
        ))),
        b'0' => change(now(state.execute(database, a, waits()))),
        b'1' => change(now(state.execute_together(
            database,
            words.from(0),
            waits(),
        ))),
        b'2' => change(now(state.end_session(database, 1, a, b))),
        b'3' => {
            let values = words.perhaps(1).into_iter().map(Some).collect();
            let expected = vec![words.from(2).into_iter().map(Some).collect()];
            condition(now(state.query_is(database, a, values, expected)))
        }
        b'4' => condition(now(state.index_valid(database, a, b))),
        b'5' => condition(now(state.no_session(database, a))),
        b'6' => reading(now(state.read_columns(database, a))),
        b'7' => {
            let values = words.from(1).into_iter().map(Some).collect();
            now(state.query(database, a, values)).map(|_| Got::Nothing)
        }
        b'8' => change(now(state.set_transient_setting(on(), a, words.perhaps(1)))),
        b'9' => change(now(state.flush(on(), vec![a], words.from(1)))),
        b'=' => change(now(state.put_cluster_settings(
            on(),
            match words.number(1) % 3 {
                0 => cluster::Scope::Persistent,
                1 => cluster::Scope::Transient,
                _ => cluster::Scope::Defaults,
            },
            a,
        ))),
        b'Z' => match words.perhaps(1) {
            Some(key) => change(now(state.remove_archived_index_settings(
                on(),
                a,
                vec![key],
            ))),
            None => change(now(state.remove_archived_settings(on(), vec![a]))),
        },
        _ => Ok(Got::Nothing),
    }
}

/// What was taken is granted, means one thing, and can be shown.
fn look_at(proposal: &Proposal, grant: &Grant) {
    for step in &proposal.steps {
        plain(&step.title, false);
        plain(&step.because, true);
        let undos = match &step.undo {
            Undo::Changes(changes) => changes.as_slice(),
            _ => &[],
        };
        for planned in step.change().into_iter().chain(undos) {
            if let Err(denied) = grant.allow_change(planned) {
                panic!("a change was taken that is not granted: {denied}");
            }
            for name in planned.change.names() {
                covered(&name);
            }
        }
        for condition in &step.ends_when {
            plain(&condition.label, false);
            if let Err(denied) = grant.allow_condition(condition) {
                panic!("a condition was taken that is not granted: {denied}");
            }
        }
        if let Body::Capture { reads, .. } = &step.body {
            for reading in reads {
                if let Err(denied) = grant.allow_read(&reading.binding, &reading.read) {
                    panic!("a reading was taken that is not granted: {denied}");
                }
            }
        }
    }
    for hand_over in &proposal.hand_overs {
        plain(&hand_over.title, false);
        plain(&hand_over.text, true);
    }
    let Ok(written) = serde_json::to_string(proposal) else {
        panic!("a proposal cannot be written");
    };
    match serde_json::from_str::<Proposal>(&written) {
        Ok(again) if again == *proposal => {}
        _ => panic!("a proposal is another after it was written"),
    }
}

/// By a rule of its own, so that the policy is not its own witness.
fn covered(name: &str) {
    let name = name
        .strip_prefix("PUT /_ingest/pipeline/")
        .or_else(|| name.strip_prefix("POST /"))
        .or_else(|| name.strip_prefix('/'))
        .or_else(|| name.strip_prefix("archived."))
        .unwrap_or(name);
    assert!(
        name.starts_with("a-") && !name.starts_with("a-secret-"),
        "`{}` was taken, which the grant does not cover",
        name.escape_debug()
    );
    plain(name, false);
    let several = name
        .strip_suffix('*')
        .unwrap_or(name)
        .contains(['*', ',', '<', '>']);
    assert!(
        !several,
        "`{name}` was taken, which means more than one thing"
    );
}

fn plain(text: &str, breaks: bool) {
    let steers = |c: char| c.is_control() && !(breaks && matches!(c, '\n' | '\t'));
    assert!(!text.chars().any(steers), "{text:?} would steer a terminal");
}

/// Every verb on `a-*` except `a-secret-*`.
fn grant() -> Option<Grant> {
    let mut bindings: BTreeMap<&str, Vec<GrantedVerb>> = BTreeMap::new();
    let reads = rules::READ_VERBS.iter().map(|(verb, _)| *verb);
    for verb in rules::RULES.iter().map(|rule| rule.verb).chain(reads) {
        let binding = match verb.split('.').next()? {
            "cluster" => "cluster.database",
            "snapshot" => "snapshot.backups",
            "disk" => "disk.config",
            "traffic" => "traffic.front",
            "endpoint" => "endpoint.api",
            "database" => "database.engine",
            _ => "service.app",
        };
        let before = match verb {
            "cluster.raw-read" | "endpoint.read" => "/",
            "endpoint.request" => "POST /",
            "cluster.raw-change" => "PUT /_ingest/pipeline/",
            "cluster.remove-archived-settings" => "archived.",
            _ => "",
        };
        bindings.entry(binding).or_default().push(GrantedVerb {
            verb: Verb::new(verb).ok()?,
            scope: vec![Scope::new(format!("{before}a-*")).ok()?],
            except: vec![Scope::new(format!("{before}a-secret-*")).ok()?],
            at_most: None,
        });
    }
    Some(Grant {
        plugin: "fuzz".into(),
        digest: Digest::of(b"fuzz"),
        site: "fuzz".into(),
        options: BTreeMap::new(),
        granted_by: "fuzz".into(),
        granted_at: String::new(),
        bindings: bindings
            .into_iter()
            .map(|(name, verbs)| {
                Some(GrantedBinding {
                    binding: Binding::new(name).ok()?,
                    identity: "u".into(),
                    verbs,
                })
            })
            .collect::<Option<_>>()?,
    })
}

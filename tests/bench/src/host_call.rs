//! What policy and audit cost on top of a bare component call.
//!
//! One component, the bench's own plugin, makes ten thousand host calls in one export call: once in the host's
//! sandbox, where each is counted, held against the grant and its bounds, answered by a source of reads, recorded
//! and made the contract's record; and once in a bare runtime with the same switches, whose host function asks the
//! same source and makes the record, and does nothing else. A call without host calls is taken off both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use liftlock_sandbox::{Call, Engine, NoLog, Plugin, ReadSource, RunView, SandboxConfig, SiteView};
use liftlock_types::facts::cluster as facts;
use liftlock_types::{
    Binding, Digest, Grant, GrantedBinding, GrantedVerb, Moment, Read, ReadError, Scope, Target,
    Verb,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentNamedList, ComponentType, InstancePre, Lift, Linker, LinkerInstance, Lower,
    Resource, ResourceType,
};

use crate::engine::{self, NO_DEADLINE};
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Side, time};

/// Host calls of one measurement; half of what the host allows reads in one call.
const CALLS: u64 = 10_000;

/// Rounds; a round takes some 60 ms.
const ROUNDS: usize = 25;

/// What policy and audit may cost on top.
const ON_TOP_SECONDS_MAX: f64 = 0.5e-6;

const BINDING: &str = "cluster.database";

pub(crate) fn run(runtime: &Runtime, component: &[u8]) -> anyhow::Result<Vec<Row>> {
    let sandbox = Sandbox::new(component)?;
    let bare = Bare::new(component).map_err(engine::told)?;
    let mut rows = Vec::new();
    for (name, what, told) in [
        ("host-call-count", "count", "a count of one index"),
        ("host-call-health", "health", "a record of eight fields"),
    ] {
        let rounds = Rounds::take(
            ROUNDS,
            vec![
                side(|times| runtime.block_on(sandbox.call(what, times))),
                side(|times| {
                    runtime
                        .block_on(bare.call(what, times))
                        .map_err(engine::told)
                }),
                side(|times| runtime.block_on(sandbox.call("now", times))),
                side(|times| {
                    runtime
                        .block_on(bare.call("now", times))
                        .map_err(engine::told)
                }),
            ],
        )?;
        let on_top = rounds.less(0, 1)?;
        let note = format!(
            "{told}: {} on top of {}; in the sandbox {}; a call that reads nothing: {} on top",
            on_top.told(time),
            time(rounds.side(1)?.median()),
            time(rounds.side(0)?.median()),
            time(rounds.less(2, 3)?.median()),
        );
        let share = on_top.median() / ON_TOP_SECONDS_MAX;
        rows.push(Row::new(name, share, Goal::AtMost(1.0), peer(), note));
    }
    Ok(rows)
}

fn peer() -> String {
    format!(
        "limit: {} on top of the same call in bare wasmtime 48",
        time(ON_TOP_SECONDS_MAX)
    )
}

/// Seconds of one host call: of an export call with many, less one with none.
fn side<'a>(call: impl Fn(u64) -> anyhow::Result<f64> + 'a) -> Side<'a> {
    Box::new(move || {
        let with = call(CALLS)?;
        let without = call(0)?;
        Ok((with - without) / CALLS as f64)
    })
}

/// The host's sandbox with the limits that are on by default.
struct Sandbox {
    plugin: Plugin,
}

impl Sandbox {
    fn new(component: &[u8]) -> anyhow::Result<Self> {
        let engine = Engine::new(SandboxConfig::default())?;
        Ok(Self {
            plugin: engine.load(component)?,
        })
    }

    async fn call(&self, what: &str, times: u64) -> anyhow::Result<f64> {
        let call = site(what, times)?;
        let begun = Instant::now();
        let called = self.plugin.inspect(&call).await?;
        let is_good = called.value.is_ok();
        // Letting go of what was recorded belongs to recording it.
        drop(called);
        let took = begun.elapsed().as_secs_f64();
        anyhow::ensure!(is_good, "`{what}` was refused in the sandbox");
        Ok(took)
    }
}

/// Answers at once.
struct Ready {
    health: Value,
}

impl Ready {
    fn new() -> Self {
        Self {
            health: json!({
                "status": "green", "nodes": 1, "active_shards": 2, "relocating_shards": 0,
                "initializing_shards": 0, "unassigned_shards": 0, "pending_tasks": 0,
                "reasons": [],
            }),
        }
    }
}

#[async_trait]
impl ReadSource for Ready {
    async fn read(&self, _binding: &Binding, read: &Read) -> Result<Value, ReadError> {
        match read {
            Read::Count { .. } => Ok(Value::from(7)),
            Read::Health => Ok(self.health.clone()),
            other => Err(ReadError::NotFound(format!("{other:?}"))),
        }
    }
}

fn site(what: &str, times: u64) -> anyhow::Result<Call> {
    let binding = Binding::new(BINDING)?;
    let verb = |verb: &str, scope: &[&str]| -> anyhow::Result<GrantedVerb> {
        Ok(GrantedVerb {
            verb: Verb::new(verb)?,
            scope: scope
                .iter()
                .map(|text| Scope::new(*text))
                .collect::<Result<_, _>>()?,
            except: vec![Scope::new("optimize-team-a-*")?],
            at_most: None,
        })
    };
    let grant = Grant {
        plugin: "bench".into(),
        digest: Digest::of(b"bench"),
        site: "bench".into(),
        options: BTreeMap::new(),
        granted_by: "bench".into(),
        granted_at: "2026-01-01T00:00:00Z".into(),
        bindings: vec![GrantedBinding {
            binding: binding.clone(),
            identity: "u".into(),
            verbs: vec![
                verb("cluster.observe", &[])?,
                verb("cluster.read", &["optimize-*"])?,
                verb("cluster.count", &["optimize-*"])?,
            ],
        }],
    };
    Ok(Call {
        site: SiteView {
            name: "bench".into(),
            options: BTreeMap::from([("do".into(), what.into()), ("n".into(), times.to_string())]),
            bindings: BTreeMap::from([(binding, "a cluster".into())]),
            grant,
        },
        run: RunView::none(Moment::Asked),
        target: Target {
            from: None,
            to: "2".into(),
        },
        now_ms: 1,
        reader: Arc::new(Ready::new()),
        log: Arc::new(NoLog),
    })
}

/// The same component with host functions that do nothing but answer.
struct Bare {
    engine: wasmtime::Engine,
    pre: InstancePre<Options>,
}

/// What the guest is to do, and who answers it.
struct Options {
    values: Vec<OptionValue>,
    binding: Binding,
    source: Ready,
}

/// What stands behind a handle; nothing is asked of it.
struct Mark;

#[derive(Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct OptionValue {
    name: String,
    value: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Denial {
    rule: String,
    #[component(name = "allowed-by")]
    allowed_by: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Rejection {
    status: u16,
    kind: String,
    text: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "denied")]
    Denied(Denial),
    #[component(name = "not-found")]
    NotFound(String),
    #[component(name = "absent")]
    Absent(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "rejected")]
    Rejected(Rejection),
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Health {
    status: String,
    nodes: u32,
    #[component(name = "active-shards")]
    active_shards: u32,
    #[component(name = "relocating-shards")]
    relocating_shards: u32,
    #[component(name = "initializing-shards")]
    initializing_shards: u32,
    #[component(name = "unassigned-shards")]
    unassigned_shards: u32,
    #[component(name = "pending-tasks")]
    pending_tasks: u32,
    reasons: Vec<String>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Fact {
    name: String,
    value: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Inventory {
    product: String,
    version: Option<String>,
    facts: Vec<Fact>,
}

impl Bare {
    fn new(component: &[u8]) -> wasmtime::Result<Self> {
        let engine = engine::bare()?;
        let component = Component::from_binary(&engine, component)?;
        let mut linker: Linker<Options> = Linker::new(&engine);
        let mut site = linker.instance("liftlock:upgrade/site@0.1.0")?;
        site.resource("site", ResourceType::host::<Mark>(), |_, _| Ok(()))?;
        answer(
            &mut site,
            "[method]site.now",
            |_, (_,): (Resource<Mark>,)| (1_u64,),
        )?;
        answer(
            &mut site,
            "[method]site.options",
            |options, (_,): (Resource<Mark>,)| (options.values.clone(),),
        )?;
        // Every interface has its own name for the site that it takes.
        let mut cluster = linker.instance("liftlock:upgrade/cluster@0.1.0")?;
        cluster.resource("site", ResourceType::host::<Mark>(), |_, _| Ok(()))?;
        cluster.resource("cluster", ResourceType::host::<Mark>(), |_, _| Ok(()))?;
        answer(
            &mut cluster,
            "open",
            |_, (_, _): (Resource<Mark>, String)| (Ok::<_, Error>(Resource::<Mark>::new_own(1)),),
        )?;
        type Count = (Resource<Mark>, String, Option<String>);
        read(
            &mut cluster,
            "[method]cluster.count",
            |(_, index, _): Count| Read::Count { index, query: None },
            |answer| answer.as_u64(),
        )?;
        read(
            &mut cluster,
            "[method]cluster.health",
            |(_,): (Resource<Mark>,)| Read::Health,
            |answer| {
                let seen = facts::Health::deserialize(answer).ok()?;
                Some(Health {
                    status: seen.status,
                    nodes: seen.nodes,
                    active_shards: seen.active_shards,
                    relocating_shards: seen.relocating_shards,
                    initializing_shards: seen.initializing_shards,
                    unassigned_shards: seen.unassigned_shards,
                    pending_tasks: seen.pending_tasks,
                    reasons: seen.reasons,
                })
            },
        )?;
        linker.define_unknown_imports_as_traps(&component)?;
        Ok(Self {
            pre: linker.instantiate_pre(&component)?,
            engine,
        })
    }

    async fn call(&self, what: &str, times: u64) -> wasmtime::Result<f64> {
        let option = |name: &str, value: String| OptionValue {
            name: name.into(),
            value,
        };
        let options = Options {
            values: vec![option("do", what.into()), option("n", times.to_string())],
            binding: Binding::new(BINDING)?,
            source: Ready::new(),
        };
        let begun = Instant::now();
        let mut store = Store::new(&self.engine, options);
        store.set_epoch_deadline(NO_DEADLINE);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let upgrade = instance
            .get_export_index(&mut store, None, "liftlock:upgrade/upgrade@0.1.0")
            .and_then(|upgrade| instance.get_export_index(&mut store, Some(&upgrade), "inspect"))
            .ok_or_else(|| wasmtime::format_err!("the component has no `inspect`"))?;
        let inspect = instance.get_typed_func::<(Resource<Mark>,), (Result<Inventory, Error>,)>(
            &mut store, upgrade,
        )?;
        let (answer,) = inspect
            .call_async(&mut store, (Resource::new_borrow(1),))
            .await?;
        drop(store);
        let took = begun.elapsed().as_secs_f64();
        wasmtime::ensure!(answer.is_ok(), "`{what}` was refused in the bare runtime");
        Ok(took)
    }
}

/// Links a host function as the host links its own: async, and ready at once.
fn answer<Asked, Answer>(
    on: &mut LinkerInstance<'_, Options>,
    name: &str,
    give: impl Fn(&Options, Asked) -> Answer + Send + Sync + Copy + 'static,
) -> wasmtime::Result<()>
where
    Asked: ComponentNamedList + Lift + Send + 'static,
    Answer: ComponentNamedList + Lower + Send + 'static,
{
    on.func_wrap_async(name, move |store, asked: Asked| {
        Box::new(async move { Ok(give(store.data(), asked)) })
    })
}

/// Links a host function that asks the source of reads and makes its answer the contract's.
fn read<Asked, Answer>(
    on: &mut LinkerInstance<'_, Options>,
    name: &str,
    read: impl Fn(Asked) -> Read + Send + Sync + Copy + 'static,
    give: impl Fn(&Value) -> Option<Answer> + Send + Sync + Copy + 'static,
) -> wasmtime::Result<()>
where
    Asked: ComponentNamedList + Lift + Send + 'static,
    Answer: ComponentType + Lower + Send + 'static,
{
    on.func_wrap_async(name, move |store, asked: Asked| {
        Box::new(async move {
            let with = store.data();
            let answer = with.source.read(&with.binding, &read(asked)).await?;
            let given = give(&answer).ok_or_else(|| wasmtime::format_err!("no such answer"))?;
            Ok((Ok::<Answer, Error>(given),))
        })
    })
}

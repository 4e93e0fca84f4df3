//! A call into a plugin, and a plugin's call of the host: a component against extism and against a child process.
//!
//! The same sixteen bytes go there and back on each of them. The component runs in the runtime as the host sets it
//! up; extism as it sets itself up; the child talks in lines of JSON over pipes that both ends read blocking, which is
//! the fastest way that was found for it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use extism::{CompiledPlugin, PTR, PluginBuilder, UserData};
use liftlock_sandbox::{Engine as SandboxEngine, SandboxConfig};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::engine::{self, NO_DEADLINE};
use crate::row::{Goal, Row};
use crate::stats::{Rounds, Side, factor, time};

/// The text that goes there and back: as long as a short name, and a multiple of eight bytes.
const TEXT: &str = "process-instance";

/// Calls of one measurement. A child process needs some 10 ms for them, the others far less.
const CALLS: u64 = 1_000;

/// Starts of one measurement; a process takes a millisecond.
const STARTS: u64 = 10;

const ROUNDS: usize = 25;

/// How much faster than extism a call is to be.
const FASTER: f64 = 10.0;

const EXTISM: &str = "extism 1.41.0";

pub(crate) fn run(runtime: &Runtime, tiny: &[u8], contract: &[u8]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut component = Tiny::start(runtime, tiny)?;
    let compiled = compile_extism()?;
    let mut extism = extism::Plugin::new_from_compiled(&compiled)?;
    let mut child = Peer::start()?;

    let calls = Rounds::take(
        ROUNDS,
        vec![
            Box::new(|| component.greet_often(runtime)) as Side<'_>,
            each(CALLS, || greet_extism(&mut extism)),
            each(CALLS, || child.greet()),
        ],
    )?;
    let starts = starts(runtime, tiny, contract, &compiled)?;
    rows.extend(compared(
        ["guest-call-extism", "guest-call-child"],
        &calls,
        &format!(
            "on an instance that lives; start and first answer: component {}, {EXTISM} {}, child process {}. \
             The host starts a new instance for each of a plugin's exports: {}, its store, bounds and the \
             reading of the answer included",
            time(starts.side(0)?.median()),
            time(starts.side(1)?.median()),
            time(starts.side(2)?.median()),
            time(starts.side(3)?.median()),
        ),
    )?);

    let asks = Rounds::take(
        ROUNDS,
        vec![
            Box::new(|| component.ask(runtime)) as Side<'_>,
            Box::new(|| ask_extism(&mut extism)),
            Box::new(|| child.ask()),
        ],
    )?;
    rows.extend(compared(
        ["guest-to-host-extism", "guest-to-host-child"],
        &asks,
        "one string there and back; what policy and audit add is the row `host-call-count`",
    )?);
    Ok(rows)
}

/// Two rows: against extism, and against the child process.
fn compared(names: [&'static str; 2], rounds: &Rounds, more: &str) -> anyhow::Result<Vec<Row>> {
    let peers = [(1, EXTISM), (2, "child process, JSON lines over pipes")];
    let mut rows = Vec::new();
    for (name, (side, peer)) in names.into_iter().zip(peers) {
        let ratio = rounds.ratio(side, 0)?;
        let note = format!(
            "{} against {}, {} times as fast; {more}",
            time(rounds.side(0)?.median()),
            time(rounds.side(side)?.median()),
            ratio.told(factor),
        );
        rows.push(Row::new(
            name,
            ratio.median(),
            Goal::AtLeast(FASTER),
            peer,
            note,
        ));
    }
    Ok(rows)
}

/// Seconds of one call, of so many.
fn each<'a>(calls: u64, mut call: impl FnMut() -> anyhow::Result<()> + 'a) -> Side<'a> {
    Box::new(move || {
        let begun = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        Ok(begun.elapsed().as_secs_f64() / calls as f64)
    })
}

/// From nothing but compiled code, or a program file, to the first answer.
fn starts(
    runtime: &Runtime,
    tiny: &[u8],
    contract: &[u8],
    compiled: &CompiledPlugin,
) -> anyhow::Result<Rounds> {
    let ready = Ready::new(tiny).map_err(engine::told)?;
    let plugin = SandboxEngine::new(SandboxConfig::default())?.load(contract)?;
    Rounds::take(
        ROUNDS,
        vec![
            each(STARTS, || ready.start(runtime)?.greet(runtime)),
            each(STARTS, || {
                greet_extism(&mut extism::Plugin::new_from_compiled(compiled)?)
            }),
            each(STARTS, || Peer::start()?.greet()),
            each(STARTS, || {
                runtime.block_on(plugin.describe())?;
                Ok(())
            }),
        ],
    )
}

mod tiny {
    wasmtime::component::bindgen!({
        path: "guests/tiny/wit",
        world: "tiny",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

/// The host of the component.
struct Echo;

impl tiny::bench::tiny::host::Host for Echo {
    async fn echo(&mut self, text: String) -> wasmtime::Result<String> {
        Ok(text)
    }
}

/// The component, compiled and linked.
struct Ready {
    engine: wasmtime::Engine,
    pre: tiny::TinyPre<Echo>,
}

/// An instance of it.
struct Tiny {
    store: Store<Echo>,
    instance: tiny::Tiny,
}

impl Ready {
    fn new(component: &[u8]) -> wasmtime::Result<Self> {
        let engine = engine::bare()?;
        let component = Component::from_binary(&engine, component)?;
        let mut linker: Linker<Echo> = Linker::new(&engine);
        tiny::Tiny::add_to_linker::<_, HasSelf<_>>(&mut linker, |echo: &mut Echo| echo)?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = tiny::TinyPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { engine, pre })
    }

    fn start(&self, runtime: &Runtime) -> anyhow::Result<Tiny> {
        let mut store = Store::new(&self.engine, Echo);
        store.set_epoch_deadline(NO_DEADLINE);
        let instance = runtime
            .block_on(self.pre.instantiate_async(&mut store))
            .map_err(engine::told)?;
        Ok(Tiny { store, instance })
    }
}

impl Tiny {
    fn start(runtime: &Runtime, component: &[u8]) -> anyhow::Result<Self> {
        Ready::new(component).map_err(engine::told)?.start(runtime)
    }

    fn greet(&mut self, runtime: &Runtime) -> anyhow::Result<()> {
        let back = runtime
            .block_on(self.instance.call_greet(&mut self.store, TEXT))
            .map_err(engine::told)?;
        came_back(&back)
    }

    /// Seconds of one call, of many inside one wait.
    fn greet_often(&mut self, runtime: &Runtime) -> anyhow::Result<f64> {
        let Self { store, instance } = self;
        let begun = Instant::now();
        let called = runtime.block_on(async {
            for _ in 0..CALLS {
                let back = instance.call_greet(&mut *store, TEXT).await?;
                wasmtime::ensure!(back == TEXT, "`{back}` came back instead of `{TEXT}`");
            }
            Ok(())
        });
        called.map_err(engine::told)?;
        Ok(begun.elapsed().as_secs_f64() / CALLS as f64)
    }

    /// Seconds of one host call, of many in one call.
    fn ask(&mut self, runtime: &Runtime) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let asked = self.instance.call_ask(&mut self.store, CALLS, TEXT);
        let bytes = runtime.block_on(asked).map_err(engine::told)?;
        let took = begun.elapsed().as_secs_f64();
        anyhow::ensure!(
            bytes == CALLS * TEXT.len() as u64,
            "the component lost text"
        );
        Ok(took / CALLS as f64)
    }
}

fn came_back(text: &str) -> anyhow::Result<()> {
    anyhow::ensure!(text == TEXT, "`{text}` came back instead of `{TEXT}`");
    Ok(())
}

fn compile_extism() -> anyhow::Result<CompiledPlugin> {
    let guest = include_bytes!("extism.wat");
    let builder = PluginBuilder::new(guest.as_slice()).with_function(
        "echo",
        [PTR],
        [PTR],
        UserData::<()>::default(),
        |plugin, given, back, _| {
            let text: String = plugin.memory_get_val(&given[0])?;
            plugin.memory_set_val(&mut back[0], text)?;
            Ok(())
        },
    );
    CompiledPlugin::new(builder)
}

fn greet_extism(plugin: &mut extism::Plugin) -> anyhow::Result<()> {
    came_back(plugin.call::<&str, &str>("greet", TEXT)?)
}

fn ask_extism(plugin: &mut extism::Plugin) -> anyhow::Result<f64> {
    let mut given = CALLS.to_le_bytes().to_vec();
    given.extend_from_slice(TEXT.as_bytes());
    let begun = Instant::now();
    plugin.call::<&[u8], &[u8]>("ask", &given)?;
    Ok(begun.elapsed().as_secs_f64() / CALLS as f64)
}

/// The argument with which this program is the child process.
pub(crate) const CHILD: &str = "be-the-child-process";

/// The child process: one line of JSON in, one out, until its input ends.
pub(crate) fn be_child() -> anyhow::Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let mut out = std::io::stdout().lock();
    while let Some(line) = lines.next() {
        let request: Value = serde_json::from_str(&line?)?;
        let text = request["text"].as_str().unwrap_or_default();
        if request["call"] == "ask" {
            for _ in 0..request["times"].as_u64().unwrap_or_default() {
                say(&mut out, &json!({ "call": "echo", "text": text }))?;
                let answer = lines.next().context("the host is gone")??;
                let answer: Value = serde_json::from_str(&answer)?;
                came_back(answer["ok"].as_str().unwrap_or_default())?;
            }
        }
        say(&mut out, &json!({ "ok": text }))?;
    }
    Ok(())
}

fn say(to: &mut impl Write, what: &Value) -> anyhow::Result<()> {
    let mut line = what.to_string();
    line.push('\n');
    to.write_all(line.as_bytes())?;
    to.flush()?;
    Ok(())
}

/// A running child process. Its end is waited for when this is dropped.
struct Peer {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program has no file")?;
        let mut child = Command::new(program)
            .arg(CHILD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the child process")?;
        let to = child.stdin.take();
        let from = child.stdout.take().context("the child has no output")?;
        Ok(Self {
            child,
            to,
            from: BufReader::new(from),
        })
    }

    fn say(&mut self, what: &Value) -> anyhow::Result<()> {
        say(self.to.as_mut().context("the child has no input")?, what)
    }

    fn hear(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn greet(&mut self) -> anyhow::Result<()> {
        self.say(&json!({ "call": "greet", "text": TEXT }))?;
        came_back(self.hear()?["ok"].as_str().unwrap_or_default())
    }

    fn ask(&mut self) -> anyhow::Result<f64> {
        let begun = Instant::now();
        self.say(&json!({ "call": "ask", "times": CALLS, "text": TEXT }))?;
        loop {
            let heard = self.hear()?;
            if heard["call"] != "echo" {
                break;
            }
            let back = json!({ "ok": heard["text"].as_str().unwrap_or_default() });
            self.say(&back)?;
        }
        Ok(begun.elapsed().as_secs_f64() / CALLS as f64)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input is the end of the child.
        self.to = None;
        let _ = self.child.wait();
    }
}

//! Handles that are forged, stale, of another kind or given away, and memory that is not what it says.

use liftlock_sandbox::FaultKind;

use crate::judge::{Judge, Verdict};
use crate::world::{World, grant};

/// What a misuse ends as.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The host saw a handle that is none.
    Handle,
    /// The runtime stopped the guest's code, with these words.
    Trap(&'static str),
    /// It ended itself.
    Exit,
    /// It broke the contract.
    Contract,
}

const INSPECTED: &[(&str, End)] = &[
    ("forged-handle", End::Handle),
    ("handle-closed-twice", End::Handle),
    ("handle-after-close", End::Handle),
    ("handle-of-another-type", End::Handle),
    ("handle-of-the-way-in", End::Handle),
    ("handle-of-the-way-in-closed", End::Handle),
    ("handle-each-number", End::Handle),
    ("text-no-utf8", End::Trap("utf-8")),
    ("answer-no-utf8", End::Trap("utf-8")),
    ("text-outside-memory", End::Trap("out of bounds")),
    ("text-longer-than-memory", End::Trap("out of bounds")),
    ("enum-outside", End::Trap("discriminant")),
    ("allocator-lies", End::Trap("beyond end of memory")),
    (
        "allocator-calls-back",
        End::Trap("cannot leave component instance"),
    ),
    ("trap", End::Trap("unreachable")),
    ("divide", End::Trap("unreachable")),
    ("null-function", End::Trap("out of bounds")),
    ("outside-memory", End::Trap("out of bounds")),
    ("exit", End::Exit),
    ("bad-fact", End::Contract),
];

const PLANNED: &[(&str, End)] = &[
    ("change-used-twice", End::Handle),
    ("change-of-another-type", End::Handle),
    ("step-forged", End::Handle),
    ("step-after-close", End::Handle),
    ("step-without-body", End::Contract),
    ("two-undos", End::Contract),
    ("waits-for-ever", End::Contract),
];

/// All of them.
pub async fn all(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    for (what, end) in INSPECTED {
        let call = world.call(&[("do", what)], grant());
        let fault = world
            .plugin
            .inspect(&call)
            .await
            .err()
            .map(|fault| (*fault.what).clone());
        judge.count(what, ended(fault, *end).and_unharmed(world.check().await));
    }
    for (what, end) in PLANNED {
        let call = world.call(&[("do", what)], grant());
        let fault = world
            .plugin
            .plan(&call)
            .await
            .err()
            .map(|fault| (*fault.what).clone());
        judge.count(what, ended(fault, *end).and_unharmed(world.check().await));
    }
    kept(judge, world).await?;
    leaked(judge, world).await
}

fn ended(fault: Option<FaultKind>, wanted: End) -> Verdict {
    let Some(fault) = fault else {
        return Verdict::Escaped("it came to its end".into());
    };
    let text = fault.to_string();
    let is_it = match (&fault, wanted) {
        (FaultKind::Handle(_), End::Handle)
        | (FaultKind::Contract(_), End::Contract)
        | (FaultKind::Exit(_), End::Exit) => true,
        (FaultKind::Trap(said), End::Trap(words)) => said.contains(words),
        _ => false,
    };
    if is_it {
        Verdict::Stopped(text)
    } else {
        Verdict::Escaped(format!("stopped, and not as {wanted:?}: {text}"))
    }
}

/// A handle that was kept finds no memory in the next call to be kept in.
async fn kept(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let call = world.call(&[("do", "handle-kept")], grant());
    let mut answers = Vec::new();
    for _ in 0..2 {
        let inventory = world.plugin.inspect(&call).await?.value?;
        answers.push(format!("{:?}", inventory.facts));
    }
    let verdict = if answers[0] == answers[1] && !answers[1].contains("\"kept\"") {
        Verdict::Stopped("the second call knows nothing of the first".into())
    } else {
        Verdict::Escaped(answers.join(" then "))
    };
    judge.count(
        "a handle kept past its call",
        verdict.and_unharmed(world.check().await),
    );
    Ok(())
}

/// Handles that were never closed are gone with their call.
async fn leaked(judge: &mut Judge, world: &World) -> anyhow::Result<()> {
    let call = world.call(&[("do", "handles-leaked")], grant());
    let mut verdict =
        Verdict::Stopped("twenty calls leaked a thousand each, the limit is ten thousand".into());
    for _ in 0..20 {
        if let Err(fault) = world.plugin.inspect(&call).await {
            verdict = Verdict::Escaped(fault.to_string());
        }
    }
    judge.count(
        "handles leaked by each of many calls",
        verdict.and_unharmed(world.check().await),
    );
    Ok(())
}

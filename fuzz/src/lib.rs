//! What reads other people's text, one function each: no panic whatever the bytes are, and what was taken holds.
//!
//! `cargo xtask fuzz` runs each of them under libFuzzer for a minute, from the seeds in `corpus/`; the tests of this
//! crate run them on the seeds alone. The crates of this workspace are compiled with coverage for that, and nothing
//! else: dependencies are the ones that every other build uses, so the runtime of WebAssembly is not built once more.
//!
//! | function | what it reads |
//! |---|---|
//! | [`plan`] | a plan file, and each change in it as the gate looks at it |
//! | [`grants`] | `grants.toml` |
//! | [`site`] | `site.toml`, and the drawing of each mistake |
//! | [`edge`] | what a plugin hands over: names, patterns, paths, JSON, drafts |

use liftlock_types::{Body, Grant, Json, Plan, PlanFile, Undo};
use serde_json::Value;

/// A plan file: what is read comes out the same when it is written and read again.
pub fn plan(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(file) = PlanFile::parse(text) {
        look_at(&file.plan);
    }
    // A file whose hash does not hold is refused there; behind that lies the rest.
    let Ok(mut file) = serde_json::from_str::<PlanFile>(text) else {
        return;
    };
    file.plan.format = liftlock_types::PLAN_FORMAT;
    file.hash = file.plan.hash();
    look_at(&file.plan);
    let Ok(written) = serde_json::to_string(&file) else {
        panic!("a plan that was read cannot be written");
    };
    match PlanFile::parse(&written) {
        Ok(again) if again == file => {}
        Ok(_) => panic!("a plan is another after it was written"),
        Err(error) => panic!("a plan that was written cannot be read: {error}"),
    }
}

/// What the gate asks of each change of a plan.
fn look_at(plan: &Plan) {
    let nothing = Grant {
        plugin: plan.plugin.name.clone(),
        digest: plan.plugin.digest.clone(),
        site: plan.site.clone(),
        options: plan.options.clone(),
        granted_by: String::new(),
        granted_at: String::new(),
        bindings: Vec::new(),
    };
    for step in &plan.steps {
        let undos = match &step.undo {
            Undo::Changes(changes) => changes.as_slice(),
            _ => &[],
        };
        for planned in step.change().into_iter().chain(undos) {
            let change = &planned.change;
            assert!(
                nothing.allow_change(planned).is_err(),
                "an empty grant allows `{}`",
                change.verb()
            );
            let _ = (
                change.names(),
                change.except(),
                change.refers_to(),
                change.class(),
            );
            let _ = planned.filled("2026-01-01T00:00:00.000Z", "run");
        }
        for condition in step.opens_when.iter().chain(&step.ends_when) {
            let _ = nothing.allow_condition(condition);
        }
        if let Body::Capture { reads, .. } = &step.body {
            for reading in reads {
                assert!(nothing.allow_read(&reading.binding, &reading.read).is_err());
            }
        }
    }
}

/// `grants.toml`.
pub fn grants(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        liftlock_cli::doors::grants(text);
    }
}

/// `site.toml`.
pub fn site(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        liftlock_cli::doors::site(text);
    }
}

/// What a plugin hands over.
pub fn edge(bytes: &[u8]) {
    liftlock_sandbox::doors::edge(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        json(text);
    }
}

/// The canonical form of a JSON text means what the text means, and is its own canonical form.
fn json(text: &str) {
    let Ok(canonical) = Json::new(text) else {
        return;
    };
    // Numbers that no value can hold are kept as they are written.
    if let Ok(meant) = serde_json::from_str::<Value>(text) {
        assert_eq!(canonical.value(), meant, "`{text}` means something else");
    }
    assert_eq!(Json::new(canonical.as_str()).as_ref(), Ok(&canonical));
}

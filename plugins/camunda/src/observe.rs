//! The window guard: what must not happen while two versions run, compared with the baseline.

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::backup;
use crate::descriptor::DATABASE;
use crate::jobs;
use crate::options::Options;
use crate::plan::BASELINE;
use crate::restore;
use crate::version::Minor;
use crate::window::{self, Action, Watch};

/// The condition's name.
const WINDOW: &str = "window";

/// The guard's label.
pub(crate) fn label(action: Action) -> &'static str {
    match action {
        Action::Warn => "nothing that the window's policy warns of",
        Action::Pause => "nothing that the window's policy pauses for",
        Action::Stop => "nothing that the window's policy stops for",
    }
}

/// What the host does where a condition of this action does not hold.
pub(crate) fn on_expiry(action: Action) -> OnExpiry {
    match action {
        Action::Warn => OnExpiry::GoOnAndReport,
        Action::Pause => OnExpiry::Ask,
        Action::Stop => OnExpiry::Fail,
    }
}

/// Nothing happened in the window that calls for this.
pub(crate) fn window(action: Action, to: Minor) -> Result<Condition> {
    let action = match action {
        Action::Warn => "warn",
        Action::Pause => "pause",
        Action::Stop => "stop",
    };
    asked(WINDOW, &json!({ "action": action, "to": to.to_string() }))
}

/// The condition of this name.
pub(crate) fn observe(
    site: &Site,
    run: &Run,
    name: &str,
    input: &Value,
    last: Option<&Value>,
) -> Result<Observation> {
    match name {
        backup::CONDITION => backup::observe(site, run, input),
        restore::CONDITION => restore::observe(site, input),
        jobs::LOCKS => jobs::observe_locks(site, last),
        jobs::TAKEN => jobs::observe_taken(site, run, input, last),
        _ => in_the_window(site, run, name, input),
    }
}

/// Reads what is watched now, and compares.
fn in_the_window(site: &Site, run: &Run, name: &str, input: &Value) -> Result<Observation> {
    let wrong = || {
        Error::Invalid(format!(
            "`{name}` with {input} is no condition of this plugin"
        ))
    };
    let text = |member: &str| input.get(member).and_then(Value::as_str).ok_or_else(wrong);
    if name != WINDOW {
        return Err(wrong());
    }
    let action: Action = text("action")?.parse().map_err(|_| wrong())?;
    let to: Minor = text("to")?.parse().map_err(|_| wrong())?;
    let Some(baseline) = baseline(run, to)? else {
        return Ok(Observation {
            holds: true,
            seen: Value::Null,
            why: "the window has not begun".into(),
        });
    };
    let now = now(site, to)?;
    let told: Vec<String> = window::compare(&baseline, &now, &Options::of(site)?.policy)
        .into_iter()
        .filter(|(its, _)| *its == action)
        .map(|(_, breach)| format!("{breach} ({})", breach.id()))
        .collect();
    Ok(Observation {
        holds: told.is_empty(),
        seen: json!(told),
        why: told::first(&told, "; "),
    })
}

/// What the run kept when the window began; none before that.
pub(crate) fn baseline(run: &Run, to: Minor) -> Result<Option<Watch>> {
    let Some(kept) = run.capture(BASELINE)? else {
        return Ok(None);
    };
    let mut watch = Watch::default();
    for (subject, captured) in window::subjects(to).into_iter().zip(&kept) {
        let rows: Rows = captured.parse()?;
        watch
            .add(subject, &rows.rows)
            .map_err(|error| Error::Invalid(error.to_string()))?;
    }
    Ok(Some(watch))
}

/// The same as it is now.
pub(crate) fn now(site: &Site, to: Minor) -> Result<Watch> {
    let database = Database::open(site, DATABASE)?;
    let mut watch = Watch::default();
    for subject in window::subjects(to) {
        let rows = database.query(&subject.sql(), &[])?;
        watch
            .add(subject, &rows.rows)
            .map_err(|error| Error::Invalid(error.to_string()))?;
    }
    Ok(watch)
}

/// An answer to a query, as a capture keeps it.
#[derive(serde::Deserialize)]
pub(crate) struct Rows {
    /// Text as the server writes it, or null.
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

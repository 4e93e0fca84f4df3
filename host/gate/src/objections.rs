//! Host rules that no plugin can forget: they look at a plan without knowing how it was made.

use liftlock_types::{Body, Change, Finding, Phase, Scope, Severity, Step, StepId, Undo, rules};

/// Ids of the findings made here, each with its paragraph for `explain`.
pub const HOST_FINDINGS: &[(&str, &str)] = &[
    (
        UNPROVED,
        "A step takes data away, and no snapshot that covers it is taken and restored on trial before it. A backup \
         that was never restored is no backup. Bind a snapshot repository and plan again; or approve the plan with \
         `--waive host.unproved-destruction --reason ...`, which plan and report show.",
    ),
    (
        EARLY,
        "A step takes data away before the contract phase, so the way back ends earlier than it must. The plugin can \
         say why (a vendor's own order that another tool continues); without a reason the plan is blocked.",
    ),
    (
        DESTINATION,
        "A reindex or a transform writes into an index that this plan does not make. Only into one of its own can it \
         be repeated after a crash without touching what somebody else put there.",
    ),
    (
        OPAQUE,
        "Nothing in the target shows whether this step's change happened. A crash while it runs is a doubt that a \
         person must decide. A task may be declared safe to repeat, with its reason.",
    ),
    (
        SCRIPT,
        "A script runs inside the server with the rights of the account in site.toml. It can send a document to \
         another index or give it another id, which no scope sees. Read it before you approve the plan.",
    ),
    (
        WRITERS,
        "The plan changes the schema, and nothing in it stops those who write, nor does a person attest that they \
         are stopped. What they write meanwhile can be lost.",
    ),
];

const UNPROVED: &str = "host.unproved-destruction";
const EARLY: &str = "host.destructive-before-contract";
const DESTINATION: &str = "host.reindex-destination";
const OPAQUE: &str = "host.opaque-change";
const SCRIPT: &str = "host.script";
const WRITERS: &str = "host.writers-not-stopped";

fn finding(id: &str, severity: Severity, step: &Step, what: String, remedy: &str) -> Finding {
    let why = HOST_FINDINGS
        .iter()
        .find(|(known, _)| *known == id)
        .map_or("", |(_, why)| why);
    Finding {
        id: id.into(),
        severity,
        subject: format!("step {}", step.id),
        what,
        why: why.into(),
        remedy: remedy.into(),
        evidence: Vec::new(),
    }
}

/// What the host has to say against these steps, which are in the order in which they run.
pub fn objections(steps: &[Step]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut proved: Vec<(&[String], &[String])> = Vec::new();
    let mut made: Vec<&str> = Vec::new();
    for step in steps {
        let Some(planned) = step.change() else {
            continue;
        };
        let change = &planned.change;
        let rule = change.rule();
        match change {
            Change::ProveSnapshot { taken_by } => {
                if let Some(Change::TakeSnapshot {
                    indices, except, ..
                }) = change_of(steps, taken_by)
                {
                    proved.push((indices, except));
                }
            }
            Change::CreateIndex { name, .. } => made.push(name.as_str()),
            Change::Reindex { destination, .. } | Change::Transform { destination, .. }
                if !made.contains(&destination.as_str()) =>
            {
                found.push(finding(
                    DESTINATION,
                    Severity::Blocker,
                    step,
                    format!("no step before it makes `{destination}`"),
                    "let the plan create the destination",
                ));
            }
            _ => {}
        }
        let kept_by_host = matches!(change, Change::RemoveFile { .. });
        if rule.destructive && !kept_by_host {
            for name in change.names() {
                let covered = proved.iter().any(|(indices, except)| {
                    let any = |texts: &[String]| {
                        texts
                            .iter()
                            .filter_map(|text| Scope::new(text.as_str()).ok())
                            .any(|scope| scope.matches(&name))
                    };
                    any(indices) && !any(except)
                });
                if !covered {
                    found.push(finding(
                        UNPROVED,
                        Severity::Blocker,
                        step,
                        format!(
                            "`{}` on `{name}` is not covered by a proved snapshot",
                            change.verb()
                        ),
                        "bind a snapshot repository and plan again, or waive with a reason",
                    ));
                }
            }
        }
        if rule.destructive && step.phase < Phase::Contract {
            let severity = if step.because.is_empty() {
                Severity::Blocker
            } else {
                Severity::Warning
            };
            found.push(finding(
                EARLY,
                severity,
                step,
                format!("`{}` in phase {}", change.verb(), step.phase.as_str()),
                "move it to the contract phase, or let the plugin say why not",
            ));
        }
        if let Change::Reindex {
            script: Some(script),
            ..
        }
        | Change::UpdateByQuery { script, .. } = change
        {
            found.push(finding(
                SCRIPT,
                Severity::Warning,
                step,
                format!("it runs a script: {}", script.source),
                "read the script",
            ));
        }
        if change.class() == rules::Class::Opaque {
            found.push(finding(
                OPAQUE,
                Severity::Warning,
                step,
                format!("`{}` leaves no trace that can be read", change.verb()),
                "be there while it runs",
            ));
        }
    }
    let writes = steps.iter().find(|step| {
        step.change()
            .is_some_and(|planned| planned.change.rule().writes_schema)
    });
    let stops = steps.iter().any(|step| {
        matches!(step.body, Body::HandOver { .. })
            || step
                .change()
                .is_some_and(|planned| matches!(planned.change, Change::StopService {}))
    });
    if let (Some(step), false) = (writes, stops) {
        found.push(finding(
            WRITERS,
            Severity::Warning,
            step,
            "writers are neither stopped nor attested to be".into(),
            "bind the service, so that the plan can stop it",
        ));
    }
    found
}

fn change_of<'a>(steps: &'a [Step], id: &StepId) -> Option<&'a Change> {
    steps
        .iter()
        .find(|step| step.id == *id)
        .and_then(Step::change)
        .map(|planned| &planned.change)
}

/// The first step after which only a restore goes back: it changes something, and is not undone but by a
/// restore or not at all.
pub(crate) fn point_of_no_return(steps: &[Step]) -> Option<StepId> {
    steps
        .iter()
        .find(|step| {
            step.change().is_some_and(|planned| {
                let rule = planned.change.rule();
                (rule.destructive || rule.writes_schema)
                    && (step.undo.restores() || matches!(step.undo, Undo::None { .. }))
            })
        })
        .map(|step| step.id.clone())
}

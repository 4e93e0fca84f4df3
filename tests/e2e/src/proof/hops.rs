//! A site of 3.13 on its way to 8.8, one minor line at a time, and back from the first of them.

use std::collections::BTreeMap;

use anyhow::Context;
use liftlock_lab::Dump;
use liftlock_lab::SiteSpec;
use liftlock_lab::When;
use liftlock_lab::diff;
use serde_json::Value;
use serde_json::json;

use super::TO;
use super::approved;
use super::clean;
use super::ensure;
use super::introduce;
use super::killing::killed;
use super::kills::Position;
use super::last_run;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::tally::same;

/// What the vendor's plan to 8.6.0 deletes, with the number of its step; archives and the template apart.
const DELETED: [(u32, &str); 9] = [
    (1, "onboarding-state_v2"),
    (2, "import-index_v3"),
    (3, "event_v4-000001"),
    (5, "event-process-definition_v5"),
    (6, "event-process-mapping_v4"),
    (7, "event-process-publish-state_v4"),
    (8, "event-sequence-count-external_v4"),
    (9, "event-trace-state-external_v2"),
    (10, "license_v3"),
];

/// Goes from 3.13 to 8.8 by the same command three times, and looks at what each hop left.
pub async fn goes_hop_by_hop(stage: &Stage, tally: &mut Tally) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::of_3_13()).await?;
    introduce(&round).await?;
    let shown = round.operator.run(&["plan", TO]).await?.expect(0)?;
    tally.check("the plan shows the whole way with what each hop needs", {
        let lines = [
            "3 hops",
            "hop 1: 3.13.4 to 8.6.0 needs",
            "hop 2: 8.6.0 to 8.7.0 needs",
            "hop 3: 8.7.0 to 8.8.0 needs",
            "`liftlock plan 8.8.0` again",
        ];
        let lacks: Vec<&str> = lines.into_iter().filter(|line| !shown.says(line)).collect();
        ensure(
            lacks.is_empty(),
            format!("it does not say {lacks:?}\n{shown}"),
        )
    });
    tally.check(
        "it says which documents the upgrade deletes",
        ensure(
            shown.says("optimize.deletes-documents"),
            format!("it does not\n{shown}"),
        ),
    );
    run_newest(&round, "3.13 to 8.6", tally).await?;
    let first = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    check_first(&round, &first, tally);
    clean::check_nothing_left(stage, tally).await?;

    for (from, to) in [("8.6.0", "8.7.0"), ("8.7.0", "8.8.0")] {
        round.operator.run(&["plan", TO]).await?.expect(0)?;
        run_newest(&round, &format!("{from} to {to}"), tally).await?;
        let now = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
        tally.check(
            &format!("after it the schema version is {to}, and the installation id is kept"),
            metadata(&round, &now, to),
        );
        if to == "8.7.0" {
            tally.same(
                "from 8.6 to 8.7 nothing but the version changed",
                &[
                    "~ documents/optimize-metadata_v3/1".to_owned(),
                    "~ metadata/schemaVersion".to_owned(),
                ],
                &plain(diff(&first, &now)),
            );
        } else {
            check_last(&round, &first, &now, tally);
        }
    }
    let again = round.operator.run(&["plan", TO]).await?;
    tally.check(
        "then nothing is left to do",
        again.clone().expect(0).and_then(|told| {
            ensure(
                told.says("nothing to do"),
                format!("it does not say so\n{told}"),
            )
        }),
    );
    Ok(())
}

/// Kills the first hop at these positions of its index update, and resumes it each time.
pub async fn updates_an_index_through_kills(
    stage: &Stage,
    positions: &[Position],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for position in positions {
        let round = stage.fresh(&SiteSpec::of_3_13()).await?;
        introduce(&round).await?;
        let plan = approved(&round).await?;
        killed(stage, &round, position, &["run", &plan]).await?;
        let run = last_run(&round.operator).await?;
        let told = round.operator.run(&["resume", &run]).await?;
        let at = position.name;
        tally.check(
            &format!("killed {at}: resume ends well"),
            told.expect(0).map(drop),
        );
        let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
        tally.same(
            &format!("killed {at}: the end state is the documented one"),
            &expected(&round),
            &plain(diff(&round.before, &after)),
        );
        let copies = stage
            .changes()
            .iter()
            .filter(|line| line.starts_with("POST /_reindex"))
            .count();
        tally.check(
            &format!("killed {at}: the settings were copied once"),
            ensure(copies == 1, format!("{copies} times")),
        );
    }
    Ok(())
}

const fn at(name: &'static str, method: &'static str, path: &'static str, when: When) -> Position {
    Position {
        name,
        method,
        path,
        when,
    }
}

/// Nothing is deleted yet.
const WHILE_COPYING: Position = at(
    "after the copy was asked for",
    "POST",
    "^/_reindex",
    When::After,
);

/// While the settings are copied, and around the deletion of what they were copied from.
pub const OF_AN_UPDATE: [Position; 3] = [
    WHILE_COPYING,
    at(
        "before the old settings are deleted",
        "DELETE",
        "^/optimize-settings_v2",
        When::Before,
    ),
    at(
        "after the old settings are deleted",
        "DELETE",
        "^/optimize-settings_v2",
        When::After,
    ),
];

/// All is deleted but for the version.
const AFTER_NO_RETURN: Position = at(
    "before the version is set",
    "PUT",
    "^/optimize-metadata_v3/_doc/1",
    When::Before,
);

/// Takes the first hop back: from where all can be undone, and from where a restore is needed.
pub async fn goes_back_from_an_index_update(
    stage: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for (position, restores) in [(WHILE_COPYING, false), (AFTER_NO_RETURN, true)] {
        let round = stage.fresh(&SiteSpec::of_3_13()).await?;
        introduce(&round).await?;
        let plan = approved(&round).await?;
        killed(stage, &round, &position, &["run", &plan]).await?;
        let run = last_run(&round.operator).await?;
        stage.proxy.clear();
        let back = ["rollback", &run, "--yes", "--reason", "not today"];
        let told = round.operator.run(&back).await?;
        let at = position.name;
        tally.check(
            &format!("killed {at}: the hop is taken back"),
            told.expect(0).map(drop),
        );
        let restored = stage
            .changes()
            .iter()
            .any(|line| line.contains("/_restore"));
        tally.check(
            &format!("killed {at}: by a restore only where one is needed"),
            ensure(
                restored == restores,
                format!("restored: {restored}\n{:?}", stage.changes()),
            ),
        );
        let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
        tally.same(
            &format!("killed {at}: then the site is as it was, templates and update log included"),
            &[],
            &diff(&round.before, &after),
        );
    }
    Ok(())
}

async fn run_newest(round: &Round, what: &str, tally: &mut Tally) -> anyhow::Result<()> {
    let plan = round.plan_file()?.to_string_lossy().into_owned();
    round.operator.approve(&plan).await?;
    let told = round.operator.run(&["run", &plan]).await?;
    tally.check(&format!("{what} runs to its end"), told.expect(0).map(drop));
    Ok(())
}

/// Lines of a difference without the values, which are checked on their own.
fn plain(lines: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = lines
        .into_iter()
        .map(|line| match line.split_once(": ") {
            Some((start, _)) => start.to_owned(),
            None => line,
        })
        .collect();
    lines.sort();
    lines
}

fn deleted(round: &Round) -> Vec<String> {
    let prefix = &round.facts.prefix;
    let mut names: Vec<String> = DELETED
        .iter()
        .map(|(_, name)| format!("{prefix}-{name}"))
        .collect();
    names.push(format!("{prefix}-settings_v2"));
    names.extend(
        ["invoice", "order-process"]
            .map(|key| format!("{prefix}-process-instance-archive-{key}_v8")),
    );
    names
}

/// What differs between the site of 3.13 and the same at 8.6.0.
fn expected(round: &Round) -> Vec<String> {
    let prefix = &round.facts.prefix;
    let mut lines = Vec::new();
    for section in ["aliases", "documents", "indices", "mappings", "settings"] {
        for name in deleted(round) {
            lines.push(format!("- {section}/{name}"));
        }
        for name in ["settings_v3", "update-log_v1"] {
            lines.push(format!("+ {section}/{prefix}-{name}"));
        }
    }
    lines.push(format!("- templates/legacy/{prefix}-event_v4"));
    lines.push(format!("~ documents/{prefix}-metadata_v3/1"));
    lines.push("~ metadata/schemaVersion".into());
    lines.push("~ update-log".into());
    lines.sort();
    lines
}

fn check_first(round: &Round, after: &Dump, tally: &mut Tally) {
    let prefix = &round.facts.prefix;
    tally.same(
        "at 8.6.0 what differs is documented, and nothing else",
        &expected(round),
        &plain(diff(&round.before, after)),
    );
    tally.check(
        "schema version 8.6.0, installation id kept",
        metadata(round, after, "8.6.0"),
    );
    tally.check(
        "the update log has its thirteen documents",
        update_log(round, after),
    );
    let settings = format!("{prefix}-settings_v3");
    let at = |pointer: String| after.get(&pointer).cloned().unwrap_or(Value::Null);
    tally.check(
        "the settings have their alias, as its write index",
        is(
            &at(format!(
                "/aliases/{settings}/{prefix}-settings/is_write_index"
            )),
            &json!("true"),
        ),
    );
    tally.check(
        "the settings keep the replicas that somebody chose",
        is(
            &at(format!("/settings/{settings}/index/number_of_replicas")),
            &json!("0"),
        ),
    );
    tally.check("the settings' mapping is without the two fields", {
        let fields = at(format!("/mappings/{settings}/properties"));
        let names: Vec<&String> = fields
            .as_object()
            .into_iter()
            .flat_map(|it| it.keys())
            .collect();
        is(&json!(names), &json!(["lastModified", "sharingEnabled"]))
    });
}

fn check_last(round: &Round, first: &Dump, now: &Dump, tally: &mut Tally) {
    let prefix = &round.facts.prefix;
    let doomed = &round.facts.doomed_index;
    let mut lines: Vec<String> = ["aliases", "documents", "indices", "mappings", "settings"]
        .map(|section| format!("- {section}/{doomed}"))
        .into();
    for template in [
        "external-process-variable_v2",
        "variable-update-instance_v2",
    ] {
        lines.push(format!("- templates/legacy/{prefix}-{template}"));
    }
    let log = format!("{prefix}-update-log_v1");
    for name in [
        "schema-delete-index_variable-update-instance_v2",
        "schema-delete-template_external-process-variable_v2[Template]",
        "schema-delete-template_variable-update-instance_v2[Template]",
    ] {
        lines.push(format!("+ documents/{log}/8.8.0_{name}"));
        lines.push(format!("+ update-log/8.8.0_{name}"));
    }
    lines.push(format!("~ documents/{prefix}-metadata_v3/1"));
    lines.push("~ metadata/schemaVersion".into());
    lines.sort();
    let mut found = plain(diff(first, now));
    // The log's own figures (documents, bytes) move with it.
    found.retain(|line| !line.starts_with(&format!("~ indices/{log}")));
    tally.same(
        "from 8.6.0 to 8.8.0 what differs is documented, and nothing else",
        &lines,
        &found,
    );
}

fn is(found: &Value, expected: &Value) -> anyhow::Result<()> {
    ensure(
        found == expected,
        format!("expected {expected}, found {found}"),
    )
}

fn metadata(round: &Round, after: &Dump, version: &str) -> anyhow::Result<()> {
    let expected =
        json!({ "schemaVersion": version, "installationId": round.facts.installation_id });
    is(after.get("/metadata").unwrap_or(&Value::Null), &expected)
}

/// Ids, names, types and numbers as the vendor's tool writes them.
fn update_log(round: &Round, after: &Dump) -> anyhow::Result<()> {
    let prefix = &round.facts.prefix;
    let mut steps: BTreeMap<u32, (&str, String)> = DELETED
        .iter()
        .map(|(number, name)| {
            let name = name.trim_end_matches("-000001").to_owned();
            (*number, ("schema-delete-index", name))
        })
        .collect();
    steps.insert(4, ("schema-delete-template", "event_v4[Template]".into()));
    steps.insert(11, ("schema-update-index", format!("{prefix}-settings_v3")));
    for (number, key) in [(12, "invoice"), (13, "order-process")] {
        let name = format!("optimize-process-instance-archive-{key}_v8");
        steps.insert(number, ("schema-delete-index", name));
    }
    let log = after
        .get("/update-log")
        .and_then(Value::as_object)
        .context("there is no update log")?;
    let mut found: Vec<String> = log
        .iter()
        .map(|(id, entry)| {
            format!(
                "{id} {} {} {} {}",
                entry["stepNumber"],
                entry["optimizeVersion"].as_str().unwrap_or_default(),
                entry["stepType"].as_str().unwrap_or_default(),
                entry["indexName"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let mut wanted: Vec<String> = steps
        .iter()
        .map(|(number, (kind, name))| format!("8.6.0_{kind}_{name} {number} 8.6.0 {kind} {name}"))
        .collect();
    found.sort();
    wanted.sort();
    same(&wanted, &found)
}

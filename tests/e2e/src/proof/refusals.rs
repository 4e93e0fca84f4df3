//! What was not approved is refused, before one changing request is sent.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;
use serde_json::json;

use super::documented;
use super::ensure;
use super::introduce;
use super::plan;
use crate::operator::Told;
use crate::stage::Stage;
use crate::stage::may_change;
use crate::tally::Tally;
use crate::tally::same;
use liftlock_lab::SiteSpec;

/// Plans once, and tries to run something else each time; at last the site itself moves on, which
/// is no reason to refuse. `other` is another cluster.
pub async fn refuses_what_is_not_approved(
    stage: &Stage,
    other: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let round = stage.fresh(&SiteSpec::default()).await?;
    let operator = &round.operator;
    introduce(&round).await?;
    let plan = plan(&round).await?;
    let file = Path::new(&plan);

    refused(
        stage,
        tally,
        "a plan without an approval",
        12,
        "E1201",
        operator.run(&["run", &plan]).await?,
    );
    operator.approve(&plan).await?;

    let kept = fs::read(file)?;
    change_one_byte(file, "\"title\": \"")?;
    let told = operator.run(&["run", &plan]).await?;
    refused(
        stage,
        tally,
        "a plan with one byte edited",
        11,
        "E1101",
        told,
    );
    fs::write(file, kept)?;

    let grants = operator.site().join("grants.toml");
    let kept = fs::read_to_string(&grants)?;
    fs::write(&grants, without_verb(&kept, "cluster.delete-template")?)?;
    let told = operator.run(&["run", &plan]).await?;
    refused(
        stage,
        tally,
        "a grant with one verb less",
        11,
        "E1103",
        told,
    );
    fs::write(&grants, kept)?;

    let installed = installed_plugin(operator.state())?;
    let kept = fs::read(&installed)?;
    flip_last_byte(&installed)?;
    let told = operator.run(&["run", &plan]).await?;
    refused(
        stage,
        tally,
        "a plugin with one byte changed",
        11,
        "E1104",
        told,
    );
    fs::write(&installed, kept)?;

    other.fresh(&SiteSpec::default()).await?;
    stage.switch.point_to(&other.proxy.url());
    let told = operator.run(&["run", &plan]).await?;
    stage.switch.point_to(&stage.proxy.url());
    tally.check(
        "the other cluster saw no changing request",
        same(&[], &other.changes()),
    );
    refused(
        stage,
        tally,
        "another cluster behind the same address",
        11,
        "E1105",
        told,
    );

    // The site goes on living between approval and run: a running process writes its instance.
    let index = format!(
        "/{}-process-instance-invoice_v8/_doc/late?refresh=true",
        round.facts.prefix
    );
    let late = json!({ "processInstanceId": "late", "processDefinitionKey": "invoice", "state": "ACTIVE" });
    stage.target.put(&index, &late).await?;
    let before = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    let told = operator.run(&["run", &plan]).await?;
    tally.check(
        "an approved plan runs although the site went on living",
        told.clone().expect(0).map(drop),
    );
    tally.check(
        "and the drift is printed",
        ensure(
            told.stderr
                .lines()
                .any(|line| line.contains(" drift ") && line.contains("\"read\":\"indices\"")),
            format!("no line says so of the indices, one of which got a document\n{told}"),
        ),
    );
    let after = liftlock_lab::dump(&stage.target, &round.facts.prefix).await?;
    tally.check(
        "and the end state is the documented one, with what was added",
        documented::check_difference(&round.facts, &before, &after),
    );
    Ok(())
}

fn refused(stage: &Stage, tally: &mut Tally, what: &str, exit: i32, code: &str, told: Told) {
    tally.check(
        &format!("{what} is refused with exit code {exit} and {code}"),
        {
            let says = told.says(code);
            told.clone()
                .expect(exit)
                .and_then(|told| ensure(says, format!("it does not say {code}\n{told}")))
        },
    );
    let changes: Vec<String> = stage
        .proxy
        .records()
        .iter()
        .filter(|record| may_change(record))
        .map(liftlock_lab::Record::line)
        .collect();
    tally.check(
        &format!("{what}: no changing request was sent"),
        same(&[], &changes),
    );
}

/// Replaces the character after the first place of a text by another one.
fn change_one_byte(file: &Path, after: &str) -> anyhow::Result<()> {
    let mut bytes = fs::read(file)?;
    let at = bytes
        .windows(after.len())
        .position(|window| window == after.as_bytes())
        .with_context(|| format!("`{after}` is nowhere in `{}`", file.display()))?
        + after.len();
    match bytes.get_mut(at) {
        Some(byte) => *byte = if *byte == b'x' { b'y' } else { b'x' },
        None => bail!("`{}` ends after `{after}`", file.display()),
    }
    fs::write(file, bytes)?;
    Ok(())
}

/// A grants file without one verb.
fn without_verb(text: &str, verb: &str) -> anyhow::Result<String> {
    let mut grants: toml::Value = toml::from_str(text).context("grants.toml is no TOML")?;
    if !remove_verb(&mut grants, verb) {
        bail!("`{verb}` is not granted");
    }
    toml::to_string(&grants).context("the grants cannot be written")
}

fn remove_verb(value: &mut toml::Value, verb: &str) -> bool {
    match value {
        toml::Value::Array(items) => {
            let count = items.len();
            items.retain(|item| item.get("verb").and_then(toml::Value::as_str) != Some(verb));
            let removed = items.len() < count;
            items
                .iter_mut()
                .fold(removed, |removed, item| remove_verb(item, verb) || removed)
        }
        toml::Value::Table(table) => table.iter_mut().fold(false, |removed, (_, item)| {
            remove_verb(item, verb) || removed
        }),
        _ => false,
    }
}

/// The component in the plugin store.
fn installed_plugin(state: &Path) -> anyhow::Result<PathBuf> {
    let folder = state.join("plugins");
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))?
    {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            return Ok(path);
        }
    }
    bail!("there is no plugin in `{}`", folder.display())
}

fn flip_last_byte(file: &Path) -> anyhow::Result<()> {
    let mut bytes = fs::read(file)?;
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    fs::write(file, bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_verb_out_of_a_grant() {
        let text = "[[grant]]\nplugin = \"p\"\n[[grant.bindings]]\nbinding = \"b\"\n\
                    verbs = [{ verb = \"a\", scope = [] }, { verb = \"c\", scope = [] }]\n";
        let narrow = without_verb(text, "a").unwrap();
        assert!(
            !narrow.contains("\"a\"") && narrow.contains("\"c\""),
            "{narrow}"
        );
        assert!(without_verb(text, "d").is_err());
    }
}

//! The whole way back: from the dump that the run took and tried.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::AdminState;
use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::traffic::CLIENTS;
use sha2::Digest;
use sha2::Sha256;

use super::RollingSite;
use super::backup::Backup;
use super::backup::TRIAL;
use super::stage::DATABASE;
use crate::proof::last_run;
use crate::tally::Tally;

/// Upgrades with a dump, then goes back as a whole; what is there then is what the dump has.
pub async fn goes_back_as_a_whole(site: &RollingSite, tally: &mut Tally) -> anyhow::Result<()> {
    let [from, to] = [site.spec.from.name(), site.spec.to.name()];
    let before = site.database.address().catalog(DATABASE).await?;
    stops_at_a_spoiled_trial(site, tally).await?;
    let plan = site.plan().await?;
    let traffic = Traffic::begin(&site.balancer.base_url(), CLIENTS)?;
    let told = site.run(&plan).await;
    let report = traffic.end().await;
    let told = told?;
    let file = Backup::file(site.folder());
    let dump = fs::read(&file).with_context(|| format!("`{}`", file.display()))?;
    let sha256: String = Sha256::digest(&dump)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    tally.check(
        "the run with a dump is done",
        told.clone().expect(0).map(drop),
    );
    tally.check(
        "its report names the dump",
        says(told.says(&sha256), || told.to_string()),
    );
    tally.check("every node runs the new version", site.all_run(to).await);
    tally.check(
        "no request failed",
        says(report.failed() == 0, || report.last_line()),
    );
    let left = site.database.address().catalog(TRIAL).await?;
    tally.check(
        "the scratch database is empty again",
        says(left == Default::default(), || format!("{left:?}")),
    );

    let other = "0".repeat(64);
    set_restore(site, &other)?;
    let plan = ["plan", from];
    site.operator.grant().await?;
    let refused = site.operator.run(&plan).await?;
    tally.check(
        "another dump than the one that is named is refused",
        refused.clone().expect(3).and_then(|_| {
            says(refused.says("camunda.restore-of-another-dump"), || {
                refused.to_string()
            })
        }),
    );

    // As a run leaves it that was aborted.
    let left_out = "n2";
    let balancer = site.balancer.haproxy()?;
    balancer.set_state(left_out, AdminState::Maint).await?;
    set_restore(site, &sha256)?;
    site.operator.grant().await?;
    let plan = site.operator.approved(from).await?;
    let stopped = site.run(&plan).await?;
    tally.check(
        "the run waits for the approval of the loss",
        stopped
            .clone()
            .expect(13)
            .and_then(|_| says(stopped.says("is lost"), || stopped.to_string())),
    );
    site.operator
        .run(&[
            "approve", &plan, "--by", "prover", "--step", "restore", "--reason", "go back",
        ])
        .await?
        .expect(0)?;
    let run = last_run(&site.operator).await?;
    let resumed = site.operator.run(&["resume", &run]).await?;
    tally.check("the restore is done", resumed.expect(0).map(drop));
    tally.check("every node runs the old version", site.all_run(from).await);
    tally.check(
        "every server is ready again, that which was left out too",
        site.all_serve().await,
    );
    let after = site.database.address().catalog(DATABASE).await?;
    tally.check(
        "the catalog is that of before",
        says(before == after, || "the catalogs differ".into()),
    );
    tally.check("the rows are those of the dump", same_rows(site).await);
    let traffic = Traffic::begin(&site.balancer.base_url(), CLIENTS)?;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let report = traffic.end().await;
    tally.check(
        "clients are served by the old version",
        says(report.ok() > 0 && report.failed() == 0, || {
            report.last_line()
        }),
    );
    Ok(())
}

/// The tool says that all is well, and an index and every row of a table are not there: the run ends before anything is
/// changed.
async fn stops_at_a_spoiled_trial(site: &RollingSite, tally: &mut Tally) -> anyhow::Result<()> {
    let spoiler = Backup::spoiler(site.folder());
    let mut plan = site.approved().await?;
    let [index, of, rows] =
        ["act_idx_job_handler_type", "act_ru_job", "act_hi_taskinst"].map(|name| {
            match site.spec.database {
                DatabaseKind::PostgreSql => name.to_owned(),
                DatabaseKind::MariaDb => name.to_uppercase(),
            }
        });
    let drop = match site.spec.database {
        DatabaseKind::PostgreSql => format!("drop index {index}"),
        DatabaseKind::MariaDb => format!("drop index {index} on {of}"),
    };
    for (sql, named) in [
        (
            drop,
            format!("index {index} on {of} is missing in the copy"),
        ),
        (
            format!("delete from {rows}"),
            format!("{rows} has 0 rows in the copy"),
        ),
    ] {
        fs::write(&spoiler, &sql)?;
        let told = site.run(&plan).await?;
        tally.check(
            &format!("a trial that lacks something is no proof: {sql}"),
            told.clone()
                .expect(20)
                .and_then(|_| says(told.says(&named), || told.to_string())),
        );
        let run = last_run(&site.operator).await?;
        let aborted = ["abort", &run, "--reason", "the dump is no backup"];
        site.operator.run(&aborted).await?.expect(0)?;
        plan = site.plan().await?;
    }
    fs::remove_file(&spoiler)?;
    tally.check(
        "no node was touched",
        site.all_run(site.spec.from.name()).await,
    );
    Ok(())
}

/// Writes the option that names the dump into `site.toml`.
fn set_restore(site: &RollingSite, sha256: &str) -> anyhow::Result<()> {
    let file = site.operator.site().join("site.toml");
    let text = fs::read_to_string(&file)?;
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("restore = "))
        .map(|line| match line {
            "[options]" => format!("[options]\nrestore = \"{sha256}\"\n"),
            line => format!("{line}\n"),
        })
        .collect();
    Ok(fs::write(&file, text)?)
}

/// Instances, deployments and the schema's log are the dump's; beside them one instance for each node's canary.
async fn same_rows(site: &RollingSite) -> anyhow::Result<()> {
    let address = site.database.address();
    let expected = super::backup::restored(&site.database, site.folder()).await?;
    for (table, id, more) in [
        ("ACT_GE_SCHEMA_LOG", "ID_", 0),
        ("ACT_RE_DEPLOYMENT", "ID_", 0),
        ("ACT_RE_PROCDEF", "ID_", 0),
        ("ACT_HI_PROCINST", "ID_", site.nodes.len()),
    ] {
        let sql = format!("select {id} from {table}");
        let ids = async |database: &str| -> anyhow::Result<BTreeSet<String>> {
            let text = address.sql(database, &sql).await?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let (expected, found) = (ids(expected).await?, ids(DATABASE).await?);
        let lost = expected.difference(&found).count();
        let new = found.difference(&expected).count();
        if lost > 0 || new != more || expected.is_empty() {
            bail!(
                "{table}: {} rows in the dump, {lost} of them are not there, {new} others are",
                expected.len()
            );
        }
    }
    Ok(())
}

fn says(holds: bool, why: impl FnOnce() -> String) -> anyhow::Result<()> {
    if holds { Ok(()) } else { bail!("{}", why()) }
}

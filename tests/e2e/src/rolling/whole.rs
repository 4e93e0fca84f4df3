//! The whole way, under traffic.

use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::TrafficReport;
use liftlock_lab::camunda::schema;
use liftlock_lab::camunda::traffic::Answer;
use liftlock_lab::camunda::traffic::CLIENTS;

use super::RollingSite;
use crate::tally::Tally;

/// How long clients work before the run: so their engines have prepared what they use, as engines of a site have.
const BEFORE: Duration = Duration::from_secs(5);

/// Plans, approves and runs while clients work; every request of theirs must be answered.
pub async fn upgrades_under_traffic(
    site: &RollingSite,
    tally: &mut Tally,
) -> anyhow::Result<TrafficReport> {
    let report = upgrades(site, tally).await?;
    tally.check("no request failed", none_failed(&report));
    Ok(report)
}

/// The same with the driver's defaults, where requests fail for the one reason that the plan names.
///
/// The engine tells its client that the database refused something, the database's log tells what.
pub async fn upgrades_with_stale_statements(
    site: &RollingSite,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let report = upgrades(site, tally).await?;
    let log = std::fs::read_to_string(site.database.log_file()).context("the database's log")?;
    // Liftlock looks for its own table before it makes it, and its transactions give way to those of the engines.
    let of_engines = |line: &&str| line.contains(" ERROR: ") && !line.contains("] liftlock");
    let errors: Vec<&str> = log.lines().filter(of_engines).collect();
    let stale = errors.iter().filter(|line| line.contains(STALE)).count();
    let by_the_database = |answer: &Answer| {
        let why = answer.why_failed.as_deref().unwrap_or_default();
        answer.status == Some(500) && why.contains("persistence layer")
    };
    let is_explained =
        report.failures().all(by_the_database) && stale == errors.len() && stale >= report.failed();
    tally.check(
        "requests failed for stale statements only",
        if is_explained {
            Ok(())
        } else {
            Err(anyhow::anyhow!("{report}; {errors:?}"))
        },
    );
    let times = || report.failures().map(|answer| answer.at_ms);
    let seconds = |ms: Option<u64>| ms.unwrap_or_default() as f64 / 1_000.0;
    tally.note(&format!(
        "{} of {} requests failed, {:.1} s from the first to the last: a column was added, PostgreSQL said `{STALE}` \
         {stale} times, and the driver did not repeat the statement",
        report.failed(),
        report.answers.len(),
        seconds(times().max()) - seconds(times().min()),
    ));
    tally.check(
        "some did: the finding is about something",
        if report.failed() > 0 {
            Ok(())
        } else {
            Err(anyhow::anyhow!("none of {} failed", report.answers.len()))
        },
    );
    Ok(())
}

/// What PostgreSQL says of a prepared statement whose table has got a column since.
const STALE: &str = "cached plan must not change result type";

/// An error with the first failures.
pub(super) fn none_failed(report: &TrafficReport) -> anyhow::Result<()> {
    let failures: Vec<String> = report
        .failures()
        .take(5)
        .map(|answer| format!("{answer:?}"))
        .collect();
    if !failures.is_empty() {
        bail!("{}; {}", report.last_line(), failures.join("; "));
    }
    Ok(())
}

async fn upgrades(site: &RollingSite, tally: &mut Tally) -> anyhow::Result<TrafficReport> {
    let plan = site.approved().await?;
    let traffic = Traffic::begin(&site.balancer.base_url(), CLIENTS)?;
    tokio::time::sleep(BEFORE).await;
    let told = site.run(&plan).await;
    let report = traffic.end().await;
    tally.check("the run is done", told?.expect(0).map(drop));
    tally.check(
        "every node runs the new version",
        site.all_run(site.spec.to.name()).await,
    );
    tally.check("every server is ready again", site.all_serve().await);
    let again = site
        .operator
        .run(&["plan", site.spec.to.name(), "--detailed-exitcode"])
        .await?;
    tally.check("nothing is left to do", again.expect(0).map(drop));
    let left = site.sql("select count(*) from ACT_GE_SCHEMA_LOG").await?;
    tally.check(
        "nothing of ours is left in the database",
        no_table_of_ours(site).await.with_context(|| left),
    );
    Ok(report)
}

async fn no_table_of_ours(site: &RollingSite) -> anyhow::Result<()> {
    let found = site
        .sql("select table_name from information_schema.tables where lower(table_name) like 'liftlock%'")
        .await?;
    if found.contains("liftlock_") {
        bail!("{found}");
    }
    Ok(())
}

/// The catalog is what the vendor's script makes of the same beginning.
pub async fn equals_the_vendors_way(site: &RollingSite) -> anyhow::Result<()> {
    let address = site.database.address();
    address
        .copy(liftlock_lab::camunda::seed::TEMPLATE, "vendor")
        .await?;
    let family = match site.spec.database {
        DatabaseKind::PostgreSql => "postgres",
        DatabaseKind::MariaDb => "mysql",
    };
    let minor = |version: &str| {
        version
            .rsplit_once('.')
            .map_or(version.to_owned(), |(minor, _)| minor.to_owned())
    };
    let file = schema::scripts(site.spec.to).await?.join(format!(
        "upgrade/{family}_engine_{}_to_{}.sql",
        minor(site.spec.from.name()),
        minor(site.spec.to.name())
    ));
    let script = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    address.sql("vendor", &script).await?;
    let ours = address.catalog(super::stage::DATABASE).await?;
    let theirs = address.catalog("vendor").await?;
    address.remove("vendor").await?;
    if format!("{ours:?}") != format!("{theirs:?}") {
        bail!("the catalogs differ");
    }
    Ok(())
}

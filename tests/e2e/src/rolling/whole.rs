//! The whole way, under traffic.

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::Traffic;
use liftlock_lab::camunda::TrafficReport;
use liftlock_lab::camunda::schema;
use liftlock_lab::camunda::traffic::CLIENTS;

use super::RollingSite;
use crate::tally::Tally;

/// Plans, approves and runs while clients work; every request of theirs must be answered.
pub async fn upgrades_under_traffic(
    site: &RollingSite,
    tally: &mut Tally,
) -> anyhow::Result<TrafficReport> {
    let plan = site.approved().await?;
    let traffic = Traffic::begin(&site.balancer.base_url(), CLIENTS)?;
    let told = site.run(&plan).await;
    let report = traffic.end().await;
    tally.check("the run is done", told?.expect(0).map(drop));
    tally.check(
        "every node runs the new version",
        site.all_run(site.spec.to.name()).await,
    );
    tally.check("every server is ready again", site.all_serve().await);
    let failures: Vec<String> = report
        .failures()
        .take(5)
        .map(|answer| format!("{answer:?}"))
        .collect();
    let none_failed = if failures.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(
            "{}; {}",
            report.last_line(),
            failures.join("; ")
        ))
    };
    tally.check("no request failed", none_failed);
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

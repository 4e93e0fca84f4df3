//! The proof that the Optimize plugin does what is documented, and nothing else.
//!
//! The same checks run on simulated clusters and on real servers: [`upgrades_cleanly`],
//! [`refuses_what_is_not_approved`], [`goes_on_after_a_kill`], [`upgrades_with_a_waiver`],
//! [`finds_a_backup_that_cannot_be_restored`], [`goes_hop_by_hop`], [`updates_an_index_through_kills`],
//! [`renews_many_indices_under_readers`]; on nodes that are services of the site,
//! [`upgrades_the_database_first`], [`goes_on_once_every_node_is_new`]; and with the vendor's own upgrader, or a stand-in for it:
//! [`upgrades_by_the_vendors_tool`], [`finds_its_upgrader_again`], [`goes_on_natively_with_its_work`],
//! [`refuses_what_the_upgrader_would_ruin`], [`finds_out_a_lying_upgrader`],
//! [`takes_the_vendors_work_back`].

mod clean;
mod database;
mod decide;
mod documented;
mod heap;
mod hops;
mod killing;
mod kills;
mod refusals;
mod rehearsal;
mod replan;
mod rollback;
mod secrets;
mod takeover;
mod unproved;
mod updates;
mod vendor;

use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use serde_json::Value;

pub use clean::upgrades_cleanly;
pub use database::Searching;
pub use database::goes_on_once_every_node_is_new;
pub use database::plans_the_database_first;
pub use database::upgrades_the_database_first;
pub use decide::decides_a_doubt;
pub use decide::stops_now_at_the_second_interrupt;
pub use documented::expected_changes;
pub use documented::expected_difference;
pub use heap::raises_the_heap_of_its_database;
pub use hops::OF_AN_UPDATE;
pub use hops::goes_back_from_an_index_update;
pub use hops::goes_hop_by_hop;
pub use hops::updates_an_index_through_kills;
pub(crate) use killing::At;
pub(crate) use killing::Blow;
pub(crate) use killing::struck;
pub use kills::Position;
pub use kills::goes_on_after_a_kill;
pub use refusals::refuses_what_is_not_approved;
pub use rehearsal::Second;
pub use rehearsal::fills_the_targets_first;
pub use rehearsal::goes_on_with_a_rehearsal;
pub use rehearsal::refuses_to_rehearse_on_the_real_site;
pub use rehearsal::rehearses_and_plans_by_it;
pub use rehearsal::tells_a_rehearsal_that_fits_no_more;
pub use rehearsal::writes_a_failed_rehearsal_down;
pub use replan::goes_back_over_two_plans;
pub use replan::goes_on_by_another_plan;
pub use rollback::goes_back_after_the_point_of_no_return;
pub use rollback::goes_back_before_the_point_of_no_return;
pub use rollback::goes_back_from_the_end;
pub use secrets::find_secret;
pub use takeover::is_taken_over;
pub use unproved::finds_a_backup_that_cannot_be_restored;
pub use unproved::upgrades_with_a_waiver;
pub use updates::renews_many_indices_under_readers;
pub use vendor::Upgrader;
pub use vendor::finds_its_upgrader_again;
pub use vendor::finds_out_a_lying_upgrader;
pub use vendor::goes_on_by_the_vendors_tool;
pub use vendor::goes_on_natively_with_its_work;
pub use vendor::refuses_what_the_upgrader_would_ruin;
pub use vendor::reindexes_by_the_vendors_tool;
pub use vendor::runs_again_an_upgrader_that_died;
pub use vendor::takes_the_vendors_work_back;
pub use vendor::upgrades_by_the_vendors_tool;

use crate::operator::Operator;
use crate::stage::Round;

/// The version that the proof upgrades to.
pub const TO: &str = "8.8.0";

/// An error unless a condition holds.
pub(crate) fn ensure(holds: bool, else_say: impl Into<String>) -> anyhow::Result<()> {
    if holds {
        Ok(())
    } else {
        bail!("{}", else_say.into())
    }
}

/// Adds the plugin and grants it what it asks for.
pub async fn introduce(round: &Round) -> anyhow::Result<()> {
    let operator = &round.operator;
    operator.add(Path::new(round.plugin())).await?;
    round.keep_compiled()?;
    operator.grant().await
}

/// Makes a plan; gives its file.
pub async fn plan(round: &Round) -> anyhow::Result<String> {
    round.operator.run(&["plan", TO]).await?.expect(0)?;
    Ok(round.plan_file()?.to_string_lossy().into_owned())
}

/// Makes a plan and approves it; gives its file.
pub async fn approved(round: &Round) -> anyhow::Result<String> {
    let plan = plan(round).await?;
    round.operator.approve(&plan).await?;
    Ok(plan)
}

/// The id of the only or the last run in the operator's journal.
pub async fn last_run(operator: &Operator) -> anyhow::Result<String> {
    let told = operator.run(&["history", "--json"]).await?.expect(0)?;
    let data = told.data()?;
    let runs = data["runs"].as_array().cloned().unwrap_or_default();
    let id = |run: &Value| run["run"].as_str().map(str::to_owned);
    runs.last()
        .and_then(id)
        .with_context(|| format!("no run in the history: {data}"))
}

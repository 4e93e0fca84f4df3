//! What goes on in the database that an upgrade had better not begin beside.

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::check::found;
use crate::descriptor::DATABASE;
use crate::goal::Goal;
use crate::options::Options;
use crate::reads;
use crate::schema::Schema;
use crate::version::Minor;
use crate::window::Subject;

/// The version from which on a deployment without a time to live is refused.
const TIME_TO_LIVE_SINCE: Minor = Minor::new(20);

/// The history level at which nothing is kept.
const HISTORY_NONE: &str = "0";

/// Reads batches, clean-ups, and what the target would refuse; nothing of a schema that is not what it says.
pub(crate) fn findings(
    site: &Site,
    schema: &Schema,
    goal: Option<&Goal>,
    options: &Options,
) -> Result<Vec<Finding>> {
    let (Some(_), Some(goal)) = (schema.minor(), goal) else {
        return Ok(Vec::new());
    };
    if goal.from == goal.to {
        return Ok(Vec::new());
    }
    let database = Database::open(site, DATABASE)?;
    let batches = database.query(&Subject::Batches.sql(), &[])?.rows;
    let cleanups = database.query(reads::RUNNING_CLEANUPS, &[])?.rows;
    let definitions = if asks_for_time_to_live(goal.from.minor, goal.to.minor) {
        database.query(reads::WITHOUT_TIME_TO_LIVE, &[])?.rows
    } else {
        Vec::new()
    };
    let level = database.query(reads::HISTORY_LEVEL, &[])?.rows;
    Ok([
        of_history(&level, options.canary.as_deref()),
        of_batches(&batches),
        of_cleanups(&cleanups),
        of_definitions(&definitions),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Only this step takes deployments away that the version before took.
fn asks_for_time_to_live(from: Minor, to: Minor) -> bool {
    from < TIME_TO_LIVE_SINCE && to >= TIME_TO_LIVE_SINCE
}

type Row = Vec<Option<String>>;

fn at(row: &Row, column: usize) -> &str {
    row.get(column)
        .and_then(|value| value.as_deref())
        .unwrap_or_default()
}

/// Without a history an instance that came to its end is as if it had never been: no canary can be proved.
fn of_history(rows: &[Row], canary: Option<&str>) -> Option<Finding> {
    let is_none = rows.first().is_some_and(|row| at(row, 0) == HISTORY_NONE);
    let process = canary.filter(|_| is_none)?;
    Some(found(
        "camunda.no-history",
        Severity::Blocker,
        "ACT_GE_PROPERTY",
        format!(
            "the history level is `none`, and an instance of `{process}` is to be started on each new node"
        ),
    ))
}

fn of_batches(rows: &[Row]) -> Option<Finding> {
    let batches = rows
        .iter()
        .map(|row| format!("{} `{}`", at(row, 0), at(row, 1)));
    let told = told::first(batches, ", ");
    let what = format!("{} runs: {told}", rows.len());
    (!rows.is_empty()).then(|| {
        found(
            "camunda.batch-running",
            Severity::Warning,
            "ACT_RU_BATCH",
            what,
        )
    })
}

fn of_cleanups(rows: &[Row]) -> Option<Finding> {
    let count = rows.first().map_or("", |row| at(row, 0));
    let is_at_work = !matches!(count, "" | "0");
    is_at_work.then(|| {
        found(
            "camunda.history-cleanup-running",
            Severity::Warning,
            "ACT_RU_JOB",
            format!("{count} of its jobs are at work"),
        )
    })
}

fn of_definitions(rows: &[Row]) -> Option<Finding> {
    let definitions = rows.iter().map(|row| match at(row, 1) {
        "" => format!("`{}`", at(row, 0)),
        tenant => format!("`{}` of tenant `{tenant}`", at(row, 0)),
    });
    let told = told::first(definitions, ", ");
    (!rows.is_empty()).then(|| {
        found(
            "camunda.history-ttl",
            Severity::Warning,
            "ACT_RE_PROCDEF",
            format!("the newest versions of {} have none: {told}", rows.len()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[&str]) -> Row {
        let value = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
        values.iter().map(value).collect()
    }

    fn what(found: Option<Finding>) -> Option<String> {
        found.map(|found| found.what)
    }

    #[test]
    fn tells_each_batch_up_to_a_number() {
        assert!(of_batches(&[]).is_none());
        let one = [row(&["b1", "instance-migration"])];
        assert_eq!(
            what(of_batches(&one)).as_deref(),
            Some("1 runs: b1 `instance-migration`")
        );
        let many = vec![row(&["b", "x"]); 7];
        assert!(what(of_batches(&many)).is_some_and(|what| what.ends_with("and 2 more")));
    }

    #[test]
    fn a_canary_needs_a_history() {
        let none = [row(&["0"])];
        assert!(
            what(of_history(&none, Some("batch"))).is_some_and(|what| what.contains("`batch`"))
        );
        assert!(of_history(&none, None).is_none());
        // Before the first engine started there is no row.
        for level in [&[row(&["3"])][..], &[]] {
            assert!(of_history(level, Some("batch")).is_none());
        }
    }

    #[test]
    fn a_clean_up_is_told_when_it_works() {
        assert!(of_cleanups(&[row(&["0"])]).is_none() && of_cleanups(&[]).is_none());
        assert!(of_cleanups(&[row(&["2"])]).is_some());
    }

    #[test]
    fn a_time_to_live_is_asked_for_on_the_way_over_7_20_only() {
        let is = |from, to| asks_for_time_to_live(Minor::new(from), Minor::new(to));
        assert!(is(19, 20) && !is(20, 21) && !is(18, 19));
        let found = of_definitions(&[row(&["order", ""]), row(&["order", "a"])]);
        assert_eq!(
            what(found).as_deref(),
            Some("the newest versions of 2 have none: `order`, `order` of tenant `a`")
        );
    }
}

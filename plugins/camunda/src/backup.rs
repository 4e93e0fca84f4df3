//! The dump before the schema changes: taken, restored on trial beside, compared, and kept.
//!
//! The server's own tools do it, as tasks that the operator defined. That a tool ended well is not believed: what the
//! trial made is read and compared by this plugin.

pub mod compare;

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use crate::check::found;
use crate::descriptor::{BACKUPS, DATABASE, TOOLS, TRIAL};
use crate::options::Options;
use crate::schema::{self, Schema};
use compare::Counts;

/// Tasks of [`TOOLS`].
const DUMP: &str = "dump";
const TRIAL_RESTORE: &str = "trial-restore";
const DROP_TRIAL: &str = "drop-trial";
pub(crate) const RESTORE: &str = "restore";

/// The condition's name.
pub(crate) const CONDITION: &str = "backup";

/// Captures.
const BEFORE: &str = "backup-before";
const AFTER: &str = "backup-after";
const PROVED: &str = "backup-proved";

/// Rows of a table that are counted. A table that the server estimates at more is left out.
///
/// Ten million: both servers count so many in some seconds, and a query has a bound of time.
const ROWS_MAX: u64 = 10_000_000;

/// What of a backup the operator bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backup {
    /// Nothing.
    None,
    /// Not all of it: what lacks.
    Partial(Vec<String>),
    /// All of it.
    Whole,
}

impl Backup {
    /// Reads which bindings and tasks there are.
    pub(crate) fn of(site: &Site) -> Result<Self> {
        let bindings = [TOOLS, BACKUPS, TRIAL];
        let mut lacks: Vec<String> = bindings
            .iter()
            .filter(|binding| !site.has(binding))
            .map(|binding| format!("`{binding}`"))
            .collect();
        if lacks.len() == bindings.len() {
            return Ok(Self::None);
        }
        if site.has(TOOLS) {
            let tasks = Service::open(site, TOOLS)?.tasks()?;
            for task in [DUMP, TRIAL_RESTORE, DROP_TRIAL, RESTORE] {
                if !tasks.iter().any(|known| known == task) {
                    lacks.push(format!("task `{task}` of `{TOOLS}`"));
                }
            }
        }
        Ok(if lacks.is_empty() {
            Self::Whole
        } else {
            Self::Partial(lacks)
        })
    }

    /// What is found of it before a change of the schema, which the operator accepts without a backup or not.
    pub(crate) fn findings(&self, is_waived: bool) -> Vec<Finding> {
        let what = match self {
            Self::Whole => return Vec::new(),
            Self::Partial(lacks) => {
                let what = format!("not bound: {}", lacks.join(", "));
                return vec![found(
                    "camunda.backup-incomplete",
                    Severity::Blocker,
                    "backup",
                    what,
                )];
            }
            Self::None if is_waived => {
                return vec![found(
                    "camunda.no-backup",
                    Severity::Warning,
                    "option backup",
                    "no dump is taken before the schema changes, which was accepted",
                )];
            }
            Self::None => format!(
                "none of `{TOOLS}`, `{BACKUPS}` and `{TRIAL}` is bound, and the option `backup` is `required`"
            ),
        };
        vec![found(
            "camunda.no-backup",
            Severity::Blocker,
            "backup",
            what,
        )]
    }
}

/// Dump, trial restore, comparison; then the trial's database is emptied again.
pub(crate) fn steps(
    site: &Site,
    schema: &Schema,
    options: &Options,
    plan: &Plan<'_>,
) -> std::result::Result<(), Refusal> {
    let tools = Service::open(site, TOOLS)?;
    let backups = Directory::open(site, BACKUPS)?;
    let database = Database::open(site, DATABASE)?;
    let tables = counted(schema);
    let counts = || {
        tables
            .iter()
            .map(|table| database.read_query(&count(table), &[]))
    };
    let file = &options.backup_file;
    plan.step(BEFORE, Phase::Protect, "count rows before the dump")
        .because("engines write while it is taken: what it holds lies between this and what is there after it")
        .captures(BEFORE, counts())
        .add()?;
    plan.step("backup-dump", Phase::Protect, "dump the database")
        .because("the vendor has no script that leads back: only a restore does")
        .does(tools.run_task(
            DUMP,
            Some("it reads the database and writes its own file anew"),
        ))
        .stays("the dump is kept; the next run writes it anew")
        .work(
            "rows",
            schema.tables.iter().map(|table| table.rows_estimate).sum(),
        )
        .add()?;
    plan.step(AFTER, Phase::Protect, "count rows after the dump")
        .captures(
            AFTER,
            std::iter::once(backups.read_sha256(file)).chain(counts()),
        )
        .add()?;
    plan.step("backup-trial", Phase::Protect, "restore the dump on trial")
        .because("a backup that was never restored is no backup")
        .does(tools.run_task(
            TRIAL_RESTORE,
            Some("it empties the scratch database and fills it from the dump"),
        ))
        .stays("it fills the scratch database, which is emptied next")
        .add()?;
    plan.step(PROVED, Phase::Protect, "compare what the trial made")
        .because("no exit code of a tool says that a restore is whole, and some of harmless ones are not 0")
        .captures(PROVED, [backups.read_sha256(file)])
        .opens_when(
            "tables, columns, indexes, constraints and rows of the copy are as they should be",
            asked(CONDITION, &json!({ "tables": tables })).patience_ms(0),
        )
        .add()?;
    plan.step(
        "backup-drop-trial",
        Phase::Protect,
        "empty the scratch database",
    )
    .does(tools.run_task(DROP_TRIAL, Some("an empty database stays empty")))
    .stays("the scratch database is empty, as it was")
    .add()?;
    Ok(())
}

/// Names of tables whose rows are counted.
fn counted(schema: &Schema) -> Vec<String> {
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    schema
        .tables
        .iter()
        .filter(|table| table.rows_estimate <= ROWS_MAX && is_plain(&table.name))
        .map(|table| table.name.clone())
        .collect()
}

fn count(table: &str) -> String {
    format!("SELECT COUNT(*) FROM {table}")
}

/// Compares the copy with what was captured and with the database itself.
pub(crate) fn observe(site: &Site, run: &Run, input: &Value) -> Result<Observation> {
    let wrong = || Error::Invalid(format!("the condition `{CONDITION}` with {input}"));
    let tables: Vec<&str> = input
        .get("tables")
        .and_then(Value::as_array)
        .map(|tables| tables.iter().filter_map(Value::as_str).collect())
        .ok_or_else(wrong)?;
    let (Some(before), Some(after)) = (run.capture(BEFORE)?, run.capture(AFTER)?) else {
        return Err(wrong());
    };
    let trial = Database::open(site, TRIAL)?;
    let identity = trial.identity()?;
    let mut told: Vec<String> = Vec::new();
    // Another run's claim in a dump would come back with a restore, and end the run that restores.
    for table in trial.tables("liftlock*")? {
        told.push(format!(
            "the dump has `{}`, which is Liftlock's own: leave `liftlock_*` out of it",
            table.name
        ));
    }
    let (family, original) = schema::catalog_of(&Database::open(site, DATABASE)?)?;
    let (_, copy) = schema::catalog_of(&trial)?;
    told.extend(compare::of_catalogs(&original, &copy, family));
    let mut rows = 0;
    if told.is_empty() {
        // Behind the dump's hash.
        let counted = tables.iter().zip(&before).zip(after.iter().skip(1));
        for ((table, before), after) in counted {
            let counts = Counts {
                before: number(before)?,
                after: number(after)?,
                copy: first_number(&trial.query(&count(table), &[])?.rows)?,
            };
            rows += counts.copy;
            told.extend(compare::of_counts(table, counts));
        }
    }
    let mut why = told::first(&told, "; ");
    if !told.is_empty() {
        why.push_str(
            ". Nothing was changed; abort this run and plan again, which takes a new dump and tries it",
        );
    }
    Ok(Observation {
        holds: told.is_empty(),
        seen: json!({
            "database": identity.database,
            "tables": copy.tables.len(),
            "rows": rows,
            "differences": told.len(),
        }),
        why,
    })
}

fn number(captured: &Captured) -> Result<u64> {
    let rows: crate::observe::Rows = captured.parse()?;
    first_number(&rows.rows)
}

fn first_number(rows: &[Vec<Option<String>>]) -> Result<u64> {
    rows.first()
        .and_then(|row| row.first()?.as_deref()?.parse().ok())
        .ok_or_else(|| Error::Invalid("a count is no number".into()))
}

/// After the run: which dump leads back, and how.
pub(crate) fn kept(run: &Run, options: &Options) -> Result<Option<Finding>> {
    let Some(captured) = run.capture(PROVED)? else {
        return Ok(None);
    };
    let Some(first) = captured.first() else {
        return Ok(None);
    };
    let sha256: String = first.parse()?;
    Ok(Some(found(
        "camunda.backup-kept",
        Severity::Info,
        &options.backup_file,
        format!("it was restored on trial, and has sha256 {sha256}"),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_without_a_backup_is_blocked_until_it_says_so() {
        let found = |backup: &Backup, is_waived: bool| {
            let found = backup.findings(is_waived).into_iter().next();
            found.map(|found| (found.id, found.severity))
        };
        let none = Backup::None;
        assert_eq!(
            found(&none, false),
            Some(("camunda.no-backup".into(), Severity::Blocker))
        );
        assert_eq!(
            found(&none, true),
            Some(("camunda.no-backup".into(), Severity::Warning))
        );
        let partial = Backup::Partial(vec!["`disk.backup`".into()]);
        for is_waived in [false, true] {
            let blocked = Some(("camunda.backup-incomplete".into(), Severity::Blocker));
            assert_eq!(found(&partial, is_waived), blocked);
            assert_eq!(found(&Backup::Whole, is_waived), None);
        }
        assert!(partial.findings(false)[0].what.contains("`disk.backup`"));
    }
}

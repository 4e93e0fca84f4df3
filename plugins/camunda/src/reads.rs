//! The queries of the checks: one `SELECT` each, over tables that it names.
//!
//! Names of the engine's tables are in upper case, as in its scripts. Those of Liquibase are there only where it
//! manages a schema, so that the catalog has to be asked first.

/// Id and version of each row of the schema log, in no order. The table is there from 7.11 on.
pub const SCHEMA_LOG: &str = "SELECT ID_, VERSION_ FROM ACT_GE_SCHEMA_LOG";

/// The installation's id, which every engine on this database tells. No row before the first engine started.
pub const INSTALLATION: &str =
    "SELECT VALUE_ FROM ACT_GE_PROPERTY WHERE NAME_ = 'camunda.installation.id'";

/// The history level as its number: none 0, activity 1, audit 2, full 3; others are an application's own.
pub const HISTORY_LEVEL: &str = "SELECT VALUE_ FROM ACT_GE_PROPERTY WHERE NAME_ = 'historyLevel'";

/// Key and tenant of process definitions whose newest version has no time to live.
pub const WITHOUT_TIME_TO_LIVE: &str = "SELECT D.KEY_, D.TENANT_ID_ FROM ACT_RE_PROCDEF D \
    WHERE D.HISTORY_TTL_ IS NULL AND NOT EXISTS (SELECT 1 FROM ACT_RE_PROCDEF N WHERE N.KEY_ = D.KEY_ \
    AND COALESCE(N.TENANT_ID_, '') = COALESCE(D.TENANT_ID_, '') AND N.VERSION_ > D.VERSION_) \
    ORDER BY D.KEY_, D.TENANT_ID_";

/// Owner, expiry and number of jobs of locks. An owner is a random id of one start of one node; the time is the node's
/// own, without a zone, and a lock whose time is past is none. Jobs that nobody would take leave their owner where it is:
/// they are left out.
pub const LOCKED_JOBS: &str = "SELECT LOCK_OWNER_, LOCK_EXP_TIME_, COUNT(*) FROM ACT_RU_JOB \
    WHERE LOCK_OWNER_ IS NOT NULL AND RETRIES_ > 0 AND SUSPENSION_STATE_ = 1 \
    GROUP BY LOCK_OWNER_, LOCK_EXP_TIME_ ORDER BY LOCK_OWNER_, LOCK_EXP_TIME_";

/// Ids of the first jobs that a node could take now. Those with a time of their own (timers, attempts after a failure) are
/// left out: by which clock it has come cannot be told.
pub const WAITING_JOBS: &str = "SELECT ID_ FROM ACT_RU_JOB WHERE LOCK_OWNER_ IS NULL AND DUEDATE_ IS NULL \
    AND RETRIES_ > 0 AND SUSPENSION_STATE_ = 1 ORDER BY ID_ LIMIT 200";

/// How many rows [`WAITING_JOBS`] gives at the most.
pub const WAITING_JOBS_MAX: usize = 200;

/// How many jobs that clean up the history are at work.
pub const RUNNING_CLEANUPS: &str = "SELECT COUNT(*) FROM ACT_RU_JOB \
    WHERE HANDLER_TYPE_ = 'history-cleanup' AND LOCK_OWNER_ IS NOT NULL";

/// The tables of Liquibase.
pub const LIQUIBASE_TABLES: [&str; 2] = ["DATABASECHANGELOG", "DATABASECHANGELOGLOCK"];

/// Who wrote how many change sets that Liquibase has run.
pub const LIQUIBASE_AUTHORS: &str =
    "SELECT AUTHOR, COUNT(*) FROM DATABASECHANGELOG GROUP BY AUTHOR ORDER BY AUTHOR";

/// Who holds Liquibase's lock.
pub const LIQUIBASE_LOCK: &str = "SELECT LOCKEDBY FROM DATABASECHANGELOGLOCK WHERE LOCKED = TRUE";

/// Authors of change sets of the product and of its forks: with one of them, Liquibase manages the engine's tables,
/// and not only somebody else's beside them.
pub fn is_products_author(author: &str) -> bool {
    let author = author.to_lowercase();
    ["camunda", "operaton", "cib"]
        .iter()
        .any(|name| author.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, Family};
    use crate::manifest::fixture::catalog;
    use crate::version::Minor;

    #[test]
    fn tells_the_products_change_sets_from_others() {
        assert!(is_products_author("Camunda") && is_products_author("CIB seven"));
        assert!(is_products_author("Operaton") && !is_products_author("somebody"));
    }

    #[test]
    fn jobs_are_asked_for_by_columns_that_every_version_has() {
        for minor in Minor::all().skip(1) {
            let schema = catalog(Family::Mysql, minor);
            for sql in [LOCKED_JOBS, WAITING_JOBS] {
                let words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                for word in words.filter(|word| word.ends_with('_')) {
                    let is_it =
                        |column: &Column| column.table == "ACT_RU_JOB" && column.name == word;
                    assert!(schema.columns.iter().any(is_it), "{minor}: {word}");
                }
            }
        }
    }

    #[test]
    fn each_is_one_select() {
        for sql in [
            SCHEMA_LOG,
            INSTALLATION,
            HISTORY_LEVEL,
            WITHOUT_TIME_TO_LIVE,
            LOCKED_JOBS,
            WAITING_JOBS,
            RUNNING_CLEANUPS,
            LIQUIBASE_AUTHORS,
            LIQUIBASE_LOCK,
        ] {
            assert!(sql.starts_with("SELECT ") && !sql.contains(';'), "{sql}");
        }
        assert!(WAITING_JOBS.ends_with(&format!(" LIMIT {WAITING_JOBS_MAX}")));
    }
}

//! The queries of the window guard: one `SELECT` each, over tables that it names.
//!
//! Names are written in upper case, as the vendor writes them: PostgreSQL folds them, MariaDB and MySQL on Linux
//! have the tables so.

use std::fmt;

use crate::version::Minor;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Every deployment: id, name, source, tenant.
    Deployments,
    /// The newest version of each definition: key, tenant, version, deployment.
    Definitions(Definitions),
    /// Type and number.
    Incidents,
    /// The number of jobs without a retry left.
    FailedJobs,
    /// Id and type of each batch that runs.
    Batches,
    /// The number of rows that only this feature writes.
    Feature(&'static Feature),
}

/// What can be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Definitions {
    /// BPMN.
    Process,
    /// DMN, a decision.
    Decision,
    /// DMN, decisions that need each other; from 7.6 on.
    DecisionRequirements,
    /// CMMN.
    Case,
    /// A Camunda form; from 7.16 on.
    Form,
}

/// Something that only a newer version can do, with rows that show it.
///
/// Columns that a newer engine fills all by itself are none: those are there as soon as its first node runs.
#[derive(Debug, PartialEq, Eq)]
pub struct Feature {
    /// In words.
    pub name: &'static str,
    /// The first version that has it.
    pub since: Minor,
    /// How many rows show it.
    pub sql: &'static str,
}

/// Features whose use can be seen in the tables.
pub static FEATURES: [Feature; 6] = [
    Feature {
        name: "annotations of the user operation log",
        since: Minor::new(12),
        sql: "SELECT COUNT(*) FROM ACT_HI_OP_LOG WHERE ANNOTATION_ IS NOT NULL",
    },
    Feature {
        name: "variables of batches",
        since: Minor::new(14),
        sql: "SELECT COUNT(*) FROM ACT_RU_VARIABLE WHERE BATCH_ID_ IS NOT NULL",
    },
    Feature {
        name: "annotations of incidents",
        since: Minor::new(15),
        sql: "SELECT COUNT(*) FROM ACT_RU_INCIDENT WHERE ANNOTATION_ IS NOT NULL",
    },
    Feature {
        name: "batches that their jobs name",
        since: Minor::new(22),
        sql: "SELECT COUNT(*) FROM ACT_RU_JOB WHERE BATCH_ID_ IS NOT NULL",
    },
    Feature {
        name: "restarted instances that name what they were restarted from",
        since: Minor::new(22),
        sql: "SELECT COUNT(*) FROM ACT_HI_PROCINST WHERE RESTARTED_PROC_INST_ID_ IS NOT NULL",
    },
    Feature {
        name: "comments that were changed",
        since: Minor::new(23),
        sql: "SELECT COUNT(*) FROM ACT_HI_COMMENT WHERE REV_ > 1",
    },
];

impl Definitions {
    /// Every sort.
    pub const ALL: [Self; 5] = [
        Self::Process,
        Self::Decision,
        Self::DecisionRequirements,
        Self::Case,
        Self::Form,
    ];

    /// The first version that has the table.
    pub fn since(self) -> Minor {
        match self {
            Self::Process | Self::Decision | Self::Case => Minor::OLDEST,
            Self::DecisionRequirements => Minor::new(6),
            Self::Form => Minor::new(16),
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Process => "ACT_RE_PROCDEF",
            Self::Decision => "ACT_RE_DECISION_DEF",
            Self::DecisionRequirements => "ACT_RE_DECISION_REQ_DEF",
            Self::Case => "ACT_RE_CASE_DEF",
            Self::Form => "ACT_RE_CAMFORMDEF",
        }
    }
}

impl Subject {
    /// The query.
    pub fn sql(self) -> String {
        match self {
            Self::Deployments => {
                "SELECT ID_, NAME_, SOURCE_, TENANT_ID_ FROM ACT_RE_DEPLOYMENT ORDER BY ID_"
                    .to_owned()
            }
            Self::Definitions(sort) => {
                let table = sort.table();
                format!(
                    "SELECT D.KEY_, D.TENANT_ID_, D.VERSION_, D.DEPLOYMENT_ID_ FROM {table} D \
                     WHERE NOT EXISTS (SELECT 1 FROM {table} N WHERE N.KEY_ = D.KEY_ \
                     AND COALESCE(N.TENANT_ID_, '') = COALESCE(D.TENANT_ID_, '') \
                     AND N.VERSION_ > D.VERSION_) ORDER BY D.KEY_, D.TENANT_ID_"
                )
            }
            Self::Incidents => {
                "SELECT INCIDENT_TYPE_, COUNT(*) FROM ACT_RU_INCIDENT GROUP BY INCIDENT_TYPE_ \
                 ORDER BY INCIDENT_TYPE_"
                    .to_owned()
            }
            Self::FailedJobs => "SELECT COUNT(*) FROM ACT_RU_JOB WHERE RETRIES_ = 0".to_owned(),
            Self::Batches => "SELECT ID_, TYPE_ FROM ACT_RU_BATCH ORDER BY ID_".to_owned(),
            Self::Feature(feature) => feature.sql.to_owned(),
        }
    }
}

/// What is watched on the way to a version: the schema is that version's when the window begins.
pub fn subjects(to: Minor) -> Vec<Subject> {
    let definitions = Definitions::ALL
        .into_iter()
        .filter(|sort| sort.since() <= to)
        .map(Subject::Definitions);
    let features = FEATURES
        .iter()
        .filter(|feature| feature.since == to)
        .map(Subject::Feature);
    let always = [
        Subject::Deployments,
        Subject::Incidents,
        Subject::FailedJobs,
        Subject::Batches,
    ];
    always
        .into_iter()
        .chain(definitions)
        .chain(features)
        .collect()
}

impl fmt::Display for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process definition",
            Self::Decision => "decision definition",
            Self::DecisionRequirements => "decision requirements definition",
            Self::Case => "case definition",
            Self::Form => "form",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployments => f.write_str("deployments"),
            Self::Definitions(sort) => write!(f, "each {sort}"),
            Self::Incidents => f.write_str("incidents"),
            Self::FailedJobs => f.write_str("failed jobs"),
            Self::Batches => f.write_str("batches"),
            Self::Feature(feature) => f.write_str(feature.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Family;
    use crate::manifest::fixture::catalog;

    #[test]
    fn watches_what_the_version_has() {
        let count = |minor| subjects(Minor::new(minor)).len();
        assert_eq!(count(6), 8);
        assert_eq!(count(15), 4 + 4 + 1);
        assert_eq!(count(22), 4 + 5 + 2);
        assert_eq!(count(24), 4 + 5);
    }

    /// Words of a query that are neither names nor functions.
    const WORDS: [&str; 15] = [
        "SELECT", "FROM", "WHERE", "NOT", "EXISTS", "AND", "ORDER", "BY", "GROUP", "IS", "NULL",
        "D", "N", "COUNT", "COALESCE",
    ];

    #[test]
    fn every_query_is_a_plain_select_over_tables_and_columns_that_the_version_has() {
        for minor in Minor::all().skip(1) {
            let schema = catalog(Family::Mysql, minor);
            let is_name = |word: &str| {
                schema.tables.iter().any(|table| table == word)
                    || schema.columns.iter().any(|column| column.name == word)
            };
            for subject in subjects(minor) {
                let sql = subject.sql();
                assert!(sql.starts_with("SELECT "), "{sql}");
                assert!(
                    !sql.contains([';', '"', '`']) && !sql.contains("--"),
                    "{sql}"
                );
                let words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                for word in words.filter(|word| word.starts_with(char::is_alphabetic)) {
                    assert!(
                        WORDS.contains(&word) || is_name(word),
                        "{minor}: `{word}` in {sql}"
                    );
                }
            }
        }
    }
}

//! What must not happen while two versions run side by side on one database.
//!
//! The vendor promises that an older engine works on the newer schema, as long as nothing is deployed and no new
//! feature is used until every node is upgraded. Before the window a baseline is taken, and at every step of it the
//! same is read again and compared.

mod breach;
mod compare;
mod policy;
mod reads;

use std::collections::BTreeMap;

pub use breach::Breach;
pub use compare::compare;
pub use policy::Action;
pub use policy::Policy;
pub use reads::Definitions;
pub use reads::FEATURES;
pub use reads::Feature;
pub use reads::Subject;
pub use reads::subjects;

/// What the engine writes as the source of what a node deployed by itself when it started.
pub const BY_A_NODE: &str = "process application";

/// The state of everything that is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// By id: the set, never the latest time, which is the clock of whichever node wrote it.
    pub deployments: BTreeMap<String, Deployment>,
    /// By sort, key and tenant: the newest version.
    pub definitions: BTreeMap<(Definitions, String, Option<String>), Definition>,
    /// How many, by type.
    pub incidents: BTreeMap<String, u64>,
    /// Jobs without a retry left.
    pub failed_jobs: u64,
    /// Batches that run, by id, with their type.
    pub batches: BTreeMap<String, String>,
    /// Rows that only a feature of the newer version writes, by the feature's name.
    pub features: BTreeMap<&'static str, u64>,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its name; a deployment may have none.
    pub name: Option<String>,
    /// Who deployed it: [`BY_A_NODE`], whatever a client wrote, or nothing.
    pub source: Option<String>,
    /// Its tenant.
    pub tenant: Option<String>,
}

/// The newest version of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its number.
    pub version: u64,
    /// The deployment that brought it.
    pub deployment: Option<String>,
}

/// An answer that is not what the query asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer about {subject} has a row that cannot be read: {row:?}")]
pub struct Unreadable {
    /// Of what.
    pub subject: String,
    /// The row.
    pub row: Vec<Option<String>>,
}

impl Watch {
    /// Takes in the answer to the query of one subject.
    pub fn add(
        &mut self,
        subject: Subject,
        rows: &[Vec<Option<String>>],
    ) -> Result<(), Unreadable> {
        for row in rows {
            self.add_row(subject, row).ok_or_else(|| Unreadable {
                subject: subject.to_string(),
                row: row.clone(),
            })?;
        }
        Ok(())
    }

    fn add_row(&mut self, subject: Subject, row: &[Option<String>]) -> Option<()> {
        let text = |at: usize| row.get(at).cloned().flatten();
        let number = |at: usize| text(at)?.parse::<u64>().ok();
        match subject {
            Subject::Deployments => {
                let deployment = Deployment {
                    name: text(1),
                    source: text(2),
                    tenant: text(3),
                };
                self.deployments.insert(text(0)?, deployment);
            }
            Subject::Definitions(sort) => {
                let definition = Definition {
                    version: number(2)?,
                    deployment: text(3),
                };
                self.definitions
                    .insert((sort, text(0)?, text(1)), definition);
            }
            Subject::Incidents => {
                self.incidents.insert(text(0)?, number(1)?);
            }
            Subject::FailedJobs => self.failed_jobs = number(0)?,
            Subject::Batches => {
                self.batches.insert(text(0)?, text(1).unwrap_or_default());
            }
            Subject::Feature(feature) => {
                self.features.insert(feature.name, number(0)?);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Vec<Option<String>> {
        values
            .iter()
            .map(|value| value.map(str::to_owned))
            .collect()
    }

    #[test]
    fn reads_answers_with_and_without_values() {
        let mut watch = Watch::default();
        let rows = [row(&[Some("a"), None, Some(BY_A_NODE), None])];
        watch.add(Subject::Deployments, &rows).unwrap();
        assert_eq!(watch.deployments["a"].source.as_deref(), Some(BY_A_NODE));
        let rows = [row(&[Some("work"), None, Some("3"), Some("a")])];
        let subject = Subject::Definitions(Definitions::Process);
        watch.add(subject, &rows).unwrap();
        let key = (Definitions::Process, "work".to_owned(), None);
        assert_eq!(watch.definitions[&key].version, 3);
        watch
            .add(Subject::FailedJobs, &[row(&[Some("7")])])
            .unwrap();
        assert_eq!(watch.failed_jobs, 7);
    }

    #[test]
    fn says_which_row_it_cannot_read() {
        let mut watch = Watch::default();
        let error = watch
            .add(Subject::Incidents, &[row(&[Some("failedJob"), Some("x")])])
            .unwrap_err();
        assert!(error.to_string().starts_with("the answer about incidents"));
        assert!(watch.add(Subject::FailedJobs, &[row(&[])]).is_err());
        assert!(watch.add(Subject::Deployments, &[row(&[None])]).is_err());
    }
}

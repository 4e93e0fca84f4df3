//! What method `snapshot` asks for beside what both methods need, and its own options.

use liftlock_sdk::prelude::*;

use crate::descriptor::{ALSO, COLLECTIONS};
use crate::watch::{BREAKERS, HEAP, POOLS};

/// The cluster that is to take the data over.
pub(crate) const NEW: &str = "cluster.new";
/// The store of `snapshot.backups`, registered there.
pub(crate) const NEW_REPOSITORY: &str = "snapshot.new";

/// What the operator chose for this method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choices {
    /// The old cluster, as Kuzzle's configuration has it.
    pub(crate) address: String,
    /// The new one, likewise.
    pub(crate) new_address: String,
    /// Type and settings of the repository; none: the operator has registered both.
    pub(crate) repository: Option<(String, Value)>,
    /// Replicas of each collection; none: as many as it had.
    pub(crate) replicas: Option<u32>,
}

impl Choices {
    /// Reads them; an error names the option, its value and what would be right.
    pub(crate) fn of(site: &Site) -> Result<Self> {
        Self::parse(
            site.option("address")?,
            site.option("new-address")?,
            &site.option("repository")?,
            &site.option("replicas")?,
        )
    }

    fn parse(
        address: String,
        new_address: String,
        repository: &str,
        replicas: &str,
    ) -> Result<Self> {
        let wrong = |name: &str, value: &str, right: &str| {
            Error::Invalid(format!("option `{name}`: `{value}` is not {right}"))
        };
        let registration = || -> Option<(String, Value)> {
            let value: Value = repository.parse().ok()?;
            let settings = value.get("settings")?.clone();
            let kind = value.get("type")?.as_str()?.to_owned();
            settings.is_object().then_some((kind, settings))
        };
        let right = r#"of the form {"type": "fs", "settings": {"location": "/mnt/backups"}}"#;
        Ok(Self {
            address,
            new_address,
            repository: match repository {
                "" => None,
                text => Some(registration().ok_or_else(|| wrong("repository", text, right))?),
            },
            replicas: match replicas {
                "" => None,
                text => {
                    let number = text.parse().ok().filter(|number| *number <= 100);
                    Some(number.ok_or_else(|| wrong("replicas", text, "a number up to 100"))?)
                }
            },
        })
    }
}

pub(crate) fn requests() -> Vec<Request> {
    let ours = [COLLECTIONS[0], COLLECTIONS[1], ALSO];
    vec![
        describe::optional(
            NEW,
            "method `snapshot`: the new cluster, which no Kuzzle was ever started on",
        )
        .verb(
            "cluster.observe",
            &[],
            "its nodes, their versions and its health",
        )
        .verb(
            "cluster.read",
            &["*"],
            "every index of it: one with the name of a collection is in the way",
        )
        .verb(
            "cluster.raw-read",
            &[BREAKERS, POOLS, HEAP],
            "what its nodes counted while it was watched",
        )
        .verb("cluster.count", &ours, "documents after the restore")
        .verb(
            "cluster.read-documents",
            &ours,
            "one checksum for each collection, compared with that of the old cluster",
        ),
        describe::optional(
            NEW_REPOSITORY,
            "method `snapshot`: the store of `snapshot.backups`, as the new cluster sees it",
        )
        .verb("snapshot.read", &[], "whether all nodes reach it")
        .verb(
            "snapshot.register",
            &[],
            "read-only: two clusters that write to one store destroy it",
        )
        .verb(
            "snapshot.restore-into",
            &ours,
            "the collections come to the new cluster",
        ),
    ]
}

pub(crate) fn options() -> Vec<OptionSpec> {
    vec![
        describe::text(
            "address",
            "",
            "method `snapshot`: the address of the old cluster, as it stands in quotes in Kuzzle's configuration: \
             `http://es7:9200`",
        ),
        describe::text(
            "new-address",
            "",
            "method `snapshot`: the address of the new cluster, as Kuzzle reaches it: `http://es8:9200`",
        ),
        describe::text(
            "repository",
            "",
            "method `snapshot`: how the store is registered on the old cluster and, read-only, on the new one, as the \
             servers take it; empty: both are registered already",
        ),
        describe::text(
            "replicas",
            "",
            "method `snapshot`: replicas of each collection on the new cluster; empty: as many as it had",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_and_a_number_are_understood_or_named() {
        let parse = |repository: &str, replicas: &str| {
            Choices::parse(String::new(), String::new(), repository, replicas)
        };
        let fs = r#"{"type":"fs","settings":{"location":"/b"}}"#;
        let choices = parse(fs, "0").unwrap();
        let settings = json!({"location": "/b"});
        assert_eq!(choices.repository, Some(("fs".into(), settings)));
        assert_eq!(choices.replicas, Some(0));
        let none = parse("", "").unwrap();
        assert_eq!((none.repository, none.replicas), (None, None));
        for (repository, replicas, named) in [
            ("fs", "", "`repository`: `fs`"),
            (r#"{"type":"fs"}"#, "", "`repository`"),
            (r#"{"type":"fs","settings":1}"#, "", "`repository`"),
            ("", "many", "`replicas`: `many`"),
            ("", "101", "`replicas`: `101`"),
        ] {
            let error = parse(repository, replicas).unwrap_err().text();
            assert!(error.contains(named), "{error}");
        }
    }
}

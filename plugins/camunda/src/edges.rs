//! The ways between versions, as data: one minor version at a time.

use std::cmp::Ordering;

use crate::version::Minor;
use crate::version::Release;

/// From one minor version to the next.
#[derive(Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it leads; it begins at the minor version before.
    pub to: Minor,
    /// What the script does to the schema.
    pub schema: &'static str,
    /// What nodes need that they did not need before.
    pub nodes: &'static [&'static str],
}

impl Edge {
    /// Where it begins.
    pub fn from(&self) -> Minor {
        Minor::new(self.to.number().saturating_sub(1))
    }
}

const fn edge(to: u32, schema: &'static str, nodes: &'static [&'static str]) -> Edge {
    Edge {
        to: Minor::new(to),
        schema,
        nodes,
    }
}

const NOTHING: &str = "the row in the schema log only";

/// Every way there is: a minor version is never skipped, since an older engine on a newer schema is promised for
/// neighbours only and each script assumes the one before it.
pub static EDGES: [Edge; 19] = [
    edge(
        6,
        "a table for decision requirements, columns, 19 indexes, and two updates of every finished instance",
        &[],
    ),
    edge(
        7,
        "a table for the log of external tasks, 5 columns, a row",
        &[],
    ),
    edge(8, "2 columns", &[]),
    edge(9, "2 columns", &[]),
    edge(
        10,
        "root instance and removal time on nearly every table of the history, each with an index: the longest one",
        &[],
    ),
    edge(
        11,
        "the schema log, 2 columns, 3 indexes; MySQL and MariaDB write nine tables anew for a type of time",
        &[],
    ),
    edge(12, "3 columns, an index on the details of the history", &[]),
    edge(
        13,
        "10 columns, 3 indexes, one of them on the variables of the history",
        &[],
    ),
    edge(
        14,
        "a column, 2 indexes and a foreign key on the variables at run time",
        &[],
    ),
    edge(15, "a table for the log of tasks, 2 columns", &[]),
    edge(16, "a table for Camunda forms", &[]),
    edge(
        17,
        "2 columns, 2 indexes on the variables of the history",
        &[],
    ),
    edge(18, "4 columns, an index on tasks", &[]),
    edge(19, NOTHING, &[]),
    edge(
        20,
        NOTHING,
        &[
            "Java 17 where Spring Boot or Run starts them",
            "a time to live on every definition that is deployed, or `enforceHistoryTimeToLive` off",
        ],
    ),
    edge(21, "2 columns, an index on jobs", &[]),
    edge(
        22,
        "5 columns, an index on every instance of the history",
        &["Tomcat 10.1 or EAP 8 where a shared server runs the engine"],
    ),
    edge(
        23,
        "2 columns",
        &["on MariaDB the database's type `mysql`: the engine does not know MariaDB any more"],
    ),
    edge(
        24,
        NOTHING,
        &["`legacyJobRetryBehaviorEnabled` where jobs rely on the old count of first retries"],
    ),
];

/// What lies between two releases.
#[derive(Debug, PartialEq, Eq)]
pub enum Way {
    /// To the next minor version.
    Minor(&'static Edge),
    /// To another patch of the same minor version: nodes only, the schema stays.
    Patch,
    /// They are the same.
    Nothing,
}

/// Why there is no way in one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// No cluster of it can be upgraded node by node.
    #[error(
        "{0} is older than 7.5: engines of it and of a newer version corrupt executions on one database, \
         so that the whole cluster has to stop"
    )]
    TooOld(Release),
    /// The product ended before it, or it is somebody else's.
    #[error("{0} is not known: the last minor version of Camunda 7 is 7.24")]
    Unknown(Release),
    /// More than one minor version ahead.
    #[error("{from} to {to} skips a minor version; each hop is a run of its own: {}", told(.hops))]
    SeveralHops {
        /// Where it begins.
        from: Release,
        /// Where it should end.
        to: Release,
        /// Releases to go by, the target last.
        hops: Vec<Release>,
    },
    /// The vendor has no scripts that lead back.
    #[error(
        "{to} is older than {from}: a schema goes back only by a restore, nodes by their own back-out"
    )]
    Backwards {
        /// Where it begins.
        from: Release,
        /// Where it should end.
        to: Release,
    },
}

impl NoWay {
    /// The finding that explains it.
    pub fn id(&self) -> &'static str {
        match self {
            Self::TooOld(_) => "camunda.too-old",
            Self::Unknown(_) => "camunda.unknown-version",
            Self::SeveralHops { .. } => "camunda.several-hops",
            Self::Backwards { .. } => "camunda.backwards",
        }
    }
}

fn told(hops: &[Release]) -> String {
    let hops: Vec<String> = hops.iter().map(Release::to_string).collect();
    hops.join(", then ")
}

/// The way between two releases, if one run can go it.
pub fn way(from: &Release, to: &Release) -> Result<Way, NoWay> {
    for release in [from, to] {
        if release.minor < Minor::OLDEST {
            return Err(NoWay::TooOld(*release));
        }
        if release.minor > Minor::NEWEST {
            return Err(NoWay::Unknown(*release));
        }
    }
    let backwards = || NoWay::Backwards {
        from: *from,
        to: *to,
    };
    if from.minor == to.minor {
        return match from.patch.cmp(&to.patch) {
            Ordering::Less => Ok(Way::Patch),
            Ordering::Equal if from.enterprise == to.enterprise => Ok(Way::Nothing),
            Ordering::Equal => Ok(Way::Patch),
            Ordering::Greater => Err(backwards()),
        };
    }
    if from.minor > to.minor {
        return Err(backwards());
    }
    let last = EDGES.iter().find(|edge| edge.to == to.minor);
    match last {
        Some(edge) if edge.from() == from.minor => Ok(Way::Minor(edge)),
        _ => Err(NoWay::SeveralHops {
            from: *from,
            to: *to,
            hops: hops(from, to),
        }),
    }
}

/// By the first release of each minor version between, which is the only one that both editions have.
fn hops(from: &Release, to: &Release) -> Vec<Release> {
    let between = Minor::all()
        .filter(|minor| *minor > from.minor && *minor < to.minor)
        .map(|minor| Release {
            minor,
            patch: 0,
            enterprise: to.enterprise,
        });
    between.chain([*to]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    fn refused(from: &str, to: &str) -> String {
        way(&release(from), &release(to)).unwrap_err().to_string()
    }

    #[test]
    fn edges_lead_from_7_5_to_7_24_without_a_gap() {
        let to: Vec<Minor> = EDGES.iter().map(|edge| edge.to).collect();
        assert_eq!(to, Minor::all().skip(1).collect::<Vec<_>>());
        assert_eq!(EDGES[0].from(), Minor::OLDEST);
    }

    #[test]
    fn one_minor_version_at_a_time() {
        let of = |from: &str, to: &str| way(&release(from), &release(to));
        assert_eq!(of("7.5.3", "7.6.2"), Ok(Way::Minor(&EDGES[0])));
        assert_eq!(of("7.22.5-ee", "7.23.0-ee"), Ok(Way::Minor(&EDGES[17])));
        assert_eq!(of("7.22.5-ee", "7.22.6-ee"), Ok(Way::Patch));
        assert_eq!(of("7.22.0", "7.22.0-ee"), Ok(Way::Patch));
        assert_eq!(of("7.22.0", "7.22.0"), Ok(Way::Nothing));
    }

    #[test]
    fn says_which_hops_to_take_when_one_is_skipped() {
        assert_eq!(
            refused("7.5.3", "7.7.2"),
            "7.5.3 to 7.7.2 skips a minor version; each hop is a run of its own: 7.6.0, then 7.7.2"
        );
        assert!(
            refused("7.20.4-ee", "7.24.1-ee")
                .ends_with("7.21.0-ee, then 7.22.0-ee, then 7.23.0-ee, then 7.24.1-ee")
        );
    }

    #[test]
    fn refuses_what_is_too_old_unknown_or_backwards_with_the_reason() {
        assert!(refused("7.4.0", "7.5.0").contains("older than 7.5"));
        assert!(refused("7.24.0", "7.25.0").contains("7.25.0 is not known"));
        assert!(refused("7.23.0", "7.22.0").contains("only by a restore"));
        assert!(refused("7.22.3-ee", "7.22.1-ee").contains("only by a restore"));
    }
}

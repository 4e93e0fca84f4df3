//! The ways from one version to the next, as data: what the vendor's own plan of each hop does.

use liftlock_sdk::prelude::*;

use crate::step::{StepKind, WhenFull};

/// One hop between minor lines, or inside one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// The version under which the vendor logs the steps: the first of the line, also for a later patch.
    pub(crate) logged_as: &'static str,
    pub(crate) kinds: &'static [StepKind],
    /// The vendor refuses a site that holds data of Camunda 7.
    pub(crate) camunda_8_only: bool,
    pub(crate) note: &'static str,
}

const fn patch(line: &'static str) -> Hop {
    Hop {
        from: line,
        to: line,
        logged_as: "",
        kinds: &[],
        camunda_8_only: false,
        note: "patch: only the schema version changes",
    }
}

/// A way without a step of the vendor's.
pub(crate) static NO_STEPS: Hop = patch("");

const fn gives_up(name: &'static str, version: u32) -> StepKind {
    StepKind::DeleteIndex {
        name,
        version,
        full: WhenFull::Known,
    }
}

/// All hops. A minor line is never skipped: the vendor's plans are made for neighbours only. The order of the
/// steps is the vendor's: its upgrader continues after ours by their numbers.
pub(crate) static HOPS: &[Hop] = &[
    Hop {
        from: "3.13",
        to: "8.6",
        logged_as: "8.6.0",
        kinds: &[
            gives_up("onboarding-state", 2),
            gives_up("import-index", 3),
            gives_up("event", 4),
            StepKind::DeleteTemplate {
                name: "event",
                version: 4,
            },
            gives_up("event-process-definition", 5),
            gives_up("event-process-mapping", 4),
            gives_up("event-process-publish-state", 4),
            gives_up("event-sequence-count-external", 4),
            gives_up("event-trace-state-external", 2),
            gives_up("license", 3),
            StepKind::UpdateIndex {
                name: "settings",
                to: 3,
                drops: &["metadataTelemetryEnabled", "lastModifier"],
            },
            StepKind::DeleteEachArchive { version: 8 },
        ],
        camunda_8_only: true,
        note: "the vendor's deletions of what only Camunda 7 used, and a new version of the settings index",
    },
    patch("8.6"),
    Hop {
        from: "8.6",
        to: "8.7",
        logged_as: "8.7.0",
        kinds: &[],
        camunda_8_only: true,
        note: "no steps; refused while Camunda 7 data is there",
    },
    patch("8.7"),
    Hop {
        from: "8.7",
        to: "8.8",
        logged_as: "8.8.0",
        kinds: &[
            StepKind::DeleteIndex {
                name: "variable-update-instance",
                version: 2,
                full: WhenFull::Wrong,
            },
            StepKind::DeleteTemplate {
                name: "variable-update-instance",
                version: 2,
            },
            StepKind::DeleteTemplate {
                name: "external-process-variable",
                version: 2,
            },
        ],
        camunda_8_only: false,
        note: "the vendor's three deletions: one unused index, two legacy templates",
    },
    patch("8.8"),
    #[cfg(any(test, feature = "test-edge"))]
    Hop {
        from: "8.9",
        to: "8.10",
        logged_as: "8.10.0",
        kinds: &[StepKind::UpdateEachProcess { to: 9 }],
        camunda_8_only: false,
        note: "for tests only: a new version of every index of process instances",
    },
];

/// The hop between two versions. The target is one exact release that is not older.
pub(crate) fn hop(from: &Version, to: &Version) -> Option<&'static Hop> {
    HOPS.iter()
        .find(|hop| from.matches(hop.from) && to.matches(hop.to) && from <= to)
}

/// One hop of a longer way, with where it begins and ends.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) hop: &'static Hop,
    pub(crate) from: Version,
    pub(crate) to: Version,
}

/// The whole way, hop by hop; each but the last ends at the first release of its line, which is where the
/// vendor's own plan ends. Empty where there is no way.
pub(crate) fn way(from: &Version, to: &Version) -> Vec<Leg> {
    let mut legs = Vec::new();
    let mut at = from.clone();
    // One hop leads to a later line, so that there are no more of them than hops.
    for _ in HOPS {
        if let Some(hop) = hop(&at, to) {
            legs.push(Leg {
                hop,
                from: at,
                to: to.clone(),
            });
            return legs;
        }
        let next = HOPS
            .iter()
            .find(|hop| hop.from != hop.to && at.matches(hop.from));
        let Some((hop, stop)) = next.and_then(|hop| Some((hop, hop.logged_as.parse().ok()?)))
        else {
            break;
        };
        if stop > *to {
            break;
        }
        legs.push(Leg {
            hop,
            from: at,
            to: Version::clone(&stop),
        });
        at = stop;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::version;

    #[test]
    fn neighbours_and_patches_have_a_hop_and_nothing_else_has() {
        let found =
            |from: &str, to: &str| hop(&version(from), &version(to)).map(|hop| hop.kinds.len());
        assert_eq!(found("8.7.26", "8.8.0"), Some(3));
        assert_eq!(found("8.7.0", "8.8.36"), Some(3));
        assert_eq!(found("8.6.5", "8.7.0"), Some(0));
        assert_eq!(found("3.13.4", "8.6.0"), Some(12));
        assert_eq!(found("8.8.8", "8.8.24"), Some(0));
        assert_eq!(found("8.8.0", "8.8.0"), Some(0));
        assert_eq!(found("8.6.5", "8.8.0"), None);
        assert_eq!(found("3.13.4", "8.7.0"), None);
        assert_eq!(found("8.8.1", "8.8.0"), None);
        assert_eq!(found("8.8.0", "8.7.9"), None);
        assert_eq!(found("8.8.0", "8.9.0"), None);
    }

    #[test]
    fn a_longer_way_goes_by_the_first_release_of_each_line() {
        let stops = |from: &str, to: &str| {
            way(&version(from), &version(to))
                .iter()
                .map(|leg| format!("{} -> {}", leg.from, leg.to))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            stops("3.13.4", "8.8.24"),
            ["3.13.4 -> 8.6.0", "8.6.0 -> 8.7.0", "8.7.0 -> 8.8.24"]
        );
        assert_eq!(
            stops("8.6.2", "8.8.0"),
            ["8.6.2 -> 8.7.0", "8.7.0 -> 8.8.0"]
        );
        assert_eq!(stops("8.7.2", "8.8.0"), ["8.7.2 -> 8.8.0"]);
        assert_eq!(stops("8.8.2", "8.8.10"), ["8.8.2 -> 8.8.10"]);
        assert_eq!(stops("8.8.0", "8.6.2"), [""; 0]);
        assert_eq!(stops("8.8.0", "9.0.0"), [""; 0]);
        assert_eq!(stops("3.12.0", "8.8.0"), [""; 0]);
    }
}

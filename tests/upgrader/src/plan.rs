//! The plans of the releases 8.6, 8.7 and 8.8.

use std::fmt;
use std::str::FromStr;

use crate::Failure;

/// A release, or a minor line where the patch is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    parts: [u32; 3],
    has_patch: bool,
}

impl Version {
    /// `8.7` of `8.7.26`.
    pub fn line(self) -> Self {
        let [major, minor, _] = self.parts;
        Self {
            parts: [major, minor, 0],
            has_patch: false,
        }
    }

    /// The number after the second dot.
    pub fn patch(self) -> u32 {
        self.parts[2]
    }

    const fn of(parts: [u32; 3]) -> Self {
        Self {
            parts,
            has_patch: true,
        }
    }

    /// Not older.
    pub fn is_at_least(self, other: Self) -> bool {
        self.parts >= other.parts
    }
}

impl FromStr for Version {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad = || Failure::Other(format!("`{text}` is no version"));
        let numbers: Vec<u32> = text
            .split('.')
            .map(|part| part.parse().map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        match numbers[..] {
            [major, minor] => Ok(Self {
                parts: [major, minor, 0],
                has_patch: false,
            }),
            [major, minor, patch] => Ok(Self::of([major, minor, patch])),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.parts;
        write!(f, "{major}.{minor}")?;
        if self.has_patch {
            write!(f, ".{patch}")?;
        }
        Ok(())
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Every index behind the alias whose name contains this; the version counts for the log only.
    DeleteIndex {
        /// Without prefix.
        name: String,
        /// As it stands in the log.
        logged: String,
    },
    /// The legacy template of that name.
    DeleteTemplate {
        /// Without prefix and version.
        name: &'static str,
        /// Its version.
        version: u32,
    },
    /// From the version before to this one, by a reindex.
    UpdateIndex {
        /// Without prefix and version.
        name: &'static str,
        /// The new one.
        version: u32,
        /// What is done to each document.
        script: &'static str,
    },
}

/// The vendor's plan from one version to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A line, or a patch.
    pub from: Version,
    /// A release.
    pub to: Version,
    /// In order.
    pub steps: Vec<Step>,
}

/// What the step from `settings` 2 to 3 does to a document.
const SETTINGS_SCRIPT: &str =
    "ctx._source.remove(\"metadataTelemetryEnabled\"); ctx._source.remove(\"lastModifier\");";

/// Indices that 8.6 drops, in the vendor's order; `event` has a template beside it.
const DROPPED_BY_8_6: [(&str, u32); 9] = [
    ("onboarding-state", 2),
    ("import-index", 3),
    ("event", 4),
    ("event-process-definition", 5),
    ("event-process-mapping", 4),
    ("event-process-publish-state", 4),
    ("event-sequence-count-external", 4),
    ("event-trace-state-external", 2),
    ("license", 3),
];

/// Optimize has no patches between these two.
const PATCH_GAP: (u32, u32) = (8, 24);

/// All plans of a release that lead to at most this version. `archives` are keys of archived processes, without
/// the prefix: the steps of 8.6 depend on what is there.
pub fn plans(jar: Version, target: Version, archives: &[(String, String)]) -> Vec<Plan> {
    let mut plans = match jar.parts {
        [8, 6, _] => vec![to_8_6(archives)],
        [8, 7, _] => vec![plan([8, 6, 0], [8, 7, 0], Vec::new())],
        [8, 8, _] => vec![to_8_8()],
        _ => Vec::new(),
    };
    if let Some(first) = plans.first().map(|plan| plan.to) {
        let mut from = first;
        for patch in 1..=jar.patch() {
            if (PATCH_GAP.0 + 1..PATCH_GAP.1).contains(&patch) {
                continue;
            }
            let [major, minor, _] = first.parts;
            let to = Version::of([major, minor, patch]);
            plans.push(Plan {
                from,
                to,
                steps: Vec::new(),
            });
            from = to;
        }
    }
    plans.retain(|plan| target.is_at_least(plan.to));
    plans
}

fn plan(line: [u32; 3], to: [u32; 3], steps: Vec<Step>) -> Plan {
    Plan {
        from: Version::of(line).line(),
        to: Version::of(to),
        steps,
    }
}

fn delete(name: &str, version: u32) -> Step {
    Step::DeleteIndex {
        name: name.to_owned(),
        logged: format!("{name}_v{version}"),
    }
}

fn to_8_8() -> Plan {
    let template = |name| Step::DeleteTemplate { name, version: 2 };
    let steps = vec![
        delete("variable-update-instance", 2),
        template("variable-update-instance"),
        template("external-process-variable"),
    ];
    plan([8, 7, 0], [8, 8, 0], steps)
}

fn to_8_6(archives: &[(String, String)]) -> Plan {
    let mut steps = Vec::new();
    for (name, version) in DROPPED_BY_8_6 {
        steps.push(delete(name, version));
        if name == "event" {
            steps.push(Step::DeleteTemplate { name, version });
        }
    }
    steps.push(Step::UpdateIndex {
        name: "settings",
        version: 3,
        script: SETTINGS_SCRIPT,
    });
    for (key, index) in archives {
        steps.push(Step::DeleteIndex {
            name: format!("process-instance-{key}"),
            logged: index.clone(),
        });
    }
    plan([3, 13, 0], [8, 6, 0], steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_release_has_the_plan_of_its_line_and_its_patches() {
        let ends = |jar: &str, target: &str| -> Vec<String> {
            plans(version(jar), version(target), &[])
                .iter()
                .map(|plan| plan.to.to_string())
                .collect()
        };
        assert_eq!(ends("8.8.0", "8.8.0"), ["8.8.0"]);
        assert_eq!(ends("8.8.2", "8.8.2"), ["8.8.0", "8.8.1", "8.8.2"]);
        assert_eq!(ends("8.8.25", "8.8.25")[8..], ["8.8.8", "8.8.24", "8.8.25"]);
        assert!(ends("8.8.0", "8.7.0").is_empty());
    }

    #[test]
    fn the_plan_to_8_6_has_as_many_steps_as_there_are_archives_and_eleven() {
        let archive = |key: &str| {
            (
                format!("archive-{key}"),
                format!("optimize-process-instance-archive-{key}_v8"),
            )
        };
        let plans = plans(
            version("8.6.0"),
            version("8.6.0"),
            &[archive("a"), archive("b")],
        );
        assert_eq!(plans[0].steps.len(), 13);
        assert_eq!(plans[0].from.to_string(), "3.13");
    }
}

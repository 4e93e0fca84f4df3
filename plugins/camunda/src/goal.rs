//! Where the upgrade goes from here.

use liftlock_sdk::prelude::*;

use crate::bound::{self, NoScript};
use crate::edges::{self, NoWay, Way};
use crate::nodes::Nodes;
use crate::schema::Schema;
use crate::script::Script;
use crate::standing::Standing;
use crate::version::Release;

/// From where to where, with the script between.
#[derive(Debug)]
pub(crate) struct Goal {
    /// Where the nodes are that are not there yet; the target itself where all are.
    pub(crate) from: Release,
    /// Whereto.
    pub(crate) to: Release,
    /// The name of the directory that each node is to run.
    pub(crate) artifact: String,
    /// The script; none where the schema is the target's already, or another patch needs none.
    pub(crate) script: Option<Script>,
}

/// Why there is no goal.
#[derive(Debug)]
pub(crate) enum NoGoal {
    /// The target, or what a node says, is no release.
    NoRelease(String),
    /// No node said its version, and the operator named none.
    Unknown,
    /// Nodes of several versions, none of which is the target's.
    Mixed(Vec<(String, String)>),
    /// There is no way.
    NoWay(NoWay),
    /// The schema is neither where the nodes are nor where they go.
    Schema,
    /// No script.
    NoScript(NoScript),
}

impl Goal {
    /// Reads the script where one is needed.
    pub(crate) fn of(
        site: &Site,
        schema: &Schema,
        nodes: &Nodes,
        target: &Target,
    ) -> std::result::Result<Self, NoGoal> {
        let release = |text: &str| {
            let text = if text.matches('.').count() == 1 {
                format!("{text}.0")
            } else {
                text.to_owned()
            };
            text.parse::<Release>()
                .map_err(|error| NoGoal::NoRelease(error.to_string()))
        };
        let to = release(&target.to)?;
        let mut behind: Vec<(String, Release)> = Vec::new();
        for node in &nodes.all {
            if let Some(version) = &node.said.version {
                let its = release(version)?;
                if its != to {
                    behind.push((node.name.clone(), its));
                }
            }
        }
        let from = match (behind.first(), &target.from) {
            (Some((_, from)), _) => *from,
            (None, Some(text)) => release(text)?,
            (None, None) if nodes.all.iter().any(|node| node.said.version.is_some()) => to,
            (None, None) => return Err(NoGoal::Unknown),
        };
        if behind.iter().any(|(_, its)| *its != from) {
            let all = behind
                .into_iter()
                .map(|(name, its)| (name, its.to_string()))
                .collect();
            return Err(NoGoal::Mixed(all));
        }
        let way = edges::way(&from, &to).map_err(NoGoal::NoWay)?;
        let needs = match (&way, &schema.standing) {
            (Way::Patch | Way::Nothing, Some(Standing::Settled(settled)))
                if settled.minor == to.minor =>
            {
                false
            }
            (Way::Minor(_), Some(Standing::Settled(settled))) if settled.minor == to.minor => false,
            (Way::Minor(_), Some(Standing::Settled(settled))) if settled.minor == from.minor => {
                true
            }
            (Way::Minor(_), Some(Standing::Between(between))) if between.to == to.minor => true,
            _ => return Err(NoGoal::Schema),
        };
        let script = needs
            .then(|| bound::script(site, schema.family, to.minor))
            .transpose()
            .map_err(NoGoal::NoScript)?;
        Ok(Self {
            from,
            to,
            artifact: to.to_string(),
            script,
        })
    }
}

//! The nodes of the cluster and the services that they are, in the order in which they are taken.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling;

use crate::descriptor::NODES;
use crate::seen::Seen;

/// The service's label with the name of its node.
const LABEL: &str = "node";

/// One service that the operator bound as a node.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) binding: String,
    /// The binding without `service.`: the unit, and what ids of steps begin with.
    pub(crate) unit: String,
    /// `node.name`, by its label.
    pub(crate) node: Option<String>,
    /// Directories that it can be switched to; none: it has no link.
    pub(crate) artifacts: Option<Vec<String>>,
}

/// All of them.
pub(crate) fn gather(site: &Site) -> Result<Vec<Bound>> {
    let mut all = Vec::new();
    for bound in site.bindings() {
        if !bound.binding.starts_with(NODES) {
            continue;
        }
        let service = Service::open(site, &bound.binding)?;
        let artifact = service.artifact().found()?;
        all.push(Bound {
            unit: bound.binding.trim_start_matches("service.").to_owned(),
            node: service.label(LABEL)?,
            artifacts: artifact.map(|artifact| artifact.available),
            binding: bound.binding,
        });
    }
    Ok(all)
}

/// A node that is still to be taken, with its service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) node: &'a Node,
    pub(crate) bound: &'a Bound,
}

/// The nodes that are not of this version yet, in order; one without a service is left out, which is a finding.
pub(crate) fn behind<'a>(seen: &'a Seen, bound: &'a [Bound], to: &str) -> Vec<Member<'a>> {
    let versions = seen.versions();
    rolling::order(&seen.nodes)
        .into_iter()
        .filter(|node| versions.get(node.name.as_str()).copied() != Some(to))
        .filter_map(|node| {
            let bound = service_of(bound, &node.name)?;
            Some(Member { node, bound })
        })
        .collect()
}

/// The one service that is this node.
pub(crate) fn service_of<'a>(bound: &'a [Bound], node: &str) -> Option<&'a Bound> {
    let mut found = bound
        .iter()
        .filter(|bound| bound.node.as_deref() == Some(node));
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

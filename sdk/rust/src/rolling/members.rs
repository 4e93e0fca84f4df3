//! The nodes of the cluster and the services that they are, in the order in which they are taken.

use crate::Result;
use crate::capability::{Node, Service};
use crate::error::Maybe as _;
use crate::site::Site;

use super::{View, order};

/// The service's label with the name of its node.
pub const LABEL: &str = "node";

/// One service that the operator bound as a node.
#[derive(Debug, Clone)]
pub struct Bound {
    /// `service.node-n1`.
    pub binding: String,
    /// The binding without `service.`: the unit, and what ids of steps begin with.
    pub unit: String,
    /// `node.name`, by its label.
    pub node: Option<String>,
    /// Directories that it can be switched to; none: it has no link.
    pub artifacts: Option<Vec<String>>,
}

/// All services whose binding begins so: `service.node-`.
///
/// # Errors
/// The host's: not granted, or no answer.
pub fn gather(site: &Site, nodes: &str) -> Result<Vec<Bound>> {
    let mut all = Vec::new();
    for bound in site.bindings() {
        if !bound.binding.starts_with(nodes) {
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
pub struct Member<'a> {
    /// The node.
    pub node: &'a Node,
    /// What it is to the operator.
    pub bound: &'a Bound,
}

/// The nodes that are not of this version yet, in order; one without a service is left out, which is a finding.
pub fn behind<'a>(seen: View<'a>, bound: &'a [Bound], to: &str) -> Vec<Member<'a>> {
    let versions = seen.versions();
    order(seen.nodes)
        .into_iter()
        .filter(|node| versions.get(node.name.as_str()).copied() != Some(to))
        .filter_map(|node| {
            let bound = service_of(bound, &node.name)?;
            Some(Member { node, bound })
        })
        .collect()
}

/// The one service that is this node.
pub(super) fn service_of<'a>(bound: &'a [Bound], node: &str) -> Option<&'a Bound> {
    let mut found = bound
        .iter()
        .filter(|bound| bound.node.as_deref() == Some(node));
    match (found.next(), found.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rolling::fixture::{TO, seen, services};

    #[test]
    fn nodes_go_by_order_and_those_that_are_new_are_left_out() {
        let mut mixed = seen();
        mixed.runs(1, TO);
        let services = services();
        let names: Vec<&str> = behind(mixed.view(), &services, TO)
            .iter()
            .map(|member| member.node.name.as_str())
            .collect();
        assert_eq!(names, ["n3", "n1"], "n1 is the elected manager");
    }
}

//! The schema version and the way to the target.

use liftlock_sdk::prelude::*;

use super::{Goal, some};
use crate::edges::{Hop, hop};
use crate::lines::{self, is_gap};
use crate::names::{Kind, prefixes_with_metadata};
use crate::seen::{Metadata, Seen};
use crate::{standing, way};

pub(super) fn check(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    match way_of(seen, goal) {
        Err(finding) => found.push(*finding),
        Ok(hop) => {
            found.extend(standing::contradiction(seen, hop));
            standing::updates(seen, hop, &goal.made, found);
            standing::archives(seen, hop, found);
            found.extend(way::finding(seen, goal));
            if hop.camunda_8_only {
                camunda_7(seen, goal, found);
            }
            let now = seen.version();
            if now == Some(&goal.to) && matches!(goal.moment, Moment::Asked | Moment::BeforePlan) {
                found.push(
                    Finding::info("optimize.already-there")
                        .subject(seen.names.metadata())
                        .what(format!("the schema version is {} already", goal.to))
                        .why("there is nothing to upgrade")
                        .remedy("nothing to do"),
                );
            }
        }
    }
}

/// The hop to take; or why there is none, in a finding.
pub(crate) fn way_of(seen: &Seen, goal: &Goal) -> std::result::Result<&'static Hop, Box<Finding>> {
    let metadata = seen.names.metadata();
    let now = match &seen.metadata {
        Metadata::NoIndex => return Err(Box::new(no_index(seen))),
        Metadata::NoDocument => {
            return Err(Box::new(
                Finding::blocker("optimize.metadata-document-missing")
                    .subject(&metadata)
                    .what("the metadata index is there, its document `1` is not")
                    .why(
                        "without it nobody knows the schema version; the vendor's upgrader skips its steps then, \
                         writes the new version with a new installation id all the same, and ends with success",
                    )
                    .remedy("restore the document from a snapshot"),
            ));
        }
        Metadata::Unreadable(text) => {
            return Err(Box::new(
                Finding::blocker("optimize.metadata-unreadable")
                    .subject(&metadata)
                    .what("document `1` has no `schemaVersion` that is a version")
                    .why("without it nobody knows the schema version")
                    .remedy("restore the document from a snapshot")
                    .evidence("document", text.chars().take(400).collect::<String>()),
            ));
        }
        Metadata::Found { version, .. } => version,
    };
    let to = &goal.to;
    if !to.is_exact() {
        return Err(Box::new(
            Finding::blocker("optimize.target-not-exact")
                .subject(to.to_string())
                .what(format!("the target {to} names a line, not a release"))
                .why("Optimize starts only where the schema version equals its own, with the patch number")
                .remedy(format!("name the release that will be started: `{}.0` or a later patch", to.minor_line())),
        ));
    }
    if is_gap(to) {
        return Err(Box::new(
            Finding::blocker("optimize.no-such-release")
                .subject(to.to_string())
                .what("Optimize has no such release: after 8.8.8 came 8.8.24")
                .why("a site set to that schema version would be started by no Optimize at all")
                .remedy("name 8.8.8 or an older patch, or 8.8.24 or a newer one"),
        ));
    }
    if now > to {
        return Err(Box::new(
            Finding::blocker("optimize.schema-newer")
                .subject(&metadata)
                .what(format!("the schema version is {now}, newer than the target {to}"))
                .why(
                    "there is no way back but a restore; the vendor's upgrader does not refuse this and puts the \
                     older mappings and settings on the newer schema",
                )
                .remedy(format!(
                    "name {now} or a newer target (`liftlock plan {now}`), or restore a snapshot of the older version"
                )),
        ));
    }
    // On resume the version may stand at the target already: the approved plan says where it came from.
    let from = match &goal.from {
        Some(from) if now == to => from,
        _ => now,
    };
    hop(from, to).ok_or_else(|| Box::new(mismatch(seen, from, to)))
}

fn no_index(seen: &Seen) -> Finding {
    let mut others = match &seen.everything {
        Some(indices) => prefixes_with_metadata(indices.iter().map(|index| index.name.as_str())),
        None => Vec::new(),
    };
    // A declared neighbour is somebody else's: no place to lead this operator to.
    others.retain(|other| !seen.neighbours.contains(other));
    let prefix = seen.names.prefix();
    let left: Vec<&str> = seen
        .indices
        .iter()
        .filter(|index| matches!(seen.names.kind(&index.name), Kind::Fixed(_)))
        .map(|index| index.name.as_str())
        .collect();
    let finding = if !left.is_empty() {
        Finding::blocker("optimize.metadata-missing")
            .what(format!(
                "there is no index `{}`, but {} others of this site",
                seen.names.metadata(),
                left.len()
            ))
            .remedy("restore it from a snapshot, with its alias and its document `1`")
            .evidence("indices of the site", some(&left))
    } else if others.is_empty() {
        Finding::blocker("optimize.metadata-missing")
            .what(format!("there is no index `{}`", seen.names.metadata()))
            .remedy("check the prefix and the cluster; a new installation needs no upgrade")
    } else {
        Finding::blocker("optimize.wrong-prefix")
            .what(format!(
                "no Optimize has the prefix `{prefix}` here, but there are: {}",
                some(&others)
            ))
            .remedy(format!(
                "set the right one: `prefix = \"{}\"` under [options] in site.toml, then `liftlock grant`",
                others[0]
            ))
            .evidence("prefixes with a metadata index", others.join(", "))
    };
    finding
        .subject(seen.names.metadata())
        .why(
            "the vendor's upgrader takes this for a new installation, makes an empty schema beside the real one and \
             ends with success",
        )
}

/// The vendor's words in both of its wordings, so that whoever searches for them finds this.
fn mismatch(seen: &Seen, from: &Version, to: &Version) -> Finding {
    let expected = lines::before(to).unwrap_or("the line before");
    let finding = if !lines::is_known(to) {
        Finding::blocker("optimize.target-unknown")
            .what(format!("this plugin does not know {}", to.minor_line()))
            .remedy(format!(
                "it knows {}; a newer plugin may know more",
                lines::listed()
            ))
    } else {
        Finding::blocker("optimize.schema-unknown")
            .what(format!(
                "this plugin has no way from the schema version {from}"
            ))
            .remedy(format!(
                "bring the site to one of {} with the vendor's own tool first",
                lines::listed()
            ))
    };
    finding
        .subject(seen.names.metadata())
        .why("the vendor's plans are made for neighbouring lines only")
        .evidence(
            "the vendor's words",
            format!("Schema version saved in Metadata [{from}] must be one of [{expected}, {to}]"),
        )
        .evidence(
            "in older releases",
            format!("Schema version saved in Metadata does not match required [{expected}.0]"),
        )
}

/// From 8.6 on it is for Camunda 8 only: the vendor's upgrader looks for a license of Camunda 7 and refuses.
fn camunda_7(seen: &Seen, goal: &Goal, found: &mut Vec<Finding>) {
    for index in &seen.indices {
        let count = seen.counts.get(&index.name).copied().unwrap_or_default();
        if seen.names.kind(&index.name) == Kind::Other("license") && count > 0 {
            found.push(
                Finding::blocker("optimize.camunda-7-data")
                    .subject(&index.name)
                    .what(format!("it holds {count} license documents of Camunda 7"))
                    .why(format!(
                        "Optimize {} is for Camunda 8 only, and its own upgrader refuses such a site",
                        goal.to.minor_line()
                    ))
                    .remedy("keep this site on its line (for Camunda 7 that is 3.14), or clear the Camunda 7 data as the vendor describes"),
            );
        }
    }
}

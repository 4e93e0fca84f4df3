//! What stands there after the run, compared with what should and with the baseline of the window.

use liftlock_sdk::prelude::*;

use crate::backup;
use crate::check::found;
use crate::jobs;
use crate::nodes::Nodes;
use crate::observe;
use crate::options::Options;
use crate::schema::Schema;
use crate::standing::Standing;
use crate::version::Release;
use crate::window;

/// Schema and nodes are the target's, and nothing is worse than when the window began.
pub(crate) fn findings(
    site: &Site,
    run: &Run,
    schema: &Schema,
    nodes: &Nodes,
    target: &Target,
) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    let Ok(to) = target.to.parse::<Release>() else {
        return Err(Error::Invalid(format!("`{}` is no release", target.to)));
    };
    if !matches!(&schema.standing, Some(Standing::Settled(settled)) if settled.minor == to.minor) {
        all.push(found(
            "camunda.schema-damaged",
            Severity::Blocker,
            "schema",
            format!("it is not what {} has", to.minor),
        ));
    }
    for node in &nodes.all {
        if node.said.version.as_deref() != Some(target.to.as_str()) {
            all.push(found(
                "camunda.node-of-another-version",
                Severity::Blocker,
                &node.name,
                node.said
                    .version
                    .clone()
                    .unwrap_or_else(|| "it does not answer".into()),
            ));
        }
    }
    let options = Options::of(site)?;
    all.extend(backup::kept(run, &options)?);
    all.extend(jobs::findings(site, run, nodes)?);
    let policy = options.policy;
    if let Some(baseline) = observe::baseline(run, to.minor)? {
        let now = observe::now(site, to.minor)?;
        for (_, breach) in window::compare(&baseline, &now, &policy) {
            all.push(found(
                breach.id(),
                Severity::Warning,
                "window",
                breach.to_string(),
            ));
        }
    }
    Ok(all)
}

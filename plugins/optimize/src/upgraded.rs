//! The new release, started at the end and ready, where its service is bound.
//!
//! The old one is never started again after the first schema write; so what was stopped stays stopped, and the
//! new release is a service of its own.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::around::SETTLED;
use crate::by_name::map_of;
use crate::check::Goal;
use crate::descriptor::OPTIMIZE;
use crate::inspect::state;
use crate::plan::Writer;
use crate::seen::Seen;

/// Optimize of the new release.
pub(crate) const UPGRADED: &str = "service.upgraded";

/// How long Optimize may take to be ready: a new release's own sync of a large site takes minutes.
pub(crate) const READY_MS: u64 = 1_200_000;

/// It must not run before the schema is its own.
pub(crate) fn check(site: &Site, goal: &Goal, found: &mut Vec<Finding>) -> Result<()> {
    if !site.has(UPGRADED)
        || !matches!(
            goal.moment,
            Moment::Asked | Moment::BeforePlan | Moment::BeforeRun
        )
    {
        return Ok(());
    }
    let status = Service::open(site, UPGRADED)?.status()?;
    if !matches!(status.state, State::Stopped) {
        found.push(
            Finding::blocker("optimize.new-release-running")
                .subject(UPGRADED)
                .what(format!("it is {}", state(&status.state)))
                .why(format!(
                    "the new release must not meet the old schema; and where it has the port of `{OPTIMIZE}`, neither \
                     can be told from the other"
                ))
                .remedy("stop it, then plan again; the plan starts it at the end"),
        );
    }
    Ok(())
}

impl Writer<'_> {
    /// The last steps of the plan.
    pub(crate) fn start_upgraded(&self) -> Result<()> {
        if !self.site.has(UPGRADED) {
            return Ok(());
        }
        let upgraded = Service::open(self.site, UPGRADED)?;
        self.around().settle(Phase::Contract)?;
        self.plan
            .step(
                "start-upgraded",
                Phase::Contract,
                &format!("start Optimize {}", self.outline.to),
            )
            .because("it starts only on a schema of its own version, so that its readiness is the last proof")
            .does(upgraded.start())
            .ends_when(
                &format!("Optimize {} is ready", self.outline.to),
                upgraded.ready().patience_ms(READY_MS),
            )
            .work("restarts", 1)
            .add()
            .map(drop)
    }
}

/// What stood there before an Optimize began to write, where the run has kept it.
pub(crate) fn settled(mut seen: Seen, run: &Run) -> Result<Seen> {
    let Some(kept) = run.capture(SETTLED)? else {
        return Ok(seen);
    };
    let listed: Vec<Value> = kept
        .iter()
        .filter_map(|read| read.answer.as_ref().and_then(Value::as_array))
        .flatten()
        .cloned()
        .collect();
    settle(&mut seen.indices, &listed);
    Ok(seen)
}

fn settle(indices: &mut [Index], listed: &[Value]) {
    let kept: BTreeMap<&str, &Value> = listed
        .iter()
        .filter_map(|kept| Some((kept["uuid"].as_str()?, kept)))
        .collect();
    for index in indices {
        if let Some(kept) = kept.get(index.uuid.as_str()) {
            index.docs = kept["docs"].as_u64().unwrap_or(index.docs);
            index.replicas = kept["replicas"]
                .as_u64()
                .and_then(|replicas| replicas.try_into().ok())
                .unwrap_or(index.replicas);
        }
    }
}

/// What the new release's own sync has set since.
pub(crate) fn findings(now: &Seen, settled: &Seen) -> Vec<Finding> {
    let settled = map_of(&settled.indices);
    let reset: Vec<String> = now
        .indices
        .iter()
        .filter_map(|index| {
            let before = settled.get(index.name.as_str())?;
            (before.replicas != index.replicas).then(|| {
                format!(
                    "{}: {}, now {}",
                    index.name, before.replicas, index.replicas
                )
            })
        })
        .collect();
    if reset.is_empty() {
        return Vec::new();
    }
    vec![
        Finding::warning("optimize.replicas-reset-at-start")
            .subject(now.names.all())
            .what(format!(
                "{} indices have other replicas since the new release started",
                reset.len()
            ))
            .why("Optimize sets those of most indices to its own configuration at each start")
            .remedy("set `number_of_replicas` in its configuration, then set the indices again")
            .evidence("indices", crate::check::some(&reset)),
    ]
}

/// What the service is asked for.
pub(crate) fn request() -> Request {
    describe::optional(
        UPGRADED,
        "the new release, started at the end; without it the hand-over says how",
    )
    .verb("service.read", &[], "is it stopped, is it ready")
    .verb_at_most("service.start", &[], 1, "when the schema is its own")
    .verb_at_most("service.stop", &[], 1, "only to undo the start")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::site;

    #[test]
    fn what_the_new_release_writes_is_not_held_against_the_run() {
        let mut seen = site("8.8.0");
        let before = seen.clone();
        let listed: Vec<Value> = before
            .indices
            .iter()
            .map(
                |index| json!({"uuid": index.uuid, "docs": index.docs, "replicas": index.replicas}),
            )
            .collect();
        seen.indices[0].docs = 99;
        seen.indices[1].replicas = 0;
        let mut settled = seen.clone();
        settle(&mut settled.indices, &listed);
        assert_eq!(settled.indices, before.indices);
        let ids: Vec<String> = findings(&seen, &settled)
            .into_iter()
            .map(|finding| finding.id)
            .collect();
        assert_eq!(ids, ["optimize.replicas-reset-at-start"]);
        // One that was made anew is another.
        seen.indices[0].uuid = "new".into();
        settle(&mut seen.indices, &listed);
        assert_eq!(seen.indices[0].docs, 99);
    }
}

//! Before anything is sent: approvals, grant, targets, findings, and the plan made again.

use std::collections::BTreeMap;

use liftlock_types::event::Event;
use liftlock_types::{Binding, Exit, Finding, Moment, RecordedRead, Severity};

use crate::freeze::{FreezeError, PlanContext, differences, freeze};
use crate::missing;
use crate::observer::Happening;
use crate::planner::Replanned;
use crate::runner::{Halt, Runner};

/// Most recorded reads whose difference is told one by one; the rest is counted.
const DRIFT_LINES_MAX: usize = 20;

impl Runner {
    pub(crate) fn check_approved(&self) -> Result<(), Halt> {
        let missing = missing(
            &self.plan,
            &self.made_by,
            &self.approvals,
            self.approvals_wanted,
        );
        if missing.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
        Err(Halt::new(Exit::ApprovalMissing, lines.join("; "))
            .remedy("`liftlock approve PLAN` (with `--waive FINDING --reason ...` for a blocker); nothing was sent"))
    }

    /// Grant and targets are those of the plan.
    pub(crate) async fn check_unchanged(&self) -> Result<(), Halt> {
        if self.grant.hash() != self.plan.grant {
            return Err(
                Halt::new(Exit::Stale, "the grant changed since the plan was made")
                    .remedy("plan again, or put grants.toml back; nothing was sent"),
            );
        }
        if self.grant.digest != self.plan.plugin.digest {
            return Err(Halt::new(
                Exit::Stale,
                "the grant is bound to another plugin than the plan",
            ));
        }
        for binding in self.plan.bindings.keys() {
            self.check_identity(binding).await?;
        }
        Ok(())
    }

    /// The binding leads to the target that was planned on.
    pub(crate) async fn check_identity(&self, binding: &Binding) -> Result<(), Halt> {
        let planned = self
            .plan
            .bindings
            .get(binding)
            .ok_or_else(|| Halt::new(Exit::Stale, format!("`{binding}` is not in the plan")))?;
        let now = self
            .capability(binding)?
            .identity()
            .await
            .map_err(|error| self.unreachable(binding, &error))?;
        if now.fingerprint != planned.fingerprint {
            return Err(Halt::new(
                Exit::Stale,
                format!(
                    "`{binding}` leads to another target: planned on {} ({}), now {} ({})",
                    planned.product, planned.fingerprint, now.product, now.fingerprint
                ),
            )
            .remedy(
                "put the address right, or plan again on the new target; nothing was sent to it",
            ));
        }
        Ok(())
    }

    pub(crate) async fn check_findings(&self, moment: Moment) -> Result<(), Halt> {
        let findings = self
            .planner
            .check(moment, &self.state())
            .await
            .map_err(|fault| self.fault(&fault))?;
        self.judge(
            findings,
            if moment == Moment::BeforeRun {
                Exit::Blocked
            } else {
                self.failed()
            },
        )
    }

    /// Tells findings; a blocker that nobody waived stops the run.
    pub(crate) fn judge(&self, findings: Vec<Finding>, exit: Exit) -> Result<(), Halt> {
        let waived: Vec<String> = self
            .approvals
            .iter()
            .flat_map(|approval| &approval.waives)
            .map(|waiver| waiver.finding.clone())
            .collect();
        let blocker = findings
            .iter()
            .find(|finding| finding.severity == Severity::Blocker && !waived.contains(&finding.id))
            .cloned();
        for finding in findings {
            self.tell(Happening::Found(finding.clone()));
            self.keep_finding(finding);
        }
        match blocker {
            None => Ok(()),
            Some(finding) => Err(Halt::new(
                exit,
                format!("{} ({}): {}", finding.what, finding.id, finding.why),
            )
            .remedy(finding.remedy)),
        }
    }

    /// Another run may have come and gone between the look at the target and our claim: now that nobody else acts the
    /// plan is made once more. Where it does not fit any more the run is over, and has sent nothing.
    pub(crate) async fn plan_again_claimed(&self) -> Result<(), Halt> {
        self.check_claims().await?;
        let Err(halt) = self.plan_again().await else {
            return Ok(());
        };
        if matches!(halt.exit, Exit::Stale | Exit::Blocked | Exit::PluginFault) {
            self.write(Event::RunEnded {
                how: "aborted".into(),
                left_behind: self.left_behind(),
            })
            .await?;
            self.write_head().await?;
            self.release().await?;
        }
        Err(halt)
    }

    /// The plan as it would be made now has the same steps. The reads that it was made from this time.
    pub(crate) async fn plan_again(&self) -> Result<Vec<RecordedRead>, Halt> {
        let Replanned { proposal, reads } = self
            .planner
            .plan(&self.state())
            .await
            .map_err(|fault| self.fault(&fault))?;
        let context = PlanContext {
            site: self.plan.site.clone(),
            product: self.plan.product.clone(),
            plugin: self.plan.plugin.clone(),
            from: self.plan.from.clone(),
            to: self.plan.to.clone(),
            options: self.plan.options.clone(),
            findings: Vec::new(),
        };
        let now = freeze(proposal, context, &self.grant, &self.bindings)
            .await
            .map_err(|error| self.not_made_again(&error))?;
        let lines = differences(&self.plan, &now);
        if !lines.is_empty() {
            return Err(Halt::new(
                Exit::Stale,
                format!("the plan no longer fits: {}", lines.join("; ")),
            )
            .remedy("look at the difference, plan again and have it approved; nothing was sent"));
        }
        Ok(reads)
    }

    /// A target that gave no evidence says nothing about the plan.
    fn not_made_again(&self, error: &FreezeError) -> Halt {
        match error {
            FreezeError::Facts { step, source } => {
                return self.unavailable("what the step rests on", source).at(step);
            }
            FreezeError::Identity { binding, source } => {
                return self.unreachable(binding, source);
            }
            _ => {}
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        Halt::new(
            Exit::Stale,
            format!("the plan cannot be made again: {text}"),
        )
        .remedy("plan again")
    }

    /// Tells what else answers otherwise than when the plan was made.
    pub(crate) fn tell_drift(&self, reads: &[RecordedRead]) {
        let before: BTreeMap<String, &str> = self
            .reads
            .iter()
            .map(|read| (key(read), read.answer.as_str()))
            .collect();
        let mut drift = 0;
        for read in reads {
            match before.get(&key(read)) {
                Some(then) if *then != read.answer => {
                    drift += 1;
                    if drift <= DRIFT_LINES_MAX {
                        self.tell(Happening::Drift {
                            what: format!("{} {}", read.reading.binding, key_of_read(read)),
                            then: (*then).to_owned(),
                            now: read.answer.clone(),
                        });
                    }
                }
                _ => {}
            }
        }
        if drift > DRIFT_LINES_MAX {
            self.tell(Happening::Note(format!(
                "and {} more reads that differ",
                drift - DRIFT_LINES_MAX
            )));
        }
    }
}

fn key(read: &RecordedRead) -> String {
    serde_json::to_string(&read.reading).unwrap_or_default()
}

fn key_of_read(read: &RecordedRead) -> String {
    serde_json::to_string(&read.reading.read).unwrap_or_default()
}

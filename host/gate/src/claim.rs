//! Claims: one run at a time, held in the target itself, immutable, with the epoch in the name.

use liftlock_types::event::Event;
use liftlock_types::{Binding, Claim, Exit};

use crate::runner::{Halt, Runner};
use crate::{iso, now_ms};

impl Runner {
    /// The bindings of the plan whose target can hold a claim.
    pub(crate) fn claimable(&self) -> Vec<Binding> {
        self.plan
            .bindings
            .keys()
            .filter(|binding| {
                self.bindings
                    .get(*binding)
                    .is_some_and(|capability| capability.holds_claims())
            })
            .cloned()
            .collect()
    }

    /// Nobody else holds a claim on a target of the plan: refused before anything is written or sent.
    pub(crate) async fn check_unclaimed(&self) -> Result<(), Halt> {
        for binding in self.claimable() {
            let claims = self
                .capability(&binding)?
                .claims()
                .await
                .map_err(|error| self.unreachable(&binding, &error))?;
            if let Some(claim) = claims.iter().max_by_key(|claim| claim.epoch)
                && claim.run != self.run.as_str()
            {
                return Err(held(&binding, claim));
            }
        }
        Ok(())
    }

    /// Makes the claim on each target that can hold one.
    pub(crate) async fn claim(&self) -> Result<(), Halt> {
        for binding in self.claimable() {
            if self.state().claims.contains_key(&binding) {
                continue;
            }
            let capability = self.capability(&binding)?;
            let claims = capability
                .claims()
                .await
                .map_err(|error| self.unreachable(&binding, &error))?;
            let highest = claims.iter().max_by_key(|claim| claim.epoch);
            let mine = match highest {
                // Made by us before a crash that came before its row.
                Some(claim) if claim.run == self.run.as_str() => claim.clone(),
                Some(claim) => return Err(held(&binding, claim)),
                None => self.new_claim(1),
            };
            if highest.is_none() {
                self.reach(&["claim", "before"], None, 0).await;
                let made = capability.make_claim(&mine).await;
                self.reach(&["claim", "after"], None, 0).await;
                if !matches!(made, Ok(true)) {
                    // A refused or unanswered create whose nonce reads back as ours was a success.
                    let claims = capability
                        .claims()
                        .await
                        .map_err(|error| self.unreachable(&binding, &error))?;
                    match claims.iter().max_by_key(|claim| claim.epoch) {
                        Some(claim) if claim.nonce == mine.nonce => {}
                        Some(claim) => return Err(held(&binding, claim)),
                        None => {
                            let why = made
                                .err()
                                .map_or_else(String::new, |error| error.to_string());
                            return Err(Halt::new(Exit::Unreachable, format!("cannot claim `{binding}`: {why}"))
                                .remedy("see that the account may write component templates, then run again"));
                        }
                    }
                }
            }
            self.write(Event::Claimed {
                binding,
                epoch: mine.epoch,
                nonce: mine.nonce,
            })
            .await?;
        }
        Ok(())
    }

    /// Our claim still holds on every target: asked right before each change.
    pub(crate) async fn check_claims(&self) -> Result<(), Halt> {
        for (binding, (epoch, nonce)) in &self.state().claims {
            let claims =
                self.capability(binding)?.claims().await.map_err(|error| {
                    self.unavailable(&format!("the claim on `{binding}`"), &error)
                })?;
            match claims.iter().max_by_key(|claim| claim.epoch) {
                Some(claim) if claim.epoch == *epoch && claim.nonce == *nonce => {}
                Some(claim) => {
                    return Err(Halt::new(
                        Exit::ClaimLost,
                        format!(
                            "`{binding}` is claimed by run `{}` on `{}` now (epoch {})",
                            claim.run, claim.host, claim.epoch
                        ),
                    )
                    .remedy("leave the target to that run; nothing more was sent by this one"));
                }
                None => {
                    return Err(Halt::new(Exit::ClaimLost, format!("our claim on `{binding}` is gone"))
                        .remedy("find out who removed it, or whether the target was restored; it is never made again"));
                }
            }
        }
        Ok(())
    }

    /// Takes our claims off: the last thing a run does.
    pub(crate) async fn release(&self) -> Result<(), Halt> {
        for (binding, (epoch, _)) in self.state().claims.clone() {
            self.reach(&["release", "before"], None, 0).await;
            self.capability(&binding)?.remove_claim(epoch).await.map_err(|error| {
                Halt::new(Exit::Resumable, format!("the run is over, but its claim on `{binding}` could not be removed: {error}"))
                    .remedy("`liftlock resume` removes it")
            })?;
            self.reach(&["release", "after"], None, 0).await;
            self.write(Event::Released { binding, epoch }).await?;
        }
        Ok(())
    }

    fn new_claim(&self, epoch: u64) -> Claim {
        let (pid, pid_start, boot_id) = this_process();
        Claim {
            epoch,
            run: self.run.to_string(),
            host: self.who.host.clone(),
            pid,
            pid_start,
            boot_id,
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            state_dir: self.who.state_dir.clone(),
            since: iso(now_ms()),
        }
    }
}

fn held(binding: &Binding, claim: &Claim) -> Halt {
    Halt::new(
        Exit::Claimed,
        format!(
            "`{binding}` is claimed by run `{}` on host `{}` (pid {}) since {}; its journal lies in `{}` there",
            claim.run, claim.host, claim.pid, claim.since, claim.state_dir
        ),
    )
    .remedy("wait for that run or resume it where its journal is; nothing was sent")
}

/// Pid, its start time in clock ticks since boot, and the boot id: what proves a process dead or alive.
pub fn this_process() -> (u32, u64, String) {
    let start = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| {
            let rest = stat.rsplit_once(')')?.1.to_owned();
            rest.split_whitespace().nth(19)?.parse().ok()
        })
        .unwrap_or(0);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    (std::process::id(), start, boot.trim().to_owned())
}

//! Claims: one run at a time, held in the target itself, immutable, with the epoch in the name.

use std::time::Duration;

use liftlock_types::event::Event;
use liftlock_types::{Binding, Claim, Exit};

use crate::defect::Defect;
use crate::runner::{Halt, Runner};
use crate::{boot_time_ms, iso, now_ms};

/// Between two looks for a claim that was confirmed and is not seen yet.
const CLAIM_LOOK_EVERY: Duration = Duration::from_millis(50);

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
            if let Some(claim) = newest(&claims)
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
            let claims = self
                .capability(&binding)?
                .claims()
                .await
                .map_err(|error| self.unreachable(&binding, &error))?;
            match newest(&claims) {
                // Made by us before a crash that came before its row.
                Some(claim) if self.is_from_here(claim) => self.claimed(binding, claim).await?,
                Some(claim) => return Err(held(&binding, claim)),
                // A removal of an earlier one that had no answer may land late: it must not meet this one.
                None => {
                    let earlier = self.state().epochs.get(&binding).copied().unwrap_or(0);
                    self.make_claim(binding.clone(), self.new_claim(earlier + 1))
                        .await?;
                    self.keep_with_the_others(&binding).await?;
                }
            }
        }
        Ok(())
    }

    /// Who froze between two claims may have been taken over meanwhile. Then the first one is gone, and the one that was
    /// made now would stay behind, in the way of everybody after it.
    async fn keep_with_the_others(&self, made: &Binding) -> Result<(), Halt> {
        let claims = self.state().claims.clone();
        if claims.len() < 2 {
            return Ok(());
        }
        let Err(halt) = self.check_claims().await else {
            return Ok(());
        };
        if halt.exit == Exit::ClaimLost
            && let Some((epoch, nonce)) = claims.get(made)
        {
            let there = self
                .capability(made)?
                .claims()
                .await
                .map_err(|error| self.unreachable(made, &error))?;
            // Another run's of this number is not ours to take off.
            if there.iter().any(|claim| claim.nonce == *nonce) {
                self.take_off(made, *epoch).await?;
            }
        }
        Err(halt)
    }

    /// Makes this claim and writes it down, once it was read.
    pub(crate) async fn make_claim(&self, binding: Binding, mine: Claim) -> Result<(), Halt> {
        let capability = self.capability(&binding)?;
        self.reach(&["claim", "before"], None, 0).await;
        let made = capability.make_claim(&mine).await;
        self.reach(&["claim", "after"], None, 0).await;
        let begun = boot_time_ms();
        loop {
            let claims = capability
                .claims()
                .await
                .map_err(|error| self.unreachable(&binding, &error))?;
            match newest(&claims) {
                // A refused or unanswered create whose nonce reads back as ours was a success.
                Some(claim) if claim.nonce == mine.nonce => {
                    return self.claimed(binding, claim).await;
                }
                // Two bindings can lead to one cluster: claimed a moment ago, by this process.
                Some(claim)
                    if self.is_from_here(claim)
                        && (claim.pid, claim.pid_start, &claim.boot_id)
                            == (mine.pid, mine.pid_start, &mine.boot_id) =>
                {
                    return self.claimed(binding, claim).await;
                }
                Some(claim) if claim.epoch >= mine.epoch => return Err(held(&binding, claim)),
                _ => {}
            }
            // A yes is no evidence: it must be seen, on whichever node is asked.
            let why = match &made {
                Ok(true) if boot_time_ms().saturating_sub(begun) <= self.timing.effect_ms => {
                    tokio::time::sleep(CLAIM_LOOK_EVERY).await;
                    continue;
                }
                Ok(true) => "the target confirmed it, and it is not there".to_owned(),
                Ok(false) => {
                    "the target says that there is one, and it is not to be seen".to_owned()
                }
                Err(error) => error.to_string(),
            };
            return Err(Halt::new(
                Exit::Unreachable,
                format!("cannot claim `{binding}`: {why}"),
            )
            .remedy(match binding.capability() {
                "database" => "see that the role may make tables in the schema, then try again",
                _ => "see that the account may write component templates, then try again",
            }));
        }
    }

    async fn claimed(&self, binding: Binding, claim: &Claim) -> Result<(), Halt> {
        self.write(Event::Claimed {
            binding,
            epoch: claim.epoch,
            nonce: claim.nonce.clone(),
        })
        .await
    }

    /// Writes down claims of this run that a crash kept from being written, so that they go with it. A target that gives no
    /// answer is named: one may be there.
    pub(crate) async fn find_claims(&self) -> Result<(), Halt> {
        for binding in self.claimable() {
            if self.state().claims.contains_key(&binding) {
                continue;
            }
            match self.capability(&binding)?.claims().await {
                Ok(claims) => {
                    let last = newest(&claims);
                    if let Some(ours) = last.filter(|claim| self.is_from_here(claim)) {
                        self.claimed(binding, ours).await?;
                    }
                }
                Err(error) => self.leave(format!(
                    "a claim of this run may be on `{binding}`, which gives no answer: {error}"
                )),
            }
        }
        Ok(())
    }

    /// Made for this run, by a process with this state directory.
    fn is_from_here(&self, claim: &Claim) -> bool {
        claim.run == self.run.as_str()
            && claim.host == self.who.host
            && claim.state_dir == self.who.state_dir
    }

    /// Our claim still holds on every target: asked right before each change.
    pub(crate) async fn check_claims(&self) -> Result<(), Halt> {
        if self.lacks(Defect::ClaimNotChecked) {
            return Ok(());
        }
        for (binding, (epoch, nonce)) in &self.state().claims {
            let claims =
                self.capability(binding)?.claims().await.map_err(|error| {
                    self.unavailable(&format!("the claim on `{binding}`"), &error)
                })?;
            match newest(&claims) {
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

    /// Our claims were made from this state directory: a journal that was copied elsewhere takes over first.
    pub(crate) async fn check_holder(&self) -> Result<(), Halt> {
        for binding in self.state().claims.keys() {
            let claims =
                self.capability(binding)?.claims().await.map_err(|error| {
                    self.unavailable(&format!("the claim on `{binding}`"), &error)
                })?;
            let elsewhere = newest(&claims).filter(|claim| !self.is_from_here(claim));
            if let Some(claim) = elsewhere {
                return Err(held(binding, claim).remedy(format!(
                    "go on there; or, if that runner is dead, `liftlock takeover {}`; nothing was sent",
                    self.run
                )));
            }
        }
        Ok(())
    }

    /// Takes our claims off, those of dead runners of this run first: the last thing a run does.
    pub(crate) async fn release(&self) -> Result<(), Halt> {
        let state = self.state();
        let held = state
            .claims
            .iter()
            .map(|(binding, (epoch, _))| (binding.clone(), *epoch));
        for (binding, epoch) in state.superseded.iter().cloned().chain(held) {
            self.take_off(&binding, epoch).await?;
        }
        Ok(())
    }

    async fn take_off(&self, binding: &Binding, epoch: u64) -> Result<(), Halt> {
        self.reach(&["release", "before"], None, 0).await;
        self.capability(binding)?.remove_claim(epoch).await.map_err(|error| {
            Halt::new(Exit::Resumable, format!("the run is over, but its claim on `{binding}` could not be removed: {error}"))
                .remedy("`liftlock resume` removes it")
        })?;
        self.reach(&["release", "after"], None, 0).await;
        let binding = binding.clone();
        self.write(Event::Released { binding, epoch }).await
    }

    pub(crate) fn new_claim(&self, epoch: u64) -> Claim {
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

/// The one that counts: with the highest epoch.
fn newest(claims: &[Claim]) -> Option<&Claim> {
    claims.iter().max_by_key(|claim| claim.epoch)
}

pub(crate) fn held(binding: &Binding, claim: &Claim) -> Halt {
    Halt::new(
        Exit::Claimed,
        format!(
            "`{binding}` is claimed by run `{}` on host `{}` (pid {}) since {}; its journal lies in `{}` there",
            claim.run, claim.host, claim.pid, claim.since, claim.state_dir
        ),
    )
    .remedy("wait for that run or resume it where its journal is; nothing was sent")
}

/// Pid, its start time in clock ticks since boot, and boot id with the process namespace: what proves a process
/// dead or alive.
pub fn this_process() -> (u32, u64, String) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default();
    let pid = std::process::id();
    (
        pid,
        start_of(pid).unwrap_or(0),
        format!("{}/{namespace}", boot.trim()),
    )
}

/// When a process started, in clock ticks since boot; none: there is none of this number.
pub(crate) fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie has ended.
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

//! Taking a run over from a runner that is dead: proof first, then a claim of the next epoch.

use std::time::Duration;

use liftlock_types::event::Event;
use liftlock_types::{Binding, Claim, Exit};

use crate::claim::{held, this_process};
use crate::observer::Happening;
use crate::runner::{Decision, End, Halt, Runner, Who};
use crate::{Bindings, boot_time_ms};

/// What is known of the life of a claim's holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// It is dead, and this proves it.
    Dead(String),
    /// It lives, or nothing here can tell.
    Unknown(String),
}

/// Is the process that made a claim dead? `host` is this one.
///
/// A proof is a process that is gone on this host, or a host that was started again since. Of other hosts, and of
/// processes in another namespace of this one, nothing can be told here.
pub fn holder_of(claim: &Claim, host: &str) -> Holder {
    if claim.host != host {
        return Holder::Unknown(format!("it ran on host `{}`, this is `{host}`", claim.host));
    }
    let (_, _, here) = this_process();
    let boot = |id: &str| id.split('/').next().unwrap_or_default().to_owned();
    if boot(&claim.boot_id) != boot(&here) {
        return Holder::Dead(format!("host `{host}` was started again since"));
    }
    if claim.boot_id != here {
        return Holder::Unknown("it ran in another process namespace of this host".into());
    }
    match crate::claim::start_of(claim.pid) {
        Some(start) if start == claim.pid_start => {
            Holder::Unknown(format!("process {} still lives", claim.pid))
        }
        _ => Holder::Dead(format!("process {} is gone on this host", claim.pid)),
    }
}

/// Removes the claims of runs whose journal is lost, so that a new inspection can begin: what those runs did last
/// is not known. Returns what was removed, with the proof that its holder is dead.
///
/// Errors: 30 where a holder may live and nobody attests that it does not.
pub async fn abandon(
    bindings: &Bindings,
    who: &Who,
    attestation: Option<&str>,
) -> Result<Vec<(Binding, Claim, String)>, Halt> {
    let unreachable = |binding: &Binding, error| {
        Halt::new(
            Exit::Unreachable,
            format!("cannot read the claims on `{binding}`: {error}"),
        )
    };
    let mut removed = Vec::new();
    for (binding, capability) in bindings {
        if !capability.holds_claims() {
            continue;
        }
        let claims = capability
            .claims()
            .await
            .map_err(|error| unreachable(binding, error))?;
        for claim in claims {
            let evidence = proof(binding, &claim, &who.host, &who.by, attestation)?;
            capability
                .remove_claim(claim.epoch)
                .await
                .map_err(|error| unreachable(binding, error))?;
            removed.push((binding.clone(), claim, evidence));
        }
    }
    Ok(removed)
}

fn proof(
    binding: &Binding,
    claim: &Claim,
    host: &str,
    by: &str,
    attestation: Option<&str>,
) -> Result<String, Halt> {
    match (holder_of(claim, host), attestation) {
        (Holder::Dead(proof), _) => Ok(proof),
        (Holder::Unknown(why), Some(words)) => Ok(format!("{why}; {by} attests: {words}")),
        (Holder::Unknown(why), None) => {
            let mut halt = held(binding, claim);
            halt.why = format!("{}; nothing proves its holder dead: {why}", halt.why);
            Err(halt.remedy(
                "make sure that it is dead (end the process, revoke its credentials), then \
                 `liftlock takeover RUN --attest \"how you know\"`; nothing was sent",
            ))
        }
    }
}

impl Runner {
    /// Takes the run over from a runner that is dead, then goes on as [`Runner::resume`] does.
    ///
    /// Its journal must be here and reach its head. A holder that cannot be proved dead needs an attestation.
    pub async fn takeover(self, attestation: Option<String>, decisions: Vec<Decision>) -> End {
        let begun = boot_time_ms();
        self.watch();
        let result = self.takeover_inner(attestation, decisions).await;
        self.end(result, begun).await
    }

    async fn takeover_inner(
        &self,
        attestation: Option<String>,
        decisions: Vec<Decision>,
    ) -> Result<(), Halt> {
        self.load().await?;
        if self.state().ended.is_some() {
            return self.release().await;
        }
        self.check_unchanged().await?;
        let mut dead: Vec<(Binding, Claim, String)> = Vec::new();
        for binding in self.claimable() {
            let claims = self
                .capability(&binding)?
                .claims()
                .await
                .map_err(|error| self.unreachable(&binding, &error))?;
            match claims.into_iter().max_by_key(|claim| claim.epoch) {
                Some(claim) if claim.run == self.run.as_str() => {
                    let evidence = proof(
                        &binding,
                        &claim,
                        &self.who.host,
                        &self.who.by,
                        attestation.as_deref(),
                    )?;
                    dead.push((binding, claim, evidence));
                }
                Some(claim) => return Err(held(&binding, &claim)),
                None if self.state().claims.contains_key(&binding) => {
                    return Err(Halt::new(
                        Exit::ClaimLost,
                        format!("this run's claim on `{binding}` is gone"),
                    )
                    .remedy("find out who removed it, or whether the target was restored; it is never made again"));
                }
                None => {}
            }
        }
        self.tell(Happening::Note(format!(
            "waiting {} s: what the dead runner sent last may still land",
            self.timing.settle_ms.div_ceil(1000)
        )));
        self.pause(Duration::from_millis(self.timing.settle_ms))
            .await?;
        for (binding, claim, evidence) in dead {
            self.write(Event::TookOver {
                binding: binding.clone(),
                epoch: claim.epoch,
                evidence,
                by: self.who.by.clone(),
                host: self.who.host.clone(),
            })
            .await?;
            // Its claim still stands; ours supersedes it.
            self.make_claim(binding, self.new_claim(claim.epoch + 1))
                .await?;
        }
        self.go_on(decisions).await
    }
}

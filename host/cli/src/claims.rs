//! Claims as they stand in the targets: who holds them, whether that holder is dead, and the ways out.

use liftlock_gate::{Bindings, Holder, holder_of};
use liftlock_types::{Binding, Claim};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::word;
use crate::escape;
use crate::who;

/// A claim with what is known of its holder.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ClaimData {
    /// Where it stands.
    pub(crate) binding: String,
    /// The highest holds.
    pub(crate) epoch: u64,
    /// The run that holds it.
    pub(crate) run: String,
    /// On which host.
    pub(crate) host: String,
    /// Its process there.
    pub(crate) pid: u32,
    /// Since when, ISO-8601.
    pub(crate) since: String,
    /// Where its journal lies there.
    pub(crate) state_dir: String,
    /// The holder is proved dead.
    pub(crate) is_dead: bool,
    /// What proves that, or why nothing does.
    pub(crate) holder: String,
    /// It is of this host.
    pub(crate) is_here: bool,
}

/// All claims of these targets. One that cannot be read is left out: who asks meets that target's error elsewhere.
pub(crate) async fn look(bindings: &Bindings) -> Vec<ClaimData> {
    let host = who::host();
    let mut all = Vec::new();
    for (binding, capability) in bindings {
        if !capability.holds_claims() {
            continue;
        }
        for claim in capability.claims().await.unwrap_or_default() {
            all.push(data(binding, &claim, &host));
        }
    }
    all
}

/// One claim.
pub(crate) fn data(binding: &Binding, claim: &Claim, host: &str) -> ClaimData {
    let (is_dead, holder) = match holder_of(claim, host) {
        Holder::Dead(proof) => (true, proof),
        Holder::Unknown(why) => (false, why),
    };
    ClaimData {
        binding: binding.to_string(),
        epoch: claim.epoch,
        run: escape::line(&claim.run),
        host: escape::line(&claim.host),
        pid: claim.pid,
        since: escape::line(&claim.since),
        state_dir: escape::line(&claim.state_dir),
        is_dead,
        holder: escape::line(&holder),
        is_here: claim.host == host,
    }
}

/// Who holds what, and whether that one is dead.
pub(crate) fn text(claims: &[ClaimData]) -> String {
    let mut out = String::new();
    for claim in claims {
        out.push_str(&format!(
            "{:<18} claimed by run {} (epoch {})\n",
            claim.binding, claim.run, claim.epoch
        ));
        let mut row = |label: &str, text: &str| out.push_str(&format!("  {label:<8} {text}\n"));
        row(
            "holder",
            &format!("pid {} on {}, since {}", claim.pid, claim.host, claim.since),
        );
        row("journal", &format!("{} there", claim.state_dir));
        row(if claim.is_dead { "dead" } else { "alive?" }, &claim.holder);
    }
    out
}

/// What a person can do about a claim that is in the way, the mildest first; and the command for here, if one is.
pub(crate) fn ways_out(claim: &ClaimData, own_run: Option<&str>) -> (Vec<String>, Option<String>) {
    let run = word(&claim.run);
    if own_run == Some(claim.run.as_str()) {
        let attest = if claim.is_dead { "" } else { " --attest TEXT" };
        let ways = vec![
            format!(
                "if pid {} on {} works on it: let it, and look there with `liftlock status {run}`",
                claim.pid, claim.host
            ),
            format!(
                "if that runner is dead: `liftlock takeover {run}{attest}` goes on with it here"
            ),
        ];
        return (ways, Some(format!("liftlock takeover {run}{attest}")));
    }
    let there = format!("--state {}", word(&claim.state_dir));
    let mut ways = vec![
        format!(
            "wait for it: on {}, `liftlock status {run} {there}` says where it stands",
            claim.host
        ),
        format!(
            "if it stopped: on {}, `liftlock resume {run} {there}`, or `rollback`, or `abort`",
            claim.host
        ),
        format!(
            "if that machine is gone and its state directory is not: `liftlock export {run} FILE {there}`, then here `liftlock import FILE` and `liftlock takeover {run} --attest TEXT`"
        ),
    ];
    let attest = if claim.is_dead { "" } else { " --attest TEXT" };
    ways.push(format!("if its journal is lost: `liftlock takeover --abandon{attest}` removes the claim; what that run did last is then not known"));
    let next = claim
        .is_here
        .then(|| format!("liftlock status {run} {there}"));
    (ways, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(host: &str) -> Claim {
        Claim {
            epoch: 1,
            run: "r-1".into(),
            host: host.into(),
            pid: 0,
            pid_start: 1,
            boot_id: "another boot/ns".into(),
            nonce: "n".into(),
            state_dir: "/var/a b".into(),
            since: "T".into(),
        }
    }

    #[test]
    fn a_claim_of_ours_leads_to_takeover_and_one_of_others_to_where_their_journal_is() {
        let binding = Binding::new("cluster.database").unwrap();
        let here = data(&binding, &claim("here"), "here");
        assert!(
            here.is_dead && text(std::slice::from_ref(&here)).contains("dead"),
            "{here:?}"
        );
        assert_eq!(
            ways_out(&here, Some("r-1")).1.unwrap(),
            "liftlock takeover r-1"
        );
        let (ways, next) = ways_out(&here, Some("r-2"));
        assert_eq!(next.unwrap(), "liftlock status r-1 --state '/var/a b'");
        assert!(
            ways.iter().any(|way| way.contains("takeover --abandon`")),
            "{ways:?}"
        );
        let there = data(&binding, &claim("there"), "here");
        assert!(!there.is_dead);
        assert_eq!(ways_out(&there, None).1, None);
        assert!(
            ways_out(&there, Some("r-1"))
                .1
                .unwrap()
                .ends_with("--attest TEXT")
        );
    }
}

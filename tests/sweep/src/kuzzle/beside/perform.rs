//! Performs the positions that only this site has.

use liftlock_testkit::Fault;
use liftlock_testkit::SimCluster;
use serde_json::Value;
use serde_json::json;

use super::Pair;
use super::position::Away;
use super::position::Meddling;
use super::position::Own;
use crate::kuzzle::disturbed::Disturbed;
use crate::kuzzle::ground;
use crate::kuzzle::ground::COLLECTIONS;
use crate::kuzzle::ground::REPOSITORIES;
use crate::kuzzle::ground::REPOSITORY;
use crate::kuzzle::machines::KUZZLE;
use crate::kuzzle::ways::NEW_ADDRESS;
use crate::kuzzle::ways::OLD_ADDRESS;
use crate::ledger::Place;
use crate::life::Hold;
use crate::life::Work;
use crate::perform::Finish;
use crate::perform::Stage;
use crate::rolling::node::Machine;
use crate::rolling::perform::meddle::Meddles;
use crate::site::Site;

/// What is written into the configuration.
const LINE: &str = "// by somebody else\n";

/// The step that tells Kuzzle of the new cluster.
const TOLD_BY: &str = "kuzzle-address";

/// A document that nobody of ours writes.
const DOCUMENT: &str = "theirs";

/// Performs one of them.
pub(super) fn perform(stage: &mut Stage<'_, Pair>, own: &Own) -> anyhow::Result<()> {
    match own {
        Own::Disturbed(Disturbed::Away(place, away)) => {
            let pair = &stage.world;
            let (old, new) = (pair.old.clone(), pair.new.clone());
            let (machines, away) = (pair.machines.clone(), *away);
            stage.away(place, move || match away {
                Away::Old => old.fault(Fault::always().drop_before()),
                Away::New => new.fault(Fault::always().drop_before()),
                Away::Api => machines.api_away(true),
            })
        }
        Own::Disturbed(Disturbed::Meddled(place, meddling)) => stage.meddled_with(place, meddling),
        Own::Used(number) => stage.used(*number),
    }
}

/// Kuzzle is told of the new cluster, or about to be.
fn is_told(pair: &Pair, place: &Place) -> bool {
    let is_begun = place.label == "journal.intent.after" || place.label.starts_with("act.");
    let is_on_its_way = place.step == TOLD_BY && is_begun;
    is_on_its_way || pair.machines.configuration().contains(NEW_ADDRESS)
}

/// Where that document is.
fn document() -> String {
    let (collection, _) = COLLECTIONS[0];
    format!("/{}/_doc/{DOCUMENT}", ground::in_path(collection))
}

/// Whoever asks for this is told that it was done.
fn done(sim: &SimCluster, method: &str, path: &str, body: &Value) -> bool {
    sim.call(method, path, &body.to_string()).0 < 300
}

impl Pair {
    /// The cluster at an address.
    fn at(&self, address: &str) -> &SimCluster {
        if address == NEW_ADDRESS {
            &self.new
        } else {
            &self.old
        }
    }

    /// A client writes through Kuzzle; false: it does not run, or its storage does not take it.
    fn client_writes(&self) -> bool {
        let Some(told) = self.machines.told() else {
            return false;
        };
        writes(self.at(&told.node))
    }

    /// The cluster that Kuzzle is on, or would be if it were started.
    fn storage(&self) -> &SimCluster {
        let text = self.machines.configuration();
        let is_new = text.contains(NEW_ADDRESS);
        self.at(if is_new { NEW_ADDRESS } else { OLD_ADDRESS })
    }
}

/// Somebody writes to a collection, if it is there.
fn writes(sim: &SimCluster) -> bool {
    let (collection, _) = COLLECTIONS[0];
    let is_there = sim
        .call("HEAD", &format!("/{}", ground::in_path(collection)), "")
        .0
        == 200;
    let path = format!("{}?refresh=true", document());
    is_there && done(sim, "PUT", &path, &json!({"name": DOCUMENT}))
}

/// That document is there.
fn has_document(sim: &SimCluster) -> Value {
    json!(sim.call("GET", &document(), "").0 == 200)
}

impl Meddles<Pair> for Meddling {
    fn does(&self, pair: &mut Pair, place: &Place) -> anyhow::Result<bool> {
        let kuzzle = pair.machines.of(KUZZLE);
        let server = &pair.bench.server;
        let claim = "/_component_template/liftlock-claim.1";
        Ok(match self {
            Self::Client => pair.client_writes(),
            Self::Started => {
                let is_stopped = kuzzle.runs().is_none();
                server.block_on(kuzzle.start(""));
                is_stopped && pair.client_writes()
            }
            Self::Stopped => {
                let runs = kuzzle.runs().is_some();
                server.block_on(kuzzle.stop());
                runs
            }
            Self::Configuration => {
                let text = pair.machines.configuration() + LINE;
                pair.machines.configure(&text)?;
                true
            }
            // From there on Kuzzle is on its way to the new one, and nobody looks at the old one again.
            Self::Old => !is_told(pair, place) && writes(&pair.old),
            Self::New => writes(&pair.new),
            Self::Index => {
                let (collection, _) = COLLECTIONS[0];
                let path = format!("/{}", ground::in_path(collection));
                let body = json!({"mappings": {"_meta": {"whose": DOCUMENT}}});
                done(&pair.new, "PUT", &path, &body)
            }
            Self::Repository => {
                let settings = json!({"location": format!("{REPOSITORIES}/theirs")});
                let body = json!({"type": "fs", "settings": settings});
                done(&pair.new, "PUT", &format!("/_snapshot/{REPOSITORY}"), &body)
            }
            Self::Snapshot => {
                let path = format!("/_snapshot/{REPOSITORY}/kuzzle-snapshot-*");
                pair.snapshots().to_string().contains("kuzzle-snapshot-")
                    && done(&pair.old, "DELETE", &path, &Value::Null)
            }
            Self::Claim => pair.old.call("DELETE", claim, "").0 == 200,
            Self::NewClaim => pair.new.call("DELETE", claim, "").0 == 200,
        })
    }

    fn theirs(&self, pair: &Pair, _: &Place) -> anyhow::Result<(Value, Value)> {
        let is_there = json!(true);
        Ok(match self {
            // Wherever Kuzzle is now, what a client wrote is there.
            Self::Client | Self::Started | Self::Old => (has_document(pair.storage()), is_there),
            Self::New => (has_document(&pair.new), is_there),
            Self::Configuration => {
                let has = pair.machines.configuration().contains(LINE);
                (json!(has), is_there)
            }
            Self::Index => {
                let (collection, _) = COLLECTIONS[0];
                let state = pair.new.state_json();
                let found = &state["indices"][collection]["mappings"]["_meta"]["whose"];
                (found.clone(), json!(DOCUMENT))
            }
            Self::Repository => {
                let state = pair.new.state_json();
                let found = &state["repositories"][REPOSITORY]["settings"]["location"];
                (found.clone(), json!(format!("{REPOSITORIES}/theirs")))
            }
            Self::Stopped | Self::Snapshot | Self::Claim | Self::NewClaim => {
                (Value::Null, Value::Null)
            }
        })
    }

    fn is_of_the_claim(&self) -> bool {
        matches!(self, Self::Claim | Self::NewClaim)
    }
}

impl Stage<'_, Pair> {
    /// What clients wrote on the new cluster exists nowhere else: Kuzzle goes back to the old one, and it stays.
    fn used(&mut self, number: usize) -> anyhow::Result<()> {
        let mut round = self.world.fresh()?;
        let finish = self.drive(&mut round, None)?;
        self.must_be_done(&round, &finish)?;
        if !self.world.client_writes() {
            anyhow::bail!("no client can write");
        }
        self.kill_at(&mut round, Work::Rollback(Vec::new()), Hold::Nth(number))?;
        let work = self.next_rollback(&round);
        let finish = self.drive(&mut round, Some(work))?;
        if matches!(finish, Finish::RolledBack) && has_document(&self.world.new) != true {
            let line = "what clients wrote on the new cluster is gone";
            self.verdict.lost.push(line.into());
        }
        self.must_be_back(&round, &finish)
    }
}

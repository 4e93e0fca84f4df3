//! Performs the positions that only this site has.

use serde_json::Value;
use serde_json::json;

use super::collections::ALLOCATION;
use super::collections::Collections;
use super::machines::KUZZLE;
use super::position::Away;
use super::position::Meddling;
use super::position::Own;
use super::truth;
use crate::ledger::Place;
use crate::perform::Stage;
use crate::rolling::Fleet;
use crate::rolling::node::Machine;
use crate::rolling::perform::meddle::Meddles;

/// An artifact that is neither the old nor the new one.
const THIRD: &str = "8.18.0";

/// What is written into the configuration.
const LINE: &str = "// by somebody else\n";

/// A document in a collection.
const DOCUMENT: &str = "/%26nyc-open-data.yellow-taxi/_doc/theirs";

/// An index of theirs.
const INDEX: &str = "/made-in-the-middle";

/// Performs one of them.
pub(super) fn perform(stage: &mut Stage<'_, Collections>, own: &Own) -> anyhow::Result<()> {
    match own {
        Own::Away(place, away) => {
            let (machines, faults, away) = (
                stage.world.machines.clone(),
                stage.world.bench().faults.clone(),
                *away,
            );
            stage.away(place, move || match away {
                Away::Storage => faults.lose_claimed(),
                Away::Api => machines.api_away(true),
            })
        }
        Own::Meddled(place, meddling) => stage.meddled_with(place, meddling),
    }
}

/// The service that is worked on at a place: of its step, or Kuzzle.
fn service_at(fleet: &Collections, place: &Place) -> String {
    let service = truth::service_of(&fleet.machines, &place.step);
    if service.is_empty() {
        KUZZLE.into()
    } else {
        service
    }
}

impl Meddles<Collections> for Meddling {
    fn does(&self, fleet: &mut Collections, place: &Place) -> anyhow::Result<bool> {
        let name = service_at(fleet, place);
        let service = fleet.machines.of(&name);
        let call = |method: &str, path: &str, body: Value| {
            fleet.sim.call(method, path, &body.to_string()).0 < 300
        };
        Ok(match self {
            Self::Artifact => {
                service.switch(THIRD);
                name != KUZZLE
            }
            Self::Started => {
                let is_stopped = service.runs().is_none();
                fleet.bench().server.block_on(service.start(""));
                is_stopped
            }
            Self::Stopped => {
                let runs = service.runs().is_some();
                fleet.bench().server.block_on(service.stop());
                runs
            }
            Self::Allocation => call(
                "PUT",
                "/_cluster/settings",
                json!({"persistent": {ALLOCATION.0: "new_primaries"}}),
            ),
            Self::Configuration => {
                let text = fleet.machines.configuration() + LINE;
                fleet.machines.configure(&text)?;
                true
            }
            Self::Document => call(
                "PUT",
                &format!("{DOCUMENT}?refresh=true"),
                json!({"name": "theirs"}),
            ),
            Self::Index => call("PUT", INDEX, json!({"settings": {"number_of_replicas": 1}})),
            Self::Claim => {
                let path = "/_component_template/liftlock-claim.1";
                fleet.sim.call("DELETE", path, "").0 == 200
            }
        })
    }

    fn theirs(&self, fleet: &Collections, _: &Place) -> anyhow::Result<(Value, Value)> {
        let is_there = |path: &str| json!(fleet.sim.call("GET", path, "").0);
        Ok(match self {
            Self::Allocation => {
                let path = "/_cluster/settings?flat_settings=true";
                let (_, all) = fleet.sim.call("GET", path, "");
                (
                    all["persistent"][ALLOCATION.0].clone(),
                    json!("new_primaries"),
                )
            }
            Self::Configuration => {
                let has = fleet.machines.configuration().contains(LINE);
                (json!(has), json!(true))
            }
            Self::Document => (is_there(DOCUMENT), json!(200)),
            Self::Index => (is_there(INDEX), json!(200)),
            _ => (Value::Null, Value::Null),
        })
    }

    fn is_of_the_claim(&self) -> bool {
        *self == Self::Claim
    }
}

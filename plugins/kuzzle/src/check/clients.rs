//! Who else talks to the storage, where the server says so.

use liftlock_sdk::prelude::*;
use liftlock_sdk::told;

use super::info;
use crate::seen::Seen;

/// Clients of Kuzzle and of this program, as they call themselves.
const KNOWN: [&str; 2] = ["elasticsearch-js/", "liftlock/"];

/// Kuzzle is told of the new version by the plan, and all others by people.
pub(super) fn check(seen: &Seen, all: &mut Vec<Finding>) {
    let Some(clients) = &seen.clients else {
        all.push(info(
            "kuzzle.clients-not-told",
            "cluster",
            "its node statistics have no list of clients",
        ));
        return;
    };
    let others: Vec<String> = clients
        .iter()
        .filter(|(agent, _)| !KNOWN.iter().any(|known| agent.starts_with(known)))
        .map(|(agent, connections)| format!("`{agent}` ({connections})"))
        .collect();
    if !others.is_empty() {
        let what = told::first(&others, ", ");
        all.push(info("kuzzle.other-clients", "cluster", what));
    }
}

//! Was anything guessed? What a run's own record concludes, held against what went through the proxy.

use std::collections::BTreeMap;

use liftlock_e2e::stage::may_change;
use liftlock_lab::Record;
use serde_json::Value;

/// Bindings whose requests the proxy sees.
const SEEN: [&str; 2] = ["cluster.", "snapshot."];

/// Conclusions of a run (`rows`: those of `liftlock audit --json`) that the requests that the server carried out
/// contradict.
pub(super) fn guessed(rows: &[Value], records: &[Record]) -> Vec<String> {
    let mut tokens: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut found = Vec::new();
    for row in rows {
        let (Some(step), Some(kind)) = (row["step"].as_str(), row["kind"].as_str()) else {
            continue;
        };
        let event = &row["event"];
        let binding = event["binding"].as_str().unwrap_or_default();
        if !SEEN.iter().any(|seen| binding.starts_with(seen)) {
            continue;
        }
        match kind {
            "intent" => {
                let token = event["token"].as_str().unwrap_or_default();
                tokens.entry(step).or_default().push(token);
            }
            "outcome" => {
                let tokens = tokens.get(step).map(Vec::as_slice).unwrap_or_default();
                let was_done = records.iter().any(|record| is_done_for(record, tokens));
                let concluded = event["kind"].as_str().unwrap_or_default();
                let contradicted = match concluded {
                    "applied-ours" => !was_done,
                    "true-not-ours" | "refused" | "not-sent" => was_done,
                    _ => false,
                };
                if contradicted {
                    found.push(format!(
                        "step `{step}` was concluded `{concluded}`, and the server has {} a request of it",
                        if was_done { "carried out" } else { "never carried out" }
                    ));
                }
            }
            _ => {}
        }
    }
    found
}

/// The server carried out a change under one of these tokens. Of one without an answer that cannot be told from
/// here: it counts as carried out where that speaks for the run.
fn is_done_for(record: &Record, tokens: &[&str]) -> bool {
    may_change(record)
        && record.forwarded
        && record
            .status
            .is_none_or(|status| (200..300).contains(&status))
        && record.opaque_id.as_deref().is_some_and(|id| {
            tokens
                .iter()
                .any(|token| !token.is_empty() && id.contains(token))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(status: Option<u16>, forwarded: bool) -> Record {
        Record {
            n: 1,
            at: String::new(),
            method: "DELETE".into(),
            path: "/a".into(),
            status,
            forwarded,
            ms: None,
            request_body: String::new(),
            response_body: String::new(),
            opaque_id: Some("t-1".into()),
            fault: None,
        }
    }

    fn rows(kind: &str, binding: &str) -> Vec<Value> {
        vec![
            json!({"step": "s", "kind": "intent", "event": {"binding": binding, "token": "t-1"}}),
            json!({"step": "s", "kind": "outcome", "event": {"binding": binding, "kind": kind}}),
        ]
    }

    #[test]
    fn what_the_server_never_did_is_not_applied() {
        let rows = rows("applied-ours", "cluster.database");
        assert_eq!(guessed(&rows, &[record(Some(200), true)]), [""; 0]);
        assert_eq!(guessed(&rows, &[]).len(), 1);
        assert_eq!(guessed(&rows, &[record(None, false)]).len(), 1);
        assert_eq!(guessed(&rows, &[record(Some(409), true)]).len(), 1);
    }

    #[test]
    fn what_the_server_did_for_this_run_is_not_somebody_elses_nor_refused() {
        for kind in ["true-not-ours", "refused", "not-sent"] {
            let rows = rows(kind, "cluster.database");
            assert_eq!(
                guessed(&rows, &[record(Some(200), true)]).len(),
                1,
                "{kind}"
            );
            assert_eq!(
                guessed(&rows, &[record(Some(404), true)]),
                [""; 0],
                "{kind}"
            );
        }
    }

    #[test]
    fn what_the_proxy_cannot_see_is_not_judged() {
        assert_eq!(guessed(&rows("applied-ours", "disk.config"), &[]), [""; 0]);
    }
}

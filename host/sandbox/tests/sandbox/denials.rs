//! What the policy and the newtypes refuse, seen from inside the guest.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::{Table, call_on, inspect, plugin, seen};

#[tokio::test]
async fn each_denial_names_the_rule_and_the_line_that_would_allow_it() {
    let table = Arc::new(Table::new());
    let call = call_on(&[("do", "deny-each")], table.clone());
    let called = plugin().inspect(&call).await.unwrap();
    let seen = seen(&called);
    for (name, allowed_by) in [
        (
            "open-other",
            "[[grant.bindings]] binding = \"cluster.other\"",
        ),
        (
            "read-outside",
            "scope = [\"b-1\"] for verb \"cluster.read\"",
        ),
        ("read-all", "scope = [\"*\"] for verb \"cluster.read\""),
        ("read-taken-away", "cluster.read"),
        ("documents", "cluster.read-documents"),
        ("raw-outside", "scope = [\"/_security/user\"]"),
        (
            "change-outside",
            "scope = [\"b-1\"] for verb \"cluster.delete-index\"",
        ),
        ("change-verb", "verb = \"cluster.put-mapping\""),
        ("condition-outside", "cluster.count"),
        ("reading-outside", "cluster.count"),
        // Text of this file may be read, its bytes may not.
        (
            "bytes-outside",
            "scope = [\"b.yaml\"] for verb \"disk.read-bytes\"",
        ),
    ] {
        let text = &seen[name];
        assert!(text.starts_with("denied: "), "{name}: {text}");
        let (_, line) = text.split_once(" | ").unwrap();
        assert!(line.contains(allowed_by), "{name}: {line}");
    }
    // Nothing of it reached the target, and all of it is on record.
    assert_eq!(table.asked.load(Ordering::Relaxed), 0);
    assert!(called.reads.is_empty());
    assert_eq!(called.denials.len(), seen.len());
    assert_eq!(called.denials[0].what, "open");
    assert_eq!(called.denials[0].binding, "cluster.other");
    assert_eq!(called.denials[1].what, "cluster.read");
}

#[tokio::test]
async fn a_handle_is_only_for_a_binding_that_is_granted_there_and_of_the_capability() {
    for (binding, answer) in [
        ("cluster.database", "ok: \"handle\""),
        (
            "cluster.other",
            "denied: nothing is granted on `cluster.other`",
        ),
        (
            "cluster.empty",
            "denied: nothing is granted on `cluster.empty`",
        ),
        (
            "cluster.gone",
            "not-found: the site has no binding `cluster.gone`",
        ),
        (
            "disk.config",
            "invalid: `disk.config` is no binding of `cluster`",
        ),
        ("../etc", "invalid: "),
        ("", "invalid: "),
    ] {
        let seen = seen(&inspect(&[("do", "open"), ("binding", binding)]).await);
        assert!(
            seen["open"].starts_with(answer),
            "{binding}: {}",
            seen["open"]
        );
    }
}

#[tokio::test]
async fn a_name_that_means_more_than_one_thing_is_invalid_at_the_authors_line() {
    let table = Arc::new(Table::new());
    let call = call_on(&[("do", "forge-names")], table.clone());
    let called = plugin().inspect(&call).await.unwrap();
    let seen = seen(&called);
    assert!(seen.len() > 35, "{}", seen.len());
    for (name, answer) in &seen {
        assert!(answer.starts_with("invalid: "), "{name:?}: {answer}");
        assert!(!answer.chars().any(char::is_control), "{answer:?}");
    }
    assert!(
        seen["json duplicate"].contains("stands twice"),
        "{}",
        seen["json duplicate"]
    );
    assert_eq!(table.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn arguments_and_answers_over_their_bound_are_invalid_with_the_bound() {
    let seen = seen(&inspect(&[("do", "bounds")]).await);
    for (name, part) in [
        ("search size", "1000"),
        ("search query", "not valid JSON"),
        ("raw dots", "dot segment"),
        ("too many", "2000"),
        ("file length", "1048576"),
        ("bytes length", "1048576"),
        ("log lines", "1000"),
        ("ask", "no command"),
    ] {
        let text = &seen[name];
        assert!(
            text.starts_with("invalid: ") && text.contains(part),
            "{name}: {text}"
        );
    }
}

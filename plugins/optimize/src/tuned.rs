//! Settings that the vendor's sync puts on every index, where the operator has others.

use std::collections::BTreeSet;

use liftlock_sdk::prelude::*;

use crate::names::Kind;
use crate::outline::Outline;
use crate::seen::Seen;

/// How often new documents become visible.
pub(crate) const REFRESH: &str = "index.refresh_interval";

/// Most changes of settings in one plan: the largest site that plans are made for has a thousand indices, each of
/// which may be tuned; twice that leaves room for the marks.
pub(crate) const CHANGES_MAX: u32 = 2_500;

const REPLICAS: &str = "index.number_of_replicas";

/// What the vendor's configuration says where nobody says anything else.
const REFRESH_SYNCED: &str = "2s";

/// Most indices whose refresh interval is read: one request each, and half a thousand take seconds. On a larger
/// site only replicas are put back, which one list has.
const READ_MAX: usize = 500;

/// One index and what it must have again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tuned {
    pub(crate) index: String,
    /// Flat keys.
    pub(crate) settings: Value,
}

/// What differs from what the sync will set. `replicas` is the sync's number; `marked` have a refresh interval of
/// ours until the sync, and get theirs back in any case.
pub(crate) fn read(
    database: &Cluster,
    seen: &Seen,
    outline: &Outline,
    replicas: u32,
    marked: &[String],
) -> Result<Vec<Tuned>> {
    let renewed: BTreeSet<&str> = outline
        .updates()
        .map(|(_, update)| update.source.as_str())
        .collect();
    let synced: Vec<&Index> = synced(seen)
        .filter(|index| !renewed.contains(index.name.as_str()))
        .collect();
    let mut all = Vec::new();
    for index in &synced {
        let is_marked = marked.contains(&index.name);
        let refresh = if is_marked || synced.len() <= READ_MAX {
            let settings: Value =
                liftlock_sdk::serde_json::from_str(&database.index_settings(&index.name)?)?;
            Some(settings[REFRESH].clone())
        } else {
            None
        };
        all.extend(differs(index, replicas, refresh, is_marked));
    }
    Ok(all)
}

/// Indices that the sync reaches: all but those of decisions, which it never finds.
fn synced(seen: &Seen) -> impl Iterator<Item = &Index> {
    seen.indices.iter().filter(|index| {
        index.open
            && match seen.names.kind(&index.name) {
                Kind::Fixed(name) => name != "variable-update-instance",
                Kind::ProcessInstance(_) => true,
                _ => false,
            }
    })
}

fn differs(index: &Index, replicas: u32, refresh: Option<Value>, is_marked: bool) -> Option<Tuned> {
    let mut settings = json!({});
    if index.replicas != replicas {
        settings[REPLICAS] = index.replicas.to_string().into();
    }
    // A marked one gets its own back also where it is what the sync sets: the sync may not come.
    if let Some(refresh) = refresh.filter(|refresh| is_marked || *refresh != REFRESH_SYNCED) {
        settings[REFRESH] = refresh;
    }
    let some = settings
        .as_object()
        .is_some_and(|settings| !settings.is_empty());
    some.then(|| Tuned {
        index: index.name.clone(),
        settings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{index, site};

    fn settings(replicas: u32, refresh: Option<Value>, is_marked: bool) -> Option<Value> {
        let mut index = index("optimize-alert_v4", 1);
        index.replicas = replicas;
        differs(&index, 1, refresh, is_marked).map(|tuned| tuned.settings)
    }

    #[test]
    fn only_what_the_sync_would_change_is_put_back() {
        assert_eq!(settings(1, Some("2s".into()), false), None);
        assert_eq!(settings(1, None, false), None);
        assert_eq!(
            settings(0, Some("2s".into()), false),
            Some(json!({ REPLICAS: "0" }))
        );
        assert_eq!(
            settings(2, Some("30s".into()), false),
            Some(json!({ REPLICAS: "2", REFRESH: "30s" }))
        );
        // Unset is a choice too.
        assert_eq!(
            settings(1, Some(Value::Null), false),
            Some(json!({ REFRESH: null }))
        );
        assert_eq!(
            settings(1, Some("2s".into()), true),
            Some(json!({ REFRESH: "2s" }))
        );
    }

    #[test]
    fn the_sync_never_finds_the_indices_of_decisions() {
        let seen = site("8.7.0");
        let names: Vec<&str> = synced(&seen).map(|index| index.name.as_str()).collect();
        assert!(names.contains(&"optimize-process-instance-order_v8"));
        assert!(!names.iter().any(|name| name.contains("decision-instance")));
        assert!(!names.iter().any(|name| name.contains("variable-update")));
    }
}

//! The plans that are swept.

use std::collections::BTreeMap;

use serde_json::json;

use crate::script::Hastens;
use crate::script::Wish;

/// The version that is there.
pub const FROM: &str = "7.17.15";

/// The version that is to be.
pub const TO: &str = "8.19.13";

/// Where Kuzzle finds the cluster of before, as its configuration names it.
pub const OLD_ADDRESS: &str = "http://es7:9200";

/// Where it finds the new one.
pub const NEW_ADDRESS: &str = "http://es8:9200";

/// Nothing of these sites takes longer; a condition that does not come true within it never does.
const HASTENS: Hastens = Hastens {
    stable_for_ms: 20,
    patience_ms: 2_500,
};

/// One plan: a method of the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The nodes of one cluster, one after another.
    Rolling,
    /// A new cluster beside the old one, and a snapshot.
    Snapshot,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rolling, Self::Snapshot];

    /// Its name on the command line, and the method of the plugin.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Snapshot => "snapshot",
        }
    }

    /// What is to be planned; `location`: where the store of the snapshots lies.
    pub fn wish(self, location: &str) -> Wish {
        let mut options = BTreeMap::from(
            [
                ("method", self.name()),
                ("quiet-seconds", "0"),
                ("watch-seconds", "0"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        if self == Self::Snapshot {
            let repository = json!({"type": "fs", "settings": {"location": location}});
            options.extend(
                [
                    ("address", OLD_ADDRESS.to_owned()),
                    ("new-address", NEW_ADDRESS.to_owned()),
                    ("repository", repository.to_string()),
                    // One node has no place for more.
                    ("replicas", "0".to_owned()),
                ]
                .map(|(name, value)| (name.to_owned(), value)),
            );
        }
        Wish {
            name: self.name(),
            from: None,
            to: TO.into(),
            options,
            hastens: Some(HASTENS),
        }
    }
}

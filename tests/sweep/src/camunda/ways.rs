//! The plans that are swept.

use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::EngineVersion;

use crate::script::Hastens;
use crate::script::Wish;

/// One plan.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// Its name on the command line.
    pub name: &'static str,
    /// Which database is underneath.
    pub database: DatabaseKind,
    /// What runs there.
    pub from: EngineVersion,
    /// What is to run there.
    pub to: EngineVersion,
    /// How many nodes: one that is changed, and one that serves meanwhile.
    pub nodes: usize,
}

/// The key of the process that is started on each new node.
pub const CANARY: &str = "canary";

/// Nothing of these sites takes longer; a condition that does not come true within it never does.
const HASTENS: Hastens = Hastens {
    stable_for_ms: 20,
    patience_ms: 2_500,
};

/// All of them.
///
/// 7.21 to 7.22, as its script has every sort of statement that rolling upgrades of 7.x bring: a row of the log,
/// columns of several tables, and an index.
pub fn all() -> Vec<Way> {
    DatabaseKind::ALL
        .into_iter()
        .map(|database| Way {
            name: database.name(),
            database,
            from: EngineVersion::V7_21,
            to: EngineVersion::V7_22,
            nodes: 2,
        })
        .collect()
}

impl Way {
    /// What is to be planned.
    pub fn wish(&self) -> Wish {
        let options = [
            ("group", "1"),
            ("minimum-available", "1"),
            ("canary-process", CANARY),
            ("drain-seconds", "2"),
            ("soak-seconds", "0"),
            ("cached-plans", "safe"),
            ("backup", "none"),
        ];
        Wish {
            name: self.name,
            from: None,
            to: self.to.name().into(),
            options: options
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            hastens: Some(HASTENS),
        }
    }

    /// `n1`, `n2`, ...
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes)
            .map(|number| format!("n{number}"))
            .collect()
    }
}

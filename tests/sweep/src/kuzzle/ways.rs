//! The plans that are swept.

use crate::script::Hastens;
use crate::script::Wish;

/// The version that is there.
pub const FROM: &str = "7.17.15";

/// The version that is to be.
pub const TO: &str = "8.19.13";

/// Nothing of these sites takes longer; a condition that does not come true within it never does.
const HASTENS: Hastens = Hastens {
    stable_for_ms: 20,
    patience_ms: 2_500,
};

/// One plan.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// Its name on the command line, and the method of the plugin.
    pub name: &'static str,
}

/// All of them.
pub fn all() -> Vec<Way> {
    vec![Way { name: "rolling" }]
}

impl Way {
    /// What is to be planned.
    pub fn wish(&self) -> Wish {
        let options = [
            ("method", self.name),
            ("quiet-seconds", "0"),
            ("watch-seconds", "0"),
        ];
        Wish {
            name: self.name,
            from: None,
            to: TO.into(),
            options: options
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            hastens: Some(HASTENS),
        }
    }
}

//! What to do about what happens in the window.

use std::str::FromStr;

/// What to do about something that happened in the window. The strongest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Say it and go on.
    Warn,
    /// Take no further node until a person has looked at it.
    Pause,
    /// End the run: the nodes stay as they are, the schema too.
    Stop,
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "warn" => Ok(Self::Warn),
            "pause" => Ok(Self::Pause),
            "stop" => Ok(Self::Stop),
            other => Err(format!(
                "`{}` is none of `warn`, `pause`, `stop`",
                other.escape_debug()
            )),
        }
    }
}

/// What the operator chose for each sort of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Something was deployed, or a deployment or definition is gone.
    pub deployment: Action,
    /// There are more incidents or failed jobs than before.
    pub trouble: Action,
    /// So many more of them are no matter.
    pub trouble_tolerated: u64,
    /// A batch began.
    pub batch: Action,
    /// A feature of the newer version was used: the older engines may not read what it wrote.
    pub feature: Action,
}

impl Default for Policy {
    /// What is forbidden by the vendor pauses; what may have other reasons warns; what an older engine cannot read
    /// stops.
    fn default() -> Self {
        Self {
            deployment: Action::Pause,
            trouble: Action::Warn,
            trouble_tolerated: 0,
            batch: Action::Pause,
            feature: Action::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_one_of_three_words() {
        assert_eq!("pause".parse(), Ok(Action::Pause));
        assert!(
            "Pause"
                .parse::<Action>()
                .unwrap_err()
                .contains("`warn`, `pause`, `stop`")
        );
    }
}

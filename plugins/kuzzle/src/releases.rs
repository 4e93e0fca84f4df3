//! Which release of Elasticsearch leads to which.

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::{self, NoWay};

/// The only line that leads to 8.x.
pub(crate) const LAST_OF_SEVEN: &str = "7.17";

/// The first patch of it without the faults that also break the later upgrade: cluster state that is not read,
/// system features that stay in error.
pub(crate) const PATCH_MIN: &str = "7.17.1";

/// The last line of 8.x. Each of its releases is younger than every 7.17, as the target of an upgrade has to be; and only
/// from it a way leads to 9.
pub(crate) const LAST_OF_EIGHT: &str = "8.19";

/// A node of this version can get the target's: of all ways between releases only that from 7 to 8 is this plugin's.
pub(crate) fn way(from: &Version, to: &Version) -> std::result::Result<(), NoWay> {
    if to.major() != 8 {
        return Err(NoWay::Target(to.to_string()));
    }
    rolling::way(Distribution::Elasticsearch, from, to)?;
    if from == to || from.major() == 7 {
        return Ok(());
    }
    Err(NoWay::Source(from.to_string(), vec![LAST_OF_SEVEN]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_last_line_of_seven_leads_to_eight() {
        let to = version("8.19.13");
        assert_eq!(way(&version("7.17.15"), &to), Ok(()));
        assert_eq!(way(&to, &to), Ok(()));
        for from in ["7.16.3", "7.10.2", "8.18.0", "6.8.23"] {
            let refused = way(&version(from), &to);
            assert_eq!(
                refused,
                Err(NoWay::Source(from.into(), vec!["7.17"])),
                "{from}"
            );
        }
        assert_eq!(
            way(&version("8.19.14"), &to),
            Err(NoWay::Newer("8.19.14".into()))
        );
        for to in ["8", "8.19", "9.0.0", "7.17.20", "8.0.0-rc1"] {
            let refused = way(&version("7.17.15"), &version(to));
            assert_eq!(refused, Err(NoWay::Target(to.into())), "{to}");
        }
    }
}

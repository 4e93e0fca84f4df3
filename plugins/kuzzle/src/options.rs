//! The operator's choices, parsed.

use liftlock_sdk::prelude::*;

use crate::descriptor::COLLECTIONS;

/// How the data come to the new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Node by node.
    Rolling,
    /// Into a new cluster.
    Snapshot,
}

/// Everything that the operator chose.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How the data come to the new version.
    pub(crate) method: Method,
    /// A further index of the site.
    pub(crate) also: Option<String>,
    /// The file with the mode of a Kuzzle.
    pub(crate) configuration: String,
    /// Kuzzle goes on while nodes change.
    pub(crate) serves_meanwhile: bool,
    /// Collections may be away for a moment.
    pub(crate) outages_accepted: bool,
    /// How long nothing may be written.
    pub(crate) quiet_ms: u64,
    /// Patience with shards.
    pub(crate) settle_ms: u64,
    /// How long all must stay well afterwards.
    pub(crate) watch_ms: u64,
}

impl Options {
    /// Reads the site's options; an error names the option, its value and what would be right.
    pub(crate) fn of(site: &Site) -> Result<Self> {
        let also = site.option("also")?;
        Ok(Self {
            method: match site.option("method")?.as_str() {
                "snapshot" => Method::Snapshot,
                _ => Method::Rolling,
            },
            also: (!also.is_empty()).then_some(also),
            configuration: site.option("configuration-file")?,
            serves_meanwhile: site.option("meanwhile")? == "serving",
            outages_accepted: site.option("outages")? == "accepted",
            quiet_ms: seconds(site, "quiet-seconds")?,
            settle_ms: seconds(site, "settle-seconds")?,
            watch_ms: seconds(site, "watch-seconds")?,
        })
    }

    /// Patterns of all indices of the site.
    pub(crate) fn patterns(&self) -> Vec<String> {
        COLLECTIONS
            .iter()
            .map(ToString::to_string)
            .chain(self.also.clone())
            .collect()
    }

    /// The index belongs to the site.
    pub(crate) fn is_ours(&self, index: &str) -> bool {
        index.starts_with(['&', '%']) || self.also.as_deref() == Some(index)
    }
}

/// In milliseconds.
fn seconds(site: &Site, name: &str) -> Result<u64> {
    let text = site.option(name)?;
    let number: u64 = text
        .parse()
        .map_err(|_| Error::Invalid(format!("option `{name}`: `{text}` is no whole number")))?;
    Ok(number.saturating_mul(1_000))
}

//! The operator's choices, parsed.

use liftlock_sdk::prelude::*;

use crate::groups::Size;
use crate::window::{Action, Policy};

/// Everything that the operator chose.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How many nodes at a time.
    pub(crate) group: Size,
    /// How many of each pool stay up.
    pub(crate) minimum: usize,
    /// The process that is started on each new node.
    pub(crate) canary: Option<String>,
    /// Patience with open requests.
    pub(crate) drain_ms: u64,
    /// Patience with jobs that wait when a node is back.
    pub(crate) jobs_ms: u64,
    /// How long a group must serve before the next one.
    pub(crate) soak_ms: u64,
    /// Indexes are made beside writers.
    pub(crate) concurrently: bool,
    /// Changes of tables may stop a Galera cluster.
    pub(crate) galera_accepted: bool,
    /// What is known of the engines' drivers.
    pub(crate) cached_plans: CachedPlans,
    /// What happens in the window, and what follows.
    pub(crate) policy: Policy,
    /// The schema may change without a dump.
    pub(crate) without_backup: bool,
    /// The file that the dump is written to.
    pub(crate) backup_file: String,
    /// The digest of the dump that the site is to go back to.
    pub(crate) restore: Option<String>,
    /// How often a statement tries for the lock of its table.
    pub(crate) lock_tries: u32,
    /// The JDBC address of the engines, where the operator says it.
    pub(crate) jdbc_url: Option<String>,
}

/// Whether engines on PostgreSQL survive a column that is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CachedPlans {
    /// The operator says nothing.
    Unknown,
    /// The driver repeats what went stale, or keeps no plans.
    Safe,
    /// Some requests may fail.
    Accepted,
}

impl Options {
    /// Reads the site's options; an error names the option, its value and what would be right.
    pub(crate) fn of(site: &Site) -> Result<Self> {
        let canary = site.option("canary-process")?;
        let jdbc_url = site.option("jdbc-url")?;
        Ok(Self {
            group: group(&site.option("group")?)?,
            minimum: usize::try_from(number(site, "minimum-available")?).unwrap_or(usize::MAX),
            canary: (!canary.is_empty()).then_some(canary),
            drain_ms: number(site, "drain-seconds")?.saturating_mul(1_000),
            jobs_ms: number(site, "jobs-seconds")?.saturating_mul(1_000),
            soak_ms: number(site, "soak-seconds")?.saturating_mul(1_000),
            concurrently: site.option("indexes")? == "concurrently",
            galera_accepted: site.option("galera")? == "accepted",
            cached_plans: match site.option("cached-plans")?.as_str() {
                "safe" => CachedPlans::Safe,
                "accepted" => CachedPlans::Accepted,
                _ => CachedPlans::Unknown,
            },
            policy: policy(site)?,
            without_backup: site.option("backup")? == "none",
            backup_file: site.option("backup-file")?,
            restore: restore(&site.option("restore")?)?,
            lock_tries: u32::try_from(number(site, "lock-tries")?).unwrap_or(u32::MAX),
            jdbc_url: (!jdbc_url.is_empty()).then_some(jdbc_url),
        })
    }
}

/// None, or a SHA-256.
fn restore(text: &str) -> Result<Option<String>> {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    match text {
        "" => Ok(None),
        _ if text.len() == 64 && text.chars().all(is_digit) => Ok(Some(text.to_owned())),
        _ => Err(Error::Invalid(format!(
            "the option `restore` is `{}`; the SHA-256 of a dump is wanted, 64 digits of 0-9 and a-f, as the report of \
             the run that took it has it",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
impl Options {
    /// As an operator has them who chose nothing.
    pub(crate) fn usual() -> Self {
        Self {
            group: Size::Percent(33),
            minimum: 1,
            canary: None,
            drain_ms: 120_000,
            jobs_ms: 90_000,
            soak_ms: 600_000,
            concurrently: false,
            galera_accepted: false,
            cached_plans: CachedPlans::Unknown,
            policy: Policy::default(),
            lock_tries: 10,
            jdbc_url: None,
            without_backup: false,
            backup_file: "engine.dump".into(),
            restore: None,
        }
    }
}

/// What follows from what happens in the window.
fn policy(site: &Site) -> Result<Policy> {
    Ok(Policy {
        deployment: action(site, "on-deployment")?,
        trouble: action(site, "on-trouble")?,
        batch: action(site, "on-batch")?,
        feature: action(site, "on-feature")?,
        ..Policy::default()
    })
}

fn action(site: &Site, name: &str) -> Result<Action> {
    let text = site.option(name)?;
    text.parse()
        .map_err(|why| Error::Invalid(format!("the option `{name}`: {why}")))
}

fn number(site: &Site, name: &str) -> Result<u64> {
    let text = site.option(name)?;
    text.parse().map_err(|_| {
        Error::Invalid(format!(
            "the option `{name}` is `{}`; a whole number is wanted",
            text.escape_debug()
        ))
    })
}

fn group(text: &str) -> Result<Size> {
    let (digits, of): (&str, fn(usize) -> Size) = match text.strip_suffix('%') {
        Some(digits) => (digits, Size::Percent),
        None => (text, Size::Nodes),
    };
    match digits.parse::<usize>() {
        Ok(number) if number > 0 => Ok(of(number)),
        _ => Err(Error::Invalid(format!(
            "the option `group` is `{}`; a number of nodes from 1 or a share such as `33%` is wanted",
            text.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_named_by_its_digest() {
        let digest = "0af1".repeat(16);
        assert_eq!(restore(""), Ok(None));
        assert_eq!(restore(&digest), Ok(Some(digest.clone())));
        for text in ["yes", &digest[1..], &digest.to_uppercase()] {
            let error = restore(text).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{text}");
        }
    }

    #[test]
    fn a_group_is_a_number_or_a_share() {
        assert_eq!(group("2"), Ok(Size::Nodes(2)));
        assert_eq!(group("33%"), Ok(Size::Percent(33)));
        for text in ["0", "0%", "", "a third", "-1"] {
            let error = group(text).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{text}");
        }
    }
}

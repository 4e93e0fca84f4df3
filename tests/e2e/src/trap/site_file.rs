//! `site.toml` while a trap is set in it.

use std::fs;
use std::path::PathBuf;

use crate::operator::Operator;
use crate::proof::ensure;
use crate::stage::write;

/// As it is without a trap.
#[derive(Debug)]
pub(super) struct SiteFile(String);

impl SiteFile {
    /// As it is now.
    pub(super) fn of(operator: &Operator) -> anyhow::Result<Self> {
        Ok(Self(fs::read_to_string(path(operator))?))
    }

    /// With another text in the place of this one, the first time it stands there; and gives the grant that then has to be
    /// given.
    pub(super) async fn set(
        &self,
        operator: &Operator,
        old: &str,
        new: &str,
    ) -> anyhow::Result<()> {
        self.becomes(operator, old, self.0.replacen(old, new, 1))
            .await
    }

    /// The same wherever the text stands.
    pub(super) async fn set_everywhere(
        &self,
        operator: &Operator,
        old: &str,
        new: &str,
    ) -> anyhow::Result<()> {
        self.becomes(operator, old, self.0.replace(old, new)).await
    }

    async fn becomes(&self, operator: &Operator, old: &str, edited: String) -> anyhow::Result<()> {
        ensure(edited != self.0, format!("`{old}` is not in site.toml"))?;
        write(&path(operator), &edited)?;
        operator.grant().await
    }

    /// Whether it is as it was.
    pub(super) fn is_there(&self, operator: &Operator) -> anyhow::Result<bool> {
        Ok(fs::read_to_string(path(operator))? == self.0)
    }

    /// Puts it back.
    pub(super) async fn put_back(&self, operator: &Operator) -> anyhow::Result<()> {
        write(&path(operator), &self.0)?;
        operator.grant().await
    }
}

fn path(operator: &Operator) -> PathBuf {
    operator.site().join("site.toml")
}

//! Which server a simulated cluster claims to be, and the facts that follow from it.

/// A product and release line that the simulator imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Product {
    /// Elasticsearch 8.19.13.
    Elasticsearch8,
    /// OpenSearch 2.19.1.
    OpenSearch2,
    /// OpenSearch 3.3.2.
    OpenSearch3,
}

/// High bit that OpenSearch sets in its version ids, so that they never equal Elasticsearch's.
const OPENSEARCH_VERSION_MASK: u32 = 0x0800_0000;

impl Product {
    /// True for both OpenSearch lines.
    pub fn is_opensearch(self) -> bool {
        !matches!(self, Self::Elasticsearch8)
    }

    /// The version that a node of this product reports unless the builder was told another one.
    pub fn version(self) -> &'static str {
        match self {
            Self::Elasticsearch8 => "8.19.13",
            Self::OpenSearch2 => "2.19.1",
            Self::OpenSearch3 => "3.3.2",
        }
    }

    pub(crate) fn minimum_wire(self) -> &'static str {
        match self {
            Self::Elasticsearch8 => "7.17.0",
            Self::OpenSearch2 => "7.10.0",
            Self::OpenSearch3 => "2.19.0",
        }
    }

    pub(crate) fn minimum_index(self) -> &'static str {
        match self {
            Self::Elasticsearch8 | Self::OpenSearch2 => "7.0.0",
            Self::OpenSearch3 => "2.0.0",
        }
    }

    /// The lowest created-version number that this product still restores.
    pub(crate) fn minimum_index_id(self) -> u32 {
        match self {
            // 7.0.0 as Elasticsearch wrote it; OpenSearch 2 inherits those indices.
            Self::Elasticsearch8 | Self::OpenSearch2 => 7_000_099,
            Self::OpenSearch3 => self.index_version_id(self.minimum_index()),
        }
    }

    pub(crate) fn lucene(self) -> &'static str {
        match self {
            Self::Elasticsearch8 => "9.12.2",
            Self::OpenSearch2 => "9.12.1",
            Self::OpenSearch3 => "10.3.1",
        }
    }

    /// The number that `index.version.created` holds for an index made by a node of `version`.
    ///
    /// Elasticsearch's number no longer encodes the release since 8.11, so only the two forms met
    /// on real servers are told apart: the 8.19 line, and everything older.
    pub fn index_version_id(self, version: &str) -> u32 {
        let mut parts = version.split('.').map(|p| p.parse::<u32>().unwrap_or(0));
        let (major, minor, patch) = (
            parts.next().unwrap_or(0),
            parts.next().unwrap_or(0),
            parts.next().unwrap_or(0),
        );
        let plain = major * 1_000_000 + minor * 10_000 + patch * 100 + 99;
        match self {
            Self::Elasticsearch8 if (major, minor) == (8, 19) => 8_537_000,
            Self::Elasticsearch8 => plain,
            Self::OpenSearch2 | Self::OpenSearch3 => plain ^ OPENSEARCH_VERSION_MASK,
        }
    }

    /// What `?human` shows beside the number; Elasticsearch 8.19 reports a range.
    pub(crate) fn index_version_string(self, version: &str) -> String {
        match self {
            Self::Elasticsearch8 if version.starts_with("8.19.") => "8.19.9-8.19.13".to_owned(),
            _ => version.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_version_ids_equal_those_of_real_servers() {
        assert_eq!(Product::OpenSearch2.index_version_id("2.19.1"), 136_407_927);
        assert_eq!(Product::OpenSearch2.index_version_id("1.3.13"), 135_249_127);
        assert_eq!(
            Product::Elasticsearch8.index_version_id("8.19.13"),
            8_537_000
        );
        assert_eq!(
            Product::Elasticsearch8.index_version_id("7.17.15"),
            7_171_599
        );
    }
}

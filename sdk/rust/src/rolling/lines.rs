//! Which release leads to which, and which index is too old for a release: the rules in which the products differ.

use std::fmt;

use crate::capability::{Distribution, Index};
use crate::version::Version;

/// The only lines of a major version from which a rolling upgrade leads to the next, and how far: `9.0` is that line
/// alone. By the upgrade guides of both products.
const LEAD_ON: &[(Distribution, &str, &str)] = &[
    (Distribution::Elasticsearch, "7.17", "8"),
    (Distribution::Elasticsearch, "8.18", "9.0"),
    (Distribution::Elasticsearch, "8.19", "9"),
    (Distribution::Opensearch, "1", "2"),
    (Distribution::Opensearch, "2.19", "3"),
];

/// Set in what OpenSearch writes as the version that made an index; where it is not, Elasticsearch made it.
const OPENSEARCH: u64 = 0x0800_0000;

/// OpenSearch 1 took over what Elasticsearch 7 was.
const ELASTICSEARCH_BEFORE_OPENSEARCH: u64 = 6;

/// Why there is no way from one version to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWay {
    /// The target is no exact release.
    Target(String),
    /// No rolling upgrade leads from this version to the target; the lines from which one does, if there are any.
    Source(String, Vec<&'static str>),
    /// A node is newer than the target.
    Newer(String),
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(what) => write!(f, "`{what}` is no release, written out like `2.19.1`"),
            Self::Source(from, lines) if lines.is_empty() => {
                write!(f, "it is {from}, and nothing is known that leads there")
            }
            Self::Source(from, lines) => {
                write!(f, "it is {from}; only {} leads there", lines.join(" or "))
            }
            Self::Newer(from) => write!(f, "it is {from}, which is newer; no node goes back"),
        }
    }
}

/// A node of this version can get the target's while the others still have the old one.
///
/// # Errors
/// Why not.
pub fn way(product: Distribution, from: &Version, to: &Version) -> Result<(), NoWay> {
    if !to.is_exact() || to.is_prerelease() {
        return Err(NoWay::Target(to.to_string()));
    }
    if from > to {
        return Err(NoWay::Newer(from.to_string()));
    }
    let leads = || {
        LEAD_ON
            .iter()
            .filter(|(its, _, line)| *its == product && to.matches(line))
            .map(|(_, line, _)| *line)
    };
    let is_step = from.major() == to.major() || leads().any(|line| from.matches(line));
    if from == to || (is_step && !from.is_prerelease()) {
        return Ok(());
    }
    Err(NoWay::Source(from.to_string(), leads().collect()))
}

/// An index beside which a node of the target does not start.
#[derive(Debug, Clone, PartialEq)]
pub struct TooOld<'a> {
    /// The index.
    pub index: &'a Index,
    /// Whose version made it: `made by 6.x (6082399), hidden`.
    pub what: String,
}

/// Those of these indices beside which a node of this version does not start; give it hidden, closed and system ones too.
///
/// A node reads indices of its own and of the last major version. Which version made an index never changes, whatever
/// opened or upgraded it since.
pub fn too_old<'a>(product: Distribution, indices: &'a [Index], to: &Version) -> Vec<TooOld<'a>> {
    let is_too_old = |index: &&Index| generation(product, index.created_version) + 1 < to.major();
    let told = |index: &'a Index| TooOld {
        index,
        what: made_by(product, index),
    };
    indices.iter().filter(is_too_old).map(told).collect()
}

/// The major version that made an index, in numbers of this product.
///
/// The rest of the number has changed its meaning, the millions have not.
fn generation(product: Distribution, created: u64) -> u64 {
    match product {
        Distribution::Elasticsearch => created / 1_000_000,
        Distribution::Opensearch if created & OPENSEARCH != 0 => (created ^ OPENSEARCH) / 1_000_000,
        Distribution::Opensearch => {
            (created / 1_000_000).saturating_sub(ELASTICSEARCH_BEFORE_OPENSEARCH)
        }
    }
}

fn made_by(product: Distribution, index: &Index) -> String {
    let created = index.created_version;
    let is_inherited = product == Distribution::Opensearch && created & OPENSEARCH == 0;
    let maker = if is_inherited {
        format!("Elasticsearch {}.x", created / 1_000_000)
    } else {
        format!("{}.x", generation(product, created))
    };
    let kind = match (index.open, index.hidden) {
        (false, _) => ", closed",
        (true, true) => ", hidden",
        (true, false) => "",
    };
    format!("made by {maker} ({created}){kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rolling::fixture::index;
    use Distribution::{Elasticsearch, Opensearch};

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_last_line_of_a_major_leads_to_the_next() {
        let leads = |product, from: &str, to: &str| way(product, &version(from), &version(to));
        for (product, from, to) in [
            (Elasticsearch, "7.17.15", "8.19.13"),
            (Elasticsearch, "8.18.1", "9.0.3"),
            (Elasticsearch, "8.19.13", "9.4.3"),
            (Elasticsearch, "8.13.4", "8.19.13"),
            (Opensearch, "1.3.13", "2.19.1"),
            (Opensearch, "1.0.0", "2.19.1"),
            (Opensearch, "2.19.1", "3.3.2"),
            (Opensearch, "2.9.0", "2.19.1"),
            (Opensearch, "3.3.2", "3.3.2"),
        ] {
            assert_eq!(leads(product, from, to), Ok(()), "{from} to {to}");
        }
        for (product, from, to, lines) in [
            (Elasticsearch, "7.16.3", "8.19.13", &["7.17"][..]),
            (Elasticsearch, "8.18.1", "9.4.3", &["8.19"]),
            (Elasticsearch, "7.17.15", "9.0.3", &["8.18", "8.19"]),
            (Opensearch, "1.3.13", "3.3.2", &["2.19"]),
            (Opensearch, "2.18.0", "3.3.2", &["2.19"]),
            (Elasticsearch, "8.19.13", "10.0.0", &[]),
        ] {
            let refused = NoWay::Source(from.into(), lines.to_vec());
            assert_eq!(leads(product, from, to), Err(refused), "{from} to {to}");
        }
        let newer = NoWay::Newer("8.19.14".into());
        assert_eq!(leads(Elasticsearch, "8.19.14", "8.19.13"), Err(newer));
        for to in ["8", "8.19", "8.0.0-rc1"] {
            let target = NoWay::Target(to.into());
            assert_eq!(leads(Elasticsearch, "7.17.15", to), Err(target));
        }
    }

    #[test]
    fn an_index_of_the_major_before_last_is_too_old_whoever_made_it() {
        let indices = [
            index("es-6", 6_082_399),
            index("es-7", 7_171_599),
            index("es-8", 8_536_000),
            index("os-1", OPENSEARCH ^ 1_031_399),
            index("os-2", OPENSEARCH ^ 2_190_199),
        ];
        let named = |product, of: &[usize], to: &str| -> Vec<String> {
            let of: Vec<Index> = of.iter().map(|&at| indices[at].clone()).collect();
            let found = too_old(product, &of, &version(to));
            found
                .into_iter()
                .map(|one| one.index.name.clone())
                .collect()
        };
        assert_eq!(named(Elasticsearch, &[0, 1, 2], "8.19.13"), ["es-6"]);
        assert_eq!(named(Elasticsearch, &[0, 1, 2], "9.4.3"), ["es-6", "es-7"]);
        assert_eq!(named(Opensearch, &[0, 1, 3, 4], "2.19.1"), ["es-6"]);
        let of_three = named(Opensearch, &[0, 1, 3, 4], "3.3.2");
        assert_eq!(of_three, ["es-6", "es-7", "os-1"]);
    }

    #[test]
    fn a_hidden_or_closed_one_is_named_as_such() {
        let mut hidden = index(".tasks", OPENSEARCH ^ 1_031_399);
        hidden.hidden = true;
        let mut closed = index("old", 7_100_299);
        closed.open = false;
        let indices = [hidden, closed];
        let told: Vec<String> = too_old(Opensearch, &indices, &version("3.3.2"))
            .into_iter()
            .map(|one| one.what)
            .collect();
        assert_eq!(
            told,
            [
                "made by 1.x (135249127), hidden",
                "made by Elasticsearch 7.x (7100299), closed"
            ]
        );
    }
}

//! What each line of the product is: the database it wants, the Java it runs on, where it comes from.

use liftlock_sdk::prelude::*;

/// What a line wants around it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Database {
    /// Minimum versions of the database, within one major: "8.16+" in the vendor's list of supported
    /// environments means within major 8.
    pub(crate) elasticsearch: &'static str,
    pub(crate) opensearch: &'static str,
    /// At least this Java, where Optimize is not run from the vendor's image.
    pub(crate) java: &'static str,
}

impl Database {
    /// The least that a line runs on, of this product; later ones of its major do too.
    pub(crate) fn least(&self, product: Distribution) -> &'static str {
        match product {
            Distribution::Elasticsearch => self.elasticsearch,
            Distribution::Opensearch => self.opensearch,
        }
    }
}

/// Lines as schema versions begin, the oldest first, with what they want. The oldest is only ever left.
const LINES: &[(&str, Option<Database>)] = &[
    ("3.13", None),
    ("8.6", Some(wants("8.13", "2.9"))),
    ("8.7", Some(wants("8.13", "2.9"))),
    ("8.8", Some(wants("8.16", "2.17"))),
    #[cfg(any(test, feature = "test-edge"))]
    ("8.9", Some(wants("8.16", "2.17"))),
    #[cfg(any(test, feature = "test-edge"))]
    ("8.10", Some(wants("8.16", "2.17"))),
];

const fn wants(elasticsearch: &'static str, opensearch: &'static str) -> Database {
    Database {
        elasticsearch,
        opensearch,
        java: "21",
    }
}

fn place(version: &Version) -> Option<usize> {
    LINES.iter().position(|(line, _)| version.matches(line))
}

/// Is it of a line that this plugin knows?
pub(crate) fn is_known(version: &Version) -> bool {
    place(version).is_some()
}

/// The database that a version of the product wants.
pub(crate) fn database(to: &Version) -> Option<&'static Database> {
    LINES.get(place(to)?)?.1.as_ref()
}

/// The vendor lists that version of a database for this version of the product.
pub(crate) fn lists(of: &Version, product: Distribution, version: &Version) -> bool {
    let least = database(of).and_then(|wants| wants.least(product).parse::<Version>().ok());
    least.is_some_and(|least| *version >= least && version.major() == least.major())
}

/// The line before this version's.
pub(crate) fn before(version: &Version) -> Option<&'static str> {
    let (line, _) = LINES.get(place(version)?.checked_sub(1)?)?;
    Some(line)
}

/// `3.13, 8.6, 8.7, 8.8`.
pub(crate) fn listed() -> String {
    let lines: Vec<&str> = LINES.iter().map(|(line, _)| *line).collect();
    lines.join(", ")
}

/// Optimize jumped from 8.8.8 to 8.8.24: the patch numbers between do not exist.
///
/// Optimize compares the schema version with its own as text, so that a site set to one of them would be
/// started by no release at all.
pub(crate) fn is_gap(version: &Version) -> bool {
    version.matches("8.8") && (9..24).contains(&version.patch())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::version;

    #[test]
    fn patch_numbers_that_were_never_released_are_known() {
        assert!(is_gap(&version("8.8.9")) && is_gap(&version("8.8.23")));
        assert!(
            !is_gap(&version("8.8.8")) && !is_gap(&version("8.8.24")) && !is_gap(&version("8.7.9"))
        );
    }

    #[test]
    fn a_database_is_listed_from_its_least_version_on_within_one_major() {
        use Distribution::{Elasticsearch, Opensearch};
        let lists = |of: &str, product, is: &str| lists(&version(of), product, &version(is));
        assert!(lists("8.7.0", Opensearch, "2.11.1") && lists("8.8.0", Opensearch, "2.19.1"));
        assert!(lists("8.7.0", Elasticsearch, "8.14.1") && lists("8.8.0", Elasticsearch, "8.16.0"));
        assert!(!lists("8.8.0", Opensearch, "2.11.1") && !lists("8.8.0", Opensearch, "3.3.2"));
        assert!(
            !lists("8.7.0", Elasticsearch, "8.12.2") && !lists("8.8.0", Elasticsearch, "8.15.5")
        );
        assert!(
            !lists("3.13.4", Elasticsearch, "8.19.13"),
            "nothing is known of it"
        );
    }

    #[test]
    fn the_line_before_8_6_is_3_13() {
        assert_eq!(before(&version("8.6.0")), Some("3.13"));
        assert_eq!(before(&version("3.13.4")), None);
        assert!(!is_known(&version("9.0.0")) && is_known(&version("8.8.24")));
    }
}

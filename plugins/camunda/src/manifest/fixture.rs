//! A schema as the vendor makes it, for tests to break.

use super::text;
use crate::catalog::Catalog;
use crate::catalog::Family;
use crate::version::Minor;

/// What a server would answer right after the create scripts of a version.
pub(crate) fn catalog(family: Family, minor: Minor) -> Catalog {
    let mut all = Catalog::default();
    for line in text::read(text::of(family)) {
        if line.minors.has(minor) {
            all.tables.extend(line.catalog.tables);
            all.columns.extend(line.catalog.columns);
            all.indexes.extend(line.catalog.indexes);
            all.constraints.extend(line.catalog.constraints);
        }
    }
    all
}

//! Indices and aliases of a site, found by their names.
//!
//! What was seen are lists, which checks go through once. A plan asks for one name after the other, as many as the
//! site has indices: looked for in the lists, that would cost the square of the site's size.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::edges::Hop;
use crate::names::Kind;
use crate::seen::Seen;
use crate::step::{StepKind, VendorStep};

/// What was seen, by name. Made once for each call.
#[derive(Debug)]
pub(crate) struct ByName<'a> {
    pub(crate) seen: &'a Seen,
    indices: BTreeMap<&'a str, &'a Index>,
    /// Of foreigners too.
    aliases_on: BTreeMap<&'a str, Vec<&'a Alias>>,
    /// Of Optimize's own names.
    aliases_named: BTreeMap<&'a str, Vec<&'a Alias>>,
    /// What each index is, in the order of the list.
    kinds: Vec<(&'a Index, Kind)>,
}

impl<'a> ByName<'a> {
    pub(crate) fn of(seen: &'a Seen) -> Self {
        let mut aliases_on: BTreeMap<&str, Vec<&Alias>> = BTreeMap::new();
        let mut aliases_named: BTreeMap<&str, Vec<&Alias>> = BTreeMap::new();
        for alias in &seen.aliases {
            aliases_named.entry(&alias.name).or_default().push(alias);
        }
        let foreign = seen.foreign_aliases.iter().flatten();
        for alias in seen.aliases.iter().chain(foreign) {
            // Not what the host marks an index with while it makes it.
            if !alias.name.starts_with("liftlock-") {
                aliases_on.entry(&alias.index).or_default().push(alias);
            }
        }
        Self {
            seen,
            indices: map_of(&seen.indices),
            aliases_on,
            aliases_named,
            kinds: seen
                .indices
                .iter()
                .map(|index| (index, seen.names.kind(&index.name)))
                .collect(),
        }
    }

    pub(crate) fn index(&self, name: &str) -> Option<&'a Index> {
        self.indices.get(name).copied()
    }

    /// Each index with what it is.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&'a Index, &Kind)> {
        self.kinds.iter().map(|(index, kind)| (*index, kind))
    }

    /// Aliases on that index, foreign ones too.
    pub(crate) fn aliases_on(&self, index: &str) -> &[&'a Alias] {
        self.aliases_on.get(index).map_or(&[], Vec::as_slice)
    }

    /// Where an alias of Optimize is.
    pub(crate) fn aliases_named(&self, alias: &str) -> &[&'a Alias] {
        self.aliases_named.get(alias).map_or(&[], Vec::as_slice)
    }

    /// That alias on that index.
    pub(crate) fn alias(&self, alias: &str, index: &str) -> Option<&'a Alias> {
        self.aliases_named(alias)
            .iter()
            .find(|on| on.index == index)
            .copied()
    }

    /// Indices that the hop deletes, in order of their names.
    pub(crate) fn doomed(&self, hop: &'static Hop) -> Vec<&'a Index> {
        self.indices
            .values()
            .filter(|index| hop.dooms_index(self.seen, &index.name))
            .copied()
            .collect()
    }

    /// What a step that deletes would delete now: index or template names, sorted.
    pub(crate) fn there(&self, step: &VendorStep) -> Vec<String> {
        let names = &self.seen.names;
        let object = step.object(names);
        if matches!(step.kind, StepKind::DeleteTemplate { .. }) {
            let there = self.seen.legacy_templates.iter();
            let there = there.filter(|template| template.name == object);
            return there.map(|template| template.name.clone()).collect();
        }
        self.indices
            .range(object.as_str()..)
            .map(|(name, _)| *name)
            .take_while(|name| name.starts_with(&object))
            .filter(|name| step.names_index(names, name))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// The old and the new version of an index that a step replaces.
    pub(crate) fn versions(&self, step: &VendorStep) -> (Option<&'a Index>, Option<&'a Index>) {
        let names = &self.seen.names;
        let source = step.source(names).and_then(|source| self.index(&source));
        (source, self.index(&step.object(names)))
    }
}

pub(crate) fn map_of(indices: &[Index]) -> BTreeMap<&str, &Index> {
    indices
        .iter()
        .map(|index| (index.name.as_str(), index))
        .collect()
}

//! The REST surface, one module an area; each has its own table of routes.

pub(crate) mod aliases;
pub(crate) mod by_query;
pub(crate) mod cat;
pub(crate) mod cluster;
pub(crate) mod docs;
pub(crate) mod indices;
pub(crate) mod nodes;
pub(crate) mod pipelines;
pub(crate) mod searches;
pub(crate) mod snapshots;
pub(crate) mod tasks;
pub(crate) mod templates;

use crate::router::Route;

/// Every route of every area.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    [
        cluster::ROUTES,
        nodes::ROUTES,
        cat::ROUTES,
        indices::ROUTES,
        aliases::ROUTES,
        templates::ROUTES,
        pipelines::ROUTES,
        docs::ROUTES,
        searches::ROUTES,
        by_query::ROUTES,
        tasks::ROUTES,
        snapshots::ROUTES,
    ]
    .into_iter()
    .flatten()
}

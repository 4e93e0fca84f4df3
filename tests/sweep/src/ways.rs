//! The plans that are swept: which site, from where, whereto.

use std::collections::BTreeMap;

use liftlock_lab::SiteSpec;

/// One plan.
#[derive(Debug, Clone)]
pub struct Way {
    /// Its name on the command line.
    pub name: &'static str,
    /// The site.
    pub spec: SiteSpec,
    /// The version that is there.
    pub from: &'static str,
    /// The version that is to be.
    pub to: &'static str,
    /// Of the plugin.
    pub options: BTreeMap<String, String>,
}

/// All of them.
pub fn all() -> Vec<Way> {
    vec![
        Way {
            name: "8.8",
            spec: small(SiteSpec::default()),
            from: "8.7.0",
            to: "8.8.0",
            options: options(),
        },
        Way {
            name: "8.6",
            spec: small(SiteSpec::of_3_13()),
            from: "3.13.4",
            to: "8.6.0",
            options: options(),
        },
    ]
}

/// A site with all indices and few documents: the requests are the same, and they are what counts.
fn small(spec: SiteSpec) -> SiteSpec {
    SiteSpec {
        process_keys: vec!["invoice".into()],
        decision_keys: vec!["classification".into()],
        process_instances: 5,
        decision_instances: 3,
        external_variables: 5,
        reports: 2,
        without_replicas: Vec::new(),
        archive_keys: if spec.archive_keys.is_empty() {
            Vec::new()
        } else {
            vec!["invoice".into()]
        },
        ..spec
    }
}

/// Nothing writes to the site, and waiting in real time shows nothing more of it.
fn options() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("prefix".to_owned(), "optimize".to_owned()),
        ("neighbours".to_owned(), "optimize-team-a".to_owned()),
        ("quiet-seconds".to_owned(), "0".to_owned()),
    ])
}

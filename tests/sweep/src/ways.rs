//! The plans that are swept: which site, from where, whereto, by which steps.

use std::collections::BTreeMap;

use liftlock_lab::SiteSpec;
use liftlock_testkit::Product;

use crate::script::Wish;

/// Which build of the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// The one that is released.
    Released,
    /// The one with a hop for tests: every index of process instances gets a new version.
    ForTests,
}

/// One plan.
#[derive(Debug, Clone)]
pub struct Way {
    /// Its name on the command line.
    pub name: &'static str,
    /// The server that is imitated.
    pub product: Product,
    /// Who plans.
    pub build: Build,
    /// The site.
    pub spec: SiteSpec,
    /// The version that is there.
    pub from: &'static str,
    /// The version that is to be.
    pub to: &'static str,
    /// Of the plugin.
    pub options: BTreeMap<String, String>,
    /// Steps at the same time.
    pub at_once: usize,
    /// The service has the vendor's upgrader as a task, and the plan runs it.
    pub has_vendor: bool,
    /// The families of its positions; none: all.
    pub families: Option<&'static [&'static str]>,
    /// Of its positions every so-manieth is one.
    pub every: usize,
}

impl Way {
    /// At a point of its run nothing else moves, so that a copy of everything is what a crash there leaves.
    pub fn stands_still(&self) -> bool {
        self.at_once == 1 && !self.has_vendor
    }

    /// What is to be planned for it.
    pub fn wish(&self) -> Wish {
        Wish {
            name: self.name,
            from: Some(self.from.into()),
            to: self.to.into(),
            options: self.options.clone(),
            hastens: None,
        }
    }

    /// A position of this family is one of its.
    pub fn has(&self, family: &str) -> bool {
        self.families
            .is_none_or(|families| families.contains(&family))
    }
}

/// Where the hop for tests begins and ends.
const TEST_HOP: (&str, &str) = ("8.9.0", "8.10.0");

/// Processes whose indices get a new version side by side: more than steps at once, so that some wait for others.
const PROCESSES: usize = 4;

/// Steps at the same time.
const AT_ONCE: usize = 3;

/// Of the positions of a second product: what differs is what a server answers, not where a run can be disturbed.
const OF_ANOTHER_PRODUCT: usize = 7;

/// Families of a way whose steps run at the same time. The others lay two images of one run over each other, which
/// only an order that is the same in each run allows.
const SIDE_BY_SIDE: &[&str] = &["kill", "kill-twice", "rollback", "fault", "thawed"];

/// Families of a way that the vendor's upgrader is in.
const VENDOR: &[&str] = &["orphan"];

/// All of them.
pub fn all() -> Vec<Way> {
    let native = |name, spec, from, to| Way {
        name,
        product: Product::OpenSearch2,
        build: Build::Released,
        spec: small(spec),
        from,
        to,
        options: options("native"),
        at_once: 1,
        has_vendor: false,
        families: None,
        every: 1,
    };
    let vendor = |name, spec, from, to| Way {
        options: options("vendor"),
        has_vendor: true,
        families: Some(VENDOR),
        ..native(name, spec, from, to)
    };
    let to_8_8 = native("8.8", SiteSpec::default(), "8.7.0", "8.8.0");
    let many = SiteSpec {
        schema_version: TEST_HOP.0.into(),
        ..SiteSpec::default()
    };
    vec![
        to_8_8.clone(),
        native("8.6", SiteSpec::of_3_13(), "3.13.4", "8.6.0"),
        Way {
            name: "8.8-elasticsearch",
            product: Product::Elasticsearch8,
            every: OF_ANOTHER_PRODUCT,
            ..to_8_8
        },
        vendor("8.8-vendor", SiteSpec::default(), "8.7.0", "8.8.0"),
        // With archives the vendor's tool is refused: it makes them anew, empty.
        vendor(
            "8.6-vendor",
            SiteSpec {
                archive_keys: Vec::new(),
                ..SiteSpec::of_3_13()
            },
            "3.13.4",
            "8.6.0",
        ),
        Way {
            build: Build::ForTests,
            spec: small(many).with_processes(PROCESSES),
            at_once: AT_ONCE,
            families: Some(SIDE_BY_SIDE),
            ..native("side-by-side", SiteSpec::default(), TEST_HOP.0, TEST_HOP.1)
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
fn options(strategy: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("prefix".to_owned(), "optimize".to_owned()),
        ("neighbours".to_owned(), "optimize-team-a".to_owned()),
        ("quiet-seconds".to_owned(), "0".to_owned()),
        ("strategy".to_owned(), strategy.to_owned()),
    ])
}

//! What the vendor's plans are made of: kinds of steps as data, and one step on one site.

use crate::names::Names;

/// What stands before the key in the name of an archive.
pub(crate) const ARCHIVE: &str = "process-instance-archive-";

/// What it means that an index to be deleted holds documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The vendor took it for unused: somebody wrote there all the same.
    Wrong,
    /// The vendor gave up what they were for, and deletes them knowingly.
    Known,
}

/// A kind of step, as it stands in the vendor's plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// Every index behind the alias of that name.
    DeleteIndex {
        name: &'static str,
        version: u32,
        full: WhenFull,
    },
    /// The legacy template of that name.
    DeleteTemplate { name: &'static str, version: u32 },
    /// The index gets a new version, without these fields.
    UpdateIndex {
        name: &'static str,
        to: u32,
        drops: &'static [&'static str],
    },
    /// One step for each archive of process instances, as the site has them.
    DeleteEachArchive { version: u32 },
    /// One step for each process definition, as the site has them: a new version of its index.
    #[cfg(any(test, feature = "test-edge"))]
    UpdateEachProcess { to: u32 },
}

impl StepKind {
    /// Is this index one that the step makes, by its name?
    pub(crate) fn makes(&self, names: &Names, index: &str) -> bool {
        match self {
            Self::UpdateIndex { name, to, .. } => {
                names.base(index) == Some(*name) && names.version(index) == Some(*to)
            }
            #[cfg(any(test, feature = "test-edge"))]
            Self::UpdateEachProcess { to } => {
                matches!(names.kind(index), crate::names::Kind::ProcessInstance(_))
                    && names.version(index) == Some(*to)
            }
            _ => false,
        }
    }
}

/// One step of the vendor's plan, on one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VendorStep {
    pub(crate) kind: &'static StepKind,
    /// Without prefix and version: `settings`, `process-instance-archive-invoice`.
    pub(crate) name: String,
}

impl VendorStep {
    /// Of a kind that is one step.
    pub(crate) fn one(kind: &'static StepKind) -> Option<Self> {
        match kind {
            StepKind::DeleteIndex { name, .. }
            | StepKind::DeleteTemplate { name, .. }
            | StepKind::UpdateIndex { name, .. } => Some(Self {
                kind,
                name: (*name).to_owned(),
            }),
            _ => None,
        }
    }

    /// Its type in the vendor's update log.
    pub(crate) fn log_type(&self) -> &'static str {
        match self.kind {
            StepKind::DeleteIndex { .. } | StepKind::DeleteEachArchive { .. } => {
                "schema-delete-index"
            }
            StepKind::DeleteTemplate { .. } => "schema-delete-template",
            _ => "schema-update-index",
        }
    }

    /// Its name in the vendor's update log. Deletions are without the prefix, but for archives, whose step has
    /// the default prefix as a fixed part of its name; updates are with it.
    pub(crate) fn log_name(&self, names: &Names) -> String {
        let versioned = self.versioned();
        match self.kind {
            StepKind::DeleteIndex { .. } => versioned,
            StepKind::DeleteTemplate { .. } => format!("{versioned}[Template]"),
            StepKind::DeleteEachArchive { .. } => format!("optimize-{versioned}"),
            _ => names.alias(&versioned),
        }
    }

    /// The template's name, what the names of the indices to be deleted begin with, or the new index.
    pub(crate) fn object(&self, names: &Names) -> String {
        names.alias(&self.versioned())
    }

    /// The alias that the product uses.
    pub(crate) fn alias(&self, names: &Names) -> String {
        names.alias(&self.name)
    }

    /// The index of the version before, where this one makes a new version.
    pub(crate) fn source(&self, names: &Names) -> Option<String> {
        self.is_update().then(|| {
            names.alias(&format!(
                "{}_v{}",
                self.name,
                self.version().saturating_sub(1)
            ))
        })
    }

    pub(crate) fn is_update(&self) -> bool {
        !matches!(
            self.kind,
            StepKind::DeleteIndex { .. }
                | StepKind::DeleteTemplate { .. }
                | StepKind::DeleteEachArchive { .. }
        )
    }

    pub(crate) fn deletes_index(&self) -> bool {
        matches!(
            self.kind,
            StepKind::DeleteIndex { .. } | StepKind::DeleteEachArchive { .. }
        )
    }

    /// Fields that the new version is without.
    pub(crate) fn drops(&self) -> &'static [&'static str] {
        match self.kind {
            StepKind::UpdateIndex { drops, .. } => drops,
            _ => &[],
        }
    }

    /// Documents in what it deletes are a surprise.
    pub(crate) fn wants_empty(&self) -> bool {
        matches!(
            self.kind,
            StepKind::DeleteIndex {
                full: WhenFull::Wrong,
                ..
            }
        )
    }

    /// Is this index one that the step deletes, by its name?
    pub(crate) fn names_index(&self, names: &Names, index: &str) -> bool {
        // Asked for each index of a site and each step: the step's own name is compared before its version is
        // written out for it.
        let version = || {
            names
                .inside(index)?
                .strip_prefix(self.name.as_str())?
                .strip_prefix("_v")
        };
        self.deletes_index()
            && version()
                .and_then(|rest| rest.strip_prefix(self.version().to_string().as_str()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    fn version(&self) -> u32 {
        match self.kind {
            StepKind::DeleteIndex { version, .. }
            | StepKind::DeleteTemplate { version, .. }
            | StepKind::DeleteEachArchive { version } => *version,
            StepKind::UpdateIndex { to, .. } => *to,
            #[cfg(any(test, feature = "test-edge"))]
            StepKind::UpdateEachProcess { to } => *to,
        }
    }

    fn versioned(&self) -> String {
        format!("{}_v{}", self.name, self.version())
    }
}

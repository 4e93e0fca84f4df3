//! Traps: sites that are broken as they are broken in the field, each by a name of its own.
//!
//! For each the site is built, the real `liftlock` binary looks at it, and what it says is compared:
//! exactly the trap's findings beside those of a healthy site, each with its remedy, and nothing
//! touched. Then the remedy is followed, after which the finding must be gone.
//!
//! - [`answer`]: what `check` answers, and whether a trap should be told so
//! - `diagnosis`: what `check` and `plan` say, compared with what is usual
//! - [`ground`]: a simulated cluster, or one real server that all traps share
//! - `site_file`: `site.toml` while a trap is set in it
//! - [`scene`]: the site, its operator, and how an answer is judged
//! - `identity`: metadata, prefixes, versions, the update log
//! - `indices`, `templates`, `servers`: blocks and aliases; templates; version, heap and disks
//! - `others`: what somebody else does meanwhile
//! - `runs`: what keeps nobody from upgrading
//! - `reindex`: where the vendor's own upgrader loses documents
//! - [`kuzzle`]: the traps of Kuzzle, on real servers
//! - [`rolling`]: the traps of Camunda 7, on sites of another kind

/// A list of traps, all of one type and set on values of one type.
macro_rules! traps {
    ($kind:ident; $($on:ident $name:literal, $spring:path, $without:literal;)*) => {
        /// All traps, in the order in which they are set: those of one site or server together.
        pub const TRAPS: &[Trap] = &[$(Trap {
            name: $name,
            without: $without,
            on: $kind::$on,
            spring: |scene| Box::pin($spring(scene)),
        },)*];
    };
}

pub mod answer;
mod diagnosis;
pub mod ground;
mod identity;
mod indices;
pub mod kuzzle;
mod others;
mod reindex;
pub mod rolling;
mod runs;
pub mod scene;
mod servers;
mod site_file;
mod templates;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::site::Shape;

pub use ground::Ground;
pub use scene::Scene;

use crate::proof::ensure;
use crate::stage::Kit;
use crate::tally::Tally;

type Springing<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// One trap of a product.
#[derive(Clone, Copy)]
pub struct TrapOn<On, Spring> {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// What happens there without Liftlock, with the vendor's own upgrader or by hand: seen in a run of it, unless the
    /// text says that it was read in its sources or reported by others.
    pub without: &'static str,
    /// The site or server that it is set on.
    pub on: On,
    spring: Spring,
}

impl<On, Spring> fmt::Debug for TrapOn<On, Spring> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One trap of Optimize, and the site that it is set on.
pub type Trap = TrapOn<Shape, for<'a, 'b> fn(&'a mut Scene<'b>) -> Springing<'a>>;

traps! {
    Shape;
    Of8_7 "metadata-document-missing", identity::document_missing,
        "skips its steps, writes 8.8.0 with a new installation id, exit 0";
    Of8_7 "metadata-index-missing", identity::index_missing,
        "skips its steps and makes an empty metadata index, exit 0";
    Of8_7 "wrong-prefix", identity::wrong_prefix,
        "makes 21 empty indices beside the real site, exit 0";
    Of8_7 "overlapping-prefix", identity::overlapping_prefix,
        "asks for the settings of `optimize*`, which matches the other tenant as well (read)";
    Of8_7 "schema-newer", identity::schema_newer,
        "puts the older settings and mappings on the newer schema, exit 0";
    Of8_7 "minor-skipped", identity::minor_skipped,
        "ends with exit 1 and one line, which does not say what way leads there";
    Of8_7 "update-log-kept", identity::log_kept,
        "skips all three steps and sets 8.8.0; what they delete stays, exit 0";
    Of8_7 "read-only", indices::read_only,
        "sets 8.8.0, then dies in its sync at the blocked index, exit 1";
    Of8_7 "read-only-allow-delete", indices::read_only_allow_delete,
        "on OpenSearch sets 8.8.0 and dies in its sync; on Elasticsearch passes, and the block stays";
    Of8_7 "doomed-alias-missing", indices::doomed_alias_missing,
        "records the deletion as done and leaves the index as an orphan, exit 0";
    Of8_7 "doomed-index-with-documents", indices::doomed_has_documents,
        "deletes them without a word, exit 0 (read)";
    Of8_7 "partially-deleted", indices::partially_deleted,
        "makes the lost index anew, empty; or the new Optimize does not start (reported)";
    Of8_7 "wildcard-template", templates::wildcard,
        "its legacy templates are ignored: indices get the provider's mappings and settings (reported)";
    Of8_7 "template-of-other-kind", templates::composable_twin,
        "deletes the legacy template only; the other one stays, exit 0 (read)";
    Of8_7 "database-too-old", servers::too_old,
        "does not look at the version of the database (read)";
    Of8_7 "heap-small", servers::small_heap,
        "does not look at the heap of the database";
    Of8_7 "disk-flood", servers::flood,
        "fails in its sync with 429 after the version is set, exit 1";
    Of8_7 "disk-too-small", servers::too_little,
        "does not look at the disk; a copy fails with `Error while trying to read reindex progress!` (reported)";
    Of8_7 "scripted-reindex-running", others::reindex_running,
        "does not recognise the task by its text and starts a second reindex beside it";
    Of8_7 "snapshot-running", others::snapshot_running,
        "tries the deletion every 30 s for ever";
    Of8_7 "foreign-decision-alias", runs::foreign_alias,
        "dies before its first step: `Range [17, 9) out of bounds for length 9`, exit 1";
    Of8_7 "second-upgrader-now", others::second_upgrader_now,
        "has no lock: two work at once, and the loser dies in the middle";
    Of8_7 "second-upgrader-since-the-plan", others::second_upgrader_since_plan,
        "knows no plan and no approval";
    Of8_7 "snapshot-waived", runs::snapshot_waived,
        "takes no snapshot and asks for none";
    Of8_7 "optimize-running", others::optimize_running,
        "does not look: what a running Optimize imports meanwhile is lost or half upgraded";
    Of8_7 "hand-tuned-replicas", runs::tuned_replicas,
        "its sync puts them to what its own configuration says, exit 0";
    Of3_13 "archive-named-process", reindex::archive_named,
        "its plan to 8.6 deletes the data of such a process, as if it was an archive (by its names, not tried)";
    Of3_13 "alias-with-routing", reindex::alias_with_routing,
        "sets a write flag on the new index and nothing else (read)";
    Of3_13 "equal-counts", reindex::equal_counts,
        "takes equal counts for a finished copy and deletes the source: all documents lost, exit 0";
    Of3_13 "unrefreshed-source", reindex::unrefreshed,
        "counts 0 and 0, copies nothing and deletes the source: all documents lost, exit 0";
}

/// Traps in which the two products do not do the same.
const BY_PRODUCT: [&str; 4] = [
    "read-only",
    "read-only-allow-delete",
    "disk-flood",
    "database-too-old",
];

impl Trap {
    /// Whether the two products differ in it.
    pub fn is_by_product(&self) -> bool {
        BY_PRODUCT.contains(&self.name)
    }
}

/// What lies in the cluster beside the site while a trap is set.
const LEFT_BY_TRAPS: [&str; 4] = [
    "/_index_template/provider-everything",
    "/_index_template/optimize-external-process-variable_v2",
    "/_snapshot/nightly/1",
    "/_snapshot/nightly",
];

/// Longest wait for something that a server does by itself. The slowest is its look at the disks,
/// every ten seconds; on a busy machine twice that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
async fn until<F: Future<Output = anyhow::Result<bool>>>(
    what: &str,
    holds: impl Fn() -> F,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds().await? {
        if begun.elapsed() > PATIENCE {
            bail!("waited {} s in vain until {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// An error unless a text is in another.
fn says(text: &str, part: &str) -> anyhow::Result<()> {
    ensure(text.contains(part), format!("`{part}` is not in: {text}"))
}

/// Sets these traps one after another; each is one check.
pub async fn spring(
    kit: &Kit,
    ground: &Ground,
    traps: &[Trap],
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut scene = Scene::new(kit, ground).await?;
    for trap in traps {
        let begun = Instant::now();
        scene.at(trap.on).await?;
        let result = (trap.spring)(&mut scene).await;
        let mut lines = vec![format!("the vendor's upgrader: {}", trap.without)];
        lines.extend(scene.take_lines());
        report(tally, trap.name, begun, result, &lines);
        scene.reset().await?;
    }
    Ok(())
}

/// One trap is one check, with what was seen of it.
fn report(
    tally: &mut Tally,
    name: &str,
    begun: Instant,
    result: anyhow::Result<()>,
    lines: &[String],
) {
    let seconds = begun.elapsed().as_secs_f64();
    tally.check(&format!("{name} ({seconds:.1} s)"), result);
    for line in lines {
        tally.note(line);
    }
}

/// The traps of these names, or all of them.
///
/// # Errors
/// There is none of that name.
pub fn named<On: Copy, Spring: Copy>(
    all: &[TrapOn<On, Spring>],
    wanted: &[String],
) -> anyhow::Result<Vec<TrapOn<On, Spring>>> {
    if wanted.is_empty() {
        return Ok(all.to_vec());
    }
    wanted
        .iter()
        .map(|name| {
            let known = all.iter().find(|trap| trap.name == name);
            known.copied().with_context(|| {
                let names: Vec<&str> = all.iter().map(|trap| trap.name).collect();
                format!("there is no trap `{name}`, only: {}", names.join(", "))
            })
        })
        .collect()
}

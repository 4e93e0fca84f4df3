//! What every plan of this plugin does around its own steps: Optimize stopped, the state of before kept, a snapshot.

use liftlock_sdk::prelude::*;

use crate::descriptor::{BACKUPS, OPTIMIZE};
use crate::names::Kind;
use crate::seen::{METADATA_ID, Seen};

/// Capture of lists: indices, aliases, templates, metadata.
pub(crate) const BASELINE: &str = "baseline";
/// Captures of checksums; a number follows.
pub(crate) const CONTENT_BEFORE: &str = "content-before";
/// Likewise, at the end.
pub(crate) const CONTENT_AFTER: &str = "content-after";

/// Capture of the indices right before an Optimize starts: from then on it writes.
pub(crate) const SETTLED: &str = "settled";

/// The step that stops Optimize, where it is bound.
pub(crate) const STOP: &str = "stop-optimize";

/// Checksums in one capture. The host takes lists of at most 1,000; half of that leaves room.
const CHECKSUMS_PER_CAPTURE: usize = 500;

/// How long a running snapshot of someone else is waited for.
///
/// One hour: a first snapshot of a large site takes that; an incremental one takes minutes.
pub(crate) const SNAPSHOT_PATIENCE_MS: u64 = 3_600_000;

/// What such steps are made of.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) site: &'a Site,
    pub(crate) seen: &'a Seen,
    pub(crate) database: &'a Cluster,
    pub(crate) plan: &'a Plan<'a>,
}

impl Around<'_> {
    /// Optimize is stopped, or attested to be, and then nothing is written.
    pub(crate) fn stop(&self) -> Result<()> {
        let step = if self.site.has(OPTIMIZE) {
            let optimize = Service::open(self.site, OPTIMIZE)?;
            self.plan
                .step(STOP, Phase::Prepare, "stop Optimize")
                .because("it imports while it runs; what it writes during the upgrade would be lost or half-upgraded")
                .does(optimize.stop())
                .ends_when("Optimize is stopped", optimize.stopped())
                .work("restarts", 1)
        } else {
            self.plan
                .step("attest-stopped", Phase::Prepare, "attest that Optimize is stopped")
                .because("no service is bound, so that the host cannot stop it or look")
                .hands_over(
                    "Stop every instance of Optimize that uses this database, and keep it stopped until this run \
                     has ended; then attest it.",
                )
        };
        let quiet = self.quiet_names();
        let quiet: Vec<&str> = quiet.iter().map(String::as_str).collect();
        step.ends_when(
            "nothing writes to Optimize's indices, import positions stand still",
            self.database
                .quiet(&quiet)
                .stable_for_ms(self.seen.quiet_ms),
        )
        .add()
        .map(drop)
    }

    /// Indices whose silence shows that Optimize is stopped, without those of neighbours.
    fn quiet_names(&self) -> Vec<String> {
        let mut quiet: Vec<String> = self
            .seen
            .indices
            .iter()
            .filter(|index| {
                index.open && matches!(self.seen.names.kind(&index.name), Kind::Fixed(_))
            })
            .map(|index| index.name.clone())
            .collect();
        quiet.sort();
        quiet.push(self.seen.names.alias("process-instance-*"));
        quiet.push(self.seen.names.alias("decision-instance-*"));
        quiet
    }

    /// Checksums of these indices, with their documents; captures bear the name with a number behind it. Before
    /// [`Self::baseline`]: a checksum refreshes its index, so that the counts in the lists are the true ones.
    pub(crate) fn capture_content(
        &self,
        name: &str,
        phase: Phase,
        title: &str,
        compared: &[(String, u64)],
    ) -> Result<()> {
        let documents: u64 = compared.iter().map(|(_, docs)| docs).sum();
        for (at, part) in compared.chunks(CHECKSUMS_PER_CAPTURE).enumerate() {
            let id = format!("{name}-{}", at + 1);
            self.plan
                .step(id.as_str(), phase, title)
                .because("counts alone do not show that a document was replaced")
                .captures(
                    &id,
                    part.iter()
                        .map(|(index, _)| self.database.read_checksum(index)),
                )
                .work("documents", if at == 0 { documents } else { 0 })
                .add()?;
        }
        Ok(())
    }

    /// The state of before, in lists.
    pub(crate) fn baseline(&self) -> Result<()> {
        let names = &self.seen.names;
        let mut baseline = vec![
            self.database.read_indices(&names.all()),
            self.database.read_aliases(&names.all()),
            self.database
                .read_templates(TemplateKind::Legacy, &names.all()),
            self.database.read_document(&names.metadata(), METADATA_ID),
        ];
        for neighbour in &self.seen.neighbours {
            baseline.push(self.database.read_indices(&format!("{neighbour}-*")));
        }
        self.plan
            .step(BASELINE, Phase::Prepare, "keep the state of before")
            .because("after the writers have stopped, so that the end can be compared with it")
            .captures(BASELINE, baseline)
            .add()
            .map(drop)
    }

    /// The state of after, before an Optimize writes again.
    pub(crate) fn settle(&self, phase: Phase) -> Result<()> {
        self.plan
            .step(SETTLED, phase, "keep the state of after")
            .because("from its start on Optimize writes, so that the end is compared with this")
            .captures(
                SETTLED,
                [self.database.read_indices(&self.seen.names.all())],
            )
            .add()
            .map(drop)
    }

    /// The way back, a snapshot of before what is named here; the id of the step that takes it.
    pub(crate) fn protect(&self, before: &str) -> Result<Option<String>> {
        if !self.site.has(BACKUPS) {
            return Ok(None);
        }
        let backups = Repository::open(self.site, BACKUPS)?;
        let names = &self.seen.names;
        let except: Vec<String> = self
            .seen
            .neighbours
            .iter()
            .map(|neighbour| format!("{neighbour}-*"))
            .collect();
        let bytes = self.seen.primary_bytes();
        let snapshot = self
            .plan
            .step("snapshot", Phase::Protect, "snapshot Optimize's indices")
            .because(
                "the way back once something is deleted; templates are kept beside it by the host",
            )
            .does(backups.take(
                &format!("{}-before-{before}", names.prefix()),
                &[names.all()],
                &except,
            ))
            .opens_when(
                "no snapshot runs",
                backups.none_running().patience_ms(SNAPSHOT_PATIENCE_MS),
            )
            .work("bytes", bytes)
            .add()?;
        let mut prove = self
            .plan
            .step(
                "prove-snapshot",
                Phase::Protect,
                "restore it on trial and compare",
            )
            .because("a backup that was never restored is no backup")
            .does(backups.prove(&snapshot))
            .after(&snapshot)
            .work("bytes", bytes);
        for (node, bytes) in trial_restore_peaks(self.seen) {
            prove = prove.peak_disk(&node, bytes);
        }
        prove.add()?;
        Ok(Some(snapshot))
    }
}

/// What the trial restore takes on each data node: an even share, at least the largest shard, since the copies
/// have no replicas.
pub(crate) fn trial_restore_peaks(seen: &Seen) -> Vec<(String, u64)> {
    let nodes: Vec<&str> = seen.data_nodes().map(|node| node.name.as_str()).collect();
    let share = seen.primary_bytes().div_ceil(nodes.len().max(1) as u64);
    let largest = seen
        .shards
        .iter()
        .filter(|shard| shard.primary)
        .map(|shard| shard.bytes)
        .max();
    nodes
        .into_iter()
        .map(|node| (node.to_owned(), share.max(largest.unwrap_or_default())))
        .collect()
}

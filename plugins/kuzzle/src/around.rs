//! What both methods do around the storage: Kuzzles are stopped and started, and what the collections hold is kept.

use liftlock_sdk::prelude::*;

use crate::descriptor::{ALIASES, HEALTH, SERVER_INFO};
use crate::kuzzle::{KuzzleService, Kuzzles};
use crate::options::Options;
use crate::seen::Seen;
use crate::watch;

/// What the collections were before.
pub(crate) const BEFORE: &str = "before";
/// The same afterwards.
pub(crate) const AFTER: &str = "after";

/// What they are at the end of the watch.
pub(crate) const WATCHED: &str = "watched";

/// Reads in one capture. The host takes lists of at most 1,000; half of that leaves room.
const READS_PER_CAPTURE: usize = 500;

/// How long a running snapshot of someone else is waited for: a first one of a large site takes that long.
pub(crate) const SNAPSHOT_PATIENCE_MS: u64 = 3_600_000;

/// How long a Kuzzle that was started is waited for.
const KUZZLE_PATIENCE_MS: u64 = 300_000;

/// What such steps are made of.
pub(crate) struct Around<'a> {
    pub(crate) site: &'a Site,
    pub(crate) seen: &'a Seen,
    pub(crate) kuzzles: &'a Kuzzles,
    pub(crate) options: &'a Options,
    pub(crate) to: &'a str,
    pub(crate) plan: &'a Plan<'a>,
}

impl Around<'_> {
    /// Bytes of all collections, without their replicas.
    pub(crate) fn bytes(&self) -> u64 {
        let ours = self.seen.ours(self.options);
        ours.map(|index| index.primary_bytes).sum()
    }

    /// What a snapshot of collections does not hold: the cluster's own settings and templates.
    pub(crate) fn keep_settings(&self, on: &Cluster) -> Result<()> {
        let settings = [SettingScope::Persistent, SettingScope::Transient]
            .map(|scope| on.read_cluster_settings(scope));
        let templates = [
            TemplateKind::Legacy,
            TemplateKind::Composable,
            TemplateKind::Component,
        ]
        .map(|kind| on.read_templates(kind, "*"));
        self.plan
            .step(
                "keep-settings",
                Phase::Prepare,
                "keep the cluster's settings and templates",
            )
            .because("no snapshot of collections holds them: they stand in the journal, and `liftlock audit` shows them")
            .captures("settings-1", settings.into_iter().chain(templates))
            .add()
            .map(drop)
    }

    /// Kuzzle and its storage are watched for a while.
    pub(crate) fn watch(&self, binding: &str, status: &str) -> Result<()> {
        let on = Cluster::open(self.site, binding)?;
        let patterns = self.options.patterns();
        let reads = patterns.iter().map(|pattern| on.read_indices(pattern));
        let seconds = self.options.watch_ms / 1_000;
        self.plan
            .step(
                "watch",
                Phase::Validate,
                &format!("watch Kuzzle and its storage for {seconds} s"),
            )
            .because("some of what is wrong shows itself only under load")
            .opens_when(
                &format!("both stay well for {seconds} s"),
                watch::well(binding, status, self.options),
            )
            .captures(&format!("{WATCHED}-1"), reads)
            .add()
            .map(drop)
    }

    /// Every Kuzzle is stopped, and then nobody writes.
    pub(crate) fn stop_kuzzles(&self, storage: &Cluster, because: &str) -> Result<()> {
        let last = self.kuzzles.services.len().saturating_sub(1);
        for (at, kuzzle) in self.kuzzles.services.iter().enumerate() {
            let service = Service::open(self.site, &kuzzle.binding)?;
            let title = format!("{}: stop", kuzzle.name);
            let mut step = self
                .plan
                .step(stop_id(kuzzle), Phase::Prepare, &title)
                .because(because)
                .does(service.stop())
                .work("restarts", 1);
            if at == last {
                let patterns = self.options.patterns();
                let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
                let quiet = storage.quiet(&patterns);
                step = step.ends_when(
                    "nobody writes to the collections",
                    quiet.stable_for_ms(self.options.quiet_ms),
                );
            }
            step.add()?;
        }
        Ok(())
    }

    /// Lists first, then each collection's mapping and a checksum over its ids and documents.
    pub(crate) fn capture(
        &self,
        on: &Cluster,
        name: &str,
        phase: Phase,
        whose: &str,
    ) -> Result<()> {
        let mut reads = vec![on.read_aliases(ALIASES)];
        for pattern in self.options.patterns() {
            reads.push(on.read_indices(&pattern));
        }
        for index in self.seen.ours(self.options).filter(|index| index.open) {
            reads.push(on.read_mappings(&index.name));
            reads.push(on.read_checksum(&index.name));
        }
        let documents: u64 = self.seen.ours(self.options).map(|index| index.docs).sum();
        let mut number = 0;
        let mut reads = reads.into_iter().peekable();
        while reads.peek().is_some() {
            number += 1;
            let part: Vec<_> = reads.by_ref().take(READS_PER_CAPTURE).collect();
            let id = format!("{name}-{number}");
            let title =
                format!("keep what each collection is on {whose}: alias, mapping, checksum");
            self.plan
                .step(id.as_str(), phase, &title)
                .because("counts alone do not show that a document was replaced")
                .captures(&id, part)
                .work("documents", if number == 1 { documents } else { 0 })
                .add()?;
        }
        Ok(())
    }

    /// Those that were stopped serve again, and are well.
    pub(crate) fn start_kuzzles(&self) -> Result<()> {
        for kuzzle in &self.kuzzles.services {
            let (name, title) = (&kuzzle.name, format!("{}: start", kuzzle.name));
            let step = self
                .plan
                .step(format!("{name}-start"), Phase::Switch, &title)
                .gives_back(&stop_id(kuzzle));
            self.is_well(kuzzle, step)?.add()?;
        }
        Ok(())
    }

    /// The same of those that went on.
    pub(crate) fn restart_kuzzles(&self) -> Result<()> {
        for kuzzle in &self.kuzzles.services {
            let (name, title) = (&kuzzle.name, format!("{}: restart", kuzzle.name));
            let service = Service::open(self.site, &kuzzle.binding)?;
            let step = self
                .plan
                .step(format!("{name}-restart"), Phase::Switch, &title)
                .because("it reads its configuration when it starts")
                .does(service.restart())
                .work("restarts", 1);
            self.is_well(kuzzle, step)?.add()?;
        }
        Ok(())
    }

    /// Its own API says so, where it is bound.
    fn is_well(&self, kuzzle: &KuzzleService, step: StepBuilder) -> Result<StepBuilder> {
        let endpoint = format!("endpoint.{}", kuzzle.name);
        if !self.site.has(&endpoint) {
            return Ok(step);
        }
        let api = Endpoint::open(self.site, &endpoint)?;
        let healthy = json!({ "result": { "status": "green" } });
        let storage = json!({ "internalStorage": { "version": self.to } });
        let info = json!({ "result": { "serverInfo": { "services": storage } } });
        let answers = |path: &str, subset: &Value| {
            api.answers(path, &[], 200, &subset.to_string())
                .patience_ms(KUZZLE_PATIENCE_MS)
        };
        Ok(step
            .ends_when("its deep health is green", answers(HEALTH, &healthy))
            .ends_when(
                &format!("it says that its storage is {}", self.to),
                answers(SERVER_INFO, &info),
            ))
    }
}

fn stop_id(kuzzle: &KuzzleService) -> String {
    format!("{}-stop", kuzzle.name)
}

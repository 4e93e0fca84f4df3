//! A site on which one trap after another is set, and the operator who looks at it.

use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::Dump;
use liftlock_lab::SiteSpec;
use liftlock_lab::diff;
use liftlock_lab::site::Shape;
use reqwest::Method;
use serde_json::Value;

use super::answer::Found;
use super::answer::Meant;
use super::diagnosis::Diagnosis;
use super::ground::Ground;
use super::site_file::SiteFile;
use crate::operator::Told;
use crate::proof;
use crate::proof::TO;
use crate::stage::Kit;
use crate::stage::REPOSITORY;
use crate::stage::Round;
use crate::stage::Stage;
use crate::tally::same;

/// How often time passes on a simulated cluster while a command waits for it.
const TICK: Duration = Duration::from_millis(200);

/// One 8.7 site, its operator, and what was seen of the trap that is set now.
pub struct Scene<'a> {
    /// The cluster.
    pub ground: &'a Ground,
    /// The proxy and the folders.
    pub stage: Stage,
    /// The operator.
    pub round: Round,
    spec: SiteSpec,
    /// The site without a trap.
    healthy: Dump,
    diagnosis: Diagnosis,
    site_file: SiteFile,
    /// Indices that change by themselves while a trap is looked at.
    moving: Vec<String>,
}

impl<'a> Scene<'a> {
    /// Builds the site, adds the plugin and grants it what it asks for.
    pub async fn new(kit: &Kit, ground: &'a Ground) -> anyhow::Result<Self> {
        let stage = Stage::new(kit, &ground.target, &ground.repositories).await?;
        let spec = site(Shape::Of8_7);
        let round = stage.fresh(&spec).await?;
        proof::introduce(&round).await?;
        let operator = &round.operator;
        Ok(Self {
            ground,
            stage,
            spec,
            healthy: round.before.clone(),
            diagnosis: Diagnosis::healthy(operator, TO).await?,
            site_file: SiteFile::of(operator)?,
            round,
            moving: Vec::new(),
        })
    }

    /// Builds a site of that shape, unless it has it already.
    pub async fn at(&mut self, shape: Shape) -> anyhow::Result<()> {
        if self.spec.shape != shape {
            self.spec = site(shape);
            self.renew().await?;
            self.diagnosis.learn(&self.round.operator).await?;
        }
        Ok(())
    }

    /// The name of an index or alias of the site.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.spec.prefix)
    }

    /// A line of the report.
    pub fn say(&mut self, line: impl Into<String>) {
        self.diagnosis.say(line);
    }

    /// The lines since the last call.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.diagnosis.take_lines()
    }

    /// Breaks the site with one request past the proxy, as somebody else does.
    pub async fn set(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<()> {
        self.mend(method, path, body).await.map(drop)
    }

    /// Mends it the same way.
    pub async fn mend(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        Ok(self.ground.target.ask(method, path, body.as_ref()).await?)
    }

    /// Replaces a text in `site.toml`, and gives the grant that then has to be given.
    pub async fn set_site_file(&self, old: &str, new: &str) -> anyhow::Result<()> {
        self.site_file.set(&self.round.operator, old, new).await
    }

    /// Puts `site.toml` back.
    pub async fn mend_site_file(&self) -> anyhow::Result<()> {
        self.site_file.put_back(&self.round.operator).await
    }

    /// An index that changes by itself while the trap is set, so that it is not compared.
    pub fn moves(&mut self, index: &str) {
        self.moving.push(index.to_owned());
    }

    /// `check` says exactly these, beside what it says of a healthy site; a blocker keeps `plan` from
    /// writing a plan; and nobody touched anything. Gives the findings in the order of `expected`.
    pub async fn finds(&mut self, expected: &[(Meant, &str)]) -> anyhow::Result<Vec<Found>> {
        self.finds_on_the_way_to(TO, expected).await
    }

    /// The same for another target.
    pub async fn finds_on_the_way_to(
        &mut self,
        to: &str,
        expected: &[(Meant, &str)],
    ) -> anyhow::Result<Vec<Found>> {
        let before = self.dump().await?;
        self.stage.proxy.clear();
        self.none_is_usual(expected)?;
        let operator = &self.round.operator;
        let found = self
            .diagnosis
            .finds_on_the_way_to(to, operator, expected)
            .await?;
        self.untouched(&before).await?;
        Ok(found)
    }

    /// Puts findings into the report.
    pub fn show(&mut self, found: &[Found]) {
        self.diagnosis.show(found);
    }

    /// `check` said exactly these, beside what it says of a healthy site. Gives them in that order.
    pub fn judge(&self, told: &Told, expected: &[(Meant, &str)]) -> anyhow::Result<Vec<Found>> {
        self.none_is_usual(expected)?;
        self.diagnosis.judge(told, expected)
    }

    /// A simulated site has no trap until one is set: what is found there always shows nothing. A real server of the lab
    /// has a small heap anyway.
    fn none_is_usual(&self, expected: &[(Meant, &str)]) -> anyhow::Result<()> {
        let mut ids = expected.iter().map(|(_, id)| *id);
        match ids.find(|id| self.diagnosis.is_usual(id)) {
            Some(id) if self.ground.simulated_cluster().is_some() => {
                bail!("`{id}` is found on a healthy site too")
            }
            _ => Ok(()),
        }
    }

    /// No request that may change anything was sent, and the cluster is as it was.
    pub async fn untouched(&mut self, before: &Dump) -> anyhow::Result<()> {
        same(&[], &self.stage.changes()).context("changing requests")?;
        let after = self.dump().await?;
        same(&[], &self.differences(before, &after)).context("the site")?;
        self.say("untouched: no changing request was sent, the site is as it was");
        Ok(())
    }

    /// Runs a command that may wait for what time brings: on a simulated cluster it passes meanwhile.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Told> {
        self.run_while(arguments, std::future::ready(Ok(()))).await
    }

    /// The same, but time passes only when something else is over, which the command has to wait for.
    pub async fn run_while(
        &self,
        arguments: &[&str],
        first: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Told> {
        let told = self.round.operator.run(arguments);
        let mut told = std::pin::pin!(told);
        tokio::select! {
            biased;
            over = first => over?,
            told = &mut told => bail!("it did not wait\n{}", told?),
        }
        loop {
            tokio::select! {
                told = &mut told => return told,
                () = tokio::time::sleep(TICK) => self.ground.let_time_pass(),
            }
        }
    }

    /// A run that stopped before its first change left the site as it was; what it borrowed to get
    /// there is given back.
    pub async fn borrowed_only(&mut self, before: &Dump) -> anyhow::Result<()> {
        let changes: Vec<String> = self
            .stage
            .changes()
            .into_iter()
            .filter(|line| !line.contains("/_component_template/liftlock-"))
            .collect();
        same(&[], &changes).context("changing requests beside the claim")?;
        let after = self.dump().await?;
        same(&[], &self.differences(before, &after)).context("the site")?;
        self.say(
            "untouched: nothing but the claim was written, and it is gone; the site is as it was",
        );
        Ok(())
    }

    /// Whether the operator's repository holds a snapshot.
    pub async fn snapshot_taken(&self) -> anyhow::Result<bool> {
        let path = format!("/_snapshot/{REPOSITORY}/_all");
        let answer = self.ground.target.get(&path).await?;
        Ok(answer["snapshots"]
            .as_array()
            .is_some_and(|all| !all.is_empty()))
    }

    /// A new site with a new operator: after a run the old one's Optimize is stopped.
    pub async fn renew(&mut self) -> anyhow::Result<()> {
        self.moving.clear();
        self.stage.proxy.clear_rules();
        self.sweep().await?;
        self.round = self.stage.fresh(&self.spec).await?;
        proof::introduce(&self.round).await?;
        self.healthy = self.round.before.clone();
        self.site_file = SiteFile::of(&self.round.operator)?;
        Ok(())
    }

    /// What differs, but for indices that change by themselves.
    pub fn differences(&self, before: &Dump, after: &Dump) -> Vec<String> {
        diff(before, after)
            .into_iter()
            .filter(|line| {
                !self
                    .moving
                    .iter()
                    .any(|index| line.contains(index.as_str()))
            })
            // The server makes it when a task ends.
            .filter(|line| !line.starts_with("~ system"))
            .collect()
    }

    /// The cluster as it is now.
    pub async fn dump(&self) -> anyhow::Result<Dump> {
        Ok(liftlock_lab::dump(&self.ground.target, &self.spec.prefix).await?)
    }

    /// After the remedy `check` finds nothing beyond what is usual.
    pub async fn is_mended(&mut self) -> anyhow::Result<()> {
        self.diagnosis.is_mended(&self.round.operator).await
    }

    /// Makes the site healthy for the next trap: anew, unless it is as it was.
    pub async fn reset(&mut self) -> anyhow::Result<()> {
        self.moving.clear();
        self.stage.proxy.clear_rules();
        let now = self.dump().await;
        if !now.is_ok_and(|now| self.differences(&self.healthy, &now).is_empty()) {
            self.sweep().await?;
            let (facts, healthy) = self.stage.rebuild(&self.spec).await?;
            self.round.facts = facts;
            self.healthy = healthy;
        }
        if !self.site_file.is_there(&self.round.operator)? {
            self.mend_site_file().await?;
        }
        Ok(())
    }

    /// Takes away what a trap that failed half-way can have left: settings, templates, tasks.
    async fn sweep(&self) -> anyhow::Result<()> {
        let target = &self.ground.target;
        let tasks = "/_tasks/_cancel?actions=*reindex";
        target.send(Method::POST, tasks, None).await?;
        for path in super::LEFT_BY_TRAPS {
            target.send(Method::DELETE, path, None).await?;
        }
        if let Some(cluster) = self.ground.simulated_cluster() {
            let (total, free) = liftlock_testkit::DISK_BYTES_DEFAULT;
            cluster.set_disk(0, total, free)?;
            cluster.set_heap(0, liftlock_testkit::HEAP_BYTES_DEFAULT)?;
        } else {
            super::servers::watermarks(self.ground, None).await?;
        }
        super::servers::unblock(self.ground).await
    }
}

/// A small site that is healthy, with every index at the replicas it was made with.
fn site(shape: Shape) -> SiteSpec {
    SiteSpec {
        process_instances: 30,
        decision_instances: 10,
        // More than requests are sent while a throttled task copies them one by one.
        external_variables: 900,
        without_replicas: Vec::new(),
        ..SiteSpec::of(shape)
    }
}

//! A site on which one trap after another is set, and the operator who looks at it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::Dump;
use liftlock_lab::SiteSpec;
use liftlock_lab::diff;
use liftlock_lab::site::Shape;
use reqwest::Method;
use serde_json::Value;

use super::answer;
use super::answer::Found;
use super::answer::Meant;
use super::answer::findings;
use super::answer::ids;
use super::ground::Ground;
use crate::operator::Told;
use crate::proof;
use crate::proof::TO;
use crate::proof::ensure;
use crate::stage::Kit;
use crate::stage::REPOSITORY;
use crate::stage::Round;
use crate::stage::Stage;
use crate::stage::write;
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
    /// What `check` says of it without a trap.
    usual: BTreeSet<String>,
    site_toml: String,
    /// Indices that change by themselves while a trap is looked at.
    moving: Vec<String>,
    lines: Vec<String>,
}

impl<'a> Scene<'a> {
    /// Builds the site, adds the plugin and grants it what it asks for.
    pub async fn new(kit: &Kit, ground: &'a Ground) -> anyhow::Result<Self> {
        let stage = Stage::new(kit, &ground.target, &ground.repositories).await?;
        let spec = site(Shape::Of8_7);
        let round = stage.fresh(&spec).await?;
        proof::introduce(&round).await?;
        let site_toml = fs::read_to_string(round.operator.site().join("site.toml"))?;
        let healthy = round.before.clone();
        let mut scene = Self {
            ground,
            stage,
            round,
            spec,
            healthy,
            usual: BTreeSet::new(),
            site_toml,
            moving: Vec::new(),
            lines: Vec::new(),
        };
        scene.learn().await?;
        Ok(scene)
    }

    /// Takes what `check` says of a healthy site as usual.
    async fn learn(&mut self) -> anyhow::Result<()> {
        let told = self.round.operator.run(&["check", TO, "--json"]).await?;
        let told = told.expect(0).context("the site without a trap")?;
        self.usual = ids(&findings(&told)?);
        Ok(())
    }

    /// Builds a site of that shape, unless it has it already.
    pub async fn at(&mut self, shape: Shape) -> anyhow::Result<()> {
        if self.spec.shape != shape {
            self.spec = site(shape);
            self.renew().await?;
            self.learn().await?;
        }
        Ok(())
    }

    /// The name of an index or alias of the site.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.spec.prefix)
    }

    /// A line of the report.
    pub fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// The lines since the last call.
    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
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
        let edited = self.site_toml.replacen(old, new, 1);
        ensure(
            edited != self.site_toml,
            format!("`{old}` is not in site.toml"),
        )?;
        self.grant(&edited).await
    }

    /// Puts `site.toml` back.
    pub async fn mend_site_file(&self) -> anyhow::Result<()> {
        self.grant(&self.site_toml).await
    }

    async fn grant(&self, site_toml: &str) -> anyhow::Result<()> {
        let operator = &self.round.operator;
        write(&operator.site().join("site.toml"), site_toml)?;
        operator.run(&["grant", "--yes"]).await?.expect(0)?;
        Ok(())
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
        let told = self.round.operator.run(&["check", to, "--json"]).await?;
        let is_blocked = expected.iter().any(|(meant, _)| *meant == Meant::Blocker);
        let told = told.expect(if is_blocked { 3 } else { 0 })?;
        let found = self.judge(&told, expected)?;
        self.plans(to, is_blocked, expected).await?;
        self.untouched(&before).await?;
        self.show(&found);
        Ok(found)
    }

    /// Puts findings into the report.
    pub fn show(&mut self, found: &[Found]) {
        for finding in found {
            self.say(format!(
                "{} {}: {}",
                finding.severity, finding.id, finding.what
            ));
            self.say(format!("remedy: {}", finding.remedy));
        }
    }

    /// `check` said exactly these, beside what it says of a healthy site. Gives them in that order.
    pub fn judge(&self, told: &Told, expected: &[(Meant, &str)]) -> anyhow::Result<Vec<Found>> {
        let all = findings(told)?;
        // A simulated site has no trap until one is set: what is found there always shows nothing. A
        // real server of the lab has a small heap anyway.
        if self.ground.simulated_cluster().is_some() {
            let always = expected.iter().find(|(_, id)| self.usual.contains(*id));
            if let Some((_, id)) = always {
                bail!("`{id}` is found on a healthy site too");
            }
        }
        answer::judge(&all, &self.usual, expected)
    }

    async fn plans(
        &self,
        to: &str,
        is_blocked: bool,
        expected: &[(Meant, &str)],
    ) -> anyhow::Result<()> {
        let before = self.plans_there()?;
        let told = self.round.operator.run(&["plan", to, "--json"]).await?;
        let after = self.plans_there()?;
        let told = if is_blocked {
            ensure(after == before, "a plan was written in spite of a blocker")?;
            told.expect(3)?
        } else {
            told.expect(0)?
        };
        for (_, id) in expected {
            ensure(
                told.says(id),
                format!("`plan` does not show `{id}`\n{told}"),
            )?;
        }
        Ok(())
    }

    fn plans_there(&self) -> anyhow::Result<BTreeSet<PathBuf>> {
        let folder = self.round.operator.site().join("plans");
        let mut plans = BTreeSet::new();
        if folder.exists() {
            for entry in fs::read_dir(&folder)? {
                plans.insert(entry?.path());
            }
        }
        Ok(plans)
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
        self.site_toml = fs::read_to_string(self.round.operator.site().join("site.toml"))?;
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
        let told = self.round.operator.run(&["check", TO, "--json"]).await?;
        let told = told.expect(0).context("after the remedy")?;
        let left: Vec<String> = ids(&findings(&told)?)
            .difference(&self.usual)
            .cloned()
            .collect();
        same(&[], &left).context("findings after the remedy")?;
        self.say("after the remedy it is found no more");
        Ok(())
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
        let file = self.round.operator.site().join("site.toml");
        if fs::read_to_string(&file)? != self.site_toml {
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

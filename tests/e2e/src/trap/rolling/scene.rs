//! A site of stand-ins on which one trap after another is set, and what was touched of it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::HttpTarget;
use liftlock_lab::Login;
use liftlock_lab::camunda::Seed;
use liftlock_lab::camunda::seed::TEMPLATE;
use tempfile::TempDir;

use super::place::DATABASE;
use super::place::Place;
use super::place::hop;
use crate::artifacts::Component;
use crate::operator::Operator;
use crate::operator::Told;
use crate::stage::lend_compiled;
use crate::stage::private_dir;
use crate::tally::same;
use crate::trap::answer::Found;
use crate::trap::answer::Meant;
use crate::trap::diagnosis;
use crate::trap::diagnosis::Diagnosis;
use crate::trap::site_file::SiteFile;

/// What the traps need: the binary, the plugin, and what stands in for a node.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The `liftlock` binary.
    pub liftlock: PathBuf,
    /// The plugin.
    pub plugin: Component,
    /// `pretend-engine`.
    pub stand_in: PathBuf,
}

impl Kit {
    /// Builds what is not built.
    pub fn build() -> anyhow::Result<Self> {
        Ok(Self {
            liftlock: crate::artifacts::liftlock()?,
            plugin: crate::artifacts::camunda_plugin()?,
            stand_in: crate::artifacts::pretend_engine()?,
        })
    }
}

/// One site on one database server, its operator, and what was seen of the trap that is set now.
#[derive(Debug)]
pub struct Scene {
    kit: Kit,
    /// Nodes, balancer, operator.
    pub place: Place,
    /// Behind the nodes.
    pub database: DatabaseServer,
    installation: String,
    site_file: SiteFile,
    diagnosis: Diagnosis,
    compiled: PathBuf,
    folder: TempDir,
}

impl Scene {
    /// Starts the server and the site, adds the plugin and grants it what it asks for.
    pub async fn new(kit: &Kit, kind: DatabaseKind) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let data = folder.path().join("database");
        let [from, to] = hop(kind);
        Seed::new(from, kind)
            .lay(&data, &folder.path().join("seed"))
            .await?;
        let database = DatabaseServer::start(kind, &data).await?;
        database.address().copy(TEMPLATE, DATABASE).await?;
        let installation = database
            .address()
            .sql(
                DATABASE,
                "select VALUE_ from ACT_GE_PROPERTY where NAME_ = 'camunda.installation.id'",
            )
            .await?;
        let installation = installation.trim().to_owned();
        let place = Place::start(
            &kit.liftlock,
            &kit.stand_in,
            database.address(),
            &installation,
        )
        .await?;
        let compiled = folder.path().join("compiled");
        introduce(kit, &place.operator, &compiled).await?;
        Ok(Self {
            kit: kit.clone(),
            site_file: SiteFile::of(&place.operator)?,
            diagnosis: Diagnosis::healthy(&place.operator, to.name()).await?,
            place,
            database,
            installation,
            compiled,
            folder,
        })
    }

    /// The person at the terminal.
    pub fn operator(&self) -> &Operator {
        &self.place.operator
    }

    /// Runs SQL on the nodes' database as its owner.
    pub async fn sql(&self, sql: &str) -> anyhow::Result<String> {
        Ok(self.database.address().sql(DATABASE, sql).await?)
    }

    /// The same as the server's administrator.
    pub async fn sql_as_admin(&self, sql: &str) -> anyhow::Result<String> {
        let address = self.database.address();
        Ok(address.sql_as(Login::Admin, DATABASE, sql).await?)
    }

    /// The version that the nodes run at first: `7.21.0`.
    pub fn from(&self) -> &'static str {
        let [from, _] = hop(self.database.kind());
        from.name()
    }

    /// The version that they are taken to.
    pub fn to(&self) -> &'static str {
        let [_, to] = hop(self.database.kind());
        to.name()
    }

    /// The file of the script that the upgrade needs.
    pub fn script(&self) -> PathBuf {
        let name = match self.database.kind() {
            DatabaseKind::PostgreSql => "postgres_engine_7.21_to_7.22.sql",
            DatabaseKind::MariaDb => "mysql_engine_7.22_to_7.23.sql",
        };
        self.place.engine().join(name)
    }

    /// A line of the report.
    pub fn say(&mut self, line: impl Into<String>) {
        self.diagnosis.say(line);
    }

    /// The lines since the last call.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.diagnosis.take_lines()
    }

    /// Replaces a text in `site.toml`, and gives the grant that then has to be given.
    pub async fn set_site_file(&self, old: &str, new: &str) -> anyhow::Result<()> {
        self.site_file.set(self.operator(), old, new).await
    }

    /// The same wherever the text stands.
    pub async fn set_site_file_everywhere(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let operator = self.operator();
        self.site_file.set_everywhere(operator, old, new).await
    }

    /// `check` says exactly these, beside what it says of a healthy site; a blocker keeps `plan` from writing a plan; and
    /// nobody touched anything. Gives the findings in the order of `expected`.
    pub async fn finds(&mut self, expected: &[(Meant, &str)]) -> anyhow::Result<Vec<Found>> {
        let before = self.state().await?;
        let operator = &self.place.operator;
        let found = self.diagnosis.finds(operator, expected).await?;
        self.untouched(&before).await?;
        Ok(found)
    }

    /// The same of one finding that says this.
    pub async fn finds_one(
        &mut self,
        meant: Meant,
        id: &str,
        says: &[&str],
    ) -> anyhow::Result<Found> {
        diagnosis::one(self.finds(&[(meant, id)]).await?, says)
    }

    /// Plans and approves; gives the plan's file.
    pub async fn approved(&self) -> anyhow::Result<String> {
        self.operator().approved(self.to()).await
    }

    /// Types a command that begins a run or goes on with one, while clients ask the balancer without a pause.
    pub async fn runs(&self, arguments: &[&str]) -> anyhow::Result<Told> {
        self.runs_while(arguments, std::future::ready(Ok(()))).await
    }

    /// The same, while something else happens.
    pub async fn runs_while(
        &self,
        arguments: &[&str],
        meanwhile: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Told> {
        let clients = Clients::begin(&self.place.balancer.base_url())?;
        let (told, other) = tokio::join!(self.operator().run(arguments), meanwhile);
        clients.end();
        let told = told?;
        other.with_context(|| told.to_string())?;
        Ok(told)
    }

    /// Nothing differs from what was seen before.
    pub async fn untouched(&mut self, before: &[String]) -> anyhow::Result<()> {
        same(before, &self.state().await?).context("the site")?;
        self.say("untouched: database, balancer, nodes and their files are as they were");
        Ok(())
    }

    /// Everything that an upgrade could touch, as lines.
    pub async fn state(&self) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        for node in &self.place.nodes {
            let link = fs::read_link(node.dir.join("current"))?;
            lines.push(format!("{} runs from {}", node.name, link.display()));
            lines.push(format!("{} is process {:?}", node.name, node.pids()));
        }
        lines.extend(self.servers().await?);
        lines.push(format!("instances {:?}", self.place.instances()));
        let address = self.database.address();
        if let Ok(catalog) = address.catalog(DATABASE).await {
            lines.extend(catalog.columns.iter().map(|it| format!("{it:?}")));
            lines.extend(catalog.indexes.iter().map(|it| format!("{it:?}")));
            lines.extend(catalog.constraints.iter().map(|it| format!("{it:?}")));
            let mut rows = Vec::new();
            for table in [
                "ACT_GE_SCHEMA_LOG",
                "ACT_GE_PROPERTY",
                "ACT_RU_EXECUTION",
                "ACT_RU_JOB",
                "ACT_HI_PROCINST",
                "ACT_RE_DEPLOYMENT",
            ] {
                rows.push(format!("select '{table}', count(*) from {table}"));
            }
            let rows = address.sql(DATABASE, &rows.join(" union all ")).await;
            // Where a trap gave its tables other names, there is nothing to count.
            let rows = rows.unwrap_or_else(|_| "the tables are not there".into());
            let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
            rows.sort();
            lines.extend(rows);
        }
        Ok(lines)
    }

    /// What the balancer was asked to do with each server.
    pub async fn servers(&self) -> anyhow::Result<Vec<String>> {
        let told = self.place.balancer.command("show servers state").await?;
        let rows = told.lines().filter(|line| !line.starts_with('#'));
        Ok(rows
            .map(|row| row.split_whitespace().collect::<Vec<&str>>())
            .filter(|row| row.len() > 8)
            // Names, administrative state and weight; what checks say moves by itself.
            .map(|row| format!("server {}/{} {} {}", row[1], row[3], row[6], row[7]))
            .collect())
    }

    /// After the remedy `check` finds nothing beyond what is usual.
    pub async fn is_mended(&mut self) -> anyhow::Result<()> {
        self.diagnosis.is_mended(&self.place.operator).await
    }

    /// Makes the site anew for the next trap: to the host another database of the same name is another target.
    pub async fn reset(&mut self) -> anyhow::Result<()> {
        let address = self.database.address().clone();
        address.remove(DATABASE).await?;
        address.copy(TEMPLATE, DATABASE).await?;
        self.place = Place::start(
            &self.kit.liftlock,
            &self.kit.stand_in,
            &address,
            &self.installation,
        )
        .await?;
        self.site_file = SiteFile::of(self.operator())?;
        introduce(&self.kit, self.operator(), &self.compiled).await
    }

    /// A folder for whatever a trap needs.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// Adds the plugin, compiled once for all sites, and grants it what it asks for.
async fn introduce(kit: &Kit, operator: &Operator, compiled: &Path) -> anyhow::Result<()> {
    let cache = operator.state().join("cache");
    private_dir(operator.state())?;
    lend_compiled(&kit.plugin, compiled, &cache)?;
    operator.add(&kit.plugin.path).await?;
    lend_compiled(&kit.plugin, &cache, compiled)?;
    operator.grant().await
}

/// Clients that ask without a pause, so that a server that is back can be seen to get requests.
struct Clients(tokio::task::JoinHandle<()>);

impl Clients {
    fn begin(base: &str) -> anyhow::Result<Self> {
        let rest = HttpTarget::new(format!("{base}/engine-rest"))?;
        Ok(Self(tokio::spawn(async move {
            loop {
                let _ = rest.get("/version").await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })))
    }

    fn end(self) {
        self.0.abort();
    }
}

//! A site of Kuzzle on which one trap after another is set, and what was touched of it.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use liftlock_lab::HttpTarget;
use liftlock_lab::kuzzle::Handed;
use serde_json::Value;

use crate::artifacts;
use crate::artifacts::Component;
use crate::kuzzle::BesideStage;
use crate::kuzzle::KuzzleStage;
use crate::operator::Operator;
use crate::proof::ensure;
use crate::stage::write;
use crate::tally::same;
use crate::trap::answer::Found;
use crate::trap::answer::Meant;
use crate::trap::diagnosis;
use crate::trap::diagnosis::Diagnosis;
use crate::trap::site_file::SiteFile;

/// What the traps need: the binary and the plugin.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The `liftlock` binary.
    pub liftlock: PathBuf,
    /// The plugin.
    pub plugin: Component,
}

impl Kit {
    /// Builds what is not built.
    pub fn build() -> anyhow::Result<Self> {
        Ok(Self {
            liftlock: artifacts::liftlock()?,
            plugin: artifacts::kuzzle_plugin()?,
        })
    }
}

/// How the storage gets its next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Node by node.
    Rolling,
    /// By a snapshot into a new cluster.
    Snapshot,
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rolling => "node by node",
            Self::Snapshot => "by a snapshot",
        }
    }
}

/// The site that belongs to a way.
#[derive(Debug)]
enum Place {
    Rolling(Box<KuzzleStage>),
    Snapshot(Box<BesideStage>),
}

/// One site, its operator, and what was seen of the trap that is set now.
#[derive(Debug)]
pub struct Scene {
    place: Place,
    /// Who types the commands.
    pub operator: Operator,
    /// A trap upgraded the site or left it as nobody knows: the next one gets another.
    pub is_spent: bool,
    site_file: SiteFile,
    diagnosis: Diagnosis,
}

impl Scene {
    /// Starts and fills the site, adds the plugin and grants it what it asks for.
    pub async fn new(kit: &Kit, way: Way) -> anyhow::Result<Self> {
        let (place, operator, to) = match way {
            Way::Rolling => {
                let options = "method = \"rolling\"\nquiet-seconds = 2\nwatch-seconds = 2";
                let stage = KuzzleStage::start(&kit.liftlock, &kit.plugin, options).await?;
                stage.granted().await?;
                let (operator, to) = (stage.operator.clone(), stage.to());
                (Place::Rolling(Box::new(stage)), operator, to)
            }
            Way::Snapshot => {
                let stage = BesideStage::start(&kit.liftlock, &kit.plugin).await?;
                stage.granted().await?;
                let (operator, to) = (stage.operator.clone(), stage.to());
                (Place::Snapshot(Box::new(stage)), operator, to)
            }
        };
        Ok(Self {
            place,
            is_spent: false,
            site_file: SiteFile::of(&operator)?,
            diagnosis: Diagnosis::healthy(&operator, to).await?,
            operator,
        })
    }

    /// Which way the site goes.
    pub fn way(&self) -> Way {
        match self.place {
            Place::Rolling(_) => Way::Rolling,
            Place::Snapshot(_) => Way::Snapshot,
        }
    }

    /// The site with a service for each node.
    pub fn rolling(&self) -> anyhow::Result<&KuzzleStage> {
        match &self.place {
            Place::Rolling(stage) => Ok(stage.as_ref()),
            Place::Snapshot(_) => anyhow::bail!("the site goes by a snapshot"),
        }
    }

    /// The site with two clusters.
    pub fn beside(&self) -> anyhow::Result<&BesideStage> {
        match &self.place {
            Place::Snapshot(stage) => Ok(stage.as_ref()),
            Place::Rolling(_) => anyhow::bail!("the site goes node by node"),
        }
    }

    /// The cluster that Kuzzle is on.
    pub fn storage(&self) -> anyhow::Result<HttpTarget> {
        match &self.place {
            Place::Rolling(stage) => stage.storage(),
            Place::Snapshot(stage) => Ok(stage.site.old.target().clone()),
        }
    }

    /// Kuzzle.
    pub fn kuzzle(&self) -> &Handed {
        match &self.place {
            Place::Rolling(stage) => &stage.site.kuzzle,
            Place::Snapshot(stage) => &stage.site.kuzzle,
        }
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
        self.site_file.set(&self.operator, old, new).await
    }

    /// Puts `site.toml` back.
    pub async fn mend_site_file(&self) -> anyhow::Result<()> {
        self.site_file.put_back(&self.operator).await
    }

    /// Replaces a text in Kuzzle's configuration, which it reads when it is started.
    pub fn configure(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let file = self.kuzzle().config_file();
        let text = fs::read_to_string(&file)?;
        let edited = text.replacen(old, new, 1);
        ensure(
            edited != text,
            format!("`{old}` is not in `{}`", file.display()),
        )?;
        write(&file, &edited)
    }

    /// `check` says exactly these, beside what it says of a healthy site; a blocker keeps `plan` from writing a plan; and
    /// nobody touched anything. Gives the findings in the order of `expected`.
    pub async fn finds(&mut self, expected: &[(Meant, &str)]) -> anyhow::Result<Vec<Found>> {
        let before = self.state().await?;
        let found = self.diagnosis.finds(&self.operator, expected).await?;
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

    /// After the remedy `check` finds nothing beyond what is usual.
    pub async fn is_mended(&mut self) -> anyhow::Result<()> {
        self.diagnosis.is_mended(&self.operator).await
    }

    /// Nothing differs from what was seen before.
    pub async fn untouched(&mut self, before: &[String]) -> anyhow::Result<()> {
        same(before, &self.state().await?).context("the site")?;
        self.say("untouched: clusters, processes and files are as they were");
        Ok(())
    }

    /// Everything that an upgrade could touch, as lines.
    pub async fn state(&self) -> anyhow::Result<Vec<String>> {
        let mut lines = of_cluster("storage", &self.storage()?).await?;
        match &self.place {
            Place::Rolling(stage) => {
                for node in &stage.site.nodes {
                    let (name, pids) = (node.name(), node.processes());
                    lines.push(format!("{name} runs {} as {pids:?}", node.current()?));
                }
            }
            Place::Snapshot(stage) => {
                lines.extend(of_cluster("new", stage.site.new.target()).await?)
            }
        }
        let kuzzle = self.kuzzle();
        lines.push(format!("kuzzle runs as {:?}", kuzzle.processes()));
        let configuration = fs::read_to_string(kuzzle.config_file())?;
        lines.extend(configuration.lines().map(str::to_owned));
        Ok(lines)
    }
}

/// Indices, aliases, settings and repositories of a cluster.
async fn of_cluster(name: &str, target: &HttpTarget) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for path in [
        "/_cat/indices?format=json&h=index,uuid,status,rep&s=index&expand_wildcards=all",
        "/_cat/aliases?format=json&h=alias,index&s=alias,index",
        "/_cluster/settings?flat_settings=true",
        "/_snapshot",
    ] {
        match target.get(path).await? {
            Value::Array(rows) => lines.extend(rows.iter().map(|row| format!("{name}: {row}"))),
            other => lines.push(format!("{name}: {other}")),
        }
    }
    Ok(lines)
}

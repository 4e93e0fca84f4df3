//! A distribution beside a site, and what `site.toml` says of it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::ProcessId;
use toml::Table;
use toml::Value;

use super::super::ensure;
use crate::artifacts;
use crate::stage::Round;
use crate::stage::Stage;
use crate::stage::write;
use crate::tally::Tally;

/// Folders of a distribution that an upgrade of the schema needs.
const FOLDERS: [&str; 3] = ["config", "lib", "upgrade"];

/// The script that runs the upgrader.
const SCRIPT: &str = "upgrade/upgrade.sh";

/// What came with the distribution; the operator's own takes its place.
const SHIPPED_LOGBACK: &str = "<configuration><!-- as shipped --></configuration>\n";

/// The operator's own.
const OWN_LOGBACK: &str = "<configuration><!-- the operator's --></configuration>\n";

/// What does the vendor's steps.
#[derive(Clone, Debug)]
pub enum Upgrader {
    /// Our stand-in, in a folder laid out as a distribution.
    StandIn(PathBuf),
    /// A distribution that somebody owns, unpacked.
    Distribution(PathBuf),
}

impl Upgrader {
    /// The stand-in; built unless `LIFTLOCK_STAND_IN` names one.
    pub fn stand_in() -> anyhow::Result<Self> {
        Ok(Self::StandIn(artifacts::stand_in_upgrader()?))
    }

    /// A folder that holds a distribution.
    pub fn distribution(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("there is no folder `{}`", folder.display()))?;
        if !folder.join(SCRIPT).is_file() {
            bail!(
                "`{}` is no distribution of Optimize: it has no `{SCRIPT}`",
                folder.display()
            );
        }
        Ok(Self::Distribution(folder))
    }

    /// Whether it does what a test tells it.
    pub fn is_stand_in(&self) -> bool {
        matches!(self, Self::StandIn(_))
    }

    /// Makes a folder laid out as a distribution that holds the stand-in.
    pub fn lay_out(program: &Path, release: &str, folder: &Path) -> anyhow::Result<()> {
        for name in FOLDERS {
            fs::create_dir_all(folder.join(name))?;
        }
        write(
            &folder.join(format!("lib/optimize-backend-{release}.jar")),
            "",
        )?;
        write(
            &folder.join("config/environment-logback.xml"),
            SHIPPED_LOGBACK,
        )?;
        let script = folder.join(SCRIPT);
        let text = format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display());
        write(&script, &text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Puts a copy beside the site, and into its `site.toml`. `more` are variables of the upgrader.
    pub(super) async fn install(
        &self,
        stage: &Stage,
        round: &Round,
        release: &str,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Place> {
        let folder = round.folder().join(format!("optimize-{release}"));
        match self {
            Self::StandIn(program) => Self::lay_out(program, release, &folder)?,
            Self::Distribution(from) => copy(from, &folder)?,
        }
        let root = stage.target.get("/").await?;
        let is_opensearch = root["version"]["distribution"] == "opensearch";
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let place = Place {
            runs: round.folder().join("upgrader.runs"),
            go: round.folder().join("upgrader.go"),
            upgraded: round.folder().join("upgraded.pid"),
            folder,
        };
        write(
            &round.folder().join("config/environment-logback.xml"),
            OWN_LOGBACK,
        )?;
        place.edit_site(round, |site| {
            let task = place.task(stage, round, is_opensearch, more)?;
            let service = table(table(site, "service")?, "optimize")?;
            service.insert("inherit".into(), Value::Array(vec!["JAVA_HOME".into()]));
            table(service, "tasks")?.insert("upgrade".into(), task.into());
            let distribution = Table::from_iter([("path".to_owned(), text(&place.folder))]);
            table(site, "disk")?.insert("distribution".into(), distribution.into());
            table(site, "service")?.insert("upgraded".into(), place.service(round, port).into());
            Ok(())
        })?;
        Ok(place)
    }
}

/// A distribution that was put beside a site.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    runs: PathBuf,
    go: PathBuf,
    upgraded: PathBuf,
}

impl Place {
    fn task(
        &self,
        stage: &Stage,
        round: &Round,
        is_opensearch: bool,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Table> {
        let url = stage.switch.url();
        let (host, port) = url
            .trim_start_matches("http://")
            .split_once(':')
            .context("the address has no port")?;
        let (database, connection) = if is_opensearch {
            ("opensearch", "CAMUNDA_OPTIMIZE_OPENSEARCH")
        } else {
            ("elasticsearch", "OPTIMIZE_ELASTICSEARCH")
        };
        let prefix = format!(
            "CAMUNDA_OPTIMIZE_{}_SETTINGS_INDEX_PREFIX",
            database.to_uppercase()
        );
        let mut environment = Table::new();
        for (name, value) in [
            ("CAMUNDA_OPTIMIZE_DATABASE", database),
            (&format!("{connection}_HOST"), host),
            (&format!("{connection}_HTTP_PORT"), port),
            (&prefix, &round.facts.prefix),
            ("STAND_IN_RUNS", &self.runs.to_string_lossy()),
            ("STAND_IN_GO", &self.go.to_string_lossy()),
        ]
        .iter()
        .chain(more)
        {
            environment.insert((*name).to_owned(), (*value).into());
        }
        Ok(Table::from_iter([
            (
                "command".to_owned(),
                Value::Array(vec![
                    text(&self.folder.join(SCRIPT)),
                    "--skip-warning".into(),
                ]),
            ),
            ("directory".to_owned(), text(&self.folder)),
            (
                "progress".to_owned(),
                "step (?<done>[0-9]+)/(?<total>[0-9]+)".into(),
            ),
            ("environment".to_owned(), environment.into()),
        ]))
    }

    /// The new release: the same stand-in for the server, not started yet.
    fn service(&self, round: &Round, port: u16) -> Table {
        let start = vec![
            text(&round.folder().join("optimize-server")),
            port.to_string().into(),
            text(&self.upgraded),
        ];
        let url = format!("http://127.0.0.1:{port}/api/readyz");
        let ready = Table::from_iter([("http".to_owned(), url.into())]);
        Table::from_iter([
            ("start".to_owned(), Value::Array(start)),
            ("port".to_owned(), i64::from(port).into()),
            ("ready".to_owned(), ready.into()),
            ("pid-file".to_owned(), text(&self.upgraded)),
        ])
    }

    /// Changes `site.toml`.
    fn edit_site(
        &self,
        round: &Round,
        edit: impl FnOnce(&mut Table) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let file = round.operator.site().join("site.toml");
        let mut site: Table = toml::from_str(&fs::read_to_string(&file)?)?;
        edit(&mut site)?;
        write(&file, &toml::to_string(&site)?)
    }

    /// Says who does the steps; a grant is for the options that it was given with.
    pub(super) async fn set_strategy(&self, round: &Round, strategy: &str) -> anyhow::Result<()> {
        self.edit_site(round, |site| {
            table(site, "options")?.insert("strategy".into(), strategy.into());
            Ok(())
        })?;
        let told = round.operator.run(&["grant", "--yes"]).await?;
        told.expect(0).map(drop)
    }

    /// Process ids of all upgraders that were started.
    pub(super) fn runs(&self) -> anyhow::Result<Vec<u32>> {
        if !self.runs.exists() {
            return Ok(Vec::new());
        }
        fs::read_to_string(&self.runs)?
            .lines()
            .map(|line| line.parse().context("a process id is no number"))
            .collect()
    }

    /// The only upgrader.
    pub(super) fn process(&self) -> anyhow::Result<ProcessId> {
        match self.runs()?.as_slice() {
            [pid] => ProcessId::of(*pid).context("the upgrader has ended"),
            other => bail!("{} upgraders were started", other.len()),
        }
    }

    /// Lets a held upgrader go on.
    pub(super) fn let_go(&self) -> anyhow::Result<()> {
        write(&self.go, "")
    }

    /// The new release, where it was started.
    pub(super) fn upgraded(&self) -> Option<ProcessId> {
        ProcessId::of(
            fs::read_to_string(&self.upgraded)
                .ok()?
                .trim()
                .parse()
                .ok()?,
        )
    }

    /// The operator's logback is in the new distribution, and the old folder is as it was.
    pub(super) fn check_configuration(
        &self,
        round: &Round,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let old = round.folder().join("config");
        let new = self.folder.join("config");
        for name in ["environment-logback.xml", "environment-config.yaml"] {
            let old = fs::read_to_string(old.join(name))?;
            let new = fs::read_to_string(new.join(name)).unwrap_or_default();
            tally.check(
                &format!("{name} is carried into the new distribution"),
                ensure(
                    old == new || name.ends_with("yaml") && !new.is_empty(),
                    "it is not",
                ),
            );
        }
        Ok(())
    }

    /// What came with the distribution lies there again.
    pub(super) fn check_shipped_configuration(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let found = fs::read_to_string(self.folder.join("config/environment-logback.xml"))?;
        tally.check(
            "then the distribution's own logback lies there again",
            ensure(found == SHIPPED_LOGBACK, "it does not"),
        );
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(process) = self.upgraded() {
            process.kill();
        }
        // A held upgrader would wait for ever.
        let _ = self.let_go();
    }
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

fn table<'a>(parent: &'a mut Table, name: &str) -> anyhow::Result<&'a mut Table> {
    parent
        .entry(name)
        .or_insert_with(|| Table::new().into())
        .as_table_mut()
        .with_context(|| format!("`{name}` is no table"))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list `{}`", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy `{}`", entry.path().display()))?;
        }
    }
    Ok(())
}

//! The real program with a hostile plugin, as a person runs it: exit codes, screens, journal, target.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use liftlock_e2e::{Operator, Told};
use liftlock_testkit::{Product, SimCluster};
use tempfile::TempDir;

use crate::files::no_plugins;
use crate::guest;
use crate::judge::{Judge, Verdict};
use crate::world::is_change;

/// The guest's name, as the host writes it.
const NAME: &str = "hostile\\u{1b}[2J";

/// A person with a site, a plugin and a run that went well.
pub(crate) struct Site {
    pub(crate) operator: Operator,
    pub(crate) sim: SimCluster,
    folder: TempDir,
    plugin: String,
    port: u16,
}

/// All of them.
pub async fn all(judge: &mut Judge, liftlock: &Path) -> anyhow::Result<()> {
    let site = Site::new(liftlock).await?;
    let run = site.honest_run().await?;
    files(judge, &site).await?;
    faults(judge, &site).await?;
    screens(judge, &site).await?;
    plans(judge, &site).await?;
    mind(judge, &site).await?;
    grants(judge, &site).await?;
    // After all of that: the journal holds the one honest run as it was, and another goes well.
    site.run(&["audit", &run, "--verify"]).await?.expect(0)?;
    site.honest_run().await?;
    Ok(())
}

impl Site {
    pub(crate) async fn new(liftlock: &Path) -> anyhow::Result<Self> {
        let sim = SimCluster::builder(Product::OpenSearch2)
            .seed(67)
            .start()
            .await?;
        for index in ["a-1", "a-2", "a-secret-1", "b-1"] {
            let (status, answer) = sim.call("PUT", &format!("/{index}"), "{}");
            ensure!(status < 300, "{index}: {status} {answer}");
        }
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let dir = |name: &str| -> anyhow::Result<_> {
            let path = folder.path().join(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            Ok(path)
        };
        let (site, state) = (dir("site")?, dir("state")?);
        let plugin = folder.path().join("guest.wasm");
        fs::write(&plugin, guest::bytes()?)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let made = Self {
            operator: Operator::new(liftlock, &site, &state),
            sim,
            folder,
            plugin: plugin.to_string_lossy().into_owned(),
            port,
        };
        Ok(made)
    }

    /// `site.toml` with this behaviour of the plugin.
    pub(crate) fn behave(&self, what: &str, n: &str) -> anyhow::Result<()> {
        let (url, port) = (self.sim.url(), self.port);
        let text = format!(
            "name = \"lab\"\nproduct-plugin = '{NAME}'\n[options]\ndo = \"{what}\"\nn = \"{n}\"\n\
             [cluster.database]\nnodes = [\"{url}\"]\n\
             [service.app]\nstart = [\"true\"]\nport = {port}\n"
        );
        fs::write(self.operator.site().join("site.toml"), text).context("cannot write site.toml")
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<Told> {
        self.operator.run(arguments).await
    }

    /// A command that loads the plugin.
    pub(crate) async fn with_plugin(&self, arguments: &[&str]) -> anyhow::Result<Told> {
        let mut all = arguments.to_vec();
        all.extend(["--plugin", &self.plugin, "--allow-unsigned", "--yes"]);
        self.run(&all).await
    }

    /// The newest plan file.
    pub(crate) fn plan_file(&self) -> anyhow::Result<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.operator.site().join("plans"))? {
            let entry = entry?;
            let path = entry.path();
            let name = path.to_string_lossy().into_owned();
            if name.ends_with(".json") && !name.contains("approv") {
                found.push((entry.metadata()?.modified()?, name));
            }
        }
        found.sort();
        found
            .pop()
            .map(|(_, name)| name)
            .context("there is no plan")
    }

    /// Plans, approves and runs a change that is granted; gives the run.
    async fn honest_run(&self) -> anyhow::Result<String> {
        self.behave("honest-change", "1")?;
        self.with_plugin(&["plan", "2.0"]).await?.expect(0)?;
        let plan = self.plan_file()?;
        self.run(&["approve", &plan]).await?.expect(0)?;
        self.run(&["run", &plan]).await?.expect(0)?;
        let changes = self.changes();
        ensure!(!changes.is_empty(), "an honest run changed nothing");
        let history = self.run(&["history", "--json"]).await?.expect(0)?.data()?;
        let found = history["runs"]
            .as_array()
            .and_then(|runs| runs.first()?["run"].as_str().map(str::to_owned));
        // Put back, so that the next run has something to do.
        self.sim
            .call("PUT", "/a-1/_settings", "{\"index.refresh_interval\":null}");
        match found {
            Some(run) => Ok(run),
            None => bail!("no run in {history}"),
        }
    }

    /// Requests since the last look that change something, other than the claim of an honest run.
    fn changes(&self) -> Vec<String> {
        let records = self.sim.records();
        self.sim.clear_records();
        records
            .iter()
            .filter(|record| is_change(&record.method, &record.path))
            .map(|record| record.line())
            .collect()
    }

    /// An error if the last command did harm.
    fn unharmed(&self) -> anyhow::Result<()> {
        let changes = self.changes();
        ensure!(
            changes.is_empty(),
            "changes reached the target: {}",
            changes.join(", ")
        );
        Ok(())
    }
}

/// Ended with this code, saying this.
pub(crate) fn ended(told: &Told, code: i32, words: &str) -> Verdict {
    if told.code != Some(code) {
        return Verdict::Escaped(format!("wanted exit code {code}\n{told}"));
    }
    if !told.says(words) {
        return Verdict::Escaped(format!("does not say `{words}`\n{told}"));
    }
    steers(told).unwrap_or_else(|| Verdict::Stopped(format!("exit code {code}, `{words}`")))
}

/// Some when the screen got what steers it, or what hides text.
fn steers(told: &Told) -> Option<Verdict> {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    for (stream, text) in [("stdout", &told.stdout), ("stderr", &told.stderr)] {
        if let Some(at) = text.find(hidden) {
            let around: String = text[at..].chars().take(60).collect();
            return Some(Verdict::Escaped(format!(
                "{stream} of `{}` holds {around:?}",
                told.command
            )));
        }
        // A line of the plugin's that looks like one of ours.
        if text.lines().any(|line| line.starts_with("error: forged")) {
            return Some(Verdict::Escaped(format!(
                "{stream} of `{}` has a forged line",
                told.command
            )));
        }
    }
    None
}

/// Files that are no plugin.
async fn files(judge: &mut Judge, site: &Site) -> anyhow::Result<()> {
    let file = site.folder.path().join("no-plugin.wasm");
    let known = site
        .run(&["plugin", "list", "--json"])
        .await?
        .expect(0)?
        .data()?;
    for (what, bytes, words) in no_plugins(&guest::bytes()?) {
        fs::write(&file, &bytes)?;
        let path = file.to_string_lossy().into_owned();
        let told = site
            .run(&["plugin", "add", &path, "--allow-unsigned"])
            .await?;
        let verdict = match told.code {
            Some(0) | None => Verdict::Escaped(told.to_string()),
            Some(code) => ended(&told, code, words),
        };
        judge.count(
            &format!("`plugin add` of {what}"),
            verdict.and_unharmed(site.unharmed()),
        );
    }
    let after = site
        .run(&["plugin", "list", "--json"])
        .await?
        .expect(0)?
        .data()?;
    ensure!(known == after, "a file that is no plugin was installed");
    Ok(())
}

/// Plugins that fail in the middle of a command.
async fn faults(judge: &mut Judge, site: &Site) -> anyhow::Result<()> {
    for (command, what, n, words) in [
        ("inspect", "trap", "1", "it trapped"),
        ("inspect", "exit", "1", "it called exit"),
        ("inspect", "recurse", "100000000", "bytes of stack"),
        ("inspect", "allocate", "1", "bytes of memory"),
        ("inspect", "huge-answer", "1", "in one crossing"),
        (
            "inspect",
            "handle-after-close",
            "1",
            "a handle that it does not have",
        ),
        ("check", "long", "65537", "bytes in one text"),
        ("check", "many", "1001", "elements in one list"),
        ("plan", "step-forged", "1", "a handle that it does not have"),
        ("plan", "flood-summary", "1001", "elements in one list"),
        ("plan", "clock", "1", ""),
    ] {
        site.behave(what, n)?;
        let arguments: &[&str] = match command {
            "plan" => &["plan", "2.0"],
            "check" => &["check", "2.0"],
            _ => &["inspect"],
        };
        let told = site.with_plugin(arguments).await?;
        judge.count(
            &format!("`{command}` with a plugin: {what}"),
            ended(&told, 40, words).and_unharmed(site.unharmed()),
        );
    }
    Ok(())
}

/// Everything that a plugin says, on every screen that shows it.
async fn screens(judge: &mut Judge, site: &Site) -> anyhow::Result<()> {
    site.behave("hostile-text", "1")?;
    let mut shown = vec![
        site.with_plugin(&["inspect"]).await?,
        site.with_plugin(&["inspect", "-v"]).await?,
        site.with_plugin(&["check", "2.0"]).await?,
        site.with_plugin(&["plan", "2.0"]).await?.expect(0)?,
    ];
    let plan = site.plan_file()?;
    let digest = liftlock_types::Digest::of(&guest::bytes()?);
    let with = ["--plugin", &site.plugin, "--allow-unsigned"];
    for command in [
        vec!["show", &plan],
        vec!["show", &plan, "--full"],
        vec!["show", &plan, "--markdown"],
        vec!["show", &plan, "--json"],
        vec!["plugin", "list"],
        vec!["plugin", "show", digest.short()],
        [&["grant", "--show"][..], &with].concat(),
        vec!["approve", &plan],
        vec!["status"],
        vec!["history"],
        vec!["doctor"],
    ] {
        shown.push(site.run(&command).await?);
    }
    for told in shown {
        let verdict = match steers(&told) {
            Some(escaped) => escaped,
            None if told.stdout.is_empty() && told.stderr.is_empty() => {
                Verdict::Escaped("nothing was shown".into())
            }
            None => Verdict::Stopped("what steers a terminal is written out".into()),
        };
        let command = told
            .command
            .replace(&plan, "PLAN")
            .replace(&site.plugin, "FILE");
        judge.count(
            &format!("hostile text through `{command}`"),
            verdict.and_unharmed(site.unharmed()),
        );
    }
    Ok(())
}

/// Plans that the host does not take.
async fn plans(judge: &mut Judge, site: &Site) -> anyhow::Result<()> {
    for (what, words) in [
        ("circle", "wait for each other in a circle"),
        ("million-steps", "at most 10000 steps"),
        ("more-than-at-most", "granted at most 1 times"),
        ("undo-of-another", "which its change does not"),
        ("undo-destroys", "takes away what its change did not make"),
        ("undo-outside", "granted for"),
        ("destroys-unproved", "host.unproved-destruction"),
    ] {
        site.behave(what, "5")?;
        let told = site.with_plugin(&["plan", "2.0"]).await?;
        let verdict = match told.code {
            Some(0) | None => Verdict::Escaped(told.to_string()),
            Some(code) => ended(&told, code, words),
        };
        judge.count(
            &format!("`plan` with a plugin: {what}"),
            verdict.and_unharmed(site.unharmed()),
        );
    }
    Ok(())
}

/// A plan that was approved, and is another when it is to run.
async fn mind(judge: &mut Judge, site: &Site) -> anyhow::Result<()> {
    site.behave("mind", "1")?;
    site.with_plugin(&["plan", "2.0"]).await?.expect(0)?;
    let plan = site.plan_file()?;
    site.run(&["approve", &plan]).await?.expect(0)?;
    let told = site.run(&["run", &plan]).await?;
    let only_claim = site
        .changes()
        .iter()
        .all(|line| line.contains("liftlock-claim"));
    let harm = if only_claim {
        Ok(())
    } else {
        Err(anyhow::anyhow!("a change reached the target"))
    };
    judge.count(
        "`run` with a plugin that changed its mind",
        ended(&told, 11, "settle").and_unharmed(harm),
    );
    Ok(())
}

/// The parts of a grant that say for whom and where it is: another plugin, another build, another target, other
/// options need another grant.
async fn grants(judge: &mut Judge, site: &Site) -> anyhow::Result<()> {
    site.behave("honest-change", "1")?;
    site.with_plugin(&["plan", "2.0"]).await?.expect(0)?;
    site.changes();
    let file = site.operator.site().join("grants.toml");
    let good = fs::read_to_string(&file)?;
    let line = |begins: &str| -> anyhow::Result<String> {
        let found = good.lines().rev().find(|line| line.starts_with(begins));
        found
            .map(str::to_owned)
            .with_context(|| format!("no line `{begins}` in {good}"))
    };
    let digest = line("digest = ")?;
    let identity = line("identity = ")?;
    let scope = line("scope = [\"a-*\"]")?;
    let cases = [
        (
            "another build of the plugin",
            digest.clone(),
            format!("digest = \"sha256:{}\"", "0".repeat(64)),
        ),
        (
            "another target",
            identity.clone(),
            "identity = \"another\"".to_owned(),
        ),
        (
            "more than the plugin asks for",
            scope.clone(),
            "scope = [\"*\"]".to_owned(),
        ),
        (
            "another site",
            line("site = ")?,
            "site = \"other\"".to_owned(),
        ),
        (
            "another plugin",
            line("plugin = ")?,
            "plugin = \"other\"".to_owned(),
        ),
        (
            "another prefix",
            line("prefix = ")?,
            "prefix = \"b\"".to_owned(),
        ),
        (
            "a scope that is a list",
            scope.clone(),
            "scope = [\"a-*,b-*\"]".to_owned(),
        ),
        (
            "a field that is none",
            scope,
            "scope = [\"a-*\"]\nevery = true".to_owned(),
        ),
    ];
    for (what, old, new) in cases {
        fs::write(&file, good.replace(&old, &new))?;
        let with = ["plan", "2.0", "--plugin", &site.plugin, "--allow-unsigned"];
        let told = site.run(&with).await?;
        let verdict = match told.code {
            Some(0) | None => Verdict::Escaped(told.to_string()),
            Some(code) => ended(&told, code, ""),
        };
        judge.count(
            &format!("a grant for {what}"),
            verdict.and_unharmed(site.unharmed()),
        );
    }
    // As it was, it is enough: it was the edit that was refused.
    fs::write(&file, &good)?;
    let with = ["plan", "2.0", "--plugin", &site.plugin, "--allow-unsigned"];
    site.run(&with).await?.expect(0)?;
    Ok(())
}

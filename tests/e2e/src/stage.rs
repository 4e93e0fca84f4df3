//! One cluster with everything around it that an upgrade meets: a watching proxy, an address that
//! can be pointed elsewhere, a stand-in for Optimize, and the folders of an operator.

use std::fs;
use std::io::BufRead;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::Dump;
use liftlock_lab::HttpTarget;
use liftlock_lab::ProcessId;
use liftlock_lab::Proxy;
use liftlock_lab::Record;
use liftlock_lab::SiteFacts;
use liftlock_lab::SiteSpec;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::artifacts;
use crate::artifacts::Component;
use crate::operator::Operator;
use crate::switch::Switch;

/// Name of the site in `site.toml`.
pub const SITE: &str = "lab";

/// Variable that holds the cluster's password, or its API key.
pub const SECRET_VARIABLE: &str = "LIFTLOCK_LAB_SECRET";

/// A password in Optimize's own configuration file. A kept copy of that file holds it, nothing else may.
pub const CONFIG_SECRET: &str = "canary-7c20-in-the-configuration";

/// What is under test.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The `liftlock` binary.
    pub liftlock: PathBuf,
    /// The stand-in for Optimize.
    pub pretend: PathBuf,
    /// The plugin.
    pub plugin: Component,
}

impl Kit {
    /// The same with the plugin that has a hop for tests.
    pub fn with_hop_for_tests(&self) -> anyhow::Result<Self> {
        Ok(Self {
            plugin: artifacts::optimize_test_plugin()?,
            ..self.clone()
        })
    }

    /// Builds what is not built.
    pub fn build() -> anyhow::Result<Self> {
        Ok(Self {
            liftlock: artifacts::liftlock()?,
            pretend: artifacts::pretend_optimize()?,
            plugin: artifacts::optimize_plugin()?,
        })
    }
}

/// How the operator's `site.toml` says who they are.
#[derive(Clone, Debug)]
pub enum Login {
    /// Not at all.
    None,
    /// User, and the password in [`SECRET_VARIABLE`].
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// An API key in [`SECRET_VARIABLE`].
    ApiKey(String),
}

impl Login {
    fn secret(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Basic { password: it, .. } | Self::ApiKey(it) => Some(it),
        }
    }
}

/// A cluster under test.
#[derive(Debug)]
pub struct Stage {
    kit: Kit,
    /// For looking at the cluster, past the proxy.
    pub target: HttpTarget,
    /// What the binary's requests go through.
    pub proxy: Proxy,
    /// What `site.toml` names; it points at the proxy.
    pub switch: Switch,
    repository: PathBuf,
    /// Where the binary is to go instead of the switch: a server with TLS.
    direct: Option<(String, PathBuf)>,
    /// Nodes that are services of the site: their addresses, which are gone to past the proxy, and their tables.
    nodes: Vec<(String, String)>,
    login: Login,
    has_backups: bool,
}

/// A fresh 8.7 site on a stage, and an operator who knows nothing of it yet.
#[derive(Debug)]
pub struct Round {
    /// The stand-in for Optimize. First, as it ends what the file in the folder names.
    pub optimize: Pretend,
    folder: TempDir,
    component: Component,
    plugin: PathBuf,
    /// Who runs the commands.
    pub operator: Operator,
    /// What was built.
    pub facts: SiteFacts,
    /// The cluster before anything was done.
    pub before: Dump,
}

impl Stage {
    /// Puts a proxy and a switch before a cluster. `repository` is a folder that it may keep
    /// snapshots in.
    pub async fn new(kit: &Kit, target: &HttpTarget, repository: &Path) -> anyhow::Result<Self> {
        let proxy = Proxy::start(target).await?;
        let switch = Switch::start(&proxy.url()).await?;
        Ok(Self {
            kit: kit.clone(),
            target: target.clone(),
            proxy,
            switch,
            repository: repository.to_owned(),
            direct: None,
            nodes: Vec::new(),
            login: Login::None,
            has_backups: true,
        })
    }

    /// The same for a cluster that asks who is there.
    #[must_use]
    pub fn with_login(mut self, login: Login) -> Self {
        self.login = login;
        self
    }

    /// Binds no snapshot repository in `site.toml`.
    #[must_use]
    pub fn without_backups(mut self) -> Self {
        self.has_backups = false;
        self
    }

    /// Lets the binary talk to the server itself, over TLS, so that the proxy sees nothing.
    #[must_use]
    pub fn direct(mut self, url: &str, authority: &Path) -> Self {
        self.direct = Some((url.to_owned(), authority.to_owned()));
        self
    }

    /// Binds the nodes of the cluster as services, each by its address and its table, and lets the binary talk to them, so
    /// that the proxy sees nothing.
    #[must_use]
    pub fn with_nodes(mut self, nodes: impl IntoIterator<Item = (String, String)>) -> Self {
        self.nodes = nodes.into_iter().collect();
        self
    }

    /// Empties the cluster, builds the 8.7 site, and gives a new operator with new folders.
    pub async fn fresh(&self, spec: &SiteSpec) -> anyhow::Result<Round> {
        let (facts, before) = self.rebuild(spec).await?;
        let round = self.round(facts, before)?;
        self.proxy.clear_rules();
        self.proxy.clear();
        Ok(round)
    }

    /// Empties the cluster and builds the 8.7 site, for an operator who is there already.
    pub async fn rebuild(&self, spec: &SiteSpec) -> anyhow::Result<(SiteFacts, Dump)> {
        wipe(&self.target)
            .await
            .context("cannot empty the cluster")?;
        let facts = liftlock_lab::build(&self.target, spec)
            .await
            .context("cannot build the 8.7 site")?;
        let location = self.repository.join("backups");
        let settings = serde_json::json!({
            "type": "fs",
            "settings": { "location": location.to_string_lossy() },
        });
        self.target
            .put(&format!("/_snapshot/{REPOSITORY}"), &settings)
            .await
            .context("cannot register the snapshot repository")?;
        let before = liftlock_lab::dump(&self.target, &spec.prefix).await?;
        Ok((facts, before))
    }

    fn round(&self, facts: SiteFacts, before: Dump) -> anyhow::Result<Round> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        // Its own name in the folder: output that is compared must not depend on where it was built.
        let pretend = folder.path().join("optimize-server");
        std::os::unix::fs::symlink(&self.kit.pretend, &pretend)
            .context("cannot link the stand-in for Optimize")?;
        let optimize = Pretend::start(&pretend, &folder.path().join("optimize.pid"))?;
        let [site, state, config] =
            ["site", "state", "config"].map(|name| folder.path().join(name));
        for dir in [&site, &config] {
            fs::create_dir(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        }
        private_dir(&state)?;
        lend_compiled(&self.kit.plugin, &compiled_dir(), &state.join(COMPILED))?;
        write(
            &config.join("environment-config.yaml"),
            &format!("---\nes:\n  security:\n    password: {CONFIG_SECRET}\n"),
        )?;
        write(
            &site.join("site.toml"),
            &self.site_toml(&facts, &config, &optimize),
        )?;
        let plugin = folder.path().join("optimize.wasm");
        fs::copy(&self.kit.plugin.path, &plugin).context("cannot copy the plugin")?;
        let mut operator = Operator::new(&self.kit.liftlock, &site, &state);
        if let Some(secret) = self.login.secret() {
            operator = operator.env(SECRET_VARIABLE, secret);
        }
        Ok(Round {
            folder,
            component: self.kit.plugin.clone(),
            plugin,
            operator,
            facts,
            before,
            optimize,
        })
    }

    fn site_toml(&self, facts: &SiteFacts, config: &Path, optimize: &Pretend) -> String {
        let (urls, ca) = match &self.direct {
            Some((url, ca)) => (vec![url.clone()], format!("ca = \"{}\"\n", ca.display())),
            None if self.nodes.is_empty() => (vec![self.switch.url()], String::new()),
            None => (
                self.nodes.iter().map(|(url, _)| url.clone()).collect(),
                String::new(),
            ),
        };
        let services: String = self.nodes.iter().map(|(_, table)| table.as_str()).collect();
        let auth = match &self.login {
            Login::None => String::new(),
            Login::Basic { user, .. } => format!(
                "auth = {{ basic = {{ username = \"{user}\", password = {{ env = \"{SECRET_VARIABLE}\" }} }} }}\n"
            ),
            Login::ApiKey(_) => {
                format!("auth = {{ api-key = {{ env = \"{SECRET_VARIABLE}\" }} }}\n")
            }
        };
        let neighbours = if facts.neighbours.is_empty() {
            String::new()
        } else {
            format!("neighbours = \"{}-team-a\"\n", facts.prefix)
        };
        let backups = if self.has_backups {
            format!(
                "[snapshot.backups]\ncluster = \"cluster.database\"\nrepository = \"{REPOSITORY}\"\n\n"
            )
        } else {
            String::new()
        };
        format!(
            "name = \"{SITE}\"\n\
             product-plugin = \"camunda-optimize\"\n\n\
             [options]\nprefix = \"{}\"\nquiet-seconds = {QUIET_SECONDS}\n{neighbours}\n\
             [cluster.database]\nnodes = {urls:?}\n{ca}{auth}\n\
             {backups}{services}\
             [disk.config]\npath = \"{}\"\n\n\
             {}",
            facts.prefix,
            config.display(),
            optimize.site_toml(),
        )
    }

    /// Whether the binary's requests go through the proxy.
    pub fn is_watched(&self) -> bool {
        self.direct.is_none() && self.nodes.is_empty()
    }

    /// The password or key that must be nowhere.
    pub fn secret(&self) -> Option<&str> {
        self.login.secret()
    }

    /// The requests that reached the cluster since the last look and may have changed it.
    pub fn changes(&self) -> Vec<String> {
        self.proxy
            .records()
            .iter()
            .filter(|record| record.forwarded && may_change(record))
            .map(Record::line)
            .collect()
    }
}

impl Round {
    /// The plugin's file, as a vendor ships it.
    pub fn plugin(&self) -> &str {
        self.plugin.to_str().unwrap_or_default()
    }

    /// Makes the plugin's file another build of the same plugin: the same code under another digest.
    pub fn repair_plugin(&self) -> anyhow::Result<()> {
        let mut bytes = fs::read(&self.plugin)?;
        // An empty custom section: id, size, length of the name, the name.
        bytes.extend([0, 9, 8]);
        bytes.extend(b"repaired");
        fs::write(&self.plugin, bytes)?;
        Ok(())
    }

    /// A folder of this round for whatever a test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a text of `site.toml` in the place of another, which must be there, and grants what is asked for then.
    pub async fn change_site(&self, old: &str, new: &str) -> anyhow::Result<()> {
        let file = self.operator.site().join("site.toml");
        let text = fs::read_to_string(&file).context("cannot read `site.toml`")?;
        if !text.contains(old) {
            bail!("`site.toml` has no `{old}`:\n{text}");
        }
        write(&file, &text.replacen(old, new, 1))?;
        self.operator.grant().await
    }

    /// Keeps the compiled plugin for the rounds to come: compiling takes seconds, each time the same.
    pub fn keep_compiled(&self) -> anyhow::Result<()> {
        lend_compiled(
            &self.component,
            &self.operator.state().join(COMPILED),
            &compiled_dir(),
        )
    }

    /// Whether Optimize, or what stands in for it, answers.
    pub async fn answers(&self) -> bool {
        let Ok(target) = HttpTarget::new(self.optimize.url()) else {
            return false;
        };
        target.get("/api/readyz").await.is_ok()
    }

    /// The newest plan file.
    pub fn plan_file(&self) -> anyhow::Result<PathBuf> {
        let dir = self.operator.site().join("plans");
        let mut newest = None;
        for entry in
            fs::read_dir(&dir).with_context(|| format!("cannot list `{}`", dir.display()))?
        {
            let entry = entry?;
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let made = entry.metadata()?.modified()?;
                newest = newest.max(Some((made, path)));
            }
        }
        match newest {
            Some((_, path)) => Ok(path),
            None => bail!("there is no plan in `{}`", dir.display()),
        }
    }
}

/// How long the plugin watches that nothing is written. Nothing writes to the lab's site, so the
/// shortest time shows as much as the ten seconds that a real site gets.
const QUIET_SECONDS: u32 = 1;

/// Name of the snapshot repository in the cluster.
pub const REPOSITORY: &str = "backups";

/// Whether a request can leave the cluster other than it was. A POST that only asks cannot, nor can
/// the check of a repository: each node writes a probe file beside the snapshots and removes it.
pub fn may_change(record: &Record) -> bool {
    const ASKS: [&str; 10] = [
        "_search",
        "_count",
        "_mget",
        "_msearch",
        "_refresh",
        "_field_caps",
        "_validate",
        "_analyze",
        "_pit",
        "_verify",
    ];
    if record.is_read() {
        return false;
    }
    let path = record.path.split('?').next().unwrap_or_default();
    !path.split('/').any(|part| ASKS.contains(&part))
}

/// Removes everything that a site, a neighbour or a run can have left, by exact names.
async fn wipe(target: &HttpTarget) -> anyhow::Result<()> {
    let snapshots = target.send(Method::GET, "/_snapshot/_all", None).await?.1;
    for repository in names(&snapshots) {
        let all = target.get(&format!("/_snapshot/{repository}/_all")).await?;
        for snapshot in all["snapshots"].as_array().into_iter().flatten() {
            let name = snapshot["snapshot"].as_str().unwrap_or_default();
            target
                .delete(&format!("/_snapshot/{repository}/{name}"))
                .await?;
        }
        target.delete(&format!("/_snapshot/{repository}")).await?;
    }
    let rows = target
        .get("/_cat/indices?format=json&expand_wildcards=all&h=index")
        .await?;
    for row in rows.as_array().into_iter().flatten() {
        let name = row["index"].as_str().unwrap_or_default();
        if !is_of_the_server(name) {
            target.delete(&format!("/{name}")).await?;
        }
    }
    let legacy = target.get("/_template").await?;
    for name in names(&legacy).filter(|name| !is_of_the_server(name)) {
        if name.starts_with("optimize-") {
            target.delete(&format!("/_template/{name}")).await?;
        }
    }
    let components = target.get("/_component_template").await?;
    for one in components["component_templates"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = one["name"].as_str().unwrap_or_default();
        if name.starts_with("liftlock-") {
            target
                .delete(&format!("/_component_template/{name}"))
                .await?;
        }
    }
    Ok(())
}

fn names(object: &Value) -> impl Iterator<Item = &String> {
    object
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
}

/// Indices and templates that begin with a dot belong to the server, but for what a run hides.
fn is_of_the_server(name: &str) -> bool {
    name.starts_with('.') && !name.contains("liftlock")
}

/// The folder of compiled plugins in a state directory.
const COMPILED: &str = "cache";

/// Where compiled plugins are kept between rounds.
fn compiled_dir() -> PathBuf {
    artifacts::target_dir().join("plugins/compiled")
}

/// Copies what was compiled of this very component, if anything was. The host's own checks of an
/// entry (its name, its owner) decide whether it is used.
pub(crate) fn lend_compiled(component: &Component, from: &Path, to: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let target = to.join(&name);
        if name.to_string_lossy().starts_with(&component.sha256) && !target.exists() {
            private_dir(to)?;
            // By a rename, as another test may look for it at this moment.
            let draft = tempfile::NamedTempFile::new_in(to)?;
            fs::copy(entry.path(), draft.path())?;
            draft.persist(&target)?;
        }
    }
    Ok(())
}

/// A folder that only we can look into.
pub(crate) fn private_dir(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot make `{}`", path.display()))
}

/// Writes a file of a test.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// A process that stands in for Optimize. It is ended when this is dropped.
#[derive(Debug)]
pub struct Pretend {
    program: PathBuf,
    port: u16,
    pid_file: PathBuf,
    process: ProcessId,
}

impl Pretend {
    /// Starts it on a free port; it writes its process id into `pid_file`, and answers when this
    /// returns.
    pub fn start(program: &Path, pid_file: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("cannot find a free port")?
            .port();
        let mut child = Command::new(program)
            .arg(port.to_string())
            .arg(pid_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run `{}`", program.display()))?;
        let process = ProcessId::of(child.id()).context("the stand-in ended at once")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            // Its only line says that it listens.
            std::io::BufReader::new(output).read_line(&mut line)?;
        }
        if !line.contains("has been started") {
            bail!("the stand-in for Optimize did not start: {line}");
        }
        // Whoever stops it looks whether it is gone; its remains would count as there.
        std::thread::spawn(move || child.wait());
        Ok(Self {
            program: program.to_owned(),
            port,
            pid_file: pid_file.to_owned(),
            process,
        })
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process.is_alive()
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What `site.toml` says of it.
    pub fn site_toml(&self) -> String {
        let (program, port, pid_file) =
            (self.program.display(), self.port, self.pid_file.display());
        format!(
            "[service.optimize]\nstart = [\"{program}\", \"{port}\", \"{pid_file}\"]\nport = {port}\n\
             ready = {{ http = \"http://127.0.0.1:{port}/api/readyz\" }}\npid-file = \"{pid_file}\"\n\
             grace-ms = 5000\n"
        )
    }
}

impl Drop for Pretend {
    fn drop(&mut self) {
        self.process.kill();
        // A run that gives the service back starts another process, which no test waits for.
        let pid = fs::read_to_string(&self.pid_file).ok();
        let Some(again) = pid
            .and_then(|pid| pid.trim().parse().ok())
            .and_then(ProcessId::of)
        else {
            return;
        };
        let line = fs::read(format!("/proc/{}/cmdline", again.pid)).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&*self.pid_file.to_string_lossy()) {
            again.kill();
        }
    }
}

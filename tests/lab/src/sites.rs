//! Servers that outlive the process that started them: `lab up`, `down`, `status`, `logs`.
//!
//! Each site has a folder with the server's data and a file `state.json`. The file appears when
//! the server is ready, and names its processes by id, start time and boot, so that `down` can
//! never end another process that got the same id.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::cache;
use crate::camunda;
use crate::camunda::CamundaStatus;
use crate::error::IoContext;
use crate::error::LabError;
use crate::files::write_private;
use crate::http::HttpTarget;
use crate::http::Secret;
use crate::launch::Lifetime;
use crate::process::ProcessId;
use crate::servers;
use crate::servers::Jvm;
use crate::servers::Processes;
use crate::servers::Server;
use crate::servers::ServerKind;
use crate::site;
use crate::site::SiteSpec;

/// Form of the state file; another number is refused.
const STATE_FORMAT: u32 = 1;

/// The state file in a site's folder.
const STATE: &str = "state.json";

/// The server's own folder in that of the site.
const SERVER: &str = "server";

/// A server that was left running, as its state file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabSite {
    format: u32,
    /// The site's name.
    pub name: String,
    /// Which server.
    pub kind: ServerKind,
    /// `http://127.0.0.1:PORT`, or `https`.
    pub base_url: String,
    /// The HTTP port.
    pub http_port: u16,
    /// The port for traffic between nodes.
    pub transport_port: u16,
    processes: Processes,
    /// When it was ready, in UTC.
    pub started_at: String,
    /// The server's folder.
    pub dir: PathBuf,
    /// Where snapshot repositories may lie.
    pub repo_dir: PathBuf,
    /// The server's log.
    pub log: PathBuf,
    /// User, when it is secured.
    pub user: Option<String>,
    /// File with that user's password, readable by us alone.
    pub password_file: Option<PathBuf>,
    /// File with an API key of that user, readable by us alone.
    pub api_key_file: Option<PathBuf>,
    /// Certificate of its authority, when it speaks TLS.
    pub ca_file: Option<PathBuf>,
    /// Prefix of the Optimize site on it, when one was built.
    pub site_prefix: Option<String>,
}

impl LabSite {
    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.processes.server.pid
    }

    /// A client with the site's credentials and certificate authority.
    pub fn target(&self) -> Result<HttpTarget, LabError> {
        let read = |file: &PathBuf| fs::read_to_string(file).doing("read", file);
        let ca = self.ca_file.as_ref().map(read).transpose()?;
        let target = HttpTarget::with_ca(&self.base_url, ca.as_deref())?;
        match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Ok(target.basic(user, Secret::new(read(file)?))),
            _ => Ok(target),
        }
    }
}

/// What a state file and its processes show.
#[derive(Clone, Debug, PartialEq)]
pub enum SiteStatus {
    /// There is no site of that name.
    Absent,
    /// A server was started and is not ready yet, or whoever started it was interrupted.
    Starting(ProcessId),
    /// The server runs.
    Up(Box<LabSite>),
    /// There is a state file, but its server does not run any more.
    Dead(Box<LabSite>),
}

/// Starts a server that stays when this process ends, and builds a site on it if one is given.
///
/// `root` is the folder of all lab sites, usually `.lab` in the checkout. A site that is up
/// already is an error; the remains of one that died are removed first.
pub async fn up(
    root: &Path,
    name: &str,
    kind: ServerKind,
    spec: Option<&SiteSpec>,
) -> Result<LabSite, LabError> {
    let dir = site_dir(root, name)?;
    let refuse = |why| {
        Err(LabError::Site {
            site: name.to_owned(),
            why,
        })
    };
    match status(root, name)? {
        SiteStatus::Up(site) => {
            return refuse(format!(
                "is up already, process {} at {}",
                site.pid(),
                site.base_url
            ));
        }
        SiteStatus::Starting(process) => {
            return refuse(format!(
                "is being started, process {}; take it down first",
                process.pid
            ));
        }
        SiteStatus::Absent if camunda::site::status(root, name)? != CamundaStatus::Absent => {
            return refuse("is a Camunda site; take it down first".into());
        }
        SiteStatus::Dead(_) | SiteStatus::Absent => {}
    }
    // Data of a server that died would be found by a server of another kind.
    cache::remove_folder(&dir)?;
    fs::create_dir_all(&dir).doing("make", &dir)?;
    let dir = dir.canonicalize().doing("resolve", &dir)?;
    let server = Server::start_for(kind, Jvm::Quick, &dir.join(SERVER), Lifetime::OnItsOwn).await?;
    // Until the state file is there, a failure drops the server, which kills it.
    if let Some(spec) = spec {
        site::build(server.target(), spec).await?;
    }
    let mut site = LabSite {
        format: STATE_FORMAT,
        name: name.to_owned(),
        kind,
        base_url: server.base_url().to_owned(),
        http_port: server.http_port(),
        transport_port: server.transport_port(),
        processes: server.processes().clone(),
        started_at: jiff::Timestamp::now().to_string(),
        dir: server.dir().to_owned(),
        repo_dir: server.repo_dir(),
        log: server.log_file(),
        user: None,
        password_file: None,
        api_key_file: None,
        ca_file: server.authority().map(|authority| authority.path.clone()),
        site_prefix: spec.map(|spec| spec.prefix.clone()),
    };
    if let Some(credentials) = server.credentials() {
        site.user = Some(credentials.user.clone());
        site.password_file = Some(write_secret(&dir.join("password"), &credentials.password)?);
        site.api_key_file = Some(write_secret(&dir.join("api-key"), &credentials.api_key)?);
    }
    write_state(&dir, STATE, &site)?;
    server.leave_running();
    Ok(site)
}

/// Ends a site's server and removes its folder; says what was there.
pub async fn down(root: &Path, name: &str) -> Result<SiteStatus, LabError> {
    let before = status(root, name)?;
    match &before {
        // Also for a dead server: its launcher may be left.
        SiteStatus::Up(site) | SiteStatus::Dead(site) => site.processes.stop().await,
        SiteStatus::Starting(process) => {
            Processes {
                server: process.clone(),
                launcher: None,
            }
            .stop()
            .await;
        }
        SiteStatus::Absent => {}
    }
    cache::remove_folder(&site_dir(root, name)?)?;
    Ok(before)
}

/// What there is of a site.
pub fn status(root: &Path, name: &str) -> Result<SiteStatus, LabError> {
    let file = site_dir(root, name)?.join(STATE);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let started = servers::launched(&site_dir(root, name)?.join(SERVER));
            return Ok(started.map_or(SiteStatus::Absent, SiteStatus::Starting));
        }
        other => other.doing("read", &file)?,
    };
    let malformed = |why| LabError::malformed(format!("state file `{}`", file.display()), why);
    let site: LabSite = serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    if site.format != STATE_FORMAT {
        return Err(malformed(format!(
            "format {}, expected {STATE_FORMAT}",
            site.format
        )));
    }
    let site = Box::new(site);
    Ok(if site.processes.is_alive() {
        SiteStatus::Up(site)
    } else {
        SiteStatus::Dead(site)
    })
}

/// The last lines of a site's server log.
pub fn logs(root: &Path, name: &str, lines: usize) -> Result<String, LabError> {
    let (SiteStatus::Up(site) | SiteStatus::Dead(site)) = status(root, name)? else {
        return Err(LabError::Site {
            site: name.to_owned(),
            why: "was never started".into(),
        });
    };
    let bytes = fs::read(&site.log).doing("read", &site.log)?;
    Ok(cache::last_lines(&String::from_utf8_lossy(&bytes), lines))
}

/// The names of all sites with a folder in `root`, sorted.
pub fn names(root: &Path) -> Result<Vec<String>, LabError> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.doing("list", root)?,
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| site_dir(root, name).is_ok_and(|dir| dir.is_dir()))
        .collect();
    names.sort();
    Ok(names)
}

/// A site's folder; the name is a single, plain part of a path.
pub(crate) fn site_dir(root: &Path, name: &str) -> Result<PathBuf, LabError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(is_plain) {
        let why = "expected lower-case letters, digits and dashes";
        return Err(LabError::malformed(format!("site name `{name}`"), why));
    }
    Ok(root.join(name))
}

fn write_secret(file: &Path, secret: &Secret) -> Result<PathBuf, LabError> {
    write_private(file, secret.reveal())?;
    Ok(file.to_owned())
}

/// The state file appears whole, by a rename.
pub(crate) fn write_state(dir: &Path, file: &str, site: &impl Serialize) -> Result<(), LabError> {
    let text = serde_json::to_string_pretty(site)
        .map_err(|error| LabError::malformed("the state", error.to_string()))?;
    let draft = dir.join(format!("{file}.part"));
    write_private(&draft, &text)?;
    fs::rename(&draft, dir.join(file)).doing("publish", &draft)
}

#[cfg(test)]
mod tests {
    use std::process::Child;
    use std::process::Command;

    use super::*;

    /// A site whose server is a process that only waits.
    fn stage(root: &Path, name: &str) -> (Child, LabSite) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let dir = root.join(name);
        fs::create_dir_all(&dir).unwrap();
        let log = dir.join("server.log");
        fs::write(&log, "one\ntwo\nthree\n").unwrap();
        let site = LabSite {
            format: STATE_FORMAT,
            name: name.into(),
            kind: ServerKind::OpenSearch2,
            base_url: "http://127.0.0.1:1".into(),
            http_port: 1,
            transport_port: 2,
            processes: Processes {
                server: ProcessId::of(child.id()).unwrap(),
                launcher: None,
            },
            started_at: "2026-01-01T00:00:00Z".into(),
            dir: dir.clone(),
            repo_dir: dir.join("repo"),
            log,
            user: None,
            password_file: None,
            api_key_file: None,
            ca_file: None,
            site_prefix: None,
        };
        write_state(&dir, STATE, &site).unwrap();
        (child, site)
    }

    #[tokio::test]
    async fn tells_up_from_dead_and_absent_and_takes_down() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(status(root.path(), "os2").unwrap(), SiteStatus::Absent);
        let (mut child, site) = stage(root.path(), "os2");
        let site = Box::new(site);
        assert_eq!(
            status(root.path(), "os2").unwrap(),
            SiteStatus::Up(site.clone())
        );
        assert_eq!(logs(root.path(), "os2", 2).unwrap(), "two\nthree");
        assert_eq!(names(root.path()).unwrap(), ["os2"]);
        let taken = up(root.path(), "os2", ServerKind::OpenSearch2, None)
            .await
            .unwrap_err();
        assert!(taken.to_string().contains("is up already"), "{taken}");

        site.processes.kill();
        child.wait().unwrap();
        assert_eq!(
            status(root.path(), "os2").unwrap(),
            SiteStatus::Dead(site.clone())
        );
        assert_eq!(
            down(root.path(), "os2").await.unwrap(),
            SiteStatus::Dead(site)
        );
        assert_eq!(status(root.path(), "os2").unwrap(), SiteStatus::Absent);
        assert!(logs(root.path(), "os2", 2).is_err());
    }

    #[tokio::test]
    async fn takes_down_what_was_started_and_never_got_ready() {
        let root = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        let dir = root.path().join("os2/server");
        fs::create_dir_all(&dir).unwrap();
        fs::write(
            dir.join("launched.json"),
            serde_json::to_string(&process).unwrap(),
        )
        .unwrap();
        let starting = SiteStatus::Starting(process);
        assert_eq!(status(root.path(), "os2").unwrap(), starting);
        assert!(
            up(root.path(), "os2", ServerKind::OpenSearch2, None)
                .await
                .is_err()
        );
        assert_eq!(down(root.path(), "os2").await.unwrap(), starting);
        assert!(!child.wait().unwrap().success());
        assert_eq!(status(root.path(), "os2").unwrap(), SiteStatus::Absent);
    }

    #[tokio::test]
    async fn down_spares_a_process_that_only_has_the_same_id() {
        let root = tempfile::tempdir().unwrap();
        let (mut child, mut site) = stage(root.path(), "os2");
        site.processes.server.start_ticks -= 1;
        write_state(&root.path().join("os2"), STATE, &site).unwrap();
        assert!(matches!(
            down(root.path(), "os2").await.unwrap(),
            SiteStatus::Dead(_)
        ));
        assert!(child.try_wait().unwrap().is_none(), "it was not ours");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn refuses_a_state_file_of_another_form() {
        let root = tempfile::tempdir().unwrap();
        let (mut child, mut site) = stage(root.path(), "os2");
        child.kill().unwrap();
        child.wait().unwrap();
        site.format = 99;
        write_state(&root.path().join("os2"), STATE, &site).unwrap();
        let error = status(root.path(), "os2").unwrap_err().to_string();
        assert!(error.contains("format 99, expected 1"), "{error}");
        fs::write(root.path().join("os2/state.json"), "{\"format\":1").unwrap();
        assert!(
            status(root.path(), "os2")
                .unwrap_err()
                .to_string()
                .contains("state.json")
        );
    }

    #[test]
    fn refuses_a_name_that_leaves_the_folder() {
        let root = tempfile::tempdir().unwrap();
        for name in ["", "..", "a/b", "A", "a b"] {
            assert!(status(root.path(), name).is_err(), "{name}");
        }
    }
}

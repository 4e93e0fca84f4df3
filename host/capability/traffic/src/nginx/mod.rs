//! nginx by an included file of ours.
//!
//! A change is an edit of one line, a test of nginx's files, and a reload. What is told of a server is what nginx has
//! loaded, which is told by when its workers were started; a file that it has not loaded yet is no state.

mod lines;
mod put;
mod run;
mod workers;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use liftlock_types::facts::traffic::{Administrative, Server};
use liftlock_types::{Acted, Change, ReadError, TargetIdentity};
use rustix::fs::stat;
use serde_json::json;

use self::lines::Line;
use self::put::Include;
use self::run::run;
use self::workers::{Master, Worker};
use crate::answer::{not_ours, not_sent, refused};
use crate::conditions;

/// Longest time from a reload until only new workers take requests; a tenth of a second was seen.
const RELOAD_MAX: Duration = Duration::from_secs(20);

/// Between two looks at the workers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One nginx.
#[derive(Clone)]
pub(crate) struct Nginx {
    include: Include,
    backend: String,
    pid_file: PathBuf,
    test: Vec<String>,
    reload: Vec<String>,
}

/// One look at file and workers.
struct Look {
    master: Master,
    /// The file as it lies there.
    file: String,
    /// The file that nginx has loaded.
    loaded: String,
    workers: Vec<Worker>,
}

impl Nginx {
    pub(crate) fn new(
        include: PathBuf,
        backend: String,
        pid_file: PathBuf,
        test: Vec<String>,
        reload: Vec<String>,
    ) -> Self {
        Self {
            include: Include::new(include),
            backend,
            pid_file,
            test,
            reload,
        }
    }

    /// The included file: device of its directory, and path. The file itself is replaced by each change.
    pub(crate) async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        let path = &self.include.path;
        let there = stat(path.parent().unwrap_or(path))
            .and_then(|parent| stat(path).map(|_| parent))
            .map_err(|error| self.unreadable("read", &error.into()))?;
        Ok(TargetIdentity {
            fingerprint: format!("{}:{}", there.st_dev, path.display()),
            product: format!("nginx, upstream {}", self.backend),
        })
    }

    /// Servers of its one backend, as nginx has loaded them.
    pub(crate) async fn servers(&self, backend: &str) -> Result<Vec<Server>, ReadError> {
        let is_meant = match backend.strip_suffix('*') {
            Some(prefix) => self.backend.starts_with(prefix),
            None if self.backend == backend => true,
            None => return Err(ReadError::NotFound(format!("a backend `{backend}`"))),
        };
        let look = self.look().await?;
        if !is_meant {
            return Ok(Vec::new());
        }
        let lines = lines::servers(&look.loaded)?;
        let has_active = lines.iter().any(|line| !line.is_down && !line.is_backup);
        let sticky = lines::is_sticky(&look.loaded);
        Ok(lines
            .into_iter()
            .map(|line| self.server(line, has_active, sticky))
            .collect())
    }

    fn server(&self, line: Line, has_active: bool, sticky: bool) -> Server {
        let mut more = Vec::new();
        if line.is_backup {
            more.push(("spare".to_owned(), "true".to_owned()));
        }
        Server {
            backend: self.backend.clone(),
            name: line.name,
            address: line.address,
            administrative: if line.is_down {
                Administrative::Maintenance
            } else {
                Administrative::Ready
            },
            // It has no checks.
            up: true,
            serving: !line.is_down && (!line.is_backup || !has_active),
            current: None,
            queued: None,
            total: None,
            weight: line.weight,
            sticky,
            more,
        }
    }

    /// How many processes finish what they had before the last reload.
    pub(crate) async fn old_workers(&self) -> Result<usize, ReadError> {
        let look = self.look().await?;
        Ok(look.workers.iter().filter(|worker| worker.is_old).count())
    }

    /// What it cannot do is said before anything is planned.
    pub(crate) fn can(change: &Change) -> Result<(), ReadError> {
        match change {
            Change::SetServerState {
                to: Administrative::Drain,
                ..
            } => Err(ReadError::Absent(
                "drain: nginx takes a server from all clients at once, which is maintenance".into(),
            )),
            Change::SetServerWeight { weight: 0, .. } => Err(ReadError::Absent(
                "a weight of 0: nginx takes a server out by maintenance".into(),
            )),
            Change::SetServerState { .. } | Change::SetServerWeight { .. } => Ok(()),
            _ => Err(not_ours(change)),
        }
    }

    /// Edits, tests, loads. Whatever refuses it on the way, the old file is back and in force.
    pub(crate) async fn change(&self, change: &Change) -> Acted {
        if let Err(error) = Self::can(change) {
            return not_sent(error);
        }
        let look = match self.look().await {
            Ok(look) => look,
            Err(error) => return not_sent(error),
        };
        let text = match wanted(change, &look.loaded) {
            Ok(text) => text,
            Err(error) => return not_sent(error),
        };
        // Where an attempt that was cut short has put it there already, the loaded file lies aside.
        if text != look.file {
            let (to_write, is_loaded) = (text.clone(), look.file == look.loaded);
            let put = move |nginx: &Self| {
                if is_loaded {
                    nginx.include.tidy()?;
                } else {
                    nginx.include.put_back()?;
                }
                nginx.include.put(&to_write)
            };
            if let Err(error) = self.blocking(put).await {
                let why = self.unreadable("write", &error).to_string();
                return self.take_back(&look, 500, "not-written", why).await;
            }
        }
        if let Err(why) = run(&self.test).await {
            return self.take_back(&look, 400, "test", why).await;
        }
        let asked = if self.reload.is_empty() {
            look.master.reload().map_err(|error| error.to_string())
        } else {
            run(&self.reload).await
        };
        if let Err(why) = asked {
            return self.take_back(&look, 500, "reload", why).await;
        }
        match self.loaded(&look.workers).await {
            Ok(true) => Acted::Answered(json!({})),
            Ok(false) => {
                let why = format!(
                    "nginx did not load the file within {} s; its error log says why",
                    RELOAD_MAX.as_secs()
                );
                self.take_back(&look, 500, "not-loaded", why).await
            }
            Err(error) => Acted::Unanswered(error.to_string()),
        }
    }

    /// Puts the loaded file back; then nothing was changed, whatever nginx does later.
    async fn take_back(&self, look: &Look, status: u16, kind: &str, why: String) -> Acted {
        let back = self.blocking(|nginx| nginx.include.put_back()).await;
        let now = self.blocking(|nginx| nginx.include.read()).await;
        match (back, now) {
            (Ok(()), Ok(now)) if now.text == look.loaded => refused(status, kind, why),
            (Err(error), _) | (_, Err(error)) => Acted::Unanswered(format!(
                "{why}; and the old file could not be put back: {error}"
            )),
            _ => Acted::Unanswered(format!("{why}; and the old file is not back")),
        }
    }

    /// Waits until only new workers take requests.
    async fn loaded(&self, before: &[Worker]) -> Result<bool, ReadError> {
        let end = Instant::now() + RELOAD_MAX;
        loop {
            let workers = self
                .blocking(|nginx| Master::find(&nginx.pid_file)?.workers())
                .await
                .map_err(|error| self.not_running(&error))?;
            let is_new = |worker: &Worker| !before.iter().any(|old| old.is(*worker));
            if workers.iter().any(is_new)
                && workers.iter().all(|worker| is_new(worker) || worker.is_old)
            {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes off what a change that was cut short left beside the file.
    pub(crate) async fn tidy(&self) -> Result<(), ReadError> {
        let look = self.look().await?;
        if look.file == look.loaded {
            self.blocking(|nginx| nginx.include.tidy())
                .await
                .map_err(|error| self.unreadable("tidy up beside", &error))?;
        }
        Ok(())
    }

    async fn look(&self) -> Result<Look, ReadError> {
        let looked = self
            .blocking(|nginx| {
                let master = Master::find(&nginx.pid_file)
                    .and_then(|master| Ok((master, master.workers()?)));
                Ok((master, nginx.include.read()?, nginx.include.read_aside()?))
            })
            .await;
        let (master, file, aside) = looked.map_err(|error| self.unreadable("read", &error))?;
        let (master, workers) = master.map_err(|error| self.not_running(&error))?;
        let mut current = workers.iter().filter(|worker| !worker.is_old).peekable();
        if current.peek().is_none() {
            return Err(ReadError::Unavailable("nginx has no worker".into()));
        }
        let current: Vec<&Worker> = current.collect();
        let knows = |written| current.iter().all(|worker| worker.knows(written));
        let loaded = match aside {
            _ if knows(file.written) => file.text.clone(),
            Some(aside) if knows(aside.written) => aside.text,
            _ => {
                return Err(ReadError::Unavailable(format!(
                    "`{}` was changed after nginx had loaded it: reload nginx, or put the file back",
                    self.include.path.display()
                )));
            }
        };
        Ok(Look {
            master,
            file: file.text,
            loaded,
            workers,
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let nginx = self.clone();
        tokio::task::spawn_blocking(move || work(&nginx))
            .await
            .map_err(io::Error::other)?
    }

    fn unreadable(&self, doing: &str, error: &io::Error) -> ReadError {
        ReadError::Unavailable(format!(
            "cannot {doing} the included file `{}`: {error}",
            self.include.path.display()
        ))
    }

    fn not_running(&self, error: &io::Error) -> ReadError {
        ReadError::Unavailable(format!(
            "nginx does not run by its pid file `{}`: {error}",
            self.pid_file.display()
        ))
    }
}

/// The loaded file with the change in it.
fn wanted(change: &Change, loaded: &str) -> Result<String, ReadError> {
    let of = |backend: &str, name: &str| {
        lines::servers(loaded)?
            .into_iter()
            .find(|line| line.name == name)
            .ok_or_else(|| ReadError::NotFound(format!("a server `{name}` of backend `{backend}`")))
    };
    match change {
        Change::SetServerState {
            backend,
            server,
            to,
        } => {
            let line = of(backend.as_str(), server.as_str())?;
            Ok(lines::with_state(loaded, &line, *to))
        }
        Change::SetServerWeight {
            backend,
            server,
            weight,
        } => {
            let line = of(backend.as_str(), server.as_str())?;
            Ok(lines::with_weight(loaded, &line, *weight))
        }
        _ => Err(not_ours(change)),
    }
}

impl From<usize> for conditions::OldWorkers {
    fn from(left: usize) -> Self {
        Self::Left(left)
    }
}

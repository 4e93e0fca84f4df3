//! The vendor's upgrader as a process that outlives the host: a thread of its own that sends its own requests, and
//! goes on, ends or dies whatever becomes of the run that started it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use anyhow::anyhow;
use anyhow::bail;
use liftlock_upgrader::say;
use liftlock_upgrader::settings::Settings;
use liftlock_upgrader::settings::Stop;
use liftlock_upgrader::upgrade;
use tokio::sync::Notify;

/// Longest wait for a process to get somewhere. A whole upgrade of a small site takes less than a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What is to be seen of a process: its id with its start time, and the file that its status is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Lives,
    /// It wrote its status.
    Exited(i32),
    /// It is not there, and there is no status.
    Gone,
}

#[derive(Debug)]
struct Launch {
    seen: Seen,
    end: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Machine {
    launches: BTreeMap<String, Launch>,
    /// The next one waits before its request of this number.
    hold_at: Option<u32>,
    /// Two lived at the same moment.
    two_at_once: bool,
    /// The last one got to its end.
    is_whole: bool,
}

/// The machine that the upgrader runs on. Clones are the same.
#[derive(Debug, Clone)]
pub struct Vendor {
    settings: Settings,
    machine: Arc<Mutex<Machine>>,
}

impl Vendor {
    /// One that upgrades the cluster at `url` (`http://host:port`) to `to`. `go`: the file that lets a held one on.
    pub fn new(url: &str, is_opensearch: bool, to: &str, go: PathBuf) -> anyhow::Result<Self> {
        let database = if is_opensearch {
            "opensearch"
        } else {
            "elasticsearch"
        };
        let variables = BTreeMap::from([
            ("CAMUNDA_OPTIMIZE_DATABASE", database),
            ("STAND_IN_JAR", to),
            ("STAND_IN_RETRY_MS", "5"),
        ]);
        let skips = "--skip-warning".to_owned();
        let mut settings = Settings::read(&[skips], |name| {
            variables.get(name).map(|value| (*value).to_owned())
        })
        .map_err(|failure| anyhow!(failure.to_string()))?;
        url.clone_into(&mut settings.url);
        settings.go = Some(go);
        Ok(Self {
            settings,
            machine: Arc::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if it had never been started. Ends what lives.
    pub fn reset(&self) -> anyhow::Result<()> {
        self.end();
        self.until("ends", |seen| seen != Seen::Lives)?;
        *self.held() = Machine::default();
        if let Some(go) = &self.settings.go
            && go.exists()
        {
            std::fs::remove_file(go)?;
        }
        Ok(())
    }

    /// The next one that is started waits before its request of this number.
    pub fn hold_at(&self, number: u32) {
        self.held().hold_at = Some(number);
    }

    /// Lets one that waits go on, and none wait any more.
    pub fn let_go(&self) -> anyhow::Result<()> {
        self.held().hold_at = None;
        if let Some(go) = &self.settings.go {
            std::fs::write(go, "")?;
        }
        Ok(())
    }

    /// Starts one under a token.
    pub fn start(&self, token: &str) -> Result<(), String> {
        let end = Arc::new(Notify::new());
        let mut settings = self.settings.clone();
        {
            let mut machine = self.held();
            machine.two_at_once |= machine.launches.values().any(|one| one.seen == Seen::Lives);
            machine.is_whole = false;
            settings.stop = machine.hold_at.take().map(|nth| Stop {
                dies: false,
                before: true,
                nth,
                request: String::new(),
            });
            machine.launches.insert(
                token.to_owned(),
                Launch {
                    seen: Seen::Lives,
                    end: end.clone(),
                },
            );
        }
        let (here, named) = (self.clone(), token.to_owned());
        let made = std::thread::Builder::new()
            .name("vendor".into())
            .spawn(move || here.live(&settings, &end, &named));
        made.map(drop).map_err(|error| {
            self.held().launches.remove(token);
            error.to_string()
        })
    }

    fn live(&self, settings: &Settings, end: &Notify, token: &str) {
        say::mute();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let exited = runtime.ok().and_then(|runtime| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = end.notified() => None,
                    ended = upgrade::main(settings) => Some(ended.is_ok()),
                }
            })
        });
        let mut machine = self.held();
        machine.is_whole |= exited == Some(true);
        if let Some(launch) = machine.launches.get_mut(token) {
            launch.seen = match exited {
                Some(true) => Seen::Exited(0),
                Some(false) => Seen::Exited(1),
                None => Seen::Gone,
            };
        }
    }

    /// What is to be seen of the one under this token; none where none was started.
    pub fn look(&self, token: &str) -> Option<Seen> {
        self.held().launches.get(token).map(|launch| launch.seen)
    }

    /// Ends all that live, as `kill -9` does: no status.
    pub fn end(&self) {
        for launch in self.held().launches.values() {
            if launch.seen == Seen::Lives {
                launch.end.notify_one();
            }
        }
    }

    /// Loses every status that was written.
    pub fn lose_status(&self) {
        for launch in self.held().launches.values_mut() {
            if launch.seen != Seen::Lives {
                launch.seen = Seen::Gone;
            }
        }
    }

    /// Waits until of all that were started the same can be seen.
    pub fn until(&self, what: &str, is_so: impl Fn(Seen) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.held().launches.values().all(|one| is_so(one.seen)) {
            if Instant::now() > end {
                bail!("the vendor's process never {what}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// How many were started.
    pub fn starts(&self) -> usize {
        self.held().launches.len()
    }

    /// Whether two ever lived at the same moment.
    pub fn had_two_at_once(&self) -> bool {
        self.held().two_at_once
    }

    /// Whether the one that was started last did all it had to.
    pub fn is_whole(&self) -> bool {
        self.held().is_whole
    }
}

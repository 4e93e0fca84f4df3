//! One life of a process: a runner on a thread and a runtime of its own, which a test can end or freeze at any
//! point, so that nothing of it goes on.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use async_trait::async_trait;
use liftlock_gate::Decision;
use liftlock_gate::Defect;
use liftlock_gate::End;
use liftlock_gate::Happening;
use liftlock_gate::Observer;
use liftlock_gate::Parts;
use liftlock_gate::Point;
use liftlock_gate::Points;
use liftlock_gate::Runner;
use liftlock_journal::Journal;
use liftlock_journal::JournalError;
use liftlock_journal::OpenOptions;
use liftlock_types::UnitName;
use tokio::sync::Notify;

use crate::ledger::Ledger;
use crate::ledger::Place;
use crate::ledger::Seen;

/// Longest life. One takes a second; a life that hangs is a finding, and must not hang the sweep.
const LIFE_MAX: Duration = Duration::from_secs(90);

/// Between two looks at a life.
const STANDSTILL: Duration = Duration::from_millis(1_000);

/// A life that works sends more in that time, also on a machine with other work: a whole run sends some hundred in
/// a second. One that waits looks once or twice.
const BUSY_REQUESTS: usize = 12;

/// So often in a row.
const IDLE_WINDOWS: u32 = 3;

/// How long the journal of a life that was ended may stay busy: its thread closes the file a moment later.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// What a life is for.
#[derive(Debug, Clone)]
pub enum Work {
    /// From the first step.
    Run,
    /// Where the journal ends.
    Resume(Vec<Decision>),
    /// Back to the beginning.
    Rollback(Vec<Decision>),
    /// From a runner that somebody attests to be dead.
    Takeover(Vec<Decision>),
    /// One unit back, and the rest stands.
    Unit(UnitName, Vec<Decision>),
    /// Ended where it is.
    Abort,
}

impl Work {
    fn name(&self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Resume(_) => "resume",
            Self::Rollback(_) => "rollback",
            Self::Takeover(_) => "takeover",
            Self::Unit(..) => "rollback of a unit",
            Self::Abort => "abort",
        }
    }
}

/// Where a life is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// At this place.
    At(Place),
    /// At the point of this number, from 1.
    Nth(usize),
}

/// Called at each point, on the runner's own thread.
pub type Hook = Arc<dyn Fn(&Place) + Send + Sync>;

/// Where a life is held, and what happens on the way.
#[derive(Clone, Default)]
pub struct Orders {
    /// It stops there until it is thawed or ended.
    pub hold: Option<Hold>,
    /// Called at each point.
    pub hook: Option<Hook>,
    /// A gate without one of its rules.
    pub defect: Option<Defect>,
}

/// What a life came to so far.
#[derive(Debug)]
pub enum Told {
    /// It is held where it was to be held.
    Held,
    /// It came to its end.
    Ended(Box<End>),
    /// It could not begin.
    Failed(anyhow::Error),
}

/// What a held life is told.
enum Word {
    GoOn,
    Die,
}

struct Control {
    /// Ends a life that runs.
    kill: Notify,
    /// Heard by one that is held.
    words: Mutex<mpsc::Receiver<Word>>,
}

/// A running life. Dropping it ends it.
pub struct Life {
    told: mpsc::Receiver<Told>,
    control: Arc<Control>,
    words: mpsc::Sender<Word>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Makes a runner's parts from its opened journal, inside the life's own runtime.
pub type Assemble = Box<dyn FnOnce(Journal, Arc<dyn Observer>) -> anyhow::Result<Parts> + Send>;

/// What the change of a step, named first, shows in the target at this moment.
pub type Truth = Arc<dyn Fn(&str, &liftlock_types::Change) -> Option<bool> + Send + Sync>;

/// What every life of a site has.
#[derive(Clone)]
pub struct Ground {
    /// The journal's directory.
    pub journal: PathBuf,
    /// Written to by all.
    pub ledger: Ledger,
    /// Asked when the gate concludes.
    pub truth: Truth,
}

impl Life {
    /// Begins one.
    pub fn begin(
        ground: &Ground,
        number: u32,
        work: Work,
        orders: Orders,
        parts: Assemble,
    ) -> anyhow::Result<Self> {
        let (sender, told) = mpsc::channel();
        let (words, heard) = mpsc::channel();
        let control = Arc::new(Control {
            kill: Notify::new(),
            words: Mutex::new(heard),
        });
        let post = Arc::new(Post {
            orders: orders.clone(),
            counts: Mutex::default(),
            passed: AtomicUsize::new(0),
            number,
            ledger: ground.ledger.clone(),
            told: Mutex::new(sender.clone()),
            control: control.clone(),
        });
        let ear = Arc::new(Ear {
            number,
            ground: ground.clone(),
        });
        ground.ledger.note(number, Seen::Began(work.name()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for a life")?;
        let (ground, held) = (ground.clone(), control.clone());
        let thread = std::thread::Builder::new()
            .name(format!("life-{number}"))
            .spawn(move || {
                runtime.block_on(async {
                    let whole = async {
                        let journal = open(&ground.journal).await?;
                        let mut runner = Runner::new(parts(journal, ear)?).with_points(post);
                        if let Some(defect) = orders.defect {
                            runner = runner.with_defect(defect);
                        }
                        anyhow::Ok(match work {
                            Work::Run => runner.run().await,
                            Work::Resume(decisions) => runner.resume(decisions).await,
                            Work::Rollback(decisions) => {
                                runner.rollback("the sweep goes back", decisions).await
                            }
                            Work::Unit(unit, decisions) => {
                                runner
                                    .rollback_unit(unit, "the sweep takes it back", decisions)
                                    .await
                            }
                            Work::Abort => runner.abort("the sweep ends it").await,
                            Work::Takeover(decisions) => {
                                let words = "the sweep holds it".to_owned();
                                runner.takeover(Some(words), decisions).await
                            }
                        })
                    };
                    let ended = tokio::select! {
                        biased;
                        () = held.kill.notified() => return,
                        ended = whole => ended,
                    };
                    // Nobody listens any more when the sweep has given up.
                    let _ = sender.send(match ended {
                        Ok(end) => Told::Ended(Box::new(end)),
                        Err(error) => Told::Failed(error),
                    });
                });
                runtime.shutdown_background();
            })
            .context("no thread for a life")?;
        Ok(Self {
            told,
            control,
            words,
            thread: Some(thread),
        })
    }

    /// Waits until it is held or at its end.
    pub fn wait(&self) -> anyhow::Result<Told> {
        let until = Instant::now() + LIFE_MAX;
        while Instant::now() < until {
            if let Some(told) = self.wait_for(STANDSTILL)? {
                return Ok(told);
            }
        }
        bail!(
            "it neither ends nor gets there within {} s",
            LIFE_MAX.as_secs()
        )
    }

    /// Waits until it is held or at its end; none when it does no more than look now and then, as one does that waits
    /// for the target to get better. `requests`: how many the target has seen.
    pub fn wait_or_stall(&self, requests: &dyn Fn() -> usize) -> anyhow::Result<Option<Told>> {
        let until = Instant::now() + LIFE_MAX;
        let mut before = requests();
        let mut idle = 0;
        while Instant::now() < until {
            if let Some(told) = self.wait_for(STANDSTILL)? {
                return Ok(Some(told));
            }
            let now = requests();
            idle = if now - before < BUSY_REQUESTS {
                idle + 1
            } else {
                0
            };
            if idle >= IDLE_WINDOWS {
                return Ok(None);
            }
            before = now;
        }
        bail!("it goes on and on, for {} s", LIFE_MAX.as_secs())
    }

    fn wait_for(&self, patience: Duration) -> anyhow::Result<Option<Told>> {
        match self.told.recv_timeout(patience) {
            Ok(Told::Failed(error)) => Err(error),
            Ok(told) => Ok(Some(told)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("its thread is gone: it panicked"),
        }
    }

    /// Waits for its end; one that is held is an error.
    pub fn end(self) -> anyhow::Result<End> {
        match self.wait()? {
            Told::Ended(end) => Ok(*end),
            Told::Held => Err(anyhow!("it is held, and nobody asked for that")),
            Told::Failed(error) => Err(error),
        }
    }

    /// Lets one that is held go on.
    pub fn thaw(&self) {
        // One that is gone hears nothing.
        let _ = self.words.send(Word::GoOn);
    }

    /// Ends it as `kill -9` would: it does nothing more. Returns when its thread is gone.
    pub fn kill(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.control.kill.notify_one();
        // One that is gone hears nothing.
        let _ = self.words.send(Word::Die);
        if let Some(thread) = self.thread.take() {
            // A panic in it was its own end; whoever waits for its word hears of it.
            let _ = thread.join();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Opens the journal; the life before may hold it for a moment.
pub async fn open(dir: &Path) -> anyhow::Result<Journal> {
    let options = OpenOptions {
        allow_volatile: true,
        ..OpenOptions::default()
    };
    let until = Instant::now() + BUSY_MAX;
    loop {
        match Journal::open(dir, options).await {
            Err(JournalError::Busy { .. }) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            other => return other.context("cannot open the journal"),
        }
    }
}

struct Post {
    orders: Orders,
    counts: Mutex<HashMap<(String, String, u32), u32>>,
    passed: AtomicUsize,
    number: u32,
    ledger: Ledger,
    told: Mutex<mpsc::Sender<Told>>,
    control: Arc<Control>,
}

impl Post {
    fn place(&self, point: Point) -> Place {
        let step = point.step.map(|step| step.to_string()).unwrap_or_default();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let time = counts
            .entry((point.label.clone(), step.clone(), point.attempt))
            .or_default();
        *time += 1;
        Place {
            label: point.label,
            step,
            attempt: point.attempt,
            time: *time,
        }
    }
}

#[async_trait]
impl Points for Post {
    async fn reach(&self, point: Point) {
        let place = self.place(point);
        self.ledger.note(self.number, Seen::Point(place.clone()));
        if let Some(hook) = &self.orders.hook {
            hook(&place);
        }
        let passed = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let is_held = match &self.orders.hold {
            Some(Hold::At(wanted)) => *wanted == place,
            Some(Hold::Nth(number)) => *number == passed,
            None => false,
        };
        if is_held {
            let sender = self
                .told
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            // When nobody listens any more, nobody will thaw it either.
            let _ = sender.send(Told::Held);
            // The whole thread waits, so that no other step of the run moves meanwhile.
            let word = self
                .control
                .words
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            if !matches!(word, Ok(Word::GoOn)) {
                // Nothing of it is polled again: not even what another step has begun.
                std::panic::resume_unwind(Box::new("ended"));
            }
        }
    }
}

/// Hears conclusions, and asks the target at that moment whether they are true.
struct Ear {
    number: u32,
    ground: Ground,
}

impl Observer for Ear {
    fn on(&self, happening: Happening) {
        if let Happening::Concluded { step, kind, .. } = happening {
            let step = step.to_string();
            let change = self.ground.ledger.change_of(&step);
            let truth = change.and_then(|change| (self.ground.truth)(&step, &change));
            self.ground
                .ledger
                .note(self.number, Seen::Concluded { step, kind, truth });
        }
    }
}

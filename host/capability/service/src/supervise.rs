//! What the supervisor does: one launch, from before its first instruction to its exit status.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use liftlock_disk::Redactor;
use rustix::process::{Pid, Signal, kill_process_group, setsid};
use secrecy::SecretString;

use crate::output;
use crate::process::{self, LAUNCH_VARIABLE, Process, TOKEN_VARIABLE};
use crate::record::{Ended, Home, Kind, Launch, Spec, Started};

/// Set for the second of the two processes that a supervisor is begun with.
const STAGE_VARIABLE: &str = "LIFTLOCK_SUPERVISE_STAGE";

/// How long the lock of an earlier launch is waited for: its supervisor drains output after its process ended.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How long output is waited for after the process ended, before its status is written: what it left running can
/// hold the pipe for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs one launch, whose `spec.json` this is; `liftlock supervise` is this function. Answers with an exit code.
///
/// Called twice: the first process starts the second and ends at once, so that the second is nobody's child and
/// leads no group; the second opens a session of its own. No signal of the terminal reaches it, and no death of
/// who started it.
pub fn supervise_main(spec: &Path) -> i32 {
    let done = if std::env::var_os(STAGE_VARIABLE).is_some() {
        watch(spec)
    } else {
        second_stage()
    };
    i32::from(done.is_err())
}

fn second_stage() -> io::Result<()> {
    let mut arguments = std::env::args_os();
    // The file that runs now, also when it was replaced on disk since.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command
        .args(arguments)
        .env(STAGE_VARIABLE, "2")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

fn watch(spec: &Path) -> io::Result<()> {
    setsid()?;
    let launch = Launch {
        dir: spec.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    let spec = launch
        .spec()?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    match begin(&launch, &spec) {
        Ok(running) => running.watch(&launch, &spec),
        Err(error) => launch.set_ended(&Ended::NotStarted {
            why: error.to_string(),
        }),
    }
}

struct Running {
    child: Child,
    pid: u32,
    drained: Receiver<()>,
    streams: usize,
    lock: std::fs::File,
}

/// Fails only while no process was made.
fn begin(launch: &Launch, spec: &Spec) -> io::Result<Running> {
    let boot_id = process::boot_id()?;
    let me = Process::of(std::process::id()).ok_or_else(|| io::Error::other("no /proc"))?;
    let redactor = || redactor(spec).map_err(io::Error::other);
    let redactors = [redactor()?, redactor()?];
    let until = Instant::now() + LOCK_PATIENCE;
    let lock = loop {
        match launch.lock(&spec.kind)? {
            Some(lock) => break lock,
            None if Instant::now() > until => {
                return Err(io::Error::other("one that was started earlier still lives"));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    // The lock goes with a supervisor that is killed; its process does not.
    if let Some(home) = launch.dir.parent() {
        for (other, theirs) in Home::open(home.to_owned())?.launches()? {
            if theirs.kind == spec.kind
                && theirs.token != spec.token
                && let Some(living) = other.living_child()?
            {
                return Err(io::Error::other(format!(
                    "process {} of an earlier start lives",
                    living.pid
                )));
            }
        }
    }
    launch.set_supervisor(&Started {
        process: me,
        boot_id: boot_id.clone(),
    })?;
    let mut child = command(launch, spec)?.spawn()?;
    let pid = child.id();
    if let Some(process) = Process::of(pid) {
        // Without this file the process is still found by its token.
        let _ = launch.set_child(&Started { process, boot_id });
    }
    let (sender, drained) = channel();
    let mut streams = 0;
    let [out, err] = redactors;
    let sinks: [(Option<Box<dyn io::Read + Send>>, _, _); 2] = [
        (
            child.stdout.take().map(|from| Box::new(from) as _),
            launch.stdout(),
            out,
        ),
        (
            child.stderr.take().map(|from| Box::new(from) as _),
            launch.stderr(),
            err,
        ),
    ];
    for (from, path, redactor) in sinks {
        let Some(from) = from else { continue };
        let sender = sender.clone();
        streams += 1;
        std::thread::spawn(move || {
            let _ = output::copy(from, &path, &redactor);
            let _ = sender.send(());
        });
    }
    Ok(Running {
        child,
        pid,
        drained,
        streams,
        lock,
    })
}

impl Running {
    fn watch(mut self, launch: &Launch, spec: &Spec) -> io::Result<()> {
        let pid = self.pid;
        let (sender, ends) = channel();
        let mut child = self.child;
        std::thread::spawn(move || {
            let _ = sender.send(child.wait());
        });
        let ended = match wait(&ends, spec, pid) {
            (Some(status), timed_out) => ended_of(status?, timed_out),
            // Nobody can say how it ended: no status is written, and that is what is read.
            (None, _) => return Ok(()),
        };
        let until = Instant::now() + DRAIN;
        while self.streams > 0 {
            match self
                .drained
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(()) => self.streams -= 1,
                Err(_) => break,
            }
        }
        launch.set_ended(&ended)?;
        if matches!(spec.kind, Kind::Task { .. }) {
            drop(self.lock);
        }
        // What it left running goes on to write, and must not die of a closed pipe.
        for _ in 0..self.streams {
            let _ = self.drained.recv();
        }
        Ok(())
    }
}

fn wait(
    ends: &Receiver<io::Result<ExitStatus>>,
    spec: &Spec,
    pid: u32,
) -> (Option<io::Result<ExitStatus>>, bool) {
    let Some(timeout_ms) = spec.timeout_ms else {
        return (ends.recv().ok(), false);
    };
    let mut left = Duration::from_millis(timeout_ms);
    for (n, signal) in [Signal::TERM, Signal::KILL].into_iter().enumerate() {
        match ends.recv_timeout(left) {
            Ok(status) => return (Some(status), n > 0),
            Err(RecvTimeoutError::Disconnected) => return (None, false),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                    // Gone already is what is wanted.
                    let _ = kill_process_group(group, signal);
                }
                left = Duration::from_millis(spec.grace_ms);
            }
        }
    }
    (ends.recv().ok(), true)
}

fn ended_of(status: ExitStatus, timed_out: bool) -> Ended {
    if timed_out {
        return Ended::TimedOut;
    }
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited { code },
        (None, signal) => Ended::Killed {
            signal: signal.unwrap_or_default(),
        },
    }
}

fn command(launch: &Launch, spec: &Spec) -> io::Result<Command> {
    let (program, arguments) = spec
        .argv
        .split_first()
        .ok_or_else(|| io::Error::other("the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove(STAGE_VARIABLE)
        .env(TOKEN_VARIABLE, &spec.token)
        .env(LAUNCH_VARIABLE, &launch.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = &spec.directory {
        command.current_dir(directory);
    }
    if let Some(user) = &spec.user
        && rustix::process::geteuid().as_raw() != user.uid
    {
        command.uid(user.uid).gid(user.gid);
    }
    Ok(command)
}

fn redactor(spec: &Spec) -> Result<Redactor, liftlock_disk::RedactError> {
    let mut redactor = Redactor::new(&spec.redact, &spec.redact_keys)?;
    for name in &spec.secret_variables {
        if let Ok(value) = std::env::var(name) {
            redactor.add_secret(SecretString::from(value));
        }
    }
    Ok(redactor)
}

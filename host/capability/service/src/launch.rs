//! How a supervisor is started.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::Process;
use crate::record::{Ended, Launch, Spec};

/// How long a supervisor may take until its process runs; it waits up to five seconds for the lock of an earlier one.
const LAUNCH_DEADLINE: Duration = Duration::from_secs(15);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Launched {
    /// The process runs, or ran and has ended already.
    Started(Option<Process>),
    /// No process was made, and none will be.
    NotStarted(String),
    /// The supervisor says nothing yet.
    Unknown(String),
}

/// Blocks until the process runs, at most for [`LAUNCH_DEADLINE`].
pub(crate) fn launch(
    launch: &Launch,
    spec: &Spec,
    supervisor: &[OsString],
    environment: &[(String, OsString)],
) -> Launched {
    match launch.create(spec) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Launched::Unknown("this attempt was launched before".into());
        }
        Err(error) => return Launched::NotStarted(format!("its files cannot be made: {error}")),
    }
    let not_started = |why: String| {
        // The directory says so too, for who looks later.
        let _ = launch.set_ended(&Ended::NotStarted { why: why.clone() });
        Launched::NotStarted(why)
    };
    let Some((program, arguments)) = supervisor.split_first() else {
        return not_started("there is no supervisor".into());
    };
    let spawned = Command::new(program)
        .args(arguments)
        .arg(launch.spec_path())
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // From its first moment out of the terminal's group: Ctrl-C must not reach it before its own session does.
        .process_group(0)
        .spawn();
    let mut first = match spawned {
        Ok(first) => first,
        Err(error) => return not_started(format!("the supervisor cannot be started: {error}")),
    };
    let until = Instant::now() + LAUNCH_DEADLINE;
    let mut begun = false;
    while Instant::now() < until {
        match launch.ended() {
            Ok(Some(Ended::NotStarted { why })) => return Launched::NotStarted(why),
            Ok(Some(_)) => return Launched::Started(None),
            Ok(None) => {}
            Err(error) => return Launched::Unknown(error.to_string()),
        }
        match launch.child() {
            Ok(Some(started)) => return Launched::Started(Some(started.process)),
            Ok(None) => {}
            Err(error) => return Launched::Unknown(error.to_string()),
        }
        if !begun {
            match first.try_wait() {
                Ok(Some(status)) if status.success() => begun = true,
                Ok(Some(status)) => {
                    return not_started(format!("the supervisor ended with {status}"));
                }
                Ok(None) => {}
                Err(error) => return Launched::Unknown(error.to_string()),
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Launched::Unknown(format!(
        "the supervisor said nothing within {} s",
        LAUNCH_DEADLINE.as_secs()
    ))
}

//! Short commands with bounded output.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::record::User;

/// Most bytes of each stream of an ask. The contract's bound.
pub(crate) const ASK_BYTES_MAX: u64 = 64 << 10;

/// A command as the operator wrote it, ready to run.
pub(crate) struct Prepared<'a> {
    pub(crate) argv: &'a [String],
    pub(crate) directory: Option<&'a Path>,
    pub(crate) user: Option<&'a User>,
    pub(crate) environment: Vec<(String, OsString)>,
}

/// What it said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// A signal is 128 and its number.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("it cannot be started: {0}")]
    NotStarted(std::io::Error),
    #[error("it did not end within {0} ms and was killed")]
    TooLong(u128),
    #[error("it said more than {ASK_BYTES_MAX} bytes, the most that is taken")]
    TooMuch,
    #[error("its output cannot be read: {0}")]
    Output(std::io::Error),
}

/// A path with a separator is one beneath the directory it runs in.
pub(crate) fn resolved(argv: &[String], directory: Option<&Path>) -> Vec<String> {
    let mut argv = argv.to_vec();
    if let (Some(program), Some(directory)) = (argv.first_mut(), directory)
        && program.contains('/')
    {
        *program = directory.join(&*program).display().to_string();
    }
    argv
}

impl Prepared<'_> {
    /// Runs it to its end. With `captures` false its output goes nowhere, so that what it leaves running cannot
    /// hold us.
    pub(crate) async fn run(&self, captures: bool, limit: Duration) -> Result<Said, CommandError> {
        let argv = resolved(self.argv, self.directory);
        let program = argv.first().map(PathBuf::from).unwrap_or_default();
        let mut command = Command::new(program);
        let stream = || {
            if captures {
                Stdio::piped()
            } else {
                Stdio::null()
            }
        };
        command
            .args(argv.iter().skip(1))
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(stream())
            .stderr(stream())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = self.directory {
            command.current_dir(directory);
        }
        if let Some(user) = self.user
            && rustix::process::geteuid().as_raw() != user.uid
        {
            command.uid(user.uid).gid(user.gid);
        }
        let mut child = command.spawn().map_err(CommandError::NotStarted)?;
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let whole = async {
            let (stdout, stderr) = tokio::try_join!(bounded(out), bounded(err))?;
            let status = child.wait().await.map_err(CommandError::Output)?;
            Ok(Said {
                code: code_of(status),
                stdout,
                stderr,
            })
        };
        let said = tokio::time::timeout(limit, whole)
            .await
            .unwrap_or(Err(CommandError::TooLong(limit.as_millis())));
        if said.is_err()
            && let Some(group) = group
        {
            // Gone already is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
        said
    }
}

async fn bounded(from: Option<impl tokio::io::AsyncRead + Unpin>) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(ASK_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .await
            .map_err(CommandError::Output)?;
    }
    if bytes.len() as u64 > ASK_BYTES_MAX {
        return Err(CommandError::TooMuch);
    }
    Ok(bytes)
}

fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

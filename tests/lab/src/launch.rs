//! Starting a server's process: as which user, with which environment, tied to us or on its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::error::IoContext;
use crate::error::LabError;
use crate::java;
use crate::process::spawn_from_lasting_thread;
use crate::user::User;

/// How long the server is to live.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// No longer than this process, even when this process is killed.
    WithUs,
    /// Until someone ends it by the recorded process id.
    OnItsOwn,
}

/// A process to be started.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) folder: PathBuf,
    /// Who it is to run as, when that is not us.
    pub(crate) user: Option<User>,
    /// The signal that it gets from the kernel when this process ends, by its short name.
    pub(crate) at_our_end: &'static str,
}

/// Starts the process, with all that it prints at the end of `log`.
pub(crate) fn spawn(plan: &Launch, log: &Path, lifetime: Lifetime) -> Result<Child, LabError> {
    // A test that is killed drops nothing; then the kernel ends the server.
    let tie: &[&str] = match lifetime {
        Lifetime::WithUs => &["--pdeathsig", plan.at_our_end],
        Lifetime::OnItsOwn => &[],
    };
    let mut command = command(plan, tie)?;
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .doing("open", log)?;
    let same = file.try_clone().doing("open", log)?;
    command.stdin(Stdio::null()).stdout(file).stderr(same);
    spawn_from_lasting_thread(command)
}

/// The command for a launch, as the user it names; `tie` are further options of `setpriv`.
pub(crate) fn command(plan: &Launch, tie: &[&str]) -> Result<Command, LabError> {
    use std::os::unix::process::CommandExt;
    let mut wrapper: Vec<String> = tie.iter().map(|&option| option.to_owned()).collect();
    if let Some(user) = &plan.user {
        wrapper.push(format!("--reuid={}", user.uid));
        wrapper.push(format!("--regid={}", user.gid));
        wrapper.push("--clear-groups".into());
    }
    let mut command = if wrapper.is_empty() {
        Command::new(&plan.program)
    } else {
        let setpriv = java::on_path("setpriv").ok_or_else(|| LabError::Missing {
            what: "`setpriv` on the search path".into(),
            remedy: "`apt-get install util-linux`".into(),
        })?;
        // It replaces itself by the program, so the child's process id is the program's.
        let mut command = Command::new(setpriv);
        command.args(wrapper).arg("--").arg(&plan.program);
        command
    };
    command
        .args(&plan.arguments)
        // Nothing of the caller's environment reaches the server: Java has variables that
        // change it, and a test's secrets are not its business.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&plan.folder)
        // A Ctrl-C in the terminal is for whoever started it; they end it then.
        .process_group(0);
    Ok(command)
}

/// A shell script that becomes the same process, for whoever starts it instead of us; not as the user it names.
pub(crate) fn script(plan: &Launch) -> String {
    let mut words = vec!["exec env -i".to_owned()];
    let path = ("PATH", std::env::var_os("PATH").unwrap_or_default());
    for (name, value) in plan.environment.iter().chain([&path]) {
        words.push(format!("{name}={}", quoted(value)));
    }
    words.push(quoted(plan.program.as_os_str()));
    words.extend(plan.arguments.iter().map(|word| quoted(word)));
    format!(
        "#!/bin/sh\ncd {} || exit 1\n{}\n",
        quoted(plan.folder.as_os_str()),
        words.join(" ")
    )
}

/// One word of a shell.
fn quoted(word: &OsStr) -> String {
    format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"))
}

/// Waits for the end of a process that somebody else ends.
pub(crate) fn reap_in_background(mut child: Child) {
    std::thread::spawn(move || child.wait());
}

/// A port that nobody listens on at this moment, and that was not handed out before.
pub(crate) fn pick_port() -> Result<u16, LabError> {
    static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|source| LabError::io("pick a free port", source))?
            .port();
        if handed_out.insert(port) {
            return Ok(port);
        }
    }
}

/// Starts that are tried when another process took a picked port in between.
pub(crate) const PORT_ATTEMPTS_MAX: usize = 3;

/// Whether a server wrote into its log that its port was taken.
pub(crate) fn is_port_taken(log: &Path) -> bool {
    fs::read(log).is_ok_and(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        // All of them say it in the system's words, but for Spring and Kuzzle.
        [
            "Address already in use",
            "was already in use",
            "unable to listen to port",
        ]
        .iter()
        .any(|words| text.contains(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_starts_what_the_launch_says() {
        let launch = Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), "echo \"$IT\" \"$HOME\"; pwd".into()],
            environment: vec![("IT", "it's $HOME".into())],
            folder: "/usr".into(),
            user: None,
            at_our_end: "KILL",
        };
        let told = Command::new("/bin/sh")
            .args(["-c", &script(&launch)])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout), "it's $HOME \n/usr\n");
    }

    #[test]
    fn never_hands_out_a_port_twice() {
        let ports: BTreeSet<u16> = (0..50).map(|_| pick_port().unwrap()).collect();
        assert_eq!(ports.len(), 50);
    }
}

//! The user that servers run as which refuse to be root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::error::IoContext;
use crate::error::LabError;

/// Its name. Made as a system user without a home when we are root and it is not there.
const USER: &str = "liftlock-lab";

/// A user of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user to run as, made if need be; none when we are not root.
pub(crate) fn other() -> Result<Option<User>, LabError> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    if let Some(user) = look_up(USER)? {
        return Ok(Some(user));
    }
    let made = Command::new("useradd")
        .args(["--system", "--user-group", "--no-create-home"])
        .args([
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            USER,
        ])
        .output()
        .doing("run", Path::new("useradd"))?;
    // Another process may have made it at the same time; then this one failed, and all is well.
    look_up(USER)?.map(Some).ok_or_else(|| LabError::Program {
        program: format!("useradd {USER}"),
        output: String::from_utf8_lossy(&made.stderr).into_owned(),
    })
}

fn look_up(name: &str) -> Result<Option<User>, LabError> {
    let file = Path::new("/etc/passwd");
    let text = fs::read_to_string(file).doing("read", file)?;
    Ok(text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    }))
}

/// Gives a server's folder to the user it runs as.
pub(crate) fn hand_over(dir: &Path, user: User) -> Result<(), LabError> {
    if let Some(part) = dir.parent().and_then(unreachable_part) {
        return Err(LabError::Missing {
            what: format!("the right of user `{USER}` to enter `{}`", part.display()),
            remedy: format!(
                "this server cannot run as root; use a folder that it can reach (under /tmp), \
                 or `chmod o+x {}`",
                part.display()
            ),
        });
    }
    let owner = format!("{}:{}", user.uid, user.gid);
    let done = Command::new("chown")
        .args(["-R", &owner])
        .arg(dir)
        .output()
        .doing("chown", dir)?;
    if done.status.success() {
        return Ok(());
    }
    Err(LabError::Program {
        program: format!("chown -R {owner} {}", dir.display()),
        output: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}

/// The first folder on the way to `path`, itself included, that other users cannot enter.
pub(crate) fn unreachable_part(path: &Path) -> Option<&Path> {
    path.ancestors()
        .filter(|part| fs::metadata(part).is_ok_and(|m| m.permissions().mode() & 0o001 == 0))
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folder_that_others_cannot_enter() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(outer.path(), 0o755);
        assert_eq!(unreachable_part(&inner), None);
        set(&outer.path().join("a"), 0o700);
        assert_eq!(
            unreachable_part(&inner),
            Some(outer.path().join("a").as_path())
        );
    }

    #[test]
    fn knows_root_and_not_a_stranger() {
        assert_eq!(look_up("root").unwrap().map(|user| user.uid), Some(0));
        assert!(look_up("nobody-of-that-name").unwrap().is_none());
    }
}

//! A MySQL of a person's own in MariaDB's place, named by `LIFTLOCK_LAB_MYSQLD`: no package of the distribution has one.
//!
//! `LIFTLOCK_LAB_MYSQLD=/opt/mysql/bin/mysqld cargo test -p liftlock-database --test real mariadb` runs MariaDB's tests of
//! the database capability on it. MariaDB's client speaks to both.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use super::Step;

/// The file of a server's program, 8.0 or newer. It is given `--no-defaults` first.
const PROGRAM: &str = "LIFTLOCK_LAB_MYSQLD";

/// What every server is told beside what MariaDB is told too.
pub(super) const SETTINGS: [&str; 4] = [
    // In its data folder: the path of a socket in a deep folder would be too long.
    "--socket=s",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",
    "--innodb-redo-log-capacity=64M",
];

/// The program that is to be used in place of MariaDB's; none: MariaDB it is.
pub(super) fn program() -> Option<PathBuf> {
    std::env::var_os(PROGRAM).map(PathBuf::from)
}

/// The folder `data` with the system's tables and the three users.
pub(super) fn install(program: PathBuf, data: &Path, users: &Path, tmp: &Path) -> Step {
    let option = |name: &str, path: &Path| -> OsString {
        let mut text = OsString::from(name);
        text.push(path);
        text
    };
    Step {
        program,
        arguments: vec![
            "--no-defaults".into(),
            "--initialize-insecure".into(),
            "--secure-file-priv=NULL".into(),
            option("--datadir=", data),
            option("--tmpdir=", tmp),
            option("--init-file=", users),
        ],
        input: String::new(),
    }
}

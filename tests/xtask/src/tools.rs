//! Programs to run, tests to count, packages to install.

use std::io::BufRead;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;

/// A program on the search path.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![
        std::path::Path::new(command.get_program())
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    ];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into()));
    words.join(" ")
}

/// Runs a command whose output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("   $ {}", shown(command));
    let ended = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !ended.success() {
        bail!("`{}` ended with {ended}", shown(command));
    }
    Ok(())
}

/// What the lines `test result: ...` of a cargo test run add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TestCount {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl TestCount {
    /// Adds one line of output, if it is one with a result.
    fn read(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else {
            return;
        };
        for part in rest.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// Runs cargo tests, shows their output and counts those that passed. A run in which a test failed,
/// was ignored, or in which there was none is an error, after everything has run.
pub(crate) fn run_tests(command: &mut Command) -> anyhow::Result<u64> {
    let passed = run_tests_or_none(command)?;
    if passed == 0 {
        bail!("`{}` ran no test", shown(command));
    }
    Ok(passed)
}

/// The same where there may be none, as with examples in documentation.
pub(crate) fn run_tests_or_none(command: &mut Command) -> anyhow::Result<u64> {
    println!("   $ {}", shown(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| anyhow!("`{}` has no output", shown(command)))?;
    let mut count = TestCount::default();
    for line in BufReader::new(output).lines() {
        let line = line.context("the output of the tests cannot be read")?;
        count.read(&line);
        println!("{line}");
    }
    let ended = child.wait().context("cannot wait for the tests")?;
    if !ended.success() || count.failed > 0 {
        bail!(
            "`{}` ended with {ended}: {} passed, {} failed",
            shown(command),
            count.passed,
            count.failed
        );
    }
    if count.ignored > 0 {
        bail!(
            "`{}` ignored {} tests; a test that never runs proves nothing",
            shown(command),
            count.ignored
        );
    }
    Ok(count.passed)
}

/// Whether we may install packages: root on a machine with apt.
pub(crate) fn may_install() -> bool {
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|told| told.stdout.trim_ascii() == b"0");
    is_root && on_path("apt-get").is_some()
}

/// Versions of a JDK that OpenSearch 2 and Elasticsearch 8 both run on.
const JDK_VERSIONS: std::ops::RangeInclusive<u32> = 17..=23;

/// Whether one of these is among the JDKs of this machine. A runtime without a compiler is none.
fn has_jdk() -> bool {
    let installed = std::fs::read_dir("/usr/lib/jvm")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/javac")));
    let named = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/javac"));
    installed
        .chain(named)
        .chain(on_path("javac"))
        .filter_map(|javac| Command::new(javac).arg("-version").output().ok())
        .filter_map(|told| major(&String::from_utf8_lossy(&told.stdout)))
        .any(|major| JDK_VERSIONS.contains(&major))
}

/// `javac 17.0.15`.
fn major(banner: &str) -> Option<u32> {
    let version = banner.trim().strip_prefix("javac ")?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

/// Installs what the real servers need and the machine lacks, where we may; says so where not.
///
/// What still lacks after it is found, and named, by the first server that needs it.
pub(crate) fn install_for_servers() -> anyhow::Result<()> {
    let wanted = lacking_for_servers();
    if wanted.is_empty() {
        println!("   a JDK and Maven are there");
        return Ok(());
    }
    if !may_install() {
        let install = install_command(&wanted);
        println!("   missing: {}; get it by: {install}", wanted.join(", "));
        return Ok(());
    }
    install(&wanted)
}

fn lacking_for_servers() -> Vec<&'static str> {
    let mut wanted = Vec::new();
    if on_path("mvn").is_none() {
        wanted.push("maven");
    }
    if !has_jdk() {
        wanted.push("openjdk-17-jdk-headless");
    }
    wanted
}

/// Packages with the servers around a Camunda engine, and the program that tells that each is there.
const AROUND_CAMUNDA: [(&str, &str); 4] = [
    ("postgresql", "postgres"),
    ("mariadb-server", "mariadbd"),
    ("haproxy", "haproxy"),
    ("nginx-light", "nginx"),
];

/// What Kuzzle keeps its tokens in.
const AROUND_KUZZLE: [(&str, &str); 1] = [("redis-server", "redis-server")];

/// The same for Camunda engines, with their databases and balancers; an error where we may not.
pub(crate) fn install_for_camunda() -> anyhow::Result<()> {
    install_around(&AROUND_CAMUNDA)
}

/// The same for every test that the test command runs.
pub(crate) fn install_for_tests() -> anyhow::Result<()> {
    install_around(&[&AROUND_CAMUNDA[..], &AROUND_KUZZLE[..]].concat())
}

fn install_around(servers: &[(&'static str, &str)]) -> anyhow::Result<()> {
    let mut wanted = lacking_for_servers();
    let lacking = servers.iter().filter(|(_, program)| !has_server(program));
    wanted.extend(lacking.map(|(package, _)| package));
    if wanted.is_empty() {
        println!("   servers of packages are there, a JDK and Maven too");
        return Ok(());
    }
    if !may_install() {
        bail!(
            "missing: {}; get it by: {}",
            wanted.join(", "),
            install_command(&wanted)
        );
    }
    install(&wanted)
}

/// Whether a server's program is there, also where only root's search path leads.
fn has_server(program: &str) -> bool {
    let by_version = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    on_path(program).is_some()
        || by_version
            .chain([PathBuf::from("/usr/sbin")])
            .any(|folder| folder.join(program).is_file())
}

/// What a person types. The run level keeps the packages' services from being started.
fn install_command(wanted: &[&str]) -> String {
    format!(
        "apt-get update && RUNLEVEL=1 apt-get install -y --no-install-recommends {}",
        wanted.join(" ")
    )
}

/// Where services are managed by systemd the run level says nothing: there a policy forbids their
/// start, which is taken away again. One that is there already is the machine's own.
const NO_SERVICE: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
"#;

fn install(wanted: &[&str]) -> anyhow::Result<()> {
    let command = install_command(wanted);
    println!("   $ {command}");
    let ended = Command::new("sh")
        .args(["-c", &format!("{NO_SERVICE}{command}")])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run `{command}`"))?;
    if !ended.success() {
        bail!("`{command}` ended with {ended}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_the_results_of_several_test_programs() {
        let mut count = TestCount::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s",
        ] {
            count.read(line);
        }
        let sum = TestCount {
            passed: 5,
            failed: 1,
            ignored: 1,
        };
        assert_eq!(count, sum);
    }

    #[test]
    fn reads_the_version_of_a_compiler() {
        assert_eq!(major("javac 17.0.15\n"), Some(17));
        assert_eq!(major("javac 25-ea"), Some(25));
        assert_eq!(major("sh: not found"), None);
    }

    #[test]
    fn finds_a_server_only_where_there_is_one() {
        assert!(has_server("sh"));
        assert!(!has_server("no-such-server"));
    }

    #[test]
    fn the_policy_is_a_script_that_a_shell_understands() {
        let script = format!("{NO_SERVICE}true");
        let checked = Command::new("sh").args(["-n", "-c", &script]).status();
        assert!(checked.unwrap().success());
    }

    #[test]
    fn a_test_run_that_ran_nothing_is_an_error() {
        let error = run_tests(Command::new("sh").args(["-c", "echo nothing"])).unwrap_err();
        assert!(error.to_string().contains("ran no test"), "{error}");
    }
}

//! `cargo xtask hostile`: every hostile plugin, and that each is stopped.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::PLUGIN_TARGET;
use liftlock_e2e::artifacts::cargo;
use liftlock_e2e::artifacts::target_dir;

use crate::summary::Summary;
use crate::tools;

/// The program with the cases.
const PROGRAM: &str = "liftlock-hostile";

/// The components that they are about, and where each is looked for.
const GUESTS: [(&str, &str); 2] = [
    ("liftlock-guests", "LIFTLOCK_GUEST"),
    ("liftlock-small-guest", "LIFTLOCK_SMALL_GUEST"),
];

pub(crate) fn run(summary: &mut Summary) -> anyhow::Result<()> {
    summary.step("build the guests", || {
        let mut command = cargo();
        command.args(["build", "--quiet", "--target", PLUGIN_TARGET]);
        command.args(["--profile", "plugin"]);
        for (package, _) in GUESTS {
            command.args(["--package", package]);
        }
        tools::run(&mut command)
    })?;
    let liftlock = summary.step("build the binaries", || {
        tools::run(cargo().args(["build", "--quiet", "--workspace", "--bin", PROGRAM]))?;
        artifacts::liftlock()
    })?;
    let guests = target_dir().join(PLUGIN_TARGET).join("plugin");
    let mut command = Command::new(target_dir().join("debug").join(PROGRAM));
    command.arg(liftlock);
    for (package, variable) in GUESTS {
        command.env(
            variable,
            guests.join(format!("{}.wasm", package.replace('-', "_"))),
        );
    }
    let mut told = None;
    let result = summary.step("let every guest do its worst", || {
        let (last, is_good) = shown(&mut command)?;
        let good = is_good && last.contains(" escaped=0 ");
        told = Some(last);
        if good {
            Ok(())
        } else {
            bail!("a guest escaped, or a case could not be tried")
        }
    });
    for pair in told.iter().flat_map(|last| last.split_whitespace()) {
        match pair.split_once('=') {
            Some(("seconds", _)) | None => {}
            Some((key, value)) => summary.field(key, value),
        }
    }
    result
}

/// Runs a program, shows what it prints, and gives its last line and whether it ended well.
fn shown(command: &mut Command) -> anyhow::Result<(String, bool)> {
    println!("   $ {}", tools::shown(command));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", tools::shown(command)))?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| anyhow!("`{PROGRAM}` has no output"))?;
    let mut last = String::new();
    for line in BufReader::new(output).lines() {
        last = line.context("its output cannot be read")?;
        println!("   {last}");
    }
    let ended = child.wait().context("cannot wait for it")?;
    Ok((last, ended.success()))
}

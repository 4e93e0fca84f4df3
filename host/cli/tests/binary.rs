//! The program as it is started: exit codes, envelopes, and a secret that is nowhere.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use liftlock_testkit::{Product, SimCluster};
use serde_json::Value;

const CANARY: &str = "canary-7f3e91";

fn liftlock(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_liftlock"));
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["--volatile-state", "--state"])
        .arg(dir.join("state"));
    command
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn shown(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Everything that files beneath a directory hold.
fn held(dir: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(held(&path));
        } else {
            all.extend(fs::read(&path).unwrap());
        }
    }
    all
}

fn write_site(dir: &Path, url: &str, password: &str) {
    let text = format!(
        "name = \"prod\"\nproduct-plugin = \"p\"\n[cluster.database]\nnodes = [\"{url}\"]\n\
         auth = {{ basic = {{ username = \"elastic\", password = {password} }} }}\n"
    );
    fs::write(dir.join("site.toml"), text).unwrap();
}

#[test]
fn a_wrong_command_line_is_a_failure_like_every_other() {
    let dir = tempfile::tempdir().unwrap();
    let output = liftlock(dir.path())
        .args(["nonsense", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let answer = answer(&output);
    assert_eq!(answer["schema"], "liftlock.cli/1");
    assert_eq!(answer["exit_code"], 2);
    assert_eq!(answer["failure"]["code"], "E0201-arguments");
    let output = liftlock(dir.path()).arg("nonsense").output().unwrap();
    assert!(output.stdout.is_empty());
    assert!(shown(&output).contains("explain:   liftlock explain E0201-arguments   (exit 2)"));
}

#[test]
fn version_and_help_are_answers() {
    let dir = tempfile::tempdir().unwrap();
    for arg in ["--version", "--help"] {
        let output = liftlock(dir.path()).arg(arg).output().unwrap();
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{arg}"
        );
    }
}

#[test]
fn nothing_is_made_where_there_is_no_site() {
    let dir = tempfile::tempdir().unwrap();
    let output = liftlock(dir.path())
        .args(["plan", "8.8.0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        shown(&output).contains("error[E0202-no-site]"),
        "{}",
        shown(&output)
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_config_error_has_its_place_in_text_and_in_json() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("site.toml"),
        "name = \"prod\"\nplugin = \"p\"\n",
    )
    .unwrap();
    let output = liftlock(dir.path())
        .args(["inspect", "--json"])
        .output()
        .unwrap();
    let failure = &answer(&output)["failure"];
    assert_eq!(
        (
            failure["place"]["line"].as_u64(),
            failure["place"]["column"].as_u64()
        ),
        (Some(2), Some(1))
    );
    let output = liftlock(dir.path()).arg("inspect").output().unwrap();
    assert!(
        shown(&output).contains("./site.toml:2:1"),
        "{}",
        shown(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_output_and_in_no_file() {
    let sim = SimCluster::builder(Product::OpenSearch2)
        .basic_auth("elastic", CANARY)
        .start()
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = sim.url();
    fs::write(dir.path().join("right"), format!("{CANARY}\n")).unwrap();
    fs::write(dir.path().join("wrong"), format!("{CANARY}-wrong\n")).unwrap();
    let mut all = String::new();
    // The right one, a wrong one, a target that is not there, and one that stands where its reference belongs.
    for (url, password, is_reached) in [
        (url.as_str(), "{ file = \"right\" }", true),
        (url.as_str(), "{ env = \"PW\" }", true),
        (url.as_str(), "{ file = \"wrong\" }", false),
        ("http://127.0.0.1:1", "{ file = \"right\" }", false),
        (url.as_str(), &format!("\"{CANARY}\""), false),
        (
            url.as_str(),
            &format!("{{ command = [\"sh\", \"-c\", \"echo {CANARY}; exit 1\"] }}"),
            false,
        ),
    ] {
        write_site(dir.path(), url, password);
        for args in [
            &["doctor", "-vvv"][..],
            &["doctor", "--json"],
            &["plan", "8.8.0"],
        ] {
            let output = liftlock(dir.path())
                .env("PW", CANARY)
                .args(args)
                .output()
                .unwrap();
            let text = shown(&output);
            assert!(!text.contains(CANARY), "{args:?} with {password}: {text}");
            if args == ["doctor", "--json"] {
                let is_ok = answer(&output)["data"]["checks"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|check| check["about"] == "cluster.database" && check["result"] == "ok");
                assert_eq!(is_ok, is_reached, "{password}: {text}");
            }
            all.push_str(&text);
        }
    }
    assert!(all.contains("OpenSearch"), "{all}");
    let held = held(&dir.path().join("state"));
    assert!(!held.is_empty());
    let is_there = held
        .windows(CANARY.len())
        .any(|window| window == CANARY.as_bytes());
    assert!(!is_there, "the state directory holds the secret");
}

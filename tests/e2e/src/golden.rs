//! Golden scripts: commands with their whole output, compared line by line.
//!
//! A script is a text file that is also its own expectation:
//!
//! ```text
//! # What this shows.
//! @site
//! $ liftlock plan 8.8.0
//! | a line of the standard output
//! ! a line of the standard error
//! = 3
//! ```
//!
//! A command with `%` in the place of `$` must end well, and its output is left out: another script shows it.
//!
//! | before a command | does |
//! |---|---|
//! | `@site`, `@no-site` | an 8.7 site on a simulated cluster, with a `site.toml` that names everything, or without |
//! | `@edit FILE OLD => NEW` | changes a file of the site's folder |
//! | `@kill before\|after METHOD PATTERN` | SIGKILL for the next command when it sends that request |
//! | `@interrupt before\|after METHOD PATTERN` | the first Ctrl-C for it there |
//! | `@elsewhere` | goes on as another operator, with an empty state directory |
//! | `@rehearsal` | the same site on a second simulated cluster, named under `[rehearsal]` |
//! | `@repaired` | makes `$PLUGIN` another build of the plugin |
//!
//! In arguments stand `$PLUGIN`, `$CLUSTER`, `$PLAN` (the newest plan's file), `$RUN` (the last run) and `$FOLDER`
//! (one of the script's own). What differs from run to run is replaced by a mark, see [`Redaction`].

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use liftlock_lab::SiteSpec;
use liftlock_lab::When;
use liftlock_testkit::Product;
use regex_lite::Regex;

use crate::artifacts;
use crate::proof;
use crate::proof::At;
use crate::proof::Blow;
use crate::simulated::Simulated;
use crate::stage::Kit;
use crate::stage::Round;
use crate::stage::Stage;

/// What replaces paths, times, hashes, ports and sizes.
#[derive(Debug)]
pub struct Redaction {
    patterns: Vec<(Regex, &'static str)>,
    literals: Vec<(String, &'static str)>,
    column_gap: Regex,
}

/// Patterns and their marks, in the order in which they are tried.
const PATTERNS: [(&str, &str); 21] = [
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[uuid]",
    ),
    (r"\br-\d{8}-\d{6}-[0-9a-f]{6}\b", "[run]"),
    (r#""(uuid|gone)":"[^"]{22}""#, "\"$1\":\"[uuid]\""),
    (r"\bid \d+:\d+\b", "id [device]:[inode]"),
    (r"\bsha256:[0-9a-f]+", "sha256:[sha256]"),
    (r"\b[0-9a-f]{64}\b", "[sha256]"),
    (r"\b[0-9a-f]{32}\b", "[nonce]"),
    (
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?Z| UTC)?",
        "[time]",
    ),
    (r"\b[0-9a-f]{8}\b", "[hash]"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"\bport \d+", "port [port]"),
    (r"\b(pid|process) \d+", "$1 [pid]"),
    (r#""pids":\[\d+\]"#, "\"pids\":[pid]"),
    (r#"PORT: "\d+""#, "PORT: \"[port]\""),
    (r#"value: "\d{4,5}""#, "value: \"[port]\""),
    (r"\b\d+(\.\d+)? (B|bytes|KiB|MiB|GiB)\b", "[size]"),
    (r"^\d\d:\d\d:\d\d ", "[clock] "),
    (r"\b\d+ (min \d\d s|h \d\d min)\b", "[time span]"),
    (r"\b\d+(\.\d+)? ?(ms|s|min|h)\b", "[time span]"),
    (r"\b\d{13}\b", "[ms]"),
    (r"\b\d+ of \d+ looks", "[n] of [n] looks"),
];

/// The width of a column, which follows from the width of what was replaced in it.
const COLUMN_GAP: (&str, &str) = (r"(\S) {3,}", "$1  ");

/// Seed of the second cluster: its ids are others than the first one's.
const SECOND_SEED: u64 = 88;

/// How the header begins of a table whose columns are as wide as their times.
const HEADER_OF_TIMES: &str = "RUN ";

impl Redaction {
    fn new(round: &Round) -> anyhow::Result<Self> {
        let mut patterns = Vec::new();
        for (pattern, mark) in PATTERNS {
            let pattern = Regex::new(pattern).with_context(|| format!("pattern `{pattern}`"))?;
            patterns.push((pattern, mark));
        }
        let folder = round.folder();
        let real = folder.canonicalize()?;
        let mut literals = vec![
            (real.display().to_string(), "[dir]"),
            (folder.display().to_string(), "[dir]"),
        ];
        let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
        literals.push((format!(" on {}", host.trim()), " on [host]"));
        literals.push((format!("host `{}`", host.trim()), "host `[host]`"));
        Ok(Self {
            patterns,
            literals,
            column_gap: Regex::new(COLUMN_GAP.0)?,
        })
    }

    fn apply(&self, line: &str) -> String {
        let mut text = line.to_owned();
        for (literal, mark) in &self.literals {
            text = text.replace(literal, mark);
        }
        for (pattern, mark) in &self.patterns {
            text = pattern.replace_all(&text, *mark).into_owned();
        }
        if text != line || line.starts_with(HEADER_OF_TIMES) {
            text = self
                .column_gap
                .replace_all(&text, COLUMN_GAP.1)
                .into_owned();
        }
        text
    }
}

/// The folder of all scripts.
pub fn scripts_dir() -> PathBuf {
    artifacts::root().join("tests/scripts")
}

/// All scripts, by name.
pub fn scripts() -> anyhow::Result<Vec<PathBuf>> {
    let dir = scripts_dir();
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list `{}`", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs a script; gives its text with the output as it is now.
pub async fn perform(kit: &Kit, script: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(script)
        .with_context(|| format!("cannot read `{}`", script.display()))?;
    let cluster = Simulated::start().await?;
    let stage = Stage::new(kit, cluster.target(), &cluster.repository()).await?;
    let mut round = stage.fresh(&SiteSpec::default()).await?;
    let redaction = Redaction::new(&round)?;
    let mut out = String::new();
    let mut blow = None;
    let mut second = None;
    for (number, line) in (1..).zip(text.lines()) {
        let place = || format!("line {number}: `{line}`");
        match line.get(..1) {
            None => out.push('\n'),
            Some("#") => writeln!(out, "{line}")?,
            Some("|" | "!" | "=") => {}
            Some("@") => {
                match line[1..].split_once(' ') {
                    Some(("kill", at)) => {
                        blow = Some((Blow::Kill, self::place(at).with_context(place)?));
                    }
                    Some(("interrupt", at)) => {
                        blow = Some((Blow::Interrupt, self::place(at).with_context(place)?));
                    }
                    None if line == "@rehearsal" => {
                        second = Some(rehearsal(kit, &round).await.with_context(place)?);
                    }
                    _ => prepare(&mut round, &line[1..]).with_context(place)?,
                }
                writeln!(out, "{line}")?;
            }
            Some("%") => {
                command(&stage, &round, &line[1..], None)
                    .await
                    .and_then(|told| told.expect(0))
                    .with_context(place)?;
                writeln!(out, "{line}")?;
            }
            Some("$") => {
                let told = command(&stage, &round, &line[1..], blow.take())
                    .await
                    .with_context(place)?;
                writeln!(out, "{line}")?;
                for (mark, stream) in [("|", &told.stdout), ("!", &told.stderr)] {
                    for line in stream.lines() {
                        let line = redaction.apply(line);
                        writeln!(out, "{}", format!("{mark} {line}").trim_end())?;
                    }
                }
                let code = told.code.map_or("a signal".into(), |code| code.to_string());
                writeln!(out, "= {code}")?;
            }
            Some(_) => bail!("{}: it begins with none of `# @ % $ | ! =`", place()),
        }
    }
    drop(second);
    Ok(out)
}

/// A second cluster with the same site, which the site file names from now on.
async fn rehearsal(kit: &Kit, round: &Round) -> anyhow::Result<(Simulated, Stage, proof::Second)> {
    let cluster = Simulated::start_as(Product::OpenSearch2, SECOND_SEED).await?;
    let store = cluster.repository().join("of-the-rehearsal");
    let stage = Stage::new(kit, cluster.target(), &store).await?;
    stage.rebuild(&SiteSpec::default()).await?;
    let second = proof::Second::start(round, &stage)?;
    second.introduce(&round.operator)?;
    Ok((cluster, stage, second))
}

/// `before METHOD PATTERN`: where the next command is met.
fn place(text: &str) -> anyhow::Result<At> {
    let expected = "expected before|after METHOD PATTERN";
    let (when, rest) = text.split_once(' ').context(expected)?;
    let (method, path) = rest.split_once(' ').context(expected)?;
    let when = match when {
        "before" => When::Before,
        "after" => When::After,
        _ => bail!(expected),
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    Ok(At { when, method, path })
}

fn prepare(round: &mut Round, directive: &str) -> anyhow::Result<()> {
    let site = round.operator.site().to_owned();
    match directive.split_once(' ').unwrap_or((directive, "")) {
        ("site", "") => Ok(()),
        ("elsewhere", "") => {
            let state = round.folder().join("elsewhere");
            round.operator = round.operator.clone().with_state(&state);
            Ok(())
        }
        ("repaired", "") => round.repair_plugin(),
        ("no-site", "") => {
            fs::remove_file(site.join("site.toml"))?;
            Ok(())
        }
        ("edit", rest) => {
            let (file, change) = rest.split_once(' ').context("expected FILE OLD => NEW")?;
            let (old, new) = change
                .split_once(" => ")
                .context("expected FILE OLD => NEW")?;
            let file = match file {
                "$PLAN" => round.plan_file()?,
                name => site.join(name),
            };
            let text = fs::read_to_string(&file)?;
            if !text.contains(old) {
                bail!("`{old}` is not in `{}`:\n{text}", file.display());
            }
            fs::write(&file, text.replacen(old, new, 1))?;
            Ok(())
        }
        _ => bail!("unknown directive"),
    }
}

async fn command(
    stage: &Stage,
    round: &Round,
    line: &str,
    blow: Option<(Blow, At)>,
) -> anyhow::Result<crate::Told> {
    let mut words = Vec::new();
    for word in split(line)? {
        words.push(match word.as_str() {
            "$PLUGIN" => round.plugin().to_owned(),
            "$CLUSTER" => stage.switch.url(),
            "$PLAN" => round.plan_file()?.to_string_lossy().into_owned(),
            "$RUN" => proof::last_run(&round.operator).await?,
            _ => word.replace("$FOLDER", &round.folder().to_string_lossy()),
        });
    }
    match words.split_first() {
        Some((program, arguments)) if program == "liftlock" => {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            match blow {
                None => round.operator.run(&arguments).await,
                Some((blow, at)) => proof::struck(stage, round, blow, &at, &arguments).await,
            }
        }
        _ => bail!("only `liftlock` can be called"),
    }
}

/// Words at blanks; double quotes keep blanks together.
fn split(line: &str) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    if line.matches('"').count() % 2 == 1 {
        bail!("a quote is not closed");
    }
    Ok(words)
}

/// Compares a script with what it gives now; with `accept` the script is rewritten instead.
pub async fn compare(kit: &Kit, script: &Path, accept: bool) -> anyhow::Result<Verdict> {
    let expected = fs::read_to_string(script)
        .with_context(|| format!("cannot read `{}`", script.display()))?;
    let found = perform(kit, script).await?;
    if expected == found {
        return Ok(Verdict::Same);
    }
    if accept {
        fs::write(script, &found).map_err(|e| anyhow!("`{}`: {e}", script.display()))?;
        return Ok(Verdict::Accepted);
    }
    Ok(Verdict::Different(difference(&expected, &found)))
}

/// How a script compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Same,
    /// Not as expected; the lines that differ.
    Different(String),
    /// It differed and was rewritten.
    Accepted,
}

/// Lines that only one side has, in order, with one line of context where they begin.
fn difference(expected: &str, found: &str) -> String {
    let [old, new]: [Vec<&str>; 2] = [expected, found].map(|text| text.lines().collect());
    // Lengths of the longest common subsequences of all ends; scripts have hundreds of lines.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut context, mut lines) = (0, 0, None, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            context = Some((i, old[i]));
            (i, j) = (i + 1, j + 1);
            continue;
        }
        if let Some((at, line)) = context.take() {
            lines.push(format!("{:>4}   {line}", at + 1));
        }
        if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("{:>4} - {}", i + 1, old[i]));
            i += 1;
        } else {
            lines.push(format!("     + {}", new[j]));
            j += 1;
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_the_lines_that_differ() {
        assert_eq!(
            difference("a\nb\nc\nd", "a\nx\nc\nd\ne"),
            "   1   a\n   2 - b\n     + x\n   4   d\n     + e"
        );
    }

    #[test]
    fn keeps_blanks_inside_quotes() {
        assert_eq!(
            split("liftlock approve P --reason \"seen by two\"").unwrap(),
            ["liftlock", "approve", "P", "--reason", "seen by two"]
        );
        assert!(split("a \"b").is_err());
    }

    #[test]
    fn every_pattern_of_the_redaction_is_one() {
        for (pattern, _) in PATTERNS {
            assert!(Regex::new(pattern).is_ok(), "{pattern}");
        }
    }
}

//! Approvals as files: `PLAN.approvals/NAME.toml`, made by people, kept in git, good for one run.

use std::fs;
use std::path::{Path, PathBuf};

use liftlock_gate::{Approval, StepApproval, Waiver, iso, now_ms};
use liftlock_types::{Digest, StepId};

use crate::code::Code;
use crate::failure::{self, Failure};
use crate::site::toml_failure;
use crate::state::write_shared;

/// How long an approval is good.
///
/// Fourteen days: a plan that was looked at a sprint ago is looked at again. The plan itself is compared with the
/// site anyway before anything is sent; this is about the person, who may have forgotten what they agreed to.
const VALID_MS: i64 = 14 * 24 * 3600 * 1000;

/// Where the approvals of a plan file are.
pub(crate) fn dir_of(plan: &Path) -> PathBuf {
    plan.with_extension("approvals")
}

/// All approvals beside a plan, by file name.
pub(crate) fn load(plan: &Path) -> Result<Vec<Approval>, Failure> {
    let dir = dir_of(plan);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failure::file("list", &dir, &e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| failure::file("list", &dir, &e))?.path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            files.push(path);
        }
    }
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

/// Those beside a plan that are of this plan.
pub(crate) fn of_plan(plan: &Path, hash: &Digest) -> Result<Vec<Approval>, Failure> {
    let mut all = load(plan)?;
    all.retain(|approval| approval.plan == *hash);
    Ok(all)
}

fn read(file: &Path) -> Result<Approval, Failure> {
    let text = fs::read_to_string(file).map_err(|e| failure::file("read", file, &e))?;
    toml::from_str(&text).map_err(|error| {
        toml_failure(Code::ApprovalUnreadable, file, &text, &error).next("liftlock approve PLAN")
    })
}

/// What a person says with `approve`.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// Who.
    pub(crate) by: String,
    /// Findings they take the responsibility for.
    pub(crate) waive: Vec<String>,
    /// Steps they let go on.
    pub(crate) steps: Vec<StepId>,
    /// Why.
    pub(crate) reason: String,
}

/// Writes a person's approval, with what they waived and let go on before.
pub(crate) fn write(
    plan: &Path,
    hash: &Digest,
    word: &Word,
) -> Result<(PathBuf, Approval), Failure> {
    let dir = dir_of(plan);
    fs::create_dir_all(&dir).map_err(|e| failure::file("make", &dir, &e))?;
    let file = dir.join(format!("{}.toml", file_name(&word.by)));
    let mut approval = match file.exists().then(|| read(&file)).transpose()? {
        Some(known) if known.plan == *hash && known.by == word.by => known,
        _ => Approval {
            plan: hash.clone(),
            by: word.by.clone(),
            at: String::new(),
            waives: vec![],
            steps: vec![],
        },
    };
    approval.at = iso(now_ms());
    for finding in &word.waive {
        approval.waives.retain(|known| known.finding != *finding);
        approval.waives.push(Waiver {
            finding: finding.clone(),
            reason: word.reason.clone(),
        });
    }
    for step in &word.steps {
        approval.steps.retain(|known| known.step != *step);
        approval.steps.push(StepApproval {
            step: step.clone(),
            reason: word.reason.clone(),
        });
    }
    let text = toml::to_string(&approval).map_err(|e| {
        Failure::new(Code::Internal, "the approval cannot be written as TOML").because(&e)
    })?;
    write_shared(&file, text.as_bytes())?;
    Ok((file, approval))
}

/// A name as a file may bear it.
fn file_name(by: &str) -> String {
    let name: String = by
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._@-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .take(80)
        .collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() {
        "somebody".into()
    } else {
        name.into()
    }
}

/// Those that count for a run that begins now: of this plan, not expired, and not used up by a run of the same
/// plan that has sent something already.
pub(crate) fn usable(
    all: Vec<Approval>,
    hash: &Digest,
    used_at_ms: Option<i64>,
) -> (Vec<Approval>, Vec<String>) {
    let oldest = iso(now_ms() - VALID_MS);
    let used = used_at_ms.map(iso).unwrap_or_default();
    let mut refused = Vec::new();
    let good = all
        .into_iter()
        .filter(|approval| {
            let why = if approval.plan != *hash {
                "is for another plan"
            } else if approval.at < oldest {
                "is older than 14 days"
            } else if approval.at <= used {
                "was used up by an earlier run of this plan"
            } else {
                return true;
            };
            refused.push(format!("the approval of {} {why}", approval.by));
            false
        })
        .collect();
    (good, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(by: &str, waive: &[&str]) -> Word {
        Word {
            by: by.into(),
            waive: waive.iter().map(ToString::to_string).collect(),
            steps: vec![StepId::new("a").unwrap()],
            reason: "because".into(),
        }
    }

    #[test]
    fn an_approval_reads_back_and_a_second_word_is_added() {
        let dir = tempfile::tempdir().unwrap();
        let plan = dir.path().join("prod-1-2-aabbccdd.json");
        let hash = Digest::of(b"plan");
        write(&plan, &hash, &word("me", &["f.one"])).unwrap();
        let (file, written) = write(&plan, &hash, &word("me", &["f.two"])).unwrap();
        assert!(
            file.ends_with("prod-1-2-aabbccdd.approvals/me.toml"),
            "{file:?}"
        );
        assert_eq!(written.waives.len(), 2);
        assert_eq!(written.steps.len(), 1);
        assert_eq!(load(&plan).unwrap(), [written]);
    }

    #[test]
    fn an_approval_of_another_plan_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let plan = dir.path().join("p.json");
        write(&plan, &Digest::of(b"one"), &word("me", &["f.one"])).unwrap();
        let (_, written) = write(&plan, &Digest::of(b"two"), &word("me", &[])).unwrap();
        assert!(written.waives.is_empty());
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        assert_eq!(file_name("../../etc/x"), "-..-etc-x");
        assert_eq!(file_name("a b"), "a-b");
        assert_eq!(file_name(".."), "somebody");
    }

    #[test]
    fn an_approval_is_used_up_expires_and_is_for_one_plan() {
        let hash = Digest::of(b"plan");
        let at = |ms: i64| Approval {
            plan: hash.clone(),
            by: "me".into(),
            at: iso(now_ms() - ms),
            waives: vec![],
            steps: vec![],
        };
        let count = |approval: &Approval, used| usable(vec![approval.clone()], &hash, used).0.len();
        assert_eq!(count(&at(1000), None), 1);
        assert_eq!(count(&at(1000), Some(now_ms() - 10_000)), 1);
        assert_eq!(count(&at(10_000), Some(now_ms() - 1000)), 0);
        assert_eq!(count(&at(VALID_MS + 1000), None), 0);
        assert_eq!(usable(vec![at(0)], &Digest::of(b"x"), None).0.len(), 0);
    }

    #[test]
    fn a_broken_approval_is_shown_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let plan = dir.path().join("p.json");
        fs::create_dir(dir_of(&plan)).unwrap();
        fs::write(dir_of(&plan).join("x.toml"), "plan = \"sha256:00\"\n").unwrap();
        let failure = load(&plan).unwrap_err();
        assert_eq!(failure.code(), Code::ApprovalUnreadable);
        assert_eq!(failure.data().place.unwrap().line, 1);
    }
}

//! A real directory in a temporary one: what each read, change and predicate does, and what it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test may panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use liftlock_disk::{Directory, DiskConfig, DiskError, KEPT_BINDING, READ_BYTES_MAX};
use liftlock_types::facts::disk::Bytes;
use liftlock_types::rules::RULES;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, Digest, Facts, FileName, Hunk, Predicate, Probed,
    Read, ReadError, RunId, StepId, UNDONE_BY,
};
use serde_json::Value;

const CANARY: &str = "canary-4711";

struct Site {
    _temp: tempfile::TempDir,
    root: PathBuf,
    state: PathBuf,
    config: DiskConfig,
    disk: Directory,
}

fn binding(name: &str) -> Binding {
    Binding::new(name).unwrap()
}

fn site() -> Site {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("config");
    fs::create_dir(&root).unwrap();
    let state = temp.path().join("state/kept");
    let config = DiskConfig::new(&root);
    let disk = Directory::open(binding("disk.config"), &config, &state).unwrap();
    Directory::introduce([&disk].into_iter());
    Site {
        root,
        state,
        config,
        disk,
        _temp: temp,
    }
}

impl Site {
    /// As another process would open it.
    fn again(&self) -> Directory {
        let disk = Directory::open(binding("disk.config"), &self.config, &self.state).unwrap();
        Directory::introduce([&disk].into_iter());
        disk
    }

    fn put(&self, name: &str, text: &str) -> String {
        fs::write(self.root.join(name), text).unwrap();
        sha(text)
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.root.join(name)).unwrap()
    }
}

fn sha(text: &str) -> String {
    Digest::of(text.as_bytes()).hex().to_owned()
}

fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

fn attempt(step: &str) -> Attempt {
    Attempt {
        run: RunId::new("r1").unwrap(),
        step: StepId::new(step).unwrap(),
        number: 1,
        token: format!("r1/{step}/1"),
        intent_at_ms: 0,
        kept: Value::Null,
        facts: Facts::new(),
        answer: None,
        referred: None,
        made_by_run: BTreeMap::new(),
    }
}

/// Facts and observation, as the gate does it before an intent.
async fn begin(disk: &Directory, step: &str, change: &Change) -> Attempt {
    let mut attempt = attempt(step);
    attempt.facts = disk.facts(change).await.unwrap();
    let observed = disk.observe(change, &attempt).await.unwrap();
    assert!(!observed.already_true, "{observed:?}");
    attempt.kept = observed.kept;
    attempt
}

async fn perform(disk: &Directory, step: &str, change: &Change) -> Attempt {
    let mut attempt = begin(disk, step, change).await;
    let acted = disk.act(change, &attempt).await;
    let Acted::Answered(answer) = acted else {
        panic!("{acted:?}")
    };
    attempt.answer = Some(answer);
    let probed = disk.probe(change, &attempt).await.unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: true, .. }),
        "{probed:?}"
    );
    assert!(disk.observe(change, &attempt).await.unwrap().already_true);
    assert!(disk.clean_up(change, &attempt).await.unwrap().is_empty());
    attempt
}

async fn undo(disk: &Directory, change: &Change, attempt: &Attempt) {
    let changes = disk.automatic_undo(change, attempt).unwrap();
    for (n, planned) in changes.iter().enumerate() {
        assert_eq!(planned.binding, binding("disk.config"));
        perform(disk, &format!("undo-{n}"), &planned.change).await;
    }
}

/// Every file with its content and mode.
fn picture(site: &Site) -> BTreeMap<String, (String, u32)> {
    let entries = fs::read_dir(&site.root).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode();
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), (text, mode))
        })
        .collect()
}

#[tokio::test]
async fn every_kind_with_an_undo_is_taken_back_to_the_byte() {
    let text = "a = 1\nb = 2\na = 1\n";
    let changes: [(&str, Change); 6] = [
        (
            "keep",
            Change::KeepFile {
                dir: vec![],
                name: name("f"),
            },
        ),
        ("write", write("new", "text")),
        ("copy", copy("disk.config", "f", "again")),
        ("edit", edit("f", &sha(text), &[("b = 2", "b = 3")])),
        // Backwards its text would stand twice: only the kept copy brings it back.
        (
            "edit by the copy",
            edit("f", &sha(text), &[("b = 2\n", "")]),
        ),
        ("remove", remove("f", &sha(text))),
    ];
    for (what, change) in &changes {
        let site = site();
        site.put("f", text);
        fs::set_permissions(site.root.join("f"), fs::Permissions::from_mode(0o640)).unwrap();
        let before = picture(&site);
        let done = perform(&site.disk, "change", change).await;
        let changes_files = !matches!(change, Change::KeepFile { .. });
        assert_eq!(picture(&site) != before, changes_files, "{what}");
        let kinds = UNDONE_BY
            .iter()
            .find(|(kind, _)| *kind == change.verb().as_str())
            .unwrap()
            .1;
        let undos = site.disk.automatic_undo(change, &done).unwrap();
        for planned in &undos {
            assert!(
                kinds.contains(&planned.change.verb().as_str()),
                "{planned:?}"
            );
            assert!(
                planned.change.objects().is_subset(&change.objects()),
                "{planned:?}"
            );
        }
        undo(&site.disk, change, &done).await;
        assert_eq!(picture(&site), before, "{what}");
        // Back already: the last of them is true, and nothing is written.
        if let Some(last) = undos.last() {
            site.disk.facts(&last.change).await.unwrap();
            let observed = site.disk.observe(&last.change, &attempt("later")).await;
            assert!(observed.unwrap().already_true, "{last:?}");
        }
    }
    let seen: std::collections::BTreeSet<String> = changes
        .iter()
        .map(|(_, change)| change.verb().to_string())
        .collect();
    for rule in RULES.iter().filter(|rule| rule.verb.starts_with("disk.")) {
        assert_eq!(
            seen.contains(rule.verb),
            !rule.automatic_undo.is_empty(),
            "{}",
            rule.verb
        );
    }
}

async fn refused(disk: &Directory, change: &Change, attempt: &Attempt) -> String {
    match disk.act(change, attempt).await {
        Acted::Refused { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

fn edit(file: &str, sha256: &str, hunks: &[(&str, &str)]) -> Change {
    Change::EditFile {
        dir: vec![],
        name: name(file),
        sha256: sha256.into(),
        hunks: hunks
            .iter()
            .map(|(old, new)| Hunk {
                old: (*old).into(),
                new: (*new).into(),
            })
            .collect(),
    }
}

fn write(file: &str, text: &str) -> Change {
    Change::WriteFile {
        dir: vec![],
        name: name(file),
        text: text.into(),
    }
}

fn remove(file: &str, sha256: &str) -> Change {
    Change::RemoveFile {
        dir: vec![],
        name: name(file),
        sha256: sha256.into(),
    }
}

fn keep(file: &str) -> Change {
    Change::KeepFile {
        dir: vec![],
        name: name(file),
    }
}

fn copy(from: &str, file: &str, as_name: &str) -> Change {
    Change::CopyFile {
        from: binding(from),
        from_dir: vec![],
        name: name(file),
        dir: vec![],
        as_name: name(as_name),
    }
}

fn file_read(file: &str, offset: u64, length: u32) -> Read {
    Read::FileRead {
        dir: vec![],
        name: file.into(),
        offset,
        length,
    }
}

async fn text(disk: &Directory, read: &Read) -> String {
    disk.read(read).await.unwrap()["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn every_row_of_the_table_is_implemented() {
    for rule in RULES.iter().filter(|rule| rule.verb.starts_with("disk.")) {
        let site = site();
        let hash = site.put("a.yaml", "version: 8.7\n");
        let change = match rule.verb {
            "disk.keep" => keep("a.yaml"),
            "disk.copy" => copy("disk.config", "a.yaml", "b.yaml"),
            "disk.write" => write("new.yaml", "x\n"),
            "disk.edit" => edit("a.yaml", &hash, &[("8.7", "8.8")]),
            "disk.remove" => remove("a.yaml", &hash),
            verb => panic!("no implementation of {verb}"),
        };
        let before = begin(&site.disk, "s", &change).await;
        let probed = site.disk.probe(&change, &before).await.unwrap();
        assert!(
            matches!(probed, Probed::Absent(_)),
            "{}: {probed:?}",
            rule.verb
        );
        let done = perform(&site.disk, "s", &change).await;
        assert!(!site.disk.in_flight(&change, &done).await.unwrap());
        undo(&site.disk, &change, &done).await;
        assert_eq!(site.get("a.yaml"), "version: 8.7\n", "{}", rule.verb);
        let names: Vec<String> = fs::read_dir(&site.root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["a.yaml"], "{}", rule.verb);
    }
}

#[tokio::test]
async fn entries_are_listed_in_order_with_their_kinds() {
    let site = site();
    site.put("b", "12");
    fs::create_dir(site.root.join("a")).unwrap();
    symlink("b", site.root.join("c")).unwrap();
    let entries = site
        .disk
        .read(&Read::Entries { dir: vec![] })
        .await
        .unwrap();
    let shown: Vec<(&str, &str)> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["name"].as_str().unwrap(),
                entry["kind"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(shown, [("a", "directory"), ("b", "file"), ("c", "link")]);
    assert_eq!(entries[1]["bytes"], 2);
    assert!(entries[1]["modified_ms"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_list_over_its_bound_is_invalid_and_never_cut() {
    let site = site();
    for n in 0..=liftlock_disk::ENTRIES_MAX {
        fs::File::create(site.root.join(n.to_string())).unwrap();
    }
    let error = site
        .disk
        .read(&Read::Entries { dir: vec![] })
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ReadError::Invalid(why) if why.contains("10000")),
        "{error:?}"
    );
}

#[tokio::test]
async fn no_slice_dodges_the_redaction() {
    let mut site = site();
    site.config.redact = vec!["acme-[0-9]+".into()];
    let disk = site.again();
    site.put("a.yaml", "id: acme-4711\npassword: canary-4711\nend: 1\n");
    for offset in 0..45 {
        for length in [1, 3, 60] {
            let seen = text(&disk, &file_read("a.yaml", offset, length)).await;
            assert!(!seen.contains('4') && !seen.contains("canary"), "{seen}");
        }
    }
    assert_eq!(
        text(&disk, &file_read("a.yaml", 0, 1000)).await,
        "id: [redacted]\npassword: [redacted]\nend: 1\n"
    );
}

#[tokio::test]
async fn parts_of_a_file_that_follow_each_other_make_the_whole() {
    let site = site();
    let whole = "äöü€😀x".repeat(20);
    site.put("a", &whole);
    let mut joined = String::new();
    for offset in (0..whole.len() as u64).step_by(7) {
        joined += &text(&site.disk, &file_read("a", offset, 7)).await;
    }
    assert_eq!(joined, whole);
    assert_eq!(text(&site.disk, &file_read("a", 10_000, 7)).await, "");
}

#[tokio::test]
async fn bytes_are_what_stands_in_the_file_and_nothing_of_them_is_redacted() {
    let site = site();
    let whole: Vec<u8> = b"password: x\nPK".iter().copied().chain(0..=255).collect();
    fs::write(site.root.join("a.jar"), &whole).unwrap();
    let part = |name: &str, offset: u64, length: u32| Read::FileBytes {
        dir: vec![],
        name: name.into(),
        offset,
        length,
    };
    for (offset, length) in [(0, 1000), (0, 5), (5, 7), (200, 1000), (1000, 7)] {
        let answer = site.disk.read(&part("a.jar", offset, length)).await;
        let answer: Bytes = serde_json::from_value(answer.unwrap()).unwrap();
        let from = whole.len().min(usize::try_from(offset).unwrap());
        let to = whole.len().min(from + length as usize);
        assert_eq!(
            answer.bytes().unwrap(),
            whole[from..to],
            "{offset} {length}"
        );
    }
    let error = |read: Read| {
        let disk = &site.disk;
        async move { disk.read(&read).await.unwrap_err() }
    };
    let over = error(part("a.jar", 0, READ_BYTES_MAX + 1)).await;
    assert!(matches!(over, ReadError::Invalid(_)), "{over:?}");
    let none = error(part("none", 0, 1)).await;
    assert!(matches!(none, ReadError::NotFound(_)), "{none:?}");
    for name in ["..", "a/b", ""] {
        error(part(name, 0, 1)).await;
    }
}

#[tokio::test]
async fn reads_are_bounded() {
    let site = site();
    let error = site
        .disk
        .read(&file_read("a", 0, READ_BYTES_MAX + 1))
        .await
        .unwrap_err();
    assert!(matches!(error, ReadError::Invalid(_)), "{error:?}");
    let file = fs::File::create(site.root.join("large")).unwrap();
    file.set_len(liftlock_disk::TEXT_BYTES_MAX + 1).unwrap();
    let error = site.disk.read(&file_read("large", 0, 1)).await.unwrap_err();
    assert!(matches!(error, ReadError::Invalid(_)), "{error:?}");
    file.set_len(liftlock_disk::COPY_BYTES_MAX + 1).unwrap();
    let error = site.disk.facts(&keep("large")).await.unwrap_err();
    assert!(matches!(error, ReadError::Invalid(_)), "{error:?}");
    // It may be looked at: a dump is larger than what is copied.
    let hash = Read::FileSha256 {
        dir: vec![],
        name: "large".into(),
    };
    let hash = site.disk.read(&hash).await.unwrap();
    let has = Predicate::FileHas {
        dir: vec![],
        name: "large".into(),
        sha256: hash.as_str().unwrap().into(),
    };
    assert!(site.disk.evaluate(&has, None).await.unwrap().holds);
}

#[tokio::test]
async fn the_hash_is_of_the_file_as_it_is() {
    let site = site();
    let hash = site.put("a", "password: canary-4711\n");
    let read = |file: &str| Read::FileSha256 {
        dir: vec![],
        name: file.into(),
    };
    assert_eq!(site.disk.read(&read("a")).await.unwrap(), Value::from(hash));
    assert!(matches!(
        site.disk.read(&read("none")).await,
        Err(ReadError::NotFound(_))
    ));
}

#[tokio::test]
async fn nothing_leads_out_of_the_directory() {
    let site = site();
    let outside = site.root.parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), CANARY).unwrap();
    symlink("../outside/secret", site.root.join("relative")).unwrap();
    symlink(outside.join("secret"), site.root.join("absolute")).unwrap();
    symlink(&outside, site.root.join("dir")).unwrap();
    for file in ["relative", "absolute"] {
        let error = site.disk.read(&file_read(file, 0, 10)).await.unwrap_err();
        assert!(
            matches!(error, ReadError::Denied { .. }),
            "{file}: {error:?}"
        );
    }
    let beneath = Read::FileRead {
        dir: vec!["dir".into()],
        name: "secret".into(),
        offset: 0,
        length: 10,
    };
    assert!(matches!(
        site.disk.read(&beneath).await,
        Err(ReadError::Denied { .. })
    ));
    let change = Change::WriteFile {
        dir: vec![name("dir")],
        name: name("new"),
        text: "x".into(),
    };
    assert!(matches!(
        site.disk.facts(&change).await,
        Err(ReadError::Denied { .. })
    ));
    refused(&site.disk, &change, &attempt("s")).await;
    assert!(!outside.join("new").exists());
    for bad in ["..", "../outside", "/etc", "", "a/b"] {
        let read = Read::Entries {
            dir: vec![bad.into()],
        };
        assert!(
            matches!(site.disk.read(&read).await, Err(ReadError::Invalid(_))),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_link_beneath_is_followed_by_reads_only() {
    let site = site();
    let hash = site.put("a", "x 1");
    symlink("a", site.root.join("link")).unwrap();
    assert_eq!(text(&site.disk, &file_read("link", 0, 9)).await, "x 1");
    for change in [
        edit("link", &hash, &[("1", "2")]),
        remove("link", &hash),
        write("link", "y"),
        copy("disk.config", "a", "link"),
    ] {
        let error = site.disk.facts(&change).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Invalid(why) if why.contains("link")),
            "{error:?}"
        );
        if !matches!(change, Change::WriteFile { .. } | Change::CopyFile { .. }) {
            refused(&site.disk, &change, &attempt("s")).await;
        }
        assert_eq!(site.get("a"), "x 1");
        assert!(
            fs::symlink_metadata(site.root.join("link"))
                .unwrap()
                .is_symlink()
        );
    }
}

#[tokio::test]
async fn a_mount_point_is_never_a_target() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Directory::open(binding("disk.root"), &DiskConfig::new("/"), temp.path()).unwrap();
    let error = disk.facts(&remove("proc", &sha(""))).await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Invalid(why) if why.contains("mount point")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_pipe_is_refused_and_not_waited_for() {
    let site = site();
    let made = std::process::Command::new("mkfifo")
        .arg(site.root.join("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    let error = site.disk.read(&file_read("pipe", 0, 1)).await.unwrap_err();
    assert!(matches!(error, ReadError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn an_edit_keeps_owner_mode_and_the_old_file() {
    let site = site();
    let hash = site.put("a", "v 8.7\nold\n");
    let path = site.root.join("a");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    // Only a superuser can give a file away; for others the owner is our own, and must stay that.
    let _ = std::os::unix::fs::chown(&path, Some(1234), Some(1235));
    let before = fs::metadata(&path).unwrap();
    let change = edit("a", &hash, &[("8.7", "8.8"), ("old", "new")]);
    let done = perform(&site.disk, "s", &change).await;
    assert_eq!(site.get("a"), "v 8.8\nnew\n");
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.gid()),
        (before.mode(), before.uid(), before.gid())
    );
    let kept = site.state.join(&hash);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "v 8.7\nold\n");
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&site.state).unwrap().mode() & 0o777, 0o700);
    undo(&site.disk, &change, &done).await;
    assert_eq!(site.get("a"), "v 8.7\nold\n");
}

#[tokio::test]
async fn an_edit_that_its_hunks_cannot_take_back_is_undone_from_the_kept_copy() {
    let site = site();
    let hash = site.put("a", "x: 1\ny: 2\n");
    fs::set_permissions(site.root.join("a"), fs::Permissions::from_mode(0o640)).unwrap();
    // `2` stands twice afterwards.
    let change = edit("a", &hash, &[("1", "2")]);
    let done = perform(&site.disk, "s", &change).await;
    undo(&site.disk, &change, &done).await;
    assert_eq!(site.get("a"), "x: 1\ny: 2\n");
    assert_eq!(
        fs::metadata(site.root.join("a")).unwrap().mode() & 0o777,
        0o640
    );
}

#[tokio::test]
async fn an_edit_refuses_what_does_not_stand_exactly_once() {
    let site = site();
    let hash = site.put("a", "x x\n");
    let change = edit("a", &hash, &[("x", "y")]);
    let error = site.disk.facts(&change).await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Invalid(why) if why.contains("more than once")),
        "{error:?}"
    );
    let why = refused(&site.disk, &change, &attempt("s")).await;
    assert!(why.contains("more than once"), "{why}");
    assert_eq!(site.get("a"), "x x\n");
}

#[tokio::test]
async fn an_edit_refuses_a_file_that_changed_since_it_was_planned() {
    let site = site();
    let hash = site.put("a", "v 8.7\n");
    let change = edit("a", &hash, &[("8.7", "8.8")]);
    let attempt = begin(&site.disk, "s", &change).await;
    site.put("a", "v 8.7, by hand\n");
    refused(&site.disk, &change, &attempt).await;
    assert_eq!(site.get("a"), "v 8.7, by hand\n");
    let probed = site.disk.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
}

#[tokio::test]
async fn an_edit_refuses_a_file_with_a_second_name() {
    let site = site();
    let hash = site.put("a", "v 8.7\n");
    fs::hard_link(site.root.join("a"), site.root.join("b")).unwrap();
    let change = edit("a", &hash, &[("8.7", "8.8")]);
    let why = refused(&site.disk, &change, &attempt("s")).await;
    assert!(why.contains("hard link"), "{why}");
    assert_eq!(site.get("b"), "v 8.7\n");
}

#[tokio::test]
async fn write_and_copy_never_replace_a_file() {
    let site = site();
    site.put("a", "theirs");
    site.put("b", "source");
    for change in [write("a", "ours"), copy("disk.config", "b", "a")] {
        let attempt = begin(&site.disk, "s", &change).await;
        let why = refused(&site.disk, &change, &attempt).await;
        assert!(why.contains("never replaced"), "{why}");
        assert_eq!(site.get("a"), "theirs");
        let probed = site.disk.probe(&change, &attempt).await.unwrap();
        assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
    }
    assert_eq!(fs::read_dir(&site.root).unwrap().count(), 2);
}

#[tokio::test]
async fn a_copy_comes_from_another_binding_and_is_of_what_was_planned() {
    let site = site();
    let old = site.root.parent().unwrap().join("old");
    fs::create_dir(&old).unwrap();
    fs::write(old.join("a"), "1").unwrap();
    fs::set_permissions(old.join("a"), fs::Permissions::from_mode(0o750)).unwrap();
    let other = Directory::open(binding("disk.old"), &DiskConfig::new(&old), &site.state).unwrap();
    let disk = Directory::open(binding("disk.config"), &site.config, &site.state).unwrap();
    Directory::introduce([&disk, &other].into_iter());
    let change = copy("disk.old", "a", "b");
    let facts = disk.facts(&change).await.unwrap();
    assert_eq!(facts["from/disk.old/a/sha256"], sha("1"));
    assert_eq!(facts["file/b/sha256"], Value::Null);

    let late = begin(&disk, "s", &change).await;
    fs::write(old.join("a"), "2").unwrap();
    refused(&disk, &change, &late).await;
    assert!(!site.root.join("b").exists());

    let done = perform(&disk, "s", &change).await;
    assert_eq!(site.get("b"), "2");
    assert_eq!(
        fs::metadata(site.root.join("b")).unwrap().mode() & 0o777,
        0o750
    );
    undo(&disk, &change, &done).await;
    assert!(!site.root.join("b").exists());
    let unknown = copy("disk.none", "a", "b");
    assert!(matches!(
        disk.facts(&unknown).await,
        Err(ReadError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_removal_can_be_undone_from_the_kept_copy_owner_and_mode_included() {
    let site = site();
    let path = site.root.join("a");
    fs::write(&path, b"\xff\x00 no text").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let _ = std::os::unix::fs::chown(&path, Some(1234), Some(1235));
    let before = fs::metadata(&path).unwrap();
    let change = remove("a", Digest::of(b"\xff\x00 no text").hex());
    let done = perform(&site.disk, "s", &change).await;
    assert!(!path.exists());
    undo(&site.disk, &change, &done).await;
    assert_eq!(fs::read(&path).unwrap(), b"\xff\x00 no text");
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.gid()),
        (before.mode(), before.uid(), before.gid())
    );
}

#[tokio::test]
async fn a_removal_refuses_another_file_under_the_name() {
    let site = site();
    let hash = site.put("a", "1");
    let change = remove("a", &hash);
    let attempt = begin(&site.disk, "s", &change).await;
    site.put("a", "2");
    refused(&site.disk, &change, &attempt).await;
    assert_eq!(site.get("a"), "2");
    let probed = site.disk.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
}

#[tokio::test]
async fn after_a_crash_the_inode_tells_whose_doing_it_was() {
    let site = site();
    let hash = site.put("a", "v 8.7\n");
    let change = edit("a", &hash, &[("8.7", "8.8")]);
    let attempt = begin(&site.disk, "s", &change).await;
    assert!(matches!(
        site.disk.act(&change, &attempt).await,
        Acted::Answered(_)
    ));
    // The answer died with its process.
    let probed = site.again().probe(&change, &attempt).await.unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: true, .. }),
        "{probed:?}"
    );

    // Someone else puts the same text there.
    // The old file keeps its inode, so that no other can get it.
    fs::rename(site.root.join("a"), site.root.join("taken")).unwrap();
    site.put("a", "v 8.8\n");
    let probed = site.again().probe(&change, &attempt).await.unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: false, .. }),
        "{probed:?}"
    );
}

#[tokio::test]
async fn what_a_crash_leaves_is_harmless_and_cleaned_up() {
    let site = site();
    let change = write("new", "text\n");
    let attempt = begin(&site.disk, "s", &change).await;
    // As a process leaves it that is killed right before the rename: found by letting the rename fail.
    let digest = Digest::of(b"r1\0s");
    let leftover = site
        .root
        .join(format!(".liftlock-{}.tmp", &digest.hex()[..16]));
    fs::write(&leftover, "ha").unwrap();
    let probed = site.again().probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
    assert!(matches!(
        site.again().act(&change, &attempt).await,
        Acted::Answered(_)
    ));
    assert_eq!(site.get("new"), "text\n");
    assert!(!leftover.exists());
    fs::write(&leftover, "ha").unwrap();
    assert!(
        site.disk
            .clean_up(&change, &attempt)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(fs::read_dir(&site.root).unwrap().count(), 1);

    // Half of a kept copy, by a process that is gone.
    let theirs = site.state.join(".notes.tmp");
    let live = site.state.join(format!(".{}-99.tmp", std::process::id()));
    fs::write(&theirs, "ha").unwrap();
    fs::write(&live, "ha").unwrap();
    site.again();
    assert!(live.exists());
    assert!(theirs.exists(), "no process number: not ours to remove");
    let gone = {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        site.state.join(format!(".{}-0.tmp", child.id()))
    };
    fs::write(&gone, "ha").unwrap();
    site.again();
    assert!(!gone.exists());
}

#[tokio::test]
async fn a_kept_copy_that_rotted_is_not_believed() {
    let site = site();
    let hash = site.put("a", "1");
    let change = keep("a");
    let done = perform(&site.disk, "s", &change).await;
    fs::write(site.state.join(&hash), "rotten").unwrap();
    let probed = site.disk.probe(&change, &done).await.unwrap();
    assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
}

#[tokio::test]
async fn a_read_only_directory_denies_every_change_but_keeping() {
    let mut site = site();
    site.config.read_only = true;
    let disk = site.again();
    let hash = site.put("a", "v 8.7\n");
    for change in [
        edit("a", &hash, &[("8.7", "8.8")]),
        remove("a", &hash),
        write("b", "x"),
        copy("disk.config", "a", "b"),
    ] {
        let error = disk.facts(&change).await.unwrap_err();
        assert!(
            matches!(&error, ReadError::Denied { allowed_by, .. } if allowed_by.contains("read-only = false")),
            "{error:?}"
        );
        refused(&disk, &change, &attempt("s")).await;
    }
    perform(&disk, "s", &keep("a")).await;
    assert_eq!(fs::read_dir(&site.root).unwrap().count(), 1);
}

#[tokio::test]
async fn another_directory_under_the_path_is_another_target() {
    let site = site();
    site.put("a", "1");
    let before = site.disk.identity().await.unwrap();
    assert!(before.product.contains("config"));
    fs::rename(&site.root, site.root.with_extension("moved")).unwrap();
    assert!(site.disk.identity().await.is_err());
    fs::create_dir(&site.root).unwrap();
    assert_ne!(
        site.disk.identity().await.unwrap().fingerprint,
        before.fingerprint
    );
    let error = site.disk.read(&file_read("a", 0, 1)).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn predicates_say_what_they_see() {
    let site = site();
    let hash = site.put("a", "1");
    let has = |sha256: &str, file: &str| Predicate::FileHas {
        dir: vec![],
        name: file.into(),
        sha256: sha256.into(),
    };
    assert!(
        site.disk
            .evaluate(&has(&hash, "a"), None)
            .await
            .unwrap()
            .holds
    );
    let other = site
        .disk
        .evaluate(&has(&sha("2"), "a"), None)
        .await
        .unwrap();
    assert!(!other.holds && other.why.contains(&hash), "{other:?}");
    let gone = site.disk.evaluate(&has(&hash, "b"), None).await.unwrap();
    assert!(!gone.holds && gone.why.contains("not there"), "{gone:?}");
    let free = |bytes| Predicate::FreeAtLeast { dir: vec![], bytes };
    assert!(site.disk.evaluate(&free(1), None).await.unwrap().holds);
    let full = site.disk.evaluate(&free(u64::MAX), None).await.unwrap();
    assert!(!full.holds && full.why.contains("free"), "{full:?}");
    let space = site.disk.read(&Read::Space { dir: vec![] }).await.unwrap();
    assert!(space["total_bytes"].as_u64() >= space["free_bytes"].as_u64());
    assert!(site.disk.evaluate(&Predicate::Ready, None).await.is_err());
    assert!(site.disk.read(&Read::Health).await.is_err());
    assert!(site.disk.borrowed_now("x").await.is_err());
}

#[tokio::test]
async fn a_secret_in_a_file_reaches_neither_journal_nor_log() {
    let site = site();
    let content = format!("v: 8.7\npassword: {CANARY}\n");
    let hash = site.put("a", &content);
    let mut out = format!("{:?}", site.disk);
    for change in [
        keep("a"),
        edit("a", &hash, &[("8.7", "8.8 8.8")]),
        copy("disk.config", "a", "b"),
        remove("b", &sha(&content.replace("8.7", "8.8 8.8"))),
    ] {
        let mut attempt = begin(&site.disk, "s", &change).await;
        out += &format!("{:?}", site.disk.observe(&change, &attempt).await);
        match site.disk.act(&change, &attempt).await {
            Acted::Answered(answer) => attempt.answer = Some(answer),
            other => panic!("{other:?}"),
        }
        out += &format!("{:?}", site.disk.probe(&change, &attempt).await);
        out += &format!("{:?}", site.disk.automatic_undo(&change, &attempt));
        out += &format!("{attempt:?}");
    }
    let late = edit("a", &hash, &[("8.7", "8.8")]);
    out += &format!("{:?}", site.disk.act(&late, &attempt("t")).await);
    out += &format!("{:?}", site.disk.read(&file_read("a", 0, 1000)).await);
    assert!(
        out.contains("v: 8.8 8.8"),
        "the read is in what was looked through"
    );
    assert!(!out.contains(CANARY), "{out}");
}

#[test]
fn a_binding_cannot_take_the_name_of_the_kept_copies() {
    let temp = tempfile::tempdir().unwrap();
    let config = DiskConfig::new(temp.path());
    let error = Directory::open(binding(KEPT_BINDING), &config, &temp.path().join("kept"));
    assert!(matches!(error, Err(DiskError::Reserved(_))));
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused() {
    let config: DiskConfig = serde_json::from_str(r#"{"path":"/etc/x","read-only":true}"#).unwrap();
    assert!(config.read_only && config.redact_keys.iter().any(|key| key == "password"));
    assert!(serde_json::from_str::<DiskConfig>(r#"{"path":"/etc/x","readonly":true}"#).is_err());
}

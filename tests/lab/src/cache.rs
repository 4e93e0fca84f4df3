//! Server software, fetched once with the ordinary Maven client.
//!
//! An entry's folder is named by version and by everything that decides its content; it appears
//! by one rename when it is complete, so a folder that exists is a whole one. A lock file per
//! entry keeps two processes from fetching the same at the same time.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use sha2::Digest;
use sha2::Sha256;

use crate::error::IoContext;
use crate::error::LabError;
use crate::java;
use crate::java::Java;
use crate::process::LOOK_AGAIN;

/// Longest wait for one helper program, and for another process that fetches the same. The largest
/// archive has 921 MB: 20 minutes are enough from 1 MB/s on.
const FETCH_SECONDS_MAX: u64 = 1200;

/// Lines of a failed program's output that are shown.
const OUTPUT_LINES_MAX: usize = 20;

/// Where fetched software lies: `LIFTLOCK_LAB_CACHE`, else in the build's target folder.
pub(crate) fn root() -> PathBuf {
    if let Some(named) = std::env::var_os("LIFTLOCK_LAB_CACHE") {
        return PathBuf::from(named);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    // The path goes into other programs' arguments, whose working folder is another one.
    std::path::absolute(&target)
        .unwrap_or(target)
        .join("lab-cache")
}

/// One thing to be fetched: its name and what decides its content.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) decided_by: &'a [&'a str],
}

impl Entry<'_> {
    pub(crate) fn folder_name(&self) -> String {
        let mut hash = Sha256::new();
        for part in self.decided_by {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let key: String = hex(&hash.finalize()).chars().take(12).collect();
        format!("{}-{key}", self.name)
    }
}

/// The entry's folder in `root`, made by `make` in a scratch folder if it is not there yet.
pub(crate) async fn ensure<F>(root: &Path, entry: &Entry<'_>, make: F) -> Result<PathBuf, LabError>
where
    F: AsyncFnOnce(&Path) -> Result<PathBuf, LabError>,
{
    let name = entry.folder_name();
    let ready = root.join(&name);
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(root).doing("make", root)?;
    let _lock = lock(&root.join(format!("{name}.lock"))).await?;
    if ready.is_dir() {
        return Ok(ready);
    }
    // Only the holder of the lock makes or removes it, so what lies there was left by a crash.
    let scratch = root.join(format!("{name}.part"));
    remove_folder(&scratch)?;
    fs::create_dir_all(&scratch).doing("make", &scratch)?;
    let made = make(&scratch).await;
    let done = made.and_then(|made| fs::rename(&made, &ready).doing("publish", &ready));
    remove_folder(&scratch)?;
    done.map(|()| ready)
}

async fn lock(path: &Path) -> Result<File, LabError> {
    let file = File::create(path).doing("make", path)?;
    let end = Instant::now() + Duration::from_secs(FETCH_SECONDS_MAX);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(LabError::Program {
                    program: format!("wait for `{}`", path.display()),
                    output: format!("another process held it for {FETCH_SECONDS_MAX} s"),
                });
            }
            Err(TryLockError::Error(source)) => return Err(source).doing("lock", path),
        }
    }
}

pub(crate) fn remove_folder(folder: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing("remove", folder)
        }
        _ => Ok(()),
    }
}

/// Puts an artifact and all it needs at run time into `lib`, and checks the digest of the list.
pub(crate) async fn fetch_with_dependencies(
    scratch: &Path,
    coordinates: [&str; 3],
    digest: &str,
) -> Result<PathBuf, LabError> {
    let [group, artifact, version] = coordinates;
    let pom = format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>lab</groupId>\
         <artifactId>lab</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies><dependency><groupId>{group}</groupId>\
         <artifactId>{artifact}</artifactId><version>{version}</version></dependency>\
         </dependencies></project>\n"
    );
    let what = format!("{artifact}-{version} with its dependencies");
    fetch_by_pom(scratch, &pom, &what, digest).await
}

/// Puts all that a project needs at run time into `lib`, and checks the digest of the list.
pub(crate) async fn fetch_by_pom(
    scratch: &Path,
    pom: &str,
    what: &str,
    digest: &str,
) -> Result<PathBuf, LabError> {
    let file = scratch.join("pom.xml");
    fs::write(&file, pom).doing("write", &file)?;
    maven(
        scratch,
        &[
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=lib",
        ],
    )
    .await?;
    let lib = scratch.join("lib");
    expect_digest(what, digest, &jars(&lib)?)?;
    Ok(lib)
}

/// Puts what a project's plugin is told to copy into `lib`, and checks the digest of the list.
pub(crate) async fn fetch_copies(
    scratch: &Path,
    pom: &str,
    what: &str,
    digest: &str,
) -> Result<PathBuf, LabError> {
    let file = scratch.join("pom.xml");
    fs::write(&file, pom).doing("write", &file)?;
    maven(scratch, &["dependency:copy"]).await?;
    let lib = scratch.join("lib");
    expect_digest(what, digest, &jars(&lib)?)?;
    Ok(lib)
}

/// Fetches one zip and checks its digest.
pub(crate) async fn fetch_zip(
    scratch: &Path,
    coordinates: [&str; 3],
    digest: &str,
) -> Result<PathBuf, LabError> {
    let [group, artifact, version] = coordinates;
    maven(
        scratch,
        &[
            "dependency:get",
            "-Dtransitive=false",
            &format!("-Dartifact={group}:{artifact}:{version}:zip"),
        ],
    )
    .await?;
    let zip = scratch
        .join(REPOSITORY)
        .join(group.replace('.', "/"))
        .join(artifact)
        .join(version)
        .join(format!("{artifact}-{version}.zip"));
    expect_digest(
        &format!("{artifact}-{version}.zip"),
        digest,
        &sha256_of(&zip)?,
    )?;
    Ok(zip)
}

/// Maven's local repository of one fetch. Our own, so that a zip of 921 MB does not stay behind.
const REPOSITORY: &str = "m2";

async fn maven(scratch: &Path, arguments: &[&str]) -> Result<(), LabError> {
    let mvn = java::on_path("mvn").ok_or_else(|| LabError::Missing {
        what: "Maven (`mvn` on the search path)".into(),
        remedy: "`apt-get install maven openjdk-17-jdk-headless`".into(),
    })?;
    let repository = format!("-Dmaven.repo.local={}", scratch.join(REPOSITORY).display());
    let mut all = vec!["-B", "-q", repository.as_str()];
    all.extend(arguments);
    run(&mvn, &all, scratch).await
}

/// Runs a helper program to its end, without input.
pub(crate) async fn run(program: &Path, arguments: &[&str], at: &Path) -> Result<(), LabError> {
    let failed = |output: String| LabError::Program {
        program: format!("{} {}", program.display(), arguments.join(" ")),
        output,
    };
    let ended = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(at)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(Duration::from_secs(FETCH_SECONDS_MAX), ended)
        .await
        .map_err(|_| failed(format!("no end after {FETCH_SECONDS_MAX} s")))?
        .doing("run", program)?;
    if ended.status.success() {
        return Ok(());
    }
    let text = [ended.stdout, ended.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Err(failed(format!(
        "{}\n{}",
        ended.status,
        last_lines(&text, OUTPUT_LINES_MAX)
    )))
}

/// Takes a folder out of a zip, into `at`.
pub(crate) async fn unzip(
    java: &Java,
    zip: &Path,
    folder: &str,
    at: &Path,
) -> Result<(), LabError> {
    // The JDK's own archiver: a JDK is needed anyway, and `unzip` is not on every machine.
    let zip = zip.to_string_lossy();
    run(&java.program("jar"), &["xf", &zip, folder], at).await
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}

fn expect_digest(what: &str, expected: &str, found: &str) -> Result<(), LabError> {
    if expected == found {
        return Ok(());
    }
    Err(LabError::Digest {
        what: what.into(),
        expected: expected.into(),
        found: found.into(),
    })
}

/// One digest for a folder of jars: names and digests, sorted, in the form of `sha256sum`.
fn jars(lib: &Path) -> Result<String, LabError> {
    let mut names: Vec<String> = fs::read_dir(lib)
        .doing("list", lib)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let mut list = Sha256::new();
    for name in names {
        let digest = sha256_of(&lib.join(&name))?;
        list.update(format!("{digest}  {name}\n"));
    }
    Ok(hex(&list.finalize()))
}

fn sha256_of(path: &Path) -> Result<String, LabError> {
    let mut file = File::open(path).doing("open", path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).doing("read", path)?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> = Entry {
        name: "thing-1",
        decided_by: &["abc", "recipe"],
    };

    #[tokio::test]
    async fn makes_an_entry_once_and_leaves_no_scratch() {
        let root = tempfile::tempdir().unwrap();
        let make = async |scratch: &Path| {
            let made = scratch.join("made");
            fs::create_dir(&made).unwrap();
            Ok(made)
        };
        let first = ensure(root.path(), &ENTRY, make).await.unwrap();
        let again = ensure(root.path(), &ENTRY, async |_: &Path| {
            Err(LabError::malformed("entry", "made twice"))
        });
        assert_eq!(again.await.unwrap(), first);
        let names: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        assert_eq!(names, [ENTRY.folder_name()]);
    }

    #[tokio::test]
    async fn publishes_nothing_when_making_fails_and_clears_a_crashed_attempt() {
        let root = tempfile::tempdir().unwrap();
        let left_over = root.path().join(format!("{}.part", ENTRY.folder_name()));
        fs::create_dir_all(left_over.join("made")).unwrap();
        let failed = ensure(root.path(), &ENTRY, async |scratch: &Path| {
            assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
            Err(LabError::malformed("entry", "broken"))
        });
        failed.await.unwrap_err();
        assert!(!root.path().join(ENTRY.folder_name()).exists());
        assert!(!left_over.exists());
    }

    #[tokio::test]
    async fn two_at_once_make_it_once() {
        let root = tempfile::tempdir().unwrap();
        let made = std::sync::atomic::AtomicUsize::new(0);
        let one = || {
            ensure(root.path(), &ENTRY, async |scratch: &Path| {
                made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let folder = scratch.join("made");
                fs::create_dir(&folder).unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(folder)
            })
        };
        let (a, b) = tokio::join!(one(), one());
        assert_eq!(a.unwrap(), b.unwrap());
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn other_content_is_another_folder() {
        let other = Entry {
            name: ENTRY.name,
            decided_by: &["abd", "recipe"],
        };
        assert_ne!(ENTRY.folder_name(), other.folder_name());
    }

    #[test]
    fn refuses_what_has_another_digest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.jar"), "x").unwrap();
        let before = jars(folder.path()).unwrap();
        fs::write(folder.path().join("a.jar"), "y").unwrap();
        let error = expect_digest("jars", &before, &jars(folder.path()).unwrap()).unwrap_err();
        assert!(error.to_string().contains(&before));
    }
}

//! Plan files: `plans/SITE-FROM-TO-HASH8.json` beside `site.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use liftlock_types::{PlanFile, PlanFileError};

use crate::code::Code;
use crate::failure::{self, Failure};
use crate::state::write_shared;

/// The directory beside `site.toml`.
const PLANS_DIR: &str = "plans";

/// Largest plan file that is read: 10,000 steps with bodies of 10 KiB.
const PLAN_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// Writes a plan under its own name; `home` is where the site's plans are.
pub(crate) fn write(home: &Path, file: &PlanFile) -> Result<PathBuf, Failure> {
    let dir = home.join(PLANS_DIR);
    fs::create_dir_all(&dir).map_err(|e| failure::file("make", &dir, &e))?;
    let plan = &file.plan;
    let name = format!(
        "{}-{}-{}-{}.json",
        plan.site,
        plain(plan.from.as_deref().unwrap_or("unknown")),
        plain(&plan.to),
        file.hash.short()
    );
    write_to(&dir.join(name), file)
}

/// Writes a plan to this file.
pub(crate) fn write_to(path: &Path, file: &PlanFile) -> Result<PathBuf, Failure> {
    let text = serde_json::to_string_pretty(file).map_err(|e| {
        Failure::new(Code::Internal, "the plan cannot be written as JSON").because(&e)
    })?;
    write_shared(path, format!("{text}\n").as_bytes())?;
    Ok(path.to_owned())
}

/// A version as a file name may hold it.
fn plain(version: &str) -> String {
    version
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
                c
            } else {
                '_'
            }
        })
        .take(40)
        .collect()
}

/// The plan that is meant: a file, or the first digits of the hash of one in `home`.
pub(crate) fn find(named: &str, home: &Path) -> Result<(PathBuf, PlanFile), Failure> {
    let path = locate(named, home)?;
    let read = || -> std::io::Result<String> {
        if fs::metadata(&path)?.len() > PLAN_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "it has more than {PLAN_BYTES_MAX} bytes"
            )));
        }
        fs::read_to_string(&path)
    };
    let text = read().map_err(|e| failure::file("read", &path, &e))?;
    let file = PlanFile::parse(&text).map_err(|error| unusable(&path, &error))?;
    Ok((path, file))
}

fn unusable(path: &Path, error: &PlanFileError) -> Failure {
    let (code, what, remedy) = match error {
        PlanFileError::Changed { .. } => (
            Code::PlanEdited,
            "is not the plan that was made",
            "put the file back as it was, or make a new plan: what is approved is what runs",
        ),
        _ => (
            Code::PlanUnreadable,
            "cannot be used",
            "name a file that `liftlock plan` wrote",
        ),
    };
    Failure::new(code, format!("`{}` {what}", path.display()))
        .because(error)
        .remedy(remedy)
        .next("liftlock plan VERSION")
}

fn locate(named: &str, home: &Path) -> Result<PathBuf, Failure> {
    let direct = PathBuf::from(named);
    if direct.is_file() {
        return Ok(direct);
    }
    let dir = home.join(PLANS_DIR);
    for name in [named.to_owned(), format!("{named}.json")] {
        let path = dir.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    let digits = named.strip_prefix("sha256:").unwrap_or(named);
    let digits = digits.get(..8).unwrap_or(digits);
    let mut known: Vec<PathBuf> = fs::read_dir(&dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    known.sort();
    let hits: Vec<&PathBuf> = known
        .iter()
        .filter(|path| {
            let name = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            digits.len() >= 4
                && name
                    .rsplit('-')
                    .next()
                    .is_some_and(|hash| hash.starts_with(digits))
        })
        .collect();
    match hits.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(
            Code::PlanUnreadable,
            format!("there is no plan `{}`", named.escape_debug()),
        )
        .cause(match known.len() {
            0 => format!("there are no plans in `{}`", dir.display()),
            n => format!(
                "none of the {n} plans in `{}` has this name or hash",
                dir.display()
            ),
        })
        .remedy("name a file of `liftlock plan`, or the first digits of a plan's hash")
        .next("liftlock plan VERSION")),
        _ => Err(Failure::new(
            Code::PlanUnreadable,
            format!("`{}` means several plans", named.escape_debug()),
        )
        .cause(
            hits.iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        )
        .remedy("name one by its file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::plan::tests::sample;

    #[test]
    fn a_plan_is_found_by_its_file_and_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let file = sample();
        let path = write(dir.path(), &file).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name, format!("prod-8.7.0-8.8.0-{}.json", file.hash.short()));
        for named in [
            path.to_str().unwrap(),
            &name,
            file.hash.short(),
            file.hash.as_str(),
        ] {
            let (found, read) = find(named, dir.path()).unwrap();
            assert_eq!((found, read), (path.clone(), file.clone()), "{named}");
        }
        assert_eq!(
            find("ffffffff", dir.path()).unwrap_err().code(),
            Code::PlanUnreadable
        );
    }

    #[test]
    fn a_plan_with_one_byte_changed_is_refused_as_edited() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &sample()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("optimize-x_v2", "optimize-x_v3", 1)).unwrap();
        let failure = find(path.to_str().unwrap(), dir.path()).unwrap_err();
        assert_eq!(failure.code(), Code::PlanEdited);
        assert_eq!(failure.exit().code(), 11);
    }

    #[test]
    fn a_version_cannot_make_a_path() {
        assert_eq!(plain("../8.8/x"), ".._8.8_x");
    }
}

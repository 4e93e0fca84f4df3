//! The search for a secret in everything that was printed or written.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Where a text is found beneath a folder: the files that hold it.
pub fn find_secret(folder: &Path, secret: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    search(folder, secret.as_bytes(), &mut found)?;
    found.sort();
    Ok(found)
}

fn search(path: &Path, secret: &[u8], found: &mut Vec<String>) -> anyhow::Result<()> {
    let reading = || format!("cannot read `{}`", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(reading)? {
            search(&entry.with_context(reading)?.path(), secret, found)?;
        }
    } else if path.is_file() {
        let bytes = fs::read(path).with_context(reading)?;
        if bytes.windows(secret.len()).any(|window| window == secret) {
            found.push(path.display().to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_secret_in_a_binary_file_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), b"\0\xffcanary-1\0").unwrap();
        fs::write(folder.path().join("c"), b"canary").unwrap();
        let found = find_secret(folder.path(), "canary-1").unwrap();
        assert_eq!(found, [folder.path().join("a/b").display().to_string()]);
    }
}

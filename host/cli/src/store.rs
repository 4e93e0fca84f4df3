//! The plugin store: components by digest in the state directory, and an index of their names.

use std::fs;
use std::path::{Path, PathBuf};

use liftlock_types::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::failure::{self, Failure};
use crate::state::{State, write_private};

/// Largest component that is taken.
///
/// 64 MiB: a plugin in Rust has under 2 MiB, one that carries a Python interpreter about 40.
const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How an unsigned plugin is marked on every screen.
pub(crate) const UNSIGNED: &str = "UNSIGNED, development";

/// One installed plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Installed {
    /// As its descriptor says.
    pub(crate) name: String,
    /// Likewise.
    pub(crate) version: String,
    /// Of its bytes.
    #[schemars(with = "String")]
    pub(crate) digest: Digest,
    /// Nobody signed it.
    pub(crate) unsigned: bool,
    /// When it was added, ISO-8601.
    pub(crate) added_at: String,
}

impl Installed {
    /// `camunda-optimize 0.1.0, sha256 3f9a12c4 (UNSIGNED, development)`.
    pub(crate) fn label(&self) -> String {
        let mark = if self.unsigned {
            format!(" ({UNSIGNED})")
        } else {
            String::new()
        };
        format!(
            "{} {}, sha256 {}{mark}",
            self.name,
            self.version,
            self.digest.short()
        )
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    #[serde(default)]
    plugin: Vec<Installed>,
}

/// The store in one state directory.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// Opens it, making its directory.
    pub(crate) fn open(state: &State) -> Result<Self, Failure> {
        Ok(Self {
            dir: state.shared_sub("plugins")?,
        })
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.toml")
    }

    /// Where the bytes of this digest are.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}.wasm", digest.hex()))
    }

    /// All that are installed, in the order in which they were added.
    pub(crate) fn list(&self) -> Result<Vec<Installed>, Failure> {
        let path = self.index_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failure::file("read", &path, &e)),
        };
        let index: Index = toml::from_str(&text).map_err(|e| {
            Failure::new(
                Code::File,
                format!("`{}` is no index of plugins", path.display()),
            )
            .because(&e)
            .remedy("remove the file and add the plugins again; their bytes are kept by digest")
        })?;
        Ok(index.plugin)
    }

    /// Puts a component's bytes beside the others and its name on the index; a later one of a name is the one
    /// that the name means.
    pub(crate) fn add(&self, bytes: &[u8], installed: &Installed) -> Result<(), Failure> {
        let path = self.path(&installed.digest);
        if !path.exists() {
            write_private(&path, bytes)?;
        }
        let mut index = Index {
            plugin: self.list()?,
        };
        if index
            .plugin
            .last()
            .is_some_and(|last| last.digest == installed.digest)
        {
            return Ok(());
        }
        index
            .plugin
            .retain(|known| known.digest != installed.digest);
        index.plugin.push(installed.clone());
        let text = toml::to_string(&index).map_err(|e| {
            Failure::new(Code::Internal, "the index of plugins cannot be written").because(&e)
        })?;
        write_private(&self.index_path(), text.as_bytes())
    }

    /// The plugin of this name that was added last, or the one whose digest begins so.
    pub(crate) fn find(&self, name: &str) -> Result<Installed, Failure> {
        let list = self.list()?;
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        let by_digest = digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        list.iter()
            .rev()
            .find(|known| {
                known.name == name || (by_digest && known.digest.hex().starts_with(digits))
            })
            .cloned()
            .ok_or_else(|| {
                let mut names: Vec<&str> = list.iter().map(|known| known.name.as_str()).collect();
                names.dedup();
                let there = if names.is_empty() {
                    "none is".into()
                } else {
                    format!("there are: {}", names.join(", "))
                };
                Failure::new(
                    Code::NoPlugin,
                    format!("no plugin `{}` is installed; {there}", name.escape_debug()),
                )
                .remedy("install the component that the vendor ships")
                .next("liftlock plugin add FILE --allow-unsigned")
            })
    }

    /// The bytes of an installed plugin, checked against its digest.
    pub(crate) fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let path = self.path(digest);
        let bytes = read_component(&path)?;
        let found = Digest::of(&bytes);
        if found == *digest {
            return Ok(bytes);
        }
        Err(Failure::new(
            Code::PluginChanged,
            format!(
                "the component of `{}` has other bytes than were installed",
                digest.short()
            ),
        )
        .cause(format!("installed {digest}"))
        .cause(format!("found     {found}"))
        .remedy("find out who changed the file, then install the one that is meant")
        .next("liftlock plugin add FILE --allow-unsigned"))
    }
}

/// The bytes of a component file, within the bound.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>, Failure> {
    let size = fs::metadata(path)
        .map_err(|e| failure::file("read", path, &e))?
        .len();
    if size > COMPONENT_BYTES_MAX {
        return Err(Failure::new(
            Code::PluginUnusable,
            format!(
                "`{}` has {size} bytes, at most {COMPONENT_BYTES_MAX} are taken",
                path.display()
            ),
        ));
    }
    fs::read(path).map_err(|e| failure::file("read", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> Store {
        Store::open(&State::locate(Some(dir), true).unwrap()).unwrap()
    }

    fn installed(name: &str, bytes: &[u8]) -> Installed {
        Installed {
            name: name.into(),
            version: "0.1.0".into(),
            digest: Digest::of(bytes),
            unsigned: true,
            added_at: "now".into(),
        }
    }

    #[test]
    fn a_name_means_the_component_that_was_added_last() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        for bytes in [b"one", b"two", b"one"] {
            store.add(bytes, &installed("p", bytes)).unwrap();
        }
        assert_eq!(store.find("p").unwrap().digest, Digest::of(b"one"));
        let digest = Digest::of(b"two");
        assert_eq!(store.find(digest.short()).unwrap().digest, digest);
        assert_eq!(store.list().unwrap().len(), 2);
    }

    #[test]
    fn bytes_that_were_changed_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let plugin = installed("p", b"one");
        store.add(b"one", &plugin).unwrap();
        fs::write(store.path(&plugin.digest), b"onf").unwrap();
        assert_eq!(
            store.bytes(&plugin.digest).unwrap_err().code(),
            Code::PluginChanged
        );
    }

    #[test]
    fn a_name_that_is_not_installed_lists_those_that_are() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store
            .add(b"one", &installed("camunda-optimize", b"one"))
            .unwrap();
        let failure = store.find("optimize").unwrap_err();
        assert!(
            failure.data().what.contains("camunda-optimize"),
            "{failure:?}"
        );
    }
}

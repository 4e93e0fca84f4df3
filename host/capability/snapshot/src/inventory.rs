//! What was in the indices when a snapshot was taken, and the templates, which an index snapshot does not hold:
//! one file beside the journal, written before the snapshot is asked for.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use liftlock_types::facts::cluster::{Alias, Index, Template, TemplateKind};
use liftlock_types::{Capability as _, Digest, Read, ReadError, Scope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::repository::Repository;

/// What names of ours begin with.
const OURS: &str = "liftlock-";

/// One index as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// 0 where it was closed: nothing can be counted then.
    pub(crate) docs: u64,
    pub(crate) mapping: Digest,
    /// A closed index is in a snapshot, and comes back open.
    #[serde(default = "was_open")]
    pub(crate) open: bool,
    /// `index.creation_date`: a restored index has that of the original, one that was made anew has its own.
    #[serde(default)]
    pub(crate) created: Option<String>,
    /// Documents and sequence numbers of its primaries, which a restore brings back: after any write they are others.
    /// None where it was closed.
    #[serde(default)]
    pub(crate) written: Option<Value>,
    /// Its primaries.
    #[serde(default)]
    pub(crate) shards: Option<u32>,
    /// Its aliases, by name.
    #[serde(default)]
    pub(crate) aliases: Option<Vec<Alias>>,
}

/// Inventories that were written before this was kept counted every index.
fn was_open() -> bool {
    true
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inventory {
    pub(crate) snapshot: String,
    pub(crate) indices: Vec<Kept>,
    /// Templates that apply to one of the indices; a roll-back puts them back one by one.
    pub(crate) templates: Vec<Template>,
}

/// Reads what the patterns mean now. Counts refresh, so that they are what the snapshot will hold.
pub(crate) async fn take(
    repository: &Repository,
    snapshot: &str,
    patterns: &[String],
    except: &[String],
) -> Result<Inventory, ReadError> {
    let except = scopes(except)?;
    let aliases = aliases_of(repository).await?;
    let mut indices: Vec<Kept> = Vec::new();
    for pattern in scopes(patterns)? {
        let read = Read::Indices {
            pattern: pattern.as_str().to_owned(),
        };
        let found: Vec<Index> = typed(repository.cluster.read(&read).await?)?;
        for index in found {
            let left_out = except.iter().any(|scope| scope.matches(&index.name));
            if left_out || indices.iter().any(|kept| kept.name == index.name) {
                continue;
            }
            let (docs, written) = if index.open {
                let docs = count(repository, &index.name).await?;
                (docs, written(repository, &index.name).await?)
            } else {
                (0, None)
            };
            indices.push(Kept {
                mapping: mapping(repository, &index.name).await?,
                created: created(repository, &index.name).await?,
                aliases: Some(
                    aliases
                        .iter()
                        .filter(|alias| alias.index == index.name)
                        .cloned()
                        .collect(),
                ),
                shards: Some(index.shards),
                open: index.open,
                name: index.name,
                uuid: index.uuid,
                docs,
                written,
            });
        }
    }
    indices.sort_by(|a, b| a.name.cmp(&b.name));
    let patterns = scopes(patterns)?;
    let is_family = |name: &str| {
        patterns.iter().any(|scope| scope.matches(name))
            && !except.iter().any(|scope| scope.matches(name))
    };
    let templates = templates(repository, &indices, &is_family).await?;
    Ok(Inventory {
        snapshot: snapshot.to_owned(),
        indices,
        templates,
    })
}

/// Templates that apply to one of the indices, or to names of the family that no index has yet; the components that
/// those are made of, and those of the family's name.
async fn templates(
    repository: &Repository,
    indices: &[Kept],
    is_family: &impl Fn(&str) -> bool,
) -> Result<Vec<Template>, ReadError> {
    let mut applying: Vec<Template> = Vec::new();
    for kind in [TemplateKind::Legacy, TemplateKind::Composable] {
        let found = all_templates(repository, kind).await?;
        applying.extend(found.into_iter().filter(|template| {
            let mut patterns = template.patterns.iter();
            patterns.any(|pattern| {
                is_family(pattern.trim_end_matches('*'))
                    || indices.iter().any(|index| glob(pattern, &index.name))
            })
        }));
    }
    let parts: Vec<String> = applying
        .iter()
        .flat_map(|template| typed::<Vec<String>>(template.body.value()["composed_of"].clone()))
        .flatten()
        .collect();
    let components = all_templates(repository, TemplateKind::Component).await?;
    applying.extend(
        components
            .into_iter()
            .filter(|component| parts.contains(&component.name) || is_family(&component.name)),
    );
    Ok(applying)
}

/// Of this kind, without our own: a claim is one, and no way back may bring or take it.
pub(crate) async fn all_templates(
    repository: &Repository,
    kind: TemplateKind,
) -> Result<Vec<Template>, ReadError> {
    let pattern = "*".into();
    let read = Read::Templates { kind, pattern };
    let mut found: Vec<Template> = typed(repository.cluster.read(&read).await?)?;
    found.retain(|template| !template.name.starts_with(OURS));
    Ok(found)
}

/// Does an index pattern of a template mean this name? Any number of `*`, as the servers take them.
pub(crate) fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|at| rest.is_char_boundary(*at))
                .any(|at| glob(tail, &rest[at..]))
        }),
    }
}

pub(crate) async fn count(repository: &Repository, index: &str) -> Result<u64, ReadError> {
    typed(
        repository
            .cluster
            .read(&Read::Count {
                index: index.to_owned(),
                query: None,
            })
            .await?,
    )
}

pub(crate) async fn mapping(repository: &Repository, index: &str) -> Result<Digest, ReadError> {
    let value = repository
        .cluster
        .read(&Read::Mappings {
            index: index.to_owned(),
        })
        .await?;
    Ok(Digest::of(ordered(&value).to_string().as_bytes()))
}

/// What was written to it so far.
pub(crate) async fn written(
    repository: &Repository,
    index: &str,
) -> Result<Option<Value>, ReadError> {
    let read = Read::Activity {
        indices: vec![index.to_owned()],
    };
    let rows = repository.cluster.read(&read).await?;
    let mut rows = typed::<Vec<Value>>(rows)?.into_iter();
    Ok(rows.find(|row| row.get("index").and_then(Value::as_str) == Some(index)))
}

/// All aliases of the cluster, by name.
pub(crate) async fn aliases_of(repository: &Repository) -> Result<Vec<Alias>, ReadError> {
    let pattern = "*".into();
    typed(repository.cluster.read(&Read::Aliases { pattern }).await?)
}

/// When it was made, as the server says it.
pub(crate) async fn created(
    repository: &Repository,
    index: &str,
) -> Result<Option<String>, ReadError> {
    let read = Read::IndexSettings {
        index: index.to_owned(),
    };
    let settings = repository.cluster.read(&read).await?;
    Ok(settings
        .get("index.creation_date")
        .and_then(Value::as_str)
        .map(str::to_owned))
}

/// Members of an object have no order; two servers may show them in two.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            members
                .into_iter()
                .map(|(name, value)| (name.clone(), ordered(value)))
                .collect()
        }
        Value::Array(elements) => elements.iter().map(ordered).collect(),
        other => other.clone(),
    }
}

pub(crate) fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ReadError> {
    serde_json::from_value(value).map_err(|error| ReadError::Invalid(error.to_string()))
}

pub(crate) fn scopes(texts: &[String]) -> Result<Vec<Scope>, ReadError> {
    texts
        .iter()
        .map(|text| {
            Scope::new(text.as_str()).map_err(|error| ReadError::Invalid(error.to_string()))
        })
        .collect()
}

impl Inventory {
    /// Where the inventory of a snapshot lies.
    pub(crate) fn path(repository: &Repository, snapshot: &str) -> PathBuf {
        repository.kept.join(format!("snapshot-{snapshot}.json"))
    }

    /// Writes it, durable when this returns. One that is there already is replaced as a whole.
    pub(crate) fn write(&self, repository: &Repository) -> std::io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&repository.kept)?;
        let path = Self::path(repository, &self.snapshot);
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(&repository.kept)?.sync_all()
    }

    /// Reads it back.
    pub(crate) fn load(path: &Path) -> Result<Self, ReadError> {
        let text = std::fs::read(path).map_err(|error| {
            ReadError::Unavailable(format!("the inventory `{}`: {error}", path.display()))
        })?;
        serde_json::from_slice(&text).map_err(|error| {
            ReadError::Invalid(format!("the inventory `{}`: {error}", path.display()))
        })
    }

    /// Documents of all indices.
    pub(crate) fn docs(&self) -> u64 {
        self.indices.iter().map(|index| index.docs).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_templates_pattern_means_what_the_servers_take_it_for() {
        for (pattern, name, is_meant) in [
            ("*", "a", true),
            ("a*", "a", true),
            ("*-x", "a-x", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("a", "ab", false),
        ] {
            assert_eq!(glob(pattern, name), is_meant, "{pattern} {name}");
        }
    }

    #[test]
    fn the_order_of_members_is_no_difference() {
        let a = serde_json::json!({"b": {"y": 1, "x": [2, 1]}, "a": 1});
        let b = serde_json::json!({"a": 1, "b": {"x": [2, 1], "y": 1}});
        assert_eq!(ordered(&a).to_string(), ordered(&b).to_string());
        assert_ne!(
            ordered(&a).to_string(),
            ordered(&serde_json::json!({"a": 1, "b": {"x": [1, 2], "y": 1}})).to_string()
        );
    }
}

//! The Kuzzles of the site: their services, their configurations, and what they say of themselves.

use liftlock_sdk::prelude::*;

use crate::descriptor::{CONFIGURATIONS, ENDPOINTS, HEALTH, KUZZLES, SERVER_INFO};
use crate::mode::{self, Told};
use crate::options::Options;

/// Most of a configuration that is read.
const FILE_BYTES_MAX: u32 = 1 << 20;

/// One service.
#[derive(Debug, Clone)]
pub(crate) struct KuzzleService {
    pub(crate) binding: String,
    /// The binding without its capability: `kuzzle`, `kuzzle-2`.
    pub(crate) name: String,
    pub(crate) state: State,
}

/// One configuration.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) binding: String,
    /// As for services.
    pub(crate) name: String,
    /// None: there is no such file.
    pub(crate) file: Option<File>,
}

/// A configuration's file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) text: String,
    pub(crate) sha256: String,
}

impl Configuration {
    /// Which Elasticsearch it names.
    pub(crate) fn mode(&self) -> Option<Told> {
        self.file.as_ref().map(|file| mode::told(&file.text))
    }
}

/// What one Kuzzle says.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) binding: String,
    /// Status of the deep health, and what it says: none where nobody answers.
    pub(crate) health: Option<(u16, String)>,
    /// Its own version.
    pub(crate) version: Option<String>,
    /// That of its storage, as it sees it.
    pub(crate) storage: Option<String>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kuzzles {
    pub(crate) services: Vec<KuzzleService>,
    pub(crate) configurations: Vec<Configuration>,
    pub(crate) said: Vec<Said>,
}

impl Kuzzles {
    /// Reads all of it. One that is down says nothing, which is a fact.
    pub(crate) fn gather(site: &Site, options: &Options) -> Result<Self> {
        let mut all = Self::default();
        for bound in site.bindings() {
            let binding = bound.binding;
            let name = binding
                .split_once('.')
                .map_or("", |(_, name)| name)
                .to_owned();
            if binding.starts_with(KUZZLES) {
                let state = Service::open(site, &binding)?.status()?.state;
                all.services.push(KuzzleService {
                    binding,
                    name,
                    state,
                });
            } else if binding.starts_with(CONFIGURATIONS) {
                let file = file(&Directory::open(site, &binding)?, &options.configuration)?;
                all.configurations.push(Configuration {
                    binding,
                    name,
                    file,
                });
            } else if binding.starts_with(ENDPOINTS) {
                all.said.push(said(site, binding)?);
            }
        }
        Ok(all)
    }
}

fn file(directory: &Directory, name: &str) -> Result<Option<File>> {
    let Some(text) = directory.read(name, 0, FILE_BYTES_MAX).found()? else {
        return Ok(None);
    };
    Ok(Some(File {
        text: String::from_utf8_lossy(&text).into_owned(),
        sha256: directory.sha256(name)?,
    }))
}

fn said(site: &Site, binding: String) -> Result<Said> {
    let api = Endpoint::open(site, &binding)?;
    let get = |path: &str| -> Result<Option<(u16, Value)>> {
        match api.get(path, &[]) {
            Ok(answer) => {
                let body = answer.body.parse().unwrap_or(Value::Null);
                Ok(Some((answer.status, body)))
            }
            Err(Error::Unavailable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let health = get(HEALTH)?;
    // Where the deep health is not answered, neither is this, and the wait is long.
    let info = if health.is_some() {
        get(SERVER_INFO)?
    } else {
        None
    };
    let of_info = |pointer: &str| {
        let (_, body) = info.as_ref()?;
        Some(body.pointer(pointer)?.as_str()?.to_owned())
    };
    Ok(Said {
        version: of_info("/result/serverInfo/kuzzle/version"),
        storage: of_info("/result/serverInfo/services/internalStorage/version"),
        health: health.as_ref().map(|(status, body)| {
            let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
            let told = text("/result/status").or_else(|| text("/error/id"));
            (*status, told.unwrap_or_default().to_owned())
        }),
        binding,
    })
}

//! What stands there now, read once and then looked at by pure functions.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;
use liftlock_sdk::rolling::View;

use crate::archives::{self, Archive};
use crate::by_name::map_of;
use crate::descriptor::{BACKUPS, CONFIG, CONFIG_FILES, DATABASE, OPTIMIZE};
use crate::edges::HOPS;
use crate::names::{Kind, Names};
use crate::rolling::Wanted;
use crate::step::VendorStep;

/// The document that holds the schema version.
pub(crate) const METADATA_ID: &str = "1";

/// The schema version's document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Metadata {
    NoIndex,
    NoDocument,
    Unreadable(String),
    Found {
        version: Version,
        installation: Option<String>,
        source: Value,
    },
}

/// One document of the vendor's update log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogEntry {
    pub(crate) id: String,
    pub(crate) applied: Option<String>,
}

/// An old and a new version of an index that stand beside each other, counted after a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) source: u64,
    pub(crate) target: u64,
    /// Documents that the new version alone has; none where there are too many to compare.
    pub(crate) strangers: Option<u64>,
}

/// The snapshot repository.
#[derive(Debug, Clone)]
pub(crate) struct Backups {
    pub(crate) name: String,
    /// Nodes that reach it; none where it is not registered, or was not asked because a snapshot runs.
    pub(crate) nodes: Option<Vec<String>>,
    pub(crate) running: Vec<Snapshot>,
}

/// Everything that checks and plan look at.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) names: Names,
    /// Prefixes of other sites inside ours, as the operator declared them.
    pub(crate) neighbours: Vec<String>,
    /// `all` or `fixed`.
    pub(crate) checksums_of_all: bool,
    /// How long nothing may be written before Optimize counts as stopped.
    pub(crate) quiet_ms: u64,
    /// What the operator wants of the database's own version.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) identities: Vec<Identity>,
    /// Why not every node could be asked.
    pub(crate) unasked: Option<String>,
    pub(crate) health: Health,
    pub(crate) nodes: Vec<Node>,
    /// Cluster settings that hold: transient over persistent over defaults.
    pub(crate) settings: BTreeMap<String, String>,
    /// Every index of the cluster; none where there are more than a list may hold.
    pub(crate) everything: Option<Vec<Index>>,
    /// Ours, without those of neighbours.
    pub(crate) indices: Vec<Index>,
    pub(crate) shards: Vec<Shard>,
    pub(crate) aliases: Vec<Alias>,
    /// Aliases with other names on our indices; none where the cluster has more aliases than a list may hold.
    pub(crate) foreign_aliases: Option<Vec<Alias>>,
    /// Aliases that Optimize takes for its own by mistake: `decision-instance-*` without a prefix.
    pub(crate) stray_aliases: Vec<Alias>,
    pub(crate) legacy_templates: Vec<Template>,
    pub(crate) composable_templates: Vec<Template>,
    pub(crate) metadata: Metadata,
    /// Indices that bear the name of an archive, and what they are.
    pub(crate) archives: BTreeMap<String, Archive>,
    /// Copies that somebody began, by the new version's name.
    pub(crate) begun: BTreeMap<String, Begun>,
    /// Entries of the vendor's update log, by id.
    pub(crate) log: BTreeMap<String, LogEntry>,
    /// Documents of doomed indices and of the license index, after a refresh.
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) backups: Option<Backups>,
    pub(crate) service: Option<Status>,
    /// Configuration files that are there, where their directory is bound.
    pub(crate) config: Option<Vec<String>>,
}

impl Seen {
    /// Reads all of it.
    pub(crate) fn gather(site: &Site) -> Result<Self> {
        let names = Names::new(&site.option("prefix")?);
        let neighbours = list(&site.option("neighbours")?);
        let database = Cluster::open(site, DATABASE)?;
        let (identities, unasked) = match database.identities() {
            Ok(identities) => (identities, None),
            Err(error) => (vec![database.identity()?], Some(error.text())),
        };
        let everything = match database.indices("*") {
            Ok(indices) => Some(indices),
            Err(Error::Invalid(_)) => None,
            Err(error) => return Err(error),
        };
        let inside = match &everything {
            Some(indices) => {
                let front = names.alias("");
                indices
                    .iter()
                    .filter(|index| index.name.starts_with(&front))
                    .cloned()
                    .collect()
            }
            None => database.indices(&names.all())?,
        };
        let ours = |name: &str| !is_of(&neighbours, name);
        let indices: Vec<Index> = inside
            .into_iter()
            .filter(|index| ours(&index.name))
            .collect();
        let has = |name: &str| indices.iter().any(|index| index.name == name);
        let metadata = read_metadata(&database, &names, has(&names.metadata()))?;
        let log = if has(&names.update_log()) {
            read_log(&database, &names)?
        } else {
            BTreeMap::new()
        };
        let mut counts = BTreeMap::new();
        let steps: Vec<VendorStep> = HOPS
            .iter()
            .flat_map(|hop| hop.kinds)
            .filter_map(VendorStep::one)
            .collect();
        for index in &indices {
            let is_counted = || {
                let name = &index.name;
                steps.iter().any(|step| step.names_index(&names, name))
                    || names.kind(name) == Kind::Other("license")
            };
            if index.open
                && is_counted()
                && let Some(count) = database.count(&index.name, None).found()?
            {
                counts.insert(index.name.clone(), count);
            }
        }
        Ok(Self {
            identities,
            unasked,
            health: database.health()?,
            nodes: database.nodes()?,
            settings: read_settings(&database)?,
            shards: database
                .shards(&names.all())?
                .into_iter()
                .filter(|shard| ours(&shard.index))
                .collect(),
            aliases: database
                .aliases(&names.all())?
                .into_iter()
                .filter(|alias| ours(&alias.name) && ours(&alias.index))
                .collect(),
            foreign_aliases: read_foreign_aliases(&database, &names, &indices)?,
            stray_aliases: database.aliases("decision-instance-*")?,
            legacy_templates: database
                .templates(TemplateKind::Legacy, &names.all())?
                .into_iter()
                .filter(|template| ours(&template.name))
                .collect(),
            composable_templates: database
                .templates(TemplateKind::Composable, "*")
                .supported()?
                .unwrap_or_default(),
            metadata,
            archives: archives::read(&database, &names, &indices)?,
            begun: read_begun(&database, &names, &indices)?,
            log,
            counts,
            tasks: database.tasks(&["*reindex".to_owned(), "*byquery".to_owned()])?,
            backups: read_backups(site)?,
            service: if site.has(OPTIMIZE) {
                Some(Service::open(site, OPTIMIZE)?.status()?)
            } else {
                None
            },
            config: read_config(site)?,
            checksums_of_all: site.option("checksums")? == "all",
            quiet_ms: seconds("quiet-seconds", &site.option("quiet-seconds")?)?,
            wanted: Wanted::of(site)?,
            everything,
            indices,
            neighbours,
            names,
        })
    }

    /// Indices of declared neighbours.
    pub(crate) fn indices_of_neighbours(&self, site: &Site) -> Result<Vec<Index>> {
        let mut indices = Vec::new();
        if !self.neighbours.is_empty() {
            let database = Cluster::open(site, DATABASE)?;
            for neighbour in &self.neighbours {
                indices.extend(database.indices(&format!("{neighbour}-*"))?);
            }
        }
        Ok(indices)
    }

    /// The schema version that stands in the metadata.
    pub(crate) fn version(&self) -> Option<&Version> {
        match &self.metadata {
            Metadata::Found { version, .. } => Some(version),
            _ => None,
        }
    }

    /// Which product the database is.
    pub(crate) fn distribution(&self) -> Option<Distribution> {
        self.identities.first().map(|it| it.distribution)
    }

    /// Versions of all nodes of the database, by the node's own word where it could be asked.
    pub(crate) fn versions(&self) -> BTreeMap<&str, &str> {
        self.rolling().versions()
    }

    /// What the nodes are upgraded by, with the shards of this site alone.
    pub(crate) fn rolling(&self) -> View<'_> {
        View {
            identities: &self.identities,
            nodes: &self.nodes,
            shards: &self.shards,
            settings: &self.settings,
        }
    }

    /// For one name; [`ByName`](crate::by_name::ByName) is for many.
    pub(crate) fn index(&self, name: &str) -> Option<&Index> {
        self.indices.iter().find(|index| index.name == name)
    }

    /// Bytes of all primaries of the site: what a trial restore takes.
    pub(crate) fn primary_bytes(&self) -> u64 {
        self.indices.iter().map(|index| index.primary_bytes).sum()
    }

    /// Nodes that hold shards.
    pub(crate) fn data_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| {
            node.roles
                .iter()
                .any(|role| role == "data" || role.starts_with("data_"))
        })
    }
}

/// Seconds as milliseconds; a day at most.
pub(crate) fn seconds(option: &str, text: &str) -> Result<u64> {
    const SECONDS_MAX: u64 = 86_400;
    match text.parse::<u64>() {
        Ok(seconds) if seconds <= SECONDS_MAX => Ok(seconds * 1_000),
        _ => Err(Error::Invalid(format!(
            "the option `{option}` is `{}`, at most {SECONDS_MAX} are taken",
            text.escape_debug()
        ))),
    }
}

/// The parts of a list with commas.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

/// Is this name one of these sites'?
pub(crate) fn is_of(prefixes: &[String], name: &str) -> bool {
    prefixes.iter().any(|prefix| {
        name.strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.starts_with('-'))
    })
}

fn read_metadata(database: &Cluster, names: &Names, exists: bool) -> Result<Metadata> {
    if !exists {
        return Ok(Metadata::NoIndex);
    }
    let Some(document) = database.get(&names.metadata(), METADATA_ID).found()? else {
        return Ok(Metadata::NoDocument);
    };
    Ok(parse_metadata(&document.source))
}

/// The schema version's document, from its source.
pub(crate) fn parse_metadata(source: &str) -> Metadata {
    let Ok(source) = serde_json_value(source) else {
        return Metadata::Unreadable(source.to_owned());
    };
    match source["schemaVersion"].as_str().map(str::parse) {
        Some(Ok(version)) => Metadata::Found {
            version,
            installation: source["installationId"].as_str().map(ToOwned::to_owned),
            source,
        },
        _ => Metadata::Unreadable(source.to_string()),
    }
}

fn serde_json_value(text: &str) -> Result<Value> {
    Ok(liftlock_sdk::serde_json::from_str(text)?)
}

/// Entries of one page of the update log.
const LOG_PAGE: u32 = 1_000;

fn log_order() -> Value {
    let by = |field: &str| json!({ field: { "order": "asc", "unmapped_type": "keyword" } });
    json!([by("optimizeVersion"), by("stepType"), by("indexName")])
}

/// After a refresh, so that an entry that no search sees yet is found too.
fn read_log(database: &Cluster, names: &Names) -> Result<BTreeMap<String, LogEntry>> {
    // A count refreshes the index first.
    database.count(&names.update_log(), None)?;
    let mut log = BTreeMap::new();
    let mut after = None;
    loop {
        let page = database.search(&Search {
            indices: vec![names.update_log()],
            query: json!({ "match_all": {} }).to_string(),
            // What the vendor makes the id of.
            sort: Some(log_order().to_string()),
            size: LOG_PAGE,
            after,
        })?;
        let mut last = None;
        for document in &page {
            let source = document.json()?;
            let applied = match &source["appliedDate"] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            let id = document.id.clone();
            log.insert(id.clone(), LogEntry { id, applied });
            last = Some(json!([
                source["optimizeVersion"],
                source["stepType"],
                source["indexName"]
            ]));
        }
        if page.len() < LOG_PAGE as usize {
            return Ok(log);
        }
        after = last.map(|last| last.to_string());
    }
}

fn read_foreign_aliases(
    database: &Cluster,
    names: &Names,
    indices: &[Index],
) -> Result<Option<Vec<Alias>>> {
    let all = match database.aliases("*") {
        Ok(all) => all,
        Err(Error::Invalid(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let front = names.alias("");
    let ours = map_of(indices);
    let foreign = all
        .into_iter()
        .filter(|alias| !alias.name.starts_with(&front) && ours.contains_key(alias.index.as_str()));
    Ok(Some(foreign.collect()))
}

/// Most documents of a copy that are compared with their source while planning: one page of a search. More
/// would need a scroll, which plugins have not.
const COMPARED_MAX: u32 = 1_000;

/// Versions of one index that an update leads from and to, where both are there.
fn read_begun(
    database: &Cluster,
    names: &Names,
    indices: &[Index],
) -> Result<BTreeMap<String, Begun>> {
    let mut begun = BTreeMap::new();
    let by_name = map_of(indices);
    for target in indices.iter().filter(|index| index.open) {
        let source = names
            .before(&target.name)
            .and_then(|source| by_name.get(source.as_str()).copied())
            .filter(|source| source.open);
        let Some(source) = source else {
            continue;
        };
        let is_made = HOPS
            .iter()
            .flat_map(|hop| hop.kinds)
            .any(|kind| kind.makes(names, &target.name));
        if !is_made {
            continue;
        }
        let count = |index: &str, query: Option<&str>| database.count(index, query);
        let mut halves = Begun {
            source: count(&source.name, None)?,
            target: count(&target.name, None)?,
            strangers: None,
        };
        if halves.target <= u64::from(COMPARED_MAX) {
            let page = database.search(&Search {
                indices: vec![target.name.clone()],
                query: json!({ "match_all": {} }).to_string(),
                sort: None,
                size: COMPARED_MAX,
                after: None,
            });
            // Large documents go over the bound of an answer sooner than small ones.
            if !matches!(page, Err(Error::Invalid(_))) {
                let page = page?;
                let ids: Vec<&str> = page.iter().map(|document| document.id.as_str()).collect();
                let known = json!({ "ids": { "values": ids } }).to_string();
                let known = count(&source.name, Some(&known))?;
                halves.strangers = Some((ids.len() as u64).saturating_sub(known));
            }
        }
        begun.insert(target.name.clone(), halves);
    }
    Ok(begun)
}

fn read_settings(database: &Cluster) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    for scope in [
        SettingScope::Defaults,
        SettingScope::Persistent,
        SettingScope::Transient,
    ] {
        if let Value::Object(members) = serde_json_value(&database.cluster_settings(scope)?)? {
            for (key, value) in members {
                if key.starts_with("cluster.blocks.")
                    || key.starts_with("cluster.routing.allocation.")
                {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), ToOwned::to_owned);
                    settings.insert(key, text);
                }
            }
        }
    }
    Ok(settings)
}

fn read_backups(site: &Site) -> Result<Option<Backups>> {
    if !site.has(BACKUPS) {
        return Ok(None);
    }
    let repository = Repository::open(site, BACKUPS)?;
    let running = repository.running()?;
    // The servers check a repository with the threads that take snapshots: it would wait for the running one.
    let nodes = if running.is_empty() {
        repository.verified().found()?
    } else {
        None
    };
    Ok(Some(Backups {
        name: repository.name(),
        nodes,
        running,
    }))
}

fn read_config(site: &Site) -> Result<Option<Vec<String>>> {
    if !site.has(CONFIG) {
        return Ok(None);
    }
    let directory = Directory::open(site, CONFIG)?;
    let mut files = Vec::new();
    for name in CONFIG_FILES {
        if directory.sha256(name).found()?.is_some() {
            files.push((*name).to_owned());
        }
    }
    Ok(Some(files))
}

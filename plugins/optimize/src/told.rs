//! What the configuration says that the vendor's upgrader will read: which prefix, and which database.
//!
//! With another prefix its tool makes an empty schema beside the real one and ends well; the read-back finds that
//! out after the run. Here it is found before. What the file writes out counts: it stands over the variables of the
//! environment, which come in by `${...}` in the vendor's own defaults, and which a plugin does not see.

use liftlock_sdk::prelude::*;

use crate::check::some;
use crate::descriptor::{CONFIG, CONFIG_FILES};
use crate::seen::Seen;
use crate::shipped::{CONFIG_DIR, DISTRIBUTION, Shipped};

/// What a read takes at most; such a file has a few kilobytes.
const READ_MAX: u32 = 1 << 20;

/// What the vendor's tool takes where nothing is said.
const PREFIX_DEFAULT: &str = "optimize";

/// The part of a configuration that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The file, for people.
    file: String,
    /// Path with dots, and value, in the order of the file. Members of lists have the list's path.
    values: Vec<(String, String)>,
}

impl Told {
    /// Reads the file that the tool will find in its distribution: the one that lies there, else the old
    /// installation's, which the plan carries there.
    pub(crate) fn gather(site: &Site, shipped: Option<&Shipped>) -> Result<Option<Self>> {
        let name = CONFIG_FILES[0];
        if shipped.is_some_and(|shipped| shipped.hash_of(name).is_some()) {
            let top = Directory::open(site, DISTRIBUTION)?;
            let text = top.open_directory(CONFIG_DIR)?.read(name, 0, READ_MAX)?;
            return Ok(Some(Self::of(
                format!("{DISTRIBUTION}/{CONFIG_DIR}/{name}"),
                &text,
            )));
        }
        if !site.has(CONFIG) {
            return Ok(None);
        }
        let text = Directory::open(site, CONFIG)?
            .read(name, 0, READ_MAX)
            .found()?;
        Ok(text.map(|text| Self::of(format!("{CONFIG}/{name}"), &text)))
    }

    fn of(file: String, text: &[u8]) -> Self {
        Self {
            file,
            values: values(&String::from_utf8_lossy(text)),
        }
    }

    /// What is written out at that path; none where nothing is, or where a variable stands.
    fn all<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.values
            .iter()
            .filter(move |(at, value)| at == path && !value.contains("${"))
            .map(|(_, value)| value.as_str())
    }
}

/// Values of a YAML file in block style by their paths. What is written otherwise is not understood and left out.
fn values(text: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start_matches([' ', '-']);
        let indent = line.len() - bare.len();
        let bare = bare.trim_end();
        let Some((key, value)) = bare
            .strip_suffix(':')
            .map(|key| (key, ""))
            .or_else(|| bare.split_once(": "))
            .filter(|(key, _)| !key.starts_with('#'))
        else {
            continue;
        };
        above.retain(|(at, _)| *at < indent);
        let value = unquoted(value.trim());
        if value.is_empty() {
            above.push((indent, key));
            continue;
        }
        let mut path: Vec<&str> = above.iter().map(|(_, key)| *key).collect();
        path.push(key);
        values.push((path.join("."), value.to_owned()));
    }
    values
}

/// Without quotes, and without the comment behind it.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().unwrap_or_default();
        }
    }
    if value.starts_with('#') {
        return "";
    }
    value.split(" #").next().unwrap_or_default().trim_end()
}

/// What speaks against letting the tool run with it.
pub(crate) fn check(seen: &Seen, told: Option<&Told>, found: &mut Vec<Finding>) {
    let none = Told::default();
    let file = told.map_or(CONFIG_FILES[0], |told| told.file.as_str());
    let told = told.unwrap_or(&none);
    let is_opensearch = seen
        .identities
        .first()
        .is_some_and(|identity| identity.distribution == Distribution::Opensearch);
    let section = if is_opensearch { "opensearch" } else { "es" };
    let ours = seen.names.prefix();
    let at = format!("{section}.settings.index.prefix");
    // The last of several counts, as in YAML.
    match told.all(&at).last() {
        Some(other) if other != ours => found.push(
            Finding::blocker("optimize.config-of-another-prefix")
                .subject(file)
                .what(format!("it says `{at}: {other}`, and this site's prefix is `{ours}`"))
                .why(
                    "the vendor's tool takes what it finds there for a new installation, makes an empty schema beside \
                     the real one and ends with success",
                )
                .remedy(format!("write `{at}: {ours}` there")),
        ),
        None if ours != PREFIX_DEFAULT => found.push(
            Finding::warning("optimize.config-without-prefix")
                .subject(file)
                .what(format!("it does not write `{at}` out, and this site's prefix is `{ours}`"))
                .why(format!(
                    "unless a variable of the task says otherwise the vendor's tool takes `{PREFIX_DEFAULT}`, makes an \
                     empty schema beside the real one and ends with success; the read-back finds it out afterwards"
                ))
                .remedy(format!("write `{at}: {ours}` there, or make sure of the task's environment")),
        ),
        _ => {}
    }
    address(seen, file, told, section, found);
}

fn address(seen: &Seen, file: &str, told: &Told, section: &str, found: &mut Vec<Finding>) {
    let [host, port] = ["host", "httpPort"].map(|key| format!("{section}.connection.nodes.{key}"));
    let hosts: Vec<&str> = told.all(&host).collect();
    let ports: Vec<&str> = told.all(&port).collect();
    let published: Vec<&str> = seen
        .nodes
        .iter()
        .map(|node| node.address.as_str())
        .collect();
    // A node publishes an address; a person may write a name for it. The port is the same, unless something stands
    // between, so that both differ where it is another cluster.
    let known = |host: &str| {
        let is_local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "::1" | "[::1]");
        seen.nodes.iter().any(|node| {
            let front = node.address.rsplit_once(':').map_or("", |(front, _)| front);
            node.name == host || front == host || is_local(front) && is_local(host)
        })
    };
    let same_port = |port: &&str| {
        published
            .iter()
            .any(|at| at.rsplit_once(':').is_some_and(|(_, known)| known == *port))
    };
    let is_elsewhere = if ports.is_empty() {
        !hosts.is_empty() && !hosts.iter().any(|host| known(host))
    } else {
        !ports.iter().any(same_port)
    };
    if is_elsewhere && !published.iter().all(|at| at.is_empty()) {
        let named: Vec<String> = hosts
            .iter()
            .map(|host| format!("host {host}"))
            .chain(ports.iter().map(|port| format!("port {port}")))
            .collect();
        found.push(
            Finding::warning("optimize.config-of-another-database")
                .subject(file)
                .what(format!(
                    "under `{section}.connection.nodes` it names {}, and the nodes of the bound database publish {}",
                    some(&named),
                    some(&published)
                ))
                .why("the vendor's tool would work on the database that the file names, and end well")
                .remedy("write the bound database there; nothing to do where the two are the same by another way"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::site;

    const FILE: &str = "---\n# es: x\nes:\n  connection:\n    nodes:\n    - host: \"db.example\" # the first\n      httpPort: 9200\n  settings:\n    index:\n      # prefix: old\n      prefix: acme\nzeebe:\n  name: zeebe-record\n";

    fn ids(text: &str, change: impl FnOnce(&mut Seen)) -> Vec<String> {
        let mut seen = site("8.7.0");
        seen.identities[0].distribution = Distribution::Elasticsearch;
        seen.nodes[0].address = "127.0.0.1:9200".into();
        change(&mut seen);
        let mut found = Vec::new();
        check(
            &seen,
            Some(&Told::of("f".into(), text.as_bytes())),
            &mut found,
        );
        found.into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn values_of_a_file_have_their_paths() {
        let pair = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        assert_eq!(
            values(FILE),
            [
                pair("es.connection.nodes.host", "db.example"),
                pair("es.connection.nodes.httpPort", "9200"),
                pair("es.settings.index.prefix", "acme"),
                pair("zeebe.name", "zeebe-record"),
            ]
        );
        assert_eq!(
            values("es: {settings: 1}\nx\n"),
            [pair("es", "{settings: 1}")]
        );
    }

    #[test]
    fn a_file_with_another_prefix_is_found_before_the_tool_runs() {
        assert_eq!(ids(FILE, |_| {}), ["optimize.config-of-another-prefix"]);
        assert_eq!(ids(&FILE.replace("acme", "'optimize'"), |_| {}), [""; 0]);
        assert_eq!(
            ids(&FILE.replace("acme", "${PREFIX:acme}"), |_| {}),
            [""; 0]
        );
        assert_eq!(
            ids(FILE, |seen| seen.names = crate::names::Names::new("acme")),
            [""; 0]
        );
        // Of the other kind of database, which this tool does not connect to.
        assert_eq!(
            ids(FILE, |seen| seen.identities[0].distribution =
                Distribution::Opensearch),
            [""; 0]
        );
        assert_eq!(
            ids("", |seen| seen.names = crate::names::Names::new("acme")),
            ["optimize.config-without-prefix"]
        );
        assert_eq!(ids("", |_| {}), [""; 0]);
    }

    #[test]
    fn a_file_that_names_another_database_is_found() {
        let text = FILE.replace("acme", "optimize");
        assert_eq!(
            ids(&text.replace("9200", "9299"), |_| {}),
            ["optimize.config-of-another-database"]
        );
        let without_port = text.replace("      httpPort: 9200\n", "");
        assert_eq!(
            ids(&without_port, |_| {}),
            ["optimize.config-of-another-database"]
        );
        assert_eq!(
            ids(&without_port.replace("db.example", "localhost"), |_| {}),
            [""; 0]
        );
        // The node says nothing of itself.
        assert_eq!(
            ids(&without_port, |seen| seen.nodes[0].address.clear()),
            [""; 0]
        );
    }
}

//! Reads, denied reads, and what the shim of WASI shows.

use crate::host::cluster::{self, Search, TemplateKind};
use crate::host::site::Site;
use crate::host::{
    cluster_changes, disk, disk_changes, endpoint, service, snapshot, snapshot_changes,
};
use crate::{Seen, option, outcome};

const DATABASE: &str = "cluster.database";

pub(crate) fn look(site: &Site, what: &str) -> Option<Seen> {
    Some(match what {
        "look" => all(site),
        "open" => vec![(
            "open".into(),
            outcome(cluster::open(site, &option(site, "binding")).map(|_| "handle")),
        )],
        "nodes" => nodes(site),
        "deny-each" => deny_each(site),
        "forge-names" => forge_names(site),
        "bounds" => bounds(site),
        "site" => vec![
            ("name".into(), site.name()),
            ("now".into(), site.now().to_string()),
            ("bindings".into(), format!("{:?}", site.bindings())),
        ],
        "wasi" => shim(),
        _ => return None,
    })
}

fn all(site: &Site) -> Seen {
    let mut seen = Seen::new();
    let mut add = |name: &str, text: String| seen.push((name.into(), text));
    match cluster::open(site, DATABASE) {
        Ok(on) => {
            add("identity", outcome(on.identity()));
            add("identities", outcome(on.identities()));
            add("health", outcome(on.health()));
            add("nodes", outcome(on.nodes()));
            add("indices", outcome(on.indices("a-*")));
            add("shards", outcome(on.shards("a-*")));
            add("aliases", outcome(on.aliases("a-*")));
            add(
                "templates",
                outcome(on.templates(TemplateKind::Legacy, "a-*")),
            );
            add("mappings", outcome(on.mappings("a-1")));
            add("index-settings", outcome(on.index_settings("a-1")));
            add("count", outcome(on.count("a-1", None)));
            add("search", outcome(on.search(&search(1, "{}"))));
            add("get", outcome(on.get("a-1", "1")));
            add("tasks", outcome(on.tasks(&["*".into()])));
            add(
                "cluster-settings",
                outcome(on.cluster_settings(cluster::Scope::Persistent)),
            );
            add("deprecations", outcome(on.deprecations()));
            add("raw-read", outcome(on.raw_read("/_cat/a", &[], Some("{}"))));
        }
        Err(error) => add("open", outcome::<()>(Err(error))),
    }
    if let Ok(on) = snapshot::open(site, "snapshot.backups") {
        add("repository", on.name());
        add("verified", outcome(on.verified()));
        add("list-all", outcome(on.list_all()));
        add("running", outcome(on.running()));
    }
    if let Ok(on) = disk::open(site, "disk.config") {
        add("entries", outcome(on.entries()));
        add("read", outcome(on.read("a.yaml", 0, 100)));
        add("read-bytes", outcome(on.read_bytes("a.yaml", 0, 100)));
        add("sha256", outcome(on.sha256("a.yaml")));
        add("space", outcome(on.space()));
        add(
            "open-directory",
            outcome(on.open_directory("none").map(|_| "handle")),
        );
        match on.open_directory("sub") {
            Ok(sub) => add("sub", outcome(sub.sha256("b.yaml"))),
            Err(error) => add("sub", outcome::<()>(Err(error))),
        }
    }
    if let Ok(on) = service::open(site, "service.app") {
        add("status", outcome(on.status()));
        add("service-tasks", outcome(on.tasks()));
        add("log-tail", outcome(on.log_tail(10)));
        add("ask", outcome(on.ask("version")));
        add("labels", outcome(on.labels()));
        add("artifact", outcome(on.artifact()));
    }
    if let Ok(on) = endpoint::open(site, "endpoint.api") {
        add("endpoint", outcome(on.get("/a-1", &[])));
    }
    seen
}

/// Each service that the site shows, with what the operator says of it: as a plugin learns its nodes.
fn nodes(site: &Site) -> Seen {
    site.bindings()
        .into_iter()
        .filter(|bound| bound.binding.starts_with("service."))
        .map(|bound| {
            let labels = service::open(site, &bound.binding).and_then(|on| on.labels());
            (bound.binding, outcome(labels))
        })
        .collect()
}

fn search(size: u32, query: &str) -> Search {
    Search {
        indices: vec!["a-1".into()],
        query: query.into(),
        sort: None,
        size,
        after: None,
    }
}

/// What the grant does not cover.
fn deny_each(site: &Site) -> Seen {
    let mut seen = Seen::new();
    let mut add = |name: &str, text: String| seen.push((name.into(), text));
    add(
        "open-other",
        outcome(cluster::open(site, "cluster.other").map(|_| "handle")),
    );
    let Ok(on) = cluster::open(site, DATABASE) else {
        return seen;
    };
    add("read-outside", outcome(on.mappings("b-1")));
    add("read-all", outcome(on.indices("*")));
    add("read-taken-away", outcome(on.mappings("a-secret-1")));
    add("documents", outcome(on.get("b-1", "1")));
    add(
        "raw-outside",
        outcome(on.raw_read("/_security/user", &[], None)),
    );
    let change = cluster_changes::delete_index(&on, "b-1", "u").map(|_| "change");
    add("change-outside", outcome(change));
    let change = cluster_changes::put_mapping(&on, "a-1", "{}").map(|_| "change");
    add("change-verb", outcome(change));
    let condition = cluster_changes::count_is(&on, "b-1", None, 1).map(|_| "condition");
    add("condition-outside", outcome(condition));
    let reading = cluster_changes::read_count(&on, "b-1").map(|_| "reading");
    add("reading-outside", outcome(reading));
    if let Ok(on) = disk::open(site, "disk.config") {
        add("bytes-outside", outcome(on.read_bytes("b.yaml", 0, 1)));
    }
    seen
}

/// Names that mean more than one thing, and JSON that means two.
fn forge_names(site: &Site) -> Seen {
    let mut seen = Seen::new();
    let Ok(on) = cluster::open(site, DATABASE) else {
        return seen;
    };
    for name in [
        "a-*",
        "a-1,b-1",
        "<a-{now/d}>",
        "_all",
        "a-1/../b",
        "-a-1",
        "A-1",
        "a-1\n",
        "",
    ] {
        let change = cluster_changes::delete_index(&on, name, "u").map(|_| "change");
        seen.push((format!("index {name}"), outcome(change)));
    }
    let mut add = |name: &str, text: String| seen.push((name.into(), text));
    let create = |body: &str| cluster_changes::create_index(&on, "a-2", body).map(|_| "change");
    add("json duplicate", outcome(create(r#"{"a":1,"a":2}"#)));
    add("json broken", outcome(create("{")));
    add("json list", outcome(create("[]")));
    add("json deep", outcome(create(&"[".repeat(200))));
    let settings = |text: &str| cluster_changes::put_settings(&on, "a-1", text).map(|_| "change");
    add(
        "settings star",
        outcome(settings(r#"{"index.blocks.*":null}"#)),
    );
    add(
        "settings nested",
        outcome(settings(r#"{"index":{"blocks":1}}"#)),
    );
    let setting = cluster_changes::set_cluster_setting(&on, "cluster.routing.*", None);
    add("cluster setting star", outcome(setting.map(|_| "change")));
    add(
        "task",
        outcome(cluster_changes::cancel_task(&on, "_all").map(|_| "change")),
    );
    add(
        "uuid",
        outcome(cluster_changes::delete_index(&on, "a-1", "*").map(|_| "change")),
    );
    add(
        "aliases none",
        outcome(cluster_changes::update_aliases(&on, &[]).map(|_| "change")),
    );
    if let Ok(on) = disk::open(site, "disk.config") {
        for name in ["..", ".", "sub/b.yaml", "a\0b", "a\\b", ""] {
            add(&format!("file {name}"), outcome(on.sha256(name)));
            let down = on.open_directory(name).map(|_| "handle");
            add(&format!("directory {name}"), outcome(down));
        }
        add(
            "hash",
            outcome(disk_changes::remove(&on, "a.yaml", "ABC").map(|_| "change")),
        );
        add(
            "hunk",
            outcome(disk_changes::edit(&on, "a.yaml", &"0".repeat(64), &[]).map(|_| "c")),
        );
    }
    if let Ok(on) = snapshot::open(site, "snapshot.backups") {
        let take = |indices: &[String]| snapshot_changes::take(&on, "s", indices, &[]).map(|_| "c");
        add("take none", outcome(take(&[])));
        add("take middle star", outcome(take(&["a-*-b".into()])));
        add("take list", outcome(take(&["a-1,b-1".into()])));
    }
    seen
}

/// Arguments over their bound.
fn bounds(site: &Site) -> Seen {
    let mut seen = Seen::new();
    let mut add = |name: &str, text: String| seen.push((name.into(), text));
    if let Ok(on) = cluster::open(site, DATABASE) {
        add("search size", outcome(on.search(&search(1001, "{}"))));
        add("search query", outcome(on.search(&search(1, "{"))));
        add(
            "raw dots",
            outcome(on.raw_read("/_cat/%2e%2e/_security/user", &[], None)),
        );
        add(
            "too many",
            outcome(on.templates(TemplateKind::Component, "a-*")),
        );
    }
    if let Ok(on) = disk::open(site, "disk.config") {
        add("file length", outcome(on.read("a.yaml", 0, (1 << 20) + 1)));
        add(
            "bytes length",
            outcome(on.read_bytes("a.yaml", 0, (1 << 20) + 1)),
        );
    }
    if let Ok(on) = service::open(site, "service.app") {
        add("log lines", outcome(on.log_tail(1001)));
        add("ask", outcome(on.ask("a b")));
    }
    seen
}

/// What is there of a world outside.
fn shim() -> Seen {
    let mut seen = Seen::new();
    let mut add = |name: &str, text: String| seen.push((name.into(), text));
    let variables = std::env::vars().count();
    add("environment", variables.to_string());
    add("arguments", std::env::args().count().to_string());
    add("file", result(std::fs::read("/etc/passwd")));
    add("folder", result(std::fs::read_dir("/").map(|_| ())));
    add("write", result(std::fs::write("/tmp/x", "x")));
    add(
        "connect",
        result(std::net::TcpStream::connect("127.0.0.1:80").map(|_| ())),
    );
    add(
        "listen",
        result(std::net::TcpListener::bind("127.0.0.1:0").map(|_| ())),
    );
    add(
        "datagram",
        result(std::net::UdpSocket::bind("127.0.0.1:0").map(|_| ())),
    );
    let name = std::net::ToSocketAddrs::to_socket_addrs("localhost:80").map(|_| ());
    add("name", result(name));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    add("clock", now.map_or(0, |now| now.as_millis()).to_string());
    add("random", order());
    add(
        "input",
        std::io::read_to_string(std::io::stdin()).unwrap_or_default(),
    );
    seen
}

fn result<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("ok: {value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

/// The order of a hash map, which is seeded with random bytes.
pub(crate) fn order() -> String {
    let map: std::collections::HashMap<u32, ()> = (0..50).map(|n| (n, ())).collect();
    format!("{:?}", map.keys().collect::<Vec<_>>())
}

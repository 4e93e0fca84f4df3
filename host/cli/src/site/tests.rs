//! What a wrong `site.toml` says: file, line, column and what would be right.

use std::path::PathBuf;

use super::*;
use crate::output::Paint;

const GOOD: &str = "\
name = \"prod\"
product-plugin = \"camunda-optimize\"

[options]
prefix = \"acme\"
size = 3
flag = true

[cluster.database]
nodes = [\"https://es1:9200\"]
auth = { basic = { username = \"u\", password = { env = \"ES_PASSWORD\" } } }

[snapshot.backups]
cluster = \"cluster.database\"
repository = \"backups\"

[disk.config]
path = \"conf\"

[service.optimize]
start = [\"bin/start\"]
port = 8090
labels = { pool = \"rest\", endpoint = \"endpoint.n1\" }
artifact = { link = \"current\", versions = \"/opt/versions\" }

[traffic.front]
kind = \"haproxy\"
socket = \"/run/haproxy/admin.sock\"
at-least = 2

[endpoint.n1]
url = \"http://127.0.0.1:8080/engine-rest\"
auth = { bearer = { env = \"TOKEN\" } }

[database.engine]
kind = \"postgresql\"
host = \"127.0.0.1\"
port = 5432
database = \"camunda\"
user = \"camunda\"
password = { env = \"DATABASE_PASSWORD\" }
tls = \"off\"
";

fn parse(text: &str) -> Result<Site, Failure> {
    Site::parse(PathBuf::from("dir/site.toml"), text.to_owned())
}

/// What is said of the good file with one text replaced: line, column and everything shown.
fn said(old: &str, new: &str) -> (usize, usize, String) {
    assert!(GOOD.contains(old), "{old}");
    let failure = parse(&GOOD.replacen(old, new, 1)).unwrap_err();
    assert_eq!(failure.code(), Code::SiteInvalid);
    let place = failure.data().place.unwrap();
    assert_eq!(place.file, "dir/site.toml");
    (place.line, place.column, failure.render(Paint::plain()))
}

#[test]
fn a_site_reads_as_it_is_written() {
    let site = parse(GOOD).unwrap();
    assert_eq!(
        (site.name.as_str(), site.plugin.as_str(), site.approvals),
        ("prod", "camunda-optimize", 1)
    );
    let options: Vec<&str> = site.options.values().map(String::as_str).collect();
    assert_eq!(options, ["true", "acme", "3"]);
    let names: Vec<&str> = site.names().map(Binding::as_str).collect();
    assert_eq!(
        names,
        [
            "cluster.database",
            "snapshot.backups",
            "disk.config",
            "service.optimize",
            "traffic.front",
            "endpoint.n1",
            "database.engine"
        ]
    );
    assert_eq!(site.dir(), Path::new("dir"));
}

#[test]
fn an_unknown_key_is_marked_and_the_one_that_was_meant_is_named() {
    let (line, column, text) = said("product-plugin =", "product-plugins =");
    assert_eq!((line, column), (2, 1));
    assert!(text.contains("did you mean `product-plugin`?"), "{text}");
    assert!(
        text.contains("2 | product-plugins = \"camunda-optimize\""),
        "{text}"
    );
    assert!(text.contains("  | ^^^^^^^^^^^^^^^"), "{text}");
}

#[test]
fn an_unknown_key_inside_a_binding_has_its_own_line() {
    let (line, column, text) = said("nodes = [", "node = [");
    assert_eq!((line, column), (10, 1));
    assert!(text.contains("did you mean `nodes`?"), "{text}");
}

#[test]
fn a_value_of_the_wrong_kind_says_which_is_right() {
    let (line, _, text) = said("port = 8090", "port = \"8090\"");
    assert_eq!(line, 22);
    assert!(text.contains("u16"), "{text}");
    let (line, column, text) = said("size = 3", "size = [3]");
    assert_eq!((line, column), (6, 8));
    assert!(
        text.contains("an option is a text, a whole number, `true` or `false`"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let (line, _, _) = said("prefix = \"acme\"", "prefix = acme\"");
    assert_eq!(line, 5);
}

#[test]
fn a_repository_must_be_of_a_cluster_of_the_file() {
    let (line, column, text) = said(
        "cluster = \"cluster.database\"",
        "cluster = \"cluster.databse\"",
    );
    assert_eq!((line, column), (14, 11));
    assert!(
        text.contains("it must name a cluster of this file: cluster.database"),
        "{text}"
    );
}

#[test]
fn a_balancer_says_which_key_is_wrong_and_what_would_be_right() {
    let socket = "socket = \"/run/haproxy/admin.sock\"";
    let (line, column, text) = said(socket, "address = \"9999\"");
    assert_eq!((line, column), (28, 11));
    assert!(
        text.contains("`traffic.front.address` in `dir/site.toml`: `9999` is no `host:port`"),
        "{text}"
    );
    let (line, _, text) = said("at-least = 2", "at-least = 0");
    assert_eq!(line, 29);
    assert!(text.contains("it must be 1 to 1000"), "{text}");
    // Where nothing is written, the eye is led to the binding.
    let (line, _, text) = said(socket, "");
    assert_eq!(line, 26);
    assert!(text.contains("`traffic.front.socket`"), "{text}");
    let (line, _, text) = said("kind = \"haproxy\"", "kind = \"nginx\"");
    assert_eq!(line, 28);
    assert!(text.contains("it is a key of kind `haproxy`"), "{text}");
    let (line, _, text) = said("kind = \"haproxy\"", "kind = \"apache\"");
    assert_eq!(line, 27);
    assert!(text.contains("expected `haproxy` or `nginx`"), "{text}");
}

#[test]
fn a_name_a_binding_and_approvals_are_checked() {
    assert_eq!(said("\"prod\"", "\"Prod 1\"").0, 1);
    assert_eq!(said("[disk.config]", "[disk.Config_1]").0, 17);
    let (line, column, text) = said("product-plugin", "approvals = 0\nproduct-plugin");
    assert_eq!((line, column), (2, 13));
    assert!(text.contains("1 to 20"), "{text}");
    assert_eq!(parse(GOOD).unwrap().side_by_side, 4);
    for wrong in ["0", "33"] {
        let (line, _, text) = said(
            "product-plugin",
            &format!("side-by-side = {wrong}\nproduct-plugin"),
        );
        assert_eq!(line, 2);
        assert!(text.contains("1 to 32"), "{text}");
    }
    let six = GOOD.replacen("product-plugin", "side-by-side = 6\nproduct-plugin", 1);
    assert_eq!(parse(&six).unwrap().side_by_side, 6);
}

#[test]
fn a_secret_that_stands_where_its_reference_belongs_is_not_shown() {
    for wrong in [
        "\"canary-8d2f\"",
        "canary-8d2f",
        "{ env = canary-8d2f }",
        "[\"canary-8d2f\"]",
    ] {
        let failure = parse(&GOOD.replacen("{ env = \"ES_PASSWORD\" }", wrong, 1)).unwrap_err();
        assert_eq!(failure.data().place.unwrap().line, 11, "{wrong}");
        let shown = failure.render(Paint::plain());
        assert!(
            shown.contains("a secret is written as a reference"),
            "{shown}"
        );
        for shown in [
            shown,
            serde_json::to_string(&failure.data()).unwrap(),
            format!("{failure:?}"),
        ] {
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}

#[test]
fn a_directory_and_a_file_are_both_a_place_of_a_site() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(file_of(dir.path()), dir.path().join("site.toml"));
    assert_eq!(
        file_of(&dir.path().join("new")),
        dir.path().join("new/site.toml")
    );
    assert_eq!(
        file_of(&dir.path().join("x.toml")),
        dir.path().join("x.toml")
    );
    assert_eq!(Site::load(dir.path()).unwrap_err().code(), Code::NoSite);
}

#[test]
fn a_label_that_names_a_binding_names_one_of_the_file() {
    for capability in CAPABILITIES {
        let other = format!("\"{capability}.other\" }}");
        let (line, column, text) = said("\"endpoint.n1\" }", &other);
        assert_eq!((line, column), (23, 38));
        assert!(
            text.contains("it names a binding that this file does not have"),
            "{text}"
        );
    }
    let site = parse(GOOD).unwrap();
    let of_the_file = |name: &Binding| CAPABILITIES.contains(&name.capability());
    assert!(site.names().all(of_the_file));
    // What only looks like one is a text.
    let version = GOOD.replacen("pool = \"rest\"", "pool = \"v7.22\"", 1);
    parse(&version).unwrap();
}

#[test]
fn an_unknown_key_of_an_endpoint_and_of_an_artifact_is_marked() {
    let (line, _, text) = said("url = ", "ulr = ");
    assert_eq!(line, 32);
    assert!(text.contains("did you mean `url`?"), "{text}");
    let (line, _, text) = said("versions = ", "version = ");
    assert_eq!(line, 24);
    assert!(text.contains("did you mean `versions`?"), "{text}");
}

#[test]
fn a_mistake_in_a_database_names_file_field_value_and_what_would_be_right() {
    let good = "name = \"prod\"\nproduct-plugin = \"p\"\n[database.engine]\nkind = \"postgresql\"\n\
                host = \"db1\"\ndatabase = \"camunda\"\nuser = \"camunda\"\npassword = { env = \"P\" }\n";
    let parse = |text: &str| Site::parse("site.toml".into(), text.to_owned());
    let site = parse(good).unwrap();
    assert_eq!(
        site.names().map(Binding::as_str).collect::<Vec<_>>(),
        ["database.engine"]
    );
    for (from, to, says) in [
        (
            "host = \"db1\"",
            "host = \"db1:5432\"\nport = 0",
            "`database.engine.port` in `site.toml`: `0`: it must be 1",
        ),
        ("\"db1\"", "\"postgresql://db1\"", "`database.engine.host`"),
        (
            "kind = \"postgresql\"",
            "kind = \"mariadb\"\nschema = \"x\"",
            "only PostgreSQL has schemas",
        ),
        (
            "kind = \"postgresql\"",
            "kind = \"postgresql\"\nread-ms = 1",
            "`1`: it must be 100 to 600000",
        ),
        ("kind = \"postgresql\"", "kind = \"oracle\"", "site.toml"),
        ("{ env = \"P\" }", "\"canary-4711\"", "site.toml"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good);
        let failure = parse(&text).unwrap_err();
        let shown = format!("{:?}", failure.data());
        assert!(shown.contains(says), "{to}: {shown}");
        assert!(!shown.contains("canary-4711"), "{shown}");
    }
}

/// The good file with a rehearsal of its cluster and its snapshots.
fn with_rehearsal(more: &str) -> String {
    format!(
        "{GOOD}\n[rehearsal.options]\nsize = 4\n\n[rehearsal.cluster.database]\nnodes = [\"http://scratch:9200\"]\n\n{more}"
    )
}

#[test]
fn a_rehearsal_has_its_own_targets_and_the_real_ones_for_the_rest() {
    let text = with_rehearsal(
        "[rehearsal.snapshot.backups]\ncluster = \"cluster.database\"\nrepository = \"scratch\"\n",
    );
    let site = parse(&format!("approvals = 2\n{text}")).unwrap();
    assert_eq!((site.approvals, site.home()), (2, PathBuf::from("dir")));
    let site = site.into_rehearsal().unwrap();
    let binding = |name: &str| Binding::new(name).unwrap();
    let (cluster, snapshot) = (binding("cluster.database"), binding("snapshot.backups"));
    assert_eq!(site.clusters[&cluster].nodes[0], "http://scratch:9200");
    assert_eq!(site.snapshots[&snapshot].repository, "scratch");
    assert_eq!(
        (site.approvals, site.home()),
        (1, PathBuf::from("dir/rehearsals"))
    );
    assert_eq!(site.options["size"], "4");
    assert!(site.is_scratch(&cluster) && site.is_scratch(&snapshot));
    assert!(!site.is_scratch(&binding("service.optimize")));
    let real = site.real.unwrap();
    assert_eq!(real.clusters[&cluster].nodes[0], "https://es1:9200");
    assert!(!real.is_scratch(&cluster));
}

#[test]
fn a_site_without_a_rehearsal_says_how_to_name_one() {
    let failure = parse(GOOD).unwrap().into_rehearsal().unwrap_err();
    assert_eq!(failure.code(), Code::NoRehearsal);
    assert!(failure.data().remedy.contains("[rehearsal.cluster.NAME]"));
}

#[test]
fn a_mistake_in_a_rehearsal_is_told_with_its_place_before_it_is_needed() {
    let wrong = |more: &str| {
        let failure = parse(&with_rehearsal(more)).unwrap_err();
        assert_eq!(failure.code(), Code::SiteInvalid);
        failure.render(Paint::plain())
    };
    let text = wrong("[rehearsal.cluster.other]\nnodes = [\"http://x:9200\"]\n");
    assert!(
        text.contains("`rehearsal.cluster.other`")
            && text.contains("the site has no [cluster.other] that it stands for"),
        "{text}"
    );
    let text = wrong(
        "[rehearsal.database.engine]\nkind = \"postgresql\"\nhost = \"127.0.0.1\"\nport = 0\n",
    );
    assert!(text.contains("[rehearsal.database.engine]"), "{text}");
    let text = wrong("[rehearsal.clusters.database]\n");
    assert!(text.contains("did you mean `cluster`?"), "{text}");
}

#[test]
fn the_command_that_fills_a_rehearsal_has_a_program() {
    let site = |fill: &str| {
        let text = with_rehearsal("").replace(
            "[rehearsal.options]",
            &format!("[rehearsal]\nfill = {fill}\n\n[rehearsal.options]"),
        );
        parse(&text)
    };
    let rehearsal = site("[\"./fill.sh\", \"x\"]").unwrap().into_rehearsal();
    assert_eq!(rehearsal.unwrap().fill.unwrap(), ["./fill.sh", "x"]);
    for bad in ["[]", "[\"\"]"] {
        let text = site(bad).unwrap_err().render(Paint::plain());
        assert!(
            text.contains("`rehearsal.fill`") && text.contains("a program and its arguments"),
            "{text}"
        );
    }
}

#[test]
fn a_repository_of_a_rehearsal_is_one_of_its_own_clusters() {
    let text = format!(
        "{GOOD}\n[rehearsal.snapshot.backups]\ncluster = \"cluster.database\"\nrepository = \"scratch\"\n"
    );
    let text = parse(&text).unwrap_err().render(Paint::plain());
    assert!(
        text.contains("`rehearsal.snapshot.backups.cluster`")
            && text.contains("has no table under [rehearsal], so that it is the real one"),
        "{text}"
    );
}

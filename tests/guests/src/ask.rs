//! Asks one thing of the host, by name, with values that the test chose.
//!
//! `call` is a function of the contract (`cluster-changes.delete-index`, `cluster.get`), `on` the binding. The values
//! are options named as the fields of the host's own record of the call (`name`, `actions.0.index`), so that the test
//! can see that it tried every one. `field` and `try.0`, `try.1`, ... ask again for each of these values.

use crate::host::cluster::{Cluster, Scope, Search, TemplateKind};
use crate::host::cluster_changes::{
    AliasAction, Method, OnRejected, RawRequest, Reindexing, Script, Transforming,
};
use crate::host::database::Database;
use crate::host::database_changes::LockPatience;
use crate::host::disk::Directory;
use crate::host::disk_changes::Hunk;
use crate::host::draft::{Change, Condition, Draft, Phase, Reading};
use crate::host::endpoint::Endpoint;
use crate::host::service::Service;
use crate::host::site::Site;
use crate::host::snapshot::Repository;
use crate::host::traffic::{Administrative, Balancer};
use crate::host::types::Error;
use crate::host::{
    cluster, cluster_changes, database, database_changes, disk, disk_changes, endpoint,
    endpoint_changes, service, service_changes, snapshot, snapshot_changes, traffic,
    traffic_changes,
};
use crate::told;

/// Most values that are tried in one call.
const TRIES_MAX: usize = 10_000;

/// What the test asks for.
struct Asked {
    options: Vec<(String, String)>,
}

impl Asked {
    fn get(&self, name: &str) -> Option<String> {
        let found = self.options.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default()
    }

    fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.get(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_default()
    }

    fn perhaps<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// `name.0`, `name.1`, ...
    fn list(&self, name: &str) -> Vec<String> {
        (0..TRIES_MAX)
            .map_while(|n| self.get(&format!("{name}.{n}")))
            .collect()
    }

    /// `name.0.0` and `name.0.1`, ...
    fn pairs(&self, name: &str) -> Vec<(String, String)> {
        (0..TRIES_MAX)
            .map_while(|n| {
                let key = self.get(&format!("{name}.{n}.0"))?;
                Some((key, self.text(&format!("{name}.{n}.1"))))
            })
            .collect()
    }

    fn kind(&self) -> TemplateKind {
        match self.text("kind").as_str() {
            "component" => TemplateKind::Component,
            "composable" => TemplateKind::Composable,
            _ => TemplateKind::Legacy,
        }
    }

    fn scope(&self) -> Scope {
        match self.text("scope").as_str() {
            "transient" => Scope::Transient,
            "defaults" => Scope::Defaults,
            _ => Scope::Persistent,
        }
    }

    fn script(&self) -> Option<Script> {
        Some(Script {
            lang: self.get("script.lang")?,
            source: self.text("script.source"),
            params: self.get("script.params"),
        })
    }

    fn actions(&self) -> Vec<AliasAction> {
        (0..TRIES_MAX)
            .map_while(|n| {
                let of = |name: &str| format!("actions.{n}.{name}");
                let (index, alias) = (self.get(&of("index"))?, self.text(&of("alias")));
                Some(match self.text(&of("action")).as_str() {
                    "remove" => AliasAction::Remove((index, alias)),
                    _ => AliasAction::Add((index, alias, self.perhaps(&of("write")))),
                })
            })
            .collect()
    }

    fn hunks(&self) -> Vec<Hunk> {
        (0..TRIES_MAX)
            .map_while(|n| {
                Some(Hunk {
                    old: self.get(&format!("hunks.{n}.old"))?,
                    new: self.text(&format!("hunks.{n}.new")),
                })
            })
            .collect()
    }
}

/// What the host gave.
enum Got {
    Change(Change),
    Condition(Condition),
    Reading(Reading),
    Answer(String),
}

type Outcome = Result<Got, Error>;

fn change(made: Result<Change, Error>) -> Outcome {
    made.map(Got::Change)
}

fn condition(made: Result<Condition, Error>) -> Outcome {
    made.map(Got::Condition)
}

fn reading(made: Result<Reading, Error>) -> Outcome {
    made.map(Got::Reading)
}

fn answer<T: std::fmt::Debug>(given: Result<T, Error>) -> Outcome {
    given.map(|value| Got::Answer(format!("{value:?}").chars().take(200).collect()))
}

/// Asks, and tells in the draft's summary what came of it: one line for each value tried.
pub(crate) fn ask(site: &Site, into: &Draft) -> Result<(), Error> {
    let mut asked = Asked {
        options: site
            .options()
            .into_iter()
            .map(|option| (option.name, option.value))
            .collect(),
    };
    let tries = asked.list("try");
    let Some(field) = asked.get("field") else {
        into.summary(&keep(one(site, &asked), into, 0)?);
        return Ok(());
    };
    for (n, value) in tries.into_iter().enumerate() {
        asked.options.retain(|(name, _)| *name != field);
        asked.options.push((field.clone(), value));
        into.summary(&keep(one(site, &asked), into, n)?);
    }
    Ok(())
}

/// Puts what was given into the draft, so that the host has it.
fn keep(outcome: Outcome, into: &Draft, n: usize) -> Result<String, Error> {
    let got = match outcome {
        Ok(got) => got,
        Err(error) => return Ok(told(&error)),
    };
    let step = into.step(&format!("s{n}"), Phase::Contract, "Asked")?;
    match got {
        Got::Change(change) => step.does(change)?,
        Got::Condition(condition) => {
            step.ends_when("asked", condition)?;
            step.hands_over("x")?;
        }
        Got::Reading(reading) => step.captures("asked", &[&reading])?,
        Got::Answer(text) => {
            step.hands_over("x")?;
            return Ok(format!("ok: {text}"));
        }
    }
    Ok("ok".into())
}

fn one(site: &Site, asked: &Asked) -> Outcome {
    let call = asked.text("call");
    let on = asked.text("on");
    match call.split_once('.').unwrap_or_default() {
        ("cluster", what) => read_cluster(&cluster::open(site, &on)?, what, asked),
        ("cluster-changes", what) => change_cluster(&cluster::open(site, &on)?, what, asked),
        ("snapshot", what) => read_snapshot(&snapshot::open(site, &on)?, what),
        ("snapshot-changes", what) => change_snapshot(&snapshot::open(site, &on)?, what, asked),
        ("disk", what) => read_disk(&directory(site, &on, "dir", asked)?, what, asked),
        ("disk-changes", what) => {
            change_disk(site, &directory(site, &on, "dir", asked)?, what, asked)
        }
        ("service", what) => read_service(&service::open(site, &on)?, what, asked),
        ("service-changes", what) => change_service(&service::open(site, &on)?, what, asked),
        ("traffic", what) => read_traffic(&traffic::open(site, &on)?, what, asked),
        ("traffic-changes", what) => change_traffic(&traffic::open(site, &on)?, what, asked),
        ("endpoint", what) => read_endpoint(&endpoint::open(site, &on)?, what, asked),
        ("endpoint-changes", what) => change_endpoint(&endpoint::open(site, &on)?, what, asked),
        ("database", what) => read_database(&database::open(site, &on)?, what, asked),
        ("database-changes", what) => change_database(&database::open(site, &on)?, what, asked),
        _ => unknown(&call),
    }
}

/// A test that asks for what is not here must not look as if the host had refused it.
fn unknown(call: &str) -> Outcome {
    panic!("the guest cannot ask for `{call}`")
}

fn directory(site: &Site, on: &str, names: &str, asked: &Asked) -> Result<Directory, Error> {
    let mut at = disk::open(site, on)?;
    for name in asked.list(names) {
        at = at.open_directory(&name)?;
    }
    Ok(at)
}

fn read_cluster(on: &Cluster, what: &str, asked: &Asked) -> Outcome {
    let index = asked.text("index");
    let pattern = asked.text("pattern");
    match what {
        "identity" => answer(on.identity()),
        "identities" => answer(on.identities()),
        "health" => answer(on.health()),
        "nodes" => answer(on.nodes()),
        "indices" => answer(on.indices(&pattern)),
        "shards" => answer(on.shards(&pattern)),
        "aliases" => answer(on.aliases(&pattern)),
        "templates" => answer(on.templates(asked.kind(), &pattern)),
        "mappings" => answer(on.mappings(&index)),
        "index-settings" => answer(on.index_settings(&index)),
        "count" => answer(on.count(&index, asked.get("query").as_deref())),
        "search" => answer(on.search(&Search {
            indices: asked.list("what.indices"),
            query: asked.text("what.query"),
            sort: asked.get("what.sort"),
            size: asked.number("what.size"),
            after: asked.get("what.after"),
        })),
        "get" => answer(on.get(&index, &asked.text("id"))),
        "tasks" => answer(on.tasks(&asked.list("actions"))),
        "cluster-settings" => answer(on.cluster_settings(Scope::Persistent)),
        "deprecations" => answer(on.deprecations()),
        "raw-read" => answer(on.raw_read(
            &asked.text("path"),
            &asked.pairs("query"),
            asked.get("body").as_deref(),
        )),
        _ => unknown(what),
    }
}

fn change_cluster(on: &Cluster, what: &str, asked: &Asked) -> Outcome {
    let name = asked.text("name");
    let index = asked.text("index");
    let id = asked.text("id");
    let pattern = asked.text("pattern");
    let query = asked.get("query");
    let required = query.clone().unwrap_or_default();
    let script = asked.script();
    match what {
        "create-index" => change(cluster_changes::create_index(
            on,
            &name,
            &asked.text("body"),
        )),
        "delete-index" => change(cluster_changes::delete_index(
            on,
            &name,
            &asked.text("uuid"),
        )),
        "put-template" => change(cluster_changes::put_template(
            on,
            asked.kind(),
            &name,
            &asked.text("body"),
        )),
        "delete-template" => change(cluster_changes::delete_template(on, asked.kind(), &name)),
        "update-aliases" => change(cluster_changes::update_aliases(on, &asked.actions())),
        "put-settings" => change(cluster_changes::put_settings(
            on,
            &index,
            &asked.text("settings"),
        )),
        "put-mapping" => change(cluster_changes::put_mapping(
            on,
            &index,
            &asked.text("mapping"),
        )),
        "reindex" => change(cluster_changes::reindex(
            on,
            &Reindexing {
                source: asked.text("source"),
                destination: asked.text("destination"),
                query,
                script,
                slices: asked.perhaps("slices"),
                requests_per_second: asked.perhaps("requests_per_second"),
            },
        )),
        "transform" => change(cluster_changes::transform(
            on,
            &Transforming {
                source: asked.text("source"),
                destination: asked.text("destination"),
                query,
                name: asked.text("name"),
                on_rejected: match asked.text("on_rejected").as_str() {
                    "stop" => OnRejected::Stop,
                    _ => OnRejected::GoOn,
                },
            },
        )),
        "update-by-query" => {
            let script = script.unwrap_or_else(|| Script {
                lang: String::new(),
                source: String::new(),
                params: None,
            });
            change(cluster_changes::update_by_query(
                on, &index, &required, &script,
            ))
        }
        "delete-by-query" => change(cluster_changes::delete_by_query(on, &index, &required)),
        "create-document" => change(cluster_changes::create_document(
            on,
            &index,
            &id,
            &asked.text("document"),
        )),
        "replace-document" => change(cluster_changes::replace_document(
            on,
            &index,
            &id,
            &asked.text("while_it_contains"),
            &asked.text("document"),
        )),
        "delete-document" => change(cluster_changes::delete_document(
            on,
            &index,
            &id,
            &asked.text("while_it_contains"),
        )),
        "set-cluster-setting" => change(cluster_changes::set_cluster_setting(
            on,
            &asked.text("key"),
            asked.get("value").as_deref(),
        )),
        "cancel-task" => change(cluster_changes::cancel_task(on, &id)),
        "request" => {
            let done_when = cluster_changes::answer_contains(
                on,
                &asked.text("done_when.predicate.path"),
                &asked.pairs("done_when.predicate.query"),
                &asked.text("done_when.predicate.subset"),
            )?;
            let request = RawRequest {
                method: match asked.text("method").as_str() {
                    "DELETE" => Method::Delete,
                    "POST" => Method::Post,
                    _ => Method::Put,
                },
                path: asked.text("path"),
                query: asked.pairs("query"),
                body: asked.get("body"),
                touches: asked.list("touches"),
            };
            change(cluster_changes::request(on, &request, done_when))
        }
        "index-exists" => condition(cluster_changes::index_exists(on, &name)),
        "template-exists" => condition(cluster_changes::template_exists(on, asked.kind(), &name)),
        "healthy" => condition(cluster_changes::healthy(on, &asked.text("at_least"))),
        "count-is" => condition(cluster_changes::count_is(
            on,
            &index,
            query.as_deref(),
            asked.number("count"),
        )),
        "document-contains" => condition(cluster_changes::document_contains(
            on,
            &index,
            &id,
            &asked.text("subset"),
        )),
        "answer-contains" => condition(cluster_changes::answer_contains(
            on,
            &asked.text("path"),
            &asked.pairs("query"),
            &asked.text("subset"),
        )),
        "quiet" => condition(cluster_changes::quiet(on, &asked.list("indices"))),
        "no-task" => condition(cluster_changes::no_task(on, &asked.list("actions"))),
        "read-count" => reading(cluster_changes::read_count(on, &index)),
        "read-checksum" => reading(cluster_changes::read_checksum(on, &index)),
        "read-indices" => reading(cluster_changes::read_indices(on, &pattern)),
        "read-aliases" => reading(cluster_changes::read_aliases(on, &pattern)),
        "read-templates" => reading(cluster_changes::read_templates(on, asked.kind(), &pattern)),
        "read-mappings" => reading(cluster_changes::read_mappings(on, &index)),
        "read-settings" => reading(cluster_changes::read_settings(on, &index)),
        "read-cluster-settings" => reading(cluster_changes::read_cluster_settings(
            on,
            Scope::Persistent,
        )),
        "read-document" => reading(cluster_changes::read_document(on, &index, &id)),
        "set-transient-setting" => change(cluster_changes::set_transient_setting(
            on,
            &asked.text("key"),
            asked.get("value").as_deref(),
        )),
        "put-cluster-settings" => change(cluster_changes::put_cluster_settings(
            on,
            asked.scope(),
            &asked.text("settings"),
        )),
        "flush" => change(cluster_changes::flush(
            on,
            &asked.list("indices"),
            &asked.list("except"),
        )),
        "remove-archived-settings" => change(cluster_changes::remove_archived_settings(
            on,
            &asked.list("keys"),
        )),
        "remove-archived-index-settings" => change(
            cluster_changes::remove_archived_index_settings(on, &index, &asked.list("keys")),
        ),
        _ => unknown(what),
    }
}

fn read_snapshot(on: &Repository, what: &str) -> Outcome {
    match what {
        "name" => answer(Ok(on.name())),
        "verified" => answer(on.verified()),
        "list-all" => answer(on.list_all()),
        "running" => answer(on.running()),
        _ => unknown(what),
    }
}

fn change_snapshot(on: &Repository, what: &str, asked: &Asked) -> Outcome {
    let kind = asked.text("kind");
    let settings = asked.text("settings");
    let taken_by = asked.text("taken_by");
    let name = asked.text("name");
    let indices = asked.list("indices");
    match what {
        "register" => change(snapshot_changes::register(on, &kind, &settings)),
        "unregister" => change(snapshot_changes::unregister(on, &kind, &settings)),
        "take" => change(snapshot_changes::take(
            on,
            &name,
            &indices,
            &asked.list("except"),
        )),
        "prove" => change(snapshot_changes::prove(on, &taken_by)),
        "restore" => change(snapshot_changes::restore(on, &taken_by, &indices)),
        "restore-into" => change(snapshot_changes::restore_into(
            on,
            &taken_by,
            &indices,
            &asked.list("except"),
            asked.perhaps("replicas"),
        )),
        "delete" => change(snapshot_changes::delete(on, &name)),
        "none-running" => condition(snapshot_changes::none_running(on)),
        _ => unknown(what),
    }
}

fn read_disk(on: &Directory, what: &str, asked: &Asked) -> Outcome {
    let name = asked.text("name");
    match what {
        "entries" => answer(on.entries()),
        "open-directory" => answer(on.open_directory(&name).map(|_| "handle")),
        "read" => answer(on.read(&name, asked.number("offset"), asked.number("length"))),
        "read-bytes" => {
            answer(on.read_bytes(&name, asked.number("offset"), asked.number("length")))
        }
        "sha256" => answer(on.sha256(&name)),
        "space" => answer(on.space()),
        _ => unknown(what),
    }
}

fn change_disk(site: &Site, on: &Directory, what: &str, asked: &Asked) -> Outcome {
    let name = asked.text("name");
    let sha256 = asked.text("sha256");
    match what {
        "keep" => change(disk_changes::keep(on, &name)),
        "copy" => {
            let from = directory(site, &asked.text("from"), "from_dir", asked)?;
            change(disk_changes::copy(&from, &name, on, &asked.text("as_name")))
        }
        "write" => change(disk_changes::write(on, &name, &asked.text("text"))),
        "edit" => change(disk_changes::edit(on, &name, &sha256, &asked.hunks())),
        "remove" => change(disk_changes::remove(on, &name, &sha256)),
        "file-has" => condition(disk_changes::file_has(on, &name, &sha256)),
        "free-at-least" => condition(disk_changes::free_at_least(on, asked.number("bytes"))),
        "read-sha256" => reading(disk_changes::read_sha256(on, &name)),
        _ => unknown(what),
    }
}

fn read_service(on: &Service, what: &str, asked: &Asked) -> Outcome {
    match what {
        "status" => answer(on.status()),
        "tasks" => answer(on.tasks()),
        "log-tail" => answer(on.log_tail(asked.number("lines"))),
        "ask" => answer(on.ask(&asked.text("name"))),
        "labels" => answer(on.labels()),
        "artifact" => answer(on.artifact()),
        _ => unknown(what),
    }
}

fn change_service(on: &Service, what: &str, asked: &Asked) -> Outcome {
    match what {
        "stop" => change(service_changes::stop(on)),
        "start" => change(service_changes::start(on)),
        "restart" => change(service_changes::restart(on)),
        "run-task" => change(service_changes::run_task(
            on,
            &asked.text("name"),
            asked.get("rerun_safe").as_deref(),
        )),
        "stopped" => condition(service_changes::stopped(on)),
        "ready" => condition(service_changes::ready(on)),
        "switch-artifact" => change(service_changes::switch_artifact(on, &asked.text("to"))),
        _ => unknown(what),
    }
}

fn read_endpoint(on: &Endpoint, what: &str, asked: &Asked) -> Outcome {
    match what {
        "get" => answer(on.get(&asked.text("path"), &asked.pairs("query"))),
        _ => unknown(what),
    }
}

fn change_endpoint(on: &Endpoint, what: &str, asked: &Asked) -> Outcome {
    let path = asked.text("path");
    let query = asked.pairs("query");
    let answers = |before: &str| {
        let name = |field: &str| format!("{before}{field}");
        endpoint_changes::answers(
            on,
            &asked.text(&name("path")),
            &asked.pairs(&name("query")),
            asked.number(&name("status")),
            &asked.text(&name("subset")),
        )
    };
    match what {
        "request" => {
            let done_when = answers("done_when.predicate.")?;
            let request = endpoint_changes::ApiRequest {
                method: match asked.text("method").as_str() {
                    "DELETE" => endpoint_changes::Method::Delete,
                    "POST" => endpoint_changes::Method::Post,
                    _ => endpoint_changes::Method::Put,
                },
                path,
                query,
                body: asked.get("body"),
            };
            change(endpoint_changes::request(on, &request, done_when))
        }
        "answers" => condition(answers("")),
        "read-answer" => reading(endpoint_changes::read_answer(on, &path, &query)),
        _ => unknown(what),
    }
}

fn read_traffic(on: &Balancer, what: &str, asked: &Asked) -> Outcome {
    match what {
        "servers" => answer(on.servers(&asked.text("backend"))),
        _ => unknown(what),
    }
}

fn change_traffic(on: &Balancer, what: &str, asked: &Asked) -> Outcome {
    let (backend, server) = (asked.text("backend"), asked.text("server"));
    let to = Administrative::Drain;
    match what {
        "set-state" => change(traffic_changes::set_state(on, &backend, &server, to)),
        "set-weight" => change(traffic_changes::set_weight(
            on,
            &backend,
            &server,
            asked.number("weight"),
        )),
        "idle" => condition(traffic_changes::idle(on, &backend, &server)),
        "in-state" => condition(traffic_changes::in_state(on, &backend, &server, to)),
        "serving" => condition(traffic_changes::serving(on, &backend, &server)),
        "serving-at-least" => condition(traffic_changes::serving_at_least(
            on,
            &backend,
            asked.number("count"),
        )),
        "receives" => condition(traffic_changes::receives(on, &backend, &server)),
        "read-servers" => reading(traffic_changes::read_servers(on, &backend)),
        _ => unknown(what),
    }
}

fn read_database(on: &Database, what: &str, asked: &Asked) -> Outcome {
    let pattern = asked.text("pattern");
    match what {
        "identity" => answer(on.identity()),
        "tables" => answer(on.tables(&pattern)),
        "columns" => answer(on.columns(&pattern)),
        "indexes" => answer(on.indexes(&pattern)),
        "constraints" => answer(on.constraints(&pattern)),
        "sessions" => answer(on.sessions()),
        "query" => answer(on.query(&asked.text("query.sql"), &values(asked))),
        _ => unknown(what),
    }
}

fn values(asked: &Asked) -> Vec<Option<String>> {
    asked.list("parameters").into_iter().map(Some).collect()
}

fn change_database(on: &Database, what: &str, asked: &Asked) -> Outcome {
    let waits = LockPatience {
        timeout_ms: asked.perhaps("waits.timeout_ms"),
        attempts: asked.perhaps("waits.attempts"),
    };
    let (table, name) = (asked.text("table"), asked.text("name"));
    let pattern = asked.text("pattern");
    let query = asked.text("query.sql");
    match what {
        "execute" => change(database_changes::execute(
            on,
            &asked.text("statement.sql"),
            waits,
        )),
        "execute-together" => {
            let sql: Vec<String> = (0..TRIES_MAX)
                .map_while(|n| asked.get(&format!("statements.{n}.sql")))
                .collect();
            change(database_changes::execute_together(on, &sql, waits))
        }
        "end-session" => change(database_changes::end_session(
            on,
            asked.number("id"),
            &asked.text("application"),
            &asked.text("started"),
        )),
        "column-exists" => condition(database_changes::column_exists(on, &table, &name)),
        "index-valid" => condition(database_changes::index_valid(on, &table, &name)),
        "query-is" => {
            let row: Vec<Option<String>> = asked.list("expected.0").into_iter().map(Some).collect();
            condition(database_changes::query_is(
                on,
                &query,
                &values(asked),
                &[row],
            ))
        }
        "no-session" => condition(database_changes::no_session(
            on,
            &asked.text("application_prefix"),
        )),
        "read-tables" => reading(database_changes::read_tables(on, &pattern)),
        "read-columns" => reading(database_changes::read_columns(on, &pattern)),
        "read-indexes" => reading(database_changes::read_indexes(on, &pattern)),
        "read-constraints" => reading(database_changes::read_constraints(on, &pattern)),
        "read-query" => reading(database_changes::read_query(on, &query, &values(asked))),
        _ => unknown(what),
    }
}

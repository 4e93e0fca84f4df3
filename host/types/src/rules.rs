//! The host's table: effect class, facts, probe and post-condition of every kind of change.
//!
//! One row per kind (and product where they differ). No plugin writes here: a plan can add conditions, it can
//! never raise certainty. `liftlock explain changes` prints this table; the capability crates implement it and
//! each has a test that no row of its own is missing.

use serde::{Deserialize, Serialize};

use crate::sql::Shape;
use crate::{Change, Verb};

/// How sure the host can be of an effect, and so what may be done after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Same request, same end: it may be repeated.
    Convergent,
    /// The target holds our token: what happened can be looked up.
    Tokened,
    /// Effect and marker are one transaction.
    Transactional,
    /// The effect can be seen, though not whose it is.
    Observable,
    /// Nothing shows what happened: a crash there is a doubt. Shown in red.
    Opaque,
}

impl Class {
    /// A request that was sent and not answered may be sent again when its effect is absent.
    pub fn may_repeat(self) -> bool {
        matches!(
            self,
            Self::Convergent | Self::Tokened | Self::Transactional | Self::Observable
        )
    }
}

/// State that must be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Borrow {
    /// Given back at every end.
    Neutral,
    /// Given back only by a step of the plan, or by a rollback whose validation passed.
    Protective,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The kind.
    pub verb: &'static str,
    /// Where the row holds.
    pub products: &'static str,
    /// How sure we can be.
    pub class: Class,
    /// It takes data away: needs a proved snapshot, dump or kept copy before it, or a waiver.
    pub destructive: bool,
    /// It writes what the old version reads; after it the default at a failure is to freeze.
    pub writes_schema: bool,
    /// What is borrowed.
    pub borrows: Option<Borrow>,
    /// The facts that it rests on, read when planned and again right before it is sent.
    pub rests_on: &'static str,
    /// Where the token goes.
    pub token: &'static str,
    /// What tells `absent`, `in-progress`, `applied`, `partial`, `indeterminate` apart.
    pub probe: &'static str,
    /// What must read true before it counts as done.
    pub post: &'static str,
    /// What the host can undo by itself from the old value it kept; empty: nothing.
    pub automatic_undo: &'static str,
}

const SEARCH: &str = "Elasticsearch 8, OpenSearch 2 and 3";
const SEARCH_ALL: &str = "Elasticsearch 7 to 9, OpenSearch 1 to 3";
const ANY: &str = "all";
const BALANCERS: &str = "HAProxy 2, nginx";
const DATABASES: &str = "PostgreSQL 12+, MariaDB 10.6+, MySQL 8";

const fn row(verb: &'static str, products: &'static str, class: Class) -> Rule {
    Rule {
        verb,
        products,
        class,
        destructive: false,
        writes_schema: false,
        borrows: None,
        rests_on: "",
        token: "",
        probe: "",
        post: "",
        automatic_undo: "",
    }
}

/// All rows, by capability.
pub static RULES: &[Rule] = &[
    Rule {
        writes_schema: true,
        rests_on: "no index or alias has the name",
        token: "an alias `liftlock-<token>` in the body, taken off once the outcome is durable; X-Opaque-Id",
        probe: "index by exact name; ours if it carries the token alias",
        post: "index exists with our token, primaries active, its aliases as asked",
        automatic_undo: "delete the index with the uuid we made, while it is ours",
        ..row("cluster.create-index", SEARCH, Class::Tokened)
    },
    Rule {
        destructive: true,
        writes_schema: true,
        rests_on: "uuid of the index, its aliases",
        token: "X-Opaque-Id",
        probe: "uuid gone = applied, whatever now bears the name; another uuid under the name is a finding, never a target",
        post: "no index has the old uuid",
        ..row("cluster.delete-index", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "body of the template, or that there is none",
        token: "X-Opaque-Id",
        probe: "body read back: new = applied, old = absent, else partial",
        post: "template reads back as asked, server defaults apart",
        automatic_undo: "put the old body back, or delete",
        ..row("cluster.put-template", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "body of the template",
        token: "X-Opaque-Id",
        probe: "gone = applied, old body = absent, another body = indeterminate",
        post: "no template has the name",
        automatic_undo: "put the kept body back",
        ..row("cluster.delete-template", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "uuid and alias set of each index named",
        token: "X-Opaque-Id",
        probe: "alias set read back: new = applied, old = absent, else indeterminate (one call is atomic)",
        post: "alias set as asked",
        automatic_undo: "the reverse list",
        ..row("cluster.update-aliases", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "uuid of the index, the old values",
        token: "X-Opaque-Id",
        probe: "values read back: all new = applied, all old = absent, else partial",
        post: "each key reads back as asked",
        automatic_undo: "put the old values back",
        ..row("cluster.put-settings", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "uuid of the index, hash of its mapping",
        token: "X-Opaque-Id",
        probe: "mapping read back contains what was added = applied, old hash = absent, else partial",
        post: "the mapping contains what was asked",
        ..row("cluster.put-mapping", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "uuids of source and destination; this run made the destination",
        token: "X-Opaque-Id on the server task",
        probe: "a task with our token on any node = in progress; else ids of both sides compared",
        post: "both sides refreshed; each id that the query selects is in the destination; no failures",
        automatic_undo: "none needed: the destination is the run's own, and goes when its creation is undone",
        ..row("cluster.reindex", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        destructive: true,
        rests_on: "uuid of the index",
        token: "X-Opaque-Id on the server task",
        probe: "a task with our token on any node = in progress; no document matches = applied; as many as before = absent; else partial",
        post: "after a refresh no document matches the query",
        ..row("cluster.update-by-query", SEARCH, Class::Observable)
    },
    Rule {
        destructive: true,
        writes_schema: true,
        rests_on: "uuid of the index",
        token: "X-Opaque-Id on the server task",
        probe: "a task with our token on any node = in progress; no document matches = applied; else absent",
        post: "after a refresh no document matches the query",
        ..row("cluster.delete-by-query", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "uuid of the index; no document has the id",
        token: "X-Opaque-Id; op_type=create makes a repeat harmless",
        probe: "document by id: as sent = applied, none = absent, another = indeterminate",
        post: "the document reads back as sent, in real time by id",
        automatic_undo: "delete it while it contains what was sent",
        ..row("cluster.create-document", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "uuid of the index; the document contains what the plan says",
        token: "X-Opaque-Id; if_seq_no and if_primary_term make a repeat harmless",
        probe: "document by id: as sent = applied, same sequence number as before = absent, else indeterminate",
        post: "the document reads back as sent",
        automatic_undo: "the old source, while the document is as sent",
        ..row("cluster.replace-document", SEARCH, Class::Convergent)
    },
    // Not destructive, as a template's deletion is not: the source is kept in the intent, and goes back from there.
    Rule {
        writes_schema: true,
        rests_on: "uuid of the index; the document contains what the plan says",
        token: "X-Opaque-Id; if_seq_no and if_primary_term make a repeat harmless",
        probe: "document by id: gone = applied, same sequence number as before = absent, else indeterminate",
        post: "no document has the id, in real time by id",
        automatic_undo: "make it again from the kept source, where none has its id",
        ..row("cluster.delete-document", SEARCH, Class::Convergent)
    },
    Rule {
        borrows: Some(Borrow::Neutral),
        rests_on: "the old value or that it is unset",
        token: "X-Opaque-Id",
        probe: "value read back: ours = applied, old = absent, else indeterminate",
        post: "the value reads back as asked",
        automatic_undo: "the old value, while ours is set",
        ..row("cluster.set-cluster-setting", SEARCH, Class::Convergent)
    },
    Rule {
        token: "X-Opaque-Id",
        probe: "the task runs = absent, gone = applied",
        post: "no node runs the task",
        ..row("cluster.cancel-task", SEARCH, Class::Convergent)
    },
    Rule {
        writes_schema: true,
        rests_on: "its own post-condition reads false; uuids of the indices that it says it touches",
        token: "X-Opaque-Id, which nothing keeps",
        probe: "its own post-condition: true = applied; false = in progress for a minute after its intent, then indeterminate, and never repeated",
        post: "its own post-condition, read by the host",
        ..row("cluster.raw-change", SEARCH, Class::Opaque)
    },
    Rule {
        rests_on: "the repository's settings, or that there is none",
        token: "X-Opaque-Id",
        probe: "type and settings read back: new = applied, old = absent, else indeterminate",
        post: "registered as asked and verified by every node",
        automatic_undo: "the old settings, or unregister while it is registered as asked",
        ..row("snapshot.register", SEARCH, Class::Convergent)
    },
    Rule {
        rests_on: "the repository's type and settings, as the plan says them",
        token: "X-Opaque-Id",
        probe: "not registered = applied, type and settings as before = absent, else indeterminate",
        post: "no repository has the name; no snapshot in it was touched",
        automatic_undo: "register it again with the kept settings",
        ..row("snapshot.unregister", SEARCH, Class::Convergent)
    },
    Rule {
        token: "run, step and attempt in the name and the metadata",
        probe: "snapshot by its exact name: SUCCESS = applied, IN_PROGRESS = in progress, none = absent, PARTIAL or FAILED = partial",
        post: "SUCCESS, no failed shard, every index of the resolved list in it; templates kept beside it",
        automatic_undo: "none needed: it is kept, and named in the report",
        ..row("snapshot.take", SEARCH, Class::Tokened)
    },
    Rule {
        rests_on: "the snapshot that the step took, by uuid",
        token: "names of the restored copies hold run and step",
        probe: "copies of this run and step present = partial, which are removed before the next attempt; none = absent",
        post: "documents and mappings of every index equal what the snapshot's time had; every copy removed again",
        ..row("snapshot.prove", SEARCH, Class::Tokened)
    },
    Rule {
        writes_schema: true,
        rests_on: "the snapshot that the step took, by uuid; no index, open or closed, has a name it restores",
        token: "X-Opaque-Id",
        probe: "indices with another uuid than before, all primaries started, documents, mappings and creation dates of the inventory = applied; recovering = in progress; none, or only the originals = absent; all else = partial",
        post: "uuids differ from before; all primaries started; documents and mappings as in the inventory taken with the snapshot",
        ..row("snapshot.restore", SEARCH, Class::Observable)
    },
    Rule {
        destructive: true,
        rests_on: "the snapshot's uuid",
        token: "X-Opaque-Id",
        probe: "gone = applied, there = absent",
        post: "no snapshot has the name",
        ..row("snapshot.delete", SEARCH, Class::Convergent)
    },
    Rule {
        rests_on: "hash of the file",
        probe: "kept copy with the hash = applied, else absent",
        post: "the kept copy has the file's hash",
        automatic_undo: "none needed: it is in the state directory, and named in the report",
        ..row("disk.keep", ANY, Class::Convergent)
    },
    Rule {
        rests_on: "hash of the source, that the destination is not there",
        probe: "destination with the source's hash = applied, none = absent, else indeterminate",
        post: "the destination has the source's hash",
        automatic_undo: "remove it while it has our hash",
        ..row("disk.copy", ANY, Class::Convergent)
    },
    Rule {
        rests_on: "the file is not there",
        probe: "our hash = applied, none = absent, else indeterminate",
        post: "the file has our hash",
        automatic_undo: "remove it while it has our hash",
        ..row("disk.write", ANY, Class::Convergent)
    },
    Rule {
        rests_on: "hash of the file",
        probe: "new hash = applied, old hash = absent, else indeterminate",
        post: "the file has the new hash, owner and mode as before",
        automatic_undo: "the kept copy, while the file has our hash",
        ..row("disk.edit", ANY, Class::Convergent)
    },
    Rule {
        destructive: true,
        rests_on: "hash of the file",
        probe: "gone = applied, old hash = absent, else indeterminate",
        post: "the file is gone; the kept copy has its hash",
        automatic_undo: "the kept copy",
        ..row("disk.remove", ANY, Class::Convergent)
    },
    Rule {
        borrows: Some(Borrow::Protective),
        probe: "no process, port closed and health refused = applied; ready = absent; else in progress, later indeterminate",
        post: "no process, port closed, health refused",
        automatic_undo: "start it",
        ..row("service.stop", ANY, Class::Convergent)
    },
    Rule {
        probe: "ready = applied, stopped = absent, starting = in progress",
        post: "ready by its own check",
        automatic_undo: "stop it",
        ..row("service.start", ANY, Class::Convergent)
    },
    Rule {
        rests_on: "process and start time",
        probe: "ready with another start = applied, same start = absent, between = in progress",
        post: "ready, and started after the intent",
        ..row("service.restart", ANY, Class::Observable)
    },
    Rule {
        // What it writes cannot be seen, so it counts as if it did.
        writes_schema: true,
        token: "LIFTLOCK_TOKEN in its environment, and the supervisor's files",
        probe: "supervisor's status file: an exit code of success (site.toml; 0 by default) = applied, other = partial; alive by pid and start time = in progress; gone without status = indeterminate",
        post: "an exit code of success in the supervisor's file; conditions of the plan say the rest",
        ..row("service.run-task", ANY, Class::Opaque)
    },
    Rule {
        borrows: Some(Borrow::Protective),
        rests_on: "backend and server exist; the server's address",
        probe: "state read back: ours = applied, old = absent, else indeterminate; a server with another address = indeterminate",
        post: "the balancer has the server in the state that was asked for",
        automatic_undo: "the old state, while ours is set",
        ..row("traffic.set-state", BALANCERS, Class::Convergent)
    },
    Rule {
        borrows: Some(Borrow::Protective),
        rests_on: "backend and server exist; the server's address",
        probe: "weight read back: ours = applied, old = absent, else indeterminate; a server with another address = indeterminate",
        post: "the balancer has the server at the weight that was asked for",
        automatic_undo: "the old weight, while ours is set",
        ..row("traffic.set-weight", BALANCERS, Class::Convergent)
    },
    Rule {
        rests_on: "the directory that the link names",
        probe: "the link names the new directory = applied, the old one = absent, else indeterminate",
        post: "the link names the directory",
        automatic_undo: "the old directory, while the link names ours",
        ..row("service.switch-artifact", ANY, Class::Convergent)
    },
    // Not of those that write what the old version reads: what a product takes through its own API it keeps as that
    // version has it, and a schema is changed by what changes schemas. Else no node could go back once one instance
    // was started to try it.
    Rule {
        rests_on: "its own post-condition reads false",
        probe: "its own post-condition: true = applied; false = in progress for a minute after its intent, then indeterminate, and never repeated",
        post: "its own post-condition, read by the host",
        ..row("endpoint.request", ANY, Class::Opaque)
    },
    Rule {
        writes_schema: true,
        rests_on: "by what it does: the table's columns; the index or constraint under its name, or that there is none; the table, or that there is none; the row, or that there is none",
        token: "PostgreSQL: the session's application name; MySQL and MariaDB: a comment before the statement",
        probe: "a session with our token = in progress; then the catalog: as the statement makes it = applied, nothing of it = absent, an index of ours that is not valid or some of its columns = partial, else indeterminate",
        post: "read from the catalog: columns with type, null and default; a valid index on its columns in order; constraint; table with its columns; row with its values",
        ..row("database.execute", DATABASES, Class::Observable)
    },
    Rule {
        writes_schema: true,
        rests_on: "what each of its statements rests on",
        token: "a row in `liftlock_marker`, written in the same transaction, taken off once the outcome is durable; the session's application name",
        probe: "a session with our token = in progress; our marker = applied; none: the catalog, as for one statement",
        post: "our marker, and what each of its statements makes, read from the catalog",
        ..row(
            "database.execute-together",
            "PostgreSQL 12+",
            Class::Transactional,
        )
    },
    Rule {
        rests_on: "nothing: the session is meant by its number and its beginning",
        probe: "the same session is there = absent, else applied",
        post: "no session has this number and this beginning",
        ..row("database.end-session", DATABASES, Class::Convergent)
    },
    Rule {
        borrows: Some(Borrow::Neutral),
        rests_on: "the old transient value or that it is unset",
        token: "X-Opaque-Id",
        probe: "transient value read back: ours = applied, old = absent, else indeterminate; a restart of the whole cluster drops it",
        post: "the transient value reads back as asked",
        automatic_undo: "the old transient value, while ours is set",
        ..row(
            "cluster.set-transient-setting",
            SEARCH_ALL,
            Class::Convergent,
        )
    },
    // Convergent: it alters nothing that a client can read, and a second one finds less to write.
    Rule {
        rests_on: "nothing: the patterns are resolved when it is sent",
        token: "X-Opaque-Id",
        probe: "last commit of each started primary against the highest sequence number that it had before: all reach it = applied, else absent",
        post: "the last commit of each started primary holds what it had been given before",
        automatic_undo: "none needed: nothing was altered",
        ..row("cluster.flush", SEARCH_ALL, Class::Convergent)
    },
    // Not destructive: no server that runs reads them, and their values are kept in the intent. No server takes them
    // back either, so a step says that it cannot be undone.
    Rule {
        rests_on: "the keys with their values, in each scope",
        token: "X-Opaque-Id",
        probe: "keys read back: none set = applied, all as before = absent, else partial",
        post: "no scope has any of the keys",
        ..row(
            "cluster.remove-archived-settings",
            SEARCH_ALL,
            Class::Convergent,
        )
    },
    Rule {
        rests_on: "uuid of the index, its archived keys with their values; it has no others",
        token: "X-Opaque-Id",
        probe: "keys read back: none set = applied, all as before = absent, else partial",
        post: "the index has none of the keys",
        ..row(
            "cluster.remove-archived-index-settings",
            SEARCH_ALL,
            Class::Convergent,
        )
    },
    Rule {
        rests_on: "the keys with their values, in this scope",
        token: "X-Opaque-Id",
        probe: "values read back: all new = applied, all old = absent, else partial",
        post: "each key reads back as asked",
        automatic_undo: "put the old values back",
        ..row(
            "cluster.put-cluster-settings",
            SEARCH_ALL,
            Class::Convergent,
        )
    },
    // No schema write: the old version reads another cluster, which this one does not touch.
    Rule {
        rests_on: "the snapshot that the step took, by name and uuid as this repository shows them; the cluster is not older than it; no index, open or closed, has a name of it, but for what an earlier attempt restored",
        token: "X-Opaque-Id; the snapshot's name, which holds run, step and attempt",
        probe: "by name, then by the uuid that the outcome recorded, or before it by creation date and the source of the recovery: all there and their primaries started = applied; recovering = in progress; none = absent; some, not started, or another index under the name = partial",
        post: "every index is there, restored from this snapshot, all primaries started, with the documents, shards, aliases and replicas that were asked for",
        automatic_undo: "delete the indices that it made, by uuid, while nobody has written to one of them",
        ..row("snapshot.restore-into", SEARCH_ALL, Class::Observable)
    },
    // Convergent: what the destination has already is compared and never written over, so a repeat adds what is missing.
    Rule {
        writes_schema: true,
        rests_on: "uuids of source and destination; this run made the destination",
        token: "X-Opaque-Id on each bulk request; the record of the step in the state directory",
        probe: "this process works on it = in progress; no process does, and the record names no end = absent, and a repeat goes on from the record; an end = ids of both sides compared",
        post: "each document that the query selects was taken over or kept aside by name; the destination has as many, and the checksum over ids and sources that was summed up on the way",
        automatic_undo: "none needed: the destination is the run's own, and goes when its creation is undone",
        ..row("cluster.transform", SEARCH_ALL, Class::Convergent)
    },
];

/// The row of a verb, where it is a change.
pub fn rule_of(verb: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.verb == verb)
}

impl Change {
    /// Its row.
    pub fn rule(&self) -> &'static Rule {
        let verb = self.verb();
        // The table has a row for each kind; the test below fails without it.
        rule_of(verb.as_str()).unwrap_or(&RULES[RULES.len() - 1])
    }

    /// Its class: the table's, and for a task the plan may say that a repeat is safe.
    pub fn class(&self) -> Class {
        if self.is_rerun_safe() {
            Class::Convergent
        } else {
            self.rule().class
        }
    }

    /// What a failed attempt of it leaves beside its effect is taken off like that of one that is done: the copies of
    /// a trial restore, what the server keeps of a task (gate, rule 10).
    ///
    /// Not so the marker on a half-made index: it tells whose that index is.
    pub fn is_cleaned_after_failing(&self) -> bool {
        matches!(
            self,
            Self::ProveSnapshot { .. }
                | Self::Reindex { .. }
                | Self::UpdateByQuery { .. }
                | Self::DeleteByQuery { .. }
        )
    }

    /// May an attempt that did only a part of it be followed by another without a person?
    ///
    /// A task of which the plan says so (gate, rule 9), and a copy: it goes only into an index that this run made, and
    /// each document keeps its id, so that the second copy puts down what the first one did once more (rule 2), or where
    /// the plugin changes documents on their way finds it there. So may
    /// an index that PostgreSQL builds beside its writers: an unfinished one of exactly this definition serves nobody,
    /// and is dropped before it is built again. And a restore into a cluster that had none of it: what is there of it stays
    /// as it is, and only what is missing is asked for.
    pub fn may_go_on(&self) -> bool {
        self.is_rerun_safe()
            || matches!(
                self,
                Self::Reindex { .. } | Self::RestoreInto { .. } | Self::Transform { .. }
            )
            || self.builds_beside_writers()
    }

    /// `create index concurrently`: what PostgreSQL leaves unfinished where it fails.
    pub fn builds_beside_writers(&self) -> bool {
        match self {
            Self::Execute { statement, .. } => matches!(
                statement.shape(),
                Shape::CreateIndex {
                    concurrently: true,
                    ..
                }
            ),
            _ => false,
        }
    }

    /// A task of which the plan says that it may be run again after it ended early (gate, rule 9).
    pub fn is_rerun_safe(&self) -> bool {
        matches!(
            self,
            Self::RunTask {
                rerun_safe: Some(_),
                ..
            }
        )
    }
}

/// Verbs that only read.
pub static READ_VERBS: &[(&str, &str)] = &[
    (
        "cluster.observe",
        "identity, health, nodes, tasks, cluster settings, deprecations; no scope",
    ),
    (
        "cluster.read",
        "indices, shards, aliases, templates, mappings, settings, by name",
    ),
    (
        "cluster.count",
        "counts; refreshes the index, the one read with a side effect",
    ),
    ("cluster.read-documents", "documents, by index"),
    (
        "cluster.raw-read",
        "a GET by path, for what the contract lacks; scope is the path",
    ),
    ("snapshot.read", "the repository and its snapshots"),
    (
        "disk.read",
        "entries, content and hashes of files; scope is the path beneath the binding",
    ),
    ("service.read", "state, tasks and log"),
    (
        "service.ask",
        "an operator-defined command that only reads, by name",
    ),
    (
        "traffic.read",
        "servers behind a load balancer, their states and counts; scope is BACKEND/SERVER",
    ),
    (
        "endpoint.read",
        "a GET of a product's own API; scope is the path",
    ),
    (
        "database.observe",
        "identity, sessions, who waits for whom; no scope",
    ),
    (
        "database.read",
        "tables, columns, indexes, constraints; scope is the table",
    ),
    (
        "database.query",
        "one SELECT; scope is every table that it names",
    ),
    (
        "disk.read-bytes",
        "files byte by byte, nothing of them redacted; scope is the path beneath the binding",
    ),
];

/// Is it a verb at all?
pub fn is_verb(text: &str) -> bool {
    rule_of(text).is_some() || READ_VERBS.iter().any(|(verb, _)| *verb == text)
}

/// A verb of ours; the texts are literals of this crate.
pub(crate) fn verb(text: &'static str) -> Verb {
    match Verb::new(text) {
        Ok(verb) => verb,
        Err(error) => unreachable!("a literal of this crate: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_has_its_own_row() {
        // Each variant is written here once, so that a new one without a row fails to compile or fails here.
        let source = include_str!("change.rs");
        let verbs: Vec<&str> = source
            .split("#[serde(rename = \"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|verb| verb.contains('.'))
            .collect();
        assert!(verbs.len() > 25, "{verbs:?}");
        for verb in &verbs {
            assert!(rule_of(verb).is_some(), "no row for {verb}");
            Verb::new(*verb).unwrap();
        }
        assert_eq!(verbs.len(), RULES.len());
    }

    #[test]
    fn every_row_says_how_it_is_probed_and_what_counts_as_done() {
        for rule in RULES {
            assert!(
                !rule.probe.is_empty() && !rule.post.is_empty(),
                "{}",
                rule.verb
            );
        }
    }
}

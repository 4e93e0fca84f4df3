//! What each finding means wherever it is found, its remedy, and where that is known from: for `liftlock explain`.
//!
//! A finding itself says what was seen on this site; these are the pages behind them, one for each id.

use liftlock_sdk::prelude::*;

const GUIDE: &str = "the vendor's guide for rolling upgrades, and the guides of the minor versions";
const MANUAL: &str = "the vendor's manual, of the database's schema and of installations";
const SEEN: &str = "runs of real engines 7.21 to 7.24 on PostgreSQL 15 and MariaDB 10.11, behind HAProxy and nginx";
const READ: &str = "the sources of the engine";
const SERVERS: &str = "tried on PostgreSQL 15, MariaDB 10.11, HAProxy 2.6 and nginx 1.22";
const OURS: &str = "a rule of this plugin";

/// Id without `camunda.`, what it means, remedy, source; sorted by id.
const KNOWN: &[[&str; 4]] = &[
    [
        "alone",
        "A pool has one node. While it is upgraded nothing of the pool serves: that is an upgrade with a downtime, \
         and no rolling one.",
        "add a second node; or set the pool's minimum to 0 if it may be missed for some minutes",
        GUIDE,
    ],
    [
        "already-there",
        "The schema is of the target's version, and so is every node.",
        "nothing to do",
        OURS,
    ],
    [
        "artifact-missing",
        "A node's directory of versions has none of the name that it is to run. It would be stopped for nothing.",
        "put the new version's files there, in a directory that is named like the target: `7.23.0`",
        OURS,
    ],
    [
        "backup-incomplete",
        "Some of what a backup needs is bound, and not all of it: the tasks `dump`, `trial-restore`, `drop-trial` and \
         `restore` of `service.database`, the directory `disk.backup` and the scratch database `database.trial`. A dump \
         that cannot be restored on trial is none.",
        "bind what lacks; or take all of it out of site.toml and set the option `backup` to `none`",
        OURS,
    ],
    [
        "backup-kept",
        "The dump from before the schema changed is kept. With it the site can go back as a whole, which loses all that \
         was written since.",
        "keep the file until the new version is trusted; to go back, set the option `restore` to its SHA-256 and plan to \
         the older version",
        OURS,
    ],
    [
        "backwards",
        "The target is older than what is there. A schema goes back only by a restore; nodes go back by the back-out \
         of the run that upgraded them, and keep the newer schema.",
        "name a newer target; or roll the run back",
        GUIDE,
    ],
    [
        "balancer-forgot",
        "A server's administrative state is not what this run left it in: the balancer was reloaded or restarted, \
         which brings back what its configuration says. A node that is being upgraded may get requests.",
        "ask the balancer for the state again (`set server BACKEND/SERVER state drain`), then resume the run; a state \
         file keeps states over reloads",
        SEEN,
    ],
    [
        "batch-in-the-window",
        "A batch began while two versions run side by side. Its jobs were written by one version and are executed by \
         both.",
        "suspend the batch until the last node is upgraded",
        GUIDE,
    ],
    [
        "batch-running",
        "A batch runs. It would go on through the window, executed by engines of both versions.",
        "wait for its end or suspend it",
        GUIDE,
    ],
    [
        "big-table",
        "A statement of the script reads or rewrites a table with many rows. On PostgreSQL an index keeps every \
         writer of its table waiting for as long as that takes.",
        "rehearse it on a copy; choose a quiet hour; or let PostgreSQL build the index concurrently, which is a \
         deviation from the vendor's script",
        SERVERS,
    ],
    [
        "canary-failed",
        "A process instance could not be started and completed through the node itself. A node that answers queries \
         and calls itself healthy does so on a schema that is too old, too: it fails at its first write.",
        "read the node's log; the node stays out of the balancer until its write goes through",
        SEEN,
    ],
    [
        "columns-without-row",
        "Objects of the next version are there, and the schema log has no row for it. Somebody ran parts of the \
         script by hand, or its first statement was undone.",
        "find out who did it; the run does what lacks, the row too, and skips what is there",
        OURS,
    ],
    [
        "cut-requests",
        "A node was stopped while requests were open: long polls of external task workers may stay for 30 minutes, \
         and one that does not end in time is cut. A worker that is cut asks again.",
        "nothing where only polls were cut; give workers a shorter `asyncResponseTimeout` to cut none",
        SEEN,
    ],
    [
        "database-down",
        "The database does not answer. The engine's own addresses `/engine` and `/version` answer 200 all the same, \
         since neither asks it.",
        "bring the database up; never let a balancer's check rest on `/engine`",
        SEEN,
    ],
    [
        "deadlocks-of-old-engines",
        "On MariaDB and MySQL a few jobs of running engines can fail with a deadlock while a column is added. Their \
         next attempt succeeds.",
        "nothing; clients that never repeat a request may see one error, so choose a quiet hour for them",
        SEEN,
    ],
    [
        "deployed-by-a-node",
        "A node deployed by itself when it started: its application brings models, and those of the new release \
         differ. Engines of the older version may not be able to run them.",
        "let the new release carry the same models, or switch its deployment at the start off until the last node is \
         upgraded",
        GUIDE,
    ],
    [
        "deployed-in-the-window",
        "A deployment came, or one is gone, while two versions run side by side. The vendor forbids it: the newer \
         engine may write what the older one cannot run.",
        "find out who deployed; decide whether the run goes on",
        GUIDE,
    ],
    [
        "disk-not-checked",
        "The script makes an index, and how much room the database's file system has is not known. A statement that runs \
         out of it fails and leaves nothing; a database that cannot write its log any more stops.",
        "look at it by hand; or bind the database's data directory as `disk.data`, where Liftlock runs on its machine",
        SERVERS,
    ],
    [
        "disk-short",
        "The file system of the database has less room than the script's indexes may need: their size, and as much \
         again while their rows are sorted. It is told from the tables' numbers of rows, on the high side.",
        "free space; an index that runs out of it leaves nothing on MariaDB, and an invalid one on PostgreSQL where \
         it was built concurrently",
        SERVERS,
    ],
    [
        "dump-running",
        "A dump of the database runs. On PostgreSQL it holds every table, so that no column can be added; on MariaDB \
         a change of the tables spoils the dump.",
        "wait for its end",
        SERVERS,
    ],
    [
        "executor-off",
        "A node's job executor is off. Its health is down by that alone, and a balancer that goes by it sends no \
         requests.",
        "nothing for a node that is meant to be so; else switch it on",
        SEEN,
    ],
    [
        "extra-objects",
        "The engine's tables hold columns or indexes that are not the vendor's. The engine takes no notice of them; \
         an extension that writes into its tables may not know the newer columns.",
        "know whose they are; ask the extension's author whether it runs on the target",
        "reported by operators: camunda-platform-7-custom-batch#51",
    ],
    [
        "foreign-lock",
        "Somebody holds a lock, or an old transaction, on a table that the script changes. The change would wait for \
         it, and every query behind the change.",
        "wait for it or end that session; the run gives up after some seconds each time and tries again",
        SERVERS,
    ],
    [
        "fork",
        "The schema is of a fork of Camunda: its schema log goes on where Camunda's ends. The same id means another \
         version in each of them.",
        "use the fork's own upgrade",
        READ,
    ],
    [
        "galera",
        "The database is a Galera cluster. By its usual method (`TOI`) a change of a table runs on all its servers at \
         the same time, and every write to the cluster waits until it is done: an index over a large table stops the \
         site for as long as it is built. The engine's row locks have no effect across its servers: nodes that start at \
         the same time can deploy and plan clean-up twice.",
        "choose a quiet hour, after a rehearsal on a copy, and set the option `galera` to `accepted`; point all nodes \
         at one server of the cluster. Nodes start one after the other, which the plan sees to",
        "the manual, of installations on Galera; `wsrep_on` and `TOI` seen on a cluster of one, MariaDB 10.11",
    ],
    [
        "half-a-script",
        "A script began and did not end: its row is in the schema log and part of its objects lack. Run again, the \
         script fails at its first statement.",
        "run the plan: it does what lacks, and skips what is there",
        SERVERS,
    ],
    [
        "history-cleanup-running",
        "The clean-up of the history is in its window: its jobs delete from the tables that get columns and indexes.",
        "wait for the end of the window, or choose another hour",
        READ,
    ],
    [
        "history-level-differs",
        "A node is configured with another history level than the database has. It would not start.",
        "set the level that the database has",
        READ,
    ],
    [
        "history-ttl",
        "Process definitions have no time to live. From 7.20 on a deployment without one is refused, and an \
         application that deploys at its start does not start.",
        "give every model a time to live, or set `enforceHistoryTimeToLive` to false",
        "reported by operators: camunda-bpm-platform#3803",
    ],
    [
        "index-invalid",
        "An index is there and not valid: its concurrent build broke off or goes on. No query uses it, each write \
         pays for it, and `if not exists` passes it by.",
        "wait if it is being built; else drop it (`DROP INDEX NAME`): the plan builds it again",
        SERVERS,
    ],
    [
        "isolation",
        "The database gives sessions another isolation level than read committed. The engine refuses to start on it; \
         MariaDB and MySQL have repeatable read unless told otherwise.",
        "set read committed on the server or in the engine's data source",
        SEEN,
    ],
    [
        "jar-broken",
        "The bound jar is no whole archive, or the script in it does not match its own sum.",
        "copy the vendor's jar again",
        OURS,
    ],
    [
        "java-too-old",
        "A node runs a Java that the target does not: from 7.20 on Spring Boot and Run need 17.",
        "install Java 17 on the node before it is upgraded",
        GUIDE,
    ],
    [
        "jdbc-cached-plans",
        "Engines on PostgreSQL keep prepared statements on the server. After a column was added each of them fails \
         once with `cached plan must not change result type`: some requests are answered with 500, within seconds. 7 \
         of 924 were seen.",
        "add `autosave=conservative` or `prepareThreshold=0` to the JDBC address of every node first; or accept it by \
         the option",
        SEEN,
    ],
    [
        "jobs-locked",
        "Jobs are locked by a node that is down: it ended before it had given them back. They stay so until their locks \
         expire, 5 minutes unless configured; then another node executes them, and what had begun is done a second time. \
         A lock names a random id; whose it is a node tells in `/actuator/health`, where that shows details.",
        "wait for the expiry; never clear locks by hand",
        SEEN,
    ],
    [
        "jobs-stand-still",
        "Jobs wait, and no node takes one although one that runs jobs has just come back. A node that is idle looks for \
         jobs once a minute at the latest.",
        "look whether the job executors are on (`/actuator/health`), and into the nodes' logs; `jobs-seconds` says how \
         long it is waited for, `on-trouble` what follows",
        READ,
    ],
    [
        "last-server",
        "All servers of a backend would be taken at the same time.",
        "make groups smaller, or bring another server up",
        OURS,
    ],
    [
        "last-with-jobs",
        "All nodes that run jobs would be taken at the same time: timers and asynchronous work would stand still.",
        "make groups smaller, or run jobs on one more node",
        GUIDE,
    ],
    [
        "liquibase",
        "Liquibase manages the schema: its own log has change sets of the product. What is changed beside it, its \
         next run does again and fails.",
        "upgrade the schema by Liquibase, then plan again: the nodes are left",
        MANUAL,
    ],
    [
        "liquibase-lock",
        "Liquibase's lock is set. A run of it goes on, or was killed and left it.",
        "wait; if none runs, release it by `liquibase release-locks`",
        "reported by operators: camunda/camunda#48343",
    ],
    [
        "log-contradicts",
        "The schema log contradicts itself: a row without a number, or with the version of another id. What the \
         schema is cannot be told by it.",
        "compare with the vendor's table of ids, and correct the row",
        OURS,
    ],
    [
        "mariadb-given-up",
        "From 7.23 on the product does not support MariaDB: it does not recognise it, and there are no scripts of its \
         own. With the database type `mysql` engines were seen to run on it, unsupported.",
        "set `databaseType` to `mysql` on every node before it is upgraded, and accept what is not supported; or move \
         to another database",
        SEEN,
    ],
    [
        "more-failed-jobs",
        "More jobs are out of retries than before the window.",
        "look at their messages before the next node is taken",
        OURS,
    ],
    [
        "more-incidents",
        "There are more incidents of a type than before the window.",
        "look at them before the next node is taken",
        OURS,
    ],
    [
        "named-twice",
        "A pool, a node or a server of a balancer has a name twice, so that what would be taken cannot be told.",
        "give each its own name in site.toml",
        OURS,
    ],
    [
        "new-feature-used",
        "A feature that only the newer version has was used while older engines run. They may not understand what it \
         wrote, and a back-out of nodes is not safe any more.",
        "stop whoever uses it; finish the upgrade soon, or restore",
        GUIDE,
    ],
    [
        "newer-node",
        "A node is of a newer version than the schema. It started and calls itself healthy, and fails at its first \
         write: an engine does not know which schema it is on.",
        "take it out of the balancer; start the older release again until the schema is upgraded",
        SEEN,
    ],
    [
        "no-backup",
        "No dump of the database is bound. The vendor has no scripts that lead back: without one the schema stays.",
        "bind a dump (`service.database`, `disk.backup`, `database.trial`); it is restored on trial before anything is \
         changed. Or set the option `backup` to `none`",
        GUIDE,
    ],
    [
        "no-canary",
        "No process is named of which an instance may be started on each new node. An engine that is newer than its \
         schema starts, is healthy, serves reads, and fails at its first write: without a write nobody sees that before \
         users do.",
        "deploy a process that ends by itself before the upgrade, and name its key in the option `canary-process`",
        SEEN,
    ],
    [
        "no-history",
        "The engines keep no history. That an instance came to its end shows in the history alone, so that the write \
         that tries each new node could never be proved: the run would stop with the first node out.",
        "take the option `canary-process` away, and try a write on each node by hand; or raise the history level",
        READ,
    ],
    [
        "no-nodes",
        "No pool has a node: there is nothing to upgrade but the schema.",
        "name the nodes in site.toml",
        OURS,
    ],
    [
        "node-not-in-balancer",
        "No balancer knows a node of a pool that serves requests, so that it cannot be drained.",
        "name its servers in site.toml, or the pool as one for jobs only",
        OURS,
    ],
    [
        "node-of-another-version",
        "The nodes run different minor versions. Either an upgrade is under way, or somebody forgot one.",
        "resume that upgrade; or bring all nodes to one version",
        GUIDE,
    ],
    [
        "node-on-another-database",
        "A node has another installation id than the others: it works on another database.",
        "correct its data source, or leave it out of the site",
        READ,
    ],
    [
        "nodes-not-latest-patch",
        "The vendor wants all nodes on the latest patch of their minor version before the next one. Only the \
         Enterprise edition has patches.",
        "upgrade the nodes to the latest patch first; if they are, say so by the option",
        MANUAL,
    ],
    [
        "not-online",
        "The script changes rows or columns that are there: engines would stand still, or read what is half changed. \
         Nothing after 7.11 does.",
        "upgrade to 7.12 with a downtime, by the vendor's guide; then go on with this plugin",
        READ,
    ],
    [
        "not-owner",
        "The role may not alter the engine's tables: on PostgreSQL it does not own them, on MariaDB it lacks `ALTER`.",
        "use the tables' owner for this binding",
        SERVERS,
    ],
    [
        "orphan-statement",
        "A session of an earlier attempt is still at work: on PostgreSQL a statement outlives its client, and one \
         that waits for a lock is done when it gets it.",
        "wait for it, or let the run end that session; then look at the catalog again",
        SEEN,
    ],
    [
        "patch-scripts-missing",
        "Indexes lack that only the vendor's patch scripts bring, or columns are shorter than these make them. \
         Queries are slower, and nothing else: the engine of the first release runs without them.",
        "run the patch scripts of the minor versions that the schema came by, none of them twice",
        MANUAL,
    ],
    [
        "restore-loses",
        "The option `restore` is set: the database is filled from a dump. What was written after it is lost, and no node \
         serves meanwhile.",
        "roll the nodes back instead, where the newer schema may stay; take the option out of site.toml if no restore is \
         meant",
        OURS,
    ],
    [
        "restore-not-back",
        "The option `restore` is set, and the target is not older than what is there.",
        "take the option `restore` out of site.toml; or name the older version",
        OURS,
    ],
    [
        "restore-of-another-dump",
        "The file that would be restored is not the dump that the operator named: it was written anew by a later run, or \
         changed, or it is gone. Only the dump that a run restored on trial is known to be whole.",
        "put the right file there; the report of the run that took it has its SHA-256",
        OURS,
    ],
    [
        "row-missing",
        "The schema log has no row. Whoever emptied it took the record of what was done.",
        "add the row of the version that the tables have",
        OURS,
    ],
    [
        "schema-damaged",
        "Objects of the schema's own version lack or are otherwise, and no script would bring them. The engine fails \
         when it needs them.",
        "make them as the vendor's create script of that version has them",
        OURS,
    ],
    [
        "schema-update-on",
        "Nodes are set to update the schema. They make tables that lack altogether and never change one, whatever the \
         name says; with the schema half upgraded they may make what the script would.",
        "set `databaseSchemaUpdate` to false on every node",
        "reported by operators: camunda-docs-manual#139",
    ],
    [
        "script-changed",
        "The script has a digest that no release of the vendor has: it was changed, or it is newer than this plugin.",
        "bind the engine's jar as the vendor ships it",
        OURS,
    ],
    [
        "script-missing",
        "The bound jar has no upgrade scripts: it is no engine's, or of a release before 7.11.",
        "bind `camunda-engine` of the target",
        READ,
    ],
    [
        "script-of-another-family",
        "The script is for another database than the schema was made for. MariaDB's and MySQL's differ, also on the \
         same server.",
        "bind the engine's jar as the vendor ships it",
        SEEN,
    ],
    [
        "script-of-another-version",
        "The script leads to another version than the target.",
        "bind the engine's jar of the target",
        OURS,
    ],
    [
        "server-left-out",
        "A node's server is drained or in maintenance before anything was done: somebody keeps it out, or a run that was \
         aborted left it so. A rolling upgrade gives back the state that it found, and the node would serve nobody; a \
         full restore makes every server ready again.",
        "give it back: for HAProxy `set server BACKEND/SERVER state ready` on its socket, for nginx in its include \
         file; or take the node out of site.toml",
        SERVERS,
    ],
    [
        "server-without-node",
        "A balancer's backend has a server that no node of the site is. It would serve on with the old version, \
         unseen.",
        "name its node in site.toml, or take it out of the backend",
        OURS,
    ],
    [
        "several-hops",
        "The target is more than one minor version away. An older engine on a newer schema is promised for neighbours \
         only, so that each hop is a run of its own, nodes and all.",
        "plan and run the first hop, then plan again",
        GUIDE,
    ],
    [
        "sticky",
        "The backend sends clients back to their server by a cookie. A server that is drained still gets them; one in \
         maintenance does not.",
        "nothing: the plan puts a server into maintenance when it is idle; users of the web applications log in again",
        SERVERS,
    ],
    [
        "stop-cut-short",
        "A node did not end within its own time for shutting down: jobs were interrupted, and their locks stay until \
         they expire.",
        "wait for the expiry; for the next nodes set `spring.lifecycle.timeout-per-shutdown-phase` above the longest \
         job, and the stop's patience above that",
        SEEN,
    ],
    [
        "table-prefix",
        "The engine's tables are not there by their plain names: a prefix or a schema is configured. The vendor's \
         scripts do not know it.",
        "bind the schema that holds them; a prefix has to be upgraded by hand",
        MANUAL,
    ],
    [
        "too-few-left",
        "A group is so large that its pool would keep fewer nodes than its minimum.",
        "make groups smaller, or lower the minimum",
        GUIDE,
    ],
    [
        "too-old",
        "The site is older than 7.5. Engines of it and of a newer version corrupt executions on one database.",
        "stop all nodes and upgrade as the vendor describes, up to 7.5 at least",
        GUIDE,
    ],
    [
        "unknown-version",
        "The target or the site is of a version that this plugin does not know.",
        "use a newer plugin, or the fork's own",
        OURS,
    ],
    [
        "version-not-told",
        "A node does not say its version: its archive was packed anew and lost it, or the address is not the \
         engine's.",
        "let the node answer `/version` or `/telemetry/data`, or say its version by the option",
        READ,
    ],
];

/// What an id means and what to do, for a finding of it.
pub(crate) fn page(id: &str) -> (&'static str, &'static str) {
    let short = id.trim_start_matches("camunda.");
    KNOWN
        .iter()
        .find(|[known, ..]| *known == short)
        .map_or(("", ""), |[_, means, remedy, _]| (*means, *remedy))
}

/// Every finding of this plugin.
pub fn findings() -> Vec<KnownFinding> {
    KNOWN
        .iter()
        .map(|[id, means, remedy, source]| {
            describe::finding(&format!("camunda.{id}"), means, remedy, source)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn ids_are_sorted_and_stand_once_and_no_page_is_empty() {
        let ids: Vec<&str> = KNOWN.iter().map(|[id, ..]| *id).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert!(KNOWN.iter().flatten().all(|text| !text.is_empty()));
        let all = findings();
        assert!(all.iter().all(|known| known.id.starts_with("camunda.")));
    }

    fn sources(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("known.rs")
            {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_finding_that_is_made_is_explained() {
        let mut text = String::new();
        // Beside this file: a package of tests has these sources too, from its own folder.
        let here = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(file!());
        sources(here.parent().unwrap(), &mut text);
        let made: BTreeSet<&str> = text
            .split("\"camunda.")
            .skip(1)
            .filter_map(|rest| rest.split_once('"').map(|(id, _)| id))
            .collect();
        assert!(made.len() > 20, "{made:?}");
        for id in made {
            assert!(KNOWN.iter().any(|[known, ..]| *known == id), "{id}");
        }
    }
}

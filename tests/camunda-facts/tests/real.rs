//! What the Camunda plugin knows, against the vendor's jars and real databases.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use liftlock_camunda_facts::catalog::Catalog;
use liftlock_camunda_facts::catalog::Column;
use liftlock_camunda_facts::catalog::Constraint;
use liftlock_camunda_facts::catalog::Family;
use liftlock_camunda_facts::catalog::Index;
use liftlock_camunda_facts::jar;
use liftlock_camunda_facts::log;
use liftlock_camunda_facts::manifest::Manifest;
use liftlock_camunda_facts::reads;
use liftlock_camunda_facts::script;
use liftlock_camunda_facts::script::Kind;
use liftlock_camunda_facts::script::Script;
use liftlock_camunda_facts::script::ScriptError;
use liftlock_camunda_facts::standing::Standing;
use liftlock_camunda_facts::standing::standing;
use liftlock_camunda_facts::version::Minor;
use liftlock_camunda_facts::window;
use liftlock_camunda_facts::window::Action;
use liftlock_camunda_facts::window::BY_A_NODE;
use liftlock_camunda_facts::window::Policy;
use liftlock_camunda_facts::window::Subject;
use liftlock_camunda_facts::window::Watch;
use liftlock_lab::DatabaseAddress;
use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::camunda::EngineJars;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::Seed;
use liftlock_lab::camunda::seed::TEMPLATE;

fn from_jar(jar: &Path, path: &str) -> Result<Vec<u8>, jar::JarError<std::io::Error>> {
    let file = File::open(jar).unwrap();
    let length = file.metadata().unwrap().len();
    let mut part = |offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).map(|()| bytes)
    };
    jar::read_file(&mut part, length, path, script::BYTES_MAX)
}

fn script_of(jars: &EngineJars, family: Family, to: Minor) -> Script {
    let jar = jars.jar(Minor::NEWEST.number());
    let jar = match script::family_of(family, to) {
        Family::Mariadb => jars.jar(22),
        _ => jar,
    };
    let text = from_jar(&jar, &script::path(family, to)).unwrap();
    script::read(&text, family, to).unwrap()
}

#[tokio::test]
async fn every_script_of_every_jar_is_known_and_understood() {
    let jars = EngineJars::ensure().await.unwrap();
    let mut count = 0;
    for release in EngineJars::MINORS {
        for family in Family::ALL {
            for to in Minor::all().skip(1).filter(|to| to.number() <= release) {
                let found = from_jar(&jars.jar(release), &script::path(family, to));
                let given_up = release > 22 && script::family_of(family, to) == Family::Mariadb;
                if release < 11 || given_up {
                    assert!(
                        matches!(found, Err(jar::JarError::NotFound(_))),
                        "{release} {to}"
                    );
                    continue;
                }
                let text = found.unwrap();
                let script = script::read(&text, family, to).unwrap();
                understood(&script, family);
                // What the plugin read out of the jar is what the JDK unpacked.
                let name = script::family_of(family, to).name();
                let unpacked = jars.upgrade_script(release, name, to.number()).unwrap();
                assert_eq!(Some(text), unpacked);
                count += 1;
            }
        }
    }
    assert!(count > 400, "{count}");
}

fn understood(script: &Script, family: Family) {
    let to = script.to;
    let kinds: Vec<Kind> = script.statements.iter().map(|one| one.kind).collect();
    assert!(!kinds.contains(&Kind::Other), "{family} {to}: {script:?}");
    let rows = kinds.iter().filter(|kind| **kind == Kind::LogRow).count();
    let Some(id) = log::id_of(to) else {
        assert_eq!(rows, 0);
        return;
    };
    assert_eq!(rows, 1);
    let row = script
        .statements
        .iter()
        .find(|one| one.kind == Kind::LogRow);
    let text = &row.unwrap().text;
    assert!(
        text.contains(&format!("'{id}'")) && text.contains(&format!("'{to}.0'")),
        "{text}"
    );
    if to.number() > 11 {
        assert_eq!(kinds[0], Kind::LogRow, "the first thing that a script does");
        assert!(script.parts().others.is_empty(), "{family} {to}");
    }
}

#[tokio::test]
async fn tells_a_wrong_script_from_a_changed_one() {
    let jars = EngineJars::ensure().await.unwrap();
    let (v7_21, v7_22) = (Minor::new(21), Minor::new(22));
    let path = script::path(Family::Mysql, v7_21);
    let text = from_jar(&jars.jar(24), &path).unwrap();
    script::read(&text, Family::Mysql, v7_21).unwrap();
    let error = script::read(&text, Family::Mysql, v7_22).unwrap_err();
    assert!(matches!(error, ScriptError::OfAnotherVersion { found, .. } if found == v7_21));
    let error = script::read(&text, Family::Postgres, v7_21).unwrap_err();
    assert!(matches!(
        error,
        ScriptError::OfAnotherFamily {
            found: Family::Mysql,
            ..
        }
    ));
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1;
        let error = script::read(&changed, Family::Mysql, v7_21).unwrap_err();
        assert!(matches!(error, ScriptError::Changed { .. }), "byte {at}");
    }
    // One text serves all three.
    let text = from_jar(&jars.jar(24), &script::path(Family::Postgres, v7_22)).unwrap();
    for family in [Family::Postgres, Family::Mysql, Family::Mariadb] {
        let parts = script::read(&text, family, v7_22).unwrap().parts();
        assert_eq!((parts.columns.len(), parts.indexes.len()), (6, 1));
    }
}

#[tokio::test]
async fn a_jar_that_was_cut_is_no_jar() {
    let jars = EngineJars::ensure().await.unwrap();
    let whole = std::fs::read(jars.jar(24)).unwrap();
    let cut = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(cut.path(), &whole[..whole.len() / 2]).unwrap();
    let found = from_jar(cut.path(), &script::path(Family::Postgres, Minor::new(24)));
    assert!(matches!(found, Err(jar::JarError::Broken(_))), "{found:?}");
}

/// What a capability would answer, by the lab's own clients.
async fn catalog(address: &DatabaseAddress, database: &str) -> Catalog {
    let read = address.catalog(database).await.unwrap();
    let mut all = Catalog::default();
    for ((table, name), column) in read.columns {
        if all.tables.last() != Some(&table) {
            all.tables.push(table.clone());
        }
        all.columns.push(Column {
            table,
            name,
            kind: column.kind,
            nullable: column.nullable,
            default: column.default,
        });
    }
    for ((table, name), index) in read.indexes {
        all.indexes.push(Index {
            table,
            name,
            columns: index.columns,
            unique: index.unique,
            primary: false,
            valid: true,
        });
    }
    for ((table, name), constraint) in read.constraints {
        all.constraints.push(Constraint {
            table,
            name,
            kind: constraint.kind,
            columns: constraint.columns,
            references: constraint.references,
        });
    }
    all
}

/// Upgrades a schema statement by statement in the order of the parts, and judges it after each.
async fn judged_at_every_statement(kind: DatabaseKind, family: Family, first: u32, last: u32) {
    let jars = EngineJars::ensure().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = DatabaseServer::start(kind, dir.path()).await.unwrap();
    let address = server.address();
    address.create("engine").await.unwrap();
    let create = jars.create_script(first, family.name()).unwrap().unwrap();
    address.sql("engine", &create).await.unwrap();
    if kind == DatabaseKind::MariaDb {
        let by_types = catalog(address, "engine").await.family_by_types();
        assert_eq!(by_types, Some(family));
    }
    let manifest = Manifest::of(family);
    let mut said = Minor::new(first);
    let mut between = 0;
    for to in Minor::all().filter(|to| (first + 1..=last).contains(&to.number())) {
        let script = script_of(&jars, family, to);
        let parts = script.parts();
        let all = [
            parts.columns,
            parts.indexes,
            parts.constraints,
            parts.others,
        ]
        .concat();
        assert_eq!(all.len(), script.statements.len());
        for (place, statement) in all.iter().enumerate() {
            address.sql("engine", &statement.text).await.unwrap();
            if statement.kind == Kind::LogRow {
                said = to;
            }
            let found = standing(&manifest, said, &catalog(address, "engine").await);
            match &found {
                Standing::Settled(settled) => {
                    let is_last = place + 1 == all.len();
                    let is_quiet = manifest.brought_by(to).is_empty();
                    assert!(
                        is_last || is_quiet || settled.minor < to,
                        "{to} {place}: {found:?}"
                    );
                }
                Standing::Between(found) => {
                    assert!(
                        found.wrong.is_empty() && found.to == to,
                        "{to} {place}: {found:?}"
                    );
                    between += 1;
                }
                Standing::Damaged { .. } => panic!("{to} {place}: {found:?}"),
            }
        }
        let found = standing(&manifest, to, &catalog(address, "engine").await);
        assert!(matches!(found, Standing::Settled(_)), "{to}: {found:?}");
        said = to;
    }
    assert!(between > 0);
    server.stop().await;
}

#[tokio::test]
async fn judges_postgresql_at_every_statement() {
    judged_at_every_statement(DatabaseKind::PostgreSql, Family::Postgres, 11, 24).await;
}

#[tokio::test]
async fn judges_mysqls_scripts_at_every_statement() {
    judged_at_every_statement(DatabaseKind::MariaDb, Family::Mysql, 20, 24).await;
}

#[tokio::test]
async fn judges_mariadbs_scripts_at_every_statement() {
    judged_at_every_statement(DatabaseKind::MariaDb, Family::Mariadb, 20, 24).await;
}

async fn look(address: &DatabaseAddress, subjects: &[Subject], database: &str) -> Watch {
    let mut watch = Watch::default();
    for subject in subjects {
        let text = address.sql(database, &subject.sql()).await.unwrap();
        // The clients write nothing, or the word, where there is no value.
        let value = |text: &str| (!text.is_empty() && text != "NULL").then(|| text.to_owned());
        let row = |line: &str| line.split('\t').map(value).collect();
        let mut rows: Vec<Vec<Option<String>>> = text.lines().map(row).collect();
        rows.retain(|row| row.iter().any(Option::is_some));
        watch.add(*subject, &rows).unwrap();
    }
    watch
}

/// The queries of the checks, on a seed with what Liquibase would leave in it.
async fn reads_what_checks_ask(address: &DatabaseAddress) {
    let ask = async |sql: &str| address.sql(TEMPLATE, sql).await.unwrap();
    assert_eq!(ask(reads::SCHEMA_LOG).await, "0\t7.22.0");
    assert_eq!(ask(reads::INSTALLATION).await.len(), 36);
    assert_eq!(ask(reads::HISTORY_LEVEL).await, "3");
    assert_eq!(ask(reads::WITHOUT_TIME_TO_LIVE).await, "");
    assert_eq!(ask(reads::LOCKED_JOBS).await, "");
    assert_eq!(ask(reads::RUNNING_CLEANUPS).await, "0");
    ask("update ACT_RE_PROCDEF set HISTORY_TTL_ = null where KEY_ = 'work'").await;
    assert!(ask(reads::WITHOUT_TIME_TO_LIVE).await.starts_with("work"));
    ask("insert into ACT_RU_JOB (ID_, TYPE_, RETRIES_) values ('0', 'message', 3), ('1', 'message', 0)").await;
    let waits = ask(reads::WAITING_JOBS).await;
    assert_eq!(waits.lines().next(), Some("0"));
    assert!(!waits.lines().any(|id| id == "1"));
    ask("update ACT_RU_JOB set LOCK_OWNER_ = 'a', LOCK_EXP_TIME_ = '2031-01-02 03:04:05'").await;
    let locked = ask(reads::LOCKED_JOBS).await;
    assert!(locked.starts_with("a\t2031-01-02 03:04:05"), "{locked}");
    let free = "select count(*) from ACT_RU_JOB where RETRIES_ > 0 and SUSPENSION_STATE_ = 1";
    assert!(locked.ends_with(&format!("\t{}", ask(free).await)));
    assert_eq!(ask(reads::WAITING_JOBS).await, "");
    ask("delete from ACT_RU_JOB where ID_ in ('0', '1')").await;
    ask(
        "create table DATABASECHANGELOG (ID varchar(255), AUTHOR varchar(255)); \
         insert into DATABASECHANGELOG values ('7.16.0-baseline', 'Camunda'), ('1', 'somebody'); \
         create table DATABASECHANGELOGLOCK (ID int, LOCKED boolean, LOCKEDBY varchar(255)); \
         insert into DATABASECHANGELOGLOCK values (1, true, 'pod-1'), (2, false, 'pod-2')",
    )
    .await;
    assert_eq!(
        ask(reads::LIQUIBASE_AUTHORS).await,
        "Camunda\t1\nsomebody\t1"
    );
    assert_eq!(ask(reads::LIQUIBASE_LOCK).await, "pod-1");
    ask("update ACT_RU_JOB set LOCK_OWNER_ = null, LOCK_EXP_TIME_ = null").await;
}

async fn guards_the_window(kind: DatabaseKind) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("database");
    let seed = Seed::new(EngineVersion::V7_22, kind);
    seed.lay(&at, &dir.path().join("work")).await.unwrap();
    let server = DatabaseServer::start(kind, &at).await.unwrap();
    let address = server.address();
    let subjects = window::subjects(Minor::new(22));
    let before = look(address, &subjects, TEMPLATE).await;
    assert_eq!(before.deployments.len(), 1);
    assert_eq!(before.definitions.len(), 4);
    assert!(before.definitions.values().all(|one| one.version == 1));
    assert_eq!(before.features.len(), 2);
    reads_what_checks_ask(address).await;
    let policy = Policy::default();
    assert_eq!(window::compare(&before, &before, &policy), []);

    let deploy = format!(
        "insert into ACT_RE_DEPLOYMENT (ID_, NAME_, SOURCE_) values ('new', 'orders', '{BY_A_NODE}'); \
         insert into ACT_RE_PROCDEF (ID_, REV_, KEY_, VERSION_, DEPLOYMENT_ID_) \
         values ('work:2', 1, 'work', 2, 'new'); \
         insert into ACT_RE_PROCDEF (ID_, REV_, KEY_, VERSION_, DEPLOYMENT_ID_, TENANT_ID_) \
         values ('work:t', 1, 'work', 1, 'new', 't'); \
         update ACT_RU_JOB set RETRIES_ = 0; \
         insert into ACT_RU_INCIDENT (ID_, REV_, INCIDENT_TIMESTAMP_, INCIDENT_TYPE_) \
         values ('i', 1, current_timestamp, 'failedJob'); \
         insert into ACT_RU_BATCH (ID_, REV_, TYPE_) values ('b', 1, 'migration')"
    );
    address.sql(TEMPLATE, &deploy).await.unwrap();
    let now = look(address, &subjects, TEMPLATE).await;
    assert_eq!(
        now.definitions.len(),
        5,
        "the newest of each key and tenant"
    );
    let found: Vec<(Action, String)> = window::compare(&before, &now, &policy)
        .into_iter()
        .map(|(action, breach)| (action, breach.to_string()))
        .collect();
    assert_eq!(
        found,
        [
            (
                Action::Pause,
                "deployment `orders` (new) came by a node when it started".to_owned()
            ),
            (Action::Pause, "batch b began, `migration`".to_owned()),
            (
                Action::Warn,
                "incidents of type `failedJob` went from 0 to 1".to_owned()
            ),
            (
                Action::Warn,
                format!(
                    "jobs without a retry left went from 0 to {}",
                    now.failed_jobs
                )
            ),
        ]
    );

    // Every other query too, on the newest schema.
    let jars = EngineJars::ensure().await.unwrap();
    let family = match kind {
        DatabaseKind::PostgreSql => Family::Postgres,
        DatabaseKind::MariaDb => Family::Mysql,
    };
    let create = jars.create_script(24, family.name()).unwrap().unwrap();
    address.create("newest").await.unwrap();
    address.sql("newest", &create).await.unwrap();
    for minor in Minor::all().skip(1) {
        look(address, &window::subjects(minor), "newest").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn guards_the_window_on_postgresql() {
    guards_the_window(DatabaseKind::PostgreSql).await;
}

#[tokio::test]
async fn guards_the_window_on_mariadb() {
    guards_the_window(DatabaseKind::MariaDb).await;
}

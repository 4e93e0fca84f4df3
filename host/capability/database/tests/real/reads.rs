//! Reads, their bounds and refusals.

use liftlock_database::DatabaseKind as Kind;
use liftlock_lab::{DatabaseKind, Login};
use liftlock_types::facts::database as facts;
use liftlock_types::sql::Query;
use liftlock_types::{Capability as _, Predicate, Read, ReadError};
use serde::de::DeserializeOwned;

use crate::place::{Place, on, on_galera, until};

async fn asked<T: DeserializeOwned>(place: &Place, read: Read) -> T {
    serde_json::from_value(place.open().read(&read).await.unwrap()).unwrap()
}

fn pattern(text: &str) -> String {
    text.to_owned()
}

async fn catalog(place: &Place) {
    place
        .sql(
            "create table act_a (id varchar(64) not null, n integer not null default 1, at timestamp null, primary key (id)); \
             create table act_b (id varchar(64) not null, a varchar(64), constraint b_to_a foreign key (a) references act_a (id)); \
             create unique index b_id on act_b (id); create index b_both on act_b (a, id); \
             create table other (x integer); create table liftlock_claim (x integer); \
             insert into act_a (id, n) values ('x', 5)",
        )
        .await;
    let tables: Vec<facts::Table> = asked(
        place,
        Read::Tables {
            pattern: pattern("act_*"),
        },
    )
    .await;
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["act_a", "act_b"]);
    assert!(
        tables
            .iter()
            .all(|table| table.alterable && table.index_bytes + table.bytes > 0),
        "{tables:?}"
    );
    let all: Vec<facts::Table> = asked(
        place,
        Read::Tables {
            pattern: pattern("*"),
        },
    )
    .await;
    assert_eq!(all.len(), 3, "{all:?}");
    let guest = place.open_as(Login::Guest);
    let seen = guest
        .read(&Read::Tables {
            pattern: pattern("act_a"),
        })
        .await
        .unwrap();
    assert_eq!(seen[0]["alterable"], false, "{seen}");

    let columns: Vec<facts::Column> = asked(
        place,
        Read::Columns {
            pattern: pattern("act_a"),
        },
    )
    .await;
    assert_eq!(columns.len(), 3);
    assert_eq!(
        (columns[1].nullable, columns[1].default.as_deref()),
        (false, Some("1"))
    );
    assert_eq!(columns[2].default, None);
    let indexes: Vec<facts::Index> = asked(
        place,
        Read::TableIndexes {
            pattern: pattern("act_b"),
        },
    )
    .await;
    let both = indexes.iter().find(|index| index.name == "b_both").unwrap();
    assert_eq!(
        (both.columns.join(" "), both.unique, both.valid),
        ("a id".into(), false, true)
    );
    assert!(
        indexes
            .iter()
            .find(|index| index.name == "b_id")
            .unwrap()
            .unique
    );
    let constraints: Vec<facts::Constraint> = asked(
        place,
        Read::Constraints {
            pattern: pattern("act_b"),
        },
    )
    .await;
    let fk = constraints.iter().find(|it| it.name == "b_to_a").unwrap();
    assert_eq!(
        (fk.references.as_deref(), fk.referred.join(" ")),
        (Some("act_a"), "id".to_owned())
    );

    let identity: facts::Identity = asked(place, Read::DatabaseIdentity).await;
    assert_eq!(identity.isolation, "read-committed");
    assert!(
        !identity.read_only && !identity.server.is_empty(),
        "{identity:?}"
    );
    let one = place.open().identity().await.unwrap();
    let again = place.open_as(Login::Admin).identity().await.unwrap();
    assert_eq!(one, again);
    assert!(
        one.product
            .starts_with(match place.config(Login::Owner).kind {
                Kind::Postgresql => "PostgreSQL 1",
                Kind::Mariadb => "MariaDB 10",
                Kind::Mysql => "MySQL ",
            }),
        "{one:?}"
    );
}

#[tokio::test]
async fn postgresql_shows_its_catalog() {
    on(DatabaseKind::PostgreSql, catalog).await;
}

#[tokio::test]
async fn mariadb_shows_its_catalog() {
    on(DatabaseKind::MariaDb, catalog).await;
}

fn query(place: &Place, text: &str, values: &[Option<&str>]) -> Read {
    Read::Query {
        query: Query::parse(place.dialect(), text).unwrap(),
        parameters: values
            .iter()
            .map(|value| value.map(str::to_owned))
            .collect(),
    }
}

async fn queries(place: &Place) {
    place
        .sql("create table t (a varchar(9), b integer); insert into t values ('o''x', 1), ('y\\z', 2), (null, 3)")
        .await;
    let mark = if place.is_postgresql() { "$1" } else { "?" };
    let of = async |text: &str, values: &[Option<&str>]| -> facts::Rows {
        asked(place, query(place, &text.replace("{}", mark), values)).await
    };
    let rows = of("select a, b from t where a = {}", &[Some("o'x")]).await;
    assert_eq!(rows.columns, ["a", "b"]);
    assert_eq!(rows.rows, [[Some("o'x".to_owned()), Some("1".to_owned())]]);
    // The lab's client wrote the backslash by the server's own rules; what is read is what is sent back.
    let stored = of("select a from t where b = 2", &[]).await.rows[0][0].clone();
    assert_eq!(
        of("select b from t where a = {}", &[stored.as_deref()])
            .await
            .rows[0][0]
            .as_deref(),
        Some("2")
    );
    let none = of(
        "select a as x, count(*) as n from t where b > 100 group by a",
        &[],
    )
    .await;
    assert_eq!((none.columns.join(" "), none.rows.len()), ("x n".into(), 0));
    // A value is a value, whatever stands in it.
    let sly = of("select b from t where a = {}", &[Some("' or '1'='1")]).await;
    assert!(sly.rows.is_empty(), "{sly:?}");
    let database = place.open();
    let wrong = database
        .read(&query(place, "select b from t", &[Some("x")]))
        .await
        .unwrap_err();
    assert!(
        matches!(&wrong, ReadError::Invalid(text) if text.contains("takes 0 values")),
        "{wrong}"
    );

    // Bounds of rows, bytes and time.
    let many: Vec<String> = (0..1_000)
        .map(|n| format!("('{}', {n})", "x".repeat(9)))
        .collect();
    for _ in 0..11 {
        place
            .sql(&format!("insert into t values {}", many.join(", ")))
            .await;
    }
    let error = database
        .read(&query(place, "select b from t", &[]))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ReadError::Invalid(text) if text.contains("10000 rows")),
        "{error}"
    );
    let text = if place.is_postgresql() {
        "text"
    } else {
        "longtext"
    };
    place.sql(&format!("create table big (c {text})")).await;
    for _ in 0..5 {
        place
            .sql(&format!(
                "insert into big values (repeat('y', {}))",
                1 << 20
            ))
            .await;
    }
    let error = database
        .read(&query(place, "select c from big", &[]))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ReadError::Invalid(text) if text.contains("4096 KiB")),
        "{error}"
    );
    let mut config = place.config(Login::Owner);
    config.read_ms = 1_000;
    let brief = place.open_with(config, place.address().password(Login::Owner).reveal());
    let slow = "select count(*) from t x, t y, t z, t w where x.b + y.b + z.b + w.b = 7";
    let error = brief.read(&query(place, slow, &[])).await.unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");

    // A table that is not there, and a kind that is not the server's.
    let error = database
        .read(&query(place, "select * from nothing", &[]))
        .await
        .unwrap_err();
    assert!(matches!(error, ReadError::Rejected { .. }), "{error:?}");
}

#[tokio::test]
async fn postgresql_answers_queries_within_bounds() {
    on(DatabaseKind::PostgreSql, queries).await;
}

#[tokio::test]
async fn mariadb_answers_queries_within_bounds() {
    on(DatabaseKind::MariaDb, queries).await;
}

async fn conditions(place: &Place) {
    place
        .sql("create table t (a varchar(9)); create index i on t (a); insert into t values ('x')")
        .await;
    let database = place.open();
    let holds =
        async |predicate: Predicate| database.evaluate(&predicate, None).await.unwrap().holds;
    let column = |name: &str| Predicate::ColumnExists {
        table: "t".into(),
        name: name.into(),
    };
    assert!(holds(column("a")).await && !holds(column("b")).await);
    let index = |name: &str| Predicate::IndexValid {
        table: "t".into(),
        name: name.into(),
    };
    assert!(holds(index("i")).await && !holds(index("j")).await);
    let is = |expected: &str| Predicate::QueryIs {
        query: Query::parse(place.dialect(), "select a from t").unwrap(),
        parameters: vec![],
        expected: vec![vec![Some(expected.to_owned())]],
    };
    assert!(holds(is("x")).await && !holds(is("y")).await);
    let none = |prefix: &str| Predicate::NoSession {
        application_prefix: prefix.into(),
    };
    // MariaDB keeps no names of applications: there it is the role, which is ours too.
    let name = if place.is_postgresql() { "hold" } else { "own" };
    assert!(holds(none(name)).await);
    let holder = place.hold("t").await;
    until("the session", async || !holds(none(name)).await).await;
    assert!(holds(none("nobody")).await);
    holder.end();
    until("its end", async || holds(none(name)).await).await;
}

#[tokio::test]
async fn postgresql_tells_conditions() {
    on(DatabaseKind::PostgreSql, conditions).await;
}

#[tokio::test]
async fn mariadb_tells_conditions() {
    on(DatabaseKind::MariaDb, conditions).await;
}

async fn refusals(place: &Place) {
    let wrong = place.open_with(place.config(Login::Owner), "canary-4711");
    let error = wrong.identity().await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Rejected { text, .. } if text.contains("user and password")),
        "{error:?}"
    );
    assert!(!format!("{error:?} {wrong:?}").contains("canary-4711"));
    let mut config = place.config(Login::Owner);
    config.port = Some(1);
    let error = place.open_with(config, "x").identity().await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Unavailable(text) if text.contains("127.0.0.1:1/")),
        "{error:?}"
    );
    let password = place.address().password(Login::Owner);
    let mut config = place.config(Login::Owner);
    config.database = "nothing".into();
    let error = place
        .open_with(config, password.reveal())
        .identity()
        .await
        .unwrap_err();
    assert!(matches!(error, ReadError::Rejected { .. }), "{error:?}");
    let mut config = place.config(Login::Owner);
    if place.is_postgresql() {
        config.schema = Some("nothing".into());
        let error = place
            .open_with(config, password.reveal())
            .identity()
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ReadError::NotFound(text) if text.contains("`nothing`")),
            "{error:?}"
        );
    } else {
        config.kind = match config.kind {
            Kind::Mysql => Kind::Mariadb,
            _ => Kind::Mysql,
        };
        let error = place
            .open_with(config, password.reveal())
            .identity()
            .await
            .unwrap_err();
        assert!(!matches!(error, ReadError::Unavailable(_)), "{error:?}");
    }
    // TLS is asked for and not spoken there.
    let mut config = place.config(Login::Owner);
    config.tls = liftlock_database::Tls::Require;
    let error = place
        .open_with(config, password.reveal())
        .identity()
        .await
        .unwrap_err();
    assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn postgresql_says_why_it_does_not_answer() {
    on(DatabaseKind::PostgreSql, refusals).await;
}

#[tokio::test]
async fn mariadb_says_why_it_does_not_answer() {
    on(DatabaseKind::MariaDb, refusals).await;
}

/// A session that was kept and then ended is replaced, and the read is answered.
async fn replaced(place: &Place) {
    let database = place.open();
    database.claims().await.unwrap();
    let ids = if place.is_postgresql() {
        "select pid from pg_stat_activity where application_name = 'liftlock'"
    } else {
        "select id from information_schema.processlist where user = 'owner'"
    };
    let admin = async |sql: &str| {
        place
            .address()
            .sql_as(Login::Admin, &place.name, sql)
            .await
            .unwrap()
    };
    let kept = admin(ids).await;
    assert!(!kept.is_empty());
    for id in kept.lines() {
        match place.is_postgresql() {
            true => admin(&format!("select pg_terminate_backend({id})")).await,
            false => admin(&format!("kill {id}")).await,
        };
    }
    until("their end", async || admin(ids).await.is_empty()).await;
    assert_eq!(database.claims().await.unwrap(), []);
}

#[tokio::test]
async fn a_session_that_was_ended_is_replaced() {
    for kind in DatabaseKind::ALL {
        on(kind, replaced).await;
    }
}

#[tokio::test]
async fn a_galera_cluster_says_how_it_changes_tables_and_a_single_server_does_not() {
    let method = async |place: &Place| {
        let identity: facts::Identity = asked(place, Read::DatabaseIdentity).await;
        let mut more = identity.more.into_iter();
        more.find(|(name, _)| name == "galera")
            .map(|(_, method)| method)
    };
    on_galera(async |place| assert_eq!(method(place).await.as_deref(), Some("TOI"))).await;
    for kind in DatabaseKind::ALL {
        on(kind, async |place| assert_eq!(method(place).await, None)).await;
    }
}

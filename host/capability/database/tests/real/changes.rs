//! Statements on real servers: locks, rights, what stands in the way, transactions, sessions that are ended.

use liftlock_database::Database;
use liftlock_lab::{DatabaseKind, Login};
use liftlock_types::facts::database::Session;
use liftlock_types::{Acted, Capability as _, Change, Probed, Read, ReadError};
use serde_json::{Value, json};

use crate::place::{Place, attempt, done, is_applied_ours, observed, on, refused, until};

const ADD: &str = "alter table t add column b varchar(64)";

async fn table(place: &Place) -> Database {
    place
        .sql("create table t (id varchar(64) not null, a varchar(64), primary key (id)); insert into t values ('1', 'x')")
        .await;
    place.open()
}

/// Somebody holds the table for a while: tried again, then done.
async fn waits(place: &Place) {
    let database = table(place).await;
    let holder = place.hold("t").await;
    let change = place.execute_within(ADD, 1_000, 50);
    let attempt = attempt("wait", 1);
    let acting = database.act(&change, &attempt);
    let ending = async {
        // Two tries at least end without the lock.
        tokio::time::sleep(std::time::Duration::from_millis(3_000)).await;
        holder.end();
    };
    let (acted, ()) = tokio::join!(acting, ending);
    let Acted::Answered(answer) = acted else {
        panic!("{acted:?}")
    };
    assert!(answer["tries"].as_u64().unwrap() > 1, "{answer}");
    let probed = database.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
}

#[tokio::test]
async fn postgresql_is_tried_again_while_somebody_holds_the_table() {
    on(DatabaseKind::PostgreSql, waits).await;
}

#[tokio::test]
async fn mariadb_is_tried_again_while_somebody_holds_the_table() {
    on(DatabaseKind::MariaDb, waits).await;
}

/// Who waits for what a transaction of ours holds, and holds what that one needs next, is never the one that is ended for
/// it, though it waited first.
#[tokio::test]
async fn a_transaction_of_ours_takes_no_client_down_with_it() {
    on(DatabaseKind::PostgreSql, async |place| {
        place
            .sql("create table a (x integer); create table b (x integer); create table c (x integer)")
            .await;
        let database = place.open();
        let change = place.together(&[
            "alter table a add column y integer",
            "alter table c add column y integer",
            "alter table b add column y integer",
        ]);
        let client = async |sql: &str| place.address().sql(&place.name, sql).await;
        // Holds the second table until the client below has waited for most of a second.
        let second = client("begin; lock c in access exclusive mode; select pg_sleep(1.2); commit");
        let both = client(
            "begin; insert into b values (1); select pg_sleep(0.6); insert into a values (1); commit",
        );
        let ours = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            database.act(&change, &attempt("apart", 1)).await
        };
        let (second, both, acted) = tokio::join!(second, both, ours);
        second.unwrap();
        both.unwrap();
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    })
    .await;
}

/// The same of one statement that needs two tables.
#[tokio::test]
async fn a_foreign_key_takes_no_client_down_with_it() {
    on(DatabaseKind::PostgreSql, async |place| {
        place
            .sql("create table a (x integer); create table b (x integer primary key)")
            .await;
        let database = place.open();
        let change = place.execute(
            "alter table a add constraint a_to_b foreign key (x) references b (x)",
        );
        let client = async |sql: &str| place.address().sql(&place.name, sql).await;
        // Holds the first table until ours has begun to wait for it, and the client below behind ours.
        let first = client("begin; lock a in access exclusive mode; select pg_sleep(0.6); commit");
        let both = client(
            "begin; insert into b values (1); select pg_sleep(0.5); insert into a values (1); commit",
        );
        let ours = async {
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            database.act(&change, &attempt("apart", 1)).await
        };
        let (first, both, acted) = tokio::join!(first, both, ours);
        first.unwrap();
        both.unwrap();
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    })
    .await;
}

/// Who has read a table and goes on to write to it is not ended for a change that waits for the table.
#[tokio::test]
async fn a_column_of_mariadb_takes_no_client_down_with_it() {
    on(DatabaseKind::MariaDb, async |place| {
        let database = table(place).await;
        let change = place.execute(ADD);
        let client = place.address().sql(
            &place.name,
            "begin; select * from t; select sleep(1); update t set a = 'y' where id = '1'; select sleep(0.2); commit",
        );
        let ours = async {
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            database.act(&change, &attempt("apart", 1)).await
        };
        let (client, acted) = tokio::join!(client, ours);
        client.unwrap();
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    })
    .await;
}

/// Somebody holds it for ever: a clear refusal, and nothing is left behind.
async fn gives_up(place: &Place) {
    let database = table(place).await;
    let holder = place.hold("t").await;
    let change = place.execute_within(ADD, 1_000, 2);
    let attempt_1 = attempt("never", 1);
    let acted = database.act(&change, &attempt_1).await;
    let Acted::Refused { text, later, .. } = acted else {
        panic!("{acted:?}")
    };
    assert!(
        !later && text.contains("2 tries") && text.contains("nothing was changed"),
        "{text}"
    );
    assert_eq!(
        text.contains("(holder, idle in transaction)"),
        place.is_postgresql(),
        "{text}"
    );
    assert!(!database.in_flight(&change, &attempt_1).await.unwrap());
    holder.end();
    until("nothing", async || {
        matches!(
            database.probe(&change, &attempt_1).await,
            Ok(Probed::Absent(_))
        )
    })
    .await;
    assert!(is_applied_ours(&done(&database, &change, "after").await));
}

#[tokio::test]
async fn postgresql_gives_up_a_lock_that_is_never_given() {
    on(DatabaseKind::PostgreSql, gives_up).await;
}

#[tokio::test]
async fn mariadb_gives_up_a_lock_that_is_never_given() {
    on(DatabaseKind::MariaDb, gives_up).await;
}

/// What stands in the way is seen before anything is sent, and is never taken for the effect.
async fn in_the_way(place: &Place) {
    let database = table(place).await;
    for (text, says) in [
        ("alter table t add column a integer", "not `int"),
        ("alter table t add column a varchar(65)", "(64)"),
        (
            "alter table t add column a varchar(64) not null default 'x'",
            "null",
        ),
        (
            "alter table t add column a varchar(64) default 'x'",
            "default",
        ),
        (
            "alter table t add column a varchar(64), add column c varchar(9)",
            "only",
        ),
        ("insert into t values ('1', 'y')", "another row"),
        ("alter table nothing add column a integer", "`nothing`"),
    ] {
        let change = place.execute(text);
        let error = refused(&database, &change).await;
        assert!(error.to_string().contains(says), "{text}: {error}");
        let probed = database.probe(&change, &attempt("way", 1)).await.unwrap();
        assert!(
            !matches!(probed, Probed::Applied { .. }),
            "{text}: {probed:?}"
        );
    }
    let wrong = place.execute("alter table t add column a integer");
    let probed = database.probe(&wrong, &attempt("way", 1)).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
    // True already, and not ours.
    for there in [
        "alter table t add column a varchar(64)",
        "insert into t values ('1', 'x')",
    ] {
        assert!(
            observed(&database, &place.execute(there))
                .await
                .already_true,
            "{there}"
        );
    }
    // To the letter.
    assert!(
        !observed(&database, &place.execute("insert into t values ('2', 'X')"))
            .await
            .already_true
    );
}

#[tokio::test]
async fn postgresql_refuses_what_stands_in_the_way() {
    on(DatabaseKind::PostgreSql, in_the_way).await;
}

#[tokio::test]
async fn mariadb_refuses_what_stands_in_the_way() {
    on(DatabaseKind::MariaDb, in_the_way).await;
}

/// Every shape, and its facts before and after.
async fn shapes(place: &Place) {
    let database = table(place).await;
    let drop = if place.is_postgresql() {
        "drop index i"
    } else {
        "drop index i on t"
    };
    for (n, (text, key)) in [
        ("create table u (id integer not null, k bigint, f boolean default true, primary key (id))", "table/u"),
        ("alter table u add column n integer not null default 1, add column s varchar(9) default 'it''s'", "columns/u"),
        ("create unique index uk on u (k)", if place.is_postgresql() { "index/uk" } else { "index/u/uk" }),
        ("create index i on t (a, id)", if place.is_postgresql() { "index/i" } else { "index/t/i" }),
        ("alter table u add column t_id varchar(64)", "columns/u"),
        ("alter table u add constraint u_t foreign key (t_id) references t (id)", "constraint/u/u_t"),
        ("alter table u add constraint u_s unique (s)", "constraint/u/u_s"),
        ("insert into u (id, k, f, n, s) values (1, 2, false, -3, null)", "row/u/"),
        (drop, if place.is_postgresql() { "index/i" } else { "index/t/i" }),
    ]
    .into_iter()
    .enumerate()
    {
        let change = place.execute(text);
        let before = database.facts(&change).await.unwrap();
        assert!(before.keys().next().unwrap().starts_with(key), "{before:?}");
        assert!(is_applied_ours(&done(&database, &change, &format!("n{n}")).await), "{text}");
        assert_ne!(database.facts(&change).await.unwrap(), before, "{text}");
        assert!(observed(&database, &change).await.already_true, "{text}");
        assert!(database.automatic_undo(&change, &attempt("u", 1)).is_none());
    }
}

#[tokio::test]
async fn postgresql_shows_the_effect_of_every_shape() {
    on(DatabaseKind::PostgreSql, shapes).await;
}

#[tokio::test]
async fn mariadb_shows_the_effect_of_every_shape() {
    on(DatabaseKind::MariaDb, shapes).await;
}

#[tokio::test]
async fn a_role_that_owns_nothing_is_refused_with_a_remedy() {
    for kind in DatabaseKind::ALL {
        on(kind, async |place| {
            table(place).await;
            let guest = place.open_as(Login::Guest);
            let change = place.execute(ADD);
            let acted = guest.act(&change, &attempt("guest", 1)).await;
            let Acted::Refused { text, later, .. } = acted else {
                panic!("{acted:?}")
            };
            assert!(
                !later && text.contains("name the role that owns it"),
                "{text}"
            );
            let probed = guest.probe(&change, &attempt("guest", 1)).await.unwrap();
            assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_was_sent_nothing() {
    for kind in DatabaseKind::ALL {
        on(kind, async |place| {
            let mut config = place.config(Login::Owner);
            config.port = Some(1);
            let away = place.open_with(config, "x");
            let acted = away.act(&place.execute(ADD), &attempt("away", 1)).await;
            assert!(matches!(acted, Acted::NotSent(_)), "{acted:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_index_that_a_concurrent_build_left_unfinished_is_built_again() {
    on(DatabaseKind::PostgreSql, async |place| {
        let database = table(place).await;
        place.sql("insert into t values ('2', 'x')").await;
        let change = place.execute("create unique index concurrently i on t (a)");
        assert!(change.may_go_on());
        let before = database.facts(&change).await.unwrap();
        // Two rows are alike: the build fails, and what it leaves is dropped by the host.
        let acted = database.act(&change, &attempt("i", 1)).await;
        assert!(
            matches!(&acted, Acted::Refused { kind, .. } if kind == "23505"),
            "{acted:?}"
        );
        assert_eq!(
            place
                .sql("select count(*) from pg_class where relname = 'i'")
                .await,
            "0"
        );
        // By hand it is left, and means nothing was done yet.
        let by_hand = place
            .address()
            .sql(&place.name, "create unique index concurrently i on t (a)")
            .await;
        by_hand.unwrap_err();
        assert_eq!(
            place
                .sql("select indisvalid from pg_index where indexrelid = 'i'::regclass")
                .await,
            "f"
        );
        let probed = database.probe(&change, &attempt("i", 1)).await.unwrap();
        assert!(matches!(probed, Probed::Partial(_)), "{probed:?}");
        assert_eq!(database.facts(&change).await.unwrap(), before);
        place.sql("delete from t where id = '2'").await;
        assert!(is_applied_ours(&done(&database, &change, "i2").await));
    })
    .await;
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_its_marker_says_whose() {
    on(DatabaseKind::PostgreSql, async |place| {
        let database = table(place).await;
        let markers = async || place.sql("select count(*) from pg_class where relname = 'liftlock_marker'").await;
        let texts = ["alter table t add column b integer", "create index i on t (b)", "insert into t values ('2', 'y', 3)"];
        let change = place.together(&texts);
        let mut one = attempt("t", 1);

        // Died before the commit: nothing of it.
        let dying = place.open();
        let holder = place.hold("t").await;
        tokio::time::timeout(std::time::Duration::from_millis(800), dying.act(&change, &one)).await.unwrap_err();
        until("our session", async || database.in_flight(&change, &one).await.unwrap()).await;
        let probed = database.probe(&change, &one).await.unwrap();
        assert!(matches!(probed, Probed::InProgress(_)), "{probed:?}");
        let ours: Vec<Session> = sessions(&database).await;
        let ours = ours.iter().find(|session| session.application == one.token).unwrap();
        place
            .address()
            .sql_as(Login::Admin, &place.name, &format!("select pg_terminate_backend({})", ours.id))
            .await
            .unwrap();
        holder.end();
        until("nothing of it", async || {
            matches!(dying.probe(&change, &one).await, Ok(Probed::Absent(_)))
        })
        .await;
        assert_eq!(markers().await, "0");

        // Died after the commit: the marker says that it is ours, without any answer.
        assert!(matches!(database.act(&change, &one).await, Acted::Answered(_)));
        let later = place.open();
        let probed = later.probe(&change, &one).await.unwrap();
        assert!(is_applied_ours(&probed), "{probed:?}");
        // The identical repeat does nothing twice.
        assert!(matches!(later.act(&change, &one).await, Acted::Answered(_)));
        assert_eq!(place.sql("select count(*) from t where id = '2'").await, "1");
        later.clean_up(&change, &one).await.unwrap();
        assert_eq!(markers().await, "0");
        one.answer = None;
        let probed = later.probe(&change, &one).await.unwrap();
        assert!(matches!(probed, Probed::Applied { ours: false, .. }), "{probed:?}");

        // A statement that fails takes all of it back, and is named.
        let bad = place.together(&["alter table t add column c integer", "insert into t values (null, 'x', 1, 1)"]);
        let acted = database.act(&bad, &attempt("bad", 1)).await;
        assert!(matches!(&acted, Acted::Refused { text, .. } if text.contains("statement 2 of 2")), "{acted:?}");
        assert_eq!(place.sql("select count(*) from pg_attribute where attname = 'c' and attrelid = 't'::regclass").await, "0");
        assert_eq!(markers().await, "0");
    })
    .await;
}

#[tokio::test]
async fn mariadb_has_no_transaction_for_changes_of_tables() {
    on(DatabaseKind::MariaDb, async |place| {
        let database = table(place).await;
        let text = r#"{"verb":"database.execute-together","statements":[{"dialect":"postgresql","sql":"drop index i"}],"waits":{"timeout_ms":3000,"attempts":1}}"#;
        let change: Change = serde_json::from_str(text).unwrap();
        let error = refused(&database, &change).await;
        assert!(matches!(&error, ReadError::Invalid(text) if text.contains("`execute`")), "{error}");
        let acted = database.act(&change, &attempt("t", 1)).await;
        assert!(matches!(acted, Acted::Refused { later: false, .. }), "{acted:?}");
    })
    .await;
}

pub(crate) async fn sessions(database: &Database) -> Vec<Session> {
    let read = database.read(&Read::Sessions).await.unwrap();
    serde_json::from_value(read).unwrap()
}

/// The session that is meant is ended, and no other.
async fn ends(place: &Place) {
    table(place).await;
    // Who ends another's session needs the right to.
    let database = place.open_as(Login::Admin);
    let _one = place.hold("t").await;
    let mut meant = None;
    until("the session", async || {
        meant = sessions(&database)
            .await
            .into_iter()
            .find(|session| !session.ours);
        meant.is_some()
    })
    .await;
    let meant = meant.unwrap();
    let end = |started: &str, application: &str| Change::EndSession {
        id: meant.id,
        application: application.into(),
        started: started.into(),
    };
    let other = end("1", &meant.application);
    assert!(observed(&database, &other).await.already_true);
    let change = end(&meant.started, &meant.application);
    assert!(!observed(&database, &change).await.already_true);
    assert_eq!(change.names(), std::slice::from_ref(&meant.application));
    // Another name, another session.
    database
        .act(&end(&meant.started, "other"), &attempt("e", 1))
        .await;
    assert!(!observed(&database, &change).await.already_true);
    let ours = database
        .act(&end(&meant.started, "liftlock"), &attempt("e", 1))
        .await;
    assert!(matches!(ours, Acted::Refused { .. }), "{ours:?}");
    let mut one = attempt("e", 2);
    let acted = database.act(&change, &one).await;
    let Acted::Answered(answer) = acted else {
        panic!("{acted:?}")
    };
    assert_eq!(answer, json!({ "was_there": true }));
    one.answer = Some(Value::Null);
    until("its end", async || {
        is_applied_ours(&database.probe(&change, &one).await.unwrap())
    })
    .await;
    let acted = database.act(&change, &one).await;
    assert_eq!(acted, Acted::Answered(json!({ "was_there": false })));
}

#[tokio::test]
async fn postgresql_ends_the_session_that_is_meant() {
    on(DatabaseKind::PostgreSql, ends).await;
}

#[tokio::test]
async fn mariadb_ends_the_session_that_is_meant() {
    on(DatabaseKind::MariaDb, ends).await;
}

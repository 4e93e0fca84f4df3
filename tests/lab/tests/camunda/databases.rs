//! PostgreSQL and MariaDB by hand.

use std::time::Duration;
use std::time::Instant;

use liftlock_lab::DatabaseKind;
use liftlock_lab::DatabaseServer;
use liftlock_lab::Login;
use liftlock_lab::Secret;

/// Starts one, breaks it, copies a database and leaves nothing.
async fn lives_and_ends(kind: DatabaseKind, not_owner: &str, wrong_password: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = DatabaseServer::start(kind, dir.path()).await.unwrap();
    let address = server.address().clone();
    address.create("seed").await.unwrap();
    address
        .sql(
            "seed",
            "create table t (a int); insert into t values (1), (2)",
        )
        .await
        .unwrap();

    // A template with an open session can be copied too, and the copy is its owner's.
    let begun = Instant::now();
    address.copy("seed", "copy_1").await.unwrap();
    let copy_ms = begun.elapsed().as_millis();
    let count = "select count(*) from t";
    assert_eq!(address.sql("copy_1", count).await.unwrap(), "2");
    address
        .sql("copy_1", "alter table t add column b int")
        .await
        .unwrap();

    // The guest reads and writes, and does not alter.
    let guest = async |sql: &str| address.sql_as(Login::Guest, "copy_1", sql).await;
    guest("insert into t (a) values (3)").await.unwrap();
    assert_eq!(guest(count).await.unwrap(), "3");
    let refused = guest("alter table t add column c int").await.unwrap_err();
    assert!(refused.to_string().contains(not_owner), "{refused}");
    let wrong = Secret::new("wrong");
    let refused = address
        .sql_with("owner", &wrong, "copy_1", count)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains(wrong_password), "{refused}");

    // A session answers one text after another, several statements and none at all, until one fails.
    let mut session = address.session("copy_1").unwrap();
    assert_eq!(session.sql(count).await.unwrap(), "3");
    let several = "update t set a = 7 where a = 3; select a from t order by a;";
    assert_eq!(session.sql(several).await.unwrap(), "1\n2\n7");
    let nothing = session.sql("update t set a = 3 where a = 7").await;
    assert_eq!(nothing.unwrap(), "");
    let refused = session.sql("select no_such_column from t").await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("no_such_column"), "{refused}");
    session.sql(count).await.unwrap_err();

    let process = server.process().clone();
    server.kill();
    assert!(!process.is_alive());
    server.restart().await.unwrap();
    assert_ne!(&process, server.process());
    assert_eq!(address.sql("copy_1", count).await.unwrap(), "3");
    address.remove("copy_1").await.unwrap();
    address.sql("copy_1", count).await.unwrap_err();

    let process = server.process().clone();
    let children = process.children();
    println!(
        "{kind} started again in {} ms, a copy took {copy_ms} ms",
        server.start_ms()
    );
    server.stop().await;
    for left in children.iter().chain([&process]) {
        assert!(left.wait_gone(Duration::from_secs(1)).await, "{left:?}");
    }

    // What is there is taken up by a new start, on another port.
    let server = DatabaseServer::start(kind, dir.path()).await.unwrap();
    assert_eq!(server.address().sql("seed", count).await.unwrap(), "2");
    server.stop().await;
}

#[tokio::test]
async fn postgresql_starts_survives_a_crash_and_leaves_nothing() {
    lives_and_ends(
        DatabaseKind::PostgreSql,
        "must be owner of table t",
        "password authentication failed",
    )
    .await;
}

#[tokio::test]
async fn mariadb_starts_survives_a_crash_and_leaves_nothing() {
    lives_and_ends(DatabaseKind::MariaDb, "ALTER command denied", "1045").await;
}

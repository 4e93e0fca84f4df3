//! Statements whose client died: what still works in the server is seen, and nothing absent is believed before it ends.

use std::process::Command;

use liftlock_lab::{DatabaseKind, Login};
use liftlock_types::{Capability as _, Probed};

use crate::place::{Holder, Place, attempt, on, until};

const ADD: &str = "alter table t add column b varchar(64)";

/// A client that sends a statement as a run of ours would, without what makes PostgreSQL look for its client.
fn client(place: &Place, token: &str) -> Holder {
    let password = place.address().password(Login::Owner);
    let port = place.address().port().to_string();
    if place.is_postgresql() {
        let mut command = Command::new("psql");
        command
            .args([
                "-X",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "owner",
                "-d",
                &place.name,
            ])
            .env("PGPASSWORD", password.reveal())
            .env("PGAPPNAME", token)
            .env("PGOPTIONS", "-c client_connection_check_interval=0");
        return Holder::start(command, &format!("{ADD};\n"));
    }
    let mut command = Command::new("mariadb");
    command
        .args([
            "--no-defaults",
            "--comments",
            "-h",
            "127.0.0.1",
            "-P",
            &port,
            "-u",
            "owner",
            &place.name,
        ])
        .env("MYSQL_PWD", password.reveal());
    Holder::start(command, &format!("/* {token} */ {ADD};\n"))
}

#[tokio::test]
async fn a_waiting_statement_of_a_dead_client_is_in_flight_and_lands_later_on_postgresql() {
    on(DatabaseKind::PostgreSql, async |place| {
        place.sql("create table t (a integer)").await;
        let database = place.open();
        let (change, attempt) = (place.execute(ADD), attempt("orphan", 1));
        let lock = place.hold("t").await;
        assert!(!database.in_flight(&change, &attempt).await.unwrap());
        let mut client = client(place, &attempt.token);
        until("our statement", async || {
            database.in_flight(&change, &attempt).await.unwrap()
        })
        .await;
        client.kill();
        // Its client is dead, and it waits on.
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            assert!(database.in_flight(&change, &attempt).await.unwrap());
            let probed = database.probe(&change, &attempt).await.unwrap();
            assert!(matches!(probed, Probed::InProgress(_)), "{probed:?}");
        }
        lock.end();
        until("its effect", async || {
            matches!(
                database.probe(&change, &attempt).await.unwrap(),
                Probed::Applied { ours: false, .. }
            )
        })
        .await;
        assert!(!database.in_flight(&change, &attempt).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_waiting_statement_of_a_dead_client_is_in_flight_until_mariadb_drops_it() {
    on(DatabaseKind::MariaDb, async |place| {
        place.sql("create table t (a integer)").await;
        let database = place.open();
        let (change, attempt) = (place.execute(ADD), attempt("orphan", 1));
        let lock = place.hold("t").await;
        let mut client = client(place, &attempt.token);
        until("our statement", async || {
            database.in_flight(&change, &attempt).await.unwrap()
        })
        .await;
        let probed = database.probe(&change, &attempt).await.unwrap();
        assert!(matches!(probed, Probed::InProgress(_)), "{probed:?}");
        client.kill();
        // Whatever the server makes of it, the answer fits: in flight until it ends, then what it came to. MySQL does not
        // look after a client whose statement waits for a lock.
        let is_mysql = place.server.kind().is_mysql();
        let mut lock = Some(lock);
        if is_mysql {
            lock.take().unwrap().end();
        }
        until("its end", async || {
            !database.in_flight(&change, &attempt).await.unwrap()
        })
        .await;
        if let Some(lock) = lock {
            lock.end();
        }
        let probed = database.probe(&change, &attempt).await.unwrap();
        match probed {
            Probed::Applied { ours: false, .. } if is_mysql => {}
            Probed::Absent(_) if !is_mysql => {}
            other => panic!("{other:?}"),
        }
    })
    .await;
}

/// A session of ours looks for its client, so that a dead run's statement does not wait on.
#[tokio::test]
async fn a_statement_of_ours_ends_with_its_client_on_postgresql() {
    on(DatabaseKind::PostgreSql, async |place| {
        place.sql("create table t (a integer)").await;
        let database = place.open();
        let (change, attempt) = (place.execute_within(ADD, 60_000, 1), attempt("dies", 1));
        let lock = place.hold("t").await;
        // The runtime of a run that dies takes its connections with it.
        let (dying, its_change, its_attempt) = (place.open(), change.clone(), attempt.clone());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    acted = dying.act(&its_change, &its_attempt) => panic!("{acted:?}"),
                    _ = ended => {}
                }
            });
            runtime.shutdown_background();
        });
        until("our statement", async || {
            database.in_flight(&change, &attempt).await.unwrap()
        })
        .await;
        end.send(()).unwrap();
        run.join().unwrap();
        until("its end", async || {
            !database.in_flight(&change, &attempt).await.unwrap()
        })
        .await;
        lock.end();
        let probed = database.probe(&change, &attempt).await.unwrap();
        assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
    })
    .await;
}

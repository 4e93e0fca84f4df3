//! Claims in a real database.

use liftlock_lab::{DatabaseKind, Login};
use liftlock_types::{Capability as _, Claim, ReadError};

use crate::place::{Place, on};

fn claim(epoch: u64, nonce: &str) -> Claim {
    Claim {
        epoch,
        run: format!("run-{nonce}"),
        host: "h".into(),
        pid: 1,
        pid_start: 2,
        boot_id: "b".into(),
        nonce: nonce.into(),
        state_dir: "/it's".into(),
        since: "now".into(),
    }
}

async fn tables(place: &Place) -> String {
    place
        .sql("select count(*) from information_schema.tables where table_name = 'liftlock_claim'")
        .await
}

async fn one_of_several(place: &Place) {
    let one = place.open();
    let two = place.open();
    assert!(one.holds_claims());
    assert_eq!(one.claims().await.unwrap(), []);
    let (a, b) = (claim(1, "a"), claim(1, "b"));
    let made = tokio::join!(one.make_claim(&a), two.make_claim(&b));
    let (first, second) = (made.0.unwrap(), made.1.unwrap());
    assert!(first != second, "one of two");
    let holds = if first { a } else { b };
    assert_eq!(two.claims().await.unwrap(), std::slice::from_ref(&holds));
    // A repeat of a create without an answer finds its own nonce.
    assert!(one.make_claim(&holds).await.unwrap());
    assert!(!two.make_claim(&claim(1, "c")).await.unwrap());

    // Taken over: both stand, and each is removed by itself.
    assert!(two.make_claim(&claim(2, "d")).await.unwrap());
    let epochs: Vec<u64> = one
        .claims()
        .await
        .unwrap()
        .iter()
        .map(|claim| claim.epoch)
        .collect();
    assert_eq!(epochs, [1, 2]);
    one.remove_claim(1).await.unwrap();
    assert_eq!(tables(place).await, "1");
    one.remove_claim(1).await.unwrap();
    one.remove_claim(2).await.unwrap();
    one.remove_claim(2).await.unwrap();
    assert_eq!(one.claims().await.unwrap(), []);
    assert_eq!(tables(place).await, "0");
    assert!(one.make_claim(&claim(3, "e")).await.unwrap());
    one.remove_claim(3).await.unwrap();
}

#[tokio::test]
async fn postgresql_lets_one_of_several_claim_it() {
    on(DatabaseKind::PostgreSql, one_of_several).await;
}

#[tokio::test]
async fn mariadb_lets_one_of_several_claim_it() {
    on(DatabaseKind::MariaDb, one_of_several).await;
}

/// A claim that is made while the last other one goes is never lost.
async fn come_and_go(place: &Place) {
    let one = place.open();
    let two = place.open();
    for round in 0..20 {
        let (old, new) = (round * 2 + 1, round * 2 + 2);
        assert!(one.make_claim(&claim(old, "old")).await.unwrap());
        let new_claim = claim(new, "new");
        let (removed, made) = tokio::join!(one.remove_claim(old), two.make_claim(&new_claim));
        removed.unwrap();
        assert!(made.unwrap());
        assert_eq!(
            one.claims().await.unwrap(),
            [claim(new, "new")],
            "round {round}"
        );
        two.remove_claim(new).await.unwrap();
    }
}

#[tokio::test]
async fn postgresql_loses_no_claim_with_the_table_of_another() {
    on(DatabaseKind::PostgreSql, come_and_go).await;
}

#[tokio::test]
async fn mariadb_loses_no_claim_with_the_table_of_another() {
    on(DatabaseKind::MariaDb, come_and_go).await;
}

#[tokio::test]
async fn who_may_not_make_a_table_is_told_what_to_do() {
    for kind in DatabaseKind::ALL {
        on(kind, async |place| {
            let error = place.open_as(Login::Guest).make_claim(&claim(1, "g")).await.unwrap_err();
            assert!(
                matches!(&error, ReadError::Rejected { text, .. } if text.contains("the role that owns it")),
                "{error:?}"
            );
            assert_eq!(tables(place).await, "0");
        })
        .await;
    }
}

//! The vendor's own upgrade scripts, statement by statement.

use std::fs;

use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::{EngineVersion, schema};
use liftlock_types::sql::{Dialect, Statement};
use liftlock_types::{Capability as _, Change};

use crate::place::{Place, done, is_applied_ours, observed, on, refused};

/// The statements of the script that leads to this version, with the name of its file.
async fn script(place: &Place, from: &str, to: EngineVersion, to_minor: &str) -> Vec<String> {
    let family = if place.is_postgresql() {
        "postgres"
    } else {
        "mysql"
    };
    let file = schema::scripts(to)
        .await
        .unwrap()
        .join("upgrade")
        .join(format!("{family}_engine_{from}_to_{to_minor}.sql"));
    let text = fs::read_to_string(&file).unwrap();
    let plain: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect();
    plain
        .join("\n")
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(str::to_owned)
        .collect()
}

/// 7.21 as it was made, then 7.22, then 7.23: each statement is done, seen as ours, and true at the next look.
async fn upgraded(place: &Place) {
    schema::create(place.address(), &place.name, EngineVersion::V7_21)
        .await
        .unwrap();
    let database = place.open();
    let mut count = 0;
    for (from, to, minor) in [
        ("7.21", EngineVersion::V7_22, "7.22"),
        ("7.22", EngineVersion::V7_23, "7.23"),
    ] {
        let texts = script(place, from, to, minor).await;
        for text in &texts {
            let change = place.execute(text);
            let before = database.facts(&change).await.unwrap();
            let probed = done(&database, &change, &format!("s{count}")).await;
            assert!(is_applied_ours(&probed), "{text}: {probed:?}");
            assert_ne!(database.facts(&change).await.unwrap(), before, "{text}");
            count += 1;
        }
        // Whoever runs it again has nothing to do.
        for text in &texts {
            assert!(
                observed(&database, &place.execute(text)).await.already_true,
                "{text}"
            );
        }
    }
    assert_eq!(count, 10, "statements of both scripts");
    let log = place
        .sql("select VERSION_ from ACT_GE_SCHEMA_LOG order by TIMESTAMP_, ID_")
        .await;
    assert!(log.ends_with("7.22.0\n7.23.0"), "{log}");
}

#[tokio::test]
async fn postgresql_goes_up_by_the_vendors_scripts() {
    on(DatabaseKind::PostgreSql, upgraded).await;
}

#[tokio::test]
async fn mariadb_goes_up_by_the_vendors_scripts() {
    on(DatabaseKind::MariaDb, upgraded).await;
}

/// The first three statements were run by hand: they are true and not ours, the others are done.
async fn half(place: &Place) {
    schema::create(place.address(), &place.name, EngineVersion::V7_21)
        .await
        .unwrap();
    let texts = script(place, "7.21", EngineVersion::V7_22, "7.22").await;
    for text in &texts[..3] {
        place.sql(text).await;
    }
    let database = place.open();
    let (mut there, mut made) = (0, 0);
    for (n, text) in texts.iter().enumerate() {
        let change = place.execute(text);
        if observed(&database, &change).await.already_true {
            there += 1;
        } else {
            assert!(
                is_applied_ours(&done(&database, &change, &format!("h{n}")).await),
                "{text}"
            );
            made += 1;
        }
    }
    assert_eq!((there, made), (3, texts.len() - 3));
}

#[tokio::test]
async fn half_a_script_on_mariadb_is_finished() {
    on(DatabaseKind::MariaDb, half).await;
}

#[tokio::test]
async fn half_a_script_on_postgresql_is_finished_one_by_one_and_refused_together() {
    on(DatabaseKind::PostgreSql, async |place| {
        schema::create(place.address(), &place.name, EngineVersion::V7_21)
            .await
            .unwrap();
        let texts = script(place, "7.21", EngineVersion::V7_22, "7.22").await;
        place.sql(&texts[1]).await;
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let error = refused(&place.open(), &place.together(&all)).await;
        assert!(error.to_string().contains("one by one"), "{error}");
    })
    .await;
    on(DatabaseKind::PostgreSql, half).await;
}

#[tokio::test]
async fn a_whole_script_is_one_transaction_on_postgresql() {
    on(DatabaseKind::PostgreSql, async |place| {
        schema::create(place.address(), &place.name, EngineVersion::V7_21)
            .await
            .unwrap();
        let texts = script(place, "7.21", EngineVersion::V7_22, "7.22").await;
        let all: Vec<&str> = texts.iter().map(String::as_str).collect();
        let change = place.together(&all);
        let database = place.open();
        assert!(is_applied_ours(&done(&database, &change, "t").await));
        assert!(observed(&database, &change).await.already_true);
        let left = place
            .sql("select count(*) from pg_class where relname = 'liftlock_marker'")
            .await;
        assert_eq!(left, "0");
    })
    .await;
}

/// Every statement of the vendor's scripts from 7.13 on is understood, or names what of it is not.
#[tokio::test]
async fn the_vendors_scripts_are_understood() {
    let folder = schema::scripts(EngineVersion::V7_24)
        .await
        .unwrap()
        .join("upgrade");
    let (mut understood, mut refused) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let dialect = match name.split('_').next() {
            Some("postgres") => Dialect::Postgresql,
            Some("mysql" | "mariadb") => Dialect::Mysql,
            _ => continue,
        };
        let minor = name
            .split("_7.")
            .nth(1)
            .and_then(|rest| rest.split(['_', '.']).next()?.parse::<u32>().ok());
        if minor.is_none_or(|minor| minor < 10) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let plain: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        for statement in plain
            .join("\n")
            .split(';')
            .map(str::trim)
            .filter(|it| !it.is_empty())
        {
            match Statement::parse(dialect, statement) {
                Ok(_) => understood += 1,
                Err(error) => refused.push(format!("{name}: {error}")),
            }
        }
    }
    assert!(understood > 100, "{understood}");
    // Types that are changed, an index on a part of a text, and MySQL's table options.
    assert!(refused.len() * 10 < understood, "{refused:#?}");
}

#[test]
fn a_change_of_ours_reads_back() {
    let statement = Statement::parse(Dialect::Mysql, "drop index I on T").unwrap();
    let change = Change::Execute {
        statement,
        waits: liftlock_types::sql::LockPatience::default(),
    };
    let text = serde_json::to_string(&change).unwrap();
    assert_eq!(
        text,
        r#"{"verb":"database.execute","statement":{"dialect":"mysql","sql":"DROP INDEX `I` ON `T`"},"waits":{"timeout_ms":3000,"attempts":10}}"#
    );
    assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
}

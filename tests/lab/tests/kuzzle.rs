//! Kuzzle on Elasticsearch 7.17. It needs Node.js and the packages of npm, so it is a test of its own:
//! `cargo test -p liftlock-lab --test kuzzle`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stdout,
    reason = "measured times are for whoever runs the test"
)]

use liftlock_lab::HttpTarget;
use liftlock_lab::Secret;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;
use liftlock_lab::kuzzle::Kuzzle;
use liftlock_lab::kuzzle::KuzzleSpec;
use liftlock_lab::kuzzle::Mode;
use liftlock_lab::kuzzle::Redis;
use liftlock_lab::kuzzle::seed;
use liftlock_lab::kuzzle::seed::Seeded;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

/// All that was put in is there, by Kuzzle's own word.
async fn reads_back(kuzzle: &Kuzzle, seeded: &Seeded, token: &Secret) {
    let api = kuzzle.as_user(token.clone());
    let health = api.get("/_healthCheck").await.unwrap();
    assert_eq!(health["result"]["status"], "green", "{health}");
    for collection in &seeded.collections {
        let count = seed::count(&api, collection).await.unwrap();
        assert_eq!(count, collection.documents as u64, "{collection:?}");
    }
    let users = api.post("/users/_search?size=100", &json!({})).await;
    let users = users.unwrap();
    let mut ids: Vec<&str> = users["result"]["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, seeded.users);
}

/// Every collection is one index of that name with an alias, and Kuzzle's own data are there.
async fn stands_in_storage(storage: &HttpTarget, seeded: &Seeded) {
    let rows = storage
        .get("/_cat/aliases?format=json&h=alias,index")
        .await
        .unwrap();
    let aliases: Vec<(&str, &str)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["alias"].as_str().unwrap(),
                row["index"].as_str().unwrap(),
            )
        })
        .collect();
    for collection in &seeded.collections {
        let index = collection.stored_as();
        let alias = format!("@{index}");
        assert!(aliases.contains(&(&alias, &index)), "{alias}: {aliases:?}");
    }
    assert!(aliases.contains(&("@%kuzzle.users", "%kuzzle.users")));
}

#[tokio::test]
async fn kuzzle_keeps_a_site_on_elasticsearch_7_and_finds_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(ServerKind::Elasticsearch7, dir.path().join("es"))
        .await
        .unwrap();
    let redis = Redis::start(dir.path().join("redis")).await.unwrap();
    let spec = KuzzleSpec {
        storage: server.base_url().to_owned(),
        mode: Mode::Seven,
        redis_port: redis.port(),
    };
    let home = dir.path().join("kuzzle");
    let kuzzle = Kuzzle::start(&home, &spec).await.unwrap();
    println!("Kuzzle started in {} ms", kuzzle.start_ms());
    let seeded = seed::seed(&kuzzle).await.unwrap();
    reads_back(&kuzzle, &seeded, &seeded.token).await;
    stands_in_storage(server.target(), &seeded).await;

    // Whoever has no token has no rights any more, and whoever has no password gets none.
    let anonymous = kuzzle.target();
    let (status, _) = anonymous
        .send(Method::GET, "/_healthCheck", None)
        .await
        .unwrap();
    assert_eq!(status, 401);
    let wrong = json!({ "username": seed::ADMIN, "password": "no" });
    let refused = anonymous.send(Method::POST, "/_login/local", Some(&wrong));
    let (status, answer): (u16, Value) = refused.await.unwrap();
    assert_eq!((status, &answer["error"]["status"]), (401, &json!(401)));

    // Started again on the same data, and the token of before is still good: Redis was not touched.
    kuzzle.stop().await;
    let kuzzle = Kuzzle::start(&home, &spec).await.unwrap();
    println!("Kuzzle started on its data in {} ms", kuzzle.start_ms());
    reads_back(&kuzzle, &seeded, &seeded.token).await;

    // The mode must fit, which Kuzzle itself checks in this direction alone.
    kuzzle.stop().await;
    let eight = KuzzleSpec {
        mode: Mode::Eight,
        ..spec.clone()
    };
    let error = Kuzzle::start(&home, &eight).await.unwrap_err().to_string();
    assert!(
        error.contains("not compatible with this version"),
        "{error}"
    );

    // An empty Redis logs everybody out, and a login helps.
    redis.stop().await;
    let redis = Redis::start(dir.path().join("redis")).await.unwrap();
    let spec = KuzzleSpec {
        redis_port: redis.port(),
        ..spec
    };
    let kuzzle = Kuzzle::start(&home, &spec).await.unwrap();
    let old = kuzzle.as_user(seeded.token.clone());
    let (status, answer) = old.send(Method::GET, "/_me", None).await.unwrap();
    assert_eq!(status, 401, "{answer}");
    let token = seed::login(&kuzzle, "zo\u{eb}").await.unwrap();
    let me = kuzzle.as_user(token).get("/_me").await.unwrap();
    assert_eq!(me["result"]["_id"], "zo\u{eb}");
    let token = seed::login(&kuzzle, seed::ADMIN).await.unwrap();
    reads_back(&kuzzle, &seeded, &token).await;
    kuzzle.stop().await;
    redis.stop().await;
    server.stop().await;
}

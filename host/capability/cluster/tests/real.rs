//! The suite on real servers. Needs a JDK and Maven; without them it fails and says so.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod suite;

use liftlock_cluster::{Auth, Cluster, ClusterConfig, Credentials};
use liftlock_lab::{Server, ServerKind};
use liftlock_types::{Capability, Read, ReadError};
use secrecy::SecretString;
use suite::on_server;

#[tokio::test]
async fn holds_on_opensearch_2() {
    on_server(ServerKind::OpenSearch2).await;
}

#[tokio::test]
async fn holds_on_opensearch_3() {
    on_server(ServerKind::OpenSearch3).await;
}

#[tokio::test]
async fn holds_on_elasticsearch_8() {
    on_server(ServerKind::Elasticsearch8).await;
}

#[tokio::test]
async fn holds_with_tls_and_credentials_and_not_without() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(ServerKind::Elasticsearch8Secured, dir.path())
        .await
        .unwrap();
    let login = server.credentials().unwrap().clone();
    let secret = |text: &str| SecretString::from(text.to_owned());
    let basic = Credentials::Basic {
        username: login.user.clone(),
        password: secret(login.password.reveal()),
    };
    let mut config = ClusterConfig::of_node(server.base_url());
    config.ca = Some(server.authority().unwrap().path.clone());
    assert_eq!(config.auth, Auth::None);
    suite::everything(&suite::open_with(&config, &basic), "Elasticsearch 8.19.13").await;

    let identity = async |cluster: Cluster| cluster.read(&Read::Identity).await;
    let key = Credentials::ApiKey(secret(login.api_key.reveal()));
    assert!(identity(suite::open_with(&config, &key)).await.is_ok());

    // None of these is an answer of the cluster, and none of their texts shows a secret.
    let wrong = Credentials::Basic {
        username: login.user.clone(),
        password: secret("canary-77"),
    };
    let mut strangers = config.clone();
    strangers.ca = None;
    let by_number = server.base_url().replace("localhost", "127.0.0.1");
    let mut renamed = config.clone();
    renamed.nodes = vec![by_number.replace("127.0.0.1", "localhost.localdomain")];
    for (config, credentials) in [
        (&config, &wrong),
        (&config, &Credentials::None),
        (&strangers, &basic),
        (&renamed, &basic),
    ] {
        let error = identity(suite::open_with(config, credentials))
            .await
            .unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
        assert!(!error.to_string().contains("canary-77"), "{error}");
        assert!(
            !error.to_string().contains(login.password.reveal()),
            "{error}"
        );
    }
    server.stop().await;
}

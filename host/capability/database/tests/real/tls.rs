//! The connection is encrypted, and the server is the one that is meant.

use liftlock_database::{DatabaseConfig, Tls};
use liftlock_lab::{DatabaseKind, DatabaseServer, Login};
use liftlock_types::{Capability as _, ReadError};

use crate::place::{Place, on, on_tls};

impl Place {
    fn encrypted(&self) -> DatabaseConfig {
        DatabaseConfig {
            tls: Tls::Require,
            ca: Some(self.server.ca_file()),
            ..self.config(Login::Owner)
        }
    }

    async fn identity(&self, config: DatabaseConfig) -> Result<String, ReadError> {
        let password = self.address().password(Login::Owner);
        let database = self.open_with(config, password.reveal());
        database
            .identity()
            .await
            .map(|identity| identity.fingerprint)
    }
}

/// What a site without `tls` and with the authority's file gets.
async fn believes_the_authority(place: &Place) {
    let plain = place.config(Login::Owner);
    let plain = place.identity(plain).await.unwrap();
    assert_eq!(place.identity(place.encrypted()).await.unwrap(), plain);
    let by_name = DatabaseConfig {
        host: "localhost".into(),
        ..place.encrypted()
    };
    assert_eq!(place.identity(by_name).await.unwrap(), plain);
}

/// Without the authority nobody says that it is the server; with another's it is another server.
async fn refuses_who_is_not_proved(place: &Place, other: &DatabaseServer) {
    for ca in [None, Some(other.ca_file())] {
        let config = DatabaseConfig {
            ca,
            ..place.encrypted()
        };
        let error = place.identity(config).await.unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn an_encrypted_connection_is_to_the_server_that_is_meant() {
    for kind in DatabaseKind::ALL {
        on_tls(kind, async |place| {
            believes_the_authority(place).await;
            let dir = tempfile::tempdir().unwrap();
            let other = DatabaseServer::start_with_tls(kind, dir.path())
                .await
                .unwrap();
            refuses_who_is_not_proved(place, &other).await;
            other.stop().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_the_open() {
    for kind in DatabaseKind::ALL {
        on(kind, async |place| {
            let config = DatabaseConfig {
                ca: None,
                ..place.encrypted()
            };
            let error = place.identity(config).await.unwrap_err();
            assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
        })
        .await;
    }
}

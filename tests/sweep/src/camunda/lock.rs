//! Somebody else's lock on a table, held by a session of its own until it is let go.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use liftlock_lab::DatabaseKind;

use super::store::Store;

/// Longest wait for a session to get somewhere.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Somebody who does not end a transaction: what changes the table waits for it.
pub struct Lock {
    store: Store,
    session: Option<u64>,
}

impl Lock {
    /// Takes it; returns when it is held.
    pub fn take(store: &Store, table: &str) -> anyhow::Result<Self> {
        let before = store.others()?;
        // As a writer holds it: PostgreSQL makes an index beside readers.
        store.begin(match store.address().kind() {
            DatabaseKind::PostgreSql => {
                format!("begin; lock table {table} in row exclusive mode; select pg_sleep(120);")
            }
            DatabaseKind::MariaDb => {
                format!("begin; select count(*) from {table}; select sleep(120);")
            }
        });
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let session = store
                .others()?
                .into_iter()
                .find(|session| !before.contains(session));
            if session.is_some() && store.is_asleep()? {
                return Ok(Self {
                    store: store.clone(),
                    session,
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        bail!("`{table}` could not be locked")
    }

    /// Waits until somebody waits for it.
    pub fn until_awaited(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.store.waiting()? == 0 {
            if Instant::now() > until {
                bail!("nobody waits for the lock");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Lets it go.
    pub fn let_go(&mut self) {
        if let Some(session) = self.session.take() {
            self.store.end(session);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.let_go();
    }
}

//! Claims: a row each, with the epoch as primary key, which lets one of several through.
//!
//! The table comes with the first claim and goes with the last. On MySQL and MariaDB it goes only where the role may
//! lock tables: an empty one that stays is no claim.

use liftlock_types::sql::{Dialect, OWN_TABLES};
use liftlock_types::{Claim, ReadError};

use crate::connection::Session;
use crate::literal;
use crate::marker::remove_last;
use crate::trouble::Trouble;

/// Its table, in the schema of the binding.
pub(crate) const CLAIMS: &str = OWN_TABLES[0];

/// How often a claim is written where the table goes away under it.
const TRIES_MAX: u32 = 5;

/// No such table: PostgreSQL, also where it went while we waited for it; MySQL and MariaDB.
const NO_TABLE: &[&str] = &["42P01", "XX000", "1146"];

/// The key is taken.
const TAKEN: &[&str] = &["23505", "1062"];

/// All of them, ordered by epoch.
pub(crate) async fn all(session: &mut Session) -> Result<Vec<Claim>, Trouble> {
    let table = match session
        .rows(&format!("SELECT epoch, claim FROM {CLAIMS} ORDER BY epoch"))
        .await
    {
        Ok(table) => table,
        Err(trouble) if trouble.is(NO_TABLE) => return Ok(Vec::new()),
        Err(trouble) => return Err(trouble),
    };
    Ok(table.rows.into_iter().filter_map(claim_of).collect())
}

/// What cannot be read of a claim stays empty: that it is there is what counts.
fn claim_of(row: Vec<Option<String>>) -> Option<Claim> {
    let mut values = row.into_iter();
    let epoch = values.next()??.parse().ok()?;
    let read = values
        .next()
        .flatten()
        .and_then(|text| serde_json::from_str::<Claim>(&text).ok());
    Some(match read {
        Some(claim) => Claim { epoch, ..claim },
        None => Claim {
            epoch,
            run: String::new(),
            host: String::new(),
            pid: 0,
            pid_start: 0,
            boot_id: String::new(),
            nonce: String::new(),
            state_dir: String::new(),
            since: String::new(),
        },
    })
}

/// Makes it, unless one of its epoch is there; ours is told by its nonce.
pub(crate) async fn make(session: &mut Session, claim: &Claim) -> Result<bool, ReadError> {
    let text =
        serde_json::to_string(claim).map_err(|error| ReadError::Invalid(error.to_string()))?;
    let insert = format!(
        "INSERT INTO {CLAIMS} (epoch, claim) VALUES ({}, {})",
        claim.epoch,
        literal::text(&text)
    );
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {CLAIMS} (epoch bigint NOT NULL PRIMARY KEY, claim text NOT NULL)"
    );
    for _ in 0..TRIES_MAX {
        match session.run(&create).await {
            Err(trouble) if trouble.is_made_at_once() => {}
            other => other.map_err(Trouble::into_read_error)?,
        }
        match session.run(&insert).await {
            Ok(()) => return Ok(true),
            Err(trouble) if trouble.is(NO_TABLE) => {}
            Err(trouble) if trouble.is(TAKEN) => {
                let found = all(session).await.map_err(Trouble::into_read_error)?;
                // Gone while we looked: the next try makes it.
                if let Some(found) = found.iter().find(|found| found.epoch == claim.epoch) {
                    return Ok(found.nonce == claim.nonce);
                }
            }
            Err(trouble) => return Err(trouble.into_read_error()),
        }
    }
    Err(ReadError::Unavailable(format!("`{CLAIMS}` comes and goes")))
}

/// Removes the claim of this epoch, and the table with the last one.
pub(crate) async fn remove(session: &mut Session, epoch: u64) -> Result<(), Trouble> {
    let condition = format!("epoch = {epoch}");
    if session.dialect() == Dialect::Postgresql {
        return remove_last(session, CLAIMS, &condition).await;
    }
    match session
        .run(&format!("DELETE FROM {CLAIMS} WHERE {condition}"))
        .await
    {
        Err(trouble) if trouble.is(NO_TABLE) => return Ok(()),
        other => other?,
    }
    if let Err(trouble) = drop_empty(session).await {
        tracing::debug!(?trouble, "an empty `{CLAIMS}` stays");
    }
    Ok(())
}

/// Under a lock, so that no claim is written between the look and the end of the table.
async fn drop_empty(session: &mut Session) -> Result<(), Trouble> {
    session.run(&format!("LOCK TABLES {CLAIMS} WRITE")).await?;
    let looked = match session.one(&format!("SELECT count(*) FROM {CLAIMS}")).await {
        Ok(count) if count == "0" => session.run(&format!("DROP TABLE {CLAIMS}")).await,
        Ok(_) => Ok(()),
        Err(trouble) => Err(trouble),
    };
    session.run("UNLOCK TABLES").await?;
    looked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_cannot_be_read_is_still_a_claim() {
        let claim = claim_of(vec![Some("7".into()), Some("{}".into())]).unwrap();
        assert_eq!((claim.epoch, claim.run.as_str()), (7, ""));
        assert!(claim_of(vec![Some("x".into()), None]).is_none());
        assert_eq!(claim_of(vec![Some("1".into()), None]).unwrap().epoch, 1);
    }
}

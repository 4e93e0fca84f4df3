//! Several statements in one transaction, and how long a statement waits for a lock.

use serde::{Deserialize, Serialize};

use super::{Dialect, Result, Shape, SqlError, Statement, refused};

/// Most statements of one transaction.
///
/// A hundred: the vendors' longest upgrade script seen has 70. All locks of a transaction are held until its end.
pub const TOGETHER_MAX: usize = 100;

/// How long a lock is waited for where a plan says nothing, milliseconds.
///
/// Three seconds: whoever waits for a table's lock makes all who come later wait behind it.
pub const LOCK_MS_DEFAULT: u32 = 3_000;

/// Shortest wait for a lock, milliseconds.
///
/// A tenth of a second: less than a busy table is ever free. Servers that count in seconds round up.
pub const LOCK_MS_MIN: u32 = 100;

/// Longest wait for a lock, milliseconds.
pub const LOCK_MS_MAX: u32 = 60_000;

/// How often a lock is tried for where a plan says nothing.
pub const ATTEMPTS_DEFAULT: u32 = 10;

/// Most tries for a lock.
pub const ATTEMPTS_MAX: u32 = 100;

/// How long and how often a lock is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Said", into = "Said")]
pub struct LockPatience {
    timeout_ms: u32,
    attempts: u32,
}

/// As a plan and the journal hold it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    timeout_ms: u32,
    attempts: u32,
}

impl Default for LockPatience {
    fn default() -> Self {
        Self {
            timeout_ms: LOCK_MS_DEFAULT,
            attempts: ATTEMPTS_DEFAULT,
        }
    }
}

impl LockPatience {
    /// Refuses what is outside the bounds; none means the default.
    pub fn new(timeout_ms: Option<u32>, attempts: Option<u32>) -> Result<Self> {
        let timeout_ms = timeout_ms.unwrap_or(LOCK_MS_DEFAULT);
        let attempts = attempts.unwrap_or(ATTEMPTS_DEFAULT);
        if !(LOCK_MS_MIN..=LOCK_MS_MAX).contains(&timeout_ms) {
            return refused(format!(
                "a lock is waited for {LOCK_MS_MIN} to {LOCK_MS_MAX} ms, not {timeout_ms}"
            ));
        }
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            return refused(format!(
                "a lock is tried for 1 to {ATTEMPTS_MAX} times, not {attempts}"
            ));
        }
        Ok(Self {
            timeout_ms,
            attempts,
        })
    }

    /// Of one try, milliseconds.
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// How often it is tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl TryFrom<Said> for LockPatience {
    type Error = SqlError;
    fn try_from(said: Said) -> Result<Self> {
        Self::new(Some(said.timeout_ms), Some(said.attempts))
    }
}

impl From<LockPatience> for Said {
    fn from(patience: LockPatience) -> Self {
        Self {
            timeout_ms: patience.timeout_ms,
            attempts: patience.attempts,
        }
    }
}

/// Statements of one transaction: 1 to [`TOGETHER_MAX`], of PostgreSQL, none of which needs to stand alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Statement>", into = "Vec<Statement>")]
pub struct Together(Vec<Statement>);

impl Together {
    /// Refuses what cannot be one transaction.
    pub fn new(statements: Vec<Statement>) -> Result<Self> {
        if statements.is_empty() || statements.len() > TOGETHER_MAX {
            return refused(format!(
                "1 to {TOGETHER_MAX} statements go together, not {}",
                statements.len()
            ));
        }
        for statement in &statements {
            if statement.dialect() != Dialect::Postgresql {
                return refused(
                    "MySQL and MariaDB commit each change of a table by itself: `execute` them one by one",
                );
            }
            if let Shape::CreateIndex {
                concurrently: true, ..
            } = statement.shape()
            {
                return refused(format!(
                    "`{}` cannot be part of a transaction: `execute` it by itself",
                    statement.text()
                ));
            }
        }
        Ok(Self(statements))
    }

    /// In order.
    pub fn statements(&self) -> &[Statement] {
        &self.0
    }
}

impl TryFrom<Vec<Statement>> for Together {
    type Error = SqlError;
    fn try_from(statements: Vec<Statement>) -> Result<Self> {
        Self::new(statements)
    }
}

impl From<Together> for Vec<Statement> {
    fn from(together: Together) -> Self {
        together.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(dialect: Dialect, text: &str) -> Statement {
        Statement::parse(dialect, text).unwrap()
    }

    #[test]
    fn waits_have_bounds_that_a_plan_written_by_hand_cannot_pass() {
        assert_eq!(
            LockPatience::new(None, None).unwrap(),
            LockPatience::default()
        );
        for (ms, attempts) in [(99, 1), (60_001, 1), (100, 0), (100, 101)] {
            assert!(
                LockPatience::new(Some(ms), Some(attempts)).is_err(),
                "{ms}, {attempts}"
            );
            let text = format!(r#"{{"timeout_ms":{ms},"attempts":{attempts}}}"#);
            assert!(
                serde_json::from_str::<LockPatience>(&text).is_err(),
                "{text}"
            );
        }
        let read: LockPatience =
            serde_json::from_str(r#"{"timeout_ms":100,"attempts":100}"#).unwrap();
        assert_eq!((read.timeout_ms(), read.attempts()), (100, 100));
    }

    #[test]
    fn only_what_can_be_one_transaction_goes_together() {
        let add = || statement(Dialect::Postgresql, "alter table t add column a integer");
        assert!(Together::new(vec![add()]).is_ok());
        for (bad, why) in [
            (vec![], "1 to 100"),
            (vec![add(); TOGETHER_MAX + 1], "1 to 100"),
            (
                vec![statement(
                    Dialect::Mysql,
                    "alter table t add column a integer",
                )],
                "`execute`",
            ),
            (
                vec![statement(
                    Dialect::Postgresql,
                    "create index concurrently i on t (a)",
                )],
                "by itself",
            ),
        ] {
            let text = serde_json::to_string(&bad).unwrap();
            assert!(serde_json::from_str::<Together>(&text).is_err(), "{text}");
            let error = Together::new(bad).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}

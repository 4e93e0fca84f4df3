//! Ids of runs, and instants that we wrote.

use liftlock_gate::now_ms;
use liftlock_types::RunId;

use crate::code::Code;
use crate::failure::Failure;

/// A new run's id: the instant, for people, and enough chance that two never meet.
pub(crate) fn new_id() -> Result<RunId, Failure> {
    let stamp: String = liftlock_gate::iso(now_ms())
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let (day, time) = stamp.split_at(stamp.len().min(8));
    let chance = uuid::Uuid::new_v4().simple().to_string();
    let chance = chance.get(..6).unwrap_or_default();
    RunId::new(format!("r-{day}-{time}-{chance}"))
        .map_err(|e| Failure::new(Code::Internal, "a run's id cannot be made").because(&e))
}

/// Milliseconds since 1970 of an instant that we wrote.
pub(crate) fn instant_ms(text: &str) -> Result<i64, Failure> {
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|e| {
            Failure::new(
                Code::PlanUnreadable,
                format!("`{}` is no instant", text.escape_debug()),
            )
            .because(&e)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_of_the_instant_and_chance() {
        let (one, two) = (new_id().unwrap(), new_id().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), "r-20261121-090018-3f9a12".len());
    }

    #[test]
    fn an_instant_of_ours_reads_back() {
        assert_eq!(
            instant_ms(&liftlock_gate::iso(1_700_000_000_123)).unwrap(),
            1_700_000_000_123
        );
        assert!(instant_ms("yesterday").is_err());
    }
}

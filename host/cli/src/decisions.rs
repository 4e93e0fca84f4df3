//! A person's word on a doubt: `--decide STEP=done --reason TEXT`.

use liftlock_gate::Decision;
use liftlock_types::StepId;

use crate::args::Decided;
use crate::code::Code;
use crate::failure::Failure;

/// Every `--decide` of a command line; each needs the reason.
pub(crate) fn read(decided: &Decided) -> Result<Vec<Decision>, Failure> {
    decided
        .decide
        .iter()
        .map(|text| {
            let wrong = |why: &str| {
                Failure::new(Code::Arguments, format!("`--decide {}` {why}", text.escape_debug()))
                    .untouched("nothing was sent; no decision was recorded")
                    .remedy("write `--decide STEP=done` if the change is there as the plan has it, `--decide STEP=not-done` if nothing of it is")
            };
            let (step, answer) = text.split_once('=').ok_or_else(|| wrong("has no `=`"))?;
            let done = match answer {
                "done" => true,
                "not-done" => false,
                _ => return Err(wrong("answers neither `done` nor `not-done`")),
            };
            let reason = decided.reason.clone().unwrap_or_default();
            if reason.trim().is_empty() {
                return Err(wrong("needs a reason: `--reason TEXT`"));
            }
            let step = StepId::new(step).map_err(|e| wrong("names no step").because(&e))?;
            Ok(Decision { step, done, reason })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(decide: &str, reason: Option<&str>) -> Decided {
        Decided {
            decide: vec![decide.into()],
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_decision_names_a_step_an_answer_and_a_reason() {
        let read_well = read(&decided("a=not-done", Some("seen"))).unwrap();
        assert!(!read_well[0].done && read_well[0].reason == "seen");
        for (text, reason) in [
            ("a", Some("x")),
            ("a=maybe", Some("x")),
            ("A b=done", Some("x")),
            ("a=done", Some(" ")),
        ] {
            assert_eq!(
                read(&decided(text, reason)).unwrap_err().code(),
                Code::Arguments,
                "{text}"
            );
        }
    }
}

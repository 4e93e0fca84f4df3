//! `resume`: go on with a run that stopped.

use liftlock_gate::Decision;
use liftlock_types::StepId;

use crate::args;
use crate::code::Code;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;
use crate::running::{self, Verb};

pub(super) async fn resume(context: &Context, args: args::Resume) -> Result<Answer, Failure> {
    let decisions = decisions(&args)?;
    let (assembly, _) = running::again(context, &args.run, args.by.as_deref(), true).await?;
    running::check_unchanged(&assembly.file.plan, &assembly.grant, &assembly.targets)?;
    context.ui.say(&format!("resumes run {}", assembly.run));
    running::work(context, assembly, Verb::Resume(decisions)).await
}

/// `--decide STEP=done`, with a reason.
fn decisions(args: &args::Resume) -> Result<Vec<Decision>, Failure> {
    args.decide
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
            let reason = args.reason.clone().unwrap_or_default();
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

    fn args(decide: &str, reason: Option<&str>) -> args::Resume {
        args::Resume {
            run: "r".into(),
            decide: vec![decide.into()],
            reason: reason.map(str::to_owned),
            by: None,
        }
    }

    #[test]
    fn a_decision_names_a_step_an_answer_and_a_reason() {
        let decided = decisions(&args("a=not-done", Some("seen"))).unwrap();
        assert!(!decided[0].done && decided[0].reason == "seen");
        for (text, reason) in [
            ("a", Some("x")),
            ("a=maybe", Some("x")),
            ("A b=done", Some("x")),
            ("a=done", Some(" ")),
        ] {
            assert_eq!(
                decisions(&args(text, reason)).unwrap_err().code(),
                Code::Arguments,
                "{text}"
            );
        }
    }
}

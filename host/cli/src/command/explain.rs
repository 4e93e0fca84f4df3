//! `explain`: what a code means.

use crate::args;
use crate::code::Code;
use crate::explain;
use crate::failure::Failure;
use crate::output::Answer;

pub(super) fn explain(args: &args::Explain) -> Result<Answer, Failure> {
    let Some(word) = &args.code else {
        let all = explain::all();
        return Ok(Answer::done(explain::list(&all), &explain::data(all)));
    };
    let entries = explain::entries(word);
    if entries.is_empty() {
        return Err(Failure::new(Code::NotExplained, format!("nothing is known as `{}`", word.escape_debug()))
            .remedy("look at the list; a plugin's own findings say what, why and remedy where they are printed")
            .next("liftlock explain"));
    }
    Ok(Answer::done(
        explain::text(&entries),
        &explain::data(entries),
    ))
}

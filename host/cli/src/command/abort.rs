//! `abort`: end a run that is not to go on.

use crate::args;
use crate::code::Code;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;
use crate::running::{self, Over, Verb};

pub(super) async fn abort(context: &Context, args: args::Abort) -> Result<Answer, Failure> {
    if args.reason.trim().is_empty() {
        return Err(Failure::new(Code::Arguments, "an abort needs a reason")
            .remedy("say why with `--reason TEXT`"));
    }
    let journal = context.state()?.journal().await?;
    let by = args.by.as_deref();
    let assembly = running::again(context, journal, &args.run, by, Over::Refused).await?;
    context.ui.say(&format!("aborts run {}", assembly.run));
    running::work(context, assembly, Verb::Abort(args.reason)).await
}

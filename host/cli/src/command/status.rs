//! `status`: where a run stands.

use crate::args;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;
use crate::runs;
use crate::state::journal_failure;

pub(super) async fn status(context: &Context, args: args::Status) -> Result<Answer, Failure> {
    let state = context.state()?;
    let journal = state.journal_to_read().await?;
    let id = runs::find(&journal, args.run.as_deref()).await?;
    let run = runs::state_of(&journal, &id).await?;
    let whole = journal.state(&id).await.map_err(|e| journal_failure(&e))?;
    // The pins may be gone with a damaged journal; what the rows say is said all the same.
    let plans = runs::plans_of(&journal, &id).await.unwrap_or_default();
    // Asked only where it can matter: the answer takes the journal's lock for a moment.
    let busy = if run.ended.is_none() && run.stopped.is_none() {
        state.holder().await
    } else {
        None
    };
    let standing = runs::standing(&run, &whole, busy.as_deref());
    let data = runs::data(&run, &plans, &standing);
    if let Some(next) = &data.next {
        context.say_next(next);
    }
    Ok(Answer::done(runs::text(&data), &data))
}

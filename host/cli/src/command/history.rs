//! `history`: the runs on this state directory.

use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Answer;
use crate::runs::{self, RunData};
use crate::state::journal_failure;
use crate::view::Table;

/// All runs, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryData {
    runs: Vec<RunData>,
}

pub(super) async fn history(context: &Context) -> Result<Answer, Failure> {
    let state = context.state()?;
    if !state.has_journal() {
        context.ui.say(&format!(
            "no run was ever begun in {}",
            state.dir().display()
        ));
        return Ok(Answer::done("", &HistoryData { runs: Vec::new() }));
    }
    let journal = state.journal_to_read().await?;
    let mut table = Table::new(&[
        "RUN",
        "SITE",
        "FROM -> TO",
        "RESULT",
        "STEPS",
        "DOUBTS",
        "TIME",
        "BY",
    ]);
    let mut list = Vec::new();
    for summary in journal.runs().await.map_err(|e| journal_failure(&e))? {
        let run = runs::state_of(&journal, &summary.run).await?;
        let plans = runs::plans_of(&journal, &summary.run)
            .await
            .unwrap_or_default();
        let open = run.ended.is_none() && run.stopped.is_none();
        let busy = if open { state.holder().await } else { None };
        let standing = runs::standing(&run, &summary.state, busy.as_deref());
        let data = runs::data(&run, &plans, &standing);
        table.row(data.cells());
        list.push(data);
    }
    Ok(Answer::done(table.render(0), &HistoryData { runs: list }))
}

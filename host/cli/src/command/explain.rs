//! `explain`: what a code means.

use std::collections::BTreeSet;

use crate::args;
use crate::code::Code;
use crate::context::Context;
use crate::explain::{self, Entry};
use crate::failure::Failure;
use crate::guest;
use crate::output::Answer;
use crate::store::Store;

pub(super) async fn explain(context: &Context, args: args::Explain) -> Result<Answer, Failure> {
    let Some(word) = &args.code else {
        let all = explain::all();
        return Ok(Answer::done(explain::list(&all), &explain::data(all)));
    };
    let mut entries = explain::entries(word);
    if entries.is_empty() && explain::may_be_a_plugins(word) {
        entries = of_plugins(context, word).await?;
    }
    if entries.is_empty() {
        return Err(Failure::new(
            Code::NotExplained,
            format!("nothing is known as `{}`", word.escape_debug()),
        )
        .remedy("look at the list; a plugin's own findings are known once the plugin is added")
        .next("liftlock explain"));
    }
    Ok(Answer::done(
        explain::text(&entries),
        &explain::data(entries),
    ))
}

/// What the installed plugins say of it, the one that was added last first. Of several versions of one plugin the
/// last speaks.
async fn of_plugins(context: &Context, word: &str) -> Result<Vec<Entry>, Failure> {
    let state = context.state()?;
    let mut asked = BTreeSet::new();
    for installed in Store::open(&state)?.list()?.into_iter().rev() {
        if !asked.insert(installed.name.clone()) {
            continue;
        }
        let guest = guest::open(&state, installed.digest.hex()).await?;
        let found = explain::of_plugin(&guest.descriptor, word);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

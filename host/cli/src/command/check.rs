//! `check`: what stands in the way of an upgrade.

use liftlock_types::Moment;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::escape;
use crate::failure::Failure;
use crate::output::Answer;
use crate::planning;
use crate::view::findings::{self, FindingData};

/// Findings.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CheckData {
    site: String,
    plugin: String,
    from: Option<String>,
    to: String,
    blockers: usize,
    findings: Vec<FindingData>,
}

pub(super) async fn check(context: &Context, args: args::Check) -> Result<Answer, Failure> {
    let ready = planning::ready(context, &args.with).await?;
    let (ready, _, target) = planning::aim(ready, args.version.as_deref()).await?;
    let found = ready.planner.findings(Moment::Asked).await?;
    let data = CheckData {
        site: ready.site.name.clone(),
        plugin: escape::line(&ready.guest.installed.label()),
        from: target.from.as_deref().map(escape::line),
        to: escape::line(&target.to),
        blockers: findings::blockers(&found).count(),
        findings: findings::data(&found),
    };
    let mut text = format!(
        "{} -> {} on site {}: {}\n",
        data.from.as_deref().unwrap_or("?"),
        data.to,
        data.site,
        findings::totals(&found)
    );
    text.push_str(&findings::text(&found, context.ui.paint()));
    let answer = Answer::done(text, &data);
    if data.blockers > 0 {
        return Ok(answer.failed(planning::blocked(&found, &data.to)));
    }
    context.ui.say(&format!(
        "next: {}",
        context.command(&format!("plan {}", data.to))
    ));
    Ok(answer)
}

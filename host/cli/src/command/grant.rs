//! `grant`: allow a plugin what it asks for on this site, or less.

use crate::args;
use crate::connect::connect;
use crate::context::Context;
use crate::failure::Failure;
use crate::grants::to_toml;
use crate::output::Answer;
use crate::{granting, guest};

pub(super) async fn grant(context: &Context, args: args::Grant) -> Result<Answer, Failure> {
    let site = context.site()?;
    let guest = guest::of_site(context, &site, &args.with).await?;
    granting::options(&site, &guest)?;
    let targets = connect(&site, &context.state()?).await?;
    if args.show {
        let (_, grant, data) = granting::asked(&site, &guest, &targets).await?;
        return Ok(Answer::done(to_toml(&[grant])?, &data));
    }
    let (_, data) = granting::ask(context, &site, &guest, &targets, args.with.yes).await?;
    Ok(Answer::done("", &data))
}

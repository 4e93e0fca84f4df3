//! The question: may this plugin do on this site what it asks for?

use std::collections::BTreeMap;

use liftlock_gate::{iso, now_ms};
use liftlock_types::{Grant, resolve_options};

use crate::code::Code;
use crate::connect::Targets;
use crate::context::Context;
use crate::failure::Failure;
use crate::grants::{Asking, Grants, to_toml};
use crate::guest::Guest;
use crate::here::Here;
use crate::site::Site;
use crate::view::grant::{self as screen, GrantData};
use crate::who;

/// How often an unclear answer is asked again.
const ANSWERS_MAX: usize = 5;

/// The site's options with the plugin's defaults.
pub(crate) fn options(site: &Site, guest: &Guest) -> Result<BTreeMap<String, String>, Failure> {
    resolve_options(&guest.descriptor, &site.options).map_err(|why| {
        Failure::new(
            Code::Options,
            format!(
                "the options in `{}` do not fit the plugin",
                site.file().display()
            ),
        )
        .cause(why)
        .untouched("no target was contacted")
        .remedy("mend [options]")
        .next(format!(
            "liftlock plugin show {}",
            guest.installed.digest.short()
        ))
    })
}

/// The grant that the plugin has, or the one that the operator gives now.
///
/// A grant for another build of the plugin, for other options or for another target is no grant.
pub(crate) async fn ensure(
    context: &Context,
    site: &Site,
    guest: &Guest,
    targets: &Targets,
    yes: bool,
) -> Result<Grant, Failure> {
    known_or_asked(context, site, guest, targets, yes, Grants::put).await
}

/// The same in the middle of a run: the grant of the build that made its plan stays, as the run may still go on by it
/// or back.
pub(crate) async fn ensure_beside(
    context: &Context,
    site: &Site,
    guest: &Guest,
    targets: &Targets,
    yes: bool,
) -> Result<Grant, Failure> {
    known_or_asked(context, site, guest, targets, yes, Grants::add).await
}

/// How a grant is written.
type Put = fn(&mut Grants, Grant) -> Result<(), Failure>;

async fn known_or_asked(
    context: &Context,
    site: &Site,
    guest: &Guest,
    targets: &Targets,
    yes: bool,
    put: Put,
) -> Result<Grant, Failure> {
    let options = options(site, guest)?;
    let grants = Grants::load(site)?;
    match grants.of_plugin(&guest.descriptor.name, &site.name, &guest.installed.digest) {
        Some(known) if known.digest == guest.installed.digest && known.options == options => {
            check_identities(known, targets)?;
            known.within(&guest.descriptor).map_err(|denied| {
                Failure::new(
                    Code::GrantsInvalid,
                    format!("`{}` cannot be used", grants.file().display()),
                )
                .because(&denied)
                .cause(denied.allowed_by.clone())
                .remedy("make the line narrower, or ask again")
                .next("liftlock grant")
            })?;
            Ok(known.clone())
        }
        _ => Ok(ask_and(context, site, guest, targets, yes, put).await?.0),
    }
}

/// Behind each granted binding answers who answered when it was granted.
fn check_identities(grant: &Grant, targets: &Targets) -> Result<(), Failure> {
    for granted in &grant.bindings {
        let Some(now) = targets.identities.get(&granted.binding) else {
            continue;
        };
        if now.fingerprint != granted.identity {
            return Err(Failure::new(
                Code::OtherTarget,
                format!(
                    "`{}` leads to another target than the one that was granted",
                    granted.binding
                ),
            )
            .cause(format!("granted on {}", granted.identity))
            .cause(format!("now        {} ({})", now.fingerprint, now.product))
            .remedy("put the address in site.toml right; if the new target is meant, grant again")
            .next("liftlock grant"));
        }
    }
    Ok(())
}

/// What is asked for, and the screen that shows it.
pub(crate) async fn asked(
    site: &Site,
    guest: &Guest,
    targets: &Targets,
) -> Result<(Grants, Grant, GrantData), Failure> {
    let options = options(site, guest)?;
    let grants = Grants::load(site)?;
    let old = grants.find(&guest.descriptor.name, &site.name).cloned();
    let by = who::by(None);
    let grant = Asking {
        descriptor: &guest.descriptor,
        digest: &guest.installed.digest,
        site,
        options: &options,
        identities: &targets.identities,
        by: &by,
        at: iso(now_ms()),
    }
    .grant()?;
    grant.within(&guest.descriptor).map_err(|denied| {
        Failure::new(
            Code::PluginUnusable,
            "what the plugin asks for contradicts itself",
        )
        .because(&denied)
    })?;
    let here = Here::look(site, &targets.bindings).await;
    let data = screen::data(
        &guest.installed.label(),
        &guest.descriptor,
        &grant,
        old.as_ref(),
        &here,
        |binding| targets.identities.get(binding).cloned(),
    );
    Ok((grants, grant, data))
}

/// Asks, and writes what was allowed.
pub(crate) async fn ask(
    context: &Context,
    site: &Site,
    guest: &Guest,
    targets: &Targets,
    yes: bool,
) -> Result<(Grant, GrantData), Failure> {
    ask_and(context, site, guest, targets, yes, Grants::put).await
}

async fn ask_and(
    context: &Context,
    site: &Site,
    guest: &Guest,
    targets: &Targets,
    yes: bool,
    put: Put,
) -> Result<(Grant, GrantData), Failure> {
    let (mut grants, grant, mut data) = asked(site, guest, targets).await?;
    let ui = &context.ui;
    let text = screen::text(&data, ui.paint_talk());
    if !yes && !ui.can_ask() {
        ui.show(text.trim_end());
        return Err(Failure::new(
            Code::NoGrant,
            format!(
                "`{}` has no grant on site `{}` for what it asks",
                guest.descriptor.name, site.name
            ),
        )
            .remedy("look at what it asks for (above, or `liftlock grant --show`); then write the grant, or a narrower one by hand")
            .next("liftlock grant --yes"));
    }
    ui.show(text.trim_end());
    if !yes {
        question(context, site, guest, &grant)?;
    }
    put(&mut grants, grant.clone())?;
    data.written = true;
    ui.say(&format!("granted; written to {}", grants.file().display()));
    Ok((grant, data))
}

fn question(context: &Context, site: &Site, guest: &Guest, grant: &Grant) -> Result<(), Failure> {
    let declined = || {
        Failure::new(
            Code::GrantDeclined,
            format!(
                "`{}` was not granted what it asks for on site `{}`",
                guest.descriptor.name, site.name
            ),
        )
        .untouched("grants.toml is as it was; nothing was sent that changes anything")
        .remedy("write a narrower grant by hand, or leave it")
        .next("liftlock grant --show")
    };
    for _ in 0..ANSWERS_MAX {
        match context
            .ui
            .ask("Grant? [y]es, [n]o, [s]how grants.toml")
            .as_deref()
        {
            Some("y" | "Y" | "yes") => return Ok(()),
            Some("s" | "S" | "show") => context.ui.show(&to_toml(std::slice::from_ref(grant))?),
            Some("n" | "N" | "no") | None => return Err(declined()),
            Some(_) => context.ui.warn("please answer y, n or s"),
        }
    }
    Err(declined())
}

//! The command that fills the targets of a rehearsal from a backup: the operator's own, as only they know where that is.

use std::io;
use std::path::{self, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use crate::code::Code;
use crate::context::{Context, word};
use crate::failure::{self, Failure};
use crate::running;
use crate::site::Site;
use crate::view::duration;

/// Runs it in the site's directory, with all that it says on stderr; it takes as long as it takes.
///
/// Refused while a rehearsal stands open: it would be performed on other data from then on. Nobody begins one meanwhile,
/// as the journal of the rehearsals is held.
pub(crate) async fn fill(context: &Context, site: &Site, version: &str) -> Result<(), Failure> {
    let Some((program, arguments)) = site.fill.as_deref().and_then(<[String]>::split_first) else {
        return Ok(());
    };
    let journal = context.state()?.journal().await?;
    running::check_none_open(&journal, &site.name)
        .await
        .map_err(|failure| failure.with_options(&context.options()))?;
    // Its arguments may be secrets.
    let shown = program.escape_debug();
    let failed = |what: String| {
        Failure::new(Code::NotFilled, what)
            .untouched("nothing was rehearsed; what it did to the targets of the rehearsal stays")
            .remedy("run it by hand and see what it says; then rehearse again")
            .next(format!("liftlock rehearse {} --fill", word(version)))
    };
    context
        .ui
        .say(&format!("filling the targets of the rehearsal: {shown}"));
    let begun = Instant::now();
    let dir =
        path::absolute(site.dir()).map_err(|error| failure::file("find", site.dir(), &error))?;
    // A name with a separator is a file beside the site's.
    let program = if program.contains('/') {
        dir.join(program)
    } else {
        PathBuf::from(program)
    };
    let ended = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| failed(format!("`{shown}` could not be started: {error}")))?;
    if !ended.success() {
        return Err(failed(format!("`{shown}` ended with {ended}")));
    }
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    context.ui.say(&format!("filled in {}", duration(took)));
    Ok(())
}

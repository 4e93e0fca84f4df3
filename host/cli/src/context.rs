//! What every command has: where it talks, which site, which state.

use std::path::{Path, PathBuf};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Ui;
use crate::site::{self, Site};
use crate::state::State;

/// Handed to each command.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where it talks.
    pub(crate) ui: Ui,
    global: Global,
}

impl Context {
    /// Of this command line.
    pub(crate) fn new(global: Global) -> Self {
        let ui = Ui::new(global.json, global.quiet, global.verbose, global.no_color);
        Self { ui, global }
    }

    /// What `--site` says.
    pub(crate) fn site_path(&self) -> &Path {
        &self.global.site
    }

    /// The site, or its rehearsal.
    pub(crate) fn site(&self) -> Result<Site, Failure> {
        self.site_at(&self.global.site)
    }

    /// The site of this file, or its rehearsal.
    pub(crate) fn site_at(&self, file: &Path) -> Result<Site, Failure> {
        let site = Site::load(file)?;
        if self.global.rehearsal {
            site.into_rehearsal()
        } else {
            Ok(site)
        }
    }

    /// Where its grants and plans are.
    pub(crate) fn home(&self) -> PathBuf {
        site::home_of(&site::file_of(&self.global.site), self.global.rehearsal)
    }

    /// The state directory, or the part of it that the rehearsals have; nothing is made yet.
    pub(crate) fn state(&self) -> Result<State, Failure> {
        let state = State::locate(self.global.state.as_deref(), self.global.volatile_state)?;
        Ok(if self.global.rehearsal {
            state.of_rehearsals()
        } else {
            state
        })
    }

    /// Where the records of rehearsals are.
    pub(crate) fn rehearsals_dir(&self) -> PathBuf {
        site::home_of(&site::file_of(&self.global.site), true)
    }

    /// It means the rehearsal of the site.
    pub(crate) fn is_rehearsal(&self) -> bool {
        self.global.rehearsal
    }

    /// The same command on the rehearsal of the site, or on the site itself.
    pub(crate) fn on_rehearsal(&self, rehearsal: bool) -> Self {
        let global = Global {
            rehearsal,
            ..self.global.clone()
        };
        Self {
            ui: self.ui,
            global,
        }
    }

    /// The options that a command typed next needs to mean the same site and state.
    pub(crate) fn options(&self) -> String {
        let mut out = String::new();
        if self.global.site != Path::new(".") {
            out.push_str(&format!(
                " --site {}",
                word(&self.global.site.display().to_string())
            ));
        }
        if let Some(state) = &self.global.state {
            out.push_str(&format!(" --state {}", word(&state.display().to_string())));
        }
        if self.global.rehearsal {
            out.push_str(" --rehearsal");
        }
        out
    }

    /// A command to type next.
    pub(crate) fn command(&self, rest: &str) -> String {
        with_options(&format!("liftlock {rest}"), &self.options())
    }

    /// Says which command to type next.
    pub(crate) fn say_next(&self, command: &str) {
        self.ui
            .say(&format!("next: {}", with_options(command, &self.options())));
    }
}

/// A command, or two joined by `&&`, with these options added to each; one that names another place or a rehearsal has
/// its own.
pub(crate) fn with_options(command: &str, options: &str) -> String {
    if command.contains(" --state ") || command.ends_with(" --rehearsal") {
        return command.to_owned();
    }
    let joined = command.replace(" && liftlock ", &format!("{options} && liftlock "));
    format!("{joined}{options}")
}

/// A word as a shell takes it.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_to_each_of_two_commands() {
        assert_eq!(
            with_options("liftlock a && liftlock b", " --site x"),
            "liftlock a --site x && liftlock b --site x"
        );
        for own in ["liftlock a --state y", "liftlock a --site y --rehearsal"] {
            assert_eq!(with_options(own, " --state x"), own);
        }
    }

    #[test]
    fn a_word_with_a_space_or_a_quote_survives_the_shell() {
        assert_eq!(word("/a/b-c.toml"), "/a/b-c.toml");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }
}

//! What every command has: where it talks, which site, which state.

use std::path::Path;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Ui;
use crate::site::Site;
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

    /// The site.
    pub(crate) fn site(&self) -> Result<Site, Failure> {
        Site::load(&self.global.site)
    }

    /// The state directory; nothing is made yet.
    pub(crate) fn state(&self) -> Result<State, Failure> {
        State::locate(self.global.state.as_deref(), self.global.volatile_state)
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

/// A command, or two joined by `&&`, with these options added to each; one that names another place has its own.
pub(crate) fn with_options(command: &str, options: &str) -> String {
    if command.contains(" --state ") {
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
        assert_eq!(
            with_options("liftlock a --state y", " --state x"),
            "liftlock a --state y"
        );
    }

    #[test]
    fn a_word_with_a_space_or_a_quote_survives_the_shell() {
        assert_eq!(word("/a/b-c.toml"), "/a/b-c.toml");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }
}

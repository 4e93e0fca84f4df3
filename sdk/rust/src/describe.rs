//! What a plugin says of itself: edges, requests with reasons, options.
//!
//! ```
//! use liftlock_sdk::prelude::*;
//!
//! let request = describe::one("cluster.database", "the search cluster of the product")
//!     .verb("cluster.observe", &[], "its version and health")
//!     .verb("cluster.read", &["{prefix}-*"], "the product's indices")
//!     .verb_at_most("cluster.delete-index", &["{prefix}-old_v1"], 1, "version 2 does without it");
//! assert_eq!(request.verbs.len(), 3);
//! let option = describe::text("prefix", "acme", "what all index names begin with");
//! assert_eq!(option.default.as_deref(), Some("acme"));
//! ```

pub use crate::bindings::exports::liftlock::upgrade::upgrade::{
    Descriptor, Edge, KnownFinding, Need, OptionKind, OptionSpec, Request, VerbRequest,
};

/// From versions that begin with `from` to versions that begin with `to`.
pub fn edge(from: &str, to: &str, note: &str) -> Edge {
    Edge {
        from: from.into(),
        to: to.into(),
        note: note.into(),
    }
}

/// A finding that the plugin may report, for `liftlock explain`.
pub fn finding(id: &str, means: &str, remedy: &str, source: &str) -> KnownFinding {
    KnownFinding {
        id: id.into(),
        means: means.into(),
        remedy: remedy.into(),
        source: source.into(),
    }
}

/// A binding that must be there.
pub fn one(binding: &str, why: &str) -> Request {
    request(binding, Need::One, why)
}

/// A binding that may lack; [`Site::has`](crate::site::Site::has) says whether it does.
pub fn optional(binding: &str, why: &str) -> Request {
    request(binding, Need::Optional, why)
}

/// All bindings that match; `binding` may end in `*`.
pub fn many(binding: &str, why: &str) -> Request {
    request(binding, Need::Many, why)
}

fn request(binding: &str, need: Need, why: &str) -> Request {
    Request {
        binding: binding.into(),
        need,
        verbs: Vec::new(),
        why: why.into(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

impl Request {
    /// Asks for a verb. A scope is a literal or a literal with one trailing `*` and may hold `{option}`; none
    /// where the verb names nothing. One that begins with `{option?}` is asked for only where that option is not empty.
    #[must_use]
    pub fn verb(self, verb: &str, scope: &[&str], why: &str) -> Self {
        self.push(verb, scope, None, why)
    }

    /// Likewise, for at most so many changes in one plan.
    #[must_use]
    pub fn verb_at_most(self, verb: &str, scope: &[&str], at_most: u32, why: &str) -> Self {
        self.push(verb, scope, Some(at_most), why)
    }

    /// Takes these away from the scope of the verb that was asked for last.
    #[must_use]
    pub fn except(mut self, except: &[&str]) -> Self {
        if let Some(verb) = self.verbs.last_mut() {
            verb.except.extend(texts(except));
        }
        self
    }

    fn push(mut self, verb: &str, scope: &[&str], at_most: Option<u32>, why: &str) -> Self {
        self.verbs.push(VerbRequest {
            verb: verb.into(),
            scope: texts(scope),
            except: Vec::new(),
            at_most,
            why: why.into(),
        });
        self
    }
}

/// A text option.
pub fn text(name: &str, default: &str, help: &str) -> OptionSpec {
    option(name, OptionKind::Text, default, help)
}

/// A whole number.
pub fn number(name: &str, default: u64, help: &str) -> OptionSpec {
    option(name, OptionKind::Number, &default.to_string(), help)
}

/// `true` or `false`.
pub fn flag(name: &str, default: bool, help: &str) -> OptionSpec {
    option(
        name,
        OptionKind::Flag,
        if default { "true" } else { "false" },
        help,
    )
}

/// One of a list, the first of which is the default.
pub fn choice(name: &str, choices: &[&str], help: &str) -> OptionSpec {
    let default = choices.first().copied().unwrap_or_default();
    OptionSpec {
        choices: texts(choices),
        ..option(name, OptionKind::Choice, default, help)
    }
}

fn option(name: &str, kind: OptionKind, default: &str, help: &str) -> OptionSpec {
    OptionSpec {
        name: name.into(),
        kind,
        choices: Vec::new(),
        default: Some(default.into()),
        help: help.into(),
    }
}

impl OptionSpec {
    /// The operator must give it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.default = None;
        self
    }
}

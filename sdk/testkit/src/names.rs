//! Index names and index expressions: what is legal, and which indices an expression means.

use std::collections::HashSet;

use crate::error::ApiError;
use crate::http::Request;
use crate::index::Index;
use crate::pattern::glob;
use crate::product::Product;
use crate::state::State;

/// Refuses a name that no server would give to an index or alias.
pub(crate) fn check_name(product: Product, kind: &str, name: &str) -> Result<(), ApiError> {
    let what = if kind == "invalid_alias_name_exception" {
        "alias"
    } else {
        "index"
    };
    let bad = |why: String| {
        Err(
            ApiError::new(400, kind, format!("Invalid {what} name [{name}], {why}"))
                .with("index_uuid", "_na_")
                .with("index", name),
        )
    };
    if name.chars().any(|c| "\\/*?\"<>| ,".contains(c)) {
        let list = if product.is_opensearch() {
            "[ , \", *, \\, <, |, ,, >, /, ?]"
        } else {
            "[' ','\"','*',',','/','<','>','?','\\','|']"
        };
        return bad(format!("must not contain the following characters {list}"));
    }
    if name.contains('#') {
        return bad("must not contain '#'".to_owned());
    }
    if name.contains(':') {
        return bad("must not contain ':'".to_owned());
    }
    if name.starts_with(['_', '-', '+']) {
        return bad("must not start with '_', '-', or '+'".to_owned());
    }
    /// Longest name in bytes; the servers' own limit.
    const NAME_BYTES_MAX: usize = 255;
    if name.len() > NAME_BYTES_MAX {
        return bad(format!(
            "{what} name is too long, ({} > {NAME_BYTES_MAX})",
            name.len()
        ));
    }
    if name == "." || name == ".." {
        return bad("must not be '.' or '..'".to_owned());
    }
    if what == "index" && name.chars().any(char::is_uppercase) {
        return bad("must be lowercase".to_owned());
    }
    Ok(())
}

/// How an index expression is resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expand {
    pub(crate) ignore_unavailable: bool,
    pub(crate) allow_no_indices: bool,
    pub(crate) open: bool,
    pub(crate) closed: bool,
    pub(crate) hidden: bool,
    /// Refuse a closed index that was named.
    pub(crate) forbid_closed: bool,
    /// An alias is an error, not a way to its indices.
    pub(crate) ignore_aliases: bool,
}

impl Expand {
    pub(crate) const OPEN: Self = Self {
        ignore_unavailable: false,
        allow_no_indices: true,
        open: true,
        closed: false,
        hidden: false,
        forbid_closed: false,
        ignore_aliases: false,
    };
    pub(crate) const OPEN_FORBID_CLOSED: Self = Self {
        forbid_closed: true,
        ..Self::OPEN
    };
    pub(crate) const OPEN_CLOSED: Self = Self {
        closed: true,
        ..Self::OPEN
    };
    pub(crate) const ALL: Self = Self {
        closed: true,
        hidden: true,
        ..Self::OPEN
    };

    /// Takes over what the request's parameters say.
    pub(crate) fn with(mut self, request: &Request) -> Result<Self, ApiError> {
        self.ignore_unavailable = request.flag("ignore_unavailable", self.ignore_unavailable)?;
        self.allow_no_indices = request.flag("allow_no_indices", self.allow_no_indices)?;
        if let Some(list) = request.param("expand_wildcards") {
            (self.open, self.closed, self.hidden) = (false, false, false);
            for word in list.split(',') {
                match word {
                    "open" => self.open = true,
                    "closed" => self.closed = true,
                    "hidden" => self.hidden = true,
                    "all" => (self.open, self.closed, self.hidden) = (true, true, true),
                    "none" => {}
                    other => {
                        return Err(ApiError::illegal(format!(
                            "No valid expand wildcard value [{other}]"
                        )));
                    }
                }
            }
        }
        Ok(self)
    }
}

/// True when the expression names everything.
pub(crate) fn is_all(expression: &str) -> bool {
    matches!(expression, "" | "_all" | "*")
}

fn wildcard_hits(state: &State, pattern: &str, expand: Expand) -> Vec<String> {
    let pattern = if pattern == "_all" { "*" } else { pattern };
    let shown = |index: &Index| {
        (expand.hidden || !index.is_hidden() || (pattern.starts_with('.') && index.is_dot()))
            && if index.is_open {
                expand.open
            } else {
                expand.closed
            }
    };
    state
        .indices
        .values()
        .filter(|index| shown(index))
        .filter(|index| {
            glob(pattern, &index.name)
                || (!expand.ignore_aliases
                    && index.aliases.iter().any(|(alias, meta)| {
                        glob(pattern, alias)
                            && (expand.hidden
                                || meta.is_hidden != Some(true)
                                || pattern.starts_with('.'))
                    }))
        })
        .map(|index| index.name.clone())
        .collect()
}

/// The indices that `expression` means, in order of appearance, each once.
pub(crate) fn resolve(
    state: &State,
    expression: &str,
    expand: Expand,
) -> Result<Vec<String>, ApiError> {
    let expression = if is_all(expression) { "*" } else { expression };
    let mut out: Vec<String> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut wildcard_seen = false;
    for part in expression.split(',').filter(|p| !p.is_empty()) {
        if let Some(excluded) = part.strip_prefix('-').filter(|_| wildcard_seen) {
            out.retain(|name| !glob(excluded, name));
            known.retain(|name| !glob(excluded, name));
            continue;
        }
        if part == "_all" || part.contains('*') {
            wildcard_seen = true;
            let hits = wildcard_hits(state, part, expand);
            if hits.is_empty() && !expand.allow_no_indices {
                return Err(ApiError::no_index(part));
            }
            for name in hits {
                if known.insert(name.clone()) {
                    out.push(name);
                }
            }
            continue;
        }
        for name in concrete(state, part, expand)? {
            if known.insert(name.clone()) {
                out.push(name);
            }
        }
    }
    if out.is_empty() && !expand.allow_no_indices {
        return Err(ApiError::no_index(expression));
    }
    Ok(out)
}

fn concrete(state: &State, name: &str, expand: Expand) -> Result<Vec<String>, ApiError> {
    if let Some(index) = state.indices.get(name) {
        if !index.is_open && expand.forbid_closed {
            return if expand.ignore_unavailable {
                Ok(Vec::new())
            } else {
                Err(index.closed_error())
            };
        }
        return Ok(vec![name.to_owned()]);
    }
    let behind = state.alias_indices(name);
    if !behind.is_empty() {
        if expand.ignore_aliases {
            return Err(ApiError::illegal(format!(
                "The provided expression [{name}] matches an alias, specify the corresponding concrete indices instead."
            )));
        }
        return Ok(behind
            .into_iter()
            .filter(|n| {
                state
                    .indices
                    .get(n)
                    .is_some_and(|i| i.is_open || expand.closed)
            })
            .collect());
    }
    if name.starts_with('_') {
        return Err(ApiError::new(
            400,
            "invalid_index_name_exception",
            format!("Invalid index name [{name}], must not start with '_'."),
        )
        .with("index_uuid", "_na_")
        .with("index", name));
    }
    if expand.ignore_unavailable {
        Ok(Vec::new())
    } else {
        Err(ApiError::no_index(name))
    }
}

/// The one index that a write to `name` goes to; `None` when neither index nor alias exists.
pub(crate) fn write_target(state: &State, name: &str) -> Result<Option<String>, ApiError> {
    if state.indices.contains_key(name) {
        return Ok(Some(name.to_owned()));
    }
    let behind = state.alias_indices(name);
    if behind.is_empty() {
        return Ok(None);
    }
    let flag = |index: &String| {
        state
            .indices
            .get(index)
            .and_then(|i| i.aliases.get(name))
            .and_then(|a| a.is_write_index)
    };
    if let Some(write) = behind.iter().find(|i| flag(i) == Some(true)) {
        return Ok(Some(write.clone()));
    }
    match behind.as_slice() {
        [only] if flag(only) != Some(false) => Ok(Some(only.clone())),
        _ => Err(ApiError::illegal(format!(
            "no write index is defined for alias [{name}]. The write index may be explicitly \
             disabled using is_write_index=false or the alias points to multiple indices without \
             one being designated as a write index"
        ))),
    }
}

/// The one index that a get through `name` reads.
pub(crate) fn read_target(state: &State, name: &str) -> Result<String, ApiError> {
    let target = if state.indices.contains_key(name) {
        name.to_owned()
    } else {
        let behind = state.alias_indices(name);
        match behind.as_slice() {
            [] => {
                return Err(ApiError::no_index(name).with("resource.type", "index_expression"));
            }
            [only] => only.clone(),
            many => {
                return Err(ApiError::illegal(format!(
                    "alias [{name}] has more than one index associated with it [{}], can't execute a single index op",
                    many.join(", ")
                )));
            }
        }
    };
    match state.indices.get(&target) {
        Some(index) if !index.is_open => Err(index.closed_error()),
        _ => Ok(target),
    }
}

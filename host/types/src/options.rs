//! Options of a plugin: the operator's values, and what a request means with them.

use std::collections::BTreeMap;

use crate::{Descriptor, GrantedVerb, OptionKind, Request, Scope, VerbRequest};

/// Puts the options' values into a text: `{prefix}-*` becomes `optimize-*`.
pub fn resolve(text: &str, options: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after
            .split_once('}')
            .ok_or_else(|| format!("`{text}` has an open brace"))?;
        let value = options
            .get(name)
            .ok_or_else(|| format!("`{text}` names the option `{name}`, which is not set"))?;
        if value.contains(['*', '{', '}', ',']) || value.is_empty() {
            return Err(format!(
                "the option `{name}` has a value that no scope may hold"
            ));
        }
        out.push_str(before);
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// A requested verb with its options resolved; none where each of its scopes waits for an option that is empty here.
pub fn resolve_verb(
    request: &VerbRequest,
    options: &BTreeMap<String, String>,
) -> Result<Option<GrantedVerb>, String> {
    let mut is_asked = request.scope.is_empty();
    let mut scope = Vec::new();
    for text in &request.scope {
        let Some(text) = asked(text, options)? else {
            continue;
        };
        is_asked = true;
        if !text.is_empty() {
            scope.push(Scope::new(resolve(text, options)?).map_err(|error| error.to_string())?);
        }
    }
    if !is_asked {
        return Ok(None);
    }
    Ok(Some(GrantedVerb {
        verb: request.verb.clone(),
        scope,
        except: excepted(&request.except, options)?,
        at_most: request.at_most,
    }))
}

/// All that is asked for on a binding waits for options that are empty here.
pub fn waits(request: &Request, options: &BTreeMap<String, String>) -> bool {
    let of_nothing = |verb: &VerbRequest| matches!(resolve_verb(verb, options), Ok(None));
    !request.verbs.is_empty() && request.verbs.iter().all(of_nothing)
}

/// The scope without the mark `{option?}` that it may begin with; none where it counts for nothing here: that option is
/// empty, or the whole of it is one option that is. What is only a mark asks for a verb that names nothing.
fn asked<'a>(text: &'a str, options: &BTreeMap<String, String>) -> Result<Option<&'a str>, String> {
    if options_empty(text, options) {
        return Ok(None);
    }
    let mark = text
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .and_then(|(name, rest)| Some((name.strip_suffix('?')?, rest)));
    let Some((name, rest)) = mark else {
        return Ok(Some(text));
    };
    let value = options
        .get(name)
        .ok_or_else(|| format!("`{text}` waits for the option `{name}`, which is not set"))?;
    Ok((!value.is_empty()).then_some(rest))
}

/// What is taken away: an option in it may be a list with commas, and stands for each of its parts. An empty list
/// takes nothing away.
fn excepted(texts: &[String], options: &BTreeMap<String, String>) -> Result<Vec<Scope>, String> {
    let mut scopes = Vec::new();
    for text in texts {
        let option = text
            .split_once('{')
            .and_then(|(_, rest)| rest.split_once('}'));
        let Some((name, value)) = option.and_then(|(name, _)| Some((name, options.get(name)?)))
        else {
            scopes.push(Scope::new(resolve(text, options)?).map_err(|error| error.to_string())?);
            continue;
        };
        for part in value
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let mut one = options.clone();
            one.insert(name.to_owned(), part.to_owned());
            scopes.push(Scope::new(resolve(text, &one)?).map_err(|error| error.to_string())?);
        }
    }
    Ok(scopes)
}

/// A text whose whole is one option that is a list: `{tenants}` with an empty value drops out.
fn options_empty(text: &str, options: &BTreeMap<String, String>) -> bool {
    text.strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| options.get(name).is_some_and(String::is_empty))
}

/// The options of a descriptor with the operator's values, defaults filled in.
pub fn resolve_options(
    descriptor: &Descriptor,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let known: Vec<&str> = descriptor
        .options
        .iter()
        .map(|spec| spec.name.as_str())
        .collect();
    if let Some(unknown) = given.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "option `{unknown}` is not one of `{}`: {}",
            descriptor.name,
            known.join(", ")
        ));
    }
    let mut options = BTreeMap::new();
    for spec in &descriptor.options {
        let value = given
            .get(&spec.name)
            .or(spec.default.as_ref())
            .ok_or_else(|| format!("option `{}` must be given: {}", spec.name, spec.help))?;
        let good = match spec.kind {
            OptionKind::Text => true,
            OptionKind::Number => value.parse::<u64>().is_ok(),
            OptionKind::Flag => matches!(value.as_str(), "true" | "false"),
            OptionKind::Choice => spec.choices.contains(value),
        };
        if !good {
            let right = match spec.kind {
                OptionKind::Number => "a whole number".to_owned(),
                OptionKind::Flag => "`true` or `false`".to_owned(),
                _ => format!("one of {}", spec.choices.join(", ")),
            };
            return Err(format!(
                "option `{}` is `{}`, it must be {right}",
                spec.name,
                value.escape_debug()
            ));
        }
        options.insert(spec.name.clone(), value.clone());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verb;

    #[test]
    fn an_option_cannot_smuggle_a_wildcard_into_a_scope() {
        let options = |value: &str| BTreeMap::from([("prefix".to_owned(), value.to_owned())]);
        assert_eq!(resolve("{prefix}-x*", &options("acme")).unwrap(), "acme-x*");
        for bad in ["*", "a*", "", "{prefix}", "a,b"] {
            assert!(resolve("{prefix}-x*", &options(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_takes_away_each_of_its_parts() {
        let resolved = |neighbours: &str| {
            let request = VerbRequest {
                verb: Verb::new("snapshot.take").unwrap(),
                scope: vec!["{prefix}-*".into()],
                except: vec!["{neighbours}-*".into(), "{prefix}-x*".into()],
                at_most: None,
                why: String::new(),
            };
            let options = BTreeMap::from([
                ("prefix".to_owned(), "acme".to_owned()),
                ("neighbours".to_owned(), neighbours.to_owned()),
            ]);
            resolve_verb(&request, &options).map(|verb| {
                let taken = verb.unwrap().except;
                taken
                    .iter()
                    .map(|scope| scope.as_str().to_owned())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(resolved("").unwrap(), ["acme-x*"]);
        assert_eq!(resolved("acme-a").unwrap(), ["acme-a-*", "acme-x*"]);
        assert_eq!(
            resolved("acme-a, acme-b").unwrap(),
            ["acme-a-*", "acme-b-*", "acme-x*"]
        );
        assert!(resolved("acme*").is_err());
    }

    #[test]
    fn a_marked_scope_counts_only_where_its_option_has_a_value() {
        let resolved = |scopes: &[&str], database: &str| {
            let request = VerbRequest {
                verb: Verb::new("cluster.set-cluster-setting").unwrap(),
                scope: scopes.iter().map(ToString::to_string).collect(),
                except: vec![],
                at_most: Some(2),
                why: String::new(),
            };
            let options = BTreeMap::from([
                ("prefix".to_owned(), "acme".to_owned()),
                ("database".to_owned(), database.to_owned()),
            ]);
            resolve_verb(&request, &options).map(|verb| {
                verb.map(|verb| {
                    assert_eq!(verb.at_most, Some(2));
                    let texts = verb.scope.iter().map(|scope| scope.as_str().to_owned());
                    texts.collect::<Vec<_>>()
                })
            })
        };
        let marked = ["{database?}a.b", "{database?}{prefix}-*"];
        assert_eq!(resolved(&marked, ""), Ok(None));
        let counts = vec!["a.b".to_owned(), "acme-*".to_owned()];
        assert_eq!(resolved(&marked, "2.19.1"), Ok(Some(counts)));
        // The others of its verb are asked for as they were.
        let one = vec!["c".to_owned()];
        assert_eq!(resolved(&["{database?}a.b", "c"], ""), Ok(Some(one)));
        // A verb that names nothing.
        assert_eq!(resolved(&["{database?}"], ""), Ok(None));
        assert_eq!(resolved(&["{database?}"], "2.19.1"), Ok(Some(vec![])));
        assert_eq!(resolved(&[], ""), Ok(Some(vec![])));
        // So does one that is named by the option alone.
        assert_eq!(resolved(&["{database}"], ""), Ok(None));
        for bad in [
            "{datebase?}a",
            "a{database?}",
            "{database?}*b",
            "{database?}{database?}",
        ] {
            assert!(resolved(&[bad], "2.19.1").is_err(), "{bad}");
        }
    }
}

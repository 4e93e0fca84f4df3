//! Comments of a `grants.toml` that is written anew: each goes with what it stood at.
//!
//! The file is written from values, which know no comments. So they are taken from the old text by place (grant,
//! binding, verb, key) and put back at the same place of the new one. What has no place any more goes up: from the
//! verb to the binding, to the grant, to the head of the file. None is lost.

use std::collections::{BTreeMap, BTreeSet};

/// Keys whose values say which of several tables of one name it is.
const NAMING: [&str; 4] = ["plugin", "site", "binding", "verb"];

/// Where a line stands: the tables around it, and its key.
type Place = Vec<String>;

/// What stands at one place.
#[derive(Debug, Default)]
struct Comments {
    above: Vec<String>,
    behind: Vec<String>,
}

/// The new text with the comments of the old one.
pub(super) fn carry(old: &str, new: &str) -> String {
    let mut known = collect(old);
    let places: BTreeSet<Place> = lines(new)
        .into_iter()
        .filter_map(|line| line.place)
        .collect();
    let homeless: Vec<Place> = known
        .keys()
        .filter(|place| !place.is_empty() && !places.contains(*place))
        .cloned()
        .collect();
    for place in homeless {
        let Some(comments) = known.remove(&place) else {
            continue;
        };
        let mut up = place;
        while !up.is_empty() && !places.contains(&up) {
            up.pop();
        }
        let home = known.entry(up).or_default();
        home.above.extend(comments.above);
        home.above.extend(comments.behind);
    }
    let mut out = String::new();
    let mut put = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    let head = known.remove(&Place::new()).unwrap_or_default().above;
    head.iter().for_each(|line| put(line));
    if !head.is_empty() {
        put("");
    }
    let mut blank = true;
    for line in lines(new) {
        // The new text has comments only where we put them ourselves: at its head, which the old text has.
        let Some(place) = line.place else {
            if line.text.is_empty() && !blank {
                put("");
                blank = true;
            }
            continue;
        };
        blank = false;
        let comments = known.remove(&place).unwrap_or_default();
        comments.above.iter().for_each(|line| put(line));
        match comments.behind.as_slice() {
            [] => put(line.text),
            [one] => put(&format!("{} {one}", line.text)),
            several => {
                several.iter().for_each(|line| put(line));
                put(line.text);
            }
        }
    }
    out
}

/// The comments of a text by place; the empty place is the head of the file.
fn collect(text: &str) -> BTreeMap<Place, Comments> {
    let mut known: BTreeMap<Place, Comments> = BTreeMap::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut begun = false;
    for line in lines(text) {
        let Some(place) = line.place else {
            if let Some(comment) = line.comment {
                waiting.push(comment.to_owned());
            } else if !begun && !waiting.is_empty() {
                // A blank line after the first comments: they are about the file.
                known
                    .entry(Place::new())
                    .or_default()
                    .above
                    .append(&mut waiting);
                begun = true;
            }
            continue;
        };
        begun = true;
        let comments = known.entry(place).or_default();
        comments.above.append(&mut waiting);
        comments.behind.extend(line.comment.map(str::to_owned));
    }
    known
        .entry(Place::new())
        .or_default()
        .above
        .append(&mut waiting);
    known.retain(|_, comments| !comments.above.is_empty() || !comments.behind.is_empty());
    known
}

struct Line<'a> {
    /// Without its comment.
    text: &'a str,
    comment: Option<&'a str>,
    /// None: it holds nothing but a comment, or nothing.
    place: Option<Place>,
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let split: Vec<(&str, Option<&str>)> = text.lines().map(split).collect();
    let mut tables: Vec<(String, String)> = Vec::new();
    let mut key = String::new();
    let mut out = Vec::with_capacity(split.len());
    for (at, (text, comment)) in split.iter().enumerate() {
        let content = text.trim();
        if let Some(header) = content
            .strip_prefix('[')
            .filter(|_| content.ends_with(']') && !content.contains('"'))
        {
            let header = header.trim_matches(['[', ']', ' ']).to_owned();
            let inside = |outer: &str| {
                header
                    .strip_prefix(outer)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            while tables.last().is_some_and(|(outer, _)| !inside(outer)) {
                tables.pop();
            }
            let name = name_of(split.get(at + 1..).unwrap_or_default());
            tables.push((header, name));
            key.clear();
        } else if let Some((name, _)) = content
            .split_once('=')
            .filter(|(name, _)| is_key(name.trim()))
        {
            name.trim().clone_into(&mut key);
        }
        let place = (!content.is_empty()).then(|| {
            let mut place: Place = tables
                .iter()
                .map(|(table, name)| format!("{table} {name}"))
                .collect();
            if !key.is_empty() {
                place.push(key.clone());
            }
            place
        });
        out.push(Line {
            text: text.trim_end(),
            comment: *comment,
            place,
        });
    }
    out
}

/// What names a table: the values of its naming keys.
fn name_of(lines: &[(&str, Option<&str>)]) -> String {
    lines
        .iter()
        .map(|(text, _)| text.trim())
        .take_while(|text| !text.starts_with("[["))
        .filter_map(|text| {
            let (key, value) = text.split_once('=')?;
            NAMING
                .contains(&key.trim())
                .then(|| value.trim().to_owned())
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A line and the comment behind it.
fn split(line: &str) -> (&str, Option<&str>) {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), c) if c == open && !escaped => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => {
                let (text, comment) = line.split_at(at);
                return (text, Some(comment.trim_end()));
            }
            _ => {}
        }
        escaped = false;
    }
    (line, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
# of the file

# ours
[[grant]]
plugin = \"p\" # the vendor's
site = \"prod\"

[[grant.bindings]]
binding = \"cluster.a\"

# looked at with Ann
[[grant.bindings.verbs]]
verb = \"read\"
scope = [
  \"x # no comment\", # narrower
]

# goes with its verb
[[grant.bindings.verbs]]
verb = \"delete\"
scope = [\"y\"]
# at the end
";

    #[test]
    fn comments_stay_where_they_stood_or_go_up_and_none_is_lost() {
        let new = "[[grant]]\nplugin = \"p\"\nsite = \"prod\"\n\n[[grant.bindings]]\nbinding = \"cluster.a\"\n\n\
                   [[grant.bindings.verbs]]\nverb = \"read\"\nscope = [\"x\"]\n\n\
                   [[grant.bindings.verbs]]\nverb = \"take\"\nscope = [\"z\"]\n";
        let out = carry(OLD, new);
        assert_eq!(
            out,
            "# of the file\n# at the end\n\n# ours\n[[grant]]\nplugin = \"p\" # the vendor's\nsite = \"prod\"\n\n\
             # goes with its verb\n[[grant.bindings]]\nbinding = \"cluster.a\"\n\n\
             # looked at with Ann\n[[grant.bindings.verbs]]\nverb = \"read\"\nscope = [\"x\"] # narrower\n\n\
             [[grant.bindings.verbs]]\nverb = \"take\"\nscope = [\"z\"]\n"
        );
    }

    #[test]
    fn a_second_writing_changes_nothing() {
        assert_eq!(
            carry(OLD, OLD).matches('#').count(),
            OLD.matches('#').count()
        );
        let once = carry(OLD, "[[grant]]\nplugin = \"p\"\nsite = \"prod\"\n");
        assert_eq!(carry(&once, &once), once);
    }

    #[test]
    fn a_hash_in_a_text_begins_no_comment() {
        assert_eq!(
            split("a = \"b # c\\\" # d\" # e"),
            ("a = \"b # c\\\" # d\" ", Some("# e"))
        );
        assert_eq!(split("a = 'b # c'"), ("a = 'b # c'", None));
    }
}

//! What `explain` knows: exit codes, error codes, findings of the host, the words of the screens, the table of changes;
//! and what a plugin says of its own findings.

use liftlock_gate::HOST_FINDINGS;
use liftlock_types::{Descriptor, Exit, rules};
use schemars::JsonSchema;
use serde::Serialize;

use crate::code::{Code, exit_text};
use crate::escape;
use crate::terms::{TERMS, written};
use crate::view::change::takes_away;

/// An answer of `explain`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplainData {
    /// What is explained, each with its text.
    entries: Vec<Entry>,
}

/// One thing that is explained.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Entry {
    /// `20`, `E0301-no-grant`, `host.unproved-destruction`, `cluster.delete-index`.
    code: String,
    /// `exit`, `error`, `finding`, `term`, `change`, `read`.
    kind: &'static str,
    /// The paragraph.
    text: String,
}

fn exit(exit: Exit) -> Entry {
    Entry {
        code: exit.code().to_string(),
        kind: "exit",
        text: exit_text(exit).into(),
    }
}

fn error(code: Code) -> Entry {
    Entry {
        code: code.id().into(),
        kind: "error",
        text: format!("(exit {}) {}", code.exit().code(), code.text()),
    }
}

fn finding((id, text): &(&str, &str)) -> Entry {
    Entry {
        code: (*id).into(),
        kind: "finding",
        text: (*text).into(),
    }
}

fn term((word, text): &(&str, &str)) -> Entry {
    Entry {
        code: (*word).into(),
        kind: "term",
        text: (*text).into(),
    }
}

fn change(rule: &rules::Rule) -> Entry {
    let mut text = format!("{:?}, for {}", rule.class, rule.products).to_lowercase();
    for (is, says) in [
        (takes_away(rule.verb), "takes something away"),
        (rule.writes_schema, "writes what the old version reads"),
        (
            rule.borrows == Some(rules::Borrow::Neutral),
            "borrows, given back at every end",
        ),
        (
            rule.borrows == Some(rules::Borrow::Protective),
            "borrows, given back by a step only",
        ),
    ] {
        if is {
            text.push_str(&format!("; {says}"));
        }
    }
    for (label, part) in [
        ("rests on", rule.rests_on),
        ("token", rule.token),
        ("probe", rule.probe),
        ("done when", rule.post),
        ("undo", rule.automatic_undo),
    ] {
        if !part.is_empty() {
            text.push_str(&format!("\n{label:<9} {part}"));
        }
    }
    Entry {
        code: rule.verb.into(),
        kind: "change",
        text,
    }
}

fn read((verb, text): &(&str, &str)) -> Entry {
    Entry {
        code: (*verb).into(),
        kind: "read",
        text: (*text).into(),
    }
}

/// What is known under this word; empty: nothing.
pub(crate) fn entries(word: &str) -> Vec<Entry> {
    let word = word.trim();
    if word.eq_ignore_ascii_case("changes") {
        return rules::RULES
            .iter()
            .map(change)
            .chain(rules::READ_VERBS.iter().map(read))
            .collect();
    }
    let wanted = word.to_ascii_lowercase();
    let exits = Exit::ALL
        .into_iter()
        .filter(|exit| exit.code().to_string() == wanted)
        .map(exit);
    let errors = Code::ALL
        .iter()
        .copied()
        .filter(|code| {
            let id = code.id().to_ascii_lowercase();
            id == wanted || id.split('-').next() == Some(wanted.as_str())
        })
        .map(error);
    let findings = HOST_FINDINGS
        .iter()
        .filter(|(id, _)| *id == wanted)
        .map(finding);
    let verbs = rules::RULES
        .iter()
        .filter(|rule| rule.verb == wanted)
        .map(change);
    let reads = rules::READ_VERBS
        .iter()
        .filter(|(verb, _)| *verb == wanted)
        .map(read);
    let terms = TERMS
        .iter()
        .filter(|(term, _)| *term == written(word))
        .map(term);
    exits
        .chain(errors)
        .chain(findings)
        .chain(terms)
        .chain(verbs)
        .chain(reads)
        .collect()
}

/// Is this word of the form that ids of findings have? Else no plugin is asked.
pub(crate) fn may_be_a_plugins(word: &str) -> bool {
    word.trim().contains('.')
}

/// What a plugin says of the finding; it comes from the plugin, and the text says so.
pub(crate) fn of_plugin(descriptor: &Descriptor, word: &str) -> Vec<Entry> {
    let wanted = word.trim();
    descriptor
        .findings
        .iter()
        .filter(|finding| finding.id.eq_ignore_ascii_case(wanted))
        .map(|finding| {
            let mut text = escape::block(&finding.means);
            let by = format!("the plugin {} {}", descriptor.name, descriptor.version);
            for (label, part) in [
                ("remedy", finding.remedy.as_str()),
                ("known by", finding.source.as_str()),
                ("says", by.as_str()),
            ] {
                if !part.is_empty() {
                    text.push_str(&format!("\n{label:<9} {}", escape::line(part)));
                }
            }
            Entry {
                code: escape::line(&finding.id),
                kind: "finding",
                text,
            }
        })
        .collect()
}

/// Everything that has a code.
pub(crate) fn all() -> Vec<Entry> {
    Exit::ALL
        .into_iter()
        .map(exit)
        .chain(Code::ALL.iter().copied().map(error))
        .chain(HOST_FINDINGS.iter().map(finding))
        .chain(TERMS.iter().map(term))
        .collect()
}

/// As data.
pub(crate) fn data(entries: Vec<Entry>) -> ExplainData {
    ExplainData { entries }
}

/// Each in full.
pub(crate) fn text(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|entry| format!("{}\n{}\n", entry.code, wrapped(&entry.text)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// One line each: the code and the first sentence.
pub(crate) fn list(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|entry| {
            let first = entry.text.split(". ").next().unwrap_or_default();
            format!("{:<34} {first}\n", entry.code)
        })
        .collect()
}

/// Lines of at most 100 columns, indented by two.
fn wrapped(text: &str) -> String {
    const COLUMNS: usize = 100;
    let mut out = String::new();
    for paragraph in text.lines() {
        let mut line = String::from("  ");
        for word in paragraph.split(' ') {
            if line.len() > 2 && line.len() + word.len() + 1 > COLUMNS {
                out.push_str(&format!("{}\n", line.trim_end()));
                line = "  ".into();
            }
            line.push_str(word);
            line.push(' ');
        }
        out.push_str(&format!("{}\n", line.trim_end()));
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_error_code_and_host_finding_is_explained() {
        for exit in Exit::ALL {
            assert_eq!(entries(&exit.code().to_string()).len(), 1, "{exit:?}");
        }
        for code in Code::ALL {
            assert_eq!(entries(code.id()).len(), 1, "{code:?}");
            assert_eq!(entries(&code.id()[..5]).len(), 1, "{code:?}");
        }
        for (id, _) in HOST_FINDINGS {
            assert_eq!(entries(id).len(), 1, "{id}");
        }
        for (word, _) in TERMS {
            assert_eq!(entries(word).len(), 1, "{word}");
        }
        assert_eq!(entries("Point of no return").len(), 1);
        assert!(entries("nothing").is_empty());
    }

    #[test]
    fn a_plugins_finding_is_explained_in_its_own_words_and_steers_nothing() {
        let descriptor = Descriptor {
            product: "acme".into(),
            name: "acme-upgrade".into(),
            version: "0.1.0".into(),
            summary: String::new(),
            edges: vec![],
            requests: vec![],
            options: vec![],
            findings: vec![liftlock_types::KnownFinding {
                id: "acme.gone".into(),
                means: "it is\u{1b}[2J gone".into(),
                remedy: "put it back\nExit 0".into(),
                source: String::new(),
            }],
            more: vec![],
        };
        assert!(of_plugin(&descriptor, "acme.other").is_empty());
        let text = text(&of_plugin(&descriptor, " Acme.gone"));
        assert!(
            text.contains("it is\\u{1b}[2J gone")
                && text.contains("\n  remedy    put it back\\u{a}Exit 0"),
            "{text}"
        );
        assert!(
            text.contains("says      the plugin acme-upgrade 0.1.0"),
            "{text}"
        );
        assert!(!may_be_a_plugins("nothing") && may_be_a_plugins("acme.gone"));
    }

    #[test]
    fn every_error_code_that_the_program_makes_is_in_the_table() {
        // The type sees to codes that exist; this sees to codes that nothing makes, whose paragraph would lie.
        let sources = crate::test_sources();
        for code in Code::ALL {
            let name = format!("Code::{code:?}");
            assert!(
                sources
                    .iter()
                    .any(|(file, text)| file != "code.rs" && text.contains(&name)),
                "{name} is made nowhere"
            );
        }
    }

    #[test]
    fn the_table_of_changes_has_every_verb() {
        let entries = entries("changes");
        assert_eq!(entries.len(), rules::RULES.len() + rules::READ_VERBS.len());
        let text = text(&entries);
        assert!(
            text.contains("cluster.delete-index\n  convergent")
                && text.contains("probe     uuid gone"),
            "{text}"
        );
    }
}

//! Takes secrets out of text before a plugin or a log sees it.

use regex_lite::Regex;
use secrecy::{ExposeSecret, SecretString};

/// What stands in a secret's place.
pub const REDACTED: &str = "[redacted]";

/// Parts of keys whose values are secrets, where the operator names none. Case does not matter.
pub const KEYS_DEFAULT: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "api-key",
    "api_key",
    "apikey",
    "private-key",
    "private_key",
    "privatekey",
    "authorization",
];

/// A pattern or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// It does not parse.
    #[error("`{pattern}` is no pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: regex_lite::Error,
    },
    /// It would stand everywhere.
    #[error("the pattern `{0}` matches the empty text")]
    MatchesNothing(String),
    /// A key holds something else than letters, digits, `_`, `-` and `.`.
    #[error("`{0}` is no part of a key: only letters, digits, `_`, `-` and `.` are allowed")]
    Key(String),
}

/// Replaces secrets in a whole text.
///
/// Always given the whole text and cut afterwards, so that no slice can begin in the middle of a match. It rather
/// takes too much than too little: what it does not know to end takes the rest of its line.
pub struct Redactor {
    secrets: Vec<SecretString>,
    /// Of the operator.
    patterns: Vec<Regex>,
    pem: Regex,
    url: Regex,
    keys: Option<Keys>,
}

struct Keys {
    /// In lower case; a text without any of them is not looked through further.
    parts: Vec<String>,
    key: Regex,
    /// Forms in which key and value do not stand on one line with `:` or `=`; the first group stays.
    apart: Vec<Regex>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("secrets", &self.secrets.len())
            .field("patterns", &self.patterns.len())
            .finish_non_exhaustive()
    }
}

impl Redactor {
    /// Of the operator's patterns and parts of keys.
    pub fn new(patterns: &[String], keys: &[String]) -> Result<Self, RedactError> {
        let parse = |pattern: &str| {
            Regex::new(pattern).map_err(|source| RedactError::Pattern {
                pattern: pattern.to_owned(),
                source,
            })
        };
        let mut parsed = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            let regex = parse(pattern)?;
            if regex.is_match("") {
                return Err(RedactError::MatchesNothing(pattern.clone()));
            }
            parsed.push(regex);
        }
        for key in keys {
            let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if key.is_empty() || !key.chars().all(good) {
                return Err(RedactError::Key(key.clone()));
            }
        }
        let any = keys.join("|").replace('.', r"\.");
        let word = format!(r"[\w.\-]*(?:{any})[\w.\-]*");
        let keys = if keys.is_empty() {
            None
        } else {
            Some(Keys {
                parts: keys.iter().map(|key| key.to_ascii_lowercase()).collect(),
                key: parse(&format!(
                    r#"(?i){word}(?:\[\d*\])?\\?["']?[ \t]*(?::=|[:=])[ \t]*"#
                ))?,
                apart: vec![
                    // <password>x</password>
                    parse(&format!(
                        r"(?i)(<[\w:.\-]*(?:{any})[\w:.\-]*(?:\s[^>]*)?>)[^<]+"
                    ))?,
                    // <property name="password">x</property>
                    parse(&format!(r#"(?i)(=\s*["']{word}["'][^<>]*>)[^<]+"#))?,
                    // <property name="password" value="x"/>
                    parse(&format!(
                        r#"(?i)(["']{word}["'][^<>]*?value\s*=\s*)(?:"[^"]*"|'[^']*')"#
                    ))?,
                    // - name: DB_PASSWORD
                    //   value: x
                    parse(&format!(
                        r#"(?i)(name["']?\s*:\s*["']?{word}["']?,?\s*\n?\s*["']?value["']?\s*:[ \t]*)[^\r\n]+"#
                    ))?,
                ],
            })
        };
        Ok(Self {
            secrets: Vec::new(),
            patterns: parsed,
            pem: parse(
                r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
            )?,
            // https://user:password@host
            url: parse(r"(://[^/\s:@]*:)[^@\s/]+@")?,
            keys,
        })
    }

    /// Replaces this value too, wherever it stands.
    pub fn add_secret(&mut self, secret: SecretString) {
        if !secret.expose_secret().is_empty() {
            self.secrets.push(secret);
        }
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.expose_secret(), REDACTED);
        }
        for regex in &self.patterns {
            text = regex.replace_all(&text, REDACTED).into_owned();
        }
        // Looking for a plain text first is many times faster than a pattern, and most texts hold none of them.
        if text.contains("-----BEGIN") {
            text = self.pem.replace_all(&text, REDACTED).into_owned();
        }
        if text.contains("://") && text.contains('@') {
            let with = format!("${{1}}{REDACTED}@");
            text = self.url.replace_all(&text, with.as_str()).into_owned();
        }
        match &self.keys {
            Some(keys) if keys.in_text(&text) => {
                let with = format!("${{1}}{REDACTED}");
                for regex in &keys.apart {
                    text = regex.replace_all(&text, with.as_str()).into_owned();
                }
                redact_keys(&text, keys)
            }
            _ => text,
        }
    }
}

impl Keys {
    fn in_text(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.parts.iter().any(|part| text.contains(part))
    }
}

/// What the lines behind a key belong to.
enum Behind {
    /// Nothing.
    Free,
    /// A value that goes on while lines are indented deeper, or are items of a list.
    Nested { indent: usize, item: bool },
    /// The line ended with `\`.
    Continued,
}

fn redact_keys(text: &str, keys: &Keys) -> String {
    let mut out = String::with_capacity(text.len());
    let mut behind = Behind::Free;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let end = line.get(body.len()..).unwrap_or_default();
        let trimmed = body.trim_start();
        let indent = body.len() - trimmed.len();
        let part_of_value = match behind {
            Behind::Free => false,
            Behind::Nested { indent: of, item } => {
                trimmed.is_empty()
                    || indent > of
                    || (indent == of && !item && trimmed.starts_with("- "))
            }
            Behind::Continued => true,
        };
        if part_of_value {
            if matches!(behind, Behind::Continued) && !body.ends_with('\\') {
                behind = Behind::Free;
            }
            if !trimmed.is_empty() {
                out.push_str(body.get(..indent).unwrap_or_default());
                out.push_str(REDACTED);
            }
        } else {
            behind = if keys.in_text(body) {
                redact_line(body, &keys.key, &mut out)
            } else {
                out.push_str(body);
                Behind::Free
            };
        }
        out.push_str(end);
    }
    out
}

fn redact_line(line: &str, key: &Regex, out: &mut String) -> Behind {
    let nested = Behind::Nested {
        indent: line.len() - line.trim_start().len(),
        item: line.trim_start().starts_with("- "),
    };
    let mut rest = line;
    while let Some(found) = key.find(rest) {
        let (head, value) = rest.split_at(found.end());
        out.push_str(head);
        if value.is_empty() {
            return nested;
        }
        let json = found.as_str().contains(['"', '\'']);
        let Some(length) = value_length(value, json) else {
            // A block, a list or an object that goes on behind this line: its mark stays, so that people see one.
            out.push_str(value.get(..1).unwrap_or_default());
            out.push_str(REDACTED);
            return nested;
        };
        let (taken, tail) = value.split_at(length);
        let mark = match taken.chars().next() {
            Some(mark @ ('"' | '\'')) => Some(mark),
            // Where keys are quoted, text must be too, or it does not parse any more.
            _ if json => Some('"'),
            _ => None,
        };
        out.extend(mark);
        out.push_str(REDACTED);
        out.extend(mark);
        if taken.ends_with('\\') {
            out.push('\\');
            return Behind::Continued;
        }
        rest = tail;
    }
    out.push_str(rest);
    Behind::Free
}

/// How far the value goes: none if it goes on behind the line, all of it where no end is known.
fn value_length(value: &str, json: bool) -> Option<usize> {
    if value.starts_with(['|', '>']) {
        return None;
    }
    let opens = value.starts_with(['"', '\'', '[', '{']);
    let mut depth = 0_usize;
    let mut quote = None;
    let mut chars = value.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                chars.next();
            }
            (Some('\''), '\'') if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            (Some(mark), c) if c == mark => {
                quote = None;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            (Some(_), _) => {}
            (None, '"' | '\'') if opens => quote = Some(c),
            (None, '[' | '{') if opens => depth += 1,
            (None, ']' | '}') if opens => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            (None, ',' | '}' | ']') if json && !opens => return Some(at),
            _ => {}
        }
    }
    // A quote without its end is likelier a part of the value than an opening.
    if depth > 0 { None } else { Some(value.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-4711";

    fn redactor() -> Redactor {
        let keys: Vec<String> = KEYS_DEFAULT.iter().map(ToString::to_string).collect();
        Redactor::new(&[], &keys).unwrap()
    }

    #[test]
    fn values_of_secret_keys_go_in_every_common_format() {
        for text in [
            "password: canary-4711",
            "es.Password = canary-4711",
            "  - SPRING_PASSWORD=canary-4711",
            "password: \"canary-4711\" # why",
            "password: 'it''s canary-4711'",
            "password: \"a\\\"canary-4711\"",
            "security:\n  token: |\n    first\n    canary-4711\n  other: 1",
            "password:\n  canary-4711\nother: 1",
            "passwords:\n- x\n- canary-4711\nother: 1",
            "\"secret\": {\n  \"k\": \"canary-4711\"\n}",
            "password: \"canary-4711",
            "client.secret=first\\\n  canary-4711\nother=1",
            r#"{"a":{"db_password":"canary-4711"},"b":1}"#,
            r#"{"passwords":["x","canary-4711"],"b":1}"#,
            r#"{"secret":{"k":"canary-4711"}}"#,
            r#"{"pin":1,"apiKey":4711,"x":"-"}"#,
            "<password>canary-4711</password>",
            "<property name=\"jdbcPassword\">canary-4711</property>",
            "<property name=\"password\" value=\"canary-4711\"/>",
            "- name: DB_PASSWORD\n  value: canary-4711\n",
            "url: https://u:canary-4711@host/x",
            "Authorization: Bearer canary-4711",
            "java -Dkey.password=canary-4711 -jar x",
            "-----BEGIN RSA PRIVATE KEY-----\ncanary-4711\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\ncanary-4711",
        ] {
            let redacted = redactor().redact(text);
            assert!(
                !redacted.contains(CANARY) && !redacted.contains("4711"),
                "{redacted}"
            );
            assert!(redacted.contains(REDACTED), "{redacted}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let json = r#"{"password":"x","version":"8.7.0","hosts":["a","b"]}"#;
        assert_eq!(
            redactor().redact(json),
            r#"{"password":"[redacted]","version":"8.7.0","hosts":["a","b"]}"#
        );
        let yaml = "zeebe:\n  secret:\n    a: 1\n  enabled: true\nurl: https://host:9200/x\n";
        assert_eq!(
            redactor().redact(yaml),
            "zeebe:\n  secret:\n    [redacted]\n  enabled: true\nurl: https://host:9200/x\n"
        );
    }

    #[test]
    fn patterns_and_known_values_go_wherever_they_stand() {
        let mut redactor = Redactor::new(&["acme-[0-9]+".into()], &[]).unwrap();
        redactor.add_secret(SecretString::from(CANARY));
        assert_eq!(
            redactor.redact("x acme-12 y canary-4711 z"),
            "x [redacted] y [redacted] z"
        );
        assert!(!format!("{redactor:?}").contains(CANARY));
    }

    #[test]
    fn refuses_patterns_that_cannot_be_meant() {
        assert!(matches!(
            Redactor::new(&["x*".into()], &[]),
            Err(RedactError::MatchesNothing(_))
        ));
        assert!(matches!(
            Redactor::new(&["(".into()], &[]),
            Err(RedactError::Pattern { .. })
        ));
        assert!(matches!(
            Redactor::new(&[], &["a|b".into()]),
            Err(RedactError::Key(_))
        ));
    }
}

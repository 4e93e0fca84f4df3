//! Licences of everything that is linked, against a list of those we accept.

use anyhow::Context;
use anyhow::bail;
use serde_json::Value;

/// Licences under which code may come into a binary of ours: permissive, without a duty on our own
/// source. `CDLA-Permissive-2.0` is that of the list of certificate authorities, which is data.
const ACCEPTED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What `cargo metadata` knows, checked; the number of packages looked at.
pub(crate) fn check(metadata: &[u8]) -> anyhow::Result<usize> {
    let metadata: Value =
        serde_json::from_slice(metadata).context("cargo metadata gave no JSON")?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let mut objections = Vec::new();
    for package in &packages {
        let name = format!(
            "{} {}",
            package["name"].as_str().unwrap_or_default(),
            package["version"].as_str().unwrap_or_default()
        );
        match package["license"].as_str() {
            None => objections.push(format!("{name} states no licence")),
            Some(text) => match is_accepted(text) {
                Ok(true) => {}
                Ok(false) => objections.push(format!("{name} is under `{text}`")),
                Err(error) => objections.push(format!("{name}: `{text}`: {error}")),
            },
        }
        // None is a package of this repository.
        if let Some(source) = package["source"].as_str()
            && !source.starts_with("registry+")
        {
            objections.push(format!(
                "{name} comes from `{source}`, not from the registry"
            ));
        }
    }
    if objections.is_empty() {
        Ok(packages.len())
    } else {
        bail!("not accepted: {}", objections.join("; "))
    }
}

/// Whether some choice that the expression leaves us is made of accepted licences only.
fn is_accepted(expression: &str) -> anyhow::Result<bool> {
    // Before SPDX a slash meant "or".
    let text = expression.replace('/', " OR ");
    let text = text.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut parser = Parser {
        words: &words,
        at: 0,
    };
    let accepted = parser.any()?;
    if parser.at < words.len() {
        bail!("it goes on after its end");
    }
    Ok(accepted)
}

struct Parser<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl Parser<'_> {
    fn take(&mut self, word: &str) -> bool {
        let is_there = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is_there);
        is_there
    }

    fn any(&mut self) -> anyhow::Result<bool> {
        let mut accepted = self.all()?;
        while self.take("OR") {
            accepted |= self.all()?;
        }
        Ok(accepted)
    }

    fn all(&mut self) -> anyhow::Result<bool> {
        let mut accepted = self.one()?;
        while self.take("AND") {
            accepted &= self.one()?;
        }
        Ok(accepted)
    }

    fn one(&mut self) -> anyhow::Result<bool> {
        if self.take("(") {
            let accepted = self.any()?;
            if !self.take(")") {
                bail!("a bracket is not closed");
            }
            return Ok(accepted);
        }
        let Some(name) = self.words.get(self.at) else {
            bail!("a licence lacks");
        };
        self.at += 1;
        let mut licence = (*name).to_owned();
        if self.take("WITH") {
            let exception = self.words.get(self.at).copied().unwrap_or_default();
            self.at += 1;
            licence = format!("{licence} WITH {exception}");
        }
        Ok(ACCEPTED.contains(&licence.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_choice_that_is_accepted_and_needs_all_that_are_joined() {
        for (text, accepted) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("MIT OR LGPL-2.1-or-later", true),
            ("GPL-3.0", false),
            ("MIT AND GPL-3.0", false),
            ("ISC AND (Apache-2.0 OR GPL-3.0)", true),
            ("(MIT OR Apache-2.0) AND OpenSSL", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ] {
            assert_eq!(is_accepted(text).unwrap(), accepted, "{text}");
        }
    }

    #[test]
    fn refuses_an_expression_it_cannot_read() {
        for text in ["", "MIT OR", "(MIT", "MIT Apache-2.0"] {
            assert!(is_accepted(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_the_package_that_is_not_accepted() {
        let metadata = br#"{"packages":[
            {"name":"good","version":"1.0.0","license":"MIT","source":"registry+x"},
            {"name":"bad","version":"2.0.0","license":"AGPL-3.0","source":"git+x"},
            {"name":"mute","version":"3.0.0","license":null,"source":null}]}"#;
        let error = check(metadata).unwrap_err().to_string();
        for part in [
            "bad 2.0.0 is under `AGPL-3.0`",
            "`git+x`",
            "mute 3.0.0 states no",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert!(!error.contains("good"), "{error}");
    }
}

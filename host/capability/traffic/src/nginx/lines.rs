//! The included file: one line `server ADDRESS [parameters]; # NAME` for each server. All other lines stay as they
//! are.

use liftlock_types::facts::traffic::Administrative;
use liftlock_types::{ReadError, ServerName};

/// One server's line, by what of it can be asked or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) is_down: bool,
    pub(crate) is_backup: bool,
    pub(crate) weight: u32,
    /// Which line of the file.
    at: usize,
    parameters: Vec<String>,
}

/// All servers of the file.
pub(crate) fn servers(text: &str) -> Result<Vec<Line>, ReadError> {
    let mut found: Vec<Line> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(server) = server(at, line)? else {
            continue;
        };
        if found.iter().any(|other| other.name == server.name) {
            return Err(wrong(at, &format!("a second server `{}`", server.name)));
        }
        found.push(server);
    }
    Ok(found)
}

/// Does the file keep clients at a server?
pub(crate) fn is_sticky(text: &str) -> bool {
    text.lines().any(|line| {
        let word = line.split_whitespace().next().unwrap_or_default();
        matches!(word.trim_end_matches(';'), "ip_hash" | "hash" | "sticky")
    })
}

/// The file with this server in this state. Nothing but its `down` differs.
pub(crate) fn with_state(text: &str, line: &Line, to: Administrative) -> String {
    let mut parameters = line.parameters.clone();
    parameters.retain(|parameter| parameter != "down");
    if to != Administrative::Ready {
        parameters.push("down".into());
    }
    rewritten(text, line, &parameters)
}

/// The file with this server at this weight. Nothing but its `weight` differs.
pub(crate) fn with_weight(text: &str, line: &Line, weight: u32) -> String {
    let mut parameters = line.parameters.clone();
    parameters.retain(|parameter| !parameter.starts_with("weight="));
    parameters.insert(0, format!("weight={weight}"));
    rewritten(text, line, &parameters)
}

fn rewritten(text: &str, line: &Line, parameters: &[String]) -> String {
    text.split_inclusive('\n')
        .enumerate()
        .map(|(at, old)| {
            if at != line.at {
                return old.to_owned();
            }
            let indent: String = old.chars().take_while(|c| c.is_whitespace()).collect();
            let behind = old.split_once(';').map_or("", |(_, behind)| behind);
            let mut words = vec!["server", line.address.as_str()];
            words.extend(parameters.iter().map(String::as_str));
            format!("{indent}{};{behind}", words.join(" "))
        })
        .collect()
}

fn server(at: usize, line: &str) -> Result<Option<Line>, ReadError> {
    let (before, comment) = match line.split_once('#') {
        Some((before, comment)) => (before.trim(), comment.trim()),
        None => (line.trim(), ""),
    };
    let Some(rest) = before
        .strip_prefix("server")
        .filter(|rest| rest.starts_with(char::is_whitespace))
    else {
        // A block would hide servers from us, and a second directive on the line would be lost by an edit.
        let is_hidden = before.contains(['{', '}']) || before.contains("server ");
        return if is_hidden {
            Err(wrong(at, "neither a `server` line nor one plain directive"))
        } else {
            Ok(None)
        };
    };
    let Some(words) = rest.strip_suffix(';').filter(|rest| !rest.contains(';')) else {
        return Err(wrong(at, "no `;` at its end, or more than one directive"));
    };
    if words.contains(['"', '\'', '\\', '$']) {
        return Err(wrong(at, "a quote, `\\` or `$`: write it plainly"));
    }
    let mut words = words.split_whitespace().map(str::to_owned);
    let Some(address) = words.next() else {
        return Err(wrong(at, "no address"));
    };
    let parameters: Vec<String> = words.collect();
    let weight = match parameters
        .iter()
        .find_map(|parameter| parameter.strip_prefix("weight="))
    {
        Some(weight) => weight
            .parse()
            .map_err(|_| wrong(at, "a weight that is no number"))?,
        None => 1,
    };
    let name = match comment.split_whitespace().next() {
        Some(name) => name.to_owned(),
        None => address.clone(),
    };
    if ServerName::check(&name).is_err() {
        return Err(wrong(
            at,
            &format!(
                "`{}` is no name: write `# NAME` behind it",
                name.escape_debug()
            ),
        ));
    }
    Ok(Some(Line {
        name,
        address,
        is_down: parameters.iter().any(|parameter| parameter == "down"),
        is_backup: parameters.iter().any(|parameter| parameter == "backup"),
        weight,
        at,
        parameters,
    }))
}

fn wrong(at: usize, what: &str) -> ReadError {
    ReadError::Rejected {
        status: 400,
        kind: "include-file".into(),
        text: format!("line {} of the included file: {what}", at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\nleast_conn;\n  server 127.0.0.1:1 max_fails=2; # n1 first\n\
        server 127.0.0.1:2 weight=5 down;# n2\nserver 127.0.0.1:3 backup;\nkeepalive 16;\n";

    #[test]
    fn each_server_has_a_line_and_a_name() {
        let found = servers(FILE).unwrap();
        let seen: Vec<(&str, bool, bool, u32)> = found
            .iter()
            .map(|it| (it.name.as_str(), it.is_down, it.is_backup, it.weight))
            .collect();
        assert_eq!(
            seen,
            [
                ("n1", false, false, 1),
                ("n2", true, false, 5),
                ("127.0.0.1:3", false, true, 1)
            ]
        );
        assert!(!is_sticky(FILE));
        assert!(is_sticky("  ip_hash;\nserver a:1;\n"));
    }

    #[test]
    fn an_edit_changes_its_own_words_and_an_edit_back_gives_the_same_text() {
        let n1 = &servers(FILE).unwrap()[0];
        let down = with_state(FILE, n1, Administrative::Maintenance);
        assert_eq!(
            down,
            FILE.replace("max_fails=2; # n1", "max_fails=2 down; # n1")
        );
        let n1 = &servers(&down).unwrap()[0];
        assert!(n1.is_down);
        assert_eq!(with_state(&down, n1, Administrative::Ready), FILE);
        assert_eq!(with_state(&down, n1, Administrative::Maintenance), down);
        let n2 = &servers(FILE).unwrap()[1];
        assert_eq!(
            with_weight(FILE, n2, 9),
            FILE.replace("weight=5 down", "weight=9 down")
        );
        let weighted = with_weight(FILE, &servers(FILE).unwrap()[0], 7);
        assert_eq!(servers(&weighted).unwrap()[0].weight, 7);
    }

    #[test]
    fn a_line_that_cannot_be_edited_safely_is_refused_by_its_number() {
        for bad in [
            "server 127.0.0.1:1",
            "server a:1; server b:1;",
            "least_conn; server b:1;",
            "server;",
            "server  ;",
            "server a:1 weight=x;",
            "server \"a:1\"; # n1",
            "upstream x { server a:1; }",
            "server unix:/run/a.sock;",
            "server a:1; # n/1",
            "server a:1; # n1\nserver b:1; # n1",
        ] {
            let text = format!("# first\n{bad}\n");
            let Err(ReadError::Rejected { text, .. }) = servers(&text) else {
                // Only `server;` is no `server` line of ours, and nginx refuses it.
                assert_eq!(bad, "server;");
                continue;
            };
            assert!(text.starts_with("line "), "{bad}: {text}");
        }
        assert!(servers("server unix:/run/a.sock; # n1\n").is_ok());
    }
}

//! What a node's JDBC address does when a column is added under it.
//!
//! PostgreSQL's driver keeps statements prepared on the server, and the engine reads whole rows. After a column was
//! added each such statement fails once, with `cached plan must not change result type`, and with it the request:
//! 7 of 924 were seen. The driver can repeat it by itself, or prepare nothing.

/// Settings under which no request fails, by one each. The first two were tried on real engines under traffic: 29
/// errors on the server, none for a client, and no error at all.
const SAFE: [(&str, &[&str]); 3] = [
    ("autosave", &["conservative", "always"]),
    ("prepareThreshold", &["0"]),
    ("preferQueryMode", &["simple"]),
];

/// What an address means for the moment in which a column is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Online {
    /// Requests go through. On MariaDB and MySQL a job may fail with a deadlock, and its next attempt succeeds.
    Safe,
    /// Some requests are answered with 500.
    CachedPlans,
    /// It is no address of a database that is known here.
    Unknown,
}

/// Judges an address: `jdbc:postgresql://host/database?autosave=conservative`.
///
/// A value that an address has twice counts as its last: that is what the driver takes.
pub fn online(address: &str) -> Online {
    let Some(rest) = address.trim().strip_prefix("jdbc:") else {
        return Online::Unknown;
    };
    match rest.split(':').next() {
        Some("postgresql") => {}
        Some("mysql" | "mariadb") => return Online::Safe,
        _ => return Online::Unknown,
    }
    let parameters = rest
        .split_once('?')
        .map_or("", |(_, parameters)| parameters);
    let value = |name: &str| {
        parameters
            .split('&')
            .filter_map(|parameter| parameter.split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next_back()
    };
    let is_safe = SAFE
        .iter()
        .any(|(name, values)| value(name).is_some_and(|value| values.contains(&value)));
    if is_safe {
        Online::Safe
    } else {
        Online::CachedPlans
    }
}

/// The addresses in a node's file of configuration, whatever its form: properties, YAML or XML.
///
/// An address ends at a blank, a quote or a `<`. Lines that begin with `#` say nothing.
pub fn addresses(text: &str) -> Vec<String> {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<');
    let mut found = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        // Properties may write `\:` and `\=`, XML `&amp;`.
        let line = line
            .replace("\\:", ":")
            .replace("\\=", "=")
            .replace("&amp;", "&");
        for (at, _) in line.match_indices("jdbc:") {
            let address = line[at..].split(is_end).next();
            found.extend(address.map(str::to_owned));
        }
    }
    found
}

/// What a node's file means: the gravest of its addresses; none where it has none.
pub fn online_by_file(text: &str) -> Option<Online> {
    let all: Vec<Online> = addresses(text).iter().map(|it| online(it)).collect();
    let is = |what: Online| all.contains(&what).then_some(what);
    is(Online::CachedPlans)
        .or(is(Online::Safe))
        .or(is(Online::Unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_own_way_fails_once_after_a_column_was_added() {
        for address in [
            "jdbc:postgresql://db:5432/camunda",
            "jdbc:postgresql://a,b/camunda?ApplicationName=n1&prepareThreshold=5",
            "jdbc:postgresql:camunda?autosave=never",
            "jdbc:postgresql://db/camunda?autosave=conservative&autosave=never",
            "jdbc:postgresql://db/autosave=conservative",
        ] {
            assert_eq!(online(address), Online::CachedPlans, "{address}");
        }
    }

    #[test]
    fn two_settings_and_two_databases_are_safe() {
        for address in [
            "jdbc:postgresql://db/camunda?ApplicationName=n1&autosave=conservative",
            "jdbc:postgresql://db/camunda?prepareThreshold=0",
            "jdbc:mysql://db/camunda?useSSL=false",
            "jdbc:mariadb://db/camunda",
        ] {
            assert_eq!(online(address), Online::Safe, "{address}");
        }
    }

    #[test]
    fn an_address_is_found_in_each_form_of_a_file() {
        let safe = "jdbc:postgresql://db/camunda?ApplicationName=n1&autosave=conservative";
        for text in [
            format!("a=1\nspring.datasource.url={safe}\n"),
            format!("spring:\n  datasource:\n    url: \"{safe}\"\n"),
            format!(
                "<property name=\"jdbcUrl\">{}</property>",
                safe.replace('&', "&amp;")
            ),
            format!("url={}", safe.replacen(':', "\\:", 2).replace('=', "\\=")),
        ] {
            assert_eq!(addresses(&text), [safe], "{text}");
            assert_eq!(online_by_file(&text), Some(Online::Safe));
        }
        let bare = "url=jdbc:postgresql://db/camunda";
        let both = format!("{bare}\nother={safe}\n");
        assert_eq!(online_by_file(&both), Some(Online::CachedPlans));
        for text in ["", "# url=jdbc:postgresql://db/camunda", "url=${URL}"] {
            assert_eq!(online_by_file(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        for address in ["", "jdbc:h2:mem:x", "postgresql://db/camunda", "jdbc:"] {
            assert_eq!(online(address), Online::Unknown, "{address}");
        }
    }
}

//! What the program is told: the vendor's environment and arguments, and what tests ask for beside them.
//!
//! | variable of the stand-in | meaning |
//! |---|---|
//! | `STAND_IN_JAR` | the release that it stands in for: `8.6.0`, `8.7.0`, `8.8.N`; default `8.8.0` |
//! | `STAND_IN_RETRY_MS` | the pause before a deletion is tried again; the vendor's are 30 s |
//! | `STAND_IN_STOP` | `die before 1 DELETE /x`: ends itself by SIGKILL around the n-th request that begins so; `hold` instead of `die` waits until the file of `STAND_IN_GO` is there |
//! | `STAND_IN_GO` | that file |
//! | `STAND_IN_LIE` | `nothing`: does nothing and says that it succeeded; `no-sync`: leaves the last part out |
//! | `STAND_IN_RUNS` | a file that gets one line for each time it was started |

use std::path::PathBuf;
use std::time::Duration;

use crate::Failure;
use crate::plan::Version;

/// Which server, as the vendor's configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// `elasticsearch`, the default.
    Elasticsearch,
    /// `opensearch`.
    Opensearch,
}

/// What happens around a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Ends itself; else it waits for a file.
    pub dies: bool,
    /// Before the request is sent; else after its answer came.
    pub before: bool,
    /// Which of those that match, from 1.
    pub nth: u32,
    /// What `METHOD /path` begins with.
    pub request: String,
}

/// How it fails to do what it says it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing is done.
    Nothing,
    /// The sync after the steps is left out.
    NoSync,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which server.
    pub database: Database,
    /// `http://host:port`.
    pub url: String,
    /// User and password.
    pub login: Option<(String, String)>,
    /// What index names begin with.
    pub prefix: String,
    /// What the sync sets on every index.
    pub replicas: u32,
    /// Of indices that it creates.
    pub shards: u32,
    /// What the sync sets on every index.
    pub nested_limit: u32,
    /// The release that the program belongs to.
    pub jar: Version,
    /// The version to reach, where the first argument names one.
    pub target: Version,
    /// Does not ask.
    pub skips_warning: bool,
    /// Pause before a deletion is tried again.
    pub retry: Duration,
    /// Where a test stops it.
    pub stop: Option<Stop>,
    /// What a held request waits for.
    pub go: Option<PathBuf>,
    /// How it lies.
    pub lie: Option<Lie>,
    /// Where its starts are counted.
    pub runs: Option<PathBuf>,
}

/// What the vendor waits between two tries.
const RETRY_MS: u64 = 30_000;

impl Settings {
    /// Reads arguments and environment.
    pub fn read(
        arguments: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let database = match variable("CAMUNDA_OPTIMIZE_DATABASE").as_deref() {
            None | Some("elasticsearch") => Database::Elasticsearch,
            Some("opensearch") => Database::Opensearch,
            Some(other) => return Err(bad("CAMUNDA_OPTIMIZE_DATABASE", other)),
        };
        let (name, connection, port) = match database {
            Database::Elasticsearch => ("ELASTICSEARCH", "OPTIMIZE_ELASTICSEARCH", 9200),
            Database::Opensearch => ("OPENSEARCH", "CAMUNDA_OPTIMIZE_OPENSEARCH", 9205),
        };
        let text = |name: &str, default: &str| variable(name).unwrap_or_else(|| default.into());
        let number = |name: &str, default: u32| match variable(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| bad(name, &text)),
        };
        let of = |rest: &str| format!("CAMUNDA_OPTIMIZE_{name}_{rest}");
        let login = match (
            variable(&of("SECURITY_USERNAME")),
            variable(&of("SECURITY_PASSWORD")),
        ) {
            (Some(user), Some(password)) => Some((user, password)),
            _ => None,
        };
        let jar: Version = text("STAND_IN_JAR", "8.8.0").parse()?;
        // One digit a part: `8.8.24` is not recognised, and the program's own version counts.
        let target = arguments
            .iter()
            .find(|argument| is_short_version(argument))
            .map(|argument| argument.parse())
            .transpose()?
            .unwrap_or(jar);
        Ok(Self {
            database,
            url: format!(
                "http://{}:{}",
                text(&format!("{connection}_HOST"), "localhost"),
                number(&format!("{connection}_HTTP_PORT"), port)?
            ),
            login,
            prefix: text(&of("SETTINGS_INDEX_PREFIX"), "optimize"),
            replicas: number(&of("SETTINGS_INDEX_NUMBER_OF_REPLICAS"), 1)?,
            shards: number(&of("SETTINGS_INDEX_NUMBER_OF_SHARDS"), 1)?,
            nested_limit: number(&of("SETTINGS_INDEX_NESTED_DOCUMENTS_LIMIT"), 10_000)?,
            jar,
            target,
            skips_warning: arguments
                .iter()
                .any(|argument| argument.contains("skip-warning")),
            retry: Duration::from_millis(match variable("STAND_IN_RETRY_MS") {
                None => RETRY_MS,
                Some(text) => text.parse().map_err(|_| bad("STAND_IN_RETRY_MS", &text))?,
            }),
            stop: variable("STAND_IN_STOP")
                .map(|text| stop(&text).ok_or_else(|| bad("STAND_IN_STOP", &text)))
                .transpose()?,
            go: variable("STAND_IN_GO").map(PathBuf::from),
            lie: match variable("STAND_IN_LIE").as_deref() {
                None => None,
                Some("nothing") => Some(Lie::Nothing),
                Some("no-sync") => Some(Lie::NoSync),
                Some(other) => return Err(bad("STAND_IN_LIE", other)),
            },
            runs: variable("STAND_IN_RUNS").map(PathBuf::from),
        })
    }

    /// `optimize-settings`.
    pub fn alias(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix).to_lowercase()
    }
}

fn bad(name: &str, value: &str) -> Failure {
    Failure::Other(format!("{name} is `{value}`"))
}

fn is_short_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3
        && parts
            .iter()
            .all(|part| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `die before 1 DELETE /x`.
fn stop(text: &str) -> Option<Stop> {
    let mut words = text.splitn(4, ' ');
    let dies = match words.next()? {
        "die" => true,
        "hold" => false,
        _ => return None,
    };
    let before = match words.next()? {
        "before" => true,
        "after" => false,
        _ => return None,
    };
    Some(Stop {
        dies,
        before,
        nth: words.next()?.parse().ok()?,
        request: words.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_two_digits_is_not_recognised_as_an_argument() {
        let read = |argument: &str| {
            Settings::read(&[argument.to_owned()], |_| None)
                .unwrap()
                .target
                .to_string()
        };
        assert_eq!(read("8.7.0"), "8.7.0");
        assert_eq!(read("8.8.24"), "8.8.0");
    }

    #[test]
    fn the_environment_is_the_vendors() {
        let variable = |name: &str| {
            Some(
                match name {
                    "CAMUNDA_OPTIMIZE_DATABASE" => "opensearch",
                    "CAMUNDA_OPTIMIZE_OPENSEARCH_HTTP_PORT" => "7",
                    "CAMUNDA_OPTIMIZE_OPENSEARCH_SETTINGS_INDEX_PREFIX" => "acme",
                    "STAND_IN_STOP" => "hold after 2 PUT /acme-alert_v4/_settings",
                    _ => return None,
                }
                .to_owned(),
            )
        };
        let settings = Settings::read(&[], variable).unwrap();
        assert_eq!(settings.url, "http://localhost:7");
        assert_eq!(settings.alias("Alert"), "acme-alert");
        assert!(!settings.skips_warning);
        assert_eq!(
            settings.stop.unwrap(),
            Stop {
                dies: false,
                before: false,
                nth: 2,
                request: "PUT /acme-alert_v4/_settings".into()
            }
        );
    }
}

//! What people have to do outside of the run, with the exact values of this site.

use std::collections::BTreeMap;

use liftlock_sdk::prelude::*;

use crate::outline::Outline;
use crate::seen::Seen;
use crate::upgraded::UPGRADED;
use crate::vendor::Strategy;

/// The words that differ by product.
struct Words {
    database: &'static str,
    /// Variables of the connection and the settings begin so.
    connection: &'static str,
    settings: &'static str,
}

fn words(seen: &Seen) -> Words {
    let is_opensearch = seen
        .identities
        .first()
        .is_some_and(|identity| identity.distribution == Distribution::Opensearch);
    if is_opensearch {
        Words {
            database: "opensearch",
            connection: "CAMUNDA_OPTIMIZE_OPENSEARCH",
            settings: "CAMUNDA_OPTIMIZE_OPENSEARCH_SETTINGS_INDEX",
        }
    } else {
        Words {
            database: "elasticsearch",
            connection: "OPTIMIZE_ELASTICSEARCH",
            settings: "CAMUNDA_OPTIMIZE_ELASTICSEARCH_SETTINGS_INDEX",
        }
    }
}

/// Host and port of each node, as the nodes publish them.
fn endpoints(seen: &Seen) -> Vec<(&str, &str)> {
    seen.nodes
        .iter()
        .filter_map(|node| node.address.rsplit_once(':'))
        .collect()
}

/// What most indices have, and those that have something else.
fn replicas(seen: &Seen) -> (u32, Vec<String>) {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for index in &seen.indices {
        *counts.entry(index.replicas).or_default() += 1;
    }
    let common = counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map_or(1, |(replicas, _)| replicas);
    let others = seen
        .indices
        .iter()
        .filter(|index| index.replicas != common)
        .map(|index| format!("{}: {}", index.name, index.replicas))
        .collect();
    (common, others)
}

/// The variables with which the new release finds this site.
fn variables(seen: &Seen) -> Vec<(String, String)> {
    let words = words(seen);
    let mut variables = vec![(
        "CAMUNDA_OPTIMIZE_DATABASE".to_owned(),
        words.database.to_owned(),
    )];
    if let Some((host, port)) = endpoints(seen).first() {
        variables.push((format!("{}_HOST", words.connection), (*host).to_owned()));
        variables.push((
            format!("{}_HTTP_PORT", words.connection),
            (*port).to_owned(),
        ));
    }
    variables.push((
        format!("{}_PREFIX", words.settings),
        seen.names.prefix().to_owned(),
    ));
    variables.push((
        format!("{}_NUMBER_OF_REPLICAS", words.settings),
        replicas(seen).0.to_string(),
    ));
    variables
}

/// Puts it into the plan.
pub(crate) fn say(
    site: &Site,
    seen: &Seen,
    outline: &Outline,
    strategy: Strategy,
    plan: &Plan<'_>,
) {
    let to = &outline.to;
    if strategy == Strategy::Native {
        plan.not_done(&format!(
            "The vendor's mapping and settings sync: Optimize {to} does it itself, at the end of its own upgrader and \
             at its start. It puts `number_of_replicas` and `refresh_interval` of most indices to its configuration, \
             and adds the fields that are new in {}.",
            to.minor_line()
        ));
    }
    if outline.destroys() {
        plan.not_done(
            "What stands in the snapshot repository stays there: the snapshot of this run is named in the report.",
        );
    }
    if !site.has(UPGRADED) {
        plan.hand_over(&format!("start Optimize {to}"), &start(seen, to));
    }
    plan.hand_over("Docker Compose", &compose(seen, to));
    plan.hand_over("Helm", &helm(seen, to));
    plan.hand_over("init container", &init_container(seen, to));
    let (common, others) = replicas(seen);
    if !others.is_empty() {
        plan.hand_over(
            "replicas",
            &format!(
                "At each start Optimize sets the replicas of most indices to one number, {common} with the values \
                 above. These have others now, and need them again after its start: {}",
                others.join(", ")
            ),
        );
    }
}

fn start(seen: &Seen, to: &Version) -> String {
    let endpoints: Vec<String> = endpoints(seen)
        .iter()
        .map(|(host, port)| format!("{host}:{port}"))
        .collect();
    format!(
        "Only the release {to} starts on this schema: it compares the version as text. Put environment-config.yaml and \
         environment-logback.xml of the old installation into its `config` directory, then start it. The database's \
         nodes are {}, the index prefix is `{}`. Its upgrader finds nothing left but its own sync.",
        if endpoints.is_empty() {
            "those of site.toml".to_owned()
        } else {
            endpoints.join(", ")
        },
        seen.names.prefix()
    )
}

fn compose(seen: &Seen, to: &Version) -> String {
    let mut text = format!("image: camunda/optimize:{to}\nenvironment:");
    for (name, value) in variables(seen) {
        text.push_str(&format!("\n  {name}: \"{value}\""));
    }
    text
}

fn helm(seen: &Seen, to: &Version) -> String {
    let mut text =
        format!("optimize:\n  image:\n    tag: \"{to}\"\n  migration:\n    enabled: true\n  env:");
    for (name, value) in variables(seen) {
        text.push_str(&format!("\n    - name: {name}\n      value: \"{value}\""));
    }
    text.push_str(
        "\nThe migration container gets the same `env` and then does the sync only. The chart's own `prefix` is the \
         export prefix of Zeebe, not this one.",
    );
    text
}

fn init_container(seen: &Seen, to: &Version) -> String {
    let mut text = format!(
        "initContainers:\n  - name: migration\n    image: camunda/optimize:{to}\n    command: [\"./upgrade/upgrade.sh\", \
         \"--skip-warning\"]\n    env:"
    );
    for (name, value) in variables(seen) {
        text.push_str(&format!(
            "\n      - name: {name}\n        value: \"{value}\""
        ));
    }
    text.push_str("\nOne pod alone, strategy Recreate: the vendor's upgrader has no lock.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{identity, site, version};

    #[test]
    fn the_texts_hold_the_values_of_this_site() {
        let mut seen = site("8.7.0");
        seen.indices[0].replicas = 2;
        let text = compose(&seen, &version("8.8.24"));
        for line in [
            "image: camunda/optimize:8.8.24",
            "  CAMUNDA_OPTIMIZE_DATABASE: \"elasticsearch\"",
            "  OPTIMIZE_ELASTICSEARCH_HOST: \"127.0.0.1\"",
            "  OPTIMIZE_ELASTICSEARCH_HTTP_PORT: \"9200\"",
            "  CAMUNDA_OPTIMIZE_ELASTICSEARCH_SETTINGS_INDEX_PREFIX: \"optimize\"",
            "  CAMUNDA_OPTIMIZE_ELASTICSEARCH_SETTINGS_INDEX_NUMBER_OF_REPLICAS: \"1\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert_eq!(replicas(&seen).1, [format!("{}: 2", seen.indices[0].name)]);
        seen.identities = vec![identity(Distribution::Opensearch, "2.19.1")];
        let text = init_container(&seen, &version("8.8.0"));
        assert!(
            text.contains("- name: CAMUNDA_OPTIMIZE_OPENSEARCH_HOST\n        value: \"127.0.0.1\"")
        );
        assert!(start(&seen, &version("8.8.0")).contains("127.0.0.1:9200"));
    }
}

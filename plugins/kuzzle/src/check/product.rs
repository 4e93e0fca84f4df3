//! Kuzzle itself: which one, how it is told of its storage, whether it is well.

use liftlock_sdk::prelude::*;

use super::{blocker, info, warning};
use crate::kuzzle::{Configuration, Kuzzles, Said};
use crate::mode::Told;
use crate::seen::Seen;

/// The first that knows Elasticsearch 8; its guide says 2.30.
const KNOWS_EIGHT: &str = "2.32.0";

/// The first whose own searches do without a sort by `_id`, which 8 refuses.
const SORTS_WELL: &str = "2.50.0";

pub(super) fn check(
    seen: &Seen,
    kuzzles: &Kuzzles,
    to: &Version,
    moment: Moment,
    all: &mut Vec<Finding>,
) {
    if kuzzles.services.is_empty() {
        all.push(blocker(
            "kuzzle.unbound",
            "service.kuzzle",
            "no service is bound",
        ));
    }
    if kuzzles.said.is_empty() {
        all.push(warning(
            "kuzzle.not-asked",
            "endpoint.kuzzle",
            "no API is bound",
        ));
    }
    for service in &kuzzles.services {
        let has = kuzzles
            .configurations
            .iter()
            .any(|it| it.name == service.name);
        if !has {
            all.push(blocker(
                "kuzzle.configuration-missing",
                &service.binding,
                format!("no directory `disk.{}` is bound", service.name),
            ));
        }
    }
    for configuration in &kuzzles.configurations {
        mode(seen, configuration, to, all);
    }
    for said in &kuzzles.said {
        version(said, all);
        // A run that goes on has stopped it.
        if moment != Moment::OnResume {
            health(seen, said, all);
        }
    }
}

fn mode(seen: &Seen, configuration: &Configuration, to: &Version, all: &mut Vec<Finding>) {
    let subject = configuration.binding.as_str();
    let is_new = seen.all_are(to.as_str());
    match configuration.mode() {
        None => all.push(blocker(
            "kuzzle.configuration-missing",
            subject,
            "the file is not there",
        )),
        Some(Told::Nothing) => all.push(blocker(
            "kuzzle.mode-not-said",
            subject,
            "`majorVersion` is not in it",
        )),
        Some(Told::Several(places)) => all.push(blocker(
            "kuzzle.mode-not-said",
            subject,
            format!("`majorVersion` is in it {places} times"),
        )),
        Some(Told::NoText(value)) => all.push(blocker(
            "kuzzle.mode-no-text",
            subject,
            format!("`majorVersion` is {value}, not \"{value}\""),
        )),
        Some(Told::Text(text)) => match text.as_str() {
            "7" if is_new => all.push(warning(
                "kuzzle.mode-behind",
                subject,
                format!("mode 7 on Elasticsearch {to}"),
            )),
            "7" => {}
            "8" if is_new => {}
            // In the middle of a run that goes on all nodes are new before the mode changes.
            "8" => all.push(blocker(
                "kuzzle.mode-ahead",
                subject,
                "mode 8, and not every node is 8.x",
            )),
            other => all.push(blocker(
                "kuzzle.mode-no-text",
                subject,
                format!("`majorVersion` is \"{other}\""),
            )),
        },
    }
}

fn version(said: &Said, all: &mut Vec<Finding>) {
    let Some(text) = &said.version else { return };
    let Ok(its) = text.parse::<Version>() else {
        return;
    };
    let is_before = |text: &str| text.parse::<Version>().is_ok_and(|first| its < first);
    if is_before(KNOWS_EIGHT) {
        all.push(blocker("kuzzle.too-old", &said.binding, text));
    } else if is_before(SORTS_WELL) {
        all.push(warning("kuzzle.sorts-by-id", &said.binding, text));
    }
}

fn health(seen: &Seen, said: &Said, all: &mut Vec<Finding>) {
    match &said.health {
        None => all.push(info("kuzzle.down", &said.binding, "nobody answers")),
        Some((200, _)) => {}
        Some((401 | 403, told)) => {
            all.push(blocker("kuzzle.token-refused", &said.binding, told));
        }
        Some((status, told)) => all.push(blocker(
            "kuzzle.unhealthy",
            &said.binding,
            format!("{status} {told}"),
        )),
    }
    if let Some(storage) = &said.storage
        && !seen.versions().values().any(|version| version == storage)
    {
        all.push(blocker(
            "kuzzle.sees-another-version",
            &said.binding,
            storage,
        ));
    }
}

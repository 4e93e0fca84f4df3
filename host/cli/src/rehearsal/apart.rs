//! Keeps a rehearsal apart from the real targets: three walls, each of which holds alone.
//!
//! 1. A binding that the plan changes must have a target of its own ([`check_plan`]).
//! 2. Such a target must not be a real one under another address ([`check_targets`]).
//! 3. The real targets, which a rehearsal may read, take no change from it ([`OnlyRead`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use liftlock_gate::Bindings;
use liftlock_service::ServiceConfig;
use liftlock_types::facts::cluster::RawAnswer;
use liftlock_types::{
    Acted, Attempt, Binding, Body, Capability, Change, Evaluated, Facts, Observed, Plan, Planned,
    Predicate, Probed, Read, ReadError, StepId, TargetIdentity, Undo,
};
use serde_json::Value;

use crate::code::Code;
use crate::connect::{self, read_failure};
use crate::failure::Failure;
use crate::site::{SITE_FILE, Site};
use crate::state::State;

/// Settings of a repository that say how it is used, not where it lies.
const HOW_NOT_WHERE: [&str; 6] = [
    "readonly",
    "read_only",
    "compress",
    "chunk_size",
    "max_snapshot_bytes_per_sec",
    "max_restore_bytes_per_sec",
];

/// A real target in a rehearsal: it answers, holds no claim, and takes no change.
pub(crate) struct OnlyRead(pub(crate) Arc<dyn Capability>);

#[async_trait]
impl Capability for OnlyRead {
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        self.0.identity().await
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        self.0.read(read).await
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        self.0.evaluate(predicate, last).await
    }

    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        self.0.facts(change).await
    }

    async fn facts_of_each(&self, changes: &[&Change]) -> Result<Vec<Facts>, (usize, ReadError)> {
        self.0.facts_of_each(changes).await
    }

    async fn observe(&self, change: &Change, attempt: &Attempt) -> Result<Observed, ReadError> {
        self.0.observe(change, attempt).await
    }

    async fn act(&self, change: &Change, _: &Attempt) -> Acted {
        Acted::NotSent(format!(
            "`{}` would go to a real target, which a rehearsal only reads",
            change.verb()
        ))
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        self.0.probe(change, attempt).await
    }

    async fn in_flight(&self, change: &Change, attempt: &Attempt) -> Result<bool, ReadError> {
        self.0.in_flight(change, attempt).await
    }

    async fn clean_up(&self, _: &Change, _: &Attempt) -> Result<Vec<String>, ReadError> {
        // Nothing was sent that could have left something.
        Ok(Vec::new())
    }

    fn automatic_undo(&self, _: &Change, _: &Attempt) -> Option<Vec<Planned>> {
        None
    }

    fn undone_on(&self, change: &Change) -> Option<Binding> {
        self.0.undone_on(change)
    }

    async fn going_back(
        &self,
        taken_by: &StepId,
        take: &Change,
        taken: &Value,
        of: &Change,
    ) -> Result<Vec<Planned>, ReadError> {
        self.0.going_back(taken_by, take, taken, of).await
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        self.0.borrowed_now(key).await
    }
}

/// The bindings that a plan changes, on its way or back.
fn changed<'a>(plan: &'a Plan, bindings: &Bindings) -> BTreeMap<Binding, &'a StepId> {
    let mut out = BTreeMap::new();
    for step in &plan.steps {
        let mut all: Vec<&Planned> = step.change().into_iter().collect();
        if let Undo::Changes(changes) = &step.undo {
            all.extend(changes);
        }
        for planned in all {
            let undone_on = bindings
                .get(&planned.binding)
                .and_then(|capability| capability.undone_on(&planned.change));
            for binding in [Some(planned.binding.clone()), undone_on]
                .into_iter()
                .flatten()
            {
                out.entry(binding).or_insert(&step.id);
            }
        }
    }
    out
}

/// Each binding that the plan changes leads to a target of the rehearsal; else it is refused with their names.
pub(crate) fn check_plan(
    is_scratch: impl Fn(&Binding) -> bool,
    plan: &Plan,
    bindings: &Bindings,
) -> Result<(), Failure> {
    let real: Vec<(Binding, &StepId)> = changed(plan, bindings)
        .into_iter()
        .filter(|(binding, _)| !is_scratch(binding))
        .collect();
    if real.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = real
        .iter()
        .map(|(binding, _)| format!("`{binding}`"))
        .collect();
    let mut failure = Failure::new(
        Code::NoRehearsal,
        format!(
            "the plan changes what has no target for a rehearsal: {}",
            names.join(", ")
        ),
    );
    for (binding, step) in &real {
        failure = failure.cause(format!(
            "step `{step}` changes `{binding}`, which leads to the real one"
        ));
    }
    let tables: Vec<String> = real
        .iter()
        .map(|(binding, _)| format!("[rehearsal.{binding}]"))
        .collect();
    Err(failure.remedy(format!("add to {SITE_FILE}: {}", tables.join(", "))))
}

/// No target of the rehearsal is a real one. A real one that does not answer cannot be told from it: refused too.
pub(crate) async fn check_targets(
    site: &Site,
    real: &Site,
    scratch: &Bindings,
    state: &State,
) -> Result<(), Failure> {
    let capabilities: BTreeSet<&str> = site
        .names()
        .filter(|binding| site.is_scratch(binding))
        .map(Binding::capability)
        .collect();
    let there = connect::bindings(real, state).await?;
    let mut identities: BTreeMap<&Binding, String> = BTreeMap::new();
    for (binding, capability) in &there {
        if capabilities.contains(binding.capability()) {
            let identity = capability.identity().await.map_err(|error| {
                read_failure(
                    &format!("the real `{binding}` does not say who it is, so that no rehearsal can be told from it"),
                    &error,
                )
            })?;
            identities.insert(binding, identity.fingerprint);
        }
    }
    for (binding, capability) in scratch
        .iter()
        .filter(|(binding, _)| site.is_scratch(binding))
    {
        let identity = capability.identity().await.map_err(|error| {
            read_failure(
                &format!("`rehearsal.{binding}` does not say who it is"),
                &error,
            )
        })?;
        let same = identities.iter().find(|(known, fingerprint)| {
            known.capability() == binding.capability() && **fingerprint == identity.fingerprint
        });
        if let Some((known, _)) = same {
            return Err(is_real(
                site,
                binding,
                known,
                &format!("both are {} ({})", identity.fingerprint, identity.product),
            ));
        }
    }
    for (binding, config) in &site.disks {
        for (known, other) in &real.disks {
            let [own, other] = [&config.path, &other.path].map(|path| site.dir().join(path));
            if site.is_scratch(binding) && one_holds_the_other(&own, &other) {
                let what = format!(
                    "`{}` and `{}`: one holds the other",
                    own.display(),
                    other.display()
                );
                return Err(is_real(site, binding, known, &what));
            }
        }
    }
    for (binding, config) in &site.services {
        for (known, other) in &real.services {
            if site.is_scratch(binding)
                && let Some(what) = same_process(config, other)
            {
                return Err(is_real(site, binding, known, what));
            }
        }
    }
    check_stores(site, real, scratch, &there).await
}

/// A directory inside another: a plan of the one sees or changes files of the other. What is not there is neither.
fn one_holds_the_other(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one.starts_with(&other) || other.starts_with(&one),
        _ => false,
    }
}

/// What two definitions of a service share that only one process can have.
fn same_process(one: &ServiceConfig, other: &ServiceConfig) -> Option<&'static str> {
    if one.pid_file.is_some() && one.pid_file == other.pid_file {
        Some("both have the same `pid-file`")
    } else if one.port.is_some() && (&one.host, one.port) == (&other.host, other.port) {
        Some("both listen on the same `port`")
    } else if one.process.is_some() && one.process == other.process {
        Some("both have the same `process`")
    } else if !one.start.is_empty()
        && (&one.start, &one.directory) == (&other.start, &other.directory)
    {
        Some("both are started by the same command")
    } else {
        None
    }
}

/// A store of snapshots that two clusters write to is destroyed; each cluster names it by itself.
async fn check_stores(
    site: &Site,
    real: &Site,
    scratch: &Bindings,
    there: &Bindings,
) -> Result<(), Failure> {
    let mut known = Vec::new();
    for binding in real.snapshots.keys() {
        if let Some((_, place)) = store(real, binding, there).await? {
            known.push((binding, place));
        }
    }
    for binding in site.snapshots.keys().filter(|known| site.is_scratch(known)) {
        let Some((is_writable, place)) = store(site, binding, scratch).await? else {
            continue;
        };
        if let Some((real, _)) = known
            .iter()
            .find(|(_, other)| is_writable && *other == place)
        {
            return Err(is_real(
                site,
                binding,
                real,
                &format!("both are registered as {place}"),
            ));
        }
    }
    Ok(())
}

/// Whether a repository is written to, and where it lies; none: it is not registered.
async fn store(
    site: &Site,
    binding: &Binding,
    bindings: &Bindings,
) -> Result<Option<(bool, Value)>, Failure> {
    let Some(config) = site.snapshots.get(binding) else {
        return Ok(None);
    };
    let Some(cluster) = bindings.get(&config.cluster) else {
        return Ok(None);
    };
    let read = Read::RawRead {
        path: format!("/_snapshot/{}", config.repository),
        query: Vec::new(),
        body: None,
    };
    let unread = |error: &ReadError| {
        read_failure(
            &format!("`{binding}` does not say where its store lies"),
            error,
        )
    };
    let answer = match cluster.read(&read).await {
        Err(ReadError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(unread(&error)),
        Ok(answer) => answer,
    };
    let answer: RawAnswer = serde_json::from_value(answer)
        .map_err(|error| unread(&ReadError::Invalid(error.to_string())))?;
    if answer.status == 404 {
        return Ok(None);
    }
    let body: Value = serde_json::from_str(&answer.body)
        .map_err(|error| unread(&ReadError::Invalid(error.to_string())))?;
    Ok(place(&body[&config.repository]))
}

fn place(definition: &Value) -> Option<(bool, Value)> {
    let mut definition = definition.as_object()?.clone();
    // Which snapshots it holds changes with each.
    definition.retain(|key, _| key == "type" || key == "settings");
    let settings = definition.get_mut("settings")?.as_object_mut()?;
    let is_read_only = ["readonly", "read_only"].iter().any(|key| {
        settings
            .get(*key)
            .is_some_and(|on| on == true || on == "true")
    });
    settings.retain(|key, _| !HOW_NOT_WHERE.contains(&key.as_str()));
    Some((!is_read_only, Value::Object(definition)))
}

/// A repository that both plans register as the same store would be written to by the rehearsal.
pub(crate) fn check_registered(site: &Site, rehearsed: &Plan, real: &Plan) -> Result<(), Failure> {
    let registered = |plan: &Plan| -> Vec<(Binding, StepId, (bool, Value))> {
        plan.steps
            .iter()
            .filter_map(|step| match &step.body {
                Body::Change(planned) => match &planned.change {
                    Change::RegisterRepository { kind, settings } => {
                        let definition =
                            serde_json::json!({"type": kind, "settings": settings.value()});
                        let place = place(&definition)?;
                        Some((planned.binding.clone(), step.id.clone(), place))
                    }
                    _ => None,
                },
                _ => None,
            })
            .collect()
    };
    let known = registered(real);
    for (binding, step, (is_writable, place)) in registered(rehearsed) {
        let same = known.iter().find(|(_, _, (_, other))| *other == place);
        if let Some((real, ..)) = same.filter(|_| is_writable) {
            let what = format!("step `{step}` registers it as {place}, as on the real site");
            return Err(is_real(site, &binding, real, &what));
        }
    }
    Ok(())
}

fn is_real(site: &Site, binding: &Binding, real: &Binding, why: &str) -> Failure {
    Failure::new(
        Code::RehearsalIsReal,
        format!(
            "`rehearsal.{binding}` in `{}` is the real `{real}`",
            site.file().display()
        ),
    )
    .cause(why.to_owned())
    .untouched("nothing was sent to any target that changes it")
    .remedy("name another target for the rehearsal, one that holds a copy of the data and serves nobody")
}

#[cfg(test)]
mod tests {
    use liftlock_disk::{Directory, DiskConfig};
    use liftlock_types::{FileName, Json, RunId};
    use serde_json::json;

    use super::*;
    use crate::view::plan::tests::sample;

    fn binding(name: &str) -> Binding {
        Binding::new(name).unwrap()
    }

    /// The sample, whose second step registers a repository like this.
    fn registers(settings: &Value) -> Plan {
        let mut plan = sample().plan;
        plan.steps[1].body = Body::Change(Planned {
            binding: binding("snapshot.backups"),
            change: Change::RegisterRepository {
                kind: "fs".into(),
                settings: Json::of(settings),
            },
            fills: vec![],
        });
        plan
    }

    #[test]
    fn what_a_plan_changes_on_its_way_or_back_must_have_a_target_of_its_own() {
        let mut plan = sample().plan;
        let check = |plan: &Plan, scratch: &[&str]| {
            let is_scratch = |binding: &Binding| scratch.contains(&binding.as_str());
            check_plan(is_scratch, plan, &Bindings::new())
        };
        let failure = check(&plan, &["cluster.database"]).unwrap_err();
        assert_eq!(failure.code(), Code::NoRehearsal);
        let data = failure.data();
        assert!(data.what.ends_with("`service.optimize`"), "{}", data.what);
        assert!(data.remedy.contains("[rehearsal.service.optimize]"));
        let both = ["cluster.database", "service.optimize"];
        check(&plan, &both).unwrap();
        plan.steps[0].undo = Undo::Changes(vec![Planned {
            binding: binding("disk.config"),
            change: Change::StartService {},
            fills: vec![],
        }]);
        let failure = check(&plan, &both).unwrap_err();
        assert!(failure.data().causes[0].contains("step `stop` changes `disk.config`"));
    }

    #[tokio::test]
    async fn a_real_target_takes_no_change_of_a_rehearsal_and_holds_no_claim() {
        let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config: DiskConfig =
            toml::from_str(&format!("path = \"{}\"", dir.path().display())).unwrap();
        let directory = Directory::open(binding("disk.config"), &config, kept.path()).unwrap();
        let write = Change::WriteFile {
            dir: vec![],
            name: FileName::new("new").unwrap(),
            text: "x".into(),
        };
        let attempt = Attempt {
            run: RunId::new("r-1").unwrap(),
            step: StepId::new("s").unwrap(),
            number: 1,
            token: "t".into(),
            intent_at_ms: 0,
            kept: Value::Null,
            facts: Facts::new(),
            answer: None,
            referred: None,
            made_by_run: BTreeMap::new(),
        };
        let real = OnlyRead(Arc::new(directory.clone()));
        assert_eq!(
            real.identity().await.unwrap(),
            directory.identity().await.unwrap()
        );
        let Acted::NotSent(why) = real.act(&write, &attempt).await else {
            panic!("it was sent")
        };
        assert!(
            why.contains("`disk.write` would go to a real target"),
            "{why}"
        );
        assert!(!dir.path().join("new").exists());
        assert_eq!(real.automatic_undo(&write, &attempt), None);
        assert!(!real.holds_claims());
        // The same change, let through, does write: the wall is what kept it.
        directory.act(&write, &attempt).await;
        assert!(dir.path().join("new").exists());
    }

    #[test]
    fn a_store_that_both_plans_register_is_told_unless_it_is_only_read() {
        let text = "name = \"prod\"\nproduct-plugin = \"p\"\n";
        let site = Site::parse("site.toml".into(), text.into()).unwrap();
        let of = |there: Value, real: Value| {
            check_registered(&site, &registers(&there), &registers(&real))
        };
        let real = json!({"location": "/a"});
        let failure = of(json!({"location": "/a", "compress": true}), real.clone()).unwrap_err();
        assert_eq!(failure.code(), Code::RehearsalIsReal);
        of(json!({"location": "/b"}), real.clone()).unwrap();
        of(json!({"location": "/a", "readonly": true}), real).unwrap();
    }

    fn service(text: &str) -> ServiceConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_directory_in_another_is_told_also_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let [conf, inner, beside, link] =
            ["conf", "conf/of-rehearsal", "conf-2", "link"].map(|name| dir.path().join(name));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir(&beside).unwrap();
        std::os::unix::fs::symlink(&conf, &link).unwrap();
        assert!(one_holds_the_other(&inner, &conf) && one_holds_the_other(&conf, &inner));
        assert!(one_holds_the_other(&link, &inner));
        assert!(!one_holds_the_other(&beside, &conf));
    }

    #[test]
    fn two_definitions_of_one_process_are_told_whatever_else_differs() {
        let real = service("start = [\"run\"]\nport = 1\npid-file = \"p\"");
        let says = |text| same_process(&service(text), &real);
        assert!(says("pid-file = \"p\"\nport = 2").is_some());
        assert!(says("port = 1\nlabels = { a = \"b\" }").is_some());
        assert!(says("start = [\"run\"]\nport = 3").is_some());
        assert_eq!(says("start = [\"run\"]\nport = 3\ndirectory = \"d\""), None);
        assert_eq!(says("start = [\"run\", \"2\"]\nport = 2"), None);
    }

    #[test]
    fn a_store_is_where_it_lies_and_not_how_it_is_used() {
        let of = |settings: Value| place(&json!({"type": "fs", "uuid": "x", "settings": settings}));
        let plain = of(json!({"location": "/a"})).unwrap();
        let slow = of(json!({"location": "/a", "max_snapshot_bytes_per_sec": "1mb"})).unwrap();
        let read = of(json!({"location": "/a", "readonly": "true"})).unwrap();
        assert_eq!(plain, slow);
        assert_eq!((read.0, &read.1), (false, &plain.1));
        assert_ne!(plain.1, of(json!({"location": "/b"})).unwrap().1);
    }
}

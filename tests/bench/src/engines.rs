//! A site of many Camunda nodes that are one listener: what planning reads of each, at the price of a real request.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Context;
use liftlock_e2e::{Operator, artifacts};
use liftlock_lab::camunda::seed::TEMPLATE;
use liftlock_lab::camunda::{EngineVersion, Seed, schema};
use liftlock_lab::{BehindIt, DatabaseKind, DatabaseServer, HaProxy, Login};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::ground;

/// What the nodes run, and what they are to run.
pub(crate) const FROM: EngineVersion = EngineVersion::V7_22;
/// See [`FROM`].
pub(crate) const TO: EngineVersion = EngineVersion::V7_23;

/// The engines' database.
const DATABASE: &str = "camunda";

/// The variable with the password of its owner.
const PASSWORD: &str = "LIFTLOCK_LAB_DATABASE_PASSWORD";

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The nodes' database; sites of any size stand on it.
pub(crate) struct Store {
    server: DatabaseServer,
    installation: String,
    folder: TempDir,
}

impl Store {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let folder = ground::on_disk()?;
        let data = folder.path().join("database");
        let kind = DatabaseKind::PostgreSql;
        Seed::new(FROM, kind)
            .lay(&data, &folder.path().join("seed"))
            .await?;
        let server = DatabaseServer::start(kind, &data).await?;
        server.address().copy(TEMPLATE, DATABASE).await?;
        let id = "select value_ from ACT_GE_PROPERTY where name_ = 'camunda.installation.id'";
        let installation = server.address().sql(DATABASE, id).await?;
        Ok(Self {
            server,
            installation: installation.trim().to_owned(),
            folder,
        })
    }
}

/// A site of so many nodes, and its operator.
pub(crate) struct Engines {
    pub(crate) operator: Operator,
    _balancer: HaProxy,
}

impl Engines {
    /// Nodes that answer as engines of [`FROM`], behind HAProxy; an operator who has granted what the plugin asks for.
    pub(crate) async fn start(
        store: &Store,
        plugin: &Path,
        liftlock: &Path,
        nodes: usize,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(serve(listener, store.installation.clone()));
        let home = store.folder.path().join(format!("of-{nodes}"));
        let at = |name: &str| home.join(name);
        for version in [FROM, TO] {
            fs::create_dir_all(at("versions").join(version.name()))?;
        }
        for name in ["site", "engine", "nodes"] {
            fs::create_dir_all(at(name))?;
        }
        let scripts = schema::scripts(TO).await?.join("upgrade");
        for entry in fs::read_dir(&scripts)? {
            let file = entry?.path();
            fs::copy(
                &file,
                at("engine").join(file.file_name().unwrap_or_default()),
            )?;
        }
        let names: Vec<String> = (1..=nodes).map(|number| format!("n{number}")).collect();
        let behind: Vec<BehindIt> = names.iter().map(|name| BehindIt::new(name, port)).collect();
        let balancer = HaProxy::start(at("balancer"), &behind, "/engine-rest/engine").await?;
        let mut text = format!(
            "name = \"engines\"\nproduct-plugin = \"camunda-7\"\n\n\
             [options]\ngroup = \"33%\"\ncanary-process = \"batch\"\ncached-plans = \"safe\"\nbackup = \"none\"\n\n\
             [database.engine]\nkind = \"postgresql\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{DATABASE}\"\n\
             user = \"{}\"\npassword = {{ env = \"{PASSWORD}\" }}\ntls = \"off\"\n\n\
             [disk.engine]\npath = {:?}\n\n\
             [traffic.balancer]\nkind = \"haproxy\"\nsocket = {:?}\n\n",
            store.server.address().port(),
            Login::Owner.user(),
            at("engine"),
            balancer.runtime_socket(),
        );
        for name in &names {
            let link = at("nodes").join(name);
            symlink(at("versions").join(FROM.name()), &link)?;
            text.push_str(&format!(
                "[endpoint.{name}]\nurl = \"http://127.0.0.1:{port}/engine-rest\"\n\n\
                 [service.{name}]\nstart = [\"/bin/false\"]\nhost = \"127.0.0.1\"\nport = {port}\n\
                 labels = {{ pool = \"rest\", server = \"camunda/{name}\", endpoint = \"endpoint.{name}\", jobs = \"yes\" }}\n\
                 artifact = {{ link = {link:?}, versions = {:?} }}\n\n",
                at("versions"),
            ));
        }
        fs::write(at("site").join("site.toml"), text)?;
        let password = store.server.address().password(Login::Owner);
        let operator =
            Operator::new(liftlock, &at("site"), &at("state")).env(PASSWORD, password.reveal());
        let plugin = plugin.to_str().context("the plugin's path")?;
        operator
            .run(&["plugin", "add", plugin, "--allow-unsigned"])
            .await?
            .expect(0)?;
        operator.run(&["grant", "--yes"]).await?.expect(0)?;
        Ok(Self {
            operator,
            _balancer: balancer,
        })
    }
}

/// The plugin and the program.
pub(crate) fn built() -> anyhow::Result<(std::path::PathBuf, std::path::PathBuf)> {
    Ok((artifacts::camunda_plugin()?.path, artifacts::liftlock()?))
}

async fn serve(listener: TcpListener, installation: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let installation = installation.clone();
        // Who hangs up hears nothing.
        tokio::spawn(async move { talk(stream, &installation).await.ok() });
    }
}

/// Answers one request after another, as long as the client keeps the connection.
async fn talk(mut stream: TcpStream, installation: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        let end = head.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            if head.len() > HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let line = String::from_utf8_lossy(&head[..end]).into_owned();
        head.drain(..end + 4);
        let path = line.split_whitespace().nth(1).unwrap_or_default();
        let body = if path.ends_with("/version") {
            format!("{{\"version\":\"{FROM}\"}}")
        } else if path.ends_with("/telemetry/data") {
            format!(
                "{{\"installation\":\"{installation}\",\"product\":{{\"name\":\"Camunda BPM Runtime\"}}}}"
            )
        } else {
            "{\"count\":0}".to_owned()
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

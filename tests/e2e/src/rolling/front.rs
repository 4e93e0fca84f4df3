//! What stands before the engines.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use liftlock_lab::BehindIt;
use liftlock_lab::HaProxy;
use liftlock_lab::Nginx;

/// What HAProxy asks each engine for. It needs no database, so it proves nothing but a listener.
const CHECK: &str = "/engine-rest/engine";

/// Longest wait until a server that answers is seen to; checks come every second.
const UP_PATIENCE: Duration = Duration::from_secs(30);

/// Which balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontKind {
    /// Changed by its runtime API.
    HaProxy,
    /// Changed by an included file and a reload.
    Nginx,
}

/// A running balancer.
#[derive(Debug)]
pub enum Front {
    /// HAProxy.
    HaProxy(HaProxy),
    /// nginx.
    Nginx(Nginx),
}

impl Front {
    /// Starts it in `dir` and waits until every server gets requests.
    pub async fn start(kind: FrontKind, dir: &Path, behind: &[BehindIt]) -> anyhow::Result<Self> {
        let front = Self::start_alone(kind, dir, behind).await?;
        if let Self::HaProxy(balancer) = &front {
            for server in behind {
                balancer
                    .wait_status(&server.name, "UP", UP_PATIENCE)
                    .await?;
            }
        }
        Ok(front)
    }

    /// Starts it in `dir`, whether there is a server or not.
    pub async fn start_alone(
        kind: FrontKind,
        dir: &Path,
        behind: &[BehindIt],
    ) -> anyhow::Result<Self> {
        Ok(match kind {
            FrontKind::HaProxy => Self::HaProxy(HaProxy::start(dir, behind, CHECK).await?),
            FrontKind::Nginx => Self::Nginx(Nginx::start(dir, behind).await?),
        })
    }

    /// Where clients send requests: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> String {
        match self {
            Self::HaProxy(balancer) => balancer.base_url(),
            Self::Nginx(balancer) => balancer.base_url(),
        }
    }

    /// HAProxy, for those who need its runtime API.
    pub fn haproxy(&self) -> anyhow::Result<&HaProxy> {
        match self {
            Self::HaProxy(balancer) => Ok(balancer),
            Self::Nginx(_) => bail!("nginx has no runtime API"),
        }
    }

    /// Its binding `traffic.balancer` of `site.toml`.
    pub fn site_toml(&self) -> anyhow::Result<String> {
        let keys = match self {
            Self::HaProxy(balancer) => format!(
                "kind = \"haproxy\"\nsocket = {:?}\n",
                balancer.runtime_socket()
            ),
            Self::Nginx(balancer) => format!(
                "kind = \"nginx\"\ninclude = {:?}\nbackend = \"camunda\"\npid-file = {:?}\ntest = {:?}\n",
                balancer.include_file(),
                balancer.pid_file(),
                balancer.test_command()?
            ),
        };
        Ok(format!("[traffic.balancer]\n{keys}"))
    }

    /// Nobody took the server out, and its checks pass where there are any.
    pub async fn expect_serving(&self, server: &str) -> anyhow::Result<()> {
        let (serves, said) = match self {
            Self::HaProxy(balancer) => {
                let stats = balancer.stats().await?;
                let status = stats.get(server).map(|stat| stat.status.clone());
                (status.as_deref() == Some("UP"), format!("{status:?}"))
            }
            Self::Nginx(balancer) => {
                let text = std::fs::read_to_string(balancer.include_file())?;
                let line = text
                    .lines()
                    .find(|line| line.ends_with(&format!("# {server}")))
                    .unwrap_or_default();
                let is_out = line.is_empty() || line.contains(" down");
                (!is_out, line.to_owned())
            }
        };
        if !serves {
            bail!("the balancer has `{server}` as {said}");
        }
        Ok(())
    }
}

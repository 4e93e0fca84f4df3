//! The proof that the Camunda 7 plugin upgrades engines while they serve.
//!
//! Real engines, a real balancer, a real database, and clients that never repeat a request: see [`stage`].

pub mod front;
pub mod stage;

mod backup;
mod rehearsed;
mod restore;
mod ways;
mod whole;
mod window;

pub use front::Front;
pub use front::FrontKind;
pub use rehearsed::Second;
pub use rehearsed::rehearses_on_a_copy;
pub use restore::goes_back_as_a_whole;
pub use stage::RollingSite;
pub use stage::RollingSpec;
pub use ways::goes_back_by_one_node;
pub use ways::leaves_the_last_one;
pub use whole::equals_the_vendors_way;
pub use whole::upgrades_under_traffic;
pub use whole::upgrades_with_stale_statements;
pub use window::stops_for_a_deployment;

use crate::operator::Told;

impl RollingSite {
    /// Adds the plugin, grants what it asks for, plans and approves; gives the plan's file.
    pub async fn approved(&self) -> anyhow::Result<String> {
        self.operator.add(self.plugin()).await?;
        self.operator.grant().await?;
        self.plan().await
    }

    /// Plans once more and approves.
    pub async fn plan(&self) -> anyhow::Result<String> {
        self.operator.approved(self.spec.to.name()).await
    }

    /// Runs an approved plan.
    pub async fn run(&self, plan: &str) -> anyhow::Result<Told> {
        self.operator.run(&["run", plan]).await
    }

    /// Every node runs this version, and says so.
    pub async fn all_run(&self, version: &str) -> anyhow::Result<()> {
        for node in &self.nodes {
            let said = node.rest()?.get("/version").await?;
            if node.current()? != version || said["version"] != version {
                anyhow::bail!("`{}` runs `{}` and says {said}", node.name, node.current()?);
            }
        }
        Ok(())
    }

    /// Every server gets requests.
    pub async fn all_serve(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            self.balancer.expect_serving(&node.name).await?;
        }
        Ok(())
    }
}

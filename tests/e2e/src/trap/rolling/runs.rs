//! Traps that a run comes upon when it is under way.

use super::scene::Scene;

pub(super) async fn foreign_lock(_scene: &mut Scene) -> anyhow::Result<()> {
    Ok(())
}
pub(super) async fn disk_full(_scene: &mut Scene) -> anyhow::Result<()> {
    Ok(())
}
pub(super) async fn balancer_reloaded(_scene: &mut Scene) -> anyhow::Result<()> {
    Ok(())
}
pub(super) async fn never_comes_up(_scene: &mut Scene) -> anyhow::Result<()> {
    Ok(())
}
pub(super) async fn deployment(_scene: &mut Scene) -> anyhow::Result<()> {
    Ok(())
}

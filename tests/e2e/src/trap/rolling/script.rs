//! Traps in the script that the operator brought along.

use std::fs;

use anyhow::Context;

use super::scene::Scene;
use crate::trap::answer::Meant::Blocker;

/// The script of the version before under the name of the one that is needed.
pub(super) async fn of_another_version(scene: &mut Scene) -> anyhow::Result<()> {
    let file = scene.script();
    let good = fs::read(&file).context("the script")?;
    let other = file.with_file_name("postgres_engine_7.20_to_7.21.sql");
    fs::copy(&other, &file)?;
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    scene
        .finds_one(
            Blocker,
            "camunda.script-of-another-version",
            &[&name, "7.21", "7.22"],
        )
        .await?;
    fs::write(&file, good)?;
    scene.is_mended().await
}

/// One byte of its text is another: still good SQL, and another type.
pub(super) async fn changed(scene: &mut Scene) -> anyhow::Result<()> {
    let file = scene.script();
    let good = fs::read_to_string(&file).context("the script")?;
    fs::write(&file, good.replacen("varchar(64)", "varchar(63)", 1))?;
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    scene
        .finds_one(
            Blocker,
            "camunda.script-changed",
            &[&name, "digest", "engine's jar"],
        )
        .await?;
    fs::write(&file, good)?;
    scene.is_mended().await
}

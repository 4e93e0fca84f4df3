//! `cargo xtask golden`: scripts whose whole output is compared.

use anyhow::bail;
use liftlock_e2e::Kit;
use liftlock_e2e::golden;
use liftlock_e2e::golden::Verdict;

use crate::plugins;
use crate::summary::Summary;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only scripts of these names. Without one: all.
    script: Vec<String>,
    /// Rewrite the scripts with the output as it is now. The diff in git is the review.
    #[arg(long)]
    accept: bool,
}

pub(crate) async fn run(options: &Options, summary: &mut Summary) -> anyhow::Result<()> {
    plugins::ensure(summary)?;
    let kit = summary.step("build the binaries", Kit::build)?;
    let scripts = summary
        .wait(
            "golden scripts",
            compare_all(&kit, options.accept, &options.script),
        )
        .await?;
    summary.field("scripts", scripts);
    Ok(())
}

/// Compares or rewrites these scripts, every one where none is named; how many there are.
pub(crate) async fn compare_all(kit: &Kit, accept: bool, only: &[String]) -> anyhow::Result<u64> {
    let mut failed = Vec::new();
    let mut count = 0;
    for script in golden::scripts()? {
        let name = script.file_stem().unwrap_or_default().to_string_lossy();
        if !only.is_empty() && !only.iter().any(|wanted| *wanted == name) {
            continue;
        }
        count += 1;
        match golden::compare(kit, &script, accept).await {
            Ok(Verdict::Same) => println!("ok    {name}"),
            Ok(Verdict::Accepted) => println!("new   {name} was rewritten"),
            Ok(Verdict::Different(lines)) => {
                println!("FAIL  {name} (`-` expected, `+` found)\n{lines}");
                failed.push(name.into_owned());
            }
            Err(error) => {
                println!("FAIL  {name}: {error:#}");
                failed.push(name.into_owned());
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} differ; if the change is meant: cargo xtask golden --accept",
            failed.join(", ")
        );
    }
    if count == 0 {
        bail!(
            "there is no script in `{}`",
            golden::scripts_dir().display()
        );
    }
    Ok(count)
}

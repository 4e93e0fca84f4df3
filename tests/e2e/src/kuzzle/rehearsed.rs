//! The plan on a second site first, whose old cluster is filled from a snapshot of the first one.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use liftlock_lab::kuzzle::Handed;
use liftlock_lab::kuzzle::seed::ADMIN;
use liftlock_lab::kuzzle::seed::PASSWORD;
use liftlock_lab::kuzzle::site::FROM;
use liftlock_lab::kuzzle::site::TO;
use serde_json::json;

use super::beside::BesideStage;
use super::beside::Pair;
use super::beside::is;
use super::beside::names;
use super::beside::picture;
use super::beside::share_store;
use super::stage::TOKEN;
use super::stage::open_to_all;
use crate::artifacts;
use crate::tally::Tally;
use crate::tally::seconds;

/// The repository with the operator's own snapshots.
const NIGHTLY: &str = "nightly";

/// The file with the token that Liftlock shows to the second Kuzzle, beside `site.toml`.
const TOKEN_FILE: &str = "second-token";

/// Between two looks at a process that ends.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What stands for the site in a rehearsal: installed, empty, and its Kuzzle stopped.
#[derive(Debug)]
pub struct Second {
    pair: Pair,
}

impl Second {
    /// Takes a snapshot of the real site, and names itself and how it is filled in the site file.
    pub async fn beside(stage: &BesideStage) -> anyhow::Result<Self> {
        let home = stage.folder.path().join("second");
        fs::create_dir(&home).context("cannot make a folder")?;
        open_to_all(&home)?;
        // The nodes of the copy reach the store of the real ones, as they must to be filled from it.
        share_store(stage.site.old.repo_dir(), &home.join("old"))?;
        let (pair, ()) = Pair::start(&home, async |_| Ok(())).await?;
        for process in pair.kuzzle.processes() {
            process.kill();
            while process.is_alive() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        pair.old.target().delete("/%25*,%26*").await?;
        let real = stage.site.old.target();
        let repository = json!({ "type": "fs", "settings": { "location": NIGHTLY } });
        real.put(&format!("/_snapshot/{NIGHTLY}"), &repository)
            .await?;
        let snapshot = format!("/_snapshot/{NIGHTLY}/monday?wait_for_completion=true");
        real.put(&snapshot, &json!({})).await?;
        let fill = stage.operator.site().join("fill.sh");
        fs::write(&fill, fill_script(stage.site.old.base_url(), &pair))?;
        let file = stage.operator.site().join("site.toml");
        let text = fs::read_to_string(&file).context("cannot read site.toml")?;
        fs::write(&file, format!("{text}\n{}", rehearsal_toml(&pair)))
            .context("cannot write site.toml")?;
        Ok(Self { pair })
    }
}

/// What an operator has to do for a Kuzzle: its storage from the snapshot, then Kuzzle, then a token.
fn fill_script(real: &str, second: &Pair) -> String {
    let Pair { kuzzle, old, .. } = second;
    let example = artifacts::root().join("examples/rehearsal/fill-search-cluster.sh");
    let environment: Vec<String> = Handed::ENVIRONMENT
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let url = format!("http://127.0.0.1:{}", kuzzle.port());
    format!(
        "set -eu\n\
         '{example}' {real} {NIGHTLY} {scratch} '&*,%*'\n\
         (cd '{dir}' && HOME='{dir}' {environment} exec setsid {command} > again.log 2>&1 &)\n\
         curl -s --retry 120 --retry-delay 1 --retry-all-errors -f -o /dev/null {url}/_ready\n\
         curl -sf -H 'Content-Type: application/json' -d '{login}' {url}/_login/local | jq -re .result.jwt > {TOKEN_FILE}\n",
        example = example.display(),
        scratch = old.base_url(),
        dir = kuzzle.dir().display(),
        environment = environment.join(" "),
        command = kuzzle.command.join(" "),
        login = json!({ "username": ADMIN, "password": PASSWORD }),
    )
}

/// The same as the site's own tables, of the site that stands for it.
fn rehearsal_toml(second: &Pair) -> String {
    let token = format!("file = \"{TOKEN_FILE}\"");
    let tables: String = second
        .bindings()
        .replace(&format!("env = \"{TOKEN}\""), &token)
        .lines()
        .map(|line| match line.strip_prefix('[') {
            Some(table) => format!("[rehearsal.{table}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    // A place of another name: that the folders are others, no address tells.
    format!(
        "[rehearsal]\nfill = [\"/bin/sh\", \"fill.sh\"]\n\n[rehearsal.options]\n{}{tables}",
        second.options("rehearsed")
    )
}

/// The plan on a second site first, then on the first one; and how well the one told the time of the other.
pub async fn rehearses_on_a_second_site(
    stage: &BesideStage,
    second: &Second,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    stage.granted().await?;
    let (before, config) = (picture(&stage.site.old).await?, stage.config()?);
    let told = stage
        .operator
        .run(&["rehearse", TO.version(), "--fill", "--yes"])
        .await?
        .expect(0)?;
    tally.check(
        "it is the plan of the real site, and certified",
        (told.says("it is the plan of the real site") && told.says("passed, certified in "))
            .then_some(())
            .with_context(|| told.to_string()),
    );
    tally.check(
        "the real old cluster is as it was",
        is(&before, &stage.site.old).await,
    );
    let new = picture(&stage.site.new).await?;
    tally.check(
        "the real new cluster is empty, and knows no repository",
        (names(&new).is_empty() && stage.site.new.target().get("/_snapshot").await? == json!({}))
            .then_some(())
            .with_context(|| new.to_string()),
    );
    tally.check(
        "the real Kuzzle was not stopped and its configuration is as it was",
        (stage.config()? == config)
            .then_some(())
            .context("it is another")
            .and(stage.serves_from(FROM.version()).await),
    );
    tally.check(
        "its targets were filled",
        told.says("filled in ")
            .then_some(())
            .with_context(|| told.to_string()),
    );
    let rehearsed = picture(&second.pair.new).await?;
    tally.check(
        "the second site is in its new cluster",
        (names(&rehearsed).len() == names(&before).len())
            .then_some(())
            .with_context(|| rehearsed.to_string()),
    );
    let plan = ["plan", TO.version(), "--json"];
    let data = stage.operator.run(&plan).await?.expect(0)?.data()?;
    let estimate = data["rehearsed"]["estimate_ms"].as_u64();
    tally.check(
        "the plan takes its time from the rehearsal",
        estimate
            .map(drop)
            .with_context(|| data["rehearsed"].to_string()),
    );
    let file = stage.operator.approved(stage.to()).await?;
    let told = stage.operator.run(&["run", &file, "--json"]).await?;
    let took = told.expect(0)?.data()?["took_ms"].as_u64();
    tally.note(&format!(
        "estimate {:.1} s, the real run took {:.1} s",
        seconds(estimate),
        seconds(took)
    ));
    tally.check(
        "Kuzzle serves from the new cluster, with the token of before",
        stage.serves_from(TO.version()).await,
    );
    Ok(())
}

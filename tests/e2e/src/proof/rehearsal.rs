//! A plan performed on a second site first: what that certifies, what it touches, and when it says nothing any more.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use liftlock_lab::Fault;
use liftlock_lab::Rule;
use liftlock_lab::SiteSpec;
use liftlock_lab::When;
use serde_json::Value;
use serde_json::json;

use super::At;
use super::Blow;
use super::TO;
use super::ensure;
use super::introduce;
use super::last_run;
use super::struck;
use crate::operator::Operator;
use crate::operator::Told;
use crate::stage::Pretend;
use crate::stage::REPOSITORY;
use crate::stage::Round;
use crate::stage::Stage;
use crate::stage::write;
use crate::tally::Tally;
use crate::tally::same;

/// A second Optimize, and the tables of `site.toml` by which a site is rehearsed with it on another cluster.
#[derive(Debug)]
pub struct Second {
    /// It ends when this is dropped.
    optimize: Pretend,
    config: PathBuf,
    url: String,
}

impl Second {
    /// Beside this round's Optimize, on the cluster of this stage.
    pub fn start(round: &Round, stage: &Stage) -> anyhow::Result<Self> {
        let home = round.folder();
        let config = home.join("scratch");
        fs::create_dir(&config)?;
        let file = "environment-config.yaml";
        fs::copy(home.join("config").join(file), config.join(file))
            .context("cannot copy the configuration")?;
        let program = home.join("optimize-server");
        Ok(Self {
            optimize: Pretend::start(&program, &home.join("scratch.pid"))?,
            config,
            url: stage.switch.url(),
        })
    }

    fn cluster(url: &str) -> String {
        format!("[rehearsal.cluster.database]\nnodes = [\"{url}\"]\n\n")
    }

    /// A table for each binding of the site: cluster, repository, service, directory.
    fn tables(&self) -> [String; 4] {
        [
            Self::cluster(&self.url),
            format!(
                "[rehearsal.snapshot.backups]\ncluster = \"cluster.database\"\nrepository = \"{REPOSITORY}\"\n\n"
            ),
            format!("{}\n", of_rehearsal(&self.optimize)),
            format!(
                "[rehearsal.disk.config]\npath = \"{}\"\n",
                self.config.display()
            ),
        ]
    }

    /// Names itself in the site file.
    pub fn introduce(&self, operator: &Operator) -> anyhow::Result<()> {
        set_rehearsal(operator, &self.tables())
    }
}

/// The table of a service of the rehearsal.
fn of_rehearsal(optimize: &Pretend) -> String {
    let own = optimize.site_toml();
    own.replace("[service.optimize]", "[rehearsal.service.optimize]")
}

/// The site file, with these tables behind the site's own.
fn set_rehearsal(operator: &Operator, tables: &[String]) -> anyhow::Result<()> {
    let path = operator.site().join("site.toml");
    let text = fs::read_to_string(&path)?;
    let own = text.split("\n[rehearsal").next().unwrap_or_default();
    write(&path, &format!("{own}\n{}", tables.concat()))
}

/// A real site, and a second one that stands for it. The second stage's cluster is another one with a store of its own.
struct Both<'a> {
    real: &'a Stage,
    round: Round,
    second: Second,
}

impl<'a> Both<'a> {
    /// Two fresh sites with the same data, and an operator who knows both.
    async fn fresh(real: &'a Stage, scratch: &Stage) -> anyhow::Result<Self> {
        let spec = SiteSpec::default();
        let round = real.fresh(&spec).await?;
        scratch.rebuild(&spec).await?;
        scratch.proxy.clear();
        let second = Second::start(&round, scratch)?;
        introduce(&round).await?;
        second.introduce(&round.operator)?;
        Ok(Self {
            real,
            round,
            second,
        })
    }

    fn operator(&self) -> &Operator {
        &self.round.operator
    }

    async fn rehearse(&self) -> anyhow::Result<Told> {
        self.operator().run(&["rehearse", TO, "--yes"]).await
    }

    /// What `plan` says, of the last rehearsal too.
    async fn planned(&self) -> anyhow::Result<Value> {
        let plan = ["plan", TO, "--json"];
        self.operator().run(&plan).await?.expect(0)?.data()
    }

    /// Nothing that can change the real site was sent to it, and its Optimize runs.
    fn check_untouched(&self, tally: &mut Tally) {
        tally.check(
            "not one changing request reached the real cluster",
            same(&[], &self.real.changes()),
        );
        tally.check(
            "the real Optimize was not stopped",
            ensure(self.round.optimize.is_running(), "it does not run"),
        );
    }
}

/// A rehearsal passes on the second site, the plan of the first takes its times, and the real run is beside them.
pub async fn rehearses_and_plans_by_it(
    real: &Stage,
    scratch: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let both = Both::fresh(real, scratch).await?;
    let operator = both.operator();
    let told = both.rehearse().await?.expect(0)?;
    tally.check(
        "a rehearsal says that it is the plan of the real site, and that it is certified",
        ensure(
            told.says("it is the plan of the real site") && told.says("passed, certified in "),
            told.to_string(),
        ),
    );
    both.check_untouched(tally);
    tally.check(
        "the second cluster was changed, and its Optimize stopped",
        ensure(
            !scratch.changes().is_empty() && !both.second.optimize.is_running(),
            "it was not",
        ),
    );
    check_history(operator, tally).await?;
    let data = both.planned().await?;
    let rehearsed = &data["rehearsed"];
    tally.check(
        "the plan takes its times from the rehearsal, step by step",
        ensure(
            rehearsed["fits"] == json!(true)
                && rehearsed["estimate_ms"].as_u64().unwrap_or_default() > 0
                && data["steps"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .all(|step| step["verb"].is_null() != step["rehearsed_ms"].is_u64()),
            data["steps"].to_string(),
        ),
    );
    tally.check(
        "the disks of the nodes were looked at",
        ensure(
            rehearsed["peak_disk_bytes"].is_object(),
            rehearsed.to_string(),
        ),
    );
    let plan = both.round.plan_file()?.to_string_lossy().into_owned();
    let shown = operator.run(&["show", &plan]).await?.expect(0)?;
    tally.check(
        "the plan's screen says whose time it is",
        ensure(
            shown.says("Time: about ") && shown.says(", rehearsed "),
            shown.to_string(),
        ),
    );
    operator.approve(&plan).await?;
    let run = operator.run(&["run", &plan, "--json"]).await?.expect(0)?;
    tally.note(&format!(
        "estimate {} ms, the real run took {} ms",
        rehearsed["estimate_ms"],
        run.data()?["took_ms"]
    ));
    Ok(())
}

/// The rehearsal is in its own history and not in that of the site.
async fn check_history(operator: &Operator, tally: &mut Tally) -> anyhow::Result<()> {
    let runs = async |arguments: &[&str]| -> anyhow::Result<usize> {
        let told = operator.run(arguments).await?.expect(0)?;
        Ok(told.data()?["runs"].as_array().map_or(0, Vec::len))
    };
    let (site, rehearsals) = (
        runs(&["history", "--json"]).await?,
        runs(&["history", "--json", "--rehearsal"]).await?,
    );
    tally.check(
        "the history of the site has no rehearsal, that of the rehearsals has it",
        ensure(
            (site, rehearsals) == (0, 1),
            format!("{site}, {rehearsals}"),
        ),
    );
    Ok(())
}

/// A rehearsal that could touch what is real is refused before anything is sent.
pub async fn refuses_to_rehearse_on_the_real_site(
    real: &Stage,
    scratch: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let both = Both::fresh(real, scratch).await?;
    let refused = async |tables: &[String], says: &[&str]| -> anyhow::Result<()> {
        set_rehearsal(both.operator(), tables)?;
        let told = both.rehearse().await?.expect(3)?;
        let missing: Vec<&&str> = says.iter().filter(|text| !told.says(text)).collect();
        ensure(
            missing.is_empty(),
            format!("it does not say {missing:?}\n{told}"),
        )
    };
    tally.check(
        "a site that names no targets is refused",
        refused(&[], &["E0307-no-rehearsal", "[rehearsal.cluster.NAME]"]).await,
    );
    let all = both.second.tables();
    let [cluster, backups, service, disk] = &all;
    tally.check(
        "what the plan changes and has no target is named",
        refused(
            &[cluster.clone(), disk.clone()],
            &[
                "E0307-no-rehearsal",
                "`service.optimize`, `snapshot.backups`",
                "[rehearsal.service.optimize], [rehearsal.snapshot.backups]",
            ],
        )
        .await,
    );
    // The same cluster by an address that the site does not name.
    let same_cluster = Second::cluster(&both.real.proxy.url());
    tally.check(
        "the real cluster under another address is told by its uuid",
        refused(
            &[same_cluster, backups.clone(), service.clone(), disk.clone()],
            &[
                "E0308-rehearsal-is-real",
                "is the real `cluster.database`",
                "both are ",
            ],
        )
        .await,
    );
    let same_process = of_rehearsal(&both.round.optimize) + "labels = { of = \"a rehearsal\" }\n\n";
    tally.check(
        "the real process under another definition is told",
        refused(
            &[cluster.clone(), backups.clone(), same_process, disk.clone()],
            &["E0308-rehearsal-is-real", "the same `pid-file`"],
        )
        .await,
    );
    let definition = real.target.get(&format!("/_snapshot/{REPOSITORY}")).await?;
    let own = scratch
        .target
        .get(&format!("/_snapshot/{REPOSITORY}"))
        .await?;
    let register = async |definition: &Value| {
        let body = json!({
            "type": definition[REPOSITORY]["type"],
            "settings": definition[REPOSITORY]["settings"],
        });
        let path = format!("/_snapshot/{REPOSITORY}");
        scratch.target.put(&path, &body).await
    };
    register(&definition).await?;
    tally.check(
        "the real store of snapshots, registered on the second cluster, is told",
        refused(&all, &["E0308-rehearsal-is-real", "both are registered as"]).await,
    );
    register(&own).await?;
    set_rehearsal(both.operator(), &all)?;
    let told = both.operator().run(&["rehearse", TO]).await?.expect(2)?;
    tally.check(
        "without a yes nothing is done, and the command that says it is named",
        ensure(told.says("liftlock rehearse 8.8.0 --yes"), told.to_string()),
    );
    for command in [["run", "00000000"], ["replan", "r-1"]] {
        let told = both
            .operator()
            .run(&[&command[..], &["--rehearsal"]].concat())
            .await?
            .expect(2)?;
        tally.check(
            "no other command begins a rehearsal or changes its plan",
            ensure(told.says("liftlock rehearse VERSION"), told.to_string()),
        );
    }
    let told = both
        .operator()
        .run(&["plan", TO, "--rehearsal"])
        .await?
        .expect(0)?;
    tally.check(
        "a plan of the rehearsal alone names the command that performs it",
        ensure(told.says("next: liftlock rehearse 8.8.0"), told.to_string()),
    );
    both.check_untouched(tally);
    let changes: Vec<String> = scratch
        .changes()
        .into_iter()
        .filter(|line| !line.contains("/_snapshot/"))
        .collect();
    tally.check(
        "and not one reached the second cluster",
        same(&[], &changes),
    );
    Ok(())
}

/// `[rehearsal]` with a command that runs this in the site's directory.
fn filled_by(script: &str) -> String {
    format!("[rehearsal]\nfill = [\"/bin/sh\", \"-c\", \"{script}\"]\n\n")
}

/// The operator's command fills the targets before anything is planned there; where it fails, nothing is rehearsed.
pub async fn fills_the_targets_first(
    real: &Stage,
    scratch: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let both = Both::fresh(real, scratch).await?;
    let operator = both.operator();
    let fill = ["rehearse", TO, "--yes", "--fill"];
    let told = operator.run(&fill).await?.expect(3)?;
    tally.check(
        "without a command that fills them it is told where to name one",
        ensure(
            told.says("E0307-no-rehearsal") && told.says("fill = [\"./fill.sh\"]"),
            told.to_string(),
        ),
    );
    let with = |script: &str| {
        let tables = both.second.tables();
        let tables = [&[filled_by(script)][..], &tables].concat();
        set_rehearsal(operator, &tables)
    };
    with("echo the store is away; exit 7")?;
    let told = operator.run(&fill).await?.expect(3)?;
    tally.check(
        "a command that fails is named with what it said",
        ensure(
            told.says("E0309-rehearsal-not-filled")
                && told.says("exit status: 7")
                && told.says("the store is away")
                && told.says("liftlock rehearse 8.8.0 --fill"),
            told.to_string(),
        ),
    );
    tally.check(
        "and nothing reached the second cluster",
        same(&[], &scratch.changes()),
    );
    with("pwd > where")?;
    let told = operator.run(&fill).await?.expect(0)?;
    let pwd = fs::read_to_string(operator.site().join("where"))?;
    tally.check(
        "one that ends well ran in the directory of the site, and then it was rehearsed",
        ensure(
            pwd.trim() == operator.site().canonicalize()?.to_string_lossy()
                && told.says("filled in ")
                && told.says("passed, certified in "),
            format!("{pwd}{told}"),
        ),
    );
    both.check_untouched(tally);
    Ok(())
}

/// A certificate says nothing any more of more data, or of another plan.
pub async fn tells_a_rehearsal_that_fits_no_more(
    real: &Stage,
    scratch: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let both = Both::fresh(real, scratch).await?;
    both.rehearse().await?.expect(0)?;
    let why_not = async || -> anyhow::Result<String> {
        let data = both.planned().await?;
        let rehearsed = &data["rehearsed"];
        ensure(
            rehearsed["fits"] == json!(false) && rehearsed["estimate_ms"].is_null(),
            rehearsed.to_string(),
        )?;
        Ok(rehearsed["why_not"].to_string())
    };
    let site = both.operator().site().join("site.toml");
    let text = fs::read_to_string(&site)?;
    write(
        &site,
        &text.replace("quiet-seconds = 1", "quiet-seconds = 2"),
    )?;
    both.operator().grant().await?;
    let why = why_not().await?;
    tally.check(
        "another option makes another plan, and the steps that differ are named",
        ensure(why.contains("steps other than rehearsed: "), why),
    );
    write(&site, &text)?;
    both.operator().grant().await?;
    grow(&both).await?;
    let why = why_not().await?;
    tally.check(
        "more data than a fifth above those that were rehearsed are told with both amounts",
        ensure(
            why.contains(", rehearsed with ") && why.contains("more than 20 % above"),
            why,
        ),
    );
    Ok(())
}

/// Doubles the documents of the real site's indices that the plan works on.
async fn grow(both: &Both<'_>) -> anyhow::Result<()> {
    let data = both.planned().await?;
    let prefix = &both.round.facts.prefix;
    let rows = both
        .real
        .target
        .get("/_cat/indices?format=json&expand_wildcards=all&h=index,docs.count")
        .await?;
    let mut added = 0_u64;
    for row in rows.as_array().into_iter().flatten() {
        let index = row["index"].as_str().unwrap_or_default();
        let is_worked_on = index.starts_with(prefix.as_str())
            && data["plan"]["steps"].to_string().contains(index)
            && !index.contains("metadata");
        if !is_worked_on {
            continue;
        }
        let docs: u64 = row["docs.count"]
            .as_str()
            .and_then(|docs| docs.parse().ok())
            .unwrap_or_default();
        for number in 0..docs {
            let path = format!("/{index}/_doc/grown-{number}?refresh=true");
            both.real.target.put(&path, &json!({})).await?;
            added += 1;
        }
    }
    ensure(added > 0, "no index of the plan has documents")
}

/// A rehearsal that is killed on the way goes on and is certified; one that fails is written down as that.
pub async fn goes_on_with_a_rehearsal(
    real: &Stage,
    scratch: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let both = Both::fresh(real, scratch).await?;
    let operator = both.operator();
    let at = At {
        when: When::After,
        method: "PUT".into(),
        path: format!("/_snapshot/{REPOSITORY}/"),
    };
    let told = struck(
        scratch,
        &both.round,
        Blow::Kill,
        &at,
        &["rehearse", TO, "--yes"],
    )
    .await?;
    ensure(told.code.is_none(), format!("it was not killed\n{told}"))?;
    let runs = operator
        .run(&["history", "--json", "--rehearsal"])
        .await?
        .expect(0)?
        .data()?;
    let run = runs["runs"][0]["run"]
        .as_str()
        .context("no rehearsal in the history")?
        .to_owned();
    let tables = [&[filled_by("touch filled")][..], &both.second.tables()].concat();
    set_rehearsal(operator, &tables)?;
    let told = operator
        .run(&["rehearse", TO, "--yes", "--fill"])
        .await?
        .expect(30)?;
    tally.check(
        "what a rehearsal that is not over goes on with is not filled anew",
        ensure(
            told.says(&format!("liftlock status {run}"))
                && told.says(" --rehearsal")
                && !operator.site().join("filled").exists(),
            told.to_string(),
        ),
    );
    let told = operator
        .run(&["resume", &run, "--rehearsal"])
        .await?
        .expect(0)?;
    tally.check(
        "a killed rehearsal goes on to its end and is certified",
        ensure(told.says("passed, certified in "), told.to_string()),
    );
    both.check_untouched(tally);
    let data = both.planned().await?;
    tally.check(
        "its times say that they hold the break",
        ensure(
            data["rehearsed"]["fits"] == json!(true)
                && data["rehearsed"]["interrupted"] == json!(true),
            data["rehearsed"].to_string(),
        ),
    );
    let none = last_run(operator).await;
    tally.check(
        "the site itself has no run",
        ensure(none.is_err(), "it has one"),
    );
    Ok(())
}

/// A rehearsal that cannot go on is written down as failed, with where and why, and the plan says it.
pub async fn writes_a_failed_rehearsal_down(
    real: &Stage,
    scratch: &Stage,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let both = Both::fresh(real, scratch).await?;
    let refusal = json!({
        "error": { "type": "repository_exception", "reason": "the store is full" },
        "status": 400,
    });
    let fault = Fault::Answer {
        status: 400,
        body: refusal.to_string(),
    };
    let take = format!("/_snapshot/{REPOSITORY}/");
    scratch
        .proxy
        .add_rule(Rule::new(fault).method("PUT").path(&take));
    let told = both.rehearse().await?;
    scratch.proxy.clear_rules();
    tally.check(
        "a rehearsal that fails says so, and how it goes on",
        ensure(
            told.code != Some(0)
                && told.says("failed, written down in ")
                && told.says(" --rehearsal"),
            told.to_string(),
        ),
    );
    both.check_untouched(tally);
    let data = both.planned().await?;
    let why = data["rehearsed"]["why_not"].to_string();
    tally.check(
        "the plan names the step at which the rehearsal failed",
        ensure(
            data["rehearsed"]["passed"] == json!(false) && why.contains("it failed at step `"),
            why,
        ),
    );
    Ok(())
}

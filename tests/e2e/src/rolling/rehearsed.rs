//! The plan on a copy first: engines of their own, on a database that is filled with a dump of the real one.

use std::fs;

use anyhow::Context;
use anyhow::bail;
use liftlock_lab::DatabaseServer;
use liftlock_lab::Login;

use super::Front;
use super::RollingSite;
use super::stage::DATABASE;
use super::stage::PASSWORD;
use super::stage::RollingNode;
use super::stage::behind;
use super::stage::database_toml;
use super::stage::install;
use super::stage::node_toml;
use crate::artifacts;
use crate::tally::Tally;
use crate::tally::seconds;

/// The database of the copy, on the same server.
const COPY: &str = "rehearsal";

/// Engines and a balancer that stand for those of the site; engines are started when their database is filled.
#[derive(Debug)]
pub struct Second {
    nodes: Vec<RollingNode>,
    balancer: Front,
}

impl Second {
    /// Installs them, and names them and how they are filled in the site file.
    pub async fn beside(site: &RollingSite) -> anyhow::Result<Self> {
        let home = site.folder().join("second");
        fs::create_dir(&home).context("cannot make a folder")?;
        site.database.address().create(COPY).await?;
        let mut nodes = Vec::new();
        for number in 1..=site.spec.nodes {
            nodes.push(install(&home, number, &site.database, COPY, site.spec).await?);
        }
        let dir = home.join("balancer");
        let balancer = Front::start_alone(site.spec.front, &dir, &behind(&nodes)).await?;
        let second = Self { nodes, balancer };
        let folder = site.operator.site();
        fs::write(folder.join("fill.sh"), second.fill_script(site).await?)?;
        let file = folder.join("site.toml");
        let text = fs::read_to_string(&file).context("cannot read site.toml")?;
        let tables = second.tables(site).await?;
        fs::write(&file, format!("{text}\n{tables}")).context("cannot write site.toml")?;
        Ok(second)
    }

    /// What an operator has to do: the dump into the database of the copy, then its engines.
    async fn fill_script(&self, site: &RollingSite) -> anyhow::Result<String> {
        let example = artifacts::root().join("examples/rehearsal/fill-postgresql.sh");
        let tools = site.database.address().tool("pg_dump")?;
        let tools = tools.parent().context("a folder of tools")?;
        let [real, copy] = [DATABASE, COPY].map(|name| connection(&site.database, name));
        let mut text = format!(
            "set -eu\nexport PGPASSWORD=\"${PASSWORD}\" PATH='{}':\"$PATH\"\n'{}' '{real}' '{copy}'\n",
            tools.display(),
            example.display(),
        );
        for node in &self.nodes {
            let (dir, java) = (
                node.dir.display(),
                node.java(&site.database, site.spec).await?,
            );
            text.push_str(&format!(
                "(cd '{dir}' && SPRING_DATASOURCE_PASSWORD=\"${PASSWORD}\" \
                 exec setsid '{}' '@{dir}/current/java.args' > server.log 2>&1 &)\n",
                java.display(),
            ));
        }
        for node in &self.nodes {
            text.push_str(&format!(
                "curl -s --retry 180 --retry-delay 1 --retry-all-errors -f -o /dev/null http://127.0.0.1:{}/engine-rest/engine\n",
                node.port,
            ));
        }
        // The balancer checks each server once a second, and wants two good answers.
        text.push_str("sleep 5\n");
        Ok(text)
    }

    async fn tables(&self, site: &RollingSite) -> anyhow::Result<String> {
        let mut text = database_toml(&site.database, COPY) + &self.balancer.site_toml()? + "\n";
        for node in &self.nodes {
            text.push_str(&node_toml(node, &site.database, site.spec).await?);
        }
        let tables: String = text
            .lines()
            .map(|line| match line.strip_prefix('[') {
                Some(table) => format!("[rehearsal.{table}\n"),
                None => format!("{line}\n"),
            })
            .collect();
        Ok(format!(
            "[rehearsal]\nfill = [\"/bin/sh\", \"fill.sh\"]\n\n{tables}"
        ))
    }
}

fn connection(server: &DatabaseServer, database: &str) -> String {
    format!(
        "host=127.0.0.1 port={} dbname={database} user={}",
        server.address().port(),
        Login::Owner.user(),
    )
}

/// Rehearses on a copy that is filled from a dump, then runs; and how well the one told the time of the other.
pub async fn rehearses_on_a_copy(
    site: &RollingSite,
    second: &Second,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let [from, to] = [site.spec.from.name(), site.spec.to.name()];
    site.operator.add(site.plugin()).await?;
    site.operator.grant().await?;
    let before = site.database.address().catalog(DATABASE).await?;
    let told = site
        .operator
        .run(&["rehearse", to, "--fill", "--yes"])
        .await?
        .expect(0)?;
    tally.check(
        "the copy was filled; its plan is that of the real site, and certified",
        says(
            [
                "filled in ",
                "it is the plan of the real site",
                "passed, certified in ",
            ]
            .iter()
            .all(|text| told.says(text)),
            || told.to_string(),
        ),
    );
    tally.check(
        "every real engine runs the old version",
        site.all_run(from).await,
    );
    tally.check("every real engine gets requests", site.all_serve().await);
    let after = site.database.address().catalog(DATABASE).await?;
    tally.check(
        "the real catalog is that of before",
        says(before == after, || "the catalogs differ".into()),
    );
    for node in &second.nodes {
        let current = node.current()?;
        tally.check(
            &format!("engine {} of the copy runs from the new version", node.name),
            says(current == to, || current),
        );
    }
    let data = site
        .operator
        .run(&["plan", to, "--json"])
        .await?
        .expect(0)?
        .data()?;
    let estimate = data["rehearsed"]["estimate_ms"].as_u64();
    tally.check(
        "the plan takes its time from the rehearsal",
        estimate
            .map(drop)
            .with_context(|| data["rehearsed"].to_string()),
    );
    let again = site
        .operator
        .run(&["rehearse", to, "--fill", "--yes"])
        .await?;
    tally.check(
        "a copy that is filled already is not filled once more",
        again.clone().expect(3).and_then(|_| {
            says(again.says("E0309-rehearsal-not-filled"), || {
                again.to_string()
            })
        }),
    );
    let file = site.plan().await?;
    let told = site.operator.run(&["run", &file, "--json"]).await?;
    let took = told.expect(0)?.data()?["took_ms"].as_u64();
    tally.note(&format!(
        "estimate {:.1} s, the real run took {:.1} s",
        seconds(estimate),
        seconds(took)
    ));
    tally.check("every engine runs the new version", site.all_run(to).await);
    Ok(())
}

fn says(holds: bool, why: impl FnOnce() -> String) -> anyhow::Result<()> {
    if holds { Ok(()) } else { bail!("{}", why()) }
}

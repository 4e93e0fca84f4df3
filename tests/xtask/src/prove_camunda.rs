//! `cargo xtask prove camunda`: real engines behind a real balancer, upgraded while clients work.

use liftlock_e2e::Tally;
use liftlock_e2e::artifacts;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::rolling;
use liftlock_e2e::rolling::RollingSite;
use liftlock_e2e::rolling::RollingSpec;
use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::PgJdbc;

use crate::summary::Summary;

/// Three nodes, one at a time.
const THREE: RollingSpec = RollingSpec {
    from: EngineVersion::V7_22,
    to: EngineVersion::V7_23,
    database: DatabaseKind::PostgreSql,
    nodes: 3,
    group: 1,
    pgjdbc: PgJdbc::ConservativeAutosave,
};

/// What is proved, each on a site of its own.
const SITES: [(&str, RollingSpec); 4] = [
    ("7.22 to 7.23 on PostgreSQL", THREE),
    (
        "7.22 to 7.23 on MariaDB",
        RollingSpec {
            database: DatabaseKind::MariaDb,
            ..THREE
        },
    ),
    (
        "7.23 to 7.24 on MariaDB",
        RollingSpec {
            from: EngineVersion::V7_23,
            to: EngineVersion::V7_24,
            database: DatabaseKind::MariaDb,
            ..THREE
        },
    ),
    (
        "six nodes in groups of two",
        RollingSpec {
            nodes: 6,
            group: 2,
            ..THREE
        },
    ),
];

pub(crate) async fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let plugin = summary.step("build the plugin", artifacts::camunda_plugin)?;
    let liftlock = summary.step("build the binary", artifacts::liftlock)?;
    let mut tally = Tally::loud();
    let mut answered = 0;
    for (name, spec) in SITES {
        tally.about(name);
        let proof = async {
            let site = RollingSite::start(&liftlock, &plugin, spec).await?;
            let report = rolling::upgrades_under_traffic(&site, &mut tally).await?;
            println!("   {}", report.last_line());
            tally.check(
                "the catalog is the vendor's",
                rolling::equals_the_vendors_way(&site).await,
            );
            Ok(report.ok())
        };
        let result = summary.wait(name, proof).await;
        let result = result.map(|ok| answered += ok);
        tally.check("the proof came to its end", result);
    }
    for (name, way) in [
        ("one node goes back", Way::Node),
        ("a deployment in the window", Way::Window),
    ] {
        tally.about(name);
        let result = summary
            .wait(name, way.prove(&liftlock, &plugin, &mut tally))
            .await;
        tally.check("the proof came to its end", result);
    }
    summary.field("requests", answered);
    summary.field("checks", tally.passed());
    summary.field("failed", tally.failed().len());
    tally.into_count().map(drop)
}

enum Way {
    Node,
    Window,
}

impl Way {
    async fn prove(
        self,
        liftlock: &std::path::Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let site = RollingSite::start(liftlock, plugin, THREE).await?;
        match self {
            Self::Node => rolling::goes_back_by_one_node(&site, tally).await,
            Self::Window => rolling::stops_for_a_deployment(&site, tally).await,
        }
    }
}

//! `cargo xtask prove camunda`: real engines behind a real balancer, upgraded while clients work.

use std::path::Path;

use anyhow::bail;
use liftlock_e2e::Tally;
use liftlock_e2e::artifacts::Component;
use liftlock_e2e::rolling;
use liftlock_e2e::rolling::FrontKind;
use liftlock_e2e::rolling::RollingSite;
use liftlock_e2e::rolling::RollingSpec;
use liftlock_lab::DatabaseKind;
use liftlock_lab::camunda::EngineVersion;
use liftlock_lab::camunda::PgJdbc;

use crate::parts;

/// One part of the proof, on a site of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// 7.22 to 7.23 on PostgreSQL.
    Postgresql,
    /// 7.22 to 7.23 on MariaDB.
    Mariadb,
    /// 7.23 to 7.24, without a change of the schema.
    Next,
    /// The same on PostgreSQL.
    NextPostgresql,
    /// Six nodes in groups of two.
    Groups,
    /// One node goes back by itself, and is done anew.
    Unit,
    /// Somebody deploys while two versions run.
    Window,
    /// Behind nginx.
    Nginx,
    /// With the defaults of PostgreSQL's driver: what fails, and why.
    Driver,
    /// Only one node serves.
    Last,
    /// With a dump that is restored on trial; then back as a whole.
    Restore,
    /// The same on MariaDB.
    RestoreMariadb,
    /// On a copy first, filled from a dump: what it takes there and here.
    Rehearsal,
}

impl Part {
    fn spec(self) -> RollingSpec {
        let database = DatabaseKind::MariaDb;
        match self {
            Self::Postgresql | Self::Unit | Self::Window => RollingSpec::THREE,
            Self::Mariadb => RollingSpec {
                database,
                backup: true,
                ..RollingSpec::THREE
            },
            Self::Restore => RollingSpec {
                backup: true,
                nodes: 2,
                ..RollingSpec::THREE
            },
            Self::RestoreMariadb => RollingSpec {
                database,
                ..Self::Restore.spec()
            },
            Self::Next => RollingSpec {
                from: EngineVersion::V7_23,
                to: EngineVersion::V7_24,
                database,
                ..RollingSpec::THREE
            },
            Self::NextPostgresql => RollingSpec {
                database: DatabaseKind::PostgreSql,
                ..Self::Next.spec()
            },
            Self::Groups => RollingSpec {
                nodes: 6,
                group: 2,
                ..RollingSpec::THREE
            },
            Self::Nginx => RollingSpec {
                front: FrontKind::Nginx,
                ..RollingSpec::THREE
            },
            Self::Driver => RollingSpec {
                pgjdbc: PgJdbc::Default,
                ..RollingSpec::THREE
            },
            Self::Rehearsal => RollingSpec {
                nodes: 2,
                ..RollingSpec::THREE
            },
            Self::Last => RollingSpec {
                nodes: 2,
                minimum: 0,
                ..RollingSpec::THREE
            },
        }
    }
}

impl parts::Part for Part {
    const PRODUCT: &str = "camunda";

    fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "7.22 to 7.23 on PostgreSQL",
            Self::Mariadb => "7.22 to 7.23 on MariaDB",
            Self::Next => "7.23 to 7.24 on MariaDB",
            Self::NextPostgresql => "7.23 to 7.24 on PostgreSQL",
            Self::Groups => "six nodes in groups of two",
            Self::Unit => "one node goes back",
            Self::Window => "a deployment in the window",
            Self::Nginx => "behind nginx",
            Self::Driver => "the driver's defaults",
            Self::Last => "the last node that serves",
            Self::Restore => "back as a whole",
            Self::RestoreMariadb => "back as a whole, on MariaDB",
            Self::Rehearsal => "rehearsed on a copy",
        }
    }

    async fn prove(
        self,
        liftlock: &Path,
        plugin: &Component,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let site = RollingSite::start(liftlock, plugin, self.spec()).await?;
        match self {
            Self::Unit => rolling::goes_back_by_one_node(&site, tally).await,
            Self::Window => rolling::stops_for_a_deployment(&site, tally).await,
            Self::Last => rolling::leaves_the_last_one(&site, tally).await,
            Self::Driver => rolling::upgrades_with_stale_statements(&site, tally).await,
            Self::Rehearsal => {
                let second = rolling::Second::beside(&site).await?;
                rolling::rehearses_on_a_copy(&site, &second, tally).await
            }
            Self::Restore | Self::RestoreMariadb => {
                rolling::goes_back_as_a_whole(&site, tally).await
            }
            _ => {
                let report = rolling::upgrades_under_traffic(&site, tally).await?;
                tally.note(&format!("{} requests, {}", report.ok(), report.last_line()));
                if report.ok() == 0 {
                    bail!("nobody asked for anything meanwhile");
                }
                let same = rolling::equals_the_vendors_way(&site).await;
                tally.check("the catalog is the vendor's", same);
                Ok(())
            }
        }
    }
}

//! The simulated cluster's suite on the servers that it imitates, so that it stays honest.

use anyhow::Context;
use liftlock_e2e::Tally;
use liftlock_lab::Server;
use liftlock_lab::ServerKind;
use liftlock_testkit::Product;
use liftlock_testkit::suite;

use crate::summary::Summary;

/// Every server that is imitated.
const SERVERS: [(ServerKind, Product); 3] = [
    (ServerKind::OpenSearch2, Product::OpenSearch2),
    (ServerKind::OpenSearch3, Product::OpenSearch3),
    (ServerKind::Elasticsearch8, Product::Elasticsearch8),
];

/// Runs it on each; a server that cannot be started is a failed check.
pub(crate) async fn on_real_servers(summary: &Summary) -> Tally {
    let mut tally = Tally::loud();
    for (kind, product) in SERVERS {
        tally.about(format!("{kind} {}", kind.version()));
        let what = format!("the simulator's suite on {kind}");
        let result = summary.wait(&what, on(kind, product, &mut tally)).await;
        tally.check("the suite came to its end", result);
    }
    tally
}

async fn on(kind: ServerKind, product: Product, tally: &mut Tally) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let server = Server::start(kind, folder.path()).await?;
    for (name, outcome) in suite::run_suite(server.base_url(), product).await {
        tally.check(&name.replace('_', " "), outcome.map_err(Into::into));
    }
    server.stop().await;
    Ok(())
}

//! Starts a simulated cluster and keeps it until Ctrl-C:
//! `cargo run -p liftlock-testkit --example simcluster -- opensearch2 3`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use liftlock_testkit::{Product, SimCluster};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let product = match arguments.next().as_deref() {
        None | Some("opensearch2") => Product::OpenSearch2,
        Some("opensearch3") => Product::OpenSearch3,
        Some("elasticsearch8") => Product::Elasticsearch8,
        Some(other) => {
            return Err(format!(
                "unknown product `{other}`: opensearch2, opensearch3 or elasticsearch8"
            )
            .into());
        }
    };
    let nodes = arguments.next().map_or(Ok(1), |n| n.parse())?;
    let sim = SimCluster::builder(product).nodes(nodes).start().await?;
    for url in sim.urls() {
        println!("{url}");
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}

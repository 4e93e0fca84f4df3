//! Runs the behaviour suite against a server that is already there, real or simulated:
//! `cargo run -p liftlock-testkit --example suite -- opensearch2 http://127.0.0.1:9200`.
//!
//! The server should hold nothing of value.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use liftlock_testkit::{Product, suite};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [product, url] = arguments.as_slice() else {
        return Err("usage: suite opensearch2|opensearch3|elasticsearch8 http://HOST:PORT".into());
    };
    let product = match product.as_str() {
        "opensearch2" => Product::OpenSearch2,
        "opensearch3" => Product::OpenSearch3,
        "elasticsearch8" => Product::Elasticsearch8,
        other => return Err(format!("unknown product `{other}`").into()),
    };
    let outcomes = suite::run_suite(url, product).await;
    let failed = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_err())
        .count();
    for (name, outcome) in &outcomes {
        match outcome {
            Ok(()) => println!("ok     {name}"),
            Err(error) => println!("FAILED {name}: {error}"),
        }
    }
    println!(
        "suite {product:?}: checks={} failed={failed}",
        outcomes.len()
    );
    if failed == 0 {
        Ok(())
    } else {
        Err("some checks failed".into())
    }
}

//! Figures, printed and not asserted: `cargo test -p liftlock-sandbox -- --ignored --nocapture measure`.

use std::time::Instant;

use liftlock_sandbox::{Engine, SandboxConfig};

use crate::common::{call, guest, plugin};

#[tokio::test]
#[ignore = "prints figures; a debug build's are not those of a release"]
async fn measure() {
    let temp = tempfile::tempdir().unwrap();
    let config = || SandboxConfig {
        cache_dir: Some(temp.path().join("cache")),
        ..SandboxConfig::default()
    };
    println!("component: {} bytes", guest().len());
    for what in ["compile, and write the cache", "load from the cache"] {
        let engine = Engine::new(config()).unwrap();
        let started = Instant::now();
        engine.load(guest()).unwrap();
        println!("{what}: {:?}", started.elapsed());
    }
    let plugin = plugin();
    let n = 1_000_u32;
    let started = Instant::now();
    for _ in 0..n {
        plugin.describe().await.unwrap();
    }
    println!(
        "a store, an instance and `describe`: {:?}",
        started.elapsed() / n
    );
    for (kind, n) in [("now", 100_000_u32), ("change", 50_000), ("health", 10_000)] {
        let options = [("do", "cost"), ("kind", kind), ("n", &n.to_string())];
        let call = call(&options);
        let started = Instant::now();
        plugin.inspect(&call).await.unwrap();
        println!("host call `{kind}`: {:?}", started.elapsed() / n);
    }
}

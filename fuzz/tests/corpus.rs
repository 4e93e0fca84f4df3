//! The seeds do what seeds are for, and what a fuzzer once found stays found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

/// Runs a target on each of its seeds.
fn each(target: &str, run: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    seeds
}

#[test]
fn every_target_takes_its_seeds() {
    assert!(each("plan", liftlock_fuzz::plan) >= 2);
    assert!(each("grants", liftlock_fuzz::grants) >= 2);
    assert!(each("site", liftlock_fuzz::site) >= 3);
    assert!(each("edge", liftlock_fuzz::edge) >= 20);
}

#[test]
fn a_seed_of_a_plan_is_a_plan() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/plan");
    let mut plans = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(
            file["plan"]["steps"]
                .as_array()
                .is_some_and(|steps| !steps.is_empty())
        );
        plans += 1;
    }
    assert!(plans >= 2);
}

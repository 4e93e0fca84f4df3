use liftlock_sweep::*;
use std::collections::BTreeMap;
fn main() -> anyhow::Result<()> {
    let rt = tokio::runtime::Runtime::new()?;
    let t = std::time::Instant::now();
    let guest = rt.block_on(guest::Guest::load(
        std::env::var("SWEEP_PLUGIN")
            .unwrap_or("/tmp/sweepdev/optimize.wasm".into())
            .as_ref(),
        "/work/main/target/plugins/compiled".as_ref(),
    ))?;
    let way = &ways::all()[0];
    let mut world = world::World::build(&guest, way)?;
    println!("world {:?}", t.elapsed());
    let reference = reference::Reference::run(&mut world)?;
    println!(
        "reference {:?} places {} distinct {} records {}",
        t.elapsed(),
        reference.places.len(),
        reference.distinct().len(),
        reference.records.len()
    );
    let all = position::all(&reference);
    let mut fams: BTreeMap<&str, usize> = BTreeMap::new();
    for p in &all {
        *fams.entry(p.family()).or_default() += 1;
    }
    println!("{} {:?}", all.len(), fams);
    let args: Vec<String> = std::env::args().collect();
    let fam = args.get(1).cloned().unwrap_or_default();
    let step: usize = args.get(2).and_then(|a| a.parse().ok()).unwrap_or(1);
    let only: Option<usize> = args.get(3).and_then(|a| a.parse().ok());
    let mut bad = 0;
    let mut n = 0;
    for (i, p) in all
        .iter()
        .enumerate()
        .filter(|(_, p)| fam == "all" || p.family() == fam)
        .step_by(step)
    {
        if only.is_some_and(|o| o != i) {
            continue;
        }
        let t = std::time::Instant::now();
        n += 1;
        match perform::perform(&mut world, &reference, p, None) {
            Ok(v) => {
                if !v.is_good() {
                    bad += 1;
                }
                if !v.is_good() || !v.doubts.is_empty() || only.is_some() {
                    println!(
                        "{i} {p} {:?}\n   lost {:#?}\n   repeated {:#?}\n   guessed {:#?}\n   doubts {:?}\n   course {:#?}",
                        t.elapsed(),
                        v.lost,
                        v.repeated,
                        v.guessed,
                        v.doubts,
                        v.course
                    );
                }
            }
            Err(e) => {
                bad += 1;
                println!("{i} {p}: ERROR {e:#}");
            }
        }
        world.sweep_up();
    }
    println!("{n} positions, {bad} bad, {:?}", t.elapsed());
    Ok(())
}

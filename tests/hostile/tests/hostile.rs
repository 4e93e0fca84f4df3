//! No guest escapes; and one that did would be counted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use liftlock_hostile::asks::{ASKS, Field};
use liftlock_hostile::bounds::{BOUNDS, Bound, one};
use liftlock_hostile::policy::{complete, missing_calls, missing_verbs, tried};
use liftlock_hostile::world::{World, grant};
use liftlock_hostile::{Judge, Verdict};
use liftlock_sandbox::{Limit, Limits};
use liftlock_types::{Grant, Scope};

fn escaped(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Escaped(_))
}

fn bound(what: &str) -> Bound {
    *BOUNDS.iter().find(|bound| bound.what == what).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_guest_escapes() {
    let liftlock = liftlock_e2e::artifacts::liftlock().unwrap();
    let mut judge = Judge::loud();
    liftlock_hostile::all(&mut judge, &liftlock).await.unwrap();
    assert!(judge.guests() > 400, "{}", judge.guests());
    assert_eq!(judge.escaped(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_what_it_may_is_no_hostile_one() {
    let world = World::start().await.unwrap();
    world.check().await.unwrap();
    let honest = Bound {
        what: "site",
        n: "",
        export: "inspect",
        limit: Limit::CpuMs,
        limits: |limits| limits,
    };
    let verdict = one(&world, honest).await.unwrap();
    assert!(escaped(&verdict), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_limit_lifted_a_guest_escapes() {
    let world = World::start().await.unwrap();
    type Lift = fn(Limits) -> Limits;
    let lifted: [(&str, Lift); 3] = [
        ("handles", |limits| Limits {
            handles_max: 20_000,
            ..limits
        }),
        ("host-calls", |limits| Limits {
            host_calls_max: u64::MAX,
            ..limits
        }),
        ("read-loop", |limits| Limits {
            reads_max: 100,
            ..limits
        }),
    ];
    for (what, limits) in lifted {
        let kept = one(&world, bound(what)).await.unwrap();
        assert!(!escaped(&kept), "{what}: {kept:?}");
        let without = Bound {
            limits,
            ..bound(what)
        };
        let verdict = one(&world, without).await.unwrap();
        assert!(escaped(&verdict), "{what}: {verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_grant_of_everything_a_foreign_name_escapes() {
    let world = World::start().await.unwrap();
    let ask = ASKS
        .iter()
        .find(|ask| ask.call == "cluster-changes.delete-index")
        .unwrap();
    let wide = || -> Grant {
        let mut grant = grant();
        for binding in &mut grant.bindings {
            for verb in &mut binding.verbs {
                verb.scope = vec![Scope::new("*").unwrap()];
                verb.except.clear();
            }
        }
        grant
    };
    let narrow = tried(&world, ask, "name", Field::Name, grant())
        .await
        .unwrap();
    assert!(!escaped(&narrow), "{narrow:?}");
    let Verdict::Escaped(what) = tried(&world, ask, "name", Field::Name, wide())
        .await
        .unwrap()
    else {
        panic!("nothing escaped");
    };
    assert!(what.contains("`b-1`"), "{what}");
    // A name that means several things stays refused whatever is granted.
    assert!(
        !what.contains("`*`") && !what.contains("`a-1,b-1`"),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn harm_to_the_target_is_seen() {
    let world = World::start().await.unwrap();
    world.unharmed().unwrap();
    world.sim.call("PUT", "/b-2", "{}");
    let error = world.unharmed().unwrap_err();
    assert!(error.to_string().contains("state differs"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_a_hostile_case_is_missed() {
    let world = World::start().await.unwrap();
    complete(&world).unwrap();
    let (first, rest) = ASKS.split_last().unwrap();
    assert_eq!(missing_calls(rest, &world).unwrap(), [first.call]);
    let without: Vec<_> = ASKS
        .iter()
        .filter(|ask| ask.verb != "cluster.delete-index")
        .copied()
        .collect();
    assert_eq!(missing_verbs(&without), ["cluster.delete-index"]);
}

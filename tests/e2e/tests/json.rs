//! Every `--json` answer is what its committed schema says, and names the exit code it ends with.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use liftlock_e2e::Kit;
use liftlock_e2e::Operator;
use liftlock_e2e::Simulated;
use liftlock_e2e::Stage;
use liftlock_e2e::artifacts;
use liftlock_e2e::proof;
use liftlock_e2e::schema::objections;
use liftlock_lab::SiteSpec;
use liftlock_testkit::Product;
use serde_json::Value;

/// Runs a command with `--json`; gives its answer after comparing it with the schema `name`.
async fn answer(operator: &Operator, name: &str, arguments: &[&str], exit: i32) -> Value {
    let told = operator
        .run(&[arguments, &["--json"]].concat())
        .await
        .unwrap();
    assert_eq!(told.code, Some(exit), "{told}");
    let answer: Value = serde_json::from_str(&told.stdout).unwrap();
    let file = artifacts::root().join(format!("host/cli/schema/{name}.json"));
    let schema = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let schema = serde_json::from_str(&schema).unwrap();
    assert_eq!(objections(&schema, &answer), Vec::<String>::new(), "{told}");
    assert_eq!(answer["schema"], "liftlock.cli/1");
    assert_eq!(answer["exit_code"], exit, "{told}");
    assert_eq!(
        answer["failure"].is_null(),
        exit == 0 || exit == 10,
        "{told}"
    );
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_an_upgrade_is_as_its_schema_says() {
    let kit = Kit::build().unwrap();
    let cluster = Simulated::start().await.unwrap();
    let stage = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    let round = stage.fresh(&SiteSpec::default()).await.unwrap();
    let operator = &round.operator;

    answer(operator, "plan", &["plan", proof::TO], 2).await;
    let add = ["plugin", "add", round.plugin(), "--allow-unsigned"];
    let added = answer(operator, "plugin-add", &add, 0).await;
    assert_eq!(added["command"], "plugin add");
    answer(operator, "plugin-list", &["plugin", "list"], 0).await;
    answer(
        operator,
        "plugin-show",
        &["plugin", "show", "camunda-optimize"],
        0,
    )
    .await;
    answer(operator, "grant", &["grant"], 3).await;
    answer(operator, "grant", &["grant", "--yes"], 0).await;
    answer(operator, "doctor", &["doctor"], 0).await;
    answer(operator, "inspect", &["inspect"], 0).await;
    answer(operator, "check", &["check", proof::TO], 0).await;
    answer(operator, "check", &["check", "8.9.0"], 3).await;
    let planned = ["plan", proof::TO, "--detailed-exitcode"];
    answer(operator, "plan", &planned, 10).await;
    let plan = round.plan_file().unwrap().display().to_string();
    answer(operator, "show", &["show", &plan], 0).await;
    answer(operator, "run", &["run", &plan], 12).await;
    answer(operator, "approve", &["approve", &plan], 0).await;
    answer(operator, "run", &["run", &plan], 0).await;
    answer(operator, "status", &["status"], 0).await;
    let history = answer(operator, "history", &["history"], 0).await;
    assert_eq!(history["data"]["runs"].as_array().unwrap().len(), 1);
    let run = proof::last_run(operator).await.unwrap();
    answer(operator, "audit", &["audit", &run, "--verify"], 0).await;
    answer(operator, "resume", &["resume", &run], 0).await;
    answer(operator, "abort", &["abort", &run, "--reason", "test"], 2).await;
    answer(operator, "explain", &["explain", "11"], 0).await;
    let of_plugin = ["explain", "optimize.wrong-prefix"];
    let told = answer(operator, "explain", &of_plugin, 0).await;
    let text = told["data"]["entries"][0]["text"].to_string();
    assert!(text.contains("empty schema beside the real one"), "{text}");
    assert!(text.contains("the plugin camunda-optimize"), "{text}");
    answer(operator, "explain", &["explain", "optimize.no-such"], 2).await;
    answer(operator, "plan", &planned, 0).await;

    answer(operator, "replan", &["replan", &run], 2).await;
    answer(operator, "takeover-abandon", &["takeover", "--abandon"], 2).await;
    let file = round.folder().join("run.jsonl").display().to_string();
    answer(operator, "export", &["export", &run, &file], 0).await;
    let other = operator.clone().with_state(&round.folder().join("other"));
    answer(&other, "import", &["import", &file], 0).await;
    answer(&other, "takeover", &["takeover", &run], 0).await;
    let preview = ["rollback", &run, "--preview"];
    answer(operator, "rollback-preview", &preview, 0).await;
    answer(operator, "rollback", &["rollback", &run], 2).await;
    let back = answer(operator, "rollback", &["rollback", &run, "--yes"], 0).await;
    assert_eq!(back["data"]["run"]["standing"], "rolled back");
    answer(operator, "rollback", &["rollback", &run, "--yes"], 2).await;

    let init = [
        "init",
        "--plugin",
        round.plugin(),
        "--allow-unsigned",
        "--cluster",
        &stage.switch.url(),
    ];
    answer(operator, "init", &init, 2).await;
    fs::remove_file(operator.site().join("site.toml")).unwrap();
    answer(operator, "init", &init, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_of_a_rehearsal_are_as_their_schemas_say() {
    let kit = Kit::build().unwrap();
    let (cluster, other) = (
        Simulated::start().await.unwrap(),
        Simulated::start_as(Product::OpenSearch2, 88).await.unwrap(),
    );
    let stage = Stage::new(&kit, cluster.target(), &cluster.repository())
        .await
        .unwrap();
    let store = other.repository().join("of-the-rehearsal");
    let scratch = Stage::new(&kit, other.target(), &store).await.unwrap();
    let round = stage.fresh(&SiteSpec::default()).await.unwrap();
    scratch.rebuild(&SiteSpec::default()).await.unwrap();
    let operator = &round.operator;
    proof::introduce(&round).await.unwrap();
    let second = proof::Second::start(&round, &scratch).unwrap();
    answer(operator, "rehearse", &["rehearse", proof::TO], 3).await;
    second.introduce(operator).unwrap();
    answer(operator, "rehearse", &["rehearse", proof::TO], 2).await;
    let done = answer(operator, "rehearse", &["rehearse", proof::TO, "--yes"], 0).await;
    assert_eq!(done["data"]["rehearsed"]["passed"], true);
    let plan = answer(operator, "plan", &["plan", proof::TO], 0).await;
    assert_eq!(plan["data"]["rehearsed"]["fits"], true);
    answer(operator, "status", &["status", "--rehearsal"], 0).await;
}

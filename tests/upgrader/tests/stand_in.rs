//! The stand-in behaves as the vendor's upgrader was seen to, on a simulated cluster: what it asks for, how it
//! ends, and each of its defects.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Stdio;
use std::time::Duration;

use liftlock_lab::HttpTarget;
use liftlock_lab::SiteFacts;
use liftlock_lab::SiteSpec;
use liftlock_lab::diff;
use liftlock_lab::dump;
use liftlock_testkit::Fault;
use liftlock_testkit::Method;
use liftlock_testkit::Product;
use liftlock_testkit::SimCluster;
use serde_json::Value;
use serde_json::json;

/// Longest run of the program against a simulated cluster; five hundred times what it takes.
const RUN_SECONDS_MAX: u64 = 120;

/// One database with a site.
struct Lab {
    sim: SimCluster,
    target: HttpTarget,
    facts: SiteFacts,
}

/// How a run ended.
struct Ended {
    code: Option<i32>,
    log: String,
}

impl Ended {
    fn says(&self, text: &str) -> bool {
        self.log.contains(text)
    }
}

impl Lab {
    async fn of(product: Product, spec: &SiteSpec) -> Self {
        let sim = SimCluster::builder(product)
            .seed(7)
            .path_repo(&["/repositories"])
            .start()
            .await
            .unwrap();
        let target = HttpTarget::new(sim.url()).unwrap();
        let facts = liftlock_lab::build(&target, spec).await.unwrap();
        sim.clear_records();
        Self { sim, target, facts }
    }

    async fn new() -> Self {
        Self::of(Product::OpenSearch2, &SiteSpec::default()).await
    }

    /// Runs the program to its end.
    async fn upgrade(&self, more: &[(&str, &str)]) -> Ended {
        self.upgrade_with(&["--skip-warning"], more).await
    }

    fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> tokio::process::Command {
        let url = self.sim.url();
        let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_stand-in-upgrader"));
        let (database, connection) = match self.sim.product() {
            Product::Elasticsearch8 => ("elasticsearch", "OPTIMIZE_ELASTICSEARCH"),
            _ => ("opensearch", "CAMUNDA_OPTIMIZE_OPENSEARCH"),
        };
        command
            .args(arguments)
            .env_clear()
            .env("CAMUNDA_OPTIMIZE_DATABASE", database)
            .env(format!("{connection}_HOST"), host)
            .env(format!("{connection}_HTTP_PORT"), port)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn upgrade_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Ended {
        let child = self.command(arguments, more).spawn().unwrap();
        ended(child).await
    }

    fn requests(&self) -> Vec<String> {
        self.sim
            .records()
            .iter()
            .map(|record| format!("{} {}", record.method, record.path))
            .collect()
    }

    async fn schema_version(&self) -> Value {
        let document = self.target.get("/optimize-metadata/_doc/1").await.unwrap();
        document["_source"]["schemaVersion"].clone()
    }

    async fn exists(&self, path: &str) -> bool {
        let (status, _) = self
            .target
            .send(reqwest::Method::HEAD, path, None)
            .await
            .unwrap();
        status == 200
    }

    async fn count(&self, index: &str) -> u64 {
        self.target
            .post(&format!("/{index}/_refresh"), &json!({}))
            .await
            .unwrap();
        let answer = self.target.get(&format!("/{index}/_count")).await.unwrap();
        answer["count"].as_u64().unwrap()
    }
}

async fn ended(child: tokio::process::Child) -> Ended {
    let limit = Duration::from_secs(RUN_SECONDS_MAX);
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Ended {
        code: output.status.code(),
        log: String::from_utf8(output.stdout).unwrap(),
    }
}

const DOOMED: &str = "/optimize-variable-update-instance_v2-000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_run_asks_for_what_the_vendors_asks_for_in_its_order() {
    for product in [Product::OpenSearch2, Product::Elasticsearch8] {
        let spec = SiteSpec {
            without_replicas: Vec::new(),
            ..SiteSpec::default()
        };
        let lab = Lab::of(product, &spec).await;
        let before = dump(&lab.target, "optimize").await.unwrap();
        lab.sim.clear_records();
        let run = lab.upgrade(&[]).await;
        assert_eq!(run.code, Some(0), "{}", run.log);
        let requests = lab.requests();
        let log = "POST /optimize-update-log/_update/8.8.0_schema-delete";
        assert_eq!(
            requests[..18],
            [
                "GET /optimize-process-instance-*/_alias".to_owned(),
                "GET /_alias/decision-instance-*".into(),
                "HEAD /optimize-metadata".into(),
                "GET /optimize-metadata/_doc/1".into(),
                "GET /".into(),
                "PUT /optimize-update-log_v1".into(),
                "POST /optimize-update-log/_search".into(),
                "GET /_alias/optimize-variable-update-instance".into(),
                format!("HEAD {DOOMED}"),
                format!("DELETE {DOOMED}"),
                format!("{log}-index_variable-update-instance_v2"),
                "HEAD /_template/optimize-variable-update-instance_v2".into(),
                "DELETE /_template/optimize-variable-update-instance_v2".into(),
                format!("{log}-template_variable-update-instance_v2[Template]"),
                "HEAD /_template/optimize-external-process-variable_v2".into(),
                "DELETE /_template/optimize-external-process-variable_v2".into(),
                format!("{log}-template_external-process-variable_v2[Template]"),
                "POST /optimize-metadata/_update/1".into(),
            ],
        );
        assert_eq!(requests.len(), 75, "{requests:#?}");
        let after = dump(&lab.target, "optimize").await.unwrap();
        let changed: Vec<String> = diff(&before, &after)
            .into_iter()
            .filter(|line| {
                !line.contains("update-log")
                    && !line.contains("variable-update-instance_v2")
                    && !line.contains("external-process-variable_v2")
                    && !line.contains("metadata")
            })
            .collect();
        assert_eq!(changed, Vec::<String>::new());
        assert_eq!(lab.schema_version().await, "8.8.0");
        assert!(run.says(
            " - Starting step 1/3: DeleteIndexIfExistsStep on index: variable-update-instance_v2"
        ));
        // A second run does nothing but the sync.
        lab.sim.clear_records();
        let run = lab.upgrade(&[]).await;
        assert!(
            run.code == Some(0)
                && run.says("Target schemaVersion or a newer version is already present")
        );
        assert_eq!(lab.requests().len(), 61);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tuned_replicas_are_put_back_by_the_sync() {
    let lab = Lab::new().await;
    assert_eq!(lab.facts.without_replicas.len(), 2);
    assert_eq!(lab.upgrade(&[]).await.code, Some(0));
    for index in &lab.facts.without_replicas {
        let settings = lab
            .target
            .get(&format!("/{index}/_settings?flat_settings=true"))
            .await
            .unwrap();
        assert_eq!(
            settings[index.as_str()]["settings"]["index.number_of_replicas"],
            "1"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_schema_version_ends_with_1_or_does_the_sync_only() {
    for (schema, code, text, left) in [
        (
            "8.6.5",
            1,
            "Schema version saved in Metadata [8.6.5] must be one of [8.7, 8.8.0]",
            "8.6.5",
        ),
        ("8.9.0", 0, "no update to perform to 8.8.0.", "8.9.0"),
    ] {
        let spec = SiteSpec {
            schema_version: schema.into(),
            ..SiteSpec::default()
        };
        let lab = Lab::of(Product::OpenSearch2, &spec).await;
        let run = lab.upgrade(&[]).await;
        assert_eq!(run.code, Some(code), "{}", run.log);
        assert!(run.says(text), "{}", run.log);
        assert_eq!(lab.schema_version().await, left);
        assert!(lab.exists(DOOMED).await);
        if code == 1 {
            assert_eq!(lab.requests().len(), 5 + 2, "and two looks of ours");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_the_program_does_not_have_ends_with_1() {
    let lab = Lab::new().await;
    let run = lab.upgrade_with(&["8.7.0"], &[]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.says("It was not possible to update Optimize to version 8.7.0.\\nEither"));
    assert_eq!(lab.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_metadata_nothing_is_upgraded_and_all_seems_well() {
    let lab = Lab::new().await;
    lab.target
        .delete("/optimize-metadata_v3/_doc/1?refresh=true")
        .await
        .unwrap();
    let run = lab.upgrade(&[]).await;
    assert_eq!(run.code, Some(0));
    assert!(run.says("no metadata doc was found") && run.says("skipping update to 8.8.0."));
    assert_eq!(lab.schema_version().await, "8.8.0");
    assert!(lab.exists(DOOMED).await);

    let lab = Lab::new().await;
    lab.target.delete("/optimize-metadata_v3").await.unwrap();
    let run = lab.upgrade(&[]).await;
    assert_eq!(run.code, Some(0));
    assert!(
        run.says("Optimize Metadata index wasn't found")
            && run.says("Initializing Optimize schema")
    );
    assert_eq!(lab.schema_version().await, "8.8.0");
    assert!(lab.exists(DOOMED).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_prefix_makes_an_empty_schema_and_all_seems_well() {
    let lab = Lab::new().await;
    let prefix = "CAMUNDA_OPTIMIZE_OPENSEARCH_SETTINGS_INDEX_PREFIX";
    let run = lab.upgrade(&[(prefix, "acme")]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert!(run.says("Update finished successfully."));
    assert_eq!(lab.requests().len(), 29, "{:#?}", lab.requests());
    let made = lab.target.get("/acme-*/_settings").await.unwrap();
    assert_eq!(made.as_object().unwrap().len(), 21);
    assert_eq!(lab.schema_version().await, "8.7.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_update_log_skips_steps_that_are_not_done() {
    let lab = Lab::new().await;
    assert_eq!(lab.upgrade(&[]).await.code, Some(0));
    // The data goes back to 8.7, the log stays.
    let template = json!({ "index_patterns": ["optimize-external-process-variable_v2*"] });
    lab.target
        .put(
            "/_template/optimize-external-process-variable_v2",
            &template,
        )
        .await
        .unwrap();
    lab.target.put(DOOMED, &json!({})).await.unwrap();
    let back = json!({ "doc": { "schemaVersion": "8.7.0" } });
    lab.target
        .post("/optimize-metadata_v3/_update/1?refresh=true", &back)
        .await
        .unwrap();
    lab.target
        .post("/optimize-update-log_v1/_refresh", &json!({}))
        .await
        .unwrap();
    let run = lab.upgrade(&[]).await;
    assert_eq!(run.code, Some(0));
    assert!(run.says("Skipping Step 3/3"), "{}", run.log);
    assert_eq!(lab.schema_version().await, "8.8.0");
    assert!(lab.exists(DOOMED).await);
    assert!(
        lab.exists("/_template/optimize-external-process-variable_v2")
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_lacks_leaves_an_orphan_and_all_seems_well() {
    let lab = Lab::new().await;
    lab.target
        .delete(&format!(
            "{DOOMED}/_alias/optimize-variable-update-instance"
        ))
        .await
        .unwrap();
    assert_eq!(lab.upgrade(&[]).await.code, Some(0));
    assert!(lab.exists(DOOMED).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_met_after_the_version_was_written() {
    for (product, block, code, text) in [
        (
            Product::OpenSearch2,
            "read_only",
            1,
            "Could not update [settings] for index [optimize-alert_v4]. Forbidden access",
        ),
        (
            Product::Elasticsearch8,
            "read_only",
            1,
            "[es/indices.put_settings] failed: [cluster_block_exception] index [optimize-alert_v4] blocked by: \
             [FORBIDDEN/5/index read-only (api)];",
        ),
        (
            Product::OpenSearch2,
            "read_only_allow_delete",
            1,
            "status line [HTTP/1.1 429 Too Many Requests]",
        ),
        (
            Product::Elasticsearch8,
            "read_only_allow_delete",
            0,
            "Update finished successfully.",
        ),
    ] {
        let lab = Lab::of(product, &SiteSpec::default()).await;
        let body = json!({ format!("index.blocks.{block}"): true });
        lab.target
            .put("/optimize-alert_v4/_settings", &body)
            .await
            .unwrap();
        let run = lab.upgrade(&[]).await;
        assert_eq!(run.code, Some(code), "{product:?} {block}: {}", run.log);
        assert!(run.says(text), "{product:?} {block}: {}", run.log);
        assert_eq!(lab.schema_version().await, "8.8.0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_snapshot_is_waited_for_and_a_lost_connection_is_not() {
    let lab = Lab::new().await;
    let error = json!({ "error": { "type": "snapshot_in_progress_exception",
        "reason": "Cannot delete indices that are being snapshotted" }, "status": 400 });
    lab.sim.fault(
        Fault::nth(1)
            .matching(Method::DELETE, DOOMED)
            .status(400, error),
    );
    let run = lab.upgrade(&[("STAND_IN_RETRY_MS", "20")]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert!(run.says("Will retry the operation in 30 seconds..."));
    assert_eq!(lab.requests().len(), 76);

    let lab = Lab::new().await;
    lab.sim
        .fault(Fault::nth(1).matching(Method::DELETE, DOOMED).drop_before());
    let run = lab.upgrade(&[]).await;
    assert_eq!(run.code, Some(1));
    for text in [
        "The upgrade will be aborted. Please investigate the cause and retry it..",
        "Error while executing update from 8.7 to 8.8.0",
        "Could not delete index [optimize-variable-update-instance_v2-000001]!",
        "Upgrade failed.",
    ] {
        assert!(run.says(text), "{text}: {}", run.log);
    }
    assert_eq!(lab.schema_version().await, "8.7.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_it_was_killed() {
    for (stop, again) in [
        (
            "die after 1 DELETE /optimize-variable-update",
            "Starting step 1/3",
        ),
        (
            "die after 1 POST /optimize-update-log/_update",
            "Starting step 2/3",
        ),
        (
            "die before 1 PUT /optimize-metadata_v3/_settings",
            "no update to perform to 8.8.0.",
        ),
    ] {
        let lab = Lab::new().await;
        assert_eq!(lab.upgrade(&[("STAND_IN_STOP", stop)]).await.code, None);
        lab.target
            .post("/optimize-update-log_v1/_refresh", &json!({}))
            .await
            .unwrap();
        let run = lab.upgrade(&[]).await;
        assert_eq!(run.code, Some(0), "{stop}: {}", run.log);
        assert!(run.says(again), "{stop}: {}", run.log);
        assert_eq!(lab.schema_version().await, "8.8.0");
        assert!(!lab.exists(DOOMED).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_have_no_lock() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let held = "hold before 1 DELETE /_template/optimize-variable-update-instance_v2";
    let more = [
        ("STAND_IN_STOP", held),
        ("STAND_IN_GO", go.to_str().unwrap()),
    ];
    let loser = lab.command(&["--skip-warning"], &more).spawn().unwrap();
    let asked = |path: &str| lab.requests().iter().any(|request| request.ends_with(path));
    let until = std::time::Instant::now() + Duration::from_secs(RUN_SECONDS_MAX);
    while !asked("HEAD /_template/optimize-variable-update-instance_v2") {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(lab.upgrade(&[]).await.code, Some(0));
    std::fs::write(&go, "").unwrap();
    let run = ended(loser).await;
    assert_eq!(run.code, Some(1));
    assert!(run.says("Could not delete index template [optimize-variable-update-instance_v2]!"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_alias_ends_it_before_the_plan() {
    let lab = Lab::new().await;
    lab.target
        .put(
            "/other",
            &json!({ "aliases": { "decision-instance-foo": {} } }),
        )
        .await
        .unwrap();
    let run = lab.upgrade(&[]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.says("Range [17, 9) out of bounds for length 9"));
    assert_eq!(lab.schema_version().await, "8.7.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsure_answer_to_its_question_is_the_last_it_hears() {
    let lab = Lab::new().await;
    let mut child = lab.command(&[], &[]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, b"maybe\nyes\n")
        .await
        .unwrap();
    drop(input);
    let run = ended(child).await;
    assert_eq!(run.code, Some(1));
    assert!(run.says(" - null") && run.says("NoSuchElementException"));
}

/// What 3.13 has beside an 8.7 site: indices that 8.6 drops, `settings` of version 2, two archives.
async fn old_site() -> Lab {
    let spec = SiteSpec {
        schema_version: "3.13.4".into(),
        ..SiteSpec::default()
    };
    let lab = Lab::of(Product::OpenSearch2, &spec).await;
    let target = &lab.target;
    for name in [
        "onboarding-state_v2",
        "import-index_v3",
        "event_v4",
        "event-process-definition_v5",
        "event-process-mapping_v4",
        "event-process-publish-state_v4",
        "event-sequence-count-external_v4",
        "event-trace-state-external_v2",
        "license_v3",
    ] {
        let (alias, _) = name.rsplit_once("_v").unwrap();
        let body =
            json!({ "aliases": { format!("optimize-{alias}"): { "is_write_index": true } } });
        target
            .put(&format!("/optimize-{name}"), &body)
            .await
            .unwrap();
    }
    let template = json!({ "index_patterns": ["optimize-event_v4*"] });
    target
        .put("/_template/optimize-event_v4", &template)
        .await
        .unwrap();
    for key in ["invoice", "order"] {
        let index = format!("optimize-process-instance-archive-{key}_v8");
        let aliases = json!({
            format!("optimize-process-instance-archive-{key}"): { "is_write_index": true },
            "optimize-process-instance-archive": { "is_write_index": false },
        });
        target
            .put(&format!("/{index}"), &json!({ "aliases": aliases }))
            .await
            .unwrap();
    }
    target.delete("/optimize-settings_v3").await.unwrap();
    let settings = json!({
        "aliases": { "optimize-settings": { "is_write_index": true } },
        "settings": { "index": { "refresh_interval": "-1" } },
        "mappings": { "properties": {
            "sharingEnabled": { "type": "boolean" }, "metadataTelemetryEnabled": { "type": "boolean" },
            "lastModifier": { "type": "keyword" },
        } },
    });
    target
        .put("/optimize-settings_v2", &settings)
        .await
        .unwrap();
    lab.sim.clear_records();
    lab
}

async fn put_settings(lab: &Lab, refresh: &str) {
    for id in ["1", "2", "3"] {
        let body = json!({ "sharingEnabled": true, "metadataTelemetryEnabled": true, "lastModifier": "kermit" });
        let path = format!("/optimize-settings_v2/_doc/{id}?refresh={refresh}");
        lab.target.put(&path, &body).await.unwrap();
    }
}

const JAR_8_6: (&str, &str) = ("STAND_IN_JAR", "8.6.0");

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_to_8_6_has_13_steps_and_archives_come_back_empty() {
    let lab = old_site().await;
    put_settings(&lab, "true").await;
    let run = lab.upgrade(&[JAR_8_6]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert!(run.says("Successfully finished step 13/13"));
    assert!(run.says("Completed: true"));
    assert_eq!(lab.schema_version().await, "8.6.0");
    assert_eq!(lab.count("optimize-settings_v3").await, 3);
    let document = lab
        .target
        .get("/optimize-settings_v3/_doc/1")
        .await
        .unwrap();
    assert_eq!(document["_source"], json!({ "sharingEnabled": true }));
    assert!(!lab.exists("/optimize-settings_v2").await);
    let log = lab
        .target
        .get(
            "/optimize-update-log_v1/_doc/8.6.0_schema-delete-index_optimize-process-instance-archive-invoice_v8",
        )
        .await
        .unwrap();
    assert_eq!(log["_source"]["stepNumber"], 12);
    // Deleted by steps 12 and 13, and made anew by the sync; one that never was is made of their shared alias.
    for name in ["archive-invoice", "archive-order", "archive"] {
        let index = format!("optimize-process-instance-{name}_v8");
        assert_eq!(lab.count(&index).await, 0, "{index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unrefreshed_source_is_lost() {
    let lab = old_site().await;
    put_settings(&lab, "false").await;
    let run = lab.upgrade(&[JAR_8_6]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert!(run.says("already contains the same amount of documents"));
    assert_eq!(lab.count("optimize-settings_v3").await, 0);
    assert!(!lab.exists("/optimize-settings_v2").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_other_documents_in_the_target_lose_the_source() {
    let lab = old_site().await;
    put_settings(&lab, "true").await;
    lab.target
        .put("/optimize-settings_v3", &json!({}))
        .await
        .unwrap();
    for id in ["a", "b", "c"] {
        let path = format!("/optimize-settings_v3/_doc/{id}?refresh=true");
        lab.target
            .put(&path, &json!({ "sharingEnabled": false }))
            .await
            .unwrap();
    }
    let run = lab.upgrade(&[JAR_8_6]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert_eq!(lab.count("optimize-settings_v3").await, 3);
    assert!(!lab.exists("/optimize-settings_v3/_doc/1").await);
    assert!(!lab.exists("/optimize-settings_v2").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_reindex_is_started_beside_the_one_that_runs() {
    let lab = old_site().await;
    put_settings(&lab, "true").await;
    let stop = ("STAND_IN_STOP", "die after 1 POST /_reindex");
    assert_eq!(lab.upgrade(&[JAR_8_6, stop]).await.code, None);
    let run = lab.upgrade(&[JAR_8_6]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert!(!run.says("Found pending task"));
    assert_eq!(lab.count("optimize-settings_v3").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lies_on_demand() {
    let lab = Lab::new().await;
    let run = lab.upgrade(&[("STAND_IN_LIE", "nothing")]).await;
    assert!(run.code == Some(0) && run.says("Update finished successfully."));
    assert_eq!(lab.requests(), Vec::<String>::new());
    let run = lab.upgrade(&[("STAND_IN_LIE", "no-sync")]).await;
    assert_eq!((run.code, lab.requests().len()), (Some(0), 18));
}

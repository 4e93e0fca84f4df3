//! What the cluster capability must do, on any server: run on real ones and on the simulated one.
#![allow(dead_code, reason = "each binary uses a part")]

pub(crate) mod transform;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use liftlock_cluster::{Cluster, ClusterConfig, Credentials};
use liftlock_lab::{Server, ServerKind};
use liftlock_types::facts::cluster::{Search, SettingScope, TemplateKind};
use liftlock_types::{
    Acted, AliasAction, AliasName, Attempt, Binding, Capability, Change, Claim, DocumentId,
    DoneWhen, Facts, IndexName, Json, Method, Predicate, Probed, RawRequest, Read, ReadError,
    RequestPath, RunId, Script, StepId, TemplateName,
};
use serde_json::{Value, json};

/// How long an effect may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn open(address: &str) -> Cluster {
    open_with(&ClusterConfig::of_node(address), &Credentials::None)
}

pub(crate) fn open_with(config: &ClusterConfig, credentials: &Credentials) -> Cluster {
    let binding = Binding::new("cluster.database").unwrap();
    Cluster::open(binding, config, credentials).unwrap()
}

/// All of it on a server that is started for it.
pub(crate) async fn on_server(kind: ServerKind) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(kind, dir.path()).await.unwrap();
    let cluster = open(server.base_url());
    everything(&cluster, &kind.product()).await;
    shows_what_a_task_moves(&cluster).await;
    transform::everything(server.base_url()).await;
    server.stop().await;
}

pub(crate) fn index(name: &str) -> IndexName {
    IndexName::new(name).unwrap()
}

pub(crate) fn json_text(value: &Value) -> Json {
    Json::new(&value.to_string()).unwrap()
}

/// A small gate: facts, observation, send, read-back, clean-up.
pub(crate) struct Hand<'a> {
    pub(crate) cluster: &'a Cluster,
    made: BTreeMap<String, Value>,
    steps: u32,
    /// What security keeps us from taking off.
    kept_from_us: usize,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            made: BTreeMap::new(),
            steps: 0,
            kept_from_us: 0,
        }
    }

    pub(crate) async fn attempt(&mut self, change: &Change) -> Attempt {
        self.steps += 1;
        let step = format!("s{}", self.steps);
        let facts = self.cluster.facts(change).await.unwrap();
        let mut attempt = Attempt {
            run: RunId::new("r1").unwrap(),
            step: StepId::new(step.as_str()).unwrap(),
            number: 1,
            token: format!("liftlock-r1-{step}-1"),
            intent_at_ms: 0,
            kept: Value::Null,
            facts,
            answer: None,
            referred: None,
            made_by_run: self.made.clone(),
        };
        let observed = self.cluster.observe(change, &attempt).await.unwrap();
        assert!(
            !observed.already_true,
            "{change:?}: {:?}",
            observed.evidence
        );
        attempt.kept = observed.kept;
        attempt
    }

    /// Brings it about and gives back the attempt, with the probe before and after.
    pub(crate) async fn pass(&mut self, change: &Change) -> Attempt {
        let mut attempt = self.attempt(change).await;
        let before = self.cluster.probe(change, &attempt).await.unwrap();
        assert!(
            matches!(before, Probed::Absent(_)) || matches!(change, Change::UpdateByQuery { .. }),
            "{change:?}: {before:?}"
        );
        match self.cluster.act(change, &attempt).await {
            Acted::Answered(answer) => attempt.answer = Some(answer),
            other => panic!("{change:?}: {other:?}"),
        }
        self.until_applied(change, &attempt).await;
        // As after a crash: without what the answer said.
        attempt.answer = None;
        self.until_applied(change, &attempt).await;
        self.clean_up(change, &attempt).await;
        let facts = self.cluster.facts(change).await.unwrap();
        self.made.extend(facts);
        attempt.made_by_run = self.made.clone();
        // What is recorded as done is read again on resume, when its markers are off.
        self.until_applied(change, &attempt).await;
        let again = self.cluster.observe(change, &attempt).await.unwrap();
        let by_ids = matches!(change, Change::Reindex { .. } | Change::Transform { .. });
        assert!(
            again.already_true || by_ids,
            "{change:?}: {:?}",
            again.evidence
        );
        // A busy manager may still have a task of its own on the same name.
        let begun = Instant::now();
        while self.cluster.in_flight(change, &attempt).await.unwrap() {
            assert!(begun.elapsed() < PATIENCE, "{change:?} stays in flight");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        attempt
    }

    async fn clean_up(&mut self, change: &Change, attempt: &Attempt) {
        let left = self.cluster.clean_up(change, attempt).await.unwrap();
        let (forbidden, left): (Vec<String>, Vec<String>) = left
            .into_iter()
            .partition(|text| text.contains("security_exception"));
        assert_eq!(left, Vec::<String>::new());
        self.kept_from_us += forbidden.len();
    }

    pub(crate) async fn until_applied(&self, change: &Change, attempt: &Attempt) -> Value {
        let begun = Instant::now();
        loop {
            match self.cluster.probe(change, attempt).await {
                Ok(Probed::Applied { evidence, .. }) => return evidence,
                Ok(Probed::InProgress(_)) | Err(ReadError::Unavailable(_)) => {}
                other => panic!("{change:?}: {other:?}"),
            }
            assert!(begun.elapsed() < PATIENCE, "{change:?} is not applied");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Undoes it by what the capability says itself.
    pub(crate) async fn undo(&mut self, change: &Change, attempt: &Attempt) {
        let undo = self.cluster.automatic_undo(change, attempt).unwrap();
        for planned in undo {
            self.pass(&planned.change).await;
        }
    }

    pub(crate) async fn make(&mut self, name: &str, body: Value) -> Attempt {
        self.pass(&Change::CreateIndex {
            name: index(name),
            body: json_text(&body),
        })
        .await
    }

    pub(crate) async fn document(&mut self, name: &str, id: &str, document: Value) -> Attempt {
        self.pass(&Change::CreateDocument {
            index: index(name),
            id: DocumentId::new(id).unwrap(),
            document: json_text(&document),
        })
        .await
    }

    pub(crate) async fn read(&self, read: Read) -> Value {
        self.cluster.read(&read).await.unwrap()
    }

    async fn uuid(&self, name: &str) -> Option<String> {
        let found = self
            .read(Read::Indices {
                pattern: name.into(),
            })
            .await;
        found
            .as_array()
            .unwrap()
            .first()
            .map(|index| index["uuid"].as_str().unwrap().to_owned())
    }
}

pub(crate) const NO_REPLICA: &str = "index.number_of_replicas";

pub(crate) async fn tells_who_it_is(cluster: &Cluster, product: &str) {
    let identity = cluster.identity().await.unwrap();
    assert!(identity.product.starts_with(product), "{identity:?}");
    let read = cluster.read(&Read::Identity).await.unwrap();
    assert_eq!(read["cluster_uuid"], identity.fingerprint);
    let all = cluster.read(&Read::Identities).await.unwrap();
    let nodes = cluster.read(&Read::Nodes).await.unwrap();
    assert_eq!(
        all.as_array().unwrap().len(),
        nodes.as_array().unwrap().len()
    );
    assert_eq!(all[0]["cluster_uuid"], identity.fingerprint);
    let node = &nodes[0];
    for number in ["heap_max_bytes", "disk_total_bytes", "disk_free_bytes"] {
        assert!(node[number].as_u64().unwrap() > 0, "{number}: {node}");
    }
    let roles = node["roles"].as_array().unwrap();
    assert!(roles.contains(&json!("data")), "{node}");
    assert!(!node["plugins"].as_array().unwrap().is_empty(), "{node}");
    let health = cluster.read(&Read::Health).await.unwrap();
    assert_eq!(health["nodes"], nodes.as_array().unwrap().len());
    let is_elected = |node: &&Value| {
        let more = node["more"].as_array().unwrap();
        more.contains(&json!(["elected-manager", "yes"]))
    };
    let elected = nodes.as_array().unwrap().iter().filter(is_elected).count();
    assert_eq!(elected, 1, "{nodes}");
}

pub(crate) async fn makes_and_deletes_indices(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    // Legal, and each a trap for whoever builds paths by hand.
    for name in ["mk-a", "%mk.users", "&mk.b", "mk-@%x"] {
        let body = json!({"settings": {NO_REPLICA: 0}, "aliases": {format!("{name}-alias"): {}}});
        let change = Change::CreateIndex {
            name: index(name),
            body: json_text(&body),
        };
        let made = hand.pass(&change).await;
        let aliases = hand
            .read(Read::Aliases {
                pattern: "*".into(),
            })
            .await;
        let left: Vec<&Value> = aliases
            .as_array()
            .unwrap()
            .iter()
            .filter(|alias| alias["name"].as_str().unwrap().starts_with("liftlock-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let listed = hand
            .read(Read::Indices {
                pattern: name.into(),
            })
            .await;
        assert_eq!(listed[0]["name"], name);
        assert_eq!(listed[0]["replicas"], 0);
        assert!(listed[0]["created_version"].as_u64().unwrap() > 0);
        hand.undo(&change, &made).await;
        assert_eq!(hand.uuid(name).await, None, "{name}");
    }
}

pub(crate) async fn an_index_that_another_made_is_none_of_ours(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("of-another", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    // The same name asked for by another step: neither ours nor absent.
    let change = Change::CreateIndex {
        name: index("of-another"),
        body: json_text(&json!({})),
    };
    let mut other = Hand::new(cluster);
    other.steps = 40;
    let attempt = other.attempt(&change).await;
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(acted, Acted::Refused { later: false, .. }),
        "{acted:?}"
    );
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
    assert_eq!(cluster.automatic_undo(&change, &attempt), None);

    // Deleting and making it anew: the old uuid is gone, and the new one is never a target.
    let old = hand.uuid("of-another").await.unwrap();
    let delete = Change::DeleteIndex {
        name: index("of-another"),
        uuid: old.clone(),
    };
    let attempt = hand.attempt(&delete).await;
    let second = Change::DeleteIndex {
        name: index("of-another"),
        uuid: old,
    };
    hand.pass(&second).await;
    hand.make("of-another", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let acted = cluster.act(&delete, &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "uuid-changed"),
        "{acted:?}"
    );
    let probed = cluster.probe(&delete, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
    assert!(hand.uuid("of-another").await.is_some());
}

pub(crate) async fn a_repeat_of_what_landed_is_seen(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    let change = Change::CreateIndex {
        name: index("landed"),
        body: json_text(&json!({"settings": {NO_REPLICA: 0}})),
    };
    let first = hand.attempt(&change).await;
    assert!(matches!(
        cluster.act(&change, &first).await,
        Acted::Answered(_)
    ));
    let mut second = first.clone();
    second.number = 2;
    second.token = format!("{}-2", first.token.strip_suffix("-1").unwrap());
    assert!(matches!(
        cluster.act(&change, &second).await,
        Acted::Answered(_)
    ));
    let probed = cluster.probe(&change, &second).await.unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: true, .. }),
        "{probed:?}"
    );
    assert_eq!(
        cluster.clean_up(&change, &second).await.unwrap(),
        Vec::<String>::new()
    );
}

pub(crate) async fn writes_documents_only_where_they_belong(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("docs", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    // The ids of the vendor's own log.
    let odd = "8.8.0_schema-delete-template_x[Template]";
    hand.document("docs", odd, json!({"a": {"b": 1}, "n": 1.50}))
        .await;
    hand.document("docs", "2", json!({"a": {"b": 2}})).await;
    assert_eq!(
        hand.read(Read::Count {
            index: "docs".into(),
            query: None
        })
        .await,
        2
    );

    let id = DocumentId::new(odd).unwrap();
    let replace = |subset: Value, document: Value| Change::ReplaceDocument {
        index: index("docs"),
        id: id.clone(),
        while_it_contains: json_text(&subset),
        document: json_text(&document),
    };
    // Not what the plan expects: refused, and nothing changed.
    let change = replace(json!({"a": {"b": 7}}), json!({"x": 1}));
    let attempt = hand.attempt(&change).await;
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "document-changed"),
        "{acted:?}"
    );

    let change = replace(json!({"a": {"b": 1}}), json!({"x": 1}));
    let stale = hand.attempt(&change).await;
    let done = hand.pass(&change).await;
    // The same request again: it names the sequence number that it found.
    let acted = cluster.act(&change, &stale).await;
    assert!(matches!(acted, Acted::Unanswered(_)), "{acted:?}");
    hand.undo(&change, &done).await;
    let read = Read::Document {
        index: "docs".into(),
        id: odd.into(),
    };
    let source = hand.read(read.clone()).await["source"].clone();
    assert_eq!(source, r#"{"a":{"b":1},"n":1.5}"#);
    // Somebody wrote in between: refused by the sequence number.
    let change = replace(json!({"a": {"b": 1}}), json!({"x": 2}));
    let stale = hand.attempt(&change).await;
    hand.pass(&replace(
        json!({"a": {"b": 1}}),
        json!({"a": {"b": 1}, "more": true}),
    ))
    .await;
    let acted = cluster.act(&change, &stale).await;
    assert!(
        matches!(acted, Acted::Refused { status: 409, .. }),
        "{acted:?}"
    );
    let probed = cluster.probe(&change, &stale).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");

    // No document may make its index.
    let lost = Change::CreateDocument {
        index: index("docs-never-made"),
        id: DocumentId::new("1").unwrap(),
        document: json_text(&json!({})),
    };
    let attempt = hand.attempt(&lost).await;
    let acted = cluster.act(&lost, &attempt).await;
    assert!(matches!(acted, Acted::Refused { .. }), "{acted:?}");
    assert_eq!(hand.uuid("docs-never-made").await, None);

    let found = hand
        .read(Read::Search {
            what: Search {
                indices: vec!["docs".into()],
                query: json_text(&json!({"match_all": {}})),
                sort: None,
                size: 10,
                after: None,
            },
        })
        .await;
    assert_eq!(found.as_array().unwrap().len(), 2);
    let error = cluster
        .read(&Read::Document {
            index: "docs".into(),
            id: "9".into(),
        })
        .await;
    assert!(matches!(error, Err(ReadError::NotFound(_))), "{error:?}");
}

pub(crate) async fn undoes_a_created_document(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("undoc", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    hand.document("undoc", "keep", json!({})).await;
    let change = Change::CreateDocument {
        index: index("undoc"),
        id: DocumentId::new("go").unwrap(),
        document: json_text(&json!({"x": 1})),
    };
    let done = hand.pass(&change).await;
    hand.undo(&change, &done).await;
    assert_eq!(
        hand.read(Read::Count {
            index: "undoc".into(),
            query: None
        })
        .await,
        1
    );
}

pub(crate) async fn deletes_a_document_only_as_it_is_meant(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("deldoc", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let delete = |id: &str, expected: Value| Change::DeleteDocument {
        index: index("deldoc"),
        id: DocumentId::new(id).unwrap(),
        while_it_contains: json_text(&expected),
    };
    let source = |id: &'static str| Read::Document {
        index: "deldoc".into(),
        id: id.into(),
    };
    hand.pass(&Change::CreateDocument {
        index: index("deldoc"),
        id: DocumentId::new("a").unwrap(),
        document: Json::new(r#"{"v":1,"n":1.50}"#).unwrap(),
    })
    .await;
    let attempt = hand.attempt(&delete("a", json!({"v": 2}))).await;
    let acted = cluster.act(&delete("a", json!({"v": 2})), &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "document-changed"),
        "{acted:?}"
    );

    // Deleted and put back, to the byte that the server keeps.
    let before = hand.read(source("a")).await["source"].clone();
    let change = delete("a", json!({"v": 1}));
    let done = hand.pass(&change).await;
    let gone = cluster.read(&source("a")).await;
    assert!(matches!(gone, Err(ReadError::NotFound(_))), "{gone:?}");
    hand.undo(&change, &done).await;
    assert_eq!(hand.read(source("a")).await["source"], before);

    // Somebody writes it between the look and the send: neither as it was nor gone, and nothing is deleted.
    let attempt = hand.attempt(&change).await;
    hand.pass(&Change::ReplaceDocument {
        index: index("deldoc"),
        id: DocumentId::new("a").unwrap(),
        while_it_contains: json_text(&json!({})),
        document: json_text(&json!({"v": 1, "theirs": true})),
    })
    .await;
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(acted, Acted::Refused { later: false, .. }),
        "{acted:?}"
    );
    let probed = cluster.probe(&change, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");

    // Gone already: the repeat of what landed is no second effect.
    let first = hand.attempt(&change).await;
    hand.pass(&change).await;
    let acted = cluster.act(&change, &first).await;
    assert!(matches!(acted, Acted::Unanswered(_)), "{acted:?}");
    let probed = cluster.probe(&change, &first).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
}

pub(crate) async fn sends_a_raw_request_once_and_only_where_it_is_not_true_yet(cluster: &Cluster) {
    let path = "/_ingest/pipeline/raw-p";
    let raw = |method: Method, body: Option<Value>, subset: Value, negated: bool| {
        Change::RawChange(
            RawRequest::new(
                method,
                RequestPath::new(path).unwrap(),
                vec![("master_timeout".into(), "30s".into())],
                body.as_ref().map(json_text),
                vec![AliasName::new("raw-p").unwrap()],
                DoneWhen {
                    predicate: Predicate::AnswerContains {
                        path: path.into(),
                        query: vec![],
                        subset: json_text(&subset),
                    },
                    negated,
                },
            )
            .unwrap(),
        )
    };
    let body = |text: &str| json!({"description": text, "processors": []});
    let shown = |text: &str| json!({"raw-p": {"description": text}});
    let put = |text: &str| raw(Method::Put, Some(body(text)), shown(text), false);
    let mut hand = Hand::new(cluster);

    // Not there: it may be sent. Without an answer and after its time nobody knows, and nobody repeats it.
    let mut attempt = hand.attempt(&put("one")).await;
    assert_eq!(attempt.facts.get("index/raw-p/uuid"), Some(&Value::Null));
    let probed = cluster.probe(&put("one"), &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
    assert!(!put("one").class().may_repeat());
    // Right after its intent it can still land.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    attempt.intent_at_ms = i64::try_from(now.as_millis()).unwrap();
    let probed = cluster.probe(&put("one"), &attempt).await.unwrap();
    assert!(matches!(probed, Probed::InProgress(_)), "{probed:?}");
    assert_eq!(cluster.automatic_undo(&put("one"), &attempt), None);

    let acted = cluster.act(&put("one"), &attempt).await;
    assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    let probed = cluster.probe(&put("one"), &attempt).await.unwrap();
    assert!(
        matches!(probed, Probed::Applied { ours: false, .. }),
        "{probed:?}"
    );
    let again = cluster.observe(&put("one"), &attempt).await.unwrap();
    assert!(again.already_true, "{:?}", again.evidence);

    // Another content: the post-condition is false, whatever is there under the name.
    let other = hand.attempt(&put("two")).await;
    let probed = cluster.probe(&put("two"), &other).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");

    // What the server refuses changed nothing.
    let bad = raw(
        Method::Put,
        Some(json!({"description": "bad"})),
        shown("bad"),
        false,
    );
    let attempt = hand.attempt(&bad).await;
    let acted = cluster.act(&bad, &attempt).await;
    assert!(
        matches!(acted, Acted::Refused { status: 400, .. }),
        "{acted:?}"
    );

    // Gone is what a negated post-condition reads.
    let delete = raw(Method::Delete, None, json!({}), true);
    let attempt = hand.attempt(&delete).await;
    let acted = cluster.act(&delete, &attempt).await;
    assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
    let probed = cluster.probe(&delete, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
    let again = cluster.observe(&delete, &attempt).await.unwrap();
    assert!(again.already_true, "{:?}", again.evidence);
}

pub(crate) async fn puts_templates_back(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    let inner = |shards: u32| {
        json!({
            "settings": {"number_of_shards": shards, "index": {"refresh_interval": "5s"}},
            "mappings": {"properties": {"o": {"type": "object", "properties": {"k": {"type": "keyword", "index": false}}}}},
            "aliases": {"tp-alias": {}},
        })
    };
    for kind in [
        TemplateKind::Legacy,
        TemplateKind::Composable,
        TemplateKind::Component,
    ] {
        let body = |shards: u32| match kind {
            TemplateKind::Legacy => {
                let mut body = inner(shards);
                body["index_patterns"] = json!(["tp-legacy-*"]);
                body
            }
            TemplateKind::Composable => {
                json!({"index_patterns": ["tp-new-*"], "priority": 7, "template": inner(shards)})
            }
            TemplateKind::Component => json!({"template": inner(shards)}),
        };
        let name = TemplateName::new("tp").unwrap();
        let put = |shards| Change::PutTemplate {
            kind,
            name: name.clone(),
            body: json_text(&body(shards)),
        };
        let first = hand.pass(&put(1)).await;
        let second = hand.pass(&put(2)).await;
        let listed = hand
            .read(Read::Templates {
                kind,
                pattern: "tp*".into(),
            })
            .await;
        assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
        hand.undo(&put(2), &second).await;
        let delete = Change::DeleteTemplate {
            kind,
            name: name.clone(),
        };
        let deleted = hand.pass(&delete).await;
        let none = hand
            .read(Read::Templates {
                kind,
                pattern: "tp".into(),
            })
            .await;
        assert_eq!(none, json!([]), "{kind:?}");
        let exists = Predicate::TemplateExists {
            kind,
            name: "tp".into(),
        };
        assert!(!cluster.evaluate(&exists, None).await.unwrap().holds);
        hand.undo(&delete, &deleted).await;
        assert!(cluster.evaluate(&exists, None).await.unwrap().holds);
        hand.undo(&put(1), &first).await;
    }
}

pub(crate) async fn swaps_aliases_in_one_call(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    let alias = AliasName::new("al-Current").unwrap();
    hand.make(
        "al-v2",
        json!({"settings": {NO_REPLICA: 0}, "aliases": {alias.as_str(): {"is_write_index": true}}}),
    )
    .await;
    hand.make("al-v3", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let swap = Change::UpdateAliases {
        actions: vec![
            AliasAction::Remove {
                index: index("al-v2"),
                alias: alias.clone(),
            },
            AliasAction::Add {
                index: index("al-v2"),
                alias: alias.clone(),
                write: Some(false),
                more: None,
            },
            AliasAction::Add {
                index: index("al-v3"),
                alias: alias.clone(),
                write: Some(true),
                more: None,
            },
        ],
    };
    let done = hand.pass(&swap).await;
    let listed = hand
        .read(Read::Aliases {
            pattern: alias.to_string(),
        })
        .await;
    let writes: Vec<(&str, &Value)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["index"].as_str().unwrap(), &row["write"]))
        .collect();
    assert_eq!(writes, [("al-v2", &json!(false)), ("al-v3", &json!(true))]);
    hand.undo(&swap, &done).await;
    let listed = hand
        .read(Read::Aliases {
            pattern: alias.to_string(),
        })
        .await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    // Half of what was asked, by another: neither before nor after.
    let attempt = hand.attempt(&swap).await;
    let half = Change::UpdateAliases {
        actions: vec![AliasAction::Add {
            index: index("al-v3"),
            alias: alias.clone(),
            write: Some(false),
            more: None,
        }],
    };
    hand.pass(&half).await;
    let probed = cluster.probe(&swap, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Indeterminate(_)), "{probed:?}");
    // The facts of a later step are what the earlier one left.
    let facts: Facts = cluster.facts(&swap).await.unwrap();
    assert!(
        facts["index/al-v3/aliases"]["al-Current"].is_object(),
        "{facts:?}"
    );
}

pub(crate) async fn changes_settings_and_mappings(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("set", json!({"settings": {NO_REPLICA: 0, "index.refresh_interval": "7s"}, "mappings": {"properties": {"a": {"type": "keyword"}}}})).await;
    let change = Change::PutSettings {
        index: index("set"),
        settings: json_text(
            &json!({"index.refresh_interval": "9s", "index.max_result_window": 20000, "blocks.write": true}),
        ),
    };
    let done = hand.pass(&change).await;
    let listed = hand
        .read(Read::Indices {
            pattern: "set".into(),
        })
        .await;
    assert_eq!(listed[0]["blocks"], json!(["write"]));
    hand.undo(&change, &done).await;
    let settings = hand
        .read(Read::IndexSettings {
            index: "set".into(),
        })
        .await;
    assert_eq!(settings["index.refresh_interval"], "7s");
    assert_eq!(settings.get("index.max_result_window"), None);

    let change = Change::PutMapping {
        index: index("set"),
        mapping: json_text(
            &json!({"properties": {"b": {"type": "object", "properties": {"c": {"type": "long"}}}}}),
        ),
    };
    hand.pass(&change).await;
    let mapping = hand
        .read(Read::Mappings {
            index: "set".into(),
        })
        .await;
    assert_eq!(mapping["properties"]["a"]["type"], "keyword");
    assert_eq!(
        mapping["properties"]["b"]["properties"]["c"]["type"],
        "long"
    );
    // A type that cannot change: the server's no, and nothing happened.
    let wrong = Change::PutMapping {
        index: index("set"),
        mapping: json_text(&json!({"properties": {"a": {"type": "long"}}})),
    };
    let attempt = hand.attempt(&wrong).await;
    let acted = cluster.act(&wrong, &attempt).await;
    assert!(
        matches!(acted, Acted::Refused { status: 400, .. }),
        "{acted:?}"
    );
    assert!(matches!(
        cluster.probe(&wrong, &attempt).await.unwrap(),
        Probed::Absent(_)
    ));
}

pub(crate) async fn borrows_a_cluster_setting(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    let key = "cluster.routing.allocation.enable";
    let change = Change::SetClusterSetting {
        key: key.into(),
        value: Some("primaries".into()),
    };
    let attempt = hand.attempt(&change).await;
    let observed = cluster.observe(&change, &attempt).await.unwrap();
    let borrowed = observed.borrowed.unwrap();
    assert_eq!(
        (borrowed.old, borrowed.ours),
        (Value::Null, json!("primaries"))
    );
    let done = hand.pass(&change).await;
    assert_eq!(
        cluster.borrowed_now(&borrowed.key).await.unwrap(),
        "primaries"
    );
    let settings = hand
        .read(Read::ClusterSettings {
            scope: SettingScope::Persistent,
        })
        .await;
    assert_eq!(settings[key], "primaries");
    hand.undo(&change, &done).await;
    assert_eq!(
        cluster.borrowed_now(&borrowed.key).await.unwrap(),
        Value::Null
    );
    let wrong = Change::SetClusterSetting {
        key: "no.such.setting".into(),
        value: Some("1".into()),
    };
    let attempt = hand.attempt(&wrong).await;
    let acted = cluster.act(&wrong, &attempt).await;
    assert!(
        matches!(acted, Acted::Refused { status: 400, .. }),
        "{acted:?}"
    );
}

/// One that changes and one that goes, at once; both come back, and nothing is a loan.
pub(crate) async fn puts_cluster_settings_for_good(cluster: &Cluster) {
    let [enable, recoveries] = [
        "cluster.routing.allocation.enable",
        "cluster.routing.allocation.node_concurrent_recoveries",
    ];
    let put = |scope, settings: Value| Change::PutClusterSettings {
        scope,
        settings: json_text(&settings),
    };
    for scope in [SettingScope::Persistent, SettingScope::Transient] {
        let mut hand = Hand::new(cluster);
        let first = put(scope, json!({enable: "primaries", recoveries: 3}));
        let done = hand.pass(&first).await;
        let second = put(scope, json!({enable: "all", recoveries: null}));
        let attempt = hand.attempt(&second).await;
        let observed = cluster.observe(&second, &attempt).await.unwrap();
        assert!(observed.borrowed.is_none() && !observed.already_true);
        let again = hand.pass(&second).await;
        let settings = hand.read(Read::ClusterSettings { scope }).await;
        assert_eq!(
            (&settings[enable], &settings[recoveries]),
            (&json!("all"), &Value::Null)
        );
        hand.undo(&second, &again).await;
        let settings = hand.read(Read::ClusterSettings { scope }).await;
        assert_eq!(
            (&settings[enable], &settings[recoveries]),
            (&json!("primaries"), &json!("3"))
        );
        hand.undo(&first, &done).await;
        let settings = hand.read(Read::ClusterSettings { scope }).await;
        assert!(settings.get(enable).is_none() && settings.get(recoveries).is_none());
    }
    let mut hand = Hand::new(cluster);
    let wrong = put(SettingScope::Persistent, json!({"no.such.setting": "1"}));
    let attempt = hand.attempt(&wrong).await;
    let acted = cluster.act(&wrong, &attempt).await;
    assert!(
        matches!(acted, Acted::Refused { status: 400, .. }),
        "{acted:?}"
    );
    let probed = cluster.probe(&wrong, &attempt).await.unwrap();
    assert!(matches!(probed, Probed::Absent(_)), "{probed:?}");
}

/// Beside what the operator has set in the other place and in this one.
pub(crate) async fn borrows_a_transient_setting(cluster: &Cluster) {
    const KEY: &str = "cluster.routing.allocation.enable";
    let set = |value: Option<&str>| Change::SetTransientSetting {
        key: KEY.into(),
        value: value.map(str::to_owned),
    };
    let mut hand = Hand::new(cluster);
    let persistent = |value: Option<&str>| Change::SetClusterSetting {
        key: KEY.into(),
        value: value.map(str::to_owned),
    };
    hand.pass(&persistent(Some("all"))).await;
    for operators in [None, Some("new_primaries")] {
        if operators.is_some() {
            hand.pass(&set(operators)).await;
        }
        let change = set(Some("primaries"));
        let attempt = hand.attempt(&change).await;
        let observed = cluster.observe(&change, &attempt).await.unwrap();
        let borrowed = observed.borrowed.unwrap();
        let old = operators.map_or(Value::Null, Value::from);
        assert_eq!((&borrowed.old, &borrowed.ours), (&old, &json!("primaries")));
        let done = hand.pass(&change).await;
        assert_eq!(
            cluster.borrowed_now(&borrowed.key).await.unwrap(),
            "primaries"
        );
        // It hides what the other place would say.
        let hidden = persistent(Some("none"));
        let attempt = hand.attempt(&hidden).await;
        let acted = cluster.act(&hidden, &attempt).await;
        assert!(
            matches!(&acted, Acted::Refused { kind, .. } if kind == "transient-setting"),
            "{acted:?}"
        );
        hand.undo(&change, &done).await;
        assert_eq!(cluster.borrowed_now(&borrowed.key).await.unwrap(), old);
        let kept = hand
            .read(Read::ClusterSettings {
                scope: SettingScope::Persistent,
            })
            .await;
        assert_eq!(kept[KEY], "all");
    }
    hand.pass(&set(None)).await;
    hand.pass(&persistent(None)).await;
}

pub(crate) async fn flushes_what_the_patterns_mean(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    for name in ["flu-&a%b", "flu-c", "flu-not", "other-flu"] {
        let body =
            json!({"settings": {NO_REPLICA: 0}, "aliases": {format!("flu-of-{}", name.len()): {}}});
        hand.make(name, body).await;
        hand.document(name, "1", json!({"x": 1})).await;
    }
    let flush = |indices: &[&str], except: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Change::Flush {
            indices: owned(indices),
            except: owned(except),
        }
    };
    let change = flush(&["flu-*"], &["flu-not"]);
    let done = hand.pass(&change).await;
    let written: Vec<&String> = done.kept.as_object().unwrap().keys().collect();
    assert_eq!(written, ["flu-&a%b", "flu-c"]);
    assert_eq!(cluster.automatic_undo(&change, &done), Some(vec![]));
    // Neither what is excepted nor what bears an alias that matches.
    for other in ["flu-not", "other-flu"] {
        hand.attempt(&flush(&[other], &[])).await;
    }
    // What is written meanwhile is none of what was to be flushed.
    hand.document("flu-c", "2", json!({"x": 2})).await;
    let probed = cluster.probe(&change, &done).await.unwrap();
    assert!(matches!(probed, Probed::Applied { .. }), "{probed:?}");
    // An index that is gone has nothing left to write.
    let observed = cluster
        .observe(&flush(&["flu-none*"], &[]), &done)
        .await
        .unwrap();
    assert!(observed.already_true, "{:?}", observed.evidence);
}

pub(crate) async fn one_of_several_gets_the_claim(cluster: &Cluster) {
    let claim = |epoch: u64, nonce: &str| Claim {
        epoch,
        run: "r1".into(),
        host: "h".into(),
        pid: 7,
        pid_start: 8,
        boot_id: "b".into(),
        nonce: nonce.into(),
        state_dir: "/s".into(),
        since: "2026-01-01T00:00:00Z".into(),
    };
    assert_eq!(cluster.claims().await.unwrap(), []);
    let (a, b) = (claim(1, "a"), claim(1, "b"));
    let (got_a, got_b) = tokio::join!(cluster.make_claim(&a), cluster.make_claim(&b));
    let (got_a, got_b) = (got_a.unwrap(), got_b.unwrap());
    assert!(got_a ^ got_b, "{got_a} {got_b}");
    let (mine, other) = if got_a { (&a, &b) } else { (&b, &a) };
    // A repeat of the one that got it is a success, of the other one not.
    assert!(cluster.make_claim(mine).await.unwrap());
    assert!(!cluster.make_claim(other).await.unwrap());
    assert!(cluster.make_claim(&claim(2, "c")).await.unwrap());
    assert_eq!(
        cluster.claims().await.unwrap(),
        [mine.clone(), claim(2, "c")]
    );
    cluster.remove_claim(1).await.unwrap();
    cluster.remove_claim(2).await.unwrap();
    cluster.remove_claim(2).await.unwrap();
    assert_eq!(cluster.claims().await.unwrap(), []);
}

pub(crate) async fn copies_documents_and_compares_ids(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make(
        "cp-v2",
        json!({"settings": {NO_REPLICA: 0, "index.refresh_interval": "-1"}}),
    )
    .await;
    for n in 0..5 {
        hand.document("cp-v2", &format!("id {n}/%"), json!({"n": n, "old": true}))
            .await;
    }
    let reindex = |destination: &str| Change::Reindex {
        source: index("cp-v2"),
        destination: index(destination),
        query: Some(json_text(&json!({"range": {"n": {"gte": 1}}}))),
        script: Some(Script {
            lang: "painless".into(),
            source: "ctx._source.remove('old')".into(),
            params: None,
        }),
        slices: None,
        requests_per_second: None,
    };
    // A destination that this run did not make is refused.
    Hand::new(cluster)
        .make("cp-foreign", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let change = reindex("cp-foreign");
    let attempt = hand.attempt(&change).await;
    let acted = cluster.act(&change, &attempt).await;
    assert!(
        matches!(&acted, Acted::Refused { kind, .. } if kind == "not-made-here"),
        "{acted:?}"
    );

    hand.make("cp-v3", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let change = reindex("cp-v3");
    let done = hand.pass(&change).await;
    assert_eq!(
        hand.read(Read::Count {
            index: "cp-v3".into(),
            query: None
        })
        .await,
        4
    );
    let copied = hand
        .read(Read::Document {
            index: "cp-v3".into(),
            id: "id 1/%".into(),
        })
        .await;
    assert_eq!(copied["source"], r#"{"n":1}"#);
    let is_gone = hand.uuid(".tasks").await.is_none();
    assert!(
        is_gone || hand.kept_from_us > 0,
        "what the task left is gone"
    );

    // One id missing with an equal count is no success.
    hand.document("cp-v3", "foreign", json!({})).await;
    let delete = Change::DeleteByQuery {
        index: index("cp-v3"),
        query: json_text(&json!({"ids": {"values": ["id 2/%"]}})),
    };
    hand.pass(&delete).await;
    let probed = cluster.probe(&change, &done).await.unwrap();
    assert!(
        matches!(&probed, Probed::Partial(seen) if seen["missing"] == 1),
        "{probed:?}"
    );

    let sum = |name: &str| Read::Checksum { index: name.into() };
    let (a, b) = (hand.read(sum("cp-v2")).await, hand.read(sum("cp-v3")).await);
    assert_eq!((&a["docs"], &b["docs"]), (&json!(5), &json!(4)));
    assert_ne!(a["ids"], b["ids"]);
    assert_eq!(hand.read(sum("cp-v2")).await, a);
}

/// Needs a server whose tasks take a while: a real one that is throttled, or a simulated one that is slow.
pub(crate) async fn shows_what_a_task_moves(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("moved-a", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    for n in 0..20 {
        hand.document("moved-a", &n.to_string(), json!({"n": n}))
            .await;
    }
    for (to, script) in [
        ("moved-b", None),
        ("moved-c", Some("ctx._source.x = ' to [z]'")),
    ] {
        hand.make(to, json!({"settings": {NO_REPLICA: 0}})).await;
        let change = Change::Reindex {
            source: index("moved-a"),
            destination: index(to),
            query: None,
            script: script.map(|source| Script {
                lang: "painless".into(),
                source: source.into(),
                params: None,
            }),
            slices: Some(1),
            // Twenty documents: the server waits for twenty seconds before it looks for more.
            requests_per_second: Some(1),
        };
        let attempt = hand.attempt(&change).await;
        let acted = cluster.act(&change, &attempt).await;
        assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
        let actions = vec!["indices:data/write/reindex".into()];
        let tasks = hand.read(Read::Tasks { actions }).await;
        let tasks = tasks.as_array().unwrap();
        let task = tasks.iter().find(|task| task["to"] == json!(to));
        assert_eq!(task.unwrap()["from"], json!(["moved-a"]), "{tasks:?}");
        let task = task.unwrap()["id"].as_str().unwrap().to_owned();
        hand.pass(&Change::CancelTask { id: task }).await;
    }
}

pub(crate) async fn changes_documents_by_query(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("bq", json!({"settings": {NO_REPLICA: 0}, "mappings": {"properties": {"s": {"type": "keyword"}}}})).await;
    for n in 0..3 {
        hand.document("bq", &n.to_string(), json!({"s": "old"}))
            .await;
    }
    let update = Change::UpdateByQuery {
        index: index("bq"),
        query: json_text(&json!({"term": {"s": "old"}})),
        script: Script {
            lang: "painless".into(),
            source: "ctx._source.s = params.to".into(),
            params: Some(json_text(&json!({"to": "new"}))),
        },
    };
    hand.pass(&update).await;
    let query = Some(json_text(&json!({"term": {"s": "new"}})));
    assert_eq!(
        hand.read(Read::Count {
            index: "bq".into(),
            query
        })
        .await,
        3
    );
    // A script that fails: the answer's task says so.
    let broken = Change::UpdateByQuery {
        index: index("bq"),
        query: json_text(&json!({"term": {"s": "new"}})),
        script: Script {
            lang: "painless".into(),
            source: "ctx._source.missing.more = 1".into(),
            params: None,
        },
    };
    let mut attempt = hand.attempt(&broken).await;
    let Acted::Answered(answer) = cluster.act(&broken, &attempt).await else {
        panic!("not answered")
    };
    attempt.answer = Some(answer);
    let begun = Instant::now();
    loop {
        match cluster.probe(&broken, &attempt).await.unwrap() {
            Probed::Partial(seen) => {
                assert!(seen["task"].is_string(), "{seen}");
                break;
            }
            Probed::InProgress(_) => assert!(begun.elapsed() < PATIENCE),
            other => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hand.clean_up(&broken, &attempt).await;
}

pub(crate) async fn tells_whether_anything_is_written(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("quiet-a", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let quiet = Predicate::Quiet {
        indices: vec!["quiet-*".into()],
    };
    let first = cluster.evaluate(&quiet, None).await.unwrap();
    assert!(!first.holds);
    let second = cluster.evaluate(&quiet, Some(&first.seen)).await.unwrap();
    assert!(second.holds, "{second:?}");
    hand.document("quiet-a", "1", json!({})).await;
    let third = cluster.evaluate(&quiet, Some(&second.seen)).await.unwrap();
    assert!(!third.holds && third.why.contains("quiet-a"), "{third:?}");

    let holds =
        async |predicate: Predicate| cluster.evaluate(&predicate, None).await.unwrap().holds;
    assert!(
        holds(Predicate::IndexExists {
            name: "quiet-a".into()
        })
        .await
    );
    assert!(
        !holds(Predicate::IndexExists {
            name: "quiet-b".into()
        })
        .await
    );
    assert!(
        holds(Predicate::CountIs {
            index: "quiet-a".into(),
            query: None,
            count: 1
        })
        .await
    );
    assert!(
        !holds(Predicate::CountIs {
            index: "quiet-a".into(),
            query: None,
            count: 2
        })
        .await
    );
    let contains = |subset: Value| Predicate::DocumentContains {
        index: "quiet-a".into(),
        id: "1".into(),
        subset: json_text(&subset),
    };
    assert!(holds(contains(json!({}))).await);
    assert!(!holds(contains(json!({"a": 1}))).await);
    assert!(
        holds(Predicate::NoTask {
            actions: vec!["*reindex".into()]
        })
        .await
    );
    assert!(
        holds(Predicate::Healthy {
            at_least: "yellow".into()
        })
        .await
    );
}

pub(crate) async fn lists_what_is_there_and_no_more(cluster: &Cluster) {
    let mut hand = Hand::new(cluster);
    hand.make("ls-a", json!({"settings": {NO_REPLICA: 0}, "aliases": {"ls-alias": {}}, "mappings": {"properties": {"n": {"type": "nested"}}}})).await;
    hand.make(
        "ls-b",
        json!({"settings": {NO_REPLICA: 0, "index.hidden": true}}),
    )
    .await;
    hand.document("ls-a", "1", json!({"n": [{"x": 1}, {"x": 2}]}))
        .await;
    hand.read(Read::Count {
        index: "ls-a".into(),
        query: None,
    })
    .await;
    let listed = hand
        .read(Read::Indices {
            pattern: "ls-*".into(),
        })
        .await;
    let names: Vec<(&str, bool, u64)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["name"].as_str().unwrap(),
                row["hidden"].as_bool().unwrap(),
                row["docs"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("ls-a", false, 1), ("ls-b", true, 0)]);
    // All that is set on an alias is named, whatever the server calls it; what is off is not.
    hand.make(
        "more-a",
        json!({"settings": {NO_REPLICA: 0}, "aliases": {
            "more-all": {"filter": {"term": {"x": 1}}, "routing": "r", "is_write_index": true, "is_hidden": true},
            "more-none": {"is_hidden": false},
        }}),
    )
    .await;
    for (alias, more) in [
        (
            "more-all",
            json!(["filter", "index_routing", "is_hidden", "search_routing"]),
        ),
        ("more-none", json!([])),
    ] {
        let pattern = alias.into();
        let found = hand.read(Read::Aliases { pattern }).await;
        assert_eq!(found[0]["more"], more, "{found}");
    }
    // An alias is no index, and a name that nothing has is an empty list.
    assert_eq!(
        hand.read(Read::Indices {
            pattern: "ls-alias".into()
        })
        .await,
        json!([])
    );
    assert_eq!(
        hand.read(Read::Indices {
            pattern: "ls-none".into()
        })
        .await,
        json!([])
    );
    assert_eq!(
        hand.read(Read::Aliases {
            pattern: "ls-none".into()
        })
        .await,
        json!([])
    );
    let shards = hand
        .read(Read::Shards {
            pattern: "ls-*".into(),
        })
        .await;
    assert_eq!(shards.as_array().unwrap().len(), 2, "{shards}");
    assert_eq!(shards[0]["state"], "STARTED");
    let activity = hand
        .read(Read::Activity {
            indices: vec!["ls-*".into()],
        })
        .await;
    assert_eq!(activity[0]["max_seq_no"], 0, "{activity}");
    let missing = cluster
        .read(&Read::Mappings {
            index: "ls-none".into(),
        })
        .await;
    assert!(
        matches!(missing, Err(ReadError::NotFound(_))),
        "{missing:?}"
    );

    let raw = |path: &str, body: Option<Value>| Read::RawRead {
        path: path.into(),
        query: vec![("format".into(), "json".into())],
        body: body.map(|body| json_text(&body)),
    };
    let answer = hand.read(raw("/_cat/indices/ls-a", None)).await;
    assert_eq!(answer["status"], 200);
    assert!(answer["body"].as_str().unwrap().contains("ls-a"));
    let refused = cluster
        .read(&raw("/ls-a/_update_by_query", Some(json!({}))))
        .await;
    assert!(matches!(refused, Err(ReadError::Invalid(_))), "{refused:?}");
    let deprecations = cluster.read(&Read::Deprecations).await;
    assert!(
        matches!(
            deprecations,
            Err(ReadError::Absent(_)) | Ok(Value::Array(_))
        ),
        "{deprecations:?}"
    );
    let tasks = hand.read(Read::Tasks { actions: vec![] }).await;
    assert!(!tasks.as_array().unwrap().is_empty());
}

/// All of it, one after the other, on an empty cluster.
pub(crate) async fn everything(cluster: &Cluster, product: &str) {
    tells_who_it_is(cluster, product).await;
    lists_what_is_there_and_no_more(cluster).await;
    makes_and_deletes_indices(cluster).await;
    an_index_that_another_made_is_none_of_ours(cluster).await;
    a_repeat_of_what_landed_is_seen(cluster).await;
    writes_documents_only_where_they_belong(cluster).await;
    undoes_a_created_document(cluster).await;
    deletes_a_document_only_as_it_is_meant(cluster).await;
    sends_a_raw_request_once_and_only_where_it_is_not_true_yet(cluster).await;
    puts_templates_back(cluster).await;
    swaps_aliases_in_one_call(cluster).await;
    changes_settings_and_mappings(cluster).await;
    borrows_a_cluster_setting(cluster).await;
    borrows_a_transient_setting(cluster).await;
    puts_cluster_settings_for_good(cluster).await;
    flushes_what_the_patterns_mean(cluster).await;
    one_of_several_gets_the_claim(cluster).await;
    copies_documents_and_compares_ids(cluster).await;
    changes_documents_by_query(cluster).await;
    tells_whether_anything_is_written(cluster).await;
}

//! Documents through a plugin: what must hold on any server.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use liftlock_cluster::Cluster;
use liftlock_types::{
    Acted, Attempt, Capability, Change, Json, OnRejected, Probed, Read, ToTransform,
    TransformError, Transformed, Transformer,
};
use serde_json::{Value, json};

use super::{Hand, NO_REPLICA, PATIENCE, index, json_text, open};

/// Adds a member to each document; counts what it is given.
#[derive(Default)]
pub(crate) struct Marks {
    /// The member's value.
    pub(crate) with: &'static str,
    /// Rejects documents that hold this.
    pub(crate) not: Option<&'static str>,
    /// Fails where one of a batch holds this.
    pub(crate) poison: Option<&'static str>,
    pub(crate) given: AtomicUsize,
}

#[async_trait]
impl Transformer for Marks {
    async fn transform(
        &self,
        name: &str,
        batch: &[ToTransform],
    ) -> Result<Vec<Transformed>, TransformError> {
        assert_eq!(name, "mark");
        let holds = |document: &ToTransform, what: Option<&str>| {
            what.is_some_and(|what| document.source.contains(what))
        };
        if batch.iter().any(|document| holds(document, self.poison)) {
            return Err(TransformError::Failed("it trapped".into()));
        }
        self.given.fetch_add(batch.len(), Ordering::Relaxed);
        let one = |document: &ToTransform| {
            if holds(document, self.not) {
                return Err(format!("`{}` is not for us", document.id));
            }
            let mut source: Value = serde_json::from_str(&document.source).unwrap();
            source["mark"] = self.with.into();
            Ok(Json::of(&source))
        };
        Ok(batch.iter().map(one).collect())
    }
}

/// A cluster that keeps records in this directory.
pub(crate) fn lent(address: &str, marks: Marks, dir: &Path) -> (Arc<Cluster>, Arc<Marks>) {
    let cluster = Arc::new(open(address));
    let marks = Arc::new(marks);
    cluster.lend(marks.clone(), dir.to_owned());
    (cluster, marks)
}

pub(crate) fn change(from: &str, to: &str, on_rejected: OnRejected) -> Change {
    Change::Transform {
        source: index(from),
        destination: index(to),
        query: Some(json_text(&json!({"range": {"n": {"gte": 1}}}))),
        name: "mark".into(),
        on_rejected,
    }
}

/// Takes all of them.
pub(crate) fn taking() -> Marks {
    Marks {
        with: "a",
        ..Marks::default()
    }
}

/// So many documents, from 0 on, one in four with a routing of its own.
pub(crate) async fn fill(cluster: &Cluster, name: &str, documents: usize) {
    let mut body = String::new();
    for n in 0..documents {
        let mut action = json!({"create": {"_id": format!("id {n}/%")}});
        if n % 4 == 0 {
            action["create"]["routing"] = format!("r{n}").into();
        }
        body.push_str(&format!(
            "{action}\n{}\n",
            json!({"n": n, "text": format!("t{n}.")})
        ));
    }
    let call = liftlock_cluster::Call::post([name, "_bulk"])
        .param("refresh", "true")
        .text(body)
        .token("test");
    let acted = cluster.send(&call).await;
    assert!(
        matches!(&acted, Acted::Answered(answer) if answer["errors"] == json!(false)),
        "{acted:?}"
    );
}

/// Looks until it is over.
pub(crate) async fn until_over(cluster: &Cluster, change: &Change, attempt: &Attempt) -> Probed {
    let begun = Instant::now();
    loop {
        match cluster.probe(change, attempt).await.unwrap() {
            Probed::InProgress(_) => {}
            over => return over,
        }
        assert!(begun.elapsed() < PATIENCE, "{change:?} is not over");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub(crate) async fn begin(cluster: &Cluster, change: &Change, attempt: &Attempt) {
    let acted = cluster.act(change, attempt).await;
    assert!(matches!(acted, Acted::Answered(_)), "{acted:?}");
}

async fn count(hand: &Hand<'_>, name: &str) -> Value {
    hand.read(Read::Count {
        index: name.into(),
        query: None,
    })
    .await
}

pub(crate) async fn everything(address: &str) {
    changes_documents_and_compares_them(address).await;
    goes_on_where_it_stopped(address).await;
    keeps_aside_what_is_not_taken_over(address).await;
    finds_out_an_answer_that_is_another_one(address).await;
    refuses_what_it_could_not_prove(address).await;
}

async fn changes_documents_and_compares_them(address: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, marks) = lent(address, taking(), dir.path());
    let mut hand = Hand::new(&cluster);
    let shards =
        |shards: u32| json!({"settings": {NO_REPLICA: 0, "index.number_of_shards": shards}});
    hand.make("tf-a", shards(3)).await;
    fill(&cluster, "tf-a", 1_201).await;
    hand.make("tf-b", shards(2)).await;
    let change = change("tf-a", "tf-b", OnRejected::Stop);
    let done = hand.pass(&change).await;
    assert_eq!(marks.given.load(Ordering::Relaxed), 1_200);
    assert_eq!(count(&hand, "tf-b").await, 1_200);
    let found = hand
        .read(Read::Document {
            index: "tf-b".into(),
            id: "id 7/%".into(),
        })
        .await;
    assert_eq!(found["source"], r#"{"n":7,"text":"t7.","mark":"a"}"#);
    // Taken back with its destination, and not by itself.
    assert_eq!(cluster.automatic_undo(&change, &done), Some(Vec::new()));

    // One that is gone is missed when what is recorded as done is read again.
    let delete = Change::DeleteByQuery {
        index: index("tf-b"),
        query: json_text(&json!({"ids": {"values": ["id 7/%"]}})),
    };
    hand.pass(&delete).await;
    let probed = cluster.probe(&change, &done).await.unwrap();
    assert!(
        matches!(&probed, Probed::Partial(seen) if seen["missing"] == 1),
        "{probed:?}"
    );
}

async fn goes_on_where_it_stopped(address: &str) {
    let dir = tempfile::tempdir().unwrap();
    let stops = Marks {
        not: Some("\"t380.\""),
        ..taking()
    };
    let (first, _) = lent(address, stops, dir.path());
    let mut hand = Hand::new(&first);
    hand.make("tf-c", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    fill(&first, "tf-c", 500).await;
    hand.make("tf-d", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let change = change("tf-c", "tf-d", OnRejected::Stop);
    let mut attempt = hand.attempt(&change).await;
    begin(&first, &change, &attempt).await;
    let over = until_over(&first, &change, &attempt).await;
    let Probed::Partial(seen) = over else {
        panic!("{over:?}")
    };
    let why = seen["why"].as_str().unwrap();
    assert!(
        why.contains("id 380/%") && why.contains("is not for us"),
        "{why}"
    );
    let file = dir
        .path()
        .join("r1")
        .join(format!("{}.rejected.ndjson", attempt.step));
    assert!(why.contains(&file.display().to_string()), "{why}");
    let aside = std::fs::read_to_string(&file).unwrap();
    assert!(
        aside.contains("\"source\":{\"n\":380,\"text\":\"t380.\"}"),
        "{aside}"
    );

    // Another process, with a plugin that takes it: nothing is there of the work but its record.
    let (second, marks) = lent(address, taking(), dir.path());
    let probed = second.probe(&change, &attempt).await.unwrap();
    let Probed::Absent(seen) = probed else {
        panic!("{probed:?}")
    };
    let read = seen["read"].as_u64().unwrap();
    assert!(read > 0 && read < 499, "{read}");
    attempt.number = 2;
    attempt.token.replace_range(attempt.token.len() - 1.., "2");
    begin(&second, &change, &attempt).await;
    let over = until_over(&second, &change, &attempt).await;
    assert!(
        matches!(&over, Probed::Applied { ours: true, .. }),
        "{over:?}"
    );
    let given = marks.given.load(Ordering::Relaxed) as u64;
    assert_eq!(given, 499 - read, "not from the start");
    assert_eq!(count(&hand, "tf-d").await, 499);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");

    // Without the record all is asked for again, compared, and written once.
    let other = tempfile::tempdir().unwrap();
    let (third, marks) = lent(address, taking(), other.path());
    begin(&third, &change, &attempt).await;
    let over = until_over(&third, &change, &attempt).await;
    assert!(matches!(&over, Probed::Applied { .. }), "{over:?}");
    assert_eq!(marks.given.load(Ordering::Relaxed), 499);
    assert_eq!(count(&hand, "tf-d").await, 499);
}

async fn keeps_aside_what_is_not_taken_over(address: &str) {
    let dir = tempfile::tempdir().unwrap();
    let marks = Marks {
        not: Some("\"t50.\""),
        poison: Some("\"t70.\""),
        ..taking()
    };
    let (cluster, _) = lent(address, marks, dir.path());
    let mut hand = Hand::new(&cluster);
    hand.make("tf-e", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    fill(&cluster, "tf-e", 100).await;
    // A date of the destination, which only one document has not.
    hand.document(
        "tf-e",
        "odd",
        json!({"n": 1_000, "text": "x", "at": "no date"}),
    )
    .await;
    hand.make(
        "tf-f",
        json!({"settings": {NO_REPLICA: 0}, "mappings": {"properties": {"at": {"type": "date"}}}}),
    )
    .await;
    let change = change("tf-e", "tf-f", OnRejected::GoOn);
    let attempt = hand.attempt(&change).await;
    begin(&cluster, &change, &attempt).await;
    let over = until_over(&cluster, &change, &attempt).await;
    let Probed::Applied { evidence, .. } = over else {
        panic!("{over:?}")
    };
    assert_eq!(
        (&evidence["written"], &evidence["rejected"]),
        (&json!(97), &json!(3))
    );
    let file = dir
        .path()
        .join("r1")
        .join(format!("{}.rejected.ndjson", attempt.step));
    let note = evidence["note"].as_str().unwrap();
    assert!(
        note.starts_with("rejected documents: 3;") && note.ends_with(&file.display().to_string()),
        "{note}"
    );
    let aside = std::fs::read_to_string(&file).unwrap();
    let mut aside: Vec<Value> = aside
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    aside.sort_by_key(|one| one["id"].to_string());
    let told = |at: usize, id: &str, why: &str| {
        let one: &Value = &aside[at];
        assert_eq!(one["id"], id);
        assert!(one["why"].as_str().unwrap().contains(why), "{one}");
    };
    told(0, "id 50/%", "is not for us");
    told(1, "id 70/%", "it trapped");
    told(2, "odd", "status 400");
    assert_eq!(aside.len(), 3);
    assert_eq!(count(&hand, "tf-f").await, 97);
    // As after a crash: the missing ones are those that were kept aside.
    cluster.clean_up(&change, &attempt).await.unwrap();
    let over = until_over(&cluster, &change, &attempt).await;
    assert!(
        matches!(over, Probed::Applied { ours: true, .. }),
        "{over:?}"
    );
}

async fn finds_out_an_answer_that_is_another_one(address: &str) {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (cluster, _) = lent(address, taking(), dirs[0].path());
    let mut hand = Hand::new(&cluster);
    hand.make("tf-g", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    fill(&cluster, "tf-g", 20).await;
    hand.make("tf-h", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let change = change("tf-g", "tf-h", OnRejected::GoOn);
    let attempt = hand.pass(&change).await;
    let other = Marks {
        with: "b",
        ..taking()
    };
    let (again, _) = lent(address, other, dirs[1].path());
    begin(&again, &change, &attempt).await;
    let over = until_over(&again, &change, &attempt).await;
    let Probed::Partial(seen) = &over else {
        panic!("{over:?}")
    };
    let why = seen["why"].as_str().unwrap();
    assert!(why.contains("gives another answer than before"), "{why}");
}

async fn refuses_what_it_could_not_prove(address: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (cluster, marks) = lent(address, taking(), dir.path());
    let mut hand = Hand::new(&cluster);
    hand.make("tf-i", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    fill(&cluster, "tf-i", 3).await;
    Hand::new(&cluster)
        .make("tf-foreign", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    hand.make(
        "tf-lossy",
        json!({"settings": {NO_REPLICA: 0}, "mappings": {"_source": {"excludes": ["text"]}}}),
    )
    .await;
    for (to, why) in [
        ("tf-foreign", "not-made-here"),
        ("tf-lossy", "source-not-kept"),
    ] {
        let change = change("tf-i", to, OnRejected::GoOn);
        let attempt = hand.attempt(&change).await;
        let acted = cluster.act(&change, &attempt).await;
        assert!(
            matches!(&acted, Acted::Refused { kind, .. } if kind == why),
            "{acted:?}"
        );
    }
    assert_eq!(marks.given.load(Ordering::Relaxed), 0);
    // Nobody lent a plugin.
    hand.make("tf-j", json!({"settings": {NO_REPLICA: 0}}))
        .await;
    let change = change("tf-i", "tf-j", OnRejected::GoOn);
    let attempt = hand.attempt(&change).await;
    let acted = open(address).act(&change, &attempt).await;
    assert!(
        matches!(&acted, Acted::NotSent(why) if why.contains("no plugin was lent")),
        "{acted:?}"
    );
}

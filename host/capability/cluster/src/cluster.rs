//! A cluster: which of its nodes may speak for it, and the two ways to ask one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use liftlock_http::Lost;
use liftlock_types::facts::cluster::Identity;
use liftlock_types::{Acted, Binding, ReadError};
use serde_json::Value;

use crate::ClusterError;
use crate::call::Call;
use crate::config::{ClusterConfig, Credentials};
use crate::dialect::{Dialect, identity};
use crate::http::{Answer, Base, Http};

/// How long a node that was found to belong to the cluster and to see its manager is believed to.
///
/// Two seconds: the age up to which the gate takes a reading for fresh.
const VERIFIED_FOR: Duration = Duration::from_secs(2);

/// How long a node may take to say that it sees a manager.
const VERIFY_MS: u64 = 10_000;

/// The server's names for "not now": nothing was changed, and the same request may succeed later.
const LATER: [&str; 4] = [
    "snapshot_in_progress_exception",
    "concurrent_snapshot_execution_exception",
    "es_rejected_execution_exception",
    "circuit_breaking_exception",
];

/// Server errors that come before anything is done.
const DEFINITE: [&str; 1] = ["snapshot_restore_exception"];

/// One search cluster of a site.
pub struct Cluster {
    binding: Binding,
    http: Http,
    known: Mutex<Option<Known>>,
    verified: Vec<Mutex<Option<Instant>>>,
    /// The node that answered last.
    preferred: AtomicUsize,
    pub(crate) comparisons: crate::compare_ids::Comparisons,
    /// The uuid of the index of task records when this process first looked; none: it was not there.
    pub(crate) records: std::sync::OnceLock<Option<String>>,
    pub(crate) transforms: crate::transform::Transforms,
}

#[derive(Debug, Clone)]
struct Known {
    uuid: String,
    dialect: Dialect,
}

impl Cluster {
    /// Makes ready to ask; nothing is asked yet.
    pub fn open(
        binding: Binding,
        config: &ClusterConfig,
        credentials: &Credentials,
    ) -> Result<Self, ClusterError> {
        let http = Http::new(config, credentials)?;
        Ok(Self {
            binding,
            verified: http.nodes.iter().map(|_| Mutex::new(None)).collect(),
            http,
            known: Mutex::new(None),
            preferred: AtomicUsize::new(0),
            comparisons: crate::compare_ids::Comparisons::default(),
            records: std::sync::OnceLock::new(),
            transforms: crate::transform::Transforms::default(),
        })
    }

    /// Its name in the site.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// A read: its answer as JSON, through a node that belongs to the cluster and sees an elected manager.
    pub async fn ask(&self, call: &Call) -> Result<Value, ReadError> {
        let answer = self.answer(call).await?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        answer.json().ok_or_else(|| {
            ReadError::Unavailable(format!("an answer that is no JSON: {}", answer.text()))
        })
    }

    /// A read whose object may be missing: `None` is the server's own "not found".
    pub async fn find(&self, call: &Call) -> Result<Option<Value>, ReadError> {
        match self.ask(call).await {
            Ok(value) => Ok(Some(value)),
            Err(ReadError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A read: its answer as it came, where that is evidence. 401, 403, 429, 5xx and a 404 in another form than
    /// the server's own are none.
    pub(crate) async fn answer(&self, call: &Call) -> Result<Answer, ReadError> {
        let mut why = String::new();
        for at in self.order() {
            let base = &self.http.nodes[at];
            let outcome = match self.verify(at).await {
                Ok(()) => self.http.send(base, call).await,
                Err(text) => Err(Lost::NotSent(text)),
            };
            let was_asked = outcome.is_ok() || matches!(outcome, Err(Lost::Unanswered(_)));
            let text = match outcome {
                // Right after the node was seen to belong to the cluster, an empty object is the server's own.
                Ok(answer) => match no_evidence(&answer)
                    .filter(|_| !(call.empty_is_none && is_empty_404(&answer)))
                {
                    None => {
                        self.preferred.store(at, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Some(text) => format!("{}: {text}", base.shown),
                },
                Err(Lost::TooLarge(most)) => {
                    return Err(ReadError::Invalid(format!(
                        "the answer has more than {most} bytes"
                    )));
                }
                Err(lost) => lost.text(),
            };
            self.forget(at);
            if !why.is_empty() {
                why.push_str("; ");
            }
            why.push_str(&text);
            if call.once && was_asked {
                break;
            }
        }
        Err(ReadError::Unavailable(why))
    }

    /// Sends a change, once, to one node. The call must carry a token.
    pub async fn send(&self, call: &Call) -> Acted {
        let mut why = String::new();
        for at in self.order() {
            match self.verify(at).await {
                Ok(()) => {
                    let sent = self.http.send(&self.http.nodes[at], call).await;
                    if sent.is_err() {
                        self.forget(at);
                    }
                    return acted(sent);
                }
                Err(text) => {
                    if !why.is_empty() {
                        why.push_str("; ");
                    }
                    why.push_str(&text);
                }
            }
        }
        Acted::NotSent(why)
    }

    /// Who the cluster is, read now. Later reads take only nodes of that cluster.
    pub(crate) async fn identify(&self) -> Result<(Identity, String), ReadError> {
        let mut why = String::new();
        for at in self.order() {
            match self.look_at(at).await {
                Ok(found) => {
                    self.learn(&found);
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok((found, self.http.nodes[at].shown.clone()));
                }
                Err(text) => {
                    if !why.is_empty() {
                        why.push_str("; ");
                    }
                    why.push_str(&text);
                }
            }
        }
        Err(ReadError::Unavailable(why))
    }

    /// What `/` of one node says, whatever it belongs to. `None`: it is not reached from here.
    pub(crate) async fn root_of(&self, address: &str) -> Option<Identity> {
        let base = Base::published(&self.http.nodes[0], address)?;
        let call = root();
        let answer = self.http.send(&base, &call).await.ok()?;
        identity(&answer.json()?).ok()
    }

    /// What `/` of each configured node says.
    pub(crate) async fn roots(&self) -> Vec<Result<Identity, String>> {
        let mut roots = Vec::new();
        for at in 0..self.http.nodes.len() {
            roots.push(self.root_at(at).await);
        }
        roots
    }

    /// Product and version.
    pub async fn dialect(&self) -> Result<Dialect, ReadError> {
        if let Some(known) = self.known() {
            return Ok(known.dialect);
        }
        let (found, _) = self.identify().await?;
        Ok(dialect_of(&found))
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().ok().and_then(|known| known.clone())
    }

    fn learn(&self, found: &Identity) {
        if let Ok(mut known) = self.known.lock() {
            *known = Some(Known {
                uuid: found.cluster_uuid.clone(),
                dialect: dialect_of(found),
            });
        }
    }

    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.http.nodes.len();
        let first = self.preferred.load(Ordering::Relaxed) % count;
        (0..count).map(move |n| (first + n) % count)
    }

    fn forget(&self, at: usize) {
        if let Ok(mut verified) = self.verified[at].lock() {
            *verified = None;
        }
    }

    async fn verify(&self, at: usize) -> Result<(), String> {
        let fresh = self.verified[at]
            .lock()
            .ok()
            .and_then(|since| *since)
            .is_some_and(|since| since.elapsed() < VERIFIED_FOR);
        if fresh {
            return Ok(());
        }
        let found = self.look_at(at).await?;
        match self.known() {
            None => self.learn(&found),
            Some(known) if known.uuid == found.cluster_uuid => {}
            Some(known) => {
                return Err(format!(
                    "{} belongs to cluster `{}`, not to `{}`",
                    self.http.nodes[at].shown, found.cluster_uuid, known.uuid
                ));
            }
        }
        Ok(())
    }

    async fn root_at(&self, at: usize) -> Result<Identity, String> {
        let base = &self.http.nodes[at];
        let answer = self
            .http
            .send(base, &root())
            .await
            .map_err(|lost| lost.text())?;
        if let Some(text) = no_evidence(&answer) {
            return Err(format!("{}: {text}", base.shown));
        }
        let value = answer
            .json()
            .ok_or_else(|| format!("{}: what answers is no search cluster", base.shown))?;
        identity(&value).map_err(|text| format!("{}: {text}", base.shown))
    }

    /// `/`, and that the node sees an elected manager: cluster health is answered by the manager alone.
    async fn look_at(&self, at: usize) -> Result<Identity, String> {
        let begun = Instant::now();
        let found = self.root_at(at).await?;
        let base = &self.http.nodes[at];
        let call = Call::get(["_cluster", "health"])
            .param("master_timeout", "5s")
            .deadline_ms(VERIFY_MS);
        let answer = self
            .http
            .send(base, &call)
            .await
            .map_err(|lost| lost.text())?;
        if !answer.is_success() {
            return Err(format!(
                "{} sees no elected manager: {}",
                base.shown,
                answer.text()
            ));
        }
        if let Ok(mut verified) = self.verified[at].lock() {
            *verified = Some(begun);
        }
        Ok(found)
    }
}

fn root() -> Call {
    Call::get(Vec::<String>::new()).deadline_ms(VERIFY_MS)
}

fn dialect_of(found: &Identity) -> Dialect {
    Dialect {
        distribution: found.distribution,
        version: found.version.clone(),
    }
}

/// Why an answer is no evidence, where it is none.
fn no_evidence(answer: &Answer) -> Option<String> {
    // Before its text is looked at: that of a page of documents has megabytes.
    if answer.is_success() {
        return None;
    }
    match (answer.status, answer.refusal()) {
        (status @ (401 | 403 | 408 | 429 | 500..), Some((kind, text))) => {
            Some(format!("status {status}, `{kind}`: {text}"))
        }
        // A status below 500 that the server itself explains is evidence.
        (300..500, Some(_)) => None,
        (status, _) => Some(format!(
            "status {status}, not in the server's own form: {}",
            answer.text()
        )),
    }
}

/// The whole answer is "404" and `{}`.
fn is_empty_404(answer: &Answer) -> bool {
    answer.status == 404
        && answer
            .json()
            .is_some_and(|value| value.as_object().is_some_and(serde_json::Map::is_empty))
}

/// The server's own no, as a read says it.
pub(crate) fn refused(answer: &Answer) -> ReadError {
    let (kind, text) = answer
        .refusal()
        .unwrap_or_else(|| ("error".into(), answer.text()));
    match answer.status {
        404 => ReadError::NotFound(text),
        status => ReadError::Rejected { status, kind, text },
    }
}

/// What an answer to a change means.
fn acted(sent: Result<Answer, Lost>) -> Acted {
    let answer = match sent {
        Ok(answer) => answer,
        Err(Lost::NotSent(text)) => return Acted::NotSent(text),
        Err(lost) => return Acted::Unanswered(lost.text()),
    };
    let status = answer.status;
    if answer.is_success() {
        return match answer.json() {
            // The manager took it in, and not every node said so in time: it can still be undone by none.
            Some(value) if value.get("acknowledged") == Some(&Value::Bool(false)) => {
                Acted::Unanswered("the server did not acknowledge it in time".into())
            }
            Some(value) if value.is_object() => Acted::Answered(value),
            _ => Acted::Unanswered(format!(
                "status {status}, not in the server's own form: {}",
                answer.text()
            )),
        };
    }
    let own = answer.refusal();
    let definite = |kind: &str| match status {
        // What the security layer or a block refused was not done; a gateway says 403 in another form.
        401 | 403 => kind.ends_with("_exception"),
        408 => false,
        // A server error can come after the work, but not this one.
        500.. => LATER.contains(&kind) || DEFINITE.contains(&kind),
        _ => true,
    };
    match own {
        Some((kind, text)) if definite(&kind) => Acted::Refused {
            later: status == 429 || LATER.contains(&kind.as_str()),
            status,
            kind,
            text,
        },
        _ => Acted::Unanswered(format!("status {status}: {}", answer.text())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec(),
        }
    }

    fn error(kind: &str) -> String {
        format!(r#"{{"error":{{"type":"{kind}","reason":"r"}},"status":1}}"#)
    }

    #[test]
    fn a_servers_error_is_no_evidence() {
        for status in [401, 403, 429, 500, 502, 503] {
            assert!(
                no_evidence(&answer(status, &error("security_exception"))).is_some(),
                "{status}"
            );
        }
        assert!(no_evidence(&answer(404, "<html>")).is_some());
        assert!(no_evidence(&answer(302, "")).is_some());
        assert!(no_evidence(&answer(404, &error("index_not_found_exception"))).is_none());
        assert!(no_evidence(&answer(400, &error("illegal_argument_exception"))).is_none());
    }

    #[test]
    fn only_the_servers_own_no_is_a_refusal_of_a_change() {
        let refused = |sent| matches!(acted(Ok(sent)), Acted::Refused { .. });
        assert!(refused(answer(400, &error("illegal_argument_exception"))));
        assert!(refused(answer(404, &error("index_not_found_exception"))));
        assert!(refused(answer(403, &error("security_exception"))));
        for sent in [
            answer(403, "<html>forbidden</html>"),
            answer(404, "{}"),
            answer(503, &error("process_cluster_event_timeout_exception")),
            answer(502, "bad gateway"),
            answer(302, ""),
            answer(200, "<html>welcome</html>"),
            answer(200, r#"{"acknowledged":false}"#),
        ] {
            assert!(
                matches!(acted(Ok(sent.clone())), Acted::Unanswered(_)),
                "{sent:?}"
            );
        }
        assert!(matches!(
            acted(Ok(answer(200, r#"{"acknowledged":true}"#))),
            Acted::Answered(_)
        ));
        assert!(matches!(
            acted(Err(Lost::NotSent("x".into()))),
            Acted::NotSent(_)
        ));
    }

    #[test]
    fn a_server_error_that_comes_before_the_work_is_a_refusal() {
        let sent = answer(500, &error("snapshot_restore_exception"));
        assert!(matches!(
            acted(Ok(sent)),
            Acted::Refused { later: false, .. }
        ));
    }

    #[test]
    fn a_running_snapshot_is_a_wait() {
        for (status, kind) in [
            (400, "snapshot_in_progress_exception"),
            (503, "concurrent_snapshot_execution_exception"),
            (429, "es_rejected_execution_exception"),
        ] {
            assert!(
                matches!(
                    acted(Ok(answer(status, &error(kind)))),
                    Acted::Refused { later: true, .. }
                ),
                "{kind}"
            );
        }
    }
}

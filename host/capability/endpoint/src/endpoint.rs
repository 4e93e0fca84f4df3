//! The capability itself.

use std::sync::Arc;

use async_trait::async_trait;
use liftlock_http::Lost;
use liftlock_types::facts::endpoint::Answer;
use liftlock_types::{
    Acted, Attempt, Binding, Capability, Change, EndpointPath, Evaluated, Facts, Observed, Planned,
    Predicate, Probed, Read, ReadError, TargetIdentity, check_endpoint_query,
};
use serde_json::Value;

use crate::conditions;
use crate::config::{Credentials, EndpointConfig, EndpointError};
use crate::http::{self, Http};

/// One API of the site.
#[derive(Clone)]
pub struct Endpoint {
    binding: Binding,
    http: Arc<Http>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("binding", &self.binding)
            .field("url", &self.http.base())
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Checks what the operator wrote; asks nothing yet.
    pub fn open(
        binding: Binding,
        config: &EndpointConfig,
        credentials: &Credentials,
    ) -> Result<Self, EndpointError> {
        Ok(Self {
            binding,
            http: Arc::new(Http::new(config, credentials)?),
        })
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// GET. Any status is an answer.
    async fn ask(&self, path: &str, query: &[(String, String)]) -> Result<http::Answer, ReadError> {
        let invalid = |error: liftlock_types::NameError| ReadError::Invalid(error.to_string());
        let path = EndpointPath::new(path).map_err(invalid)?;
        check_endpoint_query(query).map_err(invalid)?;
        self.http
            .get(&path, query)
            .await
            .map_err(|lost| match lost {
                Lost::TooLarge(_) => ReadError::Invalid(format!("`{path}`: {}", lost.text())),
                Lost::NotSent(_) | Lost::Unanswered(_) => ReadError::Unavailable(lost.text()),
            })
    }

    pub(crate) async fn look(&self, predicate: &Predicate) -> Result<Evaluated, ReadError> {
        let Predicate::Answers {
            path,
            query,
            status,
            subset,
        } = predicate
        else {
            return Err(ReadError::Invalid("not a condition of an endpoint".into()));
        };
        let answer = self.ask(path, query).await?;
        conditions::judge(path, &answer, *status, subset)
    }
}

#[async_trait]
impl Capability for Endpoint {
    /// Where it is. Who answers there is for the plugin to find out: a product's API has no name for itself that
    /// all of them share.
    async fn identity(&self) -> Result<TargetIdentity, ReadError> {
        Ok(TargetIdentity {
            fingerprint: self.http.base().to_owned(),
            product: format!("endpoint {} at {}", self.binding.name(), self.http.base()),
        })
    }

    async fn read(&self, read: &Read) -> Result<Value, ReadError> {
        let Read::EndpointAnswer { path, query } = read else {
            return Err(ReadError::Invalid(format!(
                "`{}` is no read of an endpoint",
                read.verb()
            )));
        };
        let answer = self.ask(path, query).await?;
        let body = answer.text();
        serde_json::to_value(Answer {
            status: answer.status,
            content_type: answer.content_type,
            body,
        })
        .map_err(|error| ReadError::Invalid(error.to_string()))
    }

    async fn evaluate(
        &self,
        predicate: &Predicate,
        _last: Option<&Value>,
    ) -> Result<Evaluated, ReadError> {
        self.look(predicate).await
    }

    /// None: what it rests on is its own post-condition, which is observed right before the intent.
    async fn facts(&self, change: &Change) -> Result<Facts, ReadError> {
        match change {
            Change::EndpointRequest(_) => Ok(Facts::new()),
            _ => Err(not_ours(change)),
        }
    }

    async fn observe(&self, change: &Change, _attempt: &Attempt) -> Result<Observed, ReadError> {
        match change {
            Change::EndpointRequest(request) => self.observe_request(request).await,
            _ => Err(not_ours(change)),
        }
    }

    async fn act(&self, change: &Change, _attempt: &Attempt) -> Acted {
        match change {
            Change::EndpointRequest(request) => self.send_request(request).await,
            _ => Acted::NotSent(not_ours(change).to_string()),
        }
    }

    async fn probe(&self, change: &Change, attempt: &Attempt) -> Result<Probed, ReadError> {
        match change {
            Change::EndpointRequest(request) => self.probe_request(request, attempt).await,
            _ => Err(not_ours(change)),
        }
    }

    /// A product keeps no token of ours.
    async fn in_flight(&self, _change: &Change, _attempt: &Attempt) -> Result<bool, ReadError> {
        Ok(false)
    }

    async fn clean_up(
        &self,
        _change: &Change,
        _attempt: &Attempt,
    ) -> Result<Vec<String>, ReadError> {
        Ok(Vec::new())
    }

    fn automatic_undo(&self, _change: &Change, _attempt: &Attempt) -> Option<Vec<Planned>> {
        None
    }

    async fn borrowed_now(&self, key: &str) -> Result<Value, ReadError> {
        Err(ReadError::NotFound(format!(
            "`{key}`: nothing of an endpoint is borrowed"
        )))
    }
}

fn not_ours(change: &Change) -> ReadError {
    ReadError::Invalid(format!("`{}` is no change of an endpoint", change.verb()))
}

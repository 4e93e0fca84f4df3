//! One call's state on the host's side: the one path of every read and every proposal.
//!
//! The order is the same for each: count the call, ask the policy, test the bounds, then act, then record. No
//! edge module reaches a [`crate::ReadSource`] or the draft by another way.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use liftlock_types::{
    Binding, Condition, Denied, FileName, Json, JsonError, NameError, PATIENCE_MS_DEFAULT, Planned,
    Predicate, Read, ReadError, Reading, RestsOn,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use wasmtime::component::ResourceTableError;

use crate::bounds;
use crate::call::{Call, Denial, ReadMade};
use crate::draft::Draft;
use crate::fault::ContractBroken;
use crate::limits::{LIST_ITEMS_MAX, Limit, LimitHit, Limits, TEXT_BYTES_MAX};
use crate::log::Log;
use crate::text;

/// What holding one thing costs besides its text.
const HELD_BYTES_EACH: u64 = 64;

/// Denials of one call that are kept; the same refusal a thousand times tells nothing more.
const DENIALS_KEPT_MAX: usize = 1_000;

/// Reads that a call has room for from the start: an honest plan makes some hundred, and a list that grows from
/// nothing is copied at each doubling.
const READS_EXPECTED: usize = 128;

/// Bytes of each text of a denial. It repeats the name that was asked for, and a guest can ask for mebibytes.
const DENIAL_BYTES_MAX: usize = 2 << 10;

/// Why a host function gives no answer.
#[derive(Debug)]
pub(crate) enum HostError {
    /// A case of the contract's `error`: the guest goes on.
    Told(ReadError),
    /// The call ends here.
    Trap(wasmtime::Error),
}

impl From<ReadError> for HostError {
    fn from(error: ReadError) -> Self {
        Self::Told(error)
    }
}

impl From<NameError> for HostError {
    fn from(error: NameError) -> Self {
        Self::Told(ReadError::Invalid(error.to_string()))
    }
}

impl From<JsonError> for HostError {
    fn from(error: JsonError) -> Self {
        Self::Told(ReadError::Invalid(error.to_string()))
    }
}

impl From<LimitHit> for HostError {
    fn from(hit: LimitHit) -> Self {
        Self::Trap(hit.into())
    }
}

impl From<ResourceTableError> for HostError {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<wasmtime::Error> for HostError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// The state of one call.
pub(crate) struct Session {
    /// None: `describe`, which gets no handle at all.
    call: Option<Call>,
    limits: Limits,
    pub(crate) log: Log,
    pub(crate) draft: Option<Draft>,
    reads: Vec<ReadMade>,
    denials: Vec<Denial>,
    host_calls: u64,
    read_bytes: u64,
    held_bytes: u64,
    waited: Duration,
}

impl Session {
    pub(crate) fn new(call: Option<Call>, limits: Limits, log: Log) -> Self {
        let reads = match call {
            Some(_) => Vec::with_capacity(READS_EXPECTED),
            None => Vec::new(),
        };
        Self {
            call,
            limits,
            log,
            draft: None,
            reads,
            denials: Vec::new(),
            host_calls: 0,
            read_bytes: 0,
            held_bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// Time spent waiting for targets.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    pub(crate) fn take_reads(&mut self) -> Vec<ReadMade> {
        std::mem::take(&mut self.reads)
    }

    pub(crate) fn take_denials(&mut self) -> Vec<Denial> {
        std::mem::take(&mut self.denials)
    }

    /// The call; a guest without a handle cannot get here, so its lack is a trap and no panic.
    pub(crate) fn call(&self) -> wasmtime::Result<&Call> {
        self.call
            .as_ref()
            .ok_or_else(|| ContractBroken("this export gets no handle".into()).into())
    }

    /// The draft of this call.
    pub(crate) fn draft(&mut self) -> wasmtime::Result<&mut Draft> {
        self.draft
            .as_mut()
            .ok_or_else(|| ContractBroken("this export gets no draft".into()).into())
    }

    /// One more host call.
    pub(crate) fn enter(&mut self) -> Result<(), LimitHit> {
        self.host_calls += 1;
        let most = self.limits.host_calls_max;
        if self.host_calls > most {
            return Err(LimitHit {
                limit: Limit::HostCalls,
                most,
            });
        }
        Ok(())
    }

    /// So many more bytes are held until the call is over.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), LimitHit> {
        self.held_bytes = self
            .held_bytes
            .saturating_add(bytes as u64)
            .saturating_add(HELD_BYTES_EACH);
        let most = self.limits.held_bytes_max;
        if self.held_bytes > most {
            return Err(LimitHit {
                limit: Limit::HeldBytes,
                most,
            });
        }
        Ok(())
    }

    /// A line for people: bounded, held, escaped.
    pub(crate) fn line(&mut self, said: &str) -> Result<String, LimitHit> {
        self.text(said).map(|()| text::one_line(said))
    }

    /// A paragraph for people: bounded, held, escaped.
    pub(crate) fn paragraph(&mut self, said: &str) -> Result<String, LimitHit> {
        self.text(said).map(|()| text::lines(said))
    }

    fn text(&mut self, said: &str) -> Result<(), LimitHit> {
        if said.len() > TEXT_BYTES_MAX {
            return Err(LimitHit::new(Limit::TextBytes, TEXT_BYTES_MAX));
        }
        self.hold(said.len())
    }

    /// JSON that is kept.
    pub(crate) fn json(&mut self, said: &str) -> Result<Json, HostError> {
        let json = Json::new(said)?;
        self.hold(said.len())?;
        Ok(json)
    }

    fn denied(&mut self, binding: &Binding, what: String, denied: Denied) -> HostError {
        let denied = Denied {
            rule: bounded(denied.rule),
            allowed_by: bounded(denied.allowed_by),
        };
        if self.denials.len() < DENIALS_KEPT_MAX {
            self.denials.push(Denial {
                binding: binding.to_string(),
                what,
                rule: denied.rule.clone(),
                allowed_by: denied.allowed_by.clone(),
            });
        }
        HostError::Told(denied.into())
    }

    /// Opens a binding of one capability: granted at all, and there.
    pub(crate) fn open(&mut self, binding: &str, capability: &str) -> Result<Binding, HostError> {
        let binding = Binding::new(text::beginning(binding, TEXT_BYTES_MAX))?;
        if binding.capability() != capability {
            return Err(
                ReadError::Invalid(format!("`{binding}` is no binding of `{capability}`")).into(),
            );
        }
        let site = &self.call()?.site;
        let is_granted = site
            .grant
            .binding(&binding)
            .is_some_and(|granted| !granted.verbs.is_empty());
        if !is_granted {
            let denied = Denied {
                rule: format!("nothing is granted on `{binding}`"),
                allowed_by: format!(
                    "[[grant.bindings]] binding = \"{binding}\" with at least one verb"
                ),
            };
            return Err(self.denied(&binding, "open".into(), denied));
        }
        if !site.bindings.contains_key(&binding) {
            return Err(ReadError::NotFound(format!("the site has no binding `{binding}`")).into());
        }
        Ok(binding)
    }

    /// Reads, and gives the answer as the record it is.
    pub(crate) async fn read<T: DeserializeOwned>(
        &mut self,
        binding: &Binding,
        read: Read,
    ) -> Result<T, HostError> {
        let answer = self.read_value(binding, read).await?;
        T::deserialize(answer).map_err(|error| {
            // A capability that answers something else is our own fault; the plugin can only try again.
            tracing::error!(%binding, %error, "the answer of a read is not the record it should be");
            ReadError::Unavailable(format!("the host could not use its own answer: {error}")).into()
        })
    }

    /// Reads a document that has no record of its own: a mapping, settings.
    pub(crate) async fn read_json(
        &mut self,
        binding: &Binding,
        read: Read,
    ) -> Result<Json, HostError> {
        match self.read_value(binding, read).await? {
            Value::String(text) => Ok(Json::new(text)?),
            value => Ok(Json::of(value)),
        }
    }

    async fn read_value(&mut self, binding: &Binding, read: Read) -> Result<&Value, HostError> {
        let call = self.call()?;
        if let Err(denied) = call.site.grant.allow_read(binding, &read) {
            return Err(self.denied(binding, read.verb_text().into(), denied));
        }
        bounds::check(&read)?;
        let most = self.limits.reads_max;
        if self.reads.len() as u64 >= most {
            return Err(LimitHit {
                limit: Limit::Reads,
                most,
            }
            .into());
        }

        let (answer, waited) = timed(self.call()?.reader.read(binding, &read)).await;
        self.waited += waited;

        let answer = answer.and_then(|mut answer| {
            self.take_away(binding, &read, &mut answer);
            bounds::check_answer(&read, &answer).map(|()| answer)
        });
        if let Ok(answer) = &answer {
            self.read_bytes = self.read_bytes.saturating_add(bounds::weight(answer));
            let most = self.limits.read_bytes_max;
            if self.read_bytes > most {
                return Err(LimitHit {
                    limit: Limit::ReadBytes,
                    most,
                }
                .into());
            }
        }
        let reading = Reading {
            binding: binding.clone(),
            read,
        };
        self.reads.push((reading, answer));
        match self.reads.last() {
            Some((_, Ok(answer))) => Ok(answer),
            Some((_, Err(error))) => Err(error.clone().into()),
            None => Err(ReadError::Unavailable("the read was not recorded".into()).into()),
        }
    }

    /// Leaves the names out that the grant takes away, so that a neighbour's things are not even seen.
    fn take_away(&self, binding: &Binding, read: &Read, answer: &mut Value) {
        if matches!(read, Read::TrafficServers { .. }) {
            return self.take_servers_away(binding, read, answer);
        }
        let keys: &[&str] = match read {
            Read::Indices { .. } | Read::Templates { .. } => &["name"],
            Read::Shards { .. } | Read::Activity { .. } => &["index"],
            Read::Aliases { .. } => &["name", "index"],
            Read::Tables { .. } => &["name"],
            Read::Columns { .. } | Read::TableIndexes { .. } => &["table"],
            // Who refers to a table names it.
            Read::Constraints { .. } => &["table", "references"],
            _ => return,
        };
        let (Value::Array(items), Ok(call)) = (answer, self.call()) else {
            return;
        };
        let verb = read.verb_text();
        items.retain(|item| {
            !keys
                .iter()
                .filter_map(|key| item.get(key)?.as_str())
                .any(|name| call.site.grant.takes_away(binding, verb, name))
        });
    }

    /// Likewise of servers, which are named by their backend and their own name together.
    fn take_servers_away(&self, binding: &Binding, read: &Read, answer: &mut Value) {
        let (Value::Array(items), Ok(call)) = (answer, self.call()) else {
            return;
        };
        let verb = read.verb_text();
        let text = |item: &Value, key: &str| item.get(key)?.as_str().map(str::to_owned);
        items.retain(|item| match (text(item, "backend"), text(item, "name")) {
            (Some(backend), Some(name)) => {
                let name = format!("{backend}/{name}");
                !call.site.grant.takes_away(binding, verb, &name)
            }
            _ => true,
        });
    }

    /// A change, when the grant allows it.
    pub(crate) fn propose(&mut self, planned: Planned) -> Result<Planned, HostError> {
        if let Err(denied) = self.call()?.site.grant.allow_change(&planned) {
            let what = planned.change.verb().to_string();
            return Err(self.denied(&planned.binding, what, denied));
        }
        let text = serde_json::to_string(&planned)
            .map_err(|error| ReadError::Invalid(error.to_string()))?;
        self.hold(text.len())?;
        Ok(planned)
    }

    /// A condition, when the grant allows what it reads.
    pub(crate) fn condition(
        &mut self,
        binding: &Binding,
        predicate: Predicate,
    ) -> Result<Condition, HostError> {
        if let Err(denied) = self.call()?.site.grant.allow_predicate(binding, &predicate) {
            let what = predicate
                .verbs()
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            return Err(self.denied(binding, what, denied));
        }
        for read in predicate.reads() {
            bounds::check(&read)?;
        }
        self.hold(format!("{predicate:?}").len())?;
        Ok(Condition {
            label: String::new(),
            binding: binding.clone(),
            predicate,
            negated: false,
            stable_for_ms: 0,
            patience_ms: PATIENCE_MS_DEFAULT,
            on_expiry: liftlock_types::OnExpiry::Fail,
        })
    }

    /// A read to be made later, when the grant allows it now.
    pub(crate) fn reading(&mut self, binding: &Binding, read: Read) -> Result<Reading, HostError> {
        if let Err(denied) = self.call()?.site.grant.allow_read(binding, &read) {
            return Err(self.denied(binding, read.verb_text().into(), denied));
        }
        bounds::check(&read)?;
        self.hold(format!("{read:?}").len())?;
        Ok(Reading {
            binding: binding.clone(),
            read,
        })
    }

    /// Makes the read now and freezes its answer.
    pub(crate) async fn rest_on(&mut self, reading: Reading) -> Result<RestsOn, HostError> {
        if matches!(reading.read, Read::Checksum { .. }) {
            return Err(ReadError::Invalid(
                "a checksum takes long: it can be captured, a step cannot rest on it".into(),
            )
            .into());
        }
        let answer = self
            .read_value(&reading.binding, reading.read.clone())
            .await?;
        // Parsed again, so that an answer above the bound of JSON in a plan is refused and not kept.
        let answer = Json::new(&answer.to_string())?;
        self.hold(answer.as_str().len())?;
        Ok(RestsOn { reading, answer })
    }
}

/// An answer, and how long it was waited for. What is there at once was not, and the clock is not read for it.
async fn timed<T>(mut asked: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> (T, Duration) {
    let at_once = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(answer) => (answer, Duration::ZERO),
        Poll::Pending => {
            let started = Instant::now();
            (asked.await, started.elapsed())
        }
    }
}

fn bounded(said: String) -> String {
    match text::beginning(&said, DENIAL_BYTES_MAX) {
        all if all.len() == said.len() => said,
        beginning => format!("{beginning} (cut: {} bytes)", said.len()),
    }
}

/// A list that the plugin handed over, when it is not too long.
pub(crate) fn listed<T>(items: Vec<T>) -> Result<Vec<T>, LimitHit> {
    if items.len() > LIST_ITEMS_MAX {
        return Err(LimitHit::new(Limit::ListItems, LIST_ITEMS_MAX));
    }
    Ok(items)
}

/// File names as the host's reads have them.
pub(crate) fn texts(names: &[FileName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

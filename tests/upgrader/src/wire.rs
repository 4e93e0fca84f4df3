//! Requests to the database, and where a test stops the program.

use std::cell::Cell;
use std::time::Duration;

use liftlock_lab::HttpTarget;
use liftlock_lab::Secret;
use reqwest::Method;
use serde_json::Value;

use crate::Failure;
use crate::settings::Database;
use crate::settings::Settings;
use crate::settings::Stop;

/// Between two looks for the file that lets a held request go.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One database.
pub struct Wire<'a> {
    /// What the program was told.
    pub settings: &'a Settings,
    target: HttpTarget,
    matched: Cell<u32>,
}

/// Status and body.
pub type Answer = (u16, Value);

impl<'a> Wire<'a> {
    /// Sends nothing yet.
    pub fn new(settings: &'a Settings) -> Result<Self, Failure> {
        let mut target = HttpTarget::new(settings.url.clone())?;
        if let Some((user, password)) = &settings.login {
            target = target.basic(user, Secret::new(password));
        }
        Ok(Self {
            settings,
            target,
            matched: Cell::new(0),
        })
    }

    /// Is it OpenSearch?
    pub fn is_opensearch(&self) -> bool {
        self.settings.database == Database::Opensearch
    }

    /// One request, whatever its answer is.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let stop = self.stop_at(&method, path);
        if let Some(stop) = stop.filter(|stop| stop.before) {
            self.halt(stop).await;
        }
        let answer = self.target.send(method, path, body).await?;
        if let Some(stop) = stop.filter(|stop| !stop.before) {
            self.halt(stop).await;
        }
        Ok(answer)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    /// `HEAD`: is it there?
    pub async fn head(&self, path: &str) -> Result<bool, Failure> {
        Ok(self.send(Method::HEAD, path, None).await?.0 == 200)
    }

    /// `PUT`.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `POST`.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::DELETE, path, None).await
    }

    fn stop_at(&self, method: &Method, path: &str) -> Option<&'a Stop> {
        let stop = self.settings.stop.as_ref()?;
        if !format!("{method} {path}").starts_with(&stop.request) {
            return None;
        }
        self.matched.set(self.matched.get() + 1);
        (self.matched.get() == stop.nth).then_some(stop)
    }

    async fn halt(&self, stop: &Stop) {
        if stop.dies {
            // It never returns; an error would mean that we are no process.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
        while let Some(go) = &self.settings.go
            && !go.exists()
        {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The type of a refusal: `resource_already_exists_exception`.
pub fn kind(answer: &Value) -> &str {
    answer["error"]["type"].as_str().unwrap_or_default()
}

/// What the vendor's client says of an answer that is no success.
pub fn status_line(method: &str, path: &str, status: u16, body: &Value) -> String {
    let reason = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "",
    };
    format!(
        "method [{method}], host [database], URI [{path}], status line [HTTP/1.1 {status} {reason}]\n{body}"
    )
}

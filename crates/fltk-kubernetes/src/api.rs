//! Requests to the API server: which errors are transient, which aren't, and how long to wait before the next try.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Error,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use crate::config::Backend;

/// The wait after the first try of a request, and the longest wait between any two tries.
const WAIT_MIN: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The time limit for an answer. It includes slow webhooks, which get half of it.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// The field manager that the API server records for our changes.
pub const FIELD_MANAGER: &str = "fltk";

/// The answer to `request`, or an error if there is none in time.
///
/// # Errors
/// The errors of the request, or an error after the time limit.
pub async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER_LIMIT, request).await.unwrap_or_else(|_| {
        let words = format!("the API server gave no answer within {} s", ANSWER_LIMIT.as_secs());
        Err(Error::Service(words.into()))
    })
}

/// The meaning of a request's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The error is transient: the server is away, busy or being updated; or a quota, a right or an operator is missing that somebody may add.
    Passes,
    /// The object exists already.
    Exists,
    /// The object doesn't exist.
    Missing,
    /// Somebody changed the object in the meantime: it has to be read again.
    Changed,
    /// The object is invalid, and will be the next time.
    Wrong,
}

/// The meaning of `error`.
#[must_use]
pub fn failure(error: &Error) -> Failure {
    let Error::Api(status) = error else { return Failure::Passes };
    match (status.code, status.reason.as_str()) {
        (409, "AlreadyExists") => Failure::Exists,
        (409, "Conflict") => Failure::Changed,
        (404, _) if is_missing_object(error) => Failure::Missing,
        // An admission webhook's refusal is a 403 too; a missing right or an exceeded quota may be fixed.
        (403, _) if status.message.contains("denied the request") => Failure::Wrong,
        (400 | 413 | 422, _) => Failure::Wrong,
        _ => Failure::Passes,
    }
}

/// True if the error says that the object itself doesn't exist, as opposed to its kind or its namespace.
fn is_missing_object(error: &Error) -> bool {
    let Error::Api(status) = error else { return false };
    let has_name = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    status.code == 404 && has_name && !status.message.starts_with("namespaces ")
}

/// The error in one line, for a person to read.
#[must_use]
pub fn words(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        error => with_causes(error),
    }
}

/// An error and its causes in one line, without repeated texts.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

/// The waits between the tries of one request: each is twice as long as the one before, unless the server sets the time.
#[derive(Debug)]
pub struct Waits(Duration);

impl Waits {
    /// Creates the waits of a request that wasn't tried yet.
    #[must_use]
    pub fn new() -> Self {
        Self(WAIT_MIN)
    }

    /// The time to wait after `error`.
    pub fn after(&mut self, error: &Error) -> Duration {
        let said = match error {
            Error::Api(status) => status.details.as_ref().map(|details| u64::from(details.retry_after_seconds)).filter(|said| *said > 0),
            _ => None,
        };
        let wait = said.map_or(self.0, Duration::from_secs).min(WAIT_MAX);
        self.0 = (self.0 * 2).min(WAIT_MAX);
        wait
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self::new()
    }
}

/// The resource of a job object.
#[must_use]
pub fn job_resource(backend: Backend) -> ApiResource {
    match backend {
        Backend::PyTorchJob => ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("kubeflow.org", "v1", "PyTorchJob"), "pytorchjobs"),
        Backend::TrainJob => {
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("trainer.kubeflow.org", "v1alpha1", "TrainJob"), "trainjobs")
        }
    }
}

/// The resource of the runtime that `TrainJob`s share.
#[must_use]
pub fn runtime_resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("trainer.kubeflow.org", "v1alpha1", "TrainingRuntime"), "trainingruntimes")
}

/// The API for the jobs of a namespace.
#[must_use]
pub fn jobs(client: &Client, namespace: &str, backend: Backend) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &job_resource(backend))
}

/// The API for the config maps of a namespace.
#[must_use]
pub fn config_maps(client: &Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), namespace)
}

/// The API for the secrets of a namespace, of which we only ever create some.
#[must_use]
pub fn secrets(client: &Client, namespace: &str) -> Api<Secret> {
    Api::namespaced(client.clone(), namespace)
}

#[cfg(test)]
mod tests {
    use kube::core::{Status, response::StatusDetails};

    use super::*;

    fn error(code: u16, reason: &str, message: &str, details: Option<StatusDetails>) -> Error {
        Error::Api(Box::new(Status { code, reason: reason.to_owned(), message: message.to_owned(), details, ..Status::default() }))
    }

    fn details(name: &str, retry_after_seconds: u32) -> StatusDetails {
        serde_json::from_value(serde_json::json!({ "name": name, "retryAfterSeconds": retry_after_seconds })).unwrap()
    }

    #[test]
    fn errors_are_classified_like_kubernetes() {
        let named = || Some(details("a", 0));
        let check = |code, reason: &str, message: &str, details, expected| {
            assert_eq!(failure(&error(code, reason, message, details)), expected, "{message}");
        };
        check(409, "AlreadyExists", "pytorchjobs \"a\" already exists", named(), Failure::Exists);
        check(409, "Conflict", "the object has been modified", named(), Failure::Changed);
        check(404, "NotFound", "pytorchjobs \"a\" not found", named(), Failure::Missing);
        check(404, "NotFound", "namespaces \"a\" not found", named(), Failure::Passes);
        check(404, "NotFound", "the server could not find the requested resource", None, Failure::Passes);
        check(422, "Invalid", "spec.a: Invalid value", None, Failure::Wrong);
        check(403, "Forbidden", "admission webhook \"w\" denied the request: no", None, Failure::Wrong);
        check(403, "Forbidden", "exceeded quota: q", None, Failure::Passes);
        check(429, "TooManyRequests", "busy", None, Failure::Passes);
        check(500, "InternalError", "failed calling webhook", None, Failure::Passes);
    }

    #[test]
    fn backoff_doubles_up_to_a_bound_and_respects_the_server() {
        let mut waits = Waits::new();
        let busy = error(503, "", "", None);
        let all: Vec<u128> = (0..8).map(|_| waits.after(&busy).as_millis()).collect();
        assert_eq!(all, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        let told = error(429, "", "", Some(details("", 3)));
        assert_eq!(Waits::new().after(&told).as_secs(), 3);
    }
}

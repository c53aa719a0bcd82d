//! Answers of the API server: objects, and `Status` objects with the codes and reasons of the real server.

use axum::body::Body;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::kinds::Kind;

/// A refusal.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: u16,
    reason: &'static str,
    message: String,
    /// The kind and the name of the object that was refused.
    about: Option<(&'static Kind, String)>,
    /// The seconds in the header `Retry-After`.
    retry_after: Option<u32>,
    /// The token with which an expired list continues at the current version.
    goes_on: Option<String>,
    /// True for a plain text answer instead of a `Status`, as some handlers of the real server give.
    plain: bool,
}

impl Failure {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), about: None, retry_after: None, goes_on: None, plain: false }
    }

    fn about(self, kind: &'static Kind, name: &str) -> Self {
        Self { about: Some((kind, name.to_owned())), ..self }
    }

    pub fn not_found(kind: &'static Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified())).about(kind, name)
    }

    pub fn already_exists(kind: &'static Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified())).about(kind, name)
    }

    pub fn conflict(kind: &'static Kind, name: &str, why: &str) -> Self {
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified())).about(kind, name)
    }

    pub fn invalid(kind: &'static Kind, name: &str, why: &str) -> Self {
        Self::new(422, "Invalid", format!("{} \"{name}\" is invalid: {why}", kind.kind)).about(kind, name)
    }

    pub fn forbidden(verb: &str, kind: &'static Kind, namespace: Option<&str>, name: &str) -> Self {
        let place = namespace.map_or_else(|| "at the cluster scope".to_owned(), |namespace| format!("in the namespace \"{namespace}\""));
        let what = format!("cannot {verb} resource \"{}\" in API group \"{}\" {place}", kind.plural, kind.group);
        let object = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let message = format!("{}{object} is forbidden: User \"system:serviceaccount:default:fltk\" {what}", kind.qualified());
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// The path doesn't exist.
    pub fn no_such_page() -> Self {
        Self { plain: true, ..Self::new(404, "", "404 page not found\n") }
    }

    /// The history before `oldest` is gone.
    pub fn expired(version: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {version} ({oldest})"))
    }

    /// The history at which a list began is gone: its rest is available only at the current version.
    pub fn expired_page(token: &str) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue \
                       parameter, or use the continue token in this response to retrieve the remainder of the results.";
        Self { goes_on: Some(token.to_owned()), ..Self::new(410, "Expired", message) }
    }

    /// The answer of an overloaded or failing server with `code`.
    pub fn ailing(code: u16, retry_after: Option<u32>) -> Self {
        let failure = match code {
            // The answer of API priority and fairness.
            429 => Self { plain: true, ..Self::new(429, "", "Too many requests, please try again later.\n") },
            500 => Self::new(500, "InternalError", "Internal error occurred: etcdserver: request timed out"),
            503 => Self::new(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => Self::new(504, "Timeout", "Timeout: request did not complete within requested timeout - context deadline exceeded"),
            _ => panic!("the scenario doesn't know how a server fails with {code}"),
        };
        Self { retry_after, ..failure }
    }

    /// The refusal as a `Status` object.
    pub fn status(&self) -> Value {
        let Self { code, reason, message, .. } = self;
        let mut details = self.about.as_ref().map_or_else(|| json!({}), |(kind, name)| details(kind, name));
        if let Some(seconds) = self.retry_after {
            details["retryAfterSeconds"] = seconds.into();
        }
        let metadata = self.goes_on.as_ref().map_or_else(|| json!({}), |token| json!({ "continue": token }));
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure", "message": message, "reason": reason,
            "details": details, "code": code,
        })
    }

    pub fn into_response(self) -> Response<Body> {
        let body = if self.plain { self.message.clone() } else { self.status().to_string() };
        let mut response = respond(self.code, if self.plain { "text/plain; charset=utf-8" } else { JSON }, Body::from(body));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

const JSON: &str = "application/json";

/// An answer with an object.
pub fn object(code: u16, object: &Value) -> Response<Body> {
    respond(code, JSON, Body::from(object.to_string()))
}

/// An answer with `body`, which may be a long stream.
pub fn respond(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).expect("the scenario's codes are ones of HTTP");
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// The answer to a deletion once the object is gone.
pub fn deleted(kind: &Kind, name: &str, uid: &Value) -> Value {
    let mut details = details(kind, name);
    details["uid"] = uid.clone();
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}

fn details(kind: &Kind, name: &str) -> Value {
    let mut details = json!({ "name": name, "kind": kind.plural });
    if !kind.group.is_empty() {
        details["group"] = kind.group.into();
    }
    details
}

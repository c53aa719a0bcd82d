//! A parsed request to the API server.

use std::collections::BTreeMap;

use http::{Method, header, request::Parts};
use kube::client::Body;
use serde_json::Value;

use crate::kinds::{KINDS, Kind};

/// A request, read to its end.
#[derive(Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    /// The query string as it was sent.
    pub query: String,
    pub content_type: String,
    /// True if a list should contain only the metadata of its objects.
    pub wants_metadata: bool,
    /// The body; `null` if there is none.
    pub body: Value,
    parameters: BTreeMap<String, String>,
}

/// The object or the collection that a path refers to.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: &'static Kind,
    /// The namespace; `None` for a collection in all namespaces, and for objects without a namespace.
    pub namespace: Option<String>,
    /// The name; `None` for a collection.
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Asked {
    pub async fn read(parts: Parts, body: Body) -> Result<Self, kube::Error> {
        let bytes = body.collect_bytes().await?;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let accepted = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let wants_metadata = accepted.contains("as=PartialObjectMetadataList");
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            content_type: content_type.to_owned(),
            wants_metadata,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            parameters: parameters(&query),
            query,
        })
    }

    /// A query parameter; empty if it is missing.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    pub fn is_dry(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    /// Returns the target of its path, if that refers to objects that the scenario serves.
    pub fn target(&self) -> Option<Target> {
        let mut segments = self.path.trim_matches('/').split('/').map(decode).collect::<Vec<_>>().into_iter();
        let (group, version) = match segments.next()?.as_str() {
            "api" => (String::new(), segments.next()?),
            "apis" => (segments.next()?, segments.next()?),
            _ => return None,
        };
        let mut rest: Vec<String> = segments.collect();
        // `namespaces/x/pods` refers to pods, `namespaces/x` and `namespaces/x/status` to the namespace itself.
        let is_within = rest.len() > 2 && rest[0] == "namespaces" && rest[2] != "status";
        let namespace = is_within.then(|| rest.drain(..2).nth(1)).flatten();
        let mut rest = rest.into_iter();
        let plural = rest.next()?;
        let kind = KINDS.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)?;
        Some(Target { kind, namespace, name: rest.next(), subresource: rest.next() })
    }

    /// The verb of the request in access rules.
    pub fn verb(&self, target: &Target) -> &'static str {
        let is_watch = ["true", "1"].contains(&self.parameter("watch"));
        match (self.method.as_str(), &target.name) {
            ("GET", None) if is_watch => "watch",
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", None) => "deletecollection",
            ("DELETE", Some(_)) => "delete",
            (method, _) => panic!("the scenario doesn't know `{method}`"),
        }
    }
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    });
    decoded.collect()
}

/// Decodes percent-encoding such as `%20`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

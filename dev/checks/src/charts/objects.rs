//! Rendered objects, and the pods that they become.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value as Json;

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// All of it.
    pub json: Json,
}

/// Kinds that are of no namespace.
const OF_THE_CLUSTER: [&str; 3] = ["ClusterRole", "ClusterRoleBinding", "PersistentVolume"];

/// The objects in `text`, YAML documents.
pub fn read(text: &str) -> anyhow::Result<Vec<Object>> {
    let documents: Vec<Json> = serde_saphyr::from_multiple(text).context("what helm rendered is no YAML")?;
    Ok(documents.into_iter().filter(|json| !json.is_null()).map(|json| Object { json }).collect())
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> &str {
        text(&self.json["kind"])
    }

    /// Its name.
    pub fn name(&self) -> &str {
        text(&self.json["metadata"]["name"])
    }

    /// `Kind/name`.
    pub fn describe(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// `group/version Kind`.
    pub fn describe_kind(&self) -> String {
        format!("{} {}", text(&self.json["apiVersion"]), self.kind())
    }

    /// Whether it's of the whole cluster.
    pub fn is_of_the_cluster(&self) -> bool {
        OF_THE_CLUSTER.contains(&self.kind())
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        labels(&self.json["metadata"]["labels"])
    }

    /// The template of its pods, if it has any.
    pub fn pod(&self) -> Option<Pod<'_>> {
        let template = &self.json["spec"]["template"];
        template["spec"]["containers"].is_array().then_some(Pod { owner: self, template })
    }
}

/// What pods of an object are like.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    /// Whose.
    pub owner: &'a Object,
    template: &'a Json,
}

impl<'a> Pod<'a> {
    /// Their labels.
    pub fn labels(&self) -> BTreeMap<&'a str, &'a str> {
        labels(&self.template["metadata"]["labels"])
    }

    /// Their `spec`.
    pub fn spec(&self) -> &'a Json {
        &self.template["spec"]
    }

    /// Their containers.
    pub fn containers(&self) -> impl Iterator<Item = &'a Json> + use<'a> {
        let spec = &self.template["spec"];
        list(&spec["initContainers"]).iter().chain(list(&spec["containers"]))
    }

    /// Names of their ports.
    pub fn ports(&self) -> Vec<&'a str> {
        self.containers().flat_map(|container| list(&container["ports"])).map(|port| text(&port["name"])).collect()
    }

    /// Whether `selector` selects them.
    pub fn is_selected(&self, selector: &Json) -> bool {
        selects(selector, &self.labels())
    }
}

/// Whether the labels of `selector` are among `labels`; one without any selects nothing of ours.
pub fn selects(selector: &Json, found: &BTreeMap<&str, &str>) -> bool {
    let wanted = labels(selector);
    !wanted.is_empty() && wanted.iter().all(|(name, value)| found.get(name) == Some(value))
}

fn labels(json: &Json) -> BTreeMap<&str, &str> {
    json.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), text(value))).collect()
}

/// Whether `values` have `name` as a word of its own: then it's somebody else's.
pub fn mentions(values: &str, name: &str) -> bool {
    values.split(|c: char| !c.is_alphanumeric() && !"-._".contains(c)).any(|word| word == name && !name.is_empty())
}

/// A text; empty where there is none.
pub fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// A list; empty where there is none.
pub fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

//! Rendered objects, and their pods.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value as Json;

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// The whole object.
    pub json: Json,
}

/// The kinds without a namespace.
const OF_THE_CLUSTER: [&str; 3] = ["ClusterRole", "ClusterRoleBinding", "PersistentVolume"];

/// Reads the objects in `text`, which consists of YAML documents.
pub fn read(text: &str) -> anyhow::Result<Vec<Object>> {
    let documents: Vec<Json> = serde_saphyr::from_multiple(text).context("what helm rendered is no YAML")?;
    Ok(documents.into_iter().filter(|json| !json.is_null()).map(|json| Object { json }).collect())
}

impl Object {
    /// The kind.
    pub fn kind(&self) -> &str {
        text(&self.json["kind"])
    }

    /// The name.
    pub fn name(&self) -> &str {
        text(&self.json["metadata"]["name"])
    }

    /// The description `Kind/name`.
    pub fn describe(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// The description `group/version Kind`.
    pub fn describe_kind(&self) -> String {
        format!("{} {}", text(&self.json["apiVersion"]), self.kind())
    }

    /// True if the object is cluster-wide.
    pub fn is_of_the_cluster(&self) -> bool {
        OF_THE_CLUSTER.contains(&self.kind())
    }

    /// The labels.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        labels(&self.json["metadata"]["labels"])
    }

    /// The template of the object's pods, if it has any.
    pub fn pod(&self) -> Option<Pod<'_>> {
        let template = &self.json["spec"]["template"];
        template["spec"]["containers"].is_array().then_some(Pod { owner: self, template })
    }
}

/// The pod template of an object.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    /// The object that creates the pods.
    pub owner: &'a Object,
    template: &'a Json,
}

impl<'a> Pod<'a> {
    /// The labels of the pods.
    pub fn labels(&self) -> BTreeMap<&'a str, &'a str> {
        labels(&self.template["metadata"]["labels"])
    }

    /// The `spec` of the pods.
    pub fn spec(&self) -> &'a Json {
        &self.template["spec"]
    }

    /// The containers of the pods.
    pub fn containers(&self) -> impl Iterator<Item = &'a Json> + use<'a> {
        let spec = &self.template["spec"];
        list(&spec["initContainers"]).iter().chain(list(&spec["containers"]))
    }

    /// The names of the pods' ports.
    pub fn ports(&self) -> Vec<&'a str> {
        self.containers().flat_map(|container| list(&container["ports"])).map(|port| text(&port["name"])).collect()
    }

    /// True if `selector` selects the pods.
    pub fn is_selected(&self, selector: &Json) -> bool {
        selects(selector, &self.labels())
    }
}

/// True if the labels of `selector` are among `labels`; a selector without labels selects nothing of ours.
pub fn selects(selector: &Json, found: &BTreeMap<&str, &str>) -> bool {
    let wanted = labels(selector);
    !wanted.is_empty() && wanted.iter().all(|(name, value)| found.get(name) == Some(value))
}

fn labels(json: &Json) -> BTreeMap<&str, &str> {
    json.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), text(value))).collect()
}

/// True if `values` contain `name` as a separate word: the object then belongs to somebody else.
pub fn mentions(values: &str, name: &str) -> bool {
    values.split(|c: char| !c.is_alphanumeric() && !"-._".contains(c)).any(|word| word == name && !name.is_empty())
}

/// Returns a string; empty if there is none.
pub fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// Returns a list; empty if there is none.
pub fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

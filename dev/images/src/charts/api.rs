//! Strict validation of objects against the API of one Kubernetes version, as the API server does with `--validate=strict`, but without a
//! server.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value as Json, json};

use super::objects::{Object, text};

/// The schema of a ServiceMonitor, a kind of the Prometheus operator, as far as we use it.
const SERVICE_MONITOR: &str = include_str!("servicemonitor.schema.json");

/// The API of one Kubernetes version.
pub struct Api {
    /// The version.
    pub version: &'static str,
    /// The validators, by apiVersion and kind.
    kinds: BTreeMap<(String, String), Validator>,
}

/// The kinds in our charts: compiling all of Kubernetes' kinds would take long.
const KINDS: [(&str, &str); 15] = [
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolume"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
];

impl Api {
    /// Returns the API that `swagger` describes.
    pub fn of(version: &'static str, swagger: &Json) -> anyhow::Result<Self> {
        let definitions = strict(swagger["definitions"].as_object().context("an API without definitions")?);
        let mut kinds = BTreeMap::new();
        for (api_version, kind) in KINDS {
            let name = definition_of(&definitions, api_version, kind).with_context(|| format!("{version} has no {api_version} {kind}"))?;
            let mut needed = Map::new();
            gather(&definitions, name, &mut needed)?;
            let schema = json!({ "$ref": format!("#/definitions/{name}"), "definitions": needed });
            kinds.insert((api_version.to_owned(), kind.to_owned()), validator(&schema)?);
        }
        let service_monitor = validator(&serde_json::from_str(SERVICE_MONITOR)?)?;
        kinds.insert(("monitoring.coreos.com/v1".to_owned(), "ServiceMonitor".to_owned()), service_monitor);
        Ok(Self { version, kinds })
    }

    /// Returns the problems of `object`; `None` if its kind is unknown here.
    pub fn check(&self, object: &Object) -> anyhow::Result<Option<Vec<String>>> {
        let kind = (text(&object.json["apiVersion"]).to_owned(), object.kind().to_owned());
        let Some(validator) = self.kinds.get(&kind) else { return Ok(None) };
        let problems =
            validator.iter_errors(&object.json).map(|error| format!("{}: {}: {error}", object.describe(), error.instance_path()));
        Ok(Some(problems.collect()))
    }
}

impl Api {
    /// Checks this check itself: returns a problem if it overlooks a misspelled field, deep in the first object that has pods.
    pub fn overlooks(&self, objects: &[Object]) -> anyhow::Result<Option<String>> {
        let Some(mut object) = objects.iter().find(|object| object.pod().is_some()).cloned() else { return Ok(None) };
        let container = &mut object.json["spec"]["template"]["spec"]["containers"][0];
        container["imagePulPolicy"] = "Always".into();
        let is_seen = self.check(&object)?.is_some_and(|problems| problems.iter().any(|problem| problem.contains("imagePulPolicy")));
        Ok((!is_seen).then(|| format!("a misspelled field of {} isn't found", object.describe())))
    }
}

fn validator(schema: &Json) -> anyhow::Result<Validator> {
    let options = jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(false);
    options.build(schema).map_err(|error| anyhow!("a schema that is none: {error}"))
}

/// Forbids fields that aren't described, and allows both numbers and strings where Kubernetes does, which OpenAPI 2 can't express.
fn strict(definitions: &Map<String, Json>) -> Map<String, Json> {
    let mut definitions = definitions.clone();
    for definition in definitions.values_mut().filter_map(Json::as_object_mut) {
        if definition.contains_key("properties") && !definition.contains_key("additionalProperties") {
            definition.insert("additionalProperties".to_owned(), false.into());
        }
        if definition.get("format").is_some_and(|format| format == "int-or-string") {
            definition.insert("type".to_owned(), json!(["integer", "string"]));
        }
    }
    definitions
}

/// Returns the name of the definition of a kind.
fn definition_of<'a>(definitions: &'a Map<String, Json>, api_version: &str, kind: &str) -> Option<&'a str> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let is = json!([{ "group": group, "kind": kind, "version": version }]);
    definitions.iter().find(|(_, definition)| definition["x-kubernetes-group-version-kind"] == is).map(|(name, _)| name.as_str())
}

/// Adds the definition `name` and all definitions that it refers to.
fn gather(definitions: &Map<String, Json>, name: &str, needed: &mut Map<String, Json>) -> anyhow::Result<()> {
    if needed.contains_key(name) {
        return Ok(());
    }
    let definition = definitions.get(name).with_context(|| format!("an API without `{name}`"))?;
    needed.insert(name.to_owned(), definition.clone());
    let mut names = Vec::new();
    references(definition, &mut names);
    names.into_iter().try_for_each(|name| gather(definitions, name, needed))
}

fn references<'a>(schema: &'a Json, found: &mut Vec<&'a str>) {
    match schema {
        Json::Object(map) => {
            found.extend(map.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix("#/definitions/")));
            map.values().for_each(|value| references(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small API: each kind has a name, and a service also has ports.
    fn api() -> Api {
        let mut definitions = json!({
            "meta": { "type": "object", "properties": { "name": { "type": "string" }, "labels": { "type": "object", "additionalProperties": { "type": "string" } } } },
            "port": { "type": "object", "required": ["port"], "properties": { "port": { "$ref": "#/definitions/number-or-text" } } },
            "number-or-text": { "type": "string", "format": "int-or-string" },
        });
        for (api_version, kind) in KINDS {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            definitions[format!("{group}.{kind}")] = json!({
                "type": "object",
                "properties": {
                    "apiVersion": { "type": "string" },
                    "kind": { "type": "string" },
                    "metadata": { "$ref": "#/definitions/meta" },
                    "ports": { "type": "array", "items": { "$ref": "#/definitions/port" } },
                },
                "x-kubernetes-group-version-kind": [{ "group": group, "kind": kind, "version": version }],
            });
        }
        Api::of("v0", &json!({ "definitions": definitions })).unwrap()
    }

    #[track_caller]
    fn finds(object: Json, expected: Option<&[&str]>) {
        let found = api().check(&Object { json: object }).unwrap();
        let Some(expected) = expected else { return assert!(found.is_none()) };
        let found = found.expect("a kind that is known");
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, words) in found.iter().zip(expected) {
            assert!(found.contains(words), "{found}: {words}");
        }
    }

    #[test]
    fn wrong_fields_are_found_at_any_depth() {
        let service = |ports: Json| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" }, "ports": ports });
        finds(service(json!([{ "port": 1 }, { "port": "http" }])), Some(&[]));
        finds(service(json!([{ "port": 1, "prot": "TCP" }])), Some(&["/ports/0"]));
        finds(service(json!([{}])), Some(&["port"]));
        finds(service(json!([{ "port": 1.5 }])), Some(&["1.5"]));
        finds(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "labels": { "a": 1 } } }), Some(&["/metadata/labels/a"]));
        finds(json!({ "apiVersion": "v1", "kind": "Service", "extra": 1 }), Some(&["extra"]));
        finds(json!({ "apiVersion": "v2", "kind": "Service" }), None);
    }
}

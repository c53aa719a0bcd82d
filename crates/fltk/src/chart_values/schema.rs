//! From types to a schema for helm: of draft 7, the newest that every helm 3 knows, and no larger than it must be.

use fltk_cluster::kubernetes::config::KubernetesConfig;
use fltk_core::experiment::{self, ConfigFormat};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

/// Begins the names of Kubernetes' own types.
const KUBERNETES_TYPES: &str = "io.k8s.";

/// The schema of the values `T` of `chart`. Nothing is required: values.yaml has everything.
pub fn of<T: JsonSchema + DeserializeOwned>(chart: &str) -> Json {
    let mut schema = ConfigFormat::<T>::new("values", "").json_schema().clone();
    each_object(&mut schema, &mut |name, object| {
        if !name.starts_with(KUBERNETES_TYPES) {
            object.remove("required");
        }
    });
    let mut schema = cleaned(schema);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = format!("values of charts/{chart}").into();
    schema
}

/// Puts the program's own schemas where the orchestrator's values have what the program reads.
pub fn of_orchestrator(mut schema: Json) -> Json {
    let experiment = adopt(&mut schema, "experiment", experiment::json_schema());
    let kubernetes = adopt(&mut schema, "kubernetes", KubernetesConfig::json_schema()["properties"]["kubernetes"].clone());
    adopt_definitions(&mut schema, "kubernetes", &KubernetesConfig::json_schema()["$defs"]);
    let orchestrator = &mut schema["definitions"]["Orchestrator"]["properties"];
    // KFLTK's are told by `trainTasks`; the program checks those itself, as it does all text.
    let is_ours = json!({ "type": "object", "not": { "required": ["trainTasks"] } });
    let mut put = |name: &str, when: Option<(Json, Json)>| {
        let description = orchestrator[name]["description"].clone();
        orchestrator[name] = json!({ "description": description, "type": ["null", "string", "object"] });
        if let Some((when, then)) = when {
            orchestrator[name]["if"] = when;
            orchestrator[name]["then"] = then;
        }
    };
    put("experiment", Some((is_ours, experiment)));
    put("configuration", None);
    put("kubernetes", Some((json!({ "type": "object" }), kubernetes)));
    schema
}

/// Makes `theirs` a definition `name` of `schema`, with all that it refers to; a reference to it.
fn adopt(schema: &mut Json, name: &str, mut theirs: Json) -> Json {
    if let Some(definitions) = theirs.as_object_mut().and_then(|object| object.remove("$defs")) {
        adopt_definitions(schema, name, &definitions);
    }
    let mut theirs = cleaned(theirs);
    renamed(&mut theirs, name);
    if let Some(object) = theirs.as_object_mut() {
        object.remove("$schema");
    }
    schema["definitions"][name] = theirs;
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// Takes over `definitions`, which `of` begins the names of; but Kubernetes' own types are the same everywhere.
fn adopt_definitions(schema: &mut Json, of: &str, definitions: &Json) {
    for (name, definition) in definitions.as_object().into_iter().flatten() {
        let mut definition = cleaned(definition.clone());
        renamed(&mut definition, of);
        if name.starts_with(KUBERNETES_TYPES) {
            describe_no_more(&mut definition);
        }
        schema["definitions"][adopted_name(of, name)] = definition;
    }
}

fn adopted_name(of: &str, name: &str) -> String {
    if name.starts_with(KUBERNETES_TYPES) { name.to_owned() } else { format!("{of}.{name}") }
}

/// References within what was adopted, by its new names.
fn renamed(schema: &mut Json, of: &str) {
    each(schema, &mut |schema| {
        if let Some(Json::String(reference)) = schema.get_mut("$ref")
            && let Some(name) = reference.strip_prefix("#/definitions/")
        {
            *reference = format!("#/definitions/{}", adopted_name(of, name));
        }
    });
}

/// In draft 7, without formats: ours are none of its own, and its `duration` is another than ours.
fn cleaned(mut schema: Json) -> Json {
    each(&mut schema, &mut |object| {
        object.remove("format");
        if let Some(Json::String(reference)) = object.get_mut("$ref") {
            *reference = reference.replacen("#/$defs/", "#/definitions/", 1);
        }
        if let Some(definitions) = object.remove("$defs") {
            object.insert("definitions".to_owned(), definitions);
        }
    });
    for (name, definition) in schema.get_mut("definitions").and_then(Json::as_object_mut).into_iter().flatten() {
        if name.starts_with(KUBERNETES_TYPES) {
            describe_no_more(definition);
        }
    }
    schema
}

/// Kubernetes' own words are in its own documentation, and would be two thirds of all.
fn describe_no_more(schema: &mut Json) {
    each(schema, &mut |object| {
        object.remove("description");
    });
}

/// Calls `change` with each definition's name and object; the schema's own is empty.
fn each_object(schema: &mut Json, change: &mut dyn FnMut(&str, &mut Map<String, Json>)) {
    let Some(root) = schema.as_object_mut() else { return };
    change("", root);
    for (name, definition) in root.get_mut("$defs").and_then(Json::as_object_mut).into_iter().flatten() {
        if let Some(definition) = definition.as_object_mut() {
            change(name, definition);
        }
    }
}

/// Calls `change` with every schema in `schema`, and with itself, inner ones last. What is a name of a property is no keyword.
fn each(schema: &mut Json, change: &mut dyn FnMut(&mut Map<String, Json>)) {
    let Some(object) = schema.as_object_mut() else { return };
    change(object);
    for (keyword, value) in object.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "definitions", Json::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| each(schema, change));
            }
            ("oneOf" | "anyOf" | "allOf", Json::Array(schemas)) => schemas.iter_mut().for_each(|schema| each(schema, change)),
            ("items" | "additionalProperties" | "not" | "if" | "then" | "propertyNames", schema) => each(schema, change),
            _ => {}
        }
    }
}

//! The generation of a JSON Schema for Helm from types: in draft 7, the newest draft that every Helm 3 supports, and as small as possible.

use fltk_experiment::ConfigFormat;
use fltk_kubernetes::config::KubernetesConfig;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

/// The prefix of the names of Kubernetes' own types.
const KUBERNETES_TYPES: &str = "io.k8s.";

/// Returns the schema of the values `T` of `chart`. No property is required: values.yaml has a default for each.
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

/// Inserts the program's own schemas for those of the orchestrator's values that the program reads.
pub fn of_orchestrator(mut schema: Json) -> Json {
    let experiment = adopt(&mut schema, "experiment", fltk_experiment::json_schema(fltk_catalogue::catalogues()));
    let kubernetes = adopt(&mut schema, "kubernetes", KubernetesConfig::json_schema()["properties"]["kubernetes"].clone());
    adopt_definitions(&mut schema, "kubernetes", &KubernetesConfig::json_schema()["$defs"]);
    let orchestrator = &mut schema["definitions"]["Orchestrator"]["properties"];
    // KFLTK's experiments are recognized by `trainTasks`; the program checks those itself, as it does all text.
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

/// Adds `theirs` to `schema` as the definition `name`, with everything that it refers to; returns a reference to it.
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

/// Adds `definitions` to `schema` with `of` as a prefix of their names, except for Kubernetes' own types, which are the same everywhere.
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

/// Rewrites the references within an adopted schema to the definitions' new names.
fn renamed(schema: &mut Json, of: &str) {
    each(schema, &mut |schema| {
        if let Some(Json::String(reference)) = schema.get_mut("$ref")
            && let Some(name) = reference.strip_prefix("#/definitions/")
        {
            *reference = format!("#/definitions/{}", adopted_name(of, name));
        }
    });
}

/// Converts `schema` to draft 7 and removes formats: draft 7 doesn't define ours, and the standard `duration` differs from ours.
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

/// Removes the descriptions of a Kubernetes type: they are in Kubernetes' own documentation, and would be two thirds of the schema.
fn describe_no_more(schema: &mut Json) {
    each(schema, &mut |object| {
        object.remove("description");
    });
}

/// Calls `change` with each definition's name and object; the name of the schema itself is empty.
fn each_object(schema: &mut Json, change: &mut dyn FnMut(&str, &mut Map<String, Json>)) {
    let Some(root) = schema.as_object_mut() else { return };
    change("", root);
    for (name, definition) in root.get_mut("$defs").and_then(Json::as_object_mut).into_iter().flatten() {
        if let Some(definition) = definition.as_object_mut() {
            change(name, definition);
        }
    }
}

/// Calls `change` with `schema` itself and every schema in it, inner ones last. The name of a property is not taken for a keyword.
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

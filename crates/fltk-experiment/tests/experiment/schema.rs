//! The JSON Schema of experiment files: its references, and its defaults.

use fltk_catalogue::catalogues;
use fltk_experiment::json_schema;
use serde_json::Value as Json;

/// All defaults of the format, with their documentation.
const DEFAULTS: &str = include_str!("../../src/defaults.yaml");

#[test]
fn defaults_are_in_the_schema() {
    let defaults: Json = serde_saphyr::from_str(DEFAULTS).expect("YAML");
    let schema = json_schema(catalogues());
    let lands = |object: &Json, values: &Json, at: &str| {
        for (key, value) in values.as_object().expect("a block") {
            assert_eq!(object["properties"][key]["default"], *value, "{at}.{key}");
        }
    };
    for (name, values) in defaults.as_object().expect("blocks") {
        let object = if name == "experiment" { &schema } else { &schema["$defs"][name] };
        match object.get("oneOf").and_then(Json::as_array) {
            None => lands(object, values, name),
            Some(variants) => {
                for (tag, values) in values.as_object().expect("variants") {
                    let variant = variants.iter().find(|variant| variant["properties"]["type"]["const"] == *tag);
                    lands(variant.unwrap_or_else(|| panic!("{name} has no {tag}")), values, name);
                }
            }
        }
    }
}

#[test]
fn references_are_defined() {
    fn check(definitions: &Json, schema: &Json) {
        match schema {
            Json::Object(map) => {
                if let Some(reference) = map.get("$ref") {
                    let name = reference.as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
                    assert!(name.is_some_and(|name| definitions.get(name).is_some()), "{schema}");
                }
                map.values().for_each(|value| check(definitions, value));
            }
            Json::Array(items) => items.iter().for_each(|item| check(definitions, item)),
            _ => {}
        }
    }
    let schema = json_schema(catalogues());
    check(&schema["$defs"], &schema);
}

#[test]
fn keys_are_documented() {
    fn check(definitions: &Json, schema: &Json, at: &str) {
        match schema {
            Json::Object(map) => {
                for (key, property) in map.get("properties").and_then(Json::as_object).into_iter().flatten() {
                    let reference = property["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
                    let definition = reference.map_or(&Json::Null, |name| &definitions[name]);
                    let has_doc = |schema: &Json| schema["description"].as_str().is_some_and(|doc| !doc.is_empty());
                    let is_name = property.get("const").is_some();
                    assert!(is_name || has_doc(property) || has_doc(definition), "`{key}` in {at} has no description");
                }
                map.iter().for_each(|(key, value)| check(definitions, value, &format!("{at}/{key}")));
            }
            Json::Array(items) => items.iter().enumerate().for_each(|(index, item)| check(definitions, item, &format!("{at}/{index}"))),
            _ => {}
        }
    }
    let schema = json_schema(catalogues());
    check(&schema["$defs"], &schema, "#");
}

//! JSON Schemas: the single description of each format. It checks files, fills in defaults and is published for editors.

use std::sync::LazyLock;

use fltk_core::catalogue::Catalogues;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json};

use super::{entries, file::ExperimentFile, tree};

/// All defaults of our format, with their documentation.
const DEFAULTS: &str = include_str!("defaults.yaml");

/// The schema of our format without the definitions that are catalogues.
static BASE: LazyLock<Json> = LazyLock::new(|| {
    let mut schema = generate::<ExperimentFile>();
    if let Ok(defaults) = tree::read(DEFAULTS, 0, &mut Vec::new()) {
        apply_defaults(&mut schema, "experiment", &defaults.to_json());
    }
    schema
});

/// Returns the JSON Schema (draft 2020-12) of our experiment files, with all defaults. Editors complete and check files with it.
#[must_use]
pub fn json_schema(catalogues: &Catalogues) -> Json {
    experiment(catalogues).clone()
}

/// Returns the schema of our format.
pub(crate) fn experiment(catalogues: &Catalogues) -> &Json {
    catalogues.schema(|| with_catalogues(BASE.clone(), catalogues))
}

/// Returns the schema of our format without the definitions that are catalogues.
pub(crate) fn base() -> &'static Json {
    &BASE
}

/// Returns the schema of `T`, in which every object is closed, with the definitions that are catalogues.
pub(crate) fn generate_with<T: JsonSchema>(catalogues: &Catalogues) -> Json {
    with_catalogues(generate::<T>(), catalogues)
}

fn with_catalogues(mut schema: Json, catalogues: &Catalogues) -> Json {
    entries::apply(&mut schema, catalogues);
    schema
}

/// Returns the default of `block.key` in our format.
pub(crate) fn default_of<T: serde::de::DeserializeOwned>(block: &str, key: &str) -> Option<T> {
    let default = BASE.get("$defs")?.get(block)?.get("properties")?.get(key)?.get("default")?;
    serde_json::from_value(default.clone()).ok()
}

/// Returns the schema of `T`, in which every object is closed.
pub(crate) fn generate<T: JsonSchema>() -> Json {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    close_objects(&mut schema);
    schema
}

/// Returns the definition that `schema` refers to, or `schema` itself.
pub(crate) fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let name = schema.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix("#/$defs/"));
    name.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

/// Returns the alternatives of a union.
pub(crate) fn alternatives(schema: &Json) -> Option<&Vec<Json>> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Json::as_array)
}

/// Returns the property that distinguishes the alternatives of a union of objects, such as `type`.
pub(crate) fn tag_of<'a>(root: &'a Json, alternatives: &'a [Json]) -> Option<&'a str> {
    let tag = |alternative: &'a Json| {
        let properties = resolve(root, alternative).get("properties")?.as_object()?;
        properties.iter().find(|(_, schema)| schema.get("const").is_some()).map(|(name, _)| name.as_str())
    };
    let first = tag(alternatives.first()?)?;
    alternatives.iter().all(|alternative| tag(alternative) == Some(first)).then_some(first)
}

fn close_objects(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            if map.contains_key("properties") {
                map.entry("additionalProperties").or_insert(Json::Bool(false));
            }
            map.values_mut().for_each(close_objects);
        }
        Json::Array(items) => items.iter_mut().for_each(close_objects),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Writes the defaults of each block (`blocks[definition][key]`, or `blocks[definition][tag][key]` for a union) into the schema. `root` is the name of
/// the outermost block in `blocks`.
pub(crate) fn apply_defaults(schema: &mut Json, root: &str, blocks: &Json) {
    let Some(blocks) = blocks.as_object() else { return };
    for (name, values) in blocks {
        let Some(values) = values.as_object() else { continue };
        if name == root {
            set_defaults(schema, values);
            continue;
        }
        let Some(definition) = schema.get_mut("$defs").and_then(|definitions| definitions.get_mut(name)) else { continue };
        let Some(variants) = definition.get_mut("oneOf").and_then(Json::as_array_mut) else {
            set_defaults(definition, values);
            continue;
        };
        for variant in variants {
            let tag = variant["properties"]["type"]["const"].as_str().unwrap_or_default().to_owned();
            if let Some(values) = values.get(&tag).and_then(Json::as_object) {
                set_defaults(variant, values);
            }
        }
    }
}

fn set_defaults(object: &mut Json, values: &Map<String, Json>) {
    for (key, value) in values {
        if let Some(property) = object.get_mut("properties").and_then(|properties| properties.get_mut(key)).and_then(Json::as_object_mut) {
            property.insert("default".into(), value.clone());
        }
    }
    if let Some(required) = object.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|key| !key.as_str().is_some_and(|key| values.contains_key(key)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn distributed_tasks_begin_with_the_documented_defaults() {
        let new = serde_json::to_value(super::super::DistributedConfig::new(3, 1)).expect("plain data");
        // Optional settings of a task have no default.
        let settings = new.as_object().expect("an object").iter().filter(|(key, value)| *key != "epochs" && !value.is_null());
        for (key, value) in settings {
            assert_eq!(default_of::<Json>("distributed", key).as_ref(), Some(value), "{key}");
        }
    }

    #[test]
    fn every_setting_is_documented_in_the_defaults() {
        fn settings<'a>(schema: &'a Json, found: &mut Vec<&'a str>) {
            if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
                found.extend(properties.keys().map(String::as_str));
            }
            match schema {
                Json::Object(map) => map.values().for_each(|value| settings(value, found)),
                Json::Array(items) => items.iter().for_each(|item| settings(item, found)),
                _ => {}
            }
        }
        // Parameters of entries are documented with their entry.
        let mut found = Vec::new();
        settings(base(), &mut found);
        assert!(found.len() > 50);
        let words: BTreeSet<&str> = DEFAULTS.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for name in found {
            assert!(words.contains(name), "`{name}` isn't in defaults.yaml");
        }
    }
}

//! JSON Schemas of formats, from the types that serde reads, and questions about them.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json};

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

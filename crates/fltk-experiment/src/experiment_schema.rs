//! The JSON Schema of our format: its single description. It checks files, fills in defaults and is published for editors.

use std::sync::LazyLock;

use fltk_core::catalogue::Catalogues;
use serde_json::Value as Json;

use super::{entries, format::ExperimentFile, schema, tree};

/// All defaults of our format, with their documentation.
const DEFAULTS: &str = include_str!("defaults.yaml");

/// The schema of our format without the definitions that are catalogues.
static BASE: LazyLock<Json> = LazyLock::new(|| {
    let mut schema = schema::generate::<ExperimentFile>();
    if let Ok(defaults) = tree::read(DEFAULTS, 0, &mut Vec::new()) {
        schema::apply_defaults(&mut schema, "experiment", &defaults.to_json());
    }
    tell_kinds_apart(&mut schema);
    schema
});

/// Says in the schema that tasks which train need a net and a data set, and commands need their block.
fn tell_kinds_apart(schema: &mut Json) {
    const OF_TRAINING: [&str; 2] = ["network", "dataset"];
    let Some(task) = schema.get_mut("$defs").and_then(|definitions| definitions.get_mut("task")) else { return };
    if let Some(required) = task.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|key| !OF_TRAINING.contains(&key.as_str().unwrap_or_default()));
    }
    task["if"] = serde_json::json!({ "properties": { "kind": { "const": "command" } }, "required": ["kind"] });
    task["then"] = serde_json::json!({ "required": ["command"] });
    task["else"] = serde_json::json!({ "required": OF_TRAINING });
}

/// Returns the JSON Schema (draft 2020-12) of our experiment files, with all defaults. Editors complete and check files with it.
#[must_use]
pub fn json_schema(catalogues: &Catalogues) -> Json {
    experiment(catalogues).clone()
}

/// Returns the schema of our format.
pub(crate) fn experiment(catalogues: &Catalogues) -> &Json {
    catalogues.schema(|| entries::with_catalogues(BASE.clone(), catalogues))
}

/// Returns the schema of our format without the definitions that are catalogues.
pub(crate) fn base() -> &'static Json {
    &BASE
}

/// Returns the default of `block.key` in our format.
pub(crate) fn default_of<T: serde::de::DeserializeOwned>(block: &str, key: &str) -> Option<T> {
    let default = BASE.get("$defs")?.get(block)?.get("properties")?.get(key)?.get("default")?;
    serde_json::from_value(default.clone()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn distributed_tasks_have_the_documented_defaults() {
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

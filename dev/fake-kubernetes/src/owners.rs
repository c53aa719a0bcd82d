//! Ownership of the fields of a job's `spec`: the last manager to set each field, as in `metadata.managedFields`.
//!
//! Objects of other kinds, fields outside `spec`, entries of lists, and owners by server-side apply are not modeled.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::kinds::Kind;

/// The manager's name where a request doesn't state one.
const UNKNOWN: &str = "unknown";

/// The path of a leaf field.
type Path = Vec<String>;

/// Records in `new` that `manager` made it from `old`, which is `null` for a new object. Setting a field to its old value keeps its owner.
pub fn note(kind: &Kind, old: &Value, new: &mut Value, manager: &str) {
    if !kind.is_custom() {
        return;
    }
    let (before, after) = (fields(&old["spec"]), fields(&new["spec"]));
    let changed: BTreeSet<&Path> = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    let mut owners: BTreeMap<String, BTreeSet<Path>> = BTreeMap::new();
    for entry in old["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let owned = fields(&entry["fieldsV1"]["f:spec"]).into_keys().map(|path| path.iter().map(|name| name[2..].to_owned()).collect());
        let kept = owned.filter(|path| !changed.contains(path));
        owners.entry(entry["manager"].as_str().unwrap_or_default().to_owned()).or_default().extend(kept);
    }
    let manager = if manager.is_empty() { UNKNOWN } else { manager };
    let set = changed.into_iter().filter(|path| after.contains_key(*path)).cloned();
    owners.entry(manager.to_owned()).or_default().extend(set);
    let entries = owners.into_iter().filter(|(_, owned)| !owned.is_empty()).map(|(manager, owned)| {
        let mut spec = json!({});
        for path in owned {
            let mut at = &mut spec;
            for name in path {
                at = &mut at[format!("f:{name}")];
            }
            *at = json!({});
        }
        let fields = json!({ "f:spec": spec });
        json!({ "manager": manager, "operation": "Update", "apiVersion": kind.api_version(), "fieldsType": "FieldsV1", "fieldsV1": fields })
    });
    new["metadata"]["managedFields"] = entries.collect();
}

fn fields(object: &Value) -> BTreeMap<Path, &Value> {
    let mut found = BTreeMap::new();
    add(object, &mut Path::new(), &mut found);
    found
}

fn add<'a>(value: &'a Value, path: &mut Path, found: &mut BTreeMap<Path, &'a Value>) {
    match value.as_object().filter(|object| !object.is_empty()) {
        Some(object) => {
            for (name, value) in object {
                path.push(name.clone());
                add(value, path, found);
                path.pop();
            }
        }
        None if value.is_null() => {}
        None => {
            found.insert(path.clone(), value);
        }
    }
}

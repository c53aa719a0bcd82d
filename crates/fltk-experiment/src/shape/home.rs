//! The right place of a misplaced key or name.

use serde_json::Value as Json;

use super::super::schema::{alternatives, resolve, tag_of};

/// The depth of the deepest block that is searched.
const DEPTH_MAX: usize = 8;

/// Returns the place in the format where a key of this name is valid, other than `here`: there it was found, beside keys that it doesn't go with.
pub(crate) fn home_of(root: &Json, key: &str, here: &[&str]) -> Option<String> {
    let mut homes = Vec::new();
    find_homes(root, root, key, &mut Vec::new(), &mut homes);
    homes.retain(|home| *home != named(here));
    homes.sort_by_key(String::len);
    homes.into_iter().next()
}

/// Returns the block that has `text` as a type, such as `strategy` for `FedProx`.
pub(super) fn kind_of<'a>(root: &'a Json, text: &str) -> Option<&'a str> {
    let definitions = root.get("$defs")?.as_object()?;
    // Beside the entries of a catalogue, there may be code of the user's own.
    let knows = |definition: &'a Json| {
        let of_union = |variants: &'a Vec<Json>| {
            let tag = tag_of(root, variants)?;
            variants.iter().find(|variant| resolve(root, variant)["properties"][tag]["const"] == text)
        };
        let variants = alternatives(definition)?;
        of_union(variants).or_else(|| variants.iter().filter_map(alternatives).find_map(of_union))
    };
    definitions.iter().find(|(_, definition)| knows(definition).is_some()).map(|(name, _)| name.as_str())
}

/// Returns the place `path` in words.
fn named(path: &[&str]) -> String {
    if path.is_empty() { "at the top of the file".to_owned() } else { format!("in `{}`", path.join(".")) }
}

fn find_homes<'a>(root: &'a Json, schema: &'a Json, key: &str, path: &mut Vec<&'a str>, homes: &mut Vec<String>) {
    if path.len() > DEPTH_MAX {
        return;
    }
    let schema = resolve(root, schema);
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        if properties.get(key).is_some_and(|property| property.get("x-no-effect").is_none()) {
            homes.push(named(path));
        }
        for (name, property) in properties {
            if !path.contains(&name.as_str()) {
                path.push(name);
                find_homes(root, property, key, path, homes);
                path.pop();
            }
        }
    }
    for alternative in alternatives(schema).into_iter().flatten() {
        find_homes(root, alternative, key, path, homes);
    }
    if let Some(items) = schema.get("items") {
        find_homes(root, items, key, path, homes);
    }
}

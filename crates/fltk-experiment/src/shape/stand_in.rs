//! Valid values that replace wrong ones, so that reading continues and finds further problems.

use serde_json::{Map, Value as Json};

use super::super::schema::{alternatives, resolve};

/// The depth of the deepest block that is filled in.
const DEPTH_MAX: usize = 8;

/// Returns the plainest valid value for `schema`.
pub(super) fn stand_in(root: &Json, schema: &Json, depth: usize) -> Option<Json> {
    if depth > DEPTH_MAX {
        return None;
    }
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        return Some(default.clone());
    }
    let schema = resolve(root, schema);
    if let Some(only) = schema.get("const") {
        return Some(only.clone());
    }
    if let Some(first) = schema.get("enum").and_then(|names| names.get(0)) {
        return Some(first.clone());
    }
    if let Some(alternatives) = alternatives(schema) {
        return stand_in(root, alternatives.first()?, depth + 1);
    }
    let kind = match schema.get("type")? {
        Json::String(one) => one.as_str(),
        several => several.get(0)?.as_str()?,
    };
    Some(match (kind, schema.get("format").and_then(Json::as_str)) {
        ("string", Some("quantity")) => "1".into(),
        ("string", Some("duration")) => "1s".into(),
        ("string", _) => "unnamed".into(),
        ("boolean", _) => false.into(),
        ("integer" | "number", _) => number_within(schema),
        ("array", _) => {
            let num_items = schema.get("minItems").and_then(Json::as_u64).unwrap_or(0);
            let item = stand_in(root, schema.get("items")?, depth + 1)?;
            (0..num_items).map(|_| item.clone()).collect()
        }
        ("object", _) => {
            let properties = schema.get("properties")?.as_object()?;
            let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
            let values = required.map(|key| Some((key.to_owned(), stand_in(root, properties.get(key)?, depth + 1)?)));
            Json::Object(values.collect::<Option<Map<_, _>>>()?)
        }
        _ => return None,
    })
}

/// Returns a number within the bounds of `schema`, a whole one if there is one: the smallest, otherwise 1 or a number nearby.
fn number_within(schema: &Json) -> Json {
    let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
    let (above, below) = (bound("exclusiveMinimum"), bound("exclusiveMaximum"));
    let max = bound("maximum").or(below);
    if let Some(min) = schema.get("minimum") {
        return min.clone();
    }
    let fits = |value: f64| above.is_none_or(|above| value > above) && max.is_none_or(|max| value < max || below.is_none() && value == max);
    let nearby = [Some(1.0), above.map(|above| above.floor() + 1.0), max.map(|max| max.ceil() - 1.0)];
    let whole = nearby.into_iter().flatten().find(|value| fits(*value));
    match (whole, above, max) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number close to a bound of a schema, which is small")]
        (Some(whole), ..) => (whole as i64).into(),
        (None, Some(above), Some(max)) => f64::midpoint(above, max).into(),
        (None, ..) => 1.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stand_in_numbers_lie_within_bounds() {
        let check = |bounds: Json, fits: fn(f64) -> bool| {
            for kind in ["number", "integer"] {
                let mut schema = bounds.clone();
                schema["type"] = kind.into();
                let value = stand_in(&schema, &schema, 0).and_then(|value| value.as_f64());
                // No whole number lies between 0 and 0.5.
                let is_impossible = kind == "integer" && bounds["maximum"] == 0.5;
                assert!(is_impossible || value.is_some_and(fits), "{schema}: {value:?}");
            }
        };
        check(json!({}), |_| true);
        check(json!({ "minimum": 3 }), |value| value >= 3.0);
        check(json!({ "exclusiveMinimum": 0.0 }), |value| value > 0.0);
        check(json!({ "exclusiveMinimum": 7.0 }), |value| value > 7.0);
        check(json!({ "maximum": -2 }), |value| value <= -2.0);
        check(json!({ "exclusiveMaximum": 1.0 }), |value| value < 1.0);
        check(json!({ "exclusiveMinimum": 0.0, "maximum": 0.5 }), |value| value > 0.0 && value <= 0.5);
        check(json!({ "exclusiveMinimum": 0.0, "exclusiveMaximum": 100.0 }), |value| value > 0.0 && value < 100.0);
        check(json!({ "minimum": 0.0, "exclusiveMaximum": 1.0 }), |value| (0.0..1.0).contains(&value));
    }
}

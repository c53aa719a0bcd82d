//! Tests that compare the schemas with the charts' own values.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::*;

fn chart(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts").join(name)
}

fn values(name: &str) -> Json {
    serde_saphyr::from_str(&fs::read_to_string(chart(name).join("values.yaml")).unwrap()).unwrap()
}

/// Returns the name and the resolved schema of each property of `schema`.
fn properties<'a>(root: &'a Json, schema: &'a Json) -> impl Iterator<Item = (&'a String, &'a Json)> {
    let schema = resolve(root, schema);
    schema.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(name, schema)| (name, resolve(root, schema)))
}

fn resolve<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let name = schema.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix("#/definitions/"));
    name.map_or(schema, |name| resolve(root, root["definitions"].get(name).unwrap_or_else(|| panic!("no definition `{name}`"))))
}

/// Collects into `found` our own settings that `values` lack. Settings of Kubernetes' types are left to the user.
fn missing(root: &Json, schema: &Json, values: &Json, at: &str, found: &mut Vec<String>) {
    for (name, schema) in properties(root, schema) {
        let at = format!("{at}.{name}");
        let is_of_kubernetes = ["affinity", "resources", "podSecurityContext", "securityContext", "from"].contains(&name.as_str());
        match values.get(name) {
            None => found.push(at),
            Some(values) if !is_of_kubernetes && values.is_object() => missing(root, schema, values, &at, found),
            Some(_) => {}
        }
    }
}

#[test]
fn settings_of_a_chart_are_in_its_values() {
    for (of, name) in [(Chart::Extractor, "extractor"), (Chart::Orchestrator, "orchestrator")] {
        let (schema, values) = (json_schema(of), values(name));
        let mut found = Vec::new();
        missing(&schema, &schema["properties"][name], &values[name], name, &mut found);
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
    let (schema, values) = (json_schema(Chart::Extractor), values("extractor"));
    let mut found = Vec::new();
    for shared in ["fltk", "provider", "storage"] {
        missing(&schema, &schema["properties"][shared], &values[shared], shared, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn values_match_their_types() {
    serde_json::from_value::<ExtractorValues>(values("extractor")).unwrap();
    serde_json::from_value::<OrchestratorValues>(values("orchestrator")).unwrap();
}

#[test]
fn shared_values_of_both_charts_have_the_same_defaults() {
    fn compare(left: &Json, right: &Json, at: &str) {
        let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else {
            assert_eq!(left, right, "{at}");
            return;
        };
        for (name, left) in left {
            if let Some(right) = right.get(name) {
                compare(left, right, &format!("{at}.{name}"));
            }
        }
    }
    let (extractor, orchestrator) = (values("extractor"), values("orchestrator"));
    compare(&extractor, &orchestrator, "");
    // The file for both charts has no other defaults than the charts.
    let both: Json = serde_saphyr::from_str(&fs::read_to_string(chart("fltk-values.yaml")).unwrap()).unwrap();
    compare(&both, &extractor, "");
    compare(&both, &orchestrator, "");
}

#[test]
fn references_are_defined_and_definitions_are_used() {
    fn references(schema: &Json, found: &mut BTreeSet<String>) {
        match schema {
            Json::Object(map) => {
                if let Some(name) = map.get("$ref").and_then(Json::as_str) {
                    found.insert(name.strip_prefix("#/definitions/").expect("a definition").to_owned());
                }
                map.values().for_each(|value| references(value, found));
            }
            Json::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    for chart in [Chart::Extractor, Chart::Orchestrator] {
        let schema = json_schema(chart);
        let mut found = BTreeSet::new();
        references(&schema, &mut found);
        let defined: BTreeSet<String> = schema["definitions"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(found.difference(&defined).collect::<Vec<_>>(), Vec::<&String>::new(), "{chart:?}: not defined");
        assert_eq!(defined.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new(), "{chart:?}: not used");
        let text = schema.to_string();
        assert!(!text.contains("$defs") && !text.contains("\"format\":\""), "{chart:?}: of another dialect");
    }
}

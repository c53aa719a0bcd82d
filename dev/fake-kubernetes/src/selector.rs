//! Selection of the objects of a list or a watch, by labels and by fields.

use serde_json::Value;

use crate::answer::Failure;

/// A selector, all of whose requirements have to hold. The default selects every object.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<(String, Requirement)>,
    /// JSON pointers with the text to compare, and true for equality.
    fields: Vec<(&'static str, String, bool)>,
}

#[derive(Clone, Debug)]
enum Requirement {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// The selectable fields, with their JSON pointers.
const FIELDS: &[(&str, &str)] = &[
    ("metadata.name", "/metadata/name"),
    ("metadata.namespace", "/metadata/namespace"),
    ("spec.nodeName", "/spec/nodeName"),
    ("status.phase", "/status/phase"),
    ("type", "/type"),
    ("involvedObject.name", "/involvedObject/name"),
    ("involvedObject.uid", "/involvedObject/uid"),
];

impl Selector {
    /// Parses the query parameters `labelSelector` and `fieldSelector`.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split(labels).into_iter().map(requirement).collect::<Result<_, _>>()?;
        let fields = split(fields).into_iter().map(field).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        let labels = self.labels.iter().all(|(key, requirement)| match (requirement, label(key)) {
            (Requirement::In(values), Some(value)) => values.iter().any(|wanted| wanted == value),
            (Requirement::In(_), None) | (Requirement::Exists, None) => false,
            (Requirement::NotIn(values), Some(value)) => values.iter().all(|unwanted| unwanted != value),
            (Requirement::Absent, Some(_)) => false,
            (Requirement::NotIn(_) | Requirement::Absent, None) | (Requirement::Exists, Some(_)) => true,
        });
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        labels && self.fields.iter().all(|(pointer, value, equal)| (text(pointer) == value) == *equal)
    }
}

/// The terms of `text`. Commas within parentheses don't separate terms.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let terms = text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    terms.map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn requirement(term: &str) -> Result<(String, Requirement), Failure> {
    let set = |values: &str| values.trim_matches(['(', ')', ' ']).split(',').map(|value| value.trim().to_owned()).collect();
    let one = |value: &str| vec![value.trim().to_owned()];
    let (key, requirement) = if let Some((key, values)) = term.split_once(" notin ") {
        (key, Requirement::NotIn(set(values)))
    } else if let Some((key, values)) = term.split_once(" in ") {
        (key, Requirement::In(set(values)))
    } else if let Some((key, value)) = term.split_once("!=") {
        (key, Requirement::NotIn(one(value)))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (key, Requirement::In(one(value)))
    } else if let Some(key) = term.strip_prefix('!') {
        (key, Requirement::Absent)
    } else {
        (term, Requirement::Exists)
    };
    let key = key.trim();
    if key.is_empty() || key.contains([' ', '(', ')']) {
        return Err(Failure::new(400, "BadRequest", format!("unable to parse requirement: `{term}`")));
    }
    Ok((key.to_owned(), requirement))
}

fn field(term: &str) -> Result<(&'static str, String, bool), Failure> {
    let parts = term.split_once("!=").map(|(name, value)| (name, value, false));
    let parts = parts.or_else(|| term.split_once("==").or_else(|| term.split_once('=')).map(|(name, value)| (name, value, true)));
    let (name, value, equal) = parts.ok_or_else(|| Failure::new(400, "BadRequest", format!("invalid selector: '{term}'")))?;
    let known = FIELDS.iter().find(|(known, _)| *known == name);
    let (_, pointer) = known.ok_or_else(|| Failure::new(400, "BadRequest", format!("\"{name}\" is not a known field selector")))?;
    Ok((pointer, value.to_owned(), equal))
}

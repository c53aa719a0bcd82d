//! `--set a.b=c`: values that replace those of a file.

use std::str::FromStr;

use thiserror::Error;

use super::{
    report::Problem,
    source::{Span, quote},
    tree::{Entry, Node, Value, read},
};

/// A value that replaces one in a file, such as `tasks.0.train.batch_size=64`. Indices of lists count from 0; the value is YAML.
///
/// ```
/// use fltk_experiment::Override;
/// let set: Override = "tasks.0.train.batch_size=64".parse()?;
/// assert_eq!((set.path.join("/").as_str(), set.value.as_str()), ("tasks/0/train/batch_size", "64"));
/// # Ok::<(), fltk_experiment::OverrideError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Keys and indices from the root; never empty.
    pub path: Vec<String>,
    /// The value, as YAML.
    pub value: String,
}

/// The reason why a text isn't an [`Override`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// The text has no `=`.
    #[error("`{0}` has no `=`\nhint: write it as `tasks.0.train.batch_size=64`")]
    NoEquals(String),
    /// The path has an empty part.
    #[error("the path of `{0}` has an empty part\nhint: write it as `tasks.0.train.batch_size=64`")]
    EmptyPart(String),
}

impl FromStr for Override {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Self, OverrideError> {
        let (path, value) = text.split_once('=').ok_or_else(|| OverrideError::NoEquals(text.to_owned()))?;
        let path: Vec<String> = path.split('.').map(|part| part.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err(OverrideError::EmptyPart(text.to_owned()));
        }
        Ok(Self { path, value: value.trim().to_owned() })
    }
}

impl Override {
    /// Returns the text that the spans of its problems point into.
    pub(crate) fn source_text(&self) -> String {
        format!("{}={}", self.path.join("."), self.value)
    }

    /// Puts the value into `root`. `source` is the number of [`Self::source_text`].
    ///
    /// # Errors
    /// If the path leads through a scalar or past the end of a list, or the value isn't YAML.
    pub(crate) fn apply(&self, root: &mut Node, source: usize, problems: &mut Vec<Problem>) -> Result<(), Box<Problem>> {
        let path_text = self.path.join(".");
        let offset = path_text.len() + 1;
        let path_span = Span { source, start: 0, end: path_text.len() };
        let mut value = if self.value.is_empty() {
            Node { span: path_span, value: Value::Null }
        } else {
            // Spaces replace the path, so that spans fit the source's text.
            let padded = format!("{}{}", " ".repeat(offset), self.value);
            read(&padded, source, problems)?
        };
        if value.span.end == 0 {
            value.span = path_span;
        }
        put(root, &self.path, value, path_span)
    }
}

/// Puts `value` at `path` into `root`, and creates missing blocks on the way. `span` is the place of the path.
///
/// # Errors
/// If the path leads through a scalar or past the end of a list.
pub(crate) fn put(root: &mut Node, path: &[String], value: Node, span: Span) -> Result<(), Box<Problem>> {
    let mut at = root;
    for (depth, part) in path.iter().enumerate() {
        if at.value == Value::Null {
            at.value = Value::Map(Vec::new());
        }
        let so_far = || quote(&path[..depth].join("."));
        at = match &mut at.value {
            Value::Map(entries) => {
                let index = entries.iter().position(|entry| entry.key == *part).unwrap_or_else(|| {
                    let node = Node { span, value: Value::Null };
                    entries.push(Entry { key: part.clone(), key_span: span, node });
                    entries.len() - 1
                });
                &mut entries[index].node
            }
            Value::List(items) => {
                let len = items.len();
                part.parse::<usize>().ok().and_then(|index| items.get_mut(index)).ok_or_else(|| {
                    let message = format!("{} is a list of {len} and {} isn't an index into it", so_far(), quote(part));
                    Box::new(Problem::error(span, message).hint("indices count from 0"))
                })?
            }
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Null => {
                let message = format!("{} is a single value and has no {}", so_far(), quote(part));
                return Err(Box::new(Problem::error(span, message)));
            }
        };
    }
    *at = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, set: &str) -> Result<serde_json::Value, String> {
        let mut root = read(text, 0, &mut Vec::new()).expect("valid");
        let set: Override = set.parse().map_err(|error: OverrideError| error.to_string())?;
        set.apply(&mut root, 1, &mut Vec::new()).map_err(|problem| problem.message)?;
        Ok(root.to_json())
    }

    #[test]
    fn overrides_replace_and_add_values() {
        let check = |set, expected| assert_eq!(apply("{a: [{b: 1}]}", set), Ok(expected), "{set}");
        check("a.0.b=2", serde_json::json!({ "a": [{ "b": 2 }] }));
        check("a.0.c.d=[1, x=y]", serde_json::json!({ "a": [{ "b": 1, "c": { "d": [1, "x=y"] } }] }));
        check("a=", serde_json::json!({ "a": null }));
    }

    #[test]
    fn overrides_with_wrong_paths_are_refused() {
        let check = |set, expected: &str| {
            let message = apply("{a: [{b: 1}]}", set).expect_err(set);
            assert!(message.contains(expected), "{message}");
        };
        check("a.1.b=2", "a list of 1");
        check("a.x=2", "isn't an index");
        check("a.0.b.c=2", "a single value");
        check("a..b=2", "empty part");
        check("a", "no `=`");
        check("a=[1", "not valid YAML");
    }
}

//! YAML or JSON text as a tree of nodes with their places.
//!
//! The supported part of YAML is small and safe: one document, no tags, no anchors or aliases (so nothing can expand), no repeated keys, bounded
//! in size and depth.

use saphyr_parser::{Event, Parser, ScalarStyle, Span as YamlSpan};

use super::{
    report::Problem,
    source::{SourceFile, Span, quote},
};

/// The limit on the size of a source in bytes: hundreds of times the largest experiment in use.
pub(crate) const SOURCE_BYTES_MAX: usize = 1 << 20;
/// The limit on nesting; the deepest key of any format here is at depth 9.
const DEPTH_MAX: usize = 32;
/// The limit on nodes, which bounds memory at some megabytes.
const NODES_MAX: usize = 100_000;

/// The limit on keys of one block, ten times the largest block: looking for misspellings compares all pairs of keys.
const KEYS_MAX: usize = 200;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub span: Span,
    pub value: Value,
}

/// The value of a node. Plain scalars follow YAML 1.2's core schema, which covers JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub node: Node,
}

impl Node {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node),
            _ => None,
        }
    }

    pub(crate) fn item(&self, index: usize) -> Option<&Node> {
        match &self.value {
            Value::List(items) => items.get(index),
            _ => None,
        }
    }

    /// Returns the node as JSON, for serde. Floats that JSON can't hold become null; `shape` refuses them earlier. Integers that it can't hold
    /// become floats, which is right where any number is allowed; where an integer is required, `shape` refuses them earlier.
    #[expect(clippy::cast_precision_loss, reason = "only where an f64 is wanted")]
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => serde_json::Number::from_i128(*value).map_or_else(|| (*value as f64).into(), Into::into),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
        }
    }

    /// Converts `json` to nodes whose place is `span`.
    pub(crate) fn from_json(json: &serde_json::Value, span: Span) -> Self {
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(value) => Value::Int(value),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(|item| Self::from_json(item, span)).collect()),
            serde_json::Value::Object(map) => {
                let entry = |(key, value): (&String, _)| Entry { key: key.clone(), key_span: span, node: Self::from_json(value, span) };
                Value::Map(map.iter().map(entry).collect())
            }
        };
        Self { span, value }
    }

    /// Returns a description for messages, with the text of the node.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => quote(&value.to_string()),
            Value::Int(value) => quote(&value.to_string()),
            Value::Float(value) => quote(&format!("{value:?}")),
            Value::Text(text) => format!("the text {}", quote(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a block of keys".to_owned(),
        }
    }
}

/// The meaning of a null in the upper of two merged trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullMeans {
    /// The setting is absent.
    Nothing,
    /// The lower value stays, as in KFLTK.
    Unchanged,
}

/// Merges `over` into `base`: its leaves win, blocks merge key by key, and a block with another `type` replaces the whole block.
pub(crate) fn merge(base: &Node, over: &Node, null: NullMeans) -> Node {
    if over.value == Value::Null && null == NullMeans::Unchanged {
        return base.clone();
    }
    let (Value::Map(old), Value::Map(new)) = (&base.value, &over.value) else { return over.clone() };
    let kind = |node: &Node| node.get("type").map(|kind| kind.value.clone());
    if null == NullMeans::Nothing && kind(over).is_some() && kind(base) != kind(over) {
        return over.clone();
    }
    let mut merged = old.clone();
    for entry in new {
        match merged.iter_mut().find(|existing| existing.key == entry.key) {
            Some(existing) => *existing = Entry { node: merge(&existing.node, &entry.node, null), ..entry.clone() },
            None => merged.push(entry.clone()),
        }
    }
    Node { span: over.span, value: Value::Map(merged) }
}

/// Returns the tree of `file`, which is source number `source`, like [`read`]. For a file named `.json`, the error says why it isn't JSON.
///
/// # Errors
/// The same as for [`read`].
pub(crate) fn read_file(file: &SourceFile, source: usize, problems: &mut Vec<Problem>) -> Result<Node, Box<Problem>> {
    read(&file.text, source, problems).map_err(|problem| match as_json(file, source) {
        Some(better) if problem.message.starts_with(NOT_YAML) => Box::new(better),
        _ => problem,
    })
}

/// Returns the reason why a file that is named as JSON isn't valid JSON.
fn as_json(file: &SourceFile, source: usize) -> Option<Problem> {
    let is_json = std::path::Path::new(&file.name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let error = serde_json::from_str::<serde::de::IgnoredAny>(&file.text).err().filter(|_| is_json)?;
    // Line and column count from 1, columns in bytes; at the end of a text the column is the last line's length.
    let line_start: usize = file.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let mut start = (line_start + error.column().saturating_sub(1)).min(file.text.len());
    while !file.text.is_char_boundary(start) {
        start -= 1;
    }
    let end = file.text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    let problem = Problem::error(Span { source, start, end }, format!("not valid JSON: {said}"));
    Some(problem.hint("look at this line and the one above: a missing or trailing comma, an open bracket or quote"))
}

/// The beginning of the message for a text that isn't YAML.
const NOT_YAML: &str = "not valid YAML";

/// Returns the tree of `text`, which is source number `source`. Repeated keys are added to `problems`, and the first of them is kept.
///
/// # Errors
/// The problem at which reading had to stop.
pub(crate) fn read(text: &str, source: usize, problems: &mut Vec<Problem>) -> Result<Node, Box<Problem>> {
    let whole = Span { source, start: 0, end: 0 };
    if text.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than an experiment may have ({SOURCE_BYTES_MAX})", text.len());
        return Err(Box::new(Problem::error(whole, message)));
    }
    // The parser counts characters, spans count bytes.
    let offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
    let place = |span: YamlSpan| {
        let at = |index: usize| offsets[index.min(offsets.len() - 1)];
        Span { source, start: at(span.start.index()), end: at(span.end.index()).max(at(span.start.index())) }
    };
    let mut builder = Builder { text, problems, open: Vec::new(), root: None, num_nodes: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let start = offsets[error.marker().index().min(offsets.len() - 1)];
            let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
            let problem = Problem::error(Span { source, start, end }, format!("{NOT_YAML}: {}", error.info()));
            Box::new(problem.hint("look at this line and the one above: an open bracket or quote, or wrong indentation"))
        })?;
        builder.take(event, place(span))?;
    }
    builder.root.ok_or_else(|| Box::new(Problem::error(whole, "the file is empty").hint("an experiment has at least a `name` and `tasks`")))
}

/// An unfinished list or map.
struct Open {
    node: Node,
    /// The key whose value comes next, in a map.
    key: Option<(String, Span)>,
}

struct Builder<'a> {
    text: &'a str,
    problems: &'a mut Vec<Problem>,
    open: Vec<Open>,
    root: Option<Node>,
    num_nodes: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Problem>> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Box::new(Problem::error(span, "a second document begins here").hint("one file describes one experiment")))
            }
            Event::Alias(_) => Err(Box::new(Problem::error(span, "aliases (`*name`) aren't read").hint("write the value out"))),
            Event::Scalar(text, style, anchor, tag) => {
                Self::refuse_extras(anchor, tag.is_some(), span)?;
                if let Some(Open { node: Node { value: Value::Map(_), .. }, key: key @ None }) = self.open.last_mut() {
                    *key = Some((text.into_owned(), span));
                    return Ok(());
                }
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text.into_owned()) };
                self.add(Node { span, value })
            }
            Event::SequenceStart(anchor, tag) => self.start(Value::List(Vec::new()), anchor, tag.is_some(), span),
            Event::MappingStart(anchor, tag) => self.start(Value::Map(Vec::new()), anchor, tag.is_some(), span),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { mut node, .. }) => {
                    let end = span.end.max(node.span.end);
                    node.span.end = node.span.start + self.text[node.span.start..end].trim_end().len();
                    self.add(node)
                }
                None => Ok(()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
        }
    }

    fn start(&mut self, value: Value, anchor: usize, tagged: bool, span: Span) -> Result<(), Box<Problem>> {
        Self::refuse_extras(anchor, tagged, span)?;
        if let Some(Open { node: Node { value: Value::Map(_), .. }, key: None }) = self.open.last() {
            return Err(Box::new(Problem::error(span, "a key must be a name, not a list or a block")));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Box::new(Problem::error(span, format!("nested deeper than {DEPTH_MAX} levels"))));
        }
        self.open.push(Open { node: Node { span, value }, key: None });
        Ok(())
    }

    fn refuse_extras(anchor: usize, tagged: bool, span: Span) -> Result<(), Box<Problem>> {
        if anchor != 0 {
            return Err(Box::new(Problem::error(span, "anchors (`&name`) aren't read").hint("write the value out where it's needed")));
        }
        if tagged {
            return Err(Box::new(Problem::error(span, "tags (`!name`) aren't read").hint("leave the tag out")));
        }
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Box<Problem>> {
        self.num_nodes += 1;
        if self.num_nodes > NODES_MAX {
            return Err(Box::new(Problem::error(node.span, format!("more than {NODES_MAX} values"))));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => {
                if let Some((key, key_span)) = open.key.take() {
                    if entries.len() >= KEYS_MAX {
                        return Err(Box::new(Problem::error(key_span, format!("more than {KEYS_MAX} keys in one block"))));
                    }
                    match entries.iter().find(|entry| entry.key == key) {
                        Some(first) => self.problems.push(
                            Problem::error(key_span, format!("the key {} is given twice", quote(&key)))
                                .label(first.key_span, "first given here")
                                .hint("remove one of the two"),
                        ),
                        None => entries.push(Entry { key, key_span, node }),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
        Ok(())
    }
}

/// Reads a plain scalar by YAML 1.2's core schema, without octal and hexadecimal numbers.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // Rust also reads `inf`, `nan` and `infinity` as numbers, which are texts here.
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) && text.bytes().any(|b| b.is_ascii_digit());
    if numeric && let Ok(value) = text.parse::<i128>() {
        return Value::Int(value);
    }
    if numeric && let Ok(value) = text.parse::<f64>() {
        return Value::Float(value);
    }
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_problem(text: &str) -> String {
        let mut problems = Vec::new();
        match read(text, 0, &mut problems) {
            Ok(_) => problems.first().map(|problem| problem.message.clone()).unwrap_or_default(),
            Err(problem) => problem.message,
        }
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let check = |text: &str, expected: Value| assert_eq!(plain(text), expected, "{text}");
        check("1e-10", Value::Float(1e-10));
        check("1e3", Value::Float(1e3));
        check(".5", Value::Float(0.5));
        check("18446744073709551615", Value::Int(u64::MAX.into()));
        check("no", Value::Text("no".into()));
        check("nan", Value::Text("nan".into()));
        check("1.5min", Value::Text("1.5min".into()));
        check("-", Value::Text("-".into()));
        check("~", Value::Null);
    }

    #[test]
    fn dangerous_yaml_features_are_refused() {
        let check = |text: &str, expected: &str| {
            let message = first_problem(text);
            assert!(message.contains(expected), "{text:.40}: {message}");
        };
        check("a: &x 1\nb: *x", "anchors");
        check("a: !!python/object 1", "tags");
        check("a: 1\na: 2", "given twice");
        check("a: 1\n---\nb: 2", "second document");
        check("", "empty");
        check("? [a]\n: b", "a key must be a name");
        check(&"[".repeat(100), "nested deeper");
        check(&"x".repeat(SOURCE_BYTES_MAX + 1), "bytes");
        check(&format!("[{}]", "1,".repeat(NODES_MAX + 1)), "more than");
        check(&(0..=KEYS_MAX).map(|key| format!("k{key}: 1\n")).collect::<String>(), "keys in one block");
        check("a: [1, 2", "not valid YAML");
        check("a: \"open", "not valid YAML");
    }

    #[test]
    fn invalid_json_is_refused_with_the_reason() {
        let check = |name: &str, text: &str, expected: &str, at: usize| {
            let file = SourceFile { name: name.into(), text: text.into() };
            let problem = read_file(&file, 0, &mut Vec::new()).expect_err(text);
            assert!(problem.message.starts_with(expected), "{text}: {}", problem.message);
            assert_eq!(problem.span.map(|span| span.start), Some(at), "{text}: {}", problem.message);
        };
        check("a.json", "{\n \"a\": [1, 2\n}", "not valid JSON: expected `,` or `]`", 14);
        check("a.JSON", "{\"ä\": \"open", "not valid JSON: EOF while parsing a string", 11);
        check("a.yaml", "a: [1, 2", "not valid YAML", 8);
        check("a.json", "{\"a\": 1}}", "not valid JSON: trailing characters", 8);
    }

    #[test]
    fn json_with_tabs_is_read_with_spans_in_bytes() {
        let text = "{\n\t\"ä\": [1, true, null],\n\t\"b\": \"x\"\n}";
        let node = read(text, 0, &mut Vec::new()).expect("valid");
        let span = node.get("b").expect("present").span;
        assert_eq!(&text[span.start..span.end], "\"x\"");
        assert_eq!(node.get("ä").expect("present").to_json(), serde_json::json!([1, true, null]));
    }

    #[test]
    fn merging_replaces_leaves_and_blocks_of_another_type() {
        let node = |text| read(text, 0, &mut Vec::new()).expect("valid");
        let check =
            |base, over, expected| assert_eq!(merge(&node(base), &node(over), NullMeans::Nothing).to_json(), node(expected).to_json());
        check("{a: 1, b: {c: 2, d: 3}}", "{b: {c: 4}}", "{a: 1, b: {c: 4, d: 3}}");
        check("{o: {type: SGD, momentum: 1}}", "{o: {momentum: 2}}", "{o: {type: SGD, momentum: 2}}");
        check("{o: {type: SGD, momentum: 1}}", "{o: {type: Adam}}", "{o: {type: Adam}}");
        check("{s: {a: 1}}", "{s: null}", "{s: null}");
    }
}

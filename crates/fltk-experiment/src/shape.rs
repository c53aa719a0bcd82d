//! Checks of a tree against a schema: keys, types, names, ranges and units. All problems are found, each with its place, and defaults are
//! filled in on the way.

mod home;
mod siblings;
mod stand_in;

use serde_json::{Map, Value as Json};

pub(crate) use self::home::home_of;
use self::{home::kind_of, siblings::Siblings, stand_in::stand_in};
use super::{
    Duration, Quantity,
    report::{Label, Problem, Severity},
    schema::{alternatives, resolve, tag_of},
    source::{Span, closest, quote, quote_all},
    tree::{Entry, Node, Value},
};

/// The limit on problems for which hints are looked up; nobody reads more, and each lookup searches the whole schema.
const PROBLEMS_EXPLAINED_MAX: usize = 500;
/// The limit on names in a hint.
const NAMES_LISTED_MAX: usize = 24;

/// How strictly a file is read.
#[derive(Clone, Copy)]
pub(crate) enum Reading<'a> {
    /// Our formats: an unknown key is an error, and a misspelled key is read as the key it resembles, to find further problems too.
    Strict,
    /// Formats of programs that ignored unknown keys and took numbers in quotes: an unknown key is left out with a warning.
    Lenient {
        /// The fate of unknown keys there, to follow "`x` isn't a key of `y`: ".
        why: &'a str,
        /// A lookup of the equivalent of an unknown key.
        wish: Wish<'a>,
    },
}

/// Returns a whole number that is written as a float, which JSON Schema also counts as an integer. It is `None` beyond the exact range of a float, where the
/// intended number is unclear.
#[expect(clippy::cast_possible_truncation, reason = "bounds are checked before")]
fn whole(value: f64) -> Option<i128> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT_MAX).then_some(value as i128)
}

/// Checks `node` against `schema`, a definition of `root` or `root` itself. `name` is the name of the node in messages.
pub(crate) fn check(root: &Json, schema: &Json, node: &mut Node, name: &str, problems: &mut Vec<Problem>) {
    check_as(Reading::Strict, root, schema, node, name, problems);
}

/// The same as [`check`], with the strictness `reading`.
pub(crate) fn check_as(reading: Reading<'_>, root: &Json, schema: &Json, node: &mut Node, name: &str, problems: &mut Vec<Problem>) {
    let mut checker = Checker { reading, root, problems, is_wrong: false, without_effect: Vec::new(), path: Vec::new() };
    checker.visit(schema, node, name, None);
    let keys = std::mem::take(&mut checker.without_effect);
    let Some(first) = keys.first().map(|(_, label)| label.span) else { return };
    let message = if keys.len() == 1 { "a key has no effect".to_owned() } else { format!("{} keys have no effect", keys.len()) };
    let note = Problem::new(Severity::Note, Some(first), message);
    problems.push(fold_repeats(keys).into_iter().fold(note, |note, label| note.label(label.span, label.text)));
}

/// Merges labels of the same key with the same reason into the first, with their number.
fn fold_repeats(keys: Vec<(String, Label)>) -> Vec<Label> {
    let mut folded: Vec<(String, Label, usize)> = Vec::new();
    for (key, label) in keys {
        match folded.iter_mut().find(|(known, first, _)| *known == key && first.text == label.text) {
            Some((_, _, count)) => *count += 1,
            None => folded.push((key, label, 1)),
        }
    }
    let text = |text: String, count: usize| match count {
        1 => text,
        2 => format!("{text} (here and once more)"),
        _ => format!("{text} (here and {} times more)", count - 1),
    };
    folded.into_iter().map(|(_, label, count)| Label { text: text(label.text, count), span: label.span }).collect()
}

/// A lookup of the equivalent of an unknown key.
type Wish<'a> = &'a dyn Fn(&str) -> Option<String>;

struct Checker<'a> {
    reading: Reading<'a>,
    root: &'a Json,
    problems: &'a mut Vec<Problem>,
    /// True if the node that is being visited was refused.
    is_wrong: bool,
    /// Keys that are read and have no effect, with the reason.
    without_effect: Vec<(String, Label)>,
    /// The keys on the way to the node that is being visited, without the indices of lists.
    path: Vec<&'a str>,
}

impl<'a> Checker<'a> {
    /// Checks the node. A wrong value is replaced by a valid one, so that further problems are found too. `key_span` is the place of the node's key.
    fn visit(&mut self, schema: &'a Json, node: &mut Node, name: &str, key_span: Option<Span>) {
        self.is_wrong = false;
        self.visit_value(schema, node, name, key_span);
        if std::mem::take(&mut self.is_wrong) {
            let at = self.problems.last().and_then(|problem| problem.span).unwrap_or(node.span);
            if let Some(json) = stand_in(self.root, schema, 0) {
                *node = Node::from_json(&json, at);
            }
        }
    }

    /// Reports that the current node is wrong as a whole.
    fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.is_wrong = true;
    }

    fn visit_value(&mut self, schema: &'a Json, node: &mut Node, name: &str, key_span: Option<Span>) {
        let schema = resolve(self.root, schema);
        let beside = schema.get("x-beside").and_then(Json::as_str);
        if let Some(alternatives) = alternatives(schema) {
            return self.visit_union(alternatives, beside, node, name, key_span);
        }
        if matches!(node.value, Value::Null)
            && schema.get("type").and_then(Json::as_array).is_some_and(|types| types.contains(&"null".into()))
        {
            return;
        }
        if let Some(names) = schema.get("enum").and_then(Json::as_array) {
            let names: Vec<&str> = names.iter().filter_map(Json::as_str).collect();
            return self.check_name(&names, beside, node, name);
        }
        if let Some(only) = schema.get("const").and_then(Json::as_str) {
            return self.check_name(&[only], None, node, name);
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Json::String(one)) => vec![one],
            Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
            _ => return,
        };
        if matches!(self.reading, Reading::Lenient { .. }) {
            coerce(&types, node);
        }
        if let Value::Float(value) = node.value
            && types.contains(&"integer")
            && let Some(whole) = whole(value)
        {
            node.value = Value::Int(whole);
        }
        match (&mut node.value, schema.get("format").and_then(Json::as_str)) {
            (Value::Map(_), _) if types.contains(&"object") => self.visit_object(schema, None, node, name, key_span),
            (Value::List(_), _) if types.contains(&"array") => self.visit_list(schema, node, name),
            (Value::Text(_) | Value::Int(_) | Value::Float(_), Some("quantity")) => self.check_quantity(node, name),
            (Value::Text(text), Some("duration")) => {
                if let Err(error) = text.parse::<Duration>() {
                    self.refuse(
                        Problem::error(node.span, format!("`{name}` isn't a length of time: {} is written", quote(text)))
                            .hint(error.to_string()),
                    );
                }
            }
            (Value::Int(_) | Value::Float(_), Some("duration")) => {
                let text = node.describe();
                self.refuse(
                    Problem::error(node.span, format!("`{name}` has no unit: {text}"))
                        .hint(format!("write it with one, such as `{}s` or `1.5min`", text.trim_matches('`'))),
                );
            }
            (Value::Text(_), _) if types.contains(&"string") => {}
            (Value::Bool(_), _) if types.contains(&"boolean") => {}
            (Value::Int(_) | Value::Float(_), _) if types.contains(&"number") => self.check_range(schema, node, name),
            (Value::Int(_), _) if types.contains(&"integer") => self.check_range(schema, node, name),
            _ => self.wrong_type(&types, node, name),
        }
    }

    fn wrong_type(&mut self, types: &[&str], node: &Node, name: &str) {
        let expected = types.iter().filter(|kind| **kind != "null").map(|kind| match *kind {
            "object" => "a block of keys",
            "array" => "a list",
            "string" => "a text",
            "boolean" => "`true` or `false`",
            "integer" => "a whole number",
            _ => "a number",
        });
        let expected = expected.collect::<Vec<_>>().join(" or ");
        let mut problem = Problem::error(node.span, format!("`{name}` must be {expected}, not {}", node.describe()));
        if let Value::Text(text) = &node.value {
            let unquoted = super::tree::plain(text);
            if matches!(unquoted, Value::Int(_) | Value::Float(_)) && types.iter().any(|kind| matches!(*kind, "integer" | "number")) {
                problem = problem.hint("write the number without quotes");
            } else if matches!(unquoted, Value::Bool(_)) && types.contains(&"boolean") {
                problem = problem.hint("write it without quotes");
            } else if types.contains(&"boolean") && matches!(text.as_str(), "yes" | "no" | "on" | "off") {
                problem = problem.hint("YAML 1.2 knows only `true` and `false`");
            }
        } else if types.contains(&"array") && !matches!(node.value, Value::Null) {
            problem = problem.hint("write a list: `[a, b]`, or items with `-`");
        }
        self.refuse(problem);
    }

    /// Checks a name. `beside` describes what may be written instead of one of the names.
    fn check_name(&mut self, names: &[&str], beside: Option<&str>, node: &Node, name: &str) {
        let Value::Text(text) = &node.value else {
            let message = format!("`{name}` must be a name, not {}", node.describe());
            self.refuse(Problem::error(node.span, message).hint(format!("one of {}", quote_all(names.iter().copied()))));
            return;
        };
        if names.contains(&text.as_str()) {
            return;
        }
        let all = quote_all(names.iter().copied().take(NAMES_LISTED_MAX));
        let hint = match closest(text, names.iter().copied()) {
            Some(near) if near.eq_ignore_ascii_case(text) => format!("case matters: it's {}", quote(near)),
            Some(near) => format!("did you mean {}? known: {all}", quote(near)),
            None => match kind_of(self.root, text) {
                Some(kind) => format!("{} is a `{kind}`; here it's one of {all}", quote(text)),
                None => format!("one of {all}"),
            },
        };
        let hint = beside.map_or_else(|| hint.clone(), |beside| format!("{hint}; {beside}"));
        self.refuse(Problem::error(node.span, format!("{} isn't a known `{name}`", quote(text))).hint(hint));
    }

    fn check_quantity(&mut self, node: &mut Node, name: &str) {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => return,
        };
        match text.parse::<Quantity>() {
            Ok(quantity) if quantity.nanos() > 0 => node.value = Value::Text(text),
            Ok(_) => self.refuse(Problem::error(node.span, format!("`{name}` must be above 0, not {}", quote(&text)))),
            Err(error) => {
                let problem = Problem::error(node.span, format!("`{name}` isn't a Kubernetes quantity: {} is written", quote(&text)));
                let hint = if text.contains(char::is_whitespace) {
                    format!("write it without a space: {}", quote(&text.split_whitespace().collect::<String>()))
                } else if text.ends_with(['B', 'b']) || text.ends_with('K') {
                    format!("{error}; memory is written as `512Mi` or `1Gi`")
                } else {
                    error.to_string()
                };
                self.refuse(problem.hint(hint));
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds of schemas are small; a value that rounds is far outside")]
    fn check_range(&mut self, schema: &Json, node: &Node, name: &str) {
        let value = match node.value {
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            _ => return,
        };
        if !value.is_finite() {
            self.refuse(Problem::error(node.span, format!("`{name}` must be a finite number, not {}", node.describe())));
            return;
        }
        // The limits of the integer type.
        let format = match schema.get("format").and_then(Json::as_str) {
            Some("uint8") => Some((0, i128::from(u8::MAX))),
            Some("uint16") => Some((0, i128::from(u16::MAX))),
            Some("uint32") => Some((0, i128::from(u32::MAX))),
            Some("uint64" | "uint") => Some((0, i128::from(u64::MAX))),
            Some("int32") => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
            Some("int64" | "int") => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
            _ => None,
        };
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        let unheld = match (&node.value, format) {
            (Value::Int(value), Some((min, _))) if *value < min => Some(format!("at least {min}")),
            (Value::Int(value), Some((_, max))) if *value > max && max == i128::from(u64::MAX) => Some("in 0..2^64".to_owned()),
            (Value::Int(value), Some((_, max))) if *value > max => Some(format!("at most {max}")),
            _ => None,
        };
        let limits = [
            bound("minimum").filter(|min| value < *min).map(|min| format!("at least {min}")),
            bound("exclusiveMinimum").filter(|min| value <= *min).map(|min| format!("above {min}")),
            bound("maximum").filter(|max| value > *max).map(|max| format!("at most {max}")),
            bound("exclusiveMaximum").filter(|max| value >= *max).map(|max| format!("below {max}")),
            unheld,
        ];
        if let Some(limit) = limits.into_iter().flatten().next() {
            self.refuse(Problem::error(node.span, format!("`{name}` must be {limit}, not {}", node.describe())));
        }
    }

    fn visit_list(&mut self, schema: &'a Json, node: &mut Node, name: &str) {
        let span = node.span;
        let Value::List(items) = &mut node.value else { return };
        let bound = |key: &str| schema.get(key).and_then(Json::as_u64).and_then(|bound| usize::try_from(bound).ok());
        let (min, max) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(usize::MAX));
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter_mut().enumerate() {
                self.visit(schema, item, &format!("{name}[{index}]"), None);
            }
        }
        if items.len() < min || items.len() > max {
            let wanted = match (min == max, items.len() < min) {
                (true, _) => format!("exactly {min}"),
                (false, true) => format!("at least {min}"),
                (false, false) => format!("at most {max}"),
            };
            let items_word = if (if items.len() < min { min } else { max }) == 1 { "item" } else { "items" };
            self.refuse(Problem::error(span, format!("`{name}` must have {wanted} {items_word}, not {}", items.len())));
        }
    }

    fn visit_union(&mut self, all: &'a [Json], beside: Option<&str>, node: &mut Node, name: &str, key_span: Option<Span>) {
        let is_null = |schema: &&Json| schema.get("type").and_then(Json::as_str) == Some("null");
        if matches!(node.value, Value::Null) && all.iter().any(|schema| is_null(&schema)) {
            return;
        }
        let choices: Vec<&'a Json> = all.iter().filter(|schema| !is_null(schema)).collect();
        if let [only] = choices[..] {
            return self.visit(only, node, name, key_span);
        }
        let names: Vec<&str> = choices.iter().filter_map(|choice| choice.get("const").and_then(Json::as_str)).collect();
        if names.len() == choices.len() {
            return self.check_name(&names, beside, node, name);
        }
        if let Some(siblings) = Siblings::of(self.root, all) {
            return self.visit_tagged(siblings, node, name, key_span);
        }
        // The value is a name, or one of several blocks that are distinguished by their keys.
        if !matches!(node.value, Value::Map(_))
            && let Some(choice) = choices.iter().find(|choice| self.keys_of(choice).is_empty())
        {
            return self.visit(choice, node, name, key_span);
        }
        let num_choices = choices.len();
        let objects: Vec<&'a Json> = choices.into_iter().filter(|choice| !self.keys_of(choice).is_empty()).collect();
        let has_key_of = |choice: &&&Json| self.keys_of(choice).into_iter().any(|key| node.get(key).is_some());
        if let Some(choice) = objects.iter().find(has_key_of).or(if objects.len() == 1 { objects.first() } else { None }) {
            return self.visit(choice, node, name, key_span);
        }
        // Where all choices are blocks, and those of one list have a tag, what isn't recognized is taken for one of these: it says what tags there are.
        let tagged = objects.iter().filter_map(|choice| Siblings::of(self.root, alternatives(resolve(self.root, choice))?));
        if let ([siblings], true) = (&tagged.collect::<Vec<_>>()[..], objects.len() == num_choices) {
            return self.visit_tagged(*siblings, node, name, key_span);
        }
        let unions = objects.iter().filter_map(|choice| alternatives(resolve(self.root, choice)));
        let hint = unions.into_iter().find_map(|all| Siblings::of(self.root, all)?.rewritten(node)).unwrap_or_else(|| {
            let keys = objects.iter().flat_map(|choice| self.keys_of(choice));
            format!("a name, or a block with one of {}", quote_all(keys))
        });
        self.refuse(Problem::error(key_span.unwrap_or(node.span), format!("`{name}` can't be {}", node.describe())).hint(hint));
    }

    /// Returns the keys by which a block is recognized: those of an object, or the tag of a union of objects; those of all alternatives of other unions.
    fn keys_of(&self, schema: &'a Json) -> Vec<&'a str> {
        let schema = resolve(self.root, schema);
        match (schema.get("properties").and_then(Json::as_object), alternatives(schema)) {
            (Some(properties), _) => properties.keys().map(String::as_str).collect(),
            (None, Some(alternatives)) => match tag_of(self.root, alternatives) {
                Some(tag) => vec![tag],
                // A union of unions of blocks, such as known data sets and formats.
                None => alternatives.iter().flat_map(|alternative| self.keys_of(alternative)).collect(),
            },
            (None, None) => Vec::new(),
        }
    }

    fn visit_tagged(&mut self, siblings: Siblings<'a>, node: &mut Node, name: &str, key_span: Option<Span>) {
        let tag = siblings.tag;
        let names: Vec<&str> = siblings.names().collect();
        if !matches!(node.value, Value::Map(_)) {
            let example = closest(&node.describe(), names.iter().copied()).or(names.first().copied()).unwrap_or_default();
            let hint = match &node.value {
                Value::Text(text) if names.contains(&text.as_str()) => format!("write it as `{{ {tag}: {text} }}`"),
                _ => format!("write it as `{{ {tag}: {example} }}`; known: {}", quote_all(names.iter().copied())),
            };
            self.refuse(Problem::error(node.span, format!("`{name}` must be a block with a `{tag}`, not {}", node.describe())).hint(hint));
            return;
        }
        let Some(chosen) = node.get(tag) else {
            let message = format!("`{name}` has no `{tag}`");
            let list = || format!("`{tag}` is one of {}", quote_all(names.iter().copied()));
            let hint = siblings.rewritten(node).unwrap_or_else(list);
            self.refuse(Problem::error(key_span.unwrap_or(node.span), message).hint(hint));
            return;
        };
        match &chosen.value {
            Value::Text(text) if names.contains(&text.as_str()) => {
                let name = format!("{name}: {text}");
                if let Some(variant) = siblings.get(text) {
                    self.visit_object(variant, Some(siblings), node, &name, key_span);
                }
            }
            _ => self.check_name(&names, None, chosen, &format!("{name}.{tag}")),
        }
    }

    /// Checks a block. `siblings` are the alternatives among which its tag has chosen `schema`.
    fn visit_object(&mut self, schema: &'a Json, siblings: Option<Siblings<'a>>, node: &mut Node, name: &str, key_span: Option<Span>) {
        let span = node.span;
        let Value::Map(entries) = &mut node.value else { return };
        let Some(properties) = schema.get("properties").and_then(Json::as_object) else {
            if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
                for entry in entries {
                    self.visit(values, &mut entry.node, &entry.key, Some(entry.key_span));
                }
            }
            return;
        };
        self.check_keys(properties, siblings, entries, name);
        let of = |schema: &'a Json| schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        let required: Vec<&str> = of(schema).chain(branch(schema, entries).into_iter().flat_map(of)).collect();
        for (key, property) in properties {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
                if let Some(reason) = property.get("x-no-effect").and_then(Json::as_str) {
                    self.without_effect.push((entry.key.clone(), Label { span: entry.key_span, text: reason.to_owned() }));
                }
                let key_span = Some(entry.key_span);
                self.path.push(key);
                self.visit(property, &mut entry.node, key, key_span);
                self.path.pop();
            } else if let Some(default) = property.get("default") {
                let at = key_span.unwrap_or(span);
                let mut entry = Entry { key: key.clone(), key_span: at, node: Node::from_json(default, at) };
                self.visit(property, &mut entry.node, key, Some(at));
                entries.push(entry);
            } else if required.contains(&key.as_str()) {
                let problem = Problem::error(key_span.unwrap_or(span), format!("`{}` has no `{key}`", name));
                let hint = self.explain(property).map_or_else(|| format!("add `{key}`"), |text| format!("add `{key}`: {text}"));
                self.problems.push(problem.hint(hint));
                if let Some(json) = stand_in(self.root, property, 0) {
                    let at = key_span.unwrap_or(span);
                    entries.push(Entry { key: key.clone(), key_span: at, node: Node::from_json(&json, at) });
                }
            }
        }
        self.is_wrong = false;
    }

    /// Leaves out unknown keys with a warning.
    fn leave_out(&mut self, properties: &'a Map<String, Json>, entries: &mut Vec<Entry>, name: &str, why: &str, wish: Wish<'_>) {
        for entry in entries.iter().filter(|entry| !properties.contains_key(&entry.key)) {
            // The index is dropped, so that the same key of many jobs is reported once.
            let block = name.split('[').next().unwrap_or(name);
            let written = quote(&entry.key);
            let problem = Problem::new(Severity::Warning, Some(entry.key_span), format!("{written} isn't a key of `{block}`: {why}"));
            let hint = match closest(&entry.key, properties.keys().map(String::as_str)) {
                Some(near) => Some(format!("did you mean {}?", quote(near))),
                None if self.problems.len() >= PROBLEMS_EXPLAINED_MAX => None,
                None => {
                    wish(&entry.key).or_else(|| home_of(self.root, &entry.key, &self.path).map(|home| format!("{written} belongs {home}")))
                }
            };
            self.problems.push(Problem { hint, ..problem });
        }
        entries.retain(|entry| properties.contains_key(&entry.key));
    }

    /// Reports unknown keys. A misspelled key is read as the key it resembles.
    fn check_keys(&mut self, properties: &'a Map<String, Json>, siblings: Option<Siblings<'a>>, entries: &mut Vec<Entry>, name: &str) {
        if let Reading::Lenient { why, wish } = self.reading {
            return self.leave_out(properties, entries, name, why, wish);
        }
        let mut given: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for entry in entries.iter_mut().filter(|entry| !properties.contains_key(&entry.key)) {
            let is_given = |key: &str| given.iter().any(|given| given == key);
            let missing = properties.keys().map(String::as_str).filter(|key| !is_given(key));
            if self.problems.len() >= PROBLEMS_EXPLAINED_MAX {
                self.problems.push(Problem::error(entry.key_span, format!("{} isn't a key of `{name}`", quote(&entry.key))));
                continue;
            }
            let near = closest(&entry.key, missing).or_else(|| closest(&entry.key, properties.keys().map(String::as_str)));
            let written = quote(&entry.key);
            let of_siblings = match siblings {
                Some(siblings) => siblings.owners(&entry.key, properties),
                None => siblings::tags_with(self.root, &entry.key, properties),
            };
            let home = || home_of(self.root, &entry.key, &self.path);
            let hint = match (near, of_siblings.or_else(|| home().map(|home| format!("{written} belongs {home}")))) {
                (Some(near), _) => {
                    if !is_given(near) {
                        near.clone_into(&mut entry.key);
                        given.push(near.to_owned());
                    }
                    format!("did you mean {}?", quote(near))
                }
                (None, Some(elsewhere)) => elsewhere,
                (None, None) => format!("known here: {}", quote_all(properties.keys().take(NAMES_LISTED_MAX).map(String::as_str))),
            };
            self.problems.push(Problem::error(entry.key_span, format!("{written} isn't a key of `{name}`")).hint(hint));
        }
        entries.retain(|entry| properties.contains_key(&entry.key));
    }

    /// Returns the first sentence of a setting's documentation. A period between backticks doesn't end it.
    fn explain(&self, schema: &Json) -> Option<String> {
        let text = schema.get("description").or_else(|| resolve(self.root, schema).get("description"))?.as_str()?;
        let paragraph = text.split("\n\n").next()?.replace('\n', " ");
        let ends = paragraph.match_indices(". ").map(|(at, _)| at);
        let end = ends.into_iter().find(|&at| paragraph[..at].matches('`').count() % 2 == 0).unwrap_or(paragraph.len());
        let sentence = paragraph[..end].trim_end_matches('.');
        Some(uncapitalized(sentence))
    }
}

/// Returns the branch of `if`, `then` and `else` that holds for a block with these entries. The condition is that keys have certain texts.
fn branch<'a>(schema: &'a Json, entries: &[Entry]) -> Option<&'a Json> {
    let wanted = schema.get("if")?.get("properties")?.as_object()?;
    let has = |(key, value): (&String, &Json)| {
        let text = value.get("const").and_then(Json::as_str);
        entries.iter().any(|entry| entry.key == *key && matches!(&entry.node.value, Value::Text(given) if Some(given.as_str()) == text))
    };
    schema.get(if wanted.iter().all(has) { "then" } else { "else" })
}

/// Converts values that Python accepts for one of `types`: numbers in quotes, 0 and 1 for booleans, numbers as texts.
fn coerce(types: &[&str], node: &mut Node) {
    let is_any = |wanted: &[&str]| types.iter().any(|kind| wanted.contains(kind));
    let value = match &node.value {
        Value::Text(text) => super::tree::plain(text),
        value => value.clone(),
    };
    node.value = match value {
        Value::Int(_) | Value::Float(_) if is_any(&["integer", "number"]) => value,
        Value::Int(number @ (0 | 1)) if is_any(&["boolean"]) => Value::Bool(number == 1),
        Value::Int(number) if is_any(&["string"]) && matches!(node.value, Value::Int(_)) => Value::Text(number.to_string()),
        _ => return,
    };
}

/// Names with which documentation sentences begin.
const PROPER_NAMES: [&str; 4] = ["Kubernetes", "Kubernetes'", "Nesterov", "Adam's"];

/// Returns `sentence` for use after a colon: with a lower-case first letter, unless its first word is a name or an abbreviation.
fn uncapitalized(sentence: &str) -> String {
    let word = sentence.split(' ').next().unwrap_or_default();
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) if !PROPER_NAMES.contains(&word) && !word.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_after_a_colon_are_lowercased_except_names() {
        let check = |sentence: &str, expected: &str| assert_eq!(uncapitalized(sentence), expected);
        check("CPU cores of every pod", "CPU cores of every pod");
        check("Kubernetes namespace of the jobs", "Kubernetes namespace of the jobs");
        check("TensorBoard's event files", "TensorBoard's event files");
        check("L2 penalty", "L2 penalty");
        check("A data set by name", "a data set by name");
        check("`federated` or `distributed`", "`federated` or `distributed`");
        check("Élan", "élan");
        check("", "");
    }
}

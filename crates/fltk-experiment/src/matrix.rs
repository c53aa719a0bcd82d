//! Sweeps: a task with a `matrix` becomes one task for each combination of its factors' values, before anything else is read. So a value that
//! is impossible in a combination is refused at its place in the matrix.

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::{
    catalogue::file_and_name,
    name::{NAME_CHARS_MAX, Name},
};

use super::{
    experiment_schema,
    overrides::put,
    report::Problem,
    shape,
    source::{Span, quote},
    tree::{Entry, Node, Value},
};

/// The limit on tasks from one matrix: the limit on tasks of an experiment.
const CELLS_MAX: usize = 1000;

/// A setting that varies.
struct Factor<'a> {
    path: &'a str,
    span: Span,
    values: &'a [Node],
}

/// Replaces every task with a matrix by its cells. A group of the stream that names the task then names all cells.
pub(crate) fn expand(root: &mut Node, problems: &mut Vec<Problem>) {
    let Some(Entry { node: Node { value: Value::List(tasks), .. }, .. }) = entry_mut(root, "tasks") else { return };
    let mut cells_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut expanded = Vec::with_capacity(tasks.len());
    let mut num_cells = 0;
    for task in std::mem::take(tasks) {
        match task.entry("matrix").cloned() {
            None => expanded.push(task),
            Some(matrix) => {
                let mut plain = task;
                if let Value::Map(entries) = &mut plain.value {
                    entries.retain(|entry| entry.key != "matrix");
                }
                let base = base_name(&plain);
                if num_cells > CELLS_MAX {
                    // This was reported already.
                    continue;
                }
                let span = matrix.key_span;
                let cells = cells(&plain, &base, matrix, problems);
                num_cells += cells.len();
                if num_cells > CELLS_MAX {
                    problems.push(Problem::error(span, format!("the matrices have more than {CELLS_MAX} combinations in all")));
                }
                if cells_of.insert(base.clone(), cells.iter().filter_map(name_of).collect()).is_some() {
                    let problem = Problem::error(span, format!("two tasks with a matrix are called {}", quote(&base)));
                    problems.push(problem.hint("give each a `name`"));
                }
                expanded.extend(cells);
            }
        }
    }
    *tasks = expanded;
    if let Some(Entry { node: stream, .. }) = entry_mut(root, "stream") {
        name_cells(stream, &cells_of);
    }
}

/// Returns the tasks of one matrix; the task itself if the matrix is wrong.
fn cells(task: &Node, base: &str, mut matrix: Entry, problems: &mut Vec<Problem>) -> Vec<Node> {
    let num_problems = problems.len();
    let root = experiment_schema::base();
    let Some(matrix_schema) = root.get("$defs").and_then(|definitions| definitions.get("matrix")) else { return vec![task.clone()] };
    shape::check(root, matrix_schema, &mut matrix.node, "matrix", problems);
    let fraction = match matrix.node.get("fraction").map(|node| &node.value) {
        Some(Value::Int(fraction)) => usize::try_from(*fraction).unwrap_or(1).max(1),
        _ => 1,
    };
    let Some(factors) = factors(&matrix, fraction, problems).filter(|_| problems.len() == num_problems) else { return vec![task.clone()] };
    let levels: Vec<Vec<usize>> =
        combinations(&factors).into_iter().filter(|levels| levels.iter().sum::<usize>().is_multiple_of(fraction)).collect();
    let names = names(base, &factors, &levels);
    let cell = |(levels, name): (&Vec<usize>, String)| {
        let mut cell = task.clone();
        for (factor, level) in factors.iter().zip(levels) {
            let path: Vec<String> = factor.path.split('.').map(str::to_owned).collect();
            let value = factor.values[*level].clone();
            let label = Node { span: value.span, value: Value::Text(text_of(&value, *level)) };
            if let Err(problem) = put(&mut cell, &path, value, factor.span) {
                problems.push(*problem);
            }
            let label_path = ["labels".to_owned(), factor.path.to_owned()];
            if let Err(problem) = put(&mut cell, &label_path, label, factor.span) {
                problems.push(*problem);
            }
        }
        let name = Node { span: matrix.key_span, value: Value::Text(name) };
        // This can't fail, since a task with a matrix is a block.
        let _ = put(&mut cell, &["name".to_owned()], name, matrix.key_span);
        cell
    };
    levels.iter().zip(names).map(cell).collect()
}

fn factors<'a>(matrix: &'a Entry, fraction: usize, problems: &mut Vec<Problem>) -> Option<Vec<Factor<'a>>> {
    let Some(Node { value: Value::Map(entries), .. }) = matrix.node.get("factors") else { return None };
    let mut factors: Vec<Factor<'_>> = Vec::new();
    for entry in entries {
        let Value::List(values) = &entry.node.value else { continue };
        let parts: Vec<&str> = entry.key.split('.').collect();
        let is_own = ["name", "kind", "matrix", "labels"].contains(&parts[0]);
        if is_own || parts.iter().any(|part| part.trim().is_empty()) {
            let problem = Problem::error(entry.key_span, format!("{} can't be varied", quote(&entry.key)));
            problems.push(problem.hint("a factor is the path of a setting of the task, such as `train.batch_size`"));
        }
        if values.is_empty() {
            problems.push(Problem::error(entry.key_span, format!("the factor {} has no values", quote(&entry.key))));
        }
        if values.iter().enumerate().any(|(index, value)| values[..index].iter().any(|earlier| earlier.value == value.value)) {
            problems.push(Problem::error(entry.key_span, format!("the factor {} has a value twice", quote(&entry.key))));
        }
        let within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        if let Some(other) = factors.iter().find(|other| within(&entry.key, other.path) || within(other.path, &entry.key)) {
            let message = format!("the factors {} and {} overlap", quote(other.path), quote(&entry.key));
            problems.push(Problem::error(entry.key_span, message).hint("vary only the outer one"));
        }
        if fraction > 1 && values.len() % fraction != 0 {
            let message = format!("the factor {} has {} values, no multiple of `fraction`", quote(&entry.key), values.len());
            problems.push(Problem::error(entry.key_span, message).hint("otherwise some values would be used more often than others"));
        }
        factors.push(Factor { path: &entry.key, span: entry.key_span, values });
    }
    let cells = factors.iter().try_fold(1_usize, |product, factor| product.checked_mul(factor.values.len()));
    if factors.is_empty() {
        problems.push(Problem::error(matrix.key_span, "the matrix has no factors").hint("`factors: { train.batch_size: [16, 32] }`"));
    } else if cells.is_none_or(|cells| cells > CELLS_MAX) {
        let problem = Problem::error(matrix.key_span, format!("the matrix has more than {CELLS_MAX} combinations"));
        problems.push(problem.hint("use fewer values, or several tasks"));
    }
    Some(factors)
}

/// The positions of values in each combination, with the last factor's changing fastest.
fn combinations(factors: &[Factor<'_>]) -> Vec<Vec<usize>> {
    factors.iter().fold(vec![Vec::new()], |shorter, factor| {
        shorter.iter().flat_map(|levels| (0..factor.values.len()).map(|level| [&levels[..], &[level]].concat())).collect()
    })
}

/// The names of the cells, such as `base-batch_size16-learning_rate0_1`; `base-1` and so on if such a name would be too long or not unique.
fn names(base: &str, factors: &[Factor<'_>], cells: &[Vec<usize>]) -> Vec<String> {
    let speaking = |levels: &Vec<usize>| {
        let part = |(factor, level): (&Factor<'_>, &usize)| {
            let key = factor.path.rsplit('.').next().unwrap_or(factor.path);
            format!("-{key}{}", text_of(&factor.values[*level], *level))
        };
        let suffix: String = factors.iter().zip(levels).map(part).collect();
        let fits = |c: char| if Name::may_contain(c) { c } else { '_' };
        format!("{base}{}", suffix.chars().map(fits).collect::<String>())
    };
    let names: Vec<String> = cells.iter().map(speaking).collect();
    let unique: BTreeSet<&String> = names.iter().collect();
    if unique.len() == names.len() && names.iter().all(|name| name.len() <= NAME_CHARS_MAX) {
        return names;
    }
    (1..=cells.len()).map(|number| format!("{base}-{number}")).collect()
}

/// The value as text; for a block or a list, its type, or the name of its code in Python, with its number from 1.
fn text_of(value: &Node, level: usize) -> String {
    match &value.value {
        Value::Text(text) => text.clone(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => "none".to_owned(),
        Value::Map(_) | Value::List(_) => {
            let text =
                |key: &str| value.get(key).and_then(|kind| if let Value::Text(kind) = &kind.value { Some(kind.as_str()) } else { None });
            let code = || text("python").and_then(file_and_name).map(|(_, name)| name);
            format!("{}{}", text("type").or_else(code).unwrap_or("v"), level + 1)
        }
    }
}

/// The task's name, or its default name.
fn base_name(task: &Node) -> String {
    let text = |key: &str| match task.get(key) {
        Some(Node { value: Value::Text(text), .. }) => Some(text.as_str()),
        _ => None,
    };
    match (text("name"), text("network"), text("dataset")) {
        (Some(name), ..) => name.to_owned(),
        (None, Some(network), Some(dataset)) => format!("{network}-{dataset}"),
        _ => "task".to_owned(),
    }
}

fn name_of(task: &Node) -> Option<String> {
    match &task.get("name")?.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    }
}

fn name_cells(stream: &mut Node, cells_of: &BTreeMap<String, Vec<String>>) {
    let Some(Entry { node: Node { value: Value::List(groups), .. }, .. }) = entry_mut(stream, "groups") else { return };
    for group in groups {
        let Some(Entry { node: Node { value: Value::List(tasks), .. }, .. }) = entry_mut(group, "tasks") else { continue };
        *tasks = std::mem::take(tasks)
            .into_iter()
            .flat_map(|task| match &task.value {
                Value::Text(name) if cells_of.contains_key(name) => {
                    cells_of[name].iter().map(|cell| Node { span: task.span, value: Value::Text(cell.clone()) }).collect()
                }
                _ => vec![task],
            })
            .collect();
    }
}

fn entry_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Entry> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == key),
        _ => None,
    }
}

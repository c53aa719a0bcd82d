//! Conversion of a tree to a checked experiment.

use std::collections::BTreeMap;

use fltk_core::catalogue::Catalogues;
use serde_json::Value as Json;

use super::{
    DatasetConfig, Experiment, NetworkConfig, Setting, Task, TrainConfig,
    check::{check_stream, check_task, check_train, read_name, settle_with},
    experiment_schema,
    format::{DatasetFile, ExperimentFile, Kind, TaskFile},
    matrix,
    parse::FilePlace,
    places::Places,
    report::{Problem, Severity, refused},
    shape,
    source::{Span, quote},
    tree::{Entry, Node, NullMeans, Value, merge},
};

/// An experiment, and the places of the paths in its tasks.
pub(crate) struct ReadTasks {
    pub experiment: Experiment,
    pub file_places: Vec<FilePlace>,
}

/// An experiment whose tasks name no files.
impl From<Experiment> for ReadTasks {
    fn from(experiment: Experiment) -> Self {
        Self { experiment, file_places: Vec::new() }
    }
}

/// Reads the experiment in `root` as far as possible. The result is valid if `problems` has no error at the end.
pub(crate) fn read(mut root: Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<ReadTasks> {
    matrix::expand(&mut root, problems);
    let schema = experiment_schema::experiment(catalogues);
    shape::check(schema, schema, &mut root, "experiment", problems);
    // The checks below are about meaning, and skip values that were refused.
    let refused = refused(problems);
    let mut found = Vec::new();
    let read = read_checked(&root, catalogues, &mut found);
    problems.extend(found.into_iter().filter(|problem| !problem.touches(&refused)));
    let num_items = root.get("tasks").map_or(0, |tasks| if let Value::List(items) = &tasks.value { items.len() } else { 0 });
    let is_short = read.as_ref().is_some_and(|read| read.experiment.tasks.len() != num_items);
    if is_short && !problems.iter().any(|problem| problem.severity == Severity::Error) {
        // A task must never vanish without a message, even if a schema and a type should disagree.
        problems.push(Problem::error(head(&root), "a task can't be read"));
    }
    read
}

fn read_checked(root: &Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<ReadTasks> {
    let mut names = BTreeMap::new();
    let mut tasks = Vec::new();
    let mut task_spans = Vec::new();
    let mut file_places = Vec::new();
    if let Some(Node { value: Value::List(items), .. }) = root.get("tasks") {
        for item in items {
            if let Some(task) = read_task(item, catalogues, &mut names, problems) {
                let places = Places { root: item, whole: head(item), names: &[] };
                let place = |setting: String| FilePlace { task: tasks.len(), span: places.at(&setting).span, setting };
                file_places.extend(task.files().into_iter().map(|(setting, _)| place(setting)));
                tasks.push(task);
                task_spans.push(head(item));
            }
        }
    }
    let num_tasks = tasks.len();
    let places = Places { root, whole: head(root), names: &[] };
    let name = match root.get("name") {
        Some(Node { value: Value::Text(name), span }) => Some(read_name(name, "an experiment", *span, problems)),
        _ => None,
    };
    check_seeds(root, problems);
    // Tasks were read one by one above, so that a broken task doesn't hide problems of another.
    let mut json = root.to_json();
    json["tasks"] = Json::Array(Vec::new());
    let file: ExperimentFile = serde_json::from_value(json).ok()?;
    let experiment = Experiment { name: name?, seeds: file.seeds, tasks, stream: file.stream };
    // A group may name a task that couldn't be read: it isn't reported as unknown.
    if root.get("tasks").is_some_and(|tasks| matches!(&tasks.value, Value::List(items) if items.len() == num_tasks)) {
        check_stream(&experiment, &places, &task_spans, problems);
    }
    Some(ReadTasks { experiment, file_places })
}

fn check_seeds(root: &Node, problems: &mut Vec<Problem>) {
    let Some(Node { value: Value::List(seeds), .. }) = root.get("seeds") else { return };
    for (index, seed) in seeds.iter().enumerate() {
        if seeds[..index].iter().any(|earlier| earlier.value == seed.value) {
            problems.push(
                Problem::error(seed.span, format!("the seed {} is given twice", seed.describe()))
                    .hint("a replication with the same seed gives the same results"),
            );
        }
    }
}

fn read_task(node: &Node, catalogues: &Catalogues, names: &mut BTreeMap<String, Span>, problems: &mut Vec<Problem>) -> Option<Task> {
    check_blocks(node, problems);
    let kind = match node.get("kind")?.value {
        Value::Text(ref kind) if kind == "federated" => Kind::Federated,
        _ => Kind::Distributed,
    };
    let (train, other, view) = resolve_roles(node, kind, catalogues, problems);
    let file: TaskFile = serde_json::from_value(view.to_json()).ok()?;
    let setting = match (file.kind, file.federated, file.distributed) {
        (Kind::Federated, Some(config), _) => Setting::Federated(config),
        (Kind::Distributed, _, Some(config)) => Setting::Distributed(config),
        (Kind::Federated | Kind::Distributed, _, _) => return None,
    };
    let dataset = match file.dataset {
        DatasetFile::Name(name) => DatasetConfig::named(&name),
        DatasetFile::Full(config) => config,
    };
    let name_span = node.get("name").map_or(head(node), |name| name.span);
    let name = file.name.unwrap_or_else(|| default_name(&file.network, &dataset, names));
    if let Some(first) = names.insert(name.clone(), name_span) {
        problems.push(Problem::error(name_span, format!("two tasks are called {}", quote(&name))).label(first, "the first"));
    }
    let name = read_name(&name, "a task", name_span, problems);
    let task = Task {
        name,
        network: file.network,
        dataset,
        loss: file.loss,
        labels: file.labels,
        train: train?,
        train_other_role: other,
        checkpoint_every: file.checkpoint_every,
        threads: file.threads,
        setting,
        resources: file.resources,
        max_jobs: file.max_jobs,
        class_probability: file.class_probability,
        priorities: file.priorities,
    };
    check_task(task, catalogues, &Places { root: &view, whole: head(node), names: &[] }, problems)
}

/// Returns the settings of the training role (for ranks, the first), those of the other role if they differ, and the task with the former as its `train`.
fn resolve_roles(
    node: &Node,
    kind: Kind,
    catalogues: &Catalogues,
    problems: &mut Vec<Problem>,
) -> (Option<TrainConfig>, Option<TrainConfig>, Node) {
    let mut view = node.clone();
    let Some(base) = node.get("train") else { return (None, None, view) };
    let (primary, other) = match kind {
        Kind::Federated => ("worker", "master"),
        Kind::Distributed => ("master", "worker"),
    };
    let overlay = |role| node.get("roles").and_then(|roles| roles.get(role)).filter(|over| matches!(over.value, Value::Map(_)));
    let (Some(primary), other) = (merged(base, overlay(primary), catalogues, problems), merged(base, overlay(other), catalogues, problems))
    else {
        return (None, None, view);
    };
    let read = |node: &Node| {
        let mut train: TrainConfig = serde_json::from_value(node.to_json()).ok()?;
        settle_with(&mut train.optimizer, &catalogues.optimizers).ok()?;
        Some(train)
    };
    let (train, other_train) = (read(&primary), other.as_ref().and_then(read));
    let other_train = other_train.filter(|other| train.as_ref() != Some(other));
    if let (Some(other_train), Some(other)) = (&other_train, other) {
        let entry = |node: Node| Entry { key: "train".to_owned(), key_span: node.span, node };
        let root = Node { span: other.span, value: Value::Map(vec![entry(other)]) };
        check_train(other_train, catalogues, &Places { root: &root, whole: head(node), names: &[] }, problems);
    }
    if let Value::Map(entries) = &mut view.value
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "train")
    {
        entry.node = primary;
    }
    (train, other_train, view)
}

/// Returns `base` merged with `over`, which takes precedence, after a check.
fn merged(base: &Node, over: Option<&Node>, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Node> {
    let Some(over) = over else { return Some(base.clone()) };
    let mut node = merge(base, over, NullMeans::Nothing);
    let schema = experiment_schema::experiment(catalogues);
    shape::check(schema, schema.get("$defs")?.get("train")?, &mut node, "train", problems);
    Some(node)
}

/// Checks that the task has the block of its kind, and not that of the other kind.
fn check_blocks(node: &Node, problems: &mut Vec<Problem>) {
    let Some(Node { value: Value::Text(kind), span: kind_span }) = node.get("kind") else { return };
    let other = match kind.as_str() {
        "federated" => "distributed",
        "distributed" => "federated",
        _ => return,
    };
    if let Some(entry) = node.entry(other) {
        let problem =
            Problem::error(entry.key_span, format!("a {kind} task has no `{other}` block")).label(*kind_span, format!("it's {kind}"));
        problems.push(problem.hint(format!("remove the block, or set `kind: {other}`")));
    }
    if node.get(kind).is_none_or(|block| block.value == Value::Null) {
        let example = match kind.as_str() {
            "federated" => "`federated: { clients: 100, clients_per_round: 10, rounds: 20 }`",
            _ => "`distributed: { epochs: 10 }`",
        };
        problems.push(Problem::error(*kind_span, format!("a {kind} task needs a `{kind}` block")).hint(format!("add {example}")));
    }
}

/// The default name of a task: network and data set, with a number if that name is taken.
fn default_name(network: &NetworkConfig, dataset: &DatasetConfig, names: &BTreeMap<String, Span>) -> String {
    let network = match network {
        NetworkConfig::Named(net) => net.name(),
        NetworkConfig::Block { key, .. } => key,
        NetworkConfig::TorchScript { .. } => "torchscript",
        NetworkConfig::Python(_) => "python",
    };
    let base = format!("{network}-{}", dataset.name());
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !names.contains_key(name)).unwrap_or(base)
}

/// The first line of a block: its first key.
fn head(node: &Node) -> Span {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        _ => node.span,
    }
}

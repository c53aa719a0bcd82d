//! Conversion of a tree to a checked experiment.

use std::collections::BTreeMap;

use fltk_core::{catalogue::Catalogues, experiment::FOUND_OUT, name::Name};
use serde_json::Value as Json;

use super::{
    CommandConfig, DatasetConfig, Experiment, NetworkConfig, Setting, Task, TaskKind, TrainConfig, Training,
    check::{check_stream, check_task, check_train, read_name, settle_with},
    experiment_schema,
    format::{CommandTaskFile, DatasetFile, ExperimentFile, Kind, TRAINING_KEYS, TaskFile},
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
    check_keys(&root, problems);
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
        Value::Text(ref kind) if kind == "command" => return read_command(node, catalogues, names, problems),
        Value::Text(ref kind) if kind == "federated" => Kind::Federated,
        _ => Kind::Distributed,
    };
    let (train, other, view) = resolve_roles(node, kind, catalogues, problems);
    let file: TaskFile = serde_json::from_value(view.to_json()).ok()?;
    let setting = match (file.kind, file.federated, file.distributed) {
        (Kind::Federated, Some(config), _) => Setting::Federated(config),
        (Kind::Distributed, _, Some(config)) => Setting::Distributed(config),
        (Kind::Federated | Kind::Distributed | Kind::Command, _, _) => return None,
    };
    let dataset = match file.dataset {
        DatasetFile::Name(name) => DatasetConfig::named(&name),
        DatasetFile::Full(config) => config,
    };
    let name = task_name(node, file.name, || name_of_training(&file.network, &dataset), names, problems);
    let training = Training {
        network: file.network,
        dataset,
        loss: file.loss,
        train: train?,
        train_other_role: other,
        checkpoint_every: file.checkpoint_every,
        threads: file.threads,
        setting,
    };
    let task = Task {
        name,
        labels: file.labels,
        kind: TaskKind::Training(training),
        resources: file.resources,
        max_jobs: file.max_jobs,
        class_probability: file.class_probability,
        priorities: file.priorities,
    };
    check_task(task, catalogues, &Places { root: &view, whole: head(node), names: &[] }, problems)
}

/// Reads a task that runs a program.
fn read_command(node: &Node, catalogues: &Catalogues, names: &mut BTreeMap<String, Span>, problems: &mut Vec<Problem>) -> Option<Task> {
    let mut view = node.clone();
    if let Value::Map(entries) = &mut view.value {
        // The schema gave it the defaults of a training.
        entries.retain(|entry| !TRAINING_KEYS.contains(&entry.key.as_str()));
    }
    let file: CommandTaskFile = serde_json::from_value(view.to_json()).ok()?;
    let name = task_name(node, file.name, || name_of_command(&file.command), names, problems);
    let task = Task {
        name,
        labels: file.labels,
        kind: TaskKind::Command(file.command),
        resources: file.resources,
        max_jobs: file.max_jobs,
        class_probability: file.class_probability,
        priorities: file.priorities,
    };
    check_task(task, catalogues, &Places { root: &view, whole: head(node), names: &[] }, problems)
}

/// Returns the name that a task is given, or else that of `default`, with a number if it is taken. Each is used once.
fn task_name(
    node: &Node,
    given: Option<String>,
    default: impl FnOnce() -> String,
    names: &mut BTreeMap<String, Span>,
    problems: &mut Vec<Problem>,
) -> Name {
    let span = node.get("name").map_or(head(node), |name| name.span);
    let name = given.unwrap_or_else(|| {
        let base = default();
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        std::iter::once(base.clone()).chain(numbered).find(|name| !names.contains_key(name)).unwrap_or(base)
    });
    if let Some(first) = names.insert(name.clone(), span) {
        problems.push(Problem::error(span, format!("two tasks are called {}", quote(&name))).label(first, "the first"));
    }
    read_name(&name, "a task", span, problems)
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
        Kind::Distributed | Kind::Command => ("master", "worker"),
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

/// The kinds of task, each with a block that suits it.
const KINDS: [(&str, &str); 3] = [
    ("federated", "`federated: { clients: 100, clients_per_round: 10, rounds: 20 }`"),
    ("distributed", "`distributed: { epochs: 10 }`"),
    ("command", "`command: { run: [python, train.py] }`"),
];

/// Checks that the task has the block of its kind, and not that of another kind.
fn check_blocks(node: &Node, problems: &mut Vec<Problem>) {
    let Some(Node { value: Value::Text(kind), span: kind_span }) = node.get("kind") else { return };
    let Some((_, example)) = KINDS.iter().find(|(known, _)| known == kind) else { return };
    // Keys that belong to training are refused before defaults are filled in.
    let others =
        KINDS.iter().map(|(other, _)| *other).filter(|other| other != kind && (kind != "command" || !TRAINING_KEYS.contains(other)));
    for (other, entry) in others.filter_map(|other| Some((other, node.entry(other)?))) {
        let problem =
            Problem::error(entry.key_span, format!("a {kind} task has no `{other}` block")).label(*kind_span, format!("it's {kind}"));
        problems.push(problem.hint(format!("remove the block, or set `kind: {other}`")));
    }
    if node.get(kind).is_none_or(|block| block.value == Value::Null) {
        problems.push(Problem::error(*kind_span, format!("a {kind} task needs a `{kind}` block")).hint(format!("add {example}")));
    }
}

/// Checks, before defaults are filled in, that commands have no key of a training.
fn check_keys(root: &Node, problems: &mut Vec<Problem>) {
    let Some(Node { value: Value::List(tasks), .. }) = root.get("tasks") else { return };
    for task in tasks {
        let kind = match task.get("kind") {
            Some(Node { value: Value::Text(kind), span }) => Some((kind.as_str(), *span)),
            _ => None,
        };
        if let Some((kind @ "command", span)) = kind {
            for entry in TRAINING_KEYS.iter().filter_map(|key| task.entry(key)) {
                let key = quote(&entry.key);
                let problem = Problem::error(entry.key_span, format!("a {kind} task has no {key}: it trains nothing itself"));
                problems.push(
                    problem
                        .label(span, format!("it's {kind}"))
                        .hint("remove it; what the program is to know goes into its arguments or variables"),
                );
            }
        }
    }
}

/// The default name of a task that trains: network and data set.
fn name_of_training(network: &NetworkConfig, dataset: &DatasetConfig) -> String {
    let network = match network {
        NetworkConfig::Named(net) => net.name(),
        NetworkConfig::Block { key, .. } => key,
        NetworkConfig::TorchScript { .. } => "torchscript",
        NetworkConfig::Python(_) => "python",
    };
    let dataset = if dataset.name() == FOUND_OUT { "own" } else { dataset.name() };
    format!("{network}-{dataset}")
}

/// The default name of a task that runs a program: that of its file.
fn name_of_command(config: &CommandConfig) -> String {
    let program = config.run.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program));
    Name::most_like(program).map_or_else(|| "command".to_owned(), |name| name.to_string())
}

/// The first line of a block: its first key.
fn head(node: &Node) -> Span {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        _ => node.span,
    }
}

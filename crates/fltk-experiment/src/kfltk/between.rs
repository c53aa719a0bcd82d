//! The arrival JSON of May 2022 (tags v0.2.0 to v0.2.2), between the other two eras: a bare list, with one object in `jobClassParameters` that has
//! nearly the settings of the main era. It is converted to the main era's layout, and each value keeps its place.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        entries,
        report::Problem,
        source::Span,
        tree::{Entry, Node, Value},
    },
    lenient,
    lower::{self, Job},
    sections::{Configurations, ExperimentSection, ExperimentType, HyperSection, Learning, NetworkSection},
};
use fltk_core::catalogue::Catalogues;

/// A job; the file is a list of these.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "between_job")]
#[serde(rename_all = "camelCase")]
struct JobDescription {
    /// `federated` or `distributed`.
    #[expect(dead_code, reason = "read from the tree")]
    #[serde(rename = "type")]
    kind: ExperimentType,
    /// The training of the job.
    #[expect(dead_code, reason = "read one by one")]
    #[schemars(length(min = 1, max = 1000))]
    job_class_parameters: Vec<JobClass>,
}

/// The training of one job.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "between_class")]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read from the tree, once it's turned into the main era's")]
struct JobClass {
    /// Net, data set and loss.
    network_configuration: NetworkSection,
    /// Parallelism and resources.
    system_parameters: System,
    /// Hyper-parameters by role.
    hyper_parameters: HyperSection,
    /// Epochs, or rounds and clients.
    learning_parameters: Learning,
    /// Seeds, and the number of clients.
    experiment_configuration: Option<ExperimentSection>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "between_system")]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read from the tree, once it's turned into the main era's")]
struct System {
    /// Number of ranks of a distributed job; `null` in a federated one.
    #[schemars(range(min = 1, max = 10_000))]
    data_parallelism: Option<u32>,
    /// Resources by role.
    configurations: Configurations,
}

/// The paths of settings that differ in this era.
const NAMES: [(&str, &str); 2] = [
    ("federated.clients", "experimentConfiguration.workerReplication.Worker"),
    ("distributed.data_parallelism", "systemParameters.dataParallelism"),
];

/// True if `root` is of this era, judged by its keys.
pub(crate) fn is(root: &Node) -> bool {
    let Value::List(jobs) = &root.value else { return false };
    let has_roles = |class: &Node| class.get("hyperParameters").is_some_and(|hyper| hyper.get("default").is_some());
    jobs.iter().filter_map(|job| job.get("jobClassParameters")).any(|classes| match &classes.value {
        Value::Map(_) => true,
        Value::List(classes) => classes.iter().any(has_roles),
        _ => false,
    })
}

pub(super) fn check_shape(root: &mut Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) {
    if let Value::List(jobs) = &mut root.value {
        for classes in jobs.iter_mut().filter_map(|job| job.get_mut("jobClassParameters")) {
            if let Value::Map(_) = classes.value {
                let only = classes.clone();
                classes.value = Value::List(vec![only]);
            }
        }
    }
    let mut schema = entries::generate_with::<Vec<JobDescription>>(catalogues);
    // This key has an effect in this era, as the only place for a distributed job's epochs.
    if let Some(epochs) = schema["$defs"]["Learning"]["properties"]["totalEpochs"].as_object_mut() {
        epochs.remove("x-no-effect");
    }
    lenient::check(&schema, root, "arrival file", lenient::IGNORED, catalogues, problems);
}

/// Reads the jobs of the file as far as possible. Each arrives once: KFLTK ran such files with `run_batch`.
pub(super) fn read(root: &mut Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Vec<Job>> {
    let Value::List(items) = &mut root.value else { return None };
    let jobs: Vec<Option<Job>> = items.iter_mut().enumerate().map(|(index, job)| read_job(job, index, catalogues, problems)).collect();
    jobs.into_iter().collect()
}

fn read_job(job: &mut Node, index: usize, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Job> {
    let kind: ExperimentType = serde_json::from_value(job.get("type")?.to_json()).ok()?;
    let names: Vec<_> =
        NAMES.into_iter().chain(lower::NAMES.into_iter().filter(|(ours, _)| !NAMES.iter().any(|(own, _)| own == ours))).collect();
    let Value::List(classes) = &mut job.get_mut("jobClassParameters")?.value else { return None };
    let mut tasks = Vec::new();
    for (position, class) in classes.iter_mut().enumerate() {
        make_main(class, kind, problems)?;
        tasks.push((lower::read_class(class, kind, lower::task_name(index, position), &names, catalogues, problems)?, lower::head(class)));
    }
    Some(lower::job(index, tasks, None, None))
}

/// Moves ranks, clients and epochs to their places in the main era.
fn make_main(class: &mut Node, kind: ExperimentType, problems: &mut Vec<Problem>) -> Option<()> {
    let workers = at(class, &["experimentConfiguration", "workerReplication", "Worker"]).filter(|node| node.value != Value::Null).cloned();
    let parallelism = at(class, &["systemParameters", "dataParallelism"]).filter(|node| node.value != Value::Null).cloned();
    let ranks = match (kind, workers, parallelism) {
        (ExperimentType::Federated, Some(workers), _) => Some(workers),
        (ExperimentType::Distributed, Some(Node { span, value: Value::Int(workers) }), None) => {
            Some(Node { span, value: Value::Int(workers + 1) })
        }
        (_, _, parallelism) => parallelism,
    };
    let (key, hint) = match kind {
        ExperimentType::Federated => {
            ("workerReplication", "add `\"experimentConfiguration\": { \"workerReplication\": { \"Worker\": 2 } }`: its clients")
        }
        ExperimentType::Distributed => ("dataParallelism", "add `\"dataParallelism\"` to `systemParameters`: its ranks"),
    };
    match ranks {
        Some(Node { value: Value::Int(1..), .. }) => {}
        Some(node) => {
            problems.push(Problem::error(node.span, format!("`{key}` must be at least 1, not {}", node.describe())));
            return None;
        }
        None => {
            problems.push(Problem::error(lower::head(class), format!("the job has no `{key}`")).hint(hint));
            return None;
        }
    }
    put(class, "systemParameters", "dataParallelism", ranks?);
    if kind == ExperimentType::Distributed {
        let epochs = at(class, &["learningParameters", "totalEpochs"]).filter(|node| node.value != Value::Null).cloned();
        match epochs {
            Some(epochs) if epochs.value == Value::Int(0) => {
                problems.push(
                    Problem::error(epochs.span, "`totalEpochs` must be at least 1, not `0`")
                        .hint("it's the number of epochs of a distributed job"),
                );
            }
            Some(epochs) => put(class.get_mut("hyperParameters")?, "default", "totalEpochs", epochs),
            None if at(class, &["hyperParameters", "default", "totalEpochs"]).is_some() => {}
            None => {
                let span = class.entry("learningParameters").map_or(lower::head(class), |entry| entry.key_span);
                problems.push(Problem::error(span, "`learningParameters` has no `totalEpochs`").hint("a distributed job needs it"));
                return None;
            }
        }
    }
    Some(())
}

/// Returns the seeds of the jobs with their places, in the order of first appearance; and the place of the first list that differs.
pub(super) fn seeds(root: &Node) -> (Vec<Node>, Option<Span>) {
    let Value::List(jobs) = &root.value else { return (Vec::new(), None) };
    let classes = jobs.iter().filter_map(|job| job.get("jobClassParameters")).flat_map(|classes| match &classes.value {
        Value::List(classes) => classes.as_slice(),
        _ => &[],
    });
    let mut all: Vec<Node> = Vec::new();
    let mut first: Option<Vec<Value>> = None;
    let mut other = None;
    for class in classes {
        let Some(Node { span, value: Value::List(seeds) }) = at(class, &["experimentConfiguration", "randomSeed"]) else { continue };
        let values: Vec<Value> = seeds.iter().map(|seed| seed.value.clone()).collect();
        match &first {
            None => {
                all.clone_from(seeds);
                first = Some(values);
            }
            Some(first) if *first != values => {
                other.get_or_insert(*span);
                let new = seeds.iter().filter(|seed| !all.iter().any(|known| known.value == seed.value)).cloned().collect::<Vec<_>>();
                all.extend(new);
            }
            Some(_) => {}
        }
    }
    (all, other)
}

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// Sets `block.key` to `value`, which replaces an existing value.
fn put(node: &mut Node, block: &str, key: &str, value: Node) {
    let Some(Node { value: Value::Map(entries), .. }) = node.get_mut(block) else { return };
    entries.retain(|entry| entry.key != key);
    entries.push(Entry { key: key.to_owned(), key_span: value.span, node: value });
}

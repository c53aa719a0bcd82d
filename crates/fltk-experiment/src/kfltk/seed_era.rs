//! The arrival JSON of the seed era (2021): a bare list, numbers as texts, names in capitals, distributed jobs only.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        DatasetConfig, DistributedConfig, NetworkConfig, PodResources, Priority, Quantity, Resources, ScheduleUnit, SchedulerConfig,
        Setting, Task, TaskKind, TrainConfig, Training,
        check::check_task,
        entries::OWN_NET,
        experiment_schema::default_of,
        places::Places,
        report::{Problem, Severity},
        schema,
        tree::{Node, Value},
    },
    lenient, losses,
    lower::{self, Job},
    training,
};
use fltk_core::{catalogue::Catalogues, name::Name};

/// The seed era's constant schedule.
const SCHEDULER: SchedulerConfig = SchedulerConfig { step_size: 50, gamma: 0.5, minimum_learning_rate: 1e-10, unit: ScheduleUnit::Epoch };
/// The momentum of the seed era's `ADAM`, which was SGD.
const MOMENTUM: f64 = 0.9;
/// Keys whose values are names.
const NAMES: [&str; 4] = ["network", "dataset", "lossFunction", "optimizer"];
/// A job; the file is a list of these.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JobDescription {
    #[expect(dead_code, reason = "checked, never used")]
    #[serde(rename = "type")]
    kind: Option<Kind>,
    /// Job classes.
    #[expect(dead_code, reason = "read one by one")]
    #[schemars(length(min = 1, max = 1000))]
    job_class_parameters: Vec<JobClass>,
    /// Mean gap between two arrivals, in seconds.
    #[schemars(range(min = 0.0, max = 315_360_000.0))]
    lambda: Option<f64>,
    preempt_jobs: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Distributed,
}

/// The training of one job.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct JobClass {
    /// Net and data set.
    network_configuration: NetworkSection,
    /// Parallelism and resources.
    system_parameters: System,
    /// Hyper-parameters.
    hyper_parameters: Hyper,
    /// The weight with which the class is drawn, relative to the others.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    class_probability: Option<f64>,
    #[schemars(length(max = 100))]
    priorities: Option<Vec<Priority>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NetworkSection {
    /// The net, in capitals.
    network: NetworkName,
    /// The data set, in capitals.
    dataset: Dataset,
    #[expect(dead_code, reason = "there is only one")]
    loss_function: Option<Loss>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[schemars(extend("x-beside" = OWN_NET))]
enum NetworkName {
    #[serde(rename = "CIFAR100RESNET")]
    Cifar100ResNet,
    #[serde(rename = "CIFAR100VGG")]
    Cifar100VGG,
    #[serde(rename = "CIFAR10CNN")]
    Cifar10CNN,
    #[serde(rename = "CIFAR10RESNET")]
    Cifar10ResNet,
    #[serde(rename = "FASHIONMNISTCNN")]
    FashionMNISTCNN,
    #[serde(rename = "FASHIONMNISTRESNET")]
    FashionMNISTResNet,
    #[serde(rename = "MNISTCNN")]
    MnistCNN,
    #[serde(rename = "LENET5")]
    LeNet5,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum Dataset {
    #[serde(rename = "CIFAR10")]
    Cifar10,
    #[serde(rename = "CIFAR100")]
    Cifar100,
    #[serde(rename = "FASHIONMNIST")]
    FashionMnist,
    #[serde(rename = "MNIST")]
    Mnist,
}

#[derive(Deserialize, JsonSchema)]
enum Loss {
    #[serde(rename = "CROSSENTROPY")]
    CrossEntropy,
}

#[derive(Deserialize, JsonSchema)]
enum Optimizer {
    #[serde(rename = "ADAM")]
    Adam,
    #[serde(rename = "SGD")]
    Sgd,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct System {
    /// Number of ranks.
    #[schemars(range(min = 1, max = 10_000))]
    data_parallelism: u32,
    /// CPU cores of every pod.
    executor_cores: Quantity,
    /// Memory of every pod.
    executor_memory: Quantity,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "every job trains"))]
    action: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Hyper {
    /// Samples per step.
    #[schemars(range(min = 1, max = 1_000_000))]
    batch_size: u32,
    /// Passes over the training set.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_epoch: u32,
    /// Step size.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    learning_rate: f64,
    #[expect(dead_code, reason = "checked, never used")]
    #[serde(rename = "learningrateDecay")]
    #[schemars(extend("x-no-effect" = "no trainer of KFLTK used it"))]
    learning_rate_decay: Option<f64>,
    /// The optimizer; `ADAM` was SGD with momentum 0.9.
    optimizer: Option<Optimizer>,
}

pub(super) fn check_shape(root: &mut Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) {
    normalize(root);
    lenient::check(&schema::generate::<Vec<JobDescription>>(), root, "arrival file", lenient::IGNORED, catalogues, problems);
}

/// Reads the jobs of the file as far as possible.
pub(super) fn read(root: &Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Vec<Job>> {
    let Value::List(items) = &root.value else { return None };
    if items.is_empty() {
        problems.push(Problem::error(root.span, "the list of jobs is empty"));
    }
    let jobs: Vec<Option<Job>> = items.iter().enumerate().map(|(index, node)| read_job(node, index, catalogues, problems)).collect();
    jobs.into_iter().collect()
}

fn read_job(node: &Node, index: usize, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Job> {
    let mut json = node.to_json();
    json["jobClassParameters"] = serde_json::Value::Array(Vec::new());
    let job: JobDescription = serde_json::from_value(json).ok()?;
    let Value::List(classes) = &node.get("jobClassParameters")?.value else { return None };
    let mut tasks = Vec::new();
    for (position, class) in classes.iter().enumerate() {
        tasks.push((read_class(class, lower::task_name(index, position), catalogues, problems)?, lower::head(class)));
    }
    if let [(only, _)] = tasks.as_mut_slice() {
        // With a single class, the draw has only one outcome.
        only.class_probability.get_or_insert(1.0);
    }
    Some(lower::job(index, tasks, job.lambda, job.preempt_jobs))
}

fn read_class(node: &Node, name: Name, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Task> {
    let class: JobClass = serde_json::from_value(node.to_json()).ok()?;
    let network = match class.network_configuration.network {
        NetworkName::Cifar100ResNet => "Cifar100ResNet",
        NetworkName::Cifar100VGG => "Cifar100VGG",
        NetworkName::Cifar10CNN => "Cifar10CNN",
        NetworkName::Cifar10ResNet => "Cifar10ResNet",
        NetworkName::FashionMNISTCNN => "FashionMNISTCNN",
        NetworkName::FashionMNISTResNet => "FashionMNISTResNet",
        NetworkName::MnistCNN => "MNISTCNN",
        NetworkName::LeNet5 => "LeNet5",
    };
    let dataset = match class.network_configuration.dataset {
        Dataset::Cifar10 => "cifar10",
        Dataset::Cifar100 => "cifar100",
        Dataset::FashionMnist => "fashion-mnist",
        Dataset::Mnist => "mnist",
    };
    warn(&class, node, problems);
    let pod = PodResources { cores: class.system_parameters.executor_cores, memory: class.system_parameters.executor_memory };
    let training = Training {
        network: NetworkConfig::named(network),
        dataset: DatasetConfig::named(dataset),
        loss: losses::DEFAULT.to_owned(),
        train: TrainConfig {
            batch_size: class.hyper_parameters.batch_size,
            test_batch_size: default_of("train", "test_batch_size")?,
            drop_last: default_of("train", "drop_last")?,
            optimizer: training::sgd(class.hyper_parameters.learning_rate, MOMENTUM),
            scheduler: Some(SCHEDULER),
        },
        train_other_role: None,
        checkpoint_every: default_of("task", "checkpoint_every")?,
        threads: default_of("task", "threads")?,
        setting: Setting::Distributed(DistributedConfig::new(class.hyper_parameters.max_epoch, class.system_parameters.data_parallelism)),
    };
    let task = Task {
        name,
        labels: <_>::default(),
        kind: TaskKind::Training(training),
        resources: Some(Resources { master: pod.clone(), worker: Some(pod) }),
        max_jobs: None,
        class_probability: class.class_probability,
        priorities: class.priorities.unwrap_or_default(),
    };
    let names = [
        ("network", "networkConfiguration.network"),
        ("dataset", "networkConfiguration.dataset"),
        ("distributed.data_parallelism", "systemParameters.dataParallelism"),
    ];
    check_task(task, catalogues, &Places { root: node, whole: lower::head(node), names: &names }, problems)
}

/// Warns where names were misleading.
fn warn(class: &JobClass, node: &Node, problems: &mut Vec<Problem>) {
    let at = |block: &str, key: &str| node.get(block).and_then(|block| block.get(key)).map(|node| node.span);
    if matches!(class.hyper_parameters.optimizer, Some(Optimizer::Adam)) {
        let message = "`ADAM` was SGD with momentum 0.9 in the seed era, and is read as that";
        let problem = Problem::new(Severity::Warning, at("hyperParameters", "optimizer"), message);
        problems.push(problem.hint("for Adam itself, convert the file and set `optimizer: { type: Adam, ... }`"));
    }
    if class.network_configuration.dataset == Dataset::Mnist {
        let message = "this is MNIST; KFLTK's distributed jobs read Fashion-MNIST here";
        let problem = Problem::new(Severity::Warning, at("networkConfiguration", "dataset"), message);
        problems.push(problem.hint("to train as KFLTK did, write `FASHIONMNIST`"));
    }
}

/// Converts names, whose case didn't matter, to upper case.
fn normalize(node: &mut Node) {
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                if NAMES.contains(&entry.key.as_str())
                    && let Value::Text(text) = &mut entry.node.value
                {
                    *text = text.to_ascii_uppercase().replace(['-', '_'], "");
                }
                normalize(&mut entry.node);
            }
        }
        Value::List(items) => items.iter_mut().for_each(normalize),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

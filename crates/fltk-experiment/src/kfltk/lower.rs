//! Conversion of a job class of KFLTK to a task of ours.

use super::{
    super::{
        ArrivalGroup, DatasetConfig, DistributedConfig, Duration, FederatedConfig, Gaps, NetworkConfig, Resources, Setting, Task, TaskKind,
        TrainConfig, Training,
        check::{check_task, own_name},
        experiment_schema::default_of,
        places::Places,
        report::{Problem, Severity},
        source::Span,
        tree::{Entry, Node, NullMeans, Value, merge},
    },
    losses, sampler,
    sections::{Aggregation, ExperimentType, JobClass, System},
    training,
};
use fltk_core::{
    catalogue::{Catalogues, Choice},
    name::Name,
};

/// A kind of job: its tasks, with the place of each, and their arrival group.
pub(super) struct Job {
    pub group: ArrivalGroup,
    pub tasks: Vec<(Task, Span)>,
}

/// KFLTK's names of our settings, within a job class.
pub(super) const NAMES: [(&str, &str); 12] = [
    ("name", "networkConfiguration.network"),
    ("network", "networkConfiguration.network"),
    ("dataset", "networkConfiguration.dataset"),
    ("train.optimizer.betas", "hyperParameters.default.optimizerConfig.betas"),
    ("train.scheduler.minimum_learning_rate", "hyperParameters.default.schedulerConfig.minimumLearningRate"),
    ("federated.clients", "systemParameters.dataParallelism"),
    ("federated.clients_per_round", "learningParameters.clientsPerRound"),
    ("federated.partition.type", "learningParameters.dataSampler.type"),
    ("federated.partition.limit", "learningParameters.dataSampler.qValue"),
    ("federated.partition.n", "learningParameters.dataSampler.qValue"),
    ("distributed.data_parallelism", "systemParameters.dataParallelism"),
    ("roles", "hyperParameters.configurations"),
];

/// The name of a task: KFLTK's name of job `job`, with the number of its class.
pub(super) fn task_name(job: usize, class: usize) -> Name {
    own_name(&format!("train_job_{job}_{class}"))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the schema bounds it to ten years")]
pub(super) fn job(index: usize, tasks: Vec<(Task, Span)>, mean_gap_seconds: Option<f64>, preempt: Option<bool>) -> Job {
    let group = ArrivalGroup {
        name: format!("train_job_{index}"),
        tasks: tasks.iter().map(|(task, _)| task.name.to_string()).collect(),
        // KFLTK drew whole minutes or seconds from a Poisson distribution; the intention was a Poisson process with this mean gap.
        gaps: mean_gap_seconds.map(|seconds| Gaps::Exponential { mean: Duration::from_millis((seconds * 1000.0).round() as u64) }),
        preempt: preempt.unwrap_or(false),
    };
    Job { group, tasks }
}

/// The first key of a block.
pub(super) fn head(node: &Node) -> Span {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        _ => node.span,
    }
}

/// Reads the task of a job class as far as possible. `names` corresponds to [`NAMES`] in the file's era.
pub(super) fn read_class(
    node: &Node,
    kind: ExperimentType,
    name: Name,
    names: &[(&str, &str)],
    catalogues: &Catalogues,
    problems: &mut Vec<Problem>,
) -> Option<Task> {
    let class: JobClass = serde_json::from_value(node.to_json()).ok()?;
    let federated = kind == ExperimentType::Federated;
    let hyper = node.entry("hyperParameters")?;
    let base = hyper.node.get("default")?;
    let base_span = hyper.node.entry("default").map_or(hyper.key_span, |entry| entry.key_span);
    let role = |role: &str| match hyper.node.get("configurations").and_then(|roles| roles.get(role)) {
        Some(over) => merge(base, over, NullMeans::Unchanged),
        None => base.clone(),
    };
    let (primary, other) = if federated { (role("Worker"), role("Master")) } else { (role("Master"), role("Worker")) };
    let trained = training::train(&primary, base_span, federated, problems);
    let other = if other == primary { None } else { training::train(&other, base_span, federated, problems).map(|(train, _, _)| train) };
    let loss_span = node.get("networkConfiguration").and_then(|network| network.get("lossFunction")).map_or(node.span, |loss| loss.span);
    let loss = losses::loss(class.network_configuration.loss_function.as_deref(), loss_span, problems);
    let resources = resources(&class.system_parameters, federated, node, problems);
    let setting = match (&trained, federated) {
        (Some((_, _, hyper)), false) => Some(distributed(&class, hyper.total_epochs, base_span, problems)),
        (trained, true) => {
            let strategy = trained.as_ref().and_then(|(_, strategy, _)| strategy.clone());
            let has_workers = resources.as_ref().is_some_and(|resources| resources.worker.is_some());
            federated_setting(&class, strategy, has_workers, node, problems)
        }
        (None, false) => None,
    };
    note_differences(&class, kind, &primary, node, problems);
    if let (Some((train, _, _)), true) = (&trained, federated) {
        note_settings(train, &class.network_configuration.dataset, primary.entry("optimizerConfig").map(|entry| entry.key_span), problems);
    }
    // Values that were refused above are replaced by plain ones, so that further problems are found too.
    let (train, _, _) = trained?;
    let training = Training {
        network: NetworkConfig::named(&class.network_configuration.network),
        dataset: DatasetConfig::named(&class.network_configuration.dataset),
        loss: loss.unwrap_or(losses::DEFAULT).to_owned(),
        train_other_role: other.filter(|other| *other != train),
        train,
        checkpoint_every: default_of("task", "checkpoint_every")?,
        threads: default_of("task", "threads")?,
        setting: setting?,
    };
    let task = Task {
        name,
        labels: <_>::default(),
        kind: TaskKind::Training(training),
        resources,
        max_jobs: None,
        class_probability: class.class_probability,
        priorities: class.priorities.unwrap_or_default(),
    };
    let view = with_default(node, primary);
    check_task(task, catalogues, &Places { root: &view, whole: head(node), names }, problems)
}

/// Returns the class with `primary` as its default hyper-parameters, so that places refer to the settings in use.
fn with_default(node: &Node, primary: Node) -> Node {
    let mut view = node.clone();
    if let Value::Map(entries) = &mut view.value
        && let Some(Entry { node: Node { value: Value::Map(hyper), .. }, .. }) =
            entries.iter_mut().find(|entry| entry.key == "hyperParameters")
        && let Some(default) = hyper.iter_mut().find(|entry| entry.key == "default")
    {
        default.node = primary;
    }
    view
}

/// Returns the resources, chosen as a whole: those of the role, otherwise the default's. Without workers, theirs may be left out.
fn resources(system: &System, federated: bool, node: &Node, problems: &mut Vec<Problem>) -> Option<Resources> {
    let configurations = &system.configurations;
    let master = configurations.master.clone().or_else(|| configurations.default.clone());
    let worker = configurations.worker.clone().or_else(|| configurations.default.clone());
    let has_workers = !federated && system.data_parallelism > 1;
    for (role, is_missing) in [("Master", master.is_none()), ("Worker", has_workers && worker.is_none())] {
        if is_missing {
            let span =
                node.get("systemParameters").and_then(|system| system.entry("configurations")).map_or(head(node), |entry| entry.key_span);
            let problem = Problem::error(span, format!("there are no resources for the role `{role}`"));
            problems.push(problem.hint(format!("add `\"{role}\"`, or `\"default\"` for every role")));
        }
    }
    if has_workers && worker.is_none() {
        return None;
    }
    Some(Resources { master: master?, worker })
}

fn distributed(class: &JobClass, total_epochs: Option<u32>, span: Span, problems: &mut Vec<Problem>) -> Setting {
    if total_epochs.is_none() {
        problems.push(Problem::error(span, "the hyper-parameters have no `totalEpochs`").hint("a distributed job needs it"));
    }
    Setting::Distributed(DistributedConfig::new(total_epochs.unwrap_or(1), class.system_parameters.data_parallelism))
}

/// The largest number of nodes that a task may have.
const NODES_MAX: u32 = 1000;

/// Returns the setting of a federated class. Each client was a pod of its own in KFLTK, the worker; here so many pods are nodes, unless the class doesn't
/// say what workers request.
fn federated_setting(
    class: &JobClass,
    strategy: Option<Choice>,
    has_workers: bool,
    node: &Node,
    problems: &mut Vec<Problem>,
) -> Option<Setting> {
    let (Some(learning), Some(entry)) = (&class.learning_parameters, node.entry("learningParameters")) else {
        let problem = Problem::error(head(node), "a federated job needs `learningParameters`");
        problems.push(problem.hint("add `\"learningParameters\"` with `rounds`, `epochsPerRound` and `clientsPerRound`"));
        return None;
    };
    for (key, given) in [("rounds", learning.rounds.is_some()), ("clientsPerRound", learning.clients_per_round.is_some())] {
        if !given {
            problems.push(Problem::error(entry.key_span, format!("`learningParameters` has no `{key}`")).hint("a federated job needs it"));
        }
    }
    let partition = sampler::partition(learning.data_sampler.as_ref(), entry.node.get("dataSampler"), problems);
    let span = entry.node.get("aggregation").map_or(entry.node.span, |node| node.span);
    let strategy = aggregate(learning.aggregation, strategy, span, problems);
    Some(Setting::Federated(FederatedConfig {
        clients: class.system_parameters.data_parallelism.into(),
        data: fltk_core::experiment::DataPlace::Everywhere,
        min_available: None,
        max_samples: None,
        clients_per_round: learning.clients_per_round.unwrap_or(1),
        rounds: learning.rounds.unwrap_or(1),
        epochs_per_round: Some(learning.epochs_per_round.unwrap_or(1).into()),
        steps_per_round: None,
        work: None,
        groups: Vec::new(),
        partition: partition.unwrap_or_else(|| Choice::new("uniform")),
        selection: Choice::new("random"),
        strategy,
        compression: None,
        feature_noise: 0.0,
        evaluate_every: default_of("federated", "evaluate_every")?,
        client_test_fraction: None,
        client_test_every: None,
        client_figures: None,
        nodes: if has_workers { class.system_parameters.data_parallelism.min(NODES_MAX) } else { 0 },
        participation: None,
        simulation: None,
        faults: None,
    }))
}

/// Combines the strategy from an optimizer with an aggregation, which is at `span`.
pub(super) fn aggregate(aggregation: Option<Aggregation>, strategy: Option<Choice>, span: Span, problems: &mut Vec<Problem>) -> Choice {
    let reason = match aggregation {
        None | Some(Aggregation::FedAvg) => return strategy.unwrap_or_else(|| Choice::new("FedAvg")),
        Some(Aggregation::Sum) => "`Sum` was a stub in KFLTK that failed in the first round",
        Some(Aggregation::Avg) => "`Avg` was a stub in KFLTK that failed in the first round",
    };
    problems.push(Problem::error(span, reason).hint("use `FedAvg`, the average weighted by samples"));
    Choice::new("FedAvg")
}

/// The message for a file that asks for a GPU.
pub(super) const CUDA: &str = "`cuda` is requested, but fltk computes on the CPU";

/// Notes that a federated job's schedule, which is at `span`, has an effect.
pub(super) fn schedule_steps(span: Span) -> Problem {
    let message = "the schedule counts a client's local epochs; KFLTK never stepped it in federated jobs";
    Problem::new(Severity::Note, Some(span), message).hint("remove it to train as KFLTK did, or use `unit: round` in fltk's own format")
}

/// Notes that a federated job trains with its file's settings, where KFLTK used others.
pub(super) fn note_settings(train: &TrainConfig, dataset: &str, span: Option<Span>, problems: &mut Vec<Problem>) {
    let mut there = Vec::new();
    if train.optimizer != training::sgd(0.01, 0.1) {
        there.push("learning rate 0.01 and momentum 0.1 for all");
    }
    if train.batch_size != 16 && matches!(dataset, "mnist" | "fashion-mnist") {
        there.push("batches of 16 of this data set");
    }
    if there.is_empty() {
        return;
    }
    let message = format!("a federated job trains with the settings of its file here; KFLTK used {}", there.join(", and "));
    let hint = "results differ from KFLTK's; for the same training, write those numbers";
    problems.push(Problem::new(Severity::Note, span, message).hint(hint));
}

/// Notes where fltk does what the file says, and KFLTK didn't.
fn note_differences(class: &JobClass, kind: ExperimentType, hyper: &Node, node: &Node, problems: &mut Vec<Problem>) {
    let mut note = |severity, span: Option<Span>, message: &str, hint: &str| {
        problems.push(Problem::new(severity, span, message).hint(hint));
    };
    let at = |block: &str, key: &str| node.get(block).and_then(|block| block.get(key)).map(|node| node.span);
    if kind == ExperimentType::Distributed && class.network_configuration.dataset == "mnist" {
        let hint = "to train as KFLTK did, write `fashion-mnist`";
        note(
            Severity::Warning,
            at("networkConfiguration", "dataset"),
            "this is MNIST; KFLTK's distributed jobs read Fashion-MNIST here",
            hint,
        );
    }
    if kind == ExperimentType::Distributed && class.learning_parameters.as_ref().is_some_and(|learning| learning.rounds.is_some()) {
        let hint = "the job's `type` is `distributed`; make it `federated` if rounds are meant";
        note(Severity::Warning, at("learningParameters", "rounds"), "a distributed job has no rounds", hint);
    }
    if class.learning_parameters.as_ref().is_some_and(|learning| learning.cuda == Some(true)) {
        let hint = "set it to `false`";
        note(Severity::Warning, at("learningParameters", "cuda"), CUDA, hint);
    }
    if kind == ExperimentType::Federated
        && let Some(scheduler) = hyper.entry("schedulerConfig").filter(|entry| matches!(entry.node.value, Value::Map(_)))
    {
        problems.push(schedule_steps(scheduler.key_span));
    }
}

//! The YAML of a federated learner, which KFLTK's `single` and `remote` took and its orchestrator rendered: flat, in snake case. The format of KFLTK's
//! ancestor, which has other names for some keys, is read too. A file becomes an experiment with one federated task, without a stream.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        DatasetConfig, Experiment, FederatedConfig, NetworkConfig, ScheduleUnit, SchedulerConfig, Setting, Task, TaskKind, TrainConfig,
        Training,
        check::{check_task, own_name, serde_name},
        definition, entries,
        experiment_schema::default_of,
        places::Places,
        report::{Problem, Severity, refused},
        source::{Span, quote},
        tree::{Node, Value},
    },
    lenient, losses, lower, nets,
    sampler::{self, SamplerName},
    sections::Aggregation,
    training::{self, FEDPROX_MU, OptimizerName},
};
use fltk_core::{
    catalogue::{Catalogues, Choice},
    seed::Seed,
};

const STARTER: &str = "the launcher of the ranks sets it";
const RUN_FOLDER: &str = "fltk writes its results to the run's folder";
const ONE_PROCESS: &str = "`fltk run` trains all clients in one process";

#[derive(Deserialize, JsonSchema)]
#[schemars(title = "KFLTK federated learner file")]
#[expect(dead_code, reason = "what has no effect is checked, never used")]
struct FlatFile {
    /// Rounds of local training and aggregation.
    #[schemars(range(min = 1, max = 1_000_000))]
    rounds: Option<u32>,
    /// Local epochs in a round.
    #[schemars(range(min = 1, max = 100_000))]
    epochs: Option<u32>,
    /// Number of clients among which the training set is divided.
    #[schemars(range(min = 1, max = 10_000))]
    num_clients: Option<u32>,
    /// Number of clients in a round.
    #[schemars(range(min = 1, max = 1_000_000))]
    clients_per_round: Option<u32>,
    /// Samples per step.
    #[schemars(range(min = 1, max = 1_000_000))]
    batch_size: Option<u32>,
    /// Samples per forward pass of an evaluation.
    #[schemars(range(min = 1, max = 1_000_000))]
    test_batch_size: Option<u32>,
    /// The net.
    #[schemars(schema_with = "definition::optional_net")]
    net_name: Option<String>,
    /// The data set.
    #[schemars(schema_with = "definition::optional_dataset_name")]
    dataset_name: Option<String>,
    /// The partition of the training set.
    data_sampler: Option<SamplerName>,
    /// The sampler's parameter, and a seed.
    #[schemars(length(max = 16))]
    data_sampler_args: Option<Vec<f64>>,
    /// Step size.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    lr: Option<f64>,
    /// Momentum factor.
    #[schemars(range(min = 0.0))]
    momentum: Option<f64>,
    /// The optimizer.
    optimizer: Option<OptimizerName>,
    #[schemars(extend("x-no-effect" = "neither KFLTK nor fltk reads it: `lr` and `momentum` are used"))]
    optimizer_args: Option<serde_json::Value>,
    aggregation: Option<Aggregation>,
    loss_function: Option<String>,
    /// Epochs between two reductions of the learning rate.
    #[schemars(range(min = 1))]
    scheduler_step_size: Option<u32>,
    /// The factor by which each reduction multiplies the learning rate.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    scheduler_gamma: Option<f64>,
    /// The lower bound of the learning rate.
    #[schemars(range(min = 0.0))]
    min_lr: Option<f64>,
    rng_seed: Option<Seed>,
    experiment_prefix: Option<String>,
    cuda: Option<bool>,
    /// The algorithm by which KFLTK's ancestor chose and awaited clients.
    algorithm_name: Option<String>,
    offload_stategy: Option<String>,
    #[schemars(extend("x-no-effect" = "fltk always shuffles"))]
    shuffle: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = ONE_PROCESS))]
    distributed: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = ONE_PROCESS))]
    single_machine: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = ONE_PROCESS))]
    real_time: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = ONE_PROCESS))]
    wait_for_clients: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = ONE_PROCESS))]
    system: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = ONE_PROCESS))]
    deploy: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = STARTER))]
    rank: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = STARTER))]
    world_size: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = STARTER))]
    replication_id: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = STARTER))]
    replication: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = "fltk reports each round"))]
    log_interval: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = "fltk reports each round"))]
    log_level: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = RUN_FOLDER))]
    output_path: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = RUN_FOLDER))]
    save_data_append: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = "TensorBoard's event files are always written"))]
    tensor_board_active: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = "models start from random weights, drawn with the seed"))]
    default_model_folder_path: Option<serde_json::Value>,
    #[schemars(extend("x-no-effect" = "`--data DIR` sets the folder of data sets"))]
    data_path: Option<serde_json::Value>,
}

/// The ancestor's names, and a typo in KFLTK's template.
const ALIASES: [(&str, &str); 8] = [
    ("total_epochs", "rounds"),
    ("epochs_per_cycle", "epochs"),
    ("net", "net_name"),
    ("dataset", "dataset_name"),
    ("sampler", "data_sampler"),
    ("sampler_args", "data_sampler_args"),
    ("aggregration", "aggregation"),
    ("output_location", "output_path"),
];

/// Keys that no other format has at the top. A file has this format if it has one of them and a second key of the format.
const TELLING: [&str; 8] =
    ["net_name", "dataset_name", "num_clients", "data_sampler", "clients_per_round", "total_epochs", "epochs_per_cycle", "sampler_args"];
/// Further keys of the format.
const COMMON: [&str; 10] =
    ["rounds", "epochs", "batch_size", "lr", "momentum", "optimizer", "aggregation", "net", "dataset", "experiment_prefix"];

/// KFLTK's names of our settings.
const NAMES: [(&str, &str); 9] = [
    ("name", "net_name"),
    ("network", "net_name"),
    ("dataset", "dataset_name"),
    ("train.scheduler.minimum_learning_rate", "min_lr"),
    ("federated.clients", "num_clients"),
    ("federated.clients_per_round", "clients_per_round"),
    ("federated.partition.type", "data_sampler"),
    ("federated.partition.limit", "data_sampler_args"),
    ("federated.partition.n", "data_sampler_args"),
];

/// The message about keys that have no equal here.
const NO_EQUAL: &str = "fltk has no equivalent, and ignores it";

/// True if `root` is such a file, judged by its keys.
pub(crate) fn is(root: &Node) -> bool {
    let count = |keys: &[&str]| keys.iter().filter(|key| root.get(key).is_some()).count();
    let telling = count(&TELLING);
    telling > 0 && telling + count(&COMMON) > 1
}

/// Returns the experiment of such a file.
pub(crate) fn read(mut root: Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Experiment> {
    let num_earlier = problems.len();
    let renamed = take_old_names(&mut root, problems);
    nets::rename(&mut root, &["net_name"], problems);
    let mut schema = entries::generate_with::<FlatFile>(catalogues);
    let names: Vec<&str> = losses::LOSSES.iter().map(|(name, _)| *name).collect();
    schema["properties"]["loss_function"]["enum"] = names.into();
    lenient::check(&schema, &mut root, "learner file", NO_EQUAL, catalogues, problems);
    let refused = refused(problems);
    let mut found = Vec::new();
    let experiment = read_checked(&root, catalogues, &mut found);
    problems.extend(found.into_iter().filter(|problem| !problem.touches(&refused)));
    problems[num_earlier..].iter_mut().for_each(|problem| name_old_keys(problem, &renamed));
    experiment
}

/// Replaces new names by those that the file has.
fn name_old_keys(problem: &mut Problem, renamed: &[(&str, &str)]) {
    for text in std::iter::once(&mut problem.message).chain(&mut problem.hint) {
        for (old, new) in renamed {
            *text = text.replace(&format!("`{new}`"), &format!("`{old}`")).replace(&format!("`{new}["), &format!("`{old}["));
        }
    }
}

/// Renames old keys to the new ones; returns the pairs of old and new names that it renamed.
fn take_old_names(root: &mut Node, problems: &mut Vec<Problem>) -> Vec<(&'static str, &'static str)> {
    let amount = root.get("system").and_then(|system| system.get("clients")?.entry("amount")).cloned();
    let mut renamed = Vec::new();
    let Value::Map(entries) = &mut root.value else { return renamed };
    for (old, new) in ALIASES {
        let Some(at) = entries.iter().position(|entry| entry.key == old) else { continue };
        if entries.iter().any(|entry| entry.key == new) {
            let message = format!("`{old}` has no effect if `{new}` is given");
            problems.push(Problem::new(Severity::Note, Some(entries[at].key_span), message));
            entries.remove(at);
        } else {
            new.clone_into(&mut entries[at].key);
            renamed.push((old, new));
        }
    }
    if let Some(mut amount) = amount.filter(|_| !entries.iter().any(|entry| entry.key == "num_clients")) {
        "num_clients".clone_into(&mut amount.key);
        entries.push(amount);
    }
    renamed
}

fn read_checked(root: &Node, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Experiment> {
    let file: FlatFile = serde_json::from_value(root.to_json()).ok()?;
    let at = |key: &str| root.get(key).map_or(lower::head(root), |node| node.span);
    let (network, dataset) = (file.net_name.as_deref().unwrap_or("MNISTCNN"), file.dataset_name.as_deref().unwrap_or("mnist"));
    // KFLTK only declared the class, without a default, and the ancestor's default is 1, with which nobody trained.
    let batch_size = file.batch_size.or_else(|| default_of("train", "batch_size"))?;
    note_defaults(&file, batch_size, root, problems);
    note_what_is_not_here(&file, root, problems);
    let loss = match &file.loss_function {
        Some(name) => losses::loss(Some(name), at("loss_function"), problems).unwrap_or(losses::DEFAULT),
        None => losses::DEFAULT,
    };
    let (optimizer, strategy) = optimizer(&file, root, problems);
    let value = file.data_sampler_args.as_ref().and_then(|args| args.first().copied());
    let value_span = root.get("data_sampler_args").map(|args| args.item(0).map_or(args.span, |value| value.span));
    let kind_span = at("data_sampler");
    let places = ("data_sampler_args[0]", kind_span, value_span.unwrap_or(kind_span));
    let kind = file.data_sampler.unwrap_or(SamplerName::Uniform);
    let partition = sampler::partition_of(kind, value, places, problems).unwrap_or_else(|| Choice::new("uniform"));
    let train = TrainConfig {
        batch_size,
        test_batch_size: file.test_batch_size.or_else(|| default_of("train", "test_batch_size"))?,
        drop_last: default_of("train", "drop_last")?,
        optimizer,
        scheduler: scheduler(&file, root, problems),
    };
    let given = root.entry("optimizer").or_else(|| root.entry("lr")).or_else(|| root.entry("batch_size"));
    lower::note_settings(&train, dataset, given.map(|entry| entry.key_span), problems);
    let training = Training {
        network: NetworkConfig::named(network),
        dataset: DatasetConfig::named(dataset),
        loss: loss.to_owned(),
        train,
        train_other_role: None,
        checkpoint_every: default_of("task", "checkpoint_every")?,
        threads: default_of("task", "threads")?,
        setting: Setting::Federated(FederatedConfig {
            clients: file.num_clients.unwrap_or(CLIENTS_DEFAULT).into(),
            data: fltk_core::experiment::DataPlace::Everywhere,
            min_available: None,
            max_samples: None,
            clients_per_round: file.clients_per_round.unwrap_or(CLIENTS_PER_ROUND_DEFAULT),
            rounds: file.rounds.unwrap_or(ROUNDS_DEFAULT),
            epochs_per_round: Some(file.epochs.unwrap_or(1).into()),
            steps_per_round: None,
            work: None,
            groups: Vec::new(),
            partition,
            selection: Choice::new("random"),
            strategy,
            compression: None,
            feature_noise: 0.0,
            evaluate_every: default_of("federated", "evaluate_every")?,
            client_test_fraction: None,
            client_test_every: None,
            client_figures: None,
            nodes: 0,
            participation: None,
            simulation: None,
            faults: None,
        }),
    };
    let task = Task {
        name: own_name(&format!("{network}-{dataset}")),
        labels: <_>::default(),
        kind: TaskKind::Training(training),
        resources: None,
        max_jobs: None,
        class_probability: None,
        priorities: Vec::new(),
    };
    let task = check_task(task, catalogues, &Places { root, whole: lower::head(root), names: &NAMES }, problems)?;
    let prefix = file.experiment_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let name = prefix.map_or_else(
        || own_name(super::NAME_DEFAULT),
        |prefix| super::experiment_name(prefix, root.get("experiment_prefix").map(|node| node.span), problems),
    );
    Some(Experiment { name, seeds: vec![file.rng_seed.unwrap_or(super::SEED_DEFAULT)], tasks: vec![task], stream: None })
}

/// KFLTK's defaults.
const CLIENTS_DEFAULT: u32 = 10;
const CLIENTS_PER_ROUND_DEFAULT: u32 = 2;
const ROUNDS_DEFAULT: u32 = 2;
const LEARNING_RATE_DEFAULT: f64 = 0.01;
const MOMENTUM_DEFAULT: f64 = 0.1;

/// Notes the defaults of settings that the file leaves out.
fn note_defaults(file: &FlatFile, batch_size: u32, root: &Node, problems: &mut Vec<Problem>) {
    let defaults = [
        ("net_name", "MNISTCNN".to_owned(), file.net_name.is_none()),
        ("dataset_name", "mnist".to_owned(), file.dataset_name.is_none()),
        ("num_clients", CLIENTS_DEFAULT.to_string(), file.num_clients.is_none()),
        ("clients_per_round", CLIENTS_PER_ROUND_DEFAULT.to_string(), file.clients_per_round.is_none()),
        ("rounds", ROUNDS_DEFAULT.to_string(), file.rounds.is_none()),
        ("batch_size", batch_size.to_string(), file.batch_size.is_none()),
    ];
    let missing: Vec<String> =
        defaults.iter().filter(|(.., missing)| *missing).map(|(key, value, _)| format!("`{key}: {value}`")).collect();
    if !missing.is_empty() {
        let message = format!("the file leaves out settings, which default to {}", missing.join(", "));
        let problem = Problem::new(Severity::Note, Some(lower::head(root)), message);
        problems.push(
            problem
                .hint("these are KFLTK's defaults, except for `batch_size`; if the other settings are in another file, put both into one"),
        );
    }
}

/// Warns of settings whose values have no equal.
fn note_what_is_not_here(file: &FlatFile, root: &Node, problems: &mut Vec<Problem>) {
    for (key, value) in [("algorithm_name", &file.algorithm_name), ("offload_stategy", &file.offload_stategy)] {
        if let (Some(value), Some(node)) = (value.as_deref().filter(|value| *value != "vanilla"), root.get(key)) {
            let message =
                format!("the algorithm {} isn't supported: clients are chosen at random, and a round waits for all of them", quote(value));
            problems.push(Problem::new(Severity::Warning, Some(node.span), message).hint("this is the algorithm `vanilla`"));
        }
    }
    if let (Some(true), Some(node)) = (file.cuda, root.get("cuda")) {
        problems.push(Problem::new(Severity::Warning, Some(node.span), lower::CUDA));
    }
    if let Some(seed) = root.get("data_sampler_args").and_then(|args| args.item(1)) {
        let message = "the sampler's seed has no effect: fltk derives the partition from the experiment's seeds";
        problems.push(Problem::new(Severity::Note, Some(seed.span), message));
    }
    if let Some(entry) = root.entry("rng_seed") {
        let message = "`rng_seed` is the seed of the run here; KFLTK never used it";
        problems.push(Problem::new(Severity::Note, Some(entry.key_span), message));
    }
}

fn optimizer(file: &FlatFile, root: &Node, problems: &mut Vec<Problem>) -> (Choice, Choice) {
    let learning_rate = file.lr.unwrap_or(LEARNING_RATE_DEFAULT);
    let kind = file.optimizer.unwrap_or(OptimizerName::SGD);
    if matches!(kind, OptimizerName::Adam | OptimizerName::AdamW)
        && let Some(entry) = root.entry("momentum")
    {
        let message = format!("{} has no `momentum`: it's left out", quote(&serde_name(&kind)));
        problems
            .push(Problem::new(Severity::Warning, Some(entry.key_span), message).hint("the first of its `betas`, 0.9, is its momentum"));
    }
    let optimizer = match kind {
        OptimizerName::SGD | OptimizerName::FedProx | OptimizerName::FedNova => {
            training::sgd(learning_rate, file.momentum.unwrap_or(MOMENTUM_DEFAULT))
        }
        OptimizerName::Adam | OptimizerName::AdamW => training::adam(kind, learning_rate, None),
    };
    let strategy = match kind {
        OptimizerName::FedProx => Choice::new("FedProx").with("mu", FEDPROX_MU),
        OptimizerName::FedNova => Choice::new("FedNova"),
        OptimizerName::SGD | OptimizerName::Adam | OptimizerName::AdamW => Choice::new("FedAvg"),
    };
    let span = root.get("aggregation").map_or(lower::head(root), |node| node.span);
    (optimizer, lower::aggregate(file.aggregation, Some(strategy), span, problems))
}

/// Returns the schedule; `None` if the file has no setting of it.
fn scheduler(file: &FlatFile, root: &Node, problems: &mut Vec<Problem>) -> Option<SchedulerConfig> {
    let given: Option<Span> =
        ["scheduler_step_size", "scheduler_gamma", "min_lr"].iter().find_map(|key| root.entry(key)).map(|entry| entry.key_span);
    let span = given?;
    problems.push(lower::schedule_steps(span));
    // Missing settings have the ancestor's defaults.
    Some(SchedulerConfig {
        step_size: file.scheduler_step_size.unwrap_or(50),
        gamma: file.scheduler_gamma.unwrap_or(0.5),
        minimum_learning_rate: file.min_lr.unwrap_or(1e-10),
        unit: ScheduleUnit::Epoch,
    })
}

//! Checks that no schema can express: settings that are valid alone and impossible together.

mod partition;
mod stream;

pub(crate) use stream::check_stream;

use super::{
    DatasetConfig, FederatedConfig, NetName, NetworkConfig, OptimizerConfig, ScheduleUnit, Setting, Task, TrainConfig,
    places::Places,
    report::{Problem, Severity},
    source::{Span, quote, quote_all},
};

/// The limit on characters in a name: a Kubernetes label holds 63.
const NAME_CHARS_MAX: usize = 63;

/// Checks a name that becomes part of folder and object names.
pub(crate) fn check_name(name: &str, what: &str, span: Span, problems: &mut Vec<Problem>) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(fits) || name.starts_with('-') {
        let message = format!("{} can't be the name of {what}", quote(name));
        let hint = format!("letters, digits, `-` and `_`, at most {NAME_CHARS_MAX}; the first isn't `-`");
        problems.push(Problem::error(span, message).hint(hint));
    }
}

/// Checks for impossible combinations within one task.
pub(crate) fn check_task(task: &Task, places: &Places<'_>, problems: &mut Vec<Problem>) {
    check_name(&task.name, "a task", places.at("name").span, problems);
    check_network(&task.network, &task.dataset, places, problems);
    check_train(&task.train, places, problems);
    check_priorities(task, places, problems);
    check_resources(task, places, problems);
    match &task.setting {
        Setting::Federated(config) => check_federated(config, task, places, problems),
        Setting::Distributed(config) => {
            check_distributed(task, places, problems);
            if config.sync_batch_norm && matches!(task.network, NetworkConfig::TorchScript { .. }) {
                let place = places.at("distributed.sync_batch_norm");
                let problem = Problem::error(place.span, format!("`{}` doesn't reach into TorchScript modules", place.name));
                problems.push(problem.hint("use one of the catalogue's nets, or leave it out"));
            }
            if let Some(num_train) = task.dataset.name.num_train().filter(|num_train| config.data_parallelism > *num_train) {
                let place = places.at("distributed.data_parallelism");
                let message = format!("`{}` is {}, and the training set has {num_train} samples", place.name, config.data_parallelism);
                problems.push(Problem::error(place.span, message).hint("every rank needs a sample"));
            }
        }
    }
}

fn check_network(network: &NetworkConfig, dataset: &DatasetConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let place = places.at("network");
    if dataset.path.as_ref().is_some_and(|path| path.is_empty() || path.contains('\0')) {
        problems.push(
            Problem::error(places.at("dataset.path").span, "the path of the data set is empty").hint("leave `path` out to use the cache"),
        );
    }
    let net = match network {
        NetworkConfig::Named(net) => *net,
        NetworkConfig::Lstm { lstm } => {
            if lstm.tied && lstm.embedding != lstm.hidden {
                let message =
                    format!("a tied decoder needs `hidden` equal to `embedding`: they are {} and {}", lstm.hidden, lstm.embedding);
                let problem = Problem::error(places.at("network.lstm.tied").span, message);
                problems.push(problem.hint("set both to the same number, or `tied: false`"));
            }
            NetName::RedditLSTM
        }
        NetworkConfig::TorchScript { torchscript } => {
            if torchscript.trim().is_empty() || torchscript.contains('\0') {
                let problem = Problem::error(places.at("network.torchscript").span, "the path of the TorchScript module is empty");
                problems.push(problem.hint("write it as `network: { torchscript: path.pt }`, relative to this file"));
            }
            return;
        }
    };
    let (takes, gives) = (net.sample_kind(), dataset.name.sample_kind());
    if takes != gives {
        let name = serde_name(&dataset.name);
        let fitting: Vec<String> = NetName::ALL.iter().filter(|net| net.sample_kind() == gives).map(serde_name).collect();
        let net = match network {
            NetworkConfig::Lstm { .. } => "`lstm`".to_owned(),
            _ => quote(&serde_name(&net)),
        };
        let mut problem = Problem::error(place.span, format!("{net} takes {takes}, and `{name}` has {gives}"));
        let data_place = places.at("dataset");
        if data_place.span != place.span {
            problem = problem.label(data_place.span, gives.to_string());
        }
        problems.push(problem.hint(format!("for `{name}`: {}", quote_all(fitting.iter().map(String::as_str)))));
    }
}

/// The name of a unit variant in files.
pub(crate) fn serde_name<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn check_train(train: &TrainConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    match train.optimizer {
        OptimizerConfig::SGD { momentum, nesterov, .. } => {
            if nesterov && momentum <= 0.0 {
                let problem = Problem::error(places.at("train.optimizer.nesterov").span, "Nesterov's method needs a `momentum` above 0");
                problems.push(problem.hint("add `momentum: 0.9`, or leave `nesterov` out"));
            }
        }
        OptimizerConfig::Adam { betas, .. } | OptimizerConfig::AdamW { betas, .. } => {
            if let Some(beta) = betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
                let place = places.at("train.optimizer.betas");
                let message = format!("`{}` must be at least 0 and below 1, not `{beta}`", place.name);
                problems.push(Problem::error(place.span, message).hint("PyTorch's defaults are `[0.9, 0.999]`"));
            }
        }
    }
    if let Some(scheduler) = train.scheduler.filter(|scheduler| scheduler.minimum_learning_rate > train.optimizer.learning_rate()) {
        let place = places.at("train.scheduler.minimum_learning_rate");
        let (min, rate) = (scheduler.minimum_learning_rate, train.optimizer.learning_rate());
        let message = format!("`{}` is {min}, above the learning rate {rate}: the schedule does nothing", place.name);
        problems.push(Problem::new(Severity::Warning, Some(place.span), message));
    }
}

fn check_priorities(task: &Task, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if !task.priorities.is_empty() && task.priorities.iter().all(|priority| priority.probability <= 0.0) {
        problems.push(Problem::error(places.at("priorities").span, "no priority has a probability above 0"));
    }
    for (index, priority) in task.priorities.iter().enumerate() {
        if task.priorities[..index].iter().any(|earlier| earlier.priority == priority.priority) {
            let place = places.at(&format!("priorities.{index}"));
            problems.push(
                Problem::error(place.span, format!("priority {} is given twice", priority.priority)).hint("add their probabilities up"),
            );
        }
    }
}

/// Checks that a task with workers states the workers' resources if it states those of rank 0.
fn check_resources(task: &Task, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let num_workers = task.setting.num_workers();
    if num_workers > 0 && task.resources.as_ref().is_some_and(|resources| resources.worker.is_none()) {
        let place = places.at("resources");
        let message = format!("`{}` says nothing of the {num_workers} ranks beside the first", place.name);
        problems.push(Problem::error(place.span, message).hint("add `worker: { cores: ..., memory: ... }`"));
    }
}

fn check_distributed(task: &Task, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if task.train.scheduler.is_some_and(|scheduler| scheduler.unit == ScheduleUnit::Round) {
        let problem = Problem::error(places.at("train.scheduler.unit").span, "a distributed task has no rounds for its schedule to count");
        problems.push(problem.hint("use `unit: epoch`"));
    }
    if let Some(other) = &task.train_other_role
        && (other.optimizer != task.train.optimizer || other.scheduler != task.train.scheduler)
    {
        let message = "master and worker have different optimizers or schedules: the ranks of one net would drift apart";
        problems.push(Problem::error(places.at("roles").span, message).hint("in a distributed task only the batch sizes may differ"));
    }
}

fn check_federated(config: &FederatedConfig, task: &Task, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if config.clients_per_round > config.clients {
        let (chosen, all) = (places.at("federated.clients_per_round"), places.at("federated.clients"));
        let message = format!("`{}` is {}, but there are only {} clients", chosen.name, config.clients_per_round, config.clients);
        let problem = Problem::error(chosen.span, message).label(all.span, format!("{} clients", config.clients));
        problems.push(problem.hint(format!("choose at most {}, or raise `{}`", config.clients, all.name)));
    }
    partition::check(config, task.dataset.name, places, problems);
}

#[cfg(test)]
mod tests {
    use crate::experiment::{SourceFile, parse};

    #[test]
    fn only_who_has_workers_says_what_they_ask_for() {
        let check = |task: &str, expected: Result<(), &str>| {
            let resources = "resources: { master: { cores: 1, memory: 1Gi } }";
            let text =
                format!("name: a\ntasks:\n  - {{ name: a, network: FashionMNISTCNN, dataset: fashion-mnist, {task}, {resources} }}\n");
            let parsed = parse(&[SourceFile { name: "a.yaml".into(), text }], &[]);
            match (parsed, expected) {
                (Ok(parsed), Ok(())) => assert!(parsed.experiment.tasks[0].resources.as_ref().unwrap().worker.is_none()),
                (Err(report), Err(words)) => assert!(report.render(false).contains(words), "{report}"),
                (parsed, _) => panic!("{task}: {:?}", parsed.map(|parsed| parsed.experiment)),
            }
        };
        check("kind: federated, federated: { clients: 4, clients_per_round: 2, rounds: 1 }", Ok(()));
        check("kind: distributed, distributed: { epochs: 1 }", Ok(()));
        check("kind: distributed, distributed: { epochs: 1, data_parallelism: 1 }", Ok(()));
        let words = "`resources` says nothing of the 2 ranks beside the first";
        check("kind: distributed, distributed: { epochs: 1, data_parallelism: 3 }", Err(words));
        let varied = "matrix: { factors: { distributed.data_parallelism: [1, 3] } }, kind: distributed, distributed: { epochs: 1 }";
        check(varied, Err(words));
    }
}

//! Checks that no schema can express: settings that are valid alone and impossible together.

mod client_test;
mod command;
mod doubtful;
mod own_data;
mod participation;
mod partition;
mod python_net;
mod python_strategy;
mod simulation;
mod stream;
mod work;

pub(crate) use stream::check_stream;

use super::{
    FederatedConfig, NetworkConfig, ScheduleUnit, Setting, Task, TaskKind, TrainConfig, Training,
    places::Places,
    report::{Problem, Severity},
    source::{Span, quote, quote_all},
};
use fltk_core::{
    catalogue::{Catalogue, Catalogues, Choice, ChoiceError, Entry, Kind, Misfit, NetEntry, NetFacts, SampleKind, SelectionSize, Value},
    experiment::Epochs,
    name::Name,
};

/// Reads a name that becomes part of folder and object names. A text that isn't one is refused, and a similar name stands for it, so that further problems
/// are found too.
pub(crate) fn read_name(text: &str, what: &str, span: Span, problems: &mut Vec<Problem>) -> Name {
    text.parse().unwrap_or_else(|_| {
        problems.push(Problem::error(span, format!("{} can't be the name of {what}", quote(text))).hint(Name::RULE));
        Name::most_like(text).unwrap_or_else(|| own_name("refused"))
    })
}

/// Returns a name that we make ourselves.
pub(crate) fn own_name(text: &str) -> Name {
    text.parse().expect("we make names of letters, digits, `-` and `_` only, and short ones")
}

/// Settles the choices of a task and checks for impossible combinations within it.
pub(crate) fn check_task(mut task: Task, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) -> Option<Task> {
    check_priorities(&task, places, problems);
    check_resources(&task, places, problems);
    match &mut task.kind {
        TaskKind::Training(training) => check_training(training, catalogues, places, problems)?,
        TaskKind::Command(config) => command::check(config, places, problems),
    }
    Some(task)
}

/// Settles the choices of a training and checks for impossible combinations within it.
fn check_training(task: &mut Training, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) -> Option<()> {
    if let Err(problem) = settle(task, catalogues, places) {
        problems.push(*problem);
        return None;
    }
    check_choice(&task.dataset.data, catalogues.of_dataset(&task.dataset.data), "dataset", places, problems);
    check_network(task, catalogues, places, problems);
    check_train(&task.train, catalogues, places, problems);
    let dataset = catalogues.dataset(&task.dataset.data)?;
    check_own(task, places, problems);
    match &task.setting {
        Setting::Federated(config) => {
            check_federated(config, places, problems);
            work::check(config, &task.train, places, problems);
            check_strategy(config, catalogues, places, problems);
            doubtful::check(config, &task.train, catalogues, places, problems);
            check_net_of_strategy(config, &task.network, catalogues, places, problems);
            check_selection(config, catalogues, places, problems);
            check_choice(&config.partition, &catalogues.partitioners, "federated.partition", places, problems);
            if let Some(compression) = &config.compression {
                check_choice(compression, &catalogues.compressions, "federated.compression", places, problems);
            }
            if let Some(attack) = config.faults.as_ref().and_then(|faults| faults.attack.as_ref()) {
                check_choice(attack, &catalogues.attacks, "federated.faults.attack", places, problems);
            }
            own_data::check(config, catalogues, places, problems);
            simulation::check(config, catalogues, places, problems);
            client_test::check(config, dataset, places, problems);
            participation::check(config, dataset, catalogues, places, problems);
            partition::check(config, &task.dataset.data, dataset, catalogues, places, problems);
            if config.feature_noise > 0.0 && dataset.gives == SampleKind::Text {
                let place = places.at("federated.feature_noise");
                let message = format!("`{}` is noise on images, and `{}` has text", place.name, dataset.entry.name);
                problems.push(Problem::error(place.span, message).hint("leave it out"));
            }
        }
        Setting::Distributed(config) => {
            check_distributed(task, places, problems);
            if config.sync_batch_norm && matches!(task.network, NetworkConfig::TorchScript { .. }) {
                let place = places.at("distributed.sync_batch_norm");
                let problem = Problem::error(place.span, format!("`{}` doesn't apply to TorchScript modules", place.name));
                problems.push(problem.hint("use one of the catalogue's nets, or leave it out"));
            }
            if let Some(num_train) = dataset.num_train.filter(|num_train| config.data_parallelism > *num_train) {
                let place = places.at("distributed.data_parallelism");
                let message = format!("`{}` is {}, and the training set has {num_train} samples", place.name, config.data_parallelism);
                problems.push(Problem::error(place.span, message).hint("every rank needs a sample"));
            }
        }
    }
    Some(())
}

/// Gives every choice of the training all parameters of its entry.
fn settle(task: &mut Training, catalogues: &Catalogues, places: &Places<'_>) -> Result<(), Box<Problem>> {
    let refuse = |path: &str, error: ChoiceError| {
        let place = match &error {
            ChoiceError::Value { parameter, .. } => places.at(&format!("{path}.{parameter}")),
            ChoiceError::Unknown { .. } | ChoiceError::UnknownParameter { .. } | ChoiceError::Missing { .. } => places.at(path),
        };
        Box::new(Problem::error(place.span, error.to_string()))
    };
    settle_network(&mut task.network, &catalogues.nets).map_err(|error| refuse("network", error))?;
    let datasets = catalogues.of_dataset(&task.dataset.data);
    settle_with(&mut task.dataset.data, datasets).map_err(|error| refuse("dataset", error))?;
    if catalogues.losses.get(&task.loss).is_none() {
        return Err(refuse("loss", ChoiceError::Unknown { name: task.loss.clone() }));
    }
    for train in std::iter::once(&mut task.train).chain(&mut task.train_other_role) {
        settle_with(&mut train.optimizer, &catalogues.optimizers).map_err(|error| refuse("train.optimizer", error))?;
    }
    if let Setting::Federated(config) = &mut task.setting {
        if config.steps_per_round.is_none() && config.work.is_none() {
            config.epochs_per_round.get_or_insert(Epochs(1.0));
        }
        client_test::settle(config);
        settle_with(&mut config.partition, &catalogues.partitioners).map_err(|error| refuse("federated.partition", error))?;
        settle_with(&mut config.selection, &catalogues.selections).map_err(|error| refuse("federated.selection", error))?;
        // Code of the user's own has no entry.
        if !config.strategy.is_python() {
            settle_with(&mut config.strategy, &catalogues.strategies).map_err(|error| refuse("federated.strategy", error))?;
        }
        if let Some(compression) = &mut config.compression {
            settle_with(compression, &catalogues.compressions).map_err(|error| refuse("federated.compression", error))?;
        }
        if let Some(attack) = config.faults.as_mut().and_then(|faults| faults.attack.as_mut()) {
            settle_with(attack, &catalogues.attacks).map_err(|error| refuse("federated.faults.attack", error))?;
        }
        if let Some(simulation) = &mut config.simulation {
            simulation::settle(simulation, catalogues).map_err(|(path, error)| refuse(path, error))?;
        }
    }
    // Defaults that one role gives and the other leaves out are no difference.
    if task.train_other_role.as_ref() == Some(&task.train) {
        task.train_other_role = None;
    }
    Ok(())
}

/// Gives a choice all parameters of its entry.
pub(crate) fn settle_with<T: AsRef<Entry>>(choice: &mut Choice, catalogue: &Catalogue<T>) -> Result<(), ChoiceError> {
    *choice = catalogue.settle(choice.clone())?;
    Ok(())
}

fn settle_network(network: &mut NetworkConfig, nets: &Catalogue<NetEntry>) -> Result<(), ChoiceError> {
    match network {
        NetworkConfig::Named(net) => {
            let settled = nets.settle(net.clone())?;
            // A name alone stays one, unless its meaning depends on who wrote the file.
            if !net.is_bare() || settled.is_open() {
                *net = settled;
            }
            Ok(())
        }
        NetworkConfig::Block { key, net } => {
            let owner = nets.iter().find(|entry| entry.block == Some(key)).ok_or_else(|| ChoiceError::Unknown { name: key.clone() })?;
            *net = net.clone().named(owner.entry.name).settled(&owner.entry)?;
            Ok(())
        }
        NetworkConfig::TorchScript { .. } | NetworkConfig::Python(_) => Ok(()),
    }
}

/// Checks the parameters of a choice together.
fn check_choice<T: AsRef<Entry>>(choice: &Choice, catalogue: &Catalogue<T>, path: &str, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if let Some(entry) = catalogue.get(choice.name()) {
        check_entry(choice, entry.as_ref(), path, places, problems);
    }
}

/// Checks the parameters of the strategy, and that every round has enough updates for it.
fn check_strategy(config: &FederatedConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if config.strategy.is_python() {
        return python_strategy::check(&config.strategy, places, problems);
    }
    check_choice(&config.strategy, &catalogues.strategies, "federated.strategy", places, problems);
    let Some(strategy) = catalogues.strategies.get(config.strategy.name()) else { return };
    let at = |parameter: &str| places.at(&format!("federated.strategy.{parameter}")).span;
    let reads_file = || !config.selection.paths().is_empty();
    if let Some(needed) = strategy.selection.filter(|needed| *needed != config.selection.name() && !reads_file()) {
        let (name, chosen) = (strategy.entry.name, config.selection.name());
        let problem = Problem::error(at("type"), format!("`{name}` needs the selection `{needed}`, and it is `{chosen}`"));
        problems.push(problem.hint(format!("add `selection: {{ type: {needed} }}`")));
    }
    if let Err(Misfit { parameter, message, hint }) = (strategy.cohort)(&config.strategy, config.clients_per_round) {
        problems.push(Problem::error(at(parameter), message).hint(hint));
    } else if let Err(Misfit { parameter, message, .. }) = (strategy.cohort)(&config.strategy, config.min_updates(strategy)) {
        // Enough clients are selected, and too few of them may answer.
        let (place, num) = (places.at("federated.participation.min_updates"), config.min_updates(strategy));
        let problem = Problem::error(at(parameter), message).label(place.span, format!("a round may have only {num}"));
        problems.push(problem.hint("raise `participation.min_updates`: a round with fewer updates then ends the run"));
    }
}

/// Checks that the net has what the strategy needs, such as batch norms.
fn check_net_of_strategy(
    config: &FederatedConfig,
    network: &NetworkConfig,
    catalogues: &Catalogues,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let Some(strategy) = catalogues.strategies.get(config.strategy.name()) else { return };
    let facts = match network.net() {
        Some(net) => match catalogues.nets.get(net.name()) {
            Some(entry) => entry.facts(net),
            None => return,
        },
        // A module with buffers, such as those of batch norms, is refused when it is loaded.
        None => NetFacts { num_layers: None, has_batch_norms: false, is_module: true },
    };
    if let Err(Misfit { parameter, message, hint }) = (strategy.net)(&config.strategy, &facts) {
        let (place, net) = (places.at(&format!("federated.strategy.{parameter}")), places.at("network"));
        problems.push(Problem::error(place.span, message).label(net.span, "this net").hint(hint));
    }
}

/// Checks the parameters of the selection, and that it can select the clients of a round.
fn check_selection(config: &FederatedConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    check_choice(&config.selection, &catalogues.selections, "federated.selection", places, problems);
    let size = SelectionSize { selected: config.num_selected(), clients: config.clients.num().into() };
    // That there are enough clients at all is checked elsewhere.
    let Some(selection) = catalogues.selections.get(config.selection.name()).filter(|_| size.selected <= size.clients) else { return };
    if let Err(Misfit { parameter, message, hint }) = (selection.fits)(&config.selection, size) {
        problems.push(Problem::error(places.at(&format!("federated.selection.{parameter}")).span, message).hint(hint));
    }
}

/// Checks the parameters of a choice of `entry` together, and those of the choices within it. `path` is the path of its block; empty for the root.
pub(crate) fn check_entry(choice: &Choice, entry: &Entry, path: &str, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let path_of = |parameter: &str| if path.is_empty() { parameter.to_owned() } else { format!("{path}.{parameter}") };
    if let Err(Misfit { parameter, message, hint }) = (entry.check)(choice) {
        problems.push(Problem::error(places.at(&path_of(parameter)).span, message).hint(hint));
    }
    for parameter in entry.parameters {
        if let (Kind::Choice { entries, .. }, Some(Value::Choice(inner))) = (parameter.kind, choice.get(parameter.name))
            && let Some(entry) = entries.iter().find(|entry| entry.name == inner.name())
        {
            check_entry(inner, entry, &path_of(parameter.name), places, problems);
        }
    }
}

/// Checks what data of one's own can't be used for.
fn check_own(task: &Training, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let Setting::Federated(config) = &task.setting else { return };
    if task.dataset.is_own() && config.has_own_data() {
        let place = places.at("federated.data");
        let message = "clients that have data of their own need a data set by name: the classes and the normalization of data of one's own are those of its files";
        let problem = Problem::error(place.span, message).label(places.at("dataset").span, "data of one's own");
        problems.push(problem.hint("name the data set, and leave `format` out; or leave `data: here` out"));
    }
}

fn check_network(task: &Training, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if task.dataset.path.as_ref().is_some_and(|path| path.is_empty() || path.contains('\0')) {
        let problem = Problem::error(places.at("dataset.path").span, "the path of the data set is empty");
        let hint = if task.dataset.is_own() { "it is a file, an archive or a folder" } else { "leave `path` out to use the cache" };
        problems.push(problem.hint(hint));
    }
    let (shown, net, path) = match &task.network {
        NetworkConfig::Named(net) => (net.name(), net, "network".to_owned()),
        NetworkConfig::Block { key, net } => (key.as_str(), net, format!("network.{key}")),
        NetworkConfig::TorchScript { torchscript } => {
            if torchscript.trim().is_empty() || torchscript.contains('\0') {
                let problem = Problem::error(places.at("network.torchscript").span, "the path of the TorchScript module is empty");
                problems.push(problem.hint("write it as `network: { torchscript: path.pt }`, relative to this file"));
            }
            return;
        }
        NetworkConfig::Python(net) => return python_net::check(net, &task.setting, places, problems),
    };
    check_choice(net, &catalogues.nets, &path, places, problems);
    let (Some(net), Some(dataset)) = (catalogues.nets.get(net.name()), catalogues.dataset(&task.dataset.data)) else { return };
    if !net.takes.contains(dataset.gives) {
        let has_type = places.root.get("network").is_some_and(|network| network.get("type").is_some());
        let (place, name) = (places.at(if has_type { "network.type" } else { "network" }), dataset.entry.name);
        let fitting = catalogues.nets.iter().filter(|net| net.takes.contains(dataset.gives)).map(|net| net.entry.name);
        let message = format!("{} takes {}, and `{name}` has {}", quote(shown), net.takes, dataset.gives);
        let mut problem = Problem::error(place.span, message);
        let data_place = places.at("dataset");
        if data_place.span != place.span {
            problem = problem.label(data_place.span, dataset.gives.to_string());
        }
        problems.push(problem.hint(format!("for `{name}`: {}", quote_all(fitting))));
    }
}

/// The name of a unit variant in files.
pub(crate) fn serde_name<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(crate) fn check_train(train: &TrainConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    check_choice(&train.optimizer, &catalogues.optimizers, "train.optimizer", places, problems);
    let rate = train.learning_rate();
    if let Some(scheduler) = train.scheduler.filter(|scheduler| scheduler.minimum_learning_rate > rate) {
        let place = places.at("train.scheduler.minimum_learning_rate");
        let min = scheduler.minimum_learning_rate;
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
                Problem::error(place.span, format!("priority {} is given twice", priority.priority)).hint("add up their probabilities"),
            );
        }
    }
}

/// Checks that a task with workers states the workers' resources if it states those of rank 0.
fn check_resources(task: &Task, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let num_workers = task.num_workers();
    if num_workers > 0 && task.resources.as_ref().is_some_and(|resources| resources.worker.is_none()) {
        let place = places.at("resources");
        let who = match task.training().map(|training| &training.setting) {
            Some(Setting::Federated(_)) => "nodes",
            Some(Setting::Distributed(_)) | None => "ranks after the first",
        };
        let message = format!("`{}` lacks the resources of the {num_workers} {who}", place.name);
        problems.push(Problem::error(place.span, message).hint("add `worker: { cores: ..., memory: ... }`"));
    }
}

fn check_distributed(task: &Training, places: &Places<'_>, problems: &mut Vec<Problem>) {
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

fn check_federated(config: &FederatedConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if config.clients_per_round > config.clients.num() {
        let (chosen, all) = (places.at("federated.clients_per_round"), places.at("federated.clients"));
        let clients = format!("{} client{}", config.clients.num(), if config.clients.num() == 1 { "" } else { "s" });
        let message = format!("`{}` is {}, but the task has only {clients}", chosen.name, config.clients_per_round);
        let problem = Problem::error(chosen.span, message).label(all.span, clients);
        problems.push(problem.hint(format!("choose at most {}, or raise `{}`", config.clients.num(), all.name)));
    }
}

//! Checks for partitions that are impossible for a data set, or for a number of clients.

use super::super::{
    FederatedConfig,
    places::{Place, Places},
    report::{Problem, Severity},
};
use fltk_core::catalogue::{Catalogues, Choice, ClientCount, DatasetEntry, Entry, PartitionerEntry, SampleKind};

pub(super) fn check(
    config: &FederatedConfig,
    data: &Choice,
    dataset: &DatasetEntry,
    catalogues: &Catalogues,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let Some(partitioner) = catalogues.partitioners.get(config.partition.name()) else { return };
    check_needs(config, partitioner, dataset, catalogues, places, problems);
    check_sizes(config, partitioner, dataset, places, problems);
    check_natural_clients(config, partitioner, data, dataset, places, problems);
    let Some(num_train) = dataset.num_train else { return };
    let per_client = partitioner.samples_per_client.map_or(1, |parameter| parameter.of(&config.partition));
    let needed = u64::from(config.clients.num()) * u64::from(per_client);
    if needed > u64::from(num_train) {
        let place = places.at("federated.clients");
        let (clients, name) = (config.clients.num(), dataset.entry.name);
        let message = format!("{clients} clients with at least {per_client} each need {needed} samples, and `{name}` has {num_train}");
        problems.push(Problem::error(place.span, message).hint(format!("at most {} clients", num_train / per_client)));
    }
}

fn check_needs(
    config: &FederatedConfig,
    partitioner: &PartitionerEntry,
    dataset: &DatasetEntry,
    catalogues: &Catalogues,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let (clients, kind, name) = (config.clients.num(), partitioner.entry.name, dataset.entry.name);
    let at = |key: &str| places.at(&format!("federated.partition.{key}"));
    let mut refuse = |place: Place, message: String, hint: String| problems.push(Problem::error(place.span, message).hint(hint));
    if partitioner.needs_natural_clients && !dataset.has_natural_clients {
        let with = catalogues.datasets.iter().filter(|dataset| dataset.has_natural_clients);
        let message = format!("`{name}` has no clients of its own for `{kind}`");
        let hint = format!("sets that have: {}; or choose another partition, such as `dirichlet`", listed(with));
        return refuse(at("type"), message, hint);
    }
    if !partitioner.needs_labels {
        return;
    }
    if dataset.gives == SampleKind::Unread {
        // Whether the classes fit shows when the data is loaded.
        return;
    }
    let Some(classes) = dataset.num_classes() else {
        let message = format!("`{kind}` divides by class labels, and `{name}` is text without any");
        let others = catalogues.partitioners.iter().filter(|other| !other.needs_labels);
        return refuse(at("type"), message, format!("for text: {}", listed(others)));
    };
    match partitioner.clients {
        ClientCount::MultipleOfClasses if !clients.is_multiple_of(classes) => {
            let place = places.at("federated.clients");
            let message = format!("`{kind}` needs clients to be a multiple of the {classes} classes, and there are {clients}");
            let (below, above) = (clients / classes * classes, clients.div_ceil(classes) * classes);
            let hint = if below == 0 { format!("try {above} clients") } else { format!("try {below} or {above} clients") };
            refuse(place, message, hint);
        }
        ClientCount::AtMostClasses if clients > classes => {
            let message = format!("`{kind}` gives every client classes of its own: {clients} clients are more than {classes} classes");
            refuse(places.at("federated.clients"), message, format!("at most {classes} clients"));
        }
        ClientCount::Any | ClientCount::MultipleOfClasses | ClientCount::AtMostClasses => {}
    }
    if let Some(parameter) = partitioner.classes_per_client {
        let count = parameter.of(&config.partition);
        if count > classes {
            let place = at(parameter.name());
            let message = format!("`{}` is {count}, and `{name}` has {classes} classes", place.name);
            refuse(place, message, format!("at most {classes}"));
        }
    }
}

/// Checks that a data set that is made has as many clients of its own as the partition needs.
fn check_natural_clients(
    config: &FederatedConfig,
    partitioner: &PartitionerEntry,
    data: &Choice,
    dataset: &DatasetEntry,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let Some(parameter) = dataset.natural_clients.filter(|_| partitioner.needs_natural_clients) else { return };
    let (own, clients, name) = (parameter.of(data), config.clients.num(), dataset.entry.name);
    let (all, made) = (places.at("federated.clients"), places.at("dataset"));
    let problem = if clients > own {
        Problem::error(all.span, format!("there are {clients} clients, and `{name}` is made for {own}"))
    } else if clients < own && partitioner.draws_natural_clients {
        let message = format!("most clients whose samples are the test set may not train: {clients} of the {own} clients of `{name}` do");
        Problem::new(Severity::Warning, Some(all.span), message)
    } else {
        return;
    };
    let hint = format!("set `{}` of the data set to {clients}", parameter.name());
    problems.push(problem.label(made.span, format!("{own} clients")).hint(hint));
}

/// Checks that a list of sizes has one for each client, and doesn't ask for more samples than there are.
fn check_sizes(
    config: &FederatedConfig,
    partitioner: &PartitionerEntry,
    dataset: &DatasetEntry,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let Some(parameter) = partitioner.client_sizes else { return };
    let sizes = parameter.of(&config.partition);
    let place = places.at(&format!("federated.partition.{}", parameter.name()));
    if sizes.len() != config.clients.num() as usize {
        let (all, clients) = (places.at("federated.clients"), format!("{} clients", config.clients.num()));
        let message = format!("the length of `{}` is {}, and the task has {clients}", place.name, sizes.len());
        problems.push(Problem::error(place.span, message).label(all.span, clients).hint("give the number of samples of each client"));
        return;
    }
    let sum: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
    if let Some(num_train) = dataset.num_train.filter(|&num_train| sum > u64::from(num_train)) {
        let message = format!("`{}` sums to {sum}, and `{}` has {num_train} training samples", place.name, dataset.entry.name);
        problems.push(Problem::error(place.span, message));
    }
}

/// Returns names in backticks, separated by commas.
pub(super) fn listed<'a, T: AsRef<Entry> + 'a>(entries: impl Iterator<Item = &'a T>) -> String {
    entries.map(|entry| format!("`{}`", entry.as_ref().name)).collect::<Vec<_>>().join(", ")
}

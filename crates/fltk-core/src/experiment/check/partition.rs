//! Checks for partitions that are impossible for a data set, or for a number of clients.

use super::super::{
    DatasetName, FederatedConfig, PartitionConfig,
    places::{Place, Places},
    report::Problem,
};
use super::serde_name;

pub(super) fn check(config: &FederatedConfig, dataset: DatasetName, places: &Places<'_>, problems: &mut Vec<Problem>) {
    check_labels(config, dataset, places, problems);
    let Some(num_train) = dataset.num_train() else { return };
    let per_client = match config.partition {
        PartitionConfig::Dirichlet { min_samples, .. } => min_samples,
        PartitionConfig::Shard { shards_per_client } => shards_per_client,
        _ => 1,
    };
    let needed = u64::from(config.clients) * u64::from(per_client);
    if needed > u64::from(num_train) {
        let place = places.at("federated.clients");
        let name = serde_name(&dataset);
        let message =
            format!("{} clients with at least {per_client} each need {needed} samples, and `{name}` has {num_train}", config.clients);
        problems.push(Problem::error(place.span, message).hint(format!("at most {} clients", num_train / per_client)));
    }
}

fn check_labels(config: &FederatedConfig, dataset: DatasetName, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let clients = config.clients;
    let at = |key: &str| places.at(&format!("federated.partition.{key}"));
    let kind = partition_name(&config.partition);
    let mut refuse = |place: Place, message: String, hint: String| problems.push(Problem::error(place.span, message).hint(hint));
    if matches!(config.partition, PartitionConfig::NaturalId {}) && !dataset.has_natural_clients() {
        let with: Vec<String> = DatasetName::ALL.iter().filter(|name| name.has_natural_clients()).map(serde_name).collect();
        let message = format!("`{}` has no clients of its own for `natural_id`", serde_name(&dataset));
        return refuse(
            at("type"),
            message,
            format!("sets that have: `{}`; or choose another partition, such as `dirichlet`", with.join("`, `")),
        );
    }
    if matches!(config.partition, PartitionConfig::Uniform {} | PartitionConfig::QuantitySkew { .. } | PartitionConfig::NaturalId {}) {
        return;
    }
    let Some(classes) = dataset.num_classes() else {
        let message = format!("`{kind}` divides by class labels, and `{}` is text without any", serde_name(&dataset));
        return refuse(at("type"), message, "for text: `natural_id`, `uniform` or `quantity_skew`".into());
    };
    match &config.partition {
        PartitionConfig::QSampler { .. } | PartitionConfig::LimitLabels { .. } if !clients.is_multiple_of(classes) => {
            let place = places.at("federated.clients");
            let message = format!("`{kind}` needs clients to be a multiple of the {classes} classes, and there are {clients}");
            let (below, above) = (clients / classes * classes, clients.div_ceil(classes) * classes);
            let hint = if below == 0 { format!("try {above} clients") } else { format!("try {below} or {above} clients") };
            refuse(place, message, hint);
        }
        PartitionConfig::LimitLabelsFlex {} if clients > classes => {
            let message = format!("`{kind}` gives every client classes of its own: {clients} clients are more than {classes} classes");
            refuse(places.at("federated.clients"), message, format!("at most {classes} clients"));
        }
        _ => {}
    }
    let (key, count) = match config.partition {
        PartitionConfig::LimitLabels { limit, .. } => ("limit", limit),
        PartitionConfig::NLabels { n, .. } => ("n", n),
        PartitionConfig::Pathological { classes_per_client, .. } => ("classes_per_client", classes_per_client),
        _ => return,
    };
    if count > classes {
        let place = at(key);
        let message = format!("`{}` is {count}, and `{}` has {classes} classes", place.name, serde_name(&dataset));
        refuse(place, message, format!("at most {classes}"));
    }
}

fn partition_name(partition: &PartitionConfig) -> String {
    let json = serde_json::to_value(partition).unwrap_or_default();
    json["type"].as_str().unwrap_or_default().to_owned()
}

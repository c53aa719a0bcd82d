//! The blocks of the main era's arrival JSON, which other files of KFLTK share.

use fltk_core::seed::Seed;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{PodResources, Priority, definition},
    sampler::DataSampler,
    training::Hyper,
};

#[derive(Deserialize, JsonSchema)]
#[schemars(title = "KFLTK arrival file")]
#[serde(rename_all = "camelCase")]
pub(super) struct ArrivalFile {
    /// Kinds of jobs that arrive.
    #[expect(dead_code, reason = "read one by one")]
    #[schemars(length(min = 1, max = 1000))]
    train_tasks: Vec<JobDescription>,
    /// The section with seeds, in the arrival files of two days in September 2022.
    #[expect(dead_code, reason = "read from the tree")]
    experiment_configuration: Option<ExperimentSection>,
}

/// The replications, if the arrival file has them.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "experiment_configuration")]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read from the tree")]
pub(super) struct ExperimentSection {
    /// Seeds, with one run for each.
    #[schemars(length(max = 1000))]
    random_seed: Option<Vec<Seed>>,
    /// Ranks of each role; clients are the workers.
    worker_replication: Option<Replication>,
}

/// Ranks of each role.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "read from the tree")]
struct Replication {
    #[serde(rename = "Master")]
    master: Option<u32>,
    #[serde(rename = "Worker")]
    #[schemars(range(max = 10_000))]
    worker: Option<u32>,
}

/// A kind of job that arrives.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobDescription {
    /// `federated` or `distributed`.
    #[serde(rename = "type")]
    pub kind: ExperimentType,
    /// Job classes.
    #[expect(dead_code, reason = "read one by one")]
    #[schemars(length(min = 1, max = 1000))]
    job_class_parameters: Vec<JobClass>,
    /// Mean gap between two arrivals, in minutes.
    #[schemars(range(min = 0.0, max = 5_256_000.0))]
    pub lambda: Option<f64>,
    pub preempt_jobs: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExperimentType {
    Federated,
    Distributed,
}

/// The training of one job.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobClass {
    /// Net, data set and loss.
    pub network_configuration: NetworkSection,
    /// Parallelism and resources.
    pub system_parameters: System,
    /// Hyper-parameters by role.
    #[expect(dead_code, reason = "read from the tree, where roles are merged")]
    hyper_parameters: HyperSection,
    /// Federated learning.
    pub learning_parameters: Option<Learning>,
    /// The weight with which the class is drawn, relative to the others.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub class_probability: Option<f64>,
    #[schemars(length(max = 100))]
    pub priorities: Option<Vec<Priority>>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "KFLTK never read it"))]
    experiment_configuration: Option<serde_json::Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkSection {
    /// The net.
    #[schemars(schema_with = "definition::net")]
    pub network: String,
    /// The data set.
    #[schemars(schema_with = "definition::dataset_name")]
    pub dataset: String,
    #[schemars(extend("enum" = [
        "CrossEntropyLoss", "NLLLoss", "MultiMarginLoss", "L1Loss", "MSELoss", "HuberLoss", "SmoothL1Loss", "PoissonNLLLoss",
        "GaussianNLLLoss", "KLDivLoss", "CTCLoss", "BCELoss", "BCEWithLogitsLoss", "SoftMarginLoss", "MultiLabelMarginLoss",
        "MultiLabelSoftMarginLoss", "MarginRankingLoss", "CosineEmbeddingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss"
    ]))]
    pub loss_function: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct System {
    /// Number of ranks of a distributed job, or of clients of a federated one.
    #[schemars(range(min = 1, max = 10_000))]
    pub data_parallelism: u32,
    /// Resources by role.
    pub configurations: Configurations,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Configurations {
    pub default: Option<PodResources>,
    #[serde(rename = "Master")]
    pub master: Option<PodResources>,
    #[serde(rename = "Worker")]
    pub worker: Option<PodResources>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "read from the tree, where roles are merged")]
pub(super) struct HyperSection {
    /// Hyper-parameters of every role.
    default: Hyper,
    configurations: Option<HyperConfigurations>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "read from the tree, where roles are merged")]
struct HyperConfigurations {
    #[serde(rename = "Master")]
    master: Option<Hyper>,
    #[serde(rename = "Worker")]
    worker: Option<Hyper>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Learning {
    pub cuda: Option<bool>,
    /// Rounds of local training and aggregation.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rounds: Option<u32>,
    /// Local epochs in a round.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs_per_round: Option<u32>,
    /// Clients in a round.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients_per_round: Option<u32>,
    pub aggregation: Option<Aggregation>,
    pub data_sampler: Option<DataSampler>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "KFLTK read it from `hyperParameters`"))]
    total_epochs: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum Aggregation {
    FedAvg,
    Sum,
    Avg,
}

//! Our own format as it is written: the types that serde reads and the schema describes.

mod command;
mod matrix;
mod roles;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    command::{CommandTaskFile, TRAINING_KEYS},
    matrix::MatrixFile,
    roles::{RolesFile, TrainOverride},
};
use super::{
    CommandConfig, DatasetConfig, DistributedConfig, FederatedConfig, NetworkConfig, Priority, Resources, StreamConfig, TrainConfig,
    definition,
};
use fltk_core::seed::Seed;

/// An experiment of fltk.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "fltk experiment")]
#[serde(deny_unknown_fields)]
pub(crate) struct ExperimentFile {
    /// The name of the experiment, of letters, digits, `-` and `_`; at most 63 characters.
    pub name: String,
    /// Root seeds. Every task has one replication for each.
    #[schemars(length(min = 1, max = 1000))]
    pub seeds: Vec<Seed>,
    /// The tasks to train.
    #[schemars(length(min = 1, max = 1000))]
    pub tasks: Vec<TaskFile>,
    /// The stream of jobs that the tasks become. Only the orchestrator uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamConfig>,
}

/// A job class.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "task")]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskFile {
    /// The name, unique within the experiment; by default it is made of network and data set, or is that of the program.
    pub name: Option<String>,
    /// The kind of the task, `federated`, `distributed` or `command`.
    pub kind: Kind,
    /// A network by name, `{ type: NAME, ... }` with settings, `{ torchscript: path.pt }`, or `{ python: "model.py:make_model" }`.
    #[schemars(schema_with = "definition::network")]
    pub network: NetworkConfig,
    /// A data set by name, or `{ name: ..., path: ... }`.
    pub dataset: DatasetFile,
    /// The loss.
    #[schemars(schema_with = "definition::loss")]
    pub loss: String,
    /// Values of settings to combine; the task becomes one task for each combination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<MatrixFile>,
    /// Your own remarks on the task, kept with its records; a matrix adds the values of its factors.
    pub labels: BTreeMap<String, String>,
    /// Hyper-parameters of (local) training.
    pub train: TrainConfig,
    /// Hyper-parameters that differ for a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<RolesFile>,
    /// Settings of a federated task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated: Option<FederatedConfig>,
    /// Settings of a distributed task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distributed: Option<DistributedConfig>,
    /// Settings of a task that runs a program of your own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandConfig>,
    /// Rounds or epochs from one checkpoint to the next; the last is always a checkpoint. The newest two are kept.
    #[schemars(range(min = 1))]
    pub checkpoint_every: u32,
    /// Intra-op threads of one rank or client.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: u32,
    /// The resources that pods request. Only the orchestrator uses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The number of its jobs after which no more arrive, in each replication. Only the orchestrator uses it.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u32>,
    /// The weight with which it's drawn, relative to the other tasks of its arrival group. Only the orchestrator uses it.
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_probability: Option<f64>,
    /// The priorities that its jobs draw from. Only the orchestrator uses them.
    #[schemars(length(max = 100))]
    pub priorities: Vec<Priority>,
}

/// The kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "kind")]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Federated training: clients train on their own data, and a federator aggregates.
    Federated,
    /// Data-parallel training of one net on several ranks; one rank trains alone.
    Distributed,
    /// Any program, as one or several ranks.
    Command,
}

/// A data set by name, or with its own path.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "dataset_choice")]
#[serde(untagged)]
pub(crate) enum DatasetFile {
    /// The name of a data set.
    Name(#[schemars(schema_with = "definition::dataset_name")] String),
    /// A data set with settings, or with a path.
    Full(#[schemars(schema_with = "definition::dataset")] DatasetConfig),
}

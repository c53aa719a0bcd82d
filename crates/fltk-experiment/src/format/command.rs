//! Tasks that run a program, as they are written: without the keys of tasks that train.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    super::{CommandConfig, Priority, Resources},
    Kind, MatrixFile,
};

/// The keys of a task that belong to training alone. A schema gives their defaults to every task.
pub(crate) const TRAINING_KEYS: [&str; 9] =
    ["network", "dataset", "loss", "train", "roles", "federated", "distributed", "checkpoint_every", "threads"];

/// A task that runs a program.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandTaskFile {
    pub name: Option<String>,
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<MatrixFile>,
    pub labels: BTreeMap<String, String>,
    pub command: CommandConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_probability: Option<f64>,
    pub priorities: Vec<Priority>,
}

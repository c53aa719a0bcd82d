//! The experiment and its tasks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CommandConfig, DatasetConfig, Duration, FederatedConfig, NetworkConfig, Priority, Resources, StreamConfig, TrainConfig};
use crate::{catalogue::Choice, name::Name, seed::Seed};

/// A whole experiment: every task is run once per seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Experiment {
    /// The name, which becomes part of folder and object names.
    pub name: Name,
    /// The root seeds, one per replication; never empty.
    pub seeds: Vec<Seed>,
    /// The job classes; never empty; names are unique.
    pub tasks: Vec<Task>,
    /// The stream of jobs made from the tasks, on this machine or on a cluster.
    pub stream: Option<StreamConfig>,
}

/// A job class: the work of each of its jobs, and how they are planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Task {
    /// The name, unique within the experiment.
    pub name: Name,
    /// The user's remarks on the task; for a task from a matrix, also the values of its factors, by the path of the setting.
    pub labels: BTreeMap<String, String>,
    /// The work of its jobs.
    pub kind: TaskKind,
    /// The resources that its pods request. Only the orchestrator uses them.
    pub resources: Option<Resources>,
    /// The number of its jobs after which no more arrive, in each replication. Only the orchestrator uses it.
    pub max_jobs: Option<u32>,
    /// The weight with which it's drawn, relative to the other tasks of its arrival group. Only the orchestrator uses it.
    pub class_probability: Option<f64>,
    /// The priorities that its jobs draw from; empty for none. Only the orchestrator uses them.
    pub priorities: Vec<Priority>,
}

/// The work of the jobs of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::large_enum_variant, reason = "there is one for each task")]
pub enum TaskKind {
    /// Training of a net on a data set.
    Training(Training),
    /// A program of the user's own.
    Command(CommandConfig),
}

impl Task {
    /// Returns a task that only trains: without labels, resources and all else that a stream uses.
    #[must_use]
    pub fn of_training(name: Name, training: Training) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            kind: TaskKind::Training(training),
            resources: None,
            max_jobs: None,
            class_probability: None,
            priorities: Vec::new(),
        }
    }

    /// Returns the training that it does; `None` if it does none.
    #[must_use]
    pub fn training(&self) -> Option<&Training> {
        match &self.kind {
            TaskKind::Training(training) => Some(training),
            TaskKind::Command(_) => None,
        }
    }

    /// Returns the training that it does, to be changed; `None` if it does none.
    pub fn training_mut(&mut self) -> Option<&mut Training> {
        match &mut self.kind {
            TaskKind::Training(training) => Some(training),
            TaskKind::Command(_) => None,
        }
    }

    /// Returns the number of pods in addition to the first: ranks after rank 0, or the nodes of a federator. A federated job without nodes trains all of its
    /// clients in one pod.
    #[must_use]
    pub fn num_workers(&self) -> u32 {
        match &self.kind {
            TaskKind::Training(training) => training.setting.num_workers(),
            TaskKind::Command(config) => config.ranks.saturating_sub(1),
        }
    }

    /// Returns the command that it runs; `None` if it trains.
    #[must_use]
    pub fn command(&self) -> Option<&CommandConfig> {
        match &self.kind {
            TaskKind::Training(_) => None,
            TaskKind::Command(config) => Some(config),
        }
    }

    /// Returns the settings that name files: [`Training::files`].
    #[must_use]
    pub fn files(&self) -> Vec<(String, &str)> {
        self.training().map(Training::files).unwrap_or_default()
    }

    /// Returns the strategy of a federated task; `None` for others.
    #[must_use]
    pub fn strategy(&self) -> Option<&Choice> {
        match &self.training()?.setting {
            Setting::Federated(config) => Some(&config.strategy),
            Setting::Distributed(_) => None,
        }
    }

    /// Returns true if it has clients that each have data of their own.
    #[must_use]
    pub fn has_own_data(&self) -> bool {
        self.training().is_some_and(Training::has_own_data)
    }
}

/// A training: its net, data set and hyper-parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Training {
    /// The net.
    pub network: NetworkConfig,
    /// The data set.
    pub dataset: DatasetConfig,
    /// The loss, by its name in the catalogue.
    pub loss: String,
    /// The hyper-parameters of (local) training: of the clients (Worker) in a federated task, of rank 0 (Master) in a distributed one.
    pub train: TrainConfig,
    /// The hyper-parameters of the other role if it has its own: the federator, or ranks above 0. `None` means the same as `train`.
    pub train_other_role: Option<TrainConfig>,
    /// The rounds or epochs from one checkpoint to the next; the last is always a checkpoint. The newest two are kept.
    pub checkpoint_every: u32,
    /// The intra-op threads of libtorch for one rank or client. More than one changes the order of sums and so the last bits of results.
    pub threads: u32,
    /// The settings of its kind: data-parallel or federated.
    pub setting: Setting,
}

impl Training {
    /// Returns true if it has clients that each have data of their own.
    #[must_use]
    pub fn has_own_data(&self) -> bool {
        matches!(&self.setting, Setting::Federated(config) if config.has_own_data())
    }
}

/// The two kinds of training.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "there is one for each task")]
pub enum Setting {
    /// Data-parallel training; training on a single rank if the parallelism is 1.
    Distributed(DistributedConfig),
    /// Federated training.
    Federated(FederatedConfig),
}

impl Setting {
    /// The number of pods in addition to the first: ranks after rank 0, or the nodes of a federator. A federated job without nodes trains all of its
    /// clients in one pod.
    #[must_use]
    pub fn num_workers(&self) -> u32 {
        match self {
            Self::Distributed(config) => config.data_parallelism.saturating_sub(1),
            Self::Federated(config) => config.nodes,
        }
    }
}

/// Settings of a distributed task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "distributed")]
#[serde(deny_unknown_fields)]
pub struct DistributedConfig {
    /// Passes over the training set.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub epochs: u32,
    /// Number of ranks; 1 trains alone.
    #[schemars(range(min = 1, max = 10_000))]
    pub data_parallelism: u32,
    /// True if an epoch's last step is filled up with samples from its beginning, as `DistributedSampler` does, so that the ranks' batches are in
    /// proportion. Otherwise each sample is used once, and a rank may have none in that step.
    pub pad_last: bool,
    /// True if batch norms use the statistics of all ranks' batches together.
    pub sync_batch_norm: bool,
    /// The compression of gradients on the wire.
    pub compression: GradientCompression,
    /// Optimizer steps of an epoch from one checkpoint to the next; the end of every epoch is then a checkpoint too.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub checkpoint_every_steps: Option<u32>,
    /// The number of times that `fltk run` restarts a failed group of ranks, from its last checkpoint.
    #[schemars(range(max = 1000))]
    pub restarts: u32,
    /// The time that a rank waits for the others, to join and to answer, before it gives up.
    pub timeout: Duration,
}

impl DistributedConfig {
    /// Settings for `epochs` epochs on `data_parallelism` ranks, with defaults for everything else.
    #[must_use]
    pub fn new(epochs: u32, data_parallelism: u32) -> Self {
        let timeout = Duration::from_millis(300_000);
        let compression = GradientCompression::None;
        Self {
            epochs,
            data_parallelism,
            pad_last: false,
            sync_batch_norm: false,
            compression,
            checkpoint_every_steps: None,
            restarts: 0,
            timeout,
        }
    }
}

/// The compression of gradients on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "gradient_compression")]
#[serde(rename_all = "snake_case")]
pub enum GradientCompression {
    /// No compression.
    None,
    /// Half precision: half the bytes; gradients are rounded before they are summed.
    Fp16,
}

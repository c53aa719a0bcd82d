//! Hyper-parameters of local training: batches, optimizer, learning-rate schedule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition;
use crate::catalogue::{Choice, LEARNING_RATE};

/// Hyper-parameters of training: of a distributed task, or of a client's local training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "train")]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Samples per optimizer step.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_size: u32,
    /// Samples per forward pass of an evaluation. It changes speed and memory, not results.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub test_batch_size: u32,
    /// True if a last batch smaller than `batch_size` is left out.
    pub drop_last: bool,
    /// The optimizer and its settings.
    #[schemars(schema_with = "definition::optimizer")]
    pub optimizer: Choice,
    /// The schedule of the learning rate; the rate is constant if left out.
    pub scheduler: Option<SchedulerConfig>,
}

impl TrainConfig {
    /// Returns the initial learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        LEARNING_RATE.of(&self.optimizer)
    }
}

/// `MinCapableStepLR`: every `step_size` units the learning rate is multiplied by `gamma`, unless that would put it below `minimum_learning_rate`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "scheduler")]
#[serde(deny_unknown_fields)]
pub struct SchedulerConfig {
    /// Units between two reductions of the learning rate.
    #[schemars(range(min = 1))]
    pub step_size: u32,
    /// The factor by which each reduction multiplies the learning rate.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub gamma: f64,
    /// The lower bound of the learning rate.
    #[schemars(range(min = 0.0))]
    pub minimum_learning_rate: f64,
    /// The unit that is counted.
    pub unit: ScheduleUnit,
}

/// The unit that a schedule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "schedule_unit")]
pub enum ScheduleUnit {
    /// Epochs: those of the training, or in a federated task the client's local epochs, `round * epochs_per_round`, whether or not the client took
    /// part.
    Epoch,
    /// Federated rounds.
    Round,
}

//! Hyper-parameters that differ for a role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{ScheduleUnit, TrainConfig, definition};

/// Settings of each role, merged over `train`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "roles")]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesFile {
    /// The settings of rank 0, or of the federator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<TrainOverride>,
    /// The settings of ranks above 0, or of the clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<TrainOverride>,
}

/// Any of the settings of `train`; those that are left out keep the values there.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "role")]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainOverride {
    /// Samples per optimizer step.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_size: Option<u32>,
    /// Samples per forward pass of an evaluation.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub test_batch_size: Option<u32>,
    /// True if a last batch smaller than `batch_size` is left out.
    pub drop_last: Option<bool>,
    /// The optimizer; with another `type` it replaces the whole block.
    // Schemars takes a setting with a schema of its own as required, unless it has a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "definition::role_optimizer")]
    pub optimizer: Option<serde_json::Value>,
    /// The schedule of the learning rate; `null` for none.
    pub scheduler: Option<SchedulerOverride>,
}

/// Any of the settings of `scheduler`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "role_scheduler")]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulerOverride {
    /// Units between two reductions of the learning rate.
    #[schemars(range(min = 1))]
    pub step_size: Option<u32>,
    /// The factor by which each reduction multiplies the learning rate.
    pub gamma: Option<f64>,
    /// The lower bound of the learning rate.
    pub minimum_learning_rate: Option<f64>,
    /// The unit that is counted.
    pub unit: Option<ScheduleUnit>,
}

impl From<&TrainConfig> for TrainOverride {
    /// Returns an overlay with every setting, so that the result doesn't depend on the settings below it.
    fn from(train: &TrainConfig) -> Self {
        let scheduler = train.scheduler.map(|scheduler| SchedulerOverride {
            step_size: Some(scheduler.step_size),
            gamma: Some(scheduler.gamma),
            minimum_learning_rate: Some(scheduler.minimum_learning_rate),
            unit: Some(scheduler.unit),
        });
        Self {
            batch_size: Some(train.batch_size),
            test_batch_size: Some(train.test_batch_size),
            drop_last: Some(train.drop_last),
            optimizer: serde_json::to_value(&train.optimizer).ok(),
            scheduler,
        }
    }
}

//! Hyper-parameters that differ for a role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{OptimizerConfig, ScheduleUnit, TrainConfig};

/// Settings of each role, merged over `train`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "roles")]
#[serde(deny_unknown_fields)]
pub(super) struct RolesFile {
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
pub(super) struct TrainOverride {
    /// Samples per optimizer step.
    #[schemars(range(min = 1, max = 1_000_000))]
    batch_size: Option<u32>,
    /// Samples per forward pass of an evaluation.
    #[schemars(range(min = 1, max = 1_000_000))]
    test_batch_size: Option<u32>,
    /// True if a last batch smaller than `batch_size` is left out.
    drop_last: Option<bool>,
    /// The optimizer; with another `type` it replaces the whole block.
    optimizer: Option<OptimizerOverride>,
    /// The schedule of the learning rate; `null` for none.
    scheduler: Option<SchedulerOverride>,
}

/// Any of the settings of `optimizer`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "role_optimizer")]
#[serde(deny_unknown_fields)]
struct OptimizerOverride {
    /// `SGD`, `Adam` or `AdamW`.
    #[serde(rename = "type")]
    kind: Option<OptimizerKind>,
    /// Step size.
    learning_rate: Option<f64>,
    /// Momentum factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    momentum: Option<f64>,
    /// L2 penalty or decoupled decay.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,
    /// True if Nesterov momentum is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    nesterov: Option<bool>,
    /// Decay rates of the two moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    betas: Option<[f64; 2]>,
    /// The term added to the denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    eps: Option<f64>,
}

/// The optimizers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "optimizer_type")]
#[expect(clippy::upper_case_acronyms, reason = "PyTorch's names")]
enum OptimizerKind {
    SGD,
    Adam,
    AdamW,
}

/// Any of the settings of `scheduler`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "role_scheduler")]
#[serde(deny_unknown_fields)]
struct SchedulerOverride {
    /// Units between two reductions of the learning rate.
    #[schemars(range(min = 1))]
    step_size: Option<u32>,
    /// The factor by which each reduction multiplies the learning rate.
    gamma: Option<f64>,
    /// The lower bound of the learning rate.
    minimum_learning_rate: Option<f64>,
    /// The unit that is counted.
    unit: Option<ScheduleUnit>,
}

impl From<&TrainConfig> for TrainOverride {
    /// Returns an overlay with every setting, so that the result doesn't depend on the settings below it.
    fn from(train: &TrainConfig) -> Self {
        let optimizer = match train.optimizer.clone() {
            OptimizerConfig::SGD { learning_rate, momentum, weight_decay, nesterov } => OptimizerOverride {
                kind: Some(OptimizerKind::SGD),
                learning_rate: Some(learning_rate),
                momentum: Some(momentum),
                weight_decay: Some(weight_decay),
                nesterov: Some(nesterov),
                betas: None,
                eps: None,
            },
            OptimizerConfig::Adam { learning_rate, betas, eps, weight_decay } => {
                OptimizerOverride::adam(OptimizerKind::Adam, learning_rate, betas, eps, weight_decay)
            }
            OptimizerConfig::AdamW { learning_rate, betas, eps, weight_decay } => {
                OptimizerOverride::adam(OptimizerKind::AdamW, learning_rate, betas, eps, weight_decay)
            }
        };
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
            optimizer: Some(optimizer),
            scheduler,
        }
    }
}

impl OptimizerOverride {
    fn adam(kind: OptimizerKind, learning_rate: f64, betas: [f64; 2], eps: f64, weight_decay: f64) -> Self {
        Self {
            kind: Some(kind),
            learning_rate: Some(learning_rate),
            momentum: None,
            weight_decay: Some(weight_decay),
            nesterov: None,
            betas: Some(betas),
            eps: Some(eps),
        }
    }
}

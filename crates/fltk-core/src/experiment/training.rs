//! Hyper-parameters of local training: loss, optimizer, learning-rate schedule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub optimizer: OptimizerConfig,
    /// The schedule of the learning rate; the rate is constant if left out.
    pub scheduler: Option<SchedulerConfig>,
}

/// A local optimizer, with PyTorch's formulas and defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "optimizer")]
#[serde(tag = "type", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// `torch.optim.SGD`.
    SGD {
        /// Step size.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        learning_rate: f64,
        /// Momentum factor; 0 for none.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        momentum: f64,
        /// L2 penalty, added to the gradient.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
        /// True if Nesterov momentum is used, which needs `momentum` above 0.
        #[serde(default)]
        nesterov: bool,
    },
    /// `torch.optim.Adam`: weight decay is added to the gradient.
    Adam {
        /// Step size.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        learning_rate: f64,
        /// Decay rates of the two moments.
        #[serde(default = "default_betas")]
        betas: [f64; 2],
        /// The term added to the denominator.
        #[serde(default = "default_eps")]
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        eps: f64,
        /// L2 penalty.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
    /// `torch.optim.AdamW`: decoupled weight decay.
    AdamW {
        /// Step size.
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        learning_rate: f64,
        /// Decay rates of the two moments.
        #[serde(default = "default_betas")]
        betas: [f64; 2],
        /// The term added to the denominator.
        #[serde(default = "default_eps")]
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        eps: f64,
        /// Decoupled weight decay; PyTorch's default is 0.01.
        #[serde(default = "default_adamw_decay")]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
}

pub(super) fn default_betas() -> [f64; 2] {
    [0.9, 0.999]
}

pub(super) fn default_eps() -> f64 {
    1e-8
}

pub(super) fn default_adamw_decay() -> f64 {
    0.01
}

impl OptimizerConfig {
    /// Returns the initial learning rate.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::SGD { learning_rate, .. } | Self::Adam { learning_rate, .. } | Self::AdamW { learning_rate, .. } => *learning_rate,
        }
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

/// A loss over (logits, class index), with PyTorch's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "loss")]
pub enum LossName {
    /// `torch.nn.CrossEntropyLoss` over logits.
    CrossEntropyLoss,
    /// `torch.nn.NLLLoss` over the log-softmax of the logits: the same number as cross-entropy.
    NLLLoss,
    /// `torch.nn.MultiMarginLoss` over logits.
    MultiMarginLoss,
}

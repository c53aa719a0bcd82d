//! The settings of a federated task: clients, rounds, the partition, the strategy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PartitionConfig;

/// Settings of a federated task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "federated")]
#[serde(deny_unknown_fields)]
pub struct FederatedConfig {
    /// Number of clients among which the training set is divided.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients: u32,
    /// Number of clients that take part in a round; at most `clients`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients_per_round: u32,
    /// Rounds of local training and aggregation.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rounds: u32,
    /// Local epochs of a client in one round.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs_per_round: u32,
    /// The partition of the training set over the clients.
    pub partition: PartitionConfig,
    /// The selection of the clients of each round.
    pub selection: SelectionConfig,
    /// The strategy that turns client updates into the next global model.
    pub strategy: StrategyConfig,
    /// Rounds from one evaluation of the global model to the next; the last round is always evaluated.
    #[schemars(range(min = 1))]
    pub evaluate_every: u32,
}

/// The selection of the clients of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "selection")]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SelectionConfig {
    /// Uniformly at random, without replacement.
    Random {},
}

/// The strategy that turns client updates into the next global model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "strategy")]
#[serde(tag = "type", deny_unknown_fields)]
pub enum StrategyConfig {
    /// An average weighted by samples (McMahan et al. 2017, arXiv:1602.05629).
    FedAvg {},
    /// FedAvg with a proximal term `mu/2 * |w - w_global|^2` at the clients (Li et al. 2020, arXiv:1812.06127).
    FedProx {
        /// Strength of the proximal term.
        #[schemars(range(min = 0.0))]
        mu: f64,
    },
    /// Normalized averaging (Wang et al. 2020, arXiv:2007.07481), which allows for different numbers of local steps.
    FedNova {},
}

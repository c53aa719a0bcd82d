//! The settings of a federated task: clients, rounds, the partition, the strategy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition;
use crate::catalogue::Choice;

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
    #[schemars(schema_with = "definition::partition")]
    pub partition: Choice,
    /// The selection of the clients of each round.
    #[schemars(schema_with = "definition::selection")]
    pub selection: Choice,
    /// The strategy that turns client updates into the next global model.
    #[schemars(schema_with = "definition::strategy")]
    pub strategy: Choice,
    /// Gaussian noise on the clients' training images: its variance for the last client, in units of the squared largest pixel value. Client `i` of `N`,
    /// counted from 1, has `i/N` of it (Li et al. 2022, arXiv:2102.02079, noise-based feature imbalance).
    #[schemars(range(min = 0.0, max = 100.0))]
    pub feature_noise: f64,
    /// Rounds from one evaluation of the global model to the next; the last round is always evaluated.
    #[schemars(range(min = 1))]
    pub evaluate_every: u32,
}

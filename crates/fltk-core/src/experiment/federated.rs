//! The settings of a federated task: clients, rounds, the partition, the strategy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FaultsConfig, ParticipationConfig, definition};
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
    /// Rounds from one evaluation of the global model to the next; the last round is always evaluated.
    #[schemars(range(min = 1))]
    pub evaluate_every: u32,
    /// Who counts in a round; every selected client has to answer if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participation: Option<ParticipationConfig>,
    /// Faults to order; none if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultsConfig>,
}

impl FederatedConfig {
    /// Returns the number of clients that are selected for a round.
    #[must_use]
    pub fn num_selected(&self) -> u64 {
        self.participation.map_or(self.clients_per_round.into(), |participation| participation.num_selected(self.clients_per_round))
    }

    /// Returns the smallest number of updates that a round may have: all, unless `participation` says less or `faults` lose some.
    #[must_use]
    pub fn min_updates(&self) -> u32 {
        match &self.participation {
            Some(participation) => participation.min_updates,
            None if self.faults.as_ref().is_some_and(FaultsConfig::lose_updates) => 1,
            None => self.clients_per_round,
        }
    }
}

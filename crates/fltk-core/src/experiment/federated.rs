//! The settings of a federated task: clients, rounds, the partition, the strategy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClientFigure, ClientGroup, Clients, Clock, DataPlace, Epochs, FaultsConfig, ParticipationConfig, SimulationConfig, WorkConfig,
    definition,
};
use crate::catalogue::{Choice, StrategyEntry};

/// Settings of a federated task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "federated")]
#[serde(deny_unknown_fields)]
pub struct FederatedConfig {
    /// Number of clients among which the training set is divided; or the names of clients that have data of their own.
    pub clients: Clients,
    /// The place of the clients' training data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: DataPlace,
    /// Number of clients that have to be there before a round begins, where they have data of their own: `clients_per_round` if left out, and not less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_available: Option<u32>,
    /// The most samples that count of a client that has data of its own, since nobody can check the number that it claims; no limit if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000u64))]
    pub max_samples: Option<u64>,
    /// Number of clients that take part in a round; at most `clients`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients_per_round: u32,
    /// Rounds of local training and aggregation.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rounds: u32,
    /// Local epochs of a client in one round: 1 if nothing else is said; of an epoch that isn't whole, that share of the steps is taken, rounded
    /// and at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs_per_round: Option<Epochs>,
    /// Optimizer steps of a client in one round, instead of epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub steps_per_round: Option<u64>,
    /// Amounts of local training that differ between clients, instead of the same for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<WorkConfig>,
    /// Settings of groups of clients, in place of those of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ClientGroup>,
    /// The partition of the training set over the clients.
    #[schemars(schema_with = "definition::partition")]
    pub partition: Choice,
    /// The selection of the clients of each round.
    #[schemars(schema_with = "definition::selection")]
    pub selection: Choice,
    /// The strategy that turns client updates into the next global model.
    #[schemars(schema_with = "definition::strategy")]
    pub strategy: Choice,
    /// The compression of clients' updates; they are sent as they are if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "definition::optional_compression")]
    pub compression: Option<Choice>,
    /// Gaussian noise on the clients' training images: its variance for the last client, in units of the squared largest pixel value. Client `i` of `N`,
    /// counted from 1, has `i/N` of it (Li et al. 2022, arXiv:2102.02079, noise-based feature imbalance).
    #[schemars(range(min = 0.0, max = 100.0))]
    pub feature_noise: f64,
    /// Rounds from one evaluation of the global model to the next; the last round is always evaluated.
    #[schemars(range(min = 1))]
    pub evaluate_every: u32,
    /// Fraction of each client's samples that it doesn't train on, and on which the model that serves it is evaluated; none if left out. It is rounded
    /// down, but a client with two samples or more has one at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub client_test_fraction: Option<f64>,
    /// Rounds from one evaluation of the clients to the next, as under `evaluate_every`, which it is if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub client_test_every: Option<u32>,
    /// The figures that are recorded of each client's evaluation: all if left out, and nothing if the list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_figures: Option<Vec<ClientFigure>>,
    /// The clients that count in a round; every selected client has to answer if left out, or more than half under a robust strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participation: Option<ParticipationConfig>,
    /// Faults to order; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<FaultsConfig>,
    /// The number of nodes that train the clients: processes of this machine, or pods of a job on a cluster; 0 for none, so that one process does it
    /// all. It affects the time taken, not the results.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(max = 1000))]
    pub nodes: u32,
    /// The clock, and the clients' devices, links and availability if time is simulated; the wall clock if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<SimulationConfig>,
}

impl FederatedConfig {
    /// Returns the number of clients that are selected for a round.
    #[must_use]
    pub fn num_selected(&self) -> u64 {
        self.participation.map_or(self.clients_per_round.into(), |participation| participation.num_selected(self.clients_per_round))
    }

    /// Returns the smallest number of updates that a round may have under the task's strategy: all, unless `participation` says less or `faults`
    /// lose some. A robust strategy has enough with more than half, as far as it can combine these.
    #[must_use]
    pub fn min_updates(&self, strategy: &StrategyEntry) -> u32 {
        let all = self.clients_per_round;
        match &self.participation {
            Some(participation) => participation.min_updates,
            None if strategy.is_robust => (all / 2 + 1..=all).find(|num| (strategy.cohort)(&self.strategy, *num).is_ok()).unwrap_or(all),
            None if self.faults.as_ref().is_some_and(FaultsConfig::lose_updates) => 1,
            None => all,
        }
    }

    /// Creates the settings of a task with the usual ones for everything else: an epoch a round, uniform partition and selection, `FedAvg`,
    /// evaluated in every round.
    #[must_use]
    pub fn new(clients: u32, clients_per_round: u32, rounds: u32) -> Self {
        Self {
            clients: clients.into(),
            data: DataPlace::Everywhere,
            min_available: None,
            max_samples: None,
            clients_per_round,
            rounds,
            epochs_per_round: Some(Epochs(1.0)),
            steps_per_round: None,
            work: None,
            groups: Vec::new(),
            partition: Choice::new("uniform"),
            selection: Choice::new("random"),
            strategy: Choice::new("FedAvg"),
            compression: None,
            feature_noise: 0.0,
            evaluate_every: 1,
            client_test_fraction: None,
            client_test_every: None,
            client_figures: None,
            participation: None,
            faults: None,
            simulation: None,
            nodes: 0,
        }
    }

    /// Returns the figures that may be recorded of each client's own test.
    #[must_use]
    pub fn client_figures(&self) -> &[ClientFigure] {
        self.client_figures.as_deref().unwrap_or(&ClientFigure::ALL)
    }

    /// Returns the rounds from one evaluation of the clients to the next; `None` if clients have no test samples of their own.
    #[must_use]
    pub fn client_test_every(&self) -> Option<u32> {
        self.client_test_fraction.map(|_| self.client_test_every.unwrap_or(self.evaluate_every))
    }

    /// Returns the model of simulated time; `None` if time is the wall clock's.
    #[must_use]
    pub fn virtual_time(&self) -> Option<&SimulationConfig> {
        self.simulation.as_ref().filter(|simulation| simulation.clock == Clock::Virtual)
    }

    /// Returns true if each client has data of its own.
    #[must_use]
    pub fn has_own_data(&self) -> bool {
        self.data == DataPlace::Here
    }

    /// Returns the model of the links that nodes impose; `None` if they impose none.
    #[must_use]
    pub fn imposed_links(&self) -> Option<&SimulationConfig> {
        self.simulation.as_ref().filter(|simulation| simulation.clock == Clock::Wall && simulation.impose_links)
    }

    /// Returns the local epochs in one round, as far as a schedule counts them.
    #[must_use]
    pub fn epochs(&self) -> Epochs {
        self.epochs_per_round.unwrap_or(Epochs(1.0))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

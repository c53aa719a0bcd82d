//! The catalogue of strategies.

use fltk_core::experiment::StrategyConfig;

use super::{Spec, fedavg, fednova, fedprox};

/// Every strategy, by name.
pub const CATALOGUE: &[&Spec] = &[&fedavg::SPEC, &fednova::SPEC, &fedprox::SPEC];

/// Returns the strategy that `config` names.
#[must_use]
pub fn of(config: &StrategyConfig) -> &'static Spec {
    match config {
        StrategyConfig::FedAvg {} => &fedavg::SPEC,
        StrategyConfig::FedProx { .. } => &fedprox::SPEC,
        StrategyConfig::FedNova {} => &fednova::SPEC,
    }
}

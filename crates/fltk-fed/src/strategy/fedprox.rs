//! FedProx: Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127, algorithm 2.
//!
//! Clients minimize `F_k(w) + mu/2 |w - w_global|^2`; the server does what FedAvg does. (The paper's server samples clients by their share
//! of the data and averages plainly; its own experiments, like every implementation since, sample uniformly and weigh by samples.)

use fltk_core::{experiment::StrategyConfig, model_state::ModelState};

use super::FedAvg;

/// The strength `mu` of the proximal term that clients add under this strategy; 0 where they add none.
#[must_use]
pub fn proximal_mu(config: &StrategyConfig) -> f64 {
    match config {
        StrategyConfig::FedProx { mu } => *mu,
        StrategyConfig::FedAvg {} | StrategyConfig::FedNova {} => 0.0,
    }
}

/// The server's side.
pub(super) fn server(global: &ModelState, total_samples: u64) -> FedAvg {
    FedAvg::new(global, total_samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fedprox_has_a_proximal_term() {
        let check = |config: StrategyConfig, expected: f64| assert_eq!(proximal_mu(&config).to_bits(), expected.to_bits());
        check(StrategyConfig::FedProx { mu: 0.01 }, 0.01);
        check(StrategyConfig::FedAvg {}, 0.0);
        check(StrategyConfig::FedNova {}, 0.0);
    }
}

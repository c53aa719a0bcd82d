//! FedProx: Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127, algorithm 2.
//!
//! Clients minimize `F_k(w) + mu/2 |w - w_global|^2`; the server aggregates like FedAvg. (The paper's server samples clients by their share
//! of the data and averages without weights; its own experiments, like every implementation since, sample uniformly and weight by samples.)

use fltk_core::{client_terms::ClientTerms, experiment::StrategyConfig, server_state::ServerState};

use super::{Gathered, Spec, fedavg};

/// A proximal term at the clients; the server aggregates like [`FedAvg`](super::fedavg).
pub static SPEC: Spec = Spec {
    name: "FedProx",
    paper: "Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127",
    extras: &[],
    set_terms,
    begin: Gathered::sums,
    take: fedavg::take,
    finish: fedavg::finish,
};

fn set_terms(config: &StrategyConfig, _: &ServerState, terms: &mut ClientTerms) {
    if let StrategyConfig::FedProx { mu } = config {
        terms.proximal_mu = *mu;
    }
}

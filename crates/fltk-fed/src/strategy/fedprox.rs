//! FedProx: Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127, algorithm 2.
//!
//! Clients minimize `F_k(w) + mu/2 |w - w_global|^2`; the server does what FedAvg does. (The paper's server samples clients by their share
//! of the data and averages plainly; its own experiments, like every implementation since, sample uniformly and weigh by samples.)

use fltk_core::{client_terms::ClientTerms, experiment::StrategyConfig, server_state::ServerState};

use super::{Gathered, Spec, fedavg};

/// The proximal term at the clients; on the server, what [`FedAvg`](super::fedavg) does.
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

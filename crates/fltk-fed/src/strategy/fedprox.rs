//! FedProx: Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127, algorithm 2.
//!
//! Clients minimize `F_k(w) + mu/2 |w - w_global|^2`; the server aggregates like FedAvg. (The paper's server samples clients by their share
//! of the data and averages without weights; its own experiments, like every implementation since, sample uniformly and weight by samples.)

use fltk_core::{
    catalogue::{Choice, Entry, Number, Range, StrategyEntry},
    client_terms::ClientTerms,
    server_state::ServerState,
};

use super::{Spec, fedavg, pseudo_gradient::WEIGHTS};

const MU: Number = Number::new("mu", 0.01, "Strength of the proximal term.").within(Range::NOT_NEGATIVE);

/// A proximal term at the clients; the server aggregates like [`FedAvg`](super::fedavg).
pub static SPEC: Spec = Spec {
    set_terms,
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("FedProx", "FedAvg with a proximal term `mu/2 * |w - w_global|^2` at the clients.")
                .paper("Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127")
                .parameters(&[MU.parameter(), WEIGHTS.parameter()]),
        ),
        fedavg::take,
        fedavg::finish,
    )
};

fn set_terms(settings: &Choice, _: &ServerState, terms: &mut ClientTerms) {
    terms.proximal_mu = MU.of(settings);
}

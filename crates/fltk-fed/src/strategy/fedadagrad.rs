//! Adagrad on the server: Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, Numbers},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, adaptive, pseudo_gradient};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(0.1);
const BETAS: Numbers<2> = adaptive::betas(
    &[0.0, 0.0],
    "Decay rate of the first moment; the second number isn't used, since Adagrad's second moment doesn't decay.",
);

/// Adagrad on the mean change `D` of the clients: [`FedAdam`](super::fedadam), but `beta1` is 0 unless it is given, and
///
/// ```text
/// v' = v + D^2                                v is tau^2 before the first round
/// ```
///
/// With w = 1, tau = 0.1, two clients with equal samples at 1.1 and 1.3, and otherwise the defaults: D = 0.2, m' = 0.2,
/// v' = 0.01 + 0.04 = 0.05; w' = 1 + 0.1 * 0.2 / (0.223607 + 0.1) = 1.061803.
///
/// `flavor: flower` is what Flower computes: v is 0 before the first round.
pub static SPEC: Spec = Spec {
    entry: Entry::new("FedAdagrad", "Adagrad on the server.").paper(adaptive::PAPER).parameters(&[
        LEARNING_RATE.parameter(),
        BETAS.parameter(),
        adaptive::TAU.parameter(),
        adaptive::FLAVOR.parameter(),
        pseudo_gradient::WEIGHTS.parameter(),
    ]),
    extras: &[],
    keeps: &[],
    set_terms: |_, _, _| (),
    begin: Gathered::sums,
    take: pseudo_gradient::take,
    finish,
};

fn finish(round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState) -> Result<ModelState, WrongLength> {
    let [beta1, _] = BETAS.of(round.config);
    adaptive::finish(round, gathered, server, LEARNING_RATE.of(round.config), beta1, |v, square| v + square)
}

//! Adam on the server: Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, Numbers},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, adaptive, pseudo_gradient};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(0.01);
const BETAS: Numbers<2> = adaptive::betas(&[0.9, 0.99], "Decay rates of the two moments.");

/// Adam on the mean change `D` of the clients, in the paper's arithmetic:
///
/// ```text
/// m' = beta1 * m + (1 - beta1) * D            m is 0 before the first round
/// v' = beta2 * v + (1 - beta2) * D^2          v is tau^2 before the first round
/// w' = w + learning_rate * m' / (sqrt(v') + tau)
/// ```
///
/// With w = 1, tau = 0.1, two clients with equal samples at 1.1 and 1.3, and otherwise the defaults: D = 0.2, m' = 0.02,
/// v' = 0.99 * 0.01 + 0.01 * 0.04 = 0.0103; w' = 1 + 0.01 * 0.02 / (0.101489 + 0.1) = 1.000993.
///
/// `flavor: flower` is what Flower computes: v is 0 before the first round, and the rate of round t, from 1, is multiplied by
/// `sqrt(1 - beta2^(t + 1)) / (1 - beta1^(t + 1))`; Kingma and Ba have the exponent t.
pub static SPEC: Spec = Spec {
    entry: Entry::new("FedAdam", "Adam on the server.").paper(adaptive::PAPER).parameters(&[
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
    let [beta1, beta2] = BETAS.of(round.config);
    let exponent = f64::from(round.round.0) + 1.0;
    let correction = match adaptive::FLAVOR.of(round.config) {
        "flower" => (1.0 - beta2.powf(exponent)).sqrt() / (1.0 - beta1.powf(exponent)),
        _ => 1.0,
    };
    let rate = LEARNING_RATE.of(round.config) * correction;
    adaptive::finish(round, gathered, server, rate, beta1, |v, square| beta2 * v + (1.0 - beta2) * square)
}

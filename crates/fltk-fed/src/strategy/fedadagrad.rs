//! Adagrad on the server: Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, Numbers, StrategyEntry},
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
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(Entry::new("FedAdagrad", "Adagrad on the server.").paper(adaptive::PAPER).parameters(&[
        LEARNING_RATE.parameter(),
        BETAS.parameter(),
        adaptive::TAU.parameter(),
        adaptive::FLAVOR.parameter(),
        pseudo_gradient::WEIGHTS.parameter(),
    ])),
    pseudo_gradient::take,
    finish,
)
.state(adaptive::STATE);

fn finish(round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState) -> Result<ModelState, WrongLength> {
    let [beta1, _] = BETAS.of(round.config);
    adaptive::finish(round, gathered, server, LEARNING_RATE.of(round.config), beta1, |v, square| v + square)
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    #[test]
    fn squares_are_summed_from_tau_squared() {
        let mut run = Run::new(&SPEC, Choice::new("FedAdagrad").with("tau", 0.1), &[1.0]);
        assert_close(&run.round(&[client(&[1.1]), client(&[1.3])]), &[1.061_803]);
        assert_close(&[run.server.arrays["m"][0] as f32, run.server.arrays["v"][0] as f32], &[0.2, 0.05]);
    }

    #[test]
    fn first_moment_decays_if_asked_and_flower_starts_from_zero() {
        // m = 0.5 * 0.2 = 0.1, v = 0.05: 0.1 * 0.1 / (0.223607 + 0.1).
        let mut run = Run::new(&SPEC, Choice::new("FedAdagrad").with("tau", 0.1).with("betas", [0.5, 0.0]), &[0.0]);
        assert_close(&run.round(&[client(&[0.1]), client(&[0.3])]), &[0.030_901_7]);
        // v = 0.04: 0.1 * 0.2 / (0.2 + 0.1).
        let mut run = Run::new(&SPEC, Choice::new("FedAdagrad").with("tau", 0.1).with("flavor", "flower"), &[0.0]);
        assert_close(&run.round(&[client(&[0.1]), client(&[0.3])]), &[0.066_666_67]);
    }
}

//! Yogi on the server: Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, Numbers, StrategyEntry},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, adaptive, pseudo_gradient};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(0.01);
const BETAS: Numbers<2> = adaptive::betas(&[0.9, 0.99], "Decay rates of the two moments.");

/// Yogi on the mean change `D` of the clients: [`FedAdam`](super::fedadam), but
///
/// ```text
/// v' = v - (1 - beta2) * D^2 * sign(v - D^2)  v is tau^2 before the first round
/// ```
///
/// With w = 1, tau = 0.1, two clients with equal samples at 1.1 and 1.3, and otherwise the defaults: D = 0.2, m' = 0.02,
/// v' = 0.01 + 0.01 * 0.04 = 0.0104; w' = 1 + 0.01 * 0.02 / (0.101980 + 0.1) = 1.000990.
///
/// `flavor: flower` is what Flower computes: v is 0 before the first round. Its Yogi corrects no moment.
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(Entry::new("FedYogi", "Yogi on the server.").paper(adaptive::PAPER).parameters(&[
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
    let [beta1, beta2] = BETAS.of(round.config);
    // `signum` of Rust is 1 for 0; the sign of 0 is 0.
    let sign = |value: f64| if value == 0.0 { 0.0 } else { value.signum() };
    let second = |v: f64, square: f64| v - (1.0 - beta2) * square * sign(v - square);
    adaptive::finish(round, gathered, server, LEARNING_RATE.of(round.config), beta1, second)
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    #[test]
    fn second_moment_moves_towards_the_square() {
        let mut run = Run::new(&SPEC, Choice::new("FedYogi").with("tau", 0.1), &[1.0]);
        assert_close(&run.round(&[client(&[1.1]), client(&[1.3])]), &[1.000_990]);
        assert_close(&[run.server.arrays["v"][0] as f32], &[0.0104]);
        // v = 0.01 is above D^2 = 0.0004, so it falls: 0.01 - 0.01 * 0.0004.
        let mut run = Run::new(&SPEC, Choice::new("FedYogi").with("tau", 0.1), &[0.0]);
        run.round(&[client(&[0.02]), client(&[0.02])]);
        assert_close(&[run.server.arrays["v"][0] as f32], &[0.009_996]);
    }

    #[test]
    fn flower_starts_from_zero_without_correction() {
        let settings = Choice::new("FedYogi").with("flavor", "flower").with("learning_rate", 1.0);
        let mut run = Run::new(&SPEC, settings, &[0.0]);
        // v = 0.01 * 1e-4 = 1e-6: 0.1 * 0.01 / (1e-3 + 1e-3).
        assert_close(&run.round(&[client(&[0.01]), client(&[0.01])]), &[0.5]);
    }

    #[test]
    fn second_moment_of_zero_stays_without_change() {
        let mut run = Run::new(&SPEC, Choice::new("FedYogi").with("flavor", "flower"), &[0.5]);
        assert_eq!(run.round(&[client(&[0.5]), client(&[0.5])]), [0.5]);
        assert_eq!(run.server.arrays["v"], [0.0]);
    }
}

//! Adam on the server: Reddi et al., Adaptive Federated Optimization, 2021, arXiv:2003.00295, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, Numbers, StrategyEntry},
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
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(Entry::new("FedAdam", "Adam on the server.").paper(adaptive::PAPER).parameters(&[
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
    let exponent = f64::from(round.round.0) + 1.0;
    let correction = match adaptive::FLAVOR.of(round.config) {
        "flower" => (1.0 - beta2.powf(exponent)).sqrt() / (1.0 - beta1.powf(exponent)),
        _ => 1.0,
    };
    let rate = LEARNING_RATE.of(round.config) * correction;
    adaptive::finish(round, gathered, server, rate, beta1, |v, square| beta2 * v + (1.0 - beta2) * square)
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    #[test]
    fn moments_follow_the_paper_without_correction() {
        let mut run = Run::new(&SPEC, Choice::new("FedAdam").with("tau", 0.1), &[1.0]);
        assert_close(&run.round(&[client(&[1.1]), client(&[1.3])]), &[1.000_993]);
        assert_close(&[run.server.arrays["m"][0] as f32, run.server.arrays["v"][0] as f32], &[0.02, 0.0103]);
        // With rate 1 and D = 0.1 each: m = 0.01, v = 0.0099 + 0.0001 = 0.01, 0.01 / 0.2 = 0.05; then
        // m = 0.009 + 0.01 = 0.019, v = 0.0099 + 0.0001 = 0.01, 0.019 / 0.2 = 0.095.
        let mut run = Run::new(&SPEC, Choice::new("FedAdam").with("tau", 0.1).with("learning_rate", 1.0), &[0.0]);
        assert_close(&run.round(&[client(&[0.1]), client(&[0.1])]), &[0.05]);
        assert_close(&run.round(&[client(&[0.15]), client(&[0.15])]), &[0.145]);
    }

    #[test]
    fn step_sizes_are_those_of_published_comparisons() {
        // The first step of |D| = 1e-2 and 1e-4 in units of the rate, with the defaults: 0.42 and 0.005 in the paper, 0.37 and 0.007 by Flower.
        let step = |flavor: &str, change: f32| {
            let mut run = Run::new(&SPEC, Choice::new("FedAdam").with("learning_rate", 1.0).with("flavor", flavor), &[0.0]);
            f64::from(run.round(&[client(&[change]), client(&[change])])[0])
        };
        // 0.1 * 0.01 / (sqrt(0.99e-6 + 0.01 * 1e-4) + 1e-3) and 0.1 * 1e-4 / (sqrt(0.99e-6 + 1e-10) + 1e-3).
        assert_close(&[step("paper", 1e-2) as f32, step("paper", 1e-4) as f32], &[0.414_822, 0.005_012_437]);
        // The correction of round 1 is sqrt(1 - 0.99^2) / (1 - 0.9^2) = 0.742460; 0.1 * 0.01 / (1e-3 + 1e-3) = 0.5.
        assert_close(&[step("flower", 1e-2) as f32, step("flower", 1e-4) as f32], &[0.371_230, 0.007_351_087]);
    }
}

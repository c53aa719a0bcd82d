//! Federated averaging with momentum on the server: Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated
//! Visual Classification, 2019, arXiv:1909.06335, section 4.3.

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Kept, Spec, pseudo_gradient};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(1.0);
const MOMENTUM: Number = Number::new("momentum", 0.9, "Momentum of the server, `beta`; 0 for none.").within(Range::BELOW_ONE);

/// The array that the server keeps.
const VELOCITY: &str = "velocity";

/// Momentum on the mean change of the clients:
///
/// ```text
/// D  = sum_i p_i (w_i - w)        p_i is the client's share by `weights`
/// v' = momentum * v + D           v is 0 before the first round
/// w' = w + learning_rate * v'
/// ```
///
/// With w = 1 and two clients with equal samples at 2 and 4, D = 2: w' = 1 + 2 = 3. If they end at 3 and 4 in the next round, D = 0.5 and
/// v' = 0.9 * 2 + 0.5 = 2.3: w' = 5.3.
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(
        Entry::new("FedAvgM", "FedAvg with momentum on the server.")
            .paper(
                "Hsu et al., Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification, 2019, \
             arXiv:1909.06335",
            )
            .parameters(&[LEARNING_RATE.parameter(), MOMENTUM.parameter(), pseudo_gradient::WEIGHTS.parameter()]),
    ),
    pseudo_gradient::take,
    finish,
)
.state(&[Kept::array(VELOCITY, "The sum of earlier mean changes, `v`; 0 before the first round.")]);

fn finish(round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState) -> Result<ModelState, WrongLength> {
    let (rate, momentum) = (LEARNING_RATE.of(round.config), MOMENTUM.of(round.config));
    let velocity = server.array(VELOCITY, round.num_parameters())?;
    for (velocity, change) in velocity.iter_mut().zip(pseudo_gradient::mean(round, &gathered)) {
        *velocity = momentum * *velocity + change;
    }
    Ok(pseudo_gradient::apply(round, gathered, velocity.iter().map(|velocity| rate * velocity)))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    #[test]
    fn first_round_counts_and_momentum_follows() {
        let mut run = Run::new(&SPEC, Choice::new("FedAvgM"), &[1.0]);
        assert_close(&run.round(&[client(&[2.0]), client(&[4.0])]), &[3.0]);
        assert_close(&run.round(&[client(&[3.0]), client(&[4.0])]), &[5.3]);
    }

    #[test]
    fn learning_rate_scales_the_step_and_not_the_velocity() {
        let mut run = Run::new(&SPEC, Choice::new("FedAvgM").with("learning_rate", 0.5).with("momentum", 0.5), &[0.0]);
        // D = 2, v = 2: 0 + 0.5 * 2.
        assert_close(&run.round(&[client(&[2.0]), client(&[2.0])]), &[1.0]);
        // D = 1, v = 0.5 * 2 + 1 = 2: 1 + 0.5 * 2.
        assert_close(&run.round(&[client(&[2.0]), client(&[2.0])]), &[2.0]);
    }

    #[test]
    fn weights_are_samples_or_uniform_or_steps() {
        let answers = || [client(&[1.0]).samples(1).steps(6), client(&[3.0]).samples(3).steps(2)];
        let check = |weights: &str, expected: f64| {
            let mut run = Run::new(&SPEC, Choice::new("FedAvgM").with("weights", weights), &[0.0]);
            assert_close(&run.round(&answers()), &[expected]);
        };
        // (1 + 9) / 4, (1 + 3) / 2, (6 + 6) / 8.
        check("samples", 2.5);
        check("uniform", 2.0);
        check("steps", 1.5);
    }

    #[test]
    fn buffers_are_means_weighted_by_samples_without_momentum() {
        let mut run = Run::new(&SPEC, Choice::new("FedAvgM").with("weights", "uniform"), &[0.0]);
        for _ in 0..2 {
            run.round(&[client(&[1.0]).samples(1).buffer(8.0), client(&[1.0]).samples(3).buffer(4.0)]);
            assert_eq!(run.buffer(), 5.0);
        }
    }

    #[test]
    fn rounds_without_any_step_change_nothing() {
        let mut run = Run::new(&SPEC, Choice::new("FedAvgM").with("weights", "steps"), &[0.25]);
        assert_eq!(run.round(&[client(&[0.25]).steps(0), client(&[0.25]).steps(0)]), [0.25]);
    }
}

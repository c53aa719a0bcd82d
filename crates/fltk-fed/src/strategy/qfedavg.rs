//! q-FedAvg: Li et al., Fair Resource Allocation in Federated Learning, 2020, arXiv:1905.10497, algorithm 2.

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry},
    client_terms::INITIAL_LOSS,
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Extra, Gathered, Gathering, Spec, Update, pseudo_gradient};

const Q: Number =
    Number::new("q", 1.0, "Strength of fairness: clients with a larger loss count more; 0 for none.").within(Range::NOT_NEGATIVE);

/// The meaning of the scalar that clients send.
const LOSS: &str = "The mean loss of the client's samples under the global model, before training.";

/// The name of the sum of the denominators.
const DENOMINATOR: &str = "denominator";

/// Clients with a larger loss count more:
///
/// ```text
/// F_i  the mean loss of client i's samples under the global model w, before training (`loss`)
/// L    = 1 / (the client's learning rate in this round)
/// d_i  = L (w - w_i)
/// h_i  = q F_i^(q-1) |d_i|^2 + L F_i^q
/// w'   = w - sum_i F_i^q d_i / sum_i h_i
/// ```
///
/// With q = 0 it is the mean of all clients alike. With q = 1, w = 0, a learning rate of 0.5, clients at 1 and 3 and losses 1 and 2: L = 2,
/// d = (-2, -6), h = (4 + 2, 36 + 4), so w' = (2 + 12) / 46 = 0.304348.
///
/// A client without any loss counts only if q = 0. Buffers are the means weighted by samples.
pub static SPEC: Spec = Spec {
    extras: &[Extra { name: INITIAL_LOSS, doc: LOSS, is_possible: |value, _| value >= 0.0 }],
    uses_client_rate: true,
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("QFedAvg", "q-FedAvg: clients with a larger loss count more.")
                .paper("Li et al., Fair Resource Allocation in Federated Learning, 2020, arXiv:1905.10497, algorithm 2")
                .parameters(&[Q.parameter()]),
        )
        .plain_sgd(),
        take,
        finish,
    )
};

fn take(round: &Gathering<'_>, gathered: &mut Gathered, update: Update) {
    let (q, loss, lipschitz) = (Q.of(round.config), update.extra(INITIAL_LOSS), 1.0 / update.learning_rate);
    let power = loss.powf(q);
    // Without a loss, `loss^(q-1)` would be infinite for q below 1.
    let slope = if q == 0.0 || loss == 0.0 { 0.0 } else { q * loss.powf(q - 1.0) };
    let square: f64 = round.changes(&update.state).map(|change| change * change).sum();
    gathered.add(DENOMINATOR, slope * lipschitz * lipschitz * square + lipschitz * power);
    pseudo_gradient::take_weighted(round, gathered, &update, power * lipschitz);
}

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let denominator = gathered.scalar(DENOMINATOR);
    let scale = if denominator > 0.0 { 1.0 / denominator } else { 0.0 };
    let steps: Vec<f64> = pseudo_gradient::sums(round, &gathered).map(|sum| scale * sum).collect();
    Ok(pseudo_gradient::apply(round, gathered, steps))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Answer, Run, assert_close, client};

    fn run(q: f64, answers: &[Answer]) -> Vec<f32> {
        Run::new(&SPEC, Choice::new("QFedAvg").with("q", q), &[0.0]).round(answers)
    }

    fn answer(value: f32, loss: f64) -> Answer {
        client(&[value]).extra(INITIAL_LOSS, loss)
    }

    #[test]
    fn clients_with_a_larger_loss_count_more() {
        assert_close(&run(1.0, &[answer(1.0, 1.0), answer(3.0, 2.0)]), &[14.0 / 46.0]);
        // With losses swapped: h = (4 + 4, 36 + 2), (2 * 2 + 1 * 6) / 46.
        assert_close(&run(1.0, &[answer(1.0, 2.0), answer(3.0, 1.0)]), &[10.0 / 46.0]);
    }

    #[test]
    fn without_q_it_is_the_plain_mean() {
        assert_close(&run(0.0, &[answer(1.0, 1.0).samples(1), answer(3.0, 2.0).samples(99)]), &[2.0]);
        assert_close(&run(0.0, &[answer(1.0, 0.0), answer(3.0, 2.0)]), &[2.0]);
    }

    #[test]
    fn clients_without_loss_do_not_count() {
        // h = 0.5 * 4^-0.5 * 36 + 2 * 4^0.5 = 9 + 4; w' = 4^0.5 * 6 / 13.
        assert_close(&run(0.5, &[answer(1.0, 0.0), answer(3.0, 4.0)]), &[12.0 / 13.0]);
        assert_eq!(run(1.0, &[answer(0.0, 0.0), answer(0.0, 0.0)]), [0.0]);
    }
}

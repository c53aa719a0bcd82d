//! FedExP: Jhunjhunwala et al., FedExP: Speeding Up Federated Averaging via Extrapolation, 2023, arXiv:2301.09604, algorithm 1.

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, Update, pseudo_gradient};

const EPSILON: Number = Number::new("epsilon", 1e-3, "Added to the squared norm of the mean change.").within(Range::POSITIVE);

/// The name of the sum of the clients' squared norms.
const SQUARES: &str = "squares";

/// A server step that grows with the diversity of the clients' changes:
///
/// ```text
/// D_i = w_i - w,  D = mean of D_i, all clients alike
/// eta = max(1, sum_i |D_i|^2 / (2 M (|D|^2 + epsilon)))         M clients
/// w'  = w + eta * D
/// ```
///
/// With w = (0, 0), epsilon = 0.001 and clients at (2, 0) and (0, 2): D = (1, 1), the sum of squares is 8, and
/// eta = max(1, 8 / (4 * 2.001)) = 1. With clients at (3, 0) and (-1, 0): D = (1, 0), eta = 10 / (4 * 1.001) = 2.497502; w' = (2.497502, 0).
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(
        Entry::new("FedExP", "FedAvg with a server step that is extrapolated from the clients' changes.")
            .paper("Jhunjhunwala et al., FedExP: Speeding Up Federated Averaging via Extrapolation, 2023, arXiv:2301.09604, algorithm 1")
            .parameters(&[EPSILON.parameter()]),
    ),
    take,
    finish,
);

fn take(round: &Gathering<'_>, gathered: &mut Gathered, update: Update) {
    gathered.add(SQUARES, round.changes(&update.state).map(|change| change * change).sum());
    pseudo_gradient::take_uniform(round, gathered, update);
}

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let changes: Vec<f64> = pseudo_gradient::mean(round, &gathered).collect();
    let square: f64 = changes.iter().map(|change| change * change).sum();
    let rate = gathered.scalar(SQUARES) / (2.0 * gathered.count() * (square + EPSILON.of(round.config)));
    let rate = rate.max(1.0);
    Ok(pseudo_gradient::apply(round, gathered, changes.iter().map(|change| rate * change)))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, assert_close, client};

    #[test]
    fn step_grows_with_the_diversity_of_changes_and_is_never_below_one() {
        let run = |answers: &[_]| Run::new(&SPEC, Choice::new("FedExP"), &[0.0, 0.0]).round(answers);
        assert_close(&run(&[client(&[2.0, 0.0]), client(&[0.0, 2.0])]), &[1.0, 1.0]);
        assert_close(&run(&[client(&[3.0, 0.0]), client(&[-1.0, 0.0])]), &[2.497_502, 0.0]);
        // All clients count alike.
        assert_close(&run(&[client(&[3.0, 0.0]).samples(1), client(&[-1.0, 0.0]).samples(99)]), &[2.497_502, 0.0]);
    }
}

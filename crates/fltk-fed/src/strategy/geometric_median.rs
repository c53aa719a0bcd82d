//! The geometric median of the clients' models: Pillutla et al., Robust Aggregation for Federated Learning, 2022, arXiv:1912.13445.

use fltk_core::{
    catalogue::{Entry, Number, Range, StrategyEntry, Whole},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, Update, robust};

const ITERATIONS: Whole = Whole::new(
    "iterations",
    1000,
    "The maximum number of iterations, which end earlier once they move nothing; 3 as in RFA's experiments.",
)
.within(1, 100_000);
const NU: Number = Number::new("nu", 1e-6, "Smallest distance in Weiszfeld's weights, so that a model at the median itself has one.")
    .within(Range::POSITIVE);

/// The share of the median distance to a model below which a step counts as none: a few clients can't make it large. Models are f32, with a
/// resolution of 6e-8.
const TOLERANCE: f64 = 1e-10;

/// The model with the smallest sum of distances to the clients' models, by the smoothed algorithm of Weiszfeld:
///
/// ```text
/// z  = the plain mean of the w_i, at first
/// b_i = 1 / max(nu, |z - w_i|)
/// z' = sum_i b_i w_i / sum_i b_i
/// ```
///
/// With clients at (0, 0), (0, 1) and (10, 0.5) it lies where the three directions cancel: at (0.288675, 0.5), since the angles between them
/// are 120 degrees there. One iteration from the mean (10/3, 0.5) leads elsewhere: see the test.
pub static SPEC: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("GeometricMedian", "The model with the smallest sum of distances to the clients' models (RFA); robust.")
            .paper("Pillutla et al., Robust Aggregation for Federated Learning, 2022, arXiv:1912.13445, algorithm 2")
            .parameters(&[ITERATIONS.parameter(), NU.parameter()]),
    ),
    finish,
);

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let updates = &gathered.updates;
    let all: Vec<usize> = (0..updates.len()).collect();
    let mut center = robust::mean_of(round, updates, &all);
    for _ in 0..ITERATIONS.of(round.config) {
        let distances: Vec<f64> = updates.iter().map(|update| distance(round, &center, update)).collect();
        let weights: Vec<f64> = distances.iter().map(|distance| 1.0 / distance.max(NU.of(round.config))).collect();
        let step = advance(round, updates, &weights, &mut center);
        let mut sorted = distances;
        sorted.sort_unstable_by(f64::total_cmp);
        if step <= TOLERANCE * robust::median(&sorted) {
            break;
        }
    }
    Ok(robust::model(round, updates, center))
}

/// Returns the distance of a client's parameters to `center`.
fn distance(round: &Gathering<'_>, center: &[f64], update: &Update) -> f64 {
    let values = round.parameters().flat_map(|span| &update.state.floats[span]);
    let square = |(center, &value): (&f64, &f32)| {
        let difference = f64::from(value) - center;
        difference * difference
    };
    center.iter().zip(values).map(square).sum::<f64>().sqrt()
}

/// Moves `center` to the weighted mean of the clients' parameters. Returns the length of the step.
fn advance(round: &Gathering<'_>, updates: &[Update], weights: &[f64], center: &mut [f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let mut square = 0.0;
    for (center, place) in center.iter_mut().zip(round.parameters().flatten()) {
        let sum: f64 = updates.iter().zip(weights).map(|(update, weight)| weight * f64::from(update.state.floats[place])).sum();
        let (old, new) = (*center, sum / total);
        square += (new - old) * (new - old);
        *center = new;
    }
    square.sqrt()
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Answer, Run, assert_close, client};

    fn median(settings: Choice, answers: &[Answer]) -> Vec<f32> {
        Run::new(&SPEC, settings, &[0.0, 0.0]).round(answers)
    }

    #[test]
    fn directions_cancel_at_the_median() {
        let answers = [client(&[0.0, 0.0]).samples(1), client(&[0.0, 1.0]), client(&[10.0, 0.5]).samples(1 << 40)];
        // The side from (0, 0) to (0, 1) is seen at 120 degrees from a distance of 0.5 / tan(60 degrees).
        assert_close(&median(Choice::new("GeometricMedian"), &answers), &[0.288_675, 0.5]);
    }

    /// A client far away doesn't decide when the iterations end. The median of (0, 0), (0, 1), (0, 2), (0, 3) and a far (R, 0) is near (0, 1.5).
    #[test]
    fn outliers_are_outlived_however_far_they_are() {
        let with = |far: f32| {
            let answers = [[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [far, 0.0]].map(|at| client(&at));
            median(Choice::new("GeometricMedian"), &answers)
        };
        let expected = with(1e4);
        assert!(expected[0].abs() < 1.0 && (0.5..2.0).contains(&expected[1]), "{expected:?}");
        for far in [1e6, 1e10, 1e20, 1e30] {
            let found = with(far);
            assert!((found[0] - expected[0]).abs() < 1e-3 && (found[1] - expected[1]).abs() < 1e-3, "{far}: {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn single_iteration_is_one_weighted_mean() {
        let answers = [client(&[0.0, 0.0]), client(&[0.0, 1.0]), client(&[10.0, 0.5])];
        // The distances from (10/3, 0.5) are sqrt(100/9 + 1/4) = 3.370625 twice and 20/3:
        // 10 * 0.15 / (2 * 0.296681 + 0.15) = 2.017860.
        assert_close(&median(Choice::new("GeometricMedian").with("iterations", 1), &answers), &[2.017_860, 0.5]);
    }

    #[test]
    fn model_of_a_client_may_be_the_median() {
        let answers = [client(&[0.0, 0.0]), client(&[1.0, 0.0]), client(&[100.0, 0.0])];
        assert_close(&median(Choice::new("GeometricMedian"), &answers), &[1.0, 0.0]);
        let same = [client(&[0.1, -0.2]), client(&[0.1, -0.2])];
        assert_eq!(median(Choice::new("GeometricMedian"), &same), [0.1, -0.2]);
    }
}

//! The mean change of the clients' models, which server optimizers take for a gradient: Reddi et al., Adaptive Federated Optimization, 2021,
//! arXiv:2003.00295, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Number, Range, Word},
    model_state::{ModelState, TensorRole},
};

use super::{Gathered, Gathering, Update, round_to_f32};

/// The weights of clients in the mean.
pub(super) const WEIGHTS: Word = Word::new(
    "weights",
    &["samples", "uniform", "steps"],
    "Weights of the clients in the mean: the samples that they hold, all the same, or the optimizer steps that they took.",
);

/// Returns the server's learning rate as a parameter with this default.
pub(super) const fn learning_rate(default: f64) -> Number {
    Number::new("learning_rate", default, "The server's learning rate, by which the mean change is multiplied.").within(Range::POSITIVE)
}

/// The name of the sum of weights.
const TOTAL: &str = "weights";

/// Returns the weight of an update according to `weights`.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, the limit on counts of an update")]
pub(super) fn weight(settings: &Choice, update: &Update) -> f64 {
    match WEIGHTS.of(settings) {
        "uniform" => 1.0,
        "steps" => update.steps as f64,
        _ => update.weight(),
    }
}

/// Adds `p_i (w_i - w)` for parameters, `n_i w_i` for buffers, and `p_i`, where `p_i` is the weight by the setting `weights`.
pub(super) fn take(round: &Gathering<'_>, gathered: &mut Gathered, update: Update) {
    take_weighted(round, gathered, &update, weight(round.config, &update));
}

/// Adds an update with weight 1.
pub(super) fn take_uniform(round: &Gathering<'_>, gathered: &mut Gathered, update: Update) {
    take_weighted(round, gathered, &update, 1.0);
}

/// Adds an update with the weight `p`.
pub(super) fn take_weighted(round: &Gathering<'_>, gathered: &mut Gathered, update: &Update, p: f64) {
    let samples = update.weight();
    gathered.add(TOTAL, p);
    for (role, span) in round.spans {
        let sums = gathered.floats[span.clone()].iter_mut();
        let values = round.global.floats[span.clone()].iter().zip(&update.state.floats[span.clone()]);
        match role {
            TensorRole::Parameter => {
                for (sum, (&global, &client)) in sums.zip(values) {
                    *sum += p * (f64::from(client) - f64::from(global));
                }
            }
            TensorRole::Buffer | TensorRole::Counter => {
                for (sum, (_, &client)) in sums.zip(values) {
                    *sum += samples * f64::from(client);
                }
            }
        }
    }
    gathered.take_counters(&update.state);
}

/// Returns `sum_i p_i (w_i - w)` for every parameter, in order.
pub(super) fn sums<'a>(round: &'a Gathering<'_>, gathered: &'a Gathered) -> impl Iterator<Item = f64> + 'a {
    round.parameters().flat_map(|span| gathered.floats[span].iter().copied())
}

/// Returns the mean change of every parameter, in order: `sum_i p_i (w_i - w) / sum_i p_i`; 0 if all weights are 0.
pub(super) fn mean<'a>(round: &'a Gathering<'_>, gathered: &'a Gathered) -> impl Iterator<Item = f64> + 'a {
    let total = gathered.scalar(TOTAL);
    sums(round, gathered).map(move |sum| if total > 0.0 { sum / total } else { 0.0 })
}

/// Returns `next` with the counters of the current model where these are larger: the clients of an asynchronous strategy may have started from an older one.
pub(super) fn with_newer_counters(round: &Gathering<'_>, mut next: ModelState) -> ModelState {
    for (counter, &current) in next.counters.iter_mut().zip(&round.global.counters) {
        *counter = (*counter).max(current);
    }
    next
}

/// Returns the next global model: `steps` are added to the parameters, in order; buffers are the means weighted by samples.
pub(super) fn apply(round: &Gathering<'_>, gathered: Gathered, steps: impl IntoIterator<Item = f64>) -> ModelState {
    let mut floats = round.global.floats.clone();
    let mut steps = steps.into_iter();
    for (role, span) in round.spans {
        match role {
            TensorRole::Parameter => {
                for (value, step) in floats[span.clone()].iter_mut().zip(&mut steps) {
                    *value = round_to_f32(f64::from(*value) + step);
                }
            }
            TensorRole::Buffer | TensorRole::Counter => {
                for (value, sum) in floats[span.clone()].iter_mut().zip(&gathered.floats[span.clone()]) {
                    *value = round_to_f32(sum / gathered.samples);
                }
            }
        }
    }
    ModelState { layout: Arc::clone(&round.global.layout), floats, counters: gathered.counters }
}

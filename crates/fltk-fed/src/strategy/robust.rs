//! The common part of robust rules: they take all updates alike, whatever number of samples a client claims, and keep every value within what most
//! clients sent.
//!
//! A rule decides the parameters. Every buffer is the median over the cohort, coordinate by coordinate: a client that lies in a batch norm's
//! statistics can't move it out of the honest clients' range. Counters are the largest.

use std::{array, sync::Arc};

use fltk_core::{
    catalogue::{Choice, Misfit, Whole, Withstood},
    model_state::{ModelState, TensorRole},
};

use super::{Gathering, Update, round_to_f32};

/// The number of malicious clients.
pub(super) const F: Whole = Whole::new("f", 1, "The number of clients in a round that may send anything.");

/// Returns the refusal of a round with too few updates for `f`.
pub(super) fn at_least(settings: &Choice, name: &str, needed: u64, formula: &str, cohort: u32) -> Result<(), Misfit> {
    if u64::from(cohort) >= needed {
        return Ok(());
    }
    let f = F.of(settings);
    let message = format!("`{name}` with `f: {f}` needs at least {formula} = {needed} updates in a round, and there are {cohort}");
    Err(Misfit { parameter: F.name(), message, hint: "lower `f`, or raise `clients_per_round`".to_owned() })
}

/// Returns what a rule with `f` withstands.
#[expect(clippy::unnecessary_wraps, reason = "other strategies withstand no number of clients")]
pub(super) fn withstood(settings: &Choice, _: u32) -> Option<Withstood> {
    let f = F.of(settings);
    Some(Withstood { clients: f, parameter: F.name(), says: format!("`f` is {f}") })
}

/// Returns the next global model, with `parameters` in order.
pub(super) fn model(round: &Gathering<'_>, updates: &[Update], parameters: impl IntoIterator<Item = f64>) -> ModelState {
    let mut floats = round.global.floats.clone();
    let mut parameters = parameters.into_iter();
    let mut values = Vec::with_capacity(updates.len());
    for (role, span) in round.spans {
        match role {
            TensorRole::Parameter => {
                for (value, next) in floats[span.clone()].iter_mut().zip(&mut parameters) {
                    *value = round_to_f32(next);
                }
            }
            TensorRole::Buffer | TensorRole::Counter => {
                for place in span.clone() {
                    gather(updates, place, &mut values);
                    floats[place] = round_to_f32(median(&values));
                }
            }
        }
    }
    let counters = (0..round.global.counters.len())
        .map(|place| updates.iter().map(|update| update.state.counters[place]).max().unwrap_or(round.global.counters[place]))
        .collect();
    ModelState { layout: Arc::clone(&round.global.layout), floats, counters }
}

/// Returns `rule` of the clients' values of every parameter, which it gets in ascending order.
pub(super) fn by_coordinate(round: &Gathering<'_>, updates: &[Update], rule: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut values = Vec::with_capacity(updates.len());
    round
        .parameters()
        .flatten()
        .map(|place| {
            gather(updates, place, &mut values);
            rule(&values)
        })
        .collect()
}

/// Puts the clients' values of the float at `place` into `values`, in ascending order.
fn gather(updates: &[Update], place: usize, values: &mut Vec<f64>) {
    values.clear();
    values.extend(updates.iter().map(|update| f64::from(update.state.floats[place])));
    values.sort_unstable_by(f64::total_cmp);
}

/// Returns the median of sorted values: of an even number, the mean of the middle two.
pub(super) fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        len if len.is_multiple_of(2) => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
        len => sorted[len / 2],
    }
}

/// Returns the mean of values.
#[expect(clippy::cast_precision_loss, reason = "a number of clients")]
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns the mean of the updates at `places`, as parameters in order.
pub(super) fn mean_of(round: &Gathering<'_>, updates: &[Update], places: &[usize]) -> Vec<f64> {
    let value = |float: usize| {
        let values: Vec<f64> = places.iter().map(|&place| f64::from(updates[place].state.floats[float])).collect();
        mean(&values)
    };
    round.parameters().flatten().map(value).collect()
}

/// The squared Euclidean distances between the parameters of updates.
pub(super) struct Distances {
    num: usize,
    /// Row by row.
    squares: Vec<f64>,
}

impl Distances {
    /// Computes each distance as a sum of squared differences, in f64: from norms and inner products, that of two close models would be
    /// lost in rounding, and could be negative.
    pub(super) fn new(round: &Gathering<'_>, updates: &[Update]) -> Self {
        let num = updates.len();
        let mut squares = vec![0.0; num * num];
        for one in 0..num {
            for other in 0..one {
                let square = square_distance(round, &updates[one].state, &updates[other].state);
                squares[one * num + other] = square;
                squares[other * num + one] = square;
            }
        }
        Self { num, squares }
    }

    /// Returns Krum's score of the update at `place` among those at `left`: the sum of the squared distances to its `nearest` nearest.
    pub(super) fn score(&self, place: usize, left: &[usize], nearest: usize) -> f64 {
        let mut to_others: Vec<f64> =
            left.iter().filter(|&&other| other != place).map(|&other| self.squares[place * self.num + other]).collect();
        to_others.sort_unstable_by(f64::total_cmp);
        to_others.iter().take(nearest).sum()
    }

    /// Returns the places in `left` with their scores, from the lowest; equal scores are in client order.
    pub(super) fn ranked(&self, left: &[usize], nearest: usize) -> Vec<usize> {
        let mut scored: Vec<(f64, usize)> = left.iter().map(|&place| (self.score(place, left, nearest), place)).collect();
        scored.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        scored.into_iter().map(|(_, place)| place).collect()
    }
}

/// Returns the squared distance between the parameters of two models. Sums of eight parts allow for vector instructions, in a fixed order.
fn square_distance(round: &Gathering<'_>, one: &ModelState, other: &ModelState) -> f64 {
    let mut parts = [0.0_f64; 8];
    for span in round.parameters() {
        let (ones, others) = (one.floats[span.clone()].chunks(8), other.floats[span].chunks(8));
        for (ones, others) in ones.zip(others) {
            for (part, (&one, &other)) in parts.iter_mut().zip(ones.iter().zip(others)) {
                let difference = f64::from(one) - f64::from(other);
                *part += difference * difference;
            }
        }
    }
    let [a, b, c, d] = array::from_fn(|place| parts[place] + parts[place + 4]);
    (a + c) + (b + d)
}

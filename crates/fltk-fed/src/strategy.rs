//! The strategies: how the updates of a cohort become the next global model.
//!
//! A strategy is a [`Spec`] in its own file, and a line in the [`CATALOGUE`]. Its [`Aggregator`] takes updates one at a time, in client
//! order; the result depends on nothing but them. Sums are computed in f64. Floating-point sums depend on order, so the order is fixed.
//!
//! The next value of each tensor role, under every strategy:
//!
//! | role | next value |
//! |---|---|
//! | parameter | decided by the strategy |
//! | buffer (batch-norm statistics) | the average, weighted by samples; the median under robust rules |
//! | counter (`num_batches_tracked`) | the maximum over the clients: an average of counts has no meaning |

mod adaptive;
mod apfl;
mod bulyan;
#[cfg(test)]
mod by_hand;
mod catalogue;
mod cyclic;
mod ditto;
mod fedadagrad;
mod fedadam;
mod fedasync;
mod fedavg;
mod fedavgm;
mod fedbn;
mod fedbuff;
mod feddyn;
mod fedexp;
mod fednova;
mod fedper;
mod fedprox;
mod fedrep;
mod fedyogi;
mod fltrust;
mod geometric_median;
mod krum;
mod median;
mod method;
mod moon;
mod norm_clipping;
mod own;
mod parameters;
mod personal;
mod pseudo_gradient;
mod qfedavg;
mod robust;
mod scaffold;
mod spec;
mod trimmed_mean;

use std::ops::Range;

use fltk_core::model_state::{ModelState, TensorRole};

pub use catalogue::{CATALOGUE, by_name, entries, of};
pub use method::{ClientAnswer, ClientMethod, ClientRound, FinishClient, NextPass, PersonalModel};
pub(crate) use own::Own;
pub use own::{CombineError, OwnAnswer, OwnFailure, OwnRound, OwnStrategy, OwnTerms};
pub(crate) use parameters::count as num_parameters;
pub use personal::facts;
pub use spec::{Aggregator, Array, CohortFacts, Extra, Finish, Gathered, Gathering, Kept, Spec, Take, Update};

/// The first epoch of a client's second pass in a round, far beyond those of the first: samples come in another order.
const SECOND_PASS: u64 = 1 << 32;

/// Returns the contiguous ranges of [`ModelState::floats`] that are parameters or buffers, in order.
pub(crate) fn float_spans(state: &ModelState) -> Vec<(TensorRole, Range<usize>)> {
    let mut spans: Vec<(TensorRole, Range<usize>)> = Vec::new();
    let mut start = 0;
    for spec in state.layout.iter().filter(|spec| spec.role != TensorRole::Counter) {
        let end = start + spec.num_elements();
        match spans.last_mut() {
            Some((role, span)) if *role == spec.role => span.end = end,
            _ => spans.push((spec.role, start..end)),
        }
        start = end;
    }
    spans
}

/// Converts a number of samples to a weight. This is exact: a [`Setup`](crate::round::Setup) has no more than 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn weight(samples: u64) -> f64 {
    samples as f64
}

/// Rounds to the nearest f32, ties to even.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what this is for")]
pub(crate) fn round_to_f32(value: f64) -> f32 {
    value as f32
}

//! How the updates of a cohort become the next global model.
//!
//! A strategy is a [`Spec`] in a file of its own, and a line in the [`CATALOGUE`]. Its [`Aggregator`] takes updates one at a time, in client order;
//! what it gathers depends on nothing but them. Sums are kept in f64. Floating-point sums depend on order, so the order is fixed.
//!
//! What each tensor role becomes, under every strategy:
//!
//! | role | next value |
//! |---|---|
//! | parameter | the strategy's |
//! | buffer (batch-norm statistics) | the average, weighted by samples |
//! | counter (`num_batches_tracked`) | the largest of the clients': an average of counts counts nothing |

mod catalogue;
mod fedavg;
mod fednova;
mod fedprox;
mod spec;

use std::ops::Range;

use fltk_core::model_state::{ModelState, TensorRole};

pub use catalogue::{CATALOGUE, of};
pub use spec::{Aggregator, Extra, Gathered, Gathering, Spec, Update};

/// The runs of [`ModelState::floats`] that are parameters and those that are buffers, in order.
fn float_spans(state: &ModelState) -> Vec<(TensorRole, Range<usize>)> {
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

/// A number of samples as a weight. Exact: a [`Setup`](crate::round::Setup) has no more than 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn weight(samples: u64) -> f64 {
    samples as f64
}

/// The nearest f32, ties to even.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what this is for")]
fn round_to_f32(value: f64) -> f32 {
    value as f32
}

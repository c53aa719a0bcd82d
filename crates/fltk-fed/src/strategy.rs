//! How the updates of a cohort become the next global model.
//!
//! An [`Aggregator`] takes updates one at a time, in client order, and keeps sums in f64: its memory is that of a few models, whatever
//! the size of the cohort, and its result depends on nothing but the updates. Floating-point sums depend on order, so the order is fixed.
//!
//! What each tensor role becomes, under every strategy:
//!
//! | role | next value |
//! |---|---|
//! | parameter | the strategy's |
//! | buffer (batch-norm statistics) | the average, weighted by samples |
//! | counter (`num_batches_tracked`) | the largest of the clients': an average of counts counts nothing |

mod fedavg;
mod fednova;
mod fedprox;

use std::{ops::Range, sync::Arc};

use fltk_core::{
    experiment::StrategyConfig,
    model_state::{ModelState, TensorRole},
};

pub use fedavg::FedAvg;
pub use fednova::FedNova;
pub use fedprox::proximal_mu;

/// The sums of one round.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregator {
    /// The weighted mean; what `FedAvg` and `FedProx` do.
    FedAvg(FedAvg),
    /// The normalized one.
    FedNova(FedNova),
}

impl Aggregator {
    /// Empty sums for a round that starts from `global` and whose clients hold `total_samples` samples together.
    #[must_use]
    pub fn new(config: &StrategyConfig, global: Arc<ModelState>, total_samples: u64) -> Self {
        match config {
            StrategyConfig::FedAvg {} => Self::FedAvg(FedAvg::new(&global, total_samples)),
            StrategyConfig::FedProx { .. } => Self::FedAvg(fedprox::server(&global, total_samples)),
            StrategyConfig::FedNova {} => Self::FedNova(FedNova::new(global, total_samples)),
        }
    }

    /// Adds the model of the next client, which holds `samples` samples. `state` has the global model's layout.
    pub fn fold(&mut self, state: &ModelState, samples: u64, normalizer: f64) {
        match self {
            Self::FedAvg(sums) => sums.fold(state, samples),
            Self::FedNova(sums) => sums.fold(state, samples, normalizer),
        }
    }

    /// The next global model. Its elements are the sums rounded once, to the nearest f32; under [`FedNova`] they can be infinite.
    #[must_use]
    pub fn finish(self) -> ModelState {
        match self {
            Self::FedAvg(sums) => sums.finish(),
            Self::FedNova(sums) => sums.finish(),
        }
    }
}

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

/// Element by element, the larger of each.
fn take_larger(counters: &mut [i64], others: &[i64]) {
    for (counter, &other) in counters.iter_mut().zip(others) {
        *counter = (*counter).max(other);
    }
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

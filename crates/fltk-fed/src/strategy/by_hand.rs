//! Rounds of a model with a few parameters, for tests with figures worked out by hand.

use std::sync::Arc;

use fltk_core::{
    catalogue::Choice,
    client_terms::Extras,
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole, TensorSpec},
    server_state::ServerState,
};

use super::{Aggregator, Spec, Update};

/// The learning rate of the clients.
pub(super) const CLIENT_RATE: f64 = 0.5;

/// A client's answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    samples: u64,
    steps: u64,
    extras: Extras,
    parameters: Vec<f32>,
    buffer: f32,
}

/// Returns the answer of a client with 10 samples that took 5 steps and ended with these parameters; its buffer is 0.
pub(super) fn client(parameters: &[f32]) -> Answer {
    Answer { samples: 10, steps: 5, extras: Extras::new(), parameters: parameters.to_vec(), buffer: 0.0 }
}

impl Answer {
    pub(super) fn samples(self, samples: u64) -> Self {
        Self { samples, ..self }
    }

    pub(super) fn steps(self, steps: u64) -> Self {
        Self { steps, ..self }
    }

    pub(super) fn extra(mut self, name: &str, value: f64) -> Self {
        self.extras.insert(name.to_owned(), value);
        self
    }

    pub(super) fn buffer(self, buffer: f32) -> Self {
        Self { buffer, ..self }
    }
}

/// A run of a strategy, one round after another.
pub(super) struct Run {
    strategy: &'static Spec,
    settings: Choice,
    round: u32,
    model: Arc<ModelState>,
    pub(super) server: ServerState,
}

impl Run {
    /// Starts from these parameters, and a buffer of 0.
    pub(super) fn new(strategy: &'static Spec, settings: Choice, parameters: &[f32]) -> Self {
        let spec = |name: &str, len, role| TensorSpec { name: name.to_owned(), shape: vec![len], role };
        let layout = vec![spec("x", parameters.len(), TensorRole::Parameter), spec("running_mean", 1, TensorRole::Buffer)];
        let floats = parameters.iter().copied().chain([0.0]).collect();
        let model = Arc::new(ModelState { layout: Arc::new(layout), floats, counters: Vec::new() });
        Self { strategy, settings, round: 0, model, server: ServerState::default() }
    }

    /// Runs a round with these answers of clients 0, 1, ... Returns the next parameters.
    pub(super) fn round(&mut self, answers: &[Answer]) -> Vec<f32> {
        self.round += 1;
        let total = answers.iter().map(|answer| answer.samples).sum();
        let (round, global) = (Round(self.round), Arc::clone(&self.model));
        let mut aggregator = Aggregator::new(self.strategy, &self.settings, round, global, total, CLIENT_RATE);
        for (client, answer) in (0..).zip(answers) {
            let floats = answer.parameters.iter().copied().chain([answer.buffer]).collect();
            let state = ModelState { layout: Arc::clone(&self.model.layout), floats, counters: Vec::new() };
            let Answer { samples, steps, extras, .. } = answer.clone();
            aggregator.take(Update { client: ClientId(client), state, samples, steps, extras });
        }
        self.model = Arc::new(aggregator.finish(&mut self.server).unwrap());
        self.model.floats.split_last().unwrap().1.to_vec()
    }

    /// Returns the buffer after the last round.
    pub(super) fn buffer(&self) -> f32 {
        *self.model.floats.last().unwrap()
    }
}

/// Asserts that the values are `expected` but for the digits that aren't written down.
pub(super) fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() <= 1e-6 * expected.abs().max(0.1), "{found} isn't {expected}");
    }
}

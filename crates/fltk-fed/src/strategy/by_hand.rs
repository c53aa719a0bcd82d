//! Rounds of a model with a few parameters, for tests with figures worked out by hand.

use std::sync::Arc;

use fltk_core::{
    catalogue::Choice,
    client_state::ClientState,
    client_terms::{Arrays, ClientTerms, Extras, LocalWork},
    ids::{ClientId, Round},
    local_pass::{Anchor, LocalPass, PassResult, Shift},
    metrics::TrainSummary,
    model_state::{ModelState, TensorRole, TensorSpec},
    server_state::ServerState,
};

use super::{Aggregator, ClientRound, CohortFacts, Spec, Update};

/// The learning rate of the clients.
pub(super) const CLIENT_RATE: f64 = 0.5;

/// A client's answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    samples: u64,
    steps: u64,
    extras: Extras,
    arrays: Arrays,
    parameters: Vec<f32>,
    buffer: f32,
    base: Option<Vec<f32>>,
    staleness: u32,
}

/// Returns the answer of a client with 10 samples that took 5 steps and ended with these parameters; its buffer is 0.
pub(super) fn client(parameters: &[f32]) -> Answer {
    let (extras, arrays, parameters) = (Extras::new(), Arrays::new(), parameters.to_vec());
    Answer { samples: 10, steps: 5, extras, arrays, parameters, buffer: 0.0, base: None, staleness: 0 }
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

    pub(super) fn array(mut self, name: &str, values: &[f32]) -> Self {
        self.arrays.insert(name.to_owned(), values.to_vec());
        self
    }

    /// Sets the parameters that it started from, and the number of models made since.
    pub(super) fn stale(self, staleness: u32, base: &[f32]) -> Self {
        Self { staleness, base: Some(base.to_vec()), ..self }
    }

    pub(super) fn buffer(self, buffer: f32) -> Self {
        Self { buffer, ..self }
    }
}

/// A run of a strategy, one round after another.
pub(super) struct Run {
    strategy: &'static Spec,
    settings: Choice,
    /// The number of all clients; that of a round's answers if 0.
    num_clients: u32,
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
        Self { strategy, settings, num_clients: 0, round: 0, model, server: ServerState::default() }
    }

    /// Sets the number of all clients, of which a round may have fewer.
    pub(super) fn clients(self, num_clients: u32) -> Self {
        Self { num_clients, ..self }
    }

    /// Returns the global model after the last round.
    pub(super) fn model(&self) -> &Arc<ModelState> {
        &self.model
    }

    /// Returns the terms of the next round: one epoch at [`CLIENT_RATE`].
    pub(super) fn terms(&self) -> ClientTerms {
        let extras = self.strategy.extras.iter().map(|extra| extra.name.to_owned()).collect();
        let keeps = self.strategy.keeps.iter().map(|&name| name.to_owned()).collect();
        let (work, arrays) = (LocalWork::Epochs(1.0), Arc::default());
        let mut terms = ClientTerms { learning_rate: CLIENT_RATE, work, proximal_mu: 0.0, arrays, extras, keeps };
        (self.strategy.set_terms)(&self.settings, &self.server, &mut terms);
        terms
    }

    /// Runs a round with these answers of clients 0, 1, ... Returns the next parameters.
    pub(super) fn round(&mut self, answers: &[Answer]) -> Vec<f32> {
        self.round += 1;
        let total = answers.iter().map(|answer| answer.samples).sum();
        let (round, global) = (Round(self.round), Arc::clone(&self.model));
        let num_clients = if self.num_clients > 0 { self.num_clients } else { u32::try_from(answers.len()).unwrap() };
        let facts = CohortFacts { total_samples: total, num_clients };
        let mut aggregator = Aggregator::new(self.strategy, &self.settings, round, global, facts);
        for (client, answer) in (0..).zip(answers) {
            let floats = answer.parameters.iter().copied().chain([answer.buffer]).collect();
            let state = ModelState { layout: Arc::clone(&self.model.layout), floats, counters: Vec::new() };
            let Answer { samples, steps, extras, arrays, .. } = answer.clone();
            let base = answer.base.as_ref().map(|parameters| {
                let floats = parameters.iter().copied().chain([0.0]).collect();
                Arc::new(ModelState { layout: Arc::clone(&self.model.layout), floats, counters: Vec::new() })
            });
            let (client, staleness) = (ClientId(client), answer.staleness);
            aggregator.take(Update { client, state, base, staleness, samples, steps, learning_rate: CLIENT_RATE, extras, arrays });
        }
        self.model = Arc::new(aggregator.finish(&mut self.server).unwrap());
        self.model.floats.split_last().unwrap().1.to_vec()
    }

    /// Returns the buffer after the last round.
    pub(super) fn buffer(&self) -> f32 {
        *self.model.floats.last().unwrap()
    }
}

/// Returns the state of a client that kept one array.
pub(super) fn client_state(name: &str, values: &[f32]) -> ClientState {
    ClientState { arrays: [(name.to_owned(), values.to_vec())].into(), ..ClientState::default() }
}

/// The answer of a client that was [trained](train).
pub(super) struct Trained {
    /// The parameters.
    pub(super) state: Vec<f32>,
    pub(super) arrays: Arrays,
}

/// Trains a client in the next round of `run` by the strategy's method. Its loss is `(x - target)^2 / 2`, summed over all parameters; every pass
/// takes `steps` steps of SGD with `momentum`.
pub(super) fn train(run: &Run, kept: &mut ClientState, target: &[f64], steps: u64, momentum: f64) -> Trained {
    let (settings, terms, global) = (&run.settings, &run.terms(), run.model());
    let (round, method, mut done) = (ClientRound { settings, terms, global }, &run.strategy.client, Vec::new());
    while let Some(pass) = (method.next_pass)(&round, kept, &done).unwrap() {
        done.push(descend(&pass, target, steps, momentum));
    }
    let answer = (method.finish)(&round, kept, done).unwrap();
    Trained { state: answer.state.floats[..target.len()].to_vec(), arrays: answer.arrays }
}

/// Makes one pass, in f64.
fn descend(pass: &LocalPass, target: &[f64], steps: u64, momentum: f64) -> PassResult {
    let mut x: Vec<f64> = pass.start.floats[..target.len()].iter().map(|&value| f64::from(value)).collect();
    let gradient = |x: f64, place: usize| x - target[place];
    let mut mean = vec![0.0; x.len()];
    let first: Vec<f32> = x.iter().enumerate().map(|(place, &x)| gradient(x, place) as f32).collect();
    for (place, x) in x.iter_mut().enumerate() {
        let mut velocity = 0.0;
        for _ in 0..steps {
            let (raw, before) = (gradient(*x, place), *x);
            mean[place] += raw / steps as f64;
            let mut shifted = if let Some(Shift::Gradient(shift)) = &pass.shift { raw + f64::from(shift[place]) } else { raw };
            let pull = pass.proximal.as_ref().map(|anchor| (anchor.mu * (before - f64::from(anchor.model.floats[place])), anchor));
            if let Some((pull, Anchor { is_in_gradient: true, .. })) = pull {
                shifted += pull;
            }
            velocity = momentum * velocity + shifted;
            *x -= pass.learning_rate * velocity;
            if let Some(Shift::Step(shift)) = &pass.shift {
                *x -= pass.learning_rate * f64::from(shift[place]);
            }
            if let Some((pull, Anchor { is_in_gradient: false, .. })) = pull {
                *x -= pass.learning_rate * pull;
            }
        }
    }
    let mut state = ModelState::clone(&pass.start);
    state.floats.iter_mut().zip(&x).for_each(|(value, &x)| *value = x as f32);
    let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
    let gradient = match pass.measures {
        measures if measures.initial_gradient => first,
        measures if measures.mean_gradient => mean,
        _ => Vec::new(),
    };
    let summary = TrainSummary { num_samples: steps, num_steps: steps, loss: (steps > 0).then_some(0.0) };
    PassResult { state, summary, normalizer: steps as f64, initial_loss: 0.0, gradient, mixture: None }
}

/// Asserts that the values are `expected` but for the digits that aren't written down.
pub(super) fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() <= 1e-6 * expected.abs().max(0.1), "{found} isn't {expected}");
    }
}

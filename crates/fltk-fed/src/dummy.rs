//! A model that needs no tensors: every client pulls the weights towards its own target. It is an ordinary workload with a known
//! closed-form solution, for testing the protocol.
//!
//! Client `k` minimizes `F_k(w) = 1/2 |w - c_k|^2` by gradient descent, `w <- w - lr (w - c_k)`. The global objective, weighted by samples,
//! has its [minimum](Dummy::optimum) at the weighted mean of the targets.

use std::sync::Arc;

use fltk_core::{
    client_test::ClientEvaluation,
    ids::{ClientId, Round},
    metrics::{Evaluation, TrainSummary},
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::{Purpose, Seed},
    server_state::ServerState,
};
use rand::RngExt;

use crate::{
    BoxError,
    client::{ClientTrainer, Evaluator},
    round::{ClientUpdate, LossOrder, TrainOrder},
};

/// The clients' targets and their amounts of work.
#[derive(Clone, Debug, PartialEq)]
pub struct Dummy {
    /// The number of samples of each client.
    pub samples: Vec<u64>,
    /// The number of local steps of each client.
    pub steps: Vec<u32>,
    /// The targets `c_k`, one per client.
    targets: Vec<Vec<f32>>,
}

impl Dummy {
    /// Creates as many clients as there are `steps`, with samples and targets drawn from `seed`, in `num_weights` dimensions.
    #[must_use]
    pub fn new(seed: Seed, num_weights: usize, steps: Vec<u32>) -> Self {
        let draw = |client: usize| {
            let mut stream = seed.stream(Purpose::Partition, &[client as u64]);
            let samples = stream.random_range(1..1000);
            let target = (0..num_weights).map(|_| stream.random_range(-3.0..3.0_f32)).collect();
            (samples, target)
        };
        let (samples, targets) = (0..steps.len()).map(draw).unzip();
        Self { samples, steps, targets }
    }

    /// Returns the initial model: weights of 0, a buffer (a running mean) and a counter (of steps).
    #[must_use]
    pub fn initial(&self) -> ModelState {
        let num_weights = self.targets.first().map_or(0, Vec::len);
        let spec = |name: &str, shape, role| TensorSpec { name: name.to_owned(), shape, role };
        let layout = vec![
            spec("weight", vec![num_weights], TensorRole::Parameter),
            spec("running_mean", vec![1], TensorRole::Buffer),
            spec("num_steps", vec![], TensorRole::Counter),
        ];
        ModelState { layout: Arc::new(layout), floats: vec![0.0; num_weights + 1], counters: vec![0] }
    }

    /// Returns the weights that minimize the global objective.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "samples are fewer than 1000 a client")]
    pub fn optimum(&self) -> Vec<f64> {
        let total: u64 = self.samples.iter().sum();
        let num_weights = self.targets.first().map_or(0, Vec::len);
        let mean = |weight: usize| {
            let sum: f64 =
                self.samples.iter().zip(&self.targets).map(|(&samples, target)| samples as f64 * f64::from(target[weight])).sum();
            sum / total as f64
        };
        (0..num_weights).map(mean).collect()
    }

    /// Performs the local steps of the client that `order` names, at the order's learning rate. Every extra that the order asks for is
    /// answered with the number of steps.
    ///
    /// # Errors
    ///
    /// If the client doesn't exist, or the state isn't of this model.
    #[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is computed with")]
    pub fn answer(&self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        let place = order.client.0 as usize;
        let (Some(target), Some(&steps), Some(&samples)) = (self.targets.get(place), self.steps.get(place), self.samples.get(place)) else {
            return Err(format!("client `{}` is unknown: there are {}", order.client, self.targets.len()).into());
        };
        let mut state = order.state.as_ref().clone();
        let (Some((running_mean, weights)), [counter]) = (state.floats.split_last_mut(), &mut state.counters[..]) else {
            return Err("the state is not of this model".into());
        };
        let learning_rate = order.terms.learning_rate as f32;
        let mut loss = 0.0;
        for _ in 0..steps {
            for (weight, &target) in weights.iter_mut().zip(target) {
                let gap = *weight - target;
                loss += 0.5 * f64::from(gap) * f64::from(gap);
                *weight -= learning_rate * gap;
            }
            *running_mean += 0.1 * (target.iter().sum::<f32>() - *running_mean);
            *counter += 1;
        }
        let train = TrainSummary {
            num_samples: samples * u64::from(steps),
            num_steps: u64::from(steps),
            loss: (steps > 0).then(|| loss / f64::from(steps)),
        };
        let extras = order.terms.extras.iter().map(|name| (name.clone(), f64::from(steps))).collect();
        Ok(ClientUpdate::answer(order, state, train, extras))
    }

    /// Returns the client's own objective `F_k`, for each of its samples the same.
    ///
    /// # Errors
    ///
    /// If the client doesn't exist.
    pub fn loss(&self, order: &LossOrder) -> Result<f64, BoxError> {
        let unknown = || format!("client `{}` is unknown: there are {}", order.client, self.targets.len());
        Ok(objective(&order.state, self.targets.get(order.client.0 as usize).ok_or_else(unknown)?))
    }

    /// Evaluates `state`: the loss is the global objective, and the accuracy rises as the loss falls.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "samples are fewer than 1000 a client")]
    pub fn score(&self, state: &ModelState) -> Evaluation {
        let total: u64 = self.samples.iter().sum();
        let loss: f64 =
            self.samples.iter().zip(&self.targets).map(|(&samples, target)| samples as f64 / total as f64 * objective(state, target)).sum();
        Evaluation { num_samples: total, loss, accuracy: 1.0 / (1.0 + loss), confusion: None }
    }

    /// Evaluates `state` for each client: the loss is the client's own objective, and the accuracy rises as the loss falls. Every client has its samples for
    /// testing too.
    #[must_use]
    pub fn score_clients(&self, state: &ModelState) -> Vec<ClientEvaluation> {
        let of_client = |((client, target), &num_samples): ((ClientId, &Vec<f32>), &u64)| {
            let loss = objective(state, target);
            ClientEvaluation { client, num_samples, loss, accuracy: 1.0 / (1.0 + loss) }
        };
        self.clients().zip(&self.targets).zip(&self.samples).map(of_client).collect()
    }

    /// Returns the clients, `0..num_clients`.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        (0_u32..).zip(&self.targets).map(|(client, _)| ClientId(client))
    }
}

/// Returns `1/2 |w - target|^2`.
fn objective(state: &ModelState, target: &[f32]) -> f64 {
    state.floats.iter().zip(target).map(|(&weight, &target)| 0.5 * (f64::from(weight) - f64::from(target)).powi(2)).sum()
}

impl ClientTrainer for &Dummy {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        self.answer(order)
    }

    fn measure(&mut self, order: &LossOrder) -> Result<f64, BoxError> {
        self.loss(order)
    }
}

impl Evaluator for &Dummy {
    fn evaluate(&mut self, _: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        Ok(self.score(state))
    }

    fn evaluate_clients(&mut self, _: Round, state: &ModelState, _: &ServerState) -> Result<Vec<ClientEvaluation>, BoxError> {
        Ok(self.score_clients(state))
    }
}

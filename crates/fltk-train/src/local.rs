//! One federated client's work in one round: a few local epochs on its own samples with a fresh optimizer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use fltk_core::{
    catalogue::Choice,
    client_terms::{ClientTerms, Extras, LocalWork, NORMALIZER},
    experiment::TrainConfig,
    ids::{ClientId, Round},
    metrics::TrainSummary,
    model_state::ModelState,
    seed::Seed,
};
use fltk_data::{BatchPlan, Dataset, EpochKey, batches};

use crate::{
    EpochOptions, Model, Optimizer, TrainError,
    label_flip::Labels,
    losses::Loss,
    optimizer::{self, Proximal},
    train::{Total, run_epoch},
};

/// A trainer that trains clients one after another. Each thread has one; each client starts from the state that it is given, so one trainer
/// serves all.
#[derive(Debug)]
pub struct LocalTrainer {
    model: Model,
    dataset: Arc<Dataset>,
    config: TrainConfig,
    loss: Loss,
}

/// The order for one client in one round.
#[derive(Clone, Copy, Debug)]
pub struct LocalOrder<'a> {
    /// The global model.
    pub state: &'a ModelState,
    /// The client's samples, as indices into the training set.
    pub samples: &'a [u32],
    /// The root seed.
    pub seed: Seed,
    /// The client.
    pub client: ClientId,
    /// The round.
    pub round: Round,
    /// The terms of the round: the learning rate, the amount of work, the proximal term.
    pub terms: &'a ClientTerms,
    /// True if class `y` of `C` is taken for `C - 1 - y`: the attack of a malicious client.
    pub flips_labels: bool,
    /// True once nobody wants the update any more.
    pub stop: &'a AtomicBool,
}

/// The result of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalUpdate {
    /// The client's model.
    pub state: ModelState,
    /// The summary over all local epochs.
    pub summary: TrainSummary,
    /// The extra values that the terms ask for in addition to the model.
    pub extras: Extras,
}

impl LocalTrainer {
    /// Returns a trainer that works with `model`, whose own numbers are never used.
    #[must_use]
    pub fn new(model: Model, dataset: Arc<Dataset>, config: TrainConfig, loss: Loss) -> Self {
        Self { model, dataset, config, loss }
    }

    /// Trains one client. The result depends on `order` alone if the thread was prepared by [`init(1)`](crate::init).
    ///
    /// # Errors
    /// If the state or the data don't fit the net, if training diverged, or if it was asked to stop ([`TrainError::Stopped`]), which it does at the next
    /// step.
    pub fn train(&mut self, order: &LocalOrder<'_>) -> Result<LocalUpdate, TrainError> {
        self.model.set_state(order.state)?;
        let mut optimizer = Optimizer::new(&self.config.optimizer, &self.model)?;
        let ClientTerms { learning_rate, work, proximal_mu, .. } = *order.terms;
        if let Some(name) = order.terms.extras.iter().find(|name| *name != NORMALIZER) {
            return Err(TrainError::Extra { name: name.clone() });
        }
        if let Some(name) = order.terms.keeps.first() {
            return Err(TrainError::Keeps { name: name.clone() });
        }
        optimizer.set_learning_rate(learning_rate);
        let proximal = (proximal_mu != 0.0).then(|| Proximal::at(&self.model, proximal_mu)).transpose()?;
        let mut total = Total::default();
        for epoch in 0.. {
            let steps_left = match work {
                LocalWork::Epochs(epochs) if epoch < u64::from(epochs) => usize::MAX,
                LocalWork::Steps(steps) if total.steps() < steps => usize::try_from(steps - total.steps()).unwrap_or(usize::MAX),
                LocalWork::Epochs(_) | LocalWork::Steps(_) => break,
            };
            let steps_before = total.steps();
            let (client, round) = (u64::from(order.client.0), u64::from(order.round.0));
            let key = EpochKey { seed: order.seed, client, round, epoch };
            let (input, batch_size) = (self.model.image_input(), self.config.batch_size as usize);
            let plan = BatchPlan::train(&self.dataset, Some(order.samples), key, input, batch_size, self.config.drop_last)
                .map_err(|error| TrainError::Batch(error.to_string()))?;
            let options = EpochOptions { loss: self.loss, key };
            let labels = Labels::of(order.flips_labels, &self.dataset);
            let until_stopped =
                batches(plan).map(|batch| labels.applied_to(batch)).take(steps_left).take_while(|_| !order.stop.load(Ordering::Relaxed));
            run_epoch(&mut self.model, &mut optimizer, until_stopped, options, proximal.as_ref(), &mut total)?;
            if order.stop.load(Ordering::Relaxed) {
                return Err(TrainError::Stopped);
            }
            // With less than one batch of samples and `drop_last`, a pass has no steps.
            if total.steps() == steps_before {
                break;
            }
        }
        let extra = |name: &String| (name.clone(), normalizer(&self.config.optimizer, learning_rate, proximal_mu, total.steps()));
        let extras = order.terms.extras.iter().map(extra).collect();
        Ok(LocalUpdate { state: self.model.state()?, summary: total.summary(), extras })
    }
}

/// Returns FedNova's `|a_i|_1` (Wang et al. 2020, arXiv:2007.07481, section 3): how far `steps` gradients of one move the model, in learning
/// rates.
///
/// With plain SGD, that is the number of steps. With momentum `rho`, each gradient continues to act in later steps:
/// `(tau - rho(1 - rho^tau)/(1 - rho))/(1 - rho)`. A proximal term pulls back: `(1 - (1 - lr*mu)^tau)/(lr*mu)`. The value is computed by
/// the recurrence that covers all of these together, and Nesterov's too. For Adam and AdamW, whose steps are already normalized, the paper
/// has no formula; the function returns the number of steps.
#[must_use]
pub fn normalizer(optimizer: &Choice, learning_rate: f64, mu: f64, steps: u64) -> f64 {
    let Some((momentum, nesterov)) = optimizer::find(optimizer.name()).ok().and_then(|spec| (spec.momentum)(optimizer)) else {
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
        return steps as f64;
    };
    let (mut velocity, mut moved) = (0.0_f64, 0.0_f64);
    for _ in 0..steps {
        velocity = momentum * velocity + 1.0;
        let step = if nesterov { 1.0 + momentum * velocity } else { velocity };
        moved += step - learning_rate * mu * moved;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(momentum: f64, learning_rate: f64, mu: f64, steps: u64, expected: f64) {
        let sgd = Choice::new("SGD").with("learning_rate", learning_rate).with("momentum", momentum);
        let got = normalizer(&sgd, learning_rate, mu, steps);
        assert!((got - expected).abs() < 1e-9 * expected.max(1.0), "momentum {momentum}, mu {mu}: {got}, not {expected}");
    }

    #[test]
    fn normalizers_are_the_closed_forms_of_the_paper() {
        check(0.0, 0.1, 0.0, 7, 7.0);
        check(0.9, 0.1, 0.0, 0, 0.0);
        check(0.9, 0.1, 0.0, 1, 1.0);
        check(0.9, 0.1, 0.0, 50, (50.0 - 0.9 * (1.0 - 0.9_f64.powi(50)) / 0.1) / 0.1);
        check(0.0, 0.05, 0.2, 30, (1.0 - (1.0 - 0.01_f64).powi(30)) / 0.01);
        let adam = Choice::new("Adam").with("learning_rate", 0.1);
        assert_eq!(normalizer(&adam, 0.1, 0.0, 9).to_bits(), 9.0_f64.to_bits());
    }
}

//! One federated client's work in one round: passes over its own samples, each with a fresh optimizer, as a strategy planned them.

mod contrast;
mod mixture;
mod normalizer;
mod step;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use fltk_core::{
    client_terms::LocalWork,
    experiment::TrainConfig,
    ids::{ClientId, Round},
    local_pass::{LocalPass, PassResult},
    model_state::ModelState,
    seed::{Purpose, Seed},
};
use fltk_data::{Batch, BatchPlan, Dataset, EpochKey, MadeSamples, NoiseLevels, Order, batches};
use tch::{Reduction, Tensor};

pub use self::normalizer::normalizer;
use self::{mixture::MixtureTraining, step::Extras};
use crate::{
    Model, Optimizer, TrainError, gradients,
    label_flip::Labels,
    losses::{self, Loss},
    optimizer::Proximal,
    tensors,
    train::{Total, draws},
};

/// A trainer that trains clients one after another. Each thread has one; each pass starts from the state that it is given, so one trainer
/// serves all.
#[derive(Debug)]
pub struct LocalTrainer {
    model: Model,
    dataset: Arc<Dataset>,
    config: TrainConfig,
    loss: Loss,
    /// The noise on the clients' samples; `None` for none.
    noise: Option<NoiseLevels>,
    /// The samples of the last client, if they are made when they are used: they serve all of its epochs.
    made: Option<Arc<MadeSamples>>,
}

/// The client of a pass.
#[derive(Clone, Copy, Debug)]
pub struct LocalClient<'a> {
    /// The client's samples, as indices into the training set.
    pub samples: &'a [u32],
    /// The root seed.
    pub seed: Seed,
    /// The client.
    pub client: ClientId,
    /// The round.
    pub round: Round,
    /// True if class `y` of `C` is taken for `C - 1 - y`: the attack of a malicious client.
    pub flips_labels: bool,
    /// True once the run is to stop.
    pub stop: &'a AtomicBool,
}

impl LocalClient<'_> {
    fn key(&self, epoch: u64) -> EpochKey {
        EpochKey { seed: self.seed, client: u64::from(self.client.0), round: u64::from(self.round.0), epoch }
    }
}

impl LocalTrainer {
    /// Returns a trainer that works with `model`, whose own numbers are never used.
    #[must_use]
    pub fn new(model: Model, dataset: Arc<Dataset>, config: TrainConfig, loss: Loss) -> Self {
        Self { model, dataset, config, loss, noise: None, made: None }
    }

    /// Returns the same trainer, for clients with noise on their samples.
    #[must_use]
    pub fn with_noise(self, noise: NoiseLevels) -> Self {
        Self { noise: Some(noise), ..self }
    }

    /// Makes one pass. The result depends on its arguments alone if the thread was prepared by [`init(1)`](crate::init).
    ///
    /// # Errors
    /// If the states or the data don't fit the net, if training diverged, or if it was asked to stop ([`TrainError::Stopped`]), which it does
    /// at the next step.
    pub fn train(&mut self, client: &LocalClient<'_>, pass: &LocalPass) -> Result<PassResult, TrainError> {
        self.model.set_state(&pass.start)?;
        self.make(client);
        let initial =
            if pass.measures.initial_loss || pass.measures.initial_gradient { self.initial(client, pass)? } else { (0.0, Vec::new()) };
        let mut optimizer = Optimizer::new(&self.config.optimizer, &self.model)?;
        optimizer.set_learning_rate(pass.learning_rate);
        let proximal = pass
            .proximal
            .as_ref()
            .filter(|anchor| !anchor.is_in_gradient)
            .map(|anchor| Proximal::at(&self.model, &anchor.model, anchor.mu))
            .transpose()?;
        let mut extras = Extras::new(&self.model, pass)?;
        let mut mixture =
            pass.mixture.as_ref().map(|mixture| MixtureTraining::new(&self.model, &self.config.optimizer, pass, mixture)).transpose()?;
        let mut total = Total::default();
        for epoch in 0.. {
            let steps_left = self.steps_left(pass.work, epoch, total.steps(), client.samples.len());
            if steps_left == 0 {
                break;
            }
            let steps_before = total.steps();
            let key = client.key(pass.first_epoch + epoch);
            let (input, batch_size) = (self.model.image_input(), self.config.batch_size as usize);
            let plan = BatchPlan::train(&self.dataset, Some(client.samples), key, input, batch_size, self.config.drop_last)
                .map_err(|error| TrainError::Batch(error.to_string()))?;
            let noise = self.noise.and_then(|levels| levels.of_client(client.seed, client.client.0));
            let plan = BatchPlan { noise, made: self.made.clone(), ..plan };
            let labels = Labels::of(client.flips_labels, &self.dataset);
            let mut source = batches(plan);
            for number in 0..steps_left as u64 {
                let Some(batch) = source.next().filter(|_| !client.stop.load(Ordering::Relaxed)) else { break };
                let batch = labels.applied_to(batch);
                let mut dropout = draws(&self.model, key, key.client, number);
                let (inputs, targets) = tensors::batch_tensors(&batch, self.model.memory_format(), self.model.device())?;
                let size = batch.size;
                source.recycle(batch);
                let at_step = |error: TrainError| error.at_step(number + 1);
                if let Some(mixture) = &mut mixture {
                    mixture.step(&self.model, &inputs, &targets, self.loss, (key, number)).map_err(at_step)?;
                }
                let value = extras.step(&mut self.model, &mut optimizer, inputs, &targets, self.loss, &mut dropout, proximal.as_ref());
                total.add(size, value.map_err(at_step)?);
            }
            if client.stop.load(Ordering::Relaxed) {
                return Err(TrainError::Stopped);
            }
            // With less than one batch of samples and `drop_last`, a pass has no steps.
            if total.steps() == steps_before {
                break;
            }
        }
        let (initial_loss, initial_gradient) = initial;
        let gradient = if pass.measures.initial_gradient { initial_gradient } else { extras.mean_gradient(&self.model, total.steps())? };
        let mu = pass.proximal.as_ref().map_or(0.0, |anchor| anchor.mu);
        Ok(PassResult {
            state: self.model.state()?,
            summary: total.summary(),
            normalizer: normalizer(&self.config.optimizer, pass.learning_rate, mu, total.steps()),
            initial_loss,
            gradient,
            mixture: mixture.map(MixtureTraining::finish).transpose()?,
        })
    }

    /// Returns the mean loss of the client's samples under `state`, in evaluation mode and without augmentation. If `num_samples` isn't 0, it is the mean
    /// over so many of them, drawn by client and round; over all if there are no more.
    ///
    /// # Errors
    /// If the state or the data don't fit the net, or if it was asked to stop ([`TrainError::Stopped`]).
    pub fn loss(&mut self, client: &LocalClient<'_>, state: &ModelState, num_samples: u32) -> Result<f64, TrainError> {
        self.model.set_state(state)?;
        self.make(client);
        if num_samples == 0 || client.samples.len() <= num_samples as usize {
            return self.mean_loss(client);
        }
        let mut stream = client.seed.stream(Purpose::LossSamples, &[client.client.0.into(), client.round.0.into()]);
        let mut places = rand::seq::index::sample(&mut stream, client.samples.len(), num_samples as usize).into_vec();
        places.sort_unstable();
        let drawn: Vec<u32> = places.into_iter().map(|place| client.samples[place]).collect();
        self.mean_loss(&LocalClient { samples: &drawn, ..*client })
    }

    /// Makes the samples of `client`, if they aren't in memory.
    fn make(&mut self, client: &LocalClient<'_>) {
        self.made = MadeSamples::of(&self.dataset, client.samples, self.made.as_ref());
    }

    /// Returns the largest number of steps to take in the epoch of this number, from 0, after `num_steps` steps; 0 if the work is done.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of steps and epochs")]
    fn steps_left(&self, work: LocalWork, epoch: u64, num_steps: u64, num_samples: usize) -> usize {
        match work {
            LocalWork::Steps(steps) => usize::try_from(steps.saturating_sub(num_steps)).unwrap_or(usize::MAX),
            LocalWork::Epochs(epochs) if epochs - epoch as f64 >= 1.0 => usize::MAX,
            LocalWork::Epochs(epochs) if epochs - epoch as f64 > 0.0 => {
                let batch_size = self.config.batch_size.max(1) as usize;
                let in_epoch = if self.config.drop_last { num_samples / batch_size } else { num_samples.div_ceil(batch_size) };
                ((epochs - epoch as f64) * in_epoch as f64).round().max(1.0) as usize
            }
            LocalWork::Epochs(_) => 0,
        }
    }

    /// Returns the mean loss of all of the client's samples under the current model, in evaluation mode; and, if it is asked for, its gradient,
    /// which is taken in training mode like those of steps, in batches of the same size but without dropout. Nothing is augmented.
    fn initial(&mut self, client: &LocalClient<'_>, pass: &LocalPass) -> Result<(f64, Vec<f32>), TrainError> {
        let mean = if pass.measures.initial_loss { self.mean_loss(client)? } else { 0.0 };
        let (mut sums, mut num_gradients): (Vec<Tensor>, f64) = (Vec::new(), 0.0);
        if pass.measures.initial_gradient {
            for batch in self.as_given(client, self.config.batch_size)? {
                let (inputs, targets) = tensors::batch_tensors(&batch, self.model.memory_format(), self.model.device())?;
                let (_, batch_gradients) = gradients::of_batch(&mut self.model, inputs, &targets, self.loss, Reduction::Sum, None)?;
                num_gradients += number(&targets);
                step::add_gradients(&mut sums, &batch_gradients, &self.model.parameters().collect::<Vec<_>>())?;
            }
            // The statistics of batch norms have moved.
            self.model.set_state(&pass.start)?;
        }
        if client.stop.load(Ordering::Relaxed) {
            return Err(TrainError::Stopped);
        }
        Ok((mean, step::read_mean(&self.model, &sums, num_gradients)?))
    }

    /// Returns the mean loss of the client's samples under the current model, in evaluation mode; 0 without samples.
    fn mean_loss(&self, client: &LocalClient<'_>) -> Result<f64, TrainError> {
        let _no_grad = tch::no_grad_guard();
        let (mut sum, mut count) = (0.0, 0.0);
        for batch in self.as_given(client, self.config.test_batch_size)? {
            let (inputs, targets) = tensors::batch_tensors(&batch, self.model.memory_format(), self.model.device())?;
            let loss = self.loss.of(&losses::rows(&self.model.forward_evaluation(inputs)?)?, &targets, Reduction::Sum)?;
            sum += loss.f_double_value(&[])?;
            count += number(&targets);
        }
        if client.stop.load(Ordering::Relaxed) {
            return Err(TrainError::Stopped);
        }
        Ok(if count > 0.0 { sum / count } else { 0.0 })
    }

    /// Returns batches of the client's samples in their own order and without augmentation, until it is asked to stop.
    fn as_given<'a>(&self, client: &LocalClient<'a>, batch_size: u32) -> Result<impl Iterator<Item = Batch> + use<'a>, TrainError> {
        let (input, batch_size, stop) = (self.model.image_input(), batch_size as usize, client.stop);
        let wrong = |error: fltk_data::TransformError| TrainError::Batch(error.to_string());
        let plan = BatchPlan::train(&self.dataset, Some(client.samples), client.key(0), input, batch_size, false).map_err(wrong)?;
        let transform = BatchPlan::test(&self.dataset, input, batch_size).map_err(wrong)?.transform;
        let noise = self.noise.and_then(|levels| levels.of_client(client.seed, client.client.0));
        let plan = BatchPlan { order: Order::AsGiven, transform, noise, made: self.made.clone(), ..plan };
        let labels = Labels::of(client.flips_labels, &self.dataset);
        Ok(batches(plan).map(move |batch| labels.applied_to(batch)).take_while(move |_| !stop.load(Ordering::Relaxed)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of samples")]
fn number(targets: &Tensor) -> f64 {
    targets.numel() as f64
}

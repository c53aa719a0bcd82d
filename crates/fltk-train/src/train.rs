//! The training loop: one optimizer step, one epoch.

use fltk_core::{metrics::TrainSummary, seed::Purpose};
use fltk_data::{Batch, EpochKey};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Reduction, Tensor};

use crate::{Model, Optimizer, TrainError, gradients, losses::Loss, tensors};

/// The options that are the same for every batch of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochOptions {
    /// The loss.
    pub loss: Loss,
    /// The key of the epoch's dropout masks.
    pub key: EpochKey,
}

/// Trains on every batch once, in training mode. The summary's loss is the mean over samples of the loss before each step.
///
/// # Errors
/// If a batch doesn't fit the net, or the loss is no longer finite; the model is then left as it was before that step.
pub fn train_epoch(
    model: &mut Model,
    optimizer: &mut Optimizer,
    batches: impl IntoIterator<Item = Batch>,
    options: EpochOptions,
) -> Result<TrainSummary, TrainError> {
    let mut total = Total::default();
    for (number, batch) in (0..).zip(batches) {
        let mut dropout = draws(model, options.key, options.key.client, number);
        let (inputs, targets) = tensors::batch_tensors(&batch, model.memory_format(), model.device())?;
        let value = step(model, optimizer, inputs, &targets, options.loss, Some(&mut dropout));
        total.add(batch.size, value.map_err(|error| error.at_step(number + 1))?);
    }
    Ok(total.summary())
}

/// Takes one optimizer step on one batch, which is the unit that benchmarks time. Returns the loss before the step.
///
/// # Errors
/// As [`train_epoch`].
pub fn train_batch(
    model: &mut Model,
    optimizer: &mut Optimizer,
    batch: &Batch,
    loss: Loss,
    dropout: &mut ChaCha8Rng,
) -> Result<f64, TrainError> {
    let (inputs, targets) = tensors::batch_tensors(batch, model.memory_format(), model.device())?;
    step(model, optimizer, inputs, &targets, loss, Some(dropout))
}

/// Sums over an epoch, or over the local epochs of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub samples: u64,
    pub steps: u64,
    /// The sum of the loss over samples.
    pub loss: f64,
}

impl Total {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn summary(&self) -> TrainSummary {
        let loss = (self.samples > 0).then(|| self.loss / self.samples as f64);
        TrainSummary { num_samples: self.samples, num_steps: self.steps, loss }
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Adds a step on a batch of `size` samples with this mean loss.
    #[expect(clippy::cast_precision_loss, reason = "a batch size is far below 2^52")]
    pub fn add(&mut self, size: usize, loss: f64) {
        self.loss += loss * size as f64;
        self.samples += size as u64;
        self.steps += 1;
    }
}

/// Returns the random stream for the dropout masks of a step (counted from 0 within the epoch) of a client or rank. A TorchScript module with dropout draws from
/// libtorch's own generator instead, which this function seeds.
pub(crate) fn draws(model: &Model, key: EpochKey, who: u64, step: u64) -> ChaCha8Rng {
    let indices = [who, key.round, key.epoch, step];
    if model.draws_from_libtorch() {
        tch::manual_seed(key.seed.stream(Purpose::Torch, &indices).next_u64().cast_signed());
    }
    key.seed.stream(Purpose::Dropout, &indices)
}

/// Runs forward, backward and update. Gradients are requested directly and never accumulated, so there is nothing to zero.
pub(crate) fn step(
    model: &mut Model,
    optimizer: &mut Optimizer,
    inputs: Tensor,
    targets: &Tensor,
    loss: Loss,
    dropout: Option<&mut ChaCha8Rng>,
) -> Result<f64, TrainError> {
    let (value, gradients) = gradients::of_batch(model, inputs, targets, loss, Reduction::Mean, dropout)?;
    check_finite(value, optimizer)?;
    optimizer.step(&gradients, None)?;
    Ok(value)
}

/// Returns the value of a loss, which must be finite.
pub(crate) fn finite(loss: &Tensor, optimizer: &Optimizer) -> Result<f64, TrainError> {
    let value = loss.f_double_value(&[])?;
    check_finite(value, optimizer)?;
    Ok(value)
}

/// Checks that the value of a loss is finite.
pub(crate) fn check_finite(loss: f64, optimizer: &Optimizer) -> Result<(), TrainError> {
    if loss.is_finite() { Ok(()) } else { Err(TrainError::Diverged { step: optimizer.steps() + 1, loss }) }
}

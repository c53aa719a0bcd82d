//! One epoch, step by step: alone or together with other ranks, with pauses where checkpoints are taken.

use std::time::Duration;

use fltk_core::metrics::{ParallelSummary, TrainSummary};
use fltk_data::Batch;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};
use torch_dist::ReduceOp;

use super::{Ranks, Together, nothing, zero_gradients};
use crate::{
    EpochOptions, Model, Optimizer, TrainError, losses,
    tensors::batch_tensors,
    train::{self, Total, draws},
};

/// The progress of an epoch so far, on one rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct EpochSoFar {
    own: Total,
    seconds: f64,
    communication: Duration,
    waiting: Duration,
}

/// An epoch in progress at the time of a checkpoint: its state in addition to the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochPart {
    /// The number of steps taken by every rank.
    pub steps: u32,
    /// The results of these steps, by rank.
    pub ranks: Vec<RankPart>,
    /// The wall-clock time of rank 0's steps.
    pub train_seconds: f64,
    /// The [`ParallelSummary::communication_seconds`] of the steps.
    pub communication_seconds: f64,
    /// The [`ParallelSummary::waiting_seconds`] of the steps.
    pub waiting_seconds: f64,
}

/// One rank's share of an [`EpochPart`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankPart {
    /// The number of samples trained on.
    pub num_samples: u64,
    /// The sum of their losses. This is not the mean, so that later losses are added to the same bits.
    pub loss: f64,
}

impl EpochSoFar {
    /// The number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u32 {
        u32::try_from(self.own.steps).unwrap_or(u32::MAX)
    }

    /// The wall-clock time of the steps, in seconds, as far as it was [added](Self::add_seconds).
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Adds the wall-clock time of some steps.
    pub fn add_seconds(&mut self, seconds: f64) {
        self.seconds += seconds;
    }
}

impl Ranks<'_> {
    /// Trains on the next steps of an epoch, as many as `sizes` has: each element gives the number of samples of every rank in that step
    /// ([`fltk_data::Sharding::step_sizes`]). A rank without samples in a step needs no batch for it.
    ///
    /// # Errors
    /// If a batch is missing or doesn't fit, the loss is no longer finite, or a rank is lost.
    pub fn train_steps(
        &self,
        model: &mut Model,
        optimizer: &mut Optimizer,
        batches: &mut dyn Iterator<Item = Batch>,
        sizes: &[Vec<usize>],
        options: EpochOptions,
        epoch: &mut EpochSoFar,
    ) -> Result<(), TrainError> {
        let rank = self.rank();
        for sizes in sizes {
            let number = epoch.own.steps + 1;
            let size = sizes.get(rank as usize).copied().unwrap_or(0);
            let batch = if size == 0 { None } else { batches.next() };
            if batch.as_ref().map_or(0, |batch| batch.size) != size {
                // The data is not at fault: the source of batches has stopped giving them.
                return Err(TrainError::Batch(format!("step {number} of rank {rank} has no batch of {size} samples")));
            }
            // Each rank has its own masks: in the random stream, a rank takes the place of a client.
            let mut dropout = draws(model, options.key, u64::from(rank), epoch.own.steps);
            let loss = match (&self.0, &batch) {
                (Some(together), batch) => {
                    let loss = together.step(model, optimizer, batch.as_ref(), weight(size, sizes), options, &mut dropout);
                    if loss.is_ok()
                        && let Some(times) = together.reducer.times()?
                    {
                        let waiting = times.communication.saturating_sub(times.overlap);
                        epoch.communication = epoch.communication.saturating_add(Duration::from_nanos(times.communication));
                        epoch.waiting = epoch.waiting.saturating_add(Duration::from_nanos(waiting));
                    }
                    loss
                }
                (None, Some(batch)) => train::train_batch(model, optimizer, batch, options.loss, &mut dropout),
                (None, None) => Ok(0.0),
            };
            epoch.own.add(size, loss.map_err(|error| error.at_step(number))?);
        }
        Ok(())
    }

    /// Returns the results of the epoch over all ranks: the loss is the mean over all samples. The second part is absent for a single rank.
    ///
    /// # Errors
    /// If a rank is lost.
    pub fn summary(&self, epoch: &EpochSoFar) -> Result<(TrainSummary, Option<ParallelSummary>), TrainError> {
        let EpochSoFar { own, communication, waiting, .. } = epoch;
        let Some(Together { groups, gradient_bytes, .. }) = &self.0 else { return Ok((own.summary(), None)) };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let mut sums = Tensor::f_from_slice(&[own.loss, own.samples as f64])?;
        groups.control().all_reduce(&mut sums, ReduceOp::Sum)?;
        let mut values = [0.0_f64; 2];
        sums.f_copy_data(&mut values, 2)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of counts")]
        let all = Total { samples: values[1] as u64, steps: own.steps, loss: values[0] };
        let ranks = u64::from(groups.size());
        let parallel = ParallelSummary {
            ranks: groups.size(),
            communication_seconds: communication.as_secs_f64(),
            waiting_seconds: waiting.as_secs_f64(),
            // A ring all-reduce sends this much from each rank.
            sent_bytes: own.steps * (2 * (ranks - 1) * gradient_bytes / ranks),
        };
        Ok((all.summary(), Some(parallel)))
    }

    /// Returns the part of the epoch's state that a checkpoint must keep; all ranks call this.
    ///
    /// # Errors
    /// If a rank is lost.
    pub fn part(&self, epoch: &EpochSoFar) -> Result<EpochPart, TrainError> {
        let own = epoch.own;
        let ranks = match &self.0 {
            None => vec![RankPart { num_samples: own.samples, loss: own.loss }],
            Some(Together { groups, .. }) => {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                let all = groups.control().all_gather(&Tensor::f_from_slice(&[own.samples as f64, own.loss])?)?;
                let part = |tensor: &Tensor| -> Result<RankPart, TrainError> {
                    let mut values = [0.0_f64; 2];
                    tensor.f_copy_data(&mut values, 2)?;
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                    Ok(RankPart { num_samples: values[0] as u64, loss: values[1] })
                };
                all.iter().map(part).collect::<Result<_, _>>()?
            }
        };
        Ok(EpochPart {
            steps: epoch.steps(),
            ranks,
            train_seconds: epoch.seconds,
            communication_seconds: epoch.communication.as_secs_f64(),
            waiting_seconds: epoch.waiting.as_secs_f64(),
        })
    }

    /// Returns the epoch in which [`Self::part`] was called, to resume it on this rank.
    ///
    /// # Errors
    /// If it has another number of ranks, or invalid numbers.
    pub fn take_up(&self, part: &EpochPart) -> Result<EpochSoFar, TrainError> {
        let wrong = |reason: String| TrainError::State(format!("the checkpoint's epoch can't be resumed: {reason}"));
        let size = self.0.as_ref().map_or(1, |together| together.groups.size());
        if part.ranks.len() != size as usize {
            return Err(wrong(format!("it has {} ranks, and here are {size}", part.ranks.len())));
        }
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).map_err(|error| wrong(error.to_string()));
        let own = part.ranks[self.rank() as usize];
        if !own.loss.is_finite() {
            return Err(wrong(format!("its loss is {}", own.loss)));
        }
        Ok(EpochSoFar {
            own: Total { samples: own.num_samples, steps: u64::from(part.steps), loss: own.loss },
            seconds: duration(part.train_seconds)?.as_secs_f64(),
            communication: duration(part.communication_seconds)?,
            waiting: duration(part.waiting_seconds)?,
        })
    }
}

impl Together<'_> {
    fn step(
        &self,
        model: &mut Model,
        optimizer: &mut Optimizer,
        batch: Option<&Batch>,
        weight: f64,
        options: EpochOptions,
        dropout: &mut ChaCha8Rng,
    ) -> Result<f64, TrainError> {
        self.reducer.before_forward()?;
        let (loss, value) = match batch {
            None => (nothing(model)?, 0.0),
            Some(batch) => {
                let (inputs, targets) = batch_tensors(batch, model.memory_format(), model.device())?;
                let sync = self.options.sync_batch_norm.then_some(self.groups.gradients());
                let logits = model.forward_training(inputs, Some(dropout), sync).map_err(|error| match error {
                    // This comes from a synchronized batch norm, whose errors pass through libtorch's type.
                    TrainError::Torch(text) if self.groups.gradients().is_closed() => TrainError::Ranks(torch_dist::Error::Torch(text)),
                    other => other,
                })?;
                let logits = losses::rows(&logits)?;
                let loss = options.loss.of(&logits, &targets, Reduction::Mean)?;
                let value = loss.f_double_value(&[])?;
                if !value.is_finite() {
                    return Err(TrainError::Diverged { step: optimizer.steps() + 1, loss: value });
                }
                // The reducer divides by the number of ranks; with this weight, the result is the mean over samples.
                (if weight == 1.0 { loss } else { loss.f_mul_scalar(weight)? }, value)
            }
        };
        self.reducer.before_backward(&[])?;
        self.reducer.backward(&loss)?;
        let gradients: Vec<Tensor> = model.parameters().map(Tensor::f_grad).collect::<Result<_, _>>()?;
        optimizer.step(&gradients, None)?;
        zero_gradients(model)?;
        Ok(value)
    }
}

/// Returns the weight of a rank's mean loss over its `size` samples, relative to the other ranks; 1 if all have equally many.
#[expect(clippy::cast_precision_loss, reason = "batch sizes are far below 2^52")]
fn weight(size: usize, sizes: &[usize]) -> f64 {
    let total: usize = sizes.iter().sum();
    if total == 0 { 0.0 } else { size as f64 * sizes.len() as f64 / total as f64 }
}

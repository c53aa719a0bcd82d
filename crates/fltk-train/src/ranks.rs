//! Data-parallel training: this process as one rank of several, or alone. Either way the same calls, in the same order.
//!
//! Every rank holds the whole model and trains on its own part of each step's samples; gradients become their mean over all samples of the
//! step, so all ranks take the same optimizer step and stay equal, bit for bit.
//!
//! Batch norm statistics are each rank's own while an epoch goes on (unless they are synchronized), and rank 0's are everybody's after it, before
//! anything is evaluated or saved.

use std::{collections::BTreeMap, time::Duration};

use fltk_core::{
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    seed::Purpose,
};
use fltk_data::Batch;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Reduction, Tensor};
use torch_dist::{Compression, ProcessGroup, ReduceOp, Reducer, ReducerOptions};

use crate::{
    EpochOptions, Model, Optimizer, TrainError, losses,
    tensors::{self, batch_tensors},
    train::{self, Total},
};

/// Settings of a training on several ranks; all give the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RankOptions {
    /// Whether batch norms take the batches of all ranks together.
    pub sync_batch_norm: bool,
    /// Whether gradients are in half precision on the wire.
    pub fp16_gradients: bool,
}

/// The ranks of a training, as one of them sees them.
#[derive(Debug)]
pub struct Ranks<'g>(Option<Together<'g>>);

#[derive(Debug)]
struct Together<'g> {
    group: &'g ProcessGroup,
    reducer: Reducer<'g>,
    options: RankOptions,
    /// Bytes of gradients that a step reduces, as they are on the wire.
    gradient_bytes: u64,
}

/// Where the time of an epoch's steps went, on this rank.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    communication: Duration,
    waiting: Duration,
}

impl<'g> Ranks<'g> {
    /// The only rank.
    #[must_use]
    pub fn alone() -> Self {
        Self(None)
    }

    /// One of the ranks of `group`. Gives all of them rank 0's parameters, buffers and counters.
    ///
    /// # Errors
    /// If the ranks' models differ, or a rank is lost.
    pub fn join(group: &'g ProcessGroup, model: &mut Model, options: RankOptions) -> Result<Self, TrainError> {
        if group.size() == 1 {
            return Ok(Self::alone());
        }
        let names = model.parameter_specs().map(|spec| spec.name.clone());
        let parameters: Vec<(String, Tensor)> = names.zip(model.parameters().map(Tensor::shallow_clone)).collect();
        let compression = if options.fp16_gradients { Compression::Fp16 } else { Compression::None };
        let reducer = Reducer::new(group, &parameters, &ReducerOptions { compression, ..ReducerOptions::default() })?;
        let elements: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
        let gradient_bytes = elements as u64 * if options.fp16_gradients { 2 } else { 4 };
        let together = Together { group, reducer, options, gradient_bytes };
        together.settle_buckets(model)?;
        let ranks = Self(Some(together));
        ranks.share_buffers(model)?;
        Ok(ranks)
    }

    /// This rank, from 0.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.0.as_ref().map_or(0, |together| together.group.rank())
    }

    /// Trains on every batch once, as [`train_epoch`](crate::train_epoch) does alone. `sizes` has for each step the samples of every rank
    /// ([`fltk_data::Sharding::step_sizes`]); a rank without any in a step needs no batch for it. The summary is that of all ranks; its loss
    /// is the mean over all samples.
    ///
    /// # Errors
    /// If a batch doesn't fit, the loss is not finite any more, or a rank is lost.
    pub fn train_epoch(
        &self,
        model: &mut Model,
        optimizer: &mut Optimizer,
        batches: impl IntoIterator<Item = Batch>,
        sizes: &[Vec<usize>],
        options: EpochOptions,
    ) -> Result<(TrainSummary, Option<ParallelSummary>), TrainError> {
        match &self.0 {
            None => Ok((train::train_epoch(model, optimizer, batches, options)?, None)),
            Some(together) => {
                let (summary, parallel) = together.train_epoch(model, optimizer, batches, sizes, options)?;
                Ok((summary, Some(parallel)))
            }
        }
    }

    /// Gives all ranks rank 0's buffers and counters.
    ///
    /// # Errors
    /// If a rank is lost.
    pub fn share_buffers(&self, model: &mut Model) -> Result<(), TrainError> {
        let Some(Together { group, .. }) = &self.0 else { return Ok(()) };
        let mut buffers: Vec<Tensor> = model.buffers().map(Tensor::shallow_clone).collect();
        if !buffers.is_empty() {
            group.broadcast_coalesced(&mut buffers, 0)?;
        }
        let counters = model.counters_mut();
        if !counters.is_empty() {
            let mut shared = Tensor::f_from_slice(counters)?;
            group.broadcast(&mut shared, 0)?;
            shared.f_copy_data(counters, counters.len())?;
        }
        Ok(())
    }

    /// The evaluation over the whole test set, from each rank's over its part.
    ///
    /// # Errors
    /// If a rank is lost.
    pub fn sum(&self, own: Evaluation) -> Result<Evaluation, TrainError> {
        let Some(Together { group, .. }) = &self.0 else { return Ok(own) };
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let count = own.num_samples as f64;
        let mut sums = Tensor::f_from_slice(&[count, own.loss * count, own.accuracy * count])?;
        group.all_reduce(&mut sums, ReduceOp::Sum)?;
        let mut values = [0.0_f64; 3];
        sums.f_copy_data(&mut values, 3)?;
        let mean = |sum: f64| if values[0] > 0.0 { sum / values[0] } else { 0.0 };
        let confusion = sum_matrices(group, own.confusion)?;
        // A number of right answers, which is whole, though it came as a fraction of one.
        let right = values[2].round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of counts")]
        Ok(Evaluation { num_samples: values[0] as u64, loss: mean(values[1]), accuracy: mean(right), confusion })
    }
}

/// Gives all ranks of `group` the files that rank 0 has, such as those of a checkpoint; none if it has none. Other ranks' `files` don't matter.
///
/// # Errors
/// If a rank is lost.
pub fn share_files(
    group: &ProcessGroup,
    files: Option<&BTreeMap<String, Vec<u8>>>,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, TrainError> {
    let is_first = group.rank() == 0;
    let names: Option<Vec<&String>> = if is_first { files.map(|files| files.keys().collect()) } else { None };
    let names = share_bytes(group, serde_json::to_vec(&names).map_err(|error| TrainError::State(error.to_string()))?)?;
    let names: Option<Vec<String>> = serde_json::from_slice(&names).map_err(|error| TrainError::State(error.to_string()))?;
    let Some(names) = names else { return Ok(None) };
    let mut shared = BTreeMap::new();
    for name in names {
        let own = files.filter(|_| is_first).and_then(|files| files.get(&name)).cloned().unwrap_or_default();
        shared.insert(name, share_bytes(group, own)?);
    }
    Ok(Some(shared))
}

/// Rank 0's bytes.
fn share_bytes(group: &ProcessGroup, own: Vec<u8>) -> Result<Vec<u8>, TrainError> {
    let mut length = Tensor::f_from_slice(&[i64::try_from(own.len()).unwrap_or(i64::MAX)])?;
    group.broadcast(&mut length, 0)?;
    let length = length.f_int64_value(&[0])?;
    if length == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = if group.rank() == 0 { Tensor::f_from_slice(&own)? } else { Tensor::f_zeros([length], (Kind::Uint8, Device::Cpu))? };
    group.broadcast(&mut bytes, 0)?;
    Ok(Vec::<u8>::try_from(&bytes)?)
}

/// A rank without test samples has no matrix, and still has to take part.
fn sum_matrices(group: &ProcessGroup, own: Option<Vec<Vec<u64>>>) -> Result<Option<Vec<Vec<u64>>>, TrainError> {
    let mut classes = Tensor::f_from_slice(&[own.as_ref().map_or(0, |matrix| matrix.len() as i64)])?;
    group.all_reduce(&mut classes, ReduceOp::Max)?;
    let classes = usize::try_from(classes.f_int64_value(&[0])?).unwrap_or(0);
    if classes == 0 {
        return Ok(None);
    }
    let own = own.unwrap_or_else(|| vec![vec![0; classes]; classes]);
    let mut counts: Vec<i64> = own.iter().flatten().map(|&count| i64::try_from(count).unwrap_or(i64::MAX)).collect();
    let mut sums = Tensor::f_from_slice(&counts)?;
    group.all_reduce(&mut sums, ReduceOp::Sum)?;
    sums.f_copy_data(&mut counts, sums.numel())?;
    Ok(Some(counts.chunks(classes).map(|row| row.iter().map(|&count| count.unsigned_abs()).collect()).collect()))
}

impl Together<'_> {
    /// One step with gradients of zero. A reducer cuts its buckets anew after its first step, and where a bucket ends decides in which order
    /// three or more ranks' gradients are summed; so the first real step must find the final buckets, in a training that goes on from a checkpoint
    /// as in one that doesn't.
    fn settle_buckets(&self, model: &Model) -> Result<(), TrainError> {
        self.reducer.before_forward()?;
        let nothing = nothing(model)?;
        self.reducer.before_backward(&[])?;
        self.reducer.backward(&nothing)?;
        zero_gradients(model)
    }

    fn train_epoch(
        &self,
        model: &mut Model,
        optimizer: &mut Optimizer,
        batches: impl IntoIterator<Item = Batch>,
        sizes: &[Vec<usize>],
        options: EpochOptions,
    ) -> Result<(TrainSummary, ParallelSummary), TrainError> {
        let key = options.key;
        // A rank's own masks: ranks are to dropout what clients are.
        let rank = u64::from(self.group.rank());
        let mut dropout = key.seed.stream(Purpose::Dropout, &[rank, key.round, key.epoch]);
        if model.is_torchscript() {
            let indices = [rank, key.round, key.epoch];
            tch::manual_seed(key.seed.stream(Purpose::Torch, &indices).next_u64().cast_signed());
        }
        let (mut own, mut times) = (Total::default(), Times::default());
        let mut batches = batches.into_iter();
        for (number, sizes) in (1..).zip(sizes) {
            let size = sizes.get(rank as usize).copied().unwrap_or(0);
            let batch = if size == 0 { None } else { batches.next() };
            if batch.as_ref().map_or(0, |batch| batch.size) != size {
                // Not an error of the data: whoever gives the batches has stopped giving them.
                return Err(TrainError::Batch(format!("step {number} of rank {rank} has no batch of {size} samples")));
            }
            let weight = weight(size, sizes);
            let loss = self.step(model, optimizer, batch.as_ref(), weight, options, &mut dropout).map_err(|error| match error {
                TrainError::Diverged { loss, .. } => TrainError::Diverged { step: number, loss },
                other => other,
            })?;
            if let Some(step) = self.reducer.times()? {
                times.communication += Duration::from_nanos(step.communication);
                times.waiting += Duration::from_nanos(step.communication.saturating_sub(step.overlap));
            }
            #[expect(clippy::cast_precision_loss, reason = "a batch size is far below 2^52")]
            let weighted = loss * size as f64;
            own.loss += weighted;
            own.samples += size as u64;
            own.steps += 1;
        }
        Ok((self.summary(&own)?, self.parallel_summary(&times, own.steps)))
    }

    /// The means over all ranks.
    fn summary(&self, own: &Total) -> Result<TrainSummary, TrainError> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let mut sums = Tensor::f_from_slice(&[own.loss, own.samples as f64])?;
        self.group.all_reduce(&mut sums, ReduceOp::Sum)?;
        let mut values = [0.0_f64; 2];
        sums.f_copy_data(&mut values, 2)?;
        let loss = if values[1] > 0.0 { values[0] / values[1] } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of counts")]
        Ok(TrainSummary { num_samples: values[1] as u64, num_steps: own.steps, loss })
    }

    fn parallel_summary(&self, times: &Times, steps: u64) -> ParallelSummary {
        let ranks = u64::from(self.group.size());
        ParallelSummary {
            ranks: self.group.size(),
            communication_seconds: times.communication.as_secs_f64(),
            waiting_seconds: times.waiting.as_secs_f64(),
            // What a ring all-reduce sends from each rank.
            sent_bytes: steps * (2 * (ranks - 1) * self.gradient_bytes / ranks),
        }
    }

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
                let (inputs, targets) = batch_tensors(batch, model.memory_format())?;
                let sync = self.options.sync_batch_norm.then_some(self.group);
                let logits = model.forward_training(inputs, Some(dropout), sync).map_err(|error| match error {
                    // Of a synchronized batch norm, whose errors pass through libtorch's type.
                    TrainError::Torch(text) if self.group.is_closed() => TrainError::Ranks(torch_dist::Error::Torch(text)),
                    other => other,
                })?;
                let logits = losses::rows(&logits)?;
                let loss = losses::loss(options.loss, &logits, &targets, Reduction::Mean)?;
                let value = loss.f_double_value(&[])?;
                if !value.is_finite() {
                    return Err(TrainError::Diverged { step: optimizer.steps() + 1, loss: value });
                }
                // The reducer divides by the number of ranks; weighted so, the result is the mean over samples.
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

/// How much a rank's mean loss over its `size` samples weighs beside the other ranks', 1 when all have as many.
#[expect(clippy::cast_precision_loss, reason = "batch sizes are far below 2^52")]
fn weight(size: usize, sizes: &[usize]) -> f64 {
    let total: usize = sizes.iter().sum();
    if total == 0 { 0.0 } else { size as f64 * sizes.len() as f64 / total as f64 }
}

/// A loss that every parameter takes part in with a gradient of zero.
fn nothing(model: &Model) -> Result<Tensor, TrainError> {
    let mut sum = Tensor::f_zeros([], (Kind::Float, Device::Cpu))?;
    for parameter in model.parameters() {
        // `0 * x`, also where x is infinite.
        sum = sum.f_add(&tensors::flat(parameter, model.memory_format())?.f_narrow(0, 0, 0)?.f_sum(Kind::Float)?)?;
    }
    Ok(sum)
}

/// In place: gradients are views into the reducer's buckets.
fn zero_gradients(model: &Model) -> Result<(), TrainError> {
    let _no_grad = tch::no_grad_guard();
    for parameter in model.parameters() {
        let mut gradient = parameter.f_grad()?;
        if gradient.defined() {
            let _ = gradient.f_zero_()?;
        }
    }
    Ok(())
}

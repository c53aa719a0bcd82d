//! Data-parallel training: this process is one rank of several, or the only one. The calls and their order are the same either way.
//!
//! Every rank holds the whole model and trains on its own part of each step's samples. Gradients become their mean over all samples of the
//! step, so all ranks take the same optimizer step and stay equal, bit for bit.
//!
//! The gradients, parameters and buffers of models go through the gradient group; whatever else ranks say to each other lies in host memory, and goes
//! through the control group.
//!
//! During an epoch, batch norm statistics are each rank's own (unless they are synchronized). After it, all ranks take rank 0's statistics,
//! before anything is evaluated or saved.

mod epoch;
mod share;

use fltk_core::metrics::Evaluation;
use tch::{Kind, Tensor};
use torch_dist::{Compression, Groups, ReduceOp, Reducer, ReducerOptions};

pub use self::{
    epoch::{EpochPart, EpochSoFar, RankPart},
    share::{gather_bytes, share_files},
};
use crate::{Model, TrainError, tensors};

/// Settings of a training on several ranks. They must be the same on all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RankOptions {
    /// True if batch norms compute their statistics over the batches of all ranks together.
    pub sync_batch_norm: bool,
    /// True if gradients are sent in half precision.
    pub fp16_gradients: bool,
}

/// The ranks of a training, as seen by one of them.
#[derive(Debug)]
pub struct Ranks<'g>(Option<Together<'g>>);

#[derive(Debug)]
struct Together<'g> {
    groups: &'g Groups,
    reducer: Reducer<'g>,
    options: RankOptions,
    /// The bytes of gradients that a step reduces, in the form in which they are sent.
    gradient_bytes: u64,
}

impl<'g> Ranks<'g> {
    /// Returns the only rank of a training.
    #[must_use]
    pub fn alone() -> Self {
        Self(None)
    }

    /// Joins the training of all ranks of `groups`. Gives all ranks the parameters, buffers and counters of rank 0.
    ///
    /// # Errors
    /// If the ranks' models differ, or a rank is lost.
    pub fn join(groups: &'g Groups, model: &mut Model, options: RankOptions) -> Result<Self, TrainError> {
        if groups.size() == 1 {
            return Ok(Self::alone());
        }
        let names = model.parameter_specs().map(|spec| spec.name.clone());
        let parameters: Vec<(String, Tensor)> = names.zip(model.parameters().map(Tensor::shallow_clone)).collect();
        let compression = if options.fp16_gradients { Compression::Fp16 } else { Compression::None };
        let reducer = Reducer::new(groups.gradients(), &parameters, &ReducerOptions { compression, ..ReducerOptions::default() })?;
        let elements: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
        let gradient_bytes = elements as u64 * if options.fp16_gradients { 2 } else { 4 };
        let together = Together { groups, reducer, options, gradient_bytes };
        together.settle_buckets(model)?;
        let ranks = Self(Some(together));
        ranks.share_buffers(model)?;
        Ok(ranks)
    }

    /// This rank, from 0.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.0.as_ref().map_or(0, |together| together.groups.rank())
    }

    /// Gives all ranks the buffers and counters of rank 0.
    ///
    /// # Errors
    /// If a rank is lost.
    pub fn share_buffers(&self, model: &mut Model) -> Result<(), TrainError> {
        let Some(Together { groups, .. }) = &self.0 else { return Ok(()) };
        let mut buffers: Vec<Tensor> = model.buffers().map(Tensor::shallow_clone).collect();
        if !buffers.is_empty() {
            groups.gradients().broadcast_coalesced(&mut buffers, 0)?;
        }
        let counters = model.counters_mut();
        if !counters.is_empty() {
            let mut shared = Tensor::f_from_slice(counters)?;
            groups.control().broadcast(&mut shared, 0)?;
            shared.f_copy_data(counters, counters.len())?;
        }
        Ok(())
    }

    /// Returns the evaluation over the whole test set, from each rank's evaluation over its part.
    ///
    /// # Errors
    /// If a rank is lost.
    pub fn sum(&self, own: Evaluation) -> Result<Evaluation, TrainError> {
        let Some(Together { groups, .. }) = &self.0 else { return Ok(own) };
        let control = groups.control();
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let count = own.num_samples as f64;
        let mut sums = Tensor::f_from_slice(&[count, own.loss * count, own.accuracy * count])?;
        control.all_reduce(&mut sums, ReduceOp::Sum)?;
        let mut values = [0.0_f64; 3];
        sums.f_copy_data(&mut values, 3)?;
        let mean = |sum: f64| if values[0] > 0.0 { sum / values[0] } else { 0.0 };
        let confusion = share::sum_matrices(control, own.confusion)?;
        // This is the number of correct predictions: a whole number, though it was transferred as a fraction.
        let right = values[2].round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of counts")]
        Ok(Evaluation { num_samples: values[0] as u64, loss: mean(values[1]), accuracy: mean(right), confusion })
    }
}

impl Together<'_> {
    /// Runs one step with gradients of zero. A reducer rebuilds its buckets after its first step, and the ends of buckets determine the order in
    /// which the gradients of three or more ranks are summed. So the first real step must find the final buckets, in a training that resumes
    /// from a checkpoint as well as in one that doesn't.
    fn settle_buckets(&self, model: &Model) -> Result<(), TrainError> {
        self.reducer.before_forward()?;
        let nothing = nothing(model)?;
        self.reducer.before_backward(&[])?;
        self.reducer.backward(&nothing)?;
        zero_gradients(model)
    }
}

/// Returns a loss that depends on every parameter with a gradient of zero.
fn nothing(model: &Model) -> Result<Tensor, TrainError> {
    let mut sum = Tensor::f_zeros([], (Kind::Float, model.device()))?;
    for parameter in model.parameters() {
        // This is an empty sum, so that it is 0 even if a parameter is infinite.
        sum = sum.f_add(&tensors::flat(parameter, model.memory_format())?.f_narrow(0, 0, 0)?.f_sum(Kind::Float)?)?;
    }
    Ok(sum)
}

/// Works in place, since gradients are views into the reducer's buckets.
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

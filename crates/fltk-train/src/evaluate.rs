//! Evaluation over a whole test set, in evaluation mode, by several threads.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
};

use fltk_core::metrics::Evaluation;
use fltk_data::{Batch, BatchPlan, Inputs, batches};
use tch::{Kind, Reduction, Tensor};

use crate::{
    Model, TrainError,
    losses::{self, Loss},
    tensors,
};

/// The largest number of classes for which a confusion matrix is kept: enough for CIFAR-100. A language model's matrix would be useless
/// megabytes.
const CONFUSION_CLASSES_MAX: usize = 256;

/// The number of elements of inputs that are computed with at once. The activations of so many, 83 images of 28x28, stay in a core's cache; those of a
/// thousand images are hundreds of megabytes in each thread, and take longer.
const ELEMENTS_AT_ONCE: usize = 1 << 16;

/// The contribution of one batch.
struct BatchResult {
    index: usize,
    /// The loss of each prediction.
    losses: Vec<f32>,
    right: u64,
    /// For images, the cell of each one: `true class * classes + predicted class`.
    cells: Vec<usize>,
    predictions: u64,
    /// The number of columns of the confusion matrix; 0 for none.
    classes: usize,
}

/// Evaluates `model` on the batches of `plan`, as [`evaluate`] does and with the same result to the last bit, but makes smaller ones where it can, which stay
/// in a core's cache from the first pixel on.
///
/// # Errors
/// If the samples don't fit the net.
pub fn evaluate_plan(model: &Model, plan: BatchPlan, loss: Loss, workers: usize) -> Result<Evaluation, TrainError> {
    let per_sample = plan.dataset.image_shape().map_or(1, |shape| shape.iter().product());
    let num_parts = parts_of(plan.batch_size, per_sample);
    let plan = BatchPlan { batch_size: plan.batch_size / num_parts, ..plan };
    evaluate_in_parts(model, batches(plan), num_parts, loss, workers)
}

/// Returns the number of equal parts, each of about [`ELEMENTS_AT_ONCE`], into which a batch can be divided; 1 if it can't.
fn parts_of(batch_size: usize, per_sample: usize) -> usize {
    let rows_max = (ELEMENTS_AT_ONCE / per_sample.max(1)).max(1);
    let num_min = batch_size.div_ceil(rows_max).max(1);
    // Parts that are far smaller would cost more than they save.
    (num_min..=4 * num_min).find(|num| batch_size.is_multiple_of(*num)).unwrap_or(1)
}

/// Evaluates `model` on every batch with `workers` threads (0 counts as 1) of one intra-op thread each.
///
/// Each batch is computed by one thread, and sums are taken in the order of batches, so the result does not depend on `workers`. Buffers
/// and counters stay unchanged. Without batches, the result is zero samples, loss 0 and accuracy 0.
///
/// # Errors
/// If a batch doesn't fit the net.
pub fn evaluate(model: &Model, batches: impl Iterator<Item = Batch> + Send, loss: Loss, workers: usize) -> Result<Evaluation, TrainError> {
    evaluate_in_parts(model, batches, 1, loss, workers)
}

/// Evaluates on batches, of which `num_parts` make one whose loss is summed up.
fn evaluate_in_parts(
    model: &Model,
    batches: impl Iterator<Item = Batch> + Send,
    num_parts: usize,
    loss: Loss,
    workers: usize,
) -> Result<Evaluation, TrainError> {
    let queue = Mutex::new(batches.enumerate());
    let work = |model: Model| {
        // The number of intra-op threads is a setting of the thread.
        crate::init(1);
        let mut results = vec![];
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, batch)) = next else { return Ok(results) };
            results.push(evaluate_batch(&model, index, &batch, loss)?);
        }
    };
    let results = thread::scope(|scope| {
        let handles: Vec<_> = (0..workers.max(1))
            .map(|_| {
                let model = model.share();
                let work = &work;
                scope.spawn(move || work(model))
            })
            .collect();
        // All threads are joined before the first error is reported.
        let joined: Vec<_> = handles.into_iter().map(|handle| handle.join().unwrap_or(Err(TrainError::WorkerPanicked))).collect();
        joined.into_iter().collect::<Result<Vec<_>, TrainError>>()
    })?;
    let mut results: Vec<BatchResult> = results.into_iter().flatten().collect();
    results.sort_unstable_by_key(|result| result.index);
    Ok(total(&results, num_parts))
}

fn evaluate_batch(model: &Model, index: usize, batch: &Batch, loss: Loss) -> Result<BatchResult, TrainError> {
    let _no_grad = tch::no_grad_guard();
    tensors::check_batch(batch)?;
    let (mut losses, mut predicted, mut num_classes) = (Vec::new(), Vec::new(), 0);
    for rows in slices(batch) {
        let (inputs, targets) = tensors::row_tensors(batch, rows, model.memory_format(), model.device())?;
        let logits = losses::rows(&model.forward_evaluation(inputs)?)?;
        num_classes = usize::try_from(logits.size()[1]).unwrap_or(usize::MAX);
        losses.append(&mut read::<f32>(&loss.of(&logits, &targets, Reduction::None)?, Kind::Float)?);
        predicted.append(&mut read::<i64>(&logits.f_argmax(-1, false)?, Kind::Int64)?);
    }
    let right = predicted.iter().zip(&batch.targets).filter(|(p, t)| p == t).count() as u64;
    let classes = if matches!(batch.inputs, Inputs::Images { .. }) && num_classes <= CONFUSION_CLASSES_MAX { num_classes } else { 0 };
    let cell = |(&target, &predicted): (&i64, &i64)| Some(usize::try_from(target).ok()? * classes + usize::try_from(predicted).ok()?);
    let cells = if classes == 0 { vec![] } else { batch.targets.iter().zip(&predicted).filter_map(cell).collect() };
    Ok(BatchResult { index, losses, right, cells, predictions: predicted.len() as u64, classes })
}

/// Returns the samples of each slice of `batch` that is computed with at once.
fn slices(batch: &Batch) -> impl Iterator<Item = Range<usize>> + use<> {
    let num_elements = match &batch.inputs {
        Inputs::Images { nhwc, .. } => nhwc.len(),
        Inputs::Tokens { ids, .. } => ids.len(),
    };
    let size = batch.size;
    let at_once = (ELEMENTS_AT_ONCE / (num_elements / size.max(1)).max(1)).max(1);
    (0..size).step_by(at_once).map(move |first| first..size.min(first + at_once))
}

fn read<T: tch::kind::Element + Default + Clone>(tensor: &Tensor, kind: Kind) -> Result<Vec<T>, TrainError> {
    let mut values = vec![T::default(); tensor.numel()];
    tensor.f_to_kind(kind)?.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn total(results: &[BatchResult], num_parts: usize) -> Evaluation {
    let num_samples: u64 = results.iter().map(|result| result.predictions).sum();
    let right: u64 = results.iter().map(|result| result.right).sum();
    let of_batch = |parts: &[BatchResult]| -> f64 { parts.iter().flat_map(|part| &part.losses).map(|&loss| f64::from(loss)).sum() };
    let loss: f64 = results.chunks(num_parts).map(of_batch).sum();
    let classes = results.first().map_or(0, |result| result.classes);
    let mut confusion = vec![vec![0; classes]; classes];
    for &cell in results.iter().flat_map(|result| &result.cells) {
        confusion[cell / classes][cell % classes] += 1;
    }
    let mean = |sum: f64| if num_samples == 0 { 0.0 } else { sum / num_samples as f64 };
    Evaluation { num_samples, loss: mean(loss), accuracy: mean(right as f64), confusion: (classes > 0).then_some(confusion) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_divided_into_equal_parts_that_fit_a_cache() {
        for (batch_size, per_sample, parts) in
            [(1000, 784, 20), (1000, 3072, 50), (64, 784, 1), (1, 1 << 20, 1), (1009, 784, 1), (500, 1, 1), (0, 784, 1)]
        {
            assert_eq!(parts_of(batch_size, per_sample), parts, "{batch_size} of {per_sample}");
        }
    }
}

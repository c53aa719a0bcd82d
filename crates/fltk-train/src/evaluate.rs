//! Evaluation over a whole test set, in evaluation mode, by several threads.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
    thread,
};

use fltk_core::metrics::Evaluation;
use fltk_data::{Batch, Inputs};
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
    /// The sum of the loss over predictions.
    loss: f64,
    right: u64,
    /// For images, the cell of each one: `true class * classes + predicted class`.
    cells: Vec<usize>,
    predictions: u64,
    /// The number of columns of the confusion matrix; 0 for none.
    classes: usize,
}

/// Evaluates `model` on every batch with `workers` threads (0 counts as 1) of one intra-op thread each.
///
/// Each batch is computed by one thread, and sums are taken in the order of batches, so the result does not depend on `workers`. Buffers
/// and counters stay unchanged. Without batches, the result is zero samples, loss 0 and accuracy 0.
///
/// # Errors
/// If a batch doesn't fit the net.
pub fn evaluate(model: &Model, batches: impl Iterator<Item = Batch> + Send, loss: Loss, workers: usize) -> Result<Evaluation, TrainError> {
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
    Ok(total(&results))
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
    let loss = losses.iter().map(|&value| f64::from(value)).sum();
    Ok(BatchResult { index, loss, right, cells, predictions: predicted.len() as u64, classes })
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
fn total(results: &[BatchResult]) -> Evaluation {
    let num_samples: u64 = results.iter().map(|result| result.predictions).sum();
    let right: u64 = results.iter().map(|result| result.right).sum();
    let loss: f64 = results.iter().map(|result| result.loss).sum();
    let classes = results.first().map_or(0, |result| result.classes);
    let mut confusion = vec![vec![0; classes]; classes];
    for &cell in results.iter().flat_map(|result| &result.cells) {
        confusion[cell / classes][cell % classes] += 1;
    }
    let mean = |sum: f64| if num_samples == 0 { 0.0 } else { sum / num_samples as f64 };
    Evaluation { num_samples, loss: mean(loss), accuracy: mean(right as f64), confusion: (classes > 0).then_some(confusion) }
}

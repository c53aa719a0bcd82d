//! Between plain numbers and libtorch's tensors: memory formats, batches, flat views.
//!
//! Convolutions are fastest with channels last, so 4-d tensors are kept so: shape `[N, C, H, W]` as everywhere in PyTorch, but in memory
//! the order N, H, W, C. tch has no argument for a memory format, hence the permutations here.

use fltk_data::{Batch, Inputs};
use tch::{Kind, Tensor};

use crate::TrainError;

/// Shape as libtorch wants it.
pub(crate) fn dims(shape: &[usize]) -> Result<Vec<i64>, TrainError> {
    shape
        .iter()
        .map(|&size| i64::try_from(size))
        .collect::<Result<_, _>>()
        .map_err(|_| TrainError::Batch(format!("shape {shape:?} is too large")))
}

/// An f32 tensor of `shape`, in the engine's memory format, uninitialized as far as the caller is concerned.
pub(crate) fn zeros_in_engine_format(shape: &[usize]) -> Result<Tensor, TrainError> {
    let flat = Tensor::f_zeros([dims(&[shape.iter().product()])?[0]], (Kind::Float, tch::Device::Cpu))?;
    Ok(match shape {
        // Strides are set by hand, since with one channel or a 1x1 kernel both formats look alike to libtorch and the slow one wins.
        &[n, c, h, w] => flat.f_as_strided(dims(&[n, c, h, w])?, dims(&[c * h * w, 1, w * c, c])?, None)?,
        _ => flat.f_view(dims(shape)?.as_slice())?,
    })
}

/// The elements of `tensor` in the order they have in the engine's memory. A view for tensors that [`zeros_in_engine_format`] made; a
/// copy where a gradient came in another format.
pub(crate) fn flat_in_engine_order(tensor: &Tensor) -> Result<Tensor, TrainError> {
    let flat = [-1];
    Ok(if tensor.dim() == 4 { tensor.f_permute([0, 2, 3, 1])?.f_reshape(flat)? } else { tensor.f_reshape(flat)? })
}

/// Copies the elements into `out` in row-major (contiguous NCHW) order.
pub(crate) fn read_row_major(tensor: &Tensor, out: &mut [f32]) -> Result<(), TrainError> {
    Ok(tensor.f_detach()?.f_contiguous()?.f_copy_data(out, out.len())?)
}

/// Overwrites `tensor` with `values`, which are in row-major (contiguous NCHW) order.
pub(crate) fn write_row_major(tensor: &Tensor, values: &[f32]) -> Result<(), TrainError> {
    let source = Tensor::f_from_slice(values)?.f_view(tensor.size().as_slice())?;
    Ok(tensor.f_detach()?.f_copy_(&source)?)
}

/// Inputs and targets of a batch as tensors: images `[B, C, H, W]` with channels last in memory, or token ids `[B, T]`.
///
/// # Errors
/// If lengths and shape contradict each other, the batch is empty, or a target is negative.
pub(crate) fn batch_tensors(batch: &Batch) -> Result<(Tensor, Tensor), TrainError> {
    let targets_per_sample = match &batch.inputs {
        Inputs::Images { .. } => 1,
        Inputs::Tokens { shape, .. } => shape[1],
    };
    let (rows, elements, product) = match &batch.inputs {
        Inputs::Images { nhwc, shape } => (shape[0], nhwc.len(), checked_product(shape)),
        Inputs::Tokens { ids, shape } => (shape[0], ids.len(), checked_product(shape)),
    };
    if batch.size == 0
        || rows != batch.size
        || product != Some(elements)
        || batch.size.checked_mul(targets_per_sample) != Some(batch.targets.len())
    {
        let (size, targets) = (batch.size, batch.targets.len());
        return Err(TrainError::Batch(format!("size {size}, inputs of {rows} rows and {elements} elements, {targets} targets")));
    }
    // libtorch finds indices that are too large, but takes some negative ones for "ignore".
    if let Some(target) = batch.targets.iter().find(|target| **target < 0) {
        return Err(TrainError::Batch(format!("target {target} is negative")));
    }
    let inputs = match &batch.inputs {
        Inputs::Images { nhwc, shape } => Tensor::f_from_slice(nhwc)?.f_view(dims(shape)?.as_slice())?.f_permute([0, 3, 1, 2])?,
        Inputs::Tokens { ids, shape } => Tensor::f_from_slice(ids)?.f_view(dims(shape)?.as_slice())?,
    };
    Ok((inputs, Tensor::f_from_slice(&batch.targets)?))
}

fn checked_product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

//! Conversions between plain numbers and libtorch's tensors: memory formats, batches, flat views.
//!
//! tch has no argument for a memory format, hence the permutations here.

use std::ops::Range;

use fltk_data::{Batch, Inputs};
use tch::{Device, Kind, Tensor};

use crate::TrainError;

/// The order of the elements of 4-d tensors in memory. Their shape is `[N, C, H, W]` either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryFormat {
    /// N, H, W, C: faster for convolutions, and used for training.
    #[default]
    ChannelsLast,
    /// N, C, H, W: PyTorch's default. libtorch then uses the same kernels as for a plain PyTorch script.
    Contiguous,
}

/// Returns the shape in libtorch's type.
pub(crate) fn dims(shape: &[usize]) -> Result<Vec<i64>, TrainError> {
    shape
        .iter()
        .map(|&size| i64::try_from(size))
        .collect::<Result<_, _>>()
        .map_err(|_| TrainError::Batch(format!("shape {shape:?} is too large")))
}

/// Returns an f32 tensor of `shape` on `device`, filled with zeros.
pub(crate) fn zeros(shape: &[usize], format: MemoryFormat, device: Device) -> Result<Tensor, TrainError> {
    let flat = Tensor::f_zeros([dims(&[shape.iter().product()])?[0]], (Kind::Float, device))?;
    Ok(match (shape, format) {
        // Strides are set by hand: with one channel or a 1x1 kernel, libtorch can't tell the two formats apart and would choose the slow
        // one.
        (&[n, c, h, w], MemoryFormat::ChannelsLast) => flat.f_as_strided(dims(&[n, c, h, w])?, dims(&[c * h * w, 1, w * c, c])?, None)?,
        _ => flat.f_view(dims(shape)?.as_slice())?,
    })
}

/// Returns the elements of `tensor` in the order of `format`: a view if [`zeros`] made the tensor in that format; a copy if a gradient came
/// in another format.
pub(crate) fn flat(tensor: &Tensor, format: MemoryFormat) -> Result<Tensor, TrainError> {
    let flat = [-1];
    Ok(match (tensor.dim(), format) {
        (4, MemoryFormat::ChannelsLast) => tensor.f_permute([0, 2, 3, 1])?.f_reshape(flat)?,
        _ => tensor.f_reshape(flat)?,
    })
}

/// Returns a view of a flat tensor, whose elements are in the order of `format`, with `shape`.
pub(crate) fn shaped(flat: &Tensor, shape: &[usize], format: MemoryFormat) -> Result<Tensor, TrainError> {
    Ok(match (shape, format) {
        (&[n, c, h, w], MemoryFormat::ChannelsLast) => flat.f_view(dims(&[n, h, w, c])?.as_slice())?.f_permute([0, 3, 1, 2])?,
        _ => flat.f_view(dims(shape)?.as_slice())?,
    })
}

/// Copies the elements into `out`, which is host memory, in row-major (contiguous NCHW) order.
pub(crate) fn read_row_major(tensor: &Tensor, out: &mut [f32]) -> Result<(), TrainError> {
    Ok(tensor.f_detach()?.f_contiguous()?.f_copy_data(out, out.len())?)
}

/// Overwrites `tensor` with `values`, which are in row-major (contiguous NCHW) order.
pub(crate) fn write_row_major(tensor: &Tensor, values: &[f32]) -> Result<(), TrainError> {
    let source = Tensor::f_from_slice(values)?.f_view(tensor.size().as_slice())?;
    Ok(tensor.f_detach()?.f_copy_(&source)?)
}

/// Returns the inputs and targets of a batch as tensors on `device`: images `[B, C, H, W]` in `format`, or token ids `[B, T]`.
///
/// # Errors
/// If lengths and shape contradict each other, the batch is empty, or a target is negative.
pub(crate) fn batch_tensors(batch: &Batch, format: MemoryFormat, device: Device) -> Result<(Tensor, Tensor), TrainError> {
    check_batch(batch)?;
    row_tensors(batch, 0..batch.size, format, device)
}

/// Checks what [`batch_tensors`] needs.
pub(crate) fn check_batch(batch: &Batch) -> Result<(), TrainError> {
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
    // libtorch detects indices that are too large, but takes some negative ones for "ignore".
    if let Some(target) = batch.targets.iter().find(|target| **target < 0) {
        return Err(TrainError::Batch(format!("target {target} is negative")));
    }
    Ok(())
}

/// Returns the inputs and targets of some samples of a batch that was [checked](check_batch), as [`batch_tensors`] does.
pub(crate) fn row_tensors(batch: &Batch, rows: Range<usize>, format: MemoryFormat, device: Device) -> Result<(Tensor, Tensor), TrainError> {
    let count = rows.len();
    let of = |per_sample: usize| rows.start * per_sample..rows.end * per_sample;
    let (inputs, targets_per_sample) = match &batch.inputs {
        Inputs::Images { nhwc, shape: [_, h, w, c] } => {
            let shape = [count, *c, *h, *w];
            let last = shaped(&Tensor::f_from_slice(&nhwc[of(h * w * c)])?.f_to_device(device)?, &shape, MemoryFormat::ChannelsLast)?;
            let inputs = match format {
                MemoryFormat::ChannelsLast => last,
                // The detour through a flat tensor ensures plain strides even with a single channel.
                MemoryFormat::Contiguous => shaped(&flat(&last, format)?, &shape, format)?,
            };
            (inputs, 1)
        }
        Inputs::Tokens { ids, shape: [_, length] } => {
            let ids = Tensor::f_from_slice(&ids[of(*length)])?.f_to_device(device)?;
            (ids.f_view(dims(&[count, *length])?.as_slice())?, *length)
        }
    };
    Ok((inputs, Tensor::f_from_slice(&batch.targets[of(targets_per_sample)])?.f_to_device(device)?))
}

fn checked_product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

//! Layers: each registers its parameters when it is built, and finds them in the [`Pass`] when it runs.

mod batch_norm;
mod conv;
mod dropout;
mod linear;
mod lstm;

use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};
use torch_dist::ProcessGroup;

use crate::registry::{CounterSlot, Slot};

pub(crate) use batch_norm::BatchNorm2d;
pub(crate) use conv::{Conv2d, ConvConfig};
pub(crate) use dropout::{dropout, dropout_channels};
pub(crate) use linear::{Embedding, Linear};
pub(crate) use lstm::Lstm;

/// One forward pass through a net.
pub(crate) struct Pass<'a> {
    /// Parameters and buffers, by [`Slot`].
    pub tensors: &'a [Tensor],
    pub mode: Mode<'a>,
}

/// Training or evaluation: what differs between the two.
pub(crate) enum Mode<'a> {
    Train {
        /// Draws dropout masks; `None` switches dropout off.
        dropout: Option<&'a mut ChaCha8Rng>,
        /// `num_batches_tracked` of batch norms, by [`CounterSlot`].
        counters: &'a mut [i64],
        /// Ranks whose batches batch norms take together; `None`: this batch alone.
        sync: Option<&'a ProcessGroup>,
    },
    Evaluate,
}

impl Pass<'_> {
    pub fn tensor(&self, slot: Slot) -> &Tensor {
        &self.tensors[slot.0]
    }

    pub fn is_training(&self) -> bool {
        matches!(self.mode, Mode::Train { .. })
    }

    pub fn count(&mut self, slot: CounterSlot) {
        if let Mode::Train { counters, .. } = &mut self.mode {
            counters[slot.0] += 1;
        }
    }
}

/// In place: no layer here needs its output to compute its gradient where this follows it.
pub(crate) fn relu(mut x: Tensor) -> Result<Tensor, TchError> {
    x.f_relu_()
}

/// Pooling over `size` by `size` windows, which do not overlap.
pub(crate) fn max_pool(x: &Tensor, size: i64) -> Result<Tensor, TchError> {
    max_pool_strided(x, size, size, 0)
}

pub(crate) fn max_pool_strided(x: &Tensor, size: i64, stride: i64, padding: i64) -> Result<Tensor, TchError> {
    x.f_max_pool2d([size, size], [stride, stride], [padding, padding], [1, 1], false)
}

/// `max_pool(relu(x))`, as `relu(max_pool(x))`: the same bits forward and backward for a quarter of the work.
///
/// The maximum commutes with a monotone function. Backward, a window whose maximum is above 0 sends its gradient to that element either
/// way; a window without one sends none either way.
pub(crate) fn relu_then_max_pool(x: &Tensor, size: i64) -> Result<Tensor, TchError> {
    relu(max_pool(x, size)?)
}

/// `[B, ...]` to `[B, features]`, features in PyTorch's order (channels first).
pub(crate) fn flatten(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_flatten(1, -1)
}

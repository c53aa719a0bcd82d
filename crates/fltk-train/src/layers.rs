//! The layers: each registers its parameters when it is built, and finds them in the [`Pass`] when it runs.

mod batch_norm;
mod conv;
mod dropout;
mod group_norm;
mod linear;
mod lstm;

use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};
use torch_dist::ProcessGroup;

use crate::registry::{CounterSlot, Slot};

pub(crate) use batch_norm::BatchNorm2d;
pub(crate) use conv::{Conv2d, ConvConfig};
pub(crate) use dropout::{dropout, dropout_channels};
pub(crate) use group_norm::GroupNorm;
pub(crate) use linear::{Embedding, Linear};
pub(crate) use lstm::Lstm;

/// One forward pass through a net.
pub(crate) struct Pass<'a> {
    /// The parameters and buffers, by [`Slot`].
    pub tensors: &'a [Tensor],
    pub mode: Mode<'a>,
    /// Where the last linear layer puts its input, the features of the batch, if somebody wants them.
    pub features: Option<&'a mut Tensor>,
}

/// The mode, training or evaluation, with what only that mode needs.
pub(crate) enum Mode<'a> {
    Train {
        /// The random stream for dropout masks; `None` switches dropout off.
        dropout: Option<&'a mut ChaCha8Rng>,
        /// The `num_batches_tracked` of batch norms, by [`CounterSlot`].
        counters: &'a mut [i64],
        /// The ranks over whose batches batch norms compute their statistics together; `None` means this batch alone.
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

/// Works in place: no layer that a ReLU follows here needs its own output to compute its gradient.
pub(crate) fn relu(mut x: Tensor) -> Result<Tensor, TchError> {
    x.f_relu_()
}

/// Pools over `size` by `size` windows, which do not overlap.
pub(crate) fn max_pool(x: &Tensor, size: i64) -> Result<Tensor, TchError> {
    max_pool_strided(x, size, size, 0)
}

pub(crate) fn max_pool_strided(x: &Tensor, size: i64, stride: i64, padding: i64) -> Result<Tensor, TchError> {
    x.f_max_pool2d([size, size], [stride, stride], [padding, padding], [1, 1], false)
}

/// Computes `max_pool(relu(x))` as `relu(max_pool(x))`: the same bits, forward and backward, for a quarter of the work.
///
/// The maximum commutes with a monotone function. In the backward pass, a window whose maximum is above 0 sends its gradient to that
/// element either way; any other window sends none either way.
pub(crate) fn relu_then_max_pool(x: &Tensor, size: i64) -> Result<Tensor, TchError> {
    relu(max_pool(x, size)?)
}

/// Reshapes `[B, ...]` to `[B, features]`, with features in PyTorch's order (channels first).
pub(crate) fn flatten(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_flatten(1, -1)
}

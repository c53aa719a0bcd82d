//! A net's state as plain numbers, so that the federated code needs no tensors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What one tensor of a state dict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorRole {
    /// Trained by the optimizer; f32.
    Parameter,
    /// Kept by the net itself, such as batch norm's running statistics; f32. Averaged like a parameter.
    Buffer,
    /// An i64 count, such as `num_batches_tracked`. Never averaged.
    Counter,
}

/// One tensor of a state dict: its PyTorch name, shape and role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// PyTorch's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// Sizes of its dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// What it is.
    pub role: TensorRole,
}

impl TensorSpec {
    /// Number of elements.
    #[must_use]
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The state of a net: every tensor in PyTorch's order.
///
/// `floats` holds parameters and buffers one after another, each in row-major (contiguous NCHW) order, in the order of `layout`;
/// `counters` holds the counters, likewise.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelState {
    /// Names, shapes and roles, in PyTorch's state-dict order.
    pub layout: Arc<Vec<TensorSpec>>,
    /// Elements of all parameters and buffers.
    pub floats: Vec<f32>,
    /// Elements of all counters.
    pub counters: Vec<i64>,
}

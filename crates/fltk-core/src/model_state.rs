//! The state of a net as plain numbers, so that the federated code needs no tensors.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The role of one tensor of a state dict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorRole {
    /// A tensor trained by the optimizer; f32.
    Parameter,
    /// A tensor kept by the net itself, such as batch norm's running statistics; f32. It is averaged like a parameter.
    Buffer,
    /// An i64 count, such as `num_batches_tracked`. It is never averaged.
    Counter,
}

/// One tensor of a state dict: its PyTorch name, shape and role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// PyTorch's name, such as `layer1.0.conv1.weight`.
    pub name: String,
    /// The sizes of its dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// The role.
    pub role: TensorRole,
}

impl TensorSpec {
    /// Returns the number of elements.
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
    /// The names, shapes and roles, in PyTorch's state-dict order.
    pub layout: Arc<Vec<TensorSpec>>,
    /// The elements of all parameters and buffers.
    pub floats: Vec<f32>,
    /// The elements of all counters.
    pub counters: Vec<i64>,
}

//! `torch.nn.GroupNorm`.

use tch::{TchError, Tensor};

use super::Pass;
use crate::registry::{Init, Scope, Slot};

/// PyTorch's default, added to the variance.
const EPS: f64 = 1e-5;

/// A norm over groups of channels of each sample. It has no running statistics, so training and evaluation are the same.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    weight: Slot,
    bias: Slot,
    groups: i64,
}

impl GroupNorm {
    /// Makes a norm of `groups` groups, of which `channels` is a multiple.
    pub fn new(mut scope: Scope<'_>, groups: i64, channels: usize) -> Self {
        Self {
            weight: scope.parameter("weight", &[channels], Init::Constant(1.0)),
            bias: scope.parameter("bias", &[channels], Init::Constant(0.0)),
            groups,
        }
    }

    pub fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        x.f_group_norm(self.groups, Some(pass.tensor(self.weight)), Some(pass.tensor(self.bias)), EPS, false)
    }
}

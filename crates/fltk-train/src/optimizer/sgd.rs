//! `torch.optim.SGD`, without dampening: `d = g + decay*w; v = momentum*v + d; w -= lr * (nesterov ? d + momentum*v : v)`.

use tch::{Device, Tensor};

use super::scalar;
use crate::TrainError;

pub(super) struct SgdUpdate {
    minus_learning_rate: Tensor,
    momentum: Option<Tensor>,
    weight_decay: Option<Tensor>,
    nesterov: bool,
}

impl SgdUpdate {
    pub fn new(learning_rate: f64, momentum: f64, weight_decay: f64, nesterov: bool, device: Device) -> Result<Self, TrainError> {
        let unless_zero = |value: f64| (value != 0.0).then(|| scalar(value, device)).transpose();
        Ok(Self {
            minus_learning_rate: scalar(-learning_rate, device)?,
            momentum: unless_zero(momentum)?,
            weight_decay: unless_zero(weight_decay)?,
            nesterov,
        })
    }

    pub fn apply(&self, weights: &mut Tensor, mut gradient: Tensor, moments: &mut [Tensor]) -> Result<(), TrainError> {
        if let Some(decay) = &self.weight_decay {
            gradient = gradient.f_addcmul(weights, decay)?;
        }
        if let (Some(momentum), [velocity]) = (&self.momentum, moments) {
            // As in PyTorch, the first step's velocity is the gradient: it starts at 0. These are two operations because PyTorch rounds the
            // product.
            let _ = velocity.f_mul_(momentum)?;
            let _ = velocity.f_add_(&gradient)?;
            gradient = if self.nesterov { gradient.f_addcmul(velocity, momentum)? } else { velocity.shallow_clone() };
        }
        let _ = weights.f_addcmul_(&gradient, &self.minus_learning_rate)?;
        Ok(())
    }
}

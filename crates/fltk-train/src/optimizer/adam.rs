//! `torch.optim.Adam` and `AdamW` (Kingma and Ba 2014, arXiv:1412.6980; Loshchilov and Hutter 2017, arXiv:1711.05101).

use tch::{Device, Tensor};

use super::scalar;
use crate::TrainError;

/// The place where weight decay is applied.
#[derive(Clone, Copy)]
pub(super) enum Decay {
    /// Added to the gradient (Adam).
    Coupled(f64),
    /// Applied to the weights (AdamW).
    Decoupled(f64),
}

pub(super) struct AdamUpdate {
    betas: [f64; 2],
    one_minus_beta2: Tensor,
    eps: f64,
    decay_into_gradient: Option<Tensor>,
    shrink_weights: Option<f64>,
    /// The value of `-lr / (1 - beta1^t)`.
    minus_step_size: f64,
    /// The value of `sqrt(1 - beta2^t)`.
    bias_correction2_sqrt: f64,
}

impl AdamUpdate {
    pub fn new(learning_rate: f64, betas: [f64; 2], eps: f64, decay: Decay, step: u64, device: Device) -> Result<Self, TrainError> {
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        let (decay_into_gradient, shrink_weights) = match decay {
            Decay::Coupled(0.0) | Decay::Decoupled(0.0) => (None, None),
            Decay::Coupled(decay) => (Some(scalar(decay, device)?), None),
            Decay::Decoupled(decay) => (None, Some(1.0 - learning_rate * decay)),
        };
        Ok(Self {
            betas,
            one_minus_beta2: scalar(1.0 - betas[1], device)?,
            eps,
            decay_into_gradient,
            shrink_weights,
            minus_step_size: -learning_rate / (1.0 - betas[0].powi(exponent)),
            bias_correction2_sqrt: (1.0 - betas[1].powi(exponent)).sqrt(),
        })
    }

    pub fn apply(&self, weights: &mut Tensor, mut gradient: Tensor, moments: &mut [Tensor]) -> Result<(), TrainError> {
        let [mean, square] = moments else { return Err(TrainError::State("Adam without its two moments".to_owned())) };
        if let Some(decay) = &self.decay_into_gradient {
            gradient = gradient.f_addcmul(weights, decay)?;
        }
        if let Some(factor) = self.shrink_weights {
            let _ = weights.f_mul_scalar_(factor)?;
        }
        let _ = mean.f_lerp_(&gradient, 1.0 - self.betas[0])?;
        let _ = square.f_mul_scalar_(self.betas[1])?;
        let _ = square.f_addcmul_(&gradient.f_mul(&self.one_minus_beta2)?, &gradient)?;
        let mut denominator = square.f_sqrt()?;
        let _ = denominator.f_div_scalar_(self.bias_correction2_sqrt)?;
        let _ = denominator.f_add_scalar_(self.eps)?;
        let _ = weights.f_addcdiv_(&mean.f_mul_scalar(self.minus_step_size)?, &denominator)?;
        Ok(())
    }
}

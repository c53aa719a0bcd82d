//! `torch.optim.Adam` and `AdamW` (Kingma and Ba 2014, arXiv:1412.6980; Loshchilov and Hutter 2017, arXiv:1711.05101).

use fltk_core::catalogue::{Entry, LEARNING_RATE, Number, Numbers, Range};

use super::OptimizerSpec;

const BETAS: Numbers<2> = Numbers::new("betas", &[0.9, 0.999], "Decay rates of the two moments.").within(Range::BELOW_ONE);
const EPS: Number = Number::new("eps", 1e-8, "The term added to the denominator.").within(Range::POSITIVE);
const COUPLED: Number = Number::new("weight_decay", 0.0, "L2 penalty, added to the gradient.").within(Range::NOT_NEGATIVE);
const DECOUPLED: Number =
    Number::new("weight_decay", 0.01, "Decoupled weight decay; PyTorch's default is 0.01.").within(Range::NOT_NEGATIVE);

#[cfg(libtorch)]
const MOMENTS: &[&str] = &["exp_avg", "exp_avg_sq"];

pub(super) static ADAM: OptimizerSpec = OptimizerSpec {
    entry: Entry::new("Adam", "`torch.optim.Adam`: weight decay is added to the gradient.")
        .paper("Kingma and Ba, Adam: A Method for Stochastic Optimization, 2014, arXiv:1412.6980")
        .parameters(&[LEARNING_RATE.parameter(), BETAS.parameter(), EPS.parameter(), COUPLED.parameter()]),
    #[cfg(libtorch)]
    moments: |_| MOMENTS,
    #[cfg(libtorch)]
    update: |settings, step| {
        let decay = update::Decay::Coupled(COUPLED.of(settings));
        Ok(Box::new(update::AdamUpdate::new(settings, decay, step)?))
    },
    #[cfg(libtorch)]
    keeps_update: false,
    #[cfg(libtorch)]
    momentum: |_| None,
};

pub(super) static ADAMW: OptimizerSpec = OptimizerSpec {
    entry: Entry::new("AdamW", "`torch.optim.AdamW`: decoupled weight decay.")
        .paper("Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2017, arXiv:1711.05101")
        .parameters(&[LEARNING_RATE.parameter(), BETAS.parameter(), EPS.parameter(), DECOUPLED.parameter()]),
    #[cfg(libtorch)]
    moments: |_| MOMENTS,
    #[cfg(libtorch)]
    update: |settings, step| {
        let decay = update::Decay::Decoupled(DECOUPLED.of(settings));
        Ok(Box::new(update::AdamUpdate::new(settings, decay, step)?))
    },
    #[cfg(libtorch)]
    keeps_update: false,
    #[cfg(libtorch)]
    momentum: |_| None,
};

#[cfg(libtorch)]
mod update {
    use fltk_core::catalogue::Choice;
    use tch::Tensor;

    use super::{
        super::{Step, Update},
        BETAS, EPS,
    };
    use crate::{TrainError, optimizer::scalar};

    /// The place where weight decay is applied.
    #[derive(Clone, Copy)]
    pub(super) enum Decay {
        /// Added to the gradient (Adam).
        Coupled(f64),
        /// Applied to the weights (AdamW).
        Decoupled(f64),
    }

    #[derive(Debug)]
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
        pub fn new(settings: &Choice, decay: Decay, Step { learning_rate, number, device }: Step) -> Result<Self, TrainError> {
            let (betas, eps) = (BETAS.of(settings), EPS.of(settings));
            let exponent = i32::try_from(number).unwrap_or(i32::MAX);
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
    }

    impl Update for AdamUpdate {
        fn apply(&self, weights: &mut Tensor, mut gradient: Tensor, moments: &mut [Tensor]) -> Result<(), TrainError> {
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
}

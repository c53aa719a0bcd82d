//! SGD as in `torch.optim.SGD`, without dampening. With the gradient `g`, the weights `w` and the momentum buffer `v`:
//!
//! ```text
//! d = g + decay * w
//! v = momentum * v + d
//! w = w - lr * v                    or, with Nesterov momentum, w - lr * (d + momentum * v)
//! ```

use fltk_core::catalogue::{Choice, Entry, LEARNING_RATE, Misfit, Number, Range, Switch};

use super::OptimizerSpec;

const MOMENTUM: Number = Number::new("momentum", 0.0, "Momentum factor; 0 for none.").within(Range::NOT_NEGATIVE);
const WEIGHT_DECAY: Number = Number::new("weight_decay", 0.0, "L2 penalty, added to the gradient.").within(Range::NOT_NEGATIVE);
const NESTEROV: Switch = Switch::new("nesterov", false, "True if Nesterov momentum is used, which needs `momentum` above 0.");

pub(super) static SGD: OptimizerSpec = OptimizerSpec {
    entry: Entry::new("SGD", "`torch.optim.SGD`.")
        .parameters(&[LEARNING_RATE.parameter(), MOMENTUM.parameter(), WEIGHT_DECAY.parameter(), NESTEROV.parameter()])
        .check(check),
    #[cfg(libtorch)]
    moments: |settings| if MOMENTUM.of(settings) == 0.0 { &[] } else { &["momentum_buffer"] },
    #[cfg(libtorch)]
    update: |settings, step| Ok(Box::new(update::SgdUpdate::new(settings, step)?)),
    #[cfg(libtorch)]
    keeps_update: true,
    #[cfg(libtorch)]
    momentum: |settings| Some((MOMENTUM.of(settings), NESTEROV.of(settings))),
};

fn check(settings: &Choice) -> Result<(), Misfit> {
    if NESTEROV.of(settings) && MOMENTUM.of(settings) <= 0.0 {
        let message = "Nesterov's method needs a `momentum` above 0".to_owned();
        return Err(Misfit { parameter: "nesterov", message, hint: "add `momentum: 0.9`, or leave `nesterov` out".to_owned() });
    }
    Ok(())
}

#[cfg(libtorch)]
mod update {
    use fltk_core::catalogue::Choice;
    use tch::Tensor;

    use super::{
        super::{Step, Update},
        MOMENTUM, NESTEROV, WEIGHT_DECAY,
    };
    use crate::{TrainError, optimizer::scalar};

    #[derive(Debug)]
    pub(super) struct SgdUpdate {
        minus_learning_rate: Tensor,
        momentum: Option<Tensor>,
        weight_decay: Option<Tensor>,
        nesterov: bool,
    }

    impl SgdUpdate {
        pub fn new(settings: &Choice, Step { learning_rate, device, .. }: Step) -> Result<Self, TrainError> {
            let (momentum, weight_decay, nesterov) = (MOMENTUM.of(settings), WEIGHT_DECAY.of(settings), NESTEROV.of(settings));
            let unless_zero = |value: f64| (value != 0.0).then(|| scalar(value, device)).transpose();
            Ok(Self {
                minus_learning_rate: scalar(-learning_rate, device)?,
                momentum: unless_zero(momentum)?,
                weight_decay: unless_zero(weight_decay)?,
                nesterov,
            })
        }
    }

    impl Update for SgdUpdate {
        fn apply(&self, weights: &mut Tensor, mut gradient: Tensor, moments: &mut [Tensor]) -> Result<(), TrainError> {
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
}

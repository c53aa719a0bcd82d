//! SGD, Adam and AdamW, with PyTorch's formulas in PyTorch's order of operations.
//!
//! Updates run over blocks that stay in the cache from one operation to the next. `addcmul` with a tensor of one number replaces PyTorch's
//! `add(..., alpha=...)`, for which tch has no argument: it is the same fused multiply-add, and so gives the same bits.

mod adam;
mod sgd;
mod state;

use fltk_core::experiment::OptimizerConfig;
use tch::{Device, Kind, Tensor};

use crate::{
    Model, TrainError,
    tensors::{self, MemoryFormat},
};

/// The number of elements updated at once: with three or four arrays in use, that is at most 2 MiB, so the second operation on a block
/// finds it in the cache.
const BLOCK: i64 = 1 << 17;

/// A local optimizer and its state. It is made for one model; a federated client makes a fresh one each round.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    learning_rate: f64,
    /// The number of steps taken.
    steps: u64,
    /// The model's memory format: the order of elements in the flat tensors.
    format: MemoryFormat,
    /// The model's device, on which moments and scalars are, too.
    device: Device,
    parameters: Vec<Slot>,
}

/// One parameter with its moments, all as flat views in the model's memory format.
#[derive(Debug)]
struct Slot {
    name: String,
    shape: Vec<usize>,
    weights: Tensor,
    /// For SGD, the momentum buffer, if it has momentum. For Adam and AdamW, the first and second moment.
    moments: Vec<Tensor>,
}

/// The proximal term `mu/2 * |w - w0|^2` of FedProx (Li et al. 2020, arXiv:1812.06127, equation 2).
///
/// Its pull `-lr * mu * (w - w0)` is added to the optimizer's own step, like decoupled weight decay, and never enters momentum or Adam's
/// moments: there, it would continue to pull from where the weights no longer are.
#[derive(Debug)]
pub(crate) struct Proximal {
    pub mu: f64,
    /// The `w0` of each parameter, flat, in the model's memory format.
    anchors: Vec<Tensor>,
}

impl Proximal {
    /// Makes a term that is anchored at the model's current parameters.
    pub fn at(model: &Model, mu: f64) -> Result<Self, TrainError> {
        let anchors = model
            .parameters()
            .map(|p| Ok(tensors::flat(&p.f_detach()?, model.memory_format())?.f_detach_copy()?))
            .collect::<Result<_, TrainError>>()?;
        Ok(Self { mu, anchors })
    }
}

impl Optimizer {
    /// Makes a fresh optimizer for `model`'s parameters, on its device.
    ///
    /// # Errors
    /// If a setting is invalid: not finite, negative, a beta outside `0..1`, or Nesterov without momentum.
    pub fn new(config: &OptimizerConfig, model: &Model) -> Result<Self, TrainError> {
        check(config)?;
        let (format, device) = (model.memory_format(), model.device());
        let num_moments = match *config {
            OptimizerConfig::SGD { momentum, .. } => usize::from(momentum != 0.0),
            OptimizerConfig::Adam { .. } | OptimizerConfig::AdamW { .. } => 2,
        };
        let slot = |(spec, parameter): (&fltk_core::model_state::TensorSpec, &Tensor)| {
            let weights = tensors::flat(&parameter.f_detach()?, format)?;
            let moments = (0..num_moments).map(|_| weights.f_zeros_like()).collect::<Result<_, _>>()?;
            Ok(Slot { name: spec.name.clone(), shape: spec.shape.clone(), weights, moments })
        };
        let parameters = model.parameter_specs().zip(model.parameters()).map(slot).collect::<Result<_, TrainError>>()?;
        Ok(Self { config: config.clone(), learning_rate: config.learning_rate(), steps: 0, format, device, parameters })
    }

    /// The learning rate of the next step.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets the learning rate of the next steps.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// The number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates the parameters by `gradients`, one for each in the layout's order. A parameter with an undefined gradient played no part in
    /// the loss and stays unchanged.
    pub(crate) fn step(&mut self, gradients: &[Tensor], proximal: Option<&Proximal>) -> Result<(), TrainError> {
        self.steps += 1;
        let update = Update::new(&self.config, self.learning_rate, self.steps, self.device)?;
        let pull = proximal.map(|p| scalar(-self.learning_rate * p.mu, self.device)).transpose()?;
        let _no_grad = tch::no_grad_guard();
        for (index, (slot, gradient)) in self.parameters.iter_mut().zip(gradients).enumerate() {
            if !gradient.defined() {
                continue;
            }
            let gradient = tensors::flat(gradient, self.format)?;
            let elements = gradient.size()[0];
            for start in (0..elements).step_by(usize::try_from(BLOCK).unwrap_or(usize::MAX)) {
                let length = BLOCK.min(elements - start);
                // Most tensors are a single block, which needs no views.
                let part = |t: &Tensor| if length == elements { Ok(t.shallow_clone()) } else { t.f_narrow(0, start, length) };
                let mut weights = part(&slot.weights)?;
                let gradient = part(&gradient)?;
                let mut moments = slot.moments.iter().map(part).collect::<Result<Vec<_>, _>>()?;
                let strayed = proximal.map(|p| Ok::<_, TrainError>(weights.f_sub(&part(&p.anchors[index])?)?)).transpose()?;
                update.apply(&mut weights, gradient, &mut moments)?;
                if let (Some(strayed), Some(pull)) = (strayed, &pull) {
                    let _ = weights.f_addcmul_(&strayed, pull)?;
                }
            }
        }
        Ok(())
    }
}

/// The scalars of one step, which are the same for every block.
enum Update {
    Sgd(sgd::SgdUpdate),
    Adam(adam::AdamUpdate),
}

impl Update {
    fn new(config: &OptimizerConfig, learning_rate: f64, step: u64, device: Device) -> Result<Self, TrainError> {
        Ok(match *config {
            OptimizerConfig::SGD { momentum, weight_decay, nesterov, .. } => {
                Self::Sgd(sgd::SgdUpdate::new(learning_rate, momentum, weight_decay, nesterov, device)?)
            }
            OptimizerConfig::Adam { betas, eps, weight_decay, .. } => {
                let decay = adam::Decay::Coupled(weight_decay);
                Self::Adam(adam::AdamUpdate::new(learning_rate, betas, eps, decay, step, device)?)
            }
            OptimizerConfig::AdamW { betas, eps, weight_decay, .. } => {
                let decay = adam::Decay::Decoupled(weight_decay);
                Self::Adam(adam::AdamUpdate::new(learning_rate, betas, eps, decay, step, device)?)
            }
        })
    }

    fn apply(&self, weights: &mut Tensor, gradient: Tensor, moments: &mut [Tensor]) -> Result<(), TrainError> {
        match self {
            Self::Sgd(update) => update.apply(weights, gradient, moments),
            Self::Adam(update) => update.apply(weights, gradient, moments),
        }
    }
}

/// Returns a tensor of one number on `device`. As an operand, it replaces PyTorch's `alpha` and `value` arguments, which tch lacks.
fn scalar(value: f64, device: Device) -> Result<Tensor, TrainError> {
    Ok(Tensor::f_full([1], value, (Kind::Float, device))?)
}

fn check(config: &OptimizerConfig) -> Result<(), TrainError> {
    let wrong = |what: String| Err(TrainError::Settings(what));
    let not_negative = |name: &str, value: f64| {
        if value.is_finite() && value >= 0.0 { Ok(()) } else { wrong(format!("{name} {value} is not a number from 0 up")) }
    };
    not_negative("learning rate", config.learning_rate())?;
    match *config {
        OptimizerConfig::SGD { momentum, weight_decay, nesterov, .. } => {
            not_negative("momentum", momentum)?;
            not_negative("weight decay", weight_decay)?;
            if nesterov && momentum == 0.0 {
                return wrong("Nesterov momentum needs a momentum above 0".to_owned());
            }
        }
        OptimizerConfig::Adam { betas, eps, weight_decay, .. } | OptimizerConfig::AdamW { betas, eps, weight_decay, .. } => {
            not_negative("eps", eps)?;
            not_negative("weight decay", weight_decay)?;
            if let Some(beta) = betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
                return wrong(format!("beta {beta} is not within 0..1"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fltk_core::{
        experiment::{NetName, NetworkConfig},
        seed::Seed,
    };

    use super::*;
    use crate::Targets;

    /// By hand, with every gradient 1, `lr` 0.1, momentum 0.9 and `mu` 0.5: the velocities are 1, 1.9 and 2.71, and the weights have moved by
    /// 0, -0.1 and -0.285 before the three steps. With the pull in the momentum, the third step would end at -0.53725.
    #[test]
    fn the_proximal_term_stays_out_of_the_momentum() {
        let model = Model::new(&NetworkConfig::Named(NetName::LeNet5), Path::new(""), Targets::Classes(10), Seed(1), Device::Cpu).unwrap();
        let before = model.state().unwrap();
        let config = OptimizerConfig::SGD { learning_rate: 0.1, momentum: 0.9, weight_decay: 0.0, nesterov: false };
        let mut optimizer = Optimizer::new(&config, &model).unwrap();
        let proximal = Proximal::at(&model, 0.5).unwrap();
        let ones: Vec<Tensor> = model.parameters().map(Tensor::ones_like).collect();
        for expected in [-0.1_f32, -0.285, -0.541_75] {
            optimizer.step(&ones, Some(&proximal)).unwrap();
            let after = model.state().unwrap();
            let moved = before.floats.iter().zip(&after.floats).map(|(before, after)| after - before);
            let worst = moved.map(|moved| (moved - expected).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{worst} from {expected}");
        }
    }
}

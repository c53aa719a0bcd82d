//! SGD, Adam and AdamW, with PyTorch's formulas in PyTorch's order of operations.
//!
//! Updates run over blocks that stay in the cache from one operation to the next. `addcmul` with a tensor of one number replaces PyTorch's
//! `add(..., alpha=...)`, for which tch has no argument: it is the same fused multiply-add, and so gives the same bits.

mod state;

use fltk_core::{
    catalogue::{Choice, LEARNING_RATE},
    model_state::{ModelState, TensorRole, TensorSpec},
};
use tch::{Device, Kind, Tensor};

pub use crate::catalogue::optimizers::entries;
use crate::{
    Model, TrainError,
    catalogue::optimizers::{CATALOGUE, OptimizerSpec, Step, Update},
    tensors::{self, MemoryFormat},
};

/// The number of elements updated at once: with three or four arrays in use, that is at most 2 MiB, so the second operation on a block
/// finds it in the cache.
const BLOCK: i64 = 1 << 17;

/// A local optimizer and its state. It is made for one model; a federated client makes a fresh one each round.
#[derive(Debug)]
pub struct Optimizer {
    spec: &'static OptimizerSpec,
    settings: Choice,
    learning_rate: f64,
    /// The update of the step before, if the next step at the same learning rate has the same one.
    update: Option<Box<dyn Update>>,
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
    /// Makes a term that is anchored at the parameters in `state`, which is one of `model`'s layout.
    pub fn at(model: &Model, state: &ModelState, mu: f64) -> Result<Self, TrainError> {
        let values: Vec<&[f32]> = parameters_of(model, &state.floats).collect();
        Ok(Self { mu, anchors: flat_tensors(model, &values)? })
    }
}

/// Returns the parameters' part of `floats`, which are all floats of a state of `model`, by parameter.
pub(crate) fn parameters_of<'a>(model: &Model, floats: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
    let layout = model.state_layout();
    let mut parts = Vec::with_capacity(layout.len());
    let mut rest = floats;
    for spec in layout.iter().filter(|spec| spec.role != TensorRole::Counter) {
        let (values, others) = rest.split_at(spec.num_elements().min(rest.len()));
        rest = others;
        if spec.role == TensorRole::Parameter {
            parts.push(values);
        }
    }
    parts.into_iter()
}

/// Returns `values`, row-major by parameter of `model`, as flat tensors in the model's memory format and on its device.
pub(crate) fn flat_tensors(model: &Model, values: &[&[f32]]) -> Result<Vec<Tensor>, TrainError> {
    let specs = model.parameter_specs();
    if values.len() != model.parameters().len() || specs.zip(values).any(|(spec, values)| spec.num_elements() != values.len()) {
        return Err(TrainError::State("an array of the strategy is of another net".to_owned()));
    }
    let flat = |(spec, values): (&TensorSpec, &&[f32])| {
        let tensor = tensors::zeros(&spec.shape, model.memory_format(), model.device())?;
        tensors::write_row_major(&tensor, values)?;
        tensors::flat(&tensor, model.memory_format())
    };
    model.parameter_specs().zip(values).map(flat).collect()
}

/// Returns the optimizer of this name in the catalogue.
pub(crate) fn find(name: &str) -> Result<&'static OptimizerSpec, TrainError> {
    let spec = CATALOGUE.iter().copied().find(|spec| spec.entry.name == name);
    spec.ok_or_else(|| TrainError::Settings(format!("there is no optimizer `{name}`")))
}

impl Optimizer {
    /// Makes a fresh optimizer for `model`'s parameters, on its device.
    ///
    /// # Errors
    /// If a setting is invalid: not finite, negative, a beta outside `0..1`, or Nesterov without momentum.
    pub fn new(config: &Choice, model: &Model) -> Result<Self, TrainError> {
        let spec = find(config.name())?;
        let settings = config.clone().settled(&spec.entry).map_err(|error| TrainError::Settings(error.to_string()))?;
        (spec.entry.check)(&settings).map_err(|misfit| TrainError::Settings(misfit.message))?;
        let (format, device) = (model.memory_format(), model.device());
        let num_moments = (spec.moments)(&settings).len();
        let slot = |(spec, parameter): (&TensorSpec, &Tensor)| {
            let weights = tensors::flat(&parameter.f_detach()?, format)?;
            let moments = (0..num_moments).map(|_| weights.f_zeros_like()).collect::<Result<_, _>>()?;
            Ok(Slot { name: spec.name.clone(), shape: spec.shape.clone(), weights, moments })
        };
        let parameters = model.parameter_specs().zip(model.parameters()).map(slot).collect::<Result<_, TrainError>>()?;
        Ok(Self { spec, learning_rate: LEARNING_RATE.of(&settings), settings, update: None, steps: 0, format, device, parameters })
    }

    /// The learning rate of the next step.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets the learning rate of the next steps.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
        self.update = None;
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
        let step = Step { learning_rate: self.learning_rate, number: self.steps, device: self.device };
        let update = match self.update.take() {
            Some(update) => update,
            None => (self.spec.update)(&self.settings, step)?,
        };
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
        self.update = self.spec.keeps_update.then_some(update);
        Ok(())
    }
}

/// Returns a tensor of one number on `device`. As an operand, it replaces PyTorch's `alpha` and `value` arguments, which tch lacks.
pub(crate) fn scalar(value: f64, device: Device) -> Result<Tensor, TrainError> {
    Ok(Tensor::f_full([1], value, (Kind::Float, device))?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fltk_core::{experiment::NetworkConfig, seed::Seed};

    use super::*;
    use crate::nets::InputShape;

    /// By hand, with every gradient 1, `lr` 0.1, momentum 0.9 and `mu` 0.5: the velocities are 1, 1.9 and 2.71, and the weights have moved by
    /// 0, -0.1 and -0.285 before the three steps. With the pull in the momentum, the third step would end at -0.53725.
    #[test]
    fn proximal_term_stays_out_of_the_momentum() {
        let input = InputShape::Images { shape: [1, 28, 28], classes: 10 };
        let model = Model::new(&NetworkConfig::named("LeNet5"), Path::new(""), input, Seed(1), Device::Cpu).unwrap();
        let before = model.state().unwrap();
        let config = Choice::new("SGD").with("learning_rate", 0.1).with("momentum", 0.9);
        let mut optimizer = Optimizer::new(&config, &model).unwrap();
        let proximal = Proximal::at(&model, &before, 0.5).unwrap();
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

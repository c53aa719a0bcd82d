//! One step of a client: a plain one, with what a strategy adds to it.

use fltk_core::{
    local_pass::{Anchor, LocalPass, Shift},
    model_state::TensorRole,
};
use rand_chacha::ChaCha8Rng;
use tch::{Reduction, Tensor};

use super::contrast::Contrasting;
use crate::{
    Model, Optimizer, TrainError, gradients,
    losses::{self, Loss},
    optimizer::{Proximal, flat_tensors, parameters_of, scalar},
    tensors,
    train::{check_finite, finite},
};

/// The additions of a pass to plain steps.
pub(super) struct Extras {
    /// The shift of each parameter, flat.
    shift: Option<(Vec<Tensor>, ShiftOf)>,
    /// The strength of a pull that is part of every gradient, and the `w0` of each parameter, flat.
    pull: Option<(Tensor, Vec<Tensor>)>,
    /// For each parameter, true if it is trained; `None` if all are.
    trains: Option<Vec<bool>>,
    contrast: Option<Contrasting>,
    /// The sums of all steps' gradients, if they are wanted; without elements before the first step.
    sums: Option<Vec<Tensor>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ShiftOf {
    Gradients,
    Steps,
}

impl Extras {
    pub(super) fn new(model: &Model, pass: &LocalPass) -> Result<Self, TrainError> {
        let shift = match &pass.shift {
            None => None,
            Some(Shift::Gradient(values)) => Some((by_parameter(model, values)?, ShiftOf::Gradients)),
            Some(Shift::Step(values)) => Some((by_parameter(model, values)?, ShiftOf::Steps)),
        };
        let layout = model.state_layout();
        let trains = pass.trains.as_ref().map(|trains| {
            let floats = layout.iter().filter(|spec| spec.role != TensorRole::Counter).zip(trains);
            floats.filter(|(spec, _)| spec.role == TensorRole::Parameter).map(|(_, trains)| *trains).collect()
        });
        let contrast = pass.contrast.as_ref().map(|contrast| Contrasting::new(model, contrast)).transpose()?;
        let pull = match &pass.proximal {
            Some(Anchor { mu, model: anchor, is_in_gradient: true }) => {
                let values: Vec<&[f32]> = parameters_of(model, &anchor.floats).collect();
                Some((scalar(*mu, model.device())?, flat_tensors(model, &values)?))
            }
            _ => None,
        };
        Ok(Self { shift, pull, trains, contrast, sums: pass.measures.mean_gradient.then(Vec::new) })
    }

    /// Takes a step. Returns the loss before it, without the term of a contrast.
    #[expect(clippy::too_many_arguments, reason = "what a step needs")]
    pub(super) fn step(
        &mut self,
        model: &mut Model,
        optimizer: &mut Optimizer,
        inputs: Tensor,
        targets: &Tensor,
        loss: Loss,
        dropout: &mut ChaCha8Rng,
        proximal: Option<&Proximal>,
    ) -> Result<f64, TrainError> {
        let (value, mut gradients) = if self.contrast.is_none() && self.trains.is_none() {
            gradients::of_batch(model, inputs, targets, loss, Reduction::Mean, Some(dropout))?
        } else {
            self.by_autograd(model, optimizer, inputs, targets, loss, dropout)?
        };
        check_finite(value, optimizer)?;
        if let Some(sums) = &mut self.sums {
            add_gradients(sums, &gradients, &model.parameters().collect::<Vec<_>>())?;
        }
        if let Some((shift, ShiftOf::Gradients)) = &self.shift {
            for (gradient, (shift, spec)) in gradients.iter_mut().zip(shift.iter().zip(model.parameter_specs())) {
                if gradient.defined() {
                    *gradient = gradient.f_add(&tensors::shaped(shift, &spec.shape, model.memory_format())?)?;
                }
            }
        }
        if let Some((mu, anchors)) = &self.pull {
            let _no_grad = tch::no_grad_guard();
            for ((gradient, anchor), (parameter, spec)) in
                gradients.iter_mut().zip(anchors).zip(model.parameters().zip(model.parameter_specs()))
            {
                if gradient.defined() {
                    let anchor = tensors::shaped(anchor, &spec.shape, model.memory_format())?;
                    *gradient = gradient.f_addcmul(&parameter.f_detach()?.f_sub(&anchor)?, mu)?;
                }
            }
        }
        optimizer.step(&gradients, proximal)?;
        if let Some((shift, ShiftOf::Steps)) = &self.shift {
            let _no_grad = tch::no_grad_guard();
            let rate = scalar(-optimizer.learning_rate(), model.device())?;
            for (parameter, shift) in model.parameters().zip(shift) {
                let _ = tensors::flat(&parameter.f_detach()?, model.memory_format())?.f_addcmul_(shift, &rate)?;
            }
        }
        Ok(value)
    }

    /// Returns the loss, without the term of a contrast, and its gradient by each parameter with that term, undefined for one that isn't trained.
    fn by_autograd(
        &self,
        model: &mut Model,
        optimizer: &Optimizer,
        inputs: Tensor,
        targets: &Tensor,
        loss: Loss,
        dropout: &mut ChaCha8Rng,
    ) -> Result<(f64, Vec<Tensor>), TrainError> {
        let (logits, term) = match &self.contrast {
            None => (model.forward_training(inputs, Some(dropout), None)?, None),
            Some(contrast) => {
                let others = contrast.features(&inputs)?;
                let (logits, features) = model.features_training(inputs, Some(dropout))?;
                (logits, Some(contrast.term(&features, &others)?))
            }
        };
        let mut loss = loss.of(&losses::rows(&logits)?, targets, Reduction::Mean)?;
        let value = finite(&loss, optimizer)?;
        if let Some(term) = term {
            loss = loss.f_add(&term)?;
            finite(&loss, optimizer)?;
        }
        Ok((value, self.gradients(model, loss)?))
    }

    /// Returns the gradient of each parameter, undefined for one that isn't trained.
    fn gradients(&self, model: &Model, loss: Tensor) -> Result<Vec<Tensor>, TrainError> {
        let parameters: Vec<&Tensor> = model.parameters().collect();
        let Some(trains) = &self.trains else { return Ok(Tensor::f_run_backward(&[loss], &parameters, false, false)?) };
        let trained: Vec<&Tensor> = parameters.iter().zip(trains).filter(|(_, trains)| **trains).map(|(parameter, _)| *parameter).collect();
        let mut gradients =
            if trained.is_empty() { Vec::new() } else { Tensor::f_run_backward(&[loss], &trained, false, false)? }.into_iter();
        Ok(trains.iter().map(|&trains| trains.then(|| gradients.next()).flatten().unwrap_or_else(Tensor::new)).collect())
    }

    /// Returns the mean of the steps' gradients, over the elements of all parameters; empty if it isn't wanted.
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    pub(super) fn mean_gradient(&self, model: &Model, num_steps: u64) -> Result<Vec<f32>, TrainError> {
        read_mean(model, self.sums.as_deref().unwrap_or_default(), num_steps as f64)
    }
}

/// Returns an array over the elements of all parameters as flat tensors.
fn by_parameter(model: &Model, values: &[f32]) -> Result<Vec<Tensor>, TrainError> {
    let mut rest = values;
    let mut parts = Vec::new();
    for spec in model.parameter_specs() {
        let (part, others) = rest.split_at(spec.num_elements().min(rest.len()));
        parts.push(part);
        rest = others;
    }
    if !rest.is_empty() {
        return Err(TrainError::State("an array of the strategy is of another net".to_owned()));
    }
    flat_tensors(model, &parts)
}

/// Adds gradients to sums, which are created with the first ones. An undefined gradient is 0.
pub(super) fn add_gradients(sums: &mut Vec<Tensor>, gradients: &[Tensor], parameters: &[&Tensor]) -> Result<(), TrainError> {
    let _no_grad = tch::no_grad_guard();
    if sums.is_empty() {
        *sums = parameters.iter().map(|parameter| parameter.f_detach()?.f_zeros_like()).collect::<Result<_, _>>()?;
    }
    for (sum, gradient) in sums.iter_mut().zip(gradients).filter(|(_, gradient)| gradient.defined()) {
        let _ = sum.f_add_(gradient)?;
    }
    Ok(())
}

/// Returns sums by parameter, divided by `count`, as one row in the layout's order; empty without sums.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32")]
pub(super) fn read_mean(model: &Model, sums: &[Tensor], count: f64) -> Result<Vec<f32>, TrainError> {
    let num: usize = model.parameter_specs().zip(sums).map(|(spec, _)| spec.num_elements()).sum();
    let mut values = vec![0.0_f32; num];
    let mut rest = values.as_mut_slice();
    for (spec, sum) in model.parameter_specs().zip(sums) {
        let (part, others) = rest.split_at_mut(spec.num_elements());
        tensors::read_row_major(sum, part)?;
        rest = others;
    }
    values.iter_mut().for_each(|value| *value = (f64::from(*value) / count) as f32);
    Ok(values)
}

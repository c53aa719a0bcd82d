//! The personal model of APFL, trained beside the shared one.

use fltk_core::{
    catalogue::Choice,
    local_pass::{LocalPass, Mixture},
    model_state::ModelState,
};
use fltk_data::EpochKey;
use tch::{Kind, Reduction, Tensor};

use crate::{
    Model, Optimizer, TrainError, gradients,
    losses::Loss,
    optimizer::scalar,
    train::{check_finite, draws},
};

/// The personal model `v`, its optimizer, and the mixture that its gradients come from.
pub(super) struct MixtureTraining {
    alpha: f64,
    is_adaptive: bool,
    learning_rate: f64,
    personal: Model,
    optimizer: Optimizer,
    /// The mixture. Its buffers and counters are those of the personal model.
    mixed: Model,
}

impl MixtureTraining {
    pub(super) fn new(model: &Model, optimizer: &Choice, pass: &LocalPass, mixture: &Mixture) -> Result<Self, TrainError> {
        let (personal, mixed) = (model.duplicate(&mixture.personal)?, model.duplicate(&mixture.personal)?);
        let mut optimizer = Optimizer::new(optimizer, &personal)?;
        optimizer.set_learning_rate(pass.learning_rate);
        let Mixture { alpha, is_adaptive, .. } = *mixture;
        Ok(Self { alpha, is_adaptive, learning_rate: pass.learning_rate, personal, optimizer, mixed })
    }

    /// Takes a step of the personal model, before the `shared` one takes its own on the same batch.
    pub(super) fn step(
        &mut self,
        shared: &Model,
        inputs: &Tensor,
        targets: &Tensor,
        loss: Loss,
        (key, number): (EpochKey, u64),
    ) -> Result<(), TrainError> {
        let device = self.mixed.device();
        let alpha = scalar(self.alpha, device)?;
        {
            let _no_grad = tch::no_grad_guard();
            for ((mixed, own), shared) in self.mixed.parameters().zip(self.personal.parameters()).zip(shared.parameters()) {
                // w + alpha (v - w), into the mixture's own memory.
                mixed.f_detach()?.f_copy_(&shared.f_addcmul(&own.f_sub(shared)?, &alpha)?)?;
            }
        }
        // The same masks as the shared model's.
        let mut dropout = draws(&self.mixed, key, key.client, number);
        let (value, mut gradients) =
            gradients::of_batch(&mut self.mixed, inputs.shallow_clone(), targets, loss, Reduction::Mean, Some(&mut dropout))?;
        check_finite(value, &self.optimizer)?;
        let mut slope = 0.0;
        {
            let _no_grad = tch::no_grad_guard();
            for ((gradient, own), shared) in gradients.iter_mut().zip(self.personal.parameters()).zip(shared.parameters()) {
                if gradient.defined() {
                    slope += gradient.f_mul(&own.f_sub(shared)?)?.f_sum(Kind::Double)?.f_double_value(&[])?;
                    *gradient = gradient.f_mul(&alpha)?;
                }
            }
        }
        self.optimizer.step(&gradients, None)?;
        if self.is_adaptive {
            self.alpha = (self.alpha - self.learning_rate * slope).clamp(0.0, 1.0);
        }
        Ok(())
    }

    /// Returns the personal model and the share that it ended with.
    pub(super) fn finish(self) -> Result<(ModelState, f64), TrainError> {
        // Buffers and counters are those of the mixture.
        let (own, mut state) = (self.personal.state()?, self.mixed.state()?);
        let mut start = 0;
        for spec in own.layout.iter() {
            match spec.role {
                fltk_core::model_state::TensorRole::Counter => {}
                role => {
                    let span = start..start + spec.num_elements();
                    start = span.end;
                    if role == fltk_core::model_state::TensorRole::Parameter {
                        state.floats[span.clone()].copy_from_slice(&own.floats[span]);
                    }
                }
            }
        }
        Ok((state, self.alpha))
    }
}

//! One pass of training at a client, as plain data: a strategy plans passes, and a trainer carries them out without knowing the strategy.

use std::sync::Arc;

use crate::{client_terms::LocalWork, metrics::TrainSummary, model_state::ModelState};

/// One training of a model on the client's samples, with a fresh optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalPass {
    /// The model to start from.
    pub start: Arc<ModelState>,
    /// The step size of every step.
    pub learning_rate: f64,
    /// The amount of training.
    pub work: LocalWork,
    /// The number of the first epoch, from 0. The order of samples follows from it, so that a second pass doesn't see them as the first did.
    pub first_epoch: u64,
    /// A vector that corrects every step; `None` for none.
    pub shift: Option<Shift>,
    /// The proximal term `mu/2 |w - anchor|^2`; `None` for none.
    pub proximal: Option<Anchor>,
    /// For each float tensor of the layout, in order: true if it is trained. `None` if all parameters are.
    pub trains: Option<Vec<bool>>,
    /// The model-contrastive term; `None` for none.
    pub contrast: Option<Contrast>,
    /// The personal model that is trained on the same batches; `None` for none.
    pub mixture: Option<Mixture>,
    /// The values to measure besides.
    pub measures: Measures,
}

impl LocalPass {
    /// Creates plain training from `start`.
    #[must_use]
    pub fn plain(start: Arc<ModelState>, learning_rate: f64, work: LocalWork) -> Self {
        let (shift, proximal, trains, contrast, mixture) = (None, None, None, None, None);
        let measures = Measures::default();
        Self { start, learning_rate, work, first_epoch: 0, shift, proximal, trains, contrast, mixture, measures }
    }
}

/// A vector that corrects every step. It has an element for each of all parameters', in the layout's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Shift {
    /// An addend to every gradient, before momentum and weight decay.
    Gradient(Vec<f32>),
    /// A direction that is multiplied by the learning rate and subtracted from the parameters after every step of the optimizer.
    Step(Vec<f32>),
}

/// A proximal term.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// Its strength.
    pub mu: f64,
    /// The model that it pulls to.
    pub model: Arc<ModelState>,
    /// True if the pull is part of every gradient, and so goes through momentum and Adam's moments; otherwise it acts beside the optimizer's own
    /// step, like decoupled weight decay.
    pub is_in_gradient: bool,
}

/// The model-contrastive term of MOON (Li et al. 2021, arXiv:2103.16257, equation 3): features are drawn to those of the received model and
/// pushed away from those of the client's previous one.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Its strength.
    pub mu: f64,
    /// The temperature.
    pub tau: f64,
    /// The received model.
    pub global: Arc<ModelState>,
    /// The client's previous model.
    pub previous: Arc<ModelState>,
}

/// The personal model of APFL (Deng et al. 2020, arXiv:2003.13461, algorithm 1), trained so that the mixture `alpha v + (1 - alpha) w` fits the
/// client's samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// The share of the personal model.
    pub alpha: f64,
    /// True if `alpha` follows its gradient.
    pub is_adaptive: bool,
    /// The personal model `v`. Its buffers are those of the mixture.
    pub personal: Arc<ModelState>,
}

/// The values that a trainer measures during a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// The mean loss of the client's samples under the model to start from, before any step.
    pub initial_loss: bool,
    /// The gradient of that loss.
    pub initial_gradient: bool,
    /// The mean over the steps of the gradients that they computed, without shift, weight decay and proximal term.
    pub mean_gradient: bool,
}

/// The result of a [`LocalPass`].
#[derive(Clone, Debug, PartialEq)]
pub struct PassResult {
    /// The model.
    pub state: ModelState,
    /// The summary over its steps.
    pub summary: TrainSummary,
    /// FedNova's `|a_i|_1` of the steps that were taken.
    pub normalizer: f64,
    /// The loss at the start; 0 unless it was asked for.
    pub initial_loss: f64,
    /// The gradient that was asked for, with an element for each of all parameters', in the layout's order; empty if none was.
    pub gradient: Vec<f32>,
    /// The personal model of a mixture, and the share that it ended with.
    pub mixture: Option<(ModelState, f64)>,
}

//! `torch.nn.Linear` and `torch.nn.Embedding`.

use tch::{TchError, Tensor};

use super::Pass;
use crate::registry::{Init, Scope, Slot};

#[derive(Debug)]
pub(crate) struct Linear {
    weight: Slot,
    bias: Slot,
}

impl Linear {
    pub fn new(scope: Scope<'_>, inputs: usize, outputs: usize) -> Self {
        let init = Init::fan_in(inputs);
        Self::with_init(scope, inputs, outputs, init, init)
    }

    pub fn with_init(mut scope: Scope<'_>, inputs: usize, outputs: usize, weight: Init, bias: Init) -> Self {
        Self { weight: scope.parameter("weight", &[outputs, inputs], weight), bias: scope.parameter("bias", &[outputs], bias) }
    }

    /// Makes a layer that shares the weight of an embedding, and so registers only a bias.
    pub fn tied(mut scope: Scope<'_>, embedding: &Embedding, outputs: usize, bias: Init) -> Self {
        Self { weight: embedding.weight, bias: scope.parameter("bias", &[outputs], bias) }
    }

    pub fn weight(&self) -> Slot {
        self.weight
    }

    pub fn bias(&self) -> Slot {
        self.bias
    }

    /// Computes the outputs. The input is handed out as the features of the batch, until a later layer's takes its place.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        if let Some(features) = &mut pass.features {
            **features = x.shallow_clone();
        }
        x.f_linear(pass.tensor(self.weight), Some(pass.tensor(self.bias)))
    }
}

#[derive(Debug)]
pub(crate) struct Embedding {
    weight: Slot,
}

impl Embedding {
    pub fn new(mut scope: Scope<'_>, vocabulary: usize, width: usize, init: Init) -> Self {
        Self { weight: scope.parameter("weight", &[vocabulary, width], init) }
    }

    /// Maps ids `[B, T]` to vectors `[B, T, width]`.
    pub fn forward(&self, ids: &Tensor, pass: &Pass<'_>) -> Result<Tensor, TchError> {
        Tensor::f_embedding(pass.tensor(self.weight), ids, -1, false, false)
    }
}

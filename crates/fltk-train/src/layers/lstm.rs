//! `torch.nn.LSTM`, batch first, with PyTorch's names for its parameters.

use tch::{TchError, Tensor};

use super::{Pass, dropout};
use crate::registry::{Init, Scope, Slot};

#[derive(Debug)]
pub(crate) struct Lstm {
    /// The `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh` of each layer.
    layers: Vec<[Slot; 4]>,
    hidden: i64,
    /// The dropout rate between layers.
    dropout: f64,
}

impl Lstm {
    pub fn new(mut scope: Scope<'_>, inputs: usize, hidden: usize, num_layers: usize, dropout: f64) -> Self {
        let init = Init::fan_in(hidden);
        let layers = (0..num_layers)
            .map(|layer| {
                let width = if layer == 0 { inputs } else { hidden };
                [
                    scope.parameter(format_args!("weight_ih_l{layer}"), &[4 * hidden, width], init),
                    scope.parameter(format_args!("weight_hh_l{layer}"), &[4 * hidden, hidden], init),
                    scope.parameter(format_args!("bias_ih_l{layer}"), &[4 * hidden], init),
                    scope.parameter(format_args!("bias_hh_l{layer}"), &[4 * hidden], init),
                ]
            })
            .collect();
        Self { layers, hidden: i64::try_from(hidden).unwrap_or(i64::MAX), dropout }
    }

    /// Maps `[B, T, inputs]` to `[B, T, hidden]`, from a zero state. It runs layer by layer, so that the dropout in between is our own.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let mut x = x.shallow_clone();
        for (index, slots) in self.layers.iter().enumerate() {
            if index > 0 {
                x = dropout(x, self.dropout, pass)?;
            }
            let zero = Tensor::f_zeros([1, x.size()[0], self.hidden], (x.kind(), x.device()))?;
            let parameters = slots.map(|slot| pass.tensor(slot));
            (x, _, _) = x.f_lstm(&[&zero, &zero], &parameters, true, 1, 0.0, pass.is_training(), false, true)?;
        }
        Ok(x)
    }
}

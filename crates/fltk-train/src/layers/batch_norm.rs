//! `torch.nn.BatchNorm2d`.

use tch::{TchError, Tensor};

use super::Pass;
use crate::registry::{CounterSlot, Init, Scope, Slot};

/// PyTorch's default, as every net here uses: weight of the newest batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// PyTorch's default, added to the variance.
pub(crate) const EPS: f64 = 1e-5;

#[derive(Debug)]
pub(crate) struct BatchNorm2d {
    weight: Slot,
    bias: Slot,
    running_mean: Slot,
    running_var: Slot,
    num_batches_tracked: CounterSlot,
    eps: f64,
}

impl BatchNorm2d {
    pub fn new(scope: Scope<'_>, channels: usize) -> Self {
        Self::with_eps(scope, channels, EPS)
    }

    pub fn with_eps(mut scope: Scope<'_>, channels: usize, eps: f64) -> Self {
        Self {
            weight: scope.parameter("weight", &[channels], Init::Constant(1.0)),
            bias: scope.parameter("bias", &[channels], Init::Constant(0.0)),
            running_mean: scope.buffer("running_mean", &[channels], Init::Constant(0.0)),
            running_var: scope.buffer("running_var", &[channels], Init::Constant(1.0)),
            num_batches_tracked: scope.counter("num_batches_tracked"),
            eps,
        }
    }

    /// In training mode normalizes by the batch's own mean and variance and updates the running ones, else by the running ones.
    ///
    /// A batch with a single value per channel (one image, 1x1 pixels) has no variance: PyTorch raises. Here such a batch is normalized
    /// by the running statistics and leaves them as they are, so that a last batch of one sample does not end a run.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let values_per_channel: i64 = x.size().iter().enumerate().filter(|(dim, _)| *dim != 1).map(|(_, size)| size).product();
        let training = pass.is_training() && values_per_channel > 1;
        if training {
            pass.count(self.num_batches_tracked);
        }
        let [weight, bias, mean, var] = [self.weight, self.bias, self.running_mean, self.running_var].map(|slot| Some(pass.tensor(slot)));
        x.f_batch_norm(weight, bias, mean, var, training, MOMENTUM, self.eps, false)
    }
}

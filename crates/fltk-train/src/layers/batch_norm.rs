//! `torch.nn.BatchNorm2d`.

use tch::{Kind, TchError, Tensor};
use torch_dist::ProcessGroup;

use super::{Mode, Pass};
use crate::registry::{CounterSlot, Init, Scope, Slot};

/// PyTorch's default, which every net here uses: the weight of the newest batch in the running statistics.
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

    /// Normalizes, in training mode, by the batch's own mean and variance and updates the running ones; otherwise normalizes by the running
    /// ones.
    ///
    /// A batch with a single value per channel (one image, 1x1 pixels) has no variance, and PyTorch raises an error. Here, such a batch is
    /// normalized by the running statistics and leaves them unchanged, so that a last batch of one sample does not end a run.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor, TchError> {
        let values_per_channel: i64 = x.size().iter().enumerate().filter(|(dim, _)| *dim != 1).map(|(_, size)| size).product();
        let together = matches!(pass.mode, Mode::Train { sync: Some(_), .. });
        let training = together || pass.is_training() && values_per_channel > 1;
        if training {
            pass.count(self.num_batches_tracked);
        }
        if let Mode::Train { sync: Some(group), .. } = pass.mode {
            return self.forward_together(x, pass, group);
        }
        let [weight, bias, mean, var] = [self.weight, self.bias, self.running_mean, self.running_var].map(|slot| Some(pass.tensor(slot)));
        x.f_batch_norm(weight, bias, mean, var, training, MOMENTUM, self.eps, false)
    }

    /// Works as `torch.nn.SyncBatchNorm`: mean and variance are those of all ranks' batches together, and so are their gradients. The variance
    /// is computed from the distances to the common mean, in a second sum over the ranks, which avoids cancellation.
    fn forward_together(&self, x: &Tensor, pass: &Pass<'_>, group: &ProcessGroup) -> Result<Tensor, TchError> {
        let failed = |error: torch_dist::Error| TchError::Torch(error.to_string());
        let channels = *x.size().get(1).unwrap_or(&1);
        let others: Vec<i64> = (0..x.dim() as i64).filter(|dim| *dim != 1).collect();
        let mut along: Vec<i64> = vec![1; x.dim()];
        along[1] = channels;
        let sum = |values: &Tensor| values.f_sum_dim_intlist(others.as_slice(), false, Kind::Float);
        // The number of a rank's values per channel is sent along with its sums, since batches may differ in size.
        #[expect(clippy::cast_precision_loss, reason = "sums of f32 are no more precise")]
        let count = Tensor::f_full([1], (x.numel() as i64 / channels.max(1)) as f64, (Kind::Float, x.device()))?;
        let sums = group.all_reduce_sum_with_grad(&Tensor::f_cat(&[&sum(x)?, &count], 0)?).map_err(failed)?;
        let count = sums.f_narrow(0, channels, 1)?.f_detach()?;
        let mean = sums.f_narrow(0, 0, channels)?.f_div(&count)?;
        let centered = x.f_sub(&mean.f_view(along.as_slice())?)?;
        let squares = group.all_reduce_sum_with_grad(&sum(&centered.f_square()?)?).map_err(failed)?;
        let var = squares.f_div(&count)?;
        {
            let _no_grad = tch::no_grad_guard();
            let unbiased = squares.f_div(&count.f_sub_scalar(1.0)?.f_clamp_min(1.0)?)?;
            for (slot, newest) in [(self.running_mean, &mean), (self.running_var, &unbiased)] {
                let mut running = pass.tensor(slot).shallow_clone();
                let _ = running.f_mul_scalar_(1.0 - MOMENTUM)?.f_add_(&newest.f_mul_scalar(MOMENTUM)?)?;
            }
        }
        let scale = var.f_add_scalar(self.eps)?.f_rsqrt()?.f_mul(pass.tensor(self.weight))?;
        let scaled = centered.f_mul(&scale.f_view(along.as_slice())?)?;
        scaled.f_add(&pass.tensor(self.bias).f_view(along.as_slice())?)
    }
}

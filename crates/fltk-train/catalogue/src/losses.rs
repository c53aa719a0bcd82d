//! The losses over logits and class indices, with PyTorch's names and numbers: one line each.

use fltk_core::catalogue::Entry;
#[cfg(libtorch)]
use tch::{Reduction, TchError, Tensor};

/// Every loss.
pub const CATALOGUE: &[&LossSpec] = &[&CROSS_ENTROPY, &NLL, &MULTI_MARGIN];

/// A loss.
#[derive(Debug)]
pub struct LossSpec {
    /// The name.
    pub entry: Entry,
    /// Returns the loss of logits `[N, C]` against class indices `[N]`: a scalar mean, or `[N]` values with [`Reduction::None`].
    #[cfg(libtorch)]
    pub compute: fn(&Tensor, &Tensor, Reduction) -> Result<Tensor, TchError>,
    /// The gradient, if it is known in closed form.
    #[cfg(libtorch)]
    pub gradient: Option<LossGradient>,
}

/// Returns the loss of logits `[N, C]` against class indices `[N]` of at least 0, their mean or sum, and its gradient by the logits, `[N, C]`: the bits of
/// autograd.
#[cfg(libtorch)]
pub type LossGradient = fn(&Tensor, &Tensor, Reduction) -> Result<(f64, Tensor), TchError>;

static CROSS_ENTROPY: LossSpec = LossSpec {
    entry: Entry::new("CrossEntropyLoss", "`torch.nn.CrossEntropyLoss` over logits."),
    #[cfg(libtorch)]
    compute: compute::cross_entropy,
    #[cfg(libtorch)]
    gradient: Some(compute::cross_entropy_gradient),
};

static NLL: LossSpec = LossSpec {
    entry: Entry::new("NLLLoss", "`torch.nn.NLLLoss` over the log-softmax of the logits: the same number as cross-entropy."),
    #[cfg(libtorch)]
    compute: compute::nll,
    #[cfg(libtorch)]
    gradient: Some(compute::cross_entropy_gradient),
};

static MULTI_MARGIN: LossSpec = LossSpec {
    entry: Entry::new("MultiMarginLoss", "`torch.nn.MultiMarginLoss` over logits."),
    #[cfg(libtorch)]
    compute: compute::multi_margin,
    #[cfg(libtorch)]
    gradient: None,
};

/// Returns the entries of all losses, for the program's catalogues.
#[must_use]
pub fn entries() -> Vec<&'static Entry> {
    CATALOGUE.iter().map(|loss| &loss.entry).collect()
}

#[cfg(libtorch)]
mod compute {
    use tch::{Kind, Reduction, TchError, Tensor};

    /// PyTorch's default, with which no class is ignored.
    const IGNORE_INDEX: i64 = -100;

    pub(super) fn cross_entropy(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
        logits.f_cross_entropy_loss(targets, None::<Tensor>, reduction, IGNORE_INDEX, 0.0)
    }

    pub(super) fn nll(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
        logits.f_log_softmax(-1, Kind::Float)?.f_nll_loss(targets, None::<Tensor>, reduction, IGNORE_INDEX)
    }

    /// Computes with the operations that autograd runs for [`cross_entropy`] and for [`nll`].
    pub(super) fn cross_entropy_gradient(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<(f64, Tensor), TchError> {
        let log_softmax = logits.f_log_softmax(-1, Kind::Float)?;
        let loss = log_softmax.f_nll_loss(targets, None::<Tensor>, reduction, IGNORE_INDEX)?;
        // The number of targets that count, which are all: the loss has it too, and tch doesn't return it.
        #[expect(clippy::cast_precision_loss, reason = "it becomes an f32 as in the loss itself")]
        let rows = Tensor::f_full([0_i64; 0], targets.numel() as f64, (Kind::Float, logits.device()))?;
        let gradient = log_softmax.f_nll_loss_backward(&loss.f_ones_like()?, targets, None::<Tensor>, reduction, IGNORE_INDEX, &rows)?;
        Ok((loss.f_double_value(&[])?, Tensor::f_internal_log_softmax_backward_data(&gradient, &log_softmax, -1, Kind::Float)?))
    }

    /// Computes the `sum over j != y of max(0, 1 - x_y + x_j), over C` from simpler operations, since tch lacks the function.
    pub(super) fn multi_margin(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
        let (index, classes) = (targets.f_unsqueeze(1)?, *logits.size().last().unwrap_or(&1));
        let margins = logits.f_sub(&logits.f_gather(1, &index, false)?)?.f_add_scalar(1.0)?.f_relu()?;
        #[expect(clippy::cast_precision_loss, reason = "a number of classes is far below 2^52")]
        let each = margins
            .f_scatter_value(1, &index, 0.0)?
            .f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?
            .f_div_scalar(classes as f64)?;
        match reduction {
            Reduction::None => Ok(each),
            Reduction::Mean => each.f_mean(Kind::Float),
            Reduction::Sum | Reduction::Other(_) => each.f_sum(Kind::Float),
        }
    }
}

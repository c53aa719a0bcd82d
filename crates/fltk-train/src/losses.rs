//! Losses over logits and class indices, with PyTorch's names and numbers.

use fltk_core::experiment::LossName;
use tch::{Kind, Reduction, TchError, Tensor};

/// PyTorch's default, with which no class is ignored.
const IGNORE_INDEX: i64 = -100;

/// Returns the loss of logits `[N, C]` against class indices `[N]`: a scalar mean, or `[N]` values with [`Reduction::None`].
pub(crate) fn loss(name: LossName, logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
    match name {
        LossName::CrossEntropyLoss => logits.f_cross_entropy_loss(targets, None::<Tensor>, reduction, IGNORE_INDEX, 0.0),
        LossName::NLLLoss => logits.f_log_softmax(-1, Kind::Float)?.f_nll_loss(targets, None::<Tensor>, reduction, IGNORE_INDEX),
        LossName::MultiMarginLoss => multi_margin(logits, targets, reduction),
    }
}

/// Computes the `sum over j != y of max(0, 1 - x_y + x_j), over C` from simpler operations, since tch lacks the function.
fn multi_margin(logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
    let (index, classes) = (targets.f_unsqueeze(1)?, *logits.size().last().unwrap_or(&1));
    let margins = logits.f_sub(&logits.f_gather(1, &index, false)?)?.f_add_scalar(1.0)?.f_relu()?;
    #[expect(clippy::cast_precision_loss, reason = "a number of classes is far below 2^52")]
    let each =
        margins.f_scatter_value(1, &index, 0.0)?.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?.f_div_scalar(classes as f64)?;
    match reduction {
        Reduction::None => Ok(each),
        Reduction::Mean => each.f_mean(Kind::Float),
        Reduction::Sum | Reduction::Other(_) => each.f_sum(Kind::Float),
    }
}

/// Returns logits `[B, C]` or `[B, T, C]` as rows `[N, C]`.
pub(crate) fn rows(logits: &Tensor) -> Result<Tensor, TchError> {
    let classes = *logits.size().last().unwrap_or(&1);
    logits.f_reshape([-1, classes])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: LossName, expected: [f64; 2]) {
        let logits = Tensor::from_slice(&[1.0_f32, 2.0, 0.5, -1.0, 0.0, 3.0]).view([2, 3]);
        let targets = Tensor::from_slice(&[1_i64, 0]);
        let each = loss(name, &logits, &targets, Reduction::None).unwrap();
        let mean = loss(name, &logits, &targets, Reduction::Mean).unwrap().double_value(&[]);
        for (index, value) in expected.iter().enumerate() {
            assert!((each.double_value(&[index as i64]) - value).abs() < 1e-6, "{name:?}: {each:?}");
        }
        assert!((mean - (expected[0] + expected[1]) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn losses_are_the_textbook_ones() {
        let cross_entropy = |row: [f64; 3], target: usize| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[target];
        let expected = [cross_entropy([1.0, 2.0, 0.5], 1), cross_entropy([-1.0, 0.0, 3.0], 0)];
        check(LossName::CrossEntropyLoss, expected);
        check(LossName::NLLLoss, expected);
        // The formula is: sum over j != y of max(0, 1 - x_y + x_j), over C.
        check(LossName::MultiMarginLoss, [0.0, (2.0 + 5.0) / 3.0]);
    }
}

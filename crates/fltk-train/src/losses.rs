//! Losses over logits and class indices, with PyTorch's names and numbers.

use tch::{Reduction, TchError, Tensor};

pub use crate::catalogue::losses::entries;
use crate::{
    TrainError,
    catalogue::losses::{CATALOGUE, LossGradient, LossSpec},
};

/// A loss of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Loss(&'static LossSpec);

impl PartialEq for Loss {
    /// Compares names, which are unique in the catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.0.entry.name == other.0.entry.name
    }
}

impl Eq for Loss {}

/// Returns the loss of this name.
///
/// # Errors
/// If there is none.
pub fn find(name: &str) -> Result<Loss, TrainError> {
    let loss = CATALOGUE.iter().copied().find(|loss| loss.entry.name == name);
    loss.map(Loss).ok_or_else(|| TrainError::Settings(format!("there is no loss `{name}`")))
}

impl Loss {
    /// Returns the loss of logits `[N, C]` against class indices `[N]`: a scalar mean, or `[N]` values with [`Reduction::None`].
    pub(crate) fn of(self, logits: &Tensor, targets: &Tensor, reduction: Reduction) -> Result<Tensor, TchError> {
        (self.0.compute)(logits, targets, reduction)
    }

    /// The gradient, if it is known in closed form.
    pub(crate) fn gradient(self) -> Option<LossGradient> {
        self.0.gradient
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

    fn check(name: &str, expected: [f64; 2]) {
        let logits = Tensor::from_slice(&[1.0_f32, 2.0, 0.5, -1.0, 0.0, 3.0]).view([2, 3]);
        let targets = Tensor::from_slice(&[1_i64, 0]);
        let each = find(name).unwrap().of(&logits, &targets, Reduction::None).unwrap();
        let mean = find(name).unwrap().of(&logits, &targets, Reduction::Mean).unwrap().double_value(&[]);
        for (index, value) in expected.iter().enumerate() {
            assert!((each.double_value(&[index as i64]) - value).abs() < 1e-6, "{name:?}: {each:?}");
        }
        assert!((mean - (expected[0] + expected[1]) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn losses_match_their_definitions() {
        let cross_entropy = |row: [f64; 3], target: usize| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[target];
        let expected = [cross_entropy([1.0, 2.0, 0.5], 1), cross_entropy([-1.0, 0.0, 3.0], 0)];
        check("CrossEntropyLoss", expected);
        check("NLLLoss", expected);
        // The formula is: sum over j != y of max(0, 1 - x_y + x_j), over C.
        check("MultiMarginLoss", [0.0, (2.0 + 5.0) / 3.0]);
    }
}

//! The model-contrastive term of MOON.

use fltk_core::local_pass::Contrast;
use tch::{Kind, Tensor};

use crate::{Model, TrainError, optimizer::scalar};

/// The smallest norm that a cosine divides by, as in PyTorch's `CosineSimilarity`.
const EPSILON: f64 = 1e-8;

/// The models that features are compared with, and how much that counts.
pub(super) struct Contrasting {
    mu: f64,
    tau: f64,
    global: Model,
    previous: Model,
}

impl Contrasting {
    pub(super) fn new(model: &Model, contrast: &Contrast) -> Result<Self, TrainError> {
        let Contrast { mu, tau, global, previous } = contrast;
        Ok(Self { mu: *mu, tau: *tau, global: model.duplicate(global)?, previous: model.duplicate(previous)? })
    }

    /// Returns the features of a batch under the received model and the previous one, without gradients.
    pub(super) fn features(&self, inputs: &Tensor) -> Result<[Tensor; 2], TrainError> {
        let _no_grad = tch::no_grad_guard();
        Ok([self.global.features_evaluation(inputs.shallow_clone())?, self.previous.features_evaluation(inputs.shallow_clone())?])
    }

    /// Returns `mu` times the mean term.
    pub(super) fn term(&self, features: &Tensor, others: &[Tensor; 2]) -> Result<Tensor, TrainError> {
        Ok(term(features, others, self.tau)?.f_mul(&scalar(self.mu, features.device())?)?.f_sum(Kind::Float)?)
    }
}

/// Returns the mean over rows of `-log(e^(cos_g/tau) / (e^(cos_g/tau) + e^(cos_p/tau)))`.
fn term(features: &Tensor, [global, previous]: &[Tensor; 2], tau: f64) -> Result<Tensor, TrainError> {
    let cosine = |other: &Tensor| Tensor::f_cosine_similarity(features, other, -1, EPSILON);
    let logits = Tensor::f_stack(&[cosine(global)?, cosine(previous)?], 1)?.f_div(&scalar(tau, features.device())?)?;
    let to_global = logits.f_log_softmax(1, Kind::Float)?.f_select(1, 0)?;
    Ok(to_global.f_mean(Kind::Float)?.f_neg()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[[f32; 6]], tau: f64, expected: f64) {
        let of = |at: usize| Tensor::from_slice2(&rows.iter().map(|row| row[at..at + 2].to_vec()).collect::<Vec<_>>());
        let found = term(&of(0), &[of(2), of(4)], tau).unwrap().double_value(&[]);
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    /// By hand: cosines 1/sqrt(2) and 0, then 1 and -1; log(1 + e^((cos_p - cos_g) / tau)).
    #[test]
    fn terms_are_those_of_the_paper() {
        let first = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
        check(&[first], 0.5, 0.217_621_7);
        let second = [0.0, 2.0, 0.0, 0.5, 0.0, -3.0];
        check(&[second], 0.5, 0.018_149_93);
        check(&[first, second], 0.5, (0.217_621_7 + 0.018_149_93) / 2.0);
        check(&[[1.0, 2.0, 3.0, 4.0, 3.0, 4.0]], 0.1, std::f64::consts::LN_2);
    }
}

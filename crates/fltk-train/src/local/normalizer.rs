//! FedNova's normalizer of local steps.

use fltk_core::catalogue::Choice;

use crate::optimizer;

/// Returns FedNova's `|a_i|_1` (Wang et al. 2020, arXiv:2007.07481, section 3): how far `steps` gradients of one move the model, in learning
/// rates.
///
/// With plain SGD, that is the number of steps. With momentum `rho`, each gradient continues to act in later steps:
/// `(tau - rho(1 - rho^tau)/(1 - rho))/(1 - rho)`. A proximal term pulls back: `(1 - (1 - lr*mu)^tau)/(lr*mu)`. The value is computed by
/// the recurrence that covers all of these together, and Nesterov's too. For Adam and AdamW, whose steps are already normalized, the paper
/// has no formula; the function returns the number of steps.
#[must_use]
pub fn normalizer(optimizer: &Choice, learning_rate: f64, mu: f64, steps: u64) -> f64 {
    let Some((momentum, nesterov)) = optimizer::find(optimizer.name()).ok().and_then(|spec| (spec.momentum)(optimizer)) else {
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
        return steps as f64;
    };
    let (mut velocity, mut moved) = (0.0_f64, 0.0_f64);
    for _ in 0..steps {
        velocity = momentum * velocity + 1.0;
        let step = if nesterov { 1.0 + momentum * velocity } else { velocity };
        moved += step - learning_rate * mu * moved;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(momentum: f64, learning_rate: f64, mu: f64, steps: u64, expected: f64) {
        let sgd = Choice::new("SGD").with("learning_rate", learning_rate).with("momentum", momentum);
        let got = normalizer(&sgd, learning_rate, mu, steps);
        assert!((got - expected).abs() < 1e-9 * expected.max(1.0), "momentum {momentum}, mu {mu}: {got}, not {expected}");
    }

    #[test]
    fn normalizers_are_the_closed_forms_of_the_paper() {
        check(0.0, 0.1, 0.0, 7, 7.0);
        check(0.9, 0.1, 0.0, 0, 0.0);
        check(0.9, 0.1, 0.0, 1, 1.0);
        check(0.9, 0.1, 0.0, 50, (50.0 - 0.9 * (1.0 - 0.9_f64.powi(50)) / 0.1) / 0.1);
        check(0.0, 0.05, 0.2, 30, (1.0 - (1.0 - 0.01_f64).powi(30)) / 0.01);
        let adam = Choice::new("Adam").with("learning_rate", 0.1);
        assert_eq!(normalizer(&adam, 0.1, 0.0, 9).to_bits(), 9.0_f64.to_bits());
    }
}

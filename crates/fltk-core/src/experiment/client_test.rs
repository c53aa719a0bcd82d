//! The settings of test samples that clients keep for themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::product;

/// A figure of one client's own test that may be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "client_figure")]
pub enum ClientFigure {
    /// The fraction of right predictions.
    Accuracy,
    /// The mean loss per prediction.
    Loss,
    /// The number of predictions.
    Samples,
}

impl ClientFigure {
    /// All figures, which may be recorded unless the file says otherwise.
    pub const ALL: [Self; 3] = [Self::Accuracy, Self::Loss, Self::Samples];
}

/// Returns the number of test samples of a client with `num_samples`: the fraction, rounded down, but at least 1, and at least 1 sample stays for
/// training. A client with one sample has no test sample.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "`as` takes what is out of range to the nearest end"
)]
pub fn num_client_test(fraction: f64, num_samples: usize) -> usize {
    (product(num_samples as f64, fraction) as usize).max(1).min(num_samples.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_down_and_nobody_is_left_without_a_sample_to_train_on() {
        for (fraction, num_samples, expected) in [
            (0.2, 10, 2),
            (0.2, 9, 1),
            (0.2, 14, 2),
            (0.29, 100, 29),
            (0.7, 10, 7),
            (0.2, 4, 1),
            (0.01, 2, 1),
            (0.99, 2, 1),
            (0.99, 1, 0),
            (0.5, 0, 0),
            (1.0 - f64::EPSILON, 100, 99),
        ] {
            assert_eq!(num_client_test(fraction, num_samples), expected, "{fraction} of {num_samples}");
        }
    }
}

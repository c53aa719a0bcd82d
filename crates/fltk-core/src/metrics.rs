//! What is measured: losses, accuracy, the confusion matrix and what follows from it.

use serde::{Deserialize, Serialize};

/// Result of evaluating a net over a whole test set, in evaluation mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of predictions: samples, or tokens of a language model.
    pub num_samples: u64,
    /// Mean loss per prediction (not per batch).
    pub loss: f64,
    /// Fraction of right predictions, `0..=1`.
    pub accuracy: f64,
    /// `confusion[true][predicted]`: counts. Absent where there are too many classes to be worth a matrix (language models).
    pub confusion: Option<Vec<Vec<u64>>>,
}

impl Evaluation {
    /// Per class: of those predicted as the class, the fraction that is (diagonal over column sum). `None` where nothing was predicted as it.
    #[must_use]
    pub fn precision(&self) -> Option<Vec<Option<f64>>> {
        let matrix = self.confusion.as_ref()?;
        Some((0..matrix.len()).map(|c| ratio(matrix[c][c], matrix.iter().map(|row| row[c]).sum())).collect())
    }

    /// Per class: of those of the class, the fraction predicted as it (diagonal over row sum). `None` where the test set has none.
    #[must_use]
    pub fn recall(&self) -> Option<Vec<Option<f64>>> {
        let matrix = self.confusion.as_ref()?;
        Some((0..matrix.len()).map(|c| ratio(matrix[c][c], matrix[c].iter().sum())).collect())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What being several ranks cost in one epoch, as rank 0 measured it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParallelSummary {
    /// Ranks of the training.
    pub ranks: u32,
    /// From the departure of a step's first gradients to the arrival of its last, summed over steps. Part of it goes beside the backward pass.
    pub communication_seconds: f64,
    /// The part of it that training waited for.
    pub waiting_seconds: f64,
    /// Gradients that the rank sent, in bytes: a ring all-reduce sends `2 (ranks - 1) / ranks` of them.
    pub sent_bytes: u64,
}

/// Result of training over some samples: one epoch, or the local epochs of one client in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSummary {
    /// Samples trained on, counting each once per epoch.
    pub num_samples: u64,
    /// Optimizer steps taken.
    pub num_steps: u64,
    /// Mean loss per sample over all of them (not per batch, not the last window); absent where there was none.
    pub loss: Option<f64>,
}

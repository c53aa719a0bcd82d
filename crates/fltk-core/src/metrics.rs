//! Metrics: losses, accuracy, the confusion matrix and the values derived from it.

use serde::{Deserialize, Serialize};

/// The result of evaluating a net over a whole test set, in evaluation mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The number of predictions: samples, or tokens of a language model.
    pub num_samples: u64,
    /// The mean loss per prediction (not per batch).
    pub loss: f64,
    /// The fraction of right predictions, `0..=1`.
    pub accuracy: f64,
    /// The counts `confusion[true][predicted]`. Absent if there are too many classes for a useful matrix (language models).
    pub confusion: Option<Vec<Vec<u64>>>,
}

impl Evaluation {
    /// Returns, per class, the fraction of its predictions that are right (diagonal over column sum). `None` for a class never predicted.
    #[must_use]
    pub fn precision(&self) -> Option<Vec<Option<f64>>> {
        let matrix = self.confusion.as_ref()?;
        Some((0..matrix.len()).map(|c| ratio(matrix[c][c], sum(matrix.iter().map(|row| row[c])))).collect())
    }

    /// Returns, per class, the fraction of its samples that are predicted as the class (diagonal over row sum). `None` for a class without
    /// samples in the test set.
    #[must_use]
    pub fn recall(&self) -> Option<Vec<Option<f64>>> {
        let matrix = self.confusion.as_ref()?;
        Some((0..matrix.len()).map(|c| ratio(matrix[c][c], sum(matrix[c].iter().copied()))).collect())
    }
}

/// The sum, or the largest number: counts of files from elsewhere may be any.
fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The cost of data parallelism in one epoch, as rank 0 measured it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParallelSummary {
    /// The number of ranks.
    pub ranks: u32,
    /// The time from the departure of a step's first gradients to the arrival of its last, summed over steps. Part of it overlaps with the
    /// backward pass.
    pub communication_seconds: f64,
    /// The part of it for which training waited.
    pub waiting_seconds: f64,
    /// The gradients that the rank sent, in bytes: a ring all-reduce sends `2 (ranks - 1) / ranks` times their size.
    pub sent_bytes: u64,
}

/// The result of training over some samples: one epoch, or the local epochs of one client in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSummary {
    /// The number of samples trained on, counting each once per epoch.
    pub num_samples: u64,
    /// The number of optimizer steps taken.
    pub num_steps: u64,
    /// The mean loss per sample over all of them (not per batch, not the last window); absent if there were none.
    pub loss: Option<f64>,
}

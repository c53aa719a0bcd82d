//! Label flipping, the attack of a malicious client on its own samples.

use fltk_data::{Batch, Dataset};

/// The labels that a client sees for its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// Their own.
    Honest,
    /// `C - 1 - y` for class `y` of so many classes.
    Flipped {
        /// The number of classes, `C`.
        classes: i64,
    },
}

impl Labels {
    /// Returns the labels of a client of `dataset`. Text has no class labels, so nothing is flipped in it; experiment files can't ask for that.
    pub(crate) fn of(flips: bool, dataset: &Dataset) -> Self {
        match i64::try_from(dataset.num_classes()) {
            Ok(classes) if flips && dataset.image_shape().is_some() => Self::Flipped { classes },
            _ => Self::Honest,
        }
    }

    /// Returns the batch with these labels.
    pub(crate) fn applied_to(self, mut batch: Batch) -> Batch {
        if let Self::Flipped { classes } = self {
            for target in &mut batch.targets {
                *target = classes - 1 - *target;
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use fltk_data::Inputs;

    use super::*;

    #[test]
    fn flipping_takes_each_class_for_the_opposite_one() {
        let batch = || Batch { inputs: Inputs::Tokens { ids: vec![0; 3], shape: [3, 1] }, targets: vec![0, 4, 9], size: 3 };
        assert_eq!(Labels::Honest.applied_to(batch()), batch());
        assert_eq!(Labels::Flipped { classes: 10 }.applied_to(batch()), Batch { targets: vec![9, 5, 0], ..batch() });
    }
}
